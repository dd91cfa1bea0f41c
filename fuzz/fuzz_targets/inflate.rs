//! Compressed messages: inflated to what the reference makes of them, and never beyond the limit.
//!
//! The first two bytes say how large a message may be.

#![no_main]

use fastws_core::websocket::reference::{self, Told, hear};
use fastws_core::websocket::{Agreement, Decoder, Header, MessageLimits, OpCode, ProtocolError, Role};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let [high, low, compressed @ ..] = input else { return };
    let limit = usize::from(u16::from_be_bytes([*high, *low]));
    let expected = if compressed.len() > limit + limit / 8 + 64 {
        Err(ProtocolError::TooBig(limit))
    } else {
        reference::inflate(compressed, limit)
    };
    let (told, error) = match expected {
        Ok(bytes) => (vec![Told::Binary(bytes)], None),
        Err(error) => (vec![], Some(error)),
    };
    let length = compressed.len() as u64;
    let mut frame = Vec::new();
    Header { is_final: true, is_compressed: true, opcode: OpCode::Binary, mask: None, length }.write(&mut frame);
    frame.extend_from_slice(compressed);
    let limits = MessageLimits { bytes: limit, ..MessageLimits::default() };
    let mut decoder = Decoder::new(Role::Client, limits).with_deflate(Some(&Agreement::default()));
    assert_eq!(hear(&mut decoder, [&frame[..]]), (told, error));
});
