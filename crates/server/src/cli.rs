//! The subcommands: what each takes, and what it prints.

use std::error::Error;
use std::process::ExitCode;

pub(crate) mod demo;
pub(crate) mod kinds;
pub(crate) mod path;

/// How a command ends: an exit code, or an error for the last line.
pub(crate) type Outcome = Result<ExitCode, Box<dyn Error>>;
