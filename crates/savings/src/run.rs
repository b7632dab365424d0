//! A meter run: from the records of a trace to models, savings and derivatives.

use std::fmt;

use serde::{Deserialize, Serialize};
use sheaf_model::Tick;
use xxhash_rust::xxh3::Xxh3;

use crate::derivative::{Derivative, DerivativeInterpretation, DerivativePair};
use crate::design::Design;
use crate::features::{Features, Purpose};
use crate::interpretation::{EnergyUnit, Interpretation};
use crate::meter::{MeterSeries, Reading};
use crate::model::{Fit, FitStatus, Model, fit};
use crate::period::{PeriodSettings, baseline, reporting};
use crate::prepare::prepare;
use crate::savings::{MeteredSavings, ModeledSavings, metered_savings, modeled_savings, modeled_side};
use crate::settings::{FitSettings, Interval, Mode, SufficiencySettings};
use crate::sufficiency::{Sufficiency, sufficiency};
use crate::warning::Warning;
use crate::weather::Weather;

/// Version of [`RunResult`] as JSON.
pub const RESULT_VERSION: u32 = 1;

/// The confidence of the bounds of derivatives.
pub const CONFIDENCE: f64 = 0.95;

/// What can be chosen for a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunSettings {
    /// Which arithmetic it follows.
    pub mode: Mode,
    /// How long the trace's periods are; inferred if nothing.
    pub interval: Option<Interval>,
    /// How the baseline is cut out.
    pub baseline: PeriodSettings,
    /// How the reporting period is.
    pub reporting: PeriodSettings,
    /// Which candidates are tried; the method's if nothing.
    pub fit: Option<FitSettings>,
    /// When data suffice; the mode's if nothing.
    pub sufficiency: Option<SufficiencySettings>,
}

impl RunSettings {
    /// What the mode prescribes.
    pub fn new(mode: Mode) -> RunSettings {
        RunSettings {
            mode,
            interval: None,
            baseline: PeriodSettings::default(),
            reporting: PeriodSettings::default(),
            fit: None,
            sufficiency: None,
        }
    }
}

/// What a run is made from.
#[derive(Clone, Copy, Debug)]
pub struct RunInput<'a> {
    /// The trace's records, in any order.
    pub readings: &'a [Reading],
    /// What they mean.
    pub interpretation: Interpretation,
    /// Their unit.
    pub unit: EnergyUnit,
    /// Observed weather. Its zone is the trace's: days are the days of it.
    pub weather: &'a Weather,
    /// The weather of a normal year, in the same zone; all of its days count.
    pub normal_year: Option<&'a Weather>,
    /// The intervention begins.
    pub baseline_end: Tick,
    /// The intervention is over.
    pub reporting_start: Tick,
    /// What was chosen.
    pub settings: RunSettings,
}

/// How a run ended. As JSON: `code`, and `data` where there are some.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "code", content = "data", rename_all = "snake_case")]
pub enum RunStatus {
    /// Both models are there.
    Success,
    /// The reporting period begins before the baseline ends.
    PeriodsOverlap {
        /// What was asked for.
        baseline_end: Tick,
        /// What was asked for.
        reporting_start: Tick,
    },
    /// The trace has no value that covers any time.
    NoMeterData {
        /// Records there are.
        n_readings: usize,
    },
    /// There is no temperature at all.
    NoTemperature,
    /// The baseline has no model, and so nothing can be saved.
    NoBaselineModel {
        /// Why.
        fit: FitStatus,
        /// Rows with both usage and weather.
        n_usable_periods: usize,
    },
    /// The reporting period has no model; metered savings don't need one.
    NoReportingModel {
        /// Why.
        fit: FitStatus,
        /// Rows with both usage and weather.
        n_usable_periods: usize,
    },
}

impl RunStatus {
    /// Whether there are metered savings at least.
    pub const fn has_savings(&self) -> bool {
        matches!(self, RunStatus::Success | RunStatus::NoReportingModel { .. })
    }
}

/// A sentence.
impl fmt::Display for RunStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = |fit: &FitStatus| match fit {
            FitStatus::NoData => "no period has both usage and weather",
            FitStatus::NoModel => "no candidate qualifies",
            FitStatus::Success => "there is one",
        };
        match self {
            RunStatus::Success => f.write_str("both periods have a model"),
            RunStatus::PeriodsOverlap { baseline_end, reporting_start } => write!(
                f,
                "the reporting period begins at {reporting_start}, before the baseline ends at {baseline_end}"
            ),
            RunStatus::NoMeterData { n_readings } => {
                write!(f, "none of the {n_readings} records of the meter has a value that covers any time")
            }
            RunStatus::NoTemperature => f.write_str("there is no temperature at all"),
            RunStatus::NoBaselineModel { fit, n_usable_periods } => {
                write!(f, "no model fits the baseline: {} ({n_usable_periods} usable periods)", why(fit))
            }
            RunStatus::NoReportingModel { fit, n_usable_periods } => {
                write!(
                    f,
                    "no model fits the reporting period: {} ({n_usable_periods} usable periods)",
                    why(fit)
                )
            }
        }
    }
}

/// One side of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SideResult {
    /// Begin of the first period; nothing without data.
    pub data_start: Option<Tick>,
    /// End of the last one.
    pub data_end: Option<Tick>,
    /// Periods with both usage and weather.
    pub n_usable_periods: usize,
    /// Whether the data suffice. Models are fitted even if they don't.
    pub sufficiency: Sufficiency,
    /// The model, or why there is none.
    pub fit: Fit,
}

/// Over which days modelled savings are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModeledOver {
    /// Those of the normal year.
    NormalYear,
    /// Those of the reporting period: there is no normal year.
    ReportingPeriod,
}

/// All that a run yields. The same input gives the same bytes of JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// [`RESULT_VERSION`] when it was computed.
    pub version: u32,
    /// Version of this crate.
    pub engine_version: String,
    /// XXH3-128 of readings, weather, normal year, periods and settings, in hexadecimal.
    pub input_hash: String,
    /// What was chosen.
    pub settings: RunSettings,
    /// What was metered.
    pub interpretation: Interpretation,
    /// Of all energy.
    pub unit: EnergyUnit,
    /// Days or bills.
    pub interval: Interval,
    /// How it ended.
    pub status: RunStatus,
    /// What was found in the trace and in the weather.
    pub warnings: Vec<Warning>,
    /// Before the intervention.
    pub baseline: SideResult,
    /// After it.
    pub reporting: SideResult,
    /// With a baseline model, and at least one period that has savings.
    pub metered_savings: Option<MeteredSavings>,
    /// With both models, and at least one day whose weather is known.
    pub modeled_savings: Option<ModeledSavings>,
    /// Over which days.
    pub modeled_over: ModeledOver,
    /// `annualized_weather_normal` (with a normal year), `gross_predicted`, `metered_savings`, `modeled_savings`; none without any
    /// model. A side without a model is missing in them.
    pub derivatives: Vec<DerivativePair>,
}

/// A run and what it was computed from, for [named series](Run::named_series).
#[derive(Clone, Debug)]
pub struct Run<'a> {
    /// What it yields.
    pub result: RunResult,
    pub(crate) input: RunInput<'a>,
    pub(crate) designs: [Design; 2],
    pub(crate) meters: [MeterSeries; 2],
    /// The reporting period as the baseline model sees it.
    pub(crate) reporting_features: Features,
}

/// Runs a meter: prepares the trace, cuts out both periods, judges and fits them, and derives savings. Never fails: what is
/// wrong with the input is in the result's status, sufficiency and warnings.
pub fn run(input: RunInput<'_>) -> Run<'_> {
    let RunInput { weather, settings, .. } = input;
    let mode = settings.mode;
    let prepared = prepare(input.readings, settings.interval, input.interpretation, weather.zone(), mode);
    let interval = prepared.interval;
    let (before, warnings_before) = baseline(&prepared.meter, input.baseline_end, &settings.baseline);
    let (after, warnings_after) = reporting(&prepared.meter, input.reporting_start, &settings.reporting);
    let warnings: Vec<Warning> =
        [prepared.warnings, warnings_before, warnings_after, weather.warnings().to_vec()].concat();
    let features =
        |meter: &MeterSeries, purpose| Features::new(meter.bounds(), weather, interval, purpose, mode);
    let design = |meter: &MeterSeries| Design::new(meter, features(meter, Purpose::Fit), interval, mode);
    let designs = [design(&before), design(&after)];
    let baseline = side(&input, &designs[0], None, Some(input.baseline_end));
    let reporting = side(&input, &designs[1], Some(input.reporting_start), None);
    let reporting_features = features(&after, Purpose::Predict);
    let status = status(&input, &prepared.meter, &baseline, &reporting);
    let mut result = RunResult {
        version: RESULT_VERSION,
        engine_version: env!("CARGO_PKG_VERSION").to_owned(),
        input_hash: input_hash(&input),
        settings,
        interpretation: input.interpretation,
        unit: input.unit,
        interval,
        status,
        warnings,
        baseline,
        reporting,
        metered_savings: None,
        modeled_savings: None,
        modeled_over: if input.normal_year.is_some() {
            ModeledOver::NormalYear
        } else {
            ModeledOver::ReportingPeriod
        },
        derivatives: Vec::new(),
    };
    let has_periods = status.has_savings() || matches!(status, RunStatus::NoBaselineModel { .. });
    if has_periods && (result.baseline.fit.model.is_some() || result.reporting.fit.model.is_some()) {
        add_savings(&mut result, &input, &after, &reporting_features);
    }
    Run { result, input, designs, meters: [before, after], reporting_features }
}

fn side(
    input: &RunInput<'_>,
    design: &Design,
    requested_start: Option<Tick>,
    requested_end: Option<Tick>,
) -> SideResult {
    let settings = &input.settings;
    let may_cool = input.interpretation.may_cool();
    let fit_settings = settings.fit.unwrap_or_else(|| FitSettings::new(design.interval(), may_cool));
    let sufficiency_settings =
        settings.sufficiency.unwrap_or_else(|| SufficiencySettings::new(settings.mode));
    let periods = design.features().periods();
    SideResult {
        data_start: periods.first().map(|period| period.start),
        data_end: periods.last().map(|period| period.end),
        n_usable_periods: design.usable_rows().len(),
        sufficiency: sufficiency(design, requested_start, requested_end, &sufficiency_settings),
        fit: fit(design, &fit_settings),
    }
}

fn status(
    input: &RunInput<'_>,
    meter: &MeterSeries,
    baseline: &SideResult,
    reporting: &SideResult,
) -> RunStatus {
    let RunInput { baseline_end, reporting_start, .. } = *input;
    if reporting_start < baseline_end {
        RunStatus::PeriodsOverlap { baseline_end, reporting_start }
    } else if meter.energy().iter().all(|energy| energy.is_nan()) {
        RunStatus::NoMeterData { n_readings: input.readings.len() }
    } else if input.weather.degf().iter().all(|degf| degf.is_nan()) {
        RunStatus::NoTemperature
    } else if baseline.fit.model.is_none() {
        RunStatus::NoBaselineModel { fit: baseline.fit.status, n_usable_periods: baseline.n_usable_periods }
    } else if reporting.fit.model.is_none() {
        RunStatus::NoReportingModel {
            fit: reporting.fit.status,
            n_usable_periods: reporting.n_usable_periods,
        }
    } else {
        RunStatus::Success
    }
}

fn add_savings(result: &mut RunResult, input: &RunInput<'_>, after: &MeterSeries, features: &Features) {
    let interval = result.interval;
    let models = [&result.baseline, &result.reporting].map(|side| side.fit.model.as_ref());
    let [baseline, reporting] = models;
    let metered = baseline
        .map(|baseline| metered_savings(baseline, after, features, CONFIDENCE))
        .filter(|savings| savings.n_periods > 0);
    let normal_year = input.normal_year.map(|year| day_features(input, year, year.day_bounds(), interval));
    let days = match (after.bounds().first(), after.bounds().last()) {
        (Some(first), Some(last)) => input.weather.zone().day_bounds(*first, *last),
        _ => Vec::new(),
    };
    let reporting_days = day_features(input, input.weather, &days, interval);
    let over = normal_year.as_ref().unwrap_or(&reporting_days);
    let modeled_savings = baseline
        .zip(reporting)
        .map(|(baseline, reporting)| modeled_savings(baseline, reporting, over, CONFIDENCE))
        .filter(|savings| savings.n_periods > 0);
    let pair = |derivative_interpretation, [baseline, reporting]: [Option<Derivative>; 2]| DerivativePair {
        derivative_interpretation,
        trace_interpretation: input.interpretation,
        unit: input.unit,
        baseline,
        reporting,
    };
    let both = |features: &Features| models.map(|model| model.and_then(|model| modeled(model, features)));
    let mut derivatives = Vec::new();
    if let Some(normal_year) = &normal_year {
        derivatives.push(pair(DerivativeInterpretation::AnnualizedWeatherNormal, both(normal_year)));
    }
    let counterfactual = metered.as_ref().map(|savings| {
        let bound = savings.bound_in(input.settings.mode);
        Derivative::new(savings.counterfactual_usage, bound, savings.bias, savings.n_days)
    });
    let observed = metered
        .as_ref()
        .map(|savings| Derivative::new(savings.reporting_observed, Some(0.0), Some(0.0), savings.n_days));
    derivatives.push(pair(DerivativeInterpretation::GrossPredicted, both(&reporting_days)));
    derivatives.push(pair(DerivativeInterpretation::MeteredSavings, [counterfactual, observed]));
    derivatives.push(pair(DerivativeInterpretation::ModeledSavings, both(over)));
    result.derivatives = derivatives;
    result.modeled_savings = modeled_savings;
    result.metered_savings = metered;
}

/// Days, as models see them that were fitted to such periods.
pub(crate) fn day_features(
    input: &RunInput<'_>,
    weather: &Weather,
    days: &[Tick],
    interval: Interval,
) -> Features {
    Features::new(days, weather, interval, Purpose::Predict, input.settings.mode)
}

/// Nothing if the weather of no day is known.
fn modeled(model: &Model, features: &Features) -> Option<Derivative> {
    let side = modeled_side(model, features, CONFIDENCE);
    let bound = model.mode.bound(side.bound, side.fsu);
    (side.sum.n_periods > 0).then(|| Derivative::new(side.sum.value, bound, side.bias, side.sum.days()))
}

/// XXH3-128 of readings, weather, normal year, periods and settings, in hexadecimal: what [`RunResult::input_hash`] will be.
pub fn input_hash(input: &RunInput<'_>) -> String {
    let mut hash = Xxh3::new();
    for reading in input.readings {
        hash.update(&reading.start.ticks().to_le_bytes());
        hash.update(&reading.value.unwrap_or(f64::NAN).to_bits().to_le_bytes());
        hash.update(&[u8::from(reading.estimated)]);
    }
    let year = input.normal_year.map_or(0, Weather::content_hash);
    hash.update(&input.weather.content_hash().to_le_bytes());
    hash.update(&year.to_le_bytes());
    hash.update(&input.baseline_end.ticks().to_le_bytes());
    hash.update(&input.reporting_start.ticks().to_le_bytes());
    hash.update(format!("{:?} {} {}", input.settings, input.interpretation, input.unit).as_bytes());
    format!("{:032x}", hash.digest128())
}
