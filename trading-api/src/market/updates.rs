use std::sync::{Arc, Weak};

use tokio::sync::watch;

use super::{
    Bar, BookTop, Quote, Resolution, Trade,
    listing::{Listing, Signal, State},
};

/// This is a reader of one symbol's bars at one resolution.
///
/// First comes the bar under way, if there is one, then every change. What happens while nobody
/// reads is conflated: of each bar the newest state is left, and it comes before any later bar, so
/// the last that a reader sees of a closed bar is its final state. Nothing is queued for a reader,
/// it walks along the market's history: one that falls behind by more than
/// [`Limits::bars`](super::Limits::bars) misses the bars forgotten meanwhile.
#[derive(Debug)]
pub struct BarUpdates {
    wait: Wait,
    resolution: Resolution,
    /// The start of the bar to be read.
    time: i64,
    /// The state of that bar that was read last.
    seen: Option<Bar>,
}

impl BarUpdates {
    pub(super) fn new(listing: &Arc<Listing>, resolution: Resolution) -> Self {
        let wait = Wait::new(listing, &listing.bars);
        let time = listing.lock().series(resolution).last().map_or(i64::MIN, |bar| bar.time);
        Self { wait, resolution, time, seen: None }
    }

    /// Waits for the next bar or the next state of this one; `None` once the market is gone.
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Bar> {
        let bar = self
            .wait
            .take(|state| {
                let mut bars = state.series(self.resolution).since(self.time);
                bars.find(|bar| Some(*bar) != self.seen.as_ref()).copied()
            })
            .await?;
        (self.time, self.seen) = (bar.time, Some(bar));
        Some(bar)
    }
}

/// This is a reader of one symbol's quote: the present one first, then every change, of which a
/// slow reader sees the newest.
#[derive(Debug)]
pub struct QuoteUpdates {
    wait: Wait,
    seen: Option<Quote>,
}

impl QuoteUpdates {
    pub(super) fn new(listing: &Arc<Listing>) -> Self {
        Self { wait: Wait::new(listing, &listing.quotes), seen: None }
    }

    /// Waits for a quote that differs from the last; `None` once the market is gone. Dropping the
    /// future loses nothing.
    pub async fn next(&mut self) -> Option<Quote> {
        let quote = self.wait.take(|state| state.quote().filter(|quote| Some(quote) != self.seen.as_ref())).await?;
        self.seen = Some(quote.clone());
        Some(quote)
    }
}

/// This is a reader of one symbol's trades, each once and in order, beginning with the next one.
///
/// A reader more than [`Limits::trades`](super::Limits::trades) behind goes on with the oldest
/// trade still known, and [`missed`](Self::missed) counts what it did not get.
#[derive(Debug)]
pub struct TradeUpdates {
    wait: Wait,
    next: i64,
    missed: u64,
}

impl TradeUpdates {
    pub(super) fn new(listing: &Arc<Listing>) -> Self {
        let wait = Wait::new(listing, &listing.trades);
        let next = listing.lock().next_trade();
        Self { wait, next, missed: 0 }
    }

    /// Waits for the next trade; `None` once the market is gone. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Trade> {
        let wanted = self.next;
        let (number, trade) =
            self.wait.take(|state| state.trade_since(wanted).map(|(number, trade)| (number, trade.clone()))).await?;
        self.missed += number.abs_diff(wanted);
        self.next = number + 1;
        Some(trade)
    }

    /// How many trades came and were forgotten before they were read.
    pub fn missed(&self) -> u64 {
        self.missed
    }
}

/// This is a reader of the best levels of one symbol's book: the present ones first, then every
/// change among them, of which a slow reader sees the newest. Changes deeper in the book are not
/// delivered.
#[derive(Debug)]
pub struct BookUpdates {
    wait: Wait,
    depth: usize,
    seen: Option<BookTop>,
}

impl BookUpdates {
    pub(super) fn new(listing: &Arc<Listing>, depth: usize) -> Self {
        Self { wait: Wait::new(listing, &listing.books), depth, seen: None }
    }

    /// Waits for a book whose upper part differs from the last; `None` once the market is gone.
    /// Before the venue has sent a book there is none to deliver. Dropping the future loses
    /// nothing.
    pub async fn next(&mut self) -> Option<BookTop> {
        let top = self
            .wait
            .take(|state| {
                let top = state.book.top(self.depth);
                let is_new = match &self.seen {
                    Some(seen) => (&seen.bids, &seen.asks, seen.stale) != (&top.bids, &top.asks, top.stale),
                    None => !state.book.is_empty(),
                };
                is_new.then_some(top)
            })
            .await?;
        self.seen = Some(top.clone());
        Some(top)
    }
}

/// Waits for one kind of change of one listing. Holds the listing weakly, so that a reader left
/// behind neither keeps a market alive nor waits for one that is gone.
#[derive(Debug)]
struct Wait {
    listing: Weak<Listing>,
    signal: watch::Receiver<()>,
}

impl Wait {
    fn new(listing: &Arc<Listing>, signal: &Signal) -> Self {
        Self { listing: Arc::downgrade(listing), signal: signal.subscribe() }
    }

    /// Looks at the state, now and after each change, until `look` finds something.
    async fn take<T>(&mut self, look: impl Fn(&State) -> Option<T>) -> Option<T> {
        loop {
            // Before the look: a change after it must wake us again.
            self.signal.borrow_and_update();
            let found = {
                let listing = self.listing.upgrade()?;
                look(&listing.lock())
            };
            if found.is_some() {
                return found;
            }
            self.signal.changed().await.ok()?;
        }
    }
}
