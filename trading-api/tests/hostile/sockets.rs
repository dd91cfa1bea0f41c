//! What networks do to connections, and what clients do to networks.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{interval, timeout};

use crate::peer::{Ending, LAST, PATIENCE, PING, Peer, TEXT, TEXT_BEGINS, announced, close, frame, text, upgrade};
use crate::start;

const INFO: &str = r#"{"type":"info","id":1}"#;

#[tokio::test(flavor = "multi_thread")]
async fn one_byte_at_a_time_is_as_good_as_all_at_once() {
    let server = start().await;
    let mut stream = TcpStream::connect(server.address).await.expect("a connection");
    stream.set_nodelay(true).expect("an option of TCP");
    for byte in upgrade("").bytes() {
        stream.write_u8(byte).await.expect("it is sent");
    }
    let mut peer = Peer { stream };
    assert!(peer.head().await.expect("an answer").starts_with("HTTP/1.1 101 "));
    let frames = [frame(PING, b"x"), text(INFO), frame(TEXT_BEGINS, b"{"), frame(LAST, b"}")].concat();
    for byte in frames {
        peer.stream.write_u8(byte).await.expect("it is sent");
    }
    let told = peer.told(usize::MAX).await;
    let expected = ["pong x", "info.response 1", "error malformed_message", "close 1003 Could not decode message"];
    assert_eq!((told.frames, told.ending), (expected.map(str::to_owned).to_vec(), Ending::Fin));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_right_behind_the_handshake_are_read() {
    let server = start().await;
    for (frames, expected) in [
        (text(INFO), vec!["info.response 1", "close 1000 "]),
        (text(INFO).repeat(16), [vec!["info.response 1"; 16], vec!["close 1000 "]].concat()),
        ([text(INFO), close(1000, b"")].concat(), vec!["info.response 1", "close 1000 "]),
    ] {
        let request = [upgrade("").as_bytes(), &frames].concat();
        let (mut peer, head) = Peer::ask(server.address, &request).await.expect("an answer");
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        let told = peer.told(expected.len() - 1).await;
        assert_eq!((told.frames, told.ending), (expected.into_iter().map(str::to_owned).collect(), Ending::Fin));
    }
    let request = [upgrade("").as_bytes(), &frame(0x83, b"")].concat();
    let (mut peer, _) = Peer::ask(server.address, &request).await.expect("an answer");
    let told = peer.told(usize::MAX).await;
    assert!(told.frames.len() == 1 && told.frames[0].starts_with("close 1002 "), "{told:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fin_without_a_goodbye_ends_the_connection_wherever_it_comes() {
    let server = start().await;
    let mut witness = Peer::open(server.address).await;
    let subscribe = text(r#"{"type":"bars.subscribe","payload":{"symbol":"AAPL"}}"#);
    let beginnings =
        [vec![], vec![TEXT], announced(TEXT, 60_000, b"{"), frame(TEXT_BEGINS, b"{"), text(INFO), subscribe];
    let endings = join_all(beginnings.iter().map(async |bytes| {
        let mut peer = Peer::open(server.address).await;
        peer.send(bytes).await.expect("it is sent");
        peer.stream.shutdown().await.expect("it is sent");
        peer.told(usize::MAX).await.ending
    }));
    for ending in endings.await {
        assert_eq!(ending, Ending::Fin);
    }
    witness.is_left_alone().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_ends_the_connection_wherever_it_comes() {
    let server = start().await;
    let mut witness = Peer::open(server.address).await;
    let subscribe = text(r#"{"type":"bars.subscribe","payload":{"symbol":"AAPL"}}"#);
    for bytes in [vec![], vec![TEXT], announced(TEXT, 60_000, b"{"), frame(TEXT_BEGINS, b"{"), text(INFO), subscribe] {
        let mut peer = Peer::open(server.address).await;
        peer.send(&bytes).await.expect("it is sent");
        peer.stream.set_zero_linger().expect("an option of TCP");
        drop(peer);
    }
    for length in [0, 1, 20, upgrade("").len() - 1, upgrade("").len()] {
        let mut stream = TcpStream::connect(server.address).await.expect("a connection");
        stream.write_all(&upgrade("").as_bytes()[..length]).await.expect("it is sent");
        stream.set_zero_linger().expect("an option of TCP");
    }
    witness.is_left_alone().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_answer_a_goodbye_is_not_waited_for() {
    let server = start().await;
    let mut witness = Peer::open(server.address).await;
    let mut silent = Peer::open(server.address).await;
    silent.send(&text("{}")).await.expect("it is sent");
    let began = Instant::now();
    let told = silent.told(usize::MAX).await;
    assert_eq!(told.ending, Ending::Fin);
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    // One that talks on instead.
    let mut talker = Peer::open(server.address).await;
    talker.send(&text("{}")).await.expect("it is sent");
    let began = Instant::now();
    let talking = async { while talker.send(&text(INFO)).await.is_ok() {} };
    timeout(PATIENCE, talking).await.expect("the server hangs up");
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    witness.is_left_alone().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_sends_and_never_reads_is_let_go_and_the_others_do_not_notice() {
    let server = start().await;
    let mut witness = Peer::open(server.address).await;
    let mut deaf = Peer::open(server.address).await;
    deaf.subscribe_to_all().await;
    let request = text(r#"{"type":"list_subscriptions","id":"list_subscriptions"}"#);
    let began = Instant::now();
    let asking = async { while deaf.send(&request).await.is_ok() {} };
    let witnessing = async {
        let (mut slowest, mut pace) = (Duration::ZERO, interval(Duration::from_millis(5)));
        loop {
            pace.tick().await;
            let asked = Instant::now();
            let connections = witness.connections().await;
            slowest = slowest.max(asked.elapsed());
            if connections == 1 {
                return slowest;
            }
        }
    };
    let (_, slowest) = timeout(PATIENCE, async { tokio::join!(timeout(PATIENCE, asking), witnessing) })
        .await
        .expect("the server lets go of a client that does not read");
    assert!(slowest < Duration::from_secs(1), "another client waited {slowest:?}");
    assert!(began.elapsed() < Duration::from_secs(15));
    server.stop().await;
}
