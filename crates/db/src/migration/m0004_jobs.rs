//! Work that takes time: jobs, and the files that they leave behind.

use sea_orm::DbErr;
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0004_jobs"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::execute(manager, &STATEMENTS).await
    }
}

/// States are those of `repo::jobs`: below 2 there is something to do.
const STATEMENTS: [&str; 6] = [
    r#"CREATE TABLE "jobs" (
        "id" {name} NOT NULL PRIMARY KEY,
        "kind" {name} NOT NULL, "owner" {name} NOT NULL, "owner_name" {text} NOT NULL,
        "parameters" {text} NOT NULL,
        "state" {int} NOT NULL, "attempt" {int} NOT NULL, "max_attempts" {int} NOT NULL,
        "ready_at_ms" {int} NOT NULL, "holder" {int} NOT NULL, "until_ms" {int} NOT NULL,
        "progress" {real} NOT NULL, "activity" {text} NOT NULL,
        "result" {text}, "failure" {text}, "cancel_requested" {int} NOT NULL,
        "created_at_ms" {int} NOT NULL, "started_at_ms" {int}, "finished_at_ms" {int}
    ) {clustered}"#,
    // What is to be done, in the order in which it is done.
    r#"CREATE INDEX "jobs_open" ON "jobs" ("created_at_ms", "id") WHERE "state" < 2"#,
    r#"CREATE INDEX "jobs_by_age" ON "jobs" ("created_at_ms", "id")"#,
    r#"CREATE INDEX "jobs_of_owner" ON "jobs" ("owner", "created_at_ms", "id")"#,
    r#"CREATE TABLE "artifacts" (
        "id" {name} NOT NULL PRIMARY KEY,
        "job" {name} NOT NULL, "owner" {name} NOT NULL, "file_name" {text} NOT NULL,
        "bytes" {int} NOT NULL, "sha256" {text} NOT NULL,
        "created_at_ms" {int} NOT NULL, "expires_at_ms" {int} NOT NULL
    ) {clustered}"#,
    r#"CREATE INDEX "artifacts_by_expiry" ON "artifacts" ("expires_at_ms")"#,
];
