//! `assert_documented` finds services that lie, and lets honest ones pass, whatever types they speak.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::panic::AssertUnwindSafe;

use fastws::testing::{assert_documented, assert_documented_except};
use fastws::{FastWs, OperationRouter, Params, Payload, Updates, payload, send, topic};
use futures_util::FutureExt;
use serde::{Deserialize, Serialize};

/// A payload of many kinds.
#[payload]
struct Everything {
    byte: u8,
    small: i16,
    middle: u32,
    large: i64,
    huge: u64,
    size: usize,
    ratio: f64,
    single: f32,
    #[garde(range(min = -5, max = 5))]
    bounded: i32,
    #[garde(length(min = 2, max = 4))]
    text: String,
    letter: char,
    maybe: Option<bool>,
    #[serde(default)]
    defaulted: u8,
    #[garde(length(max = 3), inner(length(min = 1)))]
    list: Vec<String>,
    pair: (u8, String),
    set: BTreeSet<u8>,
    map: HashMap<String, i32>,
    numbered: HashMap<u32, String>,
    anything: serde_json::Value,
    address: std::net::IpAddr,
    side: Side,
    event: Event,
    amount: Amount,
    #[serde(flatten)]
    rest: Rest,
    nested: Option<Box<Nested>>,
    #[serde(rename = "with-dash")]
    renamed: bool,
}

#[payload]
#[serde(rename_all = "snake_case")]
enum Side {
    Buy,
    /// Short sales are refused.
    Sell,
}

#[payload]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Event {
    Filled { price: f64 },
    Cancelled { reason: Option<String> },
}

#[payload]
#[serde(rename_all = "snake_case")]
enum Amount {
    Shares(u32),
    Notional { currency: String, value: f64 },
    All,
}

#[payload]
struct Rest {
    extra: u16,
}

#[payload]
#[serde(deny_unknown_fields)]
struct Nested {
    name: String,
    next: Option<Box<Nested>>,
}

/// Echoes everything.
#[send("echo", reply = "echoed")]
async fn echo(Payload(everything): Payload<Everything>) -> Everything {
    everything
}

/// Words, if there are any.
#[payload]
#[derive(Default)]
#[serde(default)]
struct Words {
    words: Option<Vec<String>>,
}

/// Takes what may be left out.
#[send("note", reply = "noted")]
async fn note(Payload(note): Payload<Words>) -> BTreeMap<String, usize> {
    note.words.unwrap_or_default().into_iter().map(|word| (word.clone(), word.len())).collect()
}

/// Hears, and says nothing.
#[send("hear")]
async fn hear(Payload(_): Payload<Side>) {}

/// Names a counter.
#[payload]
struct Counter {
    #[garde(length(min = 1, max = 8))]
    #[schemars(example = &"orders")]
    name: String,
}

/// A counter that goes up.
#[topic("count:{name}")]
async fn count(Params(_): Params<Counter>, updates: Updates<u64>) {
    updates.snapshot(1);
    updates.send(2);
    std::future::pending::<()>().await;
}

#[tokio::test(start_paused = true)]
async fn an_honest_service_passes_whatever_its_types_are() {
    let router = OperationRouter::new().add::<echo>().add::<note>().add::<hear>().add::<count>();
    let ws = FastWs::builder().include(router).build().expect("a service");
    assert_documented(&ws).await;
}

/// A price that says it is a number, and is written as text.
#[derive(Serialize, Deserialize)]
struct Price(#[serde(with = "as_text")] f64);

mod as_text {
    use serde::{Deserialize as _, Deserializer, Serializer};

    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
    pub(super) fn serialize<S: Serializer>(price: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&price.to_string())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        f64::deserialize(deserializer)
    }
}

impl schemars::JsonSchema for Price {
    fn schema_name() -> Cow<'static, str> {
        "Price".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "number" })
    }
}

/// Tells a price.
#[send("price", reply = "priced")]
async fn price() -> Price {
    Price(1.5)
}

/// A quantity that is even, which no schema says.
#[payload]
struct Even {
    #[garde(custom(is_even))]
    #[schemars(example = 2)]
    quantity: u32,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "garde passes references")]
fn is_even(quantity: &u32, (): &()) -> Result<(), garde::Error> {
    if quantity.is_multiple_of(2) { Ok(()) } else { Err(garde::Error::new("not even")) }
}

/// Takes an even quantity.
#[send("even", reply = "evened")]
async fn even(Payload(even): Payload<Even>) -> u32 {
    even.quantity
}

/// A code that says it is a number, and reads text too.
#[derive(Serialize)]
struct Loose(u32);

impl<'de> Deserialize<'de> for Loose {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        Ok(Self(value.as_u64().and_then(|code| code.try_into().ok()).unwrap_or(0)))
    }
}

impl schemars::JsonSchema for Loose {
    fn schema_name() -> Cow<'static, str> {
        "Loose".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        u32::json_schema(generator)
    }
}

#[payload]
struct Coded {
    code: Loose,
}

/// Takes a code.
#[send("code", reply = "coded")]
async fn code(Payload(coded): Payload<Coded>) -> u32 {
    coded.code.0
}

/// What the check says about a service of one operation.
async fn lies_of(router: OperationRouter, stricter: &[&str]) -> String {
    let ws = FastWs::builder().include(router).build().expect("a service");
    let checked = AssertUnwindSafe(assert_documented_except(&ws, stricter)).catch_unwind().await;
    checked.err().and_then(|panic| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn a_reply_of_another_type_than_documented_is_a_lie() {
    let lies = lies_of(OperationRouter::new().add::<price>(), &[]).await;
    assert!(lies.contains("\"1.5\" is not of type \"number\" at `/payload`"), "{lies}");
}

#[tokio::test(start_paused = true)]
async fn a_check_that_the_schema_does_not_say_is_a_lie_unless_it_is_named() {
    let lies = lies_of(OperationRouter::new().add::<even>(), &[]).await;
    assert!(lies.contains("`even`: the schema accepts {\"quantity\":4294967295}, the server refuses it"), "{lies}");
    assert_eq!(lies_of(OperationRouter::new().add::<even>(), &["even"]).await, "");
}

#[tokio::test(start_paused = true)]
async fn a_decoder_that_takes_more_than_the_schema_is_a_lie() {
    let lies = lies_of(OperationRouter::new().add::<code>(), &[]).await;
    assert!(lies.contains("`code`: the schema rejects {\"code\":null}, the server takes it"), "{lies}");
}
