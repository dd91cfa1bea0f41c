//! An operation is a function.
use fastws::send;

#[send("ping")]
struct Ping;

fn main() {}
