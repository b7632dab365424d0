//! What can be opened, and what is said about the rest.

use std::fs;
use std::path::Path;

use sheaf_db::Database;
use sheaf_db::testing::TestDatabase;
use sheaf_store::manifest::Manifest;

async fn refused(url: &str, parts: &[&str]) {
    let error = Database::connect(url).await.unwrap_err();
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "{text:?} should say {part:?}");
    }
    assert!(!format!("{text} {error:?}").contains("secret"), "{error:?}");
}

#[tokio::test]
async fn wrong_urls_are_refused_without_their_password() {
    refused("", &["URL", "sqlite:"]).await;
    refused("nonsense", &["does not begin with"]).await;
    refused("mysql://user:secret@host/name", &["`mysql` is no kind of database"]).await;
    refused("sqlite://", &["names no file"]).await;
    refused("sqlite::memory:", &["names no file"]).await;
    refused("postgres://user:secret@host:port/name", &["the database's URL is wrong", "port"]).await;
    refused("user:secret@host", &["does not begin with"]).await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_without_its_password() {
    refused("postgres://user:secret@localhost:1/name", &["postgres://user@localhost:1/name"]).await;
    refused(
        "postgres://user:secret@localhost:1/name?host=/no/such/folder&password=secret",
        &["/no/such/folder"],
    )
    .await;
}

#[tokio::test]
async fn a_database_that_is_not_there_is_named() {
    let test = TestDatabase::postgres().await;
    let url = test.url().replace("/test_", "/no_such_");
    refused(&url, &["no_such_", "does not exist"]).await;
}

#[tokio::test]
async fn files_that_are_none_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let url = |path: &Path| format!("sqlite://{}", path.display());

    refused(&url(folder.path()), &["it is a folder"]).await;
    let missing = path("no_such_folder/test.db");
    refused(&url(&missing), &["there is no folder", "no_such_folder"]).await;
    assert!(!missing.parent().unwrap().exists());

    fs::write(path("text.db"), "This is no database.\n".repeat(1000)).unwrap();
    refused(&url(&path("text.db")), &["text.db", "not a database"]).await;
    assert!(fs::read_to_string(path("text.db")).unwrap().starts_with("This is no database."));

    // No file can be made there, not even by root.
    refused("sqlite:///proc/test.db", &["/proc/test.db", "must be allowed to write"]).await;
}

#[tokio::test]
async fn the_database_of_another_program_is_left_alone() {
    let test = TestDatabase::sqlite();
    test.run_on_sqlite("CREATE TABLE recipes (name TEXT)").await;
    refused(test.url(), &["tables of another program"]).await;
}

#[tokio::test]
async fn paths_may_have_any_characters() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a b.db", "ä?mode=memory.db", "50%25.db", "file:x#y.db"] {
        let path = folder.path().join(name);
        let database = Database::sqlite(&path).await.unwrap();
        assert!(database.describe().contains(name));
        assert_eq!(database.manifest().describe(), database.describe());
        database.close().await;
        assert!(path.is_file(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_leaves_one_file() {
    let test = TestDatabase::sqlite();
    let database = test.open().await;
    drop(database.manifest().read().await.unwrap());
    database.close().await;
    let folder = test.file().unwrap().parent().unwrap();
    let names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["test.db"], "the log is merged into the file");
}
