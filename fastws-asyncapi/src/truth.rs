//! Whether a document is true: what it says is held against the running service.

use std::collections::BTreeMap;
use std::time::Duration;

use fastws_core::FastWs;
use fastws_core::testing::TestClient;
use jsonschema::Validator;
use serde_json::{Value, json};

use crate::AsyncApi;
use crate::contract::{Contract, Message, Request};
use crate::lint::{Severity, lint};
use crate::mutation::{Mutation, mutations};

/// Holds a service against its own document, for users' tests: one line, and whatever is not true fails the test.
///
/// * The document is sound: it has no finding of [`lint`](crate::lint()) that is an error.
/// * Every example of every request is accepted, and its reply is the documented one and echoes the `id`.
/// * Payloads beside the examples, a few hundred for each operation, are answered `invalid_payload` exactly when the
///   schema rejects them.
/// * Every frame that the service writes meanwhile matches exactly one documented message.
///
/// The requests are really made: give it a service over test data.
///
/// ```no_run
/// # use fastws_core::FastWs;
/// # async fn run() -> Result<(), fastws_core::BuildError> {
/// let ws = FastWs::builder().build()?;
/// fastws_asyncapi::assert_documented(&ws).await;
/// # Ok(())
/// # }
/// ```
///
/// # Panics
/// With a list of everything that is not true.
pub async fn assert_documented(ws: &FastWs) {
    assert_documented_except(ws, &[]).await;
}

/// Does as [`assert_documented`], for a service with operations whose checks are stricter than JSON Schema can say, such
/// as a `custom` rule: they are named, and may refuse payloads that their schemas accept.
///
/// # Panics
/// With a list of everything that is not true.
pub async fn assert_documented_except(ws: &FastWs, stricter: &[&str]) {
    let docs = AsyncApi::new("Service under test", "1.0.0").server("test", "ws://localhost/ws");
    let mut trial = Trial::new(ws, docs.contract(ws), stricter);
    let errors = lint(&docs.document(ws)).into_iter().filter(|finding| finding.severity == Severity::Error);
    trial.lies.extend(errors.map(|finding| finding.to_string()));
    for request in trial.contract.requests.clone() {
        trial.examples(&request).await;
        trial.mutations(&request).await;
    }
    let lies = trial.lies;
    assert!(lies.is_empty(), "the document is not true:\n  {}", lies.join("\n  "));
}

/// How many lies of one operation are listed: one mistake tends to have many.
const MAX_LIES: usize = 5;
/// How long updates are listened to after a subscription. With a paused clock this takes no time.
const LISTEN: Duration = Duration::from_millis(100);
/// And how many of them are looked at: a source may never be silent for so long.
const UPDATES: usize = 50;
/// How many mistakes one connection may make: the server would close it after ten.
const MISTAKES: usize = 8;

struct Trial<'a> {
    ws: &'a FastWs,
    contract: Contract,
    stricter: &'a [&'a str],
    /// What the server may send: name and frame.
    from_server: BTreeMap<String, Validator>,
    lies: Vec<String>,
}

impl<'a> Trial<'a> {
    fn new(ws: &'a FastWs, contract: Contract, stricter: &'a [&'a str]) -> Self {
        let compile = |message: &Message| {
            let validator = fastws_core::validator(&message.frame, &contract.schemas);
            (message.name.clone(), validator.expect("schemas of a service compile"))
        };
        let from_server = contract.from_server().map(compile).collect();
        Self { ws, contract, stricter, from_server, lies: Vec::new() }
    }

    /// Sends the examples of a request, each over a connection of its own.
    async fn examples(&mut self, request: &Request) {
        let name = &request.message.name;
        if request.message.examples.is_empty() {
            self.lies.push(format!("`{name}` has no example: give one with `example = …`"));
        }
        for example in &request.message.examples {
            let mut client = TestClient::connect(self.ws).await;
            let mut frame = example.clone();
            frame["id"] = "example".into();
            let answer = self.ask(&mut client, frame, request.reply.is_some()).await;
            match (&request.reply, answer) {
                (Some(reply), Some(answer)) if answer["type"] != reply.name.as_str() => {
                    self.lies.push(format!("`{name}`: its example {example} is answered {answer}"));
                }
                (None, Some(answer)) => {
                    self.lies.push(format!(
                        "`{name}`: its example {example} is answered {answer}, and there is to be no reply"
                    ));
                }
                _ => {}
            }
            for _ in 0..UPDATES {
                let Some(frame) = client.recv_within(LISTEN).await else { break };
                self.hold(&frame);
            }
        }
    }

    /// Sends payloads beside the examples: the schema and the server have to agree about each.
    async fn mutations(&mut self, request: &Request) {
        let name = &request.message.name;
        let frame_schema = fastws_core::validator(&request.message.frame, &self.contract.schemas);
        let (Some(schema), Ok(documented)) = (&request.message.payload, frame_schema) else { return };
        let mut told = 0;
        let mut mistakes = 0;
        let mut client = TestClient::connect(self.ws).await;
        let examples = request.message.examples.iter().filter_map(|example| example.get("payload"));
        let payloads: Vec<_> =
            examples.flat_map(|example| mutations(example, schema, &self.contract.schemas)).collect();
        for Mutation { payload, .. } in payloads {
            let frame = json!({ "type": name, "id": "mutation", "payload": payload });
            let is_documented = documented.is_valid(&frame);
            let answer = self.ask(&mut client, frame, request.reply.is_some()).await;
            let is_refused = answer.as_ref().is_some_and(|answer| answer["payload"]["code"] == "invalid_payload");
            let shown = shortened(&payload);
            if is_documented && is_refused && !self.stricter.contains(&name.as_str()) {
                let details = answer.as_ref().map_or(Value::Null, |answer| answer["payload"]["details"].clone());
                self.lies.push(format!("`{name}`: the schema accepts {shown}, the server refuses it: {details}"));
                told += 1;
            }
            if !is_documented && !is_refused {
                self.lies.push(format!("`{name}`: the schema rejects {shown}, the server takes it"));
                told += 1;
            }
            if told >= MAX_LIES {
                return;
            }
            mistakes += usize::from(answer.is_some_and(|answer| answer["type"] == "error"));
            if mistakes >= MISTAKES {
                mistakes = 0;
                client = TestClient::connect(self.ws).await;
            }
        }
    }

    /// Sends a request and returns its answer. One without a reply is followed by a ping, whose answer comes after any
    /// error.
    async fn ask(&mut self, client: &mut TestClient, frame: Value, has_reply: bool) -> Option<Value> {
        let own = frame["id"].as_str().unwrap_or_default().to_owned();
        client.send_text(frame.to_string()).await;
        if !has_reply {
            client.send_text(json!({ "type": "ping", "id": "after" }).to_string()).await;
        }
        let mut answer = None;
        loop {
            let frame = client.recv().await;
            self.hold(&frame);
            match frame["id"].as_str() {
                Some("after") => return answer,
                Some(id) if id == own && has_reply => return Some(frame),
                Some(id) if id == own => answer = Some(frame),
                _ => {}
            }
        }
    }

    /// A frame matches exactly one message.
    fn hold(&mut self, frame: &Value) {
        let matching: Vec<_> = self
            .from_server
            .iter()
            .filter(|(_, schema)| schema.is_valid(frame))
            .map(|(name, _)| name.as_str())
            .collect();
        if let [_] = matching.as_slice() {
            return;
        }
        let named = frame["type"].as_str().and_then(|name| self.from_server.get(name));
        let fault = named
            .and_then(|schema| schema.iter_errors(frame).next())
            .map(|fault| format!("{fault} at `{}`", fault.instance_path()));
        let why = match (matching.as_slice(), fault) {
            ([], Some(fault)) => fault,
            ([], None) => "no message has its type".to_owned(),
            (several, _) => format!("it is all of {}", several.join(", ")),
        };
        let lie = format!("the frame {} is not one documented message: {why}", shortened(frame));
        if !self.lies.contains(&lie) {
            self.lies.push(lie);
        }
    }
}

/// A value as text that fits a line.
fn shortened(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(160) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
