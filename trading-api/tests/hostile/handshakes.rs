//! HTTP requests that are no proper handshake, and handshakes that never end.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::{interval, timeout};

use crate::peer::{ACCEPT, KEY, PATIENCE, Peer, none_of, upgrade};
use crate::start;

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_handshake_has_its_status() {
    let server = start().await;
    let good = upgrade("");
    let change = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        good.replace(from, to)
    };
    let without = |name: &str| -> String {
        good.split_inclusive("\r\n").filter(|line| !line.starts_with(&format!("{name}:"))).collect()
    };
    let headers: String = (0..120).map(|at| format!("X-{at}: y\r\n")).collect();
    let classes = [
        // The key (RFC 6455 section 4.2.1).
        ("no key", without("Sec-WebSocket-Key"), 400),
        ("an empty key", change(KEY, ""), 400),
        ("a key of 1 byte", change(KEY, "eA=="), 400),
        ("a key of 15 bytes", change(KEY, "AAAAAAAAAAAAAAAAAAAA"), 400),
        ("a key of 17 bytes", change(KEY, "AAAAAAAAAAAAAAAAAAAAAAA="), 400),
        ("a key that is no base64", change(KEY, "************************"), 400),
        ("a key without its padding", change(KEY, KEY.trim_end_matches('=')), 400),
        ("the key twice", upgrade(&format!("Sec-WebSocket-Key: {KEY}\r\n")), 400),
        ("two keys", upgrade("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"), 400),
        ("a good key and a bad one", upgrade("Sec-WebSocket-Key: x\r\n"), 400),
        // The version (4.2.2 and 4.4).
        ("no version", without("Sec-WebSocket-Version"), 426),
        ("version 0", change("Version: 13", "Version: 0"), 426),
        ("version 8", change("Version: 13", "Version: 8"), 426),
        ("version 14", change("Version: 13", "Version: 14"), 426),
        ("a version that is no number", change("Version: 13", "Version: thirteen"), 426),
        ("versions in a list", change("Version: 13", "Version: 13, 8"), 426),
        ("the version twice", upgrade("Sec-WebSocket-Version: 13\r\n"), 400),
        // What makes it an upgrade.
        ("no upgrade", without("Upgrade"), 426),
        ("an upgrade to something else", change("Upgrade: websocket", "Upgrade: h2c"), 426),
        ("no connection", without("Connection"), 426),
        ("a connection that is kept", change("Connection: Upgrade", "Connection: keep-alive"), 426),
        ("a request of a browser", "GET /api/v1/ws HTTP/1.1\r\nHost: localhost\r\n\r\n".into(), 426),
        ("POST", change("GET ", "POST "), 405),
        ("PUT", change("GET ", "PUT "), 405),
        ("DELETE", change("GET ", "DELETE "), 405),
        ("a method in small letters", change("GET ", "get "), 405),
        ("HTTP/1.0", change("HTTP/1.1", "HTTP/1.0"), 400),
        ("another path", change("/api/v1/ws ", "/api/v1/sw "), 404),
        // Bodies, which a handshake does not have.
        ("a body", upgrade("Content-Length: 2\r\n\r\n{}"), 400),
        ("a body in chunks", upgrade("Transfer-Encoding: chunked\r\n\r\n0\r\n"), 400),
        ("two lengths", upgrade("Content-Length: 0\r\nContent-Length: 2\r\n"), 400),
        ("a length that is no number", upgrade("Content-Length: two\r\n"), 400),
        // Subprotocols and extensions.
        ("a subprotocol that is missing", upgrade("Sec-WebSocket-Protocol: fastws.v1,,a\r\n"), 400),
        ("a subprotocol that is two words", upgrade("Sec-WebSocket-Protocol: fastws v1\r\n"), 400),
        ("a subprotocol twice", upgrade("Sec-WebSocket-Protocol: fastws.v1, fastws.v1\r\n"), 400),
        ("an extension with half a parameter", upgrade("Sec-WebSocket-Extensions: permessage-deflate;\r\n"), 400),
        ("an extension with an open quote", upgrade("Sec-WebSocket-Extensions: a; b=\"c\r\n"), 400),
        // Heads that are too large.
        ("120 headers", upgrade(&headers), 431),
        ("10,000 headers", upgrade(&"X: y\r\n".repeat(10_000)), 431),
        ("a header of 20 KB", upgrade(&format!("Cookie: {}\r\n", "y".repeat(20 << 10))), 431),
        ("a header of 1 MB", upgrade(&format!("Cookie: {}\r\n", "y".repeat(1 << 20))), 431),
        ("a query of 5 KB", change("/api/v1/ws ", &format!("/api/v1/ws?{} ", "x".repeat(5 << 10))), 414),
        // No HTTP.
        ("a header without a colon", upgrade("Cookie\r\n"), 400),
        ("a space before the colon", upgrade("Cookie : y\r\n"), 400),
        ("a folded header", upgrade("Cookie: x\r\n y\r\n"), 400),
        ("a zero in a header", upgrade("Cookie: \0\r\n"), 400),
        ("HTTP/9.9", change("HTTP/1.1", "HTTP/9.9"), 400),
        ("the hello of TLS", "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{3}\u{3}\r\n\r\n".into(), 400),
        ("frames without a handshake", "\u{81}\u{2}{}\r\n\r\n".into(), 400),
    ];
    let complaints = join_all(classes.iter().map(async |(name, request, expected)| {
        let head = Peer::ask(server.address, request.as_bytes()).await.map(|(_, head)| head.to_lowercase());
        let is_right = head.as_ref().is_ok_and(|head| {
            let helps = match expected {
                405 => head.contains("\r\nallow: get"),
                426 => head.contains("\r\nsec-websocket-version: 13\r\n"),
                _ => true,
            };
            helps && head.split(' ').nth(1) == Some(expected.to_string().as_str())
        });
        (!is_right).then(|| format!("{name}: {head:?} instead of {expected}"))
    }));
    none_of(classes.len(), complaints.await);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unusual_handshake_opens_a_connection() {
    let server = start().await;
    let change = |from: &str, to: &str| upgrade("").replace(from, to);
    let headers: String = (0..50).map(|at| format!("X-{at}: y\r\n")).collect();
    let classes = [
        ("Firefox's connection", change("Connection: Upgrade", "Connection: keep-alive, Upgrade")),
        (
            "all in small letters",
            upgrade("")
                .to_lowercase()
                .replace("get ", "GET ")
                .replace("http/", "HTTP/")
                .replace(&KEY.to_lowercase(), KEY),
        ),
        ("all in capitals", change("Upgrade: websocket", "UPGRADE: WEBSOCKET")),
        ("space around the values", change(KEY, &format!("  {KEY}\t "))),
        ("an empty body", upgrade("Content-Length: 0\r\n")),
        ("a query", change("/api/v1/ws ", "/api/v1/ws?token=x ")),
        ("the short path", change("/api/v1/ws ", "/ws ")),
        ("an empty line before it", format!("\r\n{}", upgrade(""))),
        ("50 headers", upgrade(&headers)),
        (
            "compression, which is off",
            upgrade("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"),
        ),
        ("subprotocols that nobody knows", upgrade("Sec-WebSocket-Protocol: mqtt, soap\r\n")),
    ];
    let complaints = join_all(classes.iter().map(async |(name, request)| {
        let head = Peer::ask(server.address, request.as_bytes()).await.map(|(_, head)| head);
        let is_right = head.as_ref().is_ok_and(|head| {
            let small = head.to_lowercase();
            let agrees = ["sec-websocket-extensions", "sec-websocket-protocol"].iter().any(|name| small.contains(name));
            head.starts_with("HTTP/1.1 101 ") && head.contains(ACCEPT) && !agrees
        });
        (!is_right).then(|| format!("{name}: {head:?}"))
    }));
    none_of(classes.len(), complaints.await);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_handshake_is_closed_after_5_seconds() {
    let server = start().await;
    let health = "GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let half = upgrade("");
    let half = &half[..half.len() - 2];
    let classes = [
        ("nothing", "", ""),
        ("half a line", "GET /api", ""),
        ("half a head", half, ""),
        ("a header now and then", half, "X: y\r\n"),
        ("a byte now and then", half, "x"),
        ("empty lines now and then", "", "\r\n"),
        ("a request, then nothing", health, ""),
        ("a request, then half a line", health, "G"),
    ];
    let complaints = join_all(classes.iter().map(async |(name, first, again)| {
        let mut peer = Peer { stream: TcpStream::connect(server.address).await.expect("a connection") };
        peer.send(first.as_bytes()).await.expect("it is sent");
        let began = Instant::now();
        let mut seconds = interval(Duration::from_millis(700));
        let mut read = [0; 4096];
        let dripping = async {
            loop {
                tokio::select! {
                    read = peer.stream.read(&mut read) => if !matches!(read, Ok(1..)) { break },
                    _ = seconds.tick() => {
                        // That the server has hung up shows in what is read.
                        let _sent = peer.stream.try_write(again.as_bytes());
                    }
                }
            }
        };
        let ended = timeout(PATIENCE, dripping).await;
        let took = began.elapsed();
        let is_right = ended.is_ok() && (4..8).contains(&took.as_secs());
        (!is_right).then(|| format!("{name}: closed: {}, after {took:?}", ended.is_ok()))
    }));
    none_of(classes.len(), complaints.await);
    server.stop().await;
}
