//! Decoding of PLAIN and BYTE_STREAM_SPLIT: values as they are, little end first, one after the other; or the first bytes of
//! all, then the second bytes, and so on.

use parquet::errors::ParquetError;
use sheaf_kernels::{Kernel, Level};

/// A type of values that all have the same number of bytes.
pub(super) trait Fixed: Copy + Default {
    /// How many.
    const BYTES: usize;

    /// The values that these bytes are. There are as many as there is room for.
    fn whole(bytes: &[u8], out: &mut [Self]);

    /// The values of which these are the first bytes, the second bytes, and so on. There are as many as there is room for.
    fn split(level: Level, bytes: &[u8], out: &mut [Self]);
}

/// What puts bytes together again.
struct Join<'a, T> {
    bytes: &'a [u8],
    out: &'a mut [T],
}

macro_rules! fixed {
    ($type:ty, $bytes:literal: $($stream:ident)*) => {
        impl Fixed for $type {
            const BYTES: usize = $bytes;

            fn whole(bytes: &[u8], out: &mut [$type]) {
                for (value, bytes) in out.iter_mut().zip(bytes.as_chunks::<$bytes>().0) {
                    *value = <$type>::from_le_bytes(*bytes);
                }
            }

            fn split(level: Level, bytes: &[u8], out: &mut [$type]) {
                level.run(Join { bytes, out });
            }
        }

        impl Kernel for Join<'_, $type> {
            type Output = ();

            #[inline(always)]
            fn run(self) {
                let len = self.out.len();
                let rest = self.bytes;
                $(let ($stream, rest) = rest.split_at(len);)*
                let _ = rest;
                for index in 0..len {
                    self.out[index] = <$type>::from_le_bytes([$($stream[index]),*]);
                }
            }
        }
    };
}

fixed!(i32, 4: a b c d);
fixed!(f32, 4: a b c d);
fixed!(i64, 8: a b c d e f g h);
fixed!(f64, 8: a b c d e f g h);

/// Decodes `len` values into `out`, in place of what was there: split by their bytes, or whole.
///
/// # Errors
/// There are too few bytes for them, or too many.
pub(super) fn decode<T: Fixed>(
    level: Level,
    bytes: &[u8],
    is_split: bool,
    len: usize,
    out: &mut Vec<T>,
) -> Result<(), ParquetError> {
    if Some(bytes.len()) != len.checked_mul(T::BYTES) {
        let what = format!("{} bytes can't be {len} values of {} bytes", bytes.len(), T::BYTES);
        return Err(ParquetError::General(what));
    }
    // All of it is overwritten. Memory is cleared where it is new.
    out.resize(len, T::default());
    if is_split {
        T::split(level, bytes, out);
    } else {
        T::whole(bytes, out);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use parquet::basic::Encoding;
    use parquet::data_type::{DataType, DoubleType, FloatType, Int32Type, Int64Type};
    use proptest::prelude::*;

    use super::*;
    use crate::segment::native::Bits;
    use crate::segment::reference;

    fn check<P: DataType>(values: &[P::T])
    where
        P::T: Fixed + Bits + Debug,
    {
        let bits = |values: &[P::T]| values.iter().map(|value| value.bits()).collect::<Vec<u64>>();
        for (encoding, is_split) in [(Encoding::PLAIN, false), (Encoding::BYTE_STREAM_SPLIT, true)] {
            let page = reference::encoded::<P>(encoding, values);
            for level in Level::available() {
                let mut out = vec![P::T::default(); 10];
                decode(level, &page, is_split, values.len(), &mut out).unwrap();
                assert_eq!(bits(&out), bits(values), "{encoding} at {}", level.name());
            }
            for len in [values.len() - 1, values.len() + 1, usize::MAX] {
                decode(Level::best(), &page, is_split, len, &mut Vec::<P::T>::new()).unwrap_err();
            }
        }
    }

    proptest! {
        #[test]
        fn values_come_back(bits in proptest::collection::vec(any::<u64>(), 1..500)) {
            check::<Int32Type>(&bits.iter().map(|&bits| bits as i32).collect::<Vec<_>>());
            check::<Int64Type>(&bits.iter().map(|&bits| bits as i64).collect::<Vec<_>>());
            check::<FloatType>(&bits.iter().map(|&bits| f32::from_bits(bits as u32)).collect::<Vec<_>>());
            check::<DoubleType>(&bits.iter().map(|&bits| f64::from_bits(bits)).collect::<Vec<_>>());
        }
    }
}
