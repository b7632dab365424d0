//! Files cut into blocks with a checksum each.
//!
//! The sums are taken while a file is written and kept by the caller. Nothing that is read leaves this module before the
//! blocks it lies in were verified.

use std::io::{self, Read, Write};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};
use xxhash_rust::xxh3::xxh3_64;

use super::{BLOCK_BYTES, SegmentError};
use crate::disk::{Disk, DiskFile, DiskWriter};

/// Bytes that are collected before they go to the disk.
const WRITE_BYTES: usize = 16 * BLOCK_BYTES;

/// A file being written, with the sums of its blocks.
pub(super) struct BlockWriter {
    file: Box<dyn DiskWriter>,
    pending: Vec<u8>,
    sums: Vec<u64>,
    bytes: u64,
}

impl BlockWriter {
    pub(super) fn new(file: Box<dyn DiskWriter>) -> BlockWriter {
        BlockWriter { file, pending: Vec::with_capacity(WRITE_BYTES), sums: Vec::new(), bytes: 0 }
    }

    /// Writes the rest and makes it durable: sums and length of the file.
    pub(super) fn finish(mut self) -> io::Result<(Vec<u64>, u64)> {
        self.write_pending()?;
        self.file.flush()?;
        self.file.sync()?;
        Ok((self.sums, self.bytes))
    }

    fn write_pending(&mut self) -> io::Result<()> {
        self.sums.extend(self.pending.chunks(BLOCK_BYTES).map(xxh3_64));
        self.file.write_all(&self.pending)?;
        self.bytes += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }
}

impl Write for BlockWriter {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let taken = buffer.len().min(WRITE_BYTES - self.pending.len());
        self.pending.extend_from_slice(&buffer[..taken]);
        if self.pending.len() == WRITE_BYTES {
            self.write_pending()?;
        }
        Ok(taken)
    }

    /// Nothing: only whole blocks have a sum, so the rest waits for [`BlockWriter::finish`].
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A file being read, with the sums of its blocks.
#[derive(Debug)]
pub(super) struct BlockFile {
    file: Box<dyn DiskFile>,
    name: String,
    bytes: u64,
    sums: Arc<[u64]>,
}

impl BlockFile {
    /// Opens a file of which so many bytes with these sums were written.
    pub(super) fn open(
        disk: &dyn Disk,
        name: &str,
        bytes: u64,
        sums: &[u64],
    ) -> Result<BlockFile, SegmentError> {
        let described = disk.describe(name);
        let failed = |source| SegmentError::Io { file: described.clone(), doing: "open".to_owned(), source };
        let file = disk.open(name).map_err(failed)?;
        let found = file.bytes().map_err(failed)?;
        if found != bytes {
            return Err(SegmentError::Length { file: described, expected: bytes, found });
        }
        let blocks = bytes.div_ceil(BLOCK_BYTES as u64);
        if sums.len() as u64 != blocks {
            return Err(SegmentError::Mismatch {
                file: described,
                what: "blocks with a checksum:",
                found: blocks.to_string(),
                expected: sums.len().to_string(),
            });
        }
        Ok(BlockFile { file, name: described, bytes, sums: sums.into() })
    }

    /// What the file is called in messages.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Length of the file.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes of this range, verified. All blocks it touches are read at once.
    pub(super) fn read(&self, range: Range<u64>) -> Result<Bytes, SegmentError> {
        self.check(&range)?;
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let blocks = self.blocks_of(&range);
        let mut buffer = vec![0; (blocks.end - blocks.start) as usize];
        self.fill(blocks.start, &mut buffer)?;
        let from = (range.start - blocks.start) as usize;
        Ok(Bytes::from(buffer).slice(from..from + (range.end - range.start) as usize))
    }

    /// That the file has these bytes.
    fn check(&self, range: &Range<u64>) -> Result<(), SegmentError> {
        if range.start <= range.end && range.end <= self.bytes {
            return Ok(());
        }
        Err(SegmentError::Parquet {
            file: self.name.clone(),
            source: ParquetError::EOF(format!(
                "bytes {} to {} are beyond the {} of the file",
                range.start, range.end, self.bytes
            )),
        })
    }

    /// The bytes of all blocks that a range touches.
    fn blocks_of(&self, range: &Range<u64>) -> Range<u64> {
        let block_bytes = BLOCK_BYTES as u64;
        range.start / block_bytes * block_bytes..range.end.next_multiple_of(block_bytes).min(self.bytes)
    }

    /// Reads the blocks from `begin` on that fill this buffer, and verifies them.
    fn fill(&self, begin: u64, buffer: &mut [u8]) -> Result<(), SegmentError> {
        self.file.read_exact_at(buffer, begin).map_err(|source| SegmentError::Io {
            file: self.name.clone(),
            doing: format!("read bytes {begin} to {}", begin + buffer.len() as u64),
            source,
        })?;
        for (block, bytes) in (begin / BLOCK_BYTES as u64..).zip(buffer.chunks(BLOCK_BYTES)) {
            if self.sums[block as usize] != xxh3_64(bytes) {
                let start = block * BLOCK_BYTES as u64;
                let bytes = start..start + bytes.len() as u64;
                return Err(SegmentError::Damaged { file: self.name.clone(), block, bytes });
            }
        }
        Ok(())
    }
}

/// The blocks that were read last, verified, in memory that is used again and again. Reading on from there, in the same
/// file, reads and verifies no block twice.
#[derive(Debug, Default)]
pub(super) struct BlockBuffer {
    file: Option<Arc<BlockFile>>,
    /// Where the blocks begin in the file.
    begin: u64,
    /// Bytes of these blocks.
    len: usize,
    /// The blocks, and room behind them.
    bytes: Vec<u8>,
}

impl BlockBuffer {
    /// Bytes of this range of a file, verified.
    pub(super) fn read(&mut self, file: &Arc<BlockFile>, range: Range<u64>) -> Result<&[u8], SegmentError> {
        file.check(&range)?;
        if self.file.as_ref().is_none_or(|held| !Arc::ptr_eq(held, file)) {
            self.len = 0;
            self.file = Some(Arc::clone(file));
        }
        let blocks = file.blocks_of(&range);
        let held = self.begin..self.begin + self.len as u64;
        if !(held.start <= blocks.start && blocks.end <= held.end) {
            let kept = if held.contains(&blocks.start) { (held.end - blocks.start) as usize } else { 0 };
            self.bytes.copy_within(self.len - kept..self.len, 0);
            (self.begin, self.len) = (blocks.start, kept);
            let len = (blocks.end - blocks.start) as usize;
            if self.bytes.len() < len {
                self.bytes.resize(len, 0);
            }
            // Counted as held once it is verified.
            file.fill(blocks.start + kept as u64, &mut self.bytes[kept..len])?;
            self.len = len;
        }
        let from = (range.start - self.begin) as usize;
        Ok(&self.bytes[from..from + (range.end - range.start) as usize])
    }
}

/// A file of which some bytes are at hand already; others are read when they are asked for.
pub(super) struct Window {
    file: Arc<BlockFile>,
    start: u64,
    bytes: Bytes,
}

impl Window {
    /// Reads this range, to have it at hand.
    pub(super) fn read(file: &Arc<BlockFile>, range: Range<u64>) -> Result<Window, SegmentError> {
        let start = range.start;
        Ok(Window { file: Arc::clone(file), start, bytes: file.read(range)? })
    }
}

impl Length for Window {
    fn len(&self) -> u64 {
        self.file.bytes
    }
}

impl ChunkReader for Window {
    type T = Stream;

    fn get_read(&self, start: u64) -> Result<Stream, ParquetError> {
        Ok(Stream { file: Arc::clone(&self.file), at: start })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let at_hand = start.checked_sub(self.start).and_then(|from| {
            let from = usize::try_from(from).ok()?;
            let to = from.checked_add(length)?;
            (to <= self.bytes.len()).then(|| self.bytes.slice(from..to))
        });
        match at_hand {
            Some(bytes) => Ok(bytes),
            None => {
                let read = self.file.read(start..start.saturating_add(length as u64));
                read.map_err(|error| ParquetError::External(Box::new(error)))
            }
        }
    }
}

/// A file from some byte on.
pub(super) struct Stream {
    file: Arc<BlockFile>,
    at: u64,
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.file.bytes.saturating_sub(self.at);
        let len = left.min(buffer.len().min(BLOCK_BYTES) as u64);
        let bytes = self.file.read(self.at..self.at + len).map_err(io::Error::other)?;
        buffer[..bytes.len()].copy_from_slice(&bytes);
        self.at += len;
        Ok(bytes.len())
    }
}
