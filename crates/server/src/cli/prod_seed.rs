//! `sheaf prod-seed`: an administrator with secrets of its own.

use std::io::Write;
use std::process::ExitCode;

use serde_json::json;

use super::Outcome;
use super::data::{self, DataArgs};
use crate::seeding::access;

/// Make the user admin, who may do everything, and print a new password and a new token, this once
#[derive(clap::Args)]
#[command(after_help = "Examples:
  sheaf prod-seed
  TOKEN=$(sheaf prod-seed --json | jq -r .token)

If there is a user admin it fails, and changes nothing: `sheaf user password admin` and `sheaf token create --user admin --admin`
make other secrets.")]
pub(crate) struct Args {
    #[command(flatten)]
    data: DataArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, out: &mut (impl Write + Send)) -> Outcome {
    data::run(data::Unit::Count, async |_| {
        let data = args.data.create().await?;
        let secrets = access::administrator(&data.database.access()).await?;
        let secrets = secrets.ok_or(
            "there is a user `admin` already; `sheaf user password admin` gives it another password, and \
             `sheaf token create --name NAME --user admin --admin` another token",
        )?;
        if args.json {
            let object = json!({"user": secrets.user, "password": secrets.password, "token": secrets.token});
            writeln!(out, "{object}")?;
        } else {
            writeln!(out, "Admin password: {}\nAdmin token: {}", secrets.password, secrets.token)?;
        }
        Ok(ExitCode::SUCCESS)
    })
}
