//! A reply is named, and nothing is returned.
use fastws::{Result, send};

#[send("count", reply = "count.response")]
async fn count() {}

#[send("total", reply = "total.response")]
async fn total() -> Result<()> {
    Ok(())
}

fn main() {}
