//! What there is: search, catalogs, what lies below them, their time range and availability, and what people say of them.

use std::collections::BTreeSet;

use axum::extract::State;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sheaf_db::CatalogOverrides;
use sheaf_model::{CatalogId, CatalogPath, Resource, ResourceId, ResourcePath, Tick};
use sheaf_store::Bins;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::shapes::{WireCatalog, WireItem, WireRepresentation, WireResource, arguments, properties};
use crate::catalogs::{Found, Said, Summary};
use crate::http::app::{App, Shared};
use crate::http::auth::{Caller, Outcome};
use crate::http::configuration::Configuration;
use crate::http::errors::ApiError;
use crate::http::extract::{Json, Path, Query};
use crate::http::wire::{WireDuration, WireTick};

/// Paths that are looked up at once, at most.
const MOST_PATHS: usize = 10_000;

/// Steps of an availability, at most: as upstream.
const MOST_STEPS: i64 = 1000;

/// Catalogs that are listed at once where nobody says how many.
const PAGE: usize = 500;

/// The catalog with this id.
pub(super) fn catalog_id(text: &str) -> Result<CatalogId, ApiError> {
    text.parse().map_err(|error: sheaf_model::IdError| ApiError::unprocessable(error))
}

/// What resource paths mean: the items behind them, by the paths as they were written, in their order, each once.
#[utoipa::path(post, path = "/api/v1/catalogs/search-items", tag = "catalogs",
    request_body(content = Vec<String>, example = json!(["/SAMPLE/LOCAL/T1/1_s", "/SAMPLE/LOCAL/T1/5_s_mean#base=1_s"])),
    responses(
        (status = 200, description = "The items by path", body = HashMap<String, WireItem>),
        (status = 400, description = "The body is no JSON", body = String),
        (status = 401, description = "Nobody has signed in", body = String),
        (status = 403, description = "A catalog that may not be read", body = String),
        (status = 413, description = "The body is too large", body = String),
        (status = 415, description = "The body is not declared as JSON", body = String),
        (status = 422, description = "A path is wrong, or there is nothing behind it", body = String),
        (status = 502, description = "A source fails", body = String),
))]
pub(crate) async fn search_items(
    State(app): State<Shared>,
    caller: Caller,
    Configuration(configuration): Configuration,
    Json(texts): Json<Vec<String>>,
) -> Result<Json<IndexMap<String, WireItem>>, ApiError> {
    if texts.len() > MOST_PATHS {
        let count = texts.len();
        return Err(ApiError::unprocessable(format!(
            "{count} paths were given, {MOST_PATHS} may be at once"
        )));
    }
    let mut paths: IndexMap<String, ResourcePath> = IndexMap::with_capacity(texts.len());
    for text in texts {
        let path = text.parse().map_err(ApiError::from)?;
        paths.insert(text, path);
    }
    let catalogs: BTreeSet<CatalogId> = paths.values().map(|path| path.catalog().clone()).collect();
    for catalog in &catalogs {
        caller.require_read(&app, catalog).await?;
    }
    let (texts, paths): (Vec<String>, Vec<ResourcePath>) = paths.into_iter().unzip();
    let found = app.data.catalogs.resolve(&paths, &configuration).await.map_err(unprocessable)?;
    let catalogs: Vec<CatalogId> = catalogs.into_iter().collect();
    let of_catalogs = app.data.catalogs.properties(&catalogs).await?;
    let item = |found: &Found| {
        let path = &found.resolved.path;
        let catalog = WireCatalog {
            id: path.catalog().to_string(),
            properties: of_catalogs.get(path.catalog()).and_then(properties),
            resources: None,
        };
        let resource = WireResource {
            id: path.resource().to_string(),
            properties: properties(&found.properties),
            representations: None,
        };
        let representation = WireRepresentation::new(found.data_type(), path.period());
        WireItem { catalog, resource, representation, parameters: arguments(path.arguments()) }
    };
    Ok(Json(texts.into_iter().zip(&found).map(|(text, found)| (text, item(found))).collect()))
}

/// What is not there was asked for in a body, so it is the body that can't be processed.
fn unprocessable(error: crate::catalogs::CatalogError) -> ApiError {
    let error = ApiError::from(error);
    match error.status() {
        axum::http::StatusCode::NOT_FOUND => ApiError::unprocessable(error.text()),
        _ => error,
    }
}

/// Pages of resources, for who does not want all at once.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ResourcePage {
    /// Resources at most; without it, all.
    limit: Option<usize>,
    /// Go on behind this resource: the last one of the page before.
    after: Option<String>,
}

/// A catalog with its resources and their representations.
#[utoipa::path(get, path = "/api/v1/catalogs/{catalogId}", tag = "catalogs",
    params(("catalogId" = String, Path, description = "The id, as one segment", example = "/SAMPLE/LOCAL"), ResourcePage),
    responses(
        (status = 200, body = WireCatalog),
        (status = 400, description = "A parameter can't be read", body = String),
        (status = 401, description = "Nobody has signed in", body = String),
        (status = 403, description = "The catalog may not be read", body = String),
        (status = 404, description = "There is no such catalog", body = String),
        (status = 422, description = "The id is none", body = String),
        (status = 502, description = "A source fails", body = String),
))]
pub(crate) async fn get(
    State(app): State<Shared>,
    caller: Caller,
    Configuration(configuration): Configuration,
    Path(id): Path<String>,
    Query(page): Query<ResourcePage>,
) -> Result<Json<WireCatalog>, ApiError> {
    let id = catalog_id(&id)?;
    caller.require_read(&app, &id).await?;
    let after: Option<ResourceId> = page
        .after
        .map(|after| after.parse())
        .transpose()
        .map_err(|error: sheaf_model::IdError| ApiError::unprocessable(format!("after: {error}")))?;
    let catalog = app.data.catalogs.catalog(&id, &configuration).await?;
    let mut wire = WireCatalog { resources: None, ..WireCatalog::from_properties(&catalog) };
    let is_behind = |resource: &&Resource| after.as_ref().is_none_or(|after| resource.id() > after);
    let resources = catalog.resources().iter().filter(is_behind).take(page.limit.unwrap_or(usize::MAX));
    wire.resources = Some(resources.map(Into::into).collect());
    Ok(Json(wire))
}

/// Pages of catalogs, for who does not want all at once.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct CatalogPage {
    /// Catalogs at most; without it, all.
    limit: Option<usize>,
    /// Go on behind this catalog: the last one of the page before.
    after: Option<String>,
}

/// What is known of a catalog without reading what is in it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CatalogInfo {
    /// Its id.
    id: String,
    /// A title for people.
    title: Option<String>,
    /// Whom to ask.
    contact: Option<String>,
    /// What it is, in Markdown.
    readme: Option<String>,
    /// What may be done with it, in Markdown.
    license: Option<String>,
    /// Whether the caller may read it.
    is_readable: bool,
    /// Whether the caller may change it.
    is_writable: bool,
    /// Whether it is ready for others.
    is_released: bool,
    /// Whether it is to be shown.
    is_visible: bool,
    /// Whether the caller's pipeline provides it.
    is_owner: bool,
    /// None: there are no packages.
    package_reference_ids: Vec<Uuid>,
    /// Where it comes from.
    pipeline_info: PipelineInfo,
}

/// Where a catalog comes from.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PipelineInfo {
    /// The pipeline; zeros for the store.
    id: Uuid,
    /// The types of its sources.
    types: Vec<String>,
    /// Where people can read about each of them.
    info_urls: Vec<Option<String>>,
}

/// What the store is called where others are sources.
const STORE: &str = "Sheaf.Store";

/// The catalogs right below one, or below the root, `/`: those that the caller may read, and those that may be shown to him.
#[utoipa::path(get, path = "/api/v1/catalogs/{catalogId}/child-catalog-infos", tag = "catalogs",
    params(("catalogId" = String, Path, description = "The id, as one segment; / for all catalogs at the top", example = "/"), CatalogPage),
    responses(
        (status = 200, body = Vec<CatalogInfo>),
        (status = 400, description = "A parameter can't be read", body = String),
        (status = 401, description = "Nobody has signed in", body = String),
        (status = 404, description = "There is no such catalog", body = String),
        (status = 422, description = "The id is none", body = String),
))]
pub(crate) async fn children(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
    Query(page): Query<CatalogPage>,
) -> Result<Json<Vec<CatalogInfo>>, ApiError> {
    let path: CatalogPath =
        id.parse().map_err(|error: sheaf_model::IdError| ApiError::unprocessable(error))?;
    let mut after = page.after.as_deref().map(catalog_id).transpose()?;
    let limit = page.limit.unwrap_or(usize::MAX);
    let catalogs = &app.data.catalogs;
    let view = catalogs.view().await?;
    let mut infos = Vec::new();
    while infos.len() < limit {
        let ids: Vec<CatalogId> = view.children(&path, after.as_ref()).take(PAGE).collect();
        let Some(last) = ids.last() else { break };
        after = Some(last.clone());
        for summary in catalogs.summaries(&view, &ids).await? {
            if infos.len() < limit
                && let Some(info) = info_of(&app, &caller, summary).await?
            {
                infos.push(info);
            }
        }
    }
    let is_there = view.has_any_in(&path);
    match &path {
        CatalogPath::Catalog(id) if infos.is_empty() => {
            // Whether there is such a catalog is told to those who may read it.
            caller.require_read(&app, id).await?;
            if !is_there {
                return Err(ApiError::not_found(format!("there is no catalog `{id}`")));
            }
        }
        // Nobody who has not signed in is told that there is nothing.
        _ if infos.is_empty() && caller.user_id().is_none() => {
            caller.require_user()?;
        }
        _ => {}
    }
    Ok(Json(infos))
}

/// A catalog as the caller may know it, if he may.
async fn info_of(app: &App, caller: &Caller, summary: Summary) -> Result<Option<CatalogInfo>, ApiError> {
    let is_readable = caller.may_read(app, &summary.id).await?;
    let is_writable = caller.may_write(app, &summary.id).await?;
    let pipeline = summary.provision.as_ref().map(|provision| &*provision.pipeline);
    let owner = pipeline.and_then(|pipeline| pipeline.owner.as_deref());
    let is_user = caller.user_id().is_some();
    // Who may accept a license must be able to read it.
    let is_shown =
        pipeline.is_some_and(|pipeline| pipeline.shows(&summary.id)) || summary.facts.license.is_some();
    if !(is_readable || (is_user && is_shown)) {
        return Ok(None);
    }
    let text = |key: &str| summary.properties.get(key).and_then(Value::as_str).map(str::to_owned);
    Ok(Some(CatalogInfo {
        title: text("title"),
        contact: summary.contact,
        readme: summary.readme,
        license: summary.facts.license.clone(),
        is_readable,
        is_writable,
        is_released: pipeline.is_none_or(|pipeline| pipeline.releases(&summary.id)),
        is_visible: true,
        is_owner: owner.is_some() && owner == caller.user_id(),
        package_reference_ids: Vec::new(),
        pipeline_info: match pipeline {
            Some(pipeline) => PipelineInfo {
                id: pipeline.id,
                types: pipeline.types.clone(),
                info_urls: pipeline.info_urls.clone(),
            },
            None => PipelineInfo { id: Uuid::nil(), types: vec![STORE.to_owned()], info_urls: vec![None] },
        },
        id: summary.id.to_string(),
    }))
}

/// From the first to the last sample.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CatalogTimeRange {
    /// The begin of the first one; `0001-01-01T00:00:00` if there is none, or nobody knows.
    begin: WireTick,
    /// The end of the last one; `9999-12-31T23:59:59.9999999` if there is none, or nobody knows.
    end: WireTick,
}

/// From the first to the last sample of a catalog, as far as is known without reading any.
#[utoipa::path(get, path = "/api/v1/catalogs/{catalogId}/timerange", tag = "catalogs",
    params(("catalogId" = String, Path, description = "The id, as one segment", example = "/SAMPLE/LOCAL")),
    responses(
        (status = 200, body = CatalogTimeRange),
        (status = 401, description = "Nobody has signed in", body = String),
        (status = 403, description = "The catalog may not be read", body = String),
        (status = 404, description = "There is no such catalog", body = String),
        (status = 422, description = "The id is none", body = String),
        (status = 502, description = "A source fails", body = String),
))]
pub(crate) async fn time_range(
    State(app): State<Shared>,
    caller: Caller,
    Configuration(configuration): Configuration,
    Path(id): Path<String>,
) -> Result<Json<CatalogTimeRange>, ApiError> {
    let id = catalog_id(&id)?;
    caller.require_read(&app, &id).await?;
    let range = app.data.catalogs.time_range(&id, &configuration).await?;
    let (begin, end) = range.map_or((Tick::MIN, Tick::MAX), |range| (range.begin(), range.end()));
    Ok(Json(CatalogTimeRange { begin: WireTick(begin), end: WireTick(end) }))
}

/// Parts of time.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct AvailabilityQuery {
    /// When the first step begins.
    #[param(example = "2020-01-01T00:00:00Z")]
    begin: WireTick,
    /// Where the steps end.
    #[param(example = "2020-01-08T00:00:00Z")]
    end: WireTick,
    /// How long each of them is, like `1.00:00:00`, `1 day, 0:00:00`, `P1D` or `1_d`.
    #[param(example = "1.00:00:00")]
    step: WireDuration,
}

/// How much there is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CatalogAvailability {
    /// For each step a number from 0 to 1; null where nobody knows.
    data: Vec<Option<f64>>,
}

/// How much of a catalog there is in each step of time, as far as is known without reading samples.
#[utoipa::path(get, path = "/api/v1/catalogs/{catalogId}/availability", tag = "catalogs",
    params(("catalogId" = String, Path, description = "The id, as one segment", example = "/SAMPLE/LOCAL"), AvailabilityQuery),
    responses(
        (status = 200, body = CatalogAvailability),
        (status = 400, description = "A parameter is missing or can't be read", body = String),
        (status = 401, description = "Nobody has signed in", body = String),
        (status = 403, description = "The catalog may not be read", body = String),
        (status = 404, description = "There is no such catalog", body = String),
        (status = 422, description = "The id is none, begin is not before end, or there are no steps or too many", body = String),
        (status = 502, description = "A source fails", body = String),
))]
pub(crate) async fn availability(
    State(app): State<Shared>,
    caller: Caller,
    Configuration(configuration): Configuration,
    Path(id): Path<String>,
    Query(query): Query<AvailabilityQuery>,
) -> Result<Json<CatalogAvailability>, ApiError> {
    let id = catalog_id(&id)?;
    caller.require_read(&app, &id).await?;
    let bins = bins_of(&query).map_err(ApiError::unprocessable)?;
    let data = app.data.catalogs.availability(&id, bins, &configuration).await?;
    Ok(Json(CatalogAvailability { data }))
}

/// The steps of a query.
fn bins_of(query: &AvailabilityQuery) -> Result<Bins, String> {
    let AvailabilityQuery { begin, end, step } = query;
    if begin.0 >= end.0 {
        return Err(format!("begin must be before end, but {begin} is not before {end}"));
    }
    if step.0 <= 0 {
        return Err(format!("step must be longer than nothing, and {step} is not"));
    }
    let length = end.0.ticks() - begin.0.ticks();
    let steps = length / step.0 + i64::from(length % step.0 != 0);
    if length / step.0 > MOST_STEPS {
        return Err(format!(
            "from {begin} to {end} there are {steps} steps of {step}, {MOST_STEPS} may be at once"
        ));
    }
    Ok(Bins { begin: begin.0, ticks: step.0, count: usize::try_from(steps).unwrap_or_default() })
}

/// The license of a catalog, in Markdown: its attachment `LICENSE.md`, else its property; null if there is none.
#[utoipa::path(get, path = "/api/v1/catalogs/{catalogId}/license", tag = "catalogs",
    params(("catalogId" = String, Path, description = "The id, as one segment", example = "/SAMPLE/LOCAL")),
    responses(
        (status = 200, body = Option<String>),
        (status = 401, description = "Nobody has signed in", body = String),
        (status = 404, description = "There is no such catalog, or nothing of it may be known", body = String),
        (status = 422, description = "The id is none", body = String),
))]
pub(crate) async fn license(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Option<String>>, ApiError> {
    let id = catalog_id(&id)?;
    let may_read = caller.may_read(&app, &id).await?;
    if !may_read {
        caller.require_user()?;
    }
    let is_there = app.data.catalogs.view().await?.exists(&id);
    let license = if is_there { app.data.catalogs.license(&id).await? } else { None };
    // A license must be read before it is accepted; whether there are catalogs without one is nobody's business.
    if !is_there || (license.is_none() && !may_read) {
        return Err(ApiError::not_found(format!("there is no catalog `{id}`")));
    }
    Ok(Json(license))
}

/// What people say of a catalog.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CatalogMetadata {
    /// Whom to ask.
    #[serde(default)]
    contact: Option<String>,
    /// The groups that it belongs to: claims on a group hold for all catalogs in it.
    #[serde(default)]
    group_memberships: Option<Vec<String>>,
    /// Properties of it and its resources, merged over what sources say.
    #[serde(default)]
    overrides: Option<WireCatalog>,
}

/// What people say of a catalog.
#[utoipa::path(get, path = "/api/v1/catalogs/{catalogId}/metadata", tag = "catalogs",
    params(("catalogId" = String, Path, description = "The id, as one segment", example = "/SAMPLE/LOCAL")),
    responses(
        (status = 200, body = CatalogMetadata),
        (status = 401, description = "Nobody has signed in", body = String),
        (status = 403, description = "The catalog may not be read", body = String),
        (status = 404, description = "There is no such catalog", body = String),
        (status = 422, description = "The id is none", body = String),
))]
pub(crate) async fn metadata(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<CatalogMetadata>, ApiError> {
    let id = catalog_id(&id)?;
    caller.require_read(&app, &id).await?;
    require_catalog(&app, &id).await?;
    let said = app.data.database.overrides().get(&id).await?;
    let overrides = said.overrides.map(serde_json::from_value).transpose();
    let overrides = overrides
        .map_err(|error| ApiError::internal("the overrides that are stored can't be read", &error))?;
    Ok(Json(CatalogMetadata { contact: said.contact, group_memberships: said.groups, overrides }))
}

/// An error unless there is such a catalog.
pub(super) async fn require_catalog(app: &App, id: &CatalogId) -> Result<(), ApiError> {
    match app.data.catalogs.view().await?.exists(id) {
        true => Ok(()),
        false => Err(ApiError::not_found(format!("there is no catalog `{id}`"))),
    }
}

/// Replaces what people say of a catalog. The representations of overrides are not taken up: samples are what sources have.
#[utoipa::path(put, path = "/api/v1/catalogs/{catalogId}/metadata", tag = "catalogs",
    params(("catalogId" = String, Path, description = "The id, as one segment", example = "/SAMPLE/LOCAL")),
    request_body = CatalogMetadata,
    responses(
        (status = 200, description = "It is kept"),
        (status = 400, description = "The body is no JSON", body = String),
        (status = 401, description = "Nobody has signed in", body = String),
        (status = 403, description = "The catalog may not be changed", body = String),
        (status = 404, description = "There is no such catalog", body = String),
        (status = 413, description = "The body is too large", body = String),
        (status = 415, description = "The body is not declared as JSON", body = String),
        (status = 422, description = "The id is none, or what is said does not fit the catalog", body = String),
        (status = 502, description = "A source fails", body = String),
))]
pub(crate) async fn set_metadata(
    State(app): State<Shared>,
    caller: Caller,
    Configuration(configuration): Configuration,
    Path(id): Path<String>,
    Json(new): Json<CatalogMetadata>,
) -> Result<(), ApiError> {
    let id = catalog_id(&id)?;
    caller.require_write(&app, &id).await?;
    require_catalog(&app, &id).await?;
    let overrides = match new.overrides {
        None => None,
        Some(overrides) => {
            if overrides.id != id.as_str() {
                let found = overrides.id.escape_debug();
                return Err(ApiError::unprocessable(format!("overrides.id must be `{id}`, not `{found}`")));
            }
            let value = serde_json::to_value(overrides)
                .map_err(|error| ApiError::internal("the overrides can't be kept", &error))?;
            let said: Said = serde_json::from_value(value.clone())
                .map_err(|error| ApiError::unprocessable(format!("overrides: {error}")))?;
            let ids: BTreeSet<&ResourceId> = said.resources.iter().flatten().map(|of| &of.id).collect();
            if ids.len() != said.resources.as_ref().map_or(0, Vec::len) {
                return Err(ApiError::unprocessable("overrides.resources: a resource comes twice"));
            }
            app.data.catalogs.check_said(&id, &said, &configuration).await.map_err(unprocessable)?;
            Some(value)
        }
    };
    for group in new.group_memberships.iter().flatten() {
        if group.is_empty() || group.len() > 255 || group.chars().any(char::is_control) {
            return Err(ApiError::unprocessable(
                "groupMemberships: a group has 1 to 255 bytes and no control characters",
            ));
        }
    }
    let new = CatalogOverrides { contact: new.contact, groups: new.group_memberships, overrides };
    app.data.database.overrides().set(&id, &new).await?;
    // Claims on groups hold for what is in them.
    let detail = json!({ "groups": new.groups });
    app.audit(&caller, "catalog.metadata", id.as_str(), Outcome::Done, detail).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_counted_up() {
        let bins = |begin: &str, end: &str, step: &str| {
            let step = step.parse().unwrap();
            bins_of(&AvailabilityQuery { begin: begin.parse().unwrap(), end: end.parse().unwrap(), step })
        };
        assert_eq!(bins("2020-01-01", "2020-01-03", "1.00:00:00").unwrap().count, 2);
        assert_eq!(bins("2020-01-01", "2020-01-03T00:00:01", "1.00:00:00").unwrap().count, 3);
        assert_eq!(bins("2020-01-01", "2020-01-01T00:16:40", "00:00:01").unwrap().count, 1000);
        for (begin, end, step, problem) in [
            ("2020-01-02", "2020-01-01", "1_d", "must be before end"),
            ("2020-01-01", "2020-01-01", "1_d", "must be before end"),
            ("2020-01-01", "2020-01-02", "00:00:00", "longer than nothing"),
            ("2020-01-01", "2020-01-02", "-00:00:01", "longer than nothing"),
            ("2020-01-01", "2020-01-01T00:16:41", "00:00:01", "1001 steps of 00:00:01, 1000 may be"),
        ] {
            let error = bins(begin, end, step).unwrap_err();
            assert!(error.contains(problem), "{error}");
        }
    }
}
