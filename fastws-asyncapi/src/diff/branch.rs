//! A schema taken apart into the branches of what it allows, without references.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::pointer::last;

/// This is a schema without references and alternatives: one branch of what it allows.
#[derive(Clone, Debug, Default)]
pub(super) struct Flat {
    /// The name of the component, if it is one.
    pub(super) name: Option<String>,
    pub(super) keywords: Map<String, Value>,
    /// Each member with all the schemas that it has to meet.
    pub(super) properties: BTreeMap<String, Vec<Value>>,
    pub(super) required: BTreeSet<String>,
    pub(super) patterns: BTreeSet<String>,
    /// Nothing meets it.
    pub(super) is_never: bool,
}

impl Flat {
    /// The branches of a schema, references followed.
    pub(super) fn branches(schema: &Value, components: &Map<String, Value>) -> Vec<Self> {
        Self::expanded(schema, components, 0)
    }

    pub(super) fn expanded(schema: &Value, components: &Map<String, Value>, depth: usize) -> Vec<Self> {
        let object = match schema {
            _ if depth > MAX_DEPTH => return vec![Self::default()],
            Value::Bool(false) => return vec![Self { is_never: true, ..Self::default() }],
            Value::Object(object) => object,
            _ => return vec![Self::default()],
        };
        let mut branches = vec![Self::of(object)];
        if let Some(reference) = object.get("$ref").and_then(Value::as_str) {
            let name = last(reference);
            if let Some(target) = components.get(&name) {
                branches = product(branches, Self::expanded(target, components, depth + 1));
            }
            for branch in &mut branches {
                branch.name.get_or_insert_with(|| name.clone());
            }
        }
        for part in object.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            branches = product(branches, Self::expanded(part, components, depth + 1));
        }
        for alternatives in ["anyOf", "oneOf"] {
            let Some(parts) = object.get(alternatives).and_then(Value::as_array) else { continue };
            let parts = parts.iter().flat_map(|part| Self::expanded(part, components, depth + 1)).collect();
            branches = product(branches, parts);
        }
        branches
    }

    /// What the schema itself says, with neither references nor parts.
    pub(super) fn of(object: &Map<String, Value>) -> Self {
        let apart = ["$ref", "allOf", "anyOf", "oneOf", "properties", "required", "pattern"];
        let keywords = object.iter().filter(|(key, _)| !apart.contains(&key.as_str()) && !is_word(key));
        let mut keywords: Map<_, _> = keywords.map(|(key, value)| (key.clone(), value.clone())).collect();
        if keywords.remove("unevaluatedProperties") == Some(Value::Bool(false)) {
            keywords.insert("additionalProperties".into(), Value::Bool(false));
        }
        let properties = object.get("properties").and_then(Value::as_object).into_iter().flatten();
        let required = object.get("required").and_then(Value::as_array).into_iter().flatten();
        Self {
            name: None,
            keywords,
            properties: properties.map(|(name, schema)| (name.clone(), vec![schema.clone()])).collect(),
            required: required.filter_map(|name| Some(name.as_str()?.to_owned())).collect(),
            patterns: object.get("pattern").and_then(Value::as_str).map(str::to_owned).into_iter().collect(),
            is_never: false,
        }
    }

    /// What meets both.
    pub(super) fn and(mut self, other: &Self) -> Self {
        for (key, value) in &other.keywords {
            let joint = match self.keywords.get(key) {
                None => value.clone(),
                Some(own) => match key.as_str() {
                    "type" => {
                        let (own, theirs) = (one_or_more(own), one_or_more(value));
                        own.into_iter().filter(|kind| theirs.contains(kind)).collect()
                    }
                    "enum" => {
                        let theirs = value.as_array().cloned().unwrap_or_default();
                        let own = own.as_array().cloned().unwrap_or_default();
                        own.into_iter().filter(|choice| theirs.contains(choice)).collect()
                    }
                    "additionalProperties" if *value == Value::Bool(false) => value.clone(),
                    _ if key.to_lowercase().contains("min") && own.as_f64() < value.as_f64() => value.clone(),
                    _ if key.to_lowercase().contains("max") && own.as_f64() > value.as_f64() => value.clone(),
                    _ => own.clone(),
                },
            };
            self.keywords.insert(key.clone(), joint);
        }
        for (name, schemas) in &other.properties {
            self.properties.entry(name.clone()).or_default().extend(schemas.iter().cloned());
        }
        self.required.extend(other.required.iter().cloned());
        self.patterns.extend(other.patterns.iter().cloned());
        self.is_never |= other.is_never;
        self.name = self.name.or_else(|| other.name.clone());
        self
    }

    /// Without what is null only, and with the values of an enum in one branch however they were spread.
    pub(super) fn gathered(branches: Vec<Self>) -> Vec<Self> {
        let mut branches: Vec<_> =
            branches.into_iter().filter(|branch| branch.is_never || !branch.types().is_empty()).collect();
        if branches.len() < 2 {
            return branches;
        }
        let only = |branch: &Self, allowed: &[&str]| {
            let is_scalar = branch.properties.is_empty() && branch.patterns.is_empty() && !branch.is_never;
            is_scalar && branch.keywords.keys().all(|key| allowed.contains(&key.as_str()))
        };
        if branches.iter().all(|branch| only(branch, &["type", "const", "enum"]) && branch.values().is_some()) {
            let values: Vec<_> = branches.iter().flat_map(|branch| branch.values().unwrap_or_default()).collect();
            let keywords = Map::from_iter([("enum".to_owned(), values.into_iter().cloned().collect())]);
            branches = vec![Self { keywords, ..Self::default() }];
        } else if branches.iter().all(|branch| only(branch, &["type"]) && branch.keywords.contains_key("type")) {
            let kinds: BTreeSet<_> = branches.iter().flat_map(Self::types).collect();
            let keywords = Map::from_iter([("type".to_owned(), kinds.into_iter().collect())]);
            branches = vec![Self { keywords, ..Self::default() }];
        }
        branches
    }

    pub(super) fn get(&self, keyword: &str) -> Option<&Value> {
        self.keywords.get(keyword)
    }

    pub(super) fn number(&self, keyword: &str) -> Option<f64> {
        self.get(keyword).and_then(Value::as_f64)
    }

    /// The constants that it is limited to, null apart.
    pub(super) fn values(&self) -> Option<Vec<&Value>> {
        let values = match (self.get("const"), self.get("enum").and_then(Value::as_array)) {
            (Some(only), _) => vec![only],
            (None, Some(several)) => several.iter().collect(),
            (None, None) => return None,
        };
        Some(values.into_iter().filter(|value| !value.is_null()).collect())
    }

    /// The types that it takes, null apart. `number` stands for the numbers that are no integers.
    pub(super) fn types(&self) -> BTreeSet<&'static str> {
        let named = self.get("type").map(one_or_more);
        let declared = |kind: &str| {
            named
                .as_ref()
                .is_none_or(|named| named.iter().any(|name| *name == kind || kind == "integer" && *name == "number"))
        };
        let values = self.values();
        let possible =
            |kind: &str| values.as_ref().is_none_or(|values| values.iter().any(|value| type_of(value) == kind));
        TYPES.into_iter().filter(|kind| declared(kind) && possible(kind)).collect()
    }

    pub(super) fn takes(&self, kind: &str) -> bool {
        if kind != "null" {
            return !self.is_never && self.types().contains(kind);
        }
        let declared = self.get("type").is_none_or(|named| one_or_more(named).iter().any(|name| name == "null"));
        let has_null = |choices: &Value| choices.as_array().is_some_and(|choices| choices.contains(&Value::Null));
        let possible = self.get("const").is_none_or(Value::is_null) && self.get("enum").is_none_or(has_null);
        declared && possible && !self.is_never
    }

    pub(super) fn type_words(&self) -> String {
        let mut kinds = self.types();
        if kinds.len() == TYPES.len() {
            return "anything".into();
        }
        if kinds.contains("number") {
            kinds.remove("integer");
        }
        kinds.into_iter().collect::<Vec<_>>().join(" or ")
    }

    pub(super) fn lower(&self, has_range: bool) -> Option<Bound> {
        let bound = |keyword, is_exclusive| Some(Bound { value: self.number(keyword)?, is_exclusive, words: "above" });
        let given = [bound("minimum", false), bound("exclusiveMinimum", true)].into_iter().flatten();
        let given = given.reduce(|a, b| if a.is_above(&b) { a } else { b });
        given.or_else(|| {
            Some(Bound { value: self.range().0.filter(|_| has_range)?, is_exclusive: false, words: "above" })
        })
    }

    pub(super) fn upper(&self, has_range: bool) -> Option<Bound> {
        let bound = |keyword, is_exclusive| Some(Bound { value: self.number(keyword)?, is_exclusive, words: "below" });
        let given = [bound("maximum", false), bound("exclusiveMaximum", true)].into_iter().flatten();
        let given = given.reduce(|a, b| if a.is_below(&b) { a } else { b });
        given.or_else(|| {
            Some(Bound { value: self.range().1.filter(|_| has_range)?, is_exclusive: false, words: "below" })
        })
    }

    /// What the format of an integer leaves room for. With 64 bits there is always room.
    pub(super) fn range(&self) -> (Option<f64>, Option<f64>) {
        let format = self.get("format").and_then(Value::as_str).unwrap_or_default();
        let bits = |bits: &str| bits.parse::<i32>().ok().filter(|bits| (1..64).contains(bits));
        match (format.strip_prefix("uint"), format.strip_prefix("int")) {
            (Some(size), _) => (Some(0.0), bits(size).map(|bits| 2f64.powi(bits) - 1.0)),
            (None, Some(size)) => {
                (bits(size).map(|bits| -2f64.powi(bits - 1)), bits(size).map(|bits| 2f64.powi(bits - 1) - 1.0))
            }
            (None, None) => (None, None),
        }
    }

    /// What members may be that it does not name.
    pub(super) fn additional(&self) -> Value {
        self.get("additionalProperties").cloned().unwrap_or(Value::Bool(true))
    }

    /// What tells it from its sisters: a constant member, a name, or else its only members or its type.
    pub(super) fn tag(&self) -> String {
        let constant = |(name, schemas): (&String, &Vec<Value>)| {
            let value = schemas.iter().find_map(|schema| {
                let only = schema.get("enum").and_then(Value::as_array).filter(|choices| choices.len() == 1);
                schema.get("const").or_else(|| only?.first())
            })?;
            Some(format!("{name} {value}"))
        };
        let constants: Vec<_> = self.properties.iter().filter_map(constant).collect();
        if !constants.is_empty() {
            return constants.join(", ");
        }
        let outer = || match &self.required.iter().collect::<Vec<_>>()[..] {
            [only] if self.properties.len() == 1 => Some((*only).clone()),
            _ => None,
        };
        self.name.clone().or_else(outer).unwrap_or_else(|| self.type_words())
    }

    pub(super) fn described(&self) -> String {
        match (&self.name, self.values()) {
            (Some(name), _) => format!("`{name}`"),
            (None, Some(values)) => shown(&values),
            (None, None) if self.properties.is_empty() => self.type_words(),
            (None, None) => {
                let members: Vec<_> = self.properties.keys().map(|name| format!("`{name}`")).collect();
                format!("an object with {}", members.join(", "))
            }
        }
    }
}

/// This is the least or the greatest that something may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bound {
    pub(super) value: f64,
    /// The value itself is out of bounds.
    pub(super) is_exclusive: bool,
    /// On which side of it everything has to be.
    pub(super) words: &'static str,
}

impl Bound {
    /// A count's bound in two schemas. That there are not fewer than none is no bound.
    pub(super) fn both(keyword: &str, was: &Flat, is: &Flat) -> (Option<Self>, Option<Self>) {
        let bound = |flat: &Flat| {
            let value = flat.number(keyword).filter(|value| *value > 0.0 || keyword.starts_with("max"))?;
            Some(Self { value, is_exclusive: false, words: "" })
        };
        (bound(was), bound(is))
    }

    pub(super) fn is_above(&self, other: &Self) -> bool {
        self.value > other.value || self.value >= other.value && self.is_exclusive && !other.is_exclusive
    }

    pub(super) fn is_below(&self, other: &Self) -> bool {
        self.value < other.value || self.value <= other.value && self.is_exclusive && !other.is_exclusive
    }

    pub(super) fn words(&self) -> String {
        if self.is_exclusive { format!("{} {}", self.words, self.value) } else { self.value.to_string() }
    }
}

/// Each of these together with each of those.
fn product(these: Vec<Flat>, those: Vec<Flat>) -> Vec<Flat> {
    let both = these.iter().flat_map(|this| those.iter().map(|that| this.clone().and(that)));
    both.take(MAX_BRANCHES).collect()
}

fn one_or_more(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_else(|| vec![value.clone()])
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Whether a keyword is for people, and promises nothing.
pub(super) fn is_word(keyword: &str) -> bool {
    let words =
        ["title", "description", "examples", "example", "default", "$comment", "deprecated", "readOnly", "writeOnly"];
    words.contains(&keyword) || keyword.starts_with("x-")
}

pub(super) fn shown(values: &[&Value]) -> String {
    let mut words: Vec<_> = values.iter().take(MAX_SHOWN).map(|value| format!("`{value}`")).collect();
    if values.len() > MAX_SHOWN {
        words.push(format!("{} more", values.len() - MAX_SHOWN));
    }
    words.join(", ")
}

const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];
/// How many references and parts may lie within each other.
const MAX_DEPTH: usize = 32;
/// How many alternatives are looked at.
const MAX_BRANCHES: usize = 256;
/// How many values a sentence names.
const MAX_SHOWN: usize = 8;
