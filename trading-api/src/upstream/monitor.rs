use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering::Relaxed},
};

/// This is the view into a running venue: counters that the venue writes and anyone may read.
///
/// Cheap to clone, shared by its clones; writing never waits. The counters are read one by one, so
/// that a status taken while the venue runs may be a message apart in itself.
#[derive(Debug, Clone, Default)]
pub struct Monitor(Arc<Counters>);

impl Monitor {
    /// The counts as they are now.
    pub fn status(&self) -> VenueStatus {
        let count = |count: Count| self.0.counts[count as usize].load(Relaxed);
        VenueStatus {
            phase: match self.0.phase.load(Relaxed) {
                0 => Phase::Starting,
                1 => Phase::Live,
                _ => Phase::Ended,
            },
            messages: count(Count::Messages),
            events: count(Count::Events),
            heartbeats: count(Count::Heartbeats),
            snapshots: count(Count::Snapshots),
            book_updates: count(Count::BookUpdates),
            applied_updates: count(Count::AppliedUpdates),
            outdated_updates: count(Count::OutdatedUpdates),
            gaps: count(Count::Gaps),
            trades: count(Count::Trades),
            repeated_trades: count(Count::RepeatedTrades),
            quotes: count(Count::Quotes),
            ignored: count(Count::Ignored),
            broken: count(Count::Broken),
            bytes_read: count(Count::BytesRead),
            bytes_total: count(Count::BytesTotal),
            last_message: Some(self.0.last_message.load(Relaxed)).filter(|time| *time > 0),
        }
    }

    /// Begins the live phase, which ends when the returned value is dropped: a venue's future may be
    /// dropped at any await.
    pub(super) fn live(&self) -> Live {
        self.0.phase.store(Phase::Live as u8, Relaxed);
        Live(self.clone())
    }

    pub(super) fn count(&self, count: Count) {
        self.add(count, 1);
    }

    pub(super) fn add(&self, count: Count, n: u64) {
        self.0.counts[count as usize].fetch_add(n, Relaxed);
    }

    pub(super) fn at(&self, time: i64) {
        self.0.last_message.store(time, Relaxed);
    }
}

/// This is how a venue is doing: what it has received so far, by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VenueStatus {
    /// Where it is in its life.
    pub phase: Phase,
    /// Messages received, broken ones included.
    pub messages: u64,
    /// Messages about the connection itself: greetings, confirmations, errors.
    pub events: u64,
    /// Signs of life without content.
    pub heartbeats: u64,
    /// Whole books, and lists of past trades.
    pub snapshots: u64,
    /// Messages that change a book.
    pub book_updates: u64,
    /// Those of them that were applied.
    pub applied_updates: u64,
    /// Those that were older than the snapshot of the book and therefore dropped.
    pub outdated_updates: u64,
    /// Holes in the numbering of book updates; each leaves a book stale until the next snapshot.
    pub gaps: u64,
    /// Trades, each counted once.
    pub trades: u64,
    /// Messages that repeat a known trade.
    pub repeated_trades: u64,
    /// Best prices told by themselves.
    pub quotes: u64,
    /// Messages of no use here.
    pub ignored: u64,
    /// Messages that could not be understood.
    pub broken: u64,
    /// Bytes read of recordings, as they lie on disk.
    pub bytes_read: u64,
    /// The size of all recordings to be read; zero for a venue that reads none.
    pub bytes_total: u64,
    /// The time of the newest message, in milliseconds since 1970, UTC, by the venue's clock.
    pub last_message: Option<i64>,
}

/// This is the stage of a venue's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It has not begun to deliver.
    Starting,
    /// It delivers.
    Live,
    /// It has come to its end, good or bad, or was dropped.
    Ended,
}

/// A venue is delivering while it holds this.
#[derive(Debug)]
pub(super) struct Live(Monitor);

impl Drop for Live {
    fn drop(&mut self) {
        self.0.0.phase.store(Phase::Ended as u8, Relaxed);
    }
}

/// What is counted, in the order of the counters.
#[derive(Debug, Clone, Copy)]
pub(super) enum Count {
    Messages,
    Events,
    Heartbeats,
    Snapshots,
    BookUpdates,
    AppliedUpdates,
    OutdatedUpdates,
    Gaps,
    Trades,
    RepeatedTrades,
    Quotes,
    Ignored,
    Broken,
    BytesRead,
    BytesTotal,
}

#[derive(Debug, Default)]
struct Counters {
    phase: AtomicU8,
    counts: [AtomicU64; Count::BytesTotal as usize + 1],
    last_message: AtomicI64,
}
