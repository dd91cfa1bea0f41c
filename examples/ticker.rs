//! A live topic: a price that moves for as long as somebody looks. `cargo run --example ticker [ADDRESS]`

use std::time::Duration;

use fastws::{AsyncApi, Error, FastWs, Params, Result, Updates, payload, serve, topic};
use tokio::net::TcpListener;

/// Names one ticker.
#[payload]
struct Ticker {
    /// AAPL or MSFT.
    #[garde(length(min = 1, max = 8))]
    #[schemars(example = &"AAPL")]
    symbol: String,
}

/// What it costs now.
#[payload]
struct Price {
    /// In cents.
    cents: u64,
}

/// Prices of one symbol, ten times a second.
///
/// The snapshot is the present price.
#[topic("ticker:{symbol}")]
async fn ticker(Params(wanted): Params<Ticker>, updates: Updates<Price>) -> Result<()> {
    let mut cents = match wanted.symbol.as_str() {
        "AAPL" => 22_900,
        "MSFT" => 42_500,
        other => return Err(Error::new("unknown_symbol", format!("`{other}` is not traded here")).permanent()),
    };
    updates.snapshot(Price { cents });
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        // Not random, but it goes up and down.
        cents = if cents % 7 < 3 { cents + 5 } else { cents - 4 };
        updates.send(Price { cents });
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let ws = FastWs::builder().heartbeat(Duration::from_secs(30)).build()?;
    let docs = AsyncApi::new("Ticker", "1.0.0").routes("/docs", &ws);
    let app = fastws::axum::Router::new().route("/ws", ws.route()).merge(docs);
    let listener = TcpListener::bind(std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into())).await?;
    eprintln!("http://{}/docs", listener.local_addr()?);
    Ok(serve(listener, app).with_graceful_shutdown(ws.shutdown_on(tokio::signal::ctrl_c())).await?)
}
