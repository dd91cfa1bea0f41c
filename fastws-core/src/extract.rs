//! The arguments of handlers: each can take itself from a message, and describe what it needs.

use std::any::{Any, TypeId, type_name};
use std::collections::HashMap;

use garde::Validate;
use memchr::memchr;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::client::Client;
use crate::error::{Detail, Error, ErrorCode, Result};
use crate::handler::Needs;
use crate::hub::Hub;
use crate::router::Route;
use crate::source::Start;

/// This is an argument of a `#[send]` function: something that can be taken from a message.
///
/// It is synchronous, because the message is already in memory. Applications add arguments of their own:
///
/// ```
/// use fastws_core::{FromMessage, Message, Result};
///
/// /// How long the payload is, in bytes.
/// struct PayloadBytes(usize);
///
/// impl FromMessage for PayloadBytes {
///     fn from_message(message: &Message<'_>) -> Result<Self> {
///         Ok(Self(message.payload().map_or(0, str::len)))
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of an operation",
    label = "not `Payload<T>`, `State<T>`, `Client`, `Hub` or a type that implements `FromMessage`",
    note = "wrap a payload as `Payload<{Self}>`, or application state as `State<{Self}>`"
)]
pub trait FromMessage: Sized {
    /// Takes the argument from the message, or answers the request with an error.
    ///
    /// # Errors
    /// Whatever the client should be told, such as `invalid_payload`.
    fn from_message(message: &Message<'_>) -> Result<Self>;

    /// Says what the argument needs: a payload, a state. The start-up check and the documents read it.
    fn describe(needs: &mut Needs) {
        let _ = needs;
    }
}

/// This is an argument of a `#[topic]` function: something that can be taken from the start of a topic.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of a topic",
    label = "not `Params<T>`, `Updates<T>`, `State<T>`, `Hub` or a type that implements `FromTopic`",
    note = "a topic has no client of its own: it runs once for all its subscribers"
)]
pub trait FromTopic: Sized {
    /// Takes the argument from the topic that starts.
    ///
    /// # Errors
    /// Whatever the waiting subscribers should be told.
    fn from_topic(start: &Start) -> Result<Self>;

    /// Says what the argument needs.
    fn describe(needs: &mut Needs) {
        let _ = needs;
    }
}

/// This is a type that clients write: it can be read, documented and checked. `#[payload]` makes one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a payload that clients send",
    label = "not `Deserialize + JsonSchema + Validate`",
    note = "put `#[payload]` on `{Self}`"
)]
pub trait Inbound: DeserializeOwned + JsonSchema + Validate<Context = ()> {}

#[diagnostic::do_not_recommend]
impl<T: DeserializeOwned + JsonSchema + Validate<Context = ()>> Inbound for T {}

/// This is one request on its way to its handler.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    pub(crate) payload: Option<&'a str>,
    pub(crate) client: &'a Client,
    pub(crate) route: &'a Route,
    pub(crate) states: &'a States,
}

impl Message<'_> {
    /// The operation's name.
    pub fn operation(&self) -> &str {
        &self.route.name
    }

    /// The payload as the client wrote it, JSON; `None` when it is absent or `null`.
    pub fn payload(&self) -> Option<&str> {
        self.payload
    }

    /// The connection that it came from.
    pub fn client(&self) -> &Client {
        self.client
    }

    /// The state of type `T` that was given to the builder.
    pub fn state<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        self.states.find()
    }

    /// Decodes and checks the payload.
    pub(crate) fn decode<T: DeserializeOwned + Validate<Context = ()>>(&self) -> Result<T> {
        let value = check(self.payload()).map_err(|wrong| match wrong {
            Wrong::Constraints(details) => invalid(details),
            Wrong::Shape(detail) => invalid(self.problems(detail)),
        })?;
        self.refuse_lists()?;
        Ok(value)
    }

    /// serde reads a struct from a list of its fields as well, which no document says.
    fn refuse_lists(&self) -> Result<()> {
        let Some(payload) = self.payload().filter(|payload| memchr(b'[', payload.as_bytes()).is_some()) else {
            return Ok(());
        };
        let Some(validator) = self.route.validator() else { return Ok(()) };
        let value: Value = serde_json::from_str(payload)?;
        let mut details = complaints(validator, &value);
        details.retain(|detail| {
            value.pointer(&detail.path).is_some_and(Value::is_array) && detail.message.contains("type")
        });
        if details.is_empty() { Ok(()) } else { Err(invalid(details)) }
    }

    /// Everything that the schema finds wrong; serde, which stops at the first problem, found `first`.
    fn problems(&self, first: Detail) -> Vec<Detail> {
        let Some(value) = self.payload().and_then(|payload| serde_json::from_str::<Value>(payload).ok()) else {
            return vec![first];
        };
        let mut details = self.route.validator().map(|validator| complaints(validator, &value)).unwrap_or_default();
        if !details
            .iter()
            .any(|detail| detail.path == first.path || detail.path.starts_with(&format!("{}/", first.path)))
        {
            details.push(first);
        }
        details.truncate(MAX_DETAILS);
        details
    }
}

/// How many wrong fields one answer lists.
const MAX_DETAILS: usize = 32;

/// This is why a payload was refused.
pub(crate) enum Wrong {
    /// It does not decode.
    Shape(Detail),
    /// It decodes, and breaks declared constraints.
    Constraints(Vec<Detail>),
}

/// Decodes a payload and holds it against its declared constraints.
pub(crate) fn check<T: DeserializeOwned + Validate<Context = ()>>(payload: Option<&str>) -> Result<T, Wrong> {
    let value: T = match serde_json::from_str(payload.unwrap_or("null")) {
        Ok(value) => value,
        Err(_) => find_wrong(payload).map_err(Wrong::Shape)?,
    };
    value.validate().map_err(|report| {
        let details = report
            .iter()
            .map(|(path, error)| Detail { path: crate::check::pointer(path), message: bounded(error.message()) });
        Wrong::Constraints(details.take(MAX_DETAILS).collect())
    })?;
    Ok(value)
}

/// Decodes again what did not decode, this time keeping track of where.
fn find_wrong<T: DeserializeOwned>(payload: Option<&str>) -> Result<T, Detail> {
    let mut json = serde_json::Deserializer::from_str(payload.unwrap_or("null"));
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = pointer(error.path());
        let message = match payload {
            None => "a payload is required".to_owned(),
            Some(_) => bounded(&without_position(&error.into_inner().to_string())),
        };
        Detail { path, message }
    })
}

/// What a schema finds wrong with a value, field by field.
pub(crate) fn complaints(validator: &jsonschema::Validator, value: &Value) -> Vec<Detail> {
    let mut details = Vec::new();
    validator.iter_errors(value).for_each(|error| explain(&error, &mut details));
    details.truncate(MAX_DETAILS);
    details
}

/// One complaint of the schema as what a person can act on. Of several alternatives, the one that is not `null` is
/// meant.
fn explain(error: &jsonschema::ValidationError<'_>, details: &mut Vec<Detail>) {
    use jsonschema::error::ValidationErrorKind;
    let path = error.instance_path().to_string();
    match error.kind() {
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            details.push(Detail { path: format!("{path}/{}", escape(name)), message: "this field is required".into() });
        }
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            details.extend(unexpected.iter().map(|name| unknown_field(&path, name)));
        }
        ValidationErrorKind::Enum { options }
            if options.as_array().is_some_and(|options| options.len() <= MAX_OPTIONS) =>
        {
            let options: Vec<_> = options.as_array().into_iter().flatten().map(Value::to_string).collect();
            details.push(Detail { path, message: bounded(&format!("want one of {}", options.join(", "))) });
        }
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            let wants_null = |errors: &&Vec<jsonschema::ValidationError<'_>>| {
                errors
                    .iter()
                    .any(|error| error.instance_path().to_string() == path && error.to_string().ends_with("\"null\""))
            };
            let mut meant = context.iter().filter(|errors| !wants_null(errors));
            match (meant.next(), meant.next()) {
                (Some(errors), None) => errors.iter().for_each(|error| explain(error, details)),
                _ => details.push(Detail { path, message: bounded(&error.masked().to_string()) }),
            }
        }
        _ => details.push(Detail { path, message: bounded(&error.masked().to_string()) }),
    }
}

/// How many choices a message lists.
const MAX_OPTIONS: usize = 24;

fn unknown_field(parent: &str, name: &str) -> Detail {
    if name.chars().count() > MAX_ECHO {
        return Detail { path: parent.to_owned(), message: "there is a field with a very long name".into() };
    }
    Detail { path: format!("{parent}/{}", escape(name)), message: "there is no such field".into() }
}

/// serde quotes what the client wrote, however long that is.
fn bounded(message: &str) -> String {
    match message.char_indices().nth(MAX_MESSAGE) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}

/// The most characters of one name that an answer repeats.
const MAX_ECHO: usize = 64;

/// The most characters of one message.
const MAX_MESSAGE: usize = 240;

pub(crate) fn invalid(details: Vec<Detail>) -> Error {
    let message = match details.as_slice() {
        [only] if only.path.is_empty() => format!("the payload is not valid: {}", only.message),
        [only] => format!("the payload is not valid at {}: {}", only.path, only.message),
        several => format!("the payload is not valid in {} places", several.len()),
    };
    details.into_iter().fold(Error::new(ErrorCode::INVALID_PAYLOAD, message), |error, Detail { path, message }| {
        error.detail(path, message)
    })
}

/// serde's path as a JSON Pointer.
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter().fold(String::new(), |pointer, segment| match segment {
        Segment::Seq { index } => format!("{pointer}/{index}"),
        Segment::Map { key } => format!("{pointer}/{}", escape(key)),
        Segment::Enum { variant } => format!("{pointer}/{}", escape(variant)),
        Segment::Unknown => pointer,
    })
}

/// One segment of a JSON Pointer (RFC 6901 section 3).
pub(crate) fn escape(segment: &str) -> String {
    segment.replace('~', "~0").replace('/', "~1")
}

/// serde_json ends its messages with a position in the text that it was given, which is not the client's frame.
fn without_position(message: &str) -> String {
    message.rsplit_once(" at line ").map_or(message, |(message, _)| message).to_owned()
}

/// This is the decoded and checked payload of a request.
///
/// A payload that is wrong in several fields is answered with all of them, each by its JSON Pointer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Payload<T>(pub T);

impl<T: Inbound> FromMessage for Payload<T> {
    fn from_message(message: &Message<'_>) -> Result<Self> {
        message.decode().map(Self)
    }

    fn describe(needs: &mut Needs) {
        needs.payload::<T>();
    }
}

/// This is something that the application gave to the builder with `.state(…)`, cloned for the handler.
#[derive(Clone, Copy, Debug, Default)]
pub struct State<T>(pub T);

impl<T: Clone + Send + Sync + 'static> FromMessage for State<T> {
    fn from_message(message: &Message<'_>) -> Result<Self> {
        message.states.find().map(Self).ok_or_else(missing_state::<T>)
    }

    fn describe(needs: &mut Needs) {
        needs.state::<T>();
    }
}

impl<T: Clone + Send + Sync + 'static> FromTopic for State<T> {
    fn from_topic(start: &Start) -> Result<Self> {
        start.states.find().map(Self).ok_or_else(missing_state::<T>)
    }

    fn describe(needs: &mut Needs) {
        needs.state::<T>();
    }
}

/// Start-up refuses a service that lacks a declared state, so this is an argument that did not describe itself.
fn missing_state<T>() -> Error {
    Error::internal(format!("no state of type {} was given to the builder", type_name::<T>()))
}

impl FromMessage for Client {
    fn from_message(message: &Message<'_>) -> Result<Self> {
        Ok(message.client.clone())
    }
}

impl FromMessage for Hub {
    fn from_message(message: &Message<'_>) -> Result<Self> {
        Ok(message.client.hub().clone())
    }
}

impl FromTopic for Hub {
    fn from_topic(start: &Start) -> Result<Self> {
        Ok(start.hub.clone())
    }
}

/// This is what the application shares with its handlers, one value per type.
#[derive(Default)]
pub(crate) struct States(HashMap<TypeId, Box<dyn Any + Send + Sync>>);

impl States {
    pub(crate) fn insert<T: Clone + Send + Sync + 'static>(&mut self, value: T) {
        self.0.insert(TypeId::of::<T>(), Box::new(value));
    }

    pub(crate) fn find<T: Clone + 'static>(&self) -> Option<T> {
        self.0.get(&TypeId::of::<T>())?.downcast_ref().cloned()
    }

    pub(crate) fn holds(&self, id: TypeId) -> bool {
        self.0.contains_key(&id)
    }
}

impl std::fmt::Debug for States {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "States({})", self.0.len())
    }
}
