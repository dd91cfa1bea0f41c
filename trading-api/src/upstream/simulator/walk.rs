use std::collections::BTreeMap;

use crate::market::{Resolution, Side};

/// One instrument's price and book, in whole ticks and lots, as they wander at random.
///
/// Nothing but integers and the seed go into it, so it is the same on every machine.
#[derive(Debug)]
pub(super) struct Walk {
    random: Random,
    middle: i64,
    /// The price is here, between the best bid and the best ask.
    at: i64,
    /// Lots per price in ticks.
    bids: BTreeMap<i64, i64>,
    asks: BTreeMap<i64, i64>,
    fills: u64,
    changes: Vec<(Side, i64, i64)>,
}

/// What one step did to the book, in order, and the trade that was part of it.
pub(super) struct Step<'a> {
    pub(super) fill: Option<Fill>,
    /// Side, ticks, lots.
    pub(super) changes: &'a [(Side, i64, i64)],
}

pub(super) struct Fill {
    pub(super) id: u64,
    pub(super) side: Side,
    pub(super) ticks: i64,
    pub(super) lots: i64,
}

/// A bar in ticks and lots.
#[derive(Clone, Copy)]
pub(super) struct Candle {
    pub(super) open: i64,
    pub(super) high: i64,
    pub(super) low: i64,
    pub(super) close: i64,
    pub(super) lots: i64,
}

impl Walk {
    pub(super) fn new(middle: i64, random: Random) -> Self {
        Self { random, middle, at: middle, bids: BTreeMap::new(), asks: BTreeMap::new(), fills: 0, changes: Vec::new() }
    }

    /// Whether this instrument takes part in the present tick: every other one by chance.
    pub(super) fn is_due(&mut self) -> bool {
        self.random.chance(2)
    }

    /// Moves the price a little, brings the book around it and perhaps trades.
    pub(super) fn step(&mut self) -> Step<'_> {
        self.changes.clear();
        self.drift((self.middle / 20_000).max(1), 20_000);
        let bid = self.at - self.random.up_to(2);
        let ask = self.at + 1 + self.random.up_to(2);
        self.shape(Side::Buy, bid, bid - LEVELS + 1..=bid);
        self.shape(Side::Sell, ask, ask..=ask + LEVELS - 1);
        let fill = self.random.chance(2).then(|| self.fill(bid, ask));
        Step { fill, changes: &self.changes }
    }

    /// A stretch of the past, in coarse steps.
    pub(super) fn bar(&mut self, resolution: Resolution) -> Candle {
        // How many steps, how wide, how strongly drawn back: a day goes about one percent, an hour
        // a quarter of that, a minute a thirtieth.
        let (steps, reach, pull) = match resolution {
            Resolution::OneMinute => (5, self.middle / 4_000, 1_000),
            Resolution::OneHour => (6, self.middle / 500, 400),
            _ => (8, self.middle / 125, 200),
        };
        let mut candle = Candle { open: self.at, high: self.at, low: self.at, close: self.at, lots: 0 };
        for _ in 0..steps {
            self.drift(reach.max(1), pull);
            candle.high = candle.high.max(self.at);
            candle.low = candle.low.min(self.at);
            candle.lots += (1 + self.random.up_to(99)) * resolution.millis() / Resolution::OneMinute.millis();
        }
        candle.close = self.at;
        candle
    }

    /// Goes up to `reach` either way, and a `pull`th of the distance back to the middle.
    fn drift(&mut self, reach: i64, pull: i64) {
        let away = self.middle - self.at;
        // What does not divide goes by chance, or small distances would never pull.
        let rest = if self.random.up_to(pull - 1) < (away % pull).abs() { away.signum() } else { 0 };
        let moved = self.at + self.random.up_to(2 * reach) - reach + away / pull + rest;
        self.at = moved.clamp(self.middle / 2, self.middle * 3 / 2);
    }

    /// Clears what lies outside of `prices`, fills what is empty inside, and stirs two levels.
    fn shape(&mut self, side: Side, best: i64, prices: std::ops::RangeInclusive<i64>) {
        let outside: Vec<_> = self.side(side).keys().copied().filter(|price| !prices.contains(price)).collect();
        outside.into_iter().for_each(|price| self.set(side, price, 0));
        for price in prices.clone() {
            if !self.side(side).contains_key(&price) {
                self.refill(side, price);
            }
        }
        self.refill(side, best);
        let stirred = prices.start() + self.random.up_to(LEVELS - 1);
        self.refill(side, stirred);
    }

    /// Takes a part of the best level, never all of it.
    fn fill(&mut self, bid: i64, ask: i64) -> Fill {
        // A buyer takes from the asks.
        let (side, from, ticks) =
            if self.random.chance(2) { (Side::Buy, Side::Sell, ask) } else { (Side::Sell, Side::Buy, bid) };
        let waiting = self.side(from).get(&ticks).copied().unwrap_or(2);
        let lots = 1 + self.random.up_to(waiting.min(8) - 2);
        self.set(from, ticks, waiting - lots);
        self.fills += 1;
        Fill { id: self.fills, side, ticks, lots }
    }

    /// Two lots at least, so that a trade leaves one.
    fn refill(&mut self, side: Side, price: i64) {
        let lots = 2 + self.random.up_to(60);
        self.set(side, price, lots);
    }

    fn set(&mut self, side: Side, price: i64, lots: i64) {
        let levels = self.side(side);
        if lots == 0 {
            levels.remove(&price);
        } else {
            levels.insert(price, lots);
        }
        self.changes.push((side, price, lots));
    }

    fn side(&mut self, side: Side) -> &mut BTreeMap<i64, i64> {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, fast, and every seed is as good as any.
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Zero to `most`, both included; `most` is not below zero.
    fn up_to(&mut self, most: i64) -> i64 {
        (self.next() % (most as u64 + 1)) as i64
    }

    /// True once in so many times.
    fn chance(&mut self, one_in: i64) -> bool {
        self.up_to(one_in - 1) == 0
    }
}

/// Levels on each side of the book.
const LEVELS: i64 = 25;
