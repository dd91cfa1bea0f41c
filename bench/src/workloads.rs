//! What is asked of every server, and what it cost.

use std::time::{Duration, Instant};

use fastws_bench::Result;
use fastws_bench::frames::{TEXT, push_client_frame};
use serde::{Deserialize, Serialize};

use crate::dialect::FIRST;
use crate::load::{Latencies, Swarm, number};
use crate::measure::{cpu_ns, resident_bytes, wait_until_quiet};
use crate::servers::Server;

/// This is one row of the plan.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Workload {
    pub(crate) key: &'static str,
    pub(crate) title: &'static str,
    /// The server that all others are compared with.
    pub(crate) baseline: &'static str,
    pub(crate) kind: Kind,
}

/// This is a kind of work.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// One connection publishes `pending` bars at a time, to one topic after the other; the unit is a delivered frame.
    Publish { topics: usize, connections: usize, topics_of_each: usize, pending: usize },
    /// All connections ask `depth` questions at a time; the unit is an answer.
    Ask { connections: usize, depth: usize },
    /// Connections come and stay; the unit is an accepted upgrade.
    Stay { connections: usize },
}

/// All workloads, in the order in which they run.
pub(crate) const ALL: [Workload; 10] = [
    publish("w1-100", "W1, N = 100", 100, 1),
    publish("w1-1000", "W1, N = 1,000", 1_000, 1),
    publish("w1-10000", "W1, N = 10,000", 10_000, 1),
    publish("w1-pending", "W1, N = 1,000, 16 pending", 1_000, 16),
    ask("w2-1", "W2, 1 connection", 1, 1),
    ask("w2-64", "W2, 64 connections", 64, 1),
    ask("w2-64-deep", "W2, 64 connections, depth 16", 64, 16),
    ask("w2-1000", "W2, 1,000 connections", 1_000, 1),
    Workload {
        key: "w4",
        title: "W4, 10,000 topics, 64 pending",
        baseline: "floor-coalesced",
        kind: Kind::Publish { topics: 10_000, connections: 1_000, topics_of_each: 30, pending: 64 },
    },
    Workload { key: "w3", title: "W3, 10,000 idle", baseline: "floor", kind: Kind::Stay { connections: 10_000 } },
];

/// What `--quick` runs.
pub(crate) const QUICK: [&str; 6] = ["w1-1000", "w1-pending", "w2-64", "w2-64-deep", "w4", "w3"];

const fn publish(key: &'static str, title: &'static str, connections: usize, pending: usize) -> Workload {
    let kind = Kind::Publish { topics: 1, connections, topics_of_each: 1, pending };
    Workload { key, title, baseline: "floor", kind }
}

const fn ask(key: &'static str, title: &'static str, connections: usize, depth: usize) -> Workload {
    Workload { key, title, baseline: "floor-json", kind: Kind::Ask { connections, depth } }
}

/// This is how long a run takes, once everybody is connected.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) warm: Duration,
    pub(crate) measured: Duration,
}

/// This is what one run found.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Finding {
    /// The server's CPU time for each unit of work, in nanoseconds.
    pub(crate) cpu_ns: f64,
    /// Until the last delivery of a publication, or the last answer to a connection's questions, in microseconds.
    pub(crate) p50_us: u32,
    pub(crate) p99_us: u32,
    /// The server's memory for each connection: when it has just come, and after it has asked one question.
    pub(crate) bytes_fresh: Option<f64>,
    pub(crate) bytes_used: Option<f64>,
}

impl Workload {
    /// Runs against a server that has nothing else to do.
    pub(crate) fn run(&self, server: &Server, pace: Pace) -> Result<Finding> {
        match self.kind {
            Kind::Publish { topics, connections, topics_of_each, pending } => {
                run_publish(server, pace, Audience::new(topics, connections, topics_of_each), pending)
            }
            Kind::Ask { connections, depth } => run_ask(server, pace, connections, depth),
            Kind::Stay { connections } => run_stay(server, connections),
        }
    }
}

fn run_publish(server: &Server, pace: Pace, mut audience: Audience, pending: usize) -> Result<Finding> {
    let publisher = audience.connections;
    let mut swarm = Swarm::connect(server.port, server.spec.dialect, audience.connections + 1)?;
    audience.subscribe(&mut swarm, server)?;
    let mut meter = Meter::new(server, pace)?;
    let mut publication = 0;
    let mut frames = Vec::new();
    while meter.goes_on()? {
        frames.clear();
        for _ in 0..pending {
            let (topic, sequence) = audience.address(publication);
            let text = server.spec.dialect.publish(topic, sequence);
            push_client_frame(&mut frames, TEXT, text.as_bytes());
            publication += 1;
        }
        let begun = Instant::now();
        swarm.send(publisher, &frames)?;
        let expected = pending * audience.subscribers_of_each();
        let mut missing = expected;
        swarm.receive_until(|at, text| {
            audience.check(at, text)?;
            missing = missing.checked_sub(1).ok_or("a frame came that nobody published")?;
            Ok(missing == 0)
        })?;
        meter.add(expected, [begun]);
    }
    swarm.receive(Duration::from_millis(5), |_, _| Err("a frame came that nobody published".into()))?;
    meter.finding()
}

/// These are the subscribers, and what each has to get next.
///
/// The bar of round r on topic t carries the number r × topics + t: so a number that is lost, repeated, out of order or
/// with the wrong subscriber shows, whatever order a server keeps between topics.
struct Audience {
    topics: usize,
    connections: usize,
    topics_of_each: usize,
    /// The next round of each subscription.
    rounds: Vec<u64>,
}

impl Audience {
    fn new(topics: usize, connections: usize, topics_of_each: usize) -> Self {
        assert_eq!(connections * topics_of_each % topics, 0, "all topics have as many subscribers");
        Self { topics, connections, topics_of_each, rounds: vec![0; connections * topics_of_each] }
    }

    fn subscribers_of_each(&self) -> usize {
        self.connections * self.topics_of_each / self.topics
    }

    fn subscribe(&self, swarm: &mut Swarm, server: &Server) -> Result<()> {
        let mut frames = Vec::new();
        // A connection may have few requests in flight, and a socket has little room.
        for chunk in (0..self.connections).collect::<Vec<_>>().chunks(64) {
            for &connection in chunk {
                frames.clear();
                for held in 0..self.topics_of_each {
                    let topic = (connection * self.topics_of_each + held) % self.topics;
                    push_client_frame(&mut frames, TEXT, server.spec.dialect.subscribe(topic).as_bytes());
                }
                swarm.send(connection, &frames)?;
            }
            let mut missing = chunk.len() * self.topics_of_each;
            swarm.receive_until(|_, text| {
                if memchr::memmem::find(text, b"sub.response").is_none() {
                    return Err(format!("not an answer: {}", String::from_utf8_lossy(text)).into());
                }
                missing -= 1;
                Ok(missing == 0)
            })?;
        }
        Ok(())
    }

    /// The topic and the number of a publication.
    fn address(&self, publication: usize) -> (usize, u64) {
        // A prime leads through all topics before it comes to one again, and far apart.
        let topic = publication * 7919 % self.topics;
        (topic, FIRST + (publication / self.topics * self.topics + topic) as u64)
    }

    /// Holds a frame against what its connection has to get.
    fn check(&mut self, connection: usize, text: &[u8]) -> Result<()> {
        let wrong = |what: &str| format!("{what}: {}", String::from_utf8_lossy(text));
        // The number is at the end, whatever the dialect.
        let tail = &text[text.len().saturating_sub(32)..];
        let number = number(tail, "\"seq\"").and_then(|number| number.checked_sub(FIRST));
        let number = number.ok_or_else(|| wrong("not an update"))?;
        let (round, topic) = (number / self.topics as u64, (number % self.topics as u64) as usize);
        let first_held = connection * self.topics_of_each;
        let held = (topic + self.topics - first_held % self.topics) % self.topics;
        if connection >= self.connections || held >= self.topics_of_each {
            return Err(wrong("an update for somebody else").into());
        }
        let expected = &mut self.rounds[first_held + held];
        if round != *expected {
            return Err(wrong(&format!("lost, repeated or out of order; {expected} was due, not {round}")).into());
        }
        *expected += 1;
        Ok(())
    }
}

fn run_ask(server: &Server, pace: Pace, connections: usize, depth: usize) -> Result<Finding> {
    let mut swarm = Swarm::connect(server.port, server.spec.dialect, connections)?;
    let mut questions = Vec::new();
    for id in (FIRST..).take(depth) {
        push_client_frame(&mut questions, TEXT, server.spec.dialect.ask(id).as_bytes());
    }
    let mut answered = vec![0; connections];
    let mut asked_at = vec![Instant::now(); connections];
    let mut ready: Vec<usize> = (0..connections).collect();
    let mut waiting = 0;
    let mut meter = Meter::new(server, pace)?;
    loop {
        let goes_on = meter.goes_on()?;
        for at in ready.drain(..).filter(|_| goes_on) {
            asked_at[at] = Instant::now();
            answered[at] = 0;
            swarm.send(at, &questions)?;
            waiting += 1;
        }
        if waiting == 0 {
            return meter.finding();
        }
        let mut answers = 0;
        let is_silent = !swarm.receive(Duration::from_secs(10), |at, text| {
            let id = number(text, "\"id\"").and_then(|id| id.checked_sub(FIRST));
            if id != Some(answered[at]) {
                return Err(format!("not the answer to {}: {}", answered[at], String::from_utf8_lossy(text)).into());
            }
            answers += 1;
            answered[at] += 1;
            if answered[at] == depth as u64 {
                ready.push(at);
            }
            Ok(())
        })?;
        if is_silent {
            return Err("the server does not answer any more".into());
        }
        waiting -= ready.len();
        if goes_on {
            meter.add(answers, ready.iter().map(|&at| asked_at[at]));
        }
    }
}

/// Needs a server that has just started: memory that was used before would be used again.
fn run_stay(server: &Server, connections: usize) -> Result<Finding> {
    let dialect = server.spec.dialect;
    let mut question = Vec::new();
    push_client_frame(&mut question, TEXT, dialect.ask(FIRST).as_bytes());
    let mut first = Swarm::connect(server.port, dialect, 1)?;
    first.send(0, &question)?;
    first.receive_until(|_, _| Ok(true))?;
    wait_until_quiet(server.id())?;

    let (cpu, memory) = (cpu_ns(server.id())?, resident_bytes(server.id())?);
    let mut swarm = Swarm::connect(server.port, dialect, connections)?;
    wait_until_quiet(server.id())?;
    let (cpu_after, memory_fresh) = (cpu_ns(server.id())?, resident_bytes(server.id())?);

    for at in 0..connections {
        swarm.send(at, &question)?;
        swarm.receive_until(|_, text| Ok(number(text, "\"id\"") == Some(FIRST)))?;
    }
    wait_until_quiet(server.id())?;
    let memory_used = resident_bytes(server.id())?;
    let each = |total: u64| total as f64 / connections as f64;
    Ok(Finding {
        cpu_ns: each(cpu_after - cpu),
        bytes_fresh: Some(each(memory_fresh.saturating_sub(memory))),
        bytes_used: Some(each(memory_used.saturating_sub(memory))),
        ..Finding::default()
    })
}

/// This counts work and the server's CPU time, once the server is warm.
struct Meter {
    server: u32,
    pace: Pace,
    begun: Instant,
    /// The server's CPU time when the measurement began.
    cpu_before: Option<u64>,
    cpu_after: u64,
    units: usize,
    latencies: Latencies,
}

impl Meter {
    fn new(server: &Server, pace: Pace) -> Result<Self> {
        wait_until_quiet(server.id())?;
        let latencies = Latencies::default();
        Ok(Self {
            server: server.id(),
            pace,
            begun: Instant::now(),
            cpu_before: None,
            cpu_after: 0,
            units: 0,
            latencies,
        })
    }

    /// Says whether there is more to do; call it before every piece of work.
    fn goes_on(&mut self) -> Result<bool> {
        let elapsed = self.begun.elapsed();
        if self.cpu_before.is_none() && elapsed > self.pace.warm {
            self.cpu_before = Some(cpu_ns(self.server)?);
        }
        let is_over = self.units > 0 && elapsed > self.pace.warm + self.pace.measured;
        if is_over && self.cpu_after == 0 {
            self.cpu_after = cpu_ns(self.server)?;
        }
        Ok(!is_over)
    }

    /// A piece of work is done, and so is what began at these times.
    fn add(&mut self, units: usize, begun: impl IntoIterator<Item = Instant>) {
        if self.cpu_before.is_some() {
            self.units += units;
            begun.into_iter().for_each(|begun| self.latencies.record(begun));
        }
    }

    fn finding(mut self) -> Result<Finding> {
        let before = self.cpu_before.ok_or("the run ended before the server was warm")?;
        Ok(Finding {
            cpu_ns: (self.cpu_after - before) as f64 / self.units as f64,
            p50_us: self.latencies.quantile(0.5),
            p99_us: self.latencies.quantile(0.99),
            ..Finding::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Dialect;

    fn update(audience: &Audience, publication: usize) -> Vec<u8> {
        let (topic, sequence) = audience.address(publication);
        Dialect::Envelope.publish(topic, sequence).into_bytes()
    }

    #[test]
    fn updates_in_order_pass_and_everything_else_shows() {
        let mut audience = Audience::new(1, 2, 1);
        let [first, second] = [0, 1].map(|publication| update(&audience, publication));
        audience.check(0, &first).expect("it is the first");
        audience.check(0, &second).expect("it is the second");
        audience.check(0, &second).expect_err("it is repeated");
        audience.check(1, &second).expect_err("the first is lost");
        audience.check(2, &first).expect_err("the publisher is not subscribed");
    }

    #[test]
    fn an_update_of_a_topic_that_somebody_else_holds_shows() {
        let mut audience = Audience::new(10, 5, 4);
        let update = update(&audience, 0);
        audience.check(0, &update).expect("0 holds topics 0 to 3");
        audience.check(1, &update).expect_err("1 holds topics 4 to 7");
        audience.check(2, &update).expect("2 holds topics 8, 9, 0 and 1");
    }
}
