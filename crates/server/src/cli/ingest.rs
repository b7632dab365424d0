//! `sheaf ingest`: tables into the store.

use std::collections::HashMap;
use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use sheaf_db::ResourceMetadata;
use sheaf_engine::{Found, IngestOptions, Ingested, IngestedSeries, Reopen, ingest};
use sheaf_model::{CatalogId, DataType, Properties, SamplePeriod, Tick, UnknownDataType};
use sheaf_sources::{Input, SourceError, Table, TableFormat, TableOptions, open_table};
use sheaf_store::{Layout, Watch};

use super::Outcome;
use super::data::{self, Data, DataArgs, Unit};
use super::table_args::TableArgs;

/// Write tables (CSV, JSON lines, Parquet) into the store, each in one commit
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

Of a folder, all files below it are taken whose names end in .csv, .tsv, .jsonl, .ndjson, .parquet or .pq, maybe with .gz or .zst after it, in
the order of their names; hidden ones are left out. Each file is a commit of its own: if one is refused, or Ctrl-C ends the program,
those before it stay in the store, and the message says which ones are in it.")]
pub(crate) struct Args {
    /// Files, plain or compressed with gzip or zstd, or folders of them; - is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Catalog of the resources [default: what an export of Nexus says]
    #[arg(long, value_name = "PATH")]
    catalog: Option<CatalogId>,
    /// Type of all values, like FLOAT32; a value that does not fit exactly is refused [default: that of the series in the
    /// store, or INT64 or FLOAT64]
    #[arg(long = "type", value_name = "TYPE", value_parser = data_type)]
    data_type: Option<DataType>,
    /// Sample period of all columns, like 10_min [default: found out]
    #[arg(long)]
    period: Option<SamplePeriod>,
    /// Rows have no period: bills, events
    #[arg(long, conflicts_with_all = ["period", "align"])]
    irregular: bool,
    /// Move rows to the nearest slots; of two in a slot the later one counts
    #[arg(long)]
    align: bool,
    #[command(flatten)]
    table: TableArgs,
    #[command(flatten)]
    data: DataArgs,
    /// Print one JSON object for each file
    #[arg(long)]
    json: bool,
}

fn data_type(text: &str) -> Result<DataType, UnknownDataType> {
    text.to_ascii_uppercase().parse()
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

/// How often somebody looks whether it was cancelled while nothing can be read.
const PATIENCE: Duration = Duration::from_millis(50);

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
    let options = args.table.options(args.period);
    let again = input.again().map(|input| {
        let options = options.clone();
        Box::new(move || {
            let once = || std::io::Error::other("it can be read only once");
            let failed = || SourceError::Open { input: input.name().to_owned(), source: once() };
            open_table(input.again().ok_or_else(failed)?, &options)
        }) as Reopen
    });
    let table = opened(input, options, watch).await?;
    let catalog = args.catalog.clone().or_else(|| table.metadata().catalog.clone());
    let units = match &catalog {
        Some(catalog) if data.source(catalog).await?.is_some() => {
            return Err(format!(
                "`{catalog}` is read in place: write into another catalog, or into the files of it"
            )
            .into());
        }
        Some(catalog) => data.units(catalog).await?,
        None => HashMap::new(),
    };
    let options = IngestOptions {
        catalog,
        period: args.period,
        irregular: args.irregular,
        align: args.align,
        data_type: args.data_type,
        units: Arc::new(units),
        ..IngestOptions::default()
    };
    let ingested = ingest(&data.store, table, again, &options, watch).await?;
    let known = ingested.series.iter().filter_map(|series| {
        let mut properties = Properties::default();
        properties.insert("unit", series.unit.clone()?);
        let (catalog, resource) = (series.catalog.clone(), series.resource.clone());
        Some(ResourceMetadata { catalog, resource, properties })
    });
    data.database.metadata().patch(Vec::new(), known.collect()).await?;
    Ok(ingested)
}

/// Opens a table. It may wait for its first rows for ever, so that is a thread which the program does not wait for.
async fn opened(
    input: Input,
    options: TableOptions,
    watch: &Watch,
) -> Result<Box<dyn Table>, Box<dyn Error>> {
    let (sender, mut receiver) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        // Nobody waits for it any more: that is all right.
        let _unheard = sender.send(open_table(input, &options));
    });
    loop {
        match tokio::time::timeout(PATIENCE, &mut receiver).await {
            Ok(table) => return Ok(table.map_err(|_| "reading ended early")??),
            Err(_) => watch.step("waiting", 0, 0)?,
        }
    }
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

fn describe(ingested: &Ingested) -> serde_json::Value {
    let rows = |found: Found| json!({ "rows": found.rows, "first": found.first });
    let series = |series: &IngestedSeries| {
        let (period, phase_ticks) = match series.layout {
            Layout::Regular { period, phase_ticks } => (Some(period.to_string()), Some(phase_ticks)),
            Layout::Irregular => (None, None),
        };
        json!({
            "series": series.key,
            "catalog": series.catalog.as_str(),
            "resource": series.resource.as_str(),
            "title": series.title,
            "unit": series.unit,
            "dataType": series.data_type.name(),
            "promoted": series.promoted,
            "samplePeriod": period,
            "phaseTicks": phase_ticks,
            "first": series.first_last.map(|(first, _)| first.to_string()),
            "last": series.first_last.map(|(_, last)| last.to_string()),
            "valid": series.valid,
            "missing": series.missing,
            "gaps": series.gaps,
            "firstGap": series.first_gap.map(|start| start.to_string()),
            "emptySlots": series.empty_slots,
            "jittered": rows(series.jittered),
            "mostJitterTicks": series.most_jitter_ticks,
            "duplicates": rows(series.duplicates),
            "outOfOrder": rows(series.out_of_order),
        })
    };
    json!({
        "input": ingested.input,
        "commit": ingested.commit,
        "rows": ingested.summary.rows,
        "skipped": ingested.summary.skipped,
        "errors": ingested.summary.errors,
        "folds": ingested.summary.folds,
        "detected": ingested.summary.detected,
        "series": ingested.series.iter().map(series).collect::<Vec<_>>(),
    })
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
