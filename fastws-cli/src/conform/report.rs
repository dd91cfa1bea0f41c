//! What was checked, and how it went.

use std::io;

use serde_json::json;

use crate::Stop;
use crate::print::{BAD, FAINT, GOOD, Printer, STRONG, UNSURE, counted};

/// This tells each check as it is done, and counts.
pub(super) struct Report<'a> {
    printer: &'a Printer,
    group: Option<&'static str>,
    passed: usize,
    failed: usize,
    skipped: usize,
}

/// This is how a check went; `Err` is the reason of a failure.
pub(super) type Outcome = Result<Verdict, String>;

/// This is how a check went that has not failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Passed,
    /// It makes no sense here, for this reason.
    Skipped(String),
}

impl Verdict {
    pub(super) fn skipped(reason: impl Into<String>) -> Outcome {
        Ok(Self::Skipped(reason.into()))
    }
}

impl<'a> Report<'a> {
    pub(super) fn new(printer: &'a Printer) -> Self {
        Self { printer, group: None, passed: 0, failed: 0, skipped: 0 }
    }

    /// Says something beside the checks.
    pub(super) fn note(&self, text: impl std::fmt::Display) {
        self.printer.note(format_args!("{FAINT}{text}{FAINT:#}"));
    }

    /// Tells a check: a sentence that is true when it has passed.
    pub(super) fn tell(&mut self, group: &'static str, check: impl Into<String>, outcome: Outcome) -> io::Result<()> {
        let check = check.into();
        let (sign, style, word, reason) = match outcome {
            Ok(Verdict::Passed) => ("✓", GOOD, "passed", None),
            Ok(Verdict::Skipped(reason)) => ("–", UNSURE, "skipped", Some(reason)),
            Err(reason) => ("✗", BAD, "failed", Some(reason)),
        };
        *match word {
            "passed" => &mut self.passed,
            "failed" => &mut self.failed,
            _ => &mut self.skipped,
        } += 1;
        if !self.printer.is_text {
            let mut line = json!({ "group": group, "check": check, "outcome": word });
            if let Some(reason) = reason {
                line["reason"] = reason.into();
            }
            return self.printer.line(line);
        }
        if self.group != Some(group) {
            self.printer.line(format_args!("{STRONG}{group}{STRONG:#}"))?;
            self.group = Some(group);
        }
        self.printer.line(format_args!("  {style}{sign}{style:#} {check}"))?;
        match reason {
            Some(reason) if word == "failed" => self.printer.line(format_args!("      {BAD}{reason}{BAD:#}")),
            Some(reason) => self.printer.line(format_args!("      {FAINT}{reason}{FAINT:#}")),
            None => Ok(()),
        }
    }

    pub(super) fn failed(&mut self, group: &'static str, check: &str, reason: String) -> io::Result<()> {
        self.tell(group, check, Err(reason))
    }

    /// Tells the sum.
    pub(super) fn finish(self) -> Result<(), Stop> {
        let Self { passed, failed, skipped, .. } = self;
        let style = if failed == 0 { GOOD } else { BAD };
        let checks = counted(passed, "check", "checks");
        self.printer.either(
            format_args!("{style}{checks} passed, {failed} failed, {skipped} skipped{style:#}"),
            &json!({ "passed": passed, "failed": failed, "skipped": skipped }),
        )?;
        if failed == 0 { Ok(()) } else { Err(Stop::Refused) }
    }
}
