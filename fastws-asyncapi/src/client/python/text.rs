//! Names, strings and docstrings: whatever a document says, it stays within its quotes.

use std::collections::BTreeSet;

use crate::client::words;

/// The longest line.
pub(super) const WIDTH: usize = 120;

/// A name as Python's functions and members are written: `multi_subscribe`. What means a type stays free for that.
pub(super) fn snake(name: &str) -> String {
    let name = identifier(words(name).join("_"), "operation");
    if TYPE_WORDS.contains(&name.as_str()) { name + "_" } else { name }
}

/// Words that types are made of: as members of a class they would mean something else in there.
pub(super) const TYPE_WORDS: [&str; 15] = [
    "str",
    "int",
    "float",
    "bool",
    "list",
    "dict",
    "tuple",
    "object",
    "property",
    "Any",
    "Literal",
    "Never",
    "NotRequired",
    "TypedDict",
    "overload",
];

/// A name as Python's classes are written: `BarsUpdate`. A name that is one already stays as it is.
pub(super) fn pascal(name: &str) -> String {
    if is_identifier(name) && name.starts_with(|first: char| first.is_ascii_uppercase()) && !name.contains('_') {
        return name.to_owned();
    }
    let words = words(name).into_iter().map(|word| {
        let (first, rest) = word.split_at(1);
        format!("{}{rest}", first.to_ascii_uppercase())
    });
    identifier(words.collect(), "Unnamed")
}

/// Makes an identifier of what is one but for its first letter, or for being a keyword.
fn identifier(name: String, otherwise: &str) -> String {
    match name.chars().next() {
        None => otherwise.to_owned(),
        Some(first) if first.is_ascii_digit() => format!("_{name}"),
        _ if KEYWORDS.contains(&name.as_str()) => format!("{name}_"),
        _ => name,
    }
}

/// Whether Python takes a name as it is.
pub(super) fn is_identifier(name: &str) -> bool {
    let is_word = name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    is_word && !name.is_empty() && !name.starts_with(|first: char| first.is_ascii_digit()) && !KEYWORDS.contains(&name)
}

const KEYWORDS: [&str; 35] = [
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del",
    "elif", "else", "except", "finally", "for", "from", "global", "if", "import", "in", "is", "lambda", "nonlocal",
    "not", "or", "pass", "raise", "return", "try", "while", "with", "yield",
];

/// A name that is not taken yet, with underscores behind it if need be.
pub(super) fn free(mut name: String, taken: &mut BTreeSet<String>) -> String {
    while !taken.insert(name.clone()) {
        name.push('_');
    }
    name
}

/// A string literal.
pub(super) fn string(text: &str) -> String {
    let mut literal = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => literal.push_str("\\\""),
            '\\' => literal.push_str("\\\\"),
            '\n' => literal.push_str("\\n"),
            letter if is_hidden(letter) => literal.push_str(&escaped(letter)),
            letter => literal.push(letter),
        }
    }
    literal.push('"');
    literal
}

/// Whether a letter would not be seen, or not where it stands.
fn is_hidden(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

fn escaped(letter: char) -> String {
    match u32::from(letter) {
        code @ ..=0xff => format!("\\x{code:02x}"),
        code => format!("\\u{code:04x}"),
    }
}

/// A docstring, indented, with a line break behind it; nothing for an empty text.
pub(super) fn docstring(indent: usize, text: &str) -> String {
    let lines = wrapped(text, WIDTH - indent);
    let pad = " ".repeat(indent);
    let one_line = lines.len() == 1 && lines[0].chars().count() + indent + 6 <= WIDTH;
    match lines.as_slice() {
        [] => String::new(),
        [line] if one_line => format!("{pad}\"\"\"{line}\"\"\"\n"),
        lines => {
            let lines: Vec<_> = lines.iter().map(|line| format!("{pad}{line}")).collect();
            let first = lines[0].trim_start();
            let rest = lines[1..].iter().fold(String::new(), |rest, line| rest + "\n" + line.trim_end());
            format!("{pad}\"\"\"{first}{rest}\n{pad}\"\"\"\n")
        }
    }
}

/// A comment, indented, with a line break behind it; nothing for an empty text.
pub(super) fn comment(indent: usize, text: &str) -> String {
    let pad = " ".repeat(indent);
    let lines = wrapped(text, WIDTH - indent - 2);
    lines.iter().map(|line| format!("{}\n", format!("{pad}# {line}").trim_end())).collect()
}

/// The lines of a text, none too long, with everything escaped that could end a docstring.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let text = text.replace("\r\n", "\n");
    let mut lines = Vec::new();
    for line in text.trim().lines() {
        let line = shown(line.trim_end());
        let indent: String = line.chars().take_while(|letter| *letter == ' ').collect();
        let mut current = String::new();
        for word in line.split(' ').filter(|word| !word.is_empty()) {
            if current.is_empty() {
                current = format!("{indent}{word}");
            } else if current.chars().count() + 1 + word.chars().count() + 3 <= width {
                current = format!("{current} {word}");
            } else {
                lines.push(std::mem::replace(&mut current, format!("{indent}{word}")));
            }
        }
        lines.push(current);
    }
    lines
}

/// A text within a docstring.
fn shown(line: &str) -> String {
    let mut shown = String::new();
    for letter in line.chars() {
        match letter {
            '\t' => shown.push_str("    "),
            '\\' => shown.push_str("\\\\"),
            letter if is_hidden(letter) => shown.push_str(&escaped(letter)),
            letter => shown.push(letter),
        }
    }
    let ends_with_quote = shown.ends_with('"');
    shown = shown.replace("\"\"\"", "\\\"\\\"\\\"");
    if ends_with_quote && !shown.ends_with("\\\"") {
        shown.insert(shown.len() - 1, '\\');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_pythons_own() {
        assert_eq!(snake("cancelAll"), "cancel_all");
        assert_eq!(snake("class"), "class_");
        assert_eq!(snake("2fa"), "_2fa");
        assert_eq!(snake("--"), "operation");
        assert_eq!(snake("list"), "list_", "else no annotation beside it could say list[Bar]");
        assert_eq!(pascal("Bar"), "Bar");
        assert_eq!(pascal("bars.update"), "BarsUpdate");
        assert_eq!(pascal("Bar-Input"), "BarInput");
        assert_eq!(pascal("none"), "None_");
        let mut taken = BTreeSet::from(["Bar".to_owned(), "Bar_".to_owned()]);
        assert_eq!(free("Bar".into(), &mut taken), "Bar__");
    }

    #[test]
    fn no_text_ends_its_quotes() {
        assert_eq!(string("a\"b\\c\nd\u{0}\u{202e}é"), r#""a\"b\\c\nd\x00\u202eé""#);
        assert_eq!(docstring(0, r#"say """hi""" \"#), "\"\"\"say \\\"\\\"\\\"hi\\\"\\\"\\\" \\\\\"\"\"\n");
        assert_eq!(docstring(0, r#"a "word""#), "\"\"\"a \"word\\\"\"\"\"\n");
        assert_eq!(docstring(4, "one\r\n\r\ntwo  \n"), "    \"\"\"one\n\n    two\n    \"\"\"\n");
        assert_eq!(docstring(4, " \n"), "");
        assert_eq!(comment(0, "one\rimport os\ntwo"), "# one\\x0dimport os\n# two\n");
    }

    #[test]
    fn long_lines_are_broken_between_words() {
        let text = "word ".repeat(60);
        let doc = docstring(4, &text);
        assert!(doc.lines().all(|line| line.len() <= WIDTH), "{doc}");
        assert_eq!(doc.matches("word").count(), 60);
    }
}
