//! Rollups: what was put under a key, or nothing, whatever is done to the file.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sheaf_store::{RollupSettings, RollupStats, Rollups};
use tempfile::TempDir;

use super::world::run;

fn rollups(path: &Path) -> Rollups {
    Rollups::new(path, RollupSettings::default())
}

fn key(number: u64) -> Vec<u8> {
    format!("series {number:06}").into_bytes()
}

/// Bytes of a length that depends on the number: a few, less than a page, several pages.
fn value(number: u64, version: u64) -> Vec<u8> {
    let len = [20, 1500, 57_000][number as usize % 3] + number as usize;
    (0..len).map(|at| (at as u64 * 31 + number * 7 + version * 13) as u8).collect()
}

/// The numbers, of those below `count`, that have a value.
fn found(rollups: &Rollups, count: u64) -> Vec<(u64, Vec<u8>)> {
    let mut found = Vec::new();
    rollups.visit((0..count).map(key), |number, value| found.push((number as u64, value.to_vec())));
    found.sort();
    found
}

/// The first bytes of those that have a value.
fn peeked(rollups: &Rollups, count: u64) -> Vec<(u64, Vec<u8>)> {
    let mut heads = Vec::new();
    rollups.peek((0..count).map(key), |number, head| heads.push((number as u64, head.to_vec())));
    heads.sort();
    heads
}

fn heads(values: Vec<(u64, Vec<u8>)>) -> Vec<(u64, Vec<u8>)> {
    values.into_iter().map(|(number, value)| (number, value[..16].to_vec())).collect()
}

fn all(count: u64, version: u64) -> Vec<(u64, Vec<u8>)> {
    (0..count).map(|number| (number, value(number, version))).collect()
}

fn put_all(rollups: &Rollups, count: u64, version: u64) {
    all(count, version).into_iter().for_each(|(number, value)| rollups.put(key(number), value));
}

fn new_path(folder: &TempDir) -> PathBuf {
    folder.path().join("rollups.redb")
}

#[test]
fn what_was_put_is_found_at_once_later_and_by_others() {
    run(async {
        let folder = TempDir::new().unwrap();
        let path = new_path(&folder);
        let first = rollups(&path);
        assert_eq!(found(&first, 9), []);
        assert_eq!(first.stats(), RollupStats::default());
        assert!(!path.exists(), "reading makes no file");
        first.flush().await;
        put_all(&first, 90, 0);
        assert_eq!(found(&first, 100), all(90, 0), "before it is written");
        assert_eq!(peeked(&first, 100), heads(all(90, 0)));
        first.flush().await;
        assert_eq!(peeked(&first, 100), heads(all(90, 0)));
        assert_eq!(found(&first, 100), all(90, 0), "from the file");
        let second = rollups(&path);
        assert_eq!(found(&second, 100), all(90, 0), "while another one has it open");
        // Both write.
        put_all(&second, 90, 1);
        second.flush().await;
        assert_eq!(found(&first, 100), all(90, 1));
        assert_eq!(peeked(&first, 100), heads(all(90, 1)));
        first.put(key(90), value(90, 1));
        drop(first);
        assert_eq!(found(&second, 100), all(91, 1));
        let stats = second.stats();
        assert_eq!((stats.entries, stats.written, stats.lost, stats.discarded), (91, 90, 0, 0));
        assert!(stats.bytes > 30 * 57_000 && stats.file_bytes >= stats.bytes);
        assert_eq!(second.entries().len(), 91);
        assert_eq!(second.entries().iter().map(|(_, bytes)| bytes).sum::<u64>(), stats.bytes);
        second.clear();
        assert_eq!(found(&second, 100), []);
        assert!(!path.exists());
        put_all(&second, 3, 2);
        drop(second);
        assert_eq!(found(&rollups(&path), 100), all(3, 2));
    });
}

#[test]
fn the_oldest_go_beyond_the_limit() {
    run(async {
        let folder = TempDir::new().unwrap();
        let settings = RollupSettings { limit_bytes: 2 << 20, ..RollupSettings::default() };
        let rollups = Rollups::new(new_path(&folder), settings);
        let large = |number: u64| value(3 * number + 2, 0);
        for number in 0..300 {
            rollups.put(key(number), large(number));
            if number % 10 == 9 {
                rollups.flush().await;
                let stats = rollups.stats();
                assert!(stats.bytes <= settings.limit_bytes, "{stats:?}");
                assert!(stats.file_bytes <= 4 * settings.limit_bytes, "{stats:?}");
            }
        }
        let left = found(&rollups, 300);
        assert_eq!(peeked(&rollups, 300), heads(left.clone()));
        assert!(left.iter().all(|(number, value)| *value == large(*number)), "other values than were put");
        let left: Vec<u64> = left.into_iter().map(|(number, _)| number).collect();
        assert!((20..=32).contains(&left.len()), "{}", left.len());
        // Ten are written together, in any order: all of the last ones are there, and some of those before them.
        let whole = 300 - left.len() as u64 / 10 * 10;
        assert!(left[0] >= whole - 10 && (whole..300).all(|number| left.contains(&number)), "{left:?}");
        // What is written again is young again.
        let oldest = left[0];
        rollups.put(key(oldest), large(oldest));
        rollups.flush().await;
        rollups.put(key(300), large(300));
        rollups.flush().await;
        let left: Vec<u64> = found(&rollups, 301).into_iter().map(|(number, _)| number).collect();
        assert!(left.contains(&oldest) && left.contains(&300) && left.len() <= 32, "{left:?}");
        // More than there is room for.
        rollups.put(key(0), vec![1; 3 << 20]);
        rollups.flush().await;
        assert!(rollups.stats().bytes <= settings.limit_bytes);
    });
}

#[test]
fn the_file_may_be_removed_at_any_time() {
    run(async {
        let folder = TempDir::new().unwrap();
        let path = new_path(&folder);
        let (first, second) = (rollups(&path), rollups(&path));
        for round in 0..4 {
            put_all(&first, 20, round);
            first.flush().await;
            assert_eq!(found(&second, 20), all(20, round), "{round}");
            fs::remove_file(&path).unwrap();
            assert_eq!(found(&first, 20), []);
            assert_eq!(found(&second, 20), []);
        }
        assert_eq!((first.stats().lost, first.stats().discarded), (0, 0));
        // Nor must there be a folder for it, or one that is a folder.
        for path in [folder.path().join("absent").join("file"), folder.path().to_owned()] {
            let rollups = rollups(&path);
            assert_eq!(found(&rollups, 1), []);
            rollups.put(key(0), value(0, 0));
            rollups.flush().await;
            assert_eq!((rollups.stats().written, rollups.stats().lost), (0, 1));
        }
        assert!(folder.path().exists());
    });
}

/// A process that keeps everybody else out, as some platforms make each of them do.
#[test]
fn who_is_locked_out_goes_without() {
    run(async {
        let folder = TempDir::new().unwrap();
        let path = new_path(&folder);
        put_all(&rollups(&path), 3, 0);
        let exclusive = redb::Database::open(&path).unwrap();
        let out = rollups(&path);
        assert_eq!(found(&out, 3), []);
        out.put(key(0), value(0, 1));
        out.flush().await;
        assert_eq!((out.stats().lost, out.stats().discarded), (1, 0));
        drop(exclusive);
        assert_eq!(found(&out, 3), all(3, 0));
        out.put(key(0), value(0, 1));
        out.flush().await;
        assert_eq!(found(&out, 1), all(1, 1));
        // Somebody else is writing, and takes his time.
        let mut builder = redb::Builder::new();
        builder.set_concurrency_mode(redb::ConcurrencyMode::MultiWriter);
        let slow = builder.open(&path).unwrap();
        let transaction = slow.begin_write().unwrap();
        out.put(key(1), value(1, 1));
        assert_eq!(found(&out, 3).len(), 3, "reading does not wait");
        std::thread::sleep(Duration::from_millis(100));
        transaction.abort().unwrap();
        out.flush().await;
        assert_eq!(found(&out, 2), all(2, 1));
        assert_eq!(out.stats().discarded, 0);
    });
}

/// A process that was killed while it had the file open for writing.
#[test]
fn a_crash_loses_what_was_not_written_and_nothing_else() {
    run(async {
        let folder = TempDir::new().unwrap();
        let path = new_path(&folder);
        let crashed = rollups(&path);
        put_all(&crashed, 30, 0);
        crashed.flush().await;
        // As it is on disk while the thread has it open.
        let copy = folder.path().join("copy.redb");
        fs::copy(&path, &copy).unwrap();
        let next = rollups(&copy);
        let before = found(&next, 30);
        assert!(before.is_empty() || before == all(30, 0));
        next.put(key(30), value(30, 0));
        next.flush().await;
        assert_eq!(found(&next, 31), all(31, 0));
        assert_eq!(next.stats().discarded, 0);
    });
}

#[test]
fn damage_is_thrown_away_and_never_read() {
    run(async {
        let folder = TempDir::new().unwrap();
        let path = new_path(&folder);
        put_all(&rollups(&path), 60, 0);
        let intact = fs::read(&path).unwrap();
        let filled: Vec<usize> = (0..intact.len()).filter(|&at| intact[at] != 0).collect();
        let mut positions: Vec<usize> = (0..200).map(|n| filled[n * filled.len() / 200]).collect();
        positions.extend((0..500).step_by(5));
        // Where trees and allocators are: at the begin of pages.
        positions.extend((0..intact.len()).step_by(32 << 10).flat_map(|page| [page, page + 5, page + 40]));
        let (mut intact_left, mut discarded) = (0, 0);
        for (number, position) in positions.into_iter().enumerate() {
            let mut damaged = intact.clone();
            match number % 10 {
                8 => damaged.truncate(position),
                9 => {
                    let len = damaged.len();
                    damaged[position..(position + 9000).min(len)].fill(0x5a);
                }
                bit => damaged[position] ^= 1 << bit,
            }
            fs::write(&path, &damaged).unwrap();
            let rollups = rollups(&path);
            let left = found(&rollups, 70);
            assert!(left.iter().all(|(number, found)| *found == value(*number, 0)), "{position}");
            intact_left += left.len();
            rollups.stats();
            rollups.entries();
            // Writing over it may find more damage; then it is a new file.
            for version in 1..1 + (number % 4 / 2) as u64 * 2 {
                rollups.put(key(65), value(65, version));
                rollups.flush().await;
            }
            let after = found(&rollups, 70);
            for (number, found) in after {
                let versions: &[u64] = if number == 65 { &[1, 2] } else { &[0] };
                assert!(versions.iter().any(|&version| found == value(number, version)), "{position}");
            }
            discarded += rollups.stats().discarded;
        }
        assert!(intact_left > 1000 && discarded > 10, "{intact_left} {discarded}");
        for garbage in [&b""[..], b"garbage", &[0; 100_000], &[0xff; 8192]] {
            fs::write(&path, garbage).unwrap();
            let rollups = rollups(&path);
            assert_eq!(found(&rollups, 9), []);
            put_all(&rollups, 9, 0);
            rollups.flush().await;
            put_all(&rollups, 9, 0);
            rollups.flush().await;
            assert_eq!(found(&rollups, 9), all(9, 0));
        }
    });
}

#[test]
fn what_is_removed_is_gone_at_once_later_and_for_others() {
    run(async {
        let folder = TempDir::new().unwrap();
        let path = new_path(&folder);
        let first = rollups(&path);
        put_all(&first, 60, 0);
        first.flush().await;
        put_all(&first, 90, 1);
        let before = first.stats();
        let is_odd = |key: &[u8]| key.last().is_some_and(|digit| digit % 2 == 1);
        let even: Vec<_> = all(90, 1).into_iter().filter(|(number, _)| number % 2 == 0).collect();
        first.remove(is_odd);
        assert_eq!(found(&first, 100), even, "before it is written");
        assert_eq!(peeked(&first, 100), heads(even.clone()));
        first.flush().await;
        assert_eq!(found(&first, 100), even);
        assert_eq!(found(&rollups(&path), 100), even);
        let after = first.stats();
        assert_eq!(after.entries, 45);
        assert!(after.bytes < before.bytes, "{after:?} {before:?}");
        assert_eq!(first.remove(is_odd), (0, 0));
        assert_eq!(first.remove(|_| true).0, 45);
        first.flush().await;
        assert_eq!((first.stats().entries, first.stats().bytes), (0, 0));
        // What is put again is there again.
        put_all(&first, 9, 2);
        assert_eq!(found(&first, 9), all(9, 2));
    });
}
