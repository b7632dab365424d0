//! `sheaf config`: what is set, and where.

use std::io::Write;
use std::process::ExitCode;

use comfy_table::{Table, presets};
use serde_json::json;

use super::Outcome;
use crate::settings::{Settings, SettingsArgs};

/// Show every setting with its value, where that was set, and what it does
#[derive(clap::Args)]
#[command(after_help = "Examples:
  sheaf config
  sheaf config --config /etc/sheaf/sheaf.toml --json

The setting limits.body is `body` in the section [limits] of the settings file, the variable SHEAF_LIMITS_BODY and the flag
--limits-body; of several, the last one of these counts. Passwords are not shown.")]
pub(crate) struct Args {
    #[command(flatten)]
    settings: SettingsArgs,
    /// Print one JSON object for each setting
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, out: &mut (impl Write + Send)) -> Outcome {
    let layers = args.settings.layers()?;
    Settings::from_layers(&layers)?;
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(["SETTING", "VALUE", "SET BY", "WHAT IT IS"]);
    for (setting, values, origin) in layers.shown() {
        let origin = origin.map(ToString::to_string);
        if args.json {
            let value = if setting.is_list { json!(values) } else { json!(values.last()) };
            writeln!(
                out,
                "{}",
                json!({"key": setting.key, "value": value, "origin": origin, "help": setting.help})
            )?;
        } else {
            table.add_row([setting.key, &values.join(", "), &origin.unwrap_or_default(), setting.help]);
        }
    }
    if !args.json {
        writeln!(out, "{}", table.trim_fmt())?;
    }
    Ok(ExitCode::SUCCESS)
}
