//! Messages: each is named, described, shown, and told from all others by its `type`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Lint, MAX_REFERENCES, child, text};
use crate::pointer::last;

/// This is a message where the document uses it.
struct Used<'a> {
    /// The pointer of its definition.
    path: String,
    /// The last segment of that.
    key: String,
    value: &'a Value,
}

impl<'a> Lint<'a> {
    pub(super) fn messages(&mut self) {
        let (requests, answers) = if self.major() == Some(2) { self.messages_2() } else { self.messages_3() };
        let both: BTreeSet<_> = requests.iter().map(|used| used.path.clone()).collect();
        for used in answers.iter().filter(|used| both.contains(&used.path)) {
            self.error("both-directions", &used.path, "a message goes one way: clients send it, or the server does");
        }
        if !requests.is_empty() && !answers.iter().any(|used| self.kind(used).is_some_and(|kind| kind == "error")) {
            self.warning(
                "error-message",
                "",
                "there is no message of type `error`: clients cannot know how requests fail",
            );
        }
        for used in requests.iter().chain(&answers) {
            self.message(used);
        }
        for used in [requests, answers] {
            self.types(&used);
        }
    }

    fn messages_2(&mut self) -> (Vec<Used<'a>>, Vec<Used<'a>>) {
        let (mut requests, mut answers) = (Vec::new(), Vec::new());
        for (_, path, channel) in self.members("/channels") {
            for (key, list) in [("publish", &mut requests), ("subscribe", &mut answers)] {
                let Some(operation) = channel.get(key) else { continue };
                if text(operation, "operationId").is_none() {
                    self.warning("operation-id", &child(&path, key), format!("`{key}` has no `operationId`"));
                }
                let message = &operation["message"];
                let path = format!("{path}/{key}/message");
                match message.get("oneOf").and_then(Value::as_array) {
                    Some(several) => list.extend(
                        several
                            .iter()
                            .enumerate()
                            .filter_map(|(number, message)| self.used(message, format!("{path}/oneOf/{number}"))),
                    ),
                    None => list.extend(self.used(message, path)),
                }
            }
        }
        let sent: BTreeSet<_> = answers.iter().map(|used| format!("#{}", used.path)).collect();
        for request in &requests {
            let reply = request.value.get("x-response").and_then(|reply| text(reply, "$ref"));
            if let Some(reply) = reply.filter(|reply| !sent.contains(*reply)) {
                self.error(
                    "reply",
                    &request.path,
                    format!("the reply `{reply}` is not among the channel's `subscribe` messages"),
                );
            }
        }
        (requests, answers)
    }

    fn messages_3(&mut self) -> (Vec<Used<'a>>, Vec<Used<'a>>) {
        let (mut requests, mut answers) = (Vec::new(), Vec::new());
        let mut keys = BTreeSet::new();
        for (key, path, operation) in self.members("/operations") {
            let mut letters = key.chars();
            let is_name = letters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
                && letters.all(|c| c.is_ascii_alphanumeric() || c == '_');
            if !is_name {
                self.error(
                    "operation-key",
                    &path,
                    format!("`{key}` is no name in programs: generators write code that does not parse"),
                );
            }
            if !keys.insert(key.to_ascii_lowercase()) || key == "error" {
                self.error("operation-key", &path, format!("`{key}` collides with another name in generated code"));
            }
            let is_request = text(operation, "action") == Some("receive");
            let messages = self.channel_messages(operation, operation.get("channel"), &path);
            let reply = operation.get("reply");
            match reply {
                Some(reply) => {
                    let channel = reply.get("channel").or_else(|| operation.get("channel"));
                    answers.extend(self.channel_messages(reply, channel, &child(&path, "reply")));
                }
                None if is_request => self.warning("reply", &path, "the request has no reply, not even an `error`"),
                None => {}
            }
            if is_request { requests.extend(messages) } else { answers.extend(messages) }
        }
        // A reply may be that of several requests.
        for list in [&mut requests, &mut answers] {
            let mut seen = BTreeSet::new();
            list.retain(|used| seen.insert(used.path.clone()));
        }
        (requests, answers)
    }

    /// The messages of an operation or a reply, which are references into its channel.
    fn channel_messages(&mut self, of: &'a Value, channel: Option<&'a Value>, path: &str) -> Vec<Used<'a>> {
        let channel = channel.and_then(|channel| text(channel, "$ref")).unwrap_or("#/channels");
        let mut used = Vec::new();
        for (number, message) in of.get("messages").and_then(Value::as_array).into_iter().flatten().enumerate() {
            let path = format!("{path}/messages/{number}");
            let reference = text(message, "$ref").unwrap_or_default();
            if !reference.starts_with(&format!("{channel}/messages/")) {
                self.error("message-not-of-channel", &path, format!("`{reference}` is not a message of `{channel}`"));
            }
            used.extend(self.used(message, path));
        }
        used
    }

    /// Follows references to a message's definition.
    fn used(&self, mut value: &'a Value, mut path: String) -> Option<Used<'a>> {
        for _ in 0..MAX_REFERENCES {
            let Some(reference) = text(value, "$ref") else {
                let key = last(&path);
                return value.is_object().then_some(Used { path, key, value });
            };
            let target = reference.strip_prefix('#')?;
            value = self.document.pointer(target)?;
            target.clone_into(&mut path);
        }
        None
    }

    /// The constant that a message's `type` is.
    fn kind(&self, used: &Used<'a>) -> Option<&'a str> {
        let frame = self.resolve(used.value.get("payload")?)?;
        let kind = self.resolve(frame.pointer("/properties/type")?)?;
        let only = || kind.get("enum").and_then(Value::as_array).filter(|choices| choices.len() == 1)?.first();
        kind.get("const").or_else(only)?.as_str()
    }

    fn types(&mut self, used: &[Used<'a>]) {
        let mut by_type: BTreeMap<&str, &str> = BTreeMap::new();
        for message in used {
            let Some(kind) = self.kind(message) else {
                self.error(
                    "type",
                    &message.path,
                    "its frame has no constant `type`: nobody can tell it from the others",
                );
                continue;
            };
            if let Some(other) = by_type.insert(kind, &message.key) {
                self.error(
                    "same-type",
                    &message.path,
                    format!("`{}` and `{other}` have one type, `{kind}`", message.key),
                );
            }
        }
    }

    fn message(&mut self, used: &Used<'a>) {
        let Used { path, key, value } = used;
        let wire = self.kind(used).unwrap_or(key);
        let names = if self.major() == Some(2) { ["messageId", "name"].as_slice() } else { &["name"] };
        for name in names {
            match text(value, name) {
                None => self.warning("message", path, format!("`{name}` is missing")),
                Some(given) if given != wire || given != key => {
                    self.warning(
                        "message-name",
                        path,
                        format!("`{name}` is `{given}`, its key `{key}`, its type `{wire}`: links break"),
                    );
                }
                Some(_) => {}
            }
        }
        for words in ["title", "summary", "contentType"] {
            if text(value, words).is_none() {
                self.warning("message", path, format!("`{words}` is missing"));
            }
        }
        if value.get("tags").and_then(Value::as_array).is_none_or(Vec::is_empty) {
            self.warning("message", path, "it has no tag");
        }
        self.message_examples(used);
    }

    fn message_examples(&mut self, Used { path, value, .. }: &Used<'a>) {
        let examples = value.get("examples").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        if examples.is_empty() {
            self.warning("message", path, "it has no example: tools make one up");
        }
        let Some(schema) = value.get("payload") else {
            return self.error("message", path, "it has no payload: the schema of its frame");
        };
        let Ok(validator) = self.validator(schema) else { return };
        for (number, example) in examples.iter().enumerate() {
            let path = format!("{path}/examples/{number}");
            if text(example, "name").is_none() {
                self.warning("message", &path, "the example has no name");
            }
            let Some(frame) = example.get("payload") else { continue };
            for fault in validator.iter_errors(frame) {
                let place = format!("{path}/payload{}", fault.instance_path());
                self.error("example", &place, fault.to_string());
            }
        }
    }
}
