//! `fastws client`: a typed client, written from a document.

use std::io::Write as _;

use fastws_asyncapi::client;

use crate::Stop;
use crate::arguments::{Client, Language};
use crate::document::Document;
use crate::print::Printer;

pub(crate) fn run(arguments: &Client, printer: &Printer) -> Result<(), Stop> {
    let document = Document::find(&arguments.document, &arguments.access)?;
    let contract = document.contract()?;
    let text = match arguments.language {
        Language::Typescript => client::typescript(&contract),
        Language::React => client::react(&contract),
        Language::Python => client::python(&contract),
    };
    let Some(path) = &arguments.output else { return Ok(std::io::stdout().write_all(text.as_bytes())?) };
    std::fs::write(path, text).map_err(|error| Stop::because(format!("cannot write {}: {error}", path.display())))?;
    printer.note(format_args!("wrote {} from {}", path.display(), document.place));
    Ok(())
}
