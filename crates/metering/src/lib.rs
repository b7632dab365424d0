//! Metered traces: their records in the store, and what becomes of them.
//!
//! A trace is a series of the catalog `/traces` ([`trace_name`] says how it is called there), so paths, charts and exports
//! work on it as on any other. [`records`] writes and reads its records.

pub mod classes;
pub mod input;
pub mod records;
pub mod trace_name;
