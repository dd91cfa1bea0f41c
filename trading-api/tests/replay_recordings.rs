//! Replays of recorded sessions, compared with what was computed from them by other means.
//!
//! The recordings are no part of this repository: `FASTWS_CAPTURES` names the folder they are in.
//! Where they are missing these tests say so and pass.
#![allow(clippy::print_stdout, reason = "a skipped test and a measured speed are told to people")]

use std::{
    collections::HashMap,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};

use rust_decimal::Decimal;
use serde_json::Value;
use trading_api::{
    market::{Bar, BookTop, Level, Market, Resolution},
    upstream::{
        Monitor, Summary, Venue,
        binance::{self, Message},
        replay::{Replay, Speed},
    },
};

const HFTBACKTEST: &str = "binance/hftbacktest";
const MARFUSIOS: &str = "bitfinex/marfusios";

/// The paths of these files; none, and a line about it, when one is missing.
fn captures<const N: usize>(folder: &str, names: [&str; N]) -> Option<[PathBuf; N]> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/captures");
    let root = std::env::var_os("FASTWS_CAPTURES").map_or_else(|| default.into(), PathBuf::from);
    let paths = names.map(|name| root.join(folder).join(name));
    if let Some(missing) = paths.iter().find(|path| !path.exists()) {
        println!("skipped: no recording at {}", missing.display());
        return None;
    }
    Some(paths)
}

async fn replay(paths: &[PathBuf]) -> (Market, Summary) {
    let market = Market::default();
    let venue = Box::new(Replay::open(paths.to_vec(), Speed::Max).expect("the recordings can be played"));
    let summary = venue.run(market.clone()).await.expect("the recordings can be read");
    println!("{:.0} messages a second", summary.status.messages as f64 / summary.elapsed.as_secs_f64());
    (market, summary)
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).expect("the expectations can be read")
}

fn expectations(path: &Path) -> Value {
    serde_json::from_str(&read(path)).expect("the expectations are JSON")
}

/// A number, or a text that holds one, exactly.
fn decimal(value: &Value) -> Decimal {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text.parse().expect("the expectation is a number")
}

fn expected_bars(path: &Path) -> Vec<Bar> {
    let bar = |line: &str| {
        let mut fields = line.split(',');
        let time = fields.next().and_then(|time| time.parse().ok()).expect("a bar begins with its time");
        let mut next = || fields.next().and_then(|field| field.parse().ok()).expect("a bar has five numbers");
        Bar { time, open: next(), high: next(), low: next(), close: next(), volume: next() }
    };
    read(path).lines().skip(1).map(bar).collect()
}

fn bars(market: &Market, symbol: &str) -> Vec<Bar> {
    market.bar_history(symbol, Resolution::OneMinute, i64::MIN, i64::MAX, None).expect("the symbol was recorded")
}

fn prices_and_quantities(levels: &[Level]) -> Vec<(Decimal, Decimal)> {
    levels.iter().map(|level| (level.price, level.quantity)).collect()
}

fn expected_levels(levels: &Value) -> Vec<(Decimal, Decimal)> {
    let levels = levels.as_array().expect("levels are listed");
    levels.iter().map(|level| (decimal(&level[0]), decimal(&level[1]))).collect()
}

fn sum(levels: &[Level]) -> Decimal {
    levels.iter().map(|level| level.quantity).sum()
}

#[tokio::test]
async fn a_recorded_binance_session_gives_the_expected_bars_and_book() {
    let names = ["btcusdt_20240808.gz", "btcusdt_20240809.gz", "btcusdt.minute-bars.csv", "btcusdt.expected.json"];
    let Some([first, second, csv, json]) = captures(HFTBACKTEST, names) else { return };
    let expected = expectations(&json);
    let (market, Summary { status, .. }) = replay(&[first, second]).await;

    assert_eq!(bars(&market, "BTCUSDT"), expected_bars(&csv));
    let BookTop { bids, asks, sequence, stale, .. } = market.book("BTCUSDT", usize::MAX).expect("recorded");
    assert_eq!((sequence, stale), (expected["final_update_id"].as_u64(), false));
    assert_eq!(expected["final_levels"], serde_json::json!([bids.len(), asks.len()]));
    assert_eq!(prices_and_quantities(&bids[..20]), expected_levels(&expected["top20_bids"]));
    assert_eq!(prices_and_quantities(&asks[..20]), expected_levels(&expected["top20_asks"]));
    for (count, name) in [
        (status.messages, "lines"),
        (status.outdated_updates, "depth_events_dropped"),
        (status.applied_updates, "depth_events_applied"),
        (status.gaps, "sequence_gaps"),
        (status.trades, "trades"),
    ] {
        assert_eq!(Some(count), expected[name].as_u64(), "{name}");
    }
    assert_eq!(Some(status.quotes), expected["kinds"]["btcusdt@bookTicker"].as_u64());
    assert_eq!(status.broken, 0);
}

#[test]
fn the_rebuilt_binance_book_agrees_with_the_exchanges_own_best_prices() {
    let names = ["btcusdt_20240808.gz", "btcusdt_20240809.gz", "btcusdt.expected.json"];
    let Some([first, second, json]) = captures(HFTBACKTEST, names) else { return };
    let expected = expectations(&json);
    let market = Market::default();
    let mut session = binance::Session::new(market.clone(), Monitor::default());
    let mut tickers = HashMap::new();
    let (mut checks, mut mismatches) = (0_u64, 0_u64);
    for path in [first, second] {
        let file = std::fs::File::open(path).expect("the recording can be opened");
        for line in BufReader::new(flate2::read::MultiGzDecoder::new(file)).lines() {
            let line = line.expect("the recording can be read");
            let (_, json) = line.split_once(' ').expect("a line begins with a time");
            let message = Message::decode(json).expect("nothing in this recording is broken");
            if let Message::Ticker(ticker) = &message {
                tickers.insert(ticker.update_id, (ticker.bid, ticker.ask));
            }
            let is_update = matches!(message, Message::DepthUpdate { .. });
            session.apply(message, 0).expect("nothing in this recording is broken");
            if !is_update {
                continue;
            }
            let book = market.book("BTCUSDT", 1).expect("recorded");
            if let Some((bid, ask)) = book.sequence.and_then(|id| tickers.get(&id)) {
                checks += 1;
                mismatches += u64::from((bid, ask) != (&book.bids[0], &book.asks[0]));
            }
        }
    }
    assert_eq!(Some(checks), expected["bookticker_same_update_id_checks"].as_u64());
    assert_eq!(Some(mismatches), expected["bookticker_mismatches"].as_u64());
}

#[tokio::test]
async fn a_recorded_bitfinex_session_gives_the_expected_bars_and_book() {
    let names = ["bitfinex_raw_2018-11-12.session1.txt.gz", "session1.minute-bars.csv", "session1.expected.json"];
    let Some([session, csv, json]) = captures(MARFUSIOS, names) else { return };
    let expected = expectations(&json);
    let (market, Summary { status, .. }) = replay(&[session]).await;

    assert_eq!(bars(&market, "BTCUSD"), expected_bars(&csv));
    let BookTop { bids, asks, .. } = market.book("BTCUSD", usize::MAX).expect("recorded");
    assert_eq!(expected["final_levels"], serde_json::json!([bids.len(), asks.len()]));
    for (level, best) in [(bids[0], "final_best_bid"), (asks[0], "final_best_ask")] {
        let best = &expected[best];
        assert_eq!((level.price, level.quantity), (decimal(&best[0]), decimal(&best[2])));
        assert_eq!(level.count.map(u64::from), best[1].as_u64());
    }
    assert_eq!(sum(&bids), decimal(&expected["final_bid_amount_sum"]));
    assert_eq!(sum(&asks), decimal(&expected["final_ask_amount_sum"]));
    assert_eq!(Some(status.messages), expected["messages"].as_u64());
    let kinds = |names: &[&str]| names.iter().filter_map(|name| expected["kinds"][*name].as_u64()).sum::<u64>();
    assert_eq!(status.events, kinds(&["event:info", "event:subscribed"]));
    assert_eq!(status.heartbeats, kinds(&["book:hb", "trades:hb"]));
    assert_eq!(status.snapshots, kinds(&["book:snapshot", "trades:snapshot"]));
    assert_eq!(status.book_updates, kinds(&["book:update"]));
    assert_eq!(status.trades, kinds(&["trades:te"]));
    assert_eq!(status.repeated_trades, kinds(&["trades:tu"]));
    assert_eq!((status.broken, status.ignored), (0, 0));
}
