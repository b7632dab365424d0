//! Values of a column in memory: they come page by page, some of them missing.

use std::ops::Range;

use super::bits::{copy_bits, set_bits};
use super::levels::Levels;

/// Values that are decoded at a time: whole vectors of ALP, and few enough for the fastest cache.
pub(super) const BATCH: usize = 2048;

/// Values of a column.
pub(super) struct Column<T> {
    /// The values so far, and memory behind them that was used before.
    values: Vec<T>,
    filled: usize,
    /// What `values` has where there is none.
    missing: T,
    /// Whether `missing` can also be a value, so that bits have to tell.
    is_ambiguous: bool,
    /// These bits, once anything is missing.
    validity: Option<Vec<u64>>,
}

impl<T: Copy + Default> Column<T> {
    /// Values behind the first `filled` of these, whatever there is now. `validity` has the bits of those before, if one of
    /// them is missing. One that is missing will be `missing`, and have its bit unset if that can also be a value.
    pub(super) fn new(
        values: Vec<T>,
        filled: usize,
        validity: Option<Vec<u64>>,
        missing: T,
        is_ambiguous: bool,
    ) -> Column<T> {
        Column { values, filled, missing, is_ambiguous, validity }
    }

    /// The values with what is behind them, and their bits where something is missing that can also be a value.
    pub(super) fn into_memory(self) -> (Vec<T>, Option<Vec<u64>>) {
        (self.values, self.validity)
    }

    /// Room for so many values more.
    pub(super) fn room(&mut self, len: usize) -> &mut [T] {
        let before = self.filled;
        self.filled += len;
        // Memory is cleared where it is new, little at a time: that is for free while it is in the fastest cache.
        if self.values.len() < self.filled {
            self.values.resize(self.filled, T::default());
        }
        &mut self.values[before..self.filled]
    }

    /// Appends these rows of a page, all of which have a value; `read` appends values of the page.
    pub(super) fn append_present<E>(
        &mut self,
        rows: Range<usize>,
        mut read: impl FnMut(Range<usize>, &mut Column<T>) -> Result<(), E>,
    ) -> Result<(), E> {
        let before = self.filled;
        let mut row = rows.start;
        while row < rows.end {
            let end = rows.end.min(row + BATCH - row % BATCH);
            read(row..end, self)?;
            row = end;
        }
        if let Some(validity) = &mut self.validity {
            set_bits(validity, before..self.filled);
        }
        Ok(())
    }

    /// Appends these rows of a page. `levels` says which of them have a value: the first of them has that of number `value`,
    /// and `read` appends values of the page. Returns the number of the first value that is left.
    pub(super) fn append_sparse<E>(
        &mut self,
        levels: &Levels,
        rows: Range<usize>,
        value: usize,
        mut read: impl FnMut(Range<usize>, &mut Column<T>) -> Result<(), E>,
    ) -> Result<usize, E> {
        if self.is_ambiguous && levels.count(rows.clone()) < rows.len() {
            let before = self.filled;
            let validity = self.validity.get_or_insert_with(|| {
                let mut words = Vec::new();
                set_bits(&mut words, 0..before);
                words
            });
            copy_bits(validity, before, levels.words(), rows.clone());
        } else if let Some(validity) = &mut self.validity {
            set_bits(validity, self.filled..self.filled + rows.len());
        }
        // Values are decoded where their rows begin, whole vectors of them where they can be. Nothing is moved but those of
        // a batch with something missing, while it is in the fastest cache.
        let (mut row, mut value) = (rows.start, value);
        while row < rows.end {
            let (end, present) = levels.take(row..rows.end, BATCH - value % BATCH);
            let before = self.filled;
            if present > 0 {
                read(value..value + present, self)?;
            }
            if present < end - row {
                let missing = self.missing;
                self.room(end - row - present);
                levels.expand(&mut self.values[before..self.filled], present, row..end, missing);
            }
            (row, value) = (end, value + present);
        }
        Ok(value)
    }
}
