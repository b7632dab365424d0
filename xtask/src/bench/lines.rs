//! What the tables of several benchmarks are made of.

use serde_json::Value;

use super::{Rounds, median};

/// Lines of Markdown.
pub(crate) struct Lines(pub(crate) Vec<String>);

impl Lines {
    pub(crate) fn add(&mut self, line: impl Into<String>) {
        self.0.push(line.into());
    }

    pub(crate) fn head(&mut self, title: &str, text: String, columns: &str) {
        let dashes: Vec<&str> =
            columns.split('|').enumerate().map(|(at, _)| if at == 0 { "---" } else { "---:" }).collect();
        self.add("");
        self.add(format!("### {title}"));
        self.add("");
        self.add(text);
        self.add("");
        self.add(format!("| {columns} |"));
        self.add(format!("|{}|", dashes.join("|")));
    }

    pub(crate) fn row(&mut self, cells: &[String]) {
        self.add(format!("| {} |", cells.join(" | ")));
    }
}

/// A number of the report.
pub(crate) fn number(value: &Value, key: &str) -> Result<f64, String> {
    value[key].as_f64().ok_or_else(|| format!("the benchmark's report has no number {key:?} in {value}"))
}

pub(crate) fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str, String> {
    value[key].as_str().ok_or_else(|| format!("the benchmark's report has no text {key:?} in {value}"))
}

pub(crate) fn list<'a>(value: &'a Value, key: &str) -> Result<&'a [Value], String> {
    let list = value[key].as_array().map(Vec::as_slice);
    list.ok_or_else(|| format!("the benchmark's report has no list {key:?}"))
}

/// `fastest … slowest`, in milliseconds.
pub(crate) fn extremes(seconds: &[f64]) -> String {
    let fastest = seconds.iter().copied().fold(f64::INFINITY, f64::min);
    let slowest = seconds.iter().copied().fold(0.0, f64::max);
    format!("{} … {}", ms(fastest), ms(slowest))
}

pub(crate) fn ms(seconds: f64) -> String {
    let ms = seconds * 1e3;
    if ms < 10.0 { format!("{ms:.2}") } else { format!("{ms:.0}") }
}

/// The cells of a case: its label, its times, millions of samples a second, and how much faster `ours` is.
pub(crate) fn case_cells(
    rounds: &Rounds<'_>,
    label: &str,
    case: &str,
    ours: &str,
) -> Result<Vec<String>, String> {
    let seconds = rounds.seconds(case)?;
    Ok(vec![
        label.to_owned(),
        ms(median(seconds.clone())),
        extremes(&seconds),
        format!("{:.1}", rounds.rate(case)? * 1e3),
        format!("{:.2} ×", rounds.speed(ours, case)?),
    ])
}
