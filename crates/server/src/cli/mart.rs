//! `sheaf mart`: tables to load elsewhere.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use comfy_table::{Table, presets};
use serde_json::json;
use sheaf_db::datastore::Page;

use super::Outcome;
use super::data::{self, DataArgs};
use super::output::Output;
use crate::marts::{AnyMart, Format, PAGE, Writer, all, id_of};

/// Export the tables of the warehouse: results, statistics of groups, models, projects, traces, ZIP codes
#[derive(clap::Args)]
#[command(after_help = "Example:\n  sheaf mart export meterresultmart -o results.parquet")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List the tables and what their rows are
    #[command(after_help = "Examples:\n  sheaf mart list\n  sheaf mart list --json")]
    List {
        /// Print one JSON object for each table, with its columns
        #[arg(long)]
        json: bool,
    },
    Export(ExportArgs),
}

/// Write a table, as it is now
#[derive(clap::Args)]
#[command(after_help = "Examples:
  sheaf mart export meterresultmart -o results.parquet
  sheaf mart export groupstatisticsmart | column -s, -t
  sheaf mart export zctainfo --format ndjson

It is read page by page, so rows that change meanwhile may be there as they were or as they are.")]
struct ExportArgs {
    /// The table
    #[arg(value_name = "NAME")]
    name: String,
    /// The file [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// How it is written [default: as the name of the file ends, else csv]
    #[arg(long, value_enum)]
    format: Option<Format>,
    #[command(flatten)]
    data: DataArgs,
}

pub(crate) fn run(args: &Args, out: &mut (impl Write + Send)) -> Outcome {
    match &args.command {
        Command::List { json } => list(*json, out),
        Command::Export(args) => export(args, out),
    }
}

fn list(json: bool, out: &mut impl Write) -> Outcome {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(["NAME", "ROWS"]);
    for mart in all() {
        if json {
            let columns: Vec<&str> = mart.columns().iter().map(|(name, _)| *name).collect();
            writeln!(out, "{}", json!({"name": mart.name(), "about": mart.about(), "columns": columns}))?;
        } else {
            table.add_row([mart.name(), mart.about()]);
        }
    }
    if !json {
        writeln!(out, "{}", table.trim_fmt())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn export(args: &ExportArgs, out: &mut (impl Write + Send)) -> Outcome {
    let mart = AnyMart::named(&args.name)?;
    let format = match (args.format, &args.output) {
        (Some(format), _) => format,
        (None, Some(file)) => {
            let ending = file.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
            let known = <Format as clap::ValueEnum>::from_str(ending, true);
            known.map_err(|_| {
                format!("can't tell from the name of {} how to write it; say --format", file.display())
            })?
        }
        (None, None) => Format::Csv,
    };
    data::run(data::Unit::Count, async |watch| {
        let (_, database) = args.data.existing().await?;
        let datastore = database.datastore();
        let mut output = Output::new(args.output.as_deref(), out, format == Format::Parquet)?;
        let mut writer = Writer::new(mart, format, &mut output)?;
        let (mut after, mut rows) = (i64::MIN, 0);
        loop {
            let page = mart.page(&datastore, Page { after, limit: Some(PAGE) }).await?;
            writer.write(&page)?;
            rows += page.len() as u64;
            watch.step("rows", rows, 0)?;
            match page.last() {
                Some(last) if page.len() == PAGE => after = id_of(last),
                _ => break,
            }
        }
        writer.finish()?;
        output.finish()?;
        Ok(ExitCode::SUCCESS)
    })
}
