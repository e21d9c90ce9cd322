//! Objects of the cluster as decisions see them.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde_json::Value;

use super::{labels, ownership::Removable, report::reported_status};

/// The one API group that the agent speaks.
pub const GROUP: &str = "formance.com";
/// The one version of it.
pub const VERSION: &str = "v1beta1";
/// `apiVersion` of everything the agent writes.
pub const API_VERSION: &str = "formance.com/v1beta1";

/// One kind of custom resource.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
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

/// What objects of a kind are to the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The Stack itself.
    Stack,
    /// A module of a stack, named after it.
    Module,
    /// A client of a stack, which its spec names.
    AuthClient,
    /// A list of versions; belongs to no stack.
    Versions,
}

impl Resource {
    /// What its objects are to the agent.
    pub fn role(&self) -> Role {
        match self.plural.as_str() {
            STACKS => Role::Stack,
            AUTH_CLIENTS => Role::AuthClient,
            VERSIONS => Role::Versions,
            _ => Role::Module,
        }
    }

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

const STACKS: &str = "stacks";
const AUTH_CLIENTS: &str = "authclients";
const VERSIONS: &str = "versions";

/// The kinds in play: the three that the contract fixes, and the modules that were discovered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalog {
    /// Kind `Stack`.
    pub stack: Arc<Resource>,
    /// Kind `AuthClient`.
    pub auth_client: Arc<Resource>,
    /// Kind `Versions`: read and reported, never written.
    pub versions: Arc<Resource>,
    /// Module kinds, Stargate included, sorted by singular name.
    pub modules: Vec<Arc<Resource>>,
    /// Kinds that are defined and cannot be listed, so that nobody knows what there is of them: nothing
    /// of theirs is made or deleted, and an order that needs one is incomplete. Sorted by singular name.
    pub withheld: Vec<Arc<Resource>>,
}

impl Catalog {
    /// A catalog of these modules.
    pub fn new(mut modules: Vec<Arc<Resource>>) -> Self {
        modules.sort_by(|a, b| a.singular.cmp(&b.singular));
        Self {
            stack: Resource::new("Stack", "stack", STACKS),
            auth_client: Resource::new("AuthClient", "authclient", AUTH_CLIENTS),
            versions: Resource::new("Versions", "versions", VERSIONS),
            modules,
            withheld: Vec::new(),
        }
    }

    /// With these kinds out of play.
    #[must_use]
    pub fn withholding(self, mut kinds: Vec<Arc<Resource>>) -> Self {
        kinds.sort_by(|a, b| a.singular.cmp(&b.singular));
        Self { withheld: kinds, ..self }
    }

    /// Whether a kind is out of play.
    pub fn withholds(&self, kind: &Resource) -> bool {
        self.withheld.iter().any(|withheld| withheld.plural == kind.plural)
    }

    /// The module with this singular name.
    pub fn module(&self, singular: &str) -> Option<&Arc<Resource>> {
        let at = self.modules.binary_search_by(|module| module.singular.as_str().cmp(singular));
        at.ok().and_then(|at| self.modules.get(at))
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
    /// `blockOwnerDeletion`, as it stands: a merge patch replaces the whole list, so an entry of
    /// somebody else has to be sent back as it was.
    pub block_owner_deletion: Option<bool>,
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
    /// What of `status` is reported, `Null` where nothing is; see [`reported_status`].
    pub status: Value,
    /// What the agent may take back, read from `managedFields` at the door.
    pub removable: Removable,
}

/// Why a JSON value is no object of the API.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{plural}: an object of the API server without a usable {field}")]
pub struct ObjectError {
    /// Plural name of the kind.
    pub plural: String,
    /// The field that is missing or of the wrong type.
    pub field: &'static str,
}

impl Object {
    /// Reads an object as the API server sends it, and keeps what decisions need.
    pub fn from_json(resource: &Arc<Resource>, mut json: Value) -> Result<Self, ObjectError> {
        let fault = |field| ObjectError { plural: resource.plural.clone(), field };
        let metadata = json.get("metadata").ok_or_else(|| fault("metadata"))?;
        let text = |name: &str| metadata.get(name).and_then(Value::as_str).filter(|t| !t.is_empty());
        let name = text("name").ok_or_else(|| fault("metadata.name"))?;
        Ok(Self {
            key: ObjectKey::new(resource, name),
            uid: text("uid").ok_or_else(|| fault("metadata.uid"))?.to_owned(),
            resource_version: text("resourceVersion")
                .ok_or_else(|| fault("metadata.resourceVersion"))?
                .to_owned(),
            terminating: text("deletionTimestamp").is_some(),
            labels: strings(metadata.get("labels")),
            annotations: strings(metadata.get("annotations")),
            owners: owners(metadata.get("ownerReferences")),
            removable: Removable::read(metadata.get("managedFields").unwrap_or(&Value::Null)),
            spec: json.get_mut("spec").map(Value::take).unwrap_or_default(),
            status: reported_status(json.get_mut("status").map(Value::take)),
        })
    }

    /// The stack that it belongs to: Stacks and modules are named after it, an AuthClient's spec
    /// names it. `None` for an AuthClient that names none, and for Versions.
    pub fn belongs_to(&self) -> Option<&str> {
        match self.key.resource.role() {
            Role::Stack | Role::Module => Some(&self.key.name),
            Role::AuthClient => {
                self.spec.get("stack").and_then(Value::as_str).filter(|name| !name.is_empty())
            }
            Role::Versions => None,
        }
    }

    /// The stack that it is left over of: whose labels of the agent it carries, though its name or spec
    /// is that of another stack, or of none. `None` for Stacks and Versions.
    pub fn leftover_of(&self) -> Option<&str> {
        let is_ours = self.label(labels::CREATED_BY_AGENT) == Some(labels::CREATED_BY_AGENT_VALUE);
        if !is_ours || !matches!(self.key.resource.role(), Role::Module | Role::AuthClient) {
            return None;
        }
        self.label(labels::STACK).filter(|stack| !stack.is_empty() && Some(*stack) != self.belongs_to())
    }

    /// Whether the orders of this stack are about it.
    pub fn is_of(&self, stack: &str) -> bool {
        self.belongs_to() == Some(stack) || self.leftover_of() == Some(stack)
    }

    /// Whether membership is told of its status.
    pub fn says_something(&self) -> bool {
        !self.status.is_null() && self.key.resource.role() != Role::AuthClient
    }

    /// The value of a label.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key).map(String::as_str)
    }
}

fn strings(map: Option<&Value>) -> BTreeMap<String, String> {
    let entries = map.and_then(Value::as_object).into_iter().flatten();
    entries.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

fn owners(list: Option<&Value>) -> Vec<Owner> {
    let entries = list.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    entries.iter().map(owner).collect()
}

fn owner(entry: &Value) -> Owner {
    let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    Owner {
        kind: text("kind"),
        api_version: text("apiVersion"),
        name: text("name"),
        uid: text("uid"),
        controller: entry.get("controller").and_then(Value::as_bool).unwrap_or_default(),
        block_owner_deletion: entry.get("blockOwnerDeletion").and_then(Value::as_bool),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ledgers() -> Arc<Resource> {
        Resource::new("Ledger", "ledger", "ledgers")
    }

    #[test]
    fn reads_what_decisions_need() {
        let object = Object::from_json(
            &ledgers(),
            json!({
                "apiVersion": "formance.com/v1beta1", "kind": "Ledger",
                "metadata": {
                    "name": "org-a", "uid": "u1", "resourceVersion": "7",
                    "deletionTimestamp": "2026-01-01T00:00:00Z",
                    "labels": {"formance.com/stack": "org-a", "odd": 3},
                    "annotations": {"formance.com/skip": "true"},
                    "ownerReferences": [{
                        "apiVersion": "formance.com/v1beta1", "kind": "Stack", "name": "org-a",
                        "uid": "s1", "controller": true, "blockOwnerDeletion": true,
                    }],
                    "managedFields": [{
                        "manager": "stackherd", "operation": "Update",
                        "fieldsV1": {"f:metadata": {"f:labels": {"f:formance.com/x": {}}}},
                    }],
                },
                "spec": {"stack": "org-a"},
                "status": {"ready": true},
            }),
        )
        .expect("an object");
        assert_eq!(object.key, ObjectKey::new(&ledgers(), "org-a"));
        assert_eq!((object.uid.as_str(), object.resource_version.as_str()), ("u1", "7"));
        assert!(object.terminating);
        assert_eq!(object.label("formance.com/stack"), Some("org-a"));
        assert_eq!(object.label("odd"), None);
        assert_eq!(object.annotations.len(), 1);
        assert_eq!(object.owners[0].uid, "s1");
        assert_eq!(object.owners[0].block_owner_deletion, Some(true));
        assert!(object.owners[0].controller);
        assert_eq!(object.spec, json!({"stack": "org-a"}));
        assert_eq!(object.status, json!({"ready": true}));
        assert!(object.removable.labels.contains("formance.com/x"));
    }

    #[test]
    fn clients_belong_to_the_stack_of_their_spec_and_all_else_to_that_of_its_name() {
        let object = |resource: &Arc<Resource>, spec: Value| {
            let json = json!({"metadata": {"name": "a-b", "uid": "u", "resourceVersion": "1"}, "spec": spec});
            Object::from_json(resource, json).expect("an object")
        };
        let clients = Catalog::new(Vec::new()).auth_client;
        assert_eq!(object(&clients, json!({"stack": "a"})).belongs_to(), Some("a"));
        assert_eq!(object(&clients, json!({"stack": ""})).belongs_to(), None);
        assert_eq!(object(&ledgers(), json!({"stack": "a"})).belongs_to(), Some("a-b"));
    }

    #[test]
    fn what_carries_another_stacks_labels_is_left_over_of_that_one() {
        let object = |resource: &Arc<Resource>, labels: Value, stack: &str| {
            let json = json!({
                "metadata": {"name": "a", "uid": "u", "resourceVersion": "1", "labels": labels},
                "spec": {"stack": stack},
            });
            Object::from_json(resource, json).expect("an object")
        };
        let labels = |created: &str, of: &str| json!({"formance.com/created-by-agent": created, "formance.com/stack": of});
        let catalog = Catalog::new(Vec::new());
        let clients = &catalog.auth_client;
        assert_eq!(object(&ledgers(), labels("true", "b"), "b").leftover_of(), Some("b"));
        assert_eq!(object(&ledgers(), labels("true", "a"), "b").leftover_of(), None, "it is named so");
        assert_eq!(object(&ledgers(), labels("false", "b"), "b").leftover_of(), None);
        assert_eq!(object(&ledgers(), labels("true", ""), "b").leftover_of(), None);
        assert_eq!(object(&ledgers(), json!({}), "b").leftover_of(), None);
        assert_eq!(object(clients, labels("true", "b"), "").leftover_of(), Some("b"));
        assert_eq!(object(clients, labels("true", "b"), "b").leftover_of(), None);
        assert_eq!(object(&catalog.stack, labels("true", "b"), "b").leftover_of(), None);
        let both = object(clients, labels("true", "b"), "c");
        assert!(both.is_of("b") && both.is_of("c") && !both.is_of("a"));
    }

    #[test]
    fn an_object_without_spec_and_status_reads_as_null() {
        let json = json!({"metadata": {"name": "a", "uid": "u", "resourceVersion": "1"}});
        let object = Object::from_json(&ledgers(), json).expect("an object");
        assert_eq!((object.spec, object.status), (Value::Null, Value::Null));
        assert!(!object.terminating);
    }

    #[test]
    fn what_is_no_object_is_refused_by_field() {
        for (json, field) in [
            (json!("text"), "metadata"),
            (json!({"metadata": {"uid": "u", "resourceVersion": "1"}}), "metadata.name"),
            (json!({"metadata": {"name": "a", "resourceVersion": "1"}}), "metadata.uid"),
            (
                json!({"metadata": {"name": "a", "uid": "u", "resourceVersion": 1}}),
                "metadata.resourceVersion",
            ),
        ] {
            let error = Object::from_json(&ledgers(), json).expect_err("refused");
            assert_eq!(error.field, field);
        }
    }
}
