//! What paths mean, remembered for as long as that is so.

use std::collections::HashMap;
use std::fmt;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sheaf_model::ResourcePath;
use sheaf_store::Names;

/// The state that what is remembered was found out at: that of the store, and a number that changes with anything else that
/// paths depend on, such as sources that are looked at anew.
pub type PathState = (Names, u64);

/// What was found out about paths, for those who ask the same again.
///
/// Whoever asks has just looked at which state everything is in ([`Store::now`](sheaf_store::Store::now)), and is given what was
/// found out since that state began. With another state all is forgotten. At most twice `most` paths are remembered; those
/// that nobody asks for go first.
pub struct PathCache<T> {
    most: usize,
    known: Mutex<Known<T>>,
}

struct Known<T> {
    at: Option<PathState>,
    /// Those that were asked for since the others were.
    young: HashMap<ResourcePath, T>,
    old: HashMap<ResourcePath, T>,
}

impl<T> Known<T> {
    /// What is remembered of a state: nothing, if it is another one.
    fn at(&mut self, state: PathState) -> &mut Known<T> {
        if self.at != Some(state) {
            *self = Known { at: Some(state), young: HashMap::new(), old: HashMap::new() };
        }
        self
    }

    fn put(&mut self, path: ResourcePath, found: T, most: usize) {
        if self.young.len() >= most {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(path, found);
    }
}

impl<T: Clone> PathCache<T> {
    /// Nothing is known yet.
    pub fn new(most: usize) -> PathCache<T> {
        let known = Known { at: None, young: HashMap::new(), old: HashMap::new() };
        PathCache { most: most.max(1), known: Mutex::new(known) }
    }

    /// What is known of each of these paths at a state.
    pub fn find(&self, state: PathState, paths: &[ResourcePath]) -> Vec<Option<T>> {
        let mut known = self.lock();
        let known = known.at(state);
        let find = |path: &ResourcePath| {
            if let Some(found) = known.young.get(path) {
                return Some(found.clone());
            }
            let (path, found) = known.old.remove_entry(path)?;
            known.put(path, found.clone(), self.most);
            Some(found)
        };
        paths.iter().map(find).collect()
    }

    /// Remembers what was found out about a path after the state was looked at.
    pub fn put(&self, state: PathState, path: ResourcePath, found: T) {
        let mut known = self.lock();
        // Of an earlier state, it would be in the way of those who ask now.
        if known.at == Some(state) {
            known.put(path, found, self.most);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known<T>> {
        // It is whole after every line.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> fmt::Debug for PathCache<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PathCache").field("most", &self.most).finish_non_exhaustive()
    }
}
