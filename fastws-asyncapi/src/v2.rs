//! The AsyncAPI 2.4.0 document: one channel, `publish` for what clients send, `subscribe` for what they receive.
//!
//! Source of the shape: <https://www.asyncapi.com/docs/reference/specification/v2.4.0>.

use std::collections::{BTreeMap, BTreeSet};

use fastws_core::{CloseReason, FastWs, Heartbeat};
use serde_json::{Map, Value, json};

use crate::AsyncApi;
use crate::messages::{COMPONENTS, Messages};

/// Writes the document.
pub(crate) fn document(api: &AsyncApi, ws: &FastWs) -> Value {
    let Messages { schemas, messages, from_client, from_server, tags, .. } = Messages::of(ws);
    let schemas = used(schemas, &messages);

    let references = |names: &[String]| -> Vec<Value> {
        names.iter().map(|name| json!({ "$ref": format!("#/components/messages/{name}") })).collect()
    };
    let mut channel = json!({
        "description": "The one WebSocket; every message is routed by its `type`.",
        "bindings": { "ws": {
            "method": "GET",
            "query": { "type": "object", "properties": {} },
            "headers": { "type": "object", "properties": {} },
            "bindingVersion": "0.1.0",
        } },
        "publish": {
            "operationId": "clientMessages",
            "summary": "Messages that a client may send to the server.",
            "message": { "oneOf": references(&from_client) },
        },
        "subscribe": {
            "operationId": "serverMessages",
            "summary": "Messages that the server sends to a client.",
            "message": { "oneOf": references(&from_server) },
        },
    });
    let timeouts = ws.timeouts();
    if let Some(interval) = timeouts.heartbeat {
        channel["x-heartbeat-interval-seconds"] = seconds(interval);
        channel["x-heartbeat-counts"] = match ws.heartbeat_form() {
            Heartbeat::AnyFrame => "any frame",
            Heartbeat::ClientMessage => "messages of the client",
        }
        .into();
    }
    if let Some(lifespan) = timeouts.lifespan {
        channel["x-max-connection-lifespan-seconds"] = seconds(lifespan);
    }
    let close_codes: Map<_, _> =
        CloseReason::documented().into_iter().map(|(code, meaning)| (code.to_string(), meaning.into())).collect();
    channel["x-close-codes"] = close_codes.into();

    let mut document = json!({
        "asyncapi": "2.4.0",
        "id": api.id,
        "info": info(api),
        "tags": tag_list(api, &tags),
        "defaultContentType": "application/json",
    });
    if let Some(docs) = &api.external_docs {
        document["externalDocs"] = json!({ "description": docs.text, "url": docs.url });
    }
    if !api.servers.is_empty() {
        document["servers"] = servers(api);
        channel["servers"] = api.servers.iter().map(|server| server.name.as_str()).collect();
    }
    document["channels"] = json!({ api.channel.as_str(): channel });
    document["components"] = json!({
        "messages": messages,
        "schemas": schemas,
        "correlationIds": { "requestId": {
            "description": "The id that the client chose, echoed in the answer.",
            "location": "$message.payload#/id",
        } },
    });
    document
}

fn info(api: &AsyncApi) -> Value {
    let mut info = json!({ "title": api.title, "version": api.version });
    if let Some(description) = &api.description {
        info["description"] = description.as_str().into();
    }
    if let Some(terms) = &api.terms_of_service {
        info["termsOfService"] = terms.as_str().into();
    }
    if let Some(contact) = &api.contact {
        info["contact"] = json!({ "name": contact.name, "url": contact.url, "email": contact.email });
    }
    if let Some(license) = &api.license {
        info["license"] = json!({ "name": license.text, "url": license.url });
    }
    info
}

fn servers(api: &AsyncApi) -> Value {
    let servers: Map<_, _> = api
        .servers
        .iter()
        .map(|server| {
            let url = format!("{}://{}", server.scheme, server.host);
            (server.name.clone(), json!({ "url": url, "protocol": server.scheme, "protocolVersion": "13" }))
        })
        .collect();
    servers.into()
}

/// The described tags first, then those that only operations carry.
fn tag_list(api: &AsyncApi, used: &BTreeSet<String>) -> Value {
    let described = api.tags.iter().filter(|(name, _)| used.contains(name));
    let others = used.iter().filter(|name| !api.tags.iter().any(|(known, _)| known == *name));
    described
        .map(|(name, description)| json!({ "name": name, "description": description }))
        .chain(others.map(|name| json!({ "name": name, "description": format!("Operations of {name}.") })))
        .collect()
}

/// Only the schemas that messages lead to.
fn used(mut schemas: BTreeMap<String, Value>, messages: &BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&Value> = messages.values().collect();
    while let Some(value) = open.pop() {
        match value {
            Value::Object(object) => open.extend(object.values()),
            Value::Array(items) => open.extend(items),
            Value::String(text) => {
                let name = text.strip_prefix(COMPONENTS).filter(|name| reached.insert((*name).to_owned()));
                open.extend(name.and_then(|name| schemas.get(name)));
            }
            _ => {}
        }
    }
    schemas.retain(|name, _| reached.contains(name));
    schemas
}

fn seconds(time: std::time::Duration) -> Value {
    if time.subsec_nanos() == 0 { time.as_secs().into() } else { time.as_secs_f64().into() }
}
