//! Headers of pages: structs in Thrift's compact protocol, as `parquet.thrift` has them.
//!
//! A struct is a list of fields, ended by a zero: a byte with the distance to the field before and the type, then what the
//! type takes. Only what is needed of a page is looked at, all else is passed over.

use parquet::errors::ParquetError;

use super::packed::{varint, zigzag};

/// What is needed of the header of a data page of version 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PageHeader {
    /// Bytes of the header itself.
    pub(super) header_bytes: usize,
    /// Bytes that follow it: levels and values.
    pub(super) page_bytes: usize,
    /// The same where the values are not compressed, or were before that.
    pub(super) unpacked_bytes: usize,
    /// Whether the values are compressed, if those of their column chunk are.
    pub(super) is_compressed: bool,
    /// Rows, with a value or without.
    pub(super) rows: usize,
    /// Rows without a value.
    pub(super) nulls: usize,
    /// Number of the encoding in `parquet.thrift`.
    pub(super) encoding: i64,
    /// Bytes of the definition levels, which come first.
    pub(super) level_bytes: usize,
}

/// Structs in structs that are passed over at most; those of page headers have two.
const MOST_DEPTH: usize = 8;

/// Types of fields.
const TRUE: u8 = 1;
const FALSE: u8 = 2;
const BYTE: u8 = 3;
const I16: u8 = 4;
const I64: u8 = 6;
const DOUBLE: u8 = 7;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const SET: u8 = 10;
const MAP: u8 = 11;
const STRUCT: u8 = 12;

/// Kinds of pages.
const DICTIONARY_PAGE: i64 = 2;
const DATA_PAGE_V2: i64 = 3;

impl PageHeader {
    /// The header that these bytes begin with.
    ///
    /// # Errors
    /// They don't, or not with that of a data page of version 2.
    pub(super) fn read(bytes: &[u8]) -> Result<PageHeader, ParquetError> {
        let AnyHeader { header_bytes, kind, unpacked_bytes, page_bytes, part: v2 } =
            AnyHeader::read(bytes, 8, V2::read)?;
        let (Some(DATA_PAGE_V2), Some(page_bytes), Some(v2)) = (kind, page_bytes, v2) else {
            return Err(invalid("a page is not a data page of version 2"));
        };
        // One of these would have to come before the definition levels.
        if v2.repetition_bytes != Some(0) {
            return Err(invalid("a page has repetition levels"));
        }
        let (rows, values, nulls) = (size(v2.rows)?, size(v2.values)?, size(v2.nulls)?);
        let (page_bytes, level_bytes) = (size(Some(page_bytes))?, size(v2.level_bytes)?);
        let unpacked_bytes = size(unpacked_bytes)?;
        if values != rows || nulls > rows || level_bytes > page_bytes.min(unpacked_bytes) {
            return Err(invalid("a page header contradicts itself"));
        }
        Ok(PageHeader {
            header_bytes,
            page_bytes,
            unpacked_bytes,
            is_compressed: v2.is_compressed.unwrap_or(true),
            rows,
            nulls,
            encoding: v2.encoding.ok_or_else(|| invalid("a page header has no encoding"))?,
            level_bytes,
        })
    }
}

/// What is needed of the header of a dictionary page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DictionaryHeader {
    /// Bytes of the header itself.
    pub(super) header_bytes: usize,
    /// Bytes that follow it: the values, compressed if those of their column chunk are.
    pub(super) page_bytes: usize,
    /// Bytes of the values.
    pub(super) unpacked_bytes: usize,
    /// How many there are.
    pub(super) values: usize,
    /// Number of their encoding in `parquet.thrift`.
    pub(super) encoding: i64,
}

impl DictionaryHeader {
    /// The header that these bytes begin with.
    ///
    /// # Errors
    /// They don't, or not with that of a dictionary page.
    pub(super) fn read(bytes: &[u8]) -> Result<DictionaryHeader, ParquetError> {
        let AnyHeader { header_bytes, kind, unpacked_bytes, page_bytes, part: dictionary } =
            AnyHeader::read(bytes, 7, Dictionary::read)?;
        let (Some(DICTIONARY_PAGE), Some(dictionary)) = (kind, dictionary) else {
            return Err(invalid("a page is not a dictionary page"));
        };
        Ok(DictionaryHeader {
            header_bytes,
            page_bytes: size(page_bytes)?,
            unpacked_bytes: size(unpacked_bytes)?,
            values: size(dictionary.values)?,
            encoding: dictionary.encoding.ok_or_else(|| invalid("a page header has no encoding"))?,
        })
    }
}

/// What the headers of all pages have, as far as it is there.
struct AnyHeader<T> {
    /// Bytes of the header itself.
    header_bytes: usize,
    kind: Option<i64>,
    unpacked_bytes: Option<i64>,
    page_bytes: Option<i64>,
    /// The struct that only pages of this kind have.
    part: Option<T>,
}

impl<T> AnyHeader<T> {
    /// The header that these bytes begin with; `read_part` reads the struct in field `part_field`.
    fn read(
        bytes: &[u8],
        part_field: i64,
        read_part: fn(&mut Input<'_>) -> Result<T, ParquetError>,
    ) -> Result<AnyHeader<T>, ParquetError> {
        let mut input = Input { bytes };
        let (mut kind, mut unpacked_bytes, mut page_bytes, mut part) = (None, None, None, None);
        let mut field = 0;
        while let Some(of_type) = input.field(&mut field)? {
            match field {
                1 => kind = Some(input.integer(of_type)?),
                2 => unpacked_bytes = Some(input.integer(of_type)?),
                3 => page_bytes = Some(input.integer(of_type)?),
                _ if field == part_field && of_type == STRUCT => part = Some(read_part(&mut input)?),
                _ => input.skip(of_type, MOST_DEPTH)?,
            }
        }
        let header_bytes = bytes.len() - input.bytes.len();
        Ok(AnyHeader { header_bytes, kind, unpacked_bytes, page_bytes, part })
    }
}

/// A number of bytes, rows or values.
fn size(number: Option<i64>) -> Result<usize, ParquetError> {
    number
        .and_then(|number| usize::try_from(number).ok())
        .ok_or_else(|| invalid("a page header lacks a number, or has a negative one"))
}

/// The part of a header that only pages of version 2 have.
#[derive(Default)]
struct V2 {
    values: Option<i64>,
    nulls: Option<i64>,
    rows: Option<i64>,
    encoding: Option<i64>,
    level_bytes: Option<i64>,
    repetition_bytes: Option<i64>,
    is_compressed: Option<bool>,
}

impl V2 {
    fn read(input: &mut Input<'_>) -> Result<V2, ParquetError> {
        let mut found = V2::default();
        let mut field = 0;
        while let Some(of_type) = input.field(&mut field)? {
            match field {
                1 => found.values = Some(input.integer(of_type)?),
                2 => found.nulls = Some(input.integer(of_type)?),
                3 => found.rows = Some(input.integer(of_type)?),
                4 => found.encoding = Some(input.integer(of_type)?),
                5 => found.level_bytes = Some(input.integer(of_type)?),
                6 => found.repetition_bytes = Some(input.integer(of_type)?),
                7 if matches!(of_type, TRUE | FALSE) => found.is_compressed = Some(of_type == TRUE),
                _ => input.skip(of_type, MOST_DEPTH)?,
            }
        }
        Ok(found)
    }
}

/// The part of a header that only dictionaries have.
#[derive(Default)]
struct Dictionary {
    values: Option<i64>,
    encoding: Option<i64>,
}

impl Dictionary {
    fn read(input: &mut Input<'_>) -> Result<Dictionary, ParquetError> {
        let mut found = Dictionary::default();
        let mut field = 0;
        while let Some(of_type) = input.field(&mut field)? {
            match field {
                1 => found.values = Some(input.integer(of_type)?),
                2 => found.encoding = Some(input.integer(of_type)?),
                _ => input.skip(of_type, MOST_DEPTH)?,
            }
        }
        Ok(found)
    }
}

/// Bytes that are still to be read.
struct Input<'a> {
    bytes: &'a [u8],
}

impl Input<'_> {
    fn byte(&mut self) -> Result<u8, ParquetError> {
        let (&byte, rest) = self.bytes.split_first().ok_or_else(|| invalid("a page header is cut off"))?;
        self.bytes = rest;
        Ok(byte)
    }

    /// A number in seven bits a byte, the lowest first.
    fn varint(&mut self) -> Result<u64, ParquetError> {
        varint(&mut self.bytes).ok_or_else(|| invalid("a page header has a number without an end"))
    }

    /// A number that counts 0, -1, 1, -2, 2 and so on.
    fn zigzag(&mut self) -> Result<i64, ParquetError> {
        zigzag(&mut self.bytes).ok_or_else(|| invalid("a page header has a number without an end"))
    }

    /// The next field's type, and its number in `field`, which has that of the field before; `None` at the end.
    fn field(&mut self, field: &mut i64) -> Result<Option<u8>, ParquetError> {
        let byte = self.byte()?;
        if byte == 0 {
            return Ok(None);
        }
        *field = match byte >> 4 {
            0 => self.zigzag()?,
            distance => field.saturating_add(i64::from(distance)),
        };
        Ok(Some(byte & 0x0f))
    }

    fn integer(&mut self, of_type: u8) -> Result<i64, ParquetError> {
        match of_type {
            I16..=I64 => self.zigzag(),
            _ => Err(invalid("a page header has something else for a number")),
        }
    }

    fn pass(&mut self, len: u64) -> Result<(), ParquetError> {
        let rest = usize::try_from(len).ok().and_then(|len| self.bytes.get(len..));
        self.bytes = rest.ok_or_else(|| invalid("a page header is cut off"))?;
        Ok(())
    }

    /// Passes over a value in a field.
    fn skip(&mut self, of_type: u8, depth: usize) -> Result<(), ParquetError> {
        let depth = depth.checked_sub(1).ok_or_else(|| invalid("a page header is too deep"))?;
        match of_type {
            TRUE | FALSE => Ok(()),
            BYTE => self.pass(1),
            I16..=I64 => self.varint().map(drop),
            DOUBLE => self.pass(8),
            BINARY => {
                let len = self.varint()?;
                self.pass(len)
            }
            LIST | SET => {
                let byte = self.byte()?;
                let len = if byte >> 4 == 15 { self.varint()? } else { u64::from(byte >> 4) };
                (0..len).try_for_each(|_| self.skip_element(byte & 0x0f, depth))
            }
            MAP => {
                let len = self.varint()?;
                let types = if len == 0 { 0 } else { self.byte()? };
                (0..len).try_for_each(|_| {
                    self.skip_element(types >> 4, depth)?;
                    self.skip_element(types & 0x0f, depth)
                })
            }
            STRUCT => {
                let mut field = 0;
                while let Some(of_type) = self.field(&mut field)? {
                    self.skip(of_type, depth)?;
                }
                Ok(())
            }
            _ => Err(invalid("a page header has a field of no known type")),
        }
    }

    /// Passes over a value in a list, where a truth takes a byte.
    fn skip_element(&mut self, of_type: u8, depth: usize) -> Result<(), ParquetError> {
        if matches!(of_type, TRUE | FALSE) { self.pass(1) } else { self.skip(of_type, depth) }
    }
}

fn invalid(what: &str) -> ParquetError {
    ParquetError::General(what.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Type 3, 40 bytes, 30 of them compressed; 100 rows, 3 nulls, encoding 10, 7 and 0 bytes of levels, not compressed.
    const HEADER: [u8; 24] = [
        0x15, 6, 0x15, 80, 0x15, 60, 0x5c, 0x15, 200, 1, 0x15, 6, 0x15, 200, 1, 0x15, 20, 0x15, 14, 0x15, 0,
        0x12, 0, 0,
    ];

    #[test]
    fn a_header_by_hand() {
        let mut bytes = HEADER.to_vec();
        bytes.extend([1, 2, 3]);
        let header = PageHeader {
            header_bytes: HEADER.len(),
            page_bytes: 30,
            unpacked_bytes: 40,
            is_compressed: false,
            rows: 100,
            nulls: 3,
            encoding: 10,
            level_bytes: 7,
        };
        assert_eq!(PageHeader::read(&bytes).unwrap(), header);
        // With a checksum in front, and statistics with text behind.
        let mut longer = HEADER[..6].to_vec();
        longer.extend([0x15, 2]);
        longer.push(0x4c);
        longer.extend(&HEADER[7..22]);
        longer.extend([0x1c, 0x18, 2, 65, 66, 0x11, 0, 0, 0]);
        let header = PageHeader { header_bytes: longer.len(), ..header };
        assert_eq!(PageHeader::read(&longer).unwrap(), header);
    }

    #[test]
    fn what_is_no_header_is_refused() {
        for len in 0..HEADER.len() {
            PageHeader::read(&HEADER[..len]).unwrap_err();
        }
        let with = |index: usize, byte: u8| {
            let mut bytes = HEADER;
            bytes[index] = byte;
            PageHeader::read(&bytes).unwrap_err().to_string()
        };
        assert!(with(1, 0).ends_with("not a data page of version 2"));
        assert!(with(5, 61).ends_with("a negative one"));
        assert!(with(5, 12).ends_with("contradicts itself"));
        assert!(with(13, 202).ends_with("contradicts itself"));
        assert!(with(20, 2).ends_with("a page has repetition levels"));
        assert!(with(0, 0x18).ends_with("something else for a number"));
        // Lists in lists in lists, without an end.
        PageHeader::read(&[0x19; 1000]).unwrap_err();
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(bytes in proptest::collection::vec(any::<u8>(), 0..80), at in 0..24_usize) {
            let _ = PageHeader::read(&bytes);
            let mut changed = HEADER.to_vec();
            changed.truncate(at);
            changed.extend(bytes);
            let _ = PageHeader::read(&changed);
        }
    }
}
