//! Messages that are valid frames and wrong all the same: the error they are answered with, and whether it is the end.

use crate::peer::{BINARY, Class, frame, play_all, text};
use crate::start;

/// A request without an `id` that is no message.
const MALFORMED: &str = "error malformed_message; close 1003 Could not decode message";
/// A request without an `id` whose operation does not exist.
const UNKNOWN: &str = "error unknown_operation; close 1003 No matching type";
/// A request without an `id` whose payload is wrong.
const INVALID: &str = "error invalid_payload; close 1003 Could not validate payload";

fn classes(expected: &'static str, messages: &[&'static str]) -> Vec<Class> {
    messages.iter().map(|message| Class(message, text(message), expected)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_message_is_answered_and_closed_with_1003() {
    let server = start().await;
    let mut all = classes(
        MALFORMED,
        &[
            "",
            " ",
            "info",
            "null",
            "true",
            "7",
            r#""info""#,
            "[]",
            r#"["info"]"#,
            r#"[{"type":"info"}]"#,
            "{",
            "}",
            "{}",
            r#"{"type"}"#,
            r#"{"type":}"#,
            r#"{"type":1}"#,
            r#"{"type":null}"#,
            r#"{"type":["info"]}"#,
            r#"{"payload":{}}"#,
            r#"{"Type":"info"}"#,
            r#"{"type":"info""#,
            r#"{"type":"info}"#,
            r#"{"type":"info",}"#,
            r#"{type:"info"}"#,
            r#"{'type':'info'}"#,
            r#"{"type":"info"} x"#,
            r#"{"type":"info"}{"type":"info"}"#,
            r#"{"type":"info"}]"#,
            r#"{"type":"info"/**/}"#,
            "\u{feff}{\"type\":\"info\"}",
            "{\"type\":\"in\tfo\"}",
            "{\"type\":\"info\"}\0",
            r#"{"type":"\ud800"}"#,
            r#"{"type":"\x69nfo"}"#,
            r#"{"type":"info","type":"info"}"#,
            r#"{"type":"info","id":1,"id":2}"#,
            r#"{"type":"info","payload":1,"payload":2}"#,
            r#"{"type":"info","payload":01}"#,
            r#"{"type":"info","payload":NaN}"#,
            r#"{"type":"info","payload":.5}"#,
            r#"{"type":"info","payload":nul}"#,
            r#"{"type":"info","payload":[1,]}"#,
            r#"{"type":"info","payload":{"a":1]}"#,
            r#"{"type":"info","payload":"\u12"}"#,
            r#"{"type":"info","more":[}"#,
        ],
    );
    let deep =
        |levels: usize| text(&format!(r#"{{"type":"info","payload":{}{}}}"#, "[".repeat(levels), "]".repeat(levels)));
    all.extend([
        Class("33 levels", deep(32), MALFORMED),
        Class("30,000 levels", deep(30_000), MALFORMED),
        Class("60,000 brackets", text(&"[".repeat(60_000)), MALFORMED),
        Class("binary", frame(BINARY, b"\0\x01\x02"), MALFORMED),
        Class("empty binary", frame(BINARY, b""), MALFORMED),
        Class("JSON as binary", frame(BINARY, br#"{"type":"info"}"#), MALFORMED),
    ]);
    play_all(server.address, all).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_offers_is_answered_and_closed_with_1003() {
    let server = start().await;
    let mut all = classes(
        UNKNOWN,
        &[
            r#"{"type":""}"#,
            r#"{"type":"Info"}"#,
            r#"{"type":" info"}"#,
            r#"{"type":"info.response"}"#,
            r#"{"type":"error"}"#,
            r#"{"type":"bars.update","payload":{}}"#,
            r#"{"type":"bars.subscribe\u0000"}"#,
            r#"{"type":"../info"}"#,
            r#"{"type":"ïnfo"}"#,
            // Ids that cannot be echoed exactly count as none.
            r#"{"type":"nope","id":null}"#,
            r#"{"type":"nope","id":true}"#,
            r#"{"type":"nope","id":1.5}"#,
            r#"{"type":"nope","id":1e3}"#,
            r#"{"type":"nope","id":9007199254740992}"#,
            r#"{"type":"nope","id":{}}"#,
            r#"{"type":"nope","id":["7"]}"#,
            r#"{"type":"nope","id":99999999999999999999999999}"#,
        ],
    );
    let long = "x".repeat(60_000);
    all.extend([
        Class("a name of 60,000 bytes", text(&format!(r#"{{"type":"{long}"}}"#)), UNKNOWN),
        Class("an id of 65 bytes", text(&format!(r#"{{"type":"nope","id":"{}"}}"#, &long[..65])), UNKNOWN),
    ]);
    play_all(server.address, all).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_payload_is_answered_and_closed_with_1003() {
    let server = start().await;
    let all = classes(
        INVALID,
        &[
            r#"{"type":"simple.ping"}"#,
            r#"{"type":"simple.ping","payload":null}"#,
            r#"{"type":"simple.ping","payload":{}}"#,
            r#"{"type":"simple.ping","payload":[]}"#,
            r#"{"type":"simple.ping","payload":[1]}"#,
            r#"{"type":"simple.ping","payload":"1"}"#,
            r#"{"type":"simple.ping","payload":{"timestamp":"1"}}"#,
            r#"{"type":"simple.ping","payload":{"timestamp":1.5}}"#,
            r#"{"type":"simple.ping","payload":{"timestamp":null}}"#,
            r#"{"type":"simple.ping","payload":{"timestamp":9223372036854775808}}"#,
            r#"{"type":"simple.ping","payload":{"timestamp":1e400}}"#,
            r#"{"type":"simple.ping","payload":{"timestamp":1,"timestamp":2}}"#,
            r#"{"type":"bars.subscribe","payload":{"symbol":["AAPL"]}}"#,
            r#"{"type":"bars.subscribe","payload":{"symbol":"AAPL","resolution":"2"}}"#,
            r#"{"type":"multi_subscribe","payload":{"symbols":[]}}"#,
        ],
    );
    play_all(server.address, all).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_with_an_id_is_answered_and_the_connection_goes_on() {
    let server = start().await;
    let both = |first: &str| [text(first), text(r#"{"type":"info","id":"next"}"#)].concat();
    let longest = "x".repeat(64);
    let classes = vec![
        Class("no type", both(r#"{"id":7}"#), r#"error malformed_message 7; info.response "next""#),
        Class(
            "a type that is no string",
            both(r#"{"id":"7","type":0}"#),
            r#"error malformed_message "7"; info.response "next""#,
        ),
        Class(
            "too deep",
            both(&format!(r#"{{"type":"info","id":7,"payload":{}{}}}"#, "[".repeat(40), "]".repeat(40))),
            r#"error malformed_message 7; info.response "next""#,
        ),
        Class(
            "an unknown operation",
            both(r#"{"type":"nope","id":-7}"#),
            r#"error unknown_operation -7; info.response "next""#,
        ),
        Class(
            "an id with an escape",
            both(r#"{"type":"nope","id":"\"\n"}"#),
            r#"error unknown_operation "\"\n"; info.response "next""#,
        ),
        Class("an empty id", both(r#"{"type":"nope","id":""}"#), r#"error unknown_operation ""; info.response "next""#),
        Class(
            "the largest number",
            both(r#"{"type":"nope","id":9007199254740991}"#),
            r#"error unknown_operation 9007199254740991; info.response "next""#,
        ),
        Class(
            "the longest text",
            both(&format!(r#"{{"type":"nope","id":"{longest}"}}"#)),
            r#"error unknown_operation "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"; info.response "next""#,
        ),
        Class(
            "a wrong payload",
            both(r#"{"type":"simple.ping","id":7,"payload":{}}"#),
            r#"error invalid_payload 7; info.response "next""#,
        ),
        Class(
            "an unknown symbol",
            both(r#"{"type":"bars.subscribe","id":7,"payload":{"symbol":"MOON"}}"#),
            r#"error unknown_symbol 7; info.response "next""#,
        ),
        Class(
            "an unknown symbol without an id",
            both(r#"{"type":"bars.subscribe","payload":{"symbol":"MOON"}}"#),
            r#"error unknown_symbol; info.response "next""#,
        ),
        Class(
            "space around everything",
            both("\r\n\t { \"type\" : \"info\" , \"id\" : 7 } \n"),
            r#"info.response 7; info.response "next""#,
        ),
        Class(
            "escapes in the type",
            both(r#"{"t\u0079pe":"\u0069nfo","id":7}"#),
            r#"info.response 7; info.response "next""#,
        ),
        Class(
            "keys that nobody knows",
            both(r#"{"a":[{}],"type":"info","b":"\ud800","id":7,"a":1}"#),
            r#"info.response 7; info.response "next""#,
        ),
        Class(
            "a payload that nobody reads",
            both(r#"{"type":"info","id":7,"payload":[1e400,"\ud800"]}"#),
            r#"info.response 7; info.response "next""#,
        ),
    ];
    play_all(server.address, classes).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tenth_mistake_in_a_row_is_the_last() {
    let server = start().await;
    let mistakes = |count| -> Vec<u8> { (0..count).flat_map(|_| text(r#"{"type":"nope","id":7}"#)).collect() };
    const NINE: &str = "error unknown_operation 7; error unknown_operation 7; error unknown_operation 7; \
         error unknown_operation 7; error unknown_operation 7; error unknown_operation 7; error unknown_operation 7; \
         error unknown_operation 7; error unknown_operation 7";
    let ten: &'static str = Box::leak(format!("{NINE}; error unknown_operation 7; close 4009").into());
    let classes =
        vec![Class("nine", mistakes(9), NINE), Class("ten", mistakes(10), ten), Class("more", mistakes(50), ten)];
    play_all(server.address, classes).await;
    server.stop().await;
}
