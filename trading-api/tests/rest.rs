//! REST beside the socket.

mod server;

use serde_json::json;
use server::{NOON, Server, market, trade};

#[tokio::test]
async fn the_service_tells_its_health_and_version() {
    let server = Server::start(market().0).await;
    for path in ["/api/v1/health", "/api/v1/version", "/api/v1/versions"] {
        let answer = server.get_json(path).await;
        assert_eq!(answer["status"], "ok", "{path}");
        assert_eq!(answer["version"], env!("CARGO_PKG_VERSION"), "{path}");
        assert!(answer["timestamp"].as_str().is_some_and(|time| time.ends_with('Z')), "{path}");
    }
    assert_eq!(server.get_json("/api/v1/versions").await["versions"][0]["version"], "v1");
    let answer = server.get_json("/").await;
    assert_eq!(answer["links"]["documentation"], "/api/v1/ws/asyncapi");
    assert_eq!(answer["version"], env!("CARGO_PKG_VERSION"));
    let (status, answer) = server.get("/nothing").await;
    assert_eq!(status, 404);
    assert!(answer.contains("not_found"), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn the_docs_page_is_strict_and_its_address_forgives_a_slash() {
    let server = Server::start(market().0).await;
    let (status, page) = server.get("/api/v1/ws/asyncapi").await;
    assert_eq!(status, 200);
    assert!(page.contains("asyncapi/page.js"), "{page}");
    assert_eq!(server.get("/api/v1/ws/asyncapi/").await.0, 308);
    assert_eq!(server.get("/api/v1/ws/asyncapi/page.js").await.0, 200);
    assert_eq!(server.get("/api/v1/ws/asyncapi/nothing.js").await.0, 404);
    server.stop().await;
}

#[tokio::test]
async fn a_plain_request_to_the_socket_is_told_to_upgrade() {
    let server = Server::start(market().0).await;
    for path in ["/api/v1/ws", "/ws"] {
        let (status, text) = server.get(path).await;
        assert_eq!(status, 426);
        assert!(text.contains("ws://"), "{text}");
    }
    server.stop().await;
}

#[tokio::test]
async fn books_and_trades_can_be_read_as_they_stand() {
    let (market, apple) = market();
    trade(&apple, 2, NOON + 1, 101);
    let server = Server::start(market).await;
    let answer = server.get_json("/api/v1/trades/AAPL?limit=1").await;
    let expected = json!({ "id": 2, "time": NOON + 1, "price": 101.0, "quantity": 1.0, "side": "buy" });
    assert_eq!(answer, json!({ "symbol": "AAPL", "trades": [expected] }));
    assert_eq!(server.get_json("/api/v1/orderbook/tBTCUSD").await["symbol"], "BTCUSD");
    let (status, answer) = server.get("/api/v1/orderbook/AAPLE").await;
    assert_eq!(status, 404);
    assert!(answer.contains("unknown symbol `AAPLE`, did you mean `AAPL`?"), "{answer}");
    for wrong in ["/api/v1/orderbook/AAPL?depth=0", "/api/v1/trades/AAPL?limit=ten"] {
        let (status, answer) = server.get(wrong).await;
        assert_eq!(status, 400);
        assert!(answer.contains("want a number from 1 to"), "{answer}");
    }
    server.stop().await;
}

#[tokio::test]
async fn charts_read_the_datafeed_as_udf() {
    let server = Server::start(market().0).await;
    let feed = "/api/v1/datafeed";
    let config = server.get_json(&format!("{feed}/config")).await;
    assert_eq!(config["supports_search"], true);
    assert_eq!(config["supported_resolutions"], json!(["1", "5", "15", "30", "60", "240", "1D", "1W"]));
    assert!(server.get(&format!("{feed}/time")).await.1.parse::<i64>().expect("seconds") > NOON / 1000);

    let info = server.get_json(&format!("{feed}/symbols?symbol=NASDAQ:AAPL")).await;
    assert_eq!((&info["ticker"], &info["session"]), (&json!("AAPL"), &json!("24x7")));
    let unknown = server.get_json(&format!("{feed}/symbols?symbol=NOPE")).await;
    assert_eq!(unknown, json!({ "s": "error", "errmsg": "unknown_symbol" }));

    let found = server.get_json(&format!("{feed}/search?query=btc&limit=30")).await;
    let symbols: Vec<_> = found.as_array().expect("a list").iter().map(|found| found["symbol"].clone()).collect();
    assert_eq!(symbols, ["BTCUSD", "BTCUSDT"]);

    let noon = NOON / 1000;
    let asked = format!("{feed}/history?symbol=AAPL&resolution=1&from={noon}&to={}", noon + 60);
    let expected =
        json!({ "s": "ok", "t": [noon], "o": [100.0], "h": [100.0], "l": [100.0], "c": [100.0], "v": [1.0] });
    assert_eq!(server.get_json(&asked).await, expected);
    let later = format!("{feed}/history?symbol=AAPL&resolution=1&from={}&to={}", noon + 600, noon + 660);
    assert_eq!(server.get_json(&later).await, json!({ "s": "no_data", "nextTime": noon }));
    for (wrong, reason) in [
        ("symbol=AAPL&resolution=7&from=0&to=1", "7"),
        ("symbol=AAPL&resolution=1&from=x&to=1", "`from` is `x`, want seconds since 1970"),
        ("resolution=1&from=0&to=1", "the parameter `symbol` is missing"),
    ] {
        let answer = server.get_json(&format!("{feed}/history?{wrong}")).await;
        assert_eq!(answer["s"], "error");
        assert!(answer["errmsg"].as_str().is_some_and(|message| message.contains(reason)), "{answer}");
    }

    let quotes = server.get_json(&format!("{feed}/quotes?symbols=AAPL,NOPE")).await;
    assert_eq!((&quotes["s"], &quotes["d"][0]["v"]["lp"]), (&json!("ok"), &json!(100.0)));
    assert_eq!(quotes["d"][1]["s"], "error");
    server.stop().await;
}
