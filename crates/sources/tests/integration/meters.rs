//! Meter files: long tables, folders of loaders, Green Button.

use std::fs;

use proptest::prelude::*;
use sheaf_model::{EnergyUnit, Interpretation, Tick};
use sheaf_sources::{
    BlacklistRow, Input, MeterProblem, OeemFolder, Rows, SourceError, TableOptions, TraceBatch, TraceReader,
    open_table, read_blacklist, read_green_button, read_mappings, read_metadata, read_projects,
};

fn input(text: &str) -> Input {
    Input::bytes("test", text)
}

/// All readings of a table as id, start, value and whether it is estimated; and what is wrong.
type Readings = (Vec<(String, String, Option<f64>, bool)>, Vec<String>);

fn read_blocks(
    text: &str,
    zone: Option<&str>,
    block_bytes: usize,
) -> Result<(TraceReader, Readings), SourceError> {
    let mut reader = TraceReader::open_in_blocks(input(text), zone, block_bytes)?;
    let (mut readings, mut errors) = (Vec::new(), Vec::new());
    while let Some(batch) = reader.next_batch()? {
        errors.extend(batch.errors.iter().map(ToString::to_string));
        for row in 0..batch.len() {
            let id = reader.traces()[batch.traces[row] as usize].id.clone();
            let start = Tick::new(batch.starts[row]).unwrap().to_string();
            let value = Some(batch.values[row]).filter(|value| !value.is_nan());
            readings.push((id, start, value, batch.estimated[row]));
        }
    }
    Ok((reader, (readings, errors)))
}

fn readings(text: &str) -> Readings {
    let whole = read_blocks(text, None, 1 << 20).unwrap().1;
    for block_bytes in [1, 50, 200] {
        assert_eq!(read_blocks(text, None, block_bytes).unwrap().1, whole, "blocks of {block_bytes}");
    }
    whole
}

#[test]
fn a_trace_file_of_a_loader() {
    let text = "trace_id,start,interpretation,value,estimated,unit,interval\n\
                gas,2016-01-01T00:00:00Z,NATURAL_GAS_CONSUMPTION_SUPPLIED,1.5,False,THM,daily\n\
                gas,2016-01-02T00:00:00Z,NG_C_S,,True,therms,daily\n\
                power,2016-01-01T00:00:00-06:00,E_C_S,2500,0,Wh,\n\
                power,2016-01-01T01:00:00-06:00,E_C_S,2.5,0,kWh,\n";
    let (reader, (readings, errors)) = read_blocks(text, None, 1 << 20).unwrap();
    let row = |id: &str, start: &str, value, estimated| (id.to_owned(), start.to_owned(), value, estimated);
    assert_eq!(
        readings,
        [
            row("gas", "2016-01-01T00:00:00Z", Some(1.5), false),
            row("gas", "2016-01-02T00:00:00Z", None, true),
            row("power", "2016-01-01T06:00:00Z", Some(2.5), false),
            row("power", "2016-01-01T07:00:00Z", Some(2.5), false),
        ]
    );
    assert!(errors.is_empty());
    let [gas, power] = reader.traces() else { panic!("two traces") };
    assert_eq!(gas.interpretation, Some(Interpretation::NaturalGasConsumptionSupplied));
    assert_eq!((gas.unit, gas.interval.as_deref()), (Some(EnergyUnit::Therm), Some("daily")));
    assert_eq!((power.unit, power.interval.as_deref()), (Some(EnergyUnit::Kwh), None));
    assert_eq!(reader.counts(), (4, 0));
}

#[test]
fn the_shortest_table() {
    let (readings, errors) =
        readings("meter;timestamp;reading\r\nä;2016-01-01;1\r\n\r\n\"b;c\";2016-01-02;-2e3;\r\n");
    assert!(errors.is_empty());
    assert_eq!((readings[0].0.as_str(), readings[0].2), ("ä", Some(1.0)));
    assert_eq!((readings[1].0.as_str(), readings[1].2), ("b;c", Some(-2000.0)));
    assert!(readings.iter().all(|reading| !reading.3));
}

#[test]
fn wrong_rows_are_named_and_the_rest_is_read() {
    let text = "trace_id,start,value,estimated,interpretation,unit\n\
                a,2016-01-01,1,,E_C_S,KWH\n\
                ,2016-01-01,1,,E_C_S,KWH\n\
                a,,1,,E_C_S,KWH\n\
                a,2016-02-30,1,,E_C_S,KWH\n\
                a,2016-01-02,one,,E_C_S,KWH\n\
                a,2016-01-02,1,maybe,E_C_S,KWH\n\
                b,2016-01-02,1,,E_C,KWH\n\
                b,2016-01-02,1,,E_C_S,BTU\n\
                a,2016-01-02,1,,NG_C_S,KWH\n\
                a,2016-01-02,1,,E_C_S,THERM\n\
                a,2016-01-02\n\
                a,2016-01-03,3,,E_C_S,KWH\n";
    let (rows, errors) = readings(text);
    assert_eq!(rows.iter().map(|row| row.2).collect::<Vec<_>>(), [Some(1.0), Some(3.0)]);
    assert_eq!(
        errors,
        [
            "test, line 3, column 1 (`trace_id`): the id of the trace is missing",
            "test, line 4, column 2 (`start`): the time is missing",
            "test, line 5, column 2 (`start`): `2016-02-30` has a date that does not exist",
            "test, line 6, column 3 (`value`): `one` is no number like `-12.5` or `1.5e-3`, and none of the words for a \
             missing value",
            "test, line 7, column 4 (`estimated`): `maybe` is no answer to whether the value is estimated; write `true` or \
             `false`",
            "test, line 8, column 5 (`interpretation`): `E_C` is no interpretation; allowed: \
             ELECTRICITY_CONSUMPTION_SUPPLIED (E_C_S), ELECTRICITY_CONSUMPTION_TOTAL (E_C_T), ELECTRICITY_CONSUMPTION_NET \
             (E_C_N), ELECTRICITY_ON_SITE_GENERATION_TOTAL (E_OSG_T), ELECTRICITY_ON_SITE_GENERATION_CONSUMED (E_OSG_C), \
             ELECTRICITY_ON_SITE_GENERATION_UNCONSUMED (E_OSG_U), NATURAL_GAS_CONSUMPTION_SUPPLIED (NG_C_S)",
            "test, line 9, column 6 (`unit`): `BTU` is no unit of energy known here; allowed: KWH, WH, THERM, THM",
            "test, line 10, column 5 (`interpretation`): `NG_C_S` is not `ELECTRICITY_CONSUMPTION_SUPPLIED`, which an earlier \
             row says of the same trace",
            "test, line 11, column 6 (`unit`): `THERM` is not `KWH`, which an earlier row says of the same trace",
            "test, line 12: the row has 2 fields, the table 6 fields: `a,2016-01-02`",
        ]
    );
}

#[test]
fn the_first_row_of_a_trace_counts_wherever_blocks_end() {
    let mut text = "trace_id,start,value,unit\na,2016-01-01,1,KWH\n".to_owned();
    for day in 2..=28 {
        let unit = if day % 5 == 2 { "THERM" } else { "kWh" };
        text += &format!("a,2016-01-{day:02},1,{unit}\n");
    }
    let (rows, errors) = readings(&text);
    assert_eq!((rows.len(), errors.len()), (22, 6));
    assert!(errors[0].starts_with("test, line 3, column 4 (`unit`): `THERM` is not `KWH`"));
}

#[test]
fn errors_are_counted_beyond_those_that_are_kept() {
    let text = format!("trace_id,start,value\n{}", "a,never,1\n".repeat(TraceBatch::MOST_ERRORS + 5));
    let mut reader = TraceReader::open(input(&text), None).unwrap();
    let batch = reader.next_batch().unwrap().unwrap();
    assert_eq!((batch.errors.len(), batch.skipped), (TraceBatch::MOST_ERRORS, 1005));
    assert!(reader.next_batch().unwrap().is_none());
    assert_eq!(reader.counts(), (0, 1005));
}

#[test]
fn times_of_a_zone_that_occur_twice() {
    let text = "trace_id,start,value\n\
                a,2016-11-06 00:30,1\na,2016-11-06 01:30,2\nb,2016-11-06 01:30,3\na,2016-11-06 01:30,4\n\
                a,2016-11-06 02:30,5\na,2016-03-13 02:30,6\n";
    for block_bytes in [1, 1 << 20] {
        let (_, (readings, errors)) = read_blocks(text, Some("America/Chicago"), block_bytes).unwrap();
        let times: Vec<_> = readings.iter().map(|reading| &reading.1[11..16]).collect();
        assert_eq!(times, ["05:30", "06:30", "06:30", "07:30", "08:30"]);
        assert!(errors[0].contains("does not exist in America/Chicago"), "{errors:?}");
    }
    assert!(TraceReader::open(input(text), Some("America/Chicagoo")).is_err());
}

#[test]
fn tables_that_are_none() {
    let message = |text: &str| TraceReader::open(input(text), None).unwrap_err().to_string();
    assert_eq!(
        message("trace_id,start\na,2016-01-01\n"),
        "test: there is no column `value`; the columns are `trace_id`, `start`"
    );
    assert_eq!(message(""), "test: there is no table: no line that is neither blank nor a comment");
    assert!(message("PK\u{3}\u{4}").contains("zip"));
    let mut reader = TraceReader::open(input("trace_id,start,value\na,\"2016-01-01,1\nb"), None).unwrap();
    assert!(reader.next_batch().unwrap_err().to_string().contains("line 2: a quote is opened here"));
    assert!(reader.next_batch().unwrap().is_none());
}

#[test]
fn a_wide_table_is_a_table_like_any_other() {
    let text = "start,meter 1 (kWh),meter 2 (kWh)\n2016-01-01T00:00Z,1,\n2016-01-01T01:00Z,2,3.5\n";
    let mut table = open_table(input(text), &TableOptions::default()).unwrap();
    let batch = table.next_batch().unwrap().unwrap();
    let Rows::Wide(columns) = &batch.rows else { panic!("a column for each meter") };
    assert_eq!(columns[1].get(1), Some(3.5));
    assert!(columns[1].get(0).unwrap().is_nan());
    let column = &table.columns()[0];
    assert_eq!((column.name.as_str(), column.unit.as_deref()), ("meter 1", Some("kWh")));
}

#[test]
fn the_folder_of_a_loader() {
    let folder = tempfile::tempdir().unwrap();
    let format = folder.path().join("oeem-format");
    for (path, text) in [
        ("projects/b.csv", "project_id\nB\n"),
        ("projects/a.csv", "project_id,zipcode\nA,91104\n"),
        ("projects/_SUCCESS", ""),
        ("traces/t.csv", "trace_id,start,value\n"),
        ("project-trace-mappings/m.csv", "project_id,trace_id\nA,t\n"),
        ("project-metadata.csv", "project_id,key,value\nA,owner,x\n"),
        ("notes.txt", ""),
    ] {
        fs::create_dir_all(format.join(path).parent().unwrap()).unwrap();
        fs::write(format.join(path), text).unwrap();
    }
    let found = OeemFolder::find(folder.path()).unwrap();
    assert_eq!(OeemFolder::find(&format).unwrap(), found);
    assert_eq!(found.projects, [format.join("projects/a.csv"), format.join("projects/b.csv")]);
    assert_eq!((found.traces.len(), found.mappings.len()), (1, 1));
    assert_eq!((found.metadata, found.blacklist), (Some(format.join("project-metadata.csv")), None));
    let error = OeemFolder::find(format.join("projects")).unwrap_err().to_string();
    assert!(error.contains("there is neither a folder `projects`"), "{error}");
}

#[test]
fn projects_and_what_belongs_to_them() {
    let text = "project_id,zipcode,baseline_period_end,reporting_period_start\n\
                A,91104,2012-01-01T00:00:00Z,2012-02-01\nB,,2012-01-01T00:00:00-08:00,\n,1,,\nC,1,soon,\nD,1,,\n";
    let rows: Vec<_> = read_projects(input(text)).unwrap().collect();
    let first = rows[0].as_ref().unwrap();
    assert_eq!((first.line, first.project_id.as_str(), first.zipcode.as_deref()), (2, "A", Some("91104")));
    assert_eq!(first.baseline_period_end, Some("2012-01-01".parse().unwrap()));
    assert_eq!(first.reporting_period_start, Some("2012-02-01".parse().unwrap()));
    assert_eq!((first.baseline_period_start, first.reporting_period_end), (None, None));
    let second = rows[1].as_ref().unwrap();
    assert_eq!((second.zipcode.as_deref(), second.reporting_period_start), (None, None));
    assert_eq!(second.baseline_period_end, Some("2012-01-01T08:00Z".parse().unwrap()));
    let message = |index: usize| rows[index].as_ref().unwrap_err().to_string();
    assert_eq!(message(2), "test, line 4, column 1 (`project_id`): the id of the project is missing");
    assert!(message(3).starts_with("test, line 5, column 3 (`baseline_period_end`): `soon` is no time like"));
    assert_eq!(rows[4].as_ref().unwrap().project_id, "D");

    let mappings: Vec<_> = read_mappings(input("trace_id,project_id\nt,A\nt\n")).unwrap().collect();
    assert_eq!(mappings[0].as_ref().unwrap().trace_id, "t");
    assert!(
        mappings[1].as_ref().unwrap_err().to_string().contains("the row has 1 field, the table 2 fields")
    );
    let error = read_mappings(input("project_id\nA\n")).unwrap_err().to_string();
    assert_eq!(error, "test: there is no column `trace_id`; the columns are `project_id`");

    let blacklist: Vec<_> =
        read_blacklist(input("trace_id,reason\nt,broken\nu,\n")).unwrap().map(Result::unwrap).collect();
    let row = |line, trace_id: &str, reason: Option<&str>| BlacklistRow {
        line,
        trace_id: trace_id.to_owned(),
        reason: reason.map(str::to_owned),
    };
    assert_eq!(blacklist, [row(2, "t", Some("broken")), row(3, "u", None)]);
}

#[test]
fn metadata_is_wide_or_tall() {
    let rows = |text: &str| {
        let rows = read_metadata(input(text)).unwrap().map(Result::unwrap);
        rows.map(|row| format!("{}:{}:{}={}", row.line, row.project_id, row.key, row.value))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        rows("project_id,key,value\nA,cost,100\nA,owner,\nB,cost,7\n"),
        ["2:A:cost=100", "4:B:cost=7"]
    );
    assert_eq!(
        rows("cost,project_id,Project Owner\n100,A,\n,B,me\n"),
        ["2:A:cost=100", "3:B:Project Owner=me"]
    );
    // With a fourth column, `key` and `value` are keys themselves.
    assert_eq!(rows("project_id,key,value,x\nA,1,2,\n"), ["2:A:key=1", "2:A:value=2"]);
}

const GREEN_BUTTON: &str = include_str!("../data/meters/green-button.xml");

#[test]
fn a_green_button_file() {
    let file = read_green_button(input(GREEN_BUTTON)).unwrap();
    assert_eq!(file.utc_offset_s, Some(-28_800));
    let [power, gas] = file.meters.as_slice() else { panic!("two meters") };
    assert_eq!(power.id, "RetailCustomer/1/UsagePoint/01/MeterReading/01");
    assert_eq!((power.title.as_str(), power.unit, power.duplicates), ("Electricity", EnergyUnit::Kwh, 1));
    assert_eq!(power.interpretation, Some(Interpretation::ElectricityConsumptionSupplied));
    let intervals: Vec<_> = power
        .intervals
        .iter()
        .map(|interval| (interval.start.to_string(), interval.duration_s, interval.value, interval.estimated))
        .collect();
    // 1325404800 is 2012-01-01T08:00Z, midnight in the west of America; nothing is shifted.
    assert_eq!(
        intervals,
        [
            ("2012-01-01T08:00:00Z".to_owned(), 3600, Some(1.25), false),
            ("2012-01-01T09:00:00Z".to_owned(), 3600, Some(0.333), true),
            ("2012-01-01T11:00:00Z".to_owned(), 3600, None, false),
        ]
    );
    let records: Vec<_> = power
        .records()
        .iter()
        .map(|record| (record.start.to_string()[11..13].to_owned(), record.value))
        .collect();
    let hour = |hour: &str, value| (hour.to_owned(), value);
    assert_eq!(
        records,
        [
            hour("08", Some(1.25)),
            hour("09", Some(0.333)),
            hour("10", None),
            hour("11", None),
            hour("12", None)
        ]
    );
    assert_eq!((gas.unit, gas.intervals[0].value), (EnergyUnit::Therm, Some(2.345)));
    assert_eq!(gas.interpretation, Some(Interpretation::NaturalGasConsumptionSupplied));

    let [volume] = file.refused.as_slice() else { panic!("one is refused") };
    assert_eq!((volume.title.as_str(), &volume.problem), ("Gas in Canada", &MeterProblem::Unit(42)));
    assert!(
        volume
            .problem
            .to_string()
            .starts_with("its values are volumes (m³, uom 42), and how much energy they are")
    );
}

#[test]
fn a_feed_without_links_has_one_meter() {
    let text = "<feed><entry><content><ReadingType><commodity>1</commodity><uom>72</uom>\
                <powerOfTenMultiplier>3</powerOfTenMultiplier></ReadingType></content></entry>\
                <entry><content><IntervalBlock><IntervalReading><timePeriod><duration>900</duration><start>0</start>\
                </timePeriod><value>7</value></IntervalReading></IntervalBlock></content></entry></feed>";
    let file = read_green_button(input(text)).unwrap();
    assert_eq!((file.meters.len(), file.refused.len()), (1, 0));
    assert_eq!(file.meters[0].intervals[0].value, Some(7.0));
}

#[test]
fn blocks_of_no_meter_and_meters_of_no_type_are_refused() {
    let strayed = GREEN_BUTTON.replace(
        "UsagePoint/01/MeterReading/01/IntervalBlock",
        "UsagePoint/09/MeterReading/01/IntervalBlock",
    );
    let file = read_green_button(input(&strayed.replacen("ReadingType/gas", "ReadingType/gas2", 1))).unwrap();
    // The link of the meter to its blocks was renamed, too, so they are found by it.
    assert_eq!(file.meters[0].intervals.len(), 3);
    assert!(file.refused.iter().any(|refused| refused.problem == MeterProblem::NoType { count: 3 }));

    let only_up = GREEN_BUTTON.replace(
        "<link rel=\"up\" href=\"RetailCustomer/1/UsagePoint/01/MeterReading/01/IntervalBlock\"/>",
        "",
    );
    let file =
        read_green_button(input(&only_up.replacen("01/IntervalBlock/2", "7/IntervalBlock/2", 1))).unwrap();
    assert!(file.meters[0].intervals.is_empty());
    assert!(file.refused.iter().any(|refused| matches!(refused.problem, MeterProblem::NoMeter { .. })));
}

#[test]
fn damaged_green_button_files_are_refused_with_their_line() {
    let message = |text: &str| read_green_button(input(text)).unwrap_err().to_string();
    let cut = &GREEN_BUTTON[..GREEN_BUTTON.find("<espi:value>333").unwrap() + 14];
    assert_eq!(message(cut), "test, line 34: the XML is damaged: it ends in the middle of `value`");
    assert_eq!(
        message(&GREEN_BUTTON.replace("<espi:start>1325408400<", "<espi:start>noon<")),
        "test, line 33: start is `noon`, which is no number of seconds since 1970 in UTC"
    );
    assert!(message("<html><body/></html>").contains("this is no Green Button file"));
    assert!(message("time,value\n1,2\n").contains("this is no Green Button file"));
    let no_period = "<feed><entry><IntervalBlock><IntervalReading><value>1</value></IntervalReading></IntervalBlock></entry></feed>";
    assert_eq!(
        message(no_period),
        "test, line 1: an IntervalReading has no timePeriod with start and duration"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let input = || Input::bytes("test", bytes.clone());
        let _ = read_green_button(input());
        if let Ok(mut reader) = TraceReader::open(input(), None) {
            while let Ok(Some(_)) = reader.next_batch() {}
        }
        let _ = read_projects(input()).map(Iterator::count);
        let _ = read_metadata(input()).map(Iterator::count);
    }

    #[test]
    fn no_damage_makes_it_panic(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        len in any::<prop::sample::Index>(),
    ) {
        let tables = [
            "project_id,key,value\nA,cost,100\nB,\"x\",1\n",
            "trace_id,start,interpretation,value,estimated,unit\na,2016-01-01T00:00:00Z,E_C_S,1,true,KWH\n",
            GREEN_BUTTON,
        ];
        for table in tables {
            let mut bytes = table.as_bytes().to_vec();
            for (at, byte) in &damage {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            bytes.truncate(len.index(bytes.len()) + 1);
            let input = || Input::bytes("test", bytes.clone());
            let _ = read_green_button(input());
            if let Ok(mut reader) = TraceReader::open_in_blocks(input(), Some("America/Chicago"), 20) {
                while let Ok(Some(_)) = reader.next_batch() {}
            }
            let _ = read_metadata(input()).map(Iterator::count);
        }
    }
}
