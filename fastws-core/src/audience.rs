//! The subscribers of one topic, shard by shard.

use std::collections::HashMap;
use std::sync::Arc;

use crate::client::Connection;
use crate::engine::{Backlog, Inbox, Letter, Listener, Post};
use crate::limits::Limits;
use crate::update::{SubscriptionId, Update};

/// These are the subscribers of one topic. For each shard they are a dense list, which a publication takes along as it is
/// at that moment: whoever joins or leaves later makes a new one.
#[derive(Default)]
pub(crate) struct Audience {
    members: HashMap<SubscriptionId, Seat>,
    rows: Vec<Row>,
}

/// This is one subscription of one connection.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) connection: Arc<Connection>,
    pub(crate) subscription: SubscriptionId,
}

struct Seat {
    connection: Arc<Connection>,
    /// Which row, and where in it.
    row: u32,
    at: u32,
}

/// These are the subscribers on one shard.
struct Row {
    inbox: Arc<Inbox>,
    listeners: Arc<Vec<Listener>>,
    backlog: Backlog,
    /// Whether more was published than the shard could take: then these subscribers are being ended, and others begin a
    /// row of their own.
    is_overrun: bool,
}

impl Audience {
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(crate) fn add(&mut self, member: &Member) {
        let (inbox, address) = member.connection.place();
        let suits = |row: &Row| Arc::ptr_eq(&row.inbox, inbox) && !row.is_overrun;
        let row = self.rows.iter().position(suits).unwrap_or_else(|| {
            self.rows.push(Row::new(Arc::clone(inbox)));
            self.rows.len() - 1
        });
        let listeners = Arc::make_mut(&mut self.rows[row].listeners);
        let at = u32::try_from(listeners.len()).expect("there are fewer subscribers than 2^32");
        listeners.push(Listener { address, subscription: member.subscription });
        let row = u32::try_from(row).expect("there are fewer shards than 2^32");
        let seat = Seat { connection: Arc::clone(&member.connection), row, at };
        self.members.insert(member.subscription, seat);
    }

    pub(crate) fn remove(&mut self, subscription: SubscriptionId) {
        let Some(Seat { row, at, .. }) = self.members.remove(&subscription) else { return };
        let row = &mut self.rows[row as usize];
        let listeners = Arc::make_mut(&mut row.listeners);
        listeners.swap_remove(at as usize);
        if let Some(moved) = listeners.get(at as usize) {
            self.members.get_mut(&moved.subscription).expect("every listener has its seat").at = at;
        }
        row.is_overrun &= !row.listeners.is_empty();
    }

    /// Takes all members out.
    pub(crate) fn take(&mut self) -> Vec<Member> {
        self.rows.clear();
        let members = std::mem::take(&mut self.members).into_iter();
        members.map(|(subscription, seat)| Member { connection: seat.connection, subscription }).collect()
    }

    /// Publishes to everybody; returns how many were reached. Each shard is woken at most once, whatever its subscribers.
    pub(crate) fn publish(&mut self, update: &Update, limits: &Limits) -> usize {
        self.rows.iter_mut().map(|row| row.publish(update, limits)).sum()
    }
}

impl Row {
    fn new(inbox: Arc<Inbox>) -> Self {
        Self { inbox, listeners: Arc::default(), backlog: Backlog::default(), is_overrun: false }
    }

    fn publish(&mut self, update: &Update, limits: &Limits) -> usize {
        if self.listeners.is_empty() || self.is_overrun {
            return 0;
        }
        let listeners = Arc::clone(&self.listeners);
        let Some(counted) = self.backlog.count(update.frame.len(), limits) else {
            self.is_overrun = true;
            self.inbox.post(Post::Overrun(listeners));
            return 0;
        };
        self.inbox.post(Post::Publish { listeners, update: update.clone(), counted });
        self.listeners.len()
    }
}

impl Member {
    /// Writes to this subscriber alone.
    pub(crate) fn write(&self, update: Update) {
        self.connection.post(Letter::Update(self.subscription, update));
    }

    /// Takes the topic from the connection's list, if it is still this subscription's; says so.
    pub(crate) fn drop_membership(&self, key: &Arc<str>) -> bool {
        let mut memberships = self.connection.memberships();
        let is_ours = memberships.topics.get(key).is_some_and(|held| held.subscription == self.subscription);
        if is_ours {
            memberships.topics.remove(key);
        }
        is_ours
    }
}
