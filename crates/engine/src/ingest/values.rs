//! Values in the type of their series: exactly, or not at all.

use sheaf_model::{DataType, Values};

use super::gather::{Chunk, bit};

/// The integers from -2⁵³ to 2⁵³ are those that doubles hold without gaps.
const MOST_EXACT: f64 = (1_u64 << 53) as f64;

/// Values of one type; a bit for each is set where it is not missing, `None` stands for all but NaN.
pub(super) struct Converted {
    pub(super) values: Values,
    pub(super) validity: Option<Vec<u64>>,
}

/// The first value that does not fit.
#[derive(Debug, PartialEq)]
pub(super) struct Misfit {
    pub(super) row: usize,
    pub(super) value: String,
}

/// The values in this type.
pub(super) fn convert(chunk: Chunk, to: DataType) -> Result<Converted, Misfit> {
    let misfit = |chunk: &Chunk, row| Misfit { row, value: chunk.show(row) };
    macro_rules! integers {
        ($variant:ident, $t:ty, $chunk:ident) => {{
            let (values, validity) = to_integers(&$chunk, |value| <$t>::try_from(value).ok())
                .map_err(|row| misfit(&$chunk, row))?;
            Ok(Converted { values: Values::$variant(values), validity })
        }};
    }
    match (to, chunk) {
        (DataType::Float64, Chunk::Floats(values)) => {
            Ok(Converted { values: Values::F64(values), validity: None })
        }
        (DataType::Int64, Chunk::Ints { values, validity }) => {
            Ok(Converted { values: Values::I64(values), validity })
        }
        (DataType::Float64, chunk) => {
            let differs = |row: &usize| !is_exact(&chunk, *row);
            match (0..chunk.len()).find(differs) {
                Some(row) => Err(misfit(&chunk, row)),
                None => {
                    let values = (0..chunk.len()).map(|row| chunk.get(row)).collect();
                    Ok(Converted { values: Values::F64(values), validity: None })
                }
            }
        }
        (DataType::Float32, chunk) => {
            let mut values = Vec::with_capacity(chunk.len());
            for row in 0..chunk.len() {
                let value = is_exact(&chunk, row).then(|| to_f32(chunk.get(row))).flatten();
                values.push(value.ok_or_else(|| misfit(&chunk, row))?);
            }
            Ok(Converted { values: Values::F32(values), validity: None })
        }
        (DataType::Uint8, chunk) => integers!(U8, u8, chunk),
        (DataType::Int8, chunk) => integers!(I8, i8, chunk),
        (DataType::Uint16, chunk) => integers!(U16, u16, chunk),
        (DataType::Int16, chunk) => integers!(I16, i16, chunk),
        (DataType::Uint32, chunk) => integers!(U32, u32, chunk),
        (DataType::Int32, chunk) => integers!(I32, i32, chunk),
        (DataType::Uint64, chunk) => integers!(U64, u64, chunk),
        (DataType::Int64, chunk) => integers!(I64, i64, chunk),
    }
}

/// Whether a double holds the value exactly.
fn is_exact(chunk: &Chunk, row: usize) -> bool {
    match chunk {
        // The saturated end of the range is no integer that a double holds.
        Chunk::Ints { values, .. } => {
            !chunk.is_valid(row) || (values[row] as f64 as i64 == values[row] && values[row] != i64::MAX)
        }
        Chunk::Floats(_) => true,
    }
}

/// The float32 that is written with the same digits, if there is one. Hardly any decimal fraction is exact in binary, so
/// what counts is that nothing that was written gets lost.
fn to_f32(value: f64) -> Option<f32> {
    let short = value as f32;
    let is_same = || {
        short.is_finite()
            && short.to_string().parse::<f64>().is_ok_and(|again| again.to_bits() == value.to_bits())
    };
    (value.is_nan() || f64::from(short) == value || is_same()).then_some(short)
}

/// The integer that a value is; `None` for a fraction, and beyond 2⁵³, where it may have been another one.
pub(super) fn integer(value: f64) -> Option<i64> {
    (value.abs() <= MOST_EXACT && value.fract() == 0.0).then_some(value as i64)
}

type Integers<T> = (Vec<T>, Option<Vec<u64>>);

fn to_integers<T: Default>(chunk: &Chunk, narrow: impl Fn(i64) -> Option<T>) -> Result<Integers<T>, usize> {
    let mut all = Vec::with_capacity(chunk.len());
    match chunk {
        Chunk::Ints { values, validity } => {
            for (row, &value) in values.iter().enumerate() {
                let is_missing = validity.as_deref().is_some_and(|words| !bit(words, row));
                all.push(if is_missing { T::default() } else { narrow(value).ok_or(row)? });
            }
            Ok((all, validity.clone()))
        }
        Chunk::Floats(values) => {
            let mut validity = vec![0; values.len().div_ceil(64)];
            for (row, &value) in values.iter().enumerate() {
                if value.is_nan() {
                    all.push(T::default());
                } else {
                    all.push(integer(value).and_then(&narrow).ok_or(row)?);
                    validity[row / 64] |= 1 << (row % 64);
                }
            }
            Ok((all, Some(validity)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ints(values: &[i64]) -> Chunk {
        Chunk::Ints { values: values.to_vec(), validity: None }
    }

    fn floats(values: &[f64]) -> Chunk {
        Chunk::Floats(values.to_vec())
    }

    #[test]
    fn values_fit_exactly_or_are_named() {
        let values =
            |chunk, to| convert(chunk, to).map(|converted| converted.values).map_err(|misfit| misfit.row);
        assert_eq!(values(ints(&[-128, 127]), DataType::Int8), Ok(Values::I8(vec![-128, 127])));
        assert_eq!(values(ints(&[1, 128]), DataType::Int8), Err(1));
        assert_eq!(values(ints(&[-1]), DataType::Uint64), Err(0));
        assert_eq!(values(ints(&[1 << 53, (1 << 53) + 1]), DataType::Float64), Err(1));
        assert_eq!(values(ints(&[i64::MAX]), DataType::Float64), Err(0));
        assert_eq!(values(floats(&[1.0, 1.5]), DataType::Int64), Err(1));
        assert_eq!(values(floats(&[1e17]), DataType::Int64), Err(0));
        let converted = convert(floats(&[f64::NAN, 3.0]), DataType::Uint16).ok().unwrap();
        assert_eq!((converted.values, converted.validity), (Values::U16(vec![0, 3]), Some(vec![0b10])));
        assert_eq!(
            values(floats(&[21.3, 0.1, 1e30]), DataType::Float32),
            Ok(Values::F32(vec![21.3, 0.1, 1e30]))
        );
        assert_eq!(values(floats(&[21.3, 21.345_678_901]), DataType::Float32), Err(1));
        assert_eq!(values(floats(&[1e300]), DataType::Float32), Err(0));
        assert_eq!(values(floats(&[f64::INFINITY]), DataType::Int64), Err(0));
    }
}
