//! Weather files, as services hand them out and as they get damaged.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use sheaf_sources::{
    ColumnRef, CsvOptions, Input, Observation, Position, SourceError, TemperatureUnit, WeatherData,
    WeatherFile, WeatherFormat, WeatherOptions, read_weather,
};

const ISD: &[u8] = include_bytes!("../data/weather/isd-722874-93134-2007-cut.gz");
const TMY3: &[u8] = include_bytes!("../data/weather/tmy3-723170-cut.csv.gz");

fn read(bytes: impl Into<Vec<u8>>) -> Result<WeatherFile, SourceError> {
    read_with(bytes, &WeatherOptions::default())
}

fn read_with(bytes: impl Into<Vec<u8>>, options: &WeatherOptions) -> Result<WeatherFile, SourceError> {
    read_weather(Input::bytes("test", bytes), options)
}

fn message(bytes: impl Into<Vec<u8>>) -> String {
    read(bytes).unwrap_err().to_string()
}

fn unpacked(packed: &[u8]) -> String {
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(packed), &mut text).unwrap();
    text
}

/// A report of ISD, with nothing optional.
fn isd(time: &str, kind: &str, temperature: &str) -> String {
    format!(
        "0000722874931342{}4+34028-118296{kind}+0056KCQT V0309999C000052200059N0112655N5{temperature}+00895102115\n",
        &time[1..]
    )
}

fn times(list: &[Observation]) -> Vec<(String, f64)> {
    list.iter().map(|observation| (observation.at.to_string(), observation.degc)).collect()
}

#[test]
fn two_days_of_isd() {
    let file = read(ISD).unwrap();
    assert_eq!((file.format, file.station.id.as_deref()), (WeatherFormat::Isd, Some("722874-93134")));
    assert_eq!(file.station.position, Some(Position { latitude_deg: 34.028, longitude_deg: -118.296 }));
    assert_eq!(file.station.elevation_m, Some(56.0));
    let report = file.report;
    assert_eq!((report.rows, report.missing, report.rejected, report.duplicates), (69, 3, 0, 0));
    let (first, last) = report.times.unwrap();
    assert_eq!(
        (first.to_string(), last.to_string()),
        ("2007-01-01T00:47:00Z".into(), "2007-01-02T23:47:00Z".into())
    );
    // The same rule, written down minute by minute in another language.
    let hours = file.hours().unwrap();
    assert_eq!((hours.len(), hours[0].at.to_string()), (48, "2007-01-01T00:00:00Z".to_owned()));
    for (hour, degc) in [(0, 14.89), (1, 14.209_212_121_2), (2, 13.682_121_212_1), (47, 21.895_833_333_3)] {
        assert!((hours[hour].degc - degc).abs() < 1e-9, "{:?}", hours[hour]);
    }
    let sum: f64 = hours.iter().map(|hour| hour.degc).sum();
    assert!((sum - 678.3155).abs() < 1e-9, "{sum}");
    // Packed or not is the same.
    assert_eq!(read(unpacked(ISD)).unwrap(), file);
}

#[test]
fn reports_of_isd_that_do_not_count() {
    let text = [
        isd("200701010051", "FM-15", "+01001"),
        isd("200701010051", "FM-12", "+01101"),
        isd("200701010053", "FM-16", "+09992"),
        isd("200701010055", "FM-16", "-09993"),
        isd("200701010059", "SOD  ", "+99999"),
        isd("200701010000", "FM-12", "-00505"),
    ]
    .concat();
    let file = read(text).unwrap();
    let report = file.report;
    assert_eq!((report.rows, report.missing, report.rejected, report.duplicates), (6, 1, 2, 1));
    assert_eq!(report.range_degc, Some((-5.0, 11.0)));
    let WeatherData::Reports(reports) = &file.data else { panic!("reports") };
    let at = |time: &str| format!("2007-01-01T{time}:00Z");
    assert_eq!(times(reports), [(at("00:00"), -5.0), (at("00:51"), 10.0), (at("00:51"), 11.0)]);
}

#[test]
fn damaged_isd_is_refused_with_its_line() {
    let good = isd("200701010051", "FM-15", "+01001");
    assert_eq!(
        message(format!("{good}\n{}", &good[..90])),
        "test, line 3: the line has only 90 of 105 characters; the file is cut off or damaged: \
         `0000722874931342007010100514+34028-118296FM-15+0056KCQT V0309999C000052200059N01…`"
    );
    assert_eq!(
        message(format!("{good}{}", isd("200702300051", "FM-15", "+01001"))),
        "test, line 2: `200702300051` is no time like `200701312359`"
    );
    assert_eq!(
        message(isd("200701010051", "FM-15", "+0x001")),
        "test, line 1: `+0x00` is no temperature in tenths of a degree like `+0150`"
    );
    let other = good.replace("722874", "722875");
    assert!(message(format!("{good}{other}")).contains("is no station of the line above"));
    // A gzip file that ends in its middle.
    let error = read(&ISD[..ISD.len() / 2]).unwrap_err();
    assert!(matches!(error, SourceError::Read { .. }), "{error}");
}

#[test]
fn a_typical_year() {
    let file = read(TMY3).unwrap();
    assert_eq!((file.format, file.hours()), (WeatherFormat::Tmy3, None));
    assert_eq!(file.station.id.as_deref(), Some("723170"));
    assert_eq!(file.station.name.as_deref(), Some("GREENSBORO PIEDMONT TRIAD INT"));
    assert_eq!(file.station.position, Some(Position { latitude_deg: 36.1, longitude_deg: -79.95 }));
    assert_eq!((file.report.rows, file.report.missing, file.report.duplicates), (8760, 0, 0));
    assert_eq!(file.report.range_degc, Some((-16.7, 35.6)));
    let WeatherData::NormalYear(year) = &file.data else { panic!("a normal year") };
    assert_eq!((year.degc().len(), year.utc_offset_s()), (8760, -18_000));
    let mean = year.degc().iter().sum::<f64>() / 8760.0;
    assert!((mean - 14.421_849_315).abs() < 1e-9, "{mean}");
    // Stamp 01:00 of January 1 is the hour from 00:00, which is 05:00 in UTC; 24:00 of December 31 the one before.
    let hours: Vec<_> =
        year.hours("2019-01-01T04:00Z".parse().unwrap(), "2019-01-01T06:00Z".parse().unwrap()).collect();
    assert_eq!(times(&hours), [("2019-01-01T04:00:00Z".into(), 2.2), ("2019-01-01T05:00:00Z".into(), 10.0)]);
}

#[test]
fn a_typical_year_that_is_damaged() {
    let text = unpacked(TMY3);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        message(lines[..5002].join("\n")),
        "test, line 5002: 3760 of 8760 hours of the year are not there, the first is 07-28 08:00; the file ends here, but \
         should go on"
    );
    assert_eq!(
        message(lines[..100].join("\n") + "\n01/05/1988"),
        "test, line 101: the line has only 1 of 5 fields; the file is cut off or damaged: `01/05/1988`"
    );
    let broken = |from: &str, to: &str| message(text.replacen(from, to, 1));
    assert!(
        broken("01/01/1988,02:00,", "01/01/1988,02:30,")
            .ends_with("`02:30` is no end of an hour like `01:00` to `24:00`")
    );
    assert!(
        broken("01/01/1988,02:00,", "13/01/1988,02:00,")
            .contains("line 4, column 1 (`Date (MM/DD/YYYY)`): `13/01/1988`")
    );
    assert!(broken("NC,-5.0,", "NC,-50,").contains("this should be the line about the station"));
    assert!(
        broken("Dry-bulb (C)", "Wet-bulb (C)")
            .contains("there is no column `Dry-bulb (C)`; the columns are Date")
    );
    // -9900 is a gap and not a temperature.
    let gap = read(text.replacen("01/01/1988,01:00,10.0,", "01/01/1988,01:00,-9900.0,", 1)).unwrap();
    assert_eq!((gap.report.rows, gap.report.missing), (8760, 1));
}

/// An EPW file of this many records per hour, each as warm as the number of its hour in the year, in hundredths.
fn epw(per_hour: u32, leap: bool) -> String {
    let mut text = format!(
        "LOCATION,Chicago Ohare Intl Ap,IL,USA,TMY3,725300,41.98,-87.92,-6.0,201.0\nDESIGN CONDITIONS,0\n\
         TYPICAL/EXTREME PERIODS,0\nGROUND TEMPERATURES,0\nHOLIDAYS/DAYLIGHT SAVINGS,No,0,0,0\n\
         COMMENTS 1,\"made, by hand\"\nCOMMENTS 2\nDATA PERIODS,1,{per_hour},Data,Sunday, 1/ 1,12/31\n"
    );
    let mut number = 0;
    for (month, days) in (1..).zip([31, 28 + u32::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]) {
        for day in 1..=days {
            for hour in 1..=24 {
                for part in 1..=per_hour {
                    let (minute, degc) = (60 * part / per_hour, f64::from(number) / 100.0);
                    text += &format!("1986,{month},{day},{hour},{minute},?9?9?9,{degc:.2},1.0\n");
                }
                number += u32::from((month, day) != (2, 29));
            }
        }
    }
    text
}

#[test]
fn energy_plus_weather() {
    for (per_hour, leap) in [(1, false), (1, true), (4, false)] {
        let file = read(epw(per_hour, leap)).unwrap();
        assert_eq!((file.format, file.station.id.as_deref()), (WeatherFormat::Epw, Some("725300")));
        assert_eq!(file.station.name.as_deref(), Some("Chicago Ohare Intl Ap"));
        assert_eq!((file.report.leap_day, file.report.duplicates), (if leap { 24 } else { 0 }, 0));
        let WeatherData::NormalYear(year) = &file.data else { panic!("a normal year") };
        assert_eq!(year.utc_offset_s(), -21_600);
        for (hour, degc) in year.degc().iter().enumerate() {
            assert!((degc - hour as f64 / 100.0).abs() < 1e-9, "{hour} {degc}");
        }
    }
    let text = epw(1, false);
    let missing = read(text.replacen("?9?9?9,0.01,", "?9?9?9,99.9,", 1)).unwrap();
    assert_eq!(missing.report.missing, 1);
    assert!(message(&text[..text.len() / 2]).contains("the file"));
    assert!(
        message(text.replacen("1986,1,1,2,60,", "1986,1,1,25,60,", 1))
            .contains("line 10, column 4 (`hour`): `25`")
    );
    assert!(message("LOCATION,here\n").contains("this should be the line `LOCATION`"));
    assert!(
        message(&text[..text.find("DATA PERIODS").unwrap()]).contains("followed by a line `DATA PERIODS`")
    );
}

#[test]
fn both_generations_of_ghcnh() {
    let old = "Station_ID|Station_name|Year|Month|Day|Hour|Minute|Latitude|Longitude|Elevation|temperature|\
               temperature_Measurement_Code|temperature_Quality_Code|temperature_Report_Type|temperature_Source_Code|remarks\n\
               USW00093134|LOS ANGELES DWTN|2007|01|01|00|47|34.0236|-118.2911|54.6|15.0||5|FM-15|335|\"a\n\
               USW00093134|LOS ANGELES DWTN|2007|01|01|01|47|34.0236|-118.2911|54.6|99.0||3|FM-15|335|\n\
               USW00093134|LOS ANGELES DWTN|2007|01|01|02|47|34.0236|-118.2911|54.6|||||||\n";
    let new = "STATION|Station_name|DATE|LATITUDE|LONGITUDE|ELEVATION|temperature|temperature_Quality_Code\n\
               USW00093134|LOS ANGELES DWTN|2007-01-01T00:47:00|34.0236|-118.2911|54.6|15.0|\n\
               USW00093134|LOS ANGELES DWTN|2007-01-01T01:47:00|34.0236|-118.2911|54.6|99.0|L\n\
               USW00093134|LOS ANGELES DWTN|2007-01-01T02:47:00|34.0236|-118.2911|54.6||\n";
    for text in [old, new] {
        let file = read(text).unwrap();
        assert_eq!((file.format, file.station.id.as_deref()), (WeatherFormat::Ghcnh, Some("USW00093134")));
        assert_eq!(file.station.position, Some(Position { latitude_deg: 34.0236, longitude_deg: -118.2911 }));
        assert_eq!((file.report.rows, file.report.rejected, file.report.missing), (3, 1, 1));
        let WeatherData::Reports(reports) = &file.data else { panic!("reports") };
        assert_eq!(times(reports), [("2007-01-01T00:47:00Z".to_owned(), 15.0)]);
    }
    assert_eq!(
        message(old.replace("|15.0|", "|warm|")),
        "test, line 2, column 11 (`temperature`): `warm` is no temperature in °C like `-3.9`"
    );
    assert!(
        message(new.replace("2007-01-01T01", "2007-02-30T01"))
            .contains("line 3, column 3 (`date`): `2007-02-30T01:47:00`")
    );
    assert!(message(&new[..new.len() - 12]).contains("line 4: the line has only"));
    assert!(message(new.replacen("DATE", "TIME", 1)).contains("there is no column `DATE`, or `Year`,"));
}

#[test]
fn tables_say_their_unit_or_are_refused() {
    let text = "dt,tempF,tempC_other\n2016-01-01 00:00,32,1\n2016-01-01 01:00,,1\n2016-01-01 02:00,212,1\n";
    let fahrenheit =
        WeatherOptions { temperature_column: Some(ColumnRef::from("tempF")), ..WeatherOptions::default() };
    let file = read_with(text, &fahrenheit).unwrap();
    assert_eq!((file.format, file.report.rows, file.report.missing), (WeatherFormat::Table, 3, 1));
    let WeatherData::Hourly(hours) = &file.data else { panic!("full hours") };
    assert_eq!(
        times(hours),
        [("2016-01-01T00:00:00Z".to_owned(), 0.0), ("2016-01-01T02:00:00Z".to_owned(), 100.0)]
    );
    assert_eq!(file.hours().as_deref(), Some(&hours[..]));
    assert!(message(text).contains("Name it with option `temperature_column`"));

    let unclear = "time,outdoor\n2016-01-01 00:00,32\n2016-01-01 00:30,50\n";
    assert_eq!(
        message(unclear),
        "test: column `outdoor` may be in °C or °F; say which with option `unit`: celsius or fahrenheit"
    );
    let csv = CsvOptions { time_zone: Some("-06:00".to_owned()), ..CsvOptions::default() };
    let options =
        WeatherOptions { unit: Some(TemperatureUnit::Fahrenheit), csv, ..WeatherOptions::default() };
    let file = read_with(unclear, &options).unwrap();
    let WeatherData::Reports(reports) = &file.data else { panic!("half hours") };
    assert_eq!(
        times(reports),
        [("2016-01-01T06:00:00Z".to_owned(), 0.0), ("2016-01-01T06:30:00Z".to_owned(), 10.0)]
    );
    assert!(
        message("name,time,value\na,2016-01-01,1\nb,2016-01-01,2\n")
            .contains("`temperature_column`. The columns are `a`, `b`")
    );
    // JSON lines are a table, too.
    let json = "{\"time\":\"2016-01-01T00:00Z\",\"temperature_c\":3.5}\n";
    assert_eq!(read(json).unwrap().report.range_degc, Some((3.5, 3.5)));
}

#[test]
fn options_are_read_as_people_write_them() {
    let options: WeatherOptions = serde_json::from_str(
        r#"{"format":"table","unit":"celsius","temperature_column":2,"csv":{"delimiter":";"}}"#,
    )
    .unwrap();
    assert_eq!(options.unit, Some(TemperatureUnit::Celsius));
    assert!(serde_json::from_str::<WeatherOptions>(r#"{"units":"celsius"}"#).is_err());
    for format in WeatherFormat::ALL {
        assert_eq!(format.name().parse(), Ok(format));
    }
    let error = "grib".parse::<WeatherFormat>().unwrap_err().to_string();
    assert_eq!(error, "unknown kind of weather file `grib`; allowed: isd, ghcnh, tmy3, epw, table");
}

#[test]
fn nothing_is_no_weather() {
    for text in ["", "\n\n", "hello\n", "{", "PAR1"] {
        assert!(read(text).is_err(), "{text:?}");
    }
    // Told what it is, a file still has to be it.
    for format in WeatherFormat::ALL {
        let options = WeatherOptions { format: Some(format), ..WeatherOptions::default() };
        assert!(read_with("", &options).is_err(), "{format}");
    }
}

/// Whole files of each kind, to be damaged.
fn samples() -> impl Strategy<Value = Vec<u8>> {
    let ghcnh = "STATION|Station_name|DATE|LATITUDE|temperature|temperature_Quality_Code\nA|B|2007-01-01T00:47:00|1|2|\n";
    prop::sample::select(vec![
        unpacked(ISD).into_bytes(),
        unpacked(TMY3).into_bytes()[..2000].to_vec(),
        epw(1, false).into_bytes()[..2000].to_vec(),
        ghcnh.as_bytes().to_vec(),
        b"time,tempF\n2016-01-01 00:00,32\n".to_vec(),
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), format in 0..6_usize) {
        let format = WeatherFormat::ALL.get(format).copied();
        let _ = read_with(bytes, &WeatherOptions { format, ..WeatherOptions::default() });
    }

    #[test]
    fn no_damage_makes_it_panic(
        mut sample in samples(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        len in any::<prop::sample::Index>(),
        packed in any::<bool>(),
    ) {
        for (at, byte) in damage {
            let at = at.index(sample.len());
            sample[at] = byte;
        }
        sample.truncate(len.index(sample.len()) + 1);
        if packed {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(&sample).unwrap();
            sample = encoder.finish().unwrap();
        }
        let _ = read(sample);
    }
}
