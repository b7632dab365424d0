//! Handlers, by area.

pub(super) mod health;
