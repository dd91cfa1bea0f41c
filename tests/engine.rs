//! The engine under unusual circumstances: shards that end, runtimes that end, and clients that ask for much at once.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use fastws::testing::TestClient;
use fastws::websocket::{OpCode, write_masked_close, write_masked_frame};
use fastws::{Client, FastWs, Hub, Limits, Params, State, Topic, Updates, payload, recv, send, topic};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

#[send("big", reply = "big.response")]
async fn big() -> String {
    "x".repeat(100_000)
}

#[recv("tick")]
fn tick(n: usize) -> usize {
    n
}

/// Handles to clients, for what is done outside of their requests.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<Client>>>);

#[send("keep", reply = "keep.response")]
async fn keep(State(kept): State<Kept>, client: Client) -> bool {
    kept.0.lock().unwrap_or_else(PoisonError::into_inner).push(client);
    true
}

#[send("listen", reply = "listen.response")]
async fn listen(client: Client) -> bool {
    client.subscribe(&bars()).await.is_ok()
}

/// Never wants the update, and publishes another.
#[send("spin", reply = "spin.response")]
async fn spin(client: Client, hub: Hub) -> bool {
    let topic = Topic::from("spin");
    let again = topic.clone();
    let wants = move |_: &usize| {
        hub.publish::<tick>(&again, 1);
        false
    };
    client.subscribe_where(&topic, wants).await.is_ok()
}

#[payload]
#[derive(Clone, Debug)]
struct Clock {
    face: usize,
}

#[topic("clock:{face}")]
async fn clock(Params(_): Params<Clock>, updates: Updates<usize>) {
    for n in 0.. {
        updates.send(n);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn bars() -> Topic {
    Topic::from("bars:AAPL:1")
}

fn service() -> (FastWs, Kept) {
    let kept = Kept::default();
    (FastWs::builder().state(kept.clone()).shards(1).build().expect("a service"), kept)
}

/// A client that has shaken hands over TCP.
async fn connect(ws: &FastWs) -> TcpStream {
    let app = fastws::axum::Router::new().route("/ws", ws.route());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(fastws::serve(listener, app).into_future());
    let mut socket = TcpStream::connect(address).await.expect("a connection");
    let request = "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    socket.write_all(request.as_bytes()).await.expect("it is open");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.expect("an answer"));
    }
    socket
}

const KEY: [u8; 4] = [1, 2, 3, 4];

#[tokio::test]
async fn a_client_that_has_shut_its_side_gets_its_reply_and_its_goodbye() {
    for _ in 0..20 {
        let (ws, _) = service();
        let mut socket = connect(&ws).await;
        let mut bytes = Vec::new();
        write_masked_frame(&mut bytes, OpCode::Text, br#"{"type":"ping","id":1}"#, KEY);
        write_masked_frame(&mut bytes, OpCode::Text, br#"{"type":"listen","id":2}"#, KEY);
        write_masked_close(&mut bytes, 1000, "", KEY);
        socket.write_all(&bytes).await.expect("it is open");
        socket.shutdown().await.expect("it is open");
        let mut answer = Vec::new();
        timeout(Duration::from_secs(5), socket.read_to_end(&mut answer)).await.expect("an end").expect("no reset");
        let text = String::from_utf8_lossy(&answer);
        assert!(text.contains(r#""id":1"#) && text.contains(r#""id":2"#), "{text}");
        assert!(answer.ends_with(&[0x88, 2, 3, 0xe8]), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_subscribes_while_others_are_ended_as_too_slow_gets_updates() {
    let (ws, kept) = service();
    let mut slow = TestClient::connect(&ws).await;
    let mut late = TestClient::connect(&ws).await;
    slow.request("listen", json!(null)).await.expect("subscribed");
    late.request("keep", json!(null)).await.expect("kept");
    let handle = kept.0.lock().expect("nobody panics").pop().expect("a handle");
    for n in 0..1100 {
        ws.hub().publish::<tick>(&bars(), n);
    }
    handle.subscribe(&bars()).await.expect("subscribed");
    assert_eq!(slow.closed().await.0, 4102);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(ws.hub().publish::<tick>(&bars(), 7), 1);
    assert_eq!(late.recv().await["payload"], 7);
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_to_one_client_faster_than_it_is_written_ends_it() {
    let (ws, kept) = service();
    let mut client = TestClient::connect(&ws).await;
    client.request("keep", json!(null)).await.expect("kept");
    let handle = kept.0.lock().expect("nobody panics").pop().expect("a handle");
    let taken = (0..5000).filter(|n| handle.send::<tick>(*n)).count();
    assert_eq!(taken, Limits::default().outbox_frames);
    assert_eq!(client.closed().await.0, 4102);
}

#[tokio::test(start_paused = true)]
async fn time_limits_hold_on_a_shard_that_is_never_idle() {
    let ws = FastWs::builder()
        .state(Kept::default())
        .shards(1)
        .heartbeat(Duration::from_secs(1))
        .build()
        .expect("a service");
    let _silent = TestClient::connect(&ws).await.without_pongs();
    let mut busy = TestClient::connect(&ws).await.without_pongs();
    busy.request("spin", json!(null)).await.expect("subscribed");
    ws.hub().publish::<tick>(&Topic::from("spin"), 1);
    for _ in 0..20 {
        tokio::time::advance(Duration::from_secs(1)).await;
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(ws.hub().connection_count(), 0, "both have been silent for twenty intervals");
}

#[tokio::test]
async fn a_client_that_asks_for_much_at_once_and_does_not_read_is_ended() {
    let (ws, _) = service();
    let mut socket = connect(&ws).await;
    let mut bytes = Vec::new();
    while bytes.len() < 60_000 {
        write_masked_frame(&mut bytes, OpCode::Text, br#"{"type":"big"}"#, KEY);
    }
    let begun = Instant::now();
    socket.write_all(&bytes).await.expect("it is open");
    while ws.hub().connection_count() > 0 {
        tokio::task::yield_now().await;
    }
    assert!(begun.elapsed() < Duration::from_secs(3), "a tenth of the answers is enough: {:?}", begun.elapsed());
}

#[test]
fn a_topic_can_be_started_again_after_its_runtime_has_ended() {
    let (ws, _) = service();
    let listen = async || {
        let mut client = TestClient::connect(&ws).await;
        client.request("clock.subscribe", json!({ "face": 1 })).await.expect("subscribed");
        client.recv_within(Duration::from_secs(5)).await.is_some()
    };
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    for _ in 0..3 {
        assert!(runtime().block_on(listen()), "updates come");
    }
    runtime().block_on(ws.shutdown());
}

#[test]
fn whoever_comes_as_the_last_one_leaves_is_served() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(3).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (ws, _) = service();
        let end = Instant::now() + Duration::from_secs(2);
        let mut n = 0;
        while Instant::now() < end {
            n += 1;
            let mut client = TestClient::connect(&ws).await;
            client.request("ping", json!({})).await.expect("a pong");
            drop(client);
            while ws.hub().connection_count() > 0 {
                std::hint::spin_loop();
            }
            let pause = Instant::now();
            while pause.elapsed() < Duration::from_nanos(n % 200 * 100) {
                std::hint::spin_loop();
            }
        }
    });
}
