//! Bars of one symbol at one resolution.

use fastws::{Params, Result, State, Updates, payload, topic};
use futures_util::FutureExt;

use super::{canonical, number, unknown_symbol};
use crate::market::{self, Market};

/// Selects one bar series.
#[payload]
#[serde(from = "BarsRequest")]
pub struct BarsSubscription {
    /// The instrument's symbol; `tBTCUSD` means `BTCUSD`.
    #[garde(length(min = 1, max = 32))]
    pub symbol: String,
    /// How long one bar is.
    pub resolution: Resolution,
}

/// Selects one bar series, in either of two spellings: the resolution beside the symbol, or within `params`. Beside the
/// symbol wins; without any it is one minute.
#[payload]
#[schemars(example = serde_json::json!({ "symbol": "AAPL", "resolution": "1" }))]
#[schemars(example = serde_json::json!({ "symbol": "BTCUSD", "params": { "resolution": "5" } }))]
pub struct BarsRequest {
    /// The instrument's symbol; `tBTCUSD` means `BTCUSD`.
    #[garde(length(min = 1, max = 32))]
    #[schemars(example = &"AAPL")]
    symbol: String,
    /// How long one bar is; one minute by default.
    #[serde(default)]
    resolution: Option<Resolution>,
    /// The other spelling.
    #[serde(default)]
    params: Option<BarsParams>,
}

/// The resolution in its other place.
#[payload]
#[derive(Default)]
pub struct BarsParams {
    /// How long one bar is; one minute by default.
    #[serde(default)]
    pub resolution: Option<Resolution>,
}

/// How long one bar is: minutes, or `D` for a day and `W` for a week that begins on Monday, in UTC. `1D` and `1W` are
/// understood too.
#[payload]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resolution {
    /// One minute.
    #[default]
    #[serde(rename = "1")]
    OneMinute,
    /// Five minutes.
    #[serde(rename = "5")]
    FiveMinutes,
    /// A quarter of an hour.
    #[serde(rename = "15")]
    FifteenMinutes,
    /// Half an hour.
    #[serde(rename = "30")]
    ThirtyMinutes,
    /// An hour.
    #[serde(rename = "60")]
    OneHour,
    /// Four hours.
    #[serde(rename = "240")]
    FourHours,
    /// A day.
    #[serde(rename = "D", alias = "1D")]
    Day,
    /// A week.
    #[serde(rename = "W", alias = "1W")]
    Week,
}

/// A bar: what trades did to the price within one interval.
#[payload]
#[schemars(example = serde_json::json!({
    "time": 1_700_000_000_000_i64, "open": 189.1, "high": 189.6, "low": 188.9, "close": 189.4, "volume": 120_345.0
}))]
pub struct Bar {
    /// When the interval begins, in milliseconds since the Unix epoch.
    pub time: i64,
    /// The first price.
    pub open: f64,
    /// The highest price.
    pub high: f64,
    /// The lowest price.
    pub low: f64,
    /// The last price.
    pub close: f64,
    /// How much was traded.
    pub volume: f64,
}

/// Bars of one symbol at one resolution.
///
/// The snapshot is the current bar. Every change of it follows: an update with the same `time` replaces the bar, a later
/// `time` begins the next one. There is no bar for an interval without trades.
#[topic("bars:{symbol}:{resolution}", tags = ["bars"])]
pub async fn bars(
    Params(wanted): Params<BarsSubscription>,
    State(market): State<Market>,
    updates: Updates<Bar>,
) -> Result<()> {
    let mut bars = market
        .bars(&wanted.symbol, wanted.resolution.into())
        .map_err(|unknown| unknown_symbol(&unknown).detail("/symbol", "no venue lists it"))?;
    let mut is_first = true;
    if let Some(Some(bar)) = bars.next().now_or_never() {
        updates.snapshot(bar.into());
        is_first = false;
    } else {
        updates.ready();
    }
    while let Some(bar) = bars.next().await {
        if std::mem::take(&mut is_first) { updates.snapshot(bar.into()) } else { updates.send(bar.into()) }
    }
    Ok(())
}

impl BarsSubscription {
    /// Selects the bars of `symbol`, of one minute if no resolution is given.
    pub fn new(symbol: &str, resolution: Option<Resolution>) -> Self {
        Self { symbol: canonical(symbol).to_owned(), resolution: resolution.unwrap_or_default() }
    }
}

impl From<BarsRequest> for BarsSubscription {
    fn from(request: BarsRequest) -> Self {
        let other = request.params.and_then(|params| params.resolution);
        Self::new(&request.symbol, request.resolution.or(other))
    }
}

impl From<market::Bar> for Bar {
    fn from(bar: market::Bar) -> Self {
        Self {
            time: bar.time,
            open: number(bar.open),
            high: number(bar.high),
            low: number(bar.low),
            close: number(bar.close),
            volume: number(bar.volume),
        }
    }
}

impl From<Resolution> for market::Resolution {
    fn from(resolution: Resolution) -> Self {
        match resolution {
            Resolution::OneMinute => Self::OneMinute,
            Resolution::FiveMinutes => Self::FiveMinutes,
            Resolution::FifteenMinutes => Self::FifteenMinutes,
            Resolution::ThirtyMinutes => Self::ThirtyMinutes,
            Resolution::OneHour => Self::OneHour,
            Resolution::FourHours => Self::FourHours,
            Resolution::Day => Self::Day,
            Resolution::Week => Self::Week,
        }
    }
}
