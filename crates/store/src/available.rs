//! How much of a range is there, as far as the manifest says: without reading samples.

use sheaf_model::{Tick, TimeRange};

use crate::error::StoreError;
use crate::plan::{How, plan};
use crate::series::{Layout, SeriesId, SeriesView};
use crate::snapshot::Snapshot;

/// Parts of time of equal length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bins {
    /// When the first one begins.
    pub begin: Tick,
    /// How long each of them is, in ticks, at least 1.
    pub ticks: i64,
    /// How many there are.
    pub count: usize,
}

impl Bins {
    fn end_ticks(self) -> i64 {
        let length = i64::try_from(self.count).ok().and_then(|count| count.checked_mul(self.ticks));
        length.and_then(|length| self.begin.ticks().checked_add(length)).unwrap_or(i64::MAX)
    }

    /// Adds ticks of a range to the bins that it touches: `share` of all that it has.
    fn add(self, range: TimeRange, share: f64, filled: &mut [f64]) {
        let (origin, ticks) = (self.begin.ticks(), self.ticks);
        let (begin, end) = (range.begin().ticks().max(origin), range.end().ticks().min(self.end_ticks()));
        if begin >= end {
            return;
        }
        let bin_of = |at: i64| usize::try_from((at - origin) / ticks).unwrap_or(usize::MAX);
        let (first, last) = (bin_of(begin), bin_of(end - 1).min(self.count.saturating_sub(1)));
        for (bin, filled) in filled.iter_mut().enumerate().take(last + 1).skip(first) {
            let bin_begin = origin + bin as i64 * ticks;
            let within = end.min(bin_begin.saturating_add(ticks)) - begin.max(bin_begin);
            *filled += share * within as f64;
        }
    }
}

impl Snapshot {
    /// How much of each of these parts of time a series has, from 0 to 1, at most: where writes lie over each other, and where
    /// samples are scattered, more may be missing than the manifest says. `None` for a series without a period, of which
    /// nobody knows how much there should be.
    ///
    /// # Errors
    /// The series is not part of the snapshot.
    pub fn availability(&self, series: SeriesId, bins: Bins) -> Result<Option<Vec<f64>>, StoreError> {
        let view = self.view(series)?;
        let Layout::Regular { period, .. } = view.spec.layout else { return Ok(None) };
        Ok(Some(shares(view, period.ticks(), bins)))
    }
}

fn shares(view: &SeriesView, period_ticks: i64, bins: Bins) -> Vec<f64> {
    let mut filled = vec![0.0; bins.count];
    let end = Tick::new(bins.end_ticks().min(Tick::MAX.ticks())).unwrap_or(Tick::MAX);
    let Ok(wanted) = TimeRange::new(bins.begin, end) else { return filled };
    for step in plan(view, None).iter().filter_map(|step| Some((step.range.intersection(wanted)?, step))) {
        let (range, step) = step;
        let pieces: &[usize] = match &step.how {
            How::Direct(piece) => std::slice::from_ref(piece),
            How::Overlay(layers) => layers,
        };
        let mut of_step = vec![0.0; if pieces.len() > 1 { bins.count } else { 0 }];
        for piece in pieces.iter().map(|&index| &view.pieces[index]).filter(|piece| piece.is_data()) {
            let Some(part) = range.intersection(piece.range) else { continue };
            let slots = (piece.range.ticks() / period_ticks).max(1) as f64;
            let share = piece.rows.saturating_sub(piece.missing) as f64 / slots;
            let into = if pieces.len() > 1 { &mut of_step } else { &mut filled };
            bins.add(part, share.min(1.0), into);
        }
        if pieces.len() > 1 {
            // Together they have no more than there is room for.
            let mut room = vec![0.0; bins.count];
            bins.add(range, 1.0, &mut room);
            for ((filled, of_step), room) in filled.iter_mut().zip(of_step).zip(room) {
                *filled += of_step.min(room);
            }
        }
    }
    filled.iter().map(|filled| (filled / bins.ticks as f64).min(1.0)).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sheaf_model::{DataType, SamplePeriod, Samples, Values};

    use super::*;
    use crate::disk::LocalDisk;
    use crate::manifest::MemoryManifest;
    use crate::{SeenSeries, SeriesSpec, Settings, Store, Write};

    fn at(second: i64) -> Tick {
        "2020-01-01".parse::<Tick>().unwrap().checked_add(second * Tick::PER_SECOND).unwrap()
    }

    fn samples(second: i64, values: Vec<f64>) -> Samples {
        Samples::new(at(second), "1_s".parse().unwrap(), Values::F64(values)).unwrap()
    }

    fn spec(key: &str) -> SeriesSpec {
        let period: SamplePeriod = "1_s".parse().unwrap();
        let layout = Layout::Regular { period, phase_ticks: 0 };
        SeriesSpec { key: key.to_owned(), data_type: DataType::Float64, layout }
    }

    async fn store(folder: &tempfile::TempDir) -> Store {
        let disk = Arc::new(LocalDisk::new(folder.path()).unwrap());
        Store::open(disk, Arc::new(MemoryManifest::default()), Settings::default()).await.unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_there_is_counted_without_reading() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder).await;
        let id = store.create_series(&[spec("/a/T1/1_s")]).await.unwrap()[0];
        let shares = async |first: i64, seconds: i64, count: usize| {
            let bins = Bins { begin: at(first), ticks: seconds * Tick::PER_SECOND, count };
            store.snapshot(&[id]).await.unwrap().availability(id, bins).unwrap().unwrap()
        };
        assert_eq!(shares(0, 10, 2).await, [0.0, 0.0]);
        store.write(Write::new().rows(id, samples(0, vec![1.0; 100_000]))).await.unwrap();
        assert_eq!(shares(-10, 20, 2).await, [0.5, 1.0]);
        assert_eq!(shares(99_990, 20, 1).await, [0.5]);
        // A bin that is shorter than a slot.
        let bins = Bins { begin: at(5), ticks: 1, count: 1 };
        assert_eq!(store.snapshot(&[id]).await.unwrap().availability(id, bins).unwrap(), Some(vec![1.0]));
        // Written again, it is not there twice; deleted, it is gone.
        store.write(Write::new().rows(id, samples(10, vec![2.0; 10]))).await.unwrap();
        assert_eq!(shares(0, 100, 1).await, [1.0]);
        let range = TimeRange::new(at(50_000), at(60_000)).unwrap();
        store.write(Write::new().delete(id, range)).await.unwrap();
        assert_eq!(shares(45_000, 10_000, 2).await, [0.5, 0.5]);
        // Whatever is asked for.
        let all = Bins { begin: Tick::MIN, ticks: i64::MAX / 2, count: 3 };
        let found = store.snapshot(&[id]).await.unwrap().availability(id, all).unwrap().unwrap();
        assert!(found.iter().all(|share| (0.0..=1.0).contains(share)), "{found:?}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn only_new_series_are_listed_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder).await;
        let names = |unseen: &crate::UnseenSeries| -> Vec<String> {
            unseen.series.iter().map(|(_, spec)| spec.key.clone()).collect()
        };
        let none = store.series_unseen(SeenSeries::default()).await.unwrap();
        assert_eq!((none.is_all, names(&none)), (true, vec![]));
        let keys: Vec<String> = (0..3000).map(|number| format!("/a/T{number}/1_s")).collect();
        let specs: Vec<_> = keys.iter().map(|key| spec(key)).collect();
        store.create_series(&specs[..10]).await.unwrap();
        let first = store.series_unseen(none.seen).await.unwrap();
        assert_eq!((first.is_all, names(&first)), (false, keys[..10].to_vec()));
        let ids = store.create_series(&specs).await.unwrap();
        let second = store.series_unseen(first.seen).await.unwrap();
        assert_eq!((second.is_all, names(&second)), (false, keys[10..].to_vec()));
        // Writing does not change which there are.
        store.write(Write::new().rows(ids[0], samples(0, vec![1.0]))).await.unwrap();
        let third = store.series_unseen(second.seen).await.unwrap();
        assert_eq!((third.is_all, third.seen, third.series.len()), (false, second.seen, 0));
        let all = store.series_unseen(SeenSeries::default()).await.unwrap();
        assert_eq!((all.is_all, names(&all)), (true, keys));
    }
}
