//! `sheaf load`: projects, traces, readings and weather from files.

use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;
use sheaf_db::datastore::OnError;
use sheaf_model::{EnergyUnit, Interpretation};
use sheaf_sources::{ColumnRef, Input, OeemFolder, TemperatureUnit, WeatherFormat, WeatherOptions};
use sheaf_store::{StoreError, Watch};

use super::Outcome;
use super::data::{self, Data, DataArgs, Unit};
use crate::loading::traces::{TraceFormat, TraceLoad, TraceOptions};
use crate::loading::weather::{LoadedWeather, weather};
use crate::loading::{LoadError, Loaded, tables};

/// Load projects, traces with their readings, and weather
#[derive(clap::Args)]
#[command(after_help = "Examples:
  sheaf load folder oeem-format
  sheaf load traces 2016.csv.gz --unit KWH --interpretation E_C_S
  sheaf load weather 722880-23152-2016.gz --station 722880

Rows that are there already, as they are, are left alone, so a file can be loaded again at any time. A wrong row is named with
its file, line and column, and what would be right. With --on-error refuse nothing of a small table is written then; of
readings, of which files can be larger than memory, what came before stays.")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    Folder(FolderArgs),
    /// Load projects: project_id, zipcode and periods
    Projects(TableArgs),
    Traces(TracesArgs),
    /// Load which traces belong to which projects
    Mappings(TableArgs),
    /// Load what else is known of projects, for filters of groups
    Metadata(TableArgs),
    /// Load traces that are not to be used
    Blacklist(TableArgs),
    GreenButton(GreenButtonArgs),
    Weather(WeatherArgs),
}

/// Where files go, and what happens with wrong rows.
#[derive(clap::Args)]
struct Common {
    /// What happens if rows are wrong
    #[arg(long, value_name = "refuse|skip", default_value = "refuse", value_parser = on_error)]
    on_error: OnError,
    /// Print one JSON object for each file
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    data: DataArgs,
}

/// Load a folder as the loaders of the OpenEEmeter datastore write it
#[derive(clap::Args)]
#[command(after_help = "Examples:
  sheaf load folder oeem-format
  sheaf load folder /data/utility --on-error skip --json

The folder, or one `oeem-format` in it, has projects/*.csv, traces/*.csv, project-trace-mappings/*.csv, project-metadata.csv and
trace-blacklist.csv, each of them if it is there, plain or with .gz or .zst after it. They are loaded in this order.")]
struct FolderArgs {
    /// The folder
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    #[command(flatten)]
    traces: OfTraces,
    #[command(flatten)]
    common: Common,
}

/// Load projects, mappings of traces to them, metadata, or traces to leave out
#[derive(clap::Args)]
#[command(after_help = "Examples:
  sheaf load projects projects.csv     # project_id,zipcode,baseline_period_end,reporting_period_start
  sheaf load mappings mapping.csv      # project_id,trace_id
  sheaf load metadata metadata.csv     # project_id,key,value, or a column for each key
  sheaf load blacklist blacklist.csv   # trace_id,reason

Titles stand in the first line, in any order. Each file is taken as a whole or not at all.")]
struct TableArgs {
    /// Files, plain or compressed with gzip or zstd; - is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    common: Common,
}

/// What files do not say of traces.
#[derive(clap::Args)]
struct OfTraces {
    /// What values are in where no column says so: KWH, WH or THERM
    #[arg(long, value_parser = unit)]
    unit: Option<(EnergyUnit, f64)>,
    /// What traces mean where no column says so, like E_C_S or NATURAL_GAS_CONSUMPTION_SUPPLIED
    #[arg(long)]
    interpretation: Option<Interpretation>,
    /// Zone of times without an offset, like America/Chicago or -06:00 [default: UTC]
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
}

impl OfTraces {
    fn options(&self) -> TraceOptions {
        TraceOptions {
            unit: self.unit,
            interpretation: self.interpretation,
            time_zone: self.time_zone.clone(),
            trace_id: None,
        }
    }
}

/// Load readings of traces
#[derive(clap::Args)]
#[command(after_help = "Examples:
  sheaf load traces traces.csv         # trace_id,start,interpretation,value,estimated,unit
  sheaf load traces 2015.csv.zst 2016.csv.zst --unit KWH --interpretation E_C_S
  sheaf load traces houses.csv --wide --unit Wh --interpretation E_C_S --time-zone America/Chicago

A long table has a reading in each row. A wide one has a column of times and a column for each trace, named by its title. A reading
lasts until the next one of its trace; the last one ends the one before. Values in Wh become kWh. Traces that are new are made.")]
struct TracesArgs {
    /// Files, plain or compressed with gzip or zstd; - is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// A column for each trace
    #[arg(long)]
    wide: bool,
    #[command(flatten)]
    traces: OfTraces,
    #[command(flatten)]
    common: Common,
}

/// Load Green Button files (ESPI XML)
#[derive(clap::Args)]
#[command(after_help = "Examples:
  sheaf load green-button house.xml --trace-id house-7
  sheaf load green-button utility/*.xml --interpretation E_C_S")]
struct GreenButtonArgs {
    /// Files, plain or compressed with gzip or zstd; - is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The trace of a file with one meter [default: what the file calls each meter]
    #[arg(long, value_name = "ID")]
    trace_id: Option<String>,
    /// What the meters measure [default: what the file says]
    #[arg(long)]
    interpretation: Option<Interpretation>,
    #[command(flatten)]
    common: Common,
}

/// Load temperatures of a weather station
#[derive(clap::Args)]
#[command(after_help = "Examples:
  sheaf load weather 722880-23152-2015.gz 722880-23152-2016.gz --station 722880
  sheaf load weather 722880TYA.CSV --station 722880
  sheaf load weather porch.csv --station porch --unit F

ISD, GHCN hourly, TMY3 and EPW files are recognized; any other file is a table with times and temperatures. Reports become means
of hours. TMY3 and EPW files are the normal year of the station, the others what it has observed.")]
struct WeatherArgs {
    /// Files, plain or compressed with gzip or zstd; - is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The station: its USAF or WBAN id, or a name of your own
    #[arg(long, value_name = "ID")]
    station: String,
    /// How the files are written: isd, ghcnh, tmy3, epw or table [default: recognized]
    #[arg(long)]
    format: Option<WeatherFormat>,
    /// What temperatures of a table are in: C or F [default: what the title of the column says]
    #[arg(long, value_parser = temperature_unit)]
    unit: Option<TemperatureUnit>,
    /// The column of temperatures in a table [default: recognized]
    #[arg(long, value_name = "COLUMN")]
    column: Option<String>,
    /// Zone of times without an offset in a table [default: UTC]
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// Print one JSON object for each file
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    data: DataArgs,
}

fn on_error(text: &str) -> Result<OnError, String> {
    match text {
        "refuse" => Ok(OnError::Refuse),
        "skip" => Ok(OnError::Skip),
        _ => Err("it is refuse or skip".to_owned()),
    }
}

fn unit(text: &str) -> Result<(EnergyUnit, f64), String> {
    EnergyUnit::parse(text).ok_or_else(|| "it is KWH, WH or THERM".to_owned())
}

fn temperature_unit(text: &str) -> Result<TemperatureUnit, String> {
    match text {
        "C" | "°C" => Ok(TemperatureUnit::Celsius),
        "F" | "°F" => Ok(TemperatureUnit::Fahrenheit),
        _ => Err("it is C or F".to_owned()),
    }
}

/// What is in a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Projects,
    Traces,
    Mappings,
    Metadata,
    Blacklist,
}

pub(crate) fn run(args: &Args, out: &mut impl Write) -> Outcome {
    let of_kind = |kind: Kind, files: &[PathBuf]| -> Vec<(Kind, PathBuf)> {
        files.iter().map(|file| (kind, file.clone())).collect()
    };
    match &args.what {
        What::Folder(args) => {
            let folder = OeemFolder::find(&args.folder)?;
            let mut files = of_kind(Kind::Projects, &folder.projects);
            files.extend(of_kind(Kind::Traces, &folder.traces));
            files.extend(of_kind(Kind::Mappings, &folder.mappings));
            files.extend(folder.metadata.map(|file| (Kind::Metadata, file)));
            files.extend(folder.blacklist.map(|file| (Kind::Blacklist, file)));
            load(&files, &args.traces.options(), &TraceFormat::Long, &args.common, out)
        }
        What::Projects(args) => load_tables(of_kind(Kind::Projects, &args.files), args, out),
        What::Mappings(args) => load_tables(of_kind(Kind::Mappings, &args.files), args, out),
        What::Metadata(args) => load_tables(of_kind(Kind::Metadata, &args.files), args, out),
        What::Blacklist(args) => load_tables(of_kind(Kind::Blacklist, &args.files), args, out),
        What::Traces(args) => {
            let format = if args.wide { TraceFormat::Wide } else { TraceFormat::Long };
            load(&of_kind(Kind::Traces, &args.files), &args.traces.options(), &format, &args.common, out)
        }
        What::GreenButton(args) => {
            let options = TraceOptions {
                interpretation: args.interpretation,
                trace_id: args.trace_id.clone(),
                ..TraceOptions::default()
            };
            let files = of_kind(Kind::Traces, &args.files);
            load(&files, &options, &TraceFormat::GreenButton, &args.common, out)
        }
        What::Weather(args) => load_weather(args, out),
    }
}

fn load_tables(files: Vec<(Kind, PathBuf)>, args: &TableArgs, out: &mut impl Write) -> Outcome {
    load(&files, &TraceOptions::default(), &TraceFormat::Long, &args.common, out)
}

fn input(path: &Path) -> Input {
    if path.as_os_str() == "-" { Input::stdin() } else { Input::file(path) }
}

/// Loads files one after the other; each is told of when it is done.
fn load(
    files: &[(Kind, PathBuf)],
    options: &TraceOptions,
    format: &TraceFormat,
    common: &Common,
    out: &mut impl Write,
) -> Outcome {
    data::run(Unit::Bytes, async |watch| {
        let data = common.data.create().await?;
        for (done, (kind, path)) in files.iter().enumerate() {
            let loaded = load_one(&data, *kind, path, options, format, common, &watch).await;
            let loaded = match loaded {
                Ok(loaded) => loaded,
                Err(error) => {
                    if let (LoadError::Refused(loaded), true) = (&error, common.json) {
                        writeln!(out, "{}", serde_json::to_string(loaded)?)?;
                    }
                    out.flush()?;
                    return Err(stopped(error, done, &files[done + 1..]));
                }
            };
            if common.json {
                writeln!(out, "{}", serde_json::to_string(&loaded)?)?;
            } else {
                print(&loaded, out)?;
            }
            out.flush()?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn stopped(error: LoadError, done: usize, left: &[(Kind, PathBuf)]) -> Box<dyn Error> {
    if done == 0 && left.is_empty() || matches!(error, LoadError::Store(StoreError::Cancelled)) {
        return error.into();
    }
    format!(
        "{}; {done} files before it are loaded, {} after it are not",
        sheaf_store::in_full(&error),
        left.len()
    )
    .into()
}

async fn load_one(
    data: &Data,
    kind: Kind,
    path: &Path,
    options: &TraceOptions,
    format: &TraceFormat,
    common: &Common,
    watch: &Watch,
) -> Result<Loaded, LoadError> {
    let (input, on_error) = (input(path), common.on_error);
    match kind {
        Kind::Projects => tables::projects(data, input, on_error).await,
        Kind::Mappings => tables::mappings(data, input, on_error).await,
        Kind::Metadata => tables::metadata(data, input, on_error).await,
        Kind::Blacklist => tables::blacklist(data, input, on_error).await,
        Kind::Traces => {
            let (options, watch) = (options.clone(), watch.clone());
            TraceLoad { data, options, on_error, watch, turn: None }.load(input, format.clone()).await
        }
    }
}

/// Wrong rows that are printed one by one; more are in the JSON.
const MOST_PRINTED: usize = 20;

fn print(loaded: &Loaded, out: &mut impl Write) -> std::io::Result<()> {
    let of_traces =
        loaded.traces.map_or(String::new(), |traces| format!(" of {} traces", data::count(traces)));
    writeln!(
        out,
        "{}: {}{of_traces}: {} new, {} changed, {} there already",
        loaded.input,
        loaded.what,
        data::count(loaded.created),
        data::count(loaded.updated),
        data::count(loaded.unchanged)
    )?;
    if loaded.wrong.refused > 0 {
        writeln!(out, "  {} rows were left out, the first ones:", data::count(loaded.wrong.refused))?;
        for row in loaded.wrong.rows.iter().take(MOST_PRINTED) {
            writeln!(out, "    {}", row.problem)?;
        }
    }
    Ok(())
}

fn load_weather(args: &WeatherArgs, out: &mut impl Write) -> Outcome {
    data::run(Unit::Count, async |watch| {
        let data = args.data.create().await?;
        for (done, path) in args.files.iter().enumerate() {
            watch.step("weather files", done as u64, args.files.len() as u64)?;
            let mut options =
                WeatherOptions { format: args.format, unit: args.unit, ..WeatherOptions::default() };
            options.csv.time_zone = args.time_zone.clone();
            options.temperature_column = args.column.as_deref().map(ColumnRef::from);
            let loaded = weather(&data, input(path), &args.station, options).await?;
            if args.json {
                writeln!(out, "{}", json!(loaded))?;
            } else {
                print_weather(&loaded, out)?;
            }
            out.flush()?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn print_weather(loaded: &LoadedWeather, out: &mut impl Write) -> std::io::Result<()> {
    let commit = match loaded.commit {
        Some(commit) => format!("commit {commit}"),
        None => "all of them were there".to_owned(),
    };
    writeln!(
        out,
        "{}: {} hours ({}) in {}, {commit}; {} rows without a temperature, {} held for wrong by the service",
        loaded.input,
        data::count(loaded.hours as u64),
        loaded.format,
        loaded.series,
        data::count(loaded.missing),
        data::count(loaded.rejected)
    )
}
