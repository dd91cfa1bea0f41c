//! Typed real-time APIs over one WebSocket.
//!
//! One annotated function is a validated operation, its documentation and its place on the wire. This is a whole
//! service; `cargo run --example ticker` is much the same:
//!
//! ```no_run
//! use fastws::{AsyncApi, FastWs, Params, Payload, Updates, payload, send, serve, topic};
//!
//! #[payload]
//! struct Greeting {
//!     #[garde(length(min = 1, max = 32))]
//!     name: String,
//! }
//!
//! /// Greets somebody.
//! #[send("greet", reply = "greet.response")]
//! async fn greet(Payload(greeting): Payload<Greeting>) -> String {
//!     format!("Hello, {}!", greeting.name)
//! }
//!
//! /// Greets somebody again and again, for as long as anybody listens.
//! #[topic("greetings:{name}")]
//! async fn greetings(Params(to): Params<Greeting>, updates: Updates<String>) {
//!     loop {
//!         updates.send(format!("Hello again, {}!", to.name));
//!         tokio::time::sleep(std::time::Duration::from_secs(1)).await;
//!     }
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let ws = FastWs::builder().build()?;
//!     let docs = AsyncApi::new("Greetings", "1.0.0").server("local", "ws://localhost:8000/ws");
//!     let app = fastws::axum::Router::new().route("/ws", ws.route()).merge(docs.routes("/docs", &ws));
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:8000").await?;
//!     Ok(serve(listener, app).await?)
//! }
//! ```
//!
//! # The words
//!
//! | word | means | begin at |
//! |---|---|---|
//! | operation | a named message: a *send* goes to the server, a *recv* to the client | [`send`](macro@send), [`recv`](macro@recv) |
//! | payload | what a message carries, typed and checked | [`payload`](macro@payload), [`Payload`] |
//! | topic | what a client subscribes to, fed by a source while somebody listens | [`topic`](macro@topic), [`Updates`], [`Topic`] |
//! | client | one connection | [`Client`] |
//! | hub | where publishing meets subscribers | [`Hub`] |
//! | service | all of it, assembled and checked | [`FastWs`], [`Builder`] |
//! | document | the AsyncAPI description of a service, and its page | [`AsyncApi`] |
//!
//! A client's mistakes are answered with an [`Error`]; the programmer's keep the service from starting, with a
//! [`BuildError`] that lists all of them. [`testing::TestClient`] speaks to a service in memory.

pub use fastws_asyncapi::{AsyncApi, Contract, Finding, Security, Severity, Version, client, lint};
#[doc(hidden)]
pub use fastws_core::private;
pub use fastws_core::{
    BuildError, Builder, Client, CloseReason, ConnectionInfo, Detail, Direction, Error, ErrorCode, ErrorPolicy,
    Failure, FastWs, FromMessage, FromTopic, Heartbeat, HttpLimits, Hub, Inbound, IntoNothing, IntoReply, Limits,
    Message, Needs, Operation, OperationRouter, Outbound, Params, Payload, Phase, Published, Reply, Result, Schemas,
    Serve, Start, State, SubscribeRequest, Template, Timeouts, Topic, TopicDeclared, TopicInfo, TopicPart, TopicRole,
    TopicSpelling, Updates, Wanted, axum, serve, websocket,
};
pub use fastws_macros::{payload, recv, send, topic};

/// For tests of services: a client in memory, and a check that the documents are true.
pub mod testing {
    pub use fastws_asyncapi::{assert_documented, assert_documented_except};
    pub use fastws_core::testing::*;
}
