//! Names that the protocol does not allow, and no name.
use fastws::{recv, send};

#[send("simple ping")]
async fn spaced() {}

#[send("")]
async fn empty() {}

#[send()]
async fn unnamed() {}

#[send(reply = "pong")]
async fn only_a_reply() -> u64 {
    7
}

#[send(simple.ping)]
async fn unquoted() {}

#[recv("alerts/alert")]
fn alert(level: u64) -> u64 {
    level
}

fn main() {}
