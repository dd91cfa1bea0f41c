//! What the document says about the API as a whole: info, servers, channels and their bindings.

use serde_json::Value;

use super::{Lint, child, members, text};

impl Lint<'_> {
    pub(super) fn info(&mut self) {
        let document = self.document;
        let info = &document["info"];
        for (key, why) in [
            ("title", "readers need a name"),
            ("version", "clients are written against a version"),
            ("description", "readers want to know what the API is for"),
        ] {
            if text(info, key).is_none() {
                self.warning("info", "/info", format!("`info.{key}` is missing: {why}"));
            }
        }
        for (object, keys) in [("contact", ["name", "url", "email"].as_slice()), ("license", &["name", "url"])] {
            for key in keys {
                if info.get(object).is_none_or(|object| text(object, key).is_none()) {
                    self.warning("info", "/info", format!("`info.{object}.{key}` is missing"));
                }
            }
        }
        if text(document, "id").is_none() {
            self.warning("info", "", "`id` is missing: a URI names the API in the world");
        }
        self.tags();
        self.servers();
        for (name, path, channel) in self.members("/channels") {
            let address = channel.get("address").and_then(Value::as_str).unwrap_or(name);
            if address.contains(['?', '#']) {
                self.error("channel-address", &path, format!("the address `{address}` has a query or a fragment"));
            }
            if address.len() > 1 && address.ends_with('/') {
                self.warning("channel-address", &path, format!("the address `{address}` ends in a slash"));
            }
            self.binding(channel, &path);
        }
    }

    fn tags(&mut self) {
        let is_3 = self.major() == Some(3);
        let (path, tags) = if is_3 {
            ("/info/tags", self.document.pointer("/info/tags"))
        } else {
            ("/tags", self.document.pointer("/tags"))
        };
        let tags = tags.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        if tags.is_empty() {
            self.warning("info", path, "there are no tags: readers see one long list");
        }
        for (number, tag) in tags.iter().enumerate() {
            if text(tag, "description").is_none() {
                let name = text(tag, "name").unwrap_or_default();
                self.warning("info", &child(path, &number.to_string()), format!("the tag `{name}` has no description"));
            }
        }
    }

    fn servers(&mut self) {
        let servers = self.members("/servers");
        if servers.is_empty() {
            self.warning("servers", "/servers", "there are no servers: readers do not know where to connect");
        }
        let schemes = self.document.pointer("/components/securitySchemes");
        for (name, path, server) in servers {
            let protocol = text(server, "protocol").unwrap_or_default();
            if !["ws", "wss"].contains(&protocol) {
                self.error(
                    "servers",
                    &path,
                    format!("server `{name}` speaks `{protocol}`: a WebSocket is `ws` or `wss`"),
                );
            }
            let address = text(server, if self.major() == Some(3) { "host" } else { "url" });
            match address {
                None => self.error("servers", &path, format!("server `{name}` has no address")),
                Some(address) if address.ends_with('/') => {
                    self.warning("servers", &path, format!("the address of server `{name}` ends in a slash"));
                }
                Some(_) => {}
            }
            for requirement in server.get("security").and_then(Value::as_array).into_iter().flatten() {
                let names = requirement.as_object().into_iter().flatten().map(|(name, _)| name);
                for missing in names.filter(|name| *name != "$ref" && schemes.is_none_or(|all| all.get(name).is_none()))
                {
                    self.error(
                        "security",
                        &path,
                        format!("server `{name}` asks for `{missing}`, which is no security scheme"),
                    );
                }
            }
        }
    }

    /// The WebSocket binding 0.1.0: <https://github.com/asyncapi/bindings/tree/master/websockets>.
    fn binding(&mut self, channel: &Value, path: &str) {
        let path = format!("{path}/bindings/ws");
        let Some(binding) = channel.pointer("/bindings/ws") else { return };
        for (key, path, value) in members(binding, &path) {
            match key {
                "method" if value != "GET" && value != "POST" => {
                    self.error("ws-binding", &path, format!("the method is {value}: `GET` or `POST`"));
                }
                "query" | "headers" => {
                    let is_object = value.get("type").is_some_and(|kind| kind == "object");
                    if !is_object || !value.get("properties").is_some_and(Value::is_object) {
                        self.error(
                            "ws-binding",
                            &path,
                            format!("`{key}` is a schema of type `object` with `properties`"),
                        );
                    }
                }
                "method" | "bindingVersion" => {}
                _ if key.starts_with("x-") => {}
                _ => self.error("ws-binding", &path, format!("`{key}` is not part of the binding")),
            }
        }
    }
}
