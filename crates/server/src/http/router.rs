//! All routes.

use std::sync::Arc;

use axum::Router;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::api::*;
use super::app::{App, Shared};
use super::datastore::*;
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
        .routes(routes!(jobs::retry))
        .routes(routes!(jobs::export))
        .routes(routes!(jobs::export_with_precision))
        .routes(routes!(jobs::refresh))
        .routes(routes!(jobs::clear_cache))
        .routes(routes!(jobs::compact))
        .routes(routes!(writers::descriptions))
        .routes(routes!(projects::list, projects::create))
        .routes(routes!(projects::ids))
        .routes(routes!(projects::bulk_upsert))
        .routes(routes!(projects::bulk_upsert_verbose))
        .routes(routes!(projects::get, projects::replace, projects::update, projects::delete))
        .routes(routes!(mappings::list, mappings::create))
        .routes(routes!(mappings::bulk_upsert))
        .routes(routes!(mappings::bulk_upsert_verbose))
        .routes(routes!(mappings::delete))
        .routes(routes!(metadata::list, metadata::create))
        .routes(routes!(metadata::bulk_upsert))
        .routes(routes!(owners::list))
        .routes(routes!(traces::list, traces::create))
        .routes(routes!(traces::ids))
        .routes(routes!(traces::bulk_upsert))
        .routes(routes!(load::load_traces))
        .routes(routes!(load::list_stations))
        .routes(routes!(load::load_weather))
        .routes(routes!(traces::bulk_upsert_verbose))
        .routes(routes!(traces::get, traces::replace, traces::update, traces::delete))
        .routes(routes!(trace_records::list, trace_records::create))
        .routes(routes!(trace_records::bulk_upsert))
        .routes(routes!(trace_records::bulk_insert))
        .routes(routes!(groups::list, groups::create))
        .routes(routes!(groups::members))
        .routes(routes!(groups::get, groups::replace, groups::update, groups::delete))
        .routes(routes!(meter_runs::list, meter_runs::create))
        .routes(routes!(meter_runs::bulk))
        .routes(routes!(meter_runs::progress))
        .routes(routes!(meter_runs::get, meter_runs::delete))
        .routes(routes!(meter_runs::input))
        .routes(routes!(meter_runs::cancel))
        .routes(routes!(meter_runs::retry))
        .routes(routes!(meter_results::list))
        .routes(routes!(meter_results::get))
        .routes(routes!(meter_results::output))
        .routes(routes!(meter_derivatives::list))
        .routes(routes!(meter_derivatives::get))
        .routes(routes!(aggregation_runs::list, aggregation_runs::create))
        .routes(routes!(aggregation_runs::bulk))
        .routes(routes!(aggregation_runs::get, aggregation_runs::delete))
        .routes(routes!(aggregation_runs::input))
        .routes(routes!(aggregation_runs::cancel))
        .routes(routes!(aggregation_runs::retry))
        .routes(routes!(aggregation_results::list))
        .routes(routes!(aggregation_results::get))
        .routes(routes!(aggregation_results::output))
        .routes(routes!(batches::list))
        .routes(routes!(batches::get))
        .routes(routes!(batches::events))
        .routes(routes!(batches::cancel))
        .routes(routes!(batches::retry))
        .routes(routes!(marts::list))
        .routes(routes!(marts::get))
        .routes(routes!(blacklist::list, blacklist::create))
        .routes(routes!(blacklist::bulk_upsert_verbose))
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
#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// What clients are made from changes with intent: the document is kept in the repository.
    #[test]
    fn the_document_is_the_one_that_is_kept() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
        let mut now = serde_json::to_string_pretty(&routes().into_openapi()).unwrap();
        now.push('\n');
        if std::env::var_os("SHEAF_KEEP_OPENAPI").is_some() {
            std::fs::write(&file, &now).unwrap();
        }
        let kept = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(
            kept == now,
            "the OpenAPI document has changed. If it should have: SHEAF_KEEP_OPENAPI=1 cargo test -p sheaf-server \
             the_document, then look at the difference of crates/server/openapi.json"
        );
    }

    #[test]
    fn every_operation_says_who_may_ask_and_what_comes_back() {
        let document = serde_json::to_value(routes().into_openapi()).unwrap();
        for (path, operations) in document["paths"].as_object().unwrap() {
            for (method, operation) in operations.as_object().unwrap() {
                let name = format!("{method} {path}");
                let is_described = |key: &str| operation[key].as_str().is_some_and(|text| !text.is_empty());
                assert!(is_described("summary") || is_described("description"), "{name} has no description");
                assert!(operation["tags"].is_array(), "{name} belongs to no area");
                let responses = operation["responses"].as_object().unwrap();
                assert!(!responses.is_empty(), "{name} never answers");
                let is_open =
                    operation["security"].as_array().is_some_and(|of| of.contains(&serde_json::json!({})));
                assert!(
                    is_open || responses.contains_key("401"),
                    "{name} needs a token, but never answers 401"
                );
            }
        }
    }
}
