//! `sheaf check`: is everything what was written?

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::json;
use sheaf_store::{CheckOptions, Finding, LocalDisk, Settings, check};

use super::Outcome;
use super::data::{self, DataArgs};

/// Verify every byte of a store: checksums, segments, and that the manifest fits them
#[derive(clap::Args)]
#[command(after_help = "Examples:
  sheaf check --data-dir /srv/sheaf
  sheaf check --repair

Without --repair nothing is changed, and others may use the store meanwhile.
Exit code 1 if there is damage that was not mended.")]
pub(crate) struct Args {
    #[command(flatten)]
    data: DataArgs,
    /// Mend what can be mended without losing anything: remove files that nothing refers to, write HEAD anew
    #[arg(long)]
    repair: bool,
    /// With --repair: give up what can't be read any more, so that the rest can be used
    #[arg(long, requires = "repair")]
    accept_loss: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, out: &mut impl Write) -> Outcome {
    let options = CheckOptions { repair: args.repair, accept_loss: args.accept_loss };
    let report = data::run(data::Unit::Count, async |watch| {
        let (folder, database) = args.data.existing().await?;
        let disk = Arc::new(LocalDisk::new(folder)?);
        Ok(check(disk, Arc::new(database.manifest()), Settings::default(), options, &watch).await?)
    })?;
    let code = if report.damages() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    if args.json {
        let findings: Vec<_> = report.findings.iter().map(describe).collect();
        writeln!(
            out,
            "{}",
            json!({
                "series": report.series,
                "pieces": report.pieces,
                "segments": report.segments,
                "bytes": report.bytes,
                "damages": report.damages(),
                "findings": findings,
                "moreFindings": report.more_findings,
            })
        )?;
        return Ok(code);
    }
    for finding in &report.findings {
        let (what, text, repaired) = parts(finding);
        let repaired = repaired.map(|repaired| format!(" [{repaired}]")).unwrap_or_default();
        writeln!(out, "{what}: {text}{repaired}")?;
    }
    if report.more_findings > 0 {
        writeln!(out, "and {} more", data::count(report.more_findings))?;
    }
    writeln!(
        out,
        "verified: {} series, {} pieces, {} segments with {}",
        data::count(report.series),
        data::count(report.pieces),
        data::count(report.segments),
        data::bytes(report.bytes)
    )?;
    match report.damages() {
        0 => writeln!(out, "no damage")?,
        1 => writeln!(out, "1 damage")?,
        damages => writeln!(out, "{} damages", data::count(damages))?,
    }
    Ok(code)
}

fn parts(finding: &Finding) -> (&'static str, &str, Option<&'static str>) {
    match finding {
        Finding::Damage { text, repaired } => ("damage", text, *repaired),
        Finding::Note { text, repaired } => ("note", text, *repaired),
        _ => ("finding", "", None),
    }
}

fn describe(finding: &Finding) -> serde_json::Value {
    let (what, text, repaired) = parts(finding);
    json!({"what": what, "text": text, "repaired": repaired})
}
