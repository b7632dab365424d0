//! The savings seen from outside: one binary, one module per promise.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod integration {
    mod bad_input;
    mod coverage;
    mod eemeter_candidates;
    mod eemeter_results;
    mod eemeter_series;
    mod hourly;
    mod modes;
    mod opendsm;
    mod portfolio;
    mod properties;
    mod reference;
    mod slow_reference;
}
