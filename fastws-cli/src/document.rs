//! A document, wherever it is: a file, an address, or standard input.

use std::collections::BTreeSet;
use std::io::{IsTerminal as _, Read as _};

use fastws_asyncapi::Contract;
use serde_json::Value;
use tokio_tungstenite::tungstenite::http::Uri;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::Stop;
use crate::arguments::Access;

/// This is a document that was read.
#[derive(Debug)]
pub(crate) struct Document {
    /// Where it was, as a person says it.
    pub(crate) place: String,
    pub(crate) tree: Value,
}

impl Document {
    /// Reads the document that a person names: a file, standard input, or an address that leads to it.
    pub(crate) fn find(source: &str, access: &Access) -> Result<Self, Stop> {
        if is_http(source) || is_socket(source) { Self::near(source, access) } else { Self::read(source, access) }
    }

    /// Reads a document where it is.
    fn read(source: &str, access: &Access) -> Result<Self, Stop> {
        let place = if source == "-" { "standard input".to_owned() } else { shown(source) };
        let text = if source == "-" {
            standard_input("the document")?
        } else if is_http(source) {
            fetch(source, access)
                .and_then(text_of)
                .map_err(|why| Stop::because(format!("cannot read {place}: {why}")))?
        } else if source.contains("://") {
            return Err(Stop::because(format!(
                "{place} is no address of a document: give one with http:// or https://"
            )));
        } else {
            std::fs::read_to_string(source).map_err(|error| Stop::because(cannot_read(source, &error)))?
        };
        Self::parse(place, &text)
    }

    /// Reads the document that an address leads to: its own, that of its docs page, or that of its socket.
    fn near(target: &str, access: &Access) -> Result<Self, Stop> {
        let uri: Uri =
            target.parse().map_err(|error| Stop::because(format!("{} is no address: {error}", shown(target))))?;
        let path = uri.path().trim_end_matches('/');
        if is_http(target) && [".json", ".yaml", ".yml"].iter().any(|end| path.ends_with(end)) {
            return Self::read(target, access);
        }
        let scheme = if matches!(uri.scheme_str(), Some("https" | "wss")) { "https" } else { "http" };
        let host = uri.authority().map_or("", |authority| authority.as_str());
        let mut paths = match path {
            "" => Vec::new(),
            _ if is_http(target) => vec![format!("{path}.json"), format!("{path}/asyncapi.json")],
            _ => vec![format!("{path}/asyncapi.json"), format!("{path}.json")],
        };
        let usual = ["/asyncapi.json", "/docs.json", "/ws/asyncapi.json", "/api/v1/ws/asyncapi.json"];
        paths.extend(usual.map(str::to_owned).into_iter().filter(|_| path.is_empty() || !is_http(target)));
        if is_http(target) {
            paths.push(uri.path_and_query().map_or("/", |itself| itself.as_str()).to_owned());
        }
        let mut tried = Vec::new();
        let mut seen = BTreeSet::new();
        for path in paths.into_iter().filter(|path| seen.insert(path.clone())) {
            let url = format!("{scheme}://{host}{path}");
            let place = shown(&url);
            // Whoever does not answer here does not answer elsewhere.
            let answer = fetch(&url, access)
                .map_err(|why| Stop::because(format!("cannot read {place}, to look for the document there: {why}")))?;
            let found = text_of(answer)
                .and_then(|text| Self::parse(place.clone(), &text).map_err(|_| "what is there is no document".into()))
                .and_then(|document| match document.tree.get("asyncapi") {
                    Some(_) => Ok(document),
                    None => Err("what is there is no AsyncAPI document".into()),
                });
            match found {
                Ok(document) => return Ok(document),
                Err(why) => tried.push(format!("\n  {place}: {why}")),
            }
        }
        Err(Stop::because(format!(
            "found no document for {}; name it with --document. Tried:{}",
            shown(target),
            tried.concat()
        )))
    }

    /// Reads what is there already.
    pub(crate) fn parse(place: String, text: &str) -> Result<Self, Stop> {
        let tree = fastws_asyncapi::parse(text).map_err(|error| Stop::because(format!("{place}: {error}")))?;
        Ok(Self { place, tree })
    }

    /// What it promises.
    pub(crate) fn contract(&self) -> Result<Contract, Stop> {
        Contract::of(&self.tree).map_err(|error| Stop::because(format!("{}: {error}", self.place)))
    }
}

/// All of standard input.
pub(crate) fn standard_input(what: &str) -> Result<String, Stop> {
    let mut input = std::io::stdin();
    if input.is_terminal() {
        return Err(Stop::because(format!(
            "{what} is read from standard input, which is a terminal; name it, or pipe it"
        )));
    }
    let mut text = String::new();
    input
        .read_to_string(&mut text)
        .map_err(|error| Stop::because(format!("cannot read {what} from standard input: {error}")))?;
    Ok(text)
}

pub(crate) fn cannot_read(path: &str, error: &std::io::Error) -> String {
    let looks_like_host = path.contains(':') || path.starts_with("localhost");
    let hint = match error.kind() {
        std::io::ErrorKind::NotFound if looks_like_host => {
            "; an address begins with http://, https://, ws:// or wss://"
        }
        _ => "",
    };
    format!("cannot read the file {path}: {error}{hint}")
}

pub(crate) fn is_socket(source: &str) -> bool {
    source.starts_with("ws://") || source.starts_with("wss://")
}

pub(crate) fn is_http(source: &str) -> bool {
    source.starts_with("http://") || source.starts_with("https://")
}

/// The text of an answer, or a sentence about why it has none.
fn text_of((status, text): (u16, String)) -> Result<String, String> {
    match status {
        200..=299 => Ok(text),
        401 | 403 => Err(format!("the server answered {status}; give a token with --token")),
        _ => Err(format!("the server answered {status}")),
    }
}

/// What is at an address: a status and a text.
pub(crate) fn fetch(url: &str, access: &Access) -> Result<(u16, String), String> {
    let mut config = ureq::Agent::config_builder();
    if is_this_machine(url) {
        // No proxy leads back here.
        config = config.proxy(None);
    }
    let agent: ureq::Agent = config
        .timeout_global(Some(access.timeout))
        .http_status_as_error(false)
        .user_agent(concat!("fastws/", env!("CARGO_PKG_VERSION")))
        .tls_config(trusting(url))
        .build()
        .into();
    let mut request = agent.get(url);
    if let Some(token) = &access.token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let told = |error: ureq::Error| match error {
        ureq::Error::Timeout(_) => format!("no answer within {} s", access.timeout.as_secs_f64()),
        ureq::Error::Io(error) => error.to_string(),
        other => other.to_string(),
    };
    let mut response = request.call().map_err(told)?;
    let text = response.body_mut().read_to_string().map_err(told)?;
    Ok((response.status().as_u16(), text))
}

/// Whether an address is on this machine, whatever its port.
pub(crate) fn is_this_machine(url: &str) -> bool {
    let host = host_of(url).unwrap_or_default();
    host == "localhost" || host.trim_matches(['[', ']']).parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

/// The host of an address, in lower case.
pub(crate) fn host_of(url: &str) -> Option<String> {
    Some(url.parse::<Uri>().ok()?.host()?.to_ascii_lowercase())
}

/// Whom to trust: as the machine says (SSL_CERT_FILE names others), or else as Mozilla does.
fn trusting(url: &str) -> TlsConfig {
    if !url.starts_with("https://") {
        return TlsConfig::default();
    }
    let known = rustls_native_certs::load_native_certs().certs;
    if known.is_empty() {
        return TlsConfig::default();
    }
    let known = known.iter().map(|certificate| Certificate::from_der(certificate).to_owned());
    TlsConfig::builder().root_certs(RootCerts::from(known)).build()
}

/// An address as it may be printed: without a query, where a token may be, and without a password.
pub(crate) fn shown(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else { return address.to_owned() };
    let plain = rest.split(['?', '#']).next().unwrap_or(rest);
    let (host, path) = plain.find('/').map_or((plain, ""), |slash| plain.split_at(slash));
    let host = host.rsplit('@').next().unwrap_or(host);
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::{is_this_machine, shown};

    #[test]
    fn this_machine_has_several_names() {
        for url in ["http://localhost:8000/docs", "ws://127.0.0.9/ws", "http://[::1]:80/"] {
            assert!(is_this_machine(url), "{url}");
        }
        assert!(!is_this_machine("http://localhost.example.com/"));
    }

    #[test]
    fn what_is_printed_of_an_address_holds_no_secret() {
        assert_eq!(shown("wss://me:secret@example.com/ws?token=secret#x"), "wss://example.com/ws");
        assert_eq!(shown("asyncapi@2.json"), "asyncapi@2.json");
    }
}
