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
        .routes(routes!(users::me))
        .routes(routes!(users::tokens::list))
        .routes(routes!(users::tokens::create))
        .routes(routes!(users::tokens::refresh))
        .routes(routes!(users::tokens::revoke))
        .routes(routes!(users::tokens::generate))
        .routes(routes!(users::tokens::delete_by_value))
        .routes(routes!(users::tokens::delete))
        .routes(routes!(users::tokens::list_of))
        .routes(routes!(users::manage::list, users::manage::create))
        .routes(routes!(users::manage::delete))
        .routes(routes!(users::manage::claims, users::manage::create_claim))
        .routes(routes!(users::manage::delete_claim))
        .routes(routes!(users::manage::audit))
        .routes(routes!(users::licenses::accept))
        .routes(routes!(users::licenses::old_way))
        .routes(routes!(users::sign_in::sign_in))
        .routes(routes!(users::sign_in::sign_out))
        .routes(routes!(users::sign_in::sessions))
        .routes(routes!(users::sign_in::end_session))
        .routes(routes!(users::sign_in::reauthenticate))
        .routes(routes!(users::oidc::schemes))
        .routes(routes!(users::oidc::authenticate, users::oidc::authenticate_by_link))
        .routes(routes!(users::oidc::answer))
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
