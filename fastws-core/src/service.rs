//! Assembly: a builder that refuses what cannot work, and the service that it makes.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any};
use hyper::upgrade::OnUpgrade;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::assembly::{Assembled, assemble};
use crate::client::Client;
use crate::close::{CloseReason, Timeouts};
use crate::engine::{Engine, Opening, Socket};
use crate::error::{BuildError, Detail};
use crate::extract::{Payload, States};
use crate::handler::{BoxFuture, Handler, Plain, send1};
use crate::hub::Hub;
use crate::limits::Limits;
use crate::operation::{About, Declaration, Kind, Operation, linked};
use crate::router::{OperationRouter, Prefixed, Routes};
use crate::schema::Schemas;
use crate::serve::Place;
use crate::session::{ErrorPolicy, Heartbeat, Rules};
use crate::topic::TopicSpelling;
use crate::websocket::{Deflate, Handshake, HandshakeError};

/// This is an assembled service: operations, topics and connections. It is cheap to clone.
///
/// ```no_run
/// use fastws_core::FastWs;
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let ws = FastWs::builder().build()?;
/// let app: axum::Router = axum::Router::new().route("/ws", ws.route());
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct FastWs(pub(crate) Arc<Service>);

pub(crate) struct Service {
    pub(crate) operations: Vec<Operation>,
    pub(crate) schemas: Schemas,
    pub(crate) routes: Arc<Routes>,
    pub(crate) states: Arc<States>,
    pub(crate) rules: Arc<Rules>,
    pub(crate) hub: Hub,
    pub(crate) engine: Engine,
    pub(crate) compression: Option<Deflate>,
    pub(crate) on_connect: Option<ConnectHook>,
    pub(crate) on_disconnect: Option<DisconnectHook>,
}

type ConnectHook = Box<dyn Fn(Client) -> BoxFuture<()> + Send + Sync>;
type DisconnectHook = Box<dyn Fn(Client, CloseReason) -> BoxFuture<()> + Send + Sync>;

impl FastWs {
    /// Begins a service.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The hub: publish from anywhere, count and list connections and topics.
    pub fn hub(&self) -> &Hub {
        &self.0.hub
    }

    /// All operations, by name.
    pub fn operations(&self) -> &[Operation] {
        &self.0.operations
    }

    /// The named schemas that the operations refer to.
    pub fn schemas(&self) -> &Schemas {
        &self.0.schemas
    }

    /// Whether an operation would take this payload: what is wrong with it, if anything.
    ///
    /// # Errors
    /// One detail for each wrong field; none when there is no such operation, or it takes no payload.
    pub fn check_payload(&self, operation: &str, payload: &Value) -> Result<(), Vec<Detail>> {
        let routes = &self.0.routes;
        routes.find(operation).map_or(Ok(()), |route| routes[route].check(payload))
    }

    /// The bounds of every connection.
    pub fn limits(&self) -> &Limits {
        &self.0.rules.limits
    }

    /// The heartbeat interval and the lifespan of every connection.
    pub fn timeouts(&self) -> Timeouts {
        self.0.rules.timeouts
    }

    /// What counts as a sign of life.
    pub fn heartbeat_form(&self) -> Heartbeat {
        self.0.rules.heartbeat
    }

    /// What happens to a client that makes a mistake.
    pub fn error_policy(&self) -> ErrorPolicy {
        self.0.rules.policy
    }

    /// The WebSocket endpoint, a plain axum route. Mount it wherever you like, as often as you like.
    pub fn route<S: Clone + Send + Sync + 'static>(&self) -> MethodRouter<S> {
        let service = Arc::clone(&self.0);
        any(move |request: Request| std::future::ready(accept(&service, request)))
    }

    /// Waits for `signal`, then [shuts down](Self::shutdown). Made for `with_graceful_shutdown`:
    ///
    /// ```no_run
    /// # async fn run(ws: fastws_core::FastWs, app: axum::Router) -> std::io::Result<()> {
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:8000").await?;
    /// let signal = ws.shutdown_on(tokio::signal::ctrl_c());
    /// fastws_core::serve(listener, app).with_graceful_shutdown(signal).await
    /// # }
    /// ```
    pub fn shutdown_on<F: Future + Send + 'static>(&self, signal: F) -> impl Future<Output = ()> + Send + use<F> {
        let ws = self.clone();
        async move {
            signal.await;
            ws.shutdown().await;
        }
    }

    /// Ends every connection with 1001, lets no more in, and waits until all have said goodbye.
    pub async fn shutdown(&self) {
        self.0.hub.shut_down();
        self.0.hub.until_alone().await;
    }
}

/// Opens a connection, or answers why not.
fn accept(service: &Arc<Service>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let mut handshake = match Handshake::check(&parts) {
        Ok(handshake) => handshake,
        Err(error) => return error.response().into_response(),
    };
    if service.hub.is_shutting_down() {
        let later = [(header::RETRY_AFTER, "1")];
        return (StatusCode::SERVICE_UNAVAILABLE, later, "the server is going away\n").into_response();
    }
    let Some(upgrade) = parts.extensions.remove::<OnUpgrade>() else {
        return HandshakeError::NotAnUpgrade.response().into_response();
    };
    let agreement = service.compression.as_ref().and_then(|terms| handshake.agree(terms));
    let place = parts.extensions.remove::<Place>();
    let service = Arc::clone(service);
    tokio::spawn(async move {
        match upgrade.await {
            Ok(upgraded) => {
                let (socket, early) = Socket::of(upgraded);
                Engine::adopt(&service, socket, Opening { early, agreement, place });
            }
            Err(error) => tracing::debug!(%error, "the client went away during the handshake"),
        }
    });
    handshake.response().map(|()| Body::empty())
}

/// This is a service in the making.
///
/// Without [`include`](Self::include), every operation that is linked into the program is served.
#[derive(Default)]
pub struct Builder {
    routers: Vec<OperationRouter>,
    service: Option<String>,
    states: States,
    rules: Rules,
    spelling: TopicSpelling,
    shards: Option<usize>,
    compression: Option<Deflate>,
    on_connect: Option<ConnectHook>,
    on_disconnect: Option<DisconnectHook>,
    complaints: Vec<String>,
}

impl Builder {
    /// Serves the operations of this router instead of all that are linked. May be called again for more.
    #[must_use]
    pub fn include(mut self, router: OperationRouter) -> Self {
        self.routers.push(router);
        self
    }

    /// Serves those linked operations that name this service, as in `#[send("…", service = "market")]`.
    #[must_use]
    pub fn service(mut self, name: impl Into<String>) -> Self {
        self.service = Some(name.into());
        self
    }

    /// Shares a value with the handlers that take `State<T>`.
    #[must_use]
    pub fn state<T: Clone + Send + Sync + 'static>(mut self, state: T) -> Self {
        self.states.insert(state);
        self
    }

    /// Closes a connection that has been silent for `interval` (default: never), after a ping at half of it.
    #[must_use]
    pub fn heartbeat(mut self, interval: Duration) -> Self {
        if interval.is_zero() {
            self.complaints.push("the heartbeat interval is zero; leave it out for none".into());
        }
        self.rules.timeouts.heartbeat = Some(interval);
        self
    }

    /// What counts as a sign of life.
    #[must_use]
    pub fn heartbeat_form(mut self, form: Heartbeat) -> Self {
        self.rules.heartbeat = form;
        self
    }

    /// Closes a connection when it is this old (default: never), ± 10 %.
    #[must_use]
    pub fn lifespan(mut self, lifespan: Duration) -> Self {
        if lifespan.is_zero() {
            self.complaints.push("the lifespan is zero; leave it out for none".into());
        }
        self.rules.timeouts.lifespan = Some(lifespan);
        self
    }

    /// What happens to a client that makes a mistake in a request without an `id`.
    #[must_use]
    pub fn error_policy(mut self, policy: ErrorPolicy) -> Self {
        self.rules.policy = policy;
        self
    }

    /// Replaces the bounds of every connection.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.rules.limits = limits;
        self
    }

    /// How many tasks share the connections. If nobody says, there is one for each worker of the runtime.
    #[must_use]
    pub fn shards(mut self, count: usize) -> Self {
        self.shards = Some(count);
        self
    }

    /// Compresses messages for clients that can read them so (`permessage-deflate`, RFC 7692).
    ///
    /// An update is compressed once, whatever the number of its subscribers. Without this nothing is compressed.
    #[must_use]
    pub fn compression(mut self, terms: Deflate) -> Self {
        self.compression = Some(terms);
        self
    }

    /// How the names of topics are written on the wire.
    #[must_use]
    pub fn topic_spelling(mut self, spelling: TopicSpelling) -> Self {
        self.spelling = spelling;
        self
    }

    /// Runs for every new connection, before its first request is served.
    #[must_use]
    pub fn on_connect<F, Done>(mut self, hook: F) -> Self
    where
        F: Fn(Client) -> Done + Send + Sync + 'static,
        Done: Future<Output = ()> + Send + 'static,
    {
        self.on_connect = Some(Box::new(move |client| Box::pin(hook(client))));
        self
    }

    /// Runs for every connection that has ended, after it has left all topics.
    #[must_use]
    pub fn on_disconnect<F, Done>(mut self, hook: F) -> Self
    where
        F: Fn(Client, CloseReason) -> Done + Send + Sync + 'static,
        Done: Future<Output = ()> + Send + 'static,
    {
        self.on_disconnect = Some(Box::new(move |client, reason| Box::pin(hook(client, reason))));
        self
    }

    /// Assembles the service.
    ///
    /// # Errors
    /// One sentence for everything that keeps it from starting: names that are malformed or declared twice, a missing
    /// state, two types of one name, an example that is not valid, no operations at all.
    pub fn build(self) -> Result<FastWs, BuildError> {
        let Self {
            routers,
            service,
            states,
            rules,
            spelling,
            shards,
            compression,
            on_connect,
            on_disconnect,
            mut complaints,
        } = self;
        let mut declarations: Vec<Prefixed> = if routers.is_empty() {
            let ours = |declaration: &Declaration| declaration.about.service == service.as_deref();
            linked().into_iter().filter(ours).map(Prefixed::from).collect()
        } else {
            routers.into_iter().flat_map(OperationRouter::flatten).collect()
        };
        if declarations.is_empty() {
            complaints.push(match &service {
                Some(name) => format!("there are no operations of the service `{name}`"),
                None => {
                    "there are no operations; a crate that declares some and is never named in code is not linked, \
                         which `use that_crate as _;` mends"
                        .into()
                }
            });
        }
        if !declarations.iter().any(|declared| ["ping", "pong"].iter().any(|name| declared.takes(name))) {
            declarations.push(Prefixed::from(ping_declaration()));
        }
        let states = Arc::new(states);
        let Assembled { operations, schemas, routes, catalogue } =
            assemble(declarations, &states, spelling, &mut complaints);
        BuildError::check(complaints)?;
        let hub = Hub::new(catalogue, rules.limits.clone());
        tracing::info!(operations = operations.len(), "service assembled");
        Ok(FastWs(Arc::new(Service {
            operations,
            schemas,
            routes: Arc::new(routes),
            states,
            rules: Arc::new(rules),
            hub,
            engine: Engine::new(shards),
            compression,
            on_connect,
            on_disconnect,
        })))
    }
}

/// Whatever a client wants to have echoed.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "FastwsPing")]
struct Ping {
    #[serde(flatten)]
    echo: Map<String, Value>,
}

/// What the ping carried, and the server's time.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "FastwsPong")]
struct Pong {
    #[serde(flatten)]
    echo: Map<String, Value>,
    /// Milliseconds since the Unix epoch.
    #[schemars(example = 1_700_000_000_000_u64)]
    server_time: u64,
}

impl garde::Validate for Ping {
    type Context = ();

    fn validate_into(&self, (): &(), _: &mut dyn FnMut() -> garde::Path, _: &mut garde::Report) {}
}

/// Browsers cannot send ping frames, so there is an operation for it.
async fn ping(Payload(ping): Payload<Option<Ping>>) -> Pong {
    let mut echo = ping.map(|ping| ping.echo).unwrap_or_default();
    echo.shift_remove("server_time");
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Pong { echo, server_time: u64::try_from(since.as_millis()).unwrap_or(u64::MAX) }
}

fn ping_declaration() -> Declaration {
    let Handler { call, needs, reply } = send1::<Payload<Option<Ping>>, Pong, Plain, _, _>(ping);
    let about = About {
        reply: Some("pong"),
        tags: &["session"],
        summary: Some("Echoes its payload and adds the server's time."),
        description: Some("Browsers cannot send ping frames; clients measure latency with this operation."),
        ..About::new("ping", "ping", file!(), line!())
    };
    Declaration { twin: std::any::TypeId::of::<Ping>(), about, kind: Kind::Send { handler: call, needs, reply } }
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FastWs").field("operations", &self.operations.len()).field("hub", &self.hub).finish()
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("routers", &self.routers).field("rules", &self.rules).finish_non_exhaustive()
    }
}
