//! Folders of tables, read in place.
//!
//! `template` finds files and what their names say, `file` reads them and keeps what was read last, `catalog` finds out
//! which series there are, `config` has the settings. This file puts the samples of a range together.

mod catalog;
mod config;
mod file;
mod template;

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sheaf_model::{DataType, ResourceId, SamplePeriod, Samples, Tick, TimeRange, Values};
use xxhash_rust::xxh3::Xxh3;

use self::catalog::{Catalog, Known, resource_of};
pub use self::config::FolderConfig;
pub(crate) use self::config::schema;
use self::file::{Cache, FileKey, Lie, Parsed};
use self::template::{Found, Template};
use crate::csv::Zone;
use crate::error::SourceError;
use crate::source::{DataSource, Revision, SourceProblem, SourceSeries, slots_of};
use crate::spacing::{MOST_JITTER, Slots};
use crate::table::{Batch, ColumnValues, Rows};

/// What parsed files may take in memory. Files of which one takes more are read again each time, and only in part kept.
const CACHE_BYTES: usize = 256 << 20;

/// The integers of a float that all have neighbours.
const EXACT: i64 = 1 << 53;

/// A folder with CSV or Parquet files.
///
/// A template says which files: `{yyyy}/{MM}/mast_*.csv`. It is a path below the folder; `*` and `?` stand for any part of
/// a name and for one character, `**` for any folders. `{yyyy} {MM} {dd} {DDD} {HH} {mm}` are when what is in a file
/// begins, in the time zone of the table, and the smallest of them is how long it is: so only files are read that a range
/// touches. A row outside of what the name of its file says is an error, unless `margin` allows it. Files of a template
/// without dates are all read once, and their ranges kept in memory by path, size and time of change.
///
/// The series, their periods, types and units are found out from the first files and the last ones, or from all without
/// dates. A file that does not agree with them is an error that names it when a range touches it; so are two values
/// for a slot. A slot starts at a multiple of the period; where rows start a constant time after it, that is the phase.
///
/// The folder is listed when it is opened and refreshed. What a file is then, by size and time of change, it must be while
/// it is read. Nothing leads out of the folder: neither `..` nor links.
pub struct FolderSource {
    name: String,
    config: FolderConfig,
    root: PathBuf,
    template: Template,
    listing: Mutex<Arc<Listing>>,
    cache: Mutex<Cache>,
    /// How rows lie in files whose names don't say so, for as long as those stay as they are.
    lies: Mutex<HashMap<String, (FileKey, Arc<Lies>)>>,
}

/// For each resource of a file how its rows lie.
type Lies = Vec<(ResourceId, Lie)>;

/// What there was when the folder was listed.
#[derive(Debug, Default)]
struct Listing {
    files: Vec<File>,
    catalog: Mutex<Option<Arc<Catalog>>>,
}

/// A file of the folder.
#[derive(Clone, Debug)]
struct File {
    path: String,
    key: FileKey,
    /// From when to before when it holds samples by its name, in ticks.
    range: Option<(i64, i64)>,
}

impl std::fmt::Debug for FolderSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FolderSource").field("config", &self.config).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is behind these locks is replaced as a whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FolderSource {
    /// Opens a folder and lists it.
    ///
    /// # Errors
    /// There is no such folder, or settings can't be.
    pub fn open(config: FolderConfig) -> Result<FolderSource, SourceError> {
        let name = format!("{}/{}", config.root.display(), config.template);
        let wrong = |problem| SourceError::of_source(&name, problem);
        let template = Template::parse(&config.template).map_err(wrong)?;
        if let Some((resource, _)) =
            config.data_types.iter().find(|(_, of)| !matches!(of, DataType::Int64 | DataType::Float64))
        {
            let problem = format!("`{resource}` can be INT64 or FLOAT64; files have no other types");
            return Err(wrong(SourceProblem::Setting { setting: "data_types", problem }));
        }
        Zone::new(config.table.csv.time_zone.as_deref())?;
        let root = fs::canonicalize(&config.root)
            .map_err(|error| wrong(SourceProblem::NoFolder { error: error.to_string() }))?;
        let source = FolderSource {
            name,
            config,
            root,
            template,
            listing: Mutex::default(),
            cache: Mutex::new(Cache::new(CACHE_BYTES)),
            lies: Mutex::default(),
        };
        source.refresh()?;
        Ok(source)
    }

    /// Resources that files have but that can't be read in place, and why not.
    ///
    /// # Errors
    /// What [`DataSource::series`] says.
    pub fn refused(&self) -> Result<Vec<(ResourceId, String)>, SourceError> {
        let catalog = self.catalog(&self.listing())?;
        let refused = catalog.iter().filter_map(|(resource, known)| match known {
            Known::Series { .. } => None,
            Known::Refused(problem) => Some((resource.clone(), problem.to_string())),
        });
        Ok(refused.collect())
    }

    fn wrong(&self, problem: SourceProblem) -> SourceError {
        SourceError::of_source(&self.name, problem)
    }

    fn listing(&self) -> Arc<Listing> {
        Arc::clone(&lock(&self.listing))
    }

    /// What is in a file. Several threads may read the same one at the same time, rather than wait for each other: reading
    /// uses the pool of threads that waits.
    fn load(&self, file: &File, keep: Option<(i64, i64)>) -> Result<Arc<Parsed>, SourceError> {
        if let Some(parsed) = lock(&self.cache).get(&file.path, file.key) {
            return Ok(parsed);
        }
        let path = self.root.join(&file.path);
        let check = || match FileKey::of(&path) {
            Ok(key) if key == file.key => Ok(()),
            _ => Err(self.wrong(SourceProblem::Changed { path: file.path.clone() })),
        };
        check()?;
        let period = self.config.table.csv.period;
        let parsed = Parsed::read(&path, &self.config.table, period, keep, CACHE_BYTES);
        // A file that changes while it is read is neither here nor there, and what is wrong with it is of no interest.
        check()?;
        let parsed = Arc::new(parsed?);
        lock(&self.cache).put(&file.path, file.key, &parsed);
        Ok(parsed)
    }

    /// How the rows of a file lie.
    fn lies(&self, file: &File) -> Result<Arc<Lies>, SourceError> {
        if let Some((key, lies)) = lock(&self.lies).get(&file.path)
            && *key == file.key
        {
            return Ok(Arc::clone(lies));
        }
        let parsed = self.load(file, None)?;
        let mut lies: Lies = Vec::with_capacity(parsed.columns.len());
        for (column, lie) in parsed.columns.iter().zip(&parsed.lie) {
            lies.push((resource_of(column, &file.path).map_err(|problem| self.wrong(problem))?, lie.clone()));
        }
        let lies = Arc::new(lies);
        lock(&self.lies).insert(file.path.clone(), (file.key, Arc::clone(&lies)));
        Ok(lies)
    }

    /// The files of a listing that may have rows whose slots are in a range.
    fn touched<'a>(
        &self,
        listing: &'a Listing,
        resource: &ResourceId,
        slots: &Slots,
        range: TimeRange,
    ) -> Result<Vec<&'a File>, SourceError> {
        let margin = self.config.margin.map_or(0, SamplePeriod::ticks);
        // Slots begin before their rows by the phase, and rows are beside them by the jitter at most.
        let begin = range.begin().ticks() - slots.period.ticks();
        let end = range.end().ticks() + 2 * slots.period.ticks();
        let mut touched = Vec::new();
        for file in &listing.files {
            let is_touched = match file.range {
                Some((from, until)) => {
                    let jitter = (MOST_JITTER * slots.period.ticks() as f64) as i64;
                    let begin = range.begin().ticks() + slots.phase_ticks - jitter - margin;
                    let end = range.end().ticks() + slots.phase_ticks + jitter + margin;
                    from < end && begin < until
                }
                None => {
                    let lies = self.lies(file)?;
                    let ends =
                        lies.iter().filter(|(known, _)| known == resource).filter_map(|(_, lie)| lie.ends);
                    ends.into_iter().any(|(first, last)| first < end && begin <= last)
                }
            };
            if is_touched {
                touched.push(file);
            }
        }
        Ok(touched)
    }

    fn known(
        &self,
        catalog: &Catalog,
        resource: &ResourceId,
        period: SamplePeriod,
    ) -> Result<(SourceSeries, Slots, String), SourceError> {
        match catalog.get(resource) {
            Some(Known::Series { series, slots, path }) if series.period == period => {
                Ok((series.clone(), slots.clone(), path.clone()))
            }
            Some(Known::Refused(problem)) => Err(self.wrong(problem.clone())),
            _ => {
                let all = catalog.values().filter_map(|known| match known {
                    Known::Series { series, .. } => Some(series),
                    Known::Refused(_) => None,
                });
                Err(self.wrong(SourceProblem::no_series(resource, period, all)))
            }
        }
    }

    /// Puts the values of a file into their slots.
    fn place(&self, file: &File, parsed: &Parsed, run: &mut Run<'_>) -> Result<(), SourceError> {
        let mut columns = Vec::new();
        for (at, column) in parsed.columns.iter().enumerate() {
            let resource = resource_of(column, &file.path).map_err(|problem| self.wrong(problem))?;
            if resource == run.series.resource {
                columns.push(at);
            }
        }
        let at = match columns.as_slice() {
            [] => return Ok(()),
            [at] => *at,
            [first, second, ..] => {
                return Err(self.wrong(SourceProblem::SameName {
                    path: file.path.clone(),
                    first: parsed.columns[*first].title.clone(),
                    second: parsed.columns[*second].title.clone(),
                    resource: run.series.resource.clone(),
                }));
            }
        };
        let lie = &parsed.lie[at];
        catalog::check(&run.series.resource, &file.path, lie, run.path, run.slots)
            .map_err(|problem| self.wrong(problem))?;
        let margin = self.config.margin.map_or(0, SamplePeriod::ticks);
        let named = file.range.map(|(begin, end)| (begin - margin, end + margin));
        let (begin, end) = run.row_range();
        for part in &parsed.parts {
            let is_inside = named.is_none_or(|(begin, end)| begin <= part.first && part.last < end);
            if is_inside && (part.last < begin || end <= part.first) {
                continue;
            }
            match &part.batch.rows {
                Rows::Wide(values) => {
                    let Some(values) = values.get(at) else { continue };
                    for row in 0..part.batch.len() {
                        self.place_row(file, parsed, &part.batch, row, values, named, run)?;
                    }
                }
                Rows::Long { series, values } => {
                    for row in (0..part.batch.len()).filter(|&row| series[row] as usize == at) {
                        self.place_row(file, parsed, &part.batch, row, values, named, run)?;
                    }
                }
            }
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "where a row is and where it goes, for one call in a loop")]
    fn place_row(
        &self,
        file: &File,
        parsed: &Parsed,
        batch: &Batch,
        row: usize,
        values: &ColumnValues,
        named: Option<(i64, i64)>,
        run: &mut Run<'_>,
    ) -> Result<(), SourceError> {
        let start = batch.starts[row];
        let slot = run.slots.start_of(start);
        let (path, place, line) = (|| file.path.clone(), parsed.place, batch.lines[row]);
        let tick = |ticks: i64| Tick::new(ticks).unwrap_or(Tick::MAX);
        if let Some((begin, end)) = named
            && ![start, slot].iter().any(|at| begin <= *at && *at < end)
        {
            let (begin, end) = file.range.unwrap_or((begin, end));
            let range = TimeRange::new(tick(begin), tick(end)).unwrap_or(run.range);
            return Err(self.wrong(SourceProblem::Outside {
                path: path(),
                place,
                line,
                start: tick(start),
                range,
            }));
        }
        let at = slot - run.slots.phase_ticks - run.range.begin().ticks();
        let Some(at) = usize::try_from(at / run.slots.period.ticks()).ok().filter(|_| at >= 0) else {
            return Ok(());
        };
        if at >= run.filled.len() {
            return Ok(());
        }
        let resource = || run.series.resource.clone();
        if (start - slot).abs() as f64 > MOST_JITTER * run.slots.period.ticks() as f64 {
            let (start, period) = (tick(start), run.slots.period);
            return Err(self.wrong(SourceProblem::Beside {
                path: path(),
                place,
                line,
                resource: resource(),
                start,
                period,
            }));
        }
        let value = match values {
            ColumnValues::Ints { values, validity } => {
                let valid = validity.as_ref().is_none_or(|words| words[row / 64] >> (row % 64) & 1 == 1);
                valid.then_some(Value::Int(values[row]))
            }
            ColumnValues::Floats(values) => {
                Some(values[row]).filter(|value| !value.is_nan()).map(Value::Float)
            }
        };
        let Some(value) = value else { return Ok(()) };
        if let Some(other) = run.filled[at] {
            let (start, other_path) = (tick(slot), run.paths[other as usize].clone());
            return Err(self.wrong(SourceProblem::Twice {
                path: path(),
                place,
                line,
                resource: resource(),
                start,
                other_path,
            }));
        }
        let data_type = run.series.data_type;
        let wrong_type = |value: String, other| {
            self.wrong(SourceProblem::Type {
                path: path(),
                place,
                line,
                resource: resource(),
                value,
                data_type,
                other,
            })
        };
        match (&mut run.values, value) {
            (Values::I64(all), Value::Int(value)) => all[at] = value,
            (Values::I64(all), Value::Float(value)) => {
                if value.fract() != 0.0 || value.abs() > EXACT as f64 {
                    return Err(wrong_type(value.to_string(), DataType::Float64));
                }
                all[at] = value as i64;
            }
            (Values::F64(all), Value::Int(value)) => {
                if !(-EXACT..=EXACT).contains(&value) {
                    return Err(wrong_type(value.to_string(), DataType::Int64));
                }
                all[at] = value as f64;
            }
            (Values::F64(all), Value::Float(value)) => all[at] = value,
            _ => return Ok(()),
        }
        run.filled[at] = Some(run.paths.len() as u32 - 1);
        Ok(())
    }
}

/// A value of a row.
#[derive(Clone, Copy)]
enum Value {
    Int(i64),
    Float(f64),
}

/// The samples that are being put together.
struct Run<'a> {
    series: &'a SourceSeries,
    slots: &'a Slots,
    /// The file that the period was found in.
    path: &'a str,
    range: TimeRange,
    values: Values,
    /// For each slot which of the paths its value is from.
    filled: Vec<Option<u32>>,
    /// Files that were read so far.
    paths: Vec<String>,
}

impl Run<'_> {
    /// From when to before when rows start whose slots may be in the range.
    fn row_range(&self) -> (i64, i64) {
        let period = self.slots.period.ticks();
        (self.range.begin().ticks() - period, self.range.end().ticks() + 2 * period)
    }
}

impl DataSource for FolderSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn refresh(&self) -> Result<(), SourceError> {
        let wrong = |problem| self.wrong(problem);
        if !self.root.is_dir() {
            let error = format!("{} is no folder", self.root.display());
            return Err(wrong(SourceProblem::NoFolder { error }));
        }
        let mut zone = Zone::new(self.config.table.csv.time_zone.as_deref())?;
        let mut files = Vec::new();
        for found in self.template.files(&self.root).map_err(wrong)? {
            let range = self.template.range(&found, &mut zone).map_err(wrong)?;
            let Found { path, .. } = found;
            // A file that was removed since is not there.
            let Ok(key) = FileKey::of(&self.root.join(&path)) else { continue };
            files.push(File { path, key, range });
        }
        files.sort_by(|a, b| (a.range, &a.path).cmp(&(b.range, &b.path)));
        let is_same = |listing: &Listing| {
            let key = |file: &File| (file.path.clone(), file.key);
            listing.files.iter().map(key).eq(files.iter().map(key))
        };
        if is_same(&self.listing()) {
            return Ok(());
        }
        lock(&self.lies)
            .retain(|path, (key, _)| files.iter().any(|file| file.path == *path && file.key == *key));
        *lock(&self.listing) = Arc::new(Listing { files, catalog: Mutex::default() });
        Ok(())
    }

    fn series(&self) -> Result<Vec<SourceSeries>, SourceError> {
        let catalog = self.catalog(&self.listing())?;
        let series = catalog.values().filter_map(|known| match known {
            Known::Series { series, .. } => Some(series.clone()),
            Known::Refused(_) => None,
        });
        Ok(series.collect())
    }

    fn read(
        &self,
        resource: &ResourceId,
        period: SamplePeriod,
        range: TimeRange,
    ) -> Result<Samples, SourceError> {
        let listing = self.listing();
        let (series, slots, path) = self.known(&*self.catalog(&listing)?, resource, period)?;
        let len = slots_of(resource, period, range).map_err(|problem| self.wrong(problem))?;
        let values = match series.data_type {
            DataType::Int64 => Values::I64(vec![0; len]),
            _ => Values::F64(vec![f64::NAN; len]),
        };
        let mut run = Run {
            series: &series,
            slots: &slots,
            path: &path,
            range,
            values,
            filled: vec![None; len],
            paths: Vec::new(),
        };
        for file in self.touched(&listing, resource, &slots, range)? {
            let parsed = self.load(file, Some(run.row_range()))?;
            run.paths.push(file.path.clone());
            self.place(file, &parsed, &mut run)?;
        }
        let has_missing = run.filled.iter().any(Option::is_none);
        let is_int = matches!(run.values, Values::I64(_));
        let mut words = vec![0_u64; len.div_ceil(64)];
        for (at, _) in run.filled.iter().enumerate().filter(|(_, filled)| filled.is_some()) {
            words[at / 64] |= 1 << (at % 64);
        }
        let samples = Samples::new(range.begin(), period, run.values);
        let samples = if is_int && has_missing {
            samples.and_then(|samples| samples.with_validity(words))
        } else {
            samples
        };
        samples.map_err(|error| {
            self.wrong(SourceProblem::Setting { setting: "period", problem: error.to_string() })
        })
    }

    fn revision(
        &self,
        resource: &ResourceId,
        period: SamplePeriod,
        range: TimeRange,
    ) -> Result<Revision, SourceError> {
        let listing = self.listing();
        let (series, slots, _) = self.known(&*self.catalog(&listing)?, resource, period)?;
        let mut hash = Xxh3::new();
        // What rows mean depends on the settings, and on what was found out of the first files.
        hash.update(format!("{:?} {:?}", self.config, series.data_type).as_bytes());
        for number in [slots.period.ticks(), slots.phase_ticks] {
            hash.update(&number.to_le_bytes());
        }
        for file in self.touched(&listing, resource, &slots, range)? {
            hash.update(&(file.path.len() as u64).to_le_bytes());
            hash.update(file.path.as_bytes());
            hash.update(&file.key.bytes.to_le_bytes());
            hash.update(&file.key.modified_ns.to_le_bytes());
        }
        Ok(Revision(hash.digest()))
    }

    /// The share of the time that there are files for, if their names say so. Files without rows count as if they had some.
    fn availability(&self, range: TimeRange) -> Result<Option<f64>, SourceError> {
        if !self.template.has_dates() || range.ticks() == 0 {
            return Ok(None);
        }
        let (begin, end) = (range.begin().ticks(), range.end().ticks());
        let (mut until, mut there) = (begin, 0);
        // In the order of their begins, which several files may share.
        for (from, to) in self.listing().files.iter().filter_map(|file| file.range) {
            let (from, to) = (from.max(until), to.min(end));
            there += (to - from).max(0);
            until = until.max(to);
        }
        Ok(Some(there as f64 / range.ticks() as f64))
    }
}
