//! One reading of a table, from the first row to the last one.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::{Arc, Weak};

use sheaf_model::{CatalogId, DataType, ResourceId, SamplePeriod};
use sheaf_sources::{
    Column, ColumnValues, Place, Rows as TableRows, Seen, Spacing, Summary, Table, most_jitter_ticks, spacing,
};
use sheaf_store::{Layout, Rows, SeriesId, SeriesSpec, Store, StoreError, StreamedWrite, Watch};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::error::{ColumnProblem, IngestError, RowProblem};
use super::gather::{Chunk, Times};
use super::read::{Message, More, ReadFailure, Reading};
use super::rows::rows;
use super::timeline::{Misplaced, Placed, Timeline, Why};
use super::values::{Misfit, convert, integer};
use super::{IngestOptions, IngestedSeries};

/// Series of a long table with fewer rows than this wait for more before it is decided how their rows lie.
const ROWS_TO_DECIDE: usize = 256;

/// They don't wait where so many series do that memory would be short; but with fewer rows than this they always do.
const FEWEST_ROWS: usize = 8;

/// Ranges that all series together remember of slots that had rows: some 16 MiB.
const MOST_RANGES: usize = 1 << 20;

/// What one reading teaches the next one: columns that get fractions once integers are written.
#[derive(Debug, Default)]
pub(super) struct Hints {
    /// Columns with something that is not written like an integer.
    floats: BTreeSet<usize>,
    /// Columns with something that is none.
    fractions: BTreeSet<usize>,
}

/// Why a reading ended early.
pub(super) enum Stop {
    /// The table can't go into the store.
    Failed(IngestError),
    /// It must be read once more, with what is known now.
    Again(Hints),
}

impl From<IngestError> for Stop {
    fn from(error: IngestError) -> Stop {
        Stop::Failed(error)
    }
}

/// What a reading leaves.
pub(super) struct Done {
    /// The write, to be committed or given up.
    pub(super) write: Option<Box<StreamedWrite>>,
    /// Series that it made.
    pub(super) created: Vec<SeriesId>,
    pub(super) result: Result<(Vec<IngestedSeries>, Summary), Stop>,
}

/// The write, or the task that is appending to it.
enum Writing {
    Here(Box<StreamedWrite>),
    Away(JoinHandle<(Box<StreamedWrite>, Result<(), StoreError>)>),
    Lost,
}

/// A column on its way to a series.
struct Series {
    column: Column,
    resource: ResourceId,
    seen: Seen,
    chunk: Chunk,
    /// The starts of its rows, in a long table.
    times: Times,
    target: Option<Target>,
    valid: u64,
    missing: u64,
}

/// Where the rows of a column go.
struct Target {
    key: String,
    timeline: usize,
    stored: Option<Stored>,
    data_type: Option<DataType>,
    id: Option<SeriesId>,
    promoted: bool,
}

/// The series that is in the store already.
#[derive(Clone)]
struct Stored {
    id: SeriesId,
    spec: Arc<SeriesSpec>,
}

/// How the rows of a column lie, as far as they say it themselves.
#[derive(Clone, Copy)]
struct Guess {
    layout: Layout,
    /// They lie exactly so.
    is_exact: bool,
}

/// What a reading is about.
pub(super) struct Order {
    pub(super) store: Store,
    pub(super) runtime: Handle,
    pub(super) options: IngestOptions,
    pub(super) catalog: CatalogId,
    pub(super) hints: Hints,
    pub(super) watch: Watch,
    /// Whether anybody waits for the result.
    pub(super) wanted: Weak<()>,
    /// Whether the table can be read once more.
    pub(super) can_repeat: bool,
}

pub(super) struct Pass {
    order: Order,
    input: String,
    place: Place,
    is_wide: bool,
    /// The starts of all rows of a wide table.
    times: Times,
    series: Vec<Series>,
    timelines: Vec<Timeline>,
    /// Which column has a key.
    keys: HashMap<String, usize>,
    /// Bytes of the rows in memory, and how many of them were left when rows were written last.
    gathered: usize,
    left: usize,
    /// Bytes of the input that were read, and how many there are.
    progress: (u64, Option<u64>),
    writing: Writing,
    created: Vec<SeriesId>,
}

impl Pass {
    /// Reads the table and appends its rows to a write. Blocks.
    pub(super) fn run(order: Order, table: Box<dyn Table>) -> Done {
        let runtime = order.runtime.clone();
        let _entered = runtime.enter();
        let mut pass = Pass {
            input: table.name().to_owned(),
            place: table.place(),
            is_wide: false,
            times: Times::default(),
            series: Vec::new(),
            timelines: Vec::new(),
            keys: HashMap::new(),
            gathered: 0,
            left: 0,
            progress: (0, None),
            writing: Writing::Here(Box::new(order.store.begin_write())),
            created: Vec::new(),
            order,
        };
        let result = pass.read(table);
        let (write, appended) = pass.take_write();
        let result = match (result, appended) {
            (Ok(_), Err(error)) => Err(Stop::Failed(pass.store_error(error))),
            (result, _) => result,
        };
        Done { write, created: pass.created, result }
    }

    fn read(&mut self, table: Box<dyn Table>) -> Result<(Vec<IngestedSeries>, Summary), Stop> {
        let reading = Reading::begin(table);
        loop {
            match self.next(&reading)? {
                Message::Rows(more) => {
                    if let Some(hints) = self.take(&more)? {
                        return Err(self.again(hints, Some(&more), Some(&reading)));
                    }
                    let is_enough = self.gathered - self.left >= self.order.options.budget_bytes
                        && (!self.is_wide || self.times.len() >= FEWEST_ROWS);
                    if is_enough {
                        let written = self.write_gathered(false);
                        written.map_err(|stop| self.complete(stop, Some(&reading)))?;
                    }
                }
                Message::End(summary) => {
                    if self.series.is_empty() {
                        return Err(IngestError::NoRows { input: self.input.clone() }.into());
                    }
                    let written = self.write_gathered(true);
                    written.map_err(|stop| self.complete(stop, None))?;
                    return Ok((self.reports(), summary));
                }
            }
        }
    }

    /// What the reader says next.
    fn next(&mut self, reading: &Reading) -> Result<Message, Stop> {
        loop {
            let message = reading.next();
            if let Some(Ok(Message::Rows(more))) = &message {
                self.progress = more.progress;
            }
            let (read, all) = self.progress;
            let step = self.order.watch.step("reading", read, all.unwrap_or(0));
            step.map_err(|error| self.store_error(error))?;
            if self.order.wanted.strong_count() == 0 {
                return Err(self.store_error(StoreError::Cancelled).into());
            }
            match message {
                None => {}
                Some(Ok(message)) => return Ok(message),
                Some(Err(ReadFailure::Source(error))) => return Err(IngestError::from(error).into()),
                Some(Err(ReadFailure::Ended)) => {
                    return Err(self.task("the thread that reads ended").into());
                }
            }
        }
    }

    /// Takes rows up. Returns hints if some of them contradict what is written.
    fn take(&mut self, more: &More) -> Result<Option<Hints>, IngestError> {
        for column in &more.new_columns {
            let resource = column
                .resource()
                .map_err(|problem| self.column_error(&column.title, ColumnProblem::Name(problem)))?;
            if let (Some(found), Some(stored)) = (&column.unit, self.order.options.units.get(&resource))
                && found != stored
            {
                let (found, stored) = (found.clone(), stored.clone());
                return Err(self.column_error(&column.title, ColumnProblem::Unit { resource, found, stored }));
            }
            self.series.push(Series {
                column: column.clone(),
                resource,
                seen: column.seen,
                chunk: Chunk::default(),
                times: Times::default(),
                target: None,
                valid: 0,
                missing: 0,
            });
        }
        for &(at, seen) in &more.seen {
            self.series[at as usize].seen = seen;
        }
        let batch = &more.batch;
        match &batch.rows {
            TableRows::Wide(columns) => {
                self.is_wide = true;
                for (series, values) in self.series.iter_mut().zip(columns) {
                    series.chunk.extend(values, 0..values.len());
                }
                self.times.extend(&batch.starts, &batch.lines);
                self.gathered += batch.len() * (16 + 8 * columns.len());
            }
            TableRows::Long { series, values } => {
                // Rows of the same series often follow each other.
                for run in runs(series) {
                    let series = &mut self.series[series[run.start] as usize];
                    series.chunk.extend(values, run.clone());
                    series.times.extend(&batch.starts[run.clone()], &batch.lines[run]);
                }
                self.gathered += batch.len() * 24;
            }
            _ => return Err(self.task("its rows are of an unknown kind")),
        }
        let turned = |at: &usize| {
            let series = &self.series[*at];
            let target = series.target.as_ref();
            series.seen.fractions > 0
                && target.is_some_and(|target| {
                    target.data_type == Some(DataType::Int64)
                        && target.stored.is_none()
                        && self.order.options.data_type.is_none()
                })
        };
        let turned = more.seen.iter().map(|&(at, _)| at as usize).find(turned);
        Ok(turned.map(|at| Hints { floats: BTreeSet::from([at]), fractions: BTreeSet::new() }))
    }

    /// Completes the hints of a stop.
    fn complete(&mut self, stop: Stop, reading: Option<&Reading>) -> Stop {
        match stop {
            Stop::Again(hints) => self.again(hints, None, reading),
            failed => failed,
        }
    }

    /// Reads on without writing, so that the next reading knows all there is to know.
    fn again(&mut self, mut hints: Hints, more: Option<&More>, reading: Option<&Reading>) -> Stop {
        if !self.order.can_repeat {
            let at = hints.floats.iter().chain(&hints.fractions).next().copied();
            return match at {
                Some(at) => Stop::Failed(self.late_fraction(at, more)),
                None => Stop::Failed(self.task("the store changed meanwhile, try again")),
            };
        }
        for (at, series) in self.series.iter().enumerate() {
            hints.floats.extend((series.seen.fractions > 0).then_some(at));
            hints.fractions.extend(has_fraction(&series.chunk).then_some(at));
        }
        if let Some(more) = more {
            hints.note(more);
        }
        let Some(reading) = reading else { return Stop::Again(hints) };
        loop {
            match self.next(reading) {
                Ok(Message::Rows(more)) => hints.note(&more),
                Ok(Message::End(_)) => return Stop::Again(hints),
                Err(stop) => return stop,
            }
        }
    }

    /// Brings the rows so far into slots and types, and appends them to the write. Where nothing was decided yet, all rows
    /// so far decide.
    fn write_gathered(&mut self, is_last: bool) -> Result<(), Stop> {
        self.decide_layouts(is_last)?;
        let (mut shared, mut written) = (HashMap::new(), Vec::new());
        let most_ranges = MOST_RANGES / self.timelines.len().max(1);
        for at in 0..self.series.len() {
            let Some((timeline, data_type)) = self.decide_type(at, is_last)? else { continue };
            let Pass { series, timelines, times, order, is_wide, .. } = self;
            let times = if *is_wide { times } else { &series[at].times };
            if times.len() == 0 {
                continue;
            }
            let placed = match shared.get(&timeline) {
                Some(placed) if *is_wide => Arc::clone(placed),
                _ => match timelines[timeline].place(times, order.options.align, most_ranges) {
                    Ok(placed) => {
                        let placed = Arc::new(placed);
                        if *is_wide {
                            shared.insert(timeline, placed.clone());
                        }
                        placed
                    }
                    Err(misplaced) => return Err(self.misplaced(at, timeline, misplaced).into()),
                },
            };
            written.extend(self.take_rows(at, &placed, data_type)?.map(|rows| (at, rows)));
        }
        if self.is_wide {
            self.times = Times::default();
        }
        let waits = |series: &Series| if self.is_wide { 0 } else { series.chunk.len() * 24 };
        self.left = self.series.iter().map(waits).sum();
        self.gathered = self.left;
        self.give_ids(is_last)?;
        let mut parts = Vec::with_capacity(written.len());
        for (at, rows) in written {
            let id = self.series[at].target.as_ref().and_then(|target| target.id);
            parts.push((id.ok_or_else(|| self.task("a series has no id"))?, rows));
        }
        self.append(parts)
    }

    /// Takes the gathered rows of a series out, in its type; none where its type is not known, since none has a value.
    fn take_rows(
        &mut self,
        at: usize,
        placed: &Placed,
        data_type: Option<DataType>,
    ) -> Result<Option<Rows>, IngestError> {
        let series = &mut self.series[at];
        let chunk = std::mem::take(&mut series.chunk);
        let times = std::mem::take(&mut series.times);
        let valid = chunk.valid();
        series.valid += valid;
        series.missing += chunk.len() as u64 - valid;
        let (Some(data_type), Some(target)) = (data_type, &series.target) else { return Ok(None) };
        // The values are gone when one does not fit, so that it must be found before.
        let layout = self.timelines[target.timeline].layout;
        let stored = target.stored.is_some() && self.order.options.data_type.is_none();
        let title = &series.column.title;
        let times = if self.is_wide { &self.times } else { &times };
        let converted = convert(chunk, data_type).map_err(|Misfit { row, value }| IngestError::Row {
            input: self.input.clone(),
            place: self.place,
            line: times.line(row),
            title: title.clone(),
            problem: RowProblem::Value { value, data_type, stored },
        })?;
        rows(placed, converted, layout).map(Some).map_err(|error| self.task(&error.to_string()))
    }

    /// Decides for series where nothing is decided yet how their rows lie, and looks for them in the store.
    fn decide_layouts(&mut self, is_last: bool) -> Result<(), Stop> {
        let is_short = self.left >= self.order.options.budget_bytes;
        let fewest = match (is_last, is_short) {
            (true, _) => 0,
            (false, true) => FEWEST_ROWS,
            (false, false) => ROWS_TO_DECIDE,
        };
        let mut guesses: Vec<(usize, Guess, String)> = Vec::new();
        let mut known_guesses: HashMap<Option<SamplePeriod>, Guess> = HashMap::new();
        for (at, series) in self.series.iter().enumerate() {
            if series.target.is_some() || (!self.is_wide && series.times.len() < fewest) {
                continue;
            }
            let nexus = series.column.nexus.as_ref();
            let known = self.order.options.period.or(nexus.map(|nexus| nexus.representation.period));
            let guess = match known_guesses.get(&known).filter(|_| self.is_wide) {
                Some(guess) => *guess,
                None => {
                    let times = if self.is_wide { &self.times } else { &series.times };
                    let guess = self.guess(times, known);
                    let guess = guess.map_err(|problem| self.column_error(&series.column.title, problem))?;
                    known_guesses.insert(known, guess);
                    guess
                }
            };
            let key = match guess.layout {
                Layout::Regular { period, .. } => {
                    format!("{}/{}/{period}", self.order.catalog, series.resource)
                }
                Layout::Irregular => format!("{}/{}", self.order.catalog, series.resource),
            };
            guesses.push((at, guess, key));
        }
        let keys: Vec<String> = guesses.iter().map(|(.., key)| key.clone()).collect();
        let found = self.find(&keys)?;
        for ((at, guess, key), stored) in guesses.into_iter().zip(found) {
            let title = self.series[at].column.title.clone();
            if let Some(&other) = self.keys.get(&key) {
                let other = self.series[other].column.title.clone();
                let resource = self.series[at].resource.clone();
                return Err(self.column_error(&title, ColumnProblem::SameName { other, resource }).into());
            }
            let (layout, stored) = self.layout(at, guess, stored)?;
            let same = self.timelines.iter().position(|timeline| timeline.layout == layout);
            let timeline = same.filter(|_| self.is_wide).unwrap_or_else(|| {
                self.timelines.push(Timeline::new(layout));
                self.timelines.len() - 1
            });
            self.keys.insert(key.clone(), at);
            let (data_type, id, promoted) = (None, None, false);
            self.series[at].target = Some(Target { key, timeline, stored, data_type, id, promoted });
        }
        Ok(())
    }

    /// How rows lie, from these starts alone.
    fn guess(&self, times: &Times, known: Option<SamplePeriod>) -> Result<Guess, ColumnProblem> {
        if self.order.options.irregular {
            return Ok(Guess { layout: Layout::Irregular, is_exact: true });
        }
        let mut starts = times.starts.clone();
        if !starts.is_sorted() {
            starts.sort_unstable();
        }
        match (spacing(&starts, known), known) {
            (Some(Spacing::Regular(slots)), _) => {
                let layout = Layout::Regular { period: slots.period, phase_ticks: slots.phase_ticks };
                let is_exact = slots.jittered == 0 && slots.beside.is_none() && starts.len() > 2;
                Ok(Guess { layout, is_exact })
            }
            // Wherever they lie, there is a nearest slot.
            (Some(Spacing::Irregular), Some(period)) if self.order.options.align => {
                Ok(Guess { layout: Layout::Regular { period, phase_ticks: 0 }, is_exact: false })
            }
            (Some(Spacing::Irregular), Some(period)) => Err(ColumnProblem::NotAtPeriod(period)),
            (Some(Spacing::Irregular), None) => Ok(Guess { layout: Layout::Irregular, is_exact: true }),
            (None, _) => Err(ColumnProblem::NoPeriod),
        }
    }

    /// The layout of a series: that of the store where there is one, if the rows can mean it.
    fn layout(
        &self,
        at: usize,
        guess: Guess,
        stored: Option<Stored>,
    ) -> Result<(Layout, Option<Stored>), IngestError> {
        let Some(stored) = stored else { return Ok((guess.layout, None)) };
        let layout = match (guess.layout, stored.spec.layout) {
            (guessed, layout) if guessed == layout => layout,
            (guessed, _) if self.is_empty(&stored)? => guessed,
            (
                Layout::Regular { period, phase_ticks: found_ticks },
                layout @ Layout::Regular { phase_ticks: stored_ticks, .. },
            ) => {
                let apart = (found_ticks - stored_ticks).rem_euclid(period.ticks());
                let apart = apart.min(period.ticks() - apart);
                let may_be_jitter = !guess.is_exact && apart <= most_jitter_ticks(period);
                if !self.order.options.align && !may_be_jitter {
                    let key = stored.spec.key.clone();
                    let problem = ColumnProblem::Phase { key, period, found_ticks, stored_ticks };
                    return Err(self.column_error(&self.series[at].column.title, problem));
                }
                layout
            }
            (guessed, layout) => {
                let (key, data_type) = (stored.spec.key.clone(), stored.spec.data_type);
                let (found, wanted) = (format!("{data_type}, {layout}"), guessed.to_string());
                return Err(self.store_error(StoreError::SeriesDiffers { key, found, wanted }));
            }
        };
        Ok((layout, Some(stored)))
    }

    /// The series of the store with these keys.
    fn find(&self, keys: &[String]) -> Result<Vec<Option<Stored>>, IngestError> {
        let store = &self.order.store;
        let found = self.order.runtime.block_on(async {
            let ids = store.find_all(keys).await?;
            let known: Vec<SeriesId> = ids.iter().flatten().copied().collect();
            let mut specs = store.specs(&known).await?.into_iter();
            let stored = |id: Option<SeriesId>| Some(Stored { id: id?, spec: specs.next()? });
            Ok(ids.into_iter().map(stored).collect())
        });
        found.map_err(|error| self.store_error(error))
    }

    /// Whether a series has no rows. Whatever it is, it may become something else then.
    fn is_empty(&self, stored: &Stored) -> Result<bool, IngestError> {
        let snapshot = self.order.runtime.block_on(self.order.store.snapshot(&[stored.id]));
        let range = snapshot.and_then(|snapshot| snapshot.range(stored.id));
        range.map(|range| range.is_none()).map_err(|error| self.store_error(error))
    }

    /// The timeline and the type of a series; no type as long as there is nothing to tell it from. `None` as long as
    /// nothing is decided about the series.
    fn decide_type(&mut self, at: usize, is_last: bool) -> Result<Option<(usize, Option<DataType>)>, Stop> {
        let series = &self.series[at];
        let Some(target) = &series.target else { return Ok(None) };
        let timeline = target.timeline;
        let seen = series.seen;
        if seen.fractions > 0 && seen.wide_integers > 0 {
            return Err(self.column_error(&series.column.title, ColumnProblem::Inexact).into());
        }
        let asked = self.order.options.data_type;
        let stored = target.stored.as_ref().map(|stored| stored.spec.data_type);
        let has_fraction = || self.order.hints.fractions.contains(&at) || has_fraction(&series.chunk);
        let wanted = match (stored, asked) {
            (Some(DataType::Int64), Some(DataType::Float64)) => Some(DataType::Float64),
            (Some(found), Some(asked)) if found != asked => {
                if !target.stored.as_ref().map_or(Ok(true), |stored| self.is_empty(stored))? {
                    let problem = ColumnProblem::Type { key: target.key.clone(), asked, stored: found };
                    return Err(self.column_error(&series.column.title, problem).into());
                }
                Some(asked)
            }
            (_, Some(asked)) => Some(asked),
            (Some(DataType::Int64), None) if has_fraction() => Some(DataType::Float64),
            (Some(stored), None) => Some(stored),
            (None, None) if seen.fractions > 0 || self.order.hints.floats.contains(&at) => {
                Some(DataType::Float64)
            }
            (None, None) if seen.integers > 0 => Some(DataType::Int64),
            // Nothing has a value so far. Rows without one are nothing in a regular series.
            (None, None) if is_last || self.timelines[timeline].layout == Layout::Irregular => {
                Some(DataType::Float64)
            }
            (None, None) => None,
        };
        match (target.data_type, wanted) {
            (Some(DataType::Int64), Some(DataType::Float64)) => {
                // Integers are written already.
                let mut hints = Hints::default();
                hints.floats.insert(at);
                hints.fractions.insert(at);
                return Err(Stop::Again(hints));
            }
            (None, wanted) => {
                if let Some(target) = &mut self.series[at].target {
                    target.data_type = wanted;
                }
            }
            (Some(_), _) => {}
        }
        Ok(Some((timeline, self.series[at].target.as_ref().and_then(|target| target.data_type))))
    }

    /// Gives ids to the series that have a type but no id yet: those of the store, or of new ones.
    fn give_ids(&mut self, is_last: bool) -> Result<(), Stop> {
        let mut new: Vec<(usize, SeriesSpec)> = Vec::new();
        for at in 0..self.series.len() {
            if is_last {
                self.decide_type(at, true)?;
            }
            let Some(target) = &self.series[at].target else { continue };
            let (None, Some(data_type)) = (target.id, target.data_type) else { continue };
            let layout = self.timelines[target.timeline].layout;
            let spec = SeriesSpec { key: target.key.clone(), data_type, layout };
            match target.stored.clone() {
                None => new.push((at, spec)),
                Some(stored) if *stored.spec == spec => self.set_id(at, stored.id, false),
                Some(stored) => {
                    let promoted = stored.spec.data_type != data_type && !self.is_empty(&stored)?;
                    let runtime = self.order.runtime.clone();
                    let replaced = runtime.block_on(self.write()?.replace(stored.id, spec));
                    let id = replaced.map_err(|error| self.store_error(error))?;
                    self.set_id(at, id, promoted);
                }
            }
        }
        let specs: Vec<SeriesSpec> = new.iter().map(|(_, spec)| spec.clone()).collect();
        if specs.is_empty() {
            return Ok(());
        }
        match self.order.runtime.block_on(self.order.store.create_series(&specs)) {
            Ok(ids) => {
                self.created.extend(&ids);
                new.iter().zip(ids).for_each(|((at, _), id)| self.set_id(*at, id, false));
                Ok(())
            }
            // Somebody else made one of them since they were looked for.
            Err(StoreError::SeriesDiffers { .. }) if self.order.can_repeat => {
                Err(Stop::Again(Hints::default()))
            }
            Err(error) => Err(self.store_error(error).into()),
        }
    }

    fn set_id(&mut self, at: usize, id: SeriesId, promoted: bool) {
        if let Some(target) = &mut self.series[at].target {
            (target.id, target.promoted) = (Some(id), promoted);
        }
    }

    /// Appends to the write, while reading goes on.
    fn append(&mut self, parts: Vec<(SeriesId, Rows)>) -> Result<(), Stop> {
        if parts.is_empty() {
            return Ok(());
        }
        self.write()?;
        match std::mem::replace(&mut self.writing, Writing::Lost) {
            Writing::Here(mut write) => {
                self.writing = Writing::Away(self.order.runtime.spawn(async move {
                    let appended = write.append(parts).await;
                    (write, appended)
                }));
                Ok(())
            }
            other => {
                self.writing = other;
                Err(self.task("its write got lost").into())
            }
        }
    }

    /// The write, once what was appended last is in it.
    fn write(&mut self) -> Result<&mut StreamedWrite, IngestError> {
        let (write, appended) = self.take_write();
        if let Some(write) = write {
            self.writing = Writing::Here(write);
        }
        appended.map_err(|error| self.store_error(error))?;
        let lost = self.task("its write got lost");
        match &mut self.writing {
            Writing::Here(write) => Ok(write),
            _ => Err(lost),
        }
    }

    /// Takes the write out, and what became of what was appended last.
    fn take_write(&mut self) -> (Option<Box<StreamedWrite>>, Result<(), StoreError>) {
        match std::mem::replace(&mut self.writing, Writing::Lost) {
            Writing::Here(write) => (Some(write), Ok(())),
            Writing::Away(task) => match self.order.runtime.block_on(task) {
                Ok((write, appended)) => (Some(write), appended),
                Err(error) => (None, Err(StoreError::Task(error.to_string()))),
            },
            Writing::Lost => (None, Ok(())),
        }
    }

    fn reports(&self) -> Vec<IngestedSeries> {
        let report = |series: &Series| {
            let target = series.target.as_ref()?;
            let timeline = &self.timelines[target.timeline];
            let (gaps, first_gap) = timeline.gaps();
            Some(IngestedSeries {
                key: target.key.clone(),
                catalog: self.order.catalog.clone(),
                resource: series.resource.clone(),
                title: series.column.title.clone(),
                unit: series.column.unit.clone(),
                data_type: target.data_type?,
                promoted: target.promoted,
                layout: timeline.layout,
                valid: series.valid,
                missing: series.missing,
                first_last: timeline.first_last(),
                empty_slots: gaps.slots,
                gaps: gaps.gaps,
                first_gap,
                jittered: timeline.jittered,
                most_jitter_ticks: timeline.most_jitter_ticks,
                duplicates: timeline.duplicates,
                out_of_order: timeline.out_of_order,
            })
        };
        self.series.iter().filter_map(report).collect()
    }

    fn misplaced(&self, at: usize, timeline: usize, misplaced: Misplaced) -> IngestError {
        let Misplaced { why, line, start, rows } = misplaced;
        let problem = match (why, self.timelines[timeline].layout) {
            (Why::Beside, Layout::Regular { period, .. }) => RowProblem::Beside { start, period, rows },
            (Why::BeyondTime, _) => RowProblem::BeyondTime { start },
            (Why::TooLate, _) => RowProblem::TooLate { start },
            (Why::Beside | Why::Second, _) => RowProblem::Second { start, rows },
        };
        self.row_error(&self.series[at].column.title, line, problem)
    }

    /// Names the first row with a fraction, or the first one in doubt.
    fn late_fraction(&self, at: usize, more: Option<&More>) -> IngestError {
        let series = &self.series[at];
        let line = match more.map(|more| (&more.batch, &more.batch.rows)) {
            Some((batch, TableRows::Wide(columns))) => {
                let row = (0..batch.len()).find(|&row| is_fraction(columns[at].get(row)));
                batch.lines.get(row.unwrap_or_default()).copied()
            }
            Some((batch, TableRows::Long { series, values })) => {
                let mut of_series = (0..batch.len()).filter(|&row| series[row] as usize == at);
                let first = of_series.clone().next();
                let row = of_series.find(|&row| is_fraction(values.get(row))).or(first);
                batch.lines.get(row.unwrap_or_default()).copied()
            }
            _ => {
                let row = (0..series.chunk.len()).find(|&row| is_fraction(Some(series.chunk.get(row))));
                let times = if self.is_wide { &self.times } else { &series.times };
                Some(times.line(row.unwrap_or_default()))
            }
        };
        self.row_error(&series.column.title, line.unwrap_or_default(), RowProblem::LateFraction)
    }

    fn row_error(&self, title: &str, line: u64, problem: RowProblem) -> IngestError {
        let (input, place, title) = (self.input.clone(), self.place, title.to_owned());
        IngestError::Row { input, place, line, title, problem }
    }

    fn column_error(&self, title: &str, problem: ColumnProblem) -> IngestError {
        IngestError::Column { input: self.input.clone(), title: title.to_owned(), problem }
    }

    fn store_error(&self, source: StoreError) -> IngestError {
        IngestError::Store { input: self.input.clone(), source: Box::new(source) }
    }

    fn task(&self, problem: &str) -> IngestError {
        IngestError::Task { input: self.input.clone(), problem: problem.to_owned() }
    }
}

impl Hints {
    /// Takes note of what some more rows are.
    fn note(&mut self, more: &More) {
        let floats = more.seen.iter().filter(|(_, seen)| seen.fractions > 0);
        self.floats.extend(floats.map(|(at, _)| *at as usize));
        match &more.batch.rows {
            TableRows::Wide(columns) => {
                let has_fraction = |values: &ColumnValues| matches!(values, ColumnValues::Floats(values) if values.iter().any(|&value| is_fraction(Some(value))));
                let fractions = columns.iter().enumerate().filter(|(_, values)| has_fraction(values));
                self.fractions.extend(fractions.map(|(at, _)| at));
            }
            TableRows::Long { series, values: values @ ColumnValues::Floats(_) } => {
                let fractions = series.iter().enumerate().filter(|(row, _)| is_fraction(values.get(*row)));
                self.fractions.extend(fractions.map(|(_, &at)| at as usize));
            }
            _ => {}
        }
    }
}

/// Whether a value is there and no integer.
fn is_fraction(value: Option<f64>) -> bool {
    value.is_some_and(|value| !value.is_nan() && integer(value).is_none())
}

fn has_fraction(chunk: &Chunk) -> bool {
    matches!(chunk, Chunk::Floats(values) if values.iter().any(|&value| is_fraction(Some(value))))
}

/// Runs of equal numbers.
fn runs(numbers: &[u32]) -> impl Iterator<Item = Range<usize>> {
    let mut begin = 0;
    numbers.chunk_by(|a, b| a == b).map(move |run| {
        let range = begin..begin + run.len();
        begin = range.end;
        range
    })
}
