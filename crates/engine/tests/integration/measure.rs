//! Temporary.
use super::stored::run;
use sheaf_engine::{Query, read_stored};
use sheaf_model::*;
use sheaf_store::manifest::MemoryManifest;
use sheaf_store::*;
use std::sync::Arc;
use std::time::Instant;

#[test]
#[ignore = "a measurement"]
fn measure() {
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let store = Store::open(
            Arc::new(LocalDisk::new(folder.path()).unwrap()),
            Arc::new(MemoryManifest::new()),
            Settings::default(),
        )
        .await
        .unwrap();
        let period: SamplePeriod = "10_ms".parse().unwrap();
        let layout = Layout::Regular { period, phase_ticks: 0 };
        let spec = SeriesSpec { key: "/a/T1/10_ms".to_owned(), data_type: DataType::Float64, layout };
        let id = store.create_series(&[spec]).await.unwrap()[0];
        let start: Tick = "2020-01-01".parse().unwrap();
        let n = 86_400_000usize;
        let mut x = 0.0f64;
        let mut seed = 1u64;
        for part in 0..10 {
            let values: Vec<f64> = (0..n / 10)
                .map(|_| {
                    seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                    x += ((seed >> 33) as i32 - (1 << 30)) as f64 / (1u64 << 34) as f64;
                    (x * 1000.0).round() / 1000.0
                })
                .collect();
            let from = Tick::new(start.ticks() + part as i64 * (n / 10) as i64 * period.ticks()).unwrap();
            store
                .write(Write::new().rows(id, Samples::new(from, period, Values::F64(values)).unwrap()))
                .await
                .unwrap();
        }
        let rollups = Arc::new(Rollups::new(folder.path().join("rollups.redb"), RollupSettings::default()));
        let range =
            TimeRange::new(start, Tick::new(start.ticks() + n as i64 * period.ticks()).unwrap()).unwrap();
        let go = async |kinds: Vec<Kind>, period: &str, rollups: Option<&Arc<Rollups>>, name: &str| {
            let begun = Instant::now();
            let snapshot = store.snapshot(&[id]).await.unwrap();
            let query = Query { kinds, period: period.parse().unwrap(), range, threshold: None };
            let mut reading = read_stored(&snapshot, id, query, rollups).await.unwrap();
            let ready = begun.elapsed();
            let (count, usage, done) = tokio::task::spawn_blocking(move || {
                let c: usize = reading.by_ref().map(|b| b.unwrap()[0].len()).sum();
                let u = reading.usage();
                let t = begun.elapsed();
                drop(reading);
                (c, u, t)
            })
            .await
            .unwrap();
            println!(
                "{name:30} ready {ready:9.2?} done {done:9.2?} with drop {:9.2?} {count} {usage:?}",
                begun.elapsed()
            );
        };
        for _ in 0..3 {
            go(vec![Kind::Mean], "10_min", None, "cold, sums").await;
        }
        for _ in 0..3 {
            go(vec![Kind::Max], "10_min", None, "cold, moments").await;
        }
        go(vec![Kind::Median], "10_min", None, "cold, median").await;
        for _ in 0..3 {
            rollups.clear();
            go(vec![Kind::Mean], "10_min", Some(&rollups), "cold, kept").await;
            let t = Instant::now();
            rollups.flush().await;
            println!("flush {:?}", t.elapsed());
        }
        for _ in 0..5 {
            go(vec![Kind::Mean], "10_min", Some(&rollups), "warm").await;
        }
        go(vec![Kind::Max], "1_h", Some(&rollups), "warm 1_h max").await;
        go(vec![Kind::Std], "1_d", Some(&rollups), "warm 1_d std").await;
        println!("{:?}", rollups.stats());
        let begun = Instant::now();
        drop(rollups);
        println!("drop rollups {:?}", begun.elapsed());
        let rollups = Arc::new(Rollups::new(folder.path().join("rollups.redb"), RollupSettings::default()));
        for _ in 0..3 {
            go(vec![Kind::Mean], "10_min", Some(&rollups), "warm, reopened").await;
        }
        let values = Samples::new(start, period, Values::F64(vec![5.0; 1000])).unwrap();
        store.write(Write::new().rows(id, values)).await.unwrap();
        for _ in 0..2 {
            go(vec![Kind::Mean], "10_min", Some(&rollups), "after a late sample").await;
        }
    });
    use sheaf_kernels::*;
    let values: Vec<f64> = (0..262_144).map(|i| f64::from(i % 1000) / 8.0).collect();
    let run = SampleRun::new(&values);
    let grid = Grid::new(3000, 0).unwrap();
    for _ in 0..3 {
        let t = Instant::now();
        for _ in 0..100 {
            std::hint::black_box(StateVec::fold(Family::Sums, run.into(), grid).unwrap());
        }
        println!("sums {:?} per M", t.elapsed() / 26);
        let t = Instant::now();
        for _ in 0..100 {
            std::hint::black_box(StateVec::fold(Family::Moments, run.into(), grid).unwrap());
        }
        println!("moments {:?} per M", t.elapsed() / 26);
        let small = &values[..16384];
        let r = SampleRun::new(small);
        let t = Instant::now();
        for _ in 0..1600 {
            std::hint::black_box(StateVec::fold(Family::Sums, r.into(), grid).unwrap());
        }
        println!("sums, in cache {:?} per M", t.elapsed() / 26);
        let t = Instant::now();
        for _ in 0..1600 {
            std::hint::black_box(StateVec::fold(Family::Moments, r.into(), grid).unwrap());
        }
        println!("moments, in cache {:?} per M", t.elapsed() / 26);
    }
}
