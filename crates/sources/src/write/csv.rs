//! Tables as delimited text: RFC 4180, times in ISO 8601, nothing between the commas where a value is missing.

use std::io::{self, Write};

use sheaf_model::Values;

use super::time_text::TimeText;
use super::{TableWriter, WriteColumn, WriteError, WriteValues, check};

/// Writes a table as delimited text. Floats are written with as few digits as give the same float back.
pub struct CsvWriter<W: Write> {
    out: csv::Writer<W>,
    columns: Vec<WriteColumn>,
    times: TimeText,
}

impl<W: Write> CsvWriter<W> {
    /// Begins with the titles: `time`, and those of the columns with their units.
    ///
    /// # Errors
    /// The output fails.
    pub fn new(out: W, columns: Vec<WriteColumn>) -> Result<CsvWriter<W>, WriteError> {
        let mut out = csv::WriterBuilder::new().buffer_capacity(1 << 16).from_writer(out);
        let titles = columns.iter().map(WriteColumn::full_title);
        out.write_record(std::iter::once("time".to_owned()).chain(titles)).map_err(io_error)?;
        Ok(CsvWriter { out, columns, times: TimeText::default() })
    }
}

/// The error of the output as it is: wrapped, its kind would be lost.
fn io_error(error: csv::Error) -> WriteError {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => WriteError::Io(error),
        other => WriteError::Io(std::io::Error::other(format!("{other:?}"))),
    }
}

impl<W: Write + Send> TableWriter for CsvWriter<W> {
    fn write(&mut self, starts: &[i64], columns: &[WriteValues<'_>]) -> Result<(), WriteError> {
        check(&self.columns, starts, columns)?;
        let mut number = Number::default();
        for (row, &start) in starts.iter().enumerate() {
            let time = self.times.of(start).ok_or(WriteError::NoTime { row, ticks: start })?;
            self.out.write_field(time).map_err(io_error)?;
            for column in columns {
                let text = if column.is_valid(row) { number.text(column.values, row)? } else { &[] };
                self.out.write_field(text).map_err(io_error)?;
            }
            self.out.write_record(None::<&[u8]>).map_err(io_error)?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), WriteError> {
        Ok(self.out.flush()?)
    }
}

/// Text of numbers, without an allocation for each.
#[derive(Default)]
struct Number {
    floats: zmij::Buffer,
    ints: Vec<u8>,
}

impl Number {
    fn text(&mut self, values: &Values, row: usize) -> io::Result<&[u8]> {
        self.ints.clear();
        match values {
            Values::F64(values) if values[row].is_finite() => {
                return Ok(short(self.floats.format_finite(values[row])));
            }
            Values::F32(values) if values[row].is_finite() => {
                return Ok(short(self.floats.format_finite(values[row])));
            }
            Values::F64(values) => self.ints.extend(infinity(values[row] > 0.0)),
            Values::F32(values) => self.ints.extend(infinity(values[row] > 0.0)),
            Values::U8(values) => write!(self.ints, "{}", values[row])?,
            Values::I8(values) => write!(self.ints, "{}", values[row])?,
            Values::U16(values) => write!(self.ints, "{}", values[row])?,
            Values::I16(values) => write!(self.ints, "{}", values[row])?,
            Values::U32(values) => write!(self.ints, "{}", values[row])?,
            Values::I32(values) => write!(self.ints, "{}", values[row])?,
            Values::U64(values) => write!(self.ints, "{}", values[row])?,
            Values::I64(values) => write!(self.ints, "{}", values[row])?,
        }
        Ok(&self.ints)
    }
}

/// What other programs read as infinity, too.
fn infinity(positive: bool) -> &'static [u8] {
    if positive { b"Infinity" } else { b"-Infinity" }
}

/// `12` for `12.0`.
fn short(text: &str) -> &[u8] {
    text.strip_suffix(".0").unwrap_or(text).as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sheaf_model::{DataType, Tick};

    #[test]
    fn rows_as_text() {
        let column = |title: &str, unit: Option<&str>, data_type| WriteColumn {
            title: title.to_owned(),
            unit: unit.map(str::to_owned),
            data_type,
        };
        let columns = vec![
            column("/plant/T1/1_s", Some("°C"), DataType::Float64),
            column("a,b", None, DataType::Uint8),
        ];
        let mut bytes = Vec::new();
        let mut writer = Box::new(CsvWriter::new(&mut bytes, columns).unwrap());
        let (floats, ints) =
            (Values::F64(vec![0.1, f64::NAN, f64::INFINITY, 2.0]), Values::U8(vec![1, 2, 3, 4]));
        let values = [
            WriteValues { values: &floats, validity: None },
            WriteValues { values: &ints, validity: Some(&[0b1011]) },
        ];
        let start = "2020-01-01T00:00:00".parse::<Tick>().unwrap().ticks();
        writer.write(&[start, start + 1, start + 10_000_000, start + 15_000_000], &values).unwrap();
        let short = writer.write(&[start], &values).unwrap_err().to_string();
        assert!(short.contains("4 of them"), "{short}");
        writer.finish().unwrap();
        assert_eq!(
            String::from_utf8(bytes).unwrap(),
            "time,/plant/T1/1_s (°C),\"a,b\"\n\
             2020-01-01T00:00:00Z,0.1,1\n\
             2020-01-01T00:00:00.0000001Z,,2\n\
             2020-01-01T00:00:01Z,Infinity,\n\
             2020-01-01T00:00:01.5000000Z,2,4\n"
        );
    }
}
