//! The goodbye: what a close frame may say (RFC 6455 sections 5.5.1 and 7.4).

use super::error::ProtocolError;
use super::frame::{MAX_CONTROL_BYTES, OpCode, write_frame, write_masked_frame};

/// This is what a peer said in its close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close<'a> {
    /// Why it closes; `None` when it did not say, which the API of browsers shows as 1005.
    pub code: Option<u16>,
    /// A sentence for a person.
    pub reason: &'a str,
}

impl<'a> Close<'a> {
    /// Reads the payload of a close frame.
    ///
    /// # Errors
    /// A single byte, a code that may not be sent, or a reason that is not UTF-8.
    pub fn parse(payload: &'a [u8]) -> Result<Self, ProtocolError> {
        let Some((code, reason)) = payload.split_first_chunk() else {
            return if payload.is_empty() {
                Ok(Self { code: None, reason: "" })
            } else {
                Err(ProtocolError::CloseTooShort)
            };
        };
        let code = u16::from_be_bytes(*code);
        if !Self::may_send(code) {
            return Err(ProtocolError::CloseCode(code));
        }
        let reason = std::str::from_utf8(reason).map_err(|_| ProtocolError::InvalidUtf8)?;
        Ok(Self { code: Some(code), reason })
    }

    /// Whether a code may be in a close frame (RFC 6455 section 7.4 and the registry of IANA).
    ///
    /// 1004 is reserved; 1005, 1006 and 1015 only tell an application what happened; 3000 to 3999 are registered, 4000 to
    /// 4999 private; 0 to 999 are not used, and nobody has defined 1016 to 2999.
    pub fn may_send(code: u16) -> bool {
        matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }

    /// The code to answer with: the peer's own, or 1000 when it gave none (RFC 6455 section 5.5.1).
    pub fn reply(&self) -> u16 {
        self.code.unwrap_or(1000)
    }
}

/// Appends a close frame to `out`: what a server sends, once, after everything else.
///
/// A code that may not be sent becomes 1011, and a long reason is cut at a character.
///
/// ```
/// let mut out = Vec::new();
/// fastws_core::websocket::write_close(&mut out, 1001, "restart");
/// assert_eq!(out, b"\x88\x09\x03\xe9restart");
/// ```
pub fn write_close(out: &mut Vec<u8>, code: u16, reason: &str) {
    write_frame(out, OpCode::Close, &payload(code, reason));
}

/// Appends a masked close frame to `out`: what a client sends.
pub fn write_masked_close(out: &mut Vec<u8>, code: u16, reason: &str, key: [u8; 4]) {
    write_masked_frame(out, OpCode::Close, &payload(code, reason), key);
}

fn payload(code: u16, reason: &str) -> Vec<u8> {
    let code = if Close::may_send(code) { code } else { INTERNAL_ERROR };
    let reason = &reason[..reason.floor_char_boundary(MAX_REASON_BYTES)];
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

/// The longest reason that fits a close frame, in bytes.
const MAX_REASON_BYTES: usize = MAX_CONTROL_BYTES - 2;
const INTERNAL_ERROR: u16 = 1011;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_accepted_or_refused_as_the_registry_has_it() {
        let allowed =
            |code| (1000..=1014).contains(&code) && !(1004..=1006).contains(&code) || (3000..5000).contains(&code);
        for code in 0..=u16::MAX {
            let expected = if allowed(code) { Ok(Some(code)) } else { Err(ProtocolError::CloseCode(code)) };
            assert_eq!(Close::parse(&code.to_be_bytes()).map(|close| close.code), expected);
        }
    }

    #[test]
    fn a_close_payload_is_empty_or_a_code_and_utf8() {
        assert_eq!(Close::parse(b""), Ok(Close { code: None, reason: "" }));
        assert_eq!(Close::parse(b"\x03"), Err(ProtocolError::CloseTooShort));
        assert_eq!(Close::parse(b"\x03\xe8\xff"), Err(ProtocolError::InvalidUtf8));
        assert_eq!(Close::parse(b"\x03\xe8bye"), Ok(Close { code: Some(1000), reason: "bye" }));
    }

    #[test]
    fn what_is_written_can_always_be_read() {
        for (code, reason) in [(1000, ""), (1006, "lost"), (4000, &*"ä".repeat(100))] {
            let mut out = Vec::new();
            write_close(&mut out, code, reason);
            assert!(out.len() <= 127);
            Close::parse(&out[2..]).expect("it is a valid payload");
        }
    }
}
