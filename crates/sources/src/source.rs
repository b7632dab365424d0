//! Data that stay where they are: a folder of files, another server, a query.

use std::fmt;

use sheaf_model::{DataType, IdError, ResourceId, SamplePeriod, Samples, Tick, TimeRange};

use crate::error::SourceError;
use crate::table::Place;

/// Something that has series, and is read in place.
///
/// A source answers from what it knows of its data since it was opened, or since the last [`refresh`](Self::refresh). It
/// may read lazily; but what has changed behind its back since then is an error, never a mixture of old and new samples.
/// All calls block, and may come from many threads at once. `testing::laws_of_sources` (feature `testing`) checks what is
/// promised here.
pub trait DataSource: fmt::Debug + Send + Sync {
    /// What messages call it. Every error of a source contains it, or the path of a file of it.
    fn name(&self) -> &str;

    /// Looks again at what there is. Cheap where nothing has changed.
    ///
    /// # Errors
    /// It can't be reached, or is not as it should be. What was known before is still there then.
    fn refresh(&self) -> Result<(), SourceError>;

    /// What it has, in the order of resources.
    ///
    /// # Errors
    /// It can't be read, or is not as it should be.
    fn series(&self) -> Result<Vec<SourceSeries>, SourceError>;

    /// The samples of a range, of the type and period that [`series`](Self::series) say: one for each slot of the range,
    /// missing where nothing is known.
    ///
    /// # Errors
    /// There is no such series, the range does not begin and end at multiples of its period, or the source can't be read.
    fn read(&self, resource: &ResourceId, range: TimeRange) -> Result<Samples, SourceError>;

    /// A number that is the same only as long as the samples of the range are.
    ///
    /// # Errors
    /// There is no such series, or the source can't be read.
    fn revision(&self, resource: &ResourceId, range: TimeRange) -> Result<Revision, SourceError>;
}

/// A series of a source.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SourceSeries {
    /// The resource.
    pub resource: ResourceId,
    /// What the source calls it.
    pub title: String,
    /// The unit, if the source says it.
    pub unit: Option<String>,
    /// The distance from sample to sample.
    pub period: SamplePeriod,
    /// How long after multiples of the period the samples start, in ticks: 0 ≤ phase < period.
    pub phase_ticks: i64,
    /// The type of the samples.
    pub data_type: DataType,
    /// From the begin of the first slot that has a sample to the end of the last one, as far as is known: both are multiples
    /// of the period. `None` if there are none.
    pub range: Option<TimeRange>,
}

impl SourceSeries {
    /// A series without samples, called like its resource.
    pub fn new(resource: ResourceId, period: SamplePeriod, data_type: DataType) -> SourceSeries {
        SourceSeries {
            title: resource.to_string(),
            resource,
            unit: None,
            period,
            data_type,
            phase_ticks: 0,
            range: None,
        }
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

/// What is wrong with a source, or with what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SourceProblem {
    /// Another series than there are.
    #[error("there is no series `{resource}`; it has {known}")]
    NoSeries {
        /// What was asked for.
        resource: ResourceId,
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

/// What else differs where the periods don't.
struct Phases(bool);

impl fmt::Display for Phases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0 { ", at another time after its multiples" } else { "" })
    }
}
