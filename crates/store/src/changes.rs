//! The change log of a series, once the pieces that changed it are merged.
//!
//! Who keeps something computed from a series asks what changed since a commit. As long as a piece is as it was written
//! it answers for itself. When it is merged with others its range and commit go on as a *change*. Few of them are enough:
//! a change may be joined with its neighbour under the higher of the two commits, which only says more than is true.

use sheaf_model::TimeRange;

/// The most changes of a series that are kept apart.
pub(crate) const MOST_CHANGES: usize = 32;

/// Joins changes until no more than `most` are left. For every commit, what changed after it is still covered.
pub(crate) fn coalesce(mut changes: Vec<(TimeRange, i64)>, most: usize) -> Vec<(TimeRange, i64)> {
    changes.sort_by_key(|(range, commit)| (range.begin(), std::cmp::Reverse((range.end(), *commit))));
    // Those that lie within one of a commit as high add nothing.
    let mut kept: Vec<(TimeRange, i64)> = Vec::new();
    for (range, commit) in changes {
        let covered = kept.iter().rev().take(MOST_CHANGES).any(|(other, other_commit)| {
            *other_commit >= commit && other.begin() <= range.begin() && range.end() <= other.end()
        });
        if !covered {
            kept.push((range, commit));
        }
    }
    // There may be very many; neighbours that are not among the latest ones are joined in one pass.
    if kept.len() > 2 * most {
        let mut commits: Vec<i64> = kept.iter().map(|&(_, commit)| commit).collect();
        commits.sort_unstable_by(|a, b| b.cmp(a));
        let latest = commits[most];
        let mut joined: Vec<(TimeRange, i64)> = Vec::new();
        for (range, commit) in kept {
            match joined.last_mut() {
                Some((before, before_commit)) if *before_commit <= latest && commit <= latest => {
                    *before = before.hull(range);
                    *before_commit = commit.max(*before_commit);
                }
                _ => joined.push((range, commit)),
            }
        }
        kept = joined;
    }
    // Neighbours of the oldest commits are joined first: what is computed from them is the least likely to be asked for.
    while kept.len() > most.max(1) {
        let cheapest = (1..kept.len()).min_by_key(|&at| kept[at - 1].1.max(kept[at].1)).unwrap_or(1);
        let (range, commit) = kept.remove(cheapest);
        let (before, before_commit) = kept[cheapest - 1];
        kept[cheapest - 1] = (before.hull(range), before_commit.max(commit));
    }
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sheaf_model::Tick;

    use super::*;

    fn changes() -> impl Strategy<Value = Vec<(TimeRange, i64)>> {
        let change = (0_i64..200, 1_i64..40, 1_i64..20).prop_map(|(begin, len, commit)| {
            (TimeRange::new(Tick::new(begin).unwrap(), Tick::new(begin + len).unwrap()).unwrap(), commit)
        });
        proptest::collection::vec(change, 0..60)
    }

    proptest! {
        #[test]
        fn nothing_that_changed_is_forgotten(changes in changes(), most in 1_usize..12) {
            let joined = coalesce(changes.clone(), most);
            prop_assert!(joined.len() <= most.max(1).max(changes.len().min(most)));
            for since in 0..20 {
                for tick in 0..240 {
                    let tick = Tick::new(tick).unwrap();
                    let says = |all: &[(TimeRange, i64)]| all.iter().any(|(range, commit)| *commit > since && range.contains(tick));
                    prop_assert!(!says(&changes) || says(&joined));
                }
            }
        }
    }
}
