//! `fastws lint`: what is wrong with a document.

use fastws_asyncapi::{Severity, lint};
use serde_json::json;

use crate::Stop;
use crate::arguments::Lint;
use crate::document::Document;
use crate::print::{BAD, FAINT, GOOD, NAME, Printer, UNSURE, counted};

pub(crate) fn run(arguments: &Lint, printer: &Printer) -> Result<(), Stop> {
    let document = Document::find(&arguments.document, &arguments.access)?;
    if document.tree.get("asyncapi").is_none() {
        let place = &document.place;
        return Err(Stop::because(format!("{place}: this is no AsyncAPI document: it has no `asyncapi` version")));
    }
    let findings = lint(&document.tree);
    for finding in &findings {
        let (style, severity) = match finding.severity {
            Severity::Error => (BAD, "error"),
            Severity::Warning => (UNSURE, "warning"),
        };
        let (rule, path, message) = (finding.rule, &finding.path, &finding.message);
        let place = if path.is_empty() { "/" } else { path };
        printer.either(
            format_args!("{style}{severity}{style:#} {NAME}{place}{NAME:#}: {message} {FAINT}({rule}){FAINT:#}"),
            &json!({ "rule": rule, "severity": severity, "path": path, "message": message }),
        )?;
    }
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    let warnings = findings.len() - errors;
    if printer.is_text {
        let place = &document.place;
        match (errors, warnings) {
            (0, 0) => printer.line(format_args!("{GOOD}{place} is clean{GOOD:#}"))?,
            _ => printer.line(format_args!(
                "{place}: {}, {}",
                counted(errors, "error", "errors"),
                counted(warnings, "warning", "warnings")
            ))?,
        }
    }
    let fails = errors > 0 || warnings > 0 && arguments.deny.is_some();
    if fails { Err(Stop::Refused) } else { Ok(()) }
}
