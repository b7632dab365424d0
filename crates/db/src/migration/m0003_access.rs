//! Who may do what: users, what they may, their tokens and sessions, the licences they accepted, and what was done.

use sea_orm::DbErr;
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0003_access"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::execute(manager, &TABLES).await
    }
}

/// Secrets are here as their SHA-256 only: whoever reads this file can't sign in with it.
const TABLES: [&str; 13] = [
    // One row, with id 1: another number after each change of what decides who may do what.
    r#"CREATE TABLE "access_state" ("id" {int} NOT NULL PRIMARY KEY, "nonce" {int} NOT NULL) {table}"#,
    r#"INSERT INTO "access_state" VALUES (1, 0)"#,
    r#"CREATE TABLE "users" (
        "id" {name} NOT NULL PRIMARY KEY, "name" {text} NOT NULL, "scheme" {text},
        "password_hash" {text}, "created_at_ms" {int} NOT NULL
    ) {clustered}"#,
    r#"CREATE TABLE "claims" (
        "id" {name} NOT NULL PRIMARY KEY, "user_id" {name} NOT NULL, "kind" {text} NOT NULL, "value" {text} NOT NULL
    ) {clustered}"#,
    r#"CREATE INDEX "claims_by_user" ON "claims" ("user_id")"#,
    r#"CREATE TABLE "tokens" (
        "id" {name} NOT NULL PRIMARY KEY, "user_id" {name} NOT NULL, "name" {text} NOT NULL,
        "secret" {bytes} NOT NULL UNIQUE, "created_at_ms" {int} NOT NULL, "expires_at_ms" {int},
        "claims" {text} NOT NULL
    ) {clustered}"#,
    r#"CREATE INDEX "tokens_by_user" ON "tokens" ("user_id")"#,
    r#"CREATE TABLE "sessions" (
        "id" {name} NOT NULL PRIMARY KEY, "user_id" {name} NOT NULL, "secret" {bytes} NOT NULL UNIQUE,
        "agent" {text} NOT NULL, "created_at_ms" {int} NOT NULL, "expires_at_ms" {int} NOT NULL
    ) {clustered}"#,
    r#"CREATE INDEX "sessions_by_user" ON "sessions" ("user_id")"#,
    // Sign-ins that a provider has not answered yet.
    r#"CREATE TABLE "logins" (
        "state" {bytes} NOT NULL PRIMARY KEY, "scheme" {text} NOT NULL, "nonce" {text} NOT NULL,
        "verifier" {text} NOT NULL, "return_url" {text} NOT NULL, "expires_at_ms" {int} NOT NULL
    ) {clustered}"#,
    r#"CREATE TABLE "license_acceptances" (
        "user_id" {name} NOT NULL, "catalog" {name} NOT NULL, "license" {bytes} NOT NULL, "at_ms" {int} NOT NULL,
        PRIMARY KEY ("user_id", "catalog", "license")
    ) {clustered}"#,
    r#"CREATE TABLE "audit" (
        "seq" {int} NOT NULL PRIMARY KEY, "at_ms" {int} NOT NULL, "user_id" {text}, "token_id" {text},
        "action" {text} NOT NULL, "subject" {text} NOT NULL, "outcome" {text} NOT NULL, "detail" {text} NOT NULL,
        "request" {text}
    ) {table}"#,
    r#"CREATE INDEX "audit_by_time" ON "audit" ("at_ms")"#,
];
