//! Temperatures from any table: a column of times and one of temperatures, whose title says what they are in.
//!
//! If all times are full hours in UTC, each value is taken for the mean of the hour from its time on; else values are reports
//! of their moment.

use sheaf_model::Tick;

use super::{
    Observation, Reading, Reports, TemperatureUnit, WeatherData, WeatherFile, WeatherFormat, WeatherOptions,
    WeatherProblem,
};
use crate::error::{Shown, SourceError, TableProblem};
use crate::input::Input;
use crate::open::{TableOptions, open_table};
use crate::table::{Column, Rows, Table};

const TICKS_PER_HOUR: i64 = 3_600 * Tick::PER_SECOND;

pub(super) fn read(input: Input, options: &WeatherOptions) -> Result<WeatherFile, SourceError> {
    let mut csv = options.csv.clone();
    if let Some(column) = &options.temperature_column {
        csv.value_columns = vec![column.clone()];
    }
    let mut table = open_table(input, &TableOptions { format: None, csv })?;
    let refuse = |table: &dyn Table, problem| SourceError::Table {
        input: table.name().to_owned(),
        line: None,
        problem: Box::new(TableProblem::Weather(problem)),
    };
    let mut reports = Reports::default();
    let mut found = None;
    while let Some(batch) = table.next_batch()? {
        let (index, unit) = match found {
            Some(found) => found,
            None => {
                *found.insert(temperatures(table.columns(), options.unit).map_err(|it| refuse(&*table, it))?)
            }
        };
        for (row, &start) in batch.starts.iter().enumerate() {
            let degrees = match &batch.rows {
                Rows::Wide(columns) => columns[index].get(row),
                Rows::Long { series, values } if series[row] as usize == index => values.get(row),
                Rows::Long { .. } => continue,
            };
            let degrees = degrees.filter(|degrees| degrees.is_finite());
            let reading = degrees.map_or(Reading::Missing, |degrees| Reading::Known(unit.to_degc(degrees)));
            // Readers of tables give no times beyond the range.
            let Ok(at) = Tick::new(start) else { continue };
            reports.add(at, reading).map_err(|problem| refuse(&*table, problem))?;
        }
    }
    // Series of a long table come up one by one.
    if found.is_some() {
        temperatures(table.columns(), options.unit).map_err(|problem| refuse(&*table, problem))?;
    }
    let (station, data, report) = reports.into_parts();
    Ok(WeatherFile { format: WeatherFormat::Table, station, data: as_hours(data), report })
}

/// The column of temperatures, the only one or the only one whose title says so; and what they are in.
fn temperatures(
    columns: &[Column],
    unit: Option<TemperatureUnit>,
) -> Result<(usize, TemperatureUnit), WeatherProblem> {
    let mut found = (0..columns.len()).filter(|&index| columns.len() == 1 || is_temperature(&columns[index]));
    let (Some(index), None) = (found.next(), found.next()) else {
        let titles: Vec<_> = columns.iter().map(|column| Shown(&column.title).to_string()).collect();
        return Err(WeatherProblem::TemperatureColumn { columns: titles.join(", ") });
    };
    let column = &columns[index];
    let unit = unit.or_else(|| unit_of(column));
    let unit = unit.ok_or_else(|| WeatherProblem::Unit { column: Shown(&column.title).to_string() })?;
    Ok((index, unit))
}

fn is_temperature(column: &Column) -> bool {
    let name = column.name.to_lowercase();
    let other = ["dew", "wet", "soil", "indoor"].iter().any(|other| name.contains(other));
    !other && (name.contains("temp") || name.contains("bulb") || unit_of(column).is_some())
}

/// What the title says that the values are in: `T (°C)`, `tempF`, `temperature_c`.
fn unit_of(column: &Column) -> Option<TemperatureUnit> {
    let text = column.unit.as_deref().unwrap_or(&column.name).to_lowercase();
    let word = text
        .rsplit(|letter: char| !letter.is_alphanumeric() && letter != '°')
        .find(|word| !word.is_empty())?;
    // `airTempF` is one word.
    let word =
        word.rsplit_once("temperature").or_else(|| word.rsplit_once("temp")).map_or(word, |(_, unit)| unit);
    match word.trim_start_matches('°') {
        "c" | "degc" | "celsius" | "centigrade" => Some(TemperatureUnit::Celsius),
        "f" | "degf" | "fahrenheit" => Some(TemperatureUnit::Fahrenheit),
        _ => None,
    }
}

/// Reports that all come at full hours are hours; the first of several with one time counts.
fn as_hours(data: WeatherData) -> WeatherData {
    match data {
        WeatherData::Reports(mut list) if list.iter().all(is_full_hour) => {
            list.dedup_by_key(|hour| hour.at);
            WeatherData::Hourly(list)
        }
        data => data,
    }
}

fn is_full_hour(observation: &Observation) -> bool {
    observation.at.ticks() % TICKS_PER_HOUR == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::csv::split_unit;
    use crate::table::Seen;

    fn column(title: &str) -> Column {
        let (name, unit) = split_unit(title);
        Column {
            title: title.to_owned(),
            name: name.to_owned(),
            unit: unit.map(str::to_owned),
            nexus: None,
            seen: Seen::default(),
        }
    }

    #[test]
    fn titles_say_the_unit_or_they_do_not() {
        use TemperatureUnit::{Celsius, Fahrenheit};
        for (title, unit) in [
            ("tempF", Some(Fahrenheit)),
            ("temp_f", Some(Fahrenheit)),
            ("Temperature (°F)", Some(Fahrenheit)),
            ("airTempF", Some(Fahrenheit)),
            ("Dry Bulb [degF]", Some(Fahrenheit)),
            ("temperature_c", Some(Celsius)),
            ("temperatureC", Some(Celsius)),
            ("T (°C)", Some(Celsius)),
            ("T [deg C]", Some(Celsius)),
            ("outdoor celsius", Some(Celsius)),
            ("temperature", None),
            ("temp", None),
            ("T", None),
            ("T (K)", None),
            ("magic", None),
            ("stuff", None),
        ] {
            assert_eq!(unit_of(&column(title)), unit, "{title}");
        }
    }

    #[test]
    fn of_several_columns_one_is_the_temperature() {
        let index = |titles: &[&str]| {
            let columns: Vec<_> = titles.iter().copied().map(column).collect();
            let found = temperatures(&columns, Some(TemperatureUnit::Celsius));
            found.map(|(index, _)| index).map_err(|error| error.to_string())
        };
        assert_eq!(index(&["x"]), Ok(0));
        assert_eq!(index(&["wind (m/s)", "temperature", "dew point temperature (°C)"]), Ok(1));
        assert_eq!(
            index(&["T1 (°C)", "T2 (°C)"]).unwrap_err(),
            "which column has the temperatures? Name it with option `temperature_column`. The columns are `T1 (°C)`, \
             `T2 (°C)`"
        );
        assert!(index(&["a", "b"]).is_err());
    }
}
