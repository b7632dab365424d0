//! A manifest with 100 000 series and ten million pieces: opened, and one series of it planned, in fresh processes.
//!
//! The rows go in through the manifest's own trait, sealed and counted as the store does it, because publishing ten million
//! pieces takes hours. They tell of a hundred days of 10-minute data, a commit and a segment for each day. The segments
//! themselves are not there; nobody reads them.

use std::path::Path;

use serde_json::{Value, json};
use sheaf_bench::data::SplitMix64;
use sheaf_bench::seconds::Seconds;
use sheaf_bench::store::{self, FIRST_TICKS, Failure};
use sheaf_model::{DataType, Tick};
use sheaf_store::manifest::{
    CommitRow, Manifest, PieceKind, PieceRow, SegmentRow, SegmentStateRow, SeriesRow, Stored,
};

use crate::{Bench, say};

const PERIOD_TICKS: i64 = 600 * Tick::PER_SECOND;

/// Rows of a series in a day.
const ROWS: i64 = 144;

/// How many series go in with one transaction.
const SERIES_AT_ONCE: i64 = 2_000;

pub(crate) async fn run(bench: &mut Bench) -> Result<Value, Failure> {
    let folder = bench.folder.join("many");
    let (series, pieces) = (bench.scale.many_series, bench.scale.many_pieces);
    let built = build(&folder, series, pieces).await?;
    let mut random = SplitMix64::new(4);
    let mut seconds = Seconds::default();
    for round in 0..=bench.scale.processes {
        if round == 1 {
            seconds = Seconds::default();
        }
        for cache in ["warm", "cold"] {
            let key = key(1 + (random.next_u64() % series as u64) as i64);
            if cache == "cold" {
                bench.forget("many")?;
            }
            let (found, taken) = bench.fresh(&["plan", &key], &folder)?;
            if found["ticks"] != json!(pieces * ROWS * PERIOD_TICKS) || found["pieces"] != json!(pieces) {
                return Err(format!("{key} has not {pieces} pieces of a day: {found}").into());
            }
            seconds.add(&format!("{cache}_process"), taken);
            for part in ["open", "find", "plan"] {
                let taken = found[format!("{part}_s")].as_f64().ok_or("a time is missing")?;
                seconds.add(&format!("{cache}_{part}"), taken);
            }
        }
    }
    // In a process that goes on, everything has been opened once.
    let opened = store::open(&folder).await?;
    opened.store.find_series(&key(1)).await?;
    for _ in 0..bench.scale.processes {
        let key = key(1 + (random.next_u64() % series as u64) as i64);
        let found = seconds.time_async("again_find", opened.store.find_series(&key)).await?;
        let id = found.ok_or_else(|| format!("there is no series {key}"))?;
        let found = seconds
            .time_async("again_plan", async {
                let snapshot = opened.store.snapshot(&[id]).await?;
                store::planned_pieces(&snapshot, id)
            })
            .await?;
        if found as i64 != pieces {
            return Err(format!("{key} has {found} pieces instead of {pieces}").into());
        }
    }
    // An absence is only believed when all series were seen.
    if seconds.time_async("absent", opened.store.find_series("/nowhere")).await?.is_some() {
        return Err("a series is found that is not there".into());
    }
    opened.close().await;
    let bytes = std::fs::metadata(folder.join("sheaf.db"))?.len();
    Ok(json!({
        "series": series,
        "pieces": series * pieces,
        "bytes": bytes,
        "build_s": built,
        "seconds": Value::from(seconds),
    }))
}

fn key(series: i64) -> String {
    format!("/plant/mast_{}/T{series}/10_min", series % 100)
}

/// Makes the manifest, unless it is there. Returns how long it took.
async fn build(folder: &Path, series: i64, pieces: i64) -> Result<Option<f64>, Failure> {
    // It is there when all of it is: the note is written last.
    let note = folder.join("complete.txt");
    let wanted = format!("{series} series of {pieces} pieces\n");
    if std::fs::read_to_string(&note).is_ok_and(|found| found == wanted) {
        return Ok(None);
    }
    say(&format!("writing {}", wanted.trim_end()));
    let begin = std::time::Instant::now();
    let opened = store::open_new(folder).await?;
    let manifest = opened.database.manifest();
    let (mut count, mut digest) = (0, 0_i64);
    while count < series {
        let ids = count + 1..=(count + SERIES_AT_ONCE).min(series);
        count = *ids.end();
        let mut tx = manifest.write().await?;
        let mut series_rows = Vec::new();
        let mut piece_rows = Vec::new();
        for id in ids {
            let mut piece_digest = 0_i64;
            for commit in 1..=pieces {
                let stored = piece(id, commit, (commit - 1) * series + id);
                piece_digest = piece_digest.wrapping_add(stored.checksum);
                piece_rows.push(stored);
            }
            let stored = Stored::seal(SeriesRow {
                id,
                key: key(id),
                data_type: DataType::Float64.code().into(),
                period_ticks: PERIOD_TICKS,
                phase_ticks: 0,
                piece_count: pieces,
                piece_digest,
            });
            digest = digest.wrapping_add(stored.checksum);
            series_rows.push(stored);
        }
        tx.put_series(series_rows).await?;
        tx.insert_pieces(piece_rows).await?;
        tx.commit().await?;
        if count % 20_000 == 0 {
            say(&format!("{count} of {series} series"));
        }
    }

    let mut tx = manifest.write().await?;
    let mut head = tx.head().await?.ok_or("the new store has no head")?.row;
    head.commit = pieces;
    head.series_count = series;
    head.series_digest = digest;
    head.next_series = series + 1;
    head.next_segment = pieces + 1;
    head.next_ordinal = series * pieces + 1;
    head.segment_count = pieces;
    let mut random = SplitMix64::new(5);
    let (mut segments, mut states) = (Vec::new(), Vec::new());
    for id in 1..=pieces {
        head.nonce = random.next_u64() as i64;
        let row = CommitRow { commit: id, nonce: head.nonce, at_ms: id };
        tx.insert_commit(Stored::seal(row)).await?;
        let (segment, state) = segment(id, series, random.next_u64() as i64);
        head.segment_digest = head.segment_digest.wrapping_add(state.checksum);
        segments.push(segment);
        states.push(state);
    }
    tx.insert_segments(segments).await?;
    tx.put_segment_states(states).await?;
    tx.put_head(Stored::seal(head)).await?;
    tx.commit().await?;
    opened.close().await;
    std::fs::write(&note, wanted)?;
    Ok(Some(begin.elapsed().as_secs_f64()))
}

/// A day of a series.
fn piece(series: i64, commit: i64, ordinal: i64) -> Stored<PieceRow> {
    let begin_ticks = FIRST_TICKS + (commit - 1) * ROWS * PERIOD_TICKS;
    Stored::seal(PieceRow {
        series,
        commit,
        ordinal,
        kind: PieceKind::Dense.code(),
        begin_ticks,
        end_ticks: begin_ticks + ROWS * PERIOD_TICKS,
        segment: commit,
        first_row: (series - 1) * ROWS,
        rows: ROWS,
        missing: 0,
        blob: Vec::new(),
    })
}

/// The segment with a day of all series.
fn segment(id: i64, series: i64, file_nonce: i64) -> (Stored<SegmentRow>, Stored<SegmentStateRow>) {
    let (data_type, rows) = (i64::from(DataType::Float64.code()), series * ROWS);
    let bytes = 2 * rows;
    let blocks = bytes.unsigned_abs().div_ceil(65_536) as usize;
    let block_sums = vec![0; 8 * blocks];
    let segment = SegmentRow { id, data_type, rows, bytes, has_estimated: 0, block_sums };
    let state = SegmentStateRow {
        id,
        file_nonce,
        data_type,
        bytes,
        rows,
        live_rows: rows,
        live_pieces: series,
        retired_ms: 0,
    };
    (Stored::seal(segment), Stored::seal(state))
}
