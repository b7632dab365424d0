//! Samples of all shapes: what compresses well, badly and not at all.

use sheaf_model::Values;

use crate::data::{Channel, SplitMix64};

/// Samples of one shape at 100 Hz.
pub struct Shape {
    /// What it is called.
    pub name: &'static str,
    /// The slots of the values; none where they follow each other.
    pub slots: Option<Vec<i64>>,
    /// The values, all of them valid but for the NaN of the channel.
    pub values: Values,
}

/// A name, and what makes it from a number of values.
type Named<T> = (&'static str, fn(usize) -> T);

/// All shapes, each made when it is asked for, of about `len` values.
pub fn shapes(len: usize) -> impl Iterator<Item = Shape> {
    let dense: [Named<Values>; 9] = [
        ("a walk of three decimals", |len| {
            let mut thousandths = 20_000_i64;
            Values::F64(random(len, |bits| {
                thousandths += (bits % 101) as i64 - 50;
                thousandths as f64 / 1_000.0
            }))
        }),
        ("random mantissas", |len| Values::F64(random(len, |bits| f64::from_bits(0x3ff << 52 | bits >> 12)))),
        ("the channel as f32", |len| {
            Values::F32(Channel::new(len).values.into_iter().map(|x| x as f32).collect())
        }),
        ("the channel's thousandths, i16", |len| Values::I16(Channel::new(len).thousandths)),
        ("integers, random walk", |len| {
            let mut level = 0_i64;
            Values::I64(random(len, |bits| {
                level += (bits % 7) as i64 - 3;
                level
            }))
        }),
        ("integers, small range", |len| Values::I64(random(len, |bits| (bits % 100) as i64))),
        ("integers, full range", |len| Values::I64(random(len, |bits| bits as i64))),
        ("constant", |len| Values::F64(vec![21.5; len])),
        ("constant, integers", |len| Values::I64(vec![7; len])),
    ];
    let sparse: [Named<Vec<i64>>; 3] = [
        ("1 of 10 at random", |len| some_slots(len, |bits| 1 + gap(bits, 10.0))),
        ("1 of 1000 at random", |len| some_slots(len / 16, |bits| 1 + gap(bits, 1000.0))),
        // Runs of a thousand slots on average, with ten thousand between them.
        ("bursts", |len| {
            some_slots(len, |bits| if bits.is_multiple_of(1000) { 1 + gap(bits, 10_000.0) } else { 1 })
        }),
    ];
    let dense = dense.into_iter().map(move |(name, make)| Shape { name, slots: None, values: make(len) });
    let sparse = sparse.into_iter().map(move |(name, make)| {
        let slots = make(len);
        let mut values = Channel::new(slots.len()).values;
        // A missing one would be no sample.
        values.iter_mut().for_each(|value| {
            if value.is_nan() {
                *value = 12.0;
            }
        });
        Shape { name, slots: Some(slots), values: Values::F64(values) }
    });
    dense.chain(sparse)
}

fn random<T>(len: usize, mut make: impl FnMut(u64) -> T) -> Vec<T> {
    let mut random = SplitMix64::new(1);
    (0..len).map(|_| make(random.next_u64())).collect()
}

/// Slots that ascend by these steps.
fn some_slots(len: usize, step: fn(u64) -> i64) -> Vec<i64> {
    let mut slot = 0;
    random(len, |bits| {
        slot += step(bits);
        slot
    })
}

/// How many slots there are until the next one of `one_in` is hit: geometric, 0 or more.
fn gap(bits: u64, one_in: f64) -> i64 {
    let uniform = (bits >> 11) as f64 / 2_f64.powi(53);
    ((1.0 - uniform).ln() / (-1.0 / one_in).ln_1p()) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_as_long_as_they_should_be() {
        for shape in shapes(160_000) {
            let Some(slots) = shape.slots else { continue };
            assert!(slots.is_sorted_by(|a, b| a < b));
            assert_eq!(slots.len(), shape.values.len());
            let per_value = *slots.last().unwrap() as f64 / slots.len() as f64;
            let expected = match shape.name {
                "1 of 10 at random" => 10.0,
                "1 of 1000 at random" => 1000.0,
                _ => 11.0,
            };
            assert!((0.8..1.2).contains(&(per_value / expected)), "{}: {per_value}", shape.name);
        }
    }
}
