//! Resources: one quantity, at one or several periods.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::{MergeError, Properties, Representation, RepresentationId, ResourceId};

/// One quantity in a catalog. Its representations have different periods; the order of the list is kept, because the
/// first one is the base of an aggregation that names none. An irregular series has none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawResource")]
pub struct Resource {
    id: ResourceId,
    #[serde(skip_serializing_if = "Properties::is_empty")]
    properties: Properties,
    representations: Vec<Representation>,
}

impl Resource {
    /// A resource with these representations.
    ///
    /// # Errors
    /// Two of them have the same period.
    pub fn new(
        id: ResourceId,
        properties: Properties,
        representations: Vec<Representation>,
    ) -> Result<Resource, DuplicateRepresentation> {
        let mut seen = HashSet::new();
        for representation in &representations {
            if !seen.insert(representation.id()) {
                return Err(DuplicateRepresentation { resource: id, representation: representation.id() });
            }
        }
        Ok(Resource { id, properties, representations })
    }

    /// Its name in the catalog.
    pub fn id(&self) -> &ResourceId {
        &self.id
    }

    /// Unit, description and whatever else is known of it.
    pub fn properties(&self) -> &Properties {
        &self.properties
    }

    /// What the source calls it: `original-name`, else its id.
    pub fn original_name(&self) -> &str {
        self.properties.original_name().unwrap_or(self.id.as_str())
    }

    /// The representations, the default base first.
    pub fn representations(&self) -> &[Representation] {
        &self.representations
    }

    /// The representation with this id.
    pub fn representation(&self, id: RepresentationId) -> Option<&Representation> {
        self.representations.iter().find(|representation| representation.id() == id)
    }

    /// This resource under `over`: properties merge, representations that are only on the right are appended.
    ///
    /// # Errors
    /// Different ids, or a representation on both sides that differs.
    pub fn merge(self, over: Resource) -> Result<Resource, MergeError> {
        if self.id != over.id {
            return Err(MergeError::Resources { left: self.id, right: over.id });
        }
        let mut representations = self.representations;
        for right in over.representations {
            let id = right.id();
            match representations.iter_mut().find(|left| left.id() == id) {
                None => representations.push(right),
                Some(left) => {
                    let differ = MergeError::Representation { resource: self.id.clone(), representation: id };
                    *left = left.clone().merge(right).ok_or(differ)?;
                }
            }
        }
        Ok(Resource { id: self.id, properties: self.properties.merge(over.properties), representations })
    }
}

/// Two representations of a resource with one period.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the resource `{resource}` has two representations `{representation}`")]
pub struct DuplicateRepresentation {
    /// Of which resource.
    pub resource: ResourceId,
    /// Which one is there twice.
    pub representation: RepresentationId,
}

#[derive(Deserialize)]
struct RawResource {
    id: ResourceId,
    properties: Option<Properties>,
    representations: Option<Vec<Representation>>,
}

impl TryFrom<RawResource> for Resource {
    type Error = DuplicateRepresentation;

    fn try_from(raw: RawResource) -> Result<Resource, DuplicateRepresentation> {
        Resource::new(raw.id, raw.properties.unwrap_or_default(), raw.representations.unwrap_or_default())
    }
}
