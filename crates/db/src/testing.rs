//! Databases for tests: a file or a database of a temporary PostgreSQL server, fresh for each test.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::sqlx::sqlite::SqliteConnectOptions;
use sea_orm::sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};
use tempfile::TempDir;

use crate::Database;

/// A database of its own for a test; it goes away with this value, or with the process.
#[derive(Debug)]
pub struct TestDatabase {
    url: String,
    _folder: Option<TempDir>,
}

impl TestDatabase {
    /// A new SQLite file, not made yet.
    ///
    /// # Panics
    /// There is no temporary folder.
    pub fn sqlite() -> TestDatabase {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("test.db").display());
        TestDatabase { url, _folder: Some(folder) }
    }

    /// A new, empty database on the PostgreSQL server of this process.
    ///
    /// # Panics
    /// There is no PostgreSQL on this machine, or it does not start.
    pub async fn postgres() -> TestDatabase {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let server = tokio::task::spawn_blocking(PostgresServer::of_this_process).await.unwrap();
        server.run(&format!("CREATE DATABASE {name}")).await;
        TestDatabase { url: server.url(&name), _folder: None }
    }

    /// Its URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its file, if it is one.
    pub fn file(&self) -> Option<&Path> {
        self.url.strip_prefix("sqlite://").map(Path::new)
    }

    /// Opens it; as often as one likes.
    ///
    /// # Panics
    /// It can't be opened.
    pub async fn open(&self) -> Database {
        match Database::connect(&self.url).await {
            Ok(database) => database,
            Err(error) => panic!("{error}"),
        }
    }

    /// Runs statements that Sheaf itself never would, on PostgreSQL.
    ///
    /// # Panics
    /// They fail.
    pub async fn run_on_postgres(&self, sql: &str) {
        run(&self.url, sql).await;
    }

    /// Runs statements that Sheaf itself never would, on SQLite; they make the file if there is none.
    ///
    /// # Panics
    /// They fail.
    pub async fn run_on_sqlite(&self, sql: &str) {
        let options = SqliteConnectOptions::new().filename(self.file().unwrap()).create_if_missing(true);
        let mut connection = options.connect().await.unwrap();
        connection.execute(AssertSqlSafe(sql.to_string())).await.unwrap();
        connection.close().await.unwrap();
    }
}

async fn run(url: &str, sql: &str) {
    let options: PgConnectOptions = url.parse().unwrap();
    let mut connection = options.connect().await.unwrap();
    connection.execute(AssertSqlSafe(sql.to_string())).await.unwrap();
    connection.close().await.unwrap();
}

/// A server in a temporary folder, with a socket there and no port. A watching shell stops it and removes the folder
/// when this process is gone, however it went: then the shell's input ends.
struct PostgresServer {
    folder: PathBuf,
    _watcher: Child,
}

/// What the watching shell does. It ignores the signals of a terminal, which go to all processes in it.
const WATCH: &str = r#"
trap '' HUP INT TERM
"$0" -D "$1/data" -k "$1" -c listen_addresses= -c fsync=off -c full_page_writes=off -c max_connections=200 \
    -c shared_buffers=32MB -c autovacuum=off >"$1/log" 2>&1 </dev/null &
server=$!
cat >/dev/null
kill -QUIT $server
wait $server
rm -rf "$1"
"#;

impl PostgresServer {
    fn of_this_process() -> &'static PostgresServer {
        static SERVER: OnceLock<PostgresServer> = OnceLock::new();
        SERVER.get_or_init(PostgresServer::start)
    }

    fn start() -> PostgresServer {
        let programs = programs();
        // It goes by the shell's hand, which may be another user's.
        let folder = tempfile::Builder::new().prefix("sheaf-postgres-").tempdir().unwrap().keep();
        let user = other_user(&folder);
        if let Some((uid, gid)) = user {
            chown(&folder, Some(uid), Some(gid)).unwrap();
        }
        let command = |program: &Path| {
            let mut command = Command::new(program);
            // Its own settings must not be those of some other server.
            command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C").current_dir(&folder);
            if let Some((uid, gid)) = user {
                command.uid(uid).gid(gid);
            }
            command
        };
        let made = command(&programs.join("initdb"))
            .args(["--auth=trust", "--username=sheaf", "--no-locale", "--encoding=UTF8", "--no-sync", "-D"])
            .arg(folder.join("data"))
            .output()
            .unwrap();
        assert!(made.status.success(), "initdb failed: {}", String::from_utf8_lossy(&made.stderr));
        let mut watcher = command(Path::new("/bin/sh"))
            .args(["-c", WATCH])
            .arg(programs.join("postgres"))
            .arg(&folder)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let socket = folder.join(".s.PGSQL.5432");
        let begun = Instant::now();
        while std::os::unix::net::UnixStream::connect(&socket).is_err() || !is_ready(&folder) {
            let log = || fs::read_to_string(folder.join("log")).unwrap_or_default();
            assert!(watcher.try_wait().unwrap().is_none(), "PostgreSQL does not start: {}", log());
            assert!(begun.elapsed() < Duration::from_secs(60), "PostgreSQL does not get ready: {}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
        PostgresServer { folder, _watcher: watcher }
    }

    fn url(&self, name: &str) -> String {
        format!("postgres://sheaf@localhost:5432/{name}?host={}", self.folder.display())
    }

    async fn run(&self, sql: &str) {
        run(&self.url("postgres"), sql).await;
    }
}

fn is_ready(folder: &Path) -> bool {
    let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
    log.contains("database system is ready to accept connections")
}

/// PostgreSQL refuses to run as root: then it runs as another user, with this number and group.
fn other_user(folder: &Path) -> Option<(u32, u32)> {
    if fs::metadata(folder).unwrap().uid() != 0 {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let number_of = |name: &str| {
        let fields: Vec<&str> =
            users.lines().find(|line| line.split(':').next() == Some(name))?.split(':').collect();
        Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?))
    };
    let user = number_of("postgres").or_else(|| number_of("nobody"));
    Some(user.expect("root can't run PostgreSQL, and there is neither a user `postgres` nor `nobody`"))
}

/// The folder with PostgreSQL's programs: that of the newest version.
fn programs() -> PathBuf {
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|versions| versions.flatten().map(|version| version.path().join("bin")).collect())
        .unwrap_or_default();
    folders.sort_by_key(|folder| {
        let version =
            folder.parent().and_then(Path::file_name).and_then(|name| name.to_str()?.parse::<u32>().ok());
        std::cmp::Reverse(version)
    });
    folders.extend(std::env::split_paths(&on_path));
    folders
        .into_iter()
        .find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists())
        .expect("these tests need PostgreSQL's programs: apt-get install postgresql")
}
