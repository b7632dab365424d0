//! What is known of catalogs and resources beside their samples, and the sources that are read in place.

use sea_orm::DbErr;
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
        super::execute(manager, &TABLES).await
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
