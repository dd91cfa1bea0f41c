//! Payloads that a schema refuses, each wrong in one place.

use fastws_asyncapi::{Contract, Request};
use jsonschema::Validator;
use serde_json::{Map, Value, json};

use crate::schema::faults;
use crate::socket::frame;

/// This is a payload with one thing wrong.
#[derive(Clone, Debug)]
pub(super) struct Mutation {
    /// What is wrong, as in "with …".
    pub(super) what: String,
    /// Where, as a JSON Pointer into the payload.
    pub(super) path: String,
    pub(super) payload: Option<Value>,
}

/// Makes mutations of an example's payload. All of them are refused by the schema of the request's frame.
pub(super) fn of(request: &Request, contract: &Contract, schema: &Validator, example: Option<&Value>) -> Vec<Mutation> {
    let Some(payload) = &request.message.payload else { return Vec::new() };
    let mut maker = Maker { contract, example: example.cloned().unwrap_or(Value::Null), made: Vec::new() };
    maker.made.push(Mutation { what: "no payload".into(), path: String::new(), payload: None });
    maker.value(payload, "", 0);
    let is_refused =
        |mutation: &Mutation| !faults(schema, &frame(request, &json!("id"), mutation.payload.as_ref())).is_empty();
    let mut kept: Vec<Mutation> = Vec::new();
    for mutation in maker.made {
        let is_new = kept.iter().all(|other| other.payload != mutation.payload);
        if is_new && is_refused(&mutation) {
            kept.push(mutation);
        }
    }
    kept.truncate(MOST);
    kept
}

struct Maker<'a> {
    contract: &'a Contract,
    example: Value,
    made: Vec<Mutation>,
}

impl<'a> Maker<'a> {
    /// Replaces the value at a path.
    fn replace(&mut self, path: &str, value: Value, what: &str) {
        let mut payload = self.example.clone();
        let place = if path.is_empty() { "the payload" } else { path };
        if path.is_empty() {
            payload = value;
        } else {
            let Some((parent, name)) = path.rsplit_once('/') else { return };
            match payload.pointer_mut(parent) {
                Some(Value::Object(members)) => drop(members.insert(unescape(name), value)),
                Some(Value::Array(items)) => match name.parse::<usize>().ok().and_then(|at| items.get_mut(at)) {
                    Some(item) => *item = value,
                    None => return,
                },
                _ => return,
            }
        }
        self.made.push(Mutation { what: format!("{place} {what}"), path: path.into(), payload: Some(payload) });
    }

    fn value(&mut self, schema: &'a Value, path: &str, depth: usize) {
        if depth > DEEPEST {
            return;
        }
        // The schema decides which of them are wrong; text for numbers, numbers for text.
        for wrong in [json!(7.5), json!("conform"), json!(true), json!([]), json!({}), Value::Null] {
            let what = format!("being {wrong}");
            self.replace(path, wrong, &what);
        }
        for part in self.parts(schema, 0) {
            self.bounds(part, path);
            self.members(part, path, depth);
            let first = format!("{path}/0");
            if let (Some(items), true) = (part.get("items"), self.example.pointer(&first).is_some()) {
                self.value(items, &first, depth + 1);
            }
        }
    }

    fn bounds(&mut self, part: &Map<String, Value>, path: &str) {
        let number = |keyword: &str| part.get(keyword).and_then(Value::as_f64);
        let count = |keyword: &str| part.get(keyword).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
        let is_whole = part.get("type").is_some_and(|kind| kind == "integer");
        #[allow(clippy::cast_possible_truncation, reason = "a bound that is that large is not tested exactly")]
        let outside = |value: f64| if is_whole { json!(value as i64) } else { json!(value) };
        if let Some(least) = number("minimum") {
            self.replace(path, outside(least - 1.0), &format!("below {least}"));
        }
        if let Some(greatest) = number("maximum") {
            self.replace(path, outside(greatest + 1.0), &format!("above {greatest}"));
        }
        if let Some(least) = count("minLength").filter(|least| *least > 0) {
            self.replace(path, "A".repeat(least - 1).into(), &format!("shorter than {least}"));
        }
        if let Some(greatest) = count("maxLength").filter(|greatest| *greatest < LONGEST) {
            self.replace(path, "A".repeat(greatest + 1).into(), &format!("longer than {greatest}"));
        }
        let item = self.example.pointer(path).and_then(|items| items.get(0)).cloned();
        if let (Some(greatest), Some(item)) = (count("maxItems").filter(|greatest| *greatest < LONGEST), item) {
            self.replace(path, vec![item; greatest + 1].into(), &format!("with more than {greatest} items"));
        }
    }

    fn members(&mut self, part: &'a Map<String, Value>, path: &str, depth: usize) {
        for name in part.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
            let mut payload = self.example.clone();
            if let Some(Value::Object(members)) = payload.pointer_mut(path)
                && members.shift_remove(name).is_some()
            {
                let inner = format!("{path}/{}", escape(name));
                self.made.push(Mutation { what: format!("{inner} missing"), path: inner, payload: Some(payload) });
            }
        }
        if !self.example.pointer(path).is_some_and(Value::is_object) {
            return;
        }
        for (name, schema) in part.get("properties").and_then(Value::as_object).into_iter().flatten() {
            self.value(schema, &format!("{path}/{}", escape(name)), depth + 1);
        }
    }

    /// A schema's own keywords, and those of what it refers to or allows.
    fn parts(&self, schema: &'a Value, depth: usize) -> Vec<&'a Map<String, Value>> {
        let Some(object) = schema.as_object().filter(|_| depth <= DEEPEST) else { return Vec::new() };
        let mut parts = vec![object];
        let name = object.get("$ref").and_then(Value::as_str).and_then(|reference| reference.rsplit('/').next());
        if let Some(target) = name.and_then(|name| self.contract.schemas.get(&unescape(name))) {
            parts.extend(self.parts(target, depth + 1));
        }
        for keyword in ["allOf", "anyOf", "oneOf"] {
            for part in object.get(keyword).and_then(Value::as_array).into_iter().flatten() {
                parts.extend(self.parts(part, depth + 1));
            }
        }
        parts
    }
}

fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn unescape(segment: &str) -> String {
    segment.replace("~1", "/").replace("~0", "~")
}

/// How many mutations of one request are tried.
const MOST: usize = 48;
/// How deep in a payload.
const DEEPEST: usize = 4;
/// Texts and lists beyond this are not made too long: the message would be.
const LONGEST: usize = 10_000;
