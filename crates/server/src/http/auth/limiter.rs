//! Guessing passwords takes long: after some failures there is a pause. Addresses are those of clients, see `client.rs`: behind
//! a proxy that is not known as one, all clients have the same, and share its pause.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long failures count, from the first one on.
const WINDOW: Duration = Duration::from_secs(600);

/// Failures of one name from one address.
const MOST_OF_BOTH: u32 = 10;

/// Failures of one name, or from one address. Others at that address may want to sign in, too, and nobody shall lock out
/// somebody else easily.
const MOST_OF_ONE: u32 = 100;

/// What failures are counted for, at most.
const MOST_KEYS: usize = 20_000;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Both(String, IpAddr),
    Name(String),
    Address(IpAddr),
}

/// Counts failures to sign in.
#[derive(Debug, Default)]
pub(crate) struct Limiter {
    failures: Mutex<HashMap<Key, (u32, Instant)>>,
}

impl Limiter {
    /// How long somebody has to wait before the next try; `None` if not at all.
    pub(crate) fn pause(&self, name: &str, address: IpAddr) -> Option<Duration> {
        self.pause_at(name, address, Instant::now())
    }

    fn pause_at(&self, name: &str, address: IpAddr, now: Instant) -> Option<Duration> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let left = keys(name, address).into_iter().filter_map(|(key, most)| {
            let &(count, first) = failures.get(&key)?;
            let left = WINDOW.checked_sub(now.saturating_duration_since(first))?;
            (count >= most && !left.is_zero()).then_some(left)
        });
        left.max()
    }

    /// Counts a failure.
    pub(crate) fn failed(&self, name: &str, address: IpAddr) {
        self.failed_at(name, address, Instant::now());
    }

    fn failed_at(&self, name: &str, address: IpAddr, now: Instant) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = |first: Instant| now.saturating_duration_since(first) < WINDOW;
        if failures.len() >= MOST_KEYS {
            failures.retain(|_, (_, first)| counts(*first));
        }
        for (key, _) in keys(name, address) {
            let entry = failures.entry(key).or_insert((0, now));
            if !counts(entry.1) {
                *entry = (0, now);
            }
            entry.0 = entry.0.saturating_add(1);
        }
    }

    /// Forgets the failures of somebody who has signed in.
    pub(crate) fn succeeded(&self, name: &str, address: IpAddr) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.remove(&Key::Both(name.to_owned(), address));
    }
}

fn keys(name: &str, address: IpAddr) -> [(Key, u32); 3] {
    [
        (Key::Both(name.to_owned(), address), MOST_OF_BOTH),
        (Key::Name(name.to_owned()), MOST_OF_ONE),
        (Key::Address(address), MOST_OF_ONE),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_make_a_pause() {
        let (limiter, now) = (Limiter::default(), Instant::now());
        let [here, there] = [IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2])];
        for _ in 0..MOST_OF_BOTH {
            assert_eq!(limiter.pause_at("ann", here, now), None);
            limiter.failed_at("ann", here, now);
        }
        assert_eq!(limiter.pause_at("ann", here, now + WINDOW / 2), Some(WINDOW / 2));
        assert_eq!(limiter.pause_at("ann", here, now + WINDOW), None);
        assert_eq!(limiter.pause_at("ann", there, now), None);
        assert_eq!(limiter.pause_at("bob", here, now), None);
        limiter.succeeded("ann", here);
        assert_eq!(limiter.pause_at("ann", here, now), None);

        for name in 0..MOST_OF_ONE {
            limiter.failed_at(&name.to_string(), there, now);
        }
        assert!(limiter.pause_at("somebody", there, now).is_some(), "one address, many names");
        assert_eq!(limiter.pause_at("somebody", here, now), None);
        // A new window.
        limiter.failed_at("x", there, now + WINDOW);
        assert_eq!(limiter.pause_at("somebody", there, now + WINDOW), None);
    }
}
