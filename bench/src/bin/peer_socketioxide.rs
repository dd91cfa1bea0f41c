//! The measured application on `socketioxide`: rooms, and events instead of envelopes. `peer_socketioxide PORT`

use axum::Router;
use axum::serve::ListenerExt;
use fastws_bench::{Result, stage};
use serde::{Deserialize, Serialize};
use socketioxide::SocketIo;
use socketioxide::extract::{Data, SocketRef};

/// One minute of trading, with a number that the load client checks.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Bar {
    topic: String,
    t: u64,
    o: f64,
    h: f64,
    l: f64,
    c: f64,
    v: u64,
    n: u32,
    seq: u64,
}

#[derive(Clone, Debug, Deserialize)]
struct Subscription {
    topic: String,
}

#[derive(Serialize)]
struct Subscribed {
    ok: bool,
}

#[derive(Clone, Debug, Deserialize)]
struct Series {
    id: u64,
    symbol: String,
    timeframe: u32,
}

#[derive(Serialize)]
struct Place {
    id: u64,
    topic: String,
}

fn main() -> Result<()> {
    let (layer, io) = SocketIo::builder().max_buffer_size(100_000).build_layer();
    let everybody = io.clone();
    io.ns("/", async move |socket: SocketRef| {
        socket.on("sub", async |socket: SocketRef, Data::<Subscription>(wanted)| {
            socket.join(wanted.topic);
            answer(&socket, "sub.response", &Subscribed { ok: true });
        });
        socket.on("pub", async move |Data::<Bar>(bar)| {
            // A subscriber that has just left cannot be reached, which is no mistake.
            drop(everybody.to(bar.topic.clone()).emit("bar", &bar).await);
        });
        socket.on("bars.get", async |socket: SocketRef, Data::<Series>(series)| {
            let Series { id, symbol, timeframe } = series;
            answer(&socket, "bars.get.response", &Place { id, topic: format!("bars:{symbol}:{timeframe}") });
        });
    });
    stage::run(async |listener| {
        let listener = listener.tap_io(|stream| stream.set_nodelay(true).expect("a new socket takes options"));
        Ok(axum::serve(listener, Router::new().layer(layer)).await?)
    })
}

/// Emits an event. A socket that takes nothing ends, and the load client misses the answer.
fn answer(socket: &SocketRef, event: &str, payload: &impl Serialize) {
    drop(socket.emit(event, payload));
}
