//! A payload that cannot be read.
use fastws::{Payload, send};

struct Ping {
    timestamp: i64,
}

#[send("simple.ping", reply = "simple.pong")]
async fn ping(Payload(ping): Payload<Ping>) -> i64 {
    ping.timestamp
}

fn main() {}
