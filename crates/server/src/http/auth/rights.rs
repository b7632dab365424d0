//! Who may read and write which catalog: the rules, and nothing else.
//!
//! - The role Administrator opens everything.
//! - Everybody who is signed in may read the sample catalog.
//! - A user reads the catalogs that the user's claims name (by id or group), those that come from the user's own sources, and
//!   those whose licence the user has accepted; and writes those that claims name for writing. Who may write may read.
//! - A provider may be for some catalogs only: then its users have no more than those.
//! - A token opens at most what its user may: its own claims must name the catalog, too. Only a token with the role
//!   Administrator, of a user with that role, opens everything.

use sheaf_db::{Acceptance, SecretDigest};
use sheaf_model::CatalogId;

use super::claims::{Claims, Pattern};

/// The catalogs that everybody who is signed in may read.
const SAMPLES: [&str; 2] = ["/SAMPLE/LOCAL", "/SAMPLE/REMOTE"];

/// What is to be done with a catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Read,
    Write,
}

/// What the rules want to know of a catalog. More of it never allows less.
#[derive(Clone, Debug, Default)]
pub(crate) struct CatalogFacts {
    /// The user whose sources it comes from.
    pub(crate) owner: Option<String>,
    /// The groups that it is in.
    pub(crate) groups: Vec<String>,
    /// The SHA-256 of its licence.
    pub(crate) license: Option<SecretDigest>,
}

/// Which catalogs there are for a user at all.
#[derive(Clone, Debug)]
pub(crate) enum Enabled {
    All,
    /// Those that the pattern of the user's provider matches.
    Matching(Pattern),
    /// The user's provider is not known any more.
    None,
}

/// What a user may do, or a user by way of a token.
#[derive(Clone, Debug)]
pub(crate) struct Rights {
    pub(crate) user: String,
    pub(crate) of_user: Claims,
    /// Those of the token.
    pub(crate) of_token: Option<Claims>,
    pub(crate) enabled: Enabled,
    pub(crate) licenses: Vec<Acceptance>,
}

impl Rights {
    /// Whether everything may be done.
    pub(crate) fn is_admin(&self) -> bool {
        self.of_user.is_admin() && self.of_token.as_ref().is_none_or(Claims::is_admin)
    }

    /// Whether something may be done with a catalog.
    pub(crate) fn may(&self, action: Action, catalog: &CatalogId, facts: &CatalogFacts) -> bool {
        let is_sample = action == Action::Read && SAMPLES.contains(&catalog.as_str());
        is_sample || (self.token_may(action, catalog, facts) && self.user_may(action, catalog, facts))
    }

    fn token_may(&self, action: Action, catalog: &CatalogId, facts: &CatalogFacts) -> bool {
        self.of_token.as_ref().is_none_or(|claims| claims.is_admin() || name(claims, action, catalog, facts))
    }

    fn user_may(&self, action: Action, catalog: &CatalogId, facts: &CatalogFacts) -> bool {
        if self.of_user.is_admin() {
            return true;
        }
        let is_enabled = match &self.enabled {
            Enabled::All => true,
            Enabled::Matching(pattern) => pattern.matches(catalog.as_str()),
            Enabled::None => false,
        };
        let has_read_right =
            || facts.owner.as_ref() == Some(&self.user) || self.has_accepted(catalog, facts.license.as_ref());
        is_enabled
            && (name(&self.of_user, action, catalog, facts) || (action == Action::Read && has_read_right()))
    }

    /// Whether the user has accepted the licence of a catalog as it is now.
    pub(crate) fn has_accepted(&self, catalog: &CatalogId, license: Option<&SecretDigest>) -> bool {
        license.is_some_and(|license| {
            self.licenses.iter().any(|there| there.catalog == *catalog && there.license == *license)
        })
    }

    /// Whether a source of the user may read from there.
    pub(crate) fn may_use_locator(&self, locator: &str) -> bool {
        let names = |claims: &Claims| claims.is_admin() || claims.name_locator(locator);
        names(&self.of_user) && self.of_token.as_ref().is_none_or(names)
    }
}

fn name(claims: &Claims, action: Action, catalog: &CatalogId, facts: &CatalogFacts) -> bool {
    match action {
        Action::Read => claims.name_for_reading(catalog.as_str(), &facts.groups),
        Action::Write => claims.name_for_writing(catalog.as_str(), &facts.groups),
    }
}

#[cfg(test)]
mod tests {
    use sheaf_db::Grant;

    use super::super::claims::{ADMINISTRATOR, READ, READ_GROUP, ROLE, USE_LOCATOR, WRITE, WRITE_GROUP};
    use super::*;

    type List<'a> = &'a [(&'a str, &'a str)];

    const ADMIN: (&str, &str) = (ROLE, ADMINISTRATOR);

    fn claims(list: List<'_>) -> Claims {
        let grants: Vec<Grant> = list.iter().map(|&(kind, value)| Grant::new(kind, value)).collect();
        Claims::new(&grants)
    }

    fn rights(user: List<'_>, token: Option<List<'_>>) -> Rights {
        Rights {
            user: "ann".to_owned(),
            of_user: claims(user),
            of_token: token.map(claims),
            enabled: Enabled::All,
            licenses: Vec::new(),
        }
    }

    fn id(id: &str) -> CatalogId {
        id.parse().unwrap()
    }

    /// Whether `/A/B/C` of group `A` may be read and written.
    fn may(rights: &Rights) -> (bool, bool) {
        let facts = CatalogFacts { owner: None, groups: vec!["A".to_owned()], license: None };
        let catalog = id("/A/B/C");
        (rights.may(Action::Read, &catalog, &facts), rights.may(Action::Write, &catalog, &facts))
    }

    #[test]
    fn users() {
        let cases: &[(List<'_>, (bool, bool))] = &[
            (&[], (false, false)),
            (&[ADMIN], (true, true)),
            (&[(ROLE, "User")], (false, false)),
            (&[(READ, "/D"), (READ, "/A/B/C")], (true, false)),
            (&[(READ, "^/A/B/.*")], (true, false)),
            (&[(READ, "/A/B/")], (false, false)),
            (&[(READ, "/A/B")], (false, false)),
            (&[(READ, "/A/B/C2")], (false, false)),
            (&[(READ, "/B/C")], (false, false)),
            (&[(READ_GROUP, "A")], (true, false)),
            (&[(READ_GROUP, "A2")], (false, false)),
            (&[(READ_GROUP, "/A/B/C")], (false, false)),
            (&[(READ, "A")], (false, false)),
            // Who may write may read.
            (&[(WRITE, "/A/B/C")], (true, true)),
            (&[(WRITE_GROUP, "A")], (true, true)),
            (&[(WRITE, "/A/B/C2")], (false, false)),
            (&[(USE_LOCATOR, ".*")], (false, false)),
        ];
        for (user, expected) in cases {
            assert_eq!(may(&rights(user, None)), *expected, "{user:?}");
        }
    }

    #[test]
    fn tokens() {
        let reads = (true, false);
        let all = (true, true);
        let nothing = (false, false);
        let cases: &[(List<'_>, List<'_>, (bool, bool))] = &[
            // User, token.
            (&[ADMIN], &[ADMIN], all),
            (&[ADMIN], &[], nothing),
            (&[ADMIN], &[(READ, "/A/B/C")], reads),
            (&[ADMIN], &[(WRITE, "/A/B/C")], all),
            (&[ADMIN], &[(READ, "/D/E/.*")], nothing),
            (&[(READ, "/A/B/.*")], &[(READ, "/A/B/C")], reads),
            (&[(READ, "/A/B/.*")], &[(READ, ".*")], reads),
            (&[(READ, "/A/B/.*")], &[(WRITE, ".*")], reads),
            (&[(WRITE, "/A/B/.*")], &[(READ, ".*")], reads),
            (&[(WRITE, "/A/B/.*")], &[(WRITE, "/A/B/C")], all),
            (&[(READ_GROUP, "A")], &[(READ, "/A/B/C")], reads),
            (&[(READ, "/A/B/C")], &[(READ_GROUP, "A")], reads),
            (&[(READ, "/D/E/.*")], &[(READ, "/A/B/C")], nothing),
            (&[(READ, "/A/B/C")], &[], nothing),
            (&[], &[(READ, ".*"), (WRITE, ".*")], nothing),
            // An administrator's token of somebody who is none is worth what its user is.
            (&[], &[ADMIN], nothing),
            (&[(READ, "/A/B/C")], &[ADMIN], reads),
        ];
        for (user, token, expected) in cases {
            let rights = rights(user, Some(token));
            assert_eq!(may(&rights), *expected, "{user:?} by {token:?}");
            assert_eq!(rights.is_admin(), user.contains(&ADMIN) && token.contains(&ADMIN));
        }
    }

    #[test]
    fn the_sample_is_for_everybody_who_is_signed_in() {
        let none = CatalogFacts::default();
        for token in [None, Some(&[] as List<'_>)] {
            let rights = rights(&[], token);
            assert!(rights.may(Action::Read, &id("/SAMPLE/LOCAL"), &none));
            assert!(rights.may(Action::Read, &id("/SAMPLE/REMOTE"), &none));
            assert!(!rights.may(Action::Write, &id("/SAMPLE/LOCAL"), &none));
            for other in ["/SAMPLE/LOCAL/X", "/SAMPLE/LOCAL2", "/SAMPLE/REMOTE2", "/SAMPLE", "/sample/local"]
            {
                assert!(!rights.may(Action::Read, &id(other), &none), "{other}");
            }
        }
    }

    #[test]
    fn providers_may_be_for_some_catalogs_only() {
        let limited = |pattern: &str, user: List<'_>| Rights {
            enabled: Enabled::Matching(Pattern::new(pattern).unwrap()),
            ..rights(user, None)
        };
        let read: List<'_> = &[(READ, "/A/B/C")];
        assert_eq!(may(&limited("/A/.*", read)), (true, false));
        assert_eq!(may(&limited("/A2/.*", read)), (false, false));
        assert_eq!(may(&limited("/A", read)), (false, false), "anchored");
        assert_eq!(may(&limited("/A/.*", &[])), (false, false));
        assert_eq!(may(&limited("/A2", &[ADMIN])), (true, true));
        assert_eq!(may(&Rights { enabled: Enabled::None, ..rights(read, None) }), (false, false));
    }

    #[test]
    fn owners_and_those_who_accept_the_licence_may_read() {
        let (catalog, license) = (id("/A/B/C"), [7; 32]);
        let acceptance = |catalog: &str, license| Acceptance { catalog: id(catalog), license, at_ms: 0 };
        let facts = CatalogFacts { owner: Some("ann".to_owned()), groups: vec![], license: None };
        let owner = rights(&[], None);
        assert!(owner.may(Action::Read, &catalog, &facts));
        assert!(
            !owner.may(Action::Write, &catalog, &facts),
            "what a source offers is not the owner's to change"
        );
        assert!(!Rights { user: "bob".to_owned(), ..owner.clone() }.may(Action::Read, &catalog, &facts));
        assert!(!Rights { enabled: Enabled::None, ..owner }.may(Action::Read, &catalog, &facts));
        // By way of a token only if that names the catalog.
        assert!(!rights(&[], Some(&[])).may(Action::Read, &catalog, &facts));
        assert!(rights(&[], Some(&[(READ, "/A/.*")])).may(Action::Read, &catalog, &facts));

        let facts = CatalogFacts { license: Some(license), ..CatalogFacts::default() };
        let with = |acceptance| Rights { licenses: vec![acceptance], ..rights(&[], None) };
        let accepted = with(acceptance("/A/B/C", license));
        assert!(accepted.may(Action::Read, &catalog, &facts));
        assert!(!accepted.may(Action::Write, &catalog, &facts));
        assert!(!accepted.may(Action::Read, &id("/A/B/C/D"), &facts), "not what lies below");
        let changed = CatalogFacts { license: Some([8; 32]), ..CatalogFacts::default() };
        assert!(!accepted.may(Action::Read, &catalog, &changed), "another text");
        assert!(!accepted.may(Action::Read, &catalog, &CatalogFacts::default()), "none any more");
        assert!(!with(acceptance("/A", license)).may(Action::Read, &catalog, &facts));
    }

    #[test]
    fn locators() {
        let file = "file:///srv/data/mast";
        let named: List<'_> = &[(USE_LOCATOR, "file:///srv/data/.*")];
        assert!(rights(named, None).may_use_locator(file));
        assert!(rights(&[ADMIN], None).may_use_locator(file));
        assert!(!rights(named, None).may_use_locator("file:///srv/data2"));
        assert!(!rights(&[], None).may_use_locator(file));
        assert!(!rights(named, Some(&[])).may_use_locator(file));
        assert!(rights(named, Some(named)).may_use_locator(file));
        assert!(!rights(&[ADMIN], Some(&[])).may_use_locator(file));
        assert!(!rights(&[], Some(&[ADMIN])).may_use_locator(file));
    }
}
