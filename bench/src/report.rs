//! What a comparison says: ratios within a round, their medians, and the targets.

use std::fmt::Write;

use crate::compare::{Record, Sample};
use crate::servers::{self, Spec};
use crate::workloads::{self, Finding, Kind, Workload};

/// This is the middle of some numbers, and the range of their inner half.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
}

impl Spread {
    /// Median and quartiles, interpolated; `None` of nothing.
    pub(crate) fn of(mut numbers: Vec<f64>) -> Option<Self> {
        numbers.sort_by(f64::total_cmp);
        let last = numbers.len().checked_sub(1)?;
        let at = |share: f64| {
            let place = share * last as f64;
            let (below, above) = (numbers[place.floor() as usize], numbers[place.ceil() as usize]);
            below + (above - below) * place.fract()
        };
        Some(Self { low: at(0.25), median: at(0.5), high: at(0.75) })
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { low, median, high } = *self;
        write!(f, "{} ({}–{})", short(median), short(low), short(high))
    }
}

/// A number with as many digits as are worth reading.
pub(crate) fn short(number: f64) -> String {
    match number {
        0.0..0.0995 => format!("{number:.3}"),
        0.0..9.995 => format!("{number:.2}"),
        0.0..99.95 => format!("{number:.1}"),
        _ => thousands(number.round() as u64),
    }
}

fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let groups = (first..digits.len()).step_by(3).map(|at| &digits[at..at + 3]);
    let head = Some(&digits[..first]).filter(|head| !head.is_empty());
    head.into_iter().chain(groups).collect::<Vec<_>>().join(",")
}

impl Record {
    fn of<'a>(&'a self, workload: &'a str, server: &'a str) -> impl Iterator<Item = &'a Sample> {
        self.samples.iter().filter(move |sample| sample.workload == workload && sample.server == server)
    }

    /// A server's CPU time for each unit of work, as a ratio to another's in the same round.
    pub(crate) fn ratio(&self, workload: &str, server: &str, other: &str) -> Option<Spread> {
        let ratio = |sample: &Sample| {
            let other = self.of(workload, other).find(|other| other.round == sample.round)?;
            Some(sample.finding.cpu_ns / other.finding.cpu_ns)
        };
        Spread::of(self.of(workload, server).filter_map(ratio).collect())
    }

    /// Something else that was found, over all rounds.
    pub(crate) fn spread(
        &self,
        workload: &str,
        server: &str,
        what: impl Fn(&Finding) -> Option<f64>,
    ) -> Option<Spread> {
        Spread::of(self.of(workload, server).filter_map(|sample| what(&sample.finding)).collect())
    }

    fn has(&self, workload: &Workload) -> bool {
        self.samples.iter().any(|sample| sample.workload == workload.key)
    }

    /// The servers that took part in anything.
    pub(crate) fn servers(&self) -> Vec<Spec> {
        let took_part = |spec: &Spec| self.samples.iter().any(|sample| sample.server == spec.key);
        servers::ALL.into_iter().filter(took_part).collect()
    }

    fn workloads(&self, is_wanted: impl Fn(Kind) -> bool) -> Vec<Workload> {
        workloads::ALL.into_iter().filter(|workload| is_wanted(workload.kind) && self.has(workload)).collect()
    }
}

/// The whole report.
pub(crate) fn markdown(record: &Record) -> String {
    let mut out = format!(
        "# Results\n\n\
         Server CPU time for each unit of work, as a ratio to the floor *in the same round*: lower is better, and 1.00 \
         is one\n`send()` of ready bytes for each socket from a bare epoll loop. Median of {} rounds, and in brackets \
         the range of the\ninner half. `make bench` measured it on {}: all servers up at once, each on one\ncore, the \
         load client on the other, over loopback. Ratios move by ± 10 % from run to run.\n\n\
         ![Server CPU time of each server, as ratios to the floor](RESULTS.svg)\n\n",
        record.rounds, record.machine
    );
    let is_published = |kind| matches!(kind, Kind::Publish { .. });
    let is_asked = |kind| matches!(kind, Kind::Ask { .. });
    out += "## A bar to many (the unit is a delivered frame)\n\n";
    out += "W4 is compared with the floor that coalesces.\n\n";
    out += &ratios(record, &record.workloads(is_published));
    out += "\n## Questions and answers (the unit is an answer)\n\n";
    out += "The floor reads and writes JSON too.\n\n";
    out += &ratios(record, &record.workloads(is_asked));
    if let [workload] = record.workloads(|kind| matches!(kind, Kind::Stay { .. }))[..] {
        out += "\n## Connections that stay\n\n";
        out += &stays(record, &workload);
    }
    out += "\n## Targets\n\n";
    out += &targets(record);
    out += "\n## Latency\n\n";
    out += "Until the last delivery of a publication, or the last answer to a connection's questions, under full load: \
            median of\nthe rounds' p50 / p99, in microseconds.\n\n";
    out += &latencies(record, &record.workloads(|kind| !matches!(kind, Kind::Stay { .. })));
    out += "\n## Absent\n\n";
    out += &absent(record);
    out += "\n## What was compared\n\n";
    for spec in record.servers() {
        writeln!(out, "* {} sends its subscribers {}", spec.title, spec.sends).expect("a string takes everything");
    }
    out += "\nEvery frame is checked: its number has to be the next of its topic, or the id that of the next question. \
            A floor or\nfastws that loses, repeats or reorders one ends the whole run.\n\n\
            fastws runs with everything on that a service has on; publishers have up to 64 requests in flight and\n\
            may send as many bytes as they like, everything else is as it is by default:\n\n";
    writeln!(out, "```text\n{}\n```", record.bounds).expect("a string takes everything");
    out
}

fn ratios(record: &Record, workloads: &[Workload]) -> String {
    table(record, workloads, |spec, workload| {
        Some(record.ratio(workload.key, spec.key, workload.baseline)?.to_string())
    })
}

fn latencies(record: &Record, workloads: &[Workload]) -> String {
    table(record, workloads, |spec, workload| {
        let p50 = record.spread(workload.key, spec.key, |finding| Some(finding.p50_us.into()))?;
        let p99 = record.spread(workload.key, spec.key, |finding| Some(finding.p99_us.into()))?;
        let [p50, p99] = [p50, p99].map(|spread| thousands(spread.median.round() as u64));
        Some(format!("{p50} / {p99}"))
    })
}

/// One line for each server, one column for each workload.
fn table(record: &Record, workloads: &[Workload], cell: impl Fn(&Spec, &Workload) -> Option<String>) -> String {
    let titles = workloads.iter().map(|workload| workload.title.to_owned());
    let mut rows = vec![row("server", titles), row("---", workloads.iter().map(|_| "---:".into()))];
    for spec in record.servers() {
        let cells: Vec<_> = workloads.iter().map(|workload| cell(&spec, workload)).collect();
        if cells.iter().any(Option::is_some) {
            rows.push(row(spec.title, cells.into_iter().map(|cell| cell.unwrap_or("–".into()))));
        }
    }
    rows.concat()
}

fn row(first: &str, others: impl IntoIterator<Item = String>) -> String {
    let others: Vec<_> = others.into_iter().collect();
    format!("| {first} | {} |\n", others.join(" | "))
}

fn stays(record: &Record, workload: &Workload) -> String {
    let titles = ["bytes for each, just connected", "after one question each", "CPU for each accepted upgrade"];
    let mut rows = vec![row("server", titles.map(str::to_owned)), row("---", ["---:"; 3].map(str::to_owned))];
    for spec in record.servers() {
        let cells = [
            record.spread(workload.key, spec.key, |finding| finding.bytes_fresh),
            record.spread(workload.key, spec.key, |finding| finding.bytes_used),
            record.ratio(workload.key, spec.key, workload.baseline),
        ];
        if cells[2].is_some() {
            let cell = |cell: Option<Spread>| cell.map_or("–".into(), |spread| spread.to_string());
            rows.push(row(spec.title, cells.map(cell)));
        }
    }
    let note =
        "\nMemory is the process's own (VmRSS), without the kernel's sockets, of a server that has just started.\n";
    rows.concat() + note
}

/// This is something that fastws is meant to reach.
struct Target {
    workload: &'static str,
    what: What,
    at_most: f64,
}

enum What {
    /// CPU time, as a ratio to this server's.
    Ratio(&'static str),
    /// Memory for each idle connection.
    Bytes,
}

const TARGETS: [Target; 30] = {
    const fn ratio(workload: &'static str, against: &'static str, at_most: f64) -> Target {
        Target { workload, what: What::Ratio(against), at_most }
    }
    [
        ratio("w1-1000", "floor", 1.05),
        ratio("w1-1000", "uwebsockets", 1.05),
        ratio("w1-1000", "axum-naive", 0.5),
        ratio("w1-1000", "axum-tuned", 0.95),
        ratio("w1-1000", "fastws-python", 0.24),
        ratio("w1-10000", "floor", 1.05),
        ratio("w1-10000", "uwebsockets", 1.05),
        ratio("w1-10000", "axum-naive", 0.5),
        ratio("w1-10000", "axum-tuned", 0.95),
        ratio("w1-10000", "fastws-python", 0.24),
        ratio("w1-pending", "floor", 0.1),
        ratio("w1-pending", "uwebsockets", 1.0),
        ratio("w1-pending", "axum-naive", 0.07),
        ratio("w1-pending", "axum-tuned", 0.08),
        ratio("w1-pending", "fastws-python", 0.02),
        ratio("w2-64", "floor-json", 1.05),
        ratio("w2-64", "uwebsockets", 1.1),
        ratio("w2-64", "axum-naive", 0.75),
        ratio("w2-64", "axum-tuned", 0.9),
        ratio("w2-64", "fastws-python", 0.16),
        ratio("w2-64-deep", "floor-json", 0.9),
        ratio("w2-64-deep", "uwebsockets", 1.6),
        ratio("w2-64-deep", "axum-naive", 0.12),
        ratio("w2-64-deep", "axum-tuned", 0.12),
        ratio("w2-64-deep", "fastws-python", 0.025),
        Target { workload: "w3", what: What::Bytes, at_most: 2048.0 },
        ratio("w3", "floor", 1.2),
        ratio("w3", "axum-naive", 0.35),
        ratio("w4", "floor-coalesced", 1.1),
        ratio("w4", "uwebsockets", 1.0),
    ]
};

fn targets(record: &Record) -> String {
    let mut rows = vec![
        row("workload", ["fastws against", "at most", "measured", ""].map(str::to_owned)),
        row("---", ["---", "---:", "---:", "---"].map(str::to_owned)),
    ];
    for Target { workload, what, at_most } in TARGETS {
        let Some(workload) = workloads::ALL.iter().find(|one| one.key == workload && record.has(one)) else { continue };
        let (against, found) = match what {
            What::Ratio(other) => {
                let title = Spec::find(other).map_or(other, |spec| spec.title);
                (title, record.ratio(workload.key, "fastws", other))
            }
            What::Bytes => ("bytes for each connection", record.spread(workload.key, "fastws", |it| it.bytes_used)),
        };
        let mark = match found {
            Some(found) if found.median <= at_most => "met",
            Some(_) => "**missed**",
            None => "not measured",
        };
        let found = found.map_or("–".into(), |found| found.to_string());
        rows.push(row(workload.title, [against.to_owned(), short(at_most), found, mark.to_owned()]));
    }
    rows.concat()
}

fn absent(record: &Record) -> String {
    let sentence = |absence: &crate::compare::Absence| {
        let title = Spec::find(&absence.server).map_or(absence.server.as_str(), |spec| spec.title);
        let workload = absence.workload.as_ref().and_then(|key| workloads::ALL.iter().find(|one| one.key == key));
        let workload = workload.map_or("everything", |workload| workload.title);
        format!("* {title}, from {workload}: {}\n", absence.reason)
    };
    match &record.absent[..] {
        [] => "Nobody.\n".into(),
        absent => absent.iter().map(sentence).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(server: &str, round: usize, cpu_ns: f64) -> Sample {
        let finding = Finding { cpu_ns, ..Finding::default() };
        Sample { server: server.into(), workload: "w1-1000".into(), round, finding }
    }

    #[test]
    fn the_median_is_the_middle_and_the_range_is_its_inner_half() {
        let spread = Spread::of(vec![5.0, 1.0, 3.0, 2.0, 4.0]);
        assert_eq!(spread, Some(Spread { low: 2.0, median: 3.0, high: 4.0 }));
        assert_eq!(Spread::of(vec![1.0, 2.0]), Some(Spread { low: 1.25, median: 1.5, high: 1.75 }));
        assert_eq!(Spread::of(Vec::new()), None);
    }

    #[test]
    fn a_ratio_compares_runs_of_the_same_round() {
        let samples = vec![
            sample("floor", 0, 10.0),
            sample("fastws", 0, 11.0),
            sample("floor", 1, 100.0),
            sample("fastws", 1, 110.0),
            // The floor has no such round.
            sample("fastws", 2, 1.0),
        ];
        let record = Record { samples, ..Record::default() };
        let ratio = record.ratio("w1-1000", "fastws", "floor").expect("both took part");
        assert!((ratio.low - 1.1).abs() < 1e-9 && (ratio.high - 1.1).abs() < 1e-9);
    }

    #[test]
    fn a_number_has_the_digits_that_are_worth_reading() {
        assert_eq!(
            [0.0912, 0.5, 12.34, 1234.5, 1_234_567.0].map(short),
            ["0.091", "0.50", "12.3", "1,235", "1,234,567"]
        );
    }
}
