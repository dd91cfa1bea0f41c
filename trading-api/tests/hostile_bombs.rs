//! Compressed messages that are broken, or larger than they look, against the trading API with compression on. A
//! program of its own, because it measures its own memory.

#[path = "hostile/peer.rs"]
#[allow(dead_code, reason = "it is made for more than bombs")]
mod peer;
mod server;

use std::net::SocketAddr;

use fastws::FastWs;
use fastws::axum::Router;
use fastws::websocket::Deflate;
use flate2::{Compress, Compression, FlushCompress};
use futures_util::future::join_all;
use peer::{
    BINARY, BINARY_BEGINS, Ending, LAST, PING, Peer, RSV1, RSV2, TEXT, TEXT_BEGINS, announced, frame, none_of, upgrade,
};
use server::market;
use tokio::net::TcpListener;

const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate\r\n";

/// The largest message, once inflated.
const LIMIT: usize = 64 * 1024;

const INFO: &[u8] = br#"{"type":"info","id":1}"#;

/// Serves the trading API with compression.
async fn start() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let ws = FastWs::builder().state(market().0).compression(Deflate::default()).build().expect("a service");
    let router = Router::new().route(trading_api::WEBSOCKET_PATH, ws.route());
    tokio::spawn(fastws::serve(listener, router).into_future());
    address
}

/// Opens a WebSocket that may be compressed.
async fn open(address: SocketAddr) -> Peer {
    let (peer, head) = Peer::ask(address, upgrade(OFFER).as_bytes()).await.expect("an answer");
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("permessage-deflate"), "{head}");
    peer
}

/// So many blocks, compressed to one message.
fn deflated(block: &[u8], count: usize) -> Vec<u8> {
    let (mut out, mut compressor) = (Vec::with_capacity(LIMIT), Compress::new(Compression::best(), false));
    for _ in 1..count {
        compressor.compress_vec(block, &mut out, FlushCompress::None).expect("there is room");
    }
    compressor.compress_vec(block, &mut out, FlushCompress::Sync).expect("there is room");
    // RFC 7692 section 7.2.1: the end of an empty block is left out.
    out.truncate(out.len() - 4);
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bomb_is_defused_and_a_broken_message_has_its_close_code() {
    let address = start().await;
    let two = |first: Vec<u8>, second: Vec<u8>| [first, second].concat();
    let big = deflated(&[b' '; LIMIT + 1], 1);
    let classes = [
        ("no DEFLATE", frame(TEXT | RSV1, b"\xff\xff\xff"), 1007),
        ("a block of a reserved kind", frame(TEXT | RSV1, b"\x07"), 1007),
        ("a stored block that contradicts itself", frame(TEXT | RSV1, b"\x00\x02\x00\x00\x00{}\x00"), 1007),
        ("a distance to before the beginning", frame(TEXT | RSV1, b"\x02\x03\x00"), 1007),
        ("no UTF-8", frame(TEXT | RSV1, &deflated(b"\xff", 1)), 1007),
        ("no UTF-8 in two", two(frame(TEXT_BEGINS | RSV1, &deflated(b"\xc3(", 1)), frame(LAST, b"")), 1007),
        ("one more than the limit", frame(TEXT | RSV1, &big), 1009),
        ("one more than the limit in two", two(frame(BINARY_BEGINS | RSV1, &big[..9]), frame(LAST, &big[9..])), 1009),
        ("too big on the wire", announced(TEXT | RSV1, 100_000, b""), 1009),
        ("RSV1 on a continuation", two(frame(TEXT_BEGINS | RSV1, b""), frame(LAST | RSV1, b"")), 1002),
        ("RSV1 on a ping", frame(PING | RSV1, b""), 1002),
        ("RSV2", frame(TEXT | RSV1 | RSV2, &deflated(INFO, 1)), 1002),
        ("no message", frame(TEXT | RSV1, &deflated(b"no message", 1)), 1003),
        ("binary", frame(BINARY | RSV1, &deflated(INFO, 1)), 1003),
        ("deep JSON", frame(TEXT | RSV1, &deflated(&[b'['; 4096], 15)), 1003),
    ];
    play(address, &classes).await;

    // 32 MiB in 32 KB: as a message it would pass.
    let bomb = frame(TEXT | RSV1, &deflated(&[0; 4096], 8 << 10));
    assert!(bomb.len() < LIMIT, "{}", bomb.len());
    let bombs = std::iter::repeat_n(("a bomb", bomb, 1009), BOMBS).collect::<Vec<_>>();
    let before = peak_kb();
    play(address, &bombs).await;
    let grown = peak_kb() - before;
    assert!(grown < BOMBS * 2 * LIMIT / 1024 + ELSE_KB, "{BOMBS} bombs cost {grown} KB");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_message_is_a_message() {
    let address = start().await;
    let whole = deflated(INFO, 1);
    let in_two = [frame(TEXT_BEGINS | RSV1, &whole[..5]), frame(PING, b"x"), frame(LAST, &whole[5..])].concat();
    for (bytes, expected) in [
        (frame(TEXT | RSV1, &whole), vec!["info.response 1"]),
        (frame(TEXT, INFO), vec!["info.response 1"]),
        (in_two, vec!["pong x", "info.response 1"]),
    ] {
        let mut peer = open(address).await;
        peer.send(&bytes).await.expect("it is sent");
        let told = peer.told(expected.len()).await;
        assert!(told.ending == Ending::Fin && told.frames[..expected.len()] == expected, "{told:?}");
    }
}

/// Plays all classes at the same time: what each sends, and the code that it is closed with.
async fn play(address: SocketAddr, classes: &[(&str, Vec<u8>, u16)]) {
    let complaints = join_all(classes.iter().map(async |(name, bytes, code)| {
        let mut peer = open(address).await;
        peer.send(bytes).await.expect("it is sent");
        let told = peer.told(usize::MAX).await;
        let is_right = told.ending == Ending::Fin
            && told.frames.last().is_some_and(|last| last.starts_with(&format!("close {code} ")));
        (!is_right).then(|| format!("{name}: {told:?} instead of close {code}"))
    }));
    none_of(classes.len(), complaints.await);
}

/// How many bombs go off at the same time.
const BOMBS: usize = 50;

/// What the connections, the client's ends and the test itself cost.
const ELSE_KB: usize = 8 * 1024;

/// The most memory that this process ever had, in KB.
fn peak_kb() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("it runs on Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
