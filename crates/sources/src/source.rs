//! Data that stay where they are: a folder of files, another server, a query.

use std::fmt;
use std::sync::Arc;

use sheaf_model::{DataType, IdError, Properties, ResourceId, SamplePeriod, Samples, Tick, TimeRange};

use crate::error::SourceError;
use crate::table::Place;

/// Something that has series, and is read in place.
///
/// A series is a resource at one period; a resource may have several. A source answers from what it knows of its data since
/// it was opened, or since the last [`refresh`](Self::refresh). It may read lazily; but what has changed behind its back
/// since then is an error, never a mixture of old and new samples. Where nobody can tell, as with a server that does not
/// say when its data change, the settings of the source say for how long they are taken as unchanged.
///
/// All calls block, and may come from many threads at once. An error of a source is never a number: a source that can't
/// answer says so, with its name, and with what somebody can do about it.
///
/// # Writing one
/// [`SourceSeries::new`] and [`SourceError::of_source`] make what is handed out. `testing::laws_of_sources` (feature
/// `testing`) checks all that is promised here, and `testing::a_change_is_seen` what has to happen when data change; a source
/// that passes both can be used for everything that the store can.
pub trait DataSource: fmt::Debug + Send + Sync {
    /// What messages call it. Every error of a source contains it, or the path of a file of it. Never a secret.
    fn name(&self) -> &str;

    /// Looks again at what there is. Cheap where nothing has changed.
    ///
    /// # Errors
    /// It can't be reached, or is not as it should be. What was known before is still there then.
    fn refresh(&self) -> Result<(), SourceError>;

    /// What it has, in the order of resources, and of periods for each of them.
    ///
    /// # Errors
    /// It can't be read, or is not as it should be.
    fn series(&self) -> Result<Vec<SourceSeries>, SourceError>;

    /// What it says of the catalog as a whole, such as a readme or a license.
    ///
    /// # Errors
    /// It can't be read.
    fn properties(&self) -> Result<Properties, SourceError> {
        Ok(Properties::default())
    }

    /// The samples of a range, of the type that [`series`](Self::series) says: one for each slot of the range, missing where
    /// nothing is known.
    ///
    /// # Errors
    /// There is no such series, the range does not begin and end at multiples of its period, or the source can't be read.
    fn read(
        &self,
        resource: &ResourceId,
        period: SamplePeriod,
        range: TimeRange,
    ) -> Result<Samples, SourceError>;

    /// A number that is the same only as long as the samples of the range are. What is computed from them is kept as long as
    /// it is: so it also depends on the settings, and on whose samples they are where that depends on the request.
    ///
    /// # Errors
    /// There is no such series, or the source can't be read.
    fn revision(
        &self,
        resource: &ResourceId,
        period: SamplePeriod,
        range: TimeRange,
    ) -> Result<Revision, SourceError>;

    /// How much of the data of a range is there, from 0 to 1, as far as that is known without reading them.
    ///
    /// # Errors
    /// It can't be reached.
    fn availability(&self, range: TimeRange) -> Result<Option<f64>, SourceError> {
        let _ = range;
        Ok(None)
    }

    /// The same source for a request that brings a configuration of its own, such as credentials: an object with a key for
    /// each type of source (see [`SourceKind::type_name`](crate::SourceKind::type_name)), of which each source takes its own.
    /// `None` if it is the same for all.
    ///
    /// # Errors
    /// Its part of the configuration is not as it should be.
    fn with_request(
        &self,
        configuration: &serde_json::Value,
    ) -> Result<Option<Arc<dyn DataSource>>, SourceError> {
        let _ = configuration;
        Ok(None)
    }
}

/// A series of a source.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SourceSeries {
    /// The resource.
    pub resource: ResourceId,
    /// The distance from sample to sample.
    pub period: SamplePeriod,
    /// The type of the samples.
    pub data_type: DataType,
    /// What the source calls it.
    pub title: String,
    /// What the source says of the resource, such as its `unit`. The same for all periods of a resource.
    pub properties: Properties,
    /// How long after multiples of the period the samples start, in ticks: 0 ≤ phase < period.
    pub phase_ticks: i64,
    /// All samples lie in it, as far as is known; both ends are multiples of the period. `None` if there are none. A source
    /// that makes its samples up has no ends but those of time, see [`SourceSeries::endless_range`].
    pub range: Option<TimeRange>,
}

impl SourceSeries {
    /// A series without samples, called like its resource.
    pub fn new(resource: ResourceId, period: SamplePeriod, data_type: DataType) -> SourceSeries {
        SourceSeries {
            title: resource.to_string(),
            resource,
            period,
            data_type,
            properties: Properties::default(),
            phase_ticks: 0,
            range: None,
        }
    }

    /// The unit, if the source says it.
    pub fn unit(&self) -> Option<&str> {
        self.properties.unit()
    }

    /// All slots of time: what a series without begin and end has as its range.
    pub fn endless_range(period: SamplePeriod) -> Option<TimeRange> {
        TimeRange::new(Tick::MIN, period.floor(Tick::MAX)).ok()
    }

    /// Whether the range is all of time.
    pub fn is_endless(&self) -> bool {
        self.range.is_some() && self.range == SourceSeries::endless_range(self.period)
    }
}

/// What the samples of a range are read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Revision(pub u64);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Samples that a source reads at once, at most: 2 GiB.
const MOST_SLOTS: u64 = 1 << 28;

/// How many slots a range has, if it is one that a series can be read in.
pub(crate) fn slots_of(
    resource: &ResourceId,
    period: SamplePeriod,
    range: TimeRange,
) -> Result<usize, SourceProblem> {
    if !period.divides(range.begin()) || !period.divides(range.end()) {
        return Err(SourceProblem::OffGrid { resource: resource.clone(), range, period });
    }
    let slots = range.count(period);
    let len = usize::try_from(slots).ok().filter(|_| slots <= MOST_SLOTS);
    len.ok_or(SourceProblem::TooMany { slots, most: MOST_SLOTS })
}

/// What is wrong with a source, or with what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SourceProblem {
    /// Another series than there are.
    #[error("there is no series `{resource}/{period}`; it has {known}")]
    NoSeries {
        /// What was asked for.
        resource: ResourceId,
        /// At which period.
        period: SamplePeriod,
        /// What there is.
        known: String,
    },
    /// A range between slots.
    #[error("the range {range} does not begin and end at multiples of {period}, the period of `{resource}`")]
    OffGrid {
        /// The series.
        resource: ResourceId,
        /// The range.
        range: TimeRange,
        /// The period.
        period: SamplePeriod,
    },
    /// More than can be held in memory.
    #[error("{slots} samples were asked for at once, more than {most}; read them in parts")]
    TooMany {
        /// How many slots the range has.
        slots: u64,
        /// How many there may be.
        most: u64,
    },
    /// A setting that can't be.
    #[error("setting `{setting}`: {problem}")]
    Setting {
        /// Its name.
        setting: &'static str,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// A template that can't be.
    #[error("template `{template}`: {problem}")]
    Template {
        /// The template.
        template: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// The folder is not there.
    #[error("there is no such folder, or it may not be read: {error}")]
    NoFolder {
        /// Why not.
        error: String,
    },
    /// No file fits.
    #[error("no file fits the template")]
    NoFiles,
    /// A folder below that can't be read.
    #[error("folder `{path}` can't be listed: {error}")]
    List {
        /// The folder, from the root on.
        path: String,
        /// Why not.
        error: String,
    },
    /// A link to somewhere else.
    #[error(
        "`{path}` is a link that leads out of the folder, or nowhere; put the data into the folder, or remove the link"
    )]
    Escapes {
        /// The link, from the root on.
        path: String,
    },
    /// Too many folders in folders.
    #[error("`{path}` is too deep below the folder")]
    TooDeep {
        /// The folder, from the root on.
        path: String,
    },
    /// Too many files.
    #[error("more than {most} files fit the template")]
    TooManyFiles {
        /// How many there may be.
        most: usize,
    },
    /// Digits that are no date.
    #[error("`{path}` fits the template, but its name has no date that exists")]
    NoDate {
        /// The file, from the root on.
        path: String,
    },
    /// A file that is not what it was when the folder was listed.
    #[error("`{path}` has changed since the folder was listed; refresh the source, and read again")]
    Changed {
        /// The file, from the root on.
        path: String,
    },
    /// A column without a name.
    #[error("`{path}`: column `{title}` can't be a resource: {problem}")]
    Name {
        /// The file, from the root on.
        path: String,
        /// The title of the column.
        title: String,
        /// What is wrong.
        problem: IdError,
    },
    /// Two columns that would have one name.
    #[error(
        "`{path}`: columns `{first}` and `{second}` would both be resource `{resource}`; rename one, or leave it out"
    )]
    SameName {
        /// The file, from the root on.
        path: String,
        /// The title of the first one.
        first: String,
        /// The title of the second one.
        second: String,
        /// The name.
        resource: ResourceId,
    },
    /// Rows anywhere.
    #[error(
        "`{path}`: the rows of `{resource}` lie at no period, so it can't be read in place; ingest it instead"
    )]
    Irregular {
        /// The file, from the root on.
        path: String,
        /// The series.
        resource: ResourceId,
    },
    /// Too few rows.
    #[error(
        "`{path}`: there are too few rows of `{resource}` to find out their period; say which it is with option `period`"
    )]
    NoPeriod {
        /// The file, from the root on.
        path: String,
        /// The series.
        resource: ResourceId,
    },
    /// Files with different periods.
    #[error("`{resource}` has a row every {period} in `{path}`, but every {other_period} in `{other_path}`{}", Phases(*.period == *.other_period))]
    Periods {
        /// The series.
        resource: ResourceId,
        /// A file, from the root on.
        path: String,
        /// Its period.
        period: SamplePeriod,
        /// Another file.
        other_path: String,
        /// Its period.
        other_period: SamplePeriod,
    },
    /// A row outside of what a name says.
    #[error(
        "`{path}`, {place} {line}: the row at {start} lies outside of {range}, which is what the name of the file says; \
         set `margin` to how far rows may lie outside"
    )]
    Outside {
        /// The file, from the root on.
        path: String,
        /// What `line` counts.
        place: Place,
        /// The row.
        line: u64,
        /// When it starts.
        start: Tick,
        /// What the name says.
        range: TimeRange,
    },
    /// A row between slots.
    #[error(
        "`{path}`, {place} {line}: `{resource}` has a row at {start}, more than a tenth of {period} beside its slot"
    )]
    Beside {
        /// The file, from the root on.
        path: String,
        /// What `line` counts.
        place: Place,
        /// The row.
        line: u64,
        /// The series.
        resource: ResourceId,
        /// When the row starts.
        start: Tick,
        /// The period.
        period: SamplePeriod,
    },
    /// Two values for a slot.
    #[error(
        "`{path}`, {place} {line}: `{resource}` has a second value for the slot of {start}; the first one is in `{other_path}`"
    )]
    Twice {
        /// The file, from the root on.
        path: String,
        /// What `line` counts.
        place: Place,
        /// The row.
        line: u64,
        /// The series.
        resource: ResourceId,
        /// The start of the slot.
        start: Tick,
        /// The file that has the first one.
        other_path: String,
    },
    /// A server that does not answer.
    #[error("{request} got no answer: {error}")]
    Unreachable {
        /// What was asked.
        request: String,
        /// Why not.
        error: String,
    },
    /// A server that answers with an error.
    #[error("{request} was answered with {status}{}{message}", if message.is_empty() { "" } else { ": " })]
    Refused {
        /// What was asked.
        request: String,
        /// The status of HTTP.
        status: u16,
        /// The first line of the answer, between backticks, or what it means.
        message: String,
    },
    /// An answer that is cut off, or that can't be understood.
    #[error("the answer to {request} can't be used: {problem}")]
    Answer {
        /// What was asked.
        request: String,
        /// What is wrong.
        problem: String,
    },
    /// A part of a request's configuration that can't be.
    #[error("the request's configuration for `{type_name}`: {problem}")]
    Request {
        /// The key of the part.
        type_name: &'static str,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// A database that can't be reached, or that refuses a query.
    #[error("the database can't answer: {error}")]
    Query {
        /// What it says.
        error: String,
    },
    /// A column that can't be what it is to be.
    #[error("column `{column}` {problem}")]
    Column {
        /// The column.
        column: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// A row of a query between slots.
    #[error(
        "column `{column}` has a row at {start}, which is not at a multiple of {period}{}; say with `phase` how long after \
         its multiples rows are, or round the times in the query", After(*phase_ticks)
    )]
    RowBeside {
        /// The column of times.
        column: String,
        /// When the row starts.
        start: Tick,
        /// The period.
        period: SamplePeriod,
        /// How long after multiples of it rows should be.
        phase_ticks: i64,
    },
    /// Two rows of a query for a slot.
    #[error("column `{column}` has two values at {start}; change the query so that it gives one")]
    RowTwice {
        /// The column of values, or the series of a row.
        column: String,
        /// When both rows start.
        start: Tick,
    },
    /// A value of a query that its type can't hold.
    #[error("column `{column}` has {value} at {start}, which can't be exactly of type {data_type}")]
    RowType {
        /// The column of values, or the series of a row.
        column: String,
        /// When the row starts.
        start: Tick,
        /// The value.
        value: String,
        /// The type.
        data_type: DataType,
    },
    /// A value that its type can't hold.
    #[error(
        "`{path}`, {place} {line}: {value} of `{resource}` can't be exactly of type {data_type}; say with `data_types` that \
         it is {other}"
    )]
    Type {
        /// The file, from the root on.
        path: String,
        /// What `line` counts.
        place: Place,
        /// The row.
        line: u64,
        /// The series.
        resource: ResourceId,
        /// The value.
        value: String,
        /// The type.
        data_type: DataType,
        /// What it should be.
        other: DataType,
    },
}

impl SourceProblem {
    /// There is no such series among these.
    pub fn no_series<'a>(
        resource: &ResourceId,
        period: SamplePeriod,
        all: impl IntoIterator<Item = &'a SourceSeries>,
    ) -> SourceProblem {
        const MOST: usize = 20;
        let mut names = all.into_iter().map(|series| format!("`{}/{}`", series.resource, series.period));
        let shown: Vec<String> = names.by_ref().take(MOST).collect();
        let more = if names.next().is_some() { " and more" } else { "" };
        let known = if shown.is_empty() { "none".to_owned() } else { shown.join(", ") + more };
        SourceProblem::NoSeries { resource: resource.clone(), period, known }
    }

    /// Whether another server does not answer as it should, so that the same may work later.
    pub fn is_unavailable(&self) -> bool {
        matches!(
            self,
            SourceProblem::Unreachable { .. }
                | SourceProblem::Refused { .. }
                | SourceProblem::Answer { .. }
                | SourceProblem::Query { .. }
        )
    }
}

/// What else differs where the periods don't.
struct Phases(bool);

impl fmt::Display for Phases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0 { ", at another time after its multiples" } else { "" })
    }
}

/// A phase, if there is one.
struct After(i64);

impl fmt::Display for After {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match SamplePeriod::from_ticks(self.0) {
            Ok(phase) => write!(f, " and {phase}"),
            Err(_) => Ok(()),
        }
    }
}
