//! Typed clients, written from a contract: one file for each language, which needs no generator to be read.

mod python;
mod typescript;

use std::collections::BTreeMap;

pub use python::python;
pub use typescript::{react, typescript};

use crate::contract::{Contract, Request, TopicUseRole};

/// This is a namespace of a client: `api.bars` holds `subscribe`, `unsubscribe`, and the `stream` of what they bring.
#[derive(Debug, Default)]
pub(crate) struct Namespace<'a> {
    /// The requests by the last segment of their names.
    pub(crate) requests: BTreeMap<&'a str, &'a Request>,
    /// The namespaces within.
    pub(crate) inner: BTreeMap<&'a str, Namespace<'a>>,
}

impl<'a> Namespace<'a> {
    /// All requests of a contract, by the segments of their names.
    pub(crate) fn of(contract: &'a Contract) -> Self {
        let mut root = Self::default();
        for request in &contract.requests {
            let mut segments: Vec<_> = request.message.name.split('.').filter(|segment| !segment.is_empty()).collect();
            let Some(last) = segments.pop() else { continue };
            let home = segments.into_iter().fold(&mut root, |space, segment| space.inner.entry(segment).or_default());
            home.requests.insert(last, request);
        }
        root
    }

    /// The requests that begin subscriptions here, with the names of what they bring.
    pub(crate) fn subscribes(&self) -> impl Iterator<Item = (&'a Request, &'a [String])> {
        self.requests.values().filter_map(|request| match &request.topic.as_ref()?.role {
            TopicUseRole::Subscribe { updates, .. } => Some((*request, updates.as_slice())),
            TopicUseRole::Unsubscribe => None,
        })
    }
}

/// The words of a name, however it is written: `multi_subscribe`, `cancelAll` and `cancel-all` have two.
pub(crate) fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = vec![String::new()];
    let mut was_lower = false;
    for letter in name.chars() {
        let begins = letter.is_ascii_uppercase() && was_lower;
        if !letter.is_ascii_alphanumeric() || begins {
            words.push(String::new());
        }
        if letter.is_ascii_alphanumeric() {
            words.last_mut().expect("there is always one").push(letter.to_ascii_lowercase());
        }
        was_lower = letter.is_ascii_lowercase() || letter.is_ascii_digit();
    }
    words.retain(|word| !word.is_empty());
    words
}
