//! Tables of all shapes are read as they are meant.

use std::io::Write;

use sheaf_sources::{ColumnRef, ColumnValues, Compression, CsvReader, Decimal, Input, Layout, Rows};

use crate::integration::common::{ints, options, read, read_with, refused};

#[test]
fn a_wide_table() {
    let table =
        read("time,T1 (°C),n [1/s],state\n2020-01-01T00:00:00Z,1.5,3,\n2020-01-01T00:10:00Z,NaN,4,7\n");
    assert_eq!(table.names(), ["T1", "n", "state"]);
    let units: Vec<_> = table.reader.columns().iter().map(|column| column.unit.as_deref()).collect();
    assert_eq!(units, [Some("°C"), Some("1/s"), None]);
    assert_eq!(table.times(), ["2020-01-01T00:00:00Z", "2020-01-01T00:10:00Z"]);
    assert_eq!(table.lines(), [2, 3]);
    let columns = table.wide();
    assert!(matches!(&columns[0], ColumnValues::Floats(values) if values[0] == 1.5 && values[1].is_nan()));
    assert_eq!(columns[1], ints(&[3, 4]));
    assert_eq!(columns[2], ColumnValues::Ints { values: vec![0, 7], validity: Some(vec![0b10]) });
    let seen = table.reader.columns()[2].seen;
    assert_eq!((seen.integers, seen.missing, seen.fractions), (1, 1, 0));
}

#[test]
fn a_long_table_in_any_order_of_columns() {
    let table = read(
        "value;meter_id;unit;time\n1,5;1001;kWh;2020-01-01\n2;1002;m³;2020-01-01\n-;1001;kWh;2020-01-02\n",
    );
    assert_eq!(table.reader.report().detected.layout, Layout::Long);
    assert_eq!(table.names(), ["1001", "1002"]);
    assert_eq!(table.reader.columns()[1].unit.as_deref(), Some("m³"));
    let rows = table.long();
    assert_eq!(rows[0], ("1001".to_owned(), "2020-01-01T00:00:00Z".to_owned(), 1.5));
    assert_eq!(rows[1], ("1002".to_owned(), "2020-01-01T00:00:00Z".to_owned(), 2.0));
    assert!(rows[2].2.is_nan());
    // The type of each series is known, although they share a batch.
    let seen: Vec<_> = table.reader.columns().iter().map(|column| column.seen.fractions).collect();
    assert_eq!(seen, [1, 0]);
}

#[test]
fn series_of_a_long_table_appear_while_it_is_read() {
    let mut text = "series,time,value\n".to_owned();
    for row in 0..200_000 {
        text.push_str(&format!("s{},{},{row}\n", row / 10, 1_577_836_800 + row));
    }
    let table = read(text);
    assert!(table.batches.len() > 1);
    let names: Vec<String> = (0..20_000).map(|series| format!("s{series}")).collect();
    assert_eq!(table.names(), names);
    for (row, (name, _, value)) in table.long().into_iter().enumerate() {
        assert_eq!((name.as_str(), value), (names[row / 10].as_str(), row as f64));
    }
}

#[test]
fn columns_may_be_named() {
    let text = "a,when,b,c\nx,2020-01-01,1,2\n";
    let table =
        read_with(text, options(|o| o.value_columns = vec!["c".into(), ColumnRef::Number(3)])).unwrap();
    assert_eq!(table.names(), ["c", "b"]);
    assert_eq!(table.wide(), [ints(&[2]), ints(&[1])]);
    assert_eq!(table.reader.report().detected.ignored.len(), 1);
    let table = read_with(text, options(|o| o.ignored_columns = vec!["a".into()])).unwrap();
    assert_eq!(table.names(), ["b", "c"]);
    let table = read_with(
        text,
        options(|o| {
            o.series_column = Some("a".into());
            o.value_columns = vec!["b".into()];
        }),
    );
    assert_eq!(table.unwrap().long(), [("x".to_owned(), "2020-01-01T00:00:00Z".to_owned(), 1.0)]);
}

#[test]
fn missing_values_have_many_words() {
    for word in ["", " ", "NaN", "nan", "NA", "N/A", "null", "-", "--", "\"\"", "\"NA\""] {
        let table = read(format!("time,a,b\n2020-01-01,{word},1\n2020-01-02,5,{word}\n"));
        assert_eq!(
            table.wide()[0],
            ColumnValues::Ints { values: vec![0, 5], validity: Some(vec![0b10]) },
            "{word}"
        );
        assert_eq!(
            table.wide()[1],
            ColumnValues::Ints { values: vec![1, 0], validity: Some(vec![0b01]) },
            "{word}"
        );
    }
    // Others replace them, and may look like numbers.
    let missing =
        |o: &mut sheaf_sources::CsvOptions| o.missing = Some(vec!["-999".to_owned(), "x".to_owned()]);
    let table =
        read_with("time,a\n2020-01-01,-999\n2020-01-02,x\n2020-01-03,-9\n", options(missing)).unwrap();
    assert_eq!(table.wide()[0], ColumnValues::Ints { values: vec![0, 0, -9], validity: Some(vec![0b100]) });
    assert!(refused("time,a\n2020-01-01,1\n2020-01-01,NA\n", options(missing)).contains("`NA` is no number"));
    let table = read("time,a\n2020-01-01,inf\n2020-01-02,-Infinity\n");
    assert_eq!(table.column(0), [f64::INFINITY, f64::NEG_INFINITY]);
}

#[test]
fn a_value_missing_far_into_a_batch() {
    let mut text = "time,a\n".to_owned();
    for row in 0..300 {
        let value = if row == 200 || row == 64 { String::new() } else { row.to_string() };
        text.push_str(&format!("{},{value}\n", 1_577_836_800 + row));
    }
    let table = read(text);
    for (row, value) in table.column(0).into_iter().enumerate() {
        assert!(if row == 200 || row == 64 { value.is_nan() } else { value == row as f64 }, "{row}: {value}");
    }
}

#[test]
fn integers_stay_exact_until_there_is_a_fraction() {
    let wide = 9_007_199_254_740_993_i64;
    let table = read(format!("time,a,b\n2020-01-01,{wide},{wide}\n2020-01-02,,1\n2020-01-03,1,0.5\n"));
    assert_eq!(table.wide()[0], ColumnValues::Ints { values: vec![wide, 0, 1], validity: Some(vec![0b101]) });
    assert_eq!(table.wide()[1], ColumnValues::Floats(vec![9_007_199_254_740_992.0, 1.0, 0.5]));
    let seen = table.reader.columns()[1].seen;
    assert_eq!((seen.integers, seen.wide_integers, seen.fractions), (2, 1, 1));
}

#[test]
fn decimal_commas() {
    let table = read("time;a\n2020-01-01;1\n2020-01-02;1,5\n");
    assert_eq!(table.column(0), [1.0, 1.5]);
    assert_eq!(table.reader.report().detected.decimal, Some(','));
    let table = read("time,a\n2020-01-01,\"1,5\"\n2020-01-02,2\n");
    assert_eq!(table.column(0), [1.5, 2.0]);
    // Long after the lines that were looked at.
    let mut text = "time;a\n".to_owned();
    (0..300).for_each(|row| text.push_str(&format!("{};{row}\n", 1_577_836_800 + row)));
    let table = read(text.clone() + "1577840000;0,5\n");
    assert_eq!(table.column(0)[300], 0.5);
    assert_eq!(table.reader.report().detected.decimal, Some(','));
    let error = refused(text + "1577840000;0,5\n1577840001;0.5\n", options(|_| ()));
    assert!(
        error.starts_with("test.csv, line 303, column 2 (`a`): `0.5` is no number with a decimal comma"),
        "{error}"
    );
    let point = options(|o| o.decimal = Some(Decimal::Point));
    assert!(refused("time;a\n2020-01-01;1,5\n", point).contains("`1,5` is no number with a decimal point"));
}

#[test]
fn line_ends_quotes_and_blanks() {
    let text = "\"time\";\"a \"\"x\"\";\n (kW)\"\r\"2020-01-01\" ; 1 \r\n\n2020-01-02;\"2\"\n";
    let table = read(text);
    assert_eq!(table.reader.columns()[0].title, "a \"x\";\n (kW)");
    assert_eq!(table.reader.columns()[0].unit.as_deref(), Some("kW"));
    assert_eq!(table.lines(), [3, 5]);
    assert_eq!(table.wide(), [ints(&[1, 2])]);
}

#[test]
fn titles_in_latin_1() {
    let table = read(b"time,T1 (\xB0C)\n2020-01-01,1\n".to_vec());
    assert_eq!(table.reader.columns()[0].unit.as_deref(), Some("°C"));
    assert!(table.reader.report().detected.latin1);
    let table = read(b"series,time,value\nK\xFChlung,2020-01-01,1\n".to_vec());
    assert_eq!(table.names(), ["Kühlung"]);
    assert!(table.reader.report().detected.latin1);
}

#[test]
fn a_header_alone_is_an_empty_table() {
    let table = read("time,a\n");
    assert_eq!((table.names(), table.batches.len()), (vec!["a"], 0));
    assert_eq!(
        refused("", options(|_| ())),
        "test.csv: there is no table: no line that is neither blank nor a comment"
    );
    assert!(refused("\u{FEFF}\r\n# nothing\n", options(|_| ())).contains("there is no table"));
}

#[test]
fn thousands_of_columns() {
    let columns = 5000;
    let header: Vec<String> = (0..columns).map(|column| format!("c{column}")).collect();
    let mut text = format!("time,{}\n", header.join(","));
    for row in 0..1000 {
        let values: Vec<String> = (0..columns).map(|column| (row * column).to_string()).collect();
        text.push_str(&format!("{},{}\n", 1_577_836_800 + row, values.join(",")));
    }
    let table = read(text);
    assert!(table.batches.len() > 1);
    assert_eq!(table.column(4999)[999], 999.0 * 4999.0);
}

#[test]
fn compressed_files_and_second_passes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv.gz");
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(b"time,a\n2020-01-01,1\n").unwrap();
    std::fs::write(&path, encoder.finish().unwrap()).unwrap();
    let first = Input::file(&path);
    let second = first.again().unwrap();
    for input in [first, second] {
        let mut reader = CsvReader::open(input, options(|_| ())).unwrap();
        assert_eq!(reader.next_batch().unwrap().unwrap().rows, Rows::Wide(vec![ints(&[1])]));
        assert_eq!(reader.report().detected.compression, Some(Compression::Gzip));
        assert_eq!(reader.name(), path.display().to_string());
    }
}

#[test]
fn date_and_time_of_day_in_two_columns() {
    let table = read("date,time,a\n2020-01-01,10:00,1\n2020-01-01,10:10:30.5,2\n");
    assert_eq!(table.times(), ["2020-01-01T10:00:00Z", "2020-01-01T10:10:30.5000000Z"]);
    assert_eq!(table.names(), ["a"]);
    let custom = options(|o| o.time_format = "%d.%m.%Y %H:%M".parse().unwrap());
    let table = read_with("Datum;Uhrzeit;a\n01.02.2020;10:00;1,5\n", custom).unwrap();
    assert_eq!(table.times(), ["2020-02-01T10:00:00Z"]);
}

#[test]
fn no_titles() {
    let table = read("2020-01-01,1,2.5\n2020-01-02,2,\n");
    assert_eq!(table.names(), ["column_2", "column_3"]);
    assert_eq!(table.reader.report().detected.header_line, None);
    assert_eq!(table.lines(), [1, 2]);
}
