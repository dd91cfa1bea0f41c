//! The JSON frame on the wire: text in, [`Envelope`] out, and back. The only file that knows its shape.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::error::{Error, ErrorCode};

/// This is what a client wrote in one text message.
#[derive(Debug)]
pub(crate) struct Envelope<'a> {
    /// The name of the operation.
    pub(crate) name: Cow<'a, str>,
    /// The client's correlation id, if it is usable.
    pub(crate) id: Option<Id>,
    /// The payload as written; absent and `null` are the same.
    pub(crate) payload: Option<&'a RawValue>,
}

/// This is a message that is no envelope, with the id that could still be read from it.
#[derive(Debug)]
pub(crate) struct Malformed {
    pub(crate) id: Option<Id>,
    pub(crate) error: Error,
}

/// This is a request's correlation id, echoed with the JSON type that it came with.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(untagged)]
pub(crate) enum Id {
    Text(Box<str>),
    Number(i64),
}

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(rename = "type", borrow, default)]
    name: Option<&'a RawValue>,
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    payload: Option<&'a RawValue>,
}

impl<'a> Envelope<'a> {
    /// Reads one text message; `depth` is how deep its JSON may nest.
    pub(crate) fn parse(text: &'a str, depth: usize) -> Result<Self, Malformed> {
        let malformed =
            |id, message: String| Malformed { id, error: Error::new(ErrorCode::MALFORMED_MESSAGE, message) };
        if !text.trim_start().starts_with('{') {
            return Err(malformed(None, "a message is one JSON object".into()));
        }
        let frame: Frame<'a> =
            serde_json::from_str(text).map_err(|error| malformed(None, format!("not a message: {error}")))?;
        let id = frame.id.and_then(Id::parse);
        if nesting(text) > depth {
            return Err(malformed(id, format!("the message nests deeper than {depth} levels")));
        }
        let name = frame.name.and_then(|name| serde_json::from_str::<Name<'_>>(name.get()).ok());
        let Some(Name(name)) = name else {
            return Err(malformed(id, "the message has no string `type`".into()));
        };
        Ok(Self { name, id, payload: frame.payload.filter(|payload| payload.get() != "null") })
    }
}

/// A string that borrows when it has no escapes, which `Cow` alone does not.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl Id {
    /// Reads an id; one that cannot be echoed exactly counts as none.
    fn parse(raw: &RawValue) -> Option<Self> {
        const LARGEST_EXACT: i64 = (1 << 53) - 1;
        let text = raw.get();
        if text.starts_with('"') {
            let id: Box<str> = serde_json::from_str(text).ok()?;
            return (id.len() <= MAX_ID_BYTES).then_some(Self::Text(id));
        }
        let number: i64 = text.parse().ok()?;
        (-LARGEST_EXACT..=LARGEST_EXACT).contains(&number).then_some(Self::Number(number))
    }
}

const MAX_ID_BYTES: usize = 64;

/// Writes the one reply to a request. `payload` is JSON.
pub(crate) fn reply(name: &str, id: Option<&Id>, payload: &str) -> String {
    let mut frame = open(name, payload.len());
    push_id(&mut frame, id);
    close(frame, payload)
}

/// Writes an update, or with `snapshot` the state that a new subscriber starts from. `payload` is JSON.
pub(crate) fn update(name: &str, topic: Option<&str>, snapshot: bool, payload: &str) -> String {
    let mut frame = open(name, payload.len() + topic.map_or(0, str::len));
    if let Some(topic) = topic {
        frame.push_str(",\"topic\":");
        push_string(&mut frame, topic);
    }
    if snapshot {
        frame.push_str(",\"snapshot\":true");
    }
    close(frame, payload)
}

/// Writes an error, as the answer to `id` or on its own, about `topic` if it has one.
pub(crate) fn error(id: Option<&Id>, topic: Option<&str>, error: &Error) -> String {
    let payload = serde_json::to_string(&error.public()).expect("an error holds only strings and numbers");
    let mut frame = open("error", payload.len());
    push_id(&mut frame, id);
    if let Some(topic) = topic {
        frame.push_str(",\"topic\":");
        push_string(&mut frame, topic);
    }
    close(frame, &payload)
}

fn open(name: &str, room: usize) -> String {
    let mut frame = String::with_capacity(name.len() + room + 48);
    frame.push_str("{\"type\":");
    push_string(&mut frame, name);
    frame
}

fn push_id(frame: &mut String, id: Option<&Id>) {
    match id {
        None => {}
        Some(Id::Text(text)) => {
            frame.push_str(",\"id\":");
            push_string(frame, text);
        }
        Some(Id::Number(number)) => {
            frame.push_str(",\"id\":");
            frame.push_str(&number.to_string());
        }
    }
}

fn close(mut frame: String, payload: &str) -> String {
    frame.push_str(",\"payload\":");
    frame.push_str(payload);
    frame.push('}');
    frame
}

fn push_string(frame: &mut String, text: &str) {
    frame.push_str(&serde_json::to_string(text).expect("a string is always JSON"));
}

/// How deep arrays and objects nest in `text`, whether or not it is valid JSON.
fn nesting(text: &str) -> usize {
    let (mut depth, mut deepest, mut quoted, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> Option<Id> {
        Envelope::parse(&format!(r#"{{"type":"a","id":{text}}}"#), 32).expect("an envelope").id
    }

    #[test]
    fn an_envelope_is_read_whatever_the_order_of_its_keys() {
        let envelope = Envelope::parse(r#" {"payload":{"x":1},"more":[1],"id":"7","type":"b\u0061rs"} "#, 32)
            .expect("an envelope");
        assert_eq!(envelope.name, "bars");
        assert_eq!(envelope.id, Some(Id::Text("7".into())));
        assert_eq!(envelope.payload.map(RawValue::get), Some(r#"{"x":1}"#));
    }

    #[test]
    fn an_id_is_kept_only_when_it_can_be_echoed_exactly() {
        assert_eq!(id("9007199254740991"), Some(Id::Number(9_007_199_254_740_991)));
        for unusable in ["9007199254740992", "1.5", "true", "{}", "null", &format!("\"{}\"", "x".repeat(65))] {
            assert_eq!(id(unusable), None, "{unusable}");
        }
    }

    #[test]
    fn what_is_no_envelope_is_malformed_and_keeps_its_id() {
        for text in ["", "[]", "7", r#"["a"]"#, "{", r#"{"type":1}"#, r#"{"payload":{}}"#, r#"{"type":"a","type":"b"}"#]
        {
            assert!(Envelope::parse(text, 32).is_err(), "{text}");
        }
        let malformed = Envelope::parse(r#"{"id":3,"type":null}"#, 32).expect_err("no type");
        assert_eq!(malformed.id, Some(Id::Number(3)));
    }

    #[test]
    fn nesting_is_limited_and_brackets_in_strings_do_not_count() {
        let deep = |levels: usize| format!(r#"{{"type":"a","payload":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
        assert!(Envelope::parse(&deep(31), 32).is_ok());
        assert!(Envelope::parse(&deep(32), 32).is_err());
        assert!(Envelope::parse(r#"{"type":"a","payload":"[[[[\"[[["}"#, 2).is_ok());
    }

    #[test]
    fn frames_begin_with_their_type_and_carry_the_payload_last() {
        let id = Id::Text("a\"b".into());
        assert_eq!(reply("pong", Some(&id), "null"), r#"{"type":"pong","id":"a\"b","payload":null}"#);
        assert_eq!(
            update("bars.update", Some("bars:AAPL:1"), true, "{}"),
            r#"{"type":"bars.update","topic":"bars:AAPL:1","snapshot":true,"payload":{}}"#
        );
    }
}
