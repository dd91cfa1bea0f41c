//! Services put together of routers: prefixes, tags, names, and everything that start-up refuses.

use fastws::testing::TestClient;
use fastws::{BuildError, Direction, FastWs, OperationRouter, Params, Payload, Updates, payload, recv, send, topic};
use serde_json::{Value, json};

#[payload]
struct Text {
    text: String,
}

#[send("p", reply = "p.r", tags = ["own"])]
async fn p(Payload(text): Payload<Text>) -> Text {
    text
}

#[send("silent")]
async fn silent() {}

#[send("silent_too")]
async fn silent_too() {}

#[recv("news", tags = ["own"])]
fn news(text: String) -> Text {
    Text { text }
}

#[payload]
struct Room {
    room: String,
    #[serde(default)]
    nick: String,
}

#[topic("rooms:{room}")]
async fn rooms(Params(room): Params<Room>, updates: Updates<String>) {
    updates.snapshot(format!("{}, {:?}", room.room, room.nick));
    std::future::pending().await
}

mod market {
    use super::*;

    #[send("quote", reply = "quote.response", service = "market")]
    pub(super) async fn quote() -> u8 {
        1
    }
}

mod trading {
    use super::*;

    #[send("quote", reply = "quote.response", service = "trading")]
    pub(super) async fn quote() -> u8 {
        2
    }

    #[send("order", reply = "order.response", service = "trading")]
    pub(super) async fn order() -> u8 {
        3
    }
}

/// What start-up refuses.
mod refused {
    use super::*;

    #[send("p", service = "refused")]
    pub(super) async fn duplicate() {}

    #[send("news", reply = "p.r", service = "refused")]
    pub(super) async fn duplicate_reply() -> u8 {
        0
    }

    #[send("follow", service = "refused", subscribes = "rooms", updates = ["newz"])]
    pub(super) async fn follow() {}

    #[topic("rooms:{lobby}", service = "refused")]
    pub(super) async fn overlapping(Params(_): Params<Lobby>, _: Updates<String>) {}

    #[payload]
    pub(super) struct Lobby {
        pub(super) lobby: String,
    }

    #[topic("bars:{symbol}", service = "refused")]
    pub(super) async fn not_in_the_template(Params(_): Params<Bar>, _: Updates<String>) {}

    #[payload]
    pub(super) struct Bar {
        pub(super) symbol: String,
        pub(super) resolution: String,
    }

    #[send("error", service = "refused")]
    pub(super) async fn reserved() {}

    #[send("say", reply = "draining", service = "refused")]
    pub(super) async fn reserved_reply() -> u8 {
        0
    }
}

/// Replaces the built-in operation.
#[send("ping", reply = "pong.own", service = "own_ping")]
async fn own_ping() -> &'static str {
    "mine"
}

fn build(router: OperationRouter) -> Result<FastWs, BuildError> {
    FastWs::builder().include(router).build()
}

fn names(ws: &FastWs) -> Vec<&str> {
    ws.operations().iter().map(|operation| operation.name.as_str()).collect()
}

fn complaint(router: OperationRouter) -> String {
    build(router).expect_err("start-up refuses it").to_string()
}

#[tokio::test(start_paused = true)]
async fn prefixes_are_put_together_as_they_are_written() {
    let inner = OperationRouter::new().prefix("in.").add::<p>();
    let middle = OperationRouter::new().prefix("mid.").include(inner);
    let outer = OperationRouter::new().prefix("out.").include(middle);
    let ws = build(OperationRouter::new().prefix("v1.").include(outer)).expect("a service");
    assert_eq!(names(&ws), ["ping", "v1.out.mid.in.p"]);
    let mut client = TestClient::connect(&ws).await;
    client.send("v1.out.mid.in.p", json!({"text":"hello"})).await;
    assert_eq!(client.recv().await, json!({"type":"v1.out.mid.in.p.r","payload":{"text":"hello"}}));
}

#[tokio::test(start_paused = true)]
async fn an_operation_without_a_reply_has_none_under_a_prefix_either() {
    let router = OperationRouter::new().prefix("r.").add::<silent>().add::<silent_too>();
    let ws = build(OperationRouter::new().include(router)).expect("two silent operations do not collide");
    assert!(ws.operations().iter().filter(|operation| operation.name != "ping").all(|silent| silent.reply.is_none()));
    let mut client = TestClient::connect(&ws).await;
    client.send("r.silent", json!(null)).await;
    client.send("r.silent_too", json!(null)).await;
    client.request("ping", json!({})).await.expect("a pong");
    assert_eq!(client.recv_within(std::time::Duration::from_secs(1)).await, None);
}

#[test]
fn outer_tags_come_before_inner_tags_before_own_tags() {
    let inner = OperationRouter::new().tags(["inner"]).add::<p>().add::<news>().add::<rooms>();
    let ws = build(OperationRouter::new().tags(["outer", "more"]).include(inner)).expect("a service");
    let tags = |name: &str| {
        ws.operations().iter().find(|operation| operation.name == name).expect("it is served").tags.clone()
    };
    assert_eq!(tags("p"), ["outer", "more", "inner", "own"]);
    assert_eq!(tags("news"), ["outer", "more", "inner", "own"]);
    assert_eq!(tags("rooms.subscribe"), ["outer", "more", "inner"]);
}

#[tokio::test(start_paused = true)]
async fn a_topics_operations_have_the_prefix_and_its_text_has_not() {
    let ws = build(OperationRouter::new().prefix("chat.").add::<rooms>()).expect("a service");
    assert_eq!(names(&ws), ["chat.rooms.subscribe", "chat.rooms.unsubscribe", "chat.rooms.update", "ping"]);
    let mut client = TestClient::connect(&ws).await;
    client.send("chat.rooms.subscribe", json!({"room":"a:b","nick":"me"})).await;
    let reply = client.recv().await;
    assert_eq!(
        (&reply["type"], &reply["payload"]["topic"]),
        (&json!("chat.rooms.subscribe.response"), &json!("rooms:a%3Ab"))
    );
    assert_eq!((&reply["payload"]["room"], reply["payload"].get("nick")), (&json!("a:b"), None));
    let update = client.recv().await;
    assert_eq!((&update["type"], &update["topic"]), (&json!("chat.rooms.update"), &json!("rooms:a%3Ab")));
    assert_eq!(update["payload"], r#"a:b, """#, "the source knows no nick");
    client.request("chat.rooms.unsubscribe", json!({"room":"a:b"})).await.expect("an unsubscription");
    let topic = ws.hub().topic::<rooms>(&Room { room: "x".into(), nick: "me".into() }).expect("it is served");
    assert_eq!(topic.as_str(), "rooms:x");
}

#[tokio::test(start_paused = true)]
async fn one_process_has_several_services() {
    let build = |name: &str| FastWs::builder().service(name).build().expect("a service");
    let (market, trading) = (build("market"), build("trading"));
    assert_eq!(names(&market), ["ping", "quote"]);
    assert_eq!(names(&trading), ["order", "ping", "quote"]);
    let mut on_market = TestClient::connect(&market).await;
    let mut on_trading = TestClient::connect(&trading).await;
    assert_eq!(on_market.request("quote", json!(null)).await, Ok(json!(1)));
    assert_eq!(on_trading.request("quote", json!(null)).await, Ok(json!(2)));
    let error: Value = on_market.request("order", json!(null)).await.expect_err("not here");
    assert_eq!(error["code"], "unknown_operation");
    assert_eq!((market.hub().connection_count(), trading.hub().connection_count()), (1, 1));
}

#[test]
fn endpoints_serve_what_their_routers_hold() {
    let one = build(OperationRouter::new().add::<p>().add::<market::quote>()).expect("a service");
    let two = FastWs::builder()
        .include(OperationRouter::new().prefix("a.").add::<p>())
        .include(OperationRouter::new().prefix("b.").add::<trading::quote>().add::<trading::order>())
        .build()
        .expect("a service of two routers");
    assert_eq!(names(&one), ["p", "ping", "quote"]);
    assert_eq!(names(&two), ["a.p", "b.order", "b.quote", "ping"]);
}

#[test]
fn a_name_that_is_declared_twice_is_refused_with_both_places() {
    let text = complaint(OperationRouter::new().add::<p>().add::<refused::duplicate>());
    assert!(text.contains("the name `p` is declared more than once: tests/services.rs:"), "{text}");
    assert_eq!(text.matches("tests/services.rs:").count(), 2, "{text}");
    let text = complaint(OperationRouter::new().add::<p>().add::<news>().add::<refused::duplicate_reply>());
    assert!(text.contains("the name `news` is declared more than once"), "{text}");
    assert!(text.contains("the name `p.r` is declared more than once"), "{text}");
    let text = complaint(OperationRouter::new().add::<market::quote>().add::<trading::quote>());
    assert!(text.contains("the name `quote` is declared more than once"), "{text}");
}

#[test]
fn topics_that_could_share_a_name_are_refused() {
    let apart = OperationRouter::new().prefix("other.").add::<refused::overlapping>();
    let text = complaint(OperationRouter::new().add::<rooms>().include(apart));
    assert!(text.contains("`rooms:{lobby}`") && text.contains("`rooms:{room}`"), "{text}");
    assert!(text.contains("could share one name"), "{text}");
}

#[test]
fn updates_that_no_operation_brings_are_refused() {
    let text = complaint(OperationRouter::new().add::<refused::follow>().add::<news>());
    assert!(text.contains("`newz` is to bring updates, and no operation is called so"), "{text}");
    assert!(text.contains("operation `follow` subscribes, so its reply names what to"), "{text}");
}

#[test]
fn a_required_field_has_to_be_in_the_template() {
    let text = complaint(OperationRouter::new().add::<refused::not_in_the_template>());
    assert!(text.contains("field `resolution` is not in the template, so it needs a default"), "{text}");
}

#[test]
fn the_frameworks_own_names_are_refused() {
    let router = OperationRouter::new().add::<refused::reserved>().add::<refused::reserved_reply>();
    let error = build(router).expect_err("two reserved names");
    let text = error.to_string();
    assert!(text.contains("the name `error` is the framework's own"), "{text}");
    assert!(text.contains("the name `draining` is the framework's own"), "{text}");
    assert_eq!(error.sentences().len(), 2, "{text}");
    build(OperationRouter::new().prefix("my.").add::<refused::reserved>()).expect("under a prefix it is another name");
}

#[tokio::test(start_paused = true)]
async fn an_own_ping_replaces_the_built_in_one() {
    let ws = FastWs::builder().service("own_ping").build().expect("a service");
    assert_eq!(names(&ws), ["ping"]);
    let mut client = TestClient::connect(&ws).await;
    client.send("ping", json!(null)).await;
    assert_eq!(client.recv().await, json!({"type":"pong.own","payload":"mine"}));
}

#[tokio::test(start_paused = true)]
async fn a_client_cannot_send_what_the_server_sends() {
    let ws = build(OperationRouter::new().add::<news>().add::<rooms>()).expect("a service");
    assert!(ws.operations().iter().any(|operation| operation.name == "news" && operation.direction == Direction::Recv));
    let mut client = TestClient::connect(&ws).await;
    for name in ["news", "rooms.update", "rooms.subscribe.response"] {
        let error = client.request(name, json!({"text":"fake"})).await.expect_err("not a request");
        assert_eq!(error["code"], "unknown_operation", "{name}");
    }
}
