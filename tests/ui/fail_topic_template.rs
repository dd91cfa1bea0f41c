//! Templates that are none.
use fastws::{Params, Updates, payload, topic};

#[payload]
struct Wanted {
    symbol: String,
    resolution: String,
}

#[topic("bars:{symbol}{resolution}")]
async fn joined(_: Params<Wanted>, _: Updates<u64>) {}

#[topic("bars:{symbol}:{symbol}")]
async fn twice(_: Params<Wanted>, _: Updates<u64>) {}

#[topic("bars:{symbol")]
async fn open(_: Params<Wanted>, _: Updates<u64>) {}

#[topic("{symbol}")]
async fn nameless(_: Params<Wanted>, _: Updates<u64>) {}

#[topic("bars:{}")]
async fn fieldless(_: Params<Wanted>, _: Updates<u64>) {}

fn main() {}
