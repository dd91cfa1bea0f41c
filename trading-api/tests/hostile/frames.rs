//! Bytes that are no WebSocket, or not quite: each mistake has its close code, and arrives before the connection ends.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::time::{interval, timeout};

use crate::peer::{
    BINARY, BINARY_BEGINS, CLOSE, Class, Ending, LAST, MORE, PATIENCE, PING, PONG, Peer, RSV1, RSV2, RSV3, TEXT,
    TEXT_BEGINS, announced, close, frame, none_of, play_all, text, with_length,
};
use crate::start;

/// The largest message, and the largest frame.
const LIMIT: usize = 64 * 1024;

const INFO: &str = r#"{"type":"info","id":1}"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_frame_has_its_close_code() {
    let server = start().await;
    let reserved = [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]
        .map(|code| Class("a reserved opcode", frame(0x80 | code, b"a"), "close 1002"));
    let forbidden = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535]
        .map(|code| Class("a close code that must not be sent", close(code, b""), "close 1002"));
    let classes = vec![
        // Masks and reserved bits (RFC 6455 sections 5.1 and 5.2).
        Class("text without a mask", b"\x81\x01{".to_vec(), "close 1002"),
        Class("a ping without a mask", b"\x89\x00".to_vec(), "close 1002"),
        Class("a goodbye without a mask", b"\x88\x02\x03\xe8".to_vec(), "close 1002"),
        Class("RSV1 where nothing is compressed", frame(TEXT | RSV1, b"{}"), "close 1002"),
        Class("RSV2", frame(TEXT | RSV2, b"{}"), "close 1002"),
        Class("RSV3", frame(BINARY | RSV3, b"{}"), "close 1002"),
        Class("RSV1 on a ping", frame(PING | RSV1, b""), "close 1002"),
        Class("RSV2 on a goodbye", frame(CLOSE | RSV2, b""), "close 1002"),
        Class("RSV3 on a continuation", [frame(TEXT_BEGINS, b"{"), frame(LAST | RSV3, b"}")].concat(), "close 1002"),
        // Lengths (5.2).
        Class("2 bytes, with the length in 16 bits", with_length(TEXT, &[0xfe, 0, 2], b"{}"), "close 1002"),
        Class("125 bytes, with the length in 16 bits", with_length(TEXT, &[0xfe, 0, 125], &[b' '; 125]), "close 1002"),
        Class(
            "2 bytes, with the length in 64 bits",
            with_length(TEXT, &[0xff, 0, 0, 0, 0, 0, 0, 0, 2], b"{}"),
            "close 1002",
        ),
        Class(
            "65,535 bytes, with the length in 64 bits",
            with_length(TEXT, &[0xff, 0, 0, 0, 0, 0, 0, 255, 255], b""),
            "close 1002",
        ),
        Class("a length of 2^63", announced(TEXT, 1 << 63, b""), "close 1002"),
        Class("a length of 2^64 - 1", announced(BINARY, u64::MAX, b""), "close 1002"),
        // Control frames (5.5).
        Class("a ping of 126 bytes", frame(PING, &[b'x'; 126]), "close 1002"),
        Class("a pong of 126 bytes", frame(PONG, &[b'x'; 126]), "close 1002"),
        Class("a goodbye of 126 bytes", close(1000, &[b'x'; 124]), "close 1002"),
        Class("a ping of 70,000 bytes", frame(PING, &[b'x'; 70_000]), "close 1002"),
        Class("a ping in fragments", frame(PING & 0x7f, b""), "close 1002"),
        Class("a pong in fragments", frame(PONG & 0x7f, b"x"), "close 1002"),
        Class("a goodbye in fragments", frame(CLOSE & 0x7f, b""), "close 1002"),
        // Fragments (5.4).
        Class("the last of no fragments", frame(LAST, b"{}"), "close 1002"),
        Class("one more of no fragments", frame(MORE, b"{}"), "close 1002"),
        Class("one more after the last", [text(INFO), frame(LAST, b"")].concat(), "info.response 1; close 1002"),
        Class("text inside of text", [frame(TEXT_BEGINS, b"{"), frame(TEXT, b"}")].concat(), "close 1002"),
        Class("binary inside of text", [frame(TEXT_BEGINS, b"{"), frame(BINARY, b"}")].concat(), "close 1002"),
        Class(
            "a beginning inside of binary",
            [frame(BINARY_BEGINS, b""), frame(TEXT_BEGINS, b"")].concat(),
            "close 1002",
        ),
        // Goodbyes (5.5.1).
        Class("a goodbye of one byte", frame(CLOSE, b"\x03"), "close 1002"),
        Class("a goodbye that is no UTF-8", close(1000, b"\xc3("), "close 1007"),
        Class("a goodbye that ends inside a character", close(3000, b"\xe2\x82"), "close 1007"),
        // Text (8.1).
        Class("a byte that UTF-8 does not have", frame(TEXT, b"{\xff}"), "close 1007"),
        Class("a character written too long", frame(TEXT, b"{\xc0\xaf}"), "close 1007"),
        Class("half a surrogate", frame(TEXT, b"\"\xed\xa0\x80\""), "close 1007"),
        Class("a character beyond the last", frame(TEXT, b"\"\xf4\x90\x80\x80\""), "close 1007"),
        Class("half a character", frame(TEXT, b"\"\xe2\x82"), "close 1007"),
        Class(
            "half a character, and its other half too late",
            [frame(TEXT, b"\xe2\x82"), frame(TEXT, b"\xac")].concat(),
            "close 1007",
        ),
        Class(
            "a continuation that breaks a character",
            [frame(TEXT_BEGINS, b"\xe2\x82"), frame(LAST, b"x")].concat(),
            "close 1007",
        ),
        Class(
            "fragments that end inside a character",
            [frame(TEXT_BEGINS, b"x"), frame(LAST, b"\xe2")].concat(),
            "close 1007",
        ),
        Class("a wrong byte before the message is whole", frame(TEXT_BEGINS, b"\xff"), "close 1007"),
        // Other protocols.
        Class("an HTTP request", b"GET / HTTP/1.1\r\n\r\n".to_vec(), "close 1002"),
        Class("the hello of TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), "close 1002"),
        Class("zeros", vec![0; 1000], "close 1002"),
        Class("ones", vec![0xff; 1000], "close 1002"),
        Class("JSON without frames", INFO.into(), "close 1002"),
    ];
    play_all(server.address, classes.into_iter().chain(reserved).chain(forbidden).collect()).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_big_ends_with_1009_as_soon_as_it_is_announced() {
    let server = start().await;
    let big = vec![b' '; 200_000];
    let classes = vec![
        Class("70,000 bytes", frame(TEXT, &big[..70_000]), "close 1009"),
        Class("200,000 bytes", frame(BINARY, &big), "close 1009"),
        Class("one byte more than the limit", frame(TEXT, &big[..LIMIT + 1]), "close 1009"),
        Class("70,000 bytes that do not come", announced(TEXT, 70_000, b""), "close 1009"),
        Class("2^62 bytes that do not come", announced(TEXT, 1 << 62, b""), "close 1009"),
        Class("2^63 - 1 bytes that do not come", announced(BINARY, (1 << 63) - 1, b"x"), "close 1009"),
        Class("the limit, and one more", [frame(TEXT_BEGINS, &big[..LIMIT]), frame(LAST, b"x")].concat(), "close 1009"),
        Class(
            "80,000 bytes in two",
            [frame(TEXT_BEGINS, &big[..40_000]), frame(MORE, &big[..40_000])].concat(),
            "close 1009",
        ),
        Class(
            "a continuation of 2^63 - 1 bytes",
            [frame(TEXT_BEGINS, b"x"), announced(LAST, (1 << 63) - 1, b"")].concat(),
            "close 1009",
        ),
        Class(
            "100,000 bytes in fragments of 100",
            [frame(TEXT_BEGINS, b""), frame(MORE, &big[..100]).repeat(1000)].concat(),
            "close 1009",
        ),
        Class("exactly the limit", text(&format!("{INFO}{}", " ".repeat(LIMIT - INFO.len()))), "info.response 1"),
    ];
    play_all(server.address, classes).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_only_unusual_is_served() {
    let server = start().await;
    let split = |at: usize| [frame(TEXT_BEGINS, &INFO.as_bytes()[..at]), frame(LAST, &INFO.as_bytes()[at..])].concat();
    let letters = INFO.as_bytes().iter().map(|byte| frame(MORE, &[*byte]));
    let classes = vec![
        Class("a message", text(INFO), "info.response 1"),
        Class("a message in two", split(9), "info.response 1"),
        Class("a message after an empty fragment", split(0), "info.response 1"),
        Class("a message before an empty fragment", split(INFO.len()), "info.response 1"),
        Class(
            "a message in letters",
            [frame(TEXT_BEGINS, b"")].into_iter().chain(letters).chain([frame(LAST, b"")]).flatten().collect(),
            "info.response 1",
        ),
        Class("a ping", frame(PING, b"AAPL"), "pong AAPL"),
        Class("an empty ping", frame(PING, b""), "pong"),
        Class(
            "a ping of 125 bytes",
            frame(PING, &[b'x'; 125]),
            concat!(
                "pong xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
                "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
            ),
        ),
        Class(
            "a ping inside of a message",
            [frame(TEXT_BEGINS, &INFO.as_bytes()[..9]), frame(PING, b"1"), frame(LAST, &INFO.as_bytes()[9..])].concat(),
            "pong 1; info.response 1",
        ),
        Class("a pong that nobody asked for", [frame(PONG, b"x"), text(INFO)].concat(), "info.response 1"),
        Class("a mask of zeros", [b"\x89\x81\0\0\0\0x".to_vec()].concat(), "pong x"),
        Class("a goodbye without a code", frame(CLOSE, b""), "close"),
        Class("a goodbye", close(1000, b"bye"), "close 1000"),
        Class("a goodbye of the application", close(4999, "grüezi".as_bytes()), "close 4999"),
        Class("a goodbye of 125 bytes", close(3000, &[b'x'; 123]), "close 3000"),
        Class("more after the goodbye", [close(1001, b""), text(INFO), frame(0x83, b"")].concat(), "close 1001"),
        Class("a mistake after a message", [text(INFO), frame(0x83, b"")].concat(), "info.response 1; close 1002"),
    ];
    play_all(server.address, classes).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unfinished_message_is_closed_after_10_seconds_however_it_drips() {
    let server = start().await;
    let classes = [
        ("half a header", vec![TEXT], vec![]),
        ("half a mask", vec![TEXT, 0x85, 1, 2], vec![]),
        ("a frame of which a byte comes now and then", announced(TEXT, 60_000, b"{"), b" ".to_vec()),
        ("a fragment that nothing follows", frame(TEXT_BEGINS, b"{"), vec![]),
        ("fragments now and then", frame(TEXT_BEGINS, b"{"), frame(MORE, b" ")),
        ("empty fragments now and then", frame(TEXT_BEGINS, b""), frame(MORE, b"")),
        ("a fragment, and pongs now and then", frame(BINARY_BEGINS, b""), frame(PONG, b"")),
    ];
    let complaints = join_all(classes.iter().map(async |(name, first, again)| {
        let mut peer = Peer::open(server.address).await;
        let began = Instant::now();
        peer.send(first).await.expect("it is sent");
        let mut seconds = interval(Duration::from_secs(1));
        let dripping = async {
            while began.elapsed() < Duration::from_secs(9) {
                seconds.tick().await;
                if peer.send(again).await.is_err() {
                    break;
                }
            }
            peer.told(usize::MAX).await
        };
        let told = timeout(PATIENCE, dripping).await.map_err(|_| "it is still open".to_owned());
        let took = began.elapsed();
        let is_right = (9..14).contains(&took.as_secs())
            && told.as_ref().is_ok_and(|told| {
                told.ending == Ending::Fin && told.frames.len() == 1 && told.frames[0].starts_with("close 1008 ")
            });
        (!is_right).then(|| format!("{name}: {told:?} after {took:?}"))
    }));
    none_of(classes.len(), complaints.await);
    server.stop().await;
}
