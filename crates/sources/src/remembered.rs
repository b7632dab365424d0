//! What a source that is asked over a network said, for a while.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sheaf_model::{SamplePeriod, Tick};

/// For how long data are taken as unchanged, in ticks.
const DEFAULT_TTL: i64 = 5 * 60 * Tick::PER_SECOND;

/// Revisions that are remembered; beyond that, all are asked for again.
const MOST_REVISIONS: usize = 10_000;

/// What there is, of type `T`, and revisions `R` of whatever `K` names: each of them until it is older than the time to live.
///
/// Nothing is locked while somebody asks, so that two who ask at the same time may both do it.
pub(crate) struct Remembered<T, K, R> {
    ttl: Duration,
    known: Mutex<Option<(Instant, Arc<T>)>>,
    revisions: Mutex<HashMap<K, (Instant, R)>>,
}

impl<T, K: Eq + Hash, R: Clone> Remembered<T, K, R> {
    /// Nothing yet, and all of it for `ttl` or five minutes.
    pub(crate) fn new(ttl: Option<SamplePeriod>) -> Remembered<T, K, R> {
        Remembered::with_ttl(duration(ttl, DEFAULT_TTL))
    }

    /// Nothing yet, and all of it for as long as there.
    pub(crate) fn like(&self) -> Remembered<T, K, R> {
        Remembered::with_ttl(self.ttl)
    }

    fn with_ttl(ttl: Duration) -> Remembered<T, K, R> {
        Remembered { ttl, known: Mutex::default(), revisions: Mutex::default() }
    }

    /// What there is; `ask` says it where that is not known, or too old.
    pub(crate) fn known<E>(&self, ask: impl FnOnce() -> Result<T, E>) -> Result<Arc<T>, E> {
        let known = lock(&self.known).clone();
        match known.filter(|(asked, _)| asked.elapsed() < self.ttl) {
            Some((_, known)) => Ok(known),
            None => self.ask(ask),
        }
    }

    /// Asks what there is, and forgets revisions.
    pub(crate) fn refresh<E>(&self, ask: impl FnOnce() -> Result<T, E>) -> Result<(), E> {
        self.ask(ask)?;
        lock(&self.revisions).clear();
        Ok(())
    }

    fn ask<E>(&self, ask: impl FnOnce() -> Result<T, E>) -> Result<Arc<T>, E> {
        let asked = Instant::now();
        let known = Arc::new(ask()?);
        *lock(&self.known) = Some((asked, Arc::clone(&known)));
        Ok(known)
    }

    /// A revision; `ask` says it where that is not known, or too old.
    pub(crate) fn revision<E>(&self, of: K, ask: impl FnOnce() -> Result<R, E>) -> Result<R, E> {
        if let Some((asked, revision)) = lock(&self.revisions).get(&of)
            && asked.elapsed() < self.ttl
        {
            return Ok(revision.clone());
        }
        let asked = Instant::now();
        let revision = ask()?;
        let mut revisions = lock(&self.revisions);
        if revisions.len() >= MOST_REVISIONS {
            revisions.clear();
        }
        revisions.insert(of, (asked, revision.clone()));
        Ok(revision)
    }

    /// A number that is another one after each time to live: the revision of what can't tell one.
    pub(crate) fn turn(&self) -> u128 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        now.as_nanos() / self.ttl.as_nanos().max(1)
    }
}

/// A period of the settings, or so many ticks.
pub(crate) fn duration(period: Option<SamplePeriod>, default_ticks: i64) -> Duration {
    let ticks = period.map_or(default_ticks, SamplePeriod::ticks).unsigned_abs();
    Duration::from_nanos(ticks.saturating_mul(Tick::NANOSECONDS.unsigned_abs()))
}

/// Locks what is replaced as a whole: a panic of somebody else leaves nothing half done in it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Numbers = Remembered<u32, &'static str, u32>;

    fn ok(number: u32) -> Result<u32, String> {
        Ok(number)
    }

    #[test]
    fn what_was_said_holds_until_a_refresh() {
        let numbers = Numbers::new(None);
        assert_eq!(*numbers.known(|| ok(1)).unwrap(), 1);
        assert_eq!(*numbers.known(|| ok(2)).unwrap(), 1);
        assert_eq!(numbers.revision("a", || ok(1)), Ok(1));
        assert_eq!(numbers.revision("a", || ok(2)), Ok(1));
        assert_eq!(numbers.revision("b", || ok(2)), Ok(2));
        // A refresh that fails changes nothing.
        numbers.refresh(|| Err("gone")).unwrap_err();
        assert_eq!((*numbers.known(|| ok(2)).unwrap(), numbers.revision("a", || ok(2))), (1, Ok(1)));
        numbers.refresh(|| ok(3)).unwrap();
        assert_eq!((*numbers.known(|| ok(4)).unwrap(), numbers.revision("a", || ok(4))), (3, Ok(4)));
    }

    #[test]
    fn nothing_holds_longer_than_its_time() {
        let numbers = Numbers::new(Some("100_ns".parse().unwrap()));
        let (turn, one) = (numbers.turn(), numbers.known(|| ok(1)).unwrap());
        std::thread::sleep(Duration::from_micros(1));
        assert_eq!((*one, *numbers.known(|| ok(2)).unwrap()), (1, 2));
        assert_ne!(numbers.turn(), turn);
        // Errors are not remembered.
        numbers.revision("a", || Err("gone")).unwrap_err();
        assert_eq!(numbers.like().revision("a", || ok(1)), Ok(1));
    }
}
