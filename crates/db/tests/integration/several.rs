//! Several processes, or several pools in one, on the same database.

use std::process::{Command, Stdio};
use std::time::Duration;

use sheaf_db::testing::TestDatabase;
use sheaf_db::{Database, DatabaseError, Pipeline};
use sheaf_model::CatalogPath;
use sheaf_store::manifest::{CommitRow, Manifest, Stored};

use super::rows::{fill, head, piece, read_all};

/// Makes a database as it was before there was metadata.
const FORGET_METADATA: &str = "
    DROP TABLE catalogs; DROP TABLE resources; DROP TABLE overrides; DROP TABLE attachments; DROP TABLE pipelines;
    DROP TABLE generations;
    DELETE FROM sheaf_migrations WHERE version IN ('m0002_metadata', 'm0005_catalogs')";

/// Increments the commit of the head, `rounds` times.
async fn increment(database: &Database, rounds: i64) {
    let manifest = database.manifest();
    for _ in 0..rounds {
        let mut write = manifest.write().await.unwrap();
        let commit = write.head().await.unwrap().map_or(0, |head| head.row.commit) + 1;
        write.insert_commit(Stored::seal(CommitRow { commit, nonce: 1, at_ms: 1 })).await.unwrap();
        write
            .insert_pieces((0..20).map(|i| piece(i, commit * 100 + i, vec![1; 50])).collect())
            .await
            .unwrap();
        write.put_head(head(commit)).await.unwrap();
        write.commit().await.unwrap();
    }
}

async fn several_pools_take_turns(test: &TestDatabase) {
    let writers: Vec<_> = (0..3)
        .map(|_| {
            let url = test.url().to_string();
            tokio::spawn(async move {
                let database = Database::connect(&url).await.unwrap();
                let (a, b) = (database.clone(), database);
                let a = tokio::spawn(async move { increment(&a, 20).await });
                increment(&b, 20).await;
                a.await.unwrap();
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let mut view = test.open().await.manifest().read().await.unwrap();
    assert_eq!(view.head().await.unwrap().unwrap().row.commit, 120);
    assert_eq!(view.pieces(&(0..20).collect::<Vec<_>>()).await.unwrap().len(), 120 * 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_pools_take_turns_on_sqlite() {
    several_pools_take_turns(&TestDatabase::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_pools_take_turns_on_postgres() {
    several_pools_take_turns(&TestDatabase::postgres().await).await;
}

async fn all_may_open_a_new_database_at_once(test: &TestDatabase) {
    let opened: Vec<_> = (0..8)
        .map(|_| {
            let url = test.url().to_string();
            tokio::spawn(async move { Database::connect(&url).await.map(drop) })
        })
        .collect();
    for opened in opened {
        opened.await.unwrap().unwrap();
    }
    increment(&test.open().await, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_may_open_a_new_sqlite_file_at_once() {
    for _ in 0..10 {
        all_may_open_a_new_database_at_once(&TestDatabase::sqlite()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_may_open_a_new_postgres_database_at_once() {
    all_may_open_a_new_database_at_once(&TestDatabase::postgres().await).await;
}

const CHILD: &str = "SHEAF_DB_TEST_CHILD";

/// Not a test of its own: what the processes of the next one do.
#[tokio::test]
async fn child_process() {
    if let Ok(url) = std::env::var(CHILD) {
        increment(&Database::connect(&url).await.unwrap(), 30).await;
    }
}

/// Runs this program again, to do what [`child_process`] says.
fn child(url: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "integration::several::child_process"]).env(CHILD, url);
    command.stdout(Stdio::null());
    command
}

async fn several_processes_take_turns(test: &TestDatabase) {
    let children: Vec<_> = (0..3).map(|_| child(test.url()).spawn().unwrap()).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let mut view = test.open().await.manifest().read().await.unwrap();
    assert_eq!(view.head().await.unwrap().unwrap().row.commit, 90);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_processes_take_turns_on_a_new_sqlite_file() {
    several_processes_take_turns(&TestDatabase::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_processes_take_turns_on_a_new_postgres_database() {
    several_processes_take_turns(&TestDatabase::postgres().await).await;
}

/// All of them find that tables are missing, and all of them write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_processes_bring_an_older_database_up_to_date() {
    let (sqlite, postgres) = (TestDatabase::sqlite(), TestDatabase::postgres().await);
    for _ in 0..3 {
        for test in [&sqlite, &postgres] {
            let database = test.open().await;
            let mut write = database.manifest().write().await.unwrap();
            write.put_head(head(0)).await.unwrap();
            write.delete_commits_below(i64::MAX).await.unwrap();
            let pieces = write.pieces(&(0..20).collect::<Vec<_>>()).await.unwrap();
            let keys: Vec<_> = pieces.iter().map(|piece| piece.row.piece_key()).collect();
            write.delete_pieces(&keys).await.unwrap();
            write.commit().await.unwrap();
            database.close().await;
        }
        sqlite.run_on_sqlite(FORGET_METADATA).await;
        postgres.run_on_postgres(FORGET_METADATA).await;
        for test in [&sqlite, &postgres] {
            // Open before the others bring it up to date.
            let early = test.open().await;
            assert_eq!(early.pipelines().all().await.unwrap(), []);
            several_processes_take_turns(test).await;
            let metadata = early.metadata();
            assert_eq!(metadata.catalogs_below(&CatalogPath::Root, None, 9).await.unwrap(), []);
            early.pipelines().add(&Pipeline::new(None, Vec::new()), true).await.unwrap();
            assert_eq!(test.open().await.pipelines().all().await.unwrap().len(), 1);
        }
    }
}

/// Who may only read need not bring anything up to date.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_may_only_read_opens_an_older_database() {
    let test = TestDatabase::postgres().await;
    let mut write = test.open().await.manifest().write().await.unwrap();
    fill(&mut *write).await;
    write.commit().await.unwrap();
    test.run_on_postgres(FORGET_METADATA).await;
    test.run_on_postgres("CREATE ROLE visitor LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO visitor")
        .await;
    let database = Database::connect(&test.url().replace("//sheaf@", "//visitor@")).await.unwrap();
    assert_eq!(read_all(&mut *database.manifest().read().await.unwrap()).await.unwrap().1, 0);
    assert_eq!(database.metadata().catalogs_below(&CatalogPath::Root, None, 9).await.unwrap(), []);
    let error = database.pipelines().add(&Pipeline::new(None, Vec::new()), true).await.unwrap_err();
    assert!(error.to_string().contains("permission denied"), "{error}");
}

/// A transaction of another process does not keep readers from opening a database that lacks tables.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_of_an_older_database_waits_for_nobody() {
    let (sqlite, postgres) = (TestDatabase::sqlite(), TestDatabase::postgres().await);
    drop((sqlite.open().await, postgres.open().await));
    sqlite.run_on_sqlite(FORGET_METADATA).await;
    postgres.run_on_postgres(FORGET_METADATA).await;
    for test in [sqlite, postgres] {
        let (first, second) = (test.open().await, test.open().await);
        // It brings the database up to date, and holds it.
        let write = first.manifest().write().await.unwrap();
        let reading = async {
            assert_eq!(second.generation().await.unwrap(), 0);
            assert_eq!(test.open().await.pipelines().all().await.unwrap(), []);
        };
        tokio::time::timeout(Duration::from_secs(10), reading).await.unwrap();
        drop(write);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_is_killed_leaves_whole_commits() {
    for wait_ms in [60, 90, 130, 180] {
        let test = TestDatabase::sqlite();
        let mut process = child(test.url()).spawn().unwrap();
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        process.kill().unwrap();
        process.wait().unwrap();
        let mut view = test.open().await.manifest().read().await.unwrap();
        let commits = view.head().await.unwrap().map_or(0, |head| head.row.commit);
        assert_eq!(view.pieces(&(0..20).collect::<Vec<_>>()).await.unwrap().len() as i64, commits * 20);
        assert!(view.commit_row(commits + 1).await.unwrap().is_none());
    }
}

/// A transaction in which a change has failed can't be committed without it.
async fn a_failed_change_ends_the_transaction(test: &TestDatabase) {
    let manifest = test.open().await.manifest();
    let mut write = manifest.write().await.unwrap();
    fill(&mut *write).await;
    write.commit().await.unwrap();

    let mut write = manifest.write().await.unwrap();
    write.put_head(head(2)).await.unwrap();
    write.insert_pieces(vec![piece(0, 0, vec![])]).await.unwrap_err();
    let error = write.put_head(head(3)).await.unwrap_err().to_string();
    assert!(error.contains("can't go on"), "{error}");
    write.commit().await.unwrap_err();
    let mut view = manifest.read().await.unwrap();
    assert_eq!(view.head().await.unwrap(), Some(head(1)));
    assert_eq!(read_all(&mut *view).await.unwrap().1, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_change_ends_the_transaction_on_sqlite() {
    a_failed_change_ends_the_transaction(&TestDatabase::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_change_ends_the_transaction_on_postgres() {
    a_failed_change_ends_the_transaction(&TestDatabase::postgres().await).await;
}

/// Part of a batch must not be committed because its caller lost patience.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_given_up_half_way_ends_the_transaction() {
    let manifest = TestDatabase::sqlite();
    let manifest = manifest.open().await.manifest();
    let mut write = manifest.write().await.unwrap();
    let rows = (0..20_000).map(|i| piece(0, i, vec![])).collect();
    let given_up = tokio::time::timeout(Duration::from_millis(1), write.insert_pieces(rows)).await;
    assert!(given_up.is_err(), "20 000 rows take longer than a millisecond");
    write.commit().await.unwrap_err();
}

/// Many more views than connections: they wait, and none fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_views_share_few_connections() {
    let test = TestDatabase::sqlite();
    let manifest = test.open().await.manifest();
    let mut write = manifest.write().await.unwrap();
    fill(&mut *write).await;
    write.commit().await.unwrap();
    let views: Vec<_> = (0..50)
        .map(|_| {
            let manifest = manifest.clone();
            tokio::spawn(async move {
                let mut view = manifest.read().await.unwrap();
                assert_eq!(view.pieces(&[1, 2, 3]).await.unwrap().len(), 21);
            })
        })
        .collect();
    for view in views {
        view.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opening_again_changes_nothing() {
    for test in [TestDatabase::sqlite(), TestDatabase::postgres().await] {
        let mut write = test.open().await.manifest().write().await.unwrap();
        fill(&mut *write).await;
        write.commit().await.unwrap();
        for _ in 0..3 {
            let database = test.open().await;
            let mut view = database.manifest().read().await.unwrap();
            let (rows, damaged) = read_all(&mut *view).await.unwrap();
            assert_eq!((rows, damaged), (1 + 4 * 300 + 2000 + 3 * 49 + 3 * 7 + 49, 0));
            drop(view);
            database.close().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_database_is_refused() {
    let postgres = TestDatabase::postgres().await;
    drop(postgres.open().await);
    postgres.run_on_postgres("INSERT INTO sheaf_migrations VALUES ('m9999_of_tomorrow', 0)").await;
    let sqlite = TestDatabase::sqlite();
    drop(sqlite.open().await);
    sqlite.run_on_sqlite("INSERT INTO sheaf_migrations VALUES ('m9999_of_tomorrow', 0)").await;
    for test in [postgres, sqlite] {
        let error = Database::connect(test.url()).await.unwrap_err();
        assert!(matches!(error, DatabaseError::Newer { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("newer Sheaf") && text.contains("m9999_of_tomorrow"), "{text}");
    }
}
