//! What came of meter runs. A result has the id of its run.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use serde_json::Value;
use sheaf_db::datastore::{MeterResult, MeterRun, ResultFilter, ResultStatus, RunStatus};
use sheaf_metering::render::Rendering;
use utoipa::ToSchema;

use super::fields::Fields;
use super::listing::{Listing, Paging, Row};
use super::meter_runs::run;
use super::refusals::{Refusal, Refusals};
use super::rights::Rights;
use super::runs::parsed;
use super::times::of_row;
use crate::http::app::Shared;
use crate::http::auth::Caller;
use crate::http::base_url::BaseUrl;
use crate::http::extract::{Json, Path};

/// What came of a meter run. All but its ids and its status is null until the run has ended.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub(crate) struct MeterResultRow {
    /// The id of its run.
    id: i64,
    /// The id of the trace's row.
    trace: Option<i64>,
    /// The id of the project's row.
    project: Option<i64>,
    meter_run: i64,
    /// Where its output is.
    meter_output: Option<String>,
    /// `SUCCESS` or `FAILURE`; that of the run until it has ended.
    status: String,
    /// The version of eemeter whose arithmetic it follows.
    eemeter_version: Option<String>,
    datastore_version: Option<String>,
    /// The model that was used.
    model_class: Option<String>,
    /// Its settings.
    model_kwargs: Option<Value>,
    /// The formatter that was used.
    formatter_class: Option<String>,
    /// Its settings.
    formatter_kwargs: Option<Value>,
    added: Option<String>,
    updated: Option<String>,
    /// Why there are no figures.
    failure_message: Option<String>,
    /// The version of the arithmetic: the same input and version give the same figures.
    engine_version: Option<String>,
    /// The station whose weather was used.
    weather_station: Option<String>,
    /// The station whose normal year was used.
    weather_normal_station: Option<String>,
    /// How far that weather is from the place, in kilometres.
    distance_km: Option<f64>,
    /// How much of the time that counts has weather, from 0 to 1.
    coverage: Option<f64>,
    /// What is to be said about it.
    warnings: Option<Value>,
    /// XXH3-128 of all that it depends on.
    input_hash: Option<String>,
    /// The models, by period; null in lists, where they would be most of the answer.
    models: Option<Value>,
}

impl Row for MeterResultRow {
    fn id(&self) -> i64 {
        self.id
    }
}

impl MeterResultRow {
    fn new(base: &BaseUrl, result: MeterResult) -> MeterResultRow {
        MeterResultRow {
            id: result.id,
            trace: result.trace_id,
            project: result.project_id,
            meter_run: result.meter_run_id,
            meter_output: result.meter_output.map(|path| base.url(&path)),
            status: result.status.to_string(),
            eemeter_version: result.eemeter_version,
            datastore_version: result.datastore_version,
            model_class: result.model_class,
            model_kwargs: parsed(result.model_kwargs),
            formatter_class: result.formatter_class,
            formatter_kwargs: parsed(result.formatter_kwargs),
            added: Some(of_row(result.added)),
            updated: Some(of_row(result.updated)),
            failure_message: None,
            engine_version: result.engine_version,
            weather_station: result.weather_station,
            weather_normal_station: result.weather_normal_station,
            distance_km: result.distance_km,
            coverage: result.coverage,
            warnings: parsed(result.warnings),
            input_hash: result.input_hash,
            models: parsed(result.models),
        }
    }

    /// The one of a run that has none, yet or at all.
    fn without_figures(run: MeterRun) -> MeterResultRow {
        let status = match run.status {
            RunStatus::Failed => ResultStatus::Failure.to_string(),
            status => status.to_string(),
        };
        MeterResultRow {
            id: run.id,
            trace: run.trace_id,
            project: run.project_id,
            meter_run: run.id,
            status,
            failure_message: run.failure_message,
            ..MeterResultRow::default()
        }
    }
}

/// Results of meter runs that have ended, by id.
#[utoipa::path(get, path = "/api/v1/meter_results", tag = "meter runs",
    params(
        ("ids" = Option<String>, Query, description = "Ids of results"),
        ("projects" = Option<String>, Query, description = "Ids of projects; also called project"),
        ("traces" = Option<String>, Query, description = "Ids of traces; also called trace"),
        ("status" = Option<String>, Query, description = "SUCCESS, or FAILURE (FAILED)"),
        ("current" = Option<bool>, Query, description = "Only the latest success of each trace for its project"),
        Paging,
    ),
    responses((status = 200, body = Vec<MeterResultRow>), Refusals))]
pub(crate) async fn list(
    State(app): State<Shared>,
    caller: Caller,
    base: BaseUrl,
    mut listing: Listing,
) -> Result<Response, Refusal> {
    let fields = &mut listing.filters;
    fields.also_called("projects", "project");
    fields.also_called("traces", "trace");
    fields.also_called("ids", "meter_run");
    let word = |word: &str| match word.to_ascii_uppercase().as_str() {
        "SUCCESS" => Some(ResultStatus::Success),
        "FAILURE" | "FAILED" => Some(ResultStatus::Failure),
        _ => None,
    };
    let mut filter = ResultFilter {
        ids: fields.ids("ids"),
        projects: fields.ids("projects"),
        traces: fields.ids("traces"),
        status: fields.choice("status", word, "SUCCESS and FAILURE").flatten(),
        current: fields.not_null("current", Fields::flag).unwrap_or(false),
        seen: None,
    };
    fields.done()?;
    filter.seen = Rights::new(&app, &caller).seen().await?;
    let datastore = app.data.database.datastore();
    listing
        .answer((datastore, filter, base), move |(datastore, filter, base), page| async move {
            let results = datastore.meter_results(&filter, page).await?;
            let row = |result| MeterResultRow { models: None, ..MeterResultRow::new(&base, result) };
            Ok(results.into_iter().map(row).collect::<Vec<_>>())
        })
        .await
}

/// What came of a meter run.
#[utoipa::path(get, path = "/api/v1/meter_results/{id}", tag = "meter runs", params(("id" = i64, Path)),
    responses((status = 200, body = MeterResultRow), Refusals))]
pub(crate) async fn get(
    State(app): State<Shared>,
    caller: Caller,
    base: BaseUrl,
    Path(id): Path<String>,
) -> Result<Json<MeterResultRow>, Refusal> {
    let run = run(&app, Rights::new(&app, &caller), &id).await?;
    let result = app.data.database.datastore().meter_result(run.id).await?;
    Ok(Json(match result {
        Some(result) => {
            MeterResultRow { failure_message: run.failure_message, ..MeterResultRow::new(&base, result) }
        }
        None => MeterResultRow::without_figures(run),
    }))
}

/// The output of a meter run, as eemeter wrote it; 410 once what it was made from is not what it was.
#[utoipa::path(get, path = "/api/v1/meter_results/{id}/output", tag = "meter runs", params(("id" = i64, Path)),
    responses((status = 200, body = Value),
        (status = 410, description = "What it was made from is gone or has changed", body = Value), Refusals))]
pub(crate) async fn output(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let run = run(&app, Rights::new(&app, &caller), &id).await?;
    let datastore = app.data.database.datastore();
    let result = datastore.meter_result(run.id).await?.ok_or_else(Refusal::none_yet)?;
    let trace = match run.trace_id {
        Some(trace) => datastore.trace(trace).await?,
        None => None,
    };
    let parts = datastore.result_parts(&[result.id]).await?;
    let rendering = Rendering::new(&app.data.store, &app.weather);
    Ok(Json(rendering.meter_output(&run, trace.as_ref(), &result, &parts).await?))
}
