//! The database: SQLite in one file, or PostgreSQL by URL.
//!
//! [`Database::connect`] opens it, makes it if it is missing, and brings its tables up to date. [`Database::manifest`]
//! is the store's manifest in it. SeaORM and SQL stop at this crate: what comes out are plain structs and errors.
//!
//! In the order of reading: [`Database`] and its errors, `migration` (the tables), `entity` (their rows), `table` (the
//! SQL that moves rows), and `manifest`.

mod database;
mod entity;
mod error;
mod manifest;
mod migration;
mod table;
#[cfg(feature = "testing")]
pub mod testing;

pub use database::Database;
pub use error::DatabaseError;
pub use manifest::SqlManifest;
