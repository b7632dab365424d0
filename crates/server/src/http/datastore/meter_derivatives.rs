//! Derivatives: the figures of meter results, which aggregations add up.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use sheaf_db::datastore::{DerivativeFilter, MeterDerivative};
use sheaf_metering::request::Named;
use utoipa::ToSchema;

use super::fields::Fields;
use super::listing::{Listing, Paging, Row};
use super::refusals::{Refusal, Refusals};
use super::rights::Rights;
use super::times::of_row;
use crate::http::app::Shared;
use crate::http::auth::Caller;
use crate::http::extract::{Json, Path};

/// A figure of a meter result, with its two sides. `lower` and `upper` are distances from the value at 95 %.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub(crate) struct DerivativeRow {
    id: i64,
    /// What it says.
    interpretation: String,
    unit: String,
    baseline_value: Option<f64>,
    baseline_lower: Option<f64>,
    baseline_upper: Option<f64>,
    /// Points of its demand.
    baseline_n: Option<f64>,
    reporting_value: Option<f64>,
    reporting_lower: Option<f64>,
    reporting_upper: Option<f64>,
    reporting_n: Option<f64>,
    added: String,
    updated: String,
    meter_result: i64,
    modeling_period_group: Option<i64>,
    /// The id of the trace's row.
    trace: Option<i64>,
    /// What the trace meant, by its long name.
    trace_interpretation: String,
    /// In which direction a benefit is positive.
    differential_direction: Option<String>,
    differential_value: Option<f64>,
    differential_lower: Option<f64>,
    differential_upper: Option<f64>,
}

impl Row for DerivativeRow {
    fn id(&self) -> i64 {
        self.id
    }
}

impl From<MeterDerivative> for DerivativeRow {
    fn from(row: MeterDerivative) -> DerivativeRow {
        DerivativeRow {
            id: row.id,
            interpretation: row.interpretation,
            unit: row.unit,
            baseline_value: row.baseline_value,
            baseline_lower: row.baseline_lower,
            baseline_upper: row.baseline_upper,
            baseline_n: row.baseline_n,
            reporting_value: row.reporting_value,
            reporting_lower: row.reporting_lower,
            reporting_upper: row.reporting_upper,
            reporting_n: row.reporting_n,
            added: of_row(row.added),
            updated: of_row(row.updated),
            meter_result: row.meter_result_id,
            modeling_period_group: row.modeling_period_group_id,
            trace: row.trace_id,
            trace_interpretation: row.trace_interpretation,
            differential_direction: row.differential_direction,
            differential_value: row.differential_value,
            differential_lower: row.differential_lower,
            differential_upper: row.differential_upper,
        }
    }
}

/// Derivatives, by id.
#[utoipa::path(get, path = "/api/v1/meter_derivatives", tag = "meter runs",
    params(
        ("ids" = Option<String>, Query, description = "Ids of derivatives"),
        ("projects" = Option<String>, Query, description = "Ids of projects; also called project"),
        ("traces" = Option<String>, Query, description = "Ids of traces; also called trace"),
        ("meter_results" = Option<String>, Query, description = "Ids of results; also called meter_result"),
        ("interpretation" = Option<String>, Query, description = "What it says: annualized_weather_normal and so on"),
        ("trace_interpretation" = Option<String>, Query, description = "What the trace means, by its long or short name"),
        ("current" = Option<bool>, Query, description = "Only of the latest success of each trace for its project"),
        Paging,
    ),
    responses((status = 200, body = Vec<DerivativeRow>), Refusals))]
pub(crate) async fn list(
    State(app): State<Shared>,
    caller: Caller,
    mut listing: Listing,
) -> Result<Response, Refusal> {
    let fields = &mut listing.filters;
    fields.also_called("projects", "project");
    fields.also_called("traces", "trace");
    fields.also_called("meter_results", "meter_result");
    let mut filter = DerivativeFilter {
        ids: fields.ids("ids"),
        projects: fields.ids("projects"),
        traces: fields.ids("traces"),
        meter_results: fields.ids("meter_results"),
        interpretation: fields.named("interpretation", Named::of_derivative).map(|named| named.name),
        trace_interpretation: fields.named("trace_interpretation", Named::of_trace).map(|named| named.name),
        current: fields.not_null("current", Fields::flag).unwrap_or(false),
        seen: None,
    };
    fields.done()?;
    filter.seen = Rights::new(&app, &caller).seen().await?;
    let datastore = app.data.database.datastore();
    listing
        .answer((datastore, filter), move |(datastore, filter), page| async move {
            let rows = datastore.derivatives(&filter, page).await?;
            Ok(rows.into_iter().map(DerivativeRow::from).collect::<Vec<_>>())
        })
        .await
}

/// A derivative.
#[utoipa::path(get, path = "/api/v1/meter_derivatives/{id}", tag = "meter runs", params(("id" = i64, Path)),
    responses((status = 200, body = DerivativeRow), Refusals))]
pub(crate) async fn get(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<DerivativeRow>, Refusal> {
    let rights = Rights::new(&app, &caller);
    let Ok(id) = id.parse::<i64>() else { return Err(rights.hidden()) };
    let this =
        DerivativeFilter { ids: Some(vec![id]), seen: rights.seen().await?, ..DerivativeFilter::default() };
    let mut found = app.data.database.datastore().derivatives(&this, sheaf_db::datastore::Page::ALL).await?;
    match found.pop() {
        Some(row) => Ok(Json(row.into())),
        None => Err(rights.hidden()),
    }
}
