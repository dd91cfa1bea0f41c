//! Topics: `x-topic`, `x-updates` and `x-unsubscribe` name what is there.

use serde_json::Value;

use super::{Lint, text};

impl Lint<'_> {
    pub(super) fn topics(&mut self) {
        let places = [self.members("/components/messages"), self.members("/operations")];
        for (_, path, value) in places.into_iter().flatten() {
            let updates = value.get("x-updates").and_then(Value::as_array).into_iter().flatten().map(Value::as_str);
            for name in updates.chain([text(value, "x-unsubscribe")].into_iter().filter(Option::is_some)) {
                let Some(name) = name else {
                    self.error("topic", &path, "`x-updates` lists names of messages");
                    continue;
                };
                if !self.is_message(name) {
                    self.error("topic", &path, format!("it names `{name}`, and no message is called so"));
                }
            }
            let is_topic = text(value, "x-topic").is_some();
            if !is_topic && (value.get("x-updates").is_some() || value.get("x-unsubscribe").is_some()) {
                self.error("topic", &path, "it subscribes, but does not say to what: add `x-topic`");
            }
        }
    }

    fn is_message(&self, name: &str) -> bool {
        self.members("/components/messages")
            .iter()
            .any(|(key, _, message)| *key == name || text(message, "name") == Some(name))
    }
}
