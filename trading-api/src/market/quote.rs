use std::sync::Arc;

use rust_decimal::Decimal;

use super::{Bar, Level};

/// This is the state of one instrument in a line: last price, best bid and ask, and the day so far.
///
/// The day is the UTC day that `time` falls into, as far as this market has seen it: a market that
/// began at noon knows no morning. `change` counts from the day's first price. On a day without a
/// trade the last known price stands for open, high and low.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    /// The instrument's symbol.
    pub symbol: Arc<str>,
    /// The time of the newest trade or change of the best prices, in milliseconds since 1970, UTC.
    pub time: i64,
    /// The price of the last trade.
    pub last: Decimal,
    /// The highest price a buyer bids.
    pub bid: Option<Decimal>,
    /// The quantity bid at that price.
    pub bid_size: Option<Decimal>,
    /// The lowest price a seller asks.
    pub ask: Option<Decimal>,
    /// The quantity asked at that price.
    pub ask_size: Option<Decimal>,
    /// The day's first price.
    pub open: Decimal,
    /// The day's highest price.
    pub high: Decimal,
    /// The day's lowest price.
    pub low: Decimal,
    /// `last` less `open`.
    pub change: Decimal,
    /// `change` in percent of `open`: 1.5 means one and a half percent.
    pub change_percent: Decimal,
    /// The day's traded quantity.
    pub volume: Decimal,
}

impl Quote {
    pub(super) fn new(
        symbol: Arc<str>,
        time: i64,
        last: Decimal,
        (bid, ask): (Option<Level>, Option<Level>),
        day: Option<&Bar>,
    ) -> Self {
        let open = day.map_or(last, |day| day.open);
        let change = last.saturating_sub(open);
        Self {
            symbol,
            time,
            last,
            bid: bid.map(|level| level.price),
            bid_size: bid.map(|level| level.quantity),
            ask: ask.map(|level| level.price),
            ask_size: ask.map(|level| level.quantity),
            open,
            high: day.map_or(last, |day| day.high),
            low: day.map_or(last, |day| day.low),
            change,
            change_percent: change.saturating_mul(Decimal::ONE_HUNDRED).checked_div(open).unwrap_or_default(),
            volume: day.map_or(Decimal::ZERO, |day| day.volume),
        }
    }
}
