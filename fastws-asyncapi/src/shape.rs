//! The shape of a document's schemas: every object and enum has a name, and every name is used.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::messages::COMPONENTS;

/// Gives names to the objects and enums that stand within other schemas, as generated code would have to invent some:
/// the variants of an enum with fields, for example. Sorts the components by name.
pub(crate) fn with_names(mut schemas: Map<String, Value>) -> Map<String, Value> {
    let mut taken: BTreeSet<String> = schemas.keys().cloned().collect();
    let mut lifted = Map::new();
    for (name, schema) in &mut schemas {
        within(schema, name, &mut Lifting { taken: &mut taken, lifted: &mut lifted });
    }
    schemas.append(&mut lifted);
    schemas.sort_keys();
    schemas
}

struct Lifting<'a> {
    taken: &'a mut BTreeSet<String>,
    lifted: &'a mut Map<String, Value>,
}

/// Lifts what stands within a schema of this name.
fn within(schema: &mut Value, name: &str, lifting: &mut Lifting<'_>) {
    let Value::Object(schema) = schema else { return };
    title_wrapper(schema);
    for (key, inner) in schema.iter_mut() {
        match (key.as_str(), inner) {
            ("properties", Value::Object(properties)) => {
                for (property, inner) in properties {
                    without_booleans(inner);
                    lift(inner, &format!("{name}{}", pascal_case(property)), lifting);
                }
            }
            ("patternProperties", Value::Object(patterns)) => {
                patterns.values_mut().for_each(|inner| lift(inner, &format!("{name}Value"), lifting));
            }
            ("additionalProperties", inner) => lift(inner, &format!("{name}Value"), lifting),
            ("items", Value::Array(items)) => {
                for (number, inner) in items.iter_mut().enumerate() {
                    lift(inner, &format!("{name}Item{}", number + 1), lifting);
                }
            }
            ("items", inner) => lift(inner, &format!("{name}Item"), lifting),
            ("oneOf" | "anyOf", Value::Array(choices)) => {
                for (number, inner) in choices.iter_mut().enumerate() {
                    without_booleans(inner);
                    only_value(inner);
                    let variant = variant(inner).unwrap_or_else(|| format!("Variant{}", number + 1));
                    lift(inner, &format!("{name}{variant}"), lifting);
                }
            }
            // The parts of a whole are not things of their own.
            ("allOf", Value::Array(parts)) => parts.iter_mut().for_each(|part| within(part, name, lifting)),
            _ => {}
        }
    }
}

/// A reference with a description of its own is an `allOf` around the reference, which code generators take for a type
/// without a name: it has the name of what it wraps.
fn title_wrapper(schema: &mut Map<String, Value>) {
    if schema.contains_key("title") {
        return;
    }
    let Some([only]) = schema.get("allOf").and_then(Value::as_array).map(Vec::as_slice) else { return };
    let wrapped = only.get("$ref").and_then(Value::as_str).and_then(|reference| reference.strip_prefix(COMPONENTS));
    if let Some(name) = wrapped.map(str::to_owned) {
        schema.shift_insert(0, "title".into(), name.into());
    }
}

/// Anything is `{}`: code generators do not read `true` there.
fn without_booleans(schema: &mut Value) {
    if *schema == Value::Bool(true) {
        *schema = json!({});
    }
}

/// A choice of one value is that value, which code generators need no name for.
fn only_value(schema: &mut Value) {
    if let Value::Object(schema) = schema
        && let Some([only]) = schema.get("enum").and_then(Value::as_array).map(Vec::as_slice)
    {
        let only = only.clone();
        schema.shift_remove("enum");
        schema.insert("const".into(), only);
    }
}

/// Whether a schema is of objects with fields, or with keys of a pattern: code generators make a type of it.
pub(crate) fn is_object(schema: &Value) -> bool {
    let is_kind = schema.get("type").is_some_and(|kind| match kind {
        Value::Array(kinds) => kinds.iter().any(|kind| kind == "object"),
        kind => kind == "object",
    });
    is_kind && ["properties", "patternProperties"].iter().any(|key| schema.get(key).is_some())
}

/// Makes an inner schema a component, if it is one that deserves a name.
fn lift(schema: &mut Value, name: &str, lifting: &mut Lifting<'_>) {
    let is_enum = schema.get("enum").and_then(Value::as_array).is_some_and(|choices| choices.len() > 1);
    let is_choice = ["oneOf", "anyOf"].iter().any(|key| {
        let choices = schema.get(*key).and_then(Value::as_array);
        choices.is_some_and(|choices| choices.iter().filter(|choice| !is_null(choice)).count() > 1)
    });
    if !is_object(schema) && !is_enum && !is_choice {
        return within(schema, name, lifting);
    }
    let name = free(name, |name| lifting.taken.contains(name));
    lifting.taken.insert(name.clone());
    let mut component = std::mem::replace(schema, json!({ "$ref": format!("{COMPONENTS}{name}") }));
    within(&mut component, &name, lifting);
    if let Value::Object(component) = &mut component {
        component.shift_remove("title");
        component.shift_insert(0, "title".into(), name.as_str().into());
    }
    lifting.lifted.insert(name, component);
}

/// What an enum's variant is called, as serde tags it: by its title, its tag's value, or its only key.
fn variant(schema: &Value) -> Option<String> {
    let properties = schema.get("properties").and_then(Value::as_object);
    let tag = || properties?.values().find_map(|property| property.get("const")?.as_str());
    let key = || properties.filter(|properties| properties.len() == 1)?.keys().next().map(String::as_str);
    schema.get("title").and_then(Value::as_str).or_else(tag).or_else(key).map(pascal_case)
}

fn is_null(schema: &Value) -> bool {
    schema.get("type").is_some_and(|kind| kind == "null")
}

/// Only the schemas that messages lead to.
pub(crate) fn used(mut schemas: Map<String, Value>, messages: &BTreeMap<String, Value>) -> Map<String, Value> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&Value> = messages.values().filter_map(|message| message.get("payload")).collect();
    while let Some(value) = open.pop() {
        match value {
            Value::Object(object) => {
                let reference = object.get("$ref").and_then(Value::as_str);
                let name = reference.and_then(|reference| reference.strip_prefix(COMPONENTS));
                if let Some(name) = name.filter(|name| reached.insert((*name).to_owned())) {
                    open.extend(schemas.get(name));
                }
                open.extend(object.values());
            }
            Value::Array(items) => open.extend(items),
            _ => {}
        }
    }
    schemas.retain(|name, _| reached.contains(name));
    schemas
}

/// The name itself, or with a number where it is taken.
pub(crate) fn free(name: &str, is_taken: impl Fn(&str) -> bool) -> String {
    if !is_taken(name) {
        return name.to_owned();
    }
    (2_u32..).map(|number| format!("{name}{number}")).find(|name| !is_taken(name)).expect("numbers do not end")
}

/// `bars.subscribe` as a type is called: `BarsSubscribe`.
pub(crate) fn pascal_case(name: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric());
    words
        .map(|word| {
            let mut letters = word.chars();
            letters.next().map_or_else(String::new, |first| first.to_uppercase().collect::<String>() + letters.as_str())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variants_of_an_enum_with_fields_get_names() {
        let event = json!({ "title": "Event", "oneOf": [
            { "type": "object", "required": ["kind"], "properties": { "kind": { "const": "filled" }, "at": { "enum": ["a", "b"] } } },
            { "type": "object", "required": ["cancelled"], "properties": { "cancelled": { "type": "integer" } } },
            { "const": "nothing" },
        ] });
        let schemas = with_names(Map::from_iter([("Event".to_owned(), event)]));
        let names: Vec<_> = schemas.keys().map(String::as_str).collect();
        assert_eq!(names, ["Event", "EventCancelled", "EventFilled", "EventFilledAt"]);
        assert_eq!(schemas["Event"]["oneOf"][0], json!({ "$ref": "#/components/schemas/EventFilled" }));
        assert_eq!(schemas["EventFilled"]["title"], "EventFilled");
    }

    #[test]
    fn whatever_generators_make_a_type_of_gets_a_name() {
        let book = json!({ "title": "Book", "type": "object", "properties": {
            "orders": { "type": "object", "additionalProperties": false, "patternProperties": { "^\\d+$": { "type": "string" } } },
            "best": { "type": ["object", "null"], "properties": { "price": { "type": "number" } } },
            "words": { "type": "object", "additionalProperties": true },
            "rest": true,
            "state": { "oneOf": [{ "type": "string", "enum": ["open"] }, { "type": "integer" }] },
        } });
        let schemas = with_names(Map::from_iter([("Book".to_owned(), book)]));
        let names: Vec<_> = schemas.keys().map(String::as_str).collect();
        assert_eq!(names, ["Book", "BookBest", "BookOrders", "BookState"]);
        assert_eq!(schemas["Book"]["properties"]["rest"], json!({}));
        assert_eq!(schemas["BookState"]["oneOf"][0], json!({ "type": "string", "const": "open" }));
    }
}
