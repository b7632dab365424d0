//! Values for people: how each column looks, and the first and the last rows.

use std::collections::VecDeque;
use std::io::{self, Write};

use comfy_table::{CellAlignment, presets};
use sheaf_model::{SamplePeriod, TimeRange};

use crate::cli::data;
use crate::reading::Request;

/// Characters of a sparkline.
const WIDTH: u64 = 60;

/// How a sparkline draws its levels, lowest first.
const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Gathers what is shown of the values.
pub(super) struct Table {
    titles: Vec<(String, Option<String>)>,
    looks: Vec<Look>,
    range: TimeRange,
    period: SamplePeriod,
    most_rows: usize,
    rows: u64,
    first: Vec<(i64, Vec<f64>)>,
    last: VecDeque<(i64, Vec<f64>)>,
}

impl Table {
    pub(super) fn new(request: &Request, most_rows: usize) -> Table {
        let titles =
            request.items.iter().map(|item| item.path.to_string()).zip(request.units.iter().cloned());
        let values = request.range.count(request.period);
        Table {
            titles: titles.collect(),
            looks: request.items.iter().map(|_| Look::new(values)).collect(),
            range: request.range,
            period: request.period,
            most_rows,
            rows: 0,
            first: Vec::new(),
            last: VecDeque::new(),
        }
    }

    /// Takes up a block of values.
    pub(super) fn take(&mut self, columns: &[Vec<f64>]) {
        let rows = columns.first().map_or(0, Vec::len);
        let first = self.range.begin().ticks() + self.rows as i64 * self.period.ticks();
        let start = |at: usize| first + at as i64 * self.period.ticks();
        for (look, column) in self.looks.iter_mut().zip(columns) {
            look.take(self.rows, column);
        }
        let row = |at: usize| (start(at), columns.iter().map(|column| column[at]).collect());
        let most_first = self.most_rows.div_ceil(2);
        let most_last = self.most_rows - most_first;
        let to_first = rows.min(most_first - self.first.len());
        self.first.extend((0..to_first).map(row));
        let to_last = (rows - to_first).min(most_last);
        self.last.extend((rows - to_last..rows).map(row));
        let beyond = self.last.len().saturating_sub(most_last);
        self.last.drain(..beyond);
        self.rows += rows as u64;
    }

    pub(super) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let (begin, end) = (self.range.begin(), self.range.end());
        writeln!(out, "{begin} to {end}, {} values of {} each", data::count(self.rows), self.period)?;
        for ((title, unit), look) in self.titles.iter().zip(&self.looks) {
            writeln!(out, "\n{title}{}", in_brackets(unit.as_deref()))?;
            look.print(unit.as_deref(), out)?;
        }
        if self.first.is_empty() {
            return Ok(());
        }
        let mut table = comfy_table::Table::new();
        table.load_preset(presets::NOTHING);
        let titles = self.titles.iter().map(|(title, unit)| {
            // The part of the path that tells columns of a catalog apart.
            let short = title.rsplitn(3, '/').take(2).collect::<Vec<_>>();
            format!(
                "{}{}",
                short.into_iter().rev().collect::<Vec<_>>().join("/"),
                in_brackets(unit.as_deref())
            )
        });
        table.set_header(std::iter::once("time".to_owned()).chain(titles));
        let hidden = self.rows - (self.first.len() + self.last.len()) as u64;
        let line = |(ticks, values): &(i64, Vec<f64>)| {
            let time = sheaf_model::Tick::new(*ticks).map(|tick| tick.to_string()).unwrap_or_default();
            std::iter::once(time).chain(values.iter().map(|&value| number(value))).collect::<Vec<_>>()
        };
        self.first.iter().for_each(|row| {
            table.add_row(line(row));
        });
        if hidden > 0 {
            table.add_row(vec![format!("… {} more rows", data::count(hidden))]);
        }
        self.last.iter().for_each(|row| {
            table.add_row(line(row));
        });
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        writeln!(out, "\n{}", table.trim_fmt())
    }
}

fn in_brackets(unit: Option<&str>) -> String {
    unit.map(|unit| format!(" ({unit})")).unwrap_or_default()
}

/// How a column looks.
struct Look {
    /// Values of the whole column.
    values: u64,
    valid: u64,
    min: f64,
    max: f64,
    sum: f64,
    /// Sum and number of the finite values under each character of the sparkline.
    line: Vec<(f64, u64)>,
}

impl Look {
    fn new(values: u64) -> Look {
        let line = vec![(0.0, 0); values.min(WIDTH) as usize];
        Look { values, valid: 0, min: f64::INFINITY, max: f64::NEG_INFINITY, sum: 0.0, line }
    }

    /// Takes up the values from number `first` on.
    fn take(&mut self, first: u64, column: &[f64]) {
        for (at, &value) in (first..).zip(column) {
            if value.is_nan() {
                continue;
            }
            self.valid += 1;
            self.min = self.min.min(value);
            self.max = self.max.max(value);
            self.sum += value;
            let place = u128::from(at) * self.line.len() as u128 / u128::from(self.values.max(1));
            if let Some((sum, count)) = self.line.get_mut(place as usize).filter(|_| value.is_finite()) {
                *sum += value;
                *count += 1;
            }
        }
    }

    fn print(&self, unit: Option<&str>, out: &mut impl Write) -> io::Result<()> {
        let missing = match self.values - self.valid {
            0 => String::new(),
            missing => format!(", {} missing", data::count(missing)),
        };
        if self.valid == 0 {
            return writeln!(out, "  no value{missing}");
        }
        let unit = unit.map(|unit| format!(" {unit}")).unwrap_or_default();
        writeln!(out, "  {}", self.sparkline())?;
        writeln!(
            out,
            "  min {}, mean {}, max {}{unit}{missing}",
            number(self.min),
            number(self.sum / self.valid as f64),
            number(self.max)
        )
    }

    /// The means of neighbouring values, from the lowest to the highest; a blank where all are missing.
    fn sparkline(&self) -> String {
        let means: Vec<Option<f64>> =
            self.line.iter().map(|&(sum, count)| (count > 0).then(|| sum / count as f64)).collect();
        let (low, high) = means
            .iter()
            .flatten()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &mean| (low.min(mean), high.max(mean)));
        let level = |mean: f64| {
            let share = if high > low { (mean - low) / (high - low) } else { 0.5 };
            LEVELS[((share * LEVELS.len() as f64) as usize).min(LEVELS.len() - 1)]
        };
        means.into_iter().map(|mean| mean.map_or(' ', level)).collect()
    }
}

/// A number with six significant digits; nothing for a missing one.
fn number(value: f64) -> String {
    if value.is_nan() {
        return "–".to_owned();
    }
    let magnitude = value.abs();
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    if !(1e-4..1e9).contains(&magnitude) {
        return format!("{value:.5e}");
    }
    let decimals = (5 - magnitude.log10().floor() as i32).clamp(0, 9) as usize;
    let text = format!("{value:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (12.0, "12"),
            (1_234.567_89, "1234.57"),
            (-0.000_123_456_78, "-0.000123457"),
            (1e-7, "1.00000e-7"),
            (123_456_789.0, "123456789"),
            (1e300, "1.00000e300"),
            (f64::NAN, "–"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn a_sparkline_shows_highs_lows_and_gaps() {
        let mut look = Look::new(4);
        look.take(0, &[1.0, f64::NAN]);
        look.take(2, &[2.0, 3.0]);
        assert_eq!(look.sparkline(), "▁ ▅█");
        assert_eq!((look.valid, look.min, look.max), (3, 1.0, 3.0));
        let mut flat = Look::new(120);
        flat.take(0, &[5.0; 120]);
        assert_eq!(flat.sparkline(), "▅".repeat(60));
    }
}
