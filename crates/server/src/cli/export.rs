//! `sheaf export`: stored samples into files of their own.

use std::error::Error;
use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;
use serde_json::json;
use sheaf_model::{CatalogId, DataType, SeriesKey, Tick, TimeRange, Values};
use sheaf_sources::{CsvWriter, ParquetWriter, TableWriter, TimeUnit, WriteColumn, WriteValues};
use sheaf_store::{Layout, Rows, Scan, SeriesId, SeriesSpec, Watch};

use super::Outcome;
use super::data::{self, Data, DataArgs};
use super::output::Output;

/// Series that are looked up at once.
const PAGE: usize = 1000;

/// Write stored samples as they are into files that others can read: one for each series, one row for each sample
#[derive(clap::Args)]
#[command(after_help = "Examples:
  sheaf export --format parquet /plant/mast -o backup
  sheaf export --format csv /plant/mast/T1/10_ms --begin 2020-01-01 --end 2020-02-01

A path is that of a series, of a resource with all its representations, or of a catalog with all that lies below it. The
file of /plant/mast/T1/10_ms is plant/mast/T1_10_ms.parquet in the folder. What is exported can be read in again with
`sheaf ingest`.")]
pub(crate) struct Args {
    /// Catalogs, resources or series
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    /// How the samples are written
    #[arg(long, value_name = "FORMAT", default_value = "parquet")]
    format: Format,
    /// Folder for the files
    #[arg(long, short, value_name = "FOLDER", default_value = ".")]
    output: PathBuf,
    /// Only samples that begin at this time or later
    #[arg(long, value_name = "TIME")]
    begin: Option<Tick>,
    /// Only samples that begin before this time
    #[arg(long, value_name = "TIME")]
    end: Option<Tick>,
    #[command(flatten)]
    data: DataArgs,
    /// Print one JSON object for each file
    #[arg(long)]
    json: bool,
}

/// How samples are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Parquet with real timestamps
    Parquet,
    /// Delimited text with times in ISO 8601
    Csv,
}

pub(crate) fn run(args: &Args, out: &mut (impl Write + Send)) -> Outcome {
    let wanted = match (args.begin, args.end) {
        (None, None) => None,
        (begin, end) => Some(TimeRange::new(begin.unwrap_or(Tick::MIN), end.unwrap_or(Tick::MAX))?),
    };
    data::run(data::Unit::Count, async |watch| {
        let data = args.data.open().await?;
        for path in &args.paths {
            let mut found = false;
            if let Some(series) = data.store.find_series(path).await? {
                let spec = data.store.spec(series).await?;
                export(args, &data, series, &spec, wanted, &watch, out).await?;
                found = true;
            }
            let below = format!("{}/", path.trim_end_matches('/'));
            let mut after: Option<String> = None;
            loop {
                let page = data.store.series_below(&below, after.as_deref(), PAGE).await?;
                for (series, spec) in &page {
                    export(args, &data, *series, spec, wanted, &watch, out).await?;
                    found = true;
                }
                match page.last() {
                    Some((_, spec)) => after = Some(spec.key.clone()),
                    None => break,
                }
            }
            if !found
                && let Ok(catalog) = path.trim_end_matches('/').parse::<CatalogId>()
                && let Some(source) = data.catalogs.view().await?.provision(&catalog)
            {
                return Err(format!(
                    "`{path}` is read in place from the files of `{}`: they are what would be exported",
                    source.catalog
                )
                .into());
            }
            if !found {
                return Err(format!(
                    "there is no series, resource or catalog `{path}`: `sheaf catalogs` lists what there is"
                )
                .into());
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Writes one series into its file.
async fn export(
    args: &Args,
    data: &Data,
    series: SeriesId,
    spec: &SeriesSpec,
    wanted: Option<TimeRange>,
    watch: &Watch,
    out: &mut impl Write,
) -> Result<(), Box<dyn Error>> {
    let key: SeriesKey = spec.key.parse()?;
    let snapshot = data.store.snapshot(&[series]).await?;
    let range = snapshot.range(series)?;
    let range = match (range, wanted) {
        (Some(range), Some(wanted)) => range.intersection(wanted),
        (range, _) => range,
    };
    let file = args.output.join(file_name(&key, args.format));
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)
            .map_err(|error| format!("can't make the folder {}: {error}", folder.display()))?;
    }
    let properties = data.database.metadata().resource(&key.catalog, &key.resource).await?;
    let column = WriteColumn {
        title: key.resource.to_string(),
        unit: properties.unit().map(str::to_owned),
        data_type: spec.data_type,
    };
    let scan = match range {
        Some(range) => Some((snapshot.scan(series, Some(range)).await?, range)),
        None => None,
    };
    let rows = tokio::task::block_in_place(|| write_file(args.format, &file, spec, column, scan, watch))?;
    if args.json {
        let file = file.display().to_string();
        writeln!(
            out,
            "{}",
            json!({"series": spec.key, "file": file, "samples": rows, "commit": snapshot.commit()})
        )?;
    } else {
        writeln!(out, "{} {}: {} samples", spec.key, file.display(), data::count(rows))?;
    }
    Ok(())
}

/// The file of a series, in folders like its catalogs: no name of a catalog or resource has a dot or a separator.
fn file_name(key: &SeriesKey, format: Format) -> PathBuf {
    let folders: PathBuf = key.catalog.segments().collect();
    let period = key.period.map(|period| format!("_{period}")).unwrap_or_default();
    let extension = match format {
        Format::Parquet => "parquet",
        Format::Csv => "csv",
    };
    folders.join(format!("{}{period}.{extension}", key.resource))
}

/// Writes the rows of a scan, and says how many.
fn write_file(
    format: Format,
    file: &Path,
    spec: &SeriesSpec,
    column: WriteColumn,
    scan: Option<(Scan, TimeRange)>,
    watch: &Watch,
) -> Result<u64, Box<dyn Error>> {
    let mut nowhere = std::io::sink();
    let mut output = BufWriter::new(Output::new(Some(file), &mut nowhere, false)?);
    // Whether a row was estimated is known of bills only.
    let is_irregular = spec.layout == Layout::Irregular;
    let mut columns = vec![column];
    if is_irregular {
        columns.push(WriteColumn { title: "estimated".to_owned(), unit: None, data_type: DataType::Uint8 });
    }
    let mut written = 0;
    let mut writer: Box<dyn TableWriter + '_> = match format {
        Format::Csv => Box::new(CsvWriter::new(&mut output, columns)?),
        Format::Parquet => {
            let unit = match (&scan, spec.layout) {
                (None, _) => TimeUnit::Nanoseconds,
                (Some((_, range)), Layout::Regular { period, .. }) => {
                    TimeUnit::for_times(*range, period.ticks())?
                }
                (Some((_, range)), Layout::Irregular) => TimeUnit::for_times(*range, 1)?,
            };
            Box::new(ParquetWriter::new(&mut output, columns, unit)?)
        }
    };
    if let Some((scan, range)) = scan {
        for rows in scan {
            let rows = rows?;
            let last = rows.len().checked_sub(1).map_or(range.begin().ticks(), |last| rows.start_ticks(last));
            written += write_rows(&mut *writer, &rows, is_irregular)?;
            let done = (last - range.begin().ticks()).max(0).unsigned_abs();
            watch.step("exporting", done, range.ticks().unsigned_abs())?;
        }
    }
    writer.finish()?;
    output.into_inner().map_err(std::io::IntoInnerError::into_error)?.finish()?;
    Ok(written)
}

/// Writes rows: of a regular series those with a value, of an irregular one all, and whether they were estimated.
fn write_rows(writer: &mut dyn TableWriter, rows: &Rows, is_irregular: bool) -> Result<u64, Box<dyn Error>> {
    let taken: Vec<usize> = (0..rows.len()).filter(|&row| is_irregular || rows.is_valid(row)).collect();
    let starts: Vec<i64> = taken.iter().map(|&row| rows.start_ticks(row)).collect();
    let values = rows.values().pick(&taken);
    let mut validity = vec![0_u64; taken.len().div_ceil(64)];
    for (at, &row) in taken.iter().enumerate() {
        validity[at / 64] |= u64::from(rows.is_valid(row)) << (at % 64);
    }
    let mut columns = vec![WriteValues { values: &values, validity: Some(&validity) }];
    let estimated: Values;
    if is_irregular {
        estimated = Values::U8(taken.iter().map(|&row| u8::from(rows.is_estimated(row))).collect());
        columns.push(WriteValues { values: &estimated, validity: None });
    }
    writer.write(&starts, &columns)?;
    Ok(taken.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_series_has_its_file() {
        let name = |key: &str| file_name(&key.parse().unwrap(), Format::Csv);
        assert_eq!(name("/plant/mast/T1/10_ms"), Path::new("plant/mast/T1_10_ms.csv"));
        assert_eq!(name("/plant/bills"), Path::new("plant/bills.csv"));
    }
}
