//! A file over HTTP: made once, known again by its `ETag`, compressed for whoever takes gzip.

use std::io::Write;
use std::sync::{Arc, OnceLock};

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

/// This is a file that is made at the first request for it.
pub(crate) struct File {
    kind: &'static str,
    cors: Option<String>,
    make: Box<dyn Fn() -> String + Send + Sync>,
    plain: OnceLock<Content>,
    gzip: OnceLock<Content>,
}

/// This is what is sent, and the tag that names it.
struct Content {
    bytes: Bytes,
    tag: String,
}

impl File {
    pub(crate) fn new(
        kind: &'static str,
        cors: Option<String>,
        make: impl Fn() -> String + Send + Sync + 'static,
    ) -> Self {
        Self { kind, cors, make: Box::new(make), plain: OnceLock::new(), gzip: OnceLock::new() }
    }

    pub(crate) fn route<S: Clone + Send + Sync + 'static>(self) -> MethodRouter<S> {
        let file = Arc::new(self);
        let preflight = Arc::clone(&file);
        let route = get(move |request: HeaderMap| std::future::ready(file.answer(&request)));
        if preflight.cors.is_none() {
            return route;
        }
        route.options(move || std::future::ready(preflight.preflight()))
    }

    /// The file, or 304 when the reader has it already.
    fn answer(&self, request: &HeaderMap) -> Response {
        let is_compressed = takes_gzip(request);
        let Content { bytes, tag } = if is_compressed { self.gzip() } else { self.plain() };
        let headers = [
            (header::CONTENT_TYPE, self.kind),
            (header::ETAG, tag),
            (header::CACHE_CONTROL, "no-cache"),
            (header::VARY, "accept-encoding"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        let mut response = if knows(request, tag) {
            (StatusCode::NOT_MODIFIED, headers).into_response()
        } else {
            (headers, bytes.clone()).into_response()
        };
        if is_compressed {
            response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        self.share(&mut response);
        response
    }

    fn plain(&self) -> &Content {
        self.plain.get_or_init(|| {
            let text = (self.make)();
            let tag = format!("\"{:016x}\"", fingerprint(&text));
            Content { bytes: text.into(), tag }
        })
    }

    fn gzip(&self) -> &Content {
        let plain = self.plain();
        self.gzip.get_or_init(|| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
            let written = encoder.write_all(&plain.bytes).and_then(|()| encoder.finish());
            let bytes = written.expect("memory takes what is written").into();
            // Two encodings of one file are two representations, each with its tag.
            Content { bytes, tag: format!("{}-gzip\"", plain.tag.trim_end_matches('"')) }
        })
    }

    /// What a browser asks before it sends `If-None-Match` to another origin.
    fn preflight(&self) -> Response {
        let headers = [
            (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD"),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, "if-none-match"),
            (header::ACCESS_CONTROL_MAX_AGE, "86400"),
        ];
        let mut response = (StatusCode::NO_CONTENT, headers).into_response();
        self.share(&mut response);
        response
    }

    /// Lets pages of the chosen origin read the answer.
    fn share(&self, response: &mut Response) {
        let Some(origin) = self.cors.as_deref().and_then(|origin| HeaderValue::from_str(origin).ok()) else { return };
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("etag"));
        headers.append(header::VARY, HeaderValue::from_static("origin"));
    }
}

/// Whether the reader has this version, by RFC 9110, section 13.1.2: a list of tags, weak ones included, or `*`.
fn knows(request: &HeaderMap, tag: &str) -> bool {
    list(request, &header::IF_NONE_MATCH).any(|known| known == "*" || known.trim_start_matches("W/") == tag)
}

/// Whether the reader takes gzip, by RFC 9110, section 12.5.3: it is named, and not with a weight of nothing.
fn takes_gzip(request: &HeaderMap) -> bool {
    list(request, &header::ACCEPT_ENCODING).any(|encoding| {
        let (name, weight) = encoding.split_once(';').unwrap_or((encoding, "q=1"));
        let weight = weight.trim().trim_start_matches("q=").parse::<f32>();
        name.trim().eq_ignore_ascii_case("gzip") && weight.is_ok_and(|weight| weight > 0.0)
    })
}

/// The members of a header that is a list.
fn list<'a>(request: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = request.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

/// FNV-1a, 64 bits (<http://www.isthe.com/chongo/tech/comp/fnv/>): the same on every build.
fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
