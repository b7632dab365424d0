//! Rows on their way from the reader to the store: columns of starts, lines and values that grow by slices.

use std::ops::Range;

use sheaf_sources::ColumnValues;

/// Where rows start, and where they stand in the input.
#[derive(Debug, Default)]
pub(super) struct Times {
    pub(super) starts: Vec<i64>,
    pub(super) lines: Vec<u64>,
}

impl Times {
    pub(super) fn extend(&mut self, starts: &[i64], lines: &[u64]) {
        self.starts.extend_from_slice(starts);
        self.lines.extend_from_slice(lines);
    }

    pub(super) fn len(&self) -> usize {
        self.starts.len()
    }

    /// The line of a row, as far as it is known.
    pub(super) fn line(&self, row: usize) -> u64 {
        self.lines.get(row).copied().unwrap_or_default()
    }
}

/// Values of a series: integers for as long as all of them are.
#[derive(Debug)]
pub(super) enum Chunk {
    /// With a bit for each, set where it is not missing; `None` where none is.
    Ints { values: Vec<i64>, validity: Option<Vec<u64>> },
    /// Missing ones are NaN.
    Floats(Vec<f64>),
}

impl Default for Chunk {
    fn default() -> Chunk {
        Chunk::Ints { values: Vec::new(), validity: None }
    }
}

impl Chunk {
    pub(super) fn len(&self) -> usize {
        match self {
            Chunk::Ints { values, .. } => values.len(),
            Chunk::Floats(values) => values.len(),
        }
    }

    /// Appends some of these values.
    pub(super) fn extend(&mut self, from: &ColumnValues, range: Range<usize>) {
        match (&mut *self, from) {
            (Chunk::Ints { values: all, validity }, ColumnValues::Ints { values, validity: valid }) => {
                extend_bits(validity, all.len(), valid.as_deref(), range.clone());
                all.extend_from_slice(&values[range]);
            }
            (Chunk::Floats(all), ColumnValues::Floats(values)) => all.extend_from_slice(&values[range]),
            (Chunk::Floats(all), ColumnValues::Ints { .. }) => {
                all.extend(range.map(|row| from.get(row).unwrap_or(f64::NAN)));
            }
            (Chunk::Ints { .. }, ColumnValues::Floats(_)) => {
                let floats = (0..self.len()).map(|row| self.get(row)).collect();
                *self = Chunk::Floats(floats);
                self.extend(from, range);
            }
        }
    }

    /// A value as a float, NaN where it is missing.
    pub(super) fn get(&self, row: usize) -> f64 {
        match self {
            Chunk::Ints { values, .. } if self.is_valid(row) => values[row] as f64,
            Chunk::Ints { .. } => f64::NAN,
            Chunk::Floats(values) => values[row],
        }
    }

    /// A value as text.
    pub(super) fn show(&self, row: usize) -> String {
        match self {
            Chunk::Ints { values, .. } => values[row].to_string(),
            Chunk::Floats(values) => values[row].to_string(),
        }
    }

    pub(super) fn is_valid(&self, row: usize) -> bool {
        match self {
            Chunk::Ints { validity, .. } => validity.as_deref().is_none_or(|words| bit(words, row)),
            Chunk::Floats(values) => !values[row].is_nan(),
        }
    }

    /// How many are not missing.
    pub(super) fn valid(&self) -> u64 {
        match self {
            Chunk::Ints { values, validity: None } => values.len() as u64,
            Chunk::Ints { validity: Some(words), .. } => {
                words.iter().map(|word| u64::from(word.count_ones())).sum()
            }
            Chunk::Floats(values) => values.iter().filter(|value| !value.is_nan()).count() as u64,
        }
    }
}

pub(super) fn bit(words: &[u64], index: usize) -> bool {
    words[index / 64] >> (index % 64) & 1 == 1
}

/// Appends bits `range` of `from` to the `len` bits there are; none at all stand for ones. Bits beyond the last stay 0.
fn extend_bits(to: &mut Option<Vec<u64>>, len: usize, from: Option<&[u64]>, range: Range<usize>) {
    let Some(from) = from else {
        if let Some(words) = to {
            append(words, len, range.len(), |_, bits| ones(bits));
        }
        return;
    };
    let words = to.get_or_insert_with(|| {
        let mut words = Vec::new();
        append(&mut words, 0, len, |_, bits| ones(bits));
        words
    });
    append(words, len, range.len(), |at, bits| {
        let (word, shift) = ((range.start + at) / 64, (range.start + at) % 64);
        let low = from[word] >> shift;
        let high = if shift + bits > 64 { from[word + 1] << (64 - shift) } else { 0 };
        (low | high) & ones(bits)
    });
}

fn ones(bits: usize) -> u64 {
    if bits >= 64 { u64::MAX } else { (1 << bits) - 1 }
}

/// Appends `added` bits to `len` bits; `bits_at(at, n)` gives n ≤ 64 of them from the `at`th on.
fn append(words: &mut Vec<u64>, len: usize, added: usize, bits_at: impl Fn(usize, usize) -> u64) {
    words.resize((len + added).div_ceil(64), 0);
    let mut at = 0;
    while at < added {
        let (word, shift) = ((len + at) / 64, (len + at) % 64);
        let bits = (64 - shift).min(added - at);
        words[word] |= bits_at(at, bits) << shift;
        at += bits;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn values_grow_by_slices_as_they_would_one_by_one(
            parts in proptest::collection::vec(
                (proptest::collection::vec(proptest::option::of(-5_i64..5), 0..150), any::<bool>(), 0.0..1.0_f64),
                0..8,
            ),
        ) {
            let mut chunk = Chunk::default();
            let mut wanted: Vec<Option<i64>> = Vec::new();
            for (part, floats, from) in parts {
                let range = (from * part.len() as f64) as usize..part.len();
                let values = if floats {
                    ColumnValues::Floats(part.iter().map(|value| value.map_or(f64::NAN, |value| value as f64)).collect())
                } else {
                    let mut words = vec![0; part.len().div_ceil(64)];
                    part.iter().enumerate().filter(|(_, value)| value.is_some()).for_each(|(at, _)| words[at / 64] |= 1 << (at % 64));
                    let validity = part.contains(&None).then_some(words);
                    ColumnValues::Ints { values: part.iter().map(|value| value.unwrap_or(7)).collect(), validity }
                };
                chunk.extend(&values, range.clone());
                wanted.extend(&part[range]);
            }
            prop_assert_eq!(chunk.len(), wanted.len());
            for (row, value) in wanted.iter().enumerate() {
                prop_assert_eq!(chunk.is_valid(row), value.is_some());
                prop_assert_eq!(chunk.is_valid(row).then(|| chunk.get(row) as i64), *value);
            }
            prop_assert_eq!(chunk.valid(), wanted.iter().flatten().count() as u64);
        }
    }
}
