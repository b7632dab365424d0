//! Bounds that mean what they say: simulated meters whose truth is known, each with the full search of candidates.

use sheaf_savings::design::Design;
use sheaf_savings::features::{Features, Purpose};
use sheaf_savings::meter::MeterSeries;
use sheaf_savings::model::fit;
use sheaf_savings::savings::metered_savings;
use sheaf_savings::settings::{FitSettings, Interval, Mode};

use super::reference::at;
use super::simulate::{House, Random, weather};

/// The truth is what the house of before would have used in the reporting period, in the mean, minus what the house of after
/// did use in the mean. Noise is independent.
#[test]
fn the_interval_of_metered_savings_covers_the_truth() {
    const METERS: usize = 1500;
    let mut random = Random::new(1);
    let weather = weather(&mut random, at("2019-01-01"), 730);
    let days = weather.day_bounds();
    let settings = FitSettings::new(Interval::Daily, true);
    let features = |range: std::ops::RangeInclusive<usize>| {
        Features::new(&days[range], &weather, Interval::Daily, Purpose::Fit, Mode::Strict)
    };
    let (before, after) = (features(0..=365), features(365..=730));
    let mut covered = 0;
    let (mut error, mut width) = (0.0, 0.0);
    for _ in 0..METERS {
        let houses = [House::random(&mut random), House::random(&mut random)];
        let sigma = random.between(1.0, 6.0);
        let mean = |house: &House, day: usize| house.energy(weather.day_degf()[day]);
        let energy: Vec<f64> =
            (0..730).map(|day| mean(&houses[day / 365], day) + sigma * random.normal()).collect();
        let truth: f64 = (365..730).map(|day| mean(&houses[0], day) - mean(&houses[1], day)).sum();
        let baseline = MeterSeries::new(days[..=365].to_vec(), energy[..365].to_vec());
        let reporting = MeterSeries::new(days[365..].to_vec(), energy[365..].to_vec());
        let design = Design::new(&baseline, before.clone(), Interval::Daily, Mode::Strict);
        let model = fit(&design, &settings).model.unwrap();
        let savings = metered_savings(&model, &reporting, &after, 0.95);
        let bound = savings.bound.unwrap();
        covered += usize::from((savings.metered_savings - truth).abs() <= bound);
        error += savings.metered_savings - truth;
        width += bound;
    }
    let coverage = covered as f64 / METERS as f64;
    println!("coverage {coverage}, mean error over mean bound {}", error / width);
    assert!((0.93..=0.97).contains(&coverage), "{coverage}");
}

/// Bills of a month, of houses whose days vary. Among 1 900 candidates one fits a dozen rows too well, and the autocorrelation
/// of so few residuals is an accident, most often a negative one, so that n′ is above n: both make the bound too narrow. What
/// is covered is reported; it should not get less.
#[test]
fn bills_are_covered_less() {
    const METERS: usize = 1500;
    let mut random = Random::new(2);
    let weather = weather(&mut random, at("2019-01-01"), 720);
    let days = weather.day_bounds();
    let interval = Interval::BillingMonthly;
    let settings = FitSettings::new(interval, true);
    let bounds: Vec<_> = days.iter().step_by(30).copied().collect();
    let features = |bounds: &[_]| Features::new(bounds, &weather, interval, Purpose::Fit, Mode::Strict);
    let (before, after) = (features(&bounds[..=12]), features(&bounds[12..]));
    let (mut covered, mut covered_without) = (0, 0);
    for _ in 0..METERS {
        let houses = [House::random(&mut random), House::random(&mut random)];
        let sigma = random.between(1.0, 6.0);
        let mean = |house: &House, day: usize| house.energy(weather.day_degf()[day]);
        let bill = |number: usize, random: &mut Random| -> f64 {
            (number * 30..number * 30 + 30)
                .map(|day| mean(&houses[day / 360], day) + sigma * random.normal())
                .sum()
        };
        let energy: Vec<f64> = (0..24).map(|number| bill(number, &mut random)).collect();
        let truth: f64 = (360..720).map(|day| mean(&houses[0], day) - mean(&houses[1], day)).sum();
        let baseline = MeterSeries::new(bounds[..=12].to_vec(), energy[..12].to_vec());
        let reporting = MeterSeries::new(bounds[12..].to_vec(), energy[12..].to_vec());
        let design = Design::new(&baseline, before.clone(), interval, Mode::Strict);
        let mut model = fit(&design, &settings).model.unwrap();
        let error = |savings: f64| (savings - truth).abs();
        let savings = metered_savings(&model, &reporting, &after, 0.95);
        covered += usize::from(error(savings.metered_savings) <= savings.bound.unwrap());
        model.totals_metrics.n_prime = Some(model.totals_metrics.n_prime.unwrap().min(12.0));
        let savings = metered_savings(&model, &reporting, &after, 0.95);
        covered_without += usize::from(error(savings.metered_savings) <= savings.bound.unwrap());
    }
    let share = |covered: usize| covered as f64 / METERS as f64;
    println!("coverage of bills {}, with n′ at most n {}", share(covered), share(covered_without));
    assert!(share(covered) > 0.75);
}
