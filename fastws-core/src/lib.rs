//! The runtime of fastws: operations, topics and connections. It knows nothing of AsyncAPI.
//!
//! Applications depend on the facade, `fastws`, which adds the attributes and the documents.
//!
//! ```text
//! in :  text → Envelope → Route → Handler → reply ┐
//!                                                 ├→ outbox → socket
//! out:  publish → Topic → subscribers ────────────┘
//! ```

mod assembly;
mod audience;
mod check;
mod client;
mod close;
mod connection;
mod engine;
mod entry;
mod envelope;
mod error;
mod extract;
mod handler;
mod hub;
mod limits;
mod operation;
#[doc(hidden)]
pub mod private;
mod router;
mod schema;
mod serve;
mod service;
mod session;
mod source;
mod subscription;
pub mod testing;
mod topic;
mod topic_function;
mod update;
pub mod websocket;

pub use client::Client;
pub use close::{CloseReason, Timeouts};
pub use entry::Phase;
pub use error::{BuildError, Detail, Error, ErrorCode, Result};
pub use extract::{FromMessage, FromTopic, Inbound, Message, Payload, State};
pub use handler::{Failure, IntoNothing, IntoReply, Needs, Outbound};
pub use hub::{ConnectionInfo, Hub, TopicInfo};
pub use limits::Limits;
pub use operation::{
    Declared, Direction, Operation, Published, Reply, TopicDeclared, TopicPart, TopicRole, TypeSchema,
};
pub use router::OperationRouter;
pub use schema::{Schemas, validator};
pub use serve::{HttpLimits, Serve, serve};
pub use service::{Builder, FastWs};
pub use session::{ErrorPolicy, Heartbeat};
pub use source::{Params, Start, Updates};
pub use topic::{Template, Topic, TopicSpelling};
pub use topic_function::{SubscribeRequest, Wanted};

pub use axum;
