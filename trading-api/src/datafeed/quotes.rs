//! Quotes: the last price of a symbol, with the best bid and ask.

use fastws::{Error, Params, Result, State, SubscribeRequest, Updates, Wanted, payload, topic};
use futures_util::FutureExt;

use super::{canonical, number, unknown_symbol};
use crate::market::{self, Instrument, Market};

/// Selects the symbols to quote: several in `symbols`, or one in `symbol`.
#[payload]
#[schemars(example = serde_json::json!({ "symbols": ["AAPL", "MSFT"] }))]
#[schemars(example = serde_json::json!({ "symbol": "BTCUSD" }))]
#[schemars(extend("anyOf" = [
    {
        "title": "QuotesOfSeveral",
        "required": ["symbols"],
        "properties": { "symbols": { "type": "array", "items": { "type": "string" }, "description": "The instruments' symbols." } },
    },
    {
        "title": "QuotesOfOne",
        "required": ["symbol"],
        "properties": { "symbol": { "type": "string", "description": "The instrument's symbol." } },
    },
]))]
pub struct QuotesSubscription {
    /// The instruments' symbols.
    #[serde(default)]
    #[garde(length(min = 1, max = 100), inner(length(min = 1, max = 32)))]
    symbols: Option<Vec<String>>,
    /// The instrument's symbol.
    #[serde(default)]
    #[garde(length(min = 1, max = 32))]
    symbol: Option<String>,
}

/// Names the quotes of one symbol.
#[payload]
pub struct QuotesTopic {
    /// The instrument's symbol.
    pub symbol: String,
}

impl SubscribeRequest<QuotesTopic> for QuotesSubscription {
    fn wanted(&self) -> Result<Vec<Wanted<QuotesTopic>>> {
        let several = self.symbols.iter().flatten().enumerate().map(|(at, symbol)| (format!("/symbols/{at}"), symbol));
        let one = self.symbol.iter().map(|symbol| ("/symbol".to_owned(), symbol));
        let mut wanted: Vec<Wanted<QuotesTopic>> = Vec::new();
        for (path, symbol) in several.chain(one) {
            let symbol = canonical(symbol);
            if !wanted.iter().any(|known| known.params.symbol == symbol) {
                wanted.push(Wanted::at(path, QuotesTopic { symbol: symbol.to_owned() }));
            }
        }
        if wanted.is_empty() {
            return Err(Error::new("invalid_payload", "the payload names no symbol")
                .detail("/symbols", "give symbols, as in `{\"symbols\": [\"AAPL\"]}`"));
        }
        Ok(wanted)
    }
}

/// What an instrument costs now, and what it did today (UTC).
#[payload]
#[schemars(example = serde_json::json!({
    "symbol": "AAPL", "time": 1_700_000_000_123_i64, "lp": 189.4, "ch": 1.2, "chp": 0.64,
    "bid": 189.39, "bid_size": 200.0, "ask": 189.41, "ask_size": 100.0, "spread": 0.02, "volume": 1_203_450.0,
    "open_price": 188.2, "high_price": 189.9, "low_price": 187.8, "prev_close_price": 188.2,
    "short_name": "AAPL", "original_name": "NASDAQ:AAPL", "exchange": "NASDAQ", "description": "Apple Inc."
}))]
pub struct Quote {
    /// The instrument's symbol.
    pub symbol: String,
    /// Milliseconds since the Unix epoch.
    pub time: i64,
    /// Last price.
    pub lp: f64,
    /// Change today, absolute.
    pub ch: f64,
    /// Change today, in percent.
    pub chp: f64,
    /// Best bid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bid: Option<f64>,
    /// How much is bid there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bid_size: Option<f64>,
    /// Best ask.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ask: Option<f64>,
    /// How much is asked there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ask_size: Option<f64>,
    /// Best ask less best bid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spread: Option<f64>,
    /// How much was traded today.
    pub volume: f64,
    /// First price today.
    pub open_price: f64,
    /// Highest price today.
    pub high_price: f64,
    /// Lowest price today.
    pub low_price: f64,
    /// What today's change counts from.
    pub prev_close_price: f64,
    /// The symbol, as TradingView calls it here.
    pub short_name: String,
    /// The symbol with its exchange.
    pub original_name: String,
    /// Where it is traded.
    pub exchange: String,
    /// What it is.
    pub description: String,
}

impl Quote {
    /// Writes a quote of an instrument.
    pub(crate) fn of(quote: &market::Quote, instrument: &Instrument) -> Self {
        let symbol = instrument.symbol.to_string();
        Self {
            time: quote.time,
            lp: number(quote.last),
            ch: number(quote.change),
            chp: number(quote.change_percent.round_dp(PERCENT_DECIMALS)),
            bid: quote.bid.map(number),
            bid_size: quote.bid_size.map(number),
            ask: quote.ask.map(number),
            ask_size: quote.ask_size.map(number),
            spread: quote.ask.zip(quote.bid).map(|(ask, bid)| number(ask - bid)),
            volume: number(quote.volume),
            open_price: number(quote.open),
            high_price: number(quote.high),
            low_price: number(quote.low),
            prev_close_price: number(quote.last - quote.change),
            original_name: format!("{}:{symbol}", instrument.exchange),
            short_name: symbol.clone(),
            exchange: instrument.exchange.clone(),
            description: instrument.description.clone(),
            symbol,
        }
    }
}

/// Percentages are rounded to this many decimals.
const PERCENT_DECIMALS: u32 = 4;

/// Quotes of one or more symbols.
///
/// The snapshot is the current quote, and every change follows; a client that reads slowly is spared those in between.
/// One unknown symbol, and none of the request's is subscribed.
#[topic("quotes:{symbol}", request = QuotesSubscription, tags = ["quotes"])]
pub async fn quotes(
    Params(wanted): Params<QuotesTopic>,
    State(market): State<Market>,
    updates: Updates<Quote>,
) -> Result<()> {
    let instrument = market.instrument(&wanted.symbol).map_err(|unknown| unknown_symbol(&unknown))?;
    let mut quotes = market.quotes(&wanted.symbol).map_err(|unknown| unknown_symbol(&unknown))?;
    let mut is_first = true;
    if let Some(Some(quote)) = quotes.next().now_or_never() {
        updates.snapshot(Quote::of(&quote, &instrument));
        is_first = false;
    } else {
        updates.ready();
    }
    while let Some(quote) = quotes.next().await {
        let quote = Quote::of(&quote, &instrument);
        if std::mem::take(&mut is_first) { updates.snapshot(quote) } else { updates.send(quote) }
    }
    Ok(())
}
