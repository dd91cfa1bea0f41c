//! Example values, made of their schemas.

use serde_json::{Map, Number, Value};

/// Examples that fit a schema as well as its keywords tell; the first is the best. A `pattern` is beyond it, so callers
/// check what they get.
pub(crate) fn examples(schema: &Value, components: &Map<String, Value>) -> Vec<Value> {
    let resolved = resolve(schema, components);
    match resolved.get("examples").and_then(Value::as_array) {
        Some(given) if !given.is_empty() => given.clone(),
        _ => vec![Maker { components, depth: 0 }.make(schema)],
    }
}

/// How deep examples go before optional parts are left out, so that recursive types end.
const MAX_DEPTH: usize = 6;

#[derive(Clone, Copy)]
struct Maker<'a> {
    components: &'a Map<String, Value>,
    depth: usize,
}

impl Maker<'_> {
    fn make(self, schema: &Value) -> Value {
        let schema = resolve(schema, self.components);
        let deeper = Self { depth: self.depth + 1, ..self };
        if let Some(given) = ["const", "default"].iter().find_map(|key| schema.get(*key)) {
            // A default of null says that there is none.
            if !given.is_null() {
                return given.clone();
            }
        }
        if let Some(first) = ["examples", "enum"].iter().find_map(|key| schema.get(*key)?.as_array()?.first()) {
            return first.clone();
        }
        if let Some(parts) = schema.get("allOf").and_then(Value::as_array) {
            return parts.iter().map(|part| deeper.make(part)).fold(Value::Null, merge);
        }
        for key in ["oneOf", "anyOf"] {
            if let Some(choices) = schema.get(key).and_then(Value::as_array) {
                let is_null = |choice: &&Value| choice.get("type").is_some_and(|kind| kind == "null");
                let wanted = choices.iter().find(|choice| !is_null(choice) && self.depth < MAX_DEPTH);
                let own = deeper.object(schema);
                return merge(own, wanted.map_or(Value::Null, |choice| deeper.make(choice)));
            }
        }
        match kind(schema) {
            "object" => deeper.object(schema),
            "array" => deeper.array(schema),
            "string" => text(schema).into(),
            "integer" => integer(schema).into(),
            "number" => number(schema),
            "boolean" => true.into(),
            _ => Value::Null,
        }
    }

    fn object(self, schema: &Value) -> Value {
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
            return if kind(schema) == "object" { Value::Object(Map::new()) } else { Value::Null };
        };
        let required: Vec<_> = schema
            .get("required")
            .and_then(Value::as_array)
            .map(|required| required.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        let members = properties
            .iter()
            .filter(|(name, _)| self.depth < MAX_DEPTH || required.contains(&name.as_str()))
            .map(|(name, property)| (name.clone(), self.make(property)))
            .filter(|(name, value)| !value.is_null() || required.contains(&name.as_str()));
        Value::Object(members.collect())
    }

    fn array(self, schema: &Value) -> Value {
        let at_least = schema.get("minItems").and_then(Value::as_u64).unwrap_or(0);
        match schema.get("items") {
            Some(Value::Array(tuple)) => tuple.iter().map(|item| self.make(item)).collect(),
            Some(item) if at_least > 0 || self.depth < MAX_DEPTH => {
                (0..at_least.clamp(1, 16)).map(|_| self.make(item)).collect()
            }
            _ => Value::Array(Vec::new()),
        }
    }
}

fn resolve<'a>(schema: &'a Value, components: &'a Map<String, Value>) -> &'a Value {
    let name = schema.get("$ref").and_then(Value::as_str).and_then(|reference| reference.rsplit('/').next());
    name.and_then(|name| components.get(name)).unwrap_or(schema)
}

fn kind(schema: &Value) -> &str {
    match schema.get("type") {
        Some(Value::String(kind)) => kind,
        Some(Value::Array(kinds)) => {
            kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null").unwrap_or("null")
        }
        _ if schema.get("properties").is_some() => "object",
        _ => "null",
    }
}

fn merge(left: Value, right: Value) -> Value {
    match (left, right) {
        (Value::Object(mut left), Value::Object(right)) => {
            left.extend(right);
            Value::Object(left)
        }
        (left, Value::Null) => left,
        (_, right) => right,
    }
}

fn text(schema: &Value) -> String {
    let format = schema.get("format").and_then(Value::as_str).unwrap_or_default();
    let text = match format {
        "uuid" => "5f0c7e0a-1a2b-4c3d-8e4f-5a6b7c8d9e0f",
        "date-time" => "2026-01-31T12:00:00Z",
        "date" => "2026-01-31",
        "time" => "12:00:00Z",
        "duration" => "PT1H",
        "email" => "trader@example.com",
        "uri" => "https://example.com/",
        "ip" | "ipv4" => "192.0.2.1",
        "ipv6" => "2001:db8::1",
        _ => "text",
    };
    let bound = |key| schema.get(key).and_then(Value::as_u64).and_then(|bound| usize::try_from(bound).ok());
    let shortest = bound("minLength").unwrap_or(0);
    let longest = bound("maxLength").unwrap_or(usize::MAX);
    let wanted = text.chars().count().max(shortest).min(longest);
    text.chars().cycle().take(wanted).collect()
}

fn integer(schema: &Value) -> i64 {
    let bound = |key| schema.get(key).and_then(Value::as_f64);
    #[allow(clippy::cast_possible_truncation, reason = "a bound beyond i64 is as good as i64's own")]
    let (least, most) = (
        bound("minimum").map_or(i64::MIN, |least| least.ceil() as i64),
        bound("maximum").map_or(i64::MAX, |most| most.floor() as i64),
    );
    1.clamp(least, most.max(least))
}

fn number(schema: &Value) -> Value {
    let bound = |key| schema.get(key).and_then(Value::as_f64);
    let least = bound("minimum").unwrap_or(f64::MIN);
    let most = bound("maximum").unwrap_or(f64::MAX);
    Number::from_f64(1.5_f64.clamp(least, most.max(least))).map_or(Value::Null, Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn example(schema: &Value) -> Value {
        examples(schema, &Map::new()).remove(0)
    }

    #[test]
    fn an_example_keeps_to_bounds_and_prefers_what_is_given() {
        assert_eq!(example(&json!({"type": "integer", "minimum": 10})), 10);
        assert_eq!(example(&json!({"type": "string", "minLength": 6})), "textte");
        assert_eq!(example(&json!({"type": "string", "examples": ["AAPL"]})), "AAPL");
        assert_eq!(example(&json!({"type": ["string", "null"], "maxLength": 2})), "te");
        assert_eq!(example(&json!({"anyOf": [{"type": "null"}, {"type": "boolean"}]})), true);
    }

    #[test]
    fn a_recursive_type_has_an_example_that_ends() {
        let node = json!({
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": {"type": "string"},
                "children": {"type": "array", "items": {"$ref": "#/components/schemas/Node"}},
                "next": {"anyOf": [{"$ref": "#/components/schemas/Node"}, {"type": "null"}]},
            },
        });
        let components = Map::from_iter([("Node".to_owned(), node.clone())]);
        assert_eq!(examples(&node, &components)[0]["name"], "text");
    }
}
