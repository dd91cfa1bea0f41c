//! The shell around a [`Session`]: it runs the requests of one connection, and says what it has to say through a
//! [`Line`].

use std::future::{poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::client::{Client, Connection, Hold};
use crate::close::CloseReason;
use crate::engine::{Letter, Line, watchdog};
use crate::envelope::Reply;
use crate::error::{Error, ErrorCode};
use crate::extract::Message;
use crate::handler::{BoxFuture, Outcome};
use crate::service::Service;
use crate::session::{Action, Request, Session, Terminal, Ticket};

/// This is a connection's place in the hub. Dropped, for whatever cause, it takes the connection out of everything.
pub(crate) struct Presence {
    service: Arc<Service>,
    pub(crate) connection: Arc<Connection>,
}

impl Presence {
    /// The connection has been counted by the hub's [`enter`](crate::Hub::enter).
    pub(crate) fn new(service: Arc<Service>, connection: Arc<Connection>) -> Self {
        Self { service, connection }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.service.hub.leave(&self.connection);
        self.service.hub.end_serving();
    }
}

/// This is what goes on with one connection, whatever carries its bytes.
pub(crate) struct Conversation {
    presence: Presence,
    client: Client,
    session: Session,
    /// The requests that did not finish in place.
    running: Vec<(Ticket, JoinHandle<()>)>,
    /// What holds back the subscriptions of the requests that run.
    holds: Vec<(Ticket, Arc<Hold>)>,
    was_refused: bool,
}

impl Conversation {
    pub(crate) fn new(presence: Presence, now: Instant) -> Self {
        let Presence { service, connection } = &presence;
        let client = Client { connection: Arc::clone(connection), hub: service.hub.clone(), hold: None };
        let jitter = f64::from(connection.id.as_bytes()[0]) / 255.0;
        let session = Session::new(Arc::clone(&service.rules), Arc::clone(&service.routes), jitter, now);
        let was_refused = connection.ending().is_some();
        let (running, holds) = (Vec::new(), Vec::new());
        Self { client, session, running, holds, was_refused, presence }
    }

    fn service(&self) -> &Arc<Service> {
        &self.presence.service
    }

    /// Begins: the connect hook runs before the first request.
    pub(crate) fn open(&mut self, line: &mut Line<'_>) -> Option<CloseReason> {
        tracing::info!(connection = %self.client.id(), "connection opened");
        match self.client.connection.ending().filter(|_| self.was_refused) {
            Some(reason) => self.session.close(reason),
            None => self.welcome(line),
        }
        self.act(line)
    }

    fn welcome(&mut self, line: &mut Line<'_>) {
        if self.service().on_connect.is_none() {
            return;
        }
        let (service, client) = (Arc::clone(self.service()), self.client.clone());
        let limit = service.rules.limits.handler_timeout;
        let work = async move {
            if let Some(hook) = &service.on_connect {
                run_hook("connect", limit, async { hook(client).await }).await;
            }
            Ok(None)
        };
        let ticket = self.session.hold();
        // The hook has a time limit of its own.
        self.run(ticket, Run { work: Box::pin(work), hold: None, watched: *CONNECT_HOOK }, Duration::MAX, line);
    }

    /// A text message arrived.
    pub(crate) fn text(&mut self, text: &str, line: &mut Line<'_>) -> Option<CloseReason> {
        if let Some(request) = self.session.text(text, line.now) {
            self.start(request, line);
        }
        self.act(line)
    }

    /// A binary message arrived.
    pub(crate) fn binary(&mut self, line: &mut Line<'_>) -> Option<CloseReason> {
        self.session.binary(line.now);
        self.act(line)
    }

    /// A frame arrived that is no message.
    pub(crate) fn heard(&mut self, now: Instant) {
        self.session.heard(now);
    }

    /// A request that did not finish in place is done.
    pub(crate) fn finished(&mut self, ticket: Ticket, outcome: Outcome, line: &mut Line<'_>) -> Option<CloseReason> {
        self.running.retain(|(running, _)| *running != ticket);
        self.session.finished(ticket, outcome, line.now);
        self.act(line)
    }

    /// The connection was asked to end.
    pub(crate) fn end(&mut self, line: &mut Line<'_>) -> Option<CloseReason> {
        if let Some(reason) = self.client.connection.ending() {
            self.session.close(reason);
        }
        self.act(line)
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self, line: &mut Line<'_>) -> Option<CloseReason> {
        self.session.tick(line.now);
        self.act(line)
    }

    /// When [`tick`](Self::tick) wants to be called.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.session.deadline()
    }

    /// It is over: the client leaves all topics, and what still runs for it is dropped.
    pub(crate) fn leave(&mut self) {
        self.running.iter().for_each(|(_, task)| task.abort());
        self.service().hub.leave(&self.client.connection);
    }

    /// The last thing: the disconnect hook, when everything that ran for the client has gone.
    pub(crate) fn conclude(self, reason: CloseReason) {
        let Self { presence, client, running, was_refused, .. } = self;
        let id = client.id();
        tracing::info!(connection = %id, code = reason.code(), reason = reason.label(), "connection ended");
        if was_refused || presence.service.on_disconnect.is_none() {
            return;
        }
        let client = Client { hold: None, ..client };
        tokio::spawn(async move {
            for (_, task) in running {
                // It was aborted, so there is nothing to learn from it.
                let _ = task.await;
            }
            if let Some(hook) = &presence.service.on_disconnect {
                let limit = presence.service.rules.limits.handler_timeout;
                run_hook("disconnect", limit, async { hook(client, reason).await }).await;
            }
        });
    }

    /// Does what the session says; an ending if it says so.
    fn act(&mut self, line: &mut Line<'_>) -> Option<CloseReason> {
        while let Some(action) = self.session.next_action() {
            match action {
                Action::Run(request) => self.start(request, line),
                Action::Finish { ticket, terminal } => self.finish(ticket, terminal, line),
                Action::Write(text) => line.write(&text),
                Action::Ping => line.ping(),
                Action::Close(reason) => return line.close(reason),
            }
        }
        None
    }

    /// Runs one request: in place as far as it comes without waiting, and then as a task of its own.
    fn start(&mut self, request: Request<'_>, line: &mut Line<'_>) {
        let Request { ticket, route, payload } = request;
        // A handler that takes a handle to its client takes the hold with it.
        self.client.hold.get_or_insert_default();
        let service = &self.presence.service;
        let route = &service.routes[route];
        let message = Message { payload: payload.as_deref(), client: &self.client, route, states: &service.states };
        let call =
            || catch_unwind(AssertUnwindSafe(|| route.call(&message))).unwrap_or_else(|panic| Err(panicked(&*panic)));
        let work = watchdog::watch(route.watched, call).unwrap_or_else(|error| Box::pin(ready(Err(error))));
        let hold = self.client.hold.take_if(|hold| Arc::strong_count(hold) > 1);
        if let Some(hold) = &hold {
            self.holds.push((ticket, Arc::clone(hold)));
        }
        let limit = service.rules.limits.handler_timeout;
        self.run(ticket, Run { work, hold, watched: route.watched }, limit, line);
    }

    fn run(&mut self, ticket: Ticket, mut run: Run, limit: Duration, line: &mut Line<'_>) {
        // It is polled again as soon as it has a task, which is then what it wakes.
        let polled = run.poll(&mut Context::from_waker(Waker::noop()));
        let wants_to_end = run.wants_to_end();
        match polled {
            Poll::Ready(outcome) => self.session.finished(ticket, outcome, line.now),
            Poll::Pending => {
                let connection = Arc::clone(&self.client.connection);
                self.running.push((ticket, tokio::spawn(run.until_done(ticket, limit, connection))));
            }
        }
        if wants_to_end {
            line.end();
        }
    }

    /// Writes the terminal frame of a request, if it has one, and what was held back until then.
    fn finish(&mut self, ticket: Ticket, terminal: Option<Terminal>, line: &mut Line<'_>) {
        let hold = self.holds.iter().position(|(of, _)| *of == ticket).map(|at| self.holds.swap_remove(at).1);
        let mut release = |subscriptions| match &terminal {
            None => line.release(&[], subscriptions),
            Some(Terminal::Error(text)) => line.release(&[text], subscriptions),
            Some(Terminal::Reply { route, id, payload }) => {
                let name = self.presence.service.routes[*route].reply.as_deref().unwrap_or_default();
                let reply = Reply { name, id: id.as_ref(), payload: payload.as_deref().unwrap_or("null") };
                reply.write(|pieces| line.release(pieces, subscriptions));
            }
        };
        match hold {
            None => release(Vec::new()),
            Some(hold) => {
                hold.release(release);
                self.client.hold = Hold::again(hold);
            }
        }
    }
}

/// This is a request that runs: its handler with panics caught, under the eyes of the watchdog.
struct Run {
    work: BoxFuture<Outcome>,
    hold: Option<Arc<Hold>>,
    watched: watchdog::Name,
}

impl Run {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Outcome> {
        let Self { work, hold, watched } = self;
        let hold = hold.as_deref();
        hold.inspect(|hold| hold.begin_poll());
        let polled = watchdog::watch(*watched, || catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))));
        hold.inspect(|hold| hold.end_poll());
        polled.unwrap_or_else(|panic| Poll::Ready(Err(panicked(&*panic))))
    }

    /// Whether the handler asked for the end of its connection while it was polled last.
    fn wants_to_end(&self) -> bool {
        self.hold.as_ref().is_some_and(|hold| hold.take_wish_to_end())
    }

    /// Runs to its end, or to the time limit, and tells the shard.
    async fn until_done(mut self, ticket: Ticket, limit: Duration, connection: Arc<Connection>) {
        let done = poll_fn(|context| {
            let polled = self.poll(context);
            if polled.is_pending() && self.wants_to_end() {
                connection.post(Letter::End);
            }
            polled
        });
        let outcome = timeout(limit, done).await.unwrap_or_else(|_| {
            let message = format!("the operation took longer than {} s", limit.as_secs_f64());
            Err(Error::new(ErrorCode::DEADLINE_EXCEEDED, message))
        });
        let wants_to_end = self.wants_to_end();
        // A handler that took too long is gone, with all that it held, before its client reads so.
        drop(self);
        connection.post(Letter::Finished(ticket, outcome));
        if wants_to_end {
            connection.post(Letter::End);
        }
    }
}

static CONNECT_HOOK: LazyLock<watchdog::Name> = LazyLock::new(|| watchdog::name("connect hook"));

/// Runs the application's hook as handlers are run: for a limited time, and with panics caught.
async fn run_hook(name: &'static str, limit: Duration, hook: impl Future<Output = ()>) {
    match timeout(limit, AssertUnwindSafe(hook).catch_unwind()).await {
        Ok(Ok(())) => {}
        Ok(Err(panic)) => tracing::error!(hook = name, panic = describe(panic.as_ref()), "a hook panicked"),
        Err(_) => tracing::error!(hook = name, seconds = limit.as_secs_f64(), "a hook took too long and was dropped"),
    }
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> Error {
    Error::internal(format!("the handler panicked: {}", describe(panic)))
}

fn describe(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
