//! The lint: it finds nothing in our own documents, and every fault that is put into one.

mod orders;

use fastws::{Finding, Version, lint};
use orders::{docs, service};
use serde_json::{Value, json};

fn document(version: Version) -> Value {
    docs().asyncapi(version).document(&service())
}

#[test]
fn our_own_documents_have_no_findings() {
    for version in Version::ALL {
        let findings: Vec<_> = lint(&document(version)).iter().map(Finding::to_string).collect();
        assert_eq!(findings, Vec::<String>::new(), "{version}");
    }
}

/// Puts a fault into a document.
type Fault = fn(&mut Value);

/// Each fault of section 2.2 of our findings about the parser, and more, with the rule that finds it.
const FAULTS_OF_ALL: &[(&str, Fault)] = &[
    ("example", |d| {
        d["components"]["messages"]["v1.orders.place"]["examples"][0]["payload"]["payload"]["quantity"] = json!("much")
    }),
    ("example", |d| d["components"]["messages"]["v1.orders.place"]["examples"][0]["payload"]["type"] = json!("other")),
    ("default", |d| d["components"]["schemas"]["OrderInput"]["properties"]["notes"]["default"] = json!(7)),
    ("schema-example", |d| d["components"]["schemas"]["Order"]["properties"]["symbol"]["examples"] = json!([7])),
    ("reference", |d| d["components"]["schemas"]["Order"]["properties"]["side"] = json!({ "$ref": "#/$defs/Side" })),
    ("reference", |d| {
        d["components"]["schemas"]["Order"]["properties"]["side"] = json!({ "$ref": "other.json#/Side" })
    }),
    ("reference-siblings", |d| {
        d["components"]["schemas"]["Note"]["properties"]["text"] =
            json!({ "$ref": "#/components/schemas/Side", "minLength": 1 })
    }),
    ("reference-in-extension", |d| {
        d["components"]["messages"]["error"]["x-see"] = json!({ "$ref": "#/components/schemas/Side" })
    }),
    ("foreign-keyword", |d| {
        d["components"]["schemas"]["Note"]["$schema"] = json!("https://json-schema.org/draft/2020-12/schema")
    }),
    ("foreign-keyword", |d| d["components"]["schemas"]["Note"]["unevaluatedProperties"] = json!(false)),
    ("foreign-keyword", |d| d["components"]["schemas"]["Note"]["properties"]["text"]["nullable"] = json!(true)),
    ("foreign-keyword", |d| d["components"]["schemas"]["Note"]["properties"]["text"]["prefixItems"] = json!([])),
    ("foreign-keyword", |d| {
        d["components"]["schemas"]["Order"]["properties"]["quantity"]["exclusiveMinimum"] = json!(true)
    }),
    ("schema", |d| d["components"]["schemas"]["Note"]["type"] = json!("thing")),
    ("anonymous-schema", |d| d["components"]["schemas"]["Note"]["properties"]["text"] = json!({ "enum": ["a", "b"] })),
    ("unused-component", |d| d["components"]["schemas"]["Lost"] = json!({ "type": "string", "title": "Lost" })),
    ("unused-component", |d| {
        d["components"]["securitySchemes"] = json!({ "lost": { "type": "http", "scheme": "bearer" } })
    }),
    ("component-key", |d| d["components"]["schemas"]["Lost:It"] = json!({ "type": "string", "title": "Lost" })),
    ("same-type", |d| {
        d["components"]["schemas"]["V1OrdersCancelAllMessage"]["properties"]["type"]["const"] = json!("v1.orders.place")
    }),
    ("type", |d| {
        d["components"]["schemas"]["V1OrdersCancelAllMessage"]["properties"]["type"] = json!({ "type": "string" })
    }),
    ("message", |d| drop(d["components"]["messages"]["v1.orders.place"]["summary"].take())),
    ("message", |d| d["components"]["messages"]["v1.orders.place"]["tags"] = json!([])),
    ("message", |d| d["components"]["messages"]["v1.orders.place"]["examples"] = json!([])),
    ("message-name", |d| d["components"]["messages"]["v1.orders.place"]["name"] = json!("place")),
    ("topic", |d| d["components"]["messages"]["v1.balance.subscribe"]["x-updates"] = json!(["v1.balance.change"])),
    ("info", |d| drop(d["id"].take())),
    ("info", |d| drop(d["info"]["license"].take())),
    ("info", |d| drop(d["info"]["contact"]["email"].take())),
    ("info", |d| drop(d["info"]["description"].take())),
    ("servers", |d| d["servers"] = json!({})),
    ("servers", |d| d["servers"]["local"]["protocol"] = json!("http")),
    ("version", |d| d["asyncapi"] = json!("1.0.0")),
];

const FAULTS_OF_2: &[(&str, Fault)] = &[
    ("ws-binding", |d| d["channels"]["/v1/ws"]["bindings"]["ws"]["query"] = json!({ "type": "string" })),
    ("ws-binding", |d| d["channels"]["/v1/ws"]["bindings"]["ws"]["method"] = json!("PUT")),
    ("ws-binding", |d| d["channels"]["/v1/ws"]["bindings"]["ws"]["cookies"] = json!({})),
    ("reply", |d| {
        let sent = d["channels"]["/v1/ws"]["subscribe"]["message"]["oneOf"].as_array_mut().expect("messages");
        sent.retain(|message| message["$ref"] != "#/components/messages/v1.orders.placed");
    }),
    ("both-directions", |d| {
        let sent = d["channels"]["/v1/ws"]["subscribe"]["message"]["oneOf"].as_array_mut().expect("messages");
        sent.push(json!({ "$ref": "#/components/messages/v1.orders.place" }));
    }),
    ("error-message", |d| {
        let sent = d["channels"]["/v1/ws"]["subscribe"]["message"]["oneOf"].as_array_mut().expect("messages");
        sent.retain(|message| message["$ref"] != "#/components/messages/error");
    }),
    ("operation-id", |d| drop(d["channels"]["/v1/ws"]["publish"]["operationId"].take())),
    ("security", |d| d["servers"]["local"]["security"] = json!([{ "nobody": [] }])),
    ("message", |d| drop(d["components"]["messages"]["v1.orders.place"]["messageId"].take())),
    ("channel-address", |d| {
        let channel = d["channels"]["/v1/ws"].take();
        d["channels"] = json!({ "/v1/ws?token=1": channel });
    }),
];

const FAULTS_OF_3: &[(&str, Fault)] = &[
    ("ws-binding", |d| d["channels"]["ws"]["bindings"]["ws"]["query"] = json!({ "type": "string" })),
    ("message-not-of-channel", |d| {
        d["operations"]["v1OrdersPlace"]["messages"][0]["$ref"] = json!("#/components/messages/v1.orders.place");
    }),
    ("message-not-of-channel", |d| {
        d["operations"]["v1OrdersPlace"]["reply"]["messages"][0]["$ref"] =
            json!("#/components/messages/v1.orders.placed");
    }),
    ("reference", |d| {
        d["operations"]["v1OrdersPlace"]["reply"]["messages"][0]["$ref"] = json!("#/channels/ws/messages/nothing");
    }),
    ("operation-key", |d| {
        let operation = d["operations"]["v1OrdersPlace"].clone();
        d["operations"]["v1.orders.place"] = operation;
    }),
    ("operation-key", |d| {
        let operation = d["operations"]["v1OrdersPlace"].clone();
        d["operations"]["error"] = operation;
    }),
    ("reply", |d| drop(d["operations"]["v1OrdersPlace"].as_object_mut().map(|operation| operation.remove("reply")))),
    ("channel-address", |d| d["channels"]["ws"]["address"] = json!("/v1/ws#here")),
];

#[test]
fn every_fault_that_is_put_into_a_document_is_found_by_its_rule() {
    for version in Version::ALL {
        let own = if version == Version::V2_4_0 { FAULTS_OF_2 } else { FAULTS_OF_3 };
        for (number, (rule, fault)) in FAULTS_OF_ALL.iter().chain(own).enumerate() {
            let mut faulty = document(version);
            fault(&mut faulty);
            let findings = lint(&faulty);
            let found: Vec<_> = findings.iter().map(Finding::to_string).collect();
            assert!(
                findings.iter().any(|finding| finding.rule == *rule),
                "{version}, fault {number} ({rule}): {found:?}"
            );
            for Finding { path, .. } in &findings {
                let is_there = faulty.pointer(path).is_some() || path.starts_with("/info") || path == "/tags";
                assert!(is_there, "{version}: `{path}` is no place in the document");
            }
        }
    }
}

#[test]
fn a_finding_says_what_is_wrong_and_where() {
    let mut faulty = document(Version::V3_0_0);
    faulty["components"]["schemas"]["Lost"] = json!({ "type": "string", "title": "Lost" });
    let findings: Vec<_> = lint(&faulty).iter().map(Finding::to_string).collect();
    assert_eq!(findings, ["error unused-component: nothing refers to `Lost` (/components/schemas/Lost)"]);
}

#[test]
fn what_is_no_document_is_one_finding() {
    for nothing in [json!(null), json!([]), json!("asyncapi"), json!({ "asyncapi": 2 })] {
        assert_eq!(lint(&nothing).len(), 1, "{nothing}");
    }
}

#[test]
fn references_in_a_circle_are_findings() {
    let document = json!({
        "asyncapi": "2.4.0",
        "channels": { "/ws": { "publish": { "message": { "$ref": "#/components/messages/a" } } } },
        "components": { "messages": {
            "a": { "$ref": "#/components/messages/b" },
            "b": { "$ref": "#/components/messages/a" },
        } },
    });
    let circles = lint(&document).into_iter().filter(|finding| finding.message.ends_with("leads back to itself"));
    assert_eq!(circles.count(), 3);
}
