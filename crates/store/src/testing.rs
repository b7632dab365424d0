//! For tests: a disk that fails, tears and forgets; the decoder of what lies on it, alone.

mod faulty_disk;

pub use crate::segment::decode_alp;
pub use faulty_disk::{Fault, FaultyDisk, Operation, When};
