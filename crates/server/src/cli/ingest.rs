//! `sheaf ingest`: tables into the store.

use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use sheaf_engine::{Found, Ingested, IngestedSeries};
use sheaf_model::Tick;
use sheaf_sources::{Input, TableFormat, open_table};
use sheaf_store::{Layout, Watch};

use super::Outcome;
use super::data::{self, Data, DataArgs, Unit};
use crate::ingesting::{IngestArgs, describe};

/// Write tables (CSV, JSON lines, Parquet, Arrow) into the store, each in one commit
#[derive(clap::Args)]
#[command(after_help = "Examples:
  sheaf ingest mast.csv --catalog /plant/mast
  sheaf ingest 2020.csv.gz 2021.csv.gz --catalog /plant/mast --time-zone Europe/Berlin
  sheaf ingest exports/ --catalog /plant/mast
  gunzip -c mast.csv.gz | sheaf ingest - --catalog /plant/mast

Delimiter, header, time format, period, type and units are recognized. A file with a wrong line is refused as a whole, and
nothing of it is written; --on-error skip leaves such lines out and counts them. What was there before is replaced
where the file has a value.

Files of any size need the same memory. Of a large one the first rows decide about period and phase, and later rows that
contradict them are refused.

Of a folder, all files below it are taken whose names end in .csv, .tsv, .jsonl, .ndjson, .parquet, .pq, .arrows or .arrow,
maybe with .gz or .zst after it, in the order of their names; hidden ones are left out. Each file is a commit of its own: if
one is refused, or Ctrl-C ends the program, those before it stay in the store, and the message says which ones are in it.")]
pub(crate) struct Args {
    /// Files, plain or compressed with gzip or zstd, or folders of them; - is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    ingest: IngestArgs,
    #[command(flatten)]
    data: DataArgs,
    /// Print one JSON object for each file
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, out: &mut impl Write) -> Outcome {
    data::run(Unit::Bytes, async |watch| {
        let inputs = inputs(&args.files)?;
        let data = args.data.create().await?;
        let mut done: Vec<(String, i64)> = Vec::new();
        for at in 0..inputs.len() {
            match take(args, &data, &inputs[at], &watch).await {
                Ok(ingested) => {
                    done.push((ingested.input.clone(), ingested.commit));
                    if args.json {
                        writeln!(out, "{}", describe(&ingested))?;
                    } else {
                        print(&ingested, out)?;
                    }
                }
                Err(error) if inputs.len() == 1 => return Err(error),
                Err(source) => {
                    // What was done is printed before what was not.
                    out.flush()?;
                    let left = inputs[at + 1..].iter().map(|path| path.display().to_string()).collect();
                    return Err(Box::new(Interrupted { source, done, left }));
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Some of several files are in the store, others are not.
#[derive(Debug)]
struct Interrupted {
    source: Box<dyn Error>,
    done: Vec<(String, i64)>,
    left: Vec<String>,
}

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let most = |names: Vec<String>| match names.len() {
            0 => "none".to_owned(),
            1..=5 => names.join(", "),
            len => format!("{}, … {} ({len} files)", names[..3].join(", "), names[len - 1]),
        };
        let done = self.done.iter().map(|(input, commit)| format!("{input} (commit {commit})")).collect();
        write!(
            f,
            "stopped; files in the store: {}; not read: {}; the one between them is not in it",
            most(done),
            most(self.left.clone())
        )
    }
}

impl Error for Interrupted {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}

/// Reads a file and writes it.
async fn take(args: &Args, data: &Data, path: &Path, watch: &Watch) -> Result<Ingested, Box<dyn Error>> {
    let input = if path.as_os_str() == "-" { Input::stdin() } else { Input::file(path) };
    Ok(args.ingest.order().take(data, input, Box::new(open_table), watch).await?)
}

/// Names of tables end like this.
fn endings() -> impl Iterator<Item = &'static str> {
    TableFormat::ALL.into_iter().flat_map(TableFormat::extensions).copied()
}

/// The files that were named, and those in the folders that were.
fn inputs(named: &[PathBuf]) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut inputs = Vec::new();
    for path in named {
        if !path.is_dir() {
            inputs.push(path.clone());
            continue;
        }
        let before = inputs.len();
        add_folder(path, &mut inputs)?;
        if inputs.len() == before {
            let endings: Vec<String> = endings().map(|ending| format!(".{ending}")).collect();
            let endings = endings.join(" or ");
            return Err(format!("no file below {} has a name that ends in {endings}", path.display()).into());
        }
    }
    Ok(inputs)
}

fn add_folder(folder: &Path, inputs: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    let failed = |error| format!("can't list {}: {error}", folder.display());
    let entries = std::fs::read_dir(folder).map_err(failed)?;
    let mut paths =
        entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>().map_err(failed)?;
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        if name.starts_with('.') {
            continue;
        }
        if path.is_dir() && !path.is_symlink() {
            add_folder(&path, inputs)?;
        } else if is_table(&name) && path.is_file() {
            inputs.push(path);
        }
    }
    Ok(())
}

fn is_table(name: &str) -> bool {
    let name = name.strip_suffix(".gz").or(name.strip_suffix(".zst")).unwrap_or(name);
    name.rsplit_once('.').is_some_and(|(_, ending)| endings().any(|known| known == ending))
}

/// Series that are printed one by one; of more, the others are in the JSON.
const MOST_PRINTED: usize = 50;

fn print(ingested: &Ingested, out: &mut impl Write) -> std::io::Result<()> {
    let summary = &ingested.summary;
    writeln!(
        out,
        "{}: {} rows in commit {} ({})",
        ingested.input,
        data::count(summary.rows),
        ingested.commit,
        summary.detected
    )?;
    for series in ingested.series.iter().take(MOST_PRINTED) {
        let unit = series.unit.as_deref().map_or(String::new(), |unit| format!(" {unit}"));
        let ends = match series.first_last {
            Some((first, last)) => format!(", {first} to {last}"),
            None => String::new(),
        };
        writeln!(
            out,
            "  {} {}{unit}: {} values{ends}{}",
            series.key,
            series.data_type,
            data::count(series.valid),
            notes(series)
        )?;
    }
    if let Some(more) = ingested.series.len().checked_sub(MOST_PRINTED).filter(|&more| more > 0) {
        writeln!(out, "  and {} more series, all in the output of --json", data::count(more as u64))?;
    }
    if summary.folds > 0 {
        writeln!(
            out,
            "  {} times that occur twice, because clocks were set back, were told apart by the order of rows",
            data::count(summary.folds)
        )?;
    }
    if summary.skipped > 0 {
        writeln!(out, "  skipped {} rows that can't be read, the first ones:", data::count(summary.skipped))?;
        for error in &summary.errors {
            writeln!(out, "    {error}")?;
        }
    }
    Ok(())
}

/// What is worth a look: ` · 3 without a value · 2 gaps with 17 slots, the first at …`.
fn notes(series: &IngestedSeries) -> String {
    let mut notes = Vec::new();
    let seconds = |ticks: i64| ticks as f64 / Tick::PER_SECOND as f64;
    let mut found = |found: Found, what: String| {
        if let Some(first) = found.first {
            notes.push(format!("{} {what} (first: {first})", data::count(found.rows)));
        }
    };
    found(series.out_of_order, "out of order".to_owned());
    found(series.duplicates, "for the slot of another row".to_owned());
    let most = seconds(series.most_jitter_ticks);
    found(series.jittered, format!("moved to their slots by {most} s at most"));
    if series.promoted {
        notes.insert(0, "was INT64, all of it is FLOAT64 now".to_owned());
    }
    if series.missing > 0 {
        notes.push(format!("{} without a value", data::count(series.missing)));
    }
    if let Layout::Regular { phase_ticks: phase_ticks @ 1.., .. } = series.layout {
        notes.push(format!("phase {} s", seconds(phase_ticks)));
    }
    if let Some(first) = series.first_gap {
        let (gaps, slots) = (data::count(series.gaps), data::count(series.empty_slots));
        notes.push(format!("{gaps} gaps with {slots} slots, the first at {first}"));
    }
    notes.into_iter().map(|note| format!(" · {note}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_its_tables_in_name_order_without_hidden_ones() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.csv", "a/2.CSV.gz", "a/1.tsv.zst", ".hidden/x.csv", ".y.csv", "notes.txt", "csv"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let found = inputs(&[folder.path().to_owned()]).unwrap();
        let found: Vec<_> = found.iter().map(|path| path.strip_prefix(folder.path()).unwrap()).collect();
        assert_eq!(found, ["a/1.tsv.zst", "a/2.CSV.gz", "b.csv"].map(Path::new));
        let empty = tempfile::tempdir().unwrap();
        let error = inputs(&[empty.path().to_owned()]).unwrap_err().to_string();
        assert!(error.contains("ends in .csv or .tsv or .parquet"), "{error}");
    }
}
