//! What states are kept under: the one place where that is said.

use sheaf_kernels::{CODEC_VERSION, Family};
use sheaf_model::SamplePeriod;
use sheaf_store::SeriesId;

/// Raised with every change to what the bytes under a key mean, other than the codec of the states itself: how chunks are
/// laid out, how samples fold into states, in which order these merge.
const LAYOUT_VERSION: u8 = 3;

/// Where states were folded from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RollupKey {
    /// The store; a random number that no other one has.
    pub(crate) store: i64,
    /// The series. Its id is never given to another one.
    pub(crate) series: SeriesId,
    /// The period of its samples.
    pub(crate) base: SamplePeriod,
    /// What the source calls its present state; 0 for the built-in store, whose states are validated by their commit.
    pub(crate) source_revision: u64,
    /// What the states are.
    pub(crate) family: Family,
    /// The period that the samples were folded at.
    pub(crate) fold_period_ticks: i64,
}

const STORE_AT: usize = 2;
const SERIES_AT: usize = STORE_AT + 8;

impl RollupKey {
    /// The key of a chunk of states. Chunks that follow each other have keys that follow each other.
    pub(crate) fn of_chunk(&self, chunk: i64) -> Vec<u8> {
        let family = self.family.name().as_bytes();
        let mut key = Vec::with_capacity(SERIES_AT + 5 * 8 + 1 + family.len());
        key.extend([LAYOUT_VERSION, CODEC_VERSION]);
        key.extend(self.store.to_be_bytes());
        key.extend(self.series.0.to_be_bytes());
        key.extend(self.base.ticks().to_be_bytes());
        key.extend(self.source_revision.to_be_bytes());
        key.push(family.len() as u8);
        key.extend(family);
        key.extend(self.fold_period_ticks.to_be_bytes());
        // Negative numbers first.
        key.extend((chunk ^ i64::MIN).to_be_bytes());
        key
    }
}

/// The series of the store `store` that a key belongs to, for those who want to know what rollups are spent on.
pub fn rollup_series(key: &[u8], store: i64) -> Option<SeriesId> {
    let number = |at: usize| key.get(at..)?.first_chunk().map(|bytes| i64::from_be_bytes(*bytes));
    (number(STORE_AT)? == store).then(|| number(SERIES_AT).map(SeriesId)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_differ_in_all_their_parts_and_sort_by_time() {
        let key = RollupKey {
            store: -7,
            series: SeriesId(12),
            base: "10_ms".parse().unwrap(),
            source_revision: 0,
            family: Family::Moments,
            fold_period_ticks: 300_000_000,
        };
        let others = [
            RollupKey { store: 7, ..key.clone() },
            RollupKey { series: SeriesId(13), ..key.clone() },
            RollupKey { base: "20_ms".parse().unwrap(), ..key.clone() },
            RollupKey { source_revision: 1, ..key.clone() },
            RollupKey { family: Family::Polar, ..key.clone() },
            RollupKey { fold_period_ticks: 600_000_000, ..key.clone() },
        ];
        let chunks = [i64::MIN, -1, 0, 1, i64::MAX];
        for (other, chunk) in others.iter().flat_map(|other| chunks.map(|chunk| (other, chunk))) {
            assert!(chunks.iter().all(|&of_key| key.of_chunk(of_key) != other.of_chunk(chunk)), "{other:?}");
        }
        assert!(chunks.map(|chunk| key.of_chunk(chunk)).is_sorted());
        assert_eq!(rollup_series(&key.of_chunk(3), -7), Some(SeriesId(12)));
        assert_eq!(rollup_series(&key.of_chunk(3), 7), None);
        assert_eq!(rollup_series(b"something else", 7), None);
    }
}
