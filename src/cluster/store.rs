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

mod bytes;
mod gone;
mod json;
mod leftovers;
mod names;
mod queries;
mod record;
mod reports;
mod stack;
#[cfg(test)]
mod tests;
mod versions;

use std::{cmp::Ordering, collections::BTreeMap, sync::Arc, time::Instant};

use ahash::RandomState;
use indexmap::IndexMap;

pub use self::reports::ReportCursor;
use self::{
    gone::Tombstones,
    names::Interner,
    record::PackedObject,
    stack::{Stack, StoredObject},
    versions::KnownVersions,
};
use crate::stack::{
    object::{Object, ObjectKey, Resource, Role},
    version,
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

/// The removal of what a complete list did not name, under way.
#[derive(Debug)]
pub struct Sweep {
    kind: u16,
    asked: u64,
    /// The version that the list shows.
    version: String,
    /// Stacks below this index are still to be looked at.
    left: usize,
}

impl Sweep {
    /// Whether the list did not name an object and it was there, if at all, before the list was
    /// taken: it was known before that was asked for, or under a version that the list includes.
    fn takes(&self, held: &StoredObject, stack: &str, names: &Interner) -> bool {
        let included = || {
            let (_, _, version) = held.record.identity(stack, names).unwrap_or_default();
            !is_older(&self.version, &version)
        };
        held.kind == self.kind && (held.learnt < self.asked || (held.learnt > self.asked && included()))
    }
}

/// See the [module](self).
#[derive(Debug)]
pub struct Store {
    start: Instant,
    names: Interner,
    /// Kinds by number, and whether a list of each was complete.
    kinds: Vec<(Arc<Resource>, bool)>,
    /// By kind's number: the version of its last complete list. What that left out is gone.
    listed: Vec<Option<String>>,
    /// In an order that scans from the end can rely on: what is new comes last, and what takes the
    /// place of one that is removed was the last.
    stacks: IndexMap<Arc<str>, Stack, RandomState>,
    versions: BTreeMap<Arc<str>, KnownVersions>,
    gone: Tombstones,
    revision: u64,
}

impl Store {
    /// A store that knows nothing. Times before `start` count as `start`.
    pub fn new(start: Instant) -> Self {
        Self {
            start,
            names: Interner::default(),
            kinds: Vec::new(),
            listed: Vec::new(),
            stacks: IndexMap::with_hasher(RandomState::with_seeds(5, 6, 7, 8)),
            versions: BTreeMap::new(),
            gone: Tombstones::default(),
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
        if self.gone.since(&object.key, &object.uid).is_some_and(|gone| gone >= asked) {
            return StoreChange::Nothing;
        }
        self.put(stack, object, asked, Some(asked))
    }

    /// An object as an event, an answer or a read shows it.
    pub fn changed(&mut self, object: &Object, at: Instant) -> StoreChange {
        self.changed_with(object.belongs_to(), object, at)
    }

    fn changed_with(&mut self, stack: Option<&str>, object: &Object, at: Instant) -> StoreChange {
        if self.gone.since(&object.key, &object.uid).is_some() {
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
        self.gone.insert(&object.key, &object.uid, at);
        if object.key.resource.role() == Role::Versions {
            return self.remove_versions(&object.key.name, |known| {
                known.uid == object.uid || is_older(&known.resource_version, &object.resource_version)
            });
        }
        let Some(stack) = stack else { return StoreChange::Nothing };
        self.remove(stack, &object.key, |uid, version| {
            uid == object.uid || is_older(version, &object.resource_version)
        })
    }

    /// An own deletion was answered, or a read found none: this uid is gone for good.
    pub fn gone(&mut self, stack: &str, key: &ObjectKey, uid: &str, at: Instant) -> StoreChange {
        let at = self.clock(at);
        self.gone.insert(key, uid, at);
        self.remove(stack, key, |known, _| known == uid)
    }

    /// An object belongs to another stack than this one from now on.
    pub fn moved(&mut self, stack: &str, key: &ObjectKey) {
        self.remove(stack, key, |_, _| true);
    }

    /// All objects of a list were told, which was asked for at `asked` and shows this version.
    pub fn complete(&mut self, kind: &Arc<Resource>, asked: Instant, version: String) -> Sweep {
        let asked = self.asked(asked);
        self.gone.forget_older(kind, asked);
        let kind = self.kind(kind);
        if let Some(listed) = self.listed.get_mut(usize::from(kind)) {
            *listed = Some(version.clone());
        }
        Sweep { kind, asked, version, left: self.stacks.len() }
    }

    /// Removes what a complete list did not name, looking at so many stacks. Gives what was removed
    /// and is to be told of, and whether that was all.
    pub fn sweep(&mut self, sweep: &mut Sweep, budget: usize) -> (Vec<ObjectKey>, bool) {
        let mut removed = Vec::new();
        let lowest = sweep.left.min(self.stacks.len()).saturating_sub(budget);
        for index in (lowest..sweep.left.min(self.stacks.len())).rev() {
            let takes = |held: &StoredObject, stack: &str, names: &Interner| sweep.takes(held, stack, names);
            self.take_out(index, takes, &mut removed);
        }
        sweep.left = lowest;
        if lowest > 0 {
            return (removed, false);
        }
        if let Some((kind, complete)) = self.kinds.get_mut(usize::from(sweep.kind)) {
            *complete = true;
            if kind.role() == Role::Versions {
                let kind = Arc::clone(kind);
                removed.extend(self.sweep_versions(&kind, sweep));
            }
        }
        (removed, true)
    }

    /// A kind is no longer in play: its objects go. Gives those that are to be told of.
    pub fn forget(&mut self, kind: &Arc<Resource>) -> Vec<ObjectKey> {
        let number = self.kind(kind);
        if let Some((_, complete)) = self.kinds.get_mut(usize::from(number)) {
            *complete = false;
        }
        if let Some(listed) = self.listed.get_mut(usize::from(number)) {
            *listed = None;
        }
        let mut removed = Vec::new();
        for index in (0..self.stacks.len()).rev() {
            self.take_out(index, |held, _, _| held.kind == number, &mut removed);
        }
        removed
    }

    /// Nothing is to be done for an order of this fingerprint, as long as decisions would see what
    /// they see now.
    pub fn settle(&mut self, stack: &str, fingerprint: u64) {
        if let Some(stack) = self.stacks.get_mut(stack) {
            stack.settled = Some(fingerprint);
        }
    }

    /// Decisions look at other kinds from now on.
    pub fn unsettle_all(&mut self) {
        self.stacks.values_mut().for_each(|stack| stack.settled = None);
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
            let (_, uid, version) = held.record.identity(name, &self.names).unwrap_or_default();
            let overridden = overrides.is_some_and(|asked| held.learnt < asked);
            match version::compare(&object.resource_version, &version) {
                Ordering::Equal if uid == object.uid && !overridden => {
                    if overrides.is_some() {
                        self.confirm(name, position, learnt);
                    }
                    return StoreChange::Nothing;
                }
                Ordering::Less | Ordering::Equal if !overridden => return StoreChange::Nothing,
                _ => change = if uid == object.uid { StoreChange::Nothing } else { StoreChange::Replaced },
            }
        }
        if known.is_none() && overrides.is_none() {
            // A late answer: a list that includes its version did not name the object.
            let listed = self.listed.get(usize::from(kind)).and_then(Option::as_ref);
            if listed.is_some_and(|listed| !is_older(listed, &object.resource_version)) {
                return StoreChange::Nothing;
            }
        }
        let record = PackedObject::pack(object, name, &mut self.names);
        let held = StoredObject::new(kind, learnt, record, object, name);
        self.revision += 1;
        if !self.stacks.contains_key(name) {
            self.stacks.insert(name.into(), Stack::default());
        }
        let Some(stack) = self.stacks.get_mut(name) else { return StoreChange::Nothing };
        stack.revision = self.revision;
        let Some(before) = stack.put(position, held) else {
            stack.settled = None;
            return if object.says_something() { StoreChange::Status } else { StoreChange::Appeared };
        };
        // After `put` the newest record stands in the old one's place.
        let after = position.and_then(|at| stack.objects.get(at));
        let Some(after) = after else { return StoreChange::Nothing };
        if !after.record.decides_as(&before.record, &object.key, name, &self.names) {
            stack.settled = None;
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

    /// Removes an object where `goes` says so of its uid and version.
    fn remove(&mut self, name: &str, key: &ObjectKey, goes: impl FnOnce(&str, &str) -> bool) -> StoreChange {
        let kind = self.kind(&key.resource);
        let Some(index) = self.stacks.get_index_of(name) else { return StoreChange::Nothing };
        let stack = &self.stacks[index];
        let Some(at) = stack.find(kind, &key.name, name, &self.names) else { return StoreChange::Nothing };
        let (_, uid, version) = stack.objects[at].record.identity(name, &self.names).unwrap_or_default();
        if !goes(&uid, &version) {
            return StoreChange::Nothing;
        }
        let mut place = 0;
        let at_place = |_: &StoredObject, _: &str, _: &Interner| {
            place += 1;
            place == at + 1
        };
        let mut removed = Vec::new();
        self.take_out(index, at_place, &mut removed);
        let is_told = key.resource.role() != Role::AuthClient && *key.name == *name;
        if is_told { StoreChange::Removed } else { StoreChange::Nothing }
    }

    /// Removes objects of one stack, and the stack once it has none.
    fn take_out(
        &mut self,
        index: usize,
        mut goes: impl FnMut(&StoredObject, &str, &Interner) -> bool,
        removed: &mut Vec<ObjectKey>,
    ) {
        let Some((name, stack)) = self.stacks.get_index_mut(index) else { return };
        let (kinds, names) = (&self.kinds, &self.names);
        let before = stack.objects.len();
        stack.objects.retain(|held| {
            let goes = goes(held, name, names);
            if goes && let Some((kind, _)) = kinds.get(usize::from(held.kind)) {
                let told = kind.role() != Role::AuthClient;
                // Of what is left over, the stack that it is named after tells.
                let named = held.record.name(name, names).filter(|named| told && *named == &**name);
                removed.extend(named.map(|name| ObjectKey::new(kind, name)));
            }
            !goes
        });
        if stack.objects.len() < before {
            self.revision += 1;
            stack.revision = self.revision;
            stack.settled = None;
            if stack.objects.is_empty() {
                self.stacks.swap_remove_index(index);
            }
        }
    }

    /// The number of a kind.
    fn kind(&mut self, kind: &Arc<Resource>) -> u16 {
        let known = self.kinds.iter().position(|(known, _)| known.plural == kind.plural);
        let number = known.unwrap_or_else(|| {
            self.kinds.push((Arc::clone(kind), false));
            self.listed.push(None);
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
    if before.record.status(stack, names).as_ref() != Some(&object.status) {
        return true;
    }
    let toggled = || {
        let key = |_: &str| object.key.clone();
        let was = before.record.unpack(key, stack, names)?;
        Some(was.spec.get("disabled") != object.spec.get("disabled"))
    };
    object.key.resource.role() == Role::Stack && toggled().unwrap_or(true)
}

fn is_older(known: &str, than: &str) -> bool {
    version::compare(known, than) == Ordering::Less
}
