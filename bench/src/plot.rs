//! The picture of a comparison: one panel for each workload, one bar for each server, as SVG for light and dark pages.

use std::fmt::Write;

use crate::compare::Record;
use crate::report::short;
use crate::servers::Spec;
use crate::workloads;

/// Draws the panels that have something to show.
pub(crate) fn svg(record: &Record) -> String {
    let panels: Vec<_> = PANELS.iter().filter_map(|panel| Drawn::of(panel, record)).collect();
    let rows: Vec<_> = panels.chunks(COLUMNS).collect();
    let tops: Vec<_> = rows
        .iter()
        .scan(MARGIN, |top, row| {
            let here = *top;
            *top += row.iter().map(Drawn::height).fold(0.0, f64::max) + MARGIN;
            Some((here, *top))
        })
        .collect();
    let width = MARGIN + COLUMNS as f64 * (PANEL_WIDTH + MARGIN);
    let height = tops.last().map_or(MARGIN, |(_, end)| *end);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
         aria-label=\"Server CPU time of each server, as ratios to the floor\">\n<style>{STYLE}</style>\n\
         <rect class=\"page\" width=\"{width}\" height=\"{height}\"/>\n"
    );
    for (row, (top, _)) in rows.iter().zip(tops) {
        for (column, panel) in row.iter().enumerate() {
            panel.draw(&mut out, MARGIN + column as f64 * (PANEL_WIDTH + MARGIN), top);
        }
    }
    out + "</svg>\n"
}

/// This is one panel of the picture.
struct Panel {
    workload: &'static str,
    title: &'static str,
    unit: &'static str,
    /// Whether it shows memory, and not CPU time.
    is_memory: bool,
}

const PANELS: [Panel; 6] = [
    cpu("w1-1000", "A bar to 1,000 subscribers"),
    cpu("w1-pending", "A bar to 1,000 subscribers, 16 pending"),
    cpu("w2-64", "Questions on 64 connections"),
    cpu("w2-64-deep", "Questions on 64 connections, 16 at a time"),
    cpu("w4", "10,000 topics, 64 bars pending"),
    Panel { workload: "w3", title: "Idle connections", unit: "bytes of memory for each", is_memory: true },
];

const fn cpu(workload: &'static str, title: &'static str) -> Panel {
    Panel { workload, title, unit: "CPU time, floor = 1", is_memory: false }
}

/// This is a panel with its bars, the shortest first.
struct Drawn<'a> {
    panel: &'a Panel,
    bars: Vec<(Spec, f64)>,
}

impl<'a> Drawn<'a> {
    fn of(panel: &'a Panel, record: &Record) -> Option<Self> {
        let workload = workloads::ALL.into_iter().find(|workload| workload.key == panel.workload)?;
        let length = |spec: &Spec| {
            let spread = if panel.is_memory {
                record.spread(workload.key, spec.key, |finding| finding.bytes_used)
            } else {
                record.ratio(workload.key, spec.key, workload.baseline)
            };
            spread.map(|spread| spread.median).filter(|median| *median > 0.0)
        };
        let servers = record.servers();
        let mut bars: Vec<_> = servers.into_iter().filter_map(|spec| Some((spec, length(&spec)?))).collect();
        bars.sort_by(|(_, a), (_, b)| a.total_cmp(b));
        (!bars.is_empty()).then_some(Self { panel, bars })
    }

    fn height(&self) -> f64 {
        HEAD_HEIGHT + self.bars.len() as f64 * BAR_STEP
    }

    fn draw(&self, out: &mut String, left: f64, top: f64) {
        let Panel { title, unit, .. } = self.panel;
        let mut line = |line: String| writeln!(out, "{line}").expect("a string takes everything");
        line(format!("<g transform=\"translate({left} {top})\">"));
        line(format!("<text class=\"title\" y=\"14\">{title}</text>"));
        line(format!("<text class=\"unit\" y=\"30\">{unit}; lower is better; logarithmic scale</text>"));
        let scale = Scale::of(self.bars.iter().map(|(_, value)| *value));
        for (at, (spec, value)) in self.bars.iter().enumerate() {
            let y = HEAD_HEIGHT + at as f64 * BAR_STEP;
            let class = match spec.key {
                "fastws" => "ours",
                key if key.starts_with("floor") => "floor",
                _ => "peer",
            };
            let name = spec.title.replace(['*', '`'], "");
            let length = scale.length(*value);
            let text = y + 13.0;
            line(format!("<text class=\"name {class}\" x=\"{}\" y=\"{text}\">{name}</text>", NAME_WIDTH - 8.0));
            line(format!(
                "<rect class=\"{class}\" x=\"{NAME_WIDTH}\" y=\"{y}\" width=\"{length:.1}\" height=\"{BAR_HEIGHT}\" rx=\"2\"/>"
            ));
            let end = NAME_WIDTH + length + 6.0;
            line(format!("<text class=\"value {class}\" x=\"{end:.1}\" y=\"{text}\">{}</text>", short(*value)));
        }
        line("</g>".into());
    }
}

/// This turns values into lengths. A bar that is twice as long is not twice as much.
struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    fn of(values: impl Iterator<Item = f64> + Clone) -> Self {
        let low = values.clone().fold(f64::INFINITY, f64::min);
        Self { low: low.ln(), high: values.fold(0.0, f64::max).ln() }
    }

    fn length(&self, value: f64) -> f64 {
        let share = (value.ln() - self.low) / (self.high - self.low).max(f64::EPSILON);
        SHORTEST_BAR + share * (LONGEST_BAR - SHORTEST_BAR)
    }
}

const COLUMNS: usize = 2;
const MARGIN: f64 = 24.0;
const PANEL_WIDTH: f64 = 460.0;
const HEAD_HEIGHT: f64 = 42.0;
const BAR_STEP: f64 = 22.0;
const BAR_HEIGHT: f64 = 18.0;
const NAME_WIDTH: f64 = 190.0;
const SHORTEST_BAR: f64 = 12.0;
const LONGEST_BAR: f64 = 210.0;

const STYLE: &str = "\
text{font:12px system-ui,sans-serif;fill:#1f2328}\
.title{font-size:14px;font-weight:600}.unit{font-size:11px;fill:#59636e}.name{text-anchor:end}\
text.ours{font-weight:700}.page{fill:#fff}\
rect.ours{fill:#0969da}rect.floor{fill:#59636e}rect.peer{fill:#afb8c1}\
@media(prefers-color-scheme:dark){\
text{fill:#e6edf3}.unit{fill:#9198a1}.page{fill:#0d1117}\
rect.ours{fill:#4493f8}rect.floor{fill:#9198a1}rect.peer{fill:#3d444d}}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_value_has_the_longest_bar() {
        let scale = Scale::of([0.1, 1.0, 10.0].into_iter());
        assert_eq!([0.1, 10.0].map(|value| scale.length(value)), [SHORTEST_BAR, LONGEST_BAR]);
        assert!((scale.length(1.0) - (SHORTEST_BAR + LONGEST_BAR) / 2.0).abs() < 1e-9);
    }

    #[test]
    fn one_value_has_a_bar_too() {
        assert_eq!(Scale::of([1.0].into_iter()).length(1.0), SHORTEST_BAR);
    }
}
