//! Bounds that mean what they say: simulated meters whose truth is known, each with the full search of candidates. The example
//! `coverage` simulates more of them, and portfolios of a thousand.

use sheaf_savings::settings::Interval;
use sheaf_savings::testing::{Coverage, Study};

/// Prints what came out.
fn run(study: Study) -> Coverage {
    let coverage = study.run();
    println!("{study:?}\n{coverage:?}");
    coverage
}

fn assert_between(coverage: f64, low: f64, high: f64) {
    assert!((low..=high).contains(&coverage), "{coverage} is not between {low} and {high}");
}

#[test]
fn the_interval_of_metered_savings_covers_the_truth() {
    let coverage = run(Study { portfolios: 30, members: 50, ..Study::default() });
    assert_between(coverage.strict.fraction(), 0.93, 0.97);
    assert!(coverage.mean_error.abs() < 0.05 * coverage.mean_bound);
}

/// Days that resemble the days before: n′ tells.
#[test]
fn autocorrelated_noise_is_covered() {
    let coverage = run(Study { autocorrelation: 0.5, portfolios: 30, members: 50, ..Study::default() });
    assert_between(coverage.strict.fraction(), 0.92, 0.97);
}

/// Twelve rows and five parameters.
#[test]
fn monthly_bills_are_covered() {
    let interval = Interval::BillingMonthly;
    let coverage = run(Study { interval, portfolios: 30, members: 50, ..Study::default() });
    assert_between(coverage.strict.fraction(), 0.93, 0.97);
    // What this was without counting balance points as parameters.
    assert!(coverage.compat.fraction() < 0.9);
}

/// Six rows and five parameters: hardly anything is known, and the bound says so.
#[test]
fn bimonthly_bills_are_covered() {
    let interval = Interval::BillingBimonthly;
    let coverage = run(Study { interval, portfolios: 30, members: 50, ..Study::default() });
    assert_between(coverage.strict.fraction(), 0.93, 1.0);
}

#[test]
fn the_same_seed_gives_the_same_numbers() {
    let study = Study { portfolios: 2, members: 5, ..Study::default() };
    assert_eq!(study.run(), study.run());
    assert_ne!(study.run(), Study { seed: 2, ..study }.run());
}
