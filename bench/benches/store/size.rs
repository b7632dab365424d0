//! How many bytes samples of all shapes take.

use serde_json::{Value, json};
use sheaf_bench::data::write_raw;
use sheaf_bench::shapes::{Shape, shapes};
use sheaf_bench::store::{self, Expected, FIRST_TICKS, Failure, STEP_TICKS};
use sheaf_model::{SamplePeriod, Samples, Tick, Values};
use sheaf_store::{Rows, Write};

use crate::{Bench, say};

pub(crate) async fn run(bench: &mut Bench) -> Result<Value, Failure> {
    let mut found = Vec::new();
    for (number, shape) in shapes(bench.scale.shape_values).enumerate() {
        say(shape.name);
        let bytes = write(bench, &shape).await?;
        let peers = match &bench.peer {
            Some(_) => ask(bench, number, &shape)?,
            None => Value::Null,
        };
        found.push(json!({
            "shape": shape.name,
            "samples": shape.values.len(),
            "sparse": shape.slots.is_some(),
            "bytes": bytes,
            "peers": peers,
        }));
    }
    Ok(json!({ "shapes": found }))
}

/// Bytes of the segment with the samples; they are verified.
async fn write(bench: &Bench, shape: &Shape) -> Result<u64, Failure> {
    let folder = bench.folder.join("size");
    let opened = store::open_new(&folder).await?;
    let series = opened.series("/plant/met_mast/T1/10_ms", shape.values.data_type(), STEP_TICKS).await?;
    let rows: Rows = match &shape.slots {
        Some(slots) => {
            let starts: Result<Vec<Tick>, _> =
                slots.iter().map(|slot| Tick::new(FIRST_TICKS + slot * STEP_TICKS)).collect();
            Rows::listed(starts?, shape.values.clone())?
        }
        None => {
            let period = SamplePeriod::from_ticks(STEP_TICKS)?;
            Samples::new(Tick::new(FIRST_TICKS)?, period, shape.values.clone())?.into()
        }
    };
    opened.store.write(Write::new().rows(series, rows)).await?;
    let expected = Expected { step_ticks: STEP_TICKS, slots: shape.slots.as_deref(), values: &shape.values };
    store::verify(&opened.store, series, expected).await?;
    opened.close().await;
    let (bytes, _) = store::segment_files(&folder)?;
    std::fs::remove_dir_all(&folder)?;
    Ok(bytes)
}

/// Bytes of the same samples in everything that the peer writes.
fn ask(bench: &mut Bench, number: usize, shape: &Shape) -> Result<Value, Failure> {
    let name = format!("shape{number}");
    let path = bench.folder.join(format!("{name}.values"));
    let dtype = match &shape.values {
        Values::I16(values) => write_raw(&path, values, i16::to_le_bytes).map(|()| "<i2"),
        Values::I64(values) => write_raw(&path, values, i64::to_le_bytes).map(|()| "<i8"),
        Values::F32(values) => write_raw(&path, values, f32::to_le_bytes).map(|()| "<f4"),
        Values::F64(values) => write_raw(&path, values, f64::to_le_bytes).map(|()| "<f8"),
        other => return Err(format!("no shape has {} so far", other.data_type()).into()),
    }?;
    let slots_path = bench.folder.join(format!("{name}.slots"));
    let slots = match &shape.slots {
        Some(slots) => write_raw(&slots_path, slots, i64::to_le_bytes).map(|()| "sparse")?,
        None => "dense",
    };
    let answer = bench.ask(&format!("sizes {name} {dtype} {slots}"))?;
    std::fs::remove_file(path)?;
    if shape.slots.is_some() {
        std::fs::remove_file(slots_path)?;
    }
    Ok(answer.unwrap_or_default())
}
