//! Connections: signs of life, slow clients, hooks and endings. Sections 3, 4 and 7 of the contract.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fastws::testing::TestClient;
use fastws::{Client, CloseReason, FastWs, Heartbeat, Hub, Limits, Payload, State, Topic, payload, recv, send};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// This is what the handlers and the hooks of a test have noted.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    fn add(&self, note: impl Into<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(note.into());
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Notes when it is dropped.
struct Dropped(Notes);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.add("dropped");
    }
}

#[payload]
struct Work {
    name: String,
    seconds: u64,
}

#[send("work", reply = "work.response")]
async fn work(State(notes): State<Notes>, Payload(work): Payload<Work>) -> String {
    let _dropped = Dropped(notes.clone());
    notes.add(format!("began {}", work.name));
    sleep(Duration::from_secs(work.seconds)).await;
    work.name
}

#[send("overtake", reply = "overtake.response", concurrent)]
async fn overtake(State(notes): State<Notes>, Payload(work): Payload<Work>) -> String {
    notes.add(format!("overtook {}", work.name));
    sleep(Duration::from_secs(work.seconds)).await;
    work.name
}

#[send("panic", reply = "panic.response")]
async fn panic_now() -> String {
    panic!("told to")
}

#[send("misnamed")]
async fn misnamed(hub: Hub) -> fastws::Result<()> {
    hub.publish_named(&topic(), "no.such.update", 1).map(drop)
}

#[recv("tick")]
fn tick(n: usize) -> usize {
    n
}

#[recv("bulk")]
fn bulk(bytes: usize) -> String {
    "x".repeat(bytes)
}

#[send("listen", reply = "listen.response")]
async fn listen(client: Client) -> bool {
    client.subscribe(&topic()).await.is_ok()
}

/// Says something, closes, and replies.
#[send("goodbye", reply = "goodbye.response")]
async fn goodbye(client: Client, hub: Hub) -> usize {
    client.send::<tick>(1);
    client.close(4001, "goodbye");
    hub.connection_count()
}

fn topic() -> Topic {
    Topic::from("ticks")
}

fn service(build: impl FnOnce(fastws::Builder) -> fastws::Builder) -> (FastWs, Notes) {
    let notes = Notes::default();
    let ended = notes.clone();
    let builder = FastWs::builder().state(notes.clone()).on_disconnect(move |client, reason: CloseReason| {
        let ended = ended.clone();
        async move { ended.add(format!("{} {} {}", reason.label(), reason.code(), client.topics().len())) }
    });
    (build(builder).build().expect("a service"), notes)
}

fn limited(limits: Limits) -> (FastWs, Notes) {
    service(|builder| builder.limits(limits))
}

async fn listening(ws: &FastWs) -> TestClient {
    let mut client = TestClient::connect(ws).await;
    assert_eq!(client.request("listen", json!(null)).await, Ok(json!(true)));
    client
}

/// Lets everything happen that needs no time.
async fn settle() {
    sleep(Duration::from_millis(1)).await;
}

async fn closed_after(client: &mut TestClient) -> (f64, (u16, String)) {
    let begun = Instant::now();
    let close = client.closed().await;
    (begun.elapsed().as_secs_f64().round(), close)
}

const TIMED_OUT: &str = "Connection timed out. Heartbeat interval 30.0. Max connection lifespan unset";

#[tokio::test(start_paused = true)]
async fn a_silent_client_is_closed_after_the_interval() {
    let (ws, notes) = service(|builder| builder.heartbeat(Duration::from_secs(30)));
    let mut gone = TestClient::connect(&ws).await.without_pongs();
    assert_eq!(closed_after(&mut gone).await, (30.0, (4103, TIMED_OUT.to_owned())));
    settle().await;
    assert_eq!(notes.all(), ["heartbeat_missed 4103 0"]);
}

#[tokio::test(start_paused = true)]
async fn a_pong_is_a_sign_of_life() {
    let (ws, _) = service(|builder| builder.heartbeat(Duration::from_secs(30)));
    let mut client = TestClient::connect(&ws).await;
    assert_eq!(client.recv_within(Duration::from_secs(600)).await, None);
    client.request("ping", json!({})).await.expect("it is still open");
}

#[tokio::test(start_paused = true)]
async fn a_message_is_a_sign_of_life_without_pongs() {
    let (ws, _) = service(|builder| builder.heartbeat(Duration::from_secs(30)));
    let mut client = TestClient::connect(&ws).await.without_pongs();
    for _ in 0..10 {
        sleep(Duration::from_secs(29)).await;
        client.request("ping", json!({})).await.expect("it is still open");
    }
    assert_eq!(closed_after(&mut client).await.0, 30.0);
}

#[tokio::test(start_paused = true)]
async fn only_messages_count_in_the_stricter_form() {
    let heartbeat = |builder: fastws::Builder| builder.heartbeat(Duration::from_secs(30));
    let (ws, _) = service(|builder| heartbeat(builder).heartbeat_form(Heartbeat::ClientMessage));
    let mut client = TestClient::connect(&ws).await;
    sleep(Duration::from_secs(20)).await;
    client.request("ping", json!({})).await.expect("a pong");
    assert_eq!(closed_after(&mut client).await, (30.0, (4103, TIMED_OUT.to_owned())));
}

#[tokio::test(start_paused = true)]
async fn the_lifespan_ends_after_a_notice() {
    let (ws, notes) = service(|builder| builder.lifespan(Duration::from_secs(3600)));
    let mut spans = Vec::new();
    for _ in 0..20 {
        let mut client = TestClient::connect(&ws).await;
        let begun = Instant::now();
        let notice = loop {
            if let Some(notice) = client.recv_within(Duration::from_secs(3600)).await {
                break notice;
            }
        };
        let told = begun.elapsed();
        let deadline_ms = notice["payload"]["deadline_ms"].as_u64().expect("a number");
        assert!(notice["type"] == "draining" && (29_990..=30_000).contains(&deadline_ms), "{notice}");
        let (code, reason) = client.closed().await;
        assert_eq!(code, 4104);
        assert_eq!(reason, "Connection timed out. Heartbeat interval unset. Max connection lifespan 3600.0");
        assert_eq!((begun.elapsed() - told).as_secs_f64().round(), 30.0);
        spans.push(begun.elapsed().as_secs());
    }
    assert!(spans.iter().all(|span| (3240..=3961).contains(span)), "{spans:?}");
    spans.dedup();
    assert!(spans.len() > 10, "they are spread: {spans:?}");
    settle().await;
    assert_eq!(notes.all()[0], "lifespan_reached 4104 0");
}

#[tokio::test(start_paused = true)]
async fn a_slow_handler_neither_misses_heartbeats_nor_delays_updates() {
    let limits = Limits { handler_timeout: Duration::from_secs(1000), ..Limits::default() };
    let (ws, _) = service(|builder| builder.heartbeat(Duration::from_secs(30)).limits(limits));
    let mut client = listening(&ws).await;
    client.send("work", json!({"name":"slow","seconds":600})).await;
    assert_eq!(client.recv_within(Duration::from_secs(100)).await, None);
    assert_eq!(ws.hub().publish::<tick>(&topic(), 7), 1);
    let update = client.recv_within(Duration::from_millis(1)).await.expect("an update at once");
    assert_eq!(update, json!({"type":"tick","topic":"ticks","payload":7}));
    let reply = loop {
        if let Some(reply) = client.recv_within(Duration::from_secs(60)).await {
            break reply;
        }
    };
    assert_eq!(reply["payload"], "slow");
}

#[tokio::test(start_paused = true)]
async fn a_slow_client_does_not_delay_the_others() {
    let (ws, notes) = service(|builder| builder);
    let mut slow = listening(&ws).await;
    let mut quick = listening(&ws).await;
    let mut reached = Vec::new();
    for n in 0..3000 {
        reached.push(ws.hub().publish::<tick>(&topic(), n));
        assert_eq!(quick.recv_within(Duration::from_millis(1)).await.expect("an update at once")["payload"], n);
    }
    assert_eq!((reached[0], reached[2999]), (2, 1));
    assert_eq!(slow.closed().await.0, 4102);
    settle().await;
    assert_eq!(notes.all(), ["too_slow 4102 0"]);
    assert_eq!((ws.hub().connection_count(), ws.hub().topics()[0].subscribers), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_slow_client_that_reads_again_in_time_is_told_why() {
    let (ws, notes) = limited(Limits { outbox_frames: 100, ..Limits::default() });
    let mut slow = listening(&ws).await;
    for n in 0..200 {
        ws.hub().publish::<tick>(&topic(), n);
    }
    assert_eq!(slow.closed().await, (4102, "The client reads too slowly".to_owned()));
    settle().await;
    assert_eq!(notes.all(), ["too_slow 4102 0"]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_client_costs_at_most_its_outbox() {
    let (ws, notes) = limited(Limits { outbox_bytes: 100_000, ..Limits::default() });
    let _slow = listening(&ws).await;
    let taken: usize = (0..1000).map(|_| ws.hub().publish::<bulk>(&topic(), 10_000)).sum();
    assert!((9..=10).contains(&taken), "{taken} updates of 10 kB were taken into 100 kB");
    settle().await;
    assert_eq!(ws.hub().connection_count(), 0);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(notes.all(), ["too_slow 4102 0"]);
}

#[tokio::test(start_paused = true)]
async fn what_waits_too_long_ends_the_connection() {
    let (ws, notes) = service(|builder| builder);
    let _slow = listening(&ws).await;
    for n in 0..200 {
        ws.hub().publish::<tick>(&topic(), n);
    }
    sleep(Duration::from_millis(4900)).await;
    assert_eq!(ws.hub().connection_count(), 1);
    sleep(Duration::from_millis(200)).await;
    assert_eq!(ws.hub().connection_count(), 0);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(notes.all(), ["too_slow 4102 0"]);
}

#[tokio::test(start_paused = true)]
async fn pings_do_not_hide_how_long_other_frames_have_waited() {
    let (ws, _) = service(|builder| builder.heartbeat(Duration::from_secs(4)));
    let mut slow = listening(&ws).await;
    for n in 0..200 {
        ws.hub().publish::<tick>(&topic(), n);
    }
    for _ in 0..6 {
        sleep(Duration::from_millis(2500)).await;
        slow.send_text(r#"{"type":"ping"}"#).await;
    }
    assert_eq!(ws.hub().connection_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_connect_hook_runs_before_the_first_request() {
    let (ws, notes) = service(|builder| {
        builder.on_connect(|client: Client| async move {
            sleep(Duration::from_secs(1)).await;
            client.send::<tick>(0);
        })
    });
    let mut client = TestClient::connect(&ws).await;
    client.send("work", json!({"name":"first","seconds":1})).await;
    client.send("overtake", json!({"name":"concurrent","seconds":0})).await;
    client.send("work", json!({"name":"second","seconds":0})).await;
    sleep(Duration::from_millis(900)).await;
    assert!(notes.all().is_empty(), "{:?}", notes.all());
    assert_eq!(client.recv().await, json!({"type":"tick","payload":0}));
    let mut replies = Vec::new();
    for _ in 0..3 {
        replies.push(client.recv().await["payload"].clone());
    }
    assert_eq!(replies, ["concurrent", "first", "second"]);
}

#[tokio::test(start_paused = true)]
async fn hooks_that_panic_or_never_end_harm_nothing() {
    fn refuse(_: Client) -> std::future::Pending<()> {
        panic!("told to")
    }
    let ws = FastWs::builder()
        .state(Notes::default())
        .on_connect(refuse)
        .on_disconnect(|_, _| std::future::pending())
        .build()
        .expect("a service");
    let mut client = TestClient::connect(&ws).await;
    client.request("ping", json!({})).await.expect("a pong");
    drop(client);
    settle().await;
    assert_eq!(ws.hub().connection_count(), 0);
    ws.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn the_disconnect_hook_is_told_why() {
    let (ws, notes) = service(|builder| builder);
    let mut client = listening(&ws).await;
    client.close(4321, "enough").await;
    assert_eq!(client.closed().await, (4321, "enough".to_owned()), "its own code comes back");
    settle().await;
    assert_eq!(notes.all(), ["left 4321 0"], "and it had left its topic");

    drop(listening(&ws).await);
    settle().await;
    assert_eq!(notes.all()[1], "lost 1006 0");
    assert_eq!((ws.hub().connection_count(), ws.hub().topic_count()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_handler_may_close_and_what_was_queued_comes_first() {
    for _ in 0..10 {
        let (ws, notes) = service(|builder| builder);
        let mut client = TestClient::connect(&ws).await;
        client.send_text(r#"{"type":"goodbye","id":1}"#).await;
        assert_eq!(client.recv().await, json!({"type":"tick","payload":1}));
        assert_eq!(client.recv().await, json!({"type":"goodbye.response","id":1,"payload":1}));
        assert_eq!(client.closed().await, (4001, "goodbye".to_owned()));
        settle().await;
        assert_eq!(notes.all(), ["application 4001 0"]);
    }
}

#[tokio::test(start_paused = true)]
async fn shutdown_closes_everybody_and_returns() {
    let (ws, notes) = service(|builder| builder);
    let mut idle = TestClient::connect(&ws).await;
    let mut listening = listening(&ws).await;
    let _deaf = TestClient::connect(&ws).await;
    listening.send("work", json!({"name":"unfinished","seconds":9})).await;
    settle().await;
    let begun = Instant::now();
    let closes = async { (idle.closed().await, listening.closed().await) };
    let ((), (one, two)) = tokio::join!(ws.shutdown(), closes);
    assert_eq!((one.0, two), (1001, (1001, "The server is going away".to_owned())));
    assert!(begun.elapsed() <= Duration::from_secs(1), "nobody is waited for longer than for a goodbye");
    assert_eq!((ws.hub().connection_count(), ws.hub().topic_count()), (0, 0));
    assert_eq!(notes.all().len(), 5, "{:?}", notes.all());

    let mut late = TestClient::connect(&ws).await;
    assert_eq!(late.closed().await.0, 1001);
    settle().await;
    assert_eq!(notes.all().len(), 5, "no hook for a connection that never was one");
    ws.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn requests_run_one_after_the_other_and_concurrent_ones_overtake() {
    let (ws, _) = service(|builder| builder);
    let mut client = TestClient::connect(&ws).await;
    for (operation, name, seconds) in
        [("work", "a", 3), ("work", "b", 0), ("overtake", "c", 4), ("overtake", "d", 1), ("work", "e", 0)]
    {
        client.send(operation, json!({"name":name,"seconds":seconds})).await;
    }
    let mut replies = Vec::new();
    for _ in 0..5 {
        replies.push(client.recv().await["payload"].clone());
    }
    assert_eq!(replies, ["d", "a", "b", "e", "c"]);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_costs_one_request() {
    let (ws, _) = service(|builder| builder);
    let mut client = listening(&ws).await;
    let error: Value = client.request("panic", json!(null)).await.expect_err("it panics");
    assert_eq!((&error["code"], &error["operation"]), (&json!("internal_error"), &json!("panic")));
    assert!(!error.to_string().contains("told to"));
    assert_eq!(ws.hub().publish::<tick>(&topic(), 1), 1);
    assert_eq!(client.recv().await["payload"], 1);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_connection_drops_what_runs_and_what_waits() {
    let (ws, notes) = service(|builder| builder);
    let mut client = listening(&ws).await;
    client.send("work", json!({"name":"running","seconds":9})).await;
    client.send("work", json!({"name":"waiting","seconds":9})).await;
    settle().await;
    assert_eq!(notes.all(), ["began running"]);
    client.close(1000, "").await;
    client.closed().await;
    settle().await;
    assert_eq!(notes.all(), ["began running", "dropped", "left 1000 0"]);
    assert_eq!((ws.hub().connection_count(), ws.hub().topic_count()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_handle_outlives_its_connection_and_does_nothing() {
    let kept: Arc<Mutex<Option<Client>>> = Arc::default();
    let keep = Arc::clone(&kept);
    let (ws, _) = service(|builder| {
        builder.on_connect(move |client| {
            *keep.lock().expect("nobody panicked") = Some(client);
            std::future::ready(())
        })
    });
    let client = TestClient::connect(&ws).await;
    let handle = kept.lock().expect("nobody panicked").take().expect("a handle");
    assert_eq!((handle.id(), handle.send::<tick>(1)), (client.id(), true));
    drop(client);
    settle().await;
    assert!(!handle.send::<tick>(2));
    handle.close(1000, "");
    handle.subscribe(&topic()).await.expect_err("it has ended");
    assert!(handle.topics().is_empty());
    assert_eq!((ws.hub().connection_count(), ws.hub().topic_count()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_a_handler_does_wrong_is_not_blamed_on_its_client() {
    let (ws, _) = service(|builder| builder);
    let mut client = TestClient::connect(&ws).await;
    for _ in 0..20 {
        client.send("misnamed", json!(null)).await;
        assert_eq!(client.recv().await["payload"]["code"], "unknown_operation");
    }
    client.request("ping", json!({})).await.expect("it is still open");
}
