//! Garbage collection: files that nothing refers to, rows that nobody asks for any more.
//!
//! A file is removed if it was there before the manifest was read, and the manifest neither lists it nor expects it. The
//! order matters: a writer announces a file before it makes it, and publishing takes the announcement back in the same
//! transaction that lists the segment. So a file that is seen first and then found nowhere in the manifest was dropped, or
//! its writer never came back. Clocks only decide when an announcement is given up; its writer then fails to publish.

use std::collections::HashSet;
use std::sync::Arc;

use crate::disk::FileEntry;
use crate::error::StoreError;
use crate::manifest::{SegmentStateRow, Stored};
use crate::publish::{Publication, file_name, millis, now_ms};
use crate::store::{Inner, SEGMENTS, blocking, compare, read_head_file};
use crate::view;

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Collected {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
}

/// So many commits are remembered at least. Who keeps something computed at an older one computes it again.
const COMMITS_KEPT: i64 = 1 << 20;

/// Removes what nothing refers to. Only under the lease.
pub(crate) async fn collect(inner: &Arc<Inner>) -> Result<Collected, StoreError> {
    check_newest(inner).await?;
    give_up_announcements(inner).await?;
    let files = list(inner).await?;
    let found = survey(inner).await?;
    forget_retired(inner, &found.retired).await?;
    prune(inner).await?;
    let mut removed = Collected::default();
    let garbage: Vec<FileEntry> =
        files.into_iter().filter(|file| !found.known.contains(&file.name)).collect();
    let inner = inner.clone();
    blocking(move || {
        for file in garbage {
            let name = format!("{SEGMENTS}/{}", file.name);
            let removal = inner.disk.remove(&name);
            removal.map_err(|source| StoreError::Disk {
                action: "remove",
                file: inner.disk.describe(&name),
                source,
            })?;
            removed.files += 1;
            removed.bytes += file.bytes;
        }
        Ok(removed)
    })
    .await
}

/// A database that was set back, or one of another store, knows nothing of files that are needed.
async fn check_newest(inner: &Inner) -> Result<(), StoreError> {
    let head_file = read_head_file(&inner.disk).await?;
    let mut read = inner.manifest.read().await?;
    let head = view::head(&mut *read, inner).await?;
    compare(&*inner.disk, &*inner.manifest, &mut *read, &head, head_file).await
}

/// The files that look like segments.
pub(crate) async fn list(inner: &Arc<Inner>) -> Result<Vec<FileEntry>, StoreError> {
    let inner = inner.clone();
    blocking(move || {
        let listed = inner.disk.list(SEGMENTS);
        let mut files = listed.map_err(|source| StoreError::Disk {
            action: "list",
            file: inner.disk.describe(SEGMENTS),
            source,
        })?;
        files.retain(|file| {
            file.name.strip_suffix(".parquet").is_some_and(|stem| {
                stem.len() == 16
                    && stem.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
            })
        });
        Ok(files)
    })
    .await
}

/// What the manifest says about files.
struct Survey {
    /// Names of the files that are listed or expected.
    known: HashSet<String>,
    /// Segments that were replaced long enough ago.
    retired: Vec<i64>,
}

async fn survey(inner: &Inner) -> Result<Survey, StoreError> {
    let mut read = inner.manifest.read().await?;
    let head = view::head(&mut *read, inner).await?;
    let states = view::all_segment_states(&mut *read, inner, &head).await?;
    let base_name = |name: &str| name.rsplit('/').next().unwrap_or_default().to_owned();
    let mut known: HashSet<String> =
        read.pending().await?.iter().map(|row| base_name(&row.row.file)).collect();
    let mut retired = Vec::new();
    let oldest_ms = now_ms().saturating_sub(millis(inner.settings.grace));
    for state in states {
        if is_over(&state, oldest_ms) {
            retired.push(state.row.id);
        } else {
            known.insert(base_name(&file_name(state.row.file_nonce)));
        }
    }
    Ok(Survey { known, retired })
}

fn is_over(state: &Stored<SegmentStateRow>, oldest_ms: i64) -> bool {
    state.row.live_pieces == 0 && state.row.retired_ms > 0 && state.row.retired_ms <= oldest_ms
}

/// Forgets replaced segments. Their files are garbage afterwards, also if the process ends here.
async fn forget_retired(inner: &Inner, ids: &[i64]) -> Result<(), StoreError> {
    if ids.is_empty() {
        return Ok(());
    }
    let mut publication = Publication::begin(inner).await?;
    let mut states = publication.tx().segment_states(ids).await?;
    states.retain(|state| state.row.live_pieces == 0 && state.is_intact());
    states.iter().for_each(|state| inner.readers.forget(state.row.file_nonce));
    publication.forget_segments(&states).await?;
    publication.finish(inner).await?;
    Ok(())
}

/// Gives up files whose writers took too long.
async fn give_up_announcements(inner: &Inner) -> Result<(), StoreError> {
    let is_over = |until_ms: i64, now: i64| until_ms <= now;
    let now = now_ms();
    let pending = inner.manifest.read().await?.pending().await?;
    if !pending.iter().any(|row| is_over(row.row.until_ms, now)) {
        return Ok(());
    }
    let mut tx = inner.manifest.write().await?;
    let pending = tx.pending().await?;
    let over: Vec<String> =
        pending.into_iter().filter(|row| is_over(row.row.until_ms, now)).map(|row| row.row.file).collect();
    tx.delete_pending(&over).await?;
    Ok(tx.commit().await?)
}

/// Forgets old commits and idempotency keys.
async fn prune(inner: &Inner) -> Result<(), StoreError> {
    let mut tx = inner.manifest.write().await?;
    let head = view::head(&mut *tx, inner).await?;
    tx.delete_commits_below(head.commit - COMMITS_KEPT).await?;
    tx.delete_keys_before(now_ms().saturating_sub(millis(inner.settings.key_retention))).await?;
    Ok(tx.commit().await?)
}
