//! AsyncAPI documents of a fastws service, and what follows from a document: a page, clients, checks.
//!
//! [`AsyncApi`] writes documents: pure functions of the service's operations, with what code cannot know added, such as
//! a title and the servers' addresses. [`Contract`] reads them back, those of other servers too.

pub mod client;
mod contract;
mod diff;
mod document;
mod example;
mod file;
mod framework;
mod info;
mod lint;
mod messages;
mod mutation;
mod page;
mod pointer;
mod shape;
mod truth;
mod v2;
mod v3;

pub use contract::{Contract, ContractError, Event, Message, Request, TopicUse, TopicUseRole, parse};
pub use diff::{Change, Impact, diff};
pub use document::{AsyncApi, Security, Version};
pub use lint::{Finding, Severity, lint};
pub use mutation::{Mutation, mutations};
pub use truth::{assert_documented, assert_documented_except};
