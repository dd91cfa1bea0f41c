//! A source that plays what a test tells it to, counts how often it runs and remembers what it told.
#![allow(dead_code, reason = "not every test needs all of it")]

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fastws::{Error, Params, Result, State, Updates, payload, topic};
use tokio::sync::Notify;

/// This is what a source does next.
#[derive(Clone, Debug)]
pub(crate) enum Cue {
    Ready,
    Snapshot(i64),
    Send(i64),
    /// Adds to a running sum. The first start's begins at 0, the second's at a million and so on.
    Add(i64),
    Pause(Duration),
    End,
    Fail(&'static str),
    FailForGood(&'static str),
    Panic,
}

/// This is what tests and sources share: the cues of every topic, and what became of its sources.
#[derive(Clone, Default)]
pub(crate) struct Stage(Arc<Shared>);

#[derive(Default)]
struct Shared {
    parts: Mutex<HashMap<String, Part>>,
    changed: Notify,
}

#[derive(Default)]
struct Part {
    cues: VecDeque<Cue>,
    runs: Runs,
    told: Vec<Told>,
}

/// This is what a source has told: the truth that subscribers have to arrive at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// Which start of the source told it.
    pub(crate) run: usize,
    pub(crate) is_snapshot: bool,
    /// What it told.
    pub(crate) value: i64,
    /// What the state was then.
    pub(crate) state: i64,
}

/// This counts the runs of one topic's source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Runs {
    pub(crate) started: usize,
    pub(crate) live: usize,
    /// How many were live at once, at most.
    pub(crate) most: usize,
}

impl Stage {
    fn parts(&self) -> MutexGuard<'_, HashMap<String, Part>> {
        self.0.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the source of `symbol` what to do, now or when it starts.
    pub(crate) fn cue(&self, symbol: &str, cues: impl IntoIterator<Item = Cue>) {
        self.parts().entry(symbol.to_owned()).or_default().cues.extend(cues);
        self.0.changed.notify_waiters();
    }

    pub(crate) fn runs(&self, symbol: &str) -> Runs {
        self.parts().get(symbol).map(|part| part.runs).unwrap_or_default()
    }

    pub(crate) fn told(&self, symbol: &str) -> Vec<Told> {
        self.parts().get(symbol).map(|part| part.told.clone()).unwrap_or_default()
    }

    fn tell(&self, run: &Run, is_snapshot: bool, value: i64, state: i64) {
        if let Some(part) = self.parts().get_mut(&run.symbol) {
            part.told.push(Told { run: run.number, is_snapshot, value, state });
        }
    }

    fn enter(&self, symbol: &str) -> Run {
        let mut parts = self.parts();
        let runs = &mut parts.entry(symbol.to_owned()).or_default().runs;
        runs.started += 1;
        runs.live += 1;
        runs.most = runs.most.max(runs.live);
        Run { stage: self.clone(), symbol: symbol.to_owned(), number: runs.started }
    }

    async fn next(&self, symbol: &str) -> Cue {
        loop {
            let changed = self.0.changed.notified();
            if let Some(cue) = self.parts().get_mut(symbol).and_then(|part| part.cues.pop_front()) {
                return cue;
            }
            changed.await;
        }
    }
}

/// This is one run of a source; its end is counted however it ends.
struct Run {
    stage: Stage,
    symbol: String,
    number: usize,
}

impl Drop for Run {
    fn drop(&mut self) {
        if let Some(part) = self.stage.parts().get_mut(&self.symbol) {
            part.runs.live -= 1;
        }
    }
}

/// What to subscribe to; `above` is the subscriber's own.
#[payload]
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) symbol: String,
    #[serde(default)]
    pub(crate) above: Option<i64>,
}

#[payload]
#[derive(Clone, Debug)]
pub(crate) struct Price {
    pub(crate) price: i64,
    /// What the source knows of the request's `above`.
    pub(crate) above: Option<i64>,
}

/// Lets through what is above the subscriber's threshold.
fn above(wish: &Wish) -> impl FnMut(&Price) -> bool + use<> {
    let threshold = wish.above.unwrap_or(i64::MIN);
    move |price| price.price > threshold
}

#[topic("prices:{symbol}", shape = above)]
pub(crate) async fn prices(
    Params(wish): Params<Wish>,
    updates: Updates<Price>,
    State(stage): State<Stage>,
) -> Result<()> {
    let run = stage.enter(&wish.symbol);
    let mut sum = 1_000_000 * (run.number as i64 - 1);
    loop {
        let price = |price| Price { price, above: wish.above };
        match stage.next(&run.symbol).await {
            Cue::Ready => updates.ready(),
            Cue::Snapshot(value) => {
                stage.tell(&run, true, value, value);
                updates.snapshot(price(value));
            }
            Cue::Send(value) => {
                stage.tell(&run, false, value, value);
                updates.send(price(value));
            }
            Cue::Add(value) => {
                sum += value;
                stage.tell(&run, false, value, sum);
                updates.send_change(price(value), &price(sum));
            }
            Cue::Pause(time) => tokio::time::sleep(time).await,
            Cue::End => return Ok(()),
            Cue::Fail(message) => return Err(Error::new("no_feed", message)),
            Cue::FailForGood(message) => return Err(Error::new("no_feed", message).permanent()),
            // Without the hook, which would print it.
            Cue::Panic => std::panic::resume_unwind(Box::new("told to")),
        }
    }
}
