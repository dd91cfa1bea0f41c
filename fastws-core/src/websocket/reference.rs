//! A second decoder, slow and plain, that the real one has to agree with. It shares no code with it.
//!
//! Tests use it, and the fuzz targets, who ask for the feature `reference`.

mod inflate;

pub use inflate::inflate;

use super::{Decoder, Event, ProtocolError, Role};

/// This is an [`Event`] that owns what it tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
    /// A ping.
    Ping(Vec<u8>),
    /// A pong.
    Pong(Vec<u8>),
    /// The goodbye: its code and its reason.
    Close(Option<u16>, String),
}

/// What the real decoder tells of pieces that arrive one after the other, and how it fails.
pub fn hear<'a>(
    decoder: &mut Decoder,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Told>, Option<ProtocolError>) {
    let mut all = Vec::new();
    for piece in pieces {
        let mut piece = piece.to_vec();
        let mut events = decoder.read(&mut piece);
        loop {
            all.push(match events.next() {
                Ok(Some(Event::Text(text))) => Told::Text(text.into()),
                Ok(Some(Event::Binary(bytes))) => Told::Binary(bytes.into()),
                Ok(Some(Event::Ping(payload))) => Told::Ping(payload.into()),
                Ok(Some(Event::Pong(payload))) => Told::Pong(payload.into()),
                Ok(Some(Event::Close(close))) => Told::Close(close.code, close.reason.into()),
                Ok(None) => break,
                Err(error) => return (all, Some(error)),
            });
        }
    }
    (all, None)
}

/// These are the terms of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Which end we are.
    pub role: Role,
    /// How large a message may be.
    pub limit: usize,
    /// Whether compression has been agreed on.
    pub inflates: bool,
}

/// What is told of a whole stream, frame after frame, and how it fails.
pub fn decode(stream: &[u8], terms: Terms) -> (Vec<Told>, Option<ProtocolError>) {
    let (mut all, mut rest, mut message) = (Vec::new(), stream, None);
    loop {
        match one(&mut rest, &mut message, terms) {
            Ok(Some(Told::Close(code, reason))) => {
                all.push(Told::Close(code, reason));
                return (all, None);
            }
            Ok(Some(told)) => all.push(told),
            Ok(None) if rest.is_empty() => return (all, None),
            Ok(None) => {}
            Err(error) => return (all, Some(error)),
        }
    }
}

/// This is a header: its bits, the lengths of itself and of the payload, and the mask.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the names of RFC 6455 section 5.2")]
pub struct Head {
    pub fin: bool,
    pub rsv1: bool,
    pub opcode: u8,
    pub mask: Option<[u8; 4]>,
    pub bytes: usize,
    pub payload: u64,
}

/// Reads the header at the beginning; `None` when it is cut off.
///
/// # Errors
/// What is wrong whatever came before.
pub fn head(bytes: &[u8]) -> Result<Option<Head>, ProtocolError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let (fin, rsv1, opcode) = (bytes[0] >= 128, bytes[0] / 64 % 2 == 1, bytes[0] % 16);
    if !(bytes[0] / 16).is_multiple_of(4) {
        return Err(ProtocolError::ReservedBit);
    }
    if ![0, 1, 2, 8, 9, 10].contains(&opcode) {
        return Err(ProtocolError::ReservedOpCode(opcode));
    }
    let is_control = opcode >= 8;
    if rsv1 && (is_control || opcode == 0) {
        return Err(ProtocolError::ReservedBit);
    }
    if is_control && !fin {
        return Err(ProtocolError::ControlFragmented);
    }
    if bytes.len() < 2 {
        return Ok(None);
    }
    let (is_masked, short) = (bytes[1] >= 128, bytes[1] % 128);
    if is_control && short > 125 {
        return Err(ProtocolError::ControlTooLong);
    }
    let wide = if short == 126 {
        2
    } else if short == 127 {
        8
    } else {
        0
    };
    if bytes.len() < 2 + wide {
        return Ok(None);
    }
    let payload = if wide == 0 {
        u64::from(short)
    } else {
        bytes[2..2 + wide].iter().fold(0, |sum, byte| sum * 256 + u64::from(*byte))
    };
    if payload > i64::MAX as u64 {
        return Err(ProtocolError::LengthOverflow);
    }
    if wide == 2 && payload < 126 || wide == 8 && payload < 65_536 {
        return Err(ProtocolError::LengthNotMinimal);
    }
    if !is_masked {
        return Ok(Some(Head { fin, rsv1, opcode, mask: None, bytes: 2 + wide, payload }));
    }
    if bytes.len() < 6 + wide {
        return Ok(None);
    }
    let mask = Some([bytes[2 + wide], bytes[3 + wide], bytes[4 + wide], bytes[5 + wide]]);
    Ok(Some(Head { fin, rsv1, opcode, mask, bytes: 6 + wide, payload }))
}

/// This is a fragmented message.
struct Message {
    is_text: bool,
    is_compressed: bool,
    bytes: Vec<u8>,
}

/// One frame. A frame that is cut off takes the rest of the stream and tells nothing, but may still be wrong.
fn one(rest: &mut &[u8], message: &mut Option<Message>, terms: Terms) -> Result<Option<Told>, ProtocolError> {
    let bytes = std::mem::take(rest);
    let Some(Head { fin, rsv1, opcode, mask, bytes: head, payload: length }) = head(bytes)? else { return Ok(None) };
    match (terms.role, mask) {
        (Role::Server, None) => return Err(ProtocolError::NotMasked),
        (Role::Client, Some(_)) => return Err(ProtocolError::Masked),
        _ => {}
    }
    if rsv1 && !terms.inflates {
        return Err(ProtocolError::ReservedBit);
    }
    match (opcode, &message) {
        (0, None) => return Err(ProtocolError::NothingToContinue),
        (1 | 2, Some(_)) => return Err(ProtocolError::MessageInsideMessage),
        _ => {}
    }
    let before = message.as_ref().map_or(0, |message| message.bytes.len());
    let is_compressed = rsv1 || message.as_ref().is_some_and(|message| message.is_compressed);
    let room = if is_compressed { terms.limit + terms.limit / 8 + 64 } else { terms.limit };
    if opcode < 8 && (before as u128 + u128::from(length)) > room as u128 {
        return Err(ProtocolError::TooBig(terms.limit));
    }
    let after = &bytes[head..];
    let available = after.len().min(length as usize);
    let payload: Vec<u8> = (0..available).map(|at| after[at] ^ mask.unwrap_or_default()[at % 4]).collect();
    let is_whole = available as u64 == length;
    if is_whole {
        *rest = &after[available..];
    }
    if opcode >= 8 {
        return if is_whole { control(opcode, payload).map(Some) } else { Ok(None) };
    }
    let mut all = message.take().unwrap_or(Message { is_text: opcode == 1, is_compressed, bytes: Vec::new() });
    all.bytes.extend(payload);
    let is_done = is_whole && fin;
    if is_done && is_compressed {
        all.bytes = inflate(&all.bytes, terms.limit)?;
    }
    if all.is_text && (is_done || !is_compressed) && !is_utf8(&all.bytes, is_done) {
        return Err(ProtocolError::InvalidUtf8);
    }
    if !is_done {
        *message = Some(all);
        return Ok(None);
    }
    Ok(Some(if all.is_text { Told::Text(String::from_utf8_lossy(&all.bytes).into()) } else { Told::Binary(all.bytes) }))
}

fn control(opcode: u8, payload: Vec<u8>) -> Result<Told, ProtocolError> {
    match (opcode, &payload[..]) {
        (9, _) => Ok(Told::Ping(payload)),
        (10, _) => Ok(Told::Pong(payload)),
        (_, []) => Ok(Told::Close(None, String::new())),
        (_, [_]) => Err(ProtocolError::CloseTooShort),
        (_, [high, low, reason @ ..]) => {
            let code = u16::from(*high) * 256 + u16::from(*low);
            if code < 1000 || [1004, 1005, 1006].contains(&code) || (1015..3000).contains(&code) || code >= 5000 {
                return Err(ProtocolError::CloseCode(code));
            }
            if !is_utf8(reason, true) {
                return Err(ProtocolError::InvalidUtf8);
            }
            Ok(Told::Close(Some(code), String::from_utf8_lossy(reason).into()))
        }
    }
}

/// Unicode table 3-7, byte by byte. What is not `done` may end inside a character.
fn is_utf8(mut bytes: &[u8], done: bool) -> bool {
    while let [first, more @ ..] = bytes {
        let (count, second) = match first {
            0x00..=0x7f => (0, 0x80..=0xbf),
            0xc2..=0xdf => (1, 0x80..=0xbf),
            0xe0 => (2, 0xa0..=0xbf),
            0xed => (2, 0x80..=0x9f),
            0xe1..=0xef => (2, 0x80..=0xbf),
            0xf0 => (3, 0x90..=0xbf),
            0xf1..=0xf3 => (3, 0x80..=0xbf),
            0xf4 => (3, 0x80..=0x8f),
            _ => return false,
        };
        for at in 0..count {
            match more.get(at) {
                None => return !done,
                Some(byte) if at == 0 && !second.contains(byte) => return false,
                Some(0x80..=0xbf) => {}
                Some(_) => return false,
            }
        }
        bytes = &more[count..];
    }
    true
}
