//! What the benchmarks share: the samples they measure on, and the conversation with a peer in another language.
//!
//! The benchmarks themselves are in `benches/`, one file per subject, and their peers of the same name in `peers/`.

pub mod data;
pub mod peer;
