//! An argument of a type that is no argument.
use fastws::{payload, send};

#[payload]
struct Ping {
    timestamp: i64,
}

#[send("simple.ping", reply = "simple.pong")]
async fn ping(ping: Ping) -> i64 {
    ping.timestamp
}

fn main() {}
