use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rust_decimal::Decimal;
use tokio::sync::watch;

use super::{Bar, Instrument, Level, Limits, OrderBook, Quote, Resolution, Trade, bar::Series};

/// One instrument and all the market knows of it, behind one lock of its own. Writers change
/// [`State`], release the lock and raise the signals of what changed.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) instrument: Instrument,
    state: Mutex<State>,
    pub(super) bars: Signal,
    pub(super) quotes: Signal,
    pub(super) trades: Signal,
    pub(super) books: Signal,
}

impl Listing {
    pub(super) fn new(instrument: Instrument, limits: Limits) -> Self {
        Self {
            state: Mutex::new(State::new(instrument.symbol.clone(), limits)),
            instrument,
            bars: Signal::default(),
            quotes: Signal::default(),
            trades: Signal::default(),
            books: Signal::default(),
        }
    }

    /// Held for a look or a change, never across an await and never while foreign code runs. So a
    /// panic cannot leave half a change behind, and a poisoned lock is as good as any.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
pub(super) struct State {
    /// In the order of [`Resolution::ALL`].
    series: [Series; Resolution::ALL.len()],
    pub(super) book: OrderBook,
    trades: VecDeque<Trade>,
    trade_limit: usize,
    /// The number the next trade gets. The front of `trades` has this less their count: past trades
    /// are put in front and get numbers that every reader has behind it.
    next_trade: i64,
    last: Option<Decimal>,
    best: (Option<Level>, Option<Level>),
    /// The venue tells the best prices itself, which is faster than its book.
    has_ticker: bool,
    time: i64,
}

impl State {
    fn new(symbol: Arc<str>, limits: Limits) -> Self {
        Self {
            series: Resolution::ALL.map(|resolution| Series::new(resolution, limits.bars)),
            book: OrderBook::new(symbol, 0, None),
            trades: VecDeque::new(),
            trade_limit: limits.trades,
            next_trade: 0,
            last: None,
            best: (None, None),
            has_ticker: false,
            time: i64::MIN,
        }
    }

    pub(super) fn series(&self, resolution: Resolution) -> &Series {
        &self.series[resolution as usize]
    }

    pub(super) fn add_trade(&mut self, trade: Trade) {
        self.add_bar(Resolution::OneMinute, Bar::of(&trade, Resolution::OneMinute));
        self.last = Some(trade.price);
        self.time = self.time.max(trade.time);
        self.trades.push_back(trade);
        self.next_trade += 1;
        if self.trades.len() > self.trade_limit {
            self.trades.pop_front();
        }
    }

    /// Puts trades, ascending, in front of those known.
    pub(super) fn add_past_trades(&mut self, past: Vec<Trade>) {
        let oldest = self.trades.front().map_or(u64::MAX, |trade| trade.id);
        for trade in past.into_iter().rev().filter(|trade| trade.id < oldest) {
            if self.trades.len() >= self.trade_limit {
                return;
            }
            self.time = self.time.max(trade.time);
            self.last.get_or_insert(trade.price);
            self.trades.push_front(trade);
        }
    }

    /// Folds a bar into its own resolution and all coarser ones.
    pub(super) fn add_bar(&mut self, resolution: Resolution, bar: Bar) {
        for series in &mut self.series[resolution as usize..] {
            series.add(bar);
        }
    }

    /// After past bars: what the newest of them closed at is the last price until a trade comes.
    pub(super) fn close_history(&mut self) {
        if let (None, Some(bar)) = (self.last, self.series(Resolution::OneMinute).last()) {
            (self.last, self.time) = (Some(bar.close), self.time.max(bar.time));
        }
    }

    /// Takes the best prices from the book; whether they moved.
    pub(super) fn follow_book(&mut self) -> bool {
        !self.has_ticker && self.move_best(self.book.time, (self.book.best_bid(), self.book.best_ask()))
    }

    /// Takes the best prices from the venue's own ticker; whether they moved.
    pub(super) fn follow_ticker(&mut self, time: i64, bid: Level, ask: Level) -> bool {
        self.has_ticker = true;
        self.move_best(time, (Some(bid), Some(ask)))
    }

    fn move_best(&mut self, time: i64, best: (Option<Level>, Option<Level>)) -> bool {
        let moved = self.best != best;
        if moved {
            self.best = best;
            self.time = self.time.max(time);
        }
        moved
    }

    /// The quote, once a price is known.
    pub(super) fn quote(&self) -> Option<Quote> {
        let today = Resolution::Day.bucket(self.time);
        let day = self.series(Resolution::Day).last().filter(|bar| bar.time == today);
        Some(Quote::new(self.book.symbol.clone(), self.time, self.last?, self.best, day))
    }

    /// The newest `limit` trades, ascending.
    pub(super) fn recent_trades(&self, limit: usize) -> impl Iterator<Item = &Trade> {
        self.trades.iter().skip(self.trades.len().saturating_sub(limit))
    }

    pub(super) fn next_trade(&self) -> i64 {
        self.next_trade
    }

    /// The trade of this number, or the oldest still known after it, and its number.
    pub(super) fn trade_since(&self, number: i64) -> Option<(i64, &Trade)> {
        let front = self.next_trade - self.trades.len() as i64;
        let number = number.max(front);
        Some((number, self.trades.get((number - front) as usize)?))
    }
}

/// Wakes those who wait for a change; costs next to nothing while nobody does.
#[derive(Debug, Default)]
pub(super) struct Signal(watch::Sender<()>);

impl Signal {
    /// To be called after the lock on the changed state is released. A reader subscribes before it
    /// takes that lock, so one that is not counted here yet will find the change by itself.
    pub(super) fn raise(&self) {
        if self.0.receiver_count() > 0 {
            self.0.send_replace(());
        }
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<()> {
        self.0.subscribe()
    }
}
