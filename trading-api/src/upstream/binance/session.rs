use std::collections::BTreeMap;

use super::{Depth, DepthSync, Message, Step};
use crate::{
    market::{Instrument, Market, OrderBook, Publisher, Trade},
    upstream::{
        decode::Malformed,
        monitor::{Count, Monitor},
    },
};

/// This is what has to be remembered between messages to make sense of them: each symbol's book and
/// how far it has come.
#[derive(Debug)]
pub struct Session {
    market: Market,
    monitor: Monitor,
    feeds: BTreeMap<String, Feed>,
}

impl Session {
    /// A session that writes into `market` and counts in `monitor`.
    pub fn new(market: Market, monitor: Monitor) -> Self {
        Self { market, monitor, feeds: BTreeMap::new() }
    }

    /// Applies a message that arrived at `now`, in milliseconds since 1970, UTC.
    ///
    /// A snapshot without a symbol goes to the only one that awaits a snapshot; are there more, it
    /// is refused.
    pub fn apply(&mut self, message: Message, now: i64) -> Result<(), Malformed> {
        match message {
            Message::DepthUpdate { symbol, time, depth } => {
                self.monitor.count(Count::BookUpdates);
                self.feed(symbol).update(time, depth);
            }
            Message::DepthSnapshot { symbol, depth } => {
                let symbol = symbol.map_or_else(|| self.only_one_waiting(), Ok)?;
                self.monitor.count(Count::Snapshots);
                self.feed(symbol).begin(now, &depth);
            }
            Message::Trade(trade) => {
                self.monitor.count(Count::Trades);
                let publisher = &self.feed(trade.symbol).publisher;
                publisher.trade(Trade {
                    symbol: publisher.symbol().clone(),
                    id: trade.id,
                    time: trade.time,
                    price: trade.price,
                    quantity: trade.quantity,
                    side: trade.side,
                });
            }
            Message::Ticker(ticker) => {
                self.monitor.count(Count::Quotes);
                self.feed(ticker.symbol).publisher.best(now, ticker.bid, ticker.ask);
            }
            Message::Reply => self.monitor.count(Count::Events),
            Message::Other => self.monitor.count(Count::Ignored),
        }
        Ok(())
    }

    /// The symbols whose books cannot go on without a snapshot.
    pub fn awaiting_snapshot(&self) -> impl Iterator<Item = &str> {
        self.feeds.iter().filter(|(_, feed)| feed.sync.awaits_snapshot()).map(|(symbol, _)| symbol.as_str())
    }

    fn only_one_waiting(&self) -> Result<String, Malformed> {
        let mut waiting = self.awaiting_snapshot();
        match (waiting.next(), waiting.count()) {
            (Some(symbol), 0) => Ok(symbol.to_owned()),
            (first, more) => Err(Malformed::WhoseBook(usize::from(first.is_some()) + more)),
        }
    }

    fn feed(&mut self, symbol: String) -> &mut Feed {
        self.feeds.entry(symbol).or_insert_with_key(|symbol| Feed {
            publisher: self.market.list(Instrument::crypto(symbol, "BINANCE")),
            sync: DepthSync::default(),
            monitor: self.monitor.clone(),
        })
    }
}

/// One symbol.
#[derive(Debug)]
struct Feed {
    publisher: Publisher,
    sync: DepthSync,
    monitor: Monitor,
}

impl Feed {
    fn update(&mut self, time: i64, depth: Depth) {
        match self.sync.update(time, depth) {
            Step::Held => {}
            Step::Outdated => self.monitor.count(Count::OutdatedUpdates),
            Step::Apply(depth) => {
                self.monitor.count(Count::AppliedUpdates);
                self.publisher.levels(time, Some(depth.last), &depth.levels);
            }
            Step::Gap => {
                self.monitor.count(Count::Gaps);
                self.publisher.stale();
                tracing::warn!(symbol = &**self.publisher.symbol(), "book updates are missing, the book is stale");
            }
        }
    }

    fn begin(&mut self, now: i64, snapshot: &Depth) {
        if self.sync.has_reached(snapshot.last) {
            return;
        }
        let mut book = OrderBook::new(self.publisher.symbol().clone(), now, Some(snapshot.last));
        snapshot.levels.iter().for_each(|(side, level)| book.set(*side, *level));
        self.publisher.book(book);
        for (time, depth) in self.sync.begin(snapshot.last) {
            self.update(time, depth);
        }
    }
}
