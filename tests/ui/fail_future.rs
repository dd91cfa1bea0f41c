//! A handler runs on any thread, so what it holds across an `await` is `Send`.
use std::rc::Rc;

use fastws::send;

#[send("count", reply = "count.response")]
async fn count() -> u64 {
    let counter = Rc::new(7);
    std::future::ready(()).await;
    *counter
}

fn main() {}
