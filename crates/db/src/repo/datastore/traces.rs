//! Traces: what is known of them beside their records.

use std::collections::HashMap;

use sea_orm::Value;

use super::projects::set;
use super::upsert::Named;
use super::{
    BlacklistedTrace, Datastore, Micros, OnError, Page, Trace, Transaction, Upserted, check_name,
    without_zero,
};
use crate::entity::datastore::{trace_blacklist, traces};
use crate::error::RepositoryError;
use crate::table::{Keep, Sql, update_keeping};

type Row = traces::Entity;
type BlacklistRow = trace_blacklist::Entity;

/// Changes of a trace, or what a new one is: what is `None` stays as it is. A new one needs an interpretation, a unit and a
/// name.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "see `Trace`")]
pub struct TracePatch {
    pub interpretation: Option<String>,
    pub unit: Option<String>,
    pub interval: Option<Option<String>>,
    pub name: Option<String>,
}

/// Which traces: those for which all is true that is given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TraceListFilter {
    /// Their ids are among these.
    pub ids: Option<Vec<i64>>,
    /// They are traces of one of these projects.
    pub projects: Option<Vec<i64>>,
    /// What their people call them.
    pub trace_id: Option<String>,
    /// What they mean, by its long name.
    pub interpretation: Option<String>,
    /// What their people call them is among these.
    pub named: Option<Vec<String>>,
}

impl TraceListFilter {
    fn conditions(&self, sql: Sql) -> Sql {
        let sql = sql
            .and_is("\"trace_id\"", self.trace_id.as_deref())
            .and_is("\"interpretation\"", self.interpretation.as_deref())
            .and_in("\"id\"", self.ids.as_deref());
        let sql = match &self.named {
            Some(named) => {
                let named: Vec<&str> = named.iter().map(String::as_str).collect();
                sql.text(" AND \"trace_id\" IN ").texts(&named)
            }
            None => sql,
        };
        match &self.projects {
            Some(projects) => sql
                .text(" AND \"id\" IN (SELECT \"trace_id\" FROM \"datastore_project_traces\" WHERE TRUE")
                .and_in("\"project_id\"", Some(projects))
                .text(")"),
            None => sql,
        }
    }
}

/// What the records of a trace are now.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "see `Trace`")]
pub struct TraceRecords {
    pub id: i64,
    pub sample_period: Option<String>,
    pub n_records: i64,
    pub first_start: Option<Micros>,
    pub last_start: Option<Micros>,
}

impl Named for Row {
    type Patch = TracePatch;
    /// The names that the changes give, and the traces that have them.
    type Context = HashMap<String, String>;

    const WHAT: &'static str = "trace";
    const NAME: &'static str = "trace_id";

    fn id(row: &Trace) -> i64 {
        row.id
    }

    fn name(row: &mut Trace) -> &mut String {
        &mut row.trace_id
    }

    fn new(id: i64, trace_id: String, now: Micros) -> Trace {
        Trace {
            id,
            trace_id,
            interpretation: String::new(),
            unit: String::new(),
            added: now,
            updated: now,
            interval: None,
            name: String::new(),
            sample_period: None,
            n_records: 0,
            first_start: None,
            last_start: None,
        }
    }

    fn apply(row: &mut Trace, patch: TracePatch) {
        set(&mut row.interpretation, patch.interpretation);
        set(&mut row.unit, patch.unit);
        set(&mut row.interval, patch.interval.map(without_zero));
        set(&mut row.name, patch.name);
    }

    fn touch(row: &mut Trace, now: Micros) {
        row.updated = now;
    }

    async fn context(
        transaction: &Transaction<'_>,
        patches: &[&TracePatch],
    ) -> Result<HashMap<String, String>, RepositoryError> {
        let names: Vec<&str> = patches.iter().filter_map(|patch| patch.name.as_deref()).collect();
        let rows = transaction.rows_where::<Row>(|sql| sql.text(" WHERE \"name\" IN ").texts(&names)).await?;
        Ok(rows.into_iter().map(|row| (row.name, row.trace_id)).collect())
    }

    fn check(names: &mut HashMap<String, String>, row: &Trace) -> Result<(), RepositoryError> {
        check_name("interpretation", &row.interpretation)?;
        check_name("unit", &row.unit)?;
        check_name("name", &row.name)?;
        match names.get(&row.name) {
            Some(other) if *other != row.trace_id => {
                Err(RepositoryError::Exists { what: Row::WHAT, field: "name", value: row.name.clone() })
            }
            Some(_) => Ok(()),
            None => {
                names.insert(row.name.clone(), row.trace_id.clone());
                Ok(())
            }
        }
    }
}

impl Named for BlacklistRow {
    /// The reason.
    type Patch = Option<String>;
    type Context = ();

    const WHAT: &'static str = "blacklisted trace";
    const NAME: &'static str = "trace_id";

    fn id(row: &BlacklistedTrace) -> i64 {
        row.id
    }

    fn name(row: &mut BlacklistedTrace) -> &mut String {
        &mut row.trace_id
    }

    fn new(id: i64, trace_id: String, _: Micros) -> BlacklistedTrace {
        BlacklistedTrace { id, trace_id, reason: None }
    }

    fn apply(row: &mut BlacklistedTrace, reason: Option<String>) {
        row.reason = without_zero(reason);
    }

    fn touch(_: &mut BlacklistedTrace, _: Micros) {}

    async fn context(_: &Transaction<'_>, _: &[&Option<String>]) -> Result<(), RepositoryError> {
        Ok(())
    }

    fn check((): &mut (), _: &BlacklistedTrace) -> Result<(), RepositoryError> {
        Ok(())
    }
}

impl Datastore {
    /// Adds a trace.
    ///
    /// # Errors
    /// There is one with this id or name, something in it is missing or can't be kept, or the database fails.
    pub async fn create_trace(
        &self,
        trace_id: String,
        trace: TracePatch,
        now: Micros,
    ) -> Result<Trace, RepositoryError> {
        self.create_named::<Row>(trace_id, trace, now).await
    }

    /// Changes a trace, also its `trace_id` if one is given; `None` if there is none with this id.
    ///
    /// # Errors
    /// As of [`Datastore::create_trace`].
    pub async fn update_trace(
        &self,
        id: i64,
        trace_id: Option<String>,
        patch: TracePatch,
        now: Micros,
    ) -> Result<Option<Trace>, RepositoryError> {
        let renames = patch.name.is_some();
        let updated = self.update_named::<Row>(id, trace_id, patch, now).await?;
        if renames {
            self.mappings_changed().await?;
        }
        Ok(updated)
    }

    /// Adds traces, or changes those whose `trace_id` is there already; one answer for each, in their order. All in one
    /// transaction.
    ///
    /// # Errors
    /// The database fails. What is wrong with single ones is in the answers.
    pub async fn upsert_traces(
        &self,
        traces: Vec<(String, TracePatch)>,
        on_error: OnError,
        now: Micros,
    ) -> Result<Vec<Result<Upserted, RepositoryError>>, RepositoryError> {
        self.upsert_named::<Row>(traces, on_error, now).await
    }

    /// Says what the records of traces are, after some were written; no trace must come twice. Traces that are gone are left
    /// out. Records only become more, and earlier and later ones: of two who say so at the same time, none is forgotten.
    ///
    /// # Errors
    /// The database fails.
    pub async fn set_trace_records(
        &self,
        records: Vec<TraceRecords>,
        now: Micros,
    ) -> Result<(), RepositoryError> {
        const COLUMNS: [(&str, Keep); 5] = [
            ("sample_period", Keep::New),
            ("n_records", Keep::Greater),
            ("first_start", Keep::Less),
            ("last_start", Keep::Greater),
            ("updated", Keep::New),
        ];
        let values: Vec<Value> = records
            .into_iter()
            .flat_map(|records| {
                let TraceRecords { id, sample_period, n_records, first_start, last_start } = records;
                [
                    id.into(),
                    sample_period.into(),
                    n_records.into(),
                    first_start.into(),
                    last_start.into(),
                    now.into(),
                ]
            })
            .collect();
        let transaction = Transaction::write::<Row>(&self.database).await?;
        let updated = update_keeping::<Row>(&transaction.tx, &COLUMNS, values).await;
        transaction.changing::<Row, _>(updated)?;
        transaction.commit::<Row>().await
    }

    /// The trace with this id.
    ///
    /// # Errors
    /// The database fails.
    pub async fn trace(&self, id: i64) -> Result<Option<Trace>, RepositoryError> {
        self.one::<Row>(id).await
    }

    /// The trace that its people call so.
    ///
    /// # Errors
    /// The database fails.
    pub async fn find_trace(&self, trace_id: &str) -> Result<Option<Trace>, RepositoryError> {
        self.find_named::<Row>(trace_id).await
    }

    /// A page of traces.
    ///
    /// # Errors
    /// The database fails.
    pub async fn traces(&self, filter: &TraceListFilter, page: Page) -> Result<Vec<Trace>, RepositoryError> {
        self.page::<Row>(page, |sql| filter.conditions(sql)).await
    }

    /// The id and `trace_id` of all traces, by id.
    ///
    /// # Errors
    /// The database fails.
    pub async fn trace_ids(&self) -> Result<Vec<(i64, String)>, RepositoryError> {
        self.names::<Row>().await
    }

    /// Adds traces that are not to be used, each with a reason, or changes the reasons; one answer for each, in their order.
    ///
    /// # Errors
    /// The database fails. What is wrong with single ones is in the answers.
    pub async fn upsert_blacklist(
        &self,
        traces: Vec<(String, Option<String>)>,
        on_error: OnError,
    ) -> Result<Vec<Result<Upserted, RepositoryError>>, RepositoryError> {
        // No column says when.
        self.upsert_named::<BlacklistRow>(traces, on_error, Micros(0)).await
    }

    /// A page of the traces that are not to be used.
    ///
    /// # Errors
    /// The database fails.
    pub async fn blacklist(&self, page: Page) -> Result<Vec<BlacklistedTrace>, RepositoryError> {
        self.page::<BlacklistRow>(page, |sql| sql).await
    }
}
