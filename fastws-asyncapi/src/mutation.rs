//! Payloads beside the examples: each a small step away, some still valid, most not.

use serde_json::{Map, Value, json};

use crate::pointer::{escape, unescape};

/// This is a payload that differs from an example in one place.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Mutation {
    /// What is different, for a person: `/symbol being null`.
    pub what: String,
    /// Where, as a JSON Pointer into the payload.
    pub path: String,
    /// The payload.
    pub payload: Value,
}

/// Variants of a payload: each place left out, replaced by values of every kind, and moved to and beyond the bounds that
/// its schema names. The same each time, and each once.
///
/// Whole numbers written as `1.0` are not among them: JSON Schema takes them for integers, typed decoders do not. Nor are
/// other texts where a schema names a `format`, as draft 07 leaves it to everybody what that allows.
pub fn mutations(payload: &Value, schema: &Value, components: &Map<String, Value>) -> Vec<Mutation> {
    let mut maker = Maker { payload, components, made: Vec::new() };
    maker.place(Some(payload), schema, String::new(), 0);
    let mut made: Vec<Mutation> = Vec::new();
    for mutation in maker.made {
        let is_new = mutation.payload != *payload && made.iter().all(|known| known.payload != mutation.payload);
        if is_new {
            made.push(mutation);
        }
    }
    made
}

struct Maker<'a> {
    payload: &'a Value,
    components: &'a Map<String, Value>,
    made: Vec<Mutation>,
}

impl Maker<'_> {
    /// Mutates a place of the payload, which may be empty, and everything within.
    fn place(&mut self, value: Option<&Value>, schema: &Value, path: String, depth: usize) {
        if depth > DEEPEST {
            return;
        }
        let parts = self.parts(schema, 0);
        if value.is_some() {
            self.missing(&path);
        }
        let has_format = parts.iter().any(|part| part.contains_key("format") && has_text(part));
        let at_bounds = parts.iter().flat_map(at_bounds);
        for wrong in kinds().into_iter().chain(at_bounds).filter(|wrong| !(has_format && wrong.is_string())) {
            self.replace(&path, wrong);
        }
        match value {
            Some(Value::Object(object)) => {
                let mut wider = object.clone();
                wider.insert("unknown_field".into(), 1.into());
                self.make(format!("{} with an unknown field", named(&path)), &path, wider.into());
                let properties = parts.iter().filter_map(|part| part.get("properties")?.as_object()).flatten();
                let mut fields: Map<String, Value> = object.keys().map(|name| (name.clone(), Value::Null)).collect();
                fields.extend(properties.map(|(name, schema)| (name.clone(), schema.clone())));
                for (name, schema) in &fields {
                    self.place(object.get(name), schema, format!("{path}/{}", escape(name)), depth + 1);
                }
            }
            Some(Value::Array(list)) => {
                let bound = |key: &str| parts.iter().find_map(|part| part.get(key)?.as_u64());
                let count = |bound: u64| usize::try_from(bound).unwrap_or(usize::MAX).min(MANY);
                let longest = count(bound("maxItems").unwrap_or(3));
                if !list.is_empty() {
                    let many = list.iter().cycle().take(longest + 1).cloned().collect();
                    self.make(format!("{} with {} items", named(&path), longest + 1), &path, many);
                }
                for (number, inner) in list.iter().enumerate().take(2) {
                    let items = parts.iter().find_map(|part| part.get("items")).unwrap_or(&Value::Null);
                    let schema = items.get(number).unwrap_or(items).clone();
                    self.place(Some(inner), &schema, format!("{path}/{number}"), depth + 1);
                }
            }
            _ => {}
        }
    }

    fn replace(&mut self, path: &str, value: Value) {
        let text = value.to_string();
        let shown = if text.chars().count() > 40 {
            format!("{}… ({} characters)", text.chars().take(12).collect::<String>(), text.chars().count())
        } else {
            text
        };
        self.make(format!("{} being {shown}", named(path)), path, value);
    }

    fn missing(&mut self, path: &str) {
        let Some((parent, name)) = path.rsplit_once('/') else { return };
        let mut payload = self.payload.clone();
        let Some(place) = payload.pointer_mut(parent) else { return };
        match place {
            Value::Object(object) => drop(object.shift_remove(&unescape(name))),
            Value::Array(list) => drop(name.parse().ok().map(|number: usize| list.remove(number))),
            _ => return,
        }
        self.made.push(Mutation { what: format!("{path} missing"), path: path.into(), payload });
    }

    /// Puts a value into a place of the payload.
    fn make(&mut self, what: String, path: &str, value: Value) {
        let mut payload = self.payload.clone();
        if let Some(place) = payload.pointer_mut(path) {
            *place = value;
        } else {
            let Some((parent, name)) = path.rsplit_once('/') else { return };
            let Some(Value::Object(object)) = payload.pointer_mut(parent) else { return };
            object.insert(unescape(name), value);
        }
        self.made.push(Mutation { what, path: path.into(), payload });
    }

    /// A schema's own keywords, and those of what it refers to or allows.
    fn parts(&self, schema: &Value, depth: usize) -> Vec<Map<String, Value>> {
        let Some(object) = schema.as_object().filter(|_| depth <= DEEPEST) else { return Vec::new() };
        let mut parts = vec![object.clone()];
        let name = object.get("$ref").and_then(Value::as_str).and_then(|reference| reference.rsplit('/').next());
        if let Some(target) = name.and_then(|name| self.components.get(&unescape(name))) {
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

/// How deep mutations go.
const DEEPEST: usize = 6;
/// Lists and texts are not made longer than this: the message would be too large.
const MANY: usize = 1000;

/// Values of every kind.
fn kinds() -> Vec<Value> {
    vec![
        Value::Null,
        json!(true),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(1e300),
        json!(i64::from(i32::MAX) + 1),
        json!(i64::MIN),
        json!(i64::MAX),
        json!(u64::MAX),
        json!(""),
        json!("é"),
        json!("no such value"),
        json!("x".repeat(2000)),
        json!([]),
        json!([1]),
        json!({}),
        json!({ "a": 1 }),
    ]
}

fn has_text(schema: &Map<String, Value>) -> bool {
    schema.get("type").is_some_and(|kind| match kind {
        Value::Array(kinds) => kinds.iter().any(|kind| kind == "string"),
        kind => kind == "string",
    })
}

/// Values at the bounds that a schema names, and beyond.
fn at_bounds(schema: &Map<String, Value>) -> Vec<Value> {
    let mut values = Vec::new();
    for bound in ["minimum", "maximum"].iter().filter_map(|key| schema.get(*key)) {
        match bound.as_i64() {
            Some(bound) => values.extend([bound.saturating_sub(1), bound, bound.saturating_add(1)].map(Value::from)),
            None => values.extend(bound.as_f64().map(|bound| json!(bound * 1.5 + 0.25))),
        }
    }
    for length in ["minLength", "maxLength"].iter().filter_map(|key| schema.get(*key)?.as_u64()) {
        let length = usize::try_from(length).unwrap_or(usize::MAX).min(MANY);
        // Characters of two bytes tell lengths in characters from lengths in bytes.
        let texts = [length.saturating_sub(1), length, length + 1];
        values.extend(texts.into_iter().flat_map(|length| [json!("A".repeat(length)), json!("é".repeat(length))]));
    }
    values.extend(schema.get("enum").and_then(Value::as_array).into_iter().flatten().cloned());
    values
}

fn named(path: &str) -> &str {
    if path.is_empty() { "the payload" } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_left_out_and_goes_beyond_its_bounds() {
        let components =
            Map::from_iter([("Size".to_owned(), json!({ "type": "integer", "minimum": 1, "maximum": 9 }))]);
        let schema = json!({ "type": "object", "properties": {
            "size": { "$ref": "#/components/schemas/Size" },
            "names": { "type": "array", "items": { "type": "string", "maxLength": 3 }, "maxItems": 2 },
            "note": { "type": "string" },
        } });
        let payload = json!({ "size": 5, "names": ["a"] });
        let all = mutations(&payload, &schema, &components);
        for (path, expected) in [
            ("/size", json!({ "names": ["a"] })),
            ("/size", json!({ "size": 0, "names": ["a"] })),
            ("/size", json!({ "size": 10, "names": ["a"] })),
            ("/names/0", json!({ "size": 5, "names": ["AAAA"] })),
            ("/names", json!({ "size": 5, "names": ["a", "a", "a"] })),
            ("/names", json!({ "size": 5, "names": [] })),
            ("/note", json!({ "size": 5, "names": ["a"], "note": 1.5 })),
            ("", json!({ "size": 5, "names": ["a"], "unknown_field": 1 })),
        ] {
            assert!(all.iter().any(|made| made.path == path && made.payload == expected), "{path}: {expected}");
        }
        assert!(!all.iter().any(|made| made.payload == payload));
    }

    #[test]
    fn no_text_is_put_in_the_place_of_one_with_a_format() {
        let schema = json!({ "type": "string", "format": "date-time", "maxLength": 40 });
        let all = mutations(&json!("2026-01-31T12:00:00Z"), &schema, &Map::new());
        assert!(all.iter().any(|made| made.payload == 0) && !all.iter().any(|made| made.payload.is_string()));
    }
}
