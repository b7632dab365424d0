//! `sheaf ingest`: tables into the store.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;
use sheaf_engine::{IngestOptions, Ingested, IngestedSeries, ingest};
use sheaf_model::{CatalogId, SamplePeriod};
use sheaf_sources::{CsvOptions, CsvReader, Input, OnError, Spacing, TimeFormat};

use super::Outcome;
use super::data::{self, DataArgs};

/// Write tables of delimited text (CSV) into the store, each in one commit
#[derive(clap::Args)]
#[command(after_help = "Examples:
  sheaf ingest mast.csv --catalog /plant/mast
  sheaf ingest 2020.csv.gz 2021.csv.gz --catalog /plant/mast --time-zone Europe/Berlin
  gunzip -c mast.csv.gz | sheaf ingest - --catalog /plant/mast

Delimiter, header, time format, period and units are recognized. A file with a wrong line is refused as a whole, and
nothing of it is written; --on-error skip leaves such lines out and counts them. What was there before is replaced
where the file has a value.")]
pub(crate) struct Args {
    /// Files, plain or compressed with gzip or zstd; - is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Catalog of the resources [default: what an export of Nexus says]
    #[arg(long, value_name = "PATH")]
    catalog: Option<CatalogId>,
    /// Sample period of all columns, like 10_min [default: found out]
    #[arg(long)]
    period: Option<SamplePeriod>,
    /// Rows have no period: bills, events
    #[arg(long, conflicts_with_all = ["period", "align"])]
    irregular: bool,
    /// Move rows to the nearest slots; of two in a slot the later one counts
    #[arg(long)]
    align: bool,
    /// The character between fields
    #[arg(long, value_name = "CHARACTER")]
    delimiter: Option<char>,
    /// How times are written: auto, iso, unix-s, unix-ms, unix-us, unix-ns, excel, index, or a format like %d.%m.%Y %H:%M
    #[arg(long, value_name = "FORMAT")]
    time_format: Option<TimeFormat>,
    /// Zone of times without an offset, like Europe/Berlin or +01:00 [default: UTC]
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// What happens at a line that can't be read
    #[arg(long, value_name = "refuse|skip", default_value = "refuse", value_parser = on_error)]
    on_error: OnError,
    #[command(flatten)]
    data: DataArgs,
    /// Print one JSON object for each file
    #[arg(long)]
    json: bool,
}

fn on_error(text: &str) -> Result<OnError, String> {
    match text {
        "refuse" => Ok(OnError::Refuse),
        "skip" => Ok(OnError::Skip),
        _ => Err("it is `refuse` or `skip`".to_owned()),
    }
}

/// A file and what became of it.
struct Done {
    input: String,
    ingested: Ingested,
    rows: u64,
    skipped: u64,
    errors: Vec<String>,
    detected: String,
}

pub(crate) fn run(args: &Args, out: &mut impl Write) -> Outcome {
    data::run(async |watch| {
        let store = args.data.create().await?.store;
        for file in &args.files {
            let input = if file.as_os_str() == "-" { Input::stdin() } else { Input::file(file) };
            let options = CsvOptions {
                delimiter: args.delimiter,
                time_format: args.time_format.clone().unwrap_or_default(),
                time_zone: args.time_zone.clone(),
                period: args.period,
                on_error: args.on_error,
                ..CsvOptions::default()
            };
            let open = tokio::task::spawn_blocking(move || CsvReader::open(input, options));
            let reader = open.await??;
            let input = reader.name().to_owned();
            let catalog = args.catalog.clone().or_else(|| reader.metadata().catalog.clone());
            let catalog = catalog.ok_or("say where the resources go with --catalog, like /plant/mast")?;
            let options =
                IngestOptions { catalog, period: args.period, irregular: args.irregular, align: args.align };
            let (ingested, report) = ingest(&store, reader, options, &watch).await?;
            let done = Done {
                input,
                ingested,
                rows: report.rows,
                skipped: report.skipped,
                errors: report.errors.iter().map(ToString::to_string).collect(),
                detected: report.detected.to_string(),
            };
            if args.json { writeln!(out, "{}", describe(&done))? } else { print(&done, out)? }
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn describe(done: &Done) -> serde_json::Value {
    let series = |series: &IngestedSeries| {
        let (period, phase_ticks, gaps, empty, jittered) = match &series.spacing {
            Spacing::Regular(slots) => (
                Some(slots.period.to_string()),
                Some(slots.phase_ticks),
                slots.gaps.map_or(0, |(_, gaps)| gaps),
                slots.empty,
                slots.jittered,
            ),
            Spacing::Irregular => (None, None, 0, 0, 0),
        };
        json!({
            "series": series.key,
            "title": series.title,
            "unit": series.unit,
            "dataType": series.data_type.name(),
            "samplePeriod": period,
            "phaseTicks": phase_ticks,
            "first": series.first_last.map(|(first, _)| first.to_string()),
            "last": series.first_last.map(|(_, last)| last.to_string()),
            "valid": series.valid,
            "missing": series.missing,
            "gaps": gaps,
            "emptySlots": empty,
            "jittered": jittered,
            "outOfOrder": series.out_of_order,
        })
    };
    json!({
        "input": done.input,
        "commit": done.ingested.commit,
        "rows": done.rows,
        "skipped": done.skipped,
        "errors": done.errors,
        "detected": done.detected,
        "series": done.ingested.series.iter().map(series).collect::<Vec<_>>(),
    })
}

fn print(done: &Done, out: &mut impl Write) -> std::io::Result<()> {
    writeln!(
        out,
        "{}: {} rows in commit {} ({})",
        done.input,
        data::count(done.rows),
        done.ingested.commit,
        done.detected
    )?;
    for series in &done.ingested.series {
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
    if done.skipped > 0 {
        writeln!(out, "  skipped {} lines that can't be read, the first ones:", data::count(done.skipped))?;
        for error in &done.errors {
            writeln!(out, "    {error}")?;
        }
    }
    Ok(())
}

/// What is worth a look: ` · 3 missing · 2 gaps with 17 slots`.
fn notes(series: &IngestedSeries) -> String {
    let mut notes = Vec::new();
    if series.missing > 0 {
        notes.push(format!("{} without a value", data::count(series.missing)));
    }
    if series.out_of_order > 0 {
        notes.push(format!("{} out of order", data::count(series.out_of_order)));
    }
    if let Spacing::Regular(slots) = &series.spacing {
        if slots.phase_ticks > 0 {
            notes
                .push(format!("phase {} s", slots.phase_ticks as f64 / sheaf_model::Tick::PER_SECOND as f64));
        }
        if let Some((_, gaps)) = slots.gaps {
            notes.push(format!("{} gaps with {} slots", data::count(gaps), data::count(slots.empty)));
        }
        if slots.jittered > 0 {
            notes.push(format!("{} moved to their slots", data::count(slots.jittered)));
        }
    }
    notes.into_iter().map(|note| format!(" · {note}")).collect()
}
