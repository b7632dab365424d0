//! `sheaf source`: data that stay where they are.

use std::error::Error;
use std::io::Write;
use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;
use sheaf_model::CatalogId;
use sheaf_sources::{FolderConfig, SourceConfig, SourceKind, SourceSeries, TableFormat, TableOptions};

use super::Outcome;
use super::data::{self, DataArgs};
use super::table_args::TableArgs;

/// Sources that are looked up at once.
const PAGE: usize = 100;

/// Read folders of CSV or Parquet files in place, as catalogs
#[derive(clap::Args)]
#[command(after_help = "Example:\n  sheaf source add /live/csv --csv 'data/{yyyy}/{MM}/*.csv'")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Add(Box<AddArgs>),
    /// List the sources
    #[command(after_help = "Example:\n  sheaf source list --json")]
    List {
        #[command(flatten)]
        data: DataArgs,
        /// Print one JSON object for each source
        #[arg(long)]
        json: bool,
    },
    /// Forget a source; its files stay as they are
    #[command(after_help = "Example:\n  sheaf source remove /live/csv")]
    Remove {
        /// The catalog that it provides
        #[arg(value_name = "CATALOG")]
        catalog: CatalogId,
        #[command(flatten)]
        data: DataArgs,
    },
}

/// Make a folder of files a catalog; the files stay where they are, and are read whenever the catalog is
#[derive(clap::Args)]
#[command(after_help = "Examples:
  sheaf source add /live/csv --csv 'data/{yyyy}/{MM}/*.csv'
  sheaf source add /live/mast --parquet '/srv/mast/**/*.parquet' --time-zone Europe/Berlin

In a template, * and ? stand for parts of names, ** for any folders, and {yyyy} {MM} {dd} {DDD} {HH} {mm} for the time at
which what is in a file begins: so only those files are read that a range touches. Quote it.")]
struct AddArgs {
    /// The catalog that the files become
    #[arg(value_name = "CATALOG")]
    catalog: CatalogId,
    /// Which files of delimited text
    #[arg(long, value_name = "TEMPLATE", required_unless_present = "parquet", conflicts_with = "parquet")]
    csv: Option<String>,
    /// Which Parquet files
    #[arg(long, value_name = "TEMPLATE")]
    parquet: Option<String>,
    #[command(flatten)]
    table: TableArgs,
    #[command(flatten)]
    data: DataArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, out: &mut (impl Write + Send)) -> Outcome {
    match &args.command {
        Command::Add(args) => add(args, out),
        Command::List { data, json } => list(data, *json, out),
        Command::Remove { catalog, data } => data::run(data::Unit::Count, async |_| {
            if !data.open().await?.database.sources().remove(catalog).await? {
                return Err(format!("there is no source `{catalog}`: `sheaf source list` lists them").into());
            }
            writeln!(out, "removed {catalog}; its files are as they were")?;
            Ok(ExitCode::SUCCESS)
        }),
    }
}

fn add(args: &AddArgs, out: &mut (impl Write + Send)) -> Outcome {
    let (format, template) = match (&args.csv, &args.parquet) {
        (Some(template), _) => (TableFormat::Csv, template),
        (_, Some(template)) => (TableFormat::Parquet, template),
        (None, None) => return Err("say which files with --csv or --parquet".into()),
    };
    let (root, template) = split(template)?;
    let table = TableOptions { format: Some(format), ..args.table.options(None) };
    let config = SourceConfig::Folder(FolderConfig { root, template, table, ..FolderConfig::default() });
    data::run(data::Unit::Count, async |_| {
        let data = args.data.create().await?;
        let below = format!("{}/", args.catalog);
        if !data.store.series_below(&below, None, 1).await?.is_empty() {
            return Err(
                format!("`{}` has samples in the store already: take another catalog", args.catalog).into()
            );
        }
        let configuration = serde_json::to_value(&config)?;
        let series = tokio::task::spawn_blocking(move || config.open()?.series()).await??;
        let kind = configuration["kind"].as_str().unwrap_or_default().to_owned();
        data.database.sources().add(args.catalog.clone(), kind, configuration.clone()).await?;
        if args.json {
            let series: Vec<_> = series.iter().map(|series| describe(&args.catalog, series)).collect();
            let catalog = args.catalog.as_str();
            writeln!(
                out,
                "{}",
                json!({"catalog": catalog, "configuration": configuration, "series": series})
            )?;
            return Ok(ExitCode::SUCCESS);
        }
        writeln!(out, "{} has {} resources", args.catalog, data::count(series.len() as u64))?;
        for series in &series {
            writeln!(out, "{}", line(series))?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn list(data: &DataArgs, json: bool, out: &mut (impl Write + Send)) -> Outcome {
    data::run(data::Unit::Count, async |_| {
        let sources = data.open().await?.database.sources();
        let mut after: Option<CatalogId> = None;
        loop {
            let page = sources.list(after.as_ref(), PAGE).await?;
            for source in &page {
                if json {
                    let (catalog, mut configuration) = (source.mount.as_str(), source.configuration.clone());
                    // Of kinds that a newer version has, nothing is known.
                    if let Some(kind) = SourceKind::ALL.into_iter().find(|kind| kind.tag() == source.kind) {
                        kind.redact(&mut configuration);
                    }
                    writeln!(out, "{}", json!({"catalog": catalog, "configuration": configuration}))?;
                } else {
                    let text = |key: &str| source.configuration[key].as_str().unwrap_or_default();
                    let what = match source.kind.as_str() {
                        "folder" => format!(": {} in {}", text("template"), text("root")),
                        "nexus" => format!(": {} of {}", text("remote"), text("url")),
                        "postgres" => format!(": query on {}", text("url")),
                        _ => String::new(),
                    };
                    writeln!(out, "{} {}{what}", source.mount, source.kind)?;
                }
            }
            match page.last() {
                Some(source) => after = Some(source.mount.clone()),
                None => return Ok(ExitCode::SUCCESS),
            }
        }
    })
}

/// A series of a source, as `sheaf catalogs --json` shows those of the store.
pub(super) fn describe(catalog: &CatalogId, series: &SourceSeries) -> serde_json::Value {
    json!({
        "path": format!("{catalog}/{}/{}", series.resource, series.period),
        "catalog": catalog.as_str(),
        "resource": series.resource.as_str(),
        "samplePeriod": series.period.to_string(),
        "phaseTicks": series.phase_ticks,
        "dataType": series.data_type.name(),
        "unit": series.unit(),
        "begin": series.range.map(|range| range.begin().to_string()),
        "end": series.range.map(|range| range.end().to_string()),
    })
}

/// The same for people.
pub(super) fn line(series: &SourceSeries) -> String {
    let unit = series.unit().map(|unit| format!(" ({unit})")).unwrap_or_default();
    let range = match series.range {
        Some(range) => format!("{} to {}", range.begin(), range.end()),
        None => "no samples".to_owned(),
    };
    format!(
        "  {}{unit}\n    {:<10} {:<8} {range}, in place",
        series.resource,
        series.period.to_string(),
        series.data_type
    )
}

/// The folder of a template, and the rest of it. Names without stars and braces belong to the folder of an absolute one; a
/// relative one begins in the working folder, whatever that is later.
fn split(template: &str) -> Result<(PathBuf, String), Box<dyn Error>> {
    if !Path::new(template).is_absolute() {
        return Ok((std::env::current_dir()?, template.to_owned()));
    }
    let names: Vec<Component<'_>> = Path::new(template).components().collect();
    let is_plain = |name: &&Component<'_>| !name.as_os_str().to_string_lossy().contains(['*', '?', '{']);
    let plain = names.iter().take_while(is_plain).count().min(names.len().saturating_sub(1));
    let root: PathBuf = names[..plain].iter().collect();
    let rest: PathBuf = names[plain..].iter().collect();
    Ok((root, rest.to_string_lossy().into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_begin_where_names_end() {
        let parts = |template| split(template).unwrap();
        assert_eq!(parts("/srv/mast/{yyyy}/*.csv"), (PathBuf::from("/srv/mast"), "{yyyy}/*.csv".to_owned()));
        assert_eq!(parts("/srv/one.csv"), (PathBuf::from("/srv"), "one.csv".to_owned()));
        assert_eq!(parts("data/*.csv").1, "data/*.csv");
    }
}
