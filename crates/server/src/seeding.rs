//! Made-up projects with traces and weather, to look at and to test with: the same in every run, down to the ids in an empty
//! database.
//!
//! `dev.rs` is the seed of OpenEEmeter's datastore: a project with six traces. `portfolio.rs` is a programme of hundreds of
//! projects in four climates, whose savings are known. Both make what is missing, so they can be run again, and after they were
//! interrupted. `access.rs` is who may use them, `weather.rs` their weather, `traces.rs` writes records, `metered.rs` meters and adds
//! them up, `random.rs` makes numbers.

pub(crate) mod access;
pub(crate) mod dev;
pub(crate) mod metered;
pub(crate) mod portfolio;
mod random;
mod traces;
mod weather;

use sheaf_db::RepositoryError;
use sheaf_metering::weather::WeatherError;
use sheaf_model::Tick;
use sheaf_sources::StationError;
use sheaf_store::StoreError;

use crate::http::auth::passwords::PasswordError;
use crate::loading::LoadError;
use crate::runs::RunsError;

/// What can't be seeded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SeedError {
    /// The database fails.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Records can't be written.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Weather can't be written.
    #[error(transparent)]
    Weather(#[from] WeatherError),
    /// There is no station at a place.
    #[error(transparent)]
    Station(#[from] StationError),
    /// Runs can't be done.
    #[error(transparent)]
    Runs(#[from] RunsError),
    /// A password is none.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// A name, a time or a table of the seeds is none.
    #[error("{what} of the seeds can't be: {problem}")]
    Impossible {
        /// Which.
        what: &'static str,
        /// Why.
        problem: String,
    },
}

/// What is wrong with a constant of the seeds.
fn impossible(what: &'static str) -> impl FnOnce(&dyn std::fmt::Display) -> SeedError {
    move |problem| SeedError::Impossible { what, problem: problem.to_string() }
}

const TICKS_PER_HOUR: i64 = 3600 * Tick::PER_SECOND;
const TICKS_PER_DAY: i64 = 24 * TICKS_PER_HOUR;

/// The begin of a day, counted from 1970.
fn day(days: i64) -> Tick {
    // All days are those of this century.
    Tick::UNIX_EPOCH.checked_add(days * TICKS_PER_DAY).unwrap_or(Tick::MAX)
}

/// A day like 2012-01-31, counted from 1970.
fn days_since_1970(date: &str) -> Result<i64, SeedError> {
    let date: Tick = date.parse().map_err(|error| impossible("a date")(&error))?;
    Ok(date.unix_ticks().div_euclid(TICKS_PER_DAY))
}
