//! Many paths are resolved as each of them alone, wherever their series lie among all others.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use sheaf_engine::{Base, resolve};
use sheaf_model::{DataType, ResourcePath, SamplePeriod};
use sheaf_store::manifest::MemoryManifest;
use sheaf_store::testing::FaultyDisk;
use sheaf_store::{Layout, SeriesSpec, Settings, Store};

use super::stored::run;

/// A store with series of these keys; those without a period are irregular.
async fn store_with(keys: &BTreeSet<String>) -> Store {
    let disk = Arc::new(FaultyDisk::new());
    let store = Store::open(disk, Arc::new(MemoryManifest::new()), Settings::default()).await.unwrap();
    let specs: Vec<SeriesSpec> = keys
        .iter()
        .map(|key| {
            let period = key.rsplit('/').next().and_then(|last| last.parse::<SamplePeriod>().ok());
            let layout =
                period.map_or(Layout::Irregular, |period| Layout::Regular { period, phase_ticks: 0 });
            SeriesSpec { key: key.clone(), data_type: DataType::Float64, layout }
        })
        .collect();
    store.create_series(&specs).await.unwrap();
    store
}

/// The key of the series that a path is computed from, or what is wrong.
async fn keys_of(store: &Store, paths: &[&str]) -> Result<Vec<String>, String> {
    let paths: Vec<ResourcePath> = paths.iter().map(|path| path.parse().unwrap()).collect();
    let found = resolve(store, &paths).await.map_err(|error| error.to_string())?;
    let key = |base| match base {
        Base::Stored { spec, .. } => spec.key,
        Base::InPlace { .. } => unreachable!("the store has no sources"),
    };
    assert!(paths.iter().eq(found.iter().map(|found| &found.path)));
    Ok(found.into_iter().map(|found| key(found.base)).collect())
}

#[test]
fn the_finest_series_is_found_among_others() {
    run(async {
        let mut keys: BTreeSet<String> = ["/a/T/1_s", "/a/T/10_ms", "/a/T/1_min", "/a/P/1_min", "/a/bills"]
            .into_iter()
            .map(str::to_owned)
            .collect();
        // A catalog of the name of a resource, and many series that lie between others.
        keys.extend((0..3000).map(|n| format!("/a/T/x{n}/1_s")));
        keys.extend((0..50).map(|n| format!("/b{n}/T_1/1_s")));
        let store = store_with(&keys).await;
        let found = keys_of(
            &store,
            &[
                "/b7/T_1/1_min_mean",
                "/a/T/10_min_mean",
                "/a/P/10_min_mean",
                "/a/T/10_min_mean#base=1_s",
                "/a/T/x2999/1_h_mean",
                "/a/T/1_h_max",
                "/a/T/1_min",
            ],
        );
        let expected = [
            "/b7/T_1/1_s",
            "/a/T/10_ms",
            "/a/P/1_min",
            "/a/T/1_s",
            "/a/T/x2999/1_s",
            "/a/T/10_ms",
            "/a/T/1_min",
        ];
        assert_eq!(found.await.unwrap(), expected);
        for (path, said) in [
            ("/c/T/1_s_mean", "there is no catalog `/c`"),
            ("/a/T2/10_min_mean", "T2"),
            ("/a/bills/1_d_mean", "bills"),
            ("/a/P/10_min_mean#base=1_s", "1_s"),
        ] {
            let error = keys_of(&store, &["/a/T/1_s", path]).await.unwrap_err();
            assert!(error.contains(said) && error.contains(path), "{error}");
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn many_are_resolved_as_each_alone(
        keys in prop::collection::btree_set("/[ab]{1,2}(/[ab]{1,2}){1,2}/(1_s|2_s|1_min)", 1..200),
        wanted in prop::collection::vec(any::<prop::sample::Index>(), 1..60),
    ) {
        run(async {
            let store = store_with(&keys).await;
            let sorted: Vec<&String> = keys.iter().collect();
            let paths: Vec<String> = wanted
                .iter()
                .map(|index| {
                    let (resource, _) = index.get(&sorted).rsplit_once('/').unwrap();
                    format!("{resource}/1_h_mean")
                })
                .collect();
            let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
            let together = keys_of(&store, &paths).await.unwrap();
            // Now that no series is known to be missing, only those that are wanted are looked at.
            prop_assert_eq!(&keys_of(&store, &paths).await.unwrap(), &together);
            for (path, found) in paths.iter().zip(together) {
                let resource = path.strip_suffix("1_h_mean").unwrap();
                let finest = ["1_s", "2_s", "1_min"].map(|period| format!("{resource}{period}"));
                prop_assert_eq!(Some(&found), finest.iter().find(|key| keys.contains(*key)));
            }
            Ok(())
        })?;
    }
}
