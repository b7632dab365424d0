//! A few series, writes of them that proptest can shrink, and what a plain map makes of the same writes.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use proptest::prelude::*;
use sheaf_model::{DataType, SamplePeriod, Samples, Tick, TimeRange, Values};
use sheaf_store::manifest::MemoryManifest;
use sheaf_store::testing::FaultyDisk;
use sheaf_store::{
    CheckOptions, CheckReport, Codec, CompactOptions, Compacted, Layout, MergePolicy, Rows, SampleBuffer,
    Scan, SeriesId, SeriesSpec, Settings, Snapshot, Starts, Store, StoreError, Watch, Write, check, in_full,
};

/// What is stored at a start. Values are compared bit by bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) value: Option<u64>,
    pub(super) estimated: bool,
}

/// A series as it should be.
pub(super) type Series = BTreeMap<i64, Cell>;

/// All series as they should be.
pub(super) type Model = Vec<Arc<Series>>;

/// The most rows of a chunk of a regular series.
const CHUNK_ROWS: usize = 1 << 17;

/// 2020-01-01, where all test data begins.
pub(super) fn base() -> i64 {
    "2020-01-01".parse::<Tick>().unwrap().ticks()
}

pub(super) fn ticks(from: i64, to: i64) -> TimeRange {
    TimeRange::new(Tick::new(from).unwrap(), Tick::new(to).unwrap()).unwrap()
}

pub(super) fn regular(key: &str, data_type: DataType, period: &str, phase: i64) -> SeriesSpec {
    let period: SamplePeriod = period.parse().unwrap();
    SeriesSpec { key: key.to_owned(), data_type, layout: Layout::Regular { period, phase_ticks: phase } }
}

pub(super) fn irregular(key: &str, data_type: DataType) -> SeriesSpec {
    SeriesSpec { key: key.to_owned(), data_type, layout: Layout::Irregular }
}

/// One series of each sort.
pub(super) fn specs() -> Vec<SeriesSpec> {
    vec![
        regular("/plant/mast/T1/1_s", DataType::Float64, "1_s", 0),
        regular("/plant/mast/state/1_min", DataType::Int16, "1_min", 0),
        regular("/plant/mast/shifted/10_min", DataType::Float32, "10_min", 5 * 60 * Tick::PER_SECOND),
        irregular("/traces/bill", DataType::Float64),
        irregular("/traces/counter", DataType::Uint64),
    ]
}

/// Small enough that everything happens: writes of both sorts, segments of a few kilobytes, several tiers.
pub(super) fn settings() -> Settings {
    Settings {
        codec: Codec::Alp,
        tail_write_bytes: 2048,
        tail_most_bytes: 16 << 10,
        tail_most_age: Duration::from_secs(3600),
        segment_most_rows: 2000,
        merge_policy: MergePolicy {
            segments_per_tier: 3,
            lowest_tier_bytes: 2048,
            largest_bytes: 64 << 10,
            least_live_percent: 50,
        },
        grace: Duration::from_secs(3600),
        writer_lease: Duration::from_secs(3600),
        maintenance_lease: Duration::from_secs(60),
        key_retention: Duration::from_secs(3600),
        moves_tail: false,
    }
}

/// Threads for all tests.
pub(super) fn run<T>(future: impl Future<Output = T>) -> T {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap()
    });
    runtime.block_on(future)
}

pub(super) async fn open(
    disk: &FaultyDisk,
    manifest: &MemoryManifest,
    settings: Settings,
) -> Result<Store, StoreError> {
    Store::open(Arc::new(disk.clone()), Arc::new(manifest.clone()), settings).await
}

/// A new store with series, on a disk and a manifest of its own.
pub(super) async fn new_store(
    specs: &[SeriesSpec],
    settings: Settings,
) -> (FaultyDisk, MemoryManifest, Store, Vec<SeriesId>) {
    let (disk, manifest) = (FaultyDisk::new(), MemoryManifest::new());
    let store = open(&disk, &manifest, settings).await.unwrap();
    let ids = store.create_series(specs).await.unwrap();
    (disk, manifest, store, ids)
}

pub(super) async fn compact_all(store: &Store) -> Compacted {
    let done = store.compact(CompactOptions { all: true }, &Watch::default()).await.unwrap();
    assert_eq!(done.failures, Vec::<String>::new());
    done
}

pub(super) async fn check_with(
    disk: &FaultyDisk,
    manifest: &MemoryManifest,
    options: CheckOptions,
) -> Result<CheckReport, StoreError> {
    let settings = Settings { grace: Duration::ZERO, ..settings() };
    check(Arc::new(disk.clone()), Arc::new(manifest.clone()), settings, options, &Watch::default()).await
}

// --- Writes ---

/// Rows of one series in a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) series: usize,
    /// The first slot; for irregular series, too, slots name starts.
    pub(super) slot: i64,
    pub(super) shape: Shape,
    /// Decides the values.
    pub(super) seed: u8,
    pub(super) missing_percent: u8,
}

/// Where the rows of a part lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// One after the other.
    Run { len: usize },
    /// In every so manyth slot.
    Every { len: usize, slots: i64 },
    /// With so many slots from one to the next, given in reverse if that is wanted.
    Scattered { steps: Vec<i64>, reversed: bool },
}

/// A deleted range, between slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Deletion {
    pub(super) series: usize,
    pub(super) slot: i64,
    pub(super) slots: i64,
    /// How far the bounds lie behind their slots, in quarters of a slot.
    pub(super) shift: (i64, i64),
}

fn slot_ticks(spec: &SeriesSpec) -> i64 {
    match spec.layout {
        Layout::Regular { period, .. } => period.ticks(),
        Layout::Irregular => Tick::PER_SECOND,
    }
}

/// Start of a slot.
pub(super) fn start(spec: &SeriesSpec, slot: i64) -> i64 {
    match spec.layout {
        Layout::Regular { period, phase_ticks } => base() + slot * period.ticks() + phase_ticks,
        // Anywhere in the second, but always at the same place.
        Layout::Irregular => base() + slot * Tick::PER_SECOND + slot * 7919 % 9_999_991,
    }
}

fn mix(seed: u8, slot: i64) -> u64 {
    let mut mixed = (slot as u64).wrapping_add(u64::from(seed) << 40).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed ^ (mixed >> 31)
}

fn float(mixed: u64) -> f64 {
    match mixed % 64 {
        0 => -0.0,
        1 => f64::INFINITY,
        2 => f64::MIN_POSITIVE / 2.0,
        3 => f64::from_bits(mixed & 0x7FEF_FFFF_FFFF_FFFF),
        _ => (mixed >> 32) as f64 / 1000.0,
    }
}

impl Part {
    fn slots(&self) -> Vec<i64> {
        match &self.shape {
            Shape::Run { len } => (0..*len as i64).map(|slot| self.slot + slot).collect(),
            Shape::Every { len, slots } => (0..*len as i64).map(|row| self.slot + row * slots).collect(),
            Shape::Scattered { steps, .. } => {
                let steps = steps.iter().scan(self.slot, |slot, step| {
                    *slot += step;
                    Some(*slot)
                });
                std::iter::once(self.slot).chain(steps).collect()
            }
        }
    }

    /// Starts and contents, in order of time.
    pub(super) fn cells(&self, spec: &SeriesSpec) -> Vec<(i64, Cell)> {
        let cell = |slot: i64| {
            let mixed = mix(self.seed, slot);
            let is_missing = mixed >> 16 & 0xff < u64::from(self.missing_percent) * 256 / 100;
            let value = match spec.data_type {
                DataType::Float64 => float(mixed).to_bits(),
                DataType::Float32 => u64::from((float(mixed) as f32).to_bits()),
                DataType::Int16 => u64::from(mixed as u16),
                _ => mixed,
            };
            let estimated = spec.layout == Layout::Irregular && mixed >> 24 & 7 == 0;
            Cell { value: (!is_missing).then_some(value), estimated }
        };
        self.slots().into_iter().map(|slot| (start(spec, slot), cell(slot))).collect()
    }

    pub(super) fn rows(&self, spec: &SeriesSpec) -> Rows {
        let mut cells = self.cells(spec);
        if matches!(self.shape, Shape::Scattered { reversed: true, .. }) {
            cells.reverse();
        }
        let values = cells.iter().map(|(_, cell)| cell.value);
        let values = match spec.data_type {
            DataType::Float64 => {
                Values::F64(values.map(|value| value.map_or(f64::NAN, f64::from_bits)).collect())
            }
            DataType::Float32 => Values::F32(
                values.map(|value| value.map_or(f32::NAN, |bits| f32::from_bits(bits as u32))).collect(),
            ),
            DataType::Int16 => Values::I16(values.map(|value| value.unwrap_or(77) as i16).collect()),
            _ => Values::U64(values.map(|value| value.unwrap_or(77)).collect()),
        };
        let bits = |is_set: &dyn Fn(&Cell) -> bool| {
            let mut words = vec![0_u64; cells.len().div_ceil(64)];
            for (at, _) in cells.iter().enumerate().filter(|(_, (_, cell))| is_set(cell)) {
                words[at / 64] |= 1 << (at % 64);
            }
            words
        };
        let validity = bits(&|cell| cell.value.is_some());
        match (&self.shape, spec.layout) {
            (Shape::Run { .. }, Layout::Regular { period, phase_ticks: 0 }) => {
                let first = Tick::new(start(spec, self.slot)).unwrap();
                let samples = Samples::new(first, period, values).unwrap();
                if spec.data_type.is_float() {
                    samples.into()
                } else {
                    samples.with_validity(validity).unwrap().into()
                }
            }
            _ => {
                let starts = cells.iter().map(|&(start, _)| Tick::new(start).unwrap()).collect();
                let rows = Rows::listed(starts, values).unwrap().with_validity(validity).unwrap();
                if spec.layout == Layout::Irregular {
                    rows.with_estimated(bits(&|cell| cell.estimated)).unwrap()
                } else {
                    rows
                }
            }
        }
    }
}

impl Deletion {
    pub(super) fn range(&self, spec: &SeriesSpec) -> TimeRange {
        let quarter = slot_ticks(spec) / 4;
        let begin = start(spec, self.slot) + self.shift.0 * quarter;
        ticks(begin, (start(spec, self.slot + self.slots) + self.shift.1 * quarter).max(begin + 1))
    }
}

/// A write, for the store and for the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) parts: Vec<Part>,
    pub(super) deletions: Vec<Deletion>,
}

impl Change {
    pub(super) fn write(&self, specs: &[SeriesSpec], ids: &[SeriesId]) -> Write {
        let mut write = Write::new();
        for part in &self.parts {
            write = write.rows(ids[part.series], part.rows(&specs[part.series]));
        }
        for deletion in &self.deletions {
            write = write.delete(ids[deletion.series], deletion.range(&specs[deletion.series]));
        }
        write
    }

    pub(super) fn apply(&self, specs: &[SeriesSpec], model: &mut Model) {
        for deletion in &self.deletions {
            let range = deletion.range(&specs[deletion.series]);
            Arc::make_mut(&mut model[deletion.series])
                .retain(|&start, _| start < range.begin().ticks() || start >= range.end().ticks());
        }
        for part in &self.parts {
            let spec = &specs[part.series];
            let series = Arc::make_mut(&mut model[part.series]);
            for (start, cell) in part.cells(spec) {
                let there = series.get(&start);
                let counts = match spec.layout {
                    Layout::Regular { .. } => cell.value.is_some(),
                    Layout::Irregular => {
                        cell.value.is_some() || there.is_none_or(|there| there.value.is_none())
                    }
                };
                if counts {
                    series.insert(start, cell);
                }
            }
        }
    }
}

/// Where something happens: near the beginning, around the sizes at which the store changes its ways, or far off.
fn slot() -> impl Strategy<Value = i64> {
    prop_oneof![
        8 => 0_i64..300,
        4 => 900_i64..1300,
        2 => 4000_i64..4200,
        1 => 65_400_i64..65_700,
        1 => 131_000_i64..131_200,
        1 => 0_i64..1_000_000,
    ]
}

fn shape() -> impl Strategy<Value = Shape> {
    let step = prop_oneof![8 => 1_i64..4, 2 => 4_i64..300, 1 => 1000_i64..1100, 1 => 1_i64..200_000];
    let scattered = (proptest::collection::vec(step, 0..40), any::<bool>())
        .prop_map(|(steps, reversed)| Shape::Scattered { steps, reversed });
    prop_oneof![
        10 => (1_usize..200).prop_map(|len| Shape::Run { len }),
        6 => (200_usize..700).prop_map(|len| Shape::Run { len }),
        2 => (700_usize..5000).prop_map(|len| Shape::Run { len }),
        8 => scattered,
    ]
}

/// Around the sizes of pages, of listed pieces and of the chunks of a scan, and larger.
fn large_shape() -> impl Strategy<Value = Shape> {
    let len = || prop_oneof![65_000_usize..66_000, 130_000_usize..132_000, 20_000_usize..200_000];
    prop_oneof![
        3 => len().prop_map(|len| Shape::Run { len }),
        1 => (len(), 2_i64..5).prop_map(|(len, slots)| Shape::Every { len, slots }),
    ]
}

fn part(series: usize, shape: impl Strategy<Value = Shape>) -> impl Strategy<Value = Part> {
    let missing_percent = prop_oneof![Just(0), Just(0), Just(5), Just(50), Just(99)];
    (0..series, slot(), shape, any::<u8>(), missing_percent).prop_map(
        |(series, slot, shape, seed, missing_percent)| Part { series, slot, shape, seed, missing_percent },
    )
}

fn deletion(series: usize) -> impl Strategy<Value = Deletion> {
    let slots = prop_oneof![1_i64..20, 20_i64..2000, 1_i64..200_000];
    (0..series, slot(), slots, (0_i64..4, 0_i64..4)).prop_map(|(series, slot, slots, shift)| Deletion {
        series,
        slot,
        slots,
        shift,
    })
}

/// Any write of some of so many series.
pub(super) fn change(series: usize) -> impl Strategy<Value = Change> {
    let parts = prop_oneof![
        6 => proptest::collection::vec(part(series, shape()), 1..2),
        3 => proptest::collection::vec(part(series, shape()), 1..4),
        2 => Just(Vec::new()),
    ];
    let deletions = prop_oneof![
        6 => Just(Vec::new()),
        2 => proptest::collection::vec(deletion(series), 1..3),
    ];
    (parts, deletions).prop_map(|(parts, deletions)| Change { parts, deletions })
}

/// A write of very many rows of one of so many series.
pub(super) fn large_change(series: usize) -> impl Strategy<Value = Change> {
    part(series, large_shape()).prop_map(|part| Change { parts: vec![part], deletions: Vec::new() })
}

/// A range to look at.
pub(super) fn window() -> impl Strategy<Value = (i64, i64)> {
    let ticks = prop_oneof![1_i64..10_000_000_000, 1_i64..100_000_000_000_000];
    (slot(), -20_000_000_i64..20_000_000, ticks).prop_map(|(slot, shift, ticks)| {
        let begin = base() + slot * Tick::PER_SECOND + shift;
        (begin, begin + ticks)
    })
}

// --- Reading ---

/// What a scan yields, with what every scan promises checked on the way.
pub(super) fn collect(spec: &SeriesSpec, scan: Scan, range: Option<TimeRange>) -> Result<Series, StoreError> {
    let mut series = Series::new();
    let mut before = i64::MIN;
    let again = scan.within(TimeRange::new(Tick::MIN, Tick::MAX).unwrap());
    let mut chunks = Vec::new();
    for rows in scan {
        let rows = rows?;
        assert!(!rows.is_empty(), "a chunk without rows");
        assert_eq!(rows.values().data_type(), spec.data_type);
        if let Layout::Regular { period, phase_ticks } = spec.layout {
            assert!(rows.len() <= CHUNK_ROWS, "a chunk of {} rows", rows.len());
            let Starts::Grid { first_ticks, step_ticks } = *rows.starts() else {
                panic!("a chunk that is no grid")
            };
            assert_eq!((step_ticks, (first_ticks - phase_ticks) % step_ticks), (period.ticks(), 0));
            assert_eq!(rows.estimated(), None);
            chunks.push((first_ticks, rows.len()));
        }
        for row in 0..rows.len() {
            let start = rows.start_ticks(row);
            assert!(before < start, "{start} after {before}");
            before = start;
            if let Some(range) = range {
                assert!(range.contains(Tick::new(start).unwrap()), "{start} is not in {range}");
            }
            let value = rows.is_valid(row).then(|| bits(rows.values(), row));
            if value.is_some() || spec.layout == Layout::Irregular {
                series.insert(start, Cell { value, estimated: rows.is_estimated(row) });
            }
        }
    }
    check_samples(spec, &again, &chunks, &series)?;
    Ok(series)
}

/// That a scan gives these rows as samples, some at a time in the same memory, and none before, behind and between them.
fn check_samples(
    spec: &SeriesSpec,
    scan: &Scan,
    chunks: &[(i64, usize)],
    series: &Series,
) -> Result<(), StoreError> {
    let Layout::Regular { period, phase_ticks } = spec.layout else { return Ok(()) };
    let mut buffer = SampleBuffer::default();
    // Each call begins anew, so few of them have to do.
    for (number, &(first_ticks, len)) in chunks.iter().take(6).enumerate() {
        let slots = |slots: usize| slots as i64 * period.ticks();
        let begin = (first_ticks - phase_ticks - slots(3)).max(0);
        let last = Tick::MAX.ticks() / period.ticks() * period.ticks();
        let end = (first_ticks - phase_ticks + slots(len + 2)).min(last);
        let part = [len / 3 + 1, 1 + number * 1000, len + 5][number % 3] as i64 * period.ticks();
        let mut next = begin;
        while next < end {
            let to = end.min(next + part.max((end - begin) / 8 / period.ticks() * period.ticks()));
            let range = TimeRange::new(Tick::new(next).unwrap(), Tick::new(to).unwrap()).unwrap();
            let samples = scan.samples_in(range, &mut buffer)?;
            assert_eq!((samples.start().ticks(), samples.len() as u64), (next, range.count(period)));
            for slot in 0..samples.len() {
                let start = next + phase_ticks + slot as i64 * period.ticks();
                let wanted = series.get(&start).and_then(|cell| cell.value);
                let is_nan = samples.values().get(slot).unwrap().is_nan();
                let is_valid = !is_nan
                    && samples.validity().is_none_or(|words| words[slot / 64] >> (slot % 64) & 1 == 1);
                let found = is_valid.then(|| bits(samples.values(), slot));
                assert_eq!(found, wanted, "{start} in {range}");
            }
            next = to;
        }
    }
    Ok(())
}

fn bits(values: &Values, row: usize) -> u64 {
    match values {
        Values::F64(values) => values[row].to_bits(),
        Values::F32(values) => u64::from(values[row].to_bits()),
        Values::I16(values) => u64::from(values[row] as u16),
        Values::U64(values) => values[row],
        other => panic!("no test writes {}", other.data_type()),
    }
}

pub(super) async fn read(
    snapshot: &Snapshot,
    id: SeriesId,
    range: Option<TimeRange>,
) -> Result<Series, StoreError> {
    let spec = snapshot.spec(id)?.clone();
    let scan = snapshot.scan(id, range).await?;
    tokio::task::spawn_blocking(move || collect(&spec, scan, range)).await.unwrap()
}

pub(super) async fn read_now(store: &Store, id: SeriesId) -> Result<Series, StoreError> {
    let spec = store.spec(id).await?;
    let scan = store.scan(id, None).await?;
    tokio::task::spawn_blocking(move || collect(&spec, scan, None)).await.unwrap()
}

/// The first difference, if there is one.
pub(super) fn difference(found: &Series, wanted: &Series) -> Option<String> {
    let starts: std::collections::BTreeSet<&i64> = found.keys().chain(wanted.keys()).collect();
    let differing: Vec<&i64> =
        starts.into_iter().filter(|start| found.get(start) != wanted.get(start)).collect();
    let first = **differing.first()?;
    Some(format!(
        "{} of {} rows differ, the first one is base + {} s: {:?} instead of {:?}",
        differing.len(),
        wanted.len(),
        (first - base()) as f64 / 1e7,
        found.get(&first),
        wanted.get(&first),
    ))
}

/// Compares all series of a snapshot.
pub(super) async fn compare(snapshot: &Snapshot, ids: &[SeriesId], model: &Model) -> Result<(), String> {
    for (&id, wanted) in ids.iter().zip(model) {
        let key = &snapshot.spec(id).map_err(|error| in_full(&error))?.key;
        let found = read(snapshot, id, None).await.map_err(|error| in_full(&error))?;
        if let Some(difference) = difference(&found, wanted) {
            return Err(format!("{key}: {difference}"));
        }
        let range = snapshot.range(id).map_err(|error| in_full(&error))?;
        for start in wanted.keys().next().into_iter().chain(wanted.keys().next_back()) {
            if !range.is_some_and(|range| range.contains(Tick::new(*start).unwrap())) {
                return Err(format!("{key}: the range {range:?} does not contain {start}"));
            }
        }
    }
    Ok(())
}

/// The segments on a disk.
pub(super) fn segment_files(disk: &FaultyDisk) -> Vec<String> {
    disk.names().into_iter().filter(|name| name.starts_with("segments/")).collect()
}
