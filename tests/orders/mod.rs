//! A small service with one of everything, whose documents are reviewed, linted and held against it.

#![allow(unreachable_pub, reason = "a module of tests is nobody else's")]
#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::time::Duration;

use fastws::{AsyncApi, FastWs, OperationRouter, Params, Payload, Updates, payload, recv, send, topic};

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

/// The service.
pub fn service() -> FastWs {
    let router =
        OperationRouter::new().tags(["orders"]).add::<place>().add::<cancel_all>().add::<filled>().add::<balance>();
    FastWs::builder()
        .include(OperationRouter::new().prefix("v1.").include(router))
        .heartbeat(Duration::from_millis(12_500))
        .lifespan(Duration::from_secs(60))
        .build()
        .expect("a service")
}

/// Its description.
pub fn docs() -> AsyncApi {
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
