//! The invariants T1 to T10 of the contract's section 5, and the snapshot law, under random interleavings.
//!
//! A scene is a list of steps over a few clients and topics, played under a paused clock. Everything that breaks an
//! invariant is noted under its name; each test plays scenes of its own and looks for its name.

mod stage;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fastws::testing::TestClient;
use fastws::{FastWs, Hub, Phase, Topic, recv};
use futures_util::FutureExt;
use proptest::prelude::*;
use serde_json::{Value, json};
use stage::{Cue, Stage, Told};
use tokio::time::{Instant, sleep};

/// A topic whose updates are changes of a running sum.
const SUM: &str = "SUM";
/// A topic whose updates are its state, once it was given one.
const LAST: &str = "LAST";
const SYMBOLS: [&str; 2] = [SUM, LAST];
const CLIENTS: usize = 3;
const LINGER: Duration = Duration::from_secs(2);

#[derive(Clone, Debug)]
enum Step {
    Connect(usize),
    Close(usize),
    /// Drops the client without a close frame.
    Vanish(usize),
    Subscribe(usize, &'static str),
    Unsubscribe(usize, &'static str),
    /// What the source is told; numbers are given out when the scene is played.
    Cue(&'static str, Telling),
    /// Publishes from outside of the source.
    Note(&'static str),
    /// Lets a few tasks run.
    Yield(u8),
    /// Lets time pass, in ms, and looks at everything.
    Wait(u64),
}

#[derive(Clone, Debug)]
enum Telling {
    Ready,
    Snapshot,
    Update,
    /// More updates than the socket holds.
    Burst,
    Pause(u64),
    End,
    Fail,
    FailForGood,
    Panic,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let client = || 0..CLIENTS;
    let symbol = || prop::sample::select(&SYMBOLS[..]);
    let telling = prop_oneof![
        2 => Just(Telling::Ready),
        4 => Just(Telling::Snapshot),
        12 => Just(Telling::Update),
        2 => Just(Telling::Burst),
        2 => (1..6000_u64).prop_map(Telling::Pause),
        1 => Just(Telling::End),
        2 => Just(Telling::Fail),
        1 => Just(Telling::FailForGood),
        1 => Just(Telling::Panic),
    ];
    let step = prop_oneof![
        3 => client().prop_map(Step::Connect),
        1 => client().prop_map(Step::Close),
        1 => client().prop_map(Step::Vanish),
        8 => (client(), symbol()).prop_map(|(client, symbol)| Step::Subscribe(client, symbol)),
        5 => (client(), symbol()).prop_map(|(client, symbol)| Step::Unsubscribe(client, symbol)),
        12 => (symbol(), telling).prop_map(|(symbol, telling)| Step::Cue(symbol, telling)),
        2 => symbol().prop_map(Step::Note),
        6 => (1..12_u8).prop_map(Step::Yield),
        4 => prop_oneof![Just(1), 1..3000_u64].prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..60)
}

#[recv("notes.note")]
fn note(number: usize) -> usize {
    number
}

/// This is what a client believes about one of its topics.
#[derive(Debug, Default)]
struct View {
    /// The last told thing that it knows of.
    at: Option<usize>,
    note: Option<usize>,
    /// The sum as folded from snapshot and changes.
    sum: i64,
}

struct Guest {
    client: TestClient,
    asked: HashMap<u64, &'static str>,
    views: BTreeMap<&'static str, View>,
}

/// This plays one scene.
struct Scene {
    ws: FastWs,
    stage: Stage,
    guests: Vec<Option<Guest>>,
    /// Since when nobody has had the topic, as far as is sure.
    idle_since: HashMap<&'static str, Instant>,
    notes: HashMap<&'static str, usize>,
    next: u32,
    broken: Vec<(&'static str, String)>,
}

impl Scene {
    fn new() -> Self {
        let stage = Stage::default();
        let ws = FastWs::builder().state(stage.clone()).build().expect("a service");
        Self {
            ws,
            stage,
            guests: (0..CLIENTS).map(|_| None).collect(),
            idle_since: HashMap::new(),
            notes: HashMap::new(),
            next: 0,
            broken: Vec::new(),
        }
    }

    /// Plays the steps, then lets everybody leave; returns what was broken.
    fn play(steps: Vec<Step>) -> Vec<(&'static str, String)> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(async {
            let mut scene = Self::new();
            for client in 0..CLIENTS {
                scene.take(Step::Connect(client)).await;
            }
            for step in steps {
                scene.take(step).await;
            }
            scene.take(Step::Wait(1)).await;
            // As long as 16 requests may take, one after the other.
            for _ in 0..30 {
                if scene.unanswered() > 0 {
                    scene.take(Step::Wait(3_000)).await;
                }
            }
            let unanswered = scene.unanswered();
            scene.expect("T6", unanswered == 0, || format!("{unanswered} requests were never answered"));
            for client in 0..CLIENTS {
                scene.take(Step::Vanish(client)).await;
            }
            scene.take(Step::Wait(1)).await;
            scene.take(Step::Wait(2_100)).await;
            let left = (scene.hub().connection_count(), scene.hub().topics());
            scene.expect("T6", left.0 == 0 && left.1.is_empty(), || format!("left behind: {left:?}"));
            scene.broken
        })
    }

    fn hub(&self) -> &Hub {
        self.ws.hub()
    }

    fn unanswered(&self) -> usize {
        self.guests.iter().flatten().map(|guest| guest.asked.len()).sum()
    }

    fn expect(&mut self, invariant: &'static str, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.broken.push((invariant, what()));
        }
    }

    fn number(&mut self) -> i64 {
        self.next += 1;
        i64::from(self.next)
    }

    fn update(&mut self, symbol: &str) -> Cue {
        if symbol == SUM { Cue::Add(self.number()) } else { Cue::Send(self.number()) }
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::Connect(at) => {
                if self.guests[at].is_none() {
                    let client = TestClient::connect(&self.ws).await;
                    self.guests[at] = Some(Guest { client, asked: HashMap::new(), views: BTreeMap::new() });
                }
            }
            Step::Close(at) => {
                if let Some(mut guest) = self.guests[at].take() {
                    guest.client.close(1000, "").await;
                }
            }
            Step::Vanish(at) => self.guests[at] = None,
            Step::Subscribe(at, symbol) => self.ask(at, "prices.subscribe", symbol).await,
            Step::Unsubscribe(at, symbol) => self.ask(at, "prices.unsubscribe", symbol).await,
            Step::Cue(symbol, telling) => {
                let cue = match telling {
                    Telling::Ready => Cue::Ready,
                    Telling::Burst => {
                        for _ in 0..20 {
                            let update = self.update(symbol);
                            self.stage.cue(symbol, [update]);
                        }
                        return;
                    }
                    Telling::Snapshot if symbol == LAST => Cue::Snapshot(self.number()),
                    Telling::Snapshot | Telling::Update => self.update(symbol),
                    Telling::Pause(ms) => Cue::Pause(Duration::from_millis(ms)),
                    Telling::End => Cue::End,
                    Telling::Fail => Cue::Fail("feed lost"),
                    Telling::FailForGood => Cue::FailForGood("delisted"),
                    Telling::Panic => Cue::Panic,
                };
                self.stage.cue(symbol, [cue]);
            }
            Step::Note(symbol) => self.publish(symbol),
            Step::Yield(times) => {
                for _ in 0..times {
                    tokio::task::yield_now().await;
                }
            }
            Step::Wait(ms) => {
                // In portions: a client that did not read for five seconds would be too slow.
                for portion in (0..ms).step_by(3000) {
                    sleep(Duration::from_millis(3000.min(ms - portion))).await;
                    self.settle().await;
                }
                self.look();
            }
        }
    }

    async fn ask(&mut self, at: usize, operation: &str, symbol: &'static str) {
        let id = self.number();
        if let Some(guest) = &mut self.guests[at] {
            guest.asked.insert(id.unsigned_abs(), symbol);
            self.idle_since.remove(symbol);
            let request = json!({"type":operation,"id":id,"payload":{"symbol":symbol}});
            guest.client.send_text(request.to_string()).await;
        }
    }

    fn publish(&mut self, symbol: &'static str) {
        let number = self.notes.entry(symbol).or_default();
        *number += 1;
        let number = *number;
        let subscribers =
            || self.hub().topics().iter().find(|topic| topic.topic.ends_with(symbol)).map(|topic| topic.subscribers);
        let (listening, reached) =
            (subscribers(), self.hub().publish::<note>(&Topic::from(format!("prices:{symbol}")), number));
        self.expect("T9", reached == listening.unwrap_or(0), || format!("reached {reached} of {listening:?}"));
    }

    /// Lets everything happen that needs no time, and reads all that comes of it.
    async fn settle(&mut self) {
        loop {
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            if self.read() == 0 {
                return;
            }
        }
    }

    /// Reads what has come; says how many frames.
    fn read(&mut self) -> usize {
        let mut frames = 0;
        for at in 0..CLIENTS {
            while let Some(guest) = &mut self.guests[at]
                && let Some(Some(frame)) = guest.client.recv_within(Duration::MAX).now_or_never()
            {
                frames += 1;
                self.hear(at, &frame);
            }
        }
        frames
    }

    fn hear(&mut self, at: usize, frame: &Value) {
        let guest = self.guests[at].as_mut().expect("somebody has read it");
        let kind = frame["type"].as_str().unwrap_or_default();
        if let Some(id) = frame["id"].as_u64() {
            let symbol = guest.asked.remove(&id);
            match (kind, symbol) {
                ("prices.subscribe.response", Some(symbol)) => drop(guest.views.entry(symbol).or_default()),
                ("prices.unsubscribe.response", Some(symbol)) => drop(guest.views.remove(symbol)),
                (_, Some(_)) => {}
                (_, None) => self.broken.push(("T6", format!("a second answer: {frame}"))),
            }
            return;
        }
        let symbol = SYMBOLS.into_iter().find(|symbol| frame["topic"] == format!("prices:{symbol}"));
        let Some((symbol, view)) = symbol.and_then(|symbol| Some((symbol, guest.views.get_mut(symbol)?))) else {
            return self.broken.push(("T5", format!("a frame without a subscription: {frame}")));
        };
        match kind {
            "unsubscribed" => drop(guest.views.remove(symbol)),
            // What comes next has nothing to do with what came before.
            "error" => *view = View { note: view.note, ..View::default() },
            "notes.note" => {
                let number = frame["payload"].as_u64().expect("a number") as usize;
                let before = view.note.replace(number);
                let is_next = before.is_none_or(|before| number == before + 1);
                self.expect("T10", is_next, || format!("note {number} came after {before:?}"));
            }
            _ => {
                let told = self.stage.told(symbol);
                let broken = view.update(&told, symbol, frame);
                self.broken.extend(broken);
            }
        }
    }

    /// Compares what the hub, the sources and the clients believe.
    fn look(&mut self) {
        let infos = self.hub().connections();
        let open: BTreeMap<_, BTreeSet<String>> =
            infos.into_iter().map(|info| (info.id, info.topics.into_iter().collect())).collect();
        let believed: BTreeMap<_, BTreeSet<String>> = self
            .guests
            .iter()
            .flatten()
            .map(|guest| (guest.client.id(), guest.views.keys().map(|symbol| format!("prices:{symbol}")).collect()))
            .collect();
        let same_connections = open.keys().eq(believed.keys());
        self.expect("T3", same_connections, || format!("connections: {open:?}, clients: {believed:?}"));
        self.expect("T2", !same_connections || open == believed, || format!("hub: {open:?}, clients: {believed:?}"));
        let topics: HashMap<_, _> = self.hub().topics().into_iter().map(|info| (info.topic.clone(), info)).collect();
        for symbol in SYMBOLS {
            let (name, runs, told) = (format!("prices:{symbol}"), self.stage.runs(symbol), self.stage.told(symbol));
            let info = topics.get(&name);
            let members = believed.values().filter(|topics| topics.contains(&name)).count();
            let subscribers = info.map_or(0, |info| info.subscribers);
            self.expect("T2", subscribers == members, || {
                format!("{name} has {subscribers} subscribers, {members} clients")
            });
            self.expect("T1", runs.most <= 1, || format!("{name} had {} sources at once", runs.most));
            let should_run = info.is_some_and(|info| info.phase != Phase::Failed);
            self.expect("T4", runs.live == usize::from(should_run), || {
                format!("{name} is {info:?}, its source: {runs:?}")
            });
            self.look_for_idlers(symbol, members, info.is_some());
            let is_live = info.is_some_and(|info| info.phase == Phase::Live);
            for view in self.guests.iter().flatten().filter_map(|guest| guest.views.get(symbol)) {
                let last = told.len().checked_sub(1);
                let missed = is_live && view.at.is_some() && view.at != last;
                if missed || view.note.is_some_and(|note| note != self.notes[symbol]) {
                    self.broken.push(("law", format!("{name}: {view:?} has missed something of {told:?}")));
                }
            }
        }
    }

    fn look_for_idlers(&mut self, symbol: &'static str, members: usize, exists: bool) {
        let is_asked_for = self.guests.iter().flatten().any(|guest| guest.asked.values().any(|asked| *asked == symbol));
        if members > 0 || is_asked_for {
            self.idle_since.remove(symbol);
            return;
        }
        let idle = self.idle_since.entry(symbol).or_insert_with(Instant::now).elapsed();
        self.expect("T4", !exists || idle <= LINGER, || format!("{symbol} lingers for {idle:?}"));
    }
}

impl View {
    /// Holds an update against what the source has told.
    fn update(&mut self, told: &[Told], symbol: &str, frame: &Value) -> Option<(&'static str, String)> {
        let is_snapshot = frame["snapshot"] == true;
        let value = frame["payload"]["price"].as_i64().expect("a price");
        let by_value = |told: &Told| if is_snapshot { told.state == value } else { told.value == value };
        let Some(at) = told.iter().position(by_value) else {
            return Some(("law", format!("{symbol}: nobody told {frame}")));
        };
        let before = self.at.replace(at);
        self.sum = if is_snapshot { value } else { self.sum + value };
        match before {
            Some(before) if at <= before => Some(("T10", format!("{symbol}: {at} came after {before}"))),
            Some(before) if told[before].run != told[at].run => {
                Some(("T7", format!("{symbol}: from run {} to {} without a word", told[before].run, told[at].run)))
            }
            Some(before) if at > before + 1 => Some(("law", format!("{symbol}: {at} came after {before}"))),
            None if !is_snapshot && has_state(told, at, symbol) => {
                Some(("T8", format!("{symbol}: began without a snapshot, with {frame}")))
            }
            _ if symbol == SUM && self.sum != told[at].state => {
                Some(("law", format!("{symbol}: folded to {}, which is not {:?}", self.sum, told[at])))
            }
            _ => None,
        }
    }
}

/// Whether a subscriber that begins with `at` should have been given a state first.
fn has_state(told: &[Told], at: usize, symbol: &str) -> bool {
    symbol == SUM || told[..=at].iter().any(|earlier| earlier.run == told[at].run && earlier.is_snapshot)
}

/// Plays scenes, and looks for one invariant.
fn holds(invariant: &str, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let broken: Vec<_> = Scene::play(steps).into_iter().filter(|(name, _)| *name == invariant).collect();
    prop_assert!(broken.is_empty(), "{:#?}", broken);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: ProptestConfig::default().cases / 4, ..ProptestConfig::default() })]

    #[test]
    fn t1_a_topic_has_at_most_one_live_source(steps in steps()) {
        holds("T1", steps)?;
    }

    #[test]
    fn t2_membership_is_a_set_of_connections(steps in steps()) {
        holds("T2", steps)?;
    }

    #[test]
    fn t3_the_end_of_a_connection_removes_it_from_every_topic(steps in steps()) {
        holds("T3", steps)?;
    }

    #[test]
    fn t4_a_source_runs_exactly_while_it_has_subscribers_or_lingers(steps in steps()) {
        holds("T4", steps)?;
    }

    #[test]
    fn t5_frames_come_only_between_the_two_replies(steps in steps()) {
        holds("T5", steps)?;
    }

    #[test]
    fn t6_every_request_is_answered_once_and_nothing_is_left_behind(steps in steps()) {
        holds("T6", steps)?;
    }

    #[test]
    fn t7_a_restart_is_never_silent(steps in steps()) {
        holds("T7", steps)?;
    }

    #[test]
    fn t8_a_new_subscription_begins_anew(steps in steps()) {
        holds("T8", steps)?;
    }

    #[test]
    fn t9_publishing_reaches_exactly_the_subscribers(steps in steps()) {
        holds("T9", steps)?;
    }

    #[test]
    fn t10_updates_come_in_the_order_of_publishing(steps in steps()) {
        holds("T10", steps)?;
    }

    #[test]
    fn snapshot_and_updates_fold_to_the_state(steps in steps()) {
        holds("law", steps)?;
    }
}

static VIEWED: AtomicUsize = AtomicUsize::new(0);

#[recv("notes.counted")]
fn counted(number: usize) -> usize {
    VIEWED.fetch_add(1, Ordering::SeqCst);
    number
}

#[tokio::test(start_paused = true)]
async fn t9_publishing_to_nobody_does_not_even_encode() {
    let ws = FastWs::builder().state(Stage::default()).build().expect("a service");
    assert_eq!(ws.hub().publish::<counted>(&Topic::from("nobody"), 1), 0);
    assert_eq!(VIEWED.load(Ordering::SeqCst), 0);
}
