//! From a metered trace and hourly temperatures to weather-normalised savings with bounds, and from those to the figures of
//! a portfolio. Pure: no I/O, no clock.

pub mod hourly;
pub mod opendsm;
pub mod portfolio;

mod version;

pub use version::FormatVersion;
