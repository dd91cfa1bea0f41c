//! The attributes of fastws: `send`, `recv`, `topic` and `payload`. Use them through the crate `fastws`.
//!
//! Each is parsed ([`args`]), checked ([`item`]) and only then printed ([`expand`]). On a mistake the function is still
//! emitted, and all mistakes are reported at once.

use proc_macro::TokenStream;

mod args;
mod expand;
mod item;
mod payload;
mod rules;

/// Declares an operation that clients send: `#[send("simple.ping", reply = "simple.pong")]`.
///
/// The function is async, takes arguments that implement `FromMessage` (`Payload<T>`, `State<T>`, `Client`, `Hub`) and
/// returns its reply, `T` or `Result<T, E>` with `E: Into<fastws::Error>`; without `reply` it returns nothing. It stays
/// as written and can be called. Its doc comment becomes summary and description.
///
/// A handler whose client goes away is dropped at its next `await`. Work that has to be finished belongs into
/// `tokio::spawn`.
///
/// | key | value |
/// |---|---|
/// | first | the operation's name, relative to the router that includes it |
/// | `reply` | the reply's name |
/// | `tags` | `["market data"]` |
/// | `summary`, `description` | instead of the doc comment |
/// | `service` | the service that serves it, where a process has several |
/// | `concurrent` | its requests may overtake others of the same connection |
/// | `subscribes`, `updates` | of a handler that subscribes: the topic, or its template, and the operations that bring its updates: `subscribes = "alerts", updates = ["alerts.alert"]`. The handler does it, and its reply has a field `topic`, or `topics`; documents and clients go by that |
/// | `unsubscribes` | of a handler that ends subscriptions: the topic, or `"*"` for all of them |
/// | `example`, `reply_example` | payloads for the documents, as JSON: `example = {"symbol": "AAPL"}` |
#[proc_macro_attribute]
pub fn send(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::operation(item::Kind::Send, arguments.into(), &item.into()).into()
}

/// Declares an operation that the server sends: `#[recv("alerts.alert")]`.
///
/// The function is the *view* of a domain value: it takes the value and returns what goes on the wire. It is not async.
/// Publish through it with `hub.publish::<alert>(&topic, value)`.
///
/// It knows the keys `tags`, `summary`, `description`, `service` and `example`, as [`send`](macro@send) does.
#[proc_macro_attribute]
pub fn recv(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::operation(item::Kind::Recv, arguments.into(), &item.into()).into()
}

/// Declares a live topic: `#[topic("bars:{symbol}:{resolution}")]` is `bars.subscribe`, `bars.unsubscribe`,
/// `bars.update` and the source of the updates, in one function.
///
/// The function is async and runs while somebody is subscribed. It takes `Params<T>` with the fields that the template
/// names, `Updates<U>`, and `State<S>` or `Hub`.
///
/// | key | value |
/// |---|---|
/// | first | the template; what stands before the first `:` names the operations |
/// | `request` | a type that implements `SubscribeRequest<T>`, for requests that name several topics |
/// | `shape` | a function `fn(&Request) -> impl FnMut(&U) -> bool`: one subscriber's own filter |
/// | `example` | a subscribe payload, as JSON |
/// | `update_example` | an update's payload, as JSON |
/// | `tags`, `summary`, `description`, `service` | as for [`send`](macro@send) |
#[proc_macro_attribute]
pub fn topic(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::operation(item::Kind::Topic, arguments.into(), &item.into()).into()
}

/// Makes a struct or an enum a payload: it can be read, written, documented and checked.
///
/// It derives `Serialize`, `Deserialize` and `JsonSchema`, and implements the check of its constraints, which are
/// written as for garde: `#[garde(length(min = 1, max = 32))]`, `range`, `pattern`, `email`, `url`, `ip`, `contains`,
/// `prefix`, `suffix`, `ascii`, `alphanumeric`, `required`, `inner(…)`, `custom(…)`. They show in the schema where JSON
/// Schema has a word for them. Lengths of text count characters. Fields that are payloads themselves are checked too;
/// fields without a constraint are not constrained. `Clone`, `Debug` and
/// others are derived beside it, as usual.
#[proc_macro_attribute]
pub fn payload(arguments: TokenStream, item: TokenStream) -> TokenStream {
    payload::expand(&arguments.into(), &item.into()).into()
}
