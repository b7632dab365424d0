//! Bytes that answers may have in memory, all of them together.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// The part of a budget that what is only nice to have may come from.
const SPARE_PART: u64 = 3;

/// So many bytes and no more, but for what [`Share::grow`] takes.
pub(crate) struct Budget {
    most: u64,
    used: AtomicU64,
    freed: Notify,
    /// Shows what is used of several budgets.
    shown: Gauge<i64, AtomicI64>,
}

/// Some bytes of a budget. They are given back when it is dropped.
pub(crate) struct Share {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Budget {
    /// A budget of so many bytes.
    pub(crate) fn new(most: u64, shown: Gauge<i64, AtomicI64>) -> Arc<Budget> {
        Arc::new(Budget { most, used: AtomicU64::new(0), freed: Notify::new(), shown })
    }

    /// A share of no bytes, that may grow.
    pub(crate) fn nothing(self: &Arc<Budget>) -> Share {
        Share { budget: self.clone(), bytes: 0 }
    }

    /// So many bytes, if they are there.
    pub(crate) fn try_take(self: &Arc<Budget>, bytes: u64) -> Option<Share> {
        self.try_take_below(bytes, self.most)
    }

    /// So many bytes, if no more than a third of all are given away then: what somebody could do without.
    pub(crate) fn try_take_spare(self: &Arc<Budget>, bytes: u64) -> Option<Share> {
        self.try_take_below(bytes, self.most / SPARE_PART)
    }

    fn try_take_below(self: &Arc<Budget>, bytes: u64, most: u64) -> Option<Share> {
        let add = |used: u64| used.checked_add(bytes).filter(|&sum| sum <= most);
        self.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, add).ok()?;
        self.shown.inc_by(bytes as i64);
        Some(Share { budget: self.clone(), bytes })
    }

    /// So many bytes, once they are there; `None` if they are not in time, or never will be.
    pub(crate) async fn take(self: &Arc<Budget>, bytes: u64, patience: Duration) -> Option<Share> {
        let until = Instant::now() + patience;
        if bytes > self.most {
            return None;
        }
        loop {
            let mut freed = std::pin::pin!(self.freed.notified());
            // Whatever is given back from here on is noticed.
            freed.as_mut().enable();
            if let Some(share) = self.try_take(bytes) {
                return Some(share);
            }
            timeout_at(until, freed).await.ok()?;
        }
    }
}

impl Share {
    /// Takes more bytes, be they there or not: for what turned out larger than it was thought to be.
    pub(crate) fn grow(&mut self, bytes: u64) {
        self.budget.used.fetch_add(bytes, Ordering::AcqRel);
        self.budget.shown.inc_by(bytes as i64);
        self.bytes += bytes;
    }

    /// How many bytes it is.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::AcqRel);
        self.budget.shown.dec_by(self.bytes as i64);
        self.budget.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn bytes_are_given_once_and_come_back() {
        let budget = Budget::new(100, Gauge::default());
        let first = budget.try_take(60).unwrap();
        assert!(budget.try_take(60).is_none());
        assert!(budget.take(60, SOON).await.is_none());
        assert!(budget.take(101, Duration::from_secs(3600)).await.is_none(), "that never comes");
        let waiting = tokio::spawn({
            let budget = budget.clone();
            async move { budget.take(60, Duration::from_secs(60)).await.map(|share| share.bytes()) }
        });
        tokio::task::yield_now().await;
        drop(first);
        assert_eq!(waiting.await.unwrap(), Some(60));
        assert_eq!(budget.shown.get(), 0);
    }

    #[test]
    fn spare_bytes_end_at_a_third_and_growth_nowhere() {
        let budget = Budget::new(100, Gauge::default());
        let mut share = budget.try_take_spare(33).unwrap();
        assert!(budget.try_take_spare(1).is_none());
        assert!(budget.try_take(1).is_some());
        share.grow(100);
        assert_eq!((share.bytes(), budget.shown.get()), (133, 133));
        assert!(budget.try_take(1).is_none());
        drop(share);
        assert_eq!(budget.shown.get(), 0);
    }
}
