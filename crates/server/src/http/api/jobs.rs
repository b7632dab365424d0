//! Work that takes time: asked for, followed, cancelled.
//!
//! Who asks for a job owns it. Others do not hear of it: for them it is not there (404); administrators see all.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{HeaderName, HeaderValue, LOCATION};
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::Stream;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sheaf_db::{Job as Row, JobState};
use sheaf_model::{CatalogId, Tick};
use sheaf_store::in_full;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::catalogs::RequestConfiguration;
use crate::http::app::{App, Shared};
use crate::http::auth::{Caller, Outcome};
use crate::http::configuration::Configuration;
use crate::http::errors::ApiError;
use crate::http::extract::{Json, Path, Query};
use crate::http::jobs::{
    ClearCache, Compact, Export, ExportParameters, JobError, Kind, Owner, Precision, Refresh, parameters,
};
use crate::http::wire::WireTick;

/// The most jobs of an answer.
const MOST_LISTED: usize = 10_000;

/// How often a job is looked at while somebody follows it: one that is done here, and one that is done elsewhere.
const LOOK_HERE: Duration = Duration::from_millis(250);
const LOOK_ELSEWHERE: Duration = Duration::from_secs(1);

/// A job.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Job {
    /// Its id.
    id: Uuid,
    /// `export`, `refresh-database`, `clear-cache` or `compact`.
    #[serde(rename = "type")]
    kind: String,
    /// What the user is called who asked for it.
    owner: String,
    /// What was asked for, of an export, with `withConfiguration` if its request brought something along for sources; else null.
    #[schema(value_type = Option<ExportParameters>)]
    parameters: Option<Value>,
    /// When it was asked for.
    created: WireTick,
}

impl From<Row> for Job {
    fn from(row: Row) -> Job {
        // What clients of Nexus expect here are the parameters of exports, or null.
        let parameters = (row.kind == Export::NAME).then_some(row.parameters);
        Job {
            id: row.id,
            kind: row.kind,
            owner: row.owner_name,
            parameters,
            created: tick(row.created_at_ms),
        }
    }
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) enum Status {
    /// It waits for its turn.
    WaitingToRun,
    /// It is being done.
    Running,
    /// It is done.
    RanToCompletion,
    /// It was cancelled.
    Canceled,
    /// It failed.
    Faulted,
}

/// How a job stands.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JobStatus {
    /// When it began, or else when it was asked for.
    start: WireTick,
    status: Status,
    /// From 0 to 1.
    progress: f64,
    /// Why it failed; while it waits for another attempt, why the last one failed.
    exception_message: Option<String>,
    /// What came of it: of an export the name of the artifact, or an empty text where nothing was written; of a
    /// compaction a report; else null.
    result: Option<String>,
    /// What is being done.
    activity: Option<String>,
    /// How often it was begun.
    attempt: u32,
    /// When it ended.
    finished: Option<WireTick>,
}

impl From<Row> for JobStatus {
    fn from(row: Row) -> JobStatus {
        JobStatus {
            start: tick(row.started_at_ms.unwrap_or(row.created_at_ms)),
            status: match row.state {
                JobState::Queued => Status::WaitingToRun,
                JobState::Running => Status::Running,
                JobState::Succeeded => Status::RanToCompletion,
                JobState::Faulted => Status::Faulted,
                JobState::Canceled => Status::Canceled,
            },
            progress: row.progress,
            exception_message: row.failure,
            result: row.result,
            activity: Some(row.activity).filter(|activity| !activity.is_empty()),
            attempt: row.attempt,
            finished: row.finished_at_ms.map(tick),
        }
    }
}

/// A time, counted in milliseconds since 1970.
fn tick(ms: i64) -> WireTick {
    const PER_MILLISECOND: i64 = Tick::PER_SECOND / 1000;
    WireTick(Tick::UNIX_EPOCH.checked_add(ms.saturating_mul(PER_MILLISECOND)).unwrap_or(Tick::UNIX_EPOCH))
}

/// An accepted job, and where to follow it.
fn accepted(row: Row) -> impl IntoResponse {
    let location = HeaderValue::try_from(format!("/api/v1/jobs/{}/status", row.id));
    let headers: [(HeaderName, HeaderValue); 1] =
        [(LOCATION, location.unwrap_or(HeaderValue::from_static("/api/v1/jobs")))];
    (StatusCode::ACCEPTED, headers, Json(Job::from(row)))
}

/// Accepts a job that looks after the server, and puts it on record.
async fn submit<K: Kind>(app: &App, caller: &Caller, work: &K) -> Result<Row, ApiError> {
    let row = app.jobs.submit(work, Owner::of(caller)?, None).await?;
    let action = format!("job.{}", K::NAME);
    app.audit(caller, &action, row.id.to_string(), Outcome::Done, row.parameters.clone()).await?;
    Ok(row)
}

/// A job of the caller.
async fn own(app: &App, caller: &Caller, id: &str) -> Result<Row, ApiError> {
    let user = Owner::of(caller)?;
    let missing = || ApiError::not_found(format!("there is no job `{}`", id.escape_debug()));
    let id = id.parse().map_err(|_| missing())?;
    let row = app.jobs.find(id).await?.ok_or_else(missing)?;
    if row.owner == user.id || caller.is_admin() { Ok(row) } else { Err(missing()) }
}

/// Which jobs.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// The most jobs of the answer.
    limit: Option<usize>,
    /// The id of a job: only those that were asked for before it.
    before: Option<Uuid>,
}

/// The caller's jobs, or all if he is an administrator; the newest first.
#[utoipa::path(get, path = "/api/v1/jobs", tag = "jobs", params(ListQuery), responses(
    (status = 200, body = Vec<Job>),
    (status = 401, description = "Nobody has signed in", body = String),
    (status = 404, description = "There is no job `before`", body = String),
))]
pub(crate) async fn list(
    State(app): State<Shared>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<Vec<Job>>, ApiError> {
    let user = Owner::of(&caller)?;
    let before = match query.before {
        Some(id) => Some(own(&app, &caller, &id.to_string()).await?),
        None => None,
    };
    let owner = (!caller.is_admin()).then_some(user.id);
    let limit = query.limit.unwrap_or(MOST_LISTED).min(MOST_LISTED);
    let rows = app.jobs.rows.list(owner, before.as_ref(), limit).await?;
    Ok(Json(rows.into_iter().map(Job::from).collect()))
}

/// How a job stands.
#[utoipa::path(get, path = "/api/v1/jobs/{id}/status", tag = "jobs", params(("id" = String, Path)), responses(
    (status = 200, body = JobStatus),
    (status = 401, description = "Nobody has signed in", body = String),
    (status = 404, description = "The caller has no such job", body = String),
))]
pub(crate) async fn status(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<JobStatus>, ApiError> {
    Ok(Json(own(&app, &caller, &id).await?.into()))
}

/// Cancels a job. One that runs ends a little later.
#[utoipa::path(delete, path = "/api/v1/jobs/{id}", tag = "jobs", params(("id" = String, Path)), responses(
    (status = 202, description = "It ends, if it has not ended already"),
    (status = 401, description = "Nobody has signed in", body = String),
    (status = 404, description = "The caller has no such job", body = String),
))]
pub(crate) async fn cancel(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let row = own(&app, &caller, &id).await?;
    app.jobs.cancel(row.id).await?;
    if !row.state.is_ended() {
        let detail = json!({ "kind": row.kind, "owner": row.owner });
        app.audit(&caller, "job.cancel", row.id.to_string(), Outcome::Done, detail).await?;
    }
    Ok(StatusCode::ACCEPTED)
}

/// Asks again for what a job should have done that has failed or was cancelled: as another job, of whoever asks now, with the same
/// parameters and the rights of now. A configuration for sources, if there was one, must come with this request again.
#[utoipa::path(post, path = "/api/v1/jobs/{id}/retry", tag = "jobs", params(("id" = String, Path)), responses(
    (status = 202, body = Job, headers(("Location" = String, description = "Where to follow it"))),
    (status = 400, description = "The header Nexus-Configuration can't be read", body = String),
    (status = 401, description = "Nobody has signed in", body = String),
    (status = 403, description = "The caller may not do that any more", body = String),
    (status = 404, description = "The caller has no such job", body = String),
    (status = 409, description = "It has neither failed nor was it cancelled", body = String),
    (status = 422, description = "It can't be done any more; the text says why", body = String),
    (status = 502, description = "A source fails", body = String),
))]
pub(crate) async fn retry(
    State(app): State<Shared>,
    caller: Caller,
    Configuration(configuration): Configuration,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, ApiError> {
    let row = own(&app, &caller, &id).await?;
    if !row.state.can_be_retried() {
        let problem = if row.state.is_ended() { "is done" } else { "has not ended" };
        return Err(ApiError::conflict(format!(
            "job {} {problem}; only one that has failed or was cancelled can be asked for again",
            row.id
        )));
    }
    let unreadable = |error: JobError| ApiError::unprocessable(in_full(&error));
    let again = match row.kind.as_str() {
        Export::NAME => {
            let export: Export = parameters(&row).map_err(unreadable)?;
            if export.with_configuration && configuration.is_none() {
                return Err(ApiError::unprocessable(
                    "this export came with a configuration for its sources, which is not kept; send it again, in the header \
                     Nexus-Configuration",
                ));
            }
            accept_export(&app, &caller, configuration, export.parameters).await?
        }
        Refresh::NAME => submit(&app, &caller, &Refresh {}).await?,
        ClearCache::NAME => accept_clear_cache(&app, &caller, parameters(&row).map_err(unreadable)?).await?,
        Compact::NAME => accept_compact(&app, &caller, parameters(&row).map_err(unreadable)?).await?,
        kind => return Err(unreadable(JobError::Kind { kind: kind.to_owned() })),
    };
    let detail = json!({ "kind": row.kind, "owner": row.owner, "job": again.id });
    app.audit(&caller, "job.retry", row.id.to_string(), Outcome::Done, detail).await?;
    Ok(accepted(again))
}

/// Follows a job, as server-sent events: `progress` with its status whenever that changes, then `end` with the last one.
#[utoipa::path(get, path = "/api/v1/jobs/{id}/events", tag = "jobs", params(("id" = String, Path)), responses(
    (status = 200, body = String, content_type = "text/event-stream"),
    (status = 401, description = "Nobody has signed in", body = String),
    (status = 404, description = "The caller has no such job", body = String),
))]
pub(crate) async fn events(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, ApiError> {
    let row = own(&app, &caller, &id).await?;
    let events = Sse::new(follow(app, row.id)).keep_alive(KeepAlive::default());
    // Proxies must not gather what is to be seen at once.
    Ok(([(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"))], events))
}

/// The events of a job, until it ends, or the server does.
fn follow(app: Shared, id: Uuid) -> impl Stream<Item = Result<Event, Infallible>> {
    let state = (app, None::<JobStatus>, false);
    futures_util::stream::unfold(state, move |(app, mut last, has_ended)| async move {
        if has_ended {
            return None;
        }
        loop {
            if app.is_stopping() {
                return None;
            }
            let live = app.jobs.live(id);
            let status = match (live, &last) {
                // What only moves on is not asked of the database.
                (Some(live), Some(last)) if last.status == Status::Running => {
                    let activity = Some(live.activity.to_owned()).filter(|activity| !activity.is_empty());
                    JobStatus { progress: live.progress, activity, ..last.clone() }
                }
                _ => match app.jobs.find(id).await {
                    Ok(row) => row?.into(),
                    Err(error) => {
                        tracing::warn!(job = %id, cause = in_full(&error), "can't follow a job");
                        return None;
                    }
                },
            };
            if last.as_ref() != Some(&status) {
                let has_ended = !matches!(status.status, Status::WaitingToRun | Status::Running);
                let name = if has_ended { "end" } else { "progress" };
                let event = Event::default().event(name).json_data(&status);
                last = Some(status);
                return event.ok().map(|event| (Ok(event), (app, last, has_ended)));
            }
            tokio::time::sleep(if live.is_some() { LOOK_HERE } else { LOOK_ELSEWHERE }).await;
        }
    })
}

/// Exports values into files. What is wrong with it is said here; what is accepted can only fail of what happens later.
#[utoipa::path(post, path = "/api/v1/jobs/export", tag = "jobs", request_body = ExportParameters, responses(
    (status = 202, body = Job, headers(("Location" = String, description = "Where to follow it"))),
    (status = 400, description = "No path, or no JSON", body = String),
    (status = 401, description = "Nobody has signed in", body = String),
    (status = 403, description = "A catalog that the caller may not read", body = String),
    (status = 413, description = "The body is too large", body = String),
    (status = 415, description = "The body is not declared as JSON", body = String),
    (status = 422, description = "It can't be done as asked; the text says why, and what would do", body = String),
    (status = 502, description = "A source fails", body = String),
))]
pub(crate) async fn export(
    State(app): State<Shared>,
    caller: Caller,
    Configuration(configuration): Configuration,
    Json(mut parameters): Json<ExportParameters>,
) -> Result<impl IntoResponse, ApiError> {
    parameters.precision = Precision::Float64;
    Ok(accepted(accept_export(&app, &caller, configuration, parameters).await?))
}

/// Exports values into files, with 32 or 64 bits each.
#[utoipa::path(post, path = "/api/v2/jobs/export", tag = "jobs", request_body = ExportParameters, responses(
    (status = 202, body = Job, headers(("Location" = String, description = "Where to follow it"))),
    (status = 400, description = "No path, or no JSON", body = String),
    (status = 401, description = "Nobody has signed in", body = String),
    (status = 403, description = "A catalog that the caller may not read", body = String),
    (status = 413, description = "The body is too large", body = String),
    (status = 415, description = "The body is not declared as JSON", body = String),
    (status = 422, description = "It can't be done as asked; the text says why, and what would do", body = String),
    (status = 502, description = "A source fails", body = String),
))]
pub(crate) async fn export_with_precision(
    State(app): State<Shared>,
    caller: Caller,
    Configuration(configuration): Configuration,
    Json(parameters): Json<ExportParameters>,
) -> Result<impl IntoResponse, ApiError> {
    Ok(accepted(accept_export(&app, &caller, configuration, parameters).await?))
}

async fn accept_export(
    app: &App,
    caller: &Caller,
    configuration: RequestConfiguration,
    parameters: ExportParameters,
) -> Result<Row, ApiError> {
    let owner = Owner::of(caller)?;
    let export = Export::new(parameters, &configuration);
    export.check(app, caller, &configuration).await?;
    app.jobs.submit(&export, owner, configuration).await
}

/// Looks again at what the sources have.
#[utoipa::path(post, path = "/api/v1/jobs/refresh-database", tag = "jobs", responses(
    (status = 202, body = Job, headers(("Location" = String, description = "Where to follow it"))),
    (status = 401, description = "Nobody has signed in", body = String),
))]
pub(crate) async fn refresh(
    State(app): State<Shared>,
    caller: Caller,
) -> Result<impl IntoResponse, ApiError> {
    Ok(accepted(submit(&app, &caller, &Refresh {}).await?))
}

/// What is to be forgotten.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(crate) struct ClearQuery {
    /// The catalog.
    catalog_id: String,
    /// From when on.
    begin: WireTick,
    /// Until when.
    end: WireTick,
}

/// Forgets what is kept of a catalog, its derived values, in a range of time. They are computed again when they are asked for.
#[utoipa::path(post, path = "/api/v1/jobs/clear-cache", tag = "jobs", params(ClearQuery), responses(
    (status = 202, body = Job, headers(("Location" = String, description = "Where to follow it"))),
    (status = 400, description = "A parameter is missing", body = String),
    (status = 401, description = "Nobody has signed in", body = String),
    (status = 403, description = "The caller may not change the catalog", body = String),
    (status = 404, description = "There is no such catalog", body = String),
    (status = 422, description = "The range or the id can't be", body = String),
))]
pub(crate) async fn clear_cache(
    State(app): State<Shared>,
    caller: Caller,
    Query(query): Query<ClearQuery>,
) -> Result<impl IntoResponse, ApiError> {
    caller.require_user()?;
    let catalog: CatalogId = query.catalog_id.parse().map_err(ApiError::unprocessable)?;
    let work = ClearCache::new(catalog, query.begin.0, query.end.0)?;
    Ok(accepted(accept_clear_cache(&app, &caller, work).await?))
}

async fn accept_clear_cache(app: &App, caller: &Caller, work: ClearCache) -> Result<Row, ApiError> {
    caller.require_write(app, &work.catalog_id).await?;
    work.check(app).await?;
    submit(app, caller, &work).await
}

/// How to compact.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct CompactQuery {
    /// Merge all there is, not only what has grown enough to be worth it.
    #[serde(default)]
    all: bool,
}

/// Moves small writes to segments, merges small segments and removes files that were replaced. No answer changes.
#[utoipa::path(post, path = "/api/v1/jobs/compact", tag = "jobs", params(CompactQuery), responses(
    (status = 202, body = Job, headers(("Location" = String, description = "Where to follow it"))),
    (status = 401, description = "Nobody has signed in", body = String),
    (status = 403, description = "The caller is no administrator", body = String),
))]
pub(crate) async fn compact(
    State(app): State<Shared>,
    caller: Caller,
    Query(query): Query<CompactQuery>,
) -> Result<impl IntoResponse, ApiError> {
    Ok(accepted(accept_compact(&app, &caller, Compact { all: query.all }).await?))
}

async fn accept_compact(app: &App, caller: &Caller, work: Compact) -> Result<Row, ApiError> {
    caller.require_admin()?;
    submit(app, caller, &work).await
}
