//! What a write does, in numbers that can be checked by hand.

use std::collections::BTreeMap;

use sheaf_model::{DataType, SamplePeriod, Samples, Tick, Values};
use sheaf_store::manifest::{Manifest, Stored};
use sheaf_store::{
    InvalidRows, Layout, Rows, SeriesId, SeriesSpec, Settings, Starts, Store, StoreError, Write,
};

use super::world::{base, compact_all, irregular, new_store, open, read_now, regular, run, settings, ticks};

const SECOND: i64 = Tick::PER_SECOND;

fn spec() -> SeriesSpec {
    regular("/a/T1/1_s", DataType::Float64, "1_s", 0)
}

fn tick(start: i64) -> Tick {
    Tick::new(start).unwrap()
}

fn samples(slot: i64, values: impl Into<Values>) -> Samples {
    Samples::new(tick(base() + slot * SECOND), "1_s".parse().unwrap(), values.into()).unwrap()
}

fn listed(starts: &[i64], values: impl Into<Values>) -> Rows {
    Rows::listed(starts.iter().map(|&start| tick(start)).collect(), values.into()).unwrap()
}

/// Values of doubles by second; none where a row has no value.
async fn found(store: &Store, id: SeriesId) -> BTreeMap<i64, Option<f64>> {
    let rows = read_now(store, id).await.unwrap();
    rows.into_iter()
        .map(|(start, cell)| ((start - base()) / SECOND, cell.value.map(f64::from_bits)))
        .collect()
}

fn wanted<const N: usize>(rows: [(i64, f64); N]) -> BTreeMap<i64, Option<f64>> {
    rows.into_iter().map(|(second, value)| (second, Some(value))).collect()
}

/// Runs a case with writes that go to the tail and with writes that go to segments, before and after compaction.
fn in_every_place(case: impl AsyncFn(Store, SeriesId, SeriesId)) {
    for tail_write_bytes in [64 << 10, 0] {
        run(async {
            let specs = [spec(), irregular("/traces/bill", DataType::Float64)];
            let (_, _, store, ids) = new_store(&specs, Settings { tail_write_bytes, ..settings() }).await;
            case(store, ids[0], ids[1]).await;
        });
    }
}

/// Compares now and after compaction.
async fn assert_found<const N: usize>(store: &Store, id: SeriesId, rows: [(i64, f64); N]) {
    assert_eq!(found(store, id).await, wanted(rows));
    compact_all(store).await;
    assert_eq!(found(store, id).await, wanted(rows), "after compaction");
}

#[test]
fn the_last_write_wins_sample_by_sample_and_a_missing_one_never_blanks() {
    in_every_place(async |store, regular, _| {
        store.write(Write::new().rows(regular, samples(0, vec![1.0, 2.0, 3.0]))).await.unwrap();
        store.write(Write::new().rows(regular, samples(1, vec![f64::NAN, 30.0, 40.0]))).await.unwrap();
        assert_found(&store, regular, [(0, 1.0), (1, 2.0), (2, 30.0), (3, 40.0)]).await;
    });
}

#[test]
fn the_later_of_two_batches_in_a_write_counts() {
    in_every_place(async |store, regular, _| {
        let write = Write::new()
            .rows(regular, samples(0, vec![1.0, 1.0, 1.0]))
            .rows(regular, samples(1, vec![2.0, f64::NAN]))
            .rows(regular, samples(2, vec![3.0]));
        store.write(write).await.unwrap();
        assert_found(&store, regular, [(0, 1.0), (1, 2.0), (2, 3.0)]).await;
    });
}

#[test]
fn a_deletion_leaves_the_rows_of_its_own_write() {
    in_every_place(async |store, regular, _| {
        store.write(Write::new().rows(regular, samples(0, vec![1.0, 1.0, 1.0, 1.0]))).await.unwrap();
        let gone = ticks(base(), base() + 3 * SECOND);
        store.write(Write::new().rows(regular, samples(1, vec![2.0])).delete(regular, gone)).await.unwrap();
        assert_found(&store, regular, [(1, 2.0), (3, 1.0)]).await;
    });
}

#[test]
fn a_deletion_takes_the_rows_that_start_in_it() {
    in_every_place(async |store, regular, irregular| {
        let starts = [0, 1, 2, 3].map(|second| base() + second * SECOND);
        store.write(Write::new().rows(regular, samples(0, vec![0.0, 1.0, 2.0, 3.0]))).await.unwrap();
        store.write(Write::new().rows(irregular, listed(&starts, vec![0.0, 1.0, 2.0, 3.0]))).await.unwrap();
        // From a tick after the first start up to the third start, which is not in it.
        let gone = ticks(base() + 1, base() + 2 * SECOND);
        let write = Write::new().delete(regular, gone).delete(irregular, gone);
        store.write(write).await.unwrap();
        assert_found(&store, regular, [(0, 0.0), (2, 2.0), (3, 3.0)]).await;
        assert_found(&store, irregular, [(0, 0.0), (2, 2.0), (3, 3.0)]).await;
        // What is written after a deletion is there.
        store.write(Write::new().rows(regular, samples(1, vec![9.0]))).await.unwrap();
        assert_found(&store, regular, [(0, 0.0), (1, 9.0), (2, 2.0), (3, 3.0)]).await;
    });
}

#[test]
fn an_irregular_row_without_a_value_is_a_row_where_there_is_no_other() {
    in_every_place(async |store, _, irregular| {
        let [first, second] = [base(), base() + SECOND];
        store.write(Write::new().rows(irregular, listed(&[first], vec![1.0]))).await.unwrap();
        let without = listed(&[first, second], vec![f64::NAN, f64::NAN]).with_estimated(vec![0b10]).unwrap();
        store.write(Write::new().rows(irregular, without)).await.unwrap();
        for _ in 0..2 {
            assert_eq!(found(&store, irregular).await, BTreeMap::from([(0, Some(1.0)), (1, None)]));
            let rows = read_now(&store, irregular).await.unwrap();
            assert_eq!(rows.values().map(|cell| cell.estimated).collect::<Vec<_>>(), [false, true]);
            compact_all(&store).await;
        }
        store.write(Write::new().rows(irregular, listed(&[second], vec![2.0]))).await.unwrap();
        assert_found(&store, irregular, [(0, 1.0), (1, 2.0)]).await;
    });
}

#[test]
fn rows_may_come_in_any_order_and_with_any_bits() {
    in_every_place(async |store, regular, _| {
        let starts = [5, 0, 3].map(|second| base() + second * SECOND);
        store
            .write(Write::new().rows(regular, listed(&starts, vec![f64::INFINITY, -0.0, 5e-324])))
            .await
            .unwrap();
        for _ in 0..2 {
            let bits: Vec<u64> =
                read_now(&store, regular).await.unwrap().values().map(|cell| cell.value.unwrap()).collect();
            assert_eq!(bits, [-0.0, 5e-324, f64::INFINITY].map(f64::to_bits));
            compact_all(&store).await;
        }
    });
}

#[test]
fn a_write_is_visible_as_a_whole_or_not_at_all() {
    run(async {
        let specs = [spec(), irregular("/traces/bill", DataType::Float64)];
        let (_, _, store, ids) = new_store(&specs, settings()).await;
        let before = store.head().await.unwrap();
        // The second part does not fit its series.
        let write = Write::new()
            .rows(ids[0], samples(0, vec![1.0]))
            .rows(ids[1], listed(&[base()], vec![1_i64]))
            .key("whole or nothing");
        assert!(matches!(store.write(write).await, Err(StoreError::InvalidRows { .. })));
        assert_eq!((found(&store, ids[0]).await.len(), store.head().await.unwrap()), (0, before));
        // The key was not used up.
        let write =
            Write::new().rows(ids[0], samples(0, vec![1.0])).rows(ids[1], listed(&[base()], vec![1.0]));
        let receipt = store.write(write.key("whole or nothing")).await.unwrap();
        assert_eq!((receipt.commit, receipt.repeated), (before.0 + 1, false));
    });
}

#[test]
fn an_idempotency_key_writes_once() {
    in_every_place(async |store, regular, _| {
        let write = |value| Write::new().rows(regular, samples(0, vec![value])).key("import 7");
        let first = store.write(write(1.0)).await.unwrap();
        store.write(Write::new().rows(regular, samples(0, vec![5.0]))).await.unwrap();
        let again = store.write(write(1.0)).await.unwrap();
        assert_eq!((first.repeated, again.repeated, again.commit), (false, true, first.commit));
        let error = store.write(write(2.0)).await.unwrap_err();
        assert!(
            matches!(&error, StoreError::KeyReused { key, commit } if key == "import 7" && *commit == first.commit)
        );
        assert!(error.is_invalid_input());
        assert_found(&store, regular, [(0, 5.0)]).await;
        assert_eq!(store.stats().await.unwrap().pending_files, 0);
        for len in [0, 256] {
            let result = store.write(Write::new().key("k".repeat(len))).await;
            assert!(matches!(result, Err(StoreError::InvalidKey { len: found }) if found == len));
        }
        assert!(store.write(Write::new().key("k".repeat(255))).await.is_ok());
    });
}

#[test]
fn nothing_is_not_a_commit() {
    in_every_place(async |store, regular, irregular| {
        let head = store.head().await.unwrap();
        let nothing = Write::new()
            .rows(regular, samples(0, vec![f64::NAN; 10]))
            .rows(regular, samples(0, Vec::<f64>::new()))
            .rows(irregular, listed(&[], Vec::<f64>::new()));
        assert_eq!(store.write(nothing).await.unwrap().commit, head.0);
        assert_eq!(store.write(Write::new()).await.unwrap().commit, head.0);
        assert_eq!(store.head().await.unwrap(), head);
        assert_eq!(found(&store, regular).await, BTreeMap::new());
    });
}

#[test]
fn rows_that_do_not_fit_are_refused_with_the_reason() {
    run(async {
        let shifted = regular("/a/shifted", DataType::Float64, "1_s", 1000);
        let specs = [spec(), shifted, irregular("/traces/bill", DataType::Float64)];
        let (_, _, store, ids) = new_store(&specs, settings()).await;
        let refusal = async |id, rows: Rows| match store.write(Write::new().rows(id, rows)).await {
            Err(StoreError::InvalidRows { problem, .. }) => problem,
            other => panic!("{other:?}"),
        };
        let (second, minute): (SamplePeriod, SamplePeriod) =
            ("1_s".parse().unwrap(), "1_min".parse().unwrap());

        let (found, wanted) = (DataType::Int64, DataType::Float64);
        assert_eq!(
            refusal(ids[0], listed(&[base()], vec![1_i64])).await,
            InvalidRows::DataType { found, wanted }
        );

        let minutes = Samples::new(tick(base()), minute, Values::F64(vec![1.0, 2.0])).unwrap();
        let period = InvalidRows::Period { found: minute, wanted: Some(second) };
        assert_eq!(refusal(ids[0], minutes.into()).await, period);

        let off =
            InvalidRows::OffGrid { row: 1, start: tick(base() + SECOND + 1), period: second, phase_ticks: 0 };
        assert_eq!(refusal(ids[0], listed(&[base(), base() + SECOND + 1], vec![1.0, 2.0])).await, off);
        let off = InvalidRows::OffGrid { row: 0, start: tick(base()), period: second, phase_ticks: 1000 };
        assert_eq!(refusal(ids[1], samples(0, vec![1.0]).into()).await, off);

        let twice = InvalidRows::Duplicate { start: tick(base() + SECOND) };
        let starts = [base() + SECOND, base(), base() + SECOND];
        assert_eq!(refusal(ids[0], listed(&starts, vec![1.0, 2.0, 3.0])).await, twice);
        assert_eq!(refusal(ids[2], listed(&starts, vec![1.0, 2.0, 3.0])).await, twice);

        // The last second of the year 9999 would end a tick too late.
        let last = Tick::MAX.ticks() + 1 - SECOND;
        let late = InvalidRows::OutOfTime { row: 0, start_ticks: last };
        assert_eq!(refusal(ids[0], listed(&[last], vec![1.0])).await, late);
        let late = InvalidRows::OutOfTime { row: 0, start_ticks: Tick::MAX.ticks() };
        assert_eq!(refusal(ids[2], listed(&[Tick::MAX.ticks()], vec![1.0])).await, late);

        let estimated = listed(&[base()], vec![1.0]).with_estimated(vec![1]).unwrap();
        assert_eq!(refusal(ids[0], estimated).await, InvalidRows::Estimated);
        // The message names the series, and what was wrong with which row.
        let error =
            store.write(Write::new().rows(ids[0], listed(&[base() + 1], vec![1.0]))).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains("/a/T1/1_s") && text.contains("row 0") && error.is_invalid_input(), "{text}");
    });
}

#[test]
fn the_first_and_the_last_slot_of_time_can_be_used() {
    in_every_place(async |store, regular, irregular| {
        let last = Tick::MAX.ticks() + 1 - 2 * SECOND;
        store.write(Write::new().rows(regular, listed(&[0, last], vec![1.0, 2.0]))).await.unwrap();
        let last_tick = Tick::MAX.ticks() - 1;
        store.write(Write::new().rows(irregular, listed(&[0, last_tick], vec![1.0, 2.0]))).await.unwrap();
        for _ in 0..2 {
            assert_eq!(read_now(&store, regular).await.unwrap().into_keys().collect::<Vec<_>>(), [0, last]);
            assert_eq!(
                read_now(&store, irregular).await.unwrap().into_keys().collect::<Vec<_>>(),
                [0, last_tick]
            );
            compact_all(&store).await;
        }
        store.delete(regular, ticks(0, Tick::MAX.ticks())).await.unwrap();
        assert_eq!(read_now(&store, regular).await.unwrap().len(), 0);
    });
}

#[test]
fn a_grid_goes_into_an_irregular_series_row_by_row() {
    in_every_place(async |store, _, irregular| {
        store.write(Write::new().rows(irregular, samples(0, vec![1.0, 2.0, 3.0]))).await.unwrap();
        assert_found(&store, irregular, [(0, 1.0), (1, 2.0), (2, 3.0)]).await;
    });
}

#[test]
fn a_snapshot_shows_what_was() {
    in_every_place(async |store, regular, _| {
        store.write(Write::new().rows(regular, samples(0, vec![1.0, 2.0]))).await.unwrap();
        let snapshot = store.snapshot(&[regular]).await.unwrap();
        let then = store.head().await.unwrap();
        assert_eq!((snapshot.commit(), snapshot.nonce()), then);
        store.write(Write::new().rows(regular, samples(1, vec![20.0, 30.0]))).await.unwrap();
        store.delete(regular, ticks(base(), base() + SECOND)).await.unwrap();
        compact_all(&store).await;
        let old = super::world::read(&snapshot, regular, None).await.unwrap();
        let old: Vec<f64> = old.values().map(|cell| f64::from_bits(cell.value.unwrap())).collect();
        assert_eq!(old, [1.0, 2.0]);
        assert_found(&store, regular, [(1, 20.0), (2, 30.0)]).await;

        let now = store.snapshot(&[regular]).await.unwrap();
        assert!(now.knows(then.0, then.1).await.unwrap() && !now.knows(then.0, then.1 ^ 1).await.unwrap());
        // Compaction is no change; the write and the deletion lie side by side.
        assert_eq!(now.changed_since(regular, then.0).unwrap(), [ticks(base(), base() + 3 * SECOND)]);
        assert_eq!(now.changed_since(regular, now.commit()).unwrap(), []);
        assert!(matches!(now.changed_since(SeriesId(99), 0), Err(StoreError::UnknownSeries(SeriesId(99)))));
    });
}

#[test]
fn chunks_of_a_long_series_are_bounded_and_leave_out_long_gaps() {
    run(async {
        let settings = Settings { segment_most_rows: 1 << 20, ..settings() };
        let (_, _, store, ids) = new_store(&[spec()], settings).await;
        let len = 300_000;
        store
            .write(Write::new().rows(ids[0], samples(0, (0..len).map(f64::from).collect::<Vec<_>>())))
            .await
            .unwrap();
        store.write(Write::new().rows(ids[0], samples(500_000, vec![7.0]))).await.unwrap();
        let scan = store.scan(ids[0], None).await.unwrap();
        let chunks: Vec<(i64, usize)> = tokio::task::spawn_blocking(|| {
            scan.map(|rows| rows.unwrap())
                .map(|rows| match rows.starts() {
                    Starts::Grid { first_ticks, .. } => ((first_ticks - base()) / SECOND, rows.len()),
                    Starts::Listed(_) => panic!("a regular series is read as grids"),
                })
                .collect()
        })
        .await
        .unwrap();
        assert_eq!(chunks, [(0, 131_072), (131_072, 131_072), (262_144, 37_856), (500_000, 1)]);
    });
}

#[test]
fn chunks_of_irregular_rows_are_bounded_however_many_writes_overlap() {
    run(async {
        let (_, _, store, ids) = new_store(&[irregular("/traces/bill", DataType::Float64)], settings()).await;
        // Each write has every fifth row of all time.
        let per_write = 60_000;
        for write in 0..5_i64 {
            let starts: Vec<i64> = (0..per_write).map(|row| base() + (row * 5 + write) * SECOND).collect();
            let values: Vec<f64> = (0..per_write).map(|row| (row * 5 + write) as f64).collect();
            store.write(Write::new().rows(ids[0], listed(&starts, values))).await.unwrap();
        }
        let scan = store.scan(ids[0], None).await.unwrap();
        let chunks: Vec<Rows> =
            tokio::task::spawn_blocking(|| scan.map(|rows| rows.unwrap()).collect()).await.unwrap();
        let lens: Vec<usize> = chunks.iter().map(Rows::len).collect();
        assert!(lens.iter().all(|&len| len <= 131_072), "{lens:?}");
        let mut expected = 0;
        for rows in chunks {
            for row in 0..rows.len() {
                assert_eq!(rows.start_ticks(row), base() + expected * SECOND);
                assert_eq!(rows.values().get(row), Some(expected as f64));
                expected += 1;
            }
        }
        assert_eq!(expected, 5 * per_write);
    });
}

#[test]
fn series_are_made_once_and_found_again() {
    run(async {
        let (disk, manifest, store, ids) = new_store(&[spec()], settings()).await;
        assert_eq!(store.create_series(&[spec(), spec()]).await.unwrap(), [ids[0], ids[0]]);
        let found = store.find_all(&["/a/T1/1_s".to_owned(), "/nowhere".to_owned()]).await.unwrap();
        assert_eq!(found, [Some(ids[0]), None]);
        let other = SeriesSpec { data_type: DataType::Int16, ..spec() };
        let new = regular("/b", DataType::Float64, "1_s", 0);
        let error = store.create_series(&[new, other]).await.unwrap_err();
        assert!(matches!(error, StoreError::SeriesDiffers { .. }) && error.is_invalid_input());
        assert_eq!(store.find_series("/b").await.unwrap(), None, "none of them is made");
        assert_eq!(store.series_below("", None, 10).await.unwrap(), [(ids[0], spec())]);
        assert_eq!(store.series_below("/a/", Some("/a/T1/1_s"), 10).await.unwrap(), []);
        for (key, phase) in [("", 0), ("zero\0", 0), ("phase", SECOND), ("phase", -1)] {
            let result = store.create_series(&[regular(key, DataType::Float64, "1_s", phase)]).await;
            assert!(matches!(result, Err(StoreError::InvalidSeries { .. })), "{key} {phase}");
        }
        let again = super::world::open(&disk, &manifest, settings()).await.unwrap();
        assert_eq!(again.find_series("/a/T1/1_s").await.unwrap(), Some(ids[0]));
        assert_eq!(*again.spec(ids[0]).await.unwrap(), spec());
        assert_eq!(again.id(), store.id());
        let unknown = again.write(Write::new().rows(SeriesId(99), samples(0, vec![1.0]))).await;
        assert!(matches!(unknown, Err(StoreError::UnknownSeries(SeriesId(99)))));
        assert_eq!(
            again.spec(ids[0]).await.unwrap().layout,
            Layout::Regular { period: "1_s".parse().unwrap(), phase_ticks: 0 }
        );
    });
}

#[test]
fn series_are_listed_below_a_prefix() {
    run(async {
        let specs: Vec<SeriesSpec> =
            ["/b/T1/1_s", "/a/T2/1_s", "/a_/T1/1_s", "/a/T1/1_min", "/a/T1/1_s", "/A/T1/1_s"]
                .map(|key| regular(key, DataType::Float64, "1_s", 0))
                .into();
        let (disk, manifest, store, ids) = new_store(&specs, settings()).await;
        let keys = async |prefix: &str, after: Option<&str>, limit| {
            let found = store.series_below(prefix, after, limit).await.unwrap();
            for (id, spec) in &found {
                assert_eq!(specs[ids.iter().position(|other| other == id).unwrap()], *spec);
            }
            found.into_iter().map(|(_, spec)| spec.key).collect::<Vec<_>>()
        };
        assert_eq!(keys("/a/", None, 9).await, ["/a/T1/1_min", "/a/T1/1_s", "/a/T2/1_s"]);
        assert_eq!(keys("/a/", None, 2).await, ["/a/T1/1_min", "/a/T1/1_s"]);
        assert_eq!(keys("/a/", Some("/a/T1/1_s"), 2).await, ["/a/T2/1_s"]);
        assert_eq!(keys("/a_", None, 9).await, ["/a_/T1/1_s"]);
        assert_eq!(keys("", None, 2).await, ["/A/T1/1_s", "/a/T1/1_min"]);
        assert_eq!(keys("/a/\0", None, 9).await, Vec::<String>::new());
        assert_eq!(keys("/a/", Some("/a/T1/1_s\0x"), 9).await, ["/a/T2/1_s"]);
        assert_eq!(keys("/a/", None, usize::MAX).await.len(), 3);

        // A row that belongs to another state of the store: nobody can say what is missing.
        let mut write = manifest.write().await.unwrap();
        let mut row = write.series(&[ids[0].0]).await.unwrap().remove(0).row;
        row.key = "/c/T1/1_s".to_owned();
        write.put_series(vec![Stored::seal(row)]).await.unwrap();
        write.commit().await.unwrap();
        let again = open(&disk, &manifest, settings()).await.unwrap();
        let error = again.series_below("/a/", None, 9).await.unwrap_err();
        assert!(matches!(error, StoreError::DamagedManifest { .. }), "{error}");
    });
}

#[test]
fn what_a_series_holds_is_known_without_reading_it() {
    in_every_place(async |store, regular, irregular| {
        let stats = async |id: SeriesId| {
            let stats = store.series_stats(&[irregular, id]).await.unwrap()[1];
            assert_eq!(stats.series, id);
            (stats.range.map(|range| (range.begin().ticks() - base()) / SECOND), stats.rows, stats.missing)
        };
        assert_eq!(stats(regular).await, (None, 0, 0));
        assert_eq!(store.series_stats(&[regular]).await.unwrap()[0].bytes, 0);
        store.write(Write::new().rows(regular, samples(0, vec![1.0; 100]))).await.unwrap();
        assert_eq!(stats(regular).await, (Some(0), 100, 0));
        // Ten more, of which two are missing, behind a gap.
        let mut values = vec![2.0; 10];
        (values[3], values[4]) = (f64::NAN, f64::NAN);
        store.write(Write::new().rows(regular, samples(5000, values))).await.unwrap();
        assert_eq!(stats(regular).await, (Some(0), 110, 2));
        // Over rows that are there already.
        store.write(Write::new().rows(regular, samples(50, vec![3.0; 20]))).await.unwrap();
        assert_eq!(stats(regular).await.1, 110);
        let starts = [0, 1, 7].map(|second| base() + second * SECOND);
        store.write(Write::new().rows(irregular, listed(&starts, vec![0.0, 1.0, 2.0]))).await.unwrap();
        assert_eq!(stats(irregular).await, (Some(0), 3, 0));
        let both = store.series_stats(&[regular, irregular, regular]).await.unwrap();
        assert_eq!((both.len(), both[0]), (3, both[2]));
        assert!(both[0].bytes > 100 && both[1].bytes > 10, "{both:?}");

        compact_all(&store).await;
        assert_eq!((stats(regular).await, stats(irregular).await), ((Some(0), 110, 2), (Some(0), 3, 0)));
        store.delete(regular, ticks(base(), base() + 1000 * SECOND)).await.unwrap();
        assert_eq!(stats(regular).await, (Some(5000), 10, 2));
        let unknown = store.series_stats(&[regular, SeriesId(99)]).await;
        assert!(matches!(unknown, Err(StoreError::UnknownSeries(SeriesId(99)))));
    });
}

#[test]
fn writes_at_the_same_time_share_commits_and_lose_nothing() {
    run(async {
        let (_, _, store, ids) = new_store(&[spec()], settings()).await;
        let before = store.head().await.unwrap().0;
        let writers: Vec<_> = (0..200)
            .map(|second| {
                let (store, id) = (store.clone(), ids[0]);
                tokio::spawn(async move {
                    store.write(Write::new().rows(id, samples(second, vec![second as f64]))).await
                })
            })
            .collect();
        let mut last = 0;
        for writer in writers {
            last = last.max(writer.await.unwrap().unwrap().commit);
        }
        assert_eq!(store.head().await.unwrap().0, last);
        assert!(last - before <= 200, "{} commits", last - before);
        let all = found(&store, ids[0]).await;
        assert_eq!(all, (0..200).map(|second| (second, Some(second as f64))).collect());
    });
}
