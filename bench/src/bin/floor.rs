//! The floor: what the kernel charges for the work, with as little as possible on top. `floor PORT [coalesce] [json]`
//!
//! One thread, one epoll, one `send()` of bytes that are ready for each socket. It knows no pings, no fragments and no
//! close frames, and it trusts its clients. With `coalesce`, what a tick publishes leaves in one `send()` for each
//! subscriber. With `json`, messages are read as JSON; otherwise their first bytes decide, and the reply is a constant.

use std::borrow::Cow;
use std::collections::HashMap;
use std::os::fd::OwnedFd;

use base64::Engine;
use fastws_bench::Result;
use fastws_bench::frames::{TEXT, client_frame, push_server_frame};
use fastws_bench::stage;
use fastws_bench::words::{Request, SUBSCRIBED};
use memchr::memmem;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags, accept_with, recv, send, sockopt};
use sha1::{Digest, Sha1};

fn main() -> Result<()> {
    stage::allow_many_files()?;
    let mut floor = Floor::new(stage::is_asked_for("coalesce"), stage::is_asked_for("json"))?;
    let listener = stage::listener()?;
    epoll::add(&floor.epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let mut events = Vec::with_capacity(1024);
    loop {
        epoll::wait(&floor.epoll, spare_capacity(&mut events), None)?;
        for event in events.drain(..) {
            let flags = event.flags;
            match event.data.u64() {
                LISTENER => floor.accept(&listener)?,
                at => floor.attend(at as usize, flags)?,
            }
        }
        floor.end_tick()?;
    }
}

/// The listener's number among the events; all others are connections.
const LISTENER: u64 = u64::MAX;

struct Floor {
    epoll: OwnedFd,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    topics: HashMap<Box<[u8]>, Vec<usize>>,
    /// What this tick has published on one topic, as long as it is only one.
    group: Option<Group>,
    /// Who has something to send at the end of the tick.
    dirty: Vec<usize>,
    buffer: Vec<u8>,
    coalesces: bool,
    reads_json: bool,
}

struct Connection {
    socket: OwnedFd,
    is_open: bool,
    /// An incomplete frame.
    rest: Vec<u8>,
    out: Vec<u8>,
    is_dirty: bool,
    /// Whether the socket takes nothing for now.
    is_blocked: bool,
    topics: Vec<Box<[u8]>>,
}

struct Group {
    topic: Box<[u8]>,
    frames: Vec<u8>,
}

impl Floor {
    fn new(coalesces: bool, reads_json: bool) -> Result<Self> {
        Ok(Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            connections: Vec::new(),
            free: Vec::new(),
            topics: HashMap::new(),
            group: None,
            dirty: Vec::new(),
            buffer: vec![0; 128 * 1024],
            coalesces,
            reads_json,
        })
    }

    fn accept(&mut self, listener: &std::net::TcpListener) -> Result<()> {
        while let Ok(socket) = accept_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
            sockopt::set_tcp_nodelay(&socket, true)?;
            let at = self.free.pop().unwrap_or(self.connections.len());
            epoll::add(&self.epoll, &socket, EventData::new_u64(at as u64), EventFlags::IN)?;
            let connection = Some(Connection::new(socket));
            if at == self.connections.len() {
                self.connections.push(connection);
            } else {
                self.connections[at] = connection;
            }
        }
        Ok(())
    }

    fn attend(&mut self, at: usize, flags: EventFlags) -> Result<()> {
        let Some(connection) = &mut self.connections[at] else { return Ok(()) };
        if flags.contains(EventFlags::OUT) && connection.is_blocked {
            connection.unblock(&self.epoll, at)?;
        }
        if flags.intersects(EventFlags::IN | EventFlags::ERR | EventFlags::HUP) { self.read(at) } else { Ok(()) }
    }

    fn read(&mut self, at: usize) -> Result<()> {
        let Some(connection) = &mut self.connections[at] else { return Ok(()) };
        let length = match recv(&connection.socket, &mut self.buffer[..], RecvFlags::empty()) {
            Err(Errno::AGAIN) => return Ok(()),
            Ok((0, _)) | Err(_) => {
                self.close(at);
                return Ok(());
            }
            Ok((length, _)) => length,
        };
        if connection.rest.is_empty() {
            let mut buffer = std::mem::take(&mut self.buffer);
            self.digest(at, &mut buffer[..length])?;
            self.buffer = buffer;
        } else {
            let mut bytes = std::mem::take(&mut connection.rest);
            bytes.extend_from_slice(&self.buffer[..length]);
            self.digest(at, &mut bytes)?;
        }
        let Some(connection) = &mut self.connections[at] else { return Ok(()) };
        connection.flush(&self.epoll, at)
    }

    /// Takes whole frames from `bytes`, and keeps what is left.
    fn digest(&mut self, at: usize, mut bytes: &mut [u8]) -> Result<()> {
        let Some(connection) = &mut self.connections[at] else { return Ok(()) };
        if !connection.is_open {
            match handshake(bytes) {
                Some(answer) => connection.open(&answer),
                None => connection.rest = bytes.to_vec(),
            }
            return Ok(());
        }
        while let Some(frame) = client_frame(bytes) {
            let (head, rest) = bytes.split_at_mut(frame.payload.end);
            bytes = rest;
            if frame.kind == TEXT {
                self.message(at, &head[frame.payload])?;
            }
        }
        if let Some(connection) = &mut self.connections[at] {
            connection.rest = bytes.to_vec();
        }
        Ok(())
    }

    fn message(&mut self, at: usize, text: &[u8]) -> Result<()> {
        let request = if self.reads_json { Request::parse(std::str::from_utf8(text)?) } else { glance(text) };
        let Some(connection) = &mut self.connections[at] else { return Ok(()) };
        match request {
            Some(Request::Subscribe(topic)) => {
                let topic: Box<[u8]> = topic.as_bytes().into();
                connection.topics.push(topic.clone());
                push_server_frame(&mut connection.out, TEXT, SUBSCRIBED.as_bytes());
                self.topics.entry(topic).or_default().push(at);
            }
            Some(Request::Publish(topic)) if self.coalesces => self.collect(topic.as_bytes(), text),
            Some(Request::Publish(topic)) => self.publish(topic.as_bytes(), text)?,
            Some(Request::Answer(answer)) => push_server_frame(&mut connection.out, TEXT, answer.as_bytes()),
            None => {}
        }
        Ok(())
    }

    /// One `send()` for each subscriber, now.
    fn publish(&mut self, topic: &[u8], text: &[u8]) -> Result<()> {
        let mut frame = Vec::with_capacity(text.len() + 4);
        push_server_frame(&mut frame, TEXT, text);
        for &at in self.topics.get(topic).into_iter().flatten() {
            let Some(connection) = &mut self.connections[at] else { continue };
            connection.send(&frame, &self.epoll, at)?;
        }
        Ok(())
    }

    /// Adds a frame to what the tick publishes.
    fn collect(&mut self, topic: &[u8], text: &[u8]) {
        if self.group.as_ref().is_some_and(|group| *group.topic != *topic) {
            self.distribute();
        }
        let group = self.group.get_or_insert_with(|| Group { topic: topic.into(), frames: Vec::new() });
        push_server_frame(&mut group.frames, TEXT, text);
    }

    /// Lays the group's frames into the outboxes of its subscribers.
    fn distribute(&mut self) {
        let Some(Group { topic, frames }) = self.group.take() else { return };
        for &at in self.topics.get(&topic).into_iter().flatten() {
            let Some(connection) = &mut self.connections[at] else { continue };
            connection.out.extend_from_slice(&frames);
            if !std::mem::replace(&mut connection.is_dirty, true) {
                self.dirty.push(at);
            }
        }
    }

    /// One `send()` for each subscriber of this tick's updates; straight from the group if there is no other.
    fn end_tick(&mut self) -> Result<()> {
        if self.dirty.is_empty()
            && let Some(Group { topic, frames }) = self.group.take()
        {
            for &at in self.topics.get(&topic).into_iter().flatten() {
                let Some(connection) = &mut self.connections[at] else { continue };
                connection.send(&frames, &self.epoll, at)?;
            }
        }
        self.distribute();
        for at in self.dirty.drain(..) {
            let Some(connection) = &mut self.connections[at] else { continue };
            connection.is_dirty = false;
            connection.flush(&self.epoll, at)?;
        }
        Ok(())
    }

    fn close(&mut self, at: usize) {
        let Some(connection) = self.connections[at].take() else { return };
        for topic in connection.topics {
            let Some(subscribers) = self.topics.get_mut(&topic) else { continue };
            if let Some(place) = subscribers.iter().position(|&subscriber| subscriber == at) {
                subscribers.swap_remove(place);
            }
            if subscribers.is_empty() {
                self.topics.remove(&topic);
            }
        }
        self.free.push(at);
    }
}

impl Connection {
    fn new(socket: OwnedFd) -> Self {
        Self {
            socket,
            is_open: false,
            rest: Vec::new(),
            out: Vec::new(),
            is_dirty: false,
            is_blocked: false,
            topics: Vec::new(),
        }
    }

    fn open(&mut self, answer: &str) {
        self.is_open = true;
        self.out.extend_from_slice(answer.as_bytes());
    }

    /// Sends `bytes`, or queues what the socket does not take.
    fn send(&mut self, bytes: &[u8], epoll: &OwnedFd, at: usize) -> Result<()> {
        let taken = if self.out.is_empty() { taken(&self.socket, bytes) } else { 0 };
        if taken < bytes.len() {
            self.out.extend_from_slice(&bytes[taken..]);
            self.flush(epoll, at)?;
        }
        Ok(())
    }

    /// Sends what is queued, and waits for the socket if it does not take everything.
    fn flush(&mut self, epoll: &OwnedFd, at: usize) -> Result<()> {
        if self.is_blocked || self.out.is_empty() {
            return Ok(());
        }
        self.out.drain(..taken(&self.socket, &self.out));
        if !self.out.is_empty() {
            self.is_blocked = true;
            epoll::modify(epoll, &self.socket, EventData::new_u64(at as u64), EventFlags::IN | EventFlags::OUT)?;
        }
        Ok(())
    }

    /// The socket takes bytes again.
    fn unblock(&mut self, epoll: &OwnedFd, at: usize) -> Result<()> {
        self.is_blocked = false;
        epoll::modify(epoll, &self.socket, EventData::new_u64(at as u64), EventFlags::IN)?;
        self.flush(epoll, at)
    }
}

/// How many bytes the socket takes now. An error shows when the socket is read.
fn taken(socket: &OwnedFd, bytes: &[u8]) -> usize {
    send(socket, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT).unwrap_or(0)
}

/// What a message asks for, by its first bytes.
fn glance(text: &[u8]) -> Option<Request<'_>> {
    if text.starts_with(br#"{"type":"bars"#) {
        return Some(Request::Answer(ANSWER.into()));
    }
    let topic = memmem::find(text, br#""topic":""#)? + br#""topic":""#.len();
    let end = topic + memchr::memchr(b'"', &text[topic..])?;
    let topic = Cow::Borrowed(std::str::from_utf8(&text[topic..end]).ok()?);
    match text.get(9)? {
        b's' => Some(Request::Subscribe(topic)),
        b'p' => Some(Request::Publish(topic)),
        _ => None,
    }
}

const ANSWER: &str = r#"{"type":"bars.get.response","id":10000000,"payload":{"topic":"bars:AAPL:1"}}"#;

/// The answer to a whole request for an upgrade (RFC 6455 section 4.2.2).
fn handshake(request: &[u8]) -> Option<String> {
    if !request.ends_with(b"\r\n\r\n") {
        return None;
    }
    let header = b"Sec-WebSocket-Key: ";
    let key = memmem::find(request, header)? + header.len();
    let end = key + memchr::memchr(b'\r', &request[key..])?;
    let digest = Sha1::new().chain_update(&request[key..end]).chain_update(GUID).finalize();
    let accept = base64::engine::general_purpose::STANDARD.encode(digest);
    Some(format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    ))
}

const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
