//! Work that is done ahead, on all cores.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// A piece of work that some thread of the pool does, or else the one that needs its result: so it gets done even where
/// all threads of the pool wait for such results themselves.
///
/// Work that has not begun when this is dropped is never done.
pub(crate) struct Ahead<T>(Arc<Shared<T>>);

struct Shared<T> {
    state: Mutex<State<T>>,
    done: Condvar,
}

enum State<T> {
    Waiting(Box<dyn FnOnce() -> T + Send>),
    /// Being done, or its result was taken.
    Begun,
    Done(Result<T, Box<dyn Any + Send>>),
}

impl<T: Send + 'static> Ahead<T> {
    pub(crate) fn new(work: impl FnOnce() -> T + Send + 'static) -> Ahead<T> {
        let state = Mutex::new(State::Waiting(Box::new(work)));
        let shared = Arc::new(Shared { state, done: Condvar::new() });
        let pooled = Arc::downgrade(&shared);
        rayon::spawn(move || {
            if let Some(shared) = pooled.upgrade() {
                shared.work();
            }
        });
        Ahead(shared)
    }

    /// The result. A panic of the work goes on here.
    pub(crate) fn wait(self) -> T {
        self.0.work();
        let mut state = self.0.lock();
        loop {
            match std::mem::replace(&mut *state, State::Begun) {
                State::Done(Ok(result)) => return result,
                State::Done(Err(panic)) => resume_unwind(panic),
                other => *state = other,
            }
            state = self.0.done.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does the work, unless it has begun.
    fn work(&self) {
        let mut state = self.lock();
        let work = match std::mem::replace(&mut *state, State::Begun) {
            State::Waiting(work) => work,
            other => {
                *state = other;
                return;
            }
        };
        drop(state);
        let result = catch_unwind(AssertUnwindSafe(work));
        *self.lock() = State::Done(result);
        self.done.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn results_come_even_if_the_pool_is_busy() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        // Inside of the only thread of the pool: nobody else can do the work.
        let results = pool.install(|| {
            let tasks: Vec<Ahead<usize>> = (0..10).map(|index| Ahead::new(move || index)).collect();
            tasks.into_iter().map(Ahead::wait).collect::<Vec<_>>()
        });
        assert_eq!(results, (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn work_is_done_once_and_panics_arrive() {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let tasks: Vec<_> = (0..1000).map(|_| Ahead::new(|| COUNT.fetch_add(1, Ordering::Relaxed))).collect();
        for task in tasks {
            task.wait();
        }
        assert_eq!(COUNT.load(Ordering::Relaxed), 1000);
        let task = Ahead::<()>::new(|| panic!("as it should"));
        assert!(catch_unwind(AssertUnwindSafe(|| task.wait())).is_err());
    }
}
