//! A connection that believes nothing: every frame has to be exactly one message of the document.

use std::time::Duration;

use fastws_asyncapi::Request;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::Subject;
use crate::call::GRACE;
use crate::schema::brief;
use crate::socket::{Closed, Heard, Socket, frame, in_seconds, is_answer};

/// This is a connection to the server under test.
pub(super) struct Witness<'a> {
    subject: &'a Subject<'a>,
    socket: Socket,
    next_id: u64,
    /// What came before the last answer.
    passed: Vec<Value>,
}

/// This is what a connection brought.
#[derive(Debug)]
pub(super) enum Brought {
    Frame(Value),
    Closed(Closed),
    /// The time was up.
    Nothing,
}

impl<'a> Witness<'a> {
    pub(super) async fn connect(subject: &'a Subject<'a>) -> Result<Self, String> {
        let socket = Socket::connect(&subject.endpoint.socket, subject.access).await?;
        Ok(Self { subject, socket, next_id: 0, passed: Vec::new() })
    }

    /// What comes within a time. A frame that the document does not know is a failure.
    pub(super) async fn within(&mut self, time: Duration) -> Result<Brought, String> {
        self.until(Instant::now() + time).await
    }

    async fn until(&mut self, end: Instant) -> Result<Brought, String> {
        match timeout_at(end, self.socket.hear()).await {
            Err(_) => Ok(Brought::Nothing),
            Ok(Heard::Closed(closed)) => Ok(Brought::Closed(closed)),
            Ok(Heard::Binary) => Err("the server sends a binary message, which no document of this kind knows".into()),
            Ok(Heard::Text(text)) => {
                let frame =
                    serde_json::from_str(&text).map_err(|_| format!("the server sends no JSON: {text:.200}"))?;
                self.subject.catalog.identify(&frame)?;
                Ok(Brought::Frame(frame))
            }
        }
    }

    pub(super) async fn send_text(&mut self, text: &str) {
        self.socket.send(text).await;
    }

    pub(super) async fn send_binary(&mut self, bytes: &[u8]) {
        self.socket.send_binary(bytes.to_vec()).await;
    }

    /// The next id of this connection.
    pub(super) fn id(&mut self) -> Value {
        self.next_id += 1;
        format!("conform-{}", self.next_id).into()
    }

    /// Sends a request and returns its answer; other frames are passed over, once they are known.
    pub(super) async fn ask(&mut self, request: &Request, payload: Option<&Value>) -> Result<Value, String> {
        let id = self.id();
        self.ask_as(request, &id, payload).await
    }

    /// As [`ask`](Self::ask), with an id.
    pub(super) async fn ask_as(
        &mut self,
        request: &Request,
        id: &Value,
        payload: Option<&Value>,
    ) -> Result<Value, String> {
        self.send_text(&frame(request, id, payload).to_string()).await;
        self.answer(&format!("`{}`", request.message.name), |frame| is_answer(request, id, frame)).await
    }

    /// Waits for an answer.
    pub(super) async fn answer(&mut self, to: &str, is_it: impl Fn(&Value) -> bool) -> Result<Value, String> {
        let time = self.subject.access.timeout;
        let end = Instant::now() + time;
        self.passed.clear();
        loop {
            match self.until(end).await? {
                Brought::Frame(frame) if is_it(&frame) => return Ok(frame),
                Brought::Frame(frame) => self.passed.push(frame),
                Brought::Closed(closed) => {
                    let told = closed.told(&self.subject.endpoint.contract);
                    return Err(format!("{to} is not answered: {told}"));
                }
                Brought::Nothing => return Err(format!("{to} is not answered within {}", in_seconds(time))),
            }
        }
    }

    /// What came before the last answer.
    pub(super) fn passed(&self) -> &[Value] {
        &self.passed
    }

    /// Waits after a request without a reply: there has to be no error, and no end.
    pub(super) async fn nothing_wrong(&mut self, after: &str) -> Result<(), String> {
        let end = Instant::now() + GRACE;
        loop {
            match self.until(end).await? {
                Brought::Frame(frame) if frame["type"] == "error" => {
                    return Err(format!("{after} is refused: {}", told(&frame)));
                }
                Brought::Frame(_) => {}
                Brought::Closed(closed) => return Err(closed.told(&self.subject.endpoint.contract)),
                Brought::Nothing => return Ok(()),
            }
        }
    }

    /// Sends a request that is to be accepted, and returns the reply.
    pub(super) async fn accepted(&mut self, request: &Request, payload: Option<&Value>) -> Result<Value, String> {
        let answer = self.ask(request, payload).await?;
        expect_reply(request, payload, answer)
    }
}

/// The reply of a request, or a sentence about what came instead.
pub(super) fn expect_reply(request: &Request, payload: Option<&Value>, answer: Value) -> Result<Value, String> {
    let kind = answer["type"].as_str().unwrap_or_default();
    let sent = payload.map_or("no payload".into(), brief);
    if kind == "error" {
        return Err(format!("{sent} is refused: {}", told(&answer)));
    }
    match &request.reply {
        Some(reply) if reply.name == kind => Ok(answer),
        Some(reply) => Err(format!("{sent} is answered `{kind}`, not `{}`", reply.name)),
        None => Err(format!("{sent} is answered `{kind}`, where the document says no reply")),
    }
}

/// An error frame in a sentence.
pub(super) fn told(error: &Value) -> String {
    let text = |key: &str| error["payload"][key].as_str().unwrap_or_default().to_owned();
    format!("{}, {}", text("code"), text("message"))
}
