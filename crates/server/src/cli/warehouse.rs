//! `sheaf meterresultmart create` and its kind: the marts are views, so there is nothing to do.

use std::io::Write;
use std::process::ExitCode;

use serde_json::json;

use super::Outcome;
use super::data::DataArgs;
use crate::marts::AnyMart;

/// Do nothing: the mart is a view, which is there and always current
#[derive(clap::Args)]
#[command(after_help = "Examples:
  sheaf meterresultmart recreate
  sheaf mart export meterresultmart -o results.csv")]
pub(crate) struct Args {
    action: Action,
    #[command(flatten)]
    data: DataArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Action {
    Create,
    Destroy,
    Recreate,
}

/// The mart with this name.
pub(crate) fn run(name: &str, args: &Args, out: &mut impl Write) -> Outcome {
    let mart = AnyMart::named(name)?;
    let what = match (mart, args.action) {
        (AnyMart::Zips, _) => "comes with the program: there is nothing to create or destroy",
        (_, Action::Destroy) => "is a view, which takes no room: there is nothing to destroy",
        (_, Action::Create | Action::Recreate) => {
            "is a view, which is always current: there is nothing to create"
        }
    };
    let text = format!("warehouse_{} {what}; `sheaf mart export {}` writes it", mart.name(), mart.name());
    match args.json {
        true => writeln!(out, "{}", json!({"mart": mart.name(), "done": "nothing", "why": text}))?,
        false => writeln!(out, "{text}")?,
    }
    Ok(ExitCode::SUCCESS)
}
