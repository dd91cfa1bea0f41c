use std::borrow::Cow;

use rust_decimal::Decimal;
use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::{
    market::{Level, Side},
    upstream::decode::{Exact, Malformed, positive},
};

/// This is one text message as Binance sends it, taken out of the wrapper of combined streams.
#[derive(Debug)]
pub enum Message {
    /// `depthUpdate`: levels of a book that changed.
    DepthUpdate {
        /// The symbol, for example `BTCUSDT`.
        symbol: String,
        /// When, in milliseconds since 1970, UTC.
        time: i64,
        /// The changes.
        depth: Depth,
    },
    /// The answer of `GET /api/v3/depth`, or a message of a partial book stream: a whole book, up
    /// to `depth.last`.
    DepthSnapshot {
        /// The symbol, which only the name of a stream tells.
        symbol: Option<String>,
        /// The levels.
        depth: Depth,
    },
    /// `trade`: one trade.
    Trade(TradeEvent),
    /// `bookTicker`: the best bid and ask.
    Ticker(Ticker),
    /// The answer to a request.
    Reply,
    /// Well-formed, but of no use to a market.
    Other,
}

impl Message {
    /// Reads a message, wrapped as `{"stream":..,"data":..}` or not.
    pub fn decode(text: &str) -> Result<Self, Malformed> {
        let wrapper: Wrapper<'_> = serde_json::from_str(text)?;
        let data = wrapper.data.map_or(text, RawValue::get);
        let kind: Kind<'_> = serde_json::from_str(data)?;
        Ok(match kind {
            Kind { event: Some("depthUpdate"), .. } => {
                let update: DepthUpdate = serde_json::from_str(data)?;
                Self::DepthUpdate {
                    depth: Depth::new(update.first, update.last, update.bids, update.asks),
                    symbol: update.symbol,
                    time: update.time,
                }
            }
            Kind { event: Some("trade"), .. } => {
                let trade: RawTrade = serde_json::from_str(data)?;
                Self::Trade(TradeEvent {
                    symbol: trade.symbol,
                    id: trade.id,
                    time: trade.time,
                    price: positive("price", trade.price.0)?,
                    quantity: positive("quantity", trade.quantity.0)?,
                    // The maker waited in the book; who bought from a seller that waited, took.
                    side: if trade.buyer_is_maker { Side::Sell } else { Side::Buy },
                })
            }
            Kind { event: Some(_), .. } => Self::Other,
            Kind { last_update_id: Some(last), .. } => {
                let snapshot: Snapshot = serde_json::from_str(data)?;
                let symbol = wrapper.stream.as_deref().and_then(|stream| stream.split('@').next());
                Self::DepthSnapshot {
                    symbol: symbol.map(str::to_uppercase),
                    depth: Depth::new(last, last, snapshot.bids, snapshot.asks),
                }
            }
            Kind { update_id: Some(_), .. } => {
                let ticker: RawTicker = serde_json::from_str(data)?;
                Self::Ticker(Ticker {
                    symbol: ticker.symbol,
                    update_id: ticker.update_id,
                    bid: Level::new(ticker.bid.0, ticker.bid_size.0),
                    ask: Level::new(ticker.ask.0, ticker.ask_size.0),
                })
            }
            Kind { id: Some(_), .. } => Self::Reply,
            _ => Self::Other,
        })
    }
}

/// These are levels of a book and the numbers of the changes that led to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Depth {
    /// The number of the first change in it.
    pub first: u64,
    /// The number of the last change in it.
    pub last: u64,
    /// The levels; a quantity of zero takes one away.
    pub levels: Vec<(Side, Level)>,
}

impl Depth {
    fn new(first: u64, last: u64, bids: Vec<RawLevel>, asks: Vec<RawLevel>) -> Self {
        let bids = bids.into_iter().map(|bid| (Side::Buy, bid.0));
        let asks = asks.into_iter().map(|ask| (Side::Sell, ask.0));
        Self { first, last, levels: bids.chain(asks).collect() }
    }
}

/// This is a trade with the name of its symbol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TradeEvent {
    /// The symbol.
    pub symbol: String,
    /// The trade's number, without holes per symbol.
    pub id: u64,
    /// When it happened, in milliseconds since 1970, UTC.
    pub time: i64,
    /// The price.
    pub price: Decimal,
    /// The quantity.
    pub quantity: Decimal,
    /// What the taker did.
    pub side: Side,
}

/// This is the best bid and ask of a symbol; it carries no time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticker {
    /// The symbol.
    pub symbol: String,
    /// The number of the book's change it shows, the same as in [`Depth`].
    pub update_id: u64,
    /// The highest bid.
    pub bid: Level,
    /// The lowest ask.
    pub ask: Level,
}

#[derive(Deserialize)]
struct Wrapper<'a> {
    #[serde(borrow)]
    stream: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// The fields by which kinds of messages differ; not all have an event name.
#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(rename = "e")]
    event: Option<&'a str>,
    #[serde(rename = "lastUpdateId")]
    last_update_id: Option<u64>,
    #[serde(rename = "u")]
    update_id: Option<IgnoredAny>,
    id: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct DepthUpdate {
    #[serde(rename = "E")]
    time: i64,
    #[serde(rename = "s")]
    symbol: String,
    #[serde(rename = "U")]
    first: u64,
    #[serde(rename = "u")]
    last: u64,
    #[serde(rename = "b")]
    bids: Vec<RawLevel>,
    #[serde(rename = "a")]
    asks: Vec<RawLevel>,
}

#[derive(Deserialize)]
struct Snapshot {
    bids: Vec<RawLevel>,
    asks: Vec<RawLevel>,
}

#[derive(Deserialize)]
struct RawTrade {
    #[serde(rename = "s")]
    symbol: String,
    #[serde(rename = "t")]
    id: u64,
    #[serde(rename = "T")]
    time: i64,
    #[serde(rename = "p")]
    price: Exact,
    #[serde(rename = "q")]
    quantity: Exact,
    #[serde(rename = "m")]
    buyer_is_maker: bool,
}

#[derive(Deserialize)]
struct RawTicker {
    #[serde(rename = "s")]
    symbol: String,
    #[serde(rename = "u")]
    update_id: u64,
    #[serde(rename = "b")]
    bid: Exact,
    #[serde(rename = "B")]
    bid_size: Exact,
    #[serde(rename = "a")]
    ask: Exact,
    #[serde(rename = "A")]
    ask_size: Exact,
}

/// `["price","quantity"]`; what follows is ignored, as in old recordings.
struct RawLevel(Level);

impl<'de> Deserialize<'de> for RawLevel {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(LevelVisitor)
    }
}

struct LevelVisitor;

impl<'de> Visitor<'de> for LevelVisitor {
    type Value = RawLevel;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a price above zero and a quantity, not below")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<RawLevel, A::Error> {
        let (Some(Exact(price)), Some(Exact(quantity))) = (array.next_element()?, array.next_element()?) else {
            return Err(de::Error::invalid_length(1, &self));
        };
        if price <= Decimal::ZERO || quantity < Decimal::ZERO {
            return Err(de::Error::invalid_value(de::Unexpected::Other(&format!("[{price},{quantity}]")), &self));
        }
        while array.next_element::<IgnoredAny>()?.is_some() {}
        Ok(RawLevel(Level::new(price, quantity)))
    }
}
