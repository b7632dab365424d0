//! `sheaf read`: values of resource paths, at any sample period.

mod json;
mod table;

use std::error::Error;
use std::io::Write;
use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc;

use clap::ValueEnum;
use serde_json::json;
use sheaf_engine::{Base, ReadError, Resolved, fold_period, read_columns, statistic};
use sheaf_model::legality::{check_one_period, check_range};
use sheaf_model::{DataType, ResourcePath, SamplePeriod, Threshold, Tick, TimeRange, Values};
use sheaf_sources::{CsvWriter, ParquetWriter, TableWriter, TimeUnit, WriteColumn, WriteValues};
use sheaf_store::{Snapshot, Watch};
use tokio::runtime::Handle;

use super::Outcome;
use super::data::{self, Data, DataArgs};
use super::output::Output;

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
        let mut request = Request::new(&data, &args.paths, args.begin, args.end, args.nan_threshold).await?;
        if args.no_rollups {
            for item in &mut request.items {
                match &mut item.base {
                    Base::Stored { rollups, .. } => *rollups = None,
                    Base::InPlace { rollups, .. } => *rollups = None,
                }
            }
        }
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
    Request::new(data, paths, None, None, None).await?.write(format, rows, out, watch)
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

/// So many values take long enough to write for another thread to read ahead.
const MANY_VALUES: u64 = 1 << 17;

/// What is written of one path.
enum Part<'a> {
    /// The values of the path with this number come.
    Begin(usize),
    /// Some of its values.
    Values(&'a [f64]),
    /// That was all.
    End,
}

/// What is read of some paths.
enum Step {
    /// Their values come.
    Begin,
    /// Some of them: a column for each path, all of the same length.
    Block(Vec<Vec<f64>>),
    /// That was all.
    End,
}

/// What is read, and from what.
struct Request {
    snapshot: Snapshot,
    items: Vec<Resolved>,
    units: Vec<Option<String>>,
    period: SamplePeriod,
    range: TimeRange,
    threshold: Option<Threshold>,
}

impl Request {
    async fn new(
        data: &Data,
        paths: &[ResourcePath],
        begin: Option<Tick>,
        end: Option<Tick>,
        threshold: Option<Threshold>,
    ) -> Result<Request, Box<dyn Error>> {
        let period = check_one_period(paths.iter().map(ResourcePath::period))?;
        let period = period.ok_or("there is no path to read")?;
        let (items, units): (Vec<_>, Vec<_>) =
            data.resolve(paths).await?.into_iter().map(|found| (found.resolved, found.unit)).unzip();
        let stored = items.iter().filter_map(|item| match &item.base {
            Base::Stored { series, .. } => Some(*series),
            Base::InPlace { .. } => None,
        });
        let snapshot = data.store.snapshot(&stored.collect::<Vec<_>>()).await?;
        let mut hull: Option<TimeRange> = None;
        for item in &items {
            let range = match &item.base {
                Base::Stored { series, .. } => snapshot.range(*series)?,
                Base::InPlace { series, .. } => series.range,
            };
            if let Some(range) = range {
                hull = Some(hull.map_or(range, |hull| hull.hull(range)));
            }
        }
        let hull = hull.map(|hull| period.widen(hull)).transpose()?;
        let (begin, end) = match (begin, end, hull) {
            (Some(begin), Some(end), _) => (begin, end),
            (begin, end, Some(hull)) => (begin.unwrap_or(hull.begin()), end.unwrap_or(hull.end())),
            (_, _, None) => {
                return Err(
                    "these series have no samples: say from when to when with --begin and --end".into()
                );
            }
        };
        let range = TimeRange::new(begin, end)?;
        check_range(period, range)?;
        Ok(Request { snapshot, items, units, period, range, threshold })
    }

    fn write(
        &self,
        format: Format,
        rows: usize,
        output: &mut (impl Write + Send),
        watch: &Watch,
    ) -> Result<(), Box<dyn Error>> {
        match format {
            Format::Table => {
                let mut table = table::Table::new(self, rows);
                self.side_by_side(watch, |starts, block| {
                    table.take(starts, &block);
                    Ok(())
                })?;
                table.print(output)?;
            }
            Format::Csv => {
                let writer = CsvWriter::new(output, self.titles())?;
                self.write_table(Box::new(writer), watch)?;
            }
            Format::Parquet => {
                let unit = TimeUnit::for_times(self.range, self.period.ticks())?;
                let writer = ParquetWriter::new(output, self.titles(), unit)?;
                self.write_table(Box::new(writer), watch)?;
            }
            Format::Json => {
                json::begin(self, output)?;
                let mut is_first = true;
                self.one_by_one(watch, |part| {
                    match part {
                        Part::Begin(at) => {
                            is_first = true;
                            json::begin_series(self, at, output)?;
                        }
                        Part::Values(values) => json::values(values, &mut is_first, output)?,
                        Part::End => json::end_series(output)?,
                    }
                    Ok(())
                })?;
                json::end(output)?;
            }
            Format::F64 => {
                let mut bytes = Vec::new();
                self.one_by_one(watch, |part| {
                    if let Part::Values(values) = part {
                        bytes.resize(size_of_val(values), 0);
                        for (bytes, value) in bytes.as_chunks_mut().0.iter_mut().zip(values) {
                            *bytes = value.to_le_bytes();
                        }
                        output.write_all(&bytes)?;
                    }
                    Ok(())
                })?;
            }
        }
        Ok(())
    }

    /// Hands on all values of the first path, then those of the next one. Short ones are read side by side.
    fn one_by_one(
        &self,
        watch: &Watch,
        mut take: impl FnMut(Part<'_>) -> Result<(), Box<dyn Error>>,
    ) -> Result<(), Box<dyn Error>> {
        let rows = self.range.count(self.period);
        let together = usize::try_from(MOST_TOGETHER / rows.max(1)).unwrap_or(usize::MAX).max(1);
        let mut all: Vec<Vec<f64>> = Vec::new();
        self.read_ahead(together, watch, |paths, step| match (step, paths.len()) {
            (Step::Begin, 1) => take(Part::Begin(paths.start)),
            (Step::Block(block), 1) => block.iter().try_for_each(|values| take(Part::Values(values))),
            (Step::End, 1) => take(Part::End),
            (Step::Begin, _) => {
                all = vec![Vec::new(); paths.len()];
                Ok(())
            }
            (Step::Block(block), _) => {
                for (all, values) in all.iter_mut().zip(block) {
                    if all.is_empty() { *all = values } else { all.extend(values) }
                }
                Ok(())
            }
            (Step::End, _) => paths.zip(&all).try_for_each(|(path, values)| {
                take(Part::Begin(path))?;
                take(Part::Values(values))?;
                take(Part::End)
            }),
        })
    }

    fn write_table(
        &self,
        mut writer: Box<dyn TableWriter + '_>,
        watch: &Watch,
    ) -> Result<(), Box<dyn Error>> {
        self.side_by_side(watch, |starts, block| {
            let block: Vec<Values> = block.into_iter().map(Values::F64).collect();
            let values: Vec<_> = block.iter().map(|values| WriteValues { values, validity: None }).collect();
            Ok(writer.write(starts, &values)?)
        })?;
        Ok(writer.finish()?)
    }

    /// Hands on blocks with a column for each path, and the begins of their values.
    fn side_by_side(
        &self,
        watch: &Watch,
        mut take: impl FnMut(&[i64], Vec<Vec<f64>>) -> Result<(), Box<dyn Error>>,
    ) -> Result<(), Box<dyn Error>> {
        let mut next = self.range.begin().ticks();
        let mut starts = Vec::new();
        self.read_ahead(self.items.len(), watch, |_, step| {
            let Step::Block(block) = step else { return Ok(()) };
            let rows = block.first().map_or(0, Vec::len) as i64;
            starts.clear();
            starts.extend((0..rows).map(|row| next + row * self.period.ticks()));
            next += rows * self.period.ticks();
            take(&starts, block)
        })
    }

    /// Hands on the values of so many paths at a time, block by block. Where there are many, another thread reads the next
    /// block while one is taken.
    fn read_ahead(
        &self,
        together: usize,
        watch: &Watch,
        mut take: impl FnMut(Range<usize>, Step) -> Result<(), Box<dyn Error>>,
    ) -> Result<(), Box<dyn Error>> {
        let all = self.range.count(self.period).saturating_mul(self.items.len() as u64);
        let mut done = 0;
        let mut take = |paths: Range<usize>, step: Step| {
            if let Step::Block(block) = &step {
                done += block.iter().map(|column| column.len() as u64).sum::<u64>();
                watch.step("reading values", done, all)?;
            }
            take(paths, step)
        };
        let runtime = Handle::current();
        // This thread blocks. Nothing else waits on it but Ctrl-C, which has another one.
        tokio::task::block_in_place(|| {
            if all < MANY_VALUES {
                return self.read(together, &runtime, take);
            }
            std::thread::scope(|scope| {
                let (sender, steps) = mpsc::sync_channel(0);
                scope.spawn(move || {
                    let read = self.read(together, &runtime, |paths, step| {
                        sender.send(Ok((paths, step))).map_err(|_takes_no_more| None)
                    });
                    if let Err(Some(error)) = read {
                        // Who takes no more has a reason of its own.
                        let _ = sender.send(Err(error));
                    }
                });
                for step in steps {
                    let (paths, step) = step?;
                    take(paths, step)?;
                }
                Ok(())
            })
        })
    }

    /// Hands on the values of so many paths at a time, block by block.
    fn read<E: From<ReadError>>(
        &self,
        together: usize,
        runtime: &Handle,
        mut take: impl FnMut(Range<usize>, Step) -> Result<(), E>,
    ) -> Result<(), E> {
        for first in (0..self.items.len()).step_by(together) {
            let paths = first..self.items.len().min(first + together);
            let items = &self.items[paths.clone()];
            let columns =
                runtime.block_on(read_columns(&self.snapshot, items, self.range, self.threshold))?;
            take(paths.clone(), Step::Begin)?;
            for block in columns {
                take(paths.clone(), Step::Block(block?))?;
            }
            take(paths, Step::End)?;
        }
        Ok(())
    }

    fn titles(&self) -> Vec<WriteColumn> {
        let column = |(item, unit): (&Resolved, &Option<String>)| WriteColumn {
            title: item.path.to_string(),
            unit: unit.clone(),
            data_type: DataType::Float64,
        };
        self.items.iter().zip(&self.units).map(column).collect()
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
