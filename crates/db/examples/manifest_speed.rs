//! How fast the manifest moves rows, on SQLite in a temporary folder: `cargo run --release -p sheaf-db --example
//! manifest_speed -- [pieces]`.

#![expect(clippy::unwrap_used, reason = "a measurement that fails may panic")]

use std::time::{Duration, Instant};

use sheaf_db::Database;
use sheaf_store::manifest::{CommitRow, HeadRow, Manifest, ManifestWrite, PieceRow, SeriesRow, Stored};

#[tokio::main]
async fn main() {
    let count: i64 = std::env::args().nth(1).map_or(1_000_000, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("manifest.db");
    let (database, new) = timed(Database::sqlite(&path)).await;
    println!("a new database: {new:?}");
    let manifest = database.unwrap().manifest();

    let per_call = 100_000;
    let mut inserting = Duration::ZERO;
    for call in 0..count / per_call {
        let rows: Vec<_> =
            (0..per_call).map(|i| call * per_call + i).map(|i| piece(i / 1000, i, Vec::new())).collect();
        let start = Instant::now();
        let mut write = manifest.write().await.unwrap();
        write.insert_pieces(rows).await.unwrap();
        write.commit().await.unwrap();
        inserting += start.elapsed();
    }
    println!("{count} pieces in calls of {per_call}: {:.0} rows/s", count as f64 / inserting.as_secs_f64());

    let mut loading = Vec::new();
    for series in 0..50 {
        let start = Instant::now();
        let mut view = manifest.read().await.unwrap();
        let rows = view.pieces(&[series % (count / 1000)]).await.unwrap();
        drop(view);
        loading.push(start.elapsed());
        assert_eq!(rows.len(), 1000);
    }
    report("1 000 pieces of one series, view included", &mut loading);

    let all: Vec<i64> = (0..count / 1000).collect();
    let (rows, time) = timed(async { manifest.read().await.unwrap().pieces(&all).await.unwrap() }).await;
    println!("all pieces: {:.0} rows/s", rows.len() as f64 / time.as_secs_f64());
    drop(rows);

    let mut deleting = Vec::new();
    for round in 0..5 {
        // One of each series.
        let keys =
            (0..1000.min(count / 1000)).map(|i| piece(i, 1000 * i + round, Vec::new()).row.piece_key());
        let keys: Vec<_> = keys.collect();
        let start = Instant::now();
        let mut write = manifest.write().await.unwrap();
        assert_eq!(write.delete_pieces(&keys).await.unwrap(), keys.len() as u64);
        write.commit().await.unwrap();
        deleting.push(start.elapsed());
    }
    report("deleting a piece of each of 1 000 series", &mut deleting);

    let rows = (0..SERIES)
        .map(|i| key_row(1_000_000 + i, format!("/plant/mast{}/T{}/1_s", i / 100, i % 100)))
        .collect();
    let mut write = manifest.write().await.unwrap();
    write.put_series(rows).await.unwrap();
    write.commit().await.unwrap();
    let (all, time) =
        timed(async { manifest.read().await.unwrap().series_with_prefix("", None, u64::MAX).await.unwrap() })
            .await;
    println!("{} series by key, all of them: {time:?}", all.len());
    for page in [100, 1000] {
        let mut paging = Vec::new();
        for mast in 0..50 {
            let (prefix, after) = (format!("/plant/mast{}", mast % 10), format!("/plant/mast{}/", 11 * mast));
            let start = Instant::now();
            let mut view = manifest.read().await.unwrap();
            let rows = view.series_with_prefix(&prefix, Some(&after), page).await.unwrap();
            paging.push(start.elapsed());
            assert!(rows.len() as u64 <= page);
        }
        report(&format!("a page of {page} series below a prefix"), &mut paging);
    }

    let (mut statements, mut commits) = (Vec::new(), Vec::new());
    for round in 0..200 {
        let start = Instant::now();
        let mut write = manifest.write().await.unwrap();
        write.head().await.unwrap();
        write.series(&[round, round + 1]).await.unwrap();
        write.pieces(&[-1]).await.unwrap();
        write.put_series(vec![series(round), series(round + 1)]).await.unwrap();
        let rows = (0..64).map(|i| piece(1_000_000 + round, 64 * round + i, vec![7; 100])).collect();
        write.insert_pieces(rows).await.unwrap();
        finish(&mut *write, round).await;
        statements.push(start.elapsed());
        let start = Instant::now();
        write.commit().await.unwrap();
        commits.push(start.elapsed());
    }
    report("a small transaction up to its commit", &mut statements);
    report("its commit, with the disk", &mut commits);

    let mut heads = Vec::new();
    for _ in 0..500 {
        let start = Instant::now();
        manifest.read().await.unwrap().head().await.unwrap();
        heads.push(start.elapsed());
    }
    report("a view and its head", &mut heads);
    drop(manifest);

    let mut opening = Vec::new();
    for _ in 0..20 {
        let (database, time) = timed(Database::sqlite(&path)).await;
        opening.push(time);
        database.unwrap().close().await;
    }
    let bytes = std::fs::metadata(&path).unwrap().len();
    report(&format!("opening it again ({} MB)", bytes / 1_000_000), &mut opening);
}

async fn finish(write: &mut dyn ManifestWrite, commit: i64) {
    write.insert_commit(Stored::seal(CommitRow { commit, nonce: commit, at_ms: commit })).await.unwrap();
    let head = HeadRow {
        format: 1,
        store: 1,
        commit,
        nonce: 1,
        series_count: 1,
        series_digest: 1,
        segment_count: 1,
        segment_digest: 1,
        tail_rows: 1,
        tail_bytes: 1,
        tail_since_ms: 1,
        next_series: 1,
        next_segment: 1,
        next_ordinal: 1,
    };
    write.put_head(Stored::seal(head)).await.unwrap();
}

async fn timed<T>(action: impl Future<Output = T>) -> (T, Duration) {
    let start = Instant::now();
    let result = action.await;
    (result, start.elapsed())
}

fn report(what: &str, times: &mut [Duration]) {
    times.sort_unstable();
    println!("{what}: median {:?}, worst {:?}", times[times.len() / 2], times[times.len() - 1]);
}

/// How many series are listed.
const SERIES: i64 = 100_000;

fn series(id: i64) -> Stored<SeriesRow> {
    key_row(id, format!("/plant/met_mast/T{id}"))
}

fn key_row(id: i64, key: String) -> Stored<SeriesRow> {
    Stored::seal(SeriesRow {
        id,
        key,
        data_type: 9,
        period_ticks: 10_000_000,
        phase_ticks: 0,
        piece_count: id,
        piece_digest: i64::MAX - id,
    })
}

fn piece(series: i64, ordinal: i64, blob: Vec<u8>) -> Stored<PieceRow> {
    let begin_ticks = 638_000_000_000_000_000 + ordinal * 864_000_000_000;
    Stored::seal(PieceRow {
        series,
        commit: ordinal,
        ordinal,
        kind: 0,
        begin_ticks,
        end_ticks: begin_ticks + 864_000_000_000,
        segment: 1 + ordinal / 500,
        first_row: (ordinal % 500) * 86_400,
        rows: 86_400,
        missing: 0,
        blob,
    })
}
