//! Folders of tables are one source.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int32Array, RecordBatch, TimestampSecondArray};
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
use parquet::data_type::{DoubleType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use serde_json::json;
use sheaf_model::{DataType, ResourceId, Samples, Tick, TimeRange};
use sheaf_sources::testing::{a_change_is_seen, laws_of_sources};
use sheaf_sources::{
    DataSource, FolderConfig, FolderSource, Revision, SourceConfig, SourceError, SourceSeries,
};
use tempfile::TempDir;

const MINUTE: i64 = 60 * Tick::PER_SECOND;

fn tick(text: &str) -> Tick {
    text.parse().unwrap()
}

fn range(begin: &str, end: &str) -> TimeRange {
    TimeRange::new(tick(begin), tick(end)).unwrap()
}

fn id(name: &str) -> ResourceId {
    name.parse().unwrap()
}

fn put(folder: &Path, path: &str, text: &str) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// A row every so many minutes: the minute of the day and its number.
fn day(date: &str, step: i64, minutes: impl IntoIterator<Item = i64>) -> String {
    let begin = tick(date).ticks();
    let mut text = "time,T1 (°C),n\n".to_owned();
    for minute in minutes {
        let start = Tick::new(begin + minute * step * MINUTE).unwrap();
        writeln!(text, "{start},{minute}.5,{minute}").unwrap();
    }
    text
}

fn config(folder: &Path, template: &str) -> FolderConfig {
    FolderConfig { root: folder.to_owned(), template: template.to_owned(), ..FolderConfig::default() }
}

fn open(folder: &Path, template: &str) -> FolderSource {
    FolderSource::open(config(folder, template)).unwrap()
}

/// Three days of 10 minutes, one file each.
fn three_days() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for date in ["2020-01-30", "2020-01-31", "2020-02-01"] {
        let path = format!("{}/{}/mast_{date}.csv", &date[..4], &date[5..7]);
        put(folder.path(), &path, &day(date, 10, 0..144));
    }
    put(folder.path(), "2020/01/notes.txt", "nothing");
    folder
}

const DAYS: &str = "{yyyy}/{MM}/mast_{yyyy}-{MM}-{dd}.csv";

fn values(samples: &Samples) -> Vec<Option<f64>> {
    (0..samples.len()).map(|slot| samples.get(slot)).collect()
}

fn refused(source: &FolderSource, resource: &str, of: TimeRange) -> String {
    read(source, resource, of).map(|samples| values(&samples)).unwrap_err().to_string()
}

/// A series, or one that is not there.
fn series(source: &dyn DataSource, resource: &str) -> SourceSeries {
    let known = source.series().into_iter().flatten().find(|series| series.resource == id(resource));
    known.unwrap_or_else(|| SourceSeries::new(id(resource), "10_min".parse().unwrap(), DataType::Float64))
}

fn read(source: &dyn DataSource, resource: &str, of: TimeRange) -> Result<Samples, SourceError> {
    source.read(&id(resource), series(source, resource).period, of)
}

fn revision(source: &dyn DataSource, resource: &str, of: TimeRange) -> Result<Revision, SourceError> {
    source.revision(&id(resource), series(source, resource).period, of)
}

#[test]
fn days_in_files_are_one_series() {
    let folder = three_days();
    let source = open(folder.path(), DAYS);
    laws_of_sources(&source);
    let series = source.series().unwrap();
    assert_eq!(series.len(), 2);
    let first = &series[0];
    assert_eq!((first.resource.as_str(), first.title.as_str(), first.unit()), ("T1", "T1 (°C)", Some("°C")));
    assert_eq!(
        (first.period.to_string(), first.phase_ticks, first.data_type),
        ("10_min".to_owned(), 0, DataType::Float64)
    );
    assert_eq!(first.range, Some(range("2020-01-30", "2020-02-02")));
    assert_eq!(series[1].data_type, DataType::Int64);
    // The last slot of a day, and the first one of the next.
    let samples = read(&source, "T1", range("2020-01-31T23:50", "2020-02-01T00:10")).unwrap();
    assert_eq!(values(&samples), [Some(143.5), Some(0.5)]);
    let samples = read(&source, "n", range("2020-02-01T23:50", "2020-02-02T00:10")).unwrap();
    assert_eq!(values(&samples), [Some(143.0), None]);
    assert_eq!(samples.validity(), Some(&[0b01][..]));
}

#[test]
fn only_files_that_a_range_touches_are_read() {
    let folder = three_days();
    for date in ["2020-02-02", "2020-02-03", "2020-02-04"] {
        put(folder.path(), &format!("2020/02/mast_{date}.csv"), &day(date, 10, 0..144));
    }
    put(folder.path(), "2020/02/mast_2020-02-02.csv", "no table at all\n");
    let source = open(folder.path(), DAYS);
    assert_eq!(read(&source, "T1", range("2020-01-30", "2020-02-01")).unwrap().get(0), Some(0.5));
    assert_eq!(read(&source, "T1", range("2020-02-04", "2020-02-05")).unwrap().get(1), Some(1.5));
    let error = refused(&source, "T1", range("2020-02-02", "2020-02-03"));
    assert!(error.contains("mast_2020-02-02.csv"), "{error}");
}

#[test]
fn changes_are_seen_after_a_refresh() {
    let folder = three_days();
    let source = open(folder.path(), DAYS);
    let (first, last) = (range("2020-01-30", "2020-01-31"), range("2020-02-01", "2020-02-02"));
    let before = revision(&source, "T1", first).unwrap();
    a_change_is_seen(&source, &series(&source, "T1"), last, || {
        put(folder.path(), "2020/02/mast_2020-02-01.csv", &day("2020-02-01", 10, 0..100));
    });
    // What is far from the change is what it was.
    assert_eq!(revision(&source, "T1", first).unwrap(), before);
    a_change_is_seen(&source, &series(&source, "T1"), range("2020-02-02", "2020-02-03"), || {
        put(folder.path(), "2020/02/mast_2020-02-02.csv", &day("2020-02-02", 10, 0..144));
    });
    a_change_is_seen(&source, &series(&source, "T1"), first, || {
        fs::remove_file(folder.path().join("2020/01/mast_2020-01-30.csv")).unwrap();
    });
    // Until then, what has changed is an error.
    let source = open(folder.path(), DAYS);
    put(folder.path(), "2020/01/mast_2020-01-31.csv", &day("2020-01-31", 10, 0..50));
    let error = refused(&source, "T1", range("2020-01-31", "2020-02-01"));
    assert!(error.starts_with(source.name()), "{error}");
    assert!(error.ends_with("`2020/01/mast_2020-01-31.csv` has changed since the folder was listed; refresh the source, and read again"), "{error}");
}

#[test]
fn without_dates_files_say_what_they_hold() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "b/first.csv", &day("2020-01-01", 10, 0..6));
    put(folder.path(), "a/second.csv", &day("2020-01-01", 10, 12..18));
    put(
        folder.path(),
        "a/deep/other.csv",
        "time,p\n2020-01-01 00:00,1\n2020-01-01 00:01,2\n2020-01-01 00:02,3\n",
    );
    let source = open(folder.path(), "**/*.csv");
    laws_of_sources(&source);
    let samples = read(&source, "n", range("2020-01-01T00:50", "2020-01-01T02:10")).unwrap();
    assert_eq!(values(&samples), [Some(5.0), None, None, None, None, None, None, Some(12.0)]);
    let whole = range("2020-01-01", "2020-01-01T03:00");
    let (early, late) =
        (range("2020-01-01", "2020-01-01T01:00"), range("2020-01-01T02:00", "2020-01-01T03:00"));
    let before = revision(&source, "n", early).unwrap();
    a_change_is_seen(&source, &series(&source, "n"), late, || {
        put(folder.path(), "a/second.csv", &day("2020-01-01", 10, 12..17));
    });
    assert_eq!(revision(&source, "n", early).unwrap(), before);
    a_change_is_seen(&source, &series(&source, "p"), whole, || {
        put(
            folder.path(),
            "a/deep/other.csv",
            "time,p\n2020-01-01 00:00,7\n2020-01-01 00:01,2\n2020-01-01 00:02,3\n",
        );
    });
}

/// Months in Parquet, of which a part starts 5 minutes late.
#[test]
fn parquet_files_with_a_phase() {
    let folder = tempfile::tempdir().unwrap();
    let write = |month: &str, rows: i64| {
        let schema = parse_message_type(
            "message m { required int64 time (TIMESTAMP(MILLIS, true)); required double v; }",
        );
        let mut bytes = Vec::new();
        let properties = Arc::new(WriterProperties::builder().build());
        let mut writer =
            SerializedFileWriter::new(&mut bytes, Arc::new(schema.unwrap()), properties).unwrap();
        let mut group = writer.next_row_group().unwrap();
        let begin = tick(&format!("{month}-01")).unix_ticks() / 10_000 + 300_000;
        let times: Vec<i64> = (0..rows).map(|row| begin + row * 600_000).collect();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int64Type>().write_batch(&times, None, None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let values: Vec<f64> = (0..rows).map(|row| row as f64).collect();
        column.typed::<DoubleType>().write_batch(&values, None, None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
        writer.close().unwrap();
        fs::write(folder.path().join(format!("{month}.parquet")), bytes).unwrap();
    };
    write("2020-01", 31 * 144);
    write("2020-02", 1000);
    let source = open(folder.path(), "{yyyy}-{MM}.parquet");
    laws_of_sources(&source);
    let series = source.series().unwrap();
    assert_eq!((series[0].period.to_string(), series[0].phase_ticks), ("10_min".to_owned(), 5 * MINUTE));
    // A slot has the sample that starts in it.
    let samples = read(&source, "v", range("2020-01-31T23:50", "2020-02-01T00:10")).unwrap();
    assert_eq!(values(&samples), [Some(4463.0), Some(0.0)]);
}

/// Hours in JSON lines, of which one is compressed, and keys come up late.
#[test]
fn json_lines_with_dates() {
    let folder = tempfile::tempdir().unwrap();
    let hour = |hour: i64, rows: i64| {
        let begin = tick("2020-01-01").ticks() + hour * 60 * MINUTE;
        let mut text = String::new();
        for row in 0..rows {
            let start = Tick::new(begin + row * MINUTE).unwrap();
            let late = if row > 9 { format!(",\"late\":{row}.5") } else { String::new() };
            writeln!(text, "{{\"time\":\"{start}\",\"n\":{}{late}}}", hour * 60 + row).unwrap();
        }
        text
    };
    put(folder.path(), "20200101/00.jsonl", &hour(0, 60));
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, hour(1, 60).as_bytes()).unwrap();
    fs::write(folder.path().join("20200101/01.jsonl.gz"), packed.finish().unwrap()).unwrap();
    let source = open(folder.path(), "{yyyy}{MM}{dd}/{HH}.jsonl*");
    laws_of_sources(&source);
    let known: Vec<_> =
        source.series().unwrap().iter().map(|one| (one.resource.clone(), one.data_type)).collect();
    assert_eq!(known, [(id("late"), DataType::Float64), (id("n"), DataType::Int64)]);
    let samples = read(&source, "n", range("2020-01-01T00:59", "2020-01-01T01:01")).unwrap();
    assert_eq!(values(&samples), [Some(59.0), Some(60.0)]);
    let samples = read(&source, "late", range("2020-01-01T01:09", "2020-01-01T01:11")).unwrap();
    assert_eq!(values(&samples), [None, Some(10.5)]);
    let last = range("2020-01-01T02:00", "2020-01-01T03:00");
    a_change_is_seen(&source, &series(&source, "n"), last, || {
        put(folder.path(), "20200101/02.jsonl", &hour(2, 60));
    });
    // A row that lies in another hour than its file says.
    put(folder.path(), "20200101/03.jsonl", &hour(4, 60));
    source.refresh().unwrap();
    let error = refused(&source, "n", range("2020-01-01T03:00", "2020-01-01T04:00"));
    assert!(
        error.contains("`20200101/03.jsonl`, line 1: the row at 2020-01-01T04:00:00Z lies outside of"),
        "{error}"
    );
}

/// Days in Arrow: a file whose buffers are compressed, as Feather is, and a stream.
#[test]
fn arrow_files_with_dates() {
    let folder = tempfile::tempdir().unwrap();
    let rows = |date: &str, rows: i64| {
        let begin = tick(date).unix_ticks() / Tick::PER_SECOND;
        let times = TimestampSecondArray::from_iter_values((0..rows).map(|row| begin + row * 600));
        let columns: [(&str, ArrayRef); 3] = [
            ("time", Arc::new(times.with_timezone("UTC"))),
            (
                "T1 (°C)",
                Arc::new(Float64Array::from_iter(
                    (0..rows).map(|row| (row % 7 != 3).then_some(row as f64 / 8.0)),
                )),
            ),
            ("n", Arc::new(Int32Array::from_iter_values(0..rows as i32))),
        ];
        RecordBatch::try_from_iter(columns).unwrap()
    };
    let write_file = |date: &str, rows: &RecordBatch| {
        let options =
            IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME)).unwrap();
        let file = fs::File::create(folder.path().join(format!("{date}.feather"))).unwrap();
        let mut writer = FileWriter::try_new_with_options(file, &rows.schema(), options).unwrap();
        writer.write(rows).unwrap();
        writer.finish().unwrap();
    };
    write_file("2020-01-01", &rows("2020-01-01", 144));
    let stream = fs::File::create(folder.path().join("2020-01-02.arrows")).unwrap();
    let second = rows("2020-01-02", 144);
    let mut writer = StreamWriter::try_new(stream, &second.schema()).unwrap();
    writer.write(&second.slice(0, 100)).unwrap();
    writer.write(&second.slice(100, 44)).unwrap();
    writer.finish().unwrap();
    let source = open(folder.path(), "{yyyy}-{MM}-{dd}.*");
    laws_of_sources(&source);
    let series_t1 = series(&source, "T1");
    assert_eq!((series_t1.unit(), series_t1.range), (Some("°C"), Some(range("2020-01-01", "2020-01-03"))));
    let samples = read(&source, "T1", range("2020-01-01T23:50", "2020-01-02T00:40")).unwrap();
    assert_eq!(values(&samples), [None, Some(0.0), Some(0.125), Some(0.25), None]);
    let samples = read(&source, "n", range("2020-01-02T16:30", "2020-01-02T16:50")).unwrap();
    assert_eq!(values(&samples), [Some(99.0), Some(100.0)]);
    a_change_is_seen(&source, &series_t1, range("2020-01-01", "2020-01-02"), || {
        write_file("2020-01-01", &rows("2020-01-01", 100));
    });
}

#[test]
fn rows_outside_of_what_a_name_says() {
    let folder = three_days();
    // The midnight at the end of the day, and not the one at its begin.
    for date in ["2020-01-30", "2020-01-31", "2020-02-01"] {
        let path = format!("{}/{}/mast_{date}.csv", &date[..4], &date[5..7]);
        put(folder.path(), &path, &day(date, 10, 1..145));
    }
    let source = open(folder.path(), DAYS);
    let midnight = range("2020-01-31", "2020-01-31T00:10");
    assert_eq!(
        refused(&source, "T1", midnight),
        format!(
            "{}: `2020/01/mast_2020-01-30.csv`, line 145: the row at 2020-01-31T00:00:00Z lies outside of \
             [2020-01-30T00:00:00Z, 2020-01-31T00:00:00Z), which is what the name of the file says; set `margin` to how \
             far rows may lie outside",
            source.name()
        )
    );
    let margin = Some("10_min".parse().unwrap());
    let source = FolderSource::open(FolderConfig { margin, ..config(folder.path(), DAYS) }).unwrap();
    laws_of_sources(&source);
    let samples = read(&source, "T1", midnight).unwrap();
    assert_eq!(values(&samples), [Some(144.5)]);
}

#[test]
fn files_that_do_not_agree() {
    let whole = range("2020-01-30", "2020-02-02");
    let folder = three_days();
    put(folder.path(), "2020/01/mast_2020-01-31.csv", &day("2020-01-31", 30, 0..48));
    let source = open(folder.path(), DAYS);
    let error = refused(&source, "T1", whole);
    assert!(
        error.ends_with("`T1` has a row every 10_min in `2020/01/mast_2020-01-30.csv`, but every 30_min in `2020/01/mast_2020-01-31.csv`"),
        "{error}"
    );
    // In the files that are looked at first, it is no series at all.
    put(folder.path(), "2020/02/mast_2020-02-01.csv", &day("2020-02-01", 30, 0..48));
    let source = open(folder.path(), DAYS);
    assert_eq!(source.series().unwrap(), []);
    assert_eq!(source.refused().unwrap().len(), 2);
    assert!(refused(&source, "T1", whole).contains("but every 30_min in `2020/02/mast_2020-02-01.csv`"));

    let folder = three_days();
    put(
        folder.path(),
        "2020/01/mast_2020-01-31.csv",
        "time,T1,n\n2020-01-31 00:00,1.5,1\n2020-01-31 00:10,2.5,2.25\n",
    );
    let source = open(folder.path(), DAYS);
    let error = refused(&source, "n", whole);
    assert!(
        error.ends_with(
            "`2020/01/mast_2020-01-31.csv`, line 3: 2.25 of `n` can't be exactly of type INT64; say with `data_types` \
             that it is FLOAT64"
        ),
        "{error}"
    );
    let data_types = [(id("n"), DataType::Float64)].into();
    let source = FolderSource::open(FolderConfig { data_types, ..config(folder.path(), DAYS) }).unwrap();
    let samples = read(&source, "n", range("2020-01-31T00:10", "2020-01-31T00:20")).unwrap();
    assert_eq!(values(&samples), [Some(2.25)]);

    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "a.csv", &day("2020-01-01", 10, 0..20));
    put(folder.path(), "b.csv", &day("2020-01-01", 10, 19..40));
    let source = open(folder.path(), "*.csv");
    let error = refused(&source, "T1", range("2020-01-01", "2020-01-02"));
    assert!(
        error.ends_with("`b.csv`, line 2: `T1` has a second value for the slot of 2020-01-01T03:10:00Z; the first one is in `a.csv`"),
        "{error}"
    );
    put(folder.path(), "b.csv", "time,T1\n2020-01-02 00:00,1\n2020-01-02 00:07,2\n2020-01-02 00:31,3\n");
    let source = open(folder.path(), "*.csv");
    let error = refused(&source, "T1", range("2020-01-01", "2020-01-02"));
    assert!(
        error.ends_with(
            "`b.csv`: the rows of `T1` lie at no period, so it can't be read in place; ingest it instead"
        ),
        "{error}"
    );
}

#[test]
fn one_row_in_each_file() {
    let folder = tempfile::tempdir().unwrap();
    for day in 1..=20 {
        put(folder.path(), &format!("2020-01-{day:02}.csv"), &format!("date,kwh\n2020-01-{day:02},{day}\n"));
    }
    let source = open(folder.path(), "{yyyy}-{MM}-{dd}.csv");
    laws_of_sources(&source);
    let samples = read(&source, "kwh", range("2020-01-09", "2020-01-12")).unwrap();
    assert_eq!(
        (values(&samples), samples.period().to_string()),
        (vec![Some(9.0), Some(10.0), Some(11.0)], "1_d".to_owned())
    );
    // A single row has no period.
    put(folder.path(), "one/2020-01-01.csv", "date,kwh\n2020-01-01,1\n");
    let source = open(folder.path(), "one/{yyyy}-{MM}-{dd}.csv");
    assert_eq!(source.series().unwrap(), []);
    assert!(refused(&source, "kwh", range("2020-01-01", "2020-01-02")).contains("too few rows of `kwh`"));
}

#[test]
fn long_tables_in_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    for hour in 0..3 {
        let mut text = "time;sensor;value\n".to_owned();
        for row in 0..60 {
            writeln!(
                text,
                "2020-01-01 {hour:02}:{row:02};a;{row}\n2020-01-01 {hour:02}:{row:02};b b;{}",
                -row
            )
            .unwrap();
        }
        put(folder.path(), &format!("20200101T{hour:02}.csv"), &text);
    }
    let source = open(folder.path(), "{yyyy}{MM}{dd}T{HH}.csv");
    laws_of_sources(&source);
    let samples = read(&source, "b_b", range("2020-01-01T01:59", "2020-01-01T02:02")).unwrap();
    assert_eq!(values(&samples), [Some(-59.0), Some(0.0), Some(-1.0)]);
}

#[test]
fn names_are_in_the_zone_of_the_rows() {
    let folder = tempfile::tempdir().unwrap();
    for day in 1..=2 {
        let mut text = "time,v\n".to_owned();
        for hour in 0..24 {
            writeln!(text, "2020-07-{day:02} {hour:02}:00,{}", day * 100 + hour).unwrap();
        }
        put(folder.path(), &format!("202007{day:02}.csv"), &text);
    }
    let mut config = config(folder.path(), "{yyyy}{MM}{dd}.csv");
    config.table.csv.time_zone = Some("Europe/Berlin".to_owned());
    let source = FolderSource::open(config).unwrap();
    laws_of_sources(&source);
    let samples = read(&source, "v", range("2020-06-30T21:00", "2020-06-30T23:00")).unwrap();
    assert_eq!(values(&samples), [None, Some(100.0)]);
}

#[test]
fn folders_that_are_none() {
    let wrong = |config: FolderConfig| FolderSource::open(config).unwrap_err().to_string();
    let error = wrong(config(Path::new("/there/is/no/folder"), "*.csv"));
    assert!(
        error.starts_with("/there/is/no/folder/*.csv: there is no such folder, or it may not be read: "),
        "{error}"
    );
    let folder = tempfile::tempdir().unwrap();
    assert!(
        wrong(config(folder.path(), "../*.csv"))
            .contains("template `../*.csv`: \"..\" can't be a part of it")
    );
    let data_types = [(id("n"), DataType::Int8)].into();
    let error = wrong(FolderConfig { data_types, ..config(folder.path(), "*.csv") });
    assert!(error.contains("setting `data_types`: `n` can be INT64 or FLOAT64"), "{error}");
    let empty = open(folder.path(), "*.csv");
    let error = empty.series().unwrap_err().to_string();
    assert_eq!(error, format!("{}: no file fits the template", empty.name()));
    put(folder.path(), "2020-13.csv", "");
    assert!(wrong(config(folder.path(), "{yyyy}-{MM}.csv")).contains("`2020-13.csv` fits the template, but"));
    put(folder.path(), "a.csv", &day("2020-01-01", 10, 0..10));
    put(folder.path(), "2020-13.csv", &day("2020-01-02", 10, 0..10));
    let source = open(folder.path(), "*.csv");
    fs::remove_dir_all(folder.path()).unwrap();
    assert!(source.refresh().unwrap_err().to_string().contains("is no folder"));
    let error = refused(&source, "T1", range("2020-01-01", "2020-01-02"));
    assert!(error.contains("has changed since the folder was listed"), "{error}");
}

#[cfg(unix)]
#[test]
fn links_do_not_lead_out() {
    use std::os::unix::fs::symlink;

    let outside = tempfile::tempdir().unwrap();
    put(outside.path(), "a.csv", &day("2020-01-01", 10, 0..10));
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "data/b.csv", &day("2020-01-02", 10, 0..10));
    symlink(folder.path().join("data"), folder.path().join("here")).unwrap();
    assert_eq!(open(folder.path(), "here/*.csv").series().unwrap().len(), 2);
    // Below `**` a folder is entered once, not by its links, too.
    symlink(folder.path(), folder.path().join("data/around")).unwrap();
    laws_of_sources(&open(folder.path(), "**/*.csv"));
    symlink(outside.path(), folder.path().join("there")).unwrap();
    symlink(outside.path().join("a.csv"), folder.path().join("data/c.csv")).unwrap();
    for (template, link) in [("there/*.csv", "there"), ("*/b.csv", "there"), ("data/*.csv", "data/c.csv")] {
        let error = FolderSource::open(config(folder.path(), template)).unwrap_err().to_string();
        assert!(error.contains(&format!("`{link}` is a link that leads out of the folder")), "{error}");
    }
}

#[test]
fn settings_are_stored_as_json() {
    let text = json!({
        "kind": "folder",
        "root": "/data/mast",
        "template": "{yyyy}/*.csv",
        "table": {
            "format": "csv",
            "csv": {
                "delimiter": ";", "decimal": ",", "header": {"line": 3}, "comments": {"prefix": "%"}, "layout": "long",
                "time_column": "t", "series_column": 2, "time_format": "%d.%m.%Y", "time_zone": "Europe/Berlin",
                "period": "1_s", "on_error": "skip"
            }
        },
        "margin": "10_min",
        "data_types": {"n": "FLOAT64"}
    });
    let config: SourceConfig = serde_json::from_value(text.clone()).unwrap();
    let stored = serde_json::to_value(&config).unwrap();
    assert_eq!(serde_json::from_value::<SourceConfig>(stored.clone()).unwrap(), config);
    for (key, value) in text["table"]["csv"].as_object().unwrap() {
        assert_eq!(stored["table"]["csv"][key], *value, "{key}");
    }
    let small = json!({"kind": "folder", "root": "/there/is/no/folder", "template": "*.csv"});
    let config: SourceConfig = serde_json::from_value(small).unwrap();
    assert!(config.open().unwrap_err().to_string().contains("there is no such folder"));
    for wrong in [
        json!({"kind": "tape", "root": "/", "template": "*.csv"}),
        json!({"kind": "folder", "root": "/", "template": "*.csv", "tempalte": 1}),
        json!({"kind": "folder", "root": "/", "template": "*.csv", "table": {"csv": {"delimeter": ";"}}}),
    ] {
        assert!(serde_json::from_value::<SourceConfig>(wrong).is_err());
    }
    let folder = three_days();
    let config = SourceConfig::Folder(self::config(folder.path(), DAYS));
    laws_of_sources(&*config.open().unwrap());
}
