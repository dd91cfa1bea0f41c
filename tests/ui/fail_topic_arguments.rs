//! A topic without updates, fields without `Params`, `Params` without fields, and an argument that a topic cannot have.
use fastws::{Client, Params, Updates, payload, topic};

#[payload]
struct Wanted {
    symbol: String,
}

#[topic("silent:{symbol}")]
async fn silent(_: Params<Wanted>) {}

#[topic("bars:{symbol}")]
async fn bars(_: Updates<u64>) {}

#[topic("clock")]
async fn clock(_: Params<Wanted>, _: Updates<u64>) {}

#[topic("alerts")]
async fn alerts(client: Client, _: Updates<u64>) {
    let _ = client;
}

fn main() {}
