//! WebSocket frames (RFC 6455 section 5.2), as far as a benchmark needs them: whole ones, never fragments.

use std::ops::Range;

/// A whole text message.
pub const TEXT: u8 = 0x81;
/// The end of a connection.
pub const CLOSE: u8 = 0x88;
/// A question for a sign of life.
pub const PING: u8 = 0x89;
/// The answer to a ping.
pub const PONG: u8 = 0x8a;

/// This is where one frame lies in the bytes that were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The first byte: FIN and the opcode.
    pub kind: u8,
    /// Where the payload lies; the frame ends where it ends.
    pub payload: Range<usize>,
}

/// Finds the frame at the beginning of what a server sent; `None` while it is incomplete.
pub fn server_frame(bytes: &[u8]) -> Option<Frame> {
    head(bytes, 0).filter(|frame| frame.payload.end <= bytes.len())
}

/// Finds the frame at the beginning of what a client sent, and unmasks it; `None` while it is incomplete.
pub fn client_frame(bytes: &mut [u8]) -> Option<Frame> {
    let frame = head(bytes, MASK_BYTES).filter(|frame| frame.payload.end <= bytes.len())?;
    let (head, payload) = bytes[..frame.payload.end].split_at_mut(frame.payload.start);
    let mask = *head.last_chunk().expect("a client's head ends with its mask");
    apply_mask(payload, mask);
    Some(frame)
}

/// Appends a frame as a server writes it.
pub fn push_server_frame(out: &mut Vec<u8>, kind: u8, payload: &[u8]) {
    push_head(out, kind, payload.len(), 0);
    out.extend_from_slice(payload);
}

/// Appends a frame as a client writes it. The mask is always the same; it protects proxies, and there are none.
pub fn push_client_frame(out: &mut Vec<u8>, kind: u8, payload: &[u8]) {
    push_head(out, kind, payload.len(), MASKED);
    out.extend_from_slice(&MASK);
    let start = out.len();
    out.extend_from_slice(payload);
    apply_mask(&mut out[start..], MASK);
}

fn head(bytes: &[u8], mask_bytes: usize) -> Option<Frame> {
    let (&[kind, length], rest) = bytes.split_first_chunk()?;
    let (length, length_bytes) = match length & !MASKED {
        126 => (u16::from_be_bytes(*rest.first_chunk()?).into(), 2),
        127 => (usize::try_from(u64::from_be_bytes(*rest.first_chunk()?)).ok()?, 8),
        short => (short.into(), 0),
    };
    let start = 2 + length_bytes + mask_bytes;
    Some(Frame { kind, payload: start..start.checked_add(length)? })
}

fn push_head(out: &mut Vec<u8>, kind: u8, length: usize, masked: u8) {
    out.push(kind);
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ 0..126), _) => out.push(masked | short),
        (_, Ok(medium)) => {
            out.push(masked | 126);
            out.extend_from_slice(&medium.to_be_bytes());
        }
        _ => {
            out.push(masked | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

fn apply_mask(payload: &mut [u8], mask: [u8; MASK_BYTES]) {
    let wide = u64::from_ne_bytes([mask, mask].concat().try_into().expect("twice four bytes are eight"));
    let (words, rest) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    rest.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
}

const MASKED: u8 = 0x80;
const MASK_BYTES: usize = 4;
const MASK: [u8; MASK_BYTES] = [0x12, 0x34, 0x56, 0x78];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_frame_of_every_length_is_read_back() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            let payload = vec![b'x'; length];
            let mut bytes = Vec::new();
            push_server_frame(&mut bytes, TEXT, &payload);
            let end = bytes.len();
            bytes.push(TEXT);
            let frame = server_frame(&bytes).expect("it is whole");
            assert_eq!((frame.kind, &bytes[frame.payload.clone()], frame.payload.end), (TEXT, &payload[..], end));
        }
    }

    #[test]
    fn a_client_frame_of_every_length_is_read_back() {
        for length in [0, 1, 7, 8, 125, 126, 65_535, 65_536] {
            let payload: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let mut bytes = Vec::new();
            push_client_frame(&mut bytes, TEXT, &payload);
            let frame = client_frame(&mut bytes).expect("it is whole");
            assert_eq!((frame.payload.end, &bytes[frame.payload]), (bytes.len(), &payload[..]));
        }
    }

    #[test]
    fn an_incomplete_frame_is_none_at_every_byte() {
        for length in [0, 200, 70_000] {
            let mut bytes = Vec::new();
            push_server_frame(&mut bytes, TEXT, &vec![b'x'; length]);
            assert!((0..bytes.len().min(300)).all(|end| server_frame(&bytes[..end]).is_none()));
            assert!(server_frame(&bytes[..bytes.len() - 1]).is_none());
        }
    }
}
