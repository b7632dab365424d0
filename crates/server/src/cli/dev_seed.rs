//! `sheaf dev-seed`: a project with six traces, and a user and a token that everybody knows.

use std::io::Write;
use std::process::ExitCode;

use serde_json::json;

use super::Outcome;
use super::data::{self, DataArgs};
use crate::http::auth::well_known;
use crate::seeding::dev;

/// Make the project DEV_SEED_PROJECT with six traces and weather, and a user and a token for this machine
#[derive(clap::Args)]
#[command(after_help = "Examples:
  sheaf dev-seed
  sheaf dev-seed && sheaf run-meters --use-project-id --projects DEV_SEED_PROJECT --wait

The token `tokstr`, and the user `demo` with the password `demo-password`, may do everything, in requests from this machine
only. What is there already is left alone.")]
pub(crate) struct Args {
    #[command(flatten)]
    data: DataArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, out: &mut (impl Write + Send)) -> Outcome {
    data::run(data::Unit::Count, async |watch| {
        let data = args.data.create().await?;
        let made = dev::seed(&data, &watch).await?;
        let (user, password, token) = (well_known::USER, well_known::PASSWORD, well_known::SECRET);
        if args.json {
            let object = json!({
                "user": user, "password": password, "token": token,
                "userIsNew": made.known.is_new_user, "tokenIsNew": made.known.is_new_token,
                "project": made.project, "projectId": dev::PROJECT,
                "tracesWritten": made.traces, "recordsWritten": made.records, "weatherSeriesWritten": made.weather,
            });
            writeln!(out, "{object}")?;
            return Ok(ExitCode::SUCCESS);
        }
        let records = data::count(made.records);
        writeln!(
            out,
            "project {} ({}): wrote {records} records of {} traces",
            made.project,
            dev::PROJECT,
            made.traces
        )?;
        writeln!(
            out,
            "user `{user}` with the password `{password}`, token `{token}`: for requests from this machine only"
        )?;
        Ok(ExitCode::SUCCESS)
    })
}
