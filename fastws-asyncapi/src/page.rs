//! The docs page and the documents, served.

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use fastws_core::FastWs;

use crate::AsyncApi;

/// Everything from this server, nothing inline, nothing evaluated.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page's files: name and content.
const ASSETS: &[(&str, &str)] = &[
    ("code.js", include_str!("../assets/code.js")),
    ("connection.js", include_str!("../assets/connection.js")),
    ("document.js", include_str!("../assets/document.js")),
    ("element.js", include_str!("../assets/element.js")),
    ("favicon.svg", include_str!("../assets/favicon.svg")),
    ("markdown.js", include_str!("../assets/markdown.js")),
    ("operation.js", include_str!("../assets/operation.js")),
    ("page.css", include_str!("../assets/page.css")),
    ("page.js", include_str!("../assets/page.js")),
    ("schema.js", include_str!("../assets/schema.js")),
    ("sidebar.js", include_str!("../assets/sidebar.js")),
];

const TEMPLATE: &str = include_str!("../assets/page.html");

impl AsyncApi {
    /// Routes for an axum application: the page at `path`, the 2.4.0 document at `path.json` and `path.yaml`.
    ///
    /// The page works without any other server, under a strict content security policy.
    pub fn routes<S: Clone + Send + Sync + 'static>(&self, path: &str, ws: &FastWs) -> Router<S> {
        let path = path.trim_end_matches('/');
        let mut router = Router::new();
        if self.has_documents {
            router = router
                .route(&format!("{path}.json"), get(file("application/json", self.json(ws))))
                .route(&format!("{path}.yaml"), get(file("application/yaml", self.yaml(ws))));
        }
        if self.has_page {
            let here = path.rsplit('/').next().unwrap_or_default().to_owned();
            let page = page(&self.title, &here);
            let back = format!("../{here}");
            router = router
                .route(path, get(move || std::future::ready(html(page.clone()))))
                .route(&format!("{path}/"), get(move || std::future::ready(moved(&back))))
                .route(&format!("{path}/{{file}}"), get(asset));
        }
        router
    }
}

/// The page, with addresses relative to itself, so that it works behind any prefix.
fn page(title: &str, here: &str) -> String {
    TEMPLATE
        .replace("{{title}}", &escape(title))
        .replace("{{document}}", &escape(&format!("{here}.json")))
        .replace("{{yaml}}", &escape(&format!("{here}.yaml")))
        .replace("{{assets}}", &escape(&format!("{here}/")))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn html(page: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, page).into_response()
}

fn moved(to: &str) -> Response {
    (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, to)]).into_response()
}

async fn asset(Path(name): Path<String>) -> Response {
    let Some((_, content)) = ASSETS.iter().find(|(known, _)| *known == name) else {
        return (StatusCode::NOT_FOUND, "there is no such file\n").into_response();
    };
    let kind = match name.rsplit('.').next() {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        _ => "image/svg+xml",
    };
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, *content).into_response()
}

/// Answers with a document, or 304 when the reader has it already.
fn file(
    kind: &'static str,
    content: String,
) -> impl Fn(HeaderMap) -> std::future::Ready<Response> + Clone + Send + Sync + 'static {
    let tag = format!("\"{:016x}\"", fingerprint(&content));
    move |request: HeaderMap| {
        let known = request.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
        let headers = [(header::CONTENT_TYPE, kind), (header::ETAG, tag.as_str()), (header::CACHE_CONTROL, "no-cache")];
        std::future::ready(if known {
            (StatusCode::NOT_MODIFIED, headers).into_response()
        } else {
            (headers, content.clone()).into_response()
        })
    }
}

/// FNV-1a, 64 bits (<http://www.isthe.com/chongo/tech/comp/fnv/>): the same on every build.
fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
