//! The ids of all catalogs, in an order in which whatever is below a catalog follows it.

use std::collections::BTreeSet;
use std::ops::Bound;

use sheaf_model::{CatalogId, CatalogPath};

/// An id with a slash at its end. No character of an id is less than a slash, so all that is below a catalog comes right
/// behind it.
fn key(id: &CatalogId) -> String {
    format!("{id}/")
}

/// The ids of catalogs.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree(BTreeSet<String>);

impl Tree {
    pub(super) fn add(&mut self, id: &CatalogId) {
        self.0.insert(key(id));
    }

    pub(super) fn contains(&self, id: &CatalogId) -> bool {
        self.0.contains(&key(id))
    }

    /// Whether there is anything at or below a path.
    pub(super) fn has_any_in(&self, path: &CatalogPath) -> bool {
        let prefix = match path {
            CatalogPath::Root => return true,
            CatalogPath::Catalog(id) => key(id),
        };
        self.0.range(prefix.clone()..).next().is_some_and(|found| found.starts_with(&prefix))
    }

    /// The catalogs right below a path, behind `after`: those without another one between. Leaps over all that are deeper.
    pub(super) fn children<'a>(
        &'a self,
        path: &CatalogPath,
        after: Option<&CatalogId>,
    ) -> impl Iterator<Item = CatalogId> + use<'a> {
        let prefix = match path {
            CatalogPath::Root => "/".to_owned(),
            CatalogPath::Catalog(id) => key(id),
        };
        let mut from = match after.map(|after| beyond(&key(after))) {
            Some(after) if after > prefix => Bound::Included(after),
            _ => Bound::Excluded(prefix.clone()),
        };
        std::iter::from_fn(move || {
            let found = self.0.range((from.clone(), Bound::Unbounded)).next()?;
            if !found.starts_with(&prefix) {
                return None;
            }
            from = Bound::Included(beyond(found));
            found[..found.len() - 1].parse().ok()
        })
    }
}

/// The first text behind all that begin with a key: `0` is the character behind the slash.
fn beyond(key: &str) -> String {
    format!("{}0", &key[..key.len() - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(ids: &[&str]) -> Tree {
        let mut tree = Tree::default();
        for id in ids {
            tree.add(&id.parse().unwrap());
        }
        tree
    }

    fn children(tree: &Tree, path: &str, after: Option<&str>) -> Vec<String> {
        let after = after.map(|after| after.parse().unwrap());
        tree.children(&path.parse().unwrap(), after.as_ref()).map(|id| id.to_string()).collect()
    }

    #[test]
    fn children_have_nothing_between_them_and_the_path() {
        let tree = tree(&["/A", "/A/B", "/A/B/C", "/A/D/E", "/A/D/E2", "/A0", "/A_", "/a/b/c", "/Z/Y"]);
        assert_eq!(children(&tree, "/", None), ["/A", "/A0", "/A_", "/Z/Y", "/a/b/c"]);
        assert_eq!(children(&tree, "/A", None), ["/A/B", "/A/D/E", "/A/D/E2"]);
        assert_eq!(children(&tree, "/A/D", None), ["/A/D/E", "/A/D/E2"]);
        assert_eq!(children(&tree, "/A/B/C", None), Vec::<String>::new());
        assert_eq!(children(&tree, "/nothing", None), Vec::<String>::new());
        // From page to page, also behind one that is gone, or that lies elsewhere.
        assert_eq!(children(&tree, "/", Some("/A")), ["/A0", "/A_", "/Z/Y", "/a/b/c"]);
        assert_eq!(children(&tree, "/", Some("/M")), ["/Z/Y", "/a/b/c"]);
        assert_eq!(children(&tree, "/A", Some("/A/C")), ["/A/D/E", "/A/D/E2"]);
        assert_eq!(children(&tree, "/Z", Some("/A")), ["/Z/Y"]);
        assert_eq!(children(&tree, "/A", Some("/Z")), Vec::<String>::new());
        assert!(tree.contains(&"/A/D/E".parse().unwrap()) && !tree.contains(&"/A/D".parse().unwrap()));
        assert!(tree.has_any_in(&"/A/D".parse().unwrap()) && !tree.has_any_in(&"/A/D/E3".parse().unwrap()));
    }

    #[test]
    fn many_are_listed_in_no_time() {
        let mut tree = Tree::default();
        for number in 0..100_000 {
            tree.add(&format!("/P{}/M{number}", number / 50_000).parse().unwrap());
        }
        tree.add(&"/P0".parse().unwrap());
        let begun = std::time::Instant::now();
        let found: Vec<CatalogId> = tree.children(&CatalogPath::Root, None).take(3).collect();
        assert_eq!(found.first().map(CatalogId::as_str), Some("/P0"));
        assert_eq!(found.len(), 3);
        assert_eq!(tree.children(&"/P0".parse().unwrap(), None).count(), 50_000);
        assert!(begun.elapsed().as_secs() < 5);
    }
}
