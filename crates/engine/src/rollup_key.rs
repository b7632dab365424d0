//! What states are kept under: the one place where that is said.

use sheaf_kernels::{CODEC_VERSION, Family, Gate, Statistic};
use sheaf_model::SamplePeriod;
use sheaf_store::SeriesId;

/// Raised with every change to what the bytes under a key mean, other than the codec of the states itself: how chunks are
/// laid out, how samples fold into states, in which order these merge.
const LAYOUT_VERSION: u8 = 4;

/// Where states were folded from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Folded {
    /// The store; a random number that no other one has.
    pub(crate) store: i64,
    /// The series. Its id is never given to another one.
    pub(crate) series: SeriesId,
    /// The period of its samples.
    pub(crate) base: SamplePeriod,
    /// What the source calls its present state; 0 for the built-in store, whose states are validated by their commit.
    pub(crate) source_revision: u64,
}

/// What states are kept under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RollupKey {
    pub(crate) folded: Folded,
    /// What the states are.
    pub(crate) family: Family,
    /// The period that the samples were folded at.
    pub(crate) fold_period_ticks: i64,
}

/// What values are kept under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ValueKey {
    pub(crate) folded: Folded,
    /// The period of the values.
    pub(crate) period_ticks: i64,
    /// What let them pass.
    pub(crate) gate: Gate,
}

const STORE_AT: usize = 2;
const SERIES_AT: usize = STORE_AT + 8;

impl Folded {
    /// The key of a chunk. Chunks that follow each other have keys that follow each other.
    fn of_chunk(&self, name: &[&str], period_ticks: i64, gate: Option<Gate>, chunk: i64) -> Vec<u8> {
        let mut key =
            Vec::with_capacity(SERIES_AT + 6 * 8 + 1 + name.iter().map(|part| part.len()).sum::<usize>());
        key.extend([LAYOUT_VERSION, CODEC_VERSION]);
        key.extend(self.store.to_be_bytes());
        key.extend(self.series.0.to_be_bytes());
        key.extend(self.base.ticks().to_be_bytes());
        key.extend(self.source_revision.to_be_bytes());
        key.push(name.iter().map(|part| part.len() as u8).sum());
        name.iter().for_each(|part| key.extend(part.as_bytes()));
        key.extend(period_ticks.to_be_bytes());
        key.extend(gate.into_iter().flat_map(|gate| gate.fewest().to_be_bytes()));
        // Negative numbers first.
        key.extend((chunk ^ i64::MIN).to_be_bytes());
        key
    }
}

impl RollupKey {
    pub(crate) fn of_chunk(&self, chunk: i64) -> Vec<u8> {
        self.folded.of_chunk(&[self.family.name()], self.fold_period_ticks, None, chunk)
    }
}

impl ValueKey {
    pub(crate) fn of_chunk(&self, statistic: Statistic, chunk: i64) -> Vec<u8> {
        // No family has such a name.
        self.folded.of_chunk(&["=", statistic.name()], self.period_ticks, Some(self.gate), chunk)
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
        let folded =
            Folded { store: -7, series: SeriesId(12), base: "10_ms".parse().unwrap(), source_revision: 0 };
        let key = RollupKey { folded, family: Family::Moments, fold_period_ticks: 300_000_000 };
        let others = [
            RollupKey { folded: Folded { store: 7, ..key.folded.clone() }, ..key.clone() },
            RollupKey { folded: Folded { series: SeriesId(13), ..key.folded.clone() }, ..key.clone() },
            RollupKey {
                folded: Folded { base: "20_ms".parse().unwrap(), ..key.folded.clone() },
                ..key.clone()
            },
            RollupKey { folded: Folded { source_revision: 1, ..key.folded.clone() }, ..key.clone() },
            RollupKey { family: Family::Polar, ..key.clone() },
            RollupKey { fold_period_ticks: 600_000_000, ..key.clone() },
        ];
        let chunks = [i64::MIN, -1, 0, 1, i64::MAX];
        for (other, chunk) in others.iter().flat_map(|other| chunks.map(|chunk| (other, chunk))) {
            assert!(chunks.iter().all(|&of_key| key.of_chunk(of_key) != other.of_chunk(chunk)), "{other:?}");
        }
        assert!(chunks.map(|chunk| key.of_chunk(chunk)).is_sorted());
        assert_eq!(rollup_series(&key.of_chunk(3), -7), Some(SeriesId(12)));
        let gate = |threshold| Gate::new(600, threshold).unwrap();
        let values = ValueKey { folded: key.folded.clone(), period_ticks: 300_000_000, gate: gate(0.5) };
        let other_gate = ValueKey { gate: gate(0.6), ..values.clone() };
        let other_period = ValueKey { period_ticks: 600_000_000, ..values.clone() };
        let of_values =
            |key: &ValueKey| Statistic::ALL.map(|what| chunks.map(|chunk| key.of_chunk(what, chunk)));
        let mut all: Vec<_> =
            [&values, &other_gate, &other_period].into_iter().flat_map(of_values).flatten().collect();
        all.extend(Family::ALL.into_iter().flat_map(|family| {
            let key = RollupKey { family, ..key.clone() };
            chunks.map(|chunk| key.of_chunk(chunk))
        }));
        let count = all.len();
        assert_eq!(all.into_iter().collect::<std::collections::HashSet<_>>().len(), count);
        assert!(chunks.map(|chunk| values.of_chunk(Statistic::Mean, chunk)).is_sorted());
        assert_eq!(rollup_series(&values.of_chunk(Statistic::Mean, 3), -7), Some(SeriesId(12)));
        assert_eq!(rollup_series(&key.of_chunk(3), 7), None);
        assert_eq!(rollup_series(b"something else", 7), None);
    }
}
