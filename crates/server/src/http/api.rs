//! Handlers, by area.

pub(super) mod data;
pub(super) mod health;
pub(super) mod ingest;
pub(super) mod records;
pub(super) mod series;
pub(super) mod users;
