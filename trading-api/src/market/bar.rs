use std::collections::{BTreeMap, btree_map::Entry};

use rust_decimal::Decimal;

use super::{Resolution, Trade};

/// This is what trading did in one stretch of time: first, highest, lowest and last price, and how
/// much changed hands.
///
/// Prices are exact. A bar says nothing about its length; its [`Resolution`] goes beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bar {
    /// The start of the bar, in milliseconds since 1970, UTC.
    pub time: i64,
    /// The first price.
    pub open: Decimal,
    /// The highest price.
    pub high: Decimal,
    /// The lowest price.
    pub low: Decimal,
    /// The last price.
    pub close: Decimal,
    /// The sum of the traded quantities.
    pub volume: Decimal,
}

impl Bar {
    /// The bar at `resolution` of one trade alone.
    pub fn of(trade: &Trade, resolution: Resolution) -> Self {
        Self {
            time: resolution.bucket(trade.time),
            open: trade.price,
            high: trade.price,
            low: trade.price,
            close: trade.price,
            volume: trade.quantity,
        }
    }

    /// Takes in a later bar, as when a minute joins its hour; the start stays.
    pub fn absorb(&mut self, later: &Self) {
        self.high = self.high.max(later.high);
        self.low = self.low.min(later.low);
        self.close = later.close;
        // A venue's nonsense must not bring the market down: the sum stops at the largest number.
        self.volume = self.volume.saturating_add(later.volume);
    }
}

/// The bars of one symbol at one resolution, the oldest forgotten first. Where nothing was traded
/// there is no bar.
#[derive(Debug)]
pub(super) struct Series {
    resolution: Resolution,
    limit: usize,
    bars: BTreeMap<i64, Bar>,
}

impl Series {
    pub(super) fn new(resolution: Resolution, limit: usize) -> Self {
        Self { resolution, limit, bars: BTreeMap::new() }
    }

    /// Folds a bar of this or a finer resolution into the bar it belongs to.
    pub(super) fn add(&mut self, bar: Bar) {
        let time = self.resolution.bucket(bar.time);
        match self.bars.entry(time) {
            Entry::Occupied(mut known) => known.get_mut().absorb(&bar),
            Entry::Vacant(place) => {
                place.insert(Bar { time, ..bar });
            }
        }
        if self.bars.len() > self.limit {
            self.bars.pop_first();
        }
    }

    pub(super) fn last(&self) -> Option<&Bar> {
        self.bars.last_key_value().map(|(_, bar)| bar)
    }

    /// The bars that start at `from` or later, ascending.
    pub(super) fn since(&self, from: i64) -> impl Iterator<Item = &Bar> {
        self.bars.range(from..).map(|(_, bar)| bar)
    }

    /// The bars that start before `to`, descending.
    pub(super) fn before(&self, to: i64) -> impl Iterator<Item = &Bar> {
        self.bars.range(..to).rev().map(|(_, bar)| bar)
    }
}
