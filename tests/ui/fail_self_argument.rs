//! A method is no operation.
use fastws::send;

struct Desk;

impl Desk {
    #[send("desk.count", reply = "desk.count.response")]
    async fn count(&self) -> u64 {
        7
    }
}

fn main() {}
