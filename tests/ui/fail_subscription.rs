//! Subscriptions that do not say what they bring, or say two things at once.
use fastws::send;

#[send("alerts.subscribe", subscribes = "alerts")]
async fn subscribe() {}

#[send("news.subscribe", updates = ["news.item"])]
async fn news() {}

#[send("both", subscribes = "alerts", updates = ["alerts.alert"], unsubscribes = "alerts")]
async fn both() {}

#[send("worded", subscribes = "alerts", updates = "alerts.alert")]
async fn worded() {}

#[send("named", subscribes = "alerts", updates = ["alerts alert"])]
async fn named() {}

fn main() {}
