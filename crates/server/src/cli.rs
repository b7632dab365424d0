//! The subcommands: what each takes, and what it prints.

use std::error::Error;
use std::process::ExitCode;

pub(crate) mod catalogs;
pub(crate) mod check;
pub(crate) mod compact;
pub(crate) mod config;
pub(crate) mod data;
pub(crate) mod delete;
pub(crate) mod delete_meters;
pub(crate) mod demo;
pub(crate) mod dev_seed;
pub(crate) mod export;
pub(crate) mod grant_args;
pub(crate) mod ingest;
pub(crate) mod jobs;
pub(crate) mod kinds;
pub(crate) mod load;
pub(crate) mod mart;
pub(crate) mod meter_progress;
pub(crate) mod output;
pub(crate) mod path;
pub(crate) mod prod_seed;
pub(crate) mod read;
pub(crate) mod rollups;
pub(crate) mod run_aggregations;
pub(crate) mod run_args;
pub(crate) mod run_meters;
pub(crate) mod savings;
pub(crate) mod serve;
pub(crate) mod source;
pub(crate) mod store;
pub(crate) mod table_args;
pub(crate) mod token;
pub(crate) mod trace_record_indexes;
pub(crate) mod user;
pub(crate) mod verify;
pub(crate) mod warehouse;

/// How a command ends: an exit code, or an error for the last line.
pub(crate) type Outcome = Result<ExitCode, Box<dyn Error>>;
