//! Meter runs: asked for, claimed, and ended with all that came of them.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::time::Duration;

use super::queue::{self, Conditions, End, and_status};
use super::{
    Datastore, Inserted, MeterDerivative, MeterResult, MeterRun, Micros, ModelResult, ModelingPeriod,
    ModelingPeriodGroup, NewBatch, Page, Project, ResultStatus, RunEnding, RunStatus, Seen, Trace,
    Transaction, missing, paths, without_zero,
};
use crate::entity::datastore::{
    meter_derivatives, meter_results, meter_runs, model_results, modeling_period_groups, modeling_periods,
    projects, traces,
};
use crate::error::RepositoryError;
use crate::table::{Sql, Table};

type Row = meter_runs::Entity;

/// A meter run that is asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NewMeterRun {
    /// The project; nothing if the input is supplied.
    pub project_id: Option<i64>,
    /// The trace; likewise.
    pub trace_id: Option<i64>,
    /// The model to be used.
    pub model_class: Option<String>,
    /// Its settings, a JSON object.
    pub model_kwargs: Option<String>,
    /// The formatter to be used.
    pub formatter_class: Option<String>,
    /// Its settings, a JSON object.
    pub formatter_kwargs: Option<String>,
    /// Everything else that is asked for, JSON.
    pub options: String,
    /// The input, JSON, if it is supplied.
    pub input: Option<String>,
    /// The hash of all that the result depends on, if it is known already.
    pub input_hash: Option<String>,
}

/// Which meter runs: those for which all is true that is given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunFilter {
    /// Their ids are among these.
    pub ids: Option<Vec<i64>>,
    /// Of this request.
    pub batch: Option<i64>,
    /// Where they stand: one of these, or anywhere if there are none.
    pub statuses: Vec<RunStatus>,
    /// Of these projects.
    pub projects: Option<Vec<i64>>,
    /// Of these traces.
    pub traces: Option<Vec<i64>>,
    /// That may be seen.
    pub seen: Option<Seen>,
}

impl RunFilter {
    /// Those that stand there.
    pub fn with_status(status: RunStatus) -> RunFilter {
        RunFilter { statuses: vec![status], ..RunFilter::default() }
    }

    /// Those with these ids.
    pub fn with_ids(ids: Vec<i64>) -> RunFilter {
        RunFilter { ids: Some(ids), ..RunFilter::default() }
    }

    /// Those of a request.
    pub fn of_batch(batch: i64) -> RunFilter {
        RunFilter { batch: Some(batch), ..RunFilter::default() }
    }
}

impl Conditions for RunFilter {
    fn conditions(&self, sql: Sql) -> Sql {
        let sql = sql
            .and_is("\"batch_id\"", self.batch)
            .and_in("\"id\"", self.ids.as_deref())
            .and_in("\"project_id\"", self.projects.as_deref())
            .and_in("\"trace_id\"", self.traces.as_deref());
        and_status(Seen::and(self.seen.as_ref(), sql), &self.statuses)
    }
}

/// A run that somebody does now, with all that he needs.
#[derive(Clone, Debug, PartialEq)]
pub struct ClaimedRun {
    /// The run.
    pub run: MeterRun,
    /// Its trace; nothing if its input was supplied.
    pub trace: Option<Trace>,
    /// Its project; likewise.
    pub project: Option<Project>,
}

/// A run that has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct FinishedRun {
    /// The run.
    pub id: i64,
    /// How it ends.
    pub ending: RunEnding,
    /// Why it has failed.
    pub failure_message: Option<String>,
    /// More about it.
    pub traceback: Option<String>,
    /// The hash of all that its result depends on, once its input is known.
    pub input_hash: Option<String>,
    /// What came of it, also of one that has failed, as far as there is anything to be said.
    pub result: Option<Box<NewMeterResult>>,
}

/// What came of a meter run. See [`MeterResult`].
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "see `MeterResult`")]
pub struct NewMeterResult {
    pub eemeter_version: Option<String>,
    pub datastore_version: Option<String>,
    pub model_class: Option<String>,
    pub model_kwargs: Option<String>,
    pub formatter_class: Option<String>,
    pub formatter_kwargs: Option<String>,
    pub engine_version: Option<String>,
    pub weather_station: Option<String>,
    pub weather_normal_station: Option<String>,
    pub distance_km: Option<f64>,
    pub coverage: Option<f64>,
    pub warnings: Option<String>,
    pub pinned: Option<String>,
    pub models: Option<String>,
    /// The modelling periods.
    pub periods: Vec<NewPeriod>,
    /// Which of them are compared: the places of a baseline and a reporting period.
    pub groups: Vec<(usize, usize)>,
    /// The derivatives.
    pub derivatives: Vec<NewDerivative>,
}

/// A modelling period. See [`ModelingPeriod`].
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "see `ModelingPeriod`")]
pub struct NewPeriod {
    pub label: String,
    pub interpretation: String,
    pub start: Option<Micros>,
    pub end: Option<Micros>,
    /// Its model, or why there is none; nothing if none was looked for.
    pub model: Option<NewModelResult>,
}

/// The model of a modelling period. See [`ModelResult`].
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "see `ModelResult`")]
pub struct NewModelResult {
    pub status: ResultStatus,
    pub traceback: Option<String>,
    pub start_date: Option<Micros>,
    pub end_date: Option<Micros>,
    pub n_rows: Option<i64>,
    pub r2: Option<f64>,
    pub cvrmse: Option<f64>,
    pub rmse: Option<f64>,
    pub lower: Option<f64>,
    pub upper: Option<f64>,
}

/// A derivative. See [`MeterDerivative`].
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "see `MeterDerivative`")]
pub struct NewDerivative {
    pub interpretation: String,
    pub trace_interpretation: String,
    pub unit: String,
    /// The place of the group whose periods it compares.
    pub group: Option<usize>,
    pub baseline_value: Option<f64>,
    pub baseline_lower: Option<f64>,
    pub baseline_upper: Option<f64>,
    pub baseline_n: Option<f64>,
    pub reporting_value: Option<f64>,
    pub reporting_lower: Option<f64>,
    pub reporting_upper: Option<f64>,
    pub reporting_n: Option<f64>,
    pub differential_direction: Option<String>,
    pub differential_value: Option<f64>,
    pub differential_lower: Option<f64>,
    pub differential_upper: Option<f64>,
}

impl Datastore {
    /// Adds runs, all or none of them, and the request that they are from.
    ///
    /// # Errors
    /// A project or a trace is not there, or the database fails.
    pub async fn insert_runs(
        &self,
        batch: NewBatch,
        runs: Vec<NewMeterRun>,
        now: Micros,
    ) -> Result<Inserted, RepositoryError> {
        let transaction = Transaction::write::<Row>(&self.database).await?;
        refer::<projects::Entity>(&transaction, "project", runs.iter().map(|run| run.project_id)).await?;
        refer::<traces::Entity>(&transaction, "trace", runs.iter().map(|run| run.trace_id)).await?;
        let priority = batch.priority;
        let batch = queue::insert_batch(&transaction, batch, now).await?;
        let first = transaction.new_ids::<Row>(runs.len()).await?;
        let ids: Vec<i64> = (first..).take(runs.len()).collect();
        let rows = ids.clone().into_iter().zip(runs).map(|(id, run)| MeterRun {
            id,
            meter_input: run.input.is_some().then(|| paths::meter_input(id)),
            status: RunStatus::Pending,
            failure_message: None,
            traceback: None,
            model_class: without_zero(run.model_class),
            model_kwargs: run.model_kwargs,
            formatter_class: without_zero(run.formatter_class),
            formatter_kwargs: run.formatter_kwargs,
            added: now,
            updated: now,
            project_id: run.project_id,
            trace_id: run.trace_id,
            batch_id: batch,
            priority,
            attempt: 0,
            holder: 0,
            until: Micros(0),
            cancel_requested: false,
            started: None,
            finished: None,
            input_hash: run.input_hash,
            options: run.options,
            input: run.input,
        });
        transaction.insert_all::<Row>(rows).await?;
        transaction.commit::<Row>().await?;
        Ok(Inserted { batch, ids })
    }

    /// The run with this id.
    ///
    /// # Errors
    /// The database fails.
    pub async fn run(&self, id: i64) -> Result<Option<MeterRun>, RepositoryError> {
        self.one::<Row>(id).await
    }

    /// A page of runs.
    ///
    /// # Errors
    /// The database fails.
    pub async fn runs(&self, filter: &RunFilter, page: Page) -> Result<Vec<MeterRun>, RepositoryError> {
        self.page::<Row>(page, |sql| filter.conditions(sql)).await
    }

    /// The projects of the runs of a request, each once; nothing stands for runs without one.
    ///
    /// # Errors
    /// The database fails.
    pub async fn projects_of_batch(&self, batch: i64) -> Result<Vec<Option<i64>>, RepositoryError> {
        let mut projects = Vec::new();
        let Some(transaction) = Transaction::read::<Row>(&self.database).await? else { return Ok(projects) };
        let sql = "SELECT DISTINCT \"project_id\" FROM \"metering_meterrun\" WHERE \"batch_id\" = ";
        let answer = Sql::new(&transaction.tx, sql).value(batch).query(&transaction.tx, |columns| {
            projects.push(columns.next()?);
            Ok(())
        });
        transaction.reading::<Row, _>(answer.await)?;
        Ok(projects)
    }

    /// Takes up to `most` runs that wait, or whose holder has died, for as long as `lease`: those with the highest priority
    /// first, then those that were asked for first. A run that was begun three times, and whose holder has died each time,
    /// fails.
    ///
    /// # Errors
    /// The database fails.
    pub async fn claim_runs(
        &self,
        holder: i64,
        most: usize,
        lease: Duration,
        now: Micros,
    ) -> Result<Vec<ClaimedRun>, RepositoryError> {
        let claimed = queue::claim::<Row>(&self.database, holder, most, lease, now).await?;
        let Some((transaction, ids)) = claimed else { return Ok(Vec::new()) };
        let claimed_ids = &ids;
        let referred = |column: &str| {
            let runs =
                format!(" WHERE \"id\" IN (SELECT \"{column}\" FROM \"metering_meterrun\" WHERE \"id\" IN ");
            move |sql: Sql| sql.text(&runs).ids(claimed_ids).text(")")
        };
        let projects = transaction.rows_where::<projects::Entity>(referred("project_id")).await?;
        let traces = transaction.rows_where::<traces::Entity>(referred("trace_id")).await?;
        let projects: HashMap<i64, Project> = projects.into_iter().map(|row| (row.id, row)).collect();
        let traces: HashMap<i64, Trace> = traces.into_iter().map(|row| (row.id, row)).collect();
        let in_order = |sql: Sql| {
            sql.text(" WHERE \"id\" IN ").ids(claimed_ids).text(" ORDER BY \"priority\" DESC, \"id\"")
        };
        let runs = transaction.rows_where::<Row>(in_order).await?;
        transaction.commit::<Row>().await?;
        let claimed = |run: MeterRun| ClaimedRun {
            trace: run.trace_id.and_then(|id| traces.get(&id).cloned()),
            project: run.project_id.and_then(|id| projects.get(&id).cloned()),
            run,
        };
        Ok(runs.into_iter().map(claimed).collect())
    }

    /// Ends runs with all that came of them, in one transaction; for each, whether it was still the holder's. If not, nothing
    /// of it is kept.
    ///
    /// # Errors
    /// A result names a place that is not there, or the database fails. Nothing has changed.
    pub async fn finish_runs(
        &self,
        holder: i64,
        runs: Vec<FinishedRun>,
        now: Micros,
    ) -> Result<Vec<bool>, RepositoryError> {
        runs.iter().try_for_each(check_places)?;
        let transaction = Transaction::write::<Row>(&self.database).await?;
        let ids: Vec<i64> = runs.iter().map(|run| run.id).collect();
        let held = queue::held::<Row>(&transaction, holder, &ids).await?;
        let mut held: HashMap<i64, MeterRun> = held.into_iter().map(|row| (row.id, row)).collect();
        let mut answers = Vec::with_capacity(runs.len());
        let mut ends = Vec::with_capacity(held.len());
        let mut results = Vec::with_capacity(held.len());
        for run in runs {
            let row = held.remove(&run.id);
            answers.push(row.is_some());
            let Some(row) = row else { continue };
            let has_input = run.input_hash.is_some();
            let end = End {
                id: run.id,
                ending: run.ending,
                failure_message: run.failure_message,
                traceback: run.traceback,
                input_hash: run.input_hash.or_else(|| row.input_hash.clone()),
                input: row.meter_input.clone().or_else(|| has_input.then(|| paths::meter_input(run.id))),
            };
            if let Some(result) = run.result {
                let status = match run.ending {
                    RunEnding::Success => ResultStatus::Success,
                    RunEnding::Failed | RunEnding::Cancelled => ResultStatus::Failure,
                };
                results.push((row, end.input_hash.clone(), status, *result));
            }
            ends.push(end);
        }
        let result_ids: Vec<i64> = results.iter().map(|(row, ..)| row.id).collect();
        insert_results(&transaction, results, now).await?;
        queue::end::<Row>(&transaction, "meter_input", ends, now).await?;
        let new = |sql: Sql| sql.text("\"id\" IN ").ids(&result_ids);
        super::results::make_current(&transaction, new).await?;
        transaction.commit::<Row>().await?;
        Ok(answers)
    }

    /// Puts runs that have failed or were cancelled back into the queue, as if they were new; returns how many.
    ///
    /// # Errors
    /// The database fails.
    pub async fn retry_runs(&self, which: &RunFilter, now: Micros) -> Result<u64, RepositoryError> {
        let (transaction, ids) = queue::retry::<Row>(&self.database, which, now).await?;
        super::deletion::delete_results(&transaction, &ids).await?;
        transaction.commit::<Row>().await?;
        Ok(ids.len() as u64)
    }
}

/// Checks that all rows are there that are referred to.
async fn refer<E: Table>(
    transaction: &Transaction<'_>,
    what: &'static str,
    ids: impl Iterator<Item = Option<i64>>,
) -> Result<(), RepositoryError> {
    let ids: HashSet<i64> = ids.flatten().collect();
    let ids: Vec<i64> = ids.into_iter().collect();
    let existing = transaction.existing::<E>(&ids).await?;
    match ids.into_iter().find(|id| !existing.contains(id)) {
        Some(id) => Err(missing(what, id)),
        None => Ok(()),
    }
}

fn check_places(run: &FinishedRun) -> Result<(), RepositoryError> {
    let Some(result) = &run.result else { return Ok(()) };
    let periods = result.periods.len();
    let are_periods = result.groups.iter().all(|&(baseline, reporting)| baseline.max(reporting) < periods);
    let are_groups =
        result.derivatives.iter().all(|new| new.group.is_none_or(|group| group < result.groups.len()));
    if are_periods && are_groups {
        return Ok(());
    }
    let problem = "its groups are places of periods, and its derivatives name places of groups".to_string();
    Err(RepositoryError::Invalid { name: format!("the result of meter run {}", run.id), problem })
}

/// New ids of a table, one after the other.
async fn ids_for<E: Table>(
    transaction: &Transaction<'_>,
    count: usize,
) -> Result<Range<i64>, RepositoryError> {
    let first = if count == 0 { 0 } else { transaction.new_ids::<E>(count).await? };
    Ok(first..first + count as i64)
}

/// Adds results of runs with all that belongs to them.
async fn insert_results(
    transaction: &Transaction<'_>,
    results: Vec<(MeterRun, Option<String>, ResultStatus, NewMeterResult)>,
    now: Micros,
) -> Result<(), RepositoryError> {
    let count = |of: fn(&NewMeterResult) -> usize| results.iter().map(|(.., result)| of(result)).sum();
    let models =
        |result: &NewMeterResult| result.periods.iter().filter(|period| period.model.is_some()).count();
    let n_periods = count(|result| result.periods.len());
    let n_groups = count(|result| result.groups.len());
    let n_derivatives = count(|result| result.derivatives.len());
    let mut period_ids = ids_for::<modeling_periods::Entity>(transaction, n_periods).await?;
    let mut group_ids = ids_for::<modeling_period_groups::Entity>(transaction, n_groups).await?;
    let mut model_ids = ids_for::<model_results::Entity>(transaction, count(models)).await?;
    let mut derivative_ids = ids_for::<meter_derivatives::Entity>(transaction, n_derivatives).await?;

    let mut result_rows = Vec::with_capacity(results.len());
    let mut period_rows = Vec::with_capacity(n_periods);
    let mut group_rows = Vec::with_capacity(n_groups);
    let mut model_rows = Vec::with_capacity(n_periods);
    let mut derivative_rows = Vec::with_capacity(n_derivatives);
    for (run, input_hash, status, new) in results {
        let (id, trace_id) = (run.id, run.trace_id);
        let periods: Vec<i64> = period_ids.by_ref().take(new.periods.len()).collect();
        let groups: Vec<i64> = group_ids.by_ref().take(new.groups.len()).collect();
        for (&group, (baseline, reporting)) in groups.iter().zip(new.groups) {
            group_rows.push(ModelingPeriodGroup {
                id: group,
                baseline_id: periods[baseline],
                reporting_id: periods[reporting],
                meter_result_id: id,
            });
        }
        for (period, new) in periods.into_iter().zip(new.periods) {
            if let Some(model) = new.model {
                model_rows.extend(model_ids.next().map(|model_id| ModelResult {
                    id: model_id,
                    status: model.status,
                    traceback: without_zero(model.traceback),
                    start_date: model.start_date,
                    end_date: model.end_date,
                    n_rows: model.n_rows,
                    r2: model.r2,
                    cvrmse: model.cvrmse,
                    rmse: model.rmse,
                    lower: model.lower,
                    upper: model.upper,
                    added: now,
                    updated: now,
                    meter_result_id: id,
                    modeling_period_id: period,
                    trace_id,
                }));
            }
            period_rows.push(ModelingPeriod {
                id: period,
                label: new.label,
                interpretation: new.interpretation,
                start: new.start,
                end: new.end,
                meter_result_id: id,
            });
        }
        let derivatives: Vec<i64> = derivative_ids.by_ref().take(new.derivatives.len()).collect();
        for (derivative, new) in derivatives.into_iter().zip(new.derivatives) {
            derivative_rows.push(MeterDerivative {
                id: derivative,
                interpretation: new.interpretation,
                unit: new.unit,
                baseline_value: new.baseline_value,
                baseline_lower: new.baseline_lower,
                baseline_upper: new.baseline_upper,
                baseline_n: new.baseline_n,
                reporting_value: new.reporting_value,
                reporting_lower: new.reporting_lower,
                reporting_upper: new.reporting_upper,
                reporting_n: new.reporting_n,
                added: now,
                updated: now,
                meter_result_id: id,
                modeling_period_group_id: new.group.map(|group| groups[group]),
                trace_id,
                trace_interpretation: new.trace_interpretation,
                differential_direction: new.differential_direction,
                differential_value: new.differential_value,
                differential_lower: new.differential_lower,
                differential_upper: new.differential_upper,
            });
        }
        result_rows.push(MeterResult {
            id,
            meter_output: Some(paths::meter_output(id)),
            status,
            eemeter_version: new.eemeter_version,
            datastore_version: new.datastore_version,
            model_class: new.model_class,
            model_kwargs: new.model_kwargs,
            formatter_class: new.formatter_class,
            formatter_kwargs: new.formatter_kwargs,
            added: now,
            updated: now,
            meter_run_id: id,
            project_id: run.project_id,
            trace_id,
            input_hash,
            engine_version: new.engine_version,
            weather_station: new.weather_station,
            weather_normal_station: new.weather_normal_station,
            distance_km: new.distance_km,
            coverage: new.coverage,
            warnings: new.warnings,
            pinned: new.pinned,
            models: new.models,
        });
    }
    transaction.insert_all::<meter_results::Entity>(result_rows).await?;
    transaction.insert_all::<modeling_periods::Entity>(period_rows).await?;
    transaction.insert_all::<modeling_period_groups::Entity>(group_rows).await?;
    transaction.insert_all::<model_results::Entity>(model_rows).await?;
    transaction.insert_all::<meter_derivatives::Entity>(derivative_rows).await
}
