//! The database: SQLite in one file, or PostgreSQL by URL.
//!
//! [`Database::connect`] opens it, makes it if it is missing, and brings its tables up to date. [`Database::manifest`]
//! is the store's manifest in it, [`Database::metadata`] what is known of catalogs and resources beside their samples,
//! [`Database::overrides`] and [`Database::attachments`] what people add to that, [`Database::pipelines`] the sources that are
//! read in place, [`Database::access`] who may do what, [`Database::jobs`] the work that takes time, and [`Database::datastore`] projects,
//! traces and their runs. SeaORM and SQL stop at this crate: what comes out are plain
//! structs and errors.
//!
//! In the order of reading: [`Database`] and its errors, `migration` (the tables), `entity` (their rows), `table` (the
//! SQL that moves rows), `manifest`, and `repo` (everything else).

mod coalesced;
mod database;
mod entity;
mod error;
mod manifest;
mod migration;
mod pulse;
mod repo;
mod table;
#[cfg(feature = "testing")]
pub mod testing;

pub use database::Database;
pub use error::{DatabaseError, RepositoryError};
pub use manifest::SqlManifest;
pub use repo::datastore;
pub use repo::{
    Acceptance, Access, Artifact, Attachment, Attachments, Beat, CatalogMetadata, CatalogOverrides, Claim,
    Credential, Ending, Event, Grant, Hold, Holder, Job, JobState, Jobs, Login, Metadata, NewEvent, NewJob,
    NewSession, NewToken, NewUser, Overrides, Pipeline, Pipelines, Registration, Reservation,
    ResourceMetadata, SecretDigest, Session, Token, User,
};
