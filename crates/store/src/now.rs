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

/// The state that a store was in when it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Now {
    commit: i64,
    nonce: i64,
    names: Names,
}

/// What series there are, and what the database holds beside the manifest: as long as two states have the same, a path means
/// the same in both. That holds over any number of commits that only write or delete samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Names {
    // No id is used twice, and one is left out for each series that goes; so with one that comes, one of both changes.
    next_series: i64,
    series_count: i64,
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

    /// What paths mean.
    pub fn names(self) -> Names {
        self.names
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
        let names =
            Names { next_series: head.next_series, series_count: head.series_count, beside: pulse.beside };
        Ok(Now { commit: head.commit, nonce: head.nonce, names })
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
