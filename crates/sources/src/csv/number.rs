//! Numbers from text, correctly rounded.

use std::borrow::Cow;

use crate::error::NumberProblem;

/// A number as it is written: without fraction and exponent it is an integer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    Int(i64),
    Float(f64),
}

impl Number {
    pub(crate) fn as_f64(self) -> f64 {
        match self {
            Number::Int(value) => value as f64,
            Number::Float(value) => value,
        }
    }
}

/// All powers of ten that a float holds exactly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

/// Any number of digits up to this one fits 64 bits.
const SAFE_DIGITS: usize = 18;

/// Reads a number with this decimal separator.
#[inline]
pub(crate) fn parse_number(text: &[u8], decimal: u8) -> Result<Number, NumberProblem> {
    parse_plain(text, decimal).map_or_else(|| parse_any(text, decimal), Ok)
}

/// What a flag is as a number.
pub(crate) fn parse_flag(text: &[u8]) -> Option<Number> {
    match text {
        b"true" | b"True" | b"TRUE" => Some(Number::Int(1)),
        b"false" | b"False" | b"FALSE" => Some(Number::Int(0)),
        _ => None,
    }
}

/// The short way, for plain decimals whose digits fit 53 bits: digits and power of ten are exact floats then, so the one
/// division rounds correctly. `None` for everything else, which the standard library reads.
#[inline]
pub(crate) fn parse_plain(text: &[u8], decimal: u8) -> Option<Number> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let mut mantissa = 0_u64;
    let mut at = 0;
    while let Some(digit) = digits.get(at).map(|byte| byte.wrapping_sub(b'0')).filter(|&digit| digit < 10) {
        mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(digit));
        at += 1;
    }
    let whole = at;
    if at == digits.len() && (1..=SAFE_DIGITS).contains(&at) && !(negative && mantissa == 0) {
        // 18 digits are less than 2⁶³.
        let value = mantissa as i64;
        return Some(Number::Int(if negative { -value } else { value }));
    }
    if digits.get(at) == Some(&decimal) {
        at += 1;
        while let Some(digit) = digits.get(at).map(|byte| byte.wrapping_sub(b'0')).filter(|&digit| digit < 10)
        {
            mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(digit));
            at += 1;
        }
        let fraction = at - whole - 1;
        if at == digits.len() && (1..=SAFE_DIGITS).contains(&(whole + fraction)) && mantissa <= 1 << 53 {
            let value = mantissa as f64 / POWERS[fraction];
            return Some(Number::Float(if negative { -value } else { value }));
        }
    }
    None
}

/// The long way.
#[cold]
fn parse_any(text: &[u8], decimal: u8) -> Result<Number, NumberProblem> {
    let (sign, digits) = match text {
        [sign @ (b'-' | b'+'), rest @ ..] => (Some(*sign), rest),
        rest => (None, rest),
    };
    if digits.eq_ignore_ascii_case(b"inf") || digits.eq_ignore_ascii_case(b"infinity") {
        return Ok(Number::Float(if sign == Some(b'-') { f64::NEG_INFINITY } else { f64::INFINITY }));
    }
    let Some(shape) = shape(digits, decimal) else {
        let other = if decimal == b'.' { b',' } else { b'.' };
        return Err(match shape(digits, other) {
            Some(_) if other == b',' => NumberProblem::Comma,
            Some(_) => NumberProblem::Point,
            None => NumberProblem::Form,
        });
    };
    // All bytes are ASCII by now.
    let mut plain = Cow::Borrowed(std::str::from_utf8(text).map_err(|_| NumberProblem::Form)?);
    if decimal != b'.' {
        plain = Cow::Owned(plain.replace(char::from(decimal), "."));
    }
    if shape == Shape::Integer
        && !(sign == Some(b'-') && digits.iter().all(|&digit| digit == b'0'))
        && let Ok(value) = plain.parse()
    {
        return Ok(Number::Int(value));
    }
    match plain.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(Number::Float(value)),
        Ok(_) => Err(NumberProblem::TooLarge),
        Err(_) => Err(NumberProblem::Form),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Integer,
    Other,
}

/// What kind of number this is, without its sign; `None` if it is none.
fn shape(text: &[u8], decimal: u8) -> Option<Shape> {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let whole = digits(text);
    if whole == text.len() {
        return (whole > 0).then_some(Shape::Integer);
    }
    let mut at = whole;
    let mut fraction = 0;
    if text.get(at) == Some(&decimal) {
        fraction = digits(&text[at + 1..]);
        at += 1 + fraction;
    }
    if whole + fraction == 0 {
        return None;
    }
    if let Some(b'e' | b'E') = text.get(at) {
        at += 1;
        if let Some(b'+' | b'-') = text.get(at) {
            at += 1;
        }
        let exponent = digits(&text[at..]);
        if exponent == 0 {
            return None;
        }
        at += exponent;
    }
    (at == text.len()).then_some(Shape::Other)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn point(text: &str) -> Result<Number, NumberProblem> {
        parse_number(text.as_bytes(), b'.')
    }

    #[test]
    fn integers_are_kept_apart() {
        for (text, value) in [
            ("0", 0),
            ("-1", -1),
            ("+7", 7),
            ("007", 7),
            ("999999999999999999", 999_999_999_999_999_999),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
        ] {
            assert_eq!(point(text), Ok(Number::Int(value)), "{text}");
        }
        // One more than the largest, and a zero that has a sign.
        assert_eq!(point("9223372036854775808"), Ok(Number::Float(9_223_372_036_854_775_808.0)));
        for text in ["-0", "-0.0", "-00", "-0e5"] {
            assert!(
                matches!(point(text), Ok(Number::Float(value)) if value == 0.0 && value.is_sign_negative())
            );
        }
    }

    #[test]
    fn forms_of_floats() {
        for (text, value) in [
            ("1.5", 1.5),
            (".5", 0.5),
            ("5.", 5.0),
            ("1e3", 1000.0),
            ("1.234E-05", 1.234e-5),
            ("1.235E+04", 12350.0),
            ("-0.7557958", -0.755_795_8),
            ("2486.686", 2486.686),
            ("Infinity", f64::INFINITY),
            ("-inf", f64::NEG_INFINITY),
            ("0.1", 0.1),
            ("9007199254740993.0", 9_007_199_254_740_992.0),
            ("1e-999", 0.0),
            ("179769313486231570000000000000000000000.5", 1.797_693_134_862_315_7e38),
        ] {
            assert_eq!(point(text), Ok(Number::Float(value)), "{text}");
            assert_eq!(
                parse_number(text.replace('.', ",").as_bytes(), b','),
                Ok(Number::Float(value)),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in [
            "", "-", "+", ".", "-.", "e5", "1e", "1e+", "1.5.2", "1 000", "1_000", "0x10", "1'000", "١",
            "1\0", "--1", "nan",
        ] {
            assert_eq!(point(text), Err(NumberProblem::Form), "{text:?}");
        }
        assert_eq!(point("1,5"), Err(NumberProblem::Comma));
        assert_eq!(parse_number(b"1.5", b','), Err(NumberProblem::Point));
        assert_eq!(point("1e999"), Err(NumberProblem::TooLarge));
        assert_eq!(point("1,234.5"), Err(NumberProblem::Form));
    }

    proptest! {
        #[test]
        fn floats_round_trip(bits in any::<u64>(), comma in any::<bool>()) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            let decimal = if comma { b',' } else { b'.' };
            for text in [format!("{value:?}"), format!("{value:e}"), format!("{value}")] {
                let text = if comma { text.replace('.', ",") } else { text };
                let read = parse_number(text.as_bytes(), decimal).unwrap().as_f64();
                prop_assert_eq!(read.to_bits(), value.to_bits(), "{}", text);
            }
        }

        #[test]
        fn integers_round_trip(value in any::<i64>()) {
            prop_assert_eq!(point(&value.to_string()), Ok(Number::Int(value)));
        }

        /// The short way agrees with the standard library.
        #[test]
        fn decimals_are_rounded_correctly(text in "[+-]?[0-9]{1,21}\\.[0-9]{0,21}") {
            let expected: f64 = text.parse().unwrap();
            prop_assert_eq!(point(&text).unwrap().as_f64().to_bits(), expected.to_bits());
        }

        #[test]
        fn anything_gives_a_number_or_an_error(text in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = parse_number(&text, b'.');
            let _ = parse_number(&text, b',');
        }
    }
}
