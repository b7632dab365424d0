//! The messages of a stream: their frames are checked here, what is in them is left to `arrow_ipc`.

use std::collections::HashMap;
use std::io::{self, Read};

use arrow_ipc::{MessageHeader, root_as_message};

/// What a message begins with.
pub(crate) const CONTINUATION: &[u8; 4] = b"\xFF\xFF\xFF\xFF";

/// What a file begins with. Eight bytes with their padding; after them, it is a stream.
pub(crate) const FILE_MAGIC: &[u8; 6] = b"ARROW1";

/// What a message says of itself, at most: a schema of some hundred thousand columns.
const MOST_METADATA: u32 = 64 << 20;

/// Bytes of a batch, at most; and of all dictionaries together.
const MOST_BODY: u64 = 1 << 30;

/// Passes a stream on, message by message, as long as each one is what it says: so that whoever reads it allocates no more than
/// there is, and knows a stream that was cut off.
pub(super) struct Messages {
    source: Box<dyn Read + Send>,
    /// The frame at hand, and how much of it was passed on.
    frame: Vec<u8>,
    passed: usize,
    /// What is left of the body behind it.
    body_left: u64,
    /// Bytes of each dictionary.
    dictionaries: HashMap<i64, u64>,
    ended: bool,
}

impl Messages {
    pub(super) fn new(source: Box<dyn Read + Send>) -> Messages {
        Messages {
            source,
            frame: Vec::new(),
            passed: 0,
            body_left: 0,
            dictionaries: HashMap::new(),
            ended: false,
        }
    }

    /// Reads exactly so many bytes, without believing that there are as many.
    fn bytes(&mut self, len: u32) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.source.by_ref().take(len.into()).read_to_end(&mut bytes)?;
        if bytes.len() < len as usize { Err(cut_off()) } else { Ok(bytes) }
    }

    /// Reads the next frame, which is the last one if it says so.
    fn next(&mut self) -> io::Result<()> {
        let mut first = self.bytes(4)?;
        // Before version 0.15 of the format, the length came at once.
        let has_mark = first == CONTINUATION;
        if has_mark {
            first = self.bytes(4)?;
        }
        let len = u32::from_le_bytes([first[0], first[1], first[2], first[3]]);
        if len > MOST_METADATA {
            return Err(wrong(format!(
                "a message says to be described by {len} bytes, at most {MOST_METADATA} are read"
            )));
        }
        self.frame.clear();
        self.passed = 0;
        self.frame.extend_from_slice(CONTINUATION);
        self.frame.extend_from_slice(&len.to_le_bytes());
        if len == 0 {
            self.ended = true;
            return Ok(());
        }
        let metadata = self.bytes(len)?;
        let message =
            root_as_message(&metadata).map_err(|error| wrong(format!("a message is damaged: {error}")))?;
        let body = u64::try_from(message.bodyLength()).ok().filter(|body| *body <= MOST_BODY);
        let body = body.ok_or_else(|| {
            let said = message.bodyLength();
            wrong(format!(
                "a message says to have {said} bytes, at most {MOST_BODY} are read; write smaller batches"
            ))
        })?;
        if message.header_type() == MessageHeader::DictionaryBatch
            && let Some(dictionary) = message.header_as_dictionary_batch()
        {
            let size = self.dictionaries.entry(dictionary.id()).or_default();
            *size = if dictionary.isDelta() { *size + body } else { body };
            let all: u64 = self.dictionaries.values().sum();
            if all > MOST_BODY {
                return Err(wrong(format!(
                    "its dictionaries have {all} bytes, at most {MOST_BODY} are read"
                )));
            }
        }
        self.body_left = body;
        self.frame.extend_from_slice(&metadata);
        Ok(())
    }
}

fn wrong(problem: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

fn cut_off() -> io::Error {
    wrong(
        "it ends in the middle, without its end mark: it is cut off, or who wrote it did not close it"
            .to_owned(),
    )
}

impl Read for Messages {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.passed == self.frame.len() && self.body_left == 0 {
            if self.ended {
                return Ok(0);
            }
            self.next()?;
        }
        if self.passed < self.frame.len() {
            let read = (&self.frame[self.passed..]).read(buffer)?;
            self.passed += read;
            return Ok(read);
        }
        let most = usize::try_from(self.body_left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.source.read(&mut buffer[..most])?;
        self.body_left -= read as u64;
        if read == 0 { Err(cut_off()) } else { Ok(read) }
    }
}
