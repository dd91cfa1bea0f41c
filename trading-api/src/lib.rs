//! A live trading API on fastws: bars, quotes, trades and order books over one documented
//! WebSocket.

pub mod market;
pub mod upstream;
