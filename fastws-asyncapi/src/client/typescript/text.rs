//! Words of a document as words of TypeScript: nothing that a document says can leave its string or its comment.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::client::words;

/// A string literal.
pub(super) fn quoted(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

/// The name of a member: itself where it is an identifier, else in quotes.
pub(super) fn key(name: &str) -> String {
    if is_identifier(name) { name.into() } else { quoted(name) }
}

/// The name of a member in an object literal, where `__proto__` would be the object's prototype.
pub(super) fn literal_key(name: &str) -> String {
    if name == "__proto__" { "[\"__proto__\"]".into() } else { key(name) }
}

pub(super) fn is_identifier(name: &str) -> bool {
    let mut letters = name.chars();
    letters.next().is_some_and(|first| first.is_ascii_alphabetic() || "_$".contains(first))
        && letters.all(|letter| letter.is_ascii_alphanumeric() || "_$".contains(letter))
}

/// `list_subscriptions` as `listSubscriptions`.
pub(super) fn camel(name: &str) -> String {
    let words = words(name);
    let (first, others) = words.split_first().map_or(("", [].as_slice()), |(first, others)| (first.as_str(), others));
    first.to_owned() + &others.iter().map(|word| capital(word)).collect::<String>()
}

/// `list_subscriptions` as `ListSubscriptions`.
pub(super) fn pascal(name: &str) -> String {
    words(name).iter().map(|word| capital(word)).collect()
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + letters.as_str())
}

/// A name that is not taken yet: a name that is gets an underscore.
pub(super) fn free(mut name: String, taken: &mut BTreeSet<String>) -> String {
    while !taken.insert(name.clone()) {
        name.push('_');
    }
    name
}

/// A documentation comment of these paragraphs, or nothing without any.
pub(super) fn comment(indent: usize, paragraphs: &[String]) -> String {
    let pad = " ".repeat(indent);
    let room = WIDTH - indent - " * ".len();
    let mut lines: Vec<String> = Vec::new();
    let paragraphs = paragraphs.iter().map(|paragraph| paragraph.trim_start_matches('\n').trim_end());
    for paragraph in paragraphs.filter(|paragraph| !paragraph.is_empty()) {
        if !lines.is_empty() && !paragraph.starts_with('@') {
            lines.push(String::new());
        }
        // Any character that some reader takes for the end of a line is one here.
        let broken = paragraph.replace("\r\n", "\n").replace(['\r', '\u{2028}', '\u{2029}'], "\n");
        let safe = broken.replace("*/", "*\\/");
        flow(&safe).iter().for_each(|line| wrap(line, room, &mut lines));
    }
    match lines.as_slice() {
        [] => String::new(),
        [line] if line.chars().count() + indent + "/**  */".len() <= WIDTH => format!("{pad}/** {line} */\n"),
        lines => {
            let body: String = lines.iter().map(|line| format!("{}\n", format!("{pad} * {line}").trim_end())).collect();
            format!("{pad}/**\n{body}{pad} */\n")
        }
    }
}

/// Joins the lines of a paragraph, as they may have been broken for another width. Lists, tables and code stay.
fn flow(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut is_open = false;
    for line in text.split('\n').map(str::trim_end) {
        let is_prose = !line.is_empty() && !line.starts_with(['|', ' ', '-', '*', '#', '>', '`', '@', '\t']);
        match lines.last_mut().filter(|_| is_open && is_prose) {
            Some(before) => *before = format!("{before} {line}"),
            None => lines.push(line.into()),
        }
        is_open = is_prose;
    }
    lines
}

/// Breaks a line at spaces; rows of a table and lines of code stay whole.
fn wrap(line: &str, room: usize, into: &mut Vec<String>) {
    if line.chars().count() <= room || line.starts_with(['|', ' ']) {
        into.push(line.into());
        return;
    }
    let mut current = String::new();
    for word in line.split(' ') {
        if !current.is_empty() && current.chars().count() + 1 + word.chars().count() > room {
            into.push(std::mem::take(&mut current));
        }
        if !current.is_empty() {
            current.push(' ');
        }
        current.push_str(word);
    }
    into.push(current);
}

/// How wide a line may be.
pub(super) const WIDTH: usize = 120;

/// The names in a piece of TypeScript that begin with a capital letter, outside comments and strings.
pub(super) fn capitals(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut rest = code;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if matches!(first, '"' | '`') {
            string_length(rest, first)
        } else if first.is_ascii_alphabetic() {
            let end = rest.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').unwrap_or(rest.len());
            if first.is_ascii_uppercase() {
                found.insert(rest[..end].to_owned());
            }
            end
        } else {
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    found
}

/// How long the string is that a text begins with, quotes included.
fn string_length(text: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        if letter == quote && !is_escaped {
            return at + 1;
        }
        is_escaped = letter == '\\' && !is_escaped;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_ends_its_comment() {
        assert_eq!(comment(0, &["*/ alert(1) /*".into()]), "/** *\\/ alert(1) /* */\n");
        assert_eq!(comment(0, &["one\r*/two\u{2028}three".into()]), "/**\n * one\n * *\\/two\n * three\n */\n");
        assert_eq!(comment(2, &["**/".into()]), "  /** **\\/ */\n");
        assert_eq!(comment(0, &[String::new()]), "");
    }

    #[test]
    fn no_text_ends_its_string() {
        assert_eq!(quoted("a\"b\\c\n\u{2028}"), r#""a\"b\\c\n\u2028""#);
        assert_eq!(key("open_price"), "open_price");
        assert_eq!(key("a-b"), "\"a-b\"");
        assert_eq!(key(""), "\"\"");
        assert_eq!(literal_key("__proto__"), "[\"__proto__\"]");
    }

    #[test]
    fn names_are_written_as_in_typescript() {
        assert_eq!(
            (camel("list_subscriptions"), pascal("multi_subscribe")),
            ("listSubscriptions".into(), "MultiSubscribe".into())
        );
        assert_eq!(camel("cancel-all"), "cancelAll");
        let mut taken = BTreeSet::from(["on".to_owned()]);
        assert_eq!(free("on".into(), &mut taken), "on_");
        assert_eq!(free("on".into(), &mut taken), "on__");
    }

    #[test]
    fn long_words_are_broken_at_spaces_and_tables_are_not() {
        let long = "word ".repeat(40);
        assert!(comment(4, &[long]).lines().all(|line| line.len() <= WIDTH));
        let table = format!("| {} |", "wide ".repeat(40));
        assert_eq!(comment(0, &[table]).lines().count(), 3);
    }

    #[test]
    fn capitals_are_found_in_code_alone() {
        let code = "// Aa\n/* Bb */ const c = new Dd(\"Ee \\\" Ff\", `Gg ${Hh}`); type Ii = Jj<kk>;";
        assert_eq!(capitals(code), ["Dd", "Ii", "Jj"].map(str::to_owned).into());
    }
}
