//! How the ids of traces and projects are spelled as names of resources and catalogs.
//!
//! Ids are anything that people type into spreadsheets; names are ASCII letters, digits and `_`, and don't begin with a digit.
//! An id that is a name is its own spelling, unless it begins with `__`. Any other is `__`, and then its letters and digits as they
//! are, `__` for `_`, and `_` with two hexadecimal digits for every other byte of its UTF-8: `meter-7` is `__meter_2D7`. Each
//! spelling belongs to one id, and [`id_of`] gives it back.

use sheaf_model::{CatalogId, IdError, ResourceId};

/// What spellings begin with that are not the id itself.
const ESCAPED: &str = "__";

/// The catalog of a project: `/projects/<project>`, its id spelled as those of traces are.
///
/// # Errors
/// The id is empty, or its spelling has more than 255 characters.
pub fn catalog_of_project(project_id: &str) -> Result<CatalogId, IdError> {
    format!("/projects/{}", name_of(project_id)?).parse()
}

/// The name that stands for an id.
///
/// # Errors
/// The id is empty, or its spelling has more than 255 characters.
pub fn name_of(id: &str) -> Result<ResourceId, IdError> {
    if !id.starts_with(ESCAPED)
        && let Ok(name) = id.parse()
    {
        return Ok(name);
    }
    if id.is_empty() {
        // An empty name is refused, with the right words.
        return id.parse();
    }
    let mut name = ESCAPED.to_owned();
    for byte in id.bytes() {
        match byte {
            b'_' => name.push_str("__"),
            byte if byte.is_ascii_alphanumeric() => name.push(char::from(byte)),
            byte => name.push_str(&format!("_{byte:02X}")),
        }
    }
    name.parse()
}

/// The id that a name stands for; `None` if it is the spelling of none.
pub fn id_of(name: &ResourceId) -> Option<String> {
    let Some(mut rest) = name.as_str().strip_prefix(ESCAPED) else { return Some(name.to_string()) };
    let mut bytes = Vec::with_capacity(rest.len());
    while let Some(first) = rest.bytes().next() {
        let taken = match first {
            b'_' if rest[1..].starts_with('_') => {
                bytes.push(b'_');
                2
            }
            b'_' => {
                bytes.push(u8::from_str_radix(rest.get(1..3)?, 16).ok()?);
                3
            }
            first => {
                bytes.push(first);
                1
            }
        };
        rest = &rest[taken..];
    }
    let id = String::from_utf8(bytes).ok()?;
    // Names that nothing is spelled as stand for nothing: `__a` would be another one for `a`.
    (name_of(&id).as_ref() == Ok(name)).then_some(id)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_their_own_spelling_and_all_else_is_escaped() {
        for (id, name) in [
            ("DEV_SEED_TRACE_SOLAR_30MIN", "DEV_SEED_TRACE_SOLAR_30MIN"),
            ("_a", "_a"),
            ("meter-7", "__meter_2D7"),
            ("7", "__7"),
            ("__a", "______a"),
            ("a_b c", "__a__b_20c"),
            ("ü", "___C3_BC"),
            ("a/../b", "__a_2F_2E_2E_2Fb"),
        ] {
            assert_eq!(name_of(id).unwrap().as_str(), name);
            assert_eq!(id_of(&name.parse().unwrap()).as_deref(), Some(id));
        }
        for name in ["__a", "__", "___2d", "___2", "___", "___FF", "___2G"] {
            assert_eq!(id_of(&name.parse().unwrap()), None, "{name}");
        }
        assert!(name_of("").is_err());
        assert!(name_of(&"-".repeat(100)).is_err(), "302 characters");
    }

    proptest! {
        #[test]
        fn each_id_comes_back(id in ".{1,20}") {
            let name = name_of(&id).unwrap();
            prop_assert_eq!(id_of(&name), Some(id));
        }

        #[test]
        fn no_name_stands_for_two_ids(a in "[_a-c2-4-]{1,4}", b in "[_a-c2-4-]{1,4}") {
            prop_assume!(a != b);
            prop_assert_ne!(name_of(&a).unwrap(), name_of(&b).unwrap());
        }
    }
}
