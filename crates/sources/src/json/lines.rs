//! Cuts an input into blocks of whole lines.

use std::io::{self, Read};

use memchr::memrchr;

/// A line, at most: what is longer is no row.
pub(super) const LONGEST_LINE: usize = 16 << 20;

/// Bytes that are read at once.
const READ_BYTES: usize = 1 << 20;

/// An input as blocks of lines.
pub(super) struct Lines {
    source: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    at_end: bool,
    /// Comes behind the whole lines that were read before it.
    failure: Option<io::Error>,
}

impl Lines {
    pub(super) fn new(source: Box<dyn Read + Send>) -> Lines {
        Lines { source, buffer: Vec::new(), at_end: false, failure: None }
    }

    /// Whole lines that the input goes on with, at least so many bytes if there are as many; they are not taken.
    pub(super) fn peek(&mut self, bytes: usize) -> &[u8] {
        self.fill(bytes);
        &self.buffer[..self.whole_lines()]
    }

    /// The next lines, `bytes` of them or more; `None` at the end. A line that is too long is cut, and nothing follows.
    pub(super) fn next(&mut self, bytes: usize) -> io::Result<Option<Vec<u8>>> {
        let mut wanted = bytes;
        loop {
            self.fill(wanted);
            let whole = self.whole_lines();
            if whole > 0 {
                let rest = self.buffer.split_off(whole);
                return Ok(Some(std::mem::replace(&mut self.buffer, rest)));
            }
            if self.at_end {
                self.buffer.clear();
                return self.failure.take().map_or(Ok(None), Err);
            }
            if self.buffer.len() > LONGEST_LINE {
                self.at_end = true;
                return Ok(Some(std::mem::take(&mut self.buffer)));
            }
            // Twice as much each time, so that a long line is not searched over and over.
            wanted = 2 * self.buffer.len().max(1);
        }
    }

    /// How many bytes of the buffer are lines that have ended. What is cut off by a failure is none.
    fn whole_lines(&self) -> usize {
        if self.at_end && self.failure.is_none() {
            return self.buffer.len();
        }
        memrchr(b'\n', &self.buffer).map_or(0, |at| at + 1)
    }

    /// Reads until there are so many bytes, or no more.
    fn fill(&mut self, bytes: usize) {
        while !self.at_end && self.buffer.len() < bytes {
            let before = self.buffer.len();
            let read = self.source.by_ref().take(READ_BYTES as u64).read_to_end(&mut self.buffer);
            match read {
                Ok(_) if self.buffer.len() == before => self.at_end = true,
                Ok(_) => {}
                Err(error) => {
                    self.at_end = true;
                    self.failure = Some(error);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_end_where_lines_do() {
        let text = "one\ntwo\r\n\nthree";
        for bytes in 1..20 {
            let mut lines = Lines::new(Box::new(text.as_bytes()));
            assert!(text.starts_with(std::str::from_utf8(lines.peek(bytes)).unwrap()));
            let mut all = Vec::new();
            while let Some(block) = lines.next(bytes).unwrap() {
                assert!(block.ends_with(b"\n") || block.ends_with(b"three"));
                all.extend(block);
            }
            assert_eq!(all, text.as_bytes());
        }
    }

    #[test]
    fn what_was_read_comes_before_the_failure() {
        struct Torn(usize);
        impl Read for Torn {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.0 += 1;
                match self.0 {
                    1 => (&b"one\ntw"[..]).read(buffer),
                    _ => Err(io::Error::other("torn")),
                }
            }
        }
        let mut lines = Lines::new(Box::new(Torn(0)));
        assert_eq!(lines.next(100).unwrap().unwrap(), b"one\n");
        assert_eq!(lines.next(100).unwrap_err().to_string(), "torn");
        assert!(lines.next(100).unwrap().is_none());
    }

    #[test]
    fn an_endless_line_takes_bounded_memory() {
        let mut lines = Lines::new(Box::new(io::repeat(b'x')));
        let block = lines.next(100).unwrap().unwrap();
        assert!((LONGEST_LINE..3 * LONGEST_LINE).contains(&block.len()));
        assert!(lines.next(100).unwrap().is_none());
    }
}
