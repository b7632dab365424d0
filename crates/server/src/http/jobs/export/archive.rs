//! The archive of an export: a zip of files without folders, written as the values come.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use sha2::{Digest, Sha256};
use sheaf_engine::{Columns, read_columns};
use sheaf_model::{TimeRange, Values};
use sheaf_sources::{ExportFormat, WriteValues, export_files, physical_name};
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
        write_catalog(plan, planned, format, &mut rows, &mut archive)?;
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
        rows.begin(planned)?;
        while rows.next(usize::MAX)?.is_some() {}
    }
    Ok(())
}

fn write_catalog(
    plan: &Plan,
    planned: &PlannedCatalog,
    format: ExportFormat,
    rows: &mut Rows<'_>,
    archive: &mut Archive,
) -> Result<(), JobError> {
    let catalog = &planned.catalog;
    let options = |is_compressed| {
        let method = if is_compressed { CompressionMethod::Stored } else { CompressionMethod::Deflated };
        let level = (!is_compressed).then_some(LEVEL);
        SimpleFileOptions::default().compression_method(method).compression_level(level)
    };
    if let Some(license) = &planned.license {
        archive.start_file(format!("{}_LICENSE.md", physical_name(&catalog.id)), options(false))?;
        archive.write_all(license.as_bytes()).map_err(zip::result::ZipError::from)?;
    }
    let mut names = Vec::new();
    rows.begin(planned)?;
    for file in export_files(plan.range, plan.file_period) {
        let name = format.file_name(&catalog.id, &file, plan.period);
        archive.start_file(name.as_str(), options(format.is_compressed()))?;
        names.push(name);
        let mut writer = format.open(&mut *archive, catalog, &file, plan.period)?;
        let mut left = rows_of(file.range, plan);
        while left > 0 {
            let Some((starts, values)) = rows.next(usize::try_from(left).unwrap_or(usize::MAX))? else {
                return Err(JobError::Task { problem: "values end before their range does".to_owned() });
            };
            let columns: Vec<_> =
                values.iter().map(|values| WriteValues { values, validity: None }).collect();
            writer.write(&starts, &columns)?;
            left -= starts.len() as u64;
        }
        writer.finish()?;
    }
    if let Some((name, text)) = format.sidecar(catalog, &names, plan.period) {
        archive.start_file(name, options(false))?;
        archive.write_all(text.as_bytes()).map_err(zip::result::ZipError::from)?;
    }
    Ok(())
}

fn rows_of(range: TimeRange, plan: &Plan) -> u64 {
    range.count(plan.period)
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

    fn begin(&mut self, planned: &PlannedCatalog) -> Result<(), JobError> {
        let Plan { snapshot, range, .. } = self.plan;
        let columns = self.runtime.block_on(read_columns(snapshot, &planned.items, *range, None))?;
        (self.columns, self.block, self.used) = (Some(columns), Vec::new(), 0);
        self.next_ticks = range.begin().ticks();
        Ok(())
    }

    /// At most so many rows; `None` after the last one.
    fn next(&mut self, most: usize) -> Result<Option<Part>, JobError> {
        self.context.step("exporting", self.done, self.all)?;
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
