//! The resource path: which quantity, at which period, made how, from what.
//!
//! ```text
//! path      := catalog "/" resource "/" period [ "_" kind ] [ "(" arguments ")" ] [ "#" fragment ]
//! arguments := [ key "=" value { "," key "=" value } ]
//! fragment  := ( "base=" period | "threshold=" number ) { "&" … }
//! ```
//!
//! Read by hand, so that every error knows its place. A path that is read is valid: its ids are
//! ids, its periods are positive, each key is known and there once. Where Nexus reads something by accident (numbers as
//! kinds, any key in the fragment, text between the parentheses that is no `key=value`), this refuses it.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use crate::ids::IdError;
use crate::kind::UnknownKind;
use crate::representation::RepresentationId;
use crate::text::{Allowed, Quoted, list, serde_as_text, suggest};
use crate::{CatalogId, Kind, ParameterKey, PeriodError, ResourceId, SamplePeriod};

/// The longest path, in bytes.
const LONGEST_PATH: usize = 16_384;

/// A resource path, valid in itself; whether there is such a resource is up to [`ResourceCatalog::find`].
///
/// Displays in canonical form: canonical periods, `snake_case` kinds, no blanks between arguments.
///
/// [`ResourceCatalog::find`]: crate::ResourceCatalog::find
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ResourcePath {
    catalog: CatalogId,
    resource: ResourceId,
    representation: RepresentationId,
    arguments: Arguments,
    base: Option<SamplePeriod>,
    threshold: Option<Threshold>,
}

impl ResourcePath {
    /// A path without arguments and fragment.
    pub fn new(catalog: CatalogId, resource: ResourceId, representation: RepresentationId) -> ResourcePath {
        let arguments = Arguments::default();
        ResourcePath { catalog, resource, representation, arguments, base: None, threshold: None }
    }

    /// The same path with this base representation.
    pub fn with_base(self, base: SamplePeriod) -> ResourcePath {
        ResourcePath { base: Some(base), ..self }
    }

    /// The same path in another catalog: the one at the end of a link.
    pub fn with_catalog(self, catalog: CatalogId) -> ResourcePath {
        ResourcePath { catalog, ..self }
    }

    /// The same path with this threshold, which has a meaning only for kinds that are gated.
    pub fn with_threshold(self, threshold: Threshold) -> ResourcePath {
        ResourcePath { threshold: Some(threshold).filter(|_| self.kind().is_gated()), ..self }
    }

    /// The same path with these arguments.
    pub fn with_arguments(self, arguments: Arguments) -> ResourcePath {
        ResourcePath { arguments, ..self }
    }

    /// Reads the last part of a path alone.
    pub(crate) fn representation_from_str(text: &str) -> Result<RepresentationId, PathError> {
        let parser = Parser { text };
        if text.len() > LONGEST_PATH {
            return Err(parser.error(0, PathProblem::TooLong(text.len())));
        }
        parser.representation(0, text.len())
    }

    /// The catalog.
    pub fn catalog(&self) -> &CatalogId {
        &self.catalog
    }

    /// The resource in the catalog.
    pub fn resource(&self) -> &ResourceId {
        &self.resource
    }

    /// Period and kind together, `10_min_mean`.
    pub fn representation(&self) -> RepresentationId {
        self.representation
    }

    /// The requested sample period.
    pub fn period(&self) -> SamplePeriod {
        self.representation.period
    }

    /// What is done to the samples.
    pub fn kind(&self) -> Kind {
        self.representation.kind
    }

    /// The arguments between the parentheses.
    pub fn arguments(&self) -> &Arguments {
        &self.arguments
    }

    /// Period of the representation to compute from; `None` is the first one of the resource.
    pub fn base(&self) -> Option<SamplePeriod> {
        self.base
    }

    /// The share of valid samples that a bucket must reach; `None` is the default of the request.
    pub fn threshold(&self) -> Option<Threshold> {
        self.threshold
    }
}

impl fmt::Display for ResourcePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}{}", self.catalog, self.resource, self.representation, self.arguments)?;
        let mut separator = '#';
        if let Some(base) = self.base {
            write!(f, "{separator}base={base}")?;
            separator = '&';
        }
        if let Some(threshold) = self.threshold {
            write!(f, "{separator}threshold={threshold}")?;
        }
        Ok(())
    }
}

impl FromStr for ResourcePath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<ResourcePath, PathError> {
        Parser { text }.path()
    }
}

serde_as_text!(ResourcePath);

/// Arguments of a path, in the order they were written; no key twice. The order tells paths apart, though it means
/// nothing to what is read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Arguments(Vec<(ParameterKey, String)>);

impl Arguments {
    /// Whether there are none; `()` counts as none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Keys and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&ParameterKey, &str)> {
        self.0.iter().map(|(key, value)| (key, value.as_str()))
    }

    /// Reads arguments as they stand between the parentheses: `k=v,k=v`.
    ///
    /// # Errors
    /// As for a path; positions are those in `text`.
    pub fn parse(text: &str) -> Result<Arguments, PathError> {
        Parser { text }.arguments(0, text.len())
    }

    /// The value of a key.
    pub fn get(&self, key: &ParameterKey) -> Option<&str> {
        self.iter().find(|(other, _)| *other == key).map(|(_, value)| value)
    }
}

/// `(k=v,k=v)`, or nothing where there are none.
impl fmt::Display for Arguments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = '(';
        for (key, value) in self.iter() {
            write!(f, "{separator}{key}={value}")?;
            separator = ',';
        }
        if self.is_empty() { Ok(()) } else { f.write_str(")") }
    }
}

/// The share of a bucket's samples that must be valid, 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Threshold(f64);

impl Threshold {
    /// `None` unless 0 ≤ share ≤ 1.
    pub fn new(share: f64) -> Option<Threshold> {
        // Adding 0 makes -0.0 the same threshold as 0.0, in text as well.
        (0.0..=1.0).contains(&share).then_some(Threshold(share + 0.0))
    }

    /// The share.
    pub const fn share(self) -> f64 {
        self.0
    }
}

/// A threshold is never NaN and never -0.0.
impl Eq for Threshold {}

impl std::hash::Hash for Threshold {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A text that is no resource path: where it is wrong, what was found, and what is allowed there.
#[derive(Clone, Debug, PartialEq)]
pub struct PathError {
    path: String,
    at: usize,
    problem: PathProblem,
}

/// What is wrong with a path.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum PathProblem {
    /// It does not begin with `/`.
    NoLeadingSlash,
    /// It has less than a catalog, a resource and a period.
    TooFewParts,
    /// It has so many bytes.
    TooLong(usize),
    /// The catalog or the resource is no id, or an argument's key none.
    Id(IdError),
    /// Something else where a period should be.
    NoPeriod(String),
    /// A period that is none.
    Period(PeriodError),
    /// A kind that there is not.
    Kind(UnknownKind),
    /// A part with nothing in it.
    Empty {
        /// What should be there.
        what: &'static str,
    },
    /// A character that is not allowed where it is.
    Character {
        /// The character.
        found: char,
        /// Where it must not be.
        place: &'static str,
    },
    /// A `(` that is not closed at the end.
    NotClosed,
    /// Text behind the `)` that is no fragment.
    BehindArguments(String),
    /// An argument that is no `key=value`.
    Argument(String),
    /// A key twice, among the arguments or in the fragment.
    DuplicateKey(String),
    /// A key in the fragment that there is not, or no key at all.
    FragmentKey(String),
    /// A key in the fragment without a value.
    NoValue(&'static str),
    /// A threshold that is no number from 0 to 1.
    Threshold(String),
    /// A threshold for a kind that has no use for it.
    IdleThreshold(Kind),
}

/// The keys of the fragment.
const FRAGMENT_KEYS: [&str; 2] = ["base", "threshold"];

impl PathError {
    /// The text that was to be read, or as much of it as a path can have.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Where it is wrong: characters from the beginning.
    pub fn position(&self) -> usize {
        self.at
    }

    /// What is wrong with it.
    pub fn problem(&self) -> &PathProblem {
        &self.problem
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", Quoted(&self.path))?;
        let at = self.at;
        match &self.problem {
            PathProblem::NoLeadingSlash => {
                write!(
                    f,
                    "a resource path begins with `/` (position {at}), like `/plant/met_mast/T1/10_min_mean`"
                )
            }
            PathProblem::TooFewParts => write!(
                f,
                "something is missing before position {at}: a resource path has a catalog, a resource and a sample \
                 period, like `/plant/met_mast/T1/10_min_mean`"
            ),
            PathProblem::Empty { what } => write!(f, "{what} is missing at position {at}"),
            PathProblem::Character { found, place } => {
                write!(f, "the character {found:?} at position {at} is not allowed in {place}")
            }
            PathProblem::NoValue(key) => {
                let example = if *key == "base" { "base=1_s" } else { "threshold=0.5" };
                write!(f, "`{key}` at position {at} has no value; write `{example}`")
            }
            PathProblem::TooLong(len) => {
                write!(f, "the path has {len} bytes; at most {LONGEST_PATH} are allowed")
            }
            PathProblem::Id(IdError::Character { what, found, first, .. }) => {
                let rule =
                    if *first { "a name begins with a-z, A-Z or `_`" } else { "allowed: a-z, A-Z, 0-9, `_`" };
                write!(f, "{found:?} at position {at} is not allowed in a {what}; {rule}")
            }
            PathProblem::Id(IdError::Empty { what, .. }) => {
                write!(f, "the {what} at position {at} is empty; allowed: a-z, A-Z, 0-9, `_`")
            }
            PathProblem::Id(IdError::TooLong { what, len, most, .. }) => {
                write!(f, "the {what} at position {at} has {len} bytes; at most {most} are allowed")
            }
            PathProblem::Id(error) => write!(f, "{error} (position {at})"),
            PathProblem::NoPeriod(found) => write!(
                f,
                "expected a sample period at position {at}, found {}; allowed: a number, `_`, a unit (ns, us, ms, s, \
                 min, h, d) and a kind, like `1_s` or `10_min_mean`",
                Quoted(found)
            ),
            PathProblem::Period(error) => write!(f, "{error} (position {at})"),
            PathProblem::Kind(error) => {
                let allowed = Allowed { suggestion: error.suggestion(), allowed: UnknownKind::allowed() };
                write!(f, "unknown kind {} at position {at}{allowed}", Quoted(&error.found))
            }
            PathProblem::NotClosed => {
                write!(
                    f,
                    "the `(` at position {at} is not closed; arguments are written `(key=value,key=value)`"
                )
            }
            PathProblem::BehindArguments(found) => write!(
                f,
                "unexpected {} at position {at}; behind the arguments only a fragment is allowed, like `#base=1_s`",
                Quoted(found)
            ),
            PathProblem::Argument(found) => write!(
                f,
                "expected an argument `key=value` at position {at}, found {}; arguments are separated by `,`",
                Quoted(found)
            ),
            PathProblem::DuplicateKey(key) => {
                write!(f, "the key {} at position {at} is there twice; once is allowed", Quoted(key))
            }
            PathProblem::FragmentKey(found) => {
                let suggestion = suggest(found, FRAGMENT_KEYS);
                let allowed = Allowed { suggestion, allowed: "base=<period>, threshold=<0 to 1>" };
                write!(f, "unknown key {} in the fragment at position {at}{allowed}", Quoted(found))
            }
            PathProblem::Threshold(found) => write!(
                f,
                "the threshold {} at position {at} is not allowed; it must be a number from 0 to 1",
                Quoted(found)
            ),
            PathProblem::IdleThreshold(kind) => write!(
                f,
                "the threshold at position {at} has no meaning for the kind `{kind}`; allowed for: {}",
                list(Kind::ALL.into_iter().filter(|kind| kind.is_gated()))
            ),
        }
    }
}

impl std::error::Error for PathError {}

/// The text and how to speak of places in it. Positions inside are bytes; they leave as characters.
struct Parser<'a> {
    text: &'a str,
}

impl<'a> Parser<'a> {
    fn error(&self, byte: usize, problem: PathProblem) -> PathError {
        let before = self.text.get(..byte).unwrap_or(self.text);
        let path = self.text.chars().take(LONGEST_PATH).collect();
        PathError { path, at: before.chars().count(), problem }
    }

    fn path(&self) -> Result<ResourcePath, PathError> {
        let text = self.text;
        if text.len() > LONGEST_PATH {
            return Err(self.error(0, PathProblem::TooLong(text.len())));
        }
        if !text.starts_with('/') {
            return Err(self.error(0, PathProblem::NoLeadingSlash));
        }
        let head_end = text.find(['(', '#']).unwrap_or(text.len());
        let head = &text[..head_end];
        let too_few = || match text[head_end..].chars().next() {
            Some(found) => self.error(head_end, PathProblem::Character { found, place: "a name" }),
            None => self.error(head_end, PathProblem::TooFewParts),
        };
        let (rest, _) = head.rsplit_once('/').ok_or_else(too_few)?;
        let (catalog, _) = rest.rsplit_once('/').ok_or_else(too_few)?;
        if catalog.is_empty() {
            return Err(too_few());
        }
        // From the end, where most slips are: without its period, the rest of a path is taken for something else.
        let representation = self.representation(rest.len() + 1, head_end)?;
        let catalog_id = catalog.parse().map_err(|error| self.id_error(0, error))?;
        let resource_begin = catalog.len() + 1;
        let resource =
            rest[resource_begin..].parse().map_err(|error| self.id_error(resource_begin, error))?;

        let (arguments, fragment_begin) = match text[head_end..].starts_with('(') {
            true => self.parenthesised(head_end)?,
            false => (Arguments::default(), head_end),
        };
        let mut path = ResourcePath::new(catalog_id, resource, representation).with_arguments(arguments);
        if fragment_begin < text.len() {
            self.fragment(fragment_begin + 1, &mut path)?;
        }
        Ok(path)
    }

    fn id_error(&self, begin: usize, error: IdError) -> PathError {
        let before = self.text[..begin].chars().count();
        PathError { at: before + error.at(), ..self.error(begin, PathProblem::Id(error)) }
    }

    /// `10_min_mean`, which is all of the text from `begin` to `end`.
    fn representation(&self, begin: usize, end: usize) -> Result<RepresentationId, PathError> {
        let text = &self.text[begin..end];
        if text.is_empty() {
            return Err(self.error(begin, PathProblem::Empty { what: "the sample period" }));
        }
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 || text.as_bytes().get(digits) != Some(&b'_') {
            return Err(self.error(begin, PathProblem::NoPeriod(text.to_owned())));
        }
        let unit_begin = digits + 1;
        let unit_end = text[unit_begin..].find('_').map_or(text.len(), |length| unit_begin + length);
        let period = self.period(begin, begin + unit_end)?;
        if unit_end == text.len() {
            return Ok(RepresentationId { period, kind: Kind::Original });
        }
        let kind_begin = unit_end + 1;
        if kind_begin == text.len() {
            return Err(self.error(end, PathProblem::Empty { what: "the kind" }));
        }
        let kind = text[kind_begin..].parse();
        let kind = kind.map_err(|error| self.error(begin + kind_begin, PathProblem::Kind(error)))?;
        Ok(RepresentationId { period, kind })
    }

    /// A period, which is all of the text from `begin` to `end`.
    fn period(&self, begin: usize, end: usize) -> Result<SamplePeriod, PathError> {
        let text = &self.text[begin..end];
        text.parse().map_err(|error| {
            let unit = text.find('_').map_or(0, |underscore| underscore + 1);
            let at = if matches!(error, PeriodError::UnknownUnit { .. }) { begin + unit } else { begin };
            self.error(at, PathProblem::Period(error))
        })
    }

    /// The arguments whose `(` is at `open`, and where they end: at the first `)`, as no value has one.
    fn parenthesised(&self, open: usize) -> Result<(Arguments, usize), PathError> {
        let length = self.text[open..].find(')').ok_or_else(|| self.error(open, PathProblem::NotClosed))?;
        let close = open + length;
        let arguments = self.arguments(open + 1, close)?;
        let behind = &self.text[close + 1..];
        if !behind.is_empty() && !behind.starts_with('#') {
            return Err(self.error(close + 1, PathProblem::BehindArguments(behind.to_owned())));
        }
        Ok((arguments, close + 1))
    }

    /// Arguments, which are all of the text from `begin` to `end`.
    fn arguments(&self, begin: usize, end: usize) -> Result<Arguments, PathError> {
        let inside = &self.text[begin..end];
        // Values become headers, file names and lines of logs.
        let bad = |character: char| character.is_control() || character == ')';
        if let Some((at, found)) = inside.char_indices().find(|(_, character)| bad(*character)) {
            return Err(self.error(begin + at, PathProblem::Character { found, place: "an argument" }));
        }
        let mut arguments: Vec<(ParameterKey, String)> = Vec::new();
        if inside.trim().is_empty() {
            return Ok(Arguments(arguments));
        }
        let mut seen = HashSet::new();
        let mut begin = begin;
        for argument in inside.split(',') {
            let (key, value) = argument
                .split_once('=')
                .ok_or_else(|| self.error(begin, PathProblem::Argument(argument.to_owned())))?;
            let key_begin = begin + key.len() - key.trim_start().len();
            let value_begin = begin + key.len() + 1;
            let key: ParameterKey = key.trim().parse().map_err(|error| self.id_error(key_begin, error))?;
            // Blanks behind a value belong to it, those in front do not.
            let value = value.trim_start();
            if value.is_empty() {
                return Err(self.error(value_begin, PathProblem::Empty { what: "the value of an argument" }));
            }
            if !seen.insert(key.clone()) {
                return Err(self.error(key_begin, PathProblem::DuplicateKey(key.to_string())));
            }
            arguments.push((key, value.to_owned()));
            begin += argument.len() + 1;
        }
        Ok(Arguments(arguments))
    }

    /// The fragment behind the `#`.
    fn fragment(&self, begin: usize, path: &mut ResourcePath) -> Result<(), PathError> {
        let mut begin = begin;
        for entry in self.text[begin..].split('&') {
            let (key, value) = match entry.split_once('=') {
                Some((key, value)) if FRAGMENT_KEYS.contains(&key) => (key, value),
                Some((key, _)) => return Err(self.error(begin, PathProblem::FragmentKey(key.to_owned()))),
                None => {
                    let problem = match FRAGMENT_KEYS.into_iter().find(|key| *key == entry) {
                        Some(key) => PathProblem::NoValue(key),
                        None if entry.is_empty() => {
                            PathProblem::Empty { what: "`base=…` or `threshold=…`" }
                        }
                        None => PathProblem::FragmentKey(entry.to_owned()),
                    };
                    return Err(self.error(begin, problem));
                }
            };
            // A value has neither: what follows one of them was meant to be the next entry.
            if let Some((at, found)) = value.char_indices().find(|(_, found)| matches!(found, '#' | ',')) {
                let place = "a value of the fragment; entries are joined by `&`";
                let at = begin + key.len() + 1 + at;
                return Err(self.error(at, PathProblem::Character { found, place }));
            }
            let value_begin = begin + key.len() + 1;
            let duplicate = || self.error(begin, PathProblem::DuplicateKey(key.to_owned()));
            if key == "base" {
                let base = self.period(value_begin, value_begin + value.len())?;
                if path.base.replace(base).is_some() {
                    return Err(duplicate());
                }
            } else {
                let threshold = threshold(value);
                let wrong = || self.error(value_begin, PathProblem::Threshold(value.to_owned()));
                if path.threshold.replace(threshold.ok_or_else(wrong)?).is_some() {
                    return Err(duplicate());
                }
                if !path.kind().is_gated() {
                    return Err(self.error(begin, PathProblem::IdleThreshold(path.kind())));
                }
            }
            begin += entry.len() + 1;
        }
        Ok(())
    }
}

/// A number from 0 to 1, written with digits: `inf` and `nan`, which Rust reads too, are no numbers here.
fn threshold(text: &str) -> Option<Threshold> {
    let plain =
        text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'-' | b'+'));
    plain.then(|| text.parse().ok()).flatten().and_then(Threshold::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reference 1.4, "parse results": what is read.
    #[test]
    fn paths_of_the_reference() {
        for (text, catalog, resource, period, kind, arguments, base) in [
            ("/a/b/c/T1/10_ms", "/a/b/c", "T1", "10_ms", Kind::Original, "", None),
            ("/a/b/c/T1/10_ms(abc=456)", "/a/b/c", "T1", "10_ms", Kind::Original, "(abc=456)", None),
            (
                "/a/b/c/T1/10_ms(abc=456)#base=1_s",
                "/a/b/c",
                "T1",
                "10_ms",
                Kind::Original,
                "(abc=456)",
                Some("1_s"),
            ),
            ("/a/b/c/T1/600_s_mean", "/a/b/c", "T1", "10_min", Kind::Mean, "", None),
            (
                "/a/b/c/T1/600_s_mean(abc=456)#base=1_s",
                "/a/b/c",
                "T1",
                "10_min",
                Kind::Mean,
                "(abc=456)",
                Some("1_s"),
            ),
            ("/a/b/c/T1/10_min_mean_polar_deg", "/a/b/c", "T1", "10_min", Kind::MeanPolarDeg, "", None),
            ("/a/b/c/T1/10_min_resampled", "/a/b/c", "T1", "10_min", Kind::Resampled, "", None),
            ("/a/b/T1/24_h_mean", "/a/b", "T1", "1_d", Kind::Mean, "", None),
            ("/a/b/T1/7_d_mean", "/a/b", "T1", "7_d", Kind::Mean, "", None),
            (
                "/a/b/T1/1_s_min_bitwise(p=1,q=x)#base=1_ms",
                "/a/b",
                "T1",
                "1_s",
                Kind::MinBitwise,
                "(p=1,q=x)",
                Some("1_ms"),
            ),
            ("/a/b/c/T1/1_s()", "/a/b/c", "T1", "1_s", Kind::Original, "", None),
            // Rejected by Nexus, a kind of ours.
            ("/a/b/c/T1/10_min_median", "/a/b/c", "T1", "10_min", Kind::Median, "", None),
        ] {
            let path: ResourcePath = text.parse().unwrap();
            assert_eq!(path.catalog().as_str(), catalog, "{text}");
            assert_eq!(path.resource().as_str(), resource, "{text}");
            assert_eq!(path.period().to_string(), period, "{text}");
            assert_eq!(path.kind(), kind, "{text}");
            assert_eq!(path.arguments().to_string(), arguments, "{text}");
            assert_eq!(path.base().map(|base| base.to_string()).as_deref(), base, "{text}");
        }
    }

    /// Reference 1.4, "parse results": what is malformed there, and what is read by accident or found nowhere.
    #[test]
    fn malformed_paths_of_the_reference() {
        for (text, at) in [
            ("T1/1_s", 0),
            ("/a/b/c", 5),
            ("/a/b/1_s/", 9),
            ("/a/b/1_s_mean #base=1_s", 9),
            ("/a/b/1_s_mean (a=1)", 9),
            ("/a/b/T1/10_min_MEAN", 15),
            ("/a/b/T1/10_min_mean_", 15),
            ("/a/b/T1/10_min_", 15),
            ("/a/b/T1/1_s_mean#base=1_S", 24),
            ("/a/b/T1/1_s_mean#base=1_s#threshold=1", 25),
            ("/a/b/T1/1_h_mean(k=a\u{1b}[31m)", 20),
            ("/a/b/T1/1_h_count#threshold=0.5", 18),
            ("/a/b/T1/1_S", 10),
            ("/a/b/T1/1_w", 10),
            ("/a/b/T1/1_month_mean", 10),
            ("/a/b/T1/1_mean", 10),
            ("/a/b/T1/150_ns", 8),
            ("/a/b/T1/1_s_mean#base=1s", 22),
            ("/a/b/T1/1_s_mean#base=", 22),
            ("/a/b/T1/1_s_mean#base", 17),
            ("/a/b/T1/0_s", 8),
            ("/a/b/T1/0_s_mean", 8),
            ("/a/b/c/T1/1_s#foo=100_ms", 14),
            ("/a/b/T 1/1_s", 6),
            ("/T1/1_s", 7),
            ("/a(b)/T1/1_s", 2),
            ("/a/b/T1/1_s(\n)", 12),
            ("/a/b/T1/1_s(\nk=1)", 12),
            ("/a//1_s", 3),
            ("/a/b/T1/10_min_20", 15),
            ("/a/b/T1/1_s\n", 10),
            ("/a/b/T1/1_s(abc)", 12),
            ("/a/b/T1/1_s(a=1,a=2)", 16),
            ("/a/b/T1/1_s(a=1,,b=2)", 16),
            ("/a/b/T1/99999999999999999999_s", 8),
            ("/a/b/T1/9223372036854775807_d", 8),
        ] {
            let error = text.parse::<ResourcePath>().unwrap_err();
            assert_eq!(error.position(), at, "{error}");
            let said = error.to_string().rsplit("position ").next().and_then(|rest| {
                rest.split(|character: char| !character.is_ascii_digit())
                    .next()
                    .and_then(|digits| digits.parse().ok())
            });
            assert_eq!(said, Some(at), "{error}");
        }
    }

    #[test]
    fn an_error_says_where_what_and_what_is_allowed() {
        let message = |text: &str| text.parse::<ResourcePath>().unwrap_err().to_string();
        assert_eq!(
            message("/a/b/T1/10_min_maen"),
            "`/a/b/T1/10_min_maen`: unknown kind `maen` at position 15, did you mean `mean`? allowed: original, \
             resampled, mean, mean_polar_deg, min, max, std, rms, min_bitwise, max_bitwise, sum, count, first, last, \
             median, spread"
        );
        assert_eq!(
            message("/a/b/T1/1_s_mean#bsae=1_s"),
            "`/a/b/T1/1_s_mean#bsae=1_s`: unknown key `bsae` in the fragment at position 17, did you mean `base`? \
             allowed: base=<period>, threshold=<0 to 1>"
        );
        assert_eq!(
            message("/a/b/T1/1_S"),
            "`/a/b/T1/1_S`: unknown unit `S`, did you mean `s`? allowed: ns, us, ms, s, min, h, d (position 10)"
        );
        assert_eq!(
            message("/a/b-c/T1/1_s"),
            "`/a/b-c/T1/1_s`: '-' at position 4 is not allowed in a catalog id; allowed: a-z, A-Z, 0-9, `_`"
        );
    }

    #[test]
    fn positions_count_characters() {
        let error = "/a/ä/T1/1_s".parse::<ResourcePath>().unwrap_err();
        assert_eq!(error.position(), 3);
        let error = "/a/b/T1/1_s(k=ä,l)".parse::<ResourcePath>().unwrap_err();
        assert_eq!(error.position(), 16);
    }

    #[test]
    fn arguments_may_hold_almost_anything() {
        let path: ResourcePath = "/a/T1/1_s_mean( k = a/b/1_s#(x ,l=2)#base=1_s".parse().unwrap();
        let key = "k".parse().unwrap();
        // Blanks in front of a value are dropped, those behind it are kept.
        assert_eq!(path.arguments().get(&key), Some("a/b/1_s#(x "));
        assert_eq!(path.to_string(), "/a/T1/1_s_mean(k=a/b/1_s#(x ,l=2)#base=1_s");
        for text in ["/a/T1/1_s(a=)", "/a/T1/1_s(a=1", "/a/T1/1_s(a=1)x", "/a/T1/1_s(a=))", "/a/T1/1_s(1a=1)"]
        {
            assert!(text.parse::<ResourcePath>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_fragment_knows_base_and_threshold() {
        let path: ResourcePath = "/a/T1/1_s_mean#threshold=0.50&base=100_ms".parse().unwrap();
        assert_eq!(path.threshold(), Threshold::new(0.5));
        assert_eq!(path.to_string(), "/a/T1/1_s_mean#base=100_ms&threshold=0.5");
        for fragment in [
            "",
            "&",
            "base=1_s&",
            "threshold=",
            "threshold=nan",
            "threshold=inf",
            "threshold=1.01",
            "threshold=-0.1",
            "threshold=0.5&threshold=0.5",
            "base=1_s&base=1_s",
            "BASE=1_s",
            "base = 1_s",
            "threshold=0,5",
        ] {
            assert!(format!("/a/T1/1_s_mean#{fragment}").parse::<ResourcePath>().is_err(), "{fragment}");
        }
        assert!("/a/T1/1_s#threshold=0.5".parse::<ResourcePath>().is_err());
        assert_eq!(
            "/a/T1/1_s_sum#threshold=-0".parse::<ResourcePath>().unwrap().threshold(),
            Threshold::new(0.0)
        );
    }

    #[test]
    fn a_path_is_not_endless() {
        let error = format!("/a/{}", "b".repeat(1 << 20)).parse::<ResourcePath>().unwrap_err();
        assert_eq!(error.problem(), &PathProblem::TooLong((1 << 20) + 3));
        assert!(error.to_string().len() < 1000);
    }

    #[test]
    fn json_holds_the_text() {
        let path: ResourcePath = serde_json::from_str("\"/a/T1/60_s_mean\"").unwrap();
        assert_eq!(serde_json::to_string(&path).unwrap(), "\"/a/T1/1_min_mean\"");
        assert!(serde_json::from_str::<ResourcePath>("\"/a\"").is_err());
    }
}
