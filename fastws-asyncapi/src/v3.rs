//! The AsyncAPI 3.0.0 and 3.1.0 documents: one operation for each request, with its reply, and for each message that
//! the server sends unasked. `action` is named from the server's side, so it is here that directions turn round.
//!
//! Source of the shape: <https://www.asyncapi.com/docs/reference/specification/v3.0.0>; 3.1.0 is the same for a
//! WebSocket.

use std::collections::BTreeSet;

use fastws_core::FastWs;
use serde_json::{Map, Value, json};

use crate::AsyncApi;
use crate::client::words;
use crate::info;
use crate::messages::Messages;
use crate::shape::free;

/// Writes the document of a version of 3.x.
pub(crate) fn document(api: &AsyncApi, ws: &FastWs, version: &str) -> Value {
    let Messages { schemas, messages, tags, .. } = Messages::of(ws);
    let operations = operations(ws, &messages);
    let references: Map<_, _> = messages
        .keys()
        .map(|name| (name.clone(), json!({ "$ref": format!("#/components/messages/{name}") })))
        .collect();
    let mut channel = json!({
        "address": api.channel,
        "title": api.title,
        "summary": "The one WebSocket; every message is routed by its type.",
        "messages": null,
        "bindings": info::binding(api),
    });
    channel["messages"] = references.into();
    if !api.servers.is_empty() {
        let servers = api.servers.iter().map(|server| json!({ "$ref": format!("#/servers/{}", server.name) }));
        channel["servers"] = servers.collect();
    }
    for (key, rule) in info::rules(ws) {
        channel[key] = rule;
    }

    let mut info = info::info(api);
    info["tags"] = info::tags(api, &tags);
    if let Some(docs) = info::external_docs(api) {
        info["externalDocs"] = docs;
    }
    let messages = messages.into_iter().map(|(name, message)| (name, native(message)));
    let mut document = json!({
        "asyncapi": version,
        "id": api.id,
        "info": info,
        "defaultContentType": "application/json",
    });
    if !api.servers.is_empty() {
        document["servers"] = servers(api);
    }
    document["channels"] = Map::from_iter([("ws".to_owned(), channel)]).into();
    document["operations"] = operations.into();
    document["components"] = info::components(api, messages, schemas);
    document
}

/// What 2.4.0 says in extensions, or in other places, 3.x says itself.
fn native(mut message: Value) -> Value {
    if let Value::Object(message) = &mut message {
        message.retain(|key, _| !["messageId", "x-response", "x-updates", "x-unsubscribe"].contains(&key.as_str()));
    }
    message
}

fn operations(ws: &FastWs, messages: &std::collections::BTreeMap<String, Value>) -> Map<String, Value> {
    let mut taken = BTreeSet::new();
    let mut operations = Map::new();
    let replies: BTreeSet<_> =
        ws.operations().iter().filter_map(|operation| Some(operation.reply.as_ref()?.name.as_str())).collect();
    let requests: BTreeSet<_> = ws
        .operations()
        .iter()
        .filter(|operation| operation.direction == fastws_core::Direction::Send)
        .map(|operation| operation.name.as_str())
        .collect();
    let here = |name: &str| json!({ "$ref": format!("#/channels/ws/messages/{name}") });
    for (name, message) in messages.iter().filter(|(name, _)| !replies.contains(name.as_str())) {
        let is_request = requests.contains(name.as_str());
        let mut operation = json!({ "action": if is_request { "receive" } else { "send" } });
        for key in ["title", "summary", "description"] {
            if let Some(text) = message.get(key) {
                operation[key] = text.clone();
            }
        }
        operation["channel"] = json!({ "$ref": "#/channels/ws" });
        operation["tags"] = message["tags"].clone();
        operation["messages"] = json!([here(name)]);
        if is_request {
            let response = message.pointer("/x-response/$ref").and_then(Value::as_str);
            let reply = response.and_then(|path| path.rsplit('/').next());
            let answers: Vec<_> = reply.into_iter().chain(["error"]).map(here).collect();
            operation["reply"] = json!({ "channel": { "$ref": "#/channels/ws" }, "messages": answers });
        }
        for key in ["x-topic", "x-updates", "x-unsubscribe", "x-deprecated"] {
            if let Some(extension) = message.get(key) {
                operation[key] = extension.clone();
            }
        }
        // Generators tell names apart by their letters alone.
        let key = free(&key(name), |key| taken.contains(&key.to_ascii_lowercase()));
        taken.insert(key.to_ascii_lowercase());
        operations.insert(key, operation);
    }
    operations
}

/// An operation's key: a name that JavaScript and Python take, and that no generator uses for itself.
fn key(name: &str) -> String {
    let mut words = words(name).into_iter();
    let first = words.next().unwrap_or_default();
    let rest = words.map(|word| {
        let mut letters = word.chars();
        letters.next().map_or_else(String::new, |first| first.to_uppercase().collect::<String>() + letters.as_str())
    });
    let key = first + &rest.collect::<String>();
    let is_reserved = RESERVED.contains(&key.as_str());
    match key.chars().next() {
        Some(letter) if letter.is_ascii_digit() => format!("operation{key}"),
        Some(_) if is_reserved => format!("{key}Operation"),
        Some(_) => key,
        None => "operation".into(),
    }
}

/// Words of JavaScript and Python, and the methods of the clients that the official templates write.
const RESERVED: &[&str] = &[
    "and",
    "arguments",
    "as",
    "assert",
    "async",
    "await",
    "break",
    "case",
    "catch",
    "class",
    "close",
    "connect",
    "const",
    "constructor",
    "continue",
    "def",
    "default",
    "del",
    "delete",
    "do",
    "elif",
    "else",
    "enum",
    "error",
    "eval",
    "except",
    "export",
    "extends",
    "false",
    "finally",
    "for",
    "from",
    "function",
    "global",
    "if",
    "implements",
    "import",
    "in",
    "instanceof",
    "interface",
    "is",
    "lambda",
    "let",
    "new",
    "nonlocal",
    "not",
    "null",
    "or",
    "package",
    "pass",
    "private",
    "protected",
    "prototype",
    "public",
    "raise",
    "return",
    "static",
    "super",
    "switch",
    "this",
    "throw",
    "true",
    "try",
    "typeof",
    "void",
    "while",
    "with",
    "yield",
];

fn servers(api: &AsyncApi) -> Value {
    let security: Vec<_> = info::security_schemes(api)
        .into_iter()
        .map(|(name, _)| json!({ "$ref": format!("#/components/securitySchemes/{name}") }))
        .collect();
    let server = |server: &crate::document::Server| {
        let mut written = json!({ "host": server.host, "protocol": server.scheme, "protocolVersion": "13" });
        if !security.is_empty() {
            written["security"] = security.clone().into();
        }
        (server.name.clone(), written)
    };
    api.servers.iter().map(server).collect::<Map<_, _>>().into()
}

#[cfg(test)]
mod tests {
    use super::key;

    #[test]
    fn keys_are_names_in_javascript_and_python() {
        assert_eq!(key("bars.subscribe"), "barsSubscribe");
        assert_eq!(key("list_subscriptions"), "listSubscriptions");
        assert_eq!(key("error"), "errorOperation");
        assert_eq!(key("delete"), "deleteOperation");
        assert_eq!(key("2fa.begin"), "operation2faBegin");
    }
}
