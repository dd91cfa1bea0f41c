//! What a new document breaks of an old one's promises.

mod branch;
mod comparison;

use std::collections::BTreeSet;
use std::fmt;

use self::comparison::{Comparison, without_words};
use crate::contract::{Contract, Message, Request, TopicUseRole};
/// This is one difference between two documents of an API, and what it does to clients that were made for the old one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// What it does to clients.
    pub impact: Impact,
    /// The message that has changed; nothing when the change is one of the whole API.
    pub message: Option<String>,
    /// Where in the message's frame, as a JSON Pointer such as `/payload/symbol` (`*` stands for every item); empty for
    /// the message as a whole.
    pub path: String,
    /// A sentence for a person.
    pub sentence: String,
}

/// This is what a change does to clients that were made for the old document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Impact {
    /// A client that does what the old document says fails.
    Breaking,
    /// A client that takes the old document to be exhaustive fails: a new value of an enum, a new branch, a new message.
    Warning,
    /// No client notices.
    Compatible,
}

impl fmt::Display for Impact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Breaking => "breaking",
            Self::Warning => "warning",
            Self::Compatible => "compatible",
        })
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.impact)?;
        if let Some(message) = &self.message {
            write!(f, "{message}{}: ", self.path)?;
        }
        f.write_str(&self.sentence)
    }
}

/// Compares what two documents of an API promise.
///
/// Direction decides. Of what clients send, the new server has to take whatever the old one took; of what the server
/// sends, clients have to meet nothing that they were not told of. So a new optional field of a request is compatible, a
/// field that has left an update is breaking. References are followed: a schema may change its name, or be written out,
/// without any change. Words (titles, descriptions, examples, tags) are no promise.
///
/// ```
/// use fastws_asyncapi::{Contract, Impact, diff};
///
/// let document = |symbol: &str| {
///     let text = r##"{ "asyncapi": "2.4.0", "channels": { "/ws": { "publish": { "message": {
///         "name": "quote",
///         "payload": { "type": "object", "properties": { "symbol": SYMBOL } }
///     } } } } }"##;
///     Contract::read(&text.replace("SYMBOL", symbol))
/// };
/// let old = document(r#"{ "type": "string", "maxLength": 32 }"#)?;
/// let new = document(r#"{ "type": "string", "maxLength": 16 }"#)?;
/// assert_eq!(diff(&old, &new)[0].impact, Impact::Breaking);
/// assert_eq!(diff(&new, &old)[0].impact, Impact::Compatible);
/// # Ok::<(), fastws_asyncapi::ContractError>(())
/// ```
pub fn diff(old: &Contract, new: &Contract) -> Vec<Change> {
    let mut diff = Diff { old, new, changes: Vec::new() };
    diff.endpoint();
    diff.requests();
    diff.events();
    diff.changes
}

struct Diff<'a> {
    old: &'a Contract,
    new: &'a Contract,
    changes: Vec<Change>,
}

impl Diff<'_> {
    fn add(&mut self, impact: Impact, message: Option<&str>, path: &str, sentence: impl Into<String>) {
        self.changes.push(Change {
            impact,
            message: message.map(str::to_owned),
            path: path.into(),
            sentence: sentence.into(),
        });
    }

    /// What is about the connection as a whole.
    fn endpoint(&mut self) {
        let (old, new) = (self.old, self.new);
        if old.path != new.path {
            let sentence = format!("the socket has moved from `{}` to `{}`", old.path, new.path);
            self.add(Impact::Breaking, None, "", sentence);
        }
        for (name, scheme) in &old.security {
            match new.security.get(name) {
                // Without any scheme left, nobody is asked for anything.
                None if new.security.is_empty() => {
                    self.add(Impact::Compatible, None, "", format!("authentication by `{name}` is no longer needed"));
                }
                None => self.add(Impact::Breaking, None, "", format!("authentication by `{name}` is gone")),
                Some(other) if without_words(scheme) != without_words(other) => {
                    self.add(Impact::Breaking, None, "", format!("authentication by `{name}` works in another way"));
                }
                Some(_) => {}
            }
        }
        let added: Vec<_> = new
            .security
            .keys()
            .filter(|name| !old.security.contains_key(*name))
            .map(|name| format!("`{name}`"))
            .collect();
        if !added.is_empty() && old.security.is_empty() {
            self.add(Impact::Breaking, None, "", format!("authentication is needed now, by {}", added.join(" or ")));
        } else if !added.is_empty() {
            self.add(Impact::Compatible, None, "", format!("authentication by {} is possible too", added.join(" or ")));
        }
        let shorter = |old: Option<f64>, new: Option<f64>| new.is_some_and(|new| old.is_none_or(|old| new < old));
        if shorter(old.heartbeat, new.heartbeat) {
            self.add(
                Impact::Warning,
                None,
                "",
                "a silent client is closed sooner: the heartbeat's interval is shorter",
            );
        }
        if shorter(old.lifespan, new.lifespan) {
            self.add(Impact::Warning, None, "", "a connection may live for a shorter time");
        }
    }

    fn requests(&mut self) {
        let (old, new) = (self.old, self.new);
        for was in &old.requests {
            let name = was.message.name.as_str();
            match new.request(name) {
                Some(is) => self.request(was, is),
                None => self.add(Impact::Breaking, Some(name), "", "the operation is gone"),
            }
        }
        for is in new.requests.iter().filter(|is| old.request(&is.message.name).is_none()) {
            self.add(Impact::Compatible, Some(&is.message.name), "", "the operation is new");
        }
    }

    fn request(&mut self, was: &Request, is: &Request) {
        let name = Some(was.message.name.as_str());
        self.message(&was.message, &is.message, Direction::FromClient);
        match (&was.reply, &is.reply) {
            (Some(was), Some(is)) if was.name == is.name => self.message(was, is, Direction::FromServer),
            (Some(was), Some(is)) => {
                let sentence = format!("the reply is `{}` now, it was `{}`", is.name, was.name);
                self.add(Impact::Breaking, name, "", sentence);
            }
            (Some(was), None) => {
                self.add(Impact::Breaking, name, "", format!("there is no reply any more, it was `{}`", was.name));
            }
            (None, Some(is)) => self.add(Impact::Compatible, name, "", format!("there is a reply now: `{}`", is.name)),
            (None, None) => {}
        }
        match (&was.topic, &is.topic) {
            (Some(was), Some(is)) => {
                if was.template != is.template {
                    let sentence = format!("the topic is `{}` now, it was `{}`", is.template, was.template);
                    self.add(Impact::Breaking, name, "", sentence);
                }
                self.topic_role(name, &was.role, &is.role);
            }
            (Some(was), None) => {
                self.add(Impact::Breaking, name, "", format!("it no longer has to do with topic `{}`", was.template));
            }
            (None, Some(is)) => {
                self.add(Impact::Compatible, name, "", format!("it has to do with topic `{}` now", is.template));
            }
            (None, None) => {}
        }
    }

    fn topic_role(&mut self, name: Option<&str>, was: &TopicUseRole, is: &TopicUseRole) {
        use TopicUseRole::{Subscribe, Unsubscribe};
        let (was, is) = match (was, is) {
            (Subscribe { updates: a, unsubscribe: b, .. }, Subscribe { updates: c, unsubscribe: d, .. }) => {
                ((a, b), (c, d))
            }
            (Unsubscribe, Unsubscribe) => return,
            (Subscribe { .. }, Unsubscribe) | (Unsubscribe, Subscribe { .. }) => {
                let sentence = "it has changed sides: what began a subscription ends it, or the other way round";
                return self.add(Impact::Breaking, name, "", sentence);
            }
        };
        let sorted = |names: &[String]| names.iter().cloned().collect::<BTreeSet<_>>();
        if sorted(was.0) != sorted(is.0) {
            let sentence = format!("it brings {} now, it was {}", listed(is.0), listed(was.0));
            self.add(Impact::Breaking, name, "", sentence);
        }
        match (was.1, is.1) {
            (Some(was), None) => {
                self.add(Impact::Breaking, name, "", format!("nothing ends the subscription any more; `{was}` did"));
            }
            (Some(was), Some(is)) if was != is => {
                self.add(Impact::Breaking, name, "", format!("`{is}` ends the subscription now, it was `{was}`"));
            }
            (None, Some(is)) => self.add(Impact::Compatible, name, "", format!("`{is}` ends the subscription now")),
            _ => {}
        }
    }

    fn events(&mut self) {
        let (old, new) = (self.old, self.new);
        for was in &old.events {
            let name = was.message.name.as_str();
            let Some(is) = new.events.iter().find(|is| is.message.name == name) else {
                self.add(Impact::Breaking, Some(name), "", "the server no longer sends it");
                continue;
            };
            match (&was.topic, &is.topic) {
                (Some(was), Some(is)) if was != is => {
                    self.add(Impact::Breaking, Some(name), "", format!("its topic is `{is}` now, it was `{was}`"));
                }
                (Some(was), None) => {
                    self.add(Impact::Breaking, Some(name), "", format!("it has no topic any more, it was `{was}`"));
                }
                (None, Some(is)) => self.add(Impact::Compatible, Some(name), "", format!("it has a topic now: `{is}`")),
                _ => {}
            }
            self.message(&was.message, &is.message, Direction::FromServer);
        }
        for is in new.events.iter().filter(|is| old.events.iter().all(|was| was.message.name != is.message.name)) {
            // What belongs to a topic reaches only those who have asked for it.
            let (impact, sentence) = match &is.topic {
                Some(topic) => (Impact::Compatible, format!("the server sends it to subscribers of `{topic}`")),
                None => (Impact::Warning, "the server sends it unasked; it is new".into()),
            };
            self.add(impact, Some(&is.message.name), "", sentence);
        }
        match (&old.error, &new.error) {
            (Some(was), Some(is)) => self.message(was, is, Direction::FromServer),
            (Some(was), None) => self.add(Impact::Breaking, Some(&was.name), "", "errors are no longer told"),
            (None, Some(is)) => self.add(Impact::Compatible, Some(&is.name), "", "errors are told now"),
            (None, None) => {}
        }
    }

    fn message(&mut self, was: &Message, is: &Message, direction: Direction) {
        let name = Some(was.name.as_str());
        if is.deprecated && !was.deprecated {
            self.add(Impact::Compatible, name, "", "it is deprecated now");
        }
        if was.has_id && !is.has_id {
            self.add(Impact::Breaking, name, "/id", "the `id` is gone: requests and answers cannot be paired");
        } else if is.has_id && !was.has_id {
            self.add(Impact::Compatible, name, "/id", "an `id` pairs requests and answers now");
        }
        let mut comparison = Comparison {
            old: &self.old.schemas,
            new: &self.new.schemas,
            direction,
            message: &was.name,
            pairs_of_ids: was.has_id && is.has_id,
            open: BTreeSet::new(),
            changes: Vec::new(),
        };
        comparison.compare(&was.frame, &is.frame, "");
        self.changes.append(&mut comparison.changes);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    FromClient,
    FromServer,
}

fn listed(names: &[String]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    if names.is_empty() { "nothing".into() } else { names.join(", ") }
}
