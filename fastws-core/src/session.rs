//! One connection's rules, without sockets and without a clock: it takes messages, finished requests and the time, and
//! says what to do.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::close::{CloseReason, Timeouts};
use crate::envelope::{self, Envelope, Id, Malformed};
use crate::error::{Error, ErrorCode};
use crate::handler::Outcome;
use crate::limits::Limits;
use crate::router::{RouteId, Routes};

/// This is what happens to a client that makes a mistake in a request without an `id`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ErrorPolicy {
    /// It gets the error, and the connection is closed with 1003, as FastWS does.
    #[default]
    Close,
    /// It gets the error.
    Reply,
}

/// This is what counts as a sign of life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Heartbeat {
    /// Any frame. The server pings a client that has been silent for half the interval; browsers answer by themselves.
    #[default]
    AnyFrame,
    /// Only messages of the application, as in FastWS. The server does not ping.
    ClientMessage,
}

/// These are the rules that all connections of a service share.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    pub(crate) policy: ErrorPolicy,
    pub(crate) heartbeat: Heartbeat,
    pub(crate) timeouts: Timeouts,
    pub(crate) limits: Limits,
}

/// This is the state of one connection's conversation.
pub(crate) struct Session {
    rules: Arc<Rules>,
    routes: Arc<Routes>,
    last_life: Instant,
    is_pinged: bool,
    /// When to announce the end of the lifespan, then when it ends.
    announce_at: Option<Instant>,
    end_at: Option<Instant>,
    /// Requests that wait for the one that runs.
    queue: VecDeque<Request<'static>>,
    /// The request that the others wait for, but for concurrent ones.
    running: Option<Ticket>,
    /// What every request waits for.
    held_by: Option<Ticket>,
    /// Usually none or one, like the actions: then they cost no memory of their own.
    in_flight: SmallVec<[InFlight; 1]>,
    next_ticket: u64,
    mistakes: VecDeque<Instant>,
    actions: SmallVec<[Action; 1]>,
    has_ended: bool,
}

/// This numbers the requests of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(pub(crate) u64);

/// This is a request that is to be run.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) ticket: Ticket,
    pub(crate) route: RouteId,
    pub(crate) payload: Option<Cow<'a, str>>,
}

struct InFlight {
    ticket: Ticket,
    id: Option<Id>,
    route: RouteId,
}

/// This is how a request ends that is answered.
#[derive(Debug)]
pub(crate) enum Terminal {
    /// With the reply of its operation, whose payload is JSON.
    Reply { route: RouteId, id: Option<Id>, payload: Option<String> },
    /// With an error frame.
    Error(String),
}

/// This is what the connection has to do next.
#[derive(Debug)]
pub(crate) enum Action {
    /// Run a request, and say when it is [finished](Session::finished).
    Run(Request<'static>),
    /// A request is done: write its terminal frame if it has one, and let its subscriptions flow.
    Finish { ticket: Ticket, terminal: Option<Terminal> },
    /// Write a message.
    Write(String),
    /// Write a ping.
    Ping,
    /// End the connection. It is the last action.
    Close(CloseReason),
}

impl Session {
    /// Begins a conversation. `jitter` in 0 to 1 spreads the lifespan by ± 10 %, so that clients do not return together.
    pub(crate) fn new(rules: Arc<Rules>, routes: Arc<Routes>, jitter: f64, now: Instant) -> Self {
        let lifespan = rules.timeouts.lifespan.map(|lifespan| lifespan.mul_f64(0.9 + 0.2 * jitter));
        Self {
            last_life: now,
            is_pinged: false,
            announce_at: lifespan.map(|lifespan| now + lifespan - notice_before(lifespan)),
            end_at: lifespan.map(|lifespan| now + lifespan),
            queue: VecDeque::new(),
            running: None,
            held_by: None,
            in_flight: SmallVec::new(),
            next_ticket: 0,
            mistakes: VecDeque::new(),
            actions: SmallVec::new(),
            has_ended: false,
            rules,
            routes,
        }
    }

    /// What to do next; `None` until something happens.
    pub(crate) fn next_action(&mut self) -> Option<Action> {
        (!self.actions.is_empty()).then(|| self.actions.remove(0))
    }

    /// When [`tick`](Self::tick) wants to be called.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let heartbeat = self.rules.timeouts.heartbeat.map(|interval| {
            let pings = self.rules.heartbeat == Heartbeat::AnyFrame && !self.is_pinged;
            self.last_life + if pings { interval / 2 } else { interval }
        });
        [heartbeat, self.announce_at, self.end_at].into_iter().flatten().min()
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self, now: Instant) {
        if self.end_at.is_some_and(|end| now >= end) {
            return self.close(CloseReason::LifespanReached(self.rules.timeouts));
        }
        if self.announce_at.is_some_and(|at| now >= at) {
            self.announce_at = None;
            let remaining = self.end_at.map_or(Duration::ZERO, |end| end.duration_since(now)).as_millis();
            let notice = format!("{{\"deadline_ms\":{remaining},\"retry_after_ms\":0}}");
            self.actions.push(Action::Write(envelope::update("draining", None, false, &notice)));
        }
        let Some(interval) = self.rules.timeouts.heartbeat else { return };
        let silence = now.duration_since(self.last_life);
        if silence >= interval {
            self.close(CloseReason::HeartbeatMissed(self.rules.timeouts));
        } else if silence >= interval / 2 && !self.is_pinged && self.rules.heartbeat == Heartbeat::AnyFrame {
            self.is_pinged = true;
            self.actions.push(Action::Ping);
        }
    }

    /// A frame that is no message arrived.
    pub(crate) fn heard(&mut self, now: Instant) {
        if self.rules.heartbeat == Heartbeat::AnyFrame {
            self.lives(now);
        }
    }

    fn lives(&mut self, now: Instant) {
        self.last_life = now;
        self.is_pinged = false;
    }

    /// A binary message arrived, which no operation takes.
    pub(crate) fn binary(&mut self, now: Instant) {
        self.lives(now);
        self.refuse(None, Error::new(ErrorCode::MALFORMED_MESSAGE, "messages are text, this one is binary"), now);
    }

    /// A text message arrived. Returns the request in it if that can run at once, which is then to be done first.
    pub(crate) fn text<'a>(&mut self, text: &'a str, now: Instant) -> Option<Request<'a>> {
        if self.has_ended {
            return None;
        }
        self.lives(now);
        match self.admit(text) {
            Ok(request) => request,
            Err((id, error)) => {
                self.refuse(id, error, now);
                None
            }
        }
    }

    /// Makes a request of a message. It runs at once if it may, and waits otherwise.
    fn admit<'a>(&mut self, text: &'a str) -> Result<Option<Request<'a>>, (Option<Id>, Error)> {
        let Envelope { name, id, payload } =
            Envelope::parse(text, self.rules.limits.message_depth).map_err(|Malformed { id, error }| (id, error))?;
        let Some(route) = self.routes.find(&name) else {
            return Err((id, unknown(&self.routes, &name)));
        };
        if id.is_some() && self.in_flight.iter().any(|request| request.id == id) {
            let error = Error::new(ErrorCode::DUPLICATE_ID, "a request with this id is still in flight");
            return Err((id, error.in_operation(&name)));
        }
        if self.in_flight.len() >= self.rules.limits.in_flight {
            let limit = self.rules.limits.in_flight;
            let message = format!("{limit} requests wait for their replies; wait for one before sending more");
            let error = Error::new(ErrorCode::TOO_MANY_IN_FLIGHT, message);
            return Err((id, error.in_operation(&name)));
        }
        let ticket = self.next_ticket();
        self.in_flight.push(InFlight { ticket, id, route });
        let is_concurrent = self.routes[route].is_concurrent;
        if self.held_by.is_none() && (is_concurrent || self.running.is_none()) {
            if !is_concurrent {
                self.running = Some(ticket);
            }
            return Ok(Some(Request { ticket, route, payload: payload.map(Cow::Borrowed) }));
        }
        let payload = payload.map(|payload| Cow::Owned(payload.to_owned()));
        self.queue.push_back(Request { ticket, route, payload });
        Ok(None)
    }

    /// Holds requests back until the returned ticket is finished.
    pub(crate) fn hold(&mut self) -> Ticket {
        let ticket = self.next_ticket();
        self.held_by = Some(ticket);
        ticket
    }

    /// A request is done.
    pub(crate) fn finished(&mut self, ticket: Ticket, outcome: Outcome, now: Instant) {
        self.running = self.running.filter(|running| *running != ticket);
        self.held_by = self.held_by.filter(|holding| *holding != ticket);
        if let Some(at) = self.in_flight.iter().position(|request| request.ticket == ticket) {
            let InFlight { id, route, .. } = self.in_flight.swap_remove(at);
            match outcome {
                Ok(payload) => {
                    let has_reply = self.routes[route].reply.is_some();
                    let terminal = has_reply.then_some(Terminal::Reply { route, id, payload });
                    self.actions.push(Action::Finish { ticket, terminal });
                }
                Err(error) => {
                    log(&self.routes[route].name, &error);
                    let error = error.in_operation(&self.routes[route].name);
                    let terminal = Some(Terminal::Error(envelope::error(id.as_ref(), None, &error)));
                    self.actions.push(Action::Finish { ticket, terminal });
                    // Handlers answer with whatever code they like; only this one tells of what the client wrote.
                    if *error.code() == ErrorCode::INVALID_PAYLOAD {
                        self.blame(id.as_ref(), error.code(), now);
                    }
                }
            }
        }
        if !self.has_ended {
            self.run_next();
        }
    }

    /// The connection is to end.
    pub(crate) fn close(&mut self, reason: CloseReason) {
        if !self.has_ended {
            self.has_ended = true;
            self.queue.clear();
            self.actions.push(Action::Close(reason));
        }
    }

    /// Runs every waiting request that is concurrent, and the first of the others if none of those runs.
    fn run_next(&mut self) {
        if self.held_by.is_some() || self.queue.is_empty() {
            return;
        }
        for request in std::mem::take(&mut self.queue) {
            if self.routes[request.route].is_concurrent {
                self.actions.push(Action::Run(request));
            } else if self.running.is_none() {
                self.running = Some(request.ticket);
                self.actions.push(Action::Run(request));
            } else {
                self.queue.push_back(request);
            }
        }
    }

    fn next_ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        Ticket(self.next_ticket)
    }

    /// Answers a message that does not become a request.
    fn refuse(&mut self, id: Option<Id>, error: Error, now: Instant) {
        if self.has_ended {
            return;
        }
        self.actions.push(Action::Write(envelope::error(id.as_ref(), None, &error)));
        self.blame(id.as_ref(), error.code(), now);
    }

    /// Draws the consequences of an error for the connection.
    fn blame(&mut self, id: Option<&Id>, code: &ErrorCode, now: Instant) {
        if !code.is_client_mistake() {
            return;
        }
        if let (None, ErrorPolicy::Close, Some(reason)) = (id, self.rules.policy, code.refusal()) {
            return self.close(CloseReason::Refused(reason));
        }
        let Limits { client_errors, client_error_window, .. } = self.rules.limits;
        self.mistakes.push_back(now);
        self.mistakes.retain(|at| now.duration_since(*at) < client_error_window);
        if self.mistakes.len() >= client_errors {
            self.close(CloseReason::TooManyErrors);
        }
    }
}

/// How long before its end a lifespan is announced: a tenth of it, at most half a minute.
fn notice_before(lifespan: Duration) -> Duration {
    (lifespan / 10).min(Duration::from_secs(30))
}

fn log(operation: &str, error: &Error) {
    let cause = error.cause().map(tracing::field::display);
    if *error.code() == ErrorCode::INTERNAL_ERROR {
        tracing::error!(operation, message = error.message(), cause, "operation failed");
    } else {
        tracing::debug!(operation, code = %error.code(), cause, "operation refused");
    }
}

fn unknown(routes: &Routes, name: &str) -> Error {
    let shown: String = name.chars().take(64).collect();
    let near = routes.nearest(name);
    let message = match near.as_slice() {
        [] => format!("no operation is called `{shown}`"),
        near => format!("no operation is called `{shown}`; did you mean `{}`?", near.join("`, `")),
    };
    Error::new(ErrorCode::UNKNOWN_OPERATION, message).in_operation(&shown)
}
