//! The tree of catalogs: what sources register, which registrations stand, links, and how it is shown.

use std::collections::BTreeMap;

use crate::{CatalogId, CatalogPath};

/// A catalog as a source registers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Where it is.
    pub id: CatalogId,
    /// A title for people.
    pub title: Option<String>,
    /// Whether it is listed anew on every access.
    pub transient: bool,
    /// The catalog that stands in for this one, if it is a link.
    pub link: Option<CatalogId>,
}

impl Registration {
    /// A catalog that is no link.
    pub fn new(id: CatalogId) -> Registration {
        Registration { id, title: None, transient: false, link: None }
    }
}

/// A registration and what its owner may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// What is registered.
    pub registration: Registration,
    /// Whose it is.
    pub owner: Option<String>,
    /// Whether the owner may write catalogs with this id.
    pub may_write: bool,
    /// Whether the owner may use all resource locators of the pipeline.
    pub may_use_locators: bool,
}

/// A registration that does not stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// What was registered.
    pub registration: Registration,
    /// Why it was dropped.
    pub refusal: Refusal,
}

/// Why a registration was dropped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The owner may not write there.
    #[error("its owner may not write there")]
    NotWritable,
    /// The owner may not use a resource locator.
    #[error("its owner may not use the resource locator of the source")]
    LocatorNotAllowed,
    /// Another one has that id, or lies above or below it.
    #[error("it conflicts with {0}, which was registered before")]
    Conflict(CatalogId),
}

/// Decides which registrations stand. Of two that conflict the earlier one does, unless its owner may not have it. Those with
/// the same id but for upper and lower case conflict, and those of different owners if one lies above the other: nobody gets
/// in between the catalogs of somebody else.
pub fn admit(offers: impl IntoIterator<Item = Offer>) -> (Vec<Registration>, Vec<Dropped>) {
    let mut admitted: Vec<Registration> = Vec::new();
    // By lower-case id with a `/` at the end, so that all that is below an id comes right behind it.
    let mut taken: BTreeMap<String, (CatalogId, Option<String>)> = BTreeMap::new();
    let mut dropped = Vec::new();
    for Offer { registration, owner, may_write, may_use_locators } in offers {
        let key = format!("{}/", registration.id.as_str().to_ascii_lowercase());
        let refusal = if !may_use_locators {
            Some(Refusal::LocatorNotAllowed)
        } else if !may_write {
            Some(Refusal::NotWritable)
        } else {
            let conflicts = |other: &&(CatalogId, Option<String>)| {
                other.1 != owner || other.0.as_str().len() == registration.id.as_str().len()
            };
            let mut above = key.match_indices('/').filter_map(|(slash, _)| taken.get(&key[..=slash]));
            let below = taken.range(key.clone()..).take_while(|(other, _)| other.starts_with(&key));
            let other = above.find(conflicts).or_else(|| below.map(|(_, other)| other).find(conflicts));
            other.map(|(id, _)| Refusal::Conflict(id.clone()))
        };
        match refusal {
            Some(refusal) => dropped.push(Dropped { registration, refusal }),
            None => {
                taken.insert(key, (registration.id.clone(), owner));
                admitted.push(registration);
            }
        }
    }
    (admitted, dropped)
}

/// All catalogs there are.
#[derive(Clone, Debug, Default)]
pub struct Hierarchy {
    registrations: BTreeMap<CatalogId, Registration>,
}

/// How many links are followed before a path counts as going in circles.
const MOST_LINKS: usize = 10;

impl Hierarchy {
    /// A hierarchy of these catalogs; of two with one id the later one.
    pub fn new(registrations: impl IntoIterator<Item = Registration>) -> Hierarchy {
        let entries = registrations.into_iter().map(|registration| (registration.id.clone(), registration));
        Hierarchy { registrations: entries.collect() }
    }

    /// The catalog that `id` means, at the end of all links; `None` if there is none.
    ///
    /// A link may stand above `id`: with `/SOFT` → `/A`, `/SOFT/B` is `/A/B`.
    ///
    /// # Errors
    /// More than ten links, one after the other.
    pub fn find(&self, id: &CatalogId) -> Result<Option<&Registration>, LinkError> {
        let mut current = id.clone();
        for _ in 0..=MOST_LINKS {
            let Some(found) = self.at_or_above(&current) else { return Ok(None) };
            match &found.link {
                Some(target) => {
                    let rest = &current.as_str()[found.id.as_str().len()..];
                    // A target and the rest of an id are names behind slashes, hence an id, if not too long.
                    let Ok(next) = format!("{target}{rest}").parse() else { return Ok(None) };
                    current = next;
                }
                None => return Ok((found.id == current).then_some(found)),
            }
        }
        Err(LinkError { id: id.clone() })
    }

    /// The registration with the longest id that is `id` or above it.
    fn at_or_above(&self, id: &CatalogId) -> Option<&Registration> {
        let ids = std::iter::successors(Some(id.clone()), CatalogId::parent);
        ids.into_iter().find_map(|id| self.registrations.get(&id))
    }
}

/// Links that lead nowhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{id} is behind more than {MOST_LINKS} links: they probably go in circles")]
pub struct LinkError {
    /// What was looked for.
    pub id: CatalogId,
}

/// A catalog in the tree that people see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogNode {
    /// Where it is.
    pub path: CatalogPath,
    /// Whether there is such a catalog; if not, the node only holds those below.
    pub exists: bool,
    /// What is directly below, sorted by id.
    pub children: Vec<CatalogNode>,
}

/// Arranges catalogs as a tree below the root, with nodes for the levels that are no catalogs themselves.
pub fn fold_catalogs(ids: impl IntoIterator<Item = CatalogId>) -> CatalogNode {
    let mut root = CatalogNode { path: CatalogPath::Root, exists: false, children: Vec::new() };
    let mut ids: Vec<_> = ids.into_iter().collect();
    // By names, not by characters: `/A/B` and what is below it come before `/A0`.
    ids.sort_by(|a, b| a.segments().cmp(b.segments()));
    for id in ids {
        let mut node = &mut root;
        let mut above: Vec<_> = std::iter::successors(Some(id), CatalogId::parent).collect();
        while let Some(id) = above.pop() {
            let path = CatalogPath::Catalog(id);
            // The ids are sorted, so what was added last is the only one that can be the same.
            if node.children.last().is_none_or(|child| child.path != path) {
                node.children.push(CatalogNode { path, exists: false, children: Vec::new() });
            }
            let last = node.children.len() - 1;
            node = &mut node.children[last];
        }
        node.exists = true;
    }
    root
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> CatalogId {
        text.parse().unwrap()
    }

    fn offer(text: &str, owner: &str, may_use_locators: bool) -> Offer {
        let registration = Registration::new(id(text));
        Offer { registration, owner: Some(owner.to_owned()), may_write: true, may_use_locators }
    }

    fn ids(registrations: &[Registration]) -> Vec<&str> {
        registrations.iter().map(|registration| registration.id.as_str()).collect()
    }

    /// Reference 1.8, "catalog hierarchy".
    #[test]
    fn registrations_of_the_reference() {
        let admin = ["/A", "/B/A"].map(|id| offer(id, "admin", true));
        let other = [("/A", true), ("/B/B", true), ("/B/B2", true), ("/C/A", true), ("/D", false)];
        let (root, dropped) =
            admit(admin.into_iter().chain(other.map(|(id, allowed)| offer(id, "other", allowed))));
        assert_eq!(ids(&root), ["/A", "/B/A", "/B/B", "/B/B2", "/C/A"]);
        assert_eq!(dropped[0].refusal, Refusal::Conflict(id("/A")));
        assert_eq!(dropped[1].refusal, Refusal::LocatorNotAllowed);

        let offers = [
            ("/A/B", "a"),
            ("/A/B/C", "b"),
            ("/A/C/A", "b"),
            ("/A/C/A/B", "b"),
            ("/A/C", "b"),
            ("/a/c", "b"),
        ];
        let (below, dropped) = admit(offers.map(|(id, owner)| offer(id, owner, true)));
        assert_eq!(ids(&below), ["/A/B", "/A/C/A", "/A/C/A/B", "/A/C"], "owners may nest their own");
        assert_eq!(dropped[0].refusal.to_string(), "it conflicts with /A/B, which was registered before");
    }

    /// Reference 1.7, "conflict rule".
    #[test]
    fn an_owner_who_may_not_write_gives_way() {
        let unwritable = Offer { may_write: false, ..offer("/A/B", "a", true) };
        let (admitted, dropped) = admit([unwritable, offer("/a/b/c", "b", true), offer("/A", "c", true)]);
        assert_eq!(ids(&admitted), ["/a/b/c"]);
        let refusals: Vec<_> = dropped.into_iter().map(|dropped| dropped.refusal).collect();
        assert_eq!(refusals, [Refusal::NotWritable, Refusal::Conflict(id("/a/b/c"))]);
    }

    /// Reference 1.8, "container search".
    #[test]
    fn catalogs_of_the_reference_are_found() {
        let link = |from: &str, to: &str| Registration { link: Some(id(to)), ..Registration::new(id(from)) };
        let real = ["/A/B/C", "/A/D/E", "/A/D/E2"].map(|text| Registration::new(id(text)));
        let links =
            [link("/SOFT/A", "/A/B/C"), link("/SOFT/B", "/SOFT/A"), link("/ALL", "/A"), link("/X", "/X/Y")];
        let hierarchy = Hierarchy::new(real.into_iter().chain(links));
        let find =
            |text: &str| hierarchy.find(&id(text)).map(|found| found.map(|found| found.id.to_string()));
        for text in ["/A/B/C", "/A/D/E", "/A/D/E2"] {
            assert_eq!(find(text), Ok(Some(text.to_owned())));
        }
        assert_eq!(find("/A/F/G"), Ok(None));
        assert_eq!(find("/A"), Ok(None));
        assert_eq!(find("/SOFT/B"), Ok(Some("/A/B/C".to_owned())));
        assert_eq!(find("/ALL/D/E"), Ok(Some("/A/D/E".to_owned())));
        assert_eq!(find("/X"), Err(LinkError { id: id("/X") }));

        let chain = (0..11).map(|hop| link(&format!("/H{hop}"), &format!("/H{}", hop + 1)));
        let chain = Hierarchy::new(chain.chain([Registration::new(id("/H11"))]));
        assert!(chain.find(&id("/H1")).unwrap().is_some(), "ten links");
        assert!(chain.find(&id("/H0")).is_err(), "eleven links");
    }

    /// Reference 1.8, "UI tree folding".
    #[test]
    fn the_tree_of_the_reference() {
        let tree = fold_catalogs(["/A/A/A", "/A/A/B", "/A/B"].map(id));
        let node =
            |text: &str, exists, children| CatalogNode { path: text.parse().unwrap(), exists, children };
        let leaf = |text: &str| node(text, true, Vec::new());
        let inner = node("/A/A", false, vec![leaf("/A/A/A"), leaf("/A/A/B")]);
        assert_eq!(tree.children, [node("/A", false, vec![inner, leaf("/A/B")])]);
        let siblings = fold_catalogs(["/A/B", "/A0", "/A", "/A/C"].map(id));
        assert_eq!(siblings.children, [node("/A", true, vec![leaf("/A/B"), leaf("/A/C")]), leaf("/A0")]);
        assert!(fold_catalogs([]).children.is_empty());
        assert!(fold_catalogs([id("/A"), id("/A/B")]).children[0].exists);
    }
}
