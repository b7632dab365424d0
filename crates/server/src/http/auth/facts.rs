//! What the rules want to know of a catalog, when its id alone does not decide.

use sheaf_model::CatalogId;

use super::rights::CatalogFacts;
use super::secret;
use crate::http::app::App;
use crate::http::errors::ApiError;

/// Whose sources a catalog comes from, which groups it is in, and under which licence.
pub(crate) async fn of(app: &App, catalog: &CatalogId) -> Result<CatalogFacts, ApiError> {
    Ok(CatalogFacts {
        license: license(app, catalog).await?.as_deref().map(secret::digest),
        ..CatalogFacts::default()
    })
}

/// The text of the licence of a catalog.
pub(crate) async fn license(app: &App, catalog: &CatalogId) -> Result<Option<String>, ApiError> {
    let properties = app.data.database.metadata().catalog(catalog).await?;
    Ok(properties.license().filter(|text| !text.trim().is_empty()).map(str::to_owned))
}
