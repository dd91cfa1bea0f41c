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

use crate::audience::Member;
use crate::client::{Client, Connection, Hold, Membership};
use crate::close::CloseReason;
use crate::engine::Letter;
use crate::entry::{Entry, Phase, Waiting, encode};
use crate::envelope;
use crate::error::{Error, ErrorCode, Result};
use crate::extract::complaints;
use crate::limits::Limits;
use crate::operation::{Published, TopicDeclared};
use crate::source;
use crate::topic::Topic;
use crate::topic_function::Fields;
use crate::update::{Shape, SubscriptionId, Update};
use crate::websocket::Prepared;

/// This is where topics meet their subscribers. It is cheap to clone; whoever holds it can publish.
///
/// Publishing never waits, encodes once, and every subscriber of a topic sees its updates in the order of publishing.
#[derive(Clone)]
pub struct Hub(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    topics: Mutex<Topics>,
    connections: Mutex<Connections>,
    farewell: Notify,
    subscriptions: AtomicU64,
    pub(crate) catalogue: Catalogue,
    pub(crate) limits: Arc<Limits>,
}

/// Clients choose the names of topics, so the hash is seeded at random.
type Topics = HashMap<Arc<str>, Arc<Entry>, foldhash::quality::RandomState>;

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

impl Hub {
    pub(crate) fn new(catalogue: Catalogue, limits: Limits) -> Self {
        Self(Arc::new(Inner {
            topics: Mutex::default(),
            connections: Mutex::default(),
            farewell: Notify::new(),
            subscriptions: AtomicU64::new(1),
            catalogue,
            limits: Arc::new(limits),
        }))
    }

    /// Publishes a value to the subscribers of a topic; returns how many were reached. It never waits.
    ///
    /// An operation that this service does not serve reaches nobody, and is logged as an error.
    pub fn publish<E>(&self, topic: &Topic, value: E::Value) -> usize
    where
        E: Published<Wire: Send + Sync + 'static>,
    {
        let Some(name) = self.name_of::<E>() else { return 0 };
        let Some(entry) = self.entry(topic) else { return 0 };
        let view = E::view(value);
        let Some(payload) = encode(name, &view) else { return 0 };
        entry.publish(name, payload, || Some(Arc::new(view)))
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
        Ok(self.entry(topic).map_or(0, |entry| entry.publish(name, value.to_string(), || None)))
    }

    /// Sends a value to every connection; returns how many were reached. It never waits.
    pub fn broadcast<E: Published>(&self, value: E::Value) -> usize {
        let Some(frame) = self.message::<E>(value).map(|text| Prepared::text(&text)) else { return 0 };
        let everybody: Vec<_> = self.connections_lock().open.values().cloned().collect();
        everybody.iter().filter(|connection| connection.write(frame.clone(), &self.0.limits)).count()
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

    /// A value as a message outside of any topic; `None`, with a line in the log, when it cannot be one.
    pub(crate) fn message<E: Published>(&self, value: E::Value) -> Option<String> {
        let name = self.name_of::<E>()?;
        let payload = encode(name, &E::view(value))?;
        Some(envelope::update(name, None, false, &payload))
    }

    fn name_of<E: Published>(&self) -> Option<&Arc<str>> {
        let name = self.0.catalogue.published.get(&TypeId::of::<E>());
        if name.is_none() {
            tracing::error!(operation = type_name::<E>(), "published an operation that this service does not serve");
        }
        name
    }

    fn entry(&self, topic: &Topic) -> Option<Arc<Entry>> {
        self.topics_lock().get(topic.key()).cloned()
    }

    /// Subscribes a connection; says whether it was not subscribed before.
    pub(crate) async fn subscribe(&self, client: &Client, topic: &Topic, shape: Option<Shape>) -> Result<bool> {
        match self.join(&client.connection, topic, client.hold.as_deref(), shape)? {
            Join::Done { is_new } => Ok(is_new),
            Join::Pending { pending, is_new } => pending.wait(self.0.limits.source_start).await.map(|()| is_new),
        }
    }

    /// Gives a subscription another shape.
    pub(crate) fn reshape(&self, connection: &Connection, topic: &Topic, shape: Option<Shape>) {
        if shape.is_some()
            && let Some(entry) = self.entry(topic)
        {
            entry.lock().has_shapes = true;
        }
        let held = connection.memberships().topics.get(topic.key()).map(|held| held.subscription);
        if let Some(subscription) = held {
            connection.post(Letter::Reshape(subscription, shape));
        }
    }

    /// Begins a subscription: it is there at once, or when its topic's source has come alive.
    fn join(
        &self,
        connection: &Arc<Connection>,
        topic: &Topic,
        hold: Option<&Hold>,
        shape: Option<Shape>,
    ) -> Result<Join> {
        let mut topics = self.topics_lock();
        let known = self.check_join(connection, topic)?;
        let entry = Arc::clone(
            topics.entry(Arc::clone(topic.key())).or_insert_with(|| Arc::new(Entry::new(topic, &self.0.limits))),
        );
        let mut state = entry.lock();
        state.has_shapes |= shape.is_some();
        let mut memberships = connection.memberships();
        if memberships.has_left {
            drop((state, memberships));
            self.depart(&mut topics, &entry, None);
            return Err(has_ended());
        }
        let is_new = known.is_none();
        let subscription = match known {
            Some(Membership { is_pending: false, .. }) => return Ok(Join::Done { is_new }),
            Some(Membership { subscription, .. }) => subscription,
            None => {
                let subscription = SubscriptionId(self.0.subscriptions.fetch_add(1, Ordering::Relaxed));
                match hold {
                    Some(hold) => hold.open(connection, subscription, shape),
                    None if shape.is_some() => {
                        connection.post(Letter::Open { subscription, is_held: false, shape });
                    }
                    None => {}
                }
                let held = Membership { subscription, wire: Arc::clone(&entry.wire), is_pending: true };
                memberships.topics.insert(Arc::clone(topic.key()), held);
                subscription
            }
        };
        drop(memberships);
        if let Some(source) = topic.source().filter(|_| !state.has_source) {
            state.has_source = true;
            state.phase = Phase::Starting;
            tokio::spawn(source::supervise(self.clone(), Arc::clone(&entry), Arc::clone(source)));
        }
        let member = Member { connection: Arc::clone(connection), subscription };
        if matches!(state.phase, Phase::Live | Phase::Lingering) {
            state.phase = Phase::Live;
            state.admit(&entry, member);
            drop(state);
            entry.interest.notify_one();
            return Ok(Join::Done { is_new });
        }
        let (answer, answered) = oneshot::channel();
        state.waiting.push(Waiting { member: member.clone(), answer });
        drop(state);
        entry.interest.notify_one();
        let undo = Undo { hub: self.clone(), member, key: Arc::clone(topic.key()) };
        Ok(Join::Pending { pending: Pending { answered, undo: Some(undo) }, is_new })
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

    /// Ends a subscription; says whether there was one.
    pub(crate) fn unsubscribe(&self, connection: &Arc<Connection>, key: &Arc<str>) -> bool {
        let mut topics = self.topics_lock();
        let Some(membership) = connection.memberships().topics.remove(key) else { return false };
        if let Some(entry) = topics.get(key).cloned() {
            self.depart(&mut topics, &entry, Some(membership.subscription));
        }
        drop(topics);
        connection.post(Letter::Forget(membership.subscription));
        true
    }

    /// Takes back a subscription that has not begun. A later one to the same topic stays.
    fn withdraw(&self, member: &Member, key: &Arc<str>) {
        let mut topics = self.topics_lock();
        if !member.drop_membership(key) {
            return;
        }
        if let Some(entry) = topics.get(key).cloned() {
            self.depart(&mut topics, &entry, Some(member.subscription));
        }
        drop(topics);
        member.connection.post(Letter::Forget(member.subscription));
    }

    /// Takes a subscription out of a topic. A topic without a source and without listeners is gone.
    fn depart(&self, topics: &mut Topics, entry: &Arc<Entry>, subscription: Option<SubscriptionId>) {
        let mut state = entry.lock();
        if let Some(subscription) = subscription {
            state.remove(subscription);
        }
        if state.has_interest() {
            return;
        }
        if state.has_source {
            if state.phase == Phase::Live {
                state.linger();
            }
            entry.interest.notify_one();
        } else {
            topics.remove(&entry.key);
        }
    }

    /// Lets a connection in, unless the service is shutting down. Either way it is served until
    /// [`end_serving`](Self::end_serving).
    ///
    /// `announce` tells its shard, before anybody else can have something to say to it.
    pub(crate) fn enter(&self, connection: &Arc<Connection>, announce: impl FnOnce()) {
        let mut connections = self.connections_lock();
        connections.served += 1;
        if connections.is_shutting_down {
            connection.note_end(CloseReason::GoingAway);
        } else {
            connections.open.insert(connection.id, Arc::clone(connection));
        }
        announce();
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
            for (key, membership) in held {
                if let Some(entry) = topics.get(&key).cloned() {
                    self.depart(&mut topics, &entry, Some(membership.subscription));
                }
            }
        }
        self.connections_lock().open.remove(&connection.id);
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

    fn topics_lock(&self) -> MutexGuard<'_, Topics> {
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
        state.turn_away(&entry.key, error);
        let is_gone = state.members.is_empty();
        if is_gone {
            topics.remove(&entry.key);
        }
        is_gone
    }

    /// Tells the subscribers that the source failed; `error` says when it starts again.
    pub(crate) fn fail(&self, entry: &Arc<Entry>, error: &Error) {
        let notice = Update::plain(&envelope::error(None, Some(&entry.wire), error));
        let mut state = entry.lock();
        state.phase = Phase::Failed;
        state.snapshot = None;
        entry.deliver(&mut state, &notice);
    }

    /// Ends the topic for all its subscribers, with a notice that says why.
    pub(crate) fn end_topic(&self, entry: &Arc<Entry>, code: &str) {
        let payload = json!({ "code": code, "resubscribe": false }).to_string();
        let notice = Update::plain(&envelope::update("unsubscribed", Some(&entry.wire), false, &payload));
        let mut topics = self.topics_lock();
        let mut state = entry.lock();
        topics.remove(&entry.key);
        for member in state.members.take() {
            member.write(notice.clone());
            member.connection.post(Letter::Conclude(member.subscription));
            member.drop_membership(&entry.key);
        }
        state.turn_away(&entry.key, &source::ended(&entry.key));
    }
}

fn has_ended() -> Error {
    Error::new(ErrorCode::CANCELLED, "the connection has ended")
}

enum Join {
    Done { is_new: bool },
    Pending { pending: Pending, is_new: bool },
}

/// This is a subscription whose topic has yet to come alive. Dropped before that, it leaves nothing behind.
struct Pending {
    answered: oneshot::Receiver<Result<()>>,
    undo: Option<Undo>,
}

struct Undo {
    hub: Hub,
    member: Member,
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
        if let Some(Undo { hub, member, key }) = self.undo.take() {
            hub.withdraw(&member, &key);
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
