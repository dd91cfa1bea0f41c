//! A connection to a server, as a client.

use std::time::Duration;

use fastws_asyncapi::{Contract, Request};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Map, Value};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::arguments::Access;
use crate::document::shown;

/// This is an open connection. Pings are answered while it is read.
#[derive(Debug)]
pub(crate) struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

/// This is what a server says.
#[derive(Debug)]
pub(crate) enum Heard {
    Text(String),
    Binary,
    /// It says no more.
    Closed(Closed),
}

/// This is how a connection has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Closed {
    /// The close code; 1005 for none, 1006 when there was not even a goodbye.
    pub(crate) code: u16,
    pub(crate) reason: String,
}

impl Socket {
    /// Opens a connection.
    pub(crate) async fn connect(url: &str, access: &Access) -> Result<Self, String> {
        let cannot = |why: String| format!("cannot connect to {}: {why}", shown(url));
        let mut request = url.into_client_request().map_err(|error| cannot(error.to_string()))?;
        if let Some(token) = &access.token {
            let value = HeaderValue::from_str(&format!("Bearer {token}"));
            let value = value.map_err(|_| cannot("the token has characters that no header may have".into()))?;
            request.headers_mut().insert("authorization", value);
        }
        let connecting = timeout(access.timeout, connect_async(request)).await;
        let connected = connecting.map_err(|_| cannot(format!("no answer within {}", in_seconds(access.timeout))))?;
        match connected {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(Error::Http(response)) => {
                let hint = match response.status().as_u16() {
                    401 | 403 => "; give a token with --token",
                    404 => "; there is no socket at this path",
                    _ => "",
                };
                Err(cannot(format!("the server answered {}{hint}", response.status())))
            }
            Err(Error::Io(error)) => Err(cannot(error.to_string())),
            Err(error) => Err(cannot(error.to_string())),
        }
    }

    /// Sends a text message. That the other side has gone shows in what is heard next.
    pub(crate) async fn send(&mut self, text: impl Into<String>) {
        let _ = self.0.send(Message::text(text.into())).await;
    }

    /// Sends a binary message.
    pub(crate) async fn send_binary(&mut self, bytes: Vec<u8>) {
        let _ = self.0.send(Message::binary(bytes)).await;
    }

    /// Waits for what the server says next.
    pub(crate) async fn hear(&mut self) -> Heard {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Text(text))) => return Heard::Text(text.as_str().to_owned()),
                Some(Ok(Message::Binary(_))) => return Heard::Binary,
                Some(Ok(Message::Close(close))) => {
                    let (code, reason) =
                        close.map_or((1005, String::new()), |close| (close.code.into(), close.reason.to_string()));
                    // The answer to the goodbye goes out with this.
                    let _ = self.0.close(None).await;
                    return Heard::Closed(Closed { code, reason });
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    let reason = match error {
                        Error::ConnectionClosed | Error::AlreadyClosed => String::new(),
                        other => other.to_string(),
                    };
                    return Heard::Closed(Closed { code: 1006, reason });
                }
                None => return Heard::Closed(Closed { code: 1006, reason: String::new() }),
            }
        }
    }

    /// Says goodbye. What is still on its way can be heard until the server answers.
    pub(crate) async fn say_goodbye(&mut self) {
        let _ = self.0.close(None).await;
    }
}

impl Closed {
    /// How it ended, with the document's words for the code.
    pub(crate) fn told(&self, contract: &Contract) -> String {
        let meaning = contract.close_codes.get(&self.code).map_or(String::new(), |meaning| format!(" ({meaning})"));
        match (self.code, self.reason.as_str()) {
            (1006, "") => "the connection was lost".into(),
            (1006, reason) => format!("the connection was lost: {reason}"),
            (code, "") => format!("the server closed with {code}{meaning}"),
            (code, reason) => format!("the server closed with {code}, `{reason}`{meaning}"),
        }
    }

    /// Whether it makes sense to connect again.
    pub(crate) fn is_passing(&self) -> bool {
        !matches!(self.code, 1000 | 1002 | 1003 | 1007..=1010 | 4000..=4099)
    }
}

/// A request as it goes over the wire.
pub(crate) fn frame(request: &Request, id: &Value, payload: Option<&Value>) -> Value {
    let mut frame = Map::new();
    frame.insert("type".into(), request.message.name.as_str().into());
    if request.message.has_id {
        frame.insert("id".into(), id.clone());
    }
    frame.extend(payload.map(|payload| ("payload".to_owned(), payload.clone())));
    Value::Object(frame)
}

/// Whether a frame is the answer to a request: by its `id`, or by its type where the document knows no ids.
pub(crate) fn is_answer(request: &Request, id: &Value, frame: &Value) -> bool {
    if request.message.has_id {
        return frame.get("id") == Some(id);
    }
    frame["type"] == "error" || request.reply.as_ref().is_some_and(|reply| frame["type"] == reply.name.as_str())
}

pub(crate) fn in_seconds(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}
