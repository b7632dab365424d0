//! The header of a page: a struct in Thrift's compact protocol.
//!
//! The `parquet` crate keeps its own reader of it to itself. A second one is the price for knowing how large a page says
//! it is before anything is allocated for it.

use parquet::basic::Encoding;

/// What a page header says, as far as it matters here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PageHeader {
    pub(super) kind: i64,
    pub(super) uncompressed_bytes: i64,
    pub(super) compressed_bytes: i64,
    pub(super) crc: Option<i64>,
    pub(super) values: i64,
    pub(super) encoding: i64,
    /// Of data pages of version 1.
    pub(super) def_encoding: i64,
    pub(super) rep_encoding: i64,
    /// Of data pages of version 2.
    pub(super) nulls: i64,
    pub(super) rows: i64,
    pub(super) def_bytes: i64,
    pub(super) rep_bytes: i64,
    pub(super) is_compressed: bool,
}

impl PageHeader {
    pub(super) const DATA: i64 = 0;
    pub(super) const DICTIONARY: i64 = 2;
    pub(super) const DATA_V2: i64 = 3;

    /// The header that bytes begin with, and its length; `None` if they end before it does, or are none.
    pub(super) fn parse(bytes: &[u8]) -> Option<(PageHeader, usize)> {
        let mut reader = Compact { bytes, at: 0 };
        let mut header = PageHeader { is_compressed: true, ..PageHeader::default() };
        let mut id = 0;
        while let Some(field) = reader.field(&mut id)? {
            match (id, field) {
                (1, INT32) => header.kind = reader.zigzag()?,
                (2, INT32) => header.uncompressed_bytes = reader.zigzag()?,
                (3, INT32) => header.compressed_bytes = reader.zigzag()?,
                (4, INT32) => header.crc = Some(reader.zigzag()?),
                (5 | 7 | 8, STRUCT) => header.inner(id, &mut reader)?,
                (_, other) => reader.skip(other, 0)?,
            }
        }
        Some((header, reader.at))
    }

    /// The header of one kind of page.
    fn inner(&mut self, kind: i64, reader: &mut Compact<'_>) -> Option<()> {
        let mut id = 0;
        while let Some(field) = reader.field(&mut id)? {
            match (kind, id, field) {
                (_, 1, INT32) => self.values = reader.zigzag()?,
                (5 | 7, 2, INT32) => self.encoding = reader.zigzag()?,
                (5, 3, INT32) => self.def_encoding = reader.zigzag()?,
                (5, 4, INT32) => self.rep_encoding = reader.zigzag()?,
                (8, 2, INT32) => self.nulls = reader.zigzag()?,
                (8, 3, INT32) => self.rows = reader.zigzag()?,
                (8, 4, INT32) => self.encoding = reader.zigzag()?,
                (8, 5, INT32) => self.def_bytes = reader.zigzag()?,
                (8, 6, INT32) => self.rep_bytes = reader.zigzag()?,
                (8, 7, TRUE) => self.is_compressed = true,
                (8, 7, FALSE) => self.is_compressed = false,
                (_, _, other) => reader.skip(other, 0)?,
            }
        }
        Some(())
    }
}

/// The encoding of this number.
#[expect(deprecated, reason = "levels of old files are written in BIT_PACKED")]
pub(super) fn encoding(number: i64) -> Option<Encoding> {
    Some(match number {
        0 => Encoding::PLAIN,
        2 => Encoding::PLAIN_DICTIONARY,
        3 => Encoding::RLE,
        4 => Encoding::BIT_PACKED,
        5 => Encoding::DELTA_BINARY_PACKED,
        6 => Encoding::DELTA_LENGTH_BYTE_ARRAY,
        7 => Encoding::DELTA_BYTE_ARRAY,
        8 => Encoding::RLE_DICTIONARY,
        9 => Encoding::BYTE_STREAM_SPLIT,
        10 => Encoding::ALP,
        _ => return None,
    })
}

const TRUE: u8 = 1;
const FALSE: u8 = 2;
const BYTE: u8 = 3;
const INT16: u8 = 4;
const INT32: u8 = 5;
const INT64: u8 = 6;
const DOUBLE: u8 = 7;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const SET: u8 = 10;
const STRUCT: u8 = 12;
const UUID: u8 = 13;

/// Structs in structs, at most.
const DEEPEST: usize = 16;

/// A reader of the compact protocol. `None` is the end of the bytes, or what can't be.
struct Compact<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Compact<'_> {
    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn zigzag(&mut self) -> Option<i64> {
        let value = self.varint()?;
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// The type of the next field, whose id is put into `id`; `None` inside at the end of the struct.
    #[expect(
        clippy::option_option,
        reason = "the outer one is the end of the bytes, the inner one of the struct"
    )]
    fn field(&mut self, id: &mut i64) -> Option<Option<u8>> {
        let byte = self.byte()?;
        if byte == 0 {
            return Some(None);
        }
        *id = match byte >> 4 {
            0 => self.zigzag()?,
            step => id.checked_add(i64::from(step))?,
        };
        Some(Some(byte & 0x0F))
    }

    fn skip(&mut self, field: u8, depth: usize) -> Option<()> {
        if depth > DEEPEST {
            return None;
        }
        let fixed = match field {
            TRUE | FALSE => 0,
            BYTE => 1,
            INT16 | INT32 | INT64 => {
                self.varint()?;
                0
            }
            DOUBLE => 8,
            UUID => 16,
            BINARY => usize::try_from(self.varint()?).ok()?,
            LIST | SET => {
                let byte = self.byte()?;
                let count = match byte >> 4 {
                    15 => self.varint()?,
                    count => u64::from(count),
                };
                for _ in 0..count {
                    // A boolean in a list has a byte of its own.
                    let element = if matches!(byte & 0x0F, TRUE | FALSE) { BYTE } else { byte & 0x0F };
                    self.skip(element, depth + 1)?;
                }
                0
            }
            STRUCT => {
                let mut id = 0;
                while let Some(field) = self.field(&mut id)? {
                    self.skip(field, depth + 1)?;
                }
                0
            }
            _ => return None,
        };
        self.at = self.at.checked_add(fixed).filter(|at| *at <= self.bytes.len())?;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `{1: 0, 2: 20, 3: 10, 5: {1: 4, 2: 0, 3: 3, 4: 3, 5: {…}}}` by hand.
    const DATA_PAGE: [u8; 22] = [
        0x15, 0, 0x15, 40, 0x15, 20, 0x2C, 0x15, 8, 0x15, 0, 0x15, 6, 0x15, 6, 0x1C, 0x18, 2, b'a', b'b', 0,
        0,
    ];

    #[test]
    fn a_header_by_hand() {
        let bytes = [&DATA_PAGE[..], &[0, 99]].concat();
        let (header, len) = PageHeader::parse(&bytes).unwrap();
        assert_eq!(len, DATA_PAGE.len() + 1);
        assert_eq!((header.kind, header.uncompressed_bytes, header.compressed_bytes), (0, 20, 10));
        assert_eq!((header.values, header.encoding, header.def_encoding, header.rep_encoding), (4, 0, 3, 3));
        for len in 0..len {
            assert_eq!(PageHeader::parse(&bytes[..len]), None);
        }
    }

    proptest! {
        #[test]
        fn anything_gives_a_header_or_none(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = PageHeader::parse(&bytes);
        }
    }
}
