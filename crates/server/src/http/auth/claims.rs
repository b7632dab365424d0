//! What a claim means, and which ones are taken.
//!
//! A claim is a type and a value. Most values are patterns: regular expressions over ids of catalogs, as in Nexus, but for
//! one thing: here a pattern must match the whole id. `/plant` is that catalog alone, and `/plant(/.*)?` is it with all that
//! lie below.

use regex::{Regex, RegexBuilder};
use sheaf_db::Grant;

/// Catalogs that may be read.
pub(crate) const READ: &str = "CanReadCatalog";
/// Catalogs that may be written, and read.
pub(crate) const WRITE: &str = "CanWriteCatalog";
/// Groups of catalogs that may be read.
pub(crate) const READ_GROUP: &str = "CanReadCatalogGroup";
/// Groups of catalogs that may be written, and read.
pub(crate) const WRITE_GROUP: &str = "CanWriteCatalogGroup";
/// Where sources may read from.
pub(crate) const USE_LOCATOR: &str = "CanUseResourceLocator";
/// A role.
pub(crate) const ROLE: &str = "role";

/// The role of those who may do everything.
pub(crate) const ADMINISTRATOR: &str = "Administrator";
/// The role of everybody who is signed in. It needs no claim, and one changes nothing.
pub(crate) const USER: &str = "User";

/// The types whose values are patterns.
const PATTERNS: [&str; 5] = [READ, WRITE, READ_GROUP, WRITE_GROUP, USE_LOCATOR];

/// The longest pattern, in bytes.
const LONGEST_PATTERN: usize = 1000;

/// The largest program that a pattern may become, in bytes. Enough for a few Unicode classes; `(a{1000}){1000}` is not.
const LARGEST_PROGRAM: usize = 1 << 18;

/// A claim that is not taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ClaimError {
    #[error(
        "`{kind}` is no type of claim: there are CanReadCatalog, CanWriteCatalog, CanReadCatalogGroup, \
         CanWriteCatalogGroup, CanUseResourceLocator and role"
    )]
    Kind { kind: String },
    #[error("`{role}` is no role: there are Administrator and User")]
    Role { role: String },
    #[error(transparent)]
    Pattern(#[from] PatternError),
}

/// A pattern that is not taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PatternError {
    #[error("a pattern has 1 to {LONGEST_PATTERN} bytes, this one has {bytes}")]
    Length { bytes: usize },
    #[error("the pattern `{pattern}` would need too much memory; write it without large repetitions")]
    Size { pattern: String },
    #[error("the pattern `{pattern}` can't be used: {problem}")]
    Syntax { pattern: String, problem: String },
}

/// A regular expression that must match the whole of a text.
#[derive(Clone, Debug)]
pub(crate) struct Pattern(Regex);

impl Pattern {
    /// Reads a pattern. Look-around and backreferences, which Nexus has, are refused: they can take for ever.
    pub(crate) fn new(pattern: &str) -> Result<Pattern, PatternError> {
        if pattern.is_empty() || pattern.len() > LONGEST_PATTERN {
            return Err(PatternError::Length { bytes: pattern.len() });
        }
        // By itself first: `a)|(?:b` would make sense only between the parentheses, and be anchored at neither end.
        build(pattern, pattern)?;
        build(pattern, &format!("^(?:{pattern})$")).map(Pattern)
    }

    /// Whether it matches the whole text.
    pub(crate) fn matches(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

fn build(pattern: &str, program: &str) -> Result<Regex, PatternError> {
    let built = RegexBuilder::new(program)
        .size_limit(LARGEST_PROGRAM)
        .dfa_size_limit(LARGEST_PROGRAM)
        .nest_limit(50)
        .build();
    built.map_err(|error| {
        let pattern = pattern.to_owned();
        match error {
            regex::Error::CompiledTooBig(_) => PatternError::Size { pattern },
            // The last line says what; those before draw where, which takes more than one line.
            error => {
                let text = error.to_string();
                let problem =
                    text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
                PatternError::Syntax { pattern, problem }
            }
        }
    })
}

/// Reads patterns.
pub(crate) fn patterns<'a>(
    patterns: impl IntoIterator<Item = &'a String>,
) -> Result<Vec<Pattern>, PatternError> {
    patterns.into_iter().map(|pattern| Pattern::new(pattern)).collect()
}

/// Refuses a claim that means nothing here.
pub(crate) fn check(grant: &Grant) -> Result<(), ClaimError> {
    match grant.kind.as_str() {
        ROLE if [ADMINISTRATOR, USER].contains(&grant.value.as_str()) => Ok(()),
        ROLE => Err(ClaimError::Role { role: grant.value.clone() }),
        kind if PATTERNS.contains(&kind) => Ok(Pattern::new(&grant.value).map(drop)?),
        kind => Err(ClaimError::Kind { kind: kind.to_owned() }),
    }
}

/// What somebody may do, or what a token may be used for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Claims {
    is_admin: bool,
    read: Vec<Pattern>,
    write: Vec<Pattern>,
    read_groups: Vec<Pattern>,
    write_groups: Vec<Pattern>,
    locators: Vec<Pattern>,
}

impl Claims {
    /// Reads claims. What means nothing here allows nothing, and can only have come from elsewhere.
    pub(crate) fn new<'a>(grants: impl IntoIterator<Item = &'a Grant>) -> Claims {
        let mut claims = Claims::default();
        for grant in grants {
            let list = match grant.kind.as_str() {
                READ => &mut claims.read,
                WRITE => &mut claims.write,
                READ_GROUP => &mut claims.read_groups,
                WRITE_GROUP => &mut claims.write_groups,
                USE_LOCATOR => &mut claims.locators,
                ROLE => {
                    claims.is_admin |= grant.value == ADMINISTRATOR;
                    continue;
                }
                kind => {
                    tracing::warn!(kind, "a claim of an unknown type allows nothing");
                    continue;
                }
            };
            match Pattern::new(&grant.value) {
                Ok(pattern) => list.push(pattern),
                Err(error) => tracing::warn!(%error, kind = grant.kind, "a claim allows nothing"),
            }
        }
        claims
    }

    /// Whether the role Administrator is among them.
    pub(crate) fn is_admin(&self) -> bool {
        self.is_admin
    }

    /// Whether they name a catalog, itself or by one of its groups, for writing.
    pub(crate) fn name_for_writing(&self, catalog: &str, groups: &[String]) -> bool {
        any(&self.write, catalog) || groups.iter().any(|group| any(&self.write_groups, group))
    }

    /// Whether they name a catalog, itself or by one of its groups, for reading. Who may write may read: a token that could
    /// do the one only would be of no use to any client.
    pub(crate) fn name_for_reading(&self, catalog: &str, groups: &[String]) -> bool {
        any(&self.read, catalog)
            || groups.iter().any(|group| any(&self.read_groups, group))
            || self.name_for_writing(catalog, groups)
    }

    /// Whether they name where a source reads from.
    pub(crate) fn name_locator(&self, locator: &str) -> bool {
        any(&self.locators, locator)
    }
}

/// Whether one of the patterns matches.
pub(crate) fn any(patterns: &[Pattern], text: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_ids() {
        let cases = [
            ("/A/B", "/A/B", true),
            ("/A/B", "/A/B2", false),
            ("/A/B", "/X/A/B", false),
            ("/A/B", "/A/B/C", false),
            ("/A/B", "/A/B\n", false),
            ("/A/B", "/a/b", false),
            ("(?i)/A/B", "/a/b", true),
            ("^/A/B/.*", "/A/B/C", true),
            ("^/A/B$", "/A/B", true),
            ("/A/B(/.*)?", "/A/B", true),
            ("/A/B(/.*)?", "/A/B/C/D", true),
            ("/A/B(/.*)?", "/A/B2", false),
            // An alternative is as anchored as the whole.
            ("/A|/B", "/A", true),
            ("/A|/B", "/A2", false),
            ("/A|/B", "/X/B", false),
            ("/A|", "/X", false),
            // Options that are switched on inside end inside.
            ("(?m)/A", "/A", true),
            ("(?m)/A", "/X\n/A", false),
            ("(?m)/A$", "/A\n/B", false),
            ("(?s).*", "/A\n/B", true),
            (".*", "/A\n/B", false),
            // A point is any character, once.
            ("/A.B", "/A/B", true),
            ("/A.B", "/A.B2", false),
            ("/Straße", "/STRASSE", false),
            ("(?i)/k", "/\u{212a}", true),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(Pattern::new(pattern).unwrap().matches(text), expected, "{pattern} on {text:?}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_a_reason() {
        let problem = |pattern: &str| Pattern::new(pattern).unwrap_err().to_string();
        assert!(problem("/A/(?=B)").contains("look-around"), "{}", problem("/A/(?=B)"));
        assert!(problem("/A/(?!B).*").contains("look-around"));
        assert!(problem(r"/(A)/\1").contains("backreferences"), "{}", problem(r"/(A)/\1"));
        assert!(problem("/A/(").contains("unclosed group"), "{}", problem("/A/("));
        assert!(problem("(a{1000}){1000}").contains("too much memory"));
        assert!(problem("").contains("has 0"));
        assert!(problem(&"a".repeat(1001)).contains("has 1001"));
        assert!(problem(&format!("{}a{}", "(".repeat(60), ")".repeat(60))).contains("nest"));
        // Would be two patterns, each anchored at one end only.
        assert!(problem("/A)|(?:.*").contains("unopened group"), "{}", problem("/A)|(?:.*"));
        // Would hide what stands behind it.
        assert!(Pattern::new("(?x)/A # comment").is_err());
    }

    #[test]
    fn claims_are_checked_before_they_are_taken() {
        let check =
            |kind: &str, value: &str| check(&Grant::new(kind, value)).map_err(|error| error.to_string());
        for kind in PATTERNS {
            assert_eq!(check(kind, "/A"), Ok(()));
            assert!(check(kind, "(").unwrap_err().contains("the pattern `(`"));
        }
        assert_eq!(check(ROLE, ADMINISTRATOR), Ok(()));
        assert_eq!(check(ROLE, USER), Ok(()));
        assert!(check(ROLE, "administrator").unwrap_err().contains("`administrator` is no role"));
        assert!(check("canReadCatalog", "/A").unwrap_err().contains("no type of claim"));
        // One that came from elsewhere opens nothing.
        let claims = Claims::new(&[Grant::new(READ, "("), Grant::new("x", ".*"), Grant::new(ROLE, "Admin")]);
        assert!(!claims.is_admin() && !claims.name_for_reading("/A", &[]));
    }
}
