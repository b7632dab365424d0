//! Tables as JSON lines: an object for each row, `null` where a value is missing.

use std::io::Write;

use sheaf_model::Values;

use super::time_text::TimeText;
use super::{TableWriter, WriteColumn, WriteError, WriteValues, check};

/// Writes a table as JSON lines: `{"time":"2020-01-01T00:00:00Z","T1 (°C)":1.5}`. Floats are written with as few digits as
/// give the same float back; infinities, which JSON has no number for, as the texts `Infinity` and `-Infinity`.
pub struct JsonLinesWriter<W: Write> {
    out: W,
    columns: Vec<WriteColumn>,
    /// For each column what comes before its value: `,"title":`.
    keys: Vec<Vec<u8>>,
    times: TimeText,
    buffer: Vec<u8>,
}

impl<W: Write> JsonLinesWriter<W> {
    /// Begins a table; nothing is written before the first row.
    ///
    /// # Errors
    /// A title that is no text of JSON, which none is.
    pub fn new(out: W, columns: Vec<WriteColumn>) -> Result<JsonLinesWriter<W>, WriteError> {
        let key = |column: &WriteColumn| -> Result<Vec<u8>, WriteError> {
            let mut key = b",".to_vec();
            serde_json::to_writer(&mut key, &column.full_title()).map_err(std::io::Error::from)?;
            key.push(b':');
            Ok(key)
        };
        let keys = columns.iter().map(key).collect::<Result<_, _>>()?;
        Ok(JsonLinesWriter { out, columns, keys, times: TimeText::default(), buffer: Vec::new() })
    }
}

/// How much is given to the output at once.
const BUFFER: usize = 1 << 16;

impl<W: Write + Send> TableWriter for JsonLinesWriter<W> {
    fn write(&mut self, starts: &[i64], columns: &[WriteValues<'_>]) -> Result<(), WriteError> {
        check(&self.columns, starts, columns)?;
        for (row, &start) in starts.iter().enumerate() {
            let time = self.times.of(start).ok_or(WriteError::NoTime { row, ticks: start })?;
            self.buffer.extend(b"{\"time\":\"");
            self.buffer.extend(time);
            self.buffer.push(b'"');
            for (key, column) in self.keys.iter().zip(columns) {
                self.buffer.extend(key);
                if column.is_valid(row) {
                    number(column.values, row, &mut self.buffer)?;
                } else {
                    self.buffer.extend(b"null");
                }
            }
            self.buffer.extend(b"}\n");
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

fn number(values: &Values, row: usize, out: &mut Vec<u8>) -> Result<(), WriteError> {
    let float = |value: f64, out: &mut Vec<u8>| match value {
        f64::INFINITY => out.extend(b"\"Infinity\""),
        f64::NEG_INFINITY => out.extend(b"\"-Infinity\""),
        _ => {}
    };
    match values {
        Values::F64(values) if values[row].is_finite() => {
            out.extend(zmij::Buffer::new().format_finite(values[row]).as_bytes());
        }
        Values::F32(values) if values[row].is_finite() => {
            out.extend(zmij::Buffer::new().format_finite(values[row]).as_bytes());
        }
        Values::F64(values) => float(values[row], out),
        Values::F32(values) => float(values[row].into(), out),
        Values::U8(values) => write!(out, "{}", values[row])?,
        Values::I8(values) => write!(out, "{}", values[row])?,
        Values::U16(values) => write!(out, "{}", values[row])?,
        Values::I16(values) => write!(out, "{}", values[row])?,
        Values::U32(values) => write!(out, "{}", values[row])?,
        Values::I32(values) => write!(out, "{}", values[row])?,
        Values::U64(values) => write!(out, "{}", values[row])?,
        Values::I64(values) => write!(out, "{}", values[row])?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sheaf_model::{DataType, Tick};

    #[test]
    fn rows_as_objects() {
        let column = |title: &str, data_type| WriteColumn { title: title.to_owned(), unit: None, data_type };
        let columns = vec![column("T1 \"a\"", DataType::Float64), column("n", DataType::Int16)];
        let mut bytes = Vec::new();
        let mut writer = Box::new(JsonLinesWriter::new(&mut bytes, columns).unwrap());
        let floats = Values::F64(vec![0.1, f64::NAN, f64::NEG_INFINITY, 1e300]);
        let ints = Values::I16(vec![-1, 2, 3, 4]);
        let values = [
            WriteValues { values: &floats, validity: None },
            WriteValues { values: &ints, validity: Some(&[0b1011]) },
        ];
        let start = "2020-01-01".parse::<Tick>().unwrap().ticks();
        let starts: Vec<i64> = (0..4).map(|row| start + row * Tick::PER_SECOND / 2).collect();
        writer.write(&starts, &values).unwrap();
        writer.finish().unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(
            text,
            "{\"time\":\"2020-01-01T00:00:00Z\",\"T1 \\\"a\\\"\":0.1,\"n\":-1}\n\
             {\"time\":\"2020-01-01T00:00:00.5000000Z\",\"T1 \\\"a\\\"\":null,\"n\":2}\n\
             {\"time\":\"2020-01-01T00:00:01Z\",\"T1 \\\"a\\\"\":\"-Infinity\",\"n\":null}\n\
             {\"time\":\"2020-01-01T00:00:01.5000000Z\",\"T1 \\\"a\\\"\":1e+300,\"n\":4}\n"
        );
        for line in text.lines() {
            serde_json::from_str::<serde_json::Value>(line).unwrap();
        }
    }
}
