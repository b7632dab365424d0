//! Which series a query has, from its columns and from what it gives.

use std::collections::BTreeMap;

use sheaf_model::{DataType, ResourceId, SamplePeriod, Tick, TimeRange};
use sqlx::{AssertSqlSafe, Column as _, Executor, PgConnection, Row, SqlSafeStr, Statement, TypeInfo};

use super::TICKS_PER_MICRO;
use super::config::PostgresConfig;
use super::session::{Failure, Micros, Session};
use crate::csv::{TIME_NAMES, rank, split_unit};
use crate::source::{SourceProblem, SourceSeries};
use crate::table::{Column, Seen};

/// Names of series that a query may give.
const MOST_SERIES: usize = 100_000;

/// What a query gives.
pub(super) struct Table {
    /// The column of times.
    pub(super) time: String,
    /// The column that names the series of a row.
    series_column: Option<String>,
    series: BTreeMap<ResourceId, Of>,
}

/// Where the samples of a series come from.
pub(super) struct Of {
    pub(super) series: SourceSeries,
    /// The column of values.
    pub(super) column: String,
    /// What the column of series has in its rows.
    pub(super) name: Option<String>,
}

/// A column of the query, and the name of its type.
struct Typed {
    name: String,
    of: String,
}

impl Typed {
    /// The type of its values, if it holds numbers.
    fn data_type(&self) -> Option<DataType> {
        Some(match self.of.as_str() {
            "BOOL" => DataType::Uint8,
            "INT2" => DataType::Int16,
            "INT4" => DataType::Int32,
            "INT8" => DataType::Int64,
            "FLOAT4" => DataType::Float32,
            "FLOAT8" | "NUMERIC" => DataType::Float64,
            _ => return None,
        })
    }

    fn is_time(&self) -> bool {
        matches!(self.of.as_str(), "TIMESTAMPTZ" | "TIMESTAMP" | "DATE")
    }
}

impl Table {
    pub(super) fn series(&self) -> impl Iterator<Item = &SourceSeries> {
        self.series.values().map(|of| &of.series)
    }

    pub(super) fn get(&self, resource: &ResourceId, period: SamplePeriod) -> Result<&Of, SourceProblem> {
        let found = self.series.get(resource).filter(|of| of.series.period == period);
        found.ok_or_else(|| SourceProblem::no_series(resource, period, self.series()))
    }

    /// The rows of a series: microseconds since 1970, and the value as an integer or a float of 64 bits.
    pub(super) fn sql_of_rows(&self, query: &str, of: &Of) -> String {
        let cast = match of.series.data_type {
            // There is no way from truth values to wider integers but over this one.
            DataType::Uint8 => "::int4::int8",
            DataType::Int16 | DataType::Int32 | DataType::Int64 => "::int8",
            _ => "::float8",
        };
        let (time, value) = (quoted(&self.time), quoted(&of.column));
        let of_series = self.series_column.as_deref().map(quoted);
        let of_series = of_series.map(|column| format!(" AND q.{column}::text = $3")).unwrap_or_default();
        format!(
            "SELECT {}, q.{value}{cast} FROM {}{of_series}",
            micros(&format!("q.{time}")),
            part(query, &time)
        )
    }
}

/// A name as SQL has it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A time in microseconds since 1970.
fn micros(time: &str) -> String {
    format!("(EXTRACT(EPOCH FROM {time}::timestamptz) * 1000000)::int8")
}

/// The query and conditions on its times. A line end closes a comment that it may end with.
fn part(query: &str, time: &str) -> String {
    format!("(\n{query}\n) AS q WHERE q.{time} >= $1 AND q.{time} < $2")
}

/// All of time, as far as there are ticks.
const ALWAYS: (Micros, Micros) =
    (Micros(Tick::MIN.unix_ticks() / TICKS_PER_MICRO), Micros(Tick::MAX.unix_ticks() / TICKS_PER_MICRO));

/// Finds out which series a query has.
pub(super) async fn find(session: &Session, query: &str, config: &PostgresConfig) -> Result<Table, Failure> {
    let mut transaction = session.begin().await?;
    let connection = &mut *transaction;
    let columns = columns(connection, query).await?;
    let time = time_column(&columns, config)?;
    let values = value_columns(&columns, &time, config)?;
    let range = range(connection, query, &time, config).await?;
    let mut table = Table { time, series_column: config.series_column.clone(), series: BTreeMap::new() };
    match &config.series_column {
        None => {
            for (column, data_type) in values {
                table.add(config, range, &column, data_type, None)?;
            }
        }
        Some(series_column) => {
            let Some((column, data_type)) = values.into_iter().next() else {
                return Err(no_column("value_columns", "numbers", &columns).into());
            };
            let names = match config.series.as_slice() {
                [] => names(connection, query, &table.time, series_column).await?,
                names => names.to_vec(),
            };
            for name in names {
                table.add(config, range, &column, data_type, Some(name))?;
            }
        }
    }
    transaction.rollback().await?;
    Ok(table)
}

impl Table {
    fn add(
        &mut self,
        config: &PostgresConfig,
        range: Option<TimeRange>,
        column: &str,
        data_type: DataType,
        name: Option<String>,
    ) -> Result<(), SourceProblem> {
        let title = name.as_deref().unwrap_or(column);
        let (plain, unit) = split_unit(title);
        let of_title = Column {
            title: title.to_owned(),
            name: plain.to_owned(),
            unit: unit.map(str::to_owned),
            nexus: None,
            seen: Seen::default(),
        };
        let resource = of_title.resource().map_err(|problem| SourceProblem::Column {
            column: title.to_owned(),
            problem: format!("can't be a resource: {problem}"),
        })?;
        let mut series = SourceSeries::new(resource.clone(), config.period, data_type);
        series.title = title.to_owned();
        series.phase_ticks = config.phase.map_or(0, SamplePeriod::ticks);
        series.range = range;
        if let Some(unit) = config.units.get(&resource).cloned().or(of_title.unit) {
            series.properties.insert("unit", unit);
        }
        let of = Of { series, column: column.to_owned(), name };
        match self.series.insert(resource.clone(), of) {
            None => Ok(()),
            Some(other) => Err(SourceProblem::Column {
                column: other.series.title,
                problem: format!(
                    "would be resource `{resource}`, and so would another one; rename one in the query"
                ),
            }),
        }
    }
}

/// The columns that the query has.
async fn columns(connection: &mut PgConnection, query: &str) -> Result<Vec<Typed>, Failure> {
    let sql = format!(
        "SELECT * FROM (\n{query}\n) AS q WHERE $1::timestamptz IS NOT NULL AND $2::timestamptz IS NOT NULL"
    );
    let types = [Micros::type_info(), Micros::type_info()];
    let statement = connection.prepare_with(AssertSqlSafe(sql).into_sql_str(), &types).await?;
    let typed = |column: &sqlx::postgres::PgColumn| Typed {
        name: column.name().to_owned(),
        of: column.type_info().name().to_owned(),
    };
    Ok(statement.columns().iter().map(typed).collect())
}

fn list(columns: &[Typed]) -> String {
    let names: Vec<String> =
        columns.iter().map(|column| format!("`{}` ({})", column.name, column.of.to_lowercase())).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn no_column(setting: &'static str, what: &str, columns: &[Typed]) -> SourceProblem {
    let problem = format!("the query gives no column of {what}; its columns are {}", list(columns));
    SourceProblem::Setting { setting, problem }
}

fn named<'a>(setting: &'static str, name: &str, columns: &'a [Typed]) -> Result<&'a Typed, SourceProblem> {
    columns.iter().find(|column| column.name == name).ok_or_else(|| {
        let problem = format!("the query gives no column `{name}`; its columns are {}", list(columns));
        SourceProblem::Setting { setting, problem }
    })
}

fn time_column(columns: &[Typed], config: &PostgresConfig) -> Result<String, SourceProblem> {
    let setting = "time_column";
    if let Some(name) = &config.time_column {
        let column = named(setting, name, columns)?;
        if column.is_time() {
            return Ok(name.clone());
        }
        let problem = format!(
            "`{name}` is of type {}; times are timestamptz, timestamp or date",
            column.of.to_lowercase()
        );
        return Err(SourceProblem::Setting { setting, problem });
    }
    let times: Vec<&Typed> = columns.iter().filter(|column| column.is_time()).collect();
    match *times {
        [] => Err(no_column(setting, "times", columns)),
        [one] => Ok(one.name.clone()),
        [..] => {
            let ranked = times.iter().filter_map(|column| Some((rank(&column.name, &TIME_NAMES)?, column)));
            let best = ranked.min_by_key(|(rank, _)| *rank).map(|(_, column)| column.name.clone());
            best.ok_or_else(|| {
                let problem =
                    format!("the query gives several columns of times: {}; say which", list(columns));
                SourceProblem::Setting { setting, problem }
            })
        }
    }
}

fn value_columns(
    columns: &[Typed],
    time: &str,
    config: &PostgresConfig,
) -> Result<Vec<(String, DataType)>, SourceProblem> {
    let setting = "value_columns";
    if let Some(name) = &config.series_column {
        named("series_column", name, columns)?;
    }
    if !config.value_columns.is_empty() {
        let typed = |name: &String| {
            let column = named(setting, name, columns)?;
            let data_type = column.data_type().ok_or_else(|| SourceProblem::Setting {
                setting,
                problem: format!("`{name}` is of type {}, which is no number", column.of.to_lowercase()),
            })?;
            Ok((name.clone(), data_type))
        };
        return config.value_columns.iter().map(typed).collect();
    }
    let others = columns
        .iter()
        .filter(|column| column.name != time && Some(&column.name) != config.series_column.as_ref());
    let values: Vec<(String, DataType)> =
        others.filter_map(|column| Some((column.name.clone(), column.data_type()?))).collect();
    match values.len() {
        0 => Err(no_column(setting, "numbers", columns)),
        2.. if config.series_column.is_some() => {
            let problem = format!("the query gives several columns of numbers: {}; say which", list(columns));
            Err(SourceProblem::Setting { setting, problem })
        }
        _ => Ok(values),
    }
}

/// From the first slot that has a row to the last one.
async fn range(
    connection: &mut PgConnection,
    query: &str,
    time: &str,
    config: &PostgresConfig,
) -> Result<Option<TimeRange>, Failure> {
    let time = quoted(time);
    let (first, last) = (micros(&format!("min(q.{time})")), micros(&format!("max(q.{time})")));
    let sql = format!("SELECT {first}, {last} FROM {}", part(query, &time));
    let row = sqlx::query(AssertSqlSafe(sql)).bind(ALWAYS.0).bind(ALWAYS.1).fetch_one(connection).await?;
    let (first, last): (Option<i64>, Option<i64>) = (row.try_get(0)?, row.try_get(1)?);
    let (Some(first), Some(last)) = (first, last) else { return Ok(None) };
    let phase_ticks = config.phase.map_or(0, SamplePeriod::ticks);
    let slot = |micros: i64| {
        let ticks = micros.saturating_mul(TICKS_PER_MICRO).saturating_add(Tick::UNIX_EPOCH.ticks());
        Some(config.period.floor(Tick::new((ticks - phase_ticks).max(0)).ok()?))
    };
    let end = slot(last).and_then(|last| last.checked_add(config.period.ticks()));
    Ok(slot(first).zip(end).and_then(|(begin, end)| TimeRange::new(begin, end).ok()))
}

/// The names of series that the query gives.
async fn names(
    connection: &mut PgConnection,
    query: &str,
    time: &str,
    series_column: &str,
) -> Result<Vec<String>, Failure> {
    let column = quoted(series_column);
    let sql = format!(
        "SELECT DISTINCT q.{column}::text FROM {} AND q.{column} IS NOT NULL LIMIT {}",
        part(query, &quoted(time)),
        MOST_SERIES + 1
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(ALWAYS.0).bind(ALWAYS.1).fetch_all(connection).await?;
    if rows.len() > MOST_SERIES {
        let problem = format!("`{series_column}` has more than {MOST_SERIES} names; does it name series?");
        return Err(SourceProblem::Setting { setting: "series_column", problem }.into());
    }
    let mut names = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<String>, _>>()?;
    names.sort_unstable();
    Ok(names)
}
