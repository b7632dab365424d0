//! Degree days and resampled series, as eemeter 3.2.0 computes them. Its files have twelve digits.

use sheaf_model::Tick;
use sheaf_savings::meter::MeterSeries;
use sheaf_savings::resample::{average, spread};
use sheaf_savings::settings::Mode;
use sheaf_savings::zone::Zone;

use super::reference::{csv, fitted, hourly_degf, weather};

const DIGITS: f64 = 1e-10;

fn same(got: f64, expected: f64) -> bool {
    got.is_nan() && expected.is_nan() || (got - expected).abs() <= DIGITS * expected.abs().max(1.0)
}

#[test]
fn degree_days() {
    for meter in ["il-electricity-cdd-hdd-daily", "il-electricity-cdd-hdd-billing_monthly"] {
        let fitted = fitted(meter, Mode::Compat, weather());
        let design = &fitted.designs[0];
        let path = format!("eemeter320/{meter}.design_matrix_subset.csv");
        for (row, (start, expected)) in csv(&path).iter().enumerate().take(design.usage_per_day().len()) {
            let features = design.features();
            let period = &features.periods()[row];
            assert_eq!(period.start, *start);
            let degree_days = [50.0, 58.0, 60.0, 65.0].map(|point| features.hdd_per_day(row, point));
            let cooling = [60.0, 65.0, 70.0].map(|point| features.cdd_per_day(row, point));
            let got = [
                design.usage_per_day()[row],
                period.temperature_mean,
                period.temperature_not_null as f64,
                period.temperature_null as f64,
                period.n_days_kept,
                period.n_days_dropped,
            ];
            for (got, expected) in got.iter().chain(&degree_days).chain(&cooling).zip(expected) {
                assert!(same(*got, *expected), "{meter} {start}: {got} instead of {expected}");
            }
        }
    }
}

/// Steps of these rows; the last one ends `last_lasts` ticks after its start, or nowhere.
fn steps(rows: Vec<(Tick, f64)>, last_lasts: Option<i64>) -> MeterSeries {
    let end = last_lasts.and_then(|ticks| rows.last().unwrap().0.checked_add(ticks));
    let bounds = rows.iter().map(|(start, _)| *start).chain(end).collect();
    MeterSeries::new(bounds, rows.iter().map(|(_, value)| *value).collect())
}

fn days(series: &MeterSeries) -> Vec<Tick> {
    Zone::UTC.day_bounds(series.bounds()[0], *series.bounds().last().unwrap())
}

#[test]
fn energy_is_spread_over_days() {
    for name in ["as_freq_billing", "as_freq_hourly"] {
        let rows = csv(&format!("inputs/{name}_input.csv"));
        let series = steps(rows.into_iter().map(|(start, values)| (start, values[0])).collect(), None);
        let days = days(&series);
        let expected = csv(&format!("eemeter320/{name}_to_daily.csv"));
        let got = spread(&series, &days);
        assert_eq!(expected.len(), got.len() + 1);
        for ((bin, day), (start, expected)) in got.iter().zip(&days).zip(&expected) {
            assert_eq!(day, start);
            assert!(same(bin.value, expected[0]), "{name} {start}: {} instead of {}", bin.value, expected[0]);
            if let Some(coverage) = expected.get(1) {
                assert!(same(bin.coverage, *coverage));
            }
        }
        assert!(expected.last().unwrap().1[0].is_nan());
    }
}

/// The series ends at 17:00 of the third day; eemeter gives the last temperature one minute.
#[test]
fn temperatures_are_averaged_over_days() {
    let end: Tick = "2015-11-24T17:00".parse().unwrap();
    let hours = hourly_degf().into_iter().take_while(|(start, _)| *start <= end).collect();
    let series = steps(hours, Some(60 * Tick::PER_SECOND));
    let expected = csv("eemeter320/as_freq_temp_to_daily.csv");
    for (bin, (start, expected)) in average(&series, &days(&series)).iter().zip(&expected) {
        assert!(same(bin.value, expected[0]), "{start}: {} instead of {}", bin.value, expected[0]);
    }
}
