//! For tests: a disk that fails, tears and forgets.

mod faulty_disk;

pub use faulty_disk::{Fault, FaultyDisk, Operation, When};
