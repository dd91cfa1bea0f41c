//! The decoder against the reference, over random streams in random pieces.
//!
//! Twenty thousand of them are part of the tests; `FASTWS_STREAMS` asks for another number. What a stream is made of
//! follows from its number alone, so a failure can be repeated.

use flate2::{Compress, Compression, FlushCompress};

use super::frame::{Header, OpCode, Role, apply_mask};
use super::reference::{Terms, Told, decode, hear};
use super::{Agreement, Decoder, MessageLimits};

#[test]
fn any_pieces_of_any_stream_tell_what_the_reference_tells() {
    let count = std::env::var("FASTWS_STREAMS").map_or(20_000, |count| count.parse().expect("it is a number"));
    let (mut told, mut failed) = (0, 0);
    for number in 0..count {
        let mut random = Random(number);
        let terms = terms(&mut random);
        let stream = stream(&mut random, terms);
        let expected = decode(&stream, terms);
        assert_eq!(hear(&mut decoder(terms), [&stream[..]]), expected, "stream {number} in one piece");
        assert_eq!(hear(&mut decoder(terms), pieces(&mut random, &stream)), expected, "stream {number} in pieces");
        if random.is_one_of(8) {
            assert_eq!(hear(&mut decoder(terms), stream.chunks(1)), expected, "stream {number} byte by byte");
        }
        told += expected.0.iter().filter(|told| matches!(told, Told::Text(_) | Told::Binary(_))).count();
        failed += u64::from(expected.1.is_some());
    }
    eprintln!("{count} streams, {told} messages, {failed} failures");
    assert!(count < 1000 || failed > count / 10 && failed < count * 9 / 10, "right and wrong ones are both there");
}

/// Writes the inputs from which the fuzz targets begin.
#[test]
#[ignore = "it writes files: cargo test -p fastws-core write_the_seeds -- --ignored"]
fn write_the_seeds_of_the_fuzz_targets() {
    let folder = |target: &str| {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target);
        std::fs::create_dir_all(&path).expect("the folder can be made");
        path
    };
    let (frames, messages, compressed) = (folder("frame"), folder("message"), folder("inflate"));
    for number in 0..40 {
        let mut random = Random(number);
        let terms = terms(&mut random);
        let name = format!("{number:02}");
        // What the targets make of these bytes is told there.
        let flags = u8::from(terms.role == Role::Client) | u8::from(terms.inflates) << 1;
        let limit = (terms.limit as u16).to_be_bytes();
        let stream = stream(&mut random, terms);
        let input = [&[flags, limit[0], limit[1], number as u8], &stream[..]].concat();
        std::fs::write(messages.join(&name), input).expect("it can be written");
        std::fs::write(frames.join(&name), &stream[..stream.len().min(20)]).expect("it can be written");
        let (text, payload) = (random.is_one_of(2), random.below(600));
        let payload = if text { characters(&mut random, payload) } else { random.bytes(payload) };
        let input = [&limit[..], &deflate(&mut random, &payload)].concat();
        std::fs::write(compressed.join(&name), input).expect("it can be written");
    }
}

fn decoder(terms: Terms) -> Decoder {
    let limits = MessageLimits { bytes: terms.limit, ..MessageLimits::default() };
    Decoder::new(terms.role, limits).with_deflate(terms.inflates.then(Agreement::default).as_ref())
}

fn terms(random: &mut Random) -> Terms {
    let role = if random.is_one_of(4) { Role::Client } else { Role::Server };
    let limit = if random.is_one_of(3) { random.below(300) } else { 4096 };
    Terms { role, limit, inflates: random.is_one_of(2) }
}

/// Some messages in fragments, with control frames between them; now and then a mistake.
fn stream(random: &mut Random, terms: Terms) -> Vec<u8> {
    let mut out = Vec::new();
    for _ in 0..1 + random.below(4) {
        message(random, terms, &mut out);
    }
    if random.is_one_of(3) && !out.is_empty() {
        let at = random.below(out.len());
        match random.below(4) {
            0 => out[at] = random.next() as u8,
            1 => out[at] ^= 1 << random.below(8),
            2 => out.truncate(at),
            _ => drop(out.remove(at)),
        }
    }
    out
}

fn message(random: &mut Random, terms: Terms, out: &mut Vec<u8>) {
    let length = if random.is_one_of(20) { random.below(5000) } else { random.below(150) };
    let mut opcode = if random.is_one_of(2) { OpCode::Text } else { OpCode::Binary };
    let is_text = opcode == OpCode::Text && !random.is_one_of(20);
    let mut payload = if is_text { characters(random, length) } else { random.bytes(length) };
    let mut is_compressed = terms.inflates && random.is_one_of(2) || random.is_one_of(100);
    if is_compressed {
        payload = deflate(random, &payload);
    }
    let pieces: Vec<_> = pieces(random, &payload).map(<[u8]>::to_vec).collect();
    for (at, piece) in pieces.iter().enumerate() {
        frame(random, terms.role, at + 1 == pieces.len(), is_compressed, opcode, piece, out);
        (opcode, is_compressed) = (OpCode::Continuation, false);
        if random.is_one_of(4) {
            let control = [OpCode::Ping, OpCode::Pong, OpCode::Close][random.below(21) / 10];
            let payload = if control == OpCode::Close { goodbye(random) } else { random.short() };
            frame(random, terms.role, true, false, control, &payload, out);
        }
    }
}

fn goodbye(random: &mut Random) -> Vec<u8> {
    let code = [1000, 1001, 1004, 1005, 1014, 1015, 3000, 4999, 5000][random.below(9)] as u16;
    let reason = random.below(40);
    match random.below(4) {
        0 => vec![],
        1 => random.short(),
        _ => [&code.to_be_bytes(), &characters(random, reason)[..]].concat(),
    }
}

fn frame(
    random: &mut Random,
    role: Role,
    is_final: bool,
    is_compressed: bool,
    opcode: OpCode,
    payload: &[u8],
    out: &mut Vec<u8>,
) {
    let mask = (role == Role::Server).then(|| (random.next() as u32).to_ne_bytes());
    Header { is_final, is_compressed, opcode, mask, length: payload.len() as u64 }.write(out);
    let begin = out.len();
    out.extend_from_slice(payload);
    apply_mask(&mut out[begin..], mask.unwrap_or_default(), 0);
}

/// A message as a sender compresses it: with any effort, in one go or in several, with or without a last block.
fn deflate(random: &mut Random, payload: &[u8]) -> Vec<u8> {
    let mut compressor = Compress::new(Compression::new(random.below(10) as u32), false);
    let mut out = Vec::with_capacity(2 * payload.len() + 1024);
    if random.is_one_of(8) {
        compressor.compress_vec(payload, &mut out, FlushCompress::Finish).expect("there is room");
        if random.is_one_of(2) {
            out.push(0);
        }
        return out;
    }
    for piece in pieces(random, payload) {
        compressor.compress_vec(piece, &mut out, FlushCompress::Sync).expect("there is room");
    }
    out.truncate(out.len() - 4);
    out
}

/// All of it, cut at up to four places.
fn pieces<'a>(random: &mut Random, all: &'a [u8]) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    let mut cuts = vec![0, all.len()];
    for _ in 0..random.below(5) {
        cuts.push(random.below(all.len() + 1));
    }
    cuts.sort_unstable();
    (1..cuts.len()).map(move |at| &all[cuts[at - 1]..cuts[at]])
}

/// About as many bytes of text, in characters of all lengths.
fn characters(random: &mut Random, length: usize) -> Vec<u8> {
    let mut text = String::new();
    while text.len() < length {
        let range = [0x80, 0x800, 0x1_0000, 0x11_0000][random.below(4)];
        text.extend(char::from_u32(random.below(range) as u32));
    }
    text.into_bytes()
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    fn is_one_of(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }

    /// What fits a control frame.
    fn short(&mut self) -> Vec<u8> {
        let length = self.below(126);
        self.bytes(length)
    }
}
