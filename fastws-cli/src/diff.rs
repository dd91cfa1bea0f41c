//! `fastws diff`: what a new document breaks.

use fastws_asyncapi::{Impact, diff};
use serde_json::json;

use crate::Stop;
use crate::arguments::Diff;
use crate::document::Document;
use crate::print::{BAD, FAINT, GOOD, NAME, Printer, UNSURE, counted};

pub(crate) fn run(arguments: &Diff, printer: &Printer) -> Result<(), Stop> {
    if arguments.old == "-" && arguments.new == "-" {
        return Err(Stop::because("only one of the two documents can come from standard input"));
    }
    let old = Document::find(&arguments.old, &arguments.access)?.contract()?;
    let new = Document::find(&arguments.new, &arguments.access)?.contract()?;
    let mut changes = diff(&old, &new);
    changes.sort_by_key(|change| change.impact);
    for change in &changes {
        let style = match change.impact {
            Impact::Breaking => BAD,
            Impact::Warning => UNSURE,
            Impact::Compatible => FAINT,
        };
        let (impact, sentence) = (change.impact, &change.sentence);
        let place = change.message.as_ref().map(|message| format!("{NAME}{message}{}{NAME:#}: ", change.path));
        printer.either(
            format_args!("{style}{impact:<10}{style:#} {}{sentence}", place.unwrap_or_default()),
            &json!({
                "impact": impact.to_string(),
                "message": change.message,
                "path": change.path,
                "sentence": sentence,
            }),
        )?;
    }
    let count = |impact: Impact| changes.iter().filter(|change| change.impact == impact).count();
    let (breaking, warnings) = (count(Impact::Breaking), count(Impact::Warning));
    if printer.is_text {
        if changes.is_empty() {
            printer.line(format_args!("{GOOD}both documents promise the same{GOOD:#}"))?;
        } else {
            printer.line(format_args!(
                "{}, {}, {}",
                counted(breaking, "breaking change", "breaking changes"),
                counted(warnings, "warning", "warnings"),
                counted(count(Impact::Compatible), "compatible change", "compatible changes")
            ))?;
        }
    }
    let fails = breaking > 0 || warnings > 0 && arguments.deny.is_some();
    if fails { Err(Stop::Refused) } else { Ok(()) }
}
