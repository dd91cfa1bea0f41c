//! A reply's name that the protocol does not allow.
use fastws::send;

#[send("count", reply = "count:response")]
async fn count() -> u64 {
    7
}

#[send("total", reply = total)]
async fn total() -> u64 {
    7
}

fn main() {}
