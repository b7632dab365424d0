//! States: what is kept of a bucket's samples, one file per family.

use std::fmt;

use crate::block::Scratch;
use crate::{Error, Family, Sample, SampleRun, Statistic};

pub(crate) mod bits;
pub(crate) mod edges;
pub(crate) mod moments;
pub(crate) mod polar;
pub(crate) mod quantiles;
pub(crate) mod sums;

/// A mergeable summary of samples.
///
/// The law of every state: fold the parts, merge them in time order, and the statistics are those of the whole,
/// wherever it was split. The module `testing` (behind the feature of that name) has it as a function.
///
/// ```text
///   samples ──fold──▶ state ─┐
///                            ├─merge──▶ state ──finish──▶ number
///   samples ──fold──▶ state ─┘
/// ```
///
/// States are equal where their fields are; one that holds NaN, after an infinite sample, does not equal itself.
pub trait State: Clone + Default + PartialEq + fmt::Debug + Send + Sync + 'static {
    /// The family whose statistics the state answers.
    const FAMILY: Family;

    /// Whether samples of type `T` can be folded into this state.
    ///
    /// # Errors
    /// Bitwise states take integers only.
    fn accept<T: Sample>() -> Result<(), Error> {
        Ok(())
    }

    /// Appends the state of samples. Only [`fold`](crate::fold()) calls this, after [`State::accept`].
    #[doc(hidden)]
    fn append<T: Sample>(states: &mut Vec<Self>, run: SampleRun<'_, T>, scratch: &mut Scratch);

    /// Takes in the state of samples that come later in time.
    fn merge(&mut self, later: &Self);

    /// How many valid samples went in.
    fn valid(&self) -> u64;

    /// The number, without the gate; `None` where [`Family::answers`] says no.
    fn value(&self, statistic: Statistic) -> Option<f64>;
}

/// The most samples that a state counts. More are not told apart in an `f64`, and no bucket has them; that counts stop
/// here keeps those that come from bytes of any origin from overflowing.
pub(crate) const LARGEST_COUNT: u64 = 1 << 53;

fn add_counts(a: u64, b: u64) -> u64 {
    a.saturating_add(b).min(LARGEST_COUNT)
}

/// The smaller of two numbers that are not NaN; -0.0 is below 0.0 (IEEE 754-2019 `minimum`).
#[inline(always)]
fn minimum(a: f64, b: f64) -> f64 {
    if b.total_cmp(&a).is_lt() { b } else { a }
}

/// The larger of two numbers that are not NaN; 0.0 is above -0.0 (IEEE 754-2019 `maximum`).
#[inline(always)]
fn maximum(a: f64, b: f64) -> f64 {
    if b.total_cmp(&a).is_gt() { b } else { a }
}
