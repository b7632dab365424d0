//! Groups of traces: a name, and a filter that says which traces belong to it now.

use std::collections::HashMap;

use super::projects::set;
use super::upsert::Named;
use super::{Datastore, Micros, Page, Target, TraceFilter, TraceGroup, Transaction};
use crate::entity::datastore::{project_metadata, projects, trace_groups, traces};
use crate::error::RepositoryError;
use crate::table::Sql;

type Row = trace_groups::Entity;

impl Named for Row {
    /// The filter.
    type Patch = Option<Option<String>>;
    type Context = ();

    const WHAT: &'static str = "trace group";
    const NAME: &'static str = "name";

    fn id(row: &TraceGroup) -> i64 {
        row.id
    }

    fn name(row: &mut TraceGroup) -> &mut String {
        &mut row.name
    }

    fn new(id: i64, name: String, _: Micros) -> TraceGroup {
        TraceGroup { id, name, filter_specification: None }
    }

    fn apply(row: &mut TraceGroup, patch: Option<Option<String>>) {
        set(&mut row.filter_specification, patch);
    }

    fn touch(_: &mut TraceGroup, _: Micros) {}

    async fn context(_: &Transaction<'_>, _: &[&Self::Patch]) -> Result<(), RepositoryError> {
        Ok(())
    }

    fn check((): &mut (), row: &TraceGroup) -> Result<(), RepositoryError> {
        filter_of(row).map(drop)
    }
}

/// The filter of a group.
fn filter_of(group: &TraceGroup) -> Result<Option<TraceFilter>, RepositoryError> {
    let Some(text) = &group.filter_specification else { return Ok(None) };
    let invalid = |problem: String| RepositoryError::Invalid { name: group.name.clone(), problem };
    let specification = serde_json::from_str(text).map_err(|error| invalid(error.to_string()))?;
    TraceFilter::parse(&specification).map_err(|error| invalid(error.to_string()))
}

/// What a filter looks at in a project.
struct Look {
    project_id: String,
    /// By key, in the order in which a filter names them.
    values: Vec<Option<String>>,
}

impl Datastore {
    /// Adds a group; its filter is JSON, see [`TraceFilter::parse`].
    ///
    /// # Errors
    /// There is one with this name, that is no filter, or the database fails.
    pub async fn create_group(
        &self,
        name: String,
        filter_specification: Option<String>,
    ) -> Result<TraceGroup, RepositoryError> {
        // No column says when.
        self.create_named::<Row>(name, Some(filter_specification), Micros(0)).await
    }

    /// Changes a group: its name, its filter, or both; `None` if there is none with this id.
    ///
    /// # Errors
    /// As of [`Datastore::create_group`].
    pub async fn update_group(
        &self,
        id: i64,
        name: Option<String>,
        filter_specification: Option<Option<String>>,
    ) -> Result<Option<TraceGroup>, RepositoryError> {
        self.update_named::<Row>(id, name, filter_specification, Micros(0)).await
    }

    /// The group with this id.
    ///
    /// # Errors
    /// The database fails.
    pub async fn group(&self, id: i64) -> Result<Option<TraceGroup>, RepositoryError> {
        self.one::<Row>(id).await
    }

    /// The group with this name.
    ///
    /// # Errors
    /// The database fails.
    pub async fn find_group(&self, name: &str) -> Result<Option<TraceGroup>, RepositoryError> {
        self.find_named::<Row>(name).await
    }

    /// A page of groups.
    ///
    /// # Errors
    /// The database fails.
    pub async fn groups(&self, page: Page) -> Result<Vec<TraceGroup>, RepositoryError> {
        self.page::<Row>(page, |sql| sql).await
    }

    /// The ids of the traces of a group, by id; `None` if there is no such group.
    ///
    /// # Errors
    /// The database fails, or the group's row is damaged.
    pub async fn group_members(&self, id: i64) -> Result<Option<Vec<i64>>, RepositoryError> {
        let Some(group) = self.group(id).await? else { return Ok(None) };
        self.members(filter_of(&group)?.as_ref()).await.map(Some)
    }

    /// The ids of the traces that fit a filter in one of their projects at least, by id; all traces if there is no filter. A
    /// trace without a project is looked at once, and only its `trace_id` is there to be looked at.
    ///
    /// # Errors
    /// The database fails.
    pub async fn members(&self, filter: Option<&TraceFilter>) -> Result<Vec<i64>, RepositoryError> {
        let Some(transaction) = Transaction::read::<traces::Entity>(&self.database).await? else {
            return Ok(Vec::new());
        };
        let Some(filter) = filter else {
            let all = Sql::new(&transaction.tx, "SELECT \"id\" FROM \"datastore_trace\" ORDER BY \"id\"");
            return transaction.query_ids::<traces::Entity>(all).await;
        };
        let keys: Vec<&str> = filter.metadata_keys().into_iter().collect();
        let projects = looks(&transaction, &keys).await?;
        let mut members = Vec::new();
        let pairs = Sql::new(
            &transaction.tx,
            "SELECT t.\"id\", t.\"trace_id\", m.\"project_id\" FROM \"datastore_trace\" t \
             LEFT JOIN \"datastore_project_traces\" m ON m.\"trace_id\" = t.\"id\" ORDER BY t.\"id\"",
        );
        let answer = pairs.query(&transaction.tx, |columns| {
            let (id, trace_id): (i64, String) = (columns.next()?, columns.next()?);
            if members.last() == Some(&id) {
                return Ok(());
            }
            let project = columns.next::<Option<i64>>()?.and_then(|project| projects.get(&project));
            let fits = filter.fits(&|target| match target {
                Target::TraceId => Some(&trace_id),
                Target::ProjectId => project.map(|project| project.project_id.as_str()),
                Target::Metadata(key) => {
                    let place = keys.binary_search(&key.as_str()).ok()?;
                    project?.values.get(place)?.as_deref()
                }
            });
            if fits {
                members.push(id);
            }
            Ok(())
        });
        transaction.reading::<traces::Entity, _>(answer.await)?;
        Ok(members)
    }
}

/// What there is to be looked at in all projects, by id.
async fn looks(transaction: &Transaction<'_>, keys: &[&str]) -> Result<HashMap<i64, Look>, RepositoryError> {
    let mut projects = HashMap::new();
    let all = Sql::new(&transaction.tx, "SELECT \"id\", \"project_id\" FROM \"datastore_project\"");
    let answer = all.query(&transaction.tx, |columns| {
        let look = |project_id| Look { project_id, values: vec![None; keys.len()] };
        projects.insert(columns.next()?, look(columns.next()?));
        Ok(())
    });
    transaction.reading::<projects::Entity, _>(answer.await)?;
    if keys.is_empty() {
        return Ok(projects);
    }
    let metadata = Sql::new(
        &transaction.tx,
        "SELECT \"project_id\", \"key\", \"value\" FROM \"datastore_projectmetadata\" WHERE \"key\" IN ",
    );
    let answer = metadata.texts(keys).query(&transaction.tx, |columns| {
        let (id, key, value): (i64, String, String) = (columns.next()?, columns.next()?, columns.next()?);
        let place = keys.binary_search(&key.as_str());
        if let (Ok(place), Some(project)) = (place, projects.get_mut(&id)) {
            project.values[place] = Some(value);
        }
        Ok(())
    });
    transaction.reading::<project_metadata::Entity, _>(answer.await)?;
    Ok(projects)
}
