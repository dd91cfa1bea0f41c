//! `#[payload]` where it cannot stand.
use fastws::payload;

#[payload]
fn ping() {}

#[payload]
union Either {
    a: u32,
    b: f32,
}

#[payload(strict)]
struct Order {
    symbol: String,
}

fn main() {}
