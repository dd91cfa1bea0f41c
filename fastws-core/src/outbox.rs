//! What waits to be written to one client: replies and updates in one bounded queue, so that it sees one order.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
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

/// This decides, for one subscriber, whether it gets an update. It is the application's code, which runs without any
/// lock but its own and may panic.
#[derive(Clone)]
pub(crate) struct Shape(Arc<Mutex<Wants>>);

type Wants = dyn FnMut(&(dyn Any + Send + Sync)) -> bool + Send;

/// This is the value of an update, for shapes to look at.
pub(crate) type Seen = Arc<dyn Any + Send + Sync>;

impl Shape {
    /// Judges values of type `T`, and lets all others pass.
    pub(crate) fn of<T: 'static>(mut wanted: impl FnMut(&T) -> bool + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(move |value: &(dyn Any + Send + Sync)| value.downcast_ref().is_none_or(&mut wanted))))
    }

    fn wants(&self, value: &Seen) -> bool {
        let judge = || (self.0.lock().unwrap_or_else(PoisonError::into_inner))(value.as_ref());
        catch_unwind(AssertUnwindSafe(judge)).unwrap_or_else(|_| {
            tracing::error!("a subscriber's shape panicked; it does not get the update");
            false
        })
    }
}

/// This is an update on its way to all subscribers of a topic: the same bytes for each.
#[derive(Clone)]
pub(crate) struct Update {
    pub(crate) text: Utf8Bytes,
    /// The value itself, for the subscribers' shapes; what has none passes them all.
    pub(crate) value: Option<Seen>,
    /// A shape sees a snapshot, and cannot keep it away.
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
    /// Whether it has had its last update, and only waits for the reply.
    is_over: bool,
}

struct Queued {
    frame: Frame,
    since: Instant,
    of: Option<SubscriptionId>,
    /// What has yet to judge the frame.
    judge: Option<Judge>,
}

struct Judge {
    shape: Shape,
    value: Seen,
    is_snapshot: bool,
}

impl Queued {
    fn new(frame: Frame) -> Self {
        Self { frame, since: Instant::now(), of: None, judge: None }
    }

    fn is_wanted(&self) -> bool {
        self.judge.as_ref().is_none_or(|Judge { shape, value, is_snapshot }| shape.wants(value) || *is_snapshot)
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

    /// Appends a message that belongs to no subscription. Says whether it was taken.
    pub(crate) fn push(&self, text: impl Into<Utf8Bytes>) -> bool {
        let mut queue = self.lock();
        let is_taken = queue.append(Queued::new(Frame::Text(text.into())));
        self.measure(queue);
        is_taken
    }

    /// Puts a control frame in front of everything else. It does not hide for how long the others have waited.
    pub(crate) fn push_control(&self, frame: Frame) {
        let mut queue = self.lock();
        if !queue.is_finished {
            let control = Queued::new(frame);
            let since = queue.frames.front().map_or(control.since, |oldest| oldest.since);
            queue.bytes += control.bytes();
            queue.frames.push_front(Queued { since, ..control });
        }
        self.measure(queue);
    }

    /// Makes room for a subscription. While `held`, its updates wait for [`release`](Self::release).
    pub(crate) fn open(&self, subscription: SubscriptionId, held: bool, shape: Option<Shape>) {
        self.lock()
            .subscriptions
            .insert(subscription, Subscription { held: held.then(Vec::new), shape, is_over: false });
    }

    /// Gives an open subscription another shape, for the updates from now on.
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
            let keep = queued.of != Some(subscription);
            if !keep {
                *bytes -= queued.bytes();
            }
            keep
        });
    }

    /// Appends an update, unless its subscription has ended. Says whether it was taken.
    pub(crate) fn push_update(&self, subscription: SubscriptionId, update: &Update) -> bool {
        let mut queue = self.lock();
        let is_taken = queue.append_update(subscription, update);
        self.measure(queue);
        is_taken
    }

    /// Ends a subscription with a last update; unlike [`forget`](Self::forget), what is queued is still written.
    pub(crate) fn conclude(&self, subscription: SubscriptionId, last: &Update) {
        let mut queue = self.lock();
        queue.append_update(subscription, last);
        match queue.subscriptions.get_mut(&subscription) {
            Some(open) if open.held.is_some() => open.is_over = true,
            _ => drop(queue.subscriptions.remove(&subscription)),
        }
        self.measure(queue);
    }

    /// Appends a request's terminal frame, if it has one, and lets the subscriptions that waited for it flow.
    pub(crate) fn release(&self, terminal: Option<String>, subscriptions: &[SubscriptionId]) {
        let mut queue = self.lock();
        if let Some(text) = terminal {
            queue.append(Queued::new(Frame::Text(text.into())));
        }
        for subscription in subscriptions {
            let Some(open) = queue.subscriptions.get_mut(subscription) else { continue };
            let (held, is_over) = (open.held.take(), open.is_over);
            for frame in held.into_iter().flatten() {
                queue.held -= 1;
                queue.bytes -= frame.bytes();
                // It begins to wait for the client now; until now the client waited for us.
                queue.append(Queued { since: Instant::now(), ..frame });
            }
            if is_over {
                queue.subscriptions.remove(subscription);
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
        // A client that gave no code gets none back: 1005 may not be on the wire (RFC 6455 section 7.4.1).
        let has_code = reason.code() != 1005;
        let close = has_code.then(|| CloseFrame { code: reason.code(), reason: reason.sentence().as_ref().into() });
        queue.append(Queued::new(Frame::Close(close)));
        queue.is_finished = true;
        queue.subscriptions.clear();
        drop(queue);
        self.changed.notify_one();
    }

    /// Takes nothing more and forgets what is queued: the socket is gone.
    pub(crate) fn discard(&self) {
        let mut queue = self.lock();
        *queue = Queue { is_finished: true, ..Queue::default() };
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

    /// The next frame that is wanted, if one is there.
    pub(crate) fn take(&self) -> Taken {
        loop {
            let mut queue = self.lock();
            let Some(queued) = queue.frames.pop_front() else {
                return if queue.is_finished { Taken::Finished } else { Taken::Nothing };
            };
            queue.bytes -= queued.bytes();
            drop(queue);
            if queued.is_wanted() {
                return Taken::Frame(queued.frame);
            }
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
    fn append(&mut self, queued: Queued) -> bool {
        let is_open = !self.is_finished && !self.is_full;
        if is_open {
            self.bytes += queued.bytes();
            self.frames.push_back(queued);
        }
        is_open
    }

    fn append_update(&mut self, subscription: SubscriptionId, update: &Update) -> bool {
        if self.is_finished || self.is_full {
            return false;
        }
        let Some(open) = self.subscriptions.get_mut(&subscription).filter(|open| !open.is_over) else { return false };
        let judged = open.shape.clone().zip(update.value.clone());
        let judge = judged.map(|(shape, value)| Judge { shape, value, is_snapshot: update.is_snapshot });
        let queued = Queued { of: Some(subscription), judge, ..Queued::new(Frame::Text(update.text.clone())) };
        let Some(held) = &mut open.held else { return self.append(queued) };
        self.bytes += queued.bytes();
        self.held += 1;
        held.push(queued);
        true
    }
}

impl std::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let queue = self.lock();
        f.debug_struct("Outbox")
            .field("frames", &queue.frames.len())
            .field("bytes", &queue.bytes)
            .finish_non_exhaustive()
    }
}
