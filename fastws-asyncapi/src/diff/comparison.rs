//! Two schemas of one message, compared: what the values that they take mean for clients.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::branch::{Bound, Flat, is_word, shown};
use super::{Change, Direction, Impact};
use crate::pointer::escape;

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
pub(super) struct Comparison<'a> {
    pub(super) old: &'a Map<String, Value>,
    pub(super) new: &'a Map<String, Value>,
    pub(super) direction: Direction,
    pub(super) message: &'a str,
    pub(super) pairs_of_ids: bool,
    /// What is being compared: recursive schemas would not end.
    pub(super) open: BTreeSet<(String, String)>,
    pub(super) changes: Vec<Change>,
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

    pub(super) fn compare(&mut self, was: &Value, is: &Value, path: &str) {
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

/// One schema that stands for all of these.
fn all_of(schemas: &[Value]) -> Value {
    match schemas {
        [only] => only.clone(),
        several => Value::Object(Map::from_iter([("allOf".to_owned(), several.to_vec().into())])),
    }
}

fn is_numeric_format(format: &str) -> bool {
    format.starts_with("int") || format.starts_with("uint") || format == "float" || format == "double"
}

/// A value without what is for people.
pub(super) fn without_words(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let kept = object.iter().filter(|(key, _)| !is_word(key));
            kept.map(|(key, value)| (key.clone(), without_words(value))).collect()
        }
        Value::Array(items) => items.iter().map(without_words).collect(),
        other => other.clone(),
    }
}
