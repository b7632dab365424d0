//! All routes.

use std::sync::Arc;

use axum::Router;
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
        .routes(routes!(data::data))
        .routes(routes!(data::batch))
        .routes(routes!(series::series, series::delete))
        .routes(routes!(records::records))
        .routes(routes!(ingest::ingest))
        .routes(routes!(catalogs::search_items))
        .routes(routes!(catalogs::get))
        .routes(routes!(catalogs::children))
        .routes(routes!(catalogs::time_range))
        .routes(routes!(catalogs::availability))
        .routes(routes!(catalogs::license))
        .routes(routes!(catalogs::metadata, catalogs::set_metadata))
        .routes(routes!(attachments::list))
        .routes(routes!(attachments::put, attachments::delete))
        .routes(routes!(attachments::content))
        .routes(routes!(sources::descriptions))
        .routes(routes!(sources::list, sources::create))
        .routes(routes!(sources::replace, sources::delete))
        .routes(routes!(system::system))
        .routes(routes!(system::file_type))
        .routes(routes!(system::help_link))
        .routes(routes!(system::packages, system::create_package, system::replace_package))
        .routes(routes!(system::delete_package))
        .routes(routes!(system::package_versions))
        .routes(routes!(artifacts::download))
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::cancel))
        .routes(routes!(jobs::status))
        .routes(routes!(jobs::events))
        .routes(routes!(jobs::export))
        .routes(routes!(jobs::export_with_precision))
        .routes(routes!(jobs::refresh))
        .routes(routes!(jobs::clear_cache))
        .routes(routes!(jobs::compact))
        .routes(routes!(writers::descriptions))
}

/// All routes, with what happens to every request on the way.
pub(super) fn service(app: &Arc<App>) -> Router {
    let (router, document) = routes().split_for_parts();
    let router = router
        .merge(openapi::pages(document))
        .fallback(layers::no_route)
        .method_not_allowed_fallback(layers::no_method)
        .with_state(app.clone());
    layers::around(router, app)
}
