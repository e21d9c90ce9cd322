//! One object as it shall be against the object as it is: which write is missing, if any.
//!
//! Everything that is written depends on what was observed: creates are create-only, patches
//! carry the resourceVersion they were computed from, deletes uid and resourceVersion. What
//! others set is never part of a patch, since a patch names changed leaves alone.

use serde_json::{Map, Value, json};

use super::patch;
use crate::stack::{
    desired::{Desired, Wanted},
    labels,
    object::{API_VERSION, Object, ObjectKey, Role},
    ownership::{Standing, is_labelled},
    write::Write,
};

/// What is to be done about one object.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// It is as it shall be.
    Nothing,
    /// This write is missing.
    Write(Write),
    /// It is on its way out and has to be gone before it can be made anew.
    Wait,
    /// It is somebody else's; the reason says by what that shows.
    Clash(String),
    /// What is missing follows from the Stack's uid, and of that the API server has to say first
    /// that it still holds.
    Unverified,
}

/// The Stack of an ExistingStack.
pub fn stack(name: &str, desired: &Desired, observed: Option<&Object>) -> Action {
    wanted(name, desired, &desired.stack, observed, None)
}

/// A wanted module or client. `owner` is the uid of the Stack as it stands.
pub fn child(
    name: &str,
    desired: &Desired,
    child: &Wanted,
    observed: Option<&Object>,
    owner: &str,
) -> Action {
    wanted(name, desired, child, observed, Some(owner))
}

fn wanted(
    stack: &str,
    desired: &Desired,
    wanted: &Wanted,
    observed: Option<&Object>,
    owner: Option<&str>,
) -> Action {
    let Some(object) = observed else { return Action::Write(create(stack, desired, wanted, owner)) };
    if object.terminating {
        return Action::Wait;
    }
    match Standing::of(object, stack, owner) {
        Standing::Foreign(reason) => Action::Clash(reason),
        // Its content belongs to a Stack that is gone, and so does everything that the operator
        // keeps beside it; the garbage collector may be after it already.
        Standing::Orphan => Action::Write(delete(object)),
        Standing::Ours | Standing::Free => match patch::to_wanted(stack, desired, wanted, object, owner) {
            Some(body) => Action::Write(body),
            None => Action::Nothing,
        },
    }
}

/// A Stack that shall not be. It is deleted whatever it looks like inside, as long as it is not
/// somebody else's.
pub fn deleted_stack(stack: &str, observed: Option<&Object>) -> Action {
    match observed {
        None => Action::Nothing,
        Some(object) if object.terminating => Action::Nothing,
        Some(object) => match Standing::of(object, stack, None) {
            Standing::Foreign(reason) => Action::Clash(reason),
            _ => Action::Write(delete(object)),
        },
    }
}

/// A module or client that shall not be: it goes where it carries the agent's labels for this
/// stack. Nothing is waited for.
pub fn unwanted(stack: &str, observed: Option<&Object>) -> Action {
    match observed {
        Some(object) if !object.terminating && is_labelled(object, stack) => Action::Write(delete(object)),
        _ => Action::Nothing,
    }
}

/// A Stack whose `spec.disabled` shall have this value. One that is absent or terminating is
/// the caller's to tell.
pub fn toggled(stack: &str, observed: Option<&Object>, disabled: bool) -> Action {
    let Some(object) = observed.filter(|object| !object.terminating) else { return Action::Nothing };
    if let Standing::Foreign(reason) = Standing::of(object, stack, None) {
        return Action::Clash(reason);
    }
    match patch::spec(&json!({"disabled": disabled}), object) {
        Some(spec) => Action::Write(patch::write(object, Map::new(), Some(spec))),
        None => Action::Nothing,
    }
}

/// A write that changes nothing that matters and moves the resourceVersion: it adds or removes
/// the one fence label. On a Stack an annotation would make the operator rewrite the status of
/// every module; a label does not.
pub fn fence(object: &Object) -> Write {
    let value =
        if object.labels.contains_key(labels::FENCE) { Value::Null } else { labels::FENCE_VALUE.into() };
    let mut metadata = Map::new();
    metadata.insert("labels".into(), json!({labels::FENCE: value}));
    patch::write(object, metadata, None)
}

/// Whether an observed object of the agent's is one that this order does not want. A second object of
/// a wanted module kind is one: the operator fails on two.
pub fn is_unwanted(desired: &Desired, key: &ObjectKey) -> bool {
    if key.resource.role() == Role::AuthClient {
        return !desired.spares_clients && !desired.spares.clients && desired.child(key).is_none();
    }
    if desired.spares.modules {
        return false;
    }
    match desired.children.iter().find(|child| child.key.resource == key.resource) {
        Some(wanted) => wanted.key != *key,
        None => desired.unwanted.contains(&key.resource),
    }
}

fn create(stack: &str, desired: &Desired, wanted: &Wanted, owner: Option<&str>) -> Write {
    let mut metadata = Map::new();
    metadata.insert("name".into(), (*wanted.key.name).into());
    metadata.insert("labels".into(), json!(desired.labels));
    if !desired.annotations.is_empty() {
        metadata.insert("annotations".into(), json!(desired.annotations));
    }
    if let Some(uid) = owner {
        metadata.insert("ownerReferences".into(), json!([patch::owner_reference(stack, uid)]));
    }
    let body = json!({
        "apiVersion": API_VERSION,
        "kind": wanted.key.resource.kind,
        "metadata": metadata,
        "spec": wanted.spec,
    });
    Write::Create { key: wanted.key.clone(), body }
}

fn delete(object: &Object) -> Write {
    Write::Delete {
        key: object.key.clone(),
        uid: object.uid.clone(),
        resource_version: object.resource_version.clone(),
    }
}

#[cfg(test)]
mod tests;
