//! The conversations of the project's first documents, over a real port, each frame held against the AsyncAPI document.

mod server;

use serde_json::{Value, json};
use server::{Client, NOON, Server, has_tool, market, repository, trade};

const SOCKET: &str = "/api/v1/ws";

async fn start() -> (Server, Client) {
    let server = Server::start(market().0).await;
    let client = Client::connect(&server, SOCKET).await;
    (server, client)
}

#[tokio::test]
async fn a_client_subscribes_to_bars() {
    let (server, mut client) = start().await;
    client.send("bars.subscribe", json!({ "symbol": "AAPL", "resolution": "1" })).await;
    let reply = client.recv().await;
    assert_eq!(reply["type"], "bars.subscribe.response");
    let expected = json!({
        "status": "ok",
        "message": "Subscribed to bars:AAPL:1",
        "topic": "bars:AAPL:1",
        "symbol": "AAPL",
        "resolution": "1",
    });
    assert_eq!(reply["payload"], expected);
    server.stop().await;
}

#[tokio::test]
async fn each_resolution_is_a_topic_of_its_own() {
    let (server, mut client) = start().await;
    for (asked, topic) in [
        ("1", "1"),
        ("5", "5"),
        ("15", "15"),
        ("30", "30"),
        ("60", "60"),
        ("240", "240"),
        ("D", "D"),
        ("1D", "D"),
        ("W", "W"),
    ] {
        let reply = client.request("bars.subscribe", json!({ "symbol": "AAPL", "resolution": asked })).await;
        assert_eq!(reply["payload"]["topic"], format!("bars:AAPL:{topic}"));
    }
    server.stop().await;
}

#[tokio::test]
async fn the_resolution_is_one_minute_unless_it_is_given_in_either_place() {
    let (server, mut client) = start().await;
    for (payload, topic) in [
        (json!({ "symbol": "GOOGL" }), "bars:GOOGL:1"),
        (json!({ "symbol": "GOOGL", "params": { "resolution": "5" } }), "bars:GOOGL:5"),
        (json!({ "symbol": "GOOGL", "resolution": "15", "params": { "resolution": "5" } }), "bars:GOOGL:15"),
        (json!({ "symbol": "tBTCUSD", "params": {} }), "bars:BTCUSD:1"),
    ] {
        assert_eq!(client.request("bars.subscribe", payload).await["payload"]["topic"], topic);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_client_subscribes_to_several_symbols_and_leaves_one() {
    let (server, mut client) = start().await;
    for symbol in ["AAPL", "GOOGL", "MSFT"] {
        let reply = client.request("bars.subscribe", json!({ "symbol": symbol })).await;
        assert_eq!(reply["payload"]["status"], "ok");
    }
    let reply = client.request("bars.unsubscribe", json!({ "symbol": "AAPL", "resolution": "1" })).await;
    assert_eq!(reply["type"], "bars.unsubscribe.response");
    assert_eq!(reply["payload"]["topic"], "bars:AAPL:1");
    let listed = client.request("list_subscriptions", Value::Null).await;
    assert_eq!(listed["type"], "subscriptions");
    assert_eq!(listed["payload"]["topics"], json!(["bars:GOOGL:1", "bars:MSFT:1"]));
    assert_eq!(listed["payload"]["count"], 2);
    let cleared = client.request("clear_subscriptions", Value::Null).await;
    assert_eq!(cleared["type"], "cleared");
    assert_eq!(cleared["payload"]["count"], 2);
    server.stop().await;
}

#[tokio::test]
async fn subscribers_get_the_current_bar_and_then_every_change() {
    let (market, apple) = market();
    let server = Server::start(market).await;
    let mut client = Client::connect(&server, SOCKET).await;
    client.request("bars.subscribe", json!({ "symbol": "AAPL", "params": { "resolution": "1" } })).await;
    let bar = |open: i64, high: i64, low: i64, close: i64, volume: i64, time: i64| {
        let (open, high, low, close, volume) = (open as f64, high as f64, low as f64, close as f64, volume as f64);
        json!({ "time": time, "open": open, "high": high, "low": low, "close": close, "volume": volume })
    };
    let snapshot = client.recv().await;
    assert_eq!(
        snapshot,
        json!({ "type": "bars.update", "topic": "bars:AAPL:1", "snapshot": true, "payload": bar(100, 100, 100, 100, 1, NOON) })
    );
    trade(&apple, 2, NOON + 1_000, 103);
    let update = client.recv().await;
    assert_eq!(
        update,
        json!({ "type": "bars.update", "topic": "bars:AAPL:1", "payload": bar(100, 103, 100, 103, 2, NOON) })
    );
    trade(&apple, 3, NOON + 60_000, 101);
    assert_eq!(client.recv().await["payload"], bar(101, 101, 101, 101, 1, NOON + 60_000));
    server.stop().await;
}

#[tokio::test]
async fn quotes_are_subscribed_by_one_symbol_or_several_all_or_none() {
    let (server, mut client) = start().await;
    let reply = client.request("quotes.subscribe", json!({ "symbols": ["AAPL", "MSFT"] })).await;
    assert_eq!(reply["payload"]["topics"], json!(["quotes:AAPL", "quotes:MSFT"]));
    let apple = client.recv_type("quotes.update").await;
    let (quote, topic) = (&apple["payload"], apple["topic"].as_str().expect("a topic"));
    assert_eq!(apple["snapshot"], true);
    assert_eq!(topic, format!("quotes:{}", quote["symbol"].as_str().expect("a symbol")));

    let reply = client.request("quotes.subscribe", json!({ "symbol": "GOOGL" })).await;
    assert_eq!(reply["payload"]["topic"], "quotes:GOOGL");
    assert_eq!(reply["payload"]["topics"], json!(["quotes:GOOGL"]));

    client.request("clear_subscriptions", Value::Null).await;
    let error = client.request("quotes.subscribe", json!({ "symbols": ["AAPL", "AAPLE"] })).await;
    assert_eq!((&error["type"], &error["payload"]["code"]), (&json!("error"), &json!("unknown_symbol")));
    assert_eq!(error["payload"]["details"][0]["path"], "/symbols/1");
    assert!(error["payload"]["message"].as_str().expect("a message").contains("AAPL"), "{error}");
    assert_eq!(client.request("list_subscriptions", Value::Null).await["payload"]["count"], 0);

    let error = client.request("quotes.subscribe", json!({})).await;
    assert_eq!(error["payload"]["code"], "invalid_payload");
    server.stop().await;
}

#[tokio::test]
async fn an_unknown_symbol_is_an_error_and_closes_nothing() {
    let (server, mut client) = start().await;
    client.send("bars.subscribe", json!({ "symbol": "NOPE" })).await;
    let error = client.recv().await;
    assert_eq!(error["payload"]["code"], "unknown_symbol");
    assert_eq!(error["payload"]["details"][0]["path"], "/symbol");
    client.send("simple.ping", json!({ "timestamp": 1 })).await;
    assert_eq!(client.recv().await["type"], "simple.pong");
    server.stop().await;
}

#[tokio::test]
async fn a_ping_is_answered_with_the_servers_time() {
    let (server, mut client) = start().await;
    client.send("simple.ping", json!({ "timestamp": 1_234_567_890 })).await;
    let pong = client.recv().await;
    assert_eq!(pong["payload"]["timestamp"], 1_234_567_890);
    assert!(pong["payload"]["server_time"].as_i64().expect("ms") > NOON);
    server.stop().await;
}

#[tokio::test]
async fn a_client_asks_about_itself() {
    let (server, mut client) = start().await;
    let other = Client::connect(&server, "/ws").await;
    client.request("bars.subscribe", json!({ "symbol": "AAPL" })).await;
    let info = client.request("info", Value::Null).await;
    assert_eq!(info["type"], "info.response");
    assert_eq!(info["payload"]["client_id"].as_str().expect("an id").len(), 32);
    assert_eq!(info["payload"]["subscriptions"], json!(["bars:AAPL:1"]));
    assert_eq!(info["payload"]["total_connections"], 2);
    drop(other);
    server.stop().await;
}

#[tokio::test]
async fn several_symbols_are_subscribed_by_one_message() {
    let (server, mut client) = start().await;
    let wanted = json!({ "symbols": ["AAPL", "GOOGL"], "params": { "resolution": "5" } });
    let reply = client.request("multi_subscribe", wanted).await;
    assert_eq!(reply["payload"]["topics"], json!(["bars:AAPL:5", "bars:GOOGL:5"]));
    assert_eq!(reply["payload"]["count"], 2);
    let first = client.recv().await;
    assert_eq!((&first["type"], &first["snapshot"]), (&json!("bars.update"), &json!(true)));

    let error = client.request("multi_subscribe", json!({ "symbols": ["MSFT", "NOPE"] })).await;
    assert_eq!(error["payload"]["code"], "unknown_symbol");
    assert_eq!(client.request("list_subscriptions", Value::Null).await["payload"]["count"], 2);
    server.stop().await;
}

#[tokio::test]
async fn alerts_reach_subscribers_and_notifications_reach_everybody() {
    use trading_api::notices::{Alert, Severity, alert, notification};
    let (server, mut client) = start().await;
    let mut other = Client::connect(&server, SOCKET).await;
    assert_eq!(client.request("alerts.subscribe", Value::Null).await["payload"]["topic"], "alerts");
    other.request("simple.ping", json!({ "timestamp": 1 })).await;

    let warning =
        Alert { severity: Severity::Warning, message: "System maintenance in 5 minutes".into(), timestamp: NOON };
    assert_eq!(server.ws.hub().publish::<alert>(&"alerts".into(), warning), 1);
    assert_eq!(server.ws.hub().broadcast::<notification>("the replay has ended".into()), 2);

    let seen = client.recv().await;
    assert_eq!((&seen["type"], &seen["payload"]["severity"]), (&json!("alerts.alert"), &json!("warning")));
    assert_eq!(client.recv().await["type"], "system.notification");
    assert_eq!(other.recv().await["payload"]["message"], "the replay has ended");
    server.stop().await;
}

#[tokio::test]
async fn an_invalid_payload_closes_with_1003() {
    let (server, mut client) = start().await;
    client.send("bars.subscribe", json!({ "symbol": 123, "resolution": "7" })).await;
    let error = client.recv().await;
    let paths: Vec<_> =
        error["payload"]["details"].as_array().expect("details").iter().map(|detail| detail["path"].clone()).collect();
    assert!(paths.contains(&json!("/symbol")) && paths.contains(&json!("/resolution")), "{error}");
    assert_eq!(client.closed().await, (1003, "Could not validate payload".to_owned()));
    server.stop().await;
}

#[tokio::test]
async fn shutting_down_says_goodbye() {
    let (server, mut client) = start().await;
    let waiting = tokio::spawn(async move { client.closed().await });
    server.stop().await;
    assert_eq!(waiting.await.expect("no panic"), (1001, "The server is going away".to_owned()));
}

#[tokio::test]
async fn a_python_client_holds_the_same_conversation() {
    if !has_tool(".venv/installed") {
        return;
    }
    let (market, apple) = market();
    let server = Server::start(market).await;
    let moving = tokio::spawn(async move {
        for id in 2.. {
            trade(&apple, id, NOON, 100 + i64::try_from(id % 7).expect("small"));
            tokio::task::yield_now().await;
        }
    });
    let output = tokio::process::Command::new(repository(".venv/bin/python"))
        .arg(repository("trading-api/tests/conversation.py"))
        .arg(format!("ws://{}{SOCKET}", server.address))
        .output()
        .await
        .expect("python runs");
    moving.abort();
    let (told, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{told}{complained}");
    server.stop().await;
}
