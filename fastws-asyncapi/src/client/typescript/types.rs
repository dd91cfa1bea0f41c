//! JSON Schema as types.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::text::{WIDTH, capitals, comment, free, is_identifier, key, pascal, quoted};
use crate::contract::{Contract, Message};
use crate::pointer::unescape;

/// These are the types of a contract, each schema under a name of its own.
pub(super) struct Types<'a> {
    schemas: &'a Map<String, Value>,
    /// The type of each schema, by the schema's name.
    names: BTreeMap<&'a str, String>,
    /// The types of frames that no schema names, by the message's name.
    frames: BTreeMap<&'a str, String>,
}

impl<'a> Types<'a> {
    /// Names the types of a contract; what the rest of the file uses is not for them.
    pub(super) fn of(contract: &'a Contract, rest_of_file: &str) -> Self {
        let mut taken = capitals(rest_of_file);
        taken.extend(RESERVED.iter().map(|&name| name.to_owned()));
        let name = |wanted: &str| {
            let safe = if is_identifier(wanted) { wanted.to_owned() } else { pascal(wanted) };
            if is_identifier(&safe) { safe } else { format!("Type{safe}") }
        };
        let names = contract.schemas.keys().map(|schema| (schema.as_str(), free(name(schema), &mut taken))).collect();
        let mut types = Self { schemas: &contract.schemas, names, frames: BTreeMap::new() };
        for message in messages(contract) {
            if types.named(&message.frame).is_none() && !types.frames.contains_key(message.name.as_str()) {
                let frame = free(name(&format!("{}Message", pascal(&message.name))), &mut taken);
                types.frames.insert(&message.name, frame);
            }
        }
        types
    }

    /// The type of a message's frame.
    pub(super) fn frame(&self, message: &Message) -> &str {
        self.named(&message.frame).unwrap_or_else(|| &self.frames[message.name.as_str()])
    }

    /// Declares the types of everything that is no frame, in the document's order.
    pub(super) fn payloads(&self, contract: &Contract) -> String {
        let frames: BTreeSet<_> = messages(contract).map(|message| self.frame(message)).collect();
        let payloads = self.schemas.iter().filter(|(name, _)| !frames.contains(self.names[name.as_str()].as_str()));
        payloads.map(|(name, schema)| self.declaration(&self.names[name.as_str()], schema)).collect()
    }

    /// Declares the types of the frames.
    pub(super) fn frames(&self, contract: &Contract) -> String {
        let mut written = BTreeSet::new();
        let mut declared = String::new();
        for message in messages(contract) {
            let name = self.frame(message);
            if !written.insert(name) {
                continue;
            }
            let schema = self.schemas.iter().find(|(schema, _)| self.names[schema.as_str()] == name);
            match schema {
                Some((_, schema)) => declared += &self.declaration(name, schema),
                None if message.frame.is_object() => declared += &self.declaration(name, &message.frame),
                None => {
                    let about = comment(0, &[format!("Frame of `{}`.", message.name)]);
                    let kind = quoted(&message.name);
                    declared +=
                        &format!("{about}export interface {name} {{\n  type: {kind};\n  payload?: unknown;\n}}\n\n");
                }
            }
        }
        declared
    }

    fn declaration(&self, name: &str, schema: &Value) -> String {
        let about = comment(0, &words_of(schema));
        if is_plain_object(schema) {
            let body = self.members(schema, 0);
            return format!("{about}export interface {name} {body}\n\n");
        }
        let enumerated = schema.get("x-enum-descriptions").and_then(Value::as_object).zip(choices(schema));
        if let Some((meanings, choices)) = enumerated {
            let choice = |choice: &Value| {
                let meaning = choice.as_str().and_then(|choice| meanings.get(choice)).and_then(Value::as_str);
                let about = comment(2, &[meaning.unwrap_or_default().to_owned()]);
                format!("\n{about}  | {}", literal(choice))
            };
            let choices: String = choices.iter().map(choice).collect();
            return format!("{about}export type {name} ={choices};\n\n");
        }
        let line = format!("export type {name} = {};\n", self.expression(schema, 0));
        if line.len() <= WIDTH {
            return format!("{about}{line}\n");
        }
        let alternatives: String =
            self.alternatives(schema, 2).iter().map(|alternative| format!("\n  | {alternative}")).collect();
        format!("{about}export type {name} ={alternatives};\n\n")
    }

    /// The type of a schema, written at an indent.
    pub(super) fn expression(&self, schema: &Value, indent: usize) -> String {
        self.alternatives(schema, indent).join(" | ")
    }

    /// The members of the union that a schema is, each once.
    fn alternatives(&self, schema: &Value, indent: usize) -> Vec<String> {
        let mut all = match schema {
            Value::Bool(false) => vec!["never".into()],
            Value::Object(schema) => self.alternatives_of(schema, indent),
            _ => vec!["unknown".into()],
        };
        if schema.get("nullable").is_some_and(|nullable| *nullable == true) {
            all.push("null".into());
        }
        let mut seen = BTreeSet::new();
        all.retain(|one| seen.insert(one.clone()));
        if all.iter().any(|one| one == "unknown") {
            return vec!["unknown".into()];
        }
        if all.len() > 1 {
            all.retain(|one| one != "never");
        }
        all
    }

    fn alternatives_of(&self, schema: &Map<String, Value>, indent: usize) -> Vec<String> {
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            return vec![self.referred(reference).unwrap_or("unknown").to_owned()];
        }
        if let Some(value) = schema.get("const") {
            return vec![literal(value)];
        }
        if let Some(choices) = schema.get("enum").and_then(Value::as_array) {
            return choices.iter().map(literal).collect();
        }
        // What stands beside a combination holds for each of its alternatives.
        let mut parts: Vec<Vec<String>> = Vec::new();
        if let Some(all) = schema.get("allOf").and_then(Value::as_array) {
            parts.extend(all.iter().map(|part| self.alternatives(part, indent)));
        }
        for combination in ["anyOf", "oneOf"] {
            if let Some(any) = schema.get(combination).and_then(Value::as_array) {
                parts.push(any.iter().flat_map(|part| self.alternatives(part, indent)).collect());
            }
        }
        if parts.is_empty() || schema.contains_key("properties") {
            parts.push(self.plain(schema, indent));
        }
        parts.retain(|part| part.as_slice() != ["unknown"]);
        match parts.len() {
            0 => vec!["unknown".into()],
            1 => parts.remove(0),
            _ => {
                let together = parts.iter().map(|part| match part.as_slice() {
                    [one] => one.clone(),
                    several => format!("({})", several.join(" | ")),
                });
                vec![together.collect::<Vec<_>>().join(" & ")]
            }
        }
    }

    /// The type of a schema by its `type`, or by what else it says.
    fn plain(&self, schema: &Map<String, Value>, indent: usize) -> Vec<String> {
        let of_kind = |kind: &str| match kind {
            "string" => "string".into(),
            "number" | "integer" => "number".into(),
            "boolean" => "boolean".into(),
            "null" => "null".into(),
            "array" => self.array(schema, indent),
            "object" => self.members(&Value::Object(schema.clone()), indent),
            _ => "unknown".into(),
        };
        match schema.get("type") {
            Some(Value::String(kind)) => vec![of_kind(kind)],
            Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).map(of_kind).collect(),
            _ if schema.contains_key("properties") || schema.contains_key("additionalProperties") => {
                vec![of_kind("object")]
            }
            _ if schema.contains_key("items") => vec![of_kind("array")],
            _ => vec!["unknown".into()],
        }
    }

    fn array(&self, schema: &Map<String, Value>, indent: usize) -> String {
        let tuple = schema.get("prefixItems").or_else(|| schema.get("items")).and_then(Value::as_array);
        let Some(tuple) = tuple else {
            return match schema.get("items") {
                Some(items) => self.list(items, indent),
                None => "unknown[]".into(),
            };
        };
        let least = schema.get("minItems").and_then(Value::as_u64).map_or(tuple.len(), |least| least as usize);
        let mut places: Vec<_> = tuple
            .iter()
            .enumerate()
            .map(|(at, place)| match (self.alternatives(place, indent).as_slice(), at < least) {
                (place, true) => place.join(" | "),
                ([place], false) => format!("{place}?"),
                (place, false) => format!("({})?", place.join(" | ")),
            })
            .collect();
        let more = if schema.contains_key("prefixItems") { schema.get("items") } else { schema.get("additionalItems") };
        if let Some(more) = more.filter(|more| **more != Value::Bool(false)) {
            places.push(format!("...{}", self.list(more, indent)));
        }
        format!("[{}]", places.join(", "))
    }

    fn list(&self, items: &Value, indent: usize) -> String {
        match self.alternatives(items, indent).as_slice() {
            [one] if !one.contains(" & ") || one.starts_with('{') => format!("{one}[]"),
            several => format!("({})[]", several.join(" | ")),
        }
    }

    /// The braces of an object's type.
    fn members(&self, schema: &Value, indent: usize) -> String {
        let pad = " ".repeat(indent + 2);
        let required: BTreeSet<_> =
            schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let properties = schema.get("properties").and_then(Value::as_object);
        let mut body = String::new();
        for (name, property) in properties.into_iter().flatten() {
            let mark = if required.contains(name.as_str()) { "" } else { "?" };
            body += &comment(indent + 2, &words_of(property));
            body += &format!("{pad}{}{mark}: {};\n", key(name), self.expression(property, indent + 2));
        }
        let is_empty = body.is_empty();
        let patterns = schema.get("patternProperties").and_then(Value::as_object).is_some_and(|some| !some.is_empty());
        let others = match schema.get("additionalProperties") {
            Some(Value::Bool(false)) if is_empty && !patterns => Some("never".into()),
            Some(Value::Bool(false)) if !patterns => None,
            Some(others) if is_empty && !patterns => Some(self.expression(others, indent + 2)),
            Some(_) => Some("unknown".into()),
            None if is_empty || patterns => Some("unknown".into()),
            None => None,
        };
        match others {
            Some(others) if is_empty => format!("{{ [key: string]: {others} }}"),
            Some(others) => format!("{{\n{body}{pad}[key: string]: {others};\n{}}}", " ".repeat(indent)),
            None => format!("{{\n{body}{}}}", " ".repeat(indent)),
        }
    }

    fn named(&self, schema: &Value) -> Option<&str> {
        self.referred(schema.get("$ref")?.as_str()?)
    }

    fn referred(&self, reference: &str) -> Option<&str> {
        let name = unescape(reference.strip_prefix("#/components/schemas/")?);
        Some(self.names.get(name.as_str())?)
    }

    /// The type of an error's `code`: the words that the document lists, and any other.
    pub(super) fn error_code(&self, contract: &Contract) -> String {
        let code = contract.error.as_ref().and_then(|error| {
            let payload = self.resolved(error.payload.as_ref()?);
            Some(self.resolved(payload.get("properties")?.get("code")?))
        });
        let alternatives = code.map(|code| match code.get("anyOf").or_else(|| code.get("oneOf")) {
            Some(Value::Array(alternatives)) => alternatives.iter().collect(),
            _ => vec![code],
        });
        let known: Vec<_> = alternatives
            .into_iter()
            .flatten()
            .filter(|alternative| self.resolved(alternative).get("enum").is_some())
            .map(|alternative| self.expression(alternative, 0))
            .collect();
        if known.is_empty() { "string".into() } else { format!("{} | (string & {{}})", known.join(" | ")) }
    }

    fn resolved<'b>(&'b self, schema: &'b Value) -> &'b Value {
        let name =
            schema.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix("#/components/schemas/"));
        name.and_then(|name| self.schemas.get(name)).unwrap_or(schema)
    }
}

/// Names that are types already, or that no type may have.
const RESERVED: [&str; 38] = [
    "any",
    "arguments",
    "as",
    "asserts",
    "async",
    "await",
    "bigint",
    "boolean",
    "class",
    "const",
    "default",
    "delete",
    "enum",
    "eval",
    "export",
    "extends",
    "false",
    "function",
    "import",
    "in",
    "interface",
    "let",
    "never",
    "null",
    "number",
    "object",
    "package",
    "private",
    "protected",
    "public",
    "static",
    "string",
    "symbol",
    "true",
    "type",
    "undefined",
    "unknown",
    "void",
];

/// All messages of a contract: what clients send, then what the server sends.
pub(super) fn messages(contract: &Contract) -> impl Iterator<Item = &Message> {
    contract.requests.iter().map(|request| &request.message).chain(contract.from_server())
}

fn is_plain_object(schema: &Value) -> bool {
    let has = |word: &str| schema.get(word).is_some();
    schema.get("type").is_some_and(|kind| kind == "object")
        && !["allOf", "anyOf", "oneOf", "enum", "const", "$ref"].into_iter().any(has)
        && schema.get("nullable").is_none_or(|nullable| *nullable != true)
}

fn choices(schema: &Value) -> Option<&Vec<Value>> {
    schema.get("enum").and_then(Value::as_array).filter(|choices| !choices.is_empty())
}

fn literal(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Array(items) => format!("[{}]", items.iter().map(literal).collect::<Vec<_>>().join(", ")),
        Value::Object(members) => {
            let members: Vec<_> =
                members.iter().map(|(name, value)| format!("{}: {}", key(name), literal(value))).collect();
            format!("{{ {} }}", members.join("; "))
        }
        other => other.to_string(),
    }
}

/// What a schema says for a person: its description, its bounds, its default, and whether to keep away from it.
fn words_of(schema: &Value) -> Vec<String> {
    let mut words: Vec<String> =
        schema.get("description").and_then(Value::as_str).map(str::to_owned).into_iter().collect();
    if let Some(bounds) = bounds(schema) {
        match words.last_mut() {
            Some(description) if !description.contains('\n') => *description = format!("{description} {bounds}"),
            _ => words.push(bounds),
        }
    }
    if let Some(default) = schema.get("default").filter(|default| !default.is_null()) {
        words.push(format!("@default {}", literal(default)));
    }
    if schema.get("deprecated").is_some_and(|deprecated| *deprecated == true) {
        words.push("@deprecated".into());
    }
    words
}

/// What a type cannot say: how long, how large, of which form. Bounds that an integer's format implies are left out.
fn bounds(schema: &Value) -> Option<String> {
    let range = |least: &str, most: &str, what: &str| {
        let is_telling = |bound: &&Value| bound.as_f64().is_some_and(|bound| bound.abs() < EXACT);
        let bound = |word: &str| schema.get(word).filter(is_telling);
        let what = if what.is_empty() { String::new() } else { format!(" {what}") };
        match (bound(least), bound(most)) {
            (Some(least), Some(most)) if least == most => Some(format!("exactly {least}{what}")),
            (Some(least), Some(most)) => Some(format!("{least} to {most}{what}")),
            (Some(least), None) => Some(format!("at least {least}{what}")),
            (None, Some(most)) => Some(format!("at most {most}{what}")),
            (None, None) => None,
        }
    };
    let is_sized = schema.get("format").and_then(Value::as_str).is_some_and(|format| format.contains("int"));
    let is_tuple = schema.get("items").is_some_and(Value::is_array);
    let size = range("minimum", "maximum", "").filter(|_| !is_sized);
    let pattern = schema.get("pattern").and_then(Value::as_str).map(|pattern| format!("of the form `{pattern}`"));
    let items = range("minItems", "maxItems", "items").filter(|_| !is_tuple);
    let all: Vec<_> =
        [range("minLength", "maxLength", "characters"), items, size, pattern].into_iter().flatten().collect();
    let mut sentence = all.join(", ");
    sentence.get_mut(..1)?.make_ascii_uppercase();
    Some(sentence + ".")
}

/// Where integers begin that a number does not hold exactly, 2^53 - 1: a bound there is no news.
const EXACT: f64 = 9_007_199_254_740_991.0;
