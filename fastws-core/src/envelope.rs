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
    /// The payload as written, which is JSON; absent and `null` are the same.
    pub(crate) payload: Option<&'a str>,
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
        match Scanner::new(text).envelope(depth) {
            Some(envelope) => Ok(envelope),
            None => Self::parse_any(text, depth),
        }
    }

    /// Reads what the scanner gave up on, and says what is wrong with it.
    fn parse_any(text: &'a str, depth: usize) -> Result<Self, Malformed> {
        let malformed =
            |id, message: String| Malformed { id, error: Error::new(ErrorCode::MALFORMED_MESSAGE, message) };
        if !text.trim_start().starts_with('{') {
            return Err(malformed(None, "a message is one JSON object".into()));
        }
        let frame: Frame<'a> =
            serde_json::from_str(text).map_err(|error| malformed(None, format!("not a message: {error}")))?;
        let id = frame.id.and_then(|id| Id::parse(id.get()));
        if nesting(text) > depth {
            return Err(malformed(id, format!("the message nests deeper than {depth} levels")));
        }
        let name = frame.name.and_then(|name| serde_json::from_str::<Name<'_>>(name.get()).ok());
        let Some(Name(name)) = name else {
            return Err(malformed(id, "the message has no string `type`".into()));
        };
        Ok(Self { name, id, payload: frame.payload.map(RawValue::get).filter(|payload| *payload != "null") })
    }
}

/// This reads the usual message in one pass over its bytes. It gives up, with `None`, on everything that is unusual or
/// wrong; what it does read is what [`Envelope::parse_any`] would have read.
struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// An object with a plain `type`, an `id` and a `payload`, in any order and each at most once.
    fn envelope(mut self, depth: usize) -> Option<Envelope<'a>> {
        let room = depth.min(MAX_SCANNED_DEPTH).checked_sub(1)?;
        let (mut name, mut id, mut payload) = (None, None, None);
        self.expect(b'{')?;
        loop {
            match self.member()? {
                "type" if name.is_none() => {
                    self.expect(b'"')?;
                    name = Some(self.plain_string()?);
                }
                "id" if id.is_none() => id = Some(self.id()?),
                "payload" if payload.is_none() => payload = Some(self.payload(room)?),
                _ => return None,
            }
            match self.next_token()? {
                b',' => {}
                b'}' => break,
                _ => return None,
            }
        }
        self.skip_space();
        let is_whole = self.at == self.text.len();
        let payload = payload.filter(|payload| *payload != "null");
        is_whole.then_some(Envelope { name: Cow::Borrowed(name?), id: id.flatten(), payload })
    }

    /// The key of an object's next member, and its colon.
    fn member(&mut self) -> Option<&'a str> {
        self.expect(b'"')?;
        let key = self.plain_string()?;
        self.expect(b':')?;
        Some(key)
    }

    /// A plain string or a number, as an id if it is usable.
    fn id(&mut self) -> Option<Option<Id>> {
        match self.next_token()? {
            b'"' => self.plain_string().map(Id::text),
            first @ (b'-' | b'0'..=b'9') => {
                let from = self.at - 1;
                self.number(first)?;
                Some(Id::number(&self.text[from..self.at]))
            }
            _ => None,
        }
    }

    /// A value as it is written.
    fn payload(&mut self, room: usize) -> Option<&'a str> {
        self.skip_space();
        let from = self.at;
        self.value(room)?;
        Some(&self.text[from..self.at])
    }

    /// Any value that nests at most `room` levels.
    fn value(&mut self, room: usize) -> Option<()> {
        match self.next_token()? {
            b'"' => self.string(),
            first @ (b'-' | b'0'..=b'9') => self.number(first),
            b'{' => self.members(room.checked_sub(1)?),
            b'[' => self.elements(room.checked_sub(1)?),
            b't' => self.rest_of("rue"),
            b'f' => self.rest_of("alse"),
            b'n' => self.rest_of("ull"),
            _ => None,
        }
    }

    /// The rest of an object.
    fn members(&mut self, room: usize) -> Option<()> {
        let mut token = self.next_token()?;
        if token == b'}' {
            return Some(());
        }
        loop {
            if token != b'"' {
                return None;
            }
            self.string()?;
            self.expect(b':')?;
            self.value(room)?;
            match self.next_token()? {
                b',' => token = self.next_token()?,
                b'}' => return Some(()),
                _ => return None,
            }
        }
    }

    /// The rest of an array.
    fn elements(&mut self, room: usize) -> Option<()> {
        self.skip_space();
        if self.take(|byte| byte == b']').is_some() {
            return Some(());
        }
        loop {
            self.value(room)?;
            match self.next_token()? {
                b',' => {}
                b']' => return Some(()),
                _ => return None,
            }
        }
    }

    /// The rest of a string that has no escapes.
    fn plain_string(&mut self) -> Option<&'a str> {
        let from = self.at;
        let is_whole = self.skip_plain()? == b'"';
        is_whole.then(|| &self.text[from..self.at - 1])
    }

    /// The rest of a string.
    fn string(&mut self) -> Option<()> {
        while self.skip_plain()? == b'\\' {
            match self.next()? {
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                b'u' => (0..4).try_for_each(|_| self.take(|byte| byte.is_ascii_hexdigit()).map(drop))?,
                _ => return None,
            }
        }
        Some(())
    }

    /// Moves behind the next quote or backslash of a string, and says which it is.
    fn skip_plain(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.at..];
        let length = rest.iter().position(|byte| ENDS_PLAIN_TEXT[usize::from(*byte)])?;
        self.at += length + 1;
        matches!(rest[length], b'"' | b'\\').then_some(rest[length])
    }

    /// The rest of a number (RFC 8259 section 6).
    fn number(&mut self, first: u8) -> Option<()> {
        match if first == b'-' { self.next()? } else { first } {
            b'0' => {}
            b'1'..=b'9' => self.skip_digits(),
            _ => return None,
        }
        if self.take(|byte| byte == b'.').is_some() {
            self.digits()?;
        }
        if self.take(|byte| matches!(byte, b'e' | b'E')).is_some() {
            let _ = self.take(|byte| matches!(byte, b'+' | b'-'));
            self.digits()?;
        }
        Some(())
    }

    fn digits(&mut self) -> Option<()> {
        self.take(|byte| byte.is_ascii_digit())?;
        self.skip_digits();
        Some(())
    }

    fn skip_digits(&mut self) {
        while self.take(|byte| byte.is_ascii_digit()).is_some() {}
    }

    fn rest_of(&mut self, literal: &str) -> Option<()> {
        let is_there = self.text.as_bytes()[self.at..].starts_with(literal.as_bytes());
        self.at += literal.len();
        is_there.then_some(())
    }

    fn expect(&mut self, token: u8) -> Option<()> {
        (self.next_token()? == token).then_some(())
    }

    /// The first byte that is no space, which is behind us then.
    fn next_token(&mut self) -> Option<u8> {
        self.skip_space();
        self.next()
    }

    fn skip_space(&mut self) {
        while self.take(|byte| matches!(byte, b' ' | b'\n' | b'\t' | b'\r')).is_some() {}
    }

    fn next(&mut self) -> Option<u8> {
        self.take(|_| true)
    }

    fn take(&mut self, wanted: impl FnOnce(u8) -> bool) -> Option<u8> {
        let byte = *self.text.as_bytes().get(self.at)?;
        let is_wanted = wanted(byte);
        self.at += usize::from(is_wanted);
        is_wanted.then_some(byte)
    }
}

/// The scanner calls itself for each level. What nests deeper than this is left to serde, which does not.
const MAX_SCANNED_DEPTH: usize = 64;

/// What a string cannot hold as it is: quotes, backslashes and control characters (RFC 8259 section 7).
const ENDS_PLAIN_TEXT: [bool; 256] = {
    let mut ends = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        ends[byte] = true;
        byte += 1;
    }
    ends[b'"' as usize] = true;
    ends[b'\\' as usize] = true;
    ends
};

/// A string that borrows when it has no escapes, which `Cow` alone does not.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl Id {
    /// Reads an id; one that cannot be echoed exactly counts as none.
    fn parse(json: &str) -> Option<Self> {
        if json.starts_with('"') {
            return Self::text(&serde_json::from_str::<Name<'_>>(json).ok()?.0);
        }
        Self::number(json)
    }

    fn text(text: &str) -> Option<Self> {
        (text.len() <= MAX_ID_BYTES).then(|| Self::Text(text.into()))
    }

    fn number(json: &str) -> Option<Self> {
        let number: i64 = json.parse().ok()?;
        (-LARGEST_EXACT..=LARGEST_EXACT).contains(&number).then_some(Self::Number(number))
    }
}

/// The largest integer up to which a JavaScript number holds every one.
const LARGEST_EXACT: i64 = (1 << 53) - 1;
const MAX_ID_BYTES: usize = 64;

/// This is the one reply to a request, in the pieces that it is written of. Names need no escapes.
pub(crate) struct Reply<'a> {
    pub(crate) name: &'a str,
    pub(crate) id: Option<&'a Id>,
    /// JSON.
    pub(crate) payload: &'a str,
}

impl Reply<'_> {
    /// Hands the text to `write`, in pieces that follow one another.
    pub(crate) fn write<T>(&self, write: impl FnOnce(&[&str]) -> T) -> T {
        let mut id = String::new();
        push_id(&mut id, self.id);
        write(&["{\"type\":\"", self.name, "\"", &id, ",\"payload\":", self.payload, "}"])
    }
}

/// This is an update of a topic, in the pieces that it is written of.
pub(crate) struct TopicUpdate<'a> {
    pub(crate) name: &'a str,
    /// The topic's text as JSON, which [`string`] makes.
    pub(crate) topic: &'a str,
    pub(crate) is_snapshot: bool,
    /// JSON.
    pub(crate) payload: &'a str,
}

impl TopicUpdate<'_> {
    /// Hands the text to `write`, in pieces that follow one another.
    pub(crate) fn write<T>(&self, write: impl FnOnce(&[&str]) -> T) -> T {
        let snapshot = if self.is_snapshot { ",\"snapshot\":true" } else { "" };
        let Self { name, topic, payload, .. } = self;
        write(&["{\"type\":\"", name, "\",\"topic\":", topic, snapshot, ",\"payload\":", payload, "}"])
    }
}

/// A text as a JSON string.
pub(crate) fn string(text: &str) -> String {
    let mut json = String::new();
    push_string(&mut json, text);
    json
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
    if text.bytes().any(|byte| ENDS_PLAIN_TEXT[usize::from(byte)]) {
        frame.push_str(&serde_json::to_string(text).expect("a string is always JSON"));
    } else {
        frame.push('"');
        frame.push_str(text);
        frame.push('"');
    }
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
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::{Index, select};

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
        assert_eq!(envelope.payload, Some(r#"{"x":1}"#));
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

    /// Pieces that a message is made of when they are in order, and that show every branch when they are not.
    fn piece() -> impl Strategy<Value = String> {
        const USUAL: &[&str] = &[
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "\"type\"",
            "\"id\"",
            "\"payload\"",
            "\"more\"",
            "\"bars.subscribe\"",
            "null",
            "true",
            "false",
            "0",
            "-0",
            "7",
            "-12",
            "1.5",
            "1e5",
            "2E+3",
            "9007199254740992",
            "{}",
            "[]",
            "\"\"",
        ];
        const ODD: &[&str] = &[
            " ",
            "\n",
            "\t",
            "\r",
            "\u{b}",
            "\u{a0}",
            "\"",
            "\\",
            "\"ty\\u0070e\"",
            "\"a\\\\\\\"\\n\"",
            "\"\\ud800\"",
            "\"\\u00g0\"",
            "\"\\x\"",
            "\"\u{1}\"",
            "\"\u{7f}é€😀\"",
            "nul",
            "NaN",
            "01",
            "-",
            "+1",
            ".5",
            "1.",
            "1e",
            "1e+",
            "/",
            "\0",
            "é",
        ];
        prop_oneof![3 => select(USUAL).prop_map(str::to_owned), 1 => select(ODD).prop_map(str::to_owned)]
    }

    fn space() -> impl Strategy<Value = &'static str> {
        prop_oneof![9 => Just(""), 1 => select(&[" ", "\n\t", "\r", "\u{a0}"][..])]
    }

    /// JSON, and what looks like it.
    fn value() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![2 => piece(), 1 => any::<f64>().prop_map(|number| number.to_string()), 1 => text()];
        let leaf = (space(), leaf, space()).prop_map(|(before, leaf, after)| format!("{before}{leaf}{after}"));
        leaf.prop_recursive(8, 24, 4, |inner| {
            let member =
                (prop_oneof![text(), piece()], inner.clone()).prop_map(|(key, value)| format!("{key}:{value}"));
            prop_oneof![
                vec(inner, 0..4).prop_map(|all| format!("[{}]", all.join(","))),
                vec(member, 0..4).prop_map(|all| format!("{{{}}}", all.join(","))),
            ]
        })
    }

    /// A JSON string.
    fn text() -> impl Strategy<Value = String> {
        "[ -~é]{0,70}|\\PC{0,9}|.{0,9}".prop_map(|text| serde_json::to_string(&text).expect("a string is always JSON"))
    }

    /// An object whose members are mostly those of an envelope.
    fn message() -> impl Strategy<Value = String> {
        let member = prop_oneof![
            4 => prop_oneof![5 => text(), 1 => value()].prop_map(|name| format!("\"type\":{name}")),
            2 => prop_oneof![1 => any::<i64>().prop_map(|id| id.to_string()), 2 => text(), 1 => value()]
                .prop_map(|id| format!("\"id\":{id}")),
            4 => value().prop_map(|payload| format!("\"payload\":{payload}")),
            1 => (text(), value()).prop_map(|(key, value)| format!("{key}:{value}")),
        ];
        (vec((space(), member, space()), 0..5), space()).prop_map(|(members, after)| {
            let members: Vec<_> =
                members.iter().map(|(before, member, after)| format!("{before}{member}{after}")).collect();
            format!("{{{}}}{after}", members.join(","))
        })
    }

    /// A message that lost a part, or that got one too many.
    fn broken_message() -> impl Strategy<Value = String> {
        (message(), any::<Index>(), any::<Index>(), piece()).prop_map(|(message, from, to, piece)| {
            let places: Vec<_> = message.char_indices().map(|(at, _)| at).chain([message.len()]).collect();
            let (one, other) = (*from.get(&places), *to.get(&places));
            match piece.len() % 3 {
                0 => message[..one].to_owned(),
                1 => format!("{}{piece}{}", &message[..one], &message[one..]),
                _ => format!("{}{}", &message[..one.min(other)], &message[one.max(other)..]),
            }
        })
    }

    fn reads_the_same(text: &str) {
        for depth in [0, 1, 3, 32, usize::MAX] {
            let (read, expected) = (Envelope::parse(text, depth), Envelope::parse_any(text, depth));
            assert_eq!(format!("{read:?}"), format!("{expected:?}"), "{text:?} at depth {depth}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn the_scanner_reads_messages_as_serde_does(text in message()) {
            reads_the_same(&text);
        }

        #[test]
        fn the_scanner_reads_broken_messages_as_serde_does(text in broken_message()) {
            reads_the_same(&text);
        }

        #[test]
        fn the_scanner_reads_anything_as_serde_does(text in vec(piece(), 0..12).prop_map(|pieces| pieces.concat())) {
            reads_the_same(&text);
            reads_the_same(&format!("{{\"type\":\"a\",\"payload\":{text}}}"));
        }
    }

    #[test]
    fn every_beginning_of_a_message_is_read_as_serde_does() {
        let text = r#"{"type":"a.b","id":-12,"payload":{"x":[1,-2.5e+3,"\u00e9\n",{},[]],"y":null,"é":true}} "#;
        for (end, _) in text.char_indices() {
            reads_the_same(&text[..end]);
        }
        reads_the_same(text);
        let deep = |levels: usize| format!(r#"{{"type":"a","payload":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
        for levels in [2, 3, 31, 32, 63, 64, 200, 100_000] {
            reads_the_same(&deep(levels));
        }
    }

    #[test]
    fn every_edge_of_the_grammar_is_read_as_serde_does() {
        for value in [
            "0",
            "-0",
            "00",
            "01",
            "-01",
            "-",
            "--1",
            "+1",
            ".5",
            "1.",
            "1.5",
            "1.e5",
            "1e",
            "1e+",
            "1e05",
            "1E-5",
            "1e5.0",
            "0x1",
            r#""\u00e9""#,
            r#""\u00e""#,
            r#""\u00eg""#,
            r#""\ud800""#,
            r#""\v""#,
            r#""\"#,
            r#""\""#,
            r#""\\""#,
            "\"\t\"",
            "\"\u{1f}\"",
            "\"\u{7f}\"",
            "[1,]",
            "[,]",
            "[1 2]",
            "[}",
            "{]",
            "{\"a\"}",
            "{\"a\":1,}",
            "{a:1}",
            "{1:1}",
            "{\"a\" : 1 }",
            "nul",
            "nulll",
            "True",
            "\u{a0}1",
            "1\u{b}",
            "",
            "1,",
            "1}",
            "1}}",
            "\"9007199254740992\"",
            "9223372036854775808",
            "-9007199254740991",
        ] {
            reads_the_same(value);
            for key in ["type", "id", "payload", "more"] {
                reads_the_same(&format!("{{\"type\":\"a\",\"{key}\":{value}}}"));
                reads_the_same(&format!("{{\"{key}\":{value},\"type\":\"a\"}}"));
                reads_the_same(&format!("{{\"{key}\":[{value}],\"type\":\"a\"}}"));
            }
        }
    }

    #[test]
    fn the_usual_messages_are_scanned() {
        for text in [
            r#"{"type":"bars.get","payload":{"symbol":"AAPL","timeframe":1,"id":12345678}}"#,
            r#"{"type":"bars.get","id":"7","payload":{"note":"a\u00e9\"b","prices":[1.5,-2e3]}}"#,
            r#" { "id" : 7 , "payload" : null , "type" : "info" } "#,
            r#"{"type":"info"}"#,
        ] {
            assert!(Scanner::new(text).envelope(32).is_some(), "{text}");
        }
    }

    #[test]
    fn frames_begin_with_their_type_and_carry_the_payload_last() {
        let id = Id::Text("a\"b".into());
        let reply = Reply { name: "pong", id: Some(&id), payload: "null" };
        assert_eq!(reply.write(|pieces| pieces.concat()), r#"{"type":"pong","id":"a\"b","payload":null}"#);
        assert_eq!(
            update("bars.update", Some("bars:AAPL:1"), true, "{}"),
            r#"{"type":"bars.update","topic":"bars:AAPL:1","snapshot":true,"payload":{}}"#
        );
    }
}
