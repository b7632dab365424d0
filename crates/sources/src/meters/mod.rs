//! Readings of energy meters, and what belongs to them: as utilities hand them out, and as the loaders of the OpenEEmeter
//! datastore take them.
//!
//! - [`TraceReader`]: long tables of delimited text, a reading in each row: `trace_id,start,value[,estimated]`, and with
//!   `interpretation` and `unit` the trace files of the loaders. Made for hundreds of millions of rows. Rows that are wrong
//!   are reported, and the rest is read.
//! - [`OeemFolder`] finds the files of a loader's folder; [`read_projects`], [`read_mappings`], [`read_metadata`] and
//!   [`read_blacklist`] read those that are no traces, row by row.
//! - [`read_green_button`]: Green Button files (ESPI), which are XML.
//! - A wide table, a column for each meter, is a table like any other: [`open_table`](crate::open_table) reads it, and so it
//!   does long tables in Parquet or JSON lines, or with wall times in an unusual form; but it has no column that says which
//!   values are estimated.
//!
//! Units are those of [`EnergyUnit::parse`](sheaf_model::EnergyUnit::parse): kWh and therms, and what exactly becomes one
//! of them.

mod folder;
mod green_button;
mod problem;
mod rows;
mod text;
mod traces;
mod xml;

pub use folder::OeemFolder;
pub use green_button::{
    GreenButton, GreenButtonMeter, MeterInterval, MeterRecord, RefusedMeter, read_green_button,
};
pub use problem::MeterProblem;
pub use rows::{
    BlacklistRow, MappingRow, MetadataRow, ProjectRow, Rows as MeterRows, TextRow, read_blacklist,
    read_mappings, read_metadata, read_projects, read_texts,
};
pub use traces::{Trace, TraceBatch, TraceReader};
