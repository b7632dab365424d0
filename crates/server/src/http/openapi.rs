//! The OpenAPI document: what the handlers say of themselves, under a title.

use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi as _};

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
