//! Compression of messages, `permessage-deflate` (RFC 7692), without anything per connection.
//!
//! Neither side keeps a window from one message to the next: `server_no_context_takeover` and
//! `client_no_context_takeover` are always part of the agreement. So each thread needs one compressor and one inflater, a
//! connection none, and a compressed frame is the same for all who read it.

use std::cell::RefCell;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::error::ProtocolError;
use super::frame::{Header, OpCode, write_frame};
use super::handshake::Extension;

/// These are the terms on which a server compresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deflate {
    /// Messages smaller than this are sent as they are, in bytes (256).
    pub threshold: usize,
    /// How hard to try, from 1 to 9 (3).
    pub level: u8,
    /// The base-2 logarithm of the largest window that we compress with, from 9 to 15 (15).
    pub server_max_window_bits: u8,
    /// The base-2 logarithm of the largest window that clients may compress with, from 9 to 15 (15). Less is asked only of
    /// those who say that they can.
    pub client_max_window_bits: u8,
}

impl Default for Deflate {
    fn default() -> Self {
        Self { threshold: 256, level: 3, server_max_window_bits: MAX_BITS, client_max_window_bits: MAX_BITS }
    }
}

impl Deflate {
    /// Takes the first offer that can be taken (RFC 7692 section 7.1). What we do not understand is declined.
    pub(super) fn agree(&self, offers: &[Extension]) -> Option<Agreement> {
        let ours = offers.iter().filter(|offer| offer.name.eq_ignore_ascii_case(NAME));
        ours.filter_map(Offer::parse).find_map(|offer| self.accept(&offer))
    }

    fn accept(&self, offer: &Offer) -> Option<Agreement> {
        let bits = |ours: u8, theirs: Option<u8>| ours.clamp(MIN_BITS, MAX_BITS).min(theirs.unwrap_or(MAX_BITS));
        let server_bits = bits(self.server_max_window_bits, offer.server_max_window_bits);
        // RFC 7692 allows a window of 256 bytes; DEFLATE libraries, zlib among them, do not.
        if server_bits < MIN_BITS {
            return None;
        }
        let client_bits = offer.client_max_window_bits.map(|theirs| bits(self.client_max_window_bits, theirs));
        Some(Agreement {
            terms: *self,
            server_bits,
            tells_server_bits: offer.server_max_window_bits.is_some() || server_bits < MAX_BITS,
            client_bits: client_bits.filter(|bits| *bits < MAX_BITS),
        })
    }
}

/// This is an offer of a client (RFC 7692 section 7.1).
#[derive(Default)]
struct Offer {
    server_max_window_bits: Option<u8>,
    /// With or without a value: the client is able to use a smaller window.
    client_max_window_bits: Option<Option<u8>>,
}

impl Offer {
    /// `None` for an offer with a parameter that is unknown, has a wrong value or comes twice.
    fn parse(extension: &Extension) -> Option<Self> {
        let mut offer = Self::default();
        let mut seen = Vec::new();
        for (name, value) in &extension.parameters {
            let name = name.to_ascii_lowercase();
            match (&*name, value.as_deref()) {
                ("server_no_context_takeover" | "client_no_context_takeover", None) => {}
                ("server_max_window_bits", Some(bits)) => offer.server_max_window_bits = Some(window_bits(bits)?),
                ("client_max_window_bits", None) => offer.client_max_window_bits = Some(None),
                ("client_max_window_bits", Some(bits)) => offer.client_max_window_bits = Some(Some(window_bits(bits)?)),
                _ => return None,
            }
            if seen.contains(&name) {
                return None;
            }
            seen.push(name);
        }
        Some(offer)
    }
}

/// From 8 to 15, in decimal, without a leading zero (RFC 7692 section 7.1.2).
fn window_bits(value: &str) -> Option<u8> {
    let bits = value.parse().ok().filter(|bits| (8..=MAX_BITS).contains(bits))?;
    (bits.to_string() == value).then_some(bits)
}

/// This is what a handshake has agreed on. Neither side keeps a window between messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreement {
    terms: Deflate,
    server_bits: u8,
    tells_server_bits: bool,
    client_bits: Option<u8>,
}

impl Default for Agreement {
    /// The agreement with a client that offers `permessage-deflate` and nothing else.
    fn default() -> Self {
        Self { terms: Deflate::default(), server_bits: MAX_BITS, tells_server_bits: false, client_bits: None }
    }
}

impl Agreement {
    /// Appends a whole, unmasked message to `out`, compressed if that makes it smaller. For what one client reads;
    /// [`Prepared`] is for what many do.
    pub fn write_message(&self, out: &mut Vec<u8>, opcode: OpCode, payload: &[u8]) {
        match compress(payload, opcode, self.terms, self.server_bits) {
            Some(frame) => out.extend_from_slice(&frame),
            None => write_frame(out, opcode, payload),
        }
    }
}

impl std::fmt::Display for Agreement {
    /// The value of `Sec-WebSocket-Extensions`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{NAME}; server_no_context_takeover; client_no_context_takeover")?;
        if self.tells_server_bits {
            write!(f, "; server_max_window_bits={}", self.server_bits)?;
        }
        self.client_bits.map_or(Ok(()), |bits| write!(f, "; client_max_window_bits={bits}"))
    }
}

/// This is a message in its frame, ready for any number of clients. It is cheap to clone, and compressed at most once, when
/// the first client that wants it so comes along.
///
/// ```
/// use fastws_core::websocket::{Agreement, Prepared};
///
/// let bar = Prepared::text(&format!(r#"{{"symbol":"AAPL","closes":[{}]}}"#, "187.25,".repeat(100)));
/// let compressed = bar.frame(Some(&Agreement::default()));
/// assert!(compressed.len() < bar.frame(None).len() / 4);
/// ```
#[derive(Clone, Debug)]
pub struct Prepared(Arc<Frames>);

#[derive(Debug)]
struct Frames {
    opcode: OpCode,
    plain: Vec<u8>,
    /// Where the payload begins in the plain frame.
    payload: usize,
    compressed: OnceLock<Option<Bytes>>,
}

impl Prepared {
    /// Frames a text message.
    pub fn text(text: &str) -> Self {
        Self::new(OpCode::Text, &[text.as_bytes()])
    }

    /// Frames a text message that comes in pieces.
    pub(crate) fn pieces(pieces: &[&str]) -> Self {
        let mut bytes = [&[][..]; MAX_PIECES];
        bytes.iter_mut().zip(pieces).for_each(|(bytes, piece)| *bytes = piece.as_bytes());
        Self::new(OpCode::Text, &bytes[..pieces.len()])
    }

    /// Frames a binary message.
    pub fn binary(bytes: &[u8]) -> Self {
        Self::new(OpCode::Binary, &[bytes])
    }

    /// How long the frame is when it is not compressed, in bytes.
    pub(crate) fn len(&self) -> usize {
        self.0.plain.len()
    }

    fn new(opcode: OpCode, pieces: &[&[u8]]) -> Self {
        let length = pieces.iter().map(|piece| piece.len()).sum::<usize>();
        let mut frame = Vec::with_capacity(Header::MAX_BYTES + length);
        Header { is_final: true, is_compressed: false, opcode, mask: None, length: length as u64 }.write(&mut frame);
        let payload = frame.len();
        pieces.iter().for_each(|piece| frame.extend_from_slice(piece));
        Self(Arc::new(Frames { opcode, plain: frame, payload, compressed: OnceLock::new() }))
    }

    /// The frame for a client with this agreement: compressed if it was agreed and is worth it. Give the same terms to all
    /// clients, for the first one's decide.
    pub fn frame(&self, agreement: Option<&Agreement>) -> Bytes {
        match agreement.and_then(|agreement| self.compressed(agreement)) {
            Some(compressed) => compressed.clone(),
            None => Bytes::from_owner(Plain(Arc::clone(&self.0))),
        }
    }

    /// The same, borrowed.
    pub(crate) fn bytes(&self, agreement: Option<&Agreement>) -> &[u8] {
        agreement.and_then(|agreement| self.compressed(agreement)).map_or(&self.0.plain, |compressed| compressed)
    }

    fn compressed(&self, agreement: &Agreement) -> Option<&Bytes> {
        let Frames { opcode, plain, payload, compressed } = &*self.0;
        let bits = agreement.terms.server_max_window_bits.clamp(MIN_BITS, MAX_BITS);
        // No distance in a message is longer than the message, so a short one suits every window.
        let suits = agreement.server_bits >= bits || plain.len() - payload <= 1 << agreement.server_bits;
        let compress = || compress(&plain[*payload..], *opcode, agreement.terms, bits).map(Bytes::from);
        suits.then(|| compressed.get_or_init(compress).as_ref()).flatten()
    }
}

/// This is a frame as it was prepared, for [`Bytes`] to share.
struct Plain(Arc<Frames>);

impl AsRef<[u8]> for Plain {
    fn as_ref(&self) -> &[u8] {
        &self.0.plain
    }
}

/// How many pieces a message is made of at most.
const MAX_PIECES: usize = 8;

/// A compressed frame, or `None` when the message is small or does not shrink (RFC 7692 section 7.2.1).
fn compress(payload: &[u8], opcode: OpCode, terms: Deflate, bits: u8) -> Option<Vec<u8>> {
    if payload.len() < terms.threshold.max(TAIL.len()) {
        return None;
    }
    COMPRESSOR.with_borrow_mut(|kept| {
        let compressor = match kept {
            Some((level, window, compressor)) if (*level, *window) == (terms.level, bits) => {
                compressor.reset();
                compressor
            }
            _ => {
                let level = Compression::new(u32::from(terms.level.clamp(1, 9)));
                let compressor = Compress::new_with_window_bits(level, false, bits);
                &mut kept.insert((terms.level, bits, compressor)).2
            }
        };
        // What does not fit into less than the payload is not worth sending; the tail is cut off in the end.
        let mut out = Vec::with_capacity(payload.len() + TAIL.len());
        compressor.compress_vec(payload, &mut out, FlushCompress::Sync).ok()?;
        let is_all = compressor.total_in() == payload.len() as u64;
        let body = out.strip_suffix(&TAIL).filter(|body| is_all && body.len() < payload.len())?;
        let length = body.len() as u64;
        let mut frame = Vec::with_capacity(Header::MAX_BYTES + body.len());
        Header { is_final: true, is_compressed: true, opcode, mask: None, length }.write(&mut frame);
        frame.extend_from_slice(body);
        Some(frame)
    })
}

/// Inflates a whole message (RFC 7692 section 7.2.2). Output stops at the limit, so that a bomb costs no more than that.
///
/// A message ends between two blocks, where its sender has cut off the tail, or with a block that says that it is the last.
/// One that breaks off inside a block is refused rather than told in part; one without any bytes is an empty message.
pub(super) fn inflate(compressed: &[u8], limit: usize) -> Result<Vec<u8>, ProtocolError> {
    let mut out = Vec::new();
    if compressed.is_empty() {
        return Ok(out);
    }
    INFLATER.with_borrow_mut(|inflater| {
        inflater.reset(false);
        let is_complete =
            inflate_blocks(inflater, compressed, &mut out, limit)? || inflate_blocks(inflater, &END, &mut out, limit)?;
        if is_complete { Ok(out) } else { Err(ProtocolError::InvalidDeflate) }
    })
}

/// Inflates all of `input`, and tells whether its last byte ended a block that says that it is the last. Inside of a
/// message such a block may be followed by others (RFC 7692 section 7.2.3.4).
fn inflate_blocks(
    inflater: &mut Decompress,
    mut input: &[u8],
    out: &mut Vec<u8>,
    limit: usize,
) -> Result<bool, ProtocolError> {
    loop {
        if out.len() == out.capacity() {
            grow(out, limit);
        }
        let (read, written) = (inflater.total_in(), out.len());
        let status = inflater.decompress_vec(input, out, FlushDecompress::Sync);
        if out.len() > limit {
            return Err(ProtocolError::TooBig(limit));
        }
        let status = status.map_err(|_| ProtocolError::InvalidDeflate)?;
        // It took them from the input, so they fit.
        let taken = (inflater.total_in() - read) as usize;
        input = &input[taken..];
        let has_room = out.len() < out.capacity();
        match status {
            Status::StreamEnd if input.is_empty() => return Ok(true),
            Status::StreamEnd => inflater.reset(false),
            _ if input.is_empty() && has_room => return Ok(false),
            _ if taken == 0 && out.len() == written && has_room => return Err(ProtocolError::InvalidDeflate),
            _ => {}
        }
    }
}

/// Makes room for twice as much, or for one byte more than the limit, which tells that there is more. Both buffers are
/// there while the one is copied to the other, so the limit comes early: a quarter of it and the limit is the most there is.
fn grow(out: &mut Vec<u8>, limit: usize) {
    let double = out.len().saturating_mul(2).max(MIN_OUTPUT_BYTES);
    let capacity = if double >= limit / 2 { limit.saturating_add(1) } else { double };
    out.reserve_exact(capacity - out.len());
}

thread_local! {
    /// The compressor of this thread, its level and its window; about 300 KB.
    static COMPRESSOR: RefCell<Option<(u8, u8, Compress)>> = const { RefCell::new(None) };
    /// The inflater of this thread, for every window; about 50 KB.
    static INFLATER: RefCell<Decompress> = RefCell::new(Decompress::new_with_window_bits(false, MAX_BITS));
}

const NAME: &str = "permessage-deflate";
/// What a sender leaves out at the end of a message, and a receiver puts back.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
/// The tail, and an empty last block. It is read to its end only if the message ended between two blocks.
const END: [u8; 9] = [0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff];
const MIN_BITS: u8 = 9;
const MAX_BITS: u8 = 15;
const MIN_OUTPUT_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::frame::Role;
    use super::super::handshake::extensions;
    use super::super::message::{Decoder, Event, MessageLimits};
    use super::*;

    fn agree(terms: Deflate, offer: &str) -> Option<String> {
        let offers = extensions(offer).expect("the header is well formed");
        terms.agree(&offers).map(|agreement| agreement.to_string())
    }

    #[test]
    fn an_offer_is_answered_as_the_rfc_has_it() {
        const PLAIN: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
        let small = Deflate { server_max_window_bits: 11, client_max_window_bits: 10, ..Deflate::default() };
        let plain = Deflate::default();
        for (terms, offer, answer) in [
            (plain, "permessage-deflate", Some("")),
            (plain, "Permessage-Deflate; client_max_window_bits", Some("")),
            (plain, "permessage-deflate; client_no_context_takeover; server_no_context_takeover", Some("")),
            (plain, "permessage-deflate; server_max_window_bits=\"9\"", Some("; server_max_window_bits=9")),
            (plain, "permessage-deflate; server_max_window_bits=15", Some("; server_max_window_bits=15")),
            (plain, "permessage-deflate; client_max_window_bits=12", Some("; client_max_window_bits=12")),
            (plain, "permessage-deflate; server_max_window_bits=8", None),
            (plain, "permessage-deflate; server_max_window_bits=8, permessage-deflate", Some("")),
            (plain, "permessage-deflate; server_max_window_bits", None),
            (plain, "permessage-deflate; server_max_window_bits=16", None),
            (plain, "permessage-deflate; server_max_window_bits=09", None),
            (plain, "permessage-deflate; client_max_window_bits=7", None),
            (plain, "permessage-deflate; client_no_context_takeover=1", None),
            (plain, "permessage-deflate; client_max_window_bits; client_max_window_bits=9", None),
            (plain, "permessage-deflate; level=9", None),
            (plain, "x-webkit-deflate-frame", None),
            (small, "permessage-deflate", Some("; server_max_window_bits=11")),
            (small, "permessage-deflate; server_max_window_bits=13", Some("; server_max_window_bits=11")),
            (
                small,
                "permessage-deflate; client_max_window_bits",
                Some("; server_max_window_bits=11; client_max_window_bits=10"),
            ),
        ] {
            assert_eq!(agree(terms, offer), answer.map(|answer| format!("{PLAIN}{answer}")), "{offer}");
        }
    }

    #[test]
    fn the_examples_of_the_rfc_inflate() {
        for compressed in [
            &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..],
            &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00],
            &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
            &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00],
        ] {
            assert_eq!(inflate(compressed, 5), Ok(b"Hello".to_vec()));
            assert_eq!(inflate(compressed, 4), Err(ProtocolError::TooBig(4)));
        }
        assert_eq!(inflate(&[], 0), Ok(vec![]));
        assert_eq!(inflate(&[0xff, 0xff], 100), Err(ProtocolError::InvalidDeflate));
    }

    #[test]
    fn a_message_that_breaks_off_is_refused() {
        let fixed = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
        let stored = [0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00];
        let beginnings = (1..fixed.len()).map(|end| &fixed[..end]).chain((2..6).map(|end| &stored[..end]));
        for compressed in beginnings {
            assert_eq!(inflate(compressed, 100), Err(ProtocolError::InvalidDeflate), "{compressed:x?}");
        }
        let uncut = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00, 0x00, 0xff, 0xff];
        assert_eq!(inflate(&uncut, 100), Err(ProtocolError::InvalidDeflate), "its sender kept the tail");
        let last_block_without_another = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
        assert_eq!(inflate(&last_block_without_another, 5), Ok(b"Hello".to_vec()), "this one says that it is complete");
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let mut bomb = Vec::with_capacity(64 * 1024);
        let mut compressor = Compress::new(Compression::best(), false);
        compressor.compress_vec(&vec![0; 20 << 20], &mut bomb, FlushCompress::Sync).expect("it fits");
        bomb.truncate(bomb.len() - TAIL.len());
        assert_eq!(inflate(&bomb, 64 * 1024), Err(ProtocolError::TooBig(64 * 1024)));
        assert_eq!(inflate(&bomb, 20 << 20).map(|out| out.len()), Ok(20 << 20));
    }

    #[test]
    fn a_prepared_frame_is_compressed_once_for_all_windows_that_suit() {
        let agreement = |bits| Agreement { server_bits: bits, ..Agreement::default() };
        let long = Prepared::text(&"AAPL 187.25 ".repeat(100));
        let shared = long.frame(Some(&agreement(15)));
        assert_eq!(shared.as_ptr(), long.frame(Some(&agreement(11))).as_ptr(), "1,200 bytes need no more");
        assert_eq!(long.frame(Some(&agreement(9))), long.frame(None), "plain is always understood");
        let short = Prepared::text("AAPL");
        assert_eq!(short.frame(Some(&agreement(15))), short.frame(None));
    }

    proptest! {
        #[test]
        fn what_is_compressed_reads_as_it_was(
            payload in prop_oneof![prop::collection::vec(any::<u8>(), 0..2000), prop::collection::vec(0..4_u8, 0..60_000)],
            server_bits in 9..=15_u8, chunk in 1..5000_usize,
        ) {
            let agreement = Agreement { server_bits, ..Agreement::default() };
            let mut frame = Vec::new();
            agreement.write_message(&mut frame, OpCode::Binary, &payload);
            prop_assert!(frame.len() <= Header::MAX_BYTES + payload.len());
            let mut decoder = Decoder::new(Role::Client, MessageLimits::default()).with_deflate(Some(&agreement));
            let mut heard = Vec::new();
            for piece in frame.chunks_mut(chunk) {
                let mut events = decoder.read(piece);
                while let Some(event) = events.next().expect("it is valid") {
                    let Event::Binary(bytes) = event else { panic!("{event:?}") };
                    heard.push(bytes.to_vec());
                }
            }
            prop_assert_eq!(heard, [payload]);
        }
    }
}
