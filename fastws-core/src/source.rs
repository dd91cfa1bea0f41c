//! What feeds a topic: a function that runs while somebody listens.

use std::any::TypeId;
use std::marker::PhantomData;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use garde::Validate;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep_until};

use crate::client::Client;
use crate::error::{Error, ErrorCode, Result};
use crate::extract::{FromTopic, Message, States};
use crate::handler::{BoxFuture, NeededPayload, Needs, Outcome};
use crate::hub::{Emission, Entry, Hub, Phase};
use crate::operation::{TopicDeclared, TypeSchema};
use crate::outbox::Shape;
use crate::topic::Topic;

/// This can be started to feed one topic.
pub(crate) trait Source: Send + Sync {
    fn start(&self, hub: Hub, updates: Feed) -> BoxFuture<Result<()>>;
    /// The operation that brings the updates.
    fn update_name(&self) -> &Arc<str>;
}

/// This is the start of one topic: what the arguments of a `#[topic]` function are taken from.
#[derive(Debug)]
pub struct Start {
    pub(crate) fields: Value,
    pub(crate) updates: Feed,
    pub(crate) hub: Hub,
    pub(crate) states: Arc<States>,
}

impl Start {
    /// The template's fields, a JSON object.
    pub fn fields(&self) -> &Value {
        &self.fields
    }

    /// The topic's name.
    pub fn topic(&self) -> &str {
        self.updates.entry.key()
    }

    /// The state of type `T` that was given to the builder.
    pub fn state<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        self.states.find()
    }
}

/// This is the way from a source into its topic, of any type.
#[derive(Clone)]
pub(crate) struct Feed {
    pub(crate) entry: Arc<Entry>,
    start: u64,
    name: Arc<str>,
}

impl Feed {
    fn emit(&self, what: Emission) {
        self.entry.emit(self.start, &self.name, what);
    }

    fn encode<T: Serialize>(&self, value: &T) -> Option<String> {
        serde_json::to_string(value)
            .inspect_err(|error| tracing::error!(topic = %self.entry.key(), %error, "an update cannot be JSON"))
            .ok()
    }
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Feed({})", self.entry.key())
    }
}

/// These are the fields of the topic's name, typed. Other fields of a subscribe request do not reach the source: here
/// they have their defaults.
#[derive(Clone, Copy, Debug, Default)]
pub struct Params<T>(pub T);

impl<T: DeserializeOwned> FromTopic for Params<T> {
    fn from_topic(start: &Start) -> Result<Self> {
        T::deserialize(&start.fields).map(Self).map_err(Error::from)
    }
}

/// This is where a topic's source puts its updates.
///
/// The topic comes alive, and its first subscribers are answered, at the first use of any of these methods. None of
/// them waits. After the source was stopped they do nothing.
///
/// **Snapshots.** A topic that was given a [`snapshot`](Self::snapshot) has a current state: a new subscriber gets it
/// first, and then every later update. From then on each [`send`](Self::send) replaces the state, which is right for
/// values such as bars and quotes. Where an update is a change of a larger state, such as an order book, use
/// [`send_change`](Self::send_change).
pub struct Updates<T> {
    feed: Feed,
    of: PhantomData<fn(T)>,
}

impl<T: Serialize + Send + Sync + 'static> Updates<T> {
    /// Publishes an update.
    pub fn send(&self, value: T) {
        let Some(payload) = self.feed.encode(&value) else { return };
        self.feed.emit(Emission::Update { payload, value: Arc::new(value) });
    }

    /// Sets the current state. Present subscribers get it too, marked as a snapshot.
    pub fn snapshot(&self, state: T) {
        let Some(payload) = self.feed.encode(&state) else { return };
        self.feed.emit(Emission::Snapshot { payload, value: Arc::new(state) });
    }

    /// Publishes a change together with the state that it leads to, which new subscribers get.
    ///
    /// While there is no current state, nobody could apply the change: then all get `state`, marked as a snapshot.
    pub fn send_change(&self, change: T, state: &T) {
        let (Some(payload), Some(state)) = (self.feed.encode(&change), self.feed.encode(state)) else { return };
        self.feed.emit(Emission::Change { payload, value: Arc::new(change), state });
    }

    /// Brings the topic alive before there is anything to send.
    pub fn ready(&self) {
        self.feed.emit(Emission::Ready);
    }
}

impl<T> FromTopic for Updates<T> {
    fn from_topic(start: &Start) -> Result<Self> {
        Ok(Self { feed: start.updates.clone(), of: PhantomData })
    }
}

impl<T> Clone for Updates<T> {
    fn clone(&self) -> Self {
        Self { feed: self.feed.clone(), of: PhantomData }
    }
}

impl<T> std::fmt::Debug for Updates<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.feed.fmt(f)
    }
}

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
    fn read(&self, message: &Message) -> Result<Request>;
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

    fn read(&self, message: &Message) -> Result<Request> {
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
                    $(#[allow(non_snake_case)] let $argument = $argument::from_topic(&start)?;)*
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

/// Runs the source of one topic from its first subscriber until nobody has listened for a while.
///
/// There is one such task for each topic in the hub, and it drops one run of the source before it begins the next, so
/// that no topic ever has two.
pub(crate) async fn supervise(hub: Hub, entry: Arc<Entry>, source: Arc<dyn Source>) {
    let mut back_off = BackOff::default();
    loop {
        let start = entry.begin();
        let feed = Feed { entry: Arc::clone(&entry), start, name: Arc::clone(source.update_name()) };
        let began = Instant::now();
        let error = match run(&hub, &entry, source.start(hub.clone(), feed)).await {
            Ending::Idle => {
                if hub.close_if_idle(&entry) {
                    return;
                }
                continue;
            }
            Ending::NotStarted(error) => {
                log(&entry, &error, "a topic could not start");
                if hub.fail_to_start(&entry, &error) {
                    return;
                }
                error
            }
            Ending::Failed(error) => {
                log(&entry, &error, "a topic failed");
                back_off.forgive(began);
                error
            }
            Ending::Ended => return hub.end_topic(&entry, "topic_ended"),
        };
        if error.is_permanent() {
            hub.fail(&entry, &topic_failed(&error));
            return hub.end_topic(&entry, ErrorCode::TOPIC_FAILED.as_str());
        }
        hub.fail(&entry, &topic_failed(&error).retry_after(back_off.delay));
        back_off.wait(&entry).await;
        if hub.close_if_idle(&entry) {
            return;
        }
    }
}

/// This is how one run of a source came to its end.
enum Ending {
    /// Nobody listens any more.
    Idle,
    NotStarted(Error),
    Failed(Error),
    Ended,
}

async fn run(hub: &Hub, entry: &Arc<Entry>, source: BoxFuture<Result<()>>) -> Ending {
    let limits = &hub.0.limits;
    let start_by = Instant::now() + limits.source_start;
    let mut source = AssertUnwindSafe(source).catch_unwind();
    loop {
        let (phase, idle_since) = {
            let state = entry.lock();
            (state.phase, state.idle_since)
        };
        tokio::select! {
            biased;
            ended = &mut source => {
                let was_live = entry.lock().phase != Phase::Starting;
                return match ended.unwrap_or_else(|_| Err(Error::internal("the topic's source panicked"))) {
                    Ok(()) if was_live => Ending::Ended,
                    Ok(()) => Ending::NotStarted(ended_early(entry.key())),
                    Err(error) if was_live => Ending::Failed(error),
                    Err(error) => Ending::NotStarted(error),
                };
            }
            () = entry.interest.notified() => {
                let state = entry.lock();
                if state.phase == Phase::Starting && !state.has_interest() {
                    return Ending::Idle;
                }
            }
            () = sleep_until(start_by), if phase == Phase::Starting => {
                return Ending::NotStarted(too_late(entry.key(), limits.source_start));
            }
            () = sleep_until(idle_since + limits.linger), if phase == Phase::Lingering => return Ending::Idle,
        }
    }
}

fn log(entry: &Entry, error: &Error, what: &'static str) {
    let cause = error.cause().map(tracing::field::display);
    tracing::warn!(topic = %entry.key(), code = %error.code(), message = error.message(), cause, "{what}");
}

/// What subscribers of a failed topic are told: the source's own message, under the framework's code.
fn topic_failed(error: &Error) -> Error {
    Error::new(ErrorCode::TOPIC_FAILED, error.message())
}

fn ended_early(topic: &str) -> Error {
    Error::new(ErrorCode::TOPIC_FAILED, format!("topic `{topic}` ended before it began"))
}

pub(crate) fn ended(topic: &str) -> Error {
    Error::new(ErrorCode::TOPIC_FAILED, format!("topic `{topic}` has ended"))
}

pub(crate) fn too_late(topic: &str, limit: Duration) -> Error {
    Error::new(ErrorCode::TOPIC_FAILED, format!("topic `{topic}` did not start within {} s", limit.as_secs_f64()))
        .retry_after(Duration::from_secs(1))
}

/// This is how long a failed source waits before it starts again: twice as long each time, up to half a minute.
struct BackOff {
    delay: Duration,
}

impl Default for BackOff {
    fn default() -> Self {
        Self { delay: Self::FIRST }
    }
}

impl BackOff {
    const FIRST: Duration = Duration::from_millis(500);
    const LONGEST: Duration = Duration::from_secs(30);

    /// A source that lived longer than the longest delay begins anew.
    fn forgive(&mut self, began: Instant) {
        if began.elapsed() > Self::LONGEST {
            self.delay = Self::FIRST;
        }
    }

    /// Waits, unless everybody leaves meanwhile.
    async fn wait(&mut self, entry: &Entry) {
        let until = Instant::now() + self.delay;
        self.delay = (self.delay * 2).min(Self::LONGEST);
        while entry.lock().has_interest() {
            tokio::select! {
                () = sleep_until(until) => return,
                () = entry.interest.notified() => {}
            }
        }
    }
}

/// The subscribe request of a topic: all of the topics that it names, or none.
pub(crate) async fn subscribe(client: &Client, request: Request, topics: Vec<Topic>) -> Outcome {
    let limit = client.hub.0.limits.topics_per_request;
    if topics.len() > limit {
        return Err(Error::new(ErrorCode::TOO_MANY_SUBSCRIPTIONS, format!("a request names at most {limit} topics")));
    }
    let shape = || request.shape.as_ref().map(|shape| shape());
    let Err(failures) = client.join_all(&topics, shape).await else {
        return Ok(Some(confirmation("Subscribed to", &request, &topics)));
    };
    let mut failures = failures.into_iter().map(|(at, error)| (request.wanted[at].path.clone(), error));
    let (path, first) = failures.next().expect("one of them failed");
    if path.is_empty() {
        return Err(first);
    }
    let message = first.message().to_owned();
    Err(failures.fold(first.detail(path, message), |answer, (path, error)| answer.detail(path, error.message())))
}

/// The unsubscribe request of a topic.
pub(crate) fn unsubscribe(client: &Client, request: &Request, topics: &[Topic]) -> Outcome {
    for topic in topics {
        client.unsubscribe(topic);
    }
    Ok(Some(confirmation("Unsubscribed from", request, topics)))
}

/// The reply's payload: status, message and topics, and with one topic its name and fields.
fn confirmation(done: &str, request: &Request, topics: &[Topic]) -> String {
    let names: Vec<_> = topics.iter().map(Topic::wire).collect();
    let mut reply = Map::new();
    reply.insert("status".into(), "ok".into());
    reply.insert("message".into(), format!("{done} {}", names.join(", ")).into());
    if let ([topic], [wanted]) = (names.as_slice(), request.wanted.as_slice()) {
        reply.insert("topic".into(), (*topic).into());
        reply.extend(wanted.params.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    }
    if request.takes_several {
        reply.insert("topics".into(), json!(names));
    }
    Value::Object(reply).to_string()
}
