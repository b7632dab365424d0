//! CalTRACK hourly against eemeter 3.2, and what becomes of bad input.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use proptest::prelude::*;
use serde::Deserialize;
use sheaf_savings::hourly::{
    HOURS_PER_WEEK, HourlyError, HourlyModel, HourlyRow, HourlySettings, NoPrediction, Segment,
    SegmentWarning,
};

/// What the reference may be missed by, relative to the size of what is compared.
const TOLERANCE: f64 = 1e-6;

#[derive(Deserialize)]
struct Reference {
    metered_savings_kwh: f64,
    segments: Vec<ReferenceSegment>,
}

#[derive(Deserialize)]
struct ReferenceSegment {
    name: String,
    occupied_hours: Vec<usize>,
    occupied_bins: Vec<f64>,
    unoccupied_bins: Vec<f64>,
    hours: Vec<f64>,
    bins: BTreeMap<String, f64>,
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn meter() -> Vec<HourlyRow> {
    let first = time("2015-11-22T06:00Z");
    include_str!("../../reference/hourly/il-electricity-cdd-hdd.csv")
        .lines()
        .skip(1)
        .enumerate()
        .map(|(hour, line)| {
            let (energy, temp_degf) = line.split_once(',').unwrap();
            HourlyRow {
                start: first + (hour as i64).hours(),
                energy: energy.parse().unwrap(),
                temp_degf: temp_degf.parse().unwrap(),
            }
        })
        .collect()
}

/// The rows from `begin` on, up to and without `end`.
fn slice(rows: &[HourlyRow], begin: &str, end: &str) -> Vec<HourlyRow> {
    let period = time(begin)..time(end);
    rows.iter().filter(|row| period.contains(&row.start)).copied().collect()
}

fn fit(rows: &[HourlyRow]) -> HourlyModel {
    HourlyModel::fit(rows, TimeZone::UTC, HourlySettings::default()).unwrap()
}

/// The largest deviation of a coefficient from the reference. What is not a coefficient has to be the same.
fn deviation(segment: &Segment, expected: &ReferenceSegment) -> f64 {
    assert_eq!(segment.name(), expected.name);
    let occupied: Vec<usize> = (0..HOURS_PER_WEEK).filter(|&hour| segment.is_occupied(hour)).collect();
    assert_eq!(occupied, expected.occupied_hours, "{}", expected.name);
    let responses = [segment.occupied_response(), segment.unoccupied_response()];
    assert_eq!(responses[0].bin_endpoints_degf, expected.occupied_bins);
    assert_eq!(responses[1].bin_endpoints_degf, expected.unoccupied_bins);

    let mut pairs = Vec::new();
    for (hour, &expected) in expected.hours.iter().enumerate() {
        let found = segment.hour_of_week_coefficient(hour);
        assert_eq!(found.is_some(), observed(expected), "{} {hour}", segment.name());
        pairs.extend(found.map(|found| (found, expected)));
    }
    for (response, kind) in responses.into_iter().zip(["occupied", "unoccupied"]) {
        for (bin, &slope) in response.slopes.iter().enumerate() {
            pairs.push((slope, expected.bins[&format!("bin_{bin}_{kind}")]));
        }
    }
    assert_eq!(responses[0].slopes.len() + responses[1].slopes.len(), expected.bins.len());
    pairs
        .iter()
        .map(|(found, expected)| (found - expected).abs() / expected.abs().max(1e-3))
        .fold(0.0, f64::max)
}

/// The reference has a zero, or what rounding made of it, for an hour of the week without data.
fn observed(coefficient: f64) -> bool {
    coefficient.abs() > 1e-12
}

#[test]
fn every_coefficient_and_the_savings_of_the_reference_meter() {
    let reference: Reference =
        serde_json::from_str(include_str!("../../reference/hourly/il-electricity-cdd-hdd.json")).unwrap();
    let meter = meter();
    let model = fit(&slice(&meter, "2015-12-27T00:00Z", "2016-12-26T00:00Z"));

    let worst = model.segments().iter().zip(&reference.segments).map(|(segment, expected)| {
        assert!(expected.hours.iter().all(|&coefficient| observed(coefficient)));
        deviation(segment, expected)
    });
    let worst = worst.fold(0.0, f64::max);
    assert!(worst <= TOLERANCE, "{worst}");

    let reporting = slice(&meter, "2017-01-04T00:00Z", "2018-01-04T00:00Z");
    assert_eq!(reporting.len(), 8760);
    let savings: f64 =
        reporting.iter().map(|row| model.predict(row.start, row.temp_degf).unwrap() - row.energy).sum();
    let deviation = (savings / reference.metered_savings_kwh - 1.0).abs();
    assert!(deviation <= TOLERANCE, "{savings} kWh");
    println!("worst coefficient {worst:.1e}, savings {deviation:.1e}");
}

#[test]
fn what_the_data_leave_undetermined_is_as_in_the_reference() {
    #[derive(Deserialize)]
    struct Cases {
        cases: Vec<Case>,
    }
    #[derive(Deserialize)]
    struct Case {
        name: String,
        segments: Vec<ReferenceSegment>,
    }
    let text = include_str!("../../reference/hourly/undetermined.json");
    let Cases { cases } = serde_json::from_str(text).unwrap();
    let year = slice(&meter(), "2015-12-27T00:00Z", "2016-12-26T00:00Z");
    let mut hot_summer = year.clone();
    for row in &mut hot_summer {
        if (time("2016-06-01T00:00Z")..time("2016-09-01T00:00Z")).contains(&row.start) {
            row.temp_degf = 80.0;
        }
    }
    // The reference takes the last of the 2400 hours for the mere end of the one before.
    for (case, rows) in cases.iter().zip([&year[..2399], &hot_summer]) {
        let model = fit(rows);
        for expected in &case.segments {
            let segment = model.segments().iter().find(|segment| segment.name() == expected.name).unwrap();
            let worst = deviation(segment, expected);
            assert!(worst <= TOLERANCE, "{} {}: {worst}", case.name, segment.name());
            println!("{} {}: {worst:.1e}, {:?}", case.name, segment.name(), segment.warnings());
        }
    }
}

#[test]
fn occupancy_that_no_hour_has_leaves_a_slope_undetermined() {
    let model = fit(&slice(&meter(), "2015-12-27T00:00Z", "2016-12-26T00:00Z"));
    let october = &model.segments()[10];
    assert_eq!(october.name(), "oct-nov-dec-weighted");
    assert_eq!(october.warnings(), [SegmentWarning::RankDeficient { slopes: 7, rank: 6 }]);
    assert_eq!(october.occupied_response().slopes, [0.0]);
    assert!(model.segments()[0].warnings().is_empty());
}

#[test]
fn what_is_not_observed_is_not_predicted() {
    // Ten days of January.
    let model = fit(&slice(&meter(), "2016-01-04T00:00Z", "2016-01-14T00:00Z"));
    for (segment, month) in model.segments().iter().zip(1..) {
        let without_data = segment.warnings() == [SegmentWarning::NoData];
        assert_eq!(without_data, ![12, 1, 2].contains(&month), "{}", segment.name());
    }
    assert!(model.predict(time("2017-01-10T00:00Z"), 20.0).unwrap().is_finite());
    assert!(model.predict(time("2017-02-10T00:00Z"), 20.0).unwrap().is_finite());
    assert_eq!(
        model.predict(time("2017-07-10T00:00Z"), 20.0).unwrap_err().to_string(),
        "segment jun-jul-aug-weighted has no data"
    );

    // Four days of Monday to Thursday.
    let model = fit(&slice(&meter(), "2016-01-04T00:00Z", "2016-01-08T00:00Z"));
    let friday = model.predict(time("2017-01-06T03:00Z"), 20.0).unwrap_err();
    assert_eq!(
        friday,
        NoPrediction::HourOfWeekUnobserved { segment: "dec-jan-feb-weighted", hour_of_week: 99 }
    );
    let unobserved = SegmentWarning::UnobservedHoursOfWeek { hours_of_week: (96..168).collect() };
    assert!(model.segments()[0].warnings().contains(&unobserved));
}

#[test]
fn hours_of_the_week_are_local() {
    // Energy is the local hour of the day, in a zone that changes its clocks.
    let zone = TimeZone::get("America/Chicago").unwrap();
    let first = time("2016-01-01T00:00Z");
    let rows: Vec<HourlyRow> = (0..366 * 24)
        .map(|hour| {
            let start = first + hour.hours();
            let energy = f64::from(zone.to_datetime(start).hour());
            HourlyRow { start, energy, temp_degf: 50.0 + (hour % 17) as f64 }
        })
        .collect();
    let model = HourlyModel::fit(&rows, zone.clone(), HourlySettings::default()).unwrap();
    for row in &rows {
        let predicted = model.predict(row.start, row.temp_degf).unwrap();
        assert!((predicted - row.energy).abs() < 1e-9, "{row:?}: {predicted}");
    }
}

#[test]
fn bad_rows_and_bad_settings() {
    let row = |start: &str, energy: f64, temp_degf: f64| HourlyRow { start: time(start), energy, temp_degf };
    let fit = |rows: &[HourlyRow]| HourlyModel::fit(rows, TimeZone::UTC, HourlySettings::default());
    assert_eq!(fit(&[]).unwrap_err(), HourlyError::NoData { rows: 0 });
    let missing = [row("2016-01-01T00:00Z", f64::NAN, 20.0), row("2016-01-01T01:00Z", 1.0, f64::INFINITY)];
    assert_eq!(fit(&missing).unwrap_err(), HourlyError::NoData { rows: 2 });
    for again in ["2016-01-01T00:00Z", "2015-01-01T00:00Z", "2016-01-01T00:30Z"] {
        let unordered = [row("2016-01-01T00:00Z", 1.0, 20.0), row(again, 1.0, 20.0)];
        assert!(matches!(fit(&unordered), Err(HourlyError::NotHourly { index: 1, .. })));
    }
    let extreme =
        [row("2016-01-01T00:00Z", f64::MAX, f64::MAX), row("2016-01-01T01:00Z", f64::MAX, -f64::MAX)];
    assert_eq!(fit(&extreme).unwrap_err(), HourlyError::Unsolvable { segment: "dec-jan-feb-weighted" });

    // One hour alone is a model that knows one hour of the week.
    let model = fit(&[row("2016-01-01T00:00Z", 3.0, 20.0)]).unwrap();
    assert!((model.predict(time("2016-01-01T00:00Z"), 20.0).unwrap() - 3.0).abs() < 1e-12);
    assert_eq!(model.predict(time("2016-01-01T00:00Z"), f64::NAN), Err(NoPrediction::TemperatureMissing));
    // Before 1970, too.
    let old = fit(&[row("1955-03-07T05:00Z", 3.0, 20.0)]).unwrap();
    assert!((old.predict(time("1956-03-05T05:00Z"), 20.0).unwrap() - 3.0).abs() < 1e-12);

    let with = |settings: HourlySettings| {
        HourlyModel::fit(&[row("2016-01-01T00:00Z", 3.0, 20.0)], TimeZone::UTC, settings).unwrap_err()
    };
    let default = HourlySettings::default;
    assert!(matches!(
        with(HourlySettings { occupancy_threshold: 1.5, ..default() }),
        HourlyError::OccupancyThreshold { .. }
    ));
    assert!(matches!(
        with(HourlySettings { heating_balance_degf: f64::NAN, ..default() }),
        HourlyError::BalancePoints { .. }
    ));
    assert!(matches!(
        with(HourlySettings { bin_endpoints_degf: vec![45.0, 30.0], ..default() }),
        HourlyError::BinEndpoints { .. }
    ));
}

#[test]
fn models_are_stored_and_read_again() {
    let rows = slice(&meter(), "2015-12-27T00:00Z", "2016-12-26T00:00Z");
    let model = HourlyModel::fit(&rows, TimeZone::get("America/Chicago").unwrap(), HourlySettings::default())
        .unwrap();
    let text = serde_json::to_string(&model).unwrap();
    assert!(text.starts_with(r#"{"version":1,"engine_version":""#));
    assert!(text.contains(r#""time_zone":"America/Chicago""#));
    let again: HourlyModel = serde_json::from_str(&text).unwrap();
    assert_eq!(again, model);
    assert_eq!(serde_json::to_string(&again).unwrap(), text);

    for (part, other, complaint) in [
        ("\"version\":1", "\"version\":9", "format version 9"),
        ("jan-feb-mar-weighted", "dec-jan-feb-weighted", "segment dec-jan-feb-weighted stands where"),
        ("jan-feb-mar-weighted", "jan-feb-mar", "there is no segment jan-feb-mar"),
        ("\"slopes\":[", "\"slopes\":[0.0,", "need one slope more"),
        ("\"occupied\":[", "\"occupied\":[true,", "a week has 168 hours, not 169"),
    ] {
        let error = serde_json::from_str::<HourlyModel>(&text.replacen(part, other, 1)).unwrap_err();
        assert!(error.to_string().contains(complaint), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn scaling_energy_scales_what_is_predicted(exponent in -8..8_i32, missing in 0..400_usize) {
        let scale = f64::from(exponent).exp2();
        let mut rows = slice(&meter(), "2016-01-01T00:00Z", "2016-03-01T00:00Z");
        rows[missing].energy = f64::NAN;
        let plain = fit(&rows);
        for row in &mut rows {
            row.energy *= scale;
        }
        let scaled = fit(&rows);
        // A row without a number counts as little as no row.
        rows.remove(missing);
        let shorter = fit(&rows);
        prop_assert_eq!(scaled.segments(), shorter.segments());
        for temp in [-10.0, 25.0, 60.0, 90.0] {
            let hour = time("2017-01-20T12:00Z");
            let predicted = (plain.predict(hour, temp).unwrap(), scaled.predict(hour, temp).unwrap());
            prop_assert!((predicted.0 * scale - predicted.1).abs() <= 1e-9 * predicted.1.abs());
        }
    }
}
