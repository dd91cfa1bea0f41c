//! A WebSocket client that can be as wrong as a test wants, and tells what the server made of it.

#![allow(unreachable_pub, reason = "a module of tests is nobody else's")]

use std::io::{Error, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use fastws::websocket::apply_mask;
use futures_util::future::join_all;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{interval, timeout};

/// This is the client's end of a connection that has been upgraded.
pub struct Peer {
    pub stream: TcpStream,
}

/// This is a frame of the server.
pub struct Frame {
    first: u8,
    payload: Vec<u8>,
}

/// This is all that a server had to say to a peer, one entry for each frame, and how it ended.
#[derive(Debug)]
pub struct Told {
    pub frames: Vec<String>,
    pub ending: Ending,
}

/// This is how a connection ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ending {
    /// The server has ended it in order: after a close frame this is how it has to be.
    Fin,
    /// The server broke it off, which can destroy what it had written before.
    Reset,
    /// It did not end in time.
    StillOpen,
}

impl Peer {
    /// Opens a WebSocket.
    pub async fn open(address: SocketAddr) -> Self {
        let (peer, head) = Self::ask(address, upgrade("").as_bytes()).await.expect("an answer");
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        peer
    }

    /// Sends a request over a new connection and reads the head of the answer.
    pub async fn ask(address: SocketAddr, request: &[u8]) -> Result<(Self, String), String> {
        let mut stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        // A server that has seen enough of a request may hang up before all of it is sent.
        let _sent = stream.write_all(request).await;
        let mut peer = Self { stream };
        let head = peer.head().await?;
        Ok((peer, head))
    }

    /// Reads the head of an HTTP answer.
    pub async fn head(&mut self) -> Result<String, String> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match timeout(PATIENCE, self.stream.read_u8()).await {
                Ok(Ok(byte)) => head.push(byte),
                Ok(Err(error)) => return Err(format!("{error} after {:?}", String::from_utf8_lossy(&head))),
                Err(_) => return Err(format!("no answer after {:?}", String::from_utf8_lossy(&head))),
            }
        }
        Ok(String::from_utf8_lossy(&head).into_owned())
    }

    /// Sends bytes as they are.
    pub async fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Sends a request and waits for the frame that answers it.
    pub async fn request(&mut self, name: &str, payload: &str) -> Value {
        self.send(&text(&format!(r#"{{"type":"{name}","id":"{name}","payload":{payload}}}"#)))
            .await
            .expect("it is sent");
        loop {
            let frame = self.frame().await.expect("the connection is open");
            let message: Value = serde_json::from_slice(&frame.payload).unwrap_or_default();
            if message["id"] == name {
                return message;
            }
        }
    }

    /// How many connections the server has, this one included.
    pub async fn connections(&mut self) -> u64 {
        self.request("info", "null").await["payload"]["total_connections"].as_u64().expect("a number")
    }

    /// Subscribes to 40 topics, of which a list has 700 bytes.
    pub async fn subscribe_to_all(&mut self) {
        for resolution in ["1", "5", "15", "30", "60", "240", "D", "W"] {
            let symbols = r#"["AAPL","GOOGL","MSFT","BTCUSD","BTCUSDT"]"#;
            let payload = format!(r#"{{"symbols":{symbols},"params":{{"resolution":"{resolution}"}}}}"#);
            let reply = self.request("multi_subscribe", &payload).await;
            assert_eq!(reply["type"], "multi_subscribe.response", "{reply}");
        }
    }

    /// Asks until this is the only connection that the server has.
    pub async fn is_left_alone(&mut self) {
        let mut pace = interval(Duration::from_millis(5));
        let alone = async {
            while self.connections().await > 1 {
                pace.tick().await;
            }
        };
        timeout(PATIENCE, alone).await.expect("the server lets go of the others");
    }

    /// The next frame.
    pub async fn frame(&mut self) -> Result<Frame, Ending> {
        timeout(PATIENCE, read_frame(&mut self.stream))
            .await
            .map_err(|_| Ending::StillOpen)?
            .map_err(|error| Ending::of(&error))
    }

    /// Sends bytes while it reads, to the end.
    pub async fn told_meanwhile(&mut self, bytes: &[u8]) -> Told {
        let (mut incoming, mut outgoing) = self.stream.split();
        let mut frames = Vec::new();
        let reading = async {
            loop {
                match read_frame(&mut incoming).await {
                    Ok(frame) => frames.push(frame.to_string()),
                    Err(error) => break Ending::of(&error),
                }
            }
        };
        let both = async { tokio::join!(reading, outgoing.write_all(bytes)).0 };
        let ending = timeout(PATIENCE, both).await.unwrap_or(Ending::StillOpen);
        Told { frames, ending }
    }

    /// Reads to the end. After `count` frames without a close frame the peer closes by itself, with 1000.
    pub async fn told(&mut self, count: usize) -> Told {
        let mut frames = Vec::new();
        let ending = timeout(PATIENCE, self.listen(count, &mut frames)).await.unwrap_or(Ending::StillOpen);
        Told { frames, ending }
    }

    async fn listen(&mut self, count: usize, frames: &mut Vec<String>) -> Ending {
        let mut has_closed = false;
        loop {
            if frames.len() == count && !has_closed {
                has_closed = true;
                // What cannot be sent shows in how the connection ends.
                let _sent = self.send(&close(1000, b"")).await;
            }
            match read_frame(&mut self.stream).await {
                Ok(frame) => {
                    has_closed |= frame.first == CLOSE;
                    frames.push(frame.to_string());
                }
                Err(error) => return Ending::of(&error),
            }
        }
    }
}

async fn read_frame(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Frame> {
    let first = stream.read_u8().await?;
    let length = match stream.read_u8().await? {
        126 => stream.read_u16().await?.into(),
        127 => stream.read_u64().await?,
        short @ 0..126 => short.into(),
        _ => return Err(Error::other("a server masks nothing")),
    };
    let mut payload = vec![0; usize::try_from(length).map_err(Error::other)?];
    stream.read_exact(&mut payload).await?;
    Ok(Frame { first, payload })
}

impl Ending {
    /// A connection that ends inside a frame is broken, wherever that is: at its beginning there is none to break.
    fn of(error: &Error) -> Self {
        if error.kind() == ErrorKind::UnexpectedEof { Self::Fin } else { Self::Reset }
    }
}

/// A frame in a few words, such as `error unknown_operation 7`, `info.response "a"`, `pong x` or `close 1002 reason`.
impl std::fmt::Display for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let words = String::from_utf8_lossy(&self.payload);
        match (self.first, self.payload.split_first_chunk()) {
            (TEXT, _) => {
                let message: Value = serde_json::from_str(&words).unwrap_or_default();
                write!(f, "{}", message["type"].as_str().unwrap_or("no type"))?;
                if let ("error", Some(code)) =
                    (message["type"].as_str().unwrap_or_default(), message["payload"]["code"].as_str())
                {
                    write!(f, " {code}")?;
                }
                message.get("id").map_or(Ok(()), |id| write!(f, " {id}"))
            }
            (CLOSE, Some((code, reason))) => {
                let reason = std::str::from_utf8(reason).unwrap_or("with a reason that is not UTF-8");
                write!(f, "close {} {reason}", u16::from_be_bytes(*code))
            }
            (CLOSE, None) => write!(f, "close"),
            (PING, _) => write!(f, "ping {words}"),
            (PONG, _) => write!(f, "pong {words}"),
            (other, _) => write!(f, "frame {other:#x} {words}"),
        }
    }
}

/// This is one class of peers: its name, what it sends on an open WebSocket, and what it has to be told, separated by
/// semicolons. If that does not end with a close frame, the connection stays open until the peer closes it.
pub struct Class(pub &'static str, pub Vec<u8>, pub &'static str);

impl Class {
    /// Plays it on a connection of its own; what went wrong, if anything did.
    async fn play(&self, address: SocketAddr) -> Option<String> {
        let Self(name, bytes, expected) = self;
        let mut peer = Peer::open(address).await;
        if let Err(error) = peer.send(bytes).await {
            return Some(format!("{name}: {error} while sending"));
        }
        let mut expected: Vec<_> = expected.split("; ").filter(|frame| !frame.is_empty()).collect();
        let closes = expected.last().is_some_and(|frame| frame.starts_with("close"));
        let count = if closes { usize::MAX } else { expected.len() };
        if !closes {
            expected.push("close 1000");
        }
        let told = peer.told(count).await;
        let is_right = told.ending == Ending::Fin
            && told.frames.len() == expected.len()
            && told.frames.iter().zip(&expected).all(|(frame, expected)| begins_with(frame, expected));
        (!is_right).then(|| format!("{name}: {told:?} instead of {expected:?}"))
    }
}

/// Whether a frame is this in its first words; the reason of a close frame may be left out.
fn begins_with(frame: &str, words: &str) -> bool {
    frame.strip_prefix(words).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

/// Plays all classes at the same time, and lists every one that was answered otherwise than it should be.
pub async fn play_all(address: SocketAddr, classes: Vec<Class>) {
    let complaints = join_all(classes.iter().map(|class| class.play(address))).await;
    none_of(classes.len(), complaints);
}

/// Fails with all complaints, if there are any.
pub fn none_of(count: usize, complaints: Vec<Option<String>>) {
    let wrong: Vec<String> = complaints.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}

/// A request that opens a WebSocket, with more headers.
pub fn upgrade(more: &str) -> String {
    format!(
        "GET /api/v1/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
    )
}

/// A masked frame.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    announced(first, payload.len() as u64, payload)
}

/// A masked frame that announces a length, and has another one.
pub fn announced(first: u8, length: u64, payload: &[u8]) -> Vec<u8> {
    let length = match length {
        0..126 => vec![0x80 | length as u8],
        126..=0xffff => [&[0xfe], &(length as u16).to_be_bytes()[..]].concat(),
        _ => [&[0xff], &length.to_be_bytes()[..]].concat(),
    };
    with_length(first, &length, payload)
}

/// A masked frame whose length is written like this.
pub fn with_length(first: u8, length: &[u8], payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x5a, 0x01, 0xff, 0x80];
    let mut payload = payload.to_vec();
    apply_mask(&mut payload, MASK, 0);
    [&[first], length, &MASK, &payload].concat()
}

/// A masked text message.
pub fn text(message: &str) -> Vec<u8> {
    frame(TEXT, message.as_bytes())
}

/// A masked close frame.
pub fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(CLOSE, &[&code.to_be_bytes(), reason].concat())
}

pub const TEXT: u8 = 0x81;
pub const TEXT_BEGINS: u8 = 0x01;
pub const BINARY: u8 = 0x82;
pub const BINARY_BEGINS: u8 = 0x02;
pub const MORE: u8 = 0x00;
pub const LAST: u8 = 0x80;
pub const CLOSE: u8 = 0x88;
pub const PING: u8 = 0x89;
pub const PONG: u8 = 0x8a;
pub const RSV1: u8 = 0x40;
pub const RSV2: u8 = 0x20;
pub const RSV3: u8 = 0x10;

/// The key of RFC 6455 section 1.3, and what it is answered with.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// How long a peer waits for what has to come. It is longer than the longest time limit that is tested, and not yet so
/// long that a failure is no fun.
pub const PATIENCE: Duration = Duration::from_secs(15);
