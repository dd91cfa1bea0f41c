//! An HTTP server for the outside world: `axum::serve` with the limits that it lacks.

use std::convert::Infallible;
use std::future::{Future, IntoFuture};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};
use tower::ServiceExt;

use crate::handler::BoxFuture;

/// These are the bounds of the HTTP server in front of the sockets.
#[derive(Clone, Debug)]
pub struct HttpLimits {
    /// How long a client may take to send its request head (5 s), also on a connection that is kept alive.
    pub header_timeout: Duration,
    /// How many headers a request may have (64).
    pub headers: usize,
    /// How large a request head may be, in bytes (16 KiB).
    pub head_bytes: usize,
    /// How long a request's path and query may be, in bytes (4 KiB).
    pub uri_bytes: usize,
    /// How many connections may be open (20,000); further ones wait.
    pub connections: usize,
    /// The kernel's send buffer of each connection, in bytes (32 KiB, which Linux doubles). It bounds what a client that
    /// never reads can cost.
    pub send_buffer_bytes: usize,
    /// How long what was sent may stay unacknowledged (20 s) before the kernel gives the connection up; on Linux.
    pub acknowledge_timeout: Duration,
    /// How long connections may take to finish after the shutdown has begun (10 s).
    pub shutdown_timeout: Duration,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(5),
            headers: 64,
            head_bytes: 16 * 1024,
            uri_bytes: 4 * 1024,
            connections: 20_000,
            send_buffer_bytes: 32 * 1024,
            acknowledge_timeout: Duration::from_secs(20),
            shutdown_timeout: Duration::from_secs(10),
        }
    }
}

/// Serves an axum application, with a time limit for request heads, a limit for connections, and `TCP_NODELAY`.
///
/// `axum::serve` works too, with the same sockets below. But it has no time limit for request heads, so that a client that
/// sends half a head holds its connection for ever; no limit for connections; and it leaves the kernel's send buffers as
/// large as they like to grow, so that clients that never read can fill the kernel's memory for TCP.
pub fn serve(listener: TcpListener, app: Router) -> Serve {
    Serve { listener, app, limits: HttpLimits::default(), signal: Box::pin(std::future::pending()) }
}

/// This is a server that has not begun. Await it.
#[must_use = "a server does nothing until it is awaited"]
pub struct Serve {
    listener: TcpListener,
    app: Router,
    limits: HttpLimits,
    signal: BoxFuture<()>,
}

impl Serve {
    /// Replaces the limits.
    pub fn limits(mut self, limits: HttpLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Stops accepting when `signal` is done, lets the requests that run finish, and returns.
    ///
    /// Give it [`FastWs::shutdown_on`](crate::FastWs::shutdown_on), so that sockets end with a close frame.
    pub fn with_graceful_shutdown(mut self, signal: impl Future<Output = ()> + Send + 'static) -> Self {
        self.signal = Box::pin(signal);
        self
    }

    async fn run(self) -> std::io::Result<()> {
        let Self { listener, app, limits, mut signal } = self;
        let (stop, stopping) = watch::channel(());
        let places = Arc::new(Semaphore::new(limits.connections));
        loop {
            let accepted = async {
                let place = Arc::clone(&places).acquire_owned().await.expect("the semaphore is never closed");
                (listener.accept().await, place)
            };
            let (accepted, place) = tokio::select! {
                accepted = accepted => accepted,
                () = &mut signal => break,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    pause_after(&error).await;
                    continue;
                }
            };
            let place = Place { _permit: Arc::new(place) };
            tokio::spawn(connection(stream, peer, place, app.clone(), limits.clone(), stopping.clone()));
        }
        drop((listener, stopping));
        // Every connection holds a receiver until it is done.
        let _ = stop.send(());
        if timeout(limits.shutdown_timeout, stop.closed()).await.is_err() {
            tracing::warn!("some connections did not finish in time");
        }
        Ok(())
    }
}

impl IntoFuture for Serve {
    type Output = std::io::Result<()>;
    type IntoFuture = BoxFuture<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl std::fmt::Debug for Serve {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Serve").field("listener", &self.listener).field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// This is a connection's place among those that may be open. A WebSocket keeps it when HTTP lets go.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    _permit: Arc<OwnedSemaphorePermit>,
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    place: Place,
    app: Router,
    limits: HttpLimits,
    mut stopping: watch::Receiver<()>,
) {
    if let Err(error) = prepare(&stream, &limits) {
        tracing::debug!(%error, "a socket option could not be set");
    }
    let answer = service_fn(move |request| answer(app.clone(), request, peer, place.clone(), limits.uri_bytes));
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_headers(limits.headers)
        .max_buf_size(limits.head_bytes)
        .serve_connection(TokioIo::new(stream), answer)
        .with_upgrades();
    let mut serving = std::pin::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        _ = stopping.changed() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an HTTP connection failed");
    }
}

fn prepare(stream: &TcpStream, limits: &HttpLimits) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = socket2::SockRef::from(stream);
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(limits.acknowledge_timeout))?;
    socket.set_send_buffer_size(limits.send_buffer_bytes)
}

async fn answer(
    app: Router,
    request: Request<Incoming>,
    peer: SocketAddr,
    place: Place,
    uri_bytes: usize,
) -> Result<Response, Infallible> {
    let length = request.uri().path_and_query().map_or(0, |path| path.as_str().len());
    if length > uri_bytes {
        return Ok((StatusCode::URI_TOO_LONG, "the path is too long\n").into_response());
    }
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(ConnectInfo(peer));
    request.extensions_mut().insert(place);
    app.oneshot(request).await
}

/// A peer that gave up is no reason to wait; running out of file descriptors is.
async fn pause_after(error: &std::io::Error) {
    use std::io::ErrorKind;
    if !matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused)
    {
        tracing::error!(%error, "cannot accept connections, trying again in a second");
        sleep(Duration::from_secs(1)).await;
    }
}
