//! Projects, traces, what connects them, and groups.

use serde_json::json;
use sheaf_db::datastore::{
    Change, Datastore, MappingFilter, MetadataFilter, Micros, NewMetadata, OnError, Page, ProjectFilter,
    ProjectPatch, Range, TraceFilter, TraceListFilter, TracePatch, TraceRecords,
};
use sheaf_db::testing::TestDatabase;
use sheaf_db::{Database, RepositoryError};

pub(crate) const NOW: Micros = Micros(1_700_000_000_000_000);

const LATER: Micros = Micros(NOW.0 + 1);

pub(crate) async fn both() -> [TestDatabase; 2] {
    [TestDatabase::sqlite(), TestDatabase::postgres().await]
}

pub(crate) fn trace(name: &str) -> (String, TracePatch) {
    let patch = TracePatch {
        interpretation: Some("ELECTRICITY_CONSUMPTION_SUPPLIED".to_owned()),
        unit: Some("KWH".to_owned()),
        interval: None,
        name: Some(format!("t_{name}")),
    };
    (name.to_owned(), patch)
}

fn in_place(zipcode: &str) -> ProjectPatch {
    ProjectPatch { zipcode: Some(Some(zipcode.to_owned())), ..ProjectPatch::default() }
}

/// Adds projects; returns their ids.
pub(crate) async fn add_projects(datastore: &Datastore, names: &[&str]) -> Vec<i64> {
    let rows = names.iter().map(|name| ((*name).to_owned(), ProjectPatch::default())).collect();
    let answers = datastore.upsert_projects(rows, OnError::Refuse, NOW).await.unwrap();
    answers.into_iter().map(|answer| answer.unwrap().id).collect()
}

/// Adds traces; returns their ids.
pub(crate) async fn add_traces(datastore: &Datastore, names: &[&str]) -> Vec<i64> {
    let rows = names.iter().map(|name| trace(name)).collect();
    let answers = datastore.upsert_traces(rows, OnError::Refuse, NOW).await.unwrap();
    answers.into_iter().map(|answer| answer.unwrap().id).collect()
}

fn changes(answers: Vec<Result<sheaf_db::datastore::Upserted, RepositoryError>>) -> Vec<Option<Change>> {
    answers.into_iter().map(|answer| answer.ok().map(|answer| answer.change)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_project_from_begin_to_end() {
    for test in both().await {
        let datastore = test.open().await.datastore();
        assert_eq!(datastore.project(1).await.unwrap(), None);
        let owner = datastore.project_owner("ann").await.unwrap();
        assert_eq!(datastore.project_owner("ann").await.unwrap(), owner);
        let patch = ProjectPatch {
            baseline_period_end: Some(Some(Micros(-1))),
            project_owner_id: Some(Some(owner.id)),
            ..in_place("91104")
        };
        let made = datastore.create_project("p é".to_owned(), patch.clone(), NOW).await.unwrap();
        assert_eq!((made.id, made.project_id.as_str(), made.zipcode.as_deref()), (1, "p é", Some("91104")));
        assert_eq!((made.baseline_period_end, made.reporting_period_start), (Some(Micros(-1)), None));
        assert_eq!((made.added, made.updated, made.project_owner_id), (NOW, NOW, Some(owner.id)));
        assert_eq!(datastore.project(1).await.unwrap().as_ref(), Some(&made));
        assert_eq!(datastore.find_project("p é").await.unwrap().as_ref(), Some(&made));
        assert_eq!(datastore.find_project("P é").await.unwrap(), None, "names are compared byte by byte");

        let error = datastore.create_project("p é".to_owned(), patch, NOW).await.unwrap_err();
        assert_eq!(error.to_string(), "a project with this project_id already exists: `p é`");
        assert!(error.is_invalid_input());
        let stranger = ProjectPatch { project_owner_id: Some(Some(9)), ..ProjectPatch::default() };
        let error = datastore.create_project("q".to_owned(), stranger.clone(), NOW).await.unwrap_err();
        assert!(matches!(error, RepositoryError::Missing { what: "project owner", .. }), "{error}");
        for wrong in ["", "a\0b", &"x".repeat(256)] {
            let made = datastore.create_project(wrong.to_owned(), ProjectPatch::default(), NOW).await;
            assert!(matches!(made, Err(RepositoryError::Invalid { .. })), "{made:?}");
            assert_eq!(datastore.find_project(wrong).await.unwrap(), None);
            let filter = ProjectFilter { zipcode: Some(wrong.to_owned()), ..ProjectFilter::default() };
            assert_eq!(datastore.projects(&filter, Page::ALL).await.unwrap(), []);
        }
        let far = datastore.create_project("q".to_owned(), in_place("12345678901"), NOW).await;
        assert!(matches!(far, Err(RepositoryError::Invalid { .. })), "{far:?}");

        let patch = ProjectPatch { zipcode: Some(None), ..ProjectPatch::default() };
        let changed = datastore.update_project(1, Some("r".to_owned()), patch, LATER).await.unwrap().unwrap();
        assert_eq!((changed.zipcode, changed.updated, changed.added), (None, LATER, NOW));
        assert_eq!((changed.project_id.as_str(), changed.project_owner_id), ("r", Some(owner.id)));
        add_projects(&datastore, &["s"]).await;
        let taken = datastore.update_project(1, Some("s".to_owned()), ProjectPatch::default(), LATER).await;
        assert!(matches!(taken, Err(RepositoryError::Exists { .. })), "{taken:?}");
        assert!(datastore.update_project(1, None, stranger, LATER).await.is_err());
        assert_eq!(datastore.update_project(9, None, ProjectPatch::default(), NOW).await.unwrap(), None);

        assert_eq!(datastore.delete_projects(&[1, 9]).await.unwrap(), 1);
        let again = datastore.create_project("r".to_owned(), ProjectPatch::default(), NOW).await.unwrap();
        assert!(again.id > 2, "ids are never used again");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upserting_twice_changes_nothing() {
    for test in both().await {
        let datastore = test.open().await.datastore();
        let rows = |zipcode: &str| {
            (0..1000).map(|number| (format!("p{number}"), in_place(zipcode))).collect::<Vec<_>>()
        };
        let first = datastore.upsert_projects(rows("1"), OnError::Refuse, NOW).await.unwrap();
        let ids: Vec<i64> = first.iter().map(|answer| answer.as_ref().unwrap().id).collect();
        assert_eq!(ids, (1..=1000).collect::<Vec<_>>(), "in the order in which they come");
        assert!(changes(first).into_iter().all(|change| change == Some(Change::Created)));
        let before = datastore.projects(&ProjectFilter::default(), Page::ALL).await.unwrap();
        let second = datastore.upsert_projects(rows("1"), OnError::Refuse, LATER).await.unwrap();
        assert!(changes(second).into_iter().all(|change| change == Some(Change::Unchanged)));
        assert_eq!(datastore.projects(&ProjectFilter::default(), Page::ALL).await.unwrap(), before);

        // What is not given stays; a name that comes twice is changed twice; wrong rows are named.
        let mixed = || {
            vec![
                ("p5".to_owned(), ProjectPatch::default()),
                ("p6".to_owned(), in_place("2")),
                ("p6".to_owned(), in_place("3")),
                (String::new(), in_place("2")),
                ("new".to_owned(), in_place("2")),
                ("new".to_owned(), in_place("2")),
                ("p7".to_owned(), in_place("12345678901")),
            ]
        };
        let expected = [
            Some(Change::Unchanged),
            Some(Change::Updated),
            Some(Change::Updated),
            None,
            Some(Change::Created),
            Some(Change::Unchanged),
            None,
        ];
        let refused = datastore.upsert_projects(mixed(), OnError::Refuse, LATER).await.unwrap();
        assert_eq!(changes(refused), expected);
        assert_eq!(datastore.projects(&ProjectFilter::default(), Page::ALL).await.unwrap(), before);
        let skipped = datastore.upsert_projects(mixed(), OnError::Skip, LATER).await.unwrap();
        assert_eq!(changes(skipped), expected);
        let p6 = datastore.find_project("p6").await.unwrap().unwrap();
        assert_eq!((p6.zipcode.as_deref(), p6.updated), (Some("3"), LATER));
        assert_eq!(datastore.find_project("p5").await.unwrap().unwrap(), before[5]);
        assert_eq!(datastore.project_ids().await.unwrap().len(), 1001);
        assert_eq!(datastore.upsert_projects(Vec::new(), OnError::Refuse, NOW).await.unwrap().len(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_of_projects() {
    for test in both().await {
        let datastore = test.open().await.datastore();
        let rows = (0..20).map(|number| {
            let patch = ProjectPatch {
                baseline_period_end: Some(Some(Micros(number * 10))),
                reporting_period_start: Some((number % 2 == 0).then_some(Micros(number * 10 + 5))),
                ..in_place(if number < 10 { "1" } else { "2" })
            };
            (format!("p{number}"), patch)
        });
        datastore.upsert_projects(rows.collect(), OnError::Refuse, NOW).await.unwrap();
        let list = async |filter: ProjectFilter, page: Page| {
            let rows = datastore.projects(&filter, page).await.unwrap();
            rows.into_iter().map(|row| row.id).collect::<Vec<_>>()
        };
        let all = ProjectFilter::default;
        assert_eq!(list(all(), Page { after: 18, limit: None }).await, [19, 20]);
        assert_eq!(list(all(), Page { after: 3, limit: Some(2) }).await, [4, 5]);
        let named = ProjectFilter { project_id: Some("p3".to_owned()), ..all() };
        assert_eq!(list(named, Page::ALL).await, [4]);
        let ranges = ProjectFilter { ids: Some(vec![19..=40, 2..=3, 3..=4, -5..=1]), ..all() };
        assert_eq!(list(ranges.clone(), Page::ALL).await, [1, 2, 3, 4, 19, 20]);
        let both_sets = ProjectFilter { allowed: Some(vec![20, 4, 5, 4]), ..ranges };
        assert_eq!(list(both_sets, Page::ALL).await, [4, 20]);
        assert_eq!(list(ProjectFilter { allowed: Some(vec![]), ..all() }, Page::ALL).await, [0_i64; 0]);
        assert_eq!(list(ProjectFilter { ids: Some(vec![]), ..all() }, Page::ALL).await, [0_i64; 0]);
        let times = ProjectFilter {
            zipcode: Some("1".to_owned()),
            baseline_period_end: Range { from: Some(Micros(40)), to: Some(Micros(80)) },
            reporting_period_start: Range { from: None, to: Some(Micros(65)) },
            ..all()
        };
        assert_eq!(list(times, Page::ALL).await, [5, 7]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traces_mappings_and_metadata() {
    for test in both().await {
        let datastore = test.open().await.datastore();
        let projects = add_projects(&datastore, &["p", "q"]).await;
        let traces = add_traces(&datastore, &["a", "b", "c"]).await;
        let incomplete = datastore.create_trace("d".to_owned(), TracePatch::default(), NOW).await;
        assert!(matches!(incomplete, Err(RepositoryError::Invalid { .. })), "{incomplete:?}");
        let mut clash = trace("d");
        clash.1.name = Some("t_a".to_owned());
        let clash = datastore.upsert_traces(vec![clash], OnError::Skip, NOW).await.unwrap();
        assert_eq!(
            clash[0].as_ref().unwrap_err().to_string(),
            "a trace with this name already exists: `t_a`"
        );

        let records = |id, n_records| TraceRecords {
            id,
            sample_period: (n_records > 0).then(|| "15_min".to_owned()),
            n_records,
            first_start: Some(Micros(-7)),
            last_start: None,
        };
        let said = vec![records(traces[0], 5), records(traces[2], 0), records(99, 7)];
        datastore.set_trace_records(said, LATER).await.unwrap();
        let a = datastore.find_trace("a").await.unwrap().unwrap();
        assert_eq!((a.sample_period.as_deref(), a.n_records, a.updated), (Some("15_min"), 5, LATER));
        assert_eq!((a.first_start, a.last_start), (Some(Micros(-7)), None));
        assert_eq!(datastore.trace(traces[1]).await.unwrap().unwrap().n_records, 0);

        let pairs = [(projects[0], traces[0]), (projects[0], traces[1]), (projects[1], traces[1])];
        let answers = datastore.upsert_mappings(&pairs, OnError::Refuse).await.unwrap();
        assert_eq!(changes(answers), [Some(Change::Created); 3]);
        let again =
            [pairs[1], (9, traces[0]), (projects[0], 9), (projects[1], traces[2]), (projects[1], traces[2])];
        let refused = datastore.upsert_mappings(&again, OnError::Refuse).await.unwrap();
        assert_eq!(refused[1].as_ref().unwrap_err().to_string(), "there is no project `9`");
        assert_eq!(datastore.mappings(&MappingFilter::default(), Page::ALL).await.unwrap().len(), 3);
        let skipped = datastore.upsert_mappings(&again, OnError::Skip).await.unwrap();
        let expected = [Some(Change::Unchanged), None, None, Some(Change::Created), Some(Change::Unchanged)];
        assert_eq!(changes(skipped), expected);
        let of =
            |project: i64| TraceListFilter { projects: Some(vec![project]), ..TraceListFilter::default() };
        let listed = datastore.traces(&of(projects[1]), Page::ALL).await.unwrap();
        assert_eq!(listed.iter().map(|row| row.id).collect::<Vec<_>>(), traces[1..]);
        let none = TraceListFilter { interpretation: Some("E_C_S".to_owned()), ..TraceListFilter::default() };
        assert_eq!(datastore.traces(&none, Page::ALL).await.unwrap(), []);
        let gone = MappingFilter { traces: Some(vec![traces[2]]), ..MappingFilter::default() };
        assert_eq!(datastore.delete_mappings(&gone).await.unwrap(), 1);

        let metadata = |project: &str, key: &str, value: &str| NewMetadata {
            project_id: project.to_owned(),
            key: key.to_owned(),
            value: value.to_owned(),
        };
        let rows = || {
            vec![
                metadata("p", "cost", "1"),
                metadata("p", "cost", "2"),
                metadata("z", "cost", "3"),
                metadata("q", "cost", ""),
                metadata("q", "", "3"),
            ]
        };
        assert_eq!(
            changes(datastore.upsert_metadata(rows(), OnError::Skip).await.unwrap()),
            [Some(Change::Created), Some(Change::Updated), None, Some(Change::Created), None]
        );
        let again = vec![metadata("p", "cost", "2"), metadata("q", "cost", "x"), metadata("q", "size", "x")];
        let expected = [Some(Change::Unchanged), Some(Change::Updated), Some(Change::Created)];
        assert_eq!(changes(datastore.upsert_metadata(again, OnError::Refuse).await.unwrap()), expected);
        let costs = MetadataFilter { key: Some("cost".to_owned()), ..MetadataFilter::default() };
        let costs = datastore.metadata(&costs, Page::ALL).await.unwrap();
        assert_eq!(costs.iter().map(|row| row.value.as_str()).collect::<Vec<_>>(), ["2", "x"]);
        let of_q = MetadataFilter { projects: Some(vec![projects[1]]), ..MetadataFilter::default() };
        assert_eq!(datastore.delete_metadata(&of_q).await.unwrap(), 2);

        let bad = vec![("a".to_owned(), Some("broken".to_owned())), ("unknown".to_owned(), None)];
        let answers = datastore.upsert_blacklist(bad.clone(), OnError::Refuse).await.unwrap();
        assert_eq!(changes(answers), [Some(Change::Created); 2]);
        let answers = datastore.upsert_blacklist(bad, OnError::Refuse).await.unwrap();
        assert_eq!(changes(answers), [Some(Change::Unchanged); 2]);
        assert_eq!(datastore.blacklist(Page::ALL).await.unwrap()[0].reason.as_deref(), Some("broken"));

        assert_eq!(datastore.delete_traces(&traces[..1]).await.unwrap(), 1);
        assert_eq!(datastore.delete_projects(&projects).await.unwrap(), 2);
        assert_eq!(datastore.mappings(&MappingFilter::default(), Page::ALL).await.unwrap(), []);
        assert_eq!(datastore.metadata(&MetadataFilter::default(), Page::ALL).await.unwrap(), []);
        assert_eq!(datastore.trace_ids().await.unwrap().len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_have_the_traces_that_fit() {
    for test in both().await {
        let datastore = test.open().await.datastore();
        let projects = add_projects(&datastore, &["p", "q", "r"]).await;
        let traces = add_traces(&datastore, &["a", "b", "c", "alone"]).await;
        let pairs = [
            (projects[0], traces[0]),
            (projects[1], traces[0]),
            (projects[1], traces[1]),
            (projects[2], traces[2]),
        ];
        datastore.upsert_mappings(&pairs, OnError::Refuse).await.unwrap();
        let cost = |project: &str, value: &str| NewMetadata {
            project_id: project.to_owned(),
            key: "cost".to_owned(),
            value: value.to_owned(),
        };
        let costs = vec![cost("p", "20000"), cost("q", "9999.5"), cost("r", "cheap")];
        datastore.upsert_metadata(costs, OnError::Refuse).await.unwrap();
        let members = async |specification: serde_json::Value| {
            let filter = TraceFilter::parse(&specification).unwrap();
            let ids = datastore.members(filter.as_ref()).await.unwrap();
            let place = |id| traces.iter().position(|trace| *trace == id).unwrap();
            ids.into_iter().map(place).collect::<Vec<_>>()
        };
        let leaf = |target: &str, comparison: &str, value: serde_json::Value| json!({"filter": {"target": target, "comparison": comparison, "value": value}});
        assert_eq!(members(json!(null)).await, [0, 1, 2, 3]);
        assert_eq!(members(leaf("project_metadata|cost", "<=", json!(10000))).await, [0, 1]);
        assert_eq!(members(leaf("project_metadata|cost", ">", json!(10000))).await, [0]);
        assert_eq!(members(leaf("project_metadata|cost", "!=", json!("cheap"))).await, [0, 1]);
        assert_eq!(members(leaf("project_metadata|size", "!=", json!(1))).await, [0_usize; 0]);
        assert_eq!(members(leaf("project_id", "not in", json!(["q"]))).await, [0, 2]);
        assert_eq!(members(leaf("trace_id", ">=", json!("al"))).await, [1, 2, 3]);
        let either = json!({"filter_boolean": {"boolean": "or",
            "filter_a": leaf("trace_id", "==", json!("alone")), "filter_b": leaf("project_id", "==", json!("r"))}});
        assert_eq!(members(either.clone()).await, [2, 3]);
        // Both must be true of the same project.
        let same = json!({"filter_boolean": {"boolean": "and",
            "filter_a": leaf("project_id", "==", json!("p")), "filter_b": leaf("project_metadata|cost", "<", json!(10000))}});
        assert_eq!(members(same).await, [0_usize; 0]);

        let group = datastore.create_group("g".to_owned(), Some(either.to_string())).await.unwrap();
        assert_eq!(datastore.group(group.id).await.unwrap().as_ref(), Some(&group));
        assert_eq!(datastore.group_members(group.id).await.unwrap(), Some(traces[2..].to_vec()));
        assert_eq!(datastore.group_members(99).await.unwrap(), None);
        assert!(datastore.create_group("g".to_owned(), None).await.unwrap_err().is_invalid_input());
        let wrong = datastore.create_group("h".to_owned(), Some("{}".to_owned())).await.unwrap_err();
        assert!(wrong.to_string().contains("filter_specification: it must be an object"), "{wrong}");
        let renamed =
            datastore.update_group(group.id, Some("i".to_owned()), Some(None)).await.unwrap().unwrap();
        assert_eq!((renamed.name.as_str(), renamed.filter_specification), ("i", None));
        assert_eq!(datastore.group_members(group.id).await.unwrap().unwrap().len(), 4);
        assert_eq!(datastore.find_group("i").await.unwrap().unwrap().id, group.id);
        assert!(datastore.delete_group(group.id).await.unwrap());
        assert!(!datastore.delete_group(group.id).await.unwrap());
        assert_eq!(datastore.groups(Page::ALL).await.unwrap(), []);
    }
}

/// A database that lacks the tables is as good as empty, until something is written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_database_gets_the_tables() {
    let test = TestDatabase::sqlite();
    test.open().await.close().await;
    let older: String = [
        "DROP VIEW meterresultmart; DROP VIEW groupstatisticsmart;",
        "DROP VIEW modelresultmart; DROP VIEW projectsummarymart; DROP VIEW tracesummarymart;",
        "DROP VIEW warehouse_meterresultmart; DROP VIEW warehouse_groupstatisticsmart;",
        "DROP VIEW warehouse_modelresultmart; DROP VIEW warehouse_projectsummarymart; DROP VIEW warehouse_tracesummarymart;",
        "DELETE FROM sheaf_migrations WHERE version LIKE '%datastore' OR version LIKE '%marts';",
    ]
    .into_iter()
    .map(str::to_owned)
    .chain(TABLES.iter().map(|table| format!("DROP TABLE {table};")))
    .collect();
    test.run_on_sqlite(&older).await;
    let database: Database = test.open().await;
    let datastore = database.datastore();
    assert_eq!(datastore.projects(&ProjectFilter::default(), Page::ALL).await.unwrap(), []);
    assert_eq!(datastore.members(None).await.unwrap(), [0_i64; 0]);
    assert_eq!(add_projects(&datastore, &["p"]).await, [1]);
    assert_eq!(datastore.project_ids().await.unwrap(), [(1, "p".to_owned())]);
}

const TABLES: [&str; 19] = [
    "datastore_sequences",
    "datastore_projectowner",
    "datastore_project",
    "datastore_trace",
    "datastore_project_traces",
    "datastore_projectmetadata",
    "datastore_tracegroup",
    "datastore_traceblacklist",
    "metering_batch",
    "metering_meterrun",
    "metering_meterresult",
    "metering_modelingperiod",
    "metering_modelingperiodgroup",
    "metering_modelresult",
    "metering_meterderivative",
    "metering_current",
    "metering_aggregationrun",
    "metering_aggregationresult",
    "metering_aggregationderivativestatus",
];
