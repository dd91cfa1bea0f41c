//! A generic function has no one type on the wire.
use fastws::{Payload, send};

#[send("count")]
async fn count<T: Send>(_: Payload<T>) {}

#[send("show")]
async fn show(_: impl Send) {}

fn main() {}
