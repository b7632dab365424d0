//! Lines of a text, one after the other, in bounded memory.

use std::io::{BufRead, BufReader, Read};

use crate::error::{ColumnName, RowError, RowProblem, SourceError, TableProblem};
use crate::table::Place;

/// What is longer is no line of a weather file.
const LONGEST_LINE: usize = 1 << 20;

/// The lines of an input that are not blank.
pub(super) struct Lines {
    input: String,
    reader: BufReader<Box<dyn Read + Send>>,
    /// The number of the last line, from 1.
    number: u64,
    line: Vec<u8>,
}

impl Lines {
    pub(super) fn new(input: String, text: Box<dyn Read + Send>) -> Lines {
        Lines { input, reader: BufReader::new(text), number: 0, line: Vec::new() }
    }

    /// Goes on to the next line that is not blank; whether there is one.
    pub(super) fn advance(&mut self) -> Result<bool, SourceError> {
        loop {
            self.line.clear();
            let mut most = self.reader.by_ref().take(LONGEST_LINE as u64 + 1);
            most.read_until(b'\n', &mut self.line).map_err(|source| SourceError::Read {
                input: self.input.clone(),
                line: self.number,
                source,
            })?;
            if self.line.is_empty() {
                return Ok(false);
            }
            self.number += 1;
            if self.line.len() > LONGEST_LINE {
                return Err(self.wrong("", RowProblem::TooLong { most: LONGEST_LINE }));
            }
            let end = self.line.trim_ascii_end().len();
            if end > 0 {
                self.line.truncate(end);
                return Ok(true);
            }
        }
    }

    /// The line, without blanks at its end.
    pub(super) fn line(&self) -> &[u8] {
        &self.line
    }

    /// The fields of the line, without quotes around them.
    pub(super) fn fields(&self, delimiter: u8) -> Vec<&[u8]> {
        let mut fields = Vec::new();
        let mut rest = Some(self.line.as_slice());
        while let Some(text) = rest {
            // What is quoted ends at the next quote, whatever delimiters are in it.
            let quoted = if text.first() == Some(&b'"') { memchr::memchr(b'"', &text[1..]) } else { None };
            let from = quoted.map_or(0, |at| at + 2);
            let end = memchr::memchr(delimiter, &text[from..]).map(|at| from + at);
            let field = match quoted {
                Some(at) => &text[1..=at],
                None => &text[..end.unwrap_or(text.len())],
            };
            fields.push(field.trim_ascii());
            rest = end.map(|end| &text[end + 1..]);
        }
        fields
    }

    /// Something is wrong in this line.
    pub(super) fn wrong(&self, text: impl AsRef<[u8]>, problem: RowProblem) -> SourceError {
        self.error(None, text.as_ref(), problem)
    }

    /// Something is wrong in this column of the line; columns are counted from 0 here.
    pub(super) fn wrong_in(
        &self,
        index: usize,
        title: &str,
        text: &[u8],
        problem: RowProblem,
    ) -> SourceError {
        self.error(Some(ColumnName { number: index + 1, title: title.to_owned() }), text, problem)
    }

    fn error(&self, column: Option<ColumnName>, text: &[u8], problem: RowProblem) -> SourceError {
        RowError {
            input: self.input.clone(),
            place: Place::Line,
            line: self.number,
            column,
            text: RowError::excerpt(text),
            problem,
        }
        .into()
    }

    /// The line is cut off.
    pub(super) fn cut_off(&self, found: usize, least: usize, what: &'static str) -> SourceError {
        self.wrong(&self.line, RowProblem::CutOff { found, least, what })
    }

    /// Something is wrong with the file as a whole, which shows at this line.
    pub(super) fn refuse(&self, problem: TableProblem) -> SourceError {
        SourceError::Table { input: self.input.clone(), line: Some(self.number), problem: Box::new(problem) }
    }
}

/// A text of digits as a number; nothing else, not even a sign.
pub(super) fn digits(text: &[u8]) -> Option<u32> {
    if text.is_empty() || text.len() > 9 {
        return None;
    }
    text.iter()
        .try_fold(0, |number, byte| byte.is_ascii_digit().then(|| number * 10 + u32::from(byte - b'0')))
}

/// A finite decimal number.
pub(super) fn decimal(text: &[u8]) -> Option<f64> {
    crate::csv::parse_number(text, b'.').ok().map(crate::csv::Number::as_f64)
}

/// Text for people, whatever bytes it is made of.
pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &'static [u8]) -> Lines {
        Lines::new("test".to_owned(), Box::new(text))
    }

    #[test]
    fn blank_lines_are_counted_and_left_out() {
        let mut lines = lines(b"one \r\n\n  \ntwo");
        assert!(lines.advance().unwrap());
        assert_eq!((lines.line(), lines.number), (&b"one"[..], 1));
        assert!(lines.advance().unwrap());
        assert_eq!((lines.line(), lines.number), (&b"two"[..], 4));
        assert!(!lines.advance().unwrap());
    }

    #[test]
    fn fields_may_be_quoted() {
        let mut lines = lines(b"1,\"a, b\",, c ,\"d\n");
        assert!(lines.advance().unwrap());
        assert_eq!(lines.fields(b','), [&b"1"[..], b"a, b", b"", b"c", b"\"d"]);
    }

    #[test]
    fn an_endless_line_takes_bounded_memory() {
        let mut lines = Lines::new("test".to_owned(), Box::new(std::io::repeat(b'x')));
        assert_eq!(lines.advance().unwrap_err().to_string(), "test, line 1: the line is longer than 1 MiB");
    }

    #[test]
    fn digits_are_digits() {
        assert_eq!(digits(b"012"), Some(12));
        for wrong in [&b""[..], b"+1", b"1 ", b"1234567890"] {
            assert_eq!(digits(wrong), None);
        }
    }
}
