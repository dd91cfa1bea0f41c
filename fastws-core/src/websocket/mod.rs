//! The WebSocket protocol without sockets and without clocks: bytes in, events out (RFC 6455, RFC 7692).
//!
//! This is for those who need bytes rather than operations: a gateway, a load client, a transport of one's own. Whoever
//! owns the socket reads into a buffer, hands the bytes to a [`Decoder`] and writes what [`write_frame`] made.
//!
//! ```
//! use fastws_core::websocket::{Decoder, Event, MessageLimits, OpCode, ProtocolError, Role, write_close, write_frame};
//!
//! /// Echoes what was just read from a socket. `Ok(true)` means that the peer has said goodbye.
//! fn echo(decoder: &mut Decoder, read: &mut [u8], written: &mut Vec<u8>) -> Result<bool, ProtocolError> {
//!     let mut events = decoder.read(read);
//!     while let Some(event) = events.next()? {
//!         match event {
//!             Event::Text(text) => write_frame(written, OpCode::Text, text.as_bytes()),
//!             Event::Binary(bytes) => write_frame(written, OpCode::Binary, bytes),
//!             Event::Ping(payload) => write_frame(written, OpCode::Pong, payload),
//!             Event::Pong(_) => {}
//!             Event::Close(close) => {
//!                 write_close(written, close.reply(), "");
//!                 return Ok(true);
//!             }
//!         }
//!     }
//!     Ok(false)
//! }
//!
//! let mut decoder = Decoder::new(Role::Server, MessageLimits::default());
//! let mut written = Vec::new();
//! // "Hello", masked, as RFC 6455 section 5.7 has it.
//! let mut read = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
//! assert_eq!(echo(&mut decoder, &mut read, &mut written), Ok(false));
//! assert_eq!(written, b"\x81\x05Hello");
//! ```
//!
//! | part | is about |
//! |---|---|
//! | [`Handshake`] | the request that opens a connection, and the answer |
//! | [`Decoder`], [`Event`] | whole messages and control frames out of bytes |
//! | [`write_frame`], [`write_close`], [`Prepared`] | frames out of messages, compressed once for all who read them |
//! | [`ProtocolError`] | what the peer did wrong, with the code that closes the connection |

mod close;
mod deflate;
mod error;
mod frame;
mod handshake;
mod message;
#[cfg(test)]
mod random_streams;
#[cfg(any(test, feature = "reference"))]
#[doc(hidden)]
pub mod reference;

pub use close::{Close, write_close, write_masked_close};
pub use deflate::{Agreement, Deflate, Prepared};
pub use error::ProtocolError;
pub use frame::{Header, OpCode, Role, apply_mask, write_frame, write_masked_frame};
pub use handshake::{Handshake, HandshakeError, accept_key};
pub use message::{Decoder, Event, Events, MessageLimits};
