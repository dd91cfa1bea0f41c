//! Binance spot streams: what their messages are ([`Message`]), how a book is kept in step with
//! them ([`DepthSync`]), and what they do to a market ([`Session`]).
//!
//! Source: binance-spot-api-docs, web-socket-streams.md.

mod depth_sync;
mod message;
mod session;

pub use depth_sync::{DepthSync, Step};
pub use message::{Depth, Message, Ticker, TradeEvent};
pub use session::Session;
