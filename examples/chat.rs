//! Rooms to talk in: state, subscriptions by hand, and typed publishing. `cargo run --example chat [ADDRESS]`

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use fastws::{AsyncApi, Client, Error, FastWs, Hub, Payload, Result, State, Topic, payload, recv, send, serve};
use tokio::net::TcpListener;

/// Who is in which room under which name.
#[derive(Clone, Default)]
struct Names(Arc<Mutex<HashMap<(String, String), String>>>);

/// How to enter a room.
#[payload]
struct Entry {
    #[garde(length(min = 1, max = 32), pattern("^[a-z]+$"))]
    #[schemars(example = &"lobby")]
    room: String,
    #[garde(length(min = 1, max = 32))]
    #[schemars(example = &"Ada")]
    name: String,
}

/// Something to say in a room.
#[payload]
struct Words {
    #[garde(length(min = 1, max = 32), pattern("^[a-z]+$"))]
    #[schemars(example = &"lobby")]
    room: String,
    #[garde(length(min = 1, max = 280))]
    text: String,
}

/// What somebody said.
#[payload]
struct Said {
    name: String,
    text: String,
}

/// Enters a room; whatever is said there comes from now on.
#[send("chat.enter", reply = "chat.entered")]
async fn enter(Payload(entry): Payload<Entry>, client: Client, State(names): State<Names>) -> Result<String> {
    client.subscribe(&Topic::from(format!("chat:{}", entry.room))).await?;
    let welcome = format!("Welcome to {}, {}!", entry.room, entry.name);
    names.0.lock().expect("nobody panics with it").insert((client.id().to_string(), entry.room), entry.name);
    Ok(welcome)
}

/// Says something to everybody in a room; the reply is how many heard it.
#[send("chat.say", reply = "chat.heard")]
async fn say(Payload(words): Payload<Words>, client: Client, hub: Hub, State(names): State<Names>) -> Result<usize> {
    let name =
        names.0.lock().expect("nobody panics with it").get(&(client.id().to_string(), words.room.clone())).cloned();
    let name = name.ok_or_else(|| Error::new("not_in_room", format!("enter {} first", words.room)))?;
    Ok(hub.publish::<said>(&Topic::from(format!("chat:{}", words.room)), Said { name, text: words.text }))
}

/// What somebody said in a room.
#[recv("chat.said")]
fn said(said: Said) -> Said {
    said
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let names = Names::default();
    let ws = FastWs::builder().state(names.clone()).on_disconnect(move |client, _| {
        names.0.lock().expect("nobody panics with it").retain(|(id, _), _| *id != client.id().to_string());
        std::future::ready(())
    });
    let ws = ws.build()?;
    let docs = AsyncApi::new("Chat", "1.0.0").routes("/docs", &ws);
    let app = fastws::axum::Router::new().route("/ws", ws.route()).merge(docs);
    let listener = TcpListener::bind(std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into())).await?;
    eprintln!("http://{}/docs", listener.local_addr()?);
    Ok(serve(listener, app).with_graceful_shutdown(ws.shutdown_on(tokio::signal::ctrl_c())).await?)
}
