//! Whatever comes in, a status comes out.

use proptest::prelude::*;
use sheaf_model::Tick;
use sheaf_savings::interpretation::{EnergyUnit, Interpretation};
use sheaf_savings::meter::Reading;
use sheaf_savings::model::Model;
use sheaf_savings::run::{Run, RunInput, RunResult, RunSettings, RunStatus, run};
use sheaf_savings::search::ModelType;
use sheaf_savings::settings::{FitSettings, Interval, Mode};
use sheaf_savings::sufficiency::SufficiencyStatus;
use sheaf_savings::warning::Warning;
use sheaf_savings::weather::Weather;
use sheaf_savings::zone::{TICKS_PER_DAY, Zone};

use super::reference::{at, baseline_end, hourly_degf, readings, reporting_start, weather};

const MODES: [Mode; 2] = [Mode::Strict, Mode::Compat];

fn outcome<'a>(readings: &'a [Reading], weather: &'a Weather, mode: Mode) -> Run<'a> {
    outcome_with(readings, weather, RunSettings::new(mode))
}

fn outcome_with<'a>(readings: &'a [Reading], weather: &'a Weather, settings: RunSettings) -> Run<'a> {
    run(RunInput {
        readings,
        interpretation: Interpretation::ElectricityConsumptionSupplied,
        unit: EnergyUnit::Kwh,
        weather,
        normal_year: None,
        baseline_end: baseline_end(),
        reporting_start: reporting_start(),
        settings,
    })
}

fn result(readings: &[Reading], mode: Mode) -> RunResult {
    let run = outcome(readings, weather(), mode);
    run.named_series();
    let text = serde_json::to_string(&run.result).unwrap();
    assert!(serde_json::from_str::<RunResult>(&text).is_ok());
    run.result
}

/// The daily meter with other values.
fn with_values(value: impl Fn(usize, f64) -> Option<f64>) -> Vec<Reading> {
    let given = readings("il-electricity-cdd-hdd-daily");
    let changed = |(index, reading): (usize, &Reading)| Reading {
        value: reading.value.and_then(|energy| value(index, energy)),
        ..*reading
    };
    given.iter().enumerate().map(changed).collect()
}

#[test]
fn nothing_and_little() {
    let all = readings("il-electricity-cdd-hdd-daily");
    for mode in MODES {
        for n_readings in [0, 1] {
            assert_eq!(result(&all[..n_readings], mode).status, RunStatus::NoMeterData { n_readings });
        }
        let result = result(&all[..2], mode);
        assert!(matches!(result.status, RunStatus::NoBaselineModel { n_usable_periods: 0, .. }));
        assert_eq!(result.baseline.sufficiency.status, SufficiencyStatus::NoData);
    }
}

/// One day has a mean, and a mean is a model; nothing can be said of its bounds.
#[test]
fn one_usable_day() {
    for mode in MODES {
        let result =
            result(&with_values(|index, energy| (index == 100 || index > 500).then_some(energy)), mode);
        let model = result.baseline.fit.model.unwrap();
        assert_eq!(model.model_type, ModelType::InterceptOnly);
        assert_eq!(model.uncertainty, None);
        assert_eq!(result.metered_savings.unwrap().bound, None);
        assert_eq!(result.baseline.sufficiency.status, SufficiencyStatus::Fail);
    }
}

#[test]
fn all_zeros() {
    let zeros = with_values(|_, _| Some(0.0));
    // Electricity of zero is missing, by the method.
    let strict = result(&zeros, Mode::Strict);
    assert_eq!(strict.status, RunStatus::NoMeterData { n_readings: 810 });
    assert!(strict.warnings.contains(&Warning::ZeroMeterValuesAreMissing { n_zero_values: 809 }));
    let compat = result(&zeros, Mode::Compat);
    assert_eq!(compat.status, RunStatus::Success);
    let model = compat.baseline.fit.model.unwrap();
    assert_eq!((model.model_type, model.intercept), (ModelType::InterceptOnly, 0.0));
    assert_eq!(compat.metered_savings.unwrap().metered_savings, 0.0);
}

#[test]
fn a_constant_meter() {
    for mode in MODES {
        let result = result(&with_values(|_, _| Some(12.3)), mode);
        let model = result.baseline.fit.model.unwrap();
        assert_eq!(model.model_type, ModelType::InterceptOnly);
        assert!((model.intercept - 12.3).abs() < 1e-12);
        assert!(result.metered_savings.unwrap().metered_savings.abs() < 1e-9);
    }
}

/// The days of a meter that shows 0.04 every quarter of an hour are all the same, and a few bits beside 3.84.
#[test]
fn a_constant_meter_of_sums() {
    let value: f64 = std::iter::repeat_n(0.04, 96).sum();
    assert_ne!(value, 3.84);
    for run in [
        result(&with_values(|_, _| Some(value)), Mode::Strict),
        result(
            &with_values(|day, _| {
                // Sums in another order differ in the last bits, and so do days.
                Some(if day % 3 == 0 { value } else { 3.84 })
            }),
            Mode::Strict,
        ),
    ] {
        assert_eq!(run.status, RunStatus::Success);
        let savings = run.metered_savings.unwrap();
        assert!(savings.metered_savings.abs() < 1e-10, "{}", savings.metered_savings);
        assert_eq!(savings.bound, Some(0.0));
        for pair in &run.derivatives {
            let bounds = pair.baseline.iter().chain(&pair.reporting).map(|side| (side.lower, side.upper));
            assert!(bounds.into_iter().all(|bounds| bounds == (Some(0.0), Some(0.0))), "{pair:?}");
        }
    }
}

#[test]
fn negative_values() {
    for mode in MODES {
        let result = result(&with_values(|_, energy| Some(-energy)), mode);
        assert!(matches!(result.status, RunStatus::NoBaselineModel { n_usable_periods: 365, .. }));
        let negative = Warning::NegativeMeterValues { n_negative_meter_values: 365 };
        assert!(result.baseline.sufficiency.warnings.contains(&negative));
    }
}

#[test]
fn not_a_number_and_infinite() {
    for mode in MODES {
        let result = result(
            &with_values(|index, energy| match index % 50 {
                0 => Some(f64::NAN),
                1 => Some(f64::INFINITY),
                2 => Some(f64::NEG_INFINITY),
                3 => None,
                _ => Some(energy),
            }),
            mode,
        );
        assert_eq!(result.status, RunStatus::Success);
        assert!(result.warnings.contains(&Warning::InfiniteMeterValues { n_infinite_values: 34 }));
    }
}

#[test]
fn unordered_and_duplicate() {
    let given = readings("il-electricity-cdd-hdd-daily");
    let mut shuffled: Vec<Reading> = given.iter().rev().copied().collect();
    shuffled.extend(given[..10].iter().map(|reading| Reading { value: Some(1e9), ..*reading }));
    for mode in MODES {
        let [straight, shuffled] = [&given, &shuffled].map(|readings| result(readings, mode));
        assert_eq!(straight.metered_savings, shuffled.metered_savings);
        assert!(shuffled.warnings.contains(&Warning::DuplicateMeterTimes { n_duplicates: 10 }));
        assert!(matches!(shuffled.warnings[0], Warning::UnorderedMeterTimes { .. }));
    }
}

#[test]
fn no_weather_and_wrong_weather() {
    let readings = readings("il-electricity-cdd-hdd-daily");
    let none = Weather::from_degf([], Zone::UTC);
    let unknown = Weather::from_degf(hourly_degf().into_iter().map(|(hour, _)| (hour, f64::NAN)), Zone::UTC);
    let celsius = hourly_degf().into_iter().map(|(hour, degf)| (hour, (degf - 32.0) / 1.8));
    let celsius = Weather::from_degf(celsius, Zone::UTC);
    for mode in MODES {
        for weather in [&none, &unknown] {
            let result = outcome(&readings, weather, mode).result;
            assert_eq!(result.status, RunStatus::NoTemperature);
            assert!(result.warnings.contains(&Warning::NoTemperature {}));
        }
        let result = outcome(&readings, &celsius, mode).result;
        assert!(result.warnings.iter().any(|warning| matches!(warning, Warning::PerhapsCelsius { .. })));
    }
}

#[test]
fn constant_weather() {
    let constant = Weather::from_degf(hourly_degf().into_iter().map(|(hour, _)| (hour, 40.1)), Zone::UTC);
    let readings = readings("il-electricity-cdd-hdd-daily");
    for mode in MODES {
        let model = outcome(&readings, &constant, mode).result.baseline.fit.model.unwrap();
        assert_eq!(model.model_type, ModelType::InterceptOnly);
    }
}

#[test]
fn periods_that_overlap() {
    let readings = readings("il-electricity-cdd-hdd-daily");
    let mut input = outcome(&readings, weather(), Mode::Strict);
    assert_eq!(input.result.status, RunStatus::Success);
    input = run(RunInput {
        readings: &readings,
        interpretation: Interpretation::ElectricityConsumptionSupplied,
        unit: EnergyUnit::Kwh,
        weather: weather(),
        normal_year: None,
        baseline_end: reporting_start(),
        reporting_start: baseline_end(),
        settings: RunSettings::new(Mode::Strict),
    });
    assert!(matches!(input.result.status, RunStatus::PeriodsOverlap { .. }));
    assert!(input.result.derivatives.is_empty());
}

/// A local meter across both changes of the clocks: strict days are as long as they are.
#[test]
fn a_local_meter() {
    let zone = Zone::new("America/Chicago").unwrap();
    let weather = Weather::from_degf(hourly_degf(), zone.clone());
    let days = zone.day_bounds(at("2015-11-23T12:00"), at("2018-02-07T12:00"));
    let readings: Vec<Reading> = days
        .iter()
        .enumerate()
        .map(|(index, start)| Reading {
            start: *start,
            value: Some(20.0 + (index % 7) as f64),
            estimated: false,
        })
        .collect();
    let result = outcome(&readings, &weather, Mode::Strict).result;
    assert_eq!(result.status, RunStatus::Success);
    let savings = result.metered_savings.unwrap();
    assert!((savings.n_days - 364.0).abs() < 0.1, "{}", savings.n_days);
    assert!(savings.periods.iter().all(|period| period.savings().is_some()));
    let lengths: std::collections::BTreeSet<i64> =
        days.windows(2).map(|pair| (pair[1].ticks() - pair[0].ticks()) * 24 / TICKS_PER_DAY).collect();
    assert_eq!(lengths.into_iter().collect::<Vec<_>>(), [23, 24, 25]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Nothing panics, and what comes out can be written and read.
    #[test]
    fn anything(
        rows in proptest::collection::vec((0..1_200_i64, any::<f64>(), any::<bool>()), 0..60),
        hours_apart in prop_oneof![Just(1_i64), Just(24), Just(24 * 30), Just(1_000_000)],
        may_be_strict: bool,
        end_day in -400..1_500_i64,
    ) {
        let start = at("2015-11-22");
        let at_hour = |hour: i64| {
            start.checked_add(hour.saturating_mul(TICKS_PER_DAY / 24)).unwrap_or(Tick::MAX)
        };
        let readings: Vec<Reading> = rows
            .iter()
            .map(|(slot, value, estimated)| Reading {
                start: at_hour(slot * hours_apart.min(240)),
                value: Some(*value),
                estimated: *estimated,
            })
            .collect();
        let mode = if may_be_strict { Mode::Strict } else { Mode::Compat };
        let run = run(RunInput {
            readings: &readings,
            interpretation: Interpretation::ElectricityConsumptionNet,
            unit: EnergyUnit::Kwh,
            weather: weather(),
            normal_year: Some(weather()),
            baseline_end: at_hour(end_day * 24),
            reporting_start: at_hour(end_day * 24),
            settings: RunSettings::new(mode),
        });
        run.named_series();
        let text = serde_json::to_string(&run.result).unwrap();
        prop_assert!(serde_json::from_str::<RunResult>(&text).is_ok());
    }
}

/// A meter that is only there after the intervention: what it would have used can't be said, what it does use can.
#[test]
fn without_a_baseline_the_other_side_is_there() {
    for mode in MODES {
        let result = result(&with_values(|index, energy| (index > 450).then_some(energy)), mode);
        assert!(matches!(result.status, RunStatus::NoBaselineModel { .. }));
        assert!(result.metered_savings.is_none() && result.modeled_savings.is_none());
        let sides: Vec<_> = result
            .derivatives
            .iter()
            .map(|pair| {
                (pair.derivative_interpretation.name(), pair.baseline.is_some(), pair.reporting.is_some())
            })
            .collect();
        let expected = [
            ("gross_predicted", false, true),
            ("metered_savings", false, false),
            ("modeled_savings", false, true),
        ];
        assert_eq!(sides, expected);
    }
}

/// A balance point that is given is the only one that is tried, and none of the parameters that are uncertain.
#[test]
fn balance_points_that_are_given() {
    let readings = readings("il-electricity-cdd-hdd-daily");
    for mode in MODES {
        let of = |fit| outcome_with(&readings, weather(), RunSettings { fit, ..RunSettings::new(mode) });
        let fit = FitSettings {
            fixed_heating_balance_point_degf: Some(60),
            fixed_cooling_balance_point_degf: Some(70),
            ..FitSettings::new(Interval::Daily, true)
        };
        let model = of(Some(fit)).result.baseline.fit.model.unwrap();
        assert_eq!(model.formula(), "meter_value ~ cdd_70 + hdd_60");
        let searched = of(None).result.baseline.fit.model.unwrap();
        let degrees = |model: &Model| model.uncertainty.as_ref().unwrap().degrees_of_freedom;
        assert_eq!(degrees(&model), degrees(&searched) + 2.0);
        let covariance = model.uncertainty.unwrap().parameter_covariance;
        assert_eq!((covariance[3][3], covariance[4][4]), (0.0, 0.0));
    }
}
