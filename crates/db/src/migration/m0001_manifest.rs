//! The tables of the store's manifest.

use sea_orm::{ConnectionTrait, DbBackend, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0001_manifest"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        let (int, text, bytes, table, clustered) = match connection.get_database_backend() {
            // STRICT: no value of another type gets in. An `INTEGER PRIMARY KEY` is the row's own number.
            // WITHOUT ROWID: the rows lie in the order of their key, so those of a series lie together.
            DbBackend::Sqlite => ("INTEGER", "TEXT", "BLOB", "STRICT", "STRICT, WITHOUT ROWID"),
            // Keys are compared byte by byte.
            _ => ("BIGINT", "TEXT COLLATE \"C\"", "BYTEA", "", ""),
        };
        for statement in TABLES {
            let statement = statement
                .replace("{int}", int)
                .replace("{text}", text)
                .replace("{bytes}", bytes)
                .replace("{table}", table)
                .replace("{clustered}", clustered);
            connection.execute_unprepared(&statement).await?;
        }
        Ok(())
    }
}

/// SQL by hand, since SeaORM's builder knows neither STRICT nor WITHOUT ROWID, and with both dialects in one text.
const TABLES: [&str; 11] = [
    // One row, with id 1.
    r#"CREATE TABLE "head" (
        "id" {int} NOT NULL PRIMARY KEY,
        "format" {int} NOT NULL, "store" {int} NOT NULL, "commit" {int} NOT NULL, "nonce" {int} NOT NULL,
        "series_count" {int} NOT NULL, "series_digest" {int} NOT NULL,
        "segment_count" {int} NOT NULL, "segment_digest" {int} NOT NULL,
        "tail_rows" {int} NOT NULL, "tail_bytes" {int} NOT NULL, "tail_since_ms" {int} NOT NULL,
        "next_series" {int} NOT NULL, "next_segment" {int} NOT NULL, "next_ordinal" {int} NOT NULL,
        "checksum" {int} NOT NULL
    ) {table}"#,
    r#"CREATE TABLE "commits" (
        "commit" {int} NOT NULL PRIMARY KEY,
        "nonce" {int} NOT NULL, "at_ms" {int} NOT NULL, "checksum" {int} NOT NULL
    ) {table}"#,
    r#"CREATE TABLE "series" (
        "id" {int} NOT NULL PRIMARY KEY,
        "key" {text} NOT NULL UNIQUE,
        "data_type" {int} NOT NULL, "period_ticks" {int} NOT NULL, "phase_ticks" {int} NOT NULL,
        "piece_count" {int} NOT NULL, "piece_digest" {int} NOT NULL, "checksum" {int} NOT NULL
    ) {table}"#,
    r#"CREATE TABLE "pieces" (
        "series" {int} NOT NULL, "commit" {int} NOT NULL, "ordinal" {int} NOT NULL,
        "kind" {int} NOT NULL, "begin_ticks" {int} NOT NULL, "end_ticks" {int} NOT NULL,
        "segment" {int} NOT NULL, "first_row" {int} NOT NULL, "rows" {int} NOT NULL, "missing" {int} NOT NULL,
        "blob" {bytes} NOT NULL, "checksum" {int} NOT NULL,
        PRIMARY KEY ("series", "commit", "ordinal")
    ) {clustered}"#,
    // Who has pieces in a segment, or in the tail (0). Most pieces of a deleted past have no segment (-1).
    r#"CREATE INDEX "pieces_by_segment" ON "pieces" ("segment", "series") WHERE "segment" >= 0"#,
    r#"CREATE TABLE "segments" (
        "id" {int} NOT NULL PRIMARY KEY,
        "data_type" {int} NOT NULL, "rows" {int} NOT NULL, "bytes" {int} NOT NULL, "has_estimated" {int} NOT NULL,
        "block_sums" {bytes} NOT NULL, "checksum" {int} NOT NULL
    ) {table}"#,
    r#"CREATE TABLE "segment_states" (
        "id" {int} NOT NULL PRIMARY KEY,
        "file_nonce" {int} NOT NULL, "data_type" {int} NOT NULL, "bytes" {int} NOT NULL, "rows" {int} NOT NULL,
        "live_rows" {int} NOT NULL, "live_pieces" {int} NOT NULL, "retired_ms" {int} NOT NULL,
        "checksum" {int} NOT NULL
    ) {table}"#,
    r#"CREATE TABLE "keys" (
        "key" {text} NOT NULL PRIMARY KEY,
        "payload" {int} NOT NULL, "commit" {int} NOT NULL, "at_ms" {int} NOT NULL, "checksum" {int} NOT NULL
    ) {clustered}"#,
    // Keys go when they are old.
    r#"CREATE INDEX "keys_by_age" ON "keys" ("at_ms")"#,
    r#"CREATE TABLE "pending" (
        "file" {text} NOT NULL PRIMARY KEY, "until_ms" {int} NOT NULL, "checksum" {int} NOT NULL
    ) {clustered}"#,
    r#"CREATE TABLE "leases" (
        "name" {text} NOT NULL PRIMARY KEY,
        "holder" {int} NOT NULL, "until_ms" {int} NOT NULL, "checksum" {int} NOT NULL
    ) {clustered}"#,
];
