//! Rows in memory: what goes into the store and what comes out.

use sheaf_model::{DataType, SamplePeriod, Samples, Tick, Values};

/// Starts of rows, in ticks.
#[derive(Clone, Debug, PartialEq)]
pub enum Starts {
    /// Row i starts at `first_ticks + i * step_ticks`.
    Grid {
        /// Start of the first row.
        first_ticks: i64,
        /// From a row to the next; positive.
        step_ticks: i64,
    },
    /// One by one.
    Listed(Vec<i64>),
}

/// Rows of one series: start, value, and whether the value was estimated.
///
/// A missing float is NaN; a missing integer has its bit in the validity unset, and any value. Bit i % 64 of word i / 64
/// belongs to row i.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    pub(crate) starts: Starts,
    pub(crate) values: Values,
    pub(crate) validity: Option<Vec<u64>>,
    pub(crate) estimated: Option<Vec<u64>>,
}

/// Calls `$body` with `$v` bound to the vector in a [`Values`].
macro_rules! with_values {
    ($values:expr, $v:ident => $body:expr) => {
        match $values {
            ::sheaf_model::Values::U8($v) => $body,
            ::sheaf_model::Values::I8($v) => $body,
            ::sheaf_model::Values::U16($v) => $body,
            ::sheaf_model::Values::I16($v) => $body,
            ::sheaf_model::Values::U32($v) => $body,
            ::sheaf_model::Values::I32($v) => $body,
            ::sheaf_model::Values::U64($v) => $body,
            ::sheaf_model::Values::I64($v) => $body,
            ::sheaf_model::Values::F32($v) => $body,
            ::sheaf_model::Values::F64($v) => $body,
        }
    };
}
pub(crate) use with_values;

/// The same for two [`Values`] of one type: `None` where the types differ.
macro_rules! with_both {
    ($a:expr, $b:expr, ($x:ident, $y:ident) => $body:expr) => {
        match ($a, $b) {
            (::sheaf_model::Values::U8($x), ::sheaf_model::Values::U8($y)) => Some($body),
            (::sheaf_model::Values::I8($x), ::sheaf_model::Values::I8($y)) => Some($body),
            (::sheaf_model::Values::U16($x), ::sheaf_model::Values::U16($y)) => Some($body),
            (::sheaf_model::Values::I16($x), ::sheaf_model::Values::I16($y)) => Some($body),
            (::sheaf_model::Values::U32($x), ::sheaf_model::Values::U32($y)) => Some($body),
            (::sheaf_model::Values::I32($x), ::sheaf_model::Values::I32($y)) => Some($body),
            (::sheaf_model::Values::U64($x), ::sheaf_model::Values::U64($y)) => Some($body),
            (::sheaf_model::Values::I64($x), ::sheaf_model::Values::I64($y)) => Some($body),
            (::sheaf_model::Values::F32($x), ::sheaf_model::Values::F32($y)) => Some($body),
            (::sheaf_model::Values::F64($x), ::sheaf_model::Values::F64($y)) => Some($body),
            _ => None,
        }
    };
}
pub(crate) use with_both;

/// Bit `index` of `words`.
pub(crate) fn bit(words: &[u64], index: usize) -> bool {
    words[index / 64] >> (index % 64) & 1 == 1
}

/// Sets bit `index` of `words`.
pub(crate) fn set_bit(words: &mut [u64], index: usize) {
    words[index / 64] |= 1 << (index % 64);
}

/// Clears bit `index` of `words`.
pub(crate) fn clear_bit(words: &mut [u64], index: usize) {
    words[index / 64] &= !(1 << (index % 64));
}

impl Rows {
    /// Rows with a start each, none of them estimated, all valid but for NaN.
    ///
    /// # Errors
    /// Not as many starts as values.
    pub fn listed(starts: Vec<Tick>, values: Values) -> Result<Rows, RowsError> {
        if starts.len() != values.len() {
            return Err(RowsError::Lengths { what: "starts", len: starts.len(), values: values.len() });
        }
        let starts = Starts::Listed(starts.into_iter().map(Tick::ticks).collect());
        Ok(Rows { starts, values, validity: None, estimated: None })
    }

    /// Rows at a period, all valid but for NaN.
    pub fn grid(first: Tick, period: SamplePeriod, values: Values) -> Rows {
        let starts = Starts::Grid { first_ticks: first.ticks(), step_ticks: period.ticks() };
        Rows { starts, values, validity: None, estimated: None }
    }

    /// The same rows, valid where a bit is set.
    ///
    /// # Errors
    /// Fewer bits than rows.
    pub fn with_validity(self, words: Vec<u64>) -> Result<Rows, RowsError> {
        self.check_bits("validity bits", &words)?;
        Ok(Rows { validity: Some(words), ..self })
    }

    /// The same rows, estimated where a bit is set.
    ///
    /// # Errors
    /// Fewer bits than rows.
    pub fn with_estimated(self, words: Vec<u64>) -> Result<Rows, RowsError> {
        self.check_bits("estimated bits", &words)?;
        Ok(Rows { estimated: Some(words), ..self })
    }

    fn check_bits(&self, what: &'static str, words: &[u64]) -> Result<(), RowsError> {
        let bits = words.len().saturating_mul(64);
        if bits < self.len() {
            Err(RowsError::Lengths { what, len: bits, values: self.len() })
        } else {
            Ok(())
        }
    }

    /// No rows of this type.
    pub(crate) fn none(data_type: DataType) -> Rows {
        let starts = Starts::Listed(Vec::new());
        Rows { starts, values: zeros(data_type, 0), validity: None, estimated: None }
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The starts.
    pub fn starts(&self) -> &Starts {
        &self.starts
    }

    /// The values; those of missing integers are anything.
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// Validity bits; `None` where all rows are valid, but for NaN.
    pub fn validity(&self) -> Option<&[u64]> {
        self.validity.as_deref()
    }

    /// Bits of the estimated rows; `None` where none is.
    pub fn estimated(&self) -> Option<&[u64]> {
        self.estimated.as_deref()
    }

    /// Start of row `index` in ticks.
    ///
    /// # Panics
    /// Beyond the last row, where the starts are listed.
    pub fn start_ticks(&self, index: usize) -> i64 {
        match &self.starts {
            Starts::Grid { first_ticks, step_ticks } => first_ticks + index as i64 * step_ticks,
            Starts::Listed(starts) => starts[index],
        }
    }

    /// Whether row `index` has a value.
    ///
    /// # Panics
    /// Beyond the last row.
    pub fn is_valid(&self, index: usize) -> bool {
        let nan = match &self.values {
            Values::F32(values) => values[index].is_nan(),
            Values::F64(values) => values[index].is_nan(),
            _ => false,
        };
        !nan && self.validity.as_deref().is_none_or(|words| bit(words, index))
    }

    /// Whether row `index` was estimated.
    ///
    /// # Panics
    /// Beyond the last row.
    pub fn is_estimated(&self, index: usize) -> bool {
        self.estimated.as_deref().is_some_and(|words| bit(words, index))
    }

    /// Bytes in memory, about.
    pub(crate) fn bytes(&self) -> usize {
        let starts = if matches!(self.starts, Starts::Listed(_)) { 8 } else { 0 };
        self.len() * (self.values.data_type().size_bytes() + starts)
    }
}

impl From<Samples> for Rows {
    fn from(samples: Samples) -> Rows {
        let (start, period, values, validity) = samples.into_parts();
        let starts = Starts::Grid { first_ticks: start.ticks(), step_ticks: period.ticks() };
        Rows { starts, values, validity, estimated: None }
    }
}

/// `len` values of a type, all missing if they are floats.
pub(crate) fn zeros(data_type: DataType, len: usize) -> Values {
    match data_type {
        DataType::Uint8 => Values::U8(vec![0; len]),
        DataType::Int8 => Values::I8(vec![0; len]),
        DataType::Uint16 => Values::U16(vec![0; len]),
        DataType::Int16 => Values::I16(vec![0; len]),
        DataType::Uint32 => Values::U32(vec![0; len]),
        DataType::Int32 => Values::I32(vec![0; len]),
        DataType::Uint64 => Values::U64(vec![0; len]),
        DataType::Int64 => Values::I64(vec![0; len]),
        DataType::Float32 => Values::F32(vec![f32::NAN; len]),
        DataType::Float64 => Values::F64(vec![f64::NAN; len]),
    }
}

/// Rows that can't be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RowsError {
    /// As many of each are needed.
    #[error("{len} {what} were given for {values} values")]
    Lengths {
        /// What there are too few or too many of.
        what: &'static str,
        /// How many there are.
        len: usize,
        /// How many values there are.
        values: usize,
    },
}
