//! What connects projects and traces, and what else is known of projects.

use std::collections::{HashMap, HashSet};

use super::{
    Change, Datastore, OnError, Page, ProjectMetadata, ProjectTrace, Transaction, Upserted, check_name,
    missing,
};
use crate::entity::datastore::{project_metadata, project_traces, projects, traces};
use crate::error::RepositoryError;
use crate::table::{Sql, delete};

type MappingRow = project_traces::Entity;
type MetadataRow = project_metadata::Entity;

/// Which mappings: those for which all is true that is given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MappingFilter {
    /// Their ids are among these.
    pub ids: Option<Vec<i64>>,
    /// Of these projects.
    pub projects: Option<Vec<i64>>,
    /// Of these traces.
    pub traces: Option<Vec<i64>>,
}

impl MappingFilter {
    fn conditions(&self, sql: Sql) -> Sql {
        sql.and_in("\"id\"", self.ids.as_deref())
            .and_in("\"project_id\"", self.projects.as_deref())
            .and_in("\"trace_id\"", self.traces.as_deref())
    }
}

/// Which metadata: those for which all is true that is given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetadataFilter {
    /// Their ids are among these.
    pub ids: Option<Vec<i64>>,
    /// Of these projects.
    pub projects: Option<Vec<i64>>,
    /// What it is.
    pub key: Option<String>,
}

impl MetadataFilter {
    fn conditions(&self, sql: Sql) -> Sql {
        sql.and_in("\"id\"", self.ids.as_deref())
            .and_in("\"project_id\"", self.projects.as_deref())
            .and_is("\"key\"", self.key.as_deref())
    }
}

/// Something that is to be known of a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMetadata {
    /// What its people call the project.
    pub project_id: String,
    /// What it is.
    pub key: String,
    /// The value.
    pub value: String,
}

impl Datastore {
    /// Counts a change of what mapped projects and traces are called.
    pub(super) async fn mappings_changed(&self) -> Result<(), RepositoryError> {
        Transaction::write::<MappingRow>(&self.database).await?.commit_mappings::<MappingRow>().await
    }

    /// Says that traces belong to projects, as pairs of the ids of project and trace; one answer for each, in their order.
    ///
    /// # Errors
    /// The database fails. What is wrong with single pairs is in the answers: a project or a trace that is not there.
    pub async fn upsert_mappings(
        &self,
        pairs: &[(i64, i64)],
        on_error: OnError,
    ) -> Result<Vec<Result<Upserted, RepositoryError>>, RepositoryError> {
        let transaction = Transaction::write::<MappingRow>(&self.database).await?;
        let (of_projects, of_traces): (Vec<i64>, Vec<i64>) = pairs.iter().copied().unzip();
        let known_projects = transaction.existing::<projects::Entity>(&distinct(&of_projects)).await?;
        let known_traces = transaction.existing::<traces::Entity>(&distinct(&of_traces)).await?;
        let of_these = |sql: Sql| sql.text(" WHERE \"project_id\" IN ").ids(&distinct(&of_projects));
        let mut ids: HashMap<(i64, i64), i64> = HashMap::new();
        for row in transaction.rows_where::<MappingRow>(of_these).await? {
            ids.insert((row.project_id, row.trace_id), row.id);
        }
        let new: HashSet<_> = pairs.iter().filter(|pair| !ids.contains_key(*pair)).collect();
        let mut next_id =
            if new.is_empty() { 0 } else { transaction.new_ids::<MappingRow>(new.len()).await? };
        let mut rows = Vec::with_capacity(new.len());
        let mut answer = |&(project_id, trace_id): &(i64, i64)| {
            if !known_projects.contains(&project_id) {
                return Err(missing("project", project_id));
            }
            if !known_traces.contains(&trace_id) {
                return Err(missing("trace", trace_id));
            }
            if let Some(&id) = ids.get(&(project_id, trace_id)) {
                return Ok(Upserted { id, change: Change::Unchanged });
            }
            let id = next_id;
            next_id += 1;
            ids.insert((project_id, trace_id), id);
            rows.push(ProjectTrace { id, project_id, trace_id });
            Ok(Upserted { id, change: Change::Created })
        };
        let answers: Vec<_> = pairs.iter().map(&mut answer).collect();
        if rows.is_empty() || on_error == OnError::Refuse && answers.iter().any(Result::is_err) {
            return Ok(answers);
        }
        transaction.insert_all::<MappingRow>(rows).await?;
        transaction.commit_mappings::<MappingRow>().await?;
        Ok(answers)
    }

    /// A page of the pairs of projects and traces.
    ///
    /// # Errors
    /// The database fails.
    pub async fn mappings(
        &self,
        filter: &MappingFilter,
        page: Page,
    ) -> Result<Vec<ProjectTrace>, RepositoryError> {
        self.page::<MappingRow>(page, |sql| filter.conditions(sql)).await
    }

    /// Takes traces out of projects; returns how many pairs there were. What was computed of them stays.
    ///
    /// # Errors
    /// The database fails.
    pub async fn delete_mappings(&self, filter: &MappingFilter) -> Result<u64, RepositoryError> {
        let transaction = Transaction::write::<MappingRow>(&self.database).await?;
        let sql = filter.conditions(delete::<MappingRow>(&transaction.tx).text(" WHERE TRUE"));
        let deleted = transaction.run::<MappingRow>(sql).await?;
        transaction.commit_mappings::<MappingRow>().await?;
        Ok(deleted)
    }

    /// Says what else is known of projects; one answer for each, in their order. A key may come several times: the last value
    /// stays.
    ///
    /// # Errors
    /// The database fails. What is wrong with single ones is in the answers: a project that is not there, a key that is none.
    pub async fn upsert_metadata(
        &self,
        metadata: Vec<NewMetadata>,
        on_error: OnError,
    ) -> Result<Vec<Result<Upserted, RepositoryError>>, RepositoryError> {
        let transaction = Transaction::write::<MetadataRow>(&self.database).await?;
        let names: HashSet<&str> = metadata.iter().map(|new| new.project_id.as_str()).collect();
        let names: Vec<&str> = names.into_iter().collect();
        let named = |sql: Sql| sql.text(" WHERE \"project_id\" IN ").texts(&names);
        let found = transaction.rows_where::<projects::Entity>(named).await?;
        let ids: HashMap<String, i64> = found.into_iter().map(|row| (row.project_id, row.id)).collect();
        let project_ids: Vec<i64> = ids.values().copied().collect();
        let of_these = |sql: Sql| sql.text(" WHERE \"project_id\" IN ").ids(&project_ids);
        let mut rows: HashMap<(i64, String), ProjectMetadata> = HashMap::new();
        for row in transaction.rows_where::<MetadataRow>(of_these).await? {
            rows.insert((row.project_id, row.key.clone()), row);
        }
        let first_id = transaction.new_ids::<MetadataRow>(metadata.len()).await?;
        let mut next_id = first_id;
        let mut changed: HashSet<(i64, String)> = HashSet::new();
        let answer = |new: NewMetadata| {
            let NewMetadata { project_id, key, value } = new;
            let &project_id = ids.get(&project_id).ok_or_else(|| missing("project", &project_id))?;
            check_name("key", &key)?;
            if value.contains('\0') {
                let problem = "its characters must not be zero".to_string();
                return Err(RepositoryError::Invalid { name: key, problem });
            }
            let place = (project_id, key.clone());
            let (id, change) = match rows.get_mut(&place) {
                Some(row) if row.value == value => (row.id, Change::Unchanged),
                Some(row) => {
                    row.value = value;
                    (row.id, Change::Updated)
                }
                None => {
                    let id = next_id;
                    next_id += 1;
                    rows.insert(place.clone(), ProjectMetadata { id, project_id, key, value });
                    (id, Change::Created)
                }
            };
            if change != Change::Unchanged {
                changed.insert(place);
            }
            Ok(Upserted { id, change })
        };
        let answers: Vec<_> = metadata.into_iter().map(answer).collect();
        if changed.is_empty() || on_error == OnError::Refuse && answers.iter().any(Result::is_err) {
            return Ok(answers);
        }
        let changed = rows.into_iter().filter(|(place, _)| changed.contains(place)).map(|(_, row)| row);
        let (mut new, old): (Vec<_>, Vec<_>) = changed.partition(|row| row.id >= first_id);
        new.sort_unstable_by_key(|row| row.id);
        transaction.insert_all::<MetadataRow>(new).await?;
        transaction.replace_all::<MetadataRow>(old).await?;
        transaction.commit::<MetadataRow>().await?;
        Ok(answers)
    }

    /// A page of what else is known of projects.
    ///
    /// # Errors
    /// The database fails.
    pub async fn metadata(
        &self,
        filter: &MetadataFilter,
        page: Page,
    ) -> Result<Vec<ProjectMetadata>, RepositoryError> {
        self.page::<MetadataRow>(page, |sql| filter.conditions(sql)).await
    }

    /// Forgets what else is known of projects; returns how much that was.
    ///
    /// # Errors
    /// The database fails.
    pub async fn delete_metadata(&self, filter: &MetadataFilter) -> Result<u64, RepositoryError> {
        let transaction = Transaction::write::<MetadataRow>(&self.database).await?;
        let sql = filter.conditions(delete::<MetadataRow>(&transaction.tx).text(" WHERE TRUE"));
        let deleted = transaction.run::<MetadataRow>(sql).await?;
        transaction.commit::<MetadataRow>().await?;
        Ok(deleted)
    }
}

fn distinct(ids: &[i64]) -> Vec<i64> {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    ids
}
