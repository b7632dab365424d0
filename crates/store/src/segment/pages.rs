//! ALP pages, read and decoded without a detour through Parquet's readers.

use std::ops::Range;
use std::sync::Arc;

use parquet::basic::{Compression, Encoding};
use parquet::errors::ParquetError;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::page_index::offset_index::PageLocation;

use super::alp::AlpPage;
use super::blocks::{BlockBuffer, BlockFile};
use super::column::Column;
use super::levels::Levels;
use super::native::Stored;
use super::page_header::PageHeader;

/// The number of ALP in `parquet.thrift`.
const ALP: i64 = 10;

/// Whether all pages of a chunk are ALP and nothing else.
pub(super) fn is_alp(chunk: &ColumnChunkMetaData) -> bool {
    let mut encodings = chunk.encodings();
    chunk.compression() == Compression::UNCOMPRESSED
        && chunk.dictionary_page_offset().is_none()
        && chunk.encodings_mask().is_set(Encoding::ALP)
        // Definition levels are RLE.
        && encodings.all(|encoding| matches!(encoding, Encoding::ALP | Encoding::RLE))
}

/// What reading keeps from one range to the next: the blocks that were read last, and the page that was decoded last. It
/// is fastest where one follows the other.
#[derive(Default)]
pub(crate) struct PageBuffer {
    blocks: BlockBuffer,
    page: Option<Page>,
}

/// A page whose header and levels were read.
struct Page {
    file: Arc<BlockFile>,
    /// Where it begins in the file: that says which one it is.
    offset: i64,
    /// Where its values lie in the file.
    bytes: Range<u64>,
    /// How many there are.
    values: usize,
    /// Which rows they belong to; `None` where all rows have one.
    levels: Option<Levels>,
    /// A row, and how many values come before it.
    reached: (usize, usize),
}

impl PageBuffer {
    /// Appends rows of the page of `page_rows` that lies there.
    pub(super) fn append<T: Stored>(
        &mut self,
        file: &Arc<BlockFile>,
        location: &PageLocation,
        page_rows: usize,
        rows: Range<usize>,
        out: &mut Column<T>,
    ) -> Result<(), ParquetError> {
        let PageBuffer { blocks, page } = self;
        let page = match page {
            Some(page) if page.offset == location.offset && Arc::ptr_eq(&page.file, file) => page,
            _ => page.insert(Page::read(blocks, file, location, page_rows)?),
        };
        let bytes = read(blocks, file, page.bytes.clone())?;
        let values = AlpPage::new(bytes, page.values)?;
        let decode = |range: Range<usize>, out: &mut Column<T>| {
            let len = range.len();
            T::decode_alp(&values, range, out.room(len))
        };
        let Some(levels) = &page.levels else { return out.append_present(rows, decode) };
        let (row, before) = page.reached;
        let first = match rows.start.checked_sub(row) {
            Some(_) => before + levels.count(row..rows.start),
            None => levels.count(0..rows.start),
        };
        let end = rows.end;
        let last = out.append_sparse(levels, rows, first, decode)?;
        page.reached = (end, last);
        Ok(())
    }
}

impl Page {
    fn read(
        blocks: &mut BlockBuffer,
        file: &Arc<BlockFile>,
        location: &PageLocation,
        rows: usize,
    ) -> Result<Page, ParquetError> {
        let begin = u64::try_from(location.offset)?;
        let end = begin.saturating_add(u64::try_from(location.compressed_page_size)?);
        let bytes = read(blocks, file, begin..end)?;
        let header = PageHeader::read(bytes)?;
        if header.header_bytes + header.page_bytes != bytes.len() || header.rows != rows {
            return Err(invalid("a page header contradicts the offset index"));
        }
        if header.encoding != ALP {
            return Err(invalid("a page is not ALP, as its column chunk is"));
        }
        let values = rows - header.nulls;
        let level_bytes = &bytes[header.header_bytes..][..header.level_bytes];
        let levels = (header.nulls > 0).then(|| Levels::decode(level_bytes, rows, values)).transpose()?;
        let bytes = begin + (header.header_bytes + header.level_bytes) as u64..end;
        Ok(Page { file: Arc::clone(file), offset: location.offset, bytes, values, levels, reached: (0, 0) })
    }
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
