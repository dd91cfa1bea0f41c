//! What a market makes of trades and books, against simple models of the same.

use std::{collections::BTreeMap, sync::Arc};

use proptest::prelude::*;
use rust_decimal::Decimal;
use trading_api::market::{Bar, Instrument, Level, Limits, Market, OrderBook, Publisher, Resolution, Side, Trade};

/// 2024-08-09 00:00 UTC, a Friday.
const MIDNIGHT: i64 = 1_723_161_600_000;
const MINUTE: i64 = 60_000;

fn listed(limits: Limits) -> (Market, Publisher) {
    let market = Market::new(limits);
    let bitcoin = market.list(Instrument::crypto("BTCUSD", "BITFINEX"));
    (market, bitcoin)
}

fn trade(id: u64, time: i64, cents: i64, quantity: i64) -> Trade {
    let (price, quantity) = (Decimal::new(cents, 2), Decimal::new(quantity, 8));
    Trade { symbol: "BTCUSD".into(), id, time, price, quantity, side: Side::Buy }
}

fn all_bars(market: &Market, resolution: Resolution) -> Vec<Bar> {
    market.bar_history("BTCUSD", resolution, i64::MIN, i64::MAX, None).expect("listed")
}

/// Bars made straight from the trades of each bucket.
fn bars_of(trades: &[Trade], resolution: Resolution) -> Vec<Bar> {
    let mut buckets = BTreeMap::<i64, Vec<&Trade>>::new();
    for trade in trades {
        buckets.entry(resolution.bucket(trade.time)).or_default().push(trade);
    }
    let bar = |(time, trades): (i64, Vec<&Trade>)| {
        let prices = || trades.iter().map(|trade| trade.price);
        Bar {
            time,
            open: trades[0].price,
            high: prices().max().expect("a bucket has a trade"),
            low: prices().min().expect("a bucket has a trade"),
            close: trades[trades.len() - 1].price,
            volume: trades.iter().map(|trade| trade.quantity).sum(),
        }
    };
    buckets.into_iter().map(bar).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn bars_folded_from_minutes_equal_bars_made_of_trades(
        steps in prop::collection::vec((0..40 * MINUTE, 1..10_000_000_i64, 1..10_000_000_000_i64), 1..200),
    ) {
        let (market, bitcoin) = listed(Limits::default());
        let mut time = MIDNIGHT - 400 * MINUTE;
        let mut trades = Vec::new();
        for (id, (pause, cents, quantity)) in steps.into_iter().enumerate() {
            time += pause;
            trades.push(trade(id as u64, time, cents, quantity));
        }
        trades.iter().cloned().for_each(|trade| bitcoin.trade(trade));

        for resolution in Resolution::ALL {
            prop_assert_eq!(all_bars(&market, resolution), bars_of(&trades, resolution));
        }

        // The same minutes, told as the past to a market that saw no trade.
        let (other, told) = listed(Limits::default());
        told.past_bars(Resolution::OneMinute, &all_bars(&market, Resolution::OneMinute));
        for resolution in Resolution::ALL {
            prop_assert_eq!(all_bars(&other, resolution), all_bars(&market, resolution));
        }
    }

    #[test]
    fn an_order_book_holds_what_a_plain_list_of_levels_holds(
        changes in prop::collection::vec((any::<bool>(), 1..60_i64, 0..3_u32, 0..4_i64), 0..300),
        depth in 0..70_usize,
    ) {
        let mut book = OrderBook::new("BTCUSD".into(), 0, None);
        let mut model: [Vec<Level>; 2] = [Vec::new(), Vec::new()];
        for (is_bid, ticks, scale, quantity) in changes {
            // The same price in several spellings: 5, 5.0, 5.00.
            let price = Decimal::new(ticks * 10_i64.pow(scale), scale);
            let level = Level::new(price, Decimal::from(quantity));
            book.set(if is_bid { Side::Buy } else { Side::Sell }, level);
            let levels = &mut model[usize::from(!is_bid)];
            levels.retain(|known| known.price != price);
            if quantity > 0 {
                levels.push(level);
            }
        }
        let [bids, asks] = &mut model;
        bids.sort_by_key(|level| std::cmp::Reverse(level.price));
        asks.sort_by_key(|level| level.price);

        prop_assert_eq!(book.best_bid(), bids.first().copied());
        prop_assert_eq!(book.best_ask(), asks.first().copied());
        prop_assert_eq!((book.len(Side::Buy), book.len(Side::Sell)), (bids.len(), asks.len()));
        prop_assert_eq!(book.sum(Side::Buy), bids.iter().map(|level| level.quantity).sum::<Decimal>());
        let top = book.top(depth);
        prop_assert_eq!(top.bids, bids.iter().copied().take(depth).collect::<Vec<_>>());
        prop_assert_eq!(top.asks, asks.iter().copied().take(depth).collect::<Vec<_>>());
    }
}

#[test]
fn there_is_no_bar_where_nothing_was_traded() {
    let (market, bitcoin) = listed(Limits::default());
    bitcoin.trade(trade(1, MIDNIGHT, 644_310, 1));
    bitcoin.trade(trade(2, MIDNIGHT + 3 * MINUTE, 644_320, 1));
    let times: Vec<_> = all_bars(&market, Resolution::OneMinute).iter().map(|bar| bar.time).collect();
    assert_eq!(times, [MIDNIGHT, MIDNIGHT + 3 * MINUTE]);
}

#[test]
fn a_late_trade_corrects_the_bar_it_belongs_to() {
    let (market, bitcoin) = listed(Limits::default());
    bitcoin.trade(trade(1, MIDNIGHT, 644_310, 10));
    bitcoin.trade(trade(3, MIDNIGHT + MINUTE, 644_320, 10));
    bitcoin.trade(trade(2, MIDNIGHT + 1, 644_400, 10));
    let bars = all_bars(&market, Resolution::OneMinute);
    assert_eq!((bars.len(), bars[0].high, bars[0].volume), (2, Decimal::new(644_400, 2), Decimal::new(20, 8)));
}

#[test]
fn history_is_asked_for_by_time_or_by_count() {
    let (market, bitcoin) = listed(Limits::default());
    (0..10).for_each(|n| bitcoin.trade(trade(n as u64, MIDNIGHT + n * MINUTE, 644_310, 1)));
    let minutes = |from: i64, to: i64, count| {
        let (from, to) = (MIDNIGHT + from * MINUTE, MIDNIGHT + to * MINUTE);
        let bars = market.bar_history("BTCUSD", Resolution::OneMinute, from, to, count).expect("listed");
        bars.iter().map(|bar| (bar.time - MIDNIGHT) / MINUTE).collect::<Vec<_>>()
    };
    assert_eq!(minutes(3, 6, None), [3, 4, 5]);
    assert_eq!(minutes(5, 6, Some(4)), [2, 3, 4, 5]);
    assert_eq!(minutes(8, 99, None), [8, 9]);
    assert_eq!(minutes(6, 3, None), [0_i64; 0]);
}

#[test]
fn memory_is_bounded() {
    let (market, bitcoin) = listed(Limits { bars: 3, trades: 2 });
    (0..10).for_each(|n| bitcoin.trade(trade(n as u64, MIDNIGHT + n * MINUTE, 644_310, 1)));
    let bars = all_bars(&market, Resolution::OneMinute);
    assert_eq!((bars.len(), bars[0].time), (3, MIDNIGHT + 7 * MINUTE));
    let ids: Vec<_> = market.recent_trades("BTCUSD", 99).expect("listed").iter().map(|trade| trade.id).collect();
    assert_eq!(ids, [8, 9]);
}

#[test]
fn past_trades_come_before_the_known_and_make_no_bars() {
    let (market, bitcoin) = listed(Limits::default());
    bitcoin.trade(trade(5, MIDNIGHT, 644_310, 1));
    bitcoin.past_trades(vec![trade(3, MIDNIGHT - 2, 644_290, 1), trade(4, MIDNIGHT - 1, 644_300, 1)]);
    let ids: Vec<_> = market.recent_trades("BTCUSD", 99).expect("listed").iter().map(|trade| trade.id).collect();
    assert_eq!(ids, [3, 4, 5]);
    assert_eq!(all_bars(&market, Resolution::OneMinute).len(), 1);
}

#[test]
fn a_quote_counts_its_change_from_the_days_first_price() {
    let (market, bitcoin) = listed(Limits::default());
    let quote = || market.last_quote("BTCUSD").expect("listed");
    assert_eq!(quote(), None);
    bitcoin.trade(trade(1, MIDNIGHT - 1, 500_000, 7));
    bitcoin.trade(trade(2, MIDNIGHT, 640_000, 10));
    bitcoin.trade(trade(3, MIDNIGHT + 1, 620_000, 10));
    bitcoin.trade(trade(4, MIDNIGHT + 2, 632_000, 10));
    bitcoin.levels(
        MIDNIGHT + 3,
        None,
        &[(Side::Buy, level(631_900, 5)), (Side::Sell, level(632_100, 6)), (Side::Buy, level(631_800, 9))],
    );
    let quote = quote().expect("there were trades");
    assert_eq!((quote.time, quote.last), (MIDNIGHT + 3, Decimal::new(632_000, 2)));
    assert_eq!((quote.open, quote.high, quote.low), (Decimal::from(6400), Decimal::from(6400), Decimal::from(6200)));
    assert_eq!((quote.change, quote.change_percent), (Decimal::from(-80), Decimal::new(-125, 2)));
    assert_eq!((quote.bid, quote.bid_size), (Some(Decimal::from(6319)), Some(Decimal::from(5))));
    assert_eq!((quote.ask, quote.ask_size), (Some(Decimal::from(6321)), Some(Decimal::from(6))));
    assert_eq!(quote.volume, Decimal::new(30, 8));
}

#[test]
fn numbers_too_large_to_add_do_not_bring_the_market_down() {
    let (market, bitcoin) = listed(Limits::default());
    for id in 0..3 {
        let huge = Trade { price: Decimal::MAX, quantity: Decimal::MAX, ..trade(id, MIDNIGHT, 1, 1) };
        bitcoin.trade(huge);
    }
    bitcoin.trade(trade(4, MIDNIGHT, 1, 1));
    let quote = market.last_quote("BTCUSD").expect("listed").expect("there were trades");
    assert_eq!((quote.last, quote.volume), (Decimal::new(1, 2), Decimal::MAX));
}

#[test]
fn symbols_are_found_by_name_and_by_their_bitfinex_name() {
    let (market, _) = listed(Limits::default());
    market.list(Instrument::crypto("ADAUSDT", "BINANCE"));
    let symbols: Vec<_> = market.instruments().into_iter().map(|instrument| instrument.symbol).collect();
    assert_eq!(symbols, [Arc::from("ADAUSDT"), Arc::from("BTCUSD")]);
    assert_eq!(market.instrument("tBTCUSD").map(|instrument| instrument.symbol), Ok("BTCUSD".into()));
    let error = market.book("BTCUST", 1).expect_err("never listed");
    assert_eq!(error.to_string(), "unknown symbol `BTCUST`, did you mean `BTCUSD`?");
    assert!(market.instrument("tbtcusd").is_err());
}

#[test]
fn the_first_description_of_an_instrument_stays() {
    let (market, _) = listed(Limits::default());
    let again = market.list(Instrument::crypto("BTCUSD", "ELSEWHERE"));
    again.trade(trade(1, MIDNIGHT, 1, 1));
    assert_eq!(market.instrument("BTCUSD").map(|instrument| instrument.exchange), Ok("BITFINEX".into()));
    assert_eq!(market.recent_trades("BTCUSD", 9).map(|trades| trades.len()), Ok(1));
}

fn level(cents: i64, quantity: i64) -> Level {
    Level::new(Decimal::new(cents, 2), Decimal::from(quantity))
}
