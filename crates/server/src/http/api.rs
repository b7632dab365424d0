//! Handlers, by area.

pub(super) mod health;
pub(super) mod users;
