//! Where prices come from: everything here writes into a [`Market`] and knows nobody who reads it.
//!
//! A [`Venue`] is one source. [`simulator`] invents prices, [`replay`] plays recorded sessions.
//! What an exchange's messages mean is told by [`binance`] and [`bitfinex`], which know no
//! connection: they take text, wherever it comes from.

pub mod binance;
pub mod bitfinex;
mod decode;
mod monitor;
pub mod progress;
pub mod replay;
pub mod simulator;

use std::{future::Future, path::PathBuf, pin::Pin, time::Duration};

pub use decode::Malformed;
pub use monitor::{Monitor, Phase, VenueStatus};

use crate::market::Market;

/// This is a source of prices: it runs, writing into a market, until it ends or is dropped.
///
/// Held as `Box<dyn Venue>`, so that the configuration may choose one. Take the
/// [`monitor`](Self::monitor) before `run`, to watch from elsewhere how it is doing. Dropping the
/// future stops the venue at once; the market stays as it is.
pub trait Venue: Send {
    /// A short name for logs and status pages, for example `replay`.
    fn name(&self) -> &'static str;

    /// A handle to the counters, live while the venue runs and readable afterwards.
    fn monitor(&self) -> Monitor;

    /// Writes prices into `market` until there are no more.
    fn run(self: Box<Self>, market: Market) -> Running;
}

/// This is a running venue, a future to be awaited or spawned.
pub type Running = Pin<Box<dyn Future<Output = Result<Summary, VenueError>> + Send>>;

/// This is what a venue has done by its end.
#[derive(Debug)]
pub struct Summary {
    /// The final counts.
    pub status: VenueStatus,
    /// How long it ran, by the clock that timers go by.
    pub elapsed: Duration,
    /// The first broken messages, two dozen at most; `status.broken` counts them all.
    pub broken: Vec<BrokenMessage>,
}

/// This is a message that could not be used, and where to find it.
#[derive(Debug, thiserror::Error)]
#[error("{}: message {number} at byte {offset}: {reason}", path.display())]
pub struct BrokenMessage {
    /// The file it is in.
    pub path: PathBuf,
    /// Which message of the file it is, from 1; in files of lines, the line.
    pub number: u64,
    /// Where it begins in the unpacked file, in bytes from 0.
    pub offset: u64,
    /// What is wrong with it.
    pub reason: Malformed,
}

/// This is why a venue ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum VenueError {
    /// A recording cannot be opened or read to its end.
    #[error("cannot read recording `{}` at byte {offset}: {source}", path.display())]
    Unreadable {
        /// The recording.
        path: PathBuf,
        /// How far it was read, in bytes of the unpacked file.
        offset: u64,
        /// What the system said.
        source: std::io::Error,
    },
    /// A recording holds nothing.
    #[error("recording `{}` is empty", .0.display())]
    Empty(PathBuf),
    /// A recording holds something else.
    #[error(
        "recording `{}` is of an unknown format, want lines of `<unix nanoseconds> <json>` (Binance) \
         or messages that end with `;;` (Bitfinex), plain or gzip",
        .0.display()
    )]
    UnknownFormat(PathBuf),
}
