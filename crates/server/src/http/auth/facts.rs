//! What the rules want to know of a catalog, when its id alone does not decide.

use sheaf_model::CatalogId;

use super::rights::CatalogFacts;
use super::secret;
use crate::http::app::App;
use crate::http::errors::ApiError;

/// Whose sources a catalog comes from, which groups it is in, and under which licence.
pub(crate) async fn of(app: &App, catalog: &CatalogId) -> Result<CatalogFacts, ApiError> {
    let facts = app.data.catalogs.facts(catalog).await?;
    Ok(CatalogFacts {
        owner: facts.owner.clone(),
        groups: facts.groups.clone(),
        license: facts.license.as_deref().map(secret::digest),
    })
}

/// The text of the licence of a catalog: its attachment, else its property.
pub(crate) async fn license(app: &App, catalog: &CatalogId) -> Result<Option<String>, ApiError> {
    Ok(app.data.catalogs.facts(catalog).await?.license.clone())
}
