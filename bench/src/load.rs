//! The load client: many connections behind one epoll, and a check of every frame that they get.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use fastws_bench::Result;
use fastws_bench::frames::{CLOSE, PING, PONG, TEXT, push_client_frame, server_frame};
use memchr::memmem;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, Event, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, connect, recv, send, socket_with, sockopt,
};

use crate::dialect::Dialect;

/// These are connections to one server, all open. Dropping them resets them, so that no port stays occupied.
pub(crate) struct Swarm {
    epoll: OwnedFd,
    port: u16,
    dialect: Dialect,
    connections: Vec<Connection>,
    events: Vec<Event>,
    buffer: Vec<u8>,
}

struct Connection {
    socket: OwnedFd,
    state: State,
    /// An incomplete frame, or response.
    rest: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Connecting,
    Upgrading,
    Open,
}

/// How a connection reads.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Reading {
    /// Whenever there is something.
    Eager,
    /// Not after the upgrade, and with the smallest receive buffer.
    Never,
}

impl Swarm {
    /// Opens `count` connections.
    pub(crate) fn connect(port: u16, dialect: Dialect, count: usize) -> Result<Self> {
        let mut swarm = Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            port,
            dialect,
            connections: Vec::with_capacity(count),
            events: Vec::with_capacity(1024),
            buffer: vec![0; 256 * 1024],
        };
        swarm.add(count, Reading::Eager)?;
        Ok(swarm)
    }

    /// Opens `count` more connections, [`AT_ONCE`] at a time.
    pub(crate) fn add(&mut self, count: usize, reading: Reading) -> Result<()> {
        let first = self.connections.len();
        let mut open = first;
        while open < first + count {
            while self.connections.len() < (first + count).min(open + AT_ONCE) {
                self.begin(reading)?;
            }
            let opened = self.upgrade(reading)?;
            if opened == 0 && self.events.is_empty() {
                return Err(format!("only {open} of {} connections came about", first + count).into());
            }
            open += opened;
        }
        if let Some(greeting) = self.dialect.greeting() {
            let mut frame = Vec::new();
            push_client_frame(&mut frame, TEXT, greeting.as_bytes());
            (first..first + count).try_for_each(|at| self.send(at, &frame))?;
            let mut greeted = 0;
            self.receive_until(|_, text| {
                greeted += usize::from(text.starts_with(greeting.as_bytes()));
                Ok(greeted == count)
            })?;
        }
        Ok(())
    }

    fn begin(&mut self, reading: Reading) -> Result<()> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        sockopt::set_tcp_nodelay(&socket, true)?;
        sockopt::set_socket_linger(&socket, Some(Duration::ZERO))?;
        if reading == Reading::Never {
            sockopt::set_socket_recv_buffer_size(&socket, 1024)?;
        }
        match connect(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, self.port)) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(format!("cannot connect: {error}").into()),
        }
        let data = EventData::new_u64(self.connections.len() as u64);
        epoll::add(&self.epoll, &socket, data, EventFlags::IN | EventFlags::OUT)?;
        self.connections.push(Connection { socket, state: State::Connecting, rest: Vec::new() });
        Ok(())
    }

    /// Goes on with the connections that can; returns how many have become open.
    fn upgrade(&mut self, reading: Reading) -> Result<usize> {
        self.wait(PATIENCE)?;
        let request = self.dialect.upgrade(self.port);
        let mut opened = 0;
        for event in &self.events {
            let at = event.data.u64();
            let flags = event.flags;
            let connection = &mut self.connections[at as usize];
            match connection.state {
                State::Connecting if flags.contains(EventFlags::OUT) => {
                    send(&connection.socket, request.as_bytes(), SendFlags::NOSIGNAL)?;
                    connection.state = State::Upgrading;
                    epoll::modify(&self.epoll, &connection.socket, event.data, EventFlags::IN)?;
                }
                State::Upgrading => {
                    let (length, _) = recv(&connection.socket, &mut self.buffer[..], RecvFlags::empty())?;
                    connection.rest.extend_from_slice(&self.buffer[..length]);
                    let Some(end) = memmem::find(&connection.rest, b"\r\n\r\n") else {
                        if length == 0 {
                            return Err("a connection was closed instead of upgraded".into());
                        }
                        continue;
                    };
                    if !connection.rest.starts_with(b"HTTP/1.1 101 ") {
                        let answer = String::from_utf8_lossy(&connection.rest[..end]);
                        return Err(format!("an upgrade was refused: {answer}").into());
                    }
                    connection.rest.drain(..end + 4);
                    connection.state = State::Open;
                    opened += 1;
                    if reading == Reading::Never {
                        epoll::delete(&self.epoll, &connection.socket)?;
                    }
                }
                _ => {}
            }
        }
        Ok(opened)
    }

    /// Sends whole frames on one connection, and waits if its socket is full.
    pub(crate) fn send(&mut self, at: usize, mut frames: &[u8]) -> Result<()> {
        let socket = &self.connections[at].socket;
        while !frames.is_empty() {
            match send(socket, frames, SendFlags::NOSIGNAL) {
                Ok(sent) => frames = &frames[sent..],
                Err(Errno::AGAIN) => {
                    poll(&mut [PollFd::new(socket, PollFlags::OUT)], Some(&timespec(PATIENCE)))?;
                }
                Err(error) => return Err(format!("cannot send on connection {at}: {error}").into()),
            }
        }
        Ok(())
    }

    /// Receives until `on_message`, which is told who got what, says that it is enough.
    ///
    /// # Errors
    /// Nothing comes for [`PATIENCE`], a connection ends, or a message is not what it should be.
    pub(crate) fn receive_until(&mut self, mut on_message: impl FnMut(usize, &[u8]) -> Result<bool>) -> Result<()> {
        let mut is_enough = false;
        while !is_enough {
            let is_silent = !self.receive(PATIENCE, |at, text| {
                is_enough |= on_message(at, text)?;
                Ok(())
            })?;
            if is_silent {
                return Err(format!("nothing came for {PATIENCE:?}: frames are lost, or the server hangs").into());
            }
        }
        Ok(())
    }

    /// Receives what there is, waiting for at most `patience`; says whether there was anything.
    pub(crate) fn receive(
        &mut self,
        patience: Duration,
        mut on_message: impl FnMut(usize, &[u8]) -> Result<()>,
    ) -> Result<bool> {
        self.wait(patience)?;
        for at in self.events.iter().map(|event| event.data.u64() as usize) {
            let connection = &mut self.connections[at];
            connection
                .receive(self.dialect, &mut self.buffer, |text| on_message(at, text))
                .map_err(|error| format!("connection {at}: {error}"))?;
        }
        Ok(!self.events.is_empty())
    }

    fn wait(&mut self, patience: Duration) -> Result<()> {
        self.events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&timespec(patience))) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl Connection {
    fn receive(
        &mut self,
        dialect: Dialect,
        buffer: &mut [u8],
        mut on_message: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let length = match recv(&self.socket, &mut *buffer, RecvFlags::empty()) {
            Ok((0, _)) => return Err("the server closed it without a close frame".into()),
            Ok((length, _)) => length,
            Err(Errno::AGAIN) => return Ok(()),
            Err(error) => return Err(format!("it broke: {error}").into()),
        };
        let mut rest = std::mem::take(&mut self.rest);
        let mut bytes = if rest.is_empty() {
            &buffer[..length]
        } else {
            rest.extend_from_slice(&buffer[..length]);
            &rest[..]
        };
        while let Some(frame) = server_frame(bytes) {
            let payload = &bytes[frame.payload.clone()];
            match frame.kind {
                TEXT => match dialect.sign_of_life(payload) {
                    Some(answer) => self.answer(TEXT, answer)?,
                    None => on_message(payload)?,
                },
                PING => self.answer(PONG, payload)?,
                PONG => {}
                CLOSE => {
                    let code = payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
                    return Err(format!("the server closed it with {code}").into());
                }
                kind => return Err(format!("a frame begins with {kind:#x}").into()),
            }
            bytes = &bytes[frame.payload.end..];
        }
        self.rest = bytes.to_vec();
        Ok(())
    }

    fn answer(&self, kind: u8, payload: &[u8]) -> Result<()> {
        let mut frame = Vec::new();
        push_client_frame(&mut frame, kind, payload);
        send(&self.socket, &frame, SendFlags::NOSIGNAL)?;
        Ok(())
    }
}

/// These are the times that something took.
#[derive(Default)]
pub(crate) struct Latencies(Vec<u32>);

impl Latencies {
    pub(crate) fn record(&mut self, since: Instant) {
        self.0.push(u32::try_from(since.elapsed().as_micros()).unwrap_or(u32::MAX));
    }

    /// The time, in microseconds, that `share` of all did not exceed.
    pub(crate) fn quantile(&mut self, share: f64) -> u32 {
        self.0.sort_unstable();
        let place = (self.0.len() as f64 * share).ceil() as usize;
        self.0.get(place.saturating_sub(1)).copied().unwrap_or(0)
    }
}

/// The number that follows `name` in a JSON text; the last one, if there are several.
pub(crate) fn number(text: &[u8], name: &str) -> Option<u64> {
    let start = memmem::rfind(text, name.as_bytes())? + name.len();
    let digits =
        text[start..].iter().skip_while(|byte| b"\": ".contains(byte)).take_while(|byte| byte.is_ascii_digit());
    digits.map(|digit| u64::from(digit - b'0')).reduce(|number, digit| 10 * number + digit)
}

fn timespec(duration: Duration) -> Timespec {
    duration.try_into().expect("a few seconds fit")
}

/// How many connections are being opened at a time.
const AT_ONCE: usize = 128;
/// How long a silence may last before something is wrong.
const PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_found_behind_its_name() {
        assert_eq!(number(br#"{"payload":{"seq":10000001}}"#, "\"seq\""), Some(10_000_001));
        assert_eq!(number(br#"{"id": 7, "seq": 9}"#, "\"id\""), Some(7));
        assert_eq!(number(br#"{"seq":""}"#, "\"seq\""), None);
        assert_eq!(number(b"{}", "\"seq\""), None);
    }

    #[test]
    fn a_quantile_is_a_time_that_was_measured() {
        let mut latencies = Latencies((1..=100).rev().collect());
        assert_eq!([0.0, 0.5, 0.99, 1.0].map(|share| latencies.quantile(share)), [1, 50, 99, 100]);
        assert_eq!(Latencies::default().quantile(0.5), 0);
    }
}
