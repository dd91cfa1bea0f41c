//! How each kind of server spells the same three requests.

/// This is how a server wants to be spoken to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Dialect {
    /// An envelope with `type`, `id` and `payload`.
    Envelope,
    /// An envelope with `type` and `payload`, where the id is a part of the payload.
    NoIds,
    /// Socket.IO's events.
    SocketIo,
}

impl Dialect {
    /// A whole request for an upgrade.
    pub(crate) fn upgrade(self, port: u16) -> String {
        let path = if self == Self::SocketIo { "/socket.io/?EIO=4&transport=websocket" } else { "/ws" };
        format!(
            "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
    }

    /// What is said first, and what the answer begins with.
    pub(crate) fn greeting(self) -> Option<&'static str> {
        (self == Self::SocketIo).then_some("40")
    }

    /// The answer to a message that only asks whether anybody is there.
    pub(crate) fn sign_of_life(self, text: &[u8]) -> Option<&'static [u8]> {
        (self == Self::SocketIo && text == b"2").then_some(b"3")
    }

    /// A request to get a topic's updates.
    pub(crate) fn subscribe(self, topic: usize) -> String {
        self.message("sub", &format!("{{\"topic\":\"{}\"}}", name(topic)))
    }

    /// A request to pass a bar on to the subscribers of a topic: 150 bytes.
    pub(crate) fn publish(self, topic: usize, sequence: u64) -> String {
        let topic = name(topic);
        let bar = format!(
            "{{\"topic\":\"{topic}\",\"t\":1700000000000,\"o\":189.1234,\"h\":189.5678,\"l\":188.9912,\"c\":189.3356,\
             \"v\":12345,\"n\":42,\"seq\":{sequence}}}"
        );
        self.message("pub", &bar)
    }

    /// A question with an answer of its own.
    pub(crate) fn ask(self, id: u64) -> String {
        match self {
            Self::Envelope => {
                format!("{{\"type\":\"bars.get\",\"id\":{id},\"payload\":{{\"symbol\":\"AAPL\",\"timeframe\":1}}}}")
            }
            _ => self.message("bars.get", &format!("{{\"id\":{id},\"symbol\":\"AAPL\",\"timeframe\":1}}")),
        }
    }

    fn message(self, name: &str, payload: &str) -> String {
        match self {
            Self::SocketIo => format!("42[\"{name}\",{payload}]"),
            _ => format!("{{\"type\":\"{name}\",\"payload\":{payload}}}"),
        }
    }
}

/// The first sequence number, and the first id: all have eight digits.
pub(crate) const FIRST: u64 = 10_000_000;

fn name(topic: usize) -> String {
    format!("bars:{topic:04}:1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publication_has_150_bytes() {
        assert_eq!(Dialect::Envelope.publish(0, FIRST).len(), 150);
    }
}
