//! What can be wrong with a call to this crate. Variants hold data; the text is written once, in `Display`.

use std::fmt;

use crate::{CodecError, Family, Statistic};

/// A call that has no answer.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// The bits of a floating-point number have no AND and OR of use.
    BitwiseOnFloat {
        /// The sample type, as Rust spells it.
        sample_type: &'static str,
    },
    /// A bucket must hold at least one sample.
    EmptyBucket,
    /// The share of valid samples that a bucket must reach lies outside 0 to 1.
    ThresholdOutOfRange {
        /// What was asked for.
        threshold: f64,
    },
    /// Times must advance from sample to sample.
    StepNotPositive {
        /// What was given.
        step: i64,
    },
    /// The last slot of a run would end beyond what an `i64` of time can hold.
    TimeOutOfRange {
        /// Time of the first sample.
        start: i64,
        /// Distance from sample to sample.
        step: i64,
        /// How many samples.
        len: usize,
    },
    /// The validity bits do not cover the samples.
    ValidityTooShort {
        /// Bits there are from the first sample on.
        bits: usize,
        /// Samples there are.
        samples: usize,
    },
    /// A state of this family does not hold what the statistic needs.
    NotInFamily {
        /// What was asked for.
        statistic: Statistic,
        /// What there is.
        family: Family,
    },
    /// Bytes that are no states, or not those that were wanted.
    Codec(CodecError),
    /// States of different families can't be merged.
    FamiliesDiffer {
        /// The family merged into.
        left: Family,
        /// The family merged from.
        right: Family,
    },
    /// Two rows of states of different length can't be merged bucket by bucket.
    LengthsDiffer {
        /// Buckets on the left.
        left: usize,
        /// Buckets on the right.
        right: usize,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::BitwiseOnFloat { sample_type } => write!(
                f,
                "min_bitwise and max_bitwise need an integer data type, but the samples are {sample_type}"
            ),
            Error::EmptyBucket => f.write_str("a bucket must expect at least one sample"),
            Error::ThresholdOutOfRange { threshold } => {
                write!(f, "the threshold for valid samples must lie between 0 and 1, got {threshold}")
            }
            Error::StepNotPositive { step } => {
                write!(f, "the distance from sample to sample must be positive, got {step}")
            }
            Error::TimeOutOfRange { start, step, len } => write!(
                f,
                "{len} samples from {start} on, {step} apart, end beyond the range of time (64 bits signed)"
            ),
            Error::ValidityTooShort { bits, samples } => {
                write!(f, "{bits} validity bits were given for {samples} samples")
            }
            Error::NotInFamily { statistic, family } => write!(
                f,
                "{statistic} can't be computed from {family} states; it needs {}",
                statistic.lightest_family()
            ),
            Error::Codec(error) => error.fmt(f),
            Error::FamiliesDiffer { left, right } => {
                write!(f, "{right} states can't be merged into {left} states")
            }
            Error::LengthsDiffer { left, right } => {
                write!(f, "{right} buckets can't be merged into {left} buckets one by one")
            }
        }
    }
}

impl std::error::Error for Error {}

impl From<CodecError> for Error {
    fn from(error: CodecError) -> Error {
        Error::Codec(error)
    }
}
