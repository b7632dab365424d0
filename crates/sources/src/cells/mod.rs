//! Columns of typed cells, which Parquet and Arrow have in common.
//!
//! `content` says what columns hold, `hints` what data frames say of them, `detect` makes a plan of both, `rows` follows it.

mod content;
mod detect;
mod hints;
mod rows;

pub(crate) use content::{Cells, Content, Unit, decimals, floats, is_valid};
pub(crate) use detect::{Field, Plan, SAMPLE_ROWS, detect};
pub(crate) use hints::Hints;
pub(crate) use rows::{Assembler, rows_of_batch};
