//! Marts: tables to load elsewhere, out of the database or the program, and how they are written.

use std::io::{self, Write};

use serde_json::{Map, Value};
use sheaf_db::RepositoryError;
use sheaf_db::datastore::{Datastore, MARTS, Mart, MartType, MartValue, Page};
use sheaf_model::Tick;
use sheaf_sources::{RecordType, RecordValue, RecordsWriter, WriteError, ZipArea, zip_areas};

/// Rows that are fetched and written at once.
pub(crate) const PAGE: usize = 1000;

/// A table.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AnyMart {
    /// A view of the database.
    View(&'static Mart),
    /// The areas of ZIP codes, which come with the program.
    Zips,
}

const ZIPS: &str = "zctainfo";

const ZIP_COLUMNS: &[(&str, MartType)] = &[
    ("id", MartType::Integer),
    ("zcta", MartType::Text),
    ("latitude_deg", MartType::Number),
    ("longitude_deg", MartType::Number),
    ("state", MartType::Text),
    ("iecc_climate_zone", MartType::Text),
    ("iecc_moisture_regime", MartType::Text),
    ("ba_climate_zone", MartType::Text),
];

/// A name that no mart has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UnknownMart {
    /// The one that there is no data for.
    #[error(
        "there is no countyinfo: no table of counties comes with Sheaf; zctainfo has the climate zones of ZIP codes"
    )]
    Counties,
    /// Any other.
    #[error("unknown mart `{found}`; there are: {}", all().map(AnyMart::name).collect::<Vec<_>>().join(", "))]
    Other {
        /// What was given.
        found: String,
    },
}

/// All of them.
pub(crate) fn all() -> impl Iterator<Item = AnyMart> {
    MARTS.into_iter().map(AnyMart::View).chain([AnyMart::Zips])
}

impl AnyMart {
    /// The mart with this name, also with `warehouse_` before it.
    pub(crate) fn named(name: &str) -> Result<AnyMart, UnknownMart> {
        if let Some(mart) = Mart::named(name) {
            return Ok(AnyMart::View(mart));
        }
        match name.strip_prefix("warehouse_").unwrap_or(name) {
            ZIPS => Ok(AnyMart::Zips),
            "countyinfo" => Err(UnknownMart::Counties),
            _ => Err(UnknownMart::Other { found: name.to_owned() }),
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            AnyMart::View(mart) => mart.name,
            AnyMart::Zips => ZIPS,
        }
    }

    /// What its rows are.
    pub(crate) fn about(self) -> &'static str {
        match self {
            AnyMart::View(mart) => mart.about,
            AnyMart::Zips => "one row for each area of a ZIP code: where it is, and its climate zones",
        }
    }

    /// Its columns, the first of which is `id`.
    pub(crate) fn columns(self) -> &'static [(&'static str, MartType)] {
        match self {
            AnyMart::View(mart) => mart.columns,
            AnyMart::Zips => ZIP_COLUMNS,
        }
    }

    /// A page of its rows, by id.
    pub(crate) async fn page(
        self,
        datastore: &Datastore,
        page: Page,
    ) -> Result<Vec<Vec<MartValue>>, RepositoryError> {
        match self {
            AnyMart::View(mart) => datastore.mart(mart, page).await,
            AnyMart::Zips => {
                let skip = usize::try_from(page.after.max(0)).unwrap_or(usize::MAX);
                let areas = zip_areas(skip).zip(skip as i64 + 1..).map(zip_row);
                Ok(areas.take(page.limit.unwrap_or(usize::MAX)).collect())
            }
        }
    }
}

fn zip_row((area, id): (ZipArea, i64)) -> Vec<MartValue> {
    let text = |text: &str| MartValue::Text(text.to_owned());
    let maybe = |known: Option<&str>| known.map_or(MartValue::Null, text);
    vec![
        MartValue::Integer(id),
        text(area.zip),
        MartValue::Number(area.position.latitude_deg),
        MartValue::Number(area.position.longitude_deg),
        text(area.state),
        maybe(area.iecc_climate_zone),
        maybe(area.iecc_moisture_regime),
        maybe(area.ba_climate_zone),
    ]
}

/// The id of a row.
pub(crate) fn id_of(row: &[MartValue]) -> i64 {
    match row.first() {
        Some(MartValue::Integer(id)) => *id,
        _ => i64::MAX,
    }
}

/// How a mart is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Comma-separated values, with a header; what is missing is empty
    Csv,
    /// A list of objects
    Json,
    /// An object on each line
    Ndjson,
    /// Parquet, with times as timestamps
    Parquet,
}

/// Writes the rows of a mart, page by page.
pub(crate) struct Writer<W: Write + Send> {
    columns: &'static [(&'static str, MartType)],
    sink: Sink<W>,
}

enum Sink<W: Write + Send> {
    Csv(Box<csv::Writer<W>>),
    Json { out: W, is_first: bool },
    Lines(W),
    Parquet(Box<RecordsWriter<W>>),
}

/// What can't be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MartError {
    /// The output fails.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The output fails.
    #[error(transparent)]
    Csv(#[from] csv::Error),
    /// The output fails.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// The output fails.
    #[error(transparent)]
    Parquet(#[from] WriteError),
}

impl<W: Write + Send> Writer<W> {
    /// Begins a table.
    pub(crate) fn new(mart: AnyMart, format: Format, mut out: W) -> Result<Writer<W>, MartError> {
        let columns = mart.columns();
        let sink = match format {
            Format::Csv => {
                let mut csv = csv::Writer::from_writer(out);
                csv.write_record(columns.iter().map(|(name, _)| *name))?;
                Sink::Csv(Box::new(csv))
            }
            Format::Json => {
                out.write_all(b"[")?;
                Sink::Json { out, is_first: true }
            }
            Format::Ndjson => Sink::Lines(out),
            Format::Parquet => {
                let columns = columns.iter().map(|(name, kind)| (*name, record_type(*kind)));
                Sink::Parquet(Box::new(RecordsWriter::new(out, columns)?))
            }
        };
        Ok(Writer { columns, sink })
    }

    /// Writes rows.
    pub(crate) fn write(&mut self, rows: &[Vec<MartValue>]) -> Result<(), MartError> {
        let columns = self.columns;
        for row in rows {
            match &mut self.sink {
                Sink::Csv(csv) => csv.write_record(row.iter().map(text))?,
                Sink::Json { out, is_first } => {
                    if !std::mem::take(is_first) {
                        out.write_all(b",\n")?;
                    }
                    serde_json::to_writer(out, &object(columns, row))?;
                }
                Sink::Lines(out) => {
                    serde_json::to_writer(&mut *out, &object(columns, row))?;
                    out.write_all(b"\n")?;
                }
                Sink::Parquet(parquet) => {
                    let values = columns.iter().zip(row).map(|((_, kind), value)| record_value(*kind, value));
                    parquet.write(values)?;
                }
            }
        }
        if let Sink::Csv(csv) = &mut self.sink {
            csv.flush()?;
        }
        Ok(())
    }

    /// Ends the table.
    pub(crate) fn finish(self) -> Result<(), MartError> {
        match self.sink {
            Sink::Csv(mut csv) => csv.flush()?,
            Sink::Json { mut out, .. } => out.write_all(b"]\n")?,
            Sink::Lines(mut out) => out.flush()?,
            Sink::Parquet(parquet) => parquet.finish()?,
        }
        Ok(())
    }
}

fn object(columns: &[(&str, MartType)], row: &[MartValue]) -> Map<String, Value> {
    let value = |value: &MartValue| match value {
        MartValue::Null => Value::Null,
        MartValue::Integer(value) => (*value).into(),
        MartValue::Number(value) => (*value).into(),
        MartValue::Text(text) => text.as_str().into(),
    };
    columns.iter().zip(row).map(|((name, _), of_row)| ((*name).to_owned(), value(of_row))).collect()
}

fn text(value: &MartValue) -> String {
    match value {
        MartValue::Null => String::new(),
        MartValue::Integer(value) => value.to_string(),
        // As in JSON: the shortest text that gives it back.
        MartValue::Number(value) => Value::from(*value).to_string(),
        MartValue::Text(text) => text.clone(),
    }
}

fn record_type(kind: MartType) -> RecordType {
    match kind {
        MartType::Integer => RecordType::Integer,
        MartType::Number => RecordType::Number,
        MartType::Text => RecordType::Text,
        MartType::Time => RecordType::Time,
    }
}

fn record_value(kind: MartType, value: &MartValue) -> RecordValue<'_> {
    const TICKS_PER_MICRO: i64 = Tick::PER_SECOND / 1_000_000;
    match value {
        MartValue::Null => RecordValue::Missing,
        MartValue::Integer(value) => RecordValue::Integer(*value),
        MartValue::Number(value) => RecordValue::Number(*value),
        MartValue::Text(text) if kind == MartType::Time => {
            let time = text.parse::<Tick>();
            time.map_or(RecordValue::Missing, |time| RecordValue::Time(time.unix_ticks() / TICKS_PER_MICRO))
        }
        MartValue::Text(text) => RecordValue::Text(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: Format, rows: &[Vec<MartValue>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(AnyMart::Zips, format, &mut bytes).unwrap();
        for row in rows {
            writer.write(std::slice::from_ref(row)).unwrap();
        }
        writer.finish().unwrap();
        bytes
    }

    #[test]
    fn each_format_has_all_rows_and_columns() {
        let rows: Vec<Vec<MartValue>> = zip_areas(0).zip(1..).map(zip_row).take(2).collect();
        let csv = String::from_utf8(written(Format::Csv, &rows)).unwrap();
        let mut lines = csv.lines();
        assert!(lines.next().unwrap().starts_with("id,zcta,latitude_deg,"), "{csv}");
        assert_eq!(lines.next(), Some("1,00601,18.18005,-66.75218,PR,1,A,Hot-Humid"));
        let json: Vec<Value> = serde_json::from_slice(&written(Format::Json, &rows)).unwrap();
        let ndjson = String::from_utf8(written(Format::Ndjson, &rows)).unwrap();
        let lines: Vec<Value> = ndjson.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(json, lines);
        assert_eq!((&json[1]["zcta"], json.len()), (&Value::from("00602"), 2));
        assert!(written(Format::Parquet, &rows).ends_with(b"PAR1"));
        assert_eq!(written(Format::Json, &[]), b"[]\n");
    }

    #[test]
    fn names_are_those_of_the_warehouse_too() {
        for name in ["zctainfo", "warehouse_zctainfo", "meterresultmart", "warehouse_tracesummarymart"] {
            assert!(name.ends_with(AnyMart::named(name).unwrap().name()));
        }
        assert_eq!(AnyMart::named("countyinfo").unwrap_err(), UnknownMart::Counties);
        assert!(
            AnyMart::named("x").unwrap_err().to_string().contains("projectsummarymart, tracesummarymart")
        );
        for mart in all() {
            assert_eq!(mart.columns()[0], ("id", MartType::Integer), "{}", mart.name());
        }
    }
}
