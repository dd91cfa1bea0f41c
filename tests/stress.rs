//! A hundred thousand steps from many tasks on several threads at once: what holds for topics holds under pressure.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use fastws::testing::TestClient;
use fastws::{Client, FastWs, Limits, Params, Payload, Result, State, Topic, Updates, payload, recv, send, topic};
use serde_json::{Value, json};
use tokio::sync::watch;

const CLIENTS: usize = 24;
const STEPS_OF_A_CLIENT: usize = 3_500;
const ROOMS: usize = 5;
const STEPS_OF_A_ROOM: usize = 3_500;

#[payload]
struct Room {
    room: usize,
}

#[send("join", reply = "join.response")]
async fn join(client: Client, Payload(Room { room }): Payload<Room>) -> Result<bool> {
    client.subscribe(&topic_of(room)).await.map(|()| true)
}

#[send("part", reply = "part.response")]
async fn part(client: Client, Payload(Room { room }): Payload<Room>) -> bool {
    client.unsubscribe(&topic_of(room))
}

/// The numbers of one room come without a gap.
#[recv("number")]
fn number(n: usize) -> usize {
    n
}

fn topic_of(room: usize) -> Topic {
    Topic::from(format!("room {room}"))
}

#[payload]
#[derive(Clone, Debug)]
struct Clock {
    face: usize,
}

/// How many clocks of each face run, and whether there were ever two.
#[derive(Clone, Default)]
struct Faces(Arc<[AtomicUsize; 3]>, Arc<AtomicBool>);

struct Running(Faces, usize);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.0[self.1].fetch_sub(1, Ordering::SeqCst);
    }
}

/// Counts from one, while somebody listens.
#[topic("clock:{face}")]
async fn clock(
    Params(Clock { face }): Params<Clock>,
    State(faces): State<Faces>,
    updates: Updates<usize>,
) -> Result<()> {
    let before = faces.0[face].fetch_add(1, Ordering::SeqCst);
    faces.1.fetch_or(before != 0, Ordering::SeqCst);
    let _running = Running(faces, face);
    for n in 1.. {
        updates.snapshot(n);
        updates.send(n + 1);
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    Ok(())
}

/// Numbers that look random, and are the same for every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }
}

/// This is one client, with what it knows of its subscriptions.
struct Listener {
    client: TestClient,
    /// The last number of each room that it is in.
    rooms: HashMap<String, Option<u64>>,
    clocks: HashMap<String, Option<u64>>,
    next_id: u64,
    heard: usize,
}

impl Listener {
    async fn connect(ws: &FastWs) -> Self {
        let client = TestClient::connect(ws).await;
        Self { client, rooms: HashMap::new(), clocks: HashMap::new(), next_id: 0, heard: 0 }
    }

    /// Sends a request, and checks everything that comes before its reply.
    async fn ask(&mut self, name: &str, payload: Value) {
        self.next_id += 1;
        let id = self.next_id;
        self.client.send_text(json!({ "type": name, "id": id, "payload": payload }).to_string()).await;
        loop {
            let frame = self.client.recv().await;
            if frame["id"] == id {
                assert_ne!(frame["type"], "error", "{frame}");
                return;
            }
            self.hear(&frame);
        }
    }

    /// T5, T8 and T10: updates come only for what is subscribed, in order, none missing and none twice.
    fn hear(&mut self, frame: &Value) {
        self.heard += 1;
        let topic = frame["topic"].as_str().expect("an update has its topic");
        let n = frame["payload"].as_u64().expect("a number");
        if let Some(last) = self.rooms.get_mut(topic) {
            assert!(last.is_none_or(|last| n == last + 1), "{topic}: {n} after {last:?}");
            *last = Some(n);
        } else {
            let last = self.clocks.get_mut(topic).unwrap_or_else(|| panic!("{topic}: not subscribed, and heard {n}"));
            let is_snapshot = frame["snapshot"] == true;
            assert!(last.is_some() || is_snapshot, "{topic}: the first is the state");
            assert!(is_snapshot || *last == Some(n - 1), "{topic}: {n} after {last:?}");
            *last = Some(n);
        }
    }

    async fn step(&mut self, dice: &mut Dice) {
        let room = dice.below(ROOMS);
        let face = dice.below(3);
        match dice.below(16) {
            0..6 => {
                self.ask("join", json!({ "room": room })).await;
                self.rooms.entry(topic_of(room).as_str().to_owned()).or_insert(None);
            }
            6..12 => {
                self.ask("part", json!({ "room": room })).await;
                self.rooms.remove(topic_of(room).as_str());
            }
            12..14 => {
                self.ask("clock.subscribe", json!({ "face": face })).await;
                self.clocks.entry(format!("clock:{face}")).or_insert(None);
            }
            _ => {
                self.ask("clock.unsubscribe", json!({ "face": face })).await;
                self.clocks.remove(&format!("clock:{face}"));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_thousand_steps_from_many_tasks_at_once() {
    let faces = Faces::default();
    // A client of this test reads only while it asks.
    let limits = Limits { outbox_frames: usize::MAX, outbox_bytes: usize::MAX, ..Limits::default() };
    let no_floods = Limits { inbound_burst_bytes: 1 << 30, ..limits };
    let ws = FastWs::builder().state(faces.clone()).limits(no_floods).shards(3).build().expect("a service");
    let (stop, stopped) = watch::channel(());
    let clients: Vec<_> = (0..CLIENTS)
        .map(|at| {
            let ws = ws.clone();
            tokio::spawn(async move {
                let mut dice = Dice(at as u64);
                let mut heard = 0;
                let mut listener = Listener::connect(&ws).await;
                for step in 0..STEPS_OF_A_CLIENT {
                    listener.step(&mut dice).await;
                    // T3: now and then a client goes without a word.
                    if step % 500 == 499 {
                        heard += listener.heard;
                        listener = Listener::connect(&ws).await;
                    }
                }
                heard + listener.heard
            })
        })
        .collect();
    let rooms: Vec<_> = (0..ROOMS)
        .map(|room| {
            let (ws, mut stopped) = (ws.clone(), stopped.clone());
            tokio::spawn(async move {
                for n in 0..STEPS_OF_A_ROOM {
                    // T9: publishing reaches at most everybody, and never waits.
                    assert!(ws.hub().publish::<number>(&topic_of(room), n) <= CLIENTS + 1);
                    if n % 8 == 7 {
                        tokio::task::yield_now().await;
                    }
                }
                stopped.changed().await.expect_err("the sender is dropped");
            })
        })
        .collect();
    let mut heard = 0;
    for client in clients {
        heard += client.await.expect("no invariant is broken");
    }
    drop((stop, stopped));
    for room in rooms {
        room.await.expect("no invariant is broken");
    }
    assert!(heard > 1_000, "{heard} updates were heard");
    assert!(!faces.1.load(Ordering::SeqCst), "T1: two sources of one topic ran at once");
    // T3 and T4: when everybody has gone, so has everything else.
    while ws.hub().topic_count() > 0 || ws.hub().connection_count() > 0 {
        tokio::task::yield_now().await;
    }
    assert!(faces.0.iter().all(|running| running.load(Ordering::SeqCst) == 0));
}
