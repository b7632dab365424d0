//! Metadata of catalogs and resources.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sheaf_db::testing::TestDatabase;
use sheaf_db::{CatalogMetadata, CatalogOverrides, Database, Metadata, RepositoryError, ResourceMetadata};
use sheaf_model::{CatalogId, CatalogPath, Properties, ResourceId};

fn properties(value: Value) -> Properties {
    serde_json::from_value(value).unwrap()
}

fn catalog_id(id: &str) -> CatalogId {
    id.parse().unwrap()
}

fn resource_id(id: &str) -> ResourceId {
    id.parse().unwrap()
}

fn catalog(id: &str, value: Value) -> CatalogMetadata {
    CatalogMetadata { catalog: catalog_id(id), properties: properties(value) }
}

fn resource(catalog: &str, id: &str, value: Value) -> ResourceMetadata {
    ResourceMetadata {
        catalog: catalog_id(catalog),
        resource: resource_id(id),
        properties: properties(value),
    }
}

async fn both() -> [TestDatabase; 2] {
    [TestDatabase::sqlite(), TestDatabase::postgres().await]
}

/// All resources at or below a path, by pages.
async fn resources_below(metadata: &Metadata, path: &CatalogPath, limit: usize) -> Vec<String> {
    let mut found: Vec<ResourceMetadata> = Vec::new();
    loop {
        let after = found.last().map(|last| (&last.catalog, &last.resource));
        let page = metadata.resources_below(path, after, limit).await.unwrap();
        assert!(page.len() <= limit);
        if page.is_empty() {
            return found.iter().map(|entry| format!("{}/{}", entry.catalog, entry.resource)).collect();
        }
        found.extend(page);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn patches_change_what_they_name() {
    for test in both().await {
        let metadata = test.open().await.metadata();
        let (mast, t1) = (catalog_id("/plant/mast"), resource_id("T1"));
        assert!(metadata.catalog(&mast).await.unwrap().is_empty());
        assert!(metadata.resource(&mast, &t1).await.unwrap().is_empty());

        let first = json!({"unit": "°C", "groups": ["a"], "sheaf": {"withoutRollups": ["1_s"]}});
        let catalogs = vec![catalog("/plant/mast", json!({"readme": "# Mast"}))];
        let resources = vec![
            resource("/plant/mast", "T1", first),
            // The same one once more, in the same call.
            resource("/plant/mast", "T1", json!({"description": "air", "groups": ["b", "c"]})),
            resource("/plant/mast", "T2", json!({"unit": "K"})),
        ];
        metadata.patch(catalogs, resources).await.unwrap();
        assert_eq!(metadata.catalog(&mast).await.unwrap().readme(), Some("# Mast"));
        let t1_now = metadata.resource(&mast, &t1).await.unwrap();
        assert_eq!((t1_now.unit(), t1_now.description()), (Some("°C"), Some("air")));
        assert_eq!(t1_now.groups(), ["b", "c"], "an array is replaced");
        assert_eq!(t1_now.without_rollups().unwrap(), ["1_s".parse().unwrap()]);

        let removed = json!({"unit": null, "sheaf": {"withoutRollups": null}, "x": {"deep": null}});
        metadata.patch(vec![], vec![resource("/plant/mast", "T1", removed)]).await.unwrap();
        let expected = json!({"groups": ["b", "c"], "sheaf": {}, "description": "air", "x": {}});
        assert_eq!(metadata.resource(&mast, &t1).await.unwrap(), properties(expected));

        // The others are as they were; what has no properties is not there.
        metadata.set_resource(resource("/plant/mast", "T1", json!({}))).await.unwrap();
        let left = metadata.resources_of(&mast, None, 10).await.unwrap();
        assert_eq!(left, [resource("/plant/mast", "T2", json!({"unit": "K"}))]);
        metadata.set_catalog(catalog("/plant/mast", json!({"license": "CC0"}))).await.unwrap();
        assert_eq!(metadata.catalog(&mast).await.unwrap(), properties(json!({"license": "CC0"})));
        metadata.patch(vec![catalog("/plant/mast", json!({"license": null}))], vec![]).await.unwrap();
        assert_eq!(metadata.catalogs_below(&CatalogPath::Root, None, 10).await.unwrap(), []);
        metadata.patch(vec![], vec![]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn properties_read_back_as_written() {
    let long_name = "n".repeat(255);
    let long_catalog = format!("/{long_name}").repeat(7);
    for test in both().await {
        let metadata = test.open().await.metadata();
        let text = "it's \"quoted\" \\ 50% _ ? $1 :x ; -- /* \u{0} \u{1f} \n é e\u{301} 日本 🌬 \u{10ffff}";
        let value = json!({
            text: text, "z": 1, "a": -0.1, "big": u64::MAX, "small": i64::MIN, "float": 1e300, "null": {"x": [null]},
            "long": "x".repeat(100_000), "": [], "deep": {"b": {"a": [1, 2, {"c": true}]}},
        });
        let name = "_T_1";
        for catalog in ["/_", "/plant", &long_catalog] {
            for name in [name, long_name.as_str()] {
                metadata.patch(vec![], vec![resource(catalog, name, value.clone())]).await.unwrap();
                let found = metadata.resource(&catalog_id(catalog), &resource_id(name)).await.unwrap();
                // The order of the keys is kept, too.
                assert_eq!(serde_json::to_string(&found).unwrap(), value.to_string());
            }
        }
        // `_` is a letter like any other, and names differ in case.
        assert!(metadata.resource(&catalog_id("/_"), &resource_id("_T11")).await.unwrap().is_empty());
        assert!(metadata.resource(&catalog_id("/Plant"), &resource_id(name)).await.unwrap().is_empty());
        let below: CatalogPath = "/_".parse().unwrap();
        assert_eq!(resources_below(&metadata, &below, 1).await, ["/_/_T_1", &format!("/_/{long_name}")]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_kept_is_refused_and_nothing_changes() {
    for test in both().await {
        let metadata = test.open().await.metadata();
        let refused = async |bad: ResourceMetadata, parts: &[&str]| {
            let good = resource("/a", "T0", json!({"unit": "m"}));
            let error =
                metadata.patch(vec![catalog("/a", json!({"x": 1}))], vec![good, bad]).await.unwrap_err();
            assert!(error.is_invalid_input(), "{error}");
            for part in parts {
                assert!(error.to_string().contains(part), "{error} should say {part:?}");
            }
        };
        let bad_period = json!({"sheaf": {"withoutRollups": ["1 second"]}});
        refused(resource("/a", "T1", bad_period), &["/a/T1: ", "sheaf.withoutRollups", "1 second"]).await;
        let long = json!({"readme": "x".repeat(1 << 20)});
        refused(resource("/a", "T1", long), &["/a/T1: ", "1048576 bytes", "1048589"]).await;
        let mut deep = json!(1);
        for _ in 0..200 {
            deep = json!({"a": deep});
        }
        refused(resource("/a", "T1", deep), &["/a/T1: ", "recursion"]).await;
        refused(resource(&"/a".repeat(1001), "T1", json!({"unit": "m"})), &["at most 2000 bytes", "2002"])
            .await;
        assert_eq!(metadata.resources_below(&CatalogPath::Root, None, 10).await.unwrap(), []);
        assert_eq!(metadata.catalogs_below(&CatalogPath::Root, None, 10).await.unwrap(), []);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_are_complete_and_in_order() {
    let catalogs = [
        "/A", "/a", "/a/b", "/a/b/c", "/a/b0", "/a/B", "/a/_", "/a/b_", "/a_", "/a0", "/aa", "/b/a", "/z9",
        "/_a/b",
    ];
    for test in both().await {
        let metadata = test.open().await.metadata();
        let ids: Vec<String> = (0..40).map(|i| format!("T{i}")).collect();
        let all: Vec<ResourceMetadata> = catalogs
            .iter()
            .rev()
            .flat_map(|catalog| ids.iter().map(move |id| resource(catalog, id, json!({"unit": id}))))
            .collect();
        metadata.patch(catalogs.map(|id| catalog(id, json!({"x": id}))).to_vec(), all.clone()).await.unwrap();
        let paths = ["/", "/a", "/a/b", "/a/b/c", "/A", "/a_", "/_a", "/nothing", "/z", "/b"];
        for path in paths.map(|path| path.parse::<CatalogPath>().unwrap()) {
            let is_below = |id: &CatalogId| match &path {
                CatalogPath::Root => true,
                CatalogPath::Catalog(above) => above.contains(id),
            };
            let wanted: BTreeSet<(&str, &str)> = all
                .iter()
                .filter(|entry| is_below(&entry.catalog))
                .map(|entry| (entry.catalog.as_str(), entry.resource.as_str()))
                .collect();
            let wanted: Vec<String> = wanted.iter().map(|(catalog, id)| format!("{catalog}/{id}")).collect();
            for limit in [7, 40, 10_000] {
                assert_eq!(resources_below(&metadata, &path, limit).await, wanted, "{path} by {limit}");
            }
            let wanted: BTreeSet<&str> =
                catalogs.into_iter().filter(|id| is_below(&catalog_id(id))).collect();
            let mut found: Vec<CatalogMetadata> = Vec::new();
            loop {
                let after = found.last().map(|last| &last.catalog);
                let page = metadata.catalogs_below(&path, after, 3).await.unwrap();
                if page.is_empty() {
                    break;
                }
                found.extend(page);
            }
            assert!(found.iter().map(|entry| entry.catalog.as_str()).eq(wanted), "{path}: {found:?}");
        }
        let (mut found, mut sorted) = (Vec::new(), ids.clone());
        sorted.sort_unstable();
        while let page = metadata.resources_of(&catalog_id("/a/b"), found.last(), 7).await.unwrap()
            && !page.is_empty()
        {
            assert!(page.iter().all(|entry| entry.catalog == catalog_id("/a/b")));
            found.extend(page.into_iter().map(|entry| entry.resource));
        }
        assert!(found.iter().map(ResourceId::as_str).eq(sorted.iter().map(String::as_str)));
        // A page may begin before what is asked for, or behind it.
        let path: CatalogPath = "/a/b".parse().unwrap();
        let (before, behind) = ((catalog_id("/A"), resource_id("x")), (catalog_id("/b"), resource_id("x")));
        let page = metadata.resources_below(&path, Some((&before.0, &before.1)), 1000).await.unwrap();
        assert_eq!(page.len(), 2 * ids.len());
        assert_eq!(metadata.resources_below(&path, Some((&behind.0, &behind.1)), 9).await.unwrap(), []);
        assert_eq!(metadata.catalogs_below(&path, Some(&before.0), 9).await.unwrap().len(), 2);
        assert_eq!(metadata.resources_below(&path, None, 0).await.unwrap(), []);
    }
}

/// Tasks of several pools: what each adds is there in the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn patches_at_the_same_time_lose_nothing() {
    for test in both().await {
        let tasks: Vec<_> = (0..6)
            .map(|task| {
                let url = test.url().to_string();
                tokio::spawn(async move {
                    let metadata = Database::connect(&url).await.unwrap().metadata();
                    for round in 0..10 {
                        let key = format!("{task}-{round}");
                        let own = resource("/a", &format!("T{task}"), json!({&key: 1}));
                        let shared = resource("/a", "shared", json!({&key: 1}));
                        metadata
                            .patch(vec![catalog("/a", json!({"x": {&key: 1}}))], vec![own, shared])
                            .await
                            .unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let metadata = test.open().await.metadata();
        let shared = metadata.resource(&catalog_id("/a"), &resource_id("shared")).await.unwrap();
        assert_eq!(shared.iter().count(), 60);
        let own = metadata.resource(&catalog_id("/a"), &resource_id("T3")).await.unwrap();
        assert_eq!(own.iter().count(), 10);
        let of_catalog = metadata.catalog(&catalog_id("/a")).await.unwrap();
        assert_eq!(of_catalog.get("x").and_then(Value::as_object).map(serde_json::Map::len), Some(60));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_are_kept_at_once() {
    const RESOURCES: usize = 30_000;
    for test in both().await {
        let metadata = test.open().await.metadata();
        let all = (0..RESOURCES)
            .map(|i| resource(&format!("/plant/mast{}", i / 100), &format!("T{i}"), json!({"unit": "m/s"})))
            .collect::<Vec<_>>();
        metadata.patch(vec![], all.clone()).await.unwrap();
        // Nothing is left to do.
        metadata.patch(vec![], all).await.unwrap();
        assert_eq!(resources_below(&metadata, &CatalogPath::Root, 1000).await.len(), RESOURCES);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_rows_are_named() {
    let damage = [
        r#"INSERT INTO resources VALUES ('/a', 'T1', '{"unit": ')"#,
        r#"INSERT INTO resources VALUES ('/b', 'no name', '{}')"#,
        r#"INSERT INTO resources VALUES ('/c', 'T1', '[1]')"#,
        r#"INSERT INTO catalogs VALUES ('/a', '')"#,
        r#"INSERT INTO overrides VALUES ('/a', NULL, '{"secret": 1}', NULL)"#,
        r#"INSERT INTO attachments VALUES ('/a', 'x', -1, '', '', 1)"#,
    ]
    .join("; ");
    let [sqlite, postgres] = both().await;
    drop((sqlite.open().await, postgres.open().await));
    sqlite.run_on_sqlite(&damage).await;
    postgres.run_on_postgres(&damage).await;
    for test in [sqlite, postgres] {
        let database = test.open().await;
        let (metadata, overrides, attachments) =
            (database.metadata(), database.overrides(), database.attachments());
        let named = |error: RepositoryError, row: &str, table: &str| {
            let text = error.to_string();
            let beginning = format!("{}: row `{row}` of table `{table}` is damaged: ", database.describe());
            assert!(text.starts_with(&beginning), "{text}");
            assert!(
                !error.is_invalid_input() && !format!("{text} {error:?}").contains("secret"),
                "{error:?}"
            );
        };
        let a = catalog_id("/a");
        named(metadata.resource(&a, &resource_id("T1")).await.unwrap_err(), "/a/T1", "resources");
        named(metadata.catalog(&a).await.unwrap_err(), "/a", "catalogs");
        named(
            metadata.resources_of(&catalog_id("/b"), None, 9).await.unwrap_err(),
            "/b/no name",
            "resources",
        );
        let path: CatalogPath = "/c".parse().unwrap();
        named(metadata.resources_below(&path, None, 9).await.unwrap_err(), "/c/T1", "resources");
        named(overrides.get(&a).await.unwrap_err(), "/a", "overrides");
        named(overrides.list(None, 9).await.unwrap_err(), "/a", "overrides");
        named(attachments.get(&a, "x").await.unwrap_err(), "/a/x", "attachments");
        named(attachments.of(&a, None, 9).await.unwrap_err(), "/a/x", "attachments");

        // A patch of what can't be read would lose the rest; but it can be replaced.
        let patch = resource("/a", "T1", json!({"unit": "m"}));
        named(metadata.patch(vec![], vec![patch.clone()]).await.unwrap_err(), "/a/T1", "resources");
        metadata.set_resource(patch.clone()).await.unwrap();
        assert_eq!(metadata.resource(&a, &patch.resource).await.unwrap(), patch.properties);
        overrides.set(&a, &CatalogOverrides::default()).await.unwrap();
        assert_eq!(overrides.get(&a).await.unwrap(), CatalogOverrides::default());
        assert_eq!(attachments.remove(&a, "x").await.unwrap().as_deref(), Some(""));
        assert_eq!(attachments.get(&a, "x").await.unwrap(), None);
    }
}
