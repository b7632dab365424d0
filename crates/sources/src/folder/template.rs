//! Templates of paths: `{yyyy}/{MM}/*.csv`.

use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

use crate::csv::{Instant, Zone};
use crate::source::SourceProblem;
use sheaf_model::Tick;

/// Folders in folders, at most: `**` must not run around in circles.
const DEEPEST: usize = 32;

/// Files, at most: more are taken for a mistake.
const MOST_FILES: usize = 1_000_000;

/// Placeholders, what they match, and the one that must stand beside each.
const FIELDS: [(&str, &str, Option<&str>); 6] = [
    ("yyyy", "[0-9]{4}", None),
    ("MM", "[0-9]{2}", Some("yyyy")),
    ("dd", "[0-9]{2}", Some("MM")),
    ("DDD", "[0-9]{3}", Some("yyyy")),
    ("HH", "[0-9]{2}", None),
    ("mm", "[0-9]{2}", Some("HH")),
];

/// A template, cut at its slashes.
#[derive(Debug)]
pub(super) struct Template {
    parts: Vec<Part>,
    has_dates: bool,
}

#[derive(Debug)]
enum Part {
    /// A name without anything to match: it is not even listed.
    Name(String),
    /// A name that fits. The fields are those of the groups, in their order.
    Pattern { regex: Regex, fields: Vec<usize> },
    /// Any number of folders.
    Folders,
}

/// A file that fits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Found {
    /// Its path, from the root on, with `/` between its parts.
    pub(super) path: String,
    /// What its placeholders say, in the order of `FIELDS`.
    fields: [Option<u32>; FIELDS.len()],
}

impl Template {
    /// Reads a template, and refuses one that leads out of the folder or has dates that are incomplete.
    pub(super) fn parse(text: &str) -> Result<Template, SourceProblem> {
        let wrong = |problem: String| SourceProblem::Template { template: text.to_owned(), problem };
        if text.is_empty() {
            return Err(wrong(
                "it is empty; write something like `*.csv` or `{yyyy}/{MM}/*.parquet`".to_owned(),
            ));
        }
        if text.contains(['\\', '\0']) || text.starts_with('/') {
            return Err(wrong(
                "it is a path below the folder, with `/` between its parts and none before".to_owned(),
            ));
        }
        let mut parts = Vec::new();
        let mut used = [false; FIELDS.len()];
        for part in text.split('/') {
            parts.push(match part {
                "" | "." | ".." => return Err(wrong(format!("{part:?} can't be a part of it"))),
                "**" => Part::Folders,
                part if part.contains("**") => {
                    return Err(wrong(
                        "`**` stands for folders, so it stands alone between slashes".to_owned(),
                    ));
                }
                part if !part.contains(['*', '?', '{', '}']) => Part::Name(part.to_owned()),
                part => pattern(part, &mut used).map_err(wrong)?,
            });
        }
        if matches!(parts.last(), Some(Part::Folders)) {
            return Err(wrong("it ends with folders; write `**/*` for all files in them".to_owned()));
        }
        let is_used = |name: &str| FIELDS.iter().zip(used).any(|((field, ..), used)| used && *field == name);
        for ((field, _, beside), _) in FIELDS.iter().zip(used).filter(|(_, used)| *used) {
            if let Some(beside) = beside.filter(|beside| !is_used(beside)) {
                return Err(wrong(format!("`{{{field}}}` means nothing without `{{{beside}}}`")));
            }
        }
        if is_used("DDD") && is_used("MM") {
            return Err(wrong(
                "`{DDD}` counts the days of a year; write it without `{MM}` and `{dd}`".to_owned(),
            ));
        }
        if is_used("HH") && !is_used("dd") && !is_used("DDD") {
            return Err(wrong("`{HH}` means nothing without `{dd}` or `{DDD}`".to_owned()));
        }
        Ok(Template { parts, has_dates: is_used("yyyy") })
    }

    /// Whether names say when what is in a file begins.
    pub(super) const fn has_dates(&self) -> bool {
        self.has_dates
    }

    /// All files below `root`, which is canonical, that fit, sorted by their paths.
    pub(super) fn files(&self, root: &Path) -> Result<Vec<Found>, SourceProblem> {
        let mut walk = Walk { template: self, root, found: Vec::new() };
        walk.enter(root, "", 0, [None; FIELDS.len()], 0)?;
        let mut found = walk.found;
        found.sort_unstable();
        // `**/**` reaches a file in several ways.
        found.dedup();
        Ok(found)
    }

    /// From when to before when a file holds samples by its name, in ticks; `None` for a template without dates.
    pub(super) fn range(&self, found: &Found, zone: &mut Zone) -> Result<Option<(i64, i64)>, SourceProblem> {
        if !self.has_dates {
            return Ok(None);
        }
        let [year, month, day, day_of_year, hour, minute] = found.fields;
        let no_date = || SourceProblem::NoDate { path: found.path.clone() };
        let year = year.ok_or_else(no_date)?;
        let month_or_first = match day_of_year {
            Some(_) => 1,
            None => month.unwrap_or(1),
        };
        let text = format!("{year:04}-{month_or_first:02}-{:02}T00:00:00Z", day.unwrap_or(1));
        let date = text.parse::<Tick>().map_err(|_| no_date())?.ticks();
        let day_ticks = 86_400 * Tick::PER_SECOND;
        let date = match day_of_year {
            // The last day of a common year is the 365th.
            Some(days @ 1..=366) => {
                let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
                if days == 366 && !leap {
                    return Err(no_date());
                }
                date + i64::from(days - 1) * day_ticks
            }
            Some(_) => return Err(no_date()),
            None => date,
        };
        let clock =
            |value: Option<u32>, most: u32| value.map_or(Some(0), |value| (value <= most).then_some(value));
        let hours = i64::from(clock(hour, 23).ok_or_else(no_date)?);
        let minutes = i64::from(clock(minute, 59).ok_or_else(no_date)?);
        let begin = date + (hours * 60 + minutes) * 60 * Tick::PER_SECOND;
        let end = if minute.is_some() {
            begin + 60 * Tick::PER_SECOND
        } else if hour.is_some() {
            begin + 3600 * Tick::PER_SECOND
        } else if day.is_some() || day_of_year.is_some() {
            begin + day_ticks
        } else {
            let (year, month) = match month {
                Some(month @ ..12) => (year, month + 1),
                _ => (year + 1, 1),
            };
            // After the last month there is no other one, but the end of time.
            format!("{year:04}-{month:02}-01T00:00:00Z").parse::<Tick>().unwrap_or(Tick::MAX).ticks()
        };
        Ok(Some((instant(begin, zone), instant(end, zone))))
    }
}

/// When clocks show this for the first time, or go on after it where they skip it.
fn instant(wall: i64, zone: &mut Zone) -> i64 {
    const STEP: i64 = 15 * 60 * Tick::PER_SECOND;
    (0..96)
        .find_map(|steps| match zone.instant(wall + steps * STEP) {
            Ok(Instant::At(at)) => Some(at),
            Ok(Instant::Fold { earlier, .. }) => Some(earlier),
            Err(_) => None,
        })
        .unwrap_or(wall)
}

/// The pattern of a part of a path.
fn pattern(part: &str, used: &mut [bool]) -> Result<Part, String> {
    let mut regex = String::from("^");
    let mut fields = Vec::new();
    let mut rest = part;
    while let Some(first) = rest.chars().next() {
        rest = &rest[first.len_utf8()..];
        match first {
            '*' => regex.push_str(".*"),
            '?' => regex.push('.'),
            '{' => {
                let (name, after) = rest.split_once('}').ok_or("a `{` is not closed")?;
                let Some(field) = FIELDS.iter().position(|(known, ..)| *known == name) else {
                    let known: Vec<String> =
                        FIELDS.iter().map(|(known, ..)| format!("{{{known}}}")).collect();
                    return Err(format!("`{{{name}}}` is none of {}", known.join(", ")));
                };
                regex.push_str(&format!("({})", FIELDS[field].1));
                fields.push(field);
                used[field] = true;
                rest = after;
            }
            '}' => return Err("a `}` is not opened".to_owned()),
            other => regex.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
        }
    }
    regex.push('$');
    let regex = Regex::new(&format!("(?s){regex}")).map_err(|error| error.to_string())?;
    Ok(Part::Pattern { regex, fields })
}

struct Walk<'a> {
    template: &'a Template,
    root: &'a Path,
    found: Vec<Found>,
}

impl Walk<'_> {
    /// Follows the parts from `part` on, in a folder that is so deep below the root.
    fn enter(
        &mut self,
        folder: &Path,
        path: &str,
        part: usize,
        fields: [Option<u32>; FIELDS.len()],
        depth: usize,
    ) -> Result<(), SourceProblem> {
        let template = self.template;
        let is_last = part + 1 == template.parts.len();
        let Some(rule) = template.parts.get(part) else { return Ok(()) };
        if depth > DEEPEST {
            return Err(SourceProblem::TooDeep { path: path.to_owned() });
        }
        let join = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
        match rule {
            Part::Name(name) => self.step(&folder.join(name), &join(name), part, is_last, fields, depth),
            Part::Folders => {
                self.enter(folder, path, part + 1, fields, depth)?;
                for (name, entry) in self.list(folder, path)? {
                    // Links to folders are followed where they are named, not here: they could lead around in circles.
                    if fs::symlink_metadata(&entry).is_ok_and(|metadata| metadata.is_dir()) {
                        self.enter(&entry, &join(&name), part, fields, depth + 1)?;
                    }
                }
                Ok(())
            }
            Part::Pattern { regex, fields: groups } => {
                for (name, entry) in self.list(folder, path)? {
                    let Some(captures) = regex.captures(&name) else { continue };
                    let mut fields = fields;
                    let mut agree = true;
                    for (group, &field) in groups.iter().enumerate() {
                        let value = captures.get(group + 1).and_then(|text| text.as_str().parse().ok());
                        // A placeholder that occurs twice is the same both times.
                        agree &= fields[field].is_none() || fields[field] == value;
                        fields[field] = value;
                    }
                    if agree {
                        self.step(&entry, &join(&name), part, is_last, fields, depth)?;
                    }
                }
                Ok(())
            }
        }
    }

    /// Takes up a file, or enters a folder.
    fn step(
        &mut self,
        entry: &Path,
        path: &str,
        part: usize,
        is_last: bool,
        fields: [Option<u32>; FIELDS.len()],
        depth: usize,
    ) -> Result<(), SourceProblem> {
        let Ok(metadata) = fs::symlink_metadata(entry) else { return Ok(()) };
        let is_link = metadata.file_type().is_symlink();
        if is_link && !fs::canonicalize(entry).is_ok_and(|target| target.starts_with(self.root)) {
            return Err(SourceProblem::Escapes { path: path.to_owned() });
        }
        let is_folder = if is_link { entry.is_dir() } else { metadata.is_dir() };
        if !is_last {
            return if is_folder { self.enter(entry, path, part + 1, fields, depth + 1) } else { Ok(()) };
        }
        if !is_folder {
            if self.found.len() == MOST_FILES {
                return Err(SourceProblem::TooManyFiles { most: MOST_FILES });
            }
            self.found.push(Found { path: path.to_owned(), fields });
        }
        Ok(())
    }

    /// Names and paths of what is in a folder. Names that are no text fit no template.
    fn list(&self, folder: &Path, path: &str) -> Result<Vec<(String, PathBuf)>, SourceProblem> {
        let failed =
            |error: std::io::Error| SourceProblem::List { path: path.to_owned(), error: error.to_string() };
        let mut all = Vec::new();
        for entry in fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if let Ok(name) = entry.file_name().into_string()
                // Hidden files are not meant by `*`, as in a shell.
                && !name.starts_with('.')
            {
                all.push((name, entry.path()));
            }
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(template: &str) -> String {
        Template::parse(template).unwrap_err().to_string()
    }

    #[test]
    fn templates_that_cannot_be() {
        for (template, problem) in [
            ("", "it is empty"),
            ("/etc/*.csv", "it is a path below the folder"),
            ("../*.csv", "\"..\" can't be a part of it"),
            ("a/../../b.csv", "\"..\" can't be a part of it"),
            ("a//b.csv", "\"\" can't be a part of it"),
            ("a\\b.csv", "with `/` between its parts"),
            ("a/**", "write `**/*`"),
            ("a**/b", "stands alone"),
            ("{yyyy", "a `{` is not closed"),
            ("yyyy}", "a `}` is not opened"),
            ("{YYYY}.csv", "`{YYYY}` is none of {yyyy}, {MM}, {dd}, {DDD}, {HH}, {mm}"),
            ("{MM}.csv", "`{MM}` means nothing without `{yyyy}`"),
            ("{yyyy}{dd}.csv", "`{dd}` means nothing without `{MM}`"),
            ("{yyyy}{MM}{HH}.csv", "`{HH}` means nothing without `{dd}` or `{DDD}`"),
            ("{yyyy}{MM}{DDD}.csv", "`{DDD}` counts the days of a year"),
        ] {
            let error = refused(template);
            assert!(error.contains(problem), "{template}: {error}");
        }
    }

    fn range(template: &str, path: &str, zone: &str) -> Result<String, String> {
        let template = Template::parse(template).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let file = root.join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "").unwrap();
        let found = template.files(&root).unwrap();
        let [found] = found.as_slice() else { return Err(format!("{} files", found.len())) };
        assert_eq!(found.path, path);
        match template.range(found, &mut Zone::new(Some(zone)).unwrap()) {
            Ok(Some((begin, end))) => {
                Ok(format!("{} {}", Tick::new(begin).unwrap(), Tick::new(end).unwrap()).replace(":00Z", ""))
            }
            Ok(None) => Ok("any".to_owned()),
            Err(problem) => Err(problem.to_string()),
        }
    }

    #[test]
    fn the_smallest_unit_is_the_length() {
        for (template, path, expected) in [
            ("{yyyy}.csv", "2020.csv", "2020-01-01T00:00 2021-01-01T00:00"),
            ("{yyyy}/{MM}/*.csv", "2020/12/x.csv", "2020-12-01T00:00 2021-01-01T00:00"),
            (
                "{yyyy}/**/{yyyy}-{MM}-{dd}.csv",
                "2020/a/b/2020-02-29.csv",
                "2020-02-29T00:00 2020-03-01T00:00",
            ),
            ("x_{yyyy}{MM}{dd}_{HH}.csv", "x_20200101_23.csv", "2020-01-01T23:00 2020-01-02T00:00"),
            ("{yyyy}{DDD}T{HH}{mm}*", "2020366T2359.gz", "2020-12-31T23:59 2021-01-01T00:00"),
            ("a.b/?.csv", "a.b/ä.csv", "any"),
        ] {
            assert_eq!(range(template, path, "UTC").as_deref(), Ok(expected), "{template}");
        }
        // A day of 23 hours, and the hour that is skipped in it.
        assert_eq!(
            range("{yyyy}{MM}{dd}", "20200329", "Europe/Berlin").unwrap(),
            "2020-03-28T23:00 2020-03-29T22:00"
        );
        assert_eq!(
            range("{yyyy}{MM}{dd}{HH}", "2020102502", "Europe/Berlin").unwrap(),
            "2020-10-25T00:00 2020-10-25T02:00"
        );
    }

    #[test]
    fn what_does_not_fit_is_no_file_of_it() {
        for (template, path) in [
            ("{yyyy}/{yyyy}.csv", "2020/2021.csv"),
            ("*.csv", "a.csv/b.csv"),
            ("*.csv", ".hidden.csv"),
            ("a.c", "abc"),
            ("?.csv", "ab.csv"),
            ("{yyyy}", "20200"),
        ] {
            assert_eq!(range(template, path, "UTC"), Err("0 files".to_owned()), "{template}");
        }
        let error = range("{yyyy}{MM}{dd}.csv", "20200230.csv", "UTC").unwrap_err();
        assert_eq!(error, "`20200230.csv` fits the template, but its name has no date that exists");
        assert!(range("{yyyy}{DDD}.csv", "2021366.csv", "UTC").is_err());
        assert!(range("{yyyy}{MM}{dd}{HH}.csv", "2021010124.csv", "UTC").is_err());
    }
}
