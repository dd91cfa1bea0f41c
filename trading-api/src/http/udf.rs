//! TradingView's Universal Data Feed: what its stock adapter asks for over HTTP.
//!
//! The adapter reads the body whatever the status, so failures are 200 with `"s": "error"`.
//! Source: <https://www.tradingview.com/charting-library-docs/latest/connecting_data/UDF>.

use std::collections::HashMap;

use axum::extract::{Query, State};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::datafeed::number;
use crate::datafeed::quotes::Quote;
use crate::market::{Instrument, InstrumentKind, Market, Resolution};

type Parameters = Query<HashMap<String, String>>;

pub(super) fn routes() -> Router<Market> {
    Router::new()
        .route("/config", get(config))
        .route("/time", get(time))
        .route("/symbols", get(symbols))
        .route("/search", get(search))
        .route("/history", get(history))
        .route("/quotes", get(quotes))
}

async fn config(State(market): State<Market>) -> Json<Value> {
    let mut exchanges = vec![json!({ "value": "", "name": "All Exchanges", "desc": "" })];
    let mut names: Vec<_> = market.instruments().into_iter().map(|instrument| instrument.exchange).collect();
    names.sort();
    names.dedup();
    exchanges.extend(names.iter().map(|name| json!({ "value": name, "name": name, "desc": name })));
    Json(json!({
        "supports_search": true,
        "supports_group_request": false,
        "supports_marks": false,
        "supports_timescale_marks": false,
        "supports_time": true,
        "exchanges": exchanges,
        "symbols_types": [
            { "name": "All types", "value": "" },
            { "name": "Stock", "value": "stock" },
            { "name": "Crypto", "value": "crypto" },
        ],
        "supported_resolutions": resolutions(),
    }))
}

async fn time() -> String {
    jiff::Timestamp::now().as_second().to_string()
}

async fn symbols(State(market): State<Market>, Query(parameters): Parameters) -> Json<Value> {
    let Some(symbol) = parameters.get("symbol") else { return error("the parameter `symbol` is missing") };
    match find(&market, symbol) {
        Some(instrument) => Json(symbol_info(&instrument)),
        None => error("unknown_symbol"),
    }
}

fn symbol_info(instrument: &Instrument) -> Value {
    let symbol = instrument.symbol.as_ref();
    json!({
        "name": symbol,
        "ticker": symbol,
        "full_name": format!("{}:{symbol}", instrument.exchange),
        "description": instrument.description,
        "type": kind(instrument),
        "session": instrument.session,
        "timezone": "Etc/UTC",
        "exchange": instrument.exchange,
        "listed_exchange": instrument.exchange,
        "format": "price",
        "minmov": 1,
        "pricescale": 10_u64.pow(instrument.price_scale.min(MAX_SCALE)),
        "volume_precision": instrument.quantity_scale,
        "has_intraday": true,
        "has_daily": true,
        "has_weekly_and_monthly": true,
        "intraday_multipliers": ["1", "5", "15", "30", "60", "240"],
        "supported_resolutions": resolutions(),
        "data_status": "streaming",
    })
}

/// Ten to this power still is a number in JavaScript.
const MAX_SCALE: u32 = 15;

async fn search(State(market): State<Market>, Query(parameters): Parameters) -> Json<Value> {
    let wanted = |name: &str| parameters.get(name).map(|text| text.to_uppercase()).unwrap_or_default();
    let (query, exchange, kind_wanted) = (wanted("query"), wanted("exchange"), wanted("type"));
    let limit = parameters.get("limit").and_then(|limit| limit.parse().ok()).unwrap_or(DEFAULT_FOUND);
    let matches = |instrument: &Instrument| {
        (instrument.symbol.to_uppercase().contains(&query) || instrument.description.to_uppercase().contains(&query))
            && (exchange.is_empty() || instrument.exchange.to_uppercase() == exchange)
            && (kind_wanted.is_empty() || kind(instrument).to_uppercase() == kind_wanted)
    };
    let found: Vec<Value> = market
        .instruments()
        .iter()
        .filter(|instrument| matches(instrument))
        .take(limit)
        .map(|instrument| {
            let symbol = instrument.symbol.as_ref();
            json!({
                "symbol": symbol,
                "full_name": format!("{}:{symbol}", instrument.exchange),
                "description": instrument.description,
                "exchange": instrument.exchange,
                "ticker": symbol,
                "type": kind(instrument),
            })
        })
        .collect();
    Json(found.into())
}

const DEFAULT_FOUND: usize = 30;

/// `from` and `to` are seconds, `to` is exclusive; `countback` wins over `from`.
async fn history(State(market): State<Market>, Query(parameters): Parameters) -> Json<Value> {
    match read_history(&market, &parameters) {
        Ok(answer) => Json(answer),
        Err(message) => error(&message),
    }
}

fn read_history(market: &Market, parameters: &HashMap<String, String>) -> Result<Value, String> {
    let text = |name: &str| parameters.get(name).ok_or_else(|| format!("the parameter `{name}` is missing"));
    let seconds = |name: &str| -> Result<i64, String> {
        let text = text(name)?;
        let wrong = || format!("`{name}` is `{text}`, want seconds since 1970");
        text.parse::<i64>().ok().and_then(|seconds| seconds.checked_mul(1000)).ok_or_else(wrong)
    };
    let instrument = find(market, text("symbol")?).ok_or("unknown_symbol")?;
    let resolution: Resolution = text("resolution")?.parse().map_err(|unknown| format!("{unknown}"))?;
    let to = seconds("to")?;
    let countback = match parameters.get("countback") {
        None => None,
        Some(count) => Some(count.parse().map_err(|_| format!("`countback` is `{count}`, want a number of bars"))?),
    };
    let from = if countback.is_some() && !parameters.contains_key("from") { 0 } else { seconds("from")? };
    let history = |from, to, count| {
        market.bar_history(&instrument.symbol, resolution, from, to, count).map_err(|unknown| unknown.to_string())
    };
    let bars = history(from, to, countback)?;
    if bars.is_empty() {
        let earlier = history(i64::MIN, from, Some(1))?;
        let mut answer = json!({ "s": "no_data" });
        if let Some(bar) = earlier.last() {
            answer["nextTime"] = (bar.time / 1000).into();
        }
        return Ok(answer);
    }
    let column = |value: fn(&crate::market::Bar) -> Value| -> Value { bars.iter().map(value).collect() };
    Ok(json!({
        "s": "ok",
        "t": column(|bar| (bar.time / 1000).into()),
        "o": column(|bar| number(bar.open).into()),
        "h": column(|bar| number(bar.high).into()),
        "l": column(|bar| number(bar.low).into()),
        "c": column(|bar| number(bar.close).into()),
        "v": column(|bar| number(bar.volume).into()),
    }))
}

async fn quotes(State(market): State<Market>, Query(parameters): Parameters) -> Json<Value> {
    let Some(symbols) = parameters.get("symbols") else { return error("the parameter `symbols` is missing") };
    let quotes: Vec<Value> = symbols.split(',').map(|symbol| quote(&market, symbol.trim())).collect();
    Json(json!({ "s": "ok", "d": quotes }))
}

fn quote(market: &Market, symbol: &str) -> Value {
    let Some(instrument) = find(market, symbol) else {
        return json!({ "s": "error", "n": symbol, "v": {}, "errmsg": "unknown_symbol" });
    };
    match market.last_quote(&instrument.symbol) {
        Ok(Some(quote)) => json!({ "s": "ok", "n": symbol, "v": Quote::of(&quote, &instrument) }),
        _ => json!({ "s": "error", "n": symbol, "v": {}, "errmsg": "no price yet" }),
    }
}

/// The adapter asks for `NASDAQ:AAPL` as well as for `AAPL`.
fn find(market: &Market, symbol: &str) -> Option<Instrument> {
    let bare = || symbol.split_once(':').and_then(|(_, bare)| market.instrument(bare).ok());
    market.instrument(symbol).ok().or_else(bare)
}

fn kind(instrument: &Instrument) -> &'static str {
    match instrument.kind {
        InstrumentKind::Stock => "stock",
        InstrumentKind::Crypto => "crypto",
    }
}

/// The adapter writes days and weeks with their number.
fn resolutions() -> Vec<String> {
    let with_number = |name: String| if name.starts_with(['D', 'W']) { format!("1{name}") } else { name };
    Resolution::ALL.iter().map(|resolution| with_number(resolution.to_string())).collect()
}

fn error(message: &str) -> Json<Value> {
    Json(json!({ "s": "error", "errmsg": message }))
}
