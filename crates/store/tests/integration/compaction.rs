//! Compaction makes few files of many and changes no answer.

use std::time::{Duration, Instant};

use sheaf_model::{DataType, Samples, Tick, Values};
use sheaf_store::{
    CheckOptions, CompactOptions, MergePolicy, Rows, SeriesId, SeriesSpec, Settings, Store, StoreError,
    Watch, Write,
};

use super::world::{
    base, check_with, compact_all, new_store, open, read, read_now, regular, run, segment_files, settings,
    ticks,
};

const SECOND: i64 = Tick::PER_SECOND;

/// Values from a slot of a series with phase 0 on.
fn samples(spec: &SeriesSpec, slot: i64, values: impl Into<Values>) -> Rows {
    let sheaf_store::Layout::Regular { period, .. } = spec.layout else { panic!("{spec:?}") };
    Samples::new(Tick::new(base() + slot * period.ticks()).unwrap(), period, values.into()).unwrap().into()
}

fn listed(starts: impl IntoIterator<Item = i64>, values: impl Into<Values>) -> Rows {
    Rows::listed(starts.into_iter().map(|start| Tick::new(start).unwrap()).collect(), values.into()).unwrap()
}

/// The values of a series of doubles, with their slots of a second.
async fn seconds(store: &Store, id: SeriesId) -> Vec<(i64, f64)> {
    let rows = read_now(store, id).await.unwrap();
    let value = |bits: Option<u64>| f64::from_bits(bits.unwrap());
    rows.into_iter().map(|(start, cell)| ((start - base()) / SECOND, value(cell.value))).collect()
}

/// With a short message: the rows are many.
#[track_caller]
fn assert_same(found: &[(i64, f64)], wanted: &[(i64, f64)]) {
    let first = found.iter().zip(wanted).find(|(found, wanted)| found != wanted);
    assert!(found == wanted, "{} rows instead of {}, first different: {first:?}", found.len(), wanted.len());
}

fn one_per_second() -> SeriesSpec {
    regular("/a/T1/1_s", DataType::Float64, "1_s", 0)
}

#[test]
fn an_hour_of_single_samples_of_many_series_becomes_a_file() {
    run(async {
        let specs: Vec<_> =
            (0..100).map(|at| regular(&format!("/a/T{at}/1_s"), DataType::Float64, "1_s", 0)).collect();
        let settings = Settings { grace: Duration::ZERO, ..Settings::default() };
        let (disk, manifest, store, ids) = new_store(&specs, settings).await;
        for second in 0..3600 {
            let mut write = Write::new();
            for (at, id) in ids.iter().enumerate() {
                write = write.rows(*id, samples(&specs[at], second, vec![(second * 100 + at as i64) as f64]));
            }
            store.write(write).await.unwrap();
            if second % 900 == 899 {
                compact_all(&store).await;
            }
        }
        assert_eq!(segment_files(&disk).len(), 1);
        for (at, id) in ids.iter().enumerate() {
            let wanted: Vec<_> =
                (0..3600).map(|second| (second, (second * 100 + at as i64) as f64)).collect();
            assert_same(&seconds(&store, *id).await, &wanted);
        }
        let report = check_with(&disk, &manifest, CheckOptions::default()).await.unwrap();
        assert_eq!((report.findings, report.segments), (Vec::new(), 1));
        // One dense run each, and at most 32 pieces that tell the past.
        assert!(report.pieces <= 100 * 33, "{} pieces", report.pieces);
    });
}

#[test]
fn what_replaces_nothing_changes_nothing() {
    run(async {
        let (disk, _, store, ids) = new_store(&[one_per_second()], settings()).await;
        store.write(Write::new().rows(ids[0], samples(&one_per_second(), 0, vec![1.0; 1000]))).await.unwrap();
        compact_all(&store).await;
        let files = segment_files(&disk);
        let head = store.head().await.unwrap();
        let done = compact_all(&store).await;
        assert_eq!((done.moved_pieces, done.merged_segments, done.new_segments), (0, 0, 0));
        assert_eq!((segment_files(&disk), store.head().await.unwrap()), (files, head));
    });
}

#[test]
fn full_segments_of_a_tier_are_merged_once_at_most() {
    run(async {
        // Each write fills a segment; three of them make a tier, but no fewer segments can come out.
        let settings = Settings {
            segment_most_rows: 1000,
            merge_policy: MergePolicy {
                segments_per_tier: 3,
                lowest_tier_bytes: 1 << 20,
                ..MergePolicy::default()
            },
            ..settings()
        };
        let (_, _, store, ids) = new_store(&[one_per_second()], settings).await;
        for hour in 0..4 {
            let values: Vec<f64> = (0..1000).map(f64::from).collect();
            store
                .write(Write::new().rows(ids[0], samples(&one_per_second(), hour * 3600, values)))
                .await
                .unwrap();
        }
        let watch = Watch::default();
        let work = store.compact(CompactOptions { all: false }, &watch);
        let done =
            tokio::time::timeout(Duration::from_secs(20), work).await.expect("it comes to an end").unwrap();
        assert!(done.merged_segments <= 4, "{done:?}");
    });
}

#[test]
fn segments_that_cannot_become_fewer_are_merged_once_at_most() {
    run(async {
        // Two sorts of rows never share a segment, so two segments of a tier of two may stay two.
        let settings = Settings {
            merge_policy: MergePolicy {
                segments_per_tier: 2,
                lowest_tier_bytes: 1 << 20,
                ..MergePolicy::default()
            },
            tail_write_bytes: 0,
            ..settings()
        };
        let specs = [one_per_second(), super::world::irregular("/traces/bill", DataType::Float64)];
        let (_, _, store, ids) = new_store(&specs, settings).await;
        store.write(Write::new().rows(ids[0], samples(&specs[0], 0, vec![1.0; 10]))).await.unwrap();
        store.write(Write::new().rows(ids[1], listed([base()], vec![1.0]))).await.unwrap();
        let watch = Watch::default();
        let work = store.compact(CompactOptions { all: false }, &watch);
        let done =
            tokio::time::timeout(Duration::from_secs(20), work).await.expect("it comes to an end").unwrap();
        assert!(done.merged_segments <= 2, "{done:?}");
    });
}

#[test]
fn the_later_batch_wins_after_a_merge_of_the_earlier_one_too() {
    run(async {
        // The batches of one write fill a segment each; a delete makes garbage of most of the first one, which is then
        // rewritten alone.
        let settings = Settings { segment_most_rows: 1000, ..settings() };
        let spec = one_per_second();
        let (_, _, store, ids) = new_store(std::slice::from_ref(&spec), settings).await;
        let earlier: Vec<f64> = (0..1000).map(|_| 1.0).collect();
        // With missing samples, so that it does not replace the piece of the first batch.
        let later: Vec<f64> = (0..1000).map(|slot| if slot % 2 == 0 { 2.0 } else { f64::NAN }).collect();
        let write = Write::new()
            .rows(ids[0], samples(&spec, 5000, earlier.clone()))
            .rows(ids[0], samples(&spec, 0, earlier))
            .rows(ids[0], samples(&spec, 0, later));
        store.write(write).await.unwrap();
        let before = seconds(&store, ids[0]).await;
        assert_eq!((before[0], before[1]), ((0, 2.0), (1, 1.0)));
        for all in [false, true, false, true] {
            store.compact(CompactOptions { all }, &Watch::default()).await.unwrap();
            assert_same(&seconds(&store, ids[0]).await, &before);
        }
    });
}

#[test]
fn a_piece_that_is_rewritten_alone_stays_below_a_later_one_of_its_commit() {
    run(async {
        let settings = Settings { segment_most_rows: 1000, tail_write_bytes: 0, ..settings() };
        let other = regular("/a/T2/1_s", DataType::Float64, "1_s", 0);
        let spec = one_per_second();
        let (_, _, store, ids) = new_store(&[other.clone(), spec.clone()], settings).await;
        // One segment has the other series and the first batch, the next one the second batch.
        let later: Vec<f64> = (0..1500).map(|slot| if slot % 2 == 0 { 2.0 } else { f64::NAN }).collect();
        let write = Write::new()
            .rows(ids[0], samples(&other, 0, vec![0.5; 900]))
            .rows(ids[1], samples(&spec, 0, vec![1.0; 300]))
            .rows(ids[1], samples(&spec, 0, later));
        store.write(write).await.unwrap();
        let before = seconds(&store, ids[1]).await;
        assert_eq!((before[0], before[1]), ((0, 2.0), (1, 1.0)));
        // The other series goes, so the first segment is mostly garbage.
        store.delete(ids[0], ticks(base(), base() + 900 * SECOND)).await.unwrap();
        let watch = Watch::default();
        let work = store.compact(CompactOptions { all: false }, &watch);
        tokio::time::timeout(Duration::from_secs(20), work).await.expect("it comes to an end").unwrap();
        assert_same(&seconds(&store, ids[1]).await, &before);
        compact_all(&store).await;
        assert_same(&seconds(&store, ids[1]).await, &before);
    });
}

/// Rows of all segments, and how many of them still count.
async fn rows_and_live_rows(store: &Store) -> (u64, u64) {
    let stats = store.stats().await.unwrap();
    stats.segments.iter().fold((0, 0), |(rows, live), of| (rows + of.rows, live + of.live_rows))
}

#[test]
fn what_is_deleted_or_overwritten_amid_a_run_becomes_garbage_at_once() {
    run(async {
        let spec = one_per_second();
        let (disk, manifest, store, ids) = new_store(std::slice::from_ref(&spec), settings()).await;
        let values: Vec<f64> = (0..10_000).map(f64::from).collect();
        store.write(Write::new().rows(ids[0], samples(&spec, 0, values))).await.unwrap();
        // Bounds between slots: a row belongs to where it starts.
        store.delete(ids[0], ticks(base() + 999 * SECOND + 1, base() + 4999 * SECOND + 1)).await.unwrap();
        assert_eq!(rows_and_live_rows(&store).await, (10_000, 6000));
        store.write(Write::new().rows(ids[0], samples(&spec, 4500, vec![-1.0; 3000]))).await.unwrap();
        assert_eq!(rows_and_live_rows(&store).await, (13_000, 6500));
        let wanted: Vec<(i64, f64)> = (0..1000)
            .map(|slot| (slot, slot as f64))
            .chain((4500..7500).map(|slot| (slot, -1.0)))
            .chain((7500..10_000).map(|slot| (slot, slot as f64)))
            .collect();
        assert_same(&seconds(&store, ids[0]).await, &wanted);
        let snapshot = store.snapshot(&ids).await.unwrap();
        let plan = snapshot.explain(ids[0], None).unwrap().join("\n");
        for part in [
            "segment 1 from row 0 (commit 2)",
            "segment 1 from row 7500 (commit 2)",
            "segment 2 from row 0 (commit 4)",
        ] {
            assert!(plan.contains(part), "{plan}");
        }
        assert!(!plan.contains("tombstone"), "{plan}");
        // What changed since the first write lies within what was deleted and what was written.
        let changed = snapshot.changed_since(ids[0], 2).unwrap();
        assert_eq!(changed, [ticks(base() + 999 * SECOND + 1, base() + 7500 * SECOND)]);

        // The rest of the first segment is less than half of it, so it is rewritten, without being asked for more.
        store.compact(CompactOptions { all: false }, &Watch::default()).await.unwrap();
        assert_eq!(rows_and_live_rows(&store).await, (6500, 6500));
        assert_same(&seconds(&store, ids[0]).await, &wanted);
        let report = check_with(&disk, &manifest, CheckOptions::default()).await.unwrap();
        assert_eq!(report.findings, Vec::new());
    });
}

#[test]
fn a_run_below_a_later_one_of_its_own_commit_is_not_cut() {
    run(async {
        let spec = one_per_second();
        let (_, _, store, ids) = new_store(std::slice::from_ref(&spec), settings()).await;
        // Holes, so that the second batch does not simply replace a part of the first one.
        let later: Vec<f64> = (0..500).map(|slot| if slot % 3 == 0 { f64::NAN } else { 2.0 }).collect();
        let write = Write::new()
            .rows(ids[0], samples(&spec, 0, vec![1.0; 1000]))
            .rows(ids[0], samples(&spec, 250, later));
        store.write(write).await.unwrap();
        store.delete(ids[0], ticks(base() + 300 * SECOND, base() + 400 * SECOND)).await.unwrap();
        let wanted: Vec<(i64, f64)> = (0..1000)
            .filter(|slot| !(300..400).contains(slot))
            .map(|slot| (slot, if (250..750).contains(&slot) && (slot - 250) % 3 != 0 { 2.0 } else { 1.0 }))
            .collect();
        assert_same(&seconds(&store, ids[0]).await, &wanted);
        compact_all(&store).await;
        assert_same(&seconds(&store, ids[0]).await, &wanted);
    });
}

#[test]
fn years_between_two_rows_cost_nothing() {
    run(async {
        let spec = regular("/a/T1/1_ms", DataType::Float64, "1_ms", 0);
        let (_, _, store, ids) = new_store(&[spec], settings()).await;
        let (first, last) = (base(), base() + 10 * 365 * 86_400 * SECOND);
        store.write(Write::new().rows(ids[0], listed([first, last], vec![1.0, 2.0]))).await.unwrap();
        for _ in 0..2 {
            let begun = Instant::now();
            let rows = tokio::time::timeout(Duration::from_secs(20), read_now(&store, ids[0])).await;
            let starts: Vec<i64> = rows.expect("it comes to an end").unwrap().into_keys().collect();
            assert_eq!(starts, [first, last]);
            assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
            compact_all(&store).await;
        }
    });
}

#[test]
fn scattered_rows_stay_few_pieces() {
    run(async {
        let spec = one_per_second();
        let (disk, manifest, store, ids) = new_store(&[spec], settings()).await;
        let starts: Vec<i64> = (0..1500).map(|row| base() + row * 50_000 * SECOND).collect();
        let values: Vec<f64> = (0..1500).map(f64::from).collect();
        store.write(Write::new().rows(ids[0], listed(starts.clone(), values))).await.unwrap();
        // A second segment, so that there is something to merge.
        store.write(Write::new().rows(ids[0], listed([base() + SECOND], vec![-1.0]))).await.unwrap();
        compact_all(&store).await;
        let found: Vec<i64> = read_now(&store, ids[0]).await.unwrap().into_keys().collect();
        let mut wanted = starts;
        wanted.insert(1, base() + SECOND);
        assert_eq!(found, wanted);
        let report = check_with(&disk, &manifest, CheckOptions::default()).await.unwrap();
        assert!(report.pieces < 20, "{} pieces", report.pieces);
    });
}

#[test]
fn a_replaced_segment_stays_for_the_grace_period() {
    run(async {
        let spec = one_per_second();
        let (disk, manifest, store, ids) = new_store(std::slice::from_ref(&spec), settings()).await;
        for start in [0, 1000] {
            store.write(Write::new().rows(ids[0], samples(&spec, start, vec![1.0; 1000]))).await.unwrap();
        }
        let snapshot = store.snapshot(&ids).await.unwrap();
        assert_eq!(compact_all(&store).await.removed_files, 0);
        assert_eq!(segment_files(&disk).len(), 3);
        assert_eq!(read(&snapshot, ids[0], None).await.unwrap().len(), 2000);
        // Without grace the old snapshot has lost its segments, and says so; a new one reads.
        let hasty = open(&disk, &manifest, Settings { grace: Duration::ZERO, ..settings() }).await.unwrap();
        let done = compact_all(&hasty).await;
        assert_eq!((done.removed_files, segment_files(&disk).len()), (2, 1));
        let fresh = open(&disk, &manifest, settings()).await.unwrap();
        assert_eq!(read_now(&fresh, ids[0]).await.unwrap().len(), 2000);
        assert!(matches!(snapshot.scan(ids[0], None).await, Err(StoreError::Vanished { .. })));
        // Who asks the store and not a snapshot does not notice.
        assert_eq!(read_now(&store, ids[0]).await.unwrap().len(), 2000);
    });
}

#[test]
fn a_scan_that_began_before_goes_on() {
    run(async {
        let spec = one_per_second();
        let settings = Settings { grace: Duration::ZERO, ..settings() };
        let (disk, _, store, ids) = new_store(std::slice::from_ref(&spec), settings).await;
        for start in [0, 1000, 2000] {
            store.write(Write::new().rows(ids[0], samples(&spec, start, vec![1.0; 1000]))).await.unwrap();
        }
        let scan = store.scan(ids[0], None).await.unwrap();
        compact_all(&store).await;
        assert_eq!(segment_files(&disk).len(), 1);
        let rows: usize =
            tokio::task::spawn_blocking(|| scan.map(|rows| rows.unwrap().len()).sum()).await.unwrap();
        assert_eq!(rows, 3000);
    });
}

#[test]
fn one_process_compacts_at_a_time() {
    run(async {
        let spec = one_per_second();
        let (disk, manifest, store, ids) = new_store(std::slice::from_ref(&spec), settings()).await;
        store.write(Write::new().rows(ids[0], samples(&spec, 0, vec![1.0; 10]))).await.unwrap();
        // The other one does not wait for long.
        let impatient = Settings { maintenance_lease: Duration::from_millis(200), ..settings() };
        let other = open(&disk, &manifest, impatient).await.unwrap();
        let held = std::sync::Arc::new(std::sync::Mutex::new(None));
        let (seen, at) = (held.clone(), tokio::runtime::Handle::current());
        let watch = Watch::new(move |_| {
            let mut seen = seen.lock().unwrap();
            if seen.is_none() {
                let (other, (done, result)) = (other.clone(), std::sync::mpsc::channel());
                at.spawn(async move {
                    let _unheard =
                        done.send(other.compact(CompactOptions { all: true }, &Watch::default()).await);
                });
                *seen = Some(tokio::task::block_in_place(|| result.recv().unwrap()));
            }
        });
        let store =
            tokio::spawn(
                async move { store.compact(CompactOptions { all: true }, &watch).await.map(|_| store) },
            );
        let store = store.await.unwrap().unwrap();
        assert!(matches!(held.lock().unwrap().take(), Some(Err(StoreError::LeaseHeld { .. }))));
        assert_eq!(store.stats().await.unwrap().tail_rows, 0);
    });
}

#[test]
fn a_merge_goes_on_for_the_series_that_nobody_touched() {
    run(async {
        let specs = [one_per_second(), regular("/a/T2/1_s", DataType::Float64, "1_s", 0)];
        let settings = Settings { segment_most_rows: 1 << 20, ..settings() };
        let (disk, manifest, store, ids) = new_store(&specs, settings).await;
        for (spec, &id) in specs.iter().zip(&ids) {
            for hour in 0..2 {
                let rows = samples(spec, hour * 3600, vec![1.0; 3600]);
                store.write(Write::new().rows(id, rows)).await.unwrap();
            }
        }
        // While the rows are merged, somebody deletes some of the first series.
        let (other, first) = (store.clone(), ids[0]);
        let is_deleted = std::sync::atomic::AtomicBool::new(false);
        let at = tokio::runtime::Handle::current();
        let watch = Watch::new(move |progress| {
            if progress.what == "merging series"
                && !is_deleted.swap(true, std::sync::atomic::Ordering::Relaxed)
            {
                let (other, (done, result)) = (other.clone(), std::sync::mpsc::channel());
                at.spawn(async move {
                    let range = ticks(base() + 100 * SECOND, base() + 200 * SECOND);
                    let _unheard = done.send(other.delete(first, range).await);
                });
                result.recv().unwrap().unwrap();
            }
        });
        let done = store.compact(CompactOptions { all: true }, &watch).await.unwrap();
        assert_eq!((done.new_segments, done.failures), (1, Vec::new()));
        let wanted: Vec<(i64, f64)> = (0..7200).map(|slot| (slot, 1.0)).collect();
        assert_same(&seconds(&store, ids[1]).await, &wanted);
        let left: Vec<(i64, f64)> =
            wanted.into_iter().filter(|(slot, _)| !(100..200).contains(slot)).collect();
        assert_same(&seconds(&store, ids[0]).await, &left);
        // The second series is one piece; the first one is what the deletion left.
        let snapshot = store.snapshot(&ids).await.unwrap();
        assert_eq!(snapshot.explain(ids[1], None).unwrap().len(), 1);
        let plan = snapshot.explain(ids[0], None).unwrap().join("\n");
        assert_eq!(plan.matches("segment ").count(), 3, "{plan}");
        let report = check_with(&disk, &manifest, CheckOptions::default()).await.unwrap();
        assert_eq!(report.damages(), 0, "{:?}", report.findings);
    });
}

#[test]
fn a_cancelled_compaction_leaves_everything_readable() {
    run(async {
        let spec = one_per_second();
        let (_, _, store, ids) = new_store(std::slice::from_ref(&spec), settings()).await;
        store.write(Write::new().rows(ids[0], samples(&spec, 0, vec![1.0; 1000]))).await.unwrap();
        store.write(Write::new().rows(ids[0], samples(&spec, 500, vec![2.0; 10]))).await.unwrap();
        let before = seconds(&store, ids[0]).await;
        let watch = Watch::default();
        watch.cancel();
        let result = store.compact(CompactOptions { all: true }, &watch).await;
        assert!(matches!(result, Err(StoreError::Cancelled)), "{result:?}");
        assert_same(&seconds(&store, ids[0]).await, &before);
        // It gave the lease back.
        compact_all(&store).await;
        assert_same(&seconds(&store, ids[0]).await, &before);
    });
}

#[test]
fn a_large_tail_moves_by_itself() {
    run(async {
        let spec = one_per_second();
        let (_, _, store, ids) =
            new_store(std::slice::from_ref(&spec), Settings { moves_tail: true, ..settings() }).await;
        for start in 0..100 {
            store
                .write(Write::new().rows(ids[0], samples(&spec, start * 100, vec![start as f64; 100])))
                .await
                .unwrap();
        }
        let begun = Instant::now();
        while store.stats().await.unwrap().tail_bytes > (2 * 16) << 10
            && begun.elapsed() < Duration::from_secs(20)
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let stats = store.stats().await.unwrap();
        assert!(stats.tail_bytes <= (2 * 16) << 10 && !stats.segments.is_empty(), "{stats:?}");
        let wanted: Vec<_> = (0..10_000).map(|second| (second, (second / 100) as f64)).collect();
        assert_same(&seconds(&store, ids[0]).await, &wanted);
    });
}
