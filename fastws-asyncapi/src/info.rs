//! What all versions of a document share: info, tags, security, and what the connection's rules are.

use std::collections::BTreeSet;

use fastws_core::{CloseReason, ErrorPolicy, FastWs, Heartbeat};
use serde_json::{Map, Value, json};

use crate::AsyncApi;
use crate::document::Security;

/// `info`, without the tags that 3.x keeps there.
pub(crate) fn info(api: &AsyncApi) -> Value {
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

pub(crate) fn external_docs(api: &AsyncApi) -> Option<Value> {
    api.external_docs.as_ref().map(|docs| json!({ "description": docs.text, "url": docs.url }))
}

/// The described tags first, then those that only operations carry.
pub(crate) fn tags(api: &AsyncApi, used: &BTreeSet<String>) -> Value {
    let described = api.tags.iter().filter(|(name, _)| used.contains(name));
    let others = used.iter().filter(|name| !api.tags.iter().any(|(known, _)| known == *name));
    described
        .map(|(name, description)| json!({ "name": name, "description": description }))
        .chain(others.map(|name| json!({ "name": name, "description": format!("Operations of {name}.") })))
        .collect()
}

/// The ways to authenticate: name and definition.
pub(crate) fn security_schemes(api: &AsyncApi) -> Vec<(&'static str, Value)> {
    let scheme = |security: &Security| match security {
        Security::Bearer { format } => {
            let description = "`Authorization: Bearer <token>` on the handshake.";
            (
                "bearerAuth",
                json!({ "type": "http", "scheme": "bearer", "bearerFormat": format, "description": description }),
            )
        }
        Security::QueryToken { name } => {
            let description = format!("The token as the `{name}` query parameter of the handshake, for browsers.");
            ("queryToken", json!({ "type": "httpApiKey", "name": name, "in": "query", "description": description }))
        }
    };
    api.security.iter().map(scheme).collect()
}

/// `json!` would copy what it is given; what is large is moved.
pub(crate) fn components(
    api: &AsyncApi,
    messages: impl IntoIterator<Item = (String, Value)>,
    schemas: Map<String, Value>,
) -> Value {
    let mut components = json!({ "messages": null, "schemas": null, "correlationIds": { "requestId": {
        "description": "The id that the client chose, echoed in the answer.",
        "location": "$message.payload#/id",
    } } });
    components["messages"] = messages.into_iter().collect::<Map<_, _>>().into();
    components["schemas"] = schemas.into();
    let schemes: Map<_, _> =
        security_schemes(api).into_iter().map(|(name, scheme)| (name.to_owned(), scheme)).collect();
    if !schemes.is_empty() {
        components["securitySchemes"] = schemes.into();
    }
    components
}

/// The binding of a WebSocket, as of <https://github.com/asyncapi/bindings/tree/master/websockets>.
pub(crate) fn binding(api: &AsyncApi) -> Value {
    let mut query = Map::new();
    let mut headers = Map::new();
    for security in &api.security {
        match security {
            Security::Bearer { .. } => {
                let description = "`Bearer <token>`, from clients that can set headers.";
                headers.insert("Authorization".into(), json!({ "type": "string", "description": description }));
            }
            Security::QueryToken { name } => {
                let description = "The token, from clients that cannot set headers.";
                query.insert(name.clone(), json!({ "type": "string", "description": description }));
            }
        }
    }
    json!({ "ws": {
        "method": "GET",
        "query": { "type": "object", "properties": query },
        "headers": { "type": "object", "properties": headers },
        "bindingVersion": "0.1.0",
    } })
}

/// What the connection's rules are, as members of its channel: heartbeat, lifespan and close codes.
pub(crate) fn rules(ws: &FastWs) -> Vec<(&'static str, Value)> {
    let mut rules = Vec::new();
    let timeouts = ws.timeouts();
    if let Some(interval) = timeouts.heartbeat {
        rules.push(("x-heartbeat-interval-seconds", seconds(interval)));
        let counts = match ws.heartbeat_form() {
            Heartbeat::AnyFrame => "any frame",
            Heartbeat::ClientMessage => "messages of the client",
        };
        rules.push(("x-heartbeat-counts", counts.into()));
    }
    if let Some(lifespan) = timeouts.lifespan {
        rules.push(("x-max-connection-lifespan-seconds", seconds(lifespan)));
    }
    let happens = |code: u16| match code {
        1003 => ws.error_policy() == ErrorPolicy::Close,
        4103 => timeouts.heartbeat.is_some(),
        4104 => timeouts.lifespan.is_some(),
        _ => true,
    };
    let codes = CloseReason::documented().into_iter().filter(|(code, _)| happens(*code));
    let codes: Map<_, _> = codes.map(|(code, meaning)| (code.to_string(), meaning.into())).collect();
    rules.push(("x-close-codes", codes.into()));
    rules
}

fn seconds(time: std::time::Duration) -> Value {
    if time.subsec_nanos() == 0 { time.as_secs().into() } else { time.as_secs_f64().into() }
}
