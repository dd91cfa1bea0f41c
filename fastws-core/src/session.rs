//! One connection's rules, without sockets and without a clock: it takes messages, finished requests and the time, and
//! says what to do.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::value::RawValue;

use crate::close::{CloseReason, Timeouts};
use crate::envelope::{self, Envelope, Id, Malformed};
use crate::error::{Error, ErrorCode};
use crate::handler::Outcome;
use crate::limits::Limits;
use crate::router::{Route, Routes};

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
    queue: VecDeque<Request>,
    /// The request that the others wait for, but for concurrent ones.
    running: Option<Ticket>,
    /// What every request waits for.
    held_by: Option<Ticket>,
    in_flight: Vec<InFlight>,
    ids: HashSet<Id>,
    next_ticket: u64,
    mistakes: VecDeque<Instant>,
    actions: VecDeque<Action>,
    has_ended: bool,
}

/// This numbers the requests of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(pub(crate) u64);

/// This is a request that is to be run.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) ticket: Ticket,
    pub(crate) route: Arc<Route>,
    pub(crate) payload: Option<Box<RawValue>>,
}

struct InFlight {
    ticket: Ticket,
    id: Option<Id>,
    route: Arc<Route>,
}

/// This is what the connection has to do next.
#[derive(Debug)]
pub(crate) enum Action {
    /// Run a request, and say when it is [finished](Session::finished).
    Run(Request),
    /// A request is done: write its terminal frame if it has one, and let its subscriptions flow.
    Finish { ticket: Ticket, terminal: Option<String> },
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
            in_flight: Vec::new(),
            ids: HashSet::new(),
            next_ticket: 0,
            mistakes: VecDeque::new(),
            actions: VecDeque::new(),
            has_ended: false,
            rules,
            routes,
        }
    }

    /// What to do next; `None` until something happens.
    pub(crate) fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
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
            self.actions.push_back(Action::Write(envelope::update("draining", None, false, &notice)));
        }
        let Some(interval) = self.rules.timeouts.heartbeat else { return };
        let silence = now.duration_since(self.last_life);
        if silence >= interval {
            self.close(CloseReason::HeartbeatMissed(self.rules.timeouts));
        } else if silence >= interval / 2 && !self.is_pinged && self.rules.heartbeat == Heartbeat::AnyFrame {
            self.is_pinged = true;
            self.actions.push_back(Action::Ping);
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

    /// A text message arrived.
    pub(crate) fn text(&mut self, text: &str, now: Instant) {
        if self.has_ended {
            return;
        }
        self.lives(now);
        let Envelope { name, id, payload } = match Envelope::parse(text, self.rules.limits.message_depth) {
            Ok(envelope) => envelope,
            Err(Malformed { id, error }) => return self.refuse(id, error, now),
        };
        let Some(route) = self.routes.find(&name).cloned() else {
            let error = unknown(&self.routes, &name);
            return self.refuse(id, error, now);
        };
        if id.as_ref().is_some_and(|id| self.ids.contains(id)) {
            let error = Error::new(ErrorCode::DUPLICATE_ID, "a request with this id is still in flight");
            return self.refuse(id, error.in_operation(&name), now);
        }
        if self.in_flight.len() >= self.rules.limits.in_flight {
            let limit = self.rules.limits.in_flight;
            let message = format!("{limit} requests wait for their replies; wait for one before sending more");
            let error = Error::new(ErrorCode::TOO_MANY_IN_FLIGHT, message);
            return self.refuse(id, error.in_operation(&name), now);
        }
        let ticket = self.next_ticket();
        self.ids.extend(id.clone());
        self.in_flight.push(InFlight { ticket, id, route: Arc::clone(&route) });
        self.queue.push_back(Request { ticket, route, payload: payload.map(ToOwned::to_owned) });
        self.run_next();
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
            if let Some(id) = &id {
                self.ids.remove(id);
            }
            match outcome {
                Ok(payload) => {
                    let payload = payload.as_deref();
                    let terminal = match (&route.reply, payload) {
                        (Some(reply), payload) => Some(envelope::reply(reply, id.as_ref(), payload.unwrap_or("null"))),
                        (None, _) => None,
                    };
                    self.actions.push_back(Action::Finish { ticket, terminal });
                }
                Err(error) => {
                    let error = error.in_operation(&route.name);
                    let terminal = Some(envelope::error(id.as_ref(), None, &error));
                    self.actions.push_back(Action::Finish { ticket, terminal });
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
            self.actions.push_back(Action::Close(reason));
        }
    }

    /// Runs every waiting request that is concurrent, and the first of the others if none of those runs.
    fn run_next(&mut self) {
        if self.held_by.is_some() {
            return;
        }
        for request in std::mem::take(&mut self.queue) {
            if request.route.is_concurrent {
                self.actions.push_back(Action::Run(request));
            } else if self.running.is_none() {
                self.running = Some(request.ticket);
                self.actions.push_back(Action::Run(request));
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
        self.actions.push_back(Action::Write(envelope::error(id.as_ref(), None, &error)));
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

fn unknown(routes: &Routes, name: &str) -> Error {
    let shown: String = name.chars().take(64).collect();
    let near = routes.nearest(name);
    let message = match near.as_slice() {
        [] => format!("no operation is called `{shown}`"),
        near => format!("no operation is called `{shown}`; did you mean `{}`?", near.join("`, `")),
    };
    Error::new(ErrorCode::UNKNOWN_OPERATION, message).in_operation(&shown)
}
