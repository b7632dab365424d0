//! The ten types of values, and the four that Parquet knows for them.

use std::ops::Range;

use parquet::data_type::{DataType, DoubleType, FloatType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use sheaf_kernels::Level;

use super::alp::AlpPage;
use super::delta;
use super::fixed::Fixed;

/// A type of values.
pub(super) trait Native: Copy + Default + Send + Sync + 'static {
    /// How Parquet stores it; unsigned integers bit by bit.
    type Physical: Bits + Stored;
    /// Parquet's name for that.
    type Parquet: DataType<T = Self::Physical>;

    /// What a missing value reads as.
    const MISSING: Self;

    /// Whether this value says that there is none.
    fn is_nan(self) -> bool;

    /// The value as Parquet stores it.
    fn physical(self) -> Self::Physical;

    /// Values as Parquet stores them: the same slice where that is the same type, else converted into `buffer`.
    fn view<'a>(values: &'a [Self], buffer: &'a mut Vec<Self::Physical>) -> &'a [Self::Physical];

    /// Puts what Parquet stores into as much memory.
    fn put(stored: &[Self::Physical], out: &mut [Self]);

    /// Decodes this range of an ALP page.
    fn decode_alp(_: &AlpPage<'_>, _: Range<usize>, _: &mut [Self]) -> Result<(), ParquetError> {
        Err(ParquetError::General("ALP is an encoding of floats".to_owned()))
    }
}

/// A type of values as Parquet stores it.
pub(super) trait Stored: Bits + Fixed {
    /// The memory of this type.
    fn of(memory: &mut Memory) -> &mut Vec<Self>;

    /// Decodes a DELTA_BINARY_PACKED page of so many values, in place of what was there.
    fn decode_delta(_: &[u8], _: usize, _: &mut Vec<Self>) -> Result<(), ParquetError> {
        Err(ParquetError::General("DELTA_BINARY_PACKED is an encoding of integers".to_owned()))
    }
}

/// Memory for stored values of any type.
#[derive(Default)]
pub(super) struct Memory {
    i32: Vec<i32>,
    i64: Vec<i64>,
    f32: Vec<f32>,
    f64: Vec<f64>,
}

macro_rules! stored {
    ($type:ident $(, $decode_delta:item)?) => {
        impl Stored for $type {
            fn of(memory: &mut Memory) -> &mut Vec<$type> {
                &mut memory.$type
            }

            $($decode_delta)?
        }
    };
}

stored!(
    i32,
    fn decode_delta(bytes: &[u8], len: usize, out: &mut Vec<i32>) -> Result<(), ParquetError> {
        delta::decode(Level::best(), bytes, len, out)
    }
);
stored!(
    i64,
    fn decode_delta(bytes: &[u8], len: usize, out: &mut Vec<i64>) -> Result<(), ParquetError> {
        delta::decode(Level::best(), bytes, len, out)
    }
);
stored!(f32);
stored!(f64);

/// A stored value as a number that is equal only for the same bits.
pub(super) trait Bits: Copy + Default + Send + Sync + 'static {
    /// The bits.
    fn bits(self) -> u64;
}

impl Bits for i32 {
    fn bits(self) -> u64 {
        u64::from(self as u32)
    }
}

impl Bits for i64 {
    fn bits(self) -> u64 {
        self as u64
    }
}

impl Bits for f32 {
    fn bits(self) -> u64 {
        u64::from(self.to_bits())
    }
}

impl Bits for f64 {
    fn bits(self) -> u64 {
        self.to_bits()
    }
}

macro_rules! same {
    ($native:ty, $parquet:ty, $missing:expr, $is_nan:expr $(, $decode_alp:item)?) => {
        impl Native for $native {
            type Physical = $native;
            type Parquet = $parquet;

            const MISSING: $native = $missing;

            fn is_nan(self) -> bool {
                let is_nan: fn($native) -> bool = $is_nan;
                is_nan(self)
            }

            fn physical(self) -> $native {
                self
            }

            fn view<'a>(values: &'a [$native], _: &'a mut Vec<$native>) -> &'a [$native] {
                values
            }

            fn put(stored: &[$native], out: &mut [$native]) {
                out.copy_from_slice(stored);
            }

            $($decode_alp)?
        }
    };
}

macro_rules! cast {
    ($native:ty, $physical:ty, $parquet:ty) => {
        impl Native for $native {
            type Physical = $physical;
            type Parquet = $parquet;

            const MISSING: $native = 0;

            fn is_nan(self) -> bool {
                false
            }

            fn physical(self) -> $physical {
                self as $physical
            }

            fn view<'a>(values: &'a [$native], buffer: &'a mut Vec<$physical>) -> &'a [$physical] {
                buffer.clear();
                buffer.extend(values.iter().map(|value| *value as $physical));
                buffer
            }

            fn put(stored: &[$physical], out: &mut [$native]) {
                for (value, stored) in out.iter_mut().zip(stored) {
                    *value = *stored as $native;
                }
            }
        }
    };
}

same!(
    f32,
    FloatType,
    f32::NAN,
    f32::is_nan,
    fn decode_alp(page: &AlpPage<'_>, values: Range<usize>, out: &mut [f32]) -> Result<(), ParquetError> {
        page.decode(Level::best(), values, out)
    }
);
same!(
    f64,
    DoubleType,
    f64::NAN,
    f64::is_nan,
    fn decode_alp(page: &AlpPage<'_>, values: Range<usize>, out: &mut [f64]) -> Result<(), ParquetError> {
        page.decode(Level::best(), values, out)
    }
);
same!(i32, Int32Type, 0, |_| false);
same!(i64, Int64Type, 0, |_| false);
cast!(u8, i32, Int32Type);
cast!(i8, i32, Int32Type);
cast!(u16, i32, Int32Type);
cast!(i16, i32, Int32Type);
cast!(u32, i32, Int32Type);
cast!(u64, i64, Int64Type);
