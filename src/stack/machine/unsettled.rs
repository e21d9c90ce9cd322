//! Writes whose outcome is unknown: what may still take effect, and until when.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use crate::{
    stack::{
        object::{Object, ObjectKey},
        version::compare,
        write::Write,
    },
    time::after,
};

/// Writes of one stack that may still be under way.
///
/// A patch or a delete can take effect only while its object stands at the resourceVersion it was
/// computed from, so a look at the object says whether it is settled, and moving the object
/// settles it. A create can take effect whenever its name is free: only time settles it, or the
/// sight of the object where no other create of ours can have made it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Unsettled(BTreeMap<ObjectKey, Loose>);

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Loose {
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

impl Unsettled {
    /// Whether every write is settled.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The objects in question.
    pub(super) fn keys(&self) -> impl Iterator<Item = &ObjectKey> {
        self.0.keys()
    }

    /// The outcome of `write` will not be learnt from its answer.
    pub(super) fn lose(&mut self, now: Instant, write: &Write) {
        let loose = self.0.entry(write.key().clone()).or_default();
        match write {
            Write::Create { .. } => {
                let raced = loose.create.is_some();
                loose.create = Some(LostCreate { since: now, raced });
            }
            Write::Patch { resource_version, .. } | Write::Delete { resource_version, .. } => {
                loose.versions.insert(resource_version.clone());
            }
        }
    }

    /// A create of this name was answered as stored, so it is not a lost one that made the object.
    pub(super) fn created(&mut self, key: &ObjectKey) {
        if let Some(create) = self.0.get_mut(key).and_then(|loose| loose.create.as_mut()) {
            create.raced = true;
        }
    }

    /// This, or nothing, is known of the object. What is older than a lost write's base says
    /// nothing about the write; what is newer, or gone, can no longer be struck by it.
    pub(super) fn seen(&mut self, key: &ObjectKey, object: Option<&Object>) {
        let Some(loose) = self.0.get_mut(key) else { return };
        let is_past = |o: &Object, version: &str| compare(&o.resource_version, version) == Ordering::Greater;
        loose.versions.retain(|version| object.is_some_and(|object| !is_past(object, version)));
        if object.is_some() && loose.create.as_ref().is_some_and(|create| !create.raced) {
            loose.create = None;
        }
        if loose.versions.is_empty() && loose.create.is_none() {
            self.0.remove(key);
        }
    }

    /// Whether a lost patch or delete would take effect on the object as it stands.
    pub(super) fn may_strike(&self, object: &Object) -> bool {
        self.0.get(&object.key).is_some_and(|loose| loose.versions.contains(&object.resource_version))
    }

    /// Forgets creates that were lost more than `limit` ago.
    pub(super) fn expire(&mut self, now: Instant, limit: Duration) {
        self.0.retain(|_, loose| {
            loose.create.take_if(|create| now.saturating_duration_since(create.since) >= limit);
            !loose.versions.is_empty() || loose.create.is_some()
        });
    }

    /// When the next create is to be forgotten, which may arrive until `limit` after it was lost.
    pub(super) fn next_expiry(&self, limit: Duration) -> Option<Instant> {
        self.0.values().filter_map(|loose| Some(after(loose.create.as_ref()?.since, limit))).min()
    }

    /// Whether a write to this object is not settled.
    pub(super) fn contains(&self, key: &ObjectKey) -> bool {
        self.0.contains_key(key)
    }
}
