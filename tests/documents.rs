//! The AsyncAPI document of a small service, reviewed once and kept.

mod orders;

use std::path::Path;

use orders::{docs, service};
use serde_json::json;

/// Review the file as a page of the manual; `UPDATE_GOLDEN=1 cargo test` writes it anew.
#[test]
fn the_document_is_the_reviewed_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/orders-2.4.0.yaml");
    let document = docs().yaml(&service());
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &document).expect("written");
    }
    let reviewed = std::fs::read_to_string(&path).expect("the reviewed document");
    assert_eq!(document, reviewed, "see {}", path.display());
}

#[test]
fn two_builds_give_the_same_document() {
    assert_eq!(docs().json(&service()), docs().json(&service()));
}

#[test]
fn a_document_tells_what_is_deprecated_optional_and_without_payload() {
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
