//! Projects, and whose they are.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use super::upsert::Named;
use super::{
    Datastore, Micros, OnError, Page, Project, ProjectOwner, Transaction, Upserted, check_name, missing,
};
use crate::entity::datastore::{project_owners, projects};
use crate::error::RepositoryError;
use crate::table::Sql;

type Row = projects::Entity;
type OwnerRow = project_owners::Entity;

/// The longest ZIP code, in characters.
const LONGEST_ZIPCODE: usize = 10;

/// Changes of a project, or what a new one is: what is `None` stays as it is, and is nothing in a new one.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "see `Project`")]
pub struct ProjectPatch {
    pub baseline_period_start: Option<Option<Micros>>,
    pub baseline_period_end: Option<Option<Micros>>,
    pub reporting_period_start: Option<Option<Micros>>,
    pub reporting_period_end: Option<Option<Micros>>,
    pub zipcode: Option<Option<String>>,
    pub project_owner_id: Option<Option<i64>>,
    pub weather_station: Option<Option<String>>,
    pub weather_normal_station: Option<Option<String>>,
}

/// A range of times, both ends included; open where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "their names say it")]
pub struct Range {
    pub from: Option<Micros>,
    pub to: Option<Micros>,
}

/// Which projects: those for which all is true that is given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProjectFilter {
    /// Their ids are in one of these ranges.
    pub ids: Option<Vec<RangeInclusive<i64>>>,
    /// Their ids are among these: what a token may see.
    pub allowed: Option<Vec<i64>>,
    /// What their people call them.
    pub project_id: Option<String>,
    /// Where they are.
    pub zipcode: Option<String>,
    /// Whose they are: an id.
    pub project_owner: Option<i64>,
    /// When the change begins.
    pub baseline_period_end: Range,
    /// When the change is over.
    pub reporting_period_start: Range,
}

impl ProjectFilter {
    fn conditions(&self, sql: Sql) -> Sql {
        let mut sql = sql
            .and_is("\"project_id\"", self.project_id.as_deref())
            .and_is("\"zipcode\"", self.zipcode.as_deref())
            .and_is("\"project_owner_id\"", self.project_owner)
            .and_in("\"id\"", self.allowed.as_deref());
        if let Some(ranges) = &self.ids {
            sql = sql.text(" AND \"id\" IN ").ids_between("datastore_project", &disjoint(ranges));
        }
        for (column, range) in [
            ("\"baseline_period_end\"", self.baseline_period_end),
            ("\"reporting_period_start\"", self.reporting_period_start),
        ] {
            if let Some(from) = range.from {
                sql = sql.text(&format!(" AND {column} >= ")).value(from);
            }
            if let Some(to) = range.to {
                sql = sql.text(&format!(" AND {column} <= ")).value(to);
            }
        }
        sql
    }
}

/// The same ids in ranges that neither overlap nor are empty.
fn disjoint(ranges: &[RangeInclusive<i64>]) -> Vec<(i64, i64)> {
    let mut sorted: Vec<(i64, i64)> =
        ranges.iter().filter(|range| !range.is_empty()).map(|range| (*range.start(), *range.end())).collect();
    sorted.sort_unstable();
    let mut disjoint: Vec<(i64, i64)> = Vec::with_capacity(sorted.len());
    for (begin, end) in sorted {
        match disjoint.last_mut() {
            Some(last) if begin <= last.1 => last.1 = last.1.max(end),
            _ => disjoint.push((begin, end)),
        }
    }
    disjoint
}

impl Named for Row {
    type Patch = ProjectPatch;
    /// All owners: there are few.
    type Context = HashSet<i64>;

    const WHAT: &'static str = "project";
    const NAME: &'static str = "project_id";

    fn id(row: &Project) -> i64 {
        row.id
    }

    fn name(row: &mut Project) -> &mut String {
        &mut row.project_id
    }

    fn new(id: i64, project_id: String, now: Micros) -> Project {
        Project {
            id,
            project_id,
            baseline_period_start: None,
            baseline_period_end: None,
            reporting_period_start: None,
            reporting_period_end: None,
            zipcode: None,
            project_owner_id: None,
            added: now,
            updated: now,
            weather_station: None,
            weather_normal_station: None,
        }
    }

    fn apply(row: &mut Project, patch: ProjectPatch) {
        let ProjectPatch {
            baseline_period_start,
            baseline_period_end,
            reporting_period_start,
            reporting_period_end,
            zipcode,
            project_owner_id,
            weather_station,
            weather_normal_station,
        } = patch;
        set(&mut row.baseline_period_start, baseline_period_start);
        set(&mut row.baseline_period_end, baseline_period_end);
        set(&mut row.reporting_period_start, reporting_period_start);
        set(&mut row.reporting_period_end, reporting_period_end);
        set(&mut row.zipcode, zipcode);
        set(&mut row.project_owner_id, project_owner_id);
        set(&mut row.weather_station, weather_station);
        set(&mut row.weather_normal_station, weather_normal_station);
    }

    fn touch(row: &mut Project, now: Micros) {
        row.updated = now;
    }

    async fn context(
        transaction: &Transaction<'_>,
        _: &[&ProjectPatch],
    ) -> Result<HashSet<i64>, RepositoryError> {
        let owners = Sql::new(&transaction.tx, "SELECT \"id\" FROM \"datastore_projectowner\"");
        Ok(transaction.query_ids::<OwnerRow>(owners).await?.into_iter().collect())
    }

    fn check(owners: &mut HashSet<i64>, row: &Project) -> Result<(), RepositoryError> {
        if let Some(zipcode) = &row.zipcode
            && (zipcode.chars().count() > LONGEST_ZIPCODE || zipcode.contains('\0'))
        {
            let problem = format!("it has at most {LONGEST_ZIPCODE} characters, none of them zero");
            return Err(RepositoryError::Invalid { name: "zipcode".to_string(), problem });
        }
        for (what, station) in [
            ("weather_station", &row.weather_station),
            ("weather_normal_station", &row.weather_normal_station),
        ] {
            station.iter().try_for_each(|station| check_name(what, station))?;
        }
        match row.project_owner_id {
            Some(owner) if !owners.contains(&owner) => Err(missing("project owner", owner)),
            _ => Ok(()),
        }
    }
}

/// Sets a field that is to change.
pub(super) fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

impl Datastore {
    /// Adds a project.
    ///
    /// # Errors
    /// There is one with this name, its owner is not there, something in it can't be kept, or the database fails.
    pub async fn create_project(
        &self,
        project_id: String,
        project: ProjectPatch,
        now: Micros,
    ) -> Result<Project, RepositoryError> {
        self.create_named::<Row>(project_id, project, now).await
    }

    /// Changes a project, also its name if one is given; `None` if there is none with this id.
    ///
    /// # Errors
    /// As of [`Datastore::create_project`].
    pub async fn update_project(
        &self,
        id: i64,
        project_id: Option<String>,
        patch: ProjectPatch,
        now: Micros,
    ) -> Result<Option<Project>, RepositoryError> {
        let renames = project_id.is_some();
        let updated = self.update_named::<Row>(id, project_id, patch, now).await?;
        if renames {
            self.mappings_changed().await?;
        }
        Ok(updated)
    }

    /// Adds projects, or changes those whose names are there already; one answer for each, in their order. All in one
    /// transaction.
    ///
    /// # Errors
    /// The database fails. What is wrong with single ones is in the answers.
    pub async fn upsert_projects(
        &self,
        projects: Vec<(String, ProjectPatch)>,
        on_error: OnError,
        now: Micros,
    ) -> Result<Vec<Result<Upserted, RepositoryError>>, RepositoryError> {
        self.upsert_named::<Row>(projects, on_error, now).await
    }

    /// The project with this id.
    ///
    /// # Errors
    /// The database fails.
    pub async fn project(&self, id: i64) -> Result<Option<Project>, RepositoryError> {
        self.one::<Row>(id).await
    }

    /// The project that its people call so.
    ///
    /// # Errors
    /// The database fails.
    pub async fn find_project(&self, project_id: &str) -> Result<Option<Project>, RepositoryError> {
        self.find_named::<Row>(project_id).await
    }

    /// A page of projects.
    ///
    /// # Errors
    /// The database fails.
    pub async fn projects(
        &self,
        filter: &ProjectFilter,
        page: Page,
    ) -> Result<Vec<Project>, RepositoryError> {
        self.page::<Row>(page, |sql| filter.conditions(sql)).await
    }

    /// The id and `project_id` of all projects, by id.
    ///
    /// # Errors
    /// The database fails.
    pub async fn project_ids(&self) -> Result<Vec<(i64, String)>, RepositoryError> {
        self.names::<Row>().await
    }

    /// The owner row of a user, which is made if there is none.
    ///
    /// # Errors
    /// That is no name, or the database fails.
    pub async fn project_owner(&self, user: &str) -> Result<ProjectOwner, RepositoryError> {
        check_name("user", user)?;
        let wanted = |sql: Sql| sql.text(" WHERE \"user\" = ").value(user);
        if let Some(owner) = self.rows::<OwnerRow>(wanted).await?.into_iter().next() {
            return Ok(owner);
        }
        let transaction = Transaction::write::<OwnerRow>(&self.database).await?;
        if let Some(owner) = transaction.rows_where::<OwnerRow>(wanted).await?.into_iter().next() {
            return Ok(owner);
        }
        let owner = ProjectOwner { id: transaction.new_ids::<OwnerRow>(1).await?, user: user.to_string() };
        transaction.insert_all::<OwnerRow>([owner.clone()]).await?;
        transaction.commit::<OwnerRow>().await?;
        Ok(owner)
    }

    /// A page of owners.
    ///
    /// # Errors
    /// The database fails.
    pub async fn project_owners(&self, page: Page) -> Result<Vec<ProjectOwner>, RepositoryError> {
        self.page::<OwnerRow>(page, |sql| sql).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_become_disjoint() {
        #[expect(clippy::reversed_empty_ranges, reason = "users write them")]
        let ranges = [5..=7, 1..=2, 9..=3, 6..=9, 20..=20, 2..=3, 20..=20];
        assert_eq!(disjoint(&ranges), [(1, 3), (5, 9), (20, 20)]);
        assert_eq!(disjoint(&[]), []);
    }
}
