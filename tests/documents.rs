//! The AsyncAPI document of a small service, reviewed once and kept.

mod orders;

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

use fastws::axum::body::Body;
use fastws::axum::http::Request;
use fastws::{AsyncApi, ErrorPolicy, FastWs, OperationRouter, Payload, Security, Version, client, lint, payload, send};
use orders::{docs, service};
use serde_json::json;
use tower::ServiceExt;

/// Review the files as pages of the manual; `UPDATE_GOLDEN=1 cargo test` writes them anew.
#[test]
fn the_documents_are_the_reviewed_ones() {
    for version in [Version::V2_4_0, Version::V3_1_0] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/orders-{version}.yaml"));
        let document = docs().asyncapi(version).yaml(&service());
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &document).expect("written");
        }
        let reviewed = std::fs::read_to_string(&path).expect("the reviewed document");
        assert!(document == reviewed, "{} is not what the service says today", path.display());
    }
}

#[test]
fn point_07_routers_in_another_order_give_the_same_document() {
    let one = FastWs::builder().include(OperationRouter::new().add::<ask>().add::<tell>()).build().expect("a service");
    let two = FastWs::builder().include(OperationRouter::new().add::<tell>().add::<ask>()).build().expect("a service");
    assert_eq!(docs().json(&one), docs().json(&two));
    assert_eq!(docs().json(&one), docs().json(&one));
}

#[test]
fn point_08_prefixes_are_part_of_every_name_and_routes_of_the_address() {
    let document = docs().asyncapi(Version::V3_0_0).document(&service());
    assert_eq!(document["channels"]["ws"]["address"], "/v1/ws");
    assert!(document["operations"]["v1OrdersPlace"].is_object());
}

/// What is asked.
#[payload]
struct Question {
    /// The words.
    text: String,
    /// How loud; aloud by default.
    #[serde(default)]
    volume: u8,
}

/// Asks.
#[send("ask", reply = "asked")]
async fn ask(Payload(question): Payload<Question>) -> Question {
    question
}

/// Tells.
#[send("tell")]
async fn tell(Payload(_): Payload<Question>) {}

#[test]
fn point_16_a_type_that_is_read_otherwise_than_written_is_two() {
    let ws = FastWs::builder().include(OperationRouter::new().add::<ask>()).build().expect("a service");
    let document = docs().document(&ws);
    let required = |name: &str| document["components"]["schemas"][name]["required"].clone();
    assert_eq!(required("QuestionInput"), json!(["text"]));
    assert_eq!(required("Question"), json!(["text", "volume"]));
}

/// Asks in other words.
#[send("as.k")]
async fn ask_otherwise() {}

#[test]
fn point_30_operations_are_told_apart_by_their_letters() {
    let ws = FastWs::builder().include(OperationRouter::new().add::<ask>().add::<ask_otherwise>()).build();
    let document = docs().asyncapi(Version::V3_0_0).document(&ws.expect("a service"));
    let keys: Vec<_> = document["operations"].as_object().expect("operations").keys().map(String::as_str).collect();
    assert_eq!(keys[..2], ["asK", "ask2"]);
    assert_eq!(lint(&document).iter().filter(|finding| finding.rule == "operation-key").count(), 0);
}

#[test]
fn point_19_a_request_without_reply_is_answered_by_an_error_at_most() {
    let ws = FastWs::builder().include(OperationRouter::new().add::<tell>()).build().expect("a service");
    assert!(docs().document(&ws)["components"]["messages"]["tell"].get("x-response").is_none());
    let document = docs().asyncapi(Version::V3_0_0).document(&ws);
    assert_eq!(
        document["operations"]["tell"]["reply"]["messages"],
        json!([{ "$ref": "#/channels/ws/messages/error" }])
    );
}

#[test]
fn point_24_a_document_tells_what_is_deprecated_optional_and_without_payload() {
    let document = docs().document(&service());
    let message = &document["components"]["messages"]["v1.orders.cancel_all"];
    assert_eq!(message["x-deprecated"], true);
    assert_eq!(message["tags"], json!([{ "name": "orders" }, { "name": "danger" }]));
    let frame = &document["components"]["schemas"]["V1OrdersCancelAllMessage"];
    assert_eq!(frame["deprecated"], true);
    assert_eq!(frame["properties"].get("payload"), None);
    let ping = &document["components"]["schemas"]["PingMessage"];
    assert_eq!(ping["required"], json!(["type"]), "a ping needs no payload");
    assert_eq!(document["tags"][0], json!({ "name": "orders", "description": "Buying and selling." }));
    assert!(!document["tags"].to_string().contains("unused"));
    assert_eq!(document["channels"]["/v1/ws"]["x-heartbeat-interval-seconds"], 12.5);
}

#[test]
fn a_service_says_only_what_it_does() {
    let ws = FastWs::builder().include(OperationRouter::new().add::<ask>()).error_policy(ErrorPolicy::Reply).build();
    let document = docs().document(&ws.expect("a service"));
    let channel = &document["channels"]["/v1/ws"];
    assert!(channel.get("x-heartbeat-interval-seconds").is_none());
    let codes = channel["x-close-codes"].as_object().expect("codes");
    assert!(["1003", "4103", "4104"].iter().all(|code| !codes.contains_key(*code)), "{codes:?}");
    let messages = document["components"]["messages"].as_object().expect("messages");
    assert!(!messages.contains_key("draining") && !messages.contains_key("unsubscribed"));
}

/// A type of the application that is called like one of the framework.
#[payload]
struct ErrorCode {
    /// The code.
    code: u16,
}

/// Explains a code.
#[send("explain", reply = "explained")]
async fn explain(Payload(code): Payload<ErrorCode>) -> ErrorCode {
    code
}

#[test]
fn a_type_that_is_called_like_one_of_the_framework_keeps_its_name() {
    let ws = FastWs::builder().include(OperationRouter::new().add::<explain>()).build().expect("a service");
    for version in Version::ALL {
        let document = docs().asyncapi(version).document(&ws);
        assert!(document["components"]["schemas"]["ErrorCode"]["properties"]["code"].is_object(), "{version}");
        assert_eq!(document["components"]["schemas"]["ErrorCode2"]["enum"][0], "malformed_message");
        assert_eq!(lint(&document), []);
    }
}

#[test]
fn security_is_documented_where_somebody_says_that_it_is_checked() {
    let docs = docs()
        .security(Security::Bearer { format: "JWT".into() })
        .security(Security::QueryToken { name: "token".into() });
    for version in Version::ALL {
        let document = docs.clone().asyncapi(version).document(&service());
        assert_eq!(lint(&document), [], "{version}");
        assert_eq!(document["components"]["securitySchemes"]["queryToken"]["in"], "query");
        let channel =
            document["channels"].as_object().and_then(|channels| channels.values().next()).expect("a channel");
        assert!(channel["bindings"]["ws"]["query"]["properties"]["token"].is_object());
        assert!(channel["bindings"]["ws"]["headers"]["properties"]["Authorization"].is_object());
        let security = &document["servers"]["local"]["security"];
        let first = if version == Version::V2_4_0 {
            json!({ "bearerAuth": [] })
        } else {
            json!({ "$ref": "#/components/securitySchemes/bearerAuth" })
        };
        assert_eq!((&security[0], security.as_array().map(Vec::len)), (&first, Some(2)), "{version}");
    }
}

#[tokio::test]
async fn point_36_pages_of_other_origins_read_documents_where_they_may() {
    let ask = |docs: AsyncApi, method: &str, path: &str| {
        let request = Request::builder().method(method).uri(path).header("origin", "https://docs.example.com");
        let request = request.body(Body::empty()).expect("a request");
        let router: fastws::axum::Router = docs.routes("/docs", &service());
        async move { router.oneshot(request).await.expect("an answer") }
    };
    let closed = ask(docs(), "GET", "/docs.json").await;
    assert!(closed.headers().get("access-control-allow-origin").is_none());
    assert_eq!(ask(docs(), "OPTIONS", "/docs.json").await.status(), 405);

    let open = || docs().cors("https://docs.example.com");
    for path in ["/docs.json", "/docs/3.1.0.yaml", "/docs/client.ts", "/docs/client.py"] {
        let answer = ask(open(), "GET", path).await;
        assert_eq!(answer.status(), 200, "{path}");
        assert_eq!(answer.headers()["access-control-allow-origin"], "https://docs.example.com");
        assert_eq!(answer.headers()["access-control-expose-headers"], "etag");
        assert!(answer.headers().get_all("vary").iter().any(|header| header == "origin"));
        let before = ask(open(), "OPTIONS", path).await;
        assert_eq!(before.status(), 204);
        assert_eq!(before.headers()["access-control-allow-headers"], "if-none-match");
    }
}

/// What a reader gets, unpacked, and how many bytes came over the line.
async fn fetch(router: &fastws::axum::Router, path: &str) -> (String, usize) {
    let request = Request::builder().uri(path).header("accept-encoding", "br, gzip;q=0.8");
    let answer = router.clone().oneshot(request.body(Body::empty()).expect("a request")).await.expect("an answer");
    assert_eq!(answer.status(), 200, "{path}");
    let is_compressed = answer.headers().get("content-encoding").is_some_and(|encoding| encoding == "gzip");
    let bytes = fastws::axum::body::to_bytes(answer.into_body(), usize::MAX).await.expect("a body");
    let mut text = String::new();
    match is_compressed {
        true => flate2::read::GzDecoder::new(&*bytes).read_to_string(&mut text).map(drop).expect("gzip"),
        false => text = String::from_utf8(bytes.to_vec()).expect("text"),
    }
    (text, bytes.len())
}

#[tokio::test]
async fn point_33_the_page_with_all_that_it_loads_is_under_150_kilobytes() {
    let router: fastws::axum::Router = docs().routes("/api/docs", &service());
    let (page, mut total) = fetch(&router, "/api/docs").await;
    let mut known = BTreeSet::new();
    let mut open = vec![page];
    while let Some(text) = open.pop() {
        let quoted = text.split(['"', '\'']);
        let names = quoted.filter_map(|word| word.strip_prefix("./").or_else(|| word.strip_prefix("docs/")));
        for name in names.filter(|name| name.ends_with(".js") || name.ends_with(".css") || name.ends_with(".svg")) {
            if known.insert(name.to_owned()) {
                let (file, bytes) = fetch(&router, &format!("/api/docs/{name}")).await;
                total += bytes;
                open.push(file);
            }
        }
    }
    assert!(known.len() > 8, "{known:?}");
    assert!(total < 150_000, "{total} bytes in {} files", known.len() + 1);
}

#[tokio::test]
async fn a_compressed_document_is_the_same_document_under_another_tag() {
    let router: fastws::axum::Router = docs().routes("/docs", &service());
    let (text, bytes) = fetch(&router, "/docs.json").await;
    assert_eq!(text, docs().json(&service()));
    assert!(bytes < text.len() / 4, "{bytes} of {}", text.len());
    let tag = |encoding: &'static str| {
        let request = Request::builder().uri("/docs.json").header("accept-encoding", encoding);
        let request = request.body(Body::empty()).expect("a request");
        let router = router.clone();
        async move { router.oneshot(request).await.expect("an answer").headers()["etag"].clone() }
    };
    assert_ne!(tag("gzip").await, tag("identity").await);
    assert_eq!(tag("gzip;q=0").await, tag("identity").await);
}

#[test]
fn topics_keep_their_text_under_a_prefix() {
    let document = docs().document(&service());
    let subscribe = &document["components"]["messages"]["v1.balance.subscribe"];
    assert_eq!(subscribe["x-topic"], "balance:{account}");
    assert_eq!(subscribe["x-updates"], json!(["v1.balance.update"]));
    let update = &document["components"]["messages"]["v1.balance.update"]["examples"][0]["payload"];
    assert_eq!(update["topic"], "balance:7");
}

#[tokio::test(start_paused = true)]
async fn the_document_is_true() {
    fastws::testing::assert_documented(&service()).await;
}

/// The clients up to their runtimes, which are files of their own already. `UPDATE_GOLDEN=1 cargo test` writes them anew.
#[test]
fn the_clients_are_the_reviewed_ones() {
    let contract = docs().contract(&service());
    for (name, client, mark) in [
        ("orders-client.ts", client::typescript(&contract), "// -------- The runtime"),
        ("orders-client.py", client::python(&contract), "# The runtime"),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
        let (client, runtime) = client.split_once(mark).expect("a runtime");
        assert!(runtime.len() > 10_000, "{name} has its runtime");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, client).expect("written");
        }
        let reviewed = std::fs::read_to_string(&path).expect("the reviewed client");
        assert!(client == reviewed, "{} is not what the service says today", path.display());
    }
}
