//! The schema and the server agree: what the document allows is accepted, and what it forbids is refused, field by field.
//!
//! Known exceptions, which the generator does not make: `1.0` is an integer to JSON Schema and none to serde; formats
//! such as `email` are hints in JSON Schema; integers beyond 64 bits.

#![expect(clippy::invalid_regex, reason = "one test is about a pattern that is none")]

use std::collections::HashMap;

use fastws::testing::TestClient;
use fastws::{ErrorPolicy, FastWs, OperationRouter, Payload, Schemas, payload, send};
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

#[payload]
struct Lengths {
    #[garde(length(min = 2, max = 4))]
    text: String,
    #[garde(length(max = 3))]
    note: Option<String>,
    #[garde(length(min = 1, max = 3))]
    list: Vec<u8>,
    #[garde(length(equal = 2))]
    pair: Option<Vec<bool>>,
    #[garde(length(min = 1), inner(length(min = 1, max = 2)))]
    words: Vec<String>,
    #[garde(inner(range(min = 1, max = 9)))]
    digits: Option<Vec<i64>>,
    #[garde(length(max = 2))]
    map: HashMap<String, u8>,
}

#[payload]
struct Ranges {
    #[garde(range(min = 1, max = 100))]
    quantity: u32,
    #[garde(range(min = -5, max = 5))]
    offset: Option<i64>,
    #[garde(range(min = 0.5, max = 2.5))]
    price: f64,
    #[garde(range(max = 10))]
    level: u8,
    byte: i8,
    short: u16,
    word: i32,
    long: Option<u32>,
    fixed: [u8; 2],
    tuple: (i64, String),
}

#[payload]
struct Texts {
    #[garde(pattern("^[A-Z]{1,5}$"))]
    symbol: String,
    #[garde(contains("@"))]
    handle: Option<String>,
    #[garde(pattern(r"^\p{L}+$"), length(max = 3))]
    letters: Option<String>,
    #[garde(required)]
    needed: Option<String>,
    letter: char,
    #[garde(skip)]
    free: Option<String>,
}

#[payload]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Strict {
    first_name: String,
    #[serde(rename = "NAME")]
    #[garde(length(max = 2))]
    last_name: String,
    #[serde(default)]
    #[garde(range(max = 3))]
    is_default: u8,
    #[serde(default = "seven")]
    seven_more: u64,
    #[serde(skip)]
    hidden: String,
    r#type: bool,
}

fn seven() -> u64 {
    7
}

#[payload]
struct Flat {
    #[serde(flatten)]
    page: Page,
    #[serde(flatten)]
    more: Option<Sorting>,
    id: u64,
}

#[payload]
struct Page {
    #[garde(range(min = 1, max = 50))]
    size: u32,
    cursor: Option<String>,
}

#[payload]
struct Sorting {
    by: String,
}

#[payload]
#[serde(rename_all = "snake_case")]
enum Side {
    BuyNow,
    /// The other way.
    SellNow,
    #[serde(rename = "HOLD")]
    Hold,
}

#[payload]
#[serde(rename_all = "snake_case")]
enum Order {
    CancelAll,
    Market(Leg),
    #[serde(rename_all = "camelCase")]
    Limit {
        #[garde(range(min = 1, max = 9))]
        limit_price: u64,
        leg: Box<Leg>,
    },
    Pair(u8, Leg),
}

#[payload]
struct Leg {
    #[garde(length(min = 1, max = 2))]
    symbol: String,
    side: Side,
}

#[payload]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
enum Tagged {
    Empty,
    Named {
        #[garde(length(max = 2))]
        full_name: String,
    },
    Wrapped(Page),
}

#[payload]
#[serde(tag = "kind", content = "data")]
enum Adjacent {
    Empty,
    Number(#[garde(range(max = 5))] i64),
    Named {
        #[garde(length(max = 2))]
        name: String,
    },
}

#[payload]
#[serde(untagged)]
enum Untagged {
    Number(#[garde(range(max = 5))] i64),
    Text(#[garde(length(max = 2))] String),
    Page(Page),
}

#[payload]
struct Nested {
    leg: Leg,
    maybe: Option<Leg>,
    legs: Vec<Leg>,
    #[garde(length(max = 2))]
    by_name: HashMap<String, Leg>,
    boxed: Box<Page>,
    deep: Option<Vec<Option<Leg>>>,
    pair: (Leg, Symbol),
}

#[payload]
struct Symbol(#[garde(length(min = 1, max = 2))] String);

#[payload]
#[serde(transparent)]
struct Quantity {
    #[garde(range(min = 1, max = 3))]
    amount: u64,
}

#[payload]
#[schemars(rename = "Listed_{T}")]
struct Listed<T> {
    #[garde(length(max = 2))]
    items: Vec<T>,
    next: Option<T>,
}

#[derive(Serialize, Deserialize, JsonSchema, garde::Validate)]
struct ByHand {
    #[garde(length(chars, min = 1, max = 2))]
    name: String,
    #[garde(dive)]
    page: Page,
    #[garde(range(max = 3))]
    count: u32,
    #[garde(skip)]
    free: Option<String>,
}

macro_rules! accept {
    ($($name:literal $reply:literal $function:ident($type:ty);)+) => {
        $(#[send($name, reply = $reply)]
        async fn $function(_: Payload<$type>) -> bool {
            true
        })+

        const NAMES: &[&str] = &[$($name),+];
    };
}

accept! {
    "lengths" "lengths.ok" lengths(Lengths);
    "ranges" "ranges.ok" ranges(Ranges);
    "texts" "texts.ok" texts(Texts);
    "strict" "strict.ok" strict(Strict);
    "flat" "flat.ok" flat(Flat);
    "side" "side.ok" side(Side);
    "order" "order.ok" order(Order);
    "tagged" "tagged.ok" tagged(Tagged);
    "adjacent" "adjacent.ok" adjacent(Adjacent);
    "untagged" "untagged.ok" untagged(Untagged);
    "nested" "nested.ok" nested(Nested);
    "symbol" "symbol.ok" symbol(Symbol);
    "quantity" "quantity.ok" quantity(Quantity);
    "generic" "generic.ok" generic(Listed<Leg>);
    "plain" "plain.ok" plain(Vec<Option<Symbol>>);
    "by.hand" "by.hand.ok" by_hand(ByHand);
}

#[payload]
struct Formats {
    #[garde(email)]
    mail: Option<String>,
    #[garde(url)]
    link: Option<String>,
    #[garde(ipv4)]
    host: Option<String>,
    #[garde(ascii, prefix("a"), suffix("z"))]
    word: Option<String>,
    #[garde(custom(even))]
    even: Option<u64>,
}

fn even(value: &Option<u64>, (): &()) -> garde::Result {
    match value {
        Some(odd) if odd % 2 == 1 => Err(garde::Error::new("not even")),
        _ => Ok(()),
    }
}

#[send("formats", reply = "formats.ok")]
async fn formats(_: Payload<Formats>) -> bool {
    true
}

fn service() -> FastWs {
    FastWs::builder().error_policy(ErrorPolicy::Reply).build().expect("a service")
}

/// Random choices out of bytes: the first choice when there are none left, so that shrinking leads to plain values.
struct Choices<'a>(std::slice::Iter<'a, u8>);

impl Choices<'_> {
    fn below(&mut self, count: usize) -> usize {
        self.0.next().map_or(0, |byte| usize::from(*byte) % count)
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == count - 1
    }

    fn of<T: Clone>(&mut self, several: &[T]) -> T {
        several[self.below(several.len())].clone()
    }
}

/// A value near the boundary of what a schema allows.
fn value(schema: &Value, schemas: &Schemas, choices: &mut Choices<'_>, depth: usize) -> Value {
    if choices.one_in(24) || depth > 12 {
        let long = "LEAK".repeat(200);
        return choices.of(&[
            json!(null),
            json!(true),
            json!(-1),
            json!(1.5),
            json!("x"),
            json!([]),
            json!({}),
            json!(long),
        ]);
    }
    if let Some(name) = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
        return value(&schemas.components()[name], schemas, choices, depth + 1);
    }
    for several in ["oneOf", "anyOf", "allOf"] {
        if let Some(branches) = schema[several].as_array() {
            let mut made = value(&choices.of(branches), schemas, choices, depth + 1);
            // Beside `oneOf` there may be fields, where an enum is flattened or tagged.
            if let (Some(_), Value::Object(made)) = (schema["properties"].as_object(), &mut made) {
                made.extend(object(schema, schemas, choices, depth));
            }
            return made;
        }
    }
    if let Some(only) = schema.get("const") {
        return only.clone();
    }
    if let Some(values) = schema["enum"].as_array() {
        return choices.of(values);
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => choices.of(kinds),
        kind => kind.clone(),
    };
    match kind.as_str() {
        Some("null") => Value::Null,
        Some("boolean") => json!(choices.below(2) == 0),
        Some("integer") => {
            let bounds = [&schema["minimum"], &schema["maximum"]].map(Value::as_i64);
            let near: Vec<i64> = bounds
                .iter()
                .flatten()
                .flat_map(|bound| [*bound, bound.saturating_add(1), bound.saturating_sub(1)])
                .collect();
            let inside = bounds[0].unwrap_or(1).max(1).min(bounds[1].unwrap_or(i64::MAX));
            if near.is_empty() || !choices.one_in(5) { json!(inside) } else { json!(choices.of(&near)) }
        }
        Some("number") => {
            let near = [&schema["minimum"], &schema["maximum"]].into_iter().filter_map(Value::as_f64);
            let near: Vec<f64> = near.flat_map(|bound| [bound, bound + 0.25, bound - 0.25]).collect();
            if near.is_empty() || !choices.one_in(3) { json!(1.5) } else { json!(choices.of(&near)) }
        }
        Some("string") => json!(text(schema, choices)),
        Some("array") => {
            let tuple = schema["items"].as_array();
            let length = length_near(schema, "minItems", "maxItems", tuple.map_or(1, Vec::len), choices);
            let item = |index: usize| tuple.map_or(&schema["items"], |tuple| tuple.get(index).unwrap_or(&Value::Null));
            (0..length).map(|index| value(item(index), schemas, choices, depth + 1)).collect()
        }
        _ => Value::Object(object(schema, schemas, choices, depth)),
    }
}

fn object(schema: &Value, schemas: &Schemas, choices: &mut Choices<'_>, depth: usize) -> Map<String, Value> {
    let mut made = Map::new();
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        if !choices.one_in(16) {
            made.insert(name.clone(), value(property, schemas, choices, depth + 1));
        }
    }
    if let Some(more) = schema.get("additionalProperties").filter(|more| more.is_object()) {
        for name in ["a", "b/c", "d~e"].iter().take(length_near(schema, "minProperties", "maxProperties", 1, choices)) {
            made.insert((*name).to_owned(), value(more, schemas, choices, depth + 1));
        }
    } else if choices.one_in(16) {
        made.insert("extra".into(), json!(7));
    }
    made
}

fn length_near(schema: &Value, least: &str, most: &str, usual: usize, choices: &mut Choices<'_>) -> usize {
    let bound = |name: &str| schema[name].as_u64().map(|bound| bound as usize);
    let (min, max) = (bound(least), bound(most));
    let inside = usual.max(min.unwrap_or(0)).min(max.unwrap_or(usize::MAX));
    let near: Vec<usize> =
        [min, max].into_iter().flatten().flat_map(|bound| [bound, bound + 1, bound.saturating_sub(1)]).collect();
    if near.is_empty() || !choices.one_in(4) { inside } else { choices.of(&near) }
}

fn text(schema: &Value, choices: &mut Choices<'_>) -> String {
    if schema.get("pattern").is_some() {
        let texts = ["AAPL", "ab@c", "ÄÖ", "", "A", "AAAAAA", "aapl", "A\n", "éàü", "éàüö", "x1", "日本", "@"];
        let validator = jsonschema::draft7::new(schema).expect("a schema");
        let (fitting, other): (Vec<_>, Vec<_>) = texts.into_iter().partition(|text| validator.is_valid(&json!(text)));
        let texts = if choices.one_in(5) { other } else { fitting };
        return choices.of(&texts).to_owned();
    }
    let usual = choices.of(&[1, 1, 1, 0, 2]);
    let length = length_near(schema, "minLength", "maxLength", usual, choices);
    let letter = choices.of(&["a", "ä", "日", "😀", "\u{0}", "e"]);
    letter.repeat(length)
}

async fn answer(ws: &FastWs, name: &str, payload: &Value) -> Result<Value, Value> {
    TestClient::connect(ws).await.request(name, payload).await
}

fn fail(sentence: String) -> TestCaseError {
    TestCaseError::fail(sentence)
}

/// Every path leads somewhere in the payload, or names a field that its object lacks; no message is long.
fn check_details(payload: &Value, error: &Value) -> Result<Vec<String>, TestCaseError> {
    let details = error["details"].as_array().ok_or_else(|| fail(format!("no details in {error}")))?;
    let mut paths = Vec::new();
    for detail in details {
        let (path, message) =
            (detail["path"].as_str().unwrap_or("none"), detail["message"].as_str().unwrap_or_default());
        let is_missing = || {
            let (parent, _) = path.rsplit_once('/')?;
            payload.pointer(parent)?.as_object()
        };
        if payload.pointer(path).is_none() && is_missing().is_none() {
            return Err(fail(format!("`{path}` is not in {payload}: {error}")));
        }
        if message.is_empty() || message.len() > 300 || message.contains("LEAKLEAKLEAK") {
            return Err(fail(format!("a message says too much or nothing: {message}")));
        }
        paths.push(path.to_owned());
    }
    Ok(paths)
}

#[test]
fn the_schema_allows_what_the_server_accepts() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime");
    let ws = service();
    let mut runner = TestRunner::new(Config { cases: 600, failure_persistence: None, ..Config::default() });
    for name in NAMES {
        let operation = ws.operations().iter().find(|operation| operation.name == *name).expect("an operation");
        let schema = operation.payload.as_ref().expect("a payload");
        let validator = ws.schemas().validator(schema).expect("a schema");
        let (mut accepted, mut refused) = (0, 0);
        let outcome = runner.run(&proptest::collection::vec(proptest::num::u8::ANY, 0..120), |bytes| {
            let payload = value(schema, ws.schemas(), &mut Choices(bytes.iter()), 0);
            let is_allowed = validator.is_valid(&payload);
            match (runtime.block_on(answer(&ws, name, &payload)), is_allowed) {
                (Ok(_), true) => Ok(()),
                (Ok(_), false) => Err(fail(format!("{name}: accepted, and the schema forbids it: {payload}"))),
                (Err(error), true) => Err(fail(format!("{name}: allowed, and refused: {payload}: {error}"))),
                (Err(error), false) => {
                    let paths = check_details(&payload, &error)?;
                    for wrong in validator.iter_errors(&payload) {
                        let at = wrong.instance_path().to_string();
                        if paths.len() < 32 && !paths.iter().any(|path| path.starts_with(&at)) {
                            return Err(fail(format!("{name}: `{at}` is wrong and not listed: {payload}: {error}")));
                        }
                    }
                    Ok(())
                }
            }
        });
        match outcome {
            Ok(()) => {}
            Err(TestError::Fail(why, _)) => panic!("{why}\nschema: {schema:#}\n{:#}", json!(ws.schemas().components())),
            Err(other) => panic!("{other}"),
        }
        // The generator is worth something only if it makes both.
        for seed in 0_u8..=255 {
            let bytes: Vec<u8> = (0..u32::from(seed) / 3)
                .map(|index| (index * 37 + u32::from(seed) * 101 + index * index) as u8)
                .collect();
            match validator.is_valid(&value(schema, ws.schemas(), &mut Choices(bytes.iter()), 0)) {
                true => accepted += 1,
                false => refused += 1,
            }
        }
        assert!(accepted > 3 && refused > 3, "{name}: {accepted} valid and {refused} invalid payloads");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrong_payload_is_answered_with_every_field_that_is_wrong() {
    let ws = service();
    for (name, payload, expected) in [
        (
            "lengths",
            json!({"text": "ä", "note": "abcd", "list": [], "words": [], "map": {}}),
            vec!["/text", "/note", "/list", "/words"],
        ),
        (
            "lengths",
            json!({"text": "äöüß", "list": [1], "words": ["ab", "", "äöü"], "map": {}}),
            vec!["/words/1", "/words/2"],
        ),
        (
            "strict",
            json!({"firstName": "A", "NAME": "Long", "isDefault": 4, "type": true}),
            vec!["/NAME", "/isDefault"],
        ),
        ("strict", json!({"first_name": "A", "NAME": 7}), vec!["/first_name", "/firstName", "/NAME", "/type"]),
        (
            "order",
            json!({"limit": {"limitPrice": 0, "leg": {"symbol": "", "side": "buy_now"}}}),
            vec!["/limit/limitPrice", "/limit/leg/symbol"],
        ),
        ("order", json!({"pair": [1, {"symbol": "", "side": "HOLD"}]}), vec!["/pair/1/symbol"]),
        ("tagged", json!({"kind": "named", "fullName": "Long"}), vec!["/fullName"]),
        ("tagged", json!({"kind": "wrapped", "size": 0}), vec!["/size"]),
        ("adjacent", json!({"kind": "Named", "data": {"name": "Long"}}), vec!["/data/name"]),
        ("adjacent", json!({"kind": "Number", "data": 6}), vec!["/data"]),
        ("untagged", json!(6), vec![""]),
        ("flat", json!({"size": 0, "id": 1}), vec!["/size"]),
        ("symbol", json!("Long"), vec![""]),
        ("quantity", json!(0), vec![""]),
        ("by.hand", json!({"name": "äöü", "page": {"size": 0}, "count": 4}), vec!["/name", "/page/size", "/count"]),
        (
            "nested",
            json!({
                "leg": {"symbol": "", "side": "HOLD"}, "legs": [{"symbol": "a", "side": "HOLD"}, {"symbol": "", "side": "HOLD"}],
                "by_name": {"b/c": {"symbol": "", "side": "HOLD"}}, "boxed": {"size": 99}, "deep": [null, {"symbol": "", "side": "HOLD"}],
                "pair": [{"symbol": "", "side": "HOLD"}, ""]
            }),
            vec![
                "/leg/symbol",
                "/legs/1/symbol",
                "/by_name/b~1c/symbol",
                "/boxed/size",
                "/deep/1/symbol",
                "/pair/0/symbol",
                "/pair/1",
            ],
        ),
        (
            "formats",
            json!({"mail": "a@", "link": "x", "host": "::1", "word": "é", "even": 7}),
            vec!["/mail", "/link", "/host", "/word", "/word", "/word", "/even"],
        ),
    ] {
        let error = answer(&ws, name, &payload).await.expect_err("it is wrong");
        let paths = check_details(&payload, &error).expect("good details");
        let mut sorted: Vec<_> = paths.iter().map(String::as_str).collect();
        let mut expected = expected;
        sorted.sort_unstable();
        expected.sort_unstable();
        assert_eq!(sorted, expected, "{name}: {error}");
    }
    let fine =
        json!({"mail": "a@example.com", "link": "https://example.com", "host": "10.0.0.1", "word": "a-z", "even": 8});
    assert_eq!(answer(&ws, "formats", &fine).await, Ok(json!(true)));
}

#[payload]
struct Broken {
    #[garde(pattern("^[A-Z{1,5}$"))]
    symbol: String,
}

mod broken {
    use super::*;

    #[send("broken", service = "broken", reply = "broken.ok")]
    pub(super) async fn symbol(Payload(broken): Payload<Broken>) -> String {
        broken.symbol
    }
}

#[test]
fn a_pattern_that_is_no_regular_expression_keeps_the_service_from_starting() {
    let error =
        FastWs::builder().include(OperationRouter::new().add::<broken::symbol>()).build().expect_err("a bad pattern");
    assert_eq!(error.sentences(), ["schema `Broken`: the pattern `^[A-Z{1,5}$` is no regular expression"]);
}
