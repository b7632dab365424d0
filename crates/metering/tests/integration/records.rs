//! What is read of a trace is what was written last of each start, in whichever layout it lies.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use sheaf_metering::records::{Known, NewRecords, Record, Span, Written, read, write};
use sheaf_model::{ResourceId, SamplePeriod, Tick};
use sheaf_store::manifest::MemoryManifest;
use sheaf_store::testing::FaultyDisk;
use sheaf_store::{Settings, Store};

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(future)
}

async fn store() -> Store {
    let disk = Arc::new(FaultyDisk::new());
    Store::open(disk, Arc::new(MemoryManifest::new()), Settings::default()).await.unwrap()
}

fn trace() -> ResourceId {
    "meter".parse().unwrap()
}

fn period(text: &str) -> Option<SamplePeriod> {
    Some(text.parse().unwrap())
}

/// A day of 2020, counted from 0.
fn day(number: i64) -> Tick {
    let origin: Tick = "2020-01-01".parse().unwrap();
    origin.checked_add(number * 86_400 * Tick::PER_SECOND).unwrap()
}

fn record(number: i64, value: Option<f64>) -> Record {
    Record { start: day(number), value, estimated: false }
}

fn known(span: Span) -> Known {
    Known { trace: trace(), first_last: span.first_last }
}

async fn add(store: &Store, span: Span, records: Vec<Record>) -> Written {
    let new = NewRecords { known: known(span), records };
    write(store, vec![new]).await.unwrap()[0]
}

async fn all(store: &Store, span: Span) -> Vec<Record> {
    read(store, &[known(span)]).await.unwrap().remove(0)
}

#[test]
fn days_are_regular_and_their_nulls_stay_visible() {
    run(async {
        let store = store().await;
        let records = vec![
            record(0, None),
            record(1, Some(1.0)),
            record(2, None),
            record(3, Some(3.0)),
            record(4, None),
        ];
        let written = add(&store, Span::default(), records.clone()).await;
        let span = Span { period: period("1_d"), first_last: Some((day(0), day(4))) };
        assert_eq!(written, Written { span, count: 5, changed: 5 });
        assert_eq!(all(&store, span).await, records);
        assert!(store.find_series("/traces/meter/1_d").await.unwrap().is_some());
        // A null takes a value away, and a value stays that nobody mentions.
        let written = add(&store, span, vec![record(1, None), record(4, Some(4.0))]).await;
        assert_eq!(written, Written { span, count: 5, changed: 2 });
        let values: Vec<_> = all(&store, span).await.iter().map(|record| record.value).collect();
        assert_eq!(values, [None, None, None, Some(3.0), Some(4.0)]);
    });
}

#[test]
fn bills_and_estimates_are_rows_of_their_own() {
    run(async {
        let store = store().await;
        let bills: Vec<_> = [0, 31, 60, 91].map(|at| record(at, Some(at as f64))).into();
        let written = add(&store, Span::default(), bills.clone()).await;
        assert_eq!(written.span.period, None);
        assert_eq!(all(&store, written.span).await, bills);
        assert!(store.find_series("/traces/meter").await.unwrap().is_some());
    });
    run(async {
        let store = store().await;
        let days: Vec<_> = (0..5).map(|at| record(at, Some(1.0))).collect();
        let span = add(&store, Span::default(), days).await.span;
        assert_eq!(span.period, period("1_d"));
        // One estimate, and all of them move.
        let estimate = Record { estimated: true, ..record(2, Some(9.0)) };
        let written = add(&store, span, vec![estimate]).await;
        assert_eq!((written.span.period, written.count), (None, 5));
        let found = all(&store, written.span).await;
        assert_eq!((found.len(), found[2]), (5, estimate));
        let old = store.find_series("/traces/meter/1_d").await.unwrap().unwrap();
        assert_eq!(store.snapshot(&[old]).await.unwrap().range(old).unwrap(), None);
        // It is certain now, so they move back.
        let written = add(&store, written.span, vec![record(2, Some(9.0))]).await;
        assert_eq!((written.span.period, written.count), (period("1_d"), 5));
        assert_eq!(all(&store, written.span).await[2], record(2, Some(9.0)));
    });
}

#[test]
fn records_that_come_one_by_one_find_their_period() {
    run(async {
        let store = store().await;
        let mut span = Span::default();
        let mut periods = Vec::new();
        for at in 0..5 {
            span = add(&store, span, vec![record(at, Some(at as f64))]).await.span;
            periods.push(span.period);
        }
        assert_eq!(periods, [None, None, period("1_d"), period("1_d"), period("1_d")]);
        assert_eq!(all(&store, span).await.len(), 5);
    });
}

#[test]
fn what_is_no_number_is_refused_and_nothing_is_written() {
    run(async {
        let store = store().await;
        let new = |value| NewRecords {
            known: known(Span::default()),
            records: vec![record(0, Some(1.0)), record(1, Some(value))],
        };
        for value in [f64::NAN, f64::INFINITY] {
            let error = write(&store, vec![new(value)]).await.unwrap_err().to_string();
            assert!(error.contains("`meter`") && error.contains("2020-01-02"), "{error}");
        }
        assert_eq!(store.find_series("/traces/meter").await.unwrap(), None);
    });
}

/// A process that dies between the commit and the row of the trace leaves a row that knows less than the store.
#[test]
fn what_a_row_does_not_know_is_found_in_the_store() {
    run(async {
        let store = store().await;
        let known_before =
            add(&store, Span::default(), vec![record(0, Some(0.0)), record(1, Some(1.0))]).await;
        assert_eq!(known_before.span.period, None);
        // They move to a series with a period, and the row does not hear of it.
        let days: Vec<_> = (2..10).map(|at| record(at, Some(at as f64))).collect();
        add(&store, known_before.span, days).await;
        assert_eq!(all(&store, known_before.span).await.len(), 10);
        let written = add(&store, known_before.span, vec![record(10, Some(10.0))]).await;
        let span = Span { period: period("1_d"), first_last: Some((day(0), day(10))) };
        assert_eq!(written, Written { span, count: 11, changed: 1 });
        let expected: Vec<_> = (0..11).map(|at| record(at, Some(at as f64))).collect();
        assert_eq!(all(&store, known_before.span).await, expected);
        // And back again: one estimate makes rows of them.
        add(&store, known_before.span, vec![Record { estimated: true, ..record(3, Some(3.0)) }]).await;
        let written = add(&store, span, vec![record(11, None)]).await;
        assert_eq!((written.span.period, written.count), (None, 12));
        assert_eq!(all(&store, Span::default()).await.len(), 12);
    });
}

#[test]
fn the_same_records_again_are_no_commit() {
    run(async {
        for records in [
            vec![record(0, Some(1.0)), record(1, None), record(2, Some(3.0)), record(3, None)],
            vec![record(0, Some(1.0)), record(31, None), record(59, Some(3.0)), record(90, None)],
        ] {
            let store = store().await;
            let written = add(&store, Span::default(), records.clone()).await;
            let before = store.head().await.unwrap();
            let again = add(&store, written.span, records).await;
            assert_eq!(again, Written { changed: 0, ..written });
            assert_eq!(store.head().await.unwrap(), before);
        }
    });
}

/// A row that knows a missing value at the end does not make the next records of the trace others.
#[test]
fn records_follow_on_the_end_that_was_given() {
    run(async {
        let store = store().await;
        let month: Vec<_> = (0..30).map(|at| record(at, Some(1.0))).chain([record(30, None)]).collect();
        let written = add(&store, Span::default(), month).await;
        assert_eq!((written.count, written.changed), (31, 31));
        let next = vec![record(30, Some(2.0)), record(31, Some(3.0)), record(32, None)];
        let written = add(&store, written.span, next).await;
        let span = Span { period: period("1_d"), first_last: Some((day(0), day(32))) };
        assert_eq!(written, Written { span, count: 33, changed: 3 });
        let values: Vec<_> = all(&store, span).await.iter().map(|record| record.value).collect();
        assert_eq!(values[29..], [Some(1.0), Some(2.0), Some(3.0), None]);
    });
}

/// Two processes at the same trace: each record that was acknowledged is there, whatever they decide about its layout.
#[test]
fn who_writes_at_the_same_time_loses_nothing() {
    run(async {
        for round in 0..8 {
            let (disk, manifest) = (Arc::new(FaultyDisk::new()), Arc::new(MemoryManifest::new()));
            let open = || Store::open(disk.clone(), manifest.clone(), Settings::default());
            let handles = [open().await.unwrap(), open().await.unwrap()];
            let write_some = |store: Store, writer: i64| async move {
                for step in 0..6 {
                    // One has days, the other one bills between them, or later days.
                    let at = |number: i64| match (writer, round % 2) {
                        (0, _) => record(step * 5 + number, Some(1.0)),
                        (_, 0) => {
                            Record { estimated: step % 2 == 0, ..record(100 + 7 * step + number, Some(2.0)) }
                        }
                        _ => record(30 + step * 5 + number, Some(2.0)),
                    };
                    add(&store, Span::default(), (0..5).map(at).collect()).await;
                }
            };
            let [one, other] = handles;
            let (first, second) =
                (tokio::spawn(write_some(one.clone(), 0)), tokio::spawn(write_some(other, 1)));
            first.await.unwrap();
            second.await.unwrap();
            let found = all(&one, Span::default()).await;
            let of = |value: f64| found.iter().filter(|record| record.value == Some(value)).count();
            assert_eq!((of(1.0), of(2.0)), (30, 30), "round {round}");
        }
    });
}

/// In which order and in how many parts records come does not matter; of each start the last one counts.
#[test]
fn a_trace_is_the_last_record_of_each_start() {
    let hours = prop_oneof![Just(24_i64), Just(1), Just(7)];
    let record = (0_i64..40, proptest::option::of(0_u8..3), proptest::bool::weighted(0.05));
    let writes = proptest::collection::vec(proptest::collection::vec(record, 1..12), 1..6);
    let config = ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() };
    TestRunner::new(config)
        .run(&(hours, writes), |(hours, writes)| {
            run(async {
                let store = store().await;
                let mut span = Span::default();
                let mut model: BTreeMap<Tick, Record> = BTreeMap::new();
                for write in writes {
                    let records: Vec<Record> = write
                        .into_iter()
                        .map(|(at, value, estimated)| Record {
                            start: day(0).checked_add(at * hours * 3600 * Tick::PER_SECOND).unwrap(),
                            value: value.map(f64::from),
                            estimated,
                        })
                        .collect();
                    model.extend(records.iter().map(|record| (record.start, *record)));
                    let written = add(&store, span, records).await;
                    span = written.span;
                    let found = all(&store, span).await;
                    prop_assert_eq!(found.len() as u64, written.count);
                    // Beside those that were written there are empty slots only.
                    let (known, others): (Vec<_>, Vec<_>) =
                        found.into_iter().partition(|record| model.contains_key(&record.start));
                    prop_assert_eq!(known, model.values().copied().collect::<Vec<_>>());
                    prop_assert!(others.iter().all(|record| record.value.is_none()));
                }
                Ok(())
            })
        })
        .unwrap();
}
