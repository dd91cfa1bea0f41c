//! Fields and updates that cannot be read, written or documented.
use fastws::{Params, Updates, payload, topic};

struct Bar {
    close: f64,
}

#[payload]
struct Wanted {
    symbol: String,
}

struct Unread {
    symbol: String,
}

#[topic("bars:{symbol}")]
async fn bars(_: Params<Wanted>, updates: Updates<Bar>) {
    let _ = updates;
}

#[topic("quotes:{symbol}")]
async fn quotes(_: Params<Unread>, updates: Updates<u64>) {
    let _ = updates;
}

fn main() {}
