//! The `sheaf` program: one subcommand per file in [`cli`].

mod catalogs;
mod cli;
mod data;
mod http;
mod ingesting;
mod loading;
mod marts;
mod reading;
mod runs;
mod seeding;
mod settings;

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use sheaf_sources::WriteError;
use sheaf_store::in_full;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Gather many metered series into few numbers.
///
/// Exit codes: 0 done, 1 failed, 2 wrong usage.
#[derive(Parser)]
#[command(name = "sheaf", version, after_help = "Example:\n  sheaf path /plant/mast/T1/600_s_mean#base=1_s")]
struct Sheaf {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Catalogs(cli::catalogs::Args),
    Check(cli::check::Args),
    Compact(cli::compact::Args),
    Config(cli::config::Args),
    Delete(cli::delete::Args),
    DeleteMeters(cli::delete_meters::Args),
    Demo(cli::demo::Args),
    DevSeed(cli::dev_seed::Args),
    Export(cli::export::Args),
    Ingest(Box<cli::ingest::Args>),
    Jobs(cli::jobs::Args),
    Kinds(cli::kinds::Args),
    Load(Box<cli::load::Args>),
    Mart(cli::mart::Args),
    MeterProgress(cli::meter_progress::Args),
    Path(cli::path::Args),
    ProdSeed(cli::prod_seed::Args),
    Read(cli::read::Args),
    Rollups(cli::rollups::Args),
    RunAggregations(cli::run_aggregations::Args),
    RunMeters(Box<cli::run_meters::Args>),
    Savings(Box<cli::savings::Args>),
    Serve(cli::serve::Args),
    Source(cli::source::Args),
    Store(cli::store::Args),
    Token(cli::token::Args),
    TraceRecordIndexes(cli::trace_record_indexes::Args),
    User(cli::user::Args),
    Verify(cli::verify::Args),
    Meterresultmart(cli::warehouse::Args),
    Groupstatisticsmart(cli::warehouse::Args),
    Modelresultmart(cli::warehouse::Args),
    Projectsummarymart(cli::warehouse::Args),
    Tracesummarymart(cli::warehouse::Args),
    Geoinfo(cli::warehouse::Args),
}

fn main() -> ExitCode {
    let sheaf = Sheaf::parse();
    let mut out = io::BufWriter::new(io::stdout());
    let result = match sheaf.command {
        Command::Catalogs(args) => cli::catalogs::run(&args, &mut out),
        Command::Check(args) => cli::check::run(&args, &mut out),
        Command::Compact(args) => cli::compact::run(&args, &mut out),
        Command::Config(args) => cli::config::run(&args, &mut out),
        Command::Delete(args) => cli::delete::run(&args, &mut out),
        Command::DeleteMeters(args) => cli::delete_meters::run(&args, &mut out),
        Command::Demo(args) => cli::demo::run(&args, &mut out),
        Command::DevSeed(args) => cli::dev_seed::run(&args, &mut out),
        Command::Export(args) => cli::export::run(&args, &mut out),
        Command::Ingest(args) => cli::ingest::run(&args, &mut out),
        Command::Jobs(args) => cli::jobs::run(&args, &mut out),
        Command::Kinds(args) => cli::kinds::run(&args, &mut out),
        Command::Load(args) => cli::load::run(&args, &mut out),
        Command::Mart(args) => cli::mart::run(&args, &mut out),
        Command::MeterProgress(args) => cli::meter_progress::run(&args, &mut out),
        Command::Path(args) => cli::path::run(&args, &mut out),
        Command::ProdSeed(args) => cli::prod_seed::run(&args, &mut out),
        Command::Read(args) => cli::read::run(&args, &mut out),
        Command::Rollups(args) => cli::rollups::run(&args, &mut out),
        Command::RunAggregations(args) => cli::run_aggregations::run(&args, &mut out),
        Command::RunMeters(args) => cli::run_meters::run(&args, &mut out),
        Command::Savings(args) => cli::savings::run(&args, &mut out),
        Command::Serve(args) => cli::serve::run(&args, &mut out),
        Command::Source(args) => cli::source::run(&args, &mut out),
        Command::Store(args) => cli::store::run(&args, &mut out),
        Command::Token(args) => cli::token::run(&args, &mut out),
        Command::TraceRecordIndexes(args) => cli::trace_record_indexes::run(&args, &mut out),
        Command::User(args) => cli::user::run(&args, &mut out),
        Command::Verify(args) => cli::verify::run(&args, &mut out),
        Command::Meterresultmart(args) => cli::warehouse::run("meterresultmart", &args, &mut out),
        Command::Groupstatisticsmart(args) => cli::warehouse::run("groupstatisticsmart", &args, &mut out),
        Command::Modelresultmart(args) => cli::warehouse::run("modelresultmart", &args, &mut out),
        Command::Projectsummarymart(args) => cli::warehouse::run("projectsummarymart", &args, &mut out),
        Command::Tracesummarymart(args) => cli::warehouse::run("tracesummarymart", &args, &mut out),
        Command::Geoinfo(args) => cli::warehouse::run("zctainfo", &args, &mut out),
    };
    match result.and_then(|code| out.flush().map(|()| code).map_err(Into::into)) {
        Ok(code) => code,
        // Whoever reads has had enough, like `head`.
        Err(error) if is_broken_pipe(error.as_ref()) => ExitCode::SUCCESS,
        Err(error) => {
            // There is nobody to tell if this fails.
            let _ = writeln!(io::stderr(), "sheaf: {}", in_full(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &(dyn std::error::Error + 'static)) -> bool {
    let error = match error.downcast_ref::<WriteError>() {
        Some(error) => error.io(),
        None => error.downcast_ref::<io::Error>(),
    };
    error.is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}
