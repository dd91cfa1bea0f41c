//! Requests and replies, in the protocol's words: sections 1 and 2 of the contract.

use std::time::Duration;

use fastws::testing::TestClient;
use fastws::{Client, Error, ErrorPolicy, FastWs, Limits, OperationRouter, Payload, Result, State, payload, send};
use serde_json::json;

#[payload]
struct Ping {
    timestamp: i64,
}

#[payload]
struct Pong {
    timestamp: i64,
    server_time: i64,
}

/// Answers with `server_time`.
#[send("simple.ping", reply = "simple.pong", tags = ["session"])]
async fn ping(Payload(ping): Payload<Ping>) -> Pong {
    Pong { timestamp: ping.timestamp, server_time: 7 }
}

#[payload]
struct Strict {
    value: i64,
    #[garde(length(min = 1, max = 4))]
    name: String,
    inner: Option<Inner>,
}

#[payload]
#[serde(rename_all = "camelCase")]
struct Inner {
    #[garde(range(max = 10))]
    max_size: u8,
    #[garde(inner(length(max = 2)))]
    tags: Vec<String>,
}

#[send("strict", reply = "strict.response")]
async fn strict(Payload(strict): Payload<Strict>) -> Strict {
    strict
}

#[send("fails", reply = "fails.response")]
async fn fails(Payload(how): Payload<How>) -> Result<Strict> {
    match how {
        How::Public => Err(Error::new("no_luck", "no luck today").retry_after(Duration::from_millis(1500))),
        How::Internal => Err(Error::internal("the disk is on fire")),
        How::Panic => panic!("oh no"),
        How::Never => std::future::pending().await,
    }
}

#[payload]
#[serde(rename_all = "snake_case")]
enum How {
    Public,
    /// Something went wrong inside.
    Internal,
    Panic,
    Never,
}

#[send("count")]
async fn count(client: Client, State(counter): State<Counter>) {
    assert!(!client.id().is_nil());
    counter.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
}

#[send("total", reply = "total.response")]
async fn total(State(counter): State<Counter>) -> usize {
    counter.0.load(std::sync::atomic::Ordering::SeqCst)
}

#[derive(Clone, Default)]
struct Counter(std::sync::Arc<std::sync::atomic::AtomicUsize>);

fn service(policy: ErrorPolicy) -> FastWs {
    FastWs::builder().state(Counter::default()).error_policy(policy).build().expect("a service")
}

#[tokio::test(start_paused = true)]
async fn a_request_is_answered_with_its_id() {
    let mut client = TestClient::connect(&service(ErrorPolicy::Close)).await;
    client.send_text(r#"{"type":"simple.ping","id":"7","payload":{"timestamp":1}}"#).await;
    assert_eq!(client.recv().await, json!({"type":"simple.pong","id":"7","payload":{"timestamp":1,"server_time":7}}));
    client.send_text(r#"{"payload":{"timestamp":2},"id":8,"type":"simple.ping"}"#).await;
    assert_eq!(client.recv().await["id"], 8);
    client.send("simple.ping", json!({"timestamp":3})).await;
    assert_eq!(client.recv().await, json!({"type":"simple.pong","payload":{"timestamp":3,"server_time":7}}));
}

#[tokio::test(start_paused = true)]
async fn all_wrong_fields_are_reported_at_once() {
    let mut client = TestClient::connect(&service(ErrorPolicy::Reply)).await;
    let wrong = json!({"value":"not_an_int","name":123});
    let error = client.request("strict", wrong).await.expect_err("two wrong fields");
    assert_eq!(error["code"], "invalid_payload");
    assert_eq!(error["operation"], "strict");
    let paths: Vec<_> =
        error["details"].as_array().expect("details").iter().map(|detail| detail["path"].clone()).collect();
    assert_eq!(paths, ["/value", "/name"]);

    let wrong = json!({"value":1,"name":"längé","inner":{"maxSize":11,"tags":["ok","längre"]}});
    let error = client.request("strict", wrong).await.expect_err("three broken constraints");
    let paths: Vec<_> =
        error["details"].as_array().expect("details").iter().map(|detail| detail["path"].clone()).collect();
    assert_eq!(paths, ["/name", "/inner/maxSize", "/inner/tags/1"]);

    let fine = json!({"value":1,"name":"läng","inner":null});
    assert_eq!(client.request("strict", fine.clone()).await, Ok(fine));
}

#[tokio::test(start_paused = true)]
async fn handlers_fail_without_closing() {
    let mut client = TestClient::connect(&service(ErrorPolicy::Close)).await;
    let mut fail = async |how: &str| {
        client.send("fails", how).await;
        client.recv().await["payload"].clone()
    };
    let error = fail("public").await;
    assert_eq!((error["code"].as_str(), error["retry_after_ms"].as_u64()), (Some("no_luck"), Some(1500)));
    let error = fail("internal").await;
    assert_eq!(error["code"], "internal_error");
    assert!(!error.to_string().contains("fire"));
    assert_eq!(fail("panic").await["code"], "internal_error");
    assert_eq!(fail("never").await["code"], "deadline_exceeded");
}

#[tokio::test(start_paused = true)]
async fn the_closing_policy_closes_for_three_mistakes_without_an_id() {
    for (frame, code, reason) in [
        ("{", "malformed_message", "Could not decode message"),
        (r#"{"type":"strikt","payload":{}}"#, "unknown_operation", "No matching type"),
        (r#"{"type":"strict","payload":{}}"#, "invalid_payload", "Could not validate payload"),
        (r#"{"type":"strict"}"#, "invalid_payload", "Could not validate payload"),
    ] {
        let mut client = TestClient::connect(&service(ErrorPolicy::Close)).await;
        client.send_text(frame).await;
        assert_eq!(client.recv().await["payload"]["code"], code);
        assert_eq!(client.closed().await, (1003, reason.to_owned()));
    }
    let mut client = TestClient::connect(&service(ErrorPolicy::Close)).await;
    let error = client.request("strikt", json!({})).await.expect_err("an unknown operation");
    assert!(error["message"].as_str().expect("a message").contains("`strict`"), "{error}");
    client.send_binary([1, 2, 3]).await;
    assert_eq!(client.closed().await.0, 1003);
}

#[tokio::test(start_paused = true)]
async fn ten_mistakes_in_ten_seconds_close_the_connection() {
    let mut client = TestClient::connect(&service(ErrorPolicy::Reply)).await;
    for _ in 0..9 {
        client.request("nothing", json!({})).await.expect_err("an unknown operation");
    }
    tokio::time::sleep(Duration::from_secs(11)).await;
    for _ in 0..10 {
        client.request("nothing", json!({})).await.expect_err("an unknown operation");
    }
    assert_eq!(client.closed().await, (4009, "Too many errors".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn an_operation_without_a_reply_is_silent_and_in_order() {
    let mut client = TestClient::connect(&service(ErrorPolicy::Close)).await;
    for _ in 0..3 {
        client.send("count", json!(null)).await;
    }
    assert_eq!(client.request("total", json!(null)).await, Ok(json!(3)));
}

#[tokio::test(start_paused = true)]
async fn the_built_in_ping_echoes_and_adds_the_time() {
    let mut client = TestClient::connect(&service(ErrorPolicy::Close)).await;
    let pong = client.request("ping", json!({"n":1})).await.expect("a pong");
    assert_eq!(pong["n"], 1);
    assert!(pong["server_time"].as_u64().expect("ms") > 1_700_000_000_000);
    client.send_text(r#"{"type":"ping"}"#).await;
    assert_eq!(client.recv().await["type"], "pong");
}

#[tokio::test(start_paused = true)]
async fn ids_in_flight_are_unique_and_bounded() {
    let limits = Limits { in_flight: 2, ..Limits::default() };
    let ws = FastWs::builder().state(Counter::default()).limits(limits).build().expect("a service");
    let mut client = TestClient::connect(&ws).await;
    for id in ["a", "a", "b", "c"] {
        client.send_text(json!({"type":"fails","id":id,"payload":"never"}).to_string()).await;
    }
    let code = |frame: serde_json::Value| (frame["id"].clone(), frame["payload"]["code"].clone());
    assert_eq!(code(client.recv().await), (json!("a"), json!("duplicate_id")));
    assert_eq!(code(client.recv().await), (json!("c"), json!("too_many_in_flight")));
    assert_eq!(code(client.recv().await), (json!("a"), json!("deadline_exceeded")));
    assert_eq!(code(client.recv().await), (json!("b"), json!("deadline_exceeded")));
}

#[test]
fn start_up_refuses_everything_that_is_wrong_at_once() {
    let router = OperationRouter::new().add::<count>().add::<count>().add::<strict>();
    let router = OperationRouter::new().prefix("wrong name.").include(router);
    let error = FastWs::builder().include(router).build().expect_err("three mistakes");
    let text = error.to_string();
    assert!(text.contains("operation `wrong name.count` needs `State<operations::Counter>`"), "{text}");
    assert!(text.contains("operation `wrong name.count` is included twice (tests/operations.rs:"), "{text}");
    assert!(text.contains("`wrong name.strict` is no operation name"), "{text}");
    let error = FastWs::builder().service("none").build().expect_err("no operations");
    assert_eq!(error.sentences(), ["there are no operations of the service `none`"]);
}

#[tokio::test(start_paused = true)]
async fn a_list_is_no_payload_where_the_document_says_object() {
    let mut client = TestClient::connect(&service(ErrorPolicy::Reply)).await;
    let error = client.request("simple.ping", json!([1])).await.expect_err("a list of the fields");
    assert_eq!((&error["code"], &error["details"][0]["path"]), (&json!("invalid_payload"), &json!("")));
    let nested = json!({"value":1,"name":"a","inner":[3, []]});
    let error = client.request("strict", nested).await.expect_err("a list of the inner fields");
    assert_eq!(error["details"][0]["path"], "/inner");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_choice_is_told_the_right_ones() {
    let mut client = TestClient::connect(&service(ErrorPolicy::Reply)).await;
    let error = client.request("fails", json!("sometimes")).await.expect_err("no such choice");
    let message = error["details"][0]["message"].as_str().expect("a message");
    assert_eq!(message, r#"want one of "public", "internal", "panic", "never""#);
    let optional = json!({"value":1,"name":"a","inner":{"maxSize":1,"tags":5}});
    let error = client.request("strict", optional).await.expect_err("a wrong optional field");
    let details = error["details"].as_array().expect("details");
    assert_eq!((details.len(), &details[0]["path"]), (1, &json!("/inner/tags")));
}

#[tokio::test(start_paused = true)]
async fn a_message_that_nests_too_deep_keeps_its_id_and_its_connection() {
    let mut client = TestClient::connect(&service(ErrorPolicy::Close)).await;
    let deep = format!(r#"{{"type":"ping","id":"1","payload":{}{}}}"#, "[".repeat(40), "]".repeat(40));
    client.send_text(deep).await;
    let error = client.recv().await;
    assert_eq!((&error["id"], &error["payload"]["code"]), (&json!("1"), &json!("malformed_message")));
    client.request("simple.ping", json!({"timestamp":1})).await.expect("the connection is open");
}
