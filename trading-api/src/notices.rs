//! What the server says of its own accord: alerts for those who subscribed, notifications for everybody.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use fastws::{Client, Hub, Result, Topic, payload, recv, send};
use rust_decimal::Decimal;
use tokio::task::JoinSet;

use crate::market::{Bar, Market, Resolution};
use crate::session::now_ms;

/// A warning about the market.
#[payload]
#[schemars(example = serde_json::json!({
    "severity": "warning", "message": "AAPL has moved by 1.2 % within a minute", "timestamp": 1_700_000_000_000_i64
}))]
pub struct Alert {
    /// How serious it is.
    pub severity: Severity,
    /// What happened.
    pub message: String,
    /// When, in milliseconds since the Unix epoch.
    pub timestamp: i64,
}

/// How serious an alert is.
#[payload]
pub enum Severity {
    /// Good to know.
    #[serde(rename = "info")]
    Info,
    /// Better to look.
    #[serde(rename = "warning")]
    Warning,
    /// Do something.
    #[serde(rename = "critical")]
    Critical,
}

/// An alert, for those who subscribed with alerts.subscribe.
#[recv("alerts.alert", tags = ["alerts"])]
pub fn alert(alert: Alert) -> Alert {
    alert
}

/// Whether alerts come from now on.
#[payload]
pub struct AlertsSubscribed {
    /// Always `ok`.
    #[schemars(example = &"ok")]
    pub status: String,
    /// What was done.
    #[schemars(example = &"Subscribed to alerts")]
    pub message: String,
    /// The topic that stands on alerts.
    #[schemars(example = &"alerts")]
    pub topic: String,
}

/// Subscribes to alerts.
#[send(
    "alerts.subscribe",
    reply = "alerts.subscribe.response",
    tags = ["alerts"],
    subscribes = "alerts",
    updates = ["alerts.alert"]
)]
pub async fn subscribe(client: Client) -> Result<AlertsSubscribed> {
    client.subscribe(&alerts()).await?;
    Ok(AlertsSubscribed { status: "ok".into(), message: "Subscribed to alerts".into(), topic: "alerts".into() })
}

/// Ends the subscription to alerts.
#[send("alerts.unsubscribe", reply = "alerts.unsubscribe.response", tags = ["alerts"], unsubscribes = "alerts")]
pub async fn unsubscribe(client: Client) -> AlertsSubscribed {
    client.unsubscribe(&alerts());
    AlertsSubscribed { status: "ok".into(), message: "Unsubscribed from alerts".into(), topic: "alerts".into() }
}

fn alerts() -> Topic {
    Topic::from("alerts")
}

/// News about this server, for everybody.
#[payload]
#[schemars(example = serde_json::json!({ "message": "the replay has ended", "timestamp": 1_700_000_000_000_i64 }))]
pub struct Notification {
    /// What happened.
    pub message: String,
    /// When, in milliseconds since the Unix epoch.
    pub timestamp: i64,
}

/// News about this server, sent to every connection.
#[recv("system.notification", tags = ["alerts"])]
pub fn notification(message: String) -> Notification {
    Notification { message, timestamp: now_ms() }
}

/// Publishes an alert for every minute in which a price moves by a percent or more. Runs until it is dropped.
pub async fn watch(market: Market, hub: Hub) {
    let mut watched = BTreeSet::new();
    let mut watchers = JoinSet::new();
    let mut looking = tokio::time::interval(LOOK_FOR_SYMBOLS_EVERY);
    loop {
        looking.tick().await;
        for instrument in market.instruments() {
            if watched.insert(Arc::clone(&instrument.symbol)) {
                watchers.spawn(watch_symbol(market.clone(), hub.clone(), instrument.symbol));
            }
        }
    }
}

/// A venue may list symbols at any time.
const LOOK_FOR_SYMBOLS_EVERY: Duration = Duration::from_secs(1);

async fn watch_symbol(market: Market, hub: Hub, symbol: Arc<str>) {
    let Ok(mut bars) = market.bars(&symbol, Resolution::OneMinute) else { return };
    let mut alerted = None;
    while let Some(bar) = bars.next().await {
        let percent = moved(&bar);
        if percent.abs() >= NOTABLE_PERCENT && alerted != Some(bar.time) {
            alerted = Some(bar.time);
            let message = format!("{symbol} has moved by {} % within a minute", percent.round_dp(2).normalize());
            let timestamp = bar.time;
            hub.publish::<alert>(&alerts(), Alert { severity: Severity::Warning, message, timestamp });
        }
    }
}

/// How far a bar closes from where it opened, in percent.
fn moved(bar: &Bar) -> Decimal {
    if bar.open.is_zero() { Decimal::ZERO } else { (bar.close - bar.open) / bar.open * Decimal::ONE_HUNDRED }
}

const NOTABLE_PERCENT: Decimal = Decimal::ONE;
