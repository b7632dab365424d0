//! The stores that are read. They are made once and found again.

use std::fs;
use std::path::PathBuf;

use sheaf_bench::data::Channel;
use sheaf_bench::store::{self, FIRST_TICKS, Failure};
use sheaf_model::{DataType, SamplePeriod, Samples, Tick, Values};
use sheaf_store::Write;

use crate::{Bench, say};

/// Series of one period in a store of their own.
pub(crate) struct Set {
    pub(crate) name: &'static str,
    pub(crate) series: usize,
    pub(crate) days: i64,
    /// Samples a second.
    hertz: i64,
}

impl Set {
    /// Ten days at 100 Hz.
    pub(crate) fn channel(bench: &Bench) -> Set {
        Set { name: "channel", series: 1, days: bench.scale.days, hertz: 100 }
    }

    /// A month of seconds of four channels.
    pub(crate) fn seconds(bench: &Bench) -> Set {
        Set { name: "seconds", series: 4, days: bench.scale.raw_days, hertz: 1 }
    }

    /// Samples of a series.
    pub(crate) fn len(&self) -> usize {
        (self.days * 86_400 * self.hertz) as usize
    }

    /// Begin and end, as they are written in a URL.
    pub(crate) fn range(&self) -> Result<(String, String), Failure> {
        let end = Tick::new(FIRST_TICKS + self.days * 86_400 * Tick::PER_SECOND)?;
        Ok((Tick::new(FIRST_TICKS)?.to_string(), end.to_string()))
    }

    fn base(&self) -> Result<SamplePeriod, Failure> {
        Ok(SamplePeriod::from_ticks(Tick::PER_SECOND / self.hertz)?)
    }

    /// The path of the samples themselves.
    pub(crate) fn original(&self, series: usize) -> Result<String, Failure> {
        Ok(format!("/bench/{}/T{series}/{}", self.name, self.base()?))
    }

    /// The path of something made of them, like `10_min_mean`.
    pub(crate) fn path(&self, series: usize, what: &str) -> Result<String, Failure> {
        Ok(format!("/bench/{}/T{series}/{what}#base={}", self.name, self.base()?))
    }

    /// The folder of the store.
    pub(crate) fn folder(&self, bench: &Bench) -> Result<PathBuf, Failure> {
        let folder = bench.folder.join(self.name);
        // It is there when all of it is: the note is written last.
        let (note, about) = (folder.join("complete"), format!("{} of {}", self.series, self.len()));
        if fs::read_to_string(&note).is_ok_and(|found| found == about) {
            return Ok(folder);
        }
        say(&format!("making {}: {} series of {} samples", self.name, self.series, self.len()));
        tokio::runtime::Runtime::new()?.block_on(self.write(&folder))?;
        fs::write(note, about)?;
        Ok(folder)
    }

    async fn write(&self, folder: &std::path::Path) -> Result<(), Failure> {
        let opened = store::open_new(folder).await?;
        let (start, period) = (Tick::new(FIRST_TICKS)?, self.base()?);
        let values = Channel::new(self.len()).values;
        for series in 0..self.series {
            let id = opened.series(&self.original(series)?, DataType::Float64, period.ticks()).await?;
            let mut values = values.clone();
            values.rotate_left(series * 1_009);
            let samples = Samples::new(start, period, Values::F64(values))?;
            opened.store.write(Write::new().rows(id, samples)).await?;
        }
        opened.close().await;
        Ok(())
    }
}
