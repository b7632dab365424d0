//! What is known of catalogs and resources beside their samples, and the sources that are read in place.

use sea_orm::{ConnectionTrait, DbBackend, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0002_metadata"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        let (int, name, text, clustered) = match connection.get_database_backend() {
            // The resources of a catalog lie together.
            DbBackend::Sqlite => ("INTEGER", "TEXT", "TEXT", "STRICT, WITHOUT ROWID"),
            // Names are compared byte by byte.
            _ => ("BIGINT", "TEXT COLLATE \"C\"", "TEXT", ""),
        };
        for statement in TABLES {
            let statement = statement
                .replace("{int}", int)
                .replace("{name}", name)
                .replace("{text}", text)
                .replace("{clustered}", clustered);
            connection.execute_unprepared(&statement).await?;
        }
        Ok(())
    }
}

/// Properties and configurations are JSON, and texts: no database may change the order of keys or how a number is written.
const TABLES: [&str; 3] = [
    r#"CREATE TABLE "catalogs" (
        "catalog" {name} NOT NULL PRIMARY KEY, "properties" {text} NOT NULL
    ) {clustered}"#,
    r#"CREATE TABLE "resources" (
        "catalog" {name} NOT NULL, "resource" {name} NOT NULL, "properties" {text} NOT NULL,
        PRIMARY KEY ("catalog", "resource")
    ) {clustered}"#,
    r#"CREATE TABLE "sources" (
        "mount" {name} NOT NULL PRIMARY KEY,
        "kind" {text} NOT NULL, "configuration" {text} NOT NULL, "created_at_ms" {int} NOT NULL
    ) {clustered}"#,
];
