use std::collections::{HashMap, VecDeque};

use serde_json::value::RawValue;

use super::{Event, Message, RawLevel, RawTrade};
use crate::{
    market::{Instrument, Level, Market, OrderBook, Publisher, Side, Trade},
    upstream::{
        decode::{Elements, Malformed},
        monitor::{Count, Monitor},
    },
};

/// This is what has to be remembered between messages to make sense of them.
///
/// Channel numbers hold for one connection: the greeting of the next one clears them. Books and
/// trade ids stay, so that after a reconnect a trade is not counted twice.
#[derive(Debug)]
pub struct Session {
    market: Market,
    monitor: Monitor,
    channels: HashMap<u64, Channel>,
    feeds: Vec<Feed>,
    /// The newest time known, since books carry none.
    clock: i64,
    /// Levels of one message, kept for its memory.
    changes: Vec<(Side, Level)>,
}

impl Session {
    /// A session that writes into `market` and counts in `monitor`.
    pub fn new(market: Market, monitor: Monitor) -> Self {
        Self { market, monitor, channels: HashMap::new(), feeds: Vec::new(), clock: 0, changes: Vec::new() }
    }

    /// Applies a message. Of a malformed one nothing is applied.
    ///
    /// `now` is the time of arrival in milliseconds since 1970, UTC, where it is known; else the
    /// books are dated by the newest trade.
    pub fn apply(&mut self, message: &Message<'_>, now: Option<i64>) -> Result<(), Malformed> {
        self.clock = self.clock.max(now.unwrap_or(0));
        match message {
            Message::Event(event) => self.on_event(event),
            Message::Heartbeat => self.monitor.count(Count::Heartbeats),
            Message::TradeExecuted { channel, trade } | Message::TradeUpdated { channel, trade } => {
                let feed = self.channel(*channel)?.feed;
                self.on_trade(feed, trade);
            }
            Message::Data { channel, payload } => self.on_data(*channel, payload)?,
            Message::Other => self.monitor.count(Count::Ignored),
        }
        Ok(())
    }

    /// The newest time that any message carried, in milliseconds since 1970, UTC.
    pub fn clock(&self) -> i64 {
        self.clock
    }

    fn on_event(&mut self, event: &Event<'_>) {
        self.monitor.count(Count::Events);
        match (&*event.event, event.channel_id, &event.symbol) {
            ("info", ..) if event.version.is_some() => self.channels.clear(),
            ("subscribed", Some(id), Some(symbol)) => {
                let carries = match event.channel.as_deref() {
                    // Funding has other arrays, and R0 books list orders instead of levels.
                    _ if !symbol.starts_with('t') => Carries::Other,
                    Some("trades") => Carries::Trades,
                    Some("book") if event.prec.as_deref() != Some("R0") => Carries::Book,
                    _ => Carries::Other,
                };
                let feed = self.feed(symbol.strip_prefix('t').unwrap_or(symbol));
                self.channels.insert(id, Channel { carries, feed, has_snapshot: false });
            }
            ("unsubscribed", Some(id), _) => {
                self.channels.remove(&id);
            }
            ("error", ..) => {
                tracing::warn!(code = event.code, message = event.msg.as_deref(), "bitfinex reports an error");
            }
            _ => {}
        }
    }

    fn on_data(&mut self, id: u64, payload: &RawValue) -> Result<(), Malformed> {
        let Channel { carries, feed, has_snapshot } = *self.channel(id)?;
        // The first data after subscribing is the snapshot. Its shape would not tell: updates may
        // come in bulk and look the same, and a snapshot may be empty.
        match carries {
            Carries::Book if has_snapshot => {
                self.read_levels(payload)?;
                self.monitor.count(Count::BookUpdates);
                self.monitor.count(Count::AppliedUpdates);
                self.feeds[feed].publisher.levels(self.clock, None, &self.changes);
            }
            Carries::Book => {
                self.read_levels(payload)?;
                self.monitor.count(Count::Snapshots);
                let publisher = &self.feeds[feed].publisher;
                let mut book = OrderBook::new(publisher.symbol().clone(), self.clock, None);
                self.changes.iter().for_each(|(side, level)| book.set(*side, *level));
                publisher.book(book);
                self.channel(id)?.has_snapshot = true;
            }
            Carries::Trades => {
                let rows: Vec<Elements<'_, 4>> = serde_json::from_str(payload.get())?;
                let mut trades = rows.iter().map(RawTrade::read).collect::<Result<Vec<_>, _>>()?;
                trades.sort_by_key(|trade| trade.id);
                self.monitor.count(Count::Snapshots);
                self.on_past_trades(feed, &trades);
            }
            Carries::Other => self.monitor.count(Count::Ignored),
        }
        Ok(())
    }

    /// Publishes a trade the first time its id is seen. That is usually the `te`; its `tu` follows
    /// within a few hundred messages and is the only sign of a trade whose `te` was lost.
    fn on_trade(&mut self, feed: usize, trade: &RawTrade) {
        self.clock = self.clock.max(trade.time);
        let feed = &mut self.feeds[feed];
        if !feed.is_new(trade.id) {
            return self.monitor.count(Count::RepeatedTrades);
        }
        self.monitor.count(Count::Trades);
        feed.publisher.trade(trade.of(&feed.publisher));
    }

    /// The trades an exchange sends after subscribing: the past on the first connection; on later
    /// ones, those missed in between.
    fn on_past_trades(&mut self, feed: usize, trades: &[RawTrade]) {
        if self.feeds[feed].recent.is_empty() {
            let feed = &mut self.feeds[feed];
            feed.recent.extend(trades.iter().map(|trade| trade.id));
            self.clock = trades.iter().map(|trade| trade.time).fold(self.clock, i64::max);
            feed.publisher.past_trades(trades.iter().map(|trade| trade.of(&feed.publisher)).collect());
        } else {
            trades.iter().for_each(|trade| self.on_trade(feed, trade));
        }
    }

    /// Reads `[PRICE,COUNT,AMOUNT]`, or an array of such.
    fn read_levels(&mut self, payload: &RawValue) -> Result<(), Malformed> {
        self.changes.clear();
        let mut read = |fields: &Elements<'_, 3>| {
            let RawLevel { side, level } = RawLevel::read(fields)?;
            self.changes.push((side, level));
            Ok::<_, Malformed>(())
        };
        let fields: Elements<'_, 3> = serde_json::from_str(payload.get())?;
        match fields.find(0) {
            None => Ok(()),
            Some(first) if !first.get().starts_with('[') => read(&fields),
            Some(_) => serde_json::from_str::<Vec<Elements<'_, 3>>>(payload.get())?.iter().try_for_each(read),
        }
    }

    fn channel(&mut self, id: u64) -> Result<&mut Channel, Malformed> {
        self.channels.get_mut(&id).ok_or(Malformed::UnknownChannel(id))
    }

    /// The place of this symbol's feed, made if it is the first time.
    fn feed(&mut self, symbol: &str) -> usize {
        let known = self.feeds.iter().position(|feed| &**feed.publisher.symbol() == symbol);
        known.unwrap_or_else(|| {
            let publisher = self.market.list(Instrument::crypto(symbol, "BITFINEX"));
            self.feeds.push(Feed { publisher, recent: VecDeque::new() });
            self.feeds.len() - 1
        })
    }
}

impl RawTrade {
    fn of(&self, publisher: &Publisher) -> Trade {
        Trade {
            symbol: publisher.symbol().clone(),
            id: self.id,
            time: self.time,
            price: self.price,
            quantity: self.quantity,
            side: self.side,
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Channel {
    carries: Carries,
    /// Its symbol's place in the list of feeds.
    feed: usize,
    has_snapshot: bool,
}

#[derive(Debug, Clone, Copy)]
enum Carries {
    Book,
    Trades,
    Other,
}

/// One symbol, over all connections.
#[derive(Debug)]
struct Feed {
    publisher: Publisher,
    /// The ids of the newest trades.
    recent: VecDeque<u64>,
}

impl Feed {
    /// Whether this id was not seen lately; remembers it.
    fn is_new(&mut self, id: u64) -> bool {
        if self.recent.contains(&id) {
            return false;
        }
        if self.recent.len() == REMEMBERED_TRADES {
            self.recent.pop_front();
        }
        self.recent.push_back(id);
        true
    }
}

/// A `tu` was seen up to 212 messages after its `te`; after a reconnect 30 trades are repeated.
const REMEMBERED_TRADES: usize = 512;
