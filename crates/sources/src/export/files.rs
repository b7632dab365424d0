//! The files of an export: which there are, and what they are called.

use sheaf_model::{CatalogId, SamplePeriod, Tick, TimeRange};

use crate::write::TimeText;

/// A file of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExportFile {
    /// Where it begins: a multiple of the period of files, which may lie before the first of its rows.
    pub begin: Tick,
    /// The times of its rows.
    pub range: TimeRange,
}

/// The files of an export over `range`: one, or one for each period of files that the range touches.
pub fn export_files(range: TimeRange, file_period: Option<SamplePeriod>) -> impl Iterator<Item = ExportFile> {
    let mut next = Some(range.begin());
    std::iter::from_fn(move || {
        let begin = next.take()?;
        let Some(period) = file_period else { return Some(ExportFile { begin, range }) };
        let file = period.floor(begin);
        // Beyond the end of time there is no further file.
        let end = file.checked_add(period.ticks()).map_or(range.end(), |end| end.min(range.end()));
        let range_of_file = TimeRange::new(begin, end).ok()?;
        next = Some(end).filter(|&end| end < range.end());
        Some(ExportFile { begin: file, range: range_of_file })
    })
}

/// The name of a catalog in names of files: `/` becomes `_`.
pub fn physical_name(catalog: &CatalogId) -> String {
    catalog.as_str().trim_start_matches('/').replace('/', "_")
}

/// The stamp of a time in names of files: `2020-01-01T00-00-00Z`. A fraction of the second shows only where there is one, so
/// that no two files have the same name.
pub(super) fn stamp(begin: Tick) -> String {
    let text = TimeText::default().of(begin.ticks()).map(|text| String::from_utf8_lossy(text).into_owned());
    text.unwrap_or_default().replace([':', '.'], "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(begin: &str, end: &str) -> TimeRange {
        TimeRange::new(begin.parse().unwrap(), end.parse().unwrap()).unwrap()
    }

    fn begins(begin: &str, end: &str, period: Option<&str>) -> Vec<(String, u64)> {
        let period = period.map(|period| period.parse().unwrap());
        let rows = "10_min".parse().unwrap();
        export_files(range(begin, end), period)
            .map(|file| (file.begin.to_string(), file.range.count(rows)))
            .collect()
    }

    #[test]
    fn a_file_for_each_period() {
        let expected = ["01:00", "01:30", "02:00", "02:30"].map(|time| (format!("2020-01-01T{time}:00Z"), 3));
        assert_eq!(begins("2020-01-01T01:00", "2020-01-01T03:00", Some("30_min")), expected);
        // The first and the last one need not be full.
        assert_eq!(
            begins("2020-01-01T23:40", "2020-01-03T00:10", Some("1_d")),
            [("2020-01-01", 2), ("2020-01-02", 144), ("2020-01-03", 1)]
                .map(|(day, rows)| (format!("{day}T00:00:00Z"), rows))
        );
        assert_eq!(
            begins("2020-01-01T01:10", "2020-01-01T03:00", None),
            [("2020-01-01T01:10:00Z".to_owned(), 11)]
        );
    }

    #[test]
    fn files_end_with_time_itself() {
        let last = TimeRange::new("9999-12-31T23:00".parse().unwrap(), Tick::MAX).unwrap();
        assert_eq!(export_files(last, Some("7_d".parse().unwrap())).count(), 1);
    }

    #[test]
    fn names() {
        assert_eq!(physical_name(&"/A/B_C".parse().unwrap()), "A_B_C");
        assert_eq!(stamp("2020-01-01T01:02:03".parse().unwrap()), "2020-01-01T01-02-03Z");
        assert_eq!(stamp("2020-01-01T01:02:03.5".parse().unwrap()), "2020-01-01T01-02-03-5000000Z");
    }
}
