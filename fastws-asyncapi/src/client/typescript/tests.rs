//! Schemas as types, operations as methods, and documents that mean harm.

use serde_json::{Value, json};

use super::types::Types;
use super::{members, operations, react, typescript};
use crate::contract::Contract;

/// A contract with these schemas and these requests, each without a reply.
fn contract(schemas: Value, requests: &[(&str, Value)]) -> Contract {
    let references: Vec<_> =
        (0..requests.len()).map(|at| json!({ "$ref": format!("#/components/messages/{at}") })).collect();
    let messages = requests.iter().enumerate().map(|(at, (name, extensions))| {
        let properties = json!({ "type": { "const": name }, "id": {}, "payload": { "type": "string" } });
        let mut message = json!({ "payload": { "type": "object", "properties": properties } });
        let extensions = extensions.as_object().cloned().unwrap_or_default();
        message.as_object_mut().expect("an object").extend(extensions);
        (at.to_string(), message)
    });
    let messages: serde_json::Map<_, _> = messages.collect();
    Contract::of(&json!({
        "asyncapi": "2.4.0",
        "info": { "title": "Desk", "version": "1" },
        "channels": { "/ws": { "publish": { "message": { "oneOf": references } } } },
        "components": { "messages": messages, "schemas": schemas },
    }))
    .expect("a contract")
}

fn type_of(schema: &Value) -> String {
    let contract = contract(json!({ "Bar": { "type": "object" } }), &[]);
    Types::of(&contract, "").expression(schema, 0)
}

fn assert_types(cases: &[(Value, &str)]) {
    for (schema, expected) in cases {
        assert_eq!(type_of(schema), *expected, "{schema}");
    }
}

#[test]
fn plain_schemas_are_plain_types() {
    assert_types(&[
        (json!({ "type": "string", "minLength": 1 }), "string"),
        (json!({ "type": "integer", "format": "int64" }), "number"),
        (json!({ "type": "boolean" }), "boolean"),
        (json!({ "type": "null" }), "null"),
        (json!({ "type": ["number", "null"] }), "number | null"),
        (json!({ "type": "string", "nullable": true }), "string | null"),
        (json!({ "const": "ok" }), "\"ok\""),
        (json!({ "enum": ["1", 5, null] }), "\"1\" | 5 | null"),
        (json!({}), "unknown"),
        (json!(true), "unknown"),
        (json!(false), "never"),
        (json!({ "$ref": "#/components/schemas/Bar" }), "Bar"),
        (json!({ "$ref": "#/components/schemas/Nowhere" }), "unknown"),
    ]);
}

#[test]
fn lists_tuples_and_maps_keep_their_shape() {
    let bar = json!({ "$ref": "#/components/schemas/Bar" });
    assert_types(&[
        (json!({ "type": "array", "items": bar }), "Bar[]"),
        (json!({ "type": "array" }), "unknown[]"),
        (json!({ "items": { "type": ["string", "null"] } }), "(string | null)[]"),
        (json!({ "type": "array", "items": [bar, { "type": "number" }], "additionalItems": false }), "[Bar, number]"),
        (json!({ "type": "array", "items": [bar, { "type": "number" }], "minItems": 1 }), "[Bar, number?]"),
        (json!({ "prefixItems": [bar], "items": { "type": "string" }, "type": "array" }), "[Bar, ...string[]]"),
        (json!({ "type": "object" }), "{ [key: string]: unknown }"),
        (json!({ "type": "object", "additionalProperties": bar }), "{ [key: string]: Bar }"),
        (json!({ "type": "object", "additionalProperties": false }), "{ [key: string]: never }"),
    ]);
}

#[test]
fn members_keep_their_order_and_whether_they_are_needed() {
    let schema = json!({
        "type": "object",
        "required": ["zeta"],
        "properties": { "zeta": { "type": "string" }, "a-b": { "type": "number", "deprecated": true, "default": 1 } },
    });
    let expected = "{\n  zeta: string;\n  /**\n   * @default 1\n   * @deprecated\n   */\n  \"a-b\"?: number;\n}";
    assert_eq!(type_of(&schema), expected);
    let open = json!({ "properties": { "time": { "type": "integer" } }, "additionalProperties": true });
    assert_eq!(type_of(&open), "{\n  time?: number;\n  [key: string]: unknown;\n}");
}

#[test]
fn combinations_are_unions_and_intersections() {
    let bar = json!({ "$ref": "#/components/schemas/Bar" });
    assert_types(&[
        (json!({ "allOf": [bar], "description": "one" }), "Bar"),
        (json!({ "anyOf": [bar, { "type": "null" }] }), "Bar | null"),
        (json!({ "oneOf": [bar, bar, { "type": "string" }] }), "Bar | string"),
        (json!({ "anyOf": [bar, {}] }), "unknown"),
        (json!({ "allOf": [bar, { "anyOf": [{ "type": "string" }, { "type": "null" }] }] }), "Bar & (string | null)"),
    ]);
    let beside = json!({ "allOf": [bar], "properties": { "more": { "type": "string" } } });
    assert_eq!(type_of(&beside), "Bar & {\n  more?: string;\n}");
}

#[test]
fn schemas_do_not_take_the_names_of_others() {
    let schemas = ["Promise", "ApiError", "string", "Order.Line", "3D", "Api", "日本"];
    let schemas = schemas.map(|name| (name.to_owned(), json!({ "type": "string" })));
    let client = typescript(&contract(Value::Object(schemas.into_iter().collect()), &[]));
    for name in ["Promise_", "ApiError_", "string_", "OrderLine", "Type3D", "Api_", "Type"] {
        assert!(client.contains(&format!("export type {name} = string;")), "{name}");
    }
}

#[test]
fn operations_do_not_take_the_names_of_others() {
    let names = ["close", "then", "cancel_all", "cancelAll", "orders.1m.get", "info", "info.more", "info.name"];
    let requests: Vec<_> = names.iter().map(|&name| (name, Value::Null)).collect();
    let contract = contract(json!({}), &requests);
    let types = Types::of(&contract, "");
    let interface = operations::interface(&contract, &types);
    for method in
        ["close_(", "then_(", "cancelAll(", "cancelAll_(", "readonly \"1m\": {", "get(", "readonly info: {", "name("]
    {
        assert!(interface.contains(&format!(" {method}")), "{method}: {interface}");
    }
    let client = typescript(&contract);
    assert!(client.contains("info: callable<Operations[\"info\"]>((payload, options) => api.request(\"info\""));
}

#[test]
fn every_subscribe_request_has_a_stream_of_its_own() {
    let brings = json!({ "x-topic": "bars:{symbol}", "x-updates": ["bars.update"] });
    let names = ["bars.subscribe", "bars.follow", "quotes.watch", "multi_subscribe"];
    let requests: Vec<_> = names.iter().map(|&name| (name, brings.clone())).collect();
    let client = typescript(&contract(json!({}), &requests));
    for stream in [
        "      stream: (payload, options) => api.stream(\"bars.subscribe\"",
        "      streamFollow: (payload, options) => api.stream(\"bars.follow\"",
        "      stream: (payload, options) => api.stream(\"quotes.watch\"",
        "    streamMultiSubscribe: (payload, options) => api.stream(\"multi_subscribe\"",
    ] {
        assert!(client.contains(stream), "{stream}");
    }
}

/// Whatever stands in a document stays within its comment or its string: outside them the text is never to be seen.
#[test]
fn no_text_of_a_document_becomes_code() {
    let evil = "*/ boom(); /* \" ' ` ${boom()} \\ \n*/boom();//\r\u{2028}boom()";
    let schemas = json!({
        "Bar": { "type": "object", "description": evil, "properties": { evil: { "const": evil, "description": evil } } },
        "Side": { "enum": [evil], "x-enum-descriptions": { evil: evil }, "description": evil },
    });
    let extensions = json!({
        "summary": evil, "description": evil, "title": evil, "x-topic": evil, "x-updates": [evil],
        "examples": [{ "payload": { "payload": { evil: evil } } }],
    });
    let mut contract = contract(schemas, &[(evil, extensions), ("bars.subscribe", json!({ "summary": evil }))]);
    contract.title = evil.into();
    contract.version = evil.into();
    contract.description = Some(evil.into());
    contract.urls = vec![evil.into()];
    contract.close_codes.insert(1000, evil.into());
    assert!(!members(&contract).is_empty());
    for file in [typescript(&contract), react(&contract)] {
        assert!(!code(&file).contains("boom("), "{}", code(&file));
    }
}

/// What is left of TypeScript without comments and strings.
fn code(file: &str) -> String {
    let mut rest = file;
    let mut code = String::new();
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if rest.starts_with("//") {
            rest.find(['\n', '\r', '\u{2028}']).unwrap_or(rest.len())
        } else if matches!(first, '"' | '`') {
            let mut letters = rest.char_indices().skip(1);
            loop {
                match letters.next() {
                    Some((_, '\\')) => drop(letters.next()),
                    Some((at, letter)) if letter == first => break at + 1,
                    Some(_) => {}
                    None => break rest.len(),
                }
            }
        } else {
            code.push(first);
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    code
}

#[test]
fn an_error_code_is_one_of_the_documents_or_any_other() {
    let document = json!({
        "asyncapi": "2.4.0",
        "info": { "title": "Desk", "version": "1" },
        "channels": { "/ws": { "subscribe": { "message": { "$ref": "#/components/messages/error" } } } },
        "components": {
            "messages": { "error": { "payload": { "type": "object", "properties": {
                "type": { "const": "error" }, "payload": { "$ref": "#/components/schemas/ErrorPayload" },
            } } } },
            "schemas": {
                "ErrorPayload": { "type": "object", "properties": { "code": { "anyOf": [
                    { "$ref": "#/components/schemas/ErrorCode" }, { "type": "string" },
                ] } } },
                "ErrorCode": { "enum": ["forbidden"] },
            },
        },
    });
    let contract = Contract::of(&document).expect("a contract");
    assert_eq!(Types::of(&contract, "").error_code(&contract), "ErrorCode | (string & {})");
}
