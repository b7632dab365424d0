//! Samples in memory: what sources, store and engine hand to each other.

use crate::{DataType, SamplePeriod, Tick, TimeRange};

macro_rules! values {
    ($($variant:ident $t:ty, $data_type:ident);* $(;)?) => {
        /// Values of one data type.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Values {
            $(
                #[doc = concat!("Of [`DataType::", stringify!($data_type), "`].")]
                $variant(Vec<$t>),
            )*
        }

        impl Values {
            /// Their type.
            pub const fn data_type(&self) -> DataType {
                match self { $(Values::$variant(_) => DataType::$data_type),* }
            }

            /// How many there are.
            pub const fn len(&self) -> usize {
                match self { $(Values::$variant(values) => values.len()),* }
            }

            /// Value `index` as `f64`, NaN where a float is missing; `None` beyond the end. Integers beyond 2⁵³ are
            /// rounded.
            pub fn get(&self, index: usize) -> Option<f64> {
                match self { $(Values::$variant(values) => values.get(index).map(|&value| value as f64)),* }
            }

            /// The values with these indices, in this order; those beyond the end are left out.
            pub fn pick(&self, indices: &[usize]) -> Values {
                match self {
                    $(Values::$variant(values) => {
                        Values::$variant(indices.iter().filter_map(|&index| values.get(index).copied()).collect())
                    })*
                }
            }
        }

        $(
            impl From<Vec<$t>> for Values {
                fn from(values: Vec<$t>) -> Values {
                    Values::$variant(values)
                }
            }
        )*
    };
}

values! {
    U8 u8, Uint8;
    I8 i8, Int8;
    U16 u16, Uint16;
    I16 i16, Int16;
    U32 u32, Uint32;
    I32 i32, Int32;
    U64 u64, Uint64;
    I64 i64, Int64;
    F32 f32, Float32;
    F64 f64, Float64;
}

impl Values {
    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Equidistant samples: sample i lies in the slot [start + i·period, start + (i+1)·period).
///
/// A missing float is NaN. A missing integer has its validity bit unset, and any value.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples {
    start: Tick,
    period: SamplePeriod,
    values: Values,
    /// Bit i % 64 of word i / 64 is set where sample i is valid; `None` where all are, but for NaN.
    validity: Option<Vec<u64>>,
}

impl Samples {
    /// Samples from `start` on, all valid but for NaN.
    ///
    /// # Errors
    /// `start` is no multiple of the period, or the last slot ends after the last tick.
    pub fn new(start: Tick, period: SamplePeriod, values: Values) -> Result<Samples, SamplesError> {
        if !period.divides(start) {
            return Err(SamplesError::StartOffGrid { start, period });
        }
        let end = i128::from(start.ticks()) + values.len() as i128 * i128::from(period.ticks());
        if end > i128::from(Tick::MAX.ticks()) {
            return Err(SamplesError::BeyondLastYear { start, period, len: values.len() });
        }
        Ok(Samples { start, period, values, validity: None })
    }

    /// The same samples, valid where a bit is set.
    ///
    /// # Errors
    /// Fewer bits than samples.
    pub fn with_validity(self, words: Vec<u64>) -> Result<Samples, SamplesError> {
        let bits = words.len().saturating_mul(64);
        if bits < self.values.len() {
            return Err(SamplesError::ValidityTooShort { bits, len: self.values.len() });
        }
        Ok(Samples { validity: Some(words), ..self })
    }

    /// Start of the first slot, period, values and validity bits.
    pub fn into_parts(self) -> (Tick, SamplePeriod, Values, Option<Vec<u64>>) {
        (self.start, self.period, self.values, self.validity)
    }

    /// Start of the first slot.
    pub const fn start(&self) -> Tick {
        self.start
    }

    /// Distance from sample to sample.
    pub const fn period(&self) -> SamplePeriod {
        self.period
    }

    /// The values; those of missing integers are anything.
    pub const fn values(&self) -> &Values {
        &self.values
    }

    /// Validity bits, least significant first; `None` where all samples are valid, but for NaN.
    pub fn validity(&self) -> Option<&[u64]> {
        self.validity.as_deref()
    }

    /// How many samples, missing ones included.
    pub const fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// From the first slot to the end of the last one; `None` without samples.
    pub fn range(&self) -> Option<TimeRange> {
        // The product fits: `new` has checked the end.
        let end = self.start.checked_add(self.period.ticks() * self.len() as i64)?;
        TimeRange::new(self.start, end).ok()
    }

    /// Sample `index` as `f64`; `None` where it is missing or beyond the end.
    pub fn get(&self, index: usize) -> Option<f64> {
        let value = self.values.get(index).filter(|value| !value.is_nan())?;
        let valid = self.validity().is_none_or(|words| words[index / 64] >> (index % 64) & 1 == 1);
        valid.then_some(value)
    }
}

/// Samples that can't be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SamplesError {
    /// The first slot is none of the period's.
    #[error("the start {start} is not a multiple of {period}, counted from 0001-01-01")]
    StartOffGrid {
        /// Where the samples start.
        start: Tick,
        /// Their period.
        period: SamplePeriod,
    },
    /// Too many samples.
    #[error("{len} samples of {period} from {start} on reach beyond {}", Tick::MAX)]
    BeyondLastYear {
        /// Where the samples start.
        start: Tick,
        /// Their period.
        period: SamplePeriod,
        /// How many there are.
        len: usize,
    },
    /// Too few validity bits.
    #[error("{bits} validity bits were given for {len} samples")]
    ValidityTooShort {
        /// How many bits there are.
        bits: usize,
        /// How many samples there are.
        len: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(start: &str, values: impl Into<Values>) -> Result<Samples, SamplesError> {
        Samples::new(start.parse().unwrap(), "10_min".parse().unwrap(), values.into())
    }

    #[test]
    fn a_missing_sample_is_none() {
        let floats = samples("2020-01-01", vec![1.5, f64::NAN]).unwrap();
        assert_eq!((floats.get(0), floats.get(1), floats.get(2)), (Some(1.5), None, None));
        let integers = samples("2020-01-01", vec![1_u8, 2]).unwrap().with_validity(vec![0b10]).unwrap();
        assert_eq!((integers.get(0), integers.get(1)), (None, Some(2.0)));
        assert_eq!(integers.values().data_type(), DataType::Uint8);
        assert_eq!(integers.range().unwrap().to_string(), "[2020-01-01T00:00:00Z, 2020-01-01T00:20:00Z)");
        assert_eq!(samples("2020-01-01", Vec::<i64>::new()).unwrap().range(), None);
    }

    #[test]
    fn samples_lie_on_their_grid_and_in_time() {
        assert!(matches!(samples("2020-01-01T00:05", vec![1.0]), Err(SamplesError::StartOffGrid { .. })));
        assert!(matches!(samples("9999-12-31T23:50", vec![1.0]), Err(SamplesError::BeyondLastYear { .. })));
        let few = samples("2020-01-01", vec![1_i16; 65]).unwrap().with_validity(vec![0]);
        assert_eq!(few, Err(SamplesError::ValidityTooShort { bits: 64, len: 65 }));
    }

    #[test]
    fn every_data_type_has_values() {
        let values: [Values; 10] = [
            vec![1_u8].into(),
            vec![1_i8].into(),
            vec![1_u16].into(),
            vec![1_i16].into(),
            vec![1_u32].into(),
            vec![1_i32].into(),
            vec![1_u64].into(),
            vec![1_i64].into(),
            vec![1_f32].into(),
            vec![1_f64].into(),
        ];
        for (values, data_type) in values.iter().zip(DataType::ALL) {
            assert_eq!((values.data_type(), values.len(), values.get(0)), (data_type, 1, Some(1.0)));
        }
    }
}
