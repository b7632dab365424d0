//! Values as JSON, written as they come.

use std::io::{self, Write};

use serde_json::json;
use sheaf_model::Kind;
use sheaf_sources::WriteError;

use super::encode::Encoder;
use super::{Request, Step};

/// Writes `{"begin": …, "end": …, "samplePeriod": …, "commit": …, "series": [{"path": …, "unit": …, "values": […]}, …]}`.
pub(super) struct JsonEncoder<W> {
    out: W,
    /// Path and unit of each series.
    series: Vec<(String, Option<String>)>,
    /// The names of its columns.
    names: Vec<&'static str>,
    /// Which paths count samples.
    counts: Vec<bool>,
    /// Whether the values that come are counts.
    is_count: bool,
    is_first: bool,
    /// Whether all columns of the series are written.
    is_last: bool,
}

impl<W: Write> JsonEncoder<W> {
    /// So many paths after each other are the columns of a series.
    pub(super) fn new(request: &Request, columns: usize, mut out: W) -> io::Result<JsonEncoder<W>> {
        let columns = columns.max(1);
        write!(
            out,
            "{{\"begin\":\"{}\",\"end\":\"{}\",\"samplePeriod\":\"{}\",\"commit\":{},\"series\":[",
            request.range.begin(),
            request.range.end(),
            request.period,
            request.snapshot.commit()
        )?;
        let names = match columns {
            1 => vec!["values"],
            _ => request.items.iter().take(columns).map(|item| item.path.kind().name()).collect(),
        };
        // Where a series has several columns, its path is that of its samples.
        let path = |at: usize| {
            let path = &request.items[at].path;
            match (columns, path.base()) {
                (1, _) | (_, None) => path.to_string(),
                (_, Some(base)) => format!("{}/{}/{base}", path.catalog(), path.resource()),
            }
        };
        let firsts = (0..request.items.len()).step_by(columns);
        // The first column may be a count, which has no unit.
        let unit = |at: usize| request.units.get(at + columns - 1).cloned().flatten();
        let series = firsts.map(|at| (path(at), unit(at))).collect();
        let counts = request.items.iter().map(|item| item.path.kind() == Kind::Count).collect();
        Ok(JsonEncoder { out, series, names, counts, is_count: false, is_first: true, is_last: false })
    }

    fn begin(&mut self, at: usize) -> io::Result<()> {
        let (series, column) = (at / self.names.len(), at % self.names.len());
        self.is_count = self.counts[at];
        self.is_first = true;
        self.is_last = column + 1 == self.names.len();
        if column == 0 {
            let comma = if series == 0 { "" } else { "," };
            let (path, unit) = &self.series[series];
            write!(self.out, "{comma}\n{{\"path\":{},\"unit\":{}", json!(path), json!(unit))?;
        }
        write!(self.out, ",\"{}\":[", self.names[column])
    }

    /// Numbers with as few digits as give them back; null for NaN. Counts are whole numbers, and look like that.
    fn values(&mut self, values: &[f64]) -> io::Result<()> {
        for &value in values {
            if !std::mem::take(&mut self.is_first) {
                self.out.write_all(b",")?;
            }
            if value.is_nan() {
                self.out.write_all(b"null")?;
            } else if value.is_infinite() {
                self.out.write_all(if value > 0.0 { b"\"Infinity\"" } else { b"\"-Infinity\"" })?;
            } else if self.is_count {
                write!(self.out, "{value:.0}")?;
            } else {
                serde_json::to_writer(&mut self.out, &value)?;
            }
        }
        Ok(())
    }
}

impl<W: Write + Send> Encoder for JsonEncoder<W> {
    fn take(&mut self, step: Step) -> Result<(), WriteError> {
        match step {
            Step::Begin(path) => self.begin(path)?,
            Step::Values(values) => self.values(&values)?,
            Step::End => self.out.write_all(if self.is_last { b"]}" } else { b"]" })?,
            Step::Block(_) => {}
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), WriteError> {
        self.out.write_all(b"]}\n")?;
        Ok(self.out.flush()?)
    }
}
