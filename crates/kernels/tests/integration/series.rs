//! Random series of all ten sample types, made from a short recipe that a failing test prints.

use proptest::prelude::*;
use sheaf_kernels::{AnyRun, SampleRun, Validity};

/// How to make a series; the same recipe makes the same one.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    pub(crate) sample_type: usize,
    pub(crate) shape: Shape,
    pub(crate) len: usize,
    /// Share of floats that are NaN.
    pub(crate) nan_percent: u64,
    /// Share of samples whose validity bit is not set; `None` for no validity bits.
    pub(crate) missing_percent: Option<u64>,
    /// Bit of the first sample.
    pub(crate) first_bit: usize,
    pub(crate) start: i64,
    pub(crate) step: i64,
    pub(crate) seed: u64,
}

/// What the numbers look like. Integers take from it what they can hold.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    /// Between -100 and 100.
    Around0,
    /// A hundred apart, far from 0: the hard case for a standard deviation.
    Far,
    /// Degrees, some of them several turns.
    Degrees,
    /// Few different ones.
    Few,
    /// All equal.
    Constant,
    /// Of any size: all bits of an integer, exponents of ±100 for floats.
    Wide,
    /// Zeros of both signs, subnormals, the largest.
    Special,
    /// The same with infinities, which leave little else to see.
    Infinite,
}

impl Shape {
    pub(crate) const ALL: [Shape; 8] = [
        Shape::Around0,
        Shape::Far,
        Shape::Degrees,
        Shape::Few,
        Shape::Constant,
        Shape::Wide,
        Shape::Special,
        Shape::Infinite,
    ];
}

/// SplitMix64 (Steele, Lea and Flood 2014).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to below 1.
    fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn number(&mut self, shape: Shape) -> f64 {
        match shape {
            Shape::Around0 => self.fraction() * 200.0 - 100.0,
            Shape::Far => 1e6 + self.fraction() * 100.0,
            Shape::Degrees => self.fraction() * 360.0 * if self.below(8) == 0 { -50.0 } else { 1.0 },
            Shape::Few => self.below(5) as f64 * 0.1,
            Shape::Constant => 12.3,
            Shape::Wide => (self.fraction() - 0.5) * (self.fraction() * 200.0 - 100.0).exp2(),
            Shape::Special | Shape::Infinite => {
                const SPECIAL: [f64; 14] = [
                    0.0,
                    -0.0,
                    1.0,
                    -1.0,
                    5e-324,
                    -5e-324,
                    1e-310,
                    f64::MIN_POSITIVE,
                    f64::MAX,
                    f64::MIN,
                    1e308,
                    90.0,
                    f64::INFINITY,
                    f64::NEG_INFINITY,
                ];
                let end = if matches!(shape, Shape::Infinite) { 14 } else { 12 };
                SPECIAL[self.below(end) as usize]
            }
        }
    }
}

trait Draw: Sized {
    const CAN_BE_NAN: bool = false;
    fn draw(random: &mut Random, shape: Shape) -> Self;
    fn nan() -> Self;
}

macro_rules! draw_integer {
    ($($t:ty),*) => {$(
        impl Draw for $t {
            fn draw(random: &mut Random, shape: Shape) -> $t {
                match shape {
                    Shape::Wide => random.next() as $t,
                    // `as` saturates, so the largest floats are the largest integers.
                    _ => random.number(shape) as $t,
                }
            }
            fn nan() -> $t { 0 }
        }
    )*};
}

draw_integer!(u8, i8, u16, i16, u32, i32, u64, i64);

impl Draw for f32 {
    const CAN_BE_NAN: bool = true;
    fn draw(random: &mut Random, shape: Shape) -> f32 {
        random.number(shape) as f32
    }
    fn nan() -> f32 {
        f32::NAN
    }
}

impl Draw for f64 {
    const CAN_BE_NAN: bool = true;
    fn draw(random: &mut Random, shape: Shape) -> f64 {
        random.number(shape)
    }
    fn nan() -> f64 {
        f64::NAN
    }
}

macro_rules! values {
    ($($variant:ident $t:ty),*) => {
        #[derive(Clone, Debug)]
        enum Values {
            $($variant(Vec<$t>)),*
        }

        /// The names of the sample types, in the order of [`Recipe::sample_type`].
        pub(crate) const SAMPLE_TYPES: [&str; [$(stringify!($t)),*].len()] = [$(stringify!($t)),*];

        impl Values {
            fn make(recipe: &Recipe, random: &mut Random) -> Values {
                let makers = [$(|recipe: &Recipe, random: &mut Random| Values::$variant(draw(recipe, random))),*];
                makers[recipe.sample_type](recipe, random)
            }
        }

        /// A new type of samples does not compile here until it is in the list below.
        pub(crate) fn sample_type_of(run: AnyRun<'_>) -> &'static str {
            match run { $(AnyRun::$variant(_) => stringify!($t)),* }
        }

        impl Series {
            pub(crate) fn run(&self) -> AnyRun<'_> {
                match &self.values {
                    $(Values::$variant(values) => {
                        let run = SampleRun::new(values).at(self.recipe.start, self.recipe.step).unwrap();
                        match &self.words {
                            Some(words) => {
                                run.with_validity(Validity::new(words, self.recipe.first_bit)).unwrap()
                            }
                            None => run,
                        }
                        .into()
                    })*
                }
            }
        }
    };
}

values!(U8 u8, I8 i8, U16 u16, I16 i16, U32 u32, I32 i32, U64 u64, I64 i64, F32 f32, F64 f64);

fn draw<T: Draw>(recipe: &Recipe, random: &mut Random) -> Vec<T> {
    (0..recipe.len)
        .map(|_| {
            let nan = T::CAN_BE_NAN && random.below(100) < recipe.nan_percent;
            if nan { T::nan() } else { T::draw(random, recipe.shape) }
        })
        .collect()
}

/// Samples with their validity bits.
pub(crate) struct Series {
    recipe: Recipe,
    values: Values,
    words: Option<Vec<u64>>,
}

impl Recipe {
    /// A series of a type and length, without anything missing.
    pub(crate) fn plain(sample_type: usize, len: usize) -> Recipe {
        Recipe {
            sample_type,
            shape: Shape::Around0,
            len,
            nan_percent: 0,
            missing_percent: None,
            first_bit: 0,
            start: 0,
            step: 1,
            seed: 1,
        }
    }

    pub(crate) fn series(&self) -> Series {
        let mut random = Random(self.seed);
        let values = Values::make(self, &mut random);
        let words = self.missing_percent.map(|percent| {
            let mut words = vec![0; (self.first_bit + self.len).div_ceil(64)];
            // The bits before the first sample belong to others: any will do.
            for bit in 0..words.len() * 64 {
                if random.below(100) >= percent {
                    words[bit / 64] |= 1_u64 << (bit % 64);
                }
            }
            words
        });
        Series { recipe: self.clone(), values, words }
    }

    pub(crate) fn is_float(&self) -> bool {
        SAMPLE_TYPES[self.sample_type].starts_with('f')
    }
}

/// Recipes of up to `longest` samples.
pub(crate) fn recipes(longest: usize) -> impl Strategy<Value = Recipe> {
    let len = prop_oneof![4 => 0..40_usize, 3 => 0..=longest.min(300), 2 => 0..=longest];
    let missing = prop_oneof![3 => Just(None), 1 => Just(Some(0)), 1 => Just(Some(100)), 3 => (1..60_u64).prop_map(Some)];
    let kind = (0..SAMPLE_TYPES.len(), proptest::sample::select(&Shape::ALL[..]));
    let nan = prop_oneof![2 => Just(0_u64), 1 => 1..50_u64];
    let times = (-1_000_000_000_000..1_000_000_000_000_i64, 1..100_000_i64);
    (kind, len, nan, missing, 0..200_usize, times, any::<u64>()).prop_map(
        |((sample_type, shape), len, nan_percent, missing_percent, first_bit, (start, step), seed)| Recipe {
            sample_type,
            shape,
            len,
            nan_percent,
            missing_percent,
            first_bit,
            start,
            step,
            seed,
        },
    )
}

#[test]
fn every_sample_type_is_drawn() {
    for (sample_type, name) in SAMPLE_TYPES.iter().enumerate() {
        let recipe = Recipe { missing_percent: Some(50), first_bit: 70, ..Recipe::plain(sample_type, 100) };
        let series = recipe.series();
        assert_eq!(sample_type_of(series.run()), *name);
        assert_eq!(series.run().len(), 100);
    }
}
