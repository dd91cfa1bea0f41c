//! The program itself: its configuration, its messages, and a replay that stays queryable.

mod server;

use std::process::{Command, Output, Stdio};
use std::time::Instant;

use serde_json::Value;
use server::program::{PATIENCE, PROGRAM, Program};
use server::repository;

fn run(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).stdin(Stdio::null()).output().expect("the program runs")
}

/// What the program complains about.
fn complaint(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(!output.status.success(), "{arguments:?} should have failed");
    String::from_utf8(output.stderr).expect("text")
}

#[test]
fn a_wrong_value_names_the_key_the_value_and_what_is_allowed() {
    let text = complaint(&["--speed", "fast"]);
    assert!(text.contains("'fast'") && text.contains("--speed") && text.contains("max"), "{text}");
    let text = complaint(&["--venue", "moon"]);
    assert!(text.contains("'moon'") && text.contains("simulator") && text.contains("replay"), "{text}");
    let text = complaint(&["--listen", "8000"]);
    assert!(text.contains("'8000'") && text.contains("--listen"), "{text}");
    let text = complaint(&["--venue", "replay"]);
    assert!(text.contains("--replay PATH"), "{text}");
    let text = complaint(&["--replay", "nowhere.gz"]);
    assert!(text.contains("nowhere.gz"), "{text}");
    let text = complaint(&["--speed", "2"]);
    assert!(text.contains("only a replay has a speed"), "{text}");
}

#[test]
fn a_file_is_checked_like_the_command_line_and_has_less_to_say() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("trading.toml");
    let path = file.to_str().expect("a path");
    for (content, reasons) in [
        ("speed = \"fast\"", ["`speed` is `fast`", "max"]),
        ("listen = \"here\"", ["`listen` is `here`", "127.0.0.1:8000"]),
        ("venue = \"moon\"", ["`venue` is `moon`", "simulator"]),
        ("colour = 1", ["colour", "listen"]),
        ("listen = ", ["trading.toml", "1"]),
    ] {
        std::fs::write(&file, content).expect("written");
        let text = complaint(&["--config", path]);
        assert!(reasons.iter().all(|reason| text.contains(reason)), "{text}");
    }
    std::fs::write(&file, "listen = \"127.0.0.1:9\"\nseed = 3\n").expect("written");
    let listed = |extra: &[&str], variable: Option<&str>| -> Value {
        let mut command = Command::new(PROGRAM);
        command.args(["--print-asyncapi", "--config", path]).args(extra);
        command.envs(variable.map(|value| ("TRADING_API_LISTEN", value)));
        let output = command.output().expect("the program runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let document: Value = serde_json::from_slice(&output.stdout).expect("a document");
        document["servers"]["local"]["url"].clone()
    };
    assert_eq!(listed(&[], None), "ws://127.0.0.1:9");
    assert_eq!(listed(&[], Some("127.0.0.1:10")), "ws://127.0.0.1:10");
    assert_eq!(listed(&["--listen", "127.0.0.1:11"], Some("127.0.0.1:10")), "ws://127.0.0.1:11");
}

#[test]
fn an_address_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("an address").to_string();
    let text = complaint(&["--listen", &address]);
    assert!(text.contains(&format!("cannot listen on {address}")) && text.contains("--listen"), "{text}");
}

#[test]
fn the_simulator_is_live_at_once() {
    let program = Program::start(&["--seed", "7"]);
    let symbols = ["AAPL", "GOOGL", "MSFT", "BTCUSD", "ETHUSD", "LTCUSD", "BTCUSDT", "ETHUSDT", "ADAUSDT"];
    // Its prices begin with a history, which takes a moment to make.
    let patience = Instant::now() + PATIENCE;
    let asked = format!("/api/v1/datafeed/quotes?symbols={}", symbols.join(","));
    let is_live = || program.get(&asked)["d"].as_array().expect("quotes").iter().all(|quote| quote["s"] == "ok");
    while !is_live() {
        assert!(Instant::now() < patience, "some symbol has no price: {}", program.get(&asked));
    }
    for symbol in symbols {
        let book = program.get(&format!("/api/v1/orderbook/{symbol}?depth=1"));
        let price = |side: &str| book[side][0][0].as_f64().expect("a price");
        assert!(price("bids") < price("asks"), "{book}");
    }
}

#[test]
fn a_replay_stays_queryable_when_it_has_ended() {
    let recording = repository("trading-api/tests/fixtures").join("bitfinex.txt");
    let program = Program::start(&["--replay", recording.to_str().expect("a path"), "--speed", "max"]);
    let line = program.wait_for("messages/s");
    assert!(line.contains("broken"), "{line}");
    let trades = program.get("/api/v1/trades/BTCUSD");
    assert!(!trades["trades"].as_array().expect("trades").is_empty());
    let history = program.get("/api/v1/datafeed/history?symbol=BTCUSD&resolution=1&to=2000000000&countback=9");
    assert_eq!(history["s"], "ok");
    assert_eq!(program.get("/api/v1/health")["venue"]["phase"], "ended");
}
