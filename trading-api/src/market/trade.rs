use std::sync::Arc;

use rust_decimal::Decimal;

/// This is one trade, seen from the side of its taker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trade {
    /// The instrument's symbol, for example `BTCUSD`.
    pub symbol: Arc<str>,
    /// The venue's number of the trade, ascending per symbol.
    pub id: u64,
    /// When it happened, in milliseconds since 1970, UTC.
    pub time: i64,
    /// The price in the quote currency.
    pub price: Decimal,
    /// The quantity in the base currency or in shares, above zero.
    pub quantity: Decimal,
    /// What the taker did.
    pub side: Side,
}

/// This is the direction of a trade or an order; in a book, buyers are the bids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// Buying; the bids of a book.
    Buy,
    /// Selling; the asks of a book.
    Sell,
}
