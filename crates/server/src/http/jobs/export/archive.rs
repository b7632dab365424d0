//! The archive of an export: a zip of files without folders, written as the values come.
//!
//! HDF5 is written to and fro, which an archive can't be: each such file is made beside the archive, and copied when it is whole.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};
use sheaf_engine::{Columns, read_columns};
use sheaf_model::{TimeRange, Values};
use sheaf_sources::{
    CatalogFormat, ExportFormat, Hdf5Writer, WriteError, WriteValues, export_files, physical_name,
};
use tempfile::TempPath;
use tokio::runtime::Handle;
use zip::write::{SimpleFileOptions, StreamWriter};
use zip::{CompressionMethod, ZipWriter};

use super::Precision;
use super::plan::{Plan, PlannedCatalog};
use crate::http::jobs::artifacts::Unfinished;
use crate::http::jobs::{Context, JobError};

/// How hard text is compressed: harder takes twice the time for a tenth of the size.
const LEVEL: i64 = 3;

/// Values that are written between two looks whether to go on.
const MOST_VALUES: usize = 1 << 17;

/// Bytes that are copied between two such looks.
const MOST_COPIED: u64 = 1 << 24;

/// What was written.
pub(super) struct Written {
    pub(super) file: File,
    /// In hexadecimal digits.
    pub(super) sha256: String,
}

type Archive = ZipWriter<StreamWriter<Hashed>>;

/// Writes the archive. Blocks until it is done.
pub(super) fn write(
    plan: &Plan,
    context: &Context,
    runtime: &Handle,
    unfinished: &mut Unfinished,
) -> Result<Written, JobError> {
    let Some(format) = plan.format else { return Err(JobError::Stopped) };
    let out = Hashed { out: BufWriter::with_capacity(1 << 18, unfinished.take_file()?), hash: Sha256::new() };
    let mut archive = ZipWriter::new_stream(out).set_auto_large_file();
    let mut rows = Rows::new(plan, context, runtime);
    for planned in &plan.catalogs {
        write_license(planned, &mut archive)?;
    }
    match format {
        ExportFormat::PerCatalog(format) => {
            for planned in &plan.catalogs {
                write_catalog(plan, planned, format, &mut rows, &mut archive)?;
            }
        }
        ExportFormat::Hdf5 => {
            // A name that goes with the archive's if this process dies.
            let beside = unfinished.path().with_extension("h5.part");
            let failed = |source| JobError::File { file: beside.clone(), source };
            let beside = TempPath::try_from_path(&beside).map_err(failed)?;
            write_hdf5(plan, &beside, &mut rows, &mut archive)?;
        }
    }
    let Hashed { out, hash } = archive.finish()?.into_inner();
    let failed = |source| JobError::File { file: unfinished.path(), source };
    let file = out.into_inner().map_err(|error| failed(error.into_error()))?;
    let sha256 = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Written { file, sha256 })
}

/// Reads all values, for the sake of what is kept of them. Blocks until it is done.
pub(super) fn read(plan: &Plan, context: &Context, runtime: &Handle) -> Result<(), JobError> {
    let mut rows = Rows::new(plan, context, runtime);
    for planned in &plan.catalogs {
        rows.begin(planned, plan.range)?;
        while rows.next(usize::MAX)?.is_some() {}
    }
    Ok(())
}

fn options(is_compressed: bool) -> SimpleFileOptions {
    let method = if is_compressed { CompressionMethod::Stored } else { CompressionMethod::Deflated };
    let level = (!is_compressed).then_some(LEVEL);
    SimpleFileOptions::default().compression_method(method).compression_level(level)
}

fn write_license(planned: &PlannedCatalog, archive: &mut Archive) -> Result<(), JobError> {
    if let Some(license) = &planned.license {
        let name = format!("{}_LICENSE.md", physical_name(&planned.catalog.id));
        archive.start_file(name, options(false))?;
        archive.write_all(license.as_bytes()).map_err(zip::result::ZipError::from)?;
    }
    Ok(())
}

/// Writes the files of a catalog, and what describes them.
fn write_catalog(
    plan: &Plan,
    planned: &PlannedCatalog,
    format: CatalogFormat,
    rows: &mut Rows<'_>,
    archive: &mut Archive,
) -> Result<(), JobError> {
    let catalog = &planned.catalog;
    let mut names = Vec::new();
    rows.begin(planned, plan.range)?;
    for file in export_files(plan.range, plan.file_period) {
        let name = format.file_name(&catalog.id, &file, plan.period);
        archive.start_file(name.as_str(), options(format.is_compressed()))?;
        names.push(name);
        let mut writer = format.open(&mut *archive, catalog, &file, plan.period)?;
        rows.write(file.range, |starts, columns| writer.write(starts, columns))?;
        writer.finish()?;
    }
    if let Some((name, text)) = format.sidecar(catalog, &names, plan.period) {
        archive.start_file(name, options(false))?;
        archive.write_all(text.as_bytes()).map_err(zip::result::ZipError::from)?;
    }
    Ok(())
}

/// Writes the files of all catalogs, each at `beside` first.
fn write_hdf5(
    plan: &Plan,
    beside: &Path,
    rows: &mut Rows<'_>,
    archive: &mut Archive,
) -> Result<(), JobError> {
    let failed = |source| JobError::File { file: beside.to_owned(), source };
    for file in export_files(plan.range, plan.file_period) {
        let catalogs = plan.catalogs.iter().map(|planned| &planned.catalog);
        let mut writer = Hdf5Writer::create(beside, catalogs, &file, plan.period)?;
        for (at, planned) in plan.catalogs.iter().enumerate() {
            rows.begin(planned, file.range)?;
            rows.write(file.range, |starts, columns| writer.write(at, starts, columns))?;
        }
        writer.finish()?;
        archive.start_file(Hdf5Writer::file_name(&file, plan.period), options(false))?;
        let whole = File::open(beside).map_err(failed)?;
        while io::copy(&mut (&whole).take(MOST_COPIED), archive).map_err(zip::result::ZipError::from)? > 0 {
            rows.go_on()?;
        }
    }
    Ok(())
}

/// The rows of one catalog after the other.
struct Rows<'a> {
    plan: &'a Plan,
    context: &'a Context,
    runtime: &'a Handle,
    columns: Option<Columns>,
    block: Vec<Vec<f64>>,
    /// How many rows of the block were given out.
    used: usize,
    /// The begin of the next row.
    next_ticks: i64,
    /// Values that were given out, of all.
    done: u64,
    all: u64,
}

/// Begins of rows, and values of each column.
type Part = (Vec<i64>, Vec<Values>);

impl<'a> Rows<'a> {
    fn new(plan: &'a Plan, context: &'a Context, runtime: &'a Handle) -> Rows<'a> {
        let (columns, block) = (None, Vec::new());
        let next_ticks = plan.range.begin().ticks();
        Rows { plan, context, runtime, columns, block, used: 0, next_ticks, done: 0, all: plan.values() }
    }

    fn begin(&mut self, planned: &PlannedCatalog, range: TimeRange) -> Result<(), JobError> {
        let columns =
            self.runtime.block_on(read_columns(&self.plan.snapshot, &planned.items, range, None))?;
        (self.columns, self.block, self.used) = (Some(columns), Vec::new(), 0);
        self.next_ticks = range.begin().ticks();
        Ok(())
    }

    /// Writes as many rows as this range has.
    fn write(
        &mut self,
        range: TimeRange,
        mut write: impl FnMut(&[i64], &[WriteValues<'_>]) -> Result<(), WriteError>,
    ) -> Result<(), JobError> {
        let mut left = range.count(self.plan.period);
        while left > 0 {
            let Some((starts, values)) = self.next(usize::try_from(left).unwrap_or(usize::MAX))? else {
                return Err(JobError::Task { problem: "values end before their range does".to_owned() });
            };
            let columns: Vec<_> =
                values.iter().map(|values| WriteValues { values, validity: None }).collect();
            write(&starts, &columns)?;
            left -= starts.len() as u64;
        }
        Ok(())
    }

    /// Says how far it is; an error if it is to stop.
    fn go_on(&self) -> Result<(), JobError> {
        self.context.step("exporting", self.done, self.all)
    }

    /// At most so many rows; `None` after the last one.
    fn next(&mut self, most: usize) -> Result<Option<Part>, JobError> {
        self.go_on()?;
        while self.block.first().is_none_or(|column| column.len() == self.used) {
            match self.columns.as_mut().and_then(Iterator::next) {
                Some(block) => (self.block, self.used) = (block?, 0),
                None => return Ok(None),
            }
        }
        let rows = self.block.first().map_or(0, Vec::len) - self.used;
        let few = (MOST_VALUES / self.block.len().max(1)).max(1);
        let part = self.used..self.used + rows.min(most).min(few);
        let values = self.block.iter().map(|column| match self.plan.precision {
            Precision::Float64 => Values::F64(column[part.clone()].to_vec()),
            Precision::Float32 => {
                Values::F32(column[part.clone()].iter().map(|&value| value as f32).collect())
            }
        });
        let values: Vec<Values> = values.collect();
        let period = self.plan.period.ticks();
        let starts: Vec<i64> = (0..part.len() as i64).map(|row| self.next_ticks + row * period).collect();
        self.next_ticks += part.len() as i64 * period;
        self.used = part.end;
        self.done += (part.len() * values.len()) as u64;
        Ok(Some((starts, values)))
    }
}

/// A file, and the digest of what goes into it.
struct Hashed {
    out: BufWriter<File>,
    hash: Sha256,
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
