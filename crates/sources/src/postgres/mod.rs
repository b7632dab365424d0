//! A query on a PostgreSQL database, read in place.
//!
//! `config` has the settings, `session` talks to the database, `table` finds out what columns mean. This file puts rows into
//! their slots.

mod config;
mod session;
mod table;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use sheaf_model::{DataType, ResourceId, SamplePeriod, Samples, Tick, TimeRange, Values};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Row};
use xxhash_rust::xxh3::Xxh3;

pub use self::config::PostgresConfig;
pub(crate) use self::config::schema;
use self::session::{Failure, Micros, Session};
use self::table::{Table, find};
use crate::csv::{Zone, parse_offset};
use crate::error::SourceError;
use crate::remembered::{Remembered, duration};
use crate::source::{DataSource, Revision, SourceProblem, SourceSeries, slots_of};

/// For how long a statement may run, in ticks.
const DEFAULT_TIMEOUT: i64 = 60 * Tick::PER_SECOND;

/// Rows of a query for a revision, at most.
const MOST_REVISION_ROWS: usize = 10_000;

/// A microsecond, the finest time that the database knows, in ticks.
const TICKS_PER_MICRO: i64 = 10;

/// A query on a PostgreSQL database.
///
/// The query is a `SELECT` that gives a column of times and columns of values, or a column of times, one that names the series
/// of a row, and one of values. It is asked for the rows of a range by putting it into another one, which has conditions on the
/// time and on the name. The database applies those while it reads a table or a simple view; a query that groups, limits or
/// counts should use the begin of the range, `$1`, and its end, `$2`, itself:
///
/// ```sql
/// SELECT date_bin('10 min', time, '2000-01-01') AS time, avg(t1) AS t1 FROM log WHERE time >= $1 AND time < $2 GROUP BY 1
/// ```
///
/// Times are `timestamptz`, or `timestamp` and `date` in the time zone of the settings. Values are numbers or truth values; a
/// null is missing. Rows have to be where slots are, one for each at most: anything else is an error that says which one, with
/// column and time.
///
/// All statements run in transactions that only read, and end after the time of `timeout`. That is no protection against
/// functions that do something else: let the user in the URL be one that may only read what is needed.
///
/// What there is, and revisions, are remembered for the time of `ttl`, or until a refresh.
pub struct PostgresSource {
    name: String,
    config: PostgresConfig,
    query: Arc<str>,
    session: Session,
    remembered: Remembered<Table, TimeRange, u64>,
}

impl fmt::Debug for PostgresSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresSource").field("config", &self.config).finish_non_exhaustive()
    }
}

impl PostgresSource {
    /// A query, which is not asked yet.
    ///
    /// # Errors
    /// Settings can't be.
    pub fn open(config: PostgresConfig) -> Result<PostgresSource, SourceError> {
        let wrong = |setting, problem: String| {
            // The URL may have a password in it.
            SourceError::of_source("query on a database", SourceProblem::Setting { setting, problem })
        };
        let address =
            config.url.strip_prefix("postgres://").or_else(|| config.url.strip_prefix("postgresql://"));
        let address = address.ok_or_else(|| {
            wrong("url", "write it like `postgres://reader@db.example.org/plant`".to_owned())
        })?;
        let end = address.find(['/', '?', '#']).unwrap_or(address.len());
        let has_password = address[..end].rsplit_once('@').is_some_and(|(user, _)| user.contains(':'));
        if has_password || address[end..].contains("password=") {
            return Err(wrong("url", "leave the password out; it goes into `password`".to_owned()));
        }
        let options =
            PgConnectOptions::from_str(&config.url).map_err(|error| wrong("url", error.to_string()))?;
        let name = format!(
            "query on database {} of {}",
            options.get_database().unwrap_or(options.get_username()),
            options.get_host()
        );
        // Never one that the environment has for something else.
        let options = options.password(config.password.as_ref().map_or("", crate::secret::Secret::reveal));
        let query = config.query.trim().trim_end_matches(';').trim_end();
        if query.is_empty() {
            return Err(wrong("query", "it is empty".to_owned()));
        }
        if config.phase.is_some_and(|phase| phase >= config.period) {
            return Err(wrong("phase", format!("it is less than the period, {}", config.period)));
        }
        if config.series_column.is_some() && config.value_columns.len() > 1 {
            let problem = "with a column of series there is one column of values".to_owned();
            return Err(wrong("value_columns", problem));
        }
        if config.series_column.is_none() && !config.series.is_empty() {
            return Err(wrong("series", "names mean nothing without `series_column`".to_owned()));
        }
        let timeout = duration(config.timeout, DEFAULT_TIMEOUT).max(Duration::from_millis(1));
        let session = Session::new(options, time_zone(config.time_zone.as_deref())?, timeout)
            .map_err(|error| wrong("url", error))?;
        Ok(PostgresSource {
            name,
            query: Arc::from(query),
            session,
            remembered: Remembered::new(config.ttl),
            config,
        })
    }

    fn wrong(&self, problem: impl Into<SourceProblem>) -> SourceError {
        SourceError::of_source(&self.name, problem.into())
    }

    /// What there is.
    fn table(&self) -> Result<Arc<Table>, SourceError> {
        self.remembered.known(|| self.look())
    }

    /// Asks what there is.
    fn look(&self) -> Result<Table, SourceError> {
        let (session, query, config) = (self.session.clone(), Arc::clone(&self.query), self.config.clone());
        let work = async move { find(&session, &query, &config).await };
        self.session.wait(work).map_err(|failure| self.wrong(failure))
    }

    /// What the query for a revision gives, as one number.
    fn revision_of(&self, query: &str, range: TimeRange) -> Result<u64, SourceError> {
        let (begin, end) = self.bounds(range);
        let session = self.session.clone();
        let sql = format!(
            "SELECT q::text FROM (\n{}\n) AS q WHERE $1::timestamptz IS NOT NULL AND $2::timestamptz IS NOT NULL",
            query.trim().trim_end_matches(';').trim_end()
        );
        let work = async move {
            let mut transaction = session.begin().await?;
            let mut hash = Xxh3::new();
            let mut rows = sqlx::query(AssertSqlSafe(sql)).bind(begin).bind(end).fetch(&mut *transaction);
            let mut count = 0;
            while let Some(row) = rows.try_next().await? {
                let text: Option<String> = row.try_get(0)?;
                let text = text.unwrap_or_default();
                hash.update(&(text.len() as u64).to_le_bytes());
                hash.update(text.as_bytes());
                count += 1;
                if count > MOST_REVISION_ROWS {
                    let problem = format!("it gives more than {MOST_REVISION_ROWS} rows");
                    return Err(SourceProblem::Setting { setting: "revision_query", problem }.into());
                }
            }
            drop(rows);
            transaction.rollback().await?;
            Ok(hash.digest())
        };
        self.session.wait(work).map_err(|failure: Failure| self.wrong(failure))
    }

    fn phase_ticks(&self) -> i64 {
        self.config.phase.map_or(0, SamplePeriod::ticks)
    }

    /// The bounds of a range of slots, as bounds of rows.
    fn bounds(&self, range: TimeRange) -> (Micros, Micros) {
        let bound = |tick: Tick| {
            let ticks = tick.unix_ticks().saturating_add(self.phase_ticks());
            // The first microsecond that is not before it.
            Micros(-((-ticks).div_euclid(TICKS_PER_MICRO)))
        };
        (bound(range.begin()), bound(range.end()))
    }
}

impl DataSource for PostgresSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn refresh(&self) -> Result<(), SourceError> {
        self.remembered.refresh(|| self.look())
    }

    fn series(&self) -> Result<Vec<SourceSeries>, SourceError> {
        Ok(self.table()?.series().cloned().collect())
    }

    fn read(
        &self,
        resource: &ResourceId,
        period: SamplePeriod,
        range: TimeRange,
    ) -> Result<Samples, SourceError> {
        let table = self.table()?;
        let of = table.get(resource, period).map_err(|problem| self.wrong(problem))?;
        let len = slots_of(resource, period, range).map_err(|problem| self.wrong(problem))?;
        let (begin, end) = self.bounds(range);
        let sql = table.sql_of_rows(&self.query, of);
        let mut run = Run {
            column: of.name.clone().unwrap_or_else(|| of.column.clone()),
            time_column: table.time.clone(),
            period,
            phase_ticks: self.phase_ticks(),
            range,
            filled: vec![0; len.div_ceil(64)],
            values: Run::empty(of.series.data_type, len),
        };
        let (session, name) = (self.session.clone(), of.name.clone());
        let work = async move {
            let mut transaction = session.begin().await?;
            let mut query = sqlx::query(AssertSqlSafe(sql)).bind(begin).bind(end);
            if let Some(name) = name {
                query = query.bind(name);
            }
            let mut rows = query.fetch(&mut *transaction);
            while let Some(row) = rows.try_next().await? {
                let micros: i64 = row.try_get(0)?;
                if matches!(run.values, Values::F32(_) | Values::F64(_)) {
                    run.put(micros, Value::Float(row.try_get(1)?))?;
                } else {
                    run.put(micros, Value::Int(row.try_get(1)?))?;
                }
            }
            drop(rows);
            transaction.rollback().await?;
            Ok(run)
        };
        let run = self.session.wait(work).map_err(|failure: Failure| self.wrong(failure))?;
        run.finish(len).map_err(|error| {
            self.wrong(SourceProblem::Setting { setting: "period", problem: error.to_string() })
        })
    }

    fn revision(
        &self,
        resource: &ResourceId,
        period: SamplePeriod,
        range: TimeRange,
    ) -> Result<Revision, SourceError> {
        let table = self.table()?;
        let of = table.get(resource, period).map_err(|problem| self.wrong(problem))?;
        let mut hash = Xxh3::new();
        // What rows mean depends on the settings; the password is none of them.
        hash.update(format!("{:?} {}", self.config, of.series.data_type).as_bytes());
        match &self.config.revision_query {
            None => hash.update(&self.remembered.turn().to_le_bytes()),
            Some(query) => {
                let found = self.remembered.revision(range, || self.revision_of(query, range))?;
                hash.update(&found.to_le_bytes());
            }
        }
        Ok(Revision(hash.digest()))
    }
}

/// A time zone as PostgreSQL calls it. It takes offsets the other way around.
fn time_zone(name: Option<&str>) -> Result<String, SourceError> {
    let zone = Zone::new(name)?;
    let Some(seconds) = parse_offset(zone.name().as_bytes()) else { return Ok(zone.name().to_owned()) };
    let (sign, seconds) = if seconds > 0 { ('-', seconds) } else { ('+', -seconds) };
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    Ok(format!("<{}>{sign}{hours:02}:{minutes:02}", zone.name()))
}

/// A value of a row.
enum Value {
    Int(Option<i64>),
    Float(Option<f64>),
}

/// The samples that are being put together.
struct Run {
    /// The column of values, or the name of the series.
    column: String,
    time_column: String,
    period: SamplePeriod,
    phase_ticks: i64,
    range: TimeRange,
    /// A bit for each slot that has a value.
    filled: Vec<u64>,
    values: Values,
}

impl Run {
    fn empty(data_type: DataType, len: usize) -> Values {
        match data_type {
            DataType::Uint8 => Values::U8(vec![0; len]),
            DataType::Int16 => Values::I16(vec![0; len]),
            DataType::Int32 => Values::I32(vec![0; len]),
            DataType::Int64 => Values::I64(vec![0; len]),
            DataType::Float32 => Values::F32(vec![f32::NAN; len]),
            _ => Values::F64(vec![f64::NAN; len]),
        }
    }

    fn put(&mut self, micros: i64, value: Value) -> Result<(), SourceProblem> {
        let ticks = micros.saturating_mul(TICKS_PER_MICRO).saturating_add(Tick::UNIX_EPOCH.ticks());
        let since = ticks.saturating_sub(self.phase_ticks).saturating_sub(self.range.begin().ticks());
        let start = || Tick::new(ticks).unwrap_or(Tick::MAX);
        if since % self.period.ticks() != 0 {
            let (column, start, period) = (self.time_column.clone(), start(), self.period);
            return Err(SourceProblem::RowBeside { column, start, period, phase_ticks: self.phase_ticks });
        }
        // The query was asked for nothing else; what it gives nevertheless is not wanted.
        let Some(slot) = usize::try_from(since / self.period.ticks()).ok().filter(|_| since >= 0) else {
            return Ok(());
        };
        if slot >= self.values.len() {
            return Ok(());
        }
        let wrong_type = |value: i64, data_type| {
            let (column, start, value) = (self.column.clone(), start(), value.to_string());
            Err(SourceProblem::RowType { column, start, value, data_type })
        };
        let twice = || SourceProblem::RowTwice { column: self.column.clone(), start: start() };
        let is_filled = self.filled[slot / 64] >> (slot % 64) & 1 == 1;
        macro_rules! put_int {
            ($values:ident, $value:ident) => {
                match $value.try_into() {
                    Ok(value) => $values[slot] = value,
                    Err(_) => return wrong_type($value, self.values.data_type()),
                }
            };
        }
        match value {
            Value::Int(None) | Value::Float(None) => return Ok(()),
            Value::Float(Some(value)) if value.is_nan() => return Ok(()),
            _ if is_filled => return Err(twice()),
            Value::Int(Some(value)) => match &mut self.values {
                Values::U8(values) => put_int!(values, value),
                Values::I16(values) => put_int!(values, value),
                Values::I32(values) => put_int!(values, value),
                Values::I64(values) => values[slot] = value,
                _ => return Ok(()),
            },
            Value::Float(Some(value)) => match &mut self.values {
                Values::F32(values) => values[slot] = value as f32,
                Values::F64(values) => values[slot] = value,
                _ => return Ok(()),
            },
        }
        self.filled[slot / 64] |= 1 << (slot % 64);
        Ok(())
    }

    fn finish(self, len: usize) -> Result<Samples, sheaf_model::SamplesError> {
        let is_float = matches!(self.values, Values::F32(_) | Values::F64(_));
        let filled: usize = self.filled.iter().map(|word| word.count_ones() as usize).sum();
        let samples = Samples::new(self.range.begin(), self.period, self.values)?;
        if is_float || filled == len { Ok(samples) } else { samples.with_validity(self.filled) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(url: &str) -> PostgresConfig {
        serde_json::from_value(serde_json::json!({"url": url, "query": "select 1", "period": "1_s"})).unwrap()
    }

    #[test]
    fn secrets_are_not_shown() {
        for url in
            ["postgres://a:hidden@host/b", "postgres://host/b?password=hidden", "mysql://a:hidden@host"]
        {
            let error = PostgresSource::open(config(url)).unwrap_err().to_string();
            assert!(!error.contains("hidden") && error.contains("setting `url`"), "{error}");
        }
        let password = Some("hidden".to_owned().into());
        let source =
            PostgresSource::open(PostgresConfig { password, ..config("postgres://a@host/b") }).unwrap();
        assert!(!format!("{source:?}").contains("hidden"), "{source:?}");
        assert_eq!(source.name(), "query on database b of host");
    }

    #[test]
    fn settings_that_cannot_be() {
        let refused = |config: PostgresConfig| PostgresSource::open(config).unwrap_err().to_string();
        let base = || config("postgres://a@host/b");
        assert!(
            refused(PostgresConfig { query: " ; ".to_owned(), ..base() })
                .contains("setting `query`: it is empty")
        );
        let phase = Some("1_s".parse().unwrap());
        assert!(
            refused(PostgresConfig { phase, ..base() })
                .contains("setting `phase`: it is less than the period, 1_s")
        );
        assert!(
            refused(PostgresConfig { series: vec!["a".to_owned()], ..base() }).contains("setting `series`")
        );
        let time_zone = Some("Mars/Olympus".to_owned());
        assert!(refused(PostgresConfig { time_zone, ..base() }).contains("unknown time zone `Mars/Olympus`"));
    }

    #[test]
    fn offsets_are_turned_around() {
        assert_eq!(time_zone(None).unwrap(), "UTC");
        assert_eq!(time_zone(Some("Europe/Berlin")).unwrap(), "Europe/Berlin");
        assert_eq!(time_zone(Some("+05:30")).unwrap(), "<+05:30>-05:30");
        assert_eq!(time_zone(Some("-03:00")).unwrap(), "<-03:00>+03:00");
    }
}
