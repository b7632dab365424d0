//! What must hold whatever the meter.

use proptest::prelude::*;
use sheaf_model::Tick;
use sheaf_savings::derivative::DerivativeInterpretation;
use sheaf_savings::features::{Features, Purpose};
use sheaf_savings::interpretation::{EnergyUnit, Interpretation};
use sheaf_savings::meter::Reading;
use sheaf_savings::model::Model;
use sheaf_savings::run::{RunInput, RunResult, RunSettings, run};
use sheaf_savings::savings::{metered_savings, modeled_savings};
use sheaf_savings::settings::Mode;
use sheaf_savings::testing::{House, Random, daily, day, hours};
use sheaf_savings::weather::Weather;
use sheaf_savings::zone::{TICKS_PER_HOUR, Zone};
use statrs::distribution::{ContinuousCDF, StudentsT};

use super::reference::{at, baseline_end, fitted, hourly_degf, meters, readings, reporting_start, weather};

fn close(got: f64, expected: f64) {
    assert!((got - expected).abs() <= 1e-9 * expected.abs().max(1e-6), "{got} instead of {expected}");
}

/// Two years of a house that changes after the first one.
fn two_years(seed: u64, start: Tick) -> (Vec<(Tick, f64)>, Vec<Reading>, Weather) {
    let mut random = Random::new(seed);
    let hours = hours(&mut random, start, 731);
    let weather = Weather::from_degf(hours.clone(), Zone::UTC);
    let houses = [House::random(&mut random), House::random(&mut random)];
    let readings = daily(&weather, |index, degf| houses[index / 366].energy(degf) + 2.0 * random.normal());
    (hours, readings, weather)
}

fn result(readings: &[Reading], weather: &Weather, start: Tick, mode: Mode) -> RunResult {
    let input = RunInput {
        readings,
        interpretation: Interpretation::ElectricityConsumptionSupplied,
        unit: EnergyUnit::Kwh,
        weather,
        normal_year: None,
        baseline_end: day(start, 365),
        reporting_start: day(start, 366),
        settings: RunSettings::new(mode),
    };
    run(input).result
}

fn shifted(tick: Tick, hours: i64) -> Tick {
    tick.checked_add(hours * TICKS_PER_HOUR).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn scaling_energy_scales_savings(seed: u64, factor in 1e-3..1e4_f64) {
        let start = at("2020-01-01");
        let (_, readings, weather) = two_years(seed, start);
        let scaled: Vec<Reading> = readings
            .iter()
            .map(|reading| Reading { value: reading.value.map(|value| value * factor), ..*reading })
            .collect();
        for mode in [Mode::Strict, Mode::Compat] {
            let once = result(&readings, &weather, start, mode);
            let more = result(&scaled, &weather, start, mode);
            let [a, b] = [&once, &more].map(|result| result.metered_savings.as_ref().unwrap());
            close(b.counterfactual_usage, factor * a.counterfactual_usage);
            close(b.bound.unwrap(), factor * a.bound.unwrap());
            close(b.bias.unwrap(), factor * a.bias.unwrap());
            close(b.error_bands.unwrap().fsu, factor * a.error_bands.unwrap().fsu);
            let [a, b] = [&once, &more].map(|result| result.modeled_savings.as_ref().unwrap());
            close(b.modeled_baseline_usage, factor * a.modeled_baseline_usage);
            let [a, b] = [once, more].map(|result| result.baseline.fit.model.unwrap());
            prop_assert_eq!(a.formula(), b.formula());
        }
    }

    #[test]
    fn a_zone_may_be_anywhere(seed: u64, hours_east in -12_i64..=14) {
        let start = at("2020-01-01");
        let (hours, readings, weather) = two_years(seed, start);
        let zone = Zone::fixed(hours_east as i32 * 3600).unwrap();
        let elsewhere = Weather::from_degf(hours.iter().map(|(hour, degf)| (shifted(*hour, -hours_east), *degf)), zone);
        let moved: Vec<Reading> = readings
            .iter()
            .map(|reading| Reading { start: shifted(reading.start, -hours_east), ..*reading })
            .collect();
        let here = result(&readings, &weather, start, Mode::Strict);
        let there = result(&moved, &elsewhere, shifted(start, -hours_east), Mode::Strict);
        prop_assert_eq!(&here.baseline.fit, &there.baseline.fit);
        let savings = |result: &RunResult| result.metered_savings.as_ref().unwrap().metered_savings;
        prop_assert_eq!(savings(&here), savings(&there));
    }

    #[test]
    fn results_are_the_same_bytes_and_read_back(seed: u64) {
        let start = at("2020-01-01");
        let (_, readings, weather) = two_years(seed, start);
        let first = result(&readings, &weather, start, Mode::Strict);
        let text = serde_json::to_string(&first).unwrap();
        prop_assert_eq!(&text, &serde_json::to_string(&result(&readings, &weather, start, Mode::Strict)).unwrap());
        let read: RunResult = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(&read, &first);
        let model: Model = serde_json::from_str(&serde_json::to_string(&first.baseline.fit.model).unwrap()).unwrap();
        prop_assert_eq!(Some(model), first.baseline.fit.model);
    }
}

/// The residuals of the reporting fit add up to zero, and the three winter days that the two periods differ in need no
/// cooling: so what is saved by the meter is what is saved by the model.
#[test]
fn metered_equals_modeled_where_it_must() {
    let fitted = fitted("il-electricity-cdd-only-daily", Mode::Compat, weather());
    let [baseline, reporting] = fitted.fits.each_ref().map(|fit| fit.model.as_ref().unwrap());
    let features =
        |bounds: &[Tick]| Features::new(bounds, weather(), fitted.interval, Purpose::Predict, Mode::Compat);
    let metered = metered_savings(baseline, &fitted.reporting, &features(fitted.reporting.bounds()), 0.9);
    let days = Zone::UTC.day_bounds(at("2017-01-01"), at("2018-01-01"));
    let modeled = modeled_savings(baseline, reporting, &features(&days), 0.9);
    let relative = metered.metered_savings / modeled.modeled_savings - 1.0;
    assert!(relative.abs() < 1e-11, "{relative:e}");
}

/// The monthly meters are read at six o'clock UTC: where that is midnight, all days are whole and both modes agree.
#[test]
fn modes_agree_on_bills_of_whole_days() {
    let elsewhere = Weather::from_degf(hourly_degf(), Zone::fixed(-6 * 3600).unwrap());
    for meter in meters().filter(|meter| meter.ends_with("billing_monthly")) {
        let [strict, compat] = [Mode::Strict, Mode::Compat].map(|mode| fitted(meter, mode, &elsewhere));
        for (strict, compat) in strict.fits.iter().zip(&compat.fits) {
            let [strict, compat] = [strict, compat].map(|fit| fit.model.as_ref().unwrap());
            assert_eq!(strict.formula(), compat.formula());
            close(strict.intercept, compat.intercept);
            close(strict.r_squared_adj, compat.r_squared_adj);
        }
    }
}

/// The bound by its formula written out, for a line with one balance point: equations of three unknowns, by elimination.
#[test]
fn the_bound_of_a_sum() {
    let fitted = fitted("il-gas-hdd-only-daily", Mode::Strict, weather());
    let model = fitted.fits[0].model.as_ref().unwrap();
    let of_reporting =
        Features::new(fitted.reporting.bounds(), weather(), fitted.interval, Purpose::Predict, Mode::Strict);
    let got = metered_savings(model, &fitted.reporting, &of_reporting, 0.95);
    let point = model.heating_balance_point.unwrap();
    let gradient = |features: &Features, row: usize| -> [f64; 3] {
        let hdd = |point| features.hdd_per_day(row, point);
        [1.0, hdd(point), model.beta_hdd.unwrap() * (hdd(point + 0.5) - hdd(point - 0.5))]
    };
    let (n, m, p) = (365.0, 365.0, 3.0);
    let predicted = |row: usize| {
        model.intercept + model.beta_hdd.unwrap() * gradient(fitted.designs[0].features(), row)[1]
    };
    let sse: f64 =
        (0..365).map(|row| (fitted.designs[0].usage_per_day()[row] - predicted(row)).powi(2)).sum();
    let s2 = sse / (n - p);
    let uncertainty = model.uncertainty.as_ref().unwrap();
    close(uncertainty.residual_variance, s2);
    assert_eq!(uncertainty.degrees_of_freedom, n - p);
    // JᵀJ + Λ, with 61 balance points from 30 to 90 °F, beside z.
    let (mut equations, mut z) = ([[0.0; 4]; 3], [0.0; 3]);
    for row in 0..365 {
        let j = gradient(fitted.designs[0].features(), row);
        for a in 0..3 {
            for b in 0..3 {
                equations[a][b] += j[a] * j[b];
            }
            z[a] += gradient(&of_reporting, row)[a];
        }
    }
    equations[2][2] += s2 * 12.0 / (60.0 * 60.0);
    for a in 0..3 {
        equations[a][3] = z[a];
    }
    for a in 0..3 {
        for b in (0..3).filter(|b| *b != a) {
            let (factor, subtracted) = (equations[b][a] / equations[a][a], equations[a]);
            equations[b].iter_mut().zip(subtracted).for_each(|(left, right)| *left -= factor * right);
        }
    }
    let leverage: f64 = (0..3).map(|a| z[a] * equations[a][3] / equations[a][a]).sum();
    let n_prime = model.totals_metrics.n_prime.unwrap();
    let t = got.bound.unwrap() / (n / n_prime.min(n) * (s2 * leverage + s2 * m)).sqrt();
    close(StudentsT::new(0.0, 1.0, n - p).unwrap().cdf(t), 0.975);
    let bias = got.bias.unwrap();
    assert!(bias != 0.0 && bias.abs() < 0.1 * got.bound.unwrap(), "{bias}");
}

#[test]
fn derivatives_of_a_run() {
    let zone = Zone::UTC;
    let year =
        hourly_degf().into_iter().filter(|(hour, _)| (at("2017-01-01")..at("2018-01-01")).contains(hour));
    let normal_year = Weather::from_degf(year, zone);
    let readings = readings("il-electricity-cdd-hdd-daily");
    for mode in [Mode::Strict, Mode::Compat] {
        let input = RunInput {
            readings: &readings,
            interpretation: Interpretation::ElectricityConsumptionSupplied,
            unit: EnergyUnit::Kwh,
            weather: weather(),
            normal_year: Some(&normal_year),
            baseline_end: baseline_end(),
            reporting_start: reporting_start(),
            settings: RunSettings::new(mode),
        };
        let run = run(input);
        let names: Vec<_> =
            run.result.derivatives.iter().map(|pair| pair.derivative_interpretation).collect();
        assert_eq!(
            names,
            [
                DerivativeInterpretation::AnnualizedWeatherNormal,
                DerivativeInterpretation::GrossPredicted,
                DerivativeInterpretation::MeteredSavings,
                DerivativeInterpretation::ModeledSavings
            ]
        );
        let savings: Vec<f64> = run
            .result
            .derivatives
            .iter()
            .map(|pair| {
                let [baseline, reporting] = [pair.baseline.unwrap(), pair.reporting.unwrap()];
                assert_eq!((baseline.n, reporting.n), (365.0, 365.0));
                assert!(baseline.lower.unwrap() > 0.0 && baseline.lower == baseline.upper);
                baseline.value - reporting.value
            })
            .collect();
        close(savings[0], 799.366_205_889_602);
        close(savings[2], 793.908_496_472_533);
        assert_eq!(savings[0], savings[3]);
        let series = run.named_series();
        let point = |name: &str| {
            let found = series.iter().find(|series| series.series == name);
            found.unwrap_or_else(|| panic!("{name}")).points[0].value.unwrap()
        };
        close(point("Cumulative baseline model minus observed, reporting period"), savings[2]);
        close(point("Cumulative baseline model minus reporting model, normal year"), savings[0]);
        assert_eq!(point("Cooling degree day balance point, baseline period"), 68.0);
        let names: Vec<&str> = series.iter().map(|series| series.series.as_str()).collect();
        println!("{names:#?}");
        assert_eq!(names.len(), 36);
    }
}
