//! Objects of the cluster as decisions see them.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde_json::Value;

use super::ownership::Removable;

/// The one API group that the agent speaks.
pub const GROUP: &str = "formance.com";
/// The one version of it.
pub const VERSION: &str = "v1beta1";
/// `apiVersion` of everything the agent writes.
pub const API_VERSION: &str = "formance.com/v1beta1";

/// One kind of custom resource.
#[derive(Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Resource {
    /// `Ledger`
    pub kind: String,
    /// `ledger`: what membership calls a module.
    pub singular: String,
    /// `ledgers`: what the API's paths call it.
    pub plural: String,
    /// Labelled `formance.com/is-ee=true`.
    pub enterprise: bool,
}

impl Resource {
    /// A kind by its three names.
    pub fn new(kind: &str, singular: &str, plural: &str) -> Arc<Self> {
        Arc::new(Self {
            kind: kind.into(),
            singular: singular.into(),
            plural: plural.into(),
            enterprise: false,
        })
    }
}

/// The kinds in play: the two that the contract fixes, and the modules that were discovered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalog {
    /// Kind `Stack`.
    pub stack: Arc<Resource>,
    /// Kind `AuthClient`.
    pub auth_client: Arc<Resource>,
    /// Module kinds, Stargate included, sorted by singular name.
    pub modules: Vec<Arc<Resource>>,
}

impl Catalog {
    /// A catalog of these modules.
    pub fn new(mut modules: Vec<Arc<Resource>>) -> Self {
        modules.sort_by(|a, b| a.singular.cmp(&b.singular));
        Self {
            stack: Resource::new("Stack", "stack", "stacks"),
            auth_client: Resource::new("AuthClient", "authclient", "authclients"),
            modules,
        }
    }

    /// The module with this singular name.
    pub fn module(&self, singular: &str) -> Option<&Arc<Resource>> {
        self.modules.iter().find(|m| m.singular == singular)
    }
}

/// Which object: kind and name (everything is cluster-scoped).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    /// Its kind.
    pub resource: Arc<Resource>,
    /// Its name.
    pub name: Arc<str>,
}

impl ObjectKey {
    /// The key of an object.
    pub fn new(resource: &Arc<Resource>, name: &str) -> Self {
        Self { resource: Arc::clone(resource), name: name.into() }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.resource.plural, self.name)
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An entry of `metadata.ownerReferences`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Kind of the owner.
    pub kind: String,
    /// Its API version.
    pub api_version: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Whether it is the controller.
    pub controller: bool,
}

/// One object as last seen: what decisions compare, and no more.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// Which one.
    pub key: ObjectKey,
    /// `metadata.uid`
    pub uid: String,
    /// `metadata.resourceVersion`
    pub resource_version: String,
    /// `metadata.deletionTimestamp` is set.
    pub terminating: bool,
    /// All labels.
    pub labels: BTreeMap<String, String>,
    /// All annotations.
    pub annotations: BTreeMap<String, String>,
    /// All owner references, as they stand.
    pub owners: Vec<Owner>,
    /// `spec`, `Null` where absent.
    pub spec: Value,
    /// `status`, `Null` where absent.
    pub status: Value,
    /// What the agent may take back, read from `managedFields` at the door.
    pub removable: Removable,
}
