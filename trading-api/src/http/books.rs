//! Order books and trades as they stand.

use std::collections::HashMap;

use axum::extract::{Path, Query, State};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::{Refusal, count};
use crate::datafeed::number;
use crate::market::{Level, Market, Side};

type Parameters = Query<HashMap<String, String>>;

pub(super) fn routes() -> Router<Market> {
    Router::new().route("/api/v1/orderbook/{symbol}", get(order_book)).route("/api/v1/trades/{symbol}", get(trades))
}

/// `?depth=`, 20 by default: that many levels a side, best first, each `[price, quantity]`.
async fn order_book(
    State(market): State<Market>,
    Path(symbol): Path<String>,
    Query(parameters): Parameters,
) -> Result<Json<Value>, Refusal> {
    let depth = count("depth", parameters.get("depth"), DEFAULT_DEPTH, MAX_DEPTH)?;
    let book = market.book(&symbol, depth)?;
    let levels = |levels: &[Level]| -> Value {
        levels.iter().map(|level| json!([number(level.price), number(level.quantity)])).collect()
    };
    let answer = json!({
        "symbol": book.symbol.as_ref(),
        "time": book.time,
        "sequence": book.sequence,
        "stale": book.stale,
        "bids": levels(&book.bids),
        "asks": levels(&book.asks),
    });
    Ok(Json(answer))
}

const DEFAULT_DEPTH: usize = 20;
const MAX_DEPTH: usize = 5000;

/// `?limit=`, 100 by default: the latest trades, oldest first.
async fn trades(
    State(market): State<Market>,
    Path(symbol): Path<String>,
    Query(parameters): Parameters,
) -> Result<Json<Value>, Refusal> {
    let limit = count("limit", parameters.get("limit"), DEFAULT_TRADES, MAX_TRADES)?;
    let trades = market.recent_trades(&symbol, limit)?;
    let name = market.instrument(&symbol)?.symbol;
    let listed: Vec<Value> = trades
        .iter()
        .map(|trade| {
            let side = match trade.side {
                Side::Buy => "buy",
                Side::Sell => "sell",
            };
            json!({
                "id": trade.id,
                "time": trade.time,
                "price": number(trade.price),
                "quantity": number(trade.quantity),
                "side": side,
            })
        })
        .collect();
    Ok(Json(json!({ "symbol": name.as_ref(), "trades": listed })))
}

const DEFAULT_TRADES: usize = 100;
const MAX_TRADES: usize = 1000;
