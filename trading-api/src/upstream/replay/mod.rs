//! Recorded sessions played back, as fast as they happened, faster, or as fast as possible.
//!
//! Two formats are told apart by their content, plain or gzip:
//! * Binance, as hftbacktest records it: lines of `<unix nanoseconds> <json>`, messages of combined
//!   streams, and an order book fetched by REST, which is not wrapped;
//! * Bitfinex, as marfusios records it: messages that end with `;;`, without times of arrival, so
//!   that the times of its trades set the pace.

mod pace;
mod recording;

use std::path::{Path, PathBuf};

use tokio::{task, time::Instant};

pub use pace::{BadSpeed, Speed};

use super::{
    BrokenMessage, Malformed, Monitor, Running, Summary, Venue, VenueError, binance, bitfinex, decode::excerpt,
    monitor::Count,
};
use crate::market::Market;
use pace::Pace;
use recording::{Format, Record, Recording};

/// This is a venue that plays recordings, one after the other, and then ends.
///
/// A later recording continues the earlier: books and trades go on where they were. Broken messages
/// are counted, the first two dozen are logged with their places, and the replay goes on. It reads
/// as it plays; a recording is never in memory as a whole.
#[derive(Debug)]
pub struct Replay {
    paths: Vec<PathBuf>,
    speed: Speed,
    monitor: Monitor,
}

impl Replay {
    /// Opens each recording to see that it can be played: a missing, empty or foreign file is an
    /// error now and not after hours.
    pub fn open(paths: Vec<PathBuf>, speed: Speed) -> Result<Self, VenueError> {
        let monitor = Monitor::default();
        for path in &paths {
            monitor.add(Count::BytesTotal, Recording::open(path, Monitor::default())?.size());
        }
        Ok(Self { paths, speed, monitor })
    }

    async fn play(&self, market: Market) -> Result<Summary, VenueError> {
        let started = Instant::now();
        let mut player = Player {
            binance: binance::Session::new(market.clone(), self.monitor.clone()),
            bitfinex: bitfinex::Session::new(market, self.monitor.clone()),
            pace: Pace::new(self.speed),
            monitor: self.monitor.clone(),
        };
        let mut broken = Vec::new();
        for path in &self.paths {
            let mut recording = Recording::open(path, self.monitor.clone())?;
            let format = recording.format();
            while let Some(record) = recording.next()? {
                if let Err(reason) = player.play(format, &record).await {
                    self.monitor.count(Count::Broken);
                    if broken.len() < REPORTED {
                        broken.push(report(path, &record, reason));
                    }
                }
                // At full speed nothing else here waits, and other tasks want to run too.
                if record.number % TURN == 0 {
                    task::yield_now().await;
                }
            }
        }
        let status = self.monitor.status();
        if status.broken > REPORTED as u64 {
            tracing::warn!(broken = status.broken, "only the first {REPORTED} broken messages were logged");
        }
        Ok(Summary { status, elapsed: started.elapsed(), broken })
    }
}

impl Venue for Replay {
    fn name(&self) -> &'static str {
        "replay"
    }

    fn monitor(&self) -> Monitor {
        self.monitor.clone()
    }

    fn run(self: Box<Self>, market: Market) -> Running {
        Box::pin(async move {
            let live = self.monitor.live();
            let ended = self.play(market).await;
            drop(live);
            ended.map(|summary| Summary { status: self.monitor.status(), ..summary })
        })
    }
}

/// What goes on from one recording to the next.
struct Player {
    binance: binance::Session,
    bitfinex: bitfinex::Session,
    pace: Pace,
    monitor: Monitor,
}

impl Player {
    /// Waits until the message is due, then applies it.
    async fn play(&mut self, format: Format, record: &Record<'_>) -> Result<(), Malformed> {
        self.monitor.count(Count::Messages);
        let text = record.text()?;
        match format {
            Format::Binance => {
                let (nanos, json) = text.split_once(' ').ok_or(Malformed::NoTime)?;
                let arrived = nanos.parse::<i64>().map_err(|_| Malformed::NoTime)? / NANOS_PER_MILLI;
                let message = binance::Message::decode(json)?;
                self.pace.wait(arrived).await;
                self.monitor.at(arrived);
                self.binance.apply(message, arrived)
            }
            Format::Bitfinex => {
                let message = bitfinex::Message::decode(text)?;
                if let bitfinex::Message::TradeExecuted { trade, .. } = &message {
                    self.pace.wait(trade.time).await;
                    self.monitor.at(trade.time);
                }
                self.bitfinex.apply(&message, None)
            }
        }
    }
}

fn report(path: &Path, record: &Record<'_>, reason: Malformed) -> BrokenMessage {
    let broken = BrokenMessage { path: path.to_owned(), number: record.number, offset: record.offset, reason };
    tracing::warn!(message = excerpt(&String::from_utf8_lossy(record.bytes)), "{broken}");
    broken
}

/// So many broken messages are logged and kept; the rest is counted.
const REPORTED: usize = 24;

/// After so many messages the other tasks get their turn, which is a fraction of a millisecond.
const TURN: u64 = 128;

const NANOS_PER_MILLI: i64 = 1_000_000;
