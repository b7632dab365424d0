//! Inputs and outputs of meter runs as JSON, made when they are fetched.
//!
//! A result keeps which records and temperatures it was made from, and their hash. Here they are read again. What is gone or has
//! changed since is [`RenderError::Gone`] and never other numbers. Figures are those of the result; only what they were computed
//! from (`demand_fixture`, `input_data`) is made anew.

use std::collections::HashMap;

use serde_json::{Map, Value, json};
use sheaf_db::datastore::{
    MeterDerivative, MeterResult, MeterRun, Micros, ModelResult, ModelingPeriod, ResultParts, Trace,
};
use sheaf_model::Tick;
use sheaf_savings::run::Run;
use sheaf_savings::series::{NamedSeries, SeriesPoint};
use sheaf_savings::weather::Weather;
use sheaf_store::Store;

use crate::input::{MeterInput, Periods, ProjectInput};
use crate::records::{self, Known, RecordsError};
use crate::run::{Inputs, PERIODS, Pinned, PinnedTrace, choice_of, hash_of, supplied_input};
use crate::times::tick;
use crate::weather::{Pin, WeatherError, WeatherStore};

/// An input or an output that can't be shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RenderError {
    /// The run has not come so far that it has one.
    #[error("the run has none")]
    None,
    /// What it was made from is not what it was.
    #[error("what the result was computed from is gone or has changed; its hash was {hash}")]
    Gone {
        /// The hash of what it was made from.
        hash: String,
    },
    /// The row of the result can't be understood.
    #[error("the row of the result is damaged: {problem}")]
    Damaged {
        /// What is wrong with it.
        problem: String,
    },
    /// Records can't be read.
    #[error(transparent)]
    Records(#[from] RecordsError),
    /// Weather can't be read.
    #[error(transparent)]
    Weather(#[from] WeatherError),
}

/// Makes inputs and outputs from this store.
pub struct Rendering<'a> {
    store: &'a Store,
    weather: &'a WeatherStore,
}

impl<'a> Rendering<'a> {
    /// From this store.
    pub fn new(store: &'a Store, weather: &'a WeatherStore) -> Rendering<'a> {
        Rendering { store, weather }
    }

    /// The input of a run: the one that was supplied, or that of its trace and project as they were. `trace` and `result` are
    /// those of the run, as far as there are any.
    ///
    /// # Errors
    /// There is none (yet), it is gone, or the store fails.
    pub async fn meter_input(
        &self,
        run: &MeterRun,
        trace: Option<&Trace>,
        result: Option<&MeterResult>,
    ) -> Result<Value, RenderError> {
        if let Some(supplied) = &run.input {
            let damaged = |error: serde_json::Error| RenderError::Damaged { problem: error.to_string() };
            return match serde_json::from_str(supplied).map_err(damaged)? {
                Value::String(text) => serde_json::from_str(&text).map_err(damaged),
                json => Ok(json),
            };
        }
        let result = result.ok_or(RenderError::None)?;
        let pinned = pinned_of(result)?;
        let of_trace = pinned.trace.as_ref().ok_or(RenderError::None)?;
        Ok(self.stored_input(&pinned, of_trace, trace, result).await?.to_json())
    }

    /// The output of a run: `meter_output` of eemeter 0.4, with the same keys in the same order.
    ///
    /// # Errors
    /// What it was made from is gone, or the store fails.
    pub async fn meter_output(
        &self,
        run: &MeterRun,
        trace: Option<&Trace>,
        result: &MeterResult,
        parts: &ResultParts,
    ) -> Result<Value, RenderError> {
        let inputs = self.inputs(run, trace, result).await?;
        let made = tokio::task::spawn_blocking({
            let (result, parts, failure) = (result.clone(), parts.clone(), run.failure_message.clone());
            move || Output::new(&inputs).json(&result, &parts, failure.as_deref())
        });
        made.await.map_err(|error| RenderError::Weather(WeatherError::Task(error.to_string())))
    }

    /// All that a result was made from.
    async fn inputs(
        &self,
        run: &MeterRun,
        trace: Option<&Trace>,
        result: &MeterResult,
    ) -> Result<Inputs, RenderError> {
        let damaged = |problem| RenderError::Damaged { problem };
        let pinned = pinned_of(result)?;
        let input = match (&run.input, &pinned.trace) {
            (Some(supplied), _) => supplied_input(supplied, &mut Vec::new()).map_err(damaged)?,
            (None, Some(of_trace)) => self.stored_input(&pinned, of_trace, trace, result).await?,
            (None, None) => return Err(gone(result)),
        };
        let mut inputs = Inputs::new(input, choice_of(run).map_err(damaged)?);
        inputs.weather = self.weather_of(&pinned.weather, &inputs, result).await?;
        inputs.normal_year = self.weather_of(&pinned.weather_normal, &inputs, result).await?;
        let version = result.engine_version.as_deref().unwrap_or_default();
        if result.input_hash.as_deref() != Some(&inputs.hash(version)) {
            return Err(gone(result));
        }
        Ok(inputs)
    }

    async fn weather_of(
        &self,
        pin: &Option<Pin>,
        inputs: &Inputs,
        result: &MeterResult,
    ) -> Result<Option<std::sync::Arc<Weather>>, RenderError> {
        let Some(pin) = pin else { return Ok(None) };
        let loaded = self.weather.pinned(pin, &inputs.choice.zone).await?;
        loaded.map(|loaded| Some(loaded.weather)).ok_or_else(|| gone(result))
    }

    async fn stored_input(
        &self,
        pinned: &Pinned,
        of_trace: &PinnedTrace,
        trace: Option<&Trace>,
        result: &MeterResult,
    ) -> Result<MeterInput, RenderError> {
        let trace = trace.ok_or_else(|| gone(result))?;
        let known = Known::of(trace).map_err(|_| gone(result))?;
        let mut records = records::read(self.store, &[known]).await?.pop().unwrap_or_default();
        // What was added before or behind is no part of it.
        records.retain(|record| {
            of_trace.begin.is_some_and(|begin| begin <= record.start)
                && of_trace.end.is_some_and(|end| record.start <= end)
        });
        let project = ProjectInput {
            project_id: pinned.project_id.clone(),
            zipcode: pinned.zipcode.clone(),
            weather_station: pinned.project_weather_station.clone(),
            weather_normal_station: pinned.project_weather_normal_station.clone(),
            periods: Periods {
                baseline_start: pinned.baseline_start,
                baseline_end: pinned.baseline_end,
                reporting_start: pinned.reporting_start,
                reporting_end: pinned.reporting_end,
            },
        };
        let PinnedTrace { trace_id, interpretation, unit, .. } = of_trace;
        let input = MeterInput::of_stored(Some(trace_id.clone()), *interpretation, *unit, records, project);
        if hash_of(&input.records) == of_trace.hash { Ok(input) } else { Err(gone(result)) }
    }
}

fn gone(result: &MeterResult) -> RenderError {
    RenderError::Gone { hash: result.input_hash.clone().unwrap_or_default() }
}

fn pinned_of(result: &MeterResult) -> Result<Pinned, RenderError> {
    let text = result.pinned.as_deref().ok_or(RenderError::None)?;
    serde_json::from_str(text).map_err(|error| RenderError::Damaged { problem: error.to_string() })
}

/// What outputs show of inputs.
struct Output<'a> {
    inputs: &'a Inputs,
    run: Option<Run<'a>>,
    series: HashMap<String, NamedSeries>,
}

impl<'a> Output<'a> {
    fn new(inputs: &'a Inputs) -> Output<'a> {
        let run = inputs.run();
        let named = run.as_ref().map(Run::named_series).unwrap_or_default();
        let series = named.into_iter().map(|series| (series.series.clone(), series)).collect();
        Output { inputs, run, series }
    }

    fn json(&self, result: &MeterResult, parts: &ResultParts, failure_message: Option<&str>) -> Value {
        let parsed = |text: &Option<String>| {
            text.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok()).unwrap_or_default()
        };
        let mut logs = Vec::new();
        for (what, station) in [
            ("weather_source", &result.weather_station),
            ("weather_normal_source", &result.weather_normal_station),
        ] {
            logs.extend(station.iter().map(|station| format!("Using {what} {station}")));
        }
        let warnings = parsed(&result.warnings);
        let said = warnings.as_array().into_iter().flatten().filter_map(|note| note["description"].as_str());
        logs.extend(said.map(str::to_owned));
        let models = parsed(&result.models);
        json!({
            "status": result.status.word(),
            "failure_message": failure_message,
            "logs": logs,
            "eemeter_version": result.eemeter_version,
            "model_class": result.model_class,
            "model_kwargs": parsed(&result.model_kwargs),
            "formatter_class": result.formatter_class,
            "formatter_kwargs": parsed(&result.formatter_kwargs),
            "weather_source_station": result.weather_station,
            "weather_normal_source_station": result.weather_normal_station,
            "derivatives": parts.derivatives.iter().map(|row| self.derivative(row)).collect::<Vec<_>>(),
            "modeled_energy_trace": self.modeled_energy_trace(parts, &models),
        })
    }

    fn derivative(&self, row: &MeterDerivative) -> Value {
        let fixture = match row.interpretation.as_str() {
            "annualized_weather_normal" => self.fixture("Temperature, normal year"),
            "gross_predicted" => self.reporting_days(),
            _ => Value::Null,
        };
        let side = |label: &str, value: Option<f64>, [lower, upper, n]: [Option<f64>; 3]| {
            let fixture = if value.is_some() { fixture.clone() } else { Value::Null };
            json!({
                "label": label, "value": value, "lower": lower, "upper": upper, "n": n, "demand_fixture": fixture,
            })
        };
        let [baseline, reporting] = PERIODS;
        json!({
            "label": null,
            "derivative_interpretation": row.interpretation,
            "trace_interpretation": row.trace_interpretation,
            "unit": row.unit,
            "baseline": side(
                baseline, row.baseline_value, [row.baseline_lower, row.baseline_upper, row.baseline_n],
            ),
            "reporting": side(
                reporting, row.reporting_value, [row.reporting_lower, row.reporting_upper, row.reporting_n],
            ),
        })
    }

    /// A series as an object: time → value.
    fn fixture(&self, name: &str) -> Value {
        let Some(series) = self.series.get(name) else { return Value::Null };
        let points = series.points.iter().filter_map(|point| Some((time(point.start?), json!(point.value))));
        Value::Object(points.collect())
    }

    /// The days of the reporting period with their temperatures.
    fn reporting_days(&self) -> Value {
        let (Some(run), Some(weather)) = (&self.run, &self.inputs.weather) else { return Value::Null };
        let span = run.result.reporting.data_start.zip(run.result.reporting.data_end);
        let Some((first, last)) = span else { return Value::Null };
        let degf: HashMap<Tick, f64> =
            weather.day_bounds().iter().copied().zip(weather.day_degf().iter().copied()).collect();
        let bounds = weather.zone().day_bounds(first, last);
        let days = bounds.split_last().map_or(&[][..], |(_, days)| days);
        // NaN is null in JSON.
        Value::Object(days.iter().map(|day| (time(*day), json!(degf.get(day)))).collect())
    }

    fn modeled_energy_trace(&self, parts: &ResultParts, models: &Value) -> Value {
        let model_of =
            |period: &ModelingPeriod| parts.models.iter().find(|model| model.modeling_period_id == period.id);
        let fit = |period: &ModelingPeriod, model: &ModelResult| {
            json!({
                "status": model.status.word(),
                "traceback": model.traceback,
                "start_date": model.start_date.and_then(tick).map(time),
                "end_date": model.end_date.and_then(tick).map(time),
                "n_rows": model.n_rows,
                "model_fit": {
                    "r2": model.r2,
                    "cvrmse": model.cvrmse,
                    "rmse": model.rmse,
                    "lower": model.lower,
                    "upper": model.upper,
                    "n": model.n_rows,
                    "model_params": models[&period.label]["fit"]["model"],
                },
                "input_data": self.input_data(&period.label),
            })
        };
        let fits: Map<String, Value> = parts
            .periods
            .iter()
            .filter_map(|period| Some((period.label.clone(), fit(period, model_of(period)?))))
            .collect();
        let label = |id: i64| parts.periods.iter().find(|period| period.id == id).map(|period| &period.label);
        let groups = parts.groups.iter().map(
            |group| json!({ "baseline": label(group.baseline_id), "reporting": label(group.reporting_id) }),
        );
        let date = |micros: Option<Micros>| micros.and_then(tick).map(time);
        let periods: Map<String, Value> = parts
            .periods
            .iter()
            .map(|period| {
                let json = json!({
                    "interpretation": period.interpretation,
                    "start_date": date(period.start),
                    "end_date": date(period.end),
                });
                (period.label.clone(), json)
            })
            .collect();
        json!({
            "type": "SPLIT_MODELED_ENERGY_TRACE",
            "fits": fits,
            "modeling_period_set": {
                "modeling_period_groups": groups.collect::<Vec<_>>(),
                "modeling_periods": periods,
            },
        })
    }

    /// Energy and temperatures of a period: a day has one, a bill those of its hours.
    fn input_data(&self, period: &str) -> Value {
        let observed = self.series.get(&format!("Observed, {period} period"));
        let (Some(run), Some(observed), Some(weather)) = (&self.run, observed, &self.inputs.weather) else {
            return Value::Null;
        };
        let points = &observed.points;
        let side = if period == PERIODS[0] { &run.result.baseline } else { &run.result.reporting };
        let is_billing = run.result.interval.is_billing();
        let means = self.series.get(&format!("Temperature, {period} period"));
        let row = |(index, point): (usize, &SeriesPoint)| {
            let start = point.start?;
            let degf = if is_billing {
                let end = points.get(index + 1).and_then(|next| next.start).or(side.data_end)?;
                hours(weather, start, end)
            } else {
                json!(means.and_then(|means| means.points.get(index)?.value))
            };
            Some((time(start), json!({ "energy": point.value, "tempF": degf })))
        };
        Value::Object(points.iter().enumerate().filter_map(row).collect())
    }
}

fn hours(weather: &Weather, start: Tick, end: Tick) -> Value {
    let hours = weather.starts().iter().zip(weather.degf());
    let of_bill = hours.skip_while(|(at, _)| **at < start).take_while(|(at, _)| **at < end);
    Value::Object(of_bill.map(|(at, degf)| (time(*at), json!(degf))).collect())
}

/// As eemeter writes times: `2015-01-01T00:00:00+00:00`.
fn time(tick: Tick) -> String {
    format!("{}+00:00", tick.to_string().trim_end_matches('Z'))
}
