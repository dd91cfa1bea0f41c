//! `async` where it is missing, and where it is too much.
use fastws::{Updates, recv, send, topic};

#[send("count")]
fn count() {}

#[topic("clock")]
fn clock(_: Updates<u64>) {}

#[recv("alerts.alert")]
async fn alert(level: u64) -> u64 {
    level
}

fn main() {}
