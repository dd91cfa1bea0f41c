//! One connection, as its shard sees it: its socket, its outbox, and what is said on it.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::Bytes;

use super::budget::Budget;
use super::inbox::{Address, Bell, Inbox, Letter};
use super::line::Line;
use super::outbox::{Outbox, Piece, Size, Supplies};
use super::socket::Socket;
use crate::close::CloseReason;
use crate::connection::{Conversation, Presence};
use crate::limits::Limits;
use crate::serve::Place;
use crate::update::{Shape, SubscriptionId, Update};
use crate::websocket::{Agreement, Decoder, Event, MessageLimits, OpCode, Role};

/// This is a connection whose handshake is done, on its way to its shard.
pub(crate) struct Newcomer {
    pub(super) socket: Socket,
    /// What was read from the socket behind the handshake.
    pub(super) early: Vec<u8>,
    pub(super) agreement: Option<Agreement>,
    pub(super) presence: Presence,
    pub(super) place: Option<Place>,
}

/// This is one connection: two cache lines with what it takes to write to it, and the rest behind a pointer.
#[repr(align(64))]
pub(super) struct Peer {
    pub(super) address: Address,
    stage: Stage,
    /// Whether there are subscriptions that are not like the others.
    is_special: bool,
    /// Whether a pong waits for the socket.
    owes_pong: bool,
    pub(super) outbox: Outbox,
    socket: Socket,
    talk: Box<Talk>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Open,
    /// The close frame is in the outbox, or written; the peer has some time to close too.
    Closing,
    Gone,
}

struct Talk {
    waker: Waker,
    bell: Arc<Bell>,
    decoder: Decoder,
    conversation: Conversation,
    special: Vec<(SubscriptionId, Special)>,
    /// What the special subscriptions hold back.
    held: Size,
    bytes: Budget,
    controls: Budget,
    /// What was read and not heard yet.
    unread: Vec<u8>,
    /// The answer to the last ping, while the socket is blocked.
    pong: Box<[u8]>,
    reason: CloseReason,
    /// Until when, and how much more is read after our goodbye.
    closing_until: Instant,
    patience: usize,
    _place: Option<Place>,
}

/// This is a subscription that waits for a reply, or wants not every update.
struct Special {
    held: Option<Vec<Bytes>>,
    shape: Option<Shape>,
    /// Whether it has had its last update, and only waits for the reply.
    is_over: bool,
}

/// This is what a shard lends its connections while it turns to them.
pub(super) struct Turn<'a> {
    pub(super) now: Instant,
    pub(super) is_behind: bool,
    pub(super) inbox: &'a Arc<Inbox>,
    pub(super) limits: &'a Limits,
    pub(super) supplies: &'a mut Supplies,
    pub(super) buffer: &'a mut [u8],
    /// When the shard has to look after time limits at the latest.
    pub(super) wake_at: &'a mut Option<Instant>,
}

impl Turn<'_> {
    fn expect(&mut self, at: Option<Instant>) {
        *self.wake_at = [*self.wake_at, at].into_iter().flatten().min();
    }
}

/// These are updates that follow one another to the same subscribers, also as one piece.
pub(super) struct Batch<'a> {
    pub(super) updates: &'a [Update],
    pub(super) joined: Piece,
}

impl Peer {
    pub(super) fn new(address: Address, newcomer: Newcomer, turn: &mut Turn<'_>) -> Self {
        let Newcomer { socket, early, agreement, presence, place } = newcomer;
        let bell = Bell::new(Arc::clone(turn.inbox), address.slot);
        let limits = MessageLimits { bytes: turn.limits.message_bytes, age: turn.limits.message_age };
        let talk = Talk {
            decoder: Decoder::new(Role::Server, limits).with_deflate(agreement.as_ref()),
            conversation: Conversation::new(presence, turn.now),
            special: Vec::new(),
            held: Size::default(),
            bytes: Budget::new(turn.limits.inbound_burst_bytes, turn.now),
            controls: Budget::new(turn.limits.control_burst, turn.now),
            pong: Box::default(),
            unread: early,
            reason: CloseReason::Lost,
            patience: MAX_BURSTS_OVERHEARD * turn.limits.inbound_burst_bytes as usize,
            closing_until: turn.now,
            _place: place,
            waker: bell.waker(),
            bell,
        };
        let (outbox, talk) = (Outbox::new(agreement), Box::new(talk));
        let mut peer = Self { address, stage: Stage::Open, is_special: false, owes_pong: false, outbox, socket, talk };
        let reason = peer.with_line(turn, |conversation, line| conversation.open(line));
        peer.close_for(reason, turn);
        turn.expect(peer.deadline(turn.limits));
        peer
    }

    /// Whether there is nothing left to do for it.
    pub(super) fn is_gone(&self) -> bool {
        self.stage == Stage::Gone
    }

    /// The end of it.
    pub(super) fn conclude(self) {
        let Talk { conversation, reason, .. } = *self.talk;
        conversation.conclude(reason);
    }

    /// Lets the conversation say something.
    fn with_line<T>(&mut self, turn: &mut Turn<'_>, say: impl FnOnce(&mut Conversation, &mut Line<'_>) -> T) -> T {
        let Self { address, outbox, talk, .. } = self;
        let Turn { now, is_behind, inbox, supplies, .. } = turn;
        let (now, is_behind) = (*now, *is_behind);
        let mut line = Line { now, is_behind, posted: 0, address: *address, inbox, outbox, supplies };
        say(&mut talk.conversation, &mut line)
    }

    /// The bell has rung: reads what has arrived.
    pub(super) fn read(&mut self, turn: &mut Turn<'_>) {
        self.talk.bell.heard();
        self.hear_unread(turn);
        for read in 0..MAX_READS {
            // What has been said so far is written before the end of the stream is looked for.
            let is_answered = read == 0 || turn.inbox.is_quiet() || self.stage == Stage::Closing;
            if !is_answered || !self.talk.unread.is_empty() || self.is_gone() {
                break;
            }
            let read = self.socket.poll_read(&mut Context::from_waker(&self.talk.waker), turn.buffer);
            let count = match read {
                Poll::Pending => return,
                Poll::Ready(Ok(0)) => {
                    self.flush(turn);
                    return self.lose();
                }
                Poll::Ready(Err(_)) => return self.lose(),
                Poll::Ready(Ok(count)) => count,
            };
            match self.stage {
                Stage::Open => self.take(count, turn),
                Stage::Closing => self.overhear(count),
                Stage::Gone => {}
            }
            if self.is_gone() {
                return;
            }
            if count == turn.buffer.len() {
                break;
            }
        }
        // There may be more, but the others have waited.
        self.talk.bell.ring();
    }

    /// Nothing that comes after our goodbye is looked at. It is read all the same, or a reset could destroy the close
    /// frame on its way.
    fn overhear(&mut self, count: usize) {
        match self.talk.patience.checked_sub(count) {
            Some(left) => self.talk.patience = left,
            None => self.lose(),
        }
    }

    /// The socket has ended or is broken.
    fn lose(&mut self) {
        if self.stage == Stage::Open {
            self.talk.conversation.leave();
        }
        self.stage = Stage::Gone;
    }

    /// Goes on with what was read before.
    fn hear_unread(&mut self, turn: &mut Turn<'_>) {
        if self.talk.unread.is_empty() || self.stage != Stage::Open {
            return;
        }
        let mut unread = std::mem::take(&mut self.talk.unread);
        let count = unread.len().min(turn.buffer.len());
        turn.buffer[..count].copy_from_slice(&unread[..count]);
        self.hear(count, turn);
        if self.stage == Stage::Open {
            unread.drain(..count);
            self.talk.unread.append(&mut unread);
        }
    }

    /// Takes the first `count` bytes of the buffer, if the client may send as much.
    fn take(&mut self, count: usize, turn: &mut Turn<'_>) {
        let Limits { inbound_bytes_per_second, inbound_burst_bytes, .. } = *turn.limits;
        if self.talk.bytes.spend(count, inbound_bytes_per_second, inbound_burst_bytes, turn.now) {
            self.hear(count, turn);
        } else {
            self.close(CloseReason::Flooded("too many bytes"), turn);
        }
    }

    /// Reads the events in the first `count` bytes of the buffer, or some of them: one client's messages are not to hold
    /// up the others, and their answers are written before they become many.
    fn hear(&mut self, count: usize, turn: &mut Turn<'_>) {
        let Self { address, outbox, talk, socket, owes_pong, .. } = self;
        let Talk { decoder, conversation, bytes, controls, pong, waker, held, .. } = &mut **talk;
        let Turn { now, is_behind, inbox, limits, supplies, buffer, .. } = turn;
        let (now, is_behind) = (*now, *is_behind);
        let mut line = Line { now, is_behind, posted: 0, address: *address, inbox, outbox, supplies };
        let mut events = decoder.read(&mut buffer[..count]);
        let mut heard = 0;
        let reason = loop {
            if line.outbox.is_large() {
                match line.outbox.poll_flush(socket, &mut Context::from_waker(waker), line.supplies, now) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(_)) => break Some(CloseReason::Lost),
                    Poll::Pending if line.outbox.is_full(*held, limits) => break Some(CloseReason::TooSlow),
                    Poll::Pending => {}
                }
            }
            if heard == MAX_EVENTS || line.posted > MAX_POSTED_BYTES {
                break None;
            }
            heard += 1;
            let event = match events.next() {
                Ok(Some(event)) => event,
                Ok(None) => break None,
                Err(error) => break line.close(error.into()),
            };
            let is_control = matches!(event, Event::Ping(_) | Event::Pong(_));
            if is_control && !controls.spend(1, limits.control_frames_per_second, limits.control_burst, now) {
                break line.close(CloseReason::Flooded("too many control frames"));
            }
            let reason = match event {
                Event::Text(text) => {
                    // What was inflated costs as much as if it had come as it is.
                    let cost = if line.outbox.is_compressed() { text.len() } else { 0 };
                    if bytes.spend(cost, limits.inbound_bytes_per_second, limits.inbound_burst_bytes, now) {
                        conversation.text(text, &mut line)
                    } else {
                        break line.close(CloseReason::Flooded("too many bytes"));
                    }
                }
                Event::Binary(_) => conversation.binary(&mut line),
                Event::Ping(payload) => {
                    conversation.heard(now);
                    if line.outbox.is_blocked() {
                        *pong = payload.into();
                        *owes_pong = true;
                    } else {
                        line.outbox.append_frame(OpCode::Pong, payload, line.supplies);
                    }
                    None
                }
                Event::Pong(_) => {
                    conversation.heard(now);
                    None
                }
                Event::Close(close) => {
                    let (code, reason) = (close.code.unwrap_or(1005), close.reason.to_owned());
                    break line.close(CloseReason::Left { code, reason });
                }
            };
            if reason.is_some() {
                break reason;
            }
        };
        talk.unread = events.unread().to_vec();
        if !talk.unread.is_empty() {
            talk.bell.ring();
        }
        let is_unfinished = !talk.decoder.is_idle();
        if reason.is_none() && is_unfinished {
            // It begins to age when it is looked at first.
            let _ = talk.decoder.check_age(turn.now);
            turn.expect(Some(turn.now + turn.limits.message_age));
        }
        self.close_for(reason, turn);
    }

    /// Writes updates to one of its subscriptions.
    pub(super) fn deliver(&mut self, subscription: SubscriptionId, batch: &Batch<'_>, turn: &mut Turn<'_>) {
        if self.stage != Stage::Open {
            return;
        }
        if self.is_special && self.special(subscription).is_some() {
            batch.updates.iter().for_each(|update| self.deliver_special(subscription, update, turn));
        } else if self.outbox.is_compressed() {
            batch.updates.iter().for_each(|update| self.outbox.append_update(update, turn.supplies));
        } else {
            self.outbox.append_shared(batch.joined, turn.supplies);
        }
        self.relieve(turn);
    }

    fn special(&mut self, subscription: SubscriptionId) -> Option<&mut Special> {
        self.talk.special.iter_mut().find(|(of, _)| *of == subscription).map(|(_, special)| special)
    }

    fn deliver_special(&mut self, subscription: SubscriptionId, update: &Update, turn: &mut Turn<'_>) {
        let agreement = self.outbox.agreement();
        let Some(special) = self.special(subscription) else { return };
        if special.is_over || !update.suits(special.shape.as_ref()) {
            return;
        }
        match &mut special.held {
            Some(held) => {
                let frame = update.frame.frame(agreement.as_ref());
                let length = frame.len();
                held.push(frame);
                self.talk.held.frames += 1;
                self.talk.held.bytes += length;
            }
            None => self.outbox.append_update(update, turn.supplies),
        }
    }

    /// Does something that was posted for this connection.
    pub(super) fn receive(&mut self, letter: Letter, turn: &mut Turn<'_>) {
        if self.stage != Stage::Open {
            return;
        }
        let reason = match letter {
            Letter::Text(frame, _counted) => {
                self.outbox.append_prepared(&frame, turn.supplies);
                None
            }
            Letter::Update(subscription, update) => {
                if self.special(subscription).is_some() {
                    self.deliver_special(subscription, &update, turn);
                } else {
                    self.outbox.append_update(&update, turn.supplies);
                }
                None
            }
            Letter::Open { subscription, is_held, shape } => {
                let special = Special { held: is_held.then(Vec::new), shape, is_over: false };
                self.talk.special.push((subscription, special));
                self.is_special = true;
                None
            }
            Letter::Reshape(subscription, shape) => {
                self.reshape(subscription, shape);
                None
            }
            Letter::Forget(subscription) => {
                self.forget(subscription);
                None
            }
            Letter::Conclude(subscription) => {
                match self.special(subscription) {
                    Some(special) if special.held.is_some() => special.is_over = true,
                    _ => self.forget(subscription),
                }
                None
            }
            Letter::Release(terminal, subscriptions) => {
                if !terminal.is_empty() {
                    self.outbox.append_text(&terminal, turn.supplies);
                }
                subscriptions.into_iter().for_each(|subscription| self.let_flow(subscription, turn));
                None
            }
            Letter::Finished(ticket, outcome) => {
                self.with_line(turn, |conversation, line| conversation.finished(ticket, outcome, line))
            }
            Letter::End => self.with_line(turn, Conversation::end),
            Letter::Close(reason) => Some(reason),
        };
        self.close_for(reason, turn);
        self.relieve(turn);
    }

    /// Gives a subscription another shape, for the updates from now on.
    fn reshape(&mut self, subscription: SubscriptionId, shape: Option<Shape>) {
        match self.special(subscription) {
            Some(special) => special.shape = shape,
            None if shape.is_some() => {
                self.talk.special.push((subscription, Special { held: None, shape, is_over: false }));
                self.is_special = true;
            }
            None => {}
        }
    }

    fn forget(&mut self, subscription: SubscriptionId) {
        let Some(at) = self.talk.special.iter().position(|(of, _)| *of == subscription) else { return };
        let (_, special) = self.talk.special.swap_remove(at);
        special.held.into_iter().flatten().for_each(|frame| self.unhold(&frame));
        self.is_special = !self.talk.special.is_empty();
    }

    fn unhold(&mut self, frame: &Bytes) {
        self.talk.held.frames -= 1;
        self.talk.held.bytes -= frame.len();
    }

    /// Writes what a subscription has held back, and holds back nothing more.
    fn let_flow(&mut self, subscription: SubscriptionId, turn: &mut Turn<'_>) {
        let Some(special) = self.special(subscription) else { return };
        let held = special.held.take().unwrap_or_default();
        let is_plain = special.shape.is_none() || special.is_over;
        for frame in held {
            self.unhold(&frame);
            self.outbox.append(&frame, turn.supplies);
        }
        if is_plain {
            self.forget(subscription);
        }
    }

    /// Writes at once what would become too much until the end of the turn.
    fn relieve(&mut self, turn: &mut Turn<'_>) {
        if self.outbox.is_large() {
            self.flush(turn);
        } else if self.is_special && self.outbox.is_full(self.talk.held, turn.limits) {
            self.close(CloseReason::TooSlow, turn);
        }
    }

    /// The end of a turn: writes what it has added.
    pub(super) fn flush(&mut self, turn: &mut Turn<'_>) {
        if self.is_gone() {
            return;
        }
        let Self { outbox, socket, talk, .. } = self;
        let flushed = outbox.poll_flush(socket, &mut Context::from_waker(&talk.waker), turn.supplies, turn.now);
        match flushed {
            Poll::Ready(Ok(())) => self.flushed(turn),
            Poll::Ready(Err(_)) => self.lose(),
            Poll::Pending => {
                turn.expect(self.outbox.deadline(turn.limits));
                if self.stage == Stage::Open && self.outbox.is_full(self.talk.held, turn.limits) {
                    self.close(CloseReason::TooSlow, turn);
                }
            }
        }
    }

    /// The socket has taken everything.
    fn flushed(&mut self, turn: &mut Turn<'_>) {
        if self.stage == Stage::Closing {
            // The bell rings when the peer has closed too.
            let _ = self.socket.poll_shutdown(&mut Context::from_waker(&self.talk.waker));
        } else if std::mem::take(&mut self.owes_pong) {
            self.outbox.append_frame(OpCode::Pong, &std::mem::take(&mut self.talk.pong), turn.supplies);
            self.flush(turn);
        }
    }

    /// Time has passed.
    pub(super) fn sweep(&mut self, turn: &mut Turn<'_>) {
        match self.stage {
            Stage::Open => {
                let is_overdue = self.outbox.deadline(turn.limits).is_some_and(|deadline| deadline <= turn.now);
                let reason = if is_overdue {
                    Some(CloseReason::TooSlow)
                } else if let Err(error) = self.talk.decoder.check_age(turn.now) {
                    Some(error.into())
                } else if self.talk.conversation.deadline().is_some_and(|deadline| deadline <= turn.now) {
                    self.with_line(turn, Conversation::tick)
                } else {
                    None
                };
                self.close_for(reason, turn);
            }
            Stage::Closing if self.talk.closing_until <= turn.now => {
                tracing::debug!("the peer did not close in time");
                self.stage = Stage::Gone;
            }
            Stage::Closing | Stage::Gone => {}
        }
        turn.expect(self.deadline(turn.limits));
    }

    /// When [`sweep`](Self::sweep) wants to be called.
    fn deadline(&self, limits: &Limits) -> Option<Instant> {
        match self.stage {
            Stage::Open => {
                let message = self.talk.decoder.unfinished_since().map(|since| since + limits.message_age);
                [self.talk.conversation.deadline(), self.outbox.deadline(limits), message].into_iter().flatten().min()
            }
            Stage::Closing => Some(self.talk.closing_until),
            Stage::Gone => None,
        }
    }

    fn close_for(&mut self, reason: Option<CloseReason>, turn: &mut Turn<'_>) {
        if let Some(reason) = reason {
            self.close(reason, turn);
        }
    }

    /// Says goodbye: nothing but the close frame is written any more. A client that is too slow loses what waits.
    pub(super) fn close(&mut self, reason: CloseReason, turn: &mut Turn<'_>) {
        if self.stage != Stage::Open {
            return;
        }
        if reason == CloseReason::Lost {
            return self.lose();
        }
        self.talk.conversation.leave();
        self.talk.unread = Vec::new();
        self.talk.special.clear();
        self.talk.held = Size::default();
        if reason == CloseReason::TooSlow {
            self.outbox.clear();
        }
        self.outbox.append_close(&reason, turn.supplies);
        self.talk.reason = reason;
        self.talk.closing_until = turn.now + turn.limits.close_timeout;
        self.stage = Stage::Closing;
        turn.expect(Some(self.talk.closing_until));
    }
}

/// How much is read after our goodbye, in bursts that a client may send.
const MAX_BURSTS_OVERHEARD: usize = 4;

/// How many messages and control frames of one connection are heard before the others have their turn.
const MAX_EVENTS: usize = 256;

/// How many bytes the answers to them may have that are posted.
const MAX_POSTED_BYTES: usize = 64 * 1024;

const _: () = assert!(size_of::<Option<Peer>>() == 128, "fan-out is bound by how many cache lines it touches");

/// How often one connection is read before the others have their turn, if each time there was little.
const MAX_READS: usize = 4;
