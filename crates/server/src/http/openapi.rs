//! The OpenAPI document: what the handlers say of themselves, under a title.

mod complete;

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi as _};
use utoipa_swagger_ui::Config;

use super::app::Shared;
use super::errors::ApiError;
use super::extract::Json;

/// Where the document is.
const DOCUMENT: &str = "/openapi/v1.json";

/// The document, without the routes.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "Sheaf", description = "Gathers many metered series into few numbers. Catalog ids are one path segment: \
        `/plant/mast` is written `%2Fplant%2Fmast`. Times are ISO 8601, without a zone in UTC; durations are `[d.]hh:mm:ss[.fffffff]`. \
        Errors are a line of text that says what was wrong and what would be right; with `Accept: application/json` it is a JSON string."),
    modifiers(&Security),
    security(("token" = []))
)]
struct Document;

struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut OpenApi) {
        let token = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("A token, as `sheaf token create` prints it"))
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(token));
    }
}

/// The document, without the routes.
pub(super) fn document() -> OpenApi {
    Document::openapi()
}

/// The document, and the pages to browse it at `/api`.
pub(super) fn pages(document: OpenApi) -> Router<Shared> {
    let config = Arc::new(Config::new([DOCUMENT]));
    let document = Arc::new(complete::complete(document));
    Router::new()
        .route(DOCUMENT, get(move || async move { Json(document) }))
        .route("/api", get(|| async { Redirect::to("/api/index.html") }))
        .route("/api/{file}", get(move |Path(file): Path<String>| async move { page(&file, config) }))
}

fn page(file: &str, config: Arc<Config<'static>>) -> Result<Response, ApiError> {
    match utoipa_swagger_ui::serve(file, config) {
        Ok(Some(file)) => Ok(([(CONTENT_TYPE, file.content_type)], file.bytes.into_owned()).into_response()),
        Ok(None) => Err(ApiError::not_found(format!("there is no page `{file}`; begin at /api"))),
        Err(error) => Err(ApiError::internal("the page can't be shown", error.as_ref())),
    }
}
