//! Whole streams: heard as the reference hears them, however they are cut.
//!
//! The first byte says which end we are and whether compression was agreed on, the next two how large a message may be,
//! the fourth where the stream is cut.

#![no_main]

use fastws_core::websocket::reference::{Terms, decode, hear};
use fastws_core::websocket::{Agreement, Decoder, MessageLimits, Role};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let [flags, high, low, cuts, stream @ ..] = input else { return };
    let terms = Terms {
        role: if flags & 1 == 0 { Role::Server } else { Role::Client },
        limit: usize::from(u16::from_be_bytes([*high, *low])),
        inflates: flags & 2 != 0,
    };
    let expected = decode(stream, terms);
    assert_eq!(hear(&mut decoder(terms), [stream]), expected, "in one piece");
    assert_eq!(hear(&mut decoder(terms), pieces(stream, *cuts)), expected, "in pieces");
});

fn decoder(terms: Terms) -> Decoder {
    let limits = MessageLimits { bytes: terms.limit, ..MessageLimits::default() };
    Decoder::new(terms.role, limits).with_deflate(terms.inflates.then(Agreement::default).as_ref())
}

/// Pieces of one byte to a few dozen, as a linear congruential generator has it.
fn pieces(stream: &[u8], seed: u8) -> Vec<&[u8]> {
    let (mut rest, mut state, mut all) = (stream, u32::from(seed), Vec::new());
    while !rest.is_empty() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (piece, more) = rest.split_at(rest.len().min(1 + (state >> 27) as usize * usize::from(seed % 4)));
        all.push(piece);
        rest = more;
    }
    all
}
