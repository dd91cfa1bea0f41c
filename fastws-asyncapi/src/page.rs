//! The docs page and the documents, served.

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use fastws_core::FastWs;

use crate::file::File;
use crate::{AsyncApi, Version, client};

/// Everything from this server, nothing inline, nothing evaluated.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page's files: name and content.
const ASSETS: &[(&str, &str)] = &[
    ("closing.js", include_str!("../assets/closing.js")),
    ("code.js", include_str!("../assets/code.js")),
    ("composer.js", include_str!("../assets/composer.js")),
    ("connection.js", include_str!("../assets/connection.js")),
    ("connector.js", include_str!("../assets/connector.js")),
    ("console.css", include_str!("../assets/console.css")),
    ("console.js", include_str!("../assets/console.js")),
    ("document.js", include_str!("../assets/document.js")),
    ("element.js", include_str!("../assets/element.js")),
    ("favicon.svg", include_str!("../assets/favicon.svg")),
    ("feed.js", include_str!("../assets/feed.js")),
    ("form.js", include_str!("../assets/form.js")),
    ("json-fault.js", include_str!("../assets/json-fault.js")),
    ("markdown.js", include_str!("../assets/markdown.js")),
    ("operation.js", include_str!("../assets/operation.js")),
    ("page.css", include_str!("../assets/page.css")),
    ("page.js", include_str!("../assets/page.js")),
    ("schema.js", include_str!("../assets/schema.js")),
    ("session.js", include_str!("../assets/session.js")),
    ("sidebar.js", include_str!("../assets/sidebar.js")),
    ("snippets.js", include_str!("../assets/snippets.js")),
    ("socket.js", include_str!("../assets/socket.js")),
    ("splitter.js", include_str!("../assets/splitter.js")),
    ("subscriptions.js", include_str!("../assets/subscriptions.js")),
    ("validate.js", include_str!("../assets/validate.js")),
];

const TEMPLATE: &str = include_str!("../assets/page.html");

impl AsyncApi {
    /// Routes for an axum application, below `path`:
    ///
    /// | address | is |
    /// |---|---|
    /// | `path` | the docs page, which works without any other server, under a strict content security policy |
    /// | `path.json`, `path.yaml` | the AsyncAPI 2.4.0 document |
    /// | `path/3.0.0.json`, `path/3.1.0.yaml`, … | the document in each [`Version`] |
    /// | `path/client.ts`, `path/useTopic.ts`, `path/client.py` | typed clients, written from the document |
    ///
    /// Documents and clients are made at the first request, have an `ETag`, are answered with 304 to readers who have
    /// them, and are compressed for those who take gzip.
    pub fn routes<S: Clone + Send + Sync + 'static>(&self, path: &str, ws: &FastWs) -> Router<S> {
        let path = path.trim_end_matches('/');
        let mut router = Router::new();
        if self.has_documents {
            for (path, file) in self.files(path, ws) {
                router = router.route(&path, file.route());
            }
        }
        if self.has_page {
            let here = path.rsplit('/').next().unwrap_or_default().to_owned();
            let page = page(&self.title, &here);
            let back = format!("../{here}");
            router = router
                .route(path, get(move || std::future::ready(html(page.clone()))))
                .route(&format!("{path}/"), get(move || std::future::ready(moved(&back))))
                .merge(assets(path));
        }
        router
    }

    /// Everything that is made of the operations, with its address.
    fn files(&self, path: &str, ws: &FastWs) -> Vec<(String, File)> {
        let file = |kind, write: Write, docs: Self| {
            let ws = ws.clone();
            File::new(kind, self.cors.clone(), move || write(&docs, &ws))
        };
        let mut files = Vec::new();
        let addresses = Version::ALL.map(|version| (version, format!("{path}/{version}")));
        for (version, address) in addresses.into_iter().chain([(Version::default(), path.to_owned())]) {
            let docs = self.clone().asyncapi(version);
            files.push((format!("{address}.json"), file("application/json", Self::json, docs.clone())));
            files.push((format!("{address}.yaml"), file("application/yaml", Self::yaml, docs)));
        }
        let clients: [(_, _, Write); 3] = [
            ("client.ts", TYPESCRIPT, |docs, ws| client::typescript(&docs.contract(ws))),
            ("useTopic.ts", TYPESCRIPT, |docs, ws| client::react(&docs.contract(ws))),
            ("client.py", "text/x-python; charset=utf-8", |docs, ws| client::python(&docs.contract(ws))),
        ];
        let clients = clients.map(|(name, kind, write)| (format!("{path}/{name}"), file(kind, write, self.clone())));
        files.extend(clients);
        files
    }
}

/// How a file is made.
type Write = fn(&AsyncApi, &FastWs) -> String;

/// There is no registered type for TypeScript, and `.ts` means a video to many.
const TYPESCRIPT: &str = "text/plain; charset=utf-8";

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

fn assets<S: Clone + Send + Sync + 'static>(path: &str) -> Router<S> {
    ASSETS.iter().fold(Router::new(), |router, (name, content)| {
        let kind = match name.rsplit('.').next() {
            Some("js") => "text/javascript; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            _ => "image/svg+xml",
        };
        router.route(&format!("{path}/{name}"), File::new(kind, None, || (*content).to_owned()).route())
    })
}
