//! The samples that are read, and the stores that hold them. Both are made once and found again.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde_json::json;
use sheaf_bench::data::{self, Channel};
use sheaf_bench::store::{self, FIRST_TICKS, Failure};
use sheaf_model::{DataType, SamplePeriod, Samples, Tick, Values};
use sheaf_store::{SeriesId, Write};

use crate::{Bench, Scale, say};

/// Samples of several series, all of the same length and period. Every series has those of the first one, begun so many
/// samples later than the series before.
pub(crate) struct Set {
    pub(crate) name: &'static str,
    pub(crate) series: usize,
    /// Samples of a series.
    pub(crate) len: usize,
    /// Samples of a bucket, of whatever is asked for.
    pub(crate) per_bucket: usize,
    step_ticks: i64,
    first: Values,
}

const SHIFT: usize = 1_009;

/// Samples that are written in one commit.
const COMMIT_SAMPLES: usize = 90_000_000;

impl Set {
    /// Ten days at 100 Hz, where nothing is made smaller.
    pub(crate) fn channel(scale: &Scale) -> Set {
        let len = 60_000 * scale.buckets;
        let first = Values::F64(Channel::new(len).values);
        Set { name: "channel", series: 1, len, per_bucket: 60_000, step_ticks: ticks(0.01), first }
    }

    /// The same in thousandths, none missing.
    pub(crate) fn thousandths(scale: &Scale) -> Set {
        let len = 60_000 * scale.buckets;
        let first = Values::I16(Channel::new(len).thousandths);
        Set { name: "thousandths", series: 1, len, per_bucket: 60_000, step_ticks: ticks(0.01), first }
    }

    /// A day at 10 Hz of many channels.
    pub(crate) fn channels(scale: &Scale) -> Set {
        let len = 6_000 * scale.channel_buckets;
        let first = Values::F64(Channel::new(len).values);
        let series = scale.channels;
        Set { name: "channels", series, len, per_bucket: 6_000, step_ticks: ticks(0.1), first }
    }

    /// Hours of many meters, none missing.
    pub(crate) fn meters(scale: &Scale) -> Set {
        let len = 24 * scale.days;
        let values = Channel::new(len.max(1_000_003)).thousandths;
        let first = Values::F64(values.into_iter().map(|value| f64::from(value) / 1e3).collect());
        Set { name: "meters", series: scale.meters, len, per_bucket: 24, step_ticks: ticks(3_600.0), first }
    }

    pub(crate) fn data_type(&self) -> DataType {
        self.first.data_type()
    }

    /// The samples of a series.
    pub(crate) fn values(&self, series: usize) -> Values {
        fn shifted<T: Copy>(first: &[T], by: usize, len: usize) -> Vec<T> {
            let (before, after) = first.split_at(by % first.len());
            after.iter().chain(before).take(len).copied().collect()
        }
        match &self.first {
            Values::I16(first) => Values::I16(shifted(first, series * SHIFT, self.len)),
            Values::F64(first) => Values::F64(shifted(first, series * SHIFT, self.len)),
            _ => Values::F64(Vec::new()),
        }
    }

    /// The resource path of a series, at a period and kind like `10_min_mean`.
    pub(crate) fn path(&self, series: usize, what: &str) -> Result<String, Failure> {
        let base = SamplePeriod::from_ticks(self.step_ticks)?;
        Ok(format!("/bench/{}/T{series:05}/{what}#base={base}", self.name))
    }

    fn key(&self, series: usize) -> Result<String, Failure> {
        let base = SamplePeriod::from_ticks(self.step_ticks)?;
        Ok(format!("/bench/{}/T{series:05}/{base}", self.name))
    }

    fn folder(&self, bench: &Bench) -> PathBuf {
        bench.folder.join(self.name)
    }

    /// The folder of a store that holds all of it. Beside it, for the peers, are the samples as they are.
    pub(crate) async fn in_store(&self, bench: &Bench) -> Result<PathBuf, Failure> {
        let folder = self.folder(bench);
        // It is there when all of it is: the note is written last.
        let note = folder.join("complete.json");
        let about = json!({
            "series": self.series,
            "len": self.len,
            "per_bucket": self.per_bucket,
            "data_type": self.data_type().name(),
            "first_us": (FIRST_TICKS - Tick::UNIX_EPOCH.ticks()) / 10,
            "step_us": self.step_ticks / 10,
        });
        let store = folder.join("store");
        let found = fs::read_to_string(&note).ok().and_then(|text| serde_json::from_str(&text).ok());
        if found.as_ref() == Some(&about) {
            return Ok(store);
        }
        say(&format!("making {}: {} series of {} samples", self.name, self.series, self.len));
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        self.write(&store).await?;
        if bench.others.is_some() {
            self.write_raw(&folder)?;
        }
        fs::write(&note, about.to_string())?;
        Ok(store)
    }

    async fn write(&self, folder: &Path) -> Result<(), Failure> {
        let opened = store::open_new(folder).await?;
        let (start, period) = (Tick::new(FIRST_TICKS)?, SamplePeriod::from_ticks(self.step_ticks)?);
        let mut ids = Vec::new();
        for series in 0..self.series {
            ids.push(opened.series(&self.key(series)?, self.data_type(), self.step_ticks).await?);
        }
        for part in parts(&ids, (COMMIT_SAMPLES / self.len).max(1)) {
            let mut write = Write::new();
            for series in part {
                write = write.rows(ids[series], Samples::new(start, period, self.values(series))?);
            }
            opened.store.write(write).await?;
        }
        opened.close().await;
        Ok(())
    }

    fn write_raw(&self, folder: &Path) -> Result<(), Failure> {
        let path = folder.join("values.raw");
        let all = 0..self.series;
        match &self.first {
            Values::I16(_) => {
                let values: Vec<i16> = all.flat_map(|series| i16s(self.values(series))).collect();
                data::write_raw(&path, &values, i16::to_le_bytes)?;
            }
            _ => {
                let values: Vec<f64> = all.flat_map(|series| f64s(self.values(series))).collect();
                data::write_raw(&path, &values, f64::to_le_bytes)?;
            }
        }
        Ok(())
    }

    /// What the buckets of a series should give, computed as plainly as can be.
    pub(crate) fn expected(&self, series: usize, kind: &str) -> Vec<f64> {
        let values = f64s(self.values(series));
        values.chunks(self.per_bucket).map(|bucket| plain(bucket, kind)).collect()
    }
}

fn ticks(seconds: f64) -> i64 {
    (seconds * Tick::PER_SECOND as f64).round() as i64
}

fn parts(ids: &[SeriesId], most: usize) -> impl Iterator<Item = Range<usize>> {
    (0..ids.len()).step_by(most).map(move |first| first..ids.len().min(first + most))
}

fn i16s(values: Values) -> Vec<i16> {
    if let Values::I16(values) = values { values } else { Vec::new() }
}

fn f64s(values: Values) -> Vec<f64> {
    match values {
        Values::F64(values) => values,
        Values::I16(values) => values.into_iter().map(f64::from).collect(),
        _ => Vec::new(),
    }
}

/// A statistic of the values that are not NaN, in two passes.
pub(crate) fn plain(values: &[f64], kind: &str) -> f64 {
    let valid = || values.iter().copied().filter(|value| !value.is_nan());
    let count = valid().count() as f64;
    let sum: f64 = valid().sum();
    match kind {
        "sum" => sum,
        "min" => valid().fold(f64::INFINITY, f64::min),
        "max" => valid().fold(f64::NEG_INFINITY, f64::max),
        "std" => {
            let squares: f64 = valid().map(|value| (value - sum / count).powi(2)).sum();
            (squares / (count - 1.0)).sqrt()
        }
        _ => sum / count,
    }
}
