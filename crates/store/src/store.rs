//! The store itself: opening it, and its series.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::disk::Disk;
use crate::error::{SeriesName, StoreError};
use crate::group::Group;
use crate::head_file::{self, Acknowledged, HeadFile};
use crate::listing::Listing;
use crate::manifest::{HeadRow, Manifest, ManifestRead};
use crate::merge_policy::MergePolicy;
use crate::publish::{self, Publication};
use crate::segment::Codec;
use crate::segment_cache::SegmentCache;
use crate::series::{SeriesId, SeriesSpec};
use crate::snapshot::Remembered;
use crate::view::{self, ViewCache};

/// The folder with the segments.
pub(crate) const SEGMENTS: &str = "segments";

/// How a store behaves. Nothing here changes what is read.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How values are encoded.
    pub codec: Codec,
    /// Writes of fewer bytes go into the tail. 64 KiB: a segment has about 1 KiB of footer and costs two syncs.
    pub tail_write_bytes: usize,
    /// From here on the tail is moved to segments. 4 MiB: some ten thousand small writes, read in milliseconds.
    pub tail_most_bytes: u64,
    /// When the tail is moved to segments at the latest, once somebody maintains the store.
    pub tail_most_age: Duration,
    /// A segment with so many rows is full; one run of rows is never split, so it may have more. 2²⁷: a day at 1 kHz and
    /// more, in some hundred megabytes.
    pub segment_most_rows: u64,
    /// Which segments are merged.
    pub merge_policy: MergePolicy,
    /// How long a replaced segment stays, for reads that began before.
    pub grace: Duration,
    /// How long a write may take; the files of one that never ended are removed after that.
    pub writer_lease: Duration,
    /// How long the right to maintain the store lasts without renewal.
    pub maintenance_lease: Duration,
    /// How long an idempotency key is remembered.
    pub key_retention: Duration,
    /// Whether a write that makes the tail too large also moves it to segments, after its acknowledgement.
    pub moves_tail: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            codec: Codec::Alp,
            tail_write_bytes: 64 << 10,
            tail_most_bytes: 4 << 20,
            tail_most_age: Duration::from_secs(600),
            segment_most_rows: 1 << 27,
            merge_policy: MergePolicy::default(),
            grace: Duration::from_secs(600),
            writer_lease: Duration::from_secs(24 * 3600),
            maintenance_lease: Duration::from_secs(60),
            key_retention: Duration::from_secs(7 * 24 * 3600),
            moves_tail: true,
        }
    }
}

/// A store: a folder with segments, and the manifest that says what they mean. Clones are the same store.
///
/// Everything that touches the database is `async` and needs a Tokio runtime. Any number of stores, in any number of
/// processes, may be open on the same folder and database.
#[derive(Clone, Debug)]
pub struct Store(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) manifest: Arc<dyn Manifest>,
    pub(crate) settings: Settings,
    pub(crate) id: i64,
    /// The highest commit seen, and its nonce.
    seen: Mutex<(i64, i64)>,
    pub(crate) views: ViewCache,
    /// What series are; that never changes.
    specs: Mutex<HashMap<SeriesId, Arc<SeriesSpec>>>,
    pub(crate) readers: SegmentCache,
    pub(crate) group: Group,
    /// Whether all series were visited once and none was missing.
    complete: AtomicBool,
    pub(crate) listing: Listing,
    pub(crate) moving_tail: AtomicBool,
    /// Who wants to maintain the store takes turns in this process.
    pub(crate) maintenance: Arc<tokio::sync::Mutex<()>>,
    /// Commits that are known to be part of the history.
    pub(crate) remembered: tokio::sync::Mutex<Remembered>,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner")
            .field("disk", &self.disk)
            .field("manifest", &self.manifest)
            .finish_non_exhaustive()
    }
}

/// The most specs that are kept in memory.
const MOST_SPECS: usize = 1_000_000;

impl Store {
    /// Opens the store in this folder and database, or makes a new one.
    ///
    /// # Errors
    /// The disk or the database fails, they don't belong together, the database has lost acknowledged commits, or it was
    /// written by a newer version.
    pub async fn open(
        disk: Arc<dyn Disk>,
        manifest: Arc<dyn Manifest>,
        settings: Settings,
    ) -> Result<Store, StoreError> {
        // The file before the database, which is then at its commit or ahead of it.
        let mut head_file = read_head_file(&disk).await?;
        let mut read = manifest.read().await?;
        if read.head().await?.is_none() {
            drop(read);
            if let HeadFile::Intact(acknowledged) = head_file
                && acknowledged.commit > 0
            {
                return Err(StoreError::Rewound {
                    database: manifest.describe(),
                    head_file: disk.describe(head_file::NAME),
                    found: 0,
                    acknowledged: acknowledged.commit,
                    forked: false,
                });
            }
            publish::create_head(&*manifest).await?;
            read = manifest.read().await?;
        }
        if matches!(head_file, HeadFile::Missing | HeadFile::Damaged) {
            // Another process may be making the store, or a crash ended it: the file is made before the first commit.
            drop(read);
            head_file = make_head_file(&disk, &manifest).await?;
            read = manifest.read().await?;
        }
        let head = view::intact_head(&mut *read, &manifest.describe()).await?;
        compare(&*disk, &*manifest, &mut *read, &head, head_file).await?;
        drop(read);
        Ok(Store(Arc::new(Inner::new(disk, manifest, settings, &head))))
    }

    /// The series with this key.
    ///
    /// # Errors
    /// The manifest can't be read, or is damaged.
    pub async fn find_series(&self, key: &str) -> Result<Option<SeriesId>, StoreError> {
        Ok(self.find_all(&[key.to_owned()]).await?.pop().flatten())
    }

    /// The series with these keys, one answer for each.
    ///
    /// # Errors
    /// The manifest can't be read, or is damaged.
    pub async fn find_all(&self, keys: &[String]) -> Result<Vec<Option<SeriesId>>, StoreError> {
        let mut read = self.0.manifest.read().await?;
        let head = view::head(&mut *read, &self.0).await?;
        let found = self.0.find(&mut *read, &head, keys).await?;
        Ok(keys.iter().map(|key| found.get(key).copied()).collect())
    }

    /// What a series is.
    ///
    /// # Errors
    /// There is no such series, the manifest can't be read, or is damaged.
    pub async fn spec(&self, series: SeriesId) -> Result<Arc<SeriesSpec>, StoreError> {
        self.0.specs(&[series]).await?.remove(&series).ok_or(StoreError::UnknownSeries(series))
    }

    /// What these series are, one answer for each.
    ///
    /// # Errors
    /// One of them is not there, the manifest can't be read, or is damaged.
    pub async fn specs(&self, series: &[SeriesId]) -> Result<Vec<Arc<SeriesSpec>>, StoreError> {
        let specs = self.0.specs(series).await?;
        series.iter().map(|id| specs.get(id).cloned().ok_or(StoreError::UnknownSeries(*id))).collect()
    }

    /// The ids of these series, which are made if they are not there.
    ///
    /// # Errors
    /// One of them is there with another type or layout, or can't be; then none is made. The manifest fails.
    pub async fn create_series(&self, specs: &[SeriesSpec]) -> Result<Vec<SeriesId>, StoreError> {
        specs.iter().try_for_each(SeriesSpec::check)?;
        let keys: Vec<String> = specs.iter().map(|spec| spec.key.clone()).collect();
        let known = self.find_all(&keys).await?;
        if known.iter().all(Option::is_some) {
            return self.0.check_same(specs, &known.into_iter().flatten().collect::<Vec<_>>()).await;
        }
        let mut publication = Publication::begin(&self.0).await?;
        let rows = publication.tx().series_with_keys(&keys).await?;
        let mut ids: HashMap<String, (SeriesId, SeriesSpec)> = HashMap::new();
        for stored in rows {
            let spec = SeriesSpec::from_row(&stored.row).map_err(|problem| self.0.damaged(problem))?;
            ids.insert(stored.row.key, (SeriesId(stored.row.id), spec));
        }
        let mut result = Vec::with_capacity(specs.len());
        for spec in specs {
            match ids.get(&spec.key) {
                Some((id, found)) => {
                    same(found, spec)?;
                    result.push(*id);
                }
                None => {
                    let id = publication.create_series(spec);
                    ids.insert(spec.key.clone(), (id, spec.clone()));
                    result.push(id);
                }
            }
        }
        publication.finish(&self.0).await?;
        Ok(result)
    }

    /// The number of the last commit, and its nonce.
    ///
    /// # Errors
    /// The manifest can't be read, or is damaged.
    pub async fn head(&self) -> Result<(i64, i64), StoreError> {
        let mut read = self.0.manifest.read().await?;
        let head = view::head(&mut *read, &self.0).await?;
        Ok((head.commit, head.nonce))
    }

    /// A random number that no other store has.
    pub fn id(&self) -> i64 {
        self.0.id
    }
}

impl Inner {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        manifest: Arc<dyn Manifest>,
        settings: Settings,
        head: &HeadRow,
    ) -> Inner {
        Inner {
            disk,
            manifest,
            settings,
            id: head.store,
            seen: Mutex::new((head.commit, head.nonce)),
            views: ViewCache::default(),
            specs: Mutex::default(),
            readers: SegmentCache::default(),
            group: Group::default(),
            complete: AtomicBool::new(false),
            listing: Listing::default(),
            moving_tail: AtomicBool::new(false),
            maintenance: Arc::default(),
            remembered: tokio::sync::Mutex::default(),
        }
    }

    pub(crate) fn damaged(&self, problem: String) -> StoreError {
        StoreError::DamagedManifest { database: self.manifest.describe(), problem }
    }

    /// Takes note of a head; an error if it is behind what was seen before.
    pub(crate) fn saw(&self, head: &HeadRow) -> Result<(), StoreError> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        // Views of one process may be taken in one order and looked at in another, but then they are intact ones of the
        // same history: only a commit with another nonce shows a database that was replaced.
        if head.store != self.id || (head.commit == seen.0 && head.nonce != seen.1) {
            return Err(StoreError::Rewound {
                database: self.manifest.describe(),
                head_file: self.disk.describe(head_file::NAME),
                found: head.commit,
                acknowledged: seen.0,
                forked: true,
            });
        }
        if head.commit > seen.0 {
            *seen = (head.commit, head.nonce);
        }
        Ok(())
    }

    /// Verifies once that no series is missing.
    async fn check_complete(&self, read: &mut dyn ManifestRead, head: &HeadRow) -> Result<(), StoreError> {
        if !self.complete.load(Ordering::Relaxed) {
            view::all_series(read, self, head, &mut |_| {}).await?;
            self.complete.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// The ids of those of these series that are there.
    async fn find(
        &self,
        read: &mut dyn ManifestRead,
        head: &HeadRow,
        keys: &[String],
    ) -> Result<HashMap<String, SeriesId>, StoreError> {
        let rows = read.series_with_keys(keys).await?;
        if let Some(stored) = rows.iter().find(|stored| !stored.is_intact()) {
            return Err(
                self.damaged(format!("the row of series {} does not match its checksum", stored.row.id))
            );
        }
        let found: HashMap<String, SeriesId> =
            rows.into_iter().map(|stored| (stored.row.key, SeriesId(stored.row.id))).collect();
        if let Some(absent) = keys.iter().find(|key| !found.contains_key(*key))
            && !self.complete.load(Ordering::Relaxed)
        {
            // Is it absent, or is the index damaged? All rows say.
            let mut hidden = false;
            let absent_keys: HashSet<&String> = keys.iter().filter(|key| !found.contains_key(*key)).collect();
            view::all_series(read, self, head, &mut |row| {
                hidden |= absent_keys.contains(&row.key);
            })
            .await?;
            if hidden {
                return Err(
                    self.damaged(format!("series `{absent}` is there, but its index does not find it"))
                );
            }
            self.complete.store(true, Ordering::Relaxed);
        }
        Ok(found)
    }

    /// What these series are.
    pub(crate) async fn specs(
        &self,
        series: &[SeriesId],
    ) -> Result<HashMap<SeriesId, Arc<SeriesSpec>>, StoreError> {
        let mut specs = HashMap::new();
        let mut unknown = Vec::new();
        {
            let known = self.specs.lock().unwrap_or_else(PoisonError::into_inner);
            for &id in series {
                match known.get(&id) {
                    Some(spec) => drop(specs.insert(id, spec.clone())),
                    None => unknown.push(id.0),
                }
            }
        }
        if unknown.is_empty() {
            return Ok(specs);
        }
        let mut read = self.manifest.read().await?;
        let head = view::head(&mut *read, self).await?;
        for stored in read.series(&unknown).await? {
            let id = SeriesId(stored.row.id);
            let damaged = |key, problem: String| {
                let series = SeriesName { id, key, range: None };
                StoreError::DamagedSeries { database: self.manifest.describe(), series, problem }
            };
            if !stored.is_intact() {
                return Err(damaged(None, "its row does not match its checksum".to_owned()));
            }
            let spec = SeriesSpec::from_row(&stored.row)
                .map_err(|problem| damaged(Some(stored.row.key), problem))?;
            specs.insert(id, Arc::new(spec));
        }
        if let Some(&missing) = unknown.iter().find(|&&id| !specs.contains_key(&SeriesId(id))) {
            self.check_complete(&mut *read, &head).await?;
            return Err(StoreError::UnknownSeries(SeriesId(missing)));
        }
        let mut known = self.specs.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() > MOST_SPECS {
            known.clear();
        }
        known.extend(specs.iter().map(|(&id, spec)| (id, spec.clone())));
        Ok(specs)
    }

    async fn check_same(&self, wanted: &[SeriesSpec], ids: &[SeriesId]) -> Result<Vec<SeriesId>, StoreError> {
        let found = self.specs(ids).await?;
        for (wanted, id) in wanted.iter().zip(ids) {
            if let Some(found) = found.get(id) {
                same(found, wanted)?;
            }
        }
        Ok(ids.to_vec())
    }
}

fn same(found: &SeriesSpec, wanted: &SeriesSpec) -> Result<(), StoreError> {
    if found == wanted {
        return Ok(());
    }
    Err(StoreError::SeriesDiffers {
        key: wanted.key.clone(),
        found: found.describe(),
        wanted: wanted.describe(),
    })
}

/// Runs what blocks on a thread of its own.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| StoreError::Task(error.to_string()))?
}

/// Makes the file of a store without any commits. Returns what there is then.
async fn make_head_file(disk: &Arc<dyn Disk>, manifest: &Arc<dyn Manifest>) -> Result<HeadFile, StoreError> {
    let head = view::intact_head(&mut *manifest.read().await?, &manifest.describe()).await?;
    if head.commit == 0 {
        let (disk, to) = (disk.clone(), Acknowledged { store: head.store, commit: 0, nonce: head.nonce });
        blocking(move || head_file::raise(&*disk, to)).await?;
    }
    read_head_file(disk).await
}

pub(crate) async fn read_head_file(disk: &Arc<dyn Disk>) -> Result<HeadFile, StoreError> {
    let disk = disk.clone();
    blocking(move || head_file::read(&*disk)).await
}

/// Compares the database with the file `HEAD`, which was read before.
pub(crate) async fn compare(
    disk: &dyn Disk,
    manifest: &dyn Manifest,
    read: &mut dyn ManifestRead,
    head: &HeadRow,
    head_file: HeadFile,
) -> Result<(), StoreError> {
    let file = || disk.describe(head_file::NAME);
    let acknowledged = match head_file {
        HeadFile::Missing => return Err(StoreError::HeadFile { file: file(), problem: "is missing" }),
        HeadFile::Damaged => return Err(StoreError::HeadFile { file: file(), problem: "is damaged" }),
        HeadFile::Intact(acknowledged) => acknowledged,
    };
    if acknowledged.store != head.store {
        let (folder, found) = (acknowledged.store, head.store);
        return Err(StoreError::OtherStore {
            head_file: file(),
            database: manifest.describe(),
            folder,
            found,
        });
    }
    let rewound = |forked| {
        let (found, acknowledged) = (head.commit, acknowledged.commit);
        Err(StoreError::Rewound {
            database: manifest.describe(),
            head_file: file(),
            found,
            acknowledged,
            forked,
        })
    };
    if head.commit < acknowledged.commit {
        return rewound(false);
    }
    if head.commit == acknowledged.commit {
        return if head.nonce == acknowledged.nonce { Ok(()) } else { rewound(true) };
    }
    match read.commit_row(acknowledged.commit).await? {
        Some(row) if !row.is_intact() => Err(StoreError::DamagedManifest {
            database: manifest.describe(),
            problem: format!("commit {} does not match its checksum", acknowledged.commit),
        }),
        Some(row) if row.row.nonce == acknowledged.nonce => Ok(()),
        _ => rewound(true),
    }
}

#[cfg(test)]
mod tests {
    use sheaf_model::{SamplePeriod, Samples, Tick, Values};

    use super::*;
    use crate::disk::LocalDisk;
    use crate::manifest::MemoryManifest;
    use crate::{CompactOptions, Layout, Watch, Write};

    /// Writes, reads, compacts, deletes.
    #[tokio::test(flavor = "multi_thread")]
    async fn what_goes_in_comes_out() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Arc::new(LocalDisk::new(folder.path()).unwrap());
        let manifest = Arc::new(MemoryManifest::default());
        let settings = Settings { grace: Duration::ZERO, ..Settings::default() };
        let store = Store::open(disk, manifest, settings).await.unwrap();
        let period: SamplePeriod = "1_s".parse().unwrap();
        let spec = SeriesSpec {
            key: "/plant/mast/T1/1_s".to_owned(),
            data_type: sheaf_model::DataType::Float64,
            layout: Layout::Regular { period, phase_ticks: 0 },
        };
        let id = store.create_series(&[spec]).await.unwrap()[0];
        let start: Tick = "2020-01-01".parse().unwrap();
        let values: Vec<f64> = (0..300_000).map(|i| f64::from(i) / 8.0).collect();
        let samples = Samples::new(start, period, Values::F64(values.clone())).unwrap();
        store.write(Write::new().rows(id, samples)).await.unwrap();
        let small = Samples::new(start, period, Values::F64(vec![-1.0, f64::NAN, -3.0])).unwrap();
        store.write(Write::new().rows(id, small)).await.unwrap();
        let mut expected = values.clone();
        (expected[0], expected[2]) = (-1.0, -3.0);
        for round in 0..3 {
            let mut found = Vec::new();
            for rows in store.scan(id, None).await.unwrap() {
                match rows.unwrap().values() {
                    Values::F64(values) => found.extend_from_slice(values),
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!(found.len(), expected.len(), "round {round}");
            assert_eq!(found, expected, "round {round}");
            let done = store.compact(CompactOptions { all: true }, &Watch::default()).await.unwrap();
            assert_eq!(done.failures, Vec::<String>::new());
        }
        assert_eq!(store.stats().await.unwrap().tail_rows, 0);
    }
}
