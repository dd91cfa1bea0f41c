//! `fastws call`.

use serde_json::{Value, json};

use crate::stage::{Server, fastws, fastws_reading, file, path};

#[tokio::test]
async fn a_reply_is_printed_whichever_address_leads_to_the_api() {
    let server = Server::start().await;
    let document = file(&server.document());
    let (page, socket) = (server.docs(), server.socket());
    let json = format!("{page}.json");
    for target in [page.as_str(), &json, &socket, path(&document), &format!("http://{}", server.address)] {
        let told = fastws(&["call", target, "simple.ping", r#"{"timestamp":7}"#]).await;
        assert_eq!(told.code, 0, "{target}: {told:?}");
        let reply: Value = serde_json::from_str(&told.out).expect("JSON");
        assert_eq!(reply["timestamp"], 7);
        assert!(told.err.contains("simple.pong after ") && told.err.contains(" ms"), "{told:?}");
    }
    let told = fastws(&["call", &socket, "info", "--document", path(&document)]).await;
    assert_eq!(told.code, 0, "{told:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_payload_comes_from_standard_input_or_a_file() {
    let server = Server::start().await;
    let payload = file(&json!({ "timestamp": 8 }));
    let at = format!("@{}", path(&payload));
    for (input, argument) in [("{\"timestamp\": 8}\n", "-"), ("", &at)] {
        let told = fastws_reading(input, &["call", &server.socket(), "simple.ping", argument]).await;
        assert_eq!((told.code, told.values()[0]["timestamp"].as_i64()), (0, Some(8)), "{told:?}");
    }
    let told = fastws(&["call", &server.socket(), "simple.ping", "{timestamp:8}"]).await;
    assert!(told.code == 2 && told.err.contains("the payload is no JSON"), "{told:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_payload_is_checked_before_it_is_sent() {
    let server = Server::start().await;
    let wrong = r#"{"symbol":"AAPL","resolution":"7"}"#;
    let told = fastws(&["call", &server.docs(), "bars.subscribe", wrong]).await;
    assert!(told.code == 1 && told.err.contains("/resolution") && told.err.contains("nothing was sent"), "{told:?}");
    let told = fastws(&["call", &server.docs(), "bars.subscribe"]).await;
    assert!(told.code == 1 && told.err.contains("needs a payload") && told.err.contains("AAPL"), "{told:?}");
    let told = fastws(&["call", &server.docs(), "bars.subscribe", wrong, "--no-check"]).await;
    assert!(told.code == 1 && told.err.contains("invalid_payload: "), "{told:?}");
    server.stop().await;
}

#[tokio::test]
async fn an_error_goes_to_standard_error_with_its_details() {
    let server = Server::start().await;
    let unknown = ["call", &server.docs(), "bars.subscribe", r#"{"symbol":"NOPE"}"#];
    let told = fastws(&unknown).await;
    assert!(told.code == 1 && told.out.is_empty(), "{told:?}");
    assert!(told.err.contains("unknown_symbol: ") && told.err.contains("/symbol "), "{told:?}");
    let told = fastws(&[&unknown[..], &["--format", "json"]].concat()).await;
    let error = told.err.lines().find_map(|line| serde_json::from_str::<Value>(line).ok()).expect("a line of JSON");
    assert_eq!(error["code"], "unknown_symbol");
    server.stop().await;
}

#[tokio::test]
async fn what_does_not_exist_is_told_with_what_does() {
    let server = Server::start().await;
    let told = fastws(&["call", &server.docs(), "bars.subscrib"]).await;
    assert!(told.code == 2 && told.err.contains("did you mean `bars.subscribe`"), "{told:?}");
    let told = fastws(&["call", &format!("ws://{}/elsewhere", server.address), "ping"]).await;
    assert!(told.code == 2 && told.err.contains("there is no socket at this path"), "{told:?}");
    let told = fastws(&["call", &format!("http://{}/nowhere", server.address), "ping"]).await;
    let tried = ["Tried:", "/nowhere.json: the server answered 404", "/nowhere/asyncapi.json"];
    assert!(told.code == 2 && tried.iter().all(|tried| told.err.contains(tried)), "{told:?}");
    server.stop().await;
    let told = fastws(&["call", "http://127.0.0.1:1/docs", "ping"]).await;
    assert!(
        told.code == 2 && told.err.contains("http://127.0.0.1:1/docs.json") && told.err.contains("refused"),
        "{told:?}"
    );
}
