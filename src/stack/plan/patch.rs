//! Minimal merge patches.
//!
//! Server-side apply is not used: with a resourceVersion it *creates* an absent object, so a late
//! one would bring a deleted stack back. A merge patch with `metadata.resourceVersion` is refused
//! on a moved object and on an absent one, and one that changes nothing moves nothing. Its price
//! is that removal is an explicit null, and a null below an absent parent creates the parent; so
//! only what is present is nulled.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::stack::{
    desired::{Desired, Wanted},
    object::{API_VERSION, Object, Owner},
    write::Write,
};

/// The patch that makes `object` what is wanted, `None` where it is that already.
pub(super) fn to_wanted(
    stack: &str,
    desired: &Desired,
    wanted: &Wanted,
    object: &Object,
    owner: Option<&str>,
) -> Option<Write> {
    let mut metadata = Map::new();
    let removable = &object.removable;
    let maps = [
        ("labels", &desired.labels, &object.labels, &removable.labels, desired.spares.labels),
        (
            "annotations",
            &desired.annotations,
            &object.annotations,
            &removable.annotations,
            desired.spares.annotations,
        ),
    ];
    for (field, want, have, ours, all) in maps {
        let stays = |key: &&String| all || want.contains_key(*key) || desired.spared.contains(*key);
        let dropped = ours.iter().filter(|key| have.contains_key(*key) && !stays(key));
        let mut changed = changed_keys(want, have);
        changed.extend(dropped.map(|key| (key.clone(), Value::Null)));
        if !changed.is_empty() {
            metadata.insert(field.into(), changed.into());
        }
    }
    if let Some(uid) = owner
        && object.owners.iter().all(|o| o.uid != uid)
    {
        // A merge patch replaces a list as a whole, so everybody else's entries go along.
        let list: Vec<Value> =
            object.owners.iter().map(owner_as_it_is).chain([owner_reference(stack, uid)]).collect();
        metadata.insert("ownerReferences".into(), list.into());
    }
    let spec = spec(&wanted.spec, object);
    (!metadata.is_empty() || spec.is_some()).then(|| write(object, metadata, spec))
}

/// A conditional merge patch of `object`.
pub(super) fn write(object: &Object, mut metadata: Map<String, Value>, spec: Option<Value>) -> Write {
    metadata.insert("resourceVersion".into(), object.resource_version.as_str().into());
    let mut body = Map::new();
    body.insert("metadata".into(), metadata.into());
    if let Some(spec) = spec {
        body.insert("spec".into(), spec);
    }
    Write::Patch {
        key: object.key.clone(),
        resource_version: object.resource_version.clone(),
        body: body.into(),
    }
}

/// Our entry in a child's owner references.
pub(super) fn owner_reference(stack: &str, uid: &str) -> Value {
    json!({"apiVersion": API_VERSION, "kind": "Stack", "name": stack, "uid": uid})
}

fn owner_as_it_is(owner: &Owner) -> Value {
    let mut json = json!({
        "apiVersion": owner.api_version, "kind": owner.kind, "name": owner.name, "uid": owner.uid,
    });
    if owner.controller {
        json["controller"] = true.into();
    }
    if let Some(block) = owner.block_owner_deletion {
        json["blockOwnerDeletion"] = block.into();
    }
    json
}

fn changed_keys(want: &BTreeMap<String, String>, have: &BTreeMap<String, String>) -> Map<String, Value> {
    let differs = |(key, value): &(&String, &String)| have.get(*key) != Some(*value);
    want.iter().filter(differs).map(|(key, value)| (key.clone(), value.as_str().into())).collect()
}

/// The part of `spec` that has to change: wanted leaves that differ, and nulls for what the
/// agent may take back.
pub(super) fn spec(wanted: &Value, object: &Object) -> Option<Value> {
    let mut changed = match difference(wanted, Some(&object.spec)) {
        Some(Value::Object(map)) => map,
        _ => Map::new(),
    };
    // `tls.disable: false` is as good as none, and a true that somebody else set is theirs.
    if wanted.pointer("/tls/disable") == Some(&Value::Bool(false)) && !object.removable.tls_disable {
        changed.remove("tls");
    }
    if wanted.get(OIDC).is_none()
        && let Some(dropped) = dropped_oidc(object)
    {
        changed.insert(OIDC.into(), dropped);
    }
    (!changed.is_empty()).then_some(Value::Object(changed))
}

const OIDC: &str = "delegatedOIDCServer";

/// An empty `delegatedOIDCServer` counts as a configured one with the operator, so it goes as a
/// whole, unless somebody else has a key in it.
fn dropped_oidc(object: &Object) -> Option<Value> {
    let present = object.spec.get(OIDC)?.as_object()?;
    let ours = |key: &&String| object.removable.oidc.contains(*key);
    let dropped: Map<String, Value> =
        present.keys().filter(ours).map(|key| (key.clone(), Value::Null)).collect();
    match dropped.len() {
        0 => None,
        n if n == present.len() && object.removable.oidc_whole => Some(Value::Null),
        _ => Some(dropped.into()),
    }
}

/// What of `wanted` is not in `have`; `None` where all of it is.
fn difference(wanted: &Value, have: Option<&Value>) -> Option<Value> {
    let have = have.filter(|value| !value.is_null());
    match (wanted, have) {
        (Value::Object(fields), Some(Value::Object(present))) => {
            let changed: Map<String, Value> = fields
                .iter()
                .filter_map(|(name, field)| Some((name.clone(), difference(field, present.get(name))?)))
                .collect();
            (!changed.is_empty()).then_some(changed.into())
        }
        (wanted, Some(have)) => (wanted != have).then(|| wanted.clone()),
        (wanted, None) => (!is_zero(wanted)).then(|| wanted.clone()),
    }
}

/// What Go leaves out when it writes an object: the operator makes no difference between these
/// and absence, and rewrites one as the other.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::String(text) => text.is_empty(),
        Value::Object(fields) => fields.values().all(is_zero),
        Value::Number(_) | Value::Array(_) => false,
    }
}
