//! What a document promises, read back from the document: the one model behind clients, comparisons and checks.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::pointer::last;

/// This is what an AsyncAPI document promises to a client. It is read from 2.x and 3.x documents alike, so whatever
/// works on it works for any server that writes frames with a `type` and a `payload`.
///
/// ```
/// use fastws_asyncapi::Contract;
///
/// let contract = Contract::read(r##"{
///     "asyncapi": "2.4.0",
///     "info": { "title": "Clock", "version": "1.0.0" },
///     "channels": { "/ws": { "publish": { "message": { "$ref": "#/components/messages/ping" } } } },
///     "components": { "messages": { "ping": { "payload": {
///         "type": "object",
///         "required": ["type"],
///         "properties": { "type": { "const": "ping" }, "payload": { "type": "integer" } }
///     } } } }
/// }"##)?;
/// assert_eq!(contract.requests[0].message.name, "ping");
/// # Ok::<(), fastws_asyncapi::ContractError>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Contract {
    /// The version of AsyncAPI, such as `2.4.0`.
    pub asyncapi: String,
    /// What the API is called.
    pub title: String,
    /// The API's own version.
    pub version: String,
    /// What the API is for, as Markdown.
    pub description: Option<String>,
    /// The path of the WebSocket, such as `/api/v1/ws`.
    pub path: String,
    /// The addresses of the WebSocket, such as `ws://localhost:8000/api/v1/ws`, in the document's order.
    pub urls: Vec<String>,
    /// What clients may send, by name.
    pub requests: Vec<Request>,
    /// What the server sends unasked, by name: updates of topics and notices. Neither replies nor `error` are here.
    pub events: Vec<Event>,
    /// The `error` message, if the document has one.
    pub error: Option<Message>,
    /// The named schemas; references to them read `#/components/schemas/Bar`.
    pub schemas: Map<String, Value>,
    /// Close codes with their meaning.
    pub close_codes: BTreeMap<u16, String>,
    /// After how many seconds of silence the server closes a connection.
    pub heartbeat: Option<f64>,
    /// How many seconds a connection may live.
    pub lifespan: Option<f64>,
    /// The security schemes that the servers list, by name.
    pub security: BTreeMap<String, Value>,
}

/// This is a message that clients may send, with its one answer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Request {
    /// The request itself.
    pub message: Message,
    /// The reply, unless the request gets none.
    pub reply: Option<Message>,
    /// What it does to topics.
    pub topic: Option<TopicUse>,
}

/// This is a message that the server sends unasked.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Event {
    /// The message.
    pub message: Message,
    /// The template of the topic whose update it is, such as `bars:{symbol}:{resolution}`.
    pub topic: Option<String>,
}

/// This is one message: its name, its words, and the schemas of its frame and its payload.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Message {
    /// The `type` on the wire.
    pub name: String,
    /// A heading for a person.
    pub title: String,
    /// One sentence.
    pub summary: Option<String>,
    /// More, as Markdown.
    pub description: Option<String>,
    /// Groups.
    pub tags: Vec<String>,
    /// Whether clients should move on to something else.
    pub deprecated: bool,
    /// The schema of the whole frame.
    pub frame: Value,
    /// The schema of the payload, usually a reference; `None` when the message carries none.
    pub payload: Option<Value>,
    /// Whether the frame needs its payload.
    pub needs_payload: bool,
    /// Whether the frame may carry an `id`.
    pub has_id: bool,
    /// Whole frames that show the message.
    pub examples: Vec<Value>,
}

/// This is what a request does to topics.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopicUse {
    /// The template, such as `bars:{symbol}:{resolution}`; `*` for every topic of the connection.
    pub template: String,
    /// Subscribe, with what follows from it, or unsubscribe.
    pub role: TopicUseRole,
}

/// This is which side of a subscription a request is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicUseRole {
    /// It begins a subscription.
    Subscribe {
        /// The messages that bring the updates.
        updates: Vec<String>,
        /// The request that ends it again, with the same payload.
        unsubscribe: Option<String>,
        /// Where there is none: the request that ends one topic of it, given the fields of the template.
        unsubscribe_each: Option<String>,
    },
    /// It ends one.
    Unsubscribe,
}

/// This is why a text is no contract. It is a sentence for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContractError(String);

impl std::fmt::Display for ContractError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ContractError {}

impl Contract {
    /// Reads a document, JSON or YAML.
    ///
    /// # Errors
    /// A sentence, when the text is no AsyncAPI document of version 2 or 3 with one WebSocket.
    pub fn read(text: &str) -> Result<Self, ContractError> {
        Self::of(&parse(text)?)
    }

    /// Reads a document that is parsed already.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn of(document: &Value) -> Result<Self, ContractError> {
        let version = document.get("asyncapi").and_then(Value::as_str);
        let Some(version) = version else {
            return Err(ContractError("this is no AsyncAPI document: it has no `asyncapi` version".into()));
        };
        let reader = Reader { document };
        match version.split('.').next() {
            Some("2") => reader.read_2(version),
            Some("3") => reader.read_3(version),
            _ => Err(ContractError(format!("AsyncAPI {version} is not known here: 2.x and 3.x are"))),
        }
    }

    /// The request of a name.
    pub fn request(&self, name: &str) -> Option<&Request> {
        self.requests.iter().find(|request| request.message.name == name)
    }

    /// All messages that the server sends: replies, events, and the error.
    pub fn from_server(&self) -> impl Iterator<Item = &Message> {
        let replies = self.requests.iter().filter_map(|request| request.reply.as_ref());
        replies.chain(self.events.iter().map(|event| &event.message)).chain(&self.error)
    }
}

/// A document's tree, from JSON or YAML.
///
/// # Errors
/// A sentence with a line and a column, when the text is neither.
pub fn parse(text: &str) -> Result<Value, ContractError> {
    let is_json = text.trim_start().starts_with('{');
    let parsed = if is_json {
        serde_json::from_str(text).map_err(|error| error.to_string())
    } else {
        let options = serde_yaml::options! { with_snippet: false };
        serde_yaml::from_str_with_options(text, options).map_err(|error| error.to_string())
    };
    let kind = if is_json { "JSON" } else { "YAML" };
    parsed.map_err(|error| ContractError(format!("this is no document: it is not {kind} ({error})")))
}

struct Reader<'a> {
    document: &'a Value,
}

/// This is a message where the document keeps it, under the name that references use.
struct Kept<'a> {
    key: String,
    value: &'a Value,
}

impl<'a> Reader<'a> {
    /// 2.x: `publish` is what a client may publish, `x-response` its reply.
    fn read_2(self, version: &str) -> Result<Contract, ContractError> {
        let (path, channel) = self.only_channel()?;
        let kept = |operation: &str| -> Result<Vec<Kept<'a>>, ContractError> {
            let Some(message) = channel.get(operation).and_then(|operation| operation.get("message")) else {
                return Ok(Vec::new());
            };
            match message.get("oneOf").and_then(Value::as_array) {
                Some(several) => several.iter().map(|message| self.kept(message)).collect(),
                None => Ok(vec![self.kept(message)?]),
            }
        };
        let mut requests = Vec::new();
        for message in kept("publish")? {
            let reply = match message.value.get("x-response") {
                Some(reply) => Some(self.message(&self.kept(reply)?)),
                None => None,
            };
            requests.push(Request { topic: topic_use(message.value), message: self.message(&message), reply });
        }
        let sent = kept("subscribe")?.into_iter().map(|message| self.event(&message)).collect();
        let urls = self.servers().map(|(_, server)| {
            let url = with_defaults(text(server, "url").unwrap_or_default(), server);
            if url.contains("://") { url } else { format!("{}://{url}", text(server, "protocol").unwrap_or("ws")) }
        });
        let urls = urls.map(|url| format!("{}{path}", url.trim_end_matches('/'))).collect();
        Ok(self.contract(version, path, channel, urls, requests, sent))
    }

    /// 3.x: what the server receives is what a client sends, and an operation has its reply.
    fn read_3(self, version: &str) -> Result<Contract, ContractError> {
        let (key, channel) = self.only_channel()?;
        let path = text(channel, "address").unwrap_or(key);
        let mut requests = Vec::new();
        let mut sent = Vec::new();
        for operation in self.members("operations").map(|(_, operation)| operation) {
            let messages = match operation.get("messages").and_then(Value::as_array) {
                Some(messages) => messages.iter().map(|message| self.kept(message)).collect::<Result<Vec<_>, _>>()?,
                None => Vec::new(),
            };
            if text(operation, "action") != Some("receive") {
                sent.extend(messages.iter().map(|message| self.event(message)));
                continue;
            }
            let mut reply = None;
            for message in operation.pointer("/reply/messages").and_then(Value::as_array).into_iter().flatten() {
                let message = self.message(&self.kept(message)?);
                if message.name == "error" {
                    sent.push(Event { message, topic: None });
                } else {
                    reply = Some(message);
                }
            }
            for message in messages {
                let topic = topic_use(operation).or_else(|| topic_use(message.value));
                requests.push(Request { message: self.message(&message), reply: reply.clone(), topic });
            }
        }
        let urls = self.servers().map(|(_, server)| {
            let host = with_defaults(text(server, "host").unwrap_or_default(), server);
            let prefix = with_defaults(text(server, "pathname").unwrap_or_default(), server);
            format!("{}://{host}{}{path}", text(server, "protocol").unwrap_or("ws"), prefix.trim_end_matches('/'))
        });
        let urls = urls.collect();
        Ok(self.contract(version, path, channel, urls, requests, sent))
    }

    fn contract(
        &self,
        version: &str,
        path: &str,
        channel: &Value,
        urls: Vec<String>,
        mut requests: Vec<Request>,
        sent: Vec<Event>,
    ) -> Contract {
        let replies: BTreeSet<_> =
            requests.iter().filter_map(|request| Some(request.reply.as_ref()?.name.clone())).collect();
        let mut by_name: BTreeMap<_, _> = sent.into_iter().map(|event| (event.message.name.clone(), event)).collect();
        let error = by_name.remove("error").map(|event| event.message);
        let events = by_name.into_iter().filter(|(name, _)| !replies.contains(name)).map(|(_, event)| event).collect();
        requests.sort_by(|a, b| a.message.name.cmp(&b.message.name));
        pair_unsubscribes(&mut requests);

        let info = &self.document["info"];
        let object = |pointer: &str| self.document.pointer(pointer).and_then(Value::as_object).cloned();
        let close_codes = channel.get("x-close-codes").and_then(Value::as_object).into_iter().flatten();
        Contract {
            asyncapi: version.into(),
            title: text(info, "title").unwrap_or("API").into(),
            version: text(info, "version").unwrap_or_default().into(),
            description: text(info, "description").map(str::to_owned),
            path: path.into(),
            urls,
            requests,
            events,
            error,
            schemas: object("/components/schemas").unwrap_or_default(),
            close_codes: close_codes
                .filter_map(|(code, meaning)| Some((code.parse().ok()?, meaning.as_str()?.to_owned())))
                .collect(),
            heartbeat: channel.get("x-heartbeat-interval-seconds").and_then(Value::as_f64),
            lifespan: channel.get("x-max-connection-lifespan-seconds").and_then(Value::as_f64),
            security: object("/components/securitySchemes").unwrap_or_default().into_iter().collect(),
        }
    }

    fn only_channel(&self) -> Result<(&'a str, &'a Value), ContractError> {
        let mut channels = self.members("channels");
        let Some((path, channel)) = channels.next() else {
            return Err(ContractError("the document has no channel: there is nowhere to connect to".into()));
        };
        match channels.count() {
            0 => Ok((path, self.resolved(channel)?)),
            more => Err(ContractError(format!("the document has {} channels: one WebSocket is one channel", more + 1))),
        }
    }

    fn members(&self, key: &str) -> impl Iterator<Item = (&'a str, &'a Value)> + use<'a> {
        let members = self.document.get(key).and_then(Value::as_object).into_iter().flatten();
        members.map(|(name, value)| (name.as_str(), value))
    }

    fn servers(&self) -> impl Iterator<Item = (&'a str, &'a Value)> + use<'a> {
        self.members("servers")
    }

    fn resolved(&self, mut value: &'a Value) -> Result<&'a Value, ContractError> {
        for _ in 0..MAX_REFERENCES {
            let Some(reference) = text(value, "$ref") else { return Ok(value) };
            let found = reference.strip_prefix('#').and_then(|pointer| self.document.pointer(pointer));
            value = found.ok_or_else(|| ContractError(format!("the reference `{reference}` leads nowhere")))?;
        }
        Err(ContractError("a reference leads to itself".into()))
    }

    /// Follows a reference to a message.
    fn kept(&self, message: &'a Value) -> Result<Kept<'a>, ContractError> {
        let key = text(message, "$ref").map(last);
        Ok(Kept { key: key.unwrap_or_default(), value: self.resolved(message)? })
    }

    fn event(&self, kept: &Kept<'a>) -> Event {
        Event { message: self.message(kept), topic: text(kept.value, "x-topic").map(str::to_owned) }
    }

    fn message(&self, Kept { key, value }: &Kept<'a>) -> Message {
        let frame = value.get("payload").cloned().unwrap_or(Value::Bool(true));
        let shape = value.get("payload").and_then(|frame| self.resolved(frame).ok()).unwrap_or(&Value::Null);
        let member = |name: &str| shape.get("properties").and_then(|properties| properties.get(name));
        let wire = member("type").and_then(|kind| self.resolved(kind).ok()).and_then(constant);
        let key = Some(key.as_str()).filter(|key| !key.is_empty());
        let named = wire.or_else(|| text(value, "messageId")).or(key).or_else(|| text(value, "name"));
        let name = named.unwrap_or_default().to_owned();
        let required = shape.get("required").and_then(Value::as_array);
        let examples = value.get("examples").and_then(Value::as_array).into_iter().flatten();
        let tags = value.get("tags").and_then(Value::as_array).into_iter().flatten();
        let is_set = |value: &Value, key: &str| value.get(key).is_some_and(|flag| *flag == true);
        let payload = member("payload").filter(|payload| {
            self.resolved(payload).is_ok_and(|payload| payload.get("type").is_none_or(|kind| kind != "null"))
        });
        Message {
            title: text(value, "title").unwrap_or(&name).into(),
            summary: text(value, "summary").map(str::to_owned),
            description: text(value, "description").map(str::to_owned),
            tags: tags.filter_map(|tag| Some(text(tag, "name")?.to_owned())).collect(),
            deprecated: is_set(value, "x-deprecated") || is_set(shape, "deprecated"),
            payload: payload.cloned(),
            needs_payload: required.is_some_and(|required| required.iter().any(|name| name == "payload")),
            has_id: member("id").is_some(),
            examples: examples.filter_map(|example| example.get("payload")).cloned().collect(),
            frame,
            name,
        }
    }
}

const MAX_REFERENCES: usize = 32;

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

/// The one text that a schema allows. FastWS allows any text beside it, which says nothing more.
fn constant(schema: &Value) -> Option<&str> {
    let list = |key: &str| schema.get(key).and_then(Value::as_array);
    let only = || list("enum").filter(|choices| choices.len() == 1)?.first()?.as_str();
    let first = || list("anyOf")?.iter().find_map(|choice| text(choice, "const"));
    text(schema, "const").or_else(only).or_else(first)
}

fn topic_use(message: &Value) -> Option<TopicUse> {
    let template = text(message, "x-topic")?.to_owned();
    let role = match message.get("x-updates").and_then(Value::as_array) {
        Some(updates) => TopicUseRole::Subscribe {
            updates: updates.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            unsubscribe: text(message, "x-unsubscribe").map(str::to_owned),
            unsubscribe_each: None,
        },
        None => TopicUseRole::Unsubscribe,
    };
    Some(TopicUse { template, role })
}

/// What ends a subscription is what the document names, or else a request with the same template: with the same payload
/// if it takes that, or else topic by topic.
fn pair_unsubscribes(requests: &mut [Request]) {
    let ends = |request: &Request, named: Option<&str>, template: &str| {
        let topic = request.topic.as_ref().filter(|topic| topic.role == TopicUseRole::Unsubscribe);
        match named {
            Some(name) => request.message.name == name,
            None => topic.is_some_and(|topic| topic.template == template),
        }
    };
    let all: Vec<_> = requests.to_vec();
    for Request { message, topic, .. } in requests {
        let Some(TopicUse { template, role }) = topic else { continue };
        let TopicUseRole::Subscribe { unsubscribe, unsubscribe_each, .. } = role else { continue };
        let named = unsubscribe.take();
        let mut endings = all.iter().filter(|request| ends(request, named.as_deref(), template));
        let same = endings.clone().find(|ending| ending.message.payload == message.payload);
        *unsubscribe = same.map(|ending| ending.message.name.clone());
        if unsubscribe.is_none() {
            *unsubscribe_each = endings.next().map(|ending| ending.message.name.clone());
        }
    }
}

/// An address with its variables' defaults filled in.
fn with_defaults(address: &str, server: &Value) -> String {
    let variables = server.get("variables").and_then(Value::as_object).into_iter().flatten();
    variables.fold(address.to_owned(), |address, (name, variable)| {
        let first = || variable.get("enum").and_then(Value::as_array)?.first()?.as_str();
        let value = text(variable, "default").or_else(first).unwrap_or_default();
        address.replace(&format!("{{{name}}}"), value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_called_as_its_type_however_that_is_written() {
        for kind in [
            r#"{ "const": "ping" }"#,
            r#"{ "enum": ["ping"] }"#,
            r#"{ "anyOf": [{ "const": "ping" }, { "type": "string" }] }"#,
        ] {
            let text = format!(
                r##"{{ "asyncapi": "2.4.0", "channels": {{ "/": {{ "publish": {{ "message": {{
                    "name": "send_ping", "payload": {{ "properties": {{ "type": {kind} }} }}
                }} }} }} }} }}"##
            );
            assert_eq!(Contract::read(&text).expect("a contract").requests[0].message.name, "ping", "{kind}");
        }
    }

    #[test]
    fn what_is_no_document_is_told_in_a_sentence() {
        let refused = |text: &str| Contract::read(text).expect_err("it is no contract").to_string();
        assert!(refused("{").contains("not JSON"), "{}", refused("{"));
        assert!(refused("a: [1").contains("not YAML"), "{}", refused("a: [1"));
        assert!(!refused("a: [1").contains('\n'), "{}", refused("a: [1"));
        assert!(refused("{}").contains("no `asyncapi` version"));
        assert!(refused(r#"{"asyncapi": "1.2.0"}"#).contains("1.2.0 is not known"));
        assert!(refused(r#"{"asyncapi": "2.4.0", "channels": {}}"#).contains("no channel"));
        let nowhere = r##"{"asyncapi": "2.4.0", "channels": {"/": {"publish": {"message": {"$ref": "#/nowhere"}}}}}"##;
        assert!(refused(nowhere).contains("`#/nowhere` leads nowhere"));
    }
}
