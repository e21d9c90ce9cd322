//! A tiny model of the API's semantics, and the values that this module's tests share.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{
    desired::StackBaseUrl,
    object::{Catalog, Object, ObjectKey, Resource},
    ownership::FIELD_MANAGER,
    write::{Write, WriteAnswer},
};
use crate::order::{AuthConfig, Snapshot, StackName};

pub(crate) fn stack_name() -> StackName {
    StackName::new("org-stack").expect("a name")
}

pub(crate) fn catalog() -> Catalog {
    let modules = ["Auth", "Gateway", "Ledger", "Payments", "Stargate"];
    let resource = |kind: &str| {
        let singular = kind.to_lowercase();
        Resource::new(kind, &singular, &format!("{}s", singular.trim_end_matches('s')))
    };
    Catalog::new(modules.into_iter().map(resource).collect())
}

pub(crate) fn base_url() -> StackBaseUrl {
    StackBaseUrl { scheme: "https".into(), host: "Eu.Example.com:8443".into() }
}

/// Auth, Gateway, Ledger and one client.
pub(crate) fn snapshot() -> Snapshot {
    Snapshot {
        versions: "v2".into(),
        modules: ["auth", "gateway", "ledger"].map(String::from).into(),
        auth: Some(AuthConfig {
            issuer: "https://id.example".into(),
            client_id: "cid".into(),
            client_secret: "hush".into(),
        }),
        clients: [("web".into(), true)].into(),
        ..Snapshot::default()
    }
}

/// The key `plural/name` in a catalog.
pub(crate) fn key(catalog: &Catalog, text: &str) -> ObjectKey {
    let (plural, name) = text.split_once('/').expect("plural/name");
    let fixed = [&catalog.stack, &catalog.auth_client];
    let resource = fixed.into_iter().chain(&catalog.modules).find(|r| r.plural == plural).expect("a kind");
    ObjectKey::new(resource, name)
}

type FieldPath = Vec<String>;

/// Objects, resourceVersions, uids, managers of leaf fields; deletion with an optional finalizer.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct ModelCluster {
    objects: BTreeMap<ObjectKey, ModelObject>,
    version: u64,
    uids: u64,
    /// Kinds (plural) that a finalizer holds when they are deleted.
    pub(crate) held: BTreeSet<String>,
    /// Writes that were applied and changed something, by verb and object.
    pub(crate) log: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
struct ModelObject {
    json: Value,
    managers: BTreeMap<String, BTreeSet<FieldPath>>,
}

impl ModelCluster {
    pub(crate) fn get(&self, key: &ObjectKey) -> Option<Object> {
        let stored = self.objects.get(key)?;
        let mut json = stored.json.clone();
        json["metadata"]["managedFields"] =
            stored.managers.iter().map(|(manager, paths)| entry(manager, paths)).collect();
        Some(Object::from_json(&key.resource, json).expect("an object"))
    }

    pub(crate) fn json(&self, key: &ObjectKey) -> Option<&Value> {
        self.objects.get(key).map(|stored| &stored.json)
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        self.objects.keys().map(ToString::to_string).collect()
    }

    /// Those of these objects that are there.
    pub(crate) fn read(&self, keys: &[ObjectKey]) -> Vec<Object> {
        keys.iter().filter_map(|key| self.get(key)).collect()
    }

    /// uid and resourceVersion of every object.
    pub(crate) fn heads(&self) -> BTreeMap<ObjectKey, (String, String)> {
        let text = |stored: &ModelObject, name: &str| {
            stored.json["metadata"][name].as_str().expect("text").to_owned()
        };
        let head = |stored: &ModelObject| (text(stored, "uid"), text(stored, "resourceVersion"));
        self.objects.iter().map(|(key, stored)| (key.clone(), head(stored))).collect()
    }

    pub(crate) fn write(&mut self, write: &Write) -> WriteAnswer {
        self.write_as(FIELD_MANAGER, write)
    }

    pub(crate) fn write_as(&mut self, manager: &str, write: &Write) -> WriteAnswer {
        let key = write.key();
        match write {
            Write::Create { body, .. } => self.create(manager, key, body.clone()),
            Write::Patch { resource_version, body, .. } => {
                assert_eq!(body["metadata"]["resourceVersion"], **resource_version, "conditional");
                match self.objects.get(key) {
                    None => WriteAnswer::NotFound,
                    Some(o) if o.json["metadata"]["resourceVersion"] != **resource_version => {
                        WriteAnswer::Conflict
                    }
                    Some(_) => self.patch(manager, key, body),
                }
            }
            Write::Delete { uid, resource_version, .. } => match self.objects.get(key) {
                None => WriteAnswer::NotFound,
                Some(o)
                    if o.json["metadata"]["uid"] != **uid
                        || o.json["metadata"]["resourceVersion"] != **resource_version =>
                {
                    WriteAnswer::Conflict
                }
                Some(_) => self.delete(key),
            },
        }
    }

    pub(crate) fn create(&mut self, manager: &str, key: &ObjectKey, mut json: Value) -> WriteAnswer {
        if self.objects.contains_key(key) {
            return WriteAnswer::AlreadyExists;
        }
        self.version += 1;
        self.uids += 1;
        json["metadata"]["name"] = (*key.name).into();
        json["metadata"]["uid"] = format!("uid-{}", self.uids).into();
        json["metadata"]["resourceVersion"] = self.version.to_string().into();
        let managers = [(manager.to_owned(), leaves(&json).into_keys().collect())].into();
        self.objects.insert(key.clone(), ModelObject { json, managers });
        self.log.push(format!("create {key}"));
        self.stored(key)
    }

    /// An unconditional merge patch, as people and operators send them.
    pub(crate) fn patch(&mut self, manager: &str, key: &ObjectKey, patch: &Value) -> WriteAnswer {
        let stored = self.objects.get_mut(key).expect("an object");
        let before = stored.json.clone();
        merge(&mut stored.json, patch);
        stored.json["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"].clone();
        if stored.json == before {
            return self.stored(key);
        }
        let (old, new) = (leaves(&before), leaves(&stored.json));
        for paths in stored.managers.values_mut() {
            paths.retain(|path| new.get(path).is_some_and(|value| old.get(path) == Some(value)));
        }
        let changed = new.into_iter().filter(|(path, value)| old.get(path) != Some(value));
        stored.managers.entry(manager.into()).or_default().extend(changed.map(|(path, _)| path));
        self.version += 1;
        stored.json["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.log.push(format!("patch {key}"));
        self.stored(key)
    }

    fn delete(&mut self, key: &ObjectKey) -> WriteAnswer {
        let stored = self.objects.get_mut(key).expect("an object");
        if !stored.json["metadata"]["deletionTimestamp"].is_null() {
            return self.stored(key);
        }
        self.log.push(format!("delete {key}"));
        self.version += 1;
        if self.held.contains(&key.resource.plural) {
            stored.json["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
            stored.json["metadata"]["resourceVersion"] = self.version.to_string().into();
            return self.stored(key);
        }
        let uid = stored.json["metadata"]["uid"].as_str().expect("a uid").to_owned();
        self.objects.remove(key);
        WriteAnswer::Gone { uid }
    }

    /// The finalizers of everything that is terminating are done.
    pub(crate) fn finalize(&mut self) {
        self.objects.retain(|_, stored| stored.json["metadata"]["deletionTimestamp"].is_null());
    }

    /// Removes what is owned by objects that are gone, and by nothing else; whether there was any.
    pub(crate) fn collect_garbage(&mut self) -> bool {
        let uids: BTreeSet<String> = self.objects.keys().filter_map(|key| Some(self.get(key)?.uid)).collect();
        let kept = |object: Object| {
            object.owners.is_empty() || object.owners.iter().any(|owner| uids.contains(&owner.uid))
        };
        let garbage: Vec<ObjectKey> =
            self.objects.keys().filter(|key| !self.get(key).is_some_and(kept)).cloned().collect();
        garbage.iter().for_each(|key| drop(self.objects.remove(key)));
        !garbage.is_empty()
    }

    /// Another writer's status update.
    pub(crate) fn touch(&mut self, key: &ObjectKey) {
        self.version += 1;
        let stored = self.objects.get_mut(key).expect("an object");
        stored.json["metadata"]["resourceVersion"] = self.version.to_string().into();
    }

    fn stored(&self, key: &ObjectKey) -> WriteAnswer {
        WriteAnswer::Stored(Box::new(self.get(key).expect("an object")))
    }
}

/// RFC 7396.
pub(crate) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let object = target.as_object_mut().expect("an object");
    for (name, field) in fields {
        if field.is_null() {
            object.remove(name);
        } else {
            merge(object.entry(name).or_insert(Value::Null), field);
        }
    }
}

/// Paths of interest with their values: labels, annotations and everything in spec.
fn leaves(json: &Value) -> BTreeMap<FieldPath, Value> {
    fn walk(value: &Value, path: &mut FieldPath, into: &mut BTreeMap<FieldPath, Value>) {
        match value {
            Value::Object(fields) if !fields.is_empty() => {
                for (name, field) in fields {
                    path.push(format!("f:{name}"));
                    walk(field, path, into);
                    path.pop();
                }
            }
            leaf => {
                into.insert(path.clone(), leaf.clone());
            }
        }
    }
    let mut into = BTreeMap::new();
    for roots in [vec!["metadata", "labels"], vec!["metadata", "annotations"], vec!["spec"]] {
        if let Some(value) = json.pointer(&format!("/{}", roots.join("/"))) {
            walk(value, &mut roots.iter().map(|r| format!("f:{r}")).collect(), &mut into);
        }
    }
    into
}

fn entry(manager: &str, paths: &BTreeSet<FieldPath>) -> Value {
    let mut fields = json!({});
    for path in paths {
        let pointer = path.iter().fold(&mut fields, |at, part| {
            at.as_object_mut().expect("fields").entry(part).or_insert_with(|| json!({}))
        });
        debug_assert!(pointer.is_object());
    }
    json!({"manager": manager, "operation": "Update", "fieldsV1": fields})
}
