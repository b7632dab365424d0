//! Names of series: a resource, and its period if it has one.

use std::fmt;
use std::str::FromStr;

use crate::text::Quoted;
use crate::{CatalogId, IdError, PeriodError, ResourceId, SamplePeriod};

/// What a series of the store is called: `/plant/mast/T1/10_ms` where it has a period, `/plant/mast/events` where it is
/// irregular. No name begins with a digit and every period does, so one is never taken for the other.
///
/// ```
/// use sheaf_model::SeriesKey;
///
/// let key: SeriesKey = "/plant/mast/T1/600_s".parse()?;
/// assert_eq!(key.resource.as_str(), "T1");
/// assert_eq!(key.to_string(), "/plant/mast/T1/10_min");
/// assert!("/plant/mast/events".parse::<SeriesKey>()?.period.is_none());
/// # Ok::<(), sheaf_model::SeriesKeyError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesKey {
    /// The catalog of the resource.
    pub catalog: CatalogId,
    /// The resource.
    pub resource: ResourceId,
    /// The period of the samples; `None` where they are irregular.
    pub period: Option<SamplePeriod>,
}

impl SeriesKey {
    /// What all keys of series in a catalog and in those below it begin with.
    pub fn prefix_of_catalog(catalog: &CatalogId) -> String {
        format!("{catalog}/")
    }

    /// What the keys of all representations of a resource begin with.
    pub fn prefix_of_resource(catalog: &CatalogId, resource: &ResourceId) -> String {
        format!("{catalog}/{resource}/")
    }
}

impl fmt::Display for SeriesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.catalog, self.resource)?;
        match self.period {
            Some(period) => write!(f, "/{period}"),
            None => Ok(()),
        }
    }
}

impl FromStr for SeriesKey {
    type Err = SeriesKeyError;

    fn from_str(text: &str) -> Result<SeriesKey, SeriesKeyError> {
        let error = |problem| SeriesKeyError { text: text.to_owned(), problem };
        let parts = |text: &str| text.rsplit_once('/').map(|(rest, last)| (rest.to_owned(), last.to_owned()));
        let (mut rest, mut last) = parts(text).ok_or_else(|| error(KeyProblem::TooShort))?;
        let mut period = None;
        if last.starts_with(|first: char| first.is_ascii_digit()) {
            period = Some(last.parse().map_err(|problem| error(KeyProblem::Period(problem)))?);
            (rest, last) = parts(&rest).ok_or_else(|| error(KeyProblem::TooShort))?;
        }
        let id = |problem| error(KeyProblem::Id(problem));
        Ok(SeriesKey { catalog: rest.parse().map_err(id)?, resource: last.parse().map_err(id)?, period })
    }
}

/// Text that names no series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeriesKeyError {
    text: String,
    problem: KeyProblem,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum KeyProblem {
    TooShort,
    Id(IdError),
    Period(PeriodError),
}

impl fmt::Display for SeriesKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} names no series, like `/plant/mast/T1/10_ms` does: ", Quoted(&self.text))?;
        match &self.problem {
            KeyProblem::TooShort => f.write_str("it needs a catalog and a resource at least"),
            KeyProblem::Id(problem) => problem.fmt(f),
            KeyProblem::Period(problem) => problem.fmt(f),
        }
    }
}

impl std::error::Error for SeriesKeyError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_what_is_none() {
        for text in ["/a/T1/1_s", "/a/b/T1/10_min", "/a/T1", "/a/b/T1"] {
            assert_eq!(text.parse::<SeriesKey>().unwrap().to_string(), text);
        }
        for text in
            ["", "/", "/a", "T1/1_s", "/T1/1_s", "/a/T1/0_s", "/a/T1/1_x", "/a//1_s", "/a/T 1/1_s", "/a/T1/"]
        {
            let error = text.parse::<SeriesKey>().unwrap_err().to_string();
            assert!(error.contains("names no series"), "{error}");
        }
    }
}
