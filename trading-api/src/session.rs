//! About a connection and its subscriptions.

use std::time::{SystemTime, UNIX_EPOCH};

use fastws::{Client, Error, Hub, Payload, Result, payload, send};

use crate::datafeed::bars::{BarsParams, BarsSubscription, bars};

/// A client's clock.
#[payload]
pub struct Ping {
    /// The client's time, echoed; milliseconds since the Unix epoch by custom.
    pub timestamp: i64,
}

/// The client's clock, and the server's.
#[payload]
pub struct Pong {
    /// The client's time, as it was sent.
    pub timestamp: i64,
    /// The server's time, in milliseconds since the Unix epoch.
    pub server_time: i64,
}

/// Answers a ping with the server's time.
#[send("simple.ping", reply = "simple.pong", tags = ["session"])]
pub async fn ping(Payload(ping): Payload<Ping>) -> Pong {
    Pong { timestamp: ping.timestamp, server_time: now_ms() }
}

/// What the server knows of this connection.
#[payload]
pub struct ConnectionInfo {
    /// The connection's id, 32 hexadecimal digits.
    pub client_id: String,
    /// The topics that it is subscribed to.
    pub subscriptions: Vec<String>,
    /// How many connections there are.
    pub total_connections: usize,
}

/// Tells what the server knows of this connection.
#[send("info", reply = "info.response", tags = ["session"])]
pub async fn info(client: Client, hub: Hub) -> ConnectionInfo {
    ConnectionInfo { client_id: id(&client), subscriptions: client.topics(), total_connections: hub.connection_count() }
}

/// The subscriptions of a connection.
#[payload]
pub struct Subscriptions {
    /// The connection's id, 32 hexadecimal digits.
    pub client_id: String,
    /// The topics that it is subscribed to.
    pub topics: Vec<String>,
    /// How many they are.
    pub count: usize,
}

/// Lists this connection's subscriptions.
#[send("list_subscriptions", reply = "subscriptions", tags = ["session"])]
pub async fn list_subscriptions(client: Client) -> Subscriptions {
    let topics = client.topics();
    Subscriptions { client_id: id(&client), count: topics.len(), topics }
}

/// What was ended.
#[payload]
pub struct Cleared {
    /// Always `ok`.
    #[schemars(example = &"ok")]
    pub status: String,
    /// The topics that the connection was subscribed to.
    pub cleared: Vec<String>,
    /// How many they were.
    pub count: usize,
}

/// Ends all of this connection's subscriptions.
#[send("clear_subscriptions", reply = "cleared", tags = ["session"], unsubscribes = "*")]
pub async fn clear_subscriptions(client: Client) -> Cleared {
    let cleared = client.unsubscribe_all();
    Cleared { status: "ok".into(), count: cleared.len(), cleared }
}

/// Selects the bars of several symbols.
#[payload]
#[schemars(example = serde_json::json!({ "symbols": ["AAPL", "GOOGL"], "params": { "resolution": "5" } }))]
pub struct MultiSubscription {
    /// The instruments' symbols.
    #[garde(length(min = 1, max = 100), inner(length(min = 1, max = 32)))]
    pub symbols: Vec<String>,
    /// How long one bar is; one minute by default.
    #[serde(default)]
    pub params: BarsParams,
}

/// What was subscribed.
#[payload]
pub struct MultiSubscribed {
    /// Always `ok`.
    #[schemars(example = &"ok")]
    pub status: String,
    /// The symbols, as they were asked for.
    pub symbols: Vec<String>,
    /// The topics, in the same order.
    pub topics: Vec<String>,
    /// How many they are.
    pub count: usize,
}

/// Subscribes to the bars of several symbols at once: all of them, or none.
#[send(
    "multi_subscribe",
    reply = "multi_subscribe.response",
    tags = ["bars"],
    subscribes = "bars:{symbol}:{resolution}",
    updates = ["bars.update"]
)]
pub async fn multi_subscribe(
    Payload(wanted): Payload<MultiSubscription>,
    client: Client,
    hub: Hub,
) -> Result<MultiSubscribed> {
    let topics = wanted
        .symbols
        .iter()
        .map(|symbol| hub.topic::<bars>(&BarsSubscription::new(symbol, wanted.params.resolution)))
        .collect::<Result<Vec<_>>>()?;
    client.subscribe_all(&topics).await.map_err(|failures| {
        let details = failures.iter().map(|(at, error)| (format!("/symbols/{at}"), error.message().to_owned()));
        let refusal = Error::new("unknown_symbol", "one symbol or more cannot be subscribed, so none was");
        details.fold(refusal, |error, (path, message)| error.detail(path, message))
    })?;
    Ok(MultiSubscribed {
        status: "ok".into(),
        topics: topics.iter().map(|topic| topic.wire().to_owned()).collect(),
        count: topics.len(),
        symbols: wanted.symbols,
    })
}

/// FastWS's form of a client's id.
fn id(client: &Client) -> String {
    client.id().simple().to_string()
}

/// Milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
