//! The words of the measured application, for the floor and for the peers that bring no protocol of their own.
//!
//! ```text
//! → {"type":"sub","payload":{"topic":"bars:AAPL:1"}}
//! ← {"type":"sub.response","payload":{"ok":true}}
//! → {"type":"pub","payload":{"topic":"bars:AAPL:1","t":…,"o":…,"h":…,"l":…,"c":…,"v":…,"n":…,"seq":…}}
//! ← the same text, to every subscriber
//! → {"type":"bars.get","id":1,"payload":{"symbol":"AAPL","timeframe":1}}
//! ← {"type":"bars.get.response","id":1,"payload":{"topic":"bars:AAPL:1"}}
//! ```

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The answer to a subscription.
pub const SUBSCRIBED: &str = r#"{"type":"sub.response","payload":{"ok":true}}"#;

/// This is what a message asks for.
#[derive(Debug)]
pub enum Request<'a> {
    /// To get the topic's updates from now on.
    Subscribe(Cow<'a, str>),
    /// To pass this message on to the topic's subscribers.
    Publish(Cow<'a, str>),
    /// To answer with this text.
    Answer(String),
}

impl<'a> Request<'a> {
    /// Reads a message; `None` when it is none of the application's.
    pub fn parse(text: &'a str) -> Option<Self> {
        let envelope: Envelope<'a> = serde_json::from_str(text).ok()?;
        let payload = envelope.payload?.get();
        match envelope.name.as_ref() {
            "sub" => serde_json::from_str(payload).ok().map(|Topic { topic }| Self::Subscribe(topic)),
            "pub" => serde_json::from_str(payload).ok().map(|Topic { topic }| Self::Publish(topic)),
            "bars.get" => {
                let Series { symbol, timeframe } = serde_json::from_str(payload).ok()?;
                let payload = Topic { topic: format!("bars:{symbol}:{timeframe}").into() };
                let reply = Reply { name: "bars.get.response", id: envelope.id, payload };
                serde_json::to_string(&reply).ok().map(Self::Answer)
            }
            _ => None,
        }
    }
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "type", borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

#[derive(Serialize, Deserialize)]
struct Topic<'a> {
    #[serde(borrow)]
    topic: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Series<'a> {
    #[serde(borrow)]
    symbol: Cow<'a, str>,
    timeframe: u32,
}

#[derive(Serialize)]
struct Reply<'a> {
    #[serde(rename = "type")]
    name: &'a str,
    id: Option<&'a RawValue>,
    payload: Topic<'a>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_for_bars_is_answered_under_its_id() {
        let request = r#"{"type":"bars.get","id":7,"payload":{"symbol":"AAPL","timeframe":1}}"#;
        let Some(Request::Answer(answer)) = Request::parse(request) else { panic!("it is a question") };
        assert_eq!(answer, r#"{"type":"bars.get.response","id":7,"payload":{"topic":"bars:AAPL:1"}}"#);
    }

    #[test]
    fn a_message_of_another_application_is_none() {
        assert!(Request::parse(r#"{"type":"greet","payload":{}}"#).is_none());
    }
}
