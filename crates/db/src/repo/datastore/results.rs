//! Results of meter runs and their derivatives, and which of them are current.

use std::collections::HashMap;

use super::{
    Datastore, MeterDerivative, MeterResult, ModelResult, ModelingPeriod, ModelingPeriodGroup, Page,
    ResultStatus, Seen, Transaction,
};
use crate::entity::datastore::{
    current, meter_derivatives, meter_results, model_results, modeling_period_groups, modeling_periods,
};
use crate::error::RepositoryError;
use crate::table::Sql;

type Row = meter_results::Entity;
type DerivativeRow = meter_derivatives::Entity;

/// Which results of meter runs: those for which all is true that is given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResultFilter {
    /// Their ids are among these.
    pub ids: Option<Vec<i64>>,
    /// Of these projects.
    pub projects: Option<Vec<i64>>,
    /// Of these traces.
    pub traces: Option<Vec<i64>>,
    /// With figures, or without.
    pub status: Option<ResultStatus>,
    /// Only those that count for their trace and project.
    pub current: bool,
    /// That may be seen.
    pub seen: Option<Seen>,
}

impl ResultFilter {
    fn conditions(&self, sql: Sql) -> Sql {
        let sql = sql
            .and_in("\"id\"", self.ids.as_deref())
            .and_in("\"project_id\"", self.projects.as_deref())
            .and_in("\"trace_id\"", self.traces.as_deref())
            .and_is("\"status\"", self.status);
        and_current(Seen::and(self.seen.as_ref(), sql), "\"id\"", self.current)
    }
}

/// Which derivatives: those for which all is true that is given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DerivativeFilter {
    /// Their ids are among these.
    pub ids: Option<Vec<i64>>,
    /// Of these projects.
    pub projects: Option<Vec<i64>>,
    /// Of these traces.
    pub traces: Option<Vec<i64>>,
    /// Of these results.
    pub meter_results: Option<Vec<i64>>,
    /// What they say.
    pub interpretation: Option<String>,
    /// What their traces mean, by its long name.
    pub trace_interpretation: Option<String>,
    /// Only those of results that count for their trace and project.
    pub current: bool,
    /// That may be seen.
    pub seen: Option<Seen>,
}

impl DerivativeFilter {
    fn conditions(&self, sql: Sql) -> Sql {
        let sql = sql
            .and_in("\"id\"", self.ids.as_deref())
            .and_in("\"trace_id\"", self.traces.as_deref())
            .and_in("\"meter_result_id\"", self.meter_results.as_deref())
            .and_is("\"interpretation\"", self.interpretation.as_deref())
            .and_is("\"trace_interpretation\"", self.trace_interpretation.as_deref());
        let sql = match (&self.projects, &self.seen) {
            (None, None) => sql,
            (projects, seen) => {
                let of =
                    " AND \"meter_result_id\" IN (SELECT \"id\" FROM \"metering_meterresult\" WHERE TRUE";
                let sql = sql.text(of).and_in("\"project_id\"", projects.as_deref());
                Seen::and(seen.as_ref(), sql).text(")")
            }
        };
        and_current(sql, "\"meter_result_id\"", self.current)
    }
}

/// One more condition, if only what is current is wanted: a list that is as long as there are traces, however many runs they had.
fn and_current(sql: Sql, result: &str, current: bool) -> Sql {
    if !current {
        return sql;
    }
    sql.text(&format!(" AND {result} IN (SELECT \"meter_result_id\" FROM \"metering_current\")"))
}

/// What belongs to results, each list by id.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "the types say it")]
pub struct ResultParts {
    pub periods: Vec<ModelingPeriod>,
    pub groups: Vec<ModelingPeriodGroup>,
    pub models: Vec<ModelResult>,
    pub derivatives: Vec<MeterDerivative>,
}

impl Datastore {
    /// The result with this id, which is that of its run.
    ///
    /// # Errors
    /// The database fails.
    pub async fn meter_result(&self, id: i64) -> Result<Option<MeterResult>, RepositoryError> {
        self.one::<Row>(id).await
    }

    /// A page of results.
    ///
    /// # Errors
    /// The database fails.
    pub async fn meter_results(
        &self,
        filter: &ResultFilter,
        page: Page,
    ) -> Result<Vec<MeterResult>, RepositoryError> {
        self.page::<Row>(page, |sql| filter.conditions(sql)).await
    }

    /// What belongs to results.
    ///
    /// # Errors
    /// The database fails.
    pub async fn result_parts(&self, results: &[i64]) -> Result<ResultParts, RepositoryError> {
        // One view: they belong together.
        let Some(transaction) = Transaction::read::<Row>(&self.database).await? else {
            return Ok(ResultParts::default());
        };
        let of_these =
            |sql: Sql| sql.text(" WHERE \"meter_result_id\" IN ").ids(results).text(" ORDER BY \"id\"");
        Ok(ResultParts {
            periods: transaction.rows_where::<modeling_periods::Entity>(of_these).await?,
            groups: transaction.rows_where::<modeling_period_groups::Entity>(of_these).await?,
            models: transaction.rows_where::<model_results::Entity>(of_these).await?,
            derivatives: transaction.rows_where::<DerivativeRow>(of_these).await?,
        })
    }

    /// The latest successful result with each of these inputs, as far as there is one, that this version of the arithmetic has
    /// made: its id, by the hash of the input.
    ///
    /// # Errors
    /// The database fails.
    pub async fn earlier_results(
        &self,
        input_hashes: &[&str],
        engine_version: &str,
    ) -> Result<HashMap<String, i64>, RepositoryError> {
        let mut results = HashMap::new();
        let Some(transaction) = Transaction::read::<Row>(&self.database).await? else { return Ok(results) };
        let sql = "SELECT \"input_hash\", MAX(\"id\") FROM \"metering_meterresult\" WHERE \"input_hash\" IN ";
        let sql = Sql::new(&transaction.tx, sql)
            .texts(input_hashes)
            .text(" AND \"status\" = 'SUCCESS' AND \"engine_version\" = ")
            .value(engine_version)
            .text(" GROUP BY \"input_hash\"");
        let answer = sql.query(&transaction.tx, |columns| {
            results.insert(columns.next()?, columns.next()?);
            Ok(())
        });
        transaction.reading::<Row, _>(answer.await)?;
        Ok(results)
    }

    /// The derivative with this id.
    ///
    /// # Errors
    /// The database fails.
    pub async fn derivative(&self, id: i64) -> Result<Option<MeterDerivative>, RepositoryError> {
        self.one::<DerivativeRow>(id).await
    }

    /// A page of derivatives.
    ///
    /// # Errors
    /// The database fails.
    pub async fn derivatives(
        &self,
        filter: &DerivativeFilter,
        page: Page,
    ) -> Result<Vec<MeterDerivative>, RepositoryError> {
        self.page::<DerivativeRow>(page, |sql| filter.conditions(sql)).await
    }
}

/// Makes results current where none that is later is: those for which `which` is true.
pub(super) async fn make_current(
    transaction: &Transaction<'_>,
    which: impl FnOnce(Sql) -> Sql,
) -> Result<(), RepositoryError> {
    let sql = "INSERT INTO \"metering_current\" (\"project_id\", \"trace_id\", \"meter_result_id\") \
        SELECT COALESCE(\"project_id\", 0), \"trace_id\", MAX(\"id\") FROM \"metering_meterresult\" WHERE ";
    let sql = which(Sql::new(&transaction.tx, sql)).text(
        " AND \"status\" = 'SUCCESS' AND \"trace_id\" IS NOT NULL \
         GROUP BY COALESCE(\"project_id\", 0), \"trace_id\" \
         ON CONFLICT (\"project_id\", \"trace_id\") DO UPDATE SET \"meter_result_id\" = excluded.\"meter_result_id\" \
         WHERE excluded.\"meter_result_id\" > \"metering_current\".\"meter_result_id\"",
    );
    transaction.run::<current::Entity>(sql).await.map(drop)
}
