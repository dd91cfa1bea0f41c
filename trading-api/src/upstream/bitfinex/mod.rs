//! Bitfinex WebSocket v2: what its messages are ([`Message`]) and what they do to a market
//! ([`Session`]).
//!
//! Sources: docs.bitfinex.com, pages ws-general and ws-public, and the exchange's own clients.

mod message;
mod session;

pub use message::{Event, Message, RawLevel, RawTrade};
pub use session::Session;
