//! Bytes change and files are cut off: the right numbers or an error that says where, never others.

use std::collections::HashSet;
use std::time::Duration;

use proptest::prelude::*;
use sheaf_model::Tick;
use sheaf_store::manifest::{Manifest, MemoryManifest, Stored};
use sheaf_store::testing::FaultyDisk;
use sheaf_store::{CheckOptions, SeriesId, SeriesSpec, Settings, Store, StoreError, in_full};

use super::world::{
    Change, Model, Part, Shape, base, check_with, difference, new_store, open, read_now, run, segment_files,
    settings, specs, ticks,
};

pub(super) struct Damaged {
    pub(super) specs: Vec<SeriesSpec>,
    pub(super) ids: Vec<SeriesId>,
    pub(super) disk: FaultyDisk,
    pub(super) manifest: MemoryManifest,
    pub(super) model: Model,
}

/// A store with a few segments of each sort, some rows in the tail and a deletion.
pub(super) async fn filled() -> (Store, Damaged) {
    let settings = Settings { grace: Duration::ZERO, ..settings() };
    let specs = specs();
    let (disk, manifest, store, ids) = new_store(&specs, settings).await;
    let mut model: Model = specs.iter().map(|_| std::sync::Arc::default()).collect();
    let part =
        |series, slot, len, seed| Part { series, slot, shape: Shape::Run { len }, seed, missing_percent: 5 };
    let writes = [
        (0..5).map(|series| part(series, 0, 600, 1)).collect(),
        vec![part(0, 5000, 400, 2), part(3, 5000, 200, 2)],
        vec![part(0, 100, 50, 3), part(1, 10, 20, 3)],
    ];
    for parts in writes {
        let change = Change { parts, deletions: Vec::new() };
        store.write(change.write(&specs, &ids)).await.unwrap();
        change.apply(&specs, &mut model);
    }
    let gone = ticks(base() + 50 * Tick::PER_SECOND, base() + 80 * Tick::PER_SECOND);
    store.delete(ids[0], gone).await.unwrap();
    std::sync::Arc::make_mut(&mut model[0]).retain(|&start, _| !gone.contains(Tick::new(start).unwrap()));
    (store, Damaged { specs, ids, disk, manifest, model })
}

impl Damaged {
    /// Reads all series with a store that has nothing in memory. Says whether any could not be read; those that could
    /// must be right, and the errors must name a file and the series.
    pub(super) async fn read(&self, file: &str) -> Result<bool, String> {
        let store = open(&self.disk, &self.manifest, settings()).await.map_err(|error| in_full(&error))?;
        let mut any_failed = false;
        for (at, &id) in self.ids.iter().enumerate() {
            match read_now(&store, id).await {
                Ok(found) => {
                    if let Some(text) = difference(&found, &self.model[at]) {
                        return Err(format!("other numbers: {text}"));
                    }
                }
                Err(error) => {
                    any_failed = true;
                    let text = in_full(&error);
                    if !text.contains(file) || !text.contains(&self.specs[at].key) || !error.is_damage() {
                        return Err(format!("it does not say where: {text}"));
                    }
                }
            }
        }
        Ok(any_failed)
    }

    async fn damages(&self) -> u64 {
        check_with(&self.disk, &self.manifest, CheckOptions::default()).await.unwrap().damages()
    }
}

#[test]
fn a_store_without_damage_reads() {
    run(async {
        let (_, world) = filled().await;
        assert_eq!(world.read("").await, Ok(false));
        assert_eq!(world.damages().await, 0);
        assert!(segment_files(&world.disk).len() >= 5);
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_flipped_byte_in_a_segment_is_found(file in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), bits in 1_u8..) {
        run(async {
            let (_, world) = filled().await;
            let files = segment_files(&world.disk);
            let name = file.get(&files);
            world.disk.flip(name, at.index(world.disk.contents(name).unwrap().len()), bits);
            world.read(name).await.unwrap();
            // Even if no read needs the byte.
            assert!(world.damages().await > 0);
        });
    }

    #[test]
    fn a_segment_of_another_length_is_found(file in any::<prop::sample::Index>(), len in any::<prop::sample::Index>(), longer: bool) {
        run(async {
            let (_, world) = filled().await;
            let files = segment_files(&world.disk);
            let name = file.get(&files);
            let mut contents = world.disk.contents(name).unwrap();
            contents.truncate(len.index(contents.len()));
            if longer {
                contents = world.disk.contents(name).unwrap();
                contents.extend([0; 7]);
            }
            world.disk.put(name, &contents);
            assert_eq!(world.read(name).await, Ok(true));
            assert!(world.damages().await > 0);
        });
    }

    #[test]
    fn a_damaged_head_opens_or_says_so(at in 0_usize..4136, bits in 1_u8.., cut in 0_usize..4136, truncate: bool) {
        run(async {
            let (store, world) = filled().await;
            drop(store);
            if truncate {
                let contents = world.disk.contents("HEAD").unwrap();
                world.disk.put("HEAD", &contents[..cut]);
            } else {
                world.disk.flip("HEAD", at, bits);
            }
            match open(&world.disk, &world.manifest, settings()).await {
                Ok(_) => assert_eq!(world.read("").await, Ok(false)),
                Err(error) => {
                    assert!(truncate, "one of two slots is enough");
                    assert!(matches!(error, StoreError::HeadFile { .. }) && in_full(&error).contains("faulty:/HEAD"));
                    assert!(world.damages().await > 0);
                }
            }
        });
    }
}

#[test]
fn a_segment_in_the_place_of_another_is_found() {
    run(async {
        let (_, world) = filled().await;
        let files = segment_files(&world.disk);
        let (one, other) = (world.disk.contents(&files[0]).unwrap(), world.disk.contents(&files[1]).unwrap());
        world.disk.put(&files[0], &other);
        world.disk.put(&files[1], &one);
        assert_eq!(world.read("faulty:/segments/").await, Ok(true));
        assert!(world.damages().await >= 2);
    });
}

#[test]
fn a_missing_segment_is_named_with_its_series() {
    run(async {
        let (_, world) = filled().await;
        for name in segment_files(&world.disk) {
            let contents = world.disk.contents(&name).unwrap();
            world.disk.take(&name);
            assert_eq!(world.read(&name).await, Ok(true), "{name}");
            let store = open(&world.disk, &world.manifest, settings()).await.unwrap();
            let mut errors = HashSet::new();
            for &id in &world.ids {
                errors.extend(
                    read_now(&store, id)
                        .await
                        .err()
                        .map(|error| matches!(error, StoreError::MissingFile { .. })),
                );
            }
            assert_eq!(errors, HashSet::from([true]));
            let report = check_with(&world.disk, &world.manifest, CheckOptions::default()).await.unwrap();
            assert!(report.damages() > 0 && format!("{:?}", report.findings).contains(&name));
            world.disk.put(&name, &contents);
        }
        assert_eq!(world.read("").await, Ok(false), "all are back");
    });
}

#[test]
fn damage_is_found_by_a_store_that_is_open() {
    run(async {
        let (store, world) = filled().await;
        for &id in &world.ids {
            read_now(&store, id).await.unwrap();
        }
        // Whatever is kept in memory, samples are verified each time.
        let mut failed = 0;
        for name in segment_files(&world.disk) {
            world.disk.flip(&name, 100, 1);
        }
        for (at, &id) in world.ids.iter().enumerate() {
            match read_now(&store, id).await {
                Ok(found) => assert_eq!(difference(&found, &world.model[at]), None),
                Err(error) => {
                    assert!(in_full(&error).contains(&world.specs[at].key));
                    failed += 1;
                }
            }
        }
        assert_eq!(failed, world.ids.len());
    });
}

/// Changes a row of the manifest behind its checksum.
#[test]
fn a_changed_row_of_the_manifest_is_found() {
    run(async {
        let (store, world) = filled().await;
        drop(store);
        let id = world.ids[0].0;
        for what in ["series", "piece", "no piece", "head", "segment", "state"] {
            let fork = world.manifest.fork();
            let mut tx = fork.write().await.unwrap();
            let piece =
                tx.pieces(&[id]).await.unwrap().into_iter().find(|piece| piece.row.segment > 0).unwrap();
            let ids = [piece.row.segment];
            match what {
                "series" => {
                    let mut stored = tx.series(&[id]).await.unwrap().pop().unwrap();
                    stored.row.phase_ticks += 1;
                    tx.put_series(vec![stored]).await.unwrap();
                }
                "piece" => {
                    tx.delete_pieces(&[piece.row.piece_key()]).await.unwrap();
                    let mut changed = piece;
                    changed.row.begin_ticks += Tick::PER_SECOND;
                    tx.insert_pieces(vec![changed]).await.unwrap();
                }
                "no piece" => assert_eq!(tx.delete_pieces(&[piece.row.piece_key()]).await.unwrap(), 1),
                "head" => {
                    let mut head = tx.head().await.unwrap().unwrap();
                    head.row.series_count += 1;
                    tx.put_head(head).await.unwrap();
                }
                "segment" => {
                    let mut segment = tx.segments(&ids).await.unwrap().pop().unwrap();
                    let state = tx.segment_states(&ids).await.unwrap().pop().unwrap();
                    segment.row.rows += 1;
                    tx.delete_segments(&ids).await.unwrap();
                    tx.insert_segments(vec![segment]).await.unwrap();
                    tx.put_segment_states(vec![state]).await.unwrap();
                }
                _ => {
                    // Intact by itself, but not the one of the last commit.
                    let mut state = tx.segment_states(&ids).await.unwrap().pop().unwrap().row;
                    state.live_rows += 1;
                    tx.put_segment_states(vec![Stored::seal(state)]).await.unwrap();
                }
            }
            tx.commit().await.unwrap();
            let read = async {
                let store = open(&world.disk, &fork, settings()).await?;
                store.stats().await?;
                read_now(&store, world.ids[0]).await
            };
            let error = read.await.expect_err(what);
            assert!(error.is_damage(), "{what}: {}", in_full(&error));
            match check_with(&world.disk, &fork, CheckOptions::default()).await {
                Ok(report) => assert!(report.damages() > 0, "{what}"),
                Err(error) => assert!(what == "head" && error.is_damage(), "{what}: {}", in_full(&error)),
            }
        }
    });
}
