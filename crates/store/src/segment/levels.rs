//! Definition levels: which rows of a page have a value, and how values get to their rows.

use std::ops::Range;

use parquet::errors::ParquetError;

use super::bits::{count_bits, word_at};

/// The definition levels of a page with missing values, 0 and 1, as bits.
pub(super) struct Levels {
    /// Bits beyond the last row mean nothing.
    words: Vec<u64>,
}

impl Levels {
    /// Levels of so many rows, of which so many have a value. They are stored in runs of one level and in runs of bits, the
    /// first bit the lowest, behind a header in seven bits a byte that says which, and how long.
    ///
    /// # Errors
    /// The levels are fewer, or others have a value.
    pub(super) fn decode(bytes: &[u8], rows: usize, present: usize) -> Result<Levels, ParquetError> {
        let short = || invalid("too few definition levels");
        let mut words = vec![0; rows.div_ceil(64)];
        let mut bytes = bytes.iter().copied();
        let (mut row, mut found) = (0, 0);
        while row < rows {
            let (mut header, mut shift) = (0_u64, 0);
            loop {
                let byte = bytes.next().ok_or_else(short)?;
                header |= u64::from(byte & 0x7f).checked_shl(shift).ok_or_else(short)?;
                shift += 7;
                if byte & 0x80 == 0 {
                    break;
                }
            }
            let len = usize::try_from(header >> 1)?;
            if header & 1 == 0 {
                let level = bytes.next().ok_or_else(short)?;
                let end = rows.min(row.saturating_add(len));
                if level != 0 {
                    set_run(&mut words, row..end);
                    found += end - row;
                }
                row = end;
            } else {
                for _ in 0..len {
                    let mut byte = u64::from(bytes.next().ok_or_else(short)?);
                    if row >= rows {
                        continue;
                    }
                    if rows - row < 8 {
                        byte &= (1 << (rows - row)) - 1;
                    }
                    // Eight levels at a time, which the end of a word may cut in two.
                    words[row / 64] |= byte << (row % 64);
                    if let Some(word) = words.get_mut(row / 64 + 1).filter(|_| row % 64 > 56) {
                        *word |= byte >> (64 - row % 64);
                    }
                    found += byte.count_ones() as usize;
                    row += 8;
                }
            }
            if len == 0 {
                return Err(short());
            }
        }
        if found != present {
            return Err(invalid("a page header contradicts the definition levels"));
        }
        Ok(Levels { words })
    }

    /// The bits.
    pub(super) fn words(&self) -> &[u64] {
        &self.words
    }

    /// How many of these rows have a value.
    pub(super) fn count(&self, rows: Range<usize>) -> usize {
        count_bits(&self.words, rows)
    }

    /// Whether all of these rows have a value.
    fn all(&self, rows: Range<usize>) -> bool {
        let Some(last) = rows.end.checked_sub(1).filter(|&last| last >= rows.start) else { return true };
        let from = u64::MAX << (rows.start % 64);
        let to = u64::MAX >> (63 - last % 64);
        match &self.words[rows.start / 64..=last / 64] {
            [only] => only | !(from & to) == u64::MAX,
            [first, between @ .., last] => {
                first | !from == u64::MAX
                    && last | !to == u64::MAX
                    && between.iter().all(|&word| word == u64::MAX)
            }
            [] => true,
        }
    }

    /// From the first of these rows on, as many as have `most` values, with what is missing behind them: where they end, and
    /// how many values they have.
    pub(super) fn take(&self, rows: Range<usize>, most: usize) -> (usize, usize) {
        let end = rows.end.min(rows.start.saturating_add(most));
        if self.all(rows.start..end) {
            return (end, end - rows.start);
        }
        let mut count = 0;
        for part in word_ranges(rows.clone()) {
            let mut word = word_at(&self.words, part.clone());
            let present = ones(word);
            if count + present > most {
                for _ in count..most {
                    word &= word - 1;
                }
                return (part.start + word.trailing_zeros() as usize, most);
            }
            count += present;
        }
        (rows.end, count)
    }

    /// Moves the first `present` of these values, one for each row, to the rows that have one.
    pub(super) fn expand<T: Copy>(
        &self,
        values: &mut [T],
        mut present: usize,
        rows: Range<usize>,
        missing: T,
    ) {
        // From the back, so that nothing is overwritten before it was moved.
        for part in word_ranges(rows.clone()).rev() {
            let to = part.start - rows.start..part.end - rows.start;
            if present == to.end {
                // Nothing is missing up to here.
                return;
            }
            let word = word_at(&self.words, part);
            let from = present - ones(word)..present;
            present = from.start;
            if from.len() == to.len() {
                values.copy_within(from, to.start);
            } else {
                // A step for each value and none for what is missing: no branch depends on where that is.
                let mut expanded = [missing; 64];
                let mut places = word;
                for value in &values[from] {
                    expanded[places.trailing_zeros() as usize % 64] = *value;
                    places &= places.wrapping_sub(1);
                }
                let len = to.len();
                values[to].copy_from_slice(&expanded[..len]);
            }
        }
    }
}

/// Parts of a range of rows with as many as a word has bits; the last one is shorter.
fn word_ranges(rows: Range<usize>) -> impl DoubleEndedIterator<Item = Range<usize>> {
    rows.clone().step_by(64).map(move |from| from..rows.end.min(from + 64))
}

/// How many bits are set. Counting takes a while without an instruction for it, and in most words nothing is missing.
fn ones(word: u64) -> usize {
    if word == u64::MAX { 64 } else { word.count_ones() as usize }
}

/// Sets the bits of a run. Runs are long as a rule.
fn set_run(words: &mut [u64], run: Range<usize>) {
    if run.is_empty() {
        return;
    }
    let (first, last) = (run.start / 64, (run.end - 1) / 64);
    let from = u64::MAX << (run.start % 64);
    let to = u64::MAX >> (63 - (run.end - 1) % 64);
    if first == last {
        words[first] |= from & to;
    } else {
        words[first] |= from;
        words[first + 1..last].fill(u64::MAX);
        words[last] |= to;
    }
}

fn invalid(what: &str) -> ParquetError {
    ParquetError::General(what.to_owned())
}
