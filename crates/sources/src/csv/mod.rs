//! Delimited text, wide or long.
//!
//! `record` cuts bytes into records and fields, `detect` looks at the first ones and makes a plan, `reader` follows it.
//! `number`, `time` and `zone` read single cells, `title` what headers and comments say.

mod detect;
mod number;
mod options;
mod reader;
mod record;
mod time;
mod title;
mod zone;

pub use options::{
    ColumnRef, Comments, CsvOptions, Decimal, Header, Layout, OnError, TimeFormat, UnknownTimeFormat,
};
pub use reader::CsvReader;
