//! The engine: bytes between the kernel and conversations, for all connections of a service.
//!
//! A connection lives on one [`shard`](shard::Shard), a task that serves many of them: it reads their sockets into one
//! shared buffer, works off its [inbox](inbox::Inbox), and at the end of each turn writes what has come together for each
//! connection in one go. Publishing posts to the inbox of each shard that has subscribers, whatever their number.
//!
//! | file | is about |
//! |---|---|
//! | `shard` | the task: posts, reads, one flush for each turn, time limits |
//! | `inbox` | what a shard is told, from anywhere |
//! | `peer` | one connection: reading, delivering, closing |
//! | `line` | the way from a conversation to its client |
//! | `outbox` | what waits to be written to one client |
//! | `socket` | TCP, or anything that reads and writes |
//! | `budget` | how much a client may send in a time |
//! | `watchdog` | who blocks a thread |

mod budget;
mod inbox;
mod line;
mod outbox;
mod peer;
mod shard;
mod socket;
mod sync;
pub(crate) mod watchdog;

use std::sync::{Arc, OnceLock};

pub(crate) use inbox::{Address, Backlog, Inbox, Letter, Listener, Post};
pub(crate) use line::Line;
pub(crate) use peer::Newcomer;
pub(crate) use socket::Socket;

use crate::client::Connection;
use crate::connection::Presence;
use crate::serve::Place;
use crate::service::Service;
use crate::websocket::Agreement;

/// These are the shards of a service.
#[derive(Debug, Default)]
pub(crate) struct Engine {
    /// How many there are to be; one for each worker of the runtime if nobody said.
    count: Option<usize>,
    shards: OnceLock<Vec<Arc<Inbox>>>,
}

impl Engine {
    pub(crate) fn new(count: Option<usize>) -> Self {
        Self { count, shards: OnceLock::new() }
    }

    /// Serves a connection on the shard that has the fewest. Call it within a runtime.
    pub(crate) fn adopt(service: &Arc<Service>, socket: Socket, opening: Opening) -> Arc<Connection> {
        let inbox = service.engine.emptiest();
        let address = inbox.assign();
        let connection = Arc::new(Connection::new(Arc::clone(inbox), address));
        let Opening { early, agreement, place } = opening;
        service.hub.enter(&connection, || {
            let presence = Presence::new(Arc::clone(service), Arc::clone(&connection));
            let newcomer = Newcomer { socket, early, agreement, presence, place };
            inbox.post(Post::Enter(address, Box::new(newcomer)));
        });
        if inbox.claim() {
            let shard = shard::Shard::new(Arc::clone(service), Arc::clone(inbox));
            tokio::spawn(tokio::task::unconstrained(shard));
        }
        connection
    }

    fn emptiest(&self) -> &Arc<Inbox> {
        let shards = self.shards.get_or_init(|| {
            let workers = || tokio::runtime::Handle::current().metrics().num_workers();
            let count = self.count.unwrap_or_else(workers).max(1);
            (0..count).map(|_| Arc::new(Inbox::new())).collect()
        });
        shards.iter().min_by_key(|inbox| inbox.connections()).expect("there is at least one shard")
    }
}

/// This is what a handshake leaves.
#[derive(Default)]
pub(crate) struct Opening {
    /// What was read behind it.
    pub(crate) early: Vec<u8>,
    pub(crate) agreement: Option<Agreement>,
    /// The connection's place in the HTTP server.
    pub(crate) place: Option<Place>,
}
