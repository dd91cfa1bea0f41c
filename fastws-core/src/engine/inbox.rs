//! What a shard is told: the one way to everything that its connections write.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};
use std::task::{Wake, Waker};

use futures_util::task::AtomicWaker;

use super::peer::Newcomer;
use super::sync::{AtomicBool, Mutex, MutexGuard};
use crate::close::CloseReason;
use crate::handler::Outcome;
use crate::limits::Limits;
use crate::session::Ticket;
use crate::update::{Shape, SubscriptionId, Update};
use crate::websocket::Prepared;

/// This is where a connection lives: its place in its shard. A place that is used again has another generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(super) slot: u32,
    pub(super) generation: u32,
}

/// This is one subscriber of a topic, as its shard finds it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listener {
    pub(crate) address: Address,
    pub(crate) subscription: SubscriptionId,
}

/// This is something for a shard to do. Posts are worked off in the order in which they came, so that each client sees
/// replies and updates in one order.
pub(crate) enum Post {
    /// Serve a new connection.
    Enter(Address, Box<Newcomer>),
    /// Write an update to all who listened when it was published.
    Publish { listeners: Arc<Vec<Listener>>, update: Update, counted: Counted },
    /// More was published than one outbox holds before the shard came to it: end those who listened as too slow.
    Overrun(Arc<Vec<Listener>>),
    /// Do something for one connection; nothing if it has gone.
    To(Address, Letter),
}

/// This is something to do for one connection.
pub(crate) enum Letter {
    /// Write a message that belongs to no subscription.
    Text(Prepared, Option<Counted>),
    /// Write a message of one subscription, such as its snapshot.
    Update(SubscriptionId, Update),
    /// A subscription begins that is not like the others: its updates wait for the reply of the request that made it
    /// (`is_held`), or have to suit a shape.
    Open { subscription: SubscriptionId, is_held: bool, shape: Option<Shape> },
    /// A subscription gets another shape.
    Reshape(SubscriptionId, Option<Shape>),
    /// A subscription ends; what it still holds back is dropped.
    Forget(SubscriptionId),
    /// A subscription has had its last update.
    Conclude(SubscriptionId),
    /// Write a request's terminal frame, unless it is empty, and let its subscriptions flow.
    Release(String, Vec<SubscriptionId>),
    /// A request that did not finish in place is done.
    Finished(Ticket, Outcome),
    /// The connection was asked to end.
    End,
    /// Close the connection.
    Close(CloseReason),
}

/// This is the inbox of one shard, and the list of those of its connections whose sockets have something to say.
///
/// Posting never waits. However much is posted, the shard is woken once for each of its turns.
pub(crate) struct Inbox {
    state: Mutex<State>,
    /// Whether there are posts, to be asked without the lock.
    has_posts: AtomicBool,
    pub(super) task: AtomicWaker,
}

#[derive(Default)]
struct State {
    posts: Vec<Post>,
    rung: Vec<u32>,
    /// Whether the shard knows that there is something to do.
    is_awake: bool,
    /// Whether there is a task for this inbox.
    is_served: bool,
    generations: Vec<u32>,
    free: Vec<u32>,
}

impl Inbox {
    pub(super) fn new() -> Self {
        Self { state: Mutex::default(), has_posts: AtomicBool::new(false), task: AtomicWaker::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds something to do, and wakes the shard unless it is awake.
    pub(crate) fn post(&self, post: Post) {
        let mut state = self.lock();
        state.posts.push(post);
        self.has_posts.store(true, Ordering::Release);
        self.wake(state);
    }

    /// Adds something to do for one connection.
    pub(crate) fn send(&self, to: Address, letter: Letter) {
        self.post(Post::To(to, letter));
    }

    fn ring(&self, slot: u32) {
        let mut state = self.lock();
        state.rung.push(slot);
        self.wake(state);
    }

    fn wake(&self, mut state: MutexGuard<'_, State>) {
        let was_awake = std::mem::replace(&mut state.is_awake, true);
        drop(state);
        if !was_awake {
            self.task.wake();
        }
    }

    /// Whether nothing waits that would have to be written before what is written now.
    pub(super) fn is_quiet(&self) -> bool {
        !self.has_posts.load(Ordering::Acquire)
    }

    /// Moves all posts into `posts`, which is empty.
    pub(super) fn take_posts(&self, posts: &mut Vec<Post>) {
        if !self.is_quiet() {
            let mut state = self.lock();
            std::mem::swap(&mut state.posts, posts);
            self.has_posts.store(false, Ordering::Release);
        }
    }

    /// Moves the connections that rang into `rung`, which is empty.
    pub(super) fn take_rung(&self, rung: &mut Vec<u32>) {
        std::mem::swap(&mut self.lock().rung, rung);
    }

    /// Lets the shard rest if there is nothing to do; says whether there is not.
    pub(super) fn rest(&self) -> bool {
        let mut state = self.lock();
        let is_done = state.posts.is_empty() && state.rung.is_empty();
        state.is_awake = !is_done;
        is_done
    }

    /// A place for a new connection. Until it is vacated, the shard does not retire.
    pub(super) fn assign(&self) -> Address {
        let mut state = self.lock();
        let slot = state.free.pop().unwrap_or_else(|| {
            state.generations.push(0);
            u32::try_from(state.generations.len() - 1).expect("there are fewer connections than 2^32")
        });
        Address { slot, generation: state.generations[slot as usize] }
    }

    /// Whether a task has to be started that serves this inbox; whoever is told so starts it. It is asked after the new
    /// connection was posted, so that a task that goes meanwhile cannot take it along unseen.
    pub(super) fn claim(&self) -> bool {
        !std::mem::replace(&mut self.lock().is_served, true)
    }

    /// How many connections live here, or are on their way.
    pub(super) fn connections(&self) -> usize {
        let state = self.lock();
        state.generations.len() - state.free.len()
    }

    /// Takes a place back.
    pub(super) fn vacate(&self, slot: u32) {
        self.lock().vacate(slot);
    }

    /// Ends the task of a shard without connections, unless a new one is on its way; says whether it ends.
    pub(super) fn retire(&self) -> bool {
        let state = self.lock();
        let is_empty = state.free.len() == state.generations.len();
        if is_empty {
            // Whatever was posted was for connections that have gone.
            drop(self.stop(state));
        }
        is_empty
    }

    /// The task has gone with the runtime that it ran on, and its connections with it. So do those that were on their way
    /// to it.
    pub(super) fn abandon(&self) {
        for post in self.stop(self.lock()) {
            let arriving = if let Post::Enter(address, _) = &post { Some(address.slot) } else { None };
            drop(post);
            arriving.into_iter().for_each(|slot| self.vacate(slot));
        }
    }

    /// Nobody serves this inbox any more. The posts are to be dropped without the lock: that may run the application's
    /// code, and post again.
    fn stop(&self, mut state: MutexGuard<'_, State>) -> Vec<Post> {
        (state.is_served, state.is_awake) = (false, false);
        state.rung.clear();
        self.has_posts.store(false, Ordering::Release);
        std::mem::take(&mut state.posts)
    }
}

impl State {
    fn vacate(&mut self, slot: u32) {
        self.generations[slot as usize] = self.generations[slot as usize].wrapping_add(1);
        self.free.push(slot);
    }
}

impl std::fmt::Debug for Inbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbox").field("posts", &self.lock().posts.len()).finish_non_exhaustive()
    }
}

/// This is what one topic has posted to one shard, or the application to one connection, and the shard has not come to
/// yet. It has the bounds of an outbox.
#[derive(Clone, Debug, Default)]
pub(crate) struct Backlog(Arc<Size>);

#[derive(Debug, Default)]
struct Size {
    frames: AtomicUsize,
    bytes: AtomicUsize,
}

impl Backlog {
    /// Counts a frame, for as long as what is returned lives; `None` when there is no room for it.
    pub(crate) fn count(&self, bytes: usize, limits: &Limits) -> Option<Counted> {
        let Size { frames, bytes: total } = &*self.0;
        let before = (frames.fetch_add(1, Ordering::Relaxed), total.fetch_add(bytes, Ordering::Relaxed));
        let counted = Counted { backlog: self.clone(), bytes };
        let has_room = before.0 < limits.outbox_frames && (before.0 == 0 || before.1 + bytes <= limits.outbox_bytes);
        has_room.then_some(counted)
    }
}

/// This is a frame that counts.
#[derive(Debug)]
pub(crate) struct Counted {
    backlog: Backlog,
    bytes: usize,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.backlog.0.frames.fetch_sub(1, Ordering::Relaxed);
        self.backlog.0.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// This wakes a shard for one of its sockets.
pub(super) struct Bell {
    inbox: Arc<Inbox>,
    slot: u32,
    is_rung: AtomicBool,
}

impl Bell {
    pub(super) fn new(inbox: Arc<Inbox>, slot: u32) -> Arc<Self> {
        Arc::new(Self { inbox, slot, is_rung: AtomicBool::new(false) })
    }

    /// The shard has heard it, and looks at the socket now.
    pub(super) fn heard(&self) {
        // Whatever rings from now on is seen by the look at the socket, or rings again.
        self.is_rung.swap(false, Ordering::AcqRel);
    }

    pub(super) fn ring(&self) {
        if !self.is_rung.swap(true, Ordering::AcqRel) {
            self.inbox.ring(self.slot);
        }
    }

    pub(super) fn waker(self: &Arc<Self>) -> Waker {
        Arc::clone(self).into()
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ring();
    }
}

/// A model of the shard and of those who post to it: shuttle tries many orders of their steps, and finds a shard that
/// sleeps while there is something to do.
#[cfg(all(test, feature = "shuttle"))]
mod model {
    use shuttle::sync::{Condvar, Mutex};
    use shuttle::thread;

    use super::*;

    const ORDERS: usize = 20_000;

    /// The task of the shard, as its runtime sees it.
    #[derive(Default)]
    struct Task {
        is_woken: Mutex<bool>,
        woken: Condvar,
    }

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            *self.is_woken.lock().expect("nobody panics") = true;
            self.woken.notify_one();
        }
    }

    impl Task {
        fn sleep(&self) {
            let mut is_woken = self.is_woken.lock().expect("nobody panics");
            while !std::mem::take(&mut *is_woken) {
                is_woken = self.woken.wait(is_woken).expect("nobody panics");
            }
        }
    }

    /// Takes turns as a shard does, until `enough` says so of all posts and rings so far.
    fn serve(inbox: &Inbox, mut enough: impl FnMut(&[Post], &[u32]) -> bool) {
        let task = Arc::new(Task::default());
        let waker = Waker::from(Arc::clone(&task));
        let (mut posts, mut rung) = (Vec::new(), Vec::new());
        loop {
            inbox.task.register(&waker);
            loop {
                inbox.take_posts(&mut posts);
                inbox.take_rung(&mut rung);
                if enough(&posts, &rung) {
                    return;
                }
                posts.clear();
                rung.clear();
                if inbox.rest() {
                    break;
                }
            }
            task.sleep();
        }
    }

    /// Serves as a shard does that ends with its last connection. Each post is a connection that comes and goes.
    fn serve_until_retired(inbox: &Inbox, served: &Mutex<u32>) {
        let task = Arc::new(Task::default());
        let waker = Waker::from(Arc::clone(&task));
        let mut posts = Vec::new();
        loop {
            inbox.task.register(&waker);
            inbox.take_posts(&mut posts);
            for post in posts.drain(..) {
                let Post::To(address, _) = post else { continue };
                *served.lock().expect("nobody panics") += 1;
                inbox.vacate(address.slot);
            }
            if inbox.rest() {
                if inbox.retire() {
                    return;
                }
                task.sleep();
            }
        }
    }

    #[test]
    fn whoever_comes_as_the_shard_retires_is_served() {
        shuttle::check_random(
            || {
                let (inbox, served) = (Arc::new(Inbox::new()), Arc::new(Mutex::new(0)));
                let comers: Vec<_> = (0..3)
                    .map(|_| {
                        let (inbox, served) = (Arc::clone(&inbox), Arc::clone(&served));
                        thread::spawn(move || {
                            let address = inbox.assign();
                            inbox.send(address, Letter::End);
                            if inbox.claim() {
                                serve_until_retired(&inbox, &served);
                            }
                        })
                    })
                    .collect();
                comers.into_iter().for_each(|comer| comer.join().expect("nobody panics"));
                assert_eq!(*served.lock().expect("nobody panics"), 3);
                assert_eq!(inbox.connections(), 0);
            },
            ORDERS,
        );
    }

    fn nobody() -> Address {
        Address { slot: 0, generation: 0 }
    }

    #[test]
    fn whatever_is_posted_is_worked_off_in_the_order_of_each_poster() {
        shuttle::check_random(
            || {
                let inbox = Arc::new(Inbox::new());
                let posters: Vec<_> = (0..2_u64)
                    .map(|poster| {
                        let inbox = Arc::clone(&inbox);
                        thread::spawn(move || {
                            for n in 0..3 {
                                inbox.send(nobody(), Letter::Forget(SubscriptionId(poster * 10 + n)));
                            }
                        })
                    })
                    .collect();
                let mut next = [0, 0];
                serve(&inbox, |posts, _| {
                    for post in posts {
                        let Post::To(_, Letter::Forget(SubscriptionId(n))) = post else { continue };
                        let (poster, n) = ((n / 10) as usize, n % 10);
                        assert_eq!(n, next[poster]);
                        next[poster] += 1;
                    }
                    next == [3, 3]
                });
                posters.into_iter().for_each(|poster| poster.join().expect("nobody panics"));
            },
            ORDERS,
        );
    }

    #[test]
    fn a_ring_during_the_answer_to_another_is_not_lost() {
        shuttle::check_random(
            || {
                let inbox = Arc::new(Inbox::new());
                let bell = Bell::new(Arc::clone(&inbox), 7);
                let arrived = Arc::new(Mutex::new(0));
                let kernel = {
                    let (bell, arrived) = (Arc::clone(&bell), Arc::clone(&arrived));
                    thread::spawn(move || {
                        for _ in 0..3 {
                            *arrived.lock().expect("nobody panics") += 1;
                            bell.ring();
                        }
                    })
                };
                serve(&inbox, |_, rung| {
                    if rung.is_empty() {
                        return false;
                    }
                    bell.heard();
                    *arrived.lock().expect("nobody panics") == 3
                });
                kernel.join().expect("nobody panics");
            },
            ORDERS,
        );
    }
}
