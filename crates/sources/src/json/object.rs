//! The cells of a line: keys and the text of their values.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::csv::MOST_FIELDS;

/// A key with its value, as text that is valid JSON.
pub(super) struct Cell<'a> {
    pub(super) key: Cow<'a, str>,
    raw: &'a str,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Bool,
    Number,
    Text,
    /// An object or a list.
    Nested,
}

impl<'a> Cell<'a> {
    pub(super) fn kind(&self) -> Kind {
        match self.raw.as_bytes().first() {
            Some(b'n') => Kind::Null,
            Some(b't' | b'f') => Kind::Bool,
            Some(b'"') => Kind::Text,
            Some(b'{' | b'[') => Kind::Nested,
            _ => Kind::Number,
        }
    }

    /// The value as a table of text would have it: without quotes. Nothing for null.
    pub(super) fn text(&self) -> Cow<'a, str> {
        match self.kind() {
            Kind::Null => Cow::Borrowed(""),
            Kind::Text if self.raw.contains('\\') => {
                // It was valid before; so it is now.
                Cow::Owned(serde_json::from_str(self.raw).unwrap_or_default())
            }
            Kind::Text => Cow::Borrowed(&self.raw[1..self.raw.len() - 1]),
            Kind::Bool | Kind::Number | Kind::Nested => Cow::Borrowed(self.raw),
        }
    }
}

/// Takes a line apart; `cells` are its cells then. The message says why it is none.
pub(super) fn read<'a>(line: &'a [u8], cells: &mut Vec<Cell<'a>>) -> Result<(), String> {
    cells.clear();
    let mut deserializer = serde_json::Deserializer::from_slice(line);
    let read = Cells(cells).deserialize(&mut deserializer).and_then(|()| deserializer.end());
    read.map_err(|error| {
        // All of it is line 1.
        let text = error.to_string();
        match text.split_once(" at line 1 column ") {
            Some((problem, column)) => format!("{problem} at character {column}"),
            None => text,
        }
    })
}

struct Cells<'b, 'a>(&'b mut Vec<Cell<'a>>);

impl<'a> DeserializeSeed<'a> for Cells<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for Cells<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object like {\"time\": \"2020-01-31T12:00:00Z\", \"T1\": 1.5}")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Key(key)) = map.next_key()? {
            let raw: &RawValue = map.next_value()?;
            if self.0.len() == MOST_FIELDS {
                return Err(A::Error::custom(format_args!("it has more than {MOST_FIELDS} keys")));
            }
            self.0.push(Cell { key, raw: raw.get() });
        }
        Ok(())
    }
}

/// A key, borrowed where nothing in it is escaped.
struct Key<'a>(Cow<'a, str>);

impl<'a> Deserialize<'a> for Key<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Key<'a>, D::Error> {
        struct OfKey;
        impl<'a> Visitor<'a> for OfKey {
            type Value = Key<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E>(self, key: &'a str) -> Result<Key<'a>, E> {
                Ok(Key(Cow::Borrowed(key)))
            }

            fn visit_str<E>(self, key: &str) -> Result<Key<'a>, E> {
                Ok(Key(Cow::Owned(key.to_owned())))
            }
        }
        deserializer.deserialize_str(OfKey)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_texts_as_in_a_table() {
        let line =
            br#"{"a": 1.50, "b": "x\ty", "c": null, "\u00e4": true, "e": [1, {"x": 2}], "f": "plain"}"#;
        let mut cells = Vec::new();
        read(line, &mut cells).unwrap();
        let found: Vec<_> = cells.iter().map(|cell| (&*cell.key, cell.kind(), cell.text())).collect();
        let wanted = [
            ("a", Kind::Number, "1.50"),
            ("b", Kind::Text, "x\ty"),
            ("c", Kind::Null, ""),
            ("ä", Kind::Bool, "true"),
            ("e", Kind::Nested, r#"[1, {"x": 2}]"#),
            ("f", Kind::Text, "plain"),
        ];
        assert_eq!(found, wanted.map(|(key, kind, text)| (key, kind, text.into())));
    }

    #[test]
    fn what_is_no_object_is_refused() {
        let refused = |line: &str| read(line.as_bytes(), &mut Vec::new()).unwrap_err();
        assert_eq!(refused(r#"{"a": 1"#), "EOF while parsing an object at character 7");
        assert_eq!(refused(r#"{"a": 1} {"#), "trailing characters at character 10");
        assert_eq!(refused(r#"{"a": NaN}"#), "expected value at character 7");
        assert!(refused("[1, 2]").contains("expected an object like {\"time\""), "{}", refused("[1, 2]"));
        assert!(refused(&"[".repeat(100_000)).contains("expected an object"));
        assert!(refused(&format!("{{\"a\": {}", "[".repeat(100_000))).contains("EOF"));
    }
}
