//! Invented prices that behave like real ones, for demonstrations and for tests.

mod catalog;
mod walk;

use std::time::{Duration, SystemTime};

use tokio::time::interval;

use super::{Monitor, Running, Venue, monitor::Count};
use crate::market::{Level, Market, Publisher, Resolution, Side, Trade};
use walk::{Random, Walk};

/// This is a venue that invents prices for nine instruments: AAPL, GOOGL, MSFT, BTCUSD, ETHUSD,
/// LTCUSD, BTCUSDT, ETHUSDT and ADAUSDT.
///
/// Each instrument changes about five times a second: its book always, with a trade at the best bid
/// or ask every other time. Prices wander about a middle and are always above zero, a book is never
/// crossed, the quote is the top of the book. It begins with a past to look at: 400 days of daily
/// bars, then 30 days of hours, then one to two days of minutes.
///
/// The same seed and start give the same events, whatever the clock on the wall says; time passes
/// as `tokio::time` does. It never ends by itself.
#[derive(Debug)]
pub struct Simulator {
    seed: u64,
    start: i64,
    monitor: Monitor,
}

impl Simulator {
    /// A simulator whose events begin now.
    pub fn new(seed: u64) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { seed, start: now.as_millis() as i64, monitor: Monitor::default() }
    }

    /// Sets the time of the first event, in milliseconds since 1970, UTC.
    pub fn starting_at(mut self, start: i64) -> Self {
        self.start = start;
        self
    }

    /// Lists the instruments and writes their past and a first book.
    fn open(&self, market: &Market) -> Vec<Simulated> {
        let mut seeds = Random::new(self.seed);
        let open = |simulation: catalog::Simulation| {
            let publisher = market.list(simulation.instrument());
            let walk = Walk::new(simulation.middle, Random::new(seeds.next()));
            let mut simulated = Simulated { simulation, publisher, walk, monitor: self.monitor.clone() };
            simulated.invent_past(self.start);
            simulated.step(self.start);
            simulated
        };
        catalog::SIMULATIONS.into_iter().map(open).collect()
    }
}

impl Venue for Simulator {
    fn name(&self) -> &'static str {
        "simulator"
    }

    fn monitor(&self) -> Monitor {
        self.monitor.clone()
    }

    fn run(self: Box<Self>, market: Market) -> Running {
        // The instruments are there before the first client is, so nobody is told that their symbols are unknown.
        let mut instruments = self.open(&market);
        Box::pin(async move {
            let _live = self.monitor.live();
            let mut ticks = interval(TICK);
            let mut time = self.start;
            ticks.tick().await; // The first comes at once; that moment has had its events.
            loop {
                ticks.tick().await;
                time += TICK.as_millis() as i64;
                self.monitor.at(time);
                for instrument in &mut instruments {
                    if instrument.walk.is_due() {
                        instrument.step(time);
                    }
                }
            }
        })
    }
}

/// One instrument: a walk in ticks and lots, published as prices and quantities.
#[derive(Debug)]
struct Simulated {
    simulation: catalog::Simulation,
    publisher: Publisher,
    walk: Walk,
    monitor: Monitor,
}

impl Simulated {
    fn step(&mut self, time: i64) {
        let step = self.walk.step();
        self.monitor.count(Count::Messages);
        self.monitor.count(Count::BookUpdates);
        self.monitor.count(Count::AppliedUpdates);
        if let Some(fill) = step.fill {
            self.monitor.count(Count::Trades);
            self.publisher.trade(Trade {
                symbol: self.publisher.symbol().clone(),
                id: fill.id,
                time,
                price: self.simulation.price(fill.ticks),
                quantity: self.simulation.quantity(fill.lots),
                side: fill.side,
            });
        }
        let level = |&(side, ticks, lots): &(Side, i64, i64)| {
            (side, Level::new(self.simulation.price(ticks), self.simulation.quantity(lots)))
        };
        let changes: Vec<_> = step.changes.iter().map(level).collect();
        self.publisher.levels(time, None, &changes);
    }

    /// The further back, the coarser: each moment of the past is covered by bars of one resolution,
    /// of which the market makes the coarser ones.
    fn invent_past(&mut self, start: i64) {
        let minutes = Resolution::Day.bucket(start) - DAY;
        let hours = minutes - 30 * DAY;
        let days = hours - 400 * DAY;
        for (resolution, from, to) in [
            (Resolution::Day, days, hours),
            (Resolution::OneHour, hours, minutes),
            (Resolution::OneMinute, minutes, Resolution::OneMinute.bucket(start)),
        ] {
            let starts = (from..to).step_by(resolution.millis() as usize);
            let bars: Vec<_> = starts.map(|time| self.simulation.bar(time, self.walk.bar(resolution))).collect();
            self.publisher.past_bars(resolution, &bars);
        }
    }
}

/// Events happen at multiples of this after the start.
const TICK: Duration = Duration::from_millis(100);

const DAY: i64 = Resolution::Day.millis();

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rust_decimal::Decimal;

    use super::*;
    use crate::market::{BookTop, Quote};

    const START: i64 = 1_723_161_255_000;

    /// All that can be seen of a symbol after a simulator has run for a while.
    async fn after(seed: u64, running: Duration, symbol: &str) -> (Option<Quote>, BookTop, Vec<Trade>) {
        let market = Market::default();
        let venue = Box::new(Simulator::new(seed).starting_at(START));
        let _ = tokio::time::timeout(running, venue.run(market.clone())).await;
        let seen = (market.last_quote(symbol), market.book(symbol, 50), market.recent_trades(symbol, 1_000));
        (seen.0.expect("listed"), seen.1.expect("listed"), seen.2.expect("listed"))
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_seed_gives_the_same_market_and_another_seed_another() {
        let minute = Duration::from_secs(60);
        let first = after(7, minute, "BTCUSD").await;
        assert_eq!(after(7, minute, "BTCUSD").await, first);
        assert_ne!(after(8, minute, "BTCUSD").await, first);
    }

    #[tokio::test(start_paused = true)]
    async fn every_symbol_moves_several_times_a_second_and_trades() {
        for simulation in catalog::SIMULATIONS {
            let symbol = simulation.instrument().symbol;
            let (quote, _, trades) = after(1, Duration::from_secs(10), &symbol).await;
            assert!(trades.len() >= 10, "{symbol} traded {} times", trades.len());
            assert!(quote.is_some_and(|quote| quote.time > START + 9_000), "{symbol} stands still");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn charts_begin_with_a_past_at_every_resolution() {
        let market = Market::default();
        let venue = Box::new(Simulator::new(1).starting_at(START));
        let _ = tokio::time::timeout(Duration::from_millis(1), venue.run(market.clone())).await;
        for (resolution, least) in Resolution::ALL.into_iter().zip([1_440, 288, 96, 48, 720, 180, 430, 61]) {
            let past = Resolution::OneMinute.bucket(START);
            let bars = market.bar_history("AAPL", resolution, 0, past, None).expect("listed");
            assert!(bars.len() >= least, "{} bars at {resolution}", bars.len());
            assert!(bars.iter().all(|bar| bar.time == resolution.bucket(bar.time)));
            assert!(bars.windows(2).all(|pair| pair[0].time < pair[1].time && pair[0].close == pair[1].open));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn prices_stay_plausible_and_consistent(seed: u64, which in 0..catalog::SIMULATIONS.len()) {
            let market = Market::default();
            let mut instruments = Simulator::new(seed).starting_at(START).open(&market);
            let instrument = &mut instruments[which];
            let symbol = instrument.publisher.symbol().clone();
            for n in 1..2_000 {
                instrument.step(START + n * 200);
                let book = market.book(&symbol, 50).expect("listed");
                let quote = market.last_quote(&symbol).expect("listed").expect("has a past");
                let (bid, ask) = (book.bids[0], book.asks[0]);
                prop_assert!(bid.price > Decimal::ZERO && bid.price < ask.price);
                prop_assert!(book.bids.iter().chain(&book.asks).all(|level| level.quantity > Decimal::ZERO));
                prop_assert_eq!((quote.bid, quote.bid_size), (Some(bid.price), Some(bid.quantity)));
                prop_assert_eq!((quote.ask, quote.ask_size), (Some(ask.price), Some(ask.quantity)));
                prop_assert!(quote.low <= quote.last && quote.last <= quote.high);
                if let Some(trade) = market.recent_trades(&symbol, 1).expect("listed").last()
                    && trade.time == START + n * 200
                {
                    let best = if trade.side == Side::Buy { ask } else { bid };
                    prop_assert_eq!(trade.price, best.price);
                    prop_assert!(trade.quantity > Decimal::ZERO);
                }
            }
        }
    }
}
