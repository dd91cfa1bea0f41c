//! One topic that somebody listens to: its subscribers, its snapshot, and where it is in its life.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::audience::{Audience, Member};
use crate::engine::Letter;
use crate::envelope::{self, TopicUpdate};
use crate::error::{Error, Result};
use crate::limits::Limits;
use crate::topic::Topic;
use crate::update::{Seen, SubscriptionId, Update};
use crate::websocket::Prepared;

/// This is a topic that somebody listens to, or is about to.
pub(crate) struct Entry {
    pub(crate) key: Arc<str>,
    pub(crate) wire: Arc<str>,
    /// The topic as clients see it, as JSON.
    wire_json: Box<str>,
    pub(crate) state: Mutex<State>,
    /// Wakes the supervisor when subscribers come or go.
    pub(crate) interest: Notify,
    limits: Arc<Limits>,
}

pub(crate) struct State {
    pub(crate) phase: Phase,
    pub(crate) has_source: bool,
    /// Counts the starts of the source, so that what an earlier one left behind cannot publish.
    pub(crate) start: u64,
    pub(crate) members: Audience,
    pub(crate) waiting: Vec<Waiting>,
    /// Whether a subscriber has ever wanted to see the values.
    pub(crate) has_shapes: bool,
    /// Since when nobody listens, while the source lingers.
    pub(crate) idle_since: Instant,
    /// What a new subscriber begins with: the operation that carries it, and the payload.
    pub(crate) snapshot: Option<Snapshot>,
}

pub(crate) struct Snapshot {
    pub(crate) name: Arc<str>,
    pub(crate) payload: String,
    pub(crate) value: Option<Seen>,
}

pub(crate) struct Waiting {
    pub(crate) member: Member,
    pub(crate) answer: oneshot::Sender<Result<()>>,
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

impl Entry {
    pub(crate) fn new(topic: &Topic, limits: &Arc<Limits>) -> Self {
        Self {
            key: Arc::clone(topic.key()),
            wire: Arc::clone(topic.wire_text()),
            wire_json: envelope::string(topic.wire()).into(),
            state: Mutex::new(State::new()),
            interest: Notify::new(),
            limits: Arc::clone(limits),
        }
    }

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
    pub(crate) fn emit(&self, start: u64, name: &Arc<str>, what: Emission) {
        let mut state = self.lock();
        if state.start != start || !matches!(state.phase, Phase::Starting | Phase::Live | Phase::Lingering) {
            return;
        }
        if state.phase == Phase::Starting {
            self.come_alive(&mut state);
        }
        match what {
            Emission::Ready => {}
            Emission::Update { payload, value } => {
                self.let_in(&mut state);
                self.deliver(&mut state, &self.update(name, false, &payload, Some(&value)));
                if state.snapshot.is_some() {
                    state.snapshot = Some(Snapshot { name: Arc::clone(name), payload, value: Some(value) });
                }
            }
            Emission::Change { payload, value, state: after } if state.snapshot.is_some() => {
                self.deliver(&mut state, &self.update(name, false, &payload, Some(&value)));
                state.snapshot = Some(Snapshot { name: Arc::clone(name), payload: after, value: None });
            }
            // Nobody has the state that a first change would change, so it is told as the state that it leads to.
            Emission::Change { state: payload, .. } => self.reset(&mut state, name, payload, None),
            Emission::Snapshot { payload, value } => self.reset(&mut state, name, payload, Some(value)),
        }
        self.let_in(&mut state);
    }

    /// Tells the present subscribers the whole state.
    fn reset(&self, state: &mut State, name: &Arc<str>, payload: String, value: Option<Seen>) {
        self.deliver(state, &self.update(name, true, &payload, value.as_ref()));
        state.snapshot = Some(Snapshot { name: Arc::clone(name), payload, value });
    }

    /// Publishes what comes from outside of the topic's source; returns how many were reached.
    ///
    /// The value is asked for only if somebody may want to look at it.
    pub(crate) fn publish(&self, name: &Arc<str>, payload: String, value: impl FnOnce() -> Option<Seen>) -> usize {
        let mut state = self.lock();
        let value = if state.has_shapes || state.snapshot.is_some() { value() } else { None };
        let reached = self.deliver(&mut state, &self.update(name, false, &payload, value.as_ref()));
        if let Some(snapshot) = state.snapshot.as_mut().filter(|snapshot| snapshot.name == *name) {
            (snapshot.payload, snapshot.value) = (payload, value);
        }
        reached
    }

    fn come_alive(&self, state: &mut State) {
        if state.has_interest() {
            state.phase = Phase::Live;
        } else {
            state.linger();
        }
        self.interest.notify_one();
    }

    /// Makes subscribers of those who waited.
    fn let_in(&self, state: &mut State) {
        for Waiting { member, answer } in std::mem::take(&mut state.waiting) {
            state.admit(self, member);
            // The request may have been dropped meanwhile; its guard takes the membership back.
            let _ = answer.send(Ok(()));
        }
    }

    /// Publishes to all subscribers; returns how many were reached.
    pub(crate) fn deliver(&self, state: &mut State, update: &Update) -> usize {
        state.members.publish(update, &self.limits)
    }

    fn update(&self, name: &str, is_snapshot: bool, payload: &str, value: Option<&Seen>) -> Update {
        let update = TopicUpdate { name, topic: &self.wire_json, is_snapshot, payload };
        Update { frame: update.write(Prepared::pieces), value: value.cloned(), is_snapshot }
    }
}

/// This is what a source has to say.
pub(crate) enum Emission {
    Ready,
    Snapshot {
        payload: String,
        value: Seen,
    },
    Update {
        payload: String,
        value: Seen,
    },
    /// An update that changes a larger state, and the state that it leads to.
    Change {
        payload: String,
        value: Seen,
        state: String,
    },
}

pub(crate) fn encode(name: &str, value: &impl Serialize) -> Option<String> {
    serde_json::to_string(value)
        .inspect_err(|error| tracing::error!(operation = name, %error, "a published value cannot be JSON"))
        .ok()
}

impl State {
    pub(crate) fn new() -> Self {
        Self {
            phase: Phase::Live,
            has_source: false,
            start: 0,
            members: Audience::default(),
            waiting: Vec::new(),
            has_shapes: false,
            idle_since: Instant::now(),
            snapshot: None,
        }
    }

    pub(crate) fn linger(&mut self) {
        self.phase = Phase::Lingering;
        self.idle_since = Instant::now();
    }

    pub(crate) fn has_interest(&self) -> bool {
        !self.members.is_empty() || !self.waiting.is_empty()
    }

    /// Takes a subscription out, whether it has begun or still waits.
    pub(crate) fn remove(&mut self, subscription: SubscriptionId) {
        self.members.remove(subscription);
        self.waiting.retain(|waiting| waiting.member.subscription != subscription);
    }

    /// Makes a subscriber, beginning with the snapshot if there is one. Not if it has left, nor a second time.
    pub(crate) fn admit(&mut self, entry: &Entry, member: Member) {
        {
            let mut memberships = member.connection.memberships();
            match memberships.topics.get_mut(&entry.key) {
                Some(held) if held.subscription == member.subscription && held.is_pending => held.is_pending = false,
                _ => return,
            }
        }
        if let Some(Snapshot { name, payload, value }) = &self.snapshot {
            let first = entry.update(name, true, payload, value.as_ref());
            member.write(first);
        }
        self.members.add(&member);
    }

    /// Answers those who wait with an error, and leaves nothing of them behind.
    pub(crate) fn turn_away(&mut self, key: &Arc<str>, error: &Error) {
        for Waiting { member, answer } in std::mem::take(&mut self.waiting) {
            if member.drop_membership(key) {
                member.connection.post(Letter::Forget(member.subscription));
            }
            // The subscriber may have gone meanwhile; then nobody needs the answer.
            let _ = answer.send(Err(error.share()));
        }
    }
}
