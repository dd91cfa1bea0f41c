//! A client for tests, over an in-memory socket: no port, no real time. It works under `tokio::time::pause`.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message as Frame};
use futures_channel::mpsc::{self, Receiver, SendError, Sender};
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::client::Connection;
use crate::connection::{self, Presence};
use crate::service::FastWs;

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
    socket: MemorySocket,
    connection: Arc<Connection>,
    /// Frames that came while something else was waited for.
    waiting: VecDeque<Value>,
    closed: Option<(u16, String)>,
    answers_pings: bool,
    next_id: u64,
}

/// How long a test waits for a frame before it fails. With a paused clock this takes no time.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many frames an in-memory socket holds before its writer waits, like the kernel's buffer.
const SOCKET_FRAMES: usize = 16;

impl TestClient {
    /// Connects to a service.
    pub async fn connect(ws: &FastWs) -> Self {
        let (socket, server) = MemorySocket::pair();
        // From here on the connection is in the hub, and what is published can reach it.
        let presence = Presence::new(Arc::clone(&ws.0));
        let connection = Arc::clone(&presence.connection);
        tokio::spawn(connection::serve(presence, server));
        tokio::task::yield_now().await;
        Self { socket, connection, waiting: VecDeque::new(), closed: None, answers_pings: true, next_id: 0 }
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
        let _ = self.socket.send(Frame::Text(text.into().into())).await;
    }

    /// Sends a binary message.
    pub async fn send_binary(&mut self, bytes: impl Into<Vec<u8>>) {
        let _ = self.socket.send(Frame::Binary(bytes.into().into())).await;
    }

    /// Closes with a code and a reason.
    pub async fn close(&mut self, code: u16, reason: &str) {
        let _ = self.socket.send(Frame::Close(Some(CloseFrame { code, reason: reason.into() }))).await;
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
        if let Some(frame) = self.waiting.pop_front() {
            return Some(frame);
        }
        while self.closed.is_none() {
            match self.socket.next().await {
                Some(Ok(Frame::Text(text))) => {
                    return Some(serde_json::from_str(&text).expect("the server writes JSON"));
                }
                Some(Ok(Frame::Ping(payload))) if self.answers_pings => {
                    let _ = self.socket.send(Frame::Pong(payload)).await;
                }
                Some(Ok(Frame::Close(close))) => {
                    self.closed =
                        Some(close.map_or((1005, String::new()), |close| (close.code, close.reason.to_string())));
                    self.socket.close().await.unwrap_or_else(|error| tracing::trace!(%error, "already closed"));
                }
                Some(Ok(_)) => {}
                None => self.closed = Some((1006, String::new())),
            }
        }
        None
    }
}

/// This is one end of a socket in memory.
#[derive(Debug)]
struct MemorySocket {
    incoming: Receiver<Frame>,
    outgoing: Sender<Frame>,
}

impl MemorySocket {
    fn pair() -> (Self, Self) {
        let (to_server, from_client) = mpsc::channel(SOCKET_FRAMES);
        let (to_client, from_server) = mpsc::channel(SOCKET_FRAMES);
        (Self { incoming: from_server, outgoing: to_server }, Self { incoming: from_client, outgoing: to_client })
    }
}

impl Stream for MemorySocket {
    type Item = Result<Frame, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.incoming.poll_next_unpin(context).map(|frame| frame.map(Ok))
    }
}

impl Sink<Frame> for MemorySocket {
    type Error = SendError;

    fn poll_ready(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.outgoing.poll_ready_unpin(context)
    }

    fn start_send(mut self: Pin<&mut Self>, frame: Frame) -> Result<(), SendError> {
        self.outgoing.start_send_unpin(frame)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        // futures' own flush waits until the channel is empty; a socket's does not wait for the reader.
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.outgoing.poll_close_unpin(context)
    }
}
