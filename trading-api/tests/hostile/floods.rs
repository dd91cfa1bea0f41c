//! Clients that send as much as they can, or read as little: they are closed soon, cost next to nothing, and hurt nobody.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::sync::Mutex;
use tokio::time::{interval, timeout};

use crate::peer::{
    BINARY_BEGINS, Class, Ending, MORE, PATIENCE, PING, PONG, Peer, TEXT_BEGINS, frame, none_of, play_all, text,
};
use crate::server::program::Program;
use crate::server::repository;
use crate::start;

/// These tests measure, so they run one at a time.
static MEASURING: Mutex<()> = Mutex::const_new(());

const INFO: &str = r#"{"type":"info","id":1}"#;

/// How often a well-behaved client asks, which is far from what it may.
const PACE: Duration = Duration::from_millis(3);

/// A client may send 1 MiB at once, and 256 KiB more every second. This is too much also for a server that takes seconds.
const TOO_MUCH: usize = 3 << 20;

/// So much of it that it is that many bytes.
fn bytes_of(unit: &[u8], count: usize) -> Vec<u8> {
    unit.repeat(count.div_ceil(unit.len()))
}

/// A message of 60,000 bytes.
fn large() -> Vec<u8> {
    text(&format!("{INFO}{}", " ".repeat(60_000 - INFO.len())))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_is_told_why_it_ends() {
    let server = start().await;
    let letters = [frame(TEXT_BEGINS, &INFO.as_bytes()[..1])]
        .into_iter()
        .chain(INFO.as_bytes()[1..].iter().map(|byte| frame(MORE, &[*byte])))
        .chain([frame(0x80, b"")])
        .flatten()
        .collect::<Vec<_>>();
    let classes = [
        ("50 pings", frame(PING, b"").repeat(50), &[1008][..]),
        ("50 pings of 125 bytes", frame(PING, &[b'x'; 125]).repeat(50), &[1008]),
        ("50 pongs", frame(PONG, b"x").repeat(50), &[1008]),
        ("50 pings inside of a message", [frame(TEXT_BEGINS, b"{"), frame(PING, b"").repeat(50)].concat(), &[1008]),
        ("100,000 pings", frame(PING, b"").repeat(100_000), &[1008]),
        ("empty fragments", [frame(TEXT_BEGINS, b""), bytes_of(&frame(MORE, b""), TOO_MUCH)].concat(), &[1008]),
        (
            "empty fragments of binary",
            [frame(BINARY_BEGINS, b""), bytes_of(&frame(MORE, b""), TOO_MUCH)].concat(),
            &[1008],
        ),
        ("messages of 60,000 bytes", bytes_of(&large(), TOO_MUCH), &[1008]),
        // Answers may pile up before there is too much to answer.
        ("requests", bytes_of(&text(INFO), TOO_MUCH), &[1008, 4102]),
        ("requests in letters", bytes_of(&letters, TOO_MUCH), &[1008, 4102]),
        // One message of so many letters is too big before it is too much.
        (
            "a message without end in letters",
            [frame(TEXT_BEGINS, b"x"), bytes_of(&frame(MORE, b"x"), TOO_MUCH)].concat(),
            &[1009],
        ),
    ];
    let complaints = join_all(classes.iter().map(async |(name, bytes, expected)| {
        let told = Peer::open(server.address).await.told_meanwhile(bytes).await;
        let last = told.frames.last().map(String::as_str).unwrap_or_default();
        let is_right =
            told.ending == Ending::Fin && expected.iter().any(|code| last.starts_with(&format!("close {code} ")));
        (!is_right)
            .then(|| format!("{name}: {} frames, the last of them `{last}`, then {:?}", told.frames.len(), told.ending))
    }));
    none_of(classes.len(), complaints.await);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stays_below_the_limits_is_no_flood() {
    let server = start().await;
    let fifteen: &'static str = Box::leak(vec!["info.response 1"; 15].join("; ").into());
    let pongs = [frame(PONG, b"").repeat(15), text(INFO)].concat();
    play_all(
        server.address,
        vec![Class("15 pongs at once", pongs, "info.response 1"), Class("900 KB at once", large().repeat(15), fifteen)],
    )
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_a_client_that_never_reads_is_closed_costs_little_and_delays_nobody() {
    let _alone = MEASURING.lock().await;
    let recording = repository("trading-api/tests/fixtures").join("bitfinex.txt");
    let program = Program::start(&["--replay", recording.to_str().expect("a path"), "--speed", "max"]);
    program.wait_for("messages/s");
    let address = program.address();
    let classes = [
        ("pings", vec![], frame(PING, b"")),
        ("pings of 125 bytes", vec![], frame(PING, &[b'x'; 125])),
        ("pongs", vec![], frame(PONG, b"")),
        ("empty fragments", frame(TEXT_BEGINS, b""), frame(MORE, b"")),
        ("fragments of one byte", frame(TEXT_BEGINS, b""), frame(MORE, b" ")),
        ("requests", vec![], text(INFO)),
        ("large requests", vec![], large()),
    ];
    let mut complaints = Vec::new();
    for (name, first, again) in &classes {
        let mut witness = Peer::open(address).await;
        witness.request("info", "null").await;
        let before = program.memory_kb();
        let (first, again) = (first.clone(), again.clone());
        let floods = tokio::spawn(async move {
            for _ in 0..3 {
                flood(address, &first, &again).await?;
            }
            Ok::<_, &str>(())
        });
        let (mut delays, mut most, mut pace) = (Vec::new(), before, interval(PACE));
        while !floods.is_finished() || delays.len() < 300 {
            pace.tick().await;
            let asked = Instant::now();
            witness.request("simple.ping", r#"{"timestamp":1}"#).await;
            delays.push(asked.elapsed());
            most = most.max(program.memory_kb());
        }
        let ended = floods.await.expect("no panic");
        delays.sort();
        let (p99, grown) = (delays[delays.len() * 99 / 100], most - before);
        let is_right = ended == Ok(()) && p99 < Duration::from_millis(100) && grown < 10_000;
        complaints.push((!is_right).then(|| format!("{name}: {ended:?}, {grown} KB more, p99 of others {p99:?}")));
    }
    none_of(classes.len(), complaints);
}

/// Sends without reading until the server hangs up, which has to be within 5 seconds.
async fn flood(address: SocketAddr, first: &[u8], again: &[u8]) -> Result<(), &'static str> {
    let mut peer = Peer::open(address).await;
    let chunk = bytes_of(again, 64 << 10);
    let flooding = async {
        let mut sent = peer.send(first).await;
        while sent.is_ok() {
            sent = peer.send(&chunk).await;
        }
    };
    timeout(Duration::from_secs(5), flooding).await.map_err(|_| "still open after 5 s")
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_never_read_do_not_fill_the_kernel() {
    let _alone = MEASURING.lock().await;
    let server = start().await;
    let mut witness = Peer::open(server.address).await;
    let before = kernel_kb();
    let deaf = join_all((0..CLIENTS).map(async |_| {
        let mut peer = Peer::open(server.address).await;
        peer.subscribe_to_all().await;
        // These are answered with 300 KB.
        peer.send(&text(r#"{"type":"list_subscriptions"}"#).repeat(400)).await.expect("it is sent");
        peer
    }))
    .await;
    let (mut most, mut longest, mut pace) = (0, 0, interval(PACE));
    let watching = async {
        loop {
            pace.tick().await;
            most = most.max(kernel_kb().saturating_sub(before));
            longest = longest.max(longest_queue(server.address));
            if witness.connections().await == 1 {
                break;
            }
        }
    };
    timeout(PATIENCE, watching).await.expect("the server lets go of clients that do not read");
    drop(deaf);
    eprintln!("{CLIENTS} clients that never read: {most} KB in the kernel, the longest queue {longest} bytes");
    assert!(longest < 128 << 10, "{longest} bytes wait in the kernel for one client");
    assert!(most < 300 * CLIENTS, "{most} KB wait in the kernel for {CLIENTS} clients");
    server.stop().await;
}

/// A thousand of them may cost 300 MB; a fifth of them is quicker, and stays within the usual limit of open files.
const CLIENTS: u64 = 200;

/// How much memory TCP has in the kernel, in KB.
fn kernel_kb() -> u64 {
    let sockets = std::fs::read_to_string("/proc/net/sockstat").expect("it runs on Linux");
    let line = sockets.lines().find(|line| line.starts_with("TCP:")).expect("a line about TCP");
    let pages: u64 = line.rsplit(' ').next().and_then(|pages| pages.parse().ok()).expect("a number");
    pages * 4
}

/// How many bytes the kernel holds for that client of a server for which it holds most.
fn longest_queue(server: SocketAddr) -> u64 {
    let connections = std::fs::read_to_string("/proc/net/tcp").expect("it runs on Linux");
    let port = format!(":{:04X}", server.port());
    let queues = connections.lines().filter_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let (queue, _) = fields.get(4)?.split_once(':')?;
        fields[1].ends_with(&port).then(|| u64::from_str_radix(queue, 16).expect("a number"))
    });
    queues.max().unwrap_or(0)
}
