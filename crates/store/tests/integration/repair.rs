//! Databases that were set back, folders of others, and what `check` mends.

use std::time::Duration;

use sheaf_model::{DataType, Samples, Tick, Values};
use sheaf_store::manifest::MemoryManifest;
use sheaf_store::testing::FaultyDisk;
use sheaf_store::{
    CheckOptions, CheckReport, Finding, SeriesId, SeriesSpec, Settings, Store, StoreError, Write, in_full,
};

use super::damage::filled;
use super::world::{
    base, check_with, compact_all, difference, new_store, open, read_now, regular, run, segment_files,
    settings,
};

const REPAIR: CheckOptions = CheckOptions { repair: true, accept_loss: false };
const ACCEPT_LOSS: CheckOptions = CheckOptions { repair: true, accept_loss: true };

fn spec() -> SeriesSpec {
    regular("/a/T1/1_s", DataType::Float64, "1_s", 0)
}

async fn write(store: &Store, id: SeriesId, slot: i64, len: usize) {
    let start = Tick::new(base() + slot * Tick::PER_SECOND).unwrap();
    let samples = Samples::new(start, "1_s".parse().unwrap(), Values::F64(vec![slot as f64; len])).unwrap();
    store.write(Write::new().rows(id, samples)).await.unwrap();
}

async fn repaired(disk: &FaultyDisk, manifest: &MemoryManifest, options: CheckOptions) -> CheckReport {
    let report = check_with(disk, manifest, options).await.unwrap();
    let again = check_with(disk, manifest, CheckOptions::default()).await.unwrap();
    assert_eq!(again.findings, [], "after {:?}", report.findings);
    report
}

#[test]
fn a_database_that_was_set_back_is_refused_until_its_loss_is_accepted() {
    run(async {
        let (disk, manifest, store, ids) = new_store(&[spec()], settings()).await;
        write(&store, ids[0], 0, 10).await;
        let old = manifest.fork();
        write(&store, ids[0], 100, 10).await;
        drop(store);
        match open(&disk, &old, settings()).await {
            Err(StoreError::Rewound { found: 2, acknowledged: 3, forked: false, head_file, .. }) => {
                assert_eq!(head_file, "faulty:/HEAD");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(
            check_with(&disk, &old, REPAIR).await.unwrap().damages(),
            1,
            "nothing is given up unasked"
        );
        assert!(open(&disk, &old, settings()).await.is_err());
        assert_eq!(repaired(&disk, &old, ACCEPT_LOSS).await.damages(), 0);
        let store = open(&disk, &old, settings()).await.unwrap();
        assert_eq!(read_now(&store, ids[0]).await.unwrap().len(), 10);
        write(&store, ids[0], 200, 10).await;
        // The database of before has not what was acknowledged since.
        assert!(matches!(open(&disk, &manifest, settings()).await, Err(StoreError::Rewound { .. })));
    });
}

/// A database that was set back does not know the newest files. They are needed once the newest copy is back.
#[test]
fn repair_removes_no_file_for_a_database_that_was_set_back() {
    run(async {
        let settings = Settings { tail_write_bytes: 0, ..settings() };
        let (disk, manifest, store, ids) = new_store(&[spec()], settings.clone()).await;
        write(&store, ids[0], 0, 10).await;
        let old = manifest.fork();
        write(&store, ids[0], 100, 10).await;
        drop(store);
        let report = check_with(&disk, &old, REPAIR).await.unwrap();
        assert_eq!(report.damages(), 1);
        let store = open(&disk, &manifest, settings).await.unwrap();
        assert_eq!(read_now(&store, ids[0]).await.unwrap().len(), 20);
    });
}

/// What a lost piece hid does not come back.
#[test]
fn giving_up_a_correction_does_not_bring_back_what_it_corrected() {
    run(async {
        let settings = Settings { tail_write_bytes: 0, ..settings() };
        let (disk, manifest, store, ids) = new_store(&[spec()], settings.clone()).await;
        write(&store, ids[0], 0, 100).await;
        let before = disk.names();
        write(&store, ids[0], 10, 20).await;
        drop(store);
        let correction = disk.names().into_iter().find(|file| !before.contains(file)).unwrap();
        disk.flip(&correction, 100, 0xff);
        assert!(read_now(&open(&disk, &manifest, settings.clone()).await.unwrap(), ids[0]).await.is_err());
        check_with(&disk, &manifest, ACCEPT_LOSS).await.unwrap();
        let store = open(&disk, &manifest, settings).await.unwrap();
        assert_eq!(read_now(&store, ids[0]).await.unwrap().len(), 80);
    });
}

#[test]
fn another_history_is_refused() {
    run(async {
        let (disk, manifest, store, ids) = new_store(&[spec()], settings()).await;
        let (fork, folder) = (manifest.fork(), FaultyDisk::new());
        folder.put("HEAD", &disk.contents("HEAD").unwrap());
        let other = open(&folder, &fork, settings()).await.unwrap();
        for slot in 0..3 {
            write(&store, ids[0], slot, 1).await;
            write(&other, ids[0], slot, 1).await;
        }
        // As many commits, but not the same ones.
        match open(&disk, &fork, settings()).await {
            Err(StoreError::Rewound { found, acknowledged, forked: true, .. }) => {
                assert_eq!(found, acknowledged);
            }
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn a_folder_of_another_store_is_refused_whatever_is_accepted() {
    run(async {
        let (disk, manifest, store, ids) = new_store(&[spec()], settings()).await;
        let (other_disk, _, other, other_ids) = new_store(&[spec()], settings()).await;
        write(&store, ids[0], 0, 1).await;
        write(&other, other_ids[0], 0, 1).await;
        assert!(matches!(open(&other_disk, &manifest, settings()).await, Err(StoreError::OtherStore { .. })));
        let report = check_with(&other_disk, &manifest, REPAIR).await.unwrap();
        assert_eq!(report.damages(), 1);
        assert!(matches!(open(&other_disk, &manifest, settings()).await, Err(StoreError::OtherStore { .. })));
        // A new database is no replacement of one that has commits.
        let empty = MemoryManifest::new();
        assert!(matches!(open(&disk, &empty, settings()).await, Err(StoreError::Rewound { found: 0, .. })));
    });
}

#[test]
fn a_missing_or_damaged_head_is_written_anew() {
    run(async {
        let (disk, manifest, store, ids) = new_store(&[spec()], settings()).await;
        write(&store, ids[0], 0, 10).await;
        drop(store);
        let intact = disk.contents("HEAD").unwrap();
        for damage in ["missing", "empty", "both slots"] {
            match damage {
                "missing" => disk.take("HEAD"),
                "empty" => disk.put("HEAD", &[]),
                _ => [20, 4096 + 20].into_iter().for_each(|at| disk.flip("HEAD", at, 1)),
            }
            let error = open(&disk, &manifest, settings()).await.map(drop).expect_err(damage);
            assert!(matches!(error, StoreError::HeadFile { .. }), "{damage}: {}", in_full(&error));
            let report = repaired(&disk, &manifest, REPAIR).await;
            assert_eq!(report.damages(), 0);
            assert!(
                matches!(&report.findings[..], [Finding::Damage { repaired: Some(_), .. }]),
                "{:?}",
                report.findings
            );
            let store = open(&disk, &manifest, settings()).await.unwrap();
            assert_eq!(read_now(&store, ids[0]).await.unwrap().len(), 10);
            disk.put("HEAD", &intact);
        }
    });
}

#[test]
fn files_that_nothing_refers_to_are_removed_and_others_stay() {
    run(async {
        let (disk, manifest, store, ids) = new_store(&[spec()], settings()).await;
        write(&store, ids[0], 0, 1000).await;
        disk.put("segments/0123456789abcdef.parquet", b"left over");
        disk.put("segments/notes.txt", b"of somebody else");
        let report = check_with(&disk, &manifest, CheckOptions::default()).await.unwrap();
        assert_eq!((report.damages(), report.findings.len()), (0, 1));
        assert_eq!(segment_files(&disk).len(), 3);
        repaired(&disk, &manifest, REPAIR).await;
        assert_eq!(segment_files(&disk).len(), 2);
        assert!(disk.contents("segments/notes.txt").is_some());
        disk.put("segments/0123456789abcdef.parquet", b"left over");
        assert_eq!(compact_all(&store).await.removed_files, 1);
        assert_eq!(read_now(&store, ids[0]).await.unwrap().len(), 1000);
    });
}

#[test]
fn a_lost_segment_is_given_up_when_that_is_accepted_and_the_rest_reads() {
    run(async {
        let (store, world) = filled().await;
        drop(store);
        let lost = segment_files(&world.disk)[0].clone();
        world.disk.take(&lost);
        let report = check_with(&world.disk, &world.manifest, REPAIR).await.unwrap();
        assert!(report.damages() > 0 && format!("{:?}", report.findings).contains(&lost));
        assert_eq!(world.read(&lost).await, Ok(true), "nothing is given up unasked");

        let before = open(&world.disk, &world.manifest, settings()).await.unwrap().head().await.unwrap().0;
        check_with(&world.disk, &world.manifest, ACCEPT_LOSS).await.unwrap();
        let after = check_with(&world.disk, &world.manifest, CheckOptions::default()).await.unwrap();
        assert_eq!(after.findings, []);
        let store = open(&world.disk, &world.manifest, settings()).await.unwrap();
        let snapshot = store.snapshot(&world.ids).await.unwrap();
        let mut losses = 0;
        for (at, &id) in world.ids.iter().enumerate() {
            let found = read_now(&store, id).await.unwrap();
            let is_less = difference(&found, &world.model[at]).is_some();
            // What is computed from a series that lost something is computed again.
            assert!(!is_less || !snapshot.changed_since(id, before).unwrap().is_empty());
            losses += u64::from(is_less);
        }
        assert_eq!(losses, 1, "the segment had rows of one series");
        compact_all(&store).await;
    });
}

#[test]
fn samples_that_cannot_be_read_are_given_up_when_that_is_accepted() {
    run(async {
        // Two series in a segment of several blocks; the damage lies in the samples of the first one.
        let specs = [spec(), regular("/a/T2/1_s", DataType::Float64, "1_s", 0)];
        let settings = Settings { grace: Duration::ZERO, segment_most_rows: 1 << 20, ..settings() };
        let (disk, manifest, store, ids) = new_store(&specs, settings.clone()).await;
        let start = Tick::new(base()).unwrap();
        let noise = |seed: u64| -> Vec<f64> {
            let bits = (1..=100_000_u64).map(|i| (i ^ seed << 32).wrapping_mul(0x9E37_79B9_7F4A_7C15));
            bits.map(|bits| f64::from_bits((bits ^ bits >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 2))
                .collect()
        };
        let samples = |seed| Samples::new(start, "1_s".parse().unwrap(), Values::F64(noise(seed))).unwrap();
        store.write(Write::new().rows(ids[0], samples(1)).rows(ids[1], samples(2))).await.unwrap();
        let intact = read_now(&store, ids[1]).await.unwrap();
        drop(store);
        let [file] = &segment_files(&disk)[..] else { panic!("one segment") };
        let len = disk.contents(file).unwrap().len();
        disk.flip(file, len / 4, 0x40);

        let report = check_with(&disk, &manifest, CheckOptions::default()).await.unwrap();
        assert!(report.damages() > 0);
        check_with(&disk, &manifest, ACCEPT_LOSS).await.unwrap();
        let store = open(&disk, &manifest, settings).await.unwrap();
        assert_eq!(read_now(&store, ids[0]).await.unwrap().len(), 0, "given up");
        assert!(read_now(&store, ids[1]).await.unwrap() == intact, "the other series is as it was");
        // What is left moves to a new file, and nothing damaged remains.
        compact_all(&store).await;
        let report = check_with(&disk, &manifest, CheckOptions::default()).await.unwrap();
        assert_eq!(report.findings, []);
        assert!(read_now(&store, ids[1]).await.unwrap() == intact);
    });
}
