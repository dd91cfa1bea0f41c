use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    market::{Level, Side},
    upstream::decode::{Elements, Malformed, decimal, integer, positive},
};

/// This is one text message as Bitfinex sends it.
///
/// What the payload of `Data` means depends on the channel, which the subscription told:
/// [`Session`](super::Session) keeps that. Decoding needs no state.
#[derive(Debug)]
pub enum Message<'a> {
    /// An object: the connection talks about itself.
    Event(Event<'a>),
    /// `[chanId,"hb"]`: nothing happened on this channel.
    Heartbeat,
    /// `[chanId,"te",[..]]`: a trade was executed.
    TradeExecuted {
        /// The channel.
        channel: u64,
        /// The trade.
        trade: RawTrade,
    },
    /// `[chanId,"tu",[..]]`: the same trade once more, now settled.
    TradeUpdated {
        /// The channel.
        channel: u64,
        /// The trade.
        trade: RawTrade,
    },
    /// `[chanId,[..]]`: a snapshot or an update.
    Data {
        /// The channel.
        channel: u64,
        /// The second element, an array.
        payload: &'a RawValue,
    },
    /// Well-formed, but of no use to a market: checksums, funding trades, private messages.
    Other,
}

impl<'a> Message<'a> {
    /// Reads a message. Arrays may have grown at their end, so their lengths are never checked.
    pub fn decode(text: &'a str) -> Result<Self, Malformed> {
        if text.starts_with('{') {
            return Ok(Self::Event(serde_json::from_str(text)?));
        }
        let message: Elements<'_, 3> = serde_json::from_str(text)?;
        let channel = integer("channel id", message.get(0, "channel id")?)?;
        let payload = message.get(1, "payload")?;
        let trade = || RawTrade::read(&serde_json::from_str(message.get(2, "trade")?.get())?);
        Ok(match payload.get() {
            _ if channel == PRIVATE => Self::Other,
            r#""hb""# => Self::Heartbeat,
            r#""te""# => Self::TradeExecuted { channel, trade: trade()? },
            r#""tu""# => Self::TradeUpdated { channel, trade: trade()? },
            array if array.starts_with('[') => Self::Data { channel, payload },
            _ => Self::Other,
        })
    }
}

/// This is an event object; which fields are set depends on `event`.
#[derive(Debug, Deserialize)]
pub struct Event<'a> {
    /// `info`, `subscribed`, `unsubscribed`, `conf`, `error`, `pong` or `auth`.
    #[serde(borrow)]
    pub event: std::borrow::Cow<'a, str>,
    /// In the first `info` of a connection: the protocol's version.
    pub version: Option<u64>,
    /// What an `info` or `error` is about.
    pub code: Option<i64>,
    /// `code` in words, not to be relied on.
    #[serde(borrow)]
    pub msg: Option<std::borrow::Cow<'a, str>>,
    /// `book`, `trades`, `ticker`, `candles` or `status`.
    #[serde(borrow)]
    pub channel: Option<std::borrow::Cow<'a, str>>,
    /// The number this channel has on this connection.
    #[serde(rename = "chanId")]
    pub channel_id: Option<u64>,
    /// For example `tBTCUSD`.
    #[serde(borrow)]
    pub symbol: Option<std::borrow::Cow<'a, str>>,
    /// The precision of a book, `P0` to `P4` or `R0`.
    #[serde(borrow)]
    pub prec: Option<std::borrow::Cow<'a, str>>,
}

/// This is `[ID, MTS, AMOUNT, PRICE]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawTrade {
    /// The trade's number.
    pub id: u64,
    /// When it happened, in milliseconds since 1970, UTC.
    pub time: i64,
    /// The quantity, above zero.
    pub quantity: Decimal,
    /// The price.
    pub price: Decimal,
    /// What the taker did: bought where the amount is above zero.
    pub side: Side,
}

impl RawTrade {
    pub(super) fn read(fields: &Elements<'_, 4>) -> Result<Self, Malformed> {
        let amount = decimal("amount", fields.get(2, "amount")?)?;
        Ok(Self {
            id: integer("trade id", fields.get(0, "trade id")?)?,
            time: integer("trade time", fields.get(1, "trade time")?)?,
            quantity: positive("amount", amount.abs())?,
            price: positive("price", decimal("price", fields.get(3, "price")?)?)?,
            side: side(amount),
        })
    }
}

/// This is `[PRICE, COUNT, AMOUNT]`, one level of a book of precision P0 to P4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawLevel {
    /// The side, told by the sign of the amount.
    pub side: Side,
    /// The level; its quantity is zero when the count was, which takes it away.
    pub level: Level,
}

impl RawLevel {
    pub(super) fn read(fields: &Elements<'_, 3>) -> Result<Self, Malformed> {
        let price = positive("price", decimal("price", fields.get(0, "price")?)?)?;
        let count = integer("count", fields.get(1, "count")?)?;
        let amount = decimal("amount", fields.get(2, "amount")?)?;
        // With a count of zero the amount is 1 or -1 and tells nothing but the side.
        let quantity = if count == 0 { Decimal::ZERO } else { amount.abs() };
        Ok(Self { side: side(amount), level: Level { price, quantity, count: Some(count) } })
    }
}

fn side(amount: Decimal) -> Side {
    if amount.is_sign_negative() { Side::Sell } else { Side::Buy }
}

/// Messages about the account come on this channel.
const PRIVATE: u64 = 0;
