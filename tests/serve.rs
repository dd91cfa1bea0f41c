//! The HTTP server in front of the sockets.

use std::time::Duration;

use fastws::{FastWs, HttpLimits, OperationRouter, payload, send, serve};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_tungstenite::connect_async;

#[payload]
struct Nothing {}

#[send("nothing", reply = "nothing.response")]
async fn nothing() -> Nothing {
    Nothing {}
}

#[tokio::test]
async fn a_websocket_keeps_its_place_among_the_connections() {
    let router = OperationRouter::new().add::<nothing>();
    let ws = FastWs::builder().include(router).build().expect("a service");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("ws://{}/ws", listener.local_addr().expect("an address"));
    let app = fastws::axum::Router::new().route("/ws", ws.route());
    let (stop, stopped) = oneshot::channel::<()>();
    let server = serve(listener, app)
        .limits(HttpLimits { connections: 2, ..HttpLimits::default() })
        .with_graceful_shutdown(ws.shutdown_on(stopped));
    let serving = tokio::spawn(server.into_future());

    let (first, _) = connect_async(&url).await.expect("the first place");
    let (second, _) = connect_async(&url).await.expect("the second place");
    let mut third = std::pin::pin!(connect_async(&url));
    assert!(timeout(Duration::from_millis(200), &mut third).await.is_err(), "there is no third place");
    drop(first);
    let (third, _) = timeout(Duration::from_secs(10), third).await.expect("a place is free").expect("a connection");

    drop((second, third));
    stop.send(()).expect("the server still runs");
    serving.await.expect("no panic").expect("no error");
}
