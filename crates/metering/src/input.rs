//! What a meter run is made from, as JSON: the `meter_input` of the OpenEEmeter datastore.
//!
//! [`MeterInput::from_json`] reads all three kinds of records that eemeter 0.4 has; [`MeterInput::to_json`] writes a trace and its
//! project as the datastore did. What is written is read back to the same. Times are compared as the instants that they are, with
//! whatever offset they were written.

use std::fmt;

use serde_json::{Map, Value, json};
use sheaf_model::{EnergyUnit, Interpretation, Tick};

use crate::records::Record;

const ENVELOPE: &str = "SINGLE_TRACE_SIMPLE_PROJECT";
const PROJECT: &str = "PROJECT_WITH_SINGLE_MODELING_PERIOD_GROUP";
const ARBITRARY: &str = "ARBITRARY";
const ARBITRARY_START: &str = "ARBITRARY_START";
const ARBITRARY_END: &str = "ARBITRARY_END";

/// A trace and the project that it is run for.
#[derive(Clone, Debug, PartialEq)]
pub struct MeterInput {
    /// What its people call the trace; nothing if nobody says.
    pub trace_id: Option<String>,
    /// What was metered.
    pub interpretation: Interpretation,
    /// Of all values.
    pub unit: EnergyUnit,
    /// By start, each start once. The last one only ends the one before: it has no value.
    pub records: Vec<Record>,
    /// The project.
    pub project: ProjectInput,
}

/// Where and when something was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectInput {
    /// What its people call it; nothing if nobody says.
    pub project_id: Option<String>,
    /// Where it is; nothing only where a weather station is named.
    pub zipcode: Option<String>,
    /// The station whose weather counts, if not the one that the place chooses. (Not in the datastore.)
    pub weather_station: Option<String>,
    /// The station whose normal year counts, likewise.
    pub weather_normal_station: Option<String>,
    /// When it was changed.
    pub periods: Periods,
}

/// The parts of a trace that have models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Periods {
    /// Before it nothing counts for the baseline; as far back as the method goes if nothing.
    pub baseline_start: Option<Tick>,
    /// The change begins.
    pub baseline_end: Tick,
    /// The change is over.
    pub reporting_start: Tick,
    /// After it nothing counts for the reporting period; as far as the method goes if nothing.
    pub reporting_end: Option<Tick>,
}

/// An input that can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {problem}", if pointer.is_empty() { "/" } else { pointer })]
pub struct InputError {
    /// Where in the JSON, as a JSON pointer (RFC 6901).
    pub pointer: String,
    /// What is wrong there.
    pub problem: InputProblem,
}

/// What is wrong with a part of an input. The texts of the first three begin as those of the OpenEEmeter deserialiser.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InputProblem {
    /// An object does not say what it is.
    #[error("Serialization \"type\" must be provided; allowed: {allowed}")]
    TypeMissing {
        /// What would be right.
        allowed: &'static str,
    },
    /// An object says it is something unknown.
    #[error("Serialization type \"{found}\" is not recognised; allowed: {allowed}")]
    TypeUnknown {
        /// What it says.
        found: String,
        /// What would be right.
        allowed: &'static str,
    },
    /// Something is absent or null.
    #[error("For serialization type \"{type_name}\", key \"{key}\" must be provided")]
    KeyMissing {
        /// Of the object.
        type_name: &'static str,
        /// What is absent.
        key: &'static str,
    },
    /// A text that is no JSON.
    #[error("the text is no JSON: {problem}")]
    NoJson {
        /// What is wrong.
        problem: String,
    },
    /// A value of another kind.
    #[error("{expected} is needed here, got {found}")]
    WrongType {
        /// What would be right.
        expected: &'static str,
        /// What there is.
        found: &'static str,
    },
    /// A word, a time or a number that means nothing.
    #[error("{problem}")]
    Value {
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// A record or a period that ends before it begins.
    #[error("it ends at {end}, and begins at {start}: the end must be later")]
    EndsBeforeItBegins {
        /// Its begin.
        start: Tick,
        /// Its end.
        end: Tick,
    },
}

/// What was read, and what was left out on the way.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadInput {
    /// The input.
    pub input: MeterInput,
    /// How many records were left out: they begin before the one before them ends, or at a time that another has.
    pub n_overlapping: usize,
}

impl MeterInput {
    /// Reads an input: an object, or a string that holds it as JSON.
    ///
    /// # Errors
    /// Something is absent, means nothing, or ends before it begins; the error says where.
    pub fn from_json(json: &Value) -> Result<ReadInput, InputError> {
        let unwrapped;
        let json = match json {
            Value::String(text) => {
                unwrapped = serde_json::from_str(text).map_err(|error| InputError {
                    pointer: String::new(),
                    problem: InputProblem::NoJson { problem: error.to_string() },
                })?;
                &unwrapped
            }
            json => json,
        };
        let envelope = Object::new(String::new(), json)?;
        envelope.is(ENVELOPE)?;
        let trace = envelope.object(ENVELOPE, "trace")?;
        let project = envelope.object(ENVELOPE, "project")?;
        let kind = trace.one_of(&[ARBITRARY, ARBITRARY_START, ARBITRARY_END])?;
        let interpretation = trace.parsed(kind, "interpretation", str::parse::<Interpretation>)?;
        let (unit, factor) = trace.parsed(kind, "unit", |text| {
            EnergyUnit::parse(text).ok_or_else(|| format!("unknown unit `{text}`; allowed: KWH, WH, THERM"))
        })?;
        let records = trace.key(kind, "records")?;
        let (mut records, n_overlapping) = match kind {
            ARBITRARY => arbitrary(rows(&trace, records, &["start", "end", "value"])?)?,
            ARBITRARY_START => arbitrary_start(rows(&trace, records, &["start", "value"])?)?,
            _ => arbitrary_end(rows(&trace, records, &["end", "value"])?)?,
        };
        for record in &mut records {
            record.value = record.value.map(|value| value * factor);
        }
        let input = MeterInput {
            trace_id: trace.text("trace_id")?,
            interpretation,
            unit,
            records,
            project: ProjectInput::read(&project)?,
        };
        Ok(ReadInput { input, n_overlapping })
    }

    /// The input of a stored trace and project; records by start, each start once.
    pub fn of_stored(
        trace_id: Option<String>,
        interpretation: Interpretation,
        unit: EnergyUnit,
        mut records: Vec<Record>,
        project: ProjectInput,
    ) -> MeterInput {
        if let Some(last) = records.last_mut() {
            *last = Record { start: last.start, value: None, estimated: false };
        }
        MeterInput { trace_id, interpretation, unit, records, project }
    }

    /// As the datastore wrote it, with records of type `ARBITRARY_START`.
    pub fn to_json(&self) -> Value {
        let record = |record: &Record| json!({ "start": record.start, "value": record.value, "estimated": record.estimated });
        let project = &self.project;
        let periods = &project.periods;
        let mut json = json!({
            "type": ENVELOPE,
            "trace": {
                "type": ARBITRARY_START,
                "interpretation": self.interpretation,
                "unit": self.unit,
                "records": self.records.iter().map(record).collect::<Vec<_>>(),
                "trace_id": self.trace_id,
            },
            "project": {
                "type": PROJECT,
                "zipcode": project.zipcode,
                "project_id": project.project_id,
                "modeling_period_group": {
                    "baseline_period": { "start": periods.baseline_start, "end": periods.baseline_end },
                    "reporting_period": { "start": periods.reporting_start, "end": periods.reporting_end },
                },
            },
        });
        for (key, station) in [
            ("weather_station", &project.weather_station),
            ("weather_normal_station", &project.weather_normal_station),
        ] {
            if let Some(station) = station {
                json["project"][key] = station.as_str().into();
            }
        }
        json
    }
}

impl ProjectInput {
    fn read(project: &Object<'_>) -> Result<ProjectInput, InputError> {
        project.is(PROJECT)?;
        let weather_station = project.text("weather_station")?;
        let zipcode = project.text("zipcode")?;
        if zipcode.is_none() && weather_station.is_none() {
            return Err(project.missing(PROJECT, "zipcode"));
        }
        let group = project.object(PROJECT, "modeling_period_group")?;
        let baseline = group.object(PROJECT, "baseline_period")?;
        let reporting = group.object(PROJECT, "reporting_period")?;
        let periods = Periods {
            baseline_start: baseline.time("start")?,
            baseline_end: baseline.time("end")?.ok_or_else(|| baseline.missing("BASELINE", "end"))?,
            reporting_start: reporting
                .time("start")?
                .ok_or_else(|| reporting.missing("REPORTING", "start"))?,
            reporting_end: reporting.time("end")?,
        };
        for (object, start, end) in [
            (&baseline, periods.baseline_start, Some(periods.baseline_end)),
            (&reporting, Some(periods.reporting_start), periods.reporting_end),
        ] {
            if let (Some(start), Some(end)) = (start, end)
                && end < start
            {
                return Err(object.error(InputProblem::EndsBeforeItBegins { start, end }));
            }
        }
        Ok(ProjectInput {
            project_id: project.text("project_id")?,
            zipcode,
            weather_station,
            weather_normal_station: project.text("weather_normal_station")?,
            periods,
        })
    }
}

/// A record as it is written.
struct Row {
    pointer: String,
    start: Option<Tick>,
    end: Option<Tick>,
    value: Option<f64>,
    estimated: bool,
}

impl Row {
    fn record(&self, start: Tick) -> Record {
        Record { start, value: self.value, estimated: self.estimated }
    }

    fn check_order(&self, start: Tick, end: Tick) -> Result<(), InputError> {
        if start < end {
            return Ok(());
        }
        let problem = InputProblem::EndsBeforeItBegins { start, end };
        Err(InputError { pointer: self.pointer.clone(), problem })
    }
}

fn rows(trace: &Object<'_>, records: &Value, needed: &[&'static str]) -> Result<Vec<Row>, InputError> {
    let pointer = format!("{}/records", trace.pointer);
    let Value::Array(records) = records else {
        let problem = InputProblem::WrongType { expected: "an array", found: kind_of(records) };
        return Err(InputError { pointer, problem });
    };
    let row = |(index, json): (usize, &Value)| {
        let record = Object::new(format!("{pointer}/{index}"), json)?;
        for key in needed {
            // A value may be null, a time may not.
            if record.map.get(*key).is_none_or(|value| value.is_null() && *key != "value") {
                return Err(record.missing("record", key));
            }
        }
        Ok(Row {
            start: record.time("start")?,
            end: record.time("end")?,
            value: record.number("value")?,
            estimated: record.flag("estimated")?,
            pointer: record.pointer,
        })
    };
    records.iter().enumerate().map(row).collect()
}

fn cap(start: Tick) -> Record {
    Record { start, value: None, estimated: false }
}

/// Each record says when it begins and ends; what lies between two is missing.
fn arbitrary(mut rows: Vec<Row>) -> Result<(Vec<Record>, usize), InputError> {
    rows.sort_by_key(|row| row.start);
    let (mut records, mut n_overlapping) = (Vec::with_capacity(rows.len() + 1), 0);
    let mut covered: Option<Tick> = None;
    for row in &rows {
        let (Some(start), Some(end)) = (row.start, row.end) else { continue };
        row.check_order(start, end)?;
        match covered {
            Some(covered) if start < covered => {
                n_overlapping += 1;
                continue;
            }
            Some(covered) if start > covered => records.push(cap(covered)),
            _ => {}
        }
        records.push(row.record(start));
        covered = Some(end);
    }
    records.extend(covered.map(cap));
    Ok((records, n_overlapping))
}

/// Each record lasts until the next one begins; the last one has a value only if it says when it ends.
fn arbitrary_start(mut rows: Vec<Row>) -> Result<(Vec<Record>, usize), InputError> {
    rows.sort_by_key(|row| row.start);
    let n_rows = rows.len();
    rows.dedup_by_key(|row| row.start);
    let n_overlapping = n_rows - rows.len();
    let mut records: Vec<Record> =
        rows.iter().filter_map(|row| row.start.map(|start| row.record(start))).collect();
    if let (Some(row), Some(last)) = (rows.last(), records.last_mut()) {
        let start = last.start;
        match row.end {
            Some(end) => {
                row.check_order(start, end)?;
                if row.value.is_some() {
                    records.push(cap(end));
                } else {
                    *last = cap(start);
                }
            }
            None => *last = cap(start),
        }
    }
    Ok((records, n_overlapping))
}

/// Each record begins where the one before ends; the first one has a value only if it says when it begins.
fn arbitrary_end(mut rows: Vec<Row>) -> Result<(Vec<Record>, usize), InputError> {
    rows.sort_by_key(|row| row.end);
    let n_rows = rows.len();
    rows.dedup_by_key(|row| row.end);
    let n_overlapping = n_rows - rows.len();
    let mut records = Vec::with_capacity(rows.len() + 1);
    let mut before = None;
    for (index, row) in rows.iter().enumerate() {
        let Some(end) = row.end else { continue };
        if index == 0
            && let Some(start) = row.start
        {
            row.check_order(start, end)?;
            before = Some(start);
        }
        records.extend(before.map(|start| row.record(start)));
        before = Some(end);
    }
    records.extend(before.map(cap));
    Ok((records, n_overlapping))
}

/// A JSON object, and where it is.
struct Object<'a> {
    pointer: String,
    map: &'a Map<String, Value>,
}

impl<'a> Object<'a> {
    fn new(pointer: String, json: &'a Value) -> Result<Object<'a>, InputError> {
        match json {
            Value::Object(map) => Ok(Object { pointer, map }),
            other => {
                let problem = InputProblem::WrongType { expected: "an object", found: kind_of(other) };
                Err(InputError { pointer, problem })
            }
        }
    }

    fn error(&self, problem: InputProblem) -> InputError {
        InputError { pointer: self.pointer.clone(), problem }
    }

    fn error_at(&self, key: &str, problem: InputProblem) -> InputError {
        InputError { pointer: format!("{}/{key}", self.pointer), problem }
    }

    fn missing(&self, type_name: &'static str, key: &'static str) -> InputError {
        self.error(InputProblem::KeyMissing { type_name, key })
    }

    fn value_problem(&self, key: &str, problem: impl fmt::Display) -> InputError {
        self.error_at(key, InputProblem::Value { problem: problem.to_string() })
    }

    fn wrong_type(&self, key: &str, expected: &'static str, found: &Value) -> InputError {
        self.error_at(key, InputProblem::WrongType { expected, found: kind_of(found) })
    }

    fn is(&self, expected: &'static str) -> Result<(), InputError> {
        self.one_of(&[expected]).map(drop)
    }

    /// The type of the object.
    fn one_of(&self, types: &[&'static str]) -> Result<&'static str, InputError> {
        let allowed = match types {
            [one] => one,
            _ => "ARBITRARY, ARBITRARY_START, ARBITRARY_END",
        };
        let Some(found) = self.given("type") else {
            return Err(self.error(InputProblem::TypeMissing { allowed }));
        };
        types.iter().copied().find(|known| found.as_str() == Some(known)).ok_or_else(|| {
            let found = found.as_str().map_or_else(|| found.to_string(), str::to_owned);
            self.error_at("type", InputProblem::TypeUnknown { found, allowed })
        })
    }

    /// What is there and not null.
    fn given(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    fn key(&self, type_name: &'static str, key: &'static str) -> Result<&'a Value, InputError> {
        self.given(key).ok_or_else(|| self.missing(type_name, key))
    }

    fn object(&self, type_name: &'static str, key: &'static str) -> Result<Object<'a>, InputError> {
        Object::new(format!("{}/{key}", self.pointer), self.key(type_name, key)?)
    }

    fn parsed<T, E: fmt::Display>(
        &self,
        type_name: &'static str,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, InputError> {
        let value = self.key(type_name, key)?;
        let text = value.as_str().ok_or_else(|| self.wrong_type(key, "a string", value))?;
        parse(text).map_err(|error| self.value_problem(key, error))
    }

    fn text(&self, key: &str) -> Result<Option<String>, InputError> {
        match self.given(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(other) => Err(self.wrong_type(key, "a string", other)),
        }
    }

    fn time(&self, key: &str) -> Result<Option<Tick>, InputError> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        if !has_offset(&text) {
            let problem = format!("`{text}` needs an offset from UTC: `Z`, or one like `-06:00`");
            return Err(self.value_problem(key, problem));
        }
        text.parse().map(Some).map_err(|error| self.value_problem(key, error))
    }

    fn number(&self, key: &str) -> Result<Option<f64>, InputError> {
        match self.given(key) {
            None => Ok(None),
            Some(value) => {
                let number = value.as_f64().filter(|number| number.is_finite());
                number.map(Some).ok_or_else(|| self.wrong_type(key, "a number or null", value))
            }
        }
    }

    fn flag(&self, key: &str) -> Result<bool, InputError> {
        match self.given(key) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(self.wrong_type(key, "true or false", other)),
        }
    }
}

/// Whether a time says how far it is from UTC. A text that is no time at all is told so by its parser.
fn has_offset(text: &str) -> bool {
    match text.split_once(['T', 't', ' ']) {
        Some((_, time)) => time.ends_with(['Z', 'z']) || time.contains(['+', '-']),
        None => text.parse::<Tick>().is_err(),
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn envelope(kind: &str, records: Value) -> Value {
        json!({
            "type": "SINGLE_TRACE_SIMPLE_PROJECT",
            "trace": {
                "type": kind, "interpretation": "ELECTRICITY_CONSUMPTION_SUPPLIED", "unit": "kWh", "records": records,
            },
            "project": {
                "type": "PROJECT_WITH_SINGLE_MODELING_PERIOD_GROUP", "zipcode": "91104",
                "modeling_period_group": {
                    "baseline_period": { "start": null, "end": "2011-01-01T00:00:00+00:00" },
                    "reporting_period": { "start": "2011-02-01T00:00:00Z", "end": null },
                },
            },
        })
    }

    /// Days of January 2011 and values.
    fn read(kind: &str, records: Value) -> (Vec<(i64, Option<f64>)>, usize) {
        let read = MeterInput::from_json(&envelope(kind, records)).unwrap();
        let origin: Tick = "2011-01-01".parse().unwrap();
        let day = |record: &Record| (record.start.ticks() - origin.ticks()) / (86_400 * Tick::PER_SECOND) + 1;
        (read.input.records.iter().map(|record| (day(record), record.value)).collect(), read.n_overlapping)
    }

    fn at(day: u32) -> String {
        format!("2011-01-{day:02}T00:00:00Z")
    }

    #[test]
    fn arbitrary_records_leave_gaps_and_refuse_overlaps() {
        let records = json!([
            { "start": at(5), "end": at(7), "value": 3 },
            { "start": at(1), "end": at(2), "value": 1 },
            { "start": at(2), "end": at(4), "value": null },
            { "start": at(6), "end": at(9), "value": 9 },
        ]);
        let expected = vec![(1, Some(1.0)), (2, None), (4, None), (5, Some(3.0)), (7, None)];
        assert_eq!(read("ARBITRARY", records), (expected, 1));
        assert_eq!(read("ARBITRARY", json!([])), (vec![], 0));
    }

    #[test]
    fn the_last_start_counts_only_with_an_end() {
        let last =
            |last: Value| json!([{ "start": at(3), "value": 2 }, { "start": at(1), "value": 1 }, last]);
        let (records, _) = read("ARBITRARY_START", last(json!({ "start": at(5), "value": 5 })));
        assert_eq!(records, [(1, Some(1.0)), (3, Some(2.0)), (5, None)]);
        let (records, _) = read("ARBITRARY_START", last(json!({ "start": at(5), "value": 5, "end": at(6) })));
        assert_eq!(records, [(1, Some(1.0)), (3, Some(2.0)), (5, Some(5.0)), (6, None)]);
        let (records, _) =
            read("ARBITRARY_START", last(json!({ "start": at(5), "value": null, "end": at(6) })));
        assert_eq!(records, [(1, Some(1.0)), (3, Some(2.0)), (5, None)]);
    }

    #[test]
    fn the_first_end_counts_only_with_a_start() {
        let first = |first: Value| json!([{ "end": at(7), "value": 7 }, first, { "end": at(5), "value": 5 }]);
        let (records, _) = read("ARBITRARY_END", first(json!({ "end": at(3), "value": 3 })));
        assert_eq!(records, [(3, Some(5.0)), (5, Some(7.0)), (7, None)]);
        let (records, _) = read("ARBITRARY_END", first(json!({ "start": at(1), "end": at(3), "value": 3 })));
        assert_eq!(records, [(1, Some(3.0)), (3, Some(5.0)), (5, Some(7.0)), (7, None)]);
    }

    #[test]
    fn instants_are_sorted_and_not_their_texts() {
        // As texts the first one comes first; it is six hours later.
        let records = json!([
            { "start": "2011-01-01T00:00:00-06:00", "end": "2011-01-02T00:00:00Z", "value": 2 },
            { "start": "2011-01-01T01:00:00+01:00", "end": "2011-01-01T06:00:00Z", "value": 1 },
        ]);
        let read = MeterInput::from_json(&envelope("ARBITRARY", records)).unwrap();
        let values: Vec<_> = read.input.records.iter().map(|record| record.value).collect();
        assert_eq!((values, read.n_overlapping), (vec![Some(1.0), Some(2.0), None], 0));
    }

    #[test]
    fn an_input_may_be_a_string_and_watt_hours_are_kilowatt_hours() {
        let mut json = envelope(
            "ARBITRARY_START",
            json!([{ "start": at(1), "value": 1500 }, { "start": at(2), "value": null }]),
        );
        json["trace"]["unit"] = json!("Wh");
        let read = MeterInput::from_json(&Value::String(json.to_string())).unwrap();
        assert_eq!((read.input.unit, read.input.records[0].value), (EnergyUnit::Kwh, Some(1.5)));
        let error = MeterInput::from_json(&json!("{")).unwrap_err().to_string();
        assert!(error.starts_with("/: the text is no JSON"), "{error}");
    }

    #[test]
    fn errors_say_where_and_what() {
        let base = || envelope("ARBITRARY_START", json!([{ "start": at(1), "value": 1 }]));
        let message = |change: &dyn Fn(&mut Value)| {
            let mut json = base();
            change(&mut json);
            MeterInput::from_json(&json).unwrap_err().to_string()
        };
        let remove = |pointer: &'static str, key: &'static str| {
            message(&move |json| {
                json.pointer_mut(pointer).and_then(Value::as_object_mut).unwrap().remove(key);
            })
        };
        for (pointer, key) in [("", "type"), ("/trace", "type"), ("/project", "type")] {
            let error = remove(pointer, key);
            assert!(error.contains(": Serialization \"type\" must be provided"), "{error}");
        }
        for (pointer, key) in [
            ("", "trace"),
            ("", "project"),
            ("/trace", "interpretation"),
            ("/trace", "unit"),
            ("/trace", "records"),
            ("/trace/records/0", "value"),
            ("/trace/records/0", "start"),
            ("/project", "zipcode"),
            ("/project", "modeling_period_group"),
            ("/project/modeling_period_group", "baseline_period"),
            ("/project/modeling_period_group", "reporting_period"),
            ("/project/modeling_period_group/baseline_period", "end"),
            ("/project/modeling_period_group/reporting_period", "start"),
        ] {
            let error = remove(pointer, key);
            let begin = if pointer.is_empty() { "/" } else { pointer };
            assert!(error.starts_with(&format!("{begin}: For serialization type")), "{error}");
            assert!(error.contains(&format!("\"{key}\" must be provided")), "{error}");
        }
        let set = |pointer: &'static str, value: Value| {
            message(&move |json| *json.pointer_mut(pointer).unwrap() = value.clone())
        };
        assert_eq!(
            set("/trace/type", json!("PULSE")),
            "/trace/type: Serialization type \"PULSE\" is not recognised; allowed: ARBITRARY, ARBITRARY_START, ARBITRARY_END"
        );
        assert_eq!(
            set("/trace/unit", json!("BTU")),
            "/trace/unit: unknown unit `BTU`; allowed: KWH, WH, THERM"
        );
        assert!(
            set("/trace/interpretation", json!("E"))
                .starts_with("/trace/interpretation: unknown interpretation")
        );
        assert_eq!(
            set("/trace/records/0/start", json!("2011-01-01T00:00:00")),
            "/trace/records/0/start: `2011-01-01T00:00:00` needs an offset from UTC: `Z`, or one like `-06:00`"
        );
        assert_eq!(
            set("/trace/records/0/value", json!("1")),
            "/trace/records/0/value: a number or null is needed here, got a string"
        );
        let early = json!({ "start": "2011-01-02T00:00:00Z", "end": "2011-01-01T00:00:00Z" });
        assert!(
            set("/project/modeling_period_group/baseline_period", early).starts_with(
                "/project/modeling_period_group/baseline_period: it ends at 2011-01-01T00:00:00Z"
            )
        );
        assert_eq!(
            MeterInput::from_json(&json!(1)).unwrap_err().to_string(),
            "/: an object is needed here, got a number"
        );
    }

    #[test]
    fn a_station_stands_for_a_place() {
        let mut json = envelope("ARBITRARY_START", json!([]));
        json["project"]["zipcode"] = Value::Null;
        json["project"]["weather_station"] = json!("722874");
        let input = MeterInput::from_json(&json).unwrap().input;
        assert_eq!(input.project.weather_station.as_deref(), Some("722874"));
        assert_eq!(MeterInput::from_json(&input.to_json()).unwrap().input, input);
    }

    fn ticks() -> impl Strategy<Value = Tick> {
        (0_i64..Tick::MAX.ticks()).prop_map(|ticks| Tick::new(ticks).unwrap())
    }

    fn inputs() -> impl Strategy<Value = MeterInput> {
        let record = (ticks(), prop::option::of(-1e9..1e9), any::<bool>());
        let periods = (prop::option::of(ticks()), ticks(), ticks(), prop::option::of(ticks()));
        let names = (
            prop::option::of("[ -~]{0,9}"),
            prop::option::of("[ -~]{0,9}"),
            "[0-9]{5}",
            prop::option::of("[0-9]{6}"),
        );
        let words = (prop::sample::select(Interpretation::ALL.to_vec()), any::<bool>());
        (prop::collection::vec(record, 0..20), periods, names, words).prop_map(
            |(
                records,
                (baseline_start, end, start, reporting_end),
                (trace_id, project_id, zipcode, station),
                (interpretation, gas),
            )| {
                let sorted: std::collections::BTreeMap<Tick, Record> = records
                    .into_iter()
                    .map(|(start, value, estimated)| (start, Record { start, value, estimated }))
                    .collect();
                let periods = Periods {
                    baseline_start: baseline_start.filter(|start| *start <= end),
                    baseline_end: end,
                    reporting_start: start,
                    reporting_end: reporting_end.filter(|end| *end >= start),
                };
                let project = ProjectInput {
                    project_id,
                    zipcode: Some(zipcode),
                    weather_station: station.clone(),
                    weather_normal_station: station,
                    periods,
                };
                let unit = if gas { EnergyUnit::Therm } else { EnergyUnit::Kwh };
                MeterInput::of_stored(trace_id, interpretation, unit, sorted.into_values().collect(), project)
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(input in inputs()) {
            let text = input.to_json().to_string();
            let read = MeterInput::from_json(&serde_json::from_str(&text).unwrap()).unwrap();
            prop_assert_eq!(read, ReadInput { input, n_overlapping: 0 });
        }
    }
}
