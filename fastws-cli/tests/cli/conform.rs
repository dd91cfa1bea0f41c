//! `fastws conform`: it passes on an honest server, and names the lies of others.

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::stage::{Server, Told, fastws, file, path};

/// The reasons of the checks that have failed.
pub(crate) fn failures(told: &Told) -> Vec<String> {
    let failed = told.values().into_iter().filter(|value| value["outcome"] == "failed");
    failed
        .map(|value| {
            let text = |key: &str| value[key].as_str().expect("text").to_owned();
            format!("{}: {}", text("check"), text("reason"))
        })
        .collect()
}

#[tokio::test]
async fn the_trading_api_does_what_its_document_says() {
    let server = Server::start().await;
    let told = fastws(&["conform", &server.docs()]).await;
    assert_eq!((told.code, failures(&told)), (0, vec![]), "{told:?}");
    let values = told.values();
    for group in ["health", "trading", "market"] {
        let passed = values.iter().filter(|value| value["group"] == group && value["outcome"] == "passed").count();
        assert!(passed > 8, "{group}: {passed}");
    }
    let sum = values.last().expect("a sum");
    let count = |key: &str| sum[key].as_u64().expect("a number");
    assert_eq!(count("passed") + count("skipped") + count("failed"), values.len() as u64 - 1, "{sum}");

    let newer = format!("{}/3.0.0.json", server.docs());
    let told = fastws(&["conform", &server.socket(), "--document", &newer]).await;
    assert_eq!((told.code, failures(&told)), (0, vec![]), "{told:?}");
    assert_eq!(told.values().last(), Some(sum), "both documents promise the same");
    server.stop().await;
}

#[tokio::test]
async fn a_part_of_the_checks_can_be_chosen_and_operations_left_alone() {
    let server = Server::start().await;
    let told = fastws(&["conform", &server.socket(), "market", "--skip", "quotes.*", "--format", "text"]).await;
    assert_eq!(told.code, 0, "{told:?}");
    assert!(told.out.contains("✓ bars:AAPL:1 brings bars.update") && !told.out.contains("quotes"), "{told:?}");
    assert!(!told.out.contains("health") && !told.out.contains("trading"), "{told:?}");
    let told = fastws(&["conform", &server.socket(), "trading", "--skip", "simple.ping"]).await;
    let skipped = told.values().into_iter().find(|value| value["outcome"] == "skipped").expect("one is skipped");
    assert!(skipped["check"].as_str().expect("a check").contains("simple.ping"), "{skipped}");
    server.stop().await;
}

#[tokio::test]
async fn a_lie_is_found_and_named() {
    let server = Server::start().await;
    type Doctor = fn(&mut Value);
    let lies: [(&str, Doctor, &str); 9] = [
        ("trading", |doc| set(doc, "Pong", "server_time", json!({ "type": "string" })), "/payload/server_time"),
        ("market", |doc| set(doc, "Bar", "close", json!({ "type": "string" })), "bars.update`: /payload/close"),
        ("market", |doc| drop_message(doc, "quotes.update"), "sends `quotes.update`, which the document does not name"),
        (
            "trading",
            |doc| set(doc, "BarsSubscription", "symbol", json!({ "type": "string", "maxLength": 4 })),
            "but unknown_symbol",
        ),
        (
            "trading",
            |doc| doc["components"]["schemas"]["Pong"]["required"] = json!(["timestamp", "server_time", "zone"]),
            "`zone` is missing",
        ),
        (
            "market",
            |doc| doc["components"]["messages"]["bars.subscribe"]["x-topic"] = json!("candles:{symbol}"),
            "is not of the form candles:{symbol}",
        ),
        ("health", |doc| drop(channel(doc)["x-close-codes"].as_object_mut().map(|codes| codes.remove("1003"))), "1003"),
        (
            "health",
            |doc| {
                let channel = channel(doc).clone();
                doc["channels"] = json!({ "/elsewhere": channel });
            },
            "/elsewhere",
        ),
        (
            "trading",
            |doc| {
                let example = &mut doc["components"]["messages"]["bars.subscribe"]["examples"][0]["payload"];
                example["payload"]["symbol"] = json!("NOPE");
            },
            "unknown_symbol",
        ),
    ];
    for (group, doctor, named) in lies {
        let mut document = server.document();
        doctor(&mut document);
        assert_ne!(document, server.document(), "{named}");
        let document = file(&document);
        let told = fastws(&["conform", &server.socket(), group, "--document", path(&document)]).await;
        assert_eq!(told.code, 1, "{named}: {told:?}");
        assert!(failures(&told).iter().any(|failure| failure.contains(named)), "{named}: {:#?}", failures(&told));
    }
    server.stop().await;
}

fn channel(document: &mut Value) -> &mut Value {
    &mut document["channels"][trading_api::WEBSOCKET_PATH]
}

fn set(document: &mut Value, schema: &str, field: &str, to: Value) {
    let fields = document["components"]["schemas"][schema]["properties"].as_object_mut();
    let old = fields.and_then(|fields| fields.insert(field.into(), to));
    assert!(old.is_some(), "{schema} has a field `{field}`");
}

fn drop_message(document: &mut Value, name: &str) {
    let sent = channel(document)["subscribe"]["message"]["oneOf"].as_array_mut().expect("messages");
    sent.retain(|message| !message["$ref"].as_str().is_some_and(|reference| reference.ends_with(name)));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_failed_check() {
    let server = Server::start().await;
    let document = file(&server.document());
    server.stop().await;
    let told = fastws(&["conform", "ws://127.0.0.1:1/ws", "--document", path(&document)]).await;
    assert!(told.code == 1 && failures(&told).iter().any(|failure| failure.contains("refused")), "{told:?}");
}

/// A document of a server that knows neither ids nor errors, and closes on any mistake.
fn foreign() -> Value {
    let message = |name: &str, payload: Value| {
        json!({ "payload": {
            "type": "object",
            "required": ["type", "payload"],
            "properties": { "type": { "const": name }, "payload": payload },
        } })
    };
    let mut ask = message("clock.ask", json!({ "type": "string", "maxLength": 3 }));
    ask["examples"] = json!([{ "payload": { "type": "clock.ask", "payload": "UTC" } }]);
    let mut stop = message("clock.stop", json!({ "type": "boolean" }));
    stop["examples"] = json!([{ "payload": { "type": "clock.stop", "payload": true } }]);
    let channel = json!({ "$ref": "#/channels/ws" });
    let reference = |name: &str| json!({ "$ref": format!("#/channels/ws/messages/{name}") });
    json!({
        "asyncapi": "3.0.0",
        "info": { "title": "Clock", "version": "1", "description": "The time." },
        "channels": { "ws": {
            "address": "/",
            "messages": { "clock.stop": stop, "clock.ask": ask, "clock.told": message("clock.told", json!({ "type": "integer" })) },
        } },
        "operations": { "stop": { "action": "receive", "channel": channel, "messages": [reference("clock.stop")] }, "ask": {
            "action": "receive",
            "channel": channel,
            "messages": [reference("clock.ask")],
            "reply": { "channel": channel, "messages": [reference("clock.told")] },
        } },
    })
}

#[tokio::test]
async fn a_server_that_is_not_ours_is_tested_for_what_its_document_says() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("ws://{}/", listener.local_addr().expect("an address"));
    let serving = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return };
                while let Some(Ok(message)) = socket.next().await {
                    let asks = message.to_text().is_ok_and(|text| text.contains("clock.ask"));
                    if asks {
                        let told = json!({ "type": "clock.told", "payload": 12 }).to_string();
                        let _ = socket.send(Message::text(told)).await;
                    } else if !message.is_close() && !message.to_text().is_ok_and(|text| text.contains("clock.stop")) {
                        let close = CloseFrame { code: 1003.into(), reason: "what?".into() };
                        let _ = socket.close(Some(close)).await;
                    }
                }
            });
        }
    });
    let document = file(&foreign());
    let told = fastws(&["conform", &url, "--document", path(&document), "--timeout", "5"]).await;
    assert_eq!((told.code, failures(&told)), (0, vec![]), "{told:?}");
    let outcome = |word: &str| told.values().iter().filter(|value| value["outcome"] == word).count();
    assert!(outcome("passed") >= 5 && outcome("skipped") >= 5, "{told:?}");

    // Without ids, a reply is known by its type.
    let told = fastws(&["call", &url, "clock.ask", "\"UTC\"", "--document", path(&document)]).await;
    assert_eq!((told.code, told.out.trim()), (0, "12"), "{told:?}");
    let told = fastws(&["call", &url, "clock.stop", "true", "--document", path(&document)]).await;
    assert!(told.code == 0 && told.out.is_empty() && told.err.contains("it has no reply"), "{told:?}");
    let mut lying = foreign();
    lying["channels"]["ws"]["messages"]["clock.told"]["payload"]["properties"]["payload"] = json!({ "type": "string" });
    let lying = file(&lying);
    let told = fastws(&["conform", &url, "trading", "--document", path(&lying)]).await;
    assert!(told.code == 1 && failures(&told)[0].contains("12 is not of type"), "{told:?}");
    serving.abort();
}
