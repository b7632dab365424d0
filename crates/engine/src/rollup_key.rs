//! What states are kept under: the one place where that is said.

use std::ops::Range;

use sha2::{Digest, Sha256};
use sheaf_kernels::{CODEC_VERSION, Family, Gate, Statistic};
use sheaf_model::{CatalogId, ResourceId, SamplePeriod};
use sheaf_store::SeriesId;

use crate::kept::states_per_chunk;
use crate::kept_values::VALUES_PER_CHUNK;

/// Raised with every change to what the bytes under a key mean, other than the codec of the states itself: how chunks are
/// laid out, how samples fold into states, in which order these merge.
const LAYOUT_VERSION: u8 = 5;

/// What tells a source that is read in place from all others, for what is kept of its series: a digest of the store beside
/// which it is, of the catalog that it provides, and of all that decides which samples it has.
///
/// A source with other settings is another one here, so what was kept of it is not found any more. Nothing is shared with
/// a source that happens to have the same revisions, either.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SourceIdentity([u8; 32]);

impl SourceIdentity {
    /// The identity of the source that is mounted at a catalog. `configuration` is its kind and settings as text, and
    /// whatever else its samples depend on, like who is asking where it answers them differently. It need not have one form
    /// only: another text for the same only costs what was kept.
    #[must_use]
    pub fn new(store: i64, mount: &CatalogId, configuration: &str) -> SourceIdentity {
        SourceIdentity(digest(&[&store.to_be_bytes(), mount.as_str().as_bytes(), configuration.as_bytes()]))
    }
}

/// Of parts that can't run into each other. A digest that nobody can make collide: settings may come from anybody.
fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// Whose samples states were folded from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// A series of a store.
    Stored {
        /// The store; a random number that no other one has.
        store: i64,
        /// The series. Its id is never given to another one.
        series: SeriesId,
    },
    /// A series of a source: a digest of the identity of that and of the name of the resource. What revision the samples
    /// were of is said by the stamp of each chunk.
    InPlace([u8; 32]),
}

impl Whose {
    /// A series of a source.
    pub(crate) fn in_place(source: SourceIdentity, resource: &ResourceId) -> Whose {
        match RollupOf::in_place(source, resource) {
            RollupOf::InPlace(digest) => Whose::InPlace(digest),
            RollupOf::Stored(store, series) => Whose::Stored { store, series },
        }
    }
}

/// Where states were folded from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Folded {
    /// The series.
    pub(crate) of: Whose,
    /// The period of its samples.
    pub(crate) base: SamplePeriod,
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

/// Says whose samples they are. Everything behind it has one length for a store and one for sources, so no key of one is a
/// key of the other, or of another series.
const WHOSE_AT: usize = 2;
const STORED: u8 = 0;
const IN_PLACE: u8 = 1;
const STORE_AT: usize = WHOSE_AT + 1;
const SERIES_AT: usize = STORE_AT + 8;

impl Folded {
    /// The key of a chunk. Chunks that follow each other have keys that follow each other.
    fn of_chunk(&self, name: &[&str], period_ticks: i64, gate: Option<Gate>, chunk: i64) -> Vec<u8> {
        let mut key =
            Vec::with_capacity(SERIES_AT + 8 * 8 + 1 + name.iter().map(|part| part.len()).sum::<usize>());
        key.extend([LAYOUT_VERSION, CODEC_VERSION]);
        match &self.of {
            Whose::Stored { store, series } => {
                key.push(STORED);
                key.extend(store.to_be_bytes());
                key.extend(series.0.to_be_bytes());
            }
            Whose::InPlace(digest) => {
                key.push(IN_PLACE);
                key.extend(digest);
            }
        }
        key.extend(self.base.ticks().to_be_bytes());
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
    let is_of_store = key.get(WHOSE_AT) == Some(&STORED) && number(STORE_AT)? == store;
    is_of_store.then(|| number(SERIES_AT).map(SeriesId)).flatten()
}

/// Whose a key is, for those who want to find what is kept of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RollupOf {
    /// A series of this store.
    Stored(i64, SeriesId),
    /// A series of a source, by a digest.
    InPlace([u8; 32]),
}

impl RollupOf {
    /// A series of a source.
    pub fn in_place(source: SourceIdentity, resource: &ResourceId) -> RollupOf {
        RollupOf::InPlace(digest(&[&source.0, resource.as_str().as_bytes()]))
    }
}

/// Whose a key is; `None` for what is no key.
pub fn rollup_of(key: &[u8]) -> Option<RollupOf> {
    let number = |at: usize| key.get(at..)?.first_chunk().map(|bytes| i64::from_be_bytes(*bytes));
    match *key.get(WHOSE_AT)? {
        STORED => Some(RollupOf::Stored(number(STORE_AT)?, SeriesId(number(SERIES_AT)?))),
        IN_PLACE => Some(RollupOf::InPlace(*key.get(WHOSE_AT + 1..)?.first_chunk()?)),
        _ => None,
    }
}

/// The ticks that a key's chunk is of; `None` for what is no key.
pub fn rollup_range(key: &[u8]) -> Option<Range<i64>> {
    let number = |at: usize| key.get(at..)?.first_chunk().map(|bytes| i64::from_be_bytes(*bytes));
    let base_at = match rollup_of(key)? {
        RollupOf::Stored(..) => SERIES_AT + 8,
        RollupOf::InPlace(_) => WHOSE_AT + 1 + 32,
    };
    let len_at = base_at + 8;
    let name_at = len_at + 1;
    let period_at = name_at + usize::from(*key.get(len_at)?);
    let name = key.get(name_at..period_at)?;
    let per_chunk = if name.starts_with(b"=") {
        VALUES_PER_CHUNK
    } else {
        let family = Family::ALL.into_iter().find(|family| family.name().as_bytes() == name)?;
        states_per_chunk(family) as i64
    };
    let ticks = number(period_at)?.checked_mul(per_chunk)?;
    // Behind the gate of values.
    let chunk = number(key.len().checked_sub(8)?)? ^ i64::MIN;
    // Beyond time there is nothing, and what lies half beyond it ends with it.
    let begin = chunk.saturating_mul(ticks);
    Some(begin..begin.saturating_add(ticks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_differ_in_all_their_parts_and_sort_by_time() {
        let stored = |store: i64, series: i64, base: &str| Folded {
            of: Whose::Stored { store, series: SeriesId(series) },
            base: base.parse().unwrap(),
        };
        let key = RollupKey {
            folded: stored(-7, 12, "10_ms"),
            family: Family::Moments,
            fold_period_ticks: 300_000_000,
        };
        let identity = |store: i64, mount: &str, configuration: &str| {
            SourceIdentity::new(store, &mount.parse().unwrap(), configuration)
        };
        let in_place = |source: SourceIdentity, resource: &str| {
            let of = Whose::in_place(source, &resource.parse().unwrap());
            RollupKey { folded: Folded { of, ..key.folded.clone() }, ..key.clone() }
        };
        let others = [
            RollupKey { folded: stored(7, 12, "10_ms"), ..key.clone() },
            RollupKey { folded: stored(-7, 13, "10_ms"), ..key.clone() },
            RollupKey { folded: stored(-7, 12, "20_ms"), ..key.clone() },
            RollupKey { family: Family::Polar, ..key.clone() },
            RollupKey { fold_period_ticks: 600_000_000, ..key.clone() },
            in_place(identity(-7, "/a", "{}"), "T1"),
            in_place(identity(-7, "/a", "{}"), "T2"),
            in_place(identity(-7, "/a", "{ }"), "T1"),
            in_place(identity(-7, "/a/b", "{}"), "T1"),
            in_place(identity(7, "/a", "{}"), "T1"),
        ];
        let chunks = [i64::MIN, -1, 0, 1, i64::MAX];
        for (other, chunk) in others.iter().flat_map(|other| chunks.map(|chunk| (other, chunk))) {
            assert!(chunks.iter().all(|&of_key| key.of_chunk(of_key) != other.of_chunk(chunk)), "{other:?}");
        }
        let keys: std::collections::HashSet<_> = others.iter().map(|other| other.of_chunk(3)).collect();
        assert_eq!(keys.len(), others.len());
        assert!(others[5..].iter().all(|other| rollup_series(&other.of_chunk(3), -7).is_none()));
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
        // 1 024 states of half a minute, and 4 032 values.
        let (state, value) = (1024 * 300_000_000, 4032 * 300_000_000);
        for chunk in [-1, 0, 3] {
            assert_eq!(rollup_range(&key.of_chunk(chunk)), Some(chunk * state..(chunk + 1) * state));
            let of_value = values.of_chunk(Statistic::Mean, chunk);
            assert_eq!(rollup_range(&of_value), Some(chunk * value..(chunk + 1) * value));
        }
        assert_eq!(rollup_range(b"something else"), None);
    }
}
