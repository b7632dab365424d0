//! `sheaf delete-meters`: removes meter runs and what came of them.

use std::io::Write;
use std::process::ExitCode;

use serde_json::json;
use sheaf_db::NewEvent;
use sheaf_db::datastore::RunFilter;

use super::Outcome;
use super::data::{self, DataArgs};
use super::run_args::Subjects;

/// Remove meter runs with their results and derivatives; what was current before is so again
#[derive(clap::Args)]
#[command(after_help = "Examples:
  sheaf delete-meters --meters 17 18
  sheaf delete-meters --use-project-id --projects DEV_SEED_PROJECT

Runs that are named in one way or another are removed. Projects, traces and records stay.")]
pub(crate) struct Args {
    /// Runs, by their ids
    #[arg(long, value_name = "METER", num_args = 1..)]
    meters: Vec<i64>,
    #[command(flatten)]
    subjects: Subjects,
    #[command(flatten)]
    data: DataArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, out: &mut (impl Write + Send)) -> Outcome {
    data::run(data::Unit::Count, async |_| {
        let (_, database) = args.data.existing().await?;
        let datastore = database.datastore();
        let projects = args.subjects.project_ids(&datastore).await?;
        let traces = args.subjects.trace_ids(&datastore).await?;
        let filters = [
            RunFilter::with_ids(args.meters.clone()),
            RunFilter { projects: Some(projects.clone()), ..RunFilter::default() },
            RunFilter { traces: Some(traces.clone()), ..RunFilter::default() },
        ];
        let named = [args.meters.len(), projects.len(), traces.len()];
        if named == [0; 3] {
            return Err("say what, with --meters, --projects or --traces".into());
        }
        let mut deleted = 0;
        for (filter, _) in filters.iter().zip(named).filter(|(_, named)| *named > 0) {
            deleted += datastore.delete_runs(filter).await?;
        }
        let detail =
            json!({"meters": args.meters, "projects": projects, "traces": traces, "deleted": deleted});
        database.access().record(NewEvent::by_command("meters.delete", "", detail)).await?;
        match args.json {
            true => writeln!(out, "{}", json!({ "deleted": deleted }))?,
            false => writeln!(out, "removed {} meter runs with what came of them", data::count(deleted))?,
        }
        Ok(ExitCode::SUCCESS)
    })
}
