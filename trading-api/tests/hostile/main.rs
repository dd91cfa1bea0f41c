//! What hostile and unlucky peers do, over TCP against the running trading API: each has its documented end, and none
//! of it hurts the others.

mod envelopes;
mod floods;
mod frames;
mod handshakes;
mod peer;
#[path = "../server/mod.rs"]
mod server;
mod sockets;

use server::{Server, market};

/// The trading API over a market that does not move.
async fn start() -> Server {
    Server::start(market().0).await
}
