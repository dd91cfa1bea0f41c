//! `fastws conform`: a running server held against its own document, from outside.

mod health;
mod market;
mod report;
mod trading;
mod witness;

use std::time::Duration;

use fastws_asyncapi::Request;
use serde_json::Value;

use crate::Stop;
use crate::arguments::{Access, Conform, Group};
use crate::conform::report::Report;
use crate::conform::witness::Witness;
use crate::document::shown;
use crate::endpoint::Endpoint;
use crate::print::Printer;
use crate::schema::{Catalog, Schemas};

pub(crate) async fn run(arguments: &Conform, printer: &Printer) -> Result<(), Stop> {
    let endpoint = Endpoint::find(&arguments.target, printer)?;
    let schemas = Schemas::of(&endpoint.document.tree);
    let mut report = Report::new(printer);
    let (group, place, socket) = (arguments.group, &endpoint.document.place, shown(&endpoint.socket));
    report.note(format_args!("{place} against {socket}"));
    let catalog = match Catalog::from_server(&endpoint.contract, &schemas) {
        Ok(catalog) => catalog,
        Err(why) => {
            report.failed("document", "the document's schemas are schemas", why)?;
            return report.finish();
        }
    };
    let subject = Subject {
        endpoint: &endpoint,
        schemas,
        catalog,
        words: endpoint.document.tree.to_string(),
        access: &endpoint.access,
        skip: &arguments.skip,
        wait: arguments.wait,
    };
    let wants = |other: Group| group == Group::All || group == other;
    if wants(Group::Health) {
        health::check(&subject, &mut report).await?;
    }
    if wants(Group::Trading) {
        trading::check(&subject, &mut report).await?;
    }
    if wants(Group::Market) {
        market::check(&subject, &mut report).await?;
    }
    report.finish()
}

/// This is the server under test, with what its document says.
struct Subject<'a> {
    endpoint: &'a Endpoint,
    schemas: Schemas,
    catalog: Catalog,
    /// The document as text.
    words: String,
    access: &'a Access,
    skip: &'a [String],
    /// How long a topic may be quiet.
    wait: Duration,
}

impl Subject<'_> {
    /// Opens a connection of which every frame is held against the document.
    async fn connect(&self) -> Result<Witness<'_>, String> {
        Witness::connect(self).await
    }

    /// Whether an operation is left alone.
    fn skips(&self, request: &Request) -> bool {
        let name = request.message.name.as_str();
        self.skip.iter().any(|skip| match skip.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == skip,
        })
    }

    /// Whether the document speaks of something at all: codes and members of errors are each server's own.
    fn documents(&self, word: &str) -> bool {
        self.words.contains(&format!("\"{word}\""))
    }

    /// Holds an error's code against the one that it should have, if the document knows that.
    fn expect_code(&self, error: &Value, code: &str) -> Result<(), String> {
        let is_it = error["payload"]["code"] == code || !self.documents(code);
        if is_it { Ok(()) } else { Err(format!("the error is not `{code}` but {}", witness::told(error))) }
    }

    /// The requests that may be made.
    fn requests(&self) -> impl Iterator<Item = &Request> {
        self.endpoint.contract.requests.iter().filter(|request| !self.skips(request))
    }
}
