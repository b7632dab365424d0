//! A large table of text into the store, against DuckDB that makes a Parquet file of it.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde_json::{Value, json};
use sheaf_bench::data::{self, Channel};
use sheaf_bench::seconds::Seconds;
use sheaf_bench::store::{self, Failure};

use crate::own::Own;
use crate::{Bench, Peaks, say};

const COLUMNS: usize = 4;

/// Each column has the samples of the one before, begun so many later.
const SHIFT: usize = 1_009;

pub(crate) async fn run(bench: &mut Bench) -> Result<Value, Failure> {
    let rows = bench.scale.rows;
    let thousandths = Channel::new(rows).thousandths;
    let folder = bench.folder.join("ingest");
    fs::create_dir_all(&folder)?;
    let csv = folder.join("wide.csv");
    let note = folder.join("complete.txt");
    let wanted = format!("{rows} rows of {COLUMNS} columns, shifted by {SHIFT}\n");
    if !fs::read_to_string(&note).is_ok_and(|found| found == wanted) {
        say(&format!("writing a table of {}", wanted.trim_end()));
        write_csv(&csv, &thousandths)?;
        write_raw(&folder, &thousandths)?;
        fs::write(&note, wanted)?;
    }
    let Some(others) = &bench.others else { return Ok(Value::Null) };
    let program = others.program.clone();
    let store = folder.join("store");
    let (csv, store_arg) = (csv.to_string_lossy(), store.to_string_lossy());
    let args = ["ingest", &csv, "--catalog", "/bench/wide", "--data-dir", &store_arg];
    let (mut seconds, mut peaks) = (Seconds::default(), Peaks::default());
    let rounds = bench.scale.rounds.min(3);
    let (mut bytes, mut peer_bytes) = (0, Value::Null);
    for round in 0..=rounds {
        say(&format!("round {round} of {rounds}"));
        if round == 1 {
            seconds = Seconds::default();
        }
        if store.exists() {
            fs::remove_dir_all(&store)?;
        }
        bench.measured("sheaf", &program, &args, &mut seconds, &mut peaks)?;
        bytes = store::segment_files(&store)?.0;
        let others = bench.others.as_mut().ok_or("there are no peers")?;
        let Some((_, duckdb)) = others.peers.iter_mut().find(|(name, _)| *name == "duckdb") else {
            return Err("DuckDB is not among the peers".into());
        };
        seconds.add("duckdb", duckdb.seconds("ingest")?);
        if round == 0 {
            verify(&store, &thousandths).await?;
            if duckdb.ask("verify_ingest")? != "true" {
                return Err("DuckDB's Parquet has other values than the table".into());
            }
            peer_bytes = serde_json::from_str(&duckdb.ask("ingest_bytes")?)?;
        }
        let folder = bench.folder.to_string_lossy();
        let args = ["peers/engine.py", &folder, "duckdb", "ingest"];
        let Some(others) = &bench.others else { return Ok(Value::Null) };
        bench.measured("duckdb_process", &others.python, &args, &mut seconds, &mut peaks)?;
    }
    Ok(json!({
        "samples": rows * COLUMNS,
        "rows": rows,
        "csv_bytes": fs::metadata(csv.as_ref())?.len(),
        "bytes": bytes,
        "peer_bytes": peer_bytes,
        "seconds": Value::from(seconds),
        "peaks": peaks.0,
    }))
}

fn column(thousandths: &[i16], column: usize) -> impl Iterator<Item = f64> {
    let (before, after) = thousandths.split_at(column * SHIFT % thousandths.len());
    after.iter().chain(before).map(|&value| f64::from(value) / 1e3)
}

/// Times to the millisecond and three decimals, as loggers write them.
fn write_csv(path: &Path, thousandths: &[i16]) -> io::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    file.write_all(b"time")?;
    (0..COLUMNS).try_for_each(|column| write!(file, ",channel_{column}"))?;
    let len = thousandths.len();
    for row in 0..len {
        let ms = row * 10;
        // The table is shorter than January.
        let (day, hour, minute) = (1 + ms / 86_400_000, ms / 3_600_000 % 24, ms / 60_000 % 60);
        let second = ms / 1_000 % 60;
        write!(file, "\n2020-01-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", ms % 1_000)?;
        for column in 0..COLUMNS {
            let value = thousandths[(row + column * SHIFT) % len];
            write!(file, ",{}.{:03}", value / 1_000, value % 1_000)?;
        }
    }
    file.write_all(b"\n")?;
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

/// The same for those who compare.
fn write_raw(folder: &Path, thousandths: &[i16]) -> io::Result<()> {
    let values: Vec<f64> = (0..COLUMNS).flat_map(|at| column(thousandths, at)).collect();
    data::write_raw(&folder.join("values.raw"), &values, f64::to_le_bytes)
}

/// That the store has what the table has, bit for bit.
async fn verify(folder: &Path, thousandths: &[i16]) -> Result<(), Failure> {
    let own = Own::open(folder).await?;
    for at in 0..COLUMNS {
        let found = own.read(&[format!("/bench/wide/channel_{at}/10_ms")], false).await?;
        if !found.into_iter().map(f64::to_bits).eq(column(thousandths, at).map(f64::to_bits)) {
            return Err(format!("channel_{at} in the store has other values than the table").into());
        }
    }
    own.opened.close().await;
    Ok(())
}
