//! `Nexus.Writers.Csv`: what the CSV writer of Nexus writes, byte for byte.

use std::io::Write;

use sheaf_model::{SamplePeriod, Tick, Values};

use super::files::stamp;
use super::significant::Significant;
use super::{ExportCatalog, ExportColumn};
use crate::write::{TableWriter, TimeText, WriteColumn, WriteError, WriteValues, check};

/// How a row says when it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RowIndex {
    /// Its number, counted from the begin of the file.
    #[default]
    Number,
    /// Seconds since 1970, with five decimals.
    Unix,
    /// Days since 1899-12-30, with nine decimals. Before that the fraction still counts forward, as in OLE: a quarter past
    /// midnight of the day −1 is −1.25.
    Excel,
    /// ISO 8601 with seven digits of the second.
    Iso8601,
}

impl RowIndex {
    pub(super) const ALL: [RowIndex; 4] =
        [RowIndex::Excel, RowIndex::Number, RowIndex::Iso8601, RowIndex::Unix];

    pub(super) const fn key(self) -> &'static str {
        match self {
            RowIndex::Number => "index",
            RowIndex::Unix => "unix",
            RowIndex::Excel => "excel",
            RowIndex::Iso8601 => "iso-8601",
        }
    }

    pub(super) const fn title(self) -> &'static str {
        match self {
            RowIndex::Number => "Index",
            RowIndex::Unix => "Unix time",
            RowIndex::Excel => "Excel time",
            RowIndex::Iso8601 => "ISO 8601 time",
        }
    }

    /// Its type in a table schema.
    pub(super) const fn field_type(self) -> &'static str {
        match self {
            RowIndex::Number => "integer",
            RowIndex::Unix | RowIndex::Excel => "number",
            RowIndex::Iso8601 => "datetime",
        }
    }
}

/// How numbers and times are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NexusCsv {
    /// How a row says when it is.
    pub row_index: RowIndex,
    /// Figures of a number; 0 for as few as give it back.
    pub significant_figures: u8,
}

impl Default for NexusCsv {
    fn default() -> NexusCsv {
        NexusCsv { row_index: RowIndex::default(), significant_figures: 4 }
    }
}

pub(super) struct NexusCsvWriter<W: Write> {
    out: W,
    columns: Vec<WriteColumn>,
    row_index: RowIndex,
    numbers: Significant,
    begin: Tick,
    period: SamplePeriod,
    times: TimeText,
    buffer: Vec<u8>,
}

/// How much is given to the output at once.
const BUFFER: usize = 1 << 16;

impl<W: Write> NexusCsvWriter<W> {
    pub(super) fn new(
        out: W,
        catalog: &ExportCatalog,
        begin: Tick,
        period: SamplePeriod,
        options: NexusCsv,
    ) -> Result<NexusCsvWriter<W>, WriteError> {
        let mut buffer = Vec::with_capacity(BUFFER + 4096);
        buffer.extend("\u{feff}".as_bytes());
        write!(
            buffer,
            "# date_time: {}\r\n# sample_period: {period}\r\n# catalog_id: {}\r\n{}",
            stamp(begin),
            catalog.id,
            options.row_index.title()
        )?;
        for column in &catalog.columns {
            buffer.push(b',');
            title(column, &mut buffer)?;
        }
        buffer.extend(b"\r\n");
        Ok(NexusCsvWriter {
            out,
            columns: catalog.columns.iter().map(ExportColumn::to_write).collect(),
            row_index: options.row_index,
            numbers: Significant::new(options.significant_figures),
            begin,
            period,
            times: TimeText::default(),
            buffer,
        })
    }
}

/// A title, quoted only where nothing could be read otherwise: Nexus quotes nothing.
fn title(column: &ExportColumn, out: &mut Vec<u8>) -> Result<(), WriteError> {
    let title = column.full_title();
    if title.contains([',', '"', '\r', '\n']) {
        write!(out, "\"{}\"", title.replace('"', "\"\""))?;
    } else {
        out.extend(title.as_bytes());
    }
    Ok(())
}

impl<W: Write + Send> TableWriter for NexusCsvWriter<W> {
    fn write(&mut self, starts: &[i64], columns: &[WriteValues<'_>]) -> Result<(), WriteError> {
        check(&self.columns, starts, columns)?;
        for (row, &start) in starts.iter().enumerate() {
            self.index(row, start)?;
            for column in columns {
                self.buffer.push(b',');
                match column.values {
                    _ if !column.is_valid(row) => self.buffer.extend(b"NaN"),
                    Values::F64(values) => self.numbers.write(values[row], &mut self.buffer)?,
                    Values::F32(values) => self.numbers.write(values[row], &mut self.buffer)?,
                    values => {
                        self.numbers.write(values.get(row).unwrap_or(f64::NAN), &mut self.buffer)?;
                    }
                }
            }
            self.buffer.extend(b"\r\n");
            if self.buffer.len() >= BUFFER {
                self.out.write_all(&self.buffer)?;
                self.buffer.clear();
            }
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), WriteError> {
        self.out.write_all(&self.buffer)?;
        Ok(self.out.flush()?)
    }
}

impl<W: Write> NexusCsvWriter<W> {
    fn index(&mut self, row: usize, start: i64) -> Result<(), WriteError> {
        let no_time = WriteError::NoTime { row, ticks: start };
        match self.row_index {
            RowIndex::Number => {
                write!(self.buffer, "{}", (start - self.begin.ticks()) / self.period.ticks())?;
            }
            RowIndex::Unix => {
                let ticks = start - Tick::UNIX_EPOCH.ticks();
                let sign = if ticks < 0 { "-" } else { "" };
                let rounded = round_div(ticks.unsigned_abs(), 100);
                write!(self.buffer, "{sign}{}.{:05}", rounded / 100_000, rounded % 100_000)?;
            }
            RowIndex::Excel => {
                let ticks = start - OLE_EPOCH_TICKS;
                let mut day = ticks.div_euclid(TICKS_PER_DAY);
                let mut billionths = round_div(ticks.rem_euclid(TICKS_PER_DAY).unsigned_abs(), 864);
                if billionths == 1_000_000_000 {
                    (day, billionths) = (day + 1, 0);
                }
                let sign = if day < 0 { "-" } else { "" };
                write!(self.buffer, "{sign}{}.{billionths:09}", day.unsigned_abs())?;
            }
            RowIndex::Iso8601 => {
                let text = self.times.with_fraction(start).ok_or(no_time)?;
                self.buffer.extend(text);
            }
        }
        Ok(())
    }
}

const TICKS_PER_DAY: i64 = 24 * 3600 * Tick::PER_SECOND;

/// 1899-12-30, from which OLE and Excel count days.
const OLE_EPOCH_TICKS: i64 = Tick::UNIX_EPOCH.ticks() - 25_569 * TICKS_PER_DAY;

/// The quotient, rounded to the nearest; to the even one of two.
const fn round_div(dividend: u64, divisor: u64) -> u64 {
    let (quotient, twice) = (dividend / divisor, dividend % divisor * 2);
    if twice > divisor || (twice == divisor && quotient % 2 == 1) { quotient + 1 } else { quotient }
}
