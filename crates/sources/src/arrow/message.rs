//! The messages of a stream: their frames are checked here and their buffers unpacked, what is in them is left to `arrow_ipc`.

use std::collections::HashMap;
use std::io::{self, Chain, Cursor, Read};

use arrow_ipc::convert::try_fb_to_schema;
use arrow_ipc::{Message, MessageHeader, root_as_message};
use arrow_schema::Schema;

use super::packed::{column_of, packed_batch, unpack};
use crate::error::ColumnName;

/// What a message begins with.
pub(crate) const CONTINUATION: &[u8; 4] = b"\xFF\xFF\xFF\xFF";

/// What a file begins with. Eight bytes with their padding; after them, it is a stream.
pub(crate) const FILE_MAGIC: &[u8; 6] = b"ARROW1";

/// What a message says of itself, at most: a schema of some hundred thousand columns.
const MOST_METADATA: u32 = 64 << 20;

/// Bytes of a batch, at most, with and without compression; and of all dictionaries together.
const MOST_BODY: u32 = 1 << 30;

/// Passes a stream on, message by message, as long as each one is what it says: so that whoever reads it allocates no more than
/// there is, and knows a stream that was cut off.
pub(super) struct Messages {
    source: Box<dyn Read + Send>,
    /// What was read already: the frame at hand, and the body behind it if it was compressed.
    ahead: Chain<Cursor<Vec<u8>>, Cursor<Vec<u8>>>,
    /// What is left of the body otherwise.
    body_left: u64,
    /// Bytes of each dictionary.
    dictionaries: HashMap<i64, u64>,
    /// What the columns are, once that is known.
    schema: Option<Schema>,
    /// Batches of rows that have begun.
    batches: u64,
    ended: bool,
}

impl Messages {
    pub(super) fn new(source: Box<dyn Read + Send>) -> Messages {
        Messages {
            source,
            ahead: Cursor::default().chain(Cursor::default()),
            body_left: 0,
            dictionaries: HashMap::new(),
            schema: None,
            batches: 0,
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
        if len == 0 {
            self.ended = true;
            self.ahead = ahead(&[], Vec::new());
            return Ok(());
        }
        let metadata = self.bytes(len)?;
        let message =
            root_as_message(&metadata).map_err(|error| wrong(format!("a message is damaged: {error}")))?;
        let body = u32::try_from(message.bodyLength()).ok().filter(|body| *body <= MOST_BODY);
        let body = body.ok_or_else(|| {
            let said = message.bodyLength();
            wrong(format!(
                "a message says to have {said} bytes, at most {MOST_BODY} are read; write smaller batches"
            ))
        })?;
        match message.header_type() {
            // What is wrong with it is said by who reads it.
            MessageHeader::Schema => {
                self.schema = message.header_as_schema().and_then(|schema| try_fb_to_schema(schema).ok());
            }
            MessageHeader::RecordBatch => self.batches += 1,
            _ => {}
        }
        let Some(packed) = packed_batch(&message) else {
            self.count_dictionary(&message, body.into())?;
            self.ahead = ahead(&metadata, Vec::new());
            self.body_left = body.into();
            return Ok(());
        };
        let bytes = self.bytes(body)?;
        let name = |buffer| self.name_of_buffer(&message, buffer);
        let unpacked = unpack(&message, packed, &bytes, MOST_BODY as usize, name).map_err(wrong)?;
        self.count_dictionary(&message, unpacked.body.len() as u64)?;
        self.ahead = ahead(&unpacked.metadata, unpacked.body);
        Ok(())
    }

    /// Counts the bytes of a dictionary, if the message has one.
    fn count_dictionary(&mut self, message: &Message<'_>, body: u64) -> io::Result<()> {
        let Some(dictionary) = message.header_as_dictionary_batch() else { return Ok(()) };
        let size = self.dictionaries.entry(dictionary.id()).or_default();
        *size = if dictionary.isDelta() { *size + body } else { body };
        let all: u64 = self.dictionaries.values().sum();
        if all > MOST_BODY.into() {
            return Err(wrong(format!("its dictionaries have {all} bytes, at most {MOST_BODY} are read")));
        }
        Ok(())
    }

    /// What messages call a buffer of a batch.
    fn name_of_buffer(&self, message: &Message<'_>, buffer: usize) -> String {
        if let Some(dictionary) = message.header_as_dictionary_batch() {
            return format!("dictionary {}, buffer {}", dictionary.id(), buffer + 1);
        }
        let place = self.schema.as_ref().zip(message.header_as_record_batch()).and_then(|(schema, batch)| {
            let (column, buffer) = column_of(schema, message.version(), &batch, buffer)?;
            let title = schema.field(column).name().clone();
            Some((ColumnName { number: column + 1, title }, buffer))
        });
        match place {
            Some((column, buffer)) => format!("batch {}, {column}, buffer {}", self.batches, buffer + 1),
            None => format!("batch {}, buffer {}", self.batches, buffer + 1),
        }
    }
}

/// A frame with this description, and what lies behind it.
fn ahead(metadata: &[u8], body: Vec<u8>) -> Chain<Cursor<Vec<u8>>, Cursor<Vec<u8>>> {
    let len = metadata.len() as u32;
    let frame = [CONTINUATION, &len.to_le_bytes(), metadata].concat();
    Cursor::new(frame).chain(Cursor::new(body))
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
        loop {
            let read = self.ahead.read(buffer)?;
            if read > 0 {
                return Ok(read);
            }
            if self.body_left > 0 {
                break;
            }
            if self.ended {
                return Ok(0);
            }
            self.next()?;
        }
        let most = usize::try_from(self.body_left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.source.read(&mut buffer[..most])?;
        self.body_left -= read as u64;
        if read == 0 { Err(cut_off()) } else { Ok(read) }
    }
}
