//! How far the two modes are apart on the reference meters: the numbers of the decision record.

use sheaf_savings::features::{Features, Purpose};
use sheaf_savings::savings::{MeteredSavings, metered_savings, modeled_savings};
use sheaf_savings::settings::Mode;
use sheaf_savings::zone::Zone;

use super::reference::{METERS, at, fitted, weather};

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

#[test]
fn strict_beside_compat() {
    for (meter, ..) in METERS {
        let [strict, compat] = [Mode::Strict, Mode::Compat].map(|mode| figures(meter, mode));
        println!(
            "| {meter} | {} | {} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} |",
            &compat.formula[14..],
            &strict.formula[14..],
            compat.metered.metered_savings,
            strict.metered.metered_savings,
            compat.metered.error_bands.unwrap().fsu,
            strict.metered.bound.unwrap(),
            compat.modeled,
            strict.modeled,
        );
        if meter.ends_with("-daily") {
            assert_eq!(strict.formula, compat.formula);
            let difference = strict.metered.metered_savings - compat.metered.metered_savings;
            assert!(difference.abs() <= 1e-9 * compat.metered.counterfactual_usage, "{meter}: {difference}");
        }
    }
}
