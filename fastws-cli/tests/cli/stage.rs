//! The trading API on a free port, with prices that move, and the command.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use fastws::FastWs;
use rust_decimal::Decimal;
use serde_json::Value;
use tempfile::NamedTempFile;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use trading_api::market::{Instrument, Market, Side, Trade};
use trading_api::upstream::Monitor;

/// This is a running trading API.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    ws: FastWs,
    market: Market,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<std::io::Result<()>>,
    moving: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_at("127.0.0.1:0".parse().expect("an address")).await
    }

    pub(crate) async fn start_at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let market = Market::default();
        let moving = tokio::spawn(keep_moving(market.clone()));
        let app = trading_api::app(&market, Monitor::default(), address).expect("an application");
        let (stop, stopped) = oneshot::channel();
        let signal = app.ws.shutdown_on(stopped);
        let serving = tokio::spawn(fastws::serve(listener, app.router).with_graceful_shutdown(signal).into_future());
        Self { address, ws: app.ws, market, stop, serving, moving }
    }

    pub(crate) async fn stop(self) {
        self.moving.abort();
        self.stop.send(()).expect("the server still listens");
        self.serving.await.expect("no panic").expect("no error");
    }

    pub(crate) fn socket(&self) -> String {
        format!("ws://{}{}", self.address, trading_api::WEBSOCKET_PATH)
    }

    /// The docs page.
    pub(crate) fn docs(&self) -> String {
        format!("http://{}{}", self.address, trading_api::DOCS_PATH)
    }

    pub(crate) fn document(&self) -> Value {
        trading_api::docs(self.address).document(&trading_api::service(&self.market).expect("a service"))
    }

    pub(crate) fn topics(&self) -> usize {
        self.ws.hub().topics().len()
    }
}

/// Lists the symbols of the examples, and moves their prices.
async fn keep_moving(market: Market) {
    let symbols = ["AAPL", "GOOGL", "MSFT", "BTCUSD", "ETHUSD"];
    let publishers = symbols.map(|symbol| market.list(Instrument::crypto(symbol, "NASDAQ")));
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    for id in 1.. {
        for publisher in &publishers {
            publisher.trade(Trade {
                symbol: publisher.symbol().clone(),
                id,
                time: 1_760_270_400_000 + i64::try_from(id).expect("small"),
                price: Decimal::from(100 + id % 10),
                quantity: Decimal::ONE,
                side: Side::Buy,
            });
        }
        ticks.tick().await;
    }
}

/// This is what a run of the command has said.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Told {
    /// The lines of standard output, which are JSON.
    pub(crate) fn values(&self) -> Vec<Value> {
        let lines = self.out.lines();
        lines.map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line} is no JSON"))).collect()
    }
}

/// Runs the command to its end.
pub(crate) async fn fastws(arguments: &[&str]) -> Told {
    fastws_reading("", arguments).await
}

/// Runs the command with something on its standard input.
pub(crate) async fn fastws_reading(input: &str, arguments: &[&str]) -> Told {
    let mut child = command(arguments).stdin(Stdio::piped()).spawn().expect("the command runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    // Those that do not read it close it.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let output = timeout(PATIENCE, child.wait_with_output()).await.expect("the command ends").expect("it ran");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    let told = Told { code: output.status.code().expect("a code"), out: text(output.stdout), err: text(output.stderr) };
    assert!(!told.err.contains("panicked"), "{}", told.err);
    told
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fastws"));
    command.args(arguments).env_remove("FASTWS_TOKEN").stdin(Stdio::null()).kill_on_drop(true);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// This is a command that is still running.
pub(crate) struct Running {
    child: Child,
    out: Option<Lines<BufReader<ChildStdout>>>,
    err: Lines<BufReader<ChildStderr>>,
}

impl Running {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut child = command(arguments).spawn().expect("the command runs");
        let out = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let err = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        Self { child, out: Some(out), err }
    }

    /// The next line of standard output.
    pub(crate) async fn line(&mut self) -> Value {
        let out = self.out.as_mut().expect("it is still read");
        let line = timeout(PATIENCE, out.next_line()).await.expect("a line comes").expect("text");
        serde_json::from_str(&line.expect("it still prints")).expect("JSON")
    }

    /// The next line of standard error that contains something.
    pub(crate) async fn noted(&mut self, what: &str) -> String {
        loop {
            let line = timeout(PATIENCE, self.err.next_line()).await.expect("a line comes").expect("text");
            let line = line.unwrap_or_else(|| panic!("`{what}` was never said"));
            if line.contains(what) {
                return line;
            }
        }
    }

    /// Stops reading what it prints.
    pub(crate) fn stop_reading(&mut self) {
        self.out = None;
    }

    /// Presses Ctrl-C.
    pub(crate) async fn interrupt(&self) {
        let id = self.child.id().expect("it runs").to_string();
        let killed = Command::new("kill").args(["-INT", &id]).status().await.expect("kill runs");
        assert!(killed.success());
    }

    /// The exit code.
    pub(crate) async fn code(mut self) -> i32 {
        let status = timeout(PATIENCE, self.child.wait()).await.expect("it ends").expect("it ran");
        status.code().expect("a code")
    }
}

/// A file with a document.
pub(crate) fn file(document: &Value) -> NamedTempFile {
    let file = tempfile::Builder::new().suffix(".json").tempfile().expect("a file");
    std::fs::write(&file, document.to_string()).expect("written");
    file
}

pub(crate) fn path(file: &NamedTempFile) -> &str {
    file.path().to_str().expect("a path")
}

/// How long a test waits before it fails.
const PATIENCE: Duration = Duration::from_secs(60);
