//! What writers say of columns beside the schema: which one is the index, and which units they have.
//!
//! - `pandas` (JSON): the columns of the index, and types like `pint[degC]`.
//! - `PANDAS_ATTRS` (JSON): `{"units": {"T1": "°C"}}`, the attributes of a data frame.
//! - `ARROW:schema` (Base64 of a flatbuffer): metadata of fields, of which `unit` and `units` are read.

use parquet::file::metadata::KeyValue;

use crate::cells::Hints;

/// What these entries say. Whatever can't be read says nothing.
pub(super) fn hints(entries: Option<&Vec<KeyValue>>) -> Hints {
    let value = |key: &str| {
        entries.into_iter().flatten().find(|entry| entry.key == key).and_then(|entry| entry.value.as_deref())
    };
    let mut hints = Hints::of_data_frame(value("pandas"), value("PANDAS_ATTRS"));
    if let Some(message) = value("ARROW:schema").and_then(base64) {
        for (column, unit) in arrow_units(&message).unwrap_or_default() {
            hints.add_unit(column, unit);
        }
    }
    hints
}

/// Base64 with the usual alphabet.
fn base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0);
    for byte in text.trim_end_matches('=').bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    Some(bytes)
}

/// Columns and their units in the metadata of all fields of a schema, which is a message of Arrow's IPC.
///
/// Only this one path through its flatbuffer is followed: `Message.header` (a `Schema`), `Schema.fields`, and of each
/// `Field` its `name` and `custom_metadata`.
fn arrow_units(message: &[u8]) -> Option<Vec<(&str, &str)>> {
    /// `MessageHeader.Schema`.
    const SCHEMA: u8 = 1;
    /// Entries that are looked at: in a buffer that is made to do harm, all fields may share the same long list.
    const MOST_ENTRIES: usize = 1_000_000;
    // A continuation mark and a length are before the message; old writers had the length only.
    let message = match message {
        [0xFF, 0xFF, 0xFF, 0xFF, _, _, _, _, rest @ ..] | [_, _, _, _, rest @ ..] => Flat(rest),
        _ => return None,
    };
    let root = message.table(message.offset(0)?)?;
    if *message.0.get(root.field(1)?)? != SCHEMA {
        return None;
    }
    let schema = message.table(message.offset(root.field(2)?)?)?;
    let mut units = Vec::new();
    let mut left = MOST_ENTRIES;
    for field in message.vector(schema.field(1)?)? {
        let field = message.table(message.offset(field)?)?;
        let Some(name) = field.field(0).and_then(|at| message.text(at)) else { continue };
        let Some(entries) = field.field(6).and_then(|at| message.vector(at)) else { continue };
        for entry in entries {
            left = left.checked_sub(1)?;
            let entry = message.table(message.offset(entry)?)?;
            let text = |id| entry.field(id).and_then(|at| message.text(at));
            if let (Some("unit" | "units"), Some(unit)) = (text(0), text(1)) {
                units.push((name, unit));
            }
        }
    }
    Some(units)
}

/// A flatbuffer; `None` is a place beyond its end.
#[derive(Clone, Copy)]
struct Flat<'a>(&'a [u8]);

/// A table in it.
struct FlatTable<'a> {
    buffer: Flat<'a>,
    at: usize,
    fields: usize,
    fields_len: usize,
}

impl<'a> Flat<'a> {
    fn u32(self, at: usize) -> Option<usize> {
        let bytes = self.0.get(at..at.checked_add(4)?)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?) as usize)
    }

    fn u16(self, at: usize) -> Option<usize> {
        let bytes = self.0.get(at..at.checked_add(2)?)?;
        Some(usize::from(u16::from_le_bytes(bytes.try_into().ok()?)))
    }

    /// The place that the offset at this one leads to.
    fn offset(self, at: usize) -> Option<usize> {
        at.checked_add(self.u32(at)?)
    }

    fn table(self, at: usize) -> Option<FlatTable<'a>> {
        // The only offset that leads backwards.
        let back = self.u32(at)? as u32 as i32;
        let fields = usize::try_from(i64::try_from(at).ok()? - i64::from(back)).ok()?;
        Some(FlatTable { buffer: self, at, fields, fields_len: self.u16(fields)? })
    }

    /// The places of the elements of a vector of offsets.
    fn vector(self, at: usize) -> Option<impl Iterator<Item = usize>> {
        let begin = self.offset(at)?;
        let count = self.u32(begin)?;
        // All of them are in the buffer, so that their number is what it says.
        self.0.get(begin..begin.checked_add(count.checked_mul(4)?)?.checked_add(4)?)?;
        Some((0..count).map(move |index| begin + 4 + 4 * index))
    }

    /// A text that is not longer than a name or a unit would be.
    fn text(self, at: usize) -> Option<&'a str> {
        let begin = self.offset(at)?;
        let len = self.u32(begin).filter(|len| *len <= 1024)?;
        let bytes = self.0.get(begin.checked_add(4)?..)?.get(..len)?;
        std::str::from_utf8(bytes).ok()
    }
}

impl FlatTable<'_> {
    /// Where field `id` is, if the table has it.
    fn field(&self, id: usize) -> Option<usize> {
        let entry = 4 + 2 * id;
        if entry + 2 > self.fields_len {
            return None;
        }
        let offset = self.buffer.u16(self.fields.checked_add(entry)?)?;
        (offset > 0).then(|| self.at + offset)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hints(key: &str, value: &str) -> Hints {
        super::hints(Some(&vec![KeyValue::new(key.to_owned(), value.to_owned())]))
    }

    #[test]
    fn what_pandas_says() {
        let text = r#"{"index_columns": ["time", {"kind": "range"}], "columns": [
            {"name": "T1", "field_name": "T1", "numpy_type": "pint[degC][Float64]"},
            {"name": "n", "numpy_type": "int64"}]}"#;
        let hints = hints("pandas", text);
        assert_eq!(hints.index, ["time"]);
        assert_eq!(hints.units.len(), 1);
        assert_eq!(hints.units["T1"], "degC");
        let attributes = self::hints("PANDAS_ATTRS", r#"{"units": {"T1": " °C ", "n": 1, "p": ""}}"#);
        assert_eq!(attributes.units.len(), 1);
        assert_eq!(attributes.units["T1"], "°C");
        assert!(self::hints("pandas", "no JSON").index.is_empty());
    }

    #[test]
    fn base64_of_all_lengths() {
        for (text, bytes) in
            [("", &b""[..]), ("Zg==", b"f"), ("Zm8=", b"fo"), ("Zm9v", b"foo"), ("/+8=", b"\xFF\xEF")]
        {
            assert_eq!(base64(text).unwrap(), bytes);
        }
        assert_eq!(base64("a b"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_no_schema(bytes in prop::collection::vec(prop_oneof![0_u8..16, any::<u8>()], 0..300)) {
            let _ = arrow_units(&bytes);
        }
    }
}
