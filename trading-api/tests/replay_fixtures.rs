//! Replays of small recordings made by hand, with all that can be wrong in one.

use std::{
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use rust_decimal::Decimal;
use tokio::time::Instant;
use trading_api::{
    market::{BookTop, Market, Resolution, Side},
    upstream::{
        Phase, Summary, Venue, VenueError,
        replay::{Replay, Speed},
    },
};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

async fn replay(paths: &[PathBuf], speed: Speed) -> (Market, Summary) {
    let market = Market::default();
    let venue = Box::new(Replay::open(paths.to_vec(), speed).expect("the recordings can be played"));
    let summary = venue.run(market.clone()).await.expect("the recordings can be read");
    (market, summary)
}

/// A recording with this content; it goes away with the returned folder.
fn recording(content: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("there is a folder for temporary files");
    let path = folder.path().join("recording");
    std::fs::write(&path, content).expect("the folder is new");
    (folder, path)
}

fn refused(path: &Path) -> String {
    let error = Replay::open(vec![path.to_owned()], Speed::Max).expect_err("this is no recording");
    error.to_string().replace(&path.display().to_string(), "PATH")
}

/// Prices and quantities as text.
fn levels(book: &BookTop, side: Side) -> Vec<(String, String)> {
    let levels = if side == Side::Buy { &book.bids } else { &book.asks };
    levels.iter().map(|level| (level.price.normalize().to_string(), level.quantity.normalize().to_string())).collect()
}

fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(String, String)> {
    pairs.map(|(price, quantity)| (price.to_owned(), quantity.to_owned())).into()
}

fn complaints(summary: &Summary) -> Vec<(u64, u64, String)> {
    let reason = |reason: String| reason.split(" at line").next().unwrap_or_default().to_owned();
    summary.broken.iter().map(|broken| (broken.number, broken.offset, reason(broken.reason.to_string()))).collect()
}

/// Where the n-th line of a fixture begins, from 1.
fn line_offset(name: &str, line: usize) -> u64 {
    let text = std::fs::read_to_string(fixture(name)).expect("the fixture is there");
    text.split_inclusive('\n').take(line - 1).map(|line| line.len() as u64).sum()
}

#[tokio::test]
async fn a_binance_book_begins_at_its_snapshot_and_is_stale_after_a_gap() {
    let (market, Summary { status, .. }) = replay(&[fixture("binance.txt")], Speed::Max).await;
    let book = market.book("ETHUSDT", 9).expect("listed");
    assert_eq!(levels(&book, Side::Buy), pairs([("2000.1", "1.25"), ("1998.5", "7")]));
    assert_eq!(levels(&book, Side::Sell), pairs([("2000.3", "1.5"), ("2000.4", "3"), ("2001", "6")]));
    assert_eq!((book.sequence, book.stale), (Some(106), true));
    assert_eq!((status.book_updates, status.outdated_updates), (5, 1));
    assert_eq!((status.applied_updates, status.gaps, status.snapshots), (2, 1, 1));
}

#[tokio::test]
async fn binance_trades_make_bars_and_quotes() {
    let (market, Summary { status, .. }) = replay(&[fixture("binance.txt")], Speed::Max).await;
    let trades = market.recent_trades("ETHUSDT", 9).expect("listed");
    assert_eq!(
        trades.iter().map(|trade| (trade.id, trade.side)).collect::<Vec<_>>(),
        [(501, Side::Buy), (503, Side::Sell), (506, Side::Buy)]
    );
    let bars = market.bar_history("ETHUSDT", Resolution::OneMinute, 0, i64::MAX, None).expect("listed");
    assert_eq!(bars.len(), 2);
    assert_eq!((bars[0].open, bars[0].close), (Decimal::new(20_003, 1), Decimal::new(20_001, 1)));
    assert_eq!((bars[0].time, bars[0].volume), (1_699_999_980_000, Decimal::new(625, 3)));
    let quote = market.last_quote("ETHUSDT").expect("listed").expect("there were trades");
    assert_eq!((quote.bid, quote.bid_size), (Some(Decimal::new(20_001, 1)), Some(Decimal::new(15, 1))));
    assert_eq!((status.messages, status.trades, status.quotes), (16, 3, 1));
    assert_eq!((status.events, status.ignored, status.phase), (1, 1, Phase::Ended));
    assert_eq!(status.last_message, Some(1_700_000_060_000));
}

#[tokio::test]
async fn a_broken_line_is_reported_with_its_place_and_the_replay_goes_on() {
    let (_, summary) = replay(&[fixture("binance.txt")], Speed::Max).await;
    let at = |line| (line as u64, line_offset("binance.txt", line));
    let wrong = |(number, offset): (u64, u64), reason: &str| (number, offset, reason.to_owned());
    assert_eq!(
        complaints(&summary),
        [
            wrong(at(6), "not understood: EOF while parsing an object"),
            wrong(at(9), "no time of arrival before the message"),
            wrong(at(12), "not understood: invalid value: string \"cheap\", expected a decimal number in a string"),
            wrong(at(13), "quantity is `0.00000000`, want a number above zero"),
        ]
    );
    assert_eq!(summary.status.broken, 4);
    let first = summary.broken[0].to_string();
    assert!(first.contains("binance.txt: message 6 at byte "), "{first}");
}

#[tokio::test]
async fn a_bitfinex_book_follows_its_updates() {
    let (market, Summary { status, .. }) = replay(&[fixture("bitfinex.txt")], Speed::Max).await;
    let book = market.book("tBTCUSD", 9).expect("listed");
    assert_eq!(levels(&book, Side::Buy), pairs([("35999.5", "0.25"), ("35998", "1"), ("35997", "0.5")]));
    assert_eq!(levels(&book, Side::Sell), pairs([("36001", "2"), ("36001.5", "0.0000007"), ("36003", "1.5")]));
    assert_eq!(book.bids.iter().map(|level| level.count).collect::<Vec<_>>(), [Some(1), Some(1), Some(4)]);
    assert_eq!((status.snapshots, status.book_updates, status.applied_updates), (2, 4, 4));
}

#[tokio::test]
async fn a_bitfinex_trade_counts_once_whether_told_by_te_or_tu() {
    let (market, Summary { status, .. }) = replay(&[fixture("bitfinex.txt")], Speed::Max).await;
    let trades = market.recent_trades("BTCUSD", 9).expect("listed");
    let told = trades.iter().map(|trade| (trade.id, trade.side, trade.quantity.to_string())).collect::<Vec<_>>();
    assert_eq!(
        told,
        [
            (1000, Side::Sell, "0.25".to_owned()),
            (1001, Side::Buy, "0.5".to_owned()),
            (1002, Side::Buy, "0.125".to_owned()),
            (1003, Side::Sell, "0.0000025".to_owned()),
            (1005, Side::Buy, "1".to_owned()),
        ]
    );
    let bars = market.bar_history("BTCUSD", Resolution::OneMinute, 0, i64::MAX, None).expect("listed");
    assert_eq!(bars.iter().map(|bar| bar.volume.to_string()).collect::<Vec<_>>(), ["0.1250025", "1"]);
    assert_eq!((status.trades, status.repeated_trades, status.heartbeats), (3, 1, 2));
    assert_eq!((status.messages, status.events, status.ignored), (22, 4, 2));
    let quote = market.last_quote("BTCUSD").expect("listed").expect("there were trades");
    assert_eq!((quote.last, quote.ask), (Decimal::from(36_002), Some(Decimal::from(36_001))));
}

#[tokio::test]
async fn broken_bitfinex_messages_are_named_by_what_is_wrong() {
    let (_, summary) = replay(&[fixture("bitfinex.txt")], Speed::Max).await;
    let reasons: Vec<_> = complaints(&summary).into_iter().map(|(number, _, reason)| (number, reason)).collect();
    let wrong = |number: u64, reason: &str| (number, reason.to_owned());
    assert_eq!(
        reasons,
        [
            wrong(10, "not understood: EOF while parsing a value"),
            wrong(14, "channel 99 was never subscribed"),
            wrong(19, "amount is `0`, want a number above zero"),
            wrong(20, "amount is missing"),
        ]
    );
}

#[tokio::test]
async fn after_a_reconnect_channels_are_new_and_missed_trades_are_made_up_for() {
    let again = br#"{"event":"info","version":2};;[22,[1,1,1]];;
        {"event":"subscribed","channel":"book","chanId":33,"symbol":"tBTCUSD","prec":"P0"};;[33,[]];;[33,[36500,1,2]];;
        {"event":"subscribed","channel":"trades","chanId":22,"symbol":"tBTCUSD"};;
        [22,[[1006,1700000101000,1,36003],[1005,1700000100000,1,36002]]];;"#;
    let (_folder, path) = recording(again);
    let (market, summary) = replay(&[fixture("bitfinex.txt"), path], Speed::Max).await;
    assert_eq!(levels(&market.book("BTCUSD", 9).expect("listed"), Side::Buy), pairs([("36500", "2")]));
    let trades = market.recent_trades("BTCUSD", 2).expect("listed");
    assert_eq!(trades.iter().map(|trade| trade.id).collect::<Vec<_>>(), [1005, 1006]);
    let unknown = summary.broken.last().map(|broken| broken.reason.to_string());
    assert_eq!(unknown.as_deref(), Some("channel 22 was never subscribed"));
}

#[tokio::test]
async fn packed_and_plain_recordings_give_the_same() {
    let plain = std::fs::read(fixture("bitfinex.txt")).expect("the fixture is there");
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packer.write_all(&plain).expect("memory can be written");
    let packed = packer.finish().expect("memory can be written");
    let (_folder, path) = recording(&packed);
    let (unpacked, _) = replay(&[fixture("bitfinex.txt")], Speed::Max).await;
    let (market, Summary { status, .. }) = replay(&[path], Speed::Max).await;
    assert_eq!(market.book("BTCUSD", 99), unpacked.book("BTCUSD", 99));
    assert_eq!((status.bytes_read, status.bytes_total), (packed.len() as u64, packed.len() as u64));
}

#[tokio::test(start_paused = true)]
async fn recorded_times_set_the_pace() {
    let start = Instant::now();
    replay(&[fixture("binance.txt")], Speed::Times(10.0)).await;
    assert_eq!(start.elapsed(), Duration::from_secs(6));

    // Bitfinex recordings have no times but those of their trades.
    let start = Instant::now();
    let (_, summary) = replay(&[fixture("bitfinex.txt")], Speed::Times(1.0)).await;
    assert_eq!(start.elapsed(), Duration::from_millis(59_500));
    assert_eq!(summary.elapsed, Duration::from_millis(59_500));
}

#[tokio::test]
async fn of_many_broken_lines_the_first_two_dozen_are_kept() {
    let broken = "1700000000000000000 {\n".repeat(100) + "1700000000000000000 \u{fffd}{}\n";
    let mut bytes = broken.into_bytes();
    bytes.extend_from_slice(b"1700000000000000000 {\"\xff\":1}\n");
    let (_folder, path) = recording(&bytes);
    let (_, summary) = replay(&[path], Speed::Max).await;
    assert_eq!((summary.status.broken, summary.broken.len()), (102, 24));
}

#[test]
fn what_is_no_recording_is_refused_by_name() {
    let missing = refused(Path::new("/no/such/recording.gz"));
    assert!(missing.starts_with("cannot read recording `PATH` at byte 0: No such file"), "{missing}");
    let (_folder, empty) = recording(b"\n");
    assert_eq!(refused(&empty), "recording `PATH` is empty");
    let (_folder, foreign) = recording(b"time,open,high,low,close\n1,2,3,4,5\n");
    assert!(refused(&foreign).starts_with("recording `PATH` is of an unknown format, want lines of"));
    let (_folder, damaged) = recording(&[0x1f, 0x8b, 1, 2, 3]);
    assert!(refused(&damaged).starts_with("cannot read recording `PATH` at byte 0"));
}

#[tokio::test]
async fn a_recording_cut_off_in_the_middle_is_an_error_that_says_where() {
    let plain = "1700000000000000000 {\"result\":null,\"id\":1}\n".repeat(10_000);
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    packer.write_all(plain.as_bytes()).expect("memory can be written");
    let packed = packer.finish().expect("memory can be written");
    let (_folder, path) = recording(&packed[..packed.len() / 2]);
    let venue = Box::new(Replay::open(vec![path], Speed::Max).expect("the beginning is well"));
    let monitor = venue.monitor();
    let error = venue.run(Market::default()).await.expect_err("the end is missing");
    assert!(matches!(error, VenueError::Unreadable { offset, .. } if offset > 100_000), "{error}");
    assert_eq!(monitor.status().phase, Phase::Ended);
    assert!(monitor.status().messages > 1_000);
}
