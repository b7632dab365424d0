//! Irregular records at a period: whatever the blocks of the store, sums over intervals are those of the records.

use std::sync::Arc;

use proptest::prelude::*;
use sheaf_engine::{read_columns, resolve};
use sheaf_model::{DataType, ResourcePath, Tick, TimeRange, Values};
use sheaf_store::manifest::MemoryManifest;
use sheaf_store::testing::FaultyDisk;
use sheaf_store::{Layout, Rows, SeriesSpec, Settings, Store, Write};

use super::stored::{bits, run};

const DAY: i64 = 86_400 * Tick::PER_SECOND;
/// 2020-01-01.
const ORIGIN: i64 = 637_134_336_000_000_000;

fn at(hours: i64) -> Tick {
    Tick::new(ORIGIN + hours * DAY / 24).unwrap()
}

/// A store with records that begin at these hours, written in parts of so many.
async fn store_with(records: &[(i64, f64)], part: usize) -> Store {
    let settings = Settings { tail_write_bytes: 256, tail_most_bytes: 1024, ..Settings::default() };
    let disk = Arc::new(FaultyDisk::new());
    let store = Store::open(disk, Arc::new(MemoryManifest::new()), settings).await.unwrap();
    let spec =
        SeriesSpec { key: "/a/bills".to_owned(), data_type: DataType::Float64, layout: Layout::Irregular };
    let id = store.create_series(&[spec]).await.unwrap()[0];
    for part in records.chunks(part) {
        let starts = part.iter().map(|&(hours, _)| at(hours)).collect();
        let rows = Rows::listed(starts, Values::F64(part.iter().map(|&(_, value)| value).collect()));
        store.write(Write::new().rows(id, rows.unwrap())).await.unwrap();
    }
    store
}

async fn spread(store: &Store, path: &str, begin_hours: i64, end_hours: i64) -> Result<Vec<f64>, String> {
    let path: ResourcePath = path.parse().unwrap();
    let items = resolve(store, &[path.clone(), path]).await.map_err(|error| error.to_string())?;
    let ids = store.find_all(&["/a/bills".to_owned()]).await.unwrap();
    let snapshot = store.snapshot(&[ids[0].unwrap()]).await.unwrap();
    let range = TimeRange::new(at(begin_hours), at(end_hours)).unwrap();
    let columns = read_columns(&snapshot, &items, range, None).await.map_err(|error| error.to_string())?;
    tokio::task::spawn_blocking(|| {
        let mut all = Vec::new();
        for block in columns {
            let block = block.map_err(|error| error.to_string())?;
            assert_eq!(bits(&block[0]), bits(&block[1]), "the same path has the same values");
            all.extend(&block[0]);
        }
        Ok(all)
    })
    .await
    .unwrap()
}

#[test]
fn a_bill_is_spread_over_its_days() {
    run(async {
        // Two days, a missing one, and one and a half; the last record only ends the one before.
        let records = [(12, 4.0), (60, f64::NAN), (84, 3.0), (120, 7.0)];
        let store = store_with(&records, 10).await;
        let days = spread(&store, "/a/bills/1_d_spread", -24, 168).await.unwrap();
        let expected = [f64::NAN, f64::NAN, 2.0, f64::NAN, f64::NAN, 2.0, f64::NAN, f64::NAN];
        assert_eq!(bits(&days), bits(&expected));
        let hours = spread(&store, "/a/bills/12_h_spread", 0, 144).await.unwrap();
        let missing = f64::NAN;
        let expected = [missing, 1.0, 1.0, 1.0, 1.0, missing, missing, 1.0, 1.0, 1.0, missing, missing];
        assert_eq!(bits(&hours), bits(&expected));

        let error = spread(&store, "/a/bills/1_d_spread", 1, 25).await.unwrap_err();
        assert!(error.contains("begin") && error.contains("1_d"), "{error}");
        let error = spread(&store, "/a/bills/1_d_sum", 0, 24).await.unwrap_err();
        assert!(error.contains("`1_d_spread`"), "{error}");
        let error = spread(&store, "/a/bills/1_d_spread#base=1_h", 0, 24).await.unwrap_err();
        assert!(error.contains("irregular"), "{error}");
    });
}

#[test]
fn a_long_record_is_found_before_the_range() {
    run(async {
        // Ten years, then a day.
        let store = store_with(&[(0, 87_600.0), (87_600, 24.0), (87_624, 0.0)], 1).await;
        let hours = spread(&store, "/a/bills/1_h_spread", 87_590, 87_630).await.unwrap();
        assert_eq!(hours.len(), 40);
        assert!(hours[..34].iter().all(|&value| value == 1.0), "{hours:?}");
        assert!(hours[34..].iter().all(|value| value.is_nan()), "{hours:?}");
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn sums_are_those_of_the_records(
        lengths in prop::collection::vec((1_i64..200, prop::option::weighted(0.9, -100_i32..100)), 2..120),
        part in 1_usize..50,
        period in prop::sample::select(vec![1_i64, 2, 6, 12, 24]),
        (from, len) in (0_i64..200, 1_i64..200),
    ) {
        let mut records = Vec::new();
        let mut begin = 0;
        for (length, value) in lengths {
            records.push((begin, value.map_or(f64::NAN, f64::from)));
            begin += length;
        }
        let found = run(async {
            let store = store_with(&records, part).await;
            let path = format!("/a/bills/{period}_h_spread");
            spread(&store, &path, from * period, (from + len) * period).await.unwrap()
        });
        prop_assert_eq!(found.len(), len as usize);
        // Hour by hour, as one would do it by hand.
        let mut of_hours = vec![f64::NAN; begin as usize];
        for pair in records.windows(2) {
            let (hours, value) = (pair[0].0..pair[1].0, pair[0].1);
            hours.clone().for_each(|hour| of_hours[hour as usize] = value / hours.clone().count() as f64);
        }
        for (bucket, &value) in found.iter().enumerate() {
            let first = (from + bucket as i64) * period;
            let hours = (first..first + period).map(|hour| of_hours.get(hour as usize).copied());
            let expected: f64 = hours.map(|value| value.unwrap_or(f64::NAN)).sum();
            prop_assert_eq!(value.is_nan(), expected.is_nan(), "bucket {}", bucket);
            prop_assert!(value.is_nan() || (value - expected).abs() < 1e-9, "{} and {}", value, expected);
        }
    }
}
