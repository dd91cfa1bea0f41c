//! A client for tests, over an in-memory socket: no port, no real time. It works under `tokio::time::pause`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::timeout;

use crate::client::Connection;
use crate::engine::{Engine, Opening, Socket};
use crate::service::FastWs;
use crate::websocket::{Decoder, Event, MessageLimits, OpCode, Role, write_masked_close, write_masked_frame};

/// This is a client of a service, for tests. It panics, with a readable message, when what it waits for does not come.
///
/// ```
/// # use fastws_core::{FastWs, testing::TestClient};
/// # async fn run(ws: FastWs) {
/// let mut client = TestClient::connect(&ws).await;
/// let pong = client.request("ping", serde_json::json!({ "n": 7 })).await.expect("a reply");
/// assert_eq!(pong["n"], 7);
/// # }
/// ```
#[derive(Debug)]
pub struct TestClient {
    socket: DuplexStream,
    decoder: Decoder,
    connection: Arc<Connection>,
    /// Frames that came while something else was waited for.
    waiting: VecDeque<Value>,
    closed: Option<(u16, String)>,
    answers_pings: bool,
    next_id: u64,
}

/// How long a test waits for a frame before it fails. With a paused clock this takes no time.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many bytes an in-memory socket holds before its writer waits, like the kernel's buffer.
const SOCKET_BYTES: usize = 4096;

/// What masks a client's frames. Nobody looks on, so it needs not be secret.
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

impl TestClient {
    /// Connects to a service.
    pub async fn connect(ws: &FastWs) -> Self {
        let (socket, server) = tokio::io::duplex(SOCKET_BYTES);
        // From here on the connection is in the hub, and what is published can reach it.
        let connection = Engine::adopt(&ws.0, Socket::Other(Box::new(server)), Opening::default());
        tokio::task::yield_now().await;
        let limits = MessageLimits { bytes: usize::MAX, ..MessageLimits::default() };
        let decoder = Decoder::new(Role::Client, limits);
        let waiting = VecDeque::new();
        Self { socket, decoder, connection, waiting, closed: None, answers_pings: true, next_id: 0 }
    }

    /// Stops answering the server's pings, as a client that is gone.
    #[must_use]
    pub fn without_pongs(mut self) -> Self {
        self.answers_pings = false;
        self
    }

    /// The connection's id, as the server knows it.
    pub fn id(&self) -> uuid::Uuid {
        self.connection.id
    }

    /// Sends `{"type": name, "payload": payload}`.
    pub async fn send(&mut self, name: &str, payload: impl Serialize) {
        self.send_text(json!({ "type": name, "payload": payload }).to_string()).await;
    }

    /// Sends a text message as it is. What is sent to a connection that has ended is lost.
    pub async fn send_text(&mut self, text: impl Into<String>) {
        self.write(OpCode::Text, text.into().as_bytes()).await;
    }

    /// Sends a binary message.
    pub async fn send_binary(&mut self, bytes: impl Into<Vec<u8>>) {
        self.write(OpCode::Binary, &bytes.into()).await;
    }

    /// Closes with a code and a reason.
    pub async fn close(&mut self, code: u16, reason: &str) {
        let mut frame = Vec::new();
        write_masked_close(&mut frame, code, reason, KEY);
        self.write_bytes(&frame).await;
    }

    /// Sends bytes as they are, whatever frames they may be.
    pub async fn write_bytes(&mut self, bytes: &[u8]) {
        // What is sent to a connection that has ended is lost.
        let _ = self.socket.write_all(bytes).await;
    }

    async fn write(&mut self, opcode: OpCode, payload: &[u8]) {
        let mut frame = Vec::new();
        write_masked_frame(&mut frame, opcode, payload, KEY);
        self.write_bytes(&frame).await;
    }

    /// Sends a request with an `id` and waits for its reply; other frames are kept for [`recv`](Self::recv).
    ///
    /// # Errors
    /// The payload of the error frame, if that is the answer.
    pub async fn request(&mut self, name: &str, payload: impl Serialize) -> Result<Value, Value> {
        self.next_id += 1;
        let id = format!("test-{}", self.next_id);
        self.send_text(json!({ "type": name, "id": id, "payload": payload }).to_string()).await;
        let mut passed = VecDeque::new();
        loop {
            let mut frame = self.recv().await;
            if frame["id"] == id.as_str() {
                passed.append(&mut self.waiting);
                self.waiting = passed;
                let payload = frame["payload"].take();
                return if frame["type"] == "error" { Err(payload) } else { Ok(payload) };
            }
            passed.push_back(frame);
        }
    }

    /// The next message.
    ///
    /// # Panics
    /// When the connection is closed, or nothing comes within a minute.
    pub async fn recv(&mut self) -> Value {
        match timeout(PATIENCE, self.next()).await {
            Ok(Some(frame)) => frame,
            Ok(None) => panic!("waited for a message, but the connection was closed: {:?}", self.closed),
            Err(_) => panic!("waited for a message, but none came within {PATIENCE:?}"),
        }
    }

    /// Waits until the server closes, and returns its code and reason.
    ///
    /// # Panics
    /// When it does not close.
    pub async fn closed(&mut self) -> (u16, String) {
        while let Some(frame) = timeout(Duration::from_secs(24 * 3600), self.next()).await.expect("the server closes") {
            drop(frame);
        }
        self.closed.clone().expect("the server closes with a code")
    }

    /// The message that comes within `time`, if one does.
    pub async fn recv_within(&mut self, time: Duration) -> Option<Value> {
        timeout(time, self.next()).await.ok().flatten()
    }

    /// The next message; `None` when the server has closed.
    async fn next(&mut self) -> Option<Value> {
        let mut buffer = [0; SOCKET_BYTES];
        loop {
            if let Some(frame) = self.waiting.pop_front() {
                return Some(frame);
            }
            if self.closed.is_some() {
                return None;
            }
            let count = self.socket.read(&mut buffer).await.unwrap_or(0);
            let answer = self.hear(&mut buffer[..count]);
            self.write_bytes(&answer).await;
            if self.closed.is_some() {
                // A server that has closed waits for the client to do so.
                let _ = self.socket.shutdown().await;
            }
        }
    }

    /// Takes what has arrived; nothing is the end. Returns what is to be answered.
    fn hear(&mut self, bytes: &mut [u8]) -> Vec<u8> {
        let mut answer = Vec::new();
        if bytes.is_empty() {
            self.closed = Some((1006, String::new()));
            return answer;
        }
        let mut events = self.decoder.read(bytes);
        while let Some(event) = events.next().expect("the server keeps to the protocol") {
            match event {
                Event::Text(text) => {
                    self.waiting.push_back(serde_json::from_str(text).expect("the server writes JSON"));
                }
                Event::Ping(payload) if self.answers_pings => {
                    write_masked_frame(&mut answer, OpCode::Pong, payload, KEY);
                }
                Event::Close(close) => {
                    write_masked_close(&mut answer, close.reply(), "", KEY);
                    self.closed = Some((close.code.unwrap_or(1005), close.reason.to_owned()));
                }
                _ => {}
            }
        }
        answer
    }
}
