//! What generated code calls. Nothing here is for people.

use std::any::TypeId;
use std::sync::Arc;

use schemars::JsonSchema;

pub use garde;
pub use inventory;
pub use schemars;
pub use serde;
pub use serde_json;

pub use crate::check::{CheckNested, CheckNothing, MeasureItems, MeasureNothing, MeasureText, Measured, Nested, note};
pub use crate::extract::Inbound;
pub use crate::handler::{
    Failure, Fallible, Handler, Outbound, Plain, notify0, notify1, notify2, notify3, notify4, notify5, notify6,
    notify7, notify8, send0, send1, send2, send3, send4, send5, send6, send7, send8,
};
pub use crate::operation::{About, Declaration, Declared, Published, Registration, TopicDeclared};
pub use crate::topic_function::{
    Fields, NoPayload, TopicFunction, source1, source2, source3, source4, source5, source6, source7, source8,
    topic_field,
};

use crate::extract::{FromMessage, FromTopic};
use crate::handler::{IntoNothing, IntoReply};
use crate::operation::{Kind, TypeSchema};

/// Declares a `#[send]` function.
pub fn send<T: Declared>(about: About, handler: Handler) -> Declaration {
    let Handler { call, needs, reply } = handler;
    Declaration { twin: TypeId::of::<T>(), about, kind: Kind::Send { handler: call, needs, reply } }
}

/// Declares a `#[recv]` function.
pub fn recv<T: Published>(about: About) -> Declaration {
    Declaration { twin: TypeId::of::<T>(), about, kind: Kind::Recv { payload: TypeSchema::of::<T::Wire>() } }
}

/// Declares a `#[topic]` function.
pub fn topic<T, P, R>(about: About, function: TopicFunction<T, R, T::Wire>) -> Declaration
where
    T: TopicDeclared<Params = P> + Published<Wire: 'static>,
    P: JsonSchema,
    R: Inbound + Send + Sync + 'static,
{
    Declaration { twin: TypeId::of::<T>(), about, kind: Kind::Topic(Arc::new(function)) }
}

/// This is a type that can be published. `<Alert as Sent>::Wire` is `Alert` itself, or one error at its name.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a payload that the server sends",
    label = "not `Serialize + JsonSchema`",
    note = "put `#[payload]` on `{Self}`"
)]
pub trait Sent {
    /// The type itself.
    type Wire: Outbound;
}

#[diagnostic::do_not_recommend]
impl<T: Outbound> Sent for T {
    type Wire = T;
}

/// Compiles where `T` can be an argument of a `#[send]` function. [`send1`] and its like ask for the same; what the
/// compiler has to say about this one is shorter, and it says it once.
pub fn argument<T: FromMessage>() {}

/// Compiles where `T` can be an argument of a `#[topic]` function.
pub fn topic_argument<T: FromTopic>() {}

/// Compiles where `T` can be the subscribe request of a topic.
pub fn request<T: Inbound>() {}

/// Compiles where a function with a reply can return `T`.
pub fn output<T: IntoReply<Kind>, Kind>() {}

/// Compiles where a function without a reply can return `T`.
pub fn no_output<T: IntoNothing>() {}
