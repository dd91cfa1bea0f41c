//! The measured application on `yawc` and hyper: a queue and a writing task for each connection. `peer_yawc PORT`

use bytes::Bytes;
use fastws_bench::queues::Queues;
use fastws_bench::words::{Request, SUBSCRIBED};
use fastws_bench::{Result, stage};
use futures_util::{SinkExt, StreamExt};
use http_body_util::Empty;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::sync::mpsc;
use yawc::{Frame, OpCode, Options, UpgradeFut, WebSocket, WebSocketError};

fn main() -> Result<()> {
    stage::run(async |listener| {
        let queues = Queues::default();
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let queues: Queues<Bytes> = queues.clone();
            let service = service_fn(move |mut request| {
                let queues = queues.clone();
                async move {
                    let options = Options::default().without_compression();
                    let (response, upgraded): (hyper::Response<Empty<Bytes>>, _) =
                        WebSocket::upgrade_with_options(&mut request, options)?;
                    tokio::spawn(attend(upgraded, queues));
                    Ok::<_, WebSocketError>(response)
                }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades());
        }
    })
}

/// Serves one connection until it ends or breaks; the load client tells the two apart.
async fn attend(upgraded: UpgradeFut, queues: Queues<Bytes>) {
    let Ok(socket) = upgraded.await else { return };
    let (mut writer, mut reader) = socket.split();
    let (queue, mut queued) = mpsc::unbounded_channel::<Bytes>();
    let writing = tokio::spawn(async move {
        while let Some(text) = queued.recv().await {
            if writer.send(Frame::text(text)).await.is_err() {
                return;
            }
        }
    });
    while let Some(frame) = reader.next().await {
        match frame.opcode() {
            OpCode::Text => {}
            OpCode::Close => break,
            _ => continue,
        }
        let Ok(text) = str::from_utf8(frame.payload()) else { break };
        let answer = match Request::parse(text) {
            Some(Request::Subscribe(topic)) => {
                queues.subscribe(topic.into_owned(), queue.clone());
                Bytes::from_static(SUBSCRIBED.as_bytes())
            }
            Some(Request::Publish(topic)) => {
                queues.publish(&topic, frame.payload());
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
