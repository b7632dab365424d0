//! The ten data types.

use std::fmt;
use std::str::FromStr;

use crate::text::{Allowed, Quoted, list, serde_as_text, suggest};

/// Type of a stored sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DataType {
    /// Unsigned, 8 bits.
    Uint8,
    /// Signed, 8 bits.
    Int8,
    /// Unsigned, 16 bits.
    Uint16,
    /// Signed, 16 bits.
    Int16,
    /// Unsigned, 32 bits.
    Uint32,
    /// Signed, 32 bits.
    Int32,
    /// Unsigned, 64 bits.
    Uint64,
    /// Signed, 64 bits.
    Int64,
    /// IEEE 754 binary32.
    Float32,
    /// IEEE 754 binary64.
    Float64,
}

impl DataType {
    /// All types.
    pub const ALL: [DataType; 10] = [
        DataType::Uint8,
        DataType::Int8,
        DataType::Uint16,
        DataType::Int16,
        DataType::Uint32,
        DataType::Int32,
        DataType::Uint64,
        DataType::Int64,
        DataType::Float32,
        DataType::Float64,
    ];

    /// The name, as in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            DataType::Uint8 => "UINT8",
            DataType::Int8 => "INT8",
            DataType::Uint16 => "UINT16",
            DataType::Int16 => "INT16",
            DataType::Uint32 => "UINT32",
            DataType::Int32 => "INT32",
            DataType::Uint64 => "UINT64",
            DataType::Int64 => "INT64",
            DataType::Float32 => "FLOAT32",
            DataType::Float64 => "FLOAT64",
        }
    }

    /// The number that Nexus gives the type: 1 unsigned, 2 signed or 3 float in the high byte, bits in the low one.
    pub const fn code(self) -> u16 {
        match self {
            DataType::Uint8 => 0x108,
            DataType::Int8 => 0x208,
            DataType::Uint16 => 0x110,
            DataType::Int16 => 0x210,
            DataType::Uint32 => 0x120,
            DataType::Int32 => 0x220,
            DataType::Uint64 => 0x140,
            DataType::Int64 => 0x240,
            DataType::Float32 => 0x320,
            DataType::Float64 => 0x340,
        }
    }

    /// The type with this number.
    ///
    /// # Errors
    /// There is none.
    pub fn from_code(code: u16) -> Result<DataType, UnknownDataType> {
        let found = DataType::ALL.into_iter().find(|data_type| data_type.code() == code);
        found.ok_or_else(|| UnknownDataType { found: format!("{code:#x}") })
    }

    /// Bytes of a sample.
    pub const fn size_bytes(self) -> usize {
        (self.code() & 0xff) as usize / 8
    }

    /// Whether a missing sample is NaN; that of an integer is a null beside the values.
    pub const fn is_float(self) -> bool {
        matches!(self, DataType::Float32 | DataType::Float64)
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for DataType {
    type Err = UnknownDataType;

    fn from_str(text: &str) -> Result<DataType, UnknownDataType> {
        let found = DataType::ALL.into_iter().find(|data_type| data_type.name() == text);
        found.ok_or_else(|| UnknownDataType { found: text.to_owned() })
    }
}

serde_as_text!(DataType);

/// No data type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown data type {}{}", Quoted(found), Allowed { suggestion: suggest(found, DataType::ALL.map(DataType::name)), allowed: list(DataType::ALL) })]
pub struct UnknownDataType {
    /// What was given.
    pub found: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reference 1.2, "data types", and 1.8, "element sizes" and "data type".
    #[test]
    fn names_codes_and_sizes_of_the_reference() {
        for (name, code, size) in [
            ("UINT8", 0x108, 1),
            ("INT8", 0x208, 1),
            ("UINT16", 0x110, 2),
            ("INT16", 0x210, 2),
            ("UINT32", 0x120, 4),
            ("INT32", 0x220, 4),
            ("UINT64", 0x140, 8),
            ("INT64", 0x240, 8),
            ("FLOAT32", 0x320, 4),
            ("FLOAT64", 0x340, 8),
        ] {
            let data_type: DataType = name.parse().unwrap();
            assert_eq!((data_type.code(), data_type.size_bytes()), (code, size), "{name}");
            assert_eq!(DataType::from_code(code), Ok(data_type));
            assert_eq!(serde_json::to_value(data_type).unwrap(), name);
        }
        let mut by_code = DataType::ALL;
        by_code.sort_by_key(|data_type| data_type.code());
        assert_eq!(by_code.map(DataType::size_bytes), [1, 2, 4, 8, 1, 2, 4, 8, 4, 8]);
        assert!(DataType::from_code(0).is_err() && DataType::from_code(9999).is_err());
    }

    #[test]
    fn an_unknown_type_is_explained() {
        let message = "float64".parse::<DataType>().unwrap_err().to_string();
        assert!(
            message.starts_with("unknown data type `float64`, did you mean `FLOAT64`? allowed: UINT8, "),
            "{message}"
        );
        let message = "text".parse::<DataType>().unwrap_err().to_string();
        assert!(message.starts_with("unknown data type `text`; allowed: UINT8, "), "{message}");
    }
}
