//! Whoever asks whether anything has changed hears of every change.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use sheaf_db::testing::TestDatabase;
use sheaf_db::{Database, ResourceMetadata};
use sheaf_store::manifest::{Manifest, Pulse};
use sheaf_store::testing::FaultyDisk;
use sheaf_store::{Settings, Store};

async fn describe(database: &Database, unit: &str) {
    let resource = ResourceMetadata {
        catalog: "/plant/mast".parse().unwrap(),
        resource: "T1".parse().unwrap(),
        properties: serde_json::from_value(json!({ "unit": unit })).unwrap(),
    };
    database.metadata().patch(vec![], vec![resource]).await.unwrap();
}

async fn pulse(database: &Database) -> Pulse {
    database.manifest().pulse().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_beside_the_manifest_are_noticed_wherever_they_are_made() {
    for test in [TestDatabase::sqlite(), TestDatabase::postgres().await] {
        let (here, elsewhere) = (test.open().await, test.open().await);
        let disk = Arc::new(FaultyDisk::new());
        Store::open(disk, Arc::new(here.manifest()), Settings::default()).await.unwrap();
        let mut seen = vec![pulse(&here).await];
        for change in 0..20 {
            let by = if change % 2 == 0 { &elsewhere } else { &here };
            describe(by, &format!("unit {change}")).await;
            let now = pulse(&here).await;
            assert!(!seen.contains(&now), "change {change}");
            seen.push(now);
            // Some give up, and are in nobody's way.
            let manifest = here.manifest();
            let _given_up = tokio::time::timeout(Duration::from_micros(change * 10), manifest.pulse()).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_change_nothing_is_noticed() {
    let test = TestDatabase::sqlite();
    let here = test.open().await;
    describe(&here, "K").await;
    let before = pulse(&here).await;
    here.metadata().resource(&"/plant/mast".parse().unwrap(), &"T1".parse().unwrap()).await.unwrap();
    for _ in 0..3 {
        assert_eq!(pulse(&here).await, before);
    }
}
