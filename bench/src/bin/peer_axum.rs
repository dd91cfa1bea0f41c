//! The measured application on axum's `ws`. `peer_axum PORT [tuned]`
//!
//! Naive, as tutorials do it: a `tokio::sync::broadcast` for each topic, and one task for each connection that selects
//! over its socket and its topics. Tuned: a queue and a writing task for each connection, and a read buffer of 4 KiB
//! instead of 128.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::any;
use axum::serve::ListenerExt;
use fastws_bench::queues::Queues;
use fastws_bench::words::{Request, SUBSCRIBED};
use fastws_bench::{Result, stage};
use futures_util::{SinkExt, StreamExt};
use tokio::sync::{broadcast, mpsc};
use tokio_stream::StreamMap;
use tokio_stream::wrappers::BroadcastStream;

fn main() -> Result<()> {
    let app = if stage::is_asked_for("tuned") {
        Router::new().route("/ws", any(tuned)).with_state(Queues::default())
    } else {
        Router::new().route("/ws", any(naive)).with_state(Channels::default())
    };
    stage::run(async |listener| {
        let listener = listener.tap_io(|stream| stream.set_nodelay(true).expect("a new socket takes options"));
        Ok(axum::serve(listener, app).await?)
    })
}

type Channels = Arc<Mutex<HashMap<String, broadcast::Sender<Utf8Bytes>>>>;

async fn naive(State(channels): State<Channels>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(async move |mut socket| {
        let mut topics = StreamMap::new();
        loop {
            let text = tokio::select! {
                message = socket.recv() => match message {
                    Some(Ok(Message::Text(text))) => match answer_naively(&text, &channels, &mut topics) {
                        Some(answer) => answer,
                        None => continue,
                    },
                    Some(Ok(_)) => continue,
                    Some(Err(_)) | None => return,
                },
                Some((_, update)) = topics.next() => match update {
                    Ok(text) => text,
                    // The client notices what is missing.
                    Err(_) => continue,
                },
            };
            if socket.send(Message::Text(text)).await.is_err() {
                return;
            }
        }
    })
}

fn answer_naively(
    text: &Utf8Bytes,
    channels: &Channels,
    topics: &mut StreamMap<String, BroadcastStream<Utf8Bytes>>,
) -> Option<Utf8Bytes> {
    let mut channels = channels.lock().unwrap_or_else(PoisonError::into_inner);
    match Request::parse(text)? {
        Request::Subscribe(topic) => {
            let topic = topic.into_owned();
            let channel = channels.entry(topic.clone()).or_insert_with(|| broadcast::channel(1024).0);
            topics.insert(topic, BroadcastStream::new(channel.subscribe()));
            Some(SUBSCRIBED.into())
        }
        Request::Publish(topic) => {
            // Nobody may be listening, which is no mistake.
            channels.get(topic.as_ref()).and_then(|channel| channel.send(text.clone()).ok());
            None
        }
        Request::Answer(answer) => Some(answer.into()),
    }
}

async fn tuned(State(queues): State<Queues<Utf8Bytes>>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.read_buffer_size(4 * 1024).on_upgrade(|socket| attend(socket, queues))
}

async fn attend(socket: WebSocket, queues: Queues<Utf8Bytes>) {
    let (mut writer, mut reader) = socket.split();
    let (queue, mut queued) = mpsc::unbounded_channel();
    let writing = tokio::spawn(async move {
        while let Some(text) = queued.recv().await {
            if writer.send(Message::Text(text)).await.is_err() {
                return;
            }
        }
    });
    while let Some(Ok(message)) = reader.next().await {
        let Message::Text(text) = message else { continue };
        let answer: Utf8Bytes = match Request::parse(&text) {
            Some(Request::Subscribe(topic)) => {
                queues.subscribe(topic.into_owned(), queue.clone());
                SUBSCRIBED.into()
            }
            Some(Request::Publish(topic)) => {
                queues.publish(&topic, &text);
                continue;
            }
            Some(Request::Answer(answer)) => answer.into(),
            None => continue,
        };
        if queue.send(answer).is_err() {
            break;
        }
    }
    writing.abort();
}
