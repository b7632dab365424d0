//! Files of a folder, read as a whole and kept for a while.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use sheaf_model::SamplePeriod;

use crate::error::SourceError;
use crate::input::Input;
use crate::open::{TableOptions, open_table};
use crate::spacing::{Spacing, spacing};
use crate::table::{Batch, Column, Place, Rows};

/// What tells one state of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct FileKey {
    pub(super) bytes: u64,
    /// When it was written, in nanoseconds since 1970.
    pub(super) modified_ns: i128,
}

impl FileKey {
    pub(super) fn of(path: &Path) -> io::Result<FileKey> {
        let metadata = fs::metadata(path)?;
        let modified = metadata.modified()?;
        let modified_ns = match modified.duration_since(UNIX_EPOCH) {
            Ok(after) => after.as_nanos() as i128,
            Err(before) => -(before.duration().as_nanos() as i128),
        };
        Ok(FileKey { bytes: metadata.len(), modified_ns })
    }
}

/// What is in a file.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) columns: Vec<Column>,
    /// For each column how its rows lie.
    pub(super) lie: Vec<Lie>,
    pub(super) parts: Vec<Part>,
    pub(super) place: Place,
    /// Whether all rows are here. Otherwise only some are, because the file is too large to be kept.
    pub(super) is_whole: bool,
    bytes: usize,
}

/// How the rows of a column lie.
#[derive(Clone, Debug, Default)]
pub(super) struct Lie {
    pub(super) rows: u64,
    /// Starts of the first and the last one, in ticks.
    pub(super) ends: Option<(i64, i64)>,
    /// `None` if too few rows are here to tell.
    pub(super) spacing: Option<Spacing>,
    /// Starts where those are too few: rows of neighbouring files may help.
    pub(super) few: Vec<i64>,
}

/// Rows, and between which starts they lie, both included.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) first: i64,
    pub(super) last: i64,
    pub(super) batch: Batch,
}

/// So few rows say nothing of their period for sure.
pub(super) const FEW: usize = 3;

impl Parsed {
    /// Reads a file. If it takes more than `most_bytes`, only rows that start in `keep` stay, or the first ones if there is
    /// no such range.
    pub(super) fn read(
        path: &Path,
        options: &TableOptions,
        period: Option<SamplePeriod>,
        keep: Option<(i64, i64)>,
        most_bytes: usize,
    ) -> Result<Parsed, SourceError> {
        let mut table = open_table(Input::file(path), options)?;
        let (mut parts, mut bytes, mut is_whole): (Vec<Part>, usize, bool) = (Vec::new(), 0, true);
        let mut lie: Vec<Lie> = Vec::new();
        while let Some(batch) = table.next_batch()? {
            let starts = batch.starts.iter();
            let (Some(&first), Some(&last)) = (starts.clone().min(), starts.max()) else { continue };
            note(&mut lie, &batch, table.columns().len());
            let part = Part { first, last, batch };
            bytes += part.bytes();
            if bytes > most_bytes {
                if is_whole && let Some((begin, end)) = keep {
                    parts.retain(|part| begin <= part.last && part.first < end);
                    bytes = parts.iter().map(Part::bytes).sum::<usize>() + part.bytes();
                }
                is_whole = false;
                match keep {
                    Some((begin, end)) if part.last < begin || end <= part.first => continue,
                    None => continue,
                    Some(_) => {}
                }
            }
            parts.push(part);
        }
        lie.resize_with(table.columns().len(), Lie::default);
        let columns = table.columns().to_vec();
        let mut parsed = Parsed { columns, lie, parts, place: table.place(), is_whole, bytes };
        parsed.find_periods(period);
        Ok(parsed)
    }

    fn find_periods(&mut self, period: Option<SamplePeriod>) {
        let is_wide = self.parts.first().is_some_and(|part| matches!(part.batch.rows, Rows::Wide(_)));
        let mut starts: Vec<Vec<i64>> = vec![Vec::new(); if is_wide { 1 } else { self.columns.len() }];
        for Part { batch, .. } in &self.parts {
            match &batch.rows {
                Rows::Wide(_) => starts[0].extend(&batch.starts),
                Rows::Long { series, .. } => {
                    for (&series, &start) in series.iter().zip(&batch.starts) {
                        starts[series as usize].push(start);
                    }
                }
            }
        }
        let found: Vec<(Option<Spacing>, Vec<i64>)> = starts
            .into_iter()
            .map(|mut starts| {
                starts.sort_unstable();
                if starts.len() < FEW { (None, starts) } else { (spacing(&starts, period), Vec::new()) }
            })
            .collect();
        for (column, lie) in self.lie.iter_mut().enumerate() {
            if let Some((spacing, few)) = found.get(if is_wide { 0 } else { column }) {
                (lie.spacing, lie.few) = (spacing.clone(), few.clone());
            }
        }
    }
}

/// Takes up how many rows there are, and the first one and the last one.
fn note(lie: &mut Vec<Lie>, batch: &Batch, columns: usize) {
    lie.resize_with(columns.max(lie.len()), Lie::default);
    let mut add = |column: usize, rows: u64, first: i64, last: i64| {
        let Some(lie) = lie.get_mut(column) else { return };
        lie.rows += rows;
        let (known_first, known_last) = lie.ends.unwrap_or((first, last));
        lie.ends = Some((known_first.min(first), known_last.max(last)));
    };
    match &batch.rows {
        Rows::Wide(values) => {
            let first = batch.starts.iter().copied().min().unwrap_or_default();
            let last = batch.starts.iter().copied().max().unwrap_or_default();
            (0..values.len()).for_each(|column| add(column, batch.len() as u64, first, last));
        }
        Rows::Long { series, .. } => {
            for (&series, &start) in series.iter().zip(&batch.starts) {
                add(series as usize, 1, start, start);
            }
        }
    }
}

impl Part {
    fn bytes(&self) -> usize {
        let rows = self.batch.len();
        let values = match &self.batch.rows {
            Rows::Wide(columns) => 8 * columns.len(),
            Rows::Long { .. } => 12,
        };
        rows * (16 + values)
    }
}

/// The files that were read last, as many as fit.
#[derive(Debug)]
pub(super) struct Cache {
    most_bytes: usize,
    bytes: usize,
    /// Those that were used last are at the end. There are few, so that looking through all is as fast as anything.
    entries: Vec<(String, FileKey, Arc<Parsed>)>,
}

impl Cache {
    pub(super) const fn new(most_bytes: usize) -> Cache {
        Cache { most_bytes, bytes: 0, entries: Vec::new() }
    }

    pub(super) fn get(&mut self, path: &str, key: FileKey) -> Option<Arc<Parsed>> {
        let at = self.entries.iter().position(|(known, known_key, _)| known == path && *known_key == key)?;
        let entry = self.entries.remove(at);
        let parsed = Arc::clone(&entry.2);
        self.entries.push(entry);
        Some(parsed)
    }

    pub(super) fn put(&mut self, path: &str, key: FileKey, parsed: &Arc<Parsed>) {
        if !parsed.is_whole || parsed.bytes > self.most_bytes {
            return;
        }
        // What was there before is of no use any more.
        self.entries.retain(|(known, ..)| known != path);
        self.entries.push((path.to_owned(), key, Arc::clone(parsed)));
        self.bytes = self.entries.iter().map(|(.., parsed)| parsed.bytes).sum();
        while self.bytes > self.most_bytes {
            let (.., oldest) = self.entries.remove(0);
            self.bytes -= oldest.bytes;
        }
    }
}
