//! What a peer can do wrong once the connection is open.

/// This is a breach of the protocol by the peer. It has one close code, and a sentence that fits a close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// RFC 6455 section 5.2: a reserved bit was set that no extension has given a meaning.
    #[error("a reserved bit is set")]
    ReservedBit,
    /// RFC 6455 section 5.2: opcodes 3 to 7 and 11 to 15 are reserved.
    #[error("opcode {0} is reserved")]
    ReservedOpCode(u8),
    /// RFC 6455 section 5.1: a client masks all that it sends.
    #[error("a frame from a client must be masked")]
    NotMasked,
    /// RFC 6455 section 5.1: a server masks nothing that it sends.
    #[error("a frame from a server must not be masked")]
    Masked,
    /// RFC 6455 section 5.2: the shortest form of a length is the only one.
    #[error("the length of a frame is not in its shortest form")]
    LengthNotMinimal,
    /// RFC 6455 section 5.2: the highest bit of a 64-bit length is zero.
    #[error("the length of a frame is beyond 63 bits")]
    LengthOverflow,
    /// RFC 6455 section 5.5: control frames are whole.
    #[error("a control frame must not be fragmented")]
    ControlFragmented,
    /// RFC 6455 section 5.5: control frames carry 125 bytes at most.
    #[error("a control frame carries more than 125 bytes")]
    ControlTooLong,
    /// RFC 6455 section 5.4: a continuation continues something.
    #[error("a continuation without a message")]
    NothingToContinue,
    /// RFC 6455 section 5.4: fragments of two messages are not interleaved.
    #[error("a new message inside a fragmented one")]
    MessageInsideMessage,
    /// RFC 6455 section 5.5.1: a close payload is empty or begins with two bytes of code.
    #[error("a close frame with one byte of payload")]
    CloseTooShort,
    /// RFC 6455 section 7.4: the code may not be sent.
    #[error("close code {0} must not be sent")]
    CloseCode(u16),
    /// RFC 6455 section 8.1: text is UTF-8.
    #[error("text is not UTF-8")]
    InvalidUtf8,
    /// RFC 7692 section 7.2.2: the payload is not a DEFLATE stream.
    #[error("a compressed message cannot be inflated")]
    InvalidDeflate,
    /// A message is larger than the limit, before or after inflation.
    #[error("a message is larger than {0} bytes")]
    TooBig(usize),
    /// A message was begun and not finished in time.
    #[error("a message was not finished in time")]
    Unfinished,
}

impl ProtocolError {
    /// The code to close with: 1002, 1007, 1008 or 1009 (RFC 6455 section 7.4.1).
    pub fn close_code(self) -> u16 {
        match self {
            Self::InvalidUtf8 | Self::InvalidDeflate => 1007,
            Self::Unfinished => 1008,
            Self::TooBig(_) => 1009,
            _ => 1002,
        }
    }
}
