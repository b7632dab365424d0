//! Tables become series: at their period, of their type, or not at all.

use std::sync::Arc;

use sheaf_engine::{IngestError, IngestOptions, Ingested, Query, Spacing, ingest, read_stored};
use sheaf_model::{Kind, SamplePeriod, TimeRange};
use sheaf_sources::{CsvOptions, CsvReader, Input};
use sheaf_store::manifest::MemoryManifest;
use sheaf_store::testing::FaultyDisk;
use sheaf_store::{Layout, Settings, Store, Watch};

use super::stored::run;

async fn new_store() -> Store {
    let (disk, manifest) = (FaultyDisk::new(), MemoryManifest::new());
    Store::open(Arc::new(disk), Arc::new(manifest), Settings::default()).await.unwrap()
}

fn options() -> IngestOptions {
    IngestOptions { catalog: "/plant/mast".parse().unwrap(), period: None, irregular: false, align: false }
}

async fn take(store: &Store, text: &str, options: IngestOptions) -> Result<Ingested, IngestError> {
    let reader = CsvReader::open(Input::bytes("mast.csv", text.as_bytes().to_vec()), CsvOptions::default());
    ingest(store, reader.unwrap(), options, &Watch::default()).await.map(|(ingested, _)| ingested)
}

async fn read(store: &Store, key: &str, kind: Kind, period: &str, begin: &str, end: &str) -> Vec<f64> {
    let id = store.find_series(key).await.unwrap().unwrap();
    let snapshot = store.snapshot(&[id]).await.unwrap();
    let range = TimeRange::new(begin.parse().unwrap(), end.parse().unwrap()).unwrap();
    let period: SamplePeriod = period.parse().unwrap();
    let query = Query { kinds: vec![kind], period, range, threshold: None };
    let reading = read_stored(&snapshot, id, query, None).await.unwrap();
    let read = move || reading.flat_map(|block| block.unwrap().remove(0)).collect();
    tokio::task::spawn_blocking(read).await.unwrap()
}

const MAST: &str = "\
time,T1 (°C),status
2020-01-01T00:00:00,1.5,1
2020-01-01T00:10:00,2.5,2
2020-01-01T00:20:00,,3
2020-01-01T00:40:00,4.5,5
2020-01-01T00:50:00,5.5,6
";

#[test]
fn a_table_becomes_series_at_their_period_and_of_their_type() {
    run(async {
        let store = new_store().await;
        let ingested = take(&store, MAST, options()).await.unwrap();
        let keys: Vec<String> =
            ingested.series.iter().map(|series| format!("{} {}", series.key, series.data_type)).collect();
        assert_eq!(keys, ["/plant/mast/T1/10_min FLOAT64", "/plant/mast/status/10_min INT64"]);
        assert_eq!(ingested.series[0].unit.as_deref(), Some("°C"));
        assert_eq!((ingested.series[0].valid, ingested.series[0].missing), (4, 1));
        let Spacing::Regular(slots) = &ingested.series[0].spacing else { panic!("{:?}", ingested.series) };
        assert_eq!((slots.empty, slots.gaps), (1, Some((2, 1))));
        let hour = ("2020-01-01T00:00", "2020-01-01T01:00");
        let max = read(&store, "/plant/mast/T1/10_min", Kind::Count, "1_h", hour.0, hour.1).await;
        assert_eq!(max, [4.0]);
        let status =
            read(&store, "/plant/mast/status/10_min", Kind::Original, "10_min", hour.0, hour.1).await;
        assert_eq!(status[..3], [1.0, 2.0, 3.0]);
        assert!(status[3].is_nan());
        // Again, with other values: those that are there are replaced, missing ones are not.
        let again = "time,T1\n2020-01-01T00:10:00,\n2020-01-01T00:20:00,3.5\n2020-01-01T00:30:00,4\n";
        take(&store, again, options()).await.unwrap();
        let values = read(&store, "/plant/mast/T1/10_min", Kind::Original, "10_min", hour.0, hour.1).await;
        assert_eq!(values, [1.5, 2.5, 3.5, 4.0, 4.5, 5.5]);
    });
}

#[test]
fn bills_become_irregular_rows() {
    run(async {
        let store = new_store().await;
        let text =
            "start,value\n2019-01-01,310\n2019-02-01,280\n2019-03-01,300\n2019-04-01,290\n2019-05-01,\n";
        let ingested = take(&store, text, options()).await.unwrap();
        assert_eq!(ingested.series[0].spacing, Spacing::Irregular);
        assert_eq!(ingested.series[0].key, "/plant/mast/value");
        let id = store.find_series("/plant/mast/value").await.unwrap().unwrap();
        assert_eq!(store.spec(id).await.unwrap().layout, Layout::Irregular);
        let rows: Vec<_> = store.scan(id, None).await.unwrap().map(Result::unwrap).collect();
        assert_eq!(rows.iter().map(sheaf_store::Rows::len).sum::<usize>(), 5, "the end is a row, too");
    });
}

#[test]
fn rows_that_lie_badly_are_refused_with_their_line_and_nothing_is_written() {
    run(async {
        let store = new_store().await;
        let second = "2020-01-01T00:00:0";
        let mut text = String::from("time,T1\n");
        (0..9).for_each(|row| text.push_str(&format!("{second}{row},{row}.5\n")));
        let twice = format!("{text}{second}8.2,7\n");
        let error = take(&store, &twice, options()).await.unwrap_err().to_string();
        assert!(error.starts_with("line 11: column `T1` has a row at 2020-01-01T00:00:08.2"), "{error}");
        let twice = format!("{text}{second}8.05,7.5\n");
        let error = take(&store, &twice, options()).await.unwrap_err().to_string();
        assert!(error.starts_with("line 11: column `T1` has a second row for the slot of"), "{error}");
        assert_eq!(store.find_series("/plant/mast/T1/1_s").await.unwrap(), None);
        let aligned = IngestOptions { align: true, ..options() };
        take(&store, &twice, aligned).await.unwrap();
        let values = read(
            &store,
            "/plant/mast/T1/1_s",
            Kind::Last,
            "9_s",
            "2020-01-01T00:00:00",
            "2020-01-01T00:00:09",
        );
        assert_eq!(values.await, [7.5]);
        for (text, wanted) in [
            ("time,T1\n2020-01-01,1\n", "too few rows"),
            ("time,a b,a-b\n2020-01-01,1,2\n2020-01-02,1,2\n", "would both become resource `a_b`"),
            ("time,T1\n2020-01-01,9007199254740993\n2020-01-02,1.5\n", "beyond 2^53"),
        ] {
            let error = take(&store, text, options()).await.unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
    });
}
