//! The document is true: the official parser takes it, the server accepts every example, and it is the same each time.

mod server;

use std::collections::BTreeSet;
use std::process::Stdio;

use serde_json::{Value, json};
use server::{Client, Server, has_tool, market, repository};
use trading_api::market::Market;
use trading_api::upstream::Venue;
use trading_api::upstream::simulator::Simulator;
use trading_api::{DOCS_PATH, WEBSOCKET_PATH};

async fn document(server: &Server) -> Value {
    server.get_json(&format!("{DOCS_PATH}.json")).await
}

/// The messages of one direction: name and definition.
fn messages<'a>(document: &'a Value, direction: &str) -> Vec<(&'a str, &'a Value)> {
    let references = document["channels"][WEBSOCKET_PATH][direction]["message"]["oneOf"].as_array().expect("messages");
    references
        .iter()
        .map(|reference| {
            let name = reference["$ref"].as_str().and_then(|path| path.rsplit('/').next()).expect("a reference");
            (name, &document["components"]["messages"][name])
        })
        .collect()
}

#[tokio::test]
async fn the_official_parser_finds_neither_error_nor_warning() {
    if !has_tool("tests/browser/node_modules/@asyncapi/parser") {
        return;
    }
    let server = Server::start(market().0).await;
    let folder = tempfile::tempdir().expect("a folder");
    let mut files = Vec::new();
    for kind in ["json", "yaml"] {
        let (status, text) = server.get(&format!("{DOCS_PATH}.{kind}")).await;
        assert_eq!(status, 200);
        let path = folder.path().join(format!("trading.{kind}"));
        std::fs::write(&path, text).expect("written");
        files.push(path);
    }
    let output = tokio::process::Command::new("node")
        .arg(repository("tests/browser/parser.mjs"))
        .args(files)
        .stdin(Stdio::null())
        .output()
        .await
        .expect("node runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    server.stop().await;
}

#[tokio::test]
async fn the_document_is_what_the_specification_asks_for() {
    let path = "tests/browser/node_modules/@asyncapi/specs/schemas/2.4.0.json";
    if !has_tool(path) {
        return;
    }
    let specification: Value =
        serde_json::from_slice(&std::fs::read(repository(path)).expect("readable")).expect("JSON");
    let specification = jsonschema::draft7::new(&specification).expect("a schema");
    let server = Server::start(market().0).await;
    let document = document(&server).await;
    let faults: Vec<_> =
        specification.iter_errors(&document).map(|fault| format!("{}: {fault}", fault.instance_path())).collect();
    assert_eq!(faults, Vec::<String>::new());
    server.stop().await;
}

#[tokio::test]
async fn every_example_and_default_within_a_schema_is_valid() {
    let server = Server::start(market().0).await;
    let document = document(&server).await;
    let components = &document["components"]["schemas"];
    let mut seen = 0;
    let mut schemas = Vec::new();
    collect(components, &mut schemas);
    for schema in schemas {
        let given = schema["examples"].as_array().into_iter().flatten().chain(schema.get("default"));
        for value in given {
            let whole = json!({ "allOf": [schema], "components": { "schemas": components } });
            let validator = jsonschema::draft7::new(&whole).expect("a schema");
            assert!(validator.is_valid(value), "{value} is not of {schema}");
            seen += 1;
        }
    }
    assert!(seen > 10, "only {seen} values were checked");
    server.stop().await;
}

/// Every object, as it may be a schema.
fn collect<'a>(value: &'a Value, into: &mut Vec<&'a Value>) {
    match value {
        Value::Object(object) => {
            if object.contains_key("type")
                || object.contains_key("$ref")
                || object.contains_key("allOf")
                || object.contains_key("anyOf")
            {
                into.push(value);
            }
            object
                .iter()
                .filter(|(key, _)| !["examples", "default"].contains(&key.as_str()))
                .for_each(|(_, value)| collect(value, into));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, into)),
        _ => {}
    }
}

#[tokio::test]
async fn every_example_of_a_request_is_accepted_and_its_reply_is_documented() {
    let server = Server::start(market().0).await;
    let document = document(&server).await;
    let mut sent = 0;
    for (name, message) in messages(&document, "publish") {
        for example in message["examples"].as_array().unwrap_or_else(|| panic!("{name} has no example")) {
            let mut client = Client::connect(&server, WEBSOCKET_PATH).await;
            let frame = &example["payload"];
            client.send_text(&frame.to_string()).await;
            let reply = client.recv().await;
            let expected =
                message["x-response"]["$ref"].as_str().and_then(|path| path.rsplit('/').next()).expect("a reply");
            assert_eq!(reply["type"], expected, "{name}: {reply}");
            assert_eq!(reply["id"], frame["id"], "{name}");
            sent += 1;
        }
    }
    assert!(sent >= 12, "only {sent} examples were sent");
    server.stop().await;
}

#[tokio::test]
async fn every_message_is_named_titled_tagged_and_shown_by_an_example_that_is_only_itself() {
    let server = Server::start(market().0).await;
    let document = document(&server).await;
    let (requests, answers) = (server::Documented::requests(&server), server::Documented::answers(&server));
    for direction in ["publish", "subscribe"] {
        for (name, message) in messages(&document, direction) {
            assert_eq!((&message["messageId"], &message["name"]), (&json!(name), &json!(name)));
            for key in ["title", "summary", "contentType"] {
                assert!(message[key].as_str().is_some_and(|text| !text.is_empty()), "{name} has no {key}");
            }
            assert!(message["tags"].as_array().is_some_and(|tags| !tags.is_empty()), "{name} has no tags");
            assert!(message["payload"]["$ref"].is_string(), "{name} has no frame");
            let examples = message["examples"].as_array().unwrap_or_else(|| panic!("{name} has no example"));
            let documented = if direction == "subscribe" { &answers } else { &requests };
            examples.iter().for_each(|example| documented.assert_matches(&example["payload"]));
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn every_operation_appears_once_and_nothing_else_does() {
    let server = Server::start(market().0).await;
    let document = document(&server).await;
    let requests: BTreeSet<_> = messages(&document, "publish").into_iter().map(|(name, _)| name.to_owned()).collect();
    let operations = server.ws.operations();
    let declared: BTreeSet<_> = operations
        .iter()
        .filter(|operation| operation.direction == fastws::Direction::Send)
        .map(|operation| operation.name.clone())
        .collect();
    assert_eq!(requests, declared);
    let answers: BTreeSet<_> = messages(&document, "subscribe").into_iter().map(|(name, _)| name.to_owned()).collect();
    let declared: BTreeSet<_> = operations
        .iter()
        .filter(|operation| operation.direction == fastws::Direction::Recv)
        .map(|operation| operation.name.clone())
        .chain(operations.iter().filter_map(|operation| Some(operation.reply.as_ref()?.name.clone())))
        .chain(["error", "draining", "unsubscribed"].map(str::to_owned))
        .collect();
    assert_eq!(answers, declared);
    let all = document["components"]["messages"].as_object().expect("messages").len();
    assert_eq!(all, requests.len() + answers.len());
    server.stop().await;
}

#[tokio::test]
async fn schemas_are_draft_07_titled_used_and_resolvable() {
    let server = Server::start(market().0).await;
    let document = document(&server).await;
    let schemas = document["components"]["schemas"].as_object().expect("schemas");
    let mut used = BTreeSet::new();
    walk(&document, &mut |key, value| {
        let foreign = [
            "$defs",
            "$schema",
            "prefixItems",
            "unevaluatedProperties",
            "unevaluatedItems",
            "nullable",
            "dependentRequired",
        ];
        assert!(!foreign.contains(&key), "{key} is not draft 07");
        if key == "$ref" {
            let path = value.as_str().and_then(|path| path.strip_prefix('#')).expect("a local reference");
            assert!(document.pointer(path).is_some(), "{path} leads nowhere");
            used.extend(path.strip_prefix("/components/schemas/").map(str::to_owned));
        }
    });
    for (name, schema) in schemas {
        assert_eq!(schema["title"], name.as_str());
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)), "{name}");
        assert!(used.contains(name), "{name} is not used");
    }
    let keys: Vec<_> = schemas["Bar"]["properties"].as_object().expect("fields").keys().collect();
    assert_eq!(keys, ["time", "open", "high", "low", "close", "volume"]);
    assert_eq!(schemas["Resolution"]["enum"], json!(["1", "5", "15", "30", "60", "240", "D", "W"]));
    assert_eq!(schemas["BarsSubscription"]["properties"]["symbol"]["maxLength"], 32);
    server.stop().await;
}

/// Shows every member of every object.
fn walk(value: &Value, see: &mut impl FnMut(&str, &Value)) {
    match value {
        Value::Object(object) => object.iter().for_each(|(key, value)| {
            see(key, value);
            walk(value, see);
        }),
        Value::Array(items) => items.iter().for_each(|item| walk(item, see)),
        _ => {}
    }
}

#[tokio::test]
async fn the_document_says_what_the_server_does() {
    let server = Server::start(market().0).await;
    let document = document(&server).await;
    let channel = &document["channels"][WEBSOCKET_PATH];
    let url = document["servers"]["local"]["url"].as_str().expect("an address");
    assert_eq!(url, format!("ws://{}", server.address));
    tokio_tungstenite::connect_async(format!("{url}{WEBSOCKET_PATH}")).await.expect("the documented address answers");
    assert_eq!(channel["x-heartbeat-interval-seconds"], 30);
    assert_eq!(channel["x-max-connection-lifespan-seconds"], 3600);
    assert!(channel["x-close-codes"]["1003"].is_string());
    let subscribe = &document["components"]["messages"]["bars.subscribe"];
    assert_eq!(subscribe["x-topic"], "bars:{symbol}:{resolution}");
    assert_eq!(subscribe["x-updates"], json!(["bars.update"]));
    assert!(document["components"]["messages"]["bars.update"].is_object());
    assert_eq!(document["components"]["schemas"]["ErrorCode"]["enum"][0], "malformed_message");
    server.stop().await;
}

#[tokio::test]
async fn json_and_yaml_are_the_same_document_and_the_same_each_time() {
    let server = Server::start(market().0).await;
    let (_, json) = server.get(&format!("{DOCS_PATH}.json")).await;
    let (_, yaml) = server.get(&format!("{DOCS_PATH}.yaml")).await;
    let from_yaml: Value = serde_yaml::from_str(&yaml).expect("YAML");
    assert_eq!(serde_json::from_str::<Value>(&json).expect("JSON"), from_yaml);
    let again = trading_api::docs(server.address).json(&trading_api::service(&market().0).expect("a service"));
    assert_eq!(again, json);
    server.stop().await;
}

#[tokio::test]
async fn the_pages_work_in_a_browser() {
    if !has_tool("tests/browser/node_modules/playwright-core") || !has_browser() {
        return;
    }
    let market = Market::default();
    let moving = tokio::spawn(Box::new(Simulator::new(1)).run(market.clone()));
    let server = Server::start(market).await;
    let output = tokio::process::Command::new("node")
        .args(["--test", "page.test.mjs", "home.test.mjs"])
        .current_dir(repository("tests/browser"))
        .env("FASTWS_URL", server.url())
        .stdin(Stdio::null())
        .output()
        .await
        .expect("node runs");
    moving.abort();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}");
    server.stop().await;
}

/// Whether there is a Chromium; where `make test` has installed one, there has to be.
fn has_browser() -> bool {
    let there = std::path::Path::new("/usr/bin/chromium").exists();
    assert!(
        there || std::env::var_os("FASTWS_REQUIRE_TOOLS").is_none(),
        "chromium is missing; `make setup` installs it"
    );
    if !there {
        eprintln!("skipped: there is no /usr/bin/chromium; `make setup` installs it");
    }
    there
}
