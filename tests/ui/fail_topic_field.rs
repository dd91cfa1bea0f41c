//! A template names a field that the parameters do not have.
use fastws::{Params, Updates, payload, topic};

#[payload]
struct Wanted {
    symbol: String,
}

#[topic("bars:{symbl}")]
async fn bars(Params(wanted): Params<Wanted>, updates: Updates<u64>) {
    let _ = (wanted.symbol, updates);
}

fn main() {}
