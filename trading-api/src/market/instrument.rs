use std::{fmt, sync::Arc};

/// This is what is known of a thing that can be traded, apart from its prices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instrument {
    /// The name by which everything else refers to it, for example `AAPL` or `BTCUSD`.
    pub symbol: Arc<str>,
    /// A name for people.
    pub description: String,
    /// Where it is traded, for example `NASDAQ`.
    pub exchange: String,
    /// What it is.
    pub kind: InstrumentKind,
    /// What is bought: the currency, or the share itself.
    pub base: String,
    /// What it is paid in.
    pub quote: String,
    /// How many decimals its prices are shown with.
    pub price_scale: u32,
    /// How many decimals its quantities are shown with.
    pub quantity_scale: u32,
    /// The trading hours in the form charts use; `24x7` for always.
    pub session: String,
}

impl Instrument {
    /// A crypto pair as known by its symbol alone, until somebody lists it with better knowledge.
    ///
    /// Base and quote are split at a colon or before a known quote currency. Prices in dollars get
    /// two decimals, others eight; quantities eight. Both are for display only: the market keeps
    /// every decimal it is given.
    pub fn crypto(symbol: &str, exchange: &str) -> Self {
        let (base, quote) = symbol
            .split_once(':')
            .or_else(|| QUOTES.iter().find_map(|quote| Some((symbol.strip_suffix(quote)?, *quote))))
            .filter(|(base, _)| !base.is_empty())
            .unwrap_or((symbol, ""));
        Self {
            symbol: symbol.into(),
            description: if quote.is_empty() { base.to_owned() } else { format!("{base} / {quote}") },
            exchange: exchange.to_owned(),
            kind: InstrumentKind::Crypto,
            base: base.to_owned(),
            quote: quote.to_owned(),
            price_scale: if quote.contains("USD") { 2 } else { 8 },
            quantity_scale: 8,
            session: "24x7".to_owned(),
        }
    }
}

/// This is the kind of an [`Instrument`]; displayed in the words charts use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InstrumentKind {
    /// A share of a company.
    Stock,
    /// A pair of currencies of which one at least is a crypto currency.
    Crypto,
}

impl fmt::Display for InstrumentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Stock => "stock",
            Self::Crypto => "crypto",
        })
    }
}

/// This is the answer to a symbol that nobody has listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownSymbol {
    /// The symbol that was asked for.
    pub symbol: String,
    /// Listed symbols that look much like it, the most similar first, three at most.
    pub nearest: Vec<Arc<str>>,
}

impl UnknownSymbol {
    pub(super) fn among<'a>(symbol: &str, listed: impl Iterator<Item = &'a Arc<str>>) -> Self {
        let mut nearest: Vec<_> = listed
            .filter(|_| symbol.len() <= LONGEST_TYPO)
            .map(|listed| (distance(&symbol.to_uppercase(), listed), listed))
            .filter(|(distance, listed)| *distance <= 2 && *distance < listed.len())
            .collect();
        nearest.sort();
        nearest.truncate(3);
        Self { symbol: symbol.to_owned(), nearest: nearest.into_iter().map(|(_, listed)| listed.clone()).collect() }
    }
}

impl fmt::Display for UnknownSymbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown symbol `{}`", self.symbol)?;
        for (n, near) in self.nearest.iter().enumerate() {
            write!(f, "{}`{near}`", if n == 0 { ", did you mean " } else { " or " })?;
        }
        if self.nearest.is_empty() { Ok(()) } else { f.write_str("?") }
    }
}

impl std::error::Error for UnknownSymbol {}

/// How many letters must be added, dropped or changed to turn one word into the other.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in to.chars().enumerate() {
            let changed = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[row.len() - 1]
}

/// Longer first where one ends in the other.
const QUOTES: [&str; 12] = ["FDUSD", "BUSD", "TUSD", "USDT", "USDC", "USD", "UST", "EUR", "GBP", "BTC", "ETH", "BNB"];

/// Nobody mistypes a symbol this long; it bounds what a nonsense request costs.
const LONGEST_TYPO: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_split_before_its_quote_currency() {
        let split = |symbol| {
            let instrument = Instrument::crypto(symbol, "BITFINEX");
            (instrument.base, instrument.quote)
        };
        assert_eq!(split("BTCUSDT"), ("BTC".into(), "USDT".into()));
        assert_eq!(split("LTCUSD"), ("LTC".into(), "USD".into()));
        assert_eq!(split("TESTBTC:TESTUSD"), ("TESTBTC".into(), "TESTUSD".into()));
        assert_eq!(split("USD"), ("USD".into(), String::new()));
    }

    #[test]
    fn an_unknown_symbol_names_the_listed_ones_near_it() {
        let listed: Vec<Arc<str>> = ["AAPL", "BTCUSD", "BTCUSDT", "MSFT"].map(Arc::from).into();
        let told = |symbol| UnknownSymbol::among(symbol, listed.iter()).to_string();
        assert_eq!(told("btcusd"), "unknown symbol `btcusd`, did you mean `BTCUSD` or `BTCUSDT`?");
        assert_eq!(told("APPL"), "unknown symbol `APPL`, did you mean `AAPL`?");
        assert_eq!(told("XYZ"), "unknown symbol `XYZ`");
    }
}
