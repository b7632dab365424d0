//! Disks and databases fail at any moment: what was acknowledged is there, and nothing half-written is.

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use sheaf_model::{DataType, Samples, Tick, Values};
use sheaf_store::manifest::{FailCommit, MemoryManifest};
use sheaf_store::testing::{Fault, FaultyDisk, Operation, When};
use sheaf_store::{
    CheckOptions, CompactOptions, Finding, Receipt, SeriesId, SeriesSpec, Settings, Store, StoreError, Watch,
    Write, in_full,
};

use super::world::{
    Change, Model, Part, Shape, base, change, check_with, compare, new_store, open, read_now, regular, run,
    segment_files, settings, specs,
};

/// What goes wrong.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    Disk(When, Fault),
    Commit(u64, FailCommit),
    /// All reads of the database after so many.
    Reads(u64),
    /// All changes of the database after so many.
    Writes(u64),
}

#[derive(Clone, Debug)]
enum Step {
    Write(Change),
    Compact { all: bool },
    Read,
    Reopen,
}

/// Announcements and leases of those who are gone end at once.
fn impatient() -> Settings {
    Settings {
        grace: Duration::ZERO,
        writer_lease: Duration::ZERO,
        maintenance_lease: Duration::from_millis(100),
        ..settings()
    }
}

struct World {
    specs: Vec<SeriesSpec>,
    ids: Vec<SeriesId>,
    disk: FaultyDisk,
    manifest: MemoryManifest,
    store: Option<Store>,
    model: Model,
    /// Writes that may have happened or not.
    open_questions: Vec<Change>,
}

impl World {
    async fn new() -> World {
        let specs = specs();
        let (disk, manifest, store, ids) = new_store(&specs, impatient()).await;
        let model: Model = specs.iter().map(|_| std::sync::Arc::default()).collect();
        World { specs, ids, disk, manifest, store: Some(store), model, open_questions: Vec::new() }
    }

    fn set(&self, trouble: Trouble) {
        match trouble {
            Trouble::Disk(when, fault) => self.disk.fail(when, fault),
            Trouble::Commit(after, fault) => self.manifest.fail_commit_after(after, fault),
            Trouble::Reads(after) => self.manifest.fail_reads_after(after),
            Trouble::Writes(after) => self.manifest.fail_writes_after(after),
        }
    }

    /// Everything works again. With a crash, all that was not durable is gone.
    async fn recover(&mut self, crash: Option<u64>) -> Result<(), String> {
        self.manifest.heal();
        let crash = crash.or(self.disk.is_frozen().then_some(1));
        if let Some(seed) = crash {
            self.store = None;
            self.disk = self.disk.crash(seed);
        }
        self.disk.heal();
        if self.store.is_none() {
            let opened = open(&self.disk, &self.manifest, impatient()).await;
            self.store = Some(opened.map_err(|error| format!("opening again: {}", in_full(&error)))?);
        }
        self.settle().await
    }

    /// Compares; if a write may have happened, it did as a whole or not at all.
    async fn settle(&mut self) -> Result<(), String> {
        let Some(store) = self.store.clone() else { return Ok(()) };
        let snapshot =
            store.snapshot(&self.ids).await.map_err(|error| format!("a snapshot: {}", in_full(&error)))?;
        let changes = std::mem::take(&mut self.open_questions);
        let mut wrong = String::new();
        // Each of them happened or not, most likely all.
        for happened in (0..1_u32 << changes.len()).rev() {
            let mut model = self.model.clone();
            for (_, change) in changes.iter().enumerate().filter(|(at, _)| happened >> at & 1 == 1) {
                change.apply(&self.specs, &mut model);
            }
            match compare(&snapshot, &self.ids, &model).await {
                Ok(()) => {
                    self.model = model;
                    return Ok(());
                }
                Err(text) => wrong = text,
            }
        }
        Err(format!("neither with nor without {} writes in doubt: {wrong}", changes.len()))
    }

    async fn take(&mut self, step: &Step) -> Result<(), String> {
        let Some(store) = self.store.clone() else { return Ok(()) };
        match step {
            Step::Write(change) => {
                let mut with = self.model.clone();
                change.apply(&self.specs, &mut with);
                match store.write(change.write(&self.specs, &self.ids)).await {
                    Ok(Receipt { .. }) => self.model = with,
                    Err(error) if error.may_be_written() => {
                        self.open_questions.push(change.clone());
                        // As long as everything fails, nobody can know; afterwards the store knows.
                        if !self.disk.is_frozen() {
                            self.manifest.heal();
                            self.settle().await?;
                        }
                    }
                    Err(_) => {}
                }
            }
            // It may fail, but not change an answer.
            Step::Compact { all } => {
                drop(store.compact(CompactOptions { all: *all }, &Watch::default()).await);
            }
            Step::Read => {
                for (at, &id) in self.ids.iter().enumerate() {
                    match read_now(&store, id).await {
                        Ok(found) if found == *self.model[at] => {}
                        // A write that may have happened is settled when the disk is back.
                        Ok(_) if !self.open_questions.is_empty() => {}
                        Ok(_) => return Err(format!("{}: other numbers", self.specs[at].key)),
                        Err(_) => {}
                    }
                }
            }
            Step::Reopen => {
                if let Ok(again) = open(&self.disk, &self.manifest, impatient()).await {
                    self.store = Some(again);
                }
            }
        }
        Ok(())
    }

    /// Nothing is damaged, and after compaction nothing is left over.
    async fn finish(mut self) -> Result<(), String> {
        self.settle().await?;
        let report = check_with(&self.disk, &self.manifest, CheckOptions::default()).await;
        let report = report.map_err(|error| in_full(&error))?;
        if let Some(damage) = report.findings.iter().find(|finding| matches!(finding, Finding::Damage { .. }))
        {
            return Err(format!("check: {damage:?}"));
        }
        let store = self.store.clone().ok_or("no store")?;
        let mut result = store.compact(CompactOptions { all: true }, &Watch::default()).await;
        for _ in 0..100 {
            // The lease of one that is gone ends soon.
            if !matches!(result, Err(StoreError::LeaseHeld { .. })) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
            result = store.compact(CompactOptions { all: true }, &Watch::default()).await;
        }
        let done = result.map_err(|error| format!("the last compaction: {}", in_full(&error)))?;
        if !done.failures.is_empty() {
            return Err(format!("the last compaction: {:?}", done.failures));
        }
        self.settle().await?;
        let report = check_with(&self.disk, &self.manifest, CheckOptions::default()).await;
        let findings = report.map_err(|error| in_full(&error))?.findings;
        let stats = store.stats().await.map_err(|error| in_full(&error))?;
        let segments: u64 = stats.segments.iter().map(|segments| segments.segments).sum();
        let files = segment_files(&self.disk).len() as u64;
        if !findings.is_empty() || files != segments || stats.pending_files != 0 {
            return Err(format!("left over: {files} files of {segments} segments, {findings:?}, {stats:?}"));
        }
        Ok(())
    }
}

fn trouble() -> impl Strategy<Value = Trouble> {
    let operation = prop_oneof![
        2 => Just(None),
        3 => proptest::sample::select(Operation::ALL.to_vec()).prop_map(Some),
    ];
    let fault = proptest::sample::select(vec![Fault::Fail, Fault::Tear, Fault::Freeze, Fault::TearAndFreeze]);
    let commit = proptest::sample::select(vec![FailCommit::Before, FailCommit::After]);
    prop_oneof![
        6 => (operation, 0_u64..25, fault).prop_map(|(operation, after, fault)| {
            Trouble::Disk(When { operation, after }, fault)
        }),
        2 => (0_u64..12, commit).prop_map(|(after, fault)| Trouble::Commit(after, fault)),
        1 => (0_u64..60).prop_map(Trouble::Reads),
        1 => (0_u64..60).prop_map(Trouble::Writes),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => change(specs().len()).prop_map(Step::Write),
        3 => any::<bool>().prop_map(|all| Step::Compact { all }),
        1 => Just(Step::Read),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_acknowledged_survives_any_trouble(
        before in proptest::collection::vec(step(), 0..4),
        trouble in trouble(),
        during in proptest::collection::vec(step(), 1..5),
        crash in proptest::option::of(any::<u64>()),
        after in proptest::collection::vec(step(), 0..3),
    ) {
        let result = run(async {
            let mut world = World::new().await;
            for step in &before {
                world.take(step).await?;
            }
            world.set(trouble);
            for step in &during {
                world.take(step).await?;
            }
            world.recover(crash).await?;
            for step in &after {
                world.take(step).await?;
            }
            world.finish().await
        });
        result.map_err(TestCaseError::fail)?;
    }
}

/// A write of each sort, a deletion and a compaction, as short as they can be.
fn script() -> Vec<Step> {
    let part = |series, slot, len| Part {
        series,
        slot,
        shape: Shape::Run { len },
        seed: slot as u8,
        missing_percent: 0,
    };
    let write = |parts| Step::Write(Change { parts, deletions: Vec::new() });
    vec![
        write(vec![part(0, 0, 300), part(3, 0, 20)]),
        write(vec![part(0, 100, 10)]),
        write(vec![part(0, 250, 400), part(1, 0, 30)]),
        Step::Compact { all: true },
        write(vec![part(2, 5, 3)]),
    ]
}

/// Runs the script with a trouble for each number, until a number is beyond all operations.
fn at_every_operation(trouble: impl Fn(u64) -> Trouble, crashes: bool) {
    run(async {
        for nth in 0.. {
            let mut world = World::new().await;
            let begun = world.disk.count(None);
            world.set(trouble(nth));
            for step in script() {
                world.take(&step).await.unwrap_or_else(|text| panic!("{nth}: {text}"));
            }
            let reached = world.disk.count(None) - begun;
            let result = world.recover(crashes.then_some(nth)).await;
            result.unwrap_or_else(|text| panic!("{nth}: {text}"));
            world.finish().await.unwrap_or_else(|text| panic!("{nth}: {text}"));
            if nth > reached {
                assert!(nth > 20, "the script does something");
                break;
            }
        }
    });
}

fn disk_fault(fault: Fault) -> impl Fn(u64) -> Trouble {
    move |after| Trouble::Disk(When { operation: None, after }, fault)
}

#[test]
fn power_may_fail_at_every_operation() {
    at_every_operation(disk_fault(Fault::Freeze), true);
    at_every_operation(disk_fault(Fault::TearAndFreeze), true);
}

#[test]
fn every_operation_may_fail_once() {
    at_every_operation(disk_fault(Fault::Fail), false);
    at_every_operation(disk_fault(Fault::Tear), false);
}

#[test]
fn every_commit_may_fail() {
    run(async {
        for fault in [FailCommit::Before, FailCommit::After] {
            for nth in 0..25 {
                let mut world = World::new().await;
                world.set(Trouble::Commit(nth, fault));
                for step in script() {
                    world.take(&step).await.unwrap_or_else(|text| panic!("{nth}: {text}"));
                }
                world.recover(None).await.unwrap_or_else(|text| panic!("{nth}: {text}"));
                world.finish().await.unwrap_or_else(|text| panic!("{nth}: {text}"));
            }
        }
    });
}

fn one_per_second() -> SeriesSpec {
    regular("/a/T1/1_s", DataType::Float64, "1_s", 0)
}

fn samples(slot: i64, values: Vec<f64>) -> Samples {
    let start = Tick::new(base() + slot * Tick::PER_SECOND).unwrap();
    Samples::new(start, "1_s".parse().unwrap(), Values::F64(values)).unwrap()
}

#[test]
fn a_full_disk_is_named_and_works_again_when_there_is_space() {
    run(async {
        let (disk, manifest, store, ids) = new_store(&[one_per_second()], impatient()).await;
        store.write(Write::new().rows(ids[0], samples(0, vec![1.0; 1000]))).await.unwrap();
        let before = read_now(&store, ids[0]).await.unwrap();
        // Values that do not compress.
        let noise = Part { series: 0, slot: 0, shape: Shape::Run { len: 2000 }, seed: 1, missing_percent: 0 };
        let noise = noise.cells(&regular("", DataType::Uint64, "1_s", 0)).into_iter();
        let noise: Vec<f64> = noise.map(|(_, cell)| f64::from_bits(cell.value.unwrap() >> 2)).collect();
        for space in [0, 1, 100, 5000] {
            disk.set_space(Some(space));
            let error =
                store.write(Write::new().rows(ids[0], samples(5000, noise.clone()))).await.unwrap_err();
            let text = in_full(&error);
            assert!(text.contains("faulty:/segments/") && text.contains(".parquet"), "{text}");
            assert!(!error.may_be_written(), "{error:?}");
            assert_eq!(read_now(&store, ids[0]).await.unwrap(), before);
        }
        // A small write needs space for the file HEAD alone. It is in the database, and says that a crash may undo it.
        disk.set_space(Some(0));
        let error = store.write(Write::new().rows(ids[0], samples(1500, vec![2.0]))).await.unwrap_err();
        assert!(
            matches!(error.root(), StoreError::NotAcknowledged { .. })
                && in_full(&error).contains("faulty:/HEAD")
        );
        disk.set_space(None);
        store.write(Write::new().rows(ids[0], samples(5000, noise))).await.unwrap();
        assert_eq!(read_now(&store, ids[0]).await.unwrap().len(), 3001);
        super::world::compact_all(&store).await;
        let report = check_with(&disk, &manifest, CheckOptions::default()).await.unwrap();
        assert_eq!(report.findings, []);
    });
}

#[test]
fn a_read_error_is_an_error_and_never_a_number() {
    run(async {
        let (disk, manifest, store, ids) = new_store(&[one_per_second()], impatient()).await;
        store.write(Write::new().rows(ids[0], samples(0, vec![1.0; 1000]))).await.unwrap();
        store
            .write(Write::new().rows(ids[0], samples(900, vec![f64::NAN, 2.0, f64::NAN, 3.0])))
            .await
            .unwrap();
        let wanted = read_now(&store, ids[0]).await.unwrap();
        let mut failed = 0;
        for after in 0..12 {
            for (operation, fault) in [
                (Operation::Read, Fault::Fail),
                (Operation::Read, Fault::Tear),
                (Operation::Open, Fault::Fail),
            ] {
                let fresh = open(&disk, &manifest, impatient()).await.unwrap();
                disk.fail(When { operation: Some(operation), after }, fault);
                match read_now(&fresh, ids[0]).await {
                    Ok(found) => assert_eq!(found, wanted),
                    Err(error) => {
                        let text = in_full(&error);
                        assert!(
                            text.contains("told to fail") && text.contains("faulty:/segments/"),
                            "{text}"
                        );
                        assert!(text.contains("/a/T1/1_s"), "{text}");
                        failed += 1;
                    }
                }
                disk.heal();
                assert_eq!(read_now(&fresh, ids[0]).await.unwrap(), wanted, "it was not for ever");
            }
        }
        assert!(failed >= 5, "{failed} reads failed");
    });
}

#[test]
fn short_writes_are_continued() {
    run(async {
        let (disk, manifest, store, ids) = new_store(&[one_per_second()], impatient()).await;
        disk.set_short_writes(true);
        let values: Vec<f64> = (0..1000).map(f64::from).collect();
        store.write(Write::new().rows(ids[0], samples(0, values))).await.unwrap();
        assert_eq!(read_now(&store, ids[0]).await.unwrap().len(), 1000);
        let report = check_with(&disk, &manifest, CheckOptions::default()).await.unwrap();
        assert_eq!((report.damages(), report.segments), (0, 1));
    });
}

#[test]
fn the_first_opening_may_fail_anywhere() {
    run(async {
        for fault in [Fault::Fail, Fault::Freeze, Fault::TearAndFreeze] {
            for after in 0..6 {
                let (mut disk, manifest) = (FaultyDisk::new(), MemoryManifest::new());
                disk.fail(When { operation: None, after }, fault);
                if let Ok(store) = open(&disk, &manifest, impatient()).await {
                    drop(store.create_series(&[one_per_second()]).await);
                }
                disk = disk.crash(after);
                let store = open(&disk, &manifest, impatient()).await.unwrap_or_else(|error| {
                    panic!("{fault:?} after {after}: {}", in_full(&error));
                });
                let id = store.create_series(&[one_per_second()]).await.unwrap()[0];
                store.write(Write::new().rows(id, samples(0, vec![1.0; 3]))).await.unwrap();
                assert_eq!(read_now(&store, id).await.unwrap().len(), 3);
            }
        }
    });
}

#[test]
fn a_write_that_is_given_up_happens_or_not_and_blocks_nobody() {
    run(async {
        let (disk, manifest, store, ids) = new_store(&[one_per_second()], impatient()).await;
        for round in 0..30 {
            let write = store.write(Write::new().rows(ids[0], samples(round * 1000, vec![1.0; 500])));
            // Given up after some while.
            let _unknown = tokio::time::timeout(Duration::from_micros(100 * round as u64), write).await;
            store.write(Write::new().rows(ids[0], samples(round * 1000 + 700, vec![2.0]))).await.unwrap();
        }
        let found = read_now(&store, ids[0]).await.unwrap();
        for round in 0..30 {
            let from = base() + round * 1000 * Tick::PER_SECOND;
            let rows = found.range(from..from + 600 * Tick::PER_SECOND).count();
            assert!(rows == 0 || rows == 500, "{rows} rows of round {round}");
            assert!(found.contains_key(&(from + 700 * Tick::PER_SECOND)));
        }
        let report = check_with(&disk, &manifest, CheckOptions::default()).await.unwrap();
        assert_eq!(report.damages(), 0, "{:?}", report.findings);
    });
}
