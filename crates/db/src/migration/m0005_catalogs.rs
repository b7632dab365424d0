//! What people say of catalogs, the files that belong to them, and pipelines of sources in place of single ones.

use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};
use serde_json::{Value, json};
use uuid::Builder;

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0005_catalogs"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::execute(manager, &TABLES).await?;
        let connection = manager.get_connection();
        let backend = connection.get_database_backend();
        // A source becomes a pipeline of one.
        let sources = Statement::from_string(backend, format!("{SOURCES} ORDER BY \"mount\""));
        for (position, row) in connection.query_all_raw(sources).await?.into_iter().enumerate() {
            let source = OldSource {
                mount: row.try_get_by_index(0)?,
                kind: row.try_get_by_index(1)?,
                configuration: row.try_get_by_index(2)?,
                created_at_ms: row.try_get_by_index(3)?,
            };
            let insert = match backend {
                DbBackend::Sqlite => "INSERT INTO \"pipelines\" VALUES (?, NULL, ?, NULL, NULL, ?)",
                _ => "INSERT INTO \"pipelines\" VALUES ($1, NULL, $2, NULL, NULL, $3)",
            };
            let (id, registrations) = (source.id(position), source.registrations());
            let values = [id.into(), registrations.into(), source.created_at_ms.into()];
            connection.execute_raw(Statement::from_sql_and_values(backend, insert, values)).await?;
        }
        connection.execute_unprepared("DROP TABLE \"sources\"").await?;
        Ok(())
    }
}

/// Reads the sources of a database that lacks this change.
pub(crate) const SOURCES: &str =
    "SELECT \"mount\", \"kind\", \"configuration\", \"created_at_ms\" FROM \"sources\"";

/// A source as it was kept before there were pipelines.
pub(crate) struct OldSource {
    pub(crate) mount: String,
    pub(crate) kind: String,
    pub(crate) configuration: String,
    pub(crate) created_at_ms: i64,
}

impl OldSource {
    /// The id of its pipeline: the same whoever reads it.
    pub(crate) fn id(&self, position: usize) -> String {
        let number = (self.created_at_ms as u128) << 64 | position as u128;
        Builder::from_custom_bytes(number.to_be_bytes()).into_uuid().to_string()
    }

    /// The registrations of its pipeline, as JSON. Settings that can't be read stay as they are: whoever opens the source
    /// says so.
    pub(crate) fn registrations(&self) -> String {
        let mut locator = Value::Null;
        let configuration = match serde_json::from_str::<Value>(&self.configuration) {
            Ok(Value::Object(mut settings)) => {
                settings.shift_remove("kind");
                locator = settings.shift_remove("root").unwrap_or_default();
                settings.insert("catalog".to_owned(), self.mount.as_str().into());
                Value::Object(settings)
            }
            Ok(other) => json!({"catalog": self.mount, "settings": other}),
            Err(_) => json!({"catalog": self.mount, "settings": self.configuration}),
        };
        // There was one kind.
        let kind = if self.kind == "folder" { "Sheaf.Sources.Folder" } else { &self.kind };
        json!([{"type": kind, "resourceLocator": locator, "configuration": configuration}]).to_string()
    }
}

/// All but names and counts are JSON, and texts: no database may change the order of keys or how a number is written.
const TABLES: [&str; 4] = [
    r#"CREATE TABLE "overrides" (
        "catalog" {name} NOT NULL PRIMARY KEY, "contact" {text}, "groups" {text}, "overrides" {text}
    ) {clustered}"#,
    r#"CREATE TABLE "attachments" (
        "catalog" {name} NOT NULL, "name" {name} NOT NULL,
        "bytes" {int} NOT NULL, "sha256" {text} NOT NULL, "file" {text} NOT NULL, "created_at_ms" {int} NOT NULL,
        PRIMARY KEY ("catalog", "name")
    ) {clustered}"#,
    r#"CREATE TABLE "pipelines" (
        "id" {name} NOT NULL PRIMARY KEY, "owner" {name}, "registrations" {text} NOT NULL,
        "release_pattern" {text}, "visibility_pattern" {text}, "created_at_ms" {int} NOT NULL
    ) {clustered}"#,
    r#"CREATE TABLE "generations" ("name" {name} NOT NULL PRIMARY KEY, "value" {int} NOT NULL) {clustered}"#,
];
