//! All routes.

use std::sync::Arc;

use axum::Router;
use axum::routing::any;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::api::*;
use super::app::{App, Shared};
use super::{layers, openapi};

/// Every route that the OpenAPI document describes.
#[rustfmt::skip]
fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::with_openapi(openapi::document())
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(health::metrics))
}

/// The OpenAPI document.
pub(crate) fn document() -> OpenApi {
    routes().into_openapi()
}

/// All routes, with what happens to every request on the way.
pub(super) fn service(app: &Arc<App>) -> Router {
    let (router, document) = routes().split_for_parts();
    let pages = utoipa_swagger_ui::SwaggerUi::new("/api").url("/openapi/v1.json", document.clone());
    // The pages take all of /api/, but say nothing of what they don't have.
    let router = router.merge(pages).route("/api/v1/{*rest}", any(layers::no_route));
    let router = router.route("/api/v2/{*rest}", any(layers::no_route));
    let router: Router = router.fallback(layers::no_route).with_state(app.clone());
    layers::around(router, app)
}
