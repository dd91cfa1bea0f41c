//! `fastws listen`: a topic's updates as they come, for as long as it takes.

use std::pin::Pin;
use std::time::Duration;

use fastws_asyncapi::{Request, TopicUseRole};
use serde_json::{Map, Value};
use tokio::time::{sleep, timeout};

use crate::arguments::Listen;
use crate::call::{check, nearest};
use crate::endpoint::Endpoint;
use crate::payload;
use crate::print::{FAINT, NAME, Printer, STRONG, colored};
use crate::schema::{Schemas, faults};
use crate::socket::{Heard, Socket, frame, in_seconds, is_answer};
use crate::{Stop, document};

pub(crate) async fn run(arguments: &Listen, printer: &Printer) -> Result<(), Stop> {
    let given = payload::read(arguments.payload.as_deref())?;
    let endpoint = Endpoint::find(&arguments.target, printer)?;
    let (request, payload) = wanted(&endpoint, &arguments.topic, given)?;
    check(&endpoint, request, &frame(request, &Value::from(1), payload.as_ref()), printer)?;
    let subscription = Subscription { arguments, endpoint: &endpoint, request, payload, printer };
    let mut over = std::pin::pin!(over(arguments.time));
    let mut left = arguments.count.unwrap_or(u64::MAX);
    let mut pause = FIRST_PAUSE;
    let mut is_first = true;
    loop {
        let connecting = Socket::connect(&endpoint.socket, &endpoint.access);
        let connected = tokio::select! {
            connected = connecting => connected,
            () = &mut over => return Ok(()),
        };
        let why = match connected {
            Err(why) if is_first => return Err(Stop::Because(why)),
            Err(why) => why,
            Ok(mut socket) => match subscription.follow(&mut socket, &mut left, over.as_mut()).await? {
                Ended::Done => return Ok(()),
                Ended::Lost { why, had_subscribed, retry_after } => {
                    if had_subscribed {
                        pause = FIRST_PAUSE;
                    }
                    pause = retry_after.unwrap_or(pause);
                    why
                }
            },
        };
        is_first = false;
        printer.note(format_args!("{FAINT}{why}; connecting again in {}{FAINT:#}", in_seconds(pause)));
        tokio::select! {
            () = sleep(pause) => {}
            () = &mut over => return Ok(()),
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// How long the server may take to answer the unsubscribe.
const LAST_PATIENCE: Duration = Duration::from_secs(1);

/// Waits until nothing more is wanted: Ctrl-C, SIGTERM, or the time is up.
async fn over(time: Option<Duration>) {
    let time_is_up = async {
        match time {
            Some(time) => sleep(time).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = stopped() => {}
        () = time_is_up => {}
    }
}

async fn stopped() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    // Without a signal to wait for, the command ends when it is killed.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}

/// This is what is listened to.
struct Subscription<'a> {
    arguments: &'a Listen,
    endpoint: &'a Endpoint,
    request: &'a Request,
    payload: Option<Value>,
    printer: &'a Printer,
}

/// This is why a connection is not listened to any more.
enum Ended {
    /// All has come that was asked for, or nothing more is wanted.
    Done,
    /// The server has gone away, and may come back.
    Lost { why: String, had_subscribed: bool, retry_after: Option<Duration> },
}

impl Subscription<'_> {
    /// Subscribes, and prints what comes until there is an end.
    async fn follow(
        &self,
        socket: &mut Socket,
        left: &mut u64,
        mut over: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<Ended, Stop> {
        let id = Value::from("fastws-1");
        socket.send(frame(self.request, &id, self.payload.as_ref()).to_string()).await;
        let mut topics: Option<Vec<String>> = None;
        let mut retry_after = None;
        let patience = sleep(self.arguments.target.access.timeout);
        tokio::pin!(patience);
        loop {
            let heard = tokio::select! {
                heard = socket.hear() => heard,
                () = &mut over => {
                    self.unsubscribe(socket, &topics.unwrap_or_default()).await;
                    return Ok(Ended::Done);
                }
                () = &mut patience, if topics.is_none() => {
                    let time = in_seconds(self.arguments.target.access.timeout);
                    return Err(Stop::because(format!("the server does not answer within {time}")));
                }
            };
            let text = match heard {
                Heard::Text(text) => text,
                Heard::Binary => continue,
                Heard::Closed(closed) => {
                    let why = closed.told(&self.endpoint.contract);
                    if !closed.is_passing() {
                        return Err(Stop::Because(why));
                    }
                    return Ok(Ended::Lost { why, had_subscribed: topics.is_some(), retry_after });
                }
            };
            let Ok(frame) = serde_json::from_str::<Value>(&text) else { continue };
            if topics.is_none() && is_answer(self.request, &id, &frame) {
                if frame["type"] == "error" {
                    if frame["payload"]["code"] == "unavailable" {
                        let why = frame["payload"]["message"].as_str().unwrap_or("unavailable").to_owned();
                        return Ok(Ended::Lost { why, had_subscribed: false, retry_after });
                    }
                    self.printer.refusal(&frame["payload"]);
                    return Err(Stop::Refused);
                }
                let named = topics_of(&frame["payload"]);
                let told = if named.is_empty() { &self.request.message.name } else { &named.join(", ") };
                self.printer.note(format_args!("{FAINT}subscribed to {told}{FAINT:#}"));
                topics = Some(named);
                continue;
            }
            match frame["type"].as_str().unwrap_or_default() {
                "draining" => {
                    retry_after = frame["payload"]["retry_after_ms"].as_u64().map(Duration::from_millis);
                    self.printer.note(format_args!("{FAINT}the server is about to close this connection{FAINT:#}"));
                }
                "error" => self.printer.refusal(&frame["payload"]),
                "unsubscribed" if self.is_ours(&frame, topics.as_deref()) => {
                    let code = frame["payload"]["code"].as_str().unwrap_or("no reason");
                    let why =
                        format!("the server has ended {}: {code}", frame["topic"].as_str().unwrap_or("the topic"));
                    if frame["payload"]["resubscribe"] == true {
                        return Ok(Ended::Lost { why, had_subscribed: false, retry_after });
                    }
                    self.printer.note(why);
                    return Err(Stop::Refused);
                }
                _ if self.is_ours(&frame, topics.as_deref()) => {
                    self.print(&text, &frame)?;
                    *left -= 1;
                    if *left == 0 {
                        self.unsubscribe(socket, &topics.unwrap_or_default()).await;
                        return Ok(Ended::Done);
                    }
                }
                _ => {}
            }
        }
    }

    /// Whether a frame belongs to this subscription: by its topic, or by its type where the server names no topics.
    fn is_ours(&self, frame: &Value, topics: Option<&[String]>) -> bool {
        match (frame.get("topic").and_then(Value::as_str), topics) {
            (Some(topic), Some(topics)) if !topics.is_empty() => topics.iter().any(|ours| ours == topic),
            _ => match self.request.topic.as_ref().map(|topic| &topic.role) {
                Some(TopicUseRole::Subscribe { updates, .. }) => {
                    frame["type"] == "unsubscribed" || updates.iter().any(|update| frame["type"] == update.as_str())
                }
                _ => topics.is_some() && frame.get("topic").is_some(),
            },
        }
    }

    fn print(&self, text: &str, frame: &Value) -> Result<(), Stop> {
        if !self.printer.is_text {
            // One line each, however the server writes.
            let is_one_line = !text.contains(['\n', '\r']);
            let printed = if is_one_line { self.printer.line(text) } else { self.printer.line(frame) };
            return Ok(printed?);
        }
        let now = jiff::Zoned::now().strftime("%H:%M:%S%.3f");
        let name = frame["topic"].as_str().or_else(|| frame["type"].as_str()).unwrap_or_default();
        let mark = if frame["snapshot"] == true { format!(" {STRONG}snapshot{STRONG:#}") } else { String::new() };
        let payload = colored(frame.get("payload").unwrap_or(frame), false);
        Ok(self.printer.line(format_args!("{FAINT}{now}{FAINT:#} {NAME}{name}{NAME:#}{mark} {payload}"))?)
    }

    /// Ends the subscription and the connection, politely but not at any price.
    async fn unsubscribe(&self, socket: &mut Socket, topics: &[String]) {
        let goodbye = async {
            if let Some((ending, payload)) = ending(self.endpoint, self.request, self.payload.as_ref(), topics) {
                let id = Value::from("fastws-2");
                socket.send(frame(ending, &id, payload.as_ref()).to_string()).await;
                while ending.reply.is_some() {
                    match socket.hear().await {
                        Heard::Text(text) => {
                            let heard = serde_json::from_str(&text).unwrap_or_default();
                            if is_answer(ending, &id, &heard) {
                                break;
                            }
                        }
                        Heard::Binary => {}
                        Heard::Closed(_) => return,
                    }
                }
            }
            socket.say_goodbye().await;
        };
        // Whoever does not answer is left without a word.
        let _ = timeout(LAST_PATIENCE, goodbye).await;
    }
}

/// The request that ends what another began, with its payload: that of the beginning, or the topic.
pub(crate) fn ending<'a>(
    endpoint: &'a Endpoint,
    request: &Request,
    payload: Option<&Value>,
    topics: &[String],
) -> Option<(&'a Request, Option<Value>)> {
    let TopicUseRole::Subscribe { unsubscribe: Some(name), .. } = &request.topic.as_ref()?.role else { return None };
    let ending = endpoint.contract.request(name)?;
    let schema = Schemas::of(&endpoint.document.tree).compile(&ending.message.frame).ok()?;
    let candidates = [payload.cloned(), Some(serde_json::json!({ "topic": topics.first() })), None];
    let is_accepted =
        |payload: &Option<Value>| faults(&schema, &frame(ending, &Value::from("id"), payload.as_ref())).is_empty();
    Some((ending, candidates.into_iter().find(is_accepted)?))
}

/// The topics that a subscribe reply names.
pub(crate) fn topics_of(payload: &Value) -> Vec<String> {
    let several = payload.get("topics").and_then(Value::as_array).into_iter().flatten();
    let mut topics: Vec<_> = several.filter_map(|topic| Some(topic.as_str()?.to_owned())).collect();
    if topics.is_empty() {
        topics.extend(payload.get("topic").and_then(Value::as_str).map(str::to_owned));
    }
    topics
}

/// The request that brings what is wanted, with its payload.
fn wanted<'a>(endpoint: &'a Endpoint, topic: &str, given: Option<Value>) -> Result<(&'a Request, Option<Value>), Stop> {
    let contract = &endpoint.contract;
    let is_subscribe = |request: &&Request| {
        request.topic.as_ref().is_some_and(|topic| matches!(topic.role, TopicUseRole::Subscribe { .. }))
    };
    let subscribes: Vec<_> = contract.requests.iter().filter(is_subscribe).collect();
    if let Some(request) = contract.request(topic) {
        // A document that names no topics at all says nothing about this request either.
        if !subscribes.is_empty() && !is_subscribe(&request) {
            return Err(Stop::because(format!("`{topic}` subscribes to nothing; `fastws call` sends it")));
        }
        return Ok((request, given));
    }
    for request in &subscribes {
        let template = request.topic.as_ref().map_or("", |topic| &topic.template);
        let Some(fields) = fields(template, topic) else { continue };
        if given.is_some() {
            return Err(Stop::because(format!(
                "`{topic}` is a topic, which needs no payload; name the operation `{}` instead to give one",
                request.message.name
            )));
        }
        let schemas = Schemas::of(&endpoint.document.tree);
        return Ok((request, payload_of(request, fields, &schemas)));
    }
    let templates: Vec<_> =
        subscribes.iter().filter_map(|request| request.topic.as_ref().map(|topic| topic.template.as_str())).collect();
    let names = contract.requests.iter().map(|request| request.message.name.as_str());
    let near = nearest(topic, names.chain(templates.iter().copied()));
    let hint = match (&near[..], &templates[..]) {
        ([], []) => String::new(),
        ([], templates) => format!("; the topics are {}", templates.join(", ")),
        (near, _) => format!("; did you mean `{}`?", near.join("` or `")),
    };
    Err(Stop::because(format!(
        "no topic and no operation of {} is like `{topic}`{hint}",
        document::shown(&endpoint.document.place)
    )))
}

/// The fields of a topic's template, filled in from a topic; nothing when it is another's topic.
pub(crate) fn fields(template: &str, topic: &str) -> Option<Map<String, Value>> {
    // The spelling with compact JSON: `bars:{"resolution":"1","symbol":"AAPL"}`.
    let head = template.split('{').next().unwrap_or(template);
    if let Some(Value::Object(fields)) =
        topic.strip_prefix(head).filter(|rest| rest.starts_with("{\"")).and_then(|rest| serde_json::from_str(rest).ok())
    {
        return Some(fields);
    }
    let mut fields = Map::new();
    let mut rest = topic;
    let mut parts = template.split('{');
    rest = rest.strip_prefix(parts.next().unwrap_or_default())?;
    for part in parts {
        let (name, literal) = part.split_once('}')?;
        let end = match literal.chars().next() {
            Some(next) => rest.find(next)?,
            None => rest.len(),
        };
        let (value, after) = rest.split_at(end);
        if value.is_empty() || value.contains(':') {
            return None;
        }
        fields.insert(name.to_owned(), unescape(value).into());
        rest = after.strip_prefix(literal)?;
    }
    rest.is_empty().then_some(fields)
}

/// Percent-escapes as the characters that they stand for.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = tail.get(..2).filter(|_| *first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A topic's fields as a subscribe request wants them: as text, or as a number where text is refused.
fn payload_of(request: &Request, mut fields: Map<String, Value>, schemas: &Schemas) -> Option<Value> {
    if fields.is_empty() && !request.message.needs_payload {
        return None;
    }
    let id = Value::from(1);
    if let Ok(schema) = schemas.compile(&request.message.frame) {
        let whole = frame(request, &id, Some(&Value::Object(fields.clone())));
        for fault in faults(&schema, &whole) {
            let field = fault.path.strip_prefix("/payload/").and_then(|name| fields.get_mut(name));
            if let Some(field) = field
                && let Some(other) = field.as_str().and_then(|text| serde_json::from_str(text).ok())
            {
                *field = other;
            }
        }
    }
    Some(Value::Object(fields))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_topic_fills_the_fields_of_its_template() {
        let filled = |template: &str, topic: &str| fields(template, topic).map(Value::Object);
        let template = "bars:{symbol}:{resolution}";
        let apple = json!({ "symbol": "AAPL", "resolution": "1" });
        assert_eq!(filled(template, "bars:AAPL:1"), Some(apple.clone()));
        assert_eq!(filled(template, r#"bars:{"resolution":"1","symbol":"AAPL"}"#), Some(apple));
        assert_eq!(filled(template, "bars:A%3AB%25:1"), Some(json!({ "symbol": "A:B%", "resolution": "1" })));
        assert_eq!(filled("news", "news"), Some(json!({})));
        for other in ["bars:AAPL", "bars:AAPL:", "bars:AAPL:1:2", "quotes:AAPL:1", ""] {
            assert_eq!(filled(template, other), None, "{other}");
        }
    }
}
