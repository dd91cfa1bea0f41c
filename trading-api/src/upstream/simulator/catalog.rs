use rust_decimal::Decimal;

use super::walk::Candle;
use crate::market::{Bar, Instrument, InstrumentKind};

/// What is simulated: an instrument, and how its prices and quantities are counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Simulation {
    symbol: &'static str,
    description: &'static str,
    exchange: &'static str,
    kind: InstrumentKind,
    base: &'static str,
    quote: &'static str,
    price_scale: u32,
    quantity_scale: u32,
    /// One tick, in units of the last decimal of a price.
    tick: i64,
    /// One lot, in units of the last decimal of a quantity.
    lot: i64,
    /// The price about which the walk wanders, in ticks.
    pub(super) middle: i64,
}

impl Simulation {
    pub(super) fn instrument(&self) -> Instrument {
        Instrument {
            symbol: self.symbol.into(),
            description: self.description.to_owned(),
            exchange: self.exchange.to_owned(),
            kind: self.kind,
            base: self.base.to_owned(),
            quote: self.quote.to_owned(),
            price_scale: self.price_scale,
            quantity_scale: self.quantity_scale,
            // Shares too: a demonstration should not sleep at night.
            session: "24x7".to_owned(),
        }
    }

    pub(super) fn price(&self, ticks: i64) -> Decimal {
        Decimal::new(ticks * self.tick, self.price_scale)
    }

    pub(super) fn quantity(&self, lots: i64) -> Decimal {
        Decimal::new(lots * self.lot, self.quantity_scale)
    }

    pub(super) fn bar(&self, time: i64, candle: Candle) -> Bar {
        Bar {
            time,
            open: self.price(candle.open),
            high: self.price(candle.high),
            low: self.price(candle.low),
            close: self.price(candle.close),
            volume: self.quantity(candle.lots),
        }
    }
}

const fn stock(symbol: &'static str, description: &'static str, cents: i64) -> Simulation {
    Simulation {
        symbol,
        description,
        exchange: "NASDAQ",
        kind: InstrumentKind::Stock,
        base: symbol,
        quote: "USD",
        price_scale: 2,
        quantity_scale: 0,
        tick: 1,
        lot: 5,
        middle: cents,
    }
}

const fn bitfinex(symbol: &'static str, description: &'static str, base: &'static str) -> Simulation {
    Simulation {
        symbol,
        description,
        exchange: "BITFINEX",
        kind: InstrumentKind::Crypto,
        base,
        quote: "USD",
        price_scale: 2,
        quantity_scale: 8,
        tick: 1,
        lot: 1,
        middle: 1,
    }
}

const fn binance(symbol: &'static str, description: &'static str, base: &'static str) -> Simulation {
    Simulation { exchange: "BINANCE", quote: "USDT", quantity_scale: 5, ..bitfinex(symbol, description, base) }
}

pub(super) const SIMULATIONS: [Simulation; 9] = [
    stock("AAPL", "Apple Inc.", 22_950),
    stock("GOOGL", "Alphabet Inc. Class A", 17_620),
    stock("MSFT", "Microsoft Corporation", 42_810),
    Simulation {
        price_scale: 1,
        tick: 10,
        lot: 1_250_000,
        middle: 67_000,
        ..bitfinex("BTCUSD", "Bitcoin / US Dollar", "BTC")
    },
    Simulation { tick: 10, lot: 20_000_000, middle: 35_000, ..bitfinex("ETHUSD", "Ethereum / US Dollar", "ETH") },
    Simulation {
        price_scale: 3,
        tick: 10,
        lot: 350_000_000,
        middle: 8_500,
        ..bitfinex("LTCUSD", "Litecoin / US Dollar", "LTC")
    },
    Simulation { tick: 100, lot: 1_375, middle: 67_020, ..binance("BTCUSDT", "Bitcoin / Tether", "BTC") },
    Simulation { tick: 10, lot: 21_300, middle: 35_010, ..binance("ETHUSDT", "Ethereum / Tether", "ETH") },
    Simulation {
        price_scale: 4,
        quantity_scale: 1,
        lot: 1_253,
        middle: 4_500,
        ..binance("ADAUSDT", "Cardano / Tether", "ADA")
    },
];
