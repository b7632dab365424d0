//! Wall times become points in time.

use sheaf_sources::TimeFormat;

use crate::integration::common::{options, read, read_with, refused};

fn berlin(text: &str) -> Result<Vec<String>, String> {
    let table = read_with(text, options(|o| o.time_zone = Some("Europe/Berlin".to_owned())));
    table.map(|table| table.times()).map_err(|error| error.to_string())
}

#[test]
fn hours_that_occur_twice_are_told_by_the_order_of_rows() {
    let text = "time,a\n2020-10-25 01:30,1\n2020-10-25 02:00,2\n2020-10-25 02:30,3\n2020-10-25 02:00,4\n\
                2020-10-25 02:30,5\n2020-10-25 03:00,6\n";
    let zone = |o: &mut sheaf_sources::CsvOptions| o.time_zone = Some("Europe/Berlin".to_owned());
    let table = read_with(text, options(zone)).unwrap();
    let expected = [
        "2020-10-24T23:30:00Z",
        "2020-10-25T00:00:00Z",
        "2020-10-25T00:30:00Z",
        "2020-10-25T01:00:00Z",
        "2020-10-25T01:30:00Z",
        "2020-10-25T02:00:00Z",
    ];
    assert_eq!(table.times(), expected);
    assert_eq!(table.reader.report().folds, 4);
    assert_eq!(table.reader.report().detected.time_zone, "Europe/Berlin");

    // Hourly: the same wall time in two rows.
    let text = "time,a\n2020-10-25 01:00,1\n2020-10-25 02:00,2\n2020-10-25 02:00,3\n2020-10-25 03:00,4\n";
    let hours =
        ["2020-10-24T23:00:00Z", "2020-10-25T00:00:00Z", "2020-10-25T01:00:00Z", "2020-10-25T02:00:00Z"];
    assert_eq!(berlin(text).unwrap(), hours);

    // The newest first.
    let text = "time,a\n2020-10-25 03:30,1\n2020-10-25 03:00,1\n2020-10-25 02:30,2\n2020-10-25 02:00,3\n\
                2020-10-25 02:30,4\n2020-10-25 02:00,5\n2020-10-25 01:30,6\n";
    let mut descending = expected.to_vec();
    descending.push("2020-10-25T02:30:00Z");
    descending.reverse();
    assert_eq!(berlin(text).unwrap(), descending);
}

#[test]
fn each_series_of_a_long_table_has_its_own_order() {
    let text = "series,time,value\na,2020-10-25 02:00,1\nb,2020-10-25 02:00,2\na,2020-10-25 02:00,3\n\
                b,2020-10-25 02:00,4\n";
    assert_eq!(
        berlin(text).unwrap(),
        ["2020-10-25T00:00:00Z", "2020-10-25T00:00:00Z", "2020-10-25T01:00:00Z", "2020-10-25T01:00:00Z"]
    );
}

#[test]
fn hours_that_do_not_exist_are_refused() {
    let text = "time,a\n2020-03-29 01:30,1\n2020-03-29 02:30,2\n2020-03-29 03:00,3\n";
    assert_eq!(
        berlin(text).unwrap_err(),
        "test.csv, line 3, column 1 (`time`): `2020-03-29 02:30` does not exist in Europe/Berlin: the clocks were set \
         forward over it"
    );
    // An offset says it all.
    assert_eq!(berlin("time,a\n2020-03-29 02:30+01:00,1\n").unwrap(), ["2020-03-29T01:30:00Z"]);
}

#[test]
fn fixed_offsets() {
    let table =
        read_with("time,a\n2020-01-01 00:00,1\n", options(|o| o.time_zone = Some("+05:30".to_owned())));
    assert_eq!(table.unwrap().times(), ["2019-12-31T18:30:00Z"]);
    let error = refused("time,a\n2020-01-01,1\n", options(|o| o.time_zone = Some("Berlin".to_owned())));
    assert!(error.starts_with("option `time_zone`: unknown time zone `Berlin`"), "{error}");
}

#[test]
fn times_before_1970_and_at_the_ends_of_time() {
    let table = read("time,a\n0001-01-01,1\n1969-12-31T23:59:59.9999999Z,2\n9999-12-31T23:59:59Z,3\n");
    assert_eq!(
        table.times(),
        ["0001-01-01T00:00:00Z", "1969-12-31T23:59:59.9999999Z", "9999-12-31T23:59:59Z"]
    );
}

#[test]
fn formats_that_are_named() {
    let with = |text: &str, format: &str| {
        let format: TimeFormat = format.parse().unwrap();
        read_with(text, options(|o| o.time_format = format))
            .map(|table| table.times())
            .map_err(|e| e.to_string())
    };
    assert_eq!(with("when,a\n3/2/2020 10:00,1\n", "%m/%d/%Y %H:%M").unwrap(), ["2020-03-02T10:00:00Z"]);
    assert_eq!(with("when,a\n3/2/2020 10:00,1\n", "%d/%m/%Y %H:%M").unwrap(), ["2020-02-03T10:00:00Z"]);
    assert_eq!(with("time,a\n36000,1\n", "unix_s").unwrap(), ["1970-01-01T10:00:00Z"]);
    assert_eq!(with("time,a\n36000.25,1\n", "excel").unwrap(), ["1998-07-24T06:00:00Z"]);
    let error = with("time,a\n3/2/2020 10:00,1\n31.2.2020 10:00,1\n", "%m/%d/%Y %H:%M").unwrap_err();
    assert!(
        error.starts_with("test.csv, line 3, column 1 (`time`): `31.2.2020 10:00` does not fit the format"),
        "{error}"
    );
    let error = with("time,a\n1,1\n", "%H:%M").unwrap_err();
    assert!(error.starts_with("option `time_format`: `%H:%M` can't be used: "), "{error}");
}

#[test]
fn rows_that_are_counted() {
    let with = |begin: bool| {
        options(|o| {
            o.time_format = TimeFormat::Index;
            o.begin = begin.then(|| "2020-01-01".parse().unwrap());
            o.period = Some("10_min".parse().unwrap());
        })
    };
    let table = read_with("n,a\n0,1\n1,2\n5,3\n", with(true)).unwrap();
    assert_eq!(table.times(), ["2020-01-01T00:00:00Z", "2020-01-01T00:10:00Z", "2020-01-01T00:50:00Z"]);
    let error = refused("n,a\n0,1\n", with(false));
    assert_eq!(error, "test.csv: the times are row counts, so option `begin` is needed");
}

#[test]
fn day_and_month_are_asked_for() {
    let error = refused("time;a\n13.02.2020 10:00;1\n", options(|_| ()));
    assert_eq!(
        error,
        "test.csv, line 2: column 1 (`time`) has `13.02.2020 10:00`: is the day first, or the month? Say so with option \
         `time_format`: `%d.%m.%Y %H:%M` or `%m.%d.%Y %H:%M`"
    );
}
