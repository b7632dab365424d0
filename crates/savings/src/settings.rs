//! What can be chosen: the mode, and the thresholds of the method with their clauses (CalTRACK 2.0).

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

/// Which arithmetic a result follows.
///
/// The differences and their size on the reference meters are listed in `docs/SAVINGS.md`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The method as it is written.
    #[default]
    Strict,
    /// What eemeter 3.2 computes, its defects included.
    Compat,
}

impl Mode {
    /// The bound that a figure goes out with: eemeter's is its fractional savings uncertainty.
    pub(crate) const fn bound(self, bound: Option<f64>, fsu: Option<f64>) -> Option<f64> {
        match self {
            Mode::Strict => bound,
            Mode::Compat => fsu,
        }
    }
}

/// How long the periods of a trace are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interval {
    /// One day each.
    Daily,
    /// Bills of about a month.
    BillingMonthly,
    /// Bills of about two months.
    BillingBimonthly,
}

impl Interval {
    /// Whether the periods are bills.
    pub const fn is_billing(self) -> bool {
        !matches!(self, Interval::Daily)
    }

    /// The longest bill that is kept, in whole days (2.2.3.5).
    pub const fn longest_bill_days(self) -> i64 {
        match self {
            Interval::BillingBimonthly => 70,
            Interval::Daily | Interval::BillingMonthly => 35,
        }
    }
}

/// Which candidates are tried and which qualify.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FitSettings {
    /// Whether models with cooling are tried: not for gas (3.2.1.1).
    pub fit_cdd: bool,
    /// Lowest balance point, in whole °F, at least −100 (3.2.1).
    pub lowest_balance_point_degf: i16,
    /// Highest balance point, in whole °F, at most 200 (3.2.1).
    pub highest_balance_point_degf: i16,
    /// The one heating balance point that is tried, in whole °F, instead of those; it is no parameter of the fit then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixed_heating_balance_point_degf: Option<i16>,
    /// The one cooling balance point, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixed_cooling_balance_point_degf: Option<i16>,
    /// How many periods must have cooling degree days (3.2.2.2.1: ten days; none for bills).
    pub minimum_non_zero_cdd: usize,
    /// How many periods must have heating degree days (3.2.2.2.1).
    pub minimum_non_zero_hdd: usize,
    /// How many cooling degree days there must be in all (3.2.2.2.2).
    pub minimum_total_cdd: f64,
    /// How many heating degree days there must be in all (3.2.2.2.2).
    pub minimum_total_hdd: f64,
    /// The greatest p-value of the cooling slope; 1 lets all pass. CalTRACK 1 had 0.1.
    pub beta_cdd_maximum_p_value: f64,
    /// The greatest p-value of the heating slope.
    pub beta_hdd_maximum_p_value: f64,
}

impl FitSettings {
    /// The method's thresholds, for such periods, with cooling or not.
    pub const fn new(interval: Interval, fit_cdd: bool) -> FitSettings {
        let minimum_non_zero = if interval.is_billing() { 0 } else { 10 };
        FitSettings {
            fit_cdd,
            lowest_balance_point_degf: 30,
            highest_balance_point_degf: 90,
            fixed_heating_balance_point_degf: None,
            fixed_cooling_balance_point_degf: None,
            minimum_non_zero_cdd: minimum_non_zero,
            minimum_non_zero_hdd: minimum_non_zero,
            minimum_total_cdd: 20.0,
            minimum_total_hdd: 20.0,
            beta_cdd_maximum_p_value: 1.0,
            beta_hdd_maximum_p_value: 1.0,
        }
    }

    /// The heating balance points that are tried, ascending; what is not legal is left out.
    pub(crate) fn heating_balance_points_degf(&self) -> RangeInclusive<i16> {
        self.balance_points_degf(self.fixed_heating_balance_point_degf)
    }

    /// The cooling balance points, likewise.
    pub(crate) fn cooling_balance_points_degf(&self) -> RangeInclusive<i16> {
        self.balance_points_degf(self.fixed_cooling_balance_point_degf)
    }

    fn balance_points_degf(&self, fixed: Option<i16>) -> RangeInclusive<i16> {
        let lowest = fixed.unwrap_or(self.lowest_balance_point_degf);
        let highest = fixed.unwrap_or(self.highest_balance_point_degf);
        lowest.max(*LEGAL_BALANCE_POINTS_DEGF.start())..=highest.min(*LEGAL_BALANCE_POINTS_DEGF.end())
    }
}

/// What a balance point may be, in °F: the number of candidates grows with the square of how many there are.
pub const LEGAL_BALANCE_POINTS_DEGF: RangeInclusive<i16> = -100..=200;

/// When the data of a period suffice.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SufficiencySettings {
    /// How long the period ought to be, in days (2.2.1.1).
    pub num_days: i64,
    /// The fewest days that pass for it. Bills hardly ever end on the day: eemeter 3.2 asks for `num_days` to the day and so
    /// fails all of them; 329 is what its successor takes.
    pub least_days: i64,
    /// The most days that pass for it: a leap year's.
    pub most_days: i64,
    /// The share of days that must be valid (2.2.1.2: 37 days may be missing).
    pub min_fraction_daily_coverage: f64,
    /// The share of a period's hours that must have a temperature (2.2.3.2).
    pub min_fraction_hourly_temperature_coverage_per_period: f64,
}

impl SufficiencySettings {
    /// The thresholds of a mode.
    pub const fn new(mode: Mode) -> SufficiencySettings {
        let (least_days, most_days) = match mode {
            Mode::Strict => (329, 366),
            Mode::Compat => (365, 365),
        };
        SufficiencySettings {
            num_days: 365,
            least_days,
            most_days,
            min_fraction_daily_coverage: 0.9,
            min_fraction_hourly_temperature_coverage_per_period: 0.9,
        }
    }
}
