//! Pages of values, read and decoded without a detour through Parquet's readers.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::page_index::offset_index::PageLocation;
use sheaf_kernels::Level;
use zstd::bulk::Decompressor;

use super::alp::AlpPage;
use super::blocks::{BlockBuffer, BlockFile};
use super::column::Column;
use super::levels::Levels;
use super::native::{Memory, Native, Stored};
use super::page_header::{DictionaryHeader, PageHeader};
use super::{dictionary, fixed};

/// Numbers of encodings in `parquet.thrift`.
const PLAIN: i64 = 0;
const DELTA_BINARY_PACKED: i64 = 5;
const RLE_DICTIONARY: i64 = 8;
const BYTE_STREAM_SPLIT: i64 = 9;
const ALP: i64 = 10;

/// The pages of a column chunk.
#[derive(Clone, Copy)]
pub(super) struct Chunk<'a> {
    pub(super) file: &'a Arc<BlockFile>,
    pub(super) metadata: &'a ColumnChunkMetaData,
    /// Where they lie; there is one at least.
    pub(super) locations: &'a [PageLocation],
}

/// What reading keeps from one range to the next: the blocks that were read last, and the page that was decoded last. It
/// is fastest where one follows the other.
#[derive(Default)]
pub(crate) struct PageBuffer {
    blocks: BlockBuffer,
    page: Option<Page>,
    /// The values of that page, unless they are decoded when they are wanted.
    values: Memory,
    /// Which dictionary was read last: where it begins in the file.
    dictionary: Option<(Arc<BlockFile>, i64)>,
    /// Its values.
    entries: Memory,
    unpacker: Unpacker,
}

/// A page whose header and levels were read.
struct Page {
    file: Arc<BlockFile>,
    /// Where it begins in the file: that says which one it is.
    offset: i64,
    body: Body,
    /// How many values there are.
    values: usize,
    /// Which rows they belong to; `None` where all rows have one.
    levels: Option<Levels>,
    /// A row, and how many values come before it.
    reached: (usize, usize),
}

/// Where the values of a page are.
#[derive(Clone)]
enum Body {
    /// ALP, in these bytes of the file: any of it can be decoded alone.
    Alp(Range<u64>),
    /// Decoded, in the buffer.
    Decoded,
}

impl PageBuffer {
    /// Appends rows of page `number` of a column chunk, which has `page_rows`.
    pub(super) fn append<N: Native>(
        &mut self,
        chunk: Chunk<'_>,
        number: usize,
        page_rows: usize,
        rows: Range<usize>,
        out: &mut Column<N>,
    ) -> Result<(), ParquetError> {
        let location = &chunk.locations[number];
        // What is held is forgotten while something else is decoded, which may fail half-way.
        let held = self.page.take();
        let page = match held {
            Some(page) if page.offset == location.offset && Arc::ptr_eq(&page.file, chunk.file) => page,
            _ => self.read::<N::Physical>(chunk, location, page_rows)?,
        };
        let page = self.page.insert(page);
        match page.body.clone() {
            Body::Alp(bytes) => {
                let values = AlpPage::new(read(&mut self.blocks, chunk.file, bytes)?, page.values)?;
                page.append(rows, out, |range: Range<usize>, out: &mut Column<N>| {
                    let len = range.len();
                    N::decode_alp(&values, range, out.room(len))
                })
            }
            Body::Decoded => {
                let values = N::Physical::of(&mut self.values);
                page.append(rows, out, |range: Range<usize>, out: &mut Column<N>| {
                    let len = range.len();
                    N::put(&values[range], out.room(len));
                    Ok(())
                })
            }
        }
    }

    /// Reads a page, and decodes its values unless that can wait.
    fn read<T: Stored>(
        &mut self,
        chunk: Chunk<'_>,
        location: &PageLocation,
        rows: usize,
    ) -> Result<Page, ParquetError> {
        let is_packed = match chunk.metadata.compression() {
            Compression::UNCOMPRESSED => false,
            Compression::ZSTD(_) => true,
            other => return Err(ParquetError::General(format!("pages compressed with {other}"))),
        };
        let has_dictionary = chunk.metadata.dictionary_page_offset().is_some();
        if has_dictionary {
            self.read_dictionary::<T>(chunk, is_packed)?;
        }
        let range = bytes_of(location)?;
        let bytes = read(&mut self.blocks, chunk.file, range.clone())?;
        let header = PageHeader::read(bytes)?;
        if header.header_bytes + header.page_bytes != bytes.len() || header.rows != rows {
            return Err(invalid("a page header contradicts the offset index"));
        }
        let present = rows - header.nulls;
        let level_bytes = &bytes[header.header_bytes..][..header.level_bytes];
        let levels = (header.nulls > 0).then(|| Levels::decode(level_bytes, rows, present)).transpose()?;
        let mut page = Page {
            file: Arc::clone(chunk.file),
            offset: location.offset,
            body: Body::Decoded,
            values: present,
            levels,
            reached: (0, 0),
        };
        let begin = header.header_bytes + header.level_bytes;
        let mut bytes = &bytes[begin..];
        let len = header.unpacked_bytes - header.level_bytes;
        let is_packed = is_packed && header.is_compressed;
        if header.encoding == ALP && !is_packed {
            page.body = Body::Alp(range.start + begin as u64..range.end);
            return Ok(page);
        }
        let values = T::of(&mut self.values);
        if present == 0 {
            values.clear();
            return Ok(page);
        }
        if is_packed {
            bytes = self.unpacker.unpack(bytes, len)?;
        }
        let level = Level::best();
        match header.encoding {
            PLAIN | BYTE_STREAM_SPLIT => {
                fixed::decode(level, bytes, header.encoding == BYTE_STREAM_SPLIT, present, values)?;
            }
            DELTA_BINARY_PACKED => T::decode_delta(bytes, present, values)?,
            RLE_DICTIONARY if has_dictionary => {
                dictionary::decode(level, bytes, T::of(&mut self.entries), present, values)?;
            }
            other => return Err(ParquetError::General(format!("a page has encoding {other}"))),
        }
        Ok(page)
    }

    /// Reads the dictionary of a column chunk, unless it was the last one.
    fn read_dictionary<T: Stored>(&mut self, chunk: Chunk<'_>, is_packed: bool) -> Result<(), ParquetError> {
        let (Some(offset), Some(first)) = (chunk.metadata.dictionary_page_offset(), chunk.locations.first())
        else {
            return Err(invalid("no dictionary"));
        };
        let held = self.dictionary.take();
        let is_held = held.as_ref().is_some_and(|(file, at)| *at == offset && Arc::ptr_eq(file, chunk.file));
        if !is_held {
            let bytes =
                read(&mut self.blocks, chunk.file, u64::try_from(offset)?..u64::try_from(first.offset)?)?;
            let header = DictionaryHeader::read(bytes)?;
            if header.header_bytes + header.page_bytes != bytes.len() {
                return Err(invalid("a dictionary is not all there is in front of the pages"));
            }
            if header.encoding != PLAIN {
                return Err(ParquetError::General(format!("a dictionary has encoding {}", header.encoding)));
            }
            let mut bytes = &bytes[header.header_bytes..];
            if is_packed {
                bytes = self.unpacker.unpack(bytes, header.unpacked_bytes)?;
            }
            fixed::decode(Level::best(), bytes, false, header.values, T::of(&mut self.entries))?;
        }
        self.dictionary = Some((Arc::clone(chunk.file), offset));
        Ok(())
    }
}

impl Page {
    /// Appends these rows; `decode` appends values.
    fn append<T: Copy + Default>(
        &mut self,
        rows: Range<usize>,
        out: &mut Column<T>,
        decode: impl FnMut(Range<usize>, &mut Column<T>) -> Result<(), ParquetError>,
    ) -> Result<(), ParquetError> {
        let Some(levels) = &self.levels else { return out.append_present(rows, decode) };
        let (row, before) = self.reached;
        let first = match rows.start.checked_sub(row) {
            Some(_) => before + levels.count(row..rows.start),
            None => levels.count(0..rows.start),
        };
        let end = rows.end;
        let last = out.append_sparse(levels, rows, first, decode)?;
        self.reached = (end, last);
        Ok(())
    }
}

/// Unpacks what was compressed with zstd, in memory that is used again.
#[derive(Default)]
struct Unpacker {
    zstd: Option<Decompressor<'static>>,
    bytes: Vec<u8>,
}

impl Unpacker {
    /// The `len` bytes that were packed.
    fn unpack(&mut self, packed: &[u8], len: usize) -> Result<&[u8], ParquetError> {
        let failed = |error: &dyn fmt::Display| ParquetError::General(format!("zstd: {error}"));
        let zstd = match &mut self.zstd {
            Some(zstd) => zstd,
            none => none.insert(Decompressor::new().map_err(|error| failed(&error))?),
        };
        self.bytes.clear();
        self.bytes.try_reserve_exact(len).map_err(|error| failed(&error))?;
        zstd.decompress_to_buffer(packed, &mut self.bytes).map_err(|error| failed(&error))?;
        if self.bytes.len() != len {
            return Err(invalid("a page header contradicts what was compressed"));
        }
        Ok(&self.bytes)
    }
}

/// Where a page lies in its file.
fn bytes_of(location: &PageLocation) -> Result<Range<u64>, ParquetError> {
    let begin = u64::try_from(location.offset)?;
    Ok(begin..begin.saturating_add(u64::try_from(location.compressed_page_size)?))
}

fn read<'a>(
    blocks: &'a mut BlockBuffer,
    file: &Arc<BlockFile>,
    range: Range<u64>,
) -> Result<&'a [u8], ParquetError> {
    blocks.read(file, range).map_err(|error| ParquetError::External(Box::new(error)))
}

fn invalid(what: &str) -> ParquetError {
    ParquetError::General(what.to_owned())
}
