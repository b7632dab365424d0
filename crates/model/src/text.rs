//! How input from outside is shown in messages.

use std::fmt;

/// Input between backticks: control characters escaped, and cut where it is long.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

/// Characters of the input that a message shows.
const LONGEST_SHOWN: usize = 200;

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_quoted(f, self.0, LONGEST_SHOWN)
    }
}

/// Writes input between backticks: control characters escaped, and cut after `longest` characters.
///
/// # Errors
/// The formatter fails.
pub fn write_quoted(f: &mut fmt::Formatter<'_>, text: &str, longest: usize) -> fmt::Result {
    f.write_str("`")?;
    for (index, character) in text.chars().enumerate() {
        if index == longest {
            return f.write_str("…`");
        }
        match character {
            '`' => f.write_str("\\`")?,
            '\'' | '"' | '\\' => write!(f, "{character}")?,
            // Control and format characters and other white space than the blank become visible.
            _ => write!(f, "{}", character.escape_debug())?,
        }
    }
    f.write_str("`")
}

/// The allowed word that `found` is most likely a slip of, if there is one.
pub(crate) fn suggest<'a>(found: &str, allowed: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let found = found.to_lowercase();
    let length = found.chars().count();
    // A quarter of the word may be wrong: more is no slip but another word. One or two letters must all be right.
    let most = match length {
        0..=2 => 0,
        _ => (length / 4).max(1),
    };
    if length > 64 {
        return None;
    }
    allowed
        .into_iter()
        .filter(|word| word.chars().count().abs_diff(length) <= most)
        .map(|word| (strsim::osa_distance(&found, &word.to_lowercase()), word))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// `, did you mean `x`?`, or nothing.
pub(crate) struct DidYouMean<'a>(pub(crate) Option<&'a str>);

impl fmt::Display for DidYouMean<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(word) => write!(f, ", did you mean {}?", Quoted(word)),
            None => Ok(()),
        }
    }
}

/// What was probably meant and what is allowed: the end of every message about an unknown word.
pub(crate) struct Allowed<'a, A> {
    pub(crate) suggestion: Option<&'a str>,
    pub(crate) allowed: A,
}

impl<A: fmt::Display> fmt::Display for Allowed<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.suggestion {
            Some(_) => write!(f, "{} allowed: {}", DidYouMean(self.suggestion), self.allowed),
            None => write!(f, "; allowed: {}", self.allowed),
        }
    }
}

/// Words with commas between them, at most a screenful.
pub(crate) fn list<T: fmt::Display>(words: impl IntoIterator<Item = T>) -> String {
    const MOST: usize = 30;
    let mut words = words.into_iter();
    let mut shown: Vec<String> = words.by_ref().take(MOST).map(|word| word.to_string()).collect();
    if shown.is_empty() {
        return "none".to_owned();
    }
    let more = words.count();
    if more > 0 {
        shown.push(format!("… and {more} more"));
    }
    shown.join(", ")
}

/// Serialises a type as the text it displays, and reads it back through its `FromStr`.
macro_rules! serde_as_text {
    ($type:ty) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

pub(crate) use serde_as_text;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
        let kinds = ["mean", "median", "max", "min"];
        assert_eq!(suggest("maen", kinds), Some("mean"));
        assert_eq!(suggest("MEAN", kinds), Some("mean"));
        assert_eq!(suggest("average", kinds), None);
        assert_eq!(suggest("x", ["s", "E"]), None);
        assert_eq!(suggest("S", ["s", "E"]), Some("s"));
        assert_eq!(suggest(&"m".repeat(10_000), kinds), None);
    }

    #[test]
    fn shown_input_is_short_and_harmless() {
        assert_eq!(Quoted("a\n\u{1b}[1m").to_string(), "`a\\n\\u{1b}[1m`");
        assert_eq!(Quoted("mean\u{200b}`'ä").to_string(), "`mean\\u{200b}\\`'ä`");
        assert_eq!(Quoted(&"x".repeat(1000)).to_string().chars().count(), LONGEST_SHOWN + 3);
        assert_eq!(list(0..2), "0, 1");
        assert!(list(0..100).ends_with("29, … and 70 more"));
        assert_eq!(list(Vec::<u8>::new()), "none");
    }
}
