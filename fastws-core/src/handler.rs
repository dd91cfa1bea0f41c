//! From an async function to something that can be called with a message.

use std::any::{TypeId, type_name};
use std::future::Future;
use std::pin::Pin;

use schemars::JsonSchema;
use serde::Serialize;

use crate::error::{Detail, Error, Result};
use crate::extract::{FromMessage, Inbound, Message, Wrong, check};
use crate::operation::TypeSchema;

/// This is a future that is owned and can move between threads.
pub(crate) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// This is what a handler makes: the reply's payload as JSON, nothing, or an error.
pub(crate) type Outcome = Result<Option<String>>;

/// This is a handler of any signature.
pub(crate) trait Callable: Send + Sync {
    /// Takes the arguments out of the message, and makes the future of the handler.
    fn call(&self, message: &Message<'_>) -> Result<BoxFuture<Outcome>>;
}

impl<F: Fn(&Message<'_>) -> Result<BoxFuture<Outcome>> + Send + Sync> Callable for F {
    fn call(&self, message: &Message<'_>) -> Result<BoxFuture<Outcome>> {
        self(message)
    }
}

/// This is what the arguments of a handler say about themselves.
#[derive(Clone, Debug, Default)]
pub struct Needs {
    pub(crate) payload: Option<NeededPayload>,
    pub(crate) states: Vec<(TypeId, &'static str)>,
}

/// This is the payload that a handler decodes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NeededPayload {
    pub(crate) schema: TypeSchema,
    /// Decodes and checks, for examples.
    pub(crate) check: fn(Option<&str>) -> Result<(), Vec<Detail>>,
}

impl Needs {
    /// A payload of type `T` is decoded.
    pub fn payload<T: Inbound>(&mut self) {
        self.payload = Some(NeededPayload {
            schema: TypeSchema::of::<T>(),
            check: |payload| match check::<T>(payload) {
                Ok(_) => Ok(()),
                Err(Wrong::Shape(detail)) => Err(vec![detail]),
                Err(Wrong::Constraints(details)) => Err(details),
            },
        });
    }

    /// A state of type `T` has to be given to the builder.
    pub fn state<T: 'static>(&mut self) {
        self.states.push((TypeId::of::<T>(), type_name::<T>()));
    }
}

/// This is a type that the server writes: it can be written and documented. `#[payload]` makes one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a payload that the server sends",
    label = "not `Serialize + JsonSchema`",
    note = "put `#[payload]` on `{Self}`"
)]
pub trait Outbound: Serialize + JsonSchema {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + JsonSchema> Outbound for T {}

/// This is an error that a handler may return.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the error of an operation",
    label = "does not convert into `fastws::Error`",
    note = "write `impl From<{Self}> for fastws::Error`: its code and message are what the client reads"
)]
pub trait Failure: Into<Error> {}

#[diagnostic::do_not_recommend]
impl<E: Into<Error>> Failure for E {}

/// This is what a `#[send]` function may return: a reply, or `Result` of one.
///
/// `Kind` tells the two apart, and is found by the compiler.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a reply",
    label = "not `Serialize + JsonSchema`, nor a `Result` of such a type whose error converts into `fastws::Error`",
    note = "put `#[payload]` on the type"
)]
pub trait IntoReply<Kind> {
    /// The reply's payload as JSON.
    ///
    /// # Errors
    /// What the handler returned, or that the value cannot be JSON.
    fn into_reply(self) -> Result<String>;

    /// The reply's schema.
    fn schema() -> TypeSchema;
}

/// This marks a handler that returns its reply.
#[derive(Debug)]
pub struct Plain;

/// This marks a handler that returns a `Result`.
#[derive(Debug)]
pub struct Fallible;

impl<T: Outbound> IntoReply<Plain> for T {
    fn into_reply(self) -> Result<String> {
        serde_json::to_string(&self).map_err(Error::from)
    }

    fn schema() -> TypeSchema {
        TypeSchema::of::<T>()
    }
}

impl<T: Outbound, E: Failure> IntoReply<Fallible> for Result<T, E> {
    fn into_reply(self) -> Result<String> {
        self.map_err(Into::into)?.into_reply()
    }

    fn schema() -> TypeSchema {
        TypeSchema::of::<T>()
    }
}

/// This is what a function without a reply may return: `()`, or `Result` of it.
#[diagnostic::on_unimplemented(
    message = "an operation without `reply` returns nothing, not `{Self}`",
    label = "this value would be lost",
    note = "add `reply = \"…\"` to the attribute, or return `()`"
)]
pub trait IntoNothing {
    /// Nothing, or the error.
    ///
    /// # Errors
    /// What the handler returned.
    fn into_nothing(self) -> Result<()>;
}

impl IntoNothing for () {
    fn into_nothing(self) -> Result<()> {
        Ok(())
    }
}

impl<E: Failure> IntoNothing for Result<(), E> {
    fn into_nothing(self) -> Result<()> {
        self.map_err(Into::into)
    }
}

/// Makes a [`Declaration`](crate::operation::Declaration) of a function with this many arguments. Generated code calls
/// the one that fits, naming the types of the arguments and of what is returned, so that the compiler points at the one
/// that is wrong.
macro_rules! arities {
    ($($send:ident $notify:ident ($($argument:ident),*);)+) => {$(
        /// Declares a `#[send]` function that replies.
        pub fn $send<$($argument,)* Output, Kind, Function, Done>(function: Function) -> Handler
        where
            $($argument: FromMessage + Send + 'static,)*
            Output: IntoReply<Kind>,
            Function: Fn($($argument),*) -> Done + Copy + Send + Sync + 'static,
            Done: Future<Output = Output> + Send + 'static,
        {
            #[allow(unused_variables, reason = "a handler without arguments takes nothing from its message")]
            let call = move |message: &Message<'_>| -> Result<BoxFuture<Outcome>> {
                $(#[allow(non_snake_case, reason = "the types name the variables")] let $argument = $argument::from_message(message)?;)*
                Ok(Box::pin(async move { function($($argument),*).await.into_reply().map(Some) }))
            };
            #[allow(unused_mut)]
            let mut needs = Needs::default();
            $($argument::describe(&mut needs);)*
            Handler { call: std::sync::Arc::new(call), needs, reply: Some(Output::schema()) }
        }

        /// Declares a `#[send]` function that does not reply.
        pub fn $notify<$($argument,)* Output, Function, Done>(function: Function) -> Handler
        where
            $($argument: FromMessage + Send + 'static,)*
            Output: IntoNothing,
            Function: Fn($($argument),*) -> Done + Copy + Send + Sync + 'static,
            Done: Future<Output = Output> + Send + 'static,
        {
            #[allow(unused_variables, reason = "a handler without arguments takes nothing from its message")]
            let call = move |message: &Message<'_>| -> Result<BoxFuture<Outcome>> {
                $(#[allow(non_snake_case, reason = "the types name the variables")] let $argument = $argument::from_message(message)?;)*
                Ok(Box::pin(async move { function($($argument),*).await.into_nothing().map(|()| None) }))
            };
            #[allow(unused_mut)]
            let mut needs = Needs::default();
            $($argument::describe(&mut needs);)*
            Handler { call: std::sync::Arc::new(call), needs, reply: None }
        }
    )+};
}

/// This is a `#[send]` function whose types are behind it.
pub struct Handler {
    pub(crate) call: std::sync::Arc<dyn Callable>,
    pub(crate) needs: Needs,
    pub(crate) reply: Option<TypeSchema>,
}

impl std::fmt::Debug for Handler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handler").field("needs", &self.needs).finish_non_exhaustive()
    }
}

arities! {
    send0 notify0 ();
    send1 notify1 (A);
    send2 notify2 (A, B);
    send3 notify3 (A, B, C);
    send4 notify4 (A, B, C, D);
    send5 notify5 (A, B, C, D, E);
    send6 notify6 (A, B, C, D, E, F);
    send7 notify7 (A, B, C, D, E, F, G);
    send8 notify8 (A, B, C, D, E, F, G, H);
}
