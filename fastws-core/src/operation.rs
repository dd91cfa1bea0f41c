//! What was declared: an operation with its name, direction, payloads and documentation.

use std::any::TypeId;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;

use crate::handler::{Callable, Needs, Outbound};
use crate::topic_function::DeclaredTopic;

/// This is which way a message goes, named from the client's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// Client to server: a request.
    Send,
    /// Server to client: an update or a notice.
    Recv,
}

/// This is one operation of an assembled service: all that a document, a docs page or a client needs to know.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Operation {
    /// The `type` on the wire.
    pub name: String,
    /// Which way it goes.
    pub direction: Direction,
    /// A heading for a person.
    pub title: String,
    /// One sentence, plain text.
    pub summary: String,
    /// More, as Markdown.
    pub description: Option<String>,
    /// Groups, outer routers' first.
    pub tags: Vec<String>,
    /// Whether clients should move on to something else.
    pub deprecated: bool,
    /// The JSON Schema of the payload, usually a `$ref` into [`Schemas`](crate::Schemas); `None` when there is none.
    pub payload: Option<Value>,
    /// A payload that the author gave.
    pub example: Option<Value>,
    /// The one answer, if there is one.
    pub reply: Option<Reply>,
    /// The topic that it subscribes to, leaves, or brings updates of.
    pub topic: Option<TopicRole>,
    /// Where in the source it was declared, as `file:line`.
    pub place: String,
}

/// This is the reply of an operation.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Reply {
    /// The `type` on the wire.
    pub name: String,
    /// The JSON Schema of the payload.
    pub payload: Value,
    /// A payload that the author gave.
    pub example: Option<Value>,
}

/// This is what an operation has to do with a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopicRole {
    /// The template, such as `bars:{symbol}:{resolution}`; `*` where all topics of a connection are left.
    pub template: String,
    /// The operations that bring the updates.
    pub updates: Vec<String>,
    /// Whether this operation subscribes, unsubscribes or is the update.
    pub part: TopicPart,
}

/// This is one of the three kinds of operations that a topic has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicPart {
    /// `….subscribe`
    Subscribe,
    /// `….unsubscribe`
    Unsubscribe,
    /// `….update`
    Update,
}

/// This is a type's JSON Schema, made on demand.
#[derive(Clone, Copy, Debug)]
pub struct TypeSchema {
    pub(crate) schema: fn(&mut SchemaGenerator) -> Schema,
}

impl TypeSchema {
    /// The schema of `T`.
    pub fn of<T: JsonSchema>() -> Self {
        Self { schema: |generator| generator.subschema_for::<T>() }
    }
}

/// This is what an attribute says about its function. Generated code fills it in.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// The name, or a topic's template, relative to the router that includes it.
    pub name: &'static str,
    /// The reply's name.
    pub reply: Option<&'static str>,
    /// The service that it belongs to; `None` for the unnamed one.
    pub service: Option<&'static str>,
    /// Groups.
    pub tags: &'static [&'static str],
    /// One sentence.
    pub summary: Option<&'static str>,
    /// More, as Markdown.
    pub description: Option<&'static str>,
    /// Whether the function is `#[deprecated]`.
    pub deprecated: bool,
    /// Whether requests may overtake others of the same connection.
    pub concurrent: bool,
    /// The topic that its handler subscribes to.
    pub subscribes: Option<&'static str>,
    /// The operations that bring what it subscribes to, relative to the router.
    pub updates: &'static [&'static str],
    /// The topic that its handler leaves.
    pub unsubscribes: Option<&'static str>,
    /// A payload to show.
    pub example: Option<fn() -> Value>,
    /// A reply's payload to show.
    pub reply_example: Option<fn() -> Value>,
    /// The function's name.
    pub function: &'static str,
    /// The function's source file.
    pub file: &'static str,
    /// The attribute's line.
    pub line: u32,
}

impl About {
    /// Nothing but a name: what the generated code starts from.
    pub const fn new(name: &'static str, function: &'static str, file: &'static str, line: u32) -> Self {
        Self {
            name,
            reply: None,
            service: None,
            tags: &[],
            summary: None,
            description: None,
            deprecated: false,
            concurrent: false,
            subscribes: None,
            updates: &[],
            unsubscribes: None,
            example: None,
            reply_example: None,
            function,
            file,
            line,
        }
    }

    /// `file:line`, for messages.
    pub(crate) fn place(&self) -> String {
        format!("{}:{}", self.file, self.line)
    }

    /// The function's name as a heading: `multi_subscribe` becomes `Multi subscribe`.
    pub(crate) fn title(&self) -> String {
        let words = self.function.trim_start_matches("r#").replace('_', " ");
        let mut letters = words.chars();
        letters.next().map_or(words.clone(), |first| first.to_uppercase().collect::<String>() + letters.as_str())
    }
}

/// This is a declared function, ready to be put into a service.
#[derive(Clone)]
pub struct Declaration {
    pub(crate) twin: TypeId,
    pub(crate) about: About,
    pub(crate) kind: Kind,
}

#[derive(Clone)]
pub(crate) enum Kind {
    Send { handler: Arc<dyn Callable>, needs: Needs, reply: Option<TypeSchema> },
    Recv { payload: TypeSchema },
    Topic(Arc<dyn DeclaredTopic>),
}

/// This is the hidden twin type of a function under `#[send]`, `#[recv]` or `#[topic]`: it names the operation in code.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an operation",
    label = "no `#[send]`, `#[recv]` or `#[topic]` function of this name",
    note = "name the function itself, for example `add::<bars::subscribe>()`"
)]
pub trait Declared: 'static {
    /// What was declared.
    fn declaration() -> Declaration;
}

/// This is the twin of a `#[recv]` function, or of a `#[topic]`'s updates: something that can be published.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be published",
    label = "not a `#[recv]` or `#[topic]` function"
)]
pub trait Published: Declared {
    /// The domain's value.
    type Value;
    /// What goes on the wire.
    type Wire: Outbound;
    /// How the wire sees the value: the function itself.
    fn view(value: Self::Value) -> Self::Wire;
}

/// This is the twin of a `#[topic]` function.
#[diagnostic::on_unimplemented(message = "`{Self}` is not a topic", label = "not a `#[topic]` function")]
pub trait TopicDeclared: Declared {
    /// The fields of the template.
    type Params;
    /// The template's fields of one topic, as JSON.
    fn fields(params: &Self::Params) -> Vec<(&'static str, Value)>;
}

/// This is how a linked operation makes itself known.
#[derive(Debug)]
pub struct Registration(pub fn() -> Declaration);

inventory::collect!(Registration);

/// Every operation that is linked into this program, in the order of their names (`inventory`'s own order is the
/// linker's).
pub(crate) fn linked() -> Vec<Declaration> {
    let mut all: Vec<_> = inventory::iter::<Registration>.into_iter().map(|Registration(declare)| declare()).collect();
    all.sort_by_key(|declaration| (declaration.about.name, declaration.about.file, declaration.about.line));
    all
}

impl std::fmt::Debug for Declaration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Declaration").field("about", &self.about).finish_non_exhaustive()
    }
}
