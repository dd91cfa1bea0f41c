//! What waits to be written to one client: replies and updates in one bounded queue, so that it sees one order.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;

use super::socket::Socket;
use crate::close::CloseReason;
use crate::limits::Limits;
use crate::update::Update;
use crate::websocket::{Agreement, Header, OpCode, Prepared, write_close, write_frame};

/// This is the outbox of one connection.
///
/// What a turn of the shard adds is one piece of bytes, written at the end of the turn in one go. Only a socket that does
/// not take all of it gets a queue, which is bounded in frames, bytes and age.
///
/// It is small: fan-out to many clients is bound by how many cache lines it touches.
#[derive(Default)]
pub(super) struct Outbox {
    pending: Pending,
    queue: Option<Box<Queue>>,
    /// How the client wants its messages compressed.
    agreement: Option<Box<Agreement>>,
    /// Whether the transport has kept something that it was given.
    is_unflushed: bool,
    /// Whether the shard knows that there is something to write.
    pub(super) is_listed: bool,
}

/// This is what the turn has added: nothing, one piece that is shared with others, or a buffer of its own.
#[derive(Default)]
enum Pending {
    #[default]
    Nothing,
    Shared(Piece),
    Own(Vec<u8>, u32),
}

/// This is a number in the list of the [pieces](Supplies) that a turn has for several clients.
#[derive(Clone, Copy)]
pub(super) struct Piece(u32);

/// This is what a socket did not take.
#[derive(Default)]
struct Queue {
    chunks: VecDeque<Chunk>,
    size: Size,
    /// How much of the first chunk is written.
    written: usize,
}

struct Chunk {
    bytes: Bytes,
    frames: usize,
    since: Instant,
}

/// This is how much waits.
#[derive(Clone, Copy, Default)]
pub(super) struct Size {
    pub(super) frames: usize,
    pub(super) bytes: usize,
}

/// This is what a shard has for all its outboxes: buffers that can be used again, and the bytes that several share.
#[derive(Default)]
pub(super) struct Supplies {
    buffers: Vec<Vec<u8>>,
    pieces: Vec<Shared>,
}

/// These are frames that several clients get.
enum Shared {
    One(Prepared),
    Joined(Bytes, u32),
}

impl Shared {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::One(frame) => frame.bytes(None),
            Self::Joined(bytes, _) => bytes,
        }
    }

    fn to_bytes(&self) -> Bytes {
        match self {
            Self::One(frame) => frame.frame(None),
            Self::Joined(bytes, _) => bytes.clone(),
        }
    }

    fn frames(&self) -> u32 {
        match self {
            Self::One(_) => 1,
            Self::Joined(_, frames) => *frames,
        }
    }
}

impl Supplies {
    fn take(&mut self) -> Vec<u8> {
        self.buffers.pop().unwrap_or_default()
    }

    fn give(&mut self, mut buffer: Vec<u8>) {
        if self.buffers.len() < MAX_SPARE && buffer.capacity() <= MAX_SPARE_BYTES {
            buffer.clear();
            self.buffers.push(buffer);
        }
    }

    /// Keeps updates that several clients get as one piece, until the turn is over.
    pub(super) fn share(&mut self, updates: &[Update]) -> Piece {
        let piece = u32::try_from(self.pieces.len()).expect("a turn has fewer pieces than 2^32");
        self.pieces.push(match updates {
            [only] => Shared::One(only.frame.clone()),
            several => {
                let length = several.iter().map(|update| update.frame.len()).sum();
                let mut joined = Vec::with_capacity(length);
                several.iter().for_each(|update| joined.extend_from_slice(update.frame.bytes(None)));
                Shared::Joined(joined.into(), several.len() as u32)
            }
        });
        Piece(piece)
    }

    fn piece(&self, piece: Piece) -> &Shared {
        &self.pieces[piece.0 as usize]
    }

    /// The turn is over: no outbox refers to a piece any more.
    pub(super) fn forget_pieces(&mut self) {
        self.pieces.clear();
    }
}

impl Outbox {
    pub(super) fn new(agreement: Option<Agreement>) -> Self {
        Self { agreement: agreement.map(Box::new), ..Self::default() }
    }

    pub(super) fn is_compressed(&self) -> bool {
        self.agreement.is_some()
    }

    pub(super) fn agreement(&self) -> Option<Agreement> {
        self.agreement.as_deref().copied()
    }

    /// Adds frames that are shared with others.
    pub(super) fn append_shared(&mut self, piece: Piece, supplies: &mut Supplies) {
        if let Pending::Nothing = self.pending {
            self.pending = Pending::Shared(piece);
            return;
        }
        let (own, count) = self.own(supplies);
        let shared = supplies.piece(piece);
        own.extend_from_slice(shared.bytes());
        *count += shared.frames();
    }

    /// Adds one frame that is ready.
    pub(super) fn append(&mut self, bytes: &[u8], supplies: &mut Supplies) {
        let (own, count) = self.own(supplies);
        own.extend_from_slice(bytes);
        *count += 1;
    }

    /// Adds one message that others may read too.
    pub(super) fn append_prepared(&mut self, frame: &Prepared, supplies: &mut Supplies) {
        let agreement = self.agreement();
        self.append(frame.bytes(agreement.as_ref()), supplies);
    }

    /// Adds one update.
    pub(super) fn append_update(&mut self, update: &Update, supplies: &mut Supplies) {
        self.append_prepared(&update.frame, supplies);
    }

    /// Adds one message.
    pub(super) fn append_text(&mut self, text: &str, supplies: &mut Supplies) {
        self.append_pieces(&[text], supplies);
    }

    /// Adds one message that comes in pieces.
    pub(super) fn append_pieces(&mut self, pieces: &[&str], supplies: &mut Supplies) {
        let agreement = self.agreement();
        let (own, count) = self.own(supplies);
        *count += 1;
        match agreement {
            None => {
                let length = pieces.iter().map(|piece| piece.len() as u64).sum();
                Header { is_final: true, is_compressed: false, opcode: OpCode::Text, mask: None, length }.write(own);
                pieces.iter().for_each(|piece| own.extend_from_slice(piece.as_bytes()));
            }
            Some(agreement) => agreement.write_message(own, OpCode::Text, pieces.concat().as_bytes()),
        }
    }

    /// Adds the close frame.
    pub(super) fn append_close(&mut self, reason: &CloseReason, supplies: &mut Supplies) {
        let (own, count) = self.own(supplies);
        *count += 1;
        match reason.code() {
            // A client that gave no code gets none back: 1005 may not be on the wire (RFC 6455 section 7.4.1).
            1005 => write_frame(own, OpCode::Close, &[]),
            code => write_close(own, code, &reason.sentence()),
        }
    }

    /// Adds one frame.
    pub(super) fn append_frame(&mut self, opcode: OpCode, payload: &[u8], supplies: &mut Supplies) {
        let (own, count) = self.own(supplies);
        write_frame(own, opcode, payload);
        *count += 1;
    }

    fn own(&mut self, supplies: &mut Supplies) -> (&mut Vec<u8>, &mut u32) {
        match self.pending {
            Pending::Nothing => self.pending = Pending::Own(supplies.take(), 0),
            Pending::Shared(piece) => {
                let mut own = supplies.take();
                let shared = supplies.piece(piece);
                own.extend_from_slice(shared.bytes());
                self.pending = Pending::Own(own, shared.frames());
            }
            Pending::Own(..) => {}
        }
        match &mut self.pending {
            Pending::Own(own, frames) => (own, frames),
            _ => unreachable!("it was made one of our own above"),
        }
    }

    /// Whether the turn has added so much that it is better written at once.
    pub(super) fn is_large(&self) -> bool {
        matches!(&self.pending, Pending::Own(own, _) if own.len() > LARGE_BYTES)
    }

    /// Whether the socket did not take what it was given.
    pub(super) fn is_blocked(&self) -> bool {
        self.queue.is_some() || self.is_unflushed
    }

    /// Whether everything has been written.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self.pending, Pending::Nothing) && !self.is_blocked()
    }

    /// Writes what the socket takes; the rest waits in the queue. `Pending` wakes `context`.
    ///
    /// # Errors
    /// The socket's own: it is broken.
    pub(super) fn poll_flush(
        &mut self,
        socket: &mut Socket,
        context: &mut Context<'_>,
        supplies: &mut Supplies,
        now: Instant,
    ) -> Poll<io::Result<()>> {
        if let Some(queue) = &mut self.queue {
            let (bytes, frames) = std::mem::take(&mut self.pending).into_bytes(supplies);
            queue.push(bytes, frames, now);
            if queue.poll_write(socket, context)?.is_pending() {
                return Poll::Pending;
            }
            self.queue = None;
        } else {
            let bytes = self.pending.bytes(supplies);
            let mut written = 0;
            while written < bytes.len() {
                match socket.poll_write(context, &bytes[written..])? {
                    Poll::Ready(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Poll::Ready(more) => written += more,
                    Poll::Pending => {
                        let (bytes, frames) = std::mem::take(&mut self.pending).into_bytes(supplies);
                        self.queue = Some(Box::new(Queue::behind(written, bytes, frames, now)));
                        return Poll::Pending;
                    }
                }
            }
            if let Pending::Own(own, _) = std::mem::take(&mut self.pending) {
                supplies.give(own);
            }
        }
        let flushed = socket.poll_flush(context);
        self.is_unflushed = flushed.is_pending();
        flushed
    }

    /// Whether more waits than may, together with what subscriptions hold back. One frame alone may be as large as it
    /// likes.
    pub(super) fn is_full(&self, held: Size, limits: &Limits) -> bool {
        let queued = self.queue.as_ref().map_or(Size::default(), |queue| queue.size);
        let (frames, bytes) = (queued.frames + held.frames, queued.bytes + held.bytes);
        frames > limits.outbox_frames || frames > 1 && bytes > limits.outbox_bytes
    }

    /// When something will have waited too long, unless the socket takes it.
    pub(super) fn deadline(&self, limits: &Limits) -> Option<Instant> {
        self.queue.as_ref()?.chunks.front().map(|oldest| oldest.since + limits.outbox_age)
    }

    /// Drops what waits, but for the rest of a frame that is partly written.
    pub(super) fn clear(&mut self) {
        self.pending = Pending::Nothing;
        if let Some(queue) = &mut self.queue {
            queue.keep_only_begun();
        }
    }
}

impl Pending {
    fn bytes<'a>(&'a self, supplies: &'a Supplies) -> &'a [u8] {
        match self {
            Self::Nothing => &[],
            Self::Shared(piece) => supplies.piece(*piece).bytes(),
            Self::Own(bytes, _) => bytes,
        }
    }

    /// The bytes, and how many frames they are.
    fn into_bytes(self, supplies: &Supplies) -> (Bytes, usize) {
        match self {
            Self::Nothing => (Bytes::new(), 0),
            Self::Shared(piece) => {
                let shared = supplies.piece(piece);
                (shared.to_bytes(), shared.frames() as usize)
            }
            Self::Own(mut bytes, frames) => {
                // A queue is bounded by the bytes in it, not by the room in its buffers.
                bytes.shrink_to_fit();
                (bytes.into(), frames as usize)
            }
        }
    }
}

impl Queue {
    /// Begins with what a socket has not taken of the first bytes.
    fn behind(written: usize, bytes: Bytes, frames: usize, now: Instant) -> Self {
        let mut queue = Self { written, ..Self::default() };
        queue.push(bytes, frames, now);
        queue
    }

    fn push(&mut self, bytes: Bytes, frames: usize, since: Instant) {
        if !bytes.is_empty() {
            self.size.frames += frames;
            self.size.bytes += bytes.len();
            self.chunks.push_back(Chunk { bytes, frames, since });
        }
    }

    fn poll_write(&mut self, socket: &mut Socket, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.chunks.is_empty() {
            let mut pieces = [IoSlice::new(&[]); MAX_PIECES];
            let mut count = 0;
            for (piece, chunk) in pieces.iter_mut().zip(&self.chunks) {
                let begin = if count == 0 { self.written } else { 0 };
                *piece = IoSlice::new(&chunk.bytes[begin..]);
                count += 1;
            }
            match socket.poll_write_vectored(context, &pieces[..count])? {
                Poll::Ready(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(written) => self.advance(written),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, mut written: usize) {
        while let Some(first) = self.chunks.front() {
            let rest = first.bytes.len() - self.written;
            if written < rest {
                self.written += written;
                return;
            }
            written -= rest;
            self.written = 0;
            self.size.frames -= first.frames;
            self.size.bytes -= first.bytes.len();
            self.chunks.pop_front();
        }
    }

    fn keep_only_begun(&mut self) {
        let first = self.chunks.pop_front();
        self.chunks.clear();
        self.size = Size::default();
        let Some(Chunk { bytes, since, .. }) = first else { return };
        let end = frame_end(&bytes, self.written);
        if end > self.written {
            self.push(bytes.slice(..end), 1, since);
        } else {
            self.written = 0;
        }
    }
}

/// Where the frame ends of which the first bytes up to `written` are the last that were written.
fn frame_end(frames: &[u8], written: usize) -> usize {
    let mut end = 0;
    while end < written {
        let Ok(Some((header, length))) = Header::parse(&frames[end..]) else { return frames.len() };
        end += length + usize::try_from(header.length).expect("it is in memory");
    }
    end
}

/// What a turn adds for one client is written at once when it is larger than this, in bytes.
const LARGE_BYTES: usize = 16 * 1024;
const MAX_SPARE: usize = 512;
const MAX_SPARE_BYTES: usize = 2 * LARGE_BYTES;
/// How many pieces one system call writes.
const MAX_PIECES: usize = 64;
