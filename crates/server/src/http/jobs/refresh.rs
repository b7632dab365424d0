//! `refresh-database`: looks again at what the sources have.

use serde::{Deserialize, Serialize};
use sheaf_model::CatalogId;
use sheaf_store::in_full;

use super::{Context, Done, JobError, Kind};
use crate::data::DataError;

/// Lists the series of every source once more, so that what has changed there shows, and what fails is named. A source that
/// fails does not keep the others from it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Refresh {}

impl Kind for Refresh {
    const NAME: &'static str = "refresh-database";
}

impl Refresh {
    pub(super) async fn run(self, context: &Context) -> Result<Done, JobError> {
        let catalogs = &context.app.data.catalogs;
        let view = catalogs.view().await.map_err(DataError::from)?;
        let all: Vec<CatalogId> = view.provisions().map(|provision| provision.catalog.clone()).collect();
        let mut failures = Vec::new();
        for (at, catalog) in all.iter().enumerate() {
            context.step("looking at sources", at as u64, all.len() as u64)?;
            if let Err(error) = catalogs.series_in_place(catalog).await {
                failures.push(format!("the sources of {catalog}: {}", in_full(&error)));
            }
        }
        if failures.is_empty() {
            Ok(Done::default())
        } else {
            Err(JobError::Refused { text: failures.join("\n") })
        }
    }
}
