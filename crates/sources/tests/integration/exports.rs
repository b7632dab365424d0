//! Exports, compared with what Nexus writes, and read in again.

use serde_json::{Value, json};
use sheaf_model::{DataType, Properties, SamplePeriod, Tick, TimeRange, Values};
use sheaf_sources::{
    CatalogFormat, ExportCatalog, ExportColumn, ExportFile, ExportFormat, WriteValues, export_files,
    writer_descriptions,
};

use crate::integration::common::read;

fn properties(value: Value) -> Properties {
    serde_json::from_value(value).unwrap()
}

fn catalog() -> ExportCatalog {
    let column = |title: &str, value| ExportColumn {
        title: title.to_owned(),
        resource: title.split('_').next().unwrap().parse().unwrap(),
        properties: properties(value),
        data_type: DataType::Float64,
    };
    ExportCatalog {
        id: "/A/B/C".parse().unwrap(),
        properties: properties(json!({"readme": "# Größe"})),
        columns: vec![
            column("resource1_1_s", json!({"unit": "°C", "groups": ["a"]})),
            column("resource2_10_s_mean(k=v)", json!({})),
        ],
    }
}

fn whole(begin: &str, end: &str) -> ExportFile {
    let range = TimeRange::new(begin.parse().unwrap(), end.parse().unwrap()).unwrap();
    export_files(range, None).next().unwrap()
}

fn write(format: CatalogFormat, file: &ExportFile, period: SamplePeriod, columns: &[Vec<f64>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = format.open(&mut bytes, &catalog(), file, period).unwrap();
    let rows = columns[0].len();
    let starts: Vec<i64> =
        (0..rows as i64).map(|row| file.range.begin().ticks() + row * period.ticks()).collect();
    // In blocks, as they come.
    for begin in (0..rows).step_by(700) {
        let part = begin..rows.min(begin + 700);
        let values: Vec<Values> = columns.iter().map(|column| column[part.clone()].to_vec().into()).collect();
        let values: Vec<_> = values.iter().map(|values| WriteValues { values, validity: None }).collect();
        writer.write(&starts[part], &values).unwrap();
    }
    writer.finish().unwrap();
    bytes
}

fn csv(options: Value) -> CatalogFormat {
    match ExportFormat::new("Nexus.Writers.Csv", &options).unwrap() {
        ExportFormat::PerCatalog(csv) => csv,
        other => panic!("{other:?}"),
    }
}

#[test]
fn csv_is_that_of_nexus_byte_for_byte() {
    let period: SamplePeriod = "1_s".parse().unwrap();
    let file = whole("2020-01-01", "2020-01-01T00:33:20");
    let mut columns = vec![vec![0.5; 2000], vec![-1.5; 2000]];
    columns[0][0] = 2486.6859;
    columns[1][0] = -0.755_795_78;
    columns[0][1] = f64::NAN;
    columns[1][1] = f64::NEG_INFINITY;
    columns[0][2] = 12_345_678.0;
    columns[1][2] = 0.000_012_345_678;
    for (format, title, last) in [
        ("index", "Index", "1999"),
        ("unix", "Unix time", "1577838799.00000"),
        ("excel", "Excel time", "43831.023136574"),
        ("iso-8601", "ISO 8601 time", "2020-01-01T00:33:19.0000000Z"),
    ] {
        let options = json!({"row-index-format": format, "significant-figures": "7"});
        let text = String::from_utf8(write(csv(options), &file, period, &columns)).unwrap();
        let lines: Vec<&str> = text.split("\r\n").collect();
        assert!(!text.replace("\r\n", "").contains(['\r', '\n']), "all lines end alike");
        assert_eq!(lines.len(), 2004 + 1, "and so does the last one");
        assert_eq!(
            lines[..4],
            [
                "\u{feff}# date_time: 2020-01-01T00-00-00Z",
                "# sample_period: 1_s",
                "# catalog_id: /A/B/C",
                &format!("{title},resource1_1_s (°C),resource2_10_s_mean(k=v)"),
            ]
        );
        if format == "index" {
            assert_eq!(
                lines[4..7],
                ["0,2486.686,-0.7557958", "1,NaN,-Infinity", "2,1.234568E+07,1.234568E-05"]
            );
        }
        assert_eq!(lines[2003], format!("{last},0.5,-1.5"));
    }
    let four = String::from_utf8(write(csv(Value::Null), &file, period, &columns)).unwrap();
    assert_eq!(four.split("\r\n").nth(4), Some("0,2487,-0.7558"));
    let all = write(csv(json!({"significant-figures": 0})), &file, period, &columns);
    assert_eq!(String::from_utf8(all).unwrap().split("\r\n").nth(6), Some("2,12345678,1.2345678E-05"));
}

#[test]
fn rows_count_from_the_begin_of_the_file() {
    let period: SamplePeriod = "10_min".parse().unwrap();
    let range =
        TimeRange::new("2020-01-01T01:10".parse().unwrap(), "2020-01-01T02:20".parse().unwrap()).unwrap();
    let files: Vec<_> = export_files(range, Some("1_h".parse().unwrap())).collect();
    assert_eq!(files.len(), 2);
    let format = csv(Value::Null);
    let names: Vec<_> = files.iter().map(|file| format.file_name(&catalog().id, file, period)).collect();
    assert_eq!(names, ["A_B_C_2020-01-01T01-00-00Z_10_min.csv", "A_B_C_2020-01-01T02-00-00Z_10_min.csv"]);
    let text = String::from_utf8(write(format, &files[0], period, &[vec![1.0; 5], vec![2.0; 5]])).unwrap();
    assert_eq!(text.split("\r\n").nth(4), Some("1,1,2"));
}

#[test]
fn times_long_ago() {
    let period: SamplePeriod = "6_h".parse().unwrap();
    let file = whole("1899-12-28T18:00", "1899-12-30T06:00");
    let columns = [vec![1.0; 6], vec![1.0; 6]];
    let cells = |format: &str| -> Vec<String> {
        let options = json!({"row-index-format": format});
        let text = String::from_utf8(write(csv(options), &file, period, &columns)).unwrap();
        text.split("\r\n").skip(4).filter_map(|line| Some(line.split_once(',')?.0.to_owned())).collect()
    };
    assert_eq!(
        cells("excel"),
        ["-2.750000000", "-1.000000000", "-1.250000000", "-1.500000000", "-1.750000000", "0.000000000"]
    );
    assert_eq!(cells("unix")[5], "-2209161600.00000");
}

#[test]
fn the_sidecar_describes_the_files() {
    let format = csv(json!({"row-index-format": "unix"}));
    let files = ["a.csv".to_owned(), "b.csv".to_owned()];
    let (name, text) = format.sidecar(&catalog(), &files, "10_min".parse().unwrap()).unwrap();
    assert_eq!(name, "A_B_C_10_min.resource.json");
    assert!(text.contains("°C") && text.starts_with("{\n  \"encoding\": \"utf-8-sig\",\n"), "{text}");
    let number = |name: &str, properties: Option<Value>| {
        let mut field = json!({"name": name, "type": "number", "constraints": {"required": true}});
        if let Some(properties) = properties {
            field["properties"] = properties;
        }
        field
    };
    assert_eq!(
        serde_json::from_str::<Value>(&text).unwrap(),
        json!({
            "encoding": "utf-8-sig", "format": "csv", "hashing": "md5", "name": "a_b_c_10_min",
            "profile": "tabular-data-resource", "scheme": "multipart", "path": ["a.csv", "b.csv"],
            "layout": {"headerRows": [4]},
            "schema": {
                "primaryKey": "Unix time",
                "fields": [
                    number("Unix time", None),
                    number("resource1_1_s (°C)", Some(json!({"unit": "°C", "groups": ["a"]}))),
                    number("resource2_10_s_mean(k=v)", None),
                ],
                "properties": {"readme": "# Größe"},
            },
        })
    );
    assert!(CatalogFormat::Parquet.sidecar(&catalog(), &files, "10_min".parse().unwrap()).is_none());
}

/// What is exported as text is read in again, with all its digits if they were asked for.
#[test]
fn csv_is_read_in_again() {
    let period: SamplePeriod = "10_s".parse().unwrap();
    let file = whole("2020-01-01", "2020-01-01T01:00");
    let columns: Vec<Vec<f64>> =
        [1.0, 3.0].map(|by| (0..360).map(|row| f64::from(row) / by - 7.0).collect()).into();
    for format in ["index", "unix", "excel", "iso-8601"] {
        let options = json!({"row-index-format": format, "significant-figures": 0});
        let table = read(String::from_utf8(write(csv(options), &file, period, &columns)).unwrap());
        assert_eq!((table.column(0), table.column(1)), (columns[0].clone(), columns[1].clone()), "{format}");
        let last = file.range.end().checked_add(-period.ticks()).map(|last: Tick| last.to_string());
        assert_eq!(table.times().last(), last.as_ref(), "{format}");
        assert_eq!(table.reader.metadata().catalog, Some("/A/B/C".parse().unwrap()));
    }
}

#[test]
fn every_writer_writes() {
    let file = whole("2020-01-01", "2020-01-01T00:01");
    for writer in writer_descriptions() {
        // HDF5 is of all catalogs together, and has tests of its own.
        let ExportFormat::PerCatalog(format) = ExportFormat::new(writer.kind, &Value::Null).unwrap() else {
            continue;
        };
        let bytes = write(format, &file, "1_s".parse().unwrap(), &[vec![1.0; 60], vec![f64::NAN; 60]]);
        assert!(bytes.len() > 500, "{}", writer.kind);
    }
}
