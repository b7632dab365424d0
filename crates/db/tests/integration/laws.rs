//! What every manifest must do.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use sheaf_db::testing::TestDatabase;
use sheaf_store::manifest::testing::{Subject, laws};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_is_a_manifest() {
    let databases: Mutex<BTreeMap<String, Arc<TestDatabase>>> = Mutex::default();
    laws(async |name: &str| {
        let database = Arc::clone(
            databases
                .lock()
                .unwrap()
                .entry(name.to_string())
                .or_insert_with(|| Arc::new(TestDatabase::sqlite())),
        );
        let manifest: Subject = Arc::new(database.open().await.manifest());
        manifest
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_is_a_manifest() {
    let databases: Mutex<BTreeMap<String, Arc<TestDatabase>>> = Mutex::default();
    laws(async |name: &str| {
        let known = databases.lock().unwrap().get(name).cloned();
        let database = match known {
            Some(database) => database,
            None => Arc::new(TestDatabase::postgres().await),
        };
        databases.lock().unwrap().insert(name.to_string(), Arc::clone(&database));
        let manifest: Subject = Arc::new(database.open().await.manifest());
        manifest
    })
    .await;
}
