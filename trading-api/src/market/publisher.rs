use std::sync::Arc;

use super::{Bar, Level, OrderBook, Resolution, Side, Trade, listing::Listing};

/// This is the pen of a venue: it writes one instrument's prices into the [`Market`](super::Market).
///
/// [`Market::list`](super::Market::list) gives it out. All calls are short, never wait and may come
/// from any thread; readers see each call whole or not at all. Times are in milliseconds since
/// 1970, UTC.
#[derive(Debug, Clone)]
pub struct Publisher {
    listing: Arc<Listing>,
}

impl Publisher {
    pub(super) fn new(listing: Arc<Listing>) -> Self {
        Self { listing }
    }

    /// The instrument's symbol, to be shared by its trades and books.
    pub fn symbol(&self) -> &Arc<str> {
        &self.listing.instrument.symbol
    }

    /// Adds a trade to the trades, the quote and the bars of every resolution.
    ///
    /// Trades count in the order they come. A late one corrects the bar it belongs to; readers who
    /// have passed that bar see the correction in the history only.
    pub fn trade(&self, trade: Trade) {
        self.listing.lock().add_trade(trade);
        self.listing.trades.raise();
        self.listing.bars.raise();
        self.listing.quotes.raise();
    }

    /// Puts trades of the past, ascending, in front of the known ones. They make no bars, since
    /// the few trades an exchange sends at first do not fill one.
    pub fn past_trades(&self, trades: Vec<Trade>) {
        self.listing.lock().add_past_trades(trades);
        self.listing.quotes.raise();
    }

    /// Folds bars of the past, ascending, into `resolution` and all coarser ones, before the first
    /// trade. Each moment may be covered once: days first, then the hours after them, and so on.
    pub fn past_bars(&self, resolution: Resolution, bars: &[Bar]) {
        {
            let mut state = self.listing.lock();
            bars.iter().for_each(|bar| state.add_bar(resolution, *bar));
            state.close_history();
        }
        self.listing.bars.raise();
        self.listing.quotes.raise();
    }

    /// Replaces the whole book, and with it a stale one.
    pub fn book(&self, book: OrderBook) {
        let moved = {
            let mut state = self.listing.lock();
            state.book = book;
            state.follow_book()
        };
        self.announce_book(moved);
    }

    /// Changes levels of the book, all in one step; a quantity of zero takes a level away.
    pub fn levels(&self, time: i64, sequence: Option<u64>, changes: &[(Side, Level)]) {
        let moved = {
            let mut state = self.listing.lock();
            state.book.time = time;
            state.book.sequence = sequence;
            changes.iter().for_each(|(side, level)| state.book.set(*side, *level));
            state.follow_book()
        };
        self.announce_book(moved);
    }

    /// Marks the book as possibly wrong, until [`book`](Self::book) brings a whole one.
    pub fn stale(&self) {
        self.listing.lock().book.stale = true;
        self.listing.books.raise();
    }

    /// Sets the best bid and ask of the quote. From then on the book no longer does, since a venue
    /// that tells them separately tells them sooner.
    pub fn best(&self, time: i64, bid: Level, ask: Level) {
        let moved = self.listing.lock().follow_ticker(time, bid, ask);
        if moved {
            self.listing.quotes.raise();
        }
    }

    fn announce_book(&self, best_moved: bool) {
        self.listing.books.raise();
        if best_moved {
            self.listing.quotes.raise();
        }
    }
}
