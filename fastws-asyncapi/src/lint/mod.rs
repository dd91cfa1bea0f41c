//! What is wrong with a document beyond what the official parser sees.
//!
//! The parser takes wrong defaults, keywords of other drafts, two messages of one `type`, replies that are not the
//! channel's, and in 3.x examples that contradict their schemas. Generated code, and clients, do not.

mod info;
mod messages;
mod references;
mod schemas;
mod topics;

use serde_json::Value;

use crate::pointer::escape;

/// This is one thing that is wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule, in one stable word or two: `unused-component`.
    pub rule: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// Where: a JSON Pointer into the document.
    pub path: String,
    /// What is wrong there, for a person.
    pub message: String,
}

/// This is how bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Readers miss something.
    Warning,
    /// The document is wrong: tools or clients that believe it fail.
    Error,
}

impl std::fmt::Display for Severity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = if self.path.is_empty() { "/" } else { &self.path };
        write!(f, "{} {}: {} ({path})", self.severity, self.rule, self.message)
    }
}

/// Lists what is wrong with an AsyncAPI document of version 2.x or 3.x, in the order of the document's parts.
///
/// ```
/// let document = serde_json::json!({ "asyncapi": "1.2.0" });
/// assert_eq!(fastws_asyncapi::lint(&document)[0].rule, "version");
/// ```
pub fn lint(document: &Value) -> Vec<Finding> {
    let mut lint = Lint { document, findings: Vec::new() };
    match lint.major() {
        Some(2 | 3) => {
            lint.info();
            lint.references();
            lint.messages();
            lint.topics();
            lint.schemas();
        }
        _ => lint.error("version", "/asyncapi", "this is no AsyncAPI document of version 2.x or 3.x"),
    }
    lint.findings
}

/// This is a document with what was found so far.
struct Lint<'a> {
    document: &'a Value,
    findings: Vec<Finding>,
}

impl<'a> Lint<'a> {
    fn major(&self) -> Option<u32> {
        self.document["asyncapi"].as_str()?.split('.').next()?.parse().ok()
    }

    fn error(&mut self, rule: &'static str, path: &str, message: impl Into<String>) {
        self.find(Severity::Error, rule, path, message.into());
    }

    fn warning(&mut self, rule: &'static str, path: &str, message: impl Into<String>) {
        self.find(Severity::Warning, rule, path, message.into());
    }

    fn find(&mut self, severity: Severity, rule: &'static str, path: &str, message: String) {
        self.findings.push(Finding { rule, severity, path: path.into(), message });
    }

    /// The members of an object at a pointer, each with its own pointer.
    fn members(&self, pointer: &str) -> Vec<(&'a str, String, &'a Value)> {
        members(self.document.pointer(pointer).unwrap_or(&Value::Null), pointer)
    }

    /// What a value stands for, through references; `None` where one leads nowhere, which has its own finding.
    fn resolve(&self, mut value: &'a Value) -> Option<&'a Value> {
        for _ in 0..MAX_REFERENCES {
            let Some(reference) = value.get("$ref").and_then(Value::as_str) else { return Some(value) };
            value = self.document.pointer(reference.strip_prefix('#')?)?;
        }
        None
    }
}

/// How many references may lead from one value to the next.
const MAX_REFERENCES: usize = 32;

/// The members of an object: name, pointer and value.
fn members<'a>(value: &'a Value, pointer: &str) -> Vec<(&'a str, String, &'a Value)> {
    let members = value.as_object().into_iter().flatten();
    members.map(|(name, value)| (name.as_str(), child(pointer, name), value)).collect()
}

/// The pointer of a member.
fn child(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", escape(name))
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str).filter(|text| !text.trim().is_empty())
}
