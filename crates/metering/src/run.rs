//! A meter run: from a claimed row to its result.
//!
//! [`Preparation::of`] reads what a batch of runs is made from: records, weather and a normal year, out of one state of the store
//! each. [`Prepared::compute`] is pure arithmetic, about a millisecond, for any thread. What comes of it is the [`FinishedRun`]
//! that the database takes.
//!
//! A run succeeds if one of its periods at least has a model; a side without one is missing in its derivatives, and the model's
//! row says why. A trace without records is a placeholder: its run succeeds and has no derivatives, as in eemeter. Without a normal
//! year `annualized_weather_normal` is there without numbers, and a warning says why. Without observed weather there is nothing to
//! fit, and the run fails.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sheaf_db::datastore::{
    ClaimedRun, FinishedRun, MeterResult, MeterRun, ModelResult, NewDerivative, NewMeterResult,
    NewModelResult, NewPeriod, Project, ResultParts, ResultStatus, RunEnding, Trace,
};
use sheaf_model::{EnergyUnit, Interpretation, Tick, TimeRange};
use sheaf_savings::derivative::{Derivative, DerivativeInterpretation, DerivativePair};
use sheaf_savings::meter::Reading;
use sheaf_savings::model::FitStatus;
use sheaf_savings::portfolio::Direction;
use sheaf_savings::prepare::prepare;
use sheaf_savings::run::{Run, RunInput, RunResult, RunSettings, SideResult, input_hash, run};
use sheaf_savings::settings::FitSettings;
use sheaf_savings::weather::Weather;
use sheaf_savings::zone::TICKS_PER_DAY;
use sheaf_store::Store;
use xxhash_rust::xxh3::Xxh3;

use crate::classes::{Choice, ModelClass, Request};
use crate::input::{MeterInput, Periods, ProjectInput};
use crate::note::{note, of_warning};
use crate::records::{self, Known, Record, RecordsError, TRACES};
use crate::times::{micros, tick};
use crate::weather::{Chosen, Pin, Place, WeatherError, WeatherStore};

/// The version of the arithmetic: the same input and version give the same figures.
pub const ENGINE_VERSION: &str = env!("CARGO_PKG_VERSION");

/// The version of eemeter whose methods the models follow: `compat` to the digit, `strict` where they are CalTRACK's.
pub(crate) const EEMETER_VERSION: &str = "3.2.0";

/// Names of the modelling periods.
pub(crate) const PERIODS: [&str; 2] = ["baseline", "reporting"];

/// A period is at most 365 days long, and a bill or a day more may reach into it.
const LONGEST_PERIOD_TICKS: i64 = 366 * TICKS_PER_DAY;

/// What runs are made from can't be read. It is no run's fault: all of them wait.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrepareError {
    /// Records can't be read.
    #[error(transparent)]
    Records(#[from] RecordsError),
    /// Weather can't be read.
    #[error(transparent)]
    Weather(#[from] WeatherError),
}

impl PrepareError {
    /// Whether something that is stored is damaged, so that it is of no use to try again.
    pub fn is_damage(&self) -> bool {
        match self {
            PrepareError::Records(RecordsError::Store(error))
            | PrepareError::Weather(WeatherError::Store(error)) => error.is_damage(),
            _ => false,
        }
    }
}

/// What the input of a result was made from: all but the records and temperatures, and which these are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pinned {
    /// The records; nothing if the input was supplied with the run.
    pub trace: Option<PinnedTrace>,
    /// What its people call the project.
    pub project_id: Option<String>,
    /// Where it is.
    pub zipcode: Option<String>,
    /// The station that it names.
    pub project_weather_station: Option<String>,
    /// The station of the normal year that it names.
    pub project_weather_normal_station: Option<String>,
    /// Periods of the project.
    pub baseline_start: Option<Tick>,
    /// Likewise.
    pub baseline_end: Tick,
    /// Likewise.
    pub reporting_start: Tick,
    /// Likewise.
    pub reporting_end: Option<Tick>,
    /// Observed weather.
    pub weather: Option<Pin>,
    /// The normal year.
    pub weather_normal: Option<Pin>,
}

/// Records of a trace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PinnedTrace {
    /// The series: `/traces/<name>`.
    pub series: String,
    /// What its people call it.
    pub trace_id: String,
    /// What it meant.
    pub interpretation: Interpretation,
    /// The unit of the values.
    pub unit: EnergyUnit,
    /// The first record.
    pub begin: Option<Tick>,
    /// The last one.
    pub end: Option<Tick>,
    /// The commit that they were read from.
    pub commit: i64,
    /// XXH3-128 of them, in hexadecimal.
    pub hash: String,
}

/// XXH3-128 of records, in hexadecimal.
pub(crate) fn hash_of(records: &[Record]) -> String {
    let mut hash = Xxh3::new();
    for record in records {
        hash.update(&record.start.ticks().to_le_bytes());
        hash.update(&record.value.unwrap_or(f64::NAN).to_bits().to_le_bytes());
        hash.update(&[u8::from(record.estimated)]);
    }
    format!("{:032x}", hash.digest128())
}

/// All that the figures of a run depend on.
#[derive(Clone, Debug)]
pub(crate) struct Inputs {
    pub(crate) input: MeterInput,
    pub(crate) choice: Choice,
    pub(crate) weather: Option<Arc<Weather>>,
    pub(crate) normal_year: Option<Arc<Weather>>,
    /// The readings of the periods, both ends included.
    pub(crate) readings: Vec<Reading>,
}

impl Inputs {
    pub(crate) fn new(input: MeterInput, choice: Choice) -> Inputs {
        let periods = input.project.periods;
        let is_in = |record: &&Record| {
            periods.baseline_start.is_none_or(|start| start <= record.start)
                && periods.reporting_end.is_none_or(|end| record.start <= end)
        };
        let reading = |record: &Record| Reading {
            start: record.start,
            value: record.value,
            estimated: record.estimated,
        };
        let readings = input.records.iter().filter(is_in).map(reading).collect();
        Inputs { input, choice, weather: None, normal_year: None, readings }
    }

    /// The time that must have weather: that of the readings, as far as a period may reach. Nothing without any.
    pub(crate) fn window(&self) -> Option<TimeRange> {
        let Periods { baseline_end, reporting_start, .. } = self.input.project.periods;
        let earliest = baseline_end.checked_add(-LONGEST_PERIOD_TICKS).unwrap_or(Tick::MIN);
        let latest = reporting_start.checked_add(LONGEST_PERIOD_TICKS).unwrap_or(Tick::MAX);
        let first = self.readings.first()?.start.max(earliest);
        let last = self.readings.last()?.start.min(latest);
        TimeRange::new(first, last).ok().filter(|range| range.ticks() > 0)
    }

    /// The arithmetic's input; nothing without weather.
    fn run_input(&self) -> Option<RunInput<'_>> {
        let Choice { mode, heating_base_degf, cooling_base_degf, ref zone, .. } = self.choice;
        let interpretation = self.input.interpretation;
        let mut settings = RunSettings::new(mode);
        if heating_base_degf.is_some() || cooling_base_degf.is_some() {
            let interval = prepare(&self.readings, None, interpretation, zone, mode).interval;
            settings.fit = Some(FitSettings {
                fixed_heating_balance_point_degf: heating_base_degf,
                fixed_cooling_balance_point_degf: cooling_base_degf,
                ..FitSettings::new(interval, interpretation.may_cool())
            });
        }
        Some(RunInput {
            readings: &self.readings,
            interpretation,
            unit: self.input.unit,
            weather: self.weather.as_deref()?,
            normal_year: self.normal_year.as_deref(),
            baseline_end: self.input.project.periods.baseline_end,
            reporting_start: self.input.project.periods.reporting_start,
            settings,
        })
    }

    /// XXH3-128 of all that the result depends on, the version of the arithmetic and what things are called included.
    pub(crate) fn hash(&self, engine_version: &str) -> String {
        let project = &self.input.project;
        let Periods { baseline_start, baseline_end, reporting_start, reporting_end } = project.periods;
        let all = json!({
            "engine_version": engine_version,
            "names": [&self.input.trace_id, &project.project_id],
            "records": hash_of(&self.input.records),
            "input": self.run_input().map(|input| input_hash(&input)),
            "model_class": self.choice.class.map(ModelClass::name),
            "replaced": self.choice.replaced,
            "model_kwargs": self.choice.model_kwargs(),
            "time_zone": self.choice.zone.to_string(),
            "place": [&project.zipcode, &project.weather_station, &project.weather_normal_station],
            "periods": [baseline_start, Some(baseline_end), Some(reporting_start), reporting_end],
        });
        let mut hash = Xxh3::new();
        hash.update(all.to_string().as_bytes());
        format!("{:032x}", hash.digest128())
    }

    /// The arithmetic; nothing without weather.
    pub(crate) fn run(&self) -> Option<Run<'_>> {
        self.run_input().map(run)
    }
}

/// A run with all that it is made from, or with what is missing.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The row of the run.
    pub id: i64,
    /// Whether an earlier result must not stand for it.
    pub force: bool,
    /// The hash of all that its result depends on; nothing without a readable input.
    pub input_hash: Option<String>,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    /// There is nothing to compute; why.
    Unreadable(String),
    Ready(Box<Ready>),
}

#[derive(Clone, Debug)]
struct Ready {
    inputs: Inputs,
    pinned: Pinned,
    weather: Result<Chosen, String>,
    normal_year: Result<Chosen, String>,
    /// What was found while the input was read.
    notes: Vec<Value>,
}

/// Reads what runs are made from.
pub struct Preparation<'a> {
    store: &'a Store,
    weather: &'a WeatherStore,
}

/// What a request may say besides models and formatters.
#[derive(Debug, Default, Deserialize)]
struct Options {
    #[serde(default)]
    force: bool,
}

impl<'a> Preparation<'a> {
    /// From this store.
    pub fn new(store: &'a Store, weather: &'a WeatherStore) -> Preparation<'a> {
        Preparation { store, weather }
    }

    /// What a batch of runs is made from, in their order.
    ///
    /// # Errors
    /// The store fails. What is wrong with single runs is in them.
    pub async fn of(&self, runs: &[ClaimedRun]) -> Result<Vec<Prepared>, PrepareError> {
        let stored: Vec<(i64, Known)> = runs
            .iter()
            .filter(|claimed| claimed.run.input.is_none())
            .filter_map(|claimed| claimed.trace.as_ref())
            .filter_map(|trace| Some((trace.id, Known::of(trace).ok()?)))
            .collect::<HashMap<_, _>>()
            .into_iter()
            .collect();
        let (ids, wanted): (Vec<i64>, Vec<Known>) = stored.into_iter().unzip();
        let (snapshot, records) = records::read_at(self.store, &wanted).await?;
        let records: HashMap<i64, Vec<Record>> = ids.into_iter().zip(records).collect();
        let mut prepared = Vec::with_capacity(runs.len());
        for claimed in runs {
            let run = &claimed.run;
            let state = match inputs_of(claimed, &records, snapshot.commit()) {
                Ok((inputs, pinned, notes)) => self.with_weather(inputs, pinned, notes).await?,
                Err(problem) => State::Unreadable(problem),
            };
            let options: Options = serde_json::from_str(&run.options).unwrap_or_default();
            let input_hash = match &state {
                State::Ready(ready) => Some(ready.inputs.hash(ENGINE_VERSION)),
                State::Unreadable(_) => None,
            };
            prepared.push(Prepared { id: run.id, force: options.force, input_hash, state });
        }
        Ok(prepared)
    }

    async fn with_weather(
        &self,
        mut inputs: Inputs,
        mut pinned: Pinned,
        notes: Vec<Value>,
    ) -> Result<State, PrepareError> {
        let project = inputs.input.project.clone();
        let place = |station| Place { zipcode: project.zipcode.clone(), station };
        let zone = inputs.choice.zone.clone();
        let weather = match inputs.window() {
            Some(window) => {
                let place = place(project.weather_station.clone());
                self.weather.observed_for(&place, years_around(window), window, &zone).await?
            }
            None => Err("no record lies in the periods of the project".to_owned()),
        };
        let normal_year =
            self.weather.normal_year_for(&place(project.weather_normal_station.clone()), &zone).await?;
        let used = |chosen: &Result<Chosen, String>| chosen.as_ref().ok().map(|chosen| chosen.loaded.clone());
        if let Some(loaded) = used(&weather) {
            (inputs.weather, pinned.weather) = (Some(loaded.weather), Some(loaded.pin));
        }
        if let Some(loaded) = used(&normal_year) {
            (inputs.normal_year, pinned.weather_normal) = (Some(loaded.weather), Some(loaded.pin));
        }
        Ok(State::Ready(Box::new(Ready { inputs, pinned, weather, normal_year, notes })))
    }
}

/// Whole years around a range: meters of one station ask for the same then, whenever their projects were.
fn years_around(range: TimeRange) -> TimeRange {
    let year = |tick: Tick| tick.to_string().get(..4).and_then(|year| year.parse::<u32>().ok()).unwrap_or(1);
    let begin = format!("{:04}-01-01", year(range.begin())).parse().unwrap_or(Tick::MIN);
    let end = format!("{:04}-01-01", year(range.end()) + 1).parse().unwrap_or(Tick::MAX);
    TimeRange::new(begin, end).unwrap_or(range)
}

/// The input of a run, what it is pinned to, and what is to be said about it; or why there is none.
fn inputs_of(
    claimed: &ClaimedRun,
    records: &HashMap<i64, Vec<Record>>,
    commit: i64,
) -> Result<(Inputs, Pinned, Vec<Value>), String> {
    let choice = choice_of(&claimed.run)?;
    let mut notes = Vec::new();
    let (input, trace) = match (&claimed.run.input, &claimed.trace) {
        (Some(supplied), _) => (supplied_input(supplied, &mut notes)?, None),
        (None, Some(trace)) => {
            let project = claimed.project.as_ref();
            let project = project.ok_or("the run has a trace but no project, whose periods it would need")?;
            let named = || {
                format!("the series of trace `{}` has the impossible name `{}`", trace.trace_id, trace.name)
            };
            let records = records.get(&trace.id).cloned().ok_or_else(named)?;
            let input = stored_input(trace, project, records)?;
            let pinned = PinnedTrace {
                series: format!("{TRACES}/{}", trace.name),
                trace_id: trace.trace_id.clone(),
                interpretation: input.interpretation,
                unit: input.unit,
                begin: input.records.first().map(|record| record.start),
                end: input.records.last().map(|record| record.start),
                commit,
                hash: hash_of(&input.records),
            };
            (input, Some(pinned))
        }
        (None, None) => return Err("the trace of the run is gone, and no input was supplied".to_owned()),
    };
    let project = &input.project;
    let Periods { baseline_start, baseline_end, reporting_start, reporting_end } = project.periods;
    let pinned = Pinned {
        trace,
        project_id: project.project_id.clone(),
        zipcode: project.zipcode.clone(),
        project_weather_station: project.weather_station.clone(),
        project_weather_normal_station: project.weather_normal_station.clone(),
        baseline_start,
        baseline_end,
        reporting_start,
        reporting_end,
        weather: None,
        weather_normal: None,
    };
    Ok((Inputs::new(input, choice), pinned, notes))
}

/// What a run says of models and formatters.
pub(crate) fn choice_of(run: &MeterRun) -> Result<Choice, String> {
    let kwargs = |field, text: &Option<String>| -> Result<Option<Value>, String> {
        let text = text.as_deref();
        text.map(serde_json::from_str).transpose().map_err(|error| format!("{field}: {error}"))
    };
    let model_kwargs = kwargs("model_kwargs", &run.model_kwargs)?;
    let formatter_kwargs = kwargs("formatter_kwargs", &run.formatter_kwargs)?;
    let request = Request {
        model_class: run.model_class.as_deref(),
        model_kwargs: model_kwargs.as_ref(),
        formatter_class: run.formatter_class.as_deref(),
        formatter_kwargs: formatter_kwargs.as_ref(),
    };
    Choice::of(request).map_err(|error| format!("{}: {error}", error.field()))
}

pub(crate) fn supplied_input(text: &str, notes: &mut Vec<Value>) -> Result<MeterInput, String> {
    let json = serde_json::from_str(text).map_err(|error| format!("meter_input is no JSON: {error}"))?;
    let read = MeterInput::from_json(&json).map_err(|error| format!("meter_input can't be read: {error}"))?;
    if read.n_overlapping > 0 {
        let text = format!("{} records were left out, which overlap others", read.n_overlapping);
        notes.push(note("sheaf.meter_input.overlapping_records", &text, json!({ "n": read.n_overlapping })));
    }
    Ok(read.input)
}

fn stored_input(trace: &Trace, project: &Project, records: Vec<Record>) -> Result<MeterInput, String> {
    let interpretation = trace.interpretation.parse::<Interpretation>().map_err(|error| error.to_string())?;
    let (unit, _) = EnergyUnit::parse(&trace.unit)
        .ok_or_else(|| format!("trace `{}` has the unknown unit `{}`", trace.trace_id, trace.unit))?;
    let missing = |field: &str| format!("project `{}` has no {field}", project.project_id);
    let periods = Periods {
        baseline_start: project.baseline_period_start.and_then(tick),
        baseline_end: project
            .baseline_period_end
            .and_then(tick)
            .ok_or_else(|| missing("baseline_period_end"))?,
        reporting_start: project
            .reporting_period_start
            .and_then(tick)
            .ok_or_else(|| missing("reporting_period_start"))?,
        reporting_end: project.reporting_period_end.and_then(tick),
    };
    let project = ProjectInput {
        project_id: Some(project.project_id.clone()),
        zipcode: project.zipcode.clone(),
        weather_station: project.weather_station.clone(),
        weather_normal_station: project.weather_normal_station.clone(),
        periods,
    };
    Ok(MeterInput::of_stored(Some(trace.trace_id.clone()), interpretation, unit, records, project))
}

impl Prepared {
    /// Computes the run.
    pub fn compute(&self) -> FinishedRun {
        match &self.state {
            State::Unreadable(problem) => self.failed(problem.clone(), None),
            State::Ready(ready) => self.compute_ready(ready),
        }
    }

    /// The run, ended with a result that an earlier run with the same input had.
    pub fn with_earlier(&self, result: NewMeterResult) -> FinishedRun {
        self.finished(RunEnding::Success, None, Some(result))
    }

    fn failed(&self, message: String, result: Option<NewMeterResult>) -> FinishedRun {
        self.finished(RunEnding::Failed, Some(message), result)
    }

    fn finished(
        &self,
        ending: RunEnding,
        failure_message: Option<String>,
        result: Option<NewMeterResult>,
    ) -> FinishedRun {
        FinishedRun {
            id: self.id,
            ending,
            failure_message,
            traceback: None,
            input_hash: self.input_hash.clone(),
            result: result.map(Box::new),
        }
    }

    fn compute_ready(&self, ready: &Ready) -> FinishedRun {
        let choice = &ready.inputs.choice;
        if ready.inputs.input.records.is_empty() {
            let text = "the trace has no records, so there is nothing to compute";
            let mut result = ready.result(choice.class, None);
            result.warnings = Some(json!([note("sheaf.meter.placeholder", text, json!({}))]).to_string());
            return self.finished(RunEnding::Success, None, Some(result));
        }
        let Some(run) = ready.inputs.run() else {
            let problem = ready.weather.as_ref().err().cloned().unwrap_or_default();
            return self.failed(problem, Some(ready.result(choice.class, None)));
        };
        let found = ModelClass::of(run.result.interval);
        let result = ready.result(Some(found), Some(&run.result));
        if let Some(class) = choice.class.filter(|class| *class != found) {
            let message = format!(
                "{} was asked for, but the records are {}: leave the model out, or ask for {}",
                class.name(),
                if run.result.interval.is_billing() { "bills" } else { "of a day or less" },
                found.name()
            );
            return self.failed(message, Some(NewMeterResult { derivatives: Vec::new(), ..result }));
        }
        if run.result.derivatives.is_empty() {
            return self.failed(run.result.status.to_string(), Some(result));
        }
        self.finished(RunEnding::Success, None, Some(result))
    }
}

impl Ready {
    /// What is to be kept of a run.
    fn result(&self, class: Option<ModelClass>, run: Option<&RunResult>) -> NewMeterResult {
        let choice = &self.inputs.choice;
        let weather = self.weather.as_ref().ok();
        let normal_year = self.normal_year.as_ref().ok();
        let periods = self.inputs.input.project.periods;
        let sides = run.map(|run| [&run.baseline, &run.reporting]);
        let spans = [
            (periods.baseline_start, Some(periods.baseline_end)),
            (Some(periods.reporting_start), periods.reporting_end),
        ];
        let period = |index: usize| NewPeriod {
            label: PERIODS[index].to_owned(),
            interpretation: PERIODS[index].to_uppercase(),
            start: spans[index].0.map(micros),
            end: spans[index].1.map(micros),
            model: sides.map(|sides| model_result(sides[index])),
        };
        NewMeterResult {
            eemeter_version: Some(EEMETER_VERSION.to_owned()),
            datastore_version: Some(ENGINE_VERSION.to_owned()),
            model_class: class.map(|class| class.name().to_owned()),
            model_kwargs: Some(choice.model_kwargs().to_string()),
            formatter_class: class.map(|class| class.formatter().to_owned()),
            formatter_kwargs: class.map(|class| choice.formatter_kwargs(class).to_string()),
            engine_version: Some(ENGINE_VERSION.to_owned()),
            weather_station: weather.map(|chosen| chosen.station.clone()),
            weather_normal_station: normal_year.map(|chosen| chosen.station.clone()),
            distance_km: weather.and_then(|chosen| chosen.distance_km),
            coverage: weather.map(|chosen| chosen.coverage),
            warnings: Some(Value::from(self.warnings(run)).to_string()),
            pinned: serde_json::to_string(&self.pinned).ok(),
            models: run.map(|run| {
                json!({ "status": run.status, "baseline": run.baseline, "reporting": run.reporting })
                    .to_string()
            }),
            periods: vec![period(0), period(1)],
            groups: vec![(0, 1)],
            derivatives: run.map_or_else(Vec::new, |run| self.derivatives(run)),
        }
    }

    fn warnings(&self, run: Option<&RunResult>) -> Vec<Value> {
        let mut warnings = self.notes.clone();
        if let Some(name) = &self.inputs.choice.replaced {
            let text = format!("`{name}` is not computed here; the nearest model was used");
            warnings.push(note("sheaf.model.replaced", &text, json!({ "model_class": name })));
        }
        if let Ok(chosen) = &self.weather {
            warnings.extend(chosen.warnings.iter().cloned());
        }
        match &self.normal_year {
            Ok(chosen) => warnings.extend(chosen.warnings.iter().cloned()),
            Err(problem) => warnings.push(note("sheaf.weather.no_normal_year", problem, json!({}))),
        }
        let Some(run) = run else { return warnings };
        warnings.extend(run.warnings.iter().map(|warning| of_warning(warning, None)));
        for (side, period) in [&run.baseline, &run.reporting].into_iter().zip(PERIODS) {
            let of_side = side.sufficiency.warnings.iter().chain(&side.fit.warnings);
            warnings.extend(of_side.map(|warning| of_warning(warning, Some(period))));
        }
        warnings
    }

    fn derivatives(&self, run: &RunResult) -> Vec<NewDerivative> {
        let mut derivatives: Vec<NewDerivative> = run.derivatives.iter().map(derivative).collect();
        if self.inputs.normal_year.is_none() && !derivatives.is_empty() {
            let without_numbers = DerivativePair {
                derivative_interpretation: DerivativeInterpretation::AnnualizedWeatherNormal,
                trace_interpretation: run.interpretation,
                unit: run.unit,
                baseline: None,
                reporting: None,
            };
            derivatives.insert(0, derivative(&without_numbers));
        }
        derivatives
    }
}

fn model_result(side: &SideResult) -> NewModelResult {
    let model = side.fit.model.as_ref();
    let reason = match side.fit.status {
        FitStatus::NoData => Some("no period has both usage and weather"),
        FitStatus::NoModel => Some("no candidate qualifies"),
        FitStatus::Success => None,
    };
    let metrics = model.map(|model| &model.avgs_metrics);
    NewModelResult {
        status: if model.is_some() { ResultStatus::Success } else { ResultStatus::Failure },
        traceback: reason.map(str::to_owned),
        start_date: side.data_start.map(micros),
        end_date: side.data_end.map(micros),
        n_rows: i64::try_from(side.n_usable_periods).ok(),
        r2: metrics.and_then(|metrics| metrics.r_squared),
        cvrmse: metrics.and_then(|metrics| metrics.cvrmse),
        rmse: metrics.and_then(|metrics| metrics.rmse),
        // Bounds of a prediction differ from day to day; those of the sums are in the derivatives.
        lower: None,
        upper: None,
    }
}

/// A derivative with its differential, which is such that a benefit is positive. Its bounds cross: savings are lowest where what is
/// subtracted from is low and what is subtracted is high.
fn derivative(pair: &DerivativePair) -> NewDerivative {
    let direction = Direction::of(pair.trace_interpretation.name());
    let (from, what, word) = match direction {
        Some(Direction::ReportingMinusBaseline) => {
            (pair.reporting, pair.baseline, "REPORTING_MINUS_BASELINE")
        }
        _ => (pair.baseline, pair.reporting, "BASELINE_MINUS_REPORTING"),
    };
    let both = from.zip(what);
    let in_quadrature = |a: Option<f64>, b: Option<f64>| a.zip(b).map(|(a, b)| (a * a + b * b).sqrt());
    let value = |side: Option<Derivative>| side.map(|side| side.value);
    let lower = |side: Option<Derivative>| side.and_then(|side| side.lower);
    let upper = |side: Option<Derivative>| side.and_then(|side| side.upper);
    let n = |side: Option<Derivative>| side.map(|side| side.n);
    NewDerivative {
        interpretation: pair.derivative_interpretation.name().to_owned(),
        trace_interpretation: pair.trace_interpretation.name().to_owned(),
        unit: pair.unit.to_string(),
        group: Some(0),
        baseline_value: value(pair.baseline),
        baseline_lower: lower(pair.baseline),
        baseline_upper: upper(pair.baseline),
        baseline_n: n(pair.baseline),
        reporting_value: value(pair.reporting),
        reporting_lower: lower(pair.reporting),
        reporting_upper: upper(pair.reporting),
        reporting_n: n(pair.reporting),
        differential_direction: Some(word.to_owned()),
        differential_value: both.map(|(from, what)| from.value - what.value),
        differential_lower: in_quadrature(lower(from), upper(what)),
        differential_upper: in_quadrature(upper(from), lower(what)),
    }
}

/// What results were made of, by their ids, for runs with the same inputs.
pub(crate) fn copies_of(results: Vec<MeterResult>, parts: ResultParts) -> HashMap<i64, NewMeterResult> {
    let mut copies: HashMap<i64, NewMeterResult> =
        results.into_iter().map(|result| (result.id, copy_of(result))).collect();
    let mut models: HashMap<i64, ModelResult> =
        parts.models.into_iter().map(|model| (model.modeling_period_id, model)).collect();
    // Places of rows by their ids: periods in the lists of their results, and groups likewise.
    let (mut periods, mut groups) = (HashMap::new(), HashMap::new());
    for period in parts.periods {
        let Some(copy) = copies.get_mut(&period.meter_result_id) else { continue };
        periods.insert(period.id, copy.periods.len());
        let model = models.remove(&period.id).map(|model| NewModelResult {
            status: model.status,
            traceback: model.traceback,
            start_date: model.start_date,
            end_date: model.end_date,
            n_rows: model.n_rows,
            r2: model.r2,
            cvrmse: model.cvrmse,
            rmse: model.rmse,
            lower: model.lower,
            upper: model.upper,
        });
        copy.periods.push(NewPeriod {
            label: period.label,
            interpretation: period.interpretation,
            start: period.start,
            end: period.end,
            model,
        });
    }
    for group in parts.groups {
        let Some(copy) = copies.get_mut(&group.meter_result_id) else { continue };
        let places = periods.get(&group.baseline_id).zip(periods.get(&group.reporting_id));
        let Some((baseline, reporting)) = places else { continue };
        groups.insert(group.id, copy.groups.len());
        copy.groups.push((*baseline, *reporting));
    }
    for derivative in parts.derivatives {
        let Some(copy) = copies.get_mut(&derivative.meter_result_id) else { continue };
        copy.derivatives.push(NewDerivative {
            interpretation: derivative.interpretation,
            trace_interpretation: derivative.trace_interpretation,
            unit: derivative.unit,
            group: derivative.modeling_period_group_id.and_then(|group| groups.get(&group).copied()),
            baseline_value: derivative.baseline_value,
            baseline_lower: derivative.baseline_lower,
            baseline_upper: derivative.baseline_upper,
            baseline_n: derivative.baseline_n,
            reporting_value: derivative.reporting_value,
            reporting_lower: derivative.reporting_lower,
            reporting_upper: derivative.reporting_upper,
            reporting_n: derivative.reporting_n,
            differential_direction: derivative.differential_direction,
            differential_value: derivative.differential_value,
            differential_lower: derivative.differential_lower,
            differential_upper: derivative.differential_upper,
        });
    }
    copies
}

/// A result without its parts.
fn copy_of(result: MeterResult) -> NewMeterResult {
    NewMeterResult {
        eemeter_version: result.eemeter_version,
        datastore_version: result.datastore_version,
        model_class: result.model_class,
        model_kwargs: result.model_kwargs,
        formatter_class: result.formatter_class,
        formatter_kwargs: result.formatter_kwargs,
        engine_version: result.engine_version,
        weather_station: result.weather_station,
        weather_normal_station: result.weather_normal_station,
        distance_km: result.distance_km,
        coverage: result.coverage,
        warnings: result.warnings,
        pinned: result.pinned,
        models: result.models,
        periods: Vec::new(),
        groups: Vec::new(),
        derivatives: Vec::new(),
    }
}
