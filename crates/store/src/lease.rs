//! The right to maintain a store, for one process at a time.
//!
//! Nothing goes wrong if two have it for a moment: every transaction checks what it replaces. It keeps them from doing the
//! same work twice.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::OwnedMutexGuard;

use crate::error::StoreError;
use crate::manifest::{LeaseRow, Stored};
use crate::publish::now_ms;
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
        let patience = Instant::now() + inner.settings.maintenance_lease;
        while let Err(error) = hold(inner, holder, true).await {
            if !matches!(error, StoreError::LeaseHeld { .. }) || Instant::now() > patience {
                return Err(error);
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
        let renewal = tokio::spawn({
            let inner = inner.clone();
            async move {
                loop {
                    tokio::time::sleep(inner.settings.maintenance_lease / 3).await;
                    // If it fails, the lease ends by itself.
                    if hold(&inner, holder, true).await.is_err() {
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
    if let Some(stored) = tx.lease(NAME).await?
        && stored.is_intact()
        && stored.row.holder != holder
        && stored.row.until_ms > now
    {
        return Err(StoreError::LeaseHeld { seconds: (stored.row.until_ms - now + 999) / 1000 });
    }
    let until_ms =
        if keep { now.saturating_add(inner.settings.maintenance_lease.as_millis() as i64) } else { now };
    tx.put_lease(Stored::seal(LeaseRow { name: NAME.to_owned(), holder, until_ms })).await?;
    Ok(tx.commit().await?)
}
