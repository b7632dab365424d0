//! `sheaf read`: values of resource paths, at any sample period.

mod table;

use std::error::Error;
use std::io::Write;
use std::ops::Deref;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, mpsc};

use clap::ValueEnum;
use serde_json::json;
use sheaf_engine::{Base, fold_period, statistic};
use sheaf_model::legality::check_one_period;
use sheaf_model::{ResourcePath, Threshold, Tick};
use sheaf_store::Watch;
use tokio::runtime::Handle;

use super::Outcome;
use super::data::{self, Data, DataArgs};
use super::output::Output;
use crate::reading::encode::{self, Plain, encoder};
use crate::reading::{Order, Request, Step, Steps};

/// Read series at any sample period
#[derive(clap::Args)]
#[command(after_help = "Examples:
  sheaf read '/plant/mast/T1/10_min_mean#base=1_s' --begin 2020-01-01 --end 2020-02-01
  sheaf read /plant/mast/T1/1_h_mean /plant/mast/T1/1_h_max /plant/mast/P/1_h_mean -o hours.parquet
  sheaf read /plant/mast/T1/10_ms --begin 2020-01-01 --end 2020-01-02 --format f64 > day.f64

A path is /catalog/resource/period[_kind][#base=period&threshold=0…1]; quote those with a fragment. Without a base the finest
samples are taken. All paths have the same period. `sheaf kinds` lists what can be computed, `sheaf catalogs` what there is.

A value is missing where fewer samples are valid than the threshold says: an empty field in CSV, null in JSON and Parquet,
NaN in f64. Infinite values are \"Infinity\" and \"-Infinity\" in JSON.")]
pub(crate) struct Args {
    /// What to read, one column each
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<ResourcePath>,
    /// Begin of the first value, like 2020-01-01 or 2020-01-01T12:00Z [default: where the samples begin]
    #[arg(long, value_name = "TIME")]
    begin: Option<Tick>,
    /// End of the last value; it is not included [default: where the samples end]
    #[arg(long, value_name = "TIME")]
    end: Option<Tick>,
    /// The share of valid samples that a value needs, from 0 to 1 [default: 0.99]
    #[arg(long, value_name = "SHARE", value_parser = threshold)]
    nan_threshold: Option<Threshold>,
    /// How the values are written [default: by the extension of the output, else table]
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    /// File to write to; it is there once it is whole
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Rows that a table shows, half of them from its begin and half from its end
    #[arg(long, value_name = "N", default_value_t = 20)]
    rows: usize,
    /// Print how the values would be computed, and compute nothing
    #[arg(long)]
    explain: bool,
    /// Compute all values from samples, and keep no states for the next time
    #[arg(long)]
    no_rollups: bool,
    #[command(flatten)]
    data: DataArgs,
    /// Print JSON: the same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

/// Steps of a plan that are shown to people.
const MOST_STEPS: usize = 50;

/// How values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people: begin and end of the rows, and how each column looks
    Table,
    /// Delimited text, one column for each path, times in ISO 8601
    Csv,
    /// One object, with an array of values for each path
    Json,
    /// One column for each path, real timestamps
    Parquet,
    /// Raw little-endian doubles, one path after the other
    F64,
}

fn threshold(text: &str) -> Result<Threshold, String> {
    let share = text.parse().ok().and_then(Threshold::new);
    share.ok_or_else(|| "it must be a number from 0 to 1, like 0.99".to_owned())
}

pub(crate) fn run(args: &Args, out: &mut (impl Write + Send)) -> Outcome {
    let format = args.format()?;
    data::run(data::Unit::Count, async |watch| {
        let data = args.data.open().await?;
        let (begin, end, threshold) = (args.begin, args.end, args.nan_threshold);
        let request = Reader::new(&data, &args.paths, begin, end, threshold, !args.no_rollups).await?;
        if args.explain {
            return request.explain(args.json, out);
        }
        let mut output =
            Output::new(args.output.as_deref(), out, format == Format::F64 || format == Format::Parquet)?;
        request.write(format, args.rows, &mut output, &watch)?;
        output.finish()?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Prints all values of paths: as a table with so many rows, or as JSON.
pub(crate) async fn show(
    data: &Data,
    paths: &[ResourcePath],
    json: bool,
    rows: usize,
    watch: &Watch,
    out: &mut (impl Write + Send),
) -> Result<(), Box<dyn Error>> {
    let format = if json { Format::Json } else { Format::Table };
    Reader::new(data, paths, None, None, None, true).await?.write(format, rows, out, watch)
}

impl Args {
    fn format(&self) -> Result<Format, Box<dyn Error>> {
        if self.json {
            return Ok(Format::Json);
        }
        if let Some(format) = self.format {
            return Ok(format);
        }
        let extension = self.output.as_ref().and_then(|file| file.extension()?.to_str());
        match (extension, &self.output) {
            (Some("csv"), _) => Ok(Format::Csv),
            (Some("json"), _) => Ok(Format::Json),
            (Some("parquet"), _) => Ok(Format::Parquet),
            (Some("f64" | "bin" | "raw"), _) => Ok(Format::F64),
            (Some("txt"), _) | (_, None) => Ok(Format::Table),
            (_, Some(file)) => Err(format!(
                "the name {} does not say how the values are to be written: say so with --format",
                file.display()
            )
            .into()),
        }
    }
}

/// Values of short series that are held at once where one path is written after the other: 8 MiB.
const MOST_TOGETHER: u64 = 1 << 20;

/// Values of a block, of all columns together: 32 MiB.
const BLOCK_VALUES: usize = 1 << 22;

/// So many values take long enough to write for another thread to read ahead.
const MANY_VALUES: u64 = 1 << 17;

/// A request whose values are written.
struct Reader(Arc<Request>);

impl Deref for Reader {
    type Target = Request;

    fn deref(&self) -> &Request {
        &self.0
    }
}

impl Reader {
    async fn new(
        data: &Data,
        paths: &[ResourcePath],
        begin: Option<Tick>,
        end: Option<Tick>,
        threshold: Option<Threshold>,
        with_rollups: bool,
    ) -> Result<Reader, Box<dyn Error>> {
        // Before anything is looked for.
        check_one_period(paths.iter().map(ResourcePath::period))?;
        let mut found = data.resolve(paths).await?;
        for found in found.iter_mut().filter(|_| !with_rollups) {
            match &mut found.resolved.base {
                Base::Stored { rollups, .. } => *rollups = None,
                Base::InPlace { rollups, .. } => *rollups = None,
            }
        }
        let request = Request::new(&data.store, found, begin, end, threshold).await?;
        Ok(Reader(Arc::new(request)))
    }

    fn write(
        &self,
        format: Format,
        rows: usize,
        output: &mut (impl Write + Send),
        watch: &Watch,
    ) -> Result<(), Box<dyn Error>> {
        let encoded = match format {
            Format::Table => {
                let mut table = table::Table::new(self, rows);
                self.read_ahead(Order::SideBySide, watch, |step| {
                    if let Step::Block(block) = step {
                        table.take(&block);
                    }
                    Ok(())
                })?;
                return Ok(table.print(output)?);
            }
            Format::Csv => encode::Format::Csv,
            Format::Json => encode::Format::Json { columns: 1 },
            Format::Parquet => encode::Format::Parquet { group_values: None },
            Format::F64 => encode::Format::F64,
        };
        let mut encoder = encoder(encoded, self, Plain::new(output))?;
        self.read_ahead(encoded.order(MOST_TOGETHER), watch, |step| Ok(encoder.take(step)?))?;
        Ok(encoder.finish()?)
    }

    /// Hands on values, step by step. Where there are many, another thread reads the next block while one is taken.
    fn read_ahead(
        &self,
        order: Order,
        watch: &Watch,
        mut take: impl FnMut(Step) -> Result<(), Box<dyn Error>>,
    ) -> Result<(), Box<dyn Error>> {
        let all = self.values();
        let mut done = 0;
        let mut take = |step: Step| {
            match &step {
                Step::Values(values) => done += values.len() as u64,
                Step::Block(block) => done += block.iter().map(|column| column.len() as u64).sum::<u64>(),
                Step::Begin(_) | Step::End => {}
            }
            watch.step("reading values", done, all)?;
            take(step)
        };
        let mut steps = Steps::new(self.0.clone(), order, Handle::current(), Watch::default());
        // This thread blocks. Nothing else waits on it but Ctrl-C, which has another one.
        tokio::task::block_in_place(|| {
            if all < MANY_VALUES {
                while let Some(step) = steps.next(BLOCK_VALUES)? {
                    take(step)?;
                }
                return Ok(());
            }
            std::thread::scope(|scope| {
                let (sender, received) = mpsc::sync_channel(0);
                scope.spawn(move || {
                    // Who takes no more has a reason of its own.
                    while let Some(step) = steps.next(BLOCK_VALUES).transpose()
                        && sender.send(step).is_ok()
                    {}
                });
                for step in received {
                    take(step?)?;
                }
                Ok(())
            })
        })
    }

    /// Prints how the values would be computed.
    fn explain(&self, json: bool, out: &mut impl Write) -> Outcome {
        let mut plans = Vec::new();
        for item in &self.items {
            // Records are read as they are, and have no slots.
            let base = item.base.period();
            let slots = base.map(|base| base.widen(self.range)).transpose()?.unwrap_or(self.range);
            let (key, steps, kept) = match &item.base {
                Base::Stored { series, spec, rollups } => {
                    (spec.key.clone(), self.snapshot.explain(*series, Some(slots))?, rollups.is_some())
                }
                Base::InPlace { source, series, .. } => {
                    (series.title.clone(), vec![format!("{slots} in place from {}", source.name())], false)
                }
            };
            let folded = base.filter(|_| statistic(item.path.kind()).is_some());
            plans.push(json!({
                "path": item.path.to_string(),
                "series": key,
                "dataType": item.base.data_type().name(),
                "values": self.range.count(self.period),
                "samples": base.map(|base| slots.count(base)),
                "foldPeriod": folded.map(|base| fold_period(base, self.period).to_string()),
                "rollups": folded.is_some() && kept,
                "steps": steps,
            }));
        }
        if json {
            writeln!(
                out,
                "{}",
                json!({
                    "begin": self.range.begin().to_string(),
                    "end": self.range.end().to_string(),
                    "samplePeriod": self.period.to_string(),
                    "commit": self.snapshot.commit(),
                    "plans": plans,
                })
            )?;
            return Ok(ExitCode::SUCCESS);
        }
        writeln!(out, "{} to {} at commit {}", self.range.begin(), self.range.end(), self.snapshot.commit())?;
        for plan in &plans {
            let text = |key: &str| plan[key].as_str().unwrap_or_default();
            let count = |key: &str| data::count(plan[key].as_u64().unwrap_or_default());
            writeln!(
                out,
                "\n{}: {} values from {} of {} ({})",
                text("path"),
                count("values"),
                if plan["samples"].is_null() {
                    "records".to_owned()
                } else {
                    format!("{} slots", count("samples"))
                },
                text("series"),
                text("dataType")
            )?;
            if let Some(fold_period) = plan["foldPeriod"].as_str() {
                let kept = if plan["rollups"] == true { "kept" } else { "not kept" };
                writeln!(out, "  folded at {fold_period}, states are {kept}")?;
            }
            let steps = plan["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
            for step in steps.iter().take(MOST_STEPS) {
                writeln!(out, "  {}", step.as_str().unwrap_or_default())?;
            }
            if steps.len() > MOST_STEPS {
                writeln!(out, "  … and {} more steps", data::count((steps.len() - MOST_STEPS) as u64))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
