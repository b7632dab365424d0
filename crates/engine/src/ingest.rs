//! Rows of a table into series of the store: which series, at which period, of which type. All of a table in one commit.

use sheaf_model::{CatalogId, DataType, IdError, ResourceId, SamplePeriod, Tick, Values};
use sheaf_sources::{
    Batch, Column, ColumnValues, CsvReader, Report, Rows as TableRows, Slots, SourceError, Spacing, spacing,
};
use sheaf_store::{Layout, Rows, RowsError, SeriesSpec, Store, StoreError, Watch, Write};

/// Where the series of a table go, and what is to be made of rows that lie badly.
#[derive(Clone, Debug)]
pub struct IngestOptions {
    /// The catalog of their resources.
    pub catalog: CatalogId,
    /// Their period; found out if none is given.
    pub period: Option<SamplePeriod>,
    /// Rows have no slots: bills, events.
    pub irregular: bool,
    /// Rows beside their slots take the nearest one, and of two in a slot the later row counts. Otherwise both are refused.
    pub align: bool,
}

/// What became of a table.
#[derive(Clone, Debug)]
pub struct Ingested {
    /// The commit with which all of it became visible.
    pub commit: i64,
    /// Its series.
    pub series: Vec<IngestedSeries>,
}

/// What became of a column.
#[derive(Clone, Debug)]
pub struct IngestedSeries {
    /// The key of the series in the store.
    pub key: String,
    /// The title of the column.
    pub title: String,
    /// Its unit, if the title has one.
    pub unit: Option<String>,
    /// Type of the values.
    pub data_type: DataType,
    /// How the rows lie.
    pub spacing: Spacing,
    /// Rows with a value.
    pub valid: u64,
    /// Rows without one.
    pub missing: u64,
    /// Rows that came after a later one.
    pub out_of_order: u64,
    /// Starts of the first row and the last one.
    pub first_last: Option<(Tick, Tick)>,
}

/// A table that can't go into the store; nothing of it did.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IngestError {
    /// The table can't be read.
    #[error(transparent)]
    Source(Box<SourceError>),
    /// The store can't take it.
    #[error(transparent)]
    Store(Box<StoreError>),
    /// No name can be made of a title.
    #[error("column `{title}` can't be a resource: {problem}")]
    Name {
        /// The title.
        title: String,
        /// What is wrong.
        problem: IdError,
    },
    /// Two columns would become one resource.
    #[error("columns `{first}` and `{second}` would both become resource `{resource}`; rename one of them")]
    SameName {
        /// The title of the first one.
        first: String,
        /// The title of the second one.
        second: String,
        /// The name.
        resource: ResourceId,
    },
    /// The period of a column can't be found out.
    #[error(
        "column `{title}` has too few rows to find out their period; say which it is, or that they are irregular"
    )]
    NoPeriod {
        /// The title.
        title: String,
    },
    /// Rows of a period that are anywhere.
    #[error(
        "the rows of column `{title}` do not lie at multiples of {period}; take another period, or say that they are \
         irregular"
    )]
    NotAtPeriod {
        /// The title.
        title: String,
        /// The period that was given.
        period: SamplePeriod,
    },
    /// Rows that lie too far from their slots.
    #[error(
        "line {line}: column `{title}` has a row at {start}, more than a tenth of {period} beside its slot{}; align them \
         to the nearest slots, or say that they are irregular",
        MoreRows(*rows)
    )]
    Beside {
        /// Line of the first one.
        line: u64,
        /// The title.
        title: String,
        /// Its start.
        start: Tick,
        /// The period.
        period: SamplePeriod,
        /// How many such rows there are.
        rows: u64,
    },
    /// Two rows for a slot.
    #[error(
        "line {line}: column `{title}` has a second row for the slot of {start}{}; remove one, or align them, and the \
         later one counts",
        MoreRows(*rows)
    )]
    Shared {
        /// Line of the first one.
        line: u64,
        /// The title.
        title: String,
        /// Its start.
        start: Tick,
        /// How many such rows there are.
        rows: u64,
    },
    /// Integers that no float holds, beside fractions.
    #[error(
        "column `{title}` has fractions, and integers beyond 2^53, which no FLOAT64 holds exactly: they can't be one series"
    )]
    Inexact {
        /// The title.
        title: String,
    },
    /// A start that is no time.
    #[error("line {line}: a row of column `{title}` would begin beyond the time that can be named")]
    BeyondTime {
        /// The line.
        line: u64,
        /// The title.
        title: String,
    },
    /// A table without any row.
    #[error("{input} has no rows")]
    NoRows {
        /// The input.
        input: String,
    },
    /// A task ended early.
    #[error("reading ended early: {0}")]
    Task(String),
}

/// ` (and 3 more such rows)`, if there are more than one.
struct MoreRows(u64);

impl std::fmt::Display for MoreRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            0 | 1 => Ok(()),
            2 => f.write_str(" (and 1 more such row)"),
            rows => write!(f, " (and {} more such rows)", rows - 1),
        }
    }
}

impl From<SourceError> for IngestError {
    fn from(error: SourceError) -> IngestError {
        IngestError::Source(Box::new(error))
    }
}

impl From<StoreError> for IngestError {
    fn from(error: StoreError) -> IngestError {
        IngestError::Store(Box::new(error))
    }
}

/// Reads all of a table and writes it; also returns what the reader has to say. The table is in memory for that.
///
/// # Errors
/// The table can't be read, does not fit its series, or the store fails. Nothing is written then, unless
/// [`StoreError::may_be_written`] says that this is not known.
pub async fn ingest(
    store: &Store,
    reader: CsvReader,
    options: IngestOptions,
    watch: &Watch,
) -> Result<(Ingested, Report), IngestError> {
    let watch = watch.clone();
    let work = tokio::task::spawn_blocking(move || prepare(reader, &options, &watch));
    let (prepared, report) = work.await.map_err(|error| IngestError::Task(error.to_string()))??;
    let specs: Vec<SeriesSpec> = prepared.iter().map(|series| series.spec.clone()).collect();
    let ids = store.create_series(&specs).await?;
    let mut write = Write::new();
    let mut series = Vec::with_capacity(prepared.len());
    for (id, prepared) in ids.into_iter().zip(prepared) {
        write = write.rows(id, prepared.rows);
        series.push(prepared.report);
    }
    let receipt = store.write(write).await?;
    Ok((Ingested { commit: receipt.commit, series }, report))
}

/// A series, ready to be written.
struct Prepared {
    spec: SeriesSpec,
    rows: Rows,
    report: IngestedSeries,
}

/// Rows of a column, or of all columns of a wide table.
#[derive(Default)]
struct Times {
    starts: Vec<i64>,
    lines: Vec<u64>,
}

impl Times {
    fn line(&self, row: usize) -> u64 {
        self.lines.get(row).copied().unwrap_or_default()
    }
}

/// Values of a column: integers for as long as all of them are.
enum Gathered {
    Ints(Vec<Option<i64>>),
    Floats(Vec<f64>),
}

impl Gathered {
    fn push(&mut self, values: &ColumnValues, row: usize) {
        let is_valid = |validity: &Option<Vec<u64>>| {
            validity.as_ref().is_none_or(|words| words[row / 64] >> (row % 64) & 1 == 1)
        };
        match (&mut *self, values) {
            (Gathered::Ints(all), ColumnValues::Ints { values, validity }) => {
                all.push(is_valid(validity).then_some(values[row]));
            }
            (Gathered::Floats(all), values) => all.push(values.get(row).unwrap_or(f64::NAN)),
            (Gathered::Ints(all), ColumnValues::Floats(values)) => {
                let mut floats = to_floats(all);
                floats.push(values[row]);
                *self = Gathered::Floats(floats);
            }
        }
    }
}

fn to_floats(ints: &[Option<i64>]) -> Vec<f64> {
    ints.iter().map(|value| value.map_or(f64::NAN, |value| value as f64)).collect()
}

/// Reads all rows, and finds out what becomes of them.
fn prepare(
    mut reader: CsvReader,
    options: &IngestOptions,
    watch: &Watch,
) -> Result<(Vec<Prepared>, Report), IngestError> {
    let mut wide = Times::default();
    let mut long: Vec<Times> = Vec::new();
    let mut columns: Vec<Gathered> = Vec::new();
    while let Some(Batch { lines, starts, rows }) = reader.next_batch()? {
        watch.step("reading rows", reader.report().rows, 0)?;
        match rows {
            TableRows::Wide(values) => {
                columns.resize_with(values.len().max(columns.len()), || Gathered::Ints(Vec::new()));
                for (column, values) in columns.iter_mut().zip(&values) {
                    (0..values.len()).for_each(|row| column.push(values, row));
                }
                wide.starts.extend(starts);
                wide.lines.extend(lines);
            }
            TableRows::Long { series, values } => {
                for (row, &of) in series.iter().enumerate() {
                    let of = of as usize;
                    if of >= columns.len() {
                        columns.resize_with(of + 1, || Gathered::Ints(Vec::new()));
                        long.resize_with(of + 1, Times::default);
                    }
                    columns[of].push(&values, row);
                    long[of].starts.push(starts[row]);
                    long[of].lines.push(lines[row]);
                }
            }
            _ => {}
        }
    }
    if columns.is_empty() {
        return Err(IngestError::NoRows { input: reader.name().to_owned() });
    }
    let mut prepared: Vec<Prepared> = Vec::new();
    for (at, (column, gathered)) in reader.columns().iter().zip(columns).enumerate() {
        watch.step("looking at columns", at as u64, reader.columns().len() as u64)?;
        let times = long.get(at).unwrap_or(&wide);
        let series = prepare_series(column, times, gathered, options)?;
        if let Some(first) = prepared.iter().find(|other| other.spec.key == series.spec.key) {
            return Err(IngestError::SameName {
                first: first.report.title.clone(),
                second: column.title.clone(),
                resource: resource_of(column)?,
            });
        }
        prepared.push(series);
    }
    Ok((prepared, reader.report().clone()))
}

/// The resource of a column: its name, with `_` for what no name has.
fn resource_of(column: &Column) -> Result<ResourceId, IngestError> {
    let name = column.nexus.as_ref().map_or(column.name.as_str(), |nexus| nexus.resource.as_str());
    let mut cleaned: String =
        name.trim().chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' }).collect();
    if cleaned.starts_with(|first: char| first.is_ascii_digit()) {
        cleaned.insert(0, '_');
    }
    cleaned.parse().map_err(|problem| IngestError::Name { title: column.title.clone(), problem })
}

fn prepare_series(
    column: &Column,
    times: &Times,
    gathered: Gathered,
    options: &IngestOptions,
) -> Result<Prepared, IngestError> {
    let title = || column.title.clone();
    if column.seen.fractions > 0 && column.seen.wide_integers > 0 {
        return Err(IngestError::Inexact { title: title() });
    }
    let mut order: Vec<usize> = (0..times.starts.len()).collect();
    let mut latest = i64::MIN;
    let mut out_of_order = 0;
    for &start in &times.starts {
        out_of_order += u64::from(start < latest);
        latest = latest.max(start);
    }
    if out_of_order > 0 {
        order.sort_by_key(|&row| times.starts[row]);
    }
    let starts: Vec<i64> = order.iter().map(|&row| times.starts[row]).collect();
    let known = options.period.or(column.nexus.as_ref().map(|nexus| nexus.representation.period));
    let spacing = match spacing(&starts, known) {
        _ if options.irregular => Spacing::Irregular,
        Some(Spacing::Irregular) if known.is_some() && !options.align => {
            return Err(match known {
                Some(period) => IngestError::NotAtPeriod { title: title(), period },
                None => IngestError::NoPeriod { title: title() },
            });
        }
        Some(spacing) => spacing,
        None => return Err(IngestError::NoPeriod { title: title() }),
    };
    let resource = resource_of(column)?;
    let data_type = match gathered {
        Gathered::Ints(_) if column.seen.integers > 0 => DataType::Int64,
        _ => DataType::Float64,
    };
    let (key, layout, taken) = match &spacing {
        Spacing::Irregular => {
            (format!("{}/{resource}", options.catalog), Layout::Irregular, in_order(&starts, &order))
        }
        Spacing::Regular(slots) => {
            let layout = Layout::Regular { period: slots.period, phase_ticks: slots.phase_ticks };
            let key = format!("{}/{resource}/{}", options.catalog, slots.period);
            (key, layout, in_slots(column, times, &starts, &order, slots, options.align)?)
        }
    };
    let valid = valid_of(&gathered);
    let first_last = taken.first().zip(taken.last());
    let ends = first_last.and_then(|(first, last)| Tick::new(first.0).ok().zip(Tick::new(last.0).ok()));
    let rows = rows_of(column, times, &taken, &gathered, data_type)?;
    let missing = times.starts.len() as u64 - valid;
    let report = IngestedSeries {
        key: key.clone(),
        title: title(),
        unit: column.unit.clone(),
        data_type,
        spacing,
        valid,
        missing,
        out_of_order,
        first_last: ends,
    };
    Ok(Prepared { spec: SeriesSpec { key, data_type, layout }, rows, report })
}

/// Rows to be written: where each starts, and which row of the table it is.
type Taken = Vec<(i64, usize)>;

/// All rows, as they are.
fn in_order(starts: &[i64], order: &[usize]) -> Taken {
    starts.iter().copied().zip(order.iter().copied()).collect()
}

/// All rows at the starts of their slots.
fn in_slots(
    column: &Column,
    times: &Times,
    starts: &[i64],
    order: &[usize],
    slots: &Slots,
    align: bool,
) -> Result<Taken, IngestError> {
    let (title, period) = (column.title.clone(), slots.period);
    // Where a row is named, it is by its place in the table.
    let place = |at: usize| {
        let start = Tick::new(starts[at]);
        let line = times.line(order[at]);
        start.map(|start| (line, start)).map_err(|_| IngestError::BeyondTime { line, title: title.clone() })
    };
    if let Some((at, rows)) = slots.beside.filter(|_| !align) {
        let (line, start) = place(at)?;
        return Err(IngestError::Beside { line, title, start, period, rows });
    }
    if let Some((at, rows)) = slots.shared.filter(|_| !align) {
        let (line, start) = place(at)?;
        return Err(IngestError::Shared { line, title, start, rows });
    }
    let mut taken: Taken = Vec::with_capacity(starts.len());
    for (&start, &row) in starts.iter().zip(order) {
        let start = slots.start_of(start);
        match taken.last_mut() {
            // Of two in a slot the one that comes later in the table counts.
            Some(last) if last.0 == start => last.1 = last.1.max(row),
            _ => taken.push((start, row)),
        }
    }
    Ok(taken)
}

fn valid_of(gathered: &Gathered) -> u64 {
    let valid = match gathered {
        Gathered::Ints(values) => values.iter().flatten().count(),
        Gathered::Floats(values) => values.iter().filter(|value| !value.is_nan()).count(),
    };
    valid as u64
}

fn rows_of(
    column: &Column,
    times: &Times,
    taken: &Taken,
    gathered: &Gathered,
    data_type: DataType,
) -> Result<Rows, IngestError> {
    let mut starts = Vec::with_capacity(taken.len());
    for &(start, row) in taken {
        let start = Tick::new(start)
            .map_err(|_| IngestError::BeyondTime { line: times.line(row), title: column.title.clone() })?;
        starts.push(start);
    }
    let lengths = |error: RowsError| IngestError::Task(error.to_string());
    let float = |row: usize| match gathered {
        Gathered::Ints(values) => values[row].map_or(f64::NAN, |value| value as f64),
        Gathered::Floats(values) => values[row],
    };
    match gathered {
        Gathered::Ints(values) if data_type == DataType::Int64 => {
            let mut validity = vec![0_u64; taken.len().div_ceil(64)];
            for (at, _) in taken.iter().enumerate().filter(|(_, (_, row))| values[*row].is_some()) {
                validity[at / 64] |= 1 << (at % 64);
            }
            let values = taken.iter().map(|&(_, row)| values[row].unwrap_or_default()).collect();
            Rows::listed(starts, Values::I64(values))
                .and_then(|rows| rows.with_validity(validity))
                .map_err(lengths)
        }
        _ => Rows::listed(starts, Values::F64(taken.iter().map(|&(_, row)| float(row)).collect()))
            .map_err(lengths),
    }
}
