//! What every manifest must do, as cases that any implementation can run: call [`laws`] from a test.

#![expect(clippy::unwrap_used, reason = "a panic is how a case fails")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use super::{
    CommitRow, HeadRow, KeyRow, LeaseRow, Manifest, ManifestError, PendingRow, PieceKey, PieceRow, Row,
    SegmentRow, SegmentStateRow, SeriesRow, Stored,
};

/// A manifest under test.
pub type Subject = Arc<dyn Manifest>;

/// Runs all cases. `open` opens the database with a name, which it makes when it meets the name for the first time;
/// later it opens the same one again, and nothing of earlier opening is left but the database itself.
///
/// # Panics
/// A law is broken, or the database fails.
pub async fn laws(open: impl AsyncFn(&str) -> Subject) {
    everything_reads_back_as_written(&open("read_back").await).await;
    puts_replace(&open("puts").await).await;
    inserts_refuse_what_is_there(&open("inserts").await).await;
    deletes_remove_what_is_named(&open("deletes").await).await;
    pages_are_in_order(&open("pages").await).await;
    prefixes_are_compared_byte_by_byte(&open("prefixes").await).await;
    views_do_not_change(&open("views").await).await;
    what_is_not_committed_has_not_happened(&open("rollback").await).await;
    writers_take_turns(&open("writers").await).await;
    any_number_of_rows_goes_in_one_call(&open("numbers").await).await;
    a_pulse_shows_what_is_committed(&open).await;
    commits_survive_reopening(&open).await;
}

/// Extreme integers, no bytes and many, any text: all rows come back as they were written, checksums included.
pub async fn everything_reads_back_as_written(manifest: &Subject) {
    let mut view = manifest.read().await.unwrap();
    assert_eq!(view.head().await.unwrap(), None, "a new database has no head");
    assert_eq!(view.series_after(i64::MIN, 10).await.unwrap(), []);
    assert_eq!(view.series(&[]).await.unwrap(), []);
    assert_eq!(view.series_with_keys(&[]).await.unwrap(), []);
    assert_eq!(view.pieces(&[1]).await.unwrap(), []);
    assert_eq!(view.pending().await.unwrap(), []);
    drop(view);

    let heads = [i64::MIN, -1, 0, 1, i64::MAX].map(head);
    let series = [
        seal(SeriesRow {
            id: i64::MIN,
            key: String::new(),
            data_type: i64::MAX,
            period_ticks: i64::MIN,
            phase_ticks: 0,
            piece_count: -1,
            piece_digest: i64::MAX,
        }),
        // Not the checksum of the row: the manifest does not care.
        Stored {
            row: series_row(0, "/Ä/ß/日本 🌬 'quoted' \"twice\" \\ ? $1 :x %_\n"), checksum: i64::MIN
        },
        seal(series_row(i64::MAX, &"/long".repeat(400))),
        // Keys differ in case and in form of Unicode (é, e + accent).
        seal(series_row(1, "/caf\u{e9}")),
        seal(series_row(2, "/cafe\u{301}")),
        seal(series_row(3, "/CAF\u{e9}")),
    ];
    let big: Vec<u8> = (0..5_000_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let pieces = [
        seal(piece_row(i64::MIN, i64::MIN, i64::MIN, 0, Vec::new())),
        seal(piece_row(i64::MAX, i64::MAX, i64::MAX, -1, vec![0])),
        seal(PieceRow {
            kind: i64::MIN,
            begin_ticks: i64::MIN,
            end_ticks: i64::MAX,
            first_row: i64::MAX,
            rows: i64::MIN,
            missing: i64::MAX,
            ..piece_row(7, 1, 1, i64::MAX, (0..=255).collect())
        }),
        Stored { row: piece_row(7, 1, 2, 0, big.clone()), checksum: 0 },
    ];
    let segments = [
        seal(segment_row(i64::MAX, Vec::new())),
        seal(segment_row(1, big)),
        seal(SegmentRow {
            data_type: i64::MIN,
            rows: i64::MIN,
            bytes: i64::MAX,
            has_estimated: 1,
            ..segment_row(i64::MIN, vec![0xff; 9])
        }),
    ];
    let states = [i64::MIN, 0, i64::MAX].map(|id| seal(state_row(id)));
    let commits =
        [i64::MIN, -1, 0, i64::MAX].map(|commit| seal(CommitRow { commit, nonce: !commit, at_ms: i64::MAX }));
    let keys = ["", "Ключ 🔑", "it's"].map(|key| {
        seal(KeyRow { key: key.to_string(), payload: i64::MIN, commit: i64::MAX, at_ms: i64::MIN })
    });
    let pending =
        ["", "0/ü.parquet", "x"].map(|file| seal(PendingRow { file: file.to_string(), until_ms: i64::MAX }));
    let leases = ["", "maintenance"].map(|name| lease(name, i64::MIN, i64::MAX));

    for head in heads {
        let mut write = manifest.write().await.unwrap();
        write.put_head(head.clone()).await.unwrap();
        assert_eq!(write.head().await.unwrap(), Some(head.clone()), "a transaction sees its own changes");
        write.commit().await.unwrap();
        assert_eq!(manifest.read().await.unwrap().head().await.unwrap(), Some(head));
    }
    let mut write = manifest.write().await.unwrap();
    write.put_series(series.to_vec()).await.unwrap();
    write.insert_pieces(pieces.to_vec()).await.unwrap();
    write.insert_segments(segments.to_vec()).await.unwrap();
    write.put_segment_states(states.to_vec()).await.unwrap();
    for commit in &commits {
        write.insert_commit(commit.clone()).await.unwrap();
    }
    for key in &keys {
        write.insert_key(key.clone()).await.unwrap();
    }
    write.put_pending(pending.to_vec()).await.unwrap();
    for lease in &leases {
        write.put_lease(lease.clone()).await.unwrap();
    }
    // Nothing at all is fine, too.
    write.put_series(Vec::new()).await.unwrap();
    write.insert_pieces(Vec::new()).await.unwrap();
    write.insert_segments(Vec::new()).await.unwrap();
    write.put_segment_states(Vec::new()).await.unwrap();
    write.put_pending(Vec::new()).await.unwrap();
    assert_eq!(write.delete_pieces(&[]).await.unwrap(), 0);
    assert_eq!(write.delete_pending(&[]).await.unwrap(), 0);
    write.delete_segments(&[]).await.unwrap();
    write.delete_series(&[]).await.unwrap();
    assert_eq!(sorted(write.pieces(&[7]).await.unwrap()), sorted(pieces[2..].to_vec()));
    write.commit().await.unwrap();

    let mut view = manifest.read().await.unwrap();
    let ids: Vec<i64> = series.iter().map(|series| series.row.id).collect();
    assert_eq!(sorted(view.series(&ids).await.unwrap()), sorted(series.to_vec()));
    let names: Vec<String> = series.iter().map(|series| series.row.key.clone()).collect();
    assert_eq!(sorted(view.series_with_keys(&names).await.unwrap()), sorted(series.to_vec()));
    assert_eq!(view.series_with_keys(&["/caf".to_string()]).await.unwrap(), []);
    assert_eq!(view.series(&[5, 2, 2, 2]).await.unwrap(), [series[4].clone()], "each row once");
    assert_eq!(sorted(view.pieces(&[7, i64::MIN, i64::MAX, 3, 7]).await.unwrap()), sorted(pieces.to_vec()));
    assert_eq!(view.pieces(&[i64::MIN]).await.unwrap(), [pieces[0].clone()]);
    assert_eq!(sorted(view.segments(&[1, i64::MIN, i64::MAX, 0]).await.unwrap()), sorted(segments.to_vec()));
    assert_eq!(
        sorted(view.segment_states(&[0, i64::MIN, i64::MAX, 1]).await.unwrap()),
        sorted(states.to_vec())
    );
    for commit in &commits {
        assert_eq!(view.commit_row(commit.row.commit).await.unwrap().as_ref(), Some(commit));
    }
    assert_eq!(view.commit_row(1).await.unwrap(), None);
    for key in &keys {
        assert_eq!(view.key(&key.row.key).await.unwrap().as_ref(), Some(key));
    }
    assert_eq!(view.key("ключ 🔑").await.unwrap(), None);
    assert_eq!(sorted(view.pending().await.unwrap()), sorted(pending.to_vec()));
    for lease in &leases {
        assert_eq!(view.lease(&lease.row.name).await.unwrap().as_ref(), Some(lease));
    }
    assert_eq!(view.lease("Maintenance").await.unwrap(), None);
    // Segment 0 is the tail; -1 is none, so nothing is in it.
    assert_eq!(view.series_in_segments(&[0]).await.unwrap(), [i64::MIN, 7]);
    assert_eq!(view.series_in_segments(&[i64::MAX, 0, -1, 99]).await.unwrap(), [i64::MIN, 7]);
    assert_eq!(view.series_in_segments(&[-1, 99]).await.unwrap(), Vec::<i64>::new());
    assert_eq!(view.series_in_segments(&[]).await.unwrap(), Vec::<i64>::new());
}

/// A put replaces the whole row with the same key, and no other.
pub async fn puts_replace(manifest: &Subject) {
    let mut write = manifest.write().await.unwrap();
    write.put_series((0..20).map(|id| seal(series_row(id, &format!("/{id}")))).collect()).await.unwrap();
    write.put_segment_states((0..20).map(|id| seal(state_row(id))).collect()).await.unwrap();
    write.put_pending(vec![seal(PendingRow { file: "a".to_string(), until_ms: 1 })]).await.unwrap();
    write.put_lease(lease("l", 1, 1)).await.unwrap();
    write.put_head(head(1)).await.unwrap();
    write.commit().await.unwrap();

    let changed = seal(SeriesRow {
        key: "/other".to_string(),
        data_type: 9,
        period_ticks: 9,
        phase_ticks: 9,
        piece_count: 9,
        piece_digest: 9,
        ..series_row(3, "")
    });
    let changed_state = seal(SegmentStateRow {
        id: 4,
        file_nonce: -1,
        data_type: -2,
        bytes: -3,
        rows: -4,
        live_rows: -5,
        live_pieces: -6,
        retired_ms: -7,
    });
    let mut write = manifest.write().await.unwrap();
    // 19 is as it was, 20 is new.
    write
        .put_series(vec![seal(series_row(19, "/19")), changed.clone(), seal(series_row(20, "/20"))])
        .await
        .unwrap();
    write.put_segment_states(vec![changed_state.clone(), seal(state_row(20))]).await.unwrap();
    write.put_pending(vec![seal(PendingRow { file: "a".to_string(), until_ms: 2 })]).await.unwrap();
    write.put_lease(lease("l", 2, 3)).await.unwrap();
    write.put_head(head(2)).await.unwrap();
    write.put_head(head(3)).await.unwrap();
    write.commit().await.unwrap();

    let mut view = manifest.read().await.unwrap();
    assert_eq!(view.head().await.unwrap(), Some(head(3)));
    let series = view.series_after(i64::MIN, 100).await.unwrap();
    assert_eq!(series.len(), 21);
    assert_eq!(series[3], changed);
    assert_eq!(series[4], seal(series_row(4, "/4")));
    assert_eq!(view.series_with_keys(&["/3".to_string()]).await.unwrap(), [], "the former key is free");
    assert_eq!(view.series_with_keys(&["/other".to_string()]).await.unwrap(), [changed]);
    let states = view.segment_states_after(i64::MIN, 100).await.unwrap();
    assert_eq!(states.len(), 21);
    assert_eq!(states[4], changed_state);
    assert_eq!(states[5], seal(state_row(5)));
    assert_eq!(view.pending().await.unwrap(), [seal(PendingRow { file: "a".to_string(), until_ms: 2 })]);
    assert_eq!(view.lease("l").await.unwrap(), Some(lease("l", 2, 3)));
}

/// What is inserted must be new; a transaction with such an error is over.
pub async fn inserts_refuse_what_is_there(manifest: &Subject) {
    let mut write = manifest.write().await.unwrap();
    write.put_series(vec![seal(series_row(1, "/1"))]).await.unwrap();
    write.insert_pieces(vec![seal(piece_row(1, 1, 1, 0, vec![1]))]).await.unwrap();
    write.insert_segments(vec![seal(segment_row(1, vec![]))]).await.unwrap();
    write.insert_commit(seal(CommitRow { commit: 1, nonce: 1, at_ms: 1 })).await.unwrap();
    write.insert_key(seal(KeyRow { key: "k".to_string(), payload: 1, commit: 1, at_ms: 1 })).await.unwrap();
    write.commit().await.unwrap();

    let mut write = manifest.write().await.unwrap();
    let twice = vec![seal(piece_row(1, 1, 2, 0, vec![])), seal(piece_row(1, 1, 1, 0, vec![2]))];
    assert_names_database(write.insert_pieces(twice).await, manifest);
    drop(write);
    let mut write = manifest.write().await.unwrap();
    assert_names_database(write.insert_segments(vec![seal(segment_row(1, vec![2]))]).await, manifest);
    drop(write);
    let mut write = manifest.write().await.unwrap();
    assert_names_database(
        write.insert_commit(seal(CommitRow { commit: 1, nonce: 2, at_ms: 1 })).await,
        manifest,
    );
    drop(write);
    let mut write = manifest.write().await.unwrap();
    let key = seal(KeyRow { key: "k".to_string(), payload: 2, commit: 2, at_ms: 2 });
    assert_names_database(write.insert_key(key).await, manifest);
    drop(write);
    let mut write = manifest.write().await.unwrap();
    assert_names_database(write.put_series(vec![seal(series_row(2, "/1"))]).await, manifest);
    drop(write);

    let mut view = manifest.read().await.unwrap();
    assert_eq!(view.pieces(&[1]).await.unwrap(), [seal(piece_row(1, 1, 1, 0, vec![1]))]);
    assert_eq!(view.segments(&[1]).await.unwrap(), [seal(segment_row(1, vec![]))]);
    assert_eq!(view.commit_row(1).await.unwrap().map(|row| row.row.nonce), Some(1));
    assert_eq!(view.series_after(0, 9).await.unwrap(), [seal(series_row(1, "/1"))]);
}

/// Deletes remove what they name, count it, and leave the rest.
pub async fn deletes_remove_what_is_named(manifest: &Subject) {
    let mut write = manifest.write().await.unwrap();
    let pieces = (0..1000).map(|i| seal(piece_row(i % 10, i / 100, i, i % 3, vec![])));
    write.insert_pieces(pieces.collect()).await.unwrap();
    write.put_series((1..=9).map(|id| seal(series_row(id, &format!("/{id}")))).collect()).await.unwrap();
    write.insert_segments((1..=9).map(|id| seal(segment_row(id, vec![]))).collect()).await.unwrap();
    write.put_segment_states((1..=9).map(|id| seal(state_row(id))).collect()).await.unwrap();
    for i in 1..=9 {
        write.insert_commit(seal(CommitRow { commit: i, nonce: i, at_ms: i })).await.unwrap();
        write.insert_key(seal(KeyRow { key: i.to_string(), payload: i, commit: i, at_ms: i })).await.unwrap();
    }
    write
        .put_pending((1..=9).map(|i| seal(PendingRow { file: i.to_string(), until_ms: i })).collect())
        .await
        .unwrap();
    write.commit().await.unwrap();

    let mut write = manifest.write().await.unwrap();
    let keys: Vec<PieceKey> = (0..1000)
        .filter(|i| i % 2 == 0)
        .map(|i| piece_row(i % 10, i / 100, i, 0, vec![]).piece_key())
        .collect();
    // All three parts of a key count.
    let no_such = [(1, 0, 3), (1, 1, 1), (2, 0, 1), (99, 0, 0)].map(|(series, commit, ordinal)| PieceKey {
        series,
        commit,
        ordinal,
    });
    assert_eq!(write.delete_pieces(&[&keys[..], &no_such[..]].concat()).await.unwrap(), 500);
    assert_eq!(write.delete_pieces(&keys).await.unwrap(), 0);
    write.delete_segments(&[2, 4, 77]).await.unwrap();
    write.delete_series(&[3, 5, 77]).await.unwrap();
    // The key of one that is gone is free in the same transaction.
    write.put_series(vec![seal(series_row(10, "/3"))]).await.unwrap();
    write.delete_commits_below(4).await.unwrap();
    write.delete_keys_before(6).await.unwrap();
    assert_eq!(write.delete_pending(&["1".to_string(), "x".to_string(), "9".to_string()]).await.unwrap(), 2);
    write.commit().await.unwrap();

    let mut view = manifest.read().await.unwrap();
    let left = view.pieces(&(0..10).collect::<Vec<_>>()).await.unwrap();
    assert_eq!(left.len(), 500);
    assert!(left.iter().all(|piece| piece.row.ordinal % 2 == 1 && piece.is_intact()));
    assert_eq!(view.series_in_segments(&[0, 1, 2]).await.unwrap(), [1, 3, 5, 7, 9]);
    let segments = view.segments(&(0..10).collect::<Vec<_>>()).await.unwrap();
    assert_eq!(sorted_ids(segments.iter().map(|segment| segment.row.id)), [1, 3, 5, 6, 7, 8, 9]);
    let states = view.segment_states_after(0, 100).await.unwrap();
    assert_eq!(states.iter().map(|state| state.row.id).collect::<Vec<_>>(), [1, 3, 5, 6, 7, 8, 9]);
    let series = view.series_after(0, 100).await.unwrap();
    assert_eq!(series.iter().map(|series| series.row.id).collect::<Vec<_>>(), [1, 2, 4, 6, 7, 8, 9, 10]);
    let found = view.series_with_keys(&["/3".to_owned(), "/5".to_owned()]).await.unwrap();
    assert_eq!(found.iter().map(|series| series.row.id).collect::<Vec<_>>(), [10]);
    for i in 1..=9 {
        assert_eq!(view.commit_row(i).await.unwrap().is_some(), i >= 4, "{i}");
        assert_eq!(view.key(&i.to_string()).await.unwrap().is_some(), i >= 6, "{i}");
    }
    let pending = view.pending().await.unwrap();
    assert_eq!(sorted_ids(pending.iter().map(|file| file.row.until_ms)), [2, 3, 4, 5, 6, 7, 8]);
}

/// Pages follow each other by id, without gaps and doublets.
pub async fn pages_are_in_order(manifest: &Subject) {
    // Written in another order than that of their ids.
    let ids: Vec<i64> = (0..100).map(|i| (i * 37) % 100 - 50).collect();
    let mut write = manifest.write().await.unwrap();
    write.put_series(ids.iter().map(|&id| seal(series_row(id, &id.to_string()))).collect()).await.unwrap();
    write.put_segment_states(ids.iter().map(|&id| seal(state_row(id))).collect()).await.unwrap();
    write.commit().await.unwrap();

    let mut view = manifest.read().await.unwrap();
    for limit in [1, 7, 100, 101] {
        let (mut after, mut series, mut states) = (-51, Vec::new(), Vec::new());
        loop {
            let page = view.series_after(after, limit).await.unwrap();
            let state_page = view.segment_states_after(after, limit).await.unwrap();
            assert!(page.len() as u64 <= limit);
            series.extend(page.iter().map(|row| row.row.id));
            states.extend(state_page.iter().map(|row| row.row.id));
            match page.last() {
                Some(last) => after = last.row.id,
                None => break,
            }
        }
        assert_eq!(series, (-50..50).collect::<Vec<_>>());
        assert_eq!(states, series);
    }
    assert_eq!(view.series_after(-51, 0).await.unwrap(), []);
    assert_eq!(view.series_after(i64::MAX, 10).await.unwrap(), []);
    assert_eq!(view.series_after(-51, u64::MAX).await.unwrap().len(), 100);
}

/// The series with a prefix are those whose keys begin with its bytes, whatever a collation or a pattern would make of
/// them; pages of them follow each other by key.
pub async fn prefixes_are_compared_byte_by_byte(manifest: &Subject) {
    let last = char::MAX.to_string();
    let mut keys: Vec<String> = [
        "/plant",
        "/plant/mast",
        "/plant/mast/T1/1_s",
        "/plant/mast/T1/10_ms",
        "/plant/mast/T1/1_min",
        "/plant/mastx/T1/1_s",
        "/plant/mast_2/T1/1_s",
        "/plant/mastA2/T1/1_s",
        "/plant/mast%/T1",
        "/plant/mast%25/T1",
        "/plant/MAST/T1/1_s",
        "/plant/\u{e4}",
        "/plant/a\u{308}",
        "/plant/z",
        "/plant/it's",
        "/plant/\"it\"",
        "/plant/back\\slash",
        "/plant/a b",
        "/plant/a-b",
        "/plant/a?$1:x",
        "/plant0",
        "/Plant",
        "/\u{d7ff}",
        "/\u{e000}",
        "/\u{ffff}",
        "/\u{1f32c}",
        "",
        "no slash",
        "/plant/\n",
    ]
    .map(str::to_string)
    .to_vec();
    keys.extend(
        [&last, &format!("/{last}"), &format!("/{last}{last}"), &format!("/{last}/x")].map(String::clone),
    );
    keys.push("/long".repeat(400));
    let mut prefixes = keys.clone();
    keys.extend((0..300).map(|i| format!("/many/T{i}/1_s")));
    let row = |(id, key): (usize, &String)| seal(series_row((id as i64 * 37) % 1009, key));
    let mut write = manifest.write().await.unwrap();
    write.put_series(keys.iter().enumerate().map(row).collect()).await.unwrap();
    write.commit().await.unwrap();
    keys.sort_unstable();

    let mut view = manifest.read().await.unwrap();
    let parts = [
        "/",
        "/plant/",
        "/plant/mast/",
        "/plant/mast_",
        "/plant/mast%",
        "/pl%",
        "/many/T1",
        "/many/T29",
        "/nothing",
        "/\u{d7ff}",
        "/plant/mast/T1/1",
        "z",
        "%",
        "_",
        "'",
    ];
    prefixes.extend(parts.map(str::to_string));
    for prefix in &prefixes {
        let expected: Vec<&String> = keys.iter().filter(|key| key.starts_with(prefix.as_str())).collect();
        for limit in [1, 7, 1000] {
            if limit == 1 && expected.len() > 20 {
                continue;
            }
            let (mut after, mut found): (Option<String>, Vec<String>) = (None, Vec::new());
            loop {
                let page = view.series_with_prefix(prefix, after.as_deref(), limit).await.unwrap();
                assert!(page.len() as u64 <= limit);
                found.extend(page.iter().map(|row| row.row.key.clone()));
                match found.last() {
                    Some(last) if !page.is_empty() => after = Some(last.clone()),
                    _ => break,
                }
            }
            assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{prefix:?} by {limit}");
        }
    }
    // What pages begin after need not be a key, and may lie outside.
    for (after, expected) in
        [("", 300), ("/many", 300), ("/many/T299/1_s", 77), ("/many/T98x", 1), ("/mb", 0), ("zz", 0)]
    {
        assert_eq!(
            view.series_with_prefix("/many/T", Some(after), 1000).await.unwrap().len(),
            expected,
            "{after}"
        );
    }
    assert_eq!(view.series_with_prefix("", None, u64::MAX).await.unwrap().len(), keys.len());
    assert_eq!(view.series_with_prefix("", None, 0).await.unwrap(), []);
    assert!(view.series_with_prefix("", None, 400).await.unwrap().iter().all(Stored::is_intact));
}

/// A view sees the state at its begin, also in what it had not looked at before others commit.
pub async fn views_do_not_change(manifest: &Subject) {
    let mut write = manifest.write().await.unwrap();
    write.put_head(head(1)).await.unwrap();
    write.put_series(vec![seal(series_row(1, "/1"))]).await.unwrap();
    write.commit().await.unwrap();

    let mut untouched = manifest.read().await.unwrap();
    let mut touched = manifest.read().await.unwrap();
    assert_eq!(touched.head().await.unwrap(), Some(head(1)));

    let mut write = manifest.write().await.unwrap();
    write.put_head(head(2)).await.unwrap();
    write.put_series(vec![seal(series_row(2, "/2"))]).await.unwrap();
    write.insert_pieces(vec![seal(piece_row(2, 2, 1, 0, vec![]))]).await.unwrap();
    let mut beside = manifest.read().await.unwrap();
    assert_eq!(beside.head().await.unwrap(), Some(head(1)), "nobody sees what is not committed");
    assert_eq!(beside.series_after(0, 9).await.unwrap().len(), 1);
    write.commit().await.unwrap();

    for view in [&mut untouched, &mut touched, &mut beside] {
        assert_eq!(view.series_after(0, 9).await.unwrap().len(), 1);
        assert_eq!(view.pieces(&[2]).await.unwrap(), []);
        assert_eq!(view.head().await.unwrap(), Some(head(1)));
    }
    let mut fresh = manifest.read().await.unwrap();
    assert_eq!(fresh.head().await.unwrap(), Some(head(2)));
    assert_eq!(fresh.series_after(0, 9).await.unwrap().len(), 2);
    drop((untouched, touched, beside, fresh));

    // Readers beside a writer: head and series always belong together.
    let stop = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (manifest, stop) = (Arc::clone(manifest), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut seen = 0;
                while !stop.load(Ordering::Relaxed) {
                    let mut view = manifest.read().await.unwrap();
                    let series = view.series_after(0, 1000).await.unwrap().len() as i64;
                    let head = view.head().await.unwrap().unwrap().row.commit;
                    assert_eq!(head, series);
                    assert!(head >= seen, "a later view is not older");
                    seen = head;
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for commit in 3..=40 {
        let mut write = manifest.write().await.unwrap();
        write.put_series(vec![seal(series_row(commit, &format!("/{commit}")))]).await.unwrap();
        write.put_head(head(commit)).await.unwrap();
        write.commit().await.unwrap();
        let mut view = manifest.read().await.unwrap();
        assert_eq!(
            view.head().await.unwrap(),
            Some(head(commit)),
            "a view sees what was committed before it"
        );
    }
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await.unwrap();
    }
}

/// A transaction that is dropped has not happened, wherever it stood.
pub async fn what_is_not_committed_has_not_happened(manifest: &Subject) {
    let mut write = manifest.write().await.unwrap();
    write.put_head(head(1)).await.unwrap();
    write.put_series(vec![seal(series_row(1, "/1"))]).await.unwrap();
    write.commit().await.unwrap();

    drop(manifest.write().await.unwrap());
    for _ in 0..5 {
        let mut write = manifest.write().await.unwrap();
        assert_eq!(write.head().await.unwrap(), Some(head(1)));
        assert_eq!(write.pieces(&[1]).await.unwrap(), []);
        write.put_head(head(2)).await.unwrap();
        write.put_series(vec![seal(series_row(1, "/x")), seal(series_row(2, "/1"))]).await.unwrap();
        write.insert_pieces(vec![seal(piece_row(1, 2, 1, 0, vec![9; 100_000]))]).await.unwrap();
        drop(write);
    }
    // Dropped in the middle of a call.
    let mut write = manifest.write().await.unwrap();
    let many = (0..5000).map(|i| seal(piece_row(1, 3, i, 0, vec![1; 100]))).collect();
    let _ = tokio::time::timeout(Duration::from_millis(1), write.insert_pieces(many)).await;
    drop(write);

    let mut view = manifest.read().await.unwrap();
    assert_eq!(view.head().await.unwrap(), Some(head(1)));
    assert_eq!(view.series_after(0, 9).await.unwrap(), [seal(series_row(1, "/1"))]);
    assert_eq!(view.pieces(&[1]).await.unwrap(), []);
}

/// There is one writer at a time, and each sees what the one before did: no increment is lost.
pub async fn writers_take_turns(manifest: &Subject) {
    let mut write = manifest.write().await.unwrap();
    write.put_head(head(0)).await.unwrap();
    let waiting = manifest.write();
    let refused = tokio::time::timeout(Duration::from_millis(50), waiting).await;
    assert!(refused.is_err(), "a second writer waits");
    write.commit().await.unwrap();

    let writers: Vec<_> = (0..4)
        .map(|_| {
            let manifest = Arc::clone(manifest);
            tokio::spawn(async move {
                for round in 0..15 {
                    let mut write = manifest.write().await.unwrap();
                    let commit = write.head().await.unwrap().unwrap().row.commit + 1;
                    tokio::task::yield_now().await;
                    write.insert_commit(seal(CommitRow { commit, nonce: 0, at_ms: 0 })).await.unwrap();
                    write.put_head(head(commit)).await.unwrap();
                    if round % 5 == 4 {
                        drop(write);
                    } else {
                        write.commit().await.unwrap();
                    }
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let mut view = manifest.read().await.unwrap();
    assert_eq!(view.head().await.unwrap(), Some(head(4 * 12)));
    for commit in 1..=4 * 12 {
        assert!(view.commit_row(commit).await.unwrap().is_some());
    }
}

/// Whoever asks for a pulse after a commit sees it, wherever it was made, and however many ask.
pub async fn a_pulse_shows_what_is_committed(open: &impl AsyncFn(&str) -> Subject) {
    let (here, elsewhere) = (open("pulse").await, open("pulse").await);
    assert_eq!(here.pulse().await.unwrap().head, None, "a new database has no head");
    for commit in 0..20 {
        let writer = if commit % 3 == 0 { &here } else { &elsewhere };
        let mut write = writer.write().await.unwrap();
        write.put_head(head(commit)).await.unwrap();
        write.commit().await.unwrap();
        for _ in 0..2 {
            assert_eq!(here.pulse().await.unwrap().head, Some(head(commit)));
            assert_eq!(elsewhere.pulse().await.unwrap().head, Some(head(commit)));
        }
    }
    let acknowledged = Arc::new(AtomicI64::new(20));
    let readers: Vec<_> = (0..8)
        .map(|reader| {
            let manifest = Arc::clone(if reader % 2 == 0 { &here } else { &elsewhere });
            let acknowledged = Arc::clone(&acknowledged);
            tokio::spawn(async move {
                loop {
                    let before = acknowledged.load(Ordering::SeqCst);
                    if before >= 60 {
                        return;
                    }
                    // Some give up before they have an answer.
                    let asked = tokio::time::timeout(Duration::from_micros(200), manifest.pulse());
                    if let Ok(pulse) = asked.await {
                        let found = pulse.unwrap().head.unwrap().row.commit;
                        assert!(found >= before || before == 20, "{found} was shown after {before}");
                    }
                }
            })
        })
        .collect();
    for commit in 21..=60 {
        let mut write = elsewhere.write().await.unwrap();
        write.put_head(head(commit)).await.unwrap();
        write.commit().await.unwrap();
        acknowledged.store(commit, Ordering::SeqCst);
    }
    for reader in readers {
        reader.await.unwrap();
    }
}

/// No limit of a database on the parameters of a statement shows through.
pub async fn any_number_of_rows_goes_in_one_call(manifest: &Subject) {
    const PIECES: i64 = 30_000;
    const KEYS: i64 = 100_000;
    let pieces: Vec<_> =
        (0..PIECES).map(|i| seal(piece_row(i % 5000, i / 5000, i, 1 + i % 3000, vec![i as u8; 3]))).collect();
    let mut write = manifest.write().await.unwrap();
    write.insert_pieces(pieces.clone()).await.unwrap();
    write
        .put_series((0..KEYS / 2).map(|id| seal(series_row(id, &format!("/{id}")))).collect())
        .await
        .unwrap();
    write.insert_segments((1..=3000).map(|id| seal(segment_row(id, vec![1]))).collect()).await.unwrap();
    write.put_segment_states((1..=3000).map(|id| seal(state_row(id))).collect()).await.unwrap();
    write
        .put_pending((0..3000).map(|i| seal(PendingRow { file: i.to_string(), until_ms: i })).collect())
        .await
        .unwrap();
    write.commit().await.unwrap();

    let mut view = manifest.read().await.unwrap();
    let ids: Vec<i64> = (0..KEYS).collect();
    assert_eq!(sorted(view.pieces(&ids).await.unwrap()), sorted(pieces.clone()));
    let names: Vec<String> = ids.iter().map(|id| format!("/{id}")).collect();
    let series = view.series_with_keys(&names).await.unwrap();
    assert_eq!(sorted_ids(series.iter().map(|series| series.row.id)), (0..KEYS / 2).collect::<Vec<_>>());
    let same = view.series(&ids).await.unwrap();
    assert_eq!(sorted_ids(same.iter().map(|series| series.row.id)), (0..KEYS / 2).collect::<Vec<_>>());
    assert_eq!(view.series_in_segments(&ids).await.unwrap(), (0..5000).collect::<Vec<_>>());
    assert_eq!(view.segments(&ids).await.unwrap().len(), 3000);
    assert_eq!(view.segment_states(&ids).await.unwrap().len(), 3000);
    assert_eq!(view.pending().await.unwrap().len(), 3000);
    drop(view);

    let mut write = manifest.write().await.unwrap();
    let keys: Vec<PieceKey> = pieces.iter().map(|piece| piece.row.piece_key()).collect();
    assert_eq!(write.delete_pieces(&keys).await.unwrap(), PIECES as u64);
    write.delete_segments(&ids).await.unwrap();
    let files: Vec<String> = ids.iter().map(i64::to_string).collect();
    assert_eq!(write.delete_pending(&files).await.unwrap(), 3000);
    write.commit().await.unwrap();
    let mut view = manifest.read().await.unwrap();
    assert_eq!(view.pieces(&ids).await.unwrap(), []);
    assert_eq!(view.segments(&ids).await.unwrap(), []);
    assert_eq!(view.segment_states_after(0, 9).await.unwrap(), []);
}

/// What was committed is there when the database is opened again; what was not, is not.
pub async fn commits_survive_reopening(open: &impl AsyncFn(&str) -> Subject) {
    for round in 1..=3 {
        let manifest = open("reopened").await;
        let mut write = manifest.write().await.unwrap();
        let before = write.head().await.unwrap().map_or(0, |head| head.row.commit);
        assert_eq!(before, round - 1);
        assert_eq!(write.pieces(&[1]).await.unwrap().len() as i64, before);
        write.insert_pieces(vec![seal(piece_row(1, round, round, 0, vec![0; 1000]))]).await.unwrap();
        write.put_head(head(round)).await.unwrap();
        write.commit().await.unwrap();
        let mut write = manifest.write().await.unwrap();
        write.put_head(head(-1)).await.unwrap();
        drop(write);
    }
}

fn seal<R: Row>(row: R) -> Stored<R> {
    Stored::seal(row)
}

/// In some order that depends on the rows only: that of their checksums, which need not be the stored ones.
fn sorted<R: Row + Clone>(mut rows: Vec<Stored<R>>) -> Vec<Stored<R>> {
    rows.sort_by_cached_key(|row| (seal(row.row.clone()).checksum, row.checksum));
    rows
}

fn sorted_ids(ids: impl Iterator<Item = i64>) -> Vec<i64> {
    let mut ids: Vec<i64> = ids.collect();
    ids.sort_unstable();
    ids
}

fn assert_names_database(result: Result<(), ManifestError>, manifest: &Subject) {
    let error = result.expect_err("there is such a row already").to_string();
    assert!(error.contains(&manifest.describe()), "{error}");
}

/// A head whose numbers all differ, with `commit` as its commit.
fn head(commit: i64) -> Stored<HeadRow> {
    let number = |i: i64| commit.wrapping_mul(31).wrapping_add(i);
    seal(HeadRow {
        format: number(1),
        store: number(2),
        commit,
        nonce: number(3),
        series_count: number(4),
        series_digest: number(5),
        segment_count: number(6),
        segment_digest: number(7),
        tail_rows: number(8),
        tail_bytes: number(9),
        tail_since_ms: number(10),
        next_series: number(11),
        next_segment: number(12),
        next_ordinal: number(13),
    })
}

fn series_row(id: i64, key: &str) -> SeriesRow {
    SeriesRow {
        id,
        key: key.to_string(),
        data_type: 1,
        period_ticks: 2,
        phase_ticks: 3,
        piece_count: 4,
        piece_digest: id.wrapping_mul(7),
    }
}

fn piece_row(series: i64, commit: i64, ordinal: i64, segment: i64, blob: Vec<u8>) -> PieceRow {
    PieceRow {
        series,
        commit,
        ordinal,
        kind: 1,
        begin_ticks: 2,
        end_ticks: 3,
        segment,
        first_row: 4,
        rows: 5,
        missing: 6,
        blob,
    }
}

fn segment_row(id: i64, block_sums: Vec<u8>) -> SegmentRow {
    SegmentRow { id, data_type: 1, rows: 2, bytes: 3, has_estimated: 0, block_sums }
}

fn state_row(id: i64) -> SegmentStateRow {
    SegmentStateRow {
        id,
        file_nonce: id.wrapping_mul(3),
        data_type: 1,
        bytes: 2,
        rows: 3,
        live_rows: 4,
        live_pieces: 5,
        retired_ms: 6,
    }
}

fn lease(name: &str, holder: i64, until_ms: i64) -> Stored<LeaseRow> {
    seal(LeaseRow { name: name.to_string(), holder, until_ms })
}
