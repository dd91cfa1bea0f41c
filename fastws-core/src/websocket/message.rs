//! Messages: the events in a stream of bytes (RFC 6455 sections 5.4 to 5.6).

use std::ops::Range;
use std::time::{Duration, Instant};

use super::close::Close;
use super::deflate::{Agreement, inflate};
use super::error::ProtocolError;
use super::frame::{Header, OpCode, Role, apply_mask};

/// These are the bounds of what a peer may send. The defaults suit a public API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageLimits {
    /// How large a message may be, in bytes, also after inflation (64 KiB). It bounds frames too: one that announces more
    /// than is left for its message is refused at its header.
    pub bytes: usize,
    /// How long a message may stay unfinished (10 s). It is looked at by [`Decoder::check_age`] only.
    pub age: Duration,
}

impl Default for MessageLimits {
    fn default() -> Self {
        Self { bytes: 64 * 1024, age: Duration::from_secs(10) }
    }
}

/// This is what a peer said. It is borrowed from the bytes that were read, or from the decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A whole text message.
    Text(&'a str),
    /// A whole binary message.
    Binary(&'a [u8]),
    /// A ping. Answer with a pong of the same payload; when several wait, answering the last is enough.
    Ping(&'a [u8]),
    /// A pong, asked for or not.
    Pong(&'a [u8]),
    /// The goodbye. Nothing that comes after it is read. Answer with [`Close::reply`], unless we closed first.
    Close(Close<'a>),
}

/// This turns the bytes of one connection into events.
///
/// It never blocks, knows neither socket nor clock, and holds no memory but that of an unfinished message: many
/// connections may read into one shared buffer. Limits are checked before memory is taken, text is checked as it arrives.
/// After an error it repeats the error, after a close frame it reads nothing.
#[derive(Debug)]
pub struct Decoder {
    role: Role,
    inflates: bool,
    state: State,
    limits: MessageLimits,
    /// What has been begun; `None` while idle.
    unfinished: Option<Box<Unfinished>>,
    /// What the last event is borrowed from, unless that is the bytes that were read.
    finished: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Closed,
    Failed(ProtocolError),
}

impl Decoder {
    /// Begins with a connection whose handshake is done.
    pub fn new(role: Role, limits: MessageLimits) -> Self {
        Self { role, inflates: false, state: State::Open, limits, unfinished: None, finished: Vec::new() }
    }

    /// Reads compressed messages too, as the handshake has agreed.
    #[must_use]
    pub fn with_deflate(mut self, agreement: Option<&Agreement>) -> Self {
        self.inflates = agreement.is_some();
        self
    }

    /// Reads the events in `bytes`, which are unmasked in place. What is not a whole message yet is kept.
    pub fn read<'a>(&'a mut self, bytes: &'a mut [u8]) -> Events<'a> {
        Events { decoder: self, bytes, at: 0 }
    }

    /// Whether nothing has been begun: the next byte is the first of a message.
    pub fn is_idle(&self) -> bool {
        self.unfinished.is_none()
    }

    /// Whether the peer has said goodbye.
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// Looks for a message that stays unfinished. Call it now and then: the age counts from the first call that sees the
    /// message, so that reading costs no look at a clock.
    ///
    /// # Errors
    /// [`ProtocolError::Unfinished`] when the message is older than [`MessageLimits::age`].
    pub fn check_age(&mut self, now: Instant) -> Result<(), ProtocolError> {
        let Some(unfinished) = &mut self.unfinished else { return Ok(()) };
        let since = *unfinished.seen.get_or_insert(now);
        if now.saturating_duration_since(since) <= self.limits.age {
            return Ok(());
        }
        Err(self.fail(ProtocolError::Unfinished))
    }

    /// When [`check_age`](Self::check_age) first saw the message that is unfinished now.
    pub(crate) fn unfinished_since(&self) -> Option<Instant> {
        self.unfinished.as_ref().and_then(|unfinished| unfinished.seen)
    }

    fn fail(&mut self, error: ProtocolError) -> ProtocolError {
        self.state = State::Failed(error);
        self.unfinished = None;
        error
    }

    /// Reads up to the end of the next message or control frame.
    fn next(&mut self, bytes: &mut [u8], at: &mut usize) -> Result<Option<Found>, ProtocolError> {
        while let Some(header) = self.header(bytes, at)? {
            let whole = self.whole(&header, bytes.len() - *at);
            let found = match whole {
                Some(length) => {
                    let range = *at..*at + length;
                    *at = range.end;
                    unmask(&header, &mut bytes[range.clone()], 0);
                    Some(self.in_place(&header, bytes, range)?)
                }
                None => self.piece(&header, bytes, at)?,
            };
            match (found, &self.unfinished) {
                (Some(found), _) => return Ok(Some(found)),
                (None, Some(unfinished)) if unfinished.frame.is_some() => return Ok(None),
                (None, _) => {}
            }
        }
        Ok(None)
    }

    /// The header of the frame that is being read: the one begun earlier, or the one at `at`.
    fn header(&mut self, bytes: &[u8], at: &mut usize) -> Result<Option<Header>, ProtocolError> {
        if let Some(Frame { header, .. }) = self.unfinished.as_ref().and_then(|unfinished| unfinished.frame.as_ref()) {
            return Ok(Some(*header));
        }
        let rest = &bytes[*at..];
        if rest.is_empty() {
            return Ok(None);
        }
        let begun = self.unfinished.as_mut().filter(|unfinished| unfinished.head_length > 0);
        let (parsed, kept) = match begun {
            Some(unfinished) => {
                let kept = unfinished.head_length;
                unfinished.keep_head(rest);
                (Header::parse(&unfinished.head[..unfinished.head_length])?, kept)
            }
            None => (Header::parse(rest)?, 0),
        };
        let Some((header, length)) = parsed else {
            if kept == 0 {
                self.unfinished.get_or_insert_default().keep_head(rest);
            }
            *at = bytes.len();
            return Ok(None);
        };
        *at += length - kept;
        if let Some(unfinished) = &mut self.unfinished {
            unfinished.head_length = 0;
        }
        self.check(&header)?;
        Ok(Some(header))
    }

    /// The rules that need to know what came before.
    fn check(&self, header: &Header) -> Result<(), ProtocolError> {
        header.check_mask(self.role)?;
        if header.is_compressed && !self.inflates {
            return Err(ProtocolError::ReservedBit);
        }
        if header.opcode.is_control() {
            return Ok(());
        }
        let message = self.message();
        match (header.opcode, message) {
            (OpCode::Continuation, None) => return Err(ProtocolError::NothingToContinue),
            (OpCode::Text | OpCode::Binary, Some(_)) => return Err(ProtocolError::MessageInsideMessage),
            _ => {}
        }
        let is_compressed = header.is_compressed || message.is_some_and(|message| message.is_compressed);
        let before = message.map_or(0, |message| message.bytes.len()) as u64;
        if before.saturating_add(header.length) > self.room(is_compressed) as u64 {
            return Err(ProtocolError::TooBig(self.limits.bytes));
        }
        Ok(())
    }

    /// How many bytes of payload a message may have on the wire. What cannot be compressed grows a little.
    fn room(&self, is_compressed: bool) -> usize {
        let limit = self.limits.bytes;
        if is_compressed { limit.saturating_add(limit / 8 + 64) } else { limit }
    }

    fn message(&self) -> Option<&Message> {
        self.unfinished.as_ref().and_then(|unfinished| unfinished.message.as_ref())
    }

    /// The length of the payload if the frame is all there and stands alone, so that nothing needs to be copied.
    fn whole(&self, header: &Header, available: usize) -> Option<usize> {
        let is_new = self.unfinished.as_ref().is_none_or(|unfinished| unfinished.frame.is_none());
        let stands_alone = header.opcode.is_control() || header.is_final && header.opcode != OpCode::Continuation;
        let length = usize::try_from(header.length).ok()?;
        (is_new && stands_alone && length <= available).then_some(length)
    }

    fn in_place(&mut self, header: &Header, bytes: &[u8], range: Range<usize>) -> Result<Found, ProtocolError> {
        self.rest();
        if !header.is_compressed {
            return Ok(Found { opcode: header.opcode, place: Place::Read(range) });
        }
        self.finished = inflate(&bytes[range], self.limits.bytes)?;
        Ok(Found { opcode: header.opcode, place: Place::Finished })
    }

    /// Takes what there is of a frame's payload.
    fn piece(&mut self, header: &Header, bytes: &mut [u8], at: &mut usize) -> Result<Option<Found>, ProtocolError> {
        let room = self.room(header.is_compressed || self.message().is_some_and(|message| message.is_compressed));
        let unfinished = self.unfinished.get_or_insert_default();
        let frame = unfinished.frame.get_or_insert_with(|| Frame { header: *header, taken: 0, control: Vec::new() });
        // Both are bounded by the limit that `check` has applied.
        let (length, taken) = (header.length as usize, frame.taken);
        let piece = *at..bytes.len().min(*at + (length - taken));
        *at = piece.end;
        frame.taken += piece.len();
        let is_whole = frame.taken == length;
        let piece = &mut bytes[piece];
        unmask(header, piece, taken);
        if header.opcode.is_control() {
            frame.control.extend_from_slice(piece);
            if !is_whole {
                return Ok(None);
            }
            self.finished = std::mem::take(&mut frame.control);
            unfinished.frame = None;
            self.rest();
            return Ok(Some(Found { opcode: header.opcode, place: Place::Finished }));
        }
        let message = unfinished.message.get_or_insert_with(|| Message::new(header));
        message.append(piece, room)?;
        if !is_whole {
            return Ok(None);
        }
        unfinished.frame = None;
        if !header.is_final {
            return Ok(None);
        }
        let Some(message) = unfinished.message.take() else { return Ok(None) };
        self.unfinished = None;
        let opcode = message.opcode;
        self.finished = message.finish(self.limits.bytes)?;
        Ok(Some(Found { opcode, place: Place::Finished }))
    }

    /// Lets go of everything unless a message has been begun.
    fn rest(&mut self) {
        if self.message().is_none() {
            self.unfinished = None;
        }
    }
}

/// These are the events in the bytes that were just read. Ask until there are none.
///
/// Whoever stops earlier, to let something else catch up, keeps [`unread`](Self::unread) and reads it first next time.
#[derive(Debug)]
pub struct Events<'a> {
    decoder: &'a mut Decoder,
    bytes: &'a mut [u8],
    at: usize,
}

impl<'a> Events<'a> {
    /// The next event; `None` when all that was read has been told, or the peer has said goodbye.
    ///
    /// # Errors
    /// What the peer did wrong. Close with [`ProtocolError::close_code`].
    #[expect(clippy::should_implement_trait, reason = "an iterator cannot lend")]
    pub fn next(&mut self) -> Result<Option<Event<'_>>, ProtocolError> {
        self.decoder.finished = Vec::new();
        match self.decoder.state {
            State::Open => {}
            State::Closed => return Ok(None),
            State::Failed(error) => return Err(error),
        }
        let found = match self.decoder.next(self.bytes, &mut self.at) {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(None),
            Err(error) => return Err(self.decoder.fail(error)),
        };
        let Decoder { finished, state, unfinished, .. } = &mut *self.decoder;
        let payload = match found.place {
            Place::Read(range) => &self.bytes[range],
            Place::Finished => finished,
        };
        let event = match found.opcode {
            OpCode::Text => {
                simdutf8::basic::from_utf8(payload).map(Event::Text).map_err(|_| ProtocolError::InvalidUtf8)
            }
            OpCode::Ping => Ok(Event::Ping(payload)),
            OpCode::Pong => Ok(Event::Pong(payload)),
            OpCode::Close => Close::parse(payload).map(Event::Close),
            OpCode::Binary | OpCode::Continuation => Ok(Event::Binary(payload)),
        };
        match event {
            Ok(Event::Close(_)) => (*state, *unfinished) = (State::Closed, None),
            Err(error) => (*state, *unfinished) = (State::Failed(error), None),
            _ => {}
        }
        event.map(Some)
    }

    /// The bytes of which no event has been told yet.
    pub fn unread(self) -> &'a mut [u8] {
        &mut self.bytes[self.at..]
    }
}

/// This is where an event is: in the bytes that were read, or in what the decoder has put together.
struct Found {
    opcode: OpCode,
    place: Place,
}

enum Place {
    Read(Range<usize>),
    Finished,
}

#[derive(Debug, Default)]
struct Unfinished {
    /// The beginning of a header.
    head: [u8; Header::MAX_BYTES],
    head_length: usize,
    frame: Option<Frame>,
    message: Option<Message>,
    /// When `check_age` first saw it.
    seen: Option<Instant>,
}

impl Unfinished {
    fn keep_head(&mut self, bytes: &[u8]) {
        let room = &mut self.head[self.head_length..];
        let taken = room.len().min(bytes.len());
        room[..taken].copy_from_slice(&bytes[..taken]);
        self.head_length += taken;
    }
}

/// This is a frame of which a part has arrived.
#[derive(Debug)]
struct Frame {
    header: Header,
    taken: usize,
    /// The payload of a control frame; that of others goes to the message.
    control: Vec<u8>,
}

/// This is a message of which a part has arrived.
#[derive(Debug)]
struct Message {
    opcode: OpCode,
    is_compressed: bool,
    bytes: Vec<u8>,
    /// How many bytes are known to be UTF-8.
    checked: usize,
}

impl Message {
    fn new(header: &Header) -> Self {
        Self { opcode: header.opcode, is_compressed: header.is_compressed, bytes: Vec::new(), checked: 0 }
    }

    fn is_plain_text(&self) -> bool {
        self.opcode == OpCode::Text && !self.is_compressed
    }

    /// Takes more, for which there is room. Memory grows with what has arrived, not with what was announced.
    fn append(&mut self, piece: &[u8], room: usize) -> Result<(), ProtocolError> {
        let length = self.bytes.len() + piece.len();
        if length > self.bytes.capacity() {
            let capacity = length.max((self.bytes.capacity() * 2).min(room));
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        self.bytes.extend_from_slice(piece);
        if !self.is_plain_text() {
            return Ok(());
        }
        match simdutf8::compat::from_utf8(&self.bytes[self.checked..]) {
            Ok(_) => self.checked = self.bytes.len(),
            Err(error) if error.error_len().is_some() => return Err(ProtocolError::InvalidUtf8),
            Err(error) => self.checked += error.valid_up_to(),
        }
        Ok(())
    }

    fn finish(self, limit: usize) -> Result<Vec<u8>, ProtocolError> {
        if self.is_compressed {
            return inflate(&self.bytes, limit);
        }
        if self.is_plain_text() && self.checked < self.bytes.len() {
            return Err(ProtocolError::InvalidUtf8);
        }
        Ok(self.bytes)
    }
}

fn unmask(header: &Header, bytes: &mut [u8], offset: usize) {
    if let Some(key) = header.mask {
        apply_mask(bytes, key, offset);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::frame::write_masked_frame;
    use super::super::reference::{Told, hear};
    use super::*;

    const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

    fn server(bytes: usize) -> Decoder {
        Decoder::new(Role::Server, MessageLimits { bytes, ..MessageLimits::default() })
    }

    /// One frame of a client.
    fn frame(is_final: bool, opcode: OpCode, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        write_masked_frame(&mut out, opcode, payload, KEY);
        out[0] = if is_final { out[0] } else { out[0] & 0x7f };
        out
    }

    #[test]
    fn control_frames_pass_between_fragments() {
        let bytes = [
            frame(false, OpCode::Text, "AA".as_bytes()),
            frame(true, OpCode::Ping, b"?"),
            frame(true, OpCode::Continuation, "PL".as_bytes()),
            frame(true, OpCode::Close, b""),
            frame(true, OpCode::Text, b"too late"),
        ]
        .concat();
        let expected = vec![Told::Ping(b"?".to_vec()), Told::Text("AAPL".into()), Told::Close(None, String::new())];
        assert_eq!(hear(&mut server(100), [&bytes[..]]), (expected.clone(), None));
        assert_eq!(hear(&mut server(100), bytes.chunks(1)), (expected, None));
    }

    #[test]
    fn a_message_over_the_limit_fails_at_its_header() {
        let whole = frame(true, OpCode::Binary, &[0; 200]);
        assert_eq!(hear(&mut server(199), [&whole[..8]]), (vec![], Some(ProtocolError::TooBig(199))));
        assert_eq!(hear(&mut server(200), [&whole[..]]).1, None);
        let huge = [0x82, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(hear(&mut server(199), [&huge[..]]).1, Some(ProtocolError::TooBig(199)));
        let pieces = [frame(false, OpCode::Binary, &[0; 150]), frame(true, OpCode::Continuation, &[0; 50])].concat();
        assert_eq!(hear(&mut server(199), [&pieces[..]]).1, Some(ProtocolError::TooBig(199)));
    }

    #[test]
    fn memory_follows_what_has_arrived_and_is_gone_when_idle() {
        let mut decoder = server(1 << 30);
        let header = [0x82, 0xff, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3];
        assert_eq!(hear(&mut decoder, [&header[..]]), (vec![], None));
        assert!(decoder.message().is_some_and(|message| message.bytes.capacity() < 100));
        assert!(!decoder.is_idle());

        let mut decoder = server(1 << 20);
        hear(&mut decoder, frame(true, OpCode::Binary, &[0; 1 << 20]).chunks(4096));
        assert!(decoder.is_idle() && decoder.finished.capacity() == 0);
        assert!(size_of::<Decoder>() <= 96, "{}", size_of::<Decoder>());
    }

    #[test]
    fn text_fails_at_the_first_byte_that_cannot_be_utf8() {
        let valid = "κόσμε".as_bytes();
        let bytes = frame(true, OpCode::Text, &[valid, b"\xf4\x90\x80\x80", b"more"].concat());
        let (mut decoder, mut at) = (server(100), 0);
        let error = bytes.chunks(1).find_map(|byte| {
            at += 1;
            hear(&mut decoder, [byte]).1
        });
        assert_eq!((error, at), (Some(ProtocolError::InvalidUtf8), 6 + valid.len() + 2));
    }

    #[test]
    fn a_failed_decoder_repeats_its_error() {
        let mut decoder = server(100);
        assert_eq!(hear(&mut decoder, [&[0x83][..]]).1, Some(ProtocolError::ReservedOpCode(3)));
        assert_eq!(hear(&mut decoder, [&[][..]]).1, Some(ProtocolError::ReservedOpCode(3)));
    }

    #[test]
    fn an_unfinished_message_grows_old_and_a_finished_one_does_not() {
        let begin = Instant::now();
        let second = |second| begin + Duration::from_secs(second);
        let mut decoder = server(100);
        let bytes = frame(true, OpCode::Text, b"AAPL");
        assert_eq!(hear(&mut decoder, [&bytes[..3]]).1, None);
        assert_eq!(decoder.check_age(second(0)), Ok(()));
        assert_eq!(hear(&mut decoder, [&bytes[3..]]).0.len(), 1);
        assert_eq!(hear(&mut decoder, [&bytes[..7]]).1, None);
        assert_eq!(decoder.check_age(second(11)), Ok(()), "this is another message");
        assert_eq!(hear(&mut decoder, [&bytes[7..8]]).1, None);
        assert_eq!(decoder.check_age(second(21)), Ok(()));
        assert_eq!(decoder.check_age(second(22)), Err(ProtocolError::Unfinished));
    }

    #[test]
    fn what_is_unread_can_be_read_later() {
        let mut bytes = [frame(true, OpCode::Text, b"one"), frame(true, OpCode::Text, b"two")].concat();
        let mut decoder = server(100);
        let mut events = decoder.read(&mut bytes);
        assert_eq!(events.next(), Ok(Some(Event::Text("one"))));
        let unread = events.unread().to_vec();
        assert_eq!(hear(&mut decoder, [&unread[..]]).0, [Told::Text("two".into())]);
    }

    #[test]
    fn a_client_refuses_masked_frames() {
        let mut decoder = Decoder::new(Role::Client, MessageLimits::default());
        assert_eq!(hear(&mut decoder, [&b"\x81\x02hi"[..]]).0, [Told::Text("hi".into())]);
        let masked = frame(true, OpCode::Text, b"hi");
        assert_eq!(hear(&mut decoder, [&masked[..]]).1, Some(ProtocolError::Masked));
    }

    proptest! {
        #[test]
        fn no_bytes_at_all_make_it_panic(bytes: Vec<u8>, client: bool) {
            let role = if client { Role::Client } else { Role::Server };
            let mut decoder = Decoder::new(role, MessageLimits::default()).with_deflate(Some(&Agreement::default()));
            hear(&mut decoder, bytes.chunks(7));
        }
    }
}
