//! What can go wrong in the store.

use std::fmt;
use std::io;
use std::sync::Arc;

use sheaf_model::{DataType, SamplePeriod, Tick, TimeRange};

use crate::manifest::ManifestError;
use crate::segment::SegmentError;
use crate::series::SeriesId;

/// What the store could not do, and why. The store is as it was before, unless the variant says otherwise.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no such series.
    #[error("there is no series with id {0} in the store")]
    UnknownSeries(SeriesId),
    /// A series of this key is there, and it is another one.
    #[error("series `{key}` is in the store already, with {found}; asked for was {wanted}")]
    SeriesDiffers {
        /// Its key.
        key: String,
        /// What is stored.
        found: String,
        /// What was asked for.
        wanted: String,
    },
    /// A series that can't be.
    #[error("series `{key}`: {problem}")]
    InvalidSeries {
        /// Its key.
        key: String,
        /// What is wrong.
        problem: String,
    },
    /// Rows that can't be written.
    #[error("series `{key}`: {problem}")]
    InvalidRows {
        /// The key of the series.
        key: String,
        /// What is wrong, and what would be right.
        problem: InvalidRows,
    },
    /// A value that another type does not hold.
    #[error(
        "series `{key}` can't become {wanted}: its value at {start} is {value}, which no {wanted} holds exactly"
    )]
    Inexact {
        /// The key of the series.
        key: String,
        /// The type that it was to have.
        wanted: DataType,
        /// Where the value is.
        start: Tick,
        /// The value.
        value: i64,
    },
    /// Slots of a series were asked for where there are none.
    #[error("{range} does not consist of whole slots of series `{key}`")]
    NoSlots {
        /// The key of the series.
        key: String,
        /// What was asked for.
        range: TimeRange,
    },
    /// The idempotency key belongs to another write.
    #[error("the idempotency key `{key}` was used for a write with other contents, commit {commit}")]
    KeyReused {
        /// The key.
        key: String,
        /// The commit of that write.
        commit: i64,
    },
    /// An idempotency key that can't be.
    #[error("an idempotency key has 1 to 255 bytes and no zero character; this one has {len} bytes")]
    InvalidKey {
        /// Its length in bytes.
        len: usize,
    },
    /// A segment of a series can't be read.
    #[error("can't read series {series}")]
    Segment {
        /// The series.
        series: SeriesName,
        /// What is wrong with the segment.
        source: Box<SegmentError>,
    },
    /// A segment can't be written.
    #[error("can't write a segment")]
    SegmentWrite(#[source] SegmentError),
    /// What the manifest says of a series is damaged.
    #[error("{database}: what it says of series {series} is damaged: {problem}")]
    DamagedSeries {
        /// The database.
        database: String,
        /// The series.
        series: SeriesName,
        /// What is wrong.
        problem: String,
    },
    /// The manifest is damaged.
    #[error("{database} is damaged: {problem}")]
    DamagedManifest {
        /// The database.
        database: String,
        /// What is wrong.
        problem: String,
    },
    /// The manifest of a series can't be read.
    #[error("can't read what the manifest says of series {series}")]
    ManifestOfSeries {
        /// The series.
        series: SeriesName,
        /// What is wrong.
        source: Box<ManifestError>,
    },
    /// The manifest can't be read or written.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The database has lost commits that were acknowledged.
    #[error(
        "{database} is at commit {found}{}, but {head_file} says that commit {acknowledged} was acknowledged: the \
         database was set back, by an old copy or by damage. Put the newest copy back, or run `sheaf check --repair \
         --accept-loss` to go on without the commits that are gone",
        if *.forked { " of another history" } else { "" }
    )]
    Rewound {
        /// The database.
        database: String,
        /// The file that tells.
        head_file: String,
        /// The commit that the database is at.
        found: i64,
        /// The last acknowledged commit.
        acknowledged: i64,
        /// Whether the commit is there, but is not the one that was acknowledged.
        forked: bool,
    },
    /// The file `HEAD` is missing or damaged.
    #[error(
        "{file} {problem}; it guards against a database that lost commits. If the database is the newest one, \
             `sheaf check --repair` writes the file anew"
    )]
    HeadFile {
        /// The file.
        file: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The database and the folder belong to different stores.
    #[error("{head_file} belongs to store {folder:016x}, but {database} to store {found:016x}")]
    OtherStore {
        /// The file in the folder.
        head_file: String,
        /// The database.
        database: String,
        /// The store of the folder.
        folder: i64,
        /// The store of the database.
        found: i64,
    },
    /// Written by a newer version.
    #[error("{database} was written by a newer version: format {found}, this version reads up to {newest}")]
    NewerFormat {
        /// The database.
        database: String,
        /// Its format.
        found: i64,
        /// The newest one that can be read.
        newest: i64,
    },
    /// The disk failed.
    #[error("can't {action} {file}")]
    Disk {
        /// What was to be done.
        action: &'static str,
        /// With which file.
        file: String,
        /// Why it could not.
        source: io::Error,
    },
    /// The commit is in the database, but it could not be acknowledged.
    #[error("commit {commit} was made but can't be acknowledged; a crash may still undo it")]
    NotAcknowledged {
        /// The commit.
        commit: i64,
        /// Why not.
        source: Box<StoreError>,
    },
    /// The database failed while it committed: the commit may have been made or not.
    #[error(
        "it is not known whether commit {commit} was made; with an idempotency key the write can be sent again"
    )]
    Undecided {
        /// The commit, if it was made.
        commit: i64,
        /// What the database said.
        source: Box<ManifestError>,
    },
    /// What ended a transaction that several writes shared.
    #[error(transparent)]
    Shared(Arc<StoreError>),
    /// The segment was replaced while it was read.
    #[error("series {series}: {file} was replaced by compaction during the read; read again")]
    Vanished {
        /// The series.
        series: SeriesName,
        /// The file.
        file: String,
    },
    /// A segment is gone, and not because it was replaced.
    #[error("series {series}: {file} is missing; put it back, or delete the range and write it again")]
    MissingFile {
        /// The series.
        series: SeriesName,
        /// The file.
        file: String,
    },
    /// Writing took longer than the writer lease.
    #[error("{file} was removed while it was being written: the write took longer than {lease_s} s")]
    WriterTooSlow {
        /// The file.
        file: String,
        /// How long a write may take, in seconds.
        lease_s: u64,
    },
    /// Another process maintains the store.
    #[error("another process maintains the store; its lease ends in {seconds} s unless it goes on")]
    LeaseHeld {
        /// How long its lease lasts, in seconds.
        seconds: i64,
    },
    /// Somebody else changed what a compaction or a write was made from.
    #[error("others changed these series meanwhile; nothing was written, try again")]
    Conflict,
    /// Some rows of a streamed write were lost.
    #[error("rows of this write could not be written before; nothing of it was")]
    Incomplete,
    /// The caller did not want it any more.
    #[error("cancelled")]
    Cancelled,
    /// A task of the store ended early.
    #[error("a task of the store ended early: {0}")]
    Task(String),
}

impl StoreError {
    /// The error itself, whether others share it or not.
    pub fn root(&self) -> &StoreError {
        match self {
            StoreError::Shared(error) => error.root(),
            error => error,
        }
    }

    /// Whether the write that failed may be visible all the same, now or after the next start.
    pub fn may_be_written(&self) -> bool {
        matches!(
            self.root(),
            StoreError::NotAcknowledged { .. } | StoreError::Undecided { .. } | StoreError::Task(_)
        )
    }

    /// Whether the caller asked for something that can't be, in contrast to a store that can't do it.
    pub fn is_invalid_input(&self) -> bool {
        matches!(
            self.root(),
            StoreError::UnknownSeries(_)
                | StoreError::SeriesDiffers { .. }
                | StoreError::InvalidSeries { .. }
                | StoreError::InvalidRows { .. }
                | StoreError::Inexact { .. }
                | StoreError::NoSlots { .. }
                | StoreError::KeyReused { .. }
                | StoreError::InvalidKey { .. }
        )
    }

    /// Whether bytes on disk or rows of the database are not what was written.
    pub fn is_damage(&self) -> bool {
        match self.root() {
            StoreError::Segment { source, .. } => source.is_damage(),
            StoreError::SegmentWrite(source) => source.is_damage(),
            StoreError::DamagedSeries { .. }
            | StoreError::DamagedManifest { .. }
            | StoreError::Rewound { .. }
            | StoreError::HeadFile { .. }
            | StoreError::MissingFile { .. }
            | StoreError::Vanished { .. } => true,
            StoreError::ManifestOfSeries { source, .. } | StoreError::Undecided { source, .. } => {
                matches!(**source, ManifestError::Damaged { .. })
            }
            StoreError::Manifest(ManifestError::Damaged { .. }) => true,
            _ => false,
        }
    }
}

/// Rows that can't be written, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRows {
    /// The wrong type.
    #[error("the rows are {found}, the series is {wanted}")]
    DataType {
        /// Type of the rows.
        found: DataType,
        /// Type of the series.
        wanted: DataType,
    },
    /// A regular grid of another period.
    #[error("the rows have a period of {found}, the series {}", Expected(*wanted))]
    Period {
        /// Period of the rows.
        found: SamplePeriod,
        /// Period of the series; none if it is irregular.
        wanted: Option<SamplePeriod>,
    },
    /// A grid whose step is none.
    #[error("a step of {step_ticks} ticks is no sample period")]
    Step {
        /// The step.
        step_ticks: i64,
    },
    /// A start beside the grid of the series.
    #[error(
        "row {row} starts at {start}, which is not on the grid of {period} with a phase of {phase_ticks} ticks"
    )]
    OffGrid {
        /// The row, counted from 0.
        row: usize,
        /// Its start.
        start: Tick,
        /// Period of the series.
        period: SamplePeriod,
        /// Phase of the series in ticks.
        phase_ticks: i64,
    },
    /// A start that is no time, or a slot that ends too late.
    #[error("row {row} starts at tick {start_ticks}, and does not end by {}", Tick::MAX)]
    OutOfTime {
        /// The row, counted from 0.
        row: usize,
        /// Its start in ticks.
        start_ticks: i64,
    },
    /// Two rows with one start.
    #[error("two rows start at {start}")]
    Duplicate {
        /// Their start.
        start: Tick,
    },
    /// Estimates where there is no place for them.
    #[error("only rows of irregular series can be estimated")]
    Estimated,
}

struct Expected(Option<SamplePeriod>);

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(period) => write!(f, "has one of {period}"),
            None => f.write_str("is irregular and takes rows with a start each"),
        }
    }
}

/// A series in a message: its key where it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeriesName {
    /// Its id.
    pub id: SeriesId,
    /// Its key, if it could be read.
    pub key: Option<String>,
    /// The range that is concerned, if not all of it.
    pub range: Option<TimeRange>,
}

impl fmt::Display for SeriesName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            Some(key) => write!(f, "`{key}`")?,
            None => write!(f, "with id {}", self.id)?,
        }
        match self.range {
            Some(range) => write!(f, ", {range}"),
            None => Ok(()),
        }
    }
}

/// An error with its causes, in one line.
pub fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

impl SegmentError {
    /// What the operating system said, if it was that.
    pub(crate) fn io_kind(&self) -> Option<io::ErrorKind> {
        match self {
            SegmentError::Io { source, .. } => Some(source.kind()),
            _ => None,
        }
    }

    /// Whether the file is not what was written.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            SegmentError::Io { source, .. } => source.kind() == io::ErrorKind::NotFound,
            SegmentError::NoSuchRows { .. } | SegmentError::DataType { .. } => false,
            _ => true,
        }
    }
}
