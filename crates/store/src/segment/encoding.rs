//! Column chunks in memory: which encoding is the smallest, and how a chunk is made.
//!
//! No encoding is the best for all series: ALP stores decimal fractions in a quarter of the bytes but needs 11 for a
//! random mantissa, bytes split by their place suit those, a dictionary suits few distinct values, differences suit
//! counters, and plain bytes suit whatever repeats. All of them are tried on a sample of each chunk. Where the chunk
//! comes out larger than the sample promised, the runners-up are tried on all of it.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Compression, Encoding as ParquetEncoding, Type as Physical, ZstdLevel};
use parquet::column::page::{CompressedPage, Page, PageWriteSpec, PageWriter};
use parquet::column::writer::{ColumnCloseResult, ColumnWriterImpl};
use parquet::data_type::{BoolType, DataType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, OffsetIndexBuilder};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr, WriterVersion};
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

use super::PAGE_ROWS;
use super::bits::count_bits;
use super::native::{Bits, Native};
use crate::rows::bit;

/// How values may be encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Codec {
    /// In all ways we can read, ALP among them. It is the smallest and the fastest for decimal fractions, but few other
    /// readers know it yet.
    #[default]
    Alp,
    /// Only in ways that any reader of Parquet knows.
    Portable,
}

/// A column chunk, ready for its file.
pub(super) struct Chunk {
    pub(super) bytes: Bytes,
    pub(super) close: ColumnCloseResult,
}

impl Chunk {
    fn len(&self) -> usize {
        self.bytes.len()
    }
}

/// Ways to encode a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// ALP, as it is.
    Alp,
    /// BYTE_STREAM_SPLIT and zstd.
    Split,
    /// DELTA_BINARY_PACKED and zstd.
    Delta,
    /// RLE_DICTIONARY and zstd; PLAIN and zstd once there are too many distinct values.
    Dictionary,
    /// PLAIN and zstd, where that helps.
    Plain,
    /// RLE and zstd, of booleans.
    Bits,
}

impl Encoding {
    fn properties(self) -> WriterPropertiesPtr {
        let zstd = Compression::ZSTD(ZstdLevel::default());
        let (encoding, compression) = match self {
            Encoding::Alp => (ParquetEncoding::ALP, Compression::UNCOMPRESSED),
            Encoding::Split => (ParquetEncoding::BYTE_STREAM_SPLIT, zstd),
            Encoding::Delta => (ParquetEncoding::DELTA_BINARY_PACKED, zstd),
            Encoding::Dictionary | Encoding::Plain => (ParquetEncoding::PLAIN, zstd),
            Encoding::Bits => (ParquetEncoding::RLE, zstd),
        };
        let properties = WriterProperties::builder()
            .set_writer_version(WriterVersion::PARQUET_2_0)
            .set_statistics_enabled(EnabledStatistics::None)
            .set_dictionary_enabled(self == Encoding::Dictionary)
            .set_encoding(encoding)
            .set_compression(compression)
            // Pages end after a number of rows, never after a number of bytes.
            .set_write_batch_size(PAGE_ROWS)
            .set_data_page_row_count_limit(PAGE_ROWS)
            .set_data_page_size_limit(usize::MAX)
            .build();
        Arc::new(properties)
    }
}

/// Pages of a required column as those of an optional one in which nothing is missing.
struct PresentPages<'a> {
    pages: SerializedPageWriter<'a, Vec<u8>>,
}

impl PageWriter for PresentPages<'_> {
    fn write_page(&mut self, page: CompressedPage) -> Result<PageWriteSpec, ParquetError> {
        let size = page.uncompressed_size();
        let (page, size) = match page.compressed_page().clone() {
            Page::DataPageV2 {
                buf,
                num_values,
                encoding,
                num_nulls,
                num_rows,
                rep_levels_byte_len,
                is_compressed,
                statistics,
                ..
            } => {
                // One run: how often, shifted by the bit that says that it is one; then the level.
                let mut levels = Vec::with_capacity(buf.len() + 8);
                put_varint(&mut levels, u64::from(num_values) << 1);
                levels.push(1);
                let def_levels_byte_len = levels.len() as u32;
                let size = size + levels.len();
                levels.extend_from_slice(&buf);
                let buf = Bytes::from(levels);
                let page = Page::DataPageV2 {
                    buf,
                    num_values,
                    encoding,
                    num_nulls,
                    num_rows,
                    def_levels_byte_len,
                    rep_levels_byte_len,
                    is_compressed,
                    statistics,
                };
                (page, size)
            }
            other => (other, size),
        };
        self.pages.write_page(CompressedPage::new(page, size))
    }

    fn close(&mut self) -> Result<(), ParquetError> {
        self.pages.close()
    }
}

/// Appends a number in seven bits a byte, the lowest first.
fn put_varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// A chunk of what `write` writes.
fn chunk<P: DataType>(
    column: &ColumnDescPtr,
    encoding: Encoding,
    write: impl FnOnce(&mut ColumnWriterImpl<'_, P>) -> Result<(), ParquetError>,
) -> Result<Chunk, ParquetError> {
    let mut sink = TrackedWrite::new(Vec::new());
    let pages = Box::new(SerializedPageWriter::new(&mut sink));
    let mut writer = ColumnWriterImpl::<P>::new(Arc::clone(column), encoding.properties(), pages);
    write(&mut writer)?;
    let close = writer.close()?;
    Ok(Chunk { bytes: sink.into_inner()?.into(), close })
}

/// A chunk of the optional column `column` in which no value is missing; `required` is the same column, required.
fn present_chunk<P: DataType>(
    column: &ColumnDescPtr,
    required: &ColumnDescPtr,
    encoding: Encoding,
    write: impl FnOnce(&mut ColumnWriterImpl<'_, P>) -> Result<(), ParquetError>,
) -> Result<Chunk, ParquetError> {
    let mut sink = TrackedWrite::new(Vec::new());
    let pages = Box::new(PresentPages { pages: SerializedPageWriter::new(&mut sink) });
    let mut writer = ColumnWriterImpl::<P>::new(Arc::clone(required), encoding.properties(), pages);
    write(&mut writer)?;
    let mut close = writer.close()?;
    let found = &close.metadata;
    let mut metadata = ColumnChunkMetaData::builder(Arc::clone(column))
        .set_compression_codec(found.compression_codec())
        .set_encodings_mask(*found.encodings_mask())
        .set_total_compressed_size(found.compressed_size())
        .set_total_uncompressed_size(found.uncompressed_size())
        .set_num_values(found.num_values())
        .set_data_page_offset(found.data_page_offset())
        .set_dictionary_page_offset(found.dictionary_page_offset());
    if let Some(stats) = found.page_encoding_stats() {
        metadata = metadata.set_page_encoding_stats(stats.clone());
    }
    close.metadata = metadata.build()?;
    Ok(Chunk { bytes: sink.into_inner()?.into(), close })
}

/// `0..len` in pages.
pub(super) fn pages(len: usize) -> impl Iterator<Item = Range<usize>> {
    (0..len).step_by(PAGE_ROWS).map(move |from| from..len.min(from + PAGE_ROWS))
}

/// A chunk of `len` integers, which `fill` appends page by page.
pub(super) fn integers(
    column: &ColumnDescPtr,
    len: usize,
    mut fill: impl FnMut(Range<usize>, &mut Vec<i64>),
) -> Result<Chunk, ParquetError> {
    chunk::<Int64Type>(column, Encoding::Delta, |writer| {
        let mut buffer = Vec::new();
        for page in pages(len) {
            buffer.clear();
            fill(page, &mut buffer);
            writer.write_batch(&buffer, None, None)?;
        }
        Ok(())
    })
}

/// A chunk of `len` integers with the same step from each to the next, as the starts and the series of most row groups
/// are. They are DELTA_BINARY_PACKED by hand, in blocks in which no difference needs a bit: the encoder would look at each
/// of them, which takes half as long as encoding the values. One page has them all. It takes no time to decode, and the
/// headers of many pages would be most of a file of constants.
pub(super) fn steps(
    column: &ColumnDescPtr,
    first: i64,
    step: i64,
    len: usize,
) -> Result<Chunk, ParquetError> {
    const BLOCK: usize = PAGE_ROWS;
    const MINI_BLOCKS: usize = 4;
    let zigzag = |number: i64| ((number << 1) ^ (number >> 63)) as u64;
    let mut bytes = Vec::new();
    put_varint(&mut bytes, BLOCK as u64);
    put_varint(&mut bytes, MINI_BLOCKS as u64);
    put_varint(&mut bytes, len as u64);
    put_varint(&mut bytes, zigzag(first));
    for _ in (1..len).step_by(BLOCK) {
        put_varint(&mut bytes, zigzag(step));
        bytes.extend([0; MINI_BLOCKS]);
    }
    let size = bytes.len();
    let rows = u32::try_from(len)?;
    let page = Page::DataPageV2 {
        buf: bytes.into(),
        num_values: rows,
        encoding: ParquetEncoding::DELTA_BINARY_PACKED,
        num_nulls: 0,
        num_rows: rows,
        def_levels_byte_len: 0,
        rep_levels_byte_len: 0,
        is_compressed: false,
        statistics: None,
    };
    let mut sink = TrackedWrite::new(Vec::new());
    let mut writer = SerializedPageWriter::new(&mut sink);
    let written = writer.write_page(CompressedPage::new(page, size))?;
    writer.close()?;
    let mut index = OffsetIndexBuilder::new();
    index.append_row_count(i64::from(rows));
    index.append_offset_and_size(0, i32::try_from(written.compressed_size)?);
    let compressed = i64::try_from(written.compressed_size)?;
    let metadata = ColumnChunkMetaData::builder(Arc::clone(column))
        .set_compression(Compression::UNCOMPRESSED)
        .set_encodings(vec![ParquetEncoding::DELTA_BINARY_PACKED])
        .set_total_compressed_size(compressed)
        .set_total_uncompressed_size(i64::try_from(written.uncompressed_size)?)
        .set_num_values(len as i64)
        .set_data_page_offset(0)
        .build()?;
    let close = ColumnCloseResult {
        bytes_written: written.compressed_size as u64,
        rows_written: len as u64,
        metadata,
        bloom_filter: None,
        column_index: None,
        offset_index: Some(index.build()),
    };
    Ok(Chunk { bytes: sink.into_inner()?.into(), close })
}

/// A chunk of the bits of this range.
pub(super) fn bits(
    column: &ColumnDescPtr,
    words: Option<&[u64]>,
    range: Range<usize>,
) -> Result<Chunk, ParquetError> {
    chunk::<BoolType>(column, Encoding::Bits, |writer| {
        let mut buffer = Vec::new();
        for page in pages(range.len()) {
            buffer.clear();
            buffer.extend(page.map(|row| words.is_some_and(|words| bit(words, range.start + row))));
            writer.write_batch(&buffer, None, None)?;
        }
        Ok(())
    })
}

/// A chunk of the values of this range in the smallest encoding; missing are NaN and those with their bit unset.
pub(super) fn values<N: Native>(
    column: &ColumnDescPtr,
    required: &ColumnDescPtr,
    codec: Codec,
    values: &[N],
    validity: Option<&[u64]>,
    range: Range<usize>,
) -> Result<Chunk, ParquetError> {
    let values = &values[range.clone()];
    // Without an early end inside, so that it is done many at a time.
    let has_nan = values.chunks(4096).any(|part| part.iter().fold(false, |any, value| any | value.is_nan()));
    if !has_nan && validity.is_none_or(|words| count_bits(words, range.clone()) == range.len()) {
        let physical = |part: Range<usize>, out: &mut Vec<N::Physical>| {
            out.extend(values[part].iter().map(|value| value.physical()));
        };
        return smallest::<N::Parquet>(required, codec, values.len(), physical, |encoding| {
            present_chunk::<N::Parquet>(column, required, encoding, |writer| {
                let mut buffer = Vec::new();
                for page in pages(values.len()) {
                    writer.write_batch(N::view(&values[page], &mut buffer), None, None)?;
                }
                Ok(())
            })
        });
    }
    let mut present = Vec::new();
    let mut levels = Vec::with_capacity(values.len());
    for (index, value) in values.iter().enumerate() {
        let is_present = !value.is_nan() && validity.is_none_or(|words| bit(words, range.start + index));
        levels.push(i16::from(is_present));
        if is_present {
            present.push(value.physical());
        }
    }
    let physical = |part: Range<usize>, out: &mut Vec<N::Physical>| out.extend_from_slice(&present[part]);
    smallest::<N::Parquet>(required, codec, present.len(), physical, |encoding| {
        chunk::<N::Parquet>(column, encoding, |writer| {
            let mut written = 0;
            for page in pages(values.len()) {
                let levels = &levels[page];
                written += writer.write_batch(&present[written..], Some(levels), None)?;
            }
            Ok(())
        })
    })
}

/// Rows of the stretch in the middle of a sample, long enough to show what repeats.
const LONG_SLICE: usize = 16 * 1024;
/// Rows of the other stretches of a sample: two vectors of ALP.
const SHORT_SLICE: usize = 2 * 1024;
/// How many of them there are.
const SHORT_SLICES: usize = 8;
/// ALP is kept where it is so much larger than the smallest at most: it is by far the fastest to read.
const ALP_BONUS: f64 = 1.02;
/// A chunk is tried again where a runner-up promises to be so much smaller at least.
const RETRY_GAIN: f64 = 0.97;

/// The smallest of the chunks that `encode` makes of `len` values.
fn smallest<P>(
    required: &ColumnDescPtr,
    codec: Codec,
    len: usize,
    sample: impl Fn(Range<usize>, &mut Vec<P::T>),
    encode: impl Fn(Encoding) -> Result<Chunk, ParquetError>,
) -> Result<Chunk, ParquetError>
where
    P: DataType,
    P::T: Bits,
{
    let mut taken = Vec::new();
    if len <= LONG_SLICE + SHORT_SLICES * SHORT_SLICE {
        sample(0..len, &mut taken);
    } else {
        let middle = (len - LONG_SLICE) / 2;
        sample(middle..middle + LONG_SLICE, &mut taken);
        for slice in 0..SHORT_SLICES {
            let from = (len - SHORT_SLICE) / (SHORT_SLICES - 1) * slice;
            sample(from..from + SHORT_SLICE, &mut taken);
        }
    }
    let candidates = estimates::<P>(required, codec, &taken, len)?;
    let mut best: Option<(f64, Chunk)> = None;
    for (encoding, estimate) in candidates {
        if best.as_ref().is_none_or(|(size, _)| estimate < size * RETRY_GAIN) {
            let chunk = encode(encoding)?;
            let size = weighted(encoding, chunk.len() as f64);
            if best.as_ref().is_none_or(|(smallest, _)| size < *smallest) {
                best = Some((size, chunk));
            }
        }
    }
    best.map(|(_, chunk)| chunk).ok_or_else(|| ParquetError::General("no encoding to choose from".to_owned()))
}

/// Sizes as they are compared.
fn weighted(encoding: Encoding, bytes: f64) -> f64 {
    if encoding == Encoding::Alp { bytes / ALP_BONUS } else { bytes }
}

/// What a chunk of `len` values would take in each encoding, judged by a sample; the smallest first.
fn estimates<P>(
    required: &ColumnDescPtr,
    codec: Codec,
    sample: &[P::T],
    len: usize,
) -> Result<Vec<(Encoding, f64)>, ParquetError>
where
    P: DataType,
    P::T: Bits,
{
    if sample.is_empty() {
        return Ok(vec![(Encoding::Plain, 0.0)]);
    }
    let is_float = matches!(required.physical_type(), Physical::FLOAT | Physical::DOUBLE);
    let mut candidates = vec![Encoding::Plain, Encoding::Split];
    if !is_float {
        candidates.push(Encoding::Delta);
    } else if codec == Codec::Alp {
        candidates.push(Encoding::Alp);
    }
    let scale = len as f64 / sample.len() as f64;
    let mut estimates = Vec::with_capacity(candidates.len() + 1);
    for encoding in candidates {
        let tried =
            chunk::<P>(required, encoding, |writer| writer.write_batch(sample, None, None).map(drop))?;
        estimates.push((encoding, weighted(encoding, tried.len() as f64 * scale)));
    }
    let best = estimates.iter().map(|(_, estimate)| *estimate).fold(f64::INFINITY, f64::min);
    let dictionary = Distinct::of(sample, len).filter(|distinct| distinct.dictionary_bytes(len) < best);
    if let Some(distinct) = dictionary {
        let tried = chunk::<P>(required, Encoding::Dictionary, |writer| {
            writer.write_batch(sample, None, None).map(drop)
        })?;
        let metadata = &tried.close.metadata;
        let dictionary =
            metadata.dictionary_page_offset().map_or(0, |offset| metadata.data_page_offset() - offset) as f64;
        let estimate =
            dictionary * distinct.all / distinct.sampled + (tried.len() as f64 - dictionary) * scale;
        estimates.push((Encoding::Dictionary, estimate));
    }
    estimates.sort_by(|a, b| a.1.total_cmp(&b.1));
    Ok(estimates)
}

/// How many distinct values there are, about.
struct Distinct {
    sampled: f64,
    all: f64,
    value_bytes: usize,
}

impl Distinct {
    /// Values that are looked at before it is clear that nearly none comes twice.
    const FIRST: usize = 4096;

    /// Of `len` values, judged by a sample; `None` where they are too many for a dictionary.
    fn of<T: Bits>(sample: &[T], len: usize) -> Option<Distinct> {
        if let Some(first) = sample.get(..Distinct::FIRST).filter(|_| sample.len() > Distinct::FIRST) {
            let (distinct, _) = count_distinct(first);
            if distinct * 64 > 63 * first.len() {
                return None;
            }
        }
        let (distinct, once) = count_distinct(sample);
        if once * 10 > 9 * sample.len() {
            return None;
        }
        // Each value seen once stands for as many as the square root of the share says (Charikar's estimator, which is
        // off by this factor at most).
        let (sampled, once) = (distinct as f64, once as f64);
        let all = sampled - once + once * (len as f64 / sample.len() as f64).sqrt();
        Some(Distinct { sampled, all, value_bytes: size_of::<T>() })
    }

    /// What dictionary and indices take before they are compressed. That may still help, but not by much, where no value
    /// is far more frequent than others.
    fn dictionary_bytes(&self, len: usize) -> f64 {
        let bits = self.all.log2().max(0.0) * if self.sampled < 256.0 { 0.0 } else { 0.75 };
        self.all * self.value_bytes as f64 * 0.75 + len as f64 * bits / 8.0
    }
}

/// How many distinct values there are, and how many that come once.
fn count_distinct<T: Bits>(values: &[T]) -> (usize, usize) {
    // Faster than a hash table, which would not fit in the cache.
    let mut bits: Vec<u64> = values.iter().map(|value| value.bits()).collect();
    bits.sort_unstable();
    bits.chunk_by(|a, b| a == b)
        .fold((0, 0), |(distinct, once), same| (distinct + 1, once + usize::from(same.len() == 1)))
}
