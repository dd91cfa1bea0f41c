//! A live trading API on fastws: bars and quotes over one documented WebSocket, and the same market over REST.
//!
//! ```text
//! upstream (venues) → market → datafeed (topics) → clients
//!                            → http (REST)       → clients
//! ```

pub mod config;
pub mod datafeed;
mod http;
pub mod market;
pub mod notices;
pub mod session;
pub mod upstream;

use std::net::SocketAddr;
use std::time::Duration;

use fastws::{AsyncApi, BuildError, FastWs};

use crate::market::Market;
use crate::upstream::Monitor;

/// This is the assembled application.
#[derive(Clone, Debug)]
pub struct App {
    /// The WebSocket service.
    pub ws: FastWs,
    /// Everything that is served: REST, the WebSocket and its documents.
    pub router: axum::Router,
}

/// How long a client may be silent, as seed and FastWS have it.
pub const HEARTBEAT: Duration = Duration::from_secs(30);
/// How long a connection may live.
pub const LIFESPAN: Duration = Duration::from_secs(3600);
/// Where the WebSocket is.
pub const WEBSOCKET_PATH: &str = "/api/v1/ws";
/// Where its docs page is; the documents are at the same path with `.json` and `.yaml`.
pub const DOCS_PATH: &str = "/api/v1/ws/asyncapi";

/// Assembles the application over a market. `venue` tells how the prices' source is doing; `address` is where the
/// application listens, for the documents.
///
/// # Errors
/// What keeps the service from starting; none of it depends on the configuration.
pub fn app(market: &Market, venue: Monitor, address: SocketAddr) -> Result<App, BuildError> {
    let ws = service(market)?;
    let router = axum::Router::new()
        .route(WEBSOCKET_PATH, ws.route())
        .route("/ws", ws.route())
        .merge(docs(address).routes(DOCS_PATH, &ws))
        .merge(http::routes(market, venue));
    Ok(App { ws, router })
}

/// Assembles the WebSocket service alone.
///
/// # Errors
/// As [`app`].
pub fn service(market: &Market) -> Result<FastWs, BuildError> {
    FastWs::builder().heartbeat(HEARTBEAT).lifespan(LIFESPAN).state(market.clone()).build()
}

/// Describes the service that listens on `address`.
pub fn docs(address: SocketAddr) -> AsyncApi {
    let host =
        if address.ip().is_unspecified() { format!("localhost:{}", address.port()) } else { address.to_string() };
    AsyncApi::new("Trading WebSockets", env!("CARGO_PKG_VERSION"))
        .description(include_str!("description.md"))
        .contact("fastws", "https://example.com/fastws", "fastws@example.com")
        .license("MIT OR Apache-2.0", "https://spdx.org/licenses/MIT.html")
        .server("local", format!("ws://{host}{WEBSOCKET_PATH}"))
        .tag("bars", "Open, high, low, close and volume of intervals.")
        .tag("quotes", "The last price with the best bid and ask.")
        .tag("alerts", "Warnings about the market and news about this server.")
        .tag("session", "About this connection and its subscriptions.")
}
