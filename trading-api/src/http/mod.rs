//! REST beside the socket: what this is, how it is, and the market as it stands.

mod books;
mod udf;

use axum::Router;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, extract::Path};
use serde_json::{Value, json};

use crate::market::{Market, UnknownSymbol};
use crate::upstream::{Monitor, Phase};
use crate::{DOCS_PATH, WEBSOCKET_PATH};

/// All REST routes.
pub(crate) fn routes(market: &Market, venue: Monitor) -> Router {
    Router::new()
        .route("/", get(home))
        .route("/assets/{file}", get(asset))
        .route("/api/v1/health", get(move || std::future::ready(health(&venue))))
        .route("/api/v1/version", get(version))
        .route("/api/v1/versions", get(versions))
        .merge(books::routes())
        .nest("/api/v1/datafeed", udf::routes())
        .fallback(nothing_here)
        .with_state(market.clone())
}

/// Everything from this server, nothing inline.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A page for browsers, and for programs the same links as JSON.
async fn home(headers: HeaderMap) -> Response {
    let wants_page =
        headers.get(header::ACCEPT).is_some_and(|kinds| kinds.to_str().is_ok_and(|kinds| kinds.contains("text/html")));
    if !wants_page {
        return Json(status("a live trading API: bars and quotes over one WebSocket")).into_response();
    }
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::VARY, "accept"),
    ];
    (headers, include_str!("../assets/home.html")).into_response()
}

async fn asset(Path(file): Path<String>) -> Response {
    let (kind, content) = match file.as_str() {
        "home.css" => ("text/css; charset=utf-8", include_str!("../assets/home.css")),
        "home.js" => ("text/javascript; charset=utf-8", include_str!("../assets/home.js")),
        _ => return nothing_here().await,
    };
    ([(header::CONTENT_TYPE, kind), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")], content).into_response()
}

/// How the server is, and its source of prices: `live`, or `ended` when prices no longer change.
fn health(venue: &Monitor) -> Json<Value> {
    let seen = venue.status();
    let phase = match seen.phase {
        Phase::Starting => "starting",
        Phase::Live => "live",
        Phase::Ended => "ended",
    };
    let mut answer = status("the trading API is running");
    answer["venue"] =
        json!({ "phase": phase, "messages": seen.messages, "events": seen.events, "broken": seen.broken });
    Json(answer)
}

async fn version() -> Json<Value> {
    Json(status("version 1 of the API is current"))
}

async fn versions() -> Json<Value> {
    let current =
        json!({ "version": "v1", "release": env!("CARGO_PKG_VERSION"), "status": "current", "path": "/api/v1" });
    let mut answer = status("there is one version");
    answer["current"] = "v1".into();
    answer["versions"] = json!([current]);
    Json(answer)
}

fn status(message: &str) -> Value {
    json!({
        "status": "ok",
        "message": message,
        "timestamp": jiff::Timestamp::now().to_string(),
        "version": env!("CARGO_PKG_VERSION"),
        "api_version": "v1",
        "links": {
            "websocket": WEBSOCKET_PATH,
            "documentation": DOCS_PATH,
            "document": format!("{DOCS_PATH}.json"),
            "datafeed": "/api/v1/datafeed/config",
            "health": "/api/v1/health",
        },
    })
}

async fn nothing_here() -> Response {
    Refusal::new(StatusCode::NOT_FOUND, "not_found", "there is nothing here; / lists what there is").into_response()
}

/// This is an error as REST clients get it: a status, and JSON with a code and a message.
struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Refusal {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(json!({ "code": self.code, "message": self.message }))).into_response()
    }
}

impl From<UnknownSymbol> for Refusal {
    fn from(unknown: UnknownSymbol) -> Self {
        Self::new(StatusCode::NOT_FOUND, "unknown_symbol", unknown.to_string())
    }
}

/// A query parameter that is a count: its default when absent, an error that names it when it is none or too large.
fn count(name: &str, text: Option<&String>, default: usize, most: usize) -> Result<usize, Refusal> {
    let Some(text) = text else { return Ok(default) };
    text.parse().ok().filter(|count| (1..=most).contains(count)).ok_or_else(|| {
        let message = format!("`{name}` is `{text}`, want a number from 1 to {most}");
        Refusal::new(StatusCode::BAD_REQUEST, "invalid_parameter", message)
    })
}
