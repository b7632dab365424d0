//! A series takes the place of another one: the same key and rows, another type. As what a series is never changes, it is a
//! new one with a new id, and the old one goes in the transaction that publishes it.

use std::sync::Arc;

use sheaf_model::{DataType, Tick, Values};

use crate::announce::{Announced, discard};
use crate::error::StoreError;
use crate::publish::{Publication, file_name};
use crate::rows::Rows;
use crate::runs::Splitter;
use crate::scan::Scan;
use crate::series::{Layout, SeriesId, SeriesSpec};
use crate::sink::{FileSink, Written};
use crate::store::{Inner, Store, blocking};
use crate::stream::StreamedWrite;
use crate::view;
use crate::write::check;

/// A series that a write replaces, with a copy of its rows.
pub(crate) struct Replacement {
    old: SeriesId,
    /// The state of the old one that was copied.
    version: i64,
    pub(crate) new: SeriesId,
    pub(crate) spec: Arc<SeriesSpec>,
    pub(crate) written: Written,
}

/// What a replacement does to the manifest.
#[derive(Clone, Debug)]
pub(crate) struct Replaced {
    pub(crate) old: SeriesId,
    /// The state that the old one must still be in.
    pub(crate) version: i64,
    pub(crate) new: SeriesId,
    pub(crate) spec: Arc<SeriesSpec>,
}

impl Replacement {
    pub(crate) fn change(&self) -> Replaced {
        let (old, version, new, spec) = (self.old, self.version, self.new, self.spec.clone());
        Replaced { old, version, new, spec }
    }
}

/// Compaction may replace the segments of a snapshot while it is copied, but not for ever.
const MOST_ATTEMPTS: usize = 5;

/// The integers from -2⁵³ to 2⁵³ are those that doubles hold without gaps.
const MOST_EXACT: u64 = 1 << 53;

impl StreamedWrite {
    /// Replaces a series by one of the same key and another type or layout, with all its rows, when this write is committed.
    /// Returns the id of the new one, for rows that are appended from now on. If others write to the old one meanwhile,
    /// their rows are copied, too.
    ///
    /// INT64 can become FLOAT64; a series without rows can become anything.
    ///
    /// # Errors
    /// A value is not exact in the new type, rows don't fit the new layout, or what [`Store::scan`] says.
    pub async fn replace(&mut self, series: SeriesId, with: SeriesSpec) -> Result<SeriesId, StoreError> {
        with.check()?;
        let mut publication = Publication::begin(&self.inner).await?;
        let new = publication.reserve_series();
        publication.finish(&self.inner).await?;
        let spec = Arc::new(with);
        let (version, written) = copy(&self.inner, &self.announced, series, new, &spec).await?;
        self.replacements.push(Replacement { old: series, version, new, spec, written });
        Ok(new)
    }

    /// Copies those series again that have changed, and removes the copies before.
    pub(crate) async fn copy_again(&mut self) -> Result<(), StoreError> {
        let old: Vec<SeriesId> = self.replacements.iter().map(|replacement| replacement.old).collect();
        let snapshot = Store(self.inner.clone()).snapshot(&old).await?;
        for replacement in &mut self.replacements {
            if snapshot.view(replacement.old)?.version != replacement.version {
                let Replacement { old, new, spec, .. } = &*replacement;
                let (version, written) = copy(&self.inner, &self.announced, *old, *new, spec).await?;
                let before = std::mem::replace(&mut replacement.written, written);
                replacement.version = version;
                discard(&self.inner, before.files.iter().map(|file| file_name(file.nonce)).collect()).await;
            }
        }
        Ok(())
    }
}

impl Store {
    /// Removes those of these series that have never had rows, or of which nothing is left: of a write that created them
    /// and then failed.
    ///
    /// # Errors
    /// The manifest fails.
    pub async fn remove_empty(&self, series: &[SeriesId]) -> Result<(), StoreError> {
        if series.is_empty() {
            return Ok(());
        }
        let mut publication = Publication::begin(&self.0).await?;
        let ids: Vec<i64> = series.iter().map(|id| id.0).collect();
        publication.load_series(&ids).await?;
        let mut removed = 0;
        for &id in series {
            if publication.series(id).is_some_and(|row| row.piece_count == 0) {
                publication.remove_series(id).await?;
                removed += 1;
            }
        }
        if removed > 0 {
            publication.finish(&self.0).await?;
        }
        Ok(())
    }
}

/// Copies the rows of a series as they are now; returns the version of the series that was copied.
async fn copy(
    inner: &Arc<Inner>,
    announced: &Arc<Announced>,
    old: SeriesId,
    new: SeriesId,
    spec: &Arc<SeriesSpec>,
) -> Result<(i64, Written), StoreError> {
    let store = Store(inner.clone());
    let mut attempt = 1;
    loop {
        let snapshot = store.snapshot(&[old]).await?;
        let view = snapshot.view(old)?;
        if view.spec.key != spec.key {
            let problem = format!("it can't take the place of `{}`: the keys differ", view.spec.key);
            return Err(StoreError::InvalidSeries { key: spec.key.clone(), problem });
        }
        let version = view.version;
        let copied = match snapshot.scan(old, None).await {
            Ok(scan) => {
                let (announced, spec) = (announced.clone(), spec.clone());
                blocking(move || write_copy(&announced, scan, new, &spec)).await
            }
            Err(error) => Err(error),
        };
        match copied {
            Err(StoreError::Vanished { .. }) if attempt < MOST_ATTEMPTS => attempt += 1,
            copied => return Ok((version, copied?)),
        }
    }
}

fn write_copy(
    announced: &Arc<Announced>,
    scan: Scan,
    series: SeriesId,
    spec: &SeriesSpec,
) -> Result<Written, StoreError> {
    let irregular = spec.layout == Layout::Irregular;
    let mut sink = FileSink::new(announced.clone(), spec.data_type, irregular, false);
    sink.set_series(series, spec.layout);
    let mut splitter = Splitter::new(spec);
    for rows in scan {
        let rows = converted(rows?, spec)?;
        let rows = check(spec, rows)
            .map_err(|problem| StoreError::InvalidRows { key: spec.key.clone(), problem })?;
        splitter.push(&rows, &mut sink)?;
    }
    splitter.finish(&mut sink)?;
    sink.finish()
}

/// The rows with values of the type of a series, all of them exact.
fn converted(rows: Rows, spec: &SeriesSpec) -> Result<Rows, StoreError> {
    let found = rows.values.data_type();
    if found == spec.data_type {
        return Ok(rows);
    }
    let (Values::I64(values), DataType::Float64) = (&rows.values, spec.data_type) else {
        let problem = format!("{found} can't become {}; only INT64 can become FLOAT64", spec.data_type);
        return Err(StoreError::InvalidSeries { key: spec.key.clone(), problem });
    };
    let mut floats = Vec::with_capacity(values.len());
    for (row, &value) in values.iter().enumerate() {
        if !rows.is_valid(row) {
            floats.push(f64::NAN);
        } else if value.unsigned_abs() <= MOST_EXACT {
            floats.push(value as f64);
        } else {
            let start = Tick::new(rows.start_ticks(row)).unwrap_or(Tick::MIN);
            return Err(StoreError::Inexact { key: spec.key.clone(), wanted: spec.data_type, start, value });
        }
    }
    Ok(Rows { values: Values::F64(floats), validity: None, ..rows })
}

/// Puts the new series in place of the old one, which must be loaded.
pub(crate) async fn publish(
    inner: &Inner,
    publication: &mut Publication,
    replaced: &Replaced,
) -> Result<(), StoreError> {
    let Some(row) = publication.series(replaced.old).cloned() else {
        return Err(StoreError::UnknownSeries(replaced.old));
    };
    let stored = crate::manifest::Stored::seal(row);
    let pieces = publication.tx().pieces(&[replaced.old.0]).await?;
    let view = view::verified(inner, &stored, pieces)?;
    let mut segments: Vec<i64> =
        view.pieces.iter().filter(|piece| piece.is_in_segment()).map(|piece| piece.segment).collect();
    segments.sort_unstable();
    segments.dedup();
    publication.load_states(&segments).await?;
    view.pieces.iter().for_each(|piece| publication.remove(piece));
    publication.remove_series(replaced.old).await?;
    publication.add_series(replaced.new, &replaced.spec);
    Ok(())
}
