//! Whose an object is, and whose its fields are.
//!
//! `metadata.managedFields` is read once, where an object comes in: it keeps, per manager and
//! operation, the paths that this manager set last. What the agent set and membership no longer wants
//! is told from what others set by this alone, since others write under `formance.com/` as well.
//!
//! Names are ambiguous (client `c` of stack `a-b` is named as client `b-c` of stack `a`, and the
//! operator names its own clients likewise), so a name alone gives the agent no right to an object.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{
    labels,
    object::{GROUP, Object, Owner},
};

/// The `fieldManager` of every write of this agent.
pub const FIELD_MANAGER: &str = "stackherd";
/// The managers whose writes count as the agent's own, each with the operation that they are booked
/// under: POSTs and merge patches, the agent's and those of the Go agent before it, as `Update`; the
/// applies of the Go agent's branch with server-side apply, and of what that does to a disabled
/// stack, as `Apply`.
const OURS: [(&str, &str); 4] = [
    (FIELD_MANAGER, "Update"),
    ("Go-http-client", "Update"),
    ("formance-agent", "Apply"),
    ("formance-agent:disable", "Apply"),
];

/// What the agent may take back from an object: keys that it (or the Go agent before it) alone owns.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Removable {
    /// Label keys under `formance.com/`.
    pub labels: BTreeSet<String>,
    /// Annotation keys under `formance.com/`, never `formance.com/skip`.
    pub annotations: BTreeSet<String>,
    /// Keys below `spec.delegatedOIDCServer` that are ours alone.
    pub oidc: BTreeSet<String>,
    /// `spec.delegatedOIDCServer` holds no key of anybody else.
    pub oidc_whole: bool,
    /// `spec.tls.disable`
    pub tls_disable: bool,
}

impl Removable {
    /// Reads `metadata.managedFields`. What no entry names belongs to nobody the agent knows,
    /// so it is not the agent's to take back; an absent or odd value makes nothing removable.
    pub fn read(managed_fields: &Value) -> Self {
        let (mut ours, mut others) = (Owned::default(), Owned::default());
        for entry in managed_fields.as_array().map(Vec::as_slice).unwrap_or_default() {
            let Some(fields) = entry.get("fieldsV1").and_then(Value::as_object) else { continue };
            if is_ours(entry) { &mut ours } else { &mut others }.add(fields);
        }
        let alone = |mine: BTreeSet<String>, theirs: &BTreeSet<String>| -> BTreeSet<String> {
            mine.into_iter().filter(|key| !theirs.contains(key)).collect()
        };
        let prefixed = |key: &String| key.starts_with(labels::PREFIX);
        Self {
            labels: alone(ours.labels, &others.labels)
                .into_iter()
                .filter(|key| prefixed(key) && !labels::is_reserved_label(key))
                .collect(),
            annotations: alone(ours.annotations, &others.annotations)
                .into_iter()
                .filter(|key| prefixed(key) && !labels::is_reserved_annotation(key))
                .collect(),
            oidc: alone(ours.oidc, &others.oidc),
            oidc_whole: others.oidc.is_empty(),
            tls_disable: ours.tls_disable && !others.tls_disable,
        }
    }
}

/// The same name under another operation or on a subresource is somebody else, and so is
/// `ancient-changes`, into which the API server folds what it can no longer tell apart.
fn is_ours(entry: &Value) -> bool {
    let text = |field: &str| entry.get(field).and_then(Value::as_str).unwrap_or_default();
    OURS.contains(&(text("manager"), text("operation"))) && text("subresource").is_empty()
}

/// The paths of interest that some managers own together.
#[derive(Default)]
struct Owned {
    labels: BTreeSet<String>,
    annotations: BTreeSet<String>,
    oidc: BTreeSet<String>,
    tls_disable: bool,
}

impl Owned {
    fn add(&mut self, fields: &Map<String, Value>) {
        let metadata = child(fields, "f:metadata");
        let spec = child(fields, "f:spec");
        self.labels.extend(keys(metadata.and_then(|m| child(m, "f:labels"))));
        self.annotations.extend(keys(metadata.and_then(|m| child(m, "f:annotations"))));
        self.oidc.extend(keys(spec.and_then(|s| child(s, "f:delegatedOIDCServer"))));
        self.tls_disable |=
            spec.and_then(|s| child(s, "f:tls")).is_some_and(|tls| tls.contains_key("f:disable"));
    }
}

fn child<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Map<String, Value>> {
    fields.get(name).and_then(Value::as_object)
}

/// The keys below a path, without the `.` that stands for the path itself.
fn keys(fields: Option<&Map<String, Value>>) -> impl Iterator<Item = String> + '_ {
    fields.into_iter().flat_map(Map::keys).filter_map(|key| key.strip_prefix("f:")).map(str::to_owned)
}

/// Whose an object is, seen from one stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It carries the agent's labels for this stack.
    Ours,
    /// It carries them, and belongs to a Stack of another uid: an earlier one of this name.
    Orphan,
    /// Nobody claims it: it is taken over.
    Free,
    /// It is somebody else's, and is never touched.
    Foreign(String),
}

impl Standing {
    /// Whose `object` is. `owner` is the uid of the stack's Stack where the object is to be
    /// owned by it, `None` for the Stack itself.
    pub fn of(object: &Object, stack: &str, owner: Option<&str>) -> Self {
        if let Some(other) = object.label(labels::STACK).filter(|name| *name != stack) {
            return Standing::Foreign(format!("it carries the label {}={other}", labels::STACK));
        }
        let labelled = is_labelled(object, stack);
        let is_owner = |o: &&Owner| Some(o.uid.as_str()) == owner;
        let other_stack = match owner {
            Some(_) if object.owners.iter().any(|o| is_owner(&o)) => None,
            Some(_) => object.owners.iter().find(|o| is_stack(o)),
            None => None,
        };
        match (labelled, other_stack) {
            (true, Some(_)) => Standing::Orphan,
            (true, None) => Standing::Ours,
            (false, Some(o)) => Standing::Foreign(format!("it belongs to the Stack of uid {}", o.uid)),
            (false, None) => match object.owners.iter().find(|o| o.controller && !is_owner(o)) {
                Some(o) => Standing::Foreign(format!("it is controlled by {} {}", o.kind, o.name)),
                None => Standing::Free,
            },
        }
    }
}

/// Whether `object` carries the agent's labels for this stack.
pub fn is_labelled(object: &Object, stack: &str) -> bool {
    object.label(labels::CREATED_BY_AGENT) == Some(labels::CREATED_BY_AGENT_VALUE)
        && object.label(labels::STACK) == Some(stack)
}

fn is_stack(owner: &Owner) -> bool {
    let group = owner.api_version.split_once('/').map(|(group, _)| group);
    owner.kind == "Stack" && group == Some(GROUP)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(manager: &str, operation: &str, fields: impl Into<Value>) -> Value {
        let fields: Value = fields.into();
        json!({"manager": manager, "operation": operation, "fieldsType": "FieldsV1", "fieldsV1": fields})
    }

    fn label(key: &str) -> Value {
        json!({"f:metadata": {"f:labels": {".": {}, format!("f:{key}"): {}}}})
    }

    #[test]
    fn a_label_of_either_agent_alone_is_removable() {
        for (manager, operation) in [
            ("stackherd", "Update"),
            ("Go-http-client", "Update"),
            ("formance-agent", "Apply"),
            ("formance-agent:disable", "Apply"),
        ] {
            let read = Removable::read(&json!([entry(manager, operation, label("formance.com/a"))]));
            assert_eq!(read.labels, BTreeSet::from(["formance.com/a".to_owned()]), "{manager}");
        }
    }

    #[test]
    fn a_label_that_another_manager_owns_too_is_not() {
        for other in [
            entry("kubectl-edit", "Update", label("formance.com/a")),
            entry("ancient-changes", "Update", label("formance.com/a")),
            entry("stackherd", "Apply", label("formance.com/a")),
            entry("Go-http-client", "Apply", label("formance.com/a")),
            entry("formance-agent", "Update", label("formance.com/a")),
            entry("formance-agent:enable", "Apply", label("formance.com/a")),
        ] {
            let read =
                Removable::read(&json!([entry("stackherd", "Update", label("formance.com/a")), other]));
            assert!(read.labels.is_empty(), "{other}");
        }
    }

    #[test]
    fn what_both_kinds_of_go_agents_and_this_one_set_is_still_ours_alone() {
        let read = Removable::read(&json!([
            entry("stackherd", "Update", label("formance.com/a")),
            entry("Go-http-client", "Update", label("formance.com/a")),
            entry("formance-agent", "Apply", label("formance.com/a")),
        ]));
        assert_eq!(read.labels.len(), 1);
    }

    #[test]
    fn a_status_entry_under_the_agents_name_is_somebody_elses() {
        let mut status = entry("Go-http-client", "Update", label("formance.com/a"));
        status["subresource"] = json!("status");
        assert!(Removable::read(&json!([status])).labels.is_empty());
    }

    #[test]
    fn what_the_agent_always_sets_and_the_lock_and_foreign_keys_stay() {
        for key in [
            "formance.com/created-by-agent",
            "formance.com/stack",
            "formance.com/skip",
            "formance.com/stackherd-fence",
            "example.com/a",
            "plain",
        ] {
            let read = Removable::read(&json!([entry("stackherd", "Update", label(key))]));
            assert!(read.labels.is_empty(), "{key}");
        }
    }

    #[test]
    fn the_lock_annotation_survives_and_own_annotations_do_not() {
        let fields =
            json!({"f:metadata": {"f:annotations": {"f:formance.com/skip": {}, "f:formance.com/b": {}}}});
        let read = Removable::read(&json!([entry("Go-http-client", "Update", fields)]));
        assert_eq!(read.annotations, BTreeSet::from(["formance.com/b".to_owned()]));
    }

    #[test]
    fn the_openid_server_is_ours_as_a_whole_until_somebody_adds_a_key() {
        let ours = entry(
            "stackherd",
            "Update",
            json!({"f:spec": {"f:delegatedOIDCServer": {".": {}, "f:issuer": {}, "f:clientID": {}}}}),
        );
        let read = Removable::read(&json!([ours]));
        assert!(read.oidc_whole);
        assert_eq!(read.oidc.len(), 2);

        let theirs = entry(
            "kubectl-edit",
            "Update",
            json!({"f:spec": {"f:delegatedOIDCServer": {"f:clientSecretFromSecret": {}, "f:issuer": {}}}}),
        );
        let read = Removable::read(&json!([ours, theirs]));
        assert!(!read.oidc_whole);
        assert_eq!(read.oidc, BTreeSet::from(["clientID".to_owned()]));
    }

    #[test]
    fn tls_disable_is_ours_until_somebody_changes_it() {
        let fields = json!({"f:spec": {"f:tls": {".": {}, "f:disable": {}}}});
        let ours = entry("Go-http-client", "Update", fields.clone());
        assert!(Removable::read(&json!([ours])).tls_disable);
        assert!(!Removable::read(&json!([ours, entry("kubectl-edit", "Update", fields)])).tls_disable);
    }

    #[test]
    fn odd_managed_fields_make_nothing_removable() {
        for odd in
            [json!(null), json!({}), json!(["x"]), json!([{"manager": "stackherd", "operation": "Update"}])]
        {
            let read = Removable::read(&odd);
            assert_eq!(read, Removable { oidc_whole: true, ..Removable::default() });
        }
    }
}
