//! A programme of energy efficiency: hundreds of homes in four climates, each with a measure whose saving is known, so that what is
//! computed can be compared with what is true.
//!
//! A home needs so much energy each day, and more for each degree that it is too cold or too warm outside; its meter adds noise. A
//! measure makes some of these figures smaller. Projects differ by nothing but their number, so the first ten are the same
//! however many there are.

use serde_json::{Value, json};
use sheaf_db::datastore::{NewMetadata, OnError, ProjectPatch};
use sheaf_metering::records::Record;
use sheaf_metering::times::{micros, now};
use sheaf_model::{EnergyUnit, Interpretation, Tick};
use sheaf_store::Watch;

use super::random::Random;
use super::traces::NewTrace;
use super::weather::{Climate, daily_means};
use super::{SeedError, TICKS_PER_HOUR, day, days_since_1970, traces, weather};
use crate::data::Data;

/// How many projects there are, unless somebody says otherwise.
pub(crate) const PROJECTS: usize = 500;

/// The most projects: four digits in their names.
pub(crate) const MOST_PROJECTS: usize = 9999;

/// What tells these projects from others, in their metadata.
pub(crate) const METADATA: (&str, &str) = ("portfolio", "demo");

/// The first and the last day on which works begin.
const WORKS: [&str; 2] = ["2018-01-15", "2018-12-15"];

/// The first day with weather, and the one behind the last: all that any trace needs, in whole years.
const WEATHER: [&str; 2] = ["2016-01-01", "2021-01-01"];

/// Chicago, Phoenix, Seattle and Boston.
const CLIMATES: [Climate; 4] = [
    Climate {
        zipcodes: &["60601", "60614", "60625", "60640", "60647"],
        mean_degc: 10.5,
        season_degc: 14.0,
        day_degc: 4.0,
        noise_degc: 4.0,
    },
    Climate {
        zipcodes: &["85003", "85008", "85014", "85016", "85021"],
        mean_degc: 24.0,
        season_degc: 11.0,
        day_degc: 6.5,
        noise_degc: 2.5,
    },
    Climate {
        zipcodes: &["98101", "98103", "98115", "98122", "98144"],
        mean_degc: 11.5,
        season_degc: 7.0,
        day_degc: 3.5,
        noise_degc: 2.5,
    },
    Climate {
        zipcodes: &["02108", "02116", "02130", "02134", "02139"],
        mean_degc: 11.0,
        season_degc: 12.0,
        day_degc: 3.5,
        noise_degc: 3.5,
    },
];

const CONTRACTORS: [&str; 6] = [
    "Alder Retrofit",
    "Birch and Daughters",
    "Cedar Heating",
    "Dogwood Energy",
    "Elm Insulation",
    "Fir Homes",
];

/// What is done to a home, and the share of each need that is gone then.
struct Measure {
    name: &'static str,
    cost_usd: [f64; 2],
    base: f64,
    heating: f64,
    cooling: f64,
}

const MEASURES: [Measure; 5] = [
    Measure { name: "attic insulation", cost_usd: [1500.0, 4500.0], base: 0.0, heating: 0.22, cooling: 0.12 },
    Measure { name: "air sealing", cost_usd: [800.0, 2500.0], base: 0.0, heating: 0.15, cooling: 0.08 },
    Measure { name: "smart thermostat", cost_usd: [200.0, 600.0], base: 0.0, heating: 0.09, cooling: 0.10 },
    Measure { name: "lighting", cost_usd: [300.0, 1200.0], base: 0.18, heating: 0.0, cooling: 0.0 },
    Measure { name: "heat pump", cost_usd: [6000.0, 14000.0], base: 0.0, heating: 0.45, cooling: 0.30 },
];

/// Costs up to which there is a group of traces.
pub(crate) const COSTS_USD: [u32; 2] = [1000, 5000];

/// How many homes there are to each with hourly readings.
const HOURLY_OF: usize = 5;

/// Of five homes, so many burn gas.
const GAS_OF_FIVE: usize = 3;

/// Share of the energy of a day that is noise, one standard deviation.
const NOISE: f64 = 0.08;

/// What share of a day's energy each hour has, by the sun: a quiet night, a morning, an evening.
const HOURS: [f64; 24] = [
    0.026, 0.024, 0.023, 0.023, 0.024, 0.029, 0.038, 0.046, 0.045, 0.041, 0.039, 0.039, 0.040, 0.040, 0.040,
    0.042, 0.047, 0.055, 0.064, 0.066, 0.062, 0.055, 0.052, 0.040,
];

/// How much a home needs of a fuel.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Need {
    per_day: f64,
    per_degc_too_cold: f64,
    per_degc_too_warm: f64,
}

impl Need {
    fn of_day(self, too_cold_degc: f64, too_warm_degc: f64) -> f64 {
        self.per_day + self.per_degc_too_cold * too_cold_degc + self.per_degc_too_warm * too_warm_degc
    }

    fn after(self, measure: &Measure) -> Need {
        Need {
            per_day: self.per_day * (1.0 - measure.base),
            per_degc_too_cold: self.per_degc_too_cold * (1.0 - measure.heating),
            per_degc_too_warm: self.per_degc_too_warm * (1.0 - measure.cooling),
        }
    }
}

/// A project, with all that its records follow from. Days are counted from 1970.
struct Plan {
    number: usize,
    climate: usize,
    zipcode: &'static str,
    contractor: &'static str,
    measure: &'static Measure,
    cost_usd: u32,
    first_day: i64,
    baseline_end: i64,
    reporting_start: i64,
    end_day: i64,
    is_hourly: bool,
    heats_below_degc: f64,
    cools_above_degc: f64,
    /// In kWh.
    electricity: Need,
    /// In therms.
    gas: Option<Need>,
}

impl Plan {
    fn new(number: usize, works: [i64; 2]) -> Plan {
        let mut random = Random::new(3, number as u64);
        let climate = random.below(CLIMATES.len());
        let zipcodes = CLIMATES[climate].zipcodes;
        let measure = &MEASURES[random.below(MEASURES.len())];
        let [least_usd, most_usd] = measure.cost_usd;
        let baseline_end =
            works[0] + random.below(usize::try_from(works[1] - works[0] + 1).unwrap_or(1)) as i64;
        let reporting_start = baseline_end + 5 + random.below(40) as i64;
        // Of those with hourly readings, too.
        let has_gas = (number + number / 5) % 5 < GAS_OF_FIVE;
        let heating = if has_gas { random.between(0.05, 0.1) } else { random.between(1.0, 2.4) };
        let electricity = Need {
            per_day: random.between(7.0, 18.0),
            per_degc_too_cold: heating,
            per_degc_too_warm: random.between(1.0, 2.8),
        };
        let gas = Need {
            per_day: random.between(0.3, 0.9),
            per_degc_too_cold: random.between(0.10, 0.26),
            per_degc_too_warm: 0.0,
        };
        Plan {
            number,
            climate,
            zipcode: zipcodes[random.below(zipcodes.len())],
            contractor: CONTRACTORS[random.below(CONTRACTORS.len())],
            measure,
            cost_usd: random.between(least_usd, most_usd).round() as u32,
            first_day: baseline_end - 370 - random.below(60) as i64,
            baseline_end,
            reporting_start,
            end_day: reporting_start + 370 + random.below(60) as i64,
            is_hourly: number.is_multiple_of(HOURLY_OF),
            heats_below_degc: random.between(13.0, 17.0),
            cools_above_degc: random.between(19.0, 23.0),
            electricity,
            gas: has_gas.then_some(gas),
        }
    }

    fn project_id(&self) -> String {
        format!("DEMO_PROJECT_{:04}", self.number)
    }

    fn trace_id(&self, fuel: Fuel) -> String {
        let fuel = match fuel {
            Fuel::Electricity => "ELECTRICITY",
            Fuel::Gas => "GAS",
        };
        format!("DEMO_{:04}_{fuel}", self.number)
    }

    fn need(&self, fuel: Fuel) -> Need {
        match fuel {
            Fuel::Electricity => self.electricity,
            Fuel::Gas => self.gas.unwrap_or_default(),
        }
    }

    fn of_day(&self, need: Need, degc: f64) -> f64 {
        need.of_day((self.heats_below_degc - degc).max(0.0), (degc - self.cools_above_degc).max(0.0))
    }

    /// How much less is needed in a normal year, which has these days.
    fn saving(&self, fuel: Fuel, normal_days_degc: &[f64]) -> f64 {
        let before = self.need(fuel);
        let after = before.after(self.measure);
        normal_days_degc.iter().map(|&degc| self.of_day(before, degc) - self.of_day(after, degc)).sum()
    }

    /// What the meter counts, day by day from the first one on.
    fn energy(&self, fuel: Fuel, weather: &Weather) -> Vec<f64> {
        let stream = match fuel {
            Fuel::Electricity => 4,
            Fuel::Gas => 5,
        };
        let mut random = Random::new(stream, self.number as u64);
        let before = self.need(fuel);
        let after = before.after(self.measure);
        let of_day = |day| {
            let need = if day < self.reporting_start { before } else { after };
            let degc = weather.degc(self.climate, day);
            (self.of_day(need, degc) * (1.0 + NOISE * random.normal())).max(0.0)
        };
        (self.first_day..self.end_day).map(of_day).collect()
    }

    fn records(&self, fuel: Fuel, weather: &Weather) -> Vec<Record> {
        let energy = self.energy(fuel, weather);
        let (mut records, end_day) = match fuel {
            Fuel::Gas => self.bills(&energy),
            Fuel::Electricity if self.is_hourly => (self.hours(&energy), self.end_day),
            Fuel::Electricity => {
                let days = (self.first_day..).zip(&energy);
                let days = days.map(|(start, energy)| of(day(start), rounded(*energy, 100.0)));
                (days.collect(), self.end_day)
            }
        };
        // The last one has no end, so it has no value.
        records.push(Record { start: day(end_day), value: None, estimated: false });
        records
    }

    fn hours(&self, energy: &[f64]) -> Vec<Record> {
        let mut random = Random::new(6, self.number as u64);
        let begin = day(self.first_day);
        // The sun is some six hours late in the middle of the country.
        let local = |hour: usize| (hour + 18) % 24;
        let shares = energy.iter().flat_map(|energy| (0..24).map(move |hour| energy * HOURS[local(hour)]));
        let hour = |(index, energy): (usize, f64)| {
            let start = begin.checked_add(index as i64 * TICKS_PER_HOUR)?;
            Some(of(start, rounded(energy * (1.0 + 2.0 * NOISE * random.normal()).max(0.0), 1000.0)))
        };
        shares.enumerate().filter_map(hour).collect()
    }

    /// Bills of about a month, and the day on which the last one ends; of one home in ten, one of them is an estimate, which the
    /// next one makes good.
    fn bills(&self, energy: &[f64]) -> (Vec<Record>, i64) {
        const LONGEST_DAYS: usize = 33;
        let mut random = Random::new(7, self.number as u64);
        let estimated = self.number.is_multiple_of(10).then_some(4);
        let (mut bills, mut first, mut owed) = (Vec::new(), 0, 0.0);
        while first + LONGEST_DAYS <= energy.len() {
            let behind = first + LONGEST_DAYS - random.below(6);
            let used: f64 = energy[first..behind].iter().sum::<f64>() + owed;
            let is_estimated = estimated == Some(bills.len());
            let billed = if is_estimated { 0.9 * used } else { used };
            owed = used - billed;
            let start = day(self.first_day + first as i64);
            bills.push(Record { estimated: is_estimated, ..of(start, rounded(billed, 100.0)) });
            first = behind;
        }
        (bills, self.first_day + first as i64)
    }
}

fn of(start: Tick, value: f64) -> Record {
    Record { start, value: Some(value), estimated: false }
}

fn rounded(value: f64, per_unit: f64) -> f64 {
    (value * per_unit).round() / per_unit
}

/// What a trace counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fuel {
    Electricity,
    Gas,
}

/// The mean temperatures of the days of each climate.
struct Weather {
    first_day: i64,
    observed_degc: Vec<Vec<f64>>,
    normal_degc: Vec<Vec<f64>>,
}

impl Weather {
    fn new(first_day: i64, end_day: i64) -> Result<Weather, SeedError> {
        let observed = |climate: &Climate| Ok(daily_means(&climate.observed(first_day, end_day)?));
        let normal = |climate: &Climate| Ok(daily_means(&climate.normal_year()?));
        Ok(Weather {
            first_day,
            observed_degc: CLIMATES.iter().map(observed).collect::<Result<_, SeedError>>()?,
            normal_degc: CLIMATES.iter().map(normal).collect::<Result<_, SeedError>>()?,
        })
    }

    fn degc(&self, climate: usize, day: i64) -> f64 {
        let index = usize::try_from(day - self.first_day).ok();
        index.and_then(|index| self.observed_degc[climate].get(index).copied()).unwrap_or(f64::NAN)
    }
}

/// What was made that was not there.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    /// The ids of all its projects.
    pub(crate) projects: Vec<i64>,
    /// Traces whose records were written, and how many those were.
    pub(crate) traces: u64,
    pub(crate) records: u64,
    /// The ids of its groups of traces.
    pub(crate) groups: Vec<i64>,
}

/// Makes what is missing of the first `count` projects.
pub(crate) async fn seed(data: &Data, count: usize, watch: &Watch) -> Result<Made, SeedError> {
    let works = [days_since_1970(WORKS[0])?, days_since_1970(WORKS[1])?];
    let [first, end] = [days_since_1970(WEATHER[0])?, days_since_1970(WEATHER[1])?];
    let plans: Vec<Plan> = (1..=count).map(|number| Plan::new(number, works)).collect();
    weather::seed(data, &CLIMATES, first, end).await?;
    let weather = Weather::new(first, end)?;

    let datastore = data.database.datastore();
    let time = |days| Some(Some(micros(day(days))));
    let project = |plan: &Plan| {
        let patch = ProjectPatch {
            zipcode: Some(Some(plan.zipcode.to_owned())),
            baseline_period_end: time(plan.baseline_end),
            reporting_period_start: time(plan.reporting_start),
            ..ProjectPatch::default()
        };
        (plan.project_id(), patch)
    };
    let upserted =
        datastore.upsert_projects(plans.iter().map(project).collect(), OnError::Refuse, now()).await?;
    let projects = upserted.into_iter().map(|row| Ok(row?.id)).collect::<Result<Vec<i64>, SeedError>>()?;
    let metadata = plans.iter().flat_map(|plan| metadata_of(plan, &weather)).collect();
    for upserted in datastore.upsert_metadata(metadata, OnError::Refuse).await? {
        upserted?;
    }

    let (mut new, mut places) = (Vec::new(), Vec::new());
    for (plan, &project) in plans.iter().zip(&projects) {
        let mut add = |fuel, interpretation, unit| {
            new.push(NewTrace { trace_id: plan.trace_id(fuel), interpretation, unit, project });
            places.push((plan, fuel));
        };
        add(Fuel::Electricity, Interpretation::ElectricityConsumptionSupplied, EnergyUnit::Kwh);
        if plan.gas.is_some() {
            add(Fuel::Gas, Interpretation::NaturalGasConsumptionSupplied, EnergyUnit::Therm);
        }
    }
    let records_of = |place: usize| {
        let (plan, fuel) = places[place];
        plan.records(fuel, &weather)
    };
    let seeded = traces::seed(data, &new, records_of, watch).await?;
    Ok(Made { projects, traces: seeded.traces, records: seeded.records, groups: groups(data).await? })
}

/// What else is known of a project. Savings are those of a normal year.
fn metadata_of(plan: &Plan, weather: &Weather) -> Vec<NewMetadata> {
    let normal = &weather.normal_degc[plan.climate];
    let one =
        |key: &str, value: String| NewMetadata { project_id: plan.project_id(), key: key.to_owned(), value };
    let mut metadata = vec![
        one(METADATA.0, METADATA.1.to_owned()),
        one("contractor", plan.contractor.to_owned()),
        one("measure", plan.measure.name.to_owned()),
        one("project_cost", plan.cost_usd.to_string()),
        one("true_savings_kwh", format!("{:.1}", plan.saving(Fuel::Electricity, normal))),
    ];
    if plan.gas.is_some() {
        metadata.push(one("true_savings_therm", format!("{:.2}", plan.saving(Fuel::Gas, normal))));
    }
    metadata
}

/// Makes the groups of traces that are missing: all, and those of each contractor, of each measure, and up to some costs.
async fn groups(data: &Data) -> Result<Vec<i64>, SeedError> {
    let is = |key: &str, comparison: &str, value: Value| {
        let target = format!("project_metadata|{key}");
        json!({"filter": {"target": target, "comparison": comparison, "value": value}})
    };
    let ours = || is(METADATA.0, "==", METADATA.1.into());
    let ours_and =
        |filter: Value| json!({"filter_boolean": {"boolean": "and", "filter_a": ours(), "filter_b": filter}});
    let mut wanted = vec![("all".to_owned(), ours())];
    for contractor in CONTRACTORS {
        wanted.push((contractor.to_owned(), ours_and(is("contractor", "==", contractor.into()))));
    }
    for measure in MEASURES {
        wanted.push((measure.name.to_owned(), ours_and(is("measure", "==", measure.name.into()))));
    }
    for cost in COSTS_USD {
        wanted.push((format!("cost up to {cost}"), ours_and(is("project_cost", "<=", cost.into()))));
    }
    let datastore = data.database.datastore();
    let mut ids = Vec::with_capacity(wanted.len());
    for (name, filter) in wanted {
        let name = format!("demo: {name}");
        let group = match datastore.find_group(&name).await? {
            Some(group) => group,
            None => datastore.create_group(name, Some(filter.to_string())).await?,
        };
        ids.push(group.id);
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::super::TICKS_PER_DAY;
    use super::*;

    fn plans(count: usize) -> Vec<Plan> {
        let works = WORKS.map(|date| days_since_1970(date).unwrap());
        (1..=count).map(|number| Plan::new(number, works)).collect()
    }

    #[test]
    fn every_project_has_a_year_of_weather_and_records_on_both_sides() {
        let [first, end] = WEATHER.map(|date| days_since_1970(date).unwrap());
        let plans = plans(PROJECTS);
        for plan in &plans {
            assert!(plan.baseline_end - plan.first_day >= 366 && plan.end_day - plan.reporting_start >= 366);
            assert!(plan.baseline_end < plan.reporting_start && first < plan.first_day && plan.end_day < end);
        }
        let gas = plans.iter().filter(|plan| plan.gas.is_some()).count();
        let hourly = plans.iter().filter(|plan| plan.is_hourly).count();
        assert_eq!((gas, hourly), (300, 100));
        for measure in &MEASURES {
            assert!(plans.iter().filter(|plan| plan.measure.name == measure.name).count() > 60);
        }
        assert!((HOURS.iter().sum::<f64>() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn records_lie_where_they_should_and_bills_lose_nothing() {
        let [first, end] = WEATHER.map(|date| days_since_1970(date).unwrap());
        let weather = Weather::new(first, end).unwrap();
        for plan in plans(20) {
            let days = plan.energy(Fuel::Electricity, &weather);
            let records = plan.records(Fuel::Electricity, &weather);
            assert_eq!(records.len(), if plan.is_hourly { days.len() * 24 + 1 } else { days.len() + 1 });
            assert!(
                records[..records.len() - 1].iter().all(|record| record.value.is_some_and(f64::is_finite))
            );
            let Some(_) = plan.gas else { continue };
            let bills = plan.records(Fuel::Gas, &weather);
            let last = bills[bills.len() - 1].start.unix_ticks() / TICKS_PER_DAY - plan.first_day;
            assert!(last > 365, "{last}");
            let used: f64 = plan.energy(Fuel::Gas, &weather)[..last as usize].iter().sum();
            let billed: f64 = bills.iter().filter_map(|bill| bill.value).sum();
            assert!((used - billed).abs() < 0.5, "{used} {billed}");
            assert!(bills.windows(2).all(|pair| {
                let days = (pair[1].start.ticks() - pair[0].start.ticks()) / TICKS_PER_DAY;
                (28..=33).contains(&days)
            }));
            assert_eq!(
                bills.iter().filter(|bill| bill.estimated).count(),
                usize::from(plan.number % 10 == 0)
            );
        }
    }

    #[test]
    fn the_first_projects_are_the_same_however_many_there_are() {
        let (few, many) = (plans(3), plans(30));
        for (one, other) in few.iter().zip(&many) {
            assert_eq!(
                (one.electricity, one.zipcode, one.cost_usd),
                (other.electricity, other.zipcode, other.cost_usd)
            );
        }
    }
}
