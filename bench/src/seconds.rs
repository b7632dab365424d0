//! The times of cases, round by round.

use std::time::Instant;

use serde_json::{Map, Value, json};

/// The seconds of each case, one for each round.
#[derive(Clone, Debug, Default)]
pub struct Seconds(Map<String, Value>);

impl Seconds {
    /// Adds a time to a case.
    pub fn add(&mut self, case: &str, seconds: f64) {
        match self.0.get_mut(case) {
            Some(Value::Array(all)) => all.push(json!(seconds)),
            _ => drop(self.0.insert(case.to_owned(), json!([seconds]))),
        }
    }

    /// Adds the time that some work takes.
    pub fn time<A>(&mut self, case: &str, work: impl FnOnce() -> A) -> A {
        let begin = Instant::now();
        let answer = work();
        self.add(case, begin.elapsed().as_secs_f64());
        answer
    }

    /// Adds the time until a future is done.
    pub async fn time_async<A>(&mut self, case: &str, work: impl Future<Output = A>) -> A {
        let begin = Instant::now();
        let answer = work.await;
        self.add(case, begin.elapsed().as_secs_f64());
        answer
    }
}

impl From<Seconds> for Value {
    fn from(seconds: Seconds) -> Value {
        Value::Object(seconds.0)
    }
}
