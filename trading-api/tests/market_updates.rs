//! What readers of a market are woken for, and what they see when they are slow.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use rust_decimal::Decimal;
use trading_api::market::{Instrument, Level, Limits, Market, OrderBook, Publisher, Resolution, Side, Trade};

/// 2024-08-09 00:00 UTC.
const MIDNIGHT: i64 = 1_723_161_600_000;
const MINUTE: i64 = 60_000;

fn listed(limits: Limits) -> (Market, Publisher) {
    let market = Market::new(limits);
    let bitcoin = market.list(Instrument::crypto("BTCUSD", "BITFINEX"));
    (market, bitcoin)
}

/// A trade in the n-th minute after midnight.
fn trade(id: u64, minute: i64, price: i64) -> Trade {
    Trade {
        symbol: "BTCUSD".into(),
        id,
        time: MIDNIGHT + minute * MINUTE,
        price: Decimal::from(price),
        quantity: Decimal::ONE,
        side: Side::Sell,
    }
}

fn bid(price: i64, quantity: i64) -> (Side, Level) {
    (Side::Buy, Level::new(Decimal::from(price), Decimal::from(quantity)))
}

/// Everything that can be read without waiting.
macro_rules! ready {
    ($updates:expr, |$update:ident| $seen:expr) => {{
        let mut all = Vec::new();
        while let Some(update) = now_or_never($updates.next()) {
            let $update = update.expect("the market is still here");
            all.push($seen);
        }
        all
    }};
}

/// Polls a future once.
fn now_or_never<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// Minute after midnight and closing price.
macro_rules! ready_bars {
    ($bars:expr) => {
        ready!($bars, |bar| ((bar.time - MIDNIGHT) / MINUTE, bar.close.to_string()))
    };
}

fn bar(minute: i64, close: &str) -> (i64, String) {
    (minute, close.to_owned())
}

#[tokio::test]
async fn a_reader_of_bars_sees_the_present_bar_and_then_every_change() {
    let (market, bitcoin) = listed(Limits::default());
    bitcoin.trade(trade(1, 0, 10));
    bitcoin.trade(trade(2, 1, 11));
    let mut bars = market.bars("BTCUSD", Resolution::OneMinute).expect("listed");
    assert_eq!(ready_bars!(bars), [bar(1, "11")]);
    bitcoin.trade(trade(3, 1, 12));
    assert_eq!(ready_bars!(bars), [bar(1, "12")]);
    bitcoin.trade(trade(4, 5, 13));
    assert_eq!(ready_bars!(bars), [bar(5, "13")]);
    assert_eq!(ready_bars!(bars), []);
}

#[tokio::test]
async fn a_slow_reader_sees_each_closed_bar_in_its_final_state_and_ends_on_the_newest() {
    let (market, bitcoin) = listed(Limits::default());
    let mut bars = market.bars("BTCUSD", Resolution::OneMinute).expect("listed");
    bitcoin.trade(trade(1, 0, 10));
    assert_eq!(ready_bars!(bars), [bar(0, "10")]);
    for (id, (minute, price)) in (2..).zip([(0, 11), (0, 12), (1, 13), (1, 14), (4, 15), (4, 16)]) {
        bitcoin.trade(trade(id, minute, price));
    }
    assert_eq!(ready_bars!(bars), [bar(0, "12"), bar(1, "14"), bar(4, "16")]);
}

#[tokio::test]
async fn a_reader_who_came_before_the_first_trade_misses_no_bar() {
    let (market, bitcoin) = listed(Limits::default());
    let mut bars = market.bars("BTCUSD", Resolution::OneMinute).expect("listed");
    bitcoin.trade(trade(1, 0, 10));
    bitcoin.trade(trade(2, 1, 11));
    assert_eq!(ready_bars!(bars), [bar(0, "10"), bar(1, "11")]);
}

#[tokio::test]
async fn a_reader_far_behind_goes_on_with_what_is_still_known() {
    let (market, bitcoin) = listed(Limits { bars: 2, trades: 2 });
    let mut bars = market.bars("BTCUSD", Resolution::OneMinute).expect("listed");
    let mut trades = market.trades("BTCUSD").expect("listed");
    (0..5).for_each(|n| bitcoin.trade(trade(n as u64, n, 10 + n)));
    assert_eq!(ready_bars!(bars), [bar(3, "13"), bar(4, "14")]);
    assert_eq!(ready!(trades, |trade| trade.id), [3, 4]);
    assert_eq!(trades.missed(), 3);
}

#[tokio::test]
async fn a_reader_of_trades_sees_each_once_from_now_on() {
    let (market, bitcoin) = listed(Limits::default());
    bitcoin.trade(trade(1, 0, 10));
    let mut trades = market.trades("BTCUSD").expect("listed");
    bitcoin.past_trades(vec![trade(0, -1, 9)]);
    assert_eq!(ready!(trades, |trade| trade.id), [0_u64; 0]);
    bitcoin.trade(trade(2, 0, 10));
    bitcoin.trade(trade(3, 0, 10));
    assert_eq!(ready!(trades, |trade| trade.id), [2, 3]);
    assert_eq!(trades.missed(), 0);
}

#[tokio::test]
async fn of_quotes_the_newest_wins() {
    let (market, bitcoin) = listed(Limits::default());
    let mut quotes = market.quotes("BTCUSD").expect("listed");
    assert_eq!(ready!(quotes, |quote| quote.last), []);
    bitcoin.trade(trade(1, 0, 10));
    bitcoin.trade(trade(2, 0, 11));
    assert_eq!(ready!(quotes, |quote| quote.last), [Decimal::from(11)]);
    bitcoin.levels(MIDNIGHT, None, &[bid(9, 1)]);
    assert_eq!(ready!(quotes, |quote| quote.bid), [Some(Decimal::from(9))]);
    bitcoin.levels(MIDNIGHT, None, &[bid(8, 1)]);
    assert_eq!(ready!(quotes, |quote| quote.bid), []);
}

#[tokio::test]
async fn a_venues_own_best_prices_rule_over_its_book() {
    let (market, bitcoin) = listed(Limits::default());
    let mut quotes = market.quotes("BTCUSD").expect("listed");
    bitcoin.trade(trade(1, 0, 10));
    bitcoin.best(MIDNIGHT, bid(9, 1).1, bid(11, 1).1);
    bitcoin.levels(MIDNIGHT, None, &[bid(8, 1)]);
    assert_eq!(ready!(quotes, |quote| quote.bid), [Some(Decimal::from(9))]);
}

#[tokio::test]
async fn a_reader_of_a_book_is_spared_changes_below_its_depth() {
    let (market, bitcoin) = listed(Limits::default());
    let mut books = market.books("BTCUSD", 2).expect("listed");
    assert_eq!(ready!(books, |book| book.bids.len()), [0_usize; 0]);
    bitcoin.levels(MIDNIGHT, Some(1), &[bid(10, 1), bid(9, 1), bid(8, 1)]);
    assert_eq!(ready!(books, |book| (book.sequence, book.bids.len())), [(Some(1), 2)]);
    bitcoin.levels(MIDNIGHT, Some(2), &[bid(8, 5)]);
    assert_eq!(ready!(books, |book| book.sequence), []);
    bitcoin.levels(MIDNIGHT, Some(3), &[bid(9, 0)]);
    assert_eq!(ready!(books, |book| book.bids[1].price), [Decimal::from(8)]);
}

#[tokio::test]
async fn a_stale_book_says_so_until_it_is_replaced() {
    let (market, bitcoin) = listed(Limits::default());
    let mut books = market.books("BTCUSD", 2).expect("listed");
    bitcoin.levels(MIDNIGHT, None, &[bid(10, 1)]);
    assert_eq!(ready!(books, |book| book.stale), [false]);
    bitcoin.stale();
    assert_eq!(ready!(books, |book| book.stale), [true]);
    bitcoin.book(OrderBook::new("BTCUSD".into(), MIDNIGHT, None));
    assert_eq!(ready!(books, |book| (book.stale, book.bids.len())), [(false, 0)]);
}

#[tokio::test]
async fn readers_are_woken_by_writers_on_other_threads_and_end_with_the_market() {
    let (market, bitcoin) = listed(Limits::default());
    let mut trades = market.trades("BTCUSD").expect("listed");
    let writer = std::thread::spawn(move || (0..500).for_each(|id| bitcoin.trade(trade(id, 0, 10))));
    for id in 0..500 {
        assert_eq!(trades.next().await.map(|trade| trade.id), Some(id));
    }
    writer.join().expect("the writer does not panic");
    drop(market);
    assert_eq!(trades.next().await, None);
}
