//! What came of aggregation runs. A result has the id of its run.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use serde_json::Value;
use sheaf_db::RepositoryError;
use sheaf_db::datastore::{
    AggregationResult, AggregationResultFilter, AggregationRun, Datastore, Page, ResultStatus, RunStatus,
};
use sheaf_metering::aggregate::output_json;
use utoipa::ToSchema;

use super::aggregation_runs::run;
use super::listing::{Listing, Paging, Row};
use super::refusals::{Refusal, Refusals};
use super::rights::Rights;
use super::runs::parsed;
use super::times::of_row;
use crate::data::blocking;
use crate::http::app::Shared;
use crate::http::auth::Caller;
use crate::http::base_url::BaseUrl;
use crate::http::errors::ApiError;
use crate::http::extract::{Json, Path};

/// What came of an aggregation run. All but its ids, what was asked for and its status is null until the run has ended.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub(crate) struct AggregationResultRow {
    /// The id of its run.
    id: i64,
    aggregation_run: i64,
    /// What the traces mean.
    trace_interpretation: Option<String>,
    /// What the derivatives say.
    derivative_interpretation: Option<String>,
    /// `SUM` and so on.
    aggregation_interpretation: String,
    /// Where its output is.
    aggregation_output: Option<String>,
    /// The ids of the derivatives that took part, also of those that were rejected.
    derivatives: Option<Vec<i64>>,
    unit: Option<String>,
    baseline_value: Option<f64>,
    baseline_lower: Option<f64>,
    baseline_upper: Option<f64>,
    baseline_n: Option<f64>,
    reporting_value: Option<f64>,
    reporting_lower: Option<f64>,
    reporting_upper: Option<f64>,
    reporting_n: Option<f64>,
    /// In which direction a benefit is positive.
    differential_direction: Option<String>,
    differential_value: Option<f64>,
    differential_lower: Option<f64>,
    differential_upper: Option<f64>,
    differential_n: Option<f64>,
    eemeter_version: Option<String>,
    datastore_version: Option<String>,
    added: Option<String>,
    updated: Option<String>,
    /// `SUCCESS` or `FAILURE`; that of the run until it has ended.
    status: String,
    /// Why there are no figures.
    failure_message: Option<String>,
    n_derivatives: Option<i64>,
    n_accepted: Option<i64>,
    n_rejected: Option<i64>,
    /// The version of the arithmetic: the same input and version give the same figures.
    engine_version: Option<String>,
    warnings: Option<Value>,
    details: Option<Value>,
    /// XXH3-128 of all that it depends on.
    input_hash: Option<String>,
}

impl Row for AggregationResultRow {
    fn id(&self) -> i64 {
        self.id
    }
}

impl AggregationResultRow {
    fn new(base: &BaseUrl, result: AggregationResult, derivatives: Vec<i64>) -> AggregationResultRow {
        AggregationResultRow {
            id: result.id,
            aggregation_run: result.aggregation_run_id,
            trace_interpretation: result.trace_interpretation,
            derivative_interpretation: result.derivative_interpretation,
            aggregation_interpretation: result.aggregation_interpretation,
            aggregation_output: result.aggregation_input.map(|path| base.url(&path)),
            derivatives: Some(derivatives),
            unit: result.unit,
            baseline_value: result.baseline_value,
            baseline_lower: result.baseline_lower,
            baseline_upper: result.baseline_upper,
            baseline_n: result.baseline_n,
            reporting_value: result.reporting_value,
            reporting_lower: result.reporting_lower,
            reporting_upper: result.reporting_upper,
            reporting_n: result.reporting_n,
            differential_direction: result.differential_direction,
            differential_value: result.differential_value,
            differential_lower: result.differential_lower,
            differential_upper: result.differential_upper,
            differential_n: result.differential_n,
            eemeter_version: result.eemeter_version,
            datastore_version: result.datastore_version,
            added: Some(of_row(result.added)),
            updated: Some(of_row(result.updated)),
            status: ResultStatus::Success.to_string(),
            failure_message: None,
            n_derivatives: Some(result.n_derivatives),
            n_accepted: Some(result.n_accepted),
            n_rejected: Some(result.n_rejected),
            engine_version: result.engine_version,
            warnings: parsed(result.warnings),
            details: parsed(result.details),
            input_hash: result.input_hash,
        }
    }

    /// The one of a run that has none, yet or at all.
    fn without_figures(run: AggregationRun) -> AggregationResultRow {
        let status = match run.status {
            RunStatus::Failed => ResultStatus::Failure.to_string(),
            status => status.to_string(),
        };
        AggregationResultRow {
            id: run.id,
            aggregation_run: run.id,
            trace_interpretation: run.trace_interpretation,
            derivative_interpretation: run.derivative_interpretation,
            aggregation_interpretation: run.aggregation_interpretation,
            status,
            failure_message: run.failure_message,
            ..AggregationResultRow::default()
        }
    }
}

/// The ids of the derivatives that took part in an aggregation, in its order.
pub(super) async fn member_ids(datastore: &Datastore, result: i64) -> Result<Vec<i64>, RepositoryError> {
    let statuses = datastore.aggregation_statuses(result, Page::ALL).await?;
    Ok(statuses.into_iter().map(|status| status.derivative_id).collect())
}

/// Results of aggregation runs that have ended, by id.
#[utoipa::path(get, path = "/api/v1/aggregation_results", tag = "aggregation runs",
    params(
        ("ids" = Option<String>, Query, description = "Ids of results; also called aggregation_run"),
        ("groups" = Option<String>, Query, description = "Ids of groups of traces; also called group"),
        Paging,
    ),
    responses((status = 200, body = Vec<AggregationResultRow>), Refusals))]
pub(crate) async fn list(
    State(app): State<Shared>,
    caller: Caller,
    base: BaseUrl,
    mut listing: Listing,
) -> Result<Response, Refusal> {
    let fields = &mut listing.filters;
    fields.also_called("ids", "aggregation_run");
    fields.also_called("groups", "group");
    let filter = AggregationResultFilter {
        ids: fields.ids("ids"),
        groups: fields.ids("groups"),
        owner: Rights::new(&app, &caller).only_own()?,
    };
    fields.done()?;
    let datastore = app.data.database.datastore();
    listing
        .answer((datastore, filter, base), move |(datastore, filter, base), page| async move {
            let mut rows = Vec::new();
            for result in datastore.aggregation_results(&filter, page).await? {
                let derivatives = member_ids(&datastore, result.id).await?;
                rows.push(AggregationResultRow::new(&base, result, derivatives));
            }
            Ok(rows)
        })
        .await
}

/// What came of an aggregation run.
#[utoipa::path(get, path = "/api/v1/aggregation_results/{id}", tag = "aggregation runs", params(("id" = i64, Path)),
    responses((status = 200, body = AggregationResultRow), Refusals))]
pub(crate) async fn get(
    State(app): State<Shared>,
    caller: Caller,
    base: BaseUrl,
    Path(id): Path<String>,
) -> Result<Json<AggregationResultRow>, Refusal> {
    let run = run(&app, Rights::new(&app, &caller), &id).await?;
    let datastore = app.data.database.datastore();
    Ok(Json(match datastore.aggregation_result(run.id).await? {
        Some(result) => {
            let derivatives = member_ids(&datastore, result.id).await?;
            AggregationResultRow::new(&base, result, derivatives)
        }
        None => AggregationResultRow::without_figures(run),
    }))
}

/// The output of an aggregation run, as eemeter's aggregator wrote it.
#[utoipa::path(get, path = "/api/v1/aggregation_results/{id}/output", tag = "aggregation runs", params(("id" = i64, Path)),
    responses((status = 200, body = Value), Refusals))]
pub(crate) async fn output(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let run = run(&app, Rights::new(&app, &caller), &id).await?;
    let datastore = app.data.database.datastore();
    let result = datastore.aggregation_result(run.id).await?.ok_or_else(Refusal::none_yet)?;
    let statuses = datastore.aggregation_statuses(result.id, Page::ALL).await?;
    Ok(Json(blocking(move || output_json(&result, &statuses)).await.map_err(ApiError::from)?))
}
