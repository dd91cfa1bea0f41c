//! The handshake: which requests open a connection, and what they are answered (RFC 6455 section 4.2).

use axum::http::header::{
    ALLOW, CONNECTION, CONTENT_LENGTH, HOST, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version};
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use hyper::ext::Protocol;
use sha1::{Digest, Sha1};

use super::deflate::{Agreement, Deflate};

/// This is a request that opens a connection, checked, and the answer in the making.
///
/// ```
/// use fastws_core::axum::http::Request;
/// use fastws_core::websocket::{Deflate, Handshake};
///
/// let request = Request::get("/ws")
///     .header("host", "localhost")
///     .header("upgrade", "websocket")
///     .header("connection", "keep-alive, Upgrade")
///     .header("sec-websocket-version", "13")
///     .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
///     .header("sec-websocket-protocol", "fastws.v2, fastws.v1")
///     .body(())?;
/// let (parts, ()) = request.into_parts();
/// let mut handshake = Handshake::check(&parts)?;
/// handshake.choose_protocol("fastws.v1");
/// let response = handshake.response();
/// assert_eq!(response.status(), 101);
/// assert_eq!(response.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// assert_eq!(response.headers()["sec-websocket-protocol"], "fastws.v1");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Handshake {
    /// The answer to the key; HTTP/2 has no key.
    accept: Option<String>,
    protocols: Vec<String>,
    extensions: Vec<Extension>,
    protocol: Option<HeaderValue>,
    agreement: Option<Agreement>,
}

impl Handshake {
    /// Checks a request. Who may connect, by origin or credentials, is not asked here.
    ///
    /// # Errors
    /// What keeps the request from opening a connection, with its HTTP status.
    pub fn check(parts: &Parts) -> Result<Self, HandshakeError> {
        let headers = &parts.headers;
        let accept = match parts.version {
            Version::HTTP_2 => check_http2(parts).map(|()| None)?,
            _ => Some(accept_key(check_http1(parts)?)),
        };
        Ok(Self {
            accept,
            protocols: protocols(&list(headers, &SEC_WEBSOCKET_PROTOCOL).ok_or(HandshakeError::Protocols)?)?,
            extensions: list(headers, &SEC_WEBSOCKET_EXTENSIONS)
                .and_then(|value| extensions(&value))
                .ok_or(HandshakeError::Extensions)?,
            protocol: None,
            agreement: None,
        })
    }

    /// The subprotocols that the client offers, the one it likes best first. They may carry a token: do not log them.
    pub fn protocols(&self) -> &[String] {
        &self.protocols
    }

    /// Answers with this subprotocol, if the client has offered it; otherwise with none. Tells which.
    pub fn choose_protocol(&mut self, name: &str) -> bool {
        self.protocol =
            self.protocols.iter().find(|offered| *offered == name).and_then(|name| HeaderValue::from_str(name).ok());
        self.protocol.is_some()
    }

    /// Agrees to compression, if the client offers it in a form that these terms allow. Hand the agreement to
    /// [`Decoder::with_deflate`](super::Decoder::with_deflate).
    pub fn agree(&mut self, terms: &Deflate) -> Option<Agreement> {
        self.agreement = terms.agree(&self.extensions);
        self.agreement
    }

    /// The answer that opens the connection: 101 (RFC 6455 section 4.2.2), over HTTP/2 200 (RFC 8441 section 5).
    pub fn response(&self) -> Response<()> {
        let mut response = Response::new(());
        if let Some(accept) = &self.accept {
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            let headers = response.headers_mut();
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            headers.insert(SEC_WEBSOCKET_ACCEPT, visible(accept));
        }
        let headers = response.headers_mut();
        if let Some(protocol) = &self.protocol {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, protocol.clone());
        }
        if let Some(agreement) = &self.agreement {
            headers.insert(SEC_WEBSOCKET_EXTENSIONS, visible(&agreement.to_string()));
        }
        response
    }
}

/// The rules of HTTP/1.1; returns the key (RFC 6455 section 4.2.1).
fn check_http1(parts: &Parts) -> Result<&[u8], HandshakeError> {
    let headers = &parts.headers;
    if parts.method != Method::GET {
        return Err(HandshakeError::Method);
    }
    if parts.version != Version::HTTP_11 {
        return Err(HandshakeError::HttpVersion);
    }
    match headers.get_all(HOST).iter().count() {
        0 => return Err(HandshakeError::Host),
        1 => {}
        _ => return Err(HandshakeError::Twice("Host")),
    }
    if !names(headers, &CONNECTION, "upgrade") || !names(headers, &UPGRADE, "websocket") {
        return Err(HandshakeError::NotAnUpgrade);
    }
    let is_empty = headers.get_all(CONTENT_LENGTH).iter().all(|length| length == "0");
    if headers.contains_key(TRANSFER_ENCODING) || !is_empty {
        return Err(HandshakeError::Body);
    }
    check_version(headers)?;
    match &all(headers, &SEC_WEBSOCKET_KEY)[..] {
        [key] if is_key(key) => Ok(key),
        [] | [_] => Err(HandshakeError::Key),
        _ => Err(HandshakeError::Twice("Sec-WebSocket-Key")),
    }
}

/// The rules of HTTP/2 (RFC 8441 section 4): a CONNECT that names the protocol.
fn check_http2(parts: &Parts) -> Result<(), HandshakeError> {
    let protocol = parts.extensions.get::<Protocol>();
    if parts.method != Method::CONNECT || protocol.is_none_or(|protocol| protocol.as_str() != "websocket") {
        return Err(HandshakeError::NotAnUpgrade);
    }
    check_version(&parts.headers)
}

fn check_version(headers: &HeaderMap) -> Result<(), HandshakeError> {
    match &all(headers, &SEC_WEBSOCKET_VERSION)[..] {
        [b"13"] => Ok(()),
        [] | [_] => Err(HandshakeError::WebSocketVersion),
        _ => Err(HandshakeError::Twice("Sec-WebSocket-Version")),
    }
}

/// This is why a request does not open a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// Only GET opens a connection.
    #[error("a WebSocket is opened with GET")]
    Method,
    /// HTTP/1.0 knows no upgrade.
    #[error("a WebSocket is opened with HTTP/1.1 or HTTP/2")]
    HttpVersion,
    /// `Host` is missing.
    #[error("Host has to name the server")]
    Host,
    /// `Connection: Upgrade` or `Upgrade: websocket` is missing.
    #[error("this is a WebSocket endpoint: connect with ws:// or wss://")]
    NotAnUpgrade,
    /// The request has a body.
    #[error("the request of a WebSocket has no body")]
    Body,
    /// `Sec-WebSocket-Version` is missing or not 13.
    #[error("WebSocket version 13 is needed")]
    WebSocketVersion,
    /// `Sec-WebSocket-Key` is missing, or is not 16 bytes in base64.
    #[error("Sec-WebSocket-Key has to be 16 bytes in base64")]
    Key,
    /// A header that may be there once is there twice.
    #[error("{0} is there more than once")]
    Twice(&'static str),
    /// `Sec-WebSocket-Protocol` is not a list of different tokens.
    #[error("Sec-WebSocket-Protocol has to be a list of different tokens")]
    Protocols,
    /// `Sec-WebSocket-Extensions` is not a list of extensions.
    #[error("Sec-WebSocket-Extensions is malformed")]
    Extensions,
}

impl HandshakeError {
    /// The status of the answer: 400, 405 or 426.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotAnUpgrade | Self::WebSocketVersion => StatusCode::UPGRADE_REQUIRED,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// The answer, with what helps the client to do better.
    pub fn response(self) -> Response<String> {
        let mut response = Response::new(format!("{self}\n"));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        match self {
            Self::Method => {
                headers.insert(ALLOW, HeaderValue::from_static("GET"));
            }
            Self::WebSocketVersion | Self::NotAnUpgrade => {
                headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
                headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            }
            _ => {}
        }
        response
    }
}

/// The answer to a key: SHA-1 of it and a fixed text, in base64 (RFC 6455 section 4.2.2).
///
/// ```
/// let accept = fastws_core::websocket::accept_key(b"dGhlIHNhbXBsZSBub25jZQ==");
/// assert_eq!(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// ```
pub fn accept_key(key: &[u8]) -> String {
    BASE64.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize())
}

fn is_key(value: &[u8]) -> bool {
    value.len() == KEY_LENGTH && BASE64.decode(value).is_ok_and(|key| key.len() == KEY_BYTES)
}

/// This is an extension as a client offers it (RFC 6455 section 9.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Extension {
    pub(super) name: String,
    pub(super) parameters: Vec<(String, Option<String>)>,
}

/// Reads a list of extensions; `None` when it is malformed.
pub(super) fn extensions(value: &str) -> Option<Vec<Extension>> {
    let mut rest = Cursor(value);
    let mut all = Vec::new();
    while !rest.is_done() {
        let mut extension = Extension { name: rest.token()?.into(), parameters: Vec::new() };
        while rest.take(';') {
            let name = rest.token()?.to_owned();
            let value = if rest.take('=') { Some(rest.value()?) } else { None };
            extension.parameters.push((name, value));
        }
        all.push(extension);
        if !rest.take(',') && !rest.is_done() {
            return None;
        }
    }
    Some(all)
}

/// Reads a list of subprotocols: tokens, each once (RFC 6455 section 4.1).
fn protocols(value: &str) -> Result<Vec<String>, HandshakeError> {
    let mut all: Vec<String> = Vec::new();
    let mut rest = Cursor(value);
    while !rest.is_done() {
        let name = rest.token().ok_or(HandshakeError::Protocols)?;
        let is_end = rest.is_done();
        if all.iter().any(|other| other == name) || !is_end && !rest.take(',') {
            return Err(HandshakeError::Protocols);
        }
        all.push(name.into());
    }
    Ok(all)
}

/// This is the rest of a header's value.
struct Cursor<'a>(&'a str);

impl<'a> Cursor<'a> {
    fn skip_space(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t']);
    }

    fn is_done(&mut self) -> bool {
        self.skip_space();
        self.0.is_empty()
    }

    fn take(&mut self, wanted: char) -> bool {
        self.skip_space();
        let rest = self.0.strip_prefix(wanted);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn token(&mut self) -> Option<&'a str> {
        self.skip_space();
        let end = self.0.find(|c| !is_token_char(c)).unwrap_or(self.0.len());
        let (token, rest) = self.0.split_at(end);
        self.0 = rest;
        (!token.is_empty()).then_some(token)
    }

    /// A token, or a quoted string that holds one (RFC 6455 section 9.1).
    fn value(&mut self) -> Option<String> {
        if !self.take('"') {
            return self.token().map(str::to_owned);
        }
        let (mut value, mut chars) = (String::new(), self.0.chars());
        loop {
            match chars.next()? {
                '"' => break,
                '\\' => value.push(chars.next()?),
                plain => value.push(plain),
            }
        }
        self.0 = chars.as_str();
        (!value.is_empty() && value.chars().all(is_token_char)).then_some(value)
    }
}

fn is_token_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

fn all<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<&'a [u8]> {
    headers.get_all(name).iter().map(|value| value.as_bytes().trim_ascii()).collect()
}

/// All values of a header in one list; `None` when they are not visible ASCII.
fn list(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let values: Result<Vec<_>, _> = headers.get_all(name).iter().map(HeaderValue::to_str).collect();
    values.ok().map(|values| values.join(","))
}

/// Whether one of the comma-separated tokens of a header is this one, in whatever case.
fn names(headers: &HeaderMap, header: &HeaderName, token: &str) -> bool {
    list(headers, header)
        .is_some_and(|value| value.split(',').any(|one| one.trim_matches([' ', '\t']).eq_ignore_ascii_case(token)))
}

fn visible(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).expect("it is made of visible ASCII")
}

/// Clients that take 22 characters at random set bits that mean nothing; there is no harm in that.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const KEY_BYTES: usize = 16;
const KEY_LENGTH: usize = 24;

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    /// A request like the one of RFC 6455 section 1.2, changed a little.
    fn check(change: impl FnOnce(&mut Parts)) -> Result<Handshake, HandshakeError> {
        let request = Request::get("/ws")
            .header(HOST, "localhost")
            .header(UPGRADE, "websocket")
            .header(CONNECTION, "Upgrade")
            .header(SEC_WEBSOCKET_VERSION, "13")
            .header(SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ==")
            .body(())
            .expect("it is a request");
        let (mut parts, ()) = request.into_parts();
        change(&mut parts);
        Handshake::check(&parts)
    }

    fn set(name: HeaderName, value: &'static str) -> Result<Handshake, HandshakeError> {
        check(|parts| drop(parts.headers.insert(name, HeaderValue::from_static(value))))
    }

    fn add(name: HeaderName, value: &'static str) -> Result<Handshake, HandshakeError> {
        check(|parts| assert!(parts.headers.append(name, HeaderValue::from_static(value))))
    }

    #[test]
    fn a_request_is_refused_for_each_thing_that_is_wrong() {
        use HandshakeError as Wrong;
        for (result, wrong) in [
            (check(|parts| parts.method = Method::POST), Wrong::Method),
            (check(|parts| parts.version = Version::HTTP_10), Wrong::HttpVersion),
            (check(|parts| drop(parts.headers.remove(HOST))), Wrong::Host),
            (add(HOST, "localhost"), Wrong::Twice("Host")),
            (set(UPGRADE, "h2c"), Wrong::NotAnUpgrade),
            (set(CONNECTION, "keep-alive"), Wrong::NotAnUpgrade),
            (set(CONTENT_LENGTH, "5"), Wrong::Body),
            (set(TRANSFER_ENCODING, "chunked"), Wrong::Body),
            (set(SEC_WEBSOCKET_VERSION, "8"), Wrong::WebSocketVersion),
            (check(|parts| drop(parts.headers.remove(SEC_WEBSOCKET_VERSION))), Wrong::WebSocketVersion),
            (add(SEC_WEBSOCKET_VERSION, "13"), Wrong::Twice("Sec-WebSocket-Version")),
            (check(|parts| drop(parts.headers.remove(SEC_WEBSOCKET_KEY))), Wrong::Key),
            (set(SEC_WEBSOCKET_KEY, "c2hvcnQ="), Wrong::Key),
            (set(SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZSE="), Wrong::Key),
            (set(SEC_WEBSOCKET_KEY, "!!!!!!!!!!!!!!!!!!!!!!=="), Wrong::Key),
            (add(SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ=="), Wrong::Twice("Sec-WebSocket-Key")),
            (set(SEC_WEBSOCKET_PROTOCOL, "a,,b"), Wrong::Protocols),
            (set(SEC_WEBSOCKET_PROTOCOL, "a b"), Wrong::Protocols),
            (set(SEC_WEBSOCKET_PROTOCOL, "a, a"), Wrong::Protocols),
            (set(SEC_WEBSOCKET_EXTENSIONS, "a;"), Wrong::Extensions),
            (set(SEC_WEBSOCKET_EXTENSIONS, "a; b=\"c"), Wrong::Extensions),
            (set(SEC_WEBSOCKET_EXTENSIONS, "a b"), Wrong::Extensions),
        ] {
            assert_eq!(result.map(|_| ()), Err(wrong));
        }
    }

    #[test]
    fn tokens_are_found_in_lists_and_in_any_case() {
        assert!(set(CONNECTION, "keep-alive, UPGRADE").is_ok());
        assert!(set(UPGRADE, "h2c, WebSocket").is_ok());
        assert!(add(CONNECTION, "keep-alive").is_ok());
        assert!(set(SEC_WEBSOCKET_KEY, "AAAAAAAAAAAAAAAAAAAAAB==").is_ok(), "the last bits mean nothing");
    }

    #[test]
    fn only_an_offered_protocol_is_chosen() {
        let mut handshake = set(SEC_WEBSOCKET_PROTOCOL, "fastws.v1, bearer.e30.e30.c2ln").expect("it is valid");
        assert_eq!(handshake.protocols(), ["fastws.v1", "bearer.e30.e30.c2ln"]);
        assert!(!handshake.choose_protocol("mqtt"));
        assert!(!handshake.response().headers().contains_key(SEC_WEBSOCKET_PROTOCOL));
        assert!(handshake.choose_protocol("fastws.v1"));
        assert_eq!(handshake.response().headers()[SEC_WEBSOCKET_PROTOCOL], "fastws.v1");
    }

    #[test]
    fn an_extension_is_a_name_with_parameters() {
        let parsed = extensions("a; b; c=1; d=\"x\\-y\" , e").expect("it is valid");
        let some = |value: &str| Some(value.to_owned());
        let parameters = vec![("b".into(), None), ("c".into(), some("1")), ("d".into(), some("x-y"))];
        assert_eq!(parsed[0], Extension { name: "a".into(), parameters });
        assert_eq!(parsed[1], Extension { name: "e".into(), parameters: vec![] });
    }
}
