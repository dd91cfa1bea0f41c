//! One connection, as the rest of the server sees it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::SystemTime;

use uuid::Uuid;

use crate::close::CloseReason;
use crate::engine::{Address, Backlog, Inbox, Letter};
use crate::error::{Error, Result};
use crate::hub::Hub;
use crate::limits::Limits;
use crate::operation::Published;
use crate::topic::Topic;
use crate::update::{Shape, SubscriptionId};
use crate::websocket::Prepared;

/// This is a connection: where it lives, what it subscribed to, and why it is to end.
pub(crate) struct Connection {
    pub(crate) id: Uuid,
    pub(crate) opened: SystemTime,
    inbox: Arc<Inbox>,
    address: Address,
    backlog: Backlog,
    memberships: Mutex<Memberships>,
    ending: OnceLock<CloseReason>,
}

/// This is what a connection is subscribed to, or about to be.
#[derive(Default)]
pub(crate) struct Memberships {
    pub(crate) topics: BTreeMap<Arc<str>, Membership>,
    pub(crate) has_left: bool,
}

#[derive(Clone)]
pub(crate) struct Membership {
    pub(crate) subscription: SubscriptionId,
    pub(crate) wire: Arc<str>,
    /// Whether the topic has yet to come alive.
    pub(crate) is_pending: bool,
}

impl Connection {
    pub(crate) fn new(inbox: Arc<Inbox>, address: Address) -> Self {
        Self {
            id: Uuid::new_v4(),
            opened: SystemTime::now(),
            inbox,
            address,
            backlog: Backlog::default(),
            memberships: Mutex::default(),
            ending: OnceLock::new(),
        }
    }

    /// The shard that it lives on, and its place there.
    pub(crate) fn place(&self) -> (&Arc<Inbox>, Address) {
        (&self.inbox, self.address)
    }

    /// Has something done by its shard, after everything that was posted before.
    pub(crate) fn post(&self, letter: Letter) {
        self.inbox.send(self.address, letter);
    }

    /// Writes a message that belongs to no subscription; says whether the connection still takes messages.
    pub(crate) fn write(&self, frame: Prepared, limits: &Limits) -> bool {
        if self.memberships().has_left || self.ending.get() == Some(&CloseReason::TooSlow) {
            return false;
        }
        let counted = self.backlog.count(frame.len(), limits);
        match counted {
            Some(counted) => self.post(Letter::Text(frame, Some(counted))),
            None => {
                self.end(CloseReason::TooSlow);
                return false;
            }
        }
        true
    }

    pub(crate) fn memberships(&self) -> MutexGuard<'_, Memberships> {
        self.memberships.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the connection to end; the first reason stands.
    pub(crate) fn end(&self, reason: CloseReason) {
        self.note_end(reason);
        self.post(Letter::End);
    }

    /// Notes why the connection is to end, for a post that comes later.
    pub(crate) fn note_end(&self, reason: CloseReason) {
        // Only the first reason counts.
        let _ = self.ending.set(reason);
    }

    pub(crate) fn ending(&self) -> Option<CloseReason> {
        self.ending.get().cloned()
    }

    pub(crate) fn topics(&self) -> Vec<String> {
        let memberships = self.memberships();
        memberships.topics.values().filter(|held| !held.is_pending).map(|held| held.wire.to_string()).collect()
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("id", &self.id).finish_non_exhaustive()
    }
}

/// This is what one request holds back until its reply is on its way: the frames of the subscriptions that it makes, and
/// the end of the connection that it may ask for.
#[derive(Default, Debug)]
pub(crate) struct Hold(Mutex<Held>);

#[derive(Default, Debug)]
struct Held {
    subscriptions: Vec<SubscriptionId>,
    is_released: bool,
    is_polled: bool,
    wants_to_end: bool,
}

impl Hold {
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a subscription, held back if the reply is still to come.
    pub(crate) fn open(&self, connection: &Connection, subscription: SubscriptionId, shape: Option<Shape>) {
        let mut held = self.lock();
        let is_held = !held.is_released;
        if is_held {
            held.subscriptions.push(subscription);
        }
        if is_held || shape.is_some() {
            connection.post(Letter::Open { subscription, is_held, shape });
        }
    }

    /// Hands on what was held back, once `write` has written the reply.
    pub(crate) fn release(&self, write: impl FnOnce(Vec<SubscriptionId>)) {
        let mut held = self.lock();
        held.is_released = true;
        write(std::mem::take(&mut held.subscriptions));
    }

    /// The handler is being polled: what it wishes is done when it has been.
    pub(crate) fn begin_poll(&self) {
        self.lock().is_polled = true;
    }

    pub(crate) fn end_poll(&self) {
        self.lock().is_polled = false;
    }

    /// Keeps the wish to end until the handler has been polled; says whether it is being polled.
    fn wish_to_end(&self) -> bool {
        let mut held = self.lock();
        held.wants_to_end |= held.is_polled;
        held.is_polled
    }

    /// Whether the handler wished to end when it was polled last.
    pub(crate) fn take_wish_to_end(&self) -> bool {
        std::mem::take(&mut self.lock().wants_to_end)
    }

    /// The hold as new, unless somebody still has a handle of it.
    pub(crate) fn again(mut this: Arc<Self>) -> Option<Arc<Self>> {
        *Arc::get_mut(&mut this)? = Self::default();
        Some(this)
    }
}

/// This is a handle to one connection. It is cheap to clone and may outlive the connection; then it does nothing.
///
/// As an argument of an operation it is the connection that the request came from.
#[derive(Clone, Debug)]
pub struct Client {
    pub(crate) connection: Arc<Connection>,
    pub(crate) hub: Hub,
    pub(crate) hold: Option<Arc<Hold>>,
}

impl Client {
    /// What names this connection: a random (version 4) UUID.
    pub fn id(&self) -> Uuid {
        self.connection.id
    }

    /// When it connected.
    pub fn connected_at(&self) -> SystemTime {
        self.connection.opened
    }

    /// The topics that it is subscribed to, as clients see them, sorted.
    pub fn topics(&self) -> Vec<String> {
        self.connection.topics()
    }

    /// The hub that it hangs on.
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Subscribes to a topic and waits until it is live. Subscribing twice is harmless.
    ///
    /// Within a handler the topic's frames wait until the handler's reply is in the outbox.
    ///
    /// # Errors
    /// `too_many_subscriptions`, or what the topic's source failed with; then nothing is left behind.
    pub async fn subscribe(&self, topic: &Topic) -> Result<()> {
        self.subscribe_shaped(topic, None).await
    }

    /// Subscribes to a topic, and gets only those updates of type `T` that `wanted` lets through.
    ///
    /// The first snapshot always comes. Updates of another type are not filtered.
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe).
    pub async fn subscribe_where<T: 'static>(
        &self,
        topic: &Topic,
        wanted: impl FnMut(&T) -> bool + Send + 'static,
    ) -> Result<()> {
        self.subscribe_shaped(topic, Some(Shape::of(wanted))).await
    }

    async fn subscribe_shaped(&self, topic: &Topic, shape: Option<Shape>) -> Result<()> {
        if !self.hub.subscribe(self, topic, shape.clone()).await? {
            self.hub.reshape(&self.connection, topic, shape);
        }
        Ok(())
    }

    /// Subscribes to several topics: all of them, or none.
    ///
    /// # Errors
    /// Which topics failed, and with what; nothing that was not subscribed before is subscribed then.
    pub async fn subscribe_all(&self, topics: &[Topic]) -> std::result::Result<(), Vec<(usize, Error)>> {
        self.join_all(topics, || None).await
    }

    /// Subscribes to several topics, all or none; `shape` makes the filter of each. Lists all that failed.
    pub(crate) async fn join_all(
        &self,
        topics: &[Topic],
        shape: impl Fn() -> Option<Shape>,
    ) -> std::result::Result<(), Vec<(usize, Error)>> {
        let shapes: Vec<_> = topics.iter().map(|_| shape()).collect();
        let joins = topics.iter().zip(&shapes).map(|(topic, shape)| self.hub.subscribe(self, topic, shape.clone()));
        let joined = futures_util::future::join_all(joins).await;
        if joined.iter().all(Result::is_ok) {
            for ((topic, shape), is_new) in topics.iter().zip(shapes).zip(joined) {
                if let Ok(false) = is_new {
                    self.hub.reshape(&self.connection, topic, shape);
                }
            }
            return Ok(());
        }
        let mut failures = Vec::new();
        for (at, joined) in joined.into_iter().enumerate() {
            match joined {
                Ok(is_new) if is_new => drop(self.unsubscribe(&topics[at])),
                Ok(_) => {}
                Err(error) => failures.push((at, error)),
            }
        }
        Err(failures)
    }

    /// Ends all subscriptions, and returns their topics as clients see them.
    pub fn unsubscribe_all(&self) -> Vec<String> {
        let held: Vec<_> =
            self.connection.memberships().topics.iter().map(|(key, held)| (key.clone(), held.wire.clone())).collect();
        held.iter()
            .filter(|(key, _)| self.hub.unsubscribe(&self.connection, key))
            .map(|(_, wire)| wire.to_string())
            .collect()
    }

    /// Ends a subscription; says whether there was one. What is published from now on does not reach the client, and
    /// within a handler nothing of it comes after the reply.
    pub fn unsubscribe(&self, topic: &Topic) -> bool {
        self.hub.unsubscribe(&self.connection, topic.key())
    }

    /// Sends one message to this client alone; says whether the connection still takes messages.
    pub fn send<E: Published>(&self, value: E::Value) -> bool {
        self.hub
            .message::<E>(value)
            .is_some_and(|text| self.connection.write(Prepared::text(&text), &self.hub.0.limits))
    }

    /// Ends the connection, after what is in its outbox has been written.
    ///
    /// `code` is 1000, 1001, 1008, 1011 to 1014, or 3000 to 4999; `reason` is for a person, at most 123 bytes.
    pub fn close(&self, code: u16, reason: impl Into<String>) {
        let reason = CloseReason::application(code, reason);
        let hold = self.hold.as_ref();
        self.connection.note_end(reason);
        if !hold.is_some_and(|hold| hold.wish_to_end()) {
            self.connection.post(Letter::End);
        }
    }
}
