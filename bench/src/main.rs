//! Measures fastws against the floor and its peers. `make bench` runs `fastws-bench run`.

mod compare;
mod dialect;
mod documents;
mod load;
mod measure;
mod plot;
mod report;
mod servers;
mod slow;
mod workloads;

use std::fs;
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};
use compare::{Plan, Record};
use fastws_bench::{Result, stage};

/// Measures fastws against the physical floor and against its peers.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Compares all servers, and writes RESULTS.md and RESULTS.svg.
    Run {
        /// Fewer workloads and rounds, in less than three minutes; only prints.
        #[arg(long)]
        quick: bool,
        /// How many rounds.
        #[arg(long)]
        rounds: Option<usize>,
        /// Only these servers, by key, as in `floor,fastws`; only prints.
        #[arg(long, value_delimiter = ',')]
        only: Vec<String>,
        /// Only these workloads, by key, as in `w1-1000,w3`; only prints.
        #[arg(long, value_delimiter = ',')]
        workloads: Vec<String>,
    },
    /// Writes the report again, from what the last comparison found.
    Report,
    /// Shows what clients that never read do to the others.
    Slow(slow::Arguments),
    /// Shows how long documents and clients of 500 operations take.
    Documents,
}

fn main() -> Result<()> {
    stage::allow_many_files()?;
    match Arguments::parse().command {
        Command::Run { quick, rounds, only, workloads } => {
            let is_whole = !quick && only.is_empty() && workloads.is_empty();
            let mut plan = Plan::new(quick);
            plan.rounds = rounds.unwrap_or(plan.rounds);
            if !workloads.is_empty() {
                plan.workloads = workloads::ALL.to_vec();
                keep(&mut plan.workloads, &workloads, |workload| workload.key)?;
            }
            if !only.is_empty() {
                keep(&mut plan.servers, &only, |server| server.key)?;
            }
            let record = compare::compare(&plan)?;
            fs::write(recorded()?, serde_json::to_string(&record)?)?;
            writeln!(stdout(), "{}", report::markdown(&record))?;
            if is_whole { publish(&record) } else { Ok(()) }
        }
        Command::Report => publish(&serde_json::from_str(&fs::read_to_string(recorded()?)?)?),
        Command::Slow(arguments) => slow::run(&arguments),
        Command::Documents => documents::run(),
    }
}

/// Keeps what is named.
fn keep<T>(all: &mut Vec<T>, names: &[String], key: impl Fn(&T) -> &str) -> Result<()> {
    if let Some(unknown) = names.iter().find(|name| !all.iter().any(|one| key(one) == *name)) {
        let known: Vec<_> = all.iter().map(key).collect();
        return Err(format!("there is no `{unknown}` among {}", known.join(", ")).into());
    }
    all.retain(|one| names.iter().any(|name| name == key(one)));
    Ok(())
}

/// Where the last comparison is kept.
fn recorded() -> Result<PathBuf> {
    Ok(servers::folder()?.join("fastws-bench.json"))
}

fn publish(record: &Record) -> Result<()> {
    let bench = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::write(bench.join("RESULTS.md"), report::markdown(record))?;
    fs::write(bench.join("RESULTS.svg"), plot::svg(record))?;
    Ok(())
}
