//! Replies and errors of many types.
#![deny(warnings)]

use fastws::{Error, payload, send};

#[payload]
struct OrderResult {
    filled: bool,
}

#[payload]
struct PageResult<T> {
    items: Vec<T>,
}

#[payload]
enum Refusal {
    Closed,
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Closed => Self::new("market_closed", "the market is closed"),
        }
    }
}

enum Plain {
    Closed,
}

impl From<Plain> for Error {
    fn from(Plain::Closed: Plain) -> Self {
        Self::new("market_closed", "the market is closed")
    }
}

type Answer<T> = fastws::Result<T>;
type DeskResult = Result<u64, Plain>;

#[send("a", reply = "a.response")]
async fn ours() -> fastws::Result<u64> {
    Ok(7)
}

#[send("b", reply = "b.response")]
async fn own_error() -> Result<u64, Plain> {
    Err(Plain::Closed)
}

#[send("c", reply = "c.response")]
async fn own_error_that_serializes() -> Result<u64, Refusal> {
    Err(Refusal::Closed)
}

#[send("d", reply = "d.response")]
async fn a_payload_that_is_called_result() -> OrderResult {
    OrderResult { filled: true }
}

#[send("e", reply = "e.response")]
async fn a_page() -> PageResult<u64> {
    PageResult { items: vec![7] }
}

#[send("f", reply = "f.response")]
async fn alias() -> Answer<OrderResult> {
    Ok(OrderResult { filled: true })
}

#[send("g", reply = "g.response")]
async fn closed_alias() -> DeskResult {
    Ok(7)
}

#[send("h", reply = "h.response")]
async fn standard() -> std::io::Result<Vec<Option<(u64, String)>>> {
    Ok(Vec::new())
}

#[send("i")]
async fn nothing_fallible() -> Result<(), Refusal> {
    Err(Refusal::Closed)
}

#[send("k", reply = "k.response")]
async fn question_mark() -> fastws::Result<u64> {
    own_error().await?;
    Ok(own_error_that_serializes().await?)
}

fn main() {
    let ws = fastws::FastWs::builder().build().expect("a service");
    assert_eq!(ws.operations().iter().filter(|operation| operation.reply.is_some()).count(), 10);
}
