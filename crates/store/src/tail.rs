//! Samples of small writes, as a blob in the manifest.
//!
//! `FORMAT.md` has the layout. The row of the manifest that holds the blob has a checksum over it, so a blob is verified
//! before it is decoded; the decoder still takes nothing for granted.

use sheaf_model::{DataType, Values};

use crate::rows::{Rows, Starts, with_values, zeros};

/// Version of the layout.
const VERSION: u8 = 1;
const GRID: u8 = 1;
const VALIDITY: u8 = 2;
const ESTIMATED: u8 = 4;

/// The blob with these rows.
pub(crate) fn encode(rows: &Rows) -> Vec<u8> {
    let mut blob = Vec::with_capacity(rows.bytes() + 64);
    let grid = matches!(rows.starts, Starts::Grid { .. });
    let flag = |is_set, flag| if is_set { flag } else { 0 };
    blob.push(VERSION);
    blob.push(
        flag(grid, GRID)
            | flag(rows.validity.is_some(), VALIDITY)
            | flag(rows.estimated.is_some(), ESTIMATED),
    );
    blob.extend(rows.values.data_type().code().to_le_bytes());
    blob.extend((rows.len() as u32).to_le_bytes());
    match &rows.starts {
        Starts::Grid { first_ticks, step_ticks } => {
            blob.extend(first_ticks.to_le_bytes());
            blob.extend(step_ticks.to_le_bytes());
        }
        Starts::Listed(starts) => starts.iter().for_each(|start| blob.extend(start.to_le_bytes())),
    }
    with_values!(&rows.values, values => values.iter().for_each(|value| blob.extend(value.to_le_bytes())));
    for words in [&rows.validity, &rows.estimated].into_iter().flatten() {
        words[..rows.len().div_ceil(64)].iter().for_each(|word| blob.extend(word.to_le_bytes()));
    }
    blob
}

/// The rows of a blob, which must be of this type; the text says what is wrong.
pub(crate) fn decode(blob: &[u8], data_type: DataType) -> Result<Rows, String> {
    let mut rest = blob;
    let [version, flags] = take::<2>(&mut rest)?;
    if version != VERSION {
        return Err(format!("samples in the tail have version {version}, this version reads {VERSION}"));
    }
    let code = u16::from_le_bytes(take(&mut rest)?);
    if code != data_type.code() {
        return Err(format!("samples in the tail have the type {code:#x} instead of {data_type}"));
    }
    let len = u32::from_le_bytes(take(&mut rest)?) as usize;
    if len > rest.len() {
        return Err(format!("{len} samples can't be in {} bytes", rest.len()));
    }
    let starts = if flags & GRID != 0 {
        Starts::Grid {
            first_ticks: i64::from_le_bytes(take(&mut rest)?),
            step_ticks: i64::from_le_bytes(take(&mut rest)?),
        }
    } else {
        let mut starts = Vec::with_capacity(len);
        for _ in 0..len {
            starts.push(i64::from_le_bytes(take(&mut rest)?));
        }
        Starts::Listed(starts)
    };
    let mut values = zeros(data_type, len);
    with_values!(&mut values, values => for value in values {
        *value = from_le(&mut rest)?;
    });
    let mut words = |is_set: bool| -> Result<Option<Vec<u64>>, String> {
        if !is_set {
            return Ok(None);
        }
        (0..len.div_ceil(64))
            .map(|_| Ok(u64::from_le_bytes(take(&mut rest)?)))
            .collect::<Result<_, String>>()
            .map(Some)
    };
    let validity = words(flags & VALIDITY != 0)?;
    let estimated = words(flags & ESTIMATED != 0)?;
    if !rest.is_empty() {
        return Err(format!("{} bytes too many in the tail", rest.len()));
    }
    Ok(Rows { starts, values, validity, estimated })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], String> {
    let (first, others) =
        rest.split_first_chunk().ok_or_else(|| "samples in the tail end too early".to_owned())?;
    *rest = others;
    Ok(*first)
}

/// A value of any data type from its little-endian bytes.
trait FromLe: Sized {
    fn from_le(rest: &mut &[u8]) -> Result<Self, String>;
}

macro_rules! from_le {
    ($($t:ty)*) => { $(impl FromLe for $t {
        fn from_le(rest: &mut &[u8]) -> Result<$t, String> {
            Ok(<$t>::from_le_bytes(take(rest)?))
        }
    })* };
}
from_le!(u8 i8 u16 i16 u32 i32 u64 i64 f32 f64);

fn from_le<T: FromLe>(rest: &mut &[u8]) -> Result<T, String> {
    T::from_le(rest)
}

/// Whether rows of this many bytes are a small write.
pub(crate) fn bytes(values: &Values, listed: bool) -> usize {
    values.len() * (values.data_type().size_bytes() + if listed { 8 } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_gives_back_its_rows() {
        let all = [
            Rows {
                starts: Starts::Grid { first_ticks: 70, step_ticks: 10 },
                values: Values::F64(vec![1.5, -0.0, f64::INFINITY]),
                validity: None,
                estimated: None,
            },
            Rows {
                starts: Starts::Listed(vec![3, 5, 8]),
                values: Values::I16(vec![-1, 0, 7]),
                validity: Some(vec![0b101]),
                estimated: Some(vec![0b010]),
            },
            Rows::none(DataType::Uint8),
        ];
        for rows in all {
            let blob = encode(&rows);
            assert_eq!(decode(&blob, rows.values.data_type()).unwrap(), rows);
            for len in 0..blob.len() {
                decode(&blob[..len], rows.values.data_type()).unwrap_err();
            }
            decode(&blob, DataType::Uint64).unwrap_err();
        }
    }
}
