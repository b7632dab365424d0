//! What exports can be written as.

use serde_json::Map;
use sheaf_sources::writer_descriptions;

use super::shapes::ExtensionDescription;
use crate::http::auth::Caller;
use crate::http::errors::ApiError;
use crate::http::extract::Json;

/// The writers of exports, with the options that each of them takes, by label.
#[utoipa::path(get, path = "/api/v1/writers/descriptions", tag = "jobs", responses(
    (status = 200, body = Vec<ExtensionDescription>),
    (status = 401, description = "Nobody has signed in", body = String),
))]
pub(crate) async fn descriptions(caller: Caller) -> Result<Json<Vec<ExtensionDescription>>, ApiError> {
    caller.require_user()?;
    let all = writer_descriptions().into_iter().map(|writer| {
        let information = Map::from_iter([
            ("label".to_owned(), writer.label.into()),
            ("options".to_owned(), writer.options),
        ]);
        ExtensionDescription::new(writer.kind, writer.description, information)
    });
    Ok(Json(all.collect()))
}
