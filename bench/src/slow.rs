//! What clients that never read do to the others: nothing, is the claim.
//!
//! The same bars are published to the same readers twice, without and with subscribers that never read. The second time,
//! the readers' latency may be at most half as much again, the server's memory stays below the sum of what the outboxes
//! of the silent ones may hold, and all of those are ended with 4102.

use std::io::{Write, stdout};
use std::time::{Duration, Instant};

use fastws_bench::Result;
use fastws_bench::frames::{TEXT, push_client_frame};
use serde::Serialize;

use crate::dialect::{Dialect, FIRST};
use crate::load::{Latencies, Reading, Swarm, number};
use crate::measure::{kernel_tcp_bytes, resident_bytes, wait_until_quiet};
use crate::servers::{Server, Spec};

/// These are the measures of the test.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How many connections read what they get.
    #[arg(long, default_value_t = 9_000)]
    readers: usize,
    /// How many never read.
    #[arg(long, default_value_t = 1_000)]
    silent: usize,
    /// How many bars are published at a time.
    #[arg(long, default_value_t = 8)]
    pending: usize,
    /// How many milliseconds lie between two publications.
    #[arg(long, default_value_t = 150)]
    every: u64,
    /// How many seconds the readers' latency is measured without silent ones, and at least with them.
    #[arg(long, default_value_t = 15)]
    seconds: u64,
    /// How many seconds the silent ones may take to be ended.
    #[arg(long, default_value_t = 90)]
    patience: u64,
}

/// This is what the test found, in one line.
#[derive(Debug, Serialize)]
struct Finding {
    p50_us_without: u32,
    p99_us_without: u32,
    p50_us_with: u32,
    p99_us_with: u32,
    p99_ratio: f64,
    /// How much memory the server gained at most from the silent ones, and what their outboxes may hold.
    server_bytes: u64,
    outbox_bytes: u64,
    /// How much the kernel held at most for all sockets of this machine.
    kernel_tcp_bytes: u64,
    silent: usize,
    /// How many of them the server has ended with 4102, and after how long all of them.
    ended_as_too_slow: u64,
    seconds_until_ended: Option<f64>,
    passed: bool,
}

/// Runs the test, and prints what it found.
///
/// # Errors
/// A claim does not hold, or a reader does not get exactly what was published.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let without = Phase::run(arguments, 0)?;
    let with = Phase::run(arguments, arguments.silent)?;
    let mut finding = Finding {
        p50_us_without: without.p50_us,
        p99_us_without: without.p99_us,
        p50_us_with: with.p50_us,
        p99_us_with: with.p99_us,
        p99_ratio: f64::from(with.p99_us) / f64::from(without.p99_us),
        server_bytes: with.server_bytes.saturating_sub(without.server_bytes),
        outbox_bytes: (arguments.silent * fastws::Limits::default().outbox_bytes) as u64,
        kernel_tcp_bytes: with.kernel_tcp_bytes,
        silent: arguments.silent,
        ended_as_too_slow: with.ended_as_too_slow,
        seconds_until_ended: with.seconds_until_ended,
        passed: false,
    };
    finding.passed = finding.p99_ratio <= 1.5
        && finding.server_bytes < finding.outbox_bytes
        && finding.ended_as_too_slow == arguments.silent as u64;
    writeln!(stdout(), "{}", serde_json::to_string(&finding)?)?;
    if finding.passed { Ok(()) } else { Err("clients that never read do harm".into()) }
}

/// This is one of the two halves.
#[derive(Default)]
struct Phase {
    p50_us: u32,
    p99_us: u32,
    server_bytes: u64,
    kernel_tcp_bytes: u64,
    ended_as_too_slow: u64,
    seconds_until_ended: Option<f64>,
}

impl Phase {
    fn run(arguments: &Arguments, silent: usize) -> Result<Self> {
        let server = Server::start(Spec::find("fastws").ok_or("fastws is not among the servers")?)?;
        let mut swarm = Swarm::connect(server.port, Dialect::Envelope, arguments.readers + 1)?;
        swarm.add(silent, Reading::Never)?;
        subscribe(&mut swarm, arguments.readers, silent)?;
        wait_until_quiet(server.id())?;

        let publisher = arguments.readers;
        let memory = resident_bytes(server.id())?;
        let mut phase = Self::default();
        let mut latencies = Latencies::default();
        let mut next = vec![FIRST; arguments.readers];
        let mut published = FIRST;
        let begun = Instant::now();
        let seconds = Duration::from_secs;
        while begun.elapsed() < seconds(arguments.seconds)
            || phase.ended_as_too_slow < silent as u64 && begun.elapsed() < seconds(arguments.patience)
        {
            let mut frames = Vec::new();
            for sequence in (published..).take(arguments.pending) {
                push_client_frame(&mut frames, TEXT, Dialect::Envelope.publish(0, sequence).as_bytes());
            }
            push_client_frame(&mut frames, TEXT, ENDINGS.as_bytes());
            published += arguments.pending as u64;
            let sent = Instant::now();
            swarm.send(publisher, &frames)?;
            let mut behind = arguments.readers;
            let mut is_counted = false;
            swarm.receive_until(|at, text| {
                if at == publisher {
                    // Absent as long as there is none.
                    phase.ended_as_too_slow = number(text, "\"4102\"").unwrap_or(0);
                    is_counted = true;
                } else {
                    if number(text, "\"seq\"") != Some(next[at]) {
                        return Err(format!("{} was due, not {}", next[at], String::from_utf8_lossy(text)).into());
                    }
                    next[at] += 1;
                    latencies.record(sent);
                    behind -= usize::from(next[at] == published);
                }
                Ok(is_counted && behind == 0)
            })?;
            phase.server_bytes = phase.server_bytes.max(resident_bytes(server.id())?.saturating_sub(memory));
            phase.kernel_tcp_bytes = phase.kernel_tcp_bytes.max(kernel_tcp_bytes()?);
            if silent > 0 && phase.ended_as_too_slow == silent as u64 && phase.seconds_until_ended.is_none() {
                phase.seconds_until_ended = Some(begun.elapsed().as_secs_f64());
            }
            std::thread::sleep(Duration::from_millis(arguments.every).saturating_sub(sent.elapsed()));
        }
        (phase.p50_us, phase.p99_us) = (latencies.quantile(0.5), latencies.quantile(0.99));
        Ok(phase)
    }
}

/// Subscribes everybody but the publisher, who comes after the readers.
fn subscribe(swarm: &mut Swarm, readers: usize, silent: usize) -> Result<()> {
    let mut frame = Vec::new();
    push_client_frame(&mut frame, TEXT, Dialect::Envelope.subscribe(0).as_bytes());
    (readers + 1..=readers + silent).try_for_each(|at| swarm.send(at, &frame))?;
    for first in (0..readers).step_by(64) {
        let last = readers.min(first + 64);
        (first..last).try_for_each(|at| swarm.send(at, &frame))?;
        let mut missing = last - first;
        swarm.receive_until(|_, _| {
            missing -= 1;
            Ok(missing == 0)
        })?;
    }
    Ok(())
}

const ENDINGS: &str = r#"{"type":"endings"}"#;
