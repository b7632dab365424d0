//! How far the two modes are apart on the reference meters: the numbers of the documentation.

use sheaf_savings::features::{Features, Purpose};
use sheaf_savings::savings::{MeteredSavings, metered_savings, modeled_savings};
use sheaf_savings::settings::Mode;
use sheaf_savings::zone::Zone;

use super::reference::{at, fitted, meters, weather};

struct Figures {
    formula: String,
    metered: MeteredSavings,
    modeled: f64,
}

fn figures(meter: &str, mode: Mode) -> Figures {
    let fitted = fitted(meter, mode, weather());
    let [baseline, reporting] = fitted.fits.each_ref().map(|fit| fit.model.as_ref().unwrap());
    let features = |bounds: &[_]| Features::new(bounds, weather(), fitted.interval, Purpose::Predict, mode);
    let days = Zone::UTC.day_bounds(at("2017-01-01"), at("2018-01-01"));
    Figures {
        formula: baseline.formula(),
        metered: metered_savings(baseline, &fitted.reporting, &features(fitted.reporting.bounds()), 0.95),
        modeled: modeled_savings(baseline, reporting, &features(&days), 0.95).modeled_savings,
    }
}

/// A row of the table in docs/SAVINGS.md: candidates of the baseline, metered savings, their bound at 95 % and modelled savings of
/// 2017, compat before strict.
fn row(meter: &str, compat: &Figures, strict: &Figures) -> String {
    let number = |number: Option<f64>| number.map_or("none".to_owned(), |number| format!("{number:.1}"));
    let bounds = [compat.metered.error_bands.map(|bands| bands.fsu), strict.metered.bound].map(number);
    let [metered_compat, metered_strict] = [compat, strict].map(|figures| figures.metered.metered_savings);
    let candidate = |figures: &Figures| figures.formula.trim_start_matches("meter_value ~ ").to_owned();
    format!(
        "| {meter} | {} | {} | {metered_compat:.1} | {metered_strict:.1} | {} | {} | {:.1} | {:.1} |",
        candidate(compat),
        candidate(strict),
        bounds[0],
        bounds[1],
        compat.modeled,
        strict.modeled
    )
}

#[test]
fn strict_beside_compat_as_documented() {
    let documented = std::fs::read_to_string("../../docs/SAVINGS.md").unwrap();
    let mut missing = Vec::new();
    for meter in meters() {
        let [strict, compat] = [Mode::Strict, Mode::Compat].map(|mode| figures(meter, mode));
        let row = row(meter, &compat, &strict);
        if !documented.contains(&row) {
            missing.push(row);
        }
        if meter.ends_with("-daily") {
            assert_eq!(strict.formula, compat.formula);
            let difference = strict.metered.metered_savings - compat.metered.metered_savings;
            assert!(difference.abs() <= 1e-9 * compat.metered.counterfactual_usage, "{meter}: {difference}");
        }
    }
    assert!(missing.is_empty(), "docs/SAVINGS.md lacks these rows:\n{}", missing.join("\n"));
}
