//! A clock: one operation and one live topic, with their docs page. Run it with `cargo run --example clock`.

use std::time::{Duration, Instant};

use fastws::{AsyncApi, FastWs, Params, Updates, payload, send, serve, topic};

/// How often the clock ticks.
#[payload]
struct Pace {
    /// Milliseconds from one tick to the next.
    #[garde(range(min = 100, max = 60_000))]
    every_ms: u64,
}

/// What the clock shows.
#[payload]
struct Tick {
    /// How many ticks there were.
    count: u64,
}

/// Says hello.
#[send("hello", reply = "hello.response")]
async fn hello() -> String {
    "Hello! Subscribe to clock.subscribe.".into()
}

/// A clock that ticks as often as you like, for as long as somebody listens.
#[topic("clock:{every_ms}")]
async fn clock(Params(pace): Params<Pace>, updates: Updates<Tick>) {
    let begun = Instant::now();
    updates.snapshot(Tick { count: 0 });
    loop {
        tokio::time::sleep(Duration::from_millis(pace.every_ms)).await;
        let count = begun.elapsed().as_millis() / u128::from(pace.every_ms);
        updates.send(Tick { count: u64::try_from(count).unwrap_or(u64::MAX) });
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let ws = FastWs::builder().heartbeat(Duration::from_secs(30)).build()?;
    let docs = AsyncApi::new("Clock", "1.0.0").server("local", "ws://127.0.0.1:8000/ws");
    let app = fastws::axum::Router::new().route("/ws", ws.route()).merge(docs.routes("/docs", &ws));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8000").await?;
    eprintln!("http://127.0.0.1:8000/docs");
    let signal = ws.shutdown_on(tokio::signal::ctrl_c());
    Ok(serve(listener, app).with_graceful_shutdown(signal).await?)
}
