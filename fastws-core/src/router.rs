//! Groups of operations, and the way from a name to its handler.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use serde_json::Value;

use crate::engine::watchdog;
use crate::error::{Detail, Result};
use crate::extract::Message;
use crate::handler::{BoxFuture, Callable, Outcome};
use crate::operation::{Declaration, Declared};
use crate::schema::Schemas;

/// This is a group of operations that share a prefix and tags, as FastWS's routers do.
///
/// ```
/// use fastws_core::OperationRouter;
///
/// let market = OperationRouter::new().prefix("market.").tags(["market data"]);
/// let router = OperationRouter::new().prefix("v1.").include(market);
/// ```
///
/// Prefixes are put together as they are written, outer ones first; so are tags. A topic's text has no prefix, only its
/// operations have.
#[derive(Clone, Debug, Default)]
pub struct OperationRouter {
    prefix: String,
    tags: Vec<String>,
    declarations: Vec<Prefixed>,
}

/// This is a declaration with what its routers add.
#[derive(Clone, Debug)]
pub(crate) struct Prefixed {
    pub(crate) prefix: String,
    pub(crate) tags: Vec<String>,
    pub(crate) declaration: Declaration,
}

impl OperationRouter {
    /// Makes a router without prefix or tags.
    pub fn new() -> Self {
        Self::default()
    }

    /// What is put before every name, usually ending in a dot.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Groups that all its operations belong to.
    #[must_use]
    pub fn tags<T: Into<String>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.tags = tags.into_iter().map(Into::into).collect();
        self
    }

    /// Adds an operation: the function's own name is its type.
    #[must_use]
    pub fn add<T: Declared>(mut self) -> Self {
        self.declarations.push(Prefixed::from(T::declaration()));
        self
    }

    /// Adds all operations of another router, below this one's prefix and tags.
    #[must_use]
    pub fn include(mut self, router: Self) -> Self {
        self.declarations.extend(router.flatten());
        self
    }

    pub(crate) fn flatten(self) -> impl Iterator<Item = Prefixed> {
        let Self { prefix, tags, declarations } = self;
        declarations.into_iter().map(move |inner| Prefixed {
            prefix: format!("{prefix}{}", inner.prefix),
            tags: tags.iter().chain(&inner.tags).cloned().collect(),
            declaration: inner.declaration,
        })
    }
}

impl From<Declaration> for Prefixed {
    fn from(declaration: Declaration) -> Self {
        Self { prefix: String::new(), tags: Vec::new(), declaration }
    }
}

impl Prefixed {
    /// Whether it uses this name for itself or its reply.
    pub(crate) fn takes(&self, name: &str) -> bool {
        let about = self.declaration.about;
        [Some(about.name), about.reply].into_iter().flatten().any(|own| format!("{}{own}", self.prefix) == name)
    }

    /// The operation's name, or the topic's template, below its prefix.
    pub(crate) fn name(&self) -> String {
        format!("{}{}", self.prefix, self.declaration.about.name)
    }
}

/// This is one operation that clients can send, ready to be called.
pub(crate) struct Route {
    pub(crate) name: String,
    pub(crate) reply: Option<String>,
    pub(crate) is_concurrent: bool,
    /// The name under which the watchdog reports the handler.
    pub(crate) watched: watchdog::Name,
    pub(crate) handler: Arc<dyn Callable>,
    pub(crate) check: Option<Check>,
    /// The payload's schema, to explain what is wrong with one.
    pub(crate) schema: Option<(Value, Arc<OnceLock<Schemas>>)>,
    pub(crate) validator: OnceLock<Option<jsonschema::Validator>>,
}

/// Decodes and checks a payload, and lists what is wrong with it.
pub(crate) type Check = fn(Option<&str>) -> Result<(), Vec<Detail>>;

impl Route {
    /// Whether the handler would take this payload.
    pub(crate) fn check(&self, payload: &Value) -> Result<(), Vec<Detail>> {
        self.check.map_or(Ok(()), |check| check(Some(&payload.to_string())))
    }

    /// Takes the handler's arguments out of the message, and makes its future.
    pub(crate) fn call(&self, message: &Message<'_>) -> Result<BoxFuture<Outcome>> {
        self.handler.call(message)
    }

    /// Compiled when the first payload is wrong.
    pub(crate) fn validator(&self) -> Option<&jsonschema::Validator> {
        let compile = || {
            let (schema, schemas) = self.schema.as_ref()?;
            schemas.get()?.validator(schema).ok()
        };
        self.validator.get_or_init(compile).as_ref()
    }
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Route({})", self.name)
    }
}

/// These are all operations that clients can send.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    all: Vec<Route>,
    by_name: HashMap<String, RouteId, foldhash::fast::FixedState>,
}

/// This is one of the routes of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RouteId(usize);

impl Routes {
    pub(crate) fn add(&mut self, route: Route) {
        self.by_name.insert(route.name.clone(), RouteId(self.all.len()));
        self.all.push(route);
    }

    pub(crate) fn find(&self, name: &str) -> Option<RouteId> {
        self.by_name.get(name).copied()
    }

    pub(crate) fn all_mut(&mut self) -> &mut [Route] {
        &mut self.all
    }

    /// Up to three names that `name` may have been meant to be.
    pub(crate) fn nearest(&self, name: &str) -> Vec<&str> {
        let longest = name.len().max(4) / 2;
        let mut near: Vec<_> = self
            .by_name
            .keys()
            .map(|known| (distance(name, known), known.as_str()))
            .filter(|(distance, _)| *distance <= longest)
            .collect();
        near.sort_unstable();
        near.into_iter().take(3).map(|(_, known)| known).collect()
    }
}

impl std::ops::Index<RouteId> for Routes {
    type Output = Route;

    fn index(&self, id: RouteId) -> &Route {
        &self.all[id.0]
    }
}

/// How many letters have to change to make one word of the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(MAX_COMPARED).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(MAX_COMPARED).enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

const MAX_COMPARED: usize = 128;
