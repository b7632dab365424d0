//! All candidate models of a meter (CalTRACK 3.4.3), in the order of eemeter: intercept only, heating by rising balance
//! point, cooling by rising balance point, both with cooling outside.
//!
//! For each balance point a few sums over the rows are enough. With one slope x and weights w, centred on weighted means:
//! β = Sxy/Sxx, R² = Sxy²/(Sxx·Syy). With two, h and c, Cramer's rule on Shh, Scc, Shc, Shy and Scy. Where every row is one
//! day, no day needs both heating and cooling if the balance points don't cross, so Σw·h·c is 0 and a pair costs nothing but
//! Cramer's rule; bills need the sum, over a dozen rows.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::design::Design;
use crate::least_squares::{Solution, is_constant, solve};
use crate::settings::FitSettings;
use crate::students_t::two_sided_p_value;

/// A coefficient that is so small against what the data could make it is solved for again, exactly, before its sign counts.
const UNSURE: f64 = 1e-9;

/// One that is still so small then is zero, and zero may stay.
const ZERO: f64 = 1e-12;

/// Two columns whose normal equations have so small a determinant against their diagonal depend on each other.
const DEPENDENT: f64 = 1e-12;

/// Which loads a model has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelType {
    /// A constant.
    InterceptOnly,
    /// A constant and heating.
    HddOnly,
    /// A constant and cooling.
    CddOnly,
    /// All three.
    CddHdd,
}

impl ModelType {
    /// `cdd_hdd`
    pub const fn name(self) -> &'static str {
        match self {
            ModelType::InterceptOnly => "intercept_only",
            ModelType::HddOnly => "hdd_only",
            ModelType::CddOnly => "cdd_only",
            ModelType::CddHdd => "cdd_hdd",
        }
    }
}

/// What became of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CandidateStatus {
    /// It may be chosen.
    Qualified,
    /// A coefficient is negative or its p-value too high.
    Disqualified,
    /// Too few degree days.
    #[serde(rename = "NOT ATTEMPTED")]
    NotAttempted,
    /// Its columns depend on each other: there is no one solution. What it can say, a candidate with fewer slopes says too.
    Error,
}

/// Why a candidate is not qualified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the codes")]
pub enum Objection {
    TotalCddTooLow,
    TooFewNonZeroCdd,
    TotalHddTooLow,
    TooFewNonZeroHdd,
    InterceptNegative,
    BetaCddNegative,
    BetaHddNegative,
    BetaCddPValueTooHigh,
    BetaHddPValueTooHigh,
    NoSolution,
}

impl Objection {
    const ALL: [Objection; 10] = [
        Objection::TotalCddTooLow,
        Objection::TooFewNonZeroCdd,
        Objection::TotalHddTooLow,
        Objection::TooFewNonZeroHdd,
        Objection::InterceptNegative,
        Objection::BetaCddNegative,
        Objection::BetaHddNegative,
        Objection::BetaCddPValueTooHigh,
        Objection::BetaHddPValueTooHigh,
        Objection::NoSolution,
    ];

    const fn name(self) -> &'static str {
        match self {
            Objection::TotalCddTooLow => "total_cdd_too_low",
            Objection::TooFewNonZeroCdd => "too_few_non_zero_cdd",
            Objection::TotalHddTooLow => "total_hdd_too_low",
            Objection::TooFewNonZeroHdd => "too_few_non_zero_hdd",
            Objection::InterceptNegative => "intercept_negative",
            Objection::BetaCddNegative => "beta_cdd_negative",
            Objection::BetaHddNegative => "beta_hdd_negative",
            Objection::BetaCddPValueTooHigh => "beta_cdd_p_value_too_high",
            Objection::BetaHddPValueTooHigh => "beta_hdd_p_value_too_high",
            Objection::NoSolution => "model_fit",
        }
    }
}

/// A set of [`Objection`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Objections(u16);

impl Objections {
    fn add_if(&mut self, condition: bool, objection: Objection) {
        self.0 |= u16::from(condition) << objection as u16;
    }

    const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// One after the other.
    pub fn iter(self) -> impl Iterator<Item = Objection> {
        Objection::ALL.into_iter().filter(move |objection| self.0 & (1 << *objection as u16) != 0)
    }
}

/// Intercept and slopes, in the trace's unit per day and per °F-day; a slope that a model doesn't have is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Coefficients {
    /// Usage a day without heating and cooling.
    pub intercept: f64,
    /// Usage for a heating degree day.
    pub beta_hdd: f64,
    /// Usage for a cooling degree day.
    pub beta_cdd: f64,
}

/// One model that was tried, or not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// Its loads.
    pub model_type: ModelType,
    /// In °F; nothing without heating.
    pub heating_balance_point: Option<i16>,
    /// In °F; nothing without cooling.
    pub cooling_balance_point: Option<i16>,
    /// What became of it.
    pub status: CandidateStatus,
    /// Nothing if not attempted, or without a solution.
    pub coefficients: Option<Coefficients>,
    /// 1 − (1 − R²)(n − 1)/(n − k − 1) with k slopes (CalTRACK 3.4.3.3.1), 0 by definition without slopes. NaN if there are no
    /// degrees of freedom left or usage is constant; NaN never wins.
    pub r_squared_adj: f64,
    /// Why it is not qualified.
    pub objections: Objections,
}

impl Candidate {
    /// The codes of the objections, as eemeter writes them.
    pub fn codes(&self) -> Vec<String> {
        let code = |objection: Objection| {
            format!("eemeter.caltrack_daily.{}.{}", self.model_type.name(), objection.name())
        };
        self.objections.iter().map(code).collect()
    }
}

/// All candidates in order, each with its status. For reports; a fit keeps only the best.
pub fn candidates(design: &Design, settings: &FitSettings) -> Vec<Candidate> {
    let mut all = Vec::new();
    if let Some(search) = Search::new(design, settings) {
        search.visit(&mut |candidate| all.push(candidate));
    }
    all
}

/// The usable rows of a design and the sums that all candidates are made of.
pub(crate) struct Search<'a> {
    design: &'a Design,
    settings: &'a FitSettings,
    rows: Vec<usize>,
    /// Usage per day, and the same minus its weighted mean.
    y: Vec<f64>,
    centred_y: Vec<f64>,
    weights: Vec<f64>,
    weight_sum: f64,
    mean_y: f64,
    /// Σw(y − ȳ)²; 0 if usage is constant but for rounding.
    syy: f64,
    /// What an intercept may be like.
    scale_of_intercept: f64,
    heating: Vec<Column>,
    cooling: Vec<Column>,
}

/// Degree days per day of one balance point over all rows.
struct Column {
    balance_point: i16,
    /// Kept where rows have several days: pairs need them.
    degree_days: Vec<f64>,
    total: f64,
    n_non_zero: usize,
    mean: f64,
    sxx: f64,
    sxy: f64,
    /// What the slope would be if it explained all of the variation.
    scale: f64,
}

impl<'a> Search<'a> {
    /// `None` if no row is usable.
    pub(crate) fn new(design: &'a Design, settings: &'a FitSettings) -> Option<Search<'a>> {
        let rows = design.usable_rows();
        let y: Vec<f64> = rows.iter().map(|row| design.usage_per_day()[*row]).collect();
        let weights: Vec<f64> = rows.iter().map(|row| design.weight(*row)).collect();
        let weight_sum: f64 = weights.iter().sum();
        if rows.is_empty() {
            return None;
        }
        let mean_y = y.iter().zip(&weights).map(|(y, weight)| weight * y).sum::<f64>() / weight_sum;
        let mut centred_y: Vec<f64> = y.iter().map(|y| y - mean_y).collect();
        let mut syy: f64 = centred_y.iter().zip(&weights).map(|(y, weight)| weight * y * y).sum();
        if is_constant(syy, &y, &weights) {
            centred_y.fill(0.0);
            syy = 0.0;
        }
        let mut search = Search {
            design,
            settings,
            rows,
            y,
            centred_y,
            weights,
            weight_sum,
            mean_y,
            syy,
            scale_of_intercept: mean_y.abs() + (syy / weight_sum).sqrt(),
            heating: Vec::new(),
            cooling: Vec::new(),
        };
        search.heating = search.columns(settings.heating_balance_points_degf(), |hdd, _| hdd);
        if settings.fit_cdd {
            search.cooling = search.columns(settings.cooling_balance_points_degf(), |_, cdd| cdd);
        }
        Some(search)
    }

    /// Numbers of the usable rows.
    pub(crate) fn rows(&self) -> &[usize] {
        &self.rows
    }

    /// Weights of the usable rows.
    pub(crate) fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// Visits all candidates in order.
    pub(crate) fn visit(&self, visitor: &mut impl FnMut(Candidate)) {
        visitor(self.intercept_only());
        for heating in &self.heating {
            visitor(self.one_slope(heating, ModelType::HddOnly));
        }
        for cooling in &self.cooling {
            visitor(self.one_slope(cooling, ModelType::CddOnly));
        }
        for cooling in &self.cooling {
            for heating in
                self.heating.iter().take_while(|heating| heating.balance_point <= cooling.balance_point)
            {
                visitor(self.two_slopes(heating, cooling));
            }
        }
    }

    /// A candidate solved again from the data, and again judged by it.
    pub(crate) fn solve_exactly(&self, candidate: &Candidate) -> (Candidate, Option<Solution>) {
        let heating = candidate.heating_balance_point.map(|bp| self.degree_days(bp, |hdd, _| hdd));
        let cooling = candidate.cooling_balance_point.map(|bp| self.degree_days(bp, |_, cdd| cdd));
        let columns: Vec<&[f64]> = heating.iter().chain(&cooling).map(Vec::as_slice).collect();
        let Some(solution) = solve(&columns, &self.y, &self.weights) else {
            return (no_solution(*candidate), None);
        };
        let n_slopes = columns.len();
        // Heating comes first, cooling last; a side that is not there has neither.
        let of_side = |is_there: bool, index: usize| {
            if is_there {
                (solution.coefficients[index], solution.inverse_normal[index][index])
            } else {
                (0.0, 0.0)
            }
        };
        let (beta_hdd, variance_hdd) = of_side(candidate.heating_balance_point.is_some(), 1);
        let (beta_cdd, variance_cdd) = of_side(candidate.cooling_balance_point.is_some(), n_slopes);
        let coefficients = Coefficients { intercept: solution.coefficients[0], beta_hdd, beta_cdd };
        let r_squared_adj = match candidate.model_type {
            ModelType::InterceptOnly => 0.0,
            _ => self.adjusted(solution.r_squared, n_slopes),
        };
        let exact = Candidate { coefficients: Some(coefficients), r_squared_adj, ..*candidate };
        let scales = self.scales_of(candidate);
        let judged = self.judged(exact, scales, solution.r_squared, [variance_hdd, variance_cdd]);
        (judged, Some(solution))
    }

    fn columns(
        &self,
        balance_points: RangeInclusive<i16>,
        side: impl Fn(f64, f64) -> f64 + Copy,
    ) -> Vec<Column> {
        let keeps = !self.design.features().has_one_day_each();
        let mut buffer = vec![0.0; self.rows.len()];
        let one_day_degf: Vec<f64> = if keeps { Vec::new() } else { self.one_day_degf() };
        balance_points
            .map(|balance_point| {
                if keeps {
                    buffer = self.degree_days(balance_point, side);
                } else {
                    let point = f64::from(balance_point);
                    for (degree_days, degf) in buffer.iter_mut().zip(&one_day_degf) {
                        *degree_days = side((point - degf).max(0.0), (degf - point).max(0.0));
                    }
                }
                let sums = Sums::of(&buffer, &self.weights, &self.centred_y);
                let mean = sums.x / self.weight_sum;
                let sxx = sums.xx - sums.x * mean;
                Column {
                    balance_point,
                    degree_days: if keeps { buffer.clone() } else { Vec::new() },
                    total: sums.x,
                    n_non_zero: buffer.iter().filter(|x| **x > 0.0).count(),
                    mean,
                    sxx,
                    sxy: sums.xy,
                    scale: (self.syy / sxx).sqrt(),
                }
            })
            .collect()
    }

    fn one_day_degf(&self) -> Vec<f64> {
        let first = |row: &usize| self.design.features().days_of(*row).0.first().copied().unwrap_or(f64::NAN);
        self.rows.iter().map(first).collect()
    }

    fn degree_days(&self, balance_point: i16, side: impl Fn(f64, f64) -> f64) -> Vec<f64> {
        let features = self.design.features();
        let point = f64::from(balance_point);
        let of_row = |row: &usize| side(features.hdd_per_day(*row, point), features.cdd_per_day(*row, point));
        self.rows.iter().map(of_row).collect()
    }

    fn intercept_only(&self) -> Candidate {
        let coefficients = Coefficients { intercept: self.mean_y, ..Coefficients::default() };
        let candidate = Candidate {
            model_type: ModelType::InterceptOnly,
            heating_balance_point: None,
            cooling_balance_point: None,
            status: CandidateStatus::Qualified,
            coefficients: Some(coefficients),
            r_squared_adj: 0.0,
            objections: Objections::default(),
        };
        self.judged(candidate, Coefficients::default(), 0.0, [0.0; 2])
    }

    fn one_slope(&self, column: &Column, model_type: ModelType) -> Candidate {
        let is_heating = model_type == ModelType::HddOnly;
        let balance_point = Some(column.balance_point);
        let mut candidate = unattempted(model_type);
        if is_heating {
            candidate.heating_balance_point = balance_point;
            self.object_to_heating(column, &mut candidate.objections);
        } else {
            candidate.cooling_balance_point = balance_point;
            self.object_to_cooling(column, &mut candidate.objections);
        }
        if !candidate.objections.is_empty() {
            return candidate;
        }
        if column.sxx <= DEPENDENT * column.total * column.mean {
            return self.solve_exactly(&candidate).0;
        }
        let slope = column.sxy / column.sxx;
        let coefficients = Coefficients {
            intercept: self.mean_y - slope * column.mean,
            beta_hdd: if is_heating { slope } else { 0.0 },
            beta_cdd: if is_heating { 0.0 } else { slope },
        };
        let r_squared = slope * column.sxy / self.syy;
        candidate.coefficients = Some(coefficients);
        candidate.r_squared_adj = self.adjusted(r_squared, 1);
        let scale = column.scale;
        let scales = Coefficients { intercept: self.scale_of_intercept, beta_hdd: scale, beta_cdd: scale };
        if is_unsure(&coefficients, &scales) {
            return self.solve_exactly(&candidate).0;
        }
        self.judged(candidate, scales, r_squared, [1.0 / column.sxx; 2])
    }

    fn two_slopes(&self, heating: &Column, cooling: &Column) -> Candidate {
        let mut candidate = unattempted(ModelType::CddHdd);
        candidate.heating_balance_point = Some(heating.balance_point);
        candidate.cooling_balance_point = Some(cooling.balance_point);
        self.object_to_cooling(cooling, &mut candidate.objections);
        self.object_to_heating(heating, &mut candidate.objections);
        if !candidate.objections.is_empty() {
            return candidate;
        }
        let products = heating.degree_days.iter().zip(&cooling.degree_days).zip(&self.weights);
        let raw: f64 = products.map(|((h, c), weight)| weight * h * c).sum();
        let shc = raw - self.weight_sum * heating.mean * cooling.mean;
        let determinant = heating.sxx * cooling.sxx - shc * shc;
        if determinant <= DEPENDENT * heating.sxx * cooling.sxx {
            return self.solve_exactly(&candidate).0;
        }
        let beta_hdd = (cooling.sxx * heating.sxy - shc * cooling.sxy) / determinant;
        let beta_cdd = (heating.sxx * cooling.sxy - shc * heating.sxy) / determinant;
        let intercept = self.mean_y - beta_hdd * heating.mean - beta_cdd * cooling.mean;
        let coefficients = Coefficients { intercept, beta_hdd, beta_cdd };
        let r_squared = (beta_hdd * heating.sxy + beta_cdd * cooling.sxy) / self.syy;
        candidate.coefficients = Some(coefficients);
        candidate.r_squared_adj = self.adjusted(r_squared, 2);
        let scales = Coefficients {
            intercept: self.scale_of_intercept,
            beta_hdd: heating.scale,
            beta_cdd: cooling.scale,
        };
        if is_unsure(&coefficients, &scales) {
            return self.solve_exactly(&candidate).0;
        }
        self.judged(candidate, scales, r_squared, [cooling.sxx / determinant, heating.sxx / determinant])
    }

    /// CalTRACK 3.2.2.2.
    fn object_to_heating(&self, column: &Column, objections: &mut Objections) {
        objections.add_if(column.total < self.settings.minimum_total_hdd, Objection::TotalHddTooLow);
        objections
            .add_if(column.n_non_zero < self.settings.minimum_non_zero_hdd, Objection::TooFewNonZeroHdd);
    }

    /// CalTRACK 3.2.2.2.
    fn object_to_cooling(&self, column: &Column, objections: &mut Objections) {
        objections.add_if(column.total < self.settings.minimum_total_cdd, Objection::TotalCddTooLow);
        objections
            .add_if(column.n_non_zero < self.settings.minimum_non_zero_cdd, Objection::TooFewNonZeroCdd);
    }

    fn adjusted(&self, r_squared: f64, n_slopes: usize) -> f64 {
        let n = self.rows.len();
        match n.checked_sub(n_slopes + 1) {
            None | Some(0) => f64::NAN,
            Some(rest) => 1.0 - (n - 1) as f64 / rest as f64 * (1.0 - r_squared),
        }
    }

    /// Qualified or not (CalTRACK 3.4.3.2). `scales` are what the data could make the coefficients, `variances` those of the
    /// slopes of heating and cooling, over that of the residuals.
    fn judged(
        &self,
        mut candidate: Candidate,
        scales: Coefficients,
        r_squared: f64,
        variances: [f64; 2],
    ) -> Candidate {
        let Some(coefficients) = candidate.coefficients else { return candidate };
        let objections = &mut candidate.objections;
        *objections = Objections::default();
        let is_negative = |value: f64, scale: f64| value < -ZERO * scale;
        objections
            .add_if(is_negative(coefficients.intercept, scales.intercept), Objection::InterceptNegative);
        objections.add_if(is_negative(coefficients.beta_cdd, scales.beta_cdd), Objection::BetaCddNegative);
        objections.add_if(is_negative(coefficients.beta_hdd, scales.beta_hdd), Objection::BetaHddNegative);
        let sides = [
            (coefficients.beta_hdd, variances[0], self.settings.beta_hdd_maximum_p_value),
            (coefficients.beta_cdd, variances[1], self.settings.beta_cdd_maximum_p_value),
        ];
        let names = [Objection::BetaHddPValueTooHigh, Objection::BetaCddPValueTooHigh];
        let n_slopes = usize::from(candidate.heating_balance_point.is_some())
            + usize::from(candidate.cooling_balance_point.is_some());
        for ((slope, variance, maximum), name) in sides.into_iter().zip(names) {
            if maximum < 1.0 && slope != 0.0 {
                let dof = self.rows.len() as f64 - n_slopes as f64 - 1.0;
                let residual_variance = self.syy * (1.0 - r_squared) / dof;
                let p_value = two_sided_p_value(slope / (residual_variance * variance).sqrt(), dof);
                objections.add_if(p_value.is_some_and(|p_value| p_value > maximum), name);
            }
        }
        let qualifies = candidate.objections.is_empty();
        candidate.status = if qualifies { CandidateStatus::Qualified } else { CandidateStatus::Disqualified };
        candidate
    }

    fn scales_of(&self, candidate: &Candidate) -> Coefficients {
        let scale = |columns: &[Column], balance_point: Option<i16>| {
            let column = columns.iter().find(|column| Some(column.balance_point) == balance_point);
            column.map_or(0.0, |column| column.scale)
        };
        Coefficients {
            intercept: self.scale_of_intercept,
            beta_hdd: scale(&self.heating, candidate.heating_balance_point),
            beta_cdd: scale(&self.cooling, candidate.cooling_balance_point),
        }
    }
}

const fn unattempted(model_type: ModelType) -> Candidate {
    Candidate {
        model_type,
        heating_balance_point: None,
        cooling_balance_point: None,
        status: CandidateStatus::NotAttempted,
        coefficients: None,
        r_squared_adj: f64::NAN,
        objections: Objections(0),
    }
}

fn no_solution(candidate: Candidate) -> Candidate {
    let mut objections = Objections::default();
    objections.add_if(true, Objection::NoSolution);
    Candidate {
        status: CandidateStatus::Error,
        coefficients: None,
        r_squared_adj: f64::NAN,
        objections,
        ..candidate
    }
}

fn is_unsure(coefficients: &Coefficients, scales: &Coefficients) -> bool {
    let is_small = |value: f64, scale: f64| value != 0.0 && value.abs() <= UNSURE * scale;
    is_small(coefficients.intercept, scales.intercept)
        || is_small(coefficients.beta_hdd, scales.beta_hdd)
        || is_small(coefficients.beta_cdd, scales.beta_cdd)
}

/// Σwx, Σwx² and Σwxy, four rows at a time.
struct Sums {
    x: f64,
    xx: f64,
    xy: f64,
}

impl Sums {
    fn of(x: &[f64], weights: &[f64], y: &[f64]) -> Sums {
        const LANES: usize = 4;
        let mut lanes = [[0.0; LANES]; 3];
        let chunks = x.chunks_exact(LANES).zip(weights.chunks_exact(LANES)).zip(y.chunks_exact(LANES));
        for ((x, weights), y) in chunks {
            for lane in 0..LANES {
                let weighted = weights[lane] * x[lane];
                lanes[0][lane] += weighted;
                lanes[1][lane] += weighted * x[lane];
                lanes[2][lane] += weighted * y[lane];
            }
        }
        for row in x.len() / LANES * LANES..x.len() {
            let weighted = weights[row] * x[row];
            lanes[0][0] += weighted;
            lanes[1][0] += weighted * x[row];
            lanes[2][0] += weighted * y[row];
        }
        let [x, xx, xy] = lanes.map(|lanes| lanes.iter().sum());
        Sums { x, xx, xy }
    }
}
