//! Stores as the program has them: a local folder, SQLite beside it, the settings as they are by default.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use sheaf_db::Database;
use sheaf_model::{DataType, SamplePeriod, Tick, TimeRange, Values};
use sheaf_store::{Disk, Layout, LocalDisk, SeriesId, SeriesSpec, Settings, Snapshot, Store};

/// Anything that goes wrong in a benchmark ends it.
pub type Failure = Box<dyn Error + Send + Sync>;

/// 100 Hz.
pub const STEP_TICKS: i64 = Tick::PER_SECOND / 100;

/// Where the samples begin: 2020-01-01.
pub const FIRST_TICKS: i64 = Tick::UNIX_EPOCH.ticks() + 18_262 * 86_400 * Tick::PER_SECOND;

/// An open store and its database.
pub struct Opened {
    /// The store.
    pub store: Store,
    /// Its database.
    pub database: Database,
    /// Its folder.
    pub disk: Arc<dyn Disk>,
}

/// Opens the store in a folder, or makes one.
///
/// # Errors
/// It can't be opened.
pub async fn open(folder: &Path) -> Result<Opened, Failure> {
    let disk: Arc<dyn Disk> = Arc::new(LocalDisk::new(folder)?);
    let database = Database::sqlite(&folder.join("sheaf.db")).await?;
    let store = Store::open(disk.clone(), Arc::new(database.manifest()), Settings::default()).await?;
    Ok(Opened { store, database, disk })
}

/// A new store in a folder of which nothing is left.
///
/// # Errors
/// The folder can't be emptied, or the store can't be made.
pub async fn open_new(folder: &Path) -> Result<Opened, Failure> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    open(folder).await
}

impl Opened {
    /// A new series.
    ///
    /// # Errors
    /// The store fails.
    pub async fn series(&self, key: &str, data_type: DataType, step_ticks: i64) -> Result<SeriesId, Failure> {
        let period = SamplePeriod::from_ticks(step_ticks)?;
        let spec =
            SeriesSpec { key: key.to_owned(), data_type, layout: Layout::Regular { period, phase_ticks: 0 } };
        let ids = self.store.create_series(&[spec]).await?;
        Ok(*ids.first().ok_or("no series was made")?)
    }

    /// Closes the database, so that nothing happens to its files any more.
    pub async fn close(self) {
        drop(self.store);
        self.database.close().await;
    }
}

/// The slots from `first` on, at 100 Hz.
///
/// # Errors
/// There are none, or too many.
pub fn slots(first: i64, count: i64) -> Result<TimeRange, Failure> {
    let tick = |slot: i64| Tick::new(FIRST_TICKS + slot * STEP_TICKS);
    Ok(TimeRange::new(tick(first)?, tick(first + count)?)?)
}

/// What a series should hold: values at these slots, or one after the other; NaN is no value.
#[derive(Clone, Copy)]
pub struct Expected<'a> {
    /// From a slot to the next.
    pub step_ticks: i64,
    /// The slots of the values.
    pub slots: Option<&'a [i64]>,
    /// The values.
    pub values: &'a Values,
}

/// That a series holds these values and no others, bit for bit.
///
/// # Errors
/// It does not, or can't be read.
pub async fn verify(store: &Store, series: SeriesId, expected: Expected<'_>) -> Result<(), Failure> {
    let Expected { step_ticks, slots, values } = expected;
    let mut next = 0;
    for rows in store.scan(series, None).await? {
        let rows = rows?;
        for row in (0..rows.len()).filter(|&row| rows.is_valid(row)) {
            while next < values.len() && is_nan(values, next) {
                next += 1;
            }
            if next == values.len() {
                return Err(
                    format!("series {series} has more than the {next} values that were written").into()
                );
            }
            let slot = slots.map_or(next as i64, |slots| slots[next]);
            let start_ticks = FIRST_TICKS + slot * step_ticks;
            if rows.start_ticks(row) != start_ticks || bits(rows.values(), row) != bits(values, next) {
                return Err(format!(
                    "series {series}: value {next} was {:?} at {start_ticks}, it is {:?} at {}",
                    values.get(next),
                    rows.values().get(row),
                    rows.start_ticks(row)
                )
                .into());
            }
            next += 1;
        }
    }
    match (next..values.len()).find(|&index| !is_nan(values, index)) {
        Some(lost) => Err(format!("series {series} ends before value {lost} that was written").into()),
        None => Ok(()),
    }
}

fn is_nan(values: &Values, index: usize) -> bool {
    match values {
        Values::F32(values) => values[index].is_nan(),
        Values::F64(values) => values[index].is_nan(),
        _ => false,
    }
}

fn bits(values: &Values, index: usize) -> u64 {
    match values {
        Values::U8(values) => values[index].into(),
        Values::I8(values) => values[index] as u64,
        Values::U16(values) => values[index].into(),
        Values::I16(values) => values[index] as u64,
        Values::U32(values) => values[index].into(),
        Values::I32(values) => values[index] as u64,
        Values::U64(values) => values[index],
        Values::I64(values) => values[index] as u64,
        Values::F32(values) => values[index].to_bits().into(),
        Values::F64(values) => values[index].to_bits(),
    }
}

/// One number that depends on every value and its slot, and how many values there are. Values follow each other from
/// slot `first` on; NaN is no value.
pub fn digest(first: i64, values: &[f64]) -> (u64, u64) {
    let mut slot = first as u64;
    values.iter().fold((0_u64, 0_u64), |(digest, count), value| {
        let weight = 2 * slot + 1;
        slot += 1;
        let (term, one) = if value.is_nan() { (0, 0) } else { (value.to_bits().wrapping_mul(weight), 1) };
        (digest.wrapping_add(term), count + one)
    })
}

/// Plans a series and counts the pieces in segments that the plan reads.
///
/// # Errors
/// The series is not part of the snapshot.
pub fn planned_pieces(snapshot: &Snapshot, series: SeriesId) -> Result<usize, Failure> {
    // Short pieces side by side are one step.
    Ok(snapshot.explain(series, None)?.iter().map(|step| step.matches("segment ").count()).sum())
}

/// Bytes and number of the files in the folder of the segments.
///
/// # Errors
/// The folder can't be read.
pub fn segment_files(folder: &Path) -> Result<(u64, u64), Failure> {
    let (mut bytes, mut files) = (0, 0);
    let segments = folder.join("segments");
    if segments.exists() {
        for entry in fs::read_dir(segments)? {
            bytes += entry?.metadata()?.len();
            files += 1;
        }
    }
    Ok((bytes, files))
}
