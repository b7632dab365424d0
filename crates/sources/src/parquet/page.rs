//! The pages of a column chunk, each of them checked before anything is allocated for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parquet::basic::{Encoding, Type};
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::ParquetError;
use parquet::file::metadata::ColumnChunkMetaData;

use super::codec::Codec;
use super::file::ParquetFile;
use super::header::{PageHeader, encoding};

/// Bytes of all pages that are in memory at a time, unpacked. Usual files have pages of 1 MiB, some writers make one page
/// of a whole column.
const MOST_BYTES: u64 = 1 << 30;

/// Bytes that are read to find a page header; more are tried where statistics make it longer.
const HEADER_BYTES: usize = 256;
const MOST_HEADER_BYTES: usize = 16 << 20;

/// How much memory the pages of a reader take together.
#[derive(Clone, Debug, Default)]
pub(super) struct Budget(Arc<AtomicU64>);

/// A part of a budget, given back when it is dropped.
#[derive(Debug)]
struct Charge {
    budget: Budget,
    bytes: u64,
}

impl Budget {
    fn charge(&self, bytes: u64) -> Result<Charge, ParquetError> {
        let before = self.0.fetch_add(bytes, Ordering::Relaxed);
        let charge = Charge { budget: self.clone(), bytes };
        if before.saturating_add(bytes) > MOST_BYTES {
            return Err(wrong(format!(
                "the pages that have to be in memory together take more than {} MiB; write smaller pages, or fewer \
                 columns",
                MOST_BYTES >> 20
            )));
        }
        Ok(charge)
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Reads the pages of one column chunk.
pub(super) struct Pages {
    file: Arc<ParquetFile>,
    codec: Codec,
    physical: Type,
    /// Bytes of a value in a dictionary, at least.
    width: usize,
    /// Whether values may be missing.
    has_levels: bool,
    at: u64,
    end: u64,
    budget: Budget,
    /// What the dictionary and the page at hand take.
    dictionary: Option<Charge>,
    page: Option<Charge>,
}

impl Pages {
    pub(super) fn new(
        file: &Arc<ParquetFile>,
        chunk: &ColumnChunkMetaData,
        budget: &Budget,
    ) -> Result<Pages, ParquetError> {
        let codec = Codec::of(chunk.compression()).map_err(wrong)?;
        // Some writers say that there is a dictionary at 0.
        let dictionary = chunk.dictionary_page_offset().filter(|&at| at > 0 && at < chunk.data_page_offset());
        let begin = u64::try_from(dictionary.unwrap_or(chunk.data_page_offset()));
        let len = u64::try_from(chunk.compressed_size());
        let range = begin.ok().zip(len.ok()).and_then(|(begin, len)| Some((begin, begin.checked_add(len)?)));
        let Some((at, end)) = range.filter(|(_, end)| *end <= file.len()) else {
            return Err(wrong(format!(
                "the file is damaged: {} bytes from {} on are not in it",
                chunk.compressed_size(),
                dictionary.unwrap_or(chunk.data_page_offset())
            )));
        };
        let physical = chunk.column_type();
        let width = match physical {
            Type::BOOLEAN => 0,
            Type::INT32 | Type::FLOAT | Type::BYTE_ARRAY => 4,
            Type::INT64 | Type::DOUBLE => 8,
            Type::INT96 => 12,
            Type::FIXED_LEN_BYTE_ARRAY => {
                // Lengths that can't be are refused where columns are classified.
                usize::try_from(chunk.column_descr().type_length()).unwrap_or(0)
            }
        };
        let has_levels = chunk.column_descr().max_def_level() > 0;
        let (file, budget) = (Arc::clone(file), budget.clone());
        Ok(Pages { file, codec, physical, width, has_levels, at, end, budget, dictionary: None, page: None })
    }

    /// The next header, and where its page begins.
    fn header(&self) -> Result<(PageHeader, u64), ParquetError> {
        let rest = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let mut len = HEADER_BYTES;
        loop {
            let bytes = self.file.read(self.at, len.min(rest))?;
            match PageHeader::parse(&bytes) {
                Some((header, len)) => return Ok((header, self.at + len as u64)),
                None if len >= rest.min(MOST_HEADER_BYTES) => {
                    return Err(wrong(format!(
                        "the file is damaged: there is no page header at byte {}",
                        self.at
                    )));
                }
                None => len *= 16,
            }
        }
    }

    fn next_page(&mut self) -> Result<Option<Page>, ParquetError> {
        self.page = None;
        while self.at < self.end {
            let (header, body) = self.header()?;
            let size = usize::try_from(header.compressed_bytes).ok();
            let end = size.and_then(|size| body.checked_add(size as u64)).filter(|&end| end <= self.end);
            let (Some(size), Some(end)) = (size, end) else {
                return Err(wrong(format!(
                    "the file is damaged: a page at byte {} should have {} bytes, but its column has only {} more",
                    self.at,
                    header.compressed_bytes,
                    self.end.saturating_sub(body)
                )));
            };
            self.at = end;
            let is_read =
                matches!(header.kind, PageHeader::DATA | PageHeader::DATA_V2 | PageHeader::DICTIONARY);
            // A decoder takes a page without values for the end of the column.
            if !is_read || (header.values == 0 && header.kind != PageHeader::DICTIONARY) {
                continue;
            }
            return self.unpack(&header, body, size).map(Some);
        }
        Ok(None)
    }

    /// The values of a page of version 1, behind the levels that say which of them are there.
    fn values_of<'a>(&self, page: &'a [u8], levels: Encoding) -> Option<&'a [u8]> {
        if !self.has_levels || levels != Encoding::RLE {
            return Some(page);
        }
        let (len, rest) = page.split_first_chunk::<4>()?;
        rest.get(u32::from_le_bytes(*len) as usize..)
    }

    fn unpack(&mut self, header: &PageHeader, body: u64, size: usize) -> Result<Page, ParquetError> {
        let implausible = || wrong("the file is damaged: the header of a page contradicts itself".to_owned());
        let small = |number: i64| u32::try_from(number).map_err(|_| implausible());
        let len = small(header.uncompressed_bytes)? as usize;
        let num_values = small(header.values)?;
        let encoding = known_encoding(header.encoding)?;
        let is_dictionary = header.kind == PageHeader::DICTIONARY;
        // What is decoded at once takes memory of its own: dictionaries, and the lengths of delta encoded texts.
        let decoded = match encoding {
            _ if is_dictionary => 32 * u64::from(num_values),
            Encoding::DELTA_LENGTH_BYTE_ARRAY | Encoding::DELTA_BYTE_ARRAY => 8 * u64::from(num_values),
            _ => 0,
        };
        let charge = self.budget.charge((len as u64).max(size as u64) + decoded)?;
        let packed = self.file.read(body, size)?;
        if let Some(crc) = header.crc
            && crc as u32 != crc32fast::hash(&packed)
        {
            return Err(wrong("the file is damaged: a page does not have its checksum".to_owned()));
        }
        if is_dictionary {
            let buf = self.codec.unpack(&packed, len).map_err(wrong)?;
            let enough = u64::from(num_values).checked_mul(self.width as u64);
            if enough.is_none_or(|enough| enough > buf.len() as u64)
                || (self.physical == Type::BOOLEAN && num_values > 2)
            {
                return Err(wrong(format!(
                    "the file is damaged: {} bytes can't be a dictionary of {num_values} values",
                    buf.len()
                )));
            }
            self.dictionary = Some(charge);
            return Ok(Page::DictionaryPage { buf, num_values, encoding, is_sorted: false });
        }
        if matches!(encoding, Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY)
            && self.dictionary.is_none()
        {
            return Err(wrong(
                "the file is damaged: a page needs a dictionary, and there is none".to_owned(),
            ));
        }
        self.page = Some(charge);
        if header.kind == PageHeader::DATA {
            let buf = self.codec.unpack(&packed, len).map_err(wrong)?;
            let def_level_encoding = known_encoding(header.def_encoding)?;
            let rep_level_encoding = known_encoding(header.rep_encoding)?;
            let values = self.values_of(&buf, def_level_encoding).ok_or_else(implausible)?;
            check_deltas(encoding, values, num_values)?;
            return Ok(Page::DataPage {
                buf,
                num_values,
                encoding,
                def_level_encoding,
                rep_level_encoding,
                statistics: None,
            });
        }
        let (num_nulls, num_rows) = (small(header.nulls)?, small(header.rows)?);
        let (def_bytes, rep_bytes) = (small(header.def_bytes)?, small(header.rep_bytes)?);
        let levels = def_bytes as usize + rep_bytes as usize;
        if levels > len || levels > packed.len() || num_nulls > num_values {
            return Err(implausible());
        }
        let values = packed.slice(levels..);
        let values = if header.is_compressed && num_nulls < num_values {
            self.codec.unpack(&values, len - levels).map_err(wrong)?
        } else {
            values
        };
        check_deltas(encoding, &values, num_values)?;
        let buf = if levels == 0 { values } else { Bytes::from([&packed[..levels], &values[..]].concat()) };
        Ok(Page::DataPageV2 {
            buf,
            num_values,
            encoding,
            num_nulls,
            num_rows,
            def_levels_byte_len: def_bytes,
            rep_levels_byte_len: rep_bytes,
            is_compressed: false,
            statistics: None,
        })
    }
}

impl Iterator for Pages {
    type Item = Result<Page, ParquetError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> Result<Option<Page>, ParquetError> {
        self.next_page()
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>, ParquetError> {
        Err(wrong("pages are read one by one".to_owned()))
    }

    fn skip_next_page(&mut self) -> Result<(), ParquetError> {
        self.next_page().map(|_| ())
    }
}

fn wrong(problem: String) -> ParquetError {
    ParquetError::General(problem)
}

fn known_encoding(number: i64) -> Result<Encoding, ParquetError> {
    encoding(number)
        .ok_or_else(|| wrong(format!("pages with encoding {number} can't be read; there is none known")))
}

/// Refuses delta encoded texts that claim to have more lengths than there are values: decoders believe it.
fn check_deltas(encoding: Encoding, data: &[u8], num_values: u32) -> Result<(), ParquetError> {
    let lists = match encoding {
        Encoding::DELTA_LENGTH_BYTE_ARRAY => 1,
        Encoding::DELTA_BYTE_ARRAY => 2,
        _ => return Ok(()),
    };
    let mut rest = data;
    for list in 0..lists {
        let checked = deltas(rest).filter(|(count, _)| *count <= u64::from(num_values));
        let Some((_, end)) = checked else {
            return Err(wrong("the file is damaged: the lengths of texts can't be read".to_owned()));
        };
        if list + 1 < lists {
            rest = rest.get(end..).unwrap_or_default();
        }
    }
    Ok(())
}

/// How many integers are in a list that is DELTA_BINARY_PACKED, and where it ends.
fn deltas(data: &[u8]) -> Option<(u64, usize)> {
    let mut at = 0_usize;
    let varint = |at: &mut usize| {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = *data.get(*at)?;
            *at += 1;
            value |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    };
    let (block, mini_blocks, count) = (varint(&mut at)?, varint(&mut at)?, varint(&mut at)?);
    varint(&mut at)?;
    if mini_blocks == 0 || !block.is_multiple_of(mini_blocks) || block == 0 {
        return None;
    }
    let per_mini_block = block / mini_blocks;
    let mut left = count.saturating_sub(1);
    while left > 0 {
        varint(&mut at)?;
        let widths = data.get(at..at.checked_add(usize::try_from(mini_blocks).ok()?)?)?;
        at += widths.len();
        for &width in widths {
            if left == 0 {
                break;
            }
            let bytes = u64::from(width).checked_mul(per_mini_block)? / 8;
            at = at.checked_add(usize::try_from(bytes).ok()?)?;
            left = left.saturating_sub(per_mini_block);
        }
    }
    Some((count, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_deltas_end_where_they_do() {
        // 128 values to a block of 4, 3 of them: 7, then deltas of 1 in 0 bits.
        let list = [0x80, 1, 4, 3, 14, 2, 0, 0, 0, 0];
        assert_eq!(deltas(&[&list[..], &[9, 9]].concat()), Some((3, list.len())));
        // A single value has no block.
        assert_eq!(deltas(&[0x80, 1, 4, 1, 14]), Some((1, 5)));
        assert_eq!(deltas(&[0x80, 1, 0, 1, 14]), None);
        assert_eq!(deltas(&list[..8]), None);
    }

    #[test]
    fn a_budget_is_given_back() {
        let budget = Budget::default();
        let most = budget.charge(MOST_BYTES).unwrap();
        assert!(budget.charge(1).unwrap_err().to_string().contains("1024 MiB"));
        drop(most);
        assert!(budget.charge(MOST_BYTES).is_ok());
    }
}
