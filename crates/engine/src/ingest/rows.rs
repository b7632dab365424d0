//! Placed rows and converted values, as the store takes them.

use sheaf_model::{Tick, Values};
use sheaf_store::{Layout, Rows, RowsError};

use super::gather::bit;
use super::timeline::Placed;
use super::values::Converted;

/// Calls `$body` with `$v` bound to the vector in `$values`, and makes [`Values`] of the same type of what it returns.
macro_rules! map_values {
    ($values:expr, $v:ident, $missing:ident => $body:expr) => {
        map_values!(@ $values, $v, $missing, $body, 0; U8 I8 U16 I16 U32 I32 U64 I64; F32 f32, F64 f64)
    };
    (@ $values:expr, $v:ident, $missing:ident, $body:expr, $zero:expr; $($int:ident)*; $($float:ident $t:ident),*) => {
        match $values {
            $(Values::$int($v) => { let $missing = $zero; Values::$int($body) })*
            $(Values::$float($v) => { let $missing = $t::NAN; Values::$float($body) })*
        }
    };
}

/// The rows of a series. Of several at one start the last one counts that has a value.
pub(super) fn rows(placed: &Placed, converted: Converted, layout: Layout) -> Result<Rows, RowsError> {
    let Converted { values, validity } = converted;
    let places = match placed {
        Placed::Dense { first_ticks, period } => {
            // Placing has found it to be a time.
            let first = Tick::new(*first_ticks).unwrap_or(Tick::MIN);
            let rows = Rows::grid(first, *period, values);
            return match validity {
                Some(words) => rows.with_validity(words),
                None => Ok(rows),
            };
        }
        Placed::Listed(places) => places,
    };
    let is_valid = |row: u32| {
        let row = row as usize;
        let is_nan = match &values {
            Values::F32(values) => values[row].is_nan(),
            Values::F64(values) => values[row].is_nan(),
            _ => false,
        };
        !is_nan && validity.as_deref().is_none_or(|words| bit(words, row))
    };
    let mut chosen: Vec<(i64, u32)> = Vec::with_capacity(places.len());
    for &(start, row) in places {
        match chosen.last_mut() {
            Some(last) if last.0 == start => {
                if is_valid(row) || !is_valid(last.1) {
                    last.1 = row;
                }
            }
            _ => chosen.push((start, row)),
        }
    }
    let bits = |picked: &[Option<u32>]| {
        let mut words = vec![0_u64; picked.len().div_ceil(64)];
        for (at, _) in picked.iter().enumerate().filter(|(_, row)| row.is_some_and(is_valid)) {
            words[at / 64] |= 1 << (at % 64);
        }
        words
    };
    let (starts, picked): (Option<Vec<Tick>>, Vec<Option<u32>>) =
        match (layout, chosen.first(), chosen.last()) {
            // A place for each slot costs less than a start for each row.
            (Layout::Regular { period, .. }, Some(first), Some(last))
                if (last.0 - first.0) / period.ticks() < 2 * chosen.len() as i64 =>
            {
                let slots = ((last.0 - first.0) / period.ticks()) as usize + 1;
                let mut picked = vec![None; slots];
                for &(start, row) in &chosen {
                    picked[((start - first.0) / period.ticks()) as usize] = Some(row);
                }
                (None, picked)
            }
            _ => {
                let starts = chosen.iter().map(|&(start, _)| Tick::new(start).unwrap_or(Tick::MIN)).collect();
                (Some(starts), chosen.iter().map(|&(_, row)| Some(row)).collect())
            }
        };
    let words = (!values.data_type().is_float()).then(|| bits(&picked));
    let values = map_values!(&values, values, missing => {
        picked.iter().map(|row| row.map_or(missing, |row| values[row as usize])).collect()
    });
    let rows = match (starts, layout, chosen.first()) {
        (None, Layout::Regular { period, .. }, Some(first)) => {
            Rows::grid(Tick::new(first.0).unwrap_or(Tick::MIN), period, values)
        }
        (starts, ..) => Rows::listed(starts.unwrap_or_default(), values)?,
    };
    match words {
        Some(words) => rows.with_validity(words),
        None => Ok(rows),
    }
}
