//! The operations of a contract as methods, in namespaces.

use std::collections::BTreeSet;

use serde_json::Value;

use super::text::{camel, comment, free, is_identifier, key, pascal, quoted};
use super::types::Types;
use super::updates;
use crate::client::Namespace;
use crate::contract::{Contract, Request};

/// This is one name of the API: a method, a stream, a namespace, or a method that is a namespace too.
pub(super) struct Member<'a> {
    pub(super) name: String,
    kind: Kind<'a>,
    inner: Vec<Member<'a>>,
}

enum Kind<'a> {
    Namespace,
    Method(&'a Request),
    Stream(&'a Request),
}

/// What the API has of its own, so that no operation may take its place. `then` would make it look like a promise.
const OWN: [&str; 21] = [
    "attempts",
    "close",
    "constructor",
    "hasOwnProperty",
    "isPrototypeOf",
    "lastClose",
    "on",
    "onState",
    "onSubscription",
    "opened",
    "propertyIsEnumerable",
    "request",
    "state",
    "stream",
    "then",
    "toLocaleString",
    "toString",
    "valueOf",
    "toJSON",
    "catch",
    "finally",
];

/// The names at the top of the API.
pub(super) fn members(contract: &Contract) -> Vec<Member<'_>> {
    within(&Namespace::of(contract), OWN.iter().map(|&name| name.to_owned()).collect(), true)
}

fn within<'a>(space: &Namespace<'a>, mut taken: BTreeSet<String>, is_top: bool) -> Vec<Member<'a>> {
    let names: BTreeSet<&str> = space.requests.keys().chain(space.inner.keys()).copied().collect();
    let mut members = Vec::new();
    for name in names {
        let readable = Some(camel(name)).filter(|camel| !camel.is_empty()).unwrap_or_else(|| name.to_owned());
        let inner = space.inner.get(name).map(|inner| within(inner, BTreeSet::new(), false)).unwrap_or_default();
        let kind = space.requests.get(name).map_or(Kind::Namespace, |request| Kind::Method(request));
        members.push(Member { name: free(readable, &mut taken), kind, inner });
    }
    let streams: Vec<_> = space.subscribes().map(|(request, _)| request).collect();
    for request in &streams {
        let last = request.message.name.rsplit('.').find(|segment| !segment.is_empty()).unwrap_or_default();
        let is_the_one = !is_top && (streams.len() == 1 || last == "subscribe");
        let name = if is_the_one { "stream".to_owned() } else { format!("stream{}", pascal(last)) };
        members.push(Member { name: free(name, &mut taken), kind: Kind::Stream(request), inner: Vec::new() });
    }
    members
}

impl<'a> Member<'a> {
    /// The first subscribe request that has a stream here.
    pub(super) fn first_stream(&self) -> Option<&'a Request> {
        match self.kind {
            Kind::Stream(request) => Some(request),
            _ => self.inner.iter().find_map(Member::first_stream),
        }
    }
}

/// Two lines that show how to subscribe and to follow, for the first stream that there is.
pub(super) fn shown_call(member: &Member<'_>, path: &str) -> Option<Vec<String>> {
    let path = format!("{path}{}", access(&member.name));
    let Some(stream) = member.inner.iter().find(|inner| matches!(inner.kind, Kind::Stream(_))) else {
        return member.inner.iter().find_map(|inner| shown_call(inner, &path));
    };
    let Kind::Stream(request) = stream.kind else { return None };
    let subscribe = member
        .inner
        .iter()
        .find(|inner| matches!(inner.kind, Kind::Method(method) if std::ptr::eq(method, request)))?;
    let payload = shown_payload(request).map_or_else(String::new, |payload| shown(&payload));
    Some(vec![
        format!("    const reply = await {path}{}({payload});", access(&subscribe.name)),
        format!("    for await (const update of {path}{}({payload})) console.log(update);", access(&stream.name)),
    ])
}

/// The payload of a request's first example.
pub(super) fn shown_payload(request: &Request) -> Option<Value> {
    request.message.examples.first().and_then(|example| example.get("payload")).cloned()
}

/// A value as a person writes it in TypeScript, on one line.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Array(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(", ")),
        Value::Object(members) if members.is_empty() => "{}".into(),
        Value::Object(members) => {
            let members: Vec<_> =
                members.iter().map(|(name, value)| format!("{}: {}", key(name), shown(value))).collect();
            format!("{{ {} }}", members.join(", "))
        }
        other => other.to_string(),
    }
}

fn access(name: &str) -> String {
    if is_identifier(name) { format!(".{name}") } else { format!("[{}]", quoted(name)) }
}

/// Declares the operations.
pub(super) fn interface(contract: &Contract, types: &Types<'_>) -> String {
    let body = declared(contract, types, &members(contract), 2);
    format!("/** The operations, by their names. */\nexport interface Operations {{\n{body}}}\n\n")
}

fn declared(contract: &Contract, types: &Types<'_>, members: &[Member<'_>], indent: usize) -> String {
    let pad = " ".repeat(indent);
    let mut text = String::new();
    for Member { name, kind, inner } in members {
        let name = key(name);
        let (about, signature) = match kind {
            Kind::Namespace => (String::new(), String::new()),
            Kind::Method(request) => {
                let reply = if replies(request) { reply(request, types) } else { "void".into() };
                (
                    about(request, indent),
                    format!("({}): Promise<{reply}>", parameters(request, types, "RequestOptions")),
                )
            }
            Kind::Stream(request) => {
                let frames = update_frames(contract, types, updates(request).unwrap_or_default());
                let of = format!("What `{}` brings, for as long as somebody loops over it.", request.message.name);
                let mut words = vec![of];
                words.extend(request.message.deprecated.then(|| "@deprecated".to_owned()));
                let parameters = parameters(request, types, "StreamOptions");
                (comment(indent, &words), format!("({parameters}): TopicStream<{frames}>"))
            }
        };
        if inner.is_empty() {
            text += &format!("{about}{pad}{name}{signature};\n");
            continue;
        }
        let inside = declared(contract, types, inner, indent + 2);
        let call = if signature.is_empty() { String::new() } else { format!("{pad}  {signature};\n") };
        text += &format!("{about}{pad}readonly {name}: {{\n{call}{inside}{pad}}};\n");
    }
    text
}

fn about(request: &Request, indent: usize) -> String {
    let message = &request.message;
    let summary = message.summary.clone().unwrap_or_else(|| message.title.clone());
    let mut words = vec![summary, message.description.clone().unwrap_or_default()];
    words.extend(message.deprecated.then(|| "@deprecated".to_owned()));
    comment(indent, &words)
}

fn parameters(request: &Request, types: &Types<'_>, options: &str) -> String {
    match payload(request, types) {
        Some((payload, true)) => format!("payload: {payload}, options?: {options}"),
        Some((payload, false)) => format!("payload?: {payload}, options?: {options}"),
        None => format!("options?: {options}"),
    }
}

/// The type of a request's payload, and whether it is needed.
pub(super) fn payload(request: &Request, types: &Types<'_>) -> Option<(String, bool)> {
    let payload = request.message.payload.as_ref()?;
    Some((types.expression(payload, 0), request.message.needs_payload))
}

fn replies(request: &Request) -> bool {
    request.reply.as_ref().is_some_and(|reply| reply.payload.is_some())
}

/// The type of what answers a request.
pub(super) fn reply(request: &Request, types: &Types<'_>) -> String {
    let payload = request.reply.as_ref().and_then(|reply| Some((reply.payload.as_ref()?, reply.needs_payload)));
    match payload {
        Some((payload, true)) => types.expression(payload, 0),
        Some((payload, false)) => format!("{} | undefined", types.expression(payload, 0)),
        None => "undefined".into(),
    }
}

/// The type of the frames that bring updates.
pub(super) fn update_frames(contract: &Contract, types: &Types<'_>, updates: &[String]) -> String {
    let frames = updates.iter().map(|name| {
        let event = contract.events.iter().find(|event| event.message.name == *name);
        event.map_or_else(
            || format!("{{ type: {}; payload?: unknown }}", quoted(name)),
            |event| types.frame(&event.message).to_owned(),
        )
    });
    let frames: Vec<_> = frames.collect();
    if frames.is_empty() { "never".into() } else { frames.join(" | ") }
}

/// Defines the operations: each is a request or a stream by its name.
pub(super) fn literal(members: &[Member<'_>]) -> String {
    if members.is_empty() { "{}".into() } else { defined(members, "Operations", 2) }
}

/// Whether a name is both an operation and a namespace.
pub(super) fn is_any_callable(members: &[Member<'_>]) -> bool {
    members.iter().any(|Member { kind, inner, .. }| {
        !inner.is_empty() && matches!(kind, Kind::Method(_)) || is_any_callable(inner)
    })
}

/// `path` is the type of all of them together.
fn defined(members: &[Member<'_>], path: &str, indent: usize) -> String {
    let pad = " ".repeat(indent + 2);
    let mut text = String::from("{\n");
    for Member { name, kind, inner } in members {
        let call = match kind {
            Kind::Namespace => None,
            Kind::Method(request) => Some(call("request", request)),
            Kind::Stream(request) => Some(call("stream", request)),
        };
        let path = format!("{path}[{}]", quoted(name));
        let value = match (call, inner.is_empty()) {
            (Some(call), true) => call,
            (Some(call), false) => format!("callable<{path}>({call}, {})", defined(inner, &path, indent + 2)),
            (None, _) => defined(inner, &path, indent + 2),
        };
        text += &format!("{pad}{}: {value},\n", key(name));
    }
    text + &" ".repeat(indent) + "}"
}

fn call(method: &str, request: &Request) -> String {
    let name = quoted(&request.message.name);
    if request.message.payload.is_some() {
        format!("(payload, options) => api.{method}({name}, payload, options)")
    } else {
        format!("(options) => api.{method}({name}, undefined, options)")
    }
}
