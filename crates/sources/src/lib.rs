//! Where samples come from: tables of delimited text (CSV), JSON lines, Parquet and Arrow, as batches of times and values; and data
//! that stay where they are, such as folders of tables, read range by range.
//!
//! A reader finds out by itself how a file is written, says what it found, and asks for an option where it would have
//! to guess. A file that is wrong gives an error with line, column and text, never a wrong number.
//!
//! ```
//! use sheaf_sources::{ColumnValues, CsvOptions, CsvReader, Input, Rows};
//!
//! let text = "time;T1 (°C);p [bar]\n2020-01-01 00:00;1,5;7\n2020-01-01 00:10;2,5;\n";
//! let options = CsvOptions { time_zone: Some("Europe/Berlin".to_owned()), ..CsvOptions::default() };
//! let mut reader = CsvReader::open(Input::bytes("example", text), options)?;
//! assert_eq!(reader.columns()[0].name, "T1");
//! assert_eq!(reader.columns()[0].unit.as_deref(), Some("°C"));
//!
//! let batch = reader.next_batch()?.expect("two rows");
//! assert_eq!(sheaf_model::Tick::new(batch.starts[0])?.to_string(), "2019-12-31T23:00:00Z");
//! let Rows::Wide(columns) = batch.rows else { panic!("a column for each series") };
//! assert_eq!(columns[0], ColumnValues::Floats(vec![1.5, 2.5]));
//! assert_eq!(columns[1], ColumnValues::Ints { values: vec![7, 0], validity: Some(vec![0b01]) });
//!
//! assert_eq!(reader.next_batch()?, None);
//! assert_eq!(
//!     reader.report().detected.to_string(),
//!     "wide table, delimiter `;`, decimal separator `,`, titles in line 1, times in column 1 (`time`) as iso, \
//!      time zone Europe/Berlin"
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! - [`Input`]: a file, standard input or bytes; compressed or not.
//! - [`CsvReader`] and its [`CsvOptions`]: a wide or a long table.
//! - [`ParquetReader`] and its [`ParquetOptions`]: the same for Parquet; [`ArrowReader`] for Arrow, [`JsonLinesReader`] for JSON
//!   lines.
//! - [`open_table`] and its [`TableOptions`]: whichever of them it is, as a [`Table`].
//! - [`Batch`], [`Column`], [`Report`]: what comes out.
//! - [`DataSource`]: what is read in place; [`FolderSource`] is one, [`SourceConfig`] opens any, [`SourceKind`] lists them.
//! - [`TableWriter`]: the way out, with a writer for each format; [`ExportFormat`] makes the files of exports with them.
//! - [`SourceError`]: what is wrong, and what would be right.

mod arrow;
mod cells;
mod csv;
mod error;
mod export;
mod folder;
mod guard;
mod input;
mod json;
mod meters;
mod nexus;
mod open;
mod parquet;
mod postgres;
mod registry;
mod remembered;
mod sample;
mod secret;
mod source;
mod spacing;
mod table;
#[cfg(feature = "testing")]
pub mod testing;
mod weather;
mod write;

pub use arrow::ArrowReader;
pub use csv::{
    ColumnRef, Comments, CsvOptions, CsvReader, Decimal, Header, Layout, OnError, TimeFormat,
    UnknownTimeFormat,
};
pub use error::{
    ColumnName, NotText, NumberProblem, RowError, RowProblem, SourceError, TableProblem, TimeProblem,
};
pub use export::{
    CatalogFormat, ExportCatalog, ExportColumn, ExportError, ExportFile, ExportFormat, Hdf5Writer, NexusCsv,
    RowIndex, WriterDescription, export_files, physical_name, writer_descriptions,
};
pub use folder::{FolderConfig, FolderSource};
pub use input::{Compression, Input};
pub use json::JsonLinesReader;
pub use meters::{
    BlacklistRow, GreenButton, GreenButtonMeter, MappingRow, MetadataRow, MeterInterval, MeterProblem,
    MeterRecord, MeterRows, OeemFolder, ProjectRow, RefusedMeter, TextRow, Trace, TraceBatch, TraceReader,
    read_blacklist, read_green_button, read_mappings, read_metadata, read_projects, read_texts,
};
pub use nexus::{NexusConfig, NexusSource};
pub use open::{TableFormat, TableOptions, UnknownTableFormat, open_table};
pub use parquet::{ParquetOptions, ParquetReader};
pub use postgres::{PostgresConfig, PostgresSource};
pub use registry::{SourceConfig, SourceKind, UnknownSourceType};
pub use sample::{SampleConfig, SampleSource};
pub use secret::Secret;
pub use source::{DataSource, Revision, SourceProblem, SourceSeries};
pub use spacing::{MOST_JITTER, Slots, Spacing, most_jitter_ticks, spacing};
pub use table::{
    Batch, Column, ColumnValues, Detected, Metadata, NexusTitle, Place, Report, Rows, Seen, Summary, Table,
};
pub use weather::{
    FileStation, HOURS_PER_NORMAL_YEAR, MOST_INTERPOLATED_MINUTES, NearStation, NormalYear, Observation,
    Position, Station, StationError, StationQuality, TemperatureUnit, UnknownWeatherFormat, WeatherData,
    WeatherFile, WeatherFormat, WeatherOptions, WeatherProblem, WeatherReport, ZipArea, hourly_means,
    nearest_stations, read_weather, station, stations, zip_area, zip_areas,
};
pub use write::{
    ArrowContainer, ArrowWriter, CsvWriter, JsonLinesWriter, ParquetWriter, RecordType, RecordValue,
    RecordsWriter, TableWriter, TimeUnit, WriteColumn, WriteError, WriteValues,
};
