//! All ten days again, on one thread, and the check of the whole store.

use std::hint::black_box;
use std::sync::Arc;

use serde_json::{Value, json};
use sheaf_bench::data::Channel;
use sheaf_bench::seconds::Seconds;
use sheaf_bench::store::{self, Expected, Failure, STEP_TICKS};
use sheaf_model::Values;
use sheaf_store::{CheckOptions, Settings, Watch};

use crate::Bench;
use crate::write::{hand_over, write_new};

pub(crate) async fn run(bench: &mut Bench) -> Result<Value, Failure> {
    let values = Channel::new(bench.scale.samples).values;
    hand_over(bench, &values)?;
    let folder = bench.folder.join("read");
    let (opened, series) = write_new(&folder, &values, &mut Seconds::default()).await?;
    bench.ask("write pyarrow")?;
    if bench.ask("verify_column")? == Some(Value::Bool(false)) {
        return Err("the peer does not read what it wrote".into());
    }
    let count = values.iter().filter(|value| !value.is_nan()).count();
    let values = Values::F64(values);
    let expected = Expected { step_ticks: STEP_TICKS, slots: None, values: &values };
    store::verify(&opened.store, series, expected).await?;
    let bytes = store::segment_files(&folder)?.0;

    let mut seconds = Seconds::default();
    for round in 0..=bench.scale.rounds {
        if round == 1 {
            seconds = Seconds::default();
        }
        let mut scan = opened.store.scan(series, None).await?;
        let rows = seconds.time("scan", || {
            scan.try_fold(0, |rows, chunk| Ok::<_, Failure>(rows + black_box(chunk?).len()))
        })?;
        if rows < count {
            return Err(format!("a scan has {rows} rows of {count}").into());
        }
        for (case, how) in [("pyarrow", "one"), ("pyarrow_threads", "threads")] {
            if let Some(taken) = bench.ask_seconds(&format!("read_column {how}"))? {
                seconds.add(case, taken);
            }
        }
        let report = seconds
            .time_async(
                "check",
                sheaf_store::check(
                    opened.disk.clone(),
                    Arc::new(opened.database.manifest()),
                    Settings::default(),
                    CheckOptions::default(),
                    &Watch::default(),
                ),
            )
            .await?;
        if report.damages() > 0 {
            return Err(format!("the check of an intact store found {:?}", report.findings).into());
        }
    }
    opened.close().await;
    std::fs::remove_dir_all(&folder)?;
    Ok(json!({ "samples": values.len(), "bytes": bytes, "seconds": Value::from(seconds) }))
}
