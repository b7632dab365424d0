//! Rows for the tests.

use sheaf_store::manifest::{
    CommitRow, HeadRow, KeyRow, LeaseRow, ManifestError, ManifestRead, ManifestWrite, PendingRow, PieceRow,
    SegmentRow, SegmentStateRow, SeriesRow, Stored,
};

pub(crate) fn head(commit: i64) -> Stored<HeadRow> {
    Stored::seal(HeadRow {
        format: 1,
        store: 2,
        commit,
        nonce: 3,
        series_count: 4,
        series_digest: 5,
        segment_count: 6,
        segment_digest: 7,
        tail_rows: 8,
        tail_bytes: 9,
        tail_since_ms: 10,
        next_series: 11,
        next_segment: 12,
        next_ordinal: 13,
    })
}

pub(crate) fn series(id: i64) -> Stored<SeriesRow> {
    Stored::seal(SeriesRow {
        id,
        key: format!("/plant/met_mast/T{id}"),
        data_type: 9,
        period_ticks: 10_000_000,
        phase_ticks: 0,
        piece_count: 3,
        piece_digest: id * 7919,
    })
}

pub(crate) fn piece(series: i64, ordinal: i64, blob: Vec<u8>) -> Stored<PieceRow> {
    Stored::seal(PieceRow {
        series,
        commit: ordinal / 10,
        ordinal,
        kind: 0,
        begin_ticks: ordinal * 1000,
        end_ticks: ordinal * 1000 + 1000,
        segment: ordinal % 7,
        first_row: 0,
        rows: 1000,
        missing: 0,
        blob,
    })
}

/// Some rows in every table.
pub(crate) async fn fill(write: &mut dyn ManifestWrite) {
    write.put_head(head(1)).await.unwrap();
    write.put_series((0..300).map(series).collect()).await.unwrap();
    let blob = |i: i64| vec![i as u8; if i % 50 == 0 { 3000 } else { (i % 40) as usize }];
    write.insert_pieces((0..2000).map(|i| piece(i % 300, i, blob(i))).collect()).await.unwrap();
    let segment = |id| {
        Stored::seal(SegmentRow {
            id,
            data_type: 9,
            rows: 1,
            bytes: 2,
            has_estimated: 0,
            block_sums: vec![5; 800],
        })
    };
    write.insert_segments((1..50).map(segment).collect()).await.unwrap();
    let state = |id| {
        Stored::seal(SegmentStateRow {
            id,
            file_nonce: id,
            data_type: 9,
            bytes: 2,
            rows: 1,
            live_rows: 1,
            live_pieces: 1,
            retired_ms: 0,
        })
    };
    write.put_segment_states((1..50).map(state).collect()).await.unwrap();
    for i in 1..50 {
        write.insert_commit(Stored::seal(CommitRow { commit: i, nonce: i * 17, at_ms: i })).await.unwrap();
        let key = format!("key {i}");
        write.insert_key(Stored::seal(KeyRow { key, payload: i, commit: i, at_ms: i })).await.unwrap();
        let name = format!("lease {i}");
        write.put_lease(Stored::seal(LeaseRow { name, holder: i, until_ms: i })).await.unwrap();
    }
    let pending = |i| Stored::seal(PendingRow { file: format!("{i}.parquet"), until_ms: i });
    write.put_pending((1..50).map(pending).collect()).await.unwrap();
}

/// Reads all tables, of those that are read row by row some rows; returns how many there are, and how many have another checksum than they should.
pub(crate) async fn read_all(view: &mut dyn ManifestRead) -> Result<(usize, usize), ManifestError> {
    let mut intact = Vec::new();
    intact.extend(view.head().await?.iter().map(Stored::is_intact));
    let series = view.series_after(i64::MIN, 1000).await?;
    intact.extend(series.iter().map(Stored::is_intact));
    let ids: Vec<i64> = (0..300).collect();
    intact.extend(view.series(&ids).await?.iter().map(Stored::is_intact));
    let names: Vec<String> = ids.iter().map(|id| format!("/plant/met_mast/T{id}")).collect();
    intact.extend(view.series_with_keys(&names).await?.iter().map(Stored::is_intact));
    intact.extend(view.series_with_prefix("/plant/", None, 1000).await?.iter().map(Stored::is_intact));
    intact.extend(view.pieces(&ids).await?.iter().map(Stored::is_intact));
    view.series_in_segments(&[0, 1, 2, 3, 4, 5, 6]).await?;
    intact.extend(view.segments(&ids).await?.iter().map(Stored::is_intact));
    intact.extend(view.segment_states(&ids).await?.iter().map(Stored::is_intact));
    intact.extend(view.segment_states_after(0, 1000).await?.iter().map(Stored::is_intact));
    for i in (1..50).step_by(7) {
        intact.extend(view.commit_row(i).await?.iter().map(Stored::is_intact));
        intact.extend(view.key(&format!("key {i}")).await?.iter().map(Stored::is_intact));
        intact.extend(view.lease(&format!("lease {i}")).await?.iter().map(Stored::is_intact));
    }
    intact.extend(view.pending().await?.iter().map(Stored::is_intact));
    Ok((intact.len(), intact.iter().filter(|&&intact| !intact).count()))
}
