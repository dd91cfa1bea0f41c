//! Topics of many shapes, with arguments of their own.
#![deny(warnings)]

use fastws::{FromTopic, Hub, Params, Result, Start, State, SubscribeRequest, Updates, Wanted, payload, topic};

#[payload]
#[derive(Clone)]
struct Bars {
    symbol: String,
    r#type: u32,
    #[serde(default)]
    depth: Option<u32>,
}

#[payload]
struct Bar {
    close: f64,
}

struct Name(String);

impl FromTopic for Name {
    fn from_topic(start: &Start) -> Result<Self> {
        Ok(Self(start.topic().to_owned()))
    }
}

/// Bars of one symbol.
#[topic("bars:{symbol}:{type}", tags = ["market data"], example = {"symbol": "AAPL", "type": 1}, update_example = {"close": 1.5})]
async fn bars(
    Params(wanted): Params<Bars>,
    Name(name): Name,
    State(price): State<f64>,
    _hub: Hub,
    updates: Updates<Bar>,
) -> Result<()> {
    let _ = (wanted.symbol, wanted.r#type, wanted.depth, name);
    updates.send(Bar { close: price });
    Ok(())
}

#[topic("clock")]
async fn clock(updates: Updates<u64>) {
    updates.send(7);
}

#[payload]
struct Several {
    symbols: Vec<String>,
}

impl SubscribeRequest<Bars> for Several {
    fn wanted(&self) -> Result<Vec<Wanted<Bars>>> {
        let wanted = |(index, symbol): (usize, &String)| {
            Wanted::at(format!("/symbols/{index}"), Bars { symbol: symbol.clone(), r#type: 1, depth: None })
        };
        Ok(self.symbols.iter().enumerate().map(wanted).collect())
    }
}

fn above_zero(_: &Several) -> impl FnMut(&Bar) -> bool + use<> {
    |bar| bar.close > 0.0
}

#[deprecated]
#[fastws::topic("many:{symbol}:{type}", request = Several, shape = above_zero)]
pub(crate) async fn many(Params(_): Params<Bars>, updates: Updates<Bar>) -> Result<()> {
    updates.ready();
    Ok(())
}

fn main() {
    let ws = fastws::FastWs::builder().state(1.5).build().expect("a service");
    assert_eq!(ws.operations().len(), 10);
}
