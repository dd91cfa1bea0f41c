use std::{collections::BTreeMap, sync::Arc};

use rust_decimal::Decimal;

use super::Side;

/// This is the book of one instrument: what is bid and asked, at which prices.
///
/// Levels are keyed by exact price, so `1.0` and `1.00` are one level. A level is replaced, never
/// summed; a quantity of zero takes it away. Venues keep a book and give it to the market; readers
/// get its best levels as a [`BookTop`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderBook {
    /// The instrument's symbol.
    pub symbol: Arc<str>,
    /// When it last changed, in milliseconds since 1970, UTC.
    pub time: i64,
    /// The venue's number of the last change, where the venue numbers them.
    pub sequence: Option<u64>,
    /// Whether changes were missed, so that it may be wrong until the venue sends a whole one.
    pub stale: bool,
    bids: BTreeMap<Decimal, Size>,
    asks: BTreeMap<Decimal, Size>,
}

impl OrderBook {
    /// An empty book.
    pub fn new(symbol: Arc<str>, time: i64, sequence: Option<u64>) -> Self {
        Self { symbol, time, sequence, stale: false, bids: BTreeMap::new(), asks: BTreeMap::new() }
    }

    /// Replaces the level at this price, or takes it away when the quantity is zero.
    pub fn set(&mut self, side: Side, level: Level) {
        let levels = self.side_mut(side);
        if level.quantity.is_zero() {
            levels.remove(&level.price);
        } else {
            levels.insert(level.price, Size { quantity: level.quantity, count: level.count });
        }
    }

    /// Takes the level at this price away and returns it.
    pub fn remove(&mut self, side: Side, price: Decimal) -> Option<Level> {
        self.side_mut(side).remove_entry(&price).map(|(price, size)| size.at(price))
    }

    /// The highest bid.
    pub fn best_bid(&self) -> Option<Level> {
        self.bids.last_key_value().map(|(price, size)| size.at(*price))
    }

    /// The lowest ask.
    pub fn best_ask(&self) -> Option<Level> {
        self.asks.first_key_value().map(|(price, size)| size.at(*price))
    }

    /// The levels of one side, the best first.
    pub fn levels(&self, side: Side) -> impl Iterator<Item = Level> {
        let (bids, asks) = match side {
            Side::Buy => (Some(self.bids.iter().rev()), None),
            Side::Sell => (None, Some(self.asks.iter())),
        };
        let best_first = bids.into_iter().flatten().chain(asks.into_iter().flatten());
        best_first.map(|(price, size)| size.at(*price))
    }

    /// The number of levels on one side.
    pub fn len(&self, side: Side) -> usize {
        self.side(side).len()
    }

    /// Whether there is no level at all.
    pub fn is_empty(&self) -> bool {
        self.bids.is_empty() && self.asks.is_empty()
    }

    /// The sum of all quantities on one side.
    pub fn sum(&self, side: Side) -> Decimal {
        self.side(side).values().fold(Decimal::ZERO, |sum, size| sum.saturating_add(size.quantity))
    }

    /// Whether somebody bids as much as another asks, which no matching venue lets stand.
    pub fn is_crossed(&self) -> bool {
        match (self.best_bid(), self.best_ask()) {
            (Some(bid), Some(ask)) => bid.price >= ask.price,
            _ => false,
        }
    }

    /// A copy of the best `depth` levels of each side.
    pub fn top(&self, depth: usize) -> BookTop {
        BookTop {
            symbol: self.symbol.clone(),
            time: self.time,
            bids: self.levels(Side::Buy).take(depth).collect(),
            asks: self.levels(Side::Sell).take(depth).collect(),
            sequence: self.sequence,
            stale: self.stale,
        }
    }

    fn side(&self, side: Side) -> &BTreeMap<Decimal, Size> {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }

    fn side_mut(&mut self, side: Side) -> &mut BTreeMap<Decimal, Size> {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }
}

/// This is all that waits at one price of a book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// The price in the quote currency.
    pub price: Decimal,
    /// The quantity in the base currency or in shares; zero removes the level.
    pub quantity: Decimal,
    /// The number of orders, where the venue tells it (Bitfinex does, Binance does not).
    pub count: Option<u32>,
}

impl Level {
    /// A level whose number of orders is unknown.
    pub fn new(price: Decimal, quantity: Decimal) -> Self {
        Self { price, quantity, count: None }
    }
}

/// This is the upper part of a book at one moment, always complete to its depth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BookTop {
    /// The instrument's symbol.
    pub symbol: Arc<str>,
    /// When the book last changed, in milliseconds since 1970, UTC.
    pub time: i64,
    /// The bids, the highest first.
    pub bids: Vec<Level>,
    /// The asks, the lowest first.
    pub asks: Vec<Level>,
    /// The venue's number of the last change, where the venue numbers them.
    pub sequence: Option<u64>,
    /// Whether changes were missed and the venue has not sent a whole book since.
    pub stale: bool,
}

/// What a book keeps per price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Size {
    quantity: Decimal,
    count: Option<u32>,
}

impl Size {
    fn at(self, price: Decimal) -> Level {
        Level { price, quantity: self.quantity, count: self.count }
    }
}
