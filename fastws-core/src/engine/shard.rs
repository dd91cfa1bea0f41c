//! A shard: the connections of one worker, and the one task that serves them.
//!
//! ```text
//! posts ─→ outboxes ─┐
//!                    ├─→ flush: one write for each connection
//! reads ─→ replies ──┘
//! ```

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::{Sleep, sleep};

use super::inbox::{Inbox, Listener, Post};
use super::outbox::Supplies;
use super::peer::{Batch, Peer, Turn};
use crate::close::CloseReason;
use crate::service::Service;
use crate::update::Update;

/// This is the task of one shard. It lives as long as it has connections.
pub(super) struct Shard {
    desk: Desk,
    peers: Vec<Option<Peer>>,
    posts: Vec<Post>,
    /// Connections whose sockets have something to say.
    rung: Vec<u32>,
    /// Connections that have something to write, and how far the writing has come.
    listed: Vec<u32>,
    flushed: usize,
    swept_at: Instant,
    timer: Pin<Box<Sleep>>,
    /// Whether it has ended, because nobody needs it.
    is_retired: bool,
}

/// This is what the connections of a shard share.
struct Desk {
    service: Arc<Service>,
    inbox: Arc<Inbox>,
    buffer: Box<[u8]>,
    supplies: Supplies,
    now: Instant,
    wake_at: Option<Instant>,
}

impl Desk {
    /// What a connection is lent.
    fn turn(&mut self, is_behind: bool) -> Turn<'_> {
        Turn {
            now: self.now,
            is_behind,
            inbox: &self.inbox,
            limits: &self.service.rules.limits,
            supplies: &mut self.supplies,
            buffer: &mut self.buffer,
            wake_at: &mut self.wake_at,
        }
    }
}

impl Shard {
    pub(super) fn new(service: Arc<Service>, inbox: Arc<Inbox>) -> Self {
        let now = now();
        let buffer = vec![0; BUFFER_BYTES].into();
        Self {
            desk: Desk { service, inbox, buffer, supplies: Supplies::default(), now, wake_at: None },
            peers: Vec::new(),
            posts: Vec::new(),
            rung: Vec::new(),
            listed: Vec::new(),
            flushed: 0,
            swept_at: now,
            timer: Box::pin(sleep(Duration::ZERO)),
            is_retired: false,
        }
    }

    /// Does what can be done now; says whether there is more, for after other tasks have had their turn. Otherwise
    /// `context` is woken when there is.
    fn turn(&mut self, context: &mut Context<'_>) -> bool {
        self.desk.now = now();
        for _ in 0..MAX_ROUNDS {
            // A shard that is never idle has its time limits looked at all the same.
            if self.sweep_at().is_some_and(|at| at <= self.desk.now) {
                self.sweep();
            }
            // What the last turn left comes first.
            if !self.flush() {
                return true;
            }
            self.take_rung();
            let is_last = self.rung.is_empty();
            self.work(is_last);
            if !is_last {
                self.read();
                // What the handlers have published and answered joins the same write.
                self.work(true);
            }
            if !self.flush() {
                return true;
            }
            if self.rung.is_empty() && self.desk.inbox.rest() && !self.is_time(context) {
                return false;
            }
        }
        true
    }

    /// Works off what was posted. What comes last in the turn can be written while it is at hand.
    fn work(&mut self, is_last: bool) {
        let mut posts = std::mem::take(&mut self.posts);
        self.desk.inbox.take_posts(&mut posts);
        let mut waiting = posts.drain(..).peekable();
        let mut updates = Vec::new();
        while let Some(post) = waiting.next() {
            match post {
                Post::Publish { listeners, update, counted } => {
                    drop(counted);
                    updates.push(update);
                    let next = waiting.peek();
                    let goes_on =
                        matches!(next, Some(Post::Publish { listeners: next, .. }) if Arc::ptr_eq(next, &listeners));
                    if !goes_on {
                        let is_last = is_last && next.is_none() && self.desk.inbox.is_quiet();
                        self.deliver(&listeners, &updates, is_last);
                        updates.clear();
                    }
                }
                Post::To(address, letter) => {
                    let is_behind = waiting.peek().is_some();
                    self.visit(address.slot, is_behind, |peer, turn| {
                        if peer.address == address {
                            peer.receive(letter, turn);
                        }
                    });
                }
                Post::Enter(address, newcomer) => {
                    let slot = address.slot as usize;
                    if self.peers.len() <= slot {
                        self.peers.resize_with(slot + 1, || None);
                    }
                    let is_behind = waiting.peek().is_some();
                    self.peers[slot] = Some(Peer::new(address, *newcomer, &mut self.desk.turn(is_behind)));
                    // The socket has not been asked yet.
                    self.visit(address.slot, is_behind, Peer::read);
                }
                Post::Overrun(listeners) => {
                    for listener in &*listeners {
                        self.visit(listener.address.slot, true, |peer, turn| {
                            if peer.address == listener.address {
                                peer.close(CloseReason::TooSlow, turn);
                            }
                        });
                    }
                }
            }
        }
        drop(waiting);
        self.posts = posts;
    }

    /// Puts updates into the outboxes of all who listened. If nothing else is to come in this turn, the first of them are
    /// written at once, while what it takes is in the cache; the rest after other tasks have had a turn.
    fn deliver(&mut self, listeners: &[Listener], updates: &[Update], is_last: bool) {
        let Self { peers, listed, desk, .. } = self;
        let batch = Batch { updates, joined: desk.supplies.share(updates) };
        let mut turn = desk.turn(true);
        let mut writes = if is_last { MAX_WRITES } else { 0 };
        for Listener { address, subscription } in listeners {
            let Some(place) = peers.get_mut(address.slot as usize) else { continue };
            let Some(peer) = place.as_mut().filter(|peer| peer.address == *address) else { continue };
            peer.deliver(*subscription, &batch, &mut turn);
            if writes > 0 && !peer.outbox.is_listed {
                writes -= 1;
                flush(place, &mut turn);
            } else {
                list(peer, listed);
            }
        }
    }

    /// Asks which sockets rang, unless some that did have not been read.
    fn take_rung(&mut self) {
        if self.rung.is_empty() {
            self.desk.inbox.take_rung(&mut self.rung);
        }
    }

    /// Reads from some of the sockets that rang.
    fn read(&mut self) {
        let count = self.rung.len().min(MAX_RUNG);
        let mut rung = std::mem::take(&mut self.rung);
        for slot in rung.drain(..count) {
            self.visit(slot, false, Peer::read);
        }
        self.rung = rung;
    }

    /// Turns to one connection, if it is there, and notes what it has to write.
    fn visit(&mut self, slot: u32, is_behind: bool, act: impl FnOnce(&mut Peer, &mut Turn<'_>)) {
        let Self { peers, listed, desk, .. } = self;
        let Some(Some(peer)) = peers.get_mut(slot as usize) else { return };
        act(peer, &mut desk.turn(is_behind));
        list(peer, listed);
    }

    /// Writes what the turn has added; `false` when others should have a turn before the rest.
    fn flush(&mut self) -> bool {
        let Self { peers, listed, desk, .. } = self;
        let end = listed.len().min(self.flushed + MAX_WRITES);
        let mut turn = desk.turn(true);
        for slot in &listed[self.flushed..end] {
            flush(&mut peers[*slot as usize], &mut turn);
        }
        self.flushed = end;
        let is_done = end == self.listed.len();
        if is_done {
            self.listed.clear();
            self.flushed = 0;
            self.desk.supplies.forget_pieces();
        }
        is_done
    }

    /// Whether it is time to look at time limits; otherwise the timer wakes `context` then.
    fn is_time(&mut self, context: &mut Context<'_>) -> bool {
        let Some(at) = self.sweep_at() else { return false };
        let at = tokio::time::Instant::from_std(at);
        if self.timer.deadline() != at {
            self.timer.as_mut().reset(at);
        }
        if self.timer.as_mut().poll(context).is_pending() {
            return false;
        }
        self.desk.now = now();
        true
    }

    /// When time limits are to be looked at.
    fn sweep_at(&self) -> Option<Instant> {
        self.desk.wake_at.map(|at| at.max(self.swept_at + SWEEP))
    }

    /// Looks after the time limits of all connections.
    fn sweep(&mut self) {
        (self.desk.wake_at, self.swept_at) = (None, self.desk.now);
        for slot in 0..self.peers.len() {
            let slot = u32::try_from(slot).expect("slots are 32 bits wide");
            self.visit(slot, true, Peer::sweep);
        }
    }
}

/// Writes what one connection has to write, and lets it go if it is gone.
fn flush(place: &mut Option<Peer>, turn: &mut Turn<'_>) {
    let Some(peer) = place else { return };
    peer.outbox.is_listed = false;
    peer.flush(turn);
    if let Some(gone) = place.take_if(|peer| peer.is_gone()) {
        turn.inbox.vacate(gone.address.slot);
        gone.conclude();
    }
}

/// Notes a connection that has something to write, or nothing to live for.
fn list(peer: &mut Peer, listed: &mut Vec<u32>) {
    if !peer.outbox.is_listed && (!peer.outbox.is_empty() || peer.is_gone()) {
        peer.outbox.is_listed = true;
        listed.push(peer.address.slot);
    }
}

impl Future for Shard {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.desk.inbox.task.register(context.waker());
        if self.turn(context) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.is_retired = self.desk.inbox.retire();
        if self.is_retired { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Shard {
    fn drop(&mut self) {
        if self.is_retired {
            // Another may serve the inbox by now.
            return;
        }
        // With its runtime gone, its connections are too; they leave the hub before their places are used again.
        for peer in std::mem::take(&mut self.peers).into_iter().flatten() {
            let slot = peer.address.slot;
            drop(peer);
            self.desk.inbox.vacate(slot);
        }
        self.desk.inbox.abandon();
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// How much is read from a socket at once.
const BUFFER_BYTES: usize = 64 * 1024;
/// How many sockets are read before what they caused is written.
const MAX_RUNG: usize = 256;
/// How many writes there are before other tasks have a turn.
const MAX_WRITES: usize = 1024;
/// How many rounds there are before other tasks have a turn.
const MAX_ROUNDS: usize = 4;
/// How often time limits are looked at, at most.
const SWEEP: Duration = Duration::from_millis(100);
