//! What Nexus exports is read without options.

use sheaf_sources::{NexusTitle, TimeFormat};

use crate::integration::common::{options, read, refused};

/// A file as Nexus writes it, with these rows of index and value.
fn export(title: &str, period: &str, rows: &[(&str, &str)]) -> String {
    let mut text = format!(
        "\u{FEFF}# date_time: 2020-01-01T00-00-00Z\r\n# sample_period: {period}\r\n# catalog_id: /A/B/C\r\n\
         {title},resource1_1_s (°C),T_2_10_min_mean(k=v) (m/s)\r\n"
    );
    rows.iter().for_each(|(index, value)| text.push_str(&format!("{index},{value},NaN\r\n")));
    text
}

#[test]
fn all_four_row_indices() {
    let formats = [
        ("Index", TimeFormat::Index, ["0", "1", "1999"]),
        ("Unix time", TimeFormat::UnixS, ["1577836800.00000", "1577836801.00000", "1577838799.00000"]),
        ("Excel time", TimeFormat::Excel, ["43831.000000000", "43831.000011574", "43831.023136574"]),
        (
            "ISO 8601 time",
            TimeFormat::Iso,
            ["2020-01-01T00:00:00.0000000Z", "2020-01-01T00:00:01.0000000Z", "2020-01-01T00:33:19.0000000Z"],
        ),
    ];
    for (title, format, [first, second, last]) in formats {
        let text = export(title, "1_s", &[(first, "2486.686"), (second, "1.235E+04"), (last, "Infinity")]);
        let table = read(text);
        assert_eq!(
            table.times(),
            ["2020-01-01T00:00:00Z", "2020-01-01T00:00:01Z", "2020-01-01T00:33:19Z"],
            "{title}"
        );
        assert_eq!(table.column(0), [2486.686, 12350.0, f64::INFINITY]);
        assert_eq!(table.lines(), [5, 6, 7]);
        let detected = &table.reader.report().detected;
        assert_eq!((&detected.time_format, detected.nexus, detected.header_line), (&format, true, Some(4)));
        let metadata = table.reader.metadata();
        assert_eq!(metadata.begin, Some("2020-01-01".parse().unwrap()));
        assert_eq!(metadata.period, Some("1_s".parse().unwrap()));
        assert_eq!(metadata.catalog, Some("/A/B/C".parse().unwrap()));
        let [first, second] = table.reader.columns() else { panic!("two columns") };
        assert_eq!((first.title.as_str(), first.unit.as_deref()), ("resource1_1_s (°C)", Some("°C")));
        let nexus = |resource: &str, representation: &str, parameters: Option<&str>| {
            let representation = representation.parse().unwrap();
            Some(NexusTitle {
                resource: resource.to_owned(),
                representation,
                parameters: parameters.map(str::to_owned),
            })
        };
        assert_eq!(first.nexus, nexus("resource1", "1_s", None));
        assert_eq!(second.nexus, nexus("T_2", "10_min_mean", Some("(k=v)")));
        assert_eq!(second.unit.as_deref(), Some("m/s"));
    }
}

/// Every slot of a day is found again from the nine decimals of a day, and from five of a second.
#[test]
fn rounded_times_are_exact_slots() {
    for (period, ticks) in
        [("1_s", 10_000_000_i64), ("40_ms", 400_000), ("130_ms", 1_300_000), ("333_us", 3330)]
    {
        let count = (864_000_000_000 / ticks).min(20_000);
        let rows: Vec<(String, String)> = (0..count)
            .map(|row| {
                let days = 43_831.0 + (row * ticks) as f64 / 864e9;
                let seconds = 1_577_836_800.0 + (row * ticks) as f64 / 1e7;
                (format!("{days:.9}"), format!("{seconds:.5}"))
            })
            .collect();
        for title in ["Excel time", "Unix time"] {
            let of =
                |row: &'_ (String, String)| if title == "Excel time" { row.0.clone() } else { row.1.clone() };
            let rows: Vec<String> = rows.iter().map(of).collect();
            let rows: Vec<(&str, &str)> = rows.iter().map(|index| (index.as_str(), "1")).collect();
            let table = read(export(title, period, &rows));
            let begin = "2020-01-01".parse::<sheaf_model::Tick>().unwrap().ticks();
            for (row, &start) in table.batches.iter().flat_map(|batch| &batch.starts).enumerate() {
                assert_eq!(start, begin + row as i64 * ticks, "{title} {period} {row}");
            }
        }
    }
}

#[test]
fn times_that_are_too_coarse_are_refused() {
    let error = refused(export("Excel time", "10_us", &[("43831.000000000", "1")]), options(|_| ()));
    assert_eq!(
        error,
        "test.csv: times with 9 decimals can't tell slots of 10_us apart; export them as `index` or `iso-8601`"
    );
    assert_eq!(
        read(export("Unix time", "10_us", &[("1577836800.00001", "1")])).times(),
        ["2020-01-01T00:00:00.0000100Z"]
    );
    assert!(
        refused(export("Unix time", "1_us", &[("1577836800.00000", "1")]), options(|_| ()))
            .contains("5 decimals")
    );
}

#[test]
fn an_export_without_its_comments_asks_for_what_they_said() {
    let period = options(|o| o.time_format = TimeFormat::Index);
    let error = refused("Index,a\n0,1\n1,1\n", period);
    assert_eq!(
        error,
        "test.csv: the times are row counts, so option `begin` is needed; the comment lines of the file don't have it"
    );
    let with = options(|o| {
        o.begin = Some("2020-01-01".parse().unwrap());
        o.period = Some("1_s".parse().unwrap());
    });
    let table = crate::integration::common::read_with("Index,a\n0,1\n1,1\n", with).unwrap();
    assert_eq!(table.times(), ["2020-01-01T00:00:00Z", "2020-01-01T00:00:01Z"]);
}

#[test]
fn exports_are_in_utc_whatever_the_option_says() {
    let zone = options(|o| o.time_zone = Some("Europe/Berlin".to_owned()));
    let text = export("Excel time", "1_s", &[("43831.000011574", "1")]);
    let table = crate::integration::common::read_with(text, zone).unwrap();
    assert_eq!(table.times(), ["2020-01-01T00:00:01Z"]);
    assert_eq!(table.reader.report().detected.time_zone, "UTC");
}
