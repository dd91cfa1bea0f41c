//! Where an API is: its document and its socket, found from whichever address a person has.

use std::collections::BTreeSet;

use fastws_asyncapi::Contract;
use tokio_tungstenite::tungstenite::http::Uri;

use crate::Stop;
use crate::arguments::{Access, Target};
use crate::document::{Document, fetch, host_of, is_http, is_this_machine, shown, text_of};
use crate::print::Printer;

/// This is an API that can be talked to.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) document: Document,
    pub(crate) contract: Contract,
    /// The socket's address.
    pub(crate) socket: String,
    /// How the socket is reached: the token goes to no host that only the document has named.
    pub(crate) access: Access,
}

impl Endpoint {
    /// Finds the document and the socket.
    pub(crate) fn find(Target { target, document, access }: &Target, printer: &Printer) -> Result<Self, Stop> {
        let is_socket = target.starts_with("ws://") || target.starts_with("wss://");
        let document = match document {
            Some(document) => Document::read(document, access)?,
            None if is_socket || is_http(target) => look_for_document(target, access)?,
            None => Document::read(target, access)?,
        };
        let contract = document.contract()?;
        let socket = if is_socket { target.clone() } else { socket_of(target, &contract, &document)? };
        let mut access = access.clone();
        if is_http(target) && !is_same_host(target, &socket) && access.token.take().is_some() {
            let (place, socket) = (shown(target), shown(&socket));
            printer.note(format_args!(
                "the token is not sent to {socket}, which is another host than {place}; give that address to send it"
            ));
        }
        Ok(Self { document, contract, socket, access })
    }
}

/// Reads the document that an address leads to: its own, that of its docs page, or that of its socket.
fn look_for_document(target: &str, access: &Access) -> Result<Document, Stop> {
    let uri: Uri =
        target.parse().map_err(|error| Stop::because(format!("{} is no address: {error}", shown(target))))?;
    let path = uri.path().trim_end_matches('/');
    if is_http(target) && [".json", ".yaml", ".yml"].iter().any(|end| path.ends_with(end)) {
        return Document::read(target, access);
    }
    let scheme = if matches!(uri.scheme_str(), Some("https" | "wss")) { "https" } else { "http" };
    let host = uri.authority().map_or("", |authority| authority.as_str());
    let mut paths = match path {
        "" => Vec::new(),
        _ if is_http(target) => vec![format!("{path}.json"), format!("{path}/asyncapi.json"), path.to_owned()],
        _ => vec![format!("{path}/asyncapi.json"), format!("{path}.json")],
    };
    let usual = ["/asyncapi.json", "/docs.json", "/ws/asyncapi.json", "/api/v1/ws/asyncapi.json"];
    paths.extend(usual.map(str::to_owned).into_iter().filter(|_| path.is_empty() || !is_http(target)));
    let mut tried = Vec::new();
    let mut seen = BTreeSet::new();
    for path in paths.into_iter().filter(|path| seen.insert(path.clone())) {
        let url = format!("{scheme}://{host}{path}");
        let place = shown(&url);
        // Whoever does not answer here does not answer elsewhere.
        let answer = fetch(&url, access)
            .map_err(|why| Stop::because(format!("cannot read {place}, to look for the document there: {why}")))?;
        let found = text_of(answer)
            .and_then(|text| Document::parse(place.clone(), &text).map_err(|_| "what is there is no document".into()))
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

/// The socket of a document: the server that the document came from, or else the first one.
fn socket_of(target: &str, contract: &Contract, document: &Document) -> Result<String, Stop> {
    let authority = |url: &str| Some(url.parse::<Uri>().ok()?.authority()?.as_str().to_owned());
    let home = authority(target).filter(|_| is_http(target));
    let near = contract.urls.iter().find(|url| home.is_some() && authority(url) == home);
    if let Some(url) = near.or_else(|| contract.urls.first()) {
        return Ok(url.clone());
    }
    match home {
        Some(host) => {
            let scheme = if target.starts_with("https") { "wss" } else { "ws" };
            Ok(format!("{scheme}://{host}{}", contract.path))
        }
        None => Err(Stop::because(format!(
            "{} names no server; give the socket's address, with --document for the document",
            document.place
        ))),
    }
}

/// Whether two addresses are on one machine, whatever the port.
fn is_same_host(one: &str, other: &str) -> bool {
    is_this_machine(one) && is_this_machine(other) || host_of(one).is_some() && host_of(one) == host_of(other)
}

#[cfg(test)]
mod tests {
    use super::is_same_host;

    #[test]
    fn a_host_is_the_same_on_any_port_and_by_any_name_of_this_machine() {
        assert!(is_same_host("https://Example.com/docs", "wss://example.com:8443/ws"));
        assert!(is_same_host("http://localhost:8000/docs", "ws://127.0.0.1:8000/ws"));
        assert!(!is_same_host("https://example.com/docs", "wss://example.org/ws"));
    }
}
