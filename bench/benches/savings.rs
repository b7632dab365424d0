//! How fast savings are computed: a fit beside eemeter and opendsm, a portfolio of ten thousand meters, a sum of a million
//! derivatives.
//!
//! The fit is that of a year of days with heating and cooling, by all candidates; eemeter's answer is compared with ours in
//! compat mode before a time is believed. opendsm fits models of another kind, so only its time is compared. A round measures ours
//! and the peers' one after the other, because a shared machine changes its speed within seconds.
//!
//! Only `cargo xtask bench savings` asks for it all. Anyone else gets a small version of it, without peers, as a test.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::thread;

use serde_json::{Map, Value, json};
use sheaf_bench::asked::{Asked, is_test};
use sheaf_bench::peer::Peer;
use sheaf_bench::seconds::Seconds;
use sheaf_bench::store::Failure;
use sheaf_model::Tick;
use sheaf_savings::derivative::DerivativeInterpretation;
use sheaf_savings::design::Design;
use sheaf_savings::features::{Features, Purpose};
use sheaf_savings::interpretation::{EnergyUnit, Interpretation};
use sheaf_savings::meter::{MeterSeries, Reading};
use sheaf_savings::model::{Model, fit};
use sheaf_savings::portfolio::{AggregationInput, DerivativePair, Portfolio, Side, aggregate};
use sheaf_savings::run::{RunInput, RunSettings, run};
use sheaf_savings::settings::{FitSettings, Interval, Mode};
use sheaf_savings::testing::{House, Random, daily, day, hours};
use sheaf_savings::weather::Weather;
use sheaf_savings::zone::Zone;

/// How large everything is.
struct Scale {
    /// Rounds that count.
    rounds: usize,
    /// Meters of the portfolio, each with two years of days.
    meters: usize,
    /// Derivatives of the sum; every tenth has no reporting side.
    derivatives: usize,
}

const FULL: Scale = Scale { rounds: 5, meters: 10_000, derivatives: 1_000_000 };
const SMALL: Scale = Scale { rounds: 1, meters: 20, derivatives: 1_000 };

/// Fits in a row that one time is taken of: one alone is too short.
const FITS: usize = 50;

/// Weathers that the meters of the portfolio share, as those near one station do.
const STATIONS: usize = 20;

/// Days of the year before the intervention, and of both.
const BASELINE_DAYS: usize = 365;
const DAYS: usize = 730;

/// The peers, as `peers/savings.py` calls them, and where `cargo xtask` says which Python each has.
const PEERS: [(&str, &str); 2] =
    [("eemeter", "SHEAF_BENCH_PYTHON_EEMETER"), ("opendsm", "SHEAF_BENCH_PYTHON_OPENDSM")];

const CASES: [&str; 3] = ["fit", "portfolio", "sum"];

fn main() -> ExitCode {
    let asked = Asked::from_env().filter(|_| !is_test());
    match measure(asked.as_ref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(asked: Option<&Asked>) -> Result<(), Failure> {
    let is_dry = std::env::var_os("SHEAF_BENCH_DRY").is_some();
    let scale = if asked.is_none() || is_dry { SMALL } else { FULL };
    if asked.is_none() {
        println!("a small version, as a test; `cargo xtask bench savings` measures");
    }
    let wanted: Vec<&str> = match asked {
        Some(asked) if !asked.cases.is_empty() => asked.cases.iter().map(String::as_str).collect(),
        _ => CASES.to_vec(),
    };
    let mut report = Map::new();
    for case in CASES.into_iter().filter(|case| wanted.contains(case)) {
        eprintln!("    {case} …");
        let part = match case {
            "fit" => fits(&scale, asked)?,
            "portfolio" => portfolio(&scale)?,
            _ => sum(&scale)?,
        };
        report.insert(case.to_owned(), part);
    }
    if report.is_empty() {
        return Err(
            format!("no case is called {}; there are: {}", wanted.join(" or "), CASES.join(", ")).into()
        );
    }
    if let Some(asked) = asked {
        fs::write(asked.folder.join("savings.json"), Value::Object(report).to_string())?;
    }
    Ok(())
}

/// A member of the portfolio.
struct Meter {
    label: String,
    /// Whose weather it has.
    site: usize,
    readings: Vec<Reading>,
}

/// Two years of hours at a place, and their days.
struct Site {
    hours: Vec<(Tick, f64)>,
    weather: Weather,
}

impl Site {
    fn new(random: &mut Random) -> Result<Site, Failure> {
        let hours = hours(random, "2020-01-01".parse()?, DAYS);
        let weather = Weather::from_degf(hours.iter().copied(), Zone::UTC);
        Ok(Site { hours, weather })
    }

    fn readings(&self, random: &mut Random) -> Vec<Reading> {
        let houses = [House::random(random), House::random(random)];
        let sigma = random.between(1.0, 6.0);
        daily(&self.weather, |index, degf| {
            houses[usize::from(index >= BASELINE_DAYS)].energy(degf) + sigma * random.normal()
        })
    }
}

/// The same year fitted by everyone.
fn fits(scale: &Scale, asked: Option<&Asked>) -> Result<Value, Failure> {
    let mut random = Random::new(1);
    let site = Site::new(&mut random)?;
    let readings = site.readings(&mut random);
    let bounds: Vec<Tick> = readings[..=BASELINE_DAYS].iter().map(|reading| reading.start).collect();
    let energy: Vec<f64> =
        readings[..BASELINE_DAYS].iter().map(|reading| reading.value.unwrap_or(f64::NAN)).collect();
    let meter = MeterSeries::new(bounds, energy);
    let designs = [Mode::Compat, Mode::Strict].map(|mode| {
        let features = Features::new(meter.bounds(), &site.weather, Interval::Daily, Purpose::Fit, mode);
        Design::new(&meter, features, Interval::Daily, mode)
    });
    let settings = FitSettings::new(Interval::Daily, true);
    let model = |design: &Design| fit(design, &settings).model.ok_or("the year has no model");
    let answers = [model(&designs[0])?, model(&designs[1])?];

    let mut peers = Vec::new();
    if let Some(asked) = asked {
        write_series(&asked.folder.join("meter.csv"), &meter, &site.hours)?;
        for (name, variable) in PEERS {
            let python = std::env::var_os(variable).ok_or_else(|| format!("{variable} names no Python"))?;
            // Cargo starts benchmarks in the folder of their package.
            let mut command = Command::new(PathBuf::from(python));
            peers.push((name, Peer::start(command.arg("peers/savings.py").arg(&asked.folder).arg(name))?));
        }
    }
    let mut seconds = Seconds::default();
    for round in 0..=scale.rounds {
        if round == 1 {
            seconds = Seconds::default();
        }
        for (case, design) in ["compat", "strict"].into_iter().zip(&designs) {
            seconds.time(case, || -> Result<(), Failure> {
                for _ in 0..FITS {
                    std::hint::black_box(model(std::hint::black_box(design))?);
                }
                Ok(())
            })?;
        }
        for (name, peer) in &mut peers {
            let took = peer.seconds("fit")?;
            seconds.add(name, took);
        }
    }
    for (name, peer) in &mut peers {
        peer.save("fit")?;
        if let (Some(asked), &mut "eemeter") = (asked, name) {
            let text = fs::read_to_string(asked.folder.join("eemeter-fit.answer.json"))?;
            compare(&answers[0], &serde_json::from_str(&text)?)?;
        }
    }
    let names: Vec<&str> = peers.iter().map(|(_, peer)| peer.name()).collect();
    Ok(
        json!({ "peer": names.join(", "), "fits": FITS, "model": answers[0].formula(), "seconds": Value::from(seconds) }),
    )
}

/// Files as eemeter reads them; the temperatures go beside the meter.
fn write_series(path: &Path, meter: &MeterSeries, hours: &[(Tick, f64)]) -> Result<(), Failure> {
    let mut text = "start,value\n".to_owned();
    for (start, energy) in meter.bounds().iter().zip(meter.energy()) {
        writeln!(text, "{start},{energy:?}")?;
    }
    // A value without an end says where the one before it ends.
    let cap = meter.bounds().last().ok_or("the meter has no days")?;
    writeln!(text, "{cap},")?;
    fs::write(path, text)?;
    let mut text = "start,value\n".to_owned();
    for (start, degf) in hours.iter().take(BASELINE_DAYS * 24) {
        writeln!(text, "{start},{degf:?}")?;
    }
    Ok(fs::write(path.with_file_name("temperature.csv"), text)?)
}

/// That eemeter has found the same model.
fn compare(found: &Model, expected: &Value) -> Result<(), Failure> {
    const TOLERANCE: f64 = 1e-9;
    let numbers = [
        ("intercept", Some(found.intercept)),
        ("beta_hdd", found.beta_hdd),
        ("beta_cdd", found.beta_cdd),
        ("heating_balance_point", found.heating_balance_point),
        ("cooling_balance_point", found.cooling_balance_point),
        ("r_squared_adj", Some(found.r_squared_adj)),
    ];
    for (name, number) in numbers {
        let expected = expected[name].as_f64();
        let is_same = match (number, expected) {
            (Some(number), Some(expected)) => (number - expected).abs() <= TOLERANCE * expected.abs(),
            (None, None) => true,
            _ => false,
        };
        if !is_same {
            return Err(format!("{name} is {number:?}, and eemeter has {expected:?}").into());
        }
    }
    Ok(())
}

/// All meters on all cores, from readings in memory to one figure with the status of each.
fn portfolio(scale: &Scale) -> Result<Value, Failure> {
    let mut random = Random::new(2);
    let sites = (0..STATIONS).map(|_| Site::new(&mut random)).collect::<Result<Vec<_>, _>>()?;
    let meters: Vec<Meter> = (0..scale.meters)
        .map(|meter| {
            let site = meter % STATIONS;
            Meter { label: format!("meter-{meter}"), site, readings: sites[site].readings(&mut random) }
        })
        .collect();
    let threads = thread::available_parallelism()?.get();
    let mut seconds = Seconds::default();
    for _ in 0..scale.rounds {
        let sum = seconds.time("portfolio", || -> Result<Portfolio, Failure> {
            let parts = meters.chunks(meters.len().div_ceil(threads));
            let sites = &sites;
            let pairs: Vec<DerivativePair> = thread::scope(|scope| {
                let running: Vec<_> = parts.map(|part| scope.spawn(move || members(part, sites))).collect();
                running.into_iter().flat_map(|part| part.join().unwrap_or_default()).collect()
            });
            Ok(aggregate(&request("metered_savings", pairs))?)
        })?;
        let figure = sum.figure.ok_or("no meter was accepted")?;
        if figure.members != scale.meters as u64 {
            return Err(format!("{} of {} meters were accepted", figure.members, scale.meters).into());
        }
    }
    Ok(json!({
        "meters": scale.meters, "days": DAYS, "threads": threads, "seconds": Value::from(seconds),
        "peak_bytes": peak_bytes(),
    }))
}

/// Each meter run, both periods fitted, and its metered savings.
fn members(meters: &[Meter], sites: &[Site]) -> Vec<DerivativePair> {
    let name = DerivativeInterpretation::MeteredSavings;
    let member = |meter: &Meter| {
        let Meter { label, site, readings } = meter;
        let first = readings.first()?.start;
        let result = run(RunInput {
            readings,
            interpretation: Interpretation::ElectricityConsumptionSupplied,
            unit: EnergyUnit::Kwh,
            weather: &sites[*site].weather,
            normal_year: None,
            baseline_end: day(first, BASELINE_DAYS),
            reporting_start: day(first, BASELINE_DAYS),
            settings: RunSettings::new(Mode::Strict),
        })
        .result;
        let pair = result.derivatives.iter().find(|pair| pair.derivative_interpretation == name)?;
        Some(DerivativePair::of_run(label.clone(), pair))
    };
    meters.iter().filter_map(member).collect()
}

fn request(derivative: &str, pairs: Vec<DerivativePair>) -> AggregationInput {
    AggregationInput {
        aggregation_interpretation: "SUM".to_owned(),
        trace_interpretation: Interpretation::ElectricityConsumptionSupplied.name().to_owned(),
        derivative_interpretation: derivative.to_owned(),
        baseline_default: None,
        reporting_default: None,
        pairs,
    }
}

/// Derivatives of a large portfolio into one figure, with the status of each.
fn sum(scale: &Scale) -> Result<Value, Failure> {
    let side = |seed: usize| Side {
        value: Some(1000.0 + (seed % 977) as f64),
        lower: Some(10.0 + (seed % 89) as f64),
        upper: Some(10.0 + (seed % 83) as f64),
        n: Some(365.0),
    };
    let pairs = (0..scale.derivatives).map(|index| DerivativePair {
        label: format!("derivative-{index}"),
        derivative_interpretation: Some("annualized_weather_normal".to_owned()),
        trace_interpretation: Some(Interpretation::ElectricityConsumptionSupplied.name().to_owned()),
        unit: Some("KWH".to_owned()),
        baseline: side(index),
        reporting: if index % 10 == 0 { Side::default() } else { side(index * 7) },
        ..DerivativePair::default()
    });
    let request = request("annualized_weather_normal", pairs.collect());
    let mut seconds = Seconds::default();
    for _ in 0..=scale.rounds {
        let portfolio = seconds.time("sum", || aggregate(&request))?;
        let figure = portfolio.figure.ok_or("no derivative was accepted")?;
        let expected = scale.derivatives - scale.derivatives.div_ceil(10);
        if figure.members != expected as u64 || portfolio.members.len() != scale.derivatives {
            return Err(format!("{} derivatives were accepted instead of {expected}", figure.members).into());
        }
    }
    Ok(json!({ "derivatives": scale.derivatives, "seconds": Value::from(seconds) }))
}

/// The most memory that this process has had; `None` where there is no such number.
fn peak_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}
