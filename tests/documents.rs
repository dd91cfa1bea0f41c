//! The AsyncAPI document of a small service, reviewed once and kept.

use std::path::Path;
use std::time::Duration;

use fastws::{AsyncApi, FastWs, OperationRouter, Params, Payload, Updates, payload, recv, send, topic};
use serde_json::json;

/// An order, as a client places it.
#[payload]
struct Order {
    /// What to trade.
    #[garde(length(min = 1, max = 16), pattern("^[A-Z]+$"))]
    #[schemars(example = &"AAPL")]
    symbol: String,
    /// Which way.
    side: Side,
    /// How much.
    #[garde(range(min = 0.01))]
    quantity: f64,
    /// The worst price to accept; the market's if there is none.
    limit: Option<f64>,
    /// Words for the log.
    #[serde(default)]
    notes: Vec<Note>,
}

/// Which way an order goes.
#[payload]
#[serde(rename_all = "snake_case")]
enum Side {
    Buy,
    /// Short sales are refused.
    Sell,
}

/// A word for the log, and what was said before.
#[payload]
struct Note {
    text: String,
    before: Option<Box<Note>>,
}

/// Places an `order`.
///
/// It is *not* idempotent.
#[send("orders.place", reply = "orders.placed", example = {"symbol": "AAPL", "side": "buy", "quantity": 1.5})]
async fn place(Payload(order): Payload<Order>) -> Order {
    order
}

/// Cancels everything.
#[deprecated]
#[send("orders.cancel_all", tags = ["danger"])]
async fn cancel_all() {}

/// A fill, for those who wait for one.
#[recv("orders.filled")]
fn filled(order: Order) -> Order {
    order
}

/// Names one account's balance.
#[payload]
struct Account {
    /// The account.
    #[schemars(example = 7)]
    account: u32,
}

/// The balance of an account, in dollars.
#[topic("balance:{account}", tags = ["accounts"])]
async fn balance(Params(_): Params<Account>, updates: Updates<f64>) {
    updates.snapshot(100.0);
    std::future::pending::<()>().await;
}

fn service() -> FastWs {
    let router =
        OperationRouter::new().tags(["orders"]).add::<place>().add::<cancel_all>().add::<filled>().add::<balance>();
    FastWs::builder()
        .include(OperationRouter::new().prefix("v1.").include(router))
        .heartbeat(Duration::from_millis(12_500))
        .lifespan(Duration::from_secs(60))
        .build()
        .expect("a service")
}

fn docs() -> AsyncApi {
    AsyncApi::new("Orders", "2.0.0")
        .id("urn:example:orders")
        .description("Orders and balances.")
        .contact("Desk", "https://example.com/desk", "desk@example.com")
        .license("MIT", "https://spdx.org/licenses/MIT.html")
        .terms_of_service("https://example.com/terms")
        .external_docs("Guide", "https://example.com/guide")
        .server("production", "wss://api.example.com/v1/ws")
        .server("local", "ws://localhost:8000/v1/ws")
        .tag("orders", "Buying and selling.")
        .tag("unused", "Nobody carries this.")
}

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
