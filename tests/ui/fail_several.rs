//! Several mistakes at once are all reported.
use fastws::send;

#[send("simple ping", reply = "simple/pong", urgent, tags = "session")]
fn ping<T>(_: T) {}

fn main() {}
