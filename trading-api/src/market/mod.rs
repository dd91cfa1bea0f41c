//! The domain: instruments, bars, quotes, trades and order books, and the market that holds them.
//!
//! Knows no WebSocket, no wire format and no exchange. A [`Market`] stands between those who bring
//! prices and those who want them:
//!
//! ```text
//! venue → Publisher → Market → bars, quotes, trades, books (as they change)
//!                            → bar_history, last_quote, recent_trades, book (as they are)
//! ```
//!
//! Numbers are exact decimals, times are milliseconds since 1970, UTC.
//!
//! ```
//! use rust_decimal::Decimal;
//! use trading_api::market::{Instrument, Market, Resolution, Side, Trade};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), trading_api::market::UnknownSymbol> {
//! let market = Market::default();
//! let bitcoin = market.list(Instrument::crypto("BTCUSD", "BITFINEX"));
//! let mut bars = market.bars("BTCUSD", Resolution::OneMinute)?;
//!
//! bitcoin.trade(Trade {
//!     symbol: bitcoin.symbol().clone(),
//!     id: 1,
//!     time: 1_542_045_968_922,
//!     price: Decimal::new(64_431, 1),
//!     quantity: Decimal::new(1, 2),
//!     side: Side::Buy,
//! });
//!
//! let bar = bars.next().await.expect("the market is still here");
//! assert_eq!((bar.time, bar.close), (1_542_045_960_000, Decimal::new(64_431, 1)));
//! # Ok(())
//! # }
//! ```

mod bar;
mod instrument;
mod listing;
mod order_book;
mod publisher;
mod quote;
mod resolution;
mod trade;
mod updates;

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

pub use bar::Bar;
pub use instrument::{Instrument, InstrumentKind, UnknownSymbol};
pub use order_book::{BookTop, Level, OrderBook};
pub use publisher::Publisher;
pub use quote::Quote;
pub use resolution::{Resolution, UnknownResolution};
pub use trade::{Side, Trade};
pub use updates::{BarUpdates, BookUpdates, QuoteUpdates, TradeUpdates};

use listing::Listing;

/// This is everything known about all instruments; a handle, cheap to clone and shared by clones.
///
/// Venues write through a [`Publisher`] per instrument, anyone reads. Each instrument has a lock of
/// its own, held for a look or a change and never across an await. What is remembered is bounded by
/// [`Limits`]. A market outlives its venues: after a replay has ended all stays readable.
///
/// Symbols are matched as written; `tBTCUSD`, as Bitfinex writes it, means `BTCUSD` too.
#[derive(Debug, Clone, Default)]
pub struct Market {
    shared: Arc<Shared>,
}

impl Market {
    /// An empty market that remembers as much as `limits` allow.
    pub fn new(limits: Limits) -> Self {
        Self { shared: Arc::new(Shared { limits, listings: RwLock::default() }) }
    }

    /// Lists an instrument and gives out the pen for its prices. When its symbol is listed already,
    /// the first description stays and another pen for it is given out.
    pub fn list(&self, instrument: Instrument) -> Publisher {
        let mut listings = self.shared.listings.write().unwrap_or_else(PoisonError::into_inner);
        let listing = listings
            .entry(instrument.symbol.clone())
            .or_insert_with(|| Arc::new(Listing::new(instrument, self.shared.limits)));
        Publisher::new(listing.clone())
    }

    /// All instruments, sorted by symbol.
    pub fn instruments(&self) -> Vec<Instrument> {
        let listings = self.shared.listings.read().unwrap_or_else(PoisonError::into_inner);
        listings.values().map(|listing| listing.instrument.clone()).collect()
    }

    /// The instrument of this symbol.
    pub fn instrument(&self, symbol: &str) -> Result<Instrument, UnknownSymbol> {
        Ok(self.listing(symbol)?.instrument.clone())
    }

    /// Bars as they change, the one under way first.
    pub fn bars(&self, symbol: &str, resolution: Resolution) -> Result<BarUpdates, UnknownSymbol> {
        Ok(BarUpdates::new(&self.listing(symbol)?, resolution))
    }

    /// Quotes as they change, the present one first.
    pub fn quotes(&self, symbol: &str) -> Result<QuoteUpdates, UnknownSymbol> {
        Ok(QuoteUpdates::new(&self.listing(symbol)?))
    }

    /// Trades as they happen, from now on.
    pub fn trades(&self, symbol: &str) -> Result<TradeUpdates, UnknownSymbol> {
        Ok(TradeUpdates::new(&self.listing(symbol)?))
    }

    /// The best `depth` levels of the book as they change, the present ones first.
    pub fn books(&self, symbol: &str, depth: usize) -> Result<BookUpdates, UnknownSymbol> {
        Ok(BookUpdates::new(&self.listing(symbol)?, depth))
    }

    /// Bars that start at `from` or later and before `to`, ascending, the one under way included.
    ///
    /// With a `count`, the newest so many before `to`, whatever `from` says: charts ask for a number
    /// of bars and cannot know how far back these reach.
    pub fn bar_history(
        &self,
        symbol: &str,
        resolution: Resolution,
        from: i64,
        to: i64,
        count: Option<usize>,
    ) -> Result<Vec<Bar>, UnknownSymbol> {
        let listing = self.listing(symbol)?;
        let (from, count) = count.map_or((from, usize::MAX), |count| (i64::MIN, count));
        let mut bars: Vec<_> = {
            let state = listing.lock();
            let newest_first = state.series(resolution).before(to);
            newest_first.take_while(|bar| bar.time >= from).take(count).copied().collect()
        };
        bars.reverse();
        Ok(bars)
    }

    /// The newest `limit` trades, ascending.
    pub fn recent_trades(&self, symbol: &str, limit: usize) -> Result<Vec<Trade>, UnknownSymbol> {
        Ok(self.listing(symbol)?.lock().recent_trades(limit).cloned().collect())
    }

    /// The best `depth` levels of the book; empty before the venue has sent one.
    pub fn book(&self, symbol: &str, depth: usize) -> Result<BookTop, UnknownSymbol> {
        Ok(self.listing(symbol)?.lock().book.top(depth))
    }

    /// The present quote; none before the first price is known.
    pub fn last_quote(&self, symbol: &str) -> Result<Option<Quote>, UnknownSymbol> {
        Ok(self.listing(symbol)?.lock().quote())
    }

    fn listing(&self, symbol: &str) -> Result<Arc<Listing>, UnknownSymbol> {
        let listings = self.shared.listings.read().unwrap_or_else(PoisonError::into_inner);
        listings
            .get(symbol)
            .or_else(|| listings.get(without_bitfinex_prefix(symbol)?))
            .cloned()
            .ok_or_else(|| UnknownSymbol::among(symbol, listings.keys()))
    }
}

/// This is how much a market remembers, per symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bars of each resolution: 10,080, a week of minutes.
    pub bars: usize,
    /// Trades: 1,000.
    pub trades: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bars: 10_080, trades: 1_000 }
    }
}

#[derive(Debug, Default)]
struct Shared {
    limits: Limits,
    listings: RwLock<BTreeMap<Arc<str>, Arc<Listing>>>,
}

/// `BTCUSD` for `tBTCUSD`; nothing for a symbol that only happens to begin with a t.
fn without_bitfinex_prefix(symbol: &str) -> Option<&str> {
    symbol.strip_prefix('t').filter(|pair| !pair.chars().any(char::is_lowercase))
}
