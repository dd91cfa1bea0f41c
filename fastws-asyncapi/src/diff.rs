//! What a new document breaks of an old one's promises.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Map, Value};

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
            (Subscribe { updates: a, unsubscribe: b }, Subscribe { updates: c, unsubscribe: d }) => ((a, b), (c, d)),
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

/// This is what has happened to the values that a schema takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// There are fewer.
    Narrower,
    /// There are more.
    Wider,
    /// There are others.
    Other,
}

/// This compares the schemas of one message.
struct Comparison<'a> {
    old: &'a Map<String, Value>,
    new: &'a Map<String, Value>,
    direction: Direction,
    message: &'a str,
    pairs_of_ids: bool,
    /// What is being compared: recursive schemas would not end.
    open: BTreeSet<(String, String)>,
    changes: Vec<Change>,
}

impl Comparison<'_> {
    fn add(&mut self, impact: Impact, path: &str, sentence: impl Into<String>) {
        let change =
            Change { impact, message: Some(self.message.into()), path: path.into(), sentence: sentence.into() };
        if !self.changes.contains(&change) {
            self.changes.push(change);
        }
    }

    fn turn(&mut self, turn: Turn, path: &str, sentence: impl Into<String>) {
        let impact = match (turn, self.direction) {
            (Turn::Narrower, Direction::FromServer) | (Turn::Wider, Direction::FromClient) => Impact::Compatible,
            _ => Impact::Breaking,
        };
        self.add(impact, path, sentence);
    }

    /// As [`turn`](Self::turn), where a client can be expected to bear with more.
    fn mild_turn(&mut self, turn: Turn, path: &str, sentence: impl Into<String>) {
        match (turn, self.direction) {
            (Turn::Wider | Turn::Other, Direction::FromServer) => self.add(Impact::Warning, path, sentence),
            _ => self.turn(turn, path, sentence),
        }
    }

    fn compare(&mut self, was: &Value, is: &Value, path: &str) {
        let pair = (was.to_string(), is.to_string());
        if !self.open.insert(pair.clone()) {
            return;
        }
        self.branches(Flat::branches(was, self.old), Flat::branches(is, self.new), path);
        self.open.remove(&pair);
    }

    fn branches(&mut self, was: Vec<Flat>, is: Vec<Flat>, path: &str) {
        let nullable = |branches: &[Flat]| branches.iter().any(|branch| branch.takes("null"));
        match (nullable(&was), nullable(&is)) {
            (true, false) => self.turn(Turn::Narrower, path, "it may no longer be null"),
            (false, true) => self.turn(Turn::Wider, path, "it may be null now"),
            _ => {}
        }
        let (was, is) = (Flat::gathered(was), Flat::gathered(is));
        if let ([was], [is]) = (&was[..], &is[..]) {
            return self.flat(was, is, path);
        }
        let was_one = was.len() == 1;
        let (gone, come) = self.pair(was, is, path);
        // Branches that cannot be told apart by name, one on each side, are the same one, changed.
        if let ([was], [is]) = (&gone[..], &come[..]) {
            return self.flat(was, is, path);
        }
        for branch in gone {
            self.turn(Turn::Narrower, path, format!("it may no longer be {}", branch.described()));
        }
        for branch in come {
            let sentence = format!("it may be {} now", branch.described());
            if was_one { self.turn(Turn::Wider, path, sentence) } else { self.mild_turn(Turn::Wider, path, sentence) }
        }
    }

    /// Compares the branches that belong together, and returns the others: those with the same tag, and those that
    /// have changed nothing but the name.
    fn pair(&mut self, was: Vec<Flat>, is: Vec<Flat>, path: &str) -> (Vec<Flat>, Vec<Flat>) {
        let carry = |branches: &[Flat], tag: &str| branches.iter().filter(|branch| branch.tag() == tag).count();
        let tags: Vec<_> =
            was.iter().map(Flat::tag).filter(|tag| (carry(&was, tag), carry(&is, tag)) == (1, 1)).collect();
        let (tagged, rest): (Vec<_>, Vec<_>) = was.into_iter().partition(|branch| tags.contains(&branch.tag()));
        let (others, mut come): (Vec<_>, Vec<_>) = is.into_iter().partition(|branch| tags.contains(&branch.tag()));
        for was in &tagged {
            let same = others.iter().find(|is| is.tag() == was.tag());
            same.into_iter().for_each(|is| self.flat(was, is, path));
        }
        let mut gone = Vec::new();
        for branch in rest {
            match come.iter().position(|other| self.are_same(&branch, other, path)) {
                Some(at) => drop(come.remove(at)),
                None => gone.push(branch),
            }
        }
        (gone, come)
    }

    fn are_same(&self, was: &Flat, is: &Flat, path: &str) -> bool {
        let mut trial = Comparison { open: self.open.clone(), changes: Vec::new(), ..*self };
        trial.flat(was, is, path);
        trial.changes.is_empty()
    }

    /// Compares two schemas without alternatives.
    fn flat(&mut self, was: &Flat, is: &Flat, path: &str) {
        if was.is_never || is.is_never {
            match (was.is_never, is.is_never) {
                (false, true) => self.turn(Turn::Narrower, path, "nothing is taken any more"),
                (true, false) => self.turn(Turn::Wider, path, "it may be there now"),
                _ => {}
            }
            return;
        }
        if !self.types(was, is, path) {
            return;
        }
        self.values(was, is, path);
        self.bounds(was, is, path);
        self.texts(was, is, path);
        self.items(was, is, path);
        self.members(was, is, path);
        for keyword in ["not", "if", "then", "else", "contains", "propertyNames", "patternProperties", "dependencies"] {
            if was.get(keyword).map(without_words) != is.get(keyword).map(without_words) {
                let sentence = format!("`{keyword}` has changed, and only a person can say what that means");
                self.add(Impact::Warning, path, sentence);
            }
        }
    }

    /// Compares the types. Where there is nothing in common, there is nothing more to compare.
    fn types(&mut self, was: &Flat, is: &Flat, path: &str) -> bool {
        let (before, after) = (was.types(), is.types());
        let lost: Vec<_> = before.iter().filter(|kind| !after.contains(*kind)).copied().collect();
        let won: Vec<_> = after.iter().filter(|kind| !before.contains(*kind)).copied().collect();
        let turn = match (lost.is_empty(), won.is_empty()) {
            (true, true) => return true,
            (false, true) => Turn::Narrower,
            (true, false) => Turn::Wider,
            (false, false) => Turn::Other,
        };
        let sentence = format!("it is {} now, it was {}", is.type_words(), was.type_words());
        self.turn(turn, path, sentence);
        before.iter().any(|kind| after.contains(kind))
    }

    fn values(&mut self, was: &Flat, is: &Flat, path: &str) {
        let (before, after) = (was.values(), is.values());
        let (before, after) = match (before, after) {
            (Some(before), Some(after)) => (before, after),
            (None, None) => return,
            (None, Some(after)) => {
                let sentence = format!("it has to be {} now", shown(&after));
                return self.turn(Turn::Narrower, path, sentence);
            }
            (Some(before), None) => {
                let sentence = format!("it may be anything of its type now, it was {}", shown(&before));
                return self.turn(Turn::Wider, path, sentence);
            }
        };
        let lost: Vec<_> = before.iter().filter(|value| !after.contains(value)).copied().collect();
        let won: Vec<_> = after.iter().filter(|value| !before.contains(value)).copied().collect();
        if !lost.is_empty() && lost.len() == before.len() {
            let sentence = format!("it is {} now, it was {}", shown(&after), shown(&before));
            return self.turn(Turn::Other, path, sentence);
        }
        if !lost.is_empty() {
            self.turn(Turn::Narrower, path, format!("it may no longer be {}", shown(&lost)));
        }
        if !won.is_empty() {
            self.mild_turn(Turn::Wider, path, format!("it may be {} now", shown(&won)));
        }
    }

    fn bounds(&mut self, was: &Flat, is: &Flat, path: &str) {
        // A format limits integers only; of what is no integer any more, or was none, the type has been told.
        let has_ranges = was.takes("number") == is.takes("number");
        let lower = |flat: &Flat| flat.lower(has_ranges);
        let upper = |flat: &Flat| flat.upper(has_ranges);
        for (name, low, high) in [
            ("value", (lower(was), lower(is)), (upper(was), upper(is))),
            ("length", Bound::both("minLength", was, is), Bound::both("maxLength", was, is)),
            ("number of items", Bound::both("minItems", was, is), Bound::both("maxItems", was, is)),
            ("number of members", Bound::both("minProperties", was, is), Bound::both("maxProperties", was, is)),
        ] {
            self.bound(name, "least", low, Bound::is_above, path);
            self.bound(name, "greatest", high, Bound::is_below, path);
        }
        let (before, after) = (was.number("multipleOf"), is.number("multipleOf"));
        if before != after {
            let divides = |a: f64, b: f64| (b / a).fract().abs() < f64::EPSILON;
            let turn = match (before, after) {
                (Some(before), Some(after)) if divides(before, after) => Turn::Narrower,
                (Some(before), Some(after)) if divides(after, before) => Turn::Wider,
                (Some(_), Some(_)) => Turn::Other,
                (None, _) => Turn::Narrower,
                (_, None) => Turn::Wider,
            };
            let words = |step: Option<f64>| step.map_or("any number".into(), |step| format!("a multiple of {step}"));
            self.turn(turn, path, format!("it is {} now, it was {}", words(after), words(before)));
        }
    }

    fn bound(
        &mut self,
        name: &str,
        which: &str,
        (was, is): (Option<Bound>, Option<Bound>),
        is_tighter: fn(&Bound, &Bound) -> bool,
        path: &str,
    ) {
        let turn = match (&was, &is) {
            (Some(was), Some(is)) if is_tighter(is, was) => Turn::Narrower,
            (Some(was), Some(is)) if is_tighter(was, is) => Turn::Wider,
            (None, Some(_)) => Turn::Narrower,
            (Some(_), None) => Turn::Wider,
            _ => return,
        };
        let words = |bound: &Option<Bound>| bound.as_ref().map_or("not limited".into(), Bound::words);
        let sentence = format!("the {which} {name} is {} now, it was {}", words(&is), words(&was));
        self.turn(turn, path, sentence);
    }

    fn texts(&mut self, was: &Flat, is: &Flat, path: &str) {
        if was.patterns != is.patterns {
            let turn = match (was.patterns.is_superset(&is.patterns), is.patterns.is_superset(&was.patterns)) {
                (true, false) => Turn::Wider,
                (false, true) => Turn::Narrower,
                _ => Turn::Other,
            };
            let words = |patterns: &BTreeSet<String>| match patterns.len() {
                0 => "any text".into(),
                _ => patterns.iter().map(|pattern| format!("`{pattern}`")).collect::<Vec<_>>().join(" and "),
            };
            let sentence = format!("it has to match {} now, it was {}", words(&is.patterns), words(&was.patterns));
            self.mild_turn(turn, path, sentence);
        }
        // Those of numbers are bounds, and compared as such.
        let format = |flat: &Flat| {
            let format = flat.get("format").and_then(Value::as_str).filter(|format| !is_numeric_format(format));
            format.map(str::to_owned)
        };
        let (before, after) = (format(was), format(is));
        if before != after {
            let words = |format: Option<String>| format.map_or("none".into(), |format| format!("`{format}`"));
            let sentence = format!("its format is {} now, it was {}", words(after), words(before));
            self.add(Impact::Warning, path, sentence);
        }
        let is_unique = |flat: &Flat| flat.get("uniqueItems").is_some_and(|unique| *unique == true);
        match (is_unique(was), is_unique(is)) {
            (false, true) => self.turn(Turn::Narrower, path, "no item may be there twice now"),
            (true, false) => self.turn(Turn::Wider, path, "items may be there twice now"),
            _ => {}
        }
    }

    fn items(&mut self, was: &Flat, is: &Flat, path: &str) {
        if !was.takes("array") || !is.takes("array") {
            return;
        }
        let tuple = |flat: &Flat| flat.get("items").and_then(Value::as_array).cloned();
        match (tuple(was), tuple(is)) {
            (None, None) => {
                let (before, after) = (was.get("items").cloned(), is.get("items").cloned());
                if before.is_some() || after.is_some() {
                    let any = || Value::Bool(true);
                    self.compare(&before.unwrap_or_else(any), &after.unwrap_or_else(any), &format!("{path}/*"));
                }
            }
            (Some(before), Some(after)) => {
                for (at, (was, is)) in before.iter().zip(&after).enumerate() {
                    self.compare(was, is, &format!("{path}/{at}"));
                }
                if before.len() != after.len() {
                    let sentence = format!("it has {} places now, it had {}", after.len(), before.len());
                    self.turn(Turn::Other, path, sentence);
                }
            }
            _ => self.turn(Turn::Other, path, "it was a list and has fixed places now, or the other way round"),
        }
    }

    fn members(&mut self, was: &Flat, is: &Flat, path: &str) {
        if !was.takes("object") || !is.takes("object") {
            return;
        }
        let is_frame = path.is_empty();
        // They have been compared by name and by being there at all.
        let is_done = |name: &str| is_frame && (name == "type" || name == "id");
        let was_closed = was.additional() == Value::Bool(false);
        let is_closed = is.additional() == Value::Bool(false);
        for (name, before) in &was.properties {
            let inner = format!("{path}/{}", escape(name));
            if is_done(name) {
                if name == "id"
                    && self.pairs_of_ids
                    && let Some(after) = is.properties.get(name)
                {
                    self.compare(&all_of(before), &all_of(after), &inner);
                }
                continue;
            }
            let Some(after) = is.properties.get(name) else {
                match self.direction {
                    Direction::FromServer => self.add(Impact::Breaking, &inner, "it is gone"),
                    Direction::FromClient if is_closed => self.add(Impact::Breaking, &inner, "it is refused now"),
                    Direction::FromClient => self.add(Impact::Compatible, &inner, "it is ignored now"),
                }
                continue;
            };
            match (was.required.contains(name), is.required.contains(name)) {
                (false, true) => self.turn(Turn::Narrower, &inner, "it has to be there now"),
                (true, false) => self.turn(Turn::Wider, &inner, "it may be missing now"),
                _ => {}
            }
            self.compare(&all_of(before), &all_of(after), &inner);
        }
        for name in is.properties.keys().filter(|name| !was.properties.contains_key(*name) && !is_done(name)) {
            let inner = format!("{path}/{}", escape(name));
            match (self.direction, is.required.contains(name)) {
                (Direction::FromClient, true) => {
                    self.add(Impact::Breaking, &inner, "it is new, and has to be there");
                }
                (Direction::FromServer, _) if was_closed => {
                    self.add(Impact::Warning, &inner, "it is new, where nothing further was to come");
                }
                _ => self.add(Impact::Compatible, &inner, "it is new"),
            }
        }
        // What is required without being described.
        for name in
            is.required.iter().filter(|name| !is.properties.contains_key(*name) && !was.required.contains(*name))
        {
            self.turn(Turn::Narrower, &format!("{path}/{}", escape(name)), "it has to be there now");
        }
        match (was_closed, is_closed, self.direction) {
            (false, true, _) => self.turn(Turn::Narrower, path, "members that it does not name are refused now"),
            (true, false, Direction::FromClient) => {
                self.add(Impact::Compatible, path, "members that it does not name are taken now");
            }
            (true, false, Direction::FromServer) => {
                self.add(Impact::Warning, path, "members that it does not name may come now");
            }
            (false, false, _) => {
                let (before, after) = (was.additional(), is.additional());
                self.compare(&before, &after, &format!("{path}/*"));
            }
            (true, true, _) => {}
        }
    }
}

/// This is a schema without references and alternatives: one branch of what it allows.
#[derive(Clone, Debug, Default)]
struct Flat {
    /// The name of the component, if it is one.
    name: Option<String>,
    keywords: Map<String, Value>,
    /// Each member with all the schemas that it has to meet.
    properties: BTreeMap<String, Vec<Value>>,
    required: BTreeSet<String>,
    patterns: BTreeSet<String>,
    /// Nothing meets it.
    is_never: bool,
}

impl Flat {
    /// The branches of a schema, references followed.
    fn branches(schema: &Value, components: &Map<String, Value>) -> Vec<Self> {
        Self::expanded(schema, components, 0)
    }

    fn expanded(schema: &Value, components: &Map<String, Value>, depth: usize) -> Vec<Self> {
        let object = match schema {
            _ if depth > MAX_DEPTH => return vec![Self::default()],
            Value::Bool(false) => return vec![Self { is_never: true, ..Self::default() }],
            Value::Object(object) => object,
            _ => return vec![Self::default()],
        };
        let mut branches = vec![Self::of(object)];
        if let Some(reference) = object.get("$ref").and_then(Value::as_str) {
            let name = reference.rsplit('/').next().unwrap_or_default().replace("~1", "/").replace("~0", "~");
            if let Some(target) = components.get(&name) {
                branches = product(branches, Self::expanded(target, components, depth + 1));
            }
            for branch in &mut branches {
                branch.name.get_or_insert_with(|| name.clone());
            }
        }
        for part in object.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            branches = product(branches, Self::expanded(part, components, depth + 1));
        }
        for alternatives in ["anyOf", "oneOf"] {
            let Some(parts) = object.get(alternatives).and_then(Value::as_array) else { continue };
            let parts = parts.iter().flat_map(|part| Self::expanded(part, components, depth + 1)).collect();
            branches = product(branches, parts);
        }
        branches
    }

    /// What the schema itself says, with neither references nor parts.
    fn of(object: &Map<String, Value>) -> Self {
        let apart = ["$ref", "allOf", "anyOf", "oneOf", "properties", "required", "pattern"];
        let keywords = object.iter().filter(|(key, _)| !apart.contains(&key.as_str()) && !is_word(key));
        let mut keywords: Map<_, _> = keywords.map(|(key, value)| (key.clone(), value.clone())).collect();
        if keywords.remove("unevaluatedProperties") == Some(Value::Bool(false)) {
            keywords.insert("additionalProperties".into(), Value::Bool(false));
        }
        let properties = object.get("properties").and_then(Value::as_object).into_iter().flatten();
        let required = object.get("required").and_then(Value::as_array).into_iter().flatten();
        Self {
            name: None,
            keywords,
            properties: properties.map(|(name, schema)| (name.clone(), vec![schema.clone()])).collect(),
            required: required.filter_map(|name| Some(name.as_str()?.to_owned())).collect(),
            patterns: object.get("pattern").and_then(Value::as_str).map(str::to_owned).into_iter().collect(),
            is_never: false,
        }
    }

    /// What meets both.
    fn and(mut self, other: &Self) -> Self {
        for (key, value) in &other.keywords {
            let joint = match self.keywords.get(key) {
                None => value.clone(),
                Some(own) => match key.as_str() {
                    "type" => {
                        let (own, theirs) = (one_or_more(own), one_or_more(value));
                        own.into_iter().filter(|kind| theirs.contains(kind)).collect()
                    }
                    "enum" => {
                        let theirs = value.as_array().cloned().unwrap_or_default();
                        let own = own.as_array().cloned().unwrap_or_default();
                        own.into_iter().filter(|choice| theirs.contains(choice)).collect()
                    }
                    "additionalProperties" if *value == Value::Bool(false) => value.clone(),
                    _ if key.to_lowercase().contains("min") && own.as_f64() < value.as_f64() => value.clone(),
                    _ if key.to_lowercase().contains("max") && own.as_f64() > value.as_f64() => value.clone(),
                    _ => own.clone(),
                },
            };
            self.keywords.insert(key.clone(), joint);
        }
        for (name, schemas) in &other.properties {
            self.properties.entry(name.clone()).or_default().extend(schemas.iter().cloned());
        }
        self.required.extend(other.required.iter().cloned());
        self.patterns.extend(other.patterns.iter().cloned());
        self.is_never |= other.is_never;
        self.name = self.name.or_else(|| other.name.clone());
        self
    }

    /// Without what is null only, and with the values of an enum in one branch however they were spread.
    fn gathered(branches: Vec<Self>) -> Vec<Self> {
        let mut branches: Vec<_> =
            branches.into_iter().filter(|branch| branch.is_never || !branch.types().is_empty()).collect();
        if branches.len() < 2 {
            return branches;
        }
        let only = |branch: &Self, allowed: &[&str]| {
            let is_scalar = branch.properties.is_empty() && branch.patterns.is_empty() && !branch.is_never;
            is_scalar && branch.keywords.keys().all(|key| allowed.contains(&key.as_str()))
        };
        if branches.iter().all(|branch| only(branch, &["type", "const", "enum"]) && branch.values().is_some()) {
            let values: Vec<_> = branches.iter().flat_map(|branch| branch.values().unwrap_or_default()).collect();
            let keywords = Map::from_iter([("enum".to_owned(), values.into_iter().cloned().collect())]);
            branches = vec![Self { keywords, ..Self::default() }];
        } else if branches.iter().all(|branch| only(branch, &["type"]) && branch.keywords.contains_key("type")) {
            let kinds: BTreeSet<_> = branches.iter().flat_map(Self::types).collect();
            let keywords = Map::from_iter([("type".to_owned(), kinds.into_iter().collect())]);
            branches = vec![Self { keywords, ..Self::default() }];
        }
        branches
    }

    fn get(&self, keyword: &str) -> Option<&Value> {
        self.keywords.get(keyword)
    }

    fn number(&self, keyword: &str) -> Option<f64> {
        self.get(keyword).and_then(Value::as_f64)
    }

    /// The constants that it is limited to, null apart.
    fn values(&self) -> Option<Vec<&Value>> {
        let values = match (self.get("const"), self.get("enum").and_then(Value::as_array)) {
            (Some(only), _) => vec![only],
            (None, Some(several)) => several.iter().collect(),
            (None, None) => return None,
        };
        Some(values.into_iter().filter(|value| !value.is_null()).collect())
    }

    /// The types that it takes, null apart. `number` stands for the numbers that are no integers.
    fn types(&self) -> BTreeSet<&'static str> {
        let named = self.get("type").map(one_or_more);
        let declared = |kind: &str| {
            named
                .as_ref()
                .is_none_or(|named| named.iter().any(|name| *name == kind || kind == "integer" && *name == "number"))
        };
        let values = self.values();
        let possible =
            |kind: &str| values.as_ref().is_none_or(|values| values.iter().any(|value| type_of(value) == kind));
        TYPES.into_iter().filter(|kind| declared(kind) && possible(kind)).collect()
    }

    fn takes(&self, kind: &str) -> bool {
        if kind != "null" {
            return !self.is_never && self.types().contains(kind);
        }
        let declared = self.get("type").is_none_or(|named| one_or_more(named).iter().any(|name| name == "null"));
        let has_null = |choices: &Value| choices.as_array().is_some_and(|choices| choices.contains(&Value::Null));
        let possible = self.get("const").is_none_or(Value::is_null) && self.get("enum").is_none_or(has_null);
        declared && possible && !self.is_never
    }

    fn type_words(&self) -> String {
        let mut kinds = self.types();
        if kinds.len() == TYPES.len() {
            return "anything".into();
        }
        if kinds.contains("number") {
            kinds.remove("integer");
        }
        kinds.into_iter().collect::<Vec<_>>().join(" or ")
    }

    fn lower(&self, has_range: bool) -> Option<Bound> {
        let bound = |keyword, is_exclusive| Some(Bound { value: self.number(keyword)?, is_exclusive, words: "above" });
        let given = [bound("minimum", false), bound("exclusiveMinimum", true)].into_iter().flatten();
        let given = given.reduce(|a, b| if a.is_above(&b) { a } else { b });
        given.or_else(|| {
            Some(Bound { value: self.range().0.filter(|_| has_range)?, is_exclusive: false, words: "above" })
        })
    }

    fn upper(&self, has_range: bool) -> Option<Bound> {
        let bound = |keyword, is_exclusive| Some(Bound { value: self.number(keyword)?, is_exclusive, words: "below" });
        let given = [bound("maximum", false), bound("exclusiveMaximum", true)].into_iter().flatten();
        let given = given.reduce(|a, b| if a.is_below(&b) { a } else { b });
        given.or_else(|| {
            Some(Bound { value: self.range().1.filter(|_| has_range)?, is_exclusive: false, words: "below" })
        })
    }

    /// What the format of an integer leaves room for. With 64 bits there is always room.
    fn range(&self) -> (Option<f64>, Option<f64>) {
        let format = self.get("format").and_then(Value::as_str).unwrap_or_default();
        let bits = |bits: &str| bits.parse::<i32>().ok().filter(|bits| (1..64).contains(bits));
        match (format.strip_prefix("uint"), format.strip_prefix("int")) {
            (Some(size), _) => (Some(0.0), bits(size).map(|bits| 2f64.powi(bits) - 1.0)),
            (None, Some(size)) => {
                (bits(size).map(|bits| -2f64.powi(bits - 1)), bits(size).map(|bits| 2f64.powi(bits - 1) - 1.0))
            }
            (None, None) => (None, None),
        }
    }

    /// What members may be that it does not name.
    fn additional(&self) -> Value {
        self.get("additionalProperties").cloned().unwrap_or(Value::Bool(true))
    }

    /// What tells it from its sisters: a constant member, a name, or else its only members or its type.
    fn tag(&self) -> String {
        let constant = |(name, schemas): (&String, &Vec<Value>)| {
            let value = schemas.iter().find_map(|schema| {
                let only = schema.get("enum").and_then(Value::as_array).filter(|choices| choices.len() == 1);
                schema.get("const").or_else(|| only?.first())
            })?;
            Some(format!("{name} {value}"))
        };
        let constants: Vec<_> = self.properties.iter().filter_map(constant).collect();
        if !constants.is_empty() {
            return constants.join(", ");
        }
        let outer = || match &self.required.iter().collect::<Vec<_>>()[..] {
            [only] if self.properties.len() == 1 => Some((*only).clone()),
            _ => None,
        };
        self.name.clone().or_else(outer).unwrap_or_else(|| self.type_words())
    }

    fn described(&self) -> String {
        match (&self.name, self.values()) {
            (Some(name), _) => format!("`{name}`"),
            (None, Some(values)) => shown(&values),
            (None, None) if self.properties.is_empty() => self.type_words(),
            (None, None) => {
                let members: Vec<_> = self.properties.keys().map(|name| format!("`{name}`")).collect();
                format!("an object with {}", members.join(", "))
            }
        }
    }
}

/// This is the least or the greatest that something may be.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Bound {
    value: f64,
    /// The value itself is out of bounds.
    is_exclusive: bool,
    /// On which side of it everything has to be.
    words: &'static str,
}

impl Bound {
    /// A count's bound in two schemas. That there are not fewer than none is no bound.
    fn both(keyword: &str, was: &Flat, is: &Flat) -> (Option<Self>, Option<Self>) {
        let bound = |flat: &Flat| {
            let value = flat.number(keyword).filter(|value| *value > 0.0 || keyword.starts_with("max"))?;
            Some(Self { value, is_exclusive: false, words: "" })
        };
        (bound(was), bound(is))
    }

    fn is_above(&self, other: &Self) -> bool {
        self.value > other.value || self.value >= other.value && self.is_exclusive && !other.is_exclusive
    }

    fn is_below(&self, other: &Self) -> bool {
        self.value < other.value || self.value <= other.value && self.is_exclusive && !other.is_exclusive
    }

    fn words(&self) -> String {
        if self.is_exclusive { format!("{} {}", self.words, self.value) } else { self.value.to_string() }
    }
}

/// Each of these together with each of those.
fn product(these: Vec<Flat>, those: Vec<Flat>) -> Vec<Flat> {
    let both = these.iter().flat_map(|this| those.iter().map(|that| this.clone().and(that)));
    both.take(MAX_BRANCHES).collect()
}

/// One schema that stands for all of these.
fn all_of(schemas: &[Value]) -> Value {
    match schemas {
        [only] => only.clone(),
        several => Value::Object(Map::from_iter([("allOf".to_owned(), several.to_vec().into())])),
    }
}

fn one_or_more(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_else(|| vec![value.clone()])
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn is_numeric_format(format: &str) -> bool {
    format.starts_with("int") || format.starts_with("uint") || format == "float" || format == "double"
}

/// Whether a keyword is for people, and promises nothing.
fn is_word(keyword: &str) -> bool {
    let words =
        ["title", "description", "examples", "example", "default", "$comment", "deprecated", "readOnly", "writeOnly"];
    words.contains(&keyword) || keyword.starts_with("x-")
}

/// A value without what is for people.
fn without_words(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let kept = object.iter().filter(|(key, _)| !is_word(key));
            kept.map(|(key, value)| (key.clone(), without_words(value))).collect()
        }
        Value::Array(items) => items.iter().map(without_words).collect(),
        other => other.clone(),
    }
}

fn shown(values: &[&Value]) -> String {
    let mut words: Vec<_> = values.iter().take(MAX_SHOWN).map(|value| format!("`{value}`")).collect();
    if values.len() > MAX_SHOWN {
        words.push(format!("{} more", values.len() - MAX_SHOWN));
    }
    words.join(", ")
}

fn listed(names: &[String]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    if names.is_empty() { "nothing".into() } else { names.join(", ") }
}

fn escape(segment: &str) -> String {
    segment.replace('~', "~0").replace('/', "~1")
}

const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];
/// How many references and parts may lie within each other.
const MAX_DEPTH: usize = 32;
/// How many alternatives are looked at.
const MAX_BRANCHES: usize = 256;
/// How many values a sentence names.
const MAX_SHOWN: usize = 8;

/// Point 37 of the checklist: the check fails on every mutation that hurts somebody, in the direction that hurts.
#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const VERSIONS: [&str; 2] = ["2.4.0", "3.0.0"];

    /// An API of one topic and one plain request, apart from the version that it is written in.
    fn api() -> Value {
        let frame = |name: &str, payload: &str| {
            json!({
                "type": "object",
                "required": ["type", "payload"],
                "properties": {
                    "type": { "type": "string", "const": name },
                    "id": { "type": ["string", "integer"] },
                    "payload": { "$ref": format!("#/components/schemas/{payload}") },
                },
            })
        };
        json!({
            "path": "/ws",
            "security": {},
            "operations": {
                "bars.subscribe": {
                    "reply": "bars.subscribe.response",
                    "x-topic": "bars:{symbol}",
                    "x-updates": ["bars.update"],
                },
                "bars.unsubscribe": { "reply": "bars.unsubscribe.response", "x-topic": "bars:{symbol}" },
                "orders.place": { "reply": "orders.placed" },
            },
            "events": { "bars.update": { "x-topic": "bars:{symbol}" }, "error": {} },
            "frames": {
                "bars.subscribe": frame("bars.subscribe", "BarsRequest"),
                "bars.subscribe.response": frame("bars.subscribe.response", "Subscribed"),
                "bars.unsubscribe": frame("bars.unsubscribe", "BarsRequest"),
                "bars.unsubscribe.response": frame("bars.unsubscribe.response", "Subscribed"),
                "orders.place": frame("orders.place", "Order"),
                "orders.placed": frame("orders.placed", "Order"),
                "bars.update": frame("bars.update", "Bar"),
                "error": frame("error", "Problem"),
            },
            "schemas": {
                "BarsRequest": {
                    "type": "object",
                    "required": ["symbol"],
                    "properties": {
                        "symbol": { "type": "string", "minLength": 1, "maxLength": 32, "pattern": "^[A-Z]+$" },
                        "resolution": { "$ref": "#/components/schemas/Resolution" },
                        "depth": { "type": ["integer", "null"], "minimum": 1, "maximum": 100 },
                        "places": { "type": "array", "items": { "type": "string" }, "maxItems": 10 },
                    },
                },
                "Resolution": { "type": "string", "enum": ["1", "5", "D"] },
                "Subscribed": {
                    "type": "object",
                    "required": ["topic"],
                    "properties": { "topic": { "type": "string" } },
                },
                "Bar": {
                    "type": "object",
                    "required": ["time", "close"],
                    "properties": {
                        "time": { "type": "integer" },
                        "close": { "type": "number", "minimum": 0, "maximum": 1000 },
                        "volume": { "type": "number" },
                        "session": { "type": "string", "enum": ["open", "closed"] },
                        "source": { "oneOf": [
                            { "$ref": "#/components/schemas/Venue" },
                            { "$ref": "#/components/schemas/Replay" },
                        ] },
                    },
                },
                "Venue": {
                    "type": "object",
                    "required": ["kind"],
                    "properties": { "kind": { "const": "venue" }, "name": { "type": "string" } },
                },
                "Replay": {
                    "type": "object",
                    "required": ["kind"],
                    "properties": { "kind": { "const": "replay" }, "file": { "type": "string" } },
                },
                // Both directions, and recursive.
                "Order": {
                    "type": "object",
                    "required": ["symbol"],
                    "properties": {
                        "symbol": { "type": "string" },
                        "then": { "anyOf": [{ "$ref": "#/components/schemas/Order" }, { "type": "null" }] },
                    },
                },
                "Problem": {
                    "type": "object",
                    "required": ["code"],
                    "properties": { "code": { "type": "string" } },
                },
            },
        })
    }

    /// Writes an API as a document.
    fn document(api: &Value, version: &str) -> Value {
        let members = |key: &str| api[key].as_object().expect("an object").clone();
        let mut messages = Map::new();
        for (name, frame) in members("frames") {
            messages.insert(name.clone(), json!({ "name": name, "payload": frame }));
        }
        let with = |message: &mut Value, extra: &Value| {
            for (key, value) in extra.as_object().expect("an object").iter().filter(|(key, _)| *key != "reply") {
                message[key] = value.clone();
            }
        };
        for (name, extra) in members("operations").iter().chain(&members("events")) {
            with(&mut messages[name], extra);
        }
        let components = json!({ "schemas": api["schemas"], "securitySchemes": api["security"] });
        let path = api["path"].as_str().expect("a path");
        let mut written = json!({ "asyncapi": version, "info": { "title": "Bars", "version": "1" } });
        written["components"] = components;
        let reference = |at: &str, name: &str| json!({ "$ref": format!("#/{at}/messages/{}", escape(name)) });
        if version.starts_with('2') {
            let mut answers = Vec::new();
            for (name, operation) in members("operations") {
                if let Some(reply) = operation["reply"].as_str() {
                    messages[&name]["x-response"] = reference("components", reply);
                    answers.push(reference("components", reply));
                }
            }
            let requests: Vec<_> = members("operations").keys().map(|name| reference("components", name)).collect();
            answers.extend(members("events").keys().map(|name| reference("components", name)));
            written["channels"] = json!({ path: {
                "publish": { "message": { "oneOf": requests } },
                "subscribe": { "message": { "oneOf": answers } },
            } });
            written["components"]["messages"] = messages.into();
            return written;
        }
        written["channels"] = json!({ "ws": { "address": path, "messages": messages } });
        let mut operations = Map::new();
        for (name, operation) in members("operations") {
            let mut entry = json!({ "action": "receive", "messages": [reference("channels/ws", &name)] });
            if let Some(reply) = operation["reply"].as_str() {
                let known = [reply, "error"].into_iter().filter(|name| api["frames"].get(name).is_some());
                let replies = known.map(|name| reference("channels/ws", name));
                entry["reply"] = json!({ "messages": replies.collect::<Vec<_>>() });
            }
            operations.insert(name, entry);
        }
        for name in members("events").keys() {
            let entry = json!({ "action": "send", "messages": [reference("channels/ws", name)] });
            operations.insert(name.clone(), entry);
        }
        written["operations"] = operations.into();
        written
    }

    fn contract(api: &Value, version: &str) -> Contract {
        Contract::of(&document(api, version)).expect("a contract")
    }

    fn worst(changes: &[Change]) -> Option<Impact> {
        changes.iter().map(|change| change.impact).min()
    }

    /// Holds a mutation, and its reverse, against what they have to be called, in documents of both versions.
    fn check(what: &str, there: Option<Impact>, back: Option<Impact>, place: &str, mutate: impl Fn(&mut Value)) {
        let mut mutated = api();
        mutate(&mut mutated);
        assert_ne!(mutated, api(), "{what} changes nothing");
        for version in VERSIONS {
            let (old, new) = (contract(&api(), version), contract(&mutated, version));
            for (expected, changes) in [(there, diff(&old, &new)), (back, diff(&new, &old))] {
                assert_eq!(worst(&changes), expected, "{what} in {version}: {changes:#?}");
                let names_it = |change: &Change| change.to_string().contains(place);
                assert!(expected.is_none() || changes.iter().any(names_it), "{what} in {version}: {changes:#?}");
            }
        }
    }

    const BREAKING: Option<Impact> = Some(Impact::Breaking);
    const WARNING: Option<Impact> = Some(Impact::Warning);
    const COMPATIBLE: Option<Impact> = Some(Impact::Compatible);

    fn set(pointer: &'static str, value: Value) -> impl Fn(&mut Value) {
        move |api| *api.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer} is there")) = value.clone()
    }

    fn insert(pointer: &'static str, key: &'static str, value: Value) -> impl Fn(&mut Value) {
        move |api| {
            let object = api.pointer_mut(pointer).and_then(Value::as_object_mut).expect("an object");
            object.insert(key.into(), value.clone());
        }
    }

    fn remove(pointer: &'static str, key: &'static str) -> impl Fn(&mut Value) {
        move |api| {
            let object = api.pointer_mut(pointer).and_then(Value::as_object_mut).expect("an object");
            assert!(object.remove(key).is_some(), "{pointer}/{key} is there");
        }
    }

    #[test]
    fn point_37_what_a_request_needs_may_shrink_but_not_grow() {
        let request = "/schemas/BarsRequest/properties";
        check("a new required field", BREAKING, COMPATIBLE, "/payload/venue", |api| {
            insert(request, "venue", json!({ "type": "string" }))(api);
            set("/schemas/BarsRequest/required", json!(["symbol", "venue"]))(api);
        });
        let optional = insert(request, "venue", json!({ "type": "string" }));
        check("a new optional field", COMPATIBLE, COMPATIBLE, "/payload/venue", optional);
        check("an optional field made required", BREAKING, COMPATIBLE, "/payload/resolution", {
            set("/schemas/BarsRequest/required", json!(["symbol", "resolution"]))
        });
        check("a removed field that is refused", BREAKING, COMPATIBLE, "/payload/depth", |api| {
            remove(request, "depth")(api);
            insert("/schemas/BarsRequest", "additionalProperties", json!(false))(api);
        });
        let closed = insert("/schemas/BarsRequest", "additionalProperties", json!(false));
        check("unknown fields refused", BREAKING, COMPATIBLE, "bars.subscribe/payload: ", closed);
        check("an optional payload made required", COMPATIBLE, BREAKING, "bars.subscribe/payload: ", {
            set("/frames/bars.subscribe/required", json!(["type"]))
        });
    }

    #[test]
    fn point_37_what_a_request_may_say_may_widen_but_not_narrow() {
        for (what, pointer, value) in [
            ("another type", "/schemas/BarsRequest/properties/depth/type", json!(["string", "null"])),
            ("an array's items", "/schemas/BarsRequest/properties/places/items/type", json!("integer")),
        ] {
            check(what, BREAKING, BREAKING, "/payload/", set(pointer, value));
        }
        for (what, pointer, value) in [
            ("null refused", "/schemas/BarsRequest/properties/depth/type", json!("integer")),
            ("an enum's value removed", "/schemas/Resolution/enum", json!(["1", "D"])),
            ("a smaller range", "/schemas/BarsRequest/properties/depth/maximum", json!(50)),
            ("a higher minimum", "/schemas/BarsRequest/properties/depth/minimum", json!(2)),
            ("a shorter text", "/schemas/BarsRequest/properties/symbol/maxLength", json!(16)),
            ("a longer text", "/schemas/BarsRequest/properties/symbol/minLength", json!(2)),
            ("fewer items", "/schemas/BarsRequest/properties/places/maxItems", json!(9)),
        ] {
            check(what, BREAKING, COMPATIBLE, "bars.subscribe/payload/", set(pointer, value));
        }
        let pattern = "/schemas/BarsRequest/properties/symbol";
        check("no pattern", COMPATIBLE, BREAKING, "/payload/symbol", remove(pattern, "pattern"));
        check("another pattern", BREAKING, BREAKING, "/payload/symbol", insert(pattern, "pattern", json!("^[a-z]+$")));
        check("a constant", BREAKING, COMPATIBLE, "/payload/symbol", insert(pattern, "const", json!("AAPL")));
        let steps = insert("/schemas/BarsRequest/properties/depth", "multipleOf", json!(5));
        check("only multiples", BREAKING, COMPATIBLE, "/payload/depth", steps);
    }

    #[test]
    fn point_37_what_the_server_sends_may_say_more_but_not_less() {
        let bar = "/schemas/Bar/properties";
        check("a removed field", BREAKING, COMPATIBLE, "bars.update/payload/volume", remove(bar, "volume"));
        let fewer = set("/schemas/Bar/required", json!(["time"]));
        check("a required field made optional", BREAKING, COMPATIBLE, "bars.update/payload/close", fewer);
        for (what, pointer, value) in [
            ("a nullable field", "/schemas/Bar/properties/volume/type", json!(["number", "null"])),
            ("a wider type", "/schemas/Bar/properties/time/type", json!("number")),
            ("a wider union", "/schemas/Bar/properties/volume/type", json!(["number", "string"])),
            ("a wider range", "/schemas/Bar/properties/close/maximum", json!(2000)),
            ("a lower minimum", "/schemas/Bar/properties/close/minimum", json!(-1)),
        ] {
            check(what, BREAKING, COMPATIBLE, "bars.update/payload/", set(pointer, value));
        }
        let values = set("/schemas/Bar/properties/session/enum", json!(["open", "closed", "halted"]));
        check("a new value of an enum", WARNING, COMPATIBLE, "bars.update/payload/session", values);
        check("a new branch", WARNING, COMPATIBLE, "bars.update/payload/source", |api| {
            let branch = json!({
                "type": "object",
                "required": ["kind"],
                "properties": { "kind": { "const": "simulator" }, "seed": { "type": "integer" } },
            });
            insert("/schemas", "Simulator", branch)(api);
            let branches = api["schemas"]["Bar"]["properties"]["source"]["oneOf"].as_array_mut().expect("branches");
            branches.push(json!({ "$ref": "#/components/schemas/Simulator" }));
        });
        let within = remove("/schemas/Venue/properties", "name");
        check("a field within a branch", BREAKING, COMPATIBLE, "bars.update/payload/source/name", within);
        check("a field of an error", BREAKING, COMPATIBLE, "error/payload/code", {
            remove("/schemas/Problem/properties", "code")
        });
    }

    #[test]
    fn point_37_a_schema_of_both_directions_is_judged_in_each() {
        // A request may leave out what it had to say; a reply may not.
        let fewer = set("/schemas/Order/required", json!([]));
        check("one field for both", BREAKING, BREAKING, "orders.placed/payload/symbol", fewer);
        let mut mutated = api();
        set("/schemas/Order/required", json!([]))(&mut mutated);
        let changes = diff(&contract(&api(), "2.4.0"), &contract(&mutated, "2.4.0"));
        let impact = |message: &str| {
            let mut changes = changes.iter().filter(|change| change.message.as_deref() == Some(message));
            changes.next().map(|change| change.impact)
        };
        assert_eq!((impact("orders.place"), impact("orders.placed")), (COMPATIBLE, BREAKING));
    }

    #[test]
    fn point_37_names_pairs_and_places_are_promises() {
        check("a removed operation", BREAKING, COMPATIBLE, "orders.place: ", |api| {
            remove("/operations", "orders.place")(api);
            remove("/frames", "orders.place")(api);
            remove("/frames", "orders.placed")(api);
        });
        check("another type on the wire", BREAKING, BREAKING, "bars.subscribe: ", |api| {
            set("/frames/bars.subscribe/properties/type/const", json!("bars.join"))(api);
        });
        check("another reply", BREAKING, BREAKING, "the reply is", |api| {
            set("/frames/orders.placed/properties/type/const", json!("orders.accepted"))(api);
        });
        check("no reply", BREAKING, COMPATIBLE, "orders.place: ", |api| {
            remove("/operations/orders.place", "reply")(api);
            remove("/frames", "orders.placed")(api);
        });
        check("a moved socket", BREAKING, BREAKING, "moved", set("/path", json!("/v2/ws")));
        let scheme = json!({ "type": "http", "scheme": "bearer" });
        check("authentication", BREAKING, COMPATIBLE, "authentication", insert("/security", "token", scheme));
        let id = remove("/frames/bars.subscribe/properties", "id");
        check("no correlation", BREAKING, COMPATIBLE, "bars.subscribe/id", id);
        check("an update gone", BREAKING, COMPATIBLE, "bars.update", |api| {
            remove("/events", "bars.update")(api);
            remove("/frames", "bars.update")(api);
        });
        check("errors gone", BREAKING, COMPATIBLE, "error", |api| {
            remove("/events", "error")(api);
            remove("/frames", "error")(api);
        });
    }

    #[test]
    fn point_37_topics_are_promises() {
        check("another topic", BREAKING, BREAKING, "the topic is", |api| {
            for operation in ["bars.subscribe", "bars.unsubscribe"] {
                api["operations"][operation]["x-topic"] = json!("candles:{symbol}");
            }
        });
        let topic = set("/events/bars.update/x-topic", json!("candles:{symbol}"));
        check("an update's other topic", BREAKING, BREAKING, "bars.update: its topic", topic);
        let updates = set("/operations/bars.subscribe/x-updates", json!(["bars.update", "bars.closed"]));
        check("other updates", BREAKING, BREAKING, "bars.subscribe: it brings", updates);
        check("no unsubscribe", BREAKING, COMPATIBLE, "bars.unsubscribe", |api| {
            remove("/operations", "bars.unsubscribe")(api);
            remove("/frames", "bars.unsubscribe")(api);
            remove("/frames", "bars.unsubscribe.response")(api);
        });
        check("a notice that nobody asked for", WARNING, BREAKING, "draining", |api| {
            insert("/events", "draining", json!({}))(api);
            insert("/frames", "draining", json!({ "properties": { "type": { "const": "draining" } } }))(api);
        });
    }

    #[test]
    fn point_37_words_are_no_promises_and_deprecation_is_a_note() {
        let old = insert("/frames/orders.place", "deprecated", json!(true));
        check("deprecation", COMPATIBLE, None, "deprecated", old);
        check("words", None, None, "", |api| {
            insert("/schemas/Bar", "description", json!("A bar."))(api);
            insert("/schemas/Bar/properties/close", "title", json!("Close"))(api);
            insert("/schemas/Bar/properties/close", "examples", json!([1.5]))(api);
            insert("/operations/bars.subscribe", "tags", json!([{ "name": "bars" }]))(api);
            insert("/operations/bars.subscribe", "summary", json!("Subscribes."))(api);
        });
        let changed_order = set("/schemas/Bar/required", json!(["close", "time"]));
        check("another order", None, None, "", changed_order);
    }

    #[test]
    fn point_37_a_schema_of_another_name_or_none_is_the_same_schema() {
        check("a renamed component", None, None, "", |api| {
            let text = api.to_string().replace("\"Bar\"", "\"Candle\"").replace("schemas/Bar\"", "schemas/Candle\"");
            *api = serde_json::from_str(&text).expect("JSON");
        });
        check("a component written out", None, None, "", |api| {
            let resolution = api["schemas"]["Resolution"].take();
            remove("/schemas", "Resolution")(api);
            set("/schemas/BarsRequest/properties/resolution", resolution)(api);
        });
        check("a reference with words beside it", None, None, "", |api| {
            let reference =
                json!({ "description": "Which.", "allOf": [{ "$ref": "#/components/schemas/Resolution" }] });
            set("/schemas/BarsRequest/properties/resolution", reference)(api);
        });
        check("an enum's values spread", None, None, "", |api| {
            let spread = json!({ "oneOf": [{ "type": "string", "enum": ["1", "D"] }, { "const": "5" }] });
            set("/schemas/Resolution", spread)(api);
        });
        check("null written as a branch", None, None, "", |api| {
            let depth = json!({
                "anyOf": [{ "type": "integer", "minimum": 1, "maximum": 100 }, { "type": "null" }],
            });
            set("/schemas/BarsRequest/properties/depth", depth)(api);
        });
        check("a recursive schema, unrolled once", None, None, "", |api| {
            let order = api["schemas"]["Order"].clone();
            set("/schemas/Order/properties/then/anyOf/0", order)(api);
        });
    }

    #[test]
    fn point_37_a_document_equals_itself_in_any_version() {
        for old in VERSIONS {
            for new in VERSIONS {
                let changes = diff(&contract(&api(), old), &contract(&api(), new));
                assert_eq!(changes, [], "{old} to {new}");
            }
        }
    }

    #[test]
    fn any_schema_that_loses_a_part_is_compared_to_the_end() {
        let mut places = vec![String::new()];
        let mut at = 0;
        while let Some(place) = places.get(at).cloned() {
            let pointer = format!("/schemas{place}");
            if let Some(members) = api().pointer(&pointer).and_then(Value::as_object) {
                places.extend(members.keys().map(|name| format!("{place}/{}", escape(name))));
            }
            at += 1;
        }
        let old = contract(&api(), "2.4.0");
        for place in places {
            for value in [json!(false), json!({ "$ref": "#/components/schemas/Order" })] {
                let mut mutated = api();
                *mutated.pointer_mut(&format!("/schemas{place}")).expect("it is there") = value;
                let new = contract(&mutated, "2.4.0");
                assert_eq!(diff(&old, &new).is_empty(), diff(&new, &old).is_empty(), "{place}");
            }
        }
    }

    /// A branch is found again by its constant, by its name, or by its shape.
    #[test]
    fn branches_are_told_apart_whatever_their_order_and_names() {
        let renamed = |api: &mut Value| {
            let replay = remove_value(api, "/schemas", "Replay");
            insert("/schemas", "Recording", replay)(api);
            let branches = json!([
                { "$ref": "#/components/schemas/Recording" },
                { "$ref": "#/components/schemas/Venue" },
            ]);
            set("/schemas/Bar/properties/source/oneOf", branches)(api);
        };
        check("another order and another name", None, None, "", renamed);
        check("a branch without a constant", WARNING, COMPATIBLE, "bars.update/payload/source", |api| {
            let free = json!({ "type": "object", "properties": { "file": { "type": "string" } } });
            api["schemas"]["Bar"]["properties"]["source"]["oneOf"].as_array_mut().expect("branches").push(free);
        });
    }

    fn remove_value(api: &mut Value, pointer: &str, key: &str) -> Value {
        let object = api.pointer_mut(pointer).and_then(Value::as_object_mut).expect("an object");
        object.remove(key).expect("it is there")
    }

    #[test]
    fn the_format_of_an_integer_is_its_range() {
        let narrow = |from: &str, to: &str| {
            let schema = |format: &str| {
                let mut api = api();
                api["schemas"]["Bar"]["properties"]["time"]["format"] = format.into();
                contract(&api, "2.4.0")
            };
            worst(&diff(&schema(from), &schema(to)))
        };
        assert_eq!(narrow("uint64", "uint32"), COMPATIBLE);
        assert_eq!(narrow("uint32", "uint64"), BREAKING);
    }
}
