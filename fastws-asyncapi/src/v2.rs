//! The AsyncAPI 2.4.0 document: one channel, `publish` for what clients send, `subscribe` for what they receive.
//!
//! Source of the shape: <https://www.asyncapi.com/docs/reference/specification/v2.4.0>.

use fastws_core::FastWs;
use serde_json::{Map, Value, json};

use crate::AsyncApi;
use crate::info;
use crate::messages::Messages;

/// Writes the document.
pub(crate) fn document(api: &AsyncApi, ws: &FastWs) -> Value {
    let Messages { schemas, messages, from_client, from_server, tags, .. } = Messages::of(ws);

    let references = |names: &[String]| -> Vec<Value> {
        names.iter().map(|name| json!({ "$ref": format!("#/components/messages/{name}") })).collect()
    };
    let mut channel = json!({
        "description": "The one WebSocket; every message is routed by its `type`.",
        "bindings": info::binding(api),
        "publish": {
            "operationId": "clientMessages",
            "summary": "Messages that a client may send to the server.",
            "message": { "oneOf": null },
        },
        "subscribe": {
            "operationId": "serverMessages",
            "summary": "Messages that the server sends to a client.",
            "message": { "oneOf": null },
        },
    });
    channel["publish"]["message"]["oneOf"] = references(&from_client).into();
    channel["subscribe"]["message"]["oneOf"] = references(&from_server).into();
    for (key, rule) in info::rules(ws) {
        channel[key] = rule;
    }

    let mut document = json!({
        "asyncapi": "2.4.0",
        "id": api.id,
        "info": info::info(api),
        "tags": info::tags(api, &tags),
        "defaultContentType": "application/json",
    });
    if let Some(docs) = info::external_docs(api) {
        document["externalDocs"] = docs;
    }
    if !api.servers.is_empty() {
        document["servers"] = servers(api);
        channel["servers"] = api.servers.iter().map(|server| server.name.as_str()).collect();
    }
    document["channels"] = Map::from_iter([(api.channel.clone(), channel)]).into();
    document["components"] = info::components(api, messages, schemas);
    document
}

fn servers(api: &AsyncApi) -> Value {
    // A list is a choice.
    let security: Vec<_> = info::security_schemes(api).into_iter().map(|(name, _)| json!({ name: [] })).collect();
    let server = |server: &crate::document::Server| {
        let url = format!("{}://{}", server.scheme, server.host);
        let mut written = json!({ "url": url, "protocol": server.scheme, "protocolVersion": "13" });
        if !security.is_empty() {
            written["security"] = security.clone().into();
        }
        (server.name.clone(), written)
    };
    api.servers.iter().map(server).collect::<Map<_, _>>().into()
}
