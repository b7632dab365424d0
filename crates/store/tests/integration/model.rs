//! Whatever happens in whatever order, a store answers as a plain map does.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use sheaf_model::Tick;
use sheaf_store::manifest::MemoryManifest;
use sheaf_store::testing::FaultyDisk;
use sheaf_store::{
    CheckOptions, CompactOptions, SeriesId, SeriesSpec, Settings, Snapshot, Store, StoreError, Watch, in_full,
};

use super::world::{
    Change, Model, Series, change, check_with, compare, difference, large_change, open, read, run,
    segment_files, settings, specs, ticks, window,
};

#[derive(Clone, Debug)]
enum Step {
    Write {
        change: Change,
        key: Option<u8>,
    },
    /// The last write with a key once more.
    Repeat,
    Compact {
        all: bool,
    },
    Remember,
    /// Reads what was remembered first.
    LookBack,
    Look {
        series: usize,
        window: (i64, i64),
    },
    Reopen,
}

fn step(change: impl Strategy<Value = Change>) -> impl Strategy<Value = (Step, usize)> {
    let key = prop_oneof![4 => Just(None), 1 => (0_u8..3).prop_map(Some)];
    let series = specs().len();
    let step = prop_oneof![
        12 => (change, key).prop_map(|(change, key)| Step::Write { change, key }),
        1 => Just(Step::Repeat),
        5 => any::<bool>().prop_map(|all| Step::Compact { all }),
        1 => Just(Step::Remember),
        1 => Just(Step::LookBack),
        2 => (0..series, window()).prop_map(|(series, window)| Step::Look { series, window }),
        1 => Just(Step::Reopen),
    ];
    (step, 0_usize..2)
}

struct World {
    specs: Vec<SeriesSpec>,
    ids: Vec<SeriesId>,
    disk: FaultyDisk,
    manifest: MemoryManifest,
    /// Two processes on one folder and database.
    stores: Vec<Store>,
    model: Model,
    remembered: Vec<(Snapshot, Model)>,
    /// The state after each commit that was seen.
    history: Vec<(i64, i64, Model)>,
    /// Idempotency keys: what was written, and the commit.
    keys: HashMap<u8, (Change, i64)>,
    last_keyed: Option<(Change, u8)>,
}

/// Keeps a test from being silently endless.
async fn in_time<T>(what: &str, work: impl Future<Output = Result<T, StoreError>>) -> Result<T, String> {
    match tokio::time::timeout(Duration::from_secs(60), work).await {
        Ok(result) => result.map_err(|error| format!("{what}: {}", in_full(&error))),
        Err(_) => Err(format!("{what} does not end")),
    }
}

impl World {
    async fn new() -> World {
        let (specs, disk, manifest) = (specs(), FaultyDisk::new(), MemoryManifest::new());
        let mut stores = Vec::new();
        for _ in 0..2 {
            stores.push(open(&disk, &manifest, settings()).await.unwrap());
        }
        let ids = stores[0].create_series(&specs).await.unwrap();
        let model: Model = specs.iter().map(|_| Arc::default()).collect();
        let (commit, nonce) = stores[0].head().await.unwrap();
        let history = vec![(commit, nonce, model.clone())];
        let (remembered, keys, last_keyed) = (Vec::new(), HashMap::new(), None);
        World { specs, ids, disk, manifest, stores, model, remembered, history, keys, last_keyed }
    }

    async fn take(&mut self, step: Step, process: usize) -> Result<(), String> {
        match step {
            Step::Write { change, key } => self.write(change, key, process).await?,
            Step::Repeat => {
                if let Some((change, key)) = self.last_keyed.clone() {
                    self.write(change, Some(key), process).await?;
                }
            }
            Step::Compact { all } => {
                let watch = Watch::default();
                let done =
                    in_time("compact", self.stores[process].compact(CompactOptions { all }, &watch)).await?;
                if !done.failures.is_empty() {
                    return Err(format!("compact: {:?}", done.failures));
                }
                self.compare(process).await?;
            }
            Step::Remember => {
                let snapshot = in_time("snapshot", self.stores[process].snapshot(&self.ids)).await?;
                self.remembered.push((snapshot, self.model.clone()));
            }
            Step::LookBack => {
                if let Some((snapshot, model)) = self.remembered.first() {
                    compare(snapshot, &self.ids, model)
                        .await
                        .map_err(|text| format!("looking back: {text}"))?;
                }
            }
            Step::Look { series, window } => self.look(series, window, process).await?,
            Step::Reopen => {
                self.stores[process] = in_time("open", open(&self.disk, &self.manifest, settings())).await?;
                self.compare(process).await?;
            }
        }
        let (commit, nonce) = in_time("head", self.stores[process].head()).await?;
        if self.history.last().is_none_or(|(last, ..)| *last < commit) {
            self.history.push((commit, nonce, self.model.clone()));
        }
        Ok(())
    }

    async fn write(&mut self, change: Change, key: Option<u8>, process: usize) -> Result<(), String> {
        let mut write = change.write(&self.specs, &self.ids);
        if let Some(key) = key {
            write = write.key(format!("key {key}"));
        }
        let result = self.stores[process].write(write).await;
        let known = key.and_then(|key| self.keys.get(&key).cloned());
        match (result, known) {
            (Err(StoreError::KeyReused { commit, .. }), Some((before, of)))
                if before != change && commit == of => {}
            (Ok(receipt), Some((before, commit))) => {
                if before != change || !receipt.repeated || receipt.commit != commit {
                    return Err(format!("the key was used for commit {commit}, but {receipt:?}"));
                }
            }
            (Ok(receipt), None) => {
                if receipt.repeated {
                    return Err(format!("the key is new, but {receipt:?}"));
                }
                change.apply(&self.specs, &mut self.model);
                if let Some(key) = key {
                    self.keys.insert(key, (change.clone(), receipt.commit));
                    self.last_keyed = Some((change.clone(), key));
                }
            }
            (Err(error), _) => return Err(in_full(&error)),
        }
        // The other process sees it at once.
        let touched =
            change.parts.iter().map(|part| part.series).chain(change.deletions.iter().map(|d| d.series));
        let touched: Vec<SeriesId> = touched.map(|series| self.ids[series]).collect();
        let snapshot = in_time("snapshot", self.stores[1 - process].snapshot(&touched)).await?;
        for id in touched {
            let at = self.ids.iter().position(|other| *other == id).unwrap();
            let found = read(&snapshot, id, None).await.map_err(|error| in_full(&error))?;
            if let Some(difference) = difference(&found, &self.model[at]) {
                return Err(format!("{} after the write: {difference}", self.specs[at].key));
            }
        }
        Ok(())
    }

    async fn look(&self, series: usize, (begin, end): (i64, i64), process: usize) -> Result<(), String> {
        let range = ticks(begin, end);
        let snapshot = in_time("snapshot", self.stores[process].snapshot(&self.ids)).await?;
        let found = read(&snapshot, self.ids[series], Some(range)).await.map_err(|error| in_full(&error))?;
        let wanted: Series =
            self.model[series].range(begin..end).map(|(&start, &cell)| (start, cell)).collect();
        difference(&found, &wanted)
            .map_or(Ok(()), |text| Err(format!("{} in {range}: {text}", self.specs[series].key)))
    }

    async fn compare(&self, process: usize) -> Result<(), String> {
        let snapshot = in_time("snapshot", self.stores[process].snapshot(&self.ids)).await?;
        compare(&snapshot, &self.ids, &self.model).await?;
        self.compare_stats(process, &snapshot).await
    }

    /// What is said of series without reading them may be too much, never too little.
    async fn compare_stats(&self, process: usize, snapshot: &Snapshot) -> Result<(), String> {
        let store = &self.stores[process];
        let (all, stats) =
            in_time("stats", async { Ok((store.stats().await?, store.series_stats(&self.ids).await?)) })
                .await?;
        for (stats, rows) in stats.iter().zip(&self.model) {
            let range = snapshot.range(stats.series).map_err(|error| in_full(&error))?;
            let enough = stats.rows >= rows.len() as u64 && stats.rows >= stats.missing;
            if stats.range != range || !enough || (stats.bytes == 0) != (stats.rows == 0) {
                return Err(format!("{stats:?}, but there are {} rows in {range:?}", rows.len()));
            }
        }
        let segments: u64 = all.segments.iter().map(|segments| segments.bytes).sum();
        let bytes: u64 = stats.iter().map(|stats| stats.bytes).sum();
        if bytes > segments + all.tail_bytes {
            return Err(format!("series of {bytes} bytes in {all:?}"));
        }
        Ok(())
    }

    /// Whatever differs between a commit and now lies in a range that is said to have changed since.
    async fn compare_changes(&self) -> Result<(), String> {
        let snapshot = in_time("snapshot", self.stores[0].snapshot(&self.ids)).await?;
        for (commit, nonce, then) in &self.history {
            if !in_time("knows", snapshot.knows(*commit, *nonce)).await? {
                return Err(format!("commit {commit} is forgotten"));
            }
            for (at, &id) in self.ids.iter().enumerate() {
                let (then, now) = (&then[at], &self.model[at]);
                let ranges = snapshot.changed_since(id, *commit).map_err(|error| in_full(&error))?;
                if !ranges.windows(2).all(|pair| pair[0].end() < pair[1].begin()) {
                    return Err(format!("the ranges are not in order, or touch: {ranges:?}"));
                }
                let differs = |start: &&i64| then.get(start) != now.get(start);
                for start in then.keys().chain(now.keys()).filter(differs) {
                    let tick = Tick::new(*start).unwrap();
                    let at_or_before = ranges.partition_point(|range| range.begin() <= tick);
                    if !(at_or_before > 0 && ranges[at_or_before - 1].contains(tick)) {
                        let key = &self.specs[at].key;
                        return Err(format!(
                            "{key}: {tick} changed since commit {commit}, which {ranges:?} do not say"
                        ));
                    }
                }
            }
        }
        Ok(())
    }

    /// Verifies everything, then sees that nothing is left over.
    async fn finish(mut self) -> Result<(), String> {
        self.compare(0).await?;
        self.compare_changes().await?;
        for (snapshot, model) in &self.remembered {
            compare(snapshot, &self.ids, model).await.map_err(|text| format!("looking back: {text}"))?;
        }
        self.check().await?;
        self.stores.clear();
        self.remembered.clear();
        let settings = Settings { grace: Duration::ZERO, ..settings() };
        self.stores.push(in_time("open", open(&self.disk, &self.manifest, settings)).await?);
        self.take(Step::Compact { all: true }, 0).await?;
        self.compare_changes().await?;
        self.check().await?;
        let stats = in_time("stats", self.stores[0].stats()).await?;
        let segments: u64 = stats.segments.iter().map(|segments| segments.segments).sum();
        let files = segment_files(&self.disk).len() as u64;
        let left = (
            stats.tail_rows,
            stats.tail_bytes,
            stats.retired_segments,
            stats.pending_files,
            files - segments,
        );
        if left != (0, 0, 0, 0, 0) {
            return Err(format!("left over (tail rows, tail bytes, retired, pending, files): {left:?}"));
        }
        Ok(())
    }

    async fn check(&self) -> Result<(), String> {
        let report =
            in_time("check", check_with(&self.disk, &self.manifest, CheckOptions::default())).await?;
        if report.damages() > 0 || !report.findings.is_empty() {
            return Err(format!("check: {:?}", report.findings));
        }
        Ok(())
    }
}

fn answers_as_a_map_does(steps: Vec<(Step, usize)>) -> Result<(), TestCaseError> {
    let result = run(async {
        let mut world = World::new().await;
        for (at, (step, process)) in steps.into_iter().enumerate() {
            world.take(step, process).await.map_err(|text| format!("step {at}: {text}"))?;
        }
        world.finish().await
    });
    result.map_err(TestCaseError::fail)
}

fn steps(change: impl Strategy<Value = Change>, most: usize) -> impl Strategy<Value = Vec<(Step, usize)>> {
    proptest::collection::vec(step(change), 1..most)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_store_answers_as_a_map_does(steps in steps(change(specs().len()), 16)) {
        answers_as_a_map_does(steps)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_store_with_many_rows_answers_as_a_map_does(
        steps in steps(prop_oneof![change(specs().len()), large_change(specs().len())], 8)
    ) {
        answers_as_a_map_does(steps)?;
    }
}
