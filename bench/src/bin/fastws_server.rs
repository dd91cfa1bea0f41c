//! The measured application on fastws, as anybody would write it. `fastws_server PORT`
//!
//! Everything is on that a service has on: heartbeats, limits, checked payloads. Only those ceilings are raised that the
//! load would hit by design. The first line that it prints says what the bounds are.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastws::{Client, FastWs, HttpLimits, Hub, Limits, Payload, State, Topic, payload, recv, send, serve};
use fastws_bench::stage;

/// One minute of trading, with a number that the load client checks.
#[payload]
struct Bar {
    t: u64,
    o: f64,
    h: f64,
    l: f64,
    c: f64,
    v: u64,
    n: u32,
    seq: u64,
}

/// A bar, and where it goes.
#[payload]
struct Publication {
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

/// Names a topic.
#[payload]
struct Subscription {
    topic: String,
}

/// Says that a subscription has begun.
#[payload]
struct Subscribed {
    ok: bool,
}

/// Names a series of bars.
#[payload]
struct Series {
    symbol: String,
    timeframe: u32,
}

/// Where a series of bars is published.
#[payload]
struct Place {
    topic: String,
}

/// How many connections have ended with each close code.
#[derive(Clone, Default)]
struct Endings(Arc<Mutex<BTreeMap<u16, u64>>>);

/// Subscribes to a topic.
#[send("sub", reply = "sub.response")]
async fn subscribe(Payload(wanted): Payload<Subscription>, client: Client) -> fastws::Result<Subscribed> {
    client.subscribe(&Topic::from(wanted.topic)).await?;
    Ok(Subscribed { ok: true })
}

/// Publishes a bar to the subscribers of a topic.
#[send("pub")]
async fn publish(Payload(publication): Payload<Publication>, hub: Hub) {
    let Publication { topic, t, o, h, l, c, v, n, seq } = publication;
    hub.publish::<bar>(&Topic::from(topic), Bar { t, o, h, l, c, v, n, seq });
}

/// A bar of a topic.
#[recv("bar")]
fn bar(bar: Bar) -> Bar {
    bar
}

/// Says where a series of bars is published.
#[send("bars.get", reply = "bars.get.response")]
async fn bars_get(Payload(Series { symbol, timeframe }): Payload<Series>) -> Place {
    Place { topic: format!("bars:{symbol}:{timeframe}") }
}

/// Counts the connections that have ended, by their close codes.
#[send("endings", reply = "endings.response")]
async fn endings(State(endings): State<Endings>) -> BTreeMap<u16, u64> {
    endings.0.lock().expect("nobody panics with it").clone()
}

fn main() -> fastws_bench::Result<()> {
    // A publisher has up to 64 publications pending, and one client is as much as a hundred ordinary ones; the rest is
    // what a service has by default.
    let limits =
        Limits { in_flight: 128, inbound_bytes_per_second: 1 << 30, inbound_burst_bytes: 1 << 30, ..Limits::default() };
    let http = HttpLimits::default();
    writeln!(std::io::stdout(), "heartbeat {HEARTBEAT:?}, {limits:?}, {http:?}")?;
    let endings = Endings::default();
    let ended = endings.clone();
    let ws = FastWs::builder().state(endings).heartbeat(HEARTBEAT).limits(limits).on_disconnect(move |_, reason| {
        *ended.0.lock().expect("nobody panics with it").entry(reason.code()).or_default() += 1;
        std::future::ready(())
    });
    let ws = ws.build()?;
    let app = fastws::axum::Router::new().route("/ws", ws.route());
    stage::run(async |listener| Ok(serve(listener, app).limits(http).await?))
}

const HEARTBEAT: Duration = Duration::from_secs(30);
