//! The number that a stored document carries, so that a later build knows how to read it.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The version of a document's format: written as the number `V`, and only `V` is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FormatVersion<const V: u32>;

impl<const V: u32> Serialize for FormatVersion<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(V)
    }
}

impl<'de, const V: u32> Deserialize<'de> for FormatVersion<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let found = u32::deserialize(deserializer)?;
        if found == V {
            Ok(FormatVersion)
        } else {
            Err(D::Error::custom(format_args!("format version {found} can't be read, this build reads {V}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_version_is_read() {
        assert_eq!(serde_json::to_string(&FormatVersion::<3>).unwrap(), "3");
        assert_eq!(serde_json::from_str::<FormatVersion<3>>("3").unwrap(), FormatVersion);
        let error = serde_json::from_str::<FormatVersion<3>>("4").unwrap_err();
        assert!(error.to_string().starts_with("format version 4 can't be read, this build reads 3"));
    }
}
