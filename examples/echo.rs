//! The smallest service: what is sent comes back. `cargo run --example echo [ADDRESS]`

use fastws::{AsyncApi, FastWs, Payload, payload, send, serve};
use tokio::net::TcpListener;

/// Something to say.
#[payload]
struct Words {
    /// At most 280 characters.
    #[garde(length(min = 1, max = 280))]
    text: String,
}

/// Says the same again.
#[send("echo", reply = "echo.response")]
async fn echo(Payload(words): Payload<Words>) -> Words {
    words
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let ws = FastWs::builder().build()?;
    let docs = AsyncApi::new("Echo", "1.0.0").routes("/docs", &ws);
    let app = fastws::axum::Router::new().route("/ws", ws.route()).merge(docs);
    let listener = TcpListener::bind(std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into())).await?;
    eprintln!("http://{}/docs", listener.local_addr()?);
    Ok(serve(listener, app).with_graceful_shutdown(ws.shutdown_on(tokio::signal::ctrl_c())).await?)
}
