//! Frames: headers, masks and the rules that a single frame can break (RFC 6455 section 5).

use super::error::ProtocolError;

/// This is the end of a connection that we are. It decides which frames have to be masked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// We accept connections: what we read is masked, what we write is not.
    Server,
    /// We open connections: what we write is masked, what we read is not.
    Client,
}

/// This is what a frame is (RFC 6455 section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum OpCode {
    /// A further fragment of a message.
    Continuation = 0,
    /// A text message, or its first fragment.
    Text = 1,
    /// A binary message, or its first fragment.
    Binary = 2,
    /// The goodbye.
    Close = 8,
    /// A question whether somebody is there.
    Ping = 9,
    /// The answer to a ping.
    Pong = 10,
}

impl OpCode {
    /// Whether this is a control frame: whole, short, and allowed between fragments.
    pub fn is_control(self) -> bool {
        self as u8 >= 8
    }

    fn parse(bits: u8) -> Result<Self, ProtocolError> {
        Ok(match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            other => return Err(ProtocolError::ReservedOpCode(other)),
        })
    }
}

/// This is the header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whether the frame ends its message.
    pub is_final: bool,
    /// RSV1: whether the frame begins a compressed message (RFC 7692 section 6).
    pub is_compressed: bool,
    /// What the frame is.
    pub opcode: OpCode,
    /// What the payload is masked with.
    pub mask: Option<[u8; 4]>,
    /// How long the payload is.
    pub length: u64,
}

impl Header {
    /// The longest header: two bytes, a 64-bit length and a mask.
    pub const MAX_BYTES: usize = 14;

    /// Reads the header at the beginning of `bytes`, and tells how many bytes it took. `None` asks for more bytes.
    ///
    /// # Errors
    /// Whatever breaks a rule that needs no context, as soon as the guilty byte is there.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, ProtocolError> {
        let Some(&first) = bytes.first() else { return Ok(None) };
        if first & (RSV2 | RSV3) != 0 {
            return Err(ProtocolError::ReservedBit);
        }
        let opcode = OpCode::parse(first & 0x0f)?;
        let is_final = first & FIN != 0;
        let is_compressed = first & RSV1 != 0;
        if is_compressed && (opcode.is_control() || opcode == OpCode::Continuation) {
            return Err(ProtocolError::ReservedBit);
        }
        if opcode.is_control() && !is_final {
            return Err(ProtocolError::ControlFragmented);
        }
        let Some(&second) = bytes.get(1) else { return Ok(None) };
        let short = second & 0x7f;
        if opcode.is_control() && usize::from(short) > MAX_CONTROL_BYTES {
            return Err(ProtocolError::ControlTooLong);
        }
        let (length, at) = match short {
            LENGTH_16 => {
                let Some(length) = bytes.get(2..).and_then(|rest| rest.first_chunk()) else { return Ok(None) };
                (u64::from(u16::from_be_bytes(*length)), 4)
            }
            LENGTH_64 => {
                let Some(length) = bytes.get(2..).and_then(|rest| rest.first_chunk()) else { return Ok(None) };
                (u64::from_be_bytes(*length), 10)
            }
            short => (u64::from(short), 2),
        };
        if length >> 63 != 0 {
            return Err(ProtocolError::LengthOverflow);
        }
        if at != length_bytes(length) {
            return Err(ProtocolError::LengthNotMinimal);
        }
        let mut header = Self { is_final, is_compressed, opcode, mask: None, length };
        if second & MASKED == 0 {
            return Ok(Some((header, at)));
        }
        header.mask = bytes.get(at..).and_then(|rest| rest.first_chunk()).copied();
        Ok(header.mask.map(|_| (header, at + 4)))
    }

    /// Appends the header to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        let bit = |is_set: bool, bit: u8| if is_set { bit } else { 0 };
        out.push(bit(self.is_final, FIN) | bit(self.is_compressed, RSV1) | self.opcode as u8);
        let masked = bit(self.mask.is_some(), MASKED);
        match (u8::try_from(self.length), u16::try_from(self.length)) {
            (Ok(length), _) if length < LENGTH_16 => out.push(masked | length),
            (_, Ok(length)) => {
                out.push(masked | LENGTH_16);
                out.extend_from_slice(&length.to_be_bytes());
            }
            _ => {
                out.push(masked | LENGTH_64);
                out.extend_from_slice(&self.length.to_be_bytes());
            }
        }
        out.extend_from_slice(self.mask.as_ref().map_or(&[], <[u8; 4]>::as_slice));
    }

    /// Whether the peer of `role` may send this frame: clients mask, servers do not (RFC 6455 section 5.1).
    pub(super) fn check_mask(&self, role: Role) -> Result<(), ProtocolError> {
        match (role, self.mask) {
            (Role::Server, None) => Err(ProtocolError::NotMasked),
            (Role::Client, Some(_)) => Err(ProtocolError::Masked),
            _ => Ok(()),
        }
    }
}

/// Where the length of a frame ends in the header.
fn length_bytes(length: u64) -> usize {
    match length {
        0..=125 => 2,
        126..=0xffff => 4,
        _ => 10,
    }
}

/// Masks or unmasks a payload in place (RFC 6455 section 5.3).
///
/// `offset` is the place of `bytes` in the payload, for those that arrive in pieces.
///
/// ```
/// use fastws_core::websocket::apply_mask;
///
/// let key = [0x37, 0xfa, 0x21, 0x3d];
/// let mut payload = *b"Hello";
/// apply_mask(&mut payload[..2], key, 0);
/// apply_mask(&mut payload[2..], key, 2);
/// assert_eq!(payload, [0x7f, 0x9f, 0x4d, 0x51, 0x58]);
/// ```
pub fn apply_mask(bytes: &mut [u8], key: [u8; 4], offset: usize) {
    let key: [u8; 4] = std::array::from_fn(|at| key[(offset % 4 + at) % 4]);
    let wide: [u8; 8] = std::array::from_fn(|at| key[at % 4]);
    let wide = u64::from_ne_bytes(wide);
    let (chunks, rest) = bytes.as_chunks_mut::<8>();
    for chunk in chunks {
        *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

/// Appends a whole, unmasked frame to `out`: what a server sends.
///
/// A control frame takes 125 bytes at most; more are cut off. Use [`write_close`](super::write_close) for a goodbye.
pub fn write_frame(out: &mut Vec<u8>, opcode: OpCode, payload: &[u8]) {
    write(out, opcode, payload, None);
}

/// Appends a whole, masked frame to `out`: what a client sends. The key has to be unpredictable (RFC 6455 section 10.3).
pub fn write_masked_frame(out: &mut Vec<u8>, opcode: OpCode, payload: &[u8], key: [u8; 4]) {
    write(out, opcode, payload, Some(key));
}

fn write(out: &mut Vec<u8>, opcode: OpCode, payload: &[u8], mask: Option<[u8; 4]>) {
    let room = if opcode.is_control() { MAX_CONTROL_BYTES } else { usize::MAX };
    let payload = &payload[..payload.len().min(room)];
    out.reserve(Header::MAX_BYTES + payload.len());
    Header { is_final: true, is_compressed: false, opcode, mask, length: payload.len() as u64 }.write(out);
    let begin = out.len();
    out.extend_from_slice(payload);
    if let Some(key) = mask {
        apply_mask(&mut out[begin..], key, 0);
    }
}

/// The longest payload of a control frame, in bytes (RFC 6455 section 5.5).
pub(super) const MAX_CONTROL_BYTES: usize = 125;

const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const RSV2: u8 = 0x20;
const RSV3: u8 = 0x10;
const MASKED: u8 = 0x80;
const LENGTH_16: u8 = 126;
const LENGTH_64: u8 = 127;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_length_has_one_form_only() {
        for (bytes, error) in [
            (&[0x82, 126, 0, 125][..], ProtocolError::LengthNotMinimal),
            (&[0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff], ProtocolError::LengthNotMinimal),
            (&[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], ProtocolError::LengthOverflow),
        ] {
            assert_eq!(Header::parse(bytes), Err(error));
        }
    }

    #[test]
    fn a_broken_rule_is_told_at_the_guilty_byte() {
        for (bytes, error) in [
            (&[0xa1][..], ProtocolError::ReservedBit),
            (&[0x91], ProtocolError::ReservedBit),
            (&[0xc0], ProtocolError::ReservedBit),
            (&[0xc9], ProtocolError::ReservedBit),
            (&[0x83], ProtocolError::ReservedOpCode(3)),
            (&[0x8b], ProtocolError::ReservedOpCode(11)),
            (&[0x09], ProtocolError::ControlFragmented),
            (&[0x88, 126], ProtocolError::ControlTooLong),
        ] {
            assert_eq!(Header::parse(bytes), Err(error));
        }
    }

    #[test]
    fn a_control_frame_is_never_written_longer_than_allowed() {
        let mut out = Vec::new();
        write_frame(&mut out, OpCode::Pong, &[7; 200]);
        assert_eq!((out[1], out.len()), (125, 127));
    }

    proptest! {
        #[test]
        fn a_header_reads_as_it_was_written(
            is_final: bool, is_compressed: bool, text: bool, mask: Option<[u8; 4]>,
            length in prop_oneof![0..200_u64, 65_530..65_540_u64, 0..1_u64 << 63],
        ) {
            let opcode = if text { OpCode::Text } else { OpCode::Binary };
            let header = Header { is_final, is_compressed, opcode, mask, length };
            let mut bytes = Vec::new();
            header.write(&mut bytes);
            prop_assert_eq!(Header::parse(&bytes), Ok(Some((header, bytes.len()))));
            for end in 0..bytes.len() {
                prop_assert_eq!(Header::parse(&bytes[..end]), Ok(None));
            }
        }

        #[test]
        fn a_mask_in_pieces_is_the_mask_in_one(payload: Vec<u8>, key: [u8; 4], cut: prop::sample::Index) {
            let slow: Vec<u8> = payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
            let cut = if payload.is_empty() { 0 } else { cut.index(payload.len()) };
            let mut fast = payload;
            apply_mask(&mut fast[..cut], key, 0);
            apply_mask(&mut fast[cut..], key, cut);
            prop_assert_eq!(fast, slow);
        }
    }
}
