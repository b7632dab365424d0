//! The tables that savings are computed from.

use std::error::Error;
use std::path::Path;

use sheaf_model::Tick;
use sheaf_savings::interpretation::{EnergyUnit, Interpretation};
use sheaf_savings::meter::Reading;
use sheaf_savings::weather::Weather;
use sheaf_savings::zone::Zone;
use sheaf_sources::{Batch, CsvOptions, Input, Rows, TableOptions, open_table};

use super::{Args, TemperatureUnit};

/// The column that marks estimated reads.
const ESTIMATED: &str = "estimated";

/// One column of a table.
struct Series {
    rows: Vec<(Tick, f64)>,
    /// 0 where a row was not estimated, or nothing is said of it.
    estimated: Vec<f64>,
    unit: Option<String>,
}

/// The records of the meter, and their unit.
pub(super) fn meter(args: &Args) -> Result<(Vec<Reading>, EnergyUnit), Box<dyn Error>> {
    let series = series(args, &args.meter, args.value_column.as_deref(), "--value-column")?;
    let is_gas = args.interpretation == Interpretation::NaturalGasConsumptionSupplied;
    let usual = if is_gas { EnergyUnit::Therm } else { EnergyUnit::Kwh };
    let (unit, factor) = match (args.unit, series.unit.as_deref()) {
        (Some(unit), _) => unit,
        (None, Some(title)) => EnergyUnit::parse(title).ok_or_else(|| {
            format!(
                "{}: the title says that values are in `{title}`, which is no unit that is known here: say --unit kWh, \
                 Wh or therm",
                args.meter.display()
            )
        })?,
        (None, None) => (usual, 1.0),
    };
    let reading = |((start, value), estimated): ((Tick, f64), f64)| Reading {
        start,
        value: Some(value * factor).filter(|value| !value.is_nan()),
        estimated: estimated > 0.0,
    };
    Ok((series.rows.into_iter().zip(series.estimated).map(reading).collect(), unit))
}

/// Temperatures, with the days of a zone.
pub(super) fn weather(args: &Args, file: &Path, zone: Zone) -> Result<Weather, Box<dyn Error>> {
    let series = series(args, file, args.temperature_column.as_deref(), "--temperature-column")?;
    let unit = match (args.temperature_unit, series.unit.as_deref()) {
        (Some(unit), _) => unit,
        (None, None | Some("°F" | "F" | "degF" | "deg F")) => TemperatureUnit::F,
        (None, Some("°C" | "C" | "degC" | "deg C")) => TemperatureUnit::C,
        (None, Some(title)) => {
            return Err(format!(
                "{}: the title says that temperatures are in `{title}`: say --temperature-unit F or C",
                file.display()
            )
            .into());
        }
    };
    Ok(match unit {
        TemperatureUnit::F => Weather::from_degf(series.rows, zone),
        TemperatureUnit::C => Weather::from_degc(series.rows, zone),
    })
}

/// The one column of values of a table, or the one that is named.
fn series(
    args: &Args,
    file: &Path,
    named: Option<&str>,
    option: &'static str,
) -> Result<Series, Box<dyn Error>> {
    let input = if file.as_os_str() == "-" { Input::stdin() } else { Input::file(file) };
    let time_zone = args.time_zone.as_ref().map(Zone::to_string);
    let csv = CsvOptions { time_zone, flags: true, ..CsvOptions::default() };
    let mut table = open_table(input, &TableOptions { csv, ..TableOptions::default() })?;
    let of_table = |problem: String| format!("{}: {problem}", file.display());
    // The series of a long table are known once a row was read.
    let mut next = table.next_batch()?;
    if let Some(Batch { rows: Rows::Long { .. }, .. }) = next {
        let problem =
            "it is a long table, with a column that names series; one of times and one of values is needed";
        return Err(of_table(problem.to_owned()).into());
    }
    let titles: Vec<String> = table.columns().iter().map(|column| column.name.clone()).collect();
    let estimated = titles.iter().position(|title| title.eq_ignore_ascii_case(ESTIMATED));
    let candidates: Vec<usize> = (0..titles.len())
        .filter(|&at| Some(at) != estimated)
        .filter(|&at| named.is_none_or(|named| titles[at] == named || table.columns()[at].title == named))
        .collect();
    let &[at] = &candidates[..] else {
        let there = titles.iter().map(|title| format!("`{title}`")).collect::<Vec<_>>().join(", ");
        let problem = match (named, titles.len()) {
            (_, 0) => "there is no column of values".to_owned(),
            (Some(named), _) => {
                format!("no column, or more than one, is called `{named}`; there are {there}")
            }
            (None, _) => format!("which column is it? Name one with {option}: {there}"),
        };
        return Err(of_table(problem).into());
    };
    let unit = table.columns()[at].unit.clone();
    let mut series = Series { rows: Vec::new(), estimated: Vec::new(), unit };
    while let Some(Batch { starts, rows: Rows::Wide(columns), .. }) = next {
        for (row, &start) in starts.iter().enumerate() {
            let value = |column: usize| columns.get(column).and_then(|values| values.get(row));
            series.rows.push((Tick::new(start)?, value(at).unwrap_or(f64::NAN)));
            series.estimated.push(estimated.and_then(value).unwrap_or(0.0));
        }
        next = table.next_batch()?;
    }
    Ok(series)
}
