//! Where an API is: its document and its socket, found from whichever address a person has.

use fastws_asyncapi::Contract;
use tokio_tungstenite::tungstenite::http::Uri;

use crate::Stop;
use crate::arguments::{Access, Target};
use crate::document::{Document, host_of, is_http, is_socket, is_this_machine, shown};
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
        let document = Document::find(document.as_ref().unwrap_or(target), access)?;
        let contract = document.contract()?;
        let socket = if is_socket(target) { target.clone() } else { socket_of(target, &contract, &document)? };
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
