//! Something is returned, and has no name.
use fastws::{Result, send};

#[send("count")]
async fn count() -> u64 {
    7
}

#[send("total")]
async fn total() -> Result<u64> {
    Ok(7)
}

fn main() {}
