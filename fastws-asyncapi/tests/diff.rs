//! Point 37 of the checklist: the check fails on every mutation that hurts somebody, in the direction that hurts.

use fastws_asyncapi::{Change, Contract, Impact, diff};
use serde_json::{Map, Value, json};

const VERSIONS: [&str; 2] = ["2.4.0", "3.0.0"];

/// An API of one topic and one plain request, apart from the version that it is written in.
fn api() -> Value {
    let frame = |name: &str, payload: &str| {
        json!({
            "type": "object",
            "required": ["type", "payload"],
            "properties": {
                "type": { "type": "string", "const": name },
                "id": { "type": ["string", "integer"] },
                "payload": { "$ref": format!("#/components/schemas/{payload}") },
            },
        })
    };
    json!({
        "path": "/ws",
        "security": {},
        "operations": {
            "bars.subscribe": {
                "reply": "bars.subscribe.response",
                "x-topic": "bars:{symbol}",
                "x-updates": ["bars.update"],
            },
            "bars.unsubscribe": { "reply": "bars.unsubscribe.response", "x-topic": "bars:{symbol}" },
            "orders.place": { "reply": "orders.placed" },
        },
        "events": { "bars.update": { "x-topic": "bars:{symbol}" }, "error": {} },
        "frames": {
            "bars.subscribe": frame("bars.subscribe", "BarsRequest"),
            "bars.subscribe.response": frame("bars.subscribe.response", "Subscribed"),
            "bars.unsubscribe": frame("bars.unsubscribe", "BarsRequest"),
            "bars.unsubscribe.response": frame("bars.unsubscribe.response", "Subscribed"),
            "orders.place": frame("orders.place", "Order"),
            "orders.placed": frame("orders.placed", "Order"),
            "bars.update": frame("bars.update", "Bar"),
            "error": frame("error", "Problem"),
        },
        "schemas": {
            "BarsRequest": {
                "type": "object",
                "required": ["symbol"],
                "properties": {
                    "symbol": { "type": "string", "minLength": 1, "maxLength": 32, "pattern": "^[A-Z]+$" },
                    "resolution": { "$ref": "#/components/schemas/Resolution" },
                    "depth": { "type": ["integer", "null"], "minimum": 1, "maximum": 100 },
                    "places": { "type": "array", "items": { "type": "string" }, "maxItems": 10 },
                },
            },
            "Resolution": { "type": "string", "enum": ["1", "5", "D"] },
            "Subscribed": {
                "type": "object",
                "required": ["topic"],
                "properties": { "topic": { "type": "string" } },
            },
            "Bar": {
                "type": "object",
                "required": ["time", "close"],
                "properties": {
                    "time": { "type": "integer" },
                    "close": { "type": "number", "minimum": 0, "maximum": 1000 },
                    "volume": { "type": "number" },
                    "session": { "type": "string", "enum": ["open", "closed"] },
                    "source": { "oneOf": [
                        { "$ref": "#/components/schemas/Venue" },
                        { "$ref": "#/components/schemas/Replay" },
                    ] },
                },
            },
            "Venue": {
                "type": "object",
                "required": ["kind"],
                "properties": { "kind": { "const": "venue" }, "name": { "type": "string" } },
            },
            "Replay": {
                "type": "object",
                "required": ["kind"],
                "properties": { "kind": { "const": "replay" }, "file": { "type": "string" } },
            },
            // Both directions, and recursive.
            "Order": {
                "type": "object",
                "required": ["symbol"],
                "properties": {
                    "symbol": { "type": "string" },
                    "then": { "anyOf": [{ "$ref": "#/components/schemas/Order" }, { "type": "null" }] },
                },
            },
            "Problem": {
                "type": "object",
                "required": ["code"],
                "properties": { "code": { "type": "string" } },
            },
        },
    })
}

/// Writes an API as a document.
fn document(api: &Value, version: &str) -> Value {
    let members = |key: &str| api[key].as_object().expect("an object").clone();
    let mut messages = Map::new();
    for (name, frame) in members("frames") {
        messages.insert(name.clone(), json!({ "name": name, "payload": frame }));
    }
    let with = |message: &mut Value, extra: &Value| {
        for (key, value) in extra.as_object().expect("an object").iter().filter(|(key, _)| *key != "reply") {
            message[key] = value.clone();
        }
    };
    for (name, extra) in members("operations").iter().chain(&members("events")) {
        with(&mut messages[name], extra);
    }
    let components = json!({ "schemas": api["schemas"], "securitySchemes": api["security"] });
    let path = api["path"].as_str().expect("a path");
    let mut written = json!({ "asyncapi": version, "info": { "title": "Bars", "version": "1" } });
    written["components"] = components;
    let reference = |at: &str, name: &str| json!({ "$ref": format!("#/{at}/messages/{}", escape(name)) });
    if version.starts_with('2') {
        let mut answers = Vec::new();
        for (name, operation) in members("operations") {
            if let Some(reply) = operation["reply"].as_str() {
                messages[&name]["x-response"] = reference("components", reply);
                answers.push(reference("components", reply));
            }
        }
        let requests: Vec<_> = members("operations").keys().map(|name| reference("components", name)).collect();
        answers.extend(members("events").keys().map(|name| reference("components", name)));
        written["channels"] = json!({ path: {
            "publish": { "message": { "oneOf": requests } },
            "subscribe": { "message": { "oneOf": answers } },
        } });
        written["components"]["messages"] = messages.into();
        return written;
    }
    written["channels"] = json!({ "ws": { "address": path, "messages": messages } });
    let mut operations = Map::new();
    for (name, operation) in members("operations") {
        let mut entry = json!({ "action": "receive", "messages": [reference("channels/ws", &name)] });
        if let Some(reply) = operation["reply"].as_str() {
            let known = [reply, "error"].into_iter().filter(|name| api["frames"].get(name).is_some());
            let replies = known.map(|name| reference("channels/ws", name));
            entry["reply"] = json!({ "messages": replies.collect::<Vec<_>>() });
        }
        operations.insert(name, entry);
    }
    for name in members("events").keys() {
        let entry = json!({ "action": "send", "messages": [reference("channels/ws", name)] });
        operations.insert(name.clone(), entry);
    }
    written["operations"] = operations.into();
    written
}

fn contract(api: &Value, version: &str) -> Contract {
    Contract::of(&document(api, version)).expect("a contract")
}

fn worst(changes: &[Change]) -> Option<Impact> {
    changes.iter().map(|change| change.impact).min()
}

/// Holds a mutation, and its reverse, against what they have to be called, in documents of both versions.
fn check(what: &str, there: Option<Impact>, back: Option<Impact>, place: &str, mutate: impl Fn(&mut Value)) {
    let mut mutated = api();
    mutate(&mut mutated);
    assert_ne!(mutated, api(), "{what} changes nothing");
    for version in VERSIONS {
        let (old, new) = (contract(&api(), version), contract(&mutated, version));
        for (expected, changes) in [(there, diff(&old, &new)), (back, diff(&new, &old))] {
            assert_eq!(worst(&changes), expected, "{what} in {version}: {changes:#?}");
            let names_it = |change: &Change| change.to_string().contains(place);
            assert!(expected.is_none() || changes.iter().any(names_it), "{what} in {version}: {changes:#?}");
        }
    }
}

const BREAKING: Option<Impact> = Some(Impact::Breaking);
const WARNING: Option<Impact> = Some(Impact::Warning);
const COMPATIBLE: Option<Impact> = Some(Impact::Compatible);

fn set(pointer: &'static str, value: Value) -> impl Fn(&mut Value) {
    move |api| *api.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer} is there")) = value.clone()
}

fn insert(pointer: &'static str, key: &'static str, value: Value) -> impl Fn(&mut Value) {
    move |api| {
        let object = api.pointer_mut(pointer).and_then(Value::as_object_mut).expect("an object");
        object.insert(key.into(), value.clone());
    }
}

fn remove(pointer: &'static str, key: &'static str) -> impl Fn(&mut Value) {
    move |api| {
        let object = api.pointer_mut(pointer).and_then(Value::as_object_mut).expect("an object");
        assert!(object.remove(key).is_some(), "{pointer}/{key} is there");
    }
}

#[test]
fn point_37_what_a_request_needs_may_shrink_but_not_grow() {
    let request = "/schemas/BarsRequest/properties";
    check("a new required field", BREAKING, COMPATIBLE, "/payload/venue", |api| {
        insert(request, "venue", json!({ "type": "string" }))(api);
        set("/schemas/BarsRequest/required", json!(["symbol", "venue"]))(api);
    });
    let optional = insert(request, "venue", json!({ "type": "string" }));
    check("a new optional field", COMPATIBLE, COMPATIBLE, "/payload/venue", optional);
    check("an optional field made required", BREAKING, COMPATIBLE, "/payload/resolution", {
        set("/schemas/BarsRequest/required", json!(["symbol", "resolution"]))
    });
    check("a removed field that is refused", BREAKING, COMPATIBLE, "/payload/depth", |api| {
        remove(request, "depth")(api);
        insert("/schemas/BarsRequest", "additionalProperties", json!(false))(api);
    });
    let closed = insert("/schemas/BarsRequest", "additionalProperties", json!(false));
    check("unknown fields refused", BREAKING, COMPATIBLE, "bars.subscribe/payload: ", closed);
    check("an optional payload made required", COMPATIBLE, BREAKING, "bars.subscribe/payload: ", {
        set("/frames/bars.subscribe/required", json!(["type"]))
    });
}

#[test]
fn point_37_what_a_request_may_say_may_widen_but_not_narrow() {
    for (what, pointer, value) in [
        ("another type", "/schemas/BarsRequest/properties/depth/type", json!(["string", "null"])),
        ("an array's items", "/schemas/BarsRequest/properties/places/items/type", json!("integer")),
    ] {
        check(what, BREAKING, BREAKING, "/payload/", set(pointer, value));
    }
    for (what, pointer, value) in [
        ("null refused", "/schemas/BarsRequest/properties/depth/type", json!("integer")),
        ("an enum's value removed", "/schemas/Resolution/enum", json!(["1", "D"])),
        ("a smaller range", "/schemas/BarsRequest/properties/depth/maximum", json!(50)),
        ("a higher minimum", "/schemas/BarsRequest/properties/depth/minimum", json!(2)),
        ("a shorter text", "/schemas/BarsRequest/properties/symbol/maxLength", json!(16)),
        ("a longer text", "/schemas/BarsRequest/properties/symbol/minLength", json!(2)),
        ("fewer items", "/schemas/BarsRequest/properties/places/maxItems", json!(9)),
    ] {
        check(what, BREAKING, COMPATIBLE, "bars.subscribe/payload/", set(pointer, value));
    }
    let pattern = "/schemas/BarsRequest/properties/symbol";
    check("no pattern", COMPATIBLE, BREAKING, "/payload/symbol", remove(pattern, "pattern"));
    check("another pattern", BREAKING, BREAKING, "/payload/symbol", insert(pattern, "pattern", json!("^[a-z]+$")));
    check("a constant", BREAKING, COMPATIBLE, "/payload/symbol", insert(pattern, "const", json!("AAPL")));
    let steps = insert("/schemas/BarsRequest/properties/depth", "multipleOf", json!(5));
    check("only multiples", BREAKING, COMPATIBLE, "/payload/depth", steps);
}

#[test]
fn point_37_what_the_server_sends_may_say_more_but_not_less() {
    let bar = "/schemas/Bar/properties";
    check("a removed field", BREAKING, COMPATIBLE, "bars.update/payload/volume", remove(bar, "volume"));
    let fewer = set("/schemas/Bar/required", json!(["time"]));
    check("a required field made optional", BREAKING, COMPATIBLE, "bars.update/payload/close", fewer);
    for (what, pointer, value) in [
        ("a nullable field", "/schemas/Bar/properties/volume/type", json!(["number", "null"])),
        ("a wider type", "/schemas/Bar/properties/time/type", json!("number")),
        ("a wider union", "/schemas/Bar/properties/volume/type", json!(["number", "string"])),
        ("a wider range", "/schemas/Bar/properties/close/maximum", json!(2000)),
        ("a lower minimum", "/schemas/Bar/properties/close/minimum", json!(-1)),
    ] {
        check(what, BREAKING, COMPATIBLE, "bars.update/payload/", set(pointer, value));
    }
    let values = set("/schemas/Bar/properties/session/enum", json!(["open", "closed", "halted"]));
    check("a new value of an enum", WARNING, COMPATIBLE, "bars.update/payload/session", values);
    check("a new branch", WARNING, COMPATIBLE, "bars.update/payload/source", |api| {
        let branch = json!({
            "type": "object",
            "required": ["kind"],
            "properties": { "kind": { "const": "simulator" }, "seed": { "type": "integer" } },
        });
        insert("/schemas", "Simulator", branch)(api);
        let branches = api["schemas"]["Bar"]["properties"]["source"]["oneOf"].as_array_mut().expect("branches");
        branches.push(json!({ "$ref": "#/components/schemas/Simulator" }));
    });
    let within = remove("/schemas/Venue/properties", "name");
    check("a field within a branch", BREAKING, COMPATIBLE, "bars.update/payload/source/name", within);
    check("a field of an error", BREAKING, COMPATIBLE, "error/payload/code", {
        remove("/schemas/Problem/properties", "code")
    });
}

#[test]
fn point_37_a_schema_of_both_directions_is_judged_in_each() {
    // A request may leave out what it had to say; a reply may not.
    let fewer = set("/schemas/Order/required", json!([]));
    check("one field for both", BREAKING, BREAKING, "orders.placed/payload/symbol", fewer);
    let mut mutated = api();
    set("/schemas/Order/required", json!([]))(&mut mutated);
    let changes = diff(&contract(&api(), "2.4.0"), &contract(&mutated, "2.4.0"));
    let impact = |message: &str| {
        let mut changes = changes.iter().filter(|change| change.message.as_deref() == Some(message));
        changes.next().map(|change| change.impact)
    };
    assert_eq!((impact("orders.place"), impact("orders.placed")), (COMPATIBLE, BREAKING));
}

#[test]
fn point_37_names_pairs_and_places_are_promises() {
    check("a removed operation", BREAKING, COMPATIBLE, "orders.place: ", |api| {
        remove("/operations", "orders.place")(api);
        remove("/frames", "orders.place")(api);
        remove("/frames", "orders.placed")(api);
    });
    check("another type on the wire", BREAKING, BREAKING, "bars.subscribe: ", |api| {
        set("/frames/bars.subscribe/properties/type/const", json!("bars.join"))(api);
    });
    check("another reply", BREAKING, BREAKING, "the reply is", |api| {
        set("/frames/orders.placed/properties/type/const", json!("orders.accepted"))(api);
    });
    check("no reply", BREAKING, COMPATIBLE, "orders.place: ", |api| {
        remove("/operations/orders.place", "reply")(api);
        remove("/frames", "orders.placed")(api);
    });
    check("a moved socket", BREAKING, BREAKING, "moved", set("/path", json!("/v2/ws")));
    let scheme = json!({ "type": "http", "scheme": "bearer" });
    check("authentication", BREAKING, COMPATIBLE, "authentication", insert("/security", "token", scheme));
    let id = remove("/frames/bars.subscribe/properties", "id");
    check("no correlation", BREAKING, COMPATIBLE, "bars.subscribe/id", id);
    check("an update gone", BREAKING, COMPATIBLE, "bars.update", |api| {
        remove("/events", "bars.update")(api);
        remove("/frames", "bars.update")(api);
    });
    check("errors gone", BREAKING, COMPATIBLE, "error", |api| {
        remove("/events", "error")(api);
        remove("/frames", "error")(api);
    });
}

#[test]
fn point_37_topics_are_promises() {
    check("another topic", BREAKING, BREAKING, "the topic is", |api| {
        for operation in ["bars.subscribe", "bars.unsubscribe"] {
            api["operations"][operation]["x-topic"] = json!("candles:{symbol}");
        }
    });
    let topic = set("/events/bars.update/x-topic", json!("candles:{symbol}"));
    check("an update's other topic", BREAKING, BREAKING, "bars.update: its topic", topic);
    let updates = set("/operations/bars.subscribe/x-updates", json!(["bars.update", "bars.closed"]));
    check("other updates", BREAKING, BREAKING, "bars.subscribe: it brings", updates);
    check("no unsubscribe", BREAKING, COMPATIBLE, "bars.unsubscribe", |api| {
        remove("/operations", "bars.unsubscribe")(api);
        remove("/frames", "bars.unsubscribe")(api);
        remove("/frames", "bars.unsubscribe.response")(api);
    });
    check("a notice that nobody asked for", WARNING, BREAKING, "draining", |api| {
        insert("/events", "draining", json!({}))(api);
        insert("/frames", "draining", json!({ "properties": { "type": { "const": "draining" } } }))(api);
    });
}

#[test]
fn point_37_words_are_no_promises_and_deprecation_is_a_note() {
    let old = insert("/frames/orders.place", "deprecated", json!(true));
    check("deprecation", COMPATIBLE, None, "deprecated", old);
    check("words", None, None, "", |api| {
        insert("/schemas/Bar", "description", json!("A bar."))(api);
        insert("/schemas/Bar/properties/close", "title", json!("Close"))(api);
        insert("/schemas/Bar/properties/close", "examples", json!([1.5]))(api);
        insert("/operations/bars.subscribe", "tags", json!([{ "name": "bars" }]))(api);
        insert("/operations/bars.subscribe", "summary", json!("Subscribes."))(api);
    });
    let changed_order = set("/schemas/Bar/required", json!(["close", "time"]));
    check("another order", None, None, "", changed_order);
}

#[test]
fn point_37_a_schema_of_another_name_or_none_is_the_same_schema() {
    check("a renamed component", None, None, "", |api| {
        let text = api.to_string().replace("\"Bar\"", "\"Candle\"").replace("schemas/Bar\"", "schemas/Candle\"");
        *api = serde_json::from_str(&text).expect("JSON");
    });
    check("a component written out", None, None, "", |api| {
        let resolution = api["schemas"]["Resolution"].take();
        remove("/schemas", "Resolution")(api);
        set("/schemas/BarsRequest/properties/resolution", resolution)(api);
    });
    check("a reference with words beside it", None, None, "", |api| {
        let reference = json!({ "description": "Which.", "allOf": [{ "$ref": "#/components/schemas/Resolution" }] });
        set("/schemas/BarsRequest/properties/resolution", reference)(api);
    });
    check("an enum's values spread", None, None, "", |api| {
        let spread = json!({ "oneOf": [{ "type": "string", "enum": ["1", "D"] }, { "const": "5" }] });
        set("/schemas/Resolution", spread)(api);
    });
    check("null written as a branch", None, None, "", |api| {
        let depth = json!({
            "anyOf": [{ "type": "integer", "minimum": 1, "maximum": 100 }, { "type": "null" }],
        });
        set("/schemas/BarsRequest/properties/depth", depth)(api);
    });
    check("a recursive schema, unrolled once", None, None, "", |api| {
        let order = api["schemas"]["Order"].clone();
        set("/schemas/Order/properties/then/anyOf/0", order)(api);
    });
}

#[test]
fn point_37_a_document_equals_itself_in_any_version() {
    for old in VERSIONS {
        for new in VERSIONS {
            let changes = diff(&contract(&api(), old), &contract(&api(), new));
            assert_eq!(changes, [], "{old} to {new}");
        }
    }
}

#[test]
fn any_schema_that_loses_a_part_is_compared_to_the_end() {
    let mut places = vec![String::new()];
    let mut at = 0;
    while let Some(place) = places.get(at).cloned() {
        let pointer = format!("/schemas{place}");
        if let Some(members) = api().pointer(&pointer).and_then(Value::as_object) {
            places.extend(members.keys().map(|name| format!("{place}/{}", escape(name))));
        }
        at += 1;
    }
    let old = contract(&api(), "2.4.0");
    for place in places {
        for value in [json!(false), json!({ "$ref": "#/components/schemas/Order" })] {
            let mut mutated = api();
            *mutated.pointer_mut(&format!("/schemas{place}")).expect("it is there") = value;
            let new = contract(&mutated, "2.4.0");
            assert_eq!(diff(&old, &new).is_empty(), diff(&new, &old).is_empty(), "{place}");
        }
    }
}

/// A branch is found again by its constant, by its name, or by its shape.
#[test]
fn branches_are_told_apart_whatever_their_order_and_names() {
    let renamed = |api: &mut Value| {
        let replay = remove_value(api, "/schemas", "Replay");
        insert("/schemas", "Recording", replay)(api);
        let branches = json!([
            { "$ref": "#/components/schemas/Recording" },
            { "$ref": "#/components/schemas/Venue" },
        ]);
        set("/schemas/Bar/properties/source/oneOf", branches)(api);
    };
    check("another order and another name", None, None, "", renamed);
    check("a branch without a constant", WARNING, COMPATIBLE, "bars.update/payload/source", |api| {
        let free = json!({ "type": "object", "properties": { "file": { "type": "string" } } });
        api["schemas"]["Bar"]["properties"]["source"]["oneOf"].as_array_mut().expect("branches").push(free);
    });
}

fn remove_value(api: &mut Value, pointer: &str, key: &str) -> Value {
    let object = api.pointer_mut(pointer).and_then(Value::as_object_mut).expect("an object");
    object.remove(key).expect("it is there")
}

#[test]
fn the_format_of_an_integer_is_its_range() {
    let narrow = |from: &str, to: &str| {
        let schema = |format: &str| {
            let mut api = api();
            api["schemas"]["Bar"]["properties"]["time"]["format"] = format.into();
            contract(&api, "2.4.0")
        };
        worst(&diff(&schema(from), &schema(to)))
    };
    assert_eq!(narrow("uint64", "uint32"), COMPATIBLE);
    assert_eq!(narrow("uint32", "uint64"), BREAKING);
}

fn escape(segment: &str) -> String {
    segment.replace('~', "~0").replace('/', "~1")
}
