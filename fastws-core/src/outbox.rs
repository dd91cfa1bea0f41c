//! What waits to be written to one client: replies and updates in one bounded queue, so that it sees one order.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message as Frame, Utf8Bytes};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::close::CloseReason;
use crate::limits::Limits;

/// This is one subscription of one connection. A later subscription to the same topic has another id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SubscriptionId(pub(crate) u64);

/// This decides, for one subscriber, whether it gets an update.
pub(crate) type Shape = Box<dyn FnMut(&(dyn Any + Send + Sync)) -> bool + Send>;

/// This is an update on its way to all subscribers of a topic: the same bytes for each.
#[derive(Clone)]
pub(crate) struct Update {
    pub(crate) text: Utf8Bytes,
    /// The value itself, where a subscriber's shape wants to look at it.
    pub(crate) value: Option<Arc<dyn Any + Send + Sync>>,
    /// A snapshot passes every shape.
    pub(crate) is_snapshot: bool,
}

/// This is the queue between everybody who writes to a client and the one who writes to its socket.
///
/// Pushing never waits. A queue that outgrows its limits turns `is_overdue`, and its connection is ended.
pub(crate) struct Outbox {
    queue: Mutex<Queue>,
    changed: Notify,
    /// Says that the client reads too slowly.
    pub(crate) filled: Notify,
    max_frames: usize,
    max_bytes: usize,
    max_age: Duration,
}

#[derive(Default)]
struct Queue {
    frames: VecDeque<Queued>,
    bytes: usize,
    held: usize,
    subscriptions: HashMap<SubscriptionId, Subscription>,
    is_full: bool,
    is_finished: bool,
}

#[derive(Default)]
struct Subscription {
    /// Frames that wait for the reply of the request that subscribed.
    held: Option<Vec<Queued>>,
    shape: Option<Shape>,
}

struct Queued {
    frame: Frame,
    since: Instant,
    of: Option<(SubscriptionId, Update)>,
}

impl Queued {
    fn new(frame: Frame) -> Self {
        Self { frame, since: Instant::now(), of: None }
    }

    fn bytes(&self) -> usize {
        match &self.frame {
            Frame::Text(text) => text.len(),
            Frame::Binary(bytes) | Frame::Ping(bytes) | Frame::Pong(bytes) => bytes.len(),
            Frame::Close(_) => 0,
        }
    }
}

impl Outbox {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            queue: Mutex::default(),
            changed: Notify::new(),
            filled: Notify::new(),
            max_frames: limits.outbox_frames,
            max_bytes: limits.outbox_bytes,
            max_age: limits.outbox_age,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a message that belongs to no subscription.
    pub(crate) fn push(&self, text: impl Into<Utf8Bytes>) {
        let mut queue = self.lock();
        queue.append(Queued::new(Frame::Text(text.into())));
        self.measure(queue);
    }

    /// Puts a control frame in front of everything else.
    pub(crate) fn push_control(&self, frame: Frame) {
        let mut queue = self.lock();
        if !queue.is_finished {
            queue.frames.push_front(Queued::new(frame));
        }
        self.measure(queue);
    }

    /// Makes room for a subscription. While `held`, its updates wait for [`release`](Self::release).
    pub(crate) fn open(&self, subscription: SubscriptionId, held: bool, shape: Option<Shape>) {
        self.lock().subscriptions.insert(subscription, Subscription { held: held.then(Vec::new), shape });
    }

    /// Gives an open subscription another shape.
    pub(crate) fn reshape(&self, subscription: SubscriptionId, shape: Option<Shape>) {
        if let Some(open) = self.lock().subscriptions.get_mut(&subscription) {
            open.shape = shape;
        }
    }

    /// Ends a subscription: none of its frames, queued or to come, is written any more.
    pub(crate) fn forget(&self, subscription: SubscriptionId) {
        let mut queue = self.lock();
        if let Some(ended) = queue.subscriptions.remove(&subscription) {
            for frame in ended.held.into_iter().flatten() {
                queue.bytes -= frame.bytes();
                queue.held -= 1;
            }
        }
        let Queue { frames, bytes, .. } = &mut *queue;
        frames.retain(|queued| {
            let keep = queued.of.as_ref().is_none_or(|(of, _)| *of != subscription);
            if !keep {
                *bytes -= queued.bytes();
            }
            keep
        });
    }

    /// Appends an update, unless its subscription has ended. Says whether it was taken.
    pub(crate) fn push_update(&self, subscription: SubscriptionId, update: &Update) -> bool {
        let mut queue = self.lock();
        if queue.is_finished || queue.is_full {
            return false;
        }
        let queued = Queued {
            frame: Frame::Text(update.text.clone()),
            since: Instant::now(),
            of: Some((subscription, update.clone())),
        };
        let bytes = queued.bytes();
        match queue.subscriptions.get_mut(&subscription) {
            None => return false,
            Some(Subscription { held: Some(held), .. }) => {
                held.push(queued);
                queue.bytes += bytes;
                queue.held += 1;
            }
            Some(_) => queue.append(queued),
        }
        self.measure(queue);
        true
    }

    /// Ends a subscription with a last update; unlike [`forget`](Self::forget), what is queued is still written.
    pub(crate) fn conclude(&self, subscription: SubscriptionId, last: &Update) {
        self.push_update(subscription, last);
        let mut queue = self.lock();
        if queue.subscriptions.get(&subscription).is_some_and(|open| open.held.is_none()) {
            queue.subscriptions.remove(&subscription);
        }
    }

    /// Appends a request's terminal frame, if it has one, and lets the subscriptions that waited for it flow.
    pub(crate) fn release(&self, terminal: Option<String>, subscriptions: &[SubscriptionId]) {
        let mut queue = self.lock();
        if let Some(text) = terminal {
            queue.append(Queued::new(Frame::Text(text.into())));
        }
        for subscription in subscriptions {
            let held = queue.subscriptions.get_mut(subscription).and_then(|open| open.held.take());
            for frame in held.into_iter().flatten() {
                queue.held -= 1;
                queue.bytes -= frame.bytes();
                queue.append(frame);
            }
        }
        self.measure(queue);
    }

    /// Takes nothing more, and writes the close frame last. A client that is too slow loses what is queued.
    pub(crate) fn finish(&self, reason: &CloseReason) {
        let mut queue = self.lock();
        if queue.is_finished {
            return;
        }
        if *reason == CloseReason::TooSlow {
            queue.frames.clear();
        }
        queue.is_full = false;
        let close = CloseFrame { code: reason.code(), reason: reason.sentence().as_ref().into() };
        queue.append(Queued::new(Frame::Close(Some(close))));
        queue.is_finished = true;
        queue.subscriptions.clear();
        drop(queue);
        self.changed.notify_one();
    }

    /// Waits for the next frame to write; `None` after the close frame.
    pub(crate) async fn next(&self) -> Option<Frame> {
        loop {
            match self.take() {
                Taken::Frame(frame) => return Some(frame),
                Taken::Finished => return None,
                Taken::Nothing => self.changed.notified().await,
            }
        }
    }

    /// The next frame, if one is there.
    pub(crate) fn take(&self) -> Taken {
        loop {
            let mut queue = self.lock();
            let Some(queued) = queue.frames.pop_front() else {
                return if queue.is_finished { Taken::Finished } else { Taken::Nothing };
            };
            queue.bytes -= queued.bytes();
            let Some((subscription, update)) = &queued.of else { return Taken::Frame(queued.frame) };
            let Some(shape) = queue.subscriptions.get_mut(subscription).and_then(|open| open.shape.take()) else {
                return Taken::Frame(queued.frame);
            };
            // The shape is the application's code: it runs without the lock.
            drop(queue);
            if self.passes(*subscription, update, shape) {
                return Taken::Frame(queued.frame);
            }
        }
    }

    fn passes(&self, subscription: SubscriptionId, update: &Update, mut shape: Shape) -> bool {
        let wanted = update.value.as_deref().is_none_or(|value| shape(value)) || update.is_snapshot;
        let mut queue = self.lock();
        match queue.subscriptions.get_mut(&subscription) {
            Some(open) => {
                open.shape.get_or_insert(shape);
                wanted
            }
            // It ended meanwhile; this frame was taken before that, and is written before the end is confirmed.
            None => wanted,
        }
    }

    /// When the queue will have waited too long, unless it moves.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let queue = self.lock();
        queue.frames.front().filter(|_| !queue.is_finished).map(|oldest| oldest.since + self.max_age)
    }

    /// Whether something has waited too long.
    pub(crate) fn is_overdue(&self) -> bool {
        self.deadline().is_some_and(|deadline| deadline <= Instant::now())
    }

    /// Notes whether the queue has outgrown its limits, and wakes who writes it. A full queue takes nothing more.
    fn measure(&self, mut queue: MutexGuard<'_, Queue>) {
        if queue.frames.len() + queue.held > self.max_frames || queue.bytes > self.max_bytes {
            queue.is_full = true;
            self.filled.notify_one();
        }
        drop(queue);
        self.changed.notify_one();
    }
}

/// This is what there was to take.
pub(crate) enum Taken {
    Frame(Frame),
    Nothing,
    Finished,
}

impl Queue {
    fn append(&mut self, queued: Queued) {
        if !self.is_finished && !self.is_full {
            self.bytes += queued.bytes();
            self.frames.push_back(queued);
        }
    }
}

impl std::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let queue = self.lock();
        f.debug_struct("Outbox").field("frames", &queue.frames.len()).field("bytes", &queue.bytes).finish_non_exhaustive()
    }
}
