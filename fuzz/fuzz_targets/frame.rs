//! Headers of frames: parsed as the reference parses them, and written as they were.

#![no_main]

use fastws_core::websocket::{Header, reference};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let parsed = Header::parse(bytes);
    let expected = reference::head(bytes);
    match (parsed, expected) {
        (Ok(Some((header, length))), Ok(Some(head))) => {
            let found = (header.is_final, header.is_compressed, header.opcode as u8, header.mask, header.length);
            assert_eq!(found, (head.fin, head.rsv1, head.opcode, head.mask, head.payload));
            assert_eq!(length, head.bytes);
            let mut written = Vec::new();
            header.write(&mut written);
            assert_eq!(written, bytes[..length]);
            for end in 0..length {
                assert_eq!(Header::parse(&bytes[..end]), Ok(None), "there are {end} bytes only");
            }
        }
        (Ok(None), Ok(None)) => {}
        (Err(error), Err(expected)) => assert_eq!(error, expected),
        (parsed, expected) => panic!("{parsed:?} instead of {expected:?}"),
    }
});
