//! Bytes of the file change: every row is then as it was, or has a wrong checksum, or there is an error. Never a panic.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sheaf_db::Database;
use sheaf_db::testing::TestDatabase;
use sheaf_store::manifest::Manifest;

use super::rows::{fill, read_all};

/// A small generator of random numbers, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flipped_bytes_are_found_or_harmless() {
    let test = TestDatabase::sqlite();
    let database = test.open().await;
    let mut write = database.manifest().write().await.unwrap();
    fill(&mut *write).await;
    write.commit().await.unwrap();
    let mut view = database.manifest().read().await.unwrap();
    let (all, _) = read_all(&mut *view).await.unwrap();
    drop(view);
    database.close().await;
    let pristine = fs::read(test.file().unwrap()).unwrap();

    // Panics in threads of the driver count, too.
    let panics = Arc::new(AtomicUsize::new(0));
    let hook = std::panic::take_hook();
    let counted = Arc::clone(&panics);
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().name().is_some_and(|name| name.starts_with("sqlx")) {
            counted.fetch_add(1, Ordering::Relaxed);
        }
        hook(info);
    }));

    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut harmless, mut wrong, mut refused, mut fewer) = (0, 0, 0, 0);
    // Anywhere; and in the first page, where the tables are described.
    let anywhere =
        (0..300).map(|_| (random.below(pristine.len() as u64) as usize, 1 + random.below(255) as u8));
    let mut changes: Vec<(usize, u8)> = anywhere.collect();
    changes.extend((0..100).map(|_| (random.below(4096) as usize, 1 + random.below(255) as u8)));
    for (at, mask) in changes {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.db");
        let mut bytes = pristine.clone();
        bytes[at] ^= mask;
        fs::write(&path, bytes).unwrap();
        let database = match Database::sqlite(&path).await {
            Ok(database) => database,
            Err(error) => {
                assert!(error.to_string().contains("test.db"), "{error}");
                refused += 1;
                continue;
            }
        };
        let found = match database.manifest().read().await {
            Ok(mut view) => read_all(&mut *view).await,
            Err(error) => Err(error),
        };
        match found {
            Ok((rows, damaged)) if damaged > 0 => wrong += usize::from(rows <= all),
            Ok((rows, _)) if rows < all => fewer += 1,
            Ok((rows, _)) => {
                assert_eq!(rows, all, "byte {at}");
                harmless += 1;
            }
            Err(error) => {
                assert!(error.to_string().contains("test.db"), "{error}");
                refused += 1;
            }
        }
        database.close().await;
    }
    println!("harmless {harmless}, wrong checksums {wrong}, errors {refused}, fewer rows {fewer}");
    assert!(harmless > 0 && wrong > 0 && refused > 0);
    // Rows can vanish with a damaged page or index; the store finds that by the counts in its head.
    assert_eq!(panics.load(Ordering::Relaxed), 0);
}
