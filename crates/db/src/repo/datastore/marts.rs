//! Marts: views in which whoever writes SQL, or loads tables, finds what belongs together side by side. They are always current.
//!
//! `migration::m0006_datastore` and `m0007_marts` make them; here is what their columns hold, and how they are read page by page.

use super::{Datastore, Page, Transaction};
use crate::entity::datastore::{aggregation_runs, meter_results, model_results, projects, traces};
use crate::error::RepositoryError;
use crate::table::{Columns, Sql, Table};

/// What a column of a mart holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MartType {
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// A text.
    Text,
    /// A time, as a text like `2012-01-01T00:00:00.000000Z`.
    Time,
}

/// A value of a mart.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "their names say it")]
pub enum MartValue {
    Null,
    Integer(i64),
    Number(f64),
    Text(String),
}

/// A mart.
#[derive(Debug)]
pub struct Mart {
    /// What people call it; in the database also with `warehouse_` before it.
    pub name: &'static str,
    /// What its rows are.
    pub about: &'static str,
    /// Its columns, in order. The first one is `id`, by which rows are ordered.
    pub columns: &'static [(&'static str, MartType)],
}

/// All marts.
pub const MARTS: [&Mart; 5] =
    [&METER_RESULTS, &GROUP_STATISTICS, &MODEL_RESULTS, &PROJECT_SUMMARIES, &TRACE_SUMMARIES];

const I: MartType = MartType::Integer;
const N: MartType = MartType::Number;
const T: MartType = MartType::Text;
const D: MartType = MartType::Time;

static METER_RESULTS: Mart = Mart {
    name: "meterresultmart",
    about: "one row for each derivative, with its trace, project, run, result and models; a result without derivatives has one, \
            with a negative id",
    columns: &[
        ("id", I),
        ("trace_id", T),
        ("trace_pk", I),
        ("trace_interpretation", T),
        ("trace_unit", T),
        ("project_id", T),
        ("project_pk", I),
        ("serialized_input_url", T),
        ("serialized_output_url", T),
        ("meter_result_pk", I),
        ("meter_result_status", T),
        ("meter_result_eemeter_version", T),
        ("meter_result_datastore_version", T),
        ("meter_result_model_class", T),
        ("meter_result_model_kwargs", T),
        ("meter_result_formatter_class", T),
        ("meter_result_formatter_kwargs", T),
        ("meter_result_added", D),
        ("meter_result_updated", D),
        ("meter_run_pk", I),
        ("meter_run_status", T),
        ("meter_run_failure_message", T),
        ("meter_run_traceback", T),
        ("meter_run_added", D),
        ("meter_run_updated", D),
        ("modeling_period_group_pk", I),
        ("derivative_pk", I),
        ("derivative_interpretation", T),
        ("derivative_unit", T),
        ("baseline_period_pk", I),
        ("baseline_period_label", T),
        ("baseline_period_start", D),
        ("baseline_period_end", D),
        ("baseline_model_result_pk", I),
        ("baseline_model_result_status", T),
        ("baseline_model_result_traceback", T),
        ("baseline_model_result_r2", N),
        ("baseline_model_result_cvrmse", N),
        ("baseline_model_result_n_rows", I),
        ("baseline_model_result_rmse", N),
        ("baseline_derivative_value", N),
        ("baseline_derivative_lower_bound", N),
        ("baseline_derivative_upper_bound", N),
        ("reporting_period_pk", I),
        ("reporting_period_label", T),
        ("reporting_period_start", D),
        ("reporting_period_end", D),
        ("reporting_model_result_pk", I),
        ("reporting_model_result_status", T),
        ("reporting_model_result_traceback", T),
        ("reporting_model_result_r2", N),
        ("reporting_model_result_cvrmse", N),
        ("reporting_model_result_n_rows", I),
        ("reporting_model_result_rmse", N),
        ("reporting_derivative_value", N),
        ("reporting_derivative_lower_bound", N),
        ("reporting_derivative_upper_bound", N),
        ("differential_value", N),
        ("differential_direction", T),
        ("differential_lower_bound", N),
        ("differential_upper_bound", N),
    ],
};

static GROUP_STATISTICS: Mart = Mart {
    name: "groupstatisticsmart",
    about: "one row for each aggregation run, with its group and its result",
    columns: &[
        ("id", I),
        ("group_name", T),
        ("group_pk", I),
        ("serialized_input_url", T),
        ("serialized_output_url", T),
        ("aggregation_run_pk", I),
        ("aggregation_run_status", T),
        ("aggregation_run_failure_message", T),
        ("aggregation_run_traceback", T),
        ("aggregation_run_added", D),
        ("aggregation_run_updated", D),
        ("aggregation_result_pk", I),
        ("n_derivatives", I),
        ("aggregation_result_added", D),
        ("aggregation_result_updated", D),
        ("aggregation_result_eemeter_version", T),
        ("aggregetion_result_datastore_version", T),
        ("trace_interpretation", T),
        ("derivative_interpretation", T),
        ("statistic_interpretation", T),
        ("statistic_unit", T),
        ("baseline_value", N),
        ("baseline_lower_bound", N),
        ("baseline_upper_bound", N),
        ("reporting_value", N),
        ("reporting_lower_bound", N),
        ("reporting_upper_bound", N),
        ("differential_value", N),
        ("differential_direction", T),
        ("differential_lower_bound", N),
        ("differential_upper_bound", N),
        ("n_derivatives_accepted", I),
        ("n_derivatives_accepted_baseline", I),
        ("n_derivatives_accepted_reporting", I),
        ("n_derivatives_rejected", I),
        ("n_derivatives_rejected_baseline", I),
        ("n_derivatives_rejected_reporting", I),
        ("aggregation_result_datastore_version", T),
    ],
};

static MODEL_RESULTS: Mart = Mart {
    name: "modelresultmart",
    about: "one row for each model of a modelling period, or for why there is none",
    columns: &[
        ("id", I),
        ("trace_id", T),
        ("trace_pk", I),
        ("trace_interpretation", T),
        ("trace_unit", T),
        ("project_id", T),
        ("project_pk", I),
        ("meter_result_pk", I),
        ("is_current", I),
        ("model_class", T),
        ("model_kwargs", T),
        ("weather_station", T),
        ("modeling_period_pk", I),
        ("modeling_period_label", T),
        ("modeling_period_interpretation", T),
        ("modeling_period_start", D),
        ("modeling_period_end", D),
        ("status", T),
        ("traceback", T),
        ("start_date", D),
        ("end_date", D),
        ("n_rows", I),
        ("r2", N),
        ("cvrmse", N),
        ("rmse", N),
        ("added", D),
        ("updated", D),
    ],
};

static PROJECT_SUMMARIES: Mart = Mart {
    name: "projectsummarymart",
    about: "one row for each project: its periods, its traces, and what they saved, by their current results",
    columns: &[
        ("id", I),
        ("project_id", T),
        ("zipcode", T),
        ("baseline_period_start", D),
        ("baseline_period_end", D),
        ("reporting_period_start", D),
        ("reporting_period_end", D),
        ("n_traces", I),
        ("n_records", I),
        ("n_current_results", I),
        ("electricity_gross_predicted_savings_kwh", N),
        ("electricity_annualized_weather_normal_savings_kwh", N),
        ("natural_gas_gross_predicted_savings_therm", N),
        ("natural_gas_annualized_weather_normal_savings_therm", N),
        ("added", D),
        ("updated", D),
    ],
};

static TRACE_SUMMARIES: Mart = Mart {
    name: "tracesummarymart",
    about: "one row for each trace: its records, its projects, and how many results it has",
    columns: &[
        ("id", I),
        ("trace_id", T),
        ("interpretation", T),
        ("unit", T),
        ("interval", T),
        ("sample_period", T),
        ("n_records", I),
        ("first_start", D),
        ("last_start", D),
        ("n_projects", I),
        ("n_results", I),
        ("n_current_results", I),
        ("is_blacklisted", I),
        ("added", D),
        ("updated", D),
    ],
};

impl Mart {
    /// The mart with this name, also with `warehouse_` before it.
    pub fn named(name: &str) -> Option<&'static Mart> {
        let name = name.strip_prefix("warehouse_").unwrap_or(name);
        MARTS.into_iter().find(|mart| mart.name == name)
    }

    fn view(&self) -> String {
        format!("warehouse_{}", self.name)
    }

    /// `SELECT` with all columns, up to the conditions.
    fn select(&self, transaction: &Transaction<'_>) -> Sql {
        let sql = Sql::new(&transaction.tx, "SELECT ");
        let is_sqlite = sql.is_sqlite();
        let column = |(name, kind): &(&str, MartType)| match kind {
            MartType::Time if !is_sqlite => {
                format!("to_char(\"{name}\" AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
            }
            _ => format!("\"{name}\""),
        };
        let columns: Vec<String> = self.columns.iter().map(column).collect();
        sql.text(&columns.join(", ")).text(&format!(" FROM \"{}\" WHERE ", self.view()))
    }

    fn read(&self, columns: &mut Columns<'_>) -> Result<Vec<MartValue>, sea_orm::DbErr> {
        let value = |(_, kind): &(&str, MartType)| {
            Ok(match kind {
                MartType::Integer => {
                    columns.next::<Option<i64>>()?.map_or(MartValue::Null, MartValue::Integer)
                }
                MartType::Number => columns.next::<Option<f64>>()?.map_or(MartValue::Null, MartValue::Number),
                MartType::Text | MartType::Time => {
                    columns.next::<Option<String>>()?.map_or(MartValue::Null, MartValue::Text)
                }
            })
        };
        self.columns.iter().map(value).collect()
    }
}

impl Datastore {
    /// A page of the rows of a mart, by id; each has the values of its columns, in their order.
    ///
    /// # Errors
    /// The database fails.
    pub async fn mart(&self, mart: &Mart, page: Page) -> Result<Vec<Vec<MartValue>>, RepositoryError> {
        match mart.name {
            "meterresultmart" => self.meter_result_mart(mart, page).await,
            "groupstatisticsmart" => self.mart_page::<aggregation_runs::Entity>(mart, page).await,
            "modelresultmart" => self.mart_page::<model_results::Entity>(mart, page).await,
            "projectsummarymart" => self.mart_page::<projects::Entity>(mart, page).await,
            _ => self.mart_page::<traces::Entity>(mart, page).await,
        }
    }

    /// Rows whose ids are those of `E`.
    async fn mart_page<E: Table>(
        &self,
        mart: &Mart,
        page: Page,
    ) -> Result<Vec<Vec<MartValue>>, RepositoryError> {
        let limit = page.limit.map_or(u64::MAX, |limit| limit as u64);
        self.mart_rows::<E>(mart, |sql| sql.text("\"id\" > ").value(page.after).page("\"id\"", limit)).await
    }

    /// Results without derivatives first, whose ids are negative, then derivatives. Each by a column of one table: no index has
    /// the ids of both.
    async fn meter_result_mart(
        &self,
        mart: &Mart,
        page: Page,
    ) -> Result<Vec<Vec<MartValue>>, RepositoryError> {
        type Row = meter_results::Entity;
        let limit = page.limit.map_or(u64::MAX, |limit| limit as u64);
        let mut rows = Vec::new();
        if page.after < -1 {
            let without = |sql: Sql| {
                sql.text("\"derivative_pk\" IS NULL AND \"meter_result_pk\" < ")
                    .value(page.after.checked_neg().unwrap_or(i64::MAX))
                    .page("\"meter_result_pk\" DESC", limit)
            };
            rows = self.mart_rows::<Row>(mart, without).await?;
        }
        let left = limit.saturating_sub(rows.len() as u64);
        if left > 0 {
            let with = |sql: Sql| {
                sql.text("\"derivative_pk\" > ").value(page.after.max(0)).page("\"derivative_pk\"", left)
            };
            rows.extend(self.mart_rows::<Row>(mart, with).await?);
        }
        Ok(rows)
    }

    async fn mart_rows<E: Table>(
        &self,
        mart: &Mart,
        conditions: impl FnOnce(Sql) -> Sql,
    ) -> Result<Vec<Vec<MartValue>>, RepositoryError> {
        let mut rows = Vec::new();
        let Some(transaction) = Transaction::read_view::<E>(&self.database, &mart.view()).await? else {
            return Ok(rows);
        };
        let sql = conditions(mart.select(&transaction));
        let answer = sql.query(&transaction.tx, |columns| {
            rows.push(mart.read(columns)?);
            Ok(())
        });
        transaction.reading::<E, _>(answer.await)?;
        Ok(rows)
    }
}
