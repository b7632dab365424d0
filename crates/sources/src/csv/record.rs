//! Cuts text into records and fields: delimiters, quotes, line ends, comments. Knows the line of each record.
//!
//! A record ends at `\n`, `\r\n` or `\r`, which may be mixed. A field that begins with `"` ends at the next one that
//! is not doubled, and may contain delimiters and line ends; blanks around it don't count. Elsewhere a quote is a
//! character like any other. Lines that are blank or begin with the prefix of comments are no records.

use memchr::{memchr, memchr2, memchr3};

use crate::error::RowProblem;

/// The longest record, in bytes, with its line end.
pub(crate) const LONGEST_RECORD: usize = 16 << 20;

/// Fields of a record, at most.
pub(crate) const MOST_FIELDS: usize = 1 << 17;

/// The records of a text that is in memory, one after the other.
pub(crate) struct Records<'a> {
    text: &'a [u8],
    /// Where the next record is searched for, and in which line that is.
    next: usize,
    line: u64,
    /// Where the last record or comment began.
    begin: usize,
    /// Where the first quote behind `next` is; the end of the text if there is none. Behind `next` or not known yet.
    quote: usize,
    delimiter: u8,
    comment: Option<&'a [u8]>,
    fields: Vec<Field>,
    /// Quoted fields of the last record that had doubled quotes, without them.
    undoubled: Vec<u8>,
    /// What the last comment said, until a record comes.
    last_comment: Option<(u64, &'a [u8])>,
}

#[derive(Clone, Copy)]
struct Field {
    begin: usize,
    end: usize,
    quoted: bool,
    /// Whether it is in `undoubled`, not in the text.
    undoubled: bool,
}

/// What lies between two line ends, or more where some are quoted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The end of the text.
    End,
    /// A blank line or a comment.
    Nothing,
    /// A record, now in the fields, that begins in this line.
    Record(u64),
}

/// The record that begins in `line` is wrong. Unless the problem is fatal, the next one can be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadRecord {
    pub(crate) line: u64,
    pub(crate) problem: RowProblem,
}

impl<'a> Records<'a> {
    /// Records of a text whose first line has the number 1.
    pub(crate) fn new(text: &'a [u8], delimiter: u8, comment: Option<&'a [u8]>) -> Records<'a> {
        Records {
            text,
            next: 0,
            line: 1,
            begin: 0,
            quote: memchr(b'"', text).unwrap_or(text.len()),
            delimiter,
            comment,
            fields: Vec::new(),
            undoubled: Vec::new(),
            last_comment: None,
        }
    }

    /// What comments begin with from now on.
    pub(crate) fn set_comment(&mut self, comment: Option<&'a [u8]>) {
        self.comment = comment;
    }

    /// Goes on at a place where a record begins. Lines are not counted any more.
    pub(crate) fn seek(&mut self, at: usize) {
        self.next = at;
    }

    /// Where the next record is searched for.
    pub(crate) fn position(&self) -> usize {
        self.next
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
    #[inline]
    pub(crate) fn field(&self, index: usize) -> &[u8] {
        let Field { begin, end, undoubled, .. } = self.fields[index];
        let bytes = if undoubled { &self.undoubled[begin..end] } else { &self.text[begin..end] };
        match bytes {
            [first, .., last] if *first > b' ' && *last > b' ' => bytes,
            _ => bytes.trim_ascii(),
        }
    }

    /// Whether field `index` of the last record is quoted.
    pub(crate) fn is_quoted(&self, index: usize) -> bool {
        self.fields[index].quoted
    }

    /// The first line of the last record, or what was read of it.
    pub(crate) fn first_line(&self) -> &'a [u8] {
        let rest = &self.text[self.begin..];
        &rest[..memchr2(b'\n', b'\r', rest).unwrap_or(rest.len())]
    }

    /// The last comment before the last record, and its line.
    pub(crate) fn last_comment(&self) -> Option<(u64, &'a [u8])> {
        self.last_comment
    }

    /// Goes on behind so many lines, whatever they hold.
    pub(crate) fn skip_lines(&mut self, lines: u64) {
        for _ in 0..lines {
            if self.next == self.text.len() {
                break;
            }
            let (_, next) = self.line_from(self.next);
            self.next = next;
            self.line += 1;
        }
    }

    /// The line in which the next record begins, now in the fields; `None` at the end.
    pub(crate) fn advance(&mut self) -> Result<Option<u64>, BadRecord> {
        self.last_comment = None;
        loop {
            match self.step()? {
                Step::End => return Ok(None),
                Step::Nothing => {}
                Step::Record(line) => return Ok(Some(line)),
            }
        }
    }

    /// The next record, comment or blank line.
    pub(crate) fn step(&mut self) -> Result<Step, BadRecord> {
        self.fields.clear();
        let (begin, line) = (self.next, self.line);
        self.begin = begin;
        if begin == self.text.len() {
            return Ok(Step::End);
        }
        let found = self.find(begin);
        if self.next - begin > LONGEST_RECORD {
            let is_open = matches!(found, Err(RowProblem::OpenQuote));
            let most = LONGEST_RECORD;
            let problem = if is_open { RowProblem::LongQuote { most } } else { RowProblem::TooLong { most } };
            return Err(BadRecord { line, problem });
        }
        found.map_err(|problem| BadRecord { line, problem })
    }

    /// Reads what begins at `begin`, and goes on behind it.
    fn find(&mut self, begin: usize) -> Result<Step, RowProblem> {
        let line = self.line;
        if let Some(comment) = self.comment
            && self.text[begin..].starts_with(comment)
        {
            let (end, next) = self.line_from(begin);
            self.last_comment = Some((line, &self.text[begin + comment.len()..end]));
            self.next = next;
            self.line += 1;
            return Ok(Step::Nothing);
        }
        if self.quote < begin {
            self.quote = memchr(b'"', &self.text[begin..]).map_or(self.text.len(), |at| begin + at);
        }
        let (end, all_fit) = self.split_plain(begin);
        if self.quote < end {
            self.fields.clear();
            self.split_quoted(begin)?;
            return Ok(Step::Record(line));
        }
        self.next = if end < self.text.len() { self.behind_line_end(end) } else { end };
        self.line += 1;
        all_fit?;
        // A line of white space is blank, but not where it has delimiters.
        let blank = self.fields.len() == 1 && self.text[begin..end].trim_ascii().is_empty();
        Ok(if blank { Step::Nothing } else { Step::Record(line) })
    }

    /// Splits the line at `begin` as if quotes had no meaning; where it ends, and whether it has too many fields.
    ///
    /// Fields are short: eight bytes at a time are faster than a search that starts over after each one.
    #[inline]
    fn split_plain(&mut self, begin: usize) -> (usize, Result<(), RowProblem>) {
        let text = self.text;
        let mut all_fit = Ok(());
        let mut from = begin;
        let mut at = begin;
        let mut hit = |at: usize, fields: &mut Vec<Field>| {
            if fields.len() == MOST_FIELDS {
                all_fit = Err(RowProblem::TooManyFields { most: MOST_FIELDS });
            } else {
                fields.push(Field { begin: from, end: at, quoted: false, undoubled: false });
            }
            from = at + 1;
            text.get(at) != Some(&self.delimiter)
        };
        while let Some(&word) = text[at..].first_chunk() {
            let word = u64::from_le_bytes(word);
            let mut hits = equal(word, self.delimiter) | equal(word, b'\n') | equal(word, b'\r');
            while hits != 0 {
                let end = at + hits.trailing_zeros() as usize / 8;
                if hit(end, &mut self.fields) {
                    return (end, all_fit);
                }
                hits &= hits - 1;
            }
            at += 8;
        }
        loop {
            let rest = text[at..].iter();
            let is_hit = |byte: &u8| [self.delimiter, b'\n', b'\r'].contains(byte);
            let end = rest.clone().position(is_hit).map_or(text.len(), |len| at + len);
            if hit(end, &mut self.fields) {
                return (end, all_fit);
            }
            at = end + 1;
        }
    }

    fn push(&mut self, field: Field) -> Result<(), RowProblem> {
        if self.fields.len() == MOST_FIELDS {
            return Err(RowProblem::TooManyFields { most: MOST_FIELDS });
        }
        self.fields.push(field);
        Ok(())
    }

    /// The end of the line at `at`, and where the next one begins.
    #[inline]
    fn line_from(&self, at: usize) -> (usize, usize) {
        match memchr2(b'\n', b'\r', &self.text[at..]) {
            Some(len) => (at + len, self.behind_line_end(at + len)),
            None => (self.text.len(), self.text.len()),
        }
    }

    /// Where the line after the line end at `end` begins.
    #[inline]
    fn behind_line_end(&self, end: usize) -> usize {
        if self.text[end] == b'\r' && self.text.get(end + 1) == Some(&b'\n') { end + 2 } else { end + 1 }
    }

    /// Splits the record at `begin`, which has a quote in it.
    fn split_quoted(&mut self, begin: usize) -> Result<(), RowProblem> {
        self.undoubled.clear();
        let mut at = begin;
        // Told when it is known where the record ends.
        let mut too_many = Ok(());
        loop {
            // At the beginning of a field.
            at += self.blanks(at);
            let field;
            if self.text.get(at) == Some(&b'"') {
                let text_begin = at + 1;
                let Some(quote) = self.quoted_end(text_begin) else {
                    self.next = self.text.len();
                    return Err(RowProblem::OpenQuote);
                };
                field = self.undouble(text_begin, quote);
                at = quote + 1 + self.blanks(quote + 1);
            } else {
                let rest = &self.text[at..];
                let end = at + memchr3(self.delimiter, b'\n', b'\r', rest).unwrap_or(rest.len());
                field = Field { begin: at, end, quoted: false, undoubled: false };
                at = end;
            }
            too_many = too_many.and(self.push(field));
            // Behind a field: a delimiter, or the end of the record.
            match self.text.get(at) {
                None => {
                    self.next = at;
                    self.line += 1;
                    return too_many;
                }
                Some(b'\n' | b'\r') => {
                    self.next = self.behind_line_end(at);
                    self.line += 1;
                    return too_many;
                }
                Some(&byte) if byte == self.delimiter => at += 1,
                Some(_) => {
                    (_, self.next) = self.line_from(at);
                    self.line += 1;
                    return Err(RowProblem::AfterQuote);
                }
            }
        }
    }

    /// How many blanks there are from `at` on.
    fn blanks(&self, at: usize) -> usize {
        self.text[at..].iter().take_while(|&&byte| byte == b' ' && byte != self.delimiter).count()
    }

    /// The closing quote of the field whose text begins at `from`; counts the lines in between.
    fn quoted_end(&mut self, from: usize) -> Option<usize> {
        let mut at = from;
        let mut lines = 0;
        while let Some(len) = memchr3(b'"', b'\n', b'\r', &self.text[at..]) {
            at += len;
            match (self.text[at], self.text.get(at + 1)) {
                (b'"', Some(b'"')) => at += 2,
                (b'"', _) => {
                    self.line += lines;
                    return Some(at);
                }
                _ => {
                    lines += 1;
                    at = self.behind_line_end(at);
                }
            }
        }
        None
    }

    /// The quoted field with this text, one quote for each two in it.
    fn undouble(&mut self, begin: usize, end: usize) -> Field {
        if memchr(b'"', &self.text[begin..end]).is_none() {
            return Field { begin, end, quoted: true, undoubled: false };
        }
        let from = self.undoubled.len();
        let mut at = begin;
        while at < end {
            let byte = self.text[at];
            self.undoubled.push(byte);
            at += if byte == b'"' { 2 } else { 1 };
        }
        Field { begin: from, end: self.undoubled.len(), quoted: true, undoubled: true }
    }
}

/// The highest bit of each byte of `word` that is `byte`. The first byte in memory is the lowest one.
#[inline]
fn equal(word: u64, byte: u8) -> u64 {
    const LOW: u64 = u64::from_ne_bytes([0x7F; 8]);
    let zero_where_equal = word ^ u64::from_ne_bytes([byte; 8]);
    // No carry leaves a byte, so that no byte is taken for its neighbour.
    !(((zero_where_equal & LOW) + LOW) | zero_where_equal | LOW)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Row = (u64, Vec<String>);

    fn collect(mut records: Records<'_>) -> Result<Vec<Row>, (u64, RowProblem)> {
        let mut rows = Vec::new();
        while let Some(line) = records.advance().map_err(|bad| (bad.line, bad.problem))? {
            let fields = (0..records.len()).map(|index| records.field(index));
            rows.push((line, fields.map(|field| String::from_utf8_lossy(field).into_owned()).collect()));
        }
        Ok(rows)
    }

    fn split(text: &str) -> Result<Vec<Row>, (u64, RowProblem)> {
        collect(Records::new(text.as_bytes(), b',', Some(b"#")))
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
        let most = LONGEST_RECORD;
        let text = |len: usize| format!("a\n{}\nb\n", "x".repeat(len - 1));
        assert_eq!(split(&text(most)).unwrap().len(), 3);
        assert_eq!(split(&text(most + 1)), Err((2, RowProblem::TooLong { most })));
        assert_eq!(split(&format!("# {}\na", "x".repeat(most))), Err((1, RowProblem::TooLong { most })));
        assert_eq!(split(&format!("a\n\"{}", "x\n".repeat(most))), Err((2, RowProblem::LongQuote { most })));
    }

    #[test]
    fn fields_have_a_limit() {
        let most = MOST_FIELDS;
        for text in [",".repeat(MOST_FIELDS), ",".repeat(MOST_FIELDS) + "\"a\""] {
            let text = text + "\na,b";
            let mut records = Records::new(text.as_bytes(), b',', None);
            let problem = RowProblem::TooManyFields { most };
            assert_eq!(records.advance(), Err(BadRecord { line: 1, problem }));
            assert_eq!(records.advance(), Ok(Some(2)));
            assert_eq!(records.len(), 2);
        }
        assert_eq!(split(&",".repeat(MOST_FIELDS - 1)).unwrap()[0].1.len(), MOST_FIELDS);
    }

    #[test]
    fn a_tab_is_no_blank_where_it_separates() {
        let records = Records::new(b"1\t2\n\t\n \n", b'\t', None);
        assert_eq!(collect(records), Ok(vec![row(1, &["1", "2"]), row(2, &["", ""])]));
    }
}
