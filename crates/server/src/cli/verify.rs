//! `sheaf verify`: are the numbers of savings right on this machine?

use std::io::Write;
use std::process::ExitCode;

use comfy_table::{CellAlignment, Table, presets};
use serde_json::json;
use sheaf_savings::verification::{Comparison, EEMETER, METERS, MeterVerification, TOLERANCE, verify};

use super::Outcome;

/// Compute the reference meters and compare all numbers with those of eemeter
#[derive(clap::Args)]
#[command(after_help = "Example:
  sheaf verify

Twelve meters that come with the program, fitted in `compat` mode. The table shows how far numbers are at most from what eemeter
computes, relative to them. Exit code 1 if one is further than 1e-9.")]
pub(crate) struct Args {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, out: &mut impl Write) -> Outcome {
    let found = METERS.iter().map(verify).collect::<Result<Vec<_>, _>>()?;
    let is_met = found.iter().all(MeterVerification::is_met);
    if args.json {
        let report = json!({ "peer": format!("eemeter {EEMETER}"), "tolerance": TOLERANCE, "met": is_met, "meters": found });
        writeln!(out, "{report}")?;
    } else {
        print(&found, is_met, out)?;
    }
    Ok(if is_met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(found: &[MeterVerification], is_met: bool, out: &mut impl Write) -> std::io::Result<()> {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    let names = found.first().map(MeterVerification::comparisons).into_iter().flatten().map(|(name, _)| name);
    table.set_header(["meter", "baseline"].into_iter().chain(names));
    for meter in found {
        let formula = meter.formulas[0].clone().unwrap_or_else(|| "none".to_owned());
        let cells = meter.comparisons().map(|(_, comparison)| cell(comparison));
        let formula = formula.trim_start_matches("meter_value ~ ").to_owned();
        table.add_row([meter.meter.to_owned(), formula].into_iter().chain(cells));
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    writeln!(out, "{}\n", table.trim_fmt())?;
    let all = || found.iter().flat_map(MeterVerification::comparisons).map(|(_, comparison)| comparison);
    let numbers: usize = all().map(|comparison| comparison.n).sum();
    let largest = all().fold(0.0_f64, |largest, comparison| largest.max(comparison.largest));
    writeln!(
        out,
        "{numbers} numbers of eemeter {EEMETER}; the largest deviation is {largest:.1e} of it ({})",
        if is_met { "met: at most 1e-9" } else { "MISSED: at most 1e-9 is right" }
    )?;
    for meter in found {
        if let Some(n_tied) = meter.n_tied {
            writeln!(
                out,
                "{}: {n_tied} candidates of the baseline fit equally well. eemeter's rounding takes another one of them, so what \
                 follows from the choice is not compared.",
                meter.meter
            )?;
        }
        for (name, comparison) in meter.comparisons().iter().filter(|(_, comparison)| !comparison.is_met()) {
            writeln!(
                out,
                "{} {name}: {}",
                meter.meter,
                comparison.worst.as_deref().unwrap_or("nothing was compared")
            )?;
        }
    }
    Ok(())
}

fn cell(comparison: &Comparison) -> String {
    if comparison.largest == 0.0 { "0".to_owned() } else { format!("{:.1e}", comparison.largest) }
}
