//! Parquet files, wide or long.
//!
//! `file` has the bytes and the footer, `page` (with `header` and `codec`) takes pages out of them and checks each before
//! anything is allocated for it, `column` says what columns hold and reads their cells, `metadata` has what writers keep
//! beside the columns, `detect` what the columns mean, `reader` reads them.

mod codec;
mod column;
mod detect;
mod file;
mod header;
mod metadata;
mod options;
mod page;
mod reader;

pub(crate) use file::MAGIC;
pub use options::ParquetOptions;
pub use reader::ParquetReader;
