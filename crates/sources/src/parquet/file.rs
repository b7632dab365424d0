//! The bytes of a Parquet file, read at any place, and its footer.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::sync::Mutex;

use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

use crate::error::SourceError;
use crate::guard::caught;
use crate::input::{Input, Seekable};

/// What a Parquet file begins and ends with.
pub(crate) const MAGIC: &[u8; 4] = b"PAR1";

/// What it ends with if its footer is encrypted.
const ENCRYPTED_MAGIC: &[u8; 4] = b"PARE";

/// Length of the footer and the magic bytes, at the very end.
const TAIL_BYTES: u64 = 8;

/// A footer, at most: about a million column chunks. In memory it takes several times its size.
const MOST_FOOTER_BYTES: u64 = 64 << 20;

/// Of a stream, so much is kept in memory, and all of it in a temporary file beyond that.
const SPOOLED_BYTES: usize = 64 << 20;

/// The bytes of a file.
#[derive(Debug)]
pub(crate) struct ParquetFile {
    name: String,
    bytes: Contents,
    len: u64,
}

#[derive(Debug)]
enum Contents {
    Memory(Bytes),
    /// Reading at an offset is not the same call everywhere, and the time is spent on decoding: the lock is short.
    File(Mutex<File>),
}

impl ParquetFile {
    /// Opens an input. A stream is read to its end, because that is where Parquet files begin.
    pub(crate) fn open(input: Input) -> Result<ParquetFile, SourceError> {
        let name = input.name().to_owned();
        let failed = |source| SourceError::Open { input: name.clone(), source };
        let (bytes, len) = match input.seekable()? {
            Seekable::Bytes(bytes) => {
                let len = bytes.len() as u64;
                (Contents::Memory(Bytes::from_owner(bytes)), len)
            }
            Seekable::File(file) => {
                let len = file.metadata().map_err(failed)?.len();
                (Contents::File(Mutex::new(file)), len)
            }
            Seekable::Stream(stream) => spool(stream).map_err(failed)?,
        };
        Ok(ParquetFile { name, bytes, len })
    }

    /// How messages call it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Length in bytes.
    pub(crate) const fn len(&self) -> u64 {
        self.len
    }

    /// So many bytes from an offset on, all of them.
    pub(crate) fn read(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        let end = offset.checked_add(len as u64).filter(|end| *end <= self.len);
        let Some(end) = end else { return Err(ErrorKind::UnexpectedEof.into()) };
        match &self.bytes {
            Contents::Memory(bytes) => Ok(bytes.slice(offset as usize..end as usize)),
            Contents::File(file) => {
                let mut buffer = vec![0; len];
                let mut file = file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                file.seek(SeekFrom::Start(offset))?;
                file.read_exact(&mut buffer)?;
                Ok(buffer.into())
            }
        }
    }

    /// What the footer says.
    pub(crate) fn metadata(&self) -> Result<ParquetMetaData, SourceError> {
        let wrong = |problem: String| SourceError::Unreadable {
            input: self.name.clone(),
            row: None,
            column: None,
            problem,
        };
        let failed = |source| SourceError::Open { input: self.name.clone(), source };
        if self.len < TAIL_BYTES + MAGIC.len() as u64 {
            return Err(wrong(format!("no Parquet file has only {} bytes", self.len)));
        }
        let begin = self.read(0, MAGIC.len()).map_err(failed)?;
        let tail = self.read(self.len - TAIL_BYTES, TAIL_BYTES as usize).map_err(failed)?;
        if &tail[4..] == ENCRYPTED_MAGIC || &begin[..] == ENCRYPTED_MAGIC {
            return Err(wrong("the file is encrypted; write it without encryption".to_owned()));
        }
        if &begin[..] != MAGIC {
            return Err(wrong("no Parquet file: it does not begin with `PAR1`".to_owned()));
        }
        if &tail[4..] != MAGIC {
            return Err(wrong("the file is cut off: it does not end with `PAR1`".to_owned()));
        }
        let footer = u64::from(u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]));
        let most = self.len - TAIL_BYTES - MAGIC.len() as u64;
        if footer > most {
            return Err(wrong(format!(
                "the footer should have {footer} bytes, but there are only {most} before it ends"
            )));
        }
        if footer > MOST_FOOTER_BYTES {
            return Err(wrong(format!(
                "the footer has {footer} bytes, more than {} MiB; write fewer and larger row groups",
                MOST_FOOTER_BYTES >> 20
            )));
        }
        let footer = self.read(self.len - TAIL_BYTES - footer, footer as usize).map_err(failed)?;
        let metadata = guarded(|| ParquetMetaDataReader::decode_metadata(&footer));
        metadata.map_err(|error| wrong(format!("the footer can't be read: {error}")))
    }
}

/// Reads a stream to its end.
fn spool(mut stream: Box<dyn Read + Send>) -> io::Result<(Contents, u64)> {
    let mut head = Vec::new();
    (&mut stream).take(SPOOLED_BYTES as u64).read_to_end(&mut head)?;
    if head.len() < SPOOLED_BYTES {
        let len = head.len() as u64;
        return Ok((Contents::Memory(head.into()), len));
    }
    let mut file = tempfile::tempfile()?;
    io::copy(&mut head.as_slice().chain(stream), &mut file)?;
    let len = file.stream_position()?;
    Ok((Contents::File(Mutex::new(file)), len))
}

/// What a decoder gives.
pub(crate) fn guarded<T>(decode: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, String> {
    caught(decode)?.map_err(|error| match error {
        ParquetError::General(problem) | ParquetError::EOF(problem) | ParquetError::NYI(problem) => problem,
        other => other.to_string(),
    })
}
