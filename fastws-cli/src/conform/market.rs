//! Topics: the subscribe reply, the updates, and their end.

use std::time::Duration;

use fastws_asyncapi::{Request, TopicUseRole};
use serde_json::Value;
use tokio::time::Instant;

use super::Subject;
use super::report::{Outcome, Report, Verdict};
use super::witness::{Brought, Witness};
use crate::Stop;
use crate::listen::{ending, fields, topics_of};
use crate::print::counted;
use crate::schema::brief;

const GROUP: &str = "market";

pub(super) async fn check(subject: &Subject<'_>, report: &mut Report<'_>) -> Result<(), Stop> {
    let mut is_any = false;
    for request in subject.requests() {
        if let Some((template, updates)) = subscribes(request) {
            is_any = true;
            let payload = request.message.examples.first().and_then(|example| example.get("payload"));
            Topic { subject, request, template, updates, payload }.check(report).await?;
        }
    }
    if !is_any {
        report.tell(GROUP, "topics can be subscribed", Verdict::skipped("the document has no topics"))?;
    }
    Ok(())
}

fn subscribes(request: &Request) -> Option<(&str, &[String])> {
    let topic = request.topic.as_ref()?;
    match &topic.role {
        TopicUseRole::Subscribe { updates, .. } => Some((&topic.template, updates)),
        TopicUseRole::Unsubscribe => None,
    }
}

/// This is a kind of topic, with what subscribes to one of them.
struct Topic<'a> {
    subject: &'a Subject<'a>,
    request: &'a Request,
    template: &'a str,
    /// The messages that bring updates.
    updates: &'a [String],
    payload: Option<&'a Value>,
}

impl Topic<'_> {
    async fn check(&self, report: &mut Report<'_>) -> Result<(), Stop> {
        let name = &self.request.message.name;
        let check = format!("`{name}` is answered with its topic, before any update");
        let mut client = match self.subject.connect().await {
            Ok(client) => client,
            Err(why) => return Ok(report.tell(GROUP, check, Err(why))?),
        };
        if self.request.message.examples.is_empty() && self.request.message.needs_payload {
            return Ok(report.tell(GROUP, check, Verdict::skipped("the document gives no example"))?);
        }
        let topics = match self.subscribe(&mut client).await {
            Ok(topics) => topics,
            Err(why) => return Ok(report.tell(GROUP, check, Err(why))?),
        };
        report.tell(GROUP, check, Ok(Verdict::Passed))?;
        let shown = topics.join(", ");

        let (pace, outcome) = self.updates_come(&mut client, &topics).await;
        report.tell(GROUP, format!("{shown} brings {}, as documented", self.updates.join(", ")), outcome)?;
        let outcome = self.same_again(&mut client, &topics).await;
        report.tell(GROUP, format!("subscribing to {shown} twice is harmless"), outcome)?;
        let outcome = self.same_elsewhere(&topics).await;
        report.tell(GROUP, format!("a second connection gets {shown} too"), outcome)?;
        let outcome = self.ends(&mut client, &topics, pace).await;
        report.tell(GROUP, format!("after the unsubscribe reply nothing more of {shown} comes"), outcome)?;
        Ok(())
    }

    /// Subscribes, and returns the topics.
    async fn subscribe(&self, client: &mut Witness<'_>) -> Result<Vec<String>, String> {
        let reply = client.accepted(self.request, self.payload).await?;
        if let Some(early) = client.passed().iter().find(|frame| self.is_update(frame)) {
            return Err(format!("an update came before the reply: {}", brief(early)));
        }
        self.topics(&reply)
    }

    fn topics(&self, reply: &Value) -> Result<Vec<String>, String> {
        let topics = topics_of(&reply["payload"]);
        if topics.is_empty() {
            return Err(format!("the reply names no topic: {}", brief(reply)));
        }
        match topics.iter().find(|topic| fields(self.template, topic).is_none()) {
            Some(other) => Err(format!("the reply's topic {other} is not of the form {}", self.template)),
            None => Ok(topics),
        }
    }

    fn is_update(&self, frame: &Value) -> bool {
        self.updates.iter().any(|update| frame["type"] == update.as_str())
    }

    /// Waits for a few updates; returns how long it was between them at most.
    async fn updates_come(&self, client: &mut Witness<'_>, topics: &[String]) -> (Duration, Outcome) {
        let begin = Instant::now();
        let (mut last, mut pace, mut count) = (begin, SHORTEST_PACE, 0);
        let outcome = loop {
            let patience = if count == 0 { self.subject.wait } else { MORE_PATIENCE };
            let end = (last + patience).saturating_duration_since(Instant::now());
            match client.within(end).await {
                Err(why) => break Err(why),
                Ok(Brought::Closed(closed)) => break Err(closed.told(&self.subject.endpoint.contract)),
                Ok(Brought::Nothing) if count == 0 => {
                    let time = self.subject.wait.as_secs_f64();
                    break Verdict::skipped(format!("it was quiet for {time} s; --wait waits longer"));
                }
                Ok(Brought::Nothing) => break Ok(Verdict::Passed),
                Ok(Brought::Frame(frame)) if self.is_update(&frame) || frame.get("topic").is_some() => {
                    if let Err(why) = self.belongs(&frame, topics, count >= topics.len()) {
                        break Err(why);
                    }
                    if count > 0 {
                        pace = pace.max(last.elapsed());
                    }
                    last = Instant::now();
                    count += 1;
                    if count == ENOUGH {
                        break Ok(Verdict::Passed);
                    }
                }
                Ok(Brought::Frame(_)) => {}
            }
        };
        (pace.min(LONGEST_PACE), outcome)
    }

    /// Whether an update is one of this subscription. Each topic may begin with a snapshot.
    fn belongs(&self, frame: &Value, topics: &[String], has_begun: bool) -> Result<(), String> {
        if !self.is_update(frame) {
            let names = self.updates.join("`, `");
            return Err(format!("this is no `{names}`: {}", brief(frame)));
        }
        match frame.get("topic").and_then(Value::as_str) {
            Some(topic) if !topics.iter().any(|ours| ours == topic) => {
                Err(format!("an update of {topic}, which was not subscribed"))
            }
            None if frame.get("topic").is_some() => Err(format!("a topic that is no text: {}", brief(frame))),
            _ if has_begun && frame["snapshot"] == true => {
                Err(format!("a snapshot in the middle of the updates: {}", brief(frame)))
            }
            _ => Ok(()),
        }
    }

    async fn same_again(&self, client: &mut Witness<'_>, topics: &[String]) -> Outcome {
        let reply = client.accepted(self.request, self.payload).await?;
        expect_same(topics, &self.topics(&reply)?)
    }

    async fn same_elsewhere(&self, topics: &[String]) -> Outcome {
        let mut other = self.subject.connect().await?;
        expect_same(topics, &self.subscribe(&mut other).await?)
    }

    async fn ends(&self, client: &mut Witness<'_>, topics: &[String], pace: Duration) -> Outcome {
        let Some((end, payload)) = ending(self.subject.endpoint, self.request, self.payload, topics) else {
            return Verdict::skipped("the document names nothing that ends the subscription");
        };
        client.accepted(end, payload.as_ref()).await?;
        let until = Instant::now() + 2 * pace;
        loop {
            match client.within(until.saturating_duration_since(Instant::now())).await? {
                Brought::Nothing => return Ok(Verdict::Passed),
                Brought::Closed(closed) => return Err(closed.told(&self.subject.endpoint.contract)),
                Brought::Frame(frame) if self.is_update(&frame) => {
                    return Err(format!("{} came after it", counted(1, "update", "updates") + ", " + &brief(&frame)));
                }
                Brought::Frame(_) => {}
            }
        }
    }
}

fn expect_same(topics: &[String], others: &[String]) -> Outcome {
    if topics == others {
        return Ok(Verdict::Passed);
    }
    Err(format!("the reply names {}, not {}", others.join(", "), topics.join(", ")))
}

/// How many updates are enough.
const ENOUGH: usize = 5;
/// How long to wait for another update.
const MORE_PATIENCE: Duration = Duration::from_secs(1);
/// Quiet is at least this long…
const SHORTEST_PACE: Duration = Duration::from_millis(100);
/// … and at most this.
const LONGEST_PACE: Duration = Duration::from_secs(1);
