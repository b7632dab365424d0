//! `sheaf compact`: fewer and larger files.

use std::io::Write;
use std::process::ExitCode;

use serde_json::json;
use sheaf_db::NewEvent;
use sheaf_store::CompactOptions;

use super::Outcome;
use super::data::{self, DataArgs};

/// Move small writes to segments, merge small segments, and remove files that were replaced
#[derive(clap::Args)]
#[command(after_help = "Examples:
  sheaf compact
  sheaf compact --all --data-dir /srv/sheaf

No answer changes. Others may read and write meanwhile. Replaced files stay for 10 minutes, for reads that began
before; the next run removes them. What could not be read is left as it is and listed; the exit code is 1 then.")]
pub(crate) struct Args {
    #[command(flatten)]
    data: DataArgs,
    /// Merge all there is, not only what has grown enough to be worth it
    #[arg(long)]
    all: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, out: &mut impl Write) -> Outcome {
    let done = data::run(data::Unit::Count, async |watch| {
        let data = args.data.open().await?;
        let done = data.store.compact(CompactOptions { all: args.all }, &watch).await?;
        let event = NewEvent::by_command("store.compact", "", json!({"all": args.all}));
        data.database.access().record(event).await?;
        Ok(done)
    })?;
    let code = if done.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    if args.json {
        writeln!(
            out,
            "{}",
            json!({
                "movedPieces": done.moved_pieces,
                "mergedSegments": done.merged_segments,
                "newSegments": done.new_segments,
                "removedFiles": done.removed_files,
                "removedBytes": done.removed_bytes,
                "failures": done.failures,
            })
        )?;
        return Ok(code);
    }
    writeln!(out, "moved {} small writes out of the manifest", data::count(done.moved_pieces))?;
    writeln!(
        out,
        "merged {} segments; {} are new",
        data::count(done.merged_segments),
        data::count(done.new_segments)
    )?;
    writeln!(out, "removed {} files, {}", data::count(done.removed_files), data::bytes(done.removed_bytes))?;
    for failure in &done.failures {
        writeln!(out, "left as it is: {failure}")?;
    }
    Ok(code)
}
