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
pub(crate) fn set_bits(words: &mut Vec<u64>, range: Range<usize>) {
    words.resize(words.len().max(range.end.div_ceil(64)), 0);
    words_of(range, |word, mask| words[word] |= mask);
}

/// Bits of this range, at most 64 of them, as a word that begins with the first.
pub(super) fn word_at(words: &[u64], range: Range<usize>) -> u64 {
    if range.is_empty() {
        return 0;
    }
    let (word, from) = (range.start / 64, range.start % 64);
    let low = words[word] >> from;
    // The rest of them lies in the next word; shifted in two steps, as it may be by 64.
    let high = if from + range.len() > 64 { words[word + 1] << 1 << (63 - from) } else { 0 };
    (low | high) & (u64::MAX >> (64 - range.len()))
}

/// Sets the bits from `at` on, which may be beyond the last word, where those of this range of `from` are set.
pub(crate) fn copy_bits(words: &mut Vec<u64>, at: usize, from: &[u64], range: Range<usize>) {
    words.resize(words.len().max((at + range.len()).div_ceil(64)), 0);
    // Word by word of what is set, so that only what is copied has to be shifted.
    words_of(at..at + range.len(), |word, mask| {
        let begin = range.start + (word * 64).saturating_sub(at);
        let bits = word_at(from, begin..begin + mask.count_ones() as usize);
        words[word] |= bits << mask.trailing_zeros();
    });
}

/// How many bits of this range are set.
pub(super) fn count_bits(words: &[u64], range: Range<usize>) -> usize {
    let mut count = 0;
    words_of(range, |word, mask| count += (words[word] & mask).count_ones() as usize);
    count
}
