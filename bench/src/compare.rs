//! The comparison: all servers up at once, and rounds × workloads × servers, one after the other.

use std::collections::HashSet;
use std::io::{Write, stderr};
use std::time::Duration;

use fastws_bench::Result;
use serde::{Deserialize, Serialize};

use crate::servers::{self, Server, Spec};
use crate::workloads::{Finding, Kind, Pace, Workload};

/// This is what to compare.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) servers: Vec<Spec>,
    pub(crate) workloads: Vec<Workload>,
    pub(crate) rounds: usize,
    /// In how many of them connections come and stay, which takes long.
    pub(crate) rounds_of_staying: usize,
    pub(crate) pace: Pace,
}

/// This is everything that a comparison found; the report is a function of it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) machine: String,
    pub(crate) rounds: usize,
    /// What fastws printed of its limits.
    pub(crate) bounds: String,
    pub(crate) absent: Vec<Absence>,
    pub(crate) samples: Vec<Sample>,
}

/// This is a server that is missing, from everything or from one workload.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Absence {
    pub(crate) server: String,
    pub(crate) workload: Option<String>,
    pub(crate) reason: String,
}

/// This is one run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Sample {
    pub(crate) server: String,
    pub(crate) workload: String,
    pub(crate) round: usize,
    pub(crate) finding: Finding,
}

/// Runs a plan.
///
/// # Errors
/// A floor or fastws fails: a frame is lost, repeated or out of order, or nothing comes any more. A peer that fails is
/// recorded as absent, and not asked again.
pub(crate) fn compare(plan: &Plan) -> Result<Record> {
    let mut record = Record { machine: machine()?, rounds: plan.rounds, ..Record::default() };
    let mut running = Vec::new();
    for &spec in &plan.servers {
        match Server::start(spec) {
            Ok(server) => running.push(server),
            Err(reason) => record.miss(spec, None, reason)?,
        }
    }
    if let Some(fastws) = running.iter().find(|server| server.spec.key == "fastws") {
        record.bounds = fastws.first_words()?;
    }
    let mut failed = HashSet::new();
    for round in 0..plan.rounds {
        let is_due = |kind| !matches!(kind, Kind::Stay { .. }) || round < plan.rounds_of_staying;
        for workload in plan.workloads.iter().filter(|workload| is_due(workload.kind)) {
            writeln!(stderr(), "round {} of {}: {}", round + 1, plan.rounds, workload.title)?;
            for server in running.iter().filter(|server| server.spec.takes_part_in(workload.kind)) {
                let run = (server.spec.key, workload.key);
                if failed.contains(&run) {
                    continue;
                }
                let finding = match workload.kind {
                    Kind::Stay { .. } => Server::start(server.spec).and_then(|fresh| workload.run(&fresh, plan.pace)),
                    _ => workload.run(server, plan.pace),
                };
                match finding {
                    Ok(finding) => {
                        let (server, workload) = (run.0.to_owned(), run.1.to_owned());
                        record.samples.push(Sample { server, workload, round, finding });
                    }
                    Err(reason) => {
                        failed.insert(run);
                        record.miss(server.spec, Some(workload), reason)?;
                    }
                }
            }
        }
    }
    Ok(record)
}

impl Record {
    fn miss(&mut self, server: Spec, workload: Option<&Workload>, reason: Box<dyn std::error::Error>) -> Result<()> {
        let what = workload.map_or("everything", |workload| workload.title);
        let sentence = format!("{} is absent from {what}: {reason}", server.key);
        if server.is_essential() {
            return Err(sentence.into());
        }
        writeln!(stderr(), "{sentence}")?;
        self.absent.push(Absence {
            server: server.key.to_owned(),
            workload: workload.map(|workload| workload.key.to_owned()),
            reason: reason.to_string(),
        });
        Ok(())
    }
}

impl Plan {
    /// What `make bench` runs, or the part of it that fits into three minutes.
    pub(crate) fn new(is_quick: bool) -> Self {
        let all = crate::workloads::ALL.into_iter();
        let milliseconds =
            |warm, measured| Pace { warm: Duration::from_millis(warm), measured: Duration::from_millis(measured) };
        let (workloads, rounds, rounds_of_staying, pace) = if is_quick {
            let quick = all.filter(|workload| crate::workloads::QUICK.contains(&workload.key));
            (quick.collect(), 3, 1, milliseconds(100, 200))
        } else {
            (all.collect(), 7, 7, milliseconds(200, 500))
        };
        Self { servers: servers::ALL.to_vec(), workloads, rounds, rounds_of_staying, pace }
    }
}

fn machine() -> Result<String> {
    let processor = std::fs::read_to_string("/proc/cpuinfo")?;
    let processor = processor.lines().find(|line| line.starts_with("model name"));
    let processor = processor.and_then(|line| line.split(": ").nth(1)).unwrap_or("an unknown processor");
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    Ok(format!("{processor}, Linux {}", kernel.trim()))
}
