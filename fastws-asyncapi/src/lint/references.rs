//! References: each leads somewhere in this document, and every component is reached by one.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Lint, MAX_REFERENCES, child, text};

impl<'a> Lint<'a> {
    pub(super) fn references(&mut self) {
        let mut reached = BTreeSet::new();
        // What stands in `components` counts once something outside leads to it.
        let mut open: Vec<(String, &'a Value)> = self
            .members("")
            .into_iter()
            .filter(|(name, ..)| *name != "components")
            .map(|(_, path, value)| (path, value))
            .collect();
        while let Some((path, value)) = open.pop() {
            match value {
                Value::Object(object) => {
                    if let Some(reference) = self.reference(&path, object) {
                        let target = reference.strip_prefix('#').and_then(|target| self.document.pointer(target));
                        if let Some(target) = target.filter(|_| reached.insert(reference.to_owned())) {
                            open.push((reference[1..].to_owned(), target));
                        }
                    }
                    // Examples are data.
                    let inner = object.iter().filter(|(key, _)| !DATA.contains(&key.as_str()));
                    open.extend(inner.map(|(key, value)| (child(&path, key), value)));
                }
                Value::Array(items) => {
                    let items = items.iter().enumerate();
                    open.extend(items.map(|(number, value)| (format!("{path}/{number}"), value)));
                }
                _ => {}
            }
        }
        self.components(&reached);
    }

    /// Checks the reference that an object is, if it is one.
    fn reference<'b>(&mut self, path: &str, object: &'b serde_json::Map<String, Value>) -> Option<&'b str> {
        let reference = object.get("$ref")?.as_str()?;
        match reference.strip_prefix('#') {
            None => self.error("reference", path, format!("`{reference}` leads out of the document")),
            Some(target) if self.document.pointer(target).is_none() => {
                self.error("reference", path, format!("`{reference}` leads nowhere"));
            }
            Some(target) if self.is_circle(target) => {
                self.error("reference", path, format!("`{reference}` leads back to itself"));
            }
            Some(_) => {}
        }
        if object.len() > 1 {
            let others: Vec<_> = object.keys().filter(|key| *key != "$ref").map(|key| format!("`{key}`")).collect();
            self.error("reference-siblings", path, format!("{} beside `$ref` count for nothing", others.join(", ")));
        }
        let mut segments = path.split('/').filter(|segment| segment.starts_with("x-"));
        if segments.any(|segment| segment != "x-response" || self.major() == Some(3)) {
            self.error(
                "reference-in-extension",
                path,
                "tools follow a `$ref` in an extension, some without end: use the name",
            );
        }
        Some(reference)
    }

    /// Whether a pointer leads to references alone.
    fn is_circle(&self, pointer: &str) -> bool {
        let next = |pointer: &&'a str| self.document.pointer(pointer)?.get("$ref")?.as_str()?.strip_prefix('#');
        let first = self.document.pointer(pointer).and_then(|value| value.get("$ref")?.as_str()?.strip_prefix('#'));
        std::iter::successors(first, next).nth(MAX_REFERENCES).is_some()
    }

    fn components(&mut self, reached: &BTreeSet<String>) {
        let secured = self.security_names();
        for (kind, path, components) in self.members("/components") {
            for (name, path, _) in super::members(components, &path) {
                let is_name = |c: char| c.is_alphanumeric() || "_.-".contains(c);
                if name.is_empty() || !name.chars().all(is_name) {
                    self.error(
                        "component-key",
                        &path,
                        format!("`{name}` is no component's key: letters, digits, `.`, `_`, `-`"),
                    );
                }
                let is_used =
                    reached.contains(&format!("#{path}")) || (kind == "securitySchemes" && secured.contains(name));
                if !is_used && !kind.starts_with("x-") {
                    self.error("unused-component", &path, format!("nothing refers to `{name}`"));
                }
            }
        }
    }

    /// The schemes that 2.x servers name without a reference.
    fn security_names(&self) -> BTreeSet<&'a str> {
        let servers = self.members("/servers").into_iter();
        let lists = servers.filter_map(|(_, _, server)| server.get("security").and_then(Value::as_array));
        let requirements = lists.flatten().filter(|requirement| text(requirement, "$ref").is_none());
        requirements.filter_map(Value::as_object).flat_map(|names| names.keys().map(String::as_str)).collect()
    }
}

/// Keys whose values are data, where `$ref` is a word like any other.
const DATA: [&str; 5] = ["examples", "example", "default", "const", "enum"];
