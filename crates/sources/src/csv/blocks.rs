//! Cuts an input into blocks that begin and end with a record, so that each can be read on its own.

use std::io::{self, Read};

use memchr::memchr;

use super::record::{LONGEST_RECORD, Records};

/// Bytes that are asked for at once: what is unpacked stays in cache, and a bomb is found early.
const READ_BYTES: usize = 256 << 10;

/// Some records of the input, whole ones; one that is cut off only where it is longer than a record may be, or where the
/// input ends.
pub(crate) struct Block {
    buffer: Vec<u8>,
    len: usize,
}

impl Block {
    pub(crate) fn text(&self) -> &[u8] {
        &self.buffer[..self.len]
    }
}

/// The blocks of an input.
pub(crate) struct Blocks {
    source: Box<dyn Read + Send>,
    /// What was read and not handed out yet is between `begin` and `end`. It begins with a record, or a line.
    buffer: Vec<u8>,
    begin: usize,
    end: usize,
    at_end: bool,
    /// Why reading ended before the end.
    failure: Option<io::Error>,
    /// Bytes of a block, about.
    block_bytes: usize,
    delimiter: u8,
    comment: Option<Vec<u8>>,
    /// Buffers to use again.
    spare: Vec<Vec<u8>>,
}

impl Blocks {
    pub(crate) fn new(source: Box<dyn Read + Send>, block_bytes: usize) -> Blocks {
        Blocks {
            source,
            buffer: Vec::new(),
            begin: 0,
            end: 0,
            at_end: false,
            failure: None,
            block_bytes,
            delimiter: b',',
            comment: None,
            spare: Vec::new(),
        }
    }

    /// Shows the beginning, `bytes` of it or a few more; and whether that is all there is.
    pub(crate) fn peek(&mut self, bytes: usize) -> io::Result<(&[u8], bool)> {
        self.fill(bytes);
        match self.failure.take() {
            Some(error) => Err(error),
            None => Ok((&self.buffer[self.begin..self.end], self.at_end)),
        }
    }

    /// Goes on behind so many bytes that were shown; from here on there are records.
    pub(crate) fn start(&mut self, skipped: usize, delimiter: u8, comment: Option<&[u8]>) {
        self.begin += skipped;
        self.delimiter = delimiter;
        self.comment = comment.map(<[u8]>::to_vec);
    }

    /// The next block; `None` at the end.
    ///
    /// Where reading fails, whole records that were read before come first, and the error next.
    pub(crate) fn next(&mut self) -> io::Result<Option<Block>> {
        let mut wanted = self.block_bytes;
        let len = loop {
            self.fill(wanted);
            let len = (self.end - self.begin).min(wanted);
            let is_all = self.at_end && self.begin + len == self.end;
            if is_all && self.failure.is_none() {
                break len;
            }
            let cut = self.last_cut(len);
            if cut > 0 || is_all {
                break cut;
            }
            if len > LONGEST_RECORD {
                // The record that is too long is told by who reads the block. Nothing follows.
                self.at_end = true;
                self.end = self.begin + len;
                break len;
            }
            // Twice as much each time, so that a long record is not searched over and over.
            wanted *= 2;
        };
        if len == 0 {
            return self.failure.take().map_or(Ok(None), Err);
        }
        Ok(Some(self.take(len)))
    }

    /// Takes back the memory of a block that is done with.
    pub(crate) fn reuse(&mut self, block: Block) {
        self.spare.push(block.buffer);
    }

    /// Hands out so many bytes, and moves the rest to the beginning of another buffer.
    fn take(&mut self, len: usize) -> Block {
        let rest = self.begin + len..self.end;
        let mut next = self.spare.pop().unwrap_or_default();
        if next.len() < rest.len() {
            next.resize(rest.len().max(self.block_bytes.min(self.buffer.len())), 0);
        }
        next[..rest.len()].copy_from_slice(&self.buffer[rest.clone()]);
        let mut buffer = std::mem::replace(&mut self.buffer, next);
        if self.begin > 0 {
            buffer.copy_within(self.begin..self.begin + len, 0);
        }
        (self.begin, self.end) = (0, rest.len());
        Block { buffer, len }
    }

    /// Reads until there are so many bytes, or no more.
    fn fill(&mut self, bytes: usize) {
        while !self.at_end && self.end - self.begin < bytes {
            if self.buffer.len() - self.end < READ_BYTES {
                let room = bytes.min(2 * self.buffer.len().max(READ_BYTES)) + READ_BYTES;
                self.buffer.resize((self.begin + room).max(self.end + READ_BYTES), 0);
            }
            let most = self.buffer.len().min(self.end + READ_BYTES).min(self.begin + bytes);
            match self.source.read(&mut self.buffer[self.end..most]) {
                Ok(0) => self.at_end = true,
                Ok(read) => self.end += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.at_end = true;
                    self.failure = Some(error);
                }
            }
        }
    }

    /// The last place within the next `len` bytes where a record certainly ends, whatever follows; 0 if there is none.
    ///
    /// Lines without a quote end where they seem to. So only the records with one are looked at.
    fn last_cut(&self, len: usize) -> usize {
        let text = &self.buffer[self.begin..self.begin + len];
        let mut records = None;
        let mut cut = 0;
        while let Some(quote) = memchr(b'"', &text[cut..]) {
            cut = last_line(text, cut, cut + quote);
            let records =
                records.get_or_insert_with(|| Records::new(text, self.delimiter, self.comment.as_deref()));
            records.seek(cut);
            match records.step() {
                Err(bad) if bad.problem.is_fatal() => return cut,
                Ok(_) | Err(_) => {}
            }
            let next = records.position();
            // What ends with the text may go on behind it: a `\r`, a quote, any character.
            if next == text.len() && text[next - 1] != b'\n' {
                return cut;
            }
            cut = next;
        }
        last_line(text, cut, text.len())
    }
}

/// Where the last line begins that begins behind `from` and not behind `until`; `from` if there is none.
fn last_line(text: &[u8], from: usize, until: usize) -> usize {
    let mut end = until;
    while let Some(at) = memchr::memrchr2(b'\n', b'\r', &text[from..end]).map(|at| from + at) {
        // A `\r` and what follows may be one line end.
        match (text[at], text.get(at + 1)) {
            (b'\n', _) => return at + 1,
            (_, Some(b'\n') | None) => end = at,
            _ => return at + 1,
        }
    }
    from
}
