//! What columns of Arrow hold, and their cells.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowDictionaryKeyType, ArrowPrimitiveType, Date32Type, Date64Type, Decimal32Type, Decimal64Type,
    Decimal128Type, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, DictionaryArray, downcast_dictionary_array};
use arrow_schema::{DataType, TimeUnit};
use bytes::Bytes;
use parquet::data_type::ByteArray;

use crate::cells::{Cells, Content, Unit, decimals, floats};
use crate::csv::LONGEST_NAME;

/// What a column of this type holds.
pub(super) fn content_of(data_type: &DataType) -> Content {
    match data_type {
        DataType::Boolean => Content::Bool,
        DataType::Int8 | DataType::Int16 | DataType::Int32 => Content::Int32,
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 => Content::Uint32,
        DataType::Int64 => Content::Int64,
        DataType::UInt64 => Content::Uint64,
        DataType::Float16 => Content::Half,
        DataType::Float32 => Content::Float,
        DataType::Float64 => Content::Double,
        DataType::Decimal32(_, scale) | DataType::Decimal64(_, scale) | DataType::Decimal128(_, scale) => {
            match u32::try_from(*scale) {
                Ok(scale) => Content::Decimal { scale },
                Err(_) => Content::Other("decimals of whole tens"),
            }
        }
        DataType::Decimal256(..) => Content::Other("decimals of more than 38 digits"),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Content::Text,
        DataType::Date32 => Content::Date,
        // Milliseconds of whole days, without a zone.
        DataType::Date64 => Content::Timestamp { unit: Unit::Millis, utc: false },
        DataType::Timestamp(unit, zone) => {
            let unit = match unit {
                TimeUnit::Second => Unit::Seconds,
                TimeUnit::Millisecond => Unit::Millis,
                TimeUnit::Microsecond => Unit::Micros,
                TimeUnit::Nanosecond => Unit::Nanos,
            };
            // With a zone, whichever, it is a point in time.
            Content::Timestamp { unit, utc: zone.as_ref().is_some_and(|zone| !zone.is_empty()) }
        }
        DataType::Dictionary(_, values) => match content_of(values) {
            Content::Text => Content::Text,
            _ => Content::Other("dictionaries"),
        },
        DataType::Null => Content::Other("nothing"),
        DataType::Time32(_) | DataType::Time64(_) => Content::Other("times of day"),
        DataType::Duration(_) | DataType::Interval(_) => Content::Other("intervals"),
        DataType::Struct(_) | DataType::Union(..) | DataType::Map(..) => Content::Other("nested columns"),
        DataType::List(_)
        | DataType::LargeList(_)
        | DataType::FixedSizeList(..)
        | DataType::ListView(_)
        | DataType::LargeListView(_) => Content::Other("lists"),
        DataType::RunEndEncoded(..) => Content::Other("runs"),
        _ => Content::Other("bytes"),
    }
}

/// The cells of a column, read as `content`. The message says why there are none.
pub(super) fn cells(column: &ArrayRef, content: Content) -> Result<Cells, String> {
    let bits = validity(column);
    let ints = |values: Vec<i64>| Cells::Ints(values, bits.clone());
    Ok(match column.data_type() {
        DataType::Boolean => {
            let values = column.as_boolean().values();
            ints((0..column.len()).map(|row| i64::from(values.value(row))).collect())
        }
        DataType::Int8 => ints(wide::<Int8Type>(column)),
        DataType::Int16 => ints(wide::<Int16Type>(column)),
        DataType::Int32 => ints(wide::<Int32Type>(column)),
        DataType::Int64 => ints(wide::<Int64Type>(column)),
        DataType::UInt8 => ints(wide::<UInt8Type>(column)),
        DataType::UInt16 => ints(wide::<UInt16Type>(column)),
        DataType::UInt32 => ints(wide::<UInt32Type>(column)),
        DataType::UInt64 => {
            let values = column.as_primitive::<UInt64Type>().values().iter();
            if content == Content::Uint64 {
                decimals(values.map(|&value| i128::from(value)), 0, bits)
            } else {
                // Times and names stay what they are, bit by bit.
                ints(values.map(|&value| value as i64).collect())
            }
        }
        DataType::Float16 => {
            let values = column.as_primitive::<Float16Type>().values().iter();
            floats(values.map(|value| f64::from(*value)), bits)
        }
        DataType::Float32 => {
            floats(column.as_primitive::<Float32Type>().values().iter().map(|&value| f64::from(value)), bits)
        }
        DataType::Float64 => floats(column.as_primitive::<Float64Type>().values().iter().copied(), bits),
        DataType::Decimal32(..) => {
            let values = column.as_primitive::<Decimal32Type>().values().iter();
            decimals(values.map(|&value| i128::from(value)), scale(content), bits)
        }
        DataType::Decimal64(..) => {
            let values = column.as_primitive::<Decimal64Type>().values().iter();
            decimals(values.map(|&value| i128::from(value)), scale(content), bits)
        }
        DataType::Decimal128(..) => {
            let values = column.as_primitive::<Decimal128Type>().values().iter();
            decimals(values.copied(), scale(content), bits)
        }
        DataType::Date32 => ints(wide::<Date32Type>(column)),
        DataType::Date64 => ints(wide::<Date64Type>(column)),
        DataType::Timestamp(TimeUnit::Second, _) => ints(wide::<TimestampSecondType>(column)),
        DataType::Timestamp(TimeUnit::Millisecond, _) => ints(wide::<TimestampMillisecondType>(column)),
        DataType::Timestamp(TimeUnit::Microsecond, _) => ints(wide::<TimestampMicrosecondType>(column)),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => ints(wide::<TimestampNanosecondType>(column)),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Cells::Texts(texts(column)?, bits),
        DataType::Dictionary(..) => dictionary(column)?,
        other => return Err(format!("{other} can't be read")),
    })
}

/// A bit for each cell, set where there is one; `None` if all are there.
fn validity(column: &dyn Array) -> Option<Vec<u64>> {
    let nulls = column.logical_nulls().filter(|nulls| nulls.null_count() > 0)?;
    let mut words = vec![0_u64; nulls.len().div_ceil(64)];
    for row in nulls.valid_indices() {
        words[row / 64] |= 1 << (row % 64);
    }
    Some(words)
}

fn wide<T: ArrowPrimitiveType<Native: Into<i64> + Copy>>(column: &ArrayRef) -> Vec<i64> {
    column.as_primitive::<T>().values().iter().map(|&value| value.into()).collect()
}

fn scale(content: Content) -> u32 {
    match content {
        Content::Decimal { scale } => scale,
        _ => 0,
    }
}

/// As much of a text as matters: a name or a time that is longer is refused anyway.
fn cut(text: &str) -> &[u8] {
    &text.as_bytes()[..text.len().min(LONGEST_NAME + 1)]
}

/// Texts, which share one copy of their bytes.
fn texts(column: &dyn Array) -> Result<Vec<ByteArray>, String> {
    fn shared<'a>(texts: impl Iterator<Item = Option<&'a str>> + Clone) -> Vec<ByteArray> {
        let mut all: Vec<u8> = Vec::new();
        texts.clone().flatten().for_each(|text| all.extend_from_slice(cut(text)));
        let all = Bytes::from(all);
        let mut at = 0;
        let text = |text: Option<&str>| {
            let from = at;
            at += text.map_or(0, |text| cut(text).len());
            ByteArray::from(all.slice(from..at))
        };
        texts.map(text).collect()
    }
    match column.data_type() {
        DataType::Utf8 => Ok(shared(column.as_string::<i32>().iter())),
        DataType::LargeUtf8 => Ok(shared(column.as_string::<i64>().iter())),
        DataType::Utf8View => Ok(shared(column.as_string_view().iter())),
        other => Err(format!("{other} is no text")),
    }
}

/// Texts of a dictionary. Of that, only those are taken that occur: it may be much larger than the column.
fn dictionary(column: &ArrayRef) -> Result<Cells, String> {
    fn of_keys<K: ArrowDictionaryKeyType>(dictionary: &DictionaryArray<K>) -> Result<Vec<ByteArray>, String> {
        let values = dictionary.values();
        let text = |key: usize| -> Result<&[u8], String> {
            Ok(match values.data_type() {
                _ if key >= values.len() => return Err("a key is not in its dictionary".to_owned()),
                _ if values.is_null(key) => b"",
                DataType::Utf8 => cut(values.as_string::<i32>().value(key)),
                DataType::LargeUtf8 => cut(values.as_string::<i64>().value(key)),
                DataType::Utf8View => cut(values.as_string_view().value(key)),
                other => return Err(format!("{other} is no text")),
            })
        };
        let mut known: HashMap<usize, ByteArray> = HashMap::new();
        let mut texts = Vec::with_capacity(dictionary.len());
        for key in dictionary.keys_iter() {
            texts.push(match key {
                None => ByteArray::from(Vec::new()),
                Some(key) => match known.entry(key) {
                    Entry::Occupied(known) => known.get().clone(),
                    Entry::Vacant(new) => new.insert(ByteArray::from(text(key)?.to_vec())).clone(),
                },
            });
        }
        Ok(texts)
    }
    let keys: &dyn Array = column;
    let texts = downcast_dictionary_array!(
        keys => of_keys(keys)?,
        other => return Err(format!("{other} is no dictionary"))
    );
    // A key may stand for a null, too.
    Ok(Cells::Texts(texts, validity(column)))
}
