//! Schemas: draft 07 and nothing else, with names, and with examples and defaults that are true.

use serde_json::{Map, Value};

use super::{Lint, child, members};
use crate::shape::is_object;

impl<'a> Lint<'a> {
    pub(super) fn schemas(&mut self) {
        for (name, path, schema) in self.members("/components/schemas") {
            if let Some(fault) = self.meta_fault(schema) {
                self.error("schema", &path, fault);
            }
            let has_title = schema.get("title").is_some_and(|title| title.is_string());
            if schema.is_object() && !has_title {
                self.warning("anonymous-schema", &path, format!("`{name}` has no title: generated code invents names"));
            }
            self.schema(schema, &path, true);
        }
        for (_, path, message) in self.members("/components/messages") {
            for key in ["payload", "headers"] {
                if let Some(schema) = message.get(key) {
                    self.schema(schema, &child(&path, key), false);
                }
            }
        }
        for (_, path, channel) in self.members("/channels") {
            for key in ["query", "headers"] {
                if let Some(schema) = channel.pointer(&format!("/bindings/ws/{key}")) {
                    // The binding wants its schemas in place.
                    self.schema(schema, &format!("{path}/bindings/ws/{key}"), true);
                }
            }
        }
    }

    /// Checks a schema and those within it.
    fn schema(&mut self, schema: &'a Value, path: &str, is_named: bool) {
        let Value::Object(object) = schema else { return };
        if object.contains_key("$ref") {
            return;
        }
        for (key, path, value) in members(schema, path) {
            if let Some(instead) = foreign(key, value) {
                self.error("foreign-keyword", &path, format!("`{key}` is not of draft 07: {instead}"));
            }
        }
        let is_enum = object.get("enum").and_then(Value::as_array).is_some_and(|choices| choices.len() > 1);
        if !is_named && (is_object(schema) || is_enum) {
            self.warning(
                "anonymous-schema",
                path,
                "an object or enum without a name of its own: generated code invents one",
            );
        }
        self.values(schema, object, path);
        for (path, inner, is_named) in subschemas(object, path) {
            self.schema(inner, &path, is_named);
        }
    }

    /// Defaults and examples are of their own schema.
    fn values(&mut self, schema: &Value, object: &Map<String, Value>, path: &str) {
        let examples = object.get("examples").and_then(Value::as_array).into_iter().flatten().enumerate();
        let mut given: Vec<_> =
            examples.map(|(number, value)| ("schema-example", format!("{path}/examples/{number}"), value)).collect();
        given.extend(object.get("default").map(|value| ("default", format!("{path}/default"), value)));
        if given.is_empty() {
            return;
        }
        let Ok(validator) = self.validator(schema) else { return };
        for (rule, path, value) in given {
            if let Some(fault) = validator.iter_errors(value).next() {
                self.error(rule, &path, fault.to_string());
            }
        }
    }

    /// A schema with all that it refers to, compiled; those that do not compile have their own finding.
    pub(super) fn validator(&self, schema: &Value) -> Result<jsonschema::Validator, String> {
        let none = Map::new();
        let components = self.document.pointer("/components/schemas").and_then(Value::as_object).unwrap_or(&none);
        fastws_core::validator(schema, components)
    }

    /// What draft 07 itself says about a schema.
    fn meta_fault(&self, schema: &Value) -> Option<String> {
        jsonschema::draft7::meta::validate(schema).err().map(|fault| format!("{fault} at `{}`", fault.instance_path()))
    }
}

/// What to write instead of a keyword of another draft, or of OpenAPI.
fn foreign(key: &str, value: &Value) -> Option<&'static str> {
    Some(match key {
        "$defs" | "definitions" => "put named schemas into `components.schemas`",
        "$schema" => "leave it out",
        "prefixItems" => "write `items` as a list",
        "unevaluatedProperties" => "write `additionalProperties`",
        "unevaluatedItems" => "write `additionalItems`",
        "dependentRequired" | "dependentSchemas" => "write `dependencies`",
        "minContains" | "maxContains" => "only `contains` is known",
        "$anchor" | "$dynamicRef" | "$dynamicAnchor" | "$recursiveRef" | "$recursiveAnchor" => {
            "refer to components by name"
        }
        "nullable" => "write `\"type\": [\"string\", \"null\"]`",
        "exclusiveMinimum" | "exclusiveMaximum" if value.is_boolean() => "it is a number since draft 06",
        _ => return None,
    })
}

/// The schemas within a schema: pointer, schema, and whether the place needs no name of its own.
fn subschemas<'a>(object: &'a Map<String, Value>, path: &str) -> Vec<(String, &'a Value, bool)> {
    let mut inner = Vec::new();
    for (key, value) in object {
        let path = child(path, key);
        match (key.as_str(), value) {
            ("properties" | "patternProperties" | "dependencies", _) => {
                inner.extend(members(value, &path).into_iter().map(|(_, path, value)| (path, value, false)));
            }
            ("allOf" | "oneOf" | "anyOf" | "items", Value::Array(list)) => {
                let list = list.iter().enumerate();
                inner.extend(list.map(|(number, value)| (format!("{path}/{number}"), value, key == "allOf")));
            }
            ("items" | "additionalItems" | "additionalProperties" | "contains" | "propertyNames", _) => {
                inner.push((path, value, false));
            }
            ("not" | "if" | "then" | "else", _) => inner.push((path, value, true)),
            _ => {}
        }
    }
    inner
}
