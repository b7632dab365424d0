//! Names of files that are being written: announced before the files exist, so that no collection takes them for garbage,
//! renewed while writing goes on, and removed if nothing comes of it.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::error::StoreError;
use crate::manifest::{PendingRow, Stored};
use crate::publish::{millis, now_ms};
use crate::store::Inner;

/// Announcements are renewed so many times in the time that they last: a few may fail.
const RENEWALS: u32 = 4;

/// The files of one write. Dropped without [`keep`](Announced::keep), the files are removed as far as that succeeds;
/// collection finds the rest.
pub(crate) struct Announced {
    inner: Arc<Inner>,
    runtime: Handle,
    names: Arc<Mutex<Vec<String>>>,
    renewal: Mutex<Option<AbortHandle>>,
    kept: AtomicBool,
}

impl Announced {
    /// Without any file so far. Must be called within a runtime.
    pub(crate) fn new(inner: Arc<Inner>) -> Arc<Announced> {
        Arc::new(Announced {
            inner,
            runtime: Handle::current(),
            names: Arc::default(),
            renewal: Mutex::default(),
            kept: AtomicBool::new(false),
        })
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// Announces a file. Blocks.
    pub(crate) fn announce(&self, name: &str) -> Result<(), StoreError> {
        lock(&self.names).push(name.to_owned());
        self.runtime.block_on(put(&self.inner, vec![name.to_owned()]))?;
        let lease = self.inner.settings.writer_lease;
        let mut renewal = lock(&self.renewal);
        if renewal.is_none() && !lease.is_zero() {
            let renewing = renew(self.inner.clone(), self.names.clone(), lease / RENEWALS);
            *renewal = Some(self.runtime.spawn(renewing).abort_handle());
        }
        Ok(())
    }

    /// From here on the files stay, whatever becomes of the write: it may be visible.
    pub(crate) fn keep(&self) {
        self.kept.store(true, Ordering::Relaxed);
    }

    /// Removes the files, and takes the announcements back, as far as that succeeds.
    pub(crate) async fn discard(&self) {
        self.stop();
        self.keep();
        let names = std::mem::take(&mut *lock(&self.names));
        discard(&self.inner, names).await;
    }

    fn stop(&self) {
        if let Some(renewal) = lock(&self.renewal).take() {
            renewal.abort();
        }
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        self.stop();
        let names = std::mem::take(&mut *lock(&self.names));
        if self.kept.load(Ordering::Relaxed) || names.is_empty() {
            return;
        }
        // The files go now: the process may end before the runtime comes to it.
        let gone = remove(&self.inner, names);
        let inner = self.inner.clone();
        self.runtime.spawn(async move { take_back(&inner, &gone).await });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn put(inner: &Inner, names: Vec<String>) -> Result<(), StoreError> {
    let mut tx = inner.manifest.write().await?;
    tx.put_pending(rows(inner, names)).await?;
    Ok(tx.commit().await?)
}

fn rows(inner: &Inner, names: Vec<String>) -> Vec<Stored<PendingRow>> {
    let until_ms = now_ms().saturating_add(millis(inner.settings.writer_lease));
    names.into_iter().map(|file| Stored::seal(PendingRow { file, until_ms })).collect()
}

async fn renew(inner: Arc<Inner>, names: Arc<Mutex<Vec<String>>>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let names: HashSet<String> = lock(&names).iter().cloned().collect();
        // The next time may succeed. If none does in time, publication finds out.
        let _failed = renew_once(&inner, &names).await;
    }
}

/// Renews those announcements that are still there: what was given up or published must not come back.
async fn renew_once(inner: &Inner, names: &HashSet<String>) -> Result<(), StoreError> {
    let mut tx = inner.manifest.write().await?;
    let mut present: Vec<String> = tx.pending().await?.into_iter().map(|stored| stored.row.file).collect();
    present.retain(|name| names.contains(name));
    if present.is_empty() {
        return Ok(());
    }
    tx.put_pending(rows(inner, present)).await?;
    Ok(tx.commit().await?)
}

/// Removes files that will not be published, and takes their announcements back, as far as that succeeds; collection finds
/// the rest.
pub(crate) async fn discard(inner: &Arc<Inner>, names: Vec<String>) {
    if names.is_empty() {
        return;
    }
    let removed = {
        let inner = inner.clone();
        tokio::task::spawn_blocking(move || remove(&inner, names)).await
    };
    take_back(inner, &removed.unwrap_or_default()).await;
}

/// Removes files; returns the names of those that are gone.
fn remove(inner: &Inner, names: Vec<String>) -> Vec<String> {
    let is_gone = |name: &String| match inner.disk.remove(name) {
        Ok(()) => true,
        Err(error) => error.kind() == ErrorKind::NotFound,
    };
    names.into_iter().filter(is_gone).collect()
}

async fn take_back(inner: &Inner, names: &[String]) {
    if !names.is_empty()
        && let Ok(mut tx) = inner.manifest.write().await
        && tx.delete_pending(names).await.is_ok()
    {
        let _gone_or_given_up_later = tx.commit().await;
    }
}
