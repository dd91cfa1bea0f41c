//! Functions of many shapes, which stay callable.
#![deny(warnings)]

use fastws::{Client, Hub, OperationRouter, Payload, State, payload, recv, send};

#[payload]
pub struct Ping {
    r#type: String,
    timestamp: i64,
}

/// Answers with the time.
///
/// The rest is Markdown.
#[send("simple.ping", reply = "simple.pong")]
async fn ping(Payload(Ping { r#type, timestamp }): Payload<Ping>) -> i64 {
    let _ = r#type;
    timestamp
}

#[send("type", reply = "type.response")]
async fn r#type() -> u64 {
    7
}

#[deprecated = "use `ping`"]
#[send("old.ping")]
async fn old_ping() {}

#[send("older.ping")]
#[deprecated(since = "0.1.0", note = "use `ping`")]
async fn older_ping() {}

#[recv("old.alert")]
#[deprecated]
fn old_alert(level: u64) -> u64 {
    level
}

#[fastws::send("full.path", reply = "full.path.response", concurrent)]
async fn full_path(mut count: State<u64>) -> u64 {
    count.0 += 1;
    count.0
}

#[fastws::payload]
struct Empty {}

struct Flag(bool);

impl fastws::FromMessage for Flag {
    fn from_message(message: &fastws::Message) -> fastws::Result<Self> {
        Ok(Self(message.payload().is_some()))
    }
}

mod desk {
    pub(crate) mod orders {
        #[fastws::payload]
        pub(crate) struct Order {
            #[garde(length(min = 1, max = 12))]
            pub(crate) symbol: String,
        }

        /// Places an order.
        #[fastws::send("orders.place", reply = "orders.placed")]
        pub(crate) async fn place(fastws::Payload(order): fastws::Payload<Order>) -> Order {
            order
        }

        #[fastws::send("orders.forget")]
        pub(in crate::desk) async fn forget() {}
    }

    pub(crate) fn router() -> fastws::OperationRouter {
        fastws::OperationRouter::new().add::<orders::forget>()
    }
}

#[send("eight")]
async fn eight(_: Client, _: Hub, Flag(_): Flag, _: Flag, _: State<u64>, _: Client, _: Flag, _: Payload<Empty>) {}

#[send("explicit.unit")]
async fn explicit_unit() -> () {}

#[send("opaque", reply = "opaque.response")]
async fn opaque() -> impl fastws::private::serde::Serialize + fastws::private::schemars::JsonSchema {
    7_u64
}

fn main() {
    let _ = (ping(Payload(Ping { r#type: String::new(), timestamp: 7 })), r#type(), explicit_unit());
    let order = desk::orders::Order { symbol: "AAPL".into() };
    let _ = desk::orders::place(Payload(order));
    let router = OperationRouter::new().add::<r#type>().add::<ping>().add::<desk::orders::place>().add::<eight>();
    let ws = fastws::FastWs::builder().state(7_u64).include(router).include(desk::router()).build();
    assert_eq!(ws.expect("a service").operations().len(), 6);
}
