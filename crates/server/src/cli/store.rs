//! `sheaf store`: what a store holds.

use std::io::Write;
use std::process::ExitCode;

use serde_json::json;
use sheaf_store::Stats;

use super::Outcome;
use super::data::{self, DataArgs};

/// Look into a store
#[derive(clap::Args)]
#[command(after_help = "Example:\n  sheaf store stats --data-dir /srv/sheaf")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Series, samples, segments and bytes
    #[command(after_help = "Example:\n  sheaf store stats --json")]
    Stats {
        #[command(flatten)]
        data: DataArgs,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
}

pub(crate) fn run(args: &Args, out: &mut impl Write) -> Outcome {
    let Command::Stats { data, json } = &args.command;
    let stats = data::run(data::Unit::Count, async |_| Ok(data.open().await?.store.stats().await?))?;
    if *json {
        writeln!(out, "{}", describe(&stats))?;
    } else {
        print(&stats, out)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(stats: &Stats) -> serde_json::Value {
    let segments: Vec<_> = stats
        .segments
        .iter()
        .map(|of_type| {
            json!({
                "dataType": of_type.data_type.name(),
                "segments": of_type.segments,
                "bytes": of_type.bytes,
                "rows": of_type.rows,
                "liveRows": of_type.live_rows,
            })
        })
        .collect();
    json!({
        "store": format!("{:016x}", stats.store),
        "commit": stats.commit,
        "series": stats.series,
        "tailRows": stats.tail_rows,
        "tailBytes": stats.tail_bytes,
        "segments": segments,
        "retiredSegments": stats.retired_segments,
        "retiredBytes": stats.retired_bytes,
        "pendingFiles": stats.pending_files,
    })
}

fn print(stats: &Stats, out: &mut impl Write) -> std::io::Result<()> {
    writeln!(out, "store {:016x} at commit {}", stats.store, stats.commit)?;
    writeln!(out, "{} series", data::count(stats.series))?;
    let tail = (data::count(stats.tail_rows), data::bytes(stats.tail_bytes));
    writeln!(out, "{} samples in the tail, {}", tail.0, tail.1)?;
    for of_type in &stats.segments {
        let bytes_per_row = of_type.bytes as f64 / of_type.rows.max(1) as f64;
        writeln!(
            out,
            "{:<8} {} segments, {}, {} rows ({} live), {bytes_per_row:.2} bytes per row",
            of_type.data_type.name(),
            data::count(of_type.segments),
            data::bytes(of_type.bytes),
            data::count(of_type.rows),
            data::count(of_type.live_rows),
        )?;
    }
    if stats.retired_segments > 0 {
        let retired = (data::count(stats.retired_segments), data::bytes(stats.retired_bytes));
        writeln!(out, "{} replaced segments wait for their removal, {}", retired.0, retired.1)?;
    }
    if stats.pending_files > 0 {
        writeln!(out, "{} files are being written", data::count(stats.pending_files))?;
    }
    Ok(())
}
