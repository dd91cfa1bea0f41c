//! The command itself, as a process of its own, against the trading API.

mod call;
mod conform;
mod documents;
mod liar;
mod listen;
mod manual;
mod stage;
