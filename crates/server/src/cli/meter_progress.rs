//! `sheaf meter-progress`: how far meter runs are.

use std::collections::BTreeSet;
use std::error::Error;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use sheaf_db::datastore::RunFilter;

use super::Outcome;
use super::data::{self, Data, DataArgs};
use super::run_args::{json_of, text_of};
use crate::runs::{Which, wait_until_ended};

/// Say how far meter runs are
#[derive(clap::Args)]
#[command(after_help = "Examples:
  sheaf meter-progress --all-meters
  sheaf meter-progress --meters 1 2 3
  sheaf meter-progress --request 7 --poll-until-complete --poll-interval 5 --poll-max 600

With --poll-until-complete the exit code is 1 if a run has failed, or has not ended in time.")]
pub(crate) struct Args {
    #[command(flatten)]
    which: WhichArgs,
    /// Wait until they have ended
    #[arg(long)]
    poll_until_complete: bool,
    /// How often to look, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = seconds)]
    poll_interval: f64,
    /// How long to wait, in seconds [default: for ever]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    poll_max: Option<f64>,
    #[command(flatten)]
    data: DataArgs,
    /// Print one JSON object: how many runs have each status
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct WhichArgs {
    /// Runs, by their ids
    #[arg(long, value_name = "METER", num_args = 1..)]
    meters: Vec<i64>,
    /// All of them
    #[arg(long)]
    all_meters: bool,
    /// Those of a request, whose number `sheaf run-meters` has printed
    #[arg(long, value_name = "REQUEST")]
    request: Option<i64>,
}

fn seconds(text: &str) -> Result<f64, String> {
    let is_time = |seconds: &f64| (0.0..=1e9).contains(seconds);
    text.parse().ok().filter(is_time).ok_or_else(|| "a number of seconds, like 5 or 0.5".to_owned())
}

/// An error if what is named is not there.
async fn check(args: &WhichArgs, data: &Data, which: &Which) -> Result<(), Box<dyn Error>> {
    if let Some(request) = args.request
        && data.database.datastore().batch(request).await?.is_none()
    {
        return Err(format!("there is no request {request}").into());
    }
    let named = args.meters.iter().collect::<BTreeSet<_>>().len() as u64;
    let progress = which.progress(data).await?;
    let there = progress.ended() + progress.unended();
    if there < named {
        return Err(
            format!("{} of the {named} meter runs that are named are not there", named - there).into()
        );
    }
    Ok(())
}

pub(crate) fn run(args: &Args, out: &mut (impl Write + Send)) -> Outcome {
    data::run(data::Unit::Count, async |watch| {
        let data = args.data.open().await?;
        let which = Which::Meter(match (&args.which.meters[..], args.which.request) {
            (_, Some(request)) => RunFilter::of_batch(request),
            ([], None) => RunFilter::default(),
            (meters, None) => RunFilter::with_ids(meters.to_vec()),
        });
        check(&args.which, &data, &which).await?;
        let progress = if args.poll_until_complete {
            let every = Duration::from_secs_f64(args.poll_interval.max(0.1));
            let at_most = args.poll_max.map(Duration::from_secs_f64);
            wait_until_ended(&data, &which, &watch, every, at_most).await?
        } else {
            which.progress(&data).await?
        };
        match args.json {
            true => writeln!(out, "{}", json_of(&progress))?,
            false => writeln!(out, "{}", text_of(&progress))?,
        }
        let is_well = progress.failed == 0 && progress.unended() == 0;
        Ok(if args.poll_until_complete && !is_well { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    })
}
