//! `sheaf serve`: the server.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

use super::Outcome;
use crate::http;
use crate::settings::{Log, Settings, SettingsArgs};

/// Answer requests over HTTP until told to stop
#[derive(clap::Args)]
#[command(after_help = "Examples:
  sheaf serve
  sheaf serve --listen 127.0.0.1:0 --data-dir /srv/sheaf --auth-anonymous-read '/demo/.*'
  sheaf serve --listen 0.0.0.0:443 --tls-certificate chain.pem --tls-key key.pem

It prints the address that it listens on, and logs to standard error. SIGTERM or Ctrl-C lets requests end first. What can
be set, and what is set, shows `sheaf config`. Nothing can be read without a token: `sheaf token create --help`.")]
pub(crate) struct Args {
    #[command(flatten)]
    settings: SettingsArgs,
}

pub(crate) fn run(args: &Args, out: &mut (impl Write + Send)) -> Outcome {
    serve(Settings::from_layers(&args.settings.layers()?)?, out)
}

/// Serves with these settings until told to stop.
pub(super) fn serve(settings: Settings, out: &mut (impl Write + Send)) -> Outcome {
    start_log(&settings.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut said = Ok(());
    let ready = |url: &str| said = writeln!(out, "Sheaf listens on {url}").and_then(|()| out.flush());
    // To those who started it, and to no log.
    let first = |token: &str| {
        let text =
            "Nobody could sign in yet, so here is a token for everything. It is shown this once, keep it:";
        // Whoever closed standard error makes another one on the command line.
        let _ = writeln!(io::stderr(), "{text}\n{token}");
    };
    runtime.block_on(http::serve(settings, first, ready))?;
    said?;
    Ok(ExitCode::SUCCESS)
}

/// Writes the log to standard error.
fn start_log(log: &Log) -> Result<(), String> {
    let filter = EnvFilter::try_new(&log.level).map_err(|error| {
        format!("setting `log.level` = `{}`: {error}; it is like info or sheaf::http=debug", log.level)
    })?;
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    if log.is_json {
        subscriber.json().flatten_event(true).init();
    } else {
        subscriber.with_ansi(io::stderr().is_terminal()).init();
    }
    Ok(())
}
