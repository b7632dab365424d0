//! `sheaf run-meters`: asks for meter runs.

use std::collections::{BTreeSet, HashSet};
use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use serde_json::{Value, json};
use sheaf_db::NewEvent;
use sheaf_db::datastore::{Datastore, MappingFilter, MeterRun, Page, RunFilter, RunStatus};
use sheaf_metering::request::{Pair, Settings, Target, pairs};
use sheaf_metering::times::now;

use super::Outcome;
use super::data::{self, DataArgs};
use super::run_args::{Asking, Subjects, json_of, text_of};
use crate::runs::{Which, work_until_ended};

/// Rows that are looked up at once.
const PAGE: usize = 1000;

/// Targets that are named in an error, at most.
const MOST_NAMED: usize = 10;

/// Meter traces: ask for a run of each trace for each of its projects
#[derive(clap::Args)]
#[command(after_help = "Examples:
  sheaf run-meters --all-projects --wait
  sheaf run-meters --projects 1 2 --traces 17 --priority 5 --label 'first quarter'
  sheaf run-meters --use-project-id --projects DEV_SEED_PROJECT --model-kwargs '{\"heating_base_temp\": 64}'

Runs wait for a server that works on the same data; with --wait they are done here. A run with the same input as an earlier one
gets its result, unless --force says otherwise. `sheaf meter-progress` says how far they are.")]
pub(crate) struct Args {
    #[command(flatten)]
    subjects: Subjects,
    /// All traces of all projects, whatever else is named
    #[arg(long)]
    all_projects: bool,
    /// All traces that belong to a project, for each of theirs, whatever else is named
    #[arg(long)]
    all_traces: bool,
    /// Cancel all runs that wait, before
    #[arg(long)]
    purge_queue: bool,
    /// Remove what earlier runs of the same traces for the same projects have left
    #[arg(long)]
    delete_previous_meters: bool,
    /// Print each run
    #[arg(long)]
    detailed_output: bool,
    /// The model [default: by days or by bills, as the records are]
    #[arg(long, value_name = "NAME")]
    model_class: Option<String>,
    /// Its settings, a JSON object
    #[arg(long, value_name = "JSON", value_parser = object)]
    model_kwargs: Option<Value>,
    /// The formatter [default: that of the model]
    #[arg(long, value_name = "NAME")]
    formatter_class: Option<String>,
    /// Its settings, a JSON object
    #[arg(long, value_name = "JSON", value_parser = object)]
    formatter_kwargs: Option<Value>,
    /// Compute anew what was computed before
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    asking: Asking,
    #[command(flatten)]
    data: DataArgs,
    /// Print JSON: an object for the request, one for each run with --detailed-output, and one for how they ended with --wait
    #[arg(long)]
    json: bool,
}

fn object(text: &str) -> Result<Value, String> {
    match serde_json::from_str(text) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err("not a JSON object, like {\"heating_base_temp\": 64}".to_owned()),
        Err(error) => Err(format!("no JSON: {error}")),
    }
}

pub(crate) fn run(args: &Args, out: &mut (impl Write + Send)) -> Outcome {
    let settings = Settings {
        model_class: args.model_class.clone(),
        model_kwargs: args.model_kwargs.clone(),
        formatter_class: args.formatter_class.clone(),
        formatter_kwargs: args.formatter_kwargs.clone(),
        force: args.force,
    };
    settings.check()?;
    data::run(data::Unit::Count, async |watch| {
        let data = args.data.open().await?;
        let datastore = data.database.datastore();
        let pairs = wanted(args, &datastore).await?;
        let purged = if args.purge_queue { datastore.purge_runs(now()).await? } else { 0 };
        let previous =
            if args.delete_previous_meters { previous(&datastore, &pairs).await? } else { Vec::new() };
        let runs = pairs.iter().map(|&pair| settings.run(pair)).collect();
        let inserted = datastore.insert_runs(args.asking.batch("meter_runs"), runs, now()).await?;
        let deleted = delete(&datastore, &previous).await?;
        let detail = json!({"runs": inserted.ids.len(), "purged": purged, "deleted": deleted});
        let event = NewEvent::by_command("meters.run", inserted.batch.to_string(), detail);
        data.database.access().record(event).await?;
        let of_this = Which::Meter(RunFilter::of_batch(inserted.batch));
        if args.json {
            let object = json!({
                "batch": inserted.batch, "runs": inserted.ids.len(), "purged": purged, "deleted": deleted,
            });
            writeln!(out, "{object}")?;
        } else {
            let runs = data::count(inserted.ids.len() as u64);
            writeln!(out, "request {}: {runs} meter runs wait", inserted.batch)?;
            if args.purge_queue {
                writeln!(out, "cancelled {} that waited before", data::count(purged))?;
            }
            if args.delete_previous_meters {
                writeln!(out, "removed {} earlier ones", data::count(deleted))?;
            }
        }
        let ended = match args.asking.wait {
            true => Some(work_until_ended(&data, &of_this, &watch).await?),
            false => None,
        };
        if args.detailed_output {
            detail_all(&datastore, inserted.batch, args.json, out).await?;
        }
        let Some(progress) = ended else { return Ok(ExitCode::SUCCESS) };
        if args.json {
            writeln!(out, "{}", json_of(&progress))?;
        } else {
            writeln!(out, "{}", text_of(&progress))?;
            if progress.failed > 0 && !args.detailed_output {
                say_failures(&datastore, inserted.batch, out).await?;
            }
        }
        Ok(if progress.failed + progress.cancelled > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    })
}

/// Which trace for which project, each once.
async fn wanted(args: &Args, datastore: &Datastore) -> Result<BTreeSet<Pair>, Box<dyn Error>> {
    let mut targets: Vec<Target> = Vec::new();
    let of_project = |project| Target { project: Some(project), trace: None };
    if args.all_projects {
        targets.extend(datastore.project_ids().await?.into_iter().map(|(id, _)| of_project(id)));
    } else if args.all_traces {
        let blacklist = datastore.blacklist(Page::ALL).await?.into_iter().map(|row| row.trace_id);
        let blacklist: HashSet<String> = blacklist.collect();
        let traces = datastore.trace_ids().await?.into_iter();
        let left_out: HashSet<i64> =
            traces.filter(|(_, name)| blacklist.contains(name)).map(|(id, _)| id).collect();
        let mappings = datastore.mappings(&MappingFilter::default(), Page::ALL).await?;
        let mappings = mappings.into_iter().filter(|mapping| !left_out.contains(&mapping.trace_id));
        targets.extend(
            mappings
                .map(|mapping| Target { project: Some(mapping.project_id), trace: Some(mapping.trace_id) }),
        );
    } else {
        targets.extend(args.subjects.project_ids(datastore).await?.into_iter().map(of_project));
        let traces = args.subjects.trace_ids(datastore).await?;
        targets.extend(traces.into_iter().map(|trace| Target { project: None, trace: Some(trace) }));
        if targets.is_empty() {
            return Err("say what, with --projects, --traces, --all-projects or --all-traces".into());
        }
    }
    let (mut wanted, mut wrong) = (BTreeSet::new(), Vec::new());
    for (target, resolved) in targets.iter().zip(pairs(datastore, &targets).await?) {
        match resolved {
            Ok(pairs) => wanted.extend(pairs),
            Err(error) => wrong.push(format!("{}: {error}", named(target))),
        }
    }
    if wrong.is_empty() {
        return Ok(wanted);
    }
    let more = wrong.len().saturating_sub(MOST_NAMED);
    wrong.truncate(MOST_NAMED);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    Err(format!("nothing was asked for: {}{more}", wrong.join("; ")).into())
}

fn named(target: &Target) -> String {
    let named = |what, id: Option<i64>| id.map(|id| format!("{what} {id}"));
    let parts = [named("project", target.project), named("trace", target.trace)];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// The earlier runs of these.
async fn previous(datastore: &Datastore, pairs: &BTreeSet<Pair>) -> Result<Vec<i64>, Box<dyn Error>> {
    let projects: BTreeSet<i64> = pairs.iter().map(|pair| pair.project).collect();
    let filter = RunFilter { projects: Some(projects.into_iter().collect()), ..RunFilter::default() };
    let mut previous = Vec::new();
    each_run(datastore, &filter, |run| {
        let pair = run.project_id.zip(run.trace_id).map(|(project, trace)| Pair { project, trace });
        if pair.is_some_and(|pair| pairs.contains(&pair)) {
            previous.push(run.id);
        }
        Ok(())
    })
    .await?;
    Ok(previous)
}

async fn delete(datastore: &Datastore, runs: &[i64]) -> Result<u64, Box<dyn Error>> {
    if runs.is_empty() {
        return Ok(0);
    }
    Ok(datastore.delete_runs(&RunFilter::with_ids(runs.to_vec())).await?)
}

/// Calls something with each run, page by page.
async fn each_run(
    datastore: &Datastore,
    filter: &RunFilter,
    mut take: impl FnMut(MeterRun) -> io::Result<()>,
) -> Result<(), Box<dyn Error>> {
    let mut after = i64::MIN;
    loop {
        let page = datastore.runs(filter, Page { after, limit: Some(PAGE) }).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.id;
        page.into_iter().try_for_each(&mut take)?;
    }
}

async fn detail_all(
    datastore: &Datastore,
    batch: i64,
    json: bool,
    out: &mut (impl Write + Send),
) -> Result<(), Box<dyn Error>> {
    each_run(datastore, &RunFilter::of_batch(batch), |run| {
        if json {
            let object = json!({
                "id": run.id, "project": run.project_id, "trace": run.trace_id,
                "status": run.status.to_string(), "failure_message": run.failure_message,
            });
            return writeln!(out, "{object}");
        }
        say(&run, out)
    })
    .await
}

async fn say_failures(
    datastore: &Datastore,
    batch: i64,
    out: &mut (impl Write + Send),
) -> Result<(), Box<dyn Error>> {
    let failed = RunFilter { batch: Some(batch), ..RunFilter::with_status(RunStatus::Failed) };
    let some = datastore.runs(&failed, Page { limit: Some(MOST_NAMED), ..Page::ALL }).await?;
    Ok(some.iter().try_for_each(|run| say(run, out))?)
}

fn say(run: &MeterRun, out: &mut impl Write) -> io::Result<()> {
    let id = |id: Option<i64>| id.map_or("–".to_owned(), |id| id.to_string());
    let (project, trace) = (id(run.project_id), id(run.trace_id));
    let why = run.failure_message.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
    writeln!(out, "run {}, project {project}, trace {trace}: {}{why}", run.id, run.status)
}
