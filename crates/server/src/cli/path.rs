//! `sheaf path`: what a resource path says.

use std::io::Write;
use std::process::ExitCode;

use serde_json::{Value, json};
use sheaf_model::{DataType, Kind, ResourcePath, legality};

use super::Outcome;

/// Explain resource paths: print their canonical form and parts, or say where they are wrong
#[derive(clap::Args)]
#[command(after_help = "Examples:
  sheaf path '/plant/mast/T1/600_s_mean(height=80)#base=1_s'
  sheaf path /plant/mast/T1/10_min_maen --json

A path is /catalog/resource/period[_kind][(key=value,…)][#base=period&threshold=0…1].
With a base it is also checked whether the base can give the period.
Exit code 1 if any path is wrong.")]
pub(crate) struct Args {
    /// The paths; quote those with parentheses or a fragment
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    /// Print one JSON object per path
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, out: &mut impl Write) -> Outcome {
    let mut code = ExitCode::SUCCESS;
    for text in &args.paths {
        let path = text.parse::<ResourcePath>().map_err(|error| (error.to_string(), Some(error.position())));
        let path = path.and_then(|path| match check_base(&path) {
            Ok(()) => Ok(path),
            Err(error) => Err((format!("`{path}`: {error}"), None)),
        });
        match path {
            Ok(path) if args.json => writeln!(out, "{}", describe(&path))?,
            Ok(path) => print(&path, out)?,
            Err((error, position)) => {
                code = ExitCode::FAILURE;
                if args.json {
                    writeln!(out, "{}", json!({"path": text, "error": error, "position": position}))?;
                } else {
                    out.flush()?;
                    // There is nobody to tell if this fails.
                    let _ = writeln!(std::io::stderr(), "sheaf: {error}");
                }
            }
        }
    }
    Ok(code)
}

/// A path with a base says enough to be checked, unless it is an original, whose base has no meaning. The data type is
/// not known here, so an integer is assumed.
fn check_base(path: &ResourcePath) -> Result<(), legality::Illegal> {
    let Some(base) = path.base().filter(|_| path.kind() != Kind::Original) else { return Ok(()) };
    legality::check_base(path.representation(), base, DataType::Int64)
}

fn describe(path: &ResourcePath) -> Value {
    let arguments: serde_json::Map<_, _> =
        path.arguments().iter().map(|(key, value)| (key.to_string(), value.into())).collect();
    json!({
        "path": path.to_string(),
        "catalog": path.catalog().as_str(),
        "resource": path.resource().as_str(),
        "period": path.period().to_string(),
        "periodTicks": path.period().ticks(),
        "kind": path.kind().name(),
        "arguments": arguments,
        "base": path.base().map(|base| base.to_string()),
        "threshold": path.threshold().map(sheaf_model::Threshold::share),
    })
}

fn print(path: &ResourcePath, out: &mut impl Write) -> std::io::Result<()> {
    writeln!(out, "{path}")?;
    writeln!(out, "  catalog    {}", path.catalog())?;
    writeln!(out, "  resource   {}", path.resource())?;
    writeln!(out, "  period     {}", path.period())?;
    writeln!(out, "  kind       {}: {}", path.kind(), path.kind().description())?;
    for (key, value) in path.arguments().iter() {
        writeln!(out, "  argument   {key} = {value}")?;
    }
    if path.kind() != Kind::Original {
        let base = path.base().map(|base| base.to_string());
        let base = base.as_deref().unwrap_or("the first representation of the resource");
        writeln!(out, "  base       {base}")?;
    }
    if let Some(threshold) = path.threshold() {
        writeln!(out, "  threshold  {threshold} of a bucket's samples must be valid")?;
    }
    Ok(())
}
