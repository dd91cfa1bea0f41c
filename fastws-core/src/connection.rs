//! The shell around a [`Session`]: it owns the socket, the futures of the handlers and the clock.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::Message as Frame;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, Sink, SinkExt, Stream, StreamExt};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::Instrument;

use crate::client::{Client, Connection, Hold};
use crate::close::CloseReason;
use crate::error::{Error, ErrorCode};
use crate::extract::Message;
use crate::handler::{BoxFuture, Outcome};
use crate::outbox::{Outbox, Taken};
use crate::service::Service;
use crate::session::{Action, Request, Session, Ticket};

/// This is a connection's place in the hub. Dropped, for whatever cause, it takes the connection out of everything.
pub(crate) struct Presence {
    service: Arc<Service>,
    pub(crate) connection: Arc<Connection>,
}

impl Presence {
    /// Lets a new connection in, or asks it to end at once when the service is shutting down.
    pub(crate) fn new(service: Arc<Service>) -> Self {
        let connection = Arc::new(Connection::new(&service.rules.limits));
        if !service.hub.enter(&connection) {
            connection.end(CloseReason::GoingAway);
        }
        Self { service, connection }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.service.hub.leave(&self.connection);
        self.connection.outbox.discard();
        self.service.hub.end_serving();
    }
}

/// Serves one connection until it ends.
pub(crate) async fn serve<S, E>(presence: Presence, socket: S)
where
    S: Stream<Item = Result<Frame, E>> + Sink<Frame> + Unpin + Send,
    E: std::error::Error,
{
    let Presence { service, connection } = &presence;
    let span = tracing::info_span!("connection", id = %connection.id);
    let client = Client { connection: Arc::clone(connection), hub: service.hub.clone(), hold: None };
    let was_refused = connection.ending().is_some();
    let reason = Shell::new(service, &client).run(socket).instrument(span.clone()).await;
    span.in_scope(|| tracing::info!(code = reason.code(), reason = reason.label(), "connection ended"));
    if let Some(hook) = service.on_disconnect.as_ref().filter(|_| !was_refused) {
        let run = async { hook(client, reason).await };
        run_hook("disconnect", service.rules.limits.handler_timeout, run).instrument(span).await;
    }
}

/// Runs the application's hook as handlers are run: for a limited time, and with panics caught.
async fn run_hook(name: &'static str, limit: Duration, hook: impl Future<Output = ()>) {
    match timeout(limit, AssertUnwindSafe(hook).catch_unwind()).await {
        Ok(Ok(())) => {}
        Ok(Err(panic)) => tracing::error!(hook = name, panic = describe(panic.as_ref()), "a hook panicked"),
        Err(_) => tracing::error!(hook = name, seconds = limit.as_secs_f64(), "a hook took too long and was dropped"),
    }
}

struct Shell<'a> {
    service: &'a Arc<Service>,
    client: &'a Client,
    session: Session,
    requests: FuturesUnordered<BoxFuture<(Ticket, Outcome)>>,
    /// What holds back the subscriptions of the requests that run.
    holds: Vec<(Ticket, Arc<Hold>)>,
}

impl<'a> Shell<'a> {
    fn new(service: &'a Arc<Service>, client: &'a Client) -> Self {
        let jitter = f64::from(client.id().as_bytes()[0]) / 255.0;
        let now = Instant::now().into_std();
        let session = Session::new(Arc::clone(&service.rules), Arc::clone(&service.routes), jitter, now);
        Self { service, client, session, requests: FuturesUnordered::new(), holds: Vec::new() }
    }

    async fn run<S, E>(mut self, socket: S) -> CloseReason
    where
        S: Stream<Item = Result<Frame, E>> + Sink<Frame> + Unpin + Send,
        E: std::error::Error,
    {
        tracing::info!("connection opened");
        let connection = Arc::clone(&self.client.connection);
        let (sink, mut frames) = socket.split();
        let mut writing = pin!(write(sink, &connection.outbox));
        match connection.ending() {
            Some(reason) => self.session.close(reason),
            None => self.welcome(),
        }
        let reason = loop {
            if let Some(reason) = self.act() {
                break reason;
            }
            let deadline = self.deadline(&connection.outbox);
            tokio::select! {
                // Requests that are done come before the wish to end, so that a handler may close and still reply; what
                // the client sends comes last, so that a flood of it holds up nothing else.
                biased;
                Some((ticket, outcome)) = self.requests.next() => self.session.finished(ticket, outcome, now()),
                () = connection.asked_to_end.notified() => {
                    if let Some(reason) = connection.ending() {
                        self.session.close(reason);
                    }
                }
                () = connection.outbox.filled.notified() => self.session.close(CloseReason::TooSlow),
                () = &mut writing => break CloseReason::Lost,
                () = sleep_until(deadline) => {
                    if connection.outbox.is_overdue() {
                        self.session.close(CloseReason::TooSlow);
                    }
                    self.session.tick(now());
                }
                frame = frames.next() => {
                    if let Some(reason) = self.hear(frame) {
                        break reason;
                    }
                }
            }
        };
        // The handlers that still run are dropped; their client is gone.
        drop(self.requests);
        self.service.hub.leave(&connection);
        if reason != CloseReason::Lost {
            connection.outbox.finish(&reason);
            let goodbye = async {
                writing.await;
                // Until the peer has closed too; a socket dropped earlier could take the close frame with it.
                while let Some(Ok(_)) = frames.next().await {}
            };
            if timeout(self.service.rules.limits.close_timeout, goodbye).await.is_err() {
                tracing::debug!("the peer did not close in time");
            }
        }
        reason
    }

    /// Runs the connect hook before the first request.
    fn welcome(&mut self) {
        if self.service.on_connect.is_none() {
            return;
        }
        let ticket = self.session.hold();
        let (service, client) = (Arc::clone(self.service), self.client.clone());
        self.requests.push(Box::pin(async move {
            if let Some(hook) = &service.on_connect {
                run_hook("connect", service.rules.limits.handler_timeout, async { hook(client).await }).await;
            }
            (ticket, Ok(None))
        }));
    }

    /// Does what the session says; an ending if it says so.
    fn act(&mut self) -> Option<CloseReason> {
        let outbox = &self.client.connection.outbox;
        while let Some(action) = self.session.next_action() {
            match action {
                Action::Run(request) => {
                    let run = self.prepare(request);
                    self.requests.push(run);
                }
                Action::Finish { ticket, terminal } => match self.holds.iter().position(|(of, _)| *of == ticket) {
                    Some(at) => self.holds.swap_remove(at).1.release(outbox, terminal),
                    None => outbox.release(terminal, &[]),
                },
                Action::Write(text) => drop(outbox.push(text)),
                Action::Ping => outbox.push_control(Frame::Ping(bytes::Bytes::new())),
                Action::Close(reason) => return Some(reason),
            }
        }
        None
    }

    /// The future of one request: its handler with a deadline, a span, and panics caught.
    fn prepare(&mut self, request: Request) -> BoxFuture<(Ticket, Outcome)> {
        let Request { ticket, route, payload } = request;
        let hold = Arc::new(Hold::default());
        self.holds.push((ticket, Arc::clone(&hold)));
        let client = Client { hold: Some(hold), ..self.client.clone() };
        let message = Message { payload, client, route: Arc::clone(&route), states: Arc::clone(&self.service.states) };
        let limit = self.service.rules.limits.handler_timeout;
        let span = tracing::debug_span!("operation", name = %route.name);
        let run = async move {
            let handler = AssertUnwindSafe(async { route.call(message).await }).catch_unwind();
            let outcome = match timeout(limit, handler).await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(panic)) => Err(Error::internal(format!("the handler panicked: {}", describe(panic.as_ref())))),
                Err(_) => Err(Error::new(
                    ErrorCode::DEADLINE_EXCEEDED,
                    format!("the operation took longer than {} s", limit.as_secs_f64()),
                )),
            };
            log(&outcome);
            (ticket, outcome)
        };
        Box::pin(run.instrument(span))
    }

    fn hear<E: std::error::Error>(&mut self, frame: Option<Result<Frame, E>>) -> Option<CloseReason> {
        match frame {
            Some(Ok(Frame::Text(text))) => self.session.text(&text, now()),
            Some(Ok(Frame::Binary(_))) => self.session.binary(now()),
            Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => self.session.heard(now()),
            Some(Ok(Frame::Close(None))) => return Some(CloseReason::Left { code: 1005, reason: String::new() }),
            Some(Ok(Frame::Close(Some(close)))) => {
                return Some(CloseReason::Left { code: close.code, reason: close.reason.to_string() });
            }
            Some(Err(error)) => return Some(self.broken(&error)),
            None => return Some(CloseReason::Lost),
        }
        None
    }

    /// What a failing socket means. axum hides the kind of the error, not its words.
    fn broken(&self, error: &dyn std::error::Error) -> CloseReason {
        let words = error.to_string();
        if words.contains("too long") || words.contains("Space limit") {
            CloseReason::TooBig(self.service.rules.limits.message_bytes)
        } else if words.contains("UTF-8") || words.contains("utf-8") {
            CloseReason::InvalidUtf8
        } else if words.contains("without closing handshake") || words.contains("IO error") {
            CloseReason::Lost
        } else {
            CloseReason::ProtocolError
        }
    }

    fn deadline(&self, outbox: &Outbox) -> Instant {
        let session = self.session.deadline().map(Instant::from_std);
        // An empty outbox has no deadline, and may begin to fill at any time.
        let far = Instant::now() + self.service.rules.limits.outbox_age;
        [session, outbox.deadline()].into_iter().flatten().fold(far, Ord::min)
    }
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}

/// Writes the outbox to the socket until it is finished or the socket fails. Whatever waits is written in one go.
async fn write<S: Sink<Frame> + Unpin>(mut sink: S, outbox: &Outbox) {
    while let Some(frame) = outbox.next().await {
        let mut frame = Some(frame);
        while let Some(next) = frame.take() {
            if sink.feed(next).await.is_err() {
                return;
            }
            if let Taken::Frame(more) = outbox.take() {
                frame = Some(more);
            }
        }
        if sink.flush().await.is_err() {
            return;
        }
    }
}

fn log(outcome: &Outcome) {
    let Err(error) = outcome else { return };
    let cause = error.cause().map(tracing::field::display);
    if *error.code() == ErrorCode::INTERNAL_ERROR {
        tracing::error!(message = error.message(), cause, "operation failed");
    } else {
        tracing::debug!(code = %error.code(), cause, "operation refused");
    }
}

fn describe(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
