//! What is printed: text with colours for people, or one JSON value a line for programs.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};

use anstyle::{AnsiColor, Style};
use serde_json::Value;

use crate::arguments::{Format, When};

/// This decides once how things are printed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Printer {
    /// Standard output is for a person.
    pub(crate) is_text: bool,
    /// Standard error is.
    errors_are_text: bool,
}

pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(crate) const UNSURE: Style = AnsiColor::Yellow.on_default();
pub(crate) const NAME: Style = AnsiColor::Cyan.on_default();
pub(crate) const STRONG: Style = Style::new().bold();
pub(crate) const FAINT: Style = Style::new().dimmed();

impl Printer {
    pub(crate) fn new(color: When, format: Format) -> Self {
        let choice = match color {
            When::Auto => anstream::ColorChoice::Auto,
            When::Always => anstream::ColorChoice::Always,
            When::Never => anstream::ColorChoice::Never,
        };
        choice.write_global();
        let is_text = |is_terminal: bool| match format {
            Format::Auto => is_terminal,
            Format::Text => true,
            Format::Json => false,
        };
        Self {
            is_text: is_text(io::stdout().is_terminal()),
            errors_are_text: is_text(io::stderr().is_terminal()) || format == Format::Auto,
        }
    }

    /// Prints a line to standard output.
    pub(crate) fn line(&self, text: impl Display) -> io::Result<()> {
        let mut out = anstream::stdout().lock();
        writeln!(out, "{text}")?;
        out.flush()
    }

    /// Prints the text that people read, or the value that programs read.
    pub(crate) fn either(&self, text: impl Display, value: &Value) -> io::Result<()> {
        if self.is_text { self.line(text) } else { self.line(value) }
    }

    /// Says something beside the output, on standard error. That nobody may hear it is no failure.
    pub(crate) fn note(&self, text: impl Display) {
        let _ = writeln!(anstream::stderr().lock(), "{text}");
    }

    /// Says why the command cannot go on.
    pub(crate) fn complain(&self, sentence: &str) {
        if self.errors_are_text {
            self.note(format_args!("{BAD}fastws:{BAD:#} {sentence}"));
        } else {
            self.note(serde_json::json!({ "error": sentence }));
        }
    }

    /// Prints the payload of an error frame to standard error.
    pub(crate) fn refusal(&self, payload: &Value) {
        if !self.errors_are_text {
            return self.note(payload);
        }
        let text = |key: &str| payload.get(key).map(|value| value.as_str().map_or(value.to_string(), str::to_owned));
        let code = text("code").unwrap_or_else(|| "error".into());
        self.note(format_args!("{BAD}{code}:{BAD:#} {}", text("message").unwrap_or_default()));
        for detail in payload.get("details").and_then(Value::as_array).into_iter().flatten() {
            let part = |key: &str| detail.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            self.note(format_args!("  {NAME}{}{NAME:#} {}", part("path"), part("message")));
        }
        if let Some(delay) = payload.get("retry_after_ms").and_then(Value::as_u64) {
            self.note(format_args!("  try again in {delay} ms"));
        }
    }
}

/// JSON with colours, on one line or indented.
pub(crate) fn colored(value: &Value, is_indented: bool) -> String {
    let mut text = String::new();
    write(&mut text, value, is_indented, 0);
    text
}

fn write(text: &mut String, value: &Value, is_indented: bool, depth: usize) {
    let break_line = |text: &mut String, depth: usize| {
        if is_indented {
            text.push('\n');
            text.extend(std::iter::repeat_n("  ", depth));
        }
    };
    match value {
        Value::Object(members) if !members.is_empty() => {
            text.push('{');
            for (at, (name, member)) in members.iter().enumerate() {
                text.push_str(if at == 0 { "" } else { "," });
                break_line(text, depth + 1);
                let name = Value::from(name.as_str());
                let space = if is_indented { " " } else { "" };
                text.push_str(&format!("{NAME}{name}{NAME:#}:{space}"));
                write(text, member, is_indented, depth + 1);
            }
            break_line(text, depth);
            text.push('}');
        }
        Value::Array(items) if !items.is_empty() => {
            // Short lists of plain values stay on their line.
            let is_plain = items.len() <= 8 && items.iter().all(|item| !item.is_array() && !item.is_object());
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                text.push_str(match (at, is_plain && is_indented) {
                    (0, _) => "",
                    (_, true) => ", ",
                    (_, false) => ",",
                });
                if !is_plain {
                    break_line(text, depth + 1);
                }
                write(text, item, is_indented, depth + 1);
            }
            if !is_plain {
                break_line(text, depth);
            }
            text.push(']');
        }
        Value::String(_) => text.push_str(&format!("{GOOD}{value}{GOOD:#}")),
        Value::Number(_) => text.push_str(&format!("{UNSURE}{value}{UNSURE:#}")),
        other => text.push_str(&format!("{FAINT}{other}{FAINT:#}")),
    }
}

/// How many there are of something, as a person says it.
pub(crate) fn counted(count: usize, one: &str, several: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {several}") }
}
