//! `sheaf run-aggregations`: asks for aggregations of groups of traces.

use std::io::Write;
use std::process::ExitCode;

use serde_json::json;
use sheaf_db::NewEvent;
use sheaf_db::datastore::{AggregationFilter, Datastore, Page, TraceGroup};
use sheaf_metering::request::AggregationTarget;
use sheaf_metering::times::now;

use super::Outcome;
use super::data::{self, DataArgs};
use super::run_args::{Asking, json_of, text_of};
use crate::runs::{Which, work_until_ended};

/// Add up what was metered: for each group, one run for each interpretation of traces and derivatives that it has
#[derive(clap::Args)]
#[command(after_help = "Examples:
  sheaf run-aggregations --all-groups --wait
  sheaf run-aggregations --group-names 'demo: all' 'demo: heat pump' --json

Runs wait for a server that works on the same data, until no meter run does; with --wait they are done here. The results are in
`sheaf mart export groupstatisticsmart`.")]
pub(crate) struct Args {
    #[command(flatten)]
    which: WhichArgs,
    /// What is done with values: SUM, MEAN or INVERSE_VARIANCE_MEAN
    #[arg(long, value_name = "WORD", default_value = "SUM")]
    aggregation_interpretation: String,
    #[command(flatten)]
    asking: Asking,
    #[command(flatten)]
    data: DataArgs,
    /// Print JSON: an object for each group, one for the request, and one for how the runs ended with --wait
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
#[group(required = true, multiple = true)]
struct WhichArgs {
    /// Groups of traces, by name
    #[arg(long, value_name = "NAME", num_args = 1..)]
    group_names: Vec<String>,
    /// All of them, whatever else is named
    #[arg(long)]
    all_groups: bool,
}

pub(crate) fn run(args: &Args, out: &mut (impl Write + Send)) -> Outcome {
    data::run(data::Unit::Count, async |watch| {
        let data = args.data.open().await?;
        let datastore = data.database.datastore();
        let mut runs = Vec::new();
        for group in groups(&args.which, &datastore).await? {
            let target = AggregationTarget {
                group: Some(group.id),
                aggregation_interpretation: args.aggregation_interpretation.clone(),
                options: json!({}),
                ..AggregationTarget::default()
            };
            let of_group = target.all(&datastore, None, None).await?;
            let of_group = of_group.map_err(|refusal| format!("group `{}`: {refusal}", group.name))?;
            if args.json {
                let object = json!({"group": group.id, "name": group.name, "runs": of_group.len()});
                writeln!(out, "{object}")?;
            } else if of_group.is_empty() {
                writeln!(out, "group `{}`: nothing to add up, none of its traces was metered", group.name)?;
            } else {
                writeln!(out, "group `{}`: {} aggregations", group.name, of_group.len())?;
            }
            runs.extend(of_group);
        }
        let asked = runs.len();
        let inserted =
            datastore.insert_aggregations(args.asking.batch("aggregation_runs"), runs, now()).await?;
        let event =
            NewEvent::by_command("aggregations.run", inserted.batch.to_string(), json!({ "runs": asked }));
        data.database.access().record(event).await?;
        match args.json {
            true => writeln!(out, "{}", json!({"batch": inserted.batch, "runs": asked}))?,
            false => writeln!(out, "request {}: {asked} aggregations wait", inserted.batch)?,
        }
        if !args.asking.wait {
            return Ok(ExitCode::SUCCESS);
        }
        let of_this = AggregationFilter { batch: Some(inserted.batch), ..AggregationFilter::default() };
        let progress = work_until_ended(&data, &Which::Aggregation(of_this), &watch).await?;
        match args.json {
            true => writeln!(out, "{}", json_of(&progress))?,
            false => writeln!(out, "{}", text_of(&progress))?,
        }
        Ok(if progress.failed + progress.cancelled > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    })
}

async fn groups(
    which: &WhichArgs,
    datastore: &Datastore,
) -> Result<Vec<TraceGroup>, Box<dyn std::error::Error>> {
    if which.all_groups {
        return Ok(datastore.groups(Page::ALL).await?);
    }
    let mut groups: Vec<TraceGroup> = Vec::with_capacity(which.group_names.len());
    for name in &which.group_names {
        let group = datastore.find_group(name).await?;
        let group = group.ok_or_else(|| format!("there is no group of traces `{name}`"))?;
        if groups.iter().all(|known| known.id != group.id) {
            groups.push(group);
        }
    }
    Ok(groups)
}
