//! From a metered trace and hourly temperatures to weather-normalised savings with bounds, and from those to the figures of
//! a portfolio. Pure: no I/O, no clock.

pub mod derivative;
pub mod design;
pub mod features;
pub mod hourly;
pub mod interpretation;
mod least_squares;
pub mod meter;
pub mod metrics;
pub mod model;
pub mod opendsm;
pub mod period;
pub mod portfolio;
pub mod predict;
pub mod prepare;
pub mod resample;
pub mod run;
pub mod savings;
pub mod search;
pub mod series;
pub mod settings;
mod students_t;
pub mod sufficiency;
pub mod uncertainty;
mod version;
pub mod warning;
pub mod weather;
pub mod zone;

pub use version::FormatVersion;
