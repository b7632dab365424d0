//! Tables become series: at their period, of their type, or not at all; however large they are.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use sheaf_engine::{IngestError, IngestOptions, Ingested, Query, Reopen, ingest, read_stored};
use sheaf_model::{DataType, Kind, SamplePeriod, Tick, TimeRange, Values};
use sheaf_sources::{
    Batch, Column, ColumnValues, CsvOptions, CsvReader, Input, Metadata, Rows as TableRows, Seen,
    SourceError, Summary, Table,
};
use sheaf_store::manifest::MemoryManifest;
use sheaf_store::testing::FaultyDisk;
use sheaf_store::{Layout, Rows, Settings, Store, Watch, in_full};

use super::stored::run;

async fn new_store() -> Store {
    store_on(&FaultyDisk::new()).await
}

async fn store_on(disk: &FaultyDisk) -> Store {
    let settings = Settings { tail_write_bytes: 4096, ..Settings::default() };
    Store::open(Arc::new(disk.clone()), Arc::new(MemoryManifest::new()), settings).await.unwrap()
}

fn options() -> IngestOptions {
    IngestOptions { catalog: Some("/plant/mast".parse().unwrap()), ..IngestOptions::default() }
}

/// Small tables are too large for it.
fn in_pieces() -> IngestOptions {
    IngestOptions { budget_bytes: 1, ..options() }
}

fn table(input: Input) -> Box<dyn Table> {
    let reader = CsvReader::open(input, CsvOptions::default()).unwrap();
    Box::new(Small { reader, waiting: None, columns: Vec::new() })
}

/// A table with batches of a few rows, which are integers where all of them are.
struct Small {
    reader: CsvReader,
    waiting: Option<(Batch, usize)>,
    columns: Vec<Column>,
}

const BATCH: usize = 7;

impl Table for Small {
    fn name(&self) -> &str {
        self.reader.name()
    }

    fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn metadata(&self) -> &Metadata {
        self.reader.metadata()
    }

    fn next_batch(&mut self) -> Result<Option<Batch>, SourceError> {
        if self.waiting.is_none() {
            self.waiting = self.reader.next_batch()?.map(|batch| (batch, 0));
            let new = self.reader.columns()[self.columns.len()..].iter().cloned();
            self.columns.extend(new.map(|mut column| {
                column.seen = Seen::default();
                column
            }));
        }
        let Some((batch, from)) = self.waiting.take() else { return Ok(None) };
        let until = batch.len().min(from + BATCH);
        let rows = match &batch.rows {
            TableRows::Wide(columns) => {
                for (column, values) in self.columns.iter_mut().zip(columns) {
                    (from..until).for_each(|row| see(&mut column.seen, values.get(row).unwrap()));
                }
                TableRows::Wide(columns.iter().map(|values| slice(values, from, until)).collect())
            }
            TableRows::Long { series, values } => {
                for (row, &of) in series.iter().enumerate().take(until).skip(from) {
                    see(&mut self.columns[of as usize].seen, values.get(row).unwrap());
                }
                TableRows::Long { series: series[from..until].to_vec(), values: slice(values, from, until) }
            }
            _ => unreachable!(),
        };
        let (lines, starts) = (batch.lines[from..until].to_vec(), batch.starts[from..until].to_vec());
        if until < batch.len() {
            self.waiting = Some((batch, until));
        }
        Ok(Some(Batch { lines, starts, rows }))
    }

    fn summary(&self) -> Summary {
        Table::summary(&self.reader)
    }
}

fn see(seen: &mut Seen, value: f64) {
    match value {
        _ if value.is_nan() => seen.missing += 1,
        _ if value.fract() != 0.0 => seen.fractions += 1,
        _ => {
            seen.integers += 1;
            seen.wide_integers += u64::from(value.abs() >= 9_007_199_254_740_992.0);
        }
    }
}

fn slice(values: &ColumnValues, from: usize, until: usize) -> ColumnValues {
    let floats: Vec<f64> = (from..until).map(|row| values.get(row).unwrap()).collect();
    if floats.iter().any(|value| value.fract() != 0.0 && !value.is_nan()) {
        return ColumnValues::Floats(floats);
    }
    let mut words = vec![0_u64; floats.len().div_ceil(64)];
    for (row, _) in floats.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
        words[row / 64] |= 1 << (row % 64);
    }
    let ints = match values {
        ColumnValues::Ints { values, .. } => values[from..until].to_vec(),
        ColumnValues::Floats(_) => floats.iter().map(|&value| value as i64).collect(),
    };
    ColumnValues::Ints { values: ints, validity: Some(words) }
}

async fn take(store: &Store, text: &str, options: IngestOptions) -> Result<Ingested, IngestError> {
    let input = Input::bytes("mast.csv", text.as_bytes().to_vec());
    let other = input.again().unwrap();
    let again: Reopen = Box::new(move || Ok(table(other.again().unwrap())));
    ingest(store, table(input), Some(again), &options, &Watch::default()).await
}

/// As from a pipe: once.
async fn take_once(store: &Store, text: &str, options: IngestOptions) -> Result<Ingested, IngestError> {
    let input = Input::reader("pipe", std::io::Cursor::new(text.as_bytes().to_vec()));
    ingest(store, table(input), None, &options, &Watch::default()).await
}

/// All that the store has: of each series what it is, and its rows with a value, bit by bit; of irregular ones all rows.
async fn contents(store: &Store) -> BTreeMap<String, (String, BTreeMap<i64, String>)> {
    let mut all = BTreeMap::new();
    for (id, spec) in store.series_below("", None, 1_000_000).await.unwrap() {
        let scan = store.scan(id, None).await.unwrap();
        let blocks: Vec<Rows> =
            tokio::task::spawn_blocking(move || scan.map(Result::unwrap).collect()).await.unwrap();
        let mut rows = BTreeMap::new();
        for block in blocks {
            for row in 0..block.len() {
                let value = match block.values() {
                    _ if !block.is_valid(row) => "missing".to_owned(),
                    Values::F64(values) => format!("{:016x}", values[row].to_bits()),
                    Values::F32(values) => format!("{:08x}", values[row].to_bits()),
                    Values::I64(values) => values[row].to_string(),
                    Values::U8(values) => values[row].to_string(),
                    other => panic!("{:?}", other.data_type()),
                };
                if value != "missing" || spec.layout == Layout::Irregular {
                    rows.insert(block.start_ticks(row), value);
                }
            }
        }
        all.insert(spec.key.clone(), (format!("{} {}", spec.data_type, spec.layout), rows));
    }
    all
}

async fn read(store: &Store, key: &str, kind: Kind, period: &str, begin: &str, end: &str) -> Vec<f64> {
    let id = store.find_series(key).await.unwrap().unwrap();
    let snapshot = store.snapshot(&[id]).await.unwrap();
    let range = TimeRange::new(begin.parse().unwrap(), end.parse().unwrap()).unwrap();
    let period: SamplePeriod = period.parse().unwrap();
    let query = Query { kinds: vec![kind], period, range, threshold: None };
    let reading = read_stored(&snapshot, id, query, None).await.unwrap();
    let read = move || reading.flat_map(|block| block.unwrap().remove(0)).collect();
    tokio::task::spawn_blocking(read).await.unwrap()
}

const MAST: &str = "\
time,T1 (°C),status
2020-01-01T00:00:00,1.5,1
2020-01-01T00:10:00,2.5,2
2020-01-01T00:20:00,,3
2020-01-01T00:40:00,4.5,5
2020-01-01T00:50:00,5.5,6
";

#[test]
fn a_table_becomes_series_at_their_period_and_of_their_type() {
    run(async {
        let store = new_store().await;
        let ingested = take(&store, MAST, options()).await.unwrap();
        let keys: Vec<String> =
            ingested.series.iter().map(|series| format!("{} {}", series.key, series.data_type)).collect();
        assert_eq!(keys, ["/plant/mast/T1/10_min FLOAT64", "/plant/mast/status/10_min INT64"]);
        assert_eq!(ingested.series[0].unit.as_deref(), Some("°C"));
        assert_eq!((ingested.series[0].valid, ingested.series[0].missing), (4, 1));
        let series = &ingested.series[0];
        assert_eq!((series.empty_slots, series.gaps), (1, 1));
        assert_eq!(series.first_gap.unwrap().to_string(), "2020-01-01T00:30:00Z");
        assert_eq!((series.resource.as_str(), series.catalog.as_str()), ("T1", "/plant/mast"));
        let hour = ("2020-01-01T00:00", "2020-01-01T01:00");
        let max = read(&store, "/plant/mast/T1/10_min", Kind::Count, "1_h", hour.0, hour.1).await;
        assert_eq!(max, [4.0]);
        let status =
            read(&store, "/plant/mast/status/10_min", Kind::Original, "10_min", hour.0, hour.1).await;
        assert_eq!(status[..3], [1.0, 2.0, 3.0]);
        assert!(status[3].is_nan());
        // Again, with other values: those that are there are replaced, missing ones are not.
        let again = "time,T1\n2020-01-01T00:10:00,\n2020-01-01T00:20:00,3.5\n2020-01-01T00:30:00,4\n";
        take(&store, again, options()).await.unwrap();
        let values = read(&store, "/plant/mast/T1/10_min", Kind::Original, "10_min", hour.0, hour.1).await;
        assert_eq!(values, [1.5, 2.5, 3.5, 4.0, 4.5, 5.5]);
    });
}

#[test]
fn bills_become_irregular_rows() {
    run(async {
        let store = new_store().await;
        let text =
            "start,value\n2019-01-01,310\n2019-02-01,280\n2019-03-01,300\n2019-04-01,290\n2019-05-01,\n";
        let ingested = take(&store, text, options()).await.unwrap();
        assert_eq!(ingested.series[0].layout, Layout::Irregular);
        assert_eq!(ingested.series[0].key, "/plant/mast/value");
        let id = store.find_series("/plant/mast/value").await.unwrap().unwrap();
        assert_eq!(store.spec(id).await.unwrap().layout, Layout::Irregular);
        let rows: Vec<_> = store.scan(id, None).await.unwrap().map(Result::unwrap).collect();
        assert_eq!(rows.iter().map(sheaf_store::Rows::len).sum::<usize>(), 5, "the end is a row, too");
    });
}

#[test]
fn rows_that_lie_badly_are_refused_with_their_line_and_nothing_is_written() {
    run(async {
        let store = new_store().await;
        let second = "2020-01-01T00:00:0";
        let mut text = String::from("time,T1\n");
        (0..9).for_each(|row| text.push_str(&format!("{second}{row},{row}.5\n")));
        let twice = format!("{text}{second}8.2,7\n");
        let error = take(&store, &twice, options()).await.unwrap_err().to_string();
        assert!(
            error.starts_with("mast.csv, line 11: column `T1` has a row at 2020-01-01T00:00:08.2"),
            "{error}"
        );
        let twice = format!("{text}{second}8.05,7.5\n");
        let error = take(&store, &twice, options()).await.unwrap_err().to_string();
        assert!(
            error.starts_with("mast.csv, line 11: column `T1` has a second row for 2020-01-01T00:00:08"),
            "{error}"
        );
        assert_eq!(store.find_series("/plant/mast/T1/1_s").await.unwrap(), None);
        let aligned = IngestOptions { align: true, ..options() };
        take(&store, &twice, aligned).await.unwrap();
        let values = read(
            &store,
            "/plant/mast/T1/1_s",
            Kind::Last,
            "9_s",
            "2020-01-01T00:00:00",
            "2020-01-01T00:00:09",
        );
        assert_eq!(values.await, [7.5]);
        for (text, wanted) in [
            ("time,T1\n2020-01-01,1\n", "too few rows"),
            (
                "time,a b,a-b\n2020-01-01,1,2\n2020-01-02,1,2\n",
                "would become resource `a_b`, and so would column `a b`",
            ),
            ("time,T1\n2020-01-01,9007199254740993\n2020-01-02,1.5\n", "beyond 2^53"),
        ] {
            let error = take(&store, text, options()).await.unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
    });
}

// --- Larger than memory ---

/// A table that proptest can shrink.
#[derive(Clone, Debug)]
struct Sheet {
    long: bool,
    irregular: bool,
    /// Of each row: how many slots after the one before, how far from the slot in hundredths, and values.
    rows: Vec<(i64, i64, Vec<Cell>)>,
    /// Rows that are moved back by so many places.
    late: Vec<(usize, usize)>,
    columns: usize,
}

#[derive(Clone, Copy, Debug)]
enum Cell {
    Missing,
    Int(i64),
    Fraction(i64),
}

fn sheet() -> impl Strategy<Value = Sheet> {
    let cell = |ints: bool| {
        prop_oneof![
            1 => Just(Cell::Missing),
            12 => (-9_i64..100).prop_map(Cell::Int),
            if ints { 0 } else { 2 } => (-9_i64..100).prop_map(Cell::Fraction),
        ]
    };
    let row = move || {
        let step = prop_oneof![20 => Just(1_i64), 2 => Just(0), 2 => 2_i64..9, 1 => Just(2000)];
        let jitter = prop_oneof![20 => Just(0_i64), 2 => -9_i64..10, 1 => -40_i64..40];
        // Whether a column has fractions only late, early or never follows from where the first one is.
        let cells = (cell(true), cell(false), prop_oneof![200 => cell(true), 1 => cell(false)]);
        (step, jitter, cells.prop_map(|(a, b, c)| vec![a, b, c]))
    };
    let late = proptest::collection::vec((20_usize..200, 1_usize..60), 0..6);
    (any::<bool>(), any::<bool>(), proptest::collection::vec(row(), 20..200), late, 1_usize..4)
        .prop_map(|(long, irregular, rows, late, columns)| Sheet { long, irregular, rows, late, columns })
}

impl Sheet {
    fn text(&self) -> String {
        let mut lines = Vec::new();
        let mut slot = 0;
        for (at, (step, jitter, cells)) in self.rows.iter().enumerate() {
            // The first rows say how all of them lie.
            let (step, jitter) = if at < 16 { (1, 0) } else { (*step, *jitter) };
            slot += step;
            let start = Tick::new(
                "2020-01-01".parse::<Tick>().unwrap().ticks()
                    + slot * Tick::PER_SECOND
                    + jitter * Tick::PER_SECOND / 100,
            );
            let time = start.unwrap();
            let text = |cell: &Cell| match cell {
                Cell::Missing => String::new(),
                Cell::Int(value) => value.to_string(),
                Cell::Fraction(value) => format!("{value}.5"),
            };
            let cells: Vec<String> = cells.iter().take(self.columns).map(text).collect();
            lines.push(if self.long {
                let rows = cells.iter().enumerate().map(|(column, cell)| format!("{time},c{column},{cell}"));
                rows.collect::<Vec<_>>().join("\n")
            } else {
                format!("{time},{}", cells.join(","))
            });
        }
        for &(at, back) in &self.late {
            if at < lines.len() {
                let line = lines.remove(at);
                lines.insert(at.saturating_sub(back).max(16), line);
            }
        }
        let mut text = if self.long {
            "time,series,value\n".to_owned()
        } else {
            let columns: Vec<String> = (0..self.columns).map(|column| format!("c{column}")).collect();
            format!("time,{}\n", columns.join(","))
        };
        lines.iter().for_each(|line| writeln!(text, "{line}").unwrap());
        text
    }

    fn options(&self, align: bool) -> IngestOptions {
        IngestOptions { irregular: self.irregular, align, ..options() }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_table_in_pieces_is_the_table_as_a_whole(
        sheet in sheet(),
        align in prop_oneof![4 => Just(true), 1 => Just(false)],
        budget_bytes in prop_oneof![Just(1_usize), 500_usize..5000],
    ) {
        let text = sheet.text();
        let result = run(async {
            let (whole, pieces) = (new_store().await, new_store().await);
            let options = sheet.options(align);
            let first = take(&whole, &text, options.clone()).await;
            let second = take(&pieces, &text, IngestOptions { budget_bytes, ..options }).await;
            match (first, second) {
                (Ok(first), Ok(second)) => {
                    let reports = |ingested: &Ingested| format!("{:#?}", ingested.series);
                    let (first, second) = (reports(&first), reports(&second));
                    if first != second {
                        return Err(format!("whole: {first}\nin pieces: {second}"));
                    }
                }
                (Err(_), Err(_)) => {}
                (Ok(_), Err(error)) => return Err(format!("only refused in pieces: {}", in_full(&error))),
                (Err(error), Ok(_)) => return Err(format!("only refused as a whole: {}", in_full(&error))),
            }
            let (whole, pieces) = (contents(&whole).await, contents(&pieces).await);
            if whole == pieces { Ok(()) } else { Err(format!("whole: {whole:#?}\nin pieces: {pieces:#?}")) }
        });
        result.map_err(TestCaseError::fail)?;
    }
}

/// One row a second from 2020 on.
fn seconds(rows: impl Iterator<Item = (i64, String)>) -> String {
    let base = "2020-01-01".parse::<Tick>().unwrap().ticks();
    let mut text = String::from("time,T1\n");
    for (second, value) in rows {
        writeln!(text, "{},{value}", Tick::new(base + second * Tick::PER_SECOND).unwrap()).unwrap();
    }
    text
}

fn count(rows: i64) -> String {
    seconds((0..rows).map(|second| (second, second.to_string())))
}

#[test]
fn a_second_row_is_found_long_after_the_first_one() {
    run(async {
        let disk = FaultyDisk::new();
        let store = store_on(&disk).await;
        let text = format!("{}2020-01-01T00:00:03Z,7\n", count(2000));
        let error = take(&store, &text, in_pieces()).await.unwrap_err().to_string();
        assert!(
            error.starts_with("mast.csv, line 2002: column `T1` has a second row for 2020-01-01T00:00:03Z"),
            "{error}"
        );
        // Nothing of it is there, no series, no file and no announcement.
        assert_eq!(contents(&store).await, BTreeMap::new());
        assert!(!disk.names().iter().any(|name| name.starts_with("segments/")), "{:?}", disk.names());
        assert_eq!(store.stats().await.unwrap().pending_files, 0);

        let aligned = IngestOptions { align: true, ..in_pieces() };
        let ingested = take(&store, &text, aligned.clone()).await.unwrap();
        let series = &ingested.series[0];
        assert_eq!((series.duplicates.rows, series.duplicates.first), (1, Some(2002)));
        assert_eq!((series.out_of_order.rows, series.out_of_order.first), (1, Some(2002)));
        let (_, rows) = &contents(&store).await["/plant/mast/T1/1_s"];
        assert_eq!((rows.len(), rows.values().nth(3).unwrap().as_str()), (2000, "7"));
        // A later row without a value takes nothing away, in pieces as well as in whole.
        for options in [aligned, IngestOptions { align: true, ..options() }] {
            let text = format!("{}2020-01-01T00:00:05Z,\n", count(2000));
            take(&store, &text, options).await.unwrap();
            assert_eq!(contents(&store).await["/plant/mast/T1/1_s"].1.values().nth(5).unwrap(), "5");
        }
        // Late rows in a gap are no second ones.
        let store = new_store().await;
        let rows = (0..500).chain(600..1500).chain(500..600).map(|second| (second, "1".to_owned()));
        let ingested = take(&store, &seconds(rows), in_pieces()).await.unwrap();
        let series = &ingested.series[0];
        assert_eq!((series.gaps, series.out_of_order.rows, series.duplicates.rows), (0, 100, 0));
        assert_eq!(contents(&store).await["/plant/mast/T1/1_s"].1.len(), 1500);
    });
}

#[test]
fn rows_that_contradict_the_first_ones_are_refused() {
    run(async {
        let store = new_store().await;
        for (row, wanted) in [
            (
                "2020-01-01T00:16:40.5Z,1",
                "line 1002: column `T1` has a row at 2020-01-01T00:16:40.5000000Z, more than a tenth",
            ),
            ("2020-01-01T00:16:39.05Z,1", "line 1002: column `T1` has a second row for"),
        ] {
            let text = format!("{}{row}\n", count(1000));
            let error = take(&store, &text, in_pieces()).await.unwrap_err().to_string();
            assert!(error.contains(wanted) && error.contains("(--align)"), "{error}");
        }
        let text = format!("{}2020-01-01T00:16:40Z,128\n", count(100));
        let narrow = IngestOptions { data_type: Some(DataType::Uint8), ..in_pieces() };
        take(&store, &text, narrow.clone()).await.unwrap();
        let text = format!("{}2020-01-01T00:16:40Z,256\n", count(100));
        let error = take(&store, &text, narrow).await.unwrap_err().to_string();
        assert_eq!(
            error,
            "mast.csv, line 102: column `T1` has 256, which no UINT8 holds exactly; take another type (--type)"
        );
        // The type of the series holds for the next file, too.
        let error = take(&store, &text, in_pieces()).await.unwrap_err().to_string();
        assert!(
            error.contains(
                "line 102: column `T1` has 256, which no UINT8 holds exactly, the type of the series"
            ),
            "{error}"
        );
        let other = IngestOptions { data_type: Some(DataType::Int16), ..options() };
        let error = take(&store, &text, other).await.unwrap_err().to_string();
        assert!(
            error.contains("was to be INT16 (--type), but series `/plant/mast/T1/1_s` is UINT8"),
            "{error}"
        );
    });
}

#[test]
fn a_late_fraction_makes_reading_begin_again() {
    run(async {
        let text = format!("{}2020-01-01T00:16:40Z,0.5\n", count(1000));
        let store = new_store().await;
        let ingested = take(&store, &text, in_pieces()).await.unwrap();
        assert_eq!((ingested.series[0].data_type, ingested.series[0].promoted), (DataType::Float64, false));
        assert_eq!(contents(&store).await["/plant/mast/T1/1_s"].1.len(), 1001);
        let stats = store.stats().await.unwrap();
        assert_eq!((stats.series, stats.pending_files), (1, 0));

        let store = new_store().await;
        let error = take_once(&store, &text, in_pieces()).await.unwrap_err().to_string();
        assert!(
            error.starts_with("pipe, line 1002: column `T1` has a fraction")
                && error.contains("--type FLOAT64"),
            "{error}"
        );
        assert_eq!(contents(&store).await, BTreeMap::new());
        let asked = IngestOptions { data_type: Some(DataType::Float64), ..in_pieces() };
        take_once(&store, &text, asked).await.unwrap();
        // As a whole it can be read once.
        take_once(&new_store().await, &text, options()).await.unwrap();
    });
}

#[test]
fn stored_integers_become_floats_if_all_of_them_can() {
    run(async {
        for pieces in [options(), in_pieces()] {
            let store = new_store().await;
            take(&store, &count(1000), options()).await.unwrap();
            // Floats without a fraction are integers.
            let text = "time,T1\n2020-01-01T00:00:00,5.0\n2020-01-01T00:00:01,6\n2020-01-01T00:00:02,\n";
            let plain = CsvReader::open(Input::bytes("mast.csv", text), CsvOptions::default()).unwrap();
            let ingested = ingest(&store, Box::new(plain), None, &pieces, &Watch::default()).await.unwrap();
            assert_eq!((ingested.series[0].data_type, ingested.series[0].promoted), (DataType::Int64, false));
            let text = format!("{}2020-01-01T00:16:40Z,0.5\n", count(1000));
            let ingested = take(&store, &text, pieces.clone()).await.unwrap();
            assert_eq!(
                (ingested.series[0].data_type, ingested.series[0].promoted),
                (DataType::Float64, true)
            );
            let all = contents(&store).await;
            assert_eq!(all.keys().collect::<Vec<_>>(), ["/plant/mast/T1/1_s"]);
            let (_, rows) = &all["/plant/mast/T1/1_s"];
            assert_eq!(rows.len(), 1001);
            assert_eq!(rows.values().nth(999).unwrap(), &format!("{:016x}", 999_f64.to_bits()));
            // From here on integers are floats.
            let ingested = take(&store, &count(10), pieces.clone()).await.unwrap();
            assert_eq!(
                (ingested.series[0].data_type, ingested.series[0].promoted),
                (DataType::Float64, false)
            );
            let wide = "time,T1\n2020-01-01T00:00:00,9007199254740993\n2020-01-01T00:00:01,6\n2020-01-01T00:00:02,\n";
            let error = take(&store, wide, pieces.clone()).await.unwrap_err().to_string();
            assert!(
                error.contains("line 2: column `T1` has 9007199254740993, which no FLOAT64 holds"),
                "{error}"
            );

            let store = new_store().await;
            take(&store, wide, options()).await.unwrap();
            let before = contents(&store).await;
            let error = take(&store, &text, pieces).await.unwrap_err();
            assert!(error.is_invalid_input(), "{error:?}");
            assert!(
                in_full(&error).contains("its value at 2020-01-01T00:00:00Z is 9007199254740993"),
                "{}",
                in_full(&error)
            );
            assert_eq!(contents(&store).await, before);
        }
    });
}

#[test]
fn the_phase_of_a_series_holds() {
    run(async {
        let store = new_store().await;
        let rows = |offset: i64| {
            let base = "2020-01-01".parse::<Tick>().unwrap().ticks();
            (0..50).fold(String::from("time,T1\n"), |text, row| {
                let start = base + (row * 600 + offset) * Tick::PER_SECOND;
                format!("{text}{},{row}\n", Tick::new(start).unwrap())
            })
        };
        take(&store, &rows(300), options()).await.unwrap();
        let error = take(&store, &rows(0), options()).await.unwrap_err().to_string();
        assert!(
            error.contains("start 0 s after the multiples of 10_min")
                && error.contains("start 300 s after them"),
            "{error}"
        );
        let aligned = IngestOptions { align: true, ..options() };
        let ingested = take(&store, &rows(299), aligned).await.unwrap();
        assert_eq!(
            (ingested.series[0].jittered.rows, ingested.series[0].most_jitter_ticks),
            (50, Tick::PER_SECOND)
        );
        assert_eq!(contents(&store).await["/plant/mast/T1/10_min"].1.len(), 50);
        // Another period is another representation.
        take(&store, &count(10), options()).await.unwrap();
        assert_eq!(contents(&store).await.len(), 2);
    });
}

#[test]
fn a_long_table_may_bring_many_series_late() {
    run(async {
        let store = new_store().await;
        let base = "2020-01-01".parse::<Tick>().unwrap().ticks();
        let mut text = String::from("time,series,value\n");
        for series in 0..300 {
            for row in 0..12 {
                let start = Tick::new(base + row * 3600 * Tick::PER_SECOND).unwrap();
                // Every third one has fractions, but only in the end.
                let half = if series % 3 == 0 && row == 11 { ".5" } else { "" };
                writeln!(text, "{start},meter {series},{}{half}", series * 100 + row).unwrap();
            }
        }
        let budget = IngestOptions { budget_bytes: 20_000, ..options() };
        let ingested = take(&store, &text, budget).await.unwrap();
        assert_eq!(ingested.series.len(), 300);
        let all = contents(&store).await;
        assert_eq!(all.len(), 300);
        for (at, series) in ingested.series.iter().enumerate() {
            assert_eq!(series.key, format!("/plant/mast/meter_{at}/1_h"));
            let data_type = if at % 3 == 0 { DataType::Float64 } else { DataType::Int64 };
            assert_eq!((series.data_type, all[&series.key].1.len()), (data_type, 12));
        }
    });
}

#[test]
fn two_may_write_the_same_new_series_at_once() {
    run(async {
        let store = new_store().await;
        let early = count(1000);
        let late = seconds((1000..2000).map(|second| (second, format!("{second}.5"))));
        let other = store.clone();
        let beside = tokio::spawn(async move { take(&other, &early, in_pieces()).await });
        take(&store, &late, in_pieces()).await.unwrap();
        beside.await.unwrap().unwrap();
        let all = contents(&store).await;
        let (what, rows) = &all["/plant/mast/T1/1_s"];
        assert_eq!((what.as_str(), rows.len(), all.len()), ("FLOAT64 period 1_s", 2000, 1));
    });
}

/// Yields lines until somebody has had enough.
struct Endless {
    second: i64,
    watch: Watch,
    /// What is left of the line that was begun.
    line: Vec<u8>,
}

impl Read for Endless {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.line.is_empty() {
            let base = "2020-01-01".parse::<Tick>().unwrap().ticks();
            // Three batches are written by then.
            if self.second == 200_000 {
                self.watch.cancel();
            }
            let line = match self.second {
                0 => "time,T1\n".to_owned(),
                second => format!("{},{second}\n", Tick::new(base + second * Tick::PER_SECOND).unwrap()),
            };
            self.second += 1;
            self.line = line.into_bytes();
        }
        let len = into.len().min(self.line.len());
        into[..len].copy_from_slice(&self.line[..len]);
        self.line.drain(..len);
        Ok(len)
    }
}

#[test]
fn cancelled_it_leaves_nothing() {
    run(async {
        let disk = FaultyDisk::new();
        let store = store_on(&disk).await;
        let watch = Watch::default();
        let input = Input::reader("endless", Endless { second: 0, watch: watch.clone(), line: Vec::new() });
        let table = CsvReader::open(input, CsvOptions::default()).unwrap();
        let error = ingest(&store, Box::new(table), None, &in_pieces(), &watch).await.unwrap_err();
        assert!(error.is_cancelled(), "{error:?}");
        assert_eq!(contents(&store).await, BTreeMap::new());
        assert!(!disk.names().iter().any(|name| name.starts_with("segments/")));
        assert_eq!(store.stats().await.unwrap().pending_files, 0);
    });
}

#[test]
fn a_full_disk_leaves_nothing() {
    run(async {
        let disk = FaultyDisk::new();
        let store = store_on(&disk).await;
        take(&store, &count(100), options()).await.unwrap();
        let before = (contents(&store).await, disk.names());
        disk.set_space(Some(3000));
        let text = seconds((0..20_000).map(|second| (second, format!("{}", second * second % 7919))));
        let error =
            take(&store, &text, IngestOptions { budget_bytes: 100_000, ..options() }).await.unwrap_err();
        assert!(
            !error.is_invalid_input() && in_full(&error).contains("faulty:/segments/"),
            "{}",
            in_full(&error)
        );
        disk.set_space(None);
        assert_eq!((contents(&store).await, disk.names()), before);
        assert_eq!(store.stats().await.unwrap().pending_files, 0);
    });
}
