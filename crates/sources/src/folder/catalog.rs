//! Which series a folder has, from its first files and its last ones.

use std::collections::BTreeMap;
use std::sync::Arc;

use sheaf_model::{DataType, ResourceId, Tick, TimeRange};

use super::file::{FEW, Lie};
use super::{File, FolderSource, Listing, lock};
use crate::error::SourceError;
use crate::source::{SourceProblem, SourceSeries};
use crate::spacing::{MOST_JITTER, Slots, Spacing, spacing};
use crate::table::{Column, Seen};

/// Files that are looked at from each end, at most: more than one where a file has too few rows to say anything.
const MOST_FILES: usize = 8;

/// A file with fewer rows than this may have gaps that make its period look longer than it is.
const SURE: u64 = 10;

/// What is known of the resources of a folder.
pub(super) type Catalog = BTreeMap<ResourceId, Known>;

#[derive(Debug)]
pub(super) enum Known {
    Series {
        series: SourceSeries,
        slots: Slots,
        /// The file that the period was found in.
        path: String,
    },
    /// It can't be read in place.
    Refused(SourceProblem),
}

/// What was gathered of a resource.
#[derive(Default)]
struct Gathered {
    title: String,
    unit: Option<String>,
    seen: Seen,
    ends: Option<(i64, i64)>,
    /// The first file that has it.
    path: String,
    /// Slots, the file that they were found in, and whether that has many rows.
    slots: Option<(Slots, String, bool)>,
    few: Vec<i64>,
    problem: Option<SourceProblem>,
}

/// The resource of a column of a file.
pub(super) fn resource_of(column: &Column, path: &str) -> Result<ResourceId, SourceProblem> {
    column.resource().map_err(|problem| SourceProblem::Name {
        path: path.to_owned(),
        title: column.title.clone(),
        problem,
    })
}

/// Whether a file has rows where the slots of its series are.
pub(super) fn check(
    resource: &ResourceId,
    path: &str,
    lie: &Lie,
    known_path: &str,
    known: &Slots,
) -> Result<(), SourceProblem> {
    let slots = match &lie.spacing {
        None => return Ok(()),
        Some(Spacing::Regular(slots)) => slots,
        Some(Spacing::Irregular) if lie.rows < SURE => return Ok(()),
        Some(Spacing::Irregular) => {
            return Err(SourceProblem::Irregular { path: path.to_owned(), resource: resource.clone() });
        }
    };
    let (period, found) = (known.period.ticks(), slots.period.ticks());
    let fits = found == period || (lie.rows < SURE && found % period == 0);
    // The phases may be a little apart, and on both sides of a multiple.
    let apart = (slots.phase_ticks - known.phase_ticks).rem_euclid(period);
    if fits && apart.min(period - apart) as f64 <= MOST_JITTER * period as f64 {
        return Ok(());
    }
    Err(SourceProblem::Periods {
        resource: resource.clone(),
        path: known_path.to_owned(),
        period: known.period,
        other_path: path.to_owned(),
        other_period: slots.period,
    })
}

impl FolderSource {
    /// Which series there are in a listing.
    pub(super) fn catalog(&self, listing: &Listing) -> Result<Arc<Catalog>, SourceError> {
        if let Some(catalog) = &*lock(&listing.catalog) {
            return Ok(Arc::clone(catalog));
        }
        // Not under the lock: files are read by the threads that may wait for it.
        let catalog = Arc::new(self.find_series(listing)?);
        *lock(&listing.catalog) = Some(Arc::clone(&catalog));
        Ok(catalog)
    }

    fn find_series(&self, listing: &Listing) -> Result<Catalog, SourceError> {
        if listing.files.is_empty() {
            return Err(self.wrong(SourceProblem::NoFiles));
        }
        let mut all: BTreeMap<ResourceId, Gathered> = BTreeMap::new();
        if self.template.has_dates() {
            let mut first = self.gather(listing.files.iter().take(MOST_FILES), true)?;
            merge(&mut all, &mut first);
            let mut last = self.gather(listing.files.iter().rev().take(MOST_FILES), true)?;
            merge(&mut all, &mut last);
        } else {
            all = self.gather(listing.files.iter(), false)?;
        }
        Ok(all.into_iter().map(|(resource, gathered)| self.know(resource, gathered)).collect())
    }

    /// What files say, one by one; up to the one after which all periods are known, if that is enough.
    fn gather<'a>(
        &self,
        files: impl Iterator<Item = &'a File>,
        until_known: bool,
    ) -> Result<BTreeMap<ResourceId, Gathered>, SourceError> {
        let mut all: BTreeMap<ResourceId, Gathered> = BTreeMap::new();
        for file in files {
            let parsed = self.load(file, None)?;
            let mut titles: BTreeMap<ResourceId, &str> = BTreeMap::new();
            for (column, lie) in parsed.columns.iter().zip(&parsed.lie) {
                if lie.rows == 0 {
                    continue;
                }
                let resource = resource_of(column, &file.path).map_err(|problem| self.wrong(problem))?;
                let before = titles.insert(resource.clone(), &column.title);
                let same_name = before.map(|first| SourceProblem::SameName {
                    path: file.path.clone(),
                    first: first.to_owned(),
                    second: column.title.clone(),
                    resource: resource.clone(),
                });
                let gathered = all.entry(resource.clone()).or_default();
                gathered.problem = gathered.problem.take().or(same_name);
                gathered.add(&resource, column, lie, &file.path);
            }
            drop(parsed);
            if !self.template.has_dates() {
                // What is in memory by then is found there.
                self.lies(file)?;
            }
            if until_known && !all.is_empty() && all.values().all(|gathered| gathered.slots.is_some()) {
                break;
            }
        }
        Ok(all)
    }

    /// What is known in the end.
    fn know(&self, resource: ResourceId, mut gathered: Gathered) -> (ResourceId, Known) {
        if gathered.slots.is_none() && gathered.problem.is_none() {
            gathered.few.sort_unstable();
            gathered.few.dedup();
            match spacing(&gathered.few, self.config.table.csv.period) {
                Some(Spacing::Regular(slots)) => gathered.slots = Some((slots, gathered.path.clone(), false)),
                Some(Spacing::Irregular) => {
                    let (path, resource) = (gathered.path.clone(), resource.clone());
                    gathered.problem = Some(SourceProblem::Irregular { path, resource });
                }
                None => {
                    let (path, resource) = (gathered.path.clone(), resource.clone());
                    gathered.problem = Some(SourceProblem::NoPeriod { path, resource });
                }
            }
        }
        let known = match (gathered.problem, gathered.slots) {
            (None, Some((slots, path, _))) => {
                let is_integer = gathered.seen.integers > 0 && gathered.seen.fractions == 0;
                let found = if is_integer { DataType::Int64 } else { DataType::Float64 };
                let data_type = self.config.data_types.get(&resource).copied().unwrap_or(found);
                let mut series = SourceSeries::new(resource.clone(), slots.period, data_type);
                series.title = gathered.title;
                if let Some(unit) = gathered.unit {
                    series.properties.insert("unit", unit);
                }
                series.phase_ticks = slots.phase_ticks;
                series.range = gathered.ends.and_then(|ends| range_of(&slots, ends));
                Known::Series { series, slots, path }
            }
            (Some(problem), _) => Known::Refused(problem),
            (None, None) => {
                Known::Refused(SourceProblem::NoPeriod { path: gathered.path, resource: resource.clone() })
            }
        };
        (resource, known)
    }
}

impl Gathered {
    fn add(&mut self, resource: &ResourceId, column: &Column, lie: &Lie, path: &str) {
        if self.path.is_empty() {
            path.clone_into(&mut self.path);
            self.title.clone_from(&column.title);
        }
        self.unit = self.unit.take().or_else(|| column.unit.clone());
        self.seen.add(column.seen);
        self.ends = hull(self.ends, lie.ends);
        self.few.extend(&lie.few);
        let found = match &lie.spacing {
            Some(Spacing::Regular(slots)) => Some((slots.clone(), path.to_owned(), lie.rows >= SURE)),
            Some(Spacing::Irregular) if lie.rows >= FEW as u64 => {
                let problem = SourceProblem::Irregular { path: path.to_owned(), resource: resource.clone() };
                self.problem = self.problem.take().or(Some(problem));
                None
            }
            _ => None,
        };
        if let Some(found) = found {
            self.agree(resource, found, lie.rows);
        }
    }

    /// Takes up the slots of another file, if they are the same.
    fn agree(&mut self, resource: &ResourceId, found: (Slots, String, bool), rows: u64) {
        let Some((slots, path, is_sure)) = &self.slots else {
            self.slots = Some(found);
            return;
        };
        // What many rows say counts more than what few do.
        let (slots, path, is_sure) = (slots.clone(), path.clone(), *is_sure);
        let (known, other, rows) = if !is_sure && found.2 {
            self.slots = Some(found.clone());
            (found, (slots, path), SURE - 1)
        } else {
            ((slots, path, is_sure), (found.0, found.1), rows)
        };
        let lie = Lie { rows, ends: None, spacing: Some(Spacing::Regular(other.0)), few: Vec::new() };
        if let Err(problem) = check(resource, &other.1, &lie, &known.1, &known.0) {
            self.problem = self.problem.take().or(Some(problem));
        }
    }
}

/// Puts what was gathered from one end to what was from the other.
fn merge(all: &mut BTreeMap<ResourceId, Gathered>, more: &mut BTreeMap<ResourceId, Gathered>) {
    while let Some((resource, gathered)) = more.pop_first() {
        let Some(known) = all.get_mut(&resource) else {
            all.insert(resource, gathered);
            continue;
        };
        known.unit = known.unit.take().or(gathered.unit);
        known.seen.add(gathered.seen);
        known.ends = hull(known.ends, gathered.ends);
        known.problem = known.problem.take().or(gathered.problem);
        known.few.extend(gathered.few);
        if let Some(found) = gathered.slots {
            let rows = if found.2 { SURE } else { SURE - 1 };
            known.agree(&resource, found, rows);
        }
    }
}

fn hull(one: Option<(i64, i64)>, other: Option<(i64, i64)>) -> Option<(i64, i64)> {
    match (one, other) {
        (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
        (one, other) => one.or(other),
    }
}

/// The slots from the first row to the last one.
fn range_of(slots: &Slots, (first, last): (i64, i64)) -> Option<TimeRange> {
    let slot = |start: i64| Tick::new(slots.start_of(start) - slots.phase_ticks).ok();
    TimeRange::new(slot(first)?, slot(last)?.checked_add(slots.period.ticks())?).ok()
}
