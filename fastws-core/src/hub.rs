//! Who listens to what: topics, their subscribers, and publishing.

use std::any::{TypeId, type_name};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use serde::Serialize;
use serde_json::json;
use tokio::sync::{Notify, oneshot};
use uuid::Uuid;

use crate::client::{Client, Connection, Hold, Membership};
use crate::close::CloseReason;
use crate::envelope;
use crate::error::{Error, ErrorCode, Result};
use crate::extract::complaints;
use crate::limits::Limits;
use crate::operation::{Published, TopicDeclared};
use crate::outbox::{Shape, SubscriptionId, Update};
use crate::source::{self, Fields};
use crate::topic::Topic;

/// This is where topics meet their subscribers. It is cheap to clone; whoever holds it can publish.
///
/// Publishing never waits, encodes once, and every subscriber of a topic sees its updates in the order of publishing.
#[derive(Clone)]
pub struct Hub(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    topics: Mutex<HashMap<Arc<str>, Arc<Entry>>>,
    connections: Mutex<Connections>,
    farewell: Notify,
    subscriptions: AtomicU64,
    pub(crate) catalogue: Catalogue,
    pub(crate) limits: Limits,
}

#[derive(Default)]
struct Connections {
    open: HashMap<Uuid, Arc<Connection>>,
    /// How many are open or still saying goodbye.
    served: usize,
    is_shutting_down: bool,
}

/// This is what can be published, and which topics there are.
#[derive(Default)]
pub(crate) struct Catalogue {
    /// The operation that each twin type stands for.
    pub(crate) published: HashMap<TypeId, Arc<str>>,
    /// What can be published by name, with a check of its schema.
    pub(crate) by_name: HashMap<Arc<str>, jsonschema::Validator>,
    pub(crate) topics: HashMap<TypeId, Arc<dyn MakeTopic>>,
}

/// This makes a declared topic of its fields.
pub(crate) trait MakeTopic: Send + Sync {
    fn make(self: Arc<Self>, fields: Fields) -> Result<Topic>;
}

/// This is a topic that somebody listens to, or is about to.
pub(crate) struct Entry {
    key: Arc<str>,
    wire: Arc<str>,
    state: Mutex<State>,
    /// Wakes the supervisor when subscribers come or go.
    pub(crate) interest: Notify,
    has_source: bool,
}

pub(crate) struct State {
    pub(crate) phase: Phase,
    /// Counts the starts of the source, so that what an earlier one left behind cannot publish.
    pub(crate) start: u64,
    members: HashMap<Uuid, Member>,
    waiting: Vec<Waiting>,
    /// The payload that a new subscriber begins with, and the operation that carries it.
    snapshot: Option<(Arc<str>, String, Option<Arc<dyn std::any::Any + Send + Sync>>)>,
}

#[derive(Clone)]
struct Member {
    connection: Arc<Connection>,
    subscription: SubscriptionId,
    }

struct Waiting {
    member: Member,
    answer: oneshot::Sender<Result<()>>,
}

/// This is where a topic is in its life. One without a source is always live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The source has been started and has not used its updates yet.
    Starting,
    /// Updates flow.
    Live,
    /// Nobody listens; the source goes on for a moment.
    Lingering,
    /// The source failed, and will be started again.
    Failed,
}

impl Hub {
    pub(crate) fn new(catalogue: Catalogue, limits: Limits) -> Self {
        Self(Arc::new(Inner {
            topics: Mutex::default(),
            connections: Mutex::default(),
            farewell: Notify::new(),
            subscriptions: AtomicU64::new(1),
            catalogue,
            limits,
        }))
    }

    /// Publishes a value to the subscribers of a topic; returns how many were reached. It never waits.
    ///
    /// An operation that this service does not serve reaches nobody, and is logged as an error.
    pub fn publish<E: Published>(&self, topic: &Topic, value: E::Value) -> usize {
        self.encode::<E>(value).map_or(0, |(name, payload)| self.deliver(topic.key(), &name, &payload))
    }

    /// Publishes a value under an operation's name, after holding it against the operation's documented type.
    ///
    /// This is for names that are known only at run time; [`publish`](Self::publish) checks at compile time and costs
    /// less.
    ///
    /// # Errors
    /// `unknown_operation` when no update of that name is served, `invalid_payload` with each wrong field when the
    /// value is not of the documented type; nobody is reached then.
    pub fn publish_named(&self, topic: &Topic, name: &str, value: impl Serialize) -> Result<usize> {
        let catalogue = &self.0.catalogue;
        let (name, validator) = catalogue.by_name.get_key_value(name).ok_or_else(|| {
            Error::new(ErrorCode::UNKNOWN_OPERATION, format!("no operation `{name}` can be published"))
        })?;
        let value = serde_json::to_value(value)?;
        let details = complaints(validator, &value);
        if !details.is_empty() {
            return Err(crate::extract::invalid(details).in_operation(name));
        }
        Ok(self.deliver(topic.key(), name, &value.to_string()))
    }

    /// Sends a value to every connection; returns how many there are. It never waits.
    pub fn broadcast<E: Published>(&self, value: E::Value) -> usize {
        let Some((name, payload)) = self.encode::<E>(value) else { return 0 };
        let text = axum::extract::ws::Utf8Bytes::from(envelope::update(&name, None, false, &payload));
        let everybody: Vec<_> = self.connections_lock().open.values().cloned().collect();
        everybody.iter().for_each(|connection| connection.outbox.push(text.clone()));
        everybody.len()
    }

    /// The topic of a `#[topic]` function, its source included.
    ///
    /// # Errors
    /// `unknown_topic` when this service does not serve it.
    pub fn topic<T: TopicDeclared>(&self, params: &T::Params) -> Result<Topic> {
        let topic = self.0.catalogue.topics.get(&TypeId::of::<T>()).ok_or_else(|| {
            Error::new(ErrorCode::UNKNOWN_TOPIC, format!("this service has no topic `{}`", type_name::<T>()))
        })?;
        Arc::clone(topic).make(T::fields(params))
    }

    /// How many connections are open.
    pub fn connection_count(&self) -> usize {
        self.connections_lock().open.len()
    }

    /// How many topics somebody listens to.
    pub fn topic_count(&self) -> usize {
        self.topics_lock().len()
    }

    /// The open connections, for monitoring.
    pub fn connections(&self) -> Vec<ConnectionInfo> {
        let open: Vec<_> = self.connections_lock().open.values().cloned().collect();
        open.iter()
            .map(|connection| ConnectionInfo {
                id: connection.id,
                connected_at: connection.opened,
                topics: connection.topics(),
            })
            .collect()
    }

    /// The topics that somebody listens to, by name, for monitoring.
    pub fn topics(&self) -> Vec<TopicInfo> {
        let entries: Vec<_> = self.topics_lock().values().cloned().collect();
        let mut topics: Vec<_> = entries
            .iter()
            .map(|entry| {
                let state = entry.lock();
                TopicInfo { topic: entry.key.to_string(), subscribers: state.members.len(), phase: state.phase }
            })
            .collect();
        topics.sort_by(|a, b| a.topic.cmp(&b.topic));
        topics
    }

    /// The name and payload of a value to publish, or a line in the log.
    pub(crate) fn encode<E: Published>(&self, value: E::Value) -> Option<(Arc<str>, String)> {
        let Some(name) = self.0.catalogue.published.get(&TypeId::of::<E>()) else {
            tracing::error!(operation = type_name::<E>(), "published an operation that this service does not serve");
            return None;
        };
        serde_json::to_string(&E::view(value))
            .inspect_err(|error| tracing::error!(operation = %name, %error, "a published value cannot be JSON"))
            .ok()
            .map(|payload| (Arc::clone(name), payload))
    }

    fn deliver(&self, key: &Arc<str>, name: &str, payload: &str) -> usize {
        let Some(entry) = self.topics_lock().get(key).cloned() else { return 0 };
        let text = envelope::update(name, Some(&entry.wire), false, payload).into();
        let mut state = entry.lock();
        if let Some(snapshot) = &mut state.snapshot {
            *snapshot = (name.into(), payload.to_owned(), None);
        }
        state.deliver(&Update { text, value: None, is_snapshot: false })
    }

    /// Subscribes a connection; says whether it was not subscribed before.
    pub(crate) async fn subscribe(&self, client: &Client, topic: &Topic, shape: Option<Shape>) -> Result<bool> {
        match self.join(&client.connection, topic, client.hold.as_deref(), shape)? {
            Join::Done { is_new } => Ok(is_new),
            Join::Pending(pending) => pending.wait(self.0.limits.source_start).await.map(|()| true),
        }
    }

    /// Begins a subscription: it is there at once, or when its topic's source has come alive.
    fn join(&self, connection: &Arc<Connection>, topic: &Topic, hold: Option<&Hold>, shape: Option<Shape>) -> Result<Join> {
        let mut topics = self.topics_lock();
        let known = self.check_join(connection, topic)?;
        let entry = Arc::clone(topics.entry(Arc::clone(topic.key())).or_insert_with(|| self.open(topic)));
        let mut state = entry.lock();
        let mut memberships = connection.memberships();
        if memberships.has_left {
            drop((state, memberships));
            self.depart(&mut topics, &entry, connection.id);
            return Err(has_ended());
        }
        if let Some(Membership { subscription, is_pending: false, .. }) = known {
            connection.outbox.reshape(subscription, shape);
            return Ok(Join::Done { is_new: false });
        }
        let subscription = match known {
            Some(Membership { subscription, .. }) => subscription,
            None => {
                let subscription = SubscriptionId(self.0.subscriptions.fetch_add(1, Ordering::Relaxed));
                match hold {
                    Some(hold) => hold.open(&connection.outbox, subscription, shape),
                    None => connection.outbox.open(subscription, false, shape),
                }
                let held = Membership { subscription, wire: Arc::clone(&entry.wire), is_pending: true };
                memberships.topics.insert(Arc::clone(topic.key()), held);
                subscription
            }
        };
        drop(memberships);
        let member = Member { connection: Arc::clone(connection), subscription };
        if matches!(state.phase, Phase::Live | Phase::Lingering) {
            state.phase = Phase::Live;
            state.admit(&entry, member);
            drop(state);
            entry.interest.notify_one();
            return Ok(Join::Done { is_new: true });
        }
        let (answer, answered) = oneshot::channel();
        state.waiting.push(Waiting { member, answer });
        drop(state);
        entry.interest.notify_one();
        let undo = Undo { hub: self.clone(), connection: Arc::clone(connection), key: Arc::clone(topic.key()) };
        Ok(Join::Pending(Pending { answered, undo: Some(undo) }))
    }

    /// What the connection already has of this topic; an error if it may have no more.
    fn check_join(&self, connection: &Connection, topic: &Topic) -> Result<Option<Membership>> {
        let memberships = connection.memberships();
        let limit = self.0.limits.subscriptions;
        match memberships.topics.get(topic.key()) {
            _ if memberships.has_left => Err(has_ended()),
            Some(known) => Ok(Some(known.clone())),
            None if memberships.topics.len() < limit => Ok(None),
            None => Err(Error::new(
                ErrorCode::TOO_MANY_SUBSCRIPTIONS,
                format!("a connection holds at most {limit} subscriptions; unsubscribe from one first"),
            )),
        }
    }

    /// Makes the entry of a topic that nobody listened to, and starts what feeds it.
    fn open(&self, topic: &Topic) -> Arc<Entry> {
        let phase = if topic.source().is_some() { Phase::Starting } else { Phase::Live };
        let entry = Arc::new(Entry {
            key: Arc::clone(topic.key()),
            wire: Arc::clone(topic.wire_text()),
            state: Mutex::new(State { phase, start: 0, members: HashMap::new(), waiting: Vec::new(), snapshot: None }),
            interest: Notify::new(),
            has_source: topic.source().is_some(),
        });
        if let Some(source) = topic.source() {
            tokio::spawn(source::supervise(self.clone(), Arc::clone(&entry), Arc::clone(source)));
        }
        entry
    }

    /// Ends a subscription; says whether there was one.
    pub(crate) fn unsubscribe(&self, connection: &Arc<Connection>, key: &Arc<str>) -> bool {
        let mut topics = self.topics_lock();
        let Some(membership) = connection.memberships().topics.remove(key) else { return false };
        if let Some(entry) = topics.get(key).cloned() {
            self.depart(&mut topics, &entry, connection.id);
        }
        drop(topics);
        connection.outbox.forget(membership.subscription);
        true
    }

    /// Takes a connection out of a topic. A topic without a source and without listeners is gone.
    fn depart(&self, topics: &mut HashMap<Arc<str>, Arc<Entry>>, entry: &Arc<Entry>, connection: Uuid) {
        let mut state = entry.lock();
        state.members.remove(&connection);
        state.waiting.retain(|waiting| waiting.member.connection.id != connection);
        if state.has_interest() {
            return;
        }
        if entry.has_source {
            if state.phase == Phase::Live {
                state.phase = Phase::Lingering;
            }
            entry.interest.notify_one();
        } else {
            topics.remove(&entry.key);
        }
    }

    /// Lets a connection in, unless the service is shutting down.
    pub(crate) fn enter(&self, connection: &Arc<Connection>) -> bool {
        let mut connections = self.connections_lock();
        if !connections.is_shutting_down {
            connections.open.insert(connection.id, Arc::clone(connection));
        }
        !connections.is_shutting_down
    }

    /// Takes a connection out of everything, whatever it ended for.
    pub(crate) fn leave(&self, connection: &Arc<Connection>) {
        let held = {
            let mut memberships = connection.memberships();
            memberships.has_left = true;
            std::mem::take(&mut memberships.topics)
        };
        {
            let mut topics = self.topics_lock();
            for key in held.keys() {
                if let Some(entry) = topics.get(key).cloned() {
                    self.depart(&mut topics, &entry, connection.id);
                }
            }
        }
        self.connections_lock().open.remove(&connection.id);
    }

    /// Counts a connection that is being served; it ends with [`end_serving`](Self::end_serving).
    pub(crate) fn begin_serving(&self) {
        self.connections_lock().served += 1;
    }

    /// A connection has left and said goodbye.
    pub(crate) fn end_serving(&self) {
        self.connections_lock().served -= 1;
        self.0.farewell.notify_waiters();
    }

    /// Waits until no connection is served any more.
    pub(crate) async fn until_alone(&self) {
        loop {
            let farewell = self.0.farewell.notified();
            if self.connections_lock().served == 0 {
                return;
            }
            farewell.await;
        }
    }

    /// Asks every connection to end, and lets no more in.
    pub(crate) fn shut_down(&self) {
        let mut connections = self.connections_lock();
        connections.is_shutting_down = true;
        connections.open.values().for_each(|connection| connection.end(CloseReason::GoingAway));
    }

    pub(crate) fn is_shutting_down(&self) -> bool {
        self.connections_lock().is_shutting_down
    }

    fn topics_lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Arc<Entry>>> {
        self.0.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connections_lock(&self) -> MutexGuard<'_, Connections> {
        self.0.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the supervisor of a topic's source asks of the hub. Each is one step: the map and the entry are locked together.
impl Hub {
    /// Removes the topic if nobody listens; says whether it is gone.
    pub(crate) fn close_if_idle(&self, entry: &Arc<Entry>) -> bool {
        let mut topics = self.topics_lock();
        let is_idle = !entry.lock().has_interest();
        if is_idle {
            topics.remove(&entry.key);
        }
        is_idle
    }

    /// Answers everybody who waits for the topic with its error. Removes the topic if nobody else listens; says so.
    pub(crate) fn fail_to_start(&self, entry: &Arc<Entry>, error: &Error) -> bool {
        let mut topics = self.topics_lock();
        let mut state = entry.lock();
        let waiting = std::mem::take(&mut state.waiting);
        let is_gone = state.members.is_empty();
        if is_gone {
            topics.remove(&entry.key);
        }
        drop((state, topics));
        for Waiting { member, answer } in waiting {
            member.drop_membership(&entry.key);
            // The subscriber may have gone meanwhile; then nobody needs the answer.
            let _ = answer.send(Err(error.share()));
        }
        is_gone
    }

    /// Tells the subscribers that the source failed; `error` says when it starts again.
    pub(crate) fn fail(&self, entry: &Arc<Entry>, error: &Error) {
        let text: axum::extract::ws::Utf8Bytes = envelope::error(None, Some(&entry.wire), error).into();
        let mut state = entry.lock();
        state.phase = Phase::Failed;
        state.snapshot = None;
        state.deliver(&Update { text, value: None, is_snapshot: true });
    }

    /// Ends the topic for all its subscribers, with a notice that says why and whether to come back.
    pub(crate) fn end_topic(&self, entry: &Arc<Entry>, code: &str, resubscribe: bool) {
        let payload = json!({ "code": code, "resubscribe": resubscribe }).to_string();
        let notice = axum::extract::ws::Utf8Bytes::from(envelope::update("unsubscribed", Some(&entry.wire), false, &payload));
        let mut topics = self.topics_lock();
        let mut state = entry.lock();
        let members = std::mem::take(&mut state.members);
        let waiting = std::mem::take(&mut state.waiting);
        topics.remove(&entry.key);
        drop((state, topics));
        for member in members.into_values() {
            let notice = Update { text: notice.clone(), value: None, is_snapshot: true };
            member.connection.outbox.conclude(member.subscription, &notice);
            member.drop_membership(&entry.key);
        }
        for Waiting { member, answer } in waiting {
            member.drop_membership(&entry.key);
            // As above: the subscriber may have gone.
            let _ = answer.send(Err(source::ended(&entry.key)));
        }
    }
}

impl Entry {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn key(&self) -> &Arc<str> {
        &self.key
    }

    /// Begins a start of the source.
    pub(crate) fn begin(&self) -> u64 {
        let mut state = self.lock();
        state.phase = Phase::Starting;
        state.start += 1;
        state.snapshot = None;
        state.start
    }

    /// Publishes what the source made, and keeps what a new subscriber begins with. The first use makes the topic live.
    ///
    /// A source that is no longer the current one publishes nothing.
    pub(crate) fn emit(self: &Arc<Self>, start: u64, name: &Arc<str>, what: Emission) {
        let mut state = self.lock();
        if state.start != start || !matches!(state.phase, Phase::Starting | Phase::Live | Phase::Lingering) {
            return;
        }
        if state.phase == Phase::Starting {
            self.come_alive(&mut state);
        }
        match what {
            Emission::Ready => {}
            Emission::Snapshot { payload, value } => {
                let update = self.update(name, true, &payload, Some(&value));
                state.snapshot = Some((Arc::clone(name), payload, Some(value)));
                state.deliver(&update);
                self.let_in(&mut state);
                return;
            }
            Emission::Update { payload, value, state: after } => {
                self.let_in(&mut state);
                let update = self.update(name, false, &payload, Some(&value));
                state.deliver(&update);
                match after {
                    Some(folded) => state.snapshot = Some((Arc::clone(name), folded, None)),
                    None if state.snapshot.is_some() => state.snapshot = Some((Arc::clone(name), payload, Some(value))),
                    None => {}
                }
                return;
            }
        }
        self.let_in(&mut state);
    }

    fn come_alive(&self, state: &mut State) {
        state.phase = if state.has_interest() { Phase::Live } else { Phase::Lingering };
        self.interest.notify_one();
    }

    /// Makes subscribers of those who waited.
    fn let_in(self: &Arc<Self>, state: &mut State) {
        for Waiting { member, answer } in std::mem::take(&mut state.waiting) {
            state.admit(self, member);
            // The request may have been dropped meanwhile; its guard takes the membership back.
            let _ = answer.send(Ok(()));
        }
    }

    fn update(&self, name: &str, is_snapshot: bool, payload: &str, value: Option<&Arc<dyn std::any::Any + Send + Sync>>) -> Update {
        let text = envelope::update(name, Some(&self.wire), is_snapshot, payload).into();
        Update { text, value: value.cloned(), is_snapshot }
    }
}

/// This is what a source has to say.
pub(crate) enum Emission {
    Ready,
    Snapshot { payload: String, value: Arc<dyn std::any::Any + Send + Sync> },
    Update { payload: String, value: Arc<dyn std::any::Any + Send + Sync>, state: Option<String> },
}

impl State {
    pub(crate) fn has_interest(&self) -> bool {
        !self.members.is_empty() || !self.waiting.is_empty()
    }

    fn deliver(&self, update: &Update) -> usize {
        self.members
            .values()
            .filter(|member| member.connection.outbox.push_update(member.subscription, update))
            .count()
    }

    /// Makes a subscriber, beginning with the snapshot if there is one. A connection that has left stays out.
    fn admit(&mut self, entry: &Entry, member: Member) {
        {
            let mut memberships = member.connection.memberships();
            match memberships.topics.get_mut(&entry.key) {
                Some(held) if held.subscription == member.subscription => held.is_pending = false,
                _ => return,
            }
        }
        if let Some((name, payload, value)) = &self.snapshot {
            let update = entry.update(name, true, payload, value.as_ref());
            member.connection.outbox.push_update(member.subscription, &update);
        }
        self.members.insert(member.connection.id, member);
    }
}

impl Member {
    /// Takes the topic from the connection's list, if it is still this subscription's.
    fn drop_membership(&self, key: &Arc<str>) {
        let mut memberships = self.connection.memberships();
        if memberships.topics.get(key).is_some_and(|held| held.subscription == self.subscription) {
            memberships.topics.remove(key);
        }
    }
}

fn has_ended() -> Error {
    Error::new(ErrorCode::CANCELLED, "the connection has ended")
}

enum Join {
    Done { is_new: bool },
    Pending(Pending),
}

/// This is a subscription whose topic has yet to come alive. Dropped before that, it leaves nothing behind.
struct Pending {
    answered: oneshot::Receiver<Result<()>>,
    undo: Option<Undo>,
}

struct Undo {
    hub: Hub,
    connection: Arc<Connection>,
    key: Arc<str>,
}

impl Pending {
    async fn wait(mut self, limit: std::time::Duration) -> Result<()> {
        let answer = tokio::time::timeout(limit, &mut self.answered).await;
        match answer {
            Ok(Ok(Ok(()))) => {
                self.undo = None;
                Ok(())
            }
            Ok(Ok(Err(error))) => Err(error),
            Ok(Err(_)) => Err(Error::new(ErrorCode::CANCELLED, "the subscription was ended before it began")),
            Err(_) => Err(source::too_late(&self.undo.as_ref().expect("an unanswered wait can be undone").key, limit)),
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(Undo { hub, connection, key }) = self.undo.take() {
            hub.unsubscribe(&connection, &key);
        }
    }
}

/// This is an open connection, for monitoring.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectionInfo {
    /// Its id.
    pub id: Uuid,
    /// When it connected.
    pub connected_at: SystemTime,
    /// What it is subscribed to, as clients see it.
    pub topics: Vec<String>,
}

/// This is a topic that somebody listens to, for monitoring.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopicInfo {
    /// Its name.
    pub topic: String,
    /// How many connections are subscribed.
    pub subscribers: usize,
    /// Where it is in its life.
    pub phase: Phase,
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub")
            .field("connections", &self.connection_count())
            .field("topics", &self.topic_count())
            .finish()
    }
}
