//! JSON lines: an object in each line, wide or long.
//!
//! `lines` cuts the input into blocks of whole lines, `object` takes a line apart, `detect` looks at the first lines and
//! makes a plan, `parse` follows it in several parts of a block at the same time, and `reader` puts them together in order.

mod detect;
mod lines;
mod object;
mod parse;
mod reader;

pub use reader::JsonLinesReader;
