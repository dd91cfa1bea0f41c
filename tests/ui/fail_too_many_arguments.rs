//! Nine arguments.
use fastws::{Hub, send};

#[send("many")]
async fn many(_: Hub, _: Hub, _: Hub, _: Hub, _: Hub, _: Hub, _: Hub, _: Hub, _: Hub) {}

fn main() {}
