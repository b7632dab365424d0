//! How far the two modes are apart on the reference meters: the numbers of the decision record.

use sheaf_savings::features::{Features, Purpose};
use sheaf_savings::savings::{MeteredSavings, metered_savings, modeled_savings};
use sheaf_savings::settings::Mode;
use sheaf_savings::zone::Zone;

use super::reference::{at, fitted, weather};

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

/// Metered savings, their bound at 95 % (fractional savings uncertainty in compat) and modelled savings of 2017: compat and
/// strict of each.
const DOCUMENTED: [(&str, [f64; 6]); 12] = [
    ("il-electricity-cdd-hdd-daily", [793.9, 793.9, 376.1, 384.4, 799.4, 799.4]),
    ("il-electricity-cdd-hdd-billing_monthly", [795.7, 776.5, 139.1, 212.1, 995.5, 992.0]),
    ("il-electricity-cdd-hdd-billing_bimonthly", [123.7, 649.7, 36.1, 9.1, -456.9, 814.0]),
    ("il-electricity-cdd-only-daily", [308.8, 308.8, 518.2, 515.0, 308.8, 308.8]),
    ("il-electricity-cdd-only-billing_monthly", [514.8, 443.8, 295.2, 478.8, 516.9, 441.7]),
    ("il-electricity-cdd-only-billing_bimonthly", [-366.8, 436.9, 273.3, 568.4, -959.4, 395.3]),
    ("il-gas-hdd-only-daily", [83.6, 83.6, 44.9, 46.2, 79.5, 79.5]),
    ("il-gas-hdd-only-billing_monthly", [64.0, 60.5, 17.8, 30.5, 81.2, 75.2]),
    ("il-gas-hdd-only-billing_bimonthly", [24.2, 43.6, 89.8, 10.9, -91.9, 81.6]),
    ("il-gas-intercept-only-daily", [103.1, 103.1, 26.8, 27.4, 102.9, 102.9]),
    ("il-gas-intercept-only-billing_monthly", [95.1, 95.1, 11.0, 21.2, 106.6, 106.5]),
    ("il-gas-intercept-only-billing_bimonthly", [78.1, 81.0, 5.4, 23.4, 105.6, 113.1]),
];

#[test]
fn strict_beside_compat() {
    for (meter, documented) in DOCUMENTED {
        let [strict, compat] = [Mode::Strict, Mode::Compat].map(|mode| figures(meter, mode));
        let got = [
            compat.metered.metered_savings,
            strict.metered.metered_savings,
            compat.metered.error_bands.unwrap().fsu,
            strict.metered.bound.unwrap(),
            compat.modeled,
            strict.modeled,
        ];
        println!("| {meter} | {} | {} | {got:.1?} |", &compat.formula[14..], &strict.formula[14..]);
        for (got, documented) in got.iter().zip(documented) {
            assert!((got - documented).abs() <= 0.051, "{meter}: {got} instead of {documented}");
        }
        if meter.ends_with("-daily") {
            assert_eq!(strict.formula, compat.formula);
            let difference = strict.metered.metered_savings - compat.metered.metered_savings;
            assert!(difference.abs() <= 1e-9 * compat.metered.counterfactual_usage, "{meter}: {difference}");
        }
    }
}
