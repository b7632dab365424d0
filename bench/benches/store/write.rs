//! Ten days at 100 Hz in one commit.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use sheaf_bench::data::{self, Channel};
use sheaf_bench::seconds::Seconds;
use sheaf_bench::store::{self, Expected, FIRST_TICKS, Failure, Opened, STEP_TICKS};
use sheaf_model::{DataType, SamplePeriod, Samples, Tick, Values};
use sheaf_store::{SeriesId, Write};

use crate::{Bench, say};

/// What the peer writes of the same samples.
const PEERS: [&str; 4] = ["pyarrow", "pyarrow_values", "duckdb", "duckdb_table"];

pub(crate) async fn run(bench: &mut Bench) -> Result<Value, Failure> {
    let values = Channel::new(bench.scale.samples).values;
    hand_over(bench, &values)?;
    let mut seconds = Seconds::default();
    let mut bytes = Map::new();
    // The first round warms up and is not counted; what it wrote is verified.
    for round in 0..=bench.scale.rounds {
        say(&format!("round {round} of {}", bench.scale.rounds));
        if round == 1 {
            seconds = Seconds::default();
        }
        let folder = bench.folder.join("write");
        let (opened, series) = write_new(&folder, &values, &mut seconds).await?;
        if round == 0 {
            let values = Values::F64(values.clone());
            let expected = Expected { step_ticks: STEP_TICKS, slots: None, values: &values };
            store::verify(&opened.store, series, expected).await?;
        }
        opened.close().await;
        bytes.insert("sheaf".to_owned(), json!(store::segment_files(&folder)?.0));
        std::fs::remove_dir_all(&folder)?;
        for peer in PEERS {
            if let Some(taken) = bench.ask_seconds(&format!("write {peer}"))? {
                seconds.add(peer, taken);
            }
        }
    }
    for peer in PEERS {
        if let Some(size) = bench.ask(&format!("size {peer}"))? {
            bytes.insert(peer.to_owned(), size);
        }
    }
    Ok(json!({ "samples": values.len(), "seconds": Value::from(seconds), "bytes": bytes }))
}

/// Gives the peer the samples, if there is one.
pub(crate) fn hand_over(bench: &mut Bench, values: &[f64]) -> Result<(), Failure> {
    if bench.peer.is_some() {
        data::write_raw(&bench.folder.join("values.f64"), values, f64::to_le_bytes)?;
        bench.ask("load")?;
    }
    Ok(())
}

/// Writes the values to a series of a new store. What counts is the write, from values in memory to its acknowledgement.
pub(crate) async fn write_new(
    folder: &Path,
    values: &[f64],
    seconds: &mut Seconds,
) -> Result<(Opened, SeriesId), Failure> {
    let opened = store::open_new(&PathBuf::from(folder)).await?;
    let series = opened.series("/plant/met_mast/T1/10_ms", DataType::Float64, STEP_TICKS).await?;
    let (start, period) = (Tick::new(FIRST_TICKS)?, SamplePeriod::from_ticks(STEP_TICKS)?);
    let samples = Samples::new(start, period, Values::F64(values.to_vec()))?;
    let write = Write::new().rows(series, samples);
    seconds.time_async("sheaf", opened.store.write(write)).await?;
    Ok((opened, series))
}
