//! Numbers with so many significant figures, as .NET's `G<n>` writes them.
//!
//! Digits are those of the exact value, rounded to the nearest; a value that lies exactly between two is rounded to the one
//! whose last digit is even (2.5 and 3.5 with one figure are 2 and 4). Exponents are written from 1E+n for `G<n>` on,
//! from 1E+15 for the shortest form, and from 1E-05 down; trailing zeros are not written.

use std::io::Write;

/// Below this exponent of ten, numbers are written with it.
const SMALLEST_FIXED: i32 = -5;

/// From this exponent of ten on, the shortest form of a number has it.
const LARGEST_SHORTEST: i32 = 15;

/// A float that can be written.
pub(super) trait Float: Copy {
    /// Whether it is a number.
    fn class(self) -> std::num::FpCategory;
    fn is_negative(self) -> bool;
    /// Its digits and exponent, `1.25e-3`; as few as give it back for 0 figures.
    fn digits(self, figures: u8, buffer: &mut Vec<u8>) -> std::io::Result<()>;
}

macro_rules! float {
    ($($t:ty),*) => {$(
        impl Float for $t {
            fn class(self) -> std::num::FpCategory {
                self.classify()
            }

            fn is_negative(self) -> bool {
                self.is_sign_negative()
            }

            fn digits(self, figures: u8, buffer: &mut Vec<u8>) -> std::io::Result<()> {
                match figures.checked_sub(1) {
                    None => write!(buffer, "{:e}", self.abs()),
                    Some(decimals) => write!(buffer, "{:.*e}", usize::from(decimals), self.abs()),
                }
            }
        }
    )*};
}
float!(f32, f64);

/// Writes numbers one after the other.
#[derive(Clone, Debug)]
pub(super) struct Significant {
    figures: u8,
    buffer: Vec<u8>,
}

impl Significant {
    /// With so many figures; 0 for as few as give the number back.
    pub(super) fn new(figures: u8) -> Significant {
        Significant { figures, buffer: Vec::with_capacity(48) }
    }

    pub(super) fn write(&mut self, value: impl Float, out: &mut Vec<u8>) -> std::io::Result<()> {
        use std::num::FpCategory::{Infinite, Nan, Zero};
        if value.class() == Nan {
            out.extend(b"NaN");
            return Ok(());
        }
        if value.is_negative() {
            out.push(b'-');
        }
        match value.class() {
            Infinite => out.extend(b"Infinity"),
            Zero => out.push(b'0'),
            _ => {
                self.buffer.clear();
                value.digits(self.figures, &mut self.buffer)?;
                self.arrange(out)?;
            }
        }
        Ok(())
    }

    /// Writes what is in the buffer the way .NET does.
    fn arrange(&self, out: &mut Vec<u8>) -> std::io::Result<()> {
        let at = self.buffer.iter().position(|&byte| byte == b'e').unwrap_or(self.buffer.len());
        let (mantissa, exponent) = self.buffer.split_at(at);
        let exponent: i32 = exponent
            .get(1..)
            .and_then(|text| std::str::from_utf8(text).ok()?.parse().ok())
            .unwrap_or_default();
        let (first, rest) = (&mantissa[..1], mantissa.get(2..).unwrap_or_default());
        let used = rest.iter().rposition(|&digit| digit != b'0').map_or(0, |last| last + 1);
        let rest = &rest[..used];
        let largest = if self.figures == 0 { LARGEST_SHORTEST } else { i32::from(self.figures) };
        if exponent >= largest || exponent <= SMALLEST_FIXED {
            out.extend(first);
            if !rest.is_empty() {
                out.push(b'.');
                out.extend(rest);
            }
            write!(out, "E{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())?;
        } else if exponent < 0 {
            out.extend(b"0.");
            out.extend((1..-exponent).map(|_| b'0'));
            out.extend(first);
            out.extend(rest);
        } else {
            let whole = exponent as usize;
            out.extend(first);
            out.extend(&rest[..rest.len().min(whole)]);
            out.extend((rest.len()..whole).map(|_| b'0'));
            if rest.len() > whole {
                out.push(b'.');
                out.extend(&rest[whole..]);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(value: impl Float, figures: u8) -> String {
        let mut out = Vec::new();
        Significant::new(figures).write(value, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn as_dotnet_writes_them() {
        for (value, figures, expected) in [
            (2486.6859, 7, "2486.686"),
            (-0.755_795_8, 7, "-0.7557958"),
            (12_345.0, 4, "1.234E+04"),
            (12_346.0, 4, "1.235E+04"),
            (1.2344e-5, 4, "1.234E-05"),
            (1.2344e-4, 4, "0.0001234"),
            (9999.0, 4, "9999"),
            (9999.4, 4, "9999"),
            // Rounded up into another power of ten.
            (9999.6, 4, "1E+04"),
            (0.000_099_999, 4, "0.0001"),
            (0.000_009_999_9, 4, "1E-05"),
            (1000.0, 4, "1000"),
            (100.0, 2, "1E+02"),
            (1e100, 4, "1E+100"),
            (1e-100, 4, "1E-100"),
            (0.1, 30, "0.100000000000000005551115123126"),
            (1.0, 30, "1"),
            (f64::MAX, 0, "1.7976931348623157E+308"),
            (f64::from_bits(1), 0, "5E-324"),
            (0.1, 0, "0.1"),
            (123_456_789_012_345.67, 0, "123456789012345.67"),
            (1e14, 0, "100000000000000"),
            (1e15, 0, "1E+15"),
            (1_234_567_890_123_456.0, 0, "1.234567890123456E+15"),
            (0.0001, 0, "0.0001"),
            (0.00001, 0, "1E-05"),
            (0.0, 4, "0"),
            (-0.0, 4, "-0"),
            (f64::NAN, 4, "NaN"),
            (f64::INFINITY, 4, "Infinity"),
            (f64::NEG_INFINITY, 0, "-Infinity"),
        ] {
            assert_eq!(text(value, figures), expected, "{value:e} G{figures}");
        }
        assert_eq!(text(0.1_f32, 0), "0.1");
        assert_eq!(text(16_777_216_f32, 4), "1.678E+07");
    }

    /// Only values that are exact in binary can lie between two numbers.
    #[test]
    fn ties_go_to_the_even_digit() {
        for (value, figures, expected) in [
            (2.5, 1, "2"),
            (3.5, 1, "4"),
            (0.125, 2, "0.12"),
            (0.375, 2, "0.38"),
            (1_000_000.5, 7, "1000000"),
            (1_000_001.5, 7, "1000002"),
            // 0.15 is a little less than that, 0.45 a little more.
            (0.15, 1, "0.1"),
            (0.45, 1, "0.5"),
        ] {
            assert_eq!(text(value, figures), expected, "{value} G{figures}");
        }
    }

    proptest! {
        #[test]
        fn seventeen_figures_and_the_shortest_form_give_the_number_back(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            for figures in [0, 17, 30] {
                prop_assert_eq!(text(value, figures).parse::<f64>().unwrap().to_bits(), value.to_bits());
            }
        }

        #[test]
        fn figures_bound_the_error(value in -1e300..1e300_f64, figures in 1_u8..=17) {
            let written: f64 = text(value, figures).parse().unwrap();
            prop_assert!((written - value).abs() <= value.abs() * 0.500_001 * 10_f64.powi(1 - i32::from(figures)));
        }
    }
}
