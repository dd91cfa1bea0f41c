//! What the attributes make of a function: names, documentation, schemas, and the checks at start-up.

use fastws::{
    Direction, FastWs, Operation, OperationRouter, Params, Payload, Result, State, TopicPart, Updates, payload, recv,
    send, topic,
};
use serde_json::{Value, json};

/// A greeting.
#[payload]
struct Greeting {
    /// Who is greeted.
    #[garde(length(min = 1, max = 8))]
    name: String,
}

/// Greets `somebody` on
/// two lines.
///
/// At length, with `code`.
///
/// - and a list
#[send("greet", reply = "greeted", tags = ["session", "demo"], example = {"name": "Ada"}, reply_example = "Hello, Ada!")]
async fn greet(Payload(greeting): Payload<Greeting>) -> String {
    format!("Hello, {}!", greeting.name)
}

/// Shown.
/// \u{c}
#[doc = "Shown as well.\n\u{c}\nFor those who read the source."]
#[send("cut")]
async fn cut() {}

/// Not shown.
#[send("told", summary = "Told by `hand`.", description = "At length.")]
#[deprecated]
async fn told() {}

#[send("r.type")]
async fn r#type() {}

#[send("explicit.unit")]
async fn explicit_unit() -> () {}

#[send("fallible.unit")]
async fn fallible_unit() -> Result<()> {
    Ok(())
}

/// An alert, as clients see it.
#[recv("alert", tags = ["alerts"], example = "fire")]
fn alert(level: u8) -> String {
    if level > 3 { "fire".into() } else { "smoke".into() }
}

/// Greets again and again.
#[topic("greetings:{name}", tags = ["demo"], example = {"name": "Ada"}, update_example = 7)]
async fn greetings(Params(_): Params<Greeting>, updates: Updates<u64>) {
    updates.send(7);
}

#[payload]
#[serde(rename_all = "kebab-case")]
enum Side {
    BuyNow,
    /// The other way.
    SellNow,
    #[serde(rename = "HOLD")]
    Hold,
    /// Whatever there is.
    AnyHTTPVenue,
}

#[send("side", reply = "side.same")]
async fn side(Payload(side): Payload<Side>) -> Side {
    side
}

fn service() -> FastWs {
    FastWs::builder().build().expect("a service")
}

fn operation(name: &str) -> Operation {
    service().operations().iter().find(|operation| operation.name == name).expect("an operation").clone()
}

#[tokio::test]
async fn a_function_stays_callable() {
    assert_eq!(greet(Payload(Greeting { name: "Ada".into() })).await, "Hello, Ada!");
    assert_eq!(alert(4), "fire");
    fallible_unit().await.expect("nothing");
}

#[test]
fn the_doc_comment_is_summary_and_description() {
    let greet = operation("greet");
    assert_eq!(greet.title, "Greet");
    assert_eq!(greet.summary, "Greets somebody on two lines.");
    assert_eq!(greet.description.as_deref(), Some("At length, with `code`.\n\n- and a list"));
    assert_eq!(greet.tags, ["session", "demo"]);
    assert_eq!((greet.direction, greet.deprecated), (Direction::Send, false));
    assert_eq!(greet.example, Some(json!({"name": "Ada"})));
    let reply = greet.reply.expect("a reply");
    assert_eq!((reply.name.as_str(), reply.example), ("greeted", Some(json!("Hello, Ada!"))));
    assert_eq!(reply.payload, json!({"type": "string"}));
    assert!(greet.place.starts_with("tests/macros.rs:"), "{}", greet.place);

    let told = operation("told");
    assert_eq!((told.summary.as_str(), told.description.as_deref()), ("Told by hand.", Some("At length.")));
    assert!(told.deprecated);
    let cut = operation("cut");
    assert!(cut.summary.starts_with("Shown.") && !cut.summary.contains("source"), "{}", cut.summary);
    assert_eq!(cut.description, None);
    assert_eq!(operation("r.type").summary, "Type");
}

#[test]
fn an_operation_that_returns_nothing_has_no_reply() {
    for name in ["cut", "explicit.unit", "fallible.unit"] {
        assert!(operation(name).reply.is_none(), "{name}");
    }
    assert!(operation("cut").payload.is_none());
}

#[test]
fn a_view_is_an_operation_of_the_server() {
    let alert = operation("alert");
    assert_eq!(alert.direction, Direction::Recv);
    assert_eq!(alert.payload, Some(json!({"type": "string"})));
    assert_eq!((alert.example, alert.tags), (Some(json!("fire")), vec!["alerts".to_owned()]));
}

#[test]
fn a_topic_is_three_operations() {
    let subscribe = operation("greetings.subscribe");
    assert_eq!(subscribe.topic.expect("a topic").part, TopicPart::Subscribe);
    assert_eq!(subscribe.payload, Some(json!({"$ref": "#/components/schemas/Greeting"})));
    assert_eq!(subscribe.reply.expect("a reply").name, "greetings.subscribe.response");
    assert_eq!(operation("greetings.unsubscribe").reply.expect("a reply").name, "greetings.unsubscribe.response");
    let update = operation("greetings.update");
    assert_eq!((update.direction, update.example), (Direction::Recv, Some(json!(7))));
}

#[test]
fn a_schema_has_its_types_name_documentation_and_order() {
    let ws = service();
    let components = ws.schemas().components();
    assert_eq!(components["Greeting"]["title"], "Greeting");
    assert_eq!(components["Greeting"]["description"], "A greeting.");
    assert_eq!(
        components["Greeting"]["properties"]["name"],
        json!({"description": "Who is greeted.", "type": "string", "minLength": 1, "maxLength": 8})
    );
    let side = &components["Side"];
    assert_eq!(side["enum"], json!(["buy-now", "sell-now", "HOLD", "any-h-t-t-p-venue"]));
    let expected = json!({"sell-now": "The other way.", "any-h-t-t-p-venue": "Whatever there is."});
    assert_eq!(side["x-enum-descriptions"], expected);
    assert!(!Value::Object(components.clone()).to_string().contains("x-variants"));
}

mod wrong {
    use super::*;

    #[send("sent", service = "wrong", reply = "sent.back", example = {"name": "far too long"}, reply_example = 7)]
    pub(super) async fn sent(Payload(greeting): Payload<Greeting>) -> String {
        greeting.name
    }

    #[topic("told:{name}", service = "wrong", example = {}, update_example = "seven")]
    pub(super) async fn told(Params(_): Params<Greeting>, updates: Updates<u64>) {
        updates.send(7);
    }

    #[recv("seen", service = "wrong", example = 7)]
    pub(super) fn seen(text: String) -> String {
        text
    }
}

#[test]
fn a_wrong_example_keeps_the_service_from_starting() {
    let router = OperationRouter::new().add::<wrong::sent>().add::<wrong::told>().add::<wrong::seen>();
    let error = FastWs::builder().include(router).build().expect_err("wrong examples").to_string();
    for (name, path) in
        [("sent", "/name"), ("sent.back", ""), ("told.subscribe", "/name"), ("told.update", ""), ("seen", "")]
    {
        let sentence = format!("the example of `{name}` is not valid at `{path}`: ");
        let line =
            error.lines().find(|line| line.contains(&sentence)).unwrap_or_else(|| panic!("{sentence} in {error}"));
        assert!(line.contains("(tests/macros.rs:"), "{line}");
    }
}

mod spot {
    #[fastws::payload]
    pub(super) struct Level {
        price: f64,
    }
}

mod depth {
    #[fastws::payload]
    pub(super) struct Level {
        orders: u64,
    }
}

mod levels {
    use super::*;

    #[send("spot", service = "levels", reply = "spot.level")]
    pub(super) async fn spot(Payload(level): Payload<super::spot::Level>) -> super::spot::Level {
        level
    }

    #[send("depth", service = "levels", reply = "depth.level")]
    pub(super) async fn depth(Payload(level): Payload<super::depth::Level>) -> super::depth::Level {
        level
    }

    #[send("state", service = "levels")]
    pub(super) async fn state(State(_): State<std::sync::Arc<u64>>) {}
}

#[test]
fn two_types_of_one_name_keep_the_service_from_starting() {
    let router = OperationRouter::new().add::<levels::spot>().add::<levels::depth>();
    let error = FastWs::builder().include(router).build().expect_err("two types of one name");
    assert_eq!(
        error.sentences(),
        ["two types are called `Level` in documents: macros::depth::Level and macros::spot::Level; \
          rename one with `#[schemars(rename = \"…\")]`"]
    );
}

#[test]
fn a_missing_state_is_named_with_its_operation() {
    let error = FastWs::builder().include(OperationRouter::new().add::<levels::state>()).build().expect_err("no state");
    let expected = "operation `state` needs `State<alloc::sync::Arc<u64>>`: give one to the builder with `.state(…)`";
    assert_eq!(error.sentences(), [expected]);
}
