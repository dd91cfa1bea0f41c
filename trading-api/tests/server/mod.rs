//! The trading API on a free loopback port, and a client that holds every frame against the document.

#![allow(unreachable_pub, reason = "a module of tests is nobody else's")]
#![allow(dead_code, reason = "each test binary uses its own part of this")]

pub mod program;

use std::net::SocketAddr;
use std::path::PathBuf;

use fastws::FastWs;
use futures_util::{SinkExt, StreamExt};
use jsonschema::Validator;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use trading_api::market::{Instrument, Level, Market, Publisher, Side, Trade};
use trading_api::upstream::Monitor;

/// This is a running server. It ends when it is told to.
pub struct Server {
    pub address: SocketAddr,
    pub ws: FastWs,
    pub market: Market,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Server {
    /// Serves a market on a free port.
    pub async fn start(market: Market) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let app = trading_api::app(&market, Monitor::default(), address).expect("an application");
        let (stop, stopped) = oneshot::channel();
        let signal = app.ws.shutdown_on(stopped);
        let serving = tokio::spawn(fastws::serve(listener, app.router).with_graceful_shutdown(signal).into_future());
        Self { address, ws: app.ws, market, stop, serving }
    }

    /// Ends the server and waits until it has ended.
    pub async fn stop(self) {
        self.stop.send(()).expect("the server still listens");
        self.serving.await.expect("no panic").expect("no error");
    }

    /// The server's address for HTTP.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A request over HTTP: its status and its body.
    pub async fn get(&self, path: &str) -> (u16, String) {
        let (head, body) = self.get_with_head(path).await;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        (status, body)
    }

    /// A request over HTTP: the status line with the headers, and the body.
    pub async fn get_with_head(&self, path: &str) -> (String, String) {
        self.ask("GET", path, &[]).await
    }

    /// A request over HTTP with a method and headers.
    pub async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> (String, String) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = TcpStream::connect(self.address).await.expect("a connection");
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let request =
            format!("{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n{headers}\r\n", self.address);
        stream.write_all(request.as_bytes()).await.expect("the request is sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        (head.to_owned(), body.to_owned())
    }

    /// A request over HTTP that is answered with JSON.
    pub async fn get_json(&self, path: &str) -> Value {
        let (_, body) = self.get(path).await;
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"))
    }
}

/// This is a WebSocket client that knows the document.
pub struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    document: Documented,
}

impl Client {
    /// Connects to a path of the server.
    pub async fn connect(server: &Server, path: &str) -> Self {
        let (socket, _) = connect_async(format!("ws://{}{path}", server.address)).await.expect("a connection");
        Self { socket, document: Documented::answers(server) }
    }

    /// Sends a message.
    pub async fn send(&mut self, name: &str, payload: Value) {
        self.send_text(&json!({ "type": name, "payload": payload }).to_string()).await;
    }

    /// Sends a message as it is.
    pub async fn send_text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.expect("the message is sent");
    }

    /// The next message, which is exactly one of those in the document.
    pub async fn recv(&mut self) -> Value {
        loop {
            match self.socket.next().await.expect("the connection is open").expect("a frame") {
                Message::Text(text) => {
                    let frame = serde_json::from_str(&text).expect("JSON");
                    self.document.assert_matches(&frame);
                    return frame;
                }
                Message::Close(close) => panic!("closed: {close:?}"),
                _ => {}
            }
        }
    }

    /// The next message of a type; others are passed over.
    pub async fn recv_type(&mut self, name: &str) -> Value {
        loop {
            let frame = self.recv().await;
            if frame["type"] == name {
                return frame;
            }
        }
    }

    /// A request and its reply.
    pub async fn request(&mut self, name: &str, payload: Value) -> Value {
        self.send_text(&json!({ "type": name, "id": name, "payload": payload }).to_string()).await;
        loop {
            let frame = self.recv().await;
            if frame["id"] == name {
                return frame;
            }
        }
    }

    /// Waits for the close frame: its code and reason.
    pub async fn closed(&mut self) -> (u16, String) {
        loop {
            if let Message::Close(close) = self.socket.next().await.expect("a close frame").expect("a frame") {
                let close = close.expect("a code");
                return (close.code.into(), close.reason.to_string());
            }
        }
    }
}

/// These are the messages of the document, each with its schema.
pub struct Documented(Vec<(String, Validator)>);

impl Documented {
    /// What the server documents that it sends.
    pub fn answers(server: &Server) -> Self {
        Self::of(server, "subscribe")
    }

    /// What the server documents that it takes.
    pub fn requests(server: &Server) -> Self {
        Self::of(server, "publish")
    }

    fn of(server: &Server, direction: &str) -> Self {
        let document = trading_api::docs(server.address).document(&server.ws);
        let components = document["components"]["schemas"].as_object().expect("schemas");
        let messages = document["channels"][trading_api::WEBSOCKET_PATH][direction]["message"]["oneOf"].as_array();
        let names = messages.expect("messages").iter().map(|message| {
            let reference = message["$ref"].as_str().expect("a reference");
            reference.trim_start_matches("#/components/messages/").to_owned()
        });
        let compile = |name: String| {
            let schema = &document["components"]["messages"][&name]["payload"];
            let schema = json!({ "allOf": [schema], "components": { "schemas": components } });
            (name, jsonschema::draft7::new(&schema).expect("a schema"))
        };
        Self(names.map(compile).collect())
    }

    /// Asserts that a frame is exactly one of the messages, the one of its type.
    pub fn assert_matches(&self, frame: &Value) {
        let matching: Vec<_> =
            self.0.iter().filter(|(_, schema)| schema.is_valid(frame)).map(|(name, _)| name).collect();
        assert_eq!(matching, [frame["type"].as_str().expect("a type")], "{frame}");
    }
}

/// A market with a price each for the seeds' symbols, and the hand that moves AAPL.
pub fn market() -> (Market, Publisher) {
    let market = Market::default();
    for symbol in ["GOOGL", "MSFT", "BTCUSD", "BTCUSDT"] {
        trade(&market.list(Instrument::crypto(symbol, "BITFINEX")), 1, NOON, 100);
    }
    let apple = market.list(Instrument::crypto("AAPL", "NASDAQ"));
    trade(&apple, 1, NOON, 100);
    apple.best(
        NOON,
        Level::new(Decimal::new(9_999, 2), Decimal::TEN),
        Level::new(Decimal::new(10_001, 2), Decimal::TEN),
    );
    (market, apple)
}

/// 2025-10-12 12:00 UTC, a Sunday.
pub const NOON: i64 = 1_760_270_400_000;

/// Trades one unit at a whole price.
pub fn trade(publisher: &Publisher, id: u64, time: i64, price: i64) {
    publisher.trade(Trade {
        symbol: publisher.symbol().clone(),
        id,
        time,
        price: Decimal::from(price),
        quantity: Decimal::ONE,
        side: Side::Buy,
    });
}

/// A file of the repository.
pub fn repository(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(path)
}

/// Whether a tool that a test needs is there; if not, says so, or fails where `make test` has installed it.
pub fn has_tool(path: &str) -> bool {
    let there = repository(path).exists();
    assert!(there || std::env::var_os("FASTWS_REQUIRE_TOOLS").is_none(), "{path} is missing; `make setup` installs it");
    if !there {
        eprintln!("skipped: {path} is missing; `make setup` installs it");
    }
    there
}

/// Whether there is a Chromium; where `make test` has installed one, there has to be.
pub fn has_browser() -> bool {
    let there = std::path::Path::new("/usr/bin/chromium").exists();
    assert!(
        there || std::env::var_os("FASTWS_REQUIRE_TOOLS").is_none(),
        "chromium is missing; `make setup` installs it"
    );
    if !there {
        eprintln!("skipped: there is no /usr/bin/chromium; `make setup` installs it");
    }
    there
}
