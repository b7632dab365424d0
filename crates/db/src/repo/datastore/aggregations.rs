//! Aggregation runs: asked for, claimed, and ended with a figure and what became of each derivative.

use std::collections::HashMap;
use std::time::Duration;

use super::queue::{self, Conditions, End, and_status};
use super::{
    AggregationDerivativeStatus, AggregationResult, AggregationRun, Datastore, Ids, Inserted, MemberStatus,
    Micros, NewBatch, Page, RunEnding, RunStatus, Transaction, missing, paths,
};
use crate::entity::datastore::{
    aggregation_results, aggregation_runs, aggregation_statuses, meter_derivatives, trace_groups,
};
use crate::error::RepositoryError;
use crate::table::Sql;

type Row = aggregation_runs::Entity;
type ResultRow = aggregation_results::Entity;
type StatusRow = aggregation_statuses::Entity;

/// An aggregation that is asked for. See [`AggregationRun`].
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "see `AggregationRun`")]
pub struct NewAggregation {
    pub projects: Vec<i64>,
    pub traces: Vec<i64>,
    pub derivatives: Vec<i64>,
    pub group_id: Option<i64>,
    pub trace_interpretation: Option<String>,
    pub trace_interpretation_given: Option<String>,
    pub derivative_interpretation: Option<String>,
    pub derivative_interpretation_given: Option<String>,
    pub aggregation_interpretation: String,
    pub all_runs: bool,
    pub options: String,
}

/// Which aggregation runs: those for which all is true that is given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AggregationFilter {
    /// Their ids are among these.
    pub ids: Option<Vec<i64>>,
    /// Of this request.
    pub batch: Option<i64>,
    /// Where they stand: one of these, or anywhere if there are none.
    pub statuses: Vec<RunStatus>,
    /// Of these groups.
    pub groups: Option<Vec<i64>>,
    /// That this user has asked for.
    pub owner: Option<String>,
}

/// Which results of aggregations: those for which all is true that is given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AggregationResultFilter {
    /// Their ids, which are those of their runs, are among these.
    pub ids: Option<Vec<i64>>,
    /// Of these groups.
    pub groups: Option<Vec<i64>>,
    /// Of runs that this user has asked for.
    pub owner: Option<String>,
}

/// One more condition on runs: that this user has asked for them.
fn and_owner(sql: Sql, owner: Option<&str>) -> Sql {
    if owner.is_none() {
        return sql;
    }
    let of = " AND \"batch_id\" IN (SELECT \"id\" FROM \"metering_batch\" WHERE TRUE";
    sql.text(of).and_is("\"owner\"", owner).text(")")
}

impl AggregationFilter {
    /// Those that stand there.
    pub fn with_status(status: RunStatus) -> AggregationFilter {
        AggregationFilter { statuses: vec![status], ..AggregationFilter::default() }
    }

    /// Those with these ids.
    pub fn with_ids(ids: Vec<i64>) -> AggregationFilter {
        AggregationFilter { ids: Some(ids), ..AggregationFilter::default() }
    }
}

impl Conditions for AggregationFilter {
    fn conditions(&self, sql: Sql) -> Sql {
        let sql = sql
            .and_is("\"batch_id\"", self.batch)
            .and_in("\"id\"", self.ids.as_deref())
            .and_in("\"group_id\"", self.groups.as_deref());
        and_status(and_owner(sql, self.owner.as_deref()), &self.statuses)
    }
}

/// An aggregation run that has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct FinishedAggregation {
    /// The run.
    pub id: i64,
    /// How it ends.
    pub ending: RunEnding,
    /// Why it has failed.
    pub failure_message: Option<String>,
    /// More about it.
    pub traceback: Option<String>,
    /// The hash of all that its result depends on, once its members are known.
    pub input_hash: Option<String>,
    /// What came of it.
    pub result: Option<Box<NewAggregationResult>>,
}

/// What came of an aggregation run. See [`AggregationResult`].
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "see `AggregationResult`")]
pub struct NewAggregationResult {
    pub trace_interpretation: Option<String>,
    pub derivative_interpretation: Option<String>,
    pub aggregation_interpretation: String,
    pub eemeter_version: Option<String>,
    pub datastore_version: Option<String>,
    pub unit: Option<String>,
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
    pub differential_n: Option<f64>,
    pub engine_version: Option<String>,
    pub warnings: Option<String>,
    pub details: Option<String>,
    /// What became of each derivative, in the order of the aggregation.
    pub statuses: Vec<NewMemberStatus>,
}

/// What an aggregation did with a derivative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "see `AggregationDerivativeStatus`")]
pub struct NewMemberStatus {
    pub derivative_id: i64,
    pub status: MemberStatus,
    pub baseline_status: MemberStatus,
    pub reporting_status: MemberStatus,
}

/// Which derivatives go into an aggregation: the union of what is given, each once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MemberSelection {
    /// Those of the traces of these projects, computed for them.
    pub projects: Vec<i64>,
    /// Those of these traces, for any project.
    pub traces: Vec<i64>,
    /// Those with these ids, whether or not they are current.
    pub derivatives: Vec<i64>,
    /// Of all that, only where traces mean this, by its long name.
    pub trace_interpretation: Option<String>,
    /// Of all that, only what says this.
    pub derivative_interpretation: Option<String>,
    /// All successful runs of a trace for a project count, and not only the current one.
    pub all_runs: bool,
}

/// A derivative that goes into an aggregation. See [`super::MeterDerivative`].
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "see `MeterDerivative`")]
pub struct Member {
    pub id: i64,
    pub trace_interpretation: String,
    pub interpretation: String,
    pub unit: String,
    pub baseline_value: Option<f64>,
    pub baseline_lower: Option<f64>,
    pub baseline_upper: Option<f64>,
    pub baseline_n: Option<f64>,
    pub reporting_value: Option<f64>,
    pub reporting_lower: Option<f64>,
    pub reporting_upper: Option<f64>,
    pub reporting_n: Option<f64>,
}

impl Datastore {
    /// The derivatives that go into an aggregation, by id.
    ///
    /// # Errors
    /// The database fails.
    pub async fn aggregation_members(
        &self,
        selection: &MemberSelection,
    ) -> Result<Vec<Member>, RepositoryError> {
        type DerivativeRow = meter_derivatives::Entity;
        let mut members = Vec::new();
        let Some(transaction) = Transaction::read::<DerivativeRow>(&self.database).await? else {
            return Ok(members);
        };
        let (results, condition) = match selection.all_runs {
            true => ("SELECT \"id\" FROM \"metering_meterresult\"", "\"status\" = 'SUCCESS'"),
            false => ("SELECT \"meter_result_id\" FROM \"metering_current\"", "TRUE"),
        };
        let mut sql = Sql::new(
            &transaction.tx,
            "SELECT \"id\", \"trace_interpretation\", \"interpretation\", \"unit\", \
             \"baseline_value\", \"baseline_lower\", \"baseline_upper\", \"baseline_n\", \
             \"reporting_value\", \"reporting_lower\", \"reporting_upper\", \"reporting_n\" \
             FROM \"metering_meterderivative\" WHERE \"id\" IN (\
             SELECT \"id\" FROM \"metering_meterderivative\" WHERE \"id\" IN ",
        );
        sql = sql.ids(&selection.derivatives);
        for (column, ids) in [("project_id", &selection.projects), ("trace_id", &selection.traces)] {
            if !ids.is_empty() {
                sql = sql
                    .text(" UNION SELECT \"id\" FROM \"metering_meterderivative\" WHERE \"meter_result_id\" IN (")
                    .text(&format!("{results} WHERE {condition}"))
                    .and_in(&format!("\"{column}\""), Some(ids))
                    .text(")");
            }
        }
        let sql = sql
            .text(")")
            .and_is("\"trace_interpretation\"", selection.trace_interpretation.as_deref())
            .and_is("\"interpretation\"", selection.derivative_interpretation.as_deref())
            .text(" ORDER BY \"id\"");
        let answer = sql.query(&transaction.tx, |columns| {
            members.push(Member {
                id: columns.next()?,
                trace_interpretation: columns.next()?,
                interpretation: columns.next()?,
                unit: columns.next()?,
                baseline_value: columns.next()?,
                baseline_lower: columns.next()?,
                baseline_upper: columns.next()?,
                baseline_n: columns.next()?,
                reporting_value: columns.next()?,
                reporting_lower: columns.next()?,
                reporting_upper: columns.next()?,
                reporting_n: columns.next()?,
            });
            Ok(())
        });
        transaction.reading::<DerivativeRow, _>(answer.await)?;
        Ok(members)
    }

    /// Adds aggregation runs, all or none of them, and the request that they are from. That its projects, traces and
    /// derivatives are there is not asked.
    ///
    /// # Errors
    /// A group is not there, or the database fails.
    pub async fn insert_aggregations(
        &self,
        batch: NewBatch,
        runs: Vec<NewAggregation>,
        now: Micros,
    ) -> Result<Inserted, RepositoryError> {
        let transaction = Transaction::write::<Row>(&self.database).await?;
        let groups: Vec<i64> = runs.iter().filter_map(|run| run.group_id).collect();
        let existing = transaction.existing::<trace_groups::Entity>(&groups).await?;
        if let Some(group) = groups.into_iter().find(|group| !existing.contains(group)) {
            return Err(missing("trace group", group));
        }
        let priority = batch.priority;
        let batch = queue::insert_batch(&transaction, batch, now).await?;
        let first = transaction.new_ids::<Row>(runs.len()).await?;
        let ids: Vec<i64> = (first..).take(runs.len()).collect();
        let rows = ids.clone().into_iter().zip(runs).map(|(id, run)| AggregationRun {
            id,
            aggregation_input: None,
            status: RunStatus::Pending,
            failure_message: None,
            traceback: None,
            trace_interpretation: run.trace_interpretation,
            derivative_interpretation: run.derivative_interpretation,
            aggregation_interpretation: run.aggregation_interpretation,
            group_id: run.group_id,
            added: now,
            updated: now,
            batch_id: batch,
            priority,
            attempt: 0,
            holder: 0,
            until: Micros(0),
            cancel_requested: false,
            started: None,
            finished: None,
            trace_interpretation_given: run.trace_interpretation_given,
            derivative_interpretation_given: run.derivative_interpretation_given,
            all_runs: run.all_runs,
            input_hash: None,
            options: run.options,
            projects: Ids(run.projects),
            traces: Ids(run.traces),
            derivatives: Ids(run.derivatives),
        });
        transaction.insert_all::<Row>(rows).await?;
        transaction.commit::<Row>().await?;
        Ok(Inserted { batch, ids })
    }

    /// The aggregation run with this id.
    ///
    /// # Errors
    /// The database fails.
    pub async fn aggregation(&self, id: i64) -> Result<Option<AggregationRun>, RepositoryError> {
        self.one::<Row>(id).await
    }

    /// A page of aggregation runs.
    ///
    /// # Errors
    /// The database fails.
    pub async fn aggregations(
        &self,
        filter: &AggregationFilter,
        page: Page,
    ) -> Result<Vec<AggregationRun>, RepositoryError> {
        self.page::<Row>(page, |sql| filter.conditions(sql)).await
    }

    /// Takes aggregation runs, see [`Datastore::claim_runs`].
    ///
    /// # Errors
    /// The database fails.
    pub async fn claim_aggregations(
        &self,
        holder: i64,
        most: usize,
        lease: Duration,
        now: Micros,
    ) -> Result<Vec<AggregationRun>, RepositoryError> {
        let claimed = queue::claim::<Row>(&self.database, holder, most, lease, now).await?;
        let Some((transaction, ids)) = claimed else { return Ok(Vec::new()) };
        let in_order =
            |sql: Sql| sql.text(" WHERE \"id\" IN ").ids(&ids).text(" ORDER BY \"priority\" DESC, \"id\"");
        let runs = transaction.rows_where::<Row>(in_order).await?;
        transaction.commit::<Row>().await?;
        Ok(runs)
    }

    /// Ends aggregation runs with all that came of them, in one transaction; for each, whether it was still the holder's. If
    /// not, nothing of it is kept.
    ///
    /// # Errors
    /// The database fails. Nothing has changed.
    pub async fn finish_aggregations(
        &self,
        holder: i64,
        runs: Vec<FinishedAggregation>,
        now: Micros,
    ) -> Result<Vec<bool>, RepositoryError> {
        let transaction = Transaction::write::<Row>(&self.database).await?;
        let ids: Vec<i64> = runs.iter().map(|run| run.id).collect();
        let held = queue::held::<Row>(&transaction, holder, &ids).await?;
        let mut held: HashMap<i64, AggregationRun> = held.into_iter().map(|row| (row.id, row)).collect();
        let (mut answers, mut ends) = (Vec::with_capacity(runs.len()), Vec::with_capacity(runs.len()));
        for run in runs {
            let is_held = held.remove(&run.id).is_some();
            answers.push(is_held);
            if !is_held {
                continue;
            }
            let end = End {
                id: run.id,
                ending: run.ending,
                failure_message: run.failure_message,
                traceback: run.traceback,
                input: run.input_hash.is_some().then(|| paths::aggregation_input(run.id)),
                input_hash: run.input_hash,
            };
            if let Some(result) = run.result {
                insert_result(&transaction, run.id, end.input_hash.clone(), *result, now).await?;
            }
            ends.push(end);
        }
        queue::end::<Row>(&transaction, "aggregation_input", ends, now).await?;
        transaction.commit::<Row>().await?;
        Ok(answers)
    }

    /// Puts aggregation runs that have failed or were cancelled back into the queue, as if they were new; returns how many.
    ///
    /// # Errors
    /// The database fails.
    pub async fn retry_aggregations(
        &self,
        which: &AggregationFilter,
        now: Micros,
    ) -> Result<u64, RepositoryError> {
        let (transaction, ids) = queue::retry::<Row>(&self.database, which, now).await?;
        delete_results(&transaction, &ids).await?;
        transaction.commit::<Row>().await?;
        Ok(ids.len() as u64)
    }

    /// Removes aggregation runs with all that came of them; returns how many.
    ///
    /// # Errors
    /// The database fails.
    pub async fn delete_aggregations(&self, which: &AggregationFilter) -> Result<u64, RepositoryError> {
        let transaction = Transaction::write::<Row>(&self.database).await?;
        let deleted = delete_aggregations(&transaction, which).await?;
        transaction.commit::<Row>().await?;
        Ok(deleted)
    }

    /// The result with this id, which is that of its run.
    ///
    /// # Errors
    /// The database fails.
    pub async fn aggregation_result(&self, id: i64) -> Result<Option<AggregationResult>, RepositoryError> {
        self.one::<ResultRow>(id).await
    }

    /// A page of the results of aggregations.
    ///
    /// # Errors
    /// The database fails.
    pub async fn aggregation_results(
        &self,
        filter: &AggregationResultFilter,
        page: Page,
    ) -> Result<Vec<AggregationResult>, RepositoryError> {
        let AggregationResultFilter { ids, groups, owner } = filter;
        let conditions = |sql: Sql| {
            let sql = sql.and_in("\"id\"", ids.as_deref());
            if groups.is_none() && owner.is_none() {
                return sql;
            }
            let of =
                " AND \"aggregation_run_id\" IN (SELECT \"id\" FROM \"metering_aggregationrun\" WHERE TRUE";
            let sql = sql.text(of).and_in("\"group_id\"", groups.as_deref());
            and_owner(sql, owner.as_deref()).text(")")
        };
        self.page::<ResultRow>(page, conditions).await
    }

    /// A page of what became of the derivatives of an aggregation, in its order.
    ///
    /// # Errors
    /// The database fails.
    pub async fn aggregation_statuses(
        &self,
        result: i64,
        page: Page,
    ) -> Result<Vec<AggregationDerivativeStatus>, RepositoryError> {
        self.page::<StatusRow>(page, |sql| sql.and_is("\"aggregation_result_id\"", Some(result))).await
    }
}

/// Adds the result of an aggregation run.
async fn insert_result(
    transaction: &Transaction<'_>,
    id: i64,
    input_hash: Option<String>,
    new: NewAggregationResult,
    now: Micros,
) -> Result<(), RepositoryError> {
    let statuses = &new.statuses;
    let count = |of: fn(&NewMemberStatus) -> MemberStatus, status| {
        statuses.iter().filter(|member| of(member) == status).count() as i64
    };
    let row = AggregationResult {
        id,
        aggregation_input: Some(paths::aggregation_output(id)),
        trace_interpretation: new.trace_interpretation,
        derivative_interpretation: new.derivative_interpretation,
        aggregation_interpretation: new.aggregation_interpretation,
        eemeter_version: new.eemeter_version,
        datastore_version: new.datastore_version,
        unit: new.unit,
        baseline_value: new.baseline_value,
        baseline_lower: new.baseline_lower,
        baseline_upper: new.baseline_upper,
        baseline_n: new.baseline_n,
        reporting_value: new.reporting_value,
        reporting_lower: new.reporting_lower,
        reporting_upper: new.reporting_upper,
        reporting_n: new.reporting_n,
        differential_direction: new.differential_direction,
        differential_value: new.differential_value,
        differential_lower: new.differential_lower,
        differential_upper: new.differential_upper,
        differential_n: new.differential_n,
        added: now,
        updated: now,
        aggregation_run_id: id,
        n_derivatives: statuses.len() as i64,
        n_accepted: count(|member| member.status, MemberStatus::Accepted),
        n_accepted_baseline: count(|member| member.baseline_status, MemberStatus::Accepted),
        n_accepted_reporting: count(|member| member.reporting_status, MemberStatus::Accepted),
        n_rejected: count(|member| member.status, MemberStatus::Rejected),
        n_rejected_baseline: count(|member| member.baseline_status, MemberStatus::Rejected),
        n_rejected_reporting: count(|member| member.reporting_status, MemberStatus::Rejected),
        input_hash,
        engine_version: new.engine_version,
        warnings: new.warnings,
        details: new.details,
    };
    transaction.insert_all::<ResultRow>([row]).await?;
    let first = transaction.new_ids::<StatusRow>(new.statuses.len()).await?;
    let rows = (first..).zip(new.statuses).map(|(row, member)| AggregationDerivativeStatus {
        id: row,
        status: member.status,
        baseline_status: member.baseline_status,
        reporting_status: member.reporting_status,
        aggregation_result_id: id,
        derivative_id: member.derivative_id,
    });
    transaction.insert_all::<StatusRow>(rows).await
}

/// Removes aggregation runs with all that came of them; returns how many.
pub(super) async fn delete_aggregations(
    transaction: &Transaction<'_>,
    which: &AggregationFilter,
) -> Result<u64, RepositoryError> {
    let all = Sql::new(&transaction.tx, "SELECT \"id\" FROM \"metering_aggregationrun\" WHERE TRUE");
    let ids = transaction.query_ids::<Row>(which.conditions(all)).await?;
    delete_results(transaction, &ids).await?;
    transaction.delete_where::<Row>("id", &ids).await
}

async fn delete_results(transaction: &Transaction<'_>, ids: &[i64]) -> Result<(), RepositoryError> {
    transaction.delete_where::<StatusRow>("aggregation_result_id", ids).await?;
    transaction.delete_where::<ResultRow>("id", ids).await.map(drop)
}
