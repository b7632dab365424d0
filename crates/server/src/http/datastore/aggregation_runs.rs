//! Aggregation runs: one figure of many derivatives.
//!
//! There are two ways to say which: a union of projects, traces and derivatives, or a group of traces. Answers have the keys of the
//! way in which the run was asked for first, in its order, and then all others; so they differ in order, and in nothing else.

use std::collections::HashSet;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use sheaf_db::datastore::{
    AggregationFilter, AggregationRun, DerivativeFilter, Inserted, NewAggregation, NewBatch, Page, RunStatus,
};
use sheaf_metering::aggregate;
use sheaf_metering::request::{AggregationTarget, Named};
use utoipa::ToSchema;

use super::body::Object;
use super::fields::Fields;
use super::listing::{Listing, Paging, Row};
use super::refusals::{Errors, NO_FIELD, Refusal, Refusals, no_such};
use super::rights::Rights;
use super::runs::{MOST_SHOWN, Wanted, id_list, location, not_to_be_retried, statuses, targets};
use super::times::{now, of_row};
use crate::data::blocking;
use crate::http::app::{App, Shared};
use crate::http::auth::Caller;
use crate::http::base_url::BaseUrl;
use crate::http::errors::ApiError;
use crate::http::extract::{Json, Path};
use crate::http::jobs::Owner;

/// The most targets of a request.
const MOST_TARGETS: usize = 10_000;

/// Which keys come first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Form {
    /// Of a union, asked for alone.
    #[default]
    Union,
    /// Of a union, one of many.
    UnionOfMany,
    /// Of a group.
    Group,
}

/// An aggregation run.
#[derive(Clone, Debug, Default, ToSchema)]
pub(crate) struct AggregationRow {
    #[schema(ignore)]
    form: Form,
    id: i64,
    /// `PENDING`, `RUNNING`, `SUCCESS`, `FAILED` or `CANCELLED`.
    status: String,
    /// Ids of projects whose derivatives take part.
    projects: Vec<i64>,
    /// Ids of traces whose derivatives take part.
    traces: Vec<i64>,
    /// Ids of derivatives that take part.
    derivatives: Vec<i64>,
    /// Where its input is.
    aggregation_input: Option<String>,
    /// What the traces mean, as it was given.
    trace_interpretation: Option<String>,
    /// What the derivatives say.
    derivative_interpretation: Option<String>,
    /// `SUM`, `MEAN` or `INVERSE_VARIANCE_MEAN`.
    aggregation_interpretation: String,
    /// The id of a group of traces whose derivatives take part.
    group: Option<i64>,
    /// The id of its result, which has figures once it has ended.
    aggregation_result: i64,
    /// More about why it has failed.
    traceback: Option<String>,
    /// Why it has failed.
    failure_message: Option<String>,
    added: String,
    updated: String,
    /// Whether all successful runs of a trace count, and not only the latest one.
    all_runs: bool,
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

impl Serialize for AggregationRow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let interpretations = |map: &mut S::SerializeMap| {
            map.serialize_entry("trace_interpretation", &self.trace_interpretation)?;
            map.serialize_entry("derivative_interpretation", &self.derivative_interpretation)?;
            map.serialize_entry("aggregation_interpretation", &self.aggregation_interpretation)
        };
        map.serialize_entry("id", &self.id)?;
        match self.form {
            Form::Union | Form::UnionOfMany => {
                map.serialize_entry("status", &self.status)?;
                if self.form == Form::UnionOfMany {
                    map.serialize_entry("derivatives", &self.derivatives)?;
                }
                map.serialize_entry("projects", &self.projects)?;
                map.serialize_entry("traces", &self.traces)?;
                if self.form == Form::Union {
                    map.serialize_entry("derivatives", &self.derivatives)?;
                }
                map.serialize_entry("aggregation_input", &self.aggregation_input)?;
                interpretations(&mut map)?;
                map.serialize_entry("group", &self.group)?;
                map.serialize_entry("aggregation_result", &self.aggregation_result)?;
                map.serialize_entry("traceback", &self.traceback)?;
                map.serialize_entry("failure_message", &self.failure_message)?;
                map.serialize_entry("added", &self.added)?;
                map.serialize_entry("updated", &self.updated)?;
            }
            Form::Group => {
                map.serialize_entry("group", &self.group)?;
                map.serialize_entry("aggregation_result", &self.aggregation_result)?;
                map.serialize_entry("aggregation_input", &self.aggregation_input)?;
                map.serialize_entry("status", &self.status)?;
                map.serialize_entry("traceback", &self.traceback)?;
                map.serialize_entry("failure_message", &self.failure_message)?;
                interpretations(&mut map)?;
                map.serialize_entry("added", &self.added)?;
                map.serialize_entry("updated", &self.updated)?;
                map.serialize_entry("projects", &self.projects)?;
                map.serialize_entry("traces", &self.traces)?;
                map.serialize_entry("derivatives", &self.derivatives)?;
            }
        }
        map.serialize_entry("all_runs", &self.all_runs)?;
        map.serialize_entry("batch", &self.batch)?;
        map.serialize_entry("priority", &self.priority)?;
        map.serialize_entry("attempt", &self.attempt)?;
        map.serialize_entry("started", &self.started)?;
        map.serialize_entry("finished", &self.finished)?;
        map.serialize_entry("input_hash", &self.input_hash)?;
        map.end()
    }
}

impl Row for AggregationRow {
    fn id(&self) -> i64 {
        self.id
    }
}

impl AggregationRow {
    fn new(base: &BaseUrl, run: AggregationRun) -> AggregationRow {
        let form = if run.group_id.is_some() { Form::Group } else { Form::Union };
        // Members of a union are known at once, those of a group when it is done.
        let has_input = run.aggregation_input.is_some() || form == Form::Union;
        AggregationRow {
            form,
            id: run.id,
            status: run.status.to_string(),
            projects: run.projects.0,
            traces: run.traces.0,
            derivatives: run.derivatives.0,
            aggregation_input: has_input
                .then(|| base.url(&format!("/api/v1/aggregation_runs/{}/input/", run.id))),
            trace_interpretation: run.trace_interpretation_given.or(run.trace_interpretation),
            derivative_interpretation: run.derivative_interpretation_given.or(run.derivative_interpretation),
            aggregation_interpretation: run.aggregation_interpretation,
            group: run.group_id,
            aggregation_result: run.id,
            traceback: run.traceback,
            failure_message: run.failure_message,
            added: of_row(run.added),
            updated: of_row(run.updated),
            all_runs: run.all_runs,
            batch: run.batch_id,
            priority: run.priority,
            attempt: run.attempt,
            started: run.started.map(of_row),
            finished: run.finished.map(of_row),
            input_hash: run.input_hash,
        }
    }
}

/// What is to be aggregated.
fn target(fields: &mut Fields) -> AggregationTarget {
    fields.also_called("group", "trace_group");
    let target = AggregationTarget {
        projects: id_list(fields, "projects"),
        traces: id_list(fields, "traces"),
        derivatives: id_list(fields, "derivatives"),
        group: fields.integer("group").flatten(),
        aggregation_interpretation: fields
            .not_null("aggregation_interpretation", |fields, name| fields.text(name, 255))
            .unwrap_or_else(|| "SUM".to_owned()),
        all_runs: fields.not_null("all_runs", Fields::flag).unwrap_or(false),
        options: options(fields),
    };
    if target.group.is_some()
        && !(target.projects.is_empty() && target.traces.is_empty() && target.derivatives.is_empty())
    {
        fields.fail("group", "Send either a group, or projects, traces and derivatives.");
    }
    target
}

/// What counts for a side that has no numbers.
fn options(fields: &mut Fields) -> Value {
    let mut options = json!({});
    for name in ["baseline_default_value", "reporting_default_value"] {
        match fields.take(name) {
            None | Some(Value::Null) => {}
            Some(Value::Object(side)) => {
                let kind = side.get("type").is_none_or(|kind| kind == "SIMPLE_DEFAULT");
                let has_all = ["value", "lower", "upper", "n"]
                    .iter()
                    .all(|key| side.get(*key).is_some_and(Value::is_number));
                if kind && has_all {
                    options[name] = Value::Object(side);
                } else {
                    let right = "It is {\"type\": \"SIMPLE_DEFAULT\", \"value\": …, \"lower\": …, \"upper\": …, \"n\": …} with four numbers.";
                    fields.fail(name, right);
                }
            }
            Some(_) => fields.fail(name, "An object or null is required."),
        }
    }
    options
}

/// Lists of interpretations, as many aggregations at once take them; null is all of them.
fn named_list(
    fields: &mut Fields,
    name: &str,
    read: fn(&str) -> Result<Named, String>,
) -> Option<Vec<Named>> {
    let list = match fields.take(name) {
        None | Some(Value::Null) => return None,
        Some(Value::Array(list)) => list,
        Some(one) => vec![one],
    };
    let mut all: Vec<Named> = Vec::with_capacity(list.len());
    for value in list {
        match value.as_str().ok_or_else(|| "Not a valid text.".to_owned()).and_then(read) {
            Ok(named) if !all.iter().any(|known| known.name == named.name) => all.push(named),
            Ok(_) => {}
            Err(message) => fields.fail(name, message),
        }
    }
    Some(all)
}

/// An error unless the caller may see, and have aggregated, all that a target names.
async fn check(app: &App, rights: Rights<'_>, target: &AggregationTarget) -> Result<(), Refusal> {
    let AggregationTarget { projects, traces, derivatives, group, .. } = target;
    let mut errors = Errors::default();
    if let Some(group) = group {
        rights.require_write_traces()?;
        if app.data.database.datastore().group(*group).await?.is_none() {
            errors.add("group", no_such(group));
        }
    }
    let set = |ids: &[i64]| ids.iter().copied().collect::<HashSet<i64>>();
    rights.require_user()?;
    let seen = rights.seen_among(set(projects), set(traces)).await?;
    let datastore = app.data.database.datastore();
    let seen_derivatives = match rights.seen().await? {
        None => datastore.existing_derivatives(derivatives).await?,
        seen => {
            let ids = Some(derivatives.clone());
            let these = DerivativeFilter { ids, seen, ..DerivativeFilter::default() };
            datastore.derivatives(&these, Page::ALL).await?.into_iter().map(|row| row.id).collect()
        }
    };
    for (field, ids, seen) in [
        ("projects", projects, &seen.projects),
        ("traces", traces, &seen.traces),
        ("derivatives", derivatives, &seen_derivatives),
    ] {
        for id in ids.iter().filter(|id| !seen.contains(id)).take(MOST_SHOWN) {
            errors.add(field, no_such(id));
        }
    }
    if !errors.is_empty() {
        return Err(errors.into());
    }
    rights.require_write_projects(set(projects)).await?;
    if projects.is_empty() { rights.require_write_traces() } else { Ok(()) }
}

fn refused(refusal: &aggregate::Refusal) -> Errors {
    Errors::one(refusal.field().unwrap_or(NO_FIELD), refusal)
}

async fn insert(
    app: &App,
    owner: Owner<'_>,
    wanted: Wanted,
    runs: Vec<NewAggregation>,
) -> Result<Inserted, Refusal> {
    let batch = NewBatch {
        owner: owner.id.to_owned(),
        kind: "aggregation_runs".to_owned(),
        priority: wanted.priority,
        label: wanted.label,
    };
    Ok(app.data.database.datastore().insert_aggregations(batch, runs, now()).await?)
}

/// Asks for an aggregation of derivatives: those of `projects`, of `traces`, and `derivatives` themselves, or those of a `group`.
/// `trace_interpretation` and `derivative_interpretation` choose among them; what is left out is what all of them have.
#[utoipa::path(post, path = "/api/v1/aggregation_runs", tag = "aggregation runs", request_body = Object,
    responses((status = 201, body = AggregationRow), Refusals))]
pub(crate) async fn create(
    State(app): State<Shared>,
    caller: Caller,
    base: BaseUrl,
    Object(mut fields): Object,
) -> Result<(StatusCode, HeaderMap, Json<AggregationRow>), Refusal> {
    let (owner, rights) = (Owner::of(&caller)?, Rights::new(&app, &caller));
    let (wanted, target) = (Wanted::read(&mut fields), target(&mut fields));
    let trace = fields.named("trace_interpretation", Named::of_trace);
    let derivative = fields.named("derivative_interpretation", Named::of_derivative);
    fields.done()?;
    check(&app, rights, &target).await?;
    let datastore = app.data.database.datastore();
    let run = target.single(&datastore, trace.as_ref(), derivative.as_ref()).await?;
    let run = run.map_err(|refusal| refused(&refusal))?;
    let id = insert(&app, owner, wanted, vec![run]).await?.ids.pop().unwrap_or_default();
    let run = datastore.aggregation(id).await?.ok_or_else(Refusal::not_found)?;
    app.runs.wake();
    let location = location(&base, &format!("/api/v1/aggregation_runs/{id}/"));
    Ok((StatusCode::CREATED, location, Json(AggregationRow::new(&base, run))))
}

/// A target of many aggregations.
struct Many {
    target: AggregationTarget,
    traces: Option<Vec<Named>>,
    derivatives: Option<Vec<Named>>,
}

fn many(mut fields: Fields) -> Result<Many, Errors> {
    fields.also_called("trace_interpretations", "trace_interpretation");
    fields.also_called("derivative_interpretations", "derivative_interpretation");
    let many = Many {
        target: target(&mut fields),
        traces: named_list(&mut fields, "trace_interpretations", Named::of_trace),
        derivatives: named_list(&mut fields, "derivative_interpretations", Named::of_derivative),
    };
    fields.done().map(|()| many)
}

/// Asks for many aggregations, `{"targets": [{"projects": [1, 2]}]}`: for each target one of each of its `trace_interpretations` and
/// `derivative_interpretations` for which there is a derivative; of all of them where they are left out. The answer has a list of runs
/// for each target; the header Location says where all of them are followed.
#[utoipa::path(post, path = "/api/v1/aggregation_runs/bulk", tag = "aggregation runs", request_body = Object,
    responses((status = 201, body = Vec<Vec<AggregationRow>>), Refusals))]
pub(crate) async fn bulk(
    State(app): State<Shared>,
    caller: Caller,
    base: BaseUrl,
    Object(mut fields): Object,
) -> Result<(StatusCode, HeaderMap, Json<Vec<Vec<AggregationRow>>>), Refusal> {
    let (owner, rights) = (Owner::of(&caller)?, Rights::new(&app, &caller));
    let wanted = Wanted::read(&mut fields);
    let targets = targets(&mut fields, MOST_TARGETS, many);
    fields.done()?;
    let datastore = app.data.database.datastore();
    let (mut lengths, mut runs, mut errors) = (Vec::new(), Vec::new(), Errors::default());
    for (index, many) in targets.unwrap_or_default().into_iter().enumerate() {
        let wrong = match check(&app, rights, &many.target).await {
            Err(Refusal::Fields(wrong)) => Some(wrong),
            checked => {
                checked?;
                let all = many.target.all(&datastore, many.traces.as_deref(), many.derivatives.as_deref());
                match all.await? {
                    Ok(all) => {
                        lengths.push(all.len());
                        runs.extend(all);
                        None
                    }
                    Err(refusal) => Some(refused(&refusal).into_value()),
                }
            }
        };
        for (field, messages) in wrong.as_ref().and_then(Value::as_object).into_iter().flatten() {
            for message in messages.as_array().into_iter().flatten().filter_map(Value::as_str) {
                errors.add("targets", format!("targets[{index}].{field}: {message}"));
            }
        }
        if errors.count("targets") >= MOST_SHOWN {
            break;
        }
    }
    if !errors.is_empty() {
        return Err(errors.into());
    }
    let (mut rows, mut headers) = (Vec::new(), HeaderMap::new());
    if !runs.is_empty() {
        let inserted = insert(&app, owner, wanted, runs).await?;
        rows = datastore.aggregations(&AggregationFilter::with_ids(inserted.ids), Page::ALL).await?;
        headers = location(&base, &format!("/api/v1/batches/{}/", inserted.batch));
        app.runs.wake();
    }
    // What was begun meanwhile was asked for as it is.
    let row = |run: AggregationRun| {
        let row = AggregationRow::new(&base, AggregationRun { status: RunStatus::Pending, ..run });
        let form = if row.form == Form::Union { Form::UnionOfMany } else { row.form };
        AggregationRow { form, ..row }
    };
    let mut rows = rows.into_iter().map(row);
    let lists = lengths.into_iter().map(|length| rows.by_ref().take(length).collect()).collect();
    Ok((StatusCode::CREATED, headers, Json(lists)))
}

/// Aggregation runs, by id.
#[utoipa::path(get, path = "/api/v1/aggregation_runs", tag = "aggregation runs",
    params(
        ("ids" = Option<String>, Query, description = "Ids of runs"),
        ("batch" = Option<i64>, Query, description = "Runs of this request"),
        ("status" = Option<String>, Query, description = "PENDING, RUNNING, SUCCESS, FAILED (or FAILURE), CANCELLED; several with commas"),
        ("groups" = Option<String>, Query, description = "Ids of groups of traces; also called group"),
        Paging,
    ),
    responses((status = 200, body = Vec<AggregationRow>), Refusals))]
pub(crate) async fn list(
    State(app): State<Shared>,
    caller: Caller,
    base: BaseUrl,
    mut listing: Listing,
) -> Result<Response, Refusal> {
    let fields = &mut listing.filters;
    fields.also_called("groups", "group");
    let filter = AggregationFilter {
        ids: fields.ids("ids"),
        batch: fields.integer("batch").flatten(),
        statuses: statuses(fields),
        groups: fields.ids("groups"),
        owner: Rights::new(&app, &caller).only_own()?,
    };
    fields.done()?;
    let datastore = app.data.database.datastore();
    listing
        .answer((datastore, filter, base), move |(datastore, filter, base), page| {
            async move {
                let runs = datastore.aggregations(&filter, page).await?.into_iter();
                // Rows of a table have one order.
                let row = |run| AggregationRow { form: Form::Union, ..AggregationRow::new(&base, run) };
                Ok(runs.map(row).collect::<Vec<_>>())
            }
        })
        .await
}

/// A run that may be read.
pub(super) async fn run(app: &App, rights: Rights<'_>, id: &str) -> Result<AggregationRun, Refusal> {
    let Ok(id) = id.parse::<i64>() else { return Err(rights.hidden()) };
    let this = AggregationFilter { owner: rights.only_own()?, ..AggregationFilter::with_ids(vec![id]) };
    let run = app.data.database.datastore().aggregations(&this, Page::ALL).await?.pop();
    run.ok_or_else(|| rights.hidden())
}

/// A run that may be changed.
async fn run_to_change(app: &App, caller: &Caller, id: &str) -> Result<AggregationRun, Refusal> {
    let rights = Rights::new(app, caller);
    let run = run(app, rights, id).await?;
    rights.require_write_aggregation(&run).await?;
    Ok(run)
}

/// An aggregation run.
#[utoipa::path(get, path = "/api/v1/aggregation_runs/{id}", tag = "aggregation runs", params(("id" = i64, Path)),
    responses((status = 200, body = AggregationRow), Refusals))]
pub(crate) async fn get(
    State(app): State<Shared>,
    caller: Caller,
    base: BaseUrl,
    Path(id): Path<String>,
) -> Result<Json<AggregationRow>, Refusal> {
    let run = run(&app, Rights::new(&app, &caller), &id).await?;
    Ok(Json(AggregationRow::new(&base, run)))
}

/// The input of an aggregation run, as eemeter's aggregator took it. Until the run has ended, it is what it would be now; once
/// derivatives have changed since, it is 410.
#[utoipa::path(get, path = "/api/v1/aggregation_runs/{id}/input", tag = "aggregation runs", params(("id" = i64, Path)),
    responses((status = 200, body = Value),
        (status = 410, description = "Derivatives are gone or have changed", body = Value), Refusals))]
pub(crate) async fn input(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let run = run(&app, Rights::new(&app, &caller), &id).await?;
    let datastore = app.data.database.datastore();
    let selected = aggregate::selection_of(&datastore, &run).await?;
    let Some(result) = datastore.aggregation_result(run.id).await? else {
        let members = datastore.aggregation_members(&selected).await?;
        let json =
            blocking(move || aggregate::pending_input_json(&run, &members)).await.map_err(ApiError::from)?;
        return Ok(Json(json.map_err(|refusal| refused(&refusal))?));
    };
    // Those that took part, whatever is current now.
    let ids = super::aggregation_results::member_ids(&datastore, result.id).await?;
    let these = sheaf_db::datastore::MemberSelection { derivatives: ids, ..Default::default() };
    let members = datastore.aggregation_members(&these).await?;
    let json =
        blocking(move || aggregate::input_json(&run, &result, &members)).await.map_err(ApiError::from)?;
    Ok(Json(json.map_err(|gone| ApiError::new(StatusCode::GONE, gone))?))
}

/// Cancels an aggregation run. One that waits ends at once, one that runs a little later.
#[utoipa::path(post, path = "/api/v1/aggregation_runs/{id}/cancel", tag = "aggregation runs", params(("id" = i64, Path)),
    responses((status = 202, body = AggregationRow), Refusals))]
pub(crate) async fn cancel(
    State(app): State<Shared>,
    caller: Caller,
    base: BaseUrl,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<AggregationRow>), Refusal> {
    let run = run_to_change(&app, &caller, &id).await?;
    let datastore = app.data.database.datastore();
    datastore.cancel_aggregations(&AggregationFilter::with_ids(vec![run.id]), now()).await?;
    let run = datastore.aggregation(run.id).await?.ok_or_else(Refusal::not_found)?;
    Ok((StatusCode::ACCEPTED, Json(AggregationRow::new(&base, run))))
}

/// Puts an aggregation run that has failed or was cancelled back into the queue.
#[utoipa::path(post, path = "/api/v1/aggregation_runs/{id}/retry", tag = "aggregation runs", params(("id" = i64, Path)),
    responses((status = 202, body = AggregationRow),
        (status = 409, description = "It has neither failed nor was it cancelled", body = Value), Refusals))]
pub(crate) async fn retry(
    State(app): State<Shared>,
    caller: Caller,
    base: BaseUrl,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<AggregationRow>), Refusal> {
    let run = run_to_change(&app, &caller, &id).await?;
    let datastore = app.data.database.datastore();
    if datastore.retry_aggregations(&AggregationFilter::with_ids(vec![run.id]), now()).await? == 0 {
        return Err(not_to_be_retried(run.id, run.status).into());
    }
    app.runs.wake();
    let run = datastore.aggregation(run.id).await?.ok_or_else(Refusal::not_found)?;
    Ok((StatusCode::ACCEPTED, Json(AggregationRow::new(&base, run))))
}

/// Removes an aggregation run with its result.
#[utoipa::path(delete, path = "/api/v1/aggregation_runs/{id}", tag = "aggregation runs", params(("id" = i64, Path)),
    responses((status = 204, description = "It is gone"), Refusals))]
pub(crate) async fn delete(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Refusal> {
    let run = run_to_change(&app, &caller, &id).await?;
    app.data.database.datastore().delete_aggregations(&AggregationFilter::with_ids(vec![run.id])).await?;
    Ok(StatusCode::NO_CONTENT)
}
