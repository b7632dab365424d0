//! Pipelines of sources: what kinds there are, and whose pipelines provide which catalogs.

use axum::extract::State;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sheaf_db::{Pipeline, Registration};
use sheaf_model::CatalogId;
use sheaf_sources::SourceKind;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::shapes::ExtensionDescription;
use crate::catalogs::secrets::{hidden, hide_in_url, reveal};
use crate::catalogs::{Origin, config_of, kind_of, locator_of, mount_of, pattern_of};
use crate::http::app::{App, Shared};
use crate::http::auth::{Caller, Outcome};
use crate::http::errors::ApiError;
use crate::http::extract::{Json, Path, Query};

/// Sources of a pipeline, at most.
const MOST_REGISTRATIONS: usize = 100;

/// How long a new source may take to say what it has.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// The kinds of sources, with the settings that each of them takes.
#[utoipa::path(get, path = "/api/v1/sources/descriptions", tag = "sources", responses(
    (status = 200, body = Vec<ExtensionDescription>),
    (status = 401, description = "Nobody has signed in", body = String),
))]
pub(crate) async fn descriptions(caller: Caller) -> Result<Json<Vec<ExtensionDescription>>, ApiError> {
    caller.require_user()?;
    let all = SourceKind::ALL.into_iter().map(|kind| {
        let mut schema = kind.schema();
        if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
            let catalog = json!({"type": "string", "title": "Catalog", "description": "The id of the catalog that the source provides, like /plant/met_mast"});
            properties.shift_insert(0, "catalog".to_owned(), catalog);
        }
        if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
            required.insert(0, "catalog".into());
        }
        let information = Map::from_iter([
            ("label".to_owned(), kind.type_name().into()),
            ("source-configuration-schema".to_owned(), schema),
        ]);
        ExtensionDescription::new(kind.type_name(), kind.description(), information)
    });
    Ok(Json(all.collect()))
}

/// Whose pipelines.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(crate) struct Whose {
    /// A user; without it, whoever asks. Those of others are for administrators.
    user_id: Option<String>,
}

/// A source of a pipeline.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DataSourceRegistration {
    /// What kind of source it is, as `sources/descriptions` lists them.
    #[serde(rename = "type")]
    #[schema(example = "Sheaf.Sources.Folder")]
    kind: String,
    /// Where its data are: a folder or a URL.
    #[serde(default)]
    resource_locator: Option<String>,
    /// Its settings, and in `catalog` the catalog that it provides.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    configuration: Option<Map<String, Value>>,
    /// Where people can read about it.
    #[serde(default)]
    info_url: Option<String>,
}

/// Sources that are read in place. Those that provide the same catalog enrich each other.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DataSourcePipeline {
    /// The sources, in order.
    registrations: Vec<DataSourceRegistration>,
    /// Which of its catalogs are ready for others: a regular expression for the whole id; all without one.
    #[serde(default)]
    release_pattern: Option<String>,
    /// Which of its catalogs are shown to those who may not read them: a regular expression for the whole id.
    #[serde(default)]
    visibility_pattern: Option<String>,
    /// Whose it is; null if it is the operator's. Not read.
    #[serde(default, skip_deserializing)]
    owner: Option<String>,
    /// Whether it can't be changed here, because it is written down elsewhere. Not read.
    #[serde(default, skip_deserializing)]
    is_read_only: bool,
}

impl DataSourcePipeline {
    /// A pipeline as it is shown: without secrets.
    fn of(origin: Origin, pipeline: &Pipeline) -> DataSourcePipeline {
        let registrations = pipeline.registrations.iter().map(|registration| {
            let Registration { kind, resource_locator, configuration, info_url } = hidden(registration);
            DataSourceRegistration { kind, resource_locator, configuration: Some(configuration), info_url }
        });
        DataSourcePipeline {
            registrations: registrations.collect(),
            release_pattern: pipeline.release_pattern.clone(),
            visibility_pattern: pipeline.visibility_pattern.clone(),
            owner: pipeline.owner.clone(),
            is_read_only: origin != Origin::Stored,
        }
    }

    /// The pipeline that it means, with the secrets of the one it was made of.
    fn into_pipeline(self, owner: Option<String>, before: Option<&Pipeline>) -> Pipeline {
        let registrations = self.registrations.into_iter().enumerate().map(|(place, new)| {
            let old =
                before.and_then(|before| before.registrations.get(place)).filter(|old| old.kind == new.kind);
            let mut new = Registration {
                kind: new.kind,
                resource_locator: new.resource_locator,
                configuration: new.configuration.unwrap_or_default(),
                info_url: new.info_url,
            };
            if let Some(old) = old {
                reveal(&mut new, old);
            }
            new
        });
        let new = Pipeline::new(owner, registrations.collect());
        Pipeline {
            id: before.map_or(new.id, |before| before.id),
            created_at_ms: before.map_or(new.created_at_ms, |before| before.created_at_ms),
            release_pattern: self.release_pattern.filter(|pattern| !pattern.is_empty()),
            visibility_pattern: self.visibility_pattern.filter(|pattern| !pattern.is_empty()),
            ..new
        }
    }
}

/// The pipelines of a user, by their ids. An administrator also sees those of the operator among his own. Secrets are not
/// shown.
#[utoipa::path(get, path = "/api/v1/sources/pipelines", tag = "sources", params(Whose), responses(
    (status = 200, body = std::collections::HashMap<String, DataSourcePipeline>),
    (status = 400, description = "A parameter can't be read", body = String),
    (status = 401, description = "Nobody has signed in", body = String),
    (status = 403, description = "Those of another user", body = String),
))]
pub(crate) async fn list(
    State(app): State<Shared>,
    caller: Caller,
    Query(whose): Query<Whose>,
) -> Result<Json<IndexMap<Uuid, DataSourcePipeline>>, ApiError> {
    caller.require_user()?;
    let wants_own = whose.user_id.is_none();
    let owner = owner(&caller, whose)?;
    let is_theirs = |pipeline: &Pipeline| match &pipeline.owner {
        Some(of) => Some(of) == owner.as_ref(),
        None => wants_own && caller.is_admin(),
    };
    let stored = app.data.database.pipelines().all().await?;
    let fixed = app.data.catalogs.fixed().iter().map(|(origin, pipeline)| (*origin, pipeline));
    let all = fixed.chain(stored.iter().map(|pipeline| (Origin::Stored, pipeline)));
    let theirs = all.filter(|(_, pipeline)| is_theirs(pipeline));
    Ok(Json(
        theirs.map(|(origin, pipeline)| (pipeline.id, DataSourcePipeline::of(origin, pipeline))).collect(),
    ))
}

/// The user that is meant.
fn owner(caller: &Caller, whose: Whose) -> Result<Option<String>, ApiError> {
    let own = caller.user_id().map(str::to_owned);
    match whose.user_id {
        Some(other) if Some(&other) != own.as_ref() => {
            caller.require_admin()?;
            Ok(Some(other))
        }
        _ => Ok(own),
    }
}

/// Adds a pipeline; its sources are opened first.
#[utoipa::path(post, path = "/api/v1/sources/pipelines", tag = "sources", params(Whose),
    request_body = DataSourcePipeline,
    responses(
        (status = 200, description = "Its id", body = Uuid),
        (status = 400, description = "The body is no JSON", body = String),
        (status = 401, description = "Nobody has signed in", body = String),
        (status = 403, description = "For another user, with a catalog that may not be changed, or a locator that may not be used", body = String),
        (status = 413, description = "The body is too large", body = String),
        (status = 415, description = "The body is not declared as JSON", body = String),
        (status = 422, description = "A source can't be opened, or provides what another one does", body = String),
))]
pub(crate) async fn create(
    State(app): State<Shared>,
    caller: Caller,
    Query(whose): Query<Whose>,
    Json(new): Json<DataSourcePipeline>,
) -> Result<Json<Uuid>, ApiError> {
    caller.require_user()?;
    let owner = owner(&caller, whose)?;
    let pipeline = new.into_pipeline(owner, None);
    check(&app, &caller, &pipeline, None).await?;
    app.data.database.pipelines().add(&pipeline, false).await?;
    record(&app, &caller, "pipeline.create", pipeline.id, &pipeline.owner).await?;
    Ok(Json(pipeline.id))
}

/// Replaces a pipeline; its sources are opened first. What stands for a secret leaves it as it is.
#[utoipa::path(put, path = "/api/v1/sources/pipelines/{pipelineId}", tag = "sources",
    params(("pipelineId" = Uuid, Path, description = "Its id"), Whose),
    request_body = DataSourcePipeline,
    responses(
        (status = 200, description = "It is replaced"),
        (status = 400, description = "The body is no JSON, or the id is none", body = String),
        (status = 401, description = "Nobody has signed in", body = String),
        (status = 403, description = "Of another user, with a catalog that may not be changed, or a locator that may not be used", body = String),
        (status = 404, description = "There is no such pipeline", body = String),
        (status = 413, description = "The body is too large", body = String),
        (status = 415, description = "The body is not declared as JSON", body = String),
        (status = 422, description = "A source can't be opened, or provides what another one does", body = String),
))]
pub(crate) async fn replace(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Query(whose): Query<Whose>,
    Json(new): Json<DataSourcePipeline>,
) -> Result<(), ApiError> {
    caller.require_user()?;
    let before = find(&app, &caller, id, whose).await?;
    let pipeline = new.into_pipeline(before.owner.clone(), Some(&before));
    check(&app, &caller, &pipeline, Some(&before)).await?;
    match app.data.database.pipelines().replace(&pipeline).await? {
        true => record(&app, &caller, "pipeline.replace", id, &pipeline.owner).await,
        false => Err(no_pipeline(id)),
    }
}

/// Removes a pipeline; its data stay where they are.
#[utoipa::path(delete, path = "/api/v1/sources/pipelines/{pipelineId}", tag = "sources",
    params(("pipelineId" = Uuid, Path, description = "Its id"), Whose),
    responses(
        (status = 200, description = "It is gone"),
        (status = 400, description = "The id is none", body = String),
        (status = 401, description = "Nobody has signed in", body = String),
        (status = 403, description = "Of another user, or written down elsewhere", body = String),
        (status = 404, description = "There is no such pipeline", body = String),
))]
pub(crate) async fn delete(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Query(whose): Query<Whose>,
) -> Result<(), ApiError> {
    caller.require_user()?;
    let owner = find(&app, &caller, id, whose).await?.owner;
    match app.data.database.pipelines().remove(id).await? {
        true => record(&app, &caller, "pipeline.remove", id, &owner).await,
        false => Err(no_pipeline(id)),
    }
}

/// Puts on record what was done with a pipeline. Not what it is: settings hold secrets.
async fn record(
    app: &App,
    caller: &Caller,
    action: &str,
    id: Uuid,
    owner: &Option<String>,
) -> Result<(), ApiError> {
    app.audit(caller, action, id.to_string(), Outcome::Done, json!({ "owner": owner })).await
}

fn no_pipeline(id: Uuid) -> ApiError {
    ApiError::not_found(format!("there is no pipeline {id}"))
}

/// The pipeline with this id, if the caller may change it.
async fn find(app: &App, caller: &Caller, id: Uuid, whose: Whose) -> Result<Pipeline, ApiError> {
    let owner = owner(caller, whose)?;
    if app.data.catalogs.fixed().iter().any(|(_, pipeline)| pipeline.id == id) {
        return Err(ApiError::forbidden(format!(
            "the pipeline {id} comes from the settings of the server; it can't be changed here"
        )));
    }
    let found = app.data.database.pipelines().get(id).await?;
    let is_theirs =
        |pipeline: &Pipeline| caller.is_admin() || (pipeline.owner.is_some() && pipeline.owner == owner);
    found.filter(is_theirs).ok_or_else(|| no_pipeline(id))
}

/// Checks a pipeline before it is kept: what it says, whether the caller may have it, whether another one provides the same,
/// and whether its sources can be opened.
async fn check(
    app: &App,
    caller: &Caller,
    pipeline: &Pipeline,
    before: Option<&Pipeline>,
) -> Result<(), ApiError> {
    let count = pipeline.registrations.len();
    if count > MOST_REGISTRATIONS {
        return Err(ApiError::unprocessable(format!(
            "a pipeline has at most {MOST_REGISTRATIONS} sources, this one has {count}"
        )));
    }
    for (name, pattern) in
        [("releasePattern", &pipeline.release_pattern), ("visibilityPattern", &pipeline.visibility_pattern)]
    {
        if let Some(pattern) = pattern {
            pattern_of(pattern).map_err(|problem| ApiError::unprocessable(format!("{name}: {problem}")))?;
        }
    }
    let mut opened = Vec::new();
    for (place, registration) in pipeline.registrations.iter().enumerate() {
        let wrong = |problem: String| ApiError::unprocessable(format!("registrations[{place}]: {problem}"));
        kind_of(&registration.kind).map_err(wrong)?;
        let catalog = mount_of(registration).map_err(wrong)?;
        let config = config_of(registration).map_err(wrong)?;
        caller.require_write(app, &catalog).await?;
        if let Some(locator) = locator_of(registration)
            && !caller.may_use_locator(&locator)
        {
            return Err(ApiError::forbidden(format!(
                "registrations[{place}]: you may not use the resource locator `{}`",
                hide_in_url(&locator).escape_debug()
            )));
        }
        let was_there = before.is_some_and(|before| {
            before.registrations.iter().any(|old| mount_of(old).as_ref() == Ok(&catalog))
        });
        if !was_there {
            check_free(app, pipeline, &catalog)
                .await
                .map_err(|error| error.within(&format!("registrations[{place}]")))?;
        }
        opened.push((place, config));
    }
    // The slow part last.
    for (place, config) in opened {
        let wrong = |problem: String| ApiError::unprocessable(format!("registrations[{place}]: {problem}"));
        let open =
            tokio::task::spawn_blocking(move || config.open().and_then(|source| source.series().map(drop)));
        match tokio::time::timeout(PATIENCE, open).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => return Err(wrong(sheaf_store::in_full(&error))),
            Ok(Err(error)) => {
                return Err(ApiError::internal("the source failed in a way it should not", &error));
            }
            Err(_) => {
                return Err(wrong(format!("the source did not answer within {} s", PATIENCE.as_secs())));
            }
        }
    }
    Ok(())
}

/// An error if somebody else provides a catalog, one above it or below it, or the store has it.
async fn check_free(app: &App, pipeline: &Pipeline, catalog: &CatalogId) -> Result<(), ApiError> {
    let view = app.data.catalogs.view().await?;
    if view.has_series(catalog) {
        return Err(ApiError::unprocessable(format!(
            "`{catalog}` has samples in the store already: take another catalog"
        )));
    }
    let other = view.provisions().find(|other| {
        let is_same = other.catalog.as_str().eq_ignore_ascii_case(catalog.as_str());
        let touches = other.catalog.contains(catalog) || catalog.contains(&other.catalog);
        other.pipeline.id != pipeline.id && (is_same || (touches && other.pipeline.owner != pipeline.owner))
    });
    match other {
        // The id of another one that the caller may not know would tell too much.
        Some(_) => Err(ApiError::unprocessable(format!(
            "another pipeline provides `{catalog}`, or a catalog above or below it: take another one"
        ))),
        None => Ok(()),
    }
}
