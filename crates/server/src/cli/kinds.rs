//! `sheaf kinds`: what can be done to samples.

use std::io::Write;
use std::process::ExitCode;

use serde_json::json;
use sheaf_model::Kind;

use super::Outcome;

/// List the kinds that a resource path can name
#[derive(clap::Args)]
#[command(after_help = "Example:\n  sheaf kinds --json")]
pub(crate) struct Args {
    /// Print one JSON object per kind
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, out: &mut impl Write) -> Outcome {
    for kind in Kind::ALL {
        if args.json {
            let kind = json!({
                "kind": kind.name(), "label": kind.label(), "description": kind.description(),
                "aggregation": kind.is_aggregation(),
            });
            writeln!(out, "{kind}")?;
        } else {
            writeln!(out, "{:<15} {}", kind.name(), kind.description())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
