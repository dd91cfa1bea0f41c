//! What a document says beyond its operations.

use fastws_core::FastWs;
use serde_json::Value;

use crate::contract::Contract;
use crate::{v2, v3};

/// This describes a service: a title, a version, and where its servers are. Everything else comes from the operations.
///
/// ```
/// use fastws_asyncapi::AsyncApi;
///
/// let docs = AsyncApi::new("Trading WebSockets", "1.0.0")
///     .description("Real-time market data over one WebSocket.")
///     .server("local", "ws://localhost:8000/api/v1/ws")
///     .tag("bars", "Open, high, low and close of an interval.");
/// ```
#[derive(Clone, Debug)]
pub struct AsyncApi {
    pub(crate) title: String,
    pub(crate) version: String,
    pub(crate) id: String,
    pub(crate) description: Option<String>,
    pub(crate) terms_of_service: Option<String>,
    pub(crate) contact: Option<Contact>,
    pub(crate) license: Option<Link>,
    pub(crate) external_docs: Option<Link>,
    pub(crate) servers: Vec<Server>,
    pub(crate) channel: String,
    pub(crate) tags: Vec<(String, String)>,
    pub(crate) security: Vec<Security>,
    pub(crate) asyncapi: Version,
    /// Where pages that may read the documents come from; `*` for everywhere.
    pub(crate) cors: Option<String>,
    pub(crate) has_page: bool,
    pub(crate) has_documents: bool,
}

/// This is a version of AsyncAPI that documents are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Version {
    /// 2.4.0, which every tool reads: requests name their reply in `x-response`.
    #[default]
    V2_4_0,
    /// 3.0.0: one operation for each request, with its reply.
    V3_0_0,
    /// 3.1.0, which is 3.0.0 to a WebSocket.
    V3_1_0,
}

impl Version {
    /// All versions, the oldest first.
    pub const ALL: [Self; 3] = [Self::V2_4_0, Self::V3_0_0, Self::V3_1_0];

    /// As documents write it: `2.4.0`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V2_4_0 => "2.4.0",
            Self::V3_0_0 => "3.0.0",
            Self::V3_1_0 => "3.1.0",
        }
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|version| version.as_str() == text);
        known.ok_or_else(|| format!("AsyncAPI `{text}` is not written here: 2.4.0, 3.0.0 and 3.1.0 are"))
    }
}

/// This is a way in which clients show who they are when they connect. A document only tells of it: whoever stands
/// before the service has to check it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Security {
    /// `Authorization: Bearer <token>` on the handshake.
    Bearer {
        /// What the token is, such as `JWT`.
        format: String,
    },
    /// A query parameter on the handshake, for browsers, which cannot set headers there.
    QueryToken {
        /// The parameter, such as `token`.
        name: String,
    },
}

#[derive(Clone, Debug)]
pub(crate) struct Contact {
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) email: String,
}

/// A text with an address.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) text: String,
    pub(crate) url: String,
}

#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) name: String,
    /// `ws` or `wss`.
    pub(crate) scheme: String,
    /// Host, with a port if it has one.
    pub(crate) host: String,
}

impl AsyncApi {
    /// Begins a document.
    pub fn new(title: impl Into<String>, version: impl Into<String>) -> Self {
        let title = title.into();
        Self {
            id: format!("urn:fastws:{}", slug(&title)),
            title,
            version: version.into(),
            description: None,
            terms_of_service: None,
            contact: None,
            license: None,
            external_docs: None,
            servers: Vec::new(),
            channel: "/ws".into(),
            tags: Vec::new(),
            security: Vec::new(),
            asyncapi: Version::V2_4_0,
            cors: None,
            has_page: true,
            has_documents: true,
        }
    }

    /// What names this API in the world, a URI; made of the title by default.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = id.into();
        self
    }

    /// What the API is for, as Markdown.
    #[must_use]
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// Where the terms of service are.
    #[must_use]
    pub fn terms_of_service(mut self, url: impl Into<String>) -> Self {
        self.terms_of_service = Some(url.into());
        self
    }

    /// Who answers questions.
    #[must_use]
    pub fn contact(mut self, name: impl Into<String>, url: impl Into<String>, email: impl Into<String>) -> Self {
        self.contact = Some(Contact { name: name.into(), url: url.into(), email: email.into() });
        self
    }

    /// The API's licence.
    #[must_use]
    pub fn license(mut self, name: impl Into<String>, url: impl Into<String>) -> Self {
        self.license = Some(Link { text: name.into(), url: url.into() });
        self
    }

    /// Where there is more to read.
    #[must_use]
    pub fn external_docs(mut self, description: impl Into<String>, url: impl Into<String>) -> Self {
        self.external_docs = Some(Link { text: description.into(), url: url.into() });
        self
    }

    /// Where a server is: `ws://localhost:8000/api/v1/ws`. Its path is the route of the WebSocket, the same for all
    /// servers.
    ///
    /// # Panics
    /// When the address is no `ws://` or `wss://` address without a query, or its path is not that of an earlier
    /// server: the document would lead its readers astray.
    #[must_use]
    pub fn server(mut self, name: impl Into<String>, url: impl AsRef<str>) -> Self {
        let url = url.as_ref();
        let parsed = url.split_once("://").filter(|(scheme, _)| ["ws", "wss"].contains(scheme));
        let Some((scheme, rest)) = parsed.filter(|(_, rest)| !rest.contains(['?', '#'])) else {
            panic!("server address `{url}` is not of the form `ws://host:port/path`");
        };
        let (host, path) = rest.find('/').map_or((rest, "/"), |slash| rest.split_at(slash));
        assert!(!host.is_empty(), "server address `{url}` has no host");
        assert!(
            self.servers.is_empty() || self.channel == path,
            "server address `{url}` has another path than `{}`: one service is one channel",
            self.channel
        );
        path.clone_into(&mut self.channel);
        self.servers.push(Server { name: name.into(), scheme: scheme.into(), host: host.into() });
        self
    }

    /// The route of the WebSocket, for a document without servers; `/ws` by default.
    #[must_use]
    pub fn channel(mut self, path: impl Into<String>) -> Self {
        self.channel = path.into();
        self
    }

    /// Describes a tag that operations carry.
    #[must_use]
    pub fn tag(mut self, name: impl Into<String>, description: impl Into<String>) -> Self {
        self.tags.push((name.into(), description.into()));
        self
    }

    /// Adds a way in which clients authenticate; with several, any of them will do.
    ///
    /// ```
    /// use fastws_asyncapi::{AsyncApi, Security};
    ///
    /// let docs = AsyncApi::new("Trading WebSockets", "1.0.0").security(Security::Bearer { format: "JWT".into() });
    /// ```
    #[must_use]
    pub fn security(mut self, security: Security) -> Self {
        self.security.push(security);
        self
    }

    /// The version of AsyncAPI that [`document`](Self::document), [`json`](Self::json) and [`yaml`](Self::yaml) write,
    /// 2.4.0 by default. [`routes`](Self::routes) serves all of them.
    #[must_use]
    pub fn asyncapi(mut self, version: Version) -> Self {
        self.asyncapi = version;
        self
    }

    /// Lets pages of another origin read the documents and clients: `https://docs.example.com`, or `*` for all. Without
    /// it, browsers keep them to pages of this server.
    ///
    /// # Panics
    /// When it is neither `*` nor of the form `https://host`: no browser would call itself so.
    #[must_use]
    pub fn cors(mut self, origin: impl Into<String>) -> Self {
        let origin = origin.into();
        let is_host =
            |host: &str| !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "-.:[]".contains(c));
        let is_origin = origin.split_once("://").is_some_and(|(_, host)| is_host(host));
        assert!(origin == "*" || is_origin, "origin `{origin}` is not of the form `https://host`, nor `*`");
        self.cors = Some(origin);
        self
    }

    /// Serves the documents but no page.
    #[must_use]
    pub fn without_page(mut self) -> Self {
        self.has_page = false;
        self
    }

    /// Serves neither documents nor the page that reads them; [`document`](Self::document) still makes one.
    #[must_use]
    pub fn without_documents(mut self) -> Self {
        self.has_documents = false;
        self.has_page = false;
        self
    }

    /// The AsyncAPI document of a service. Two calls give equal documents.
    pub fn document(&self, ws: &FastWs) -> Value {
        match self.asyncapi {
            Version::V2_4_0 => v2::document(self, ws),
            version => v3::document(self, ws, version.as_str()),
        }
    }

    /// What the document promises, as clients and checks read it.
    ///
    /// # Panics
    /// Never: a document of this crate has one channel, and its references lead somewhere.
    pub fn contract(&self, ws: &FastWs) -> Contract {
        Contract::of(&v2::document(self, ws)).expect("a document of this crate can be read back")
    }

    /// The document as JSON, indented.
    ///
    /// # Panics
    /// Never: every JSON value has a text.
    pub fn json(&self, ws: &FastWs) -> String {
        let mut text = serde_json::to_string_pretty(&self.document(ws)).expect("a JSON value has a text");
        text.push('\n');
        text
    }

    /// The document as YAML.
    ///
    /// # Panics
    /// Never: every JSON value is a YAML value.
    pub fn yaml(&self, ws: &FastWs) -> String {
        serde_yaml::to_string(&self.document(ws)).expect("a JSON value is a YAML value")
    }
}

/// Letters and digits in lower case, everything else a dash.
fn slug(title: &str) -> String {
    let words: Vec<_> = title.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let slug = words.join("-").to_ascii_lowercase();
    if slug.is_empty() { "api".into() } else { slug }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_address_is_split_into_host_and_channel() {
        let docs = AsyncApi::new("Trading WebSockets", "1").server("local", "ws://localhost:8000/api/v1/ws");
        assert_eq!((docs.servers[0].host.as_str(), docs.channel.as_str()), ("localhost:8000", "/api/v1/ws"));
        assert_eq!(docs.id, "urn:fastws:trading-websockets");
        assert_eq!(AsyncApi::new("é", "1").server("bare", "wss://example.com").channel, "/");
    }

    #[test]
    #[should_panic(expected = "is not of the form `https://host`")]
    fn an_origin_with_a_path_is_refused() {
        let _ = AsyncApi::new("t", "1").cors("https://docs.example.com/");
    }

    #[test]
    #[should_panic(expected = "is not of the form")]
    fn a_server_address_with_a_query_is_refused() {
        let _ = AsyncApi::new("t", "1").server("local", "ws://localhost/ws?token=1");
    }
}
