//! Delimited text, wide or long.
//!
//! `detect` looks at the first records and makes a plan, `reader` follows it: `blocks` cuts the input, `parse` reads the
//! rows of a block, several at the same time (`ahead`), and `reader` puts them together in order. `record` cuts text into
//! records and fields; `number`, `time` and `zone` read single cells, `title` what headers and comments say.

mod ahead;
mod blocks;
mod detect;
mod number;
mod options;
mod parse;
mod reader;
mod record;
mod time;
mod title;
mod zone;

pub use options::{
    ColumnRef, Comments, CsvOptions, Decimal, Header, Layout, OnError, TimeFormat, UnknownTimeFormat,
};
pub use reader::CsvReader;

// What other kinds of tables have in common with text.
pub(crate) use ahead::Ahead;
pub(crate) use blocks::{Block, Blocks};
pub(crate) use detect::{SERIES_NAMES, TIME_NAMES, UNIT_NAMES, VALUE_NAMES, clash, plain, rank, unix_unit};
pub(crate) use number::{Number, parse_flag, parse_number};
pub(crate) use parse::{LONGEST_NAME, Values};
pub(crate) use reader::{MOST_SERIES, Order};
pub(crate) use record::{BadRecord, MOST_FIELDS, Records, Step};
pub(crate) use time::{DateCache, TimeReader, check_format, parse_iso};
pub(crate) use title::{decode, split_unit};
pub(crate) use zone::{Instant, Zone, in_range, parse_offset};
