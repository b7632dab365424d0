//! Cuts text into records and fields: delimiters, quotes, line ends, comments. Knows the line of each record.
//!
//! A record ends at `\n`, `\r\n` or `\r`, which may be mixed. A field that begins with `"` ends at the next one that
//! is not doubled, and may contain delimiters and line ends; blanks around it don't count. Elsewhere a quote is a
//! character like any other. Lines that are blank or begin with the prefix of comments are no records.

use std::io::{self, Read};

use memchr::{memchr_iter, memchr2, memchr3};

use crate::error::RowProblem;

/// The longest record, in bytes.
pub(crate) const LONGEST_RECORD: usize = 16 << 20;

/// Fields of a record, at most.
pub(crate) const MOST_FIELDS: usize = 1 << 17;

/// Bytes that are read at once, small enough to stay in cache.
const BLOCK: usize = 256 << 10;

pub(crate) struct Records {
    source: Box<dyn Read + Send>,
    /// Between `next` and `end`, what was read and not yet taken. Everything before `next` is done with, but for the
    /// fields of the last record.
    buffer: Vec<u8>,
    next: usize,
    end: usize,
    at_end: bool,
    /// The line that begins at `next`.
    line: u64,
    delimiter: u8,
    comment: Option<Vec<u8>>,
    fields: Vec<Field>,
    /// What the last comment said, until a record comes.
    last_comment: Option<(u64, Vec<u8>)>,
}

#[derive(Clone, Copy)]
struct Field {
    begin: usize,
    end: usize,
    quoted: bool,
}

/// Why there is no next record.
#[derive(Debug)]
pub(crate) enum RecordError {
    Io(io::Error),
    /// The record that begins in `line` is wrong.
    Record {
        line: u64,
        problem: RowProblem,
    },
}

/// Where a record ends, and where the next one begins.
enum Found {
    Plain { end: usize, next: usize },
    Quoted { next: usize },
    More,
}

impl Records {
    pub(crate) fn new(source: Box<dyn Read + Send>, delimiter: u8, comment: Option<&[u8]>) -> Records {
        Records {
            source,
            buffer: Vec::new(),
            next: 0,
            end: 0,
            at_end: false,
            line: 1,
            delimiter,
            comment: comment.map(<[u8]>::to_vec),
            fields: Vec::new(),
            last_comment: None,
        }
    }

    pub(crate) fn set_delimiter(&mut self, delimiter: u8) {
        self.delimiter = delimiter;
    }

    /// What comments begin with from now on.
    pub(crate) fn set_comment(&mut self, comment: Option<&[u8]>) {
        self.comment = comment.map(<[u8]>::to_vec);
    }

    /// Whether everything was read.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.at_end && self.next == self.end
    }

    /// The line in which the next record is searched for, from 1.
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    /// Fields of the last record.
    pub(crate) fn len(&self) -> usize {
        self.fields.len()
    }

    /// Field `index` of the last record, without blanks around it.
    pub(crate) fn field(&self, index: usize) -> &[u8] {
        let Field { begin, end, .. } = self.fields[index];
        self.buffer[begin..end].trim_ascii()
    }

    /// Whether field `index` of the last record is quoted.
    pub(crate) fn is_quoted(&self, index: usize) -> bool {
        self.fields[index].quoted
    }

    /// The last comment before the last record, and its line.
    pub(crate) fn last_comment(&self) -> Option<(u64, &[u8])> {
        self.last_comment.as_ref().map(|(line, text)| (*line, text.as_slice()))
    }

    /// Reads until there are enough bytes to look at, and shows them: `enough` is asked after each block.
    pub(crate) fn peek(&mut self, enough: impl Fn(&[u8]) -> bool) -> io::Result<(&[u8], bool)> {
        while !self.at_end && !enough(&self.buffer[self.next..self.end]) {
            self.fill()?;
        }
        Ok((&self.buffer[self.next..self.end], self.at_end))
    }

    /// Goes on behind so many lines, whatever they hold.
    pub(crate) fn skip_lines(&mut self, lines: u64) -> Result<(), RecordError> {
        for _ in 0..lines {
            if !self.skip_line()? {
                break;
            }
        }
        Ok(())
    }

    /// Goes on behind the end of the line; false at the end of the input.
    fn skip_line(&mut self) -> Result<bool, RecordError> {
        let mut searched = 0;
        loop {
            if let Some(end) = memchr2(b'\n', b'\r', &self.buffer[self.next + searched..self.end]) {
                let end = self.next + searched + end;
                if let Some(next) = self.line_end(end) {
                    self.line += 1;
                    self.next = next;
                    return Ok(true);
                }
            }
            if self.at_end {
                let some = self.next < self.end;
                self.next = self.end;
                return Ok(some);
            }
            searched = self.end - self.next;
            // A `\r` at the end of the buffer is looked at again, together with what follows.
            searched = searched.saturating_sub(1);
            self.more()?;
        }
    }

    /// Where the line after the line end at `end` begins; `None` if it depends on bytes that were not read yet.
    fn line_end(&self, end: usize) -> Option<usize> {
        if self.buffer[end] == b'\n' {
            Some(end + 1)
        } else if end + 1 < self.end {
            Some(if self.buffer[end + 1] == b'\n' { end + 2 } else { end + 1 })
        } else {
            self.at_end.then_some(end + 1)
        }
    }

    fn more(&mut self) -> Result<(), RecordError> {
        if self.end - self.next > LONGEST_RECORD {
            let problem = RowProblem::TooLong { most: LONGEST_RECORD };
            return Err(RecordError::Record { line: self.line, problem });
        }
        // Twice as much each time, so that a long record is not searched over and over.
        let wanted = 2 * (self.end - self.next);
        loop {
            self.fill().map_err(RecordError::Io)?;
            if self.at_end || self.end - self.next >= wanted {
                return Ok(());
            }
        }
    }

    /// Reads at least a byte, or reaches the end.
    fn fill(&mut self) -> io::Result<()> {
        if self.next > 0 {
            self.buffer.copy_within(self.next..self.end, 0);
            self.end -= self.next;
            self.next = 0;
        }
        if self.buffer.len() - self.end < BLOCK / 2 {
            self.buffer.resize((self.buffer.len() * 2).max(BLOCK), 0);
        }
        loop {
            let most = self.buffer.len().min(self.end + BLOCK);
            match self.source.read(&mut self.buffer[self.end..most]) {
                Ok(read) => {
                    self.at_end = read == 0;
                    self.end += read;
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The line in which the next record begins, now in the fields; `None` at the end.
    pub(crate) fn advance(&mut self) -> Result<Option<u64>, RecordError> {
        self.last_comment = None;
        loop {
            self.fields.clear();
            if self.next == self.end {
                if self.at_end {
                    return Ok(None);
                }
                self.more()?;
                continue;
            }
            if let Some(comment) = self.comment.as_deref() {
                let rest = &self.buffer[self.next..self.end];
                if rest.len() < comment.len() && !self.at_end {
                    self.more()?;
                    continue;
                }
                if rest.starts_with(comment) {
                    self.skip_comment(comment.len())?;
                    continue;
                }
            }
            let line = self.line;
            match self.find_end() {
                Ok(Found::More) => self.more()?,
                Ok(Found::Plain { end, next }) => {
                    let begin = self.next;
                    self.next = next;
                    self.line += 1;
                    if self.buffer[begin..end].trim_ascii().is_empty() && self.is_blank(begin, end) {
                        continue;
                    }
                    let mut from = begin;
                    for at in memchr_iter(self.delimiter, &self.buffer[begin..end]) {
                        if self.fields.len() + 1 == MOST_FIELDS {
                            let problem = RowProblem::TooManyFields { most: MOST_FIELDS };
                            return Err(RecordError::Record { line, problem });
                        }
                        self.fields.push(Field { begin: from, end: begin + at, quoted: false });
                        from = begin + at + 1;
                    }
                    self.fields.push(Field { begin: from, end, quoted: false });
                    return Ok(Some(line));
                }
                Ok(Found::Quoted { next }) => {
                    self.next = next;
                    return Ok(Some(line));
                }
                Err(problem) => return Err(RecordError::Record { line, problem }),
            }
        }
    }

    /// Whether a line of white space is blank: not where it is made of delimiters.
    fn is_blank(&self, begin: usize, end: usize) -> bool {
        !self.delimiter.is_ascii_whitespace() || !self.buffer[begin..end].contains(&self.delimiter)
    }

    fn skip_comment(&mut self, prefix: usize) -> Result<(), RecordError> {
        /// Bytes of a comment that are kept.
        const KEPT: usize = 64 << 10;
        let line = self.line;
        // The comment itself may lie before what `next` points to afterwards, but not if the buffer was refilled.
        let kept = loop {
            let rest = &self.buffer[self.next..self.end];
            match memchr2(b'\n', b'\r', rest) {
                Some(end) => break rest[prefix..end.max(prefix)].to_vec(),
                None if self.at_end || rest.len() > KEPT => break rest[prefix..].to_vec(),
                None => self.more()?,
            }
        };
        self.last_comment = Some((line, kept));
        self.skip_line()?;
        Ok(())
    }

    fn find_end(&mut self) -> Result<Found, RowProblem> {
        let rest = &self.buffer[self.next..self.end];
        match memchr3(b'"', b'\n', b'\r', rest) {
            Some(at) if rest[at] == b'"' => self.split_quoted(),
            Some(at) => {
                let end = self.next + at;
                if at > LONGEST_RECORD {
                    return Err(RowProblem::TooLong { most: LONGEST_RECORD });
                }
                Ok(self.line_end(end).map_or(Found::More, |next| Found::Plain { end, next }))
            }
            None if self.at_end => Ok(Found::Plain { end: self.end, next: self.end }),
            None => Ok(Found::More),
        }
    }

    /// Splits a record with a quote in it, and takes the quotes out in place.
    fn split_quoted(&mut self) -> Result<Found, RowProblem> {
        self.fields.clear();
        let mut at = self.next;
        let mut line_ends = 0;
        let mut too_many = false;
        let found = loop {
            // At the beginning of a field.
            if at + self.blanks(at) == self.end && !self.at_end {
                break Found::More;
            }
            at += self.blanks(at);
            let begin = at;
            let quoted = self.buffer[..self.end].get(at) == Some(&b'"');
            let (field_end, text_end) = if quoted {
                match self.quoted_end(begin + 1, &mut line_ends)? {
                    Some(quote) => (quote + 1 + self.blanks(quote + 1), quote),
                    None => break Found::More,
                }
            } else {
                let rest = &self.buffer[at..self.end];
                match memchr3(self.delimiter, b'\n', b'\r', rest) {
                    Some(len) => (at + len, at + len),
                    None if self.at_end => (self.end, self.end),
                    None => break Found::More,
                }
            };
            if self.fields.len() < MOST_FIELDS {
                self.fields.push(Field { begin: begin + usize::from(quoted), end: text_end, quoted });
            } else {
                too_many = true;
            }
            at = field_end;
            // Behind a field: a delimiter, or the end of the record.
            if at == self.end {
                break if self.at_end { Found::Quoted { next: at } } else { Found::More };
            }
            match self.buffer[at] {
                byte if byte == self.delimiter => at += 1,
                b'\n' | b'\r' => {
                    break self.line_end(at).map_or(Found::More, |next| Found::Quoted { next });
                }
                _ => {
                    let Some(next) = self.next_line(at) else { break Found::More };
                    self.next = next;
                    self.line += 1 + line_ends;
                    return Err(RowProblem::AfterQuote);
                }
            }
        };
        if let Found::Quoted { next } = found {
            // Only now is it certain that no byte will be looked at again.
            self.line += 1 + line_ends;
            if too_many {
                self.next = next;
                return Err(RowProblem::TooManyFields { most: MOST_FIELDS });
            }
            for index in 0..self.fields.len() {
                self.undouble(index);
            }
        }
        Ok(found)
    }

    /// How many blanks there are from `at` on.
    fn blanks(&self, at: usize) -> usize {
        self.buffer[at..self.end].iter().take_while(|&&byte| byte == b' ' && byte != self.delimiter).count()
    }

    /// Where the line after `at` begins; `None` if that was not read yet.
    fn next_line(&self, at: usize) -> Option<usize> {
        match memchr2(b'\n', b'\r', &self.buffer[at..self.end]) {
            Some(len) => self.line_end(at + len),
            None => self.at_end.then_some(self.end),
        }
    }

    /// The closing quote of the field whose text begins at `from`; `None` if it was not read yet.
    fn quoted_end(&self, from: usize, line_ends: &mut u64) -> Result<Option<usize>, RowProblem> {
        let mut at = from;
        let mut lines = 0;
        while let Some(len) = memchr3(b'"', b'\n', b'\r', &self.buffer[at..self.end]) {
            at += len;
            let following = self.buffer[..self.end].get(at + 1).copied();
            if following.is_none() && !self.at_end {
                return Ok(None);
            }
            match (self.buffer[at], following) {
                (b'"', Some(b'"')) => at += 2,
                (b'"', _) => {
                    *line_ends += lines;
                    return Ok(Some(at));
                }
                (b'\r', Some(b'\n')) => {
                    lines += 1;
                    at += 2;
                }
                _ => {
                    lines += 1;
                    at += 1;
                }
            }
        }
        if self.at_end { Err(RowProblem::OpenQuote) } else { Ok(None) }
    }

    /// Makes one quote of each two in a quoted field.
    fn undouble(&mut self, index: usize) {
        let Field { begin, end, quoted } = self.fields[index];
        if !quoted || memchr::memchr(b'"', &self.buffer[begin..end]).is_none() {
            return;
        }
        let (mut from, mut to) = (begin, begin);
        while from < end {
            let byte = self.buffer[from];
            self.buffer[to] = byte;
            from += if byte == b'"' { 2 } else { 1 };
            to += 1;
        }
        self.fields[index].end = to;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// A reader that gives one byte at a time: every boundary is hit.
    struct Trickle(Cursor<Vec<u8>>);

    impl Read for Trickle {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let most = buffer.len().min(1);
            self.0.read(&mut buffer[..most])
        }
    }

    type Row = (u64, Vec<String>);

    fn collect(mut records: Records) -> Result<Vec<Row>, (u64, RowProblem)> {
        let mut rows = Vec::new();
        loop {
            match records.advance() {
                Ok(None) => return Ok(rows),
                Ok(Some(line)) => {
                    let fields = (0..records.len()).map(|index| records.field(index));
                    rows.push((
                        line,
                        fields.map(|field| String::from_utf8_lossy(field).into_owned()).collect(),
                    ));
                }
                Err(RecordError::Record { line, problem }) => return Err((line, problem)),
                Err(RecordError::Io(error)) => panic!("{error}"),
            }
        }
    }

    fn split(text: &str) -> Result<Vec<Row>, (u64, RowProblem)> {
        let whole = collect(Records::new(Box::new(Cursor::new(text.to_owned())), b',', Some(b"#")));
        let trickle = Trickle(Cursor::new(text.as_bytes().to_vec()));
        assert_eq!(collect(Records::new(Box::new(trickle), b',', Some(b"#"))), whole, "{text:?}");
        whole
    }

    fn row(line: u64, fields: &[&str]) -> Row {
        (line, fields.iter().map(|&field| field.to_owned()).collect())
    }

    #[test]
    fn line_ends_may_be_mixed() {
        let expected = vec![row(1, &["a", "b"]), row(2, &["c", "d"]), row(3, &["e", ""]), row(5, &["f"])];
        assert_eq!(split("a,b\nc,d\r\ne,\r\nf").err(), None);
        assert_eq!(split("a,b\nc,d\r\ne,\r\rf"), Ok(expected.clone()));
        assert_eq!(split("a,b\rc,d\ne,\n\nf\r"), Ok(expected.clone()));
        assert_eq!(split("a,b\r\nc,d\r\ne,\r\n \r\nf\r\n"), Ok(expected));
        assert_eq!(split(""), Ok(vec![]));
        assert_eq!(split("\r\n\n \t\n"), Ok(vec![]));
    }

    #[test]
    fn quotes_may_hold_anything() {
        assert_eq!(
            split("\"a,\"\"1\"\"\",\"x\ny\r\nz\"\n1,2\r\n\"\",3"),
            Ok(vec![row(1, &["a,\"1\"", "x\ny\r\nz"]), row(4, &["1", "2"]), row(5, &["", "3"])])
        );
        assert_eq!(split("a, \"b,c\" ,d\n"), Ok(vec![row(1, &["a", "b,c", "d"])]));
        // Not at the beginning of a field: a character like any other.
        assert_eq!(split("5\" pipe,1\n"), Ok(vec![row(1, &["5\" pipe", "1"])]));
        assert_eq!(split("a,\"b\""), Ok(vec![row(1, &["a", "b"])]));
        assert_eq!(split("\"a\",\n"), Ok(vec![row(1, &["a", ""])]));
    }

    #[test]
    fn wrong_quotes_are_found() {
        assert_eq!(split("a,b\n1,\"2\n3,4\n"), Err((2, RowProblem::OpenQuote)));
        assert_eq!(split("a,b\n1,\"2\" 3\n"), Err((2, RowProblem::AfterQuote)));
    }

    #[test]
    fn comments_are_no_records() {
        assert_eq!(
            split("# it's 5\" long\na,b\n#\n#x\r\n1,2\n# end"),
            Ok(vec![row(2, &["a", "b"]), row(5, &["1", "2"])])
        );
    }

    #[test]
    fn a_record_has_a_limit() {
        let long = io::repeat(b'x').take(1 << 30);
        let error = collect(Records::new(Box::new(Cursor::new("a\n").chain(long)), b',', None)).unwrap_err();
        assert_eq!(error, (2, RowProblem::TooLong { most: LONGEST_RECORD }));
        let quoted = Cursor::new("a\n\"")
            .chain(Cursor::new("x".repeat(1000) + "\n").chain(io::repeat(b'x').take(1 << 30)));
        let error = collect(Records::new(Box::new(quoted), b',', None)).unwrap_err();
        assert_eq!(error, (2, RowProblem::TooLong { most: LONGEST_RECORD }));
    }

    #[test]
    fn fields_have_a_limit() {
        for text in [",".repeat(MOST_FIELDS), ",".repeat(MOST_FIELDS) + "\"a\""] {
            let mut records = Records::new(Box::new(Cursor::new(text + "\na,b")), b',', None);
            let error = records.advance().unwrap_err();
            let most = MOST_FIELDS;
            assert!(
                matches!(error, RecordError::Record { line: 1, problem } if problem == RowProblem::TooManyFields { most })
            );
            assert!(matches!(records.advance(), Ok(Some(2))));
            assert_eq!(records.len(), 2);
        }
        let text = ",".repeat(MOST_FIELDS - 1);
        assert_eq!(
            collect(Records::new(Box::new(Cursor::new(text)), b',', None)).unwrap()[0].1.len(),
            MOST_FIELDS
        );
    }

    #[test]
    fn a_tab_is_no_blank_where_it_separates() {
        let records = Records::new(Box::new(Cursor::new("1\t2\n\t\n \n")), b'\t', None);
        assert_eq!(collect(records), Ok(vec![row(1, &["1", "2"]), row(2, &["", ""])]));
    }
}
