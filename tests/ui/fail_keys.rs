//! Keys given twice, unknown keys, and values of the wrong form.
use fastws::{recv, send};

#[send("count", reply = "count.response", reply = "count.answer")]
async fn count() -> u64 {
    7
}

#[send("total", repyl = "total.response")]
async fn total() {}

#[send("tagged", tags = "market data")]
async fn tagged() {}

#[send("shown", example = )]
async fn shown() {}

#[send("glued" reply = "glued.response")]
async fn glued() -> u64 {
    7
}

#[send("busy", concurrent = true)]
async fn busy() {}

#[send("titled", summary = Titled)]
async fn titled() {}

#[recv("alerts.alert", reply = "alerts.seen")]
fn alert(level: u64) -> u64 {
    level
}

fn main() {}
