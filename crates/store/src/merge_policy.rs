//! Which segments are merged: a pure function of what is known about them.
//!
//! Segments of one data type and about one size form a tier. Once a tier has enough of them they become one of the next
//! tier, so every sample is rewritten about log(size) times and the number of files stays logarithmic. Segments that are
//! mostly garbage are rewritten, all of them together: there may be very many small ones after corrections.

use std::collections::BTreeMap;

use sheaf_model::DataType;

/// What the policy knows of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Its id; a higher one is younger.
    pub id: i64,
    /// Type of its values.
    pub data_type: DataType,
    /// Its length in bytes.
    pub bytes: u64,
    /// How many rows it has.
    pub rows: u64,
    /// How many of them still belong to a piece.
    pub live_rows: u64,
}

/// When segments are merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergePolicy {
    /// So many segments of a tier, or more, become one. 8: a year of hourly moves of the tail ends in about 20 files.
    pub segments_per_tier: usize,
    /// Smaller segments are all of the lowest tier: reading one costs about the same whatever its size.
    pub lowest_tier_bytes: u64,
    /// Larger segments are left as they are. 256 MiB: a merge takes seconds, and rewriting more saves nothing.
    pub largest_bytes: u64,
    /// A segment with a smaller part of live rows is rewritten, in percent.
    pub least_live_percent: u64,
}

impl Default for MergePolicy {
    fn default() -> MergePolicy {
        MergePolicy {
            segments_per_tier: 8,
            lowest_tier_bytes: 1 << 20,
            largest_bytes: 256 << 20,
            least_live_percent: 50,
        }
    }
}

impl MergePolicy {
    /// The merges to do now, each a list of ids. No segment is in two of them. Segments with `full_rows` rows or more can't
    /// become larger ones.
    pub fn merges(&self, segments: &[SegmentInfo], full_rows: u64) -> Vec<Vec<i64>> {
        let mut merges = Vec::new();
        let mut garbage: BTreeMap<DataType, Vec<&SegmentInfo>> = BTreeMap::new();
        let mut tiers: BTreeMap<(DataType, u32), Vec<&SegmentInfo>> = BTreeMap::new();
        for segment in segments.iter().filter(|segment| segment.live_rows > 0) {
            if segment.live_rows * 100 < segment.rows * self.least_live_percent {
                garbage.entry(segment.data_type).or_default().push(segment);
            } else if segment.bytes < self.largest_bytes && segment.rows < full_rows {
                tiers.entry((segment.data_type, self.tier(segment.bytes))).or_default().push(segment);
            }
        }
        for mut of_type in garbage.into_values() {
            of_type.sort_by_key(|segment| segment.id);
            merges.extend(self.up_to_largest(&of_type));
        }
        for mut tier in tiers.into_values() {
            tier.sort_by_key(|segment| segment.id);
            // Far more than enough of them, after a burst of writes, become few at once instead of step by step.
            if tier.len() >= self.segments_per_tier.max(2) {
                merges.extend(self.up_to_largest(&tier).into_iter().filter(|merge| merge.len() > 1));
            }
        }
        merges
    }

    /// The merges that leave as few segments as possible: one for each type, split where it would get too large.
    pub fn merge_all(&self, segments: &[SegmentInfo], full_rows: u64) -> Vec<Vec<i64>> {
        let mut by_type: BTreeMap<DataType, Vec<&SegmentInfo>> = BTreeMap::new();
        let is_done = |segment: &SegmentInfo| segment.rows >= full_rows && segment.live_rows == segment.rows;
        for segment in segments.iter().filter(|segment| segment.live_rows > 0 && !is_done(segment)) {
            by_type.entry(segment.data_type).or_default().push(segment);
        }
        let mut merges = Vec::new();
        for mut of_type in by_type.into_values() {
            of_type.sort_by_key(|segment| segment.id);
            merges.extend(self.up_to_largest(&of_type));
        }
        merges.retain(|merge| {
            // Alone and without garbage there is nothing to gain.
            merge.len() > 1 || segments.iter().any(|s| merge.contains(&s.id) && s.live_rows < s.rows)
        });
        merges
    }

    /// Groups of neighbours, each no larger than the largest segment should be.
    fn up_to_largest(&self, segments: &[&SegmentInfo]) -> Vec<Vec<i64>> {
        let (mut groups, mut group, mut bytes) = (Vec::new(), Vec::new(), 0);
        for segment in segments {
            if bytes + segment.bytes > self.largest_bytes && !group.is_empty() {
                groups.push(std::mem::take(&mut group));
                bytes = 0;
            }
            group.push(segment.id);
            bytes += segment.bytes;
        }
        groups.push(group);
        groups
    }

    fn tier(&self, bytes: u64) -> u32 {
        let factor = self.segments_per_tier.max(2) as u64;
        (bytes / self.lowest_tier_bytes.max(1)).checked_ilog(factor).map_or(0, |tier| tier + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(id: i64, bytes: u64) -> SegmentInfo {
        SegmentInfo { id, data_type: DataType::Float64, bytes, rows: 100, live_rows: 100 }
    }

    #[test]
    fn a_full_tier_is_merged() {
        let policy = MergePolicy::default();
        let small: Vec<_> = (1..=8).map(|id| segment(id, 1000)).collect();
        assert_eq!(policy.merges(&small[..7], 1000), Vec::<Vec<i64>>::new());
        assert_eq!(policy.merges(&small, 1000), [(1..=8).collect::<Vec<_>>()]);
        assert_eq!(policy.merges(&small, 100), Vec::<Vec<i64>>::new(), "all of them are full");
        // One of them is of the next tier, and one of another type.
        let mut mixed = small.clone();
        mixed[3].bytes = 2 << 20;
        mixed[4].data_type = DataType::Int16;
        assert_eq!(policy.merges(&mixed, 1000), Vec::<Vec<i64>>::new());
    }

    #[test]
    fn garbage_is_rewritten_and_what_is_large_or_empty_is_left() {
        let policy = MergePolicy::default();
        let mut segments = vec![segment(1, 1 << 30), segment(2, 1 << 30), segment(3, 1 << 30)];
        segments[1].live_rows = 49;
        segments[2].live_rows = 0;
        assert_eq!(policy.merges(&segments, 1000), [[2]]);
        // Many small ones, as corrections leave them, take one merge.
        let corrected: Vec<_> =
            (1..=100).map(|id| SegmentInfo { live_rows: 10, ..segment(id, 20_000) }).collect();
        assert_eq!(policy.merges(&corrected, 1000), [(1..=100).collect::<Vec<_>>()]);
    }

    #[test]
    fn every_sample_is_rewritten_a_few_times_only() {
        let policy = MergePolicy::default();
        let (mut segments, mut next_id, mut rewritten) = (Vec::new(), 0, 0);
        for _ in 0..10_000 {
            next_id += 1;
            segments.push(segment(next_id, 200_000));
            for merge in policy.merges(&segments, 1000) {
                let bytes = segments.iter().filter(|s| merge.contains(&s.id)).map(|s| s.bytes).sum();
                segments.retain(|s| !merge.contains(&s.id));
                next_id += 1;
                rewritten += bytes;
                segments.push(segment(next_id, bytes));
            }
        }
        // 2 GB in files of up to 256 MiB or a little more, and a few small ones.
        assert!(segments.len() < 50, "{} segments", segments.len());
        assert!(rewritten < 5 * 10_000 * 200_000, "{rewritten} bytes");
    }

    #[test]
    fn all_become_as_few_as_possible() {
        let policy = MergePolicy::default();
        let segments: Vec<_> = (1..=5).map(|id| segment(id, 100 << 20)).collect();
        assert_eq!(policy.merge_all(&segments, 1000), [vec![1, 2], vec![3, 4]]);
        assert_eq!(policy.merge_all(&segments[..1], 1000), Vec::<Vec<i64>>::new());
    }
}
