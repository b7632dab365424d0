//! Segments: immutable Parquet files of rows.
//!
//! | column | type | encoding |
//! |---|---|---|
//! | `series` | INT64, required | DELTA_BINARY_PACKED, zstd |
//! | `slot` or `start` | INT64, required; see [`Numbering`] | DELTA_BINARY_PACKED, zstd |
//! | `value` | the values' type, optional: a missing value is a null, NaN too | the smallest one, see [`encoding`] |
//! | `estimated` | BOOLEAN, required; only in files of irregular series | RLE, zstd |
//!
//! Starts are no Parquet timestamps because none covers the range of ticks. Row groups have 2²⁰ rows and pages 2¹⁶, so
//! that an hour at 100 Hz touches a few pages only; the offset index says where they are.
//!
//! A file carries no checksums of its own: [`SegmentFacts`] has one for each block of [`BLOCK_BYTES`], and the reader
//! verifies a block before anything looks at its bytes.

mod alp;
mod bits;
mod blocks;
mod column;
mod delta;
mod dictionary;
mod encoding;
mod fixed;
mod levels;
mod native;
mod packed;
mod page_header;
mod pages;
mod reader;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;
mod writer;

use std::io;
use std::ops::Range;
use std::sync::Arc;

use parquet::basic::{LogicalType, Repetition, Type as Physical};
use parquet::errors::ParquetError;
use parquet::schema::types::{ColumnDescPtr, SchemaDescriptor, Type, TypePtr};
use sheaf_model::DataType;

#[cfg(any(test, feature = "testing"))]
pub use alp::decode_alp;
pub(crate) use bits::{copy_bits, set_bits};
pub use encoding::Codec;
pub(crate) use pages::PageBuffer;
pub(crate) use reader::{SegmentReader, StartsOf};
pub(crate) use writer::SegmentWriter;

/// Bytes under one checksum; the last block of a file is shorter.
pub(crate) const BLOCK_BYTES: usize = 64 * 1024;

/// Rows of a row group: what is encoded at a time, and held in memory for it.
const GROUP_ROWS: usize = 1 << 20;

/// Rows of a page: what is decoded at least.
const PAGE_ROWS: usize = 1 << 16;

const SERIES: usize = 0;
const START: usize = 1;
const VALUE: usize = 2;
const ESTIMATED: usize = 3;

/// What the manifest keeps of a finished file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentFacts {
    /// Type of all its values.
    pub data_type: DataType,
    /// How many rows it has.
    pub rows: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// Whether it says of each row if it was estimated.
    pub has_estimated: bool,
    /// XXH3-64 of each block of [`BLOCK_BYTES`].
    pub block_sums: Vec<u64>,
}

/// A segment that can't be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SegmentError {
    /// The disk failed.
    #[error("{file}: can't {doing}")]
    Io {
        /// The file.
        file: String,
        /// What was to be done.
        doing: String,
        /// What the disk said.
        source: io::Error,
    },
    /// The file was cut off, or continued.
    #[error("{file} is damaged: it has {found} bytes, {expected} were written")]
    Length {
        /// The file.
        file: String,
        /// Bytes that were written.
        expected: u64,
        /// Bytes that are there.
        found: u64,
    },
    /// Bytes are not those that were written.
    #[error("{file} is damaged: bytes {} to {} (block {block}) differ from those that were written", bytes.start, bytes.end)]
    Damaged {
        /// The file.
        file: String,
        /// Which block of 64 KiB, from 0.
        block: u64,
        /// Its bytes.
        bytes: Range<u64>,
    },
    /// The bytes are those that were written, but no Parquet.
    #[error("{file} can't be parsed: {source}")]
    Parquet {
        /// The file.
        file: String,
        /// What the parser said.
        source: ParquetError,
    },
    /// The file is not the one that the manifest describes.
    #[error("{file} is not what the manifest describes: {what} {found}, not {expected}")]
    Mismatch {
        /// The file.
        file: String,
        /// What is different.
        what: &'static str,
        /// How it is in the file.
        found: String,
        /// How it is in the manifest.
        expected: String,
    },
    /// There are no such rows.
    #[error("{file} has {len} rows: there are no rows {} to {}", rows.start, rows.end)]
    NoSuchRows {
        /// The file.
        file: String,
        /// What was asked for.
        rows: Range<u64>,
        /// How many there are.
        len: u64,
    },
    /// Rows of another type.
    #[error("{file} takes {expected} values, not {found}")]
    DataType {
        /// The file.
        file: String,
        /// Type of the file.
        expected: DataType,
        /// Type of the rows.
        found: DataType,
    },
    /// Estimated rows for a file that has no room for saying so.
    #[error("{file} has no column `estimated`, but estimated rows were written to it")]
    Estimated {
        /// The file.
        file: String,
    },
}

impl SegmentError {
    /// What Parquet's code reports; what our own reported through it comes out as it was.
    fn from_parquet(file: &str, error: ParquetError) -> SegmentError {
        let error =
            match error {
                ParquetError::External(inner) => match inner.downcast::<SegmentError>() {
                    Ok(ours) => return *ours,
                    Err(inner) => match inner.downcast::<io::Error>() {
                        Ok(source) => {
                            return source.downcast::<SegmentError>().unwrap_or_else(|source| {
                                SegmentError::Io { file: file.to_owned(), doing: "write".to_owned(), source }
                            });
                        }
                        Err(inner) => ParquetError::External(inner),
                    },
                },
                other => other,
            };
        SegmentError::Parquet { file: file.to_owned(), source: error }
    }
}

/// How a file says when its rows start: as a number n, for `origin_ticks + n * step_ticks`.
///
/// In files of regular series, n counts slots (column `slot`): in ticks, the gaps between scattered rows would all be
/// multiples of the period, and take the bits of it. In files of irregular series, and in those of format 1, n is the
/// tick itself (column `start`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Numbering {
    /// Start of the row with number 0, in ticks.
    pub(crate) origin_ticks: i64,
    /// From a number to the next, in ticks; positive.
    pub(crate) step_ticks: i64,
}

impl Numbering {
    /// By ticks.
    pub(crate) const TICKS: Numbering = Numbering { origin_ticks: 0, step_ticks: 1 };

    fn number(self, ticks: i64) -> i64 {
        (ticks - self.origin_ticks) / self.step_ticks
    }

    /// `None` beyond all time.
    fn ticks(self, number: i64) -> Option<i64> {
        number.checked_mul(self.step_ticks)?.checked_add(self.origin_ticks)
    }
}

/// The column with the starts of rows. Rows are estimated in irregular series only.
fn start_column(has_estimated: bool) -> &'static str {
    if has_estimated { "start" } else { "slot" }
}

/// The columns of a file.
fn schema(data_type: DataType, start: &str, has_estimated: bool) -> Result<TypePtr, ParquetError> {
    let column = |name, physical, repetition, logical| {
        Type::primitive_type_builder(name, physical)
            .with_repetition(repetition)
            .with_logical_type(logical)
            .build()
    };
    let physical = match data_type {
        DataType::Float32 => Physical::FLOAT,
        DataType::Float64 => Physical::DOUBLE,
        DataType::Uint64 | DataType::Int64 => Physical::INT64,
        _ => Physical::INT32,
    };
    let signed = matches!(data_type, DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64);
    let logical =
        (!data_type.is_float()).then(|| LogicalType::integer(data_type.size_bytes() as i8 * 8, signed));
    let mut columns = vec![
        Arc::new(column("series", Physical::INT64, Repetition::REQUIRED, None)?),
        Arc::new(column(start, Physical::INT64, Repetition::REQUIRED, None)?),
        Arc::new(column("value", physical, Repetition::OPTIONAL, logical)?),
    ];
    if has_estimated {
        columns.push(Arc::new(column("estimated", Physical::BOOLEAN, Repetition::REQUIRED, None)?));
    }
    Ok(Arc::new(Type::group_type_builder("sheaf").with_fields(columns).build()?))
}

/// The columns as if no value could be missing. Definition levels of a page lie apart from its values, so pages without
/// nulls are encoded and decoded as those of a required column, and a few bytes of levels are put before or taken off.
fn required_columns(schema: &Type) -> Result<Vec<ColumnDescPtr>, ParquetError> {
    let fields = schema.get_fields().iter().map(|field| {
        let info = field.get_basic_info();
        let required = Type::primitive_type_builder(info.name(), field.get_physical_type())
            .with_repetition(Repetition::REQUIRED)
            .with_logical_type(info.logical_type_ref().cloned())
            .build()?;
        Ok(Arc::new(required))
    });
    let fields = fields.collect::<Result<Vec<_>, ParquetError>>()?;
    let schema = Type::group_type_builder(schema.name()).with_fields(fields).build()?;
    Ok(SchemaDescriptor::new(Arc::new(schema)).columns().to_vec())
}
