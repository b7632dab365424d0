//! `sheaf source`: data that stay where they are.

use std::error::Error;
use std::io::Write;
use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Map, Value, json};
use sheaf_db::{Pipeline, Registration};
use sheaf_model::CatalogId;
use sheaf_sources::{FolderConfig, SourceConfig, SourceSeries, TableFormat, TableOptions};

use super::Outcome;
use super::data::{self, Data, DataArgs};
use super::table_args::TableArgs;
use crate::catalogs::secrets::hidden;
use crate::catalogs::{Origin, config_of, kind_of, known_kinds, locator_of, mount_of};

/// Read data in place, as catalogs: folders of files, other servers, databases
#[derive(clap::Args)]
#[command(after_help = "Example:\n  sheaf source add /live/csv --csv 'data/{yyyy}/{MM}/*.csv'")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Add(Box<AddArgs>),
    /// List the sources; secrets are not shown
    #[command(after_help = "Example:\n  sheaf source list --json")]
    List {
        #[command(flatten)]
        data: DataArgs,
        /// Print one JSON object for each source
        #[arg(long)]
        json: bool,
    },
    /// Open sources, and say what they have or what is wrong with them
    #[command(after_help = "Example:\n  sheaf source check /live/csv\n\nExit code 1 if any source fails.")]
    Check {
        /// Only the sources of this catalog
        #[arg(value_name = "CATALOG")]
        catalog: Option<CatalogId>,
        #[command(flatten)]
        data: DataArgs,
        /// Print one JSON object for each source
        #[arg(long)]
        json: bool,
    },
    /// Forget the sources of a catalog; their data stay as they are
    #[command(after_help = "Example:\n  sheaf source remove /live/csv")]
    Remove {
        /// The catalog that they provide
        #[arg(value_name = "CATALOG")]
        catalog: CatalogId,
        #[command(flatten)]
        data: DataArgs,
    },
}

/// Make data that lie elsewhere a catalog; they stay where they are, and are read whenever the catalog is
#[derive(clap::Args)]
#[command(after_help = "Examples:
  sheaf source add /live/csv --csv 'data/{yyyy}/{MM}/*.csv'
  sheaf source add /live/mast --parquet '/srv/mast/**/*.parquet' --time-zone Europe/Berlin
  sheaf source add /made/up --type sample
  sheaf source add /far/mast --type nexus --locator https://nexus.example.org --set remote=/plant/mast --set token=…

In a template, * and ? stand for parts of names, ** for any folders, and {yyyy} {MM} {dd} {DDD} {HH} {mm} for the time at
which what is in a file begins: so only those files are read that a range touches. Quote it.
What can be set for a type is what GET /api/v1/sources/descriptions says.")]
struct AddArgs {
    /// The catalog that the data become
    #[arg(value_name = "CATALOG")]
    catalog: CatalogId,
    /// Which files of delimited text
    #[arg(long, value_name = "TEMPLATE", required_unless_present_any = ["parquet", "kind"], conflicts_with = "parquet")]
    csv: Option<String>,
    /// Which Parquet files
    #[arg(long, value_name = "TEMPLATE")]
    parquet: Option<String>,
    /// What kind of source it is: folder, sample, nexus, postgres
    #[arg(long = "type", value_name = "TYPE", conflicts_with_all = ["csv", "parquet"])]
    kind: Option<String>,
    /// Where the data of such a source are: a folder or a URL
    #[arg(long, value_name = "LOCATOR", requires = "kind")]
    locator: Option<String>,
    /// A setting of such a source: a text or JSON; dots lead into objects, like table.csv.delimiter=;
    #[arg(long = "set", value_name = "KEY=VALUE", requires = "kind")]
    settings: Vec<String>,
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
        Command::Check { catalog, data, json } => check(catalog.as_ref(), data, *json, out),
        Command::Remove { catalog, data } => remove(catalog, data, out),
    }
}

/// The source that these arguments mean.
fn registration(args: &AddArgs) -> Result<Registration, Box<dyn Error>> {
    let mut registration = match (&args.csv, &args.parquet, &args.kind) {
        (Some(template), _, _) => of_files(TableFormat::Csv, template, args)?,
        (_, Some(template), _) => of_files(TableFormat::Parquet, template, args)?,
        (_, _, Some(kind)) => {
            let mut configuration = Map::new();
            for setting in &args.settings {
                set(&mut configuration, setting)?;
            }
            let kind = kind_of(kind)?.type_name().to_owned();
            Registration { kind, resource_locator: args.locator.clone(), configuration, info_url: None }
        }
        (None, None, None) => {
            return Err(
                format!("say which files with --csv or --parquet, or a type of {}", known_kinds()).into()
            );
        }
    };
    registration.configuration.insert("catalog".to_owned(), args.catalog.as_str().into());
    Ok(registration)
}

fn of_files(format: TableFormat, template: &str, args: &AddArgs) -> Result<Registration, Box<dyn Error>> {
    let (root, template) = split(template)?;
    let table = TableOptions { format: Some(format), ..args.table.options(None) };
    let config = SourceConfig::Folder(FolderConfig { root, template, table, ..FolderConfig::default() });
    let (kind, resource_locator, rest) = config.to_type()?;
    let Value::Object(configuration) = rest else { return Err("the settings are no object".into()) };
    Ok(Registration { kind: kind.type_name().to_owned(), resource_locator, configuration, info_url: None })
}

/// Puts `a.b=value` into an object.
fn set(settings: &mut Map<String, Value>, setting: &str) -> Result<(), Box<dyn Error>> {
    let (key, value) = setting
        .split_once('=')
        .ok_or_else(|| format!("--set {setting}: say what to set, and to what, like template=*.csv"))?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
    let (above, last) = match key.rsplit_once('.') {
        Some((above, last)) => (above.split('.').collect(), last),
        None => (Vec::new(), key),
    };
    let mut inner = settings;
    for name in above {
        let entry = inner.entry(name).or_insert_with(|| Value::Object(Map::new()));
        inner = match entry {
            Value::Object(object) => object,
            _ => return Err(format!("--set {setting}: `{name}` is no object").into()),
        };
    }
    inner.insert(last.to_owned(), value);
    Ok(())
}

fn add(args: &AddArgs, out: &mut (impl Write + Send)) -> Outcome {
    let registration = registration(args)?;
    let config = config_of(&registration)?;
    data::run(data::Unit::Count, async |_| {
        let data = args.data.create().await?;
        if data.catalogs.view().await?.has_series(&args.catalog) {
            return Err(
                format!("`{}` has samples in the store already: take another catalog", args.catalog).into()
            );
        }
        let series = tokio::task::spawn_blocking(move || config.open()?.series()).await??;
        let pipeline = Pipeline::new(None, vec![registration.clone()]);
        data.database.pipelines().add(&pipeline, true).await?;
        if args.json {
            let series: Vec<_> = series.iter().map(|series| describe(&args.catalog, series)).collect();
            let mut object = describe_source(&args.catalog, &pipeline, &registration);
            object["series"] = series.into();
            writeln!(out, "{object}")?;
            return Ok(ExitCode::SUCCESS);
        }
        writeln!(out, "{} has {} resources", args.catalog, data::count(series.len() as u64))?;
        for series in &series {
            writeln!(out, "{}", line(series))?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// The source of a pipeline as JSON, without secrets.
fn describe_source(catalog: &CatalogId, pipeline: &Pipeline, registration: &Registration) -> Value {
    let Registration { kind, resource_locator, configuration, info_url } = hidden(registration);
    json!({
        "catalog": catalog.as_str(),
        "type": kind,
        "resourceLocator": resource_locator,
        "configuration": configuration,
        "infoUrl": info_url,
        "pipeline": pipeline.id,
        "owner": pipeline.owner,
    })
}

/// The same for people.
fn source_line(catalog: &str, registration: &Registration) -> String {
    let shown = hidden(registration);
    let kind = shown.kind.rsplit('.').next().unwrap_or_default().to_lowercase();
    let template = shown.configuration.get("template").and_then(Value::as_str);
    let place = match (template, &locator_of(&shown)) {
        (Some(template), Some(root)) => format!(": {template} in {root}"),
        (None, Some(locator)) => format!(": {locator}"),
        _ => String::new(),
    };
    format!("{catalog} {kind}{place}")
}

/// The pipelines of the settings file and the database.
async fn all(data: &Data) -> Result<Vec<Pipeline>, Box<dyn Error>> {
    let of_file = data.catalogs.fixed().iter().filter(|(origin, _)| *origin == Origin::File);
    let of_file = of_file.map(|(_, pipeline)| pipeline.clone());
    Ok(of_file.chain(data.database.pipelines().all().await?).collect())
}

fn list(data: &DataArgs, json: bool, out: &mut (impl Write + Send)) -> Outcome {
    data::run(data::Unit::Count, async |_| {
        for pipeline in all(&data.open().await?).await? {
            for registration in &pipeline.registrations {
                match mount_of(registration) {
                    Ok(catalog) if json => {
                        writeln!(out, "{}", describe_source(&catalog, &pipeline, registration))?;
                    }
                    Ok(catalog) => writeln!(out, "{}", source_line(catalog.as_str(), registration))?,
                    Err(problem) => writeln!(out, "{}: {problem}", registration.kind)?,
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn check(wanted: Option<&CatalogId>, data: &DataArgs, json: bool, out: &mut (impl Write + Send)) -> Outcome {
    data::run(data::Unit::Count, async |watch| {
        let data = data.open().await?;
        let (mut checked, mut failed) = (0_u64, 0_u64);
        for pipeline in all(&data).await? {
            for registration in &pipeline.registrations {
                let catalog = mount_of(registration);
                if wanted.is_some() && catalog.as_ref().ok() != wanted {
                    continue;
                }
                watch.step("opening sources", checked, 0)?;
                checked += 1;
                let found = match catalog.clone().and_then(|_| config_of(registration)) {
                    Ok(config) => {
                        let open = tokio::task::spawn_blocking(move || config.open()?.series()).await?;
                        open.map_err(|error| sheaf_store::in_full(&error))
                    }
                    Err(problem) => Err(problem),
                };
                failed += u64::from(found.is_err());
                let name = catalog.as_ref().map_or("?", CatalogId::as_str);
                if json {
                    let error = found.as_ref().err();
                    let series = found.as_ref().ok().map(Vec::len);
                    writeln!(
                        out,
                        "{}",
                        json!({"catalog": name, "type": registration.kind, "series": series, "error": error})
                    )?;
                } else {
                    match found {
                        Ok(series) => {
                            let count = data::count(series.len() as u64);
                            writeln!(out, "{}: {count} series", source_line(name, registration))?;
                        }
                        Err(problem) => {
                            writeln!(out, "{}: FAILS: {problem}", source_line(name, registration))?;
                        }
                    }
                }
            }
        }
        if let (Some(catalog), 0) = (wanted, checked) {
            return Err(no_source(catalog));
        }
        Ok(if failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    })
}

fn remove(catalog: &CatalogId, data: &DataArgs, out: &mut (impl Write + Send)) -> Outcome {
    data::run(data::Unit::Count, async |_| {
        let pipelines = data.open().await?.database.pipelines();
        let mut removed = 0;
        for mut pipeline in pipelines.all().await? {
            let before = pipeline.registrations.len();
            pipeline.registrations.retain(|one| mount_of(one).as_ref() != Ok(catalog));
            if pipeline.registrations.len() == before {
                continue;
            }
            removed += 1;
            if pipeline.registrations.is_empty() {
                pipelines.remove(pipeline.id).await?;
            } else {
                pipelines.replace(&pipeline).await?;
            }
        }
        if removed == 0 {
            return Err(no_source(catalog));
        }
        writeln!(out, "removed {catalog}; its files are as they were")?;
        Ok(ExitCode::SUCCESS)
    })
}

fn no_source(catalog: &CatalogId) -> Box<dyn Error> {
    format!("there is no source `{catalog}`: `sheaf source list` lists them").into()
}

/// A series of a source, as `sheaf catalogs --json` shows those of the store.
pub(super) fn describe(catalog: &CatalogId, series: &SourceSeries) -> Value {
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
        Some(_) if series.is_endless() => "at any time".to_owned(),
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

    #[test]
    fn settings_are_texts_or_json() {
        let mut settings = Map::new();
        for setting in
            ["template=*.csv", "n=5", "table.csv.delimiter=;", "table.csv.period=10_min", "on=true", "a=b=c"]
        {
            set(&mut settings, setting).unwrap();
        }
        assert_eq!(
            Value::Object(settings.clone()),
            json!({
                "template": "*.csv", "n": 5, "table": {"csv": {"delimiter": ";", "period": "10_min"}}, "on": true, "a": "b=c"
            })
        );
        assert!(set(&mut settings, "template").is_err());
        assert!(set(&mut settings, "n.x=1").unwrap_err().to_string().contains("`n` is no object"));
    }
}
