//! Typed clients, written from a contract: one file for each language, which needs no generator to be read.

mod python;
mod typescript;

use std::collections::BTreeMap;

use serde_json::Value;

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

/// This is what a field of a topic's template is in a payload; in the topic's name it is text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FieldKind {
    Text,
    Integer,
    Number,
}

/// The request that ends a subscription, and, where it takes another payload than that which began it, the template's
/// fields, which make one up for each topic. `None` where nothing ends it.
pub(crate) fn ending<'a>(contract: &'a Contract, request: &'a Request) -> Option<(&'a Request, Option<Fields<'a>>)> {
    let topic = request.topic.as_ref()?;
    let TopicUseRole::Subscribe { unsubscribe, unsubscribe_each, .. } = &topic.role else { return None };
    if let Some(name) = unsubscribe {
        return Some((contract.request(name)?, None));
    }
    let ending = contract.request(unsubscribe_each.as_ref()?)?;
    let payload = resolved(contract, ending.message.payload.as_ref()?);
    let properties = payload.get("properties")?.as_object()?;
    let names = topic.template.split('{').skip(1).filter_map(|part| part.split_once('}')).map(|(name, _)| name);
    let kinds = names.map(|name| Some((name, kind(contract, properties.get(name)?)?)));
    Some((ending, Some(kinds.collect::<Option<_>>()?)))
}

/// The fields of a template in its order.
pub(crate) type Fields<'a> = Vec<(&'a str, FieldKind)>;

fn kind(contract: &Contract, schema: &Value) -> Option<FieldKind> {
    let schema = resolved(contract, schema);
    let kinds = match &schema["type"] {
        Value::Array(kinds) => kinds.as_slice(),
        kind => std::slice::from_ref(kind),
    };
    let own = kinds.iter().find_map(|kind| match kind.as_str()? {
        "string" => Some(FieldKind::Text),
        "integer" => Some(FieldKind::Integer),
        "number" => Some(FieldKind::Number),
        _ => None,
    });
    let choices = ["anyOf", "oneOf", "allOf"].into_iter().filter_map(|key| schema.get(key)?.as_array()).flatten();
    own.or_else(|| choices.into_iter().find_map(|choice| kind(contract, choice)))
}

fn resolved<'a>(contract: &'a Contract, schema: &'a Value) -> &'a Value {
    let name = schema.get("$ref").and_then(Value::as_str).and_then(|reference| reference.rsplit('/').next());
    name.and_then(|name| contract.schemas.get(name)).unwrap_or(schema)
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
