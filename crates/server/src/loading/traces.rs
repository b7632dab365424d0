//! Readings of meters: long and wide tables, and Green Button files.
//!
//! One thread reads and sorts rows by trace, while another one brings what is complete into the store, so both cores are at work, and
//! memory is bounded by [`MOST_BUFFERED`]. In a file that is grouped by trace whole traces are written, each once. In any other one, of
//! each trace what has come so far.
//!
//! Where wrong rows are to be refused, reading ends with the first of them, and nothing that was not written yet is.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;
use std::sync::LazyLock;

use sheaf_db::datastore::{OnError, Trace, TracePatch};
use sheaf_metering::records::Record;
use sheaf_metering::times::now;
use sheaf_metering::trace_name::name_of;
use sheaf_model::{EnergyUnit, Interpretation, Tick};
use sheaf_sources::{
    Input, Rows, SourceError, Table, TableOptions, TraceReader, open_table, read_green_button,
};
use sheaf_store::{StoreError, Watch};
use tokio::sync::{Mutex, mpsc};

use super::keep::{named, write_records};
use super::{LoadError, Loaded, Wrong, WrongRow};
use crate::data::Data;

/// Readings that are in memory before some are written; three times as many may be there, of 32 bytes each.
const MOST_BUFFERED: usize = 3_000_000;

/// The times between which records may begin: the years 1800 to 2299. Others are typing errors, and would make series that reach over
/// millennia.
pub(crate) static TIMES: LazyLock<Range<Tick>> = LazyLock::new(|| {
    let [begin, end] = ["1800-01-01", "2300-01-01"].map(|time| time.parse().unwrap_or(Tick::MIN));
    begin..end
});

/// What a file does not say of its traces.
#[derive(Clone, Debug, Default)]
pub(crate) struct TraceOptions {
    /// What values are in, and how much one of it is in the unit of a trace.
    pub(crate) unit: Option<(EnergyUnit, f64)>,
    /// What the traces mean.
    pub(crate) interpretation: Option<Interpretation>,
    /// The zone of times without an offset; UTC if there is none.
    pub(crate) time_zone: Option<String>,
    /// The id of the only trace of a Green Button file.
    pub(crate) trace_id: Option<String>,
}

/// How readings are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TraceFormat {
    /// A reading in each row, with the trace that it is of.
    Long,
    /// A column for each trace, and one of times.
    Wide,
    /// Green Button (ESPI) XML.
    GreenButton,
}

/// What a file says of a trace.
#[derive(Clone, Debug, Default)]
struct Said {
    id: String,
    interpretation: Option<Interpretation>,
    /// What values are in; they were converted to it.
    unit: Option<EnergyUnit>,
    interval: Option<String>,
}

/// Readings of a trace.
struct Part {
    said: Said,
    /// The line of the first one.
    line: u64,
    records: Vec<Record>,
}

/// What the reading thread hands on.
enum Message {
    Parts(Vec<Part>),
    Wrong(Wrong),
}

/// Loads readings into a store.
pub(crate) struct TraceLoad<'a> {
    pub(crate) data: &'a Data,
    pub(crate) options: TraceOptions,
    pub(crate) on_error: OnError,
    pub(crate) watch: Watch,
    /// What others of this process hold while they change traces, if there are any.
    pub(crate) turn: Option<&'a Mutex<()>>,
}

impl TraceLoad<'_> {
    /// Loads a file.
    ///
    /// # Errors
    /// It can't be read, rows are wrong and must not be left out, or the store or the database fails. What was written before that
    /// stays.
    pub(crate) async fn load(&self, input: Input, format: TraceFormat) -> Result<Loaded, LoadError> {
        let mut loaded = Loaded::new(input.name(), "records");
        let (send, mut receive) = mpsc::channel(1);
        let reading = Reading {
            options: self.options.clone(),
            on_error: self.on_error,
            watch: self.watch.clone(),
            send,
        };
        let reading = tokio::task::spawn_blocking(move || match format {
            TraceFormat::Long => reading.long(input),
            TraceFormat::Wide => reading.wide(input),
            TraceFormat::GreenButton => reading.green_button(input),
        });
        let mut known: HashMap<String, Option<Trace>> = HashMap::new();
        while let Some(message) = receive.recv().await {
            match message {
                Message::Wrong(wrong) => loaded.wrong.append(wrong),
                Message::Parts(parts) => self.keep(parts, &mut known, &mut loaded).await?,
            }
            if self.on_error == OnError::Refuse && loaded.wrong.refused > 0 {
                return Err(LoadError::Refused(Box::new(loaded)));
            }
        }
        reading.await.map_err(|error| LoadError::Task(error.to_string()))??;
        loaded.traces = Some(known.values().flatten().count() as u64);
        Ok(loaded)
    }

    /// Makes the traces that are new, and writes the records of those that can be.
    async fn keep(
        &self,
        parts: Vec<Part>,
        known: &mut HashMap<String, Option<Trace>>,
        loaded: &mut Loaded,
    ) -> Result<(), LoadError> {
        let _turn = match self.turn {
            Some(turn) => Some(turn.lock().await),
            None => None,
        };
        let new: Vec<&Part> = parts.iter().filter(|part| !known.contains_key(&part.said.id)).collect();
        if !new.is_empty() {
            self.make(&new, known, loaded).await?;
        }
        if self.on_error == OnError::Refuse && loaded.wrong.refused > 0 {
            return Ok(());
        }
        let (mut to_write, mut count) = (Vec::with_capacity(parts.len()), 0);
        // Two meters of a Green Button file may have one id.
        let mut places: HashMap<String, usize> = HashMap::with_capacity(parts.len());
        for part in parts {
            let Some(Some(trace)) = known.get(&part.said.id) else {
                loaded.wrong.refused += part.records.len() as u64;
                continue;
            };
            count += part.records.len() as u64;
            match places.entry(part.said.id) {
                Entry::Vacant(entry) => {
                    entry.insert(to_write.len());
                    to_write.push((trace.clone(), part.records));
                }
                Entry::Occupied(entry) => to_write[*entry.get()].1.extend(part.records),
            }
        }
        let mut changed = 0;
        for (trace, new) in write_records(self.data, to_write).await? {
            changed += new;
            known.insert(trace.trace_id.clone(), Some(trace));
        }
        loaded.created += changed;
        loaded.unchanged += count.saturating_sub(changed);
        Ok(())
    }

    /// The rows of traces that were met first; `None` of those that are refused.
    async fn make(
        &self,
        parts: &[&Part],
        known: &mut HashMap<String, Option<Trace>>,
        loaded: &mut Loaded,
    ) -> Result<(), LoadError> {
        let names = || parts.iter().map(|part| part.said.id.clone()).collect();
        let mut there = named(self.data, names()).await?;
        let mut patches: Vec<(String, TracePatch)> = Vec::new();
        for part in parts {
            let said = &part.said;
            let patch = match self.patch(said, there.get(&said.id)) {
                Ok(patch) => patch,
                Err((column, problem)) => {
                    // Its records are counted where they are left out.
                    let row = WrongRow::of_line(&loaded.input, part.line, column, problem);
                    loaded.wrong.add(u64::from(self.on_error == OnError::Refuse), row);
                    known.insert(said.id.clone(), None);
                    continue;
                }
            };
            patches.extend(patch.map(|patch| (said.id.clone(), patch)));
        }
        if self.on_error == OnError::Refuse && loaded.wrong.refused > 0 {
            return Ok(());
        }
        if !patches.is_empty() {
            let ids: Vec<String> = patches.iter().map(|(id, _)| id.clone()).collect();
            let datastore = self.data.database.datastore();
            let answers = datastore.upsert_traces(patches, OnError::Skip, now()).await?;
            for (id, answer) in ids.iter().zip(answers) {
                if let Err(error) = answer {
                    let row = WrongRow::of_line(&loaded.input, 0, "trace_id", error);
                    loaded.wrong.add(u64::from(self.on_error == OnError::Refuse), row);
                    known.insert(id.clone(), None);
                }
            }
            there = named(self.data, names()).await?;
        }
        for part in parts {
            if let Entry::Vacant(entry) = known.entry(part.said.id.clone()) {
                entry.insert(there.remove(&part.said.id));
            }
        }
        Ok(())
    }

    /// What changes in the row of a trace; nothing if all is there. An error has the column that is wrong.
    fn patch(
        &self,
        said: &Said,
        there: Option<&Trace>,
    ) -> Result<Option<TracePatch>, (&'static str, String)> {
        let id = &said.id;
        let interpretation = said.interpretation.or(self.options.interpretation);
        let unit = said.unit.or(self.options.unit.map(|(unit, _)| unit));
        let Some(there) = there else {
            let missing = |what: &str| {
                format!("`{id}` is a new trace: say its {what}, in a column of the file or for all of it")
            };
            let interpretation =
                interpretation.ok_or_else(|| ("interpretation", missing("interpretation")))?;
            let unit = unit.ok_or_else(|| ("unit", missing("unit")))?;
            let name = name_of(id).map_err(|error| ("trace_id", error.to_string()))?;
            return Ok(Some(TracePatch {
                interpretation: Some(interpretation.name().to_owned()),
                unit: Some(unit.to_string()),
                interval: Some(said.interval.clone()),
                name: Some(name.to_string()),
            }));
        };
        if let Some(unit) = unit.filter(|unit| unit.to_string() != there.unit) {
            return Err((
                "unit",
                format!("the trace `{id}` is in {}; values in {unit} can't be part of it", there.unit),
            ));
        }
        let interpretation = interpretation
            .map(|interpretation| interpretation.name().to_owned())
            .filter(|interpretation| *interpretation != there.interpretation);
        let interval = said.interval.clone().filter(|_| said.interval != there.interval).map(Some);
        let is_change = interpretation.is_some() || interval.is_some();
        Ok(is_change.then_some(TracePatch { interpretation, interval, ..TracePatch::default() }))
    }
}

/// Nobody waits for more: the other side has ended with an error of its own.
struct Ended;

/// The thread that reads.
struct Reading {
    options: TraceOptions,
    on_error: OnError,
    watch: Watch,
    send: mpsc::Sender<Message>,
}

impl Reading {
    fn hand_on(&self, message: Message) -> Result<(), Ended> {
        self.send.blocking_send(message).map_err(|_| Ended)
    }

    /// Hands on what is wrong; an error if nothing more is wanted then.
    fn tell(&self, wrong: Wrong) -> Result<(), Ended> {
        if wrong.refused == 0 {
            return Ok(());
        }
        self.hand_on(Message::Wrong(wrong))?;
        if self.on_error == OnError::Refuse { Err(Ended) } else { Ok(()) }
    }

    fn step(&self, (done, total): (u64, Option<u64>)) -> Result<(), StoreError> {
        self.watch.step("loading", done, total.unwrap_or(0))
    }

    fn long(self, input: Input) -> Result<(), LoadError> {
        let name = input.name().to_owned();
        let mut reader = TraceReader::open(input, self.options.time_zone.as_deref())?;
        let mut gather = Gather::new(name);
        while let Some(batch) = reader.next_batch()? {
            self.step(reader.progress())?;
            let mut wrong = Wrong { refused: batch.skipped, rows: Vec::new() };
            wrong.rows.extend(batch.errors.iter().map(WrongRow::unreadable));
            gather.begin(reader.traces().len());
            for row in 0..batch.len() {
                let (trace, line) = (batch.traces[row], batch.lines[row]);
                let has_unit = reader.traces()[trace as usize].unit.is_some();
                let factor = if has_unit { 1.0 } else { self.options.unit.map_or(1.0, |(_, factor)| factor) };
                let value = batch.values[row] * factor;
                gather.add(trace, line, batch.starts[row], value, batch.estimated[row], &mut wrong);
            }
            if self.tell(wrong).is_err() {
                return Ok(());
            }
            if gather.is_full() {
                let parts = gather.take(false, |index| said(&reader.traces()[index]));
                if self.hand_on(Message::Parts(parts)).is_err() {
                    return Ok(());
                }
            }
        }
        let parts = gather.take(true, |index| said(&reader.traces()[index]));
        let _ended = self.hand_on(Message::Parts(parts));
        Ok(())
    }

    fn wide(self, input: Input) -> Result<(), LoadError> {
        let name = input.name().to_owned();
        let mut options = TableOptions::default();
        options.csv.layout = Some(sheaf_sources::Layout::Wide);
        options.csv.time_zone = self.options.time_zone.clone();
        if self.on_error == OnError::Skip {
            options.csv.on_error = sheaf_sources::OnError::Skip;
        }
        let mut table = open_table(input, &options)?;
        let mut gather = Gather::new(name);
        let mut skipped = 0;
        while let Some(batch) = table.next_batch()? {
            self.step(table.progress())?;
            let columns = column_units(&*table, self.options.unit)?;
            gather.begin(columns.len());
            let mut wrong = Wrong::default();
            if let Rows::Wide(values) = &batch.rows {
                for (column, values) in values.iter().enumerate() {
                    let factor =
                        columns.get(column).and_then(|said| said.1).map_or(1.0, |(_, factor)| factor);
                    for (row, start) in batch.starts.iter().enumerate() {
                        let value = values.get(row).unwrap_or(f64::NAN) * factor;
                        // A meter begins with its first value.
                        if value.is_nan() && !gather.has_begun(column) {
                            continue;
                        }
                        gather.add(column as u32, batch.lines[row], *start, value, false, &mut wrong);
                    }
                }
            }
            let summary = table.summary();
            if summary.skipped > skipped {
                let rows = summary.errors.iter().skip(usize::try_from(skipped).unwrap_or(usize::MAX));
                wrong.refused += summary.skipped - skipped;
                wrong.rows.extend(rows.map(|problem| WrongRow {
                    line: 0,
                    column: None,
                    problem: problem.clone(),
                }));
                skipped = summary.skipped;
            }
            if self.tell(wrong).is_err() {
                return Ok(());
            }
            if gather.is_full() {
                let parts = gather.take(true, |index| columns[index].0.clone());
                if self.hand_on(Message::Parts(parts)).is_err() {
                    return Ok(());
                }
            }
        }
        let columns = column_units(&*table, self.options.unit)?;
        let parts = gather.take(true, |index| columns[index].0.clone());
        let _ended = self.hand_on(Message::Parts(parts));
        Ok(())
    }

    fn green_button(self, input: Input) -> Result<(), LoadError> {
        let name = input.name().to_owned();
        let file = read_green_button(input)?;
        let mut wrong = Wrong::default();
        let refuse = |wrong: &mut Wrong, problem: String| {
            wrong.add(1, WrongRow { line: 0, column: None, problem: format!("{name}: {problem}") });
        };
        for meter in &file.refused {
            refuse(&mut wrong, format!("the meter `{}`: {}", meter.id, meter.problem));
        }
        let only = file.meters.len() == 1;
        if self.options.trace_id.is_some() && !only {
            let ids: Vec<_> = file.meters.iter().map(|meter| format!("`{}`", meter.id)).collect();
            refuse(
                &mut wrong,
                format!("it has {} meters ({}), and a trace id is that of one", ids.len(), ids.join(", ")),
            );
        }
        let mut parts = Vec::new();
        for meter in &file.meters {
            let own = if meter.id.is_empty() { &meter.title } else { &meter.id };
            let id = self.options.trace_id.as_ref().filter(|_| only).unwrap_or(own).clone();
            if id.is_empty() {
                refuse(&mut wrong, "its meter has no id; say the trace id".to_owned());
                continue;
            }
            let interpretation = self.options.interpretation.or(meter.interpretation);
            let record = |record: sheaf_sources::MeterRecord| Record {
                start: record.start,
                value: record.value,
                estimated: record.estimated,
            };
            let records = meter.records().into_iter().map(record).collect();
            parts.push(Part {
                said: Said { id, interpretation, unit: Some(meter.unit), interval: None },
                line: 0,
                records,
            });
        }
        if self.tell(wrong).is_ok() {
            let _ended = self.hand_on(Message::Parts(parts));
        }
        Ok(())
    }
}

fn said(trace: &sheaf_sources::Trace) -> Said {
    Said {
        id: trace.id.clone(),
        interpretation: trace.interpretation,
        unit: trace.unit,
        interval: trace.interval.clone(),
    }
}

/// What a column of a wide table is, with its unit and factor: that of its title, or else the one that was given.
type WideColumn = (Said, Option<(EnergyUnit, f64)>);

fn column_units(table: &dyn Table, given: Option<(EnergyUnit, f64)>) -> Result<Vec<WideColumn>, SourceError> {
    let column = |column: &sheaf_sources::Column| {
        let unit = column.unit.as_deref().and_then(EnergyUnit::parse).or(given);
        let id = column.name.clone();
        (Said { id, unit: unit.map(|(unit, _)| unit), ..Said::default() }, unit)
    };
    Ok(table.columns().iter().map(column).collect())
}

/// Readings by trace.
struct Gather {
    input: String,
    buffers: Vec<Buffer>,
    /// Traces with readings.
    filled: Vec<u32>,
    rows: usize,
    turn: u64,
    times: Range<Tick>,
}

#[derive(Default)]
struct Buffer {
    records: Vec<Record>,
    line: u64,
    /// The batch that had the last one.
    turn: u64,
    has_begun: bool,
}

impl Gather {
    fn new(input: String) -> Gather {
        let times = TIMES.clone();
        Gather { input, buffers: Vec::new(), filled: Vec::new(), rows: 0, turn: 0, times }
    }

    /// Another batch, after which there are so many traces.
    fn begin(&mut self, traces: usize) {
        self.turn += 1;
        self.buffers.resize_with(traces.max(self.buffers.len()), Buffer::default);
    }

    fn has_begun(&self, trace: usize) -> bool {
        self.buffers.get(trace).is_some_and(|buffer| buffer.has_begun)
    }

    fn add(&mut self, trace: u32, line: u64, start: i64, value: f64, estimated: bool, wrong: &mut Wrong) {
        let start = match Tick::new(start) {
            Ok(tick) if self.times.contains(&tick) => tick,
            _ => {
                let problem = "records begin in the years 1800 to 2299";
                return wrong.add(1, WrongRow::of_line(&self.input, line, "start", problem));
            }
        };
        if value.is_infinite() {
            let problem = "the value is too large for a number";
            return wrong.add(1, WrongRow::of_line(&self.input, line, "value", problem));
        }
        let Some(buffer) = self.buffers.get_mut(trace as usize) else { return };
        if buffer.records.is_empty() {
            self.filled.push(trace);
            buffer.line = line;
        }
        buffer.turn = self.turn;
        buffer.has_begun = true;
        buffer.records.push(Record { start, value: Some(value).filter(|value| !value.is_nan()), estimated });
        self.rows += 1;
    }

    fn is_full(&self) -> bool {
        self.rows >= MOST_BUFFERED
    }

    /// What is to be written: `all`, or all but the traces of the last batch, which may go on, if that is enough.
    fn take(&mut self, all: bool, said: impl Fn(usize) -> Said) -> Vec<Part> {
        let goes_on = |buffer: &Buffer| buffer.turn == self.turn;
        let open: usize = (self.filled.iter().map(|trace| &self.buffers[*trace as usize]))
            .filter(|buffer| goes_on(buffer))
            .map(|buffer| buffer.records.len())
            .sum();
        let all = all || open > self.rows / 2;
        let turn = self.turn;
        let (mut parts, mut left) = (Vec::new(), Vec::new());
        for trace in std::mem::take(&mut self.filled) {
            let buffer = &mut self.buffers[trace as usize];
            if !all && buffer.turn == turn {
                left.push(trace);
                continue;
            }
            let records = std::mem::take(&mut buffer.records);
            self.rows -= records.len();
            parts.push(Part { said: said(trace as usize), line: buffer.line, records });
        }
        self.filled = left;
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_begin_in_five_centuries() {
        for (time, is_right) in [
            ("1799-12-31T23:59:59.9999999Z", false),
            ("1800-01-01T00:00:00Z", true),
            ("2299-12-31T23:59:59.9999999Z", true),
            ("2300-01-01T00:00:00Z", false),
        ] {
            assert_eq!(TIMES.contains(&time.parse().unwrap()), is_right, "{time}");
        }
    }
}
