//! Meter runs: asked for, followed, cancelled, begun again. What they yield is in `meter_results.rs`.

use std::collections::{HashMap, HashSet};
use std::io;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderValue, LINK};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Serialize;
use serde_json::Value;
use sheaf_db::datastore::{Inserted, MeterRun, NewBatch, NewMeterRun, Progress, RunFilter, RunStatus};
use sheaf_metering::render::Rendering;
use sheaf_metering::request::{Pair, Settings, Target, TargetError, pairs};
use utoipa::ToSchema;

use super::body::Object;
use super::fields::Fields;
use super::listing::{Listing, Paging, Row};
use super::refusals::{Errors, NO_FIELD, Refusal, Refusals};
use super::rights::Rights;
use super::runs::{ProgressRow, Wanted, kwargs, location, parsed, statuses};
use super::times::{now, of_row};
use crate::http::app::{App, Shared};
use crate::http::auth::Caller;
use crate::http::base_url::BaseUrl;
use crate::http::extract::{Json, Path, Query};
use crate::http::jobs::Owner;

/// The most targets of a request.
const MOST_TARGETS: usize = 1_000_000;

/// The most runs of a request; each takes a few hundred bytes while they are kept in memory.
const MOST_RUNS: usize = 1_000_000;

/// Runs of an answer that are written at once.
const WRITTEN_AT_ONCE: usize = 1000;

/// A meter run.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub(crate) struct MeterRunRow {
    id: i64,
    /// The id of the trace's row; null if the input came with the request.
    trace: Option<i64>,
    /// The id of the project's row; likewise.
    project: Option<i64>,
    /// The id of its result, which has figures once it has ended.
    meter_result: i64,
    /// Where its input is; null until it is known.
    meter_input: Option<String>,
    /// `PENDING`, `RUNNING`, `SUCCESS`, `FAILED` or `CANCELLED`.
    status: String,
    /// Why it has failed.
    failure_message: Option<String>,
    /// More about it.
    traceback: Option<String>,
    /// The model that was asked for.
    model_class: Option<String>,
    /// Its settings.
    model_kwargs: Option<Value>,
    /// The formatter that was asked for.
    formatter_class: Option<String>,
    /// Its settings.
    formatter_kwargs: Option<Value>,
    added: String,
    updated: String,
    /// The request that it is from.
    batch: i64,
    /// Runs with a higher one come first.
    priority: i64,
    /// How often it was begun.
    attempt: i64,
    started: Option<String>,
    finished: Option<String>,
    /// XXH3-128 of all that its result depends on.
    input_hash: Option<String>,
}

impl Row for MeterRunRow {
    fn id(&self) -> i64 {
        self.id
    }
}

impl MeterRunRow {
    fn new(base: &BaseUrl, run: MeterRun) -> MeterRunRow {
        MeterRunRow {
            id: run.id,
            trace: run.trace_id,
            project: run.project_id,
            meter_result: run.id,
            meter_input: run.meter_input.map(|path| base.url(&path)),
            status: run.status.to_string(),
            failure_message: run.failure_message,
            traceback: run.traceback,
            model_class: run.model_class,
            model_kwargs: parsed(run.model_kwargs),
            formatter_class: run.formatter_class,
            formatter_kwargs: parsed(run.formatter_kwargs),
            added: of_row(run.added),
            updated: of_row(run.updated),
            batch: run.batch_id,
            priority: run.priority,
            attempt: run.attempt,
            started: run.started.map(of_row),
            finished: run.finished.map(of_row),
            input_hash: run.input_hash,
        }
    }

    /// A run of a trace that was just asked for.
    fn pending(id: i64, asked: &Asked, run: &NewMeterRun) -> MeterRunRow {
        MeterRunRow {
            id,
            trace: run.trace_id,
            project: run.project_id,
            meter_result: id,
            status: RunStatus::Pending.to_string(),
            model_class: run.model_class.clone(),
            model_kwargs: parsed(run.model_kwargs.clone()),
            formatter_class: run.formatter_class.clone(),
            formatter_kwargs: parsed(run.formatter_kwargs.clone()),
            added: asked.added.clone(),
            updated: asked.added.clone(),
            batch: asked.batch,
            priority: asked.priority,
            ..MeterRunRow::default()
        }
    }
}

/// What all runs of a request have in common.
struct Asked {
    batch: i64,
    priority: i64,
    added: String,
}

/// The model and the formatter of a request.
fn settings(fields: &mut Fields) -> Settings {
    Settings {
        model_class: fields.text("model_class", 255).flatten(),
        model_kwargs: kwargs(fields, "model_kwargs"),
        formatter_class: fields.text("formatter_class", 255).flatten(),
        formatter_kwargs: kwargs(fields, "formatter_kwargs"),
        force: fields.not_null("force", Fields::flag).unwrap_or(false),
    }
}

fn check(settings: &Settings) -> Result<(), Errors> {
    settings.check().map_err(|error| Errors::one(error.field(), error))
}

/// Targets as pairs of what the caller sees and may have metered; what is wrong with each by its place.
async fn resolved(
    app: &App,
    rights: Rights<'_>,
    targets: &[Target],
) -> Result<Vec<Result<Vec<Pair>, TargetError>>, Refusal> {
    let mut resolved = pairs(&app.data.database.datastore(), targets).await?;
    let Some(seen) = rights.seen_of_targets(targets).await? else { return Ok(resolved) };
    for (target, resolved) in targets.iter().zip(&mut resolved) {
        let hidden = |id: Option<i64>, seen: &HashSet<i64>| id.filter(|id| !seen.contains(id));
        if let Some(project) = hidden(target.project, &seen.projects) {
            *resolved = Err(TargetError::NoProject(project));
        } else if let Some(trace) = hidden(target.trace, &seen.traces) {
            *resolved = Err(TargetError::NoTrace(trace));
        } else if let Err(TargetError::Ambiguous { projects, .. }) = resolved {
            projects.retain(|(_, name)| rights.may_read_project(name));
        }
    }
    Ok(resolved)
}

/// Adds runs that the caller may ask for, and wakes who does them.
async fn insert(
    app: &App,
    rights: Rights<'_>,
    owner: Owner<'_>,
    wanted: Wanted,
    runs: Vec<NewMeterRun>,
) -> Result<Inserted, Refusal> {
    let projects = runs.iter().filter_map(|run| run.project_id).collect();
    rights.require_write_projects(projects).await?;
    let batch = NewBatch {
        owner: owner.id.to_owned(),
        kind: "meter_runs".to_owned(),
        priority: wanted.priority,
        label: wanted.label,
    };
    let inserted = app.data.database.datastore().insert_runs(batch, runs, now()).await?;
    app.runs.wake();
    Ok(inserted)
}

/// Asks for a meter run: of a trace, `{"trace": 1}`, with its `project` where it has several, or of an input that comes along,
/// `{"meter_input": {…}}`. `model_class`, `model_kwargs`, `formatter_class` and `formatter_kwargs` choose how; `force` computes anew
/// what was computed before.
#[utoipa::path(post, path = "/api/v1/meter_runs", tag = "meter runs", request_body = Object,
    responses((status = 201, body = MeterRunRow), Refusals))]
pub(crate) async fn create(
    State(app): State<Shared>,
    caller: Caller,
    base: BaseUrl,
    Object(mut fields): Object,
) -> Result<Response, Refusal> {
    let (owner, rights) = (Owner::of(&caller)?, Rights::new(&app, &caller));
    let (wanted, settings) = (Wanted::read(&mut fields), settings(&mut fields));
    let input = fields.take("meter_input").filter(|input| !input.is_null());
    let target =
        Target { project: fields.integer("project").flatten(), trace: fields.integer("trace").flatten() };
    fields.done()?;
    check(&settings)?;
    let run = match (input, target) {
        (Some(input), Target { project: None, trace: None }) => {
            rights.require_write_traces()?;
            settings.run_of_input(&input).map_err(|error| Errors::one("meter_input", error))?
        }
        (Some(_), _) => {
            let text =
                "An input has its own project and trace: send either it, or \"trace\" (and \"project\").";
            return Err(Errors::one("meter_input", text).into());
        }
        (None, Target { trace: None, .. }) => {
            let text = "This field is required, unless there is a meter_input; meter_runs/bulk/ takes whole projects.";
            return Err(Errors::one("trace", text).into());
        }
        (None, target) => {
            let pairs = resolved(&app, rights, &[target]).await?.pop().unwrap_or(Err(TargetError::Empty));
            let pairs = pairs.map_err(|error| Errors::one(error.field().unwrap_or(NO_FIELD), error))?;
            let pair = pairs.first().ok_or_else(Refusal::not_found)?;
            settings.run(*pair)
        }
    };
    let inserted = insert(&app, rights, owner, wanted, vec![run]).await?;
    let id = inserted.ids.first().copied().unwrap_or_default();
    let run = app.data.database.datastore().run(id).await?.ok_or_else(Refusal::not_found)?;
    let row = MeterRunRow::new(&base, run);
    let location = location(&base, &format!("/api/v1/meter_runs/{id}/"));
    Ok((StatusCode::CREATED, location, Json(row)).into_response())
}

/// Asks for many meter runs, `{"targets": [{"project": 1}, {"trace": 2}, {"project": 1, "trace": 2}]}`: one for each trace of a
/// project, one for each trace that is named. The answer has a list of runs for each target, in their order; the header Location says
/// where all of them are followed. With `limit` it has the first of them, and the header Link says where the others are.
#[utoipa::path(post, path = "/api/v1/meter_runs/bulk", tag = "meter runs", request_body = Object,
    params(("limit" = Option<i64>, Query, description = "The most runs of the answer; all of them by default")),
    responses((status = 201, body = Vec<Vec<MeterRunRow>>), Refusals))]
pub(crate) async fn bulk(
    State(app): State<Shared>,
    caller: Caller,
    base: BaseUrl,
    Query(query): Query<Vec<(String, String)>>,
    Object(mut fields): Object,
) -> Result<Response, Refusal> {
    let (owner, rights) = (Owner::of(&caller)?, Rights::new(&app, &caller));
    let limit = super::runs::limit(query)?;
    let (wanted, settings) = (Wanted::read(&mut fields), settings(&mut fields));
    let targets = targets(&mut fields);
    fields.done()?;
    check(&settings)?;
    let targets = targets.unwrap_or_default();
    let resolved = resolved(&app, rights, &targets).await?;
    let mut errors = Errors::default();
    let (mut lengths, mut runs) = (Vec::with_capacity(targets.len()), Vec::new());
    for (index, resolved) in resolved.into_iter().enumerate() {
        match resolved {
            Ok(pairs) => {
                lengths.push(pairs.len());
                runs.extend(pairs.into_iter().map(|pair| settings.run(pair)));
            }
            Err(error) => {
                let field = error.field().map(|field| format!(".{field}")).unwrap_or_default();
                errors.add("targets", format!("targets[{index}]{field}: {error}"));
                if errors.count("targets") == super::runs::MOST_SHOWN {
                    break;
                }
            }
        }
    }
    if !errors.is_empty() {
        return Err(errors.into());
    }
    if runs.len() > MOST_RUNS {
        let text = format!("These would be {} runs; ask for at most {MOST_RUNS} at once.", runs.len());
        return Err(Errors::one("targets", text).into());
    }
    if runs.is_empty() {
        // Nothing to follow, but an answer in its form.
        let lists: Vec<Vec<MeterRunRow>> = lengths.iter().map(|_| Vec::new()).collect();
        return Ok((StatusCode::CREATED, Json(lists)).into_response());
    }
    let priority = wanted.priority;
    let inserted = insert(&app, rights, owner, wanted, runs.clone()).await?;
    let added = app.data.database.datastore().batch(inserted.batch).await?;
    let added = added.map(|batch| of_row(batch.added)).unwrap_or_default();
    let asked = Asked { batch: inserted.batch, priority, added };
    let shown = limit.unwrap_or(usize::MAX).min(runs.len());
    let mut response =
        (StatusCode::CREATED, lists(&lengths, shown, inserted.ids.clone(), runs, asked)).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.extend(location(&base, &format!("/api/v1/batches/{}/", inserted.batch)));
    if let Some(last) = inserted.ids.get(shown.wrapping_sub(1)).filter(|_| shown < inserted.ids.len()) {
        let next = format!(
            "</api/v1/meter_runs/?batch={}&limit={shown}&after={last}>; rel=\"next\"",
            inserted.batch
        );
        headers.extend(HeaderValue::try_from(next).ok().map(|next| (LINK, next)));
    }
    Ok(response)
}

/// The targets of a request; what is wrong with them is in `fields`.
fn targets(fields: &mut Fields) -> Option<Vec<Target>> {
    let target = |mut fields: Fields| {
        let target =
            Target { project: fields.integer("project").flatten(), trace: fields.integer("trace").flatten() };
        fields.done().map(|()| target)
    };
    super::runs::targets(fields, MOST_TARGETS, target)
}

/// Lists of runs, one for each length, with the first `shown` runs of all. They are written as the client takes them.
fn lists(lengths: &[usize], shown: usize, ids: Vec<i64>, runs: Vec<NewMeterRun>, asked: Asked) -> Body {
    // What stands before the first run of a list; before all others stands a comma.
    let mut before: HashMap<usize, String> = HashMap::new();
    let (mut text, mut place) = ("[".to_owned(), 0);
    for (index, length) in lengths.iter().enumerate() {
        text.push_str(if index == 0 { "[" } else { ",[" });
        if *length > 0 && place < shown {
            before.insert(place, std::mem::take(&mut text));
        }
        place += length;
        text.push(']');
    }
    text.push(']');
    let piece = move |from: usize| {
        let mut text = Vec::new();
        for place in from..shown.min(from + WRITTEN_AT_ONCE) {
            text.extend_from_slice(before.get(&place).map_or(b",", |before| before.as_bytes()));
            serde_json::to_writer(&mut text, &MeterRunRow::pending(ids[place], &asked, &runs[place]))?;
        }
        Ok::<Bytes, io::Error>(text.into())
    };
    let pieces = (0..shown).step_by(WRITTEN_AT_ONCE).map(piece);
    Body::from_stream(stream::iter(pieces.chain([Ok(text.into())])))
}

async fn seen(rights: Rights<'_>, fields: &mut Fields) -> Result<RunFilter, Refusal> {
    let filter = RunFilter {
        ids: fields.ids("ids"),
        batch: fields.integer("batch").flatten(),
        statuses: statuses(fields),
        projects: fields.ids("projects"),
        traces: fields.ids("traces"),
        seen: None,
    };
    fields.done()?;
    Ok(RunFilter { seen: rights.seen().await?, ..filter })
}

/// Meter runs, by id.
#[utoipa::path(get, path = "/api/v1/meter_runs", tag = "meter runs",
    params(
        ("ids" = Option<String>, Query, description = "Ids of runs"),
        ("batch" = Option<i64>, Query, description = "Runs of this request"),
        ("status" = Option<String>, Query, description = "PENDING, RUNNING, SUCCESS, FAILED (or FAILURE), CANCELLED; several with commas"),
        ("projects" = Option<String>, Query, description = "Ids of projects; also called project"),
        ("traces" = Option<String>, Query, description = "Ids of traces; also called trace"),
        Paging,
    ),
    responses((status = 200, body = Vec<MeterRunRow>), Refusals))]
pub(crate) async fn list(
    State(app): State<Shared>,
    caller: Caller,
    base: BaseUrl,
    mut listing: Listing,
) -> Result<Response, Refusal> {
    listing.filters.also_called("projects", "project");
    listing.filters.also_called("traces", "trace");
    let filter = seen(Rights::new(&app, &caller), &mut listing.filters).await?;
    let datastore = app.data.database.datastore();
    listing
        .answer((datastore, filter, base), move |(datastore, filter, base), page| async move {
            let runs = datastore.runs(&filter, page).await?;
            Ok(runs.into_iter().map(|run| MeterRunRow::new(&base, run)).collect::<Vec<_>>())
        })
        .await
}

/// How far meter runs are.
#[utoipa::path(get, path = "/api/v1/meter_runs/progress", tag = "meter runs",
    params(
        ("ids" = Option<String>, Query, description = "Ids of runs"),
        ("batch" = Option<i64>, Query, description = "Runs of this request"),
        ("projects" = Option<String>, Query, description = "Ids of projects"),
        ("traces" = Option<String>, Query, description = "Ids of traces"),
    ),
    responses((status = 200, body = ProgressRow), Refusals))]
pub(crate) async fn progress(
    State(app): State<Shared>,
    caller: Caller,
    mut listing: Listing,
) -> Result<Json<ProgressRow>, Refusal> {
    let filter = seen(Rights::new(&app, &caller), &mut listing.filters).await?;
    let progress: Progress = app.data.database.datastore().run_progress(&filter).await?;
    Ok(Json(ProgressRow::new(&progress, now())))
}

/// A run that may be read.
pub(super) async fn run(app: &App, rights: Rights<'_>, id: &str) -> Result<MeterRun, Refusal> {
    let Ok(id) = id.parse::<i64>() else { return Err(rights.hidden()) };
    match app.data.database.datastore().run(id).await? {
        Some(run) if rights.sees(run.project_id).await? => Ok(run),
        _ => Err(rights.hidden()),
    }
}

/// A run that may be changed.
async fn run_to_change(app: &App, rights: Rights<'_>, id: &str) -> Result<MeterRun, Refusal> {
    let run = run(app, rights, id).await?;
    match run.project_id {
        Some(project) => rights.require_write_projects(HashSet::from([project])).await?,
        None => rights.require_write_traces()?,
    }
    Ok(run)
}

/// A meter run.
#[utoipa::path(get, path = "/api/v1/meter_runs/{id}", tag = "meter runs", params(("id" = i64, Path)),
    responses((status = 200, body = MeterRunRow), Refusals))]
pub(crate) async fn get(
    State(app): State<Shared>,
    caller: Caller,
    base: BaseUrl,
    Path(id): Path<String>,
) -> Result<Json<MeterRunRow>, Refusal> {
    let run = run(&app, Rights::new(&app, &caller), &id).await?;
    Ok(Json(MeterRunRow::new(&base, run)))
}

/// The input of a meter run, as eemeter takes it; 410 once it is not what it was.
#[utoipa::path(get, path = "/api/v1/meter_runs/{id}/input", tag = "meter runs", params(("id" = i64, Path)),
    responses((status = 200, body = Value),
        (status = 410, description = "What it was made from is gone or has changed", body = Value), Refusals))]
pub(crate) async fn input(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let run = run(&app, Rights::new(&app, &caller), &id).await?;
    let datastore = app.data.database.datastore();
    let trace = match run.trace_id {
        Some(trace) => datastore.trace(trace).await?,
        None => None,
    };
    let result = datastore.meter_result(run.id).await?;
    let rendering = Rendering::new(&app.data.store, &app.weather);
    Ok(Json(rendering.meter_input(&run, trace.as_ref(), result.as_ref()).await?))
}

/// Cancels a meter run. One that waits ends at once, one that runs a little later.
#[utoipa::path(post, path = "/api/v1/meter_runs/{id}/cancel", tag = "meter runs", params(("id" = i64, Path)),
    responses((status = 202, body = MeterRunRow), Refusals))]
pub(crate) async fn cancel(
    State(app): State<Shared>,
    caller: Caller,
    base: BaseUrl,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<MeterRunRow>), Refusal> {
    let run = run_to_change(&app, Rights::new(&app, &caller), &id).await?;
    let datastore = app.data.database.datastore();
    datastore.cancel_runs(&RunFilter::with_ids(vec![run.id]), now()).await?;
    let run = datastore.run(run.id).await?.ok_or_else(Refusal::not_found)?;
    Ok((StatusCode::ACCEPTED, Json(MeterRunRow::new(&base, run))))
}

/// Puts a meter run that has failed or was cancelled back into the queue.
#[utoipa::path(post, path = "/api/v1/meter_runs/{id}/retry", tag = "meter runs", params(("id" = i64, Path)),
    responses((status = 202, body = MeterRunRow),
        (status = 409, description = "It has neither failed nor was it cancelled", body = Value), Refusals))]
pub(crate) async fn retry(
    State(app): State<Shared>,
    caller: Caller,
    base: BaseUrl,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<MeterRunRow>), Refusal> {
    let run = run_to_change(&app, Rights::new(&app, &caller), &id).await?;
    let datastore = app.data.database.datastore();
    if datastore.retry_runs(&RunFilter::with_ids(vec![run.id]), now()).await? == 0 {
        return Err(super::runs::not_to_be_retried(run.id, run.status).into());
    }
    app.runs.wake();
    let run = datastore.run(run.id).await?.ok_or_else(Refusal::not_found)?;
    Ok((StatusCode::ACCEPTED, Json(MeterRunRow::new(&base, run))))
}

/// Removes a meter run with all that came of it.
#[utoipa::path(delete, path = "/api/v1/meter_runs/{id}", tag = "meter runs", params(("id" = i64, Path)),
    responses((status = 204, description = "It is gone"), Refusals))]
pub(crate) async fn delete(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Refusal> {
    let run = run_to_change(&app, Rights::new(&app, &caller), &id).await?;
    app.data.database.datastore().delete_runs(&RunFilter::with_ids(vec![run.id])).await?;
    Ok(StatusCode::NO_CONTENT)
}
