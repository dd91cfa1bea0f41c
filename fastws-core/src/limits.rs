//! Every number that a server needs, with its default.

use std::time::Duration;

/// These are the bounds that keep one client from hurting the others. The defaults suit a public API.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The largest message that is read, in bytes (64 KiB); a larger one closes with 1009.
    pub message_bytes: usize,
    /// How long a message may stay unfinished (10 s); then the connection is closed with 1008.
    pub message_age: Duration,
    /// How many bytes a client may send in a second (256 KiB), on average; more closes with 1008.
    pub inbound_bytes_per_second: u32,
    /// How many bytes a client may send at once (1 MiB).
    pub inbound_burst_bytes: u32,
    /// How many pings and pongs a client may send in a second (10), on average; more closes with 1008.
    pub control_frames_per_second: u32,
    /// How many pings and pongs a client may send at once (20).
    pub control_burst: u32,
    /// How deep the JSON of a message may nest (32).
    pub message_depth: usize,
    /// How many requests of one connection may wait for their replies (16); one more is `too_many_in_flight`.
    pub in_flight: usize,
    /// How long a handler may take (10 s) before its request is answered `deadline_exceeded`.
    pub handler_timeout: Duration,
    /// How many topics one connection may hold (128); one more is `too_many_subscriptions`.
    pub subscriptions: usize,
    /// How many topics one request may name (100).
    pub topics_per_request: usize,
    /// How many frames may wait for a client that reads slowly (1,024).
    pub outbox_frames: usize,
    /// How many bytes may wait for a client that reads slowly (1 MiB).
    pub outbox_bytes: usize,
    /// How old a waiting frame may become (5 s).
    pub outbox_age: Duration,
    /// How many client errors (10) within [`client_error_window`](Self::client_error_window) close a connection with 4009.
    pub client_errors: usize,
    /// The window of [`client_errors`](Self::client_errors) (10 s).
    pub client_error_window: Duration,
    /// How long a topic's source may take to start (5 s) before its subscribers are told `topic_failed`.
    pub source_start: Duration,
    /// How long a source goes on after its last subscriber left (2 s).
    pub linger: Duration,
    /// How long a connection may take to say goodbye (1 s).
    pub close_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: 64 * 1024,
            message_age: Duration::from_secs(10),
            inbound_bytes_per_second: 256 * 1024,
            inbound_burst_bytes: 1024 * 1024,
            control_frames_per_second: 10,
            control_burst: 20,
            message_depth: 32,
            in_flight: 16,
            handler_timeout: Duration::from_secs(10),
            subscriptions: 128,
            topics_per_request: 100,
            outbox_frames: 1024,
            outbox_bytes: 1024 * 1024,
            outbox_age: Duration::from_secs(5),
            client_errors: 10,
            client_error_window: Duration::from_secs(10),
            source_start: Duration::from_secs(5),
            linger: Duration::from_secs(2),
            close_timeout: Duration::from_secs(1),
        }
    }
}
