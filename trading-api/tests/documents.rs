//! The documents are true, complete and taken by every tool: the checklist that they are held to, point by point.
//!
//! | point | where |
//! |---|---|
//! | 1–14, 16–24, 26–31, 36 | here, with the number in the test's name |
//! | 15 | comes with authentication: no scheme is listed as long as none is enforced |
//! | 28 | `tests/services.rs`: two types of one name keep a service from being built |
//! | 32 | `clients_typescript.rs` and `clients_python.rs` |
//! | 33, 34, 35 | `tests/browser/page.test.mjs` and `console.test.mjs`, which run from here |
//! | 37 | `fastws-asyncapi/src/diff.rs` |

mod server;

use std::collections::BTreeSet;
use std::process::{Output, Stdio};

use fastws::{Direction, Finding, Version, lint};
use serde_json::{Value, json};
use server::{Client, Documented, Server, has_browser, has_tool, market, repository};
use trading_api::market::Market;
use trading_api::upstream::Venue;
use trading_api::upstream::simulator::Simulator;
use trading_api::{DOCS_PATH, WEBSOCKET_PATH};

/// The document as it is served.
async fn document(server: &Server, version: Version) -> Value {
    server.get_json(&format!("{DOCS_PATH}/{version}.json")).await
}

/// The messages of one direction in 2.4.0: name and definition.
fn messages<'a>(document: &'a Value, direction: &str) -> Vec<(&'a str, &'a Value)> {
    let references = document["channels"][WEBSOCKET_PATH][direction]["message"]["oneOf"].as_array().expect("messages");
    references
        .iter()
        .map(|reference| {
            let name = last_segment(&reference["$ref"]);
            (name, &document["components"]["messages"][name])
        })
        .collect()
}

fn last_segment(reference: &Value) -> &str {
    reference.as_str().and_then(|path| path.rsplit('/').next()).expect("a reference")
}

/// The documents of all versions as files, JSON and YAML, in a folder that lives as long as they are needed.
async fn files(server: &Server, kinds: &[&str]) -> (tempfile::TempDir, Vec<std::path::PathBuf>) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut files = Vec::new();
    for version in Version::ALL {
        for kind in kinds {
            let (status, text) = server.get(&format!("{DOCS_PATH}/{version}.{kind}")).await;
            assert_eq!(status, 200);
            let path = folder.path().join(format!("trading-{version}.{kind}"));
            std::fs::write(&path, text).expect("written");
            files.push(path);
        }
    }
    (folder, files)
}

async fn node(script: &str, arguments: impl IntoIterator<Item = impl AsRef<std::ffi::OsStr>>) -> Output {
    let mut command = tokio::process::Command::new("node");
    command.arg(repository(script)).args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    command.output().await.expect("node runs")
}

#[tokio::test]
async fn point_01_02_the_official_parser_finds_neither_error_nor_warning_and_nothing_at_all_in_3_1_0() {
    if !has_tool("tests/browser/node_modules/@asyncapi/parser") {
        return;
    }
    let server = Server::start(market().0).await;
    let (_folder, files) = files(&server, &["json", "yaml"]).await;
    let output = node("tests/browser/parser.mjs", &files).await;
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}");
    // The one remark that the parser may make is that 3.1.0 is newer.
    assert!(!told.lines().any(|line| line.contains("3.1.0.json:") && line.contains("information")), "{told}");
    server.stop().await;
}

#[tokio::test]
async fn point_03_json_and_yaml_are_equal_trees_of_their_own_type_and_text_stays_text() {
    let server = Server::start(market().0).await;
    for version in Version::ALL {
        let (json_head, json) = server.get_with_head(&format!("{DOCS_PATH}/{version}.json")).await;
        let (yaml_head, yaml) = server.get_with_head(&format!("{DOCS_PATH}/{version}.yaml")).await;
        assert!(json_head.contains("content-type: application/json"), "{json_head}");
        assert!(yaml_head.contains("content-type: application/yaml"), "{yaml_head}");
        let json: Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(json, serde_yaml::from_str::<Value>(&yaml).expect("YAML"), "{version}");
        assert_eq!(json["asyncapi"], version.as_str());
    }
    let resolutions = document(&server, Version::V3_0_0).await["components"]["schemas"]["Resolution"]["enum"].take();
    assert_eq!(resolutions, json!(["1", "5", "15", "30", "60", "240", "D", "W"]), "numbers in quotes stay text");
    let texts = json!({ "a": ["1", "on", "2024-01-01", "null", "1e3", "0x1f", "~", "yes", ""] });
    let written = serde_yaml::to_string(&texts).expect("YAML");
    assert_eq!(serde_yaml::from_str::<Value>(&written).expect("YAML"), texts, "{written}");
    server.stop().await;
}

#[tokio::test]
async fn point_04_the_documents_are_what_the_specification_asks_for() {
    let server = Server::start(market().0).await;
    for version in Version::ALL {
        let path = format!("tests/browser/node_modules/@asyncapi/specs/schemas/{version}.json");
        if !has_tool(&path) {
            break;
        }
        let specification: Value =
            serde_json::from_slice(&std::fs::read(repository(&path)).expect("readable")).expect("JSON");
        let specification = jsonschema::draft7::new(&specification).expect("a schema");
        let document = document(&server, version).await;
        let faults: Vec<_> =
            specification.iter_errors(&document).map(|fault| format!("{}: {fault}", fault.instance_path())).collect();
        assert_eq!(faults, Vec::<String>::new(), "{version}");
    }
    server.stop().await;
}

/// The lint looks at keywords of other drafts (5), references and components (6), constant and different `type`s (13),
/// everything that a message needs (18), replies (19), the binding (21), topics (22), names of objects and enums (25),
/// examples and defaults (29), and keys of operations (30); `tests/lint.rs` shows that it finds each.
#[tokio::test]
async fn point_05_06_13_18_19_21_22_25_29_30_the_lint_finds_nothing() {
    let server = Server::start(market().0).await;
    for version in Version::ALL {
        let findings: Vec<_> = lint(&document(&server, version).await).iter().map(Finding::to_string).collect();
        assert_eq!(findings, Vec::<String>::new(), "{version}");
    }
    server.stop().await;
}

#[tokio::test]
async fn point_07_two_builds_are_identical_bytes_and_one_path_serves_2_4_0() {
    let server = Server::start(market().0).await;
    for version in Version::ALL {
        let (_, served) = server.get(&format!("{DOCS_PATH}/{version}.json")).await;
        let again = trading_api::docs(server.address).asyncapi(version);
        let again = again.json(&trading_api::service(&market().0).expect("a service"));
        assert_eq!(served, again, "{version}");
    }
    let short = server.get(&format!("{DOCS_PATH}.json")).await;
    assert_eq!(short, server.get(&format!("{DOCS_PATH}/2.4.0.json")).await);
    server.stop().await;
}

#[tokio::test]
async fn point_08_the_documented_address_is_the_mounted_one() {
    let server = Server::start(market().0).await;
    let two = document(&server, Version::V2_4_0).await;
    let three = document(&server, Version::V3_1_0).await;
    let address = format!("{}{WEBSOCKET_PATH}", two["servers"]["local"]["url"].as_str().expect("an address"));
    assert_eq!(address, format!("ws://{}{WEBSOCKET_PATH}", server.address));
    let local = &three["servers"]["local"];
    let parts = [&local["protocol"], &local["host"], &three["channels"]["ws"]["address"]];
    let [protocol, host, path] = parts.map(|part| part.as_str().expect("text"));
    assert_eq!(format!("{protocol}://{host}{path}"), address);
    tokio_tungstenite::connect_async(address).await.expect("the documented address answers");
    server.stop().await;
}

#[tokio::test]
async fn point_09_every_operation_appears_once_in_its_direction_and_nothing_else_does() {
    let server = Server::start(market().0).await;
    let operations = server.ws.operations();
    let of = |direction| operations.iter().filter(move |operation| operation.direction == direction);
    let sends: BTreeSet<_> = of(Direction::Send).map(|operation| operation.name.clone()).collect();
    let replies: BTreeSet<_> =
        operations.iter().filter_map(|operation| Some(operation.reply.as_ref()?.name.clone())).collect();
    let notices = ["error", "draining", "unsubscribed"].map(str::to_owned);
    let recvs: BTreeSet<_> = of(Direction::Recv).map(|operation| operation.name.clone()).chain(notices).collect();

    let two = document(&server, Version::V2_4_0).await;
    let names =
        |direction| -> Vec<_> { messages(&two, direction).into_iter().map(|(name, _)| name.to_owned()).collect() };
    assert_eq!(names("publish"), sends.iter().cloned().collect::<Vec<_>>());
    assert_eq!(names("subscribe"), recvs.union(&replies).cloned().collect::<Vec<_>>());
    let all = two["components"]["messages"].as_object().expect("messages").len();
    assert_eq!(all, sends.len() + recvs.len() + replies.len());

    let three = document(&server, Version::V3_0_0).await;
    let acting = |action: &str| -> BTreeSet<String> {
        let operations = three["operations"].as_object().expect("operations").values();
        let acting = operations.filter(|operation| operation["action"] == action);
        acting.map(|operation| last_segment(&operation["messages"][0]["$ref"]).to_owned()).collect()
    };
    assert_eq!((acting("receive"), acting("send")), (sends, recvs), "named from the server's side");
    server.stop().await;
}

#[tokio::test]
async fn point_10_every_example_of_a_request_is_accepted_and_its_reply_is_documented() {
    let server = Server::start(market().0).await;
    let document = document(&server, Version::V2_4_0).await;
    let mut sent = 0;
    for (name, message) in messages(&document, "publish") {
        for example in message["examples"].as_array().unwrap_or_else(|| panic!("{name} has no example")) {
            let mut client = Client::connect(&server, WEBSOCKET_PATH).await;
            let frame = &example["payload"];
            client.send_text(&frame.to_string()).await;
            let reply = client.recv().await;
            assert_eq!(reply["type"], last_segment(&message["x-response"]["$ref"]), "{name}: {reply}");
            assert_eq!(reply["id"], frame["id"], "{name}");
            sent += 1;
        }
    }
    assert!(sent >= 12, "only {sent} examples were sent");
    server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn point_10_11_12_13_the_service_is_what_its_document_says() {
    let (market, _apple) = market();
    fastws::testing::assert_documented(&trading_api::service(&market).expect("a service")).await;
}

#[tokio::test]
async fn point_13_every_example_matches_its_own_message_and_no_other() {
    let server = Server::start(market().0).await;
    let document = document(&server, Version::V2_4_0).await;
    for (direction, documented) in
        [("publish", Documented::requests(&server)), ("subscribe", Documented::answers(&server))]
    {
        for (name, message) in messages(&document, direction) {
            let examples = message["examples"].as_array().unwrap_or_else(|| panic!("{name} has no example"));
            examples.iter().for_each(|example| documented.assert_matches(&example["payload"]));
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn point_14_heartbeat_lifespan_and_close_codes_are_those_of_the_service() {
    let server = Server::start(market().0).await;
    let two = document(&server, Version::V2_4_0).await;
    let three = document(&server, Version::V3_1_0).await;
    for channel in [&two["channels"][WEBSOCKET_PATH], &three["channels"]["ws"]] {
        let timeouts = server.ws.timeouts();
        assert_eq!(channel["x-heartbeat-interval-seconds"], json!(timeouts.heartbeat.expect("one").as_secs()));
        assert_eq!(channel["x-max-connection-lifespan-seconds"], json!(timeouts.lifespan.expect("one").as_secs()));
        let codes = fastws::CloseReason::documented();
        let documented = channel["x-close-codes"].as_object().expect("codes");
        assert_eq!(documented.len(), codes.len(), "this service can close with every code");
        assert!(codes.iter().all(|(code, meaning)| documented[&code.to_string()] == *meaning));
    }
    server.stop().await;
}

#[tokio::test]
async fn point_16_requests_are_as_they_are_read_and_answers_as_they_are_written() {
    let server = Server::start(market().0).await;
    let document = document(&server, Version::V3_0_0).await;
    // `params` has a default: a client may leave it out.
    assert_eq!(document["components"]["schemas"]["MultiSubscription"]["required"], json!(["symbols"]));
    assert_eq!(
        document["components"]["schemas"]["Bar"]["required"],
        json!(["time", "open", "high", "low", "close", "volume"])
    );
    server.stop().await;
}

#[tokio::test]
async fn point_17_the_info_is_complete() {
    let server = Server::start(market().0).await;
    for version in Version::ALL {
        let document = document(&server, version).await;
        for pointer in [
            "/id",
            "/info/title",
            "/info/version",
            "/info/description",
            "/info/contact/name",
            "/info/contact/url",
            "/info/contact/email",
            "/info/license/name",
            "/info/license/url",
        ] {
            let text = document.pointer(pointer).and_then(Value::as_str);
            assert!(text.is_some_and(|text| !text.is_empty()), "{version}: {pointer}");
        }
        let tags = document.get("tags").unwrap_or(&document["info"]["tags"]).as_array().expect("tags");
        assert!(tags.iter().all(|tag| tag["description"].is_string()), "{tags:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn point_18_every_message_has_its_name_its_words_and_an_example() {
    let server = Server::start(market().0).await;
    let document = document(&server, Version::V2_4_0).await;
    for direction in ["publish", "subscribe"] {
        for (name, message) in messages(&document, direction) {
            assert_eq!((&message["messageId"], &message["name"]), (&json!(name), &json!(name)));
            for key in ["title", "summary", "contentType"] {
                assert!(message[key].as_str().is_some_and(|text| !text.is_empty()), "{name} has no {key}");
            }
            assert!(message["tags"].as_array().is_some_and(|tags| !tags.is_empty()), "{name} has no tags");
            assert!(message["payload"]["$ref"].is_string(), "{name} has no frame");
            let frame = &document["components"]["schemas"][last_segment(&message["payload"]["$ref"])];
            assert_eq!(frame["properties"]["type"]["const"], name);
            let examples = message["examples"].as_array().unwrap_or_else(|| panic!("{name} has no example"));
            assert!(examples.iter().all(|example| example["name"].is_string()), "{name}");
        }
    }
    let reply = &document["components"]["messages"]["bars.subscribe.response"];
    assert_eq!(reply["title"], "Subscribe to bars: reply");
    server.stop().await;
}

#[tokio::test]
async fn point_19_20_every_request_names_its_reply_and_correlates_with_it_by_id() {
    let server = Server::start(market().0).await;
    let two = document(&server, Version::V2_4_0).await;
    let correlation = json!({ "$ref": "#/components/correlationIds/requestId" });
    for (name, message) in messages(&two, "publish") {
        let reply = last_segment(&message["x-response"]["$ref"]);
        for message in [message, &two["components"]["messages"][reply], &two["components"]["messages"]["error"]] {
            assert_eq!(message["correlationId"], correlation, "{name}");
        }
    }
    let three = document(&server, Version::V3_0_0).await;
    for (key, operation) in three["operations"].as_object().expect("operations") {
        if operation["action"] == "receive" {
            let answers = operation["reply"]["messages"].as_array().expect("answers");
            assert!(
                answers.iter().all(|answer| answer["$ref"]
                    .as_str()
                    .is_some_and(|path| path.starts_with("#/channels/ws/messages/")))
            );
            assert_eq!(last_segment(&answers[answers.len() - 1]["$ref"]), "error", "{key}");
            assert_eq!(answers.len(), 2, "{key}");
        }
        assert!(
            operation.get("x-response").is_none()
                && three["components"]["messages"][last_segment(&operation["messages"][0]["$ref"])]
                    .get("messageId")
                    .is_none()
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn point_21_the_binding_says_how_to_connect() {
    let server = Server::start(market().0).await;
    let two = document(&server, Version::V2_4_0).await;
    let three = document(&server, Version::V3_0_0).await;
    for channel in [&two["channels"][WEBSOCKET_PATH], &three["channels"]["ws"]] {
        let binding = &channel["bindings"]["ws"];
        assert_eq!((&binding["method"], &binding["bindingVersion"]), (&json!("GET"), &json!("0.1.0")));
        for part in ["query", "headers"] {
            // Nothing is asked of the handshake as long as nobody has to authenticate.
            assert_eq!(binding[part], json!({ "type": "object", "properties": {} }));
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn point_22_topics_name_their_updates_and_how_they_end() {
    let server = Server::start(market().0).await;
    let document = document(&server, Version::V2_4_0).await;
    let messages = &document["components"]["messages"];
    let subscribe = &messages["bars.subscribe"];
    assert_eq!(subscribe["x-topic"], "bars:{symbol}:{resolution}");
    assert_eq!(
        (&subscribe["x-updates"], &subscribe["x-unsubscribe"]),
        (&json!(["bars.update"]), &json!("bars.unsubscribe"))
    );
    assert_eq!(messages["bars.update"]["x-topic"], "bars:{symbol}:{resolution}");
    // Handlers that subscribe by hand say so in their attributes.
    assert_eq!(messages["alerts.subscribe"]["x-updates"], json!(["alerts.alert"]));
    assert_eq!(messages["alerts.alert"]["x-topic"], "alerts");
    assert_eq!(messages["multi_subscribe"]["x-updates"], json!(["bars.update"]));
    assert_eq!(messages["clear_subscriptions"]["x-topic"], "*");
    server.stop().await;
}

#[tokio::test]
async fn point_23_errors_have_a_message_with_codes() {
    let server = Server::start(market().0).await;
    for version in Version::ALL {
        let document = document(&server, version).await;
        assert_eq!(document["components"]["schemas"]["ErrorCode"]["enum"][0], "malformed_message");
        assert_eq!(document["components"]["messages"]["error"]["payload"]["$ref"], "#/components/schemas/ErrorMessage");
    }
    server.stop().await;
}

#[tokio::test]
async fn point_26_27_words_constraints_and_order_are_those_of_the_types() {
    let server = Server::start(market().0).await;
    let document = document(&server, Version::V3_0_0).await;
    let schemas = &document["components"]["schemas"];
    let keys: Vec<_> = schemas["Bar"]["properties"].as_object().expect("fields").keys().collect();
    assert_eq!(keys, ["time", "open", "high", "low", "close", "volume"]);
    assert_eq!(schemas["Resolution"]["enum"], json!(["1", "5", "15", "30", "60", "240", "D", "W"]));
    let symbol = &schemas["BarsSubscription"]["properties"]["symbol"];
    assert_eq!((&symbol["minLength"], &symbol["maxLength"]), (&json!(1), &json!(32)));
    assert!(symbol["description"].is_string() && schemas["Bar"]["description"].is_string());
    for (name, schema) in schemas.as_object().expect("schemas") {
        assert!(schema["description"].is_string(), "{name} is not described");
    }
    server.stop().await;
}

#[tokio::test]
async fn point_25_31_modelina_and_the_official_generator_take_the_documents() {
    if !has_tool("tests/generators/node_modules/@asyncapi/generator") {
        return;
    }
    let server = Server::start(market().0).await;
    let (folder, files) = files(&server, &["json"]).await;
    let arguments = std::iter::once(folder.path().to_path_buf()).chain(files);
    let output = node("tests/generators/generate.mjs", arguments).await;
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    for version in ["3.0.0", "3.1.0"] {
        let client = |file: &str| folder.path().join(format!("trading-{version}-{file}"));
        for (program, arguments, file) in [
            ("node", ["--check"].as_slice(), "javascript/client.js"),
            ("python3", &["-m", "py_compile"], "python/client.py"),
        ] {
            let check =
                std::process::Command::new(program).args(arguments).arg(client(file)).output().expect("it runs");
            assert!(check.status.success(), "{version} {file}: {}", String::from_utf8_lossy(&check.stderr));
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn point_33_34_35_the_pages_and_their_console_work_in_a_browser() {
    if !has_tool("tests/browser/node_modules/playwright-core") || !has_browser() {
        return;
    }
    let market = Market::default();
    let moving = tokio::spawn(Box::new(Simulator::new(1)).run(market.clone()));
    let server = Server::start(market).await;
    let output = tokio::process::Command::new("node")
        .args(["--test", "parts.test.mjs", "page.test.mjs", "home.test.mjs", "console.test.mjs"])
        .current_dir(repository("tests/browser"))
        .env("FASTWS_URL", server.url())
        .env("FASTWS_PROGRAM", env!("CARGO_BIN_EXE_trading-api"))
        .stdin(Stdio::null())
        .output()
        .await
        .expect("node runs");
    moving.abort();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}");
    server.stop().await;
}

#[tokio::test]
async fn point_36_documents_are_known_again_answer_head_and_can_be_printed() {
    let server = Server::start(market().0).await;
    for path in ["json", "yaml"]
        .map(|kind| format!("{DOCS_PATH}/3.1.0.{kind}"))
        .into_iter()
        .chain([format!("{DOCS_PATH}/client.ts")])
    {
        let (head, _) = server.get_with_head(&path).await;
        let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).expect("an entity tag");
        for known in [tag.to_owned(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".into()] {
            let (head, body) = server.ask("GET", &path, &[("if-none-match", &known)]).await;
            assert!(head.starts_with("HTTP/1.1 304") && body.is_empty(), "{known}: {head}");
        }
        let (other, _) = server.ask("GET", &path, &[("if-none-match", "\"other\"")]).await;
        assert!(other.starts_with("HTTP/1.1 200"), "{other}");
        let (head, body) = server.ask("HEAD", &path, &[]).await;
        assert!(head.starts_with("HTTP/1.1 200") && head.contains("content-length: ") && body.is_empty(), "{head}");
    }
    let printed = std::process::Command::new(env!("CARGO_BIN_EXE_trading-api"))
        .args(["--print-asyncapi", "3.1.0", "--listen", &server.address.to_string()])
        .output()
        .expect("the program runs");
    let served = server.get(&format!("{DOCS_PATH}/3.1.0.json")).await.1;
    assert_eq!(String::from_utf8_lossy(&printed.stdout), served);
    server.stop().await;
}
