//! What a list-and-watch loop is about: one kind of objects, or a selection of them.

use std::{fmt, sync::Arc};

use crate::stack::object::{GROUP, Resource, VERSION};

/// All objects of a kind, or those that a selector selects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchTarget {
    resource: Arc<Resource>,
    group: &'static str,
    version: &'static str,
    selector: Option<&'static str>,
}

impl WatchTarget {
    /// All objects of a kind of group `formance.com`. Without a selector: with one, an object that
    /// loses the label would look deleted.
    pub fn kind(resource: &Arc<Resource>) -> Self {
        Self { resource: Arc::clone(resource), group: GROUP, version: VERSION, selector: None }
    }

    /// The CustomResourceDefinitions of modules. Here the selector says exactly what is asked: one
    /// that loses the label is no module any more. And the other definitions of a cluster may weigh
    /// megabytes.
    pub fn definitions() -> Self {
        const PLURAL: &str = "customresourcedefinitions";
        Self {
            resource: Resource::new("CustomResourceDefinition", "customresourcedefinition", PLURAL),
            group: "apiextensions.k8s.io",
            version: "v1",
            selector: Some("formance.com/kind=module"),
        }
    }

    /// The kind that its objects bear in their keys.
    pub fn resource(&self) -> &Arc<Resource> {
        &self.resource
    }

    /// Where the API server has them.
    pub fn path(&self) -> String {
        format!("/apis/{}/{}/{}", self.group, self.version, self.resource.plural)
    }

    /// Which labels they have to have.
    pub fn selector(&self) -> Option<&'static str> {
        self.selector
    }
}

/// As roles and definitions name it: `ledgers.formance.com`.
impl fmt::Display for WatchTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.resource.plural, self.group)
    }
}
