//! Writes that come piece by piece: one commit or nothing, whatever fails meanwhile; and series that take another type.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use sheaf_model::{DataType, Samples, Tick, Values};
use sheaf_store::manifest::FailCommit;
use sheaf_store::testing::{Fault, When};
use sheaf_store::{
    CheckOptions, CompactOptions, Finding, Layout, Rows, SeriesId, SeriesSpec, Settings, Store, StoreError,
    StreamedWrite, Watch, Write,
};

use super::world::{
    Change, Model, Part, Shape, base, change, check_with, compact_all, compare, irregular, new_store, open,
    read_now, regular, run, segment_files, settings, specs, ticks,
};

const SECOND: i64 = Tick::PER_SECOND;

fn floats(slot: i64, values: Vec<f64>) -> Rows {
    let start = Tick::new(base() + slot * SECOND).unwrap();
    Samples::new(start, "1_s".parse().unwrap(), Values::F64(values)).unwrap().into()
}

fn ints(slot: i64, values: Vec<i64>) -> Rows {
    let start = Tick::new(base() + slot * SECOND).unwrap();
    Samples::new(start, "1_s".parse().unwrap(), Values::I64(values)).unwrap().into()
}

async fn append(
    write: &mut StreamedWrite,
    changes: &[Change],
    specs: &[SeriesSpec],
    ids: &[SeriesId],
) -> Result<(), StoreError> {
    for change in changes {
        for deletion in &change.deletions {
            write.delete(ids[deletion.series], deletion.range(&specs[deletion.series]));
        }
        let parts = change.parts.iter();
        let parts = parts.map(|part| (ids[part.series], part.rows(&specs[part.series]))).collect();
        write.append(parts).await?;
    }
    Ok(())
}

/// Deletions of the write leave all of its rows.
fn apply(changes: &[Change], specs: &[SeriesSpec], model: &mut Model) {
    let deletions = changes.iter().flat_map(|change| change.deletions.clone()).collect();
    let parts = changes.iter().flat_map(|change| change.parts.clone()).collect();
    Change { parts, deletions }.apply(specs, model);
}

/// Announcements of those who are gone end soon.
fn impatient() -> Settings {
    Settings { writer_lease: Duration::ZERO, grace: Duration::ZERO, ..settings() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_appended_is_one_write(
        before in proptest::collection::vec(change(5), 0..3),
        changes in proptest::collection::vec(change(5), 1..6),
        meanwhile in proptest::collection::vec(change(5), 0..2),
        compacts in any::<bool>(),
    ) {
        let result = run(async {
            let specs = specs();
            let (disk, manifest, store, ids) = new_store(&specs, settings()).await;
            let mut model: Model = specs.iter().map(|_| std::sync::Arc::default()).collect();
            for change in &before {
                store.write(change.write(&specs, &ids)).await.unwrap();
                change.apply(&specs, &mut model);
            }
            let head = store.head().await.unwrap();
            let mut write = store.begin_write();
            let half = changes.len() / 2;
            append(&mut write, &changes[..half], &specs, &ids).await.unwrap();
            assert_eq!(store.head().await.unwrap(), head, "nothing is visible");
            // Others write and compact meanwhile.
            for change in &meanwhile {
                store.write(change.write(&specs, &ids)).await.unwrap();
                change.apply(&specs, &mut model);
            }
            if compacts {
                compact_all(&store).await;
            }
            append(&mut write, &changes[half..], &specs, &ids).await.unwrap();
            compare(&store.snapshot(&ids).await.unwrap(), &ids, &model).await?;
            write.commit().await.unwrap();
            apply(&changes, &specs, &mut model);
            compare(&store.snapshot(&ids).await.unwrap(), &ids, &model).await?;
            compact_all(&store).await;
            compare(&store.snapshot(&ids).await.unwrap(), &ids, &model).await?;
            let report = check_with(&disk, &manifest, CheckOptions::default()).await.unwrap();
            assert_eq!(report.findings, []);
            Ok::<(), String>(())
        });
        result.map_err(TestCaseError::fail)?;
    }
}

/// Three large appends and a small one, so that some is in files and some in the tail.
fn script() -> Vec<Change> {
    let part =
        |series, slot, len, seed| Part { series, slot, shape: Shape::Run { len }, seed, missing_percent: 0 };
    let change = |parts| Change { parts, deletions: Vec::new() };
    vec![
        change(vec![part(0, 0, 300, 1), part(3, 0, 200, 1)]),
        change(vec![part(0, 300, 300, 2)]),
        change(vec![part(1, 0, 1500, 3), part(0, 100, 300, 3)]),
        change(vec![part(2, 5, 3, 4)]),
    ]
}

#[test]
fn any_operation_may_fail_and_nothing_half_written_is_visible() {
    for (fault, crashes) in [(Fault::Fail, false), (Fault::Tear, false), (Fault::Freeze, true)] {
        run(async {
            for nth in 0.. {
                let specs = specs();
                let (mut disk, manifest, store, ids) = new_store(&specs, impatient()).await;
                let part =
                    Part { series: 0, slot: 50, shape: Shape::Run { len: 400 }, seed: 9, missing_percent: 0 };
                let first = Change { parts: vec![part], deletions: Vec::new() };
                store.write(first.write(&specs, &ids)).await.unwrap();
                let mut model: Model = specs.iter().map(|_| std::sync::Arc::default()).collect();
                first.apply(&specs, &mut model);
                let begun = disk.count(None);
                disk.fail(When { operation: None, after: nth }, fault);
                let mut write = store.begin_write();
                let result = match append(&mut write, &script(), &specs, &ids).await {
                    Ok(()) => write.commit().await.map(drop),
                    Err(error) => {
                        write.abandon().await;
                        Err(error)
                    }
                };
                let reached = disk.count(None) - begun;
                disk.heal();
                let mut store = store;
                if crashes {
                    drop(store);
                    disk = disk.crash(nth);
                    store = open(&disk, &manifest, impatient()).await.unwrap();
                }
                let snapshot = store.snapshot(&ids).await.unwrap();
                let mut with = model.clone();
                apply(&script(), &specs, &mut with);
                match &result {
                    Ok(()) => compare(&snapshot, &ids, &with).await.unwrap(),
                    Err(error) if error.may_be_written() => {
                        let without = compare(&snapshot, &ids, &model).await;
                        without.or(compare(&snapshot, &ids, &with).await).unwrap();
                    }
                    Err(_) => compare(&snapshot, &ids, &model).await.unwrap(),
                }
                // Nothing is left over but what collection takes.
                if result.is_ok() {
                    model = with;
                }
                if result.as_ref().is_ok_and(|()| true) || !result.as_ref().unwrap_err().may_be_written() {
                    store.compact(CompactOptions { all: true }, &Watch::default()).await.unwrap();
                    compare(&store.snapshot(&ids).await.unwrap(), &ids, &model).await.unwrap();
                    let report = check_with(&disk, &manifest, CheckOptions::default()).await.unwrap();
                    assert_eq!(report.findings, [], "{nth}");
                }
                if nth > reached {
                    assert!(nth > 10, "the script does something");
                    break;
                }
            }
        });
    }
}

#[test]
fn a_commit_that_fails_may_have_happened_or_not() {
    run(async {
        for fault in [FailCommit::Before, FailCommit::After] {
            for nth in 0..8 {
                let specs = specs();
                let (_, manifest, store, ids) = new_store(&specs, impatient()).await;
                manifest.fail_commit_after(nth, fault);
                let mut write = store.begin_write();
                let result = match append(&mut write, &script(), &specs, &ids).await {
                    Ok(()) => write.commit().await.map(drop),
                    Err(error) => Err(error),
                };
                manifest.heal();
                let mut model: Model = specs.iter().map(|_| std::sync::Arc::default()).collect();
                let nothing = model.clone();
                apply(&script(), &specs, &mut model);
                let snapshot = store.snapshot(&ids).await.unwrap();
                let (all, none) =
                    (compare(&snapshot, &ids, &model).await, compare(&snapshot, &ids, &nothing).await);
                match result {
                    Ok(()) => all.unwrap(),
                    Err(error) if error.may_be_written() => all.or(none).unwrap(),
                    Err(_) => none.unwrap(),
                }
            }
        }
    });
}

#[test]
fn what_is_not_committed_leaves_nothing() {
    run(async {
        let specs = specs();
        let (disk, manifest, store, ids) = new_store(&specs, settings()).await;
        let head = store.head().await.unwrap();
        let mut write = store.begin_write();
        append(&mut write, &script(), &specs, &ids).await.unwrap();
        assert_eq!(segment_files(&disk).len(), 5);
        write.abandon().await;
        assert_eq!((segment_files(&disk).len(), store.stats().await.unwrap().pending_files), (0, 0));
        let mut write = store.begin_write();
        append(&mut write, &script(), &specs, &ids).await.unwrap();
        drop(write);
        assert_eq!(segment_files(&disk).len(), 0);
        assert_eq!(store.head().await.unwrap(), head);
        // Rows that don't fit are refused, and those before are still there to be committed.
        let mut write = store.begin_write();
        append(&mut write, &script(), &specs, &ids).await.unwrap();
        let wrong =
            write.append(vec![(ids[0], floats(0, vec![1.0; 500])), (ids[1], floats(0, vec![1.0]))]).await;
        assert!(matches!(wrong, Err(StoreError::InvalidRows { .. })), "{wrong:?}");
        write.commit().await.unwrap();
        let mut model: Model = specs.iter().map(|_| std::sync::Arc::default()).collect();
        apply(&script(), &specs, &mut model);
        compare(&store.snapshot(&ids).await.unwrap(), &ids, &model).await.unwrap();
        let report = check_with(&disk, &manifest, CheckOptions::default()).await.unwrap();
        assert!(!report.findings.iter().any(|finding| matches!(finding, Finding::Damage { .. })));
    });
}

#[test]
fn rows_are_lost_once_and_then_nothing_can_be_committed() {
    run(async {
        let specs = specs();
        let (disk, _, store, ids) = new_store(&specs, settings()).await;
        let mut write = store.begin_write();
        disk.set_space(Some(10));
        append(&mut write, &script(), &specs, &ids).await.unwrap_err();
        disk.set_space(None);
        assert!(matches!(append(&mut write, &script(), &specs, &ids).await, Err(StoreError::Incomplete)));
        assert!(matches!(write.commit().await, Err(StoreError::Incomplete)));
        assert_eq!(segment_files(&disk).len(), 0);
    });
}

#[test]
fn a_long_write_is_not_collected() {
    run(async {
        let lease = Duration::from_secs(2);
        let specs = specs();
        let (disk, _, store, ids) = new_store(&specs, Settings { writer_lease: lease, ..settings() }).await;
        let mut write = store.begin_write();
        append(&mut write, &script()[..2], &specs, &ids).await.unwrap();
        for _ in 0..3 {
            tokio::time::sleep(lease * 3 / 5).await;
            compact_all(&store).await;
        }
        assert!(segment_files(&disk).len() >= 2, "the files are announced for longer than the lease");
        append(&mut write, &script()[2..], &specs, &ids).await.unwrap();
        write.commit().await.unwrap();
        let mut model: Model = specs.iter().map(|_| std::sync::Arc::default()).collect();
        apply(&script(), &specs, &mut model);
        compare(&store.snapshot(&ids).await.unwrap(), &ids, &model).await.unwrap();
    });
}

#[test]
fn many_thousand_pieces_are_one_commit() {
    run(async {
        let specs: Vec<SeriesSpec> =
            (0..2000).map(|at| regular(&format!("/a/T{at}/1_s"), DataType::Float64, "1_s", 0)).collect();
        let (_, _, store, ids) = new_store(&specs, settings()).await;
        let before = store.head().await.unwrap().0;
        let mut write = store.begin_write();
        for round in 0..10 {
            let rows = |at: usize| floats(round * 3, vec![at as f64, 1.0, 2.0]);
            write.append(ids.iter().enumerate().map(|(at, &id)| (id, rows(at))).collect()).await.unwrap();
        }
        assert_eq!(write.commit().await.unwrap().commit, before + 1);
        let found = read_now(&store, ids[1234]).await.unwrap();
        assert_eq!(found.len(), 30);
        assert_eq!(found[&base()].value, Some(1234.0_f64.to_bits()));
    });
}

// --- Another type ---

fn int_spec() -> SeriesSpec {
    regular("/a/T1/1_s", DataType::Int64, "1_s", 0)
}

fn float_spec() -> SeriesSpec {
    regular("/a/T1/1_s", DataType::Float64, "1_s", 0)
}

async fn found_floats(store: &Store, key: &str) -> BTreeMap<i64, f64> {
    let id = store.find_series(key).await.unwrap().unwrap();
    let mut all = BTreeMap::new();
    let scan = store.scan(id, None).await.unwrap();
    let rows: Vec<Rows> =
        tokio::task::spawn_blocking(move || scan.map(Result::unwrap).collect()).await.unwrap();
    for rows in rows {
        let Values::F64(values) = rows.values() else { panic!("{:?}", rows.values().data_type()) };
        for (row, value) in values.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
            all.insert((rows.start_ticks(row) - base()) / SECOND, *value);
        }
    }
    all
}

#[test]
fn integers_become_floats_with_all_that_is_stored() {
    run(async {
        let (disk, manifest, store, ids) = new_store(&[int_spec()], settings()).await;
        let first: Vec<i64> = (0..700).collect();
        store.write(Write::new().rows(ids[0], ints(0, first))).await.unwrap();
        store.write(Write::new().rows(ids[0], ints(2, vec![-7, 1 << 53]))).await.unwrap();
        store.delete(ids[0], ticks(base() + 10 * SECOND, base() + 20 * SECOND)).await.unwrap();
        let mut wanted: BTreeMap<i64, f64> = (0..700).map(|at| (at, at as f64)).collect();
        wanted.extend([(2, -7.0), (3, 9_007_199_254_740_992.0)]);
        wanted.retain(|at, _| !(10..20).contains(at));

        let mut write = store.begin_write();
        let id = write.replace(ids[0], float_spec()).await.unwrap();
        write.append(vec![(id, floats(5, vec![0.5]))]).await.unwrap();
        // Nobody sees it so far, and others may still write to the old one: what they write is copied, too.
        assert_eq!(store.find_series(&float_spec().key).await.unwrap(), Some(ids[0]));
        store.write(Write::new().rows(ids[0], ints(5, vec![55, 66]))).await.unwrap();
        compact_all(&store).await;
        write.commit().await.unwrap();
        wanted.extend([(5, 0.5), (6, 66.0)]);

        assert_eq!(store.find_series(&float_spec().key).await.unwrap(), Some(id));
        assert_eq!(found_floats(&store, &float_spec().key).await, wanted);
        let lost = store.write(Write::new().rows(ids[0], ints(0, vec![1]))).await.unwrap_err();
        assert!(matches!(lost.root(), StoreError::UnknownSeries(_)), "{lost:?}");
        assert_eq!(store.stats().await.unwrap().series, 1);
        compact_all(&store).await;
        assert_eq!(found_floats(&store, &float_spec().key).await, wanted);
        let fresh = open(&disk, &manifest, settings()).await.unwrap();
        assert_eq!(found_floats(&fresh, &float_spec().key).await, wanted);
        let report = check_with(&disk, &manifest, CheckOptions::default()).await.unwrap();
        assert_eq!(report.findings, []);
    });
}

#[test]
fn integers_that_no_float_holds_stay_what_they_are() {
    run(async {
        let (disk, _, store, ids) = new_store(&[int_spec()], settings()).await;
        store.write(Write::new().rows(ids[0], ints(0, vec![1, (1 << 53) + 1]))).await.unwrap();
        let files = segment_files(&disk);
        let mut write = store.begin_write();
        let error = write.replace(ids[0], float_spec()).await.unwrap_err();
        assert!(error.is_invalid_input());
        let text = error.to_string();
        assert!(text.contains("2020-01-01T00:00:01Z is 9007199254740993"), "{text}");
        write.abandon().await;
        assert_eq!(segment_files(&disk), files);
        assert_eq!(store.spec(ids[0]).await.unwrap().data_type, DataType::Int64);
    });
}

#[test]
fn a_series_without_rows_can_become_anything() {
    run(async {
        let (_, _, store, ids) = new_store(&[int_spec()], settings()).await;
        let mut write = store.begin_write();
        let spec = irregular(&int_spec().key, DataType::Uint64);
        let id = write.replace(ids[0], spec).await.unwrap();
        write.commit().await.unwrap();
        assert_eq!(store.spec(id).await.unwrap().layout, Layout::Irregular);
        store.remove_empty(&[id]).await.unwrap();
        assert_eq!(store.find_series(&int_spec().key).await.unwrap(), None);
        assert_eq!(store.stats().await.unwrap().series, 0);
    });
}

#[test]
fn two_that_replace_a_series_at_once_both_succeed_or_say_why() {
    run(async {
        for _ in 0..10 {
            let (disk, manifest, store, ids) = new_store(&[int_spec()], settings()).await;
            store.write(Write::new().rows(ids[0], ints(0, (0..600).collect()))).await.unwrap();
            let replace = async |slot: i64| {
                let mut write = store.begin_write();
                let id = write.replace(ids[0], float_spec()).await?;
                write.append(vec![(id, floats(slot, vec![0.5]))]).await?;
                write.commit().await
            };
            let write = store.write(Write::new().rows(ids[0], ints(900, vec![9])));
            let (a, b, c) = tokio::join!(replace(700), replace(800), write);
            assert!(a.is_ok() || b.is_ok(), "{a:?} {b:?}");
            let found = found_floats(&store, &float_spec().key).await;
            assert_eq!(found.contains_key(&700), a.is_ok());
            assert_eq!(found.contains_key(&800), b.is_ok());
            assert_eq!(found.contains_key(&900), c.is_ok());
            let report = check_with(&disk, &manifest, CheckOptions::default()).await.unwrap();
            assert!(!report.findings.iter().any(|finding| matches!(finding, Finding::Damage { .. })));
        }
    });
}
