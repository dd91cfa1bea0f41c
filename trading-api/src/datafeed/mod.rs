//! Public topics, one file each. They read from the market and never see a venue.

pub mod bars;
pub mod quotes;

use fastws::Error;
use rust_decimal::Decimal;

use crate::market::UnknownSymbol;

/// What clients are told about a symbol that no venue lists.
pub(crate) fn unknown_symbol(unknown: &UnknownSymbol) -> Error {
    Error::new("unknown_symbol", unknown.to_string()).permanent()
}

/// A symbol as the market calls it: Bitfinex writes `tBTCUSD` for `BTCUSD`.
pub(crate) fn canonical(symbol: &str) -> &str {
    let is_bare = |bare: &&str| {
        !bare.is_empty() && bare.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == ':')
    };
    symbol.strip_prefix('t').filter(is_bare).unwrap_or(symbol)
}

/// A decimal as the nearest JSON number.
///
/// By way of its text, since `Decimal::to_f64` may be off in the last digit.
pub(crate) fn number(decimal: Decimal) -> f64 {
    decimal.to_string().parse().expect("a decimal's text is a number")
}
