//! AsyncAPI documents of a fastws service, and the page that shows them.
//!
//! Both are pure functions of the service's operations: [`AsyncApi`] adds what code cannot know, such as a title and
//! the servers' addresses.

mod document;
mod example;
mod messages;
mod page;
mod v2;

pub use document::AsyncApi;
