//! The search against an independent one that is slow and simple: Householder's QR of the data of each candidate.

use sheaf_savings::design::Design;
use sheaf_savings::features::{Features, Purpose};
use sheaf_savings::meter::MeterSeries;
use sheaf_savings::model::fit;
use sheaf_savings::search::{Candidate, CandidateStatus, candidates};
use sheaf_savings::settings::{FitSettings, Interval, Mode};
use sheaf_savings::testing::{House, Random, day, weather};

use super::reference::at;

/// Coefficients and R² of y by the columns, weighted; the first column is the intercept's.
fn householder(columns: &[Vec<f64>], y: &[f64], weights: &[f64]) -> (Vec<f64>, f64) {
    let n = y.len();
    let roots: Vec<f64> = weights.iter().map(|weight| weight.sqrt()).collect();
    let scaled = |column: &[f64]| column.iter().zip(&roots).map(|(x, root)| x * root).collect::<Vec<f64>>();
    let mut a: Vec<Vec<f64>> = columns.iter().map(|column| scaled(column)).collect();
    let mut b = scaled(y);
    let k = a.len();
    for step in 0..k {
        let length = a[step][step..].iter().map(|x| x * x).sum::<f64>().sqrt();
        let mut v = a[step].clone();
        v[..step].fill(0.0);
        v[step] += length.copysign(v[step]);
        let norm: f64 = v.iter().map(|x| x * x).sum();
        for target in a.iter_mut().chain([&mut b]) {
            let share = 2.0 * target.iter().zip(&v).map(|(x, v)| x * v).sum::<f64>() / norm;
            target.iter_mut().zip(&v).for_each(|(x, v)| *x -= share * v);
        }
    }
    let mut coefficients = vec![0.0; k];
    for row in (0..k).rev() {
        let known: f64 = (row + 1..k).map(|column| a[column][row] * coefficients[column]).sum();
        coefficients[row] = (b[row] - known) / a[row][row];
    }
    let total: f64 = weights.iter().sum();
    let mean = y.iter().zip(weights).map(|(y, weight)| weight * y).sum::<f64>() / total;
    let (mut residual, mut centred) = (0.0, 0.0);
    for row in 0..n {
        let predicted: f64 = (0..k).map(|column| columns[column][row] * coefficients[column]).sum();
        residual += weights[row] * (y[row] - predicted).powi(2);
        centred += weights[row] * (y[row] - mean).powi(2);
    }
    (coefficients, 1.0 - residual / centred)
}

fn columns(design: &Design, candidate: &Candidate) -> Vec<Vec<f64>> {
    let features = design.features();
    let rows = 0..features.periods().len();
    let hdd = candidate
        .heating_balance_point
        .map(|point| rows.clone().map(|row| features.hdd_per_day(row, f64::from(point))).collect());
    let cdd = candidate
        .cooling_balance_point
        .map(|point| rows.clone().map(|row| features.cdd_per_day(row, f64::from(point))).collect());
    [Some(vec![1.0; rows.len()]), hdd, cdd].into_iter().flatten().collect()
}

fn close(got: f64, expected: f64, scale: f64, what: &str) {
    assert!(
        (got - expected).abs() <= 1e-9 * scale.max(expected.abs()),
        "{what}: {got} instead of {expected}"
    );
}

fn check(design: &Design, weights: &[f64]) {
    let settings = FitSettings::new(design.interval(), true);
    let n = design.usage_per_day().len() as f64;
    let mut best: Option<(Candidate, Vec<f64>, f64)> = None;
    for candidate in candidates(design, &settings) {
        let Some(got) = candidate.coefficients else { continue };
        let columns = columns(design, &candidate);
        let (expected, r_squared) = householder(&columns, design.usage_per_day(), weights);
        let name = format!("{candidate:?}");
        close(got.intercept, expected[0], 1.0, &name);
        if candidate.heating_balance_point.is_some() {
            close(got.beta_hdd, expected[1], 0.1, &name);
        }
        if candidate.cooling_balance_point.is_some() {
            close(got.beta_cdd, expected[columns.len() - 1], 0.1, &name);
        }
        let k = columns.len() as f64 - 1.0;
        let adjusted = if k == 0.0 { 0.0 } else { 1.0 - (n - 1.0) / (n - k - 1.0) * (1.0 - r_squared) };
        close(candidate.r_squared_adj, adjusted, 1.0, &name);
        let qualifies = expected.iter().all(|coefficient| *coefficient >= 0.0);
        assert_eq!(candidate.status == CandidateStatus::Qualified, qualifies, "{name}");
        if qualifies && best.as_ref().is_none_or(|(.., r_squared_adj)| adjusted > *r_squared_adj + 1e-12) {
            best = Some((candidate, expected, adjusted));
        }
    }
    let (candidate, expected, adjusted) = best.unwrap();
    let model = fit(design, &settings).model.unwrap();
    assert_eq!(model.heating_balance_point, candidate.heating_balance_point.map(f64::from));
    assert_eq!(model.cooling_balance_point, candidate.cooling_balance_point.map(f64::from));
    close(model.intercept, expected[0], 1e-3, "intercept");
    close(model.r_squared_adj, adjusted, 1e-3, "adjusted R²");
}

#[test]
fn random_daily_meters() {
    for seed in 0..4 {
        let mut random = Random::new(seed);
        let weather = weather(&mut random, at("2020-01-01"), 365);
        let house = House::random(&mut random);
        let energy =
            weather.day_degf().iter().map(|degf| house.energy(*degf) + 3.0 * random.normal()).collect();
        let meter = MeterSeries::new(weather.day_bounds().to_vec(), energy);
        let features = Features::new(meter.bounds(), &weather, Interval::Daily, Purpose::Fit, Mode::Strict);
        check(&Design::new(&meter, features, Interval::Daily, Mode::Strict), &[1.0; 365]);
    }
}

#[test]
fn random_bills() {
    for seed in 0..8 {
        let mut random = Random::new(seed);
        let start = at("2020-01-01");
        let weather = weather(&mut random, start, 420);
        let house = House::random(&mut random);
        let mut bounds = vec![start];
        let mut into_year = 0;
        for _ in 0..12 {
            into_year += random.between(27.0, 34.0) as usize;
            bounds.push(day(start, into_year));
        }
        let days: Vec<f64> = MeterSeries::new(bounds.clone(), vec![0.0; 12]).days().collect();
        let mut first = 0;
        let energy = days.iter().map(|days| {
            let range = first..first + *days as usize;
            first = range.end;
            let noise = 20.0 * random.normal();
            noise + weather.day_degf()[range].iter().map(|degf| house.energy(*degf)).sum::<f64>()
        });
        let meter = MeterSeries::new(bounds, energy.collect());
        let interval = Interval::BillingMonthly;
        let features = Features::new(meter.bounds(), &weather, interval, Purpose::Fit, Mode::Strict);
        check(&Design::new(&meter, features, interval, Mode::Strict), &days);
    }
}
