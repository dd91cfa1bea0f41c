//! A new user's first five minutes: one file, two dependencies, and a documented service that answers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

/// What is written: at most [`MAX_LINES`] lines of code.
const PROGRAM: &str = r##"use fastws::{AsyncApi, FastWs, Payload, Updates, axum, payload, send, serve, topic};

#[payload]
struct Greeting {
    #[garde(length(min = 1, max = 20))]
    name: String,
}
/// Greets somebody.
#[send("greet", reply = "greeted")]
async fn greet(Payload(greeting): Payload<Greeting>) -> Greeting {
    Greeting { name: format!("Hello, {}!", greeting.name) }
}
/// Counts for as long as anybody listens.
#[topic("count")]
async fn count(updates: Updates<u64>) {
    for n in 0.. {
        updates.send(n);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (ws, docs) = (FastWs::builder().build()?, AsyncApi::new("Greetings", "1.0"));
    let app = axum::Router::new().route("/ws", ws.route()).merge(docs.routes("/docs", &ws));
    Ok(serve(tokio::net::TcpListener::bind("127.0.0.1:PORT").await?, app).await?)
}
"##;

const MAX_LINES: usize = 25;

/// This is the program, running. It ends with this value.
struct Program {
    child: Child,
    port: u16,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A crate that depends on `fastws` and `tokio` alone.
fn write_crate(port: u16) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("five_minutes");
    std::fs::create_dir_all(folder.join("src")).expect("a folder to write to");
    let fastws = env!("CARGO_MANIFEST_DIR");
    let manifest = format!(
        "[package]\nname = \"five_minutes\"\nedition = \"2024\"\n\n[dependencies]\nfastws = {{ path = {fastws:?} }}\n\
         tokio = {{ version = \"1\", features = [\"macros\", \"net\", \"rt-multi-thread\", \"time\"] }}\n\n[workspace]\n"
    );
    std::fs::write(folder.join("Cargo.toml"), manifest).expect("the manifest");
    // The versions that the workspace has are there; others would have to be downloaded.
    std::fs::copy(Path::new(fastws).join("Cargo.lock"), folder.join("Cargo.lock")).expect("the lock file");
    std::fs::write(folder.join("src/main.rs"), PROGRAM.replace("PORT", &port.to_string())).expect("the program");
    folder
}

fn start() -> Program {
    let port =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
    let folder = write_crate(port);
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("five_minutes_target");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--offline", "--quiet", "--manifest-path"])
        .arg(folder.join("Cargo.toml"))
        .env("CARGO_TARGET_DIR", &target)
        .output()
        .expect("cargo runs");
    let said = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "{said}");
    assert!(!said.contains("five_minutes"), "the compiler has something to say about it: {said}");
    let child = Command::new(target.join("debug/five_minutes")).stdin(Stdio::null()).spawn().expect("the program runs");
    Program { child, port }
}

impl Program {
    /// The status line and the body of what is at `path`.
    fn fetch(&self, path: &str) -> (String, String) {
        let mut socket = TcpStream::connect(("127.0.0.1", self.port)).expect("a connection");
        write!(socket, "GET {path} HTTP/1.1\r\nHost: localhost:{}\r\nConnection: close\r\n\r\n", self.port)
            .expect("a request");
        let mut reader = BufReader::new(socket);
        let (mut status, mut line, mut body) = (String::new(), String::new(), String::new());
        reader.read_line(&mut status).expect("a status");
        while reader.read_line(&mut line).expect("a header") > 2 {
            line.clear();
        }
        reader.read_to_string(&mut body).expect("a body");
        (status.trim().to_owned(), body)
    }

    /// Waits until the program listens; it has nothing to tell us when it does.
    async fn until_ready(&mut self) {
        for _ in 0..500 {
            if tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.is_ok() {
                return;
            }
            assert_eq!(self.child.try_wait().expect("its state"), None, "the program has ended");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("the program does not listen");
    }
}

#[test]
fn the_program_is_short_and_needs_two_crates() {
    let lines = PROGRAM.lines().filter(|line| !line.trim().is_empty() && !line.trim().starts_with("//")).count();
    assert!(lines <= MAX_LINES, "{lines} lines of code");
    for crate_name in ["serde", "schemars", "garde", "serde_json", "inventory"] {
        assert!(!PROGRAM.contains(&format!("{crate_name}::")), "{crate_name}");
    }
}

#[tokio::test]
async fn a_new_users_program_serves_its_operations_and_its_documents() {
    let mut program = start();
    program.until_ready().await;

    let (mut socket, _) =
        tokio_tungstenite::connect_async(format!("ws://127.0.0.1:{}/ws", program.port)).await.expect("a connection");
    let mut ask = async |frame: Value| -> Value {
        socket.send(Message::text(frame.to_string())).await.expect("it is sent");
        loop {
            let answer = socket.next().await.expect("an answer").expect("a frame");
            let Message::Text(answer) = answer else { continue };
            let answer: Value = serde_json::from_str(&answer).expect("JSON");
            if answer["id"] == frame["id"] {
                return answer;
            }
        }
    };
    let greeted = ask(json!({"type": "greet", "id": 1, "payload": {"name": "Ada"}})).await;
    assert_eq!(greeted, json!({"type": "greeted", "id": 1, "payload": {"name": "Hello, Ada!"}}));
    let refused = ask(json!({"type": "greet", "id": 2, "payload": {"name": ""}})).await;
    assert_eq!((&refused["type"], &refused["payload"]["details"][0]["path"]), (&json!("error"), &json!("/name")));
    assert_eq!(ask(json!({"type": "ping", "id": 3})).await["type"], "pong");
    let subscribed = ask(json!({"type": "count.subscribe", "id": 4})).await;
    assert_eq!(
        (&subscribed["type"], &subscribed["payload"]["status"]),
        (&json!("count.subscribe.response"), &json!("ok"))
    );
    // Updates have no id.
    let updated = next_update(&mut socket).await;
    assert_eq!((&updated["type"], updated["payload"].is_u64()), (&json!("count.update"), true));

    let (status, page) = program.fetch("/docs");
    assert!(status.contains("200"), "{status}");
    assert!(page.contains("<html") && page.contains("Greetings"), "{page}");
    let (status, document) = program.fetch("/docs.json");
    assert!(status.contains("200"), "{status}");
    assert!(document.contains("\"asyncapi\"") && document.contains("count.update"), "{document}");
    let (status, document) = program.fetch("/docs.yaml");
    assert!(status.contains("200") && document.contains("asyncapi:"), "{status}: {document}");
}

/// The next update.
async fn next_update<S>(socket: &mut S) -> Value
where
    S: StreamExt<Item = Result<Message, tokio_tungstenite::tungstenite::Error>> + Unpin,
{
    loop {
        if let Message::Text(text) = socket.next().await.expect("an update").expect("a frame") {
            return serde_json::from_str(&text).expect("JSON");
        }
    }
}
