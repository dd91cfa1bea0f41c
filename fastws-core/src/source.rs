//! What feeds a topic: a function that runs while somebody listens.

use std::marker::PhantomData;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{Instant, sleep_until};

use crate::entry::{Emission, Entry, Phase};
use crate::error::{Error, ErrorCode, Result};
use crate::extract::{FromTopic, States};
use crate::handler::BoxFuture;
use crate::hub::Hub;

/// This can be started to feed one topic.
pub(crate) trait Source: Send + Sync {
    fn start(&self, hub: Hub, updates: Feed) -> BoxFuture<Result<()>>;
    /// The operation that brings the updates.
    fn update_name(&self) -> &Arc<str>;
}

/// This is the start of one topic: what the arguments of a `#[topic]` function are taken from.
#[derive(Debug)]
pub struct Start {
    pub(crate) fields: Value,
    pub(crate) updates: Feed,
    pub(crate) hub: Hub,
    pub(crate) states: Arc<States>,
}

impl Start {
    /// The template's fields, a JSON object.
    pub fn fields(&self) -> &Value {
        &self.fields
    }

    /// The topic's name.
    pub fn topic(&self) -> &str {
        self.updates.entry.key()
    }

    /// The state of type `T` that was given to the builder.
    pub fn state<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        self.states.find()
    }
}

/// This is the way from a source into its topic, of any type.
#[derive(Clone)]
pub(crate) struct Feed {
    pub(crate) entry: Arc<Entry>,
    start: u64,
    name: Arc<str>,
}

impl Feed {
    fn emit(&self, what: Emission) {
        self.entry.emit(self.start, &self.name, what);
    }

    fn encode<T: Serialize>(&self, value: &T) -> Option<String> {
        serde_json::to_string(value)
            .inspect_err(|error| tracing::error!(topic = %self.entry.key(), %error, "an update cannot be JSON"))
            .ok()
    }
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Feed({})", self.entry.key())
    }
}

/// These are the fields of the topic's name, typed. Other fields of a subscribe request do not reach the source: here
/// they have their defaults.
#[derive(Clone, Copy, Debug, Default)]
pub struct Params<T>(pub T);

impl<T: DeserializeOwned> FromTopic for Params<T> {
    fn from_topic(start: &Start) -> Result<Self> {
        T::deserialize(&start.fields).map(Self).map_err(Error::from)
    }
}

/// This is where a topic's source puts its updates.
///
/// The topic comes alive, and its first subscribers are answered, at the first use of any of these methods. None of
/// them waits. After the source was stopped they do nothing.
///
/// **Snapshots.** A topic that was given a [`snapshot`](Self::snapshot) has a current state: a new subscriber gets it
/// first, and then every later update. From then on each [`send`](Self::send) replaces the state, which is right for
/// values such as bars and quotes. Where an update is a change of a larger state, such as an order book, use
/// [`send_change`](Self::send_change).
pub struct Updates<T> {
    feed: Feed,
    of: PhantomData<fn(T)>,
}

impl<T: Serialize + Send + Sync + 'static> Updates<T> {
    /// Publishes an update.
    pub fn send(&self, value: T) {
        let Some(payload) = self.feed.encode(&value) else { return };
        self.feed.emit(Emission::Update { payload, value: Arc::new(value) });
    }

    /// Sets the current state. Present subscribers get it too, marked as a snapshot.
    pub fn snapshot(&self, state: T) {
        let Some(payload) = self.feed.encode(&state) else { return };
        self.feed.emit(Emission::Snapshot { payload, value: Arc::new(state) });
    }

    /// Publishes a change together with the state that it leads to, which new subscribers get.
    ///
    /// While there is no current state, nobody could apply the change: then all get `state`, marked as a snapshot.
    pub fn send_change(&self, change: T, state: &T) {
        let (Some(payload), Some(state)) = (self.feed.encode(&change), self.feed.encode(state)) else { return };
        self.feed.emit(Emission::Change { payload, value: Arc::new(change), state });
    }

    /// Brings the topic alive before there is anything to send.
    pub fn ready(&self) {
        self.feed.emit(Emission::Ready);
    }
}

impl<T> FromTopic for Updates<T> {
    fn from_topic(start: &Start) -> Result<Self> {
        Ok(Self { feed: start.updates.clone(), of: PhantomData })
    }
}

impl<T> Clone for Updates<T> {
    fn clone(&self) -> Self {
        Self { feed: self.feed.clone(), of: PhantomData }
    }
}

impl<T> std::fmt::Debug for Updates<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.feed.fmt(f)
    }
}

/// Runs the source of one topic from its first subscriber until nobody has listened for a while.
///
/// There is one such task for each topic in the hub, and it drops one run of the source before it begins the next, so
/// that no topic ever has two.
pub(crate) async fn supervise(hub: Hub, entry: Arc<Entry>, source: Arc<dyn Source>) {
    let mut orphan = Orphan { hub: hub.clone(), entry: Arc::clone(&entry), is_cared_for: false };
    run_until_unneeded(hub, entry, source).await;
    orphan.is_cared_for = true;
}

/// Ends a topic whose supervisor is dropped, with the runtime that it ran on: nobody would start its source again.
struct Orphan {
    hub: Hub,
    entry: Arc<Entry>,
    is_cared_for: bool,
}

impl Drop for Orphan {
    fn drop(&mut self) {
        if !self.is_cared_for {
            self.hub.end_topic(&self.entry, ErrorCode::TOPIC_FAILED.as_str());
        }
    }
}

async fn run_until_unneeded(hub: Hub, entry: Arc<Entry>, source: Arc<dyn Source>) {
    let mut back_off = BackOff::default();
    loop {
        let start = entry.begin();
        let feed = Feed { entry: Arc::clone(&entry), start, name: Arc::clone(source.update_name()) };
        let began = Instant::now();
        let error = match run(&hub, &entry, source.start(hub.clone(), feed)).await {
            Ending::Idle => {
                if hub.close_if_idle(&entry) {
                    return;
                }
                continue;
            }
            Ending::NotStarted(error) => {
                log(&entry, &error, "a topic could not start");
                if hub.fail_to_start(&entry, &error) {
                    return;
                }
                error
            }
            Ending::Failed(error) => {
                log(&entry, &error, "a topic failed");
                back_off.forgive(began);
                error
            }
            Ending::Ended => return hub.end_topic(&entry, "topic_ended"),
        };
        if error.is_permanent() {
            hub.fail(&entry, &topic_failed(&error));
            return hub.end_topic(&entry, ErrorCode::TOPIC_FAILED.as_str());
        }
        hub.fail(&entry, &topic_failed(&error).retry_after(back_off.delay));
        back_off.wait(&entry).await;
        if hub.close_if_idle(&entry) {
            return;
        }
    }
}

/// This is how one run of a source came to its end.
enum Ending {
    /// Nobody listens any more.
    Idle,
    NotStarted(Error),
    Failed(Error),
    Ended,
}

async fn run(hub: &Hub, entry: &Arc<Entry>, source: BoxFuture<Result<()>>) -> Ending {
    let limits = &hub.0.limits;
    let start_by = Instant::now() + limits.source_start;
    let mut source = AssertUnwindSafe(source).catch_unwind();
    loop {
        let (phase, idle_since) = {
            let state = entry.lock();
            (state.phase, state.idle_since)
        };
        tokio::select! {
            biased;
            ended = &mut source => {
                let was_live = entry.lock().phase != Phase::Starting;
                return match ended.unwrap_or_else(|_| Err(Error::internal("the topic's source panicked"))) {
                    Ok(()) if was_live => Ending::Ended,
                    Ok(()) => Ending::NotStarted(ended_early(entry.key())),
                    Err(error) if was_live => Ending::Failed(error),
                    Err(error) => Ending::NotStarted(error),
                };
            }
            () = entry.interest.notified() => {
                let state = entry.lock();
                if state.phase == Phase::Starting && !state.has_interest() {
                    return Ending::Idle;
                }
            }
            () = sleep_until(start_by), if phase == Phase::Starting => {
                return Ending::NotStarted(too_late(entry.key(), limits.source_start));
            }
            () = sleep_until(idle_since + limits.linger), if phase == Phase::Lingering => return Ending::Idle,
        }
    }
}

fn log(entry: &Entry, error: &Error, what: &'static str) {
    let cause = error.cause().map(tracing::field::display);
    tracing::warn!(topic = %entry.key(), code = %error.code(), message = error.message(), cause, "{what}");
}

/// What subscribers of a failed topic are told: the source's own message, under the framework's code.
fn topic_failed(error: &Error) -> Error {
    Error::new(ErrorCode::TOPIC_FAILED, error.message())
}

fn ended_early(topic: &str) -> Error {
    Error::new(ErrorCode::TOPIC_FAILED, format!("topic `{topic}` ended before it began"))
}

pub(crate) fn ended(topic: &str) -> Error {
    Error::new(ErrorCode::TOPIC_FAILED, format!("topic `{topic}` has ended"))
}

pub(crate) fn too_late(topic: &str, limit: Duration) -> Error {
    Error::new(ErrorCode::TOPIC_FAILED, format!("topic `{topic}` did not start within {} s", limit.as_secs_f64()))
        .retry_after(Duration::from_secs(1))
}

/// This is how long a failed source waits before it starts again: twice as long each time, up to half a minute.
struct BackOff {
    delay: Duration,
}

impl Default for BackOff {
    fn default() -> Self {
        Self { delay: Self::FIRST }
    }
}

impl BackOff {
    const FIRST: Duration = Duration::from_millis(500);
    const LONGEST: Duration = Duration::from_secs(30);

    /// A source that lived longer than the longest delay begins anew.
    fn forgive(&mut self, began: Instant) {
        if began.elapsed() > Self::LONGEST {
            self.delay = Self::FIRST;
        }
    }

    /// Waits, unless everybody leaves meanwhile.
    async fn wait(&mut self, entry: &Entry) {
        let until = Instant::now() + self.delay;
        self.delay = (self.delay * 2).min(Self::LONGEST);
        while entry.lock().has_interest() {
            tokio::select! {
                () = sleep_until(until) => return,
                () = entry.interest.notified() => {}
            }
        }
    }
}
