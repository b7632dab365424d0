//! Exports: how their files are written, for each period of files one for each catalog or one for all, and what they are called.
//!
//! [`ExportFormat::new`] chooses a writer by its name and options, as clients of Nexus do; [`export_files`] says which files
//! there are. [`CatalogFormat::open`] writes one of them, and [`CatalogFormat::sidecar`] what describes them; [`Hdf5Writer`] writes
//! one that has all catalogs in it. Reading, and where the files go, is the business of the caller.

mod csv;
mod files;
mod hdf5;
mod options;
mod sidecar;
mod significant;

use std::io::Write;

use serde_json::Value;
use sheaf_model::{CatalogId, DataType, Properties, ResourceId, SamplePeriod};

pub use self::csv::{NexusCsv, RowIndex};
pub use self::files::{ExportFile, export_files, physical_name};
pub use self::hdf5::Hdf5Writer;
pub use self::options::{ExportError, WriterDescription, writer_descriptions};

use self::csv::NexusCsvWriter;
use self::files::stamp;
use crate::write::{
    ArrowContainer, ArrowWriter, JsonLinesWriter, ParquetWriter, TableWriter, TimeUnit, WriteColumn,
    WriteError,
};

/// A catalog of an export.
#[derive(Clone, Debug, PartialEq)]
pub struct ExportCatalog {
    /// Its id.
    pub id: CatalogId,
    /// What is known of it.
    pub properties: Properties,
    /// What is exported of it.
    pub columns: Vec<ExportColumn>,
}

/// A column of an export.
#[derive(Clone, Debug, PartialEq)]
pub struct ExportColumn {
    /// Resource, representation and arguments: `T1_10_min_mean(k=v)`.
    pub title: String,
    /// The resource.
    pub resource: ResourceId,
    /// What is known of the resource.
    pub properties: Properties,
    /// The type of its values.
    pub data_type: DataType,
}

impl ExportColumn {
    /// The title with the unit.
    pub fn full_title(&self) -> String {
        self.to_write().full_title()
    }

    fn to_write(&self) -> WriteColumn {
        let unit = self.properties.unit().filter(|unit| !unit.is_empty()).map(str::to_owned);
        WriteColumn { title: self.title.clone(), unit, data_type: self.data_type }
    }
}

/// How an export is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportFormat {
    /// A file for each catalog.
    PerCatalog(CatalogFormat),
    /// HDF5, with all catalogs in one file: [`Hdf5Writer`].
    Hdf5,
}

impl ExportFormat {
    /// The writer with this name (`Nexus.Writers.Csv`) and these options, an object or null.
    ///
    /// # Errors
    /// There is no such writer, or it has no such option or value.
    pub fn new(kind: &str, options: &Value) -> Result<ExportFormat, ExportError> {
        options::parse(kind, options)
    }
}

/// How a file of one catalog is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CatalogFormat {
    /// Delimited text as Nexus writes it, with a description.
    NexusCsv(NexusCsv),
    /// Parquet.
    Parquet,
    /// Arrow.
    Arrow(ArrowContainer),
    /// JSON lines.
    JsonLines,
}

impl CatalogFormat {
    /// Whether its files hardly get any smaller.
    pub const fn is_compressed(self) -> bool {
        matches!(self, CatalogFormat::Parquet)
    }

    /// The name of a file.
    pub fn file_name(self, catalog: &CatalogId, file: &ExportFile, period: SamplePeriod) -> String {
        format!("{}_{}_{period}.{}", physical_name(catalog), stamp(file.begin), self.extension())
    }

    const fn extension(self) -> &'static str {
        match self {
            CatalogFormat::NexusCsv(_) => "csv",
            CatalogFormat::Parquet => "parquet",
            CatalogFormat::Arrow(ArrowContainer::File) => "arrow",
            CatalogFormat::Arrow(ArrowContainer::Stream) => "arrows",
            CatalogFormat::JsonLines => "jsonl",
        }
    }

    /// Begins a file.
    ///
    /// # Errors
    /// The output fails, or the format can't say the times of the file.
    pub fn open<'a, W: Write + Send + 'a>(
        self,
        out: W,
        catalog: &ExportCatalog,
        file: &ExportFile,
        period: SamplePeriod,
    ) -> Result<Box<dyn TableWriter + 'a>, WriteError> {
        let columns = || catalog.columns.iter().map(ExportColumn::to_write).collect();
        let unit = || TimeUnit::for_times(file.range, period.ticks());
        Ok(match self {
            CatalogFormat::NexusCsv(options) => {
                Box::new(NexusCsvWriter::new(out, catalog, file.begin, period, options)?)
            }
            CatalogFormat::Parquet => Box::new(ParquetWriter::new(out, columns(), unit()?)?),
            CatalogFormat::Arrow(container) => {
                Box::new(ArrowWriter::new(out, columns(), unit()?, container)?)
            }
            CatalogFormat::JsonLines => Box::new(JsonLinesWriter::new(out, columns())?),
        })
    }

    /// The file that describes all files of a catalog, if the format has one: its name and its text.
    pub fn sidecar(
        self,
        catalog: &ExportCatalog,
        files: &[String],
        period: SamplePeriod,
    ) -> Option<(String, String)> {
        match self {
            CatalogFormat::NexusCsv(options) => {
                Some(sidecar::sidecar(catalog, files, period, options.row_index))
            }
            _ => None,
        }
    }
}
