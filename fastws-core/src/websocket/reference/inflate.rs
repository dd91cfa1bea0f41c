//! A second inflater, bit by bit (RFC 1951).

use crate::websocket::ProtocolError;

/// Inflates a whole message (RFC 7692 section 7.2.2).
///
/// # Errors
/// What is no DEFLATE stream, or breaks off, or is larger than the limit.
pub fn inflate(compressed: &[u8], limit: usize) -> Result<Vec<u8>, ProtocolError> {
    if compressed.is_empty() {
        return Ok(Vec::new());
    }
    // What the sender has cut off, and an empty last block.
    let input = [compressed, &[0, 0, 0xff, 0xff], &[1, 0, 0, 0xff, 0xff]].concat();
    let mut bits = Bits { bytes: &input, at: 0 };
    let mut out = Output { bytes: Vec::new(), begin: 0, limit };
    loop {
        let is_last = bits.take(1)? == 1;
        match bits.take(2)? {
            0 => stored(&mut bits, &mut out)?,
            1 => compressed_block(&mut bits, &mut out, &Code::fixed_lengths()?, &Code::new(&[5; 30], false)?)?,
            2 => {
                let (lengths, distances) = dynamic_codes(&mut bits)?;
                compressed_block(&mut bits, &mut out, &lengths, &distances)?;
            }
            _ => return Err(ProtocolError::InvalidDeflate),
        }
        if is_last {
            let end = bits.skip_to_byte();
            if end == compressed.len() || end == input.len() {
                return Ok(out.bytes);
            }
            // Another stream begins, which does not refer to this one.
            out.begin = out.bytes.len();
        }
    }
}

fn stored(bits: &mut Bits<'_>, out: &mut Output) -> Result<(), ProtocolError> {
    bits.skip_to_byte();
    let (length, complement) = (bits.take(16)?, bits.take(16)?);
    if length != complement ^ 0xffff {
        return Err(ProtocolError::InvalidDeflate);
    }
    for _ in 0..length {
        out.push(bits.take(8)? as u8)?;
    }
    Ok(())
}

/// RFC 1951 section 3.2.5.
fn compressed_block(
    bits: &mut Bits<'_>,
    out: &mut Output,
    lengths: &Code,
    distances: &Code,
) -> Result<(), ProtocolError> {
    const LENGTHS: [(usize, u32); 29] = [
        (3, 0),
        (4, 0),
        (5, 0),
        (6, 0),
        (7, 0),
        (8, 0),
        (9, 0),
        (10, 0),
        (11, 1),
        (13, 1),
        (15, 1),
        (17, 1),
        (19, 2),
        (23, 2),
        (27, 2),
        (31, 2),
        (35, 3),
        (43, 3),
        (51, 3),
        (59, 3),
        (67, 4),
        (83, 4),
        (99, 4),
        (115, 4),
        (131, 5),
        (163, 5),
        (195, 5),
        (227, 5),
        (258, 0),
    ];
    loop {
        let symbol = lengths.read(bits)?;
        match symbol {
            0..256 => out.push(symbol as u8)?,
            256 => return Ok(()),
            _ => {
                let (base, extra) = LENGTHS.get(symbol - 257).ok_or(ProtocolError::InvalidDeflate)?;
                let length = base + bits.take(*extra)?;
                let symbol = distances.read(bits)?;
                // 1, 2, 3, 4, 5, 7, 9, 13: two distances for each power of two.
                let extra = (symbol as u32 / 2).saturating_sub(1);
                let base = if symbol < 2 { symbol + 1 } else { ((2 + symbol % 2) << extra) + 1 };
                out.repeat(base + bits.take(extra)?, length)?;
            }
        }
    }
}

/// RFC 1951 section 3.2.7.
fn dynamic_codes(bits: &mut Bits<'_>) -> Result<(Code, Code), ProtocolError> {
    const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
    let (lengths, distances, codes) = (bits.take(5)? + 257, bits.take(5)? + 1, bits.take(4)? + 4);
    if lengths > 286 || distances > 30 {
        return Err(ProtocolError::InvalidDeflate);
    }
    let mut of_codes = [0; 19];
    for at in &ORDER[..codes] {
        of_codes[*at] = bits.take(3)?;
    }
    let code = Code::new(&of_codes, false)?;
    let mut all = Vec::new();
    while all.len() < lengths + distances {
        let (value, count) = match code.read(bits)? {
            16 => (*all.last().ok_or(ProtocolError::InvalidDeflate)?, 3 + bits.take(2)?),
            17 => (0, 3 + bits.take(3)?),
            18 => (0, 11 + bits.take(7)?),
            length => (length, 1),
        };
        all.extend(vec![value; count]);
    }
    if all.len() > lengths + distances || all[256] == 0 {
        return Err(ProtocolError::InvalidDeflate);
    }
    let (lengths, distances) = all.split_at(lengths);
    Ok((Code::new(lengths, true)?, Code::new(distances, true)?))
}

/// This is a Huffman code: its symbols in the order of their codes, with their lengths.
struct Code(Vec<(usize, usize)>);

impl Code {
    /// A code in which no bits are without a meaning; or, where that is allowed, of one bit of which only 0 has one.
    fn new(lengths: &[usize], may_be_incomplete: bool) -> Result<Self, ProtocolError> {
        let mut symbols: Vec<_> = lengths.iter().copied().zip(0..).filter(|(length, _)| *length > 0).collect();
        symbols.sort_unstable();
        let used: usize = symbols.iter().map(|(length, _)| 1 << (15 - length)).sum();
        let is_short = may_be_incomplete && symbols.iter().all(|(length, _)| *length == 1);
        let is_fixed_distances = lengths.len() == 30 && lengths.iter().all(|length| *length == 5);
        if used == 1 << 15 || used < 1 << 15 && (is_short || is_fixed_distances) {
            return Ok(Self(symbols));
        }
        Err(ProtocolError::InvalidDeflate)
    }

    /// RFC 1951 section 3.2.6. The last two symbols have a code and no meaning.
    fn fixed_lengths() -> Result<Self, ProtocolError> {
        Self::new(&[[8; 144].as_slice(), &[9; 112], &[7; 24], &[8; 8]].concat(), false)
    }

    fn read(&self, bits: &mut Bits<'_>) -> Result<usize, ProtocolError> {
        let (mut read, mut length, mut code) = (0, 0, 0);
        for (of_symbol, symbol) in &self.0 {
            while length < *of_symbol {
                read = read * 2 + bits.take(1)?;
                code *= 2;
                length += 1;
            }
            if read == code {
                return Ok(*symbol);
            }
            code += 1;
        }
        Err(ProtocolError::InvalidDeflate)
    }
}

struct Bits<'a> {
    bytes: &'a [u8],
    /// The next bit.
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: u32) -> Result<usize, ProtocolError> {
        let mut value = 0;
        for place in 0..count {
            let byte = self.bytes.get(self.at / 8).ok_or(ProtocolError::InvalidDeflate)?;
            value |= usize::from(byte >> (self.at % 8) & 1) << place;
            self.at += 1;
        }
        Ok(value)
    }

    /// Tells how many bytes are behind us.
    fn skip_to_byte(&mut self) -> usize {
        let bytes = self.at.div_ceil(8);
        self.at = bytes * 8;
        bytes
    }
}

struct Output {
    bytes: Vec<u8>,
    /// Where the present stream begins.
    begin: usize,
    limit: usize,
}

impl Output {
    fn push(&mut self, byte: u8) -> Result<(), ProtocolError> {
        if self.bytes.len() == self.limit {
            return Err(ProtocolError::TooBig(self.limit));
        }
        self.bytes.push(byte);
        Ok(())
    }

    fn repeat(&mut self, distance: usize, length: usize) -> Result<(), ProtocolError> {
        if distance > self.bytes.len() - self.begin {
            return Err(ProtocolError::InvalidDeflate);
        }
        for _ in 0..length {
            self.push(self.bytes[self.bytes.len() - distance])?;
        }
        Ok(())
    }
}
