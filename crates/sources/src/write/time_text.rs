//! Text of times, made once for each second.

use std::io::Write;

use sheaf_model::Tick;

/// Text of times. Those of one second differ in the fraction only.
#[derive(Default)]
pub(crate) struct TimeText {
    /// The second whose text there is, counted from tick 0.
    second: Option<i64>,
    text: Vec<u8>,
    /// Length of the text without fraction and `Z`.
    whole: usize,
}

impl TimeText {
    /// The text of a tick: `2020-01-01T00:00:00Z`, or with seven digits of the second; `None` beyond the time that can
    /// be named.
    pub(crate) fn of(&mut self, ticks: i64) -> Option<&[u8]> {
        self.write(ticks, ticks.rem_euclid(Tick::PER_SECOND) > 0)
    }

    /// The text of a tick, always with seven digits of the second.
    pub(crate) fn with_fraction(&mut self, ticks: i64) -> Option<&[u8]> {
        self.write(ticks, true)
    }

    fn write(&mut self, ticks: i64, has_fraction: bool) -> Option<&[u8]> {
        let second = ticks.div_euclid(Tick::PER_SECOND);
        if self.second != Some(second) {
            let text = Tick::new(second * Tick::PER_SECOND).ok()?.to_string();
            self.text.clear();
            self.text.extend(text.strip_suffix('Z')?.as_bytes());
            self.whole = self.text.len();
            self.second = Some(second);
        }
        self.text.truncate(self.whole);
        if has_fraction {
            write!(self.text, ".{:07}", ticks.rem_euclid(Tick::PER_SECOND)).ok()?;
        }
        self.text.push(b'Z');
        Tick::new(ticks).ok().map(|_| self.text.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn times_are_those_of_ticks(ticks in proptest::collection::vec(0..=Tick::MAX.ticks(), 1..20)) {
            let mut text = TimeText::default();
            for ticks in ticks {
                let expected = Tick::new(ticks).unwrap().to_string();
                prop_assert_eq!(text.of(ticks).unwrap(), expected.as_bytes());
                let long = String::from_utf8(text.with_fraction(ticks).unwrap().to_vec()).unwrap();
                prop_assert_eq!(long.len(), "2020-01-01T00:00:00.0000000Z".len());
                prop_assert_eq!(long.parse::<Tick>().unwrap().ticks(), ticks);
            }
        }
    }
}
