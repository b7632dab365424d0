//! Times of the database, and those of everything else.

use std::time::{SystemTime, UNIX_EPOCH};

use sheaf_db::datastore::Micros;
use sheaf_model::Tick;

const TICKS_PER_MICRO: i64 = Tick::PER_SECOND / 1_000_000;

/// A time of the database; `None` outside of the years 1 to 9999.
pub fn tick(micros: Micros) -> Option<Tick> {
    Tick::UNIX_EPOCH.checked_add(micros.0.checked_mul(TICKS_PER_MICRO)?)
}

/// A time for the database; fractions of microseconds are cut off.
pub fn micros(tick: Tick) -> Micros {
    Micros(tick.unix_ticks().div_euclid(TICKS_PER_MICRO))
}

/// Now.
pub fn now() -> Micros {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
