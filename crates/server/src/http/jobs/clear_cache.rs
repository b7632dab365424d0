//! `clear-cache`: forgets what is kept of a catalog in a range of time.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use sheaf_engine::{Base, RollupOf, rollup_of, rollup_range};
use sheaf_model::{CatalogId, RepresentationId, ResourcePath, SeriesKey, Tick, TimeRange};

use super::{Context, Done, JobError, Kind};
use crate::data::{DataError, blocking};
use crate::http::app::App;
use crate::http::errors::ApiError;

/// Forgets states and values that are kept of a catalog, of its own series and not of those of catalogs below, as far as
/// they are of a range of time. What is kept lies in chunks: one that the range touches goes as a whole. No answer changes;
/// what was forgotten is computed again when it is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ClearCache {
    pub(crate) catalog_id: CatalogId,
    range: TimeRange,
}

impl Kind for ClearCache {
    const NAME: &'static str = "clear-cache";
}

/// Series that are looked up at once.
const PAGE: usize = 10_000;

impl ClearCache {
    pub(crate) fn new(catalog_id: CatalogId, begin: Tick, end: Tick) -> Result<ClearCache, ApiError> {
        Ok(ClearCache { catalog_id, range: TimeRange::new(begin, end)? })
    }

    /// An error if there is no such catalog.
    pub(crate) async fn check(&self, app: &App) -> Result<(), ApiError> {
        if app.data.catalogs.view().await?.exists(&self.catalog_id) {
            return Ok(());
        }
        Err(ApiError::not_found(format!("there is no catalog {}", self.catalog_id)))
    }

    pub(super) async fn run(self, context: &Context) -> Result<Done, JobError> {
        let store = &context.app.data.store;
        let below = SeriesKey::prefix_of_catalog(&self.catalog_id);
        let mut series: HashSet<RollupOf> = HashSet::new();
        let mut after: Option<String> = None;
        loop {
            context.step("listing series", 0, 1)?;
            let page = store.series_below(&below, after.as_deref(), PAGE).await?;
            let Some((_, last)) = page.last() else { break };
            after = Some(last.key.clone());
            let is_own = |key: &str| key.parse().is_ok_and(|key: SeriesKey| key.catalog == self.catalog_id);
            let own = page.iter().filter(|(_, spec)| is_own(&spec.key));
            series.extend(own.map(|(id, _)| RollupOf::Stored(store.id(), *id)));
        }
        series.extend(self.in_place(context).await?);
        context.step("forgetting", 1, 2)?;
        let rollups = context.app.data.rollups.clone();
        let (begin, end) = (self.range.begin().ticks(), self.range.end().ticks());
        let forget = move || {
            rollups.remove(|key| {
                rollup_of(key).is_some_and(|of| series.contains(&of))
                    && rollup_range(key).is_some_and(|range| range.start < end && begin < range.end)
            })
        };
        let (entries, bytes) = blocking(forget).await?;
        context.app.data.rollups.flush().await;
        tracing::info!(job = %context.id, catalog = %self.catalog_id, entries, bytes, "forgot what was kept");
        Ok(Done::default())
    }

    /// The series of sources that provide the catalog.
    async fn in_place(&self, context: &Context) -> Result<Vec<RollupOf>, DataError> {
        let data = &context.app.data;
        let paths: Vec<ResourcePath> = data
            .catalogs
            .series_in_place(&self.catalog_id)
            .await?
            .into_iter()
            .map(|series| {
                let representation = RepresentationId::original(series.period);
                ResourcePath::new(self.catalog_id.clone(), series.resource, representation)
            })
            .collect();
        let found = data.resolve(&paths).await?.into_iter();
        Ok(found
            .filter_map(|found| match found.resolved.base {
                Base::InPlace { series, rollups: Some(rollups), .. } => {
                    Some(RollupOf::in_place(rollups.source, &series.resource))
                }
                _ => None,
            })
            .collect())
    }
}
