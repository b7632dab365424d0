//! The right to maintain a store, for one process at a time.
//!
//! Nothing goes wrong if two have it for a moment: every transaction checks what it replaces. It keeps them from doing the
//! same work twice.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::OwnedMutexGuard;

use crate::error::StoreError;
use crate::manifest::{LeaseRow, Stored};
use crate::publish::{millis, now_ms};
use crate::store::Inner;

const NAME: &str = "maintenance";

/// How often somebody who waits asks again.
const ASK_AGAIN: Duration = Duration::from_millis(20);

/// The right to maintain a store. It is renewed until it is given back or dropped.
pub(crate) struct Lease {
    inner: Arc<Inner>,
    _turn: OwnedMutexGuard<()>,
    holder: i64,
    renewal: tokio::task::JoinHandle<()>,
}

impl Lease {
    /// Takes the lease. Waits as long as it takes within this process, and for another one as long as a lease lasts.
    pub(crate) async fn take(inner: &Arc<Inner>) -> Result<Lease, StoreError> {
        let turn = inner.maintenance.clone().lock_owned().await;
        let holder = rand::random();
        let asked = Instant::now();
        while let Err(error) = hold(inner, holder, true).await {
            if !matches!(error, StoreError::LeaseHeld { .. })
                || asked.elapsed() > inner.settings.maintenance_lease
            {
                return Err(error);
            }
            // Asking in a view leaves the writers alone.
            while held_by_other(inner, &inner.manifest.read().await?.lease(NAME).await?, holder).is_some()
                && asked.elapsed() <= inner.settings.maintenance_lease
            {
                tokio::time::sleep(ASK_AGAIN).await;
            }
        }
        let renewal = tokio::spawn({
            let inner = inner.clone();
            async move {
                loop {
                    tokio::time::sleep(inner.settings.maintenance_lease / 3).await;
                    // What fails now is tried again; if it goes on failing, the lease ends by itself.
                    if let Err(StoreError::LeaseHeld { .. }) = hold(&inner, holder, true).await {
                        break;
                    }
                }
            }
        });
        Ok(Lease { inner: inner.clone(), _turn: turn, holder, renewal })
    }

    /// Gives it back.
    pub(crate) async fn give_back(self) {
        self.renewal.abort();
        // If it fails, the lease ends by itself.
        let _ends_anyway = hold(&self.inner, self.holder, false).await;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

/// Sets the lease for `holder`: until later, or until now.
async fn hold(inner: &Inner, holder: i64, keep: bool) -> Result<(), StoreError> {
    let mut tx = inner.manifest.write().await?;
    let now = now_ms();
    if let Some(left_ms) = held_by_other(inner, &tx.lease(NAME).await?, holder) {
        return Err(StoreError::LeaseHeld { seconds: (left_ms + 999) / 1000 });
    }
    let until_ms = if keep { now.saturating_add(millis(inner.settings.maintenance_lease)) } else { now };
    tx.put_lease(Stored::seal(LeaseRow { name: NAME.to_owned(), holder, until_ms })).await?;
    Ok(tx.commit().await?)
}

/// How long another one has the lease, in milliseconds.
fn held_by_other(inner: &Inner, lease: &Option<Stored<LeaseRow>>, holder: i64) -> Option<i64> {
    let lease = lease.as_ref().filter(|lease| lease.is_intact() && lease.row.holder != holder)?;
    let left_ms = lease.row.until_ms.saturating_sub(now_ms());
    // Nobody takes it for so long: it was taken while the clock was wrong.
    let longest_ms = millis(inner.settings.maintenance_lease).saturating_mul(2).max(120_000);
    (0 < left_ms && left_ms <= longest_ms).then_some(left_ms)
}
