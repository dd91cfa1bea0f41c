//! A server that speaks the protocol, apart from one lie, and `fastws conform` in front of it.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::conform::failures;
use crate::stage::{fastws, file, path};

/// What is wrong with a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lie {
    None,
    /// A number comes back as text.
    Id,
    /// An unknown operation is passed over.
    Silence,
    /// A mistake closes, and nobody is told why.
    NoError,
    /// A mistake closes with a code of its own.
    OtherCode,
    /// An update overtakes the subscribe reply.
    Early,
    /// A snapshot comes among the updates.
    Snapshot,
    /// Each connection has a topic of its own.
    OwnTopic,
    /// Updates go on after the unsubscribe reply.
    Late,
    /// A wrong payload is taken.
    Lenient,
    /// A wrong payload is refused, and the field is not named.
    Nameless,
    /// An update has a topic that nobody subscribed to.
    Stray,
}

const TRUE: &[(Lie, &str)] = &[
    (Lie::Id, "7 comes back as \"7\""),
    (Lie::Silence, "`conform.no_such_operation` is not answered"),
    (Lie::NoError, "there is no error frame before the server closed with 1003"),
    (Lie::OtherCode, "the server closed with 4444"),
    (Lie::Early, "an update came before the reply"),
    (Lie::Snapshot, "a snapshot in the middle of the updates"),
    (Lie::OwnTopic, "the reply names news:"),
    (Lie::Late, "1 update, "),
    (Lie::Lenient, "is accepted, which the schema refuses"),
    (Lie::Nameless, "the details do not name /desk"),
    (Lie::Stray, "an update of news:stray, which was not subscribed"),
];

#[tokio::test]
async fn a_server_without_a_lie_passes() {
    let told = conform(Lie::None).await;
    assert_eq!((told.code, failures(&told)), (0, vec![]), "{told:?}");
}

#[tokio::test]
async fn each_lie_of_a_server_is_found_and_named() {
    for (lie, named) in TRUE {
        let told = conform(*lie).await;
        assert_eq!(told.code, 1, "{lie:?}: {told:?}");
        assert!(failures(&told).iter().any(|failure| failure.contains(named)), "{lie:?}: {:#?}", failures(&told));
    }
}

async fn conform(lie: Lie) -> crate::stage::Told {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("ws://{}/ws", listener.local_addr().expect("an address"));
    let serving = tokio::spawn(async move {
        let mut connections = 0;
        while let Ok((stream, _)) = listener.accept().await {
            connections += 1;
            tokio::spawn(serve(stream, lie, connections));
        }
    });
    let document = file(&document());
    let told = fastws(&["conform", &url, "--document", path(&document), "--timeout", "2"]).await;
    serving.abort();
    told
}

async fn serve(stream: TcpStream, lie: Lie, connection: u32) {
    let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return };
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    let topic = if lie == Lie::OwnTopic { format!("news:{connection}") } else { "news:world".to_owned() };
    let mut is_subscribed = false;
    let mut count = 0;
    loop {
        let heard = tokio::select! {
            heard = socket.next() => heard,
            _ = ticks.tick(), if is_subscribed => {
                count += 1;
                let mut update = json!({ "type": "news.update", "topic": topic, "payload": { "text": "News." } });
                if count == 1 || count == 3 && lie == Lie::Snapshot {
                    update["snapshot"] = true.into();
                }
                if lie == Lie::Stray {
                    update["topic"] = "news:stray".into();
                }
                let _ = socket.send(Message::text(update.to_string())).await;
                continue;
            }
        };
        let Some(Ok(message)) = heard else { return };
        let request: Value = match &message {
            Message::Text(text) => serde_json::from_str(text).unwrap_or_default(),
            Message::Close(_) => return,
            _ => Value::Null,
        };
        let desk = request["payload"]["desk"].as_str().filter(|desk| !desk.is_empty());
        let id = request["id"].clone();
        let mut answer = match request["type"].as_str() {
            None => {
                let error = json!({ "type": "error", "payload": { "code": "malformed_message", "message": "What?" } });
                if lie != Lie::NoError {
                    let _ = socket.send(Message::text(error.to_string())).await;
                }
                let code = if lie == Lie::OtherCode { 4444 } else { 1003 };
                let close = CloseFrame { code: code.into(), reason: "what?".into() };
                let _ = socket.close(Some(close)).await;
                return;
            }
            Some("ping") => json!({ "type": "pong", "payload": request["payload"] }),
            Some(kind @ ("news.subscribe" | "news.unsubscribe")) if desk.is_some() || lie == Lie::Lenient => {
                is_subscribed = kind == "news.subscribe" || lie == Lie::Late;
                count = if is_subscribed { count } else { 0 };
                if lie == Lie::Early && is_subscribed {
                    let early = json!({ "type": "news.update", "topic": topic, "payload": { "text": "Early." } });
                    let _ = socket.send(Message::text(early.to_string())).await;
                }
                json!({ "type": format!("{kind}.response"), "payload": { "topic": topic } })
            }
            Some("news.subscribe" | "news.unsubscribe") => {
                let path = if lie == Lie::Nameless { "/other" } else { "/desk" };
                let details = [json!({ "path": path, "message": "which?" })];
                json!({ "type": "error", "payload": { "code": "invalid_payload", "message": "No.", "details": details } })
            }
            Some(_) if lie == Lie::Silence => continue,
            Some(_) => json!({ "type": "error", "payload": {
                "code": "unknown_operation",
                "message": "there are `news.subscribe` and `news.unsubscribe`",
            } }),
        };
        if !id.is_null() {
            answer["id"] = if lie == Lie::Id && id.is_number() { id.to_string().into() } else { id };
        }
        let _ = socket.send(Message::text(answer.to_string())).await;
    }
}

fn document() -> Value {
    let frame = |name: &str, payload: Value, needs: &[&str]| {
        json!({
            "type": "object",
            "required": needs,
            "properties": {
                "type": { "const": name },
                "id": { "type": ["string", "integer"] },
                "topic": { "type": "string" },
                "snapshot": { "const": true },
                "payload": payload,
            },
        })
    };
    let desk = json!({
        "type": "object",
        "required": ["desk"],
        "properties": { "desk": { "type": "string", "minLength": 1 } },
    });
    let topic = json!({ "type": "object", "required": ["topic"], "properties": { "topic": { "type": "string" } } });
    let whole = &["type", "payload"][..];
    let example = |name: &str| json!([{ "payload": { "type": name, "payload": { "desk": "world" } } }]);
    let reply = |name: &str| json!({ "$ref": format!("#/components/messages/{name}") });
    let error = json!({
        "type": "object",
        "required": ["code", "message"],
        "properties": {
            "code": { "enum": ["malformed_message", "unknown_operation", "invalid_payload"] },
            "message": { "type": "string" },
            "details": { "type": "array" },
        },
    });
    json!({
        "asyncapi": "2.4.0",
        "info": { "title": "News", "version": "1", "description": "What happens." },
        "channels": { "/ws": {
            "x-close-codes": { "1003": "The message is not understood." },
            "publish": { "message": { "oneOf": [reply("ping"), reply("news.subscribe"), reply("news.unsubscribe")] } },
            "subscribe": { "message": { "oneOf": [
                reply("pong"), reply("news.subscribe.response"), reply("news.unsubscribe.response"),
                reply("news.update"), reply("error"),
            ] } },
        } },
        "components": { "messages": {
            "ping": { "payload": frame("ping", json!({}), &["type"]), "x-response": reply("pong") },
            "pong": { "payload": frame("pong", json!({}), &["type"]) },
            "news.subscribe": {
                "payload": frame("news.subscribe", desk.clone(), whole),
                "examples": example("news.subscribe"),
                "x-response": reply("news.subscribe.response"),
                "x-topic": "news:{desk}",
                "x-updates": ["news.update"],
            },
            "news.unsubscribe": {
                "payload": frame("news.unsubscribe", desk, whole),
                "examples": example("news.unsubscribe"),
                "x-response": reply("news.unsubscribe.response"),
                "x-topic": "news:{desk}",
            },
            "news.subscribe.response": { "payload": frame("news.subscribe.response", topic.clone(), whole) },
            "news.unsubscribe.response": { "payload": frame("news.unsubscribe.response", topic, whole) },
            "news.update": { "payload": frame("news.update", json!({ "type": "object" }), whole), "x-topic": "news:{desk}" },
            "error": { "payload": frame("error", error, whole) },
        } },
    })
}
