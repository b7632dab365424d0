//! Kinds: what is done to the samples on the way to the requested period.

use std::fmt;
use std::str::FromStr;

use crate::text::{Allowed, Quoted, list, serde_as_text, suggest};

/// How the samples of a representation become those of a resource path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// As they are stored.
    Original,
    /// Each sample is held until the next; or, to a coarser period, the one at its start is taken.
    Resampled,
    /// Arithmetic mean.
    Mean,
    /// Mean direction in degrees, 0 to 360.
    MeanPolarDeg,
    /// Smallest sample.
    Min,
    /// Largest sample.
    Max,
    /// Sample standard deviation.
    Std,
    /// Root mean square.
    Rms,
    /// Bitwise AND.
    MinBitwise,
    /// Bitwise OR.
    MaxBitwise,
    /// Sum.
    Sum,
    /// Number of valid samples.
    Count,
    /// First valid sample.
    First,
    /// Last valid sample.
    Last,
    /// Middle sample.
    Median,
    /// The values of irregular records, each spread evenly over its interval. Regular series have no such thing.
    Spread,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 16] = [
        Kind::Original,
        Kind::Resampled,
        Kind::Mean,
        Kind::MeanPolarDeg,
        Kind::Min,
        Kind::Max,
        Kind::Std,
        Kind::Rms,
        Kind::MinBitwise,
        Kind::MaxBitwise,
        Kind::Sum,
        Kind::Count,
        Kind::First,
        Kind::Last,
        Kind::Median,
        Kind::Spread,
    ];

    /// The name in a resource path. That of the original is left out there.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Original => "original",
            Kind::Resampled => "resampled",
            Kind::Mean => "mean",
            Kind::MeanPolarDeg => "mean_polar_deg",
            Kind::Min => "min",
            Kind::Max => "max",
            Kind::Std => "std",
            Kind::Rms => "rms",
            Kind::MinBitwise => "min_bitwise",
            Kind::MaxBitwise => "max_bitwise",
            Kind::Sum => "sum",
            Kind::Count => "count",
            Kind::First => "first",
            Kind::Last => "last",
            Kind::Median => "median",
            Kind::Spread => "spread",
        }
    }

    /// The label for people. Those that Nexus has are spelled as it does.
    pub const fn label(self) -> &'static str {
        match self {
            Kind::Original => "Original",
            Kind::Resampled => "Resampled",
            Kind::Mean => "Mean",
            Kind::MeanPolarDeg => "Mean polar (deg)",
            Kind::Min => "Min",
            Kind::Max => "Max",
            Kind::Std => "STD",
            Kind::Rms => "RMS",
            Kind::MinBitwise => "Minimum (bitwise)",
            Kind::MaxBitwise => "Maximum (bitwise)",
            Kind::Sum => "Sum",
            Kind::Count => "Count",
            Kind::First => "First",
            Kind::Last => "Last",
            Kind::Median => "Median",
            Kind::Spread => "Spread",
        }
    }

    /// One line on what it does.
    pub const fn description(self) -> &'static str {
        match self {
            Kind::Original => "stored samples as they are",
            Kind::Resampled => "sample and hold; to a coarser period the sample valid at its start",
            Kind::Mean => "arithmetic mean",
            Kind::MeanPolarDeg => "mean direction in degrees, 0 to 360; NaN where the directions cancel out",
            Kind::Min => "smallest sample",
            Kind::Max => "largest sample",
            Kind::Std => "sample standard deviation (divided by n - 1)",
            Kind::Rms => "root mean square",
            Kind::MinBitwise => "bitwise AND of all samples (integers)",
            Kind::MaxBitwise => "bitwise OR of all samples (integers)",
            Kind::Sum => "sum",
            Kind::Count => "number of valid samples, whatever the threshold",
            Kind::First => "first valid sample",
            Kind::Last => "last valid sample",
            Kind::Median => "middle sample, or the mean of the two middle ones",
            Kind::Spread => "records of an irregular series, each value spread evenly over its interval",
        }
    }

    /// The number that Nexus gives the kind; `None` for ours.
    pub const fn nexus_code(self) -> Option<i32> {
        match self {
            Kind::Original => Some(0),
            Kind::Resampled => Some(10),
            Kind::Mean => Some(20),
            Kind::MeanPolarDeg => Some(30),
            Kind::Min => Some(40),
            Kind::Max => Some(50),
            Kind::Std => Some(60),
            Kind::Rms => Some(70),
            Kind::MinBitwise => Some(80),
            Kind::MaxBitwise => Some(90),
            Kind::Sum => Some(100),
            Kind::Count | Kind::First | Kind::Last | Kind::Median | Kind::Spread => None,
        }
    }

    /// The kind to which Nexus gives this number.
    pub fn from_nexus_code(code: i32) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.nexus_code() == Some(code))
    }

    /// Whether many samples become one.
    pub const fn is_aggregation(self) -> bool {
        !matches!(self, Kind::Original | Kind::Resampled | Kind::Spread)
    }

    /// Whether the share of valid samples must reach the threshold: for all aggregations but the count, which tells
    /// that share.
    pub const fn is_gated(self) -> bool {
        self.is_aggregation() && !matches!(self, Kind::Count)
    }

    /// Whether it works on the bits of integers.
    pub const fn is_bitwise(self) -> bool {
        matches!(self, Kind::MinBitwise | Kind::MaxBitwise)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Reads the name as Nexus does: `mean_polar_deg`, `meanPolarDeg` and `MeanPolarDeg` are the same. Its documents call
/// that kind `mean_polar`, so this is read as well. Numbers, which Nexus takes by accident, are not.
impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Kind, UnknownKind> {
        // Almost always, and of thousands of paths at once, it is the name itself.
        if let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.name() == text) {
            return Ok(kind);
        }
        let pascal = pascal_case(text);
        match Kind::ALL.into_iter().find(|kind| pascal_case(kind.name()) == pascal) {
            Some(kind) => Ok(kind),
            None if pascal == "MeanPolar" => Ok(Kind::MeanPolarDeg),
            None => Err(UnknownKind { found: text.to_owned() }),
        }
    }
}

/// Every `_x` becomes `X`, and the first letter upper case.
fn pascal_case(text: &str) -> String {
    let mut pascal = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '_' => match characters.next() {
                Some(next) => pascal.push(next.to_ascii_uppercase()),
                None => pascal.push('_'),
            },
            _ if pascal.is_empty() => pascal.push(character.to_ascii_uppercase()),
            _ => pascal.push(character),
        }
    }
    pascal
}

serde_as_text!(Kind);

/// No kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown kind {}{}", Quoted(found), Allowed { suggestion: self.suggestion(), allowed: UnknownKind::allowed() })]
pub struct UnknownKind {
    /// What was given.
    pub found: String,
}

impl UnknownKind {
    /// The kind that was probably meant.
    pub fn suggestion(&self) -> Option<&'static str> {
        match self.found.to_ascii_lowercase().as_str() {
            "avg" | "average" => Some("mean"),
            "stddev" | "stdev" | "std_dev" => Some("std"),
            "minimum" => Some("min"),
            "maximum" => Some("max"),
            other => suggest(other, Kind::ALL.map(Kind::name)),
        }
    }

    /// All names there are.
    pub fn allowed() -> String {
        list(Kind::ALL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reference 1.2, "kinds", and 1.8, "kind value".
    #[test]
    fn names_codes_and_labels_of_the_reference() {
        for (name, code, label) in [
            ("original", 0, "Original"),
            ("resampled", 10, "Resampled"),
            ("mean", 20, "Mean"),
            ("mean_polar_deg", 30, "Mean polar (deg)"),
            ("min", 40, "Min"),
            ("max", 50, "Max"),
            ("std", 60, "STD"),
            ("rms", 70, "RMS"),
            ("min_bitwise", 80, "Minimum (bitwise)"),
            ("max_bitwise", 90, "Maximum (bitwise)"),
            ("sum", 100, "Sum"),
        ] {
            let kind: Kind = name.parse().unwrap();
            assert_eq!((kind.nexus_code(), kind.label(), kind.name()), (Some(code), label, name));
            assert_eq!(Kind::from_nexus_code(code), Some(kind));
        }
        assert_eq!(Kind::from_nexus_code(-1), None);
    }

    #[test]
    fn spellings_that_nexus_reads_are_read() {
        for text in
            ["mean_polar_deg", "meanPolarDeg", "MeanPolarDeg", "mean_polarDeg", "mean_polar", "meanPolar"]
        {
            assert_eq!(text.parse(), Ok(Kind::MeanPolarDeg), "{text}");
        }
        assert_eq!("_mean".parse(), Ok(Kind::Mean));
        for text in ["", "_", "MEAN", "mean_", "20", "-1", "mean ", "mean\n", "__mean", "mean__polar_deg"] {
            assert!(text.parse::<Kind>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn every_name_reads_back() {
        for kind in Kind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
        }
    }
}
