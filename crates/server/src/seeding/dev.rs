//! The seed of OpenEEmeter's datastore: a project in Pasadena with six traces of constant values, and weather, so that all of them
//! can be metered.

use sheaf_db::datastore::ProjectPatch;
use sheaf_metering::records::Record;
use sheaf_metering::times::{micros, now};
use sheaf_model::{EnergyUnit, Interpretation};
use sheaf_store::Watch;

use super::traces::NewTrace;
use super::weather::Climate;
use super::{SeedError, TICKS_PER_DAY, TICKS_PER_HOUR, access, day, days_since_1970, traces, weather};
use crate::data::Data;

/// What its people call the project.
pub(crate) const PROJECT: &str = "DEV_SEED_PROJECT";

const BASELINE_PERIOD_END: &str = "2012-01-01";
const REPORTING_PERIOD_START: &str = "2012-02-01";

/// The end of all traces: a record without a value, as the last one has no end.
const END: &str = "2015-01-01";

/// The first day with weather, and the one behind the last.
const WEATHER: [&str; 2] = ["2009-01-01", "2016-01-01"];

/// Records without a value, by their places in each trace.
const NULLS: [usize; 3] = [5, 100, 1000];

const PASADENA: Climate =
    Climate { zipcodes: &["91104"], mean_degc: 18.5, season_degc: 5.5, day_degc: 5.5, noise_degc: 2.5 };

/// When the records of a trace begin.
#[derive(Clone, Copy)]
enum Starts {
    Monthly,
    EveryMinutes(i64),
}

/// A trace of the seed.
struct Shape {
    name: &'static str,
    interpretation: Interpretation,
    unit: EnergyUnit,
    starts: Starts,
    begin: &'static str,
    value: f64,
}

/// In the order of their ids.
const SHAPES: [Shape; 6] = {
    use EnergyUnit::{Kwh, Therm};
    use Interpretation::{
        ElectricityConsumptionSupplied as Electricity, ElectricityOnSiteGenerationUnconsumed as Solar,
        NaturalGasConsumptionSupplied as Gas,
    };
    use Starts::{EveryMinutes, Monthly};
    const fn shape(
        (name, interpretation, unit): (&'static str, Interpretation, EnergyUnit),
        starts: Starts,
        begin: &'static str,
        value: f64,
    ) -> Shape {
        Shape { name, interpretation, unit, starts, begin, value }
    }
    [
        shape(("DEV_SEED_TRACE_NATURAL_GAS_MONTHLY", Gas, Therm), Monthly, "2010-01-01", 1.0),
        shape(("DEV_SEED_TRACE_NATURAL_GAS_DAILY", Gas, Therm), EveryMinutes(24 * 60), "2011-09-01", 2.0),
        shape(("DEV_SEED_TRACE_ELECTRICITY_15MIN", Electricity, Kwh), EveryMinutes(15), "2011-01-01", 0.04),
        shape(("DEV_SEED_TRACE_ELECTRICITY_HOURLY", Electricity, Kwh), EveryMinutes(60), "2011-01-01", 0.4),
        shape(("DEV_SEED_TRACE_SOLAR_HOURLY", Solar, Kwh), EveryMinutes(60), "2012-01-15", 0.3),
        shape(("DEV_SEED_TRACE_SOLAR_30MIN", Solar, Kwh), EveryMinutes(30), "2010-01-01", 0.1),
    ]
};

impl Shape {
    fn records(&self) -> Result<Vec<Record>, SeedError> {
        let (begin, end) = (days_since_1970(self.begin)?, days_since_1970(END)?);
        let record = |start, place| Record {
            start,
            value: Some(self.value).filter(|_| !NULLS.contains(&place)),
            estimated: false,
        };
        let mut records: Vec<Record> = match self.starts {
            Starts::Monthly => {
                let months = (2010..2015).flat_map(|year| (1..=12).map(move |month| (year, month)));
                let first = |(year, month)| days_since_1970(&format!("{year}-{month:02}-01"));
                let days = months.map(first).collect::<Result<Vec<i64>, _>>()?;
                days.into_iter().enumerate().map(|(place, start)| record(day(start), place)).collect()
            }
            Starts::EveryMinutes(minutes) => {
                let step = minutes * (TICKS_PER_HOUR / 60);
                let count = (end - begin) * TICKS_PER_DAY / step;
                let start = |place| day(begin).checked_add(place * step);
                let starts = (0..count).filter_map(start);
                starts.enumerate().map(|(place, start)| record(start, place)).collect()
            }
        };
        records.push(Record { start: day(end), value: None, estimated: false });
        Ok(records)
    }
}

/// What was made that was not there.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) known: access::Known,
    /// The id of the project.
    pub(crate) project: i64,
    /// Traces whose records were written, and how many those were.
    pub(crate) traces: u64,
    pub(crate) records: u64,
    /// Series of weather that were written.
    pub(crate) weather: usize,
}

/// Makes what is missing of the seed.
pub(crate) async fn seed(data: &Data, watch: &Watch) -> Result<Made, SeedError> {
    let known = access::well_known(&data.database.access()).await?;
    let time = |date| Ok::<_, SeedError>(Some(Some(micros(day(days_since_1970(date)?)))));
    let patch = ProjectPatch {
        zipcode: Some(PASADENA.zipcodes.first().map(|&zipcode| zipcode.to_owned())),
        baseline_period_end: time(BASELINE_PERIOD_END)?,
        reporting_period_start: time(REPORTING_PERIOD_START)?,
        ..ProjectPatch::default()
    };
    let datastore = data.database.datastore();
    let project = match datastore.find_project(PROJECT).await? {
        Some(project) => project.id,
        None => datastore.create_project(PROJECT.to_owned(), patch, now()).await?.id,
    };
    let [first, end] = WEATHER;
    let weather = weather::seed(data, &[PASADENA], days_since_1970(first)?, days_since_1970(end)?).await?;
    let new: Vec<NewTrace> = SHAPES
        .iter()
        .map(|shape| NewTrace {
            trace_id: shape.name.to_owned(),
            interpretation: shape.interpretation,
            unit: shape.unit,
            project,
        })
        .collect();
    let records = SHAPES.iter().map(Shape::records).collect::<Result<Vec<_>, _>>()?;
    let seeded = traces::seed(data, &new, |place| records[place].clone(), watch).await?;
    Ok(Made { known, project, traces: seeded.traces, records: seeded.records, weather })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_have_the_shapes_of_the_datastore() {
        let records: Vec<Vec<Record>> = SHAPES.iter().map(|shape| shape.records().unwrap()).collect();
        let counts: Vec<usize> = records.iter().map(Vec::len).collect();
        // With the one at the end: 60 months; 4 months and 3 years; 1461 days; 1082 days; 5 years.
        assert_eq!(counts, [61, 1219, 1461 * 96 + 1, 1461 * 24 + 1, 1082 * 24 + 1, 1826 * 48 + 1]);
        for (shape, records) in SHAPES.iter().zip(&records) {
            assert!(records.is_sorted_by(|one, next| one.start < next.start), "{}", shape.name);
            assert_eq!(records[5].value, None);
            assert_eq!(records[6].value, Some(shape.value));
            assert_eq!(records.last().unwrap().start.to_string(), "2015-01-01T00:00:00Z");
            assert_eq!(records.last().unwrap().value, None);
        }
        assert_eq!(records[0][1].start.to_string(), "2010-02-01T00:00:00Z");
    }
}
