//! The JSON Schemas of all payloads: draft 07, one component per type, each with one name.

use std::collections::{BTreeMap, BTreeSet};

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::operation::TypeSchema;

/// These are the named schemas of a service. References to them read `#/components/schemas/Bar`.
#[derive(Clone, Debug, Default)]
pub struct Schemas {
    components: Map<String, Value>,
}

/// Where references point to.
const COMPONENTS: &str = "#/components/schemas/";

impl Schemas {
    /// The components by name, sorted.
    pub fn components(&self) -> &Map<String, Value> {
        &self.components
    }

    /// Compiles a schema, so that values can be held against it.
    ///
    /// # Errors
    /// When `schema` is no schema; those that this crate generates are.
    pub fn validator(&self, schema: &Value) -> Result<jsonschema::Validator, String> {
        validator(schema, &self.components)
    }
}

/// Compiles a schema that refers to `components`.
///
/// # Errors
/// When `schema` is no schema.
pub fn validator(schema: &Value, components: &Map<String, Value>) -> Result<jsonschema::Validator, String> {
    let mut document = json!({ "allOf": [schema], "components": { "schemas": null } });
    document["components"]["schemas"] = reached(schema, components).into();
    jsonschema::draft7::new(&document).map_err(|error| error.to_string())
}

/// The components that a schema refers to, and those that they refer to: compiling all of them for each schema would
/// take long.
fn reached(schema: &Value, components: &Map<String, Value>) -> Map<String, Value> {
    let mut reached = Map::new();
    let mut open: Vec<&str> = references(schema).collect();
    while let Some(name) = open.pop() {
        if let Some(component) = components.get(name).filter(|_| !reached.contains_key(name)) {
            reached.insert(name.to_owned(), component.clone());
            open.extend(references(component));
        }
    }
    reached
}

/// This gathers types, those that clients write (inbound) and those that the server writes (outbound), and then names
/// them.
pub(crate) struct Collector {
    inbound: SchemaGenerator,
    outbound: SchemaGenerator,
}

impl Collector {
    pub(crate) fn new() -> Self {
        let settings = SchemaSettings::draft07().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        });
        Self { inbound: settings.clone().into_generator(), outbound: settings.for_serialize().into_generator() }
    }

    /// The schema of something that a client writes.
    pub(crate) fn inbound(&mut self, of: TypeSchema) -> Value {
        root(&mut self.inbound, of)
    }

    /// The schema of something that the server writes.
    pub(crate) fn outbound(&mut self, of: TypeSchema) -> Value {
        root(&mut self.outbound, of)
    }

    /// Names every type once. A type that reads differently from what it writes becomes two: `Bar` and `BarInput`.
    /// Two types of one name are a complaint.
    pub(crate) fn finish(mut self, complaints: &mut Vec<String>) -> (Schemas, Renames) {
        complaints.extend(collisions(&self.inbound));
        complaints.extend(collisions(&self.outbound));
        let mut inbound = self.inbound.take_definitions(true);
        let outbound = polished(self.outbound.take_definitions(true));
        inbound.values_mut().for_each(drop_unenforced);
        let inbound = polished(inbound);

        let renames = Renames::between(&inbound, &outbound);
        complaints.extend(renames.taken(&inbound, &outbound));
        let mut components: BTreeMap<String, Value> = outbound.into_iter().collect();
        for (name, mut schema) in inbound {
            renames.apply(&mut schema);
            let name = renames.of(&name).unwrap_or(name);
            if let Some(title) = schema
                .get_mut("title")
                .filter(|title| title.as_str().is_some_and(|title| name == format!("{title}Input")))
            {
                *title = name.clone().into();
            }
            components.insert(name, schema);
        }
        for (name, schema) in &mut components {
            check_name(name, complaints);
            check_patterns(name, schema, complaints);
        }
        (Schemas { components: components.into_iter().collect() }, renames)
    }
}

/// These are the inbound types whose name was taken by their outbound form.
pub(crate) struct Renames(BTreeSet<String>);

impl Renames {
    fn between(inbound: &Map<String, Value>, outbound: &Map<String, Value>) -> Self {
        let differs = |name: &String, schema: &Value| outbound.get(name).is_some_and(|other| other != schema);
        let mut names: BTreeSet<String> =
            inbound.iter().filter(|(name, schema)| differs(name, schema)).map(|(name, _)| name.clone()).collect();
        // A type that refers to a renamed one differs as well.
        loop {
            let more: Vec<String> = inbound
                .iter()
                .filter(|(name, schema)| {
                    outbound.contains_key(*name)
                        && !names.contains(*name)
                        && references(schema).any(|to| names.contains(to))
                })
                .map(|(name, _)| name.clone())
                .collect();
            if more.is_empty() {
                return Self(names);
            }
            names.extend(more);
        }
    }

    fn of(&self, name: &str) -> Option<String> {
        self.0.contains(name).then(|| format!("{name}Input"))
    }

    /// One sentence for every new name that another type has already.
    fn taken(&self, inbound: &Map<String, Value>, outbound: &Map<String, Value>) -> Vec<String> {
        let names = self.0.iter().map(|name| (name, format!("{name}Input")));
        names
            .filter(|(_, new)| inbound.contains_key(new) || outbound.contains_key(new))
            .map(|(name, new)| {
                format!(
                    "type `{name}` reads differently from what it writes, so documents call what it reads `{new}`, and \
                     another type is called that; rename one with `#[schemars(rename = \"…\")]`"
                )
            })
            .collect()
    }

    /// Points an inbound schema at the new names.
    pub(crate) fn apply(&self, schema: &mut Value) {
        visit(schema, &mut |object| {
            if let Some(Value::String(reference)) = object.get_mut("$ref")
                && let Some(name) = reference.strip_prefix(COMPONENTS).and_then(|name| self.of(name))
            {
                *reference = format!("{COMPONENTS}{name}");
            }
        });
    }
}

fn root(generator: &mut SchemaGenerator, of: TypeSchema) -> Value {
    let mut schema = (of.schema)(generator);
    for transform in generator.transforms_mut() {
        transform.transform(&mut schema);
    }
    let mut schema = schema.to_value();
    polish(&mut schema);
    schema
}

fn polished(mut definitions: Map<String, Value>) -> Map<String, Value> {
    for (name, schema) in &mut definitions {
        polish(schema);
        if let Value::Object(object) = schema
            && !object.contains_key("title")
        {
            object.shift_insert(0, "title".into(), name.clone().into());
        }
    }
    definitions
}

/// Makes a schema say what it means to readers of draft 07.
fn polish(schema: &mut Value) {
    visit(schema, &mut |object| {
        collapse_unit_enum(object);
        restore_order(object);
        bound_number(object);
        // A tuple has no more elements than it has.
        if object.get("items").is_some_and(Value::is_array) && !object.contains_key("additionalItems") {
            object.insert("additionalItems".into(), false.into());
        }
    });
}

/// References in documents lead to names of these letters alone: schemars escapes others in references, not in names.
fn check_name(name: &str, complaints: &mut Vec<String>) {
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')) {
        complaints.push(format!(
            "schema `{name}`: names in documents are letters, digits, `.`, `_` or `-`; rename the type with \
             `#[schemars(rename = \"…\")]`"
        ));
    }
}

/// Every pattern is a regular expression: the first payload would be too late to find out.
fn check_patterns(name: &str, schema: &mut Value, complaints: &mut Vec<String>) {
    visit(schema, &mut |object| {
        if let Some(Value::String(pattern)) = object.get("pattern")
            && garde::rules::pattern::regex::Regex::new(pattern).is_err()
        {
            complaints.push(format!("schema `{name}`: the pattern `{pattern}` is no regular expression"));
        }
    });
}

/// A set decodes from a list that repeats itself, so what clients write need not be unique.
fn drop_unenforced(schema: &mut Value) {
    visit(schema, &mut |object| {
        object.shift_remove("uniqueItems");
    });
}

/// schemars bounds 8 and 16 bit integers and leaves the others to their format, which nobody asserts. What does not fit an
/// `f32` is refused, too.
fn bound_number(object: &mut Map<String, Value>) {
    let bounds: [(_, Value); 2] = match object.get("format").and_then(Value::as_str) {
        Some("int32") => [("minimum", i32::MIN.into()), ("maximum", i32::MAX.into())],
        Some("int64") => [("minimum", i64::MIN.into()), ("maximum", i64::MAX.into())],
        Some("int") => [("minimum", isize::MIN.into()), ("maximum", isize::MAX.into())],
        Some("uint32") => [("minimum", 0.into()), ("maximum", u32::MAX.into())],
        Some("uint64") => [("minimum", 0.into()), ("maximum", u64::MAX.into())],
        Some("uint") => [("minimum", 0.into()), ("maximum", usize::MAX.into())],
        Some("float") => [("minimum", f64::from(f32::MIN).into()), ("maximum", f64::from(f32::MAX).into())],
        _ => return,
    };
    for (keyword, bound) in bounds {
        object.entry(keyword).or_insert(bound);
    }
}

/// Turns the `oneOf` that stands for an enum of documented unit variants into a plain `enum` in the same order.
fn collapse_unit_enum(object: &mut Map<String, Value>) {
    let Some(Value::Array(variants)) = object.get("oneOf") else { return };
    let mut values = Vec::new();
    let mut descriptions = Map::new();
    for variant in variants {
        match (variant.get("type"), variant.get("const"), variant.get("enum")) {
            (Some(Value::String(kind)), Some(Value::String(value)), None) if kind == "string" => {
                if let Some(description) = variant.get("description") {
                    descriptions.insert(value.clone(), description.clone());
                }
                values.push(Value::String(value.clone()));
            }
            (Some(Value::String(kind)), None, Some(Value::Array(several))) if kind == "string" => {
                values.extend(several.iter().cloned());
            }
            _ => return,
        }
    }
    object.shift_remove("oneOf");
    object.insert("type".into(), "string".into());
    object.insert("enum".into(), values.into());
    if !descriptions.is_empty() {
        object.insert("x-enum-descriptions".into(), descriptions.into());
    }
}

/// schemars lists undocumented variants first; `#[payload]` notes the order in which they were declared.
fn restore_order(object: &mut Map<String, Value>) {
    let Some(Value::Array(order)) = object.shift_remove("x-variants") else { return };
    if let Some(Value::Array(values)) = object.get_mut("enum") {
        values.sort_by_key(|value| order.iter().position(|declared| declared == value));
    }
}

/// Calls `see` for every schema object within `schema`, but not for examples, defaults and constants.
fn visit(schema: &mut Value, see: &mut impl FnMut(&mut Map<String, Value>)) {
    match schema {
        Value::Object(object) => {
            see(object);
            for (key, value) in object.iter_mut() {
                match key.as_str() {
                    "const" | "default" | "enum" | "examples" => {}
                    "properties" | "patternProperties" | "definitions" => {
                        if let Value::Object(properties) = value {
                            properties.values_mut().for_each(|property| visit(property, see));
                        }
                    }
                    _ => visit(value, see),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| visit(item, see)),
        _ => {}
    }
}

/// The names of the components that a schema refers to, anywhere within.
fn references(schema: &Value) -> Box<dyn Iterator<Item = &str> + '_> {
    match schema {
        Value::Object(object) => Box::new(
            object
                .get("$ref")
                .and_then(Value::as_str)
                .and_then(|reference| reference.strip_prefix(COMPONENTS))
                .into_iter()
                .chain(object.values().flat_map(references)),
        ),
        Value::Array(items) => Box::new(items.iter().flat_map(references)),
        _ => Box::new(std::iter::empty()),
    }
}

/// One sentence for every two types that want one name. schemars would number them in the order in which it met them.
fn collisions(generator: &SchemaGenerator) -> Vec<String> {
    let named = named_types(generator);
    let base = |id: &str| id.rsplit("::").next().unwrap_or(id).to_owned();
    named
        .iter()
        .filter(|(id, name)| base(id) != **name && name.trim_end_matches(|c: char| c.is_ascii_digit()) == base(id))
        .filter_map(|(id, _)| {
            let (other, _) = named.iter().find(|(other, name)| **name == base(id) && other != &id)?;
            let mut paths = [id.as_str(), other.as_str()];
            paths.sort_unstable();
            Some(format!(
                "two types are called `{}` in documents: {} and {}; rename one with `#[schemars(rename = \"…\")]`",
                base(id),
                paths[0],
                paths[1]
            ))
        })
        .collect()
}

/// Rust path → schema name of all types that the generator has met. schemars keeps this to itself and shows it only in
/// its `Debug` output; should that change, `two_types_of_one_name_are_a_complaint` fails.
fn named_types(generator: &SchemaGenerator) -> BTreeMap<String, String> {
    let text = format!("{generator:?}");
    let Some((_, rest)) = text.rsplit_once("schema_id_to_name: {") else { return BTreeMap::new() };
    let Some((list, _)) = rest.split_once("}, used_schema_names") else { return BTreeMap::new() };
    list.split("SchemaUid(\"")
        .filter_map(|entry| {
            let (id, rest) = entry.split_once("\", ")?;
            let (_, name) = rest.split_once("): \"")?;
            Some((id.to_owned(), name.split('"').next()?.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};

    mod spot {
        #[derive(schemars::JsonSchema)]
        pub(super) struct Level {
            #[expect(dead_code)]
            price: f64,
        }
    }

    mod depth {
        #[derive(schemars::JsonSchema)]
        pub(super) struct Level {
            #[expect(dead_code)]
            orders: u32,
        }
    }

    #[derive(JsonSchema)]
    struct Level2 {
        #[expect(dead_code)]
        spot: spot::Level,
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Wanted {
        #[serde(default)]
        depth: u32,
        side: Side,
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Outer {
        wanted: Wanted,
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "snake_case")]
    enum Side {
        Buy,
        /// The taker sold.
        Sell,
        Unknown,
    }

    fn finish(collector: Collector) -> (Schemas, Vec<String>) {
        let mut complaints = Vec::new();
        let (schemas, _) = collector.finish(&mut complaints);
        (schemas, complaints)
    }

    #[test]
    fn two_types_of_one_name_are_a_complaint() {
        let mut collector = Collector::new();
        collector.outbound(TypeSchema::of::<(spot::Level, depth::Level)>());
        let (_, complaints) = finish(collector);
        assert_eq!(complaints.len(), 1, "{complaints:?}");
        assert!(complaints[0].contains("spot::Level") && complaints[0].contains("depth::Level"), "{complaints:?}");
    }

    #[test]
    fn a_name_that_ends_in_a_digit_is_no_collision() {
        let mut collector = Collector::new();
        collector.outbound(TypeSchema::of::<Level2>());
        assert_eq!(finish(collector).1, Vec::<String>::new());
    }

    #[test]
    fn a_type_that_reads_and_writes_differently_becomes_two() {
        let mut collector = Collector::new();
        let mut inbound = collector.inbound(TypeSchema::of::<Outer>());
        collector.outbound(TypeSchema::of::<Outer>());
        let mut complaints = Vec::new();
        let (schemas, renames) = collector.finish(&mut complaints);
        renames.apply(&mut inbound);
        let names: Vec<_> = schemas.components().keys().map(String::as_str).collect();
        assert_eq!(names, ["Outer", "OuterInput", "Side", "Wanted", "WantedInput"]);
        assert_eq!(inbound, json!({ "$ref": "#/components/schemas/OuterInput" }));
        assert_eq!(
            schemas.components()["OuterInput"]["properties"]["wanted"]["$ref"],
            "#/components/schemas/WantedInput"
        );
        assert_eq!(schemas.components()["WantedInput"]["title"], "WantedInput");
        assert_eq!(schemas.components()["WantedInput"]["required"], json!(["side"]));
    }

    #[test]
    fn the_second_name_of_a_type_may_not_be_that_of_another() {
        #[derive(Serialize, Deserialize, JsonSchema)]
        struct WantedInput {
            words: String,
        }
        let mut collector = Collector::new();
        collector.inbound(TypeSchema::of::<(Outer, WantedInput)>());
        collector.outbound(TypeSchema::of::<Outer>());
        let (_, complaints) = finish(collector);
        assert_eq!(complaints.len(), 1, "{complaints:?}");
        assert!(complaints[0].contains("type `Wanted` reads differently"), "{complaints:?}");
    }

    #[test]
    fn a_name_that_no_reference_leads_to_is_a_complaint() {
        #[derive(Serialize, Deserialize, JsonSchema)]
        #[schemars(rename = "Page<{T}>")]
        struct Page<T> {
            items: Vec<T>,
        }
        let mut collector = Collector::new();
        collector.outbound(TypeSchema::of::<Page<Side>>());
        let (_, complaints) = finish(collector);
        assert_eq!(complaints.len(), 1, "{complaints:?}");
        assert!(complaints[0].contains("schema `Page<Side>`: names in documents"), "{complaints:?}");
    }

    #[test]
    fn what_does_not_fit_an_f32_is_out_of_bounds() {
        let schema = Collector::new().inbound(TypeSchema::of::<f32>());
        let validator = Schemas::default().validator(&schema).expect("a schema");
        assert!(validator.is_valid(&json!(f32::MAX)) && !validator.is_valid(&json!(1e300)));
    }

    #[test]
    fn a_unit_enum_is_a_plain_enum_with_its_variants_described() {
        let mut collector = Collector::new();
        collector.outbound(TypeSchema::of::<Side>());
        let (schemas, _) = finish(collector);
        let side = &schemas.components()["Side"];
        let values: BTreeSet<_> = side["enum"].as_array().expect("an enum").iter().filter_map(Value::as_str).collect();
        assert_eq!(values, BTreeSet::from(["buy", "sell", "unknown"]));
        assert_eq!(side["x-enum-descriptions"]["sell"], "The taker sold.");
    }
}
