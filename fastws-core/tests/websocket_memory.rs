//! What the WebSocket core allocates, counted: bombs, idle connections, lengths that are only announced.

use allocation_counter::{AllocationInfo, measure};
use fastws_core::websocket::{Agreement, Decoder, Header, MessageLimits, OpCode, ProtocolError, Role};
use flate2::{Compress, Compression, FlushCompress};

const LIMIT: usize = 64 * 1024;
const BOMB: usize = 20 << 20;

fn decoder() -> Decoder {
    let limits = MessageLimits { bytes: LIMIT, ..MessageLimits::default() };
    Decoder::new(Role::Client, limits).with_deflate(Some(&Agreement::default()))
}

/// One frame of a server, perhaps compressed, that announces this length.
fn frame(is_final: bool, opcode: OpCode, is_compressed: bool, length: usize, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Header { is_final, is_compressed, opcode, mask: None, length: length as u64 }.write(&mut out);
    out.extend_from_slice(payload);
    out
}

fn whole(opcode: OpCode, is_compressed: bool, payload: &[u8]) -> Vec<u8> {
    frame(true, opcode, is_compressed, payload.len(), payload)
}

/// Reads pieces, and tells how many events there were and how it ended.
fn read(decoder: &mut Decoder, stream: &mut [u8], piece: usize) -> (usize, Option<ProtocolError>) {
    let mut count = 0;
    for piece in stream.chunks_mut(piece) {
        let mut events = decoder.read(piece);
        loop {
            match events.next() {
                Ok(Some(_)) => count += 1,
                Ok(None) => break,
                Err(error) => return (count, Some(error)),
            }
        }
    }
    (count, None)
}

/// What reading takes, by a thread that has its inflater already.
fn measure_reading(stream: &mut [u8], piece: usize, expected: (usize, Option<ProtocolError>)) -> AllocationInfo {
    read(&mut decoder(), &mut whole(OpCode::Text, true, b"\0"), 64);
    measure(|| assert_eq!(read(&mut decoder(), stream, piece), expected))
}

fn deflate(size: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(LIMIT);
    let mut compressor = Compress::new(Compression::best(), false);
    compressor.compress_vec(&vec![0; size], &mut out, FlushCompress::Sync).expect("there is room");
    out.truncate(out.len() - 4);
    out
}

#[test]
fn a_bomb_costs_less_than_twice_the_limit() {
    let bomb = deflate(BOMB);
    let too_big = (0, Some(ProtocolError::TooBig(LIMIT)));
    let peak = measure_reading(&mut whole(OpCode::Binary, true, &bomb), usize::MAX, too_big).bytes_max;
    assert!(peak < 2 * LIMIT as u64, "{peak} bytes in one piece");

    let (begin, end) = bomb.split_at(1000);
    let mut fragments = frame(false, OpCode::Binary, true, begin.len(), begin);
    fragments.extend(whole(OpCode::Continuation, false, end));
    let in_fragments = measure_reading(&mut fragments, 4096, too_big).bytes_max;
    assert!(in_fragments < 2 * LIMIT as u64, "{in_fragments} bytes in fragments");
    eprintln!("{BOMB} bytes in {}: a peak of {peak}, {in_fragments} in fragments", bomb.len());
}

#[test]
fn what_fills_the_limit_costs_less_than_twice_the_limit_and_leaves_nothing() {
    let stream = whole(OpCode::Binary, true, &deflate(LIMIT));
    let info = measure_reading(&mut stream.clone(), usize::MAX, (1, None));
    assert!(info.bytes_max < 2 * LIMIT as u64, "{info:?}");
    let (mut decoder, mut stream) = (decoder(), stream);
    let info = measure(|| assert_eq!(read(&mut decoder, &mut stream, 100), (1, None)));
    assert_eq!(info.bytes_current, 0, "the decoder is idle");
}

#[test]
fn an_idle_decoder_holds_nothing_whatever_it_has_read() {
    let stream = [
        whole(OpCode::Text, false, &[b'x'; 5000]),
        whole(OpCode::Ping, false, b"AAPL"),
        frame(false, OpCode::Text, false, 3000, &[b'y'; 3000]),
        whole(OpCode::Pong, false, &[b'z'; 125]),
        whole(OpCode::Continuation, false, &[b'y'; 3000]),
    ]
    .concat();
    for piece in [1, 2, 7, 1000, usize::MAX] {
        let (mut decoder, mut stream) = (decoder(), stream.clone());
        let info = measure(|| assert_eq!(read(&mut decoder, &mut stream, piece), (4, None)));
        assert!(decoder.is_idle());
        assert_eq!(info.bytes_current, 0, "in pieces of {piece}");
    }
}

#[test]
fn whole_frames_are_told_without_any_allocation() {
    let mut stream = whole(OpCode::Text, false, b"AAPL").repeat(100);
    let mut decoder = decoder();
    let info = measure(|| assert_eq!(read(&mut decoder, &mut stream, usize::MAX), (100, None)));
    assert_eq!(info.count_total, 0);
}

#[test]
fn memory_is_taken_for_what_has_arrived_and_not_for_what_was_announced() {
    let mut announced = frame(true, OpCode::Binary, false, LIMIT, b"only this");
    let peak = measure_reading(&mut announced, 5, (0, None)).bytes_max;
    assert!(peak < 512, "{peak} bytes");
    let mut refused = frame(true, OpCode::Binary, false, LIMIT + 1, b"");
    let too_big = (0, Some(ProtocolError::TooBig(LIMIT)));
    assert_eq!(measure_reading(&mut refused, usize::MAX, too_big).bytes_max, 0);
}

#[test]
fn tiny_fragments_cost_no_more_than_their_message() {
    let mut stream = frame(false, OpCode::Text, false, 0, b"");
    stream.extend(frame(false, OpCode::Continuation, false, 1, b"x").repeat(LIMIT));
    stream.extend(frame(false, OpCode::Continuation, false, 0, b"").repeat(1_000_000));
    stream.extend(whole(OpCode::Continuation, false, b""));
    let info = measure_reading(&mut stream, 4096, (1, None));
    assert!(info.bytes_max < 2 * LIMIT as u64, "{info:?}");
    assert!(info.count_total < 32, "{info:?}");
}
