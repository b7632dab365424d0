//! Handlers, by area.

pub(super) mod artifacts;
pub(super) mod attachments;
pub(super) mod catalogs;
pub(super) mod data;
pub(super) mod health;
pub(super) mod ingest;
pub(super) mod jobs;
pub(super) mod records;
pub(super) mod series;
mod shapes;
pub(super) mod sources;
pub(super) mod system;
pub(super) mod users;
pub(super) mod writers;
