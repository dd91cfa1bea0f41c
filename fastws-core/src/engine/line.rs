//! The way from a conversation to its client.

use std::sync::Arc;
use std::time::Instant;

use super::inbox::{Address, Inbox, Letter};
use super::outbox::{Outbox, Supplies};
use crate::close::CloseReason;
use crate::update::SubscriptionId;
use crate::websocket::{OpCode, Prepared};

/// This is what a conversation writes to. What is written goes straight into the outbox, unless posts wait that came
/// before it: then it is posted behind them.
pub(crate) struct Line<'a> {
    /// The time of this turn.
    pub(crate) now: Instant,
    /// Whether posts wait that the shard has taken out of its inbox.
    pub(super) is_behind: bool,
    /// How many bytes it has posted rather than written.
    pub(super) posted: usize,
    pub(super) address: Address,
    pub(super) inbox: &'a Arc<Inbox>,
    pub(super) outbox: &'a mut Outbox,
    pub(super) supplies: &'a mut Supplies,
}

impl Line<'_> {
    fn is_quiet(&self) -> bool {
        !self.is_behind && self.inbox.is_quiet()
    }

    /// Writes a message.
    pub(crate) fn write(&mut self, text: &str) {
        if self.is_quiet() {
            self.outbox.append_text(text, self.supplies);
        } else {
            self.posted += text.len();
            self.inbox.send(self.address, Letter::Text(Prepared::text(text), None));
        }
    }

    /// Writes a ping.
    pub(crate) fn ping(&mut self) {
        self.outbox.append_frame(OpCode::Ping, &[], self.supplies);
    }

    /// Writes the terminal frame of a request, in pieces, none if it has none; and lets these subscriptions flow.
    pub(crate) fn release(&mut self, terminal: &[&str], subscriptions: Vec<SubscriptionId>) {
        if !subscriptions.is_empty() || !self.is_quiet() {
            let text = terminal.concat();
            self.posted += text.len();
            self.inbox.send(self.address, Letter::Release(text, subscriptions));
        } else if !terminal.is_empty() {
            self.outbox.append_pieces(terminal, self.supplies);
        }
    }

    /// Ends the connection for the reason that it was given, after everything that has been posted.
    pub(crate) fn end(&mut self) {
        self.inbox.send(self.address, Letter::End);
    }

    /// The reason if the connection can be closed at once; otherwise it is closed after what has been posted.
    pub(crate) fn close(&mut self, reason: CloseReason) -> Option<CloseReason> {
        if self.is_quiet() {
            return Some(reason);
        }
        self.inbox.send(self.address, Letter::Close(reason));
        None
    }
}
