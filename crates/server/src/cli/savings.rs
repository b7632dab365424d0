//! `sheaf savings`: what a meter saved.

mod input;
mod json;
mod text;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use sheaf_savings::interpretation::{EnergyUnit, Interpretation, UnknownInterpretation};
use sheaf_savings::run::{RunInput, RunSettings, run as run_meter};
use sheaf_savings::settings;
use sheaf_savings::zone::{UnknownTime, Zone};

use super::Outcome;

/// Fit a meter before and after an intervention, and say what was saved, with bounds
#[derive(clap::Args)]
#[command(after_help = "Examples:
  sheaf savings meter.csv --temperature station.csv --baseline-end 2016-12-26 --reporting-start 2017-01-04
  sheaf savings gas.csv --interpretation NATURAL_GAS_CONSUMPTION_SUPPLIED --temperature station.csv \\
      --baseline-end 2016-12-26 --reporting-start 2017-01-04 --time-zone America/Chicago --json

Both files are tables (CSV, plain or compressed, or Parquet) with a column of times and one of values. A time is the begin of
what its value covers, which ends where the next row begins; so the value of the last row of a meter does not count. A column
`estimated` with 1 or true marks reads that somebody estimated. Days, hours and bills are told apart by themselves.

Units come from the titles, like `value (kWh)` or `T (°C)`; without one, electricity is in kWh, gas in therms, and
temperatures are in °F.

`strict` is CalTRACK 2.0 as it is written, `compat` computes what eemeter 3.2 does; docs/SAVINGS.md lists the differences.
Exit code 1 if there are no savings to be had from these data; what is wrong is said, with --json as `status`.")]
pub(crate) struct Args {
    /// The meter's records
    #[arg(value_name = "METER")]
    meter: PathBuf,
    /// Outdoor temperatures by the hour, of both periods
    #[arg(long, value_name = "FILE")]
    temperature: PathBuf,
    /// The intervention begins, like 2016-12-26 or 2016-12-26T06:00Z: the baseline is the year before
    #[arg(long, value_name = "TIME", value_parser = time)]
    baseline_end: String,
    /// The intervention is over: the reporting period is the year after
    #[arg(long, value_name = "TIME", value_parser = time)]
    reporting_start: String,
    /// What was metered: `ELECTRICITY_CONSUMPTION_SUPPLIED`, … or for short `E_C_S`, …
    #[arg(long, value_name = "NAME", default_value_t = Interpretation::ElectricityConsumptionSupplied, value_parser = interpretation)]
    interpretation: Interpretation,
    /// Which arithmetic is followed
    #[arg(long, value_enum, default_value_t = Mode::Strict)]
    mode: Mode,
    /// Unit of the meter: kWh, Wh or therm [default: the title's, else kWh, of gas therm]
    #[arg(long, value_name = "UNIT", value_parser = unit)]
    unit: Option<(EnergyUnit, f64)>,
    /// Unit of the temperatures [default: the title's, else F]
    #[arg(long, value_enum)]
    temperature_unit: Option<TemperatureUnit>,
    /// Temperatures of a normal year, for modelled savings over it instead of the reporting period
    #[arg(long, value_name = "FILE")]
    normal_year: Option<PathBuf>,
    /// The zone whose days count, and of times without an offset, like America/Chicago [default: UTC]
    #[arg(long, value_name = "ZONE", value_parser = Zone::new)]
    time_zone: Option<Zone>,
    /// The column of the meter's values, if there are several
    #[arg(long, value_name = "TITLE")]
    value_column: Option<String>,
    /// The column of temperatures, if there are several
    #[arg(long, value_name = "TITLE")]
    temperature_column: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// The method as it is written
    Strict,
    /// What eemeter 3.2 computes
    Compat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum TemperatureUnit {
    /// Degrees Fahrenheit
    F,
    /// Degrees Celsius
    C,
}

fn interpretation(text: &str) -> Result<Interpretation, UnknownInterpretation> {
    text.to_ascii_uppercase().parse()
}

/// Which time it is depends on the zone; whether it is one does not.
fn time(text: &str) -> Result<String, UnknownTime> {
    Zone::UTC.time(text).map(|_| text.to_owned())
}

fn unit(text: &str) -> Result<(EnergyUnit, f64), String> {
    EnergyUnit::parse(text).ok_or_else(|| "it is kWh, Wh or therm".to_owned())
}

pub(crate) fn run(args: &Args, out: &mut impl Write) -> Outcome {
    let zone = args.time_zone.clone().unwrap_or_default();
    let baseline_end = zone.time(&args.baseline_end)?;
    let reporting_start = zone.time(&args.reporting_start)?;
    let (readings, unit) = input::meter(args)?;
    let weather = input::weather(args, &args.temperature, zone.clone())?;
    let normal_year =
        args.normal_year.as_ref().map(|file| input::weather(args, file, zone.clone())).transpose()?;
    let mode = match args.mode {
        Mode::Strict => settings::Mode::Strict,
        Mode::Compat => settings::Mode::Compat,
    };
    let result = run_meter(RunInput {
        readings: &readings,
        interpretation: args.interpretation,
        unit,
        weather: &weather,
        normal_year: normal_year.as_ref(),
        baseline_end,
        reporting_start,
        settings: RunSettings::new(mode),
    })
    .result;
    if args.json {
        writeln!(out, "{}", json::describe(&result))?;
    } else {
        text::print(&args.meter, &result, &zone, out)?;
    }
    Ok(if result.metered_savings.is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
