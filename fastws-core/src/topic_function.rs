//! A `#[topic]` function: its request, the fields of its name, and its source, with the types behind it.

use std::any::TypeId;
use std::marker::PhantomData;
use std::sync::Arc;

use garde::Validate;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::Result;
use crate::extract::{FromTopic, Message};
use crate::handler::{BoxFuture, NeededPayload, Needs};
use crate::operation::{TopicDeclared, TypeSchema};
use crate::source::Start;
use crate::update::Shape;

/// This is a subscribe request that may name several topics. Given to `#[topic(…, request = …)]`; without it the
/// request is the topic's fields themselves.
pub trait SubscribeRequest<P> {
    /// The topics that are wanted. All of them are subscribed, or none.
    ///
    /// # Errors
    /// What the client should be told, for example that it named none.
    fn wanted(&self) -> Result<Vec<Wanted<P>>>;
}

/// This is one of the topics that a request names.
#[derive(Clone, Debug)]
pub struct Wanted<P> {
    /// Where in the payload it is named, as a JSON Pointer such as `/symbols/0`.
    pub path: String,
    /// Its fields.
    pub params: P,
}

impl<P> Wanted<P> {
    /// One topic, named at `path`.
    pub fn at(path: impl Into<String>, params: P) -> Self {
        Self { path: path.into(), params }
    }
}

/// This is a `#[topic]` function whose types are behind it.
pub(crate) trait DeclaredTopic: Send + Sync {
    /// The type of the subscribe request, of the fields, and of the updates.
    fn types(&self) -> TopicTypes;
    /// What the source needs.
    fn needs(&self) -> &Needs;
    /// The topics that a request names, with what it asks for beyond them.
    fn read(&self, message: &Message<'_>) -> Result<Request>;
    /// Starts the source.
    fn start(&self, start: Start) -> BoxFuture<Result<()>>;
}

/// These are the types of a topic.
#[derive(Clone, Copy)]
pub(crate) struct TopicTypes {
    /// The subscribe request; `None` when the topic has no fields.
    pub(crate) request: Option<NeededPayload>,
    pub(crate) params: TypeSchema,
    pub(crate) update: TypeSchema,
    /// Whether a request may name several topics.
    pub(crate) takes_several: bool,
}

/// The fields of one topic's name, as JSON.
pub type Fields = Vec<(&'static str, Value)>;

/// This is a decoded subscribe request.
pub(crate) struct Request {
    pub(crate) wanted: Vec<Wanted<Fields>>,
    /// Whether it is of a type that may name several topics.
    pub(crate) takes_several: bool,
    /// Makes the subscriber's own filter.
    pub(crate) shape: Option<Box<dyn Fn() -> Shape + Send + Sync>>,
}

/// This is the request for a topic without fields: whatever the client wrote is fine.
#[derive(Debug)]
pub struct NoPayload;

impl<'de> serde::Deserialize<'de> for NoPayload {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

impl JsonSchema for NoPayload {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "NoPayload".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        true.into()
    }
}

impl Validate for NoPayload {
    type Context = ();

    fn validate_into(&self, (): &(), _: &mut dyn FnMut() -> garde::Path, _: &mut garde::Report) {}
}

/// This says which updates a subscriber wants.
pub(crate) type Filter<U> = Box<dyn FnMut(&U) -> bool + Send>;

/// This is a `#[topic]` function: `T` is its twin, `R` the subscribe request, `U` the updates. Generated code fills it
/// in.
pub struct TopicFunction<T: TopicDeclared, R, U> {
    /// The topics that a request names: [`one`](Self::one) or [`several`](Self::several).
    pub wanted: fn(&R) -> Result<Vec<Wanted<Fields>>>,
    /// The subscriber's own filter.
    pub shape: Option<fn(&R) -> Filter<U>>,
    /// Whether a request may name several topics.
    pub takes_several: bool,
    /// The source.
    pub source: SourceFunction,
    /// The twin.
    pub twin: PhantomData<fn(T)>,
}

impl<T: TopicDeclared<Params = R>, R, U> TopicFunction<T, R, U> {
    /// The request is the topic's fields themselves.
    ///
    /// # Errors
    /// Never.
    pub fn one(request: &R) -> Result<Vec<Wanted<Fields>>> {
        Ok(vec![Wanted::at("", T::fields(request))])
    }
}

impl<T: TopicDeclared<Params = ()>, U> TopicFunction<T, NoPayload, U> {
    /// The topic has no fields.
    ///
    /// # Errors
    /// Never.
    pub fn only(_: &NoPayload) -> Result<Vec<Wanted<Fields>>> {
        Ok(vec![Wanted::at("", Vec::new())])
    }
}

impl<T: TopicDeclared, R: SubscribeRequest<T::Params>, U> TopicFunction<T, R, U> {
    /// The request names its topics itself.
    ///
    /// # Errors
    /// What [`SubscribeRequest::wanted`] says.
    pub fn several(request: &R) -> Result<Vec<Wanted<Fields>>> {
        let wanted = request.wanted()?;
        Ok(wanted.into_iter().map(|wanted| Wanted::at(wanted.path, T::fields(&wanted.params))).collect())
    }
}

impl<T, R, U> DeclaredTopic for TopicFunction<T, R, U>
where
    T: TopicDeclared<Params: JsonSchema>,
    R: DeserializeOwned + JsonSchema + Validate<Context = ()> + Send + Sync + 'static,
    U: JsonSchema + 'static,
{
    fn types(&self) -> TopicTypes {
        let mut needs = Needs::default();
        needs.payload::<R>();
        TopicTypes {
            request: needs.payload.filter(|_| TypeId::of::<R>() != TypeId::of::<NoPayload>()),
            params: TypeSchema::of::<T::Params>(),
            update: TypeSchema::of::<U>(),
            takes_several: self.takes_several,
        }
    }

    fn needs(&self) -> &Needs {
        &self.source.needs
    }

    fn read(&self, message: &Message<'_>) -> Result<Request> {
        let request = Arc::new(message.decode::<R>()?);
        let wanted = (self.wanted)(&request)?;
        let shape = self.shape.map(|shape| {
            let make = move || -> Shape { Shape::of(shape(&request)) };
            Box::new(make) as Box<dyn Fn() -> Shape + Send + Sync>
        });
        Ok(Request { wanted, takes_several: self.takes_several, shape })
    }

    fn start(&self, start: Start) -> BoxFuture<Result<()>> {
        (self.source.start)(start)
    }
}

/// This is the source of a topic whose arguments are behind it.
pub struct SourceFunction {
    start: Box<dyn Fn(Start) -> BoxFuture<Result<()>> + Send + Sync>,
    needs: Needs,
}

/// Wraps a source with this many arguments, as [`Handler`](crate::handler::Handler)s are.
macro_rules! arities {
    ($($name:ident ($($argument:ident),*);)+) => {$(
        /// Wraps the function of a `#[topic]`.
        pub fn $name<$($argument,)* Function, Done>(function: Function) -> SourceFunction
        where
            $($argument: FromTopic + Send + 'static,)*
            Function: Fn($($argument),*) -> Done + Copy + Send + Sync + 'static,
            Done: Future<Output: crate::handler::IntoNothing> + Send + 'static,
        {
            use crate::handler::IntoNothing;
            let start = move |start: Start| -> BoxFuture<Result<()>> {
                Box::pin(async move {
                    $(#[allow(non_snake_case, reason = "the types name the variables")] let $argument = $argument::from_topic(&start)?;)*
                    drop(start);
                    function($($argument),*).await.into_nothing()
                })
            };
            let mut needs = Needs::default();
            $($argument::describe(&mut needs);)*
            SourceFunction { start: Box::new(start), needs }
        }
    )+};
}

arities! {
    source1 (A);
    source2 (A, B);
    source3 (A, B, C);
    source4 (A, B, C, D);
    source5 (A, B, C, D, E);
    source6 (A, B, C, D, E, F);
    source7 (A, B, C, D, E, F, G);
    source8 (A, B, C, D, E, F, G, H);
}

impl std::fmt::Debug for SourceFunction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SourceFunction").field("needs", &self.needs).finish_non_exhaustive()
    }
}

impl<T: TopicDeclared, R, U> std::fmt::Debug for TopicFunction<T, R, U> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TopicFunction").field("source", &self.source).finish_non_exhaustive()
    }
}

/// One value of a topic's name, as JSON; what is neither text, number nor boolean becomes `null` and is refused.
pub fn topic_field<T: Serialize>(name: &'static str, value: &T) -> (&'static str, Value) {
    (name, serde_json::to_value(value).unwrap_or(Value::Array(Vec::new())))
}
