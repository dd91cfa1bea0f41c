//! Payloads beside the examples: each a small step away, some still valid, most not.

use serde_json::{Map, Value, json};

/// Variants of a payload: each place left out, replaced by values of every kind, and moved to and beyond the bounds that
/// its schema names. Deterministic. `resolve` follows references.
///
/// Whole numbers written as `1.0` are not among them: JSON Schema takes them for integers, typed decoders do not.
pub fn mutations(payload: &Value, schema: &Value, components: &Map<String, Value>) -> Vec<Value> {
    let mut mutated = Vec::new();
    let mut places = Vec::new();
    collect(payload, schema, components, String::new(), &mut places);
    for Place { pointer, schema } in places {
        for value in beside(&schema) {
            let mut variant = payload.clone();
            if let Some(place) = variant.pointer_mut(&pointer) {
                *place = value;
                mutated.push(variant);
            }
        }
        mutated.extend(without(payload, &pointer));
        if let Some(Value::Object(object)) = payload.pointer(&pointer) {
            let mut wider = object.clone();
            wider.insert("unknown_field".into(), 1.into());
            mutated.extend(replaced(payload, &pointer, wider.into()));
        }
        if let Some(Value::Array(list)) = payload.pointer(&pointer) {
            let longest = schema.get("maxItems").and_then(Value::as_u64).unwrap_or(3);
            let many = list.iter().cycle().take(usize::try_from(longest).unwrap_or(3).min(1000) + 1).cloned().collect();
            mutated.extend(replaced(payload, &pointer, many));
        }
    }
    mutated
}

struct Place {
    pointer: String,
    schema: Value,
}

/// Every place in a payload with what its schema says about it, as far as `properties` and `items` tell.
fn collect(value: &Value, schema: &Value, components: &Map<String, Value>, pointer: String, places: &mut Vec<Place>) {
    let schema = resolve(schema, components);
    match value {
        Value::Object(object) => {
            for (name, inner) in object {
                let of = schema.get("properties").and_then(|all| all.get(name)).unwrap_or(&Value::Null);
                let name = name.replace('~', "~0").replace('/', "~1");
                collect(inner, of, components, format!("{pointer}/{name}"), places);
            }
        }
        Value::Array(list) => {
            for (number, inner) in list.iter().enumerate().take(2) {
                let items = schema.get("items").unwrap_or(&Value::Null);
                let of = items.get(number).unwrap_or(items);
                collect(inner, of, components, format!("{pointer}/{number}"), places);
            }
        }
        _ => {}
    }
    places.push(Place { pointer, schema: schema.clone() });
}

/// A schema that is a reference, or an `allOf` or `anyOf` around one, as what it means.
fn resolve<'a>(mut schema: &'a Value, components: &'a Map<String, Value>) -> &'a Value {
    for _ in 0..16 {
        let within = |key: &str| {
            let parts = schema.get(key)?.as_array()?;
            parts.iter().find(|part| part.get("type").is_none_or(|kind| kind != "null"))
        };
        let reference = schema.get("$ref").and_then(Value::as_str).and_then(|reference| reference.rsplit('/').next());
        let Some(next) =
            reference.and_then(|name| components.get(name)).or_else(|| within("allOf").or(within("anyOf")))
        else {
            return schema;
        };
        schema = next;
    }
    schema
}

/// Values of every kind, and those at the bounds of a schema.
fn beside(schema: &Value) -> Vec<Value> {
    let mut values = vec![
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
    ];
    for bound in ["minimum", "maximum"].iter().filter_map(|key| schema.get(*key)) {
        match bound.as_i64() {
            Some(bound) => values.extend([bound.saturating_sub(1), bound, bound.saturating_add(1)].map(Value::from)),
            None => values.extend(bound.as_f64().map(|bound| json!(bound * 1.5 + 0.25))),
        }
    }
    for length in ["minLength", "maxLength"].iter().filter_map(|key| schema.get(*key)?.as_u64()) {
        let lengths = [length.saturating_sub(1), length, length + 1].map(|length| usize::try_from(length).unwrap_or(0));
        // Characters of two bytes tell lengths in characters from lengths in bytes.
        values.extend(
            lengths
                .into_iter()
                .filter(|length| *length <= 4096)
                .flat_map(|length| [json!("A".repeat(length)), json!("é".repeat(length))]),
        );
    }
    values.extend(schema.get("enum").and_then(Value::as_array).into_iter().flatten().cloned());
    values
}

fn replaced(payload: &Value, pointer: &str, value: Value) -> Option<Value> {
    let mut variant = payload.clone();
    *variant.pointer_mut(pointer)? = value;
    Some(variant)
}

/// The payload without the place.
fn without(payload: &Value, pointer: &str) -> Option<Value> {
    let (parent, name) = pointer.rsplit_once('/')?;
    let mut variant = payload.clone();
    match variant.pointer_mut(parent)? {
        Value::Object(object) => drop(object.shift_remove(&name.replace("~1", "/").replace("~0", "~"))?),
        Value::Array(list) => drop(list.remove(name.parse().ok()?)),
        _ => return None,
    }
    Some(variant)
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
        } });
        let payload = json!({ "size": 5, "names": ["a"] });
        let all = mutations(&payload, &schema, &components);
        for expected in [
            json!({ "names": ["a"] }),
            json!({ "size": 0, "names": ["a"] }),
            json!({ "size": 10, "names": ["a"] }),
            json!({ "size": 5, "names": ["AAAA"] }),
            json!({ "size": 5, "names": ["a", "a", "a"] }),
            json!({ "size": 5, "names": ["a"], "unknown_field": 1 }),
            json!({ "size": 5, "names": [] }),
        ] {
            assert!(all.contains(&expected), "{expected}");
        }
    }
}
