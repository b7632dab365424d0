//! Projects, which traces they have, what else is known of them, and traces to leave out: tables of some thousand rows, all of which
//! are taken or none.

use std::collections::HashMap;

use sheaf_db::RepositoryError;
use sheaf_db::datastore::{Change, NewMetadata, OnError, ProjectPatch, Upserted};
use sheaf_metering::times::{micros, now};
use sheaf_metering::trace_name::name_of;
use sheaf_model::CatalogId;
use sheaf_sources::{
    Input, MeterRows, SourceError, read_blacklist, read_mappings, read_metadata, read_projects,
};

use super::{LoadError, Loaded, Wrong, WrongRow};
use crate::data::Data;

/// Loads projects.
///
/// # Errors
/// The file can't be read, rows are wrong and must not be left out, or the database fails.
pub(crate) async fn projects(data: &Data, input: Input, on_error: OnError) -> Result<Loaded, LoadError> {
    let mut table = Table::read(input, "projects", read_projects, |row| row.line).await?;
    let input = table.loaded.input.clone();
    table.keep_if("project_id", |row| {
        let name = name_of(&row.project_id).map_err(|error| error.to_string())?;
        format!("/projects/{name}").parse::<CatalogId>().map_err(|error| error.to_string())?;
        let zipcode = row.zipcode.as_deref().unwrap_or_default();
        if zipcode.chars().count() > 10 {
            return Err(format!(
                "the ZIP code `{zipcode}` of `{}` has more than 10 characters",
                row.project_id
            ));
        }
        Ok(())
    });
    table.check(on_error)?;
    let patches = table.rows.iter().map(|(_, row)| {
        let time = |time: Option<_>| time.map(|time| Some(micros(time)));
        let patch = ProjectPatch {
            baseline_period_start: time(row.baseline_period_start),
            baseline_period_end: time(row.baseline_period_end),
            reporting_period_start: time(row.reporting_period_start),
            reporting_period_end: time(row.reporting_period_end),
            zipcode: row.zipcode.clone().map(Some),
            ..ProjectPatch::default()
        };
        (row.project_id.clone(), patch)
    });
    let patches = patches.collect();
    let answers = data.database.datastore().upsert_projects(patches, on_error, now()).await?;
    table.done(&input, "project_id", answers, on_error)
}

/// Loads which traces belong to which projects; both must be there.
///
/// # Errors
/// As of [`projects`].
pub(crate) async fn mappings(data: &Data, input: Input, on_error: OnError) -> Result<Loaded, LoadError> {
    let mut table = Table::read(input, "mappings", read_mappings, |row| row.line).await?;
    let input = table.loaded.input.clone();
    let datastore = data.database.datastore();
    let by_name =
        |ids: Vec<(i64, String)>| ids.into_iter().map(|(id, name)| (name, id)).collect::<HashMap<_, _>>();
    let (projects, traces) = (by_name(datastore.project_ids().await?), by_name(datastore.trace_ids().await?));
    table.keep_if("project_id", |row| match projects.contains_key(&row.project_id) {
        true => Ok(()),
        false => Err(format!("there is no project `{}`; load projects first", row.project_id)),
    });
    table.keep_if("trace_id", |row| match traces.contains_key(&row.trace_id) {
        true => Ok(()),
        false => Err(format!("there is no trace `{}`; load traces first", row.trace_id)),
    });
    table.check(on_error)?;
    let pair = |row: &sheaf_sources::MappingRow| {
        Some((*projects.get(&row.project_id)?, *traces.get(&row.trace_id)?))
    };
    let pairs: Vec<(i64, i64)> = table.rows.iter().filter_map(|(_, row)| pair(row)).collect();
    let answers = datastore.upsert_mappings(&pairs, on_error).await?;
    table.done(&input, "project_id", answers, on_error)
}

/// Loads what else is known of projects, from a tall or a wide table.
///
/// # Errors
/// As of [`projects`].
pub(crate) async fn metadata(data: &Data, input: Input, on_error: OnError) -> Result<Loaded, LoadError> {
    let table = Table::read(input, "metadata", read_metadata, |row| row.line).await?;
    let input = table.loaded.input.clone();
    table.check(on_error)?;
    let new = table.rows.iter().map(|(_, row)| NewMetadata {
        project_id: row.project_id.clone(),
        key: row.key.clone(),
        value: row.value.clone(),
    });
    let new = new.collect();
    let answers = data.database.datastore().upsert_metadata(new, on_error).await?;
    table.done(&input, "project_id", answers, on_error)
}

/// Loads traces that are not to be used.
///
/// # Errors
/// As of [`projects`].
pub(crate) async fn blacklist(data: &Data, input: Input, on_error: OnError) -> Result<Loaded, LoadError> {
    let table = Table::read(input, "blacklist", read_blacklist, |row| row.line).await?;
    let input = table.loaded.input.clone();
    table.check(on_error)?;
    let new = table.rows.iter().map(|(_, row)| (row.trace_id.clone(), row.reason.clone())).collect();
    let answers = data.database.datastore().upsert_blacklist(new, on_error).await?;
    table.done(&input, "trace_id", answers, on_error)
}

/// A table that was read, with the lines of its rows.
struct Table<T> {
    loaded: Loaded,
    rows: Vec<(u64, T)>,
}

impl<T: Send + 'static> Table<T> {
    async fn read(
        input: Input,
        what: &'static str,
        open: fn(Input) -> Result<MeterRows<T>, SourceError>,
        line: fn(&T) -> u64,
    ) -> Result<Table<T>, LoadError> {
        let mut loaded = Loaded::new(input.name(), what);
        let read = tokio::task::spawn_blocking(move || {
            let (mut rows, mut wrong) = (Vec::new(), Wrong::default());
            for row in open(input)? {
                match row {
                    Ok(row) => rows.push((line(&row), row)),
                    Err(SourceError::Row(error)) if !error.problem.is_fatal() => {
                        wrong.add(1, WrongRow::unreadable(&error));
                    }
                    Err(error) => return Err(error),
                }
            }
            Ok((rows, wrong))
        });
        let (rows, wrong) = read.await.map_err(|error| LoadError::Task(error.to_string()))??;
        loaded.wrong = wrong;
        Ok(Table { loaded, rows })
    }

    /// Leaves out rows that can't be.
    fn keep_if(&mut self, column: &str, check: impl Fn(&T) -> Result<(), String>) {
        let loaded = &mut self.loaded;
        self.rows.retain(|(line, row)| match check(row) {
            Ok(()) => true,
            Err(problem) => {
                let row = WrongRow::of_line(&loaded.input, *line, column, problem);
                loaded.wrong.add(1, row);
                false
            }
        });
    }

    /// An error if rows are wrong that must not be left out.
    fn check(&self, on_error: OnError) -> Result<(), LoadError> {
        match on_error {
            OnError::Refuse if self.loaded.wrong.refused > 0 => {
                Err(LoadError::Refused(Box::new(self.loaded.clone())))
            }
            _ => Ok(()),
        }
    }

    /// What became of the rows.
    fn done(
        mut self,
        input: &str,
        column: &str,
        answers: Vec<Result<Upserted, RepositoryError>>,
        on_error: OnError,
    ) -> Result<Loaded, LoadError> {
        let mut counts = [0; 3];
        for ((line, _), answer) in self.rows.iter().zip(answers) {
            match answer {
                Ok(Upserted { change: Change::Created, .. }) => counts[0] += 1,
                Ok(Upserted { change: Change::Updated, .. }) => counts[1] += 1,
                Ok(Upserted { change: Change::Unchanged, .. }) => counts[2] += 1,
                Err(error) => self.loaded.wrong.add(1, WrongRow::of_line(input, *line, column, error)),
            }
        }
        self.check(on_error)?;
        let [created, updated, unchanged] = counts;
        Ok(Loaded { created, updated, unchanged, ..self.loaded })
    }
}
