//! Views that are none.
use fastws::recv;

#[recv("nothing")]
fn nothing() -> u64 {
    7
}

#[recv("two")]
fn two(a: u64, b: u64) -> u64 {
    a + b
}

#[recv("silent")]
fn silent(level: u64) {
    let _ = level;
}

struct Alert;

#[recv("alert")]
fn alert(level: u64) -> Alert {
    let _ = level;
    Alert
}

fn main() {}
