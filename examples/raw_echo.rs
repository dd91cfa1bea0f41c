//! An echo over the protocol core alone, for conformance suites and for those who want bytes rather than operations.
//!
//! `cargo run --example raw_echo 127.0.0.1:9101 --max-message 67108864 --deflate`

use std::io::ErrorKind;
use std::time::Duration;

use fastws::axum::Router;
use fastws::axum::body::Body;
use fastws::axum::extract::{Request, State};
use fastws::axum::response::Response;
use fastws::axum::routing::any;
use fastws::websocket::{
    Agreement, Decoder, Deflate, Event, Handshake, MessageLimits, OpCode, ProtocolError, Role, write_close, write_frame,
};
use fastws::{HttpLimits, Serve};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

/// What the echo allows.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Terms {
    pub(crate) limits: MessageLimits,
    /// Whether compression is agreed to.
    pub(crate) deflate: bool,
}

/// A server that echoes at `/`.
pub(crate) fn serve(listener: TcpListener, terms: Terms) -> Serve {
    let app = Router::new().route("/", any(open)).with_state(terms);
    let limits = HttpLimits { send_buffer_bytes: SEND_BUFFER_BYTES, ..HttpLimits::default() };
    fastws::serve(listener, app).limits(limits)
}

async fn open(State(terms): State<Terms>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let mut handshake = match Handshake::check(&parts) {
        Ok(handshake) => handshake,
        Err(error) => return error.response().map(Body::from),
    };
    let agreement = if terms.deflate { handshake.agree(&Deflate::default()) } else { None };
    let upgrade = hyper::upgrade::on(Request::from_parts(parts, body));
    tokio::spawn(async move {
        if let Ok(upgraded) = upgrade.await {
            // An error here is a peer that has gone: there is nobody left to tell.
            let _gone = echo(TokioIo::new(upgraded), terms.limits, agreement).await;
        }
    });
    handshake.response().map(|()| Body::empty())
}

/// Echoes until somebody says goodbye.
async fn echo<S>(mut socket: S, limits: MessageLimits, agreement: Option<Agreement>) -> std::io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut decoder = Decoder::new(Role::Server, limits).with_deflate(agreement.as_ref());
    let mut sweep = interval(limits.age.min(Duration::from_secs(1)));
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut read = vec![0; READ_BYTES];
    loop {
        let count = tokio::select! {
            count = socket.read(&mut read) => count?,
            now = sweep.tick() => {
                if let Err(error) = decoder.check_age(Instant::into_std(now)) {
                    return part(socket, error.close_code(), &error.to_string()).await;
                }
                continue;
            }
        };
        if count == 0 {
            return Ok(());
        }
        match answer(&mut socket, &mut decoder, &mut read[..count], agreement).await? {
            Ok(None) => {}
            Ok(Some(code)) => return part(socket, code, "").await,
            Err(error) => return part(socket, error.close_code(), &error.to_string()).await,
        }
    }
}

/// Answers what was just read; with a close code when the peer has said goodbye.
async fn answer<S: AsyncWrite + Unpin>(
    socket: &mut S,
    decoder: &mut Decoder,
    read: &mut [u8],
    agreement: Option<Agreement>,
) -> std::io::Result<Result<Option<u16>, ProtocolError>> {
    let mut written = Vec::new();
    let mut events = decoder.read(read);
    let ended = loop {
        let (opcode, payload) = match events.next() {
            Ok(Some(Event::Text(text))) => (OpCode::Text, text.as_bytes()),
            Ok(Some(Event::Binary(bytes))) => (OpCode::Binary, bytes),
            Ok(Some(Event::Ping(payload))) => {
                write_frame(&mut written, OpCode::Pong, payload);
                // No further ping is looked at before the pong is gone, so at most one is ever pending.
                write(socket, &mut written).await?;
                continue;
            }
            Ok(Some(Event::Pong(_))) => continue,
            Ok(Some(Event::Close(close))) => break Ok(Some(close.reply())),
            Ok(None) => break Ok(None),
            Err(error) => break Err(error),
        };
        match agreement {
            Some(agreement) => agreement.write_message(&mut written, opcode, payload),
            None => write_frame(&mut written, opcode, payload),
        }
        if written.len() >= READ_BYTES {
            write(socket, &mut written).await?;
        }
    };
    write(socket, &mut written).await?;
    Ok(ended)
}

/// Writes all of it, to a peer that reads: however long it takes, some of it has to go through now and then.
async fn write<S: AsyncWrite + Unpin>(socket: &mut S, bytes: &mut Vec<u8>) -> std::io::Result<()> {
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        let written = timeout(WRITE_TIMEOUT, socket.write(rest)).await??;
        if written == 0 {
            return Err(ErrorKind::WriteZero.into());
        }
        rest = &rest[written..];
    }
    bytes.clear();
    Ok(())
}

/// Says goodbye, and reads on for a moment: a socket that is dropped with bytes unread resets the connection, and the
/// close frame is lost.
async fn part<S: AsyncRead + AsyncWrite + Unpin>(mut socket: S, code: u16, reason: &str) -> std::io::Result<()> {
    let mut written = Vec::new();
    write_close(&mut written, code, reason);
    write(&mut socket, &mut written).await?;
    socket.shutdown().await?;
    let mut unread = [0; 4096];
    let drain = async { while socket.read(&mut unread).await.is_ok_and(|count| count > 0) {} };
    // Whether the peer hung up or the time was over, there is nothing left to do.
    let _ended = timeout(DRAIN, drain).await;
    Ok(())
}

const READ_BYTES: usize = 64 * 1024;
/// Large messages are at home here. The default, 32 KiB, is less than two segments of the loopback interface, and whoever
/// reads there acknowledges a single segment only after 40 ms.
const SEND_BUFFER_BYTES: usize = 256 * 1024;
/// How long a peer may read nothing at all.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
const DRAIN: Duration = Duration::from_secs(1);

#[tokio::main]
#[cfg_attr(test, allow(dead_code, reason = "the tests bring their own"))]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().ok_or(USAGE)?;
    let mut terms = Terms::default();
    while let Some(argument) = arguments.next() {
        match &*argument {
            "--max-message" => terms.limits.bytes = arguments.next().ok_or(USAGE)?.parse()?,
            "--deflate" => terms.deflate = true,
            _ => return Err(USAGE.into()),
        }
    }
    let listener = TcpListener::bind(address).await?;
    eprintln!("ws://{}/", listener.local_addr()?);
    Ok(serve(listener, terms).await?)
}

const USAGE: &str = "usage: raw_echo ADDRESS [--max-message BYTES] [--deflate]";
