//! Projects, traces, and the runs that make figures of them: meter runs, whose results have derivatives, and aggregation runs,
//! which add those up. The records of traces are series in the store, not here.
//!
//! Rows are structs with the names that their tables have, see [`Project`] and the others. Lists are ordered by id and come
//! page by page. Runs are queued, claimed, renewed and ended as jobs are (`repo::jobs`), thousands at a time.
//!
//! In the order of reading: `upsert` (names that are unique), `projects`, `traces`, `links` (what connects both), `filter` and
//! `groups`, `queue` (what both kinds of runs have in common), `meter_runs`, `results`, `aggregations`, `marts`, and `deletion`.

mod aggregations;
mod deletion;
mod filter;
mod groups;
mod links;
mod marts;
mod meter_runs;
mod projects;
mod queue;
mod results;
mod traces;
mod upsert;

use std::collections::HashSet;

use super::Transaction;
use crate::Database;
use crate::entity::datastore::sequences;
use crate::error::RepositoryError;
use crate::table::{Existing, Sql, Table, delete, insert, select, table_name};

pub use crate::entity::datastore::{
    AggregationDerivativeStatus, AggregationResult, AggregationRun, Batch, BlacklistedTrace, Ids,
    MemberStatus, MeterDerivative, MeterResult, MeterRun, Micros, ModelResult, ModelingPeriod,
    ModelingPeriodGroup, Project, ProjectMetadata, ProjectOwner, ProjectTrace, ResultStatus, RunStatus,
    Trace, TraceGroup, UnknownWord,
};
pub use aggregations::{
    AggregationFilter, AggregationResultFilter, FinishedAggregation, Member, MemberSelection, NewAggregation,
    NewAggregationResult, NewMemberStatus,
};
pub use filter::{Comparison, FilterError, Operator, Scalar, Target, TraceFilter};
pub use links::{MappingFilter, MetadataFilter, NewMetadata};
pub use marts::{MARTS, Mart, MartType, MartValue};
pub use meter_runs::{
    ClaimedRun, FinishedRun, NewDerivative, NewMeterResult, NewMeterRun, NewModelResult, NewPeriod, RunFilter,
};
pub use projects::{ProjectFilter, ProjectPatch, Range};
pub use queue::{Cancelled, Inserted, NewBatch, Progress, RunEnding};
pub use results::{DerivativeFilter, ResultFilter, ResultParts};
pub use traces::{TraceListFilter, TracePatch, TraceRecords};
pub use upsert::{Change, OnError, Upserted};

/// Where the inputs and outputs of runs are, as paths at this server.
mod paths {
    pub(super) fn meter_input(run: i64) -> String {
        format!("/api/v1/meter_runs/{run}/input/")
    }

    pub(super) fn meter_output(result: i64) -> String {
        format!("/api/v1/meter_results/{result}/output/")
    }

    pub(super) fn aggregation_input(run: i64) -> String {
        format!("/api/v1/aggregation_runs/{run}/input/")
    }

    pub(super) fn aggregation_output(result: i64) -> String {
        format!("/api/v1/aggregation_results/{result}/output/")
    }
}

/// The longest name, in characters.
const LONGEST_NAME: usize = 255;

/// A part of a list that is ordered by id: all of it by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// What comes after this id.
    pub after: i64,
    /// At most so many.
    pub limit: Option<usize>,
}

impl Page {
    /// All there is.
    pub const ALL: Page = Page { after: i64::MIN, limit: None };
}

impl Default for Page {
    fn default() -> Page {
        Page::ALL
    }
}

/// Whose rows may be seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Those of these projects.
    pub projects: Vec<i64>,
    /// Those of no project, too.
    pub without_project: bool,
}

impl Seen {
    /// One more condition on rows that have a project, or none.
    fn and(seen: Option<&Seen>, sql: Sql) -> Sql {
        let Some(seen) = seen else { return sql };
        let sql = sql.text(" AND (FALSE");
        let sql = match &seen.projects[..] {
            [] => sql,
            projects => sql.text(" OR \"project_id\" IN ").ids(projects),
        };
        sql.text(if seen.without_project { " OR \"project_id\" IS NULL)" } else { ")" })
    }
}

/// Projects, traces, meter runs and aggregation runs. Times are those of whoever calls.
#[derive(Clone, Debug)]
pub struct Datastore {
    database: Database,
}

impl Datastore {
    pub(crate) fn new(database: Database) -> Datastore {
        Datastore { database }
    }

    /// The row with this id.
    async fn one<E: Table>(&self, id: i64) -> Result<Option<E::Row>, RepositoryError> {
        let rows = self.rows::<E>(|sql| sql.text(" WHERE \"id\" = ").value(id)).await?;
        Ok(rows.into_iter().next())
    }

    /// A page of the rows for which more is true.
    async fn page<E: Table>(
        &self,
        page: Page,
        conditions: impl FnOnce(Sql) -> Sql + Send,
    ) -> Result<Vec<E::Row>, RepositoryError> {
        let limit = page.limit.map_or(u64::MAX, |limit| limit as u64);
        let condition =
            |sql: Sql| conditions(sql.text(" WHERE \"id\" > ").value(page.after)).page("\"id\"", limit);
        self.rows::<E>(condition).await
    }

    async fn rows<E: Table>(
        &self,
        condition: impl FnOnce(Sql) -> Sql + Send,
    ) -> Result<Vec<E::Row>, RepositoryError> {
        let Some(transaction) = Transaction::read::<E>(&self.database).await? else { return Ok(Vec::new()) };
        let sql = condition(select::<E>(&transaction.tx));
        transaction.reading::<E, _>(sql.rows::<E>(&transaction.tx).await)
    }
}

/// Which kinds of rows can be asked for by their ids alone.
macro_rules! existing {
    ($($(#[$doc:meta])* $name:ident of $module:ident),*) => {
        impl Datastore {
            $($(#[$doc])*
            ///
            /// # Errors
            /// The database fails.
            pub async fn $name(&self, ids: &[i64]) -> Result<HashSet<i64>, RepositoryError> {
                type Row = crate::entity::datastore::$module::Entity;
                match Transaction::read::<Row>(&self.database).await? {
                    Some(transaction) => transaction.existing::<Row>(ids).await,
                    None => Ok(HashSet::new()),
                }
            })*
        }
    };
}

existing!(
    /// Those of these ids that projects have.
    existing_projects of projects,
    /// Those of these ids that derivatives have.
    existing_derivatives of meter_derivatives
);

impl Transaction<'_> {
    async fn rows_where<E: Table>(
        &self,
        condition: impl FnOnce(Sql) -> Sql + Send,
    ) -> Result<Vec<E::Row>, RepositoryError> {
        let sql = condition(select::<E>(&self.tx));
        self.reading::<E, _>(sql.rows::<E>(&self.tx).await)
    }

    /// The ids that a query on the table answers with.
    async fn query_ids<E: Table>(&self, sql: Sql) -> Result<Vec<i64>, RepositoryError> {
        let mut ids = Vec::new();
        let answer = sql.query(&self.tx, |columns| {
            ids.push(columns.next()?);
            Ok(())
        });
        self.reading::<E, _>(answer.await)?;
        Ok(ids)
    }

    /// Runs a statement that changes the table; returns how many rows it changed.
    async fn run<E: Table>(&self, sql: Sql) -> Result<u64, RepositoryError> {
        let changed = sql.execute(&self.tx).await;
        self.changing::<E, _>(changed)
    }

    /// Removes the rows whose column has one of these ids; returns how many.
    async fn delete_where<E: Table>(&self, column: &str, ids: &[i64]) -> Result<u64, RepositoryError> {
        if ids.is_empty() {
            return Ok(0);
        }
        let sql = delete::<E>(&self.tx).text(" WHERE TRUE").and_in(&format!("\"{column}\""), Some(ids));
        self.run::<E>(sql).await
    }

    /// Adds rows that are not there.
    async fn insert_all<E: Table>(
        &self,
        rows: impl IntoIterator<Item = E::Row>,
    ) -> Result<(), RepositoryError> {
        let inserted = insert::<E>(&self.tx, rows, Existing::Refuse).await;
        self.changing::<E, _>(inserted)
    }

    /// Replaces rows that are there.
    async fn replace_all<E: Table>(&self, rows: Vec<E::Row>) -> Result<(), RepositoryError> {
        let replaced = insert::<E>(&self.tx, rows, Existing::Replace).await;
        self.changing::<E, _>(replaced)
    }

    /// Which of these ids there are in the table.
    async fn existing<E: Table>(&self, ids: &[i64]) -> Result<HashSet<i64>, RepositoryError> {
        if ids.is_empty() {
            return Ok(HashSet::new());
        }
        let sql =
            Sql::new(&self.tx, format!("SELECT \"id\" FROM \"{}\" WHERE \"id\" IN ", table_name::<E>()));
        Ok(self.query_ids::<E>(sql.ids(ids)).await?.into_iter().collect())
    }

    /// Takes ids for new rows of the table; returns the first of them, the others follow it.
    async fn new_ids<E: Table>(&self, count: usize) -> Result<i64, RepositoryError> {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let sql = Sql::new(&self.tx, "INSERT INTO \"datastore_sequences\" (\"name\", \"last\") VALUES (")
            .value(table_name::<E>())
            .text(", ")
            .value(count)
            .text(
                ") ON CONFLICT (\"name\") DO UPDATE \
                 SET \"last\" = \"datastore_sequences\".\"last\" + excluded.\"last\" RETURNING \"last\"",
            );
        let last = self.query_ids::<sequences::Entity>(sql).await?.pop().unwrap_or(count);
        Ok(last - count + 1)
    }
}

/// Checks a name, or another short text that must be something.
fn check_name(what: &str, text: &str) -> Result<(), RepositoryError> {
    if text.is_empty() || text.chars().count() > LONGEST_NAME || text.contains('\0') {
        let problem = format!("it must have 1 to {LONGEST_NAME} characters, and none of them may be zero");
        return Err(RepositoryError::Invalid { name: what.to_string(), problem });
    }
    Ok(())
}

/// PostgreSQL has no texts with a zero character.
fn without_zero(text: Option<String>) -> Option<String> {
    text.map(|text| if text.contains('\0') { text.replace('\0', "") } else { text })
}

fn missing(what: &'static str, id: impl ToString) -> RepositoryError {
    RepositoryError::Missing { what, value: id.to_string() }
}
