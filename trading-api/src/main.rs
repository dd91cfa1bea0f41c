//! Reads the configuration, assembles the application, and serves it.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::Parser;
use fastws::FastWs;
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;
use trading_api::config::{Arguments, Config, Venue as Chosen};
use trading_api::market::Market;
use trading_api::notices;
use trading_api::upstream::replay::Replay;
use trading_api::upstream::simulator::Simulator;
use trading_api::upstream::{Monitor, Running, Summary, Venue, VenueError, progress};

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("trading-api: {error}");
            ExitCode::FAILURE
        }
    }
}

type AnyError = Box<dyn std::error::Error + Send + Sync>;

async fn run(arguments: Arguments) -> Result<(), AnyError> {
    let print_asyncapi = arguments.print_asyncapi;
    let config = arguments.resolve()?;
    let market = Market::default();
    if let Some(version) = print_asyncapi {
        let document = trading_api::docs(config.listen).asyncapi(version).json(&trading_api::service(&market)?);
        return Ok(std::io::stdout().write_all(document.as_bytes())?);
    }
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,trading_api=info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();

    let venue = open(&config)?;
    let listener = TcpListener::bind(config.listen).await.map_err(|error| {
        format!("cannot listen on {}: {error}; choose another address with `--listen`", config.listen)
    })?;
    let address = listener.local_addr()?;
    let app = trading_api::app(&market, venue.monitor(), address)?;
    let venue = OpenVenue { name: venue.name(), monitor: venue.monitor(), running: venue.run(market.clone()) };
    eprintln!("trading-api: http://{address}");
    eprintln!("  socket  ws://{address}{}", trading_api::WEBSOCKET_PATH);
    eprintln!("  docs    http://{address}{}", trading_api::DOCS_PATH);
    let playing = tokio::spawn(play(venue, market, app.ws.clone()));
    let signal = app.ws.shutdown_on(stop());
    fastws::serve(listener, app.router).with_graceful_shutdown(signal).await?;
    playing.abort();
    Ok(())
}

/// Opens the chosen venue. Recordings are looked at here, so that a wrong path ends the program at once.
fn open(config: &Config) -> Result<Box<dyn Venue>, VenueError> {
    Ok(match &config.venue {
        Chosen::Simulator { seed } => Box::new(Simulator::new(*seed)),
        Chosen::Replay { paths, speed } => Box::new(Replay::open(paths.clone(), *speed)?),
    })
}

/// This is a venue about to run, with what tells of it.
struct OpenVenue {
    name: &'static str,
    monitor: Monitor,
    running: Running,
}

/// Runs the venue, and tells everybody when it has ended. The market stays as it is then.
async fn play(OpenVenue { name, monitor, running }: OpenVenue, market: Market, ws: FastWs) {
    tracing::info!(venue = name, "venue starts");
    let drawing = tokio::spawn(progress::draw(monitor.clone()));
    let ended = tokio::select! {
        ended = running => ended,
        () = notices::watch(market, ws.hub().clone()) => unreachable!("it runs until it is dropped"),
    };
    // The bar draws itself a last time; a venue that failed may leave it waiting.
    let _ = tokio::time::timeout(std::time::Duration::from_secs(1), drawing).await;
    let news = match ended {
        Ok(summary) => report(&summary),
        Err(error) => {
            let seen = monitor.status();
            tracing::error!(%error, messages = seen.messages, broken = seen.broken, "venue failed");
            "the venue has failed; prices no longer change".to_owned()
        }
    };
    ws.hub().broadcast::<notices::notification>(news);
}

fn report(summary: &Summary) -> String {
    let (messages, elapsed) = (summary.status.messages, summary.elapsed.as_secs_f64());
    #[allow(clippy::cast_precision_loss, reason = "a rate for a person")]
    let rate = messages as f64 / elapsed.max(f64::EPSILON);
    eprintln!(
        "trading-api: played {messages} messages in {elapsed:.2} s ({rate:.0} messages/s), {} broken; the market stays",
        summary.status.broken
    );
    format!("the venue has ended after {messages} messages; prices no longer change")
}

/// Waits until the program is asked to stop.
async fn stop() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    // Without a signal to wait for, the program ends when it is killed.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}
