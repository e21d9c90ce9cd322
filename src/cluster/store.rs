//! What one shard knows of its stacks' objects, in few bytes. Pure.
//!
//! It is fed by watches, by the answers to own writes and by reads, which may come in any order:
//!
//! - The newer resourceVersion wins.
//! - A fresh list wins over everything that was known before it was asked for, whatever the
//!   versions (they go back when a cluster is restored from a backup), and tells of what was learnt
//!   since by the versions that it includes. So each object remembers when it was learnt.
//! - An uid that is gone stays gone, though a slow watch or a slow answer may still tell of its past.
//!
//! A decision that found nothing to do is remembered by the order's fingerprint, until something
//! changes that decisions look at: then the same order costs one look.

mod entry;
mod interner;
mod json;
mod packed;
mod packing;
mod queries;
mod sweep;
#[cfg(test)]
mod tests;
mod tombstones;
mod versions;

use std::{cmp::Ordering, collections::BTreeMap, sync::Arc, time::Instant};

use ahash::RandomState;
use indexmap::IndexMap;

use self::{
    entry::{StackEntry, StoredObject},
    interner::Interner,
    packed::PackedObject,
    tombstones::Tombstones,
    versions::KnownVersions,
};
pub use self::{queries::ReportCursor, sweep::Sweep};
use crate::stack::{
    object::{Object, ObjectKey, Resource, Role},
    version::{self, ObjectVersion, is_newer},
};

/// What learning something has changed, as far as somebody is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreChange {
    /// Nothing.
    Nothing,
    /// The object is there now, with nothing to say of it.
    Appeared,
    /// There is something new to say: a first or another status, or a Stack that has one was
    /// enabled or disabled.
    Status,
    /// Versions are there now.
    Added,
    /// Versions that stood have changed.
    Updated,
    /// The object is gone.
    Removed,
    /// The object is gone, and another one stands under its name.
    Replaced,
}

/// What is held of a kind as such.
#[derive(Debug)]
struct StoredKind {
    resource: Arc<Resource>,
    /// Whether a list of it was complete, and swept.
    is_complete: bool,
    /// The version of its last complete list. What that left out is gone.
    listed: Option<String>,
}

/// See the [module](self).
#[derive(Debug)]
pub struct Store {
    start: Instant,
    names: Interner,
    /// By number.
    kinds: Vec<StoredKind>,
    /// In an order that scans from the end can rely on: what is new comes last, and what takes the
    /// place of one that is removed was the last.
    stacks: IndexMap<Arc<str>, StackEntry, RandomState>,
    versions: BTreeMap<Arc<str>, KnownVersions>,
    tombstones: Tombstones,
    revision: u64,
}

impl Store {
    /// A store that knows nothing. Times before `start` count as `start`.
    pub fn new(start: Instant) -> Self {
        Self {
            start,
            names: Interner::default(),
            kinds: Vec::new(),
            stacks: IndexMap::with_hasher(RandomState::with_seeds(5, 6, 7, 8)),
            versions: BTreeMap::new(),
            tombstones: Tombstones::default(),
            revision: 0,
        }
    }

    /// An object of a fresh list whose first page was asked for at `asked`.
    pub fn listed(&mut self, object: &Object, asked: Instant) -> StoreChange {
        self.listed_with(object.belongs_to(), object, asked)
    }

    /// The same with the objects of this stack.
    fn listed_with(&mut self, stack: Option<&str>, object: &Object, asked: Instant) -> StoreChange {
        let asked = self.asked(asked);
        if self.tombstones.since(&object.key, &object.uid).is_some_and(|gone| gone >= asked) {
            return StoreChange::Nothing;
        }
        self.put(stack, object, asked, Some(asked))
    }

    /// An object as an event, an answer or a read shows it.
    pub fn changed(&mut self, object: &Object, at: Instant) -> StoreChange {
        self.changed_with(object.belongs_to(), object, at)
    }

    fn changed_with(&mut self, stack: Option<&str>, object: &Object, at: Instant) -> StoreChange {
        if self.tombstones.since(&object.key, &object.uid).is_some() {
            return StoreChange::Nothing;
        }
        let at = self.clock(at);
        self.put(stack, object, at, None)
    }

    /// An event says that this object is gone; this was its last state. It stays gone, since the
    /// answer to an own write may come after the event of its removal.
    pub fn removed(&mut self, object: &Object, at: Instant) -> StoreChange {
        self.removed_with(object.belongs_to(), object, at)
    }

    fn removed_with(&mut self, stack: Option<&str>, object: &Object, at: Instant) -> StoreChange {
        let at = self.clock(at);
        self.tombstones.insert(&object.key, &object.uid, at);
        if object.key.resource.role() == Role::Versions {
            return self.remove_versions(&object.key.name, |known| {
                known.uid == object.uid || is_newer(&object.resource_version, &known.resource_version)
            });
        }
        let Some(stack) = stack else { return StoreChange::Nothing };
        self.remove(stack, &object.key, |held| {
            held.uid == object.uid || is_newer(&object.resource_version, &held.resource_version)
        })
    }

    /// An own deletion was answered, or a read found none: this uid is gone for good.
    pub fn gone(&mut self, stack: &str, key: &ObjectKey, uid: &str, at: Instant) -> StoreChange {
        let at = self.clock(at);
        self.tombstones.insert(key, uid, at);
        self.remove(stack, key, |held| held.uid == uid)
    }

    /// An object belongs to another stack than this one from now on.
    pub fn moved(&mut self, stack: &str, key: &ObjectKey) {
        self.remove(stack, key, |_| true);
    }

    // A module or AuthClient that carries the labels of another stack than it belongs to is held for that
    // stack as well, whose orders delete it. Its own stack reports of it.

    /// As [`Self::listed`], for the stack that the object is left over of.
    pub fn leftover_listed(&mut self, object: &Object, asked: Instant) {
        self.listed_with(object.leftover_of(), object, asked);
    }

    /// As [`Self::changed`].
    pub fn leftover_changed(&mut self, object: &Object, at: Instant) {
        self.changed_with(object.leftover_of(), object, at);
    }

    /// As [`Self::removed`].
    pub fn leftover_removed(&mut self, object: &Object, at: Instant) {
        self.removed_with(object.leftover_of(), object, at);
    }

    /// Nothing is to be done for an order of this fingerprint, as long as decisions would see what
    /// they see now.
    pub fn mark_converged(&mut self, stack: &str, fingerprint: u64) {
        if let Some(stack) = self.stacks.get_mut(stack) {
            stack.converged = Some(fingerprint);
        }
    }

    /// Decisions look at other kinds from now on.
    pub fn forget_converged(&mut self) {
        self.stacks.values_mut().for_each(|stack| stack.converged = None);
    }

    /// `overrides`: what was learnt before this is replaced whatever its version.
    fn put(
        &mut self,
        stack: Option<&str>,
        object: &Object,
        learnt: u64,
        overrides: Option<u64>,
    ) -> StoreChange {
        if object.key.resource.role() == Role::Versions {
            return self.put_versions(object, learnt, overrides);
        }
        let Some(name) = stack else { return StoreChange::Nothing };
        let kind = self.kind(&object.key.resource);
        let position =
            self.stacks.get(name).and_then(|stack| stack.find(kind, &object.key.name, name, &self.names));
        let known = position.and_then(|at| self.stacks.get(name)?.objects.get(at));
        let mut change = StoreChange::Appeared;
        if let Some(held) = known {
            let held_version = held.packed.version(&self.names).unwrap_or_default();
            let is_same = held_version.uid == object.uid;
            let overridden = overrides.is_some_and(|asked| held.learnt < asked);
            match version::compare(&object.resource_version, &held_version.resource_version) {
                Ordering::Equal if is_same && !overridden => {
                    if overrides.is_some() {
                        self.confirm(name, position, learnt);
                    }
                    return StoreChange::Nothing;
                }
                Ordering::Less | Ordering::Equal if !overridden => return StoreChange::Nothing,
                _ => change = if is_same { StoreChange::Nothing } else { StoreChange::Replaced },
            }
        }
        if known.is_none() && overrides.is_none() {
            // A late answer: a list that includes its version did not name the object.
            let listed = self.kinds.get(usize::from(kind)).and_then(|kind| kind.listed.as_ref());
            if listed.is_some_and(|listed| !is_newer(&object.resource_version, listed)) {
                return StoreChange::Nothing;
            }
        }
        let packed = PackedObject::pack(object, name, &mut self.names);
        let held = StoredObject::new(kind, learnt, packed, object, name);
        self.revision += 1;
        if !self.stacks.contains_key(name) {
            self.stacks.insert(name.into(), StackEntry::default());
        }
        let Some(stack) = self.stacks.get_mut(name) else { return StoreChange::Nothing };
        stack.revision = self.revision;
        let Some(before) = stack.put(position, held) else {
            stack.converged = None;
            return if object.says_something() { StoreChange::Status } else { StoreChange::Appeared };
        };
        // After `put` the newest record stands in the old one's place.
        let after = position.and_then(|at| stack.objects.get(at));
        let Some(after) = after else { return StoreChange::Nothing };
        if !after.packed.decides_as(&before.packed, &object.key, name, &self.names) {
            stack.converged = None;
        }
        if change == StoreChange::Nothing
            && object.says_something()
            && says_more(object, &before, name, &self.names)
        {
            change = StoreChange::Status;
        }
        change
    }

    /// An object is just as it was known. That a list names it shows by the time of the list, also
    /// where it was learnt a little later.
    ///
    /// An answer that shows the same does not: the object would no longer look named by the list.
    fn confirm(&mut self, name: &str, position: Option<usize>, asked: u64) {
        if let Some(held) = position.and_then(|at| self.stacks.get_mut(name)?.objects.get_mut(at)) {
            held.learnt = asked;
        }
    }

    /// Removes an object where `goes` says so of its version.
    fn remove(
        &mut self,
        name: &str,
        key: &ObjectKey,
        goes: impl FnOnce(&ObjectVersion) -> bool,
    ) -> StoreChange {
        let kind = self.kind(&key.resource);
        let Some(index) = self.stacks.get_index_of(name) else { return StoreChange::Nothing };
        let stack = &self.stacks[index];
        let Some(at) = stack.find(kind, &key.name, name, &self.names) else { return StoreChange::Nothing };
        if !goes(&stack.objects[at].packed.version(&self.names).unwrap_or_default()) {
            return StoreChange::Nothing;
        }
        let mut place = 0;
        let at_place = |_: &StoredObject, _: &Interner| {
            place += 1;
            place == at + 1
        };
        let mut removed = Vec::new();
        self.take_out(index, at_place, &mut removed);
        let is_told = key.resource.role() != Role::AuthClient && *key.name == *name;
        if is_told { StoreChange::Removed } else { StoreChange::Nothing }
    }

    /// The number of a kind.
    fn kind(&mut self, kind: &Arc<Resource>) -> u16 {
        let known = self.kinds.iter().position(|known| known.resource.plural == kind.plural);
        let number = known.unwrap_or_else(|| {
            self.kinds.push(StoredKind { resource: Arc::clone(kind), is_complete: false, listed: None });
            self.kinds.len() - 1
        });
        u16::try_from(number).unwrap_or(u16::MAX)
    }

    /// When something was learnt, in half nanoseconds since the start.
    fn clock(&self, at: Instant) -> u64 {
        let nanos = u64::try_from(at.saturating_duration_since(self.start).as_nanos()).unwrap_or(u64::MAX);
        nanos.saturating_mul(2)
    }

    /// When a list was asked for, which is also when what it names was learnt: after all that was
    /// learnt in the same nanosecond, so that nothing but what it names is of just that time.
    fn asked(&self, at: Instant) -> u64 {
        self.clock(at).saturating_add(1)
    }
}

/// Whether an object has something else to say than before.
fn says_more(object: &Object, before: &StoredObject, stack: &str, names: &Interner) -> bool {
    if before.packed.status(stack, names).as_ref() != Some(&object.status) {
        return true;
    }
    let toggled = || {
        let key = |_: &str| object.key.clone();
        let was = before.packed.unpack(key, stack, names)?;
        Some(was.spec.get("disabled") != object.spec.get("disabled"))
    };
    object.key.resource.role() == Role::Stack && toggled().unwrap_or(true)
}
