//! The examples, run as they are: each on a free port, spoken to, and ended by its handle.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// This is a running example; it is killed when it goes out of scope.
struct Example {
    child: Child,
    address: String,
}

impl Example {
    /// `cargo test` builds the examples beside the tests; `cargo test --test examples` alone does not.
    fn start(name: &str) -> Self {
        let tests = std::env::current_exe().expect("a path");
        let program: PathBuf = tests.ancestors().nth(2).expect("a folder").join("examples").join(name);
        let mut child = Command::new(&program)
            .arg("127.0.0.1:0")
            .stderr(Stdio::piped())
            .spawn()
            .expect("it is there after `cargo build --examples`");
        let mut line = String::new();
        BufReader::new(child.stderr.take().expect("a pipe")).read_line(&mut line).expect("a line");
        let address = line.trim().trim_start_matches("http://").trim_end_matches("/docs").to_owned();
        Self { child, address }
    }

    async fn connect(&self) -> Client {
        Client(connect_async(format!("ws://{}/ws", self.address)).await.expect("a connection").0)
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        self.child.kill().expect("it still runs");
        self.child.wait().expect("it ends");
    }
}

struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    async fn ask(&mut self, name: &str, payload: Value) -> Value {
        let message = json!({ "type": name, "id": 1, "payload": payload });
        self.0.send(Message::text(message.to_string())).await.expect("sent");
        self.recv().await
    }

    async fn recv(&mut self) -> Value {
        let frame = self.0.next().await.expect("an open connection").expect("a frame");
        serde_json::from_str(frame.to_text().expect("text")).expect("JSON")
    }
}

#[tokio::test]
async fn echo_says_the_same_again() {
    let example = Example::start("echo");
    let mut client = example.connect().await;
    let reply = client.ask("echo", json!({ "text": "hello" })).await;
    assert_eq!(reply, json!({ "type": "echo.response", "id": 1, "payload": { "text": "hello" } }));
    assert_eq!(client.ask("echo", json!({ "text": "" })).await["payload"]["details"][0]["path"], "/text");
}

#[tokio::test]
async fn ticker_moves_while_somebody_looks() {
    let example = Example::start("ticker");
    let mut client = example.connect().await;
    let reply = client.ask("ticker.subscribe", json!({ "symbol": "AAPL" })).await;
    assert_eq!(reply["payload"]["topic"], "ticker:AAPL");
    assert_eq!(client.recv().await["snapshot"], true);
    assert_eq!(client.recv().await["type"], "ticker.update");
    client.ask("ticker.unsubscribe", json!({ "symbol": "AAPL" })).await;
    let mut other = example.connect().await;
    let error = other.ask("ticker.subscribe", json!({ "symbol": "NOPE" })).await;
    assert_eq!(error["payload"]["code"], "unknown_symbol");
}

#[tokio::test]
async fn chat_is_heard_in_its_room_alone() {
    let example = Example::start("chat");
    let (mut ada, mut bob, mut eve) = (example.connect().await, example.connect().await, example.connect().await);
    for (client, name, room) in [(&mut ada, "Ada", "lobby"), (&mut bob, "Bob", "lobby"), (&mut eve, "Eve", "attic")] {
        let welcome = client.ask("chat.enter", json!({ "room": room, "name": name })).await;
        assert_eq!(welcome["payload"], format!("Welcome to {room}, {name}!"));
    }
    let heard = ada.ask("chat.say", json!({ "room": "lobby", "text": "hi" })).await;
    let (first, second) = (heard, ada.recv().await);
    assert!([&first, &second].iter().any(|frame| frame["type"] == "chat.heard" && frame["payload"] == 2));
    assert_eq!(bob.recv().await["payload"], json!({ "name": "Ada", "text": "hi" }));
    let refused = eve.ask("chat.say", json!({ "room": "lobby", "text": "psst" })).await;
    assert_eq!(refused["payload"]["code"], "not_in_room");
}
