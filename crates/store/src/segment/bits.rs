//! Ranges of bits. Bit i % 64 of word i / 64 is the i-th.

use std::ops::Range;

/// Calls `take` with the number of each word that has bits of this range, and with these bits.
fn words_of(mut range: Range<usize>, mut take: impl FnMut(usize, u64)) {
    while !range.is_empty() {
        let from = range.start % 64;
        let len = range.len().min(64 - from);
        take(range.start / 64, (u64::MAX >> (64 - len)) << from);
        range.start += len;
    }
}

/// Sets the bits of this range, which may go beyond the last word.
pub(super) fn set_bits(words: &mut Vec<u64>, range: Range<usize>) {
    words.resize(words.len().max(range.end.div_ceil(64)), 0);
    words_of(range, |word, mask| words[word] |= mask);
}

/// How many bits of this range are set.
pub(super) fn count_bits(words: &[u64], range: Range<usize>) -> usize {
    let mut count = 0;
    words_of(range, |word, mask| count += (words[word] & mask).count_ones() as usize);
    count
}
