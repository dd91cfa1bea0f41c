//! Topics: what a client subscribes to, and the templates that name them.

use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::Value;

use crate::error::{Error, Result};
use crate::source::Source;

/// This is what a client subscribes to, such as `bars:AAPL:1`.
///
/// A topic made from text has no source: what is published to it comes from elsewhere. A topic of a `#[topic]`
/// function, made with [`Hub::topic`](crate::Hub::topic), brings its source along.
#[derive(Clone)]
pub struct Topic {
    text: Arc<str>,
    wire: Arc<str>,
    source: Option<Arc<dyn Source>>,
}

impl Topic {
    /// The text that names it: `bars:AAPL:1`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The text that clients see, which is another one when the service spells topics as JSON.
    pub fn wire(&self) -> &str {
        &self.wire
    }

    pub(crate) fn key(&self) -> &Arc<str> {
        &self.text
    }

    pub(crate) fn wire_text(&self) -> &Arc<str> {
        &self.wire
    }

    pub(crate) fn source(&self) -> Option<&Arc<dyn Source>> {
        self.source.as_ref()
    }

    pub(crate) fn with_source(mut self, source: Arc<dyn Source>) -> Self {
        self.source = Some(source);
        self
    }
}

impl From<&str> for Topic {
    fn from(text: &str) -> Self {
        let text: Arc<str> = text.into();
        Self { wire: Arc::clone(&text), text, source: None }
    }
}

impl From<String> for Topic {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl std::fmt::Display for Topic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::fmt::Debug for Topic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Topic({:?})", self.text)
    }
}

impl PartialEq for Topic {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Topic {}

/// This is how a service writes the names of its topics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TopicSpelling {
    /// `bars:AAPL:1`
    #[default]
    Colon,
    /// `bars:{"resolution":"1","symbol":"AAPL"}`: compact JSON, keys sorted.
    Json,
}

/// This is a topic's name with places for its fields: `bars:{symbol}:{resolution}`.
///
/// Two different values never give the same topic: fields are separated by `:`, and a `:` or `%` within a field is
/// percent-escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Field(String),
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn parse(text: &str) -> std::result::Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find(['{', '}']) {
            let (literal, tail) = rest.split_at(open);
            let Some((field, after)) = tail.strip_prefix('{').and_then(|tail| tail.split_once('}')) else {
                return Err(format!("topic `{text}` has a brace without its partner"));
            };
            if field.is_empty() || !field.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
                return Err(format!("topic `{text}` has a placeholder `{{{field}}}` that is no field name"));
            }
            if !parts.is_empty() && !literal.contains(':') {
                return Err(format!(
                    "topic `{text}` needs a `:` between its placeholders, or two topics could share one name"
                ));
            }
            if parts.contains(&Part::Field(field.to_owned())) {
                return Err(format!("topic `{text}` names the field `{field}` twice"));
            }
            if !literal.is_empty() {
                parts.push(Part::Literal(literal.to_owned()));
            }
            parts.push(Part::Field(field.to_owned()));
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.to_owned()));
        }
        let template = Self { text: text.to_owned(), parts };
        if !is_name(template.route()) {
            return Err(format!(
                "topic `{text}` begins with `{}`, which is no name (letters, digits, `.`, `_`, `-`)",
                template.route()
            ));
        }
        Ok(template)
    }

    /// The template as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What stands before the first `:`; its operations are called `{route}.subscribe` and so on.
    pub fn route(&self) -> &str {
        self.text.split([':', '{']).next().unwrap_or_default()
    }

    /// The names of its fields, in order.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Field(name) => Some(name.as_str()),
            Part::Literal(_) => None,
        })
    }

    /// Names the topic of these fields.
    pub(crate) fn topic(&self, fields: &[(&'static str, Value)], spelling: TopicSpelling) -> Result<Topic> {
        let mut text = String::with_capacity(self.text.len() + 16);
        for part in &self.parts {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Field(name) => {
                    let value = fields.iter().find(|(field, _)| field == name).map_or(&Value::Null, |(_, value)| value);
                    push_field(&mut text, value).map_err(|()| {
                        Error::internal(format!(
                            "topic `{}`: field `{name}` is not text, a number or a boolean",
                            self.text
                        ))
                    })?;
                }
            }
        }
        let mut topic = Topic::from(text);
        if spelling == TopicSpelling::Json && !fields.is_empty() {
            let sorted: std::collections::BTreeMap<_, _> = fields.iter().map(|(name, value)| (*name, value)).collect();
            topic.wire = format!("{}:{}", self.route(), serde_json::to_string(&sorted)?).into();
        }
        Ok(topic)
    }

    /// Whether some topic could belong to both templates.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        let (left, right): (Vec<_>, Vec<_>) = (self.text.split(':').collect(), other.text.split(':').collect());
        let is_open = |segment: &str| segment.contains('{');
        left.len() == right.len() && left.iter().zip(&right).all(|(a, b)| a == b || is_open(a) || is_open(b))
    }
}

/// Whether `name` can name an operation: 1 to 128 of letters, digits, `.`, `_` and `-`.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=128).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

fn push_field(text: &mut String, value: &Value) -> std::result::Result<(), ()> {
    match value {
        // No escape looks like this, so it cannot be mistaken for text.
        Value::Null => text.push_str("%null"),
        Value::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => write!(text, "{number}").map_err(drop)?,
        Value::String(string) => string.chars().for_each(|c| match c {
            ':' => text.push_str("%3A"),
            '%' => text.push_str("%25"),
            c => text.push(c),
        }),
        Value::Array(_) | Value::Object(_) => return Err(()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bars() -> Template {
        Template::parse("bars:{symbol}:{resolution}").expect("a template")
    }

    #[test]
    fn a_topic_is_spelled_with_colons_or_as_json() {
        let fields = [("symbol", "AAPL".into()), ("resolution", "1".into())];
        let topic = bars().topic(&fields, TopicSpelling::Json).expect("a topic");
        assert_eq!(topic.as_str(), "bars:AAPL:1");
        assert_eq!(topic.wire(), r#"bars:{"resolution":"1","symbol":"AAPL"}"#);
        assert_eq!(bars().topic(&fields, TopicSpelling::Colon).expect("a topic").wire(), "bars:AAPL:1");
    }

    #[test]
    fn a_template_that_could_confuse_topics_is_refused() {
        for wrong in
            ["bars:{a}{b}", "bars:{a}-{b}", "bars:{a", "bars:a}", "bars:{}", "bars:{a}:{a}", ":{a}", "ba rs:{a}"]
        {
            assert!(Template::parse(wrong).is_err(), "{wrong}");
        }
        assert!(bars().overlaps(&Template::parse("bars:{symbol}:D").expect("a template")));
        assert!(!bars().overlaps(&Template::parse("quotes:{symbol}").expect("a template")));
    }

    fn field() -> impl Strategy<Value = Value> {
        prop_oneof![Just(Value::Null), "[a-b:%3A25nul]{0,8}".prop_map(Value::from)]
    }

    proptest! {
        #[test]
        fn different_fields_never_give_the_same_topic(a in field(), b in field(), c in field(), d in field()) {
            let name = |x: &Value, y: &Value| {
                bars().topic(&[("symbol", x.clone()), ("resolution", y.clone())], TopicSpelling::Colon).expect("a topic")
            };
            prop_assert_eq!(name(&a, &b) == name(&c, &d), (&a, &b) == (&c, &d));
        }
    }
}
