//! Why a connection ended: one value, one code, one sentence.

use std::borrow::Cow;
use std::time::Duration;

use crate::websocket::ProtocolError;

/// This is why a connection ended. It has one close code, one sentence for the client and one label for logs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// The client closed, with its code (1005 when it gave none) and reason.
    Left {
        /// The client's close code.
        code: u16,
        /// The client's reason.
        reason: String,
    },
    /// The connection broke without a close frame.
    Lost,
    /// The server is shutting down.
    GoingAway,
    /// A message without `id` was refused, and the policy is to close: `Could not validate payload` and the like.
    Refused(&'static str),
    /// The peer broke the WebSocket protocol.
    ProtocolError(ProtocolError),
    /// A text message was not UTF-8.
    InvalidUtf8,
    /// A message was larger than the limit in bytes.
    TooBig(usize),
    /// The peer sent more than it may: too many bytes, or too many pings.
    Flooded(&'static str),
    /// Too many messages were wrong in a short time.
    TooManyErrors,
    /// The client does not read what it subscribed to.
    TooSlow,
    /// Nothing was heard for a whole heartbeat interval.
    HeartbeatMissed(Timeouts),
    /// The connection is as old as connections may become.
    LifespanReached(Timeouts),
    /// The application closed it.
    Application {
        /// 1000, 1001, 1008, 1011 to 1014, or 3000 to 4999.
        code: u16,
        /// At most 123 bytes.
        reason: String,
    },
    /// The server failed in a way that this connection does not survive.
    Internal,
}

/// These are the two time limits of a connection, as FastWS prints them when one is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// How long a client may be silent.
    pub heartbeat: Option<Duration>,
    /// How long a connection may live.
    pub lifespan: Option<Duration>,
}

impl CloseReason {
    /// The close code: what the peer is sent, or what it sent.
    pub fn code(&self) -> u16 {
        match self {
            Self::Left { code, .. } | Self::Application { code, .. } => *code,
            Self::Lost => 1006,
            Self::GoingAway => 1001,
            Self::Refused(_) => 1003,
            Self::ProtocolError(error) => error.close_code(),
            Self::Flooded(_) => 1008,
            Self::InvalidUtf8 => 1007,
            Self::TooBig(_) => 1009,
            Self::TooManyErrors => 4009,
            Self::TooSlow => 4102,
            Self::HeartbeatMissed(_) => 4103,
            Self::LifespanReached(_) => 4104,
            Self::Internal => 1011,
        }
    }

    /// The sentence for a person, at most 123 bytes.
    pub fn sentence(&self) -> Cow<'_, str> {
        match self {
            Self::Left { reason, .. } | Self::Application { reason, .. } => reason.into(),
            Self::Lost => "The connection was lost".into(),
            Self::GoingAway => "The server is going away".into(),
            Self::Refused(reason) => (*reason).into(),
            Self::ProtocolError(error) => error.to_string().into(),
            Self::Flooded(what) => (*what).into(),
            Self::InvalidUtf8 => "The message is not UTF-8".into(),
            Self::TooBig(limit) => format!("The message is larger than {limit} bytes").into(),
            Self::TooManyErrors => "Too many errors".into(),
            Self::TooSlow => "The client reads too slowly".into(),
            Self::HeartbeatMissed(timeouts) | Self::LifespanReached(timeouts) => timeouts.to_string().into(),
            Self::Internal => "The server failed".into(),
        }
    }

    /// The word for logs and metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Left { .. } => "left",
            Self::Lost => "lost",
            Self::GoingAway => "going_away",
            Self::Refused(_) => "refused",
            Self::ProtocolError(ProtocolError::Unfinished) => "unfinished",
            Self::ProtocolError(_) => "protocol_error",
            Self::Flooded(_) => "flooded",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::TooBig(_) => "too_big",
            Self::TooManyErrors => "too_many_errors",
            Self::TooSlow => "too_slow",
            Self::HeartbeatMissed(_) => "heartbeat_missed",
            Self::LifespanReached(_) => "lifespan_reached",
            Self::Application { .. } => "application",
            Self::Internal => "internal",
        }
    }

    /// The ending that an application asks for. A code that may not be on the wire becomes 1011, a long reason is cut.
    pub(crate) fn application(code: u16, reason: impl Into<String>) -> Self {
        let mut reason = reason.into();
        reason.truncate(reason.floor_char_boundary(MAX_REASON_BYTES));
        if matches!(code, 1000 | 1001 | 1008 | 1011..=1014 | 3000..=4999) {
            return Self::Application { code, reason };
        }
        tracing::error!(code, "close code may not be sent (RFC 6455 section 7.4), sending 1011 instead");
        Self::Application { code: 1011, reason }
    }

    /// Every code that the framework closes with, and what it means, for documents.
    pub fn documented() -> Vec<(u16, &'static str)> {
        vec![
            (1000, "Closed normally: stop."),
            (1001, "The server is going away: reconnect."),
            (1002, "WebSocket protocol error: mend the client."),
            (
                1003,
                "A message without `id` was refused: `Could not decode message`, `No matching type` or `Could not validate payload`.",
            ),
            (1007, "A text message was not UTF-8: mend the client."),
            (1008, "Too many bytes or pings, or a message that was not finished in time: mend the client."),
            (1009, "A message was larger than the limit: mend the client."),
            (1011, "The server failed: reconnect with back-off."),
            (4009, "Too many errors: stop and tell the user."),
            (4102, "The client reads too slowly: reconnect with back-off."),
            (4103, "Heartbeat missed: reconnect with back-off."),
            (4104, "Connection lifespan reached: reconnect with back-off."),
        ]
    }
}

/// The longest reason that fits a close frame (RFC 6455 section 5.5), in bytes.
const MAX_REASON_BYTES: usize = 123;

impl From<ProtocolError> for CloseReason {
    fn from(error: ProtocolError) -> Self {
        match error {
            ProtocolError::InvalidUtf8 => Self::InvalidUtf8,
            ProtocolError::TooBig(limit) => Self::TooBig(limit),
            other => Self::ProtocolError(other),
        }
    }
}

impl std::fmt::Display for CloseReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.code(), self.sentence())
    }
}

impl std::fmt::Display for Timeouts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds =
            |limit: Option<Duration>| limit.map_or("unset".to_owned(), |limit| format!("{:?}", limit.as_secs_f64()));
        write!(
            f,
            "Connection timed out. Heartbeat interval {}. Max connection lifespan {}",
            seconds(self.heartbeat),
            seconds(self.lifespan)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_reads_as_fastws_wrote_it() {
        let timeouts = Timeouts { heartbeat: Some(Duration::from_secs(30)), lifespan: None };
        assert_eq!(
            timeouts.to_string(),
            "Connection timed out. Heartbeat interval 30.0. Max connection lifespan unset"
        );
    }

    #[test]
    fn a_reason_is_cut_at_a_character() {
        let reason = CloseReason::application(4000, "ä".repeat(100));
        assert_eq!(reason.sentence().len(), 122);
    }
}
