//! What columns hold, and their cells.

use parquet::data_type::{ByteArray, Int96};
use sheaf_model::Tick;

use crate::csv::{Number, parse_number};

/// What a column counts time in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Seconds,
    Millis,
    Micros,
    Nanos,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Bool,
    /// Up to 32 bits.
    Int32,
    Uint32,
    Int64,
    Uint64,
    Half,
    Float,
    Double,
    /// Digits, of which so many are after the point.
    Decimal {
        scale: u32,
    },
    Text,
    Date,
    Timestamp {
        unit: Unit,
        /// Whether it is a point in time. Otherwise it is what a clock shows somewhere.
        utc: bool,
    },
    /// Timestamps of old writers: nanoseconds of a day, and the day.
    Int96,
    /// Nothing that is read here.
    Other(&'static str),
}

impl Content {
    /// Whether it can be a series.
    pub(crate) const fn is_number(self) -> bool {
        use Content::{Bool, Decimal, Double, Float, Half, Int32, Int64, Uint32, Uint64};
        matches!(self, Bool | Int32 | Uint32 | Int64 | Uint64 | Half | Float | Double | Decimal { .. })
    }

    pub(crate) const fn is_integer(self) -> bool {
        matches!(self, Content::Int32 | Content::Uint32 | Content::Int64 | Content::Uint64)
    }

    /// Whether it is a time by its type.
    pub(crate) const fn is_time(self) -> bool {
        matches!(self, Content::Timestamp { .. } | Content::Int96)
    }

    /// What it is, in messages.
    pub(crate) fn what(self) -> String {
        match self {
            Content::Bool => "truth values".to_owned(),
            Content::Int32 | Content::Uint32 | Content::Int64 | Content::Uint64 => "integers".to_owned(),
            Content::Half | Content::Float | Content::Double => "floats".to_owned(),
            Content::Decimal { .. } => "decimals".to_owned(),
            Content::Text => "text".to_owned(),
            Content::Date => "dates".to_owned(),
            Content::Timestamp { unit, utc } => {
                let unit = match unit {
                    Unit::Seconds => "s",
                    Unit::Millis => "ms",
                    Unit::Micros => "µs",
                    Unit::Nanos => "ns",
                };
                format!("timestamps in {unit}{}", if utc { " (UTC)" } else { "" })
            }
            Content::Int96 => "timestamps of 96 bits".to_owned(),
            Content::Other(what) => what.to_owned(),
        }
    }
}

/// Cells of a column.
#[derive(Debug)]
pub(crate) enum Cells {
    /// Integers, and timestamps as they are stored; a bit for each, set where it is not missing, or `None` if none is.
    Ints(Vec<i64>, Option<Vec<u64>>),
    /// NaN where one is missing.
    Floats(Vec<f64>),
    Texts(Vec<ByteArray>, Option<Vec<u64>>),
    Int96(Vec<Int96>, Option<Vec<u64>>),
}

/// Whether the cell of a row is there.
pub(crate) fn is_valid(validity: Option<&Vec<u64>>, row: usize) -> bool {
    validity.is_none_or(|words| words[row / 64] >> (row % 64) & 1 == 1)
}

pub(crate) fn floats(values: impl Iterator<Item = f64>, validity: Option<Vec<u64>>) -> Cells {
    let value = |(row, value)| if is_valid(validity.as_ref(), row) { value } else { f64::NAN };
    Cells::Floats(values.enumerate().map(value).collect())
}

/// Integers divided by a power of ten: integers where that is 1 and all fit, correctly rounded floats otherwise.
pub(crate) fn decimals(
    values: impl IntoIterator<Item = i128>,
    scale: u32,
    validity: Option<Vec<u64>>,
) -> Cells {
    let values: Vec<i128> = values.into_iter().collect();
    if scale == 0 {
        let ints: Result<Vec<i64>, _> = values.iter().map(|&value| i64::try_from(value)).collect();
        if let Ok(ints) = ints {
            return Cells::Ints(ints, validity);
        }
    }
    floats(values.into_iter().map(|value| decimal(value, scale)), validity)
}

/// An integer divided by a power of ten, correctly rounded.
fn decimal(value: i128, scale: u32) -> f64 {
    // Both are exact floats then, and one division of such is rounded correctly.
    if value.unsigned_abs() <= 1 << 53 && scale <= 22 {
        return value as f64 / 10_f64.powi(scale as i32);
    }
    match parse_number(format!("{value}e-{scale}").as_bytes(), b'.') {
        Ok(Number::Int(value)) => value as f64,
        Ok(Number::Float(value)) => value,
        // 39 digits are far from the end of floats.
        Err(_) => f64::NAN,
    }
}

/// What a timestamp of 96 bits says, in ticks as if its clock showed UTC, and the nanoseconds beyond.
pub(crate) fn int96_ticks(stamp: &Int96) -> (i128, i64) {
    /// The Julian day of 1970-01-01.
    const EPOCH_DAY: i128 = 2_440_588;
    let [low, high, day] = *stamp.data() else { return (i128::MAX, 0) };
    let nanos = (i64::from(high) << 32) | i64::from(low);
    let days = i128::from(day as i32) - EPOCH_DAY;
    let ticks =
        days * 86_400 * i128::from(Tick::PER_SECOND) + i128::from(nanos.div_euclid(Tick::NANOSECONDS));
    (ticks + i128::from(Tick::UNIX_EPOCH.ticks()), nanos.rem_euclid(Tick::NANOSECONDS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_rounded_correctly() {
        assert_eq!(decimal(123, 2), 1.23);
        assert_eq!(decimal(-1, 38), -1e-38);
        assert_eq!(
            decimal(123_456_789_012_345_678_901_234_567_890, 10),
            12_345_678_901_234_567_890.123_456_789
        );
        assert_eq!(decimal(0, 5), 0.0);
    }

    #[test]
    fn integers_stay_integers_while_they_fit() {
        assert!(matches!(decimals([1, 2], 0, None), Cells::Ints(values, None) if values == [1, 2]));
        let wide = i128::from(u64::MAX);
        assert!(
            matches!(decimals([1, wide], 0, None), Cells::Floats(values) if values == [1.0, wide as f64])
        );
    }

    #[test]
    fn timestamps_of_96_bits() {
        let mut stamp = Int96::new();
        // 2020-01-01T00:00:01.0000001Z: day 2458850, 1000000100 ns.
        stamp.set_data(1_000_000_100, 0, 2_458_850);
        let expected = "2020-01-01T00:00:01.0000001Z".parse::<Tick>().unwrap().ticks();
        assert_eq!(int96_ticks(&stamp), (i128::from(expected), 0));
        stamp.set_data(50, 0, 2_440_587);
        assert_eq!(int96_ticks(&stamp), (i128::from(Tick::UNIX_EPOCH.ticks()) - 864_000_000_000, 50));
    }
}
