//! One read for all who ask at the same time.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Mutex;

/// A value that is read anew for whoever asks, but once for all who wait: a read answers those who asked before it began, and
/// so each sees what was there when he asked, or later.
#[derive(Debug)]
pub(crate) struct Coalesced<T> {
    /// How many have asked.
    asked: AtomicU64,
    last: Mutex<Last<T>>,
}

/// What was read last, and how many had asked before.
#[derive(Debug)]
struct Last<T> {
    answers: u64,
    value: Option<T>,
}

impl<T: Clone> Coalesced<T> {
    pub(crate) fn new() -> Coalesced<T> {
        Coalesced { asked: AtomicU64::new(0), last: Mutex::new(Last { answers: 0, value: None }) }
    }

    /// What `read` returns now.
    pub(crate) async fn get<E>(&self, read: impl AsyncFnOnce() -> Result<T, E>) -> Result<T, E> {
        let number = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let mut last = self.last.lock().await;
        if last.answers >= number
            && let Some(value) = &last.value
        {
            return Ok(value.clone());
        }
        let answers = self.asked.load(Ordering::SeqCst);
        let value = read().await?;
        *last = Last { answers, value: Some(value.clone()) };
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_read_answers_those_who_asked_before_it_began() {
        let coalesced = Arc::new(Coalesced::new());
        let reads = Arc::new(AtomicUsize::new(0));
        let ask = || {
            let (coalesced, reads) = (Arc::clone(&coalesced), Arc::clone(&reads));
            tokio::spawn(async move {
                let read = async || {
                    let number = reads.fetch_add(1, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    Ok::<_, ()>(number)
                };
                coalesced.get(read).await
            })
        };
        let first = ask();
        tokio::time::sleep(Duration::from_millis(5)).await;
        // These came while the first read ran, which may have missed what they want to see.
        let others: Vec<_> = (0..50).map(|_| ask()).collect();
        assert_eq!(first.await.unwrap(), Ok(0));
        for other in others {
            assert_eq!(other.await.unwrap(), Ok(1));
        }
        assert_eq!(ask().await.unwrap(), Ok(2));
    }

    #[tokio::test]
    async fn who_gives_up_or_fails_keeps_nobody_waiting() {
        let coalesced = Coalesced::new();
        let never = coalesced.get(async || std::future::pending::<Result<i32, &str>>().await);
        assert!(tokio::time::timeout(Duration::from_millis(5), never).await.is_err());
        assert_eq!(coalesced.get(async || Err("no")).await, Err("no"));
        assert_eq!(coalesced.get(async || Ok::<_, &str>(7)).await, Ok(7));
    }
}
