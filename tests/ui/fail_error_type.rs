//! An error that does not become a `fastws::Error`: it can be written as JSON, but a failure is no reply.
use fastws::{payload, send};

#[payload]
struct Refusal {
    reason: String,
}

#[send("count", reply = "count.response")]
async fn count() -> Result<u64, Refusal> {
    Err(Refusal { reason: "closed".into() })
}

#[send("forget")]
async fn forget() -> Result<(), Refusal> {
    Err(Refusal { reason: "closed".into() })
}

fn main() {}
