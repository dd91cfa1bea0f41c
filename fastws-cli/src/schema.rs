//! Frames and payloads held against the document's schemas.

use fastws_asyncapi::{Contract, Message};
use jsonschema::error::ValidationErrorKind as Kind;
use jsonschema::{ValidationError, Validator};
use serde_json::{Value, json};

/// These are the schemas of a document, which refer to each other.
#[derive(Clone, Debug)]
pub(crate) struct Schemas {
    components: Value,
    channels: Value,
}

/// This is one thing that is wrong in a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// A JSON Pointer.
    pub(crate) path: String,
    pub(crate) message: String,
}

impl Schemas {
    pub(crate) fn of(document: &Value) -> Self {
        let part = |key: &str| document.get(key).cloned().unwrap_or_else(|| json!({}));
        Self { components: part("components"), channels: part("channels") }
    }

    /// Compiles a schema, or says why it is none.
    pub(crate) fn compile(&self, schema: &Value) -> Result<Validator, String> {
        let Self { components, channels } = self;
        let root = json!({ "allOf": [schema], "components": components, "channels": channels });
        jsonschema::draft7::new(&root).map_err(|error| shortened(&error.to_string()))
    }
}

/// What is wrong in a value.
pub(crate) fn faults(schema: &Validator, value: &Value) -> Vec<Fault> {
    let mut faults = Vec::new();
    for error in schema.iter_errors(value) {
        collect(&error, &mut faults);
    }
    faults
}

/// Of alternatives only the one that was meant is told: the first that takes a value of this type.
fn collect(error: &ValidationError<'_>, faults: &mut Vec<Fault>) {
    if let Kind::AnyOf { context } | Kind::OneOfNotValid { context } = error.kind() {
        let path = error.instance_path().as_str();
        let is_type = |inner: &ValidationError<'_>| {
            matches!(inner.kind(), Kind::Type { .. }) && inner.instance_path().as_str() == path
        };
        if let Some(meant) = context.iter().find(|branch| !branch.is_empty() && !branch.iter().any(is_type)) {
            return meant.iter().for_each(|inner| collect(inner, faults));
        }
        let mut told: Vec<_> = context.iter().flatten().map(|inner| shortened(&inner.to_string())).collect();
        told.dedup();
        return faults.push(Fault { path: path.to_owned(), message: told.join(", and ") });
    }
    let path = error.instance_path().as_str().to_owned();
    let message = match error.kind() {
        Kind::Required { property } => {
            format!("{} is missing", property.as_str().map_or_else(|| property.to_string(), |name| format!("`{name}`")))
        }
        _ => shortened(&error.to_string()),
    };
    faults.push(Fault { path, message });
}

/// This tells which message of a document a frame is.
#[derive(Debug)]
pub(crate) struct Catalog(Vec<(String, Validator)>);

impl Catalog {
    /// All messages that the server sends.
    pub(crate) fn from_server(contract: &Contract, schemas: &Schemas) -> Result<Self, String> {
        let mut all: Vec<(String, Validator)> = Vec::new();
        for Message { name, frame, .. } in contract.from_server() {
            if all.iter().any(|(known, _)| known == name) {
                continue;
            }
            let schema = schemas.compile(frame).map_err(|why| format!("the schema of `{name}` is none: {why}"))?;
            all.push((name.clone(), schema));
        }
        Ok(Self(all))
    }

    /// The one message that a frame is, or a sentence about why it is not exactly one.
    pub(crate) fn identify(&self, frame: &Value) -> Result<&str, String> {
        let matching: Vec<_> =
            self.0.iter().filter(|(_, schema)| schema.is_valid(frame)).map(|(name, _)| name.as_str()).collect();
        match matching[..] {
            [only] => return Ok(only),
            [] => {}
            _ => {
                return Err(format!(
                    "a frame is several messages at once: `{}`: {}",
                    matching.join("`, `"),
                    brief(frame)
                ));
            }
        }
        let Some(kind) = frame.get("type").and_then(Value::as_str) else {
            return Err(format!("a frame has no `type`: {}", brief(frame)));
        };
        let Some((_, schema)) = self.0.iter().find(|(name, _)| name == kind) else {
            return Err(format!("the server sends `{kind}`, which the document does not name"));
        };
        let told: Vec<_> = faults(schema, frame).into_iter().map(|fault| fault.to_string()).collect();
        Err(format!("a frame is not what the document says of `{kind}`: {}", told.join("; ")))
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = if self.path.is_empty() { "/" } else { &self.path };
        write!(f, "{path}: {}", self.message)
    }
}

/// A frame in a sentence.
pub(crate) fn brief(frame: &Value) -> String {
    shortened(&frame.to_string())
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_SENTENCE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// How much of a value stands in a sentence, in characters.
const MAX_SENTENCE: usize = 240;
