//! What the agent has to tell membership about an object.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Map, Value};

use super::object::{Object, ObjectKey, Role};
use crate::order::Trace;

/// On a Versions object that is no longer to be used: its value is `true`.
const DEPRECATED: &str = "formance.com/deprecated";

/// One message to membership.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// What it says.
    pub body: ReportBody,
    /// The trace of the order that led to it, where there is one.
    pub trace: Option<Trace>,
}

/// What a report says. Objects are told of whoever made them; their names are Kubernetes'.
#[derive(Debug, Clone, PartialEq)]
pub enum ReportBody {
    /// `statusChanged`: the Stack's status, as [`reported_status`] cuts it.
    Stack {
        /// Its name.
        stack: Arc<str>,
        /// Its status.
        status: Value,
    },
    /// `stackDeleted`: there is no such Stack any more.
    StackDeleted {
        /// Its name.
        stack: Arc<str>,
    },
    /// `moduleStatusChanged`: the module's status, cut likewise.
    Module {
        /// Its name, which is its stack's.
        stack: Arc<str>,
        /// `Ledger`
        kind: String,
        /// Its status.
        status: Value,
    },
    /// `moduleDeleted`: there is no such module any more.
    ModuleDeleted {
        /// Its name, which is its stack's.
        stack: Arc<str>,
        /// `Ledger`
        kind: String,
    },
    /// `addedVersion`, or `updatedVersion` where it is a change of one that stood.
    Versions {
        /// Its name.
        name: Arc<str>,
        /// Whether it is a change of one that stood.
        updated: bool,
        /// What it lists.
        versions: Versions,
    },
    /// `deletedVersion`: there is no such Versions object any more.
    VersionsDeleted {
        /// Its name.
        name: Arc<str>,
    },
}

/// What a Versions object says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Versions {
    /// The strings of its spec: which version of each part goes with it.
    pub of_parts: BTreeMap<String, String>,
    /// Whether it is no longer to be used.
    pub deprecated: bool,
}

impl Versions {
    /// Reads an object of kind Versions.
    pub fn of(object: &Object) -> Self {
        let spec = object.spec.as_object().into_iter().flatten();
        Self {
            of_parts: spec.filter_map(|(part, v)| Some((part.clone(), v.as_str()?.to_owned()))).collect(),
            deprecated: object.annotations.get(DEPRECATED).is_some_and(|value| value == "true"),
        }
    }
}

impl ReportBody {
    /// The status of a Stack or module that stands; `None` where it says nothing, and for kinds of
    /// which no status is told.
    pub fn status(key: &ObjectKey, status: Value) -> Option<Self> {
        if status.is_null() {
            return None;
        }
        let stack = Arc::clone(&key.name);
        match key.resource.role() {
            Role::Stack => Some(Self::Stack { stack, status }),
            Role::Module => Some(Self::Module { stack, kind: key.resource.kind.clone(), status }),
            Role::AuthClient | Role::Versions => None,
        }
    }

    /// That an object is gone; `None` for kinds of which nothing is told.
    pub fn gone(key: &ObjectKey) -> Option<Self> {
        let name = Arc::clone(&key.name);
        match key.resource.role() {
            Role::Stack => Some(Self::StackDeleted { stack: name }),
            Role::Module => Some(Self::ModuleDeleted { stack: name, kind: key.resource.kind.clone() }),
            Role::Versions => Some(Self::VersionsDeleted { name }),
            Role::AuthClient => None,
        }
    }
}

/// Cuts a status down to what is reported: `ready`, `info` where not empty, `conditions` where
/// present. `Null` where there is nothing to report: no status, an empty one, or one whose
/// `ready`, `info` or `conditions` is not of its type.
pub fn reported_status(status: Option<Value>) -> Value {
    let Some(Value::Object(mut status)) = status else { return Value::Null };
    cut(&mut status).unwrap_or_default()
}

fn cut(status: &mut Map<String, Value>) -> Option<Value> {
    if status.is_empty() {
        return None;
    }
    let mut field = |name| status.get_mut(name).map(Value::take).filter(|value| !value.is_null());
    let ready = field("ready").unwrap_or(Value::Bool(false));
    let info = field("info").unwrap_or_else(|| Value::String(String::new()));
    let conditions = field("conditions");
    let mut kept = Map::new();
    kept.insert("ready".into(), ready.as_bool()?.into());
    if !info.as_str()?.is_empty() {
        kept.insert("info".into(), info);
    }
    if let Some(conditions) = conditions {
        kept.insert("conditions".into(), Value::Array(conditions.as_array()?.clone()));
    }
    Some(kept.into())
}

/// Whether a reported status says that its object is ready.
pub fn is_ready(reported: &Value) -> bool {
    reported.get("ready") == Some(&Value::Bool(true))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::stack::object::{Catalog, Resource};

    fn key(resource: &Arc<Resource>) -> ObjectKey {
        ObjectKey::new(resource, "a")
    }

    #[test]
    fn each_kind_is_told_of_in_its_own_words_and_clients_are_not() {
        let (catalog, ledger) = (Catalog::new(Vec::new()), Resource::new("Ledger", "ledger", "ledgers"));
        let status = json!({"ready": true});
        let told = |resource: &Arc<Resource>| {
            (ReportBody::status(&key(resource), status.clone()), ReportBody::gone(&key(resource)))
        };
        let stack = Arc::<str>::from("a");
        assert_eq!(
            told(&catalog.stack),
            (
                Some(ReportBody::Stack { stack: stack.clone(), status: status.clone() }),
                Some(ReportBody::StackDeleted { stack: stack.clone() })
            )
        );
        assert_eq!(
            told(&ledger),
            (
                Some(ReportBody::Module {
                    stack: stack.clone(),
                    kind: "Ledger".into(),
                    status: status.clone()
                }),
                Some(ReportBody::ModuleDeleted { stack: stack.clone(), kind: "Ledger".into() })
            )
        );
        assert_eq!(told(&catalog.versions), (None, Some(ReportBody::VersionsDeleted { name: stack })));
        assert_eq!(told(&catalog.auth_client), (None, None));
    }

    #[test]
    fn a_status_that_says_nothing_is_not_told() {
        assert_eq!(ReportBody::status(&key(&Catalog::new(Vec::new()).stack), Value::Null), None);
    }

    #[test]
    fn versions_are_the_strings_of_the_spec_and_an_annotation() {
        let json = json!({
            "metadata": {"name": "v2", "uid": "u", "resourceVersion": "1",
                "annotations": {"formance.com/deprecated": "true"}},
            "spec": {"ledger": "v2.1", "odd": 3},
        });
        let mut object = Object::from_json(&Catalog::new(Vec::new()).versions, json).unwrap();
        let read = Versions::of(&object);
        assert_eq!(read.of_parts, BTreeMap::from([("ledger".into(), "v2.1".into())]));
        assert!(read.deprecated);
        object.annotations.clear();
        object.spec = Value::Null;
        assert_eq!(Versions::of(&object), Versions::default());
    }

    #[test]
    fn keeps_ready_info_and_conditions_and_nothing_else() {
        let status = json!({
            "ready": true, "info": "slow", "conditions": [{"type": "A"}], "debug": 1, "uri": "x",
        });
        let expected = json!({"ready": true, "info": "slow", "conditions": [{"type": "A"}]});
        assert_eq!(reported_status(Some(status)), expected);
    }

    #[test]
    fn ready_is_always_there_and_empty_conditions_are() {
        assert_eq!(reported_status(Some(json!({"uri": "x"}))), json!({"ready": false}));
        let status = json!({"ready": false, "info": "", "conditions": []});
        assert_eq!(reported_status(Some(status)), json!({"ready": false, "conditions": []}));
        assert_eq!(
            reported_status(Some(json!({"ready": null, "conditions": null}))),
            json!({"ready": false})
        );
    }

    #[test]
    fn nothing_is_reported_of_no_status_or_an_odd_one() {
        assert_eq!(reported_status(None), Value::Null);
        for odd in [
            json!(null),
            json!({}),
            json!("ready"),
            json!({"ready": "yes"}),
            json!({"ready": true, "info": 3}),
            json!({"ready": true, "conditions": {}}),
        ] {
            assert_eq!(reported_status(Some(odd.clone())), Value::Null, "{odd}");
        }
    }
}
