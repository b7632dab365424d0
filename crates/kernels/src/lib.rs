//! The arithmetic of Sheaf: samples fold into *states*, states merge, states finish into numbers.
//!
//! ```
//! use sheaf_kernels::{Gate, Grid, Moments, SampleRun, Statistic, finish, fold};
//!
//! // Ten samples, one of them missing, in buckets of five.
//! let samples = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, f64::NAN, 8.0, 9.0, 10.0];
//! let states: Vec<Moments> = fold(SampleRun::new(&samples), Grid::new(5, 0)?)?;
//!
//! // One pass answers every statistic of the family; the gate decides how many samples may be missing.
//! let strict = Gate::new(5, 0.99)?;
//! let lenient = Gate::new(5, 0.5)?;
//! assert_eq!(finish(&states, Statistic::Mean, lenient)?, [3.0, 8.25]);
//! assert_eq!(finish(&states, Statistic::Max, lenient)?, [5.0, 10.0]);
//! assert!(finish(&states, Statistic::Mean, strict)?[1].is_nan());
//! assert_eq!(finish(&states, Statistic::Count, strict)?, [5.0, 4.0]);
//! # Ok::<(), sheaf_kernels::Error>(())
//! ```
//!
//! Reading order: [`SampleRun`] is what goes in, [`fold()`] puts it into buckets of one [`State`] each, [`coarsen`]
//! merges them, [`finish`] makes numbers of them, [`encode`]/[`decode`] keep them. [`resample`] is the other way to
//! another period. [`StateVec`] folds, merges and finishes for a caller that learns type and family at run time.
//!
//! Everything here is pure: no I/O, no clock, no dependency, and no threads but in the module `testing`. The same input gives the same bits on every
//! [`Level`] of SIMD, and the same plan gives the same bits whatever threads carry it out ([`pieces`]).

mod block;
mod codec;
mod coverage;
mod dispatch;
mod error;
mod fold;
mod resample;
mod sample;
mod state;
mod state_vec;
mod statistic;
#[cfg(feature = "testing")]
pub mod testing;

pub use codec::{CODEC_VERSION, CodecError, Encode, decode, encode, finish_encoded};
pub use coverage::{DEFAULT_THRESHOLD, Gate};
pub use dispatch::{Kernel, Level};
pub use error::Error;
pub use fold::{Grid, Partial, coarsen, finish, fold, fold_at, fold_piece, merge_partials, pieces};
pub use resample::resample;
pub use sample::{Sample, SampleRun, Validity};
pub use state::State;
pub use state::bits::Bits;
pub use state::edges::Edges;
pub use state::moments::Moments;
pub use state::polar::Polar;
pub use state::quantiles::Quantiles;
pub use state::sums::Sums;
pub use state_vec::{AnyRun, StateVec};
pub use statistic::{Family, Statistic};
