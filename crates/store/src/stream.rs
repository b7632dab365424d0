//! Writes of any size: rows become files as they come, and all of them one commit in the end.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use sheaf_model::{DataType, TimeRange};
use xxhash_rust::xxh3::Xxh3;

use crate::announce::Announced;
use crate::error::StoreError;
use crate::group::Item;
use crate::manifest::PieceKind;
use crate::publish::{Draft, Place};
use crate::replace::Replacement;
use crate::rows::{Rows, Starts};
use crate::runs::{Splitter, compact, count_missing};
use crate::series::{Layout, SeriesId, SeriesSpec};
use crate::sink::{FileSink, Written, finish_all};
use crate::store::{Inner, Store, blocking};
use crate::tail;
use crate::write::{Receipt, Unchanged, check, check_key, feed_deletion, feed_rows};

/// A write that takes its rows piece by piece, in memory bounded by the largest of them.
///
/// Rows that were appended go into segments at once, which nobody sees until [`commit`](StreamedWrite::commit) publishes
/// all of them as one commit. Of two rows with the same start, the one that was appended later counts, as in a
/// [`Write`](crate::Write). Dropped without a commit, nothing has happened, and the files are removed as far as that
/// succeeds; [`abandon`](StreamedWrite::abandon) waits for that. Collection finds what a killed process leaves.
///
/// A write may take as long as it likes: its files are announced again and again until it ends.
#[must_use = "nothing is written without a commit"]
pub struct StreamedWrite {
    pub(crate) inner: Arc<Inner>,
    /// Idempotency key, and the checksum of the contents so far.
    key: Option<(String, Xxh3)>,
    deletions: Vec<(SeriesId, TimeRange)>,
    /// Rows that are too few for a file so far.
    waiting: Checked,
    waiting_bytes: usize,
    written: Written,
    pub(crate) replacements: Vec<Replacement>,
    pub(crate) announced: Arc<Announced>,
    /// What must be so still when it is committed.
    pub(crate) unchanged: Option<Unchanged>,
    /// Rows were lost, so that it can't be committed any more.
    is_incomplete: bool,
}

/// Rows that fit their series, in the order in which they came.
type Checked = BTreeMap<SeriesId, (Arc<SeriesSpec>, Vec<Rows>)>;

/// How often a commit is tried when others change a series that is being replaced.
const MOST_ATTEMPTS: usize = 10;

impl Store {
    /// Begins a write of any size. Must be called within a Tokio runtime.
    pub fn begin_write(&self) -> StreamedWrite {
        StreamedWrite::new(self, None)
    }
}

impl StreamedWrite {
    pub(crate) fn new(store: &Store, key: Option<String>) -> StreamedWrite {
        StreamedWrite {
            inner: store.0.clone(),
            key: key.map(|key| (key, Xxh3::new())),
            deletions: Vec::new(),
            waiting: Checked::new(),
            waiting_bytes: 0,
            written: Written::default(),
            replacements: Vec::new(),
            announced: Announced::new(store.0.clone()),
            unchanged: None,
            is_incomplete: false,
        }
    }

    /// Deletes all rows of a series that start in a range. Rows of this write stay, whatever the order.
    pub fn delete(&mut self, series: SeriesId, range: TimeRange) {
        if let Some((_, sum)) = &mut self.key {
            feed_deletion(sum, series, range);
        }
        self.deletions.push((series, range));
    }

    /// Adds rows of any number of series. When this returns they are in files, unless they are few.
    ///
    /// # Errors
    /// The rows don't fit their series: then none of them is added. The disk or the database fails: then rows are lost,
    /// and the write can't be committed any more.
    pub async fn append(&mut self, parts: Vec<(SeriesId, Rows)>) -> Result<(), StoreError> {
        if self.is_incomplete {
            return Err(StoreError::Incomplete);
        }
        let specs = self.specs(&parts.iter().map(|(id, _)| *id).collect::<Vec<_>>()).await?;
        let mut added: Vec<(SeriesId, Arc<SeriesSpec>, Rows)> = Vec::with_capacity(parts.len());
        for (id, rows) in parts {
            let spec = specs.get(&id).ok_or(StoreError::UnknownSeries(id))?;
            let rows = check(spec, rows)
                .map_err(|problem| StoreError::InvalidRows { key: spec.key.clone(), problem })?;
            if !rows.is_empty() {
                added.push((id, spec.clone(), rows));
            }
        }
        // What a series has must follow on each other for the checksum, too.
        added.sort_by_key(|(id, ..)| *id);
        for (id, spec, rows) in added {
            if let Some((_, sum)) = &mut self.key {
                feed_rows(sum, id, &rows);
            }
            self.waiting_bytes += tail::bytes(&rows.values, matches!(rows.starts, Starts::Listed(_)));
            self.waiting.entry(id).or_insert_with(|| (spec, Vec::new())).1.push(rows);
        }
        if self.waiting_bytes >= self.inner.settings.tail_write_bytes {
            self.write_waiting().await?;
        }
        Ok(())
    }

    /// Publishes all that was appended. When this returns, the write is durable and every later snapshot sees it, all of it.
    /// If the future is dropped, the write may happen or not.
    ///
    /// # Errors
    /// As [`Store::write`]; and rows were lost before.
    pub async fn commit(mut self) -> Result<Receipt, StoreError> {
        let key = self.key.take().map(|(key, sum)| (key, sum.digest() as i64));
        self.commit_as(key).await
    }

    /// As [`commit`](StreamedWrite::commit), with an idempotency key and a checksum of what the rows were made from: the same
    /// contents with the same key are written once, however they were cut into pieces.
    ///
    /// # Errors
    /// As [`commit`](StreamedWrite::commit); and the key belongs to other contents, or is none.
    pub async fn commit_with_key(self, key: impl Into<String>, contents: u64) -> Result<Receipt, StoreError> {
        let key = key.into();
        check_key(&key)?;
        self.commit_as(Some((key, contents as i64))).await
    }

    async fn commit_as(mut self, key: Option<(String, i64)>) -> Result<Receipt, StoreError> {
        if self.is_incomplete {
            return Err(StoreError::Incomplete);
        }
        self.written.drafts.extend(tail_drafts(&self.waiting));
        // Until it is published, or known not to be.
        self.announced.keep();
        let mut attempt = 1;
        let result = loop {
            let mut written = Written::default();
            self.replacements.iter().for_each(|replacement| written.add(replacement.written.clone()));
            let is_last = self.replacements.is_empty() || attempt == MOST_ATTEMPTS;
            written.add(if is_last { std::mem::take(&mut self.written) } else { self.written.clone() });
            let replaced = self.replacements.iter().map(Replacement::change).collect();
            let (deletions, unchanged) = (self.deletions.clone(), self.unchanged.clone());
            let item = Item { key: key.clone(), deletions, replaced, written, unchanged };
            if item.is_empty() {
                let head = Store(self.inner.clone()).head().await;
                break head.map(|(commit, _)| Receipt { commit, repeated: false });
            }
            match self.inner.group.publish(&self.inner, item).await {
                Err(error) if matches!(error.root(), StoreError::Conflict) && !is_last => {
                    // Others changed what was copied.
                    if let Err(error) = self.copy_again().await {
                        break Err(error);
                    }
                }
                result => break result,
            }
            attempt += 1;
        };
        let is_published = match &result {
            Ok(receipt) => !receipt.repeated,
            Err(error) => error.may_be_written(),
        };
        if !is_published {
            self.announced.discard().await;
        }
        result
    }

    /// Gives the write up, and waits until its files are removed, as far as that succeeds.
    pub async fn abandon(self) {
        self.announced.discard().await;
    }

    /// What series are, those included that this write replaces others with.
    async fn specs(&self, ids: &[SeriesId]) -> Result<HashMap<SeriesId, Arc<SeriesSpec>>, StoreError> {
        let new = |id: SeriesId| self.replacements.iter().find(|replacement| replacement.new == id);
        let known: Vec<SeriesId> = ids.iter().copied().filter(|&id| new(id).is_none()).collect();
        let mut specs = self.inner.specs(&known).await?;
        let replaced = ids.iter().filter_map(|&id| new(id));
        specs.extend(replaced.map(|replacement| (replacement.new, replacement.spec.clone())));
        Ok(specs)
    }

    async fn write_waiting(&mut self) -> Result<(), StoreError> {
        let parts = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        // Also if the future is dropped meanwhile.
        self.is_incomplete = true;
        let announced = self.announced.clone();
        self.written.add(blocking(move || write_files(&announced, parts)).await?);
        self.is_incomplete = false;
        Ok(())
    }
}

fn tail_drafts(parts: &Checked) -> Vec<Draft> {
    let mut drafts = Vec::new();
    for (&series, (spec, parts)) in parts {
        for rows in parts {
            let rows = compact(rows, spec.layout);
            let Some(last) = rows.len().checked_sub(1) else { continue };
            drafts.push(Draft {
                series,
                kind: PieceKind::Tail,
                begin_ticks: rows.start_ticks(0),
                end_ticks: rows.start_ticks(last) + spec.row_ticks(),
                place: Place::Blob(tail::encode(&rows)),
                rows: rows.len() as u64,
                missing: count_missing(&rows) as u64,
            });
        }
    }
    drafts
}

fn write_files(announced: &Arc<Announced>, parts: Checked) -> Result<Written, StoreError> {
    let mut sinks: BTreeMap<(DataType, bool), FileSink> = BTreeMap::new();
    for (series, (spec, parts)) in parts {
        let irregular = spec.layout == Layout::Irregular;
        let new_sink = || FileSink::new(announced.clone(), spec.data_type, irregular, false);
        let sink = sinks.entry((spec.data_type, irregular)).or_insert_with(new_sink);
        sink.set_series(series, spec.layout);
        for rows in parts {
            let mut splitter = Splitter::new(&spec);
            splitter.push(&rows, sink)?;
            splitter.finish(sink)?;
        }
    }
    let mut all = Written::default();
    finish_all(sinks.into_values())?.into_iter().for_each(|written| all.add(written));
    Ok(all)
}
