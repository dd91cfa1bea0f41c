//! What generated code calls. Nothing here is for people.

use std::any::TypeId;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

pub use garde;
pub use inventory;
pub use schemars;
pub use serde;
pub use serde_json;

pub use crate::check::{CheckNested, CheckNothing, Measured, MeasureItems, MeasureText, Nested, note};
pub use crate::handler::{
    Fallible, Handler, Plain, notify0, notify1, notify2, notify3, notify4, notify5, notify6, notify7, notify8, send0,
    send1, send2, send3, send4, send5, send6, send7, send8,
};
pub use crate::operation::{About, Declaration, Declared, Published, Registration, TopicDeclared};
pub use crate::source::{
    Fields, NoPayload, TopicFunction, source1, source2, source3, source4, source5, source6, source7, source8, topic_field,
};

use crate::operation::{Kind, TypeSchema};

/// Declares a `#[send]` function.
pub fn send<T: Declared>(about: About, handler: Handler) -> Declaration {
    let Handler { call, needs, reply } = handler;
    Declaration { twin: TypeId::of::<T>(), about, kind: Kind::Send { handler: call, needs, reply } }
}

/// Declares a `#[recv]` function.
pub fn recv<T: Published<Wire: JsonSchema>>(about: About) -> Declaration {
    Declaration { twin: TypeId::of::<T>(), about, kind: Kind::Recv { payload: TypeSchema::of::<T::Wire>() } }
}

/// Declares a `#[topic]` function.
pub fn topic<T, R, U>(about: About, function: TopicFunction<T, R, U>) -> Declaration
where
    T: TopicDeclared<Params: JsonSchema>,
    R: DeserializeOwned + JsonSchema + garde::Validate<Context = ()> + Send + Sync + 'static,
    U: JsonSchema + 'static,
{
    Declaration { twin: TypeId::of::<T>(), about, kind: Kind::Topic(Arc::new(function)) }
}
