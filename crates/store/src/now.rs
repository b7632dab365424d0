//! The state that a store is in, asked for cheaply, and snapshots of it without asking again.
//!
//! Between two changes a server answers many reads. Whether there was a change is a question that a database answers at
//! little cost ([`Manifest::pulse`](crate::manifest::Manifest::pulse)); as long as there was none, what was read and verified
//! before still holds.

use crate::Store;
use crate::error::StoreError;
use crate::series::SeriesId;
use crate::snapshot::Snapshot;
use crate::view;

/// The state that a store and its database were in when somebody asked. As long as it is the same, nothing has changed in
/// them: neither samples, nor which series there are, nor anything that the database keeps beside. So what was found out after
/// a state was asked for holds for whoever asks later and is given the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Now {
    commit: i64,
    nonce: i64,
    beside: i64,
}

impl Now {
    /// The number of the last commit.
    pub fn commit(self) -> i64 {
        self.commit
    }

    /// The random number of that commit.
    pub fn nonce(self) -> i64 {
        self.nonce
    }
}

impl Store {
    /// The state that the store is in now: every write that was acknowledged before the call is part of it, whoever made it.
    ///
    /// # Errors
    /// The manifest can't be read, or is damaged.
    pub async fn now(&self) -> Result<Now, StoreError> {
        let pulse = self.0.manifest.pulse().await?;
        let head = view::intact(pulse.head, || self.0.manifest.describe())?;
        self.0.saw(&head)?;
        Ok(Now { commit: head.commit, nonce: head.nonce, beside: pulse.beside })
    }

    /// These series at a state that was the present one a moment ago, or as they are now: without asking the database, if
    /// they are in memory as they were at that state.
    ///
    /// # Errors
    /// As [`Store::snapshot`].
    pub async fn snapshot_at(&self, now: Now, series: &[SeriesId]) -> Result<Snapshot, StoreError> {
        match view::known(&self.0, (now.commit, now.nonce), series) {
            Some(views) => Ok(Snapshot::new(self.0.clone(), now.commit, now.nonce, views)),
            None => self.snapshot(series).await,
        }
    }
}
