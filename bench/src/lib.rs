//! What the servers of the benchmark share, fastws excepted: frames, the words of the application, and how to start.
//!
//! `fastws-bench` is the driver and the load client; each server is a program of its own in `src/bin` and `peers`.

pub mod frames;
pub mod queues;
pub mod stage;
pub mod words;

/// This is a result whose error is for a person to read.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;
