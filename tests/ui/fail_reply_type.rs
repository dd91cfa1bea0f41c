//! A reply that cannot be written.
use fastws::{Result, send};

struct Pong {
    timestamp: i64,
}

#[send("simple.ping", reply = "simple.pong")]
async fn ping() -> Pong {
    Pong { timestamp: 7 }
}

#[send("other.ping", reply = "other.pong")]
async fn other() -> Result<Pong> {
    Ok(Pong { timestamp: 7 })
}

fn main() {}
