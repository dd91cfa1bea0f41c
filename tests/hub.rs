//! Publishing and monitoring from outside of any connection.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::time::{Duration, Instant};

use fastws::testing::TestClient;
use fastws::{
    Client, Error, FastWs, Hub, Limits, Payload, Phase, Result, State, Topic, Updates, payload, recv, send, topic,
};
use serde_json::{Value, json};

/// This is an alert as the domain knows it.
struct Alert {
    symbol: &'static str,
    level: u8,
    /// Nobody outside is to know.
    internal: &'static str,
}

#[payload]
struct AlertFrame {
    symbol: String,
    urgent: bool,
}

#[recv("alerts.alert")]
fn alert(alert: Alert) -> AlertFrame {
    assert!(!alert.internal.is_empty());
    AlertFrame { symbol: alert.symbol.into(), urgent: alert.level > 5 }
}

#[recv("elsewhere.alert", service = "elsewhere")]
fn elsewhere(alert: Alert) -> AlertFrame {
    self::alert(alert)
}

#[recv("count")]
fn count(number: usize) -> usize {
    number
}

#[payload]
struct Place {
    topic: String,
}

#[send("listen", reply = "listen.response")]
async fn listen(client: Client, Payload(place): Payload<Place>) -> Result<Vec<String>> {
    client.subscribe(&place.topic.into()).await?;
    Ok(client.topics())
}

#[send("leave", reply = "leave.response")]
async fn leave(client: Client, Payload(place): Payload<Place>) -> bool {
    client.unsubscribe(&place.topic.into())
}

/// Alerts its own client.
#[send("alert_me")]
async fn alert_me(client: Client) {
    assert!(client.send::<alert>(Alert { symbol: "AAPL", level: 9, internal: "secret" }));
}

/// Tells another topic, from a handler.
#[send("relay", reply = "relay.response")]
async fn relay(hub: Hub, Payload(place): Payload<Place>) -> usize {
    hub.publish::<count>(&place.topic.into(), 1)
}

#[topic("clock")]
async fn clock(updates: Updates<usize>) {
    updates.ready();
    std::future::pending().await
}

/// Ends and fails in turn, after a millisecond.
#[topic("flaky")]
async fn flaky(updates: Updates<usize>, State(runs): State<Runs>) -> Result<()> {
    let run = runs.enter();
    if run.number.is_multiple_of(5) {
        return Err(Error::new("no_feed", "it does not start"));
    }
    updates.snapshot(run.number);
    tokio::time::sleep(Duration::from_millis(1)).await;
    if run.number.is_multiple_of(2) { Ok(()) } else { Err(Error::new("no_feed", "it failed").permanent()) }
}

/// This counts the runs of a source.
#[derive(Clone, Default)]
struct Runs(Arc<Counts>);

#[derive(Default)]
struct Counts {
    started: AtomicUsize,
    live: AtomicUsize,
    most: AtomicUsize,
}

impl Runs {
    fn enter(&self) -> Run {
        let live = self.0.live.fetch_add(1, SeqCst) + 1;
        self.0.most.fetch_max(live, SeqCst);
        Run { counts: Arc::clone(&self.0), number: self.0.started.fetch_add(1, SeqCst) }
    }
}

struct Run {
    counts: Arc<Counts>,
    number: usize,
}

impl Drop for Run {
    fn drop(&mut self) {
        self.counts.live.fetch_sub(1, SeqCst);
    }
}

fn service() -> FastWs {
    FastWs::builder().state(Runs::default()).build().expect("a service")
}

async fn listening(ws: &FastWs, topic: &str) -> TestClient {
    let mut client = TestClient::connect(ws).await;
    client.request("listen", json!({"topic":topic})).await.expect("a subscription");
    client
}

fn topic_of(symbol: &str) -> Topic {
    Topic::from(format!("alerts:{symbol}"))
}

#[tokio::test(start_paused = true)]
async fn publishing_shows_the_view_and_counts_who_was_reached() {
    let ws = service();
    let mut one = listening(&ws, "alerts:AAPL").await;
    let mut two = listening(&ws, "alerts:AAPL").await;
    let mut other = listening(&ws, "alerts:MSFT").await;
    let value = || Alert { symbol: "AAPL", level: 9, internal: "secret" };
    assert_eq!(ws.hub().publish::<alert>(&topic_of("AAPL"), value()), 2);
    let update = json!({"type":"alerts.alert","topic":"alerts:AAPL","payload":{"symbol":"AAPL","urgent":true}});
    assert_eq!((one.recv().await, two.recv().await), (update.clone(), update));
    assert_eq!(ws.hub().publish::<alert>(&topic_of("IBM"), value()), 0);
    assert_eq!(ws.hub().publish::<elsewhere>(&topic_of("AAPL"), value()), 0, "another service's operation");
    drop(one);
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(ws.hub().publish::<alert>(&topic_of("AAPL"), value()), 1);
    assert_eq!(other.recv_within(Duration::from_millis(1)).await, None);
}

#[tokio::test(start_paused = true)]
async fn publishing_by_name_checks_the_documented_type() {
    let ws = service();
    let mut client = listening(&ws, "alerts:AAPL").await;
    let publish = |name: &str, value| ws.hub().publish_named(&topic_of("AAPL"), name, value);
    let right = json!({"symbol":"AAPL","urgent":false});
    assert_eq!(publish("alerts.alert", right.clone()).expect("the documented type"), 1);
    assert_eq!(client.recv().await["payload"], right);
    let error = publish("alerts.alert", json!({"symbol":7})).expect_err("two wrong fields");
    assert_eq!(error.code().as_str(), "invalid_payload");
    let mut paths: Vec<_> = error.details().iter().map(|detail| detail.path.as_str()).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["/symbol", "/urgent"]);
    for unknown in ["alerts.alarm", "listen", "elsewhere.alert"] {
        let error = publish(unknown, right.clone()).expect_err("nothing to publish");
        assert_eq!(error.code().as_str(), "unknown_operation", "{unknown}");
        assert!(error.message().contains(unknown), "{error}");
    }
    assert_eq!(publish("clock.update", json!(3)).expect("a topic's update"), 1);
    assert_eq!(client.recv().await["type"], "clock.update");
    assert_eq!(client.recv_within(Duration::from_millis(1)).await, None, "what was wrong reached nobody");
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_reaches_every_connection() {
    let ws = service();
    assert_eq!(ws.hub().broadcast::<count>(0), 0);
    let mut clients = vec![listening(&ws, "a").await, TestClient::connect(&ws).await];
    assert_eq!(ws.hub().broadcast::<count>(7), 2);
    for client in &mut clients {
        assert_eq!(client.recv().await, json!({"type":"count","payload":7}));
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_to_one_client_reaches_it_alone() {
    let ws = service();
    let mut one = TestClient::connect(&ws).await;
    let mut two = TestClient::connect(&ws).await;
    one.send("alert_me", json!(null)).await;
    let expected = json!({"type":"alerts.alert","payload":{"symbol":"AAPL","urgent":true}});
    assert_eq!(one.recv().await, expected);
    assert_eq!(two.recv_within(Duration::from_millis(1)).await, None);
}

#[tokio::test(start_paused = true)]
async fn the_hub_counts_and_lists_connections_and_topics() {
    let ws = service();
    let mut client = listening(&ws, "b").await;
    assert_eq!(client.request("listen", json!({"topic":"a"})).await, Ok(json!(["a", "b"])));
    let _other = listening(&ws, "b").await;
    client.request("clock.subscribe", json!(null)).await.expect("a subscription");
    let topics: Vec<_> = ws.hub().topics().into_iter().map(|info| (info.topic, info.subscribers, info.phase)).collect();
    let topic = |name: &str, subscribers, phase| (name.to_owned(), subscribers, phase);
    assert_eq!(topics, [topic("a", 1, Phase::Live), topic("b", 2, Phase::Live), topic("clock", 1, Phase::Live)]);
    let mine = ws.hub().connections().into_iter().find(|info| info.id == client.id()).expect("it is connected");
    assert_eq!(mine.topics, ["a", "b", "clock"]);
    assert!(mine.connected_at.elapsed().expect("in the past") < Duration::from_secs(60));
    assert_eq!((ws.hub().connection_count(), ws.hub().topic_count()), (2, 3));

    client.request("clock.unsubscribe", json!(null)).await.expect("an unsubscription");
    assert_eq!(ws.hub().topics()[2].phase, Phase::Lingering);
    assert_eq!(client.request("leave", json!({"topic":"a"})).await, Ok(json!(true)));
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(ws.hub().topic_count(), 1);
}

#[tokio::test]
async fn anybody_may_publish_from_any_thread() {
    let ws = service();
    let mut client = listening(&ws, "numbers").await;
    let hub = ws.hub().clone();
    let publisher = std::thread::spawn(move || {
        (0..100).map(|number| hub.publish::<count>(&"numbers".into(), number)).sum::<usize>()
    });
    for number in 0..100 {
        assert_eq!(client.recv().await["payload"], number);
    }
    assert_eq!(publisher.join().expect("it does not panic"), 100);
    assert_eq!(client.request("relay", json!({"topic":"numbers"})).await, Ok(json!(1)));
}

/// Many tasks on many threads subscribe, publish, leave and vanish, while sources come and go as fast as they can.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_locks_up_or_leaks_or_gets_out_of_order_on_many_threads() {
    const TOPICS: usize = 3;
    let runs = Runs::default();
    let limits = Limits { linger: Duration::from_micros(100), ..Limits::default() };
    let ws = FastWs::builder().state(runs.clone()).limits(limits).build().expect("a service");
    let begun = Instant::now();
    let is_over = Arc::new(AtomicBool::new(false));
    let publishers: Vec<_> = (0..TOPICS)
        .map(|at| {
            let (hub, is_over) = (ws.hub().clone(), Arc::clone(&is_over));
            tokio::spawn(async move {
                let topic = Topic::from(format!("stress:{at}"));
                let mut numbers = 0..;
                while let Some(number) = numbers.next().filter(|_| !is_over.load(SeqCst)) {
                    hub.publish::<count>(&topic, number);
                    tokio::time::sleep(Duration::from_micros(200)).await;
                }
            })
        })
        .collect();
    let clients: Vec<_> = (0..8_usize)
        .map(|seed| {
            let ws = ws.clone();
            tokio::spawn(async move {
                for round in 0..20 {
                    visit(&ws, (seed + round) % TOPICS, seed.is_multiple_of(2)).await;
                }
            })
        })
        .collect();
    for client in clients {
        client.await.expect("no client has seen anything wrong");
    }
    is_over.store(true, SeqCst);
    for publisher in publishers {
        publisher.await.expect("publishing does not panic");
    }
    while ws.hub().connection_count() + ws.hub().topic_count() > 0 {
        assert!(begun.elapsed() < Duration::from_secs(20), "left behind: {:?}", ws.hub().topics());
        tokio::task::yield_now().await;
    }
    assert!(runs.0.started.load(SeqCst) > 10, "the source came and went");
    assert_eq!((runs.0.live.load(SeqCst), runs.0.most.load(SeqCst)), (0, 1));
}

/// Connects, subscribes, reads, leaves, subscribes again, and goes with or without a goodbye.
async fn visit(ws: &FastWs, at: usize, says_goodbye: bool) {
    let place = json!({"topic":format!("stress:{at}")});
    let mut client = TestClient::connect(ws).await;
    for _ in 0..3 {
        // It may fail to start, and it may be gone before the reply is read.
        let _ = client.request("flaky.subscribe", json!(null)).await;
        client.request("clock.subscribe", json!(null)).await.expect("a subscription");
        client.request("listen", place.clone()).await.expect("a subscription");
        let mut order = Order(None);
        while order.0.is_none_or(|number| number % 10 > 0) {
            order.see(&client.recv().await);
        }
        assert_eq!(client.request("leave", place.clone()).await, Ok(json!(true)));
        while let Some(frame) = client.recv_within(Duration::ZERO).await {
            order.see(&frame);
        }
        client.request("flaky.unsubscribe", json!(null)).await.expect("an unsubscription");
        client.request("clock.unsubscribe", json!(null)).await.expect("an unsubscription");
        while let Some(frame) = client.recv_within(Duration::ZERO).await {
            assert_eq!(frame["topic"], "flaky", "no update after the reply");
        }
    }
    if says_goodbye {
        client.close(1000, "").await;
        client.closed().await;
    }
}

/// This is the last number that a client has seen.
struct Order(Option<u64>);

impl Order {
    fn see(&mut self, frame: &Value) {
        if frame["type"] == "count" {
            let number = frame["payload"].as_u64().expect("a number");
            assert!(self.0.is_none_or(|before| number == before + 1), "{number} came after {:?}", self.0);
            self.0 = Some(number);
        }
    }
}
