//! How long a fit and a whole run of the electric daily reference meter take: the fastest and the median of many.
//!
//! `cargo run --release -p sheaf-savings --example fit_speed`

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use sheaf_model::Tick;
use sheaf_savings::design::Design;
use sheaf_savings::features::{Features, Purpose};
use sheaf_savings::interpretation::{EnergyUnit, Interpretation};
use sheaf_savings::meter::Reading;
use sheaf_savings::model::fit;
use sheaf_savings::period::{PeriodSettings, baseline};
use sheaf_savings::prepare::prepare;
use sheaf_savings::run::{RunInput, RunSettings, run};
use sheaf_savings::settings::{FitSettings, Interval, Mode};
use sheaf_savings::weather::Weather;
use sheaf_savings::zone::Zone;

const REPETITIONS: usize = 300;

fn main() -> Result<(), Box<dyn Error>> {
    let hours = rows("il-tempF.csv")?.into_iter().map(|(start, degf)| (start, degf.unwrap_or(f64::NAN)));
    let weather = Weather::from_degf(hours, Zone::UTC);
    let readings: Vec<Reading> = rows("il-electricity-cdd-hdd-daily.csv")?
        .into_iter()
        .map(|(start, value)| Reading { start, value, estimated: false })
        .collect();
    let (baseline_end, reporting_start) = ("2016-12-26".parse()?, "2017-01-04".parse()?);
    let interpretation = Interpretation::ElectricityConsumptionSupplied;
    let meter = prepare(&readings, None, interpretation, &Zone::UTC, Mode::Strict).meter;
    let (meter, _) = baseline(&meter, baseline_end, &PeriodSettings::default());
    let features = Features::new(meter.bounds(), &weather, Interval::Daily, Purpose::Fit, Mode::Strict);
    let design = Design::new(&meter, features, Interval::Daily, Mode::Strict);
    let settings = FitSettings::new(Interval::Daily, true);
    measure("fit of a prepared baseline", || {
        fit(&design, &settings).model.map_or(0.0, |model| model.intercept)
    });
    measure("run: trace to derivatives", || {
        let result = run(RunInput {
            readings: &readings,
            interpretation,
            unit: EnergyUnit::Kwh,
            weather: &weather,
            normal_year: None,
            baseline_end,
            reporting_start,
            settings: RunSettings::new(Mode::Strict),
        });
        result.result.metered_savings.map_or(0.0, |savings| savings.metered_savings)
    });
    Ok(())
}

fn measure(name: &str, mut work: impl FnMut() -> f64) {
    let answer = work();
    let mut times: Vec<Duration> = (0..REPETITIONS)
        .map(|_| {
            let start = Instant::now();
            assert!(work() == answer);
            start.elapsed()
        })
        .collect();
    times.sort();
    println!("{name}: fastest {:?}, median {:?} (answer {answer})", times[0], times[REPETITIONS / 2]);
}

/// A time and a number.
type Row = (Tick, Option<f64>);

/// Rows of a file of the tests.
fn rows(name: &str) -> Result<Vec<Row>, Box<dyn Error>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("reference/inputs").join(name);
    let text = std::fs::read_to_string(path)?;
    text.lines()
        .skip(1)
        .map(|line| {
            let (start, value) = line.split_once(',').ok_or("a row has two fields")?;
            Ok((start.parse()?, value.parse().ok()))
        })
        .collect()
}
