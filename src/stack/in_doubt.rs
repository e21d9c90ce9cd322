//! Writes whose outcome is unknown: what may still take effect, and until when.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use super::{
    object::{Object, ObjectKey},
    version::is_newer,
    write::Write,
};
use crate::time::after;

/// Writes of one stack that may still be under way.
///
/// A patch or a delete can take effect only while its object stands at the resourceVersion it was
/// computed from, so a look at the object says whether it still may, and moving the object ends the
/// doubt. A create can take effect whenever its name is free: only time ends that doubt, or the sight
/// of the object where no other create of ours can have made it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InDoubt(BTreeMap<ObjectKey, WritesInDoubt>);

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct WritesInDoubt {
    /// resourceVersions that lost patches and deletes were computed from.
    versions: BTreeSet<String>,
    create: Option<LostCreate>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct LostCreate {
    /// When the agent stopped waiting for the answer.
    since: Instant,
    /// More than one create of this name was sent, so that the sight of the object does not tell
    /// whether the lost one has arrived.
    raced: bool,
}

impl InDoubt {
    /// Whether no write is in doubt.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The objects in question.
    pub fn keys(&self) -> impl Iterator<Item = &ObjectKey> {
        self.0.keys()
    }

    /// Whether a write to this object is in doubt.
    pub fn contains(&self, key: &ObjectKey) -> bool {
        self.0.contains_key(key)
    }

    /// The outcome of `write` will not be learnt from its answer.
    pub fn insert(&mut self, now: Instant, write: &Write) {
        let writes = self.0.entry(write.key().clone()).or_default();
        match write {
            Write::Create { .. } => {
                let raced = writes.create.is_some();
                writes.create = Some(LostCreate { since: now, raced });
            }
            Write::Patch { resource_version, .. } | Write::Delete { resource_version, .. } => {
                writes.versions.insert(resource_version.clone());
            }
        }
    }

    /// A create of this name was answered as stored, so it is not a lost one that made the object.
    pub fn created(&mut self, key: &ObjectKey) {
        if let Some(create) = self.0.get_mut(key).and_then(|writes| writes.create.as_mut()) {
            create.raced = true;
        }
    }

    /// This, or nothing, is known of the object. What is older than a lost write's base says
    /// nothing about the write; to what is newer, or gone, it can no longer be applied.
    pub fn observe(&mut self, key: &ObjectKey, object: Option<&Object>) {
        let Some(writes) = self.0.get_mut(key) else { return };
        let is_past = |o: &Object, version: &str| is_newer(&o.resource_version, version);
        writes.versions.retain(|version| object.is_some_and(|object| !is_past(object, version)));
        if object.is_some() && writes.create.as_ref().is_some_and(|create| !create.raced) {
            writes.create = None;
        }
        if writes.versions.is_empty() && writes.create.is_none() {
            self.0.remove(key);
        }
    }

    /// Whether a lost patch or delete would take effect on the object as it stands.
    pub fn may_still_apply(&self, object: &Object) -> bool {
        self.0.get(&object.key).is_some_and(|writes| writes.versions.contains(&object.resource_version))
    }

    /// Forgets creates that were lost more than `limit` ago.
    pub fn expire(&mut self, now: Instant, limit: Duration) {
        self.0.retain(|_, writes| {
            writes.create.take_if(|create| now.saturating_duration_since(create.since) >= limit);
            !writes.versions.is_empty() || writes.create.is_some()
        });
    }

    /// When the next create is to be forgotten, which may arrive until `limit` after it was lost.
    pub fn next_expiry(&self, limit: Duration) -> Option<Instant> {
        self.0.values().filter_map(|writes| Some(after(writes.create.as_ref()?.since, limit))).min()
    }
}
