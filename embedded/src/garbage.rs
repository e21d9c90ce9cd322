//! Garbage collection by owner reference, as the controller manager does it.
//!
//! An object goes when all its owners are gone; a reference to one that is gone goes when another
//! lives. An owner deleted in the foreground waits for its dependents, one deleted as `Orphan` lets
//! them go.

use jiff::Timestamp;
use serde_json::Value;

use super::{
    cluster::{Caller, DeleteOptions, EmbeddedCluster, WriteEndpoint},
    object::ServedObject,
    store::ObjectPlace,
};

/// The manager that the collector's writes are booked on.
const MANAGER: &str = "kube-controller-manager";
const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";

/// Looks at every object that may have become garbage; returns how many it changed or removed.
/// Each change can make more garbage: step until it returns 0 to see the end.
pub fn step(cluster: &mut EmbeddedCluster, now: Timestamp) -> usize {
    let mut acted = 0;
    for _ in 0..cluster.store().suspects() {
        let Some(place) = cluster.store().next_suspect() else { break };
        acted += usize::from(look(cluster, &place, now));
    }
    acted
}

fn look(cluster: &mut EmbeddedCluster, place: &ObjectPlace, now: Timestamp) -> bool {
    let Some(kind) = cluster.kind_by_full_name(&place.0) else { return false };
    let Ok(object) = cluster.get(&kind, &place.1) else { return false };
    if object.terminating() && object.held_by(FOREGROUND) {
        return foreground(cluster, place, &object, now);
    }
    if object.terminating() && object.held_by(ORPHAN) {
        return orphan(cluster, place, &object, now);
    }
    let lives = |owner: &&Value| {
        let text = |field: &str| owner[field].as_str().unwrap_or_default();
        cluster.store_ref().lives(text("uid"), text("kind"))
    };
    let live: Vec<Value> = object.owners().iter().filter(lives).cloned().collect();
    if object.owners().is_empty() || live.len() == object.owners().len() {
        return false;
    }
    if live.is_empty() {
        let options = DeleteOptions { uid: Some(object.uid().to_string()), ..DeleteOptions::default() };
        return !object.terminating() && cluster.delete(&kind, &place.1, &options, now).is_ok();
    }
    set(cluster, place, "ownerReferences", live, now)
}

/// Deletes the dependents of an owner; the last of them takes the owner along.
fn foreground(
    cluster: &mut EmbeddedCluster,
    place: &ObjectPlace,
    owner: &ServedObject,
    now: Timestamp,
) -> bool {
    let dependents = cluster.store_ref().dependents(owner.uid());
    if dependents.is_empty() {
        return let_go(cluster, place, owner, FOREGROUND, now);
    }
    let mut acted = false;
    for (full_name, name) in dependents {
        let Some(kind) = cluster.kind_by_full_name(&full_name) else { continue };
        let waiting = cluster.get(&kind, &name).is_ok_and(|object| !object.terminating());
        acted |= waiting && cluster.delete(&kind, &name, &DeleteOptions::default(), now).is_ok();
    }
    acted
}

/// Takes the owner out of its dependents, then lets it go.
fn orphan(cluster: &mut EmbeddedCluster, place: &ObjectPlace, owner: &ServedObject, now: Timestamp) -> bool {
    for dependent in cluster.store_ref().dependents(owner.uid()) {
        let Some(kind) = cluster.kind_by_full_name(&dependent.0) else { continue };
        let Ok(object) = cluster.get(&kind, &dependent.1) else { continue };
        let others = object.owners().iter().filter(|o| o["uid"] != owner.uid()).cloned().collect();
        set(cluster, &dependent, "ownerReferences", others, now);
    }
    let_go(cluster, place, owner, ORPHAN, now)
}

fn let_go(
    cluster: &mut EmbeddedCluster,
    place: &ObjectPlace,
    object: &ServedObject,
    finalizer: &str,
    now: Timestamp,
) -> bool {
    let rest = object.finalizers().iter().filter(|f| *f != finalizer).cloned().collect();
    set(cluster, place, "finalizers", rest, now)
}

fn set(
    cluster: &mut EmbeddedCluster,
    place: &ObjectPlace,
    field: &str,
    list: Vec<Value>,
    now: Timestamp,
) -> bool {
    let Some(kind) = cluster.kind_by_full_name(&place.0) else { return false };
    let value = if list.is_empty() { Value::Null } else { Value::Array(list) };
    let patch = serde_json::json!({"metadata": {field: value}});
    cluster.patch(&kind, &place.1, WriteEndpoint::Main, &patch, Caller::new(MANAGER, now)).is_ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::{
        Propagation,
        tests::{cluster, kind, me, now, object},
    };

    /// A Stack `a`, and a Ledger `a` owned by it and by `others`.
    fn owned(others: &[Value]) -> EmbeddedCluster {
        let mut cluster = cluster();
        let (stacks, ledgers) = (kind(&cluster, "stacks"), kind(&cluster, "ledgers"));
        let stack = cluster.create(&stacks, object("Stack", "a", json!({})), me()).expect("created").object;
        let mut owners = vec![owner("Stack", "a", stack.uid())];
        owners.extend(others.iter().cloned());
        let rest = json!({"metadata": {"ownerReferences": owners}});
        cluster.create(&ledgers, object("Ledger", "a", rest), me()).expect("created");
        cluster
    }

    fn owner(kind: &str, name: &str, uid: &str) -> Value {
        json!({"apiVersion": "formance.com/v1beta1", "kind": kind, "name": name, "uid": uid})
    }

    fn delete_stack(cluster: &mut EmbeddedCluster, propagation: Propagation) {
        let options = DeleteOptions { propagation, ..DeleteOptions::default() };
        let stacks = kind(cluster, "stacks");
        cluster.delete(&stacks, "a", &options, now()).expect("deleted");
    }

    fn settle(cluster: &mut EmbeddedCluster) -> usize {
        (0..10).map(|_| step(cluster, now())).sum()
    }

    fn ledger(cluster: &EmbeddedCluster) -> Option<Value> {
        cluster.get(&kind(cluster, "ledgers"), "a").ok().map(|object| object.value().clone())
    }

    #[test]
    fn a_child_follows_its_owner() {
        let mut cluster = owned(&[]);
        assert_eq!(settle(&mut cluster), 0, "nothing is garbage while the owner lives");
        delete_stack(&mut cluster, Propagation::Background);
        assert!(ledger(&cluster).is_some(), "not before the collector runs");
        assert_eq!(settle(&mut cluster), 1);
        assert!(ledger(&cluster).is_none());
    }

    #[test]
    fn a_child_made_under_a_dead_owner_goes_too() {
        let mut cluster = cluster();
        let ledgers = kind(&cluster, "ledgers");
        let rest = json!({"metadata": {"ownerReferences": [owner("Stack", "a", "dead")]}});
        cluster.create(&ledgers, object("Ledger", "a", rest), me()).expect("created");
        settle(&mut cluster);
        assert!(ledger(&cluster).is_none());
    }

    #[test]
    fn a_dead_owner_beside_a_living_one_is_only_struck_out() {
        let mut cluster = owned(&[owner("Stack", "b", "dead")]);
        settle(&mut cluster);
        let ledger = ledger(&cluster).expect("still there");
        assert_eq!(ledger["metadata"]["ownerReferences"].as_array().map(Vec::len), Some(1));
    }

    #[test]
    fn a_foreground_deletion_ends_with_the_owner() {
        let mut cluster = owned(&[]);
        delete_stack(&mut cluster, Propagation::Foreground);
        assert!(cluster.get(&kind(&cluster, "stacks"), "a").is_ok_and(|stack| stack.terminating()));
        settle(&mut cluster);
        assert!(ledger(&cluster).is_none());
        assert!(cluster.get(&kind(&cluster, "stacks"), "a").is_err());
    }

    #[test]
    fn orphans_stay_without_the_reference() {
        let mut cluster = owned(&[]);
        delete_stack(&mut cluster, Propagation::Orphan);
        settle(&mut cluster);
        assert!(cluster.get(&kind(&cluster, "stacks"), "a").is_err());
        assert!(ledger(&cluster).expect("still there")["metadata"].get("ownerReferences").is_none());
    }
}
