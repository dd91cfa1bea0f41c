use rust_decimal::Decimal;
use serde::de::{self, Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// This is what is wrong with an exchange's message.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    /// It is not JSON, or JSON of another shape than it ought to be.
    #[error("not understood: {0}")]
    Json(#[from] serde_json::Error),
    /// It is not text.
    #[error("not UTF-8")]
    NotText,
    /// It does not end.
    #[error("longer than {0} bytes")]
    TooLong(usize),
    /// An element of an array is missing.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A number is none, has more digits than are kept exactly, or is out of its range.
    #[error("{field} is `{text}`, want {want}")]
    Number {
        /// Which number.
        field: &'static str,
        /// How it is written.
        text: String,
        /// What it should be.
        want: &'static str,
    },
    /// Data came on a channel that nobody subscribed to on this connection.
    #[error("channel {0} was never subscribed")]
    UnknownChannel(u64),
    /// A book came without the name of its symbol, and it is not the only one waiting for a book.
    #[error("order book without a symbol, while {0} symbols wait for one")]
    WhoseBook(usize),
    /// A line of a recording does not begin with a time.
    #[error("no time of arrival before the message")]
    NoTime,
}

/// Reads a decimal from the text of a number or a string, keeping every digit.
pub(super) fn decimal(field: &'static str, raw: &RawValue) -> Result<Decimal, Malformed> {
    let text = unquoted(raw);
    exact(text).ok_or_else(|| Malformed::Number { field, text: excerpt(text), want: "a decimal number" })
}

/// Like [`decimal`], for a number that makes no sense unless it is above zero.
pub(super) fn positive(field: &'static str, number: Decimal) -> Result<Decimal, Malformed> {
    if number > Decimal::ZERO {
        return Ok(number);
    }
    Err(Malformed::Number { field, text: number.to_string(), want: "a number above zero" })
}

/// Reads a whole number from the text of a number or a string.
pub(super) fn integer<T: std::str::FromStr>(field: &'static str, raw: &RawValue) -> Result<T, Malformed> {
    let text = unquoted(raw);
    text.parse().map_err(|_| Malformed::Number { field, text: excerpt(text), want: "a whole number" })
}

/// JavaScript writes numbers below 0.000001 with an exponent.
pub(super) fn exact(text: &str) -> Option<Decimal> {
    if text.contains(['e', 'E']) { Decimal::from_scientific(text) } else { Decimal::from_str_exact(text) }.ok()
}

/// Both exchanges can be told to send numbers as strings.
fn unquoted(raw: &RawValue) -> &str {
    raw.get().trim_matches('"')
}

/// Enough to recognise it by.
pub(super) fn excerpt(text: &str) -> String {
    text.chars().take(40).collect()
}

/// These are the first `N` elements of a JSON array, unread. There may be fewer, and there may be
/// more: exchanges add elements at the end whenever they like.
#[derive(Debug, Clone, Copy)]
pub(super) struct Elements<'a, const N: usize>([Option<&'a RawValue>; N]);

impl<'a, const N: usize> Elements<'a, N> {
    pub(super) fn find(&self, index: usize) -> Option<&'a RawValue> {
        self.0[index]
    }

    pub(super) fn get(&self, index: usize, name: &'static str) -> Result<&'a RawValue, Malformed> {
        self.0[index].ok_or(Malformed::Missing(name))
    }
}

impl<'de: 'a, 'a, const N: usize> Deserialize<'de> for Elements<'a, N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ElementsVisitor::<N>)
    }
}

struct ElementsVisitor<const N: usize>;

impl<'de, const N: usize> Visitor<'de> for ElementsVisitor<N> {
    type Value = Elements<'de, N>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Self::Value, A::Error> {
        let mut elements = [None; N];
        for element in &mut elements {
            *element = array.next_element()?;
            if element.is_none() {
                return Ok(Elements(elements));
            }
        }
        while array.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Elements(elements))
    }
}

/// This is a decimal that an exchange writes as a string.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exact(pub(super) Decimal);

impl<'de> Deserialize<'de> for Exact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(ExactVisitor)
    }
}

struct ExactVisitor;

impl Visitor<'_> for ExactVisitor {
    type Value = Exact;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a decimal number in a string")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Exact, E> {
        exact(text).map(Exact).ok_or_else(|| E::invalid_value(de::Unexpected::Str(&excerpt(text)), &self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_every_digit_and_may_have_an_exponent() {
        assert_eq!(exact("61837.63000000").map(|n| n.to_string()), Some("61837.63000000".to_owned()));
        assert_eq!(exact("7e-7"), Some(Decimal::new(7, 7)));
        assert_eq!(exact("-1.5E+3"), Some(Decimal::new(-1500, 0)));
        assert_eq!(exact("seven"), None);
        assert_eq!(exact("7e-99"), None);
        assert_eq!(exact(""), None);
    }

    #[test]
    fn an_array_may_be_shorter_or_longer_than_expected() {
        let read = |text| serde_json::from_str::<Elements<'_, 2>>(text).map(|e| e.0.map(|e| e.map(RawValue::get)));
        assert_eq!(read("[1]").ok(), Some([Some("1"), None]));
        assert_eq!(read("[1,[2, 3],{},4]").ok(), Some([Some("1"), Some("[2, 3]")]));
        assert!(read("[1,2").is_err());
        assert!(read("{}").is_err());
    }
}
