//! Bytes ⇄ kernel. The only file that touches a socket.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto::upgrade::downcast;
use rustix::net::SendFlags;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// This is one end of a connection: a plain TCP socket, or anything else that reads and writes.
pub(crate) enum Socket {
    Tcp(TcpStream),
    Other(Box<dyn Duplex>),
}

/// This is a transport that is no TCP socket: TLS, a stream of HTTP/2, memory.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

impl Socket {
    /// The socket below an upgraded HTTP connection, and what was read from it already.
    ///
    /// Under `axum::serve` only hyper-util's downcast finds the TCP socket, behind hyper's own server only hyper's does.
    pub(crate) fn of(upgraded: Upgraded) -> (Self, Vec<u8>) {
        let upgraded = match downcast::<TokioIo<TcpStream>>(upgraded) {
            Ok(parts) => return (Self::tcp(parts.io.into_inner()), parts.read_buf.to_vec()),
            Err(upgraded) => upgraded,
        };
        match upgraded.downcast::<TokioIo<TcpStream>>() {
            Ok(parts) => (Self::tcp(parts.io.into_inner()), parts.read_buf.to_vec()),
            Err(upgraded) => (Self::Other(Box::new(TokioIo::new(upgraded))), Vec::new()),
        }
    }

    fn tcp(stream: TcpStream) -> Self {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        Self::Tcp(stream)
    }

    /// Reads what has arrived; 0 bytes are the end. `Pending` wakes `context` when there is more.
    pub(super) fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        let read = match self {
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, &mut buffer),
            Self::Other(stream) => Pin::new(stream).poll_read(context, &mut buffer),
        };
        read.map_ok(|()| buffer.filled().len())
    }

    /// Writes what the socket takes now. `Pending` wakes `context` when it takes more.
    pub(super) fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            // The kernel is asked first, and the runtime only when it refuses: fan-out to many sockets is bound by how
            // much memory it touches, and this touches nothing of the runtime's.
            Self::Tcp(stream) => match rustix::net::send(&*stream, bytes, SendFlags::NOSIGNAL) {
                Ok(written) => Poll::Ready(Ok(written)),
                Err(_) => Pin::new(stream).poll_write(context, bytes),
            },
            Self::Other(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    /// Writes several pieces at once.
    pub(super) fn poll_write_vectored(
        &mut self,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, pieces),
            Self::Other(stream) => Pin::new(stream).poll_write_vectored(context, pieces),
        }
    }

    /// Hands on what the transport itself has kept; a TCP socket keeps nothing.
    pub(super) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(_) => Poll::Ready(Ok(())),
            Self::Other(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    /// Tells the peer that nothing more will be written.
    pub(super) fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let shut = match self {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Other(stream) => Pin::new(stream).poll_shutdown(context),
        };
        // A peer that has gone needs not be told.
        let _ = ready!(shut);
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::extract::Request;
    use axum::http::StatusCode;
    use axum::routing::any;
    use hyper::upgrade::OnUpgrade;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;

    use super::*;

    /// Tells what is found below an upgraded connection.
    fn telling(found: mpsc::Sender<(bool, Vec<u8>)>) -> Router {
        let upgrade = move |mut request: Request| {
            let (upgrade, found) = (request.extensions_mut().remove::<OnUpgrade>(), found.clone());
            async move {
                tokio::spawn(async move {
                    let (socket, early) = Socket::of(upgrade.expect("it can be upgraded").await.expect("it is open"));
                    found.send((matches!(socket, Socket::Tcp(_)), early)).await.expect("the test waits");
                });
                (StatusCode::SWITCHING_PROTOCOLS, [("connection", "upgrade"), ("upgrade", "test")])
            }
        };
        Router::new().route("/", any(upgrade))
    }

    #[tokio::test]
    async fn the_plain_socket_is_found_behind_both_servers_and_nothing_is_lost() {
        for is_ours in [true, false] {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let address = listener.local_addr().expect("an address");
            let (found, mut is_found) = mpsc::channel(1);
            let app = telling(found);
            if is_ours {
                tokio::spawn(crate::serve(listener, app).into_future());
            } else {
                tokio::spawn(axum::serve(listener, app).into_future());
            }
            let mut client = TcpStream::connect(address).await.expect("a connection");
            client
                .write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: test\r\n\r\nearly")
                .await
                .expect("it is open");
            client.read_u8().await.expect("an answer");
            assert_eq!(is_found.recv().await, Some((true, b"early".to_vec())), "behind fastws::serve: {is_ours}");
        }
    }
}
