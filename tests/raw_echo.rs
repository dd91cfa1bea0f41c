//! What a peer can do wrong, over real TCP: each mistake has its documented close code or HTTP status.

use std::net::SocketAddr;
use std::time::Duration;

use fastws::websocket::{MessageLimits, apply_mask};
use flate2::{Compress, Compression, FlushCompress};
use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

#[path = "../examples/raw_echo.rs"]
mod echo;

use echo::Terms;

/// Starts an echo on a port of its own.
async fn start(terms: Terms) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move { echo::serve(listener, terms).await });
    address
}

/// Sends a request and reads the head of the answer.
async fn ask(address: SocketAddr, request: &str) -> Result<(TcpStream, String), String> {
    let mut stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    // A server that has seen enough of a request may hang up before all of it is sent.
    let _sent = stream.write_all(request.as_bytes()).await;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match timeout(Duration::from_secs(5), stream.read_u8()).await {
            Ok(Ok(byte)) => head.push(byte),
            failed => return Err(format!("{failed:?} after {:?}", String::from_utf8_lossy(&head))),
        }
    }
    Ok((stream, String::from_utf8_lossy(&head).into_owned()))
}

/// Sends these bytes over a new connection and reads to the end, which has to come in time and without a reset.
async fn exchange(address: SocketAddr, request: &str, frames: &[u8]) -> Result<Vec<u8>, String> {
    let (stream, _) = ask(address, request).await?;
    finish(stream, frames).await
}

async fn finish(mut stream: TcpStream, frames: &[u8]) -> Result<Vec<u8>, String> {
    let mut read = Vec::new();
    stream.write_all(frames).await.map_err(|error| format!("{error} while sending"))?;
    match timeout(Duration::from_secs(5), stream.read_to_end(&mut read)).await {
        Ok(Ok(_)) => Ok(read),
        Ok(Err(error)) => Err(format!("{error} after {read:?}")),
        Err(_) => Err(format!("still open after {} bytes", read.len())),
    }
}

fn request(more: &str) -> String {
    format!(
        "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
    )
}

const DEFLATE: &str = "Sec-WebSocket-Extensions: permessage-deflate\r\n";

/// A masked frame with this first byte.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    announce(first, payload.len() as u64, payload)
}

/// A masked frame that announces another length than it has.
fn announce(first: u8, length: u64, payload: &[u8]) -> Vec<u8> {
    match length {
        0..126 => with_length(first, &[0x80 | length as u8], payload),
        126..=0xffff => with_length(first, &[&[0xfe][..], &(length as u16).to_be_bytes()].concat(), payload),
        _ => with_length(first, &[&[0xff][..], &length.to_be_bytes()].concat(), payload),
    }
}

/// A masked frame whose length is written like this.
fn with_length(first: u8, length: &[u8], payload: &[u8]) -> Vec<u8> {
    const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mut payload = payload.to_vec();
    apply_mask(&mut payload, KEY, 0);
    [&[first], length, &KEY, &payload].concat()
}

fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(CLOSE, &[&code.to_be_bytes(), reason].concat())
}

fn deflate(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + 1024);
    let mut compressor = Compress::new(Compression::best(), false);
    compressor.compress_vec(payload, &mut out, FlushCompress::Sync).expect("there is room");
    out.truncate(out.len() - 4);
    out
}

const TEXT: u8 = 0x81;
const TEXT_BEGINS: u8 = 0x01;
const BINARY: u8 = 0x82;
const BINARY_BEGINS: u8 = 0x02;
const MORE: u8 = 0x00;
const LAST: u8 = 0x80;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;
const RSV1: u8 = 0x40;
const LIMIT: usize = 64 * 1024;

/// The close code of a close frame that is all there is left to read.
fn close_code(bytes: &[u8]) -> Result<u16, String> {
    match bytes {
        [CLOSE, length, high, low, reason @ ..] if usize::from(*length) == reason.len() + 2 => {
            std::str::from_utf8(reason).map_err(|error| error.to_string())?;
            Ok(u16::from_be_bytes([*high, *low]))
        }
        other => Err(format!("no close frame: {other:?}")),
    }
}

/// Tries every class of mistakes on a connection of its own, and tells which are answered otherwise than they should be.
async fn try_all(address: SocketAddr, request: &str, classes: Vec<(&str, Vec<u8>, u16)>) {
    let count = classes.len();
    let answers = join_all(classes.into_iter().map(async |(name, frames, expected)| {
        let answer = exchange(address, request, &frames).await;
        match answer.and_then(|bytes| close_code(&bytes)) {
            Ok(code) if code == expected => None,
            other => Some(format!("{name}: {other:?} instead of {expected}")),
        }
    }));
    let wrong: Vec<String> = answers.await.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}

fn malformed() -> Vec<(&'static str, Vec<u8>, u16)> {
    let big = vec![b'x'; 70_000];
    let two = |first: Vec<u8>, second: Vec<u8>| [first, second].concat();
    vec![
        // Masks (RFC 6455 section 5.1).
        ("text that is not masked", b"\x81\x02hi".to_vec(), 1002),
        ("an empty text that is not masked", b"\x81\x00".to_vec(), 1002),
        ("a ping that is not masked", b"\x89\x00".to_vec(), 1002),
        ("a close that is not masked", b"\x88\x02\x03\xe8".to_vec(), 1002),
        // Reserved bits (5.2).
        ("RSV1 on text", frame(TEXT | RSV1, b"hi"), 1002),
        ("RSV2 on text", frame(TEXT | 0x20, b"hi"), 1002),
        ("RSV3 on text", frame(TEXT | 0x10, b"hi"), 1002),
        ("all reserved bits", frame(TEXT | 0x70, b"hi"), 1002),
        ("RSV1 on a ping", frame(PING | RSV1, b""), 1002),
        ("RSV1 on a close", frame(CLOSE | RSV1, b""), 1002),
        ("RSV1 on a continuation", two(frame(TEXT_BEGINS, b"a"), frame(LAST | RSV1, b"b")), 1002),
        // Opcodes (5.2).
        ("opcode 3", frame(0x83, b"x"), 1002),
        ("opcode 4", frame(0x84, b""), 1002),
        ("opcode 5", frame(0x85, b"x"), 1002),
        ("opcode 6", frame(0x86, b""), 1002),
        ("opcode 7", frame(0x87, b"x"), 1002),
        ("opcode 11", frame(0x8b, b"x"), 1002),
        ("opcode 12", frame(0x8c, b""), 1002),
        ("opcode 13", frame(0x8d, b"x"), 1002),
        ("opcode 14", frame(0x8e, b""), 1002),
        ("opcode 15", frame(0x8f, b"x"), 1002),
        // Lengths (5.2).
        ("5 in 16 bits", with_length(TEXT, &[0xfe, 0, 5], b"hello"), 1002),
        ("125 in 16 bits", with_length(TEXT, &[0xfe, 0, 125], &[b'x'; 125]), 1002),
        ("5 in 64 bits", with_length(TEXT, &[0xff, 0, 0, 0, 0, 0, 0, 0, 5], b"hello"), 1002),
        ("65,535 in 64 bits", with_length(TEXT, &[0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff], b"x"), 1002),
        ("2^63", announce(TEXT, 1 << 63, b""), 1002),
        ("2^64 - 1", announce(BINARY, u64::MAX, b""), 1002),
        ("2^62", announce(TEXT, 1 << 62, b""), 1009),
        ("2^63 - 1", announce(BINARY, (1 << 63) - 1, b""), 1009),
        ("70,000, only the header", announce(TEXT, 70_000, b""), 1009),
        ("70,000, all there", frame(TEXT, &big), 1009),
        ("one more than the limit", frame(BINARY, &big[..LIMIT + 1]), 1009),
        ("one more than the limit in two", two(frame(TEXT_BEGINS, &big[..LIMIT]), frame(LAST, b"x")), 1009),
        ("80,000 in two", two(frame(BINARY_BEGINS, &big[..40_000]), frame(LAST, &big[..40_000])), 1009),
        ("2^63 - 1 as continuation", two(frame(TEXT_BEGINS, b"x"), announce(LAST, (1 << 63) - 1, b"")), 1009),
        // Control frames (5.5).
        ("a ping of 126", frame(PING, &[0; 126]), 1002),
        ("a pong of 126", frame(PONG, &[0; 126]), 1002),
        ("a close of 126", close(1000, &[b'x'; 124]), 1002),
        ("a ping of 70,000", frame(PING, &big), 1002),
        ("a fragmented ping", frame(PING & 0x7f, b"x"), 1002),
        ("a fragmented pong", frame(PONG & 0x7f, b""), 1002),
        ("a fragmented close", frame(CLOSE & 0x7f, b""), 1002),
        // Fragments (5.4).
        ("a continuation of nothing", frame(LAST, b"x"), 1002),
        ("a continuation of nothing, to be continued", frame(MORE, b"x"), 1002),
        ("text inside text", two(frame(TEXT_BEGINS, b"a"), frame(TEXT, b"b")), 1002),
        ("binary inside text", two(frame(TEXT_BEGINS, b"a"), frame(BINARY, b"b")), 1002),
        ("a beginning inside binary", two(frame(BINARY_BEGINS, b"a"), frame(BINARY_BEGINS, b"b")), 1002),
        // Close frames (5.5.1, 7.4).
        ("a close of one byte", frame(CLOSE, b"\x03"), 1002),
        ("close 0", close(0, b""), 1002),
        ("close 999", close(999, b""), 1002),
        ("close 1004", close(1004, b""), 1002),
        ("close 1005", close(1005, b""), 1002),
        ("close 1006", close(1006, b""), 1002),
        ("close 1015", close(1015, b""), 1002),
        ("close 1016", close(1016, b""), 1002),
        ("close 1100", close(1100, b""), 1002),
        ("close 2000", close(2000, b""), 1002),
        ("close 2999", close(2999, b""), 1002),
        ("close 5000", close(5000, b""), 1002),
        ("close 65535", close(65_535, b""), 1002),
        ("a reason that is not UTF-8", close(1000, b"\xff"), 1007),
        ("a reason that ends inside a character", close(1000, b"\xe2\x82"), 1007),
        // Text (8.1).
        ("no UTF-8", frame(TEXT, b"\xff\xfe"), 1007),
        ("an overlong slash", frame(TEXT, b"\xc0\xaf"), 1007),
        ("a surrogate", frame(TEXT, b"\xed\xa0\x80"), 1007),
        ("beyond Unicode", frame(TEXT, b"\xf4\x90\x80\x80"), 1007),
        ("a character that does not end", frame(TEXT, b"\xe2\x82"), 1007),
        ("a lonely continuation byte", frame(TEXT, b"\x80"), 1007),
        ("a wrong fragment, and no more of it", frame(TEXT_BEGINS, b"\xff"), 1007),
        ("a wrong beginning of a frame, and no more of it", announce(TEXT, 100, b"ok \xff"), 1007),
        ("a second fragment that is wrong", two(frame(TEXT_BEGINS, b"\xe2\x82"), frame(LAST, b"x")), 1007),
        ("fragments that end inside a character", two(frame(TEXT_BEGINS, b"ok"), frame(LAST, b"\xe2")), 1007),
        // No WebSocket at all.
        ("an HTTP request", b"GET / HTTP/1.1\r\n\r\n".to_vec(), 1002),
        ("a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), 1002),
        ("zeros", vec![0; 64], 1002),
        ("ones", vec![0xff; 64], 1002),
        // Not malformed: a goodbye is answered with its own code.
        ("close", frame(CLOSE, b""), 1000),
        ("close 1000", close(1000, b"bye"), 1000),
        ("close 3000", close(3000, &[b'x'; 123]), 3000),
        ("close 4999", close(4999, "grüezi".as_bytes()), 4999),
        ("close, and more after it", two(close(1001, b""), frame(0x83, b"\xff")), 1001),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_malformed_frame_has_its_close_code() {
    let address = start(Terms::default()).await;
    try_all(address, &request(""), malformed()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_malformed_compressed_message_has_its_close_code() {
    let address = start(Terms { deflate: true, ..Terms::default() }).await;
    let long = deflate(&[b'x'; LIMIT + 1]);
    let classes = vec![
        ("no DEFLATE", frame(TEXT | RSV1, b"\xff\xff"), 1007),
        ("a reserved block", frame(BINARY | RSV1, b"\x06"), 1007),
        ("a stored block with a wrong length", frame(TEXT | RSV1, b"\x00\x05\x00\x00\x00hello\x00"), 1007),
        ("a distance before the beginning", frame(TEXT | RSV1, b"\x02\x03\x00"), 1007),
        ("text that is not UTF-8 once inflated", frame(TEXT | RSV1, &deflate(b"\xff\xfe")), 1007),
        ("one more than the limit once inflated", frame(BINARY | RSV1, &long), 1009),
        ("the same in two", [frame(BINARY_BEGINS | RSV1, &long[..9]), frame(LAST, &long[9..])].concat(), 1009),
        ("RSV1 on a continuation", [frame(TEXT_BEGINS | RSV1, b"a"), frame(LAST | RSV1, b"b")].concat(), 1002),
        ("RSV1 on a ping", frame(PING | RSV1, b""), 1002),
        ("RSV2 on text", frame(TEXT | RSV1 | 0x20, b""), 1002),
        ("more on the wire than could be in it", announce(TEXT | RSV1, 100_000, b""), 1009),
    ];
    try_all(address, &request(DEFLATE), classes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn compression_that_was_not_offered_is_refused() {
    let address = start(Terms { deflate: true, ..Terms::default() }).await;
    try_all(address, &request(""), vec![("compressed text", frame(TEXT | RSV1, &deflate(b"hi")), 1002)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unfinished_message_ends_with_1008_however_slowly_it_drips() {
    let limits = MessageLimits { age: Duration::from_millis(200), ..MessageLimits::default() };
    let address = start(Terms { limits, ..Terms::default() }).await;
    let classes = vec![
        ("half a header", vec![TEXT], 1008),
        ("half a frame", announce(TEXT, 100, b"a"), 1008),
        ("half a ping", announce(PING, 100, b"a"), 1008),
        ("a fragment, and pings", [frame(TEXT_BEGINS, b""), frame(PONG, b"")].concat(), 1008),
    ];
    try_all(address, &request(""), classes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_valid_is_echoed_before_the_mistake_is_told() {
    let address = start(Terms::default()).await;
    let frames = [frame(TEXT, b"AAPL"), frame(PING, b"1"), frame(PING, b"2"), frame(0x83, b"")].concat();
    let read = exchange(address, &request(""), &frames).await.expect("it is answered");
    let rest = read.strip_prefix(b"\x81\x04AAPL\x8a\x011\x8a\x012").expect("the echo and the pongs come first");
    assert_eq!(close_code(rest), Ok(1002));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fin_inside_a_frame_is_the_only_end_without_a_close_frame() {
    let address = start(Terms::default()).await;
    let (mut stream, _) = ask(address, &request("")).await.expect("it is answered");
    stream.write_all(&[TEXT, 0xff, 0]).await.expect("it is sent");
    stream.shutdown().await.expect("it is sent");
    assert_eq!(finish(stream, b"").await, Ok(vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_malformed_handshake_has_its_status() {
    let address = start(Terms { deflate: true, ..Terms::default() }).await;
    let good = request("");
    let change = |from: &str, to: &str| good.replace(from, to);
    const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    const VERSION: &str = "Sec-WebSocket-Version: 13\r\n";
    let many: String = (0..120).map(|at| format!("x-{at}: y\r\n")).collect();
    let classes = vec![
        ("no key", change(KEY, ""), 400),
        ("a short key", change("dGhlIHNhbXBsZSBub25jZQ==", "abc"), 400),
        ("a key of 15 bytes", change("dGhlIHNhbXBsZSBub25jZQ==", "AAAAAAAAAAAAAAAAAAAA"), 400),
        ("a key of 17 bytes", change("dGhlIHNhbXBsZSBub25jZQ==", "AAAAAAAAAAAAAAAAAAAAAAA="), 400),
        ("a key that is no base64", change("dGhlIHNhbXBsZSBub25jZQ==", "!!!!!!!!!!!!!!!!!!!!!!!!"), 400),
        ("an empty key", change("dGhlIHNhbXBsZSBub25jZQ==", ""), 400),
        ("two keys", request(KEY), 400),
        ("two different keys", request("Sec-WebSocket-Key: aaaa\r\n"), 400),
        ("version 8", change("Version: 13", "Version: 8"), 426),
        ("version 14", change("Version: 13", "Version: 14"), 426),
        ("version 013", change("Version: 13", "Version: 013"), 426),
        ("two versions in one", change("Version: 13", "Version: 13, 8"), 426),
        ("no version", change(VERSION, ""), 426),
        ("version 13 twice", request(VERSION), 400),
        ("HTTP/1.0", change("HTTP/1.1", "HTTP/1.0"), 400),
        ("POST", change("GET / ", "POST / "), 405),
        ("PUT", change("GET / ", "PUT / "), 405),
        ("get in small letters", change("GET / ", "get / "), 405),
        ("no host", change("Host: localhost\r\n", ""), 400),
        ("two hosts", request("Host: elsewhere\r\n"), 400),
        ("no upgrade", change("Upgrade: websocket\r\n", ""), 426),
        ("no connection", change("Connection: Upgrade\r\n", ""), 426),
        ("an upgrade to something else", change("Upgrade: websocket", "Upgrade: h2c"), 426),
        ("a connection that is kept", change("Connection: Upgrade", "Connection: keep-alive"), 426),
        ("a plain GET", "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".into(), 426),
        ("another path", change("GET / ", "GET /elsewhere "), 404),
        ("a body", request("Content-Length: 2\r\n\r\nhi"), 400),
        ("a chunked body", request("Transfer-Encoding: chunked\r\n\r\n0\r\n"), 400),
        ("two lengths", request("Content-Length: 0\r\nContent-Length: 5\r\n"), 400),
        ("an empty protocol", request("Sec-WebSocket-Protocol: a,,b\r\n"), 400),
        ("a protocol with a space", request("Sec-WebSocket-Protocol: a b\r\n"), 400),
        ("a protocol twice", request("Sec-WebSocket-Protocol: a, a\r\n"), 400),
        ("a protocol that is no ASCII", request("Sec-WebSocket-Protocol: é\r\n"), 400),
        ("an extension without a parameter's name", request("Sec-WebSocket-Extensions: a;\r\n"), 400),
        ("an extension that is not separated", request("Sec-WebSocket-Extensions: a b\r\n"), 400),
        ("a quote that does not end", request("Sec-WebSocket-Extensions: a; b=\"c\r\n"), 400),
        ("a parameter without a value", request("Sec-WebSocket-Extensions: a; b=\r\n"), 400),
        ("120 headers", request(&many), 431),
        ("a header of 1 MB", request(&format!("x: {}\r\n", "y".repeat(1 << 20))), 431),
        ("a path of 8 KB", change("GET / ", &format!("GET /?{} ", "t".repeat(8 << 10))), 414),
        ("a header without a colon", request("x\r\n"), 400),
        ("a space before the colon", request("x : y\r\n"), 400),
        ("a zero in a header", request("x: \0\r\n"), 400),
        ("a folded header", request("x: y\r\n z\r\n"), 400),
        ("no version of HTTP", "GET /\r\n\r\n".into(), 400),
        ("garbage", "\u{1}\u{2}\u{3}\r\n\r\n".into(), 400),
    ];
    let count = classes.len();
    let answers = join_all(classes.into_iter().map(async |(name, request, expected)| {
        let head = ask(address, &request).await.map(|(_, head)| head);
        let is_right = head.as_ref().is_ok_and(|head| {
            let version = expected != 426 || head.to_lowercase().contains("\r\nsec-websocket-version: 13\r\n");
            head.split(' ').nth(1) == Some(expected.to_string().as_str()) && version
        });
        (!is_right).then(|| format!("{name}: {head:?} instead of {expected}"))
    }));
    let wrong: Vec<String> = answers.await.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_16_mb_comes_back_whole() {
    let size = 16 << 20;
    let limits = MessageLimits { bytes: size, ..MessageLimits::default() };
    let address = start(Terms { limits, ..Terms::default() }).await;
    let (mut stream, _) = ask(address, &request("")).await.expect("it is answered");
    stream.write_all(&frame(BINARY, &vec![7; size])).await.expect("it is sent");
    let mut echo = vec![0; 10 + size];
    let read = timeout(Duration::from_secs(30), stream.read_exact(&mut echo)).await;
    assert!(matches!(read, Ok(Ok(_))), "{read:?}");
    assert!(echo.starts_with(b"\x82\x7f\0\0\0\0\x01\0\0\0") && echo[10..].iter().all(|byte| *byte == 7));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bomb_of_20_mb_is_refused_with_1009_and_costs_next_to_nothing() {
    let address = start(Terms { deflate: true, ..Terms::default() }).await;
    let bomb = frame(BINARY | RSV1, &deflate_zeros(20 << 20));
    assert!(bomb.len() < LIMIT, "it passes for a small message");
    let before = peak_kb();
    try_all(address, &request(DEFLATE), vec![("a bomb", bomb, 1009); 20]).await;
    let grown = peak_kb() - before;
    assert!(grown < 8 * 1024, "twenty bombs cost {grown} KB");
}

/// As [`deflate`], without having all the zeros at once.
fn deflate_zeros(count: usize) -> Vec<u8> {
    let (mut out, mut compressor) = (Vec::with_capacity(LIMIT), Compress::new(Compression::best(), false));
    let block = [0; 1 << 12];
    for _ in 1..count / block.len() {
        compressor.compress_vec(&block, &mut out, FlushCompress::None).expect("there is room");
    }
    compressor.compress_vec(&block, &mut out, FlushCompress::Sync).expect("there is room");
    out.truncate(out.len() - 4);
    out
}

/// The most memory that this process ever had, in KB.
fn peak_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
