//! JSON Schemas as Python's types.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::text::{TYPE_WORDS, WIDTH, comment, docstring, free, is_identifier, pascal, string};

/// These are the types of a module: one for each named schema, and those that had no name until now.
pub(super) struct Types<'a> {
    schemas: &'a Map<String, Value>,
    /// What each named schema is called in Python.
    names: BTreeMap<&'a str, String>,
    taken: BTreeSet<String>,
    /// The definitions, in the order in which they stand in the module.
    definitions: Vec<String>,
}

/// What a definition's fields look like.
struct Field<'a> {
    name: &'a str,
    kind: String,
    is_required: bool,
    description: Option<&'a str>,
}

impl<'a> Types<'a> {
    /// The types of named schemas; `taken` are names that stand for something else in the module.
    pub(super) fn of(schemas: &'a Map<String, Value>, mut taken: BTreeSet<String>) -> Self {
        let names = schemas.keys().map(|name| (name.as_str(), free(pascal(name), &mut taken))).collect();
        let mut types = Self { schemas, names, taken, definitions: Vec::new() };
        for (name, schema) in schemas {
            let python = types.names[name.as_str()].clone();
            types.define(&python, schema);
        }
        types
    }

    /// The definitions as they stand in the module.
    pub(super) fn definitions(&self) -> &[String] {
        &self.definitions
    }

    /// Names that the module uses.
    pub(super) fn taken(&mut self) -> &mut BTreeSet<String> {
        &mut self.taken
    }

    /// The type of a schema. Where one has to be named, the name begins with `context`.
    pub(super) fn kind(&mut self, schema: &'a Value, context: &str) -> String {
        if schema == &Value::Bool(false) {
            return "Never".into();
        }
        let Some(object) = schema.as_object() else { return "Any".into() };
        if let Some(reference) = object.get("$ref").and_then(Value::as_str) {
            let name = reference.rsplit('/').next().unwrap_or_default();
            return self.names.get(name).cloned().unwrap_or_else(|| "Any".into());
        }
        let kind = self.kind_of(schema, object, context);
        if object.get("nullable") == Some(&Value::Bool(true)) { union([kind, "None".into()]) } else { kind }
    }

    fn kind_of(&mut self, schema: &'a Value, object: &'a Map<String, Value>, context: &str) -> String {
        if let Some(value) = object.get("const") {
            return self.literal(std::slice::from_ref(value));
        }
        if let Some(values) = object.get("enum").and_then(Value::as_array) {
            return self.literal(values);
        }
        if let Some(choices) = choices(object) {
            let base = object.contains_key("properties").then_some(schema);
            return union(choices.iter().enumerate().map(|(at, choice)| match base {
                Some(base) => self.merged(&[base, choice], &variant(choice, context, at)),
                None => self.kind(choice, &variant(choice, context, at)),
            }));
        }
        if let Some(parts) = object.get("allOf").and_then(Value::as_array) {
            let mut parts: Vec<_> = parts.iter().filter(|part| says_what(part)).collect();
            if object.contains_key("properties") {
                parts.push(schema);
            }
            return match parts.as_slice() {
                [] => "Any".into(),
                [part] => self.kind(part, context),
                parts => self.merged(parts, context),
            };
        }
        match object.get("type") {
            Some(Value::String(kind)) => self.simple(kind, schema, object, context),
            Some(Value::Array(kinds)) => {
                let kinds = kinds.iter().filter_map(Value::as_str);
                union(kinds.map(|kind| self.simple(kind, schema, object, context)).collect::<Vec<_>>())
            }
            _ if object.contains_key("properties") => self.simple("object", schema, object, context),
            _ if object.contains_key("items") => self.simple("array", schema, object, context),
            _ => "Any".into(),
        }
    }

    fn simple(&mut self, kind: &str, schema: &'a Value, object: &'a Map<String, Value>, context: &str) -> String {
        match kind {
            "string" => "str".into(),
            "integer" => "int".into(),
            "number" => "float".into(),
            "boolean" => "bool".into(),
            "null" => "None".into(),
            "array" => self.array(object, context),
            "object" if has_fields(object) => self.merged(&[schema], context),
            "object" => match values(object) {
                Some(inner) => format!("dict[str, {}]", self.kind(inner, &format!("{context}Value"))),
                None => "dict[str, Any]".into(),
            },
            _ => "Any".into(),
        }
    }

    fn array(&mut self, object: &'a Map<String, Value>, context: &str) -> String {
        let several = object.get("items").filter(|items| items.is_array()).or_else(|| object.get("prefixItems"));
        if let Some(items) = several.and_then(Value::as_array) {
            let items: Vec<_> =
                items.iter().enumerate().map(|(at, item)| self.kind(item, &format!("{context}{}", at + 1))).collect();
            return format!("tuple[{}]", if items.is_empty() { "()".into() } else { items.join(", ") });
        }
        match object.get("items") {
            Some(items) => format!("list[{}]", self.kind(items, &format!("{context}Item"))),
            None => "list[Any]".into(),
        }
    }

    /// The literals of an enum; what cannot be one is named by its type.
    fn literal(&mut self, values: &'a [Value]) -> String {
        let mut literals = Vec::new();
        let mut kinds = Vec::new();
        for value in values {
            match value {
                Value::String(text) => literals.push(string(text)),
                Value::Bool(flag) => literals.push(if *flag { "True".into() } else { "False".into() }),
                Value::Number(number) if number.is_f64() => kinds.push("float".into()),
                Value::Number(number) => literals.push(number.to_string()),
                Value::Array(_) => kinds.push("list[Any]".into()),
                Value::Object(_) => kinds.push("dict[str, Any]".into()),
                Value::Null => kinds.push("None".into()),
            }
        }
        if !literals.is_empty() {
            kinds.insert(0, format!("Literal[{}]", literals.join(", ")));
        }
        union(kinds)
    }

    /// A new type of the fields of several schemas together; a union where one of them is one.
    fn merged(&mut self, parts: &[&'a Value], context: &str) -> String {
        let name = free(pascal(context), &mut self.taken);
        let mut fields = Vec::new();
        for part in parts {
            self.gather(part, &name, &mut fields, 0);
        }
        let definition = self.class(&name, "", &fields);
        self.definitions.push(definition);
        name
    }

    /// The fields of a schema, those of the schemas that it is made of first; a later one of a name replaces the first.
    fn gather(&mut self, schema: &'a Value, context: &str, into: &mut Vec<Field<'a>>, depth: usize) {
        let Some(object) = schema.as_object().filter(|_| depth < MAX_DEPTH) else { return };
        if let Some(target) = self.target(object) {
            return self.gather(target, context, into, depth + 1);
        }
        for part in object.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            self.gather(part, context, into, depth + 1);
        }
        let required = object.get("required").and_then(Value::as_array);
        for (name, schema) in object.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let field = Field {
                name,
                kind: self.kind(schema, &format!("{context}{}", pascal(name))),
                is_required: required.is_some_and(|required| required.iter().any(|each| each == name)),
                description: schema.get("description").and_then(Value::as_str),
            };
            match into.iter_mut().find(|known| known.name == name) {
                Some(known) => *known = field,
                None => into.push(field),
            }
        }
        for name in required.into_iter().flatten() {
            if let Some(field) = into.iter_mut().find(|field| name == field.name) {
                field.is_required = true;
            }
        }
    }

    fn target(&self, object: &Map<String, Value>) -> Option<&'a Value> {
        let name = object.get("$ref")?.as_str()?.rsplit('/').next()?;
        self.schemas.get(name)
    }

    /// Writes the definition of a named schema.
    fn define(&mut self, name: &str, schema: &'a Value) {
        let about = about(schema);
        let is_class = schema.as_object().is_some_and(|object| {
            let is_object = object.get("type").is_none_or(|kind| kind == "object");
            let is_one = !object.contains_key("$ref") && choices(object).is_none() && !object.contains_key("enum");
            let is_merged = object.get("allOf").and_then(Value::as_array).is_some_and(|parts| parts.len() > 1);
            is_object && is_one && !object.contains_key("const") && (has_fields(object) || is_merged)
        });
        let definition = if is_class {
            let mut fields = Vec::new();
            self.gather(schema, name, &mut fields, 0);
            self.class(name, &about, &fields)
        } else {
            let kind = self.kind(schema, &format!("{name}Variant"));
            alias(name, &kind) + &docstring(0, &about)
        };
        self.definitions.push(definition);
    }

    /// A `TypedDict`, in the syntax of a class unless a field's name is none there.
    fn class(&self, name: &str, about: &str, fields: &[Field<'_>]) -> String {
        let is_type = |name: &str| {
            TYPE_WORDS.contains(&name) || name.starts_with(char::is_uppercase) && self.taken.contains(name)
        };
        let fits =
            |field: &Field<'_>| is_identifier(field.name) && !field.name.starts_with("__") && !is_type(field.name);
        let kind = |field: &Field<'_>, kind: &str| {
            if field.is_required { kind.to_owned() } else { format!("NotRequired[{kind}]") }
        };
        if fields.iter().all(fits) {
            let mut text = format!("class {name}(TypedDict):\n{}", docstring(4, about));
            if !about.is_empty() {
                text.push('\n');
            }
            for field in fields {
                text += &member(field.name, &kind(field, &field.kind));
                text += &docstring(4, field.description.unwrap_or_default());
            }
            if fields.is_empty() && about.is_empty() {
                text += "    pass\n";
            }
            return text.trim_end().to_owned() + "\n";
        }
        let mut text = format!("{name} = TypedDict(\n    {},\n    {{\n", string(name));
        for field in fields {
            text += &comment(8, field.description.unwrap_or_default());
            text += &format!("        {}: {},\n", string(field.name), kind(field, &quoted(&field.kind)));
        }
        text + "    },\n)\n" + &docstring(0, about)
    }
}

/// How many references may lead from one schema to the next.
const MAX_DEPTH: usize = 32;

fn has_fields(object: &Map<String, Value>) -> bool {
    object.get("properties").and_then(Value::as_object).is_some_and(|properties| !properties.is_empty())
}

/// What the values of an object without fields are: those of any key, or those of keys of its one pattern.
fn values(object: &Map<String, Value>) -> Option<&Value> {
    let any = object.get("additionalProperties");
    let only = || match object.get("patternProperties")?.as_object()?.values().collect::<Vec<_>>()[..] {
        [only] if any == Some(&Value::Bool(false)) => Some(only),
        _ => None,
    };
    any.filter(|inner| inner.is_object()).or_else(only)
}

fn choices(object: &Map<String, Value>) -> Option<&Vec<Value>> {
    object.get("oneOf").or_else(|| object.get("anyOf")).and_then(Value::as_array)
}

/// Whether a part of `allOf` says anything about the type.
fn says_what(part: &Value) -> bool {
    let keys = ["$ref", "type", "const", "enum", "oneOf", "anyOf", "allOf", "properties"];
    keys.iter().any(|key| part.get(key).is_some())
}

/// What to call a choice that has no name.
fn variant(choice: &Value, context: &str, at: usize) -> String {
    let title = choice.get("title").and_then(Value::as_str);
    let properties = choice.get("properties").and_then(Value::as_object);
    let tag = || properties?.values().find_map(|property| property.get("const")?.as_str());
    let only = || properties.filter(|properties| properties.len() == 1)?.keys().next().map(String::as_str);
    let context = context.strip_suffix("Variant").unwrap_or(context);
    match title.or_else(tag).or_else(only) {
        Some(word) => format!("{context}{}", pascal(word)),
        None => format!("{context}{}", at + 1),
    }
}

/// The types together, each once, `None` last.
fn union(kinds: impl IntoIterator<Item = String>) -> String {
    let mut union: Vec<String> = Vec::new();
    for kind in kinds {
        if !union.contains(&kind) {
            union.push(kind);
        }
    }
    if union.iter().any(|kind| kind == "Any") {
        return "Any".into();
    }
    union.sort_by_key(|kind| kind == "None");
    if union.is_empty() { "Never".into() } else { union.join(" | ") }
}

/// A description, with those of an enum's values, and whether to move on.
fn about(schema: &Value) -> String {
    let mut about = schema.get("description").and_then(Value::as_str).unwrap_or_default().to_owned();
    if schema.get("deprecated") == Some(&Value::Bool(true)) {
        about += "\n\nDeprecated.";
    }
    let values = schema.get("x-enum-descriptions").and_then(Value::as_object).into_iter().flatten();
    let values: Vec<_> = values.filter_map(|(value, text)| Some(format!("- `{value}`: {}", text.as_str()?))).collect();
    if !values.is_empty() {
        about += &format!("\n\n{}", values.join("\n"));
    }
    about
}

/// A field in a class, its literals one a line if they are many.
fn member(name: &str, kind: &str) -> String {
    let line = format!("    {name}: {kind}\n");
    if line.len() <= WIDTH + 1 { line } else { broken(&format!("    {name}: "), kind) }
}

fn alias(name: &str, kind: &str) -> String {
    let kind = if literals(kind).is_some() { kind.to_owned() } else { quoted(kind) };
    let line = format!("{name}: TypeAlias = {kind}\n");
    if line.len() <= WIDTH + 1 { line } else { broken(&format!("{name}: TypeAlias = "), &kind) }
}

/// A type over several lines, where it has a place to break.
fn broken(before: &str, kind: &str) -> String {
    let pad = " ".repeat(before.len() - before.trim_start().len());
    let Some(literals) = literals(kind) else { return format!("{before}{kind}\n") };
    let literals: String = literals.iter().map(|literal| format!("{pad}    {literal},\n")).collect();
    format!("{before}Literal[\n{literals}{pad}]\n")
}

/// The literals of a type that is nothing but a `Literal`.
fn literals(kind: &str) -> Option<Vec<&str>> {
    let inner = kind.strip_prefix("Literal[")?;
    let mut literals = Vec::new();
    let (mut begin, mut is_string, mut is_escaped) = (0, false, false);
    for (at, letter) in inner.char_indices() {
        match letter {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => is_string = !is_string,
            ',' | ']' if !is_string => {
                literals.push(inner[begin..at].trim());
                begin = at + 1;
                if letter == ']' {
                    return (begin == inner.len()).then_some(literals);
                }
            }
            _ => {}
        }
    }
    None
}

/// A type as a string, where it may name what stands further down; Python's own types need none.
pub(super) fn quoted(kind: &str) -> String {
    let words = kind.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_' && letter != '"');
    let is_own = words.filter(|word| !word.is_empty()).all(|word| word == "None" || TYPE_WORDS.contains(&word));
    if is_own {
        kind.to_owned()
    } else if kind.contains('"') && !kind.contains(['\'', '\\']) {
        format!("'{kind}'")
    } else {
        string(kind)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The type of a schema beside some named ones, and the definitions that it needed.
    fn kind_and_definitions(schema: &Value) -> (String, Vec<String>) {
        let named = json!({ "Side": { "enum": ["buy", "sell"] }, "Level": { "type": "object", "properties": { "price": {} } } });
        let named = named.as_object().expect("an object").clone();
        let mut types = Types::of(&named, BTreeSet::from(["Order".to_owned()]));
        let known = types.definitions.len();
        // The types live as long as the schemas do, so the schema under test is looked at as one of them.
        let schema = Box::leak(Box::new(schema.clone()));
        let kind = types.kind(schema, "Order");
        (kind, types.definitions.split_off(known))
    }

    #[test]
    fn schemas_are_pythons_types() {
        for (schema, expected) in [
            (json!(true), "Any"),
            (json!({}), "Any"),
            (json!(false), "Never"),
            (json!({ "type": "string", "format": "decimal" }), "str"),
            (json!({ "type": ["number", "null"] }), "float | None"),
            (json!({ "type": ["null", "string"] }), "str | None"),
            (json!({ "type": "integer", "nullable": true }), "int | None"),
            (json!({ "type": "array", "items": { "type": "boolean" } }), "list[bool]"),
            (json!({ "type": "array" }), "list[Any]"),
            (json!({ "items": [{ "type": "string" }, { "type": "number" }] }), "tuple[str, float]"),
            (json!({ "type": "array", "prefixItems": [{ "type": "string" }] }), "tuple[str]"),
            (json!({ "type": "object" }), "dict[str, Any]"),
            (json!({ "type": "object", "additionalProperties": { "type": "integer" } }), "dict[str, int]"),
            (
                json!({ "type": "object", "additionalProperties": false, "patternProperties": { "^\\d+$": { "type": "integer" } } }),
                "dict[str, int]",
            ),
            (json!({ "const": "ok" }), "Literal[\"ok\"]"),
            (json!({ "const": null }), "None"),
            (json!({ "enum": ["a", 1, true, null, 1.5] }), "Literal[\"a\", 1, True] | float | None"),
            (json!({ "$ref": "#/components/schemas/Side" }), "Side"),
            (json!({ "$ref": "#/components/schemas/Nowhere" }), "Any"),
            (json!({ "description": "Which way.", "allOf": [{ "$ref": "#/components/schemas/Side" }] }), "Side"),
            (json!({ "anyOf": [{ "type": "null" }, { "$ref": "#/components/schemas/Side" }] }), "Side | None"),
            (json!({ "oneOf": [{ "type": "string" }, { "type": "string" }] }), "str"),
            (json!({ "oneOf": [{ "type": "string" }, {}] }), "Any"),
        ] {
            let (kind, definitions) = kind_and_definitions(&schema);
            assert_eq!(kind, expected, "{schema}");
            assert_eq!(definitions, Vec::<String>::new(), "{schema}");
        }
    }

    #[test]
    fn objects_without_a_name_get_one() {
        let schema = json!({
            "type": "object",
            "required": ["level"],
            "properties": { "level": { "type": "object", "properties": { "a": { "type": "integer" } } } }
        });
        let (kind, definitions) = kind_and_definitions(&schema);
        assert_eq!(kind, "Order_", "Order is taken");
        assert_eq!(
            definitions,
            [
                "class OrderLevel(TypedDict):\n    a: NotRequired[int]\n",
                "class Order_(TypedDict):\n    level: OrderLevel\n"
            ]
        );
    }

    #[test]
    fn a_field_that_is_no_name_makes_the_type_a_function_call() {
        let schema = json!({ "type": "object", "properties": { "a-b": { "$ref": "#/components/schemas/Side" } } });
        let (_, definitions) = kind_and_definitions(&schema);
        assert_eq!(
            definitions,
            ["Order_ = TypedDict(\n    \"Order_\",\n    {\n        \"a-b\": NotRequired[\"Side\"],\n    },\n)\n"]
        );
    }

    #[test]
    fn the_parts_of_all_of_are_one_type() {
        let level = json!({ "$ref": "#/components/schemas/Level" });
        let schema = json!({ "allOf": [level, { "required": ["price", "size"], "properties": { "size": {} } }] });
        let (_, definitions) = kind_and_definitions(&schema);
        assert_eq!(definitions, ["class Order_(TypedDict):\n    price: Any\n    size: Any\n"]);
    }

    #[test]
    fn literals_break_between_themselves_only() {
        assert_eq!(literals(r#"Literal["a\", b", 1]"#), Some(vec![r#""a\", b""#, "1"]));
        assert_eq!(literals(r#"Literal["]"]"#), Some(vec![r#""]""#]));
        assert_eq!(literals(r#"Literal["a"] | None"#), None);
    }
}
