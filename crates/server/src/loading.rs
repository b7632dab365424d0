//! Projects, traces, readings and weather from files: for the program and the server alike.
//!
//! Each row of a file is taken or refused, with its place in the file and what would be right ([`Loaded`]). What is there already, as
//! it is, is not written again, so a file can be loaded as often as one likes. Small tables are all or nothing, as is whatever of
//! readings fits into memory; of a larger file what came before the wrong row stays ([`traces`]).

pub(crate) mod keep;
pub(crate) mod tables;
pub(crate) mod traces;
pub(crate) mod weather;

use serde::Serialize;
use sheaf_db::RepositoryError;
use sheaf_metering::records::RecordsError;
use sheaf_metering::weather::WeatherError;
use sheaf_model::IdError;
use sheaf_sources::{RowError, SourceError};
use sheaf_store::StoreError;

/// The most wrong rows that a report has one by one.
const MOST_SHOWN: usize = 1000;

/// What became of a file.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Loaded {
    /// Its name.
    pub(crate) input: String,
    /// What its rows are.
    pub(crate) what: &'static str,
    /// How many rows are new.
    pub(crate) created: u64,
    /// How many have changed something that was there.
    pub(crate) updated: u64,
    /// How many were there already.
    pub(crate) unchanged: u64,
    /// How many traces the rows belong to, where they are readings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) traces: Option<u64>,
    /// Rows that are wrong.
    #[serde(flatten)]
    pub(crate) wrong: Wrong,
}

impl Loaded {
    pub(crate) fn new(input: impl Into<String>, what: &'static str) -> Loaded {
        Loaded { input: input.into(), what, ..Loaded::default() }
    }
}

/// Rows that are wrong: how many, and the first ones.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Wrong {
    /// How many there are.
    pub(crate) refused: u64,
    /// The first ones.
    pub(crate) rows: Vec<WrongRow>,
}

/// A wrong row, and what would be right.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct WrongRow {
    /// The line that it begins in, from 1; 0 where it is no line.
    pub(crate) line: u64,
    /// The title of the column.
    pub(crate) column: Option<String>,
    /// What is wrong: a sentence with all of it.
    pub(crate) problem: String,
}

impl WrongRow {
    /// A row that can't be read.
    fn unreadable(error: &RowError) -> WrongRow {
        let column = error.column.as_ref().map(|column| column.title.clone());
        WrongRow { line: error.line, column, problem: error.to_string() }
    }

    /// A row that can be read, but not taken.
    fn of_line(input: &str, line: u64, column: &str, problem: impl std::fmt::Display) -> WrongRow {
        WrongRow {
            line,
            column: Some(column.to_owned()),
            problem: format!("{input}, line {line}, column `{column}`: {problem}"),
        }
    }
}

impl Wrong {
    fn add(&mut self, count: u64, row: WrongRow) {
        self.refused += count;
        if self.rows.len() < MOST_SHOWN {
            self.rows.push(row);
        }
    }

    fn append(&mut self, other: Wrong) {
        self.refused += other.refused;
        let room = MOST_SHOWN.saturating_sub(self.rows.len());
        self.rows.extend(other.rows.into_iter().take(room));
    }
}

/// A file that was not loaded, or not all of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// Rows are wrong, and must not be left out.
    #[error("{}", refusal(.0))]
    Refused(Box<Loaded>),
    /// It can't be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Records can't be written.
    #[error(transparent)]
    Records(#[from] RecordsError),
    /// The database fails.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The store fails, or the caller has ended it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Weather that can't be kept.
    #[error(transparent)]
    Weather(#[from] WeatherError),
    /// A row of the database has an impossible name.
    #[error("a name in the database is damaged: {0}")]
    Name(#[from] IdError),
    /// A task failed.
    #[error("loading ended early: {0}")]
    Task(String),
}

fn refusal(loaded: &Loaded) -> String {
    let rows = if loaded.wrong.refused == 1 {
        "1 row is".to_owned()
    } else {
        format!("{} rows are", loaded.wrong.refused)
    };
    let kept = match loaded.created + loaded.updated {
        0 => "nothing of it was written".to_owned(),
        written => {
            format!("the {written} before were written, and are left alone when the file is loaded again")
        }
    };
    let first: Vec<&str> = loaded.wrong.rows.iter().take(3).map(|row| row.problem.as_str()).collect();
    format!("{}: {rows} wrong; {kept}. {}", loaded.input, first.join("; "))
}
