//! The same conversations over every transport: TCP behind both servers, memory, and HTTP/2. What carries the bytes makes
//! no difference.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use fastws::axum::Router;
use fastws::axum::body::Body;
use fastws::axum::http::Request;
use fastws::websocket::{
    Decoder, Deflate, Event, Handshake, Header, MessageLimits, OpCode, Role, write_masked_close, write_masked_frame,
};
use fastws::{Client, FastWs, Hub, Limits, Payload, Topic, payload, recv, send};
use hyper::ext::Protocol;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tower::ServiceExt;

#[payload]
struct Text {
    text: String,
}

#[send("echo", reply = "echo.response")]
async fn echo(Payload(text): Payload<Text>) -> Text {
    text
}

/// Answers when other tasks have had a turn.
#[send("later", reply = "later.response")]
async fn later(Payload(text): Payload<Text>) -> Text {
    tokio::task::yield_now().await;
    text
}

#[send("listen", reply = "listen.response")]
async fn listen(client: Client) -> fastws::Result<bool> {
    client.subscribe(&topic()).await.map(|()| true)
}

#[send("say", reply = "say.response")]
async fn say(hub: Hub, Payload(text): Payload<Text>) -> usize {
    hub.publish::<said>(&topic(), text)
}

#[recv("said")]
fn said(text: Text) -> Text {
    text
}

fn topic() -> Topic {
    Topic::from("room")
}

/// This is what carries the bytes.
#[derive(Clone, Copy, Debug)]
enum Transport {
    /// `fastws::serve` over TCP.
    Fastws,
    /// `axum::serve` over TCP.
    Axum,
    /// HTTP/1.1 in memory, which stands for TLS and all else that is no plain socket.
    Memory,
    /// One stream of HTTP/2 (RFC 8441), in memory.
    Http2,
}

const TRANSPORTS: [Transport; 4] = [Transport::Fastws, Transport::Axum, Transport::Memory, Transport::Http2];

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// This is a client that sees every byte.
struct Peer {
    io: Box<dyn Duplex>,
    decoder: Decoder,
    heard: std::collections::VecDeque<Heard>,
}

#[derive(Debug, PartialEq)]
enum Heard {
    Message(Value),
    Pong(Vec<u8>),
    Closed(Option<u16>, String),
    End,
}

const KEY: [u8; 4] = [7, 77, 177, 3];
const PATIENCE: Duration = Duration::from_secs(10);
const HEAD: &str = "GET /ws HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
                    sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

impl Peer {
    /// Connects, with bytes that follow the handshake at once.
    async fn connect(ws: &FastWs, transport: Transport, extension: bool, early: &[u8]) -> Self {
        let app = Router::new().route("/ws", ws.route());
        let offer = if extension { "sec-websocket-extensions: permessage-deflate\r\n" } else { "" };
        let mut io: Box<dyn Duplex> = match transport {
            Transport::Fastws | Transport::Axum => {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
                let address = listener.local_addr().expect("an address");
                if matches!(transport, Transport::Axum) {
                    tokio::spawn(async move { fastws::axum::serve(listener, app).await });
                } else {
                    tokio::spawn(async move { fastws::serve(listener, app).await });
                }
                Box::new(TcpStream::connect(address).await.expect("a connection"))
            }
            Transport::Memory => {
                let (near, far) = tokio::io::duplex(64 * 1024);
                let service = service_fn(move |request| answer(app.clone(), request));
                let serving = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(far), service);
                tokio::spawn(serving.with_upgrades());
                Box::new(near)
            }
            Transport::Http2 => Box::new(open_http2(app, extension).await),
        };
        if matches!(transport, Transport::Http2) {
            io.write_all(early).await.expect("it is open");
        } else {
            let request = [format!("{HEAD}{offer}\r\n").as_bytes(), early].concat();
            io.write_all(&request).await.expect("it is open");
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(timeout(PATIENCE, io.read_u8()).await.expect("an answer").expect("a byte"));
            }
            assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
        }
        let limits = MessageLimits { bytes: 1 << 30, ..MessageLimits::default() };
        let agreement = extension.then(fastws::websocket::Agreement::default);
        let decoder = Decoder::new(Role::Client, limits).with_deflate(agreement.as_ref());
        Self { io, decoder, heard: Default::default() }
    }

    async fn write(&mut self, bytes: &[u8]) {
        self.io.write_all(bytes).await.expect("the server reads");
    }

    async fn send(&mut self, message: Value) {
        self.write(&frame(OpCode::Text, message.to_string().as_bytes())).await;
    }

    async fn request(&mut self, name: &str, text: &str) -> Value {
        self.send(json!({ "type": name, "id": 1, "payload": { "text": text } })).await;
        self.message().await["payload"].take()
    }

    async fn message(&mut self) -> Value {
        match self.next().await {
            Heard::Message(message) => message,
            other => panic!("waited for a message, and heard {other:?}"),
        }
    }

    async fn next(&mut self) -> Heard {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            if let Some(heard) = self.heard.pop_front() {
                return heard;
            }
            let read = timeout(PATIENCE, self.io.read(&mut buffer)).await.expect("something comes");
            let Ok(count @ 1..) = read else { return Heard::End };
            let mut events = self.decoder.read(&mut buffer[..count]);
            while let Some(event) = events.next().expect("the server keeps to the protocol") {
                self.heard.push_back(match event {
                    Event::Text(text) => Heard::Message(serde_json::from_str(text).expect("JSON")),
                    Event::Pong(payload) => Heard::Pong(payload.to_vec()),
                    Event::Close(close) => Heard::Closed(close.code, close.reason.to_owned()),
                    other => panic!("a server does not send {other:?}"),
                });
            }
        }
    }
}

fn frame(opcode: OpCode, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    write_masked_frame(&mut frame, opcode, payload, KEY);
    frame
}

fn fragment(opcode: OpCode, payload: &[u8], is_final: bool) -> Vec<u8> {
    let mut frame = frame(opcode, payload);
    frame[0] = if is_final { frame[0] } else { frame[0] & 0x7f };
    frame
}

async fn answer(
    app: Router,
    request: hyper::Request<hyper::body::Incoming>,
) -> Result<fastws::axum::response::Response, Infallible> {
    app.oneshot(request.map(Body::new)).await
}

/// A stream of HTTP/2 that was opened by an extended CONNECT.
async fn open_http2(app: Router, extension: bool) -> impl Duplex {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let service = service_fn(move |request| answer(app.clone(), request));
    let mut server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    server.enable_connect_protocol();
    tokio::spawn(server.serve_connection(TokioIo::new(far), service));
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(near)).await.expect("HTTP/2");
    tokio::spawn(connection);
    // The server's settings have to arrive before an extended CONNECT may be sent.
    client.ready().await.expect("it is open");
    let mut request = Request::connect("http://localhost/ws").header("sec-websocket-version", "13");
    if extension {
        request = request.header("sec-websocket-extensions", "permessage-deflate");
    }
    let mut request = request.body(http_body_util::Empty::<Bytes>::new()).expect("a request");
    request.extensions_mut().insert(Protocol::from_static("websocket"));
    let response = client.send_request(request).await.expect("an answer");
    assert_eq!(response.status(), 200);
    TokioIo::new(hyper::upgrade::on(response).await.expect("it is a stream now"))
}

fn service() -> FastWs {
    FastWs::builder().compression(Deflate::default()).build().expect("a service")
}

#[tokio::test]
async fn requests_are_answered_and_updates_arrive() {
    for transport in TRANSPORTS {
        let ws = service();
        let mut peer = Peer::connect(&ws, transport, false, &[]).await;
        assert_eq!(peer.request("echo", "AAPL").await, json!({ "text": "AAPL" }), "{transport:?}");
        assert_eq!(peer.request("later", "AAPL").await, json!({ "text": "AAPL" }), "{transport:?}");
        assert_eq!(peer.request("listen", "").await, true);
        peer.send(json!({ "type": "say", "payload": { "text": "hello" } })).await;
        let update = peer.message().await;
        assert_eq!(update, json!({ "type": "said", "topic": "room", "payload": { "text": "hello" } }), "{transport:?}");
        assert_eq!(peer.message().await["payload"], 1, "the reply comes after what was published before it");
    }
}

#[tokio::test]
async fn what_follows_the_handshake_at_once_is_not_lost() {
    for transport in TRANSPORTS {
        let ws = service();
        let early: Vec<u8> = (0..100)
            .flat_map(|n| {
                let text = json!({ "type": "echo", "id": n, "payload": { "text": "early" } }).to_string();
                frame(OpCode::Text, text.as_bytes())
            })
            .collect();
        let mut peer = Peer::connect(&ws, transport, false, &early).await;
        for n in 0..100 {
            assert_eq!(peer.message().await["id"], n, "{transport:?}");
        }
    }
}

#[tokio::test]
async fn fragments_and_pieces_are_put_together_and_pings_pass_between() {
    for transport in TRANSPORTS {
        let ws = service();
        let mut peer = Peer::connect(&ws, transport, false, &[]).await;
        let text = json!({ "type": "echo", "id": "é", "payload": { "text": "in pieces" } }).to_string();
        let (one, two) = text.as_bytes().split_at(16);
        let bytes = [
            fragment(OpCode::Text, one, false),
            frame(OpCode::Ping, b"between"),
            fragment(OpCode::Continuation, two, true),
        ]
        .concat();
        for byte in bytes {
            peer.write(&[byte]).await;
        }
        assert_eq!(peer.next().await, Heard::Pong(b"between".to_vec()), "{transport:?}");
        assert_eq!(peer.message().await["payload"]["text"], "in pieces", "{transport:?}");
    }
}

#[tokio::test]
async fn mistakes_are_closed_with_their_code_and_the_stream_ends() {
    let huge = Header { is_final: true, is_compressed: false, opcode: OpCode::Text, mask: Some(KEY), length: 1 << 40 };
    let mut too_big = Vec::new();
    huge.write(&mut too_big);
    let mistakes: [(&[u8], u16); 4] = [
        (&[0x81, 0x02, b'h', b'i'], 1002),
        (&[0x83, 0x80, 0, 0, 0, 0], 1002),
        (&[0x81, 0x81, 0, 0, 0, 0, 0xff], 1007),
        (&too_big, 1009),
    ];
    for transport in TRANSPORTS {
        for (bytes, code) in mistakes {
            let ws = service();
            let mut peer = Peer::connect(&ws, transport, false, &[]).await;
            peer.write(bytes).await;
            let Heard::Closed(Some(told), _) = peer.next().await else { panic!("{transport:?}: no close frame") };
            assert_eq!(told, code, "{transport:?}");
            assert_eq!(peer.next().await, Heard::End, "{transport:?}");
        }
    }
}

#[tokio::test]
async fn a_goodbye_is_answered_and_the_client_is_gone() {
    for transport in TRANSPORTS {
        let ws = service();
        let mut peer = Peer::connect(&ws, transport, false, &[]).await;
        peer.request("listen", "").await;
        assert_eq!((ws.hub().connection_count(), ws.hub().topic_count()), (1, 1));
        let mut bytes = Vec::new();
        write_masked_close(&mut bytes, 4000, "enough", KEY);
        peer.write(&bytes).await;
        assert_eq!(peer.next().await, Heard::Closed(Some(4000), "enough".into()), "{transport:?}");
        assert_eq!(peer.next().await, Heard::End, "{transport:?}");
        assert_eq!((ws.hub().connection_count(), ws.hub().topic_count()), (0, 0), "{transport:?}");
    }
}

#[tokio::test]
async fn large_messages_pass_both_ways() {
    for transport in TRANSPORTS {
        let ws = FastWs::builder()
            .limits(Limits {
                message_bytes: 4 << 20,
                inbound_burst_bytes: 8 << 20,
                outbox_bytes: 16 << 20,
                ..Limits::default()
            })
            .build()
            .expect("a service");
        let mut peer = Peer::connect(&ws, transport, false, &[]).await;
        let text = "large".repeat(500_000);
        assert_eq!(peer.request("echo", &text).await["text"], text.as_str(), "{transport:?}");
    }
}

#[tokio::test]
async fn a_client_that_can_reads_compressed_messages() {
    for transport in TRANSPORTS {
        let ws = service();
        let mut plain = Peer::connect(&ws, transport, false, &[]).await;
        let mut packed = Peer::connect(&ws, transport, true, &[]).await;
        let text = "AAPL 187.25 ".repeat(200);
        for peer in [&mut plain, &mut packed] {
            peer.request("listen", "").await;
        }
        assert_eq!(ws.hub().publish::<said>(&topic(), Text { text: text.clone() }), 2);
        for peer in [&mut plain, &mut packed] {
            assert_eq!(peer.message().await["payload"]["text"], text.as_str(), "{transport:?}");
            assert_eq!(peer.request("echo", &text).await["text"], text.as_str(), "{transport:?}");
        }
    }
}

#[tokio::test]
async fn a_handshake_over_http_2_names_its_protocol() {
    let request = Request::connect("/ws").version(fastws::axum::http::Version::HTTP_2).body(()).expect("a request");
    let (parts, ()) = request.into_parts();
    assert_eq!(Handshake::check(&parts).map(drop).expect_err("it names none").status(), 426);
}
