use std::{
    fmt,
    fs::File,
    io::{self, BufRead, BufReader, Cursor, Read},
    path::{Path, PathBuf},
};

use flate2::bufread::MultiGzDecoder;

use crate::upstream::{Malformed, Monitor, VenueError, monitor::Count};

/// A recording being read, message by message.
///
/// Reading blocks. That is on purpose not moved to another thread: files are local, a read is 64 KiB
/// at most and takes a fraction of a millisecond, and the replay stays in one piece under a paused
/// clock.
pub(super) struct Recording {
    path: PathBuf,
    size: u64,
    format: Format,
    reader: Box<dyn BufRead + Send>,
    message: Vec<u8>,
    number: u64,
    offset: u64,
}

impl Recording {
    /// Opens a file and looks at its beginning; counts the bytes it reads in `monitor`.
    pub(super) fn open(path: &Path, monitor: Monitor) -> Result<Self, VenueError> {
        let unreadable = |source| VenueError::Unreadable { path: path.to_owned(), offset: 0, source };
        let file = File::open(path).map_err(unreadable)?;
        let size = file.metadata().map_err(unreadable)?.len();
        let mut packed = BufReader::with_capacity(BUFFER, Counted { file, monitor });
        let is_gzip = packed.fill_buf().map_err(unreadable)?.starts_with(&GZIP);
        let mut reader: Box<dyn BufRead + Send> = if is_gzip {
            Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(packed)))
        } else {
            Box::new(packed)
        };

        let mut beginning = Vec::new();
        reader.by_ref().take(BUFFER as u64).read_to_end(&mut beginning).map_err(unreadable)?;
        if beginning.trim_ascii().is_empty() {
            return Err(VenueError::Empty(path.to_owned()));
        }
        let format = Format::of(&beginning).ok_or_else(|| VenueError::UnknownFormat(path.to_owned()))?;
        Ok(Self {
            path: path.to_owned(),
            size,
            format,
            reader: Box::new(Cursor::new(beginning).chain(reader)),
            message: Vec::new(),
            number: 0,
            offset: 0,
        })
    }

    /// Its size on disk, in bytes.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn format(&self) -> Format {
        self.format
    }

    /// Reads the next message that is not empty; none at the end of the recording.
    pub(super) fn next(&mut self) -> Result<Option<Record<'_>>, VenueError> {
        loop {
            self.message.clear();
            let read = read_until(&mut self.reader, self.format.end(), &mut self.message)
                .map_err(|source| VenueError::Unreadable { path: self.path.clone(), offset: self.offset, source })?;
            if read == 0 {
                return Ok(None);
            }
            let offset = self.offset;
            self.offset += read as u64;
            self.number += 1;
            if !self.message.trim_ascii().is_empty() {
                return Ok(Some(Record { number: self.number, offset, bytes: self.message.trim_ascii() }));
            }
        }
    }
}

/// One message of a recording and its place.
pub(super) struct Record<'a> {
    /// From 1, empty ones included.
    pub(super) number: u64,
    /// In the unpacked file.
    pub(super) offset: u64,
    /// What is between two ends, without space around it.
    pub(super) bytes: &'a [u8],
}

impl<'a> Record<'a> {
    pub(super) fn text(&self) -> Result<&'a str, Malformed> {
        if self.bytes.len() >= LONGEST {
            return Err(Malformed::TooLong(LONGEST));
        }
        std::str::from_utf8(self.bytes).map_err(|_| Malformed::NotText)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Binance,
    Bitfinex,
}

impl Format {
    /// Tells by the beginning of a file, of which single messages may be broken.
    fn of(beginning: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(beginning);
        let is_binance = |line: &str| {
            line.split_once(' ').is_some_and(|(time, json)| time.parse::<u64>().is_ok() && json.starts_with('{'))
        };
        let is_bitfinex = |message: &str| message.starts_with("{\"event\"") || message.starts_with('[');
        if text.lines().any(is_binance) {
            Some(Self::Binance)
        } else if text.contains(";;") && text.split(";;").map(str::trim).any(is_bitfinex) {
            Some(Self::Bitfinex)
        } else {
            None
        }
    }

    /// What ends a message.
    fn end(self) -> &'static [u8] {
        match self {
            Self::Binance => b"\n",
            Self::Bitfinex => b";;",
        }
    }
}

/// Reads up to and including `end` or the end of the file, but [`LONGEST`] bytes at most; returns
/// how many were read. The `end` itself is not put into `message`.
fn read_until(reader: &mut impl BufRead, end: &[u8], message: &mut Vec<u8>) -> io::Result<usize> {
    let last = end[end.len() - 1];
    while message.len() < LONGEST {
        let room = (LONGEST - message.len()) as u64;
        if reader.by_ref().take(room).read_until(last, message)? == 0 {
            break;
        }
        if message.ends_with(end) {
            let read = message.len();
            message.truncate(read - end.len());
            return Ok(read);
        }
    }
    Ok(message.len())
}

/// A file that tells how far it has been read.
struct Counted {
    file: File,
    monitor: Monitor,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.monitor.add(Count::BytesRead, read as u64);
        Ok(read)
    }
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recording").field("path", &self.path).field("format", &self.format).finish_non_exhaustive()
    }
}

/// A gzip file begins with these bytes.
const GZIP: [u8; 2] = [0x1f, 0x8b];

const BUFFER: usize = 64 * 1024;

/// No exchange sends a message this long; it bounds the memory a broken file can take.
const LONGEST: usize = 16 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_apart_by_content_even_if_the_first_message_is_broken() {
        assert_eq!(Format::of(b"17231612 {\"a\":1}\n"), Some(Format::Binance));
        assert_eq!(Format::of(b"garbage\n17231612 {\"a\":1}\n"), Some(Format::Binance));
        assert_eq!(Format::of(b"{\"event\":\"info\"};;"), Some(Format::Bitfinex));
        assert_eq!(Format::of(b"garb;;[1,\"hb\"];;"), Some(Format::Bitfinex));
        assert_eq!(Format::of(b"{\"event\":\"info\"}"), None);
        assert_eq!(Format::of(b"time,open,high,low,close\n1,2,3,4,5\n"), None);
    }

    #[test]
    fn messages_end_with_two_semicolons_and_the_last_with_the_file() {
        let mut text: &[u8] = b"[1];;;;a;b;;rest";
        let mut messages = Vec::new();
        let mut message = Vec::new();
        while read_until(&mut text, b";;", &mut message).expect("memory can be read") > 0 {
            messages.push(String::from_utf8_lossy(&message).into_owned());
            message.clear();
        }
        assert_eq!(messages, ["[1]", "", "a;b", "rest"]);
    }
}
