//! `sheaf trace-record-indexes`: there are none.

use std::io::Write;
use std::process::ExitCode;

use serde_json::json;

use super::Outcome;
use super::data::DataArgs;

/// Do nothing: records lie in the store, and have no indexes that would slow loading down
#[derive(clap::Args)]
#[command(after_help = "Example:\n  sheaf trace-record-indexes destroy")]
pub(crate) struct Args {
    action: Action,
    #[command(flatten)]
    data: DataArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Action {
    Create,
    Destroy,
}

pub(crate) fn run(args: &Args, out: &mut impl Write) -> Outcome {
    let text = "there is nothing to do: records of traces have no indexes";
    match (args.json, args.action) {
        (true, _) => writeln!(out, "{}", json!({"done": "nothing", "why": text}))?,
        (false, Action::Create | Action::Destroy) => writeln!(out, "{text}")?,
    }
    Ok(ExitCode::SUCCESS)
}
