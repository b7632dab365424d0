//! Identifiers: catalogs, resources, parameters.
//!
//! All are made of names: an ASCII letter or `_`, then letters, digits and `_`. A catalog id is one or more of them,
//! each behind a `/`.

use std::fmt;
use std::str::FromStr;

use crate::text::{Quoted, serde_as_text};

/// The longest name, in bytes. Names become parts of file names, which most systems limit to 255 bytes.
pub(crate) const LONGEST_NAME: usize = 255;

/// The longest catalog id, in bytes.
pub(crate) const LONGEST_CATALOG_ID: usize = 4096;

/// No identifier. `at` counts characters from 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// Nothing there.
    #[error("a {what} must not be empty{}", at_position(*at))]
    Empty {
        /// What should be there.
        what: &'static str,
        /// Where.
        at: usize,
    },
    /// A character that no name has.
    #[error("{} is no {what}: {found:?} at position {at} is not allowed; {}", Quoted(text), rule(*first))]
    Character {
        /// What it should be.
        what: &'static str,
        /// The whole of it.
        text: String,
        /// The character.
        found: char,
        /// Where.
        at: usize,
        /// Whether it is the first one of a name.
        first: bool,
    },
    /// Longer than allowed.
    #[error("a {what} has at most {most} bytes, but this one has {len}{}", at_position(*at))]
    TooLong {
        /// What it should be.
        what: &'static str,
        /// Where it begins.
        at: usize,
        /// How long it is.
        len: usize,
        /// How long it may be.
        most: usize,
    },
    /// A catalog id without `/` in front.
    #[error("{} is no catalog id: it must begin with `/`, like `/plant/met_mast`", Quoted(text))]
    NoLeadingSlash {
        /// What was given.
        text: String,
    },
}

fn at_position(at: usize) -> String {
    if at == 0 { String::new() } else { format!(" (position {at})") }
}

fn rule(first: bool) -> &'static str {
    if first {
        "a name begins with a letter a-z, A-Z or `_`"
    } else {
        "a name has letters a-z, A-Z, digits and `_`"
    }
}

impl IdError {
    /// Where in the text it is wrong: characters from the beginning.
    pub fn at(&self) -> usize {
        match self {
            IdError::Empty { at, .. } | IdError::Character { at, .. } | IdError::TooLong { at, .. } => *at,
            IdError::NoLeadingSlash { .. } => 0,
        }
    }
}

/// Checks that `name`, which begins at character `begin` of `text`, is a name.
fn check_name(what: &'static str, text: &str, name: &str, begin: usize) -> Result<(), IdError> {
    if name.is_empty() {
        return Err(IdError::Empty { what, at: begin });
    }
    for (index, found) in name.chars().enumerate() {
        let first = index == 0;
        if !(found.is_ascii_alphabetic() || found == '_' || (!first && found.is_ascii_digit())) {
            let at = begin + index;
            return Err(IdError::Character { what, text: text.to_owned(), found, at, first });
        }
    }
    if name.len() > LONGEST_NAME {
        let what = if what == "catalog id" { "name in a catalog id" } else { what };
        return Err(IdError::TooLong { what, at: begin, len: name.len(), most: LONGEST_NAME });
    }
    Ok(())
}

macro_rules! name_type {
    ($(#[$meta:meta])* $type:ident, $what:literal) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(String);

        impl $type {
            /// The name.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $type {
            type Err = IdError;

            fn from_str(text: &str) -> Result<$type, IdError> {
                check_name($what, text, text, 0)?;
                Ok($type(text.to_owned()))
            }
        }

        serde_as_text!($type);
    };
}

name_type!(
    /// Name of a resource, unique in its catalog: `T1`, `wind_speed_80m`.
    ResourceId,
    "resource id"
);

name_type!(
    /// Name of a parameter of a representation.
    ParameterKey,
    "parameter key"
);

/// Path of a catalog: `/plant/met_mast`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CatalogId(String);

impl CatalogId {
    /// The id, with its leading `/` and without one at the end.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The names along the path.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &str> + Clone {
        self.0[1..].split('/')
    }

    /// The last name.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// The catalog above; `None` directly below the root.
    pub fn parent(&self) -> Option<CatalogId> {
        match self.0.rfind('/') {
            Some(0) | None => None,
            Some(end) => Some(CatalogId(self.0[..end].to_owned())),
        }
    }

    /// Whether this is `other` or above it, by whole names: `/A/B` is above `/A/B/C`, not above `/A/B2`.
    pub fn contains(&self, other: &CatalogId) -> bool {
        match other.0.strip_prefix(&self.0) {
            Some(rest) => rest.is_empty() || rest.starts_with('/'),
            None => false,
        }
    }
}

impl fmt::Display for CatalogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for CatalogId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<CatalogId, IdError> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err(match text {
                "" => IdError::Empty { what: "catalog id", at: 0 },
                _ => IdError::NoLeadingSlash { text: text.to_owned() },
            });
        };
        if text.len() > LONGEST_CATALOG_ID {
            return Err(IdError::TooLong {
                what: "catalog id",
                at: 0,
                len: text.len(),
                most: LONGEST_CATALOG_ID,
            });
        }
        let mut begin = 1;
        for segment in rest.split('/') {
            let what = if segment.is_empty() { "name in a catalog id" } else { "catalog id" };
            check_name(what, text, segment, begin)?;
            begin += segment.chars().count() + 1;
        }
        Ok(CatalogId(text.to_owned()))
    }
}

serde_as_text!(CatalogId);

/// The root, written `/`, or a catalog.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CatalogPath {
    /// `/`, which holds all catalogs and is none itself.
    Root,
    /// A catalog.
    Catalog(CatalogId),
}

impl CatalogPath {
    /// The catalog that a source registers below this one: a relative path gets this one in front, an absolute one
    /// must lie below it. The root alone may be registered at the root.
    ///
    /// # Errors
    /// No catalog id, or one that lies elsewhere.
    pub fn resolve(&self, registered: &str) -> Result<CatalogPath, RegistrationError> {
        if registered == "/" && *self == CatalogPath::Root {
            return Ok(CatalogPath::Root);
        }
        let prefix = match self {
            CatalogPath::Root => "",
            CatalogPath::Catalog(id) => id.as_str(),
        };
        if !registered.starts_with('/') {
            return Ok(CatalogPath::Catalog(format!("{prefix}/{registered}").parse()?));
        }
        let below =
            registered.strip_prefix(prefix).is_some_and(|rest| rest.len() > 1 && rest.starts_with('/'));
        if !below {
            return Err(RegistrationError::Elsewhere {
                registered: registered.to_owned(),
                parent: self.to_string(),
            });
        }
        Ok(CatalogPath::Catalog(registered.parse()?))
    }
}

impl fmt::Display for CatalogPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CatalogPath::Root => f.write_str("/"),
            CatalogPath::Catalog(id) => id.fmt(f),
        }
    }
}

impl FromStr for CatalogPath {
    type Err = IdError;

    fn from_str(text: &str) -> Result<CatalogPath, IdError> {
        if text == "/" { Ok(CatalogPath::Root) } else { text.parse().map(CatalogPath::Catalog) }
    }
}

serde_as_text!(CatalogPath);

/// A source registers a catalog where it may not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistrationError {
    /// No catalog id.
    #[error(transparent)]
    Id(#[from] IdError),
    /// An absolute path that does not lie below the parent.
    #[error("{} does not lie below {}, where the source is", Quoted(registered), Quoted(parent))]
    Elsewhere {
        /// What the source registers.
        registered: String,
        /// Where it may register.
        parent: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reference 1.1 and 1.8, "catalog id".
    #[test]
    fn catalog_ids_of_the_reference() {
        for id in ["/a", "/_a", "/ab_c", "/a9_b/c__99"] {
            assert_eq!(id.parse::<CatalogId>().unwrap().as_str(), id);
        }
        for id in ["", "/", "/a/", "/9", "a", "/a\n", "/a//b", "/ä", "/a b", "//", "/a/9b", "/a/.."] {
            assert!(id.parse::<CatalogId>().is_err(), "{id:?}");
        }
        assert!(format!("/{}", "a".repeat(256)).parse::<CatalogId>().is_err());
        assert!("/a".repeat(3000).parse::<CatalogId>().is_err());
    }

    /// Reference 1.1 and 1.8, "resource id".
    #[test]
    fn resource_ids_of_the_reference() {
        for id in ["_temp", "temp", "Temp", "Temp_1"] {
            assert!(id.parse::<ResourceId>().is_ok() && id.parse::<ParameterKey>().is_ok(), "{id}");
        }
        for id in ["", "1temp", "teßp", "ª♫", "tem p", "tem-p", "tem*p", "temp\n", "/temp"] {
            assert!(id.parse::<ResourceId>().is_err(), "{id:?}");
        }
    }

    #[test]
    fn errors_say_where() {
        let message = |id: &str| id.parse::<CatalogId>().unwrap_err().to_string();
        assert_eq!(
            message("/a/b-c"),
            "`/a/b-c` is no catalog id: '-' at position 4 is not allowed; a name has letters a-z, A-Z, digits and `_`"
        );
        assert_eq!(message("/a//c"), "a name in a catalog id must not be empty (position 3)");
        assert_eq!(message(""), "a catalog id must not be empty");
        assert_eq!(
            message(&format!("/a/{}", "b".repeat(256))),
            "a name in a catalog id has at most 255 bytes, but this one has 256 (position 3)"
        );
        assert_eq!(message("a"), "`a` is no catalog id: it must begin with `/`, like `/plant/met_mast`");
    }

    #[test]
    fn containment_goes_by_whole_names() {
        let id = |text: &str| text.parse::<CatalogId>().unwrap();
        assert!(id("/A/B").contains(&id("/A/B/C")) && id("/A/B").contains(&id("/A/B")));
        assert!(!id("/A/B").contains(&id("/A/B2")) && !id("/A/B/C").contains(&id("/A/B")));
        assert_eq!(id("/A/B").parent(), Some(id("/A")));
        assert_eq!(id("/A").parent(), None);
        assert_eq!(id("/A/B").name(), "B");
    }

    /// Reference 1.1, "catalog registration path".
    #[test]
    fn registration_paths_of_the_reference() {
        let root = CatalogPath::Root;
        let parent: CatalogPath = "/A".parse().unwrap();
        let ok = |path: &CatalogPath, text: &str| path.resolve(text).unwrap().to_string();
        assert_eq!(ok(&root, "/"), "/");
        assert_eq!(ok(&root, "/A/B"), "/A/B");
        assert_eq!(ok(&root, "A/B"), "/A/B");
        assert_eq!(ok(&parent, "B"), "/A/B");
        assert_eq!(ok(&parent, "/A/B"), "/A/B");
        for text in ["/B", "/AB", "/A", "/", "", "B/", "9", "/A/"] {
            assert!(parent.resolve(text).is_err(), "{text}");
        }
    }
}
