//! What can go wrong, told to whoever can mend it: [`Error`] to a client, [`BuildError`] to the programmer.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

/// This is the result of a handler: a reply, or an [`Error`] that its client is told.
pub type Result<T = (), E = Error> = std::result::Result<T, E>;

/// This is what a client is told when its request fails: a stable code, a message for a person, and details per field.
///
/// The cause that led to it is logged and never sent.
///
/// ```
/// use fastws_core::Error;
///
/// let error = Error::new("unknown_symbol", "unknown symbol `AAPLE`").detail("/symbol", "did you mean `AAPL`?");
/// assert_eq!(error.code().as_str(), "unknown_symbol");
/// ```
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    code: ErrorCode,
    message: String,
    operation: Option<String>,
    details: Vec<Detail>,
    retry_after: Option<Duration>,
    permanent: bool,
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// This is one thing that is wrong in a payload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Detail {
    /// Where, as a JSON Pointer (RFC 6901) into the payload; empty for the payload itself.
    pub path: String,
    /// What is wrong there.
    pub message: String,
}

/// This is the payload of an `error` frame.
#[derive(Serialize)]
pub(crate) struct PublicError<'a> {
    code: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<&'a str>,
    #[serde(skip_serializing_if = "<[Detail]>::is_empty")]
    details: &'a [Detail],
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
}

impl Error {
    /// Makes an error that the client is told. `code` is `snake_case` and stable; `message` is for a person.
    pub fn new(code: impl Into<ErrorCode>, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            code: code.into(),
            message: message.into(),
            operation: None,
            details: Vec::new(),
            retry_after: None,
            permanent: false,
            cause: None,
        }))
    }

    /// Makes an `internal_error`: the client is told only that, the log is told `cause`.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::new(ErrorCode::INTERNAL_ERROR, "the server could not answer; the failure was logged").caused_by(cause)
    }

    /// Adds one thing that is wrong in the payload; `path` is a JSON Pointer.
    #[must_use]
    pub fn detail(mut self, path: impl Into<String>, message: impl Into<String>) -> Self {
        self.0.details.push(Detail { path: path.into(), message: message.into() });
        self
    }

    /// Says when it makes sense to try again.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.0.retry_after = Some(delay);
        self
    }

    /// Says that trying again is of no use: a topic's source that fails so is not restarted.
    #[must_use]
    pub fn permanent(mut self) -> Self {
        self.0.permanent = true;
        self
    }

    /// Keeps what led to this error, for the log alone.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// Names the operation that failed, unless it is named already.
    #[must_use]
    pub(crate) fn in_operation(mut self, name: &str) -> Self {
        self.0.operation.get_or_insert_with(|| name.to_owned());
        self
    }

    /// The stable code.
    pub fn code(&self) -> &ErrorCode {
        &self.0.code
    }

    /// The sentence that the client reads.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What is wrong, field by field.
    pub fn details(&self) -> &[Detail] {
        &self.0.details
    }

    /// Whether trying again is of no use.
    pub fn is_permanent(&self) -> bool {
        self.0.permanent
    }

    /// What led to it, for the log.
    pub(crate) fn cause(&self) -> Option<&(dyn std::error::Error + Send + Sync)> {
        self.0.cause.as_deref()
    }

    /// The same error for one more reader; the cause stays with the first.
    pub(crate) fn share(&self) -> Self {
        Self(Box::new(Inner {
            code: self.0.code.clone(),
            message: self.0.message.clone(),
            operation: self.0.operation.clone(),
            details: self.0.details.clone(),
            retry_after: self.0.retry_after,
            permanent: self.0.permanent,
            cause: None,
        }))
    }

    pub(crate) fn public(&self) -> PublicError<'_> {
        PublicError {
            code: self.0.code.as_str(),
            message: &self.0.message,
            operation: self.0.operation.as_deref(),
            details: &self.0.details,
            retry_after_ms: self.0.retry_after.map(|delay| u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code.as_str(), self.0.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.cause.as_deref().map(|cause| cause as _)
    }
}

impl From<std::io::Error> for Error {
    fn from(cause: std::io::Error) -> Self {
        Self::internal(cause)
    }
}

impl From<serde_json::Error> for Error {
    fn from(cause: serde_json::Error) -> Self {
        Self::internal(cause)
    }
}

/// This is the stable name of a kind of error: one of the constants, or an application's own `snake_case` word.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ErrorCode(Cow<'static, str>);

macro_rules! error_codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal;)+) => {
        impl ErrorCode {
            $($(#[doc = $doc])+ pub const $name: Self = Self(Cow::Borrowed($code));)+

            /// Every code of the framework with what it means, in the order of the protocol.
            pub const ALL: &'static [(Self, &'static str)] = &[$((Self::$name, concat!($($doc),+))),+];
        }
    };
}

error_codes! {
    /// The message is not a JSON object with a string `type`.
    MALFORMED_MESSAGE = "malformed_message";
    /// No operation of that name can be sent.
    UNKNOWN_OPERATION = "unknown_operation";
    /// The payload does not decode or breaks a constraint; `details` names each field.
    INVALID_PAYLOAD = "invalid_payload";
    /// A request with this id is still in flight.
    DUPLICATE_ID = "duplicate_id";
    /// Too many requests of this connection wait for their replies.
    TOO_MANY_IN_FLIGHT = "too_many_in_flight";
    /// The operation took too long.
    DEADLINE_EXCEEDED = "deadline_exceeded";
    /// The request was cancelled before it was done.
    CANCELLED = "cancelled";
    /// The operation needs a login.
    UNAUTHENTICATED = "unauthenticated";
    /// The login does not allow the operation.
    FORBIDDEN = "forbidden";
    /// The login has expired.
    TOKEN_EXPIRED = "token_expired";
    /// Too many requests; `retry_after_ms` says when to go on.
    RATE_LIMITED = "rate_limited";
    /// Something that the operation needs is down; `retry_after_ms` says when to try again.
    UNAVAILABLE = "unavailable";
    /// The connection holds as many subscriptions as it may.
    TOO_MANY_SUBSCRIPTIONS = "too_many_subscriptions";
    /// There is no such topic.
    UNKNOWN_TOPIC = "unknown_topic";
    /// The topic's source could not start or has failed; with `retry_after_ms` it starts again by itself.
    TOPIC_FAILED = "topic_failed";
    /// The server failed; the connection lives on.
    INTERNAL_ERROR = "internal_error";
}

impl ErrorCode {
    /// The code as it is on the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this code blames what the client wrote, and so counts against the connection.
    pub(crate) fn is_client_mistake(&self) -> bool {
        self.refusal().is_some() || *self == Self::DUPLICATE_ID
    }

    /// The reason with which a connection is closed for this code, under the closing policy.
    pub(crate) fn refusal(&self) -> Option<&'static str> {
        match self.as_str() {
            "malformed_message" => Some("Could not decode message"),
            "unknown_operation" => Some("No matching type"),
            "invalid_payload" => Some("Could not validate payload"),
            _ => None,
        }
    }
}

impl From<&'static str> for ErrorCode {
    fn from(code: &'static str) -> Self {
        Self(Cow::Borrowed(code))
    }
}

impl From<String> for ErrorCode {
    fn from(code: String) -> Self {
        Self(Cow::Owned(code))
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// This is everything that keeps a service from starting, one sentence each.
#[derive(Debug, PartialEq, Eq)]
pub struct BuildError {
    sentences: Vec<String>,
}

impl BuildError {
    /// `Ok` when there is nothing to complain about.
    pub(crate) fn check(mut sentences: Vec<String>) -> std::result::Result<(), Self> {
        sentences.sort();
        sentences.dedup();
        if sentences.is_empty() { Ok(()) } else { Err(Self { sentences }) }
    }

    /// The sentences, sorted.
    pub fn sentences(&self) -> &[String] {
        &self.sentences
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the service cannot start:")?;
        self.sentences.iter().try_for_each(|sentence| write!(f, "\n  - {sentence}"))
    }
}

impl std::error::Error for BuildError {}
