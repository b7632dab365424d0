//! How sizes and times are written in settings.

use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;
use sheaf_model::SamplePeriod;

/// A size: `512 MB`, `1 GiB`, or a number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bytes(pub(super) u64);

impl Bytes {
    pub(super) fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Bytes, String> {
        match text.parse::<ByteSize>() {
            Ok(size) if size.as_u64() > 0 => Ok(Bytes(size.as_u64())),
            _ => Err("it is a size like 512 MB or 1 GiB".to_owned()),
        }
    }
}

/// A time: `30 s`, `5 min`, `7 d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span(pub(super) Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Span, String> {
        let period = SamplePeriod::parse_lenient(text)
            .map_err(|_| "it is a time like 30 s, 5 min or 7 d, and not 0".to_owned())?;
        Ok(Span(Duration::from_nanos(period.ticks().unsigned_abs().saturating_mul(100))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_written_as_people_do() {
        assert_eq!("30 MB".parse(), Ok(Bytes(30_000_000)));
        assert_eq!("1GiB".parse(), Ok(Bytes(1 << 30)));
        assert_eq!("4096".parse(), Ok(Bytes(4096)));
        for wrong in ["", "0", "many", "-1", "1 XB"] {
            assert!(wrong.parse::<Bytes>().is_err(), "{wrong}");
        }
        assert_eq!("5 min".parse(), Ok(Span(Duration::from_secs(300))));
        assert_eq!("7d".parse(), Ok(Span(Duration::from_secs(7 * 86_400))));
        for wrong in ["", "0 s", "5", "-1 s", "1 year"] {
            assert!(wrong.parse::<Span>().is_err(), "{wrong}");
        }
    }
}
