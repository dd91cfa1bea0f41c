//! Topics and subscriptions, in the protocol's words: section 5 of the contract.

mod stage;

use std::time::Duration;

use fastws::testing::TestClient;
use fastws::{
    Client, FastWs, Hub, Limits, Params, Payload, Result, State, SubscribeRequest, Topic, TopicSpelling, Updates,
    Wanted, payload, recv, send, topic,
};
use serde_json::{Value, json};
use stage::{Cue, Price, Runs, Stage, Wish, prices};

#[payload]
struct BarFields {
    symbol: String,
    resolution: String,
}

#[payload]
#[serde(deny_unknown_fields)]
struct BarWish {
    symbols: Vec<String>,
    resolution: String,
}

impl SubscribeRequest<BarFields> for BarWish {
    fn wanted(&self) -> Result<Vec<Wanted<BarFields>>> {
        let fields = |symbol: &String| BarFields { symbol: symbol.clone(), resolution: self.resolution.clone() };
        Ok(self
            .symbols
            .iter()
            .enumerate()
            .map(|(at, symbol)| Wanted::at(format!("/symbols/{at}"), fields(symbol)))
            .collect())
    }
}

/// Knows every symbol that is written in capitals.
#[topic("bars:{symbol}:{resolution}", request = BarWish)]
async fn bars(Params(bar): Params<BarFields>, updates: Updates<String>) -> Result<()> {
    if bar.symbol.chars().any(|c| c.is_ascii_lowercase()) {
        return Err(fastws::Error::new("unknown_symbol", format!("unknown symbol `{}`", bar.symbol)));
    }
    updates.snapshot(format!("{} in {}", bar.symbol, bar.resolution));
    std::future::pending().await
}

/// Has no fields.
#[topic("status")]
async fn status(updates: Updates<String>) {
    updates.snapshot("open".into());
    std::future::pending().await
}

#[recv("rooms.said")]
fn said(text: String) -> String {
    text
}

#[payload]
struct Join {
    delay_ms: u64,
}

/// Subscribes by hand, says something in the room, and replies late.
#[send("rooms.join", reply = "rooms.join.response")]
async fn join(client: Client, hub: Hub, Payload(join): Payload<Join>) -> Result<String> {
    client.subscribe(&Topic::from("rooms")).await?;
    hub.publish::<said>(&"rooms".into(), "hello".into());
    tokio::time::sleep(Duration::from_millis(join.delay_ms)).await;
    Ok("joined".into())
}

/// Subscribes, hears something and leaves, all in one request.
#[send("rooms.pass_through", reply = "rooms.pass_through.response")]
async fn pass_through(client: Client, hub: Hub) -> Result<usize> {
    client.subscribe(&"rooms".into()).await?;
    let reached = hub.publish::<said>(&"rooms".into(), "hello".into());
    client.unsubscribe(&"rooms".into());
    Ok(reached)
}

#[send("rooms.join_quietly", reply = "rooms.join_quietly.response")]
async fn join_quietly(client: Client) -> Result<String> {
    client.subscribe_where(&Topic::from("rooms"), |text: &String| !text.contains("noise")).await?;
    Ok("joined".into())
}

#[send("rooms.leave", reply = "rooms.leave.response")]
async fn leave(client: Client) -> bool {
    client.unsubscribe(&"rooms".into())
}

#[payload]
struct Symbols {
    symbols: Vec<String>,
}

/// Subscribes to prices and the room: all of them, or none.
#[send("multi_subscribe", reply = "multi_subscribe.response")]
async fn multi_subscribe(client: Client, hub: Hub, Payload(wanted): Payload<Symbols>) -> Result<Vec<String>> {
    for symbol in wanted.symbols {
        client.subscribe(&hub.topic::<prices>(&Wish { symbol, above: None })?).await?;
    }
    client.subscribe(&"rooms".into()).await?;
    Ok(client.topics())
}

#[payload]
struct Threshold {
    limit: i64,
}

#[send("set_threshold")]
async fn set_threshold(client: Client, hub: Hub, Payload(Threshold { limit }): Payload<Threshold>) -> Result<()> {
    let topic = hub.topic::<prices>(&Wish { symbol: "AAPL".into(), above: None })?;
    client.subscribe_where(&topic, move |price: &Price| price.price > limit).await
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

/// Leaves AAPL and subscribes anew, overtaking whatever still waits.
#[send("resubscribe", reply = "resubscribe.response", concurrent)]
async fn resubscribe(client: Client, hub: Hub) -> Result<bool> {
    let topic = hub.topic::<prices>(&Wish { symbol: "AAPL".into(), above: None })?;
    let was_subscribed = client.unsubscribe(&topic);
    client.subscribe(&topic).await?;
    Ok(was_subscribed)
}

#[send("panicking_shape", reply = "panicking_shape.response")]
async fn panicking_shape(client: Client) -> Result<String> {
    client.subscribe_where(&"rooms".into(), |text: &String| text.parse::<u8>().expect("a number") > 0).await?;
    Ok("joined".into())
}

/// What the states are for.
#[send("stage", reply = "stage.response")]
async fn stage_is_shared(State(stage): State<Stage>) -> bool {
    stage.runs("none") == Runs::default()
}

fn service(stage: &Stage) -> FastWs {
    FastWs::builder().state(stage.clone()).build().expect("a service")
}

/// A service with a client, and the stage of its sources.
async fn scene() -> (Stage, FastWs, TestClient) {
    let stage = Stage::default();
    let ws = service(&stage);
    let client = TestClient::connect(&ws).await;
    (stage, ws, client)
}

/// A client that is subscribed to prices.
async fn subscribed(ws: &FastWs, symbol: &str) -> TestClient {
    let mut client = TestClient::connect(ws).await;
    client.request("prices.subscribe", json!({"symbol":symbol})).await.expect("a subscription");
    client
}

async fn subscribe(client: &mut TestClient, symbol: &str) -> Result<Value, Value> {
    client.request("prices.subscribe", json!({"symbol":symbol})).await
}

async fn unsubscribe(client: &mut TestClient, symbol: &str) -> Result<Value, Value> {
    client.request("prices.unsubscribe", json!({"symbol":symbol})).await
}

fn price(symbol: &str, price: i64) -> Value {
    json!({"type":"prices.update","topic":format!("prices:{symbol}"),"payload":{"price":price,"above":null}})
}

fn snapshot(symbol: &str, value: i64) -> Value {
    let mut frame = price(symbol, value);
    frame["snapshot"] = true.into();
    frame
}

async fn is_quiet(client: &mut TestClient) -> bool {
    client.recv_within(Duration::from_millis(10)).await.is_none()
}

fn code(error: &Value) -> &str {
    error["code"].as_str().expect("a code")
}

/// How long it takes until something comes, and what it is.
async fn next_after(client: &mut TestClient) -> (Duration, Value) {
    let begun = tokio::time::Instant::now();
    let frame = client.recv().await;
    (begun.elapsed(), frame)
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_gets_the_reply_then_the_snapshot_then_updates() {
    let (stage, _ws, mut client) = scene().await;
    stage.cue("AAPL", [Cue::Snapshot(1), Cue::Send(2), Cue::Send(3)]);
    client.send("prices.subscribe", json!({"symbol":"AAPL"})).await;
    let reply = client.recv().await;
    assert_eq!(reply["type"], "prices.subscribe.response");
    let topic = "prices:AAPL";
    let expected = json!({"status":"ok","message":"Subscribed to prices:AAPL","topic":topic,"symbol":"AAPL"});
    assert_eq!(reply["payload"], expected);
    assert_eq!(client.recv().await, snapshot("AAPL", 1));
    assert_eq!(client.recv().await, price("AAPL", 2));
    assert_eq!(client.recv().await, price("AAPL", 3));
}

#[tokio::test(start_paused = true)]
async fn a_later_subscriber_begins_with_the_latest_value() {
    let (stage, ws, _) = scene().await;
    stage.cue("AAPL", [Cue::Snapshot(1), Cue::Send(2)]);
    let _first = subscribed(&ws, "AAPL").await;
    let mut second = subscribed(&ws, "AAPL").await;
    assert_eq!(second.recv().await, snapshot("AAPL", 2));
    stage.cue("AAPL", [Cue::Send(3)]);
    assert_eq!(second.recv().await, price("AAPL", 3));
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_never_had_a_snapshot_begins_with_the_next_update() {
    let (stage, ws, _) = scene().await;
    stage.cue("AAPL", [Cue::Send(1)]);
    let mut first = subscribed(&ws, "AAPL").await;
    assert_eq!(first.recv().await, price("AAPL", 1));
    let mut second = subscribed(&ws, "AAPL").await;
    assert!(is_quiet(&mut second).await);
}

#[tokio::test(start_paused = true)]
async fn a_new_snapshot_reaches_present_subscribers_too() {
    let (stage, ws, _) = scene().await;
    stage.cue("AAPL", [Cue::Ready]);
    let mut client = subscribed(&ws, "AAPL").await;
    assert!(is_quiet(&mut client).await);
    stage.cue("AAPL", [Cue::Snapshot(5)]);
    assert_eq!(client.recv().await, snapshot("AAPL", 5));
}

#[tokio::test(start_paused = true)]
async fn a_change_reaches_present_subscribers_and_the_state_new_ones() {
    let (stage, ws, _) = scene().await;
    stage.cue("AAPL", [Cue::Add(1), Cue::Add(2)]);
    let mut first = subscribed(&ws, "AAPL").await;
    assert_eq!(first.recv().await, snapshot("AAPL", 1));
    assert_eq!(first.recv().await, price("AAPL", 2));
    let mut second = subscribed(&ws, "AAPL").await;
    assert_eq!(second.recv().await, snapshot("AAPL", 3));
    stage.cue("AAPL", [Cue::Add(4)]);
    assert_eq!(first.recv().await, price("AAPL", 4));
    assert_eq!(second.recv().await, price("AAPL", 4));
}

#[tokio::test(start_paused = true)]
async fn the_first_change_after_a_failure_is_told_as_a_state() {
    let (stage, ws, _) = scene().await;
    stage.cue("AAPL", [Cue::Add(7)]);
    let mut client = subscribed(&ws, "AAPL").await;
    assert_eq!(client.recv().await, snapshot("AAPL", 7));
    stage.cue("AAPL", [Cue::Fail("feed lost"), Cue::Ready, Cue::Add(3), Cue::Add(1)]);
    assert_eq!(client.recv().await["type"], "error");
    assert_eq!(client.recv().await, snapshot("AAPL", 1_000_003));
    assert_eq!(client.recv().await, price("AAPL", 1));
}

#[tokio::test(start_paused = true)]
async fn one_request_names_several_topics() {
    let (_, ws, mut client) = scene().await;
    let reply = client.request("bars.subscribe", json!({"symbols":["AAPL","MSFT","AAPL"],"resolution":"1"})).await;
    let reply = reply.expect("a subscription");
    assert_eq!(reply["topics"], json!(["bars:AAPL:1", "bars:MSFT:1", "bars:AAPL:1"]));
    assert_eq!(reply.get("topic"), None);
    let mut topics = [client.recv().await, client.recv().await].map(|frame| frame["topic"].clone().to_string());
    topics.sort();
    assert_eq!(topics, [r#""bars:AAPL:1""#, r#""bars:MSFT:1""#]);
    assert!(is_quiet(&mut client).await, "each snapshot comes once");
    assert_eq!(ws.hub().connections()[0].topics, ["bars:AAPL:1", "bars:MSFT:1"]);

    let reply = client.request("bars.unsubscribe", json!({"symbols":["AAPL"],"resolution":"1"})).await;
    let reply = reply.expect("an unsubscription");
    assert_eq!((&reply["topic"], &reply["topics"]), (&json!("bars:AAPL:1"), &json!(["bars:AAPL:1"])));
    let none = client.request("bars.subscribe", json!({"symbols":[],"resolution":"1"})).await.expect("nothing to do");
    assert_eq!(none["topics"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn a_request_with_one_unknown_symbol_subscribes_nothing() {
    let (_, ws, mut client) = scene().await;
    client.request("bars.subscribe", json!({"symbols":["TSLA"],"resolution":"1"})).await.expect("a subscription");
    client.recv().await;
    let wish = json!({"symbols":["AAPL","msft","TSLA","ibm"],"resolution":"1"});
    let error = client.request("bars.subscribe", wish).await.expect_err("two unknown symbols");
    assert_eq!(code(&error), "unknown_symbol");
    assert_eq!(error["details"][0], json!({"path":"/symbols/1","message":"unknown symbol `msft`"}));
    assert_eq!(error["details"][1]["path"], "/symbols/3");
    assert!(is_quiet(&mut client).await);
    assert_eq!(ws.hub().connections()[0].topics, ["bars:TSLA:1"], "what was subscribed before stays");
}

#[tokio::test(start_paused = true)]
async fn a_failed_start_answers_everybody_and_the_next_subscribe_tries_again() {
    let (stage, ws, mut first) = scene().await;
    let mut second = TestClient::connect(&ws).await;
    stage.cue("AAPL", [Cue::Pause(Duration::from_secs(1)), Cue::Fail("no such feed")]);
    let (one, two) = tokio::join!(subscribe(&mut first, "AAPL"), subscribe(&mut second, "AAPL"));
    for error in [one, two] {
        let error = error.expect_err("it does not start");
        assert_eq!((code(&error), error["message"].as_str()), ("no_feed", Some("no such feed")));
        assert_eq!(error["operation"], "prices.subscribe");
    }
    assert_eq!((ws.hub().topic_count(), stage.runs("AAPL").live), (0, 0));
    stage.cue("AAPL", [Cue::Snapshot(1)]);
    subscribe(&mut first, "AAPL").await.expect("it starts now");
    assert_eq!(stage.runs("AAPL"), Runs { started: 2, live: 1, most: 1 });
}

#[tokio::test(start_paused = true)]
async fn a_source_that_does_not_start_in_five_seconds_has_failed() {
    let (stage, ws, mut client) = scene().await;
    let begun = tokio::time::Instant::now();
    let error = subscribe(&mut client, "AAPL").await.expect_err("it never starts");
    assert_eq!((code(&error), begun.elapsed().as_secs()), ("topic_failed", 5));
    assert_eq!(error["message"], "topic `prices:AAPL` did not start within 5 s");
    assert!(is_quiet(&mut client).await);
    assert_eq!((ws.hub().topic_count(), stage.runs("AAPL").live), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_source_that_ends_before_it_is_live_has_failed() {
    let (stage, ws, mut client) = scene().await;
    stage.cue("AAPL", [Cue::End]);
    assert_eq!(code(&subscribe(&mut client, "AAPL").await.expect_err("it ends")), "topic_failed");
    stage.cue("AAPL", [Cue::Panic]);
    assert_eq!(code(&subscribe(&mut client, "AAPL").await.expect_err("it panics")), "internal_error");
    assert_eq!(ws.hub().topic_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_ends_ends_its_topic() {
    let (stage, ws, _) = scene().await;
    stage.cue("AAPL", [Cue::Ready]);
    let mut client = subscribed(&ws, "AAPL").await;
    stage.cue("AAPL", [Cue::Send(1), Cue::End]);
    assert_eq!(client.recv().await, price("AAPL", 1));
    let notice =
        json!({"type":"unsubscribed","topic":"prices:AAPL","payload":{"code":"topic_ended","resubscribe":false}});
    assert_eq!(client.recv().await, notice);
    assert_eq!((ws.hub().topic_count(), ws.hub().connections()[0].topics.len()), (0, 0));
    stage.cue("AAPL", [Cue::Snapshot(2)]);
    subscribe(&mut client, "AAPL").await.expect("a new life");
    assert_eq!(client.recv().await, snapshot("AAPL", 2));
}

#[tokio::test(start_paused = true)]
async fn a_source_that_fails_later_says_so_and_starts_again_with_back_off() {
    let (stage, ws, _) = scene().await;
    stage.cue("AAPL", [Cue::Snapshot(1)]);
    let mut client = subscribed(&ws, "AAPL").await;
    assert_eq!(client.recv().await, snapshot("AAPL", 1));
    // The second start fails as well: that is told too, with the next delay.
    stage.cue("AAPL", [Cue::Fail("feed lost"), Cue::Fail("still lost"), Cue::Panic, Cue::Snapshot(2)]);
    let (mut told, mut waited) = (500_u64, 0_u128);
    for message in ["feed lost", "still lost", "the server could not answer; the failure was logged"] {
        let (elapsed, frame) = next_after(&mut client).await;
        assert_eq!(elapsed.as_millis(), waited);
        assert_eq!((&frame["type"], &frame["topic"]), (&json!("error"), &json!("prices:AAPL")));
        assert_eq!((code(&frame["payload"]), frame["payload"]["message"].as_str()), ("topic_failed", Some(message)));
        assert_eq!(frame["payload"]["retry_after_ms"], told);
        (waited, told) = (u128::from(told), told * 2);
    }
    let (elapsed, frame) = next_after(&mut client).await;
    assert_eq!((elapsed.as_millis(), frame), (waited, snapshot("AAPL", 2)));
    assert_eq!(stage.runs("AAPL"), Runs { started: 4, live: 1, most: 1 });
}

#[tokio::test(start_paused = true)]
async fn a_new_subscriber_of_a_failed_topic_waits_for_its_restart() {
    let (stage, ws, mut late) = scene().await;
    stage.cue("AAPL", [Cue::Snapshot(1)]);
    let _client = subscribed(&ws, "AAPL").await;
    stage.cue("AAPL", [Cue::Fail("feed lost"), Cue::Snapshot(2)]);
    tokio::time::sleep(Duration::from_millis(100)).await;
    subscribe(&mut late, "AAPL").await.expect("it starts again");
    assert_eq!(late.recv().await, snapshot("AAPL", 2));
}

#[tokio::test(start_paused = true)]
async fn a_permanent_failure_is_told_and_ends_the_topic() {
    let (stage, ws, _) = scene().await;
    stage.cue("AAPL", [Cue::Ready]);
    let mut client = subscribed(&ws, "AAPL").await;
    stage.cue("AAPL", [Cue::FailForGood("delisted")]);
    let error = client.recv().await;
    assert_eq!((&error["topic"], code(&error["payload"])), (&json!("prices:AAPL"), "topic_failed"));
    assert_eq!(error["payload"]["message"], "delisted");
    assert_eq!(error["payload"].get("retry_after_ms"), None);
    let notice = client.recv().await;
    assert_eq!((&notice["type"], code(&notice["payload"])), (&json!("unsubscribed"), "topic_failed"));
    assert_eq!((ws.hub().topic_count(), stage.runs("AAPL").started), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_permanent_failure_of_a_restart_is_told_and_ends_the_topic() {
    let (stage, ws, _) = scene().await;
    stage.cue("AAPL", [Cue::Ready]);
    let mut client = subscribed(&ws, "AAPL").await;
    stage.cue("AAPL", [Cue::Fail("feed lost"), Cue::FailForGood("delisted")]);
    assert_eq!(client.recv().await["payload"]["message"], "feed lost");
    assert_eq!(client.recv().await["payload"]["message"], "delisted");
    assert_eq!(client.recv().await["type"], "unsubscribed");
    assert_eq!(ws.hub().topic_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_source_lingers_for_two_seconds_and_is_reused() {
    let (stage, ws, mut client) = scene().await;
    stage.cue("AAPL", [Cue::Snapshot(1)]);
    let one = Runs { started: 1, live: 1, most: 1 };
    for _ in 0..3 {
        subscribe(&mut client, "AAPL").await.expect("a subscription");
        assert_eq!(client.recv().await, snapshot("AAPL", 1));
        tokio::time::sleep(Duration::from_secs(3)).await;
        unsubscribe(&mut client, "AAPL").await.expect("an unsubscription");
        tokio::time::sleep(Duration::from_millis(1900)).await;
        assert_eq!((stage.runs("AAPL"), ws.hub().topic_count()), (one, 1));
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!((stage.runs("AAPL").live, ws.hub().topic_count()), (0, 0), "its future was dropped");
}

#[tokio::test(start_paused = true)]
async fn a_short_visit_prolongs_the_lingering() {
    let (stage, ws, mut client) = scene().await;
    stage.cue("AAPL", [Cue::Snapshot(1)]);
    subscribe(&mut client, "AAPL").await.expect("a subscription");
    unsubscribe(&mut client, "AAPL").await.expect("an unsubscription");
    tokio::time::sleep(Duration::from_millis(1500)).await;
    client.send("prices.subscribe", json!({"symbol":"AAPL"})).await;
    client.send("prices.unsubscribe", json!({"symbol":"AAPL"})).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!((stage.runs("AAPL").live, ws.hub().topic_count()), (1, 1));
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!((stage.runs("AAPL").live, ws.hub().topic_count()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_source_that_fails_while_it_lingers_is_not_started_for_nobody() {
    let (stage, ws, mut client) = scene().await;
    stage.cue("AAPL", [Cue::Snapshot(1)]);
    subscribe(&mut client, "AAPL").await.expect("a subscription");
    unsubscribe(&mut client, "AAPL").await.expect("an unsubscription");
    stage.cue("AAPL", [Cue::Fail("feed lost"), Cue::Ready]);
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(stage.runs("AAPL"), Runs { started: 1, live: 0, most: 1 });
    assert_eq!(ws.hub().topic_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_failed_topic_that_everybody_leaves_is_not_started_again() {
    let (stage, ws, mut client) = scene().await;
    stage.cue("AAPL", [Cue::Snapshot(1)]);
    subscribe(&mut client, "AAPL").await.expect("a subscription");
    stage.cue("AAPL", [Cue::Fail("feed lost"), Cue::Ready]);
    tokio::time::sleep(Duration::from_millis(10)).await;
    unsubscribe(&mut client, "AAPL").await.expect("an unsubscription");
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!((ws.hub().topic_count(), stage.runs("AAPL").started), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_source_whose_only_subscriber_goes_before_it_starts_is_dropped() {
    let (stage, ws, mut client) = scene().await;
    client.send("prices.subscribe", json!({"symbol":"AAPL"})).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((stage.runs("AAPL").live, ws.hub().topic_count()), (1, 1));
    drop(client);
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!((stage.runs("AAPL").live, ws.hub().topic_count()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn other_fields_shape_what_their_subscriber_gets_and_nothing_else() {
    let (stage, ws, mut picky) = scene().await;
    stage.cue("AAPL", [Cue::Snapshot(1)]);
    picky.request("prices.subscribe", json!({"symbol":"AAPL","above":10})).await.expect("a subscription");
    let mut other = subscribed(&ws, "AAPL").await;
    assert_eq!(other.recv().await, snapshot("AAPL", 1));
    assert_eq!(picky.recv().await, snapshot("AAPL", 1), "a snapshot always comes, and the source knows no threshold");
    stage.cue("AAPL", [Cue::Send(5), Cue::Send(15), Cue::Send(6)]);
    assert_eq!(picky.recv().await, price("AAPL", 15));
    assert!(is_quiet(&mut picky).await);
    for value in [5, 15, 6] {
        assert_eq!(other.recv().await, price("AAPL", value));
    }
    assert_eq!(stage.runs("AAPL").started, 1);
}

#[tokio::test(start_paused = true)]
async fn subscribing_again_changes_the_shape_and_sends_no_second_snapshot() {
    let (stage, _ws, mut client) = scene().await;
    stage.cue("AAPL", [Cue::Snapshot(1)]);
    subscribe(&mut client, "AAPL").await.expect("a subscription");
    assert_eq!(client.recv().await, snapshot("AAPL", 1));
    client.request("prices.subscribe", json!({"symbol":"AAPL","above":10})).await.expect("another shape");
    stage.cue("AAPL", [Cue::Send(5), Cue::Send(15)]);
    assert_eq!(client.recv().await, price("AAPL", 15));
    client.send("set_threshold", json!({"limit":20})).await;
    stage.cue("AAPL", [Cue::Send(16), Cue::Send(21)]);
    assert_eq!(client.recv().await, price("AAPL", 21));
}

#[tokio::test(start_paused = true)]
async fn a_shape_holds_until_the_topic_has_ended() {
    let (stage, _ws, mut client) = scene().await;
    stage.cue("AAPL", [Cue::Ready]);
    client.request("prices.subscribe", json!({"symbol":"AAPL","above":10})).await.expect("a subscription");
    stage.cue("AAPL", [Cue::Send(5), Cue::Send(15), Cue::Send(6), Cue::End]);
    assert_eq!(client.recv().await, price("AAPL", 15));
    assert_eq!(client.recv().await["type"], "unsubscribed");
}

#[tokio::test(start_paused = true)]
async fn topics_can_be_spelled_as_json() {
    let stage = Stage::default();
    let ws = FastWs::builder().state(stage.clone()).topic_spelling(TopicSpelling::Json).build().expect("a service");
    let mut client = TestClient::connect(&ws).await;
    let wish = json!({"symbols":["AAPL"],"resolution":"1"});
    let reply = client.request("bars.subscribe", wish.clone()).await.expect("a subscription");
    let spelled = r#"bars:{"resolution":"1","symbol":"AAPL"}"#;
    assert_eq!(reply["topic"], spelled);
    assert_eq!(client.recv().await["topic"], spelled);
    assert_eq!(ws.hub().topics()[0].topic, "bars:AAPL:1", "it is the same topic");
    let reply = client.request("bars.unsubscribe", wish).await.expect("an unsubscription");
    assert_eq!(reply["topics"], json!([spelled]));
}

#[tokio::test(start_paused = true)]
async fn the_frames_of_a_subscription_by_hand_wait_for_the_reply() {
    let (_, ws, mut client) = scene().await;
    client.send("rooms.join", json!({"delay_ms":20})).await;
    assert_eq!(client.recv().await["type"], "rooms.join.response");
    let frame = client.recv().await;
    assert_eq!(frame, json!({"type":"rooms.said","topic":"rooms","payload":"hello"}));
    assert_eq!(ws.hub().publish::<said>(&"rooms".into(), "again".into()), 1);
    assert_eq!(client.recv().await["payload"], "again");
    assert_eq!(client.request("rooms.leave", json!(null)).await, Ok(json!(true)));
    assert_eq!(client.request("rooms.leave", json!(null)).await, Ok(json!(false)));
    assert_eq!(ws.hub().publish::<said>(&"rooms".into(), "gone".into()), 0);
}

#[tokio::test(start_paused = true)]
async fn the_frames_of_a_subscription_that_ended_before_the_reply_never_come() {
    let (_, _ws, mut client) = scene().await;
    assert_eq!(client.request("rooms.pass_through", json!(null)).await, Ok(json!(1)));
    assert!(is_quiet(&mut client).await);
}

#[tokio::test(start_paused = true)]
async fn frames_that_waited_long_for_a_reply_do_not_make_the_client_slow() {
    let (_, _ws, mut client) = scene().await;
    client.send("rooms.join", json!({"delay_ms":9_000})).await;
    assert_eq!(client.recv().await["type"], "rooms.join.response");
    assert_eq!(client.recv().await["payload"], "hello");
    assert_eq!(client.request("rooms.leave", json!(null)).await, Ok(json!(true)));
}

#[tokio::test(start_paused = true)]
async fn subscribe_where_filters_what_is_published_from_anywhere() {
    let (_, ws, mut client) = scene().await;
    client.request("rooms.join_quietly", json!(null)).await.expect("a subscription");
    for text in ["noise", "music", "more noise", "speech"] {
        ws.hub().publish::<said>(&"rooms".into(), text.into());
    }
    assert_eq!(client.recv().await["payload"], "music");
    assert_eq!(client.recv().await["payload"], "speech");
}

#[tokio::test(start_paused = true)]
async fn a_shape_that_panics_loses_one_update_and_not_the_connection() {
    let (_, ws, mut client) = scene().await;
    client.request("panicking_shape", json!(null)).await.expect("a subscription");
    for text in ["1", "one", "2"] {
        ws.hub().publish::<said>(&"rooms".into(), text.into());
    }
    assert_eq!(client.recv().await["payload"], "1");
    assert_eq!(client.recv().await["payload"], "2");
}

#[tokio::test(start_paused = true)]
async fn a_handler_subscribes_to_several_topics_at_once() {
    let (stage, _ws, mut client) = scene().await;
    stage.cue("AAPL", [Cue::Snapshot(1), Cue::Send(2)]);
    stage.cue("MSFT", [Cue::Pause(Duration::from_secs(1)), Cue::Snapshot(3)]);
    client.send("multi_subscribe", json!({"symbols":["AAPL","MSFT"]})).await;
    let reply = client.recv().await;
    assert_eq!(reply["payload"], json!(["prices:AAPL", "prices:MSFT", "rooms"]));
    assert_eq!(client.recv().await, snapshot("AAPL", 1));
    assert_eq!(client.recv().await, price("AAPL", 2));
    assert_eq!(client.recv().await, snapshot("MSFT", 3));
}

#[tokio::test(start_paused = true)]
async fn subscribing_and_unsubscribing_twice_is_harmless() {
    let (stage, ws, mut client) = scene().await;
    stage.cue("AAPL", [Cue::Ready]);
    for _ in 0..2 {
        subscribe(&mut client, "AAPL").await.expect("a subscription");
    }
    assert_eq!(ws.hub().topics()[0].subscribers, 1);
    stage.cue("AAPL", [Cue::Send(1)]);
    assert_eq!(client.recv().await, price("AAPL", 1));
    assert!(is_quiet(&mut client).await);
    for _ in 0..2 {
        let reply = unsubscribe(&mut client, "AAPL").await.expect("an unsubscription");
        assert_eq!((&reply["status"], &reply["topic"]), (&json!("ok"), &json!("prices:AAPL")));
    }
    stage.cue("AAPL", [Cue::Send(2)]);
    assert!(is_quiet(&mut client).await);
    assert_eq!(ws.hub().topics()[0].subscribers, 0);
}

#[tokio::test(start_paused = true)]
async fn a_connection_holds_at_most_so_many_subscriptions() {
    let (_, ws, mut client) = scene().await;
    let wish = |from: usize, to: usize| json!({"symbols":(from..to).map(|n| format!("S{n}")).collect::<Vec<_>>(),"resolution":"1"});
    let error = client.request("bars.subscribe", wish(0, 101)).await.expect_err("101 topics in one request");
    assert_eq!(code(&error), "too_many_subscriptions");
    client.request("bars.subscribe", wish(0, 100)).await.expect("100 topics");
    client.request("bars.subscribe", wish(100, 127)).await.expect("27 more");
    let error = client.request("bars.subscribe", wish(125, 130)).await.expect_err("130 topics");
    assert_eq!((code(&error), &error["details"][0]["path"]), ("too_many_subscriptions", &json!("/symbols/3")));
    assert_eq!(ws.hub().connections()[0].topics.len(), 127);
    client.request("bars.subscribe", wish(120, 128)).await.expect("the 128th");
    assert_eq!(ws.hub().connections()[0].topics.len(), 128);
}

#[tokio::test(start_paused = true)]
async fn a_topic_without_fields_takes_no_payload() {
    let (_, _ws, mut client) = scene().await;
    client.send_text(r#"{"type":"status.subscribe"}"#).await;
    let reply = client.recv().await;
    assert_eq!(reply["payload"], json!({"status":"ok","message":"Subscribed to status","topic":"status"}));
    let frame = client.recv().await;
    assert_eq!(frame, json!({"type":"status.update","topic":"status","snapshot":true,"payload":"open"}));
    client.send("status.unsubscribe", json!({"whatever":1})).await;
    assert_eq!(client.recv().await["type"], "status.unsubscribe.response");
    assert_eq!(client.request("stage", json!(null)).await, Ok(json!(true)));
}

#[tokio::test(start_paused = true)]
async fn a_published_alert_does_not_become_the_snapshot_of_another_operation() {
    let (stage, ws, _) = scene().await;
    stage.cue("AAPL", [Cue::Snapshot(1)]);
    let mut first = subscribed(&ws, "AAPL").await;
    let topic = Topic::from("prices:AAPL");
    ws.hub().publish::<said>(&topic, "halted".into());
    assert_eq!(first.recv().await, snapshot("AAPL", 1));
    assert_eq!(first.recv().await["type"], "rooms.said");
    let mut second = subscribed(&ws, "AAPL").await;
    assert_eq!(second.recv().await, snapshot("AAPL", 1));
    ws.hub().publish::<prices>(&topic, Price { price: 2, above: None });
    assert_eq!(second.recv().await, price("AAPL", 2));
    let mut third = subscribed(&ws, "AAPL").await;
    assert_eq!(third.recv().await, snapshot("AAPL", 2));
}

#[tokio::test(start_paused = true)]
async fn a_failed_subscription_costs_nothing() {
    let limits = Limits { subscriptions: 1, ..Limits::default() };
    let stage = Stage::default();
    let ws = FastWs::builder().state(stage.clone()).limits(limits).build().expect("a service");
    let mut client = TestClient::connect(&ws).await;
    for _ in 0..50 {
        stage.cue("AAPL", [Cue::Fail("no such feed")]);
        assert_eq!(code(&subscribe(&mut client, "AAPL").await.expect_err("no feed")), "no_feed");
    }
    stage.cue("AAPL", [Cue::Ready]);
    subscribe(&mut client, "AAPL").await.expect("there is room");
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_was_first_named_by_its_text_gets_its_source_all_the_same() {
    let (stage, ws, mut by_text) = scene().await;
    by_text.request("listen", json!({"topic":"prices:AAPL"})).await.expect("a subscription");
    assert!(is_quiet(&mut by_text).await);
    assert_eq!(stage.runs("AAPL").started, 0, "nobody has named its source");
    stage.cue("AAPL", [Cue::Snapshot(1)]);
    let mut client = subscribed(&ws, "AAPL").await;
    assert_eq!(client.recv().await, snapshot("AAPL", 1));
    assert_eq!(by_text.recv().await, snapshot("AAPL", 1));
    drop((client, by_text));
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!((stage.runs("AAPL").live, ws.hub().topic_count()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_aborted_request_leaves_no_subscription() {
    let limits = Limits { handler_timeout: Duration::from_secs(2), ..Limits::default() };
    let stage = Stage::default();
    let ws = FastWs::builder().state(stage.clone()).limits(limits).build().expect("a service");
    let mut client = TestClient::connect(&ws).await;
    assert_eq!(code(&subscribe(&mut client, "AAPL").await.expect_err("it takes too long")), "deadline_exceeded");
    assert!(is_quiet(&mut client).await);
    assert_eq!((ws.hub().topic_count(), stage.runs("AAPL").live), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_subscription_taken_back_late_does_not_end_a_later_one() {
    let (stage, ws, mut client) = scene().await;
    client.send_text(r#"{"type":"prices.subscribe","id":1,"payload":{"symbol":"AAPL"}}"#).await;
    assert!(is_quiet(&mut client).await, "it waits for its source");
    client.send_text(r#"{"type":"resubscribe","id":2}"#).await;
    let first = client.recv().await;
    assert_eq!((&first["id"], code(&first["payload"])), (&json!(1), "cancelled"));
    assert!(is_quiet(&mut client).await, "the later one waits");
    stage.cue("AAPL", [Cue::Snapshot(1)]);
    assert_eq!(client.recv().await["type"], "resubscribe.response");
    assert_eq!(client.recv().await, snapshot("AAPL", 1));
    assert_eq!(ws.hub().connections()[0].topics, ["prices:AAPL"]);
}
