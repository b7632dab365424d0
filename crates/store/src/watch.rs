//! Progress and cancellation of work that takes time.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::StoreError;

/// How far some work is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub what: &'static str,
    /// How much of it is done.
    pub done: u64,
    /// How much there is to do.
    pub total: u64,
}

/// Is told about progress.
type Observer = Arc<dyn Fn(Progress) + Send + Sync>;

/// Follows work that takes time, and ends it early. Clones follow the same work.
#[derive(Clone, Default)]
pub struct Watch {
    cancelled: Arc<AtomicBool>,
    observer: Option<Observer>,
}

impl Watch {
    /// Calls `observer` on progress.
    pub fn new(observer: impl Fn(Progress) + Send + Sync + 'static) -> Watch {
        Watch { cancelled: Arc::default(), observer: Some(Arc::new(observer)) }
    }

    /// Ends the work as soon as possible, with [`StoreError::Cancelled`].
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// An error once it is cancelled.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        if self.cancelled.load(Ordering::Relaxed) { Err(StoreError::Cancelled) } else { Ok(()) }
    }

    /// Tells how far it is; an error once it is cancelled.
    pub fn step(&self, what: &'static str, done: u64, total: u64) -> Result<(), StoreError> {
        if let Some(observer) = &self.observer {
            observer(Progress { what, done, total });
        }
        self.check()
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("cancelled", &self.cancelled).finish_non_exhaustive()
    }
}
