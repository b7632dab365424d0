//! Which catalogs the store has, and which series each of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use sheaf_model::{CatalogId, SeriesKey};
use sheaf_store::{SeenSeries, SeriesId, Store, StoreError, UnseenSeries};

/// The series of the store by catalog. What is written does not change it, so it is as cheap to keep with millions of
/// writes as with none: only series that are new are looked at.
#[derive(Clone, Debug, Default)]
pub(super) struct Stored {
    seen: SeenSeries,
    catalogs: BTreeMap<CatalogId, Arc<Vec<SeriesId>>>,
}

impl Stored {
    /// The series as they are now, if that is something else than what is known.
    pub(super) async fn newer(&self, store: &Store) -> Result<Option<Stored>, StoreError> {
        let unseen = store.series_unseen(self.seen).await?;
        if unseen.seen == self.seen {
            return Ok(None);
        }
        Ok(Some(self.with(unseen)))
    }

    fn with(&self, unseen: UnseenSeries) -> Stored {
        let mut catalogs = if unseen.is_all { BTreeMap::new() } else { self.catalogs.clone() };
        for (id, spec) in unseen.series {
            // A program that uses the library may call its series whatever it likes.
            let Ok(key) = spec.key.parse::<SeriesKey>() else { continue };
            Arc::make_mut(catalogs.entry(key.catalog).or_default()).push(id);
        }
        Stored { seen: unseen.seen, catalogs }
    }

    /// The catalogs that have series.
    pub(super) fn catalogs(&self) -> impl Iterator<Item = &CatalogId> {
        self.catalogs.keys()
    }

    /// The series of a catalog, those of catalogs below it left out.
    pub(super) fn series(&self, catalog: &CatalogId) -> &[SeriesId] {
        self.catalogs.get(catalog).map(|series| series.as_slice()).unwrap_or_default()
    }
}
