//! What the benchmarks share: the samples they measure on, the conversation with a peer in another language, and stores.
//!
//! The benchmarks themselves are in `benches/`, one file or folder per subject, and their peers of the same name in
//! `peers/`. `src/bin/fresh.rs` is what runs in a process of its own.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub mod asked;
pub mod data;
pub mod peer;
pub mod seconds;
pub mod shapes;
pub mod store;
