//! How long documents and clients of a large service take: 500 operations, and a hundred and more types that refer to
//! each other.

#![allow(unreachable_pub, reason = "the macro writes modules of a program")]

use std::io::{Write, stdout};
use std::time::Instant;

use fastws::{AsyncApi, Contract, FastWs, OperationRouter, Version, client, lint};

use fastws_bench::Result;

use crate::report::Spread;

/// Writes every document and client a number of times, and prints how long one takes.
pub fn run() -> Result<()> {
    let ws = service()?;
    let operations = ws.operations().len();
    let docs = AsyncApi::new("Large", "1.0.0").server("local", "ws://localhost:8000/ws");
    let contract = docs.contract(&ws);
    let mut out = stdout();
    writeln!(out, "{operations} operations, {} schemas, {ROUNDS} rounds", contract.schemas.len())?;
    for version in Version::ALL {
        let docs = docs.clone().asyncapi(version);
        report(&format!("AsyncAPI {version}, tree"), || {
            docs.document(&ws).as_object().map_or(0, serde_json::Map::len)
        })?;
        report(&format!("AsyncAPI {version}, JSON text"), || docs.json(&ws).len())?;
    }
    report("AsyncAPI 2.4.0, YAML text", || docs.yaml(&ws).len())?;
    let document = docs.document(&ws);
    report("read back", || Contract::of(&document).map_or(0, |contract| contract.requests.len()))?;
    report("lint", || lint(&document).len())?;
    report("TypeScript client", || client::typescript(&contract).len())?;
    report("Python client", || client::python(&contract).len())?;
    Ok(())
}

const ROUNDS: usize = 21;

fn report(what: &str, mut make: impl FnMut() -> usize) -> Result<()> {
    let mut size = 0;
    let times: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let begin = Instant::now();
            size = std::hint::black_box(make());
            begin.elapsed().as_secs_f64() * 1000.0
        })
        .collect();
    let spread = Spread::of(times).ok_or("nothing was measured")?;
    writeln!(stdout(), "{what:28} {spread} ms, size {size}")?;
    Ok(())
}

fn service() -> Result<FastWs> {
    Ok(FastWs::builder().include(desks()).build()?)
}

/// Types that all desks share.
mod types {
    use fastws::payload;

    /// Which way.
    #[payload]
    #[serde(rename_all = "snake_case")]
    pub enum Side {
        /// To own more.
        Buy,
        /// To own less.
        Sell,
    }

    /// An order as a client places it.
    #[payload]
    pub struct Order {
        /// What.
        #[garde(length(min = 1, max = 32))]
        #[schemars(example = &"AAPL")]
        pub symbol: String,
        /// Which way.
        pub side: Side,
        /// How much.
        #[garde(range(min = 0.01))]
        pub quantity: f64,
        /// The parts of it.
        #[serde(default)]
        pub legs: Vec<Leg>,
        /// A word.
        pub note: Option<String>,
    }

    /// A part of an order.
    #[payload]
    pub struct Leg {
        /// What.
        pub symbol: String,
        /// Which way.
        pub side: Side,
        /// How much of it for each of the whole.
        pub ratio: u32,
    }

    /// What became of an order.
    #[payload]
    pub struct Placed {
        /// Its number.
        pub id: u64,
        /// The order.
        pub order: Order,
        /// How far it is.
        pub state: Phase,
    }

    /// How far an order is.
    #[payload]
    #[serde(tag = "phase", rename_all = "snake_case")]
    pub enum Phase {
        /// It waits.
        Open {
            /// How much is left.
            left: f64,
        },
        /// It is done.
        Filled {
            /// The average price.
            price: f64,
        },
    }

    /// Names something.
    #[payload]
    pub struct Named {
        /// Its name.
        #[garde(length(min = 1, max = 32))]
        #[schemars(example = &"main")]
        pub name: String,
    }
}

/// Desks of ten operations each: four requests, and two topics of three.
macro_rules! desks {
    ($($desk:ident $orders:literal $phases:literal $ticket:literal $receipt:literal)*) => {
        $(mod $desk {
            use fastws::{Params, Payload, Updates, payload, recv, send, topic};

            use super::types::{Named, Order, Phase, Placed};

            /// An order at this desk.
            #[payload]
            #[schemars(rename = $ticket)]
            pub struct Ticket {
                /// The order.
                pub order: Order,
                /// For whom.
                pub account: String,
            }

            /// What became of it.
            #[payload]
            #[schemars(rename = $receipt)]
            pub struct Receipt {
                /// What was asked for.
                pub ticket: Ticket,
                /// How far it is.
                pub phase: Phase,
            }

            /// Places an order.
            #[send("place", reply = "placed")]
            pub async fn place(Payload(ticket): Payload<Ticket>) -> Receipt {
                Receipt { ticket, phase: Phase::Open { left: 1.0 } }
            }

            /// Looks an order up.
            #[send("find", reply = "found")]
            pub async fn find(Payload(_): Payload<Named>) -> Phase {
                Phase::Filled { price: 1.0 }
            }

            /// Cancels an order.
            #[send("cancel", reply = "cancelled")]
            pub async fn cancel(Payload(name): Payload<Named>) -> Named {
                name
            }

            /// A fill.
            #[recv("filled")]
            pub fn filled(placed: Placed) -> Placed {
                placed
            }

            /// The orders of one book.
            #[topic($orders)]
            pub async fn orders(Params(_): Params<Named>, updates: Updates<Placed>) {
                updates.ready();
                std::future::pending::<()>().await;
            }

            /// The phases of one order.
            #[topic($phases)]
            pub async fn phases(Params(_): Params<Named>, updates: Updates<Phase>) {
                updates.ready();
                std::future::pending::<()>().await;
            }
        })*

        fn desks() -> OperationRouter {
            OperationRouter::new()$(.include(
                OperationRouter::new()
                    .prefix(concat!(stringify!($desk), "."))
                    .add::<$desk::place>()
                    .add::<$desk::find>()
                    .add::<$desk::cancel>()
                    .add::<$desk::filled>()
                    .add::<$desk::orders>()
                    .add::<$desk::phases>(),
            ))*
        }
    };
}

desks! {
    a0 "a0-orders:{name}" "a0-phases:{name}" "TicketA0" "ReceiptA0"
    a1 "a1-orders:{name}" "a1-phases:{name}" "TicketA1" "ReceiptA1"
    a2 "a2-orders:{name}" "a2-phases:{name}" "TicketA2" "ReceiptA2"
    a3 "a3-orders:{name}" "a3-phases:{name}" "TicketA3" "ReceiptA3"
    a4 "a4-orders:{name}" "a4-phases:{name}" "TicketA4" "ReceiptA4"
    a5 "a5-orders:{name}" "a5-phases:{name}" "TicketA5" "ReceiptA5"
    a6 "a6-orders:{name}" "a6-phases:{name}" "TicketA6" "ReceiptA6"
    a7 "a7-orders:{name}" "a7-phases:{name}" "TicketA7" "ReceiptA7"
    a8 "a8-orders:{name}" "a8-phases:{name}" "TicketA8" "ReceiptA8"
    a9 "a9-orders:{name}" "a9-phases:{name}" "TicketA9" "ReceiptA9"
    b0 "b0-orders:{name}" "b0-phases:{name}" "TicketB0" "ReceiptB0"
    b1 "b1-orders:{name}" "b1-phases:{name}" "TicketB1" "ReceiptB1"
    b2 "b2-orders:{name}" "b2-phases:{name}" "TicketB2" "ReceiptB2"
    b3 "b3-orders:{name}" "b3-phases:{name}" "TicketB3" "ReceiptB3"
    b4 "b4-orders:{name}" "b4-phases:{name}" "TicketB4" "ReceiptB4"
    b5 "b5-orders:{name}" "b5-phases:{name}" "TicketB5" "ReceiptB5"
    b6 "b6-orders:{name}" "b6-phases:{name}" "TicketB6" "ReceiptB6"
    b7 "b7-orders:{name}" "b7-phases:{name}" "TicketB7" "ReceiptB7"
    b8 "b8-orders:{name}" "b8-phases:{name}" "TicketB8" "ReceiptB8"
    b9 "b9-orders:{name}" "b9-phases:{name}" "TicketB9" "ReceiptB9"
    c0 "c0-orders:{name}" "c0-phases:{name}" "TicketC0" "ReceiptC0"
    c1 "c1-orders:{name}" "c1-phases:{name}" "TicketC1" "ReceiptC1"
    c2 "c2-orders:{name}" "c2-phases:{name}" "TicketC2" "ReceiptC2"
    c3 "c3-orders:{name}" "c3-phases:{name}" "TicketC3" "ReceiptC3"
    c4 "c4-orders:{name}" "c4-phases:{name}" "TicketC4" "ReceiptC4"
    c5 "c5-orders:{name}" "c5-phases:{name}" "TicketC5" "ReceiptC5"
    c6 "c6-orders:{name}" "c6-phases:{name}" "TicketC6" "ReceiptC6"
    c7 "c7-orders:{name}" "c7-phases:{name}" "TicketC7" "ReceiptC7"
    c8 "c8-orders:{name}" "c8-phases:{name}" "TicketC8" "ReceiptC8"
    c9 "c9-orders:{name}" "c9-phases:{name}" "TicketC9" "ReceiptC9"
    d0 "d0-orders:{name}" "d0-phases:{name}" "TicketD0" "ReceiptD0"
    d1 "d1-orders:{name}" "d1-phases:{name}" "TicketD1" "ReceiptD1"
    d2 "d2-orders:{name}" "d2-phases:{name}" "TicketD2" "ReceiptD2"
    d3 "d3-orders:{name}" "d3-phases:{name}" "TicketD3" "ReceiptD3"
    d4 "d4-orders:{name}" "d4-phases:{name}" "TicketD4" "ReceiptD4"
    d5 "d5-orders:{name}" "d5-phases:{name}" "TicketD5" "ReceiptD5"
    d6 "d6-orders:{name}" "d6-phases:{name}" "TicketD6" "ReceiptD6"
    d7 "d7-orders:{name}" "d7-phases:{name}" "TicketD7" "ReceiptD7"
    d8 "d8-orders:{name}" "d8-phases:{name}" "TicketD8" "ReceiptD8"
    d9 "d9-orders:{name}" "d9-phases:{name}" "TicketD9" "ReceiptD9"
    e0 "e0-orders:{name}" "e0-phases:{name}" "TicketE0" "ReceiptE0"
    e1 "e1-orders:{name}" "e1-phases:{name}" "TicketE1" "ReceiptE1"
    e2 "e2-orders:{name}" "e2-phases:{name}" "TicketE2" "ReceiptE2"
    e3 "e3-orders:{name}" "e3-phases:{name}" "TicketE3" "ReceiptE3"
    e4 "e4-orders:{name}" "e4-phases:{name}" "TicketE4" "ReceiptE4"
    e5 "e5-orders:{name}" "e5-phases:{name}" "TicketE5" "ReceiptE5"
    e6 "e6-orders:{name}" "e6-phases:{name}" "TicketE6" "ReceiptE6"
    e7 "e7-orders:{name}" "e7-phases:{name}" "TicketE7" "ReceiptE7"
    e8 "e8-orders:{name}" "e8-phases:{name}" "TicketE8" "ReceiptE8"
    e9 "e9-orders:{name}" "e9-phases:{name}" "TicketE9" "ReceiptE9"
}
