//! What keeps a table out of the store.

use std::fmt;

use sheaf_model::{DataType, IdError, ResourceId, SamplePeriod, Tick};
use sheaf_sources::{Place, SourceError};
use sheaf_store::StoreError;

/// A table that can't go into the store; nothing of it did.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IngestError {
    /// The table can't be read.
    #[error(transparent)]
    Source(Box<SourceError>),
    /// The store can't take it.
    #[error("can't write {input} to the store")]
    Store {
        /// The input.
        input: String,
        /// Why not.
        source: Box<StoreError>,
    },
    /// Nobody said where the resources go.
    #[error("{input}: say which catalog its resources go to, like /plant/mast (--catalog)")]
    NoCatalog {
        /// The input.
        input: String,
    },
    /// A table without any row.
    #[error("{input} has no rows")]
    NoRows {
        /// The input.
        input: String,
    },
    /// Something about a column.
    #[error("{input}: column `{title}` {problem}")]
    Column {
        /// The input.
        input: String,
        /// The title of the column.
        title: String,
        /// What is wrong, and what would be right.
        problem: ColumnProblem,
    },
    /// Something about a row.
    #[error("{input}, {place} {line}: column `{title}` {problem}")]
    Row {
        /// The input.
        input: String,
        /// What rows are counted in.
        place: Place,
        /// Which one it is.
        line: u64,
        /// The title of the column.
        title: String,
        /// What is wrong, and what would be right.
        problem: RowProblem,
    },
    /// A task ended early.
    #[error("{input}: reading ended early: {problem}")]
    Task {
        /// The input.
        input: String,
        /// Why.
        problem: String,
    },
}

/// A column that can't be a series.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ColumnProblem {
    /// No name can be made of its title.
    #[error("can't be a resource: {0}")]
    Name(IdError),
    /// Another one would become the same series.
    #[error("would become resource `{resource}`, and so would column `{other}`; rename one of them")]
    SameName {
        /// The title of the other one.
        other: String,
        /// The resource.
        resource: ResourceId,
    },
    /// The resource has another unit.
    #[error(
        "is in `{found}`, but resource `{resource}` is in `{stored}` so far; convert the values, or store them as another \
         resource"
    )]
    Unit {
        /// The resource.
        resource: ResourceId,
        /// The unit of the column.
        found: String,
        /// The unit of the resource.
        stored: String,
    },
    /// Its period can't be found out.
    #[error(
        "has too few rows to find out their period; say which it is (--period), or that they have none (--irregular)"
    )]
    NoPeriod,
    /// Its rows are anywhere.
    #[error(
        "has rows that do not lie at multiples of {0}; take another period (--period), or say that they have none \
         (--irregular)"
    )]
    NotAtPeriod(SamplePeriod),
    /// Integers that no float holds, beside fractions.
    #[error(
        "has fractions, and integers beyond 2^53, which no FLOAT64 holds exactly: they can't be one series"
    )]
    Inexact,
    /// Series of the store have another phase.
    #[error(
        "has rows that start {} after the multiples of {period}, but those of series `{key}` start {} after them; \
         move them to its slots (--align), or store them as another resource",
        Duration(*found_ticks), Duration(*stored_ticks)
    )]
    Phase {
        /// The series.
        key: String,
        /// Its period.
        period: SamplePeriod,
        /// The phase of the rows, in ticks.
        found_ticks: i64,
        /// The phase of the series, in ticks.
        stored_ticks: i64,
    },
    /// The series of the store has another type.
    #[error("was to be {asked} (--type), but series `{key}` is {stored}")]
    Type {
        /// The series.
        key: String,
        /// The type that was asked for.
        asked: DataType,
        /// The type of the series.
        stored: DataType,
    },
}

/// A row that can't be a sample.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RowProblem {
    /// It lies too far from its slot.
    #[error(
        "has a row at {start}, more than a tenth of {period} beside its slot{}; move it to the nearest one (--align), \
         or take another period (--period), or say that rows have none (--irregular)",
        MoreRows(*rows)
    )]
    Beside {
        /// Its start.
        start: Tick,
        /// The period.
        period: SamplePeriod,
        /// How many such rows were found.
        rows: u64,
    },
    /// It is the second one for a slot.
    #[error("has a second row for {start}{}; remove one, or let the later one count (--align)", MoreRows(*rows))]
    Second {
        /// Its start.
        start: Tick,
        /// How many such rows were found.
        rows: u64,
    },
    /// Nobody can tell any more whether it is the second one for a slot.
    #[error(
        "has a row for {start} so long after its neighbours, and so many gaps, that it can't be told whether it is a \
         second one; sort the table by time"
    )]
    TooLate {
        /// Its start.
        start: Tick,
    },
    /// It begins or ends at no time.
    #[error("has a row near {start}, which would begin or end beyond the time that can be named")]
    BeyondTime {
        /// A time near its start.
        start: Tick,
    },
    /// A value that the type does not hold.
    #[error("has {value}, which no {data_type} holds exactly{}", Because(*stored))]
    Value {
        /// The value.
        value: String,
        /// The type.
        data_type: DataType,
        /// Whether it is the type of a series that is in the store.
        stored: bool,
    },
    /// A fraction after many integers that are written already.
    #[error(
        "has a fraction after integers only, and the input can't be read a second time; say from the beginning that \
         they are floats (--type FLOAT64)"
    )]
    LateFraction,
}

/// ` (and 3 more such rows)`, if there are more than one.
struct MoreRows(u64);

impl fmt::Display for MoreRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 | 1 => Ok(()),
            2 => f.write_str(" (and 1 more such row)"),
            rows => write!(f, " (and {} more such rows)", rows - 1),
        }
    }
}

/// Where a type comes from.
struct Because(bool);

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0 {
            ", the type of the series in the store; store it as another resource"
        } else {
            "; take another type (--type)"
        })
    }
}

/// Ticks as a time span for people: `300 s`.
struct Duration(i64);

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.0 as f64 / Tick::PER_SECOND as f64)
    }
}

impl From<SourceError> for IngestError {
    fn from(error: SourceError) -> IngestError {
        IngestError::Source(Box::new(error))
    }
}

impl IngestError {
    /// Whether the input or an option is wrong, in contrast to a machine that can't read or store it.
    pub fn is_invalid_input(&self) -> bool {
        match self {
            IngestError::Source(source) => source.is_invalid_input(),
            IngestError::Store { source, .. } => source.is_invalid_input(),
            IngestError::Task { .. } => false,
            _ => true,
        }
    }

    /// Whether the caller ended it.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, IngestError::Store { source, .. } if matches!(source.root(), StoreError::Cancelled))
    }
}
