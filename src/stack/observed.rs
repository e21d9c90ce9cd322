//! One stack's objects as last observed.

use std::collections::BTreeMap;

use super::{
    object::{Object, ObjectKey},
    version::{ObjectVersion, is_newer},
};

/// What is known of one object.
#[derive(Debug, Clone, PartialEq)]
pub enum Observation<'a> {
    /// It was there, as this.
    Present(&'a Object),
    /// It was not there.
    Absent,
    /// Nothing: it has to be read.
    Unknown,
}

/// The objects of one stack as last observed.
///
/// What is gone for good, and what a list may hide, is decided in one place, the store
/// (`cluster::store`), to which every answer and every read goes as well: what it shows is there, and
/// what it no longer shows is not. Two things it cannot know are kept here for as long as a run lasts.
/// An answer that shows nothing (a conflict, a deadline) makes an object *stale*: nothing is known of
/// it before the store shows something newer, or it is read by name. And what the API server said by
/// name holds against an older word of the store, whose lists may show the past and which holds no
/// objects of other stacks.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Observed {
    entries: BTreeMap<ObjectKey, ObservedEntry>,
    /// The store was looked at: what has no entry is absent.
    refreshed: bool,
}

#[derive(Debug, Clone, PartialEq, Default)]
struct ObservedEntry {
    /// `None`: absent.
    object: Option<Object>,
    /// What the store holds of this name, as far as is known.
    stored: Option<ObjectVersion>,
    /// What was known may no longer hold.
    stale: bool,
}

impl Observed {
    /// What is known of an object.
    pub fn get(&self, key: &ObjectKey) -> Observation<'_> {
        match self.entries.get(key) {
            Some(entry) if entry.stale => Observation::Unknown,
            Some(ObservedEntry { object: Some(object), .. }) => Observation::Present(object),
            Some(_) => Observation::Absent,
            None if self.refreshed => Observation::Absent,
            None => Observation::Unknown,
        }
    }

    /// The store shows these objects of the stack and no others.
    pub fn refresh(&mut self, stack: &str, objects: Vec<Object>) {
        self.refreshed = true;
        let mut shown: BTreeMap<ObjectKey, Object> =
            objects.into_iter().map(|object| (object.key.clone(), object)).collect();
        for (key, entry) in &mut self.entries {
            entry.refresh(stack, shown.remove(key));
        }
        self.entries.extend(shown.into_iter().map(|(key, object)| {
            let stored = Some(ObjectVersion::of(&object));
            (key, ObservedEntry { object: Some(object), stored, stale: false })
        }));
    }

    /// The API server answered a write with the object. The store has the answer, too.
    pub fn stored(&mut self, object: Object) {
        let entry = self.entries.entry(object.key.clone()).or_default();
        if entry.stale || entry.object.is_none() || entry.is_older_than(&object) {
            entry.stored = Some(ObjectVersion::of(&object));
            entry.set(Some(object));
        }
    }

    /// The API server answered a deletion: the object of this uid is gone, from the store as well.
    pub fn removed(&mut self, key: &ObjectKey, uid: &str) {
        let entry = self.entries.entry(key.clone()).or_default();
        entry.stored.take_if(|stored| stored.uid == uid);
        if entry.object.as_ref().is_none_or(|object| object.uid == uid) {
            entry.set(None);
        }
    }

    /// A read by name that was begun while the object was unknown came back. What the store has
    /// shown since then may be newer, and stays.
    pub fn read(&mut self, key: &ObjectKey, object: Option<Object>) {
        let is_unknown = matches!(self.get(key), Observation::Unknown);
        let entry = self.entries.entry(key.clone()).or_default();
        if is_unknown || object.as_ref().is_some_and(|object| entry.is_older_than(object)) {
            entry.set(object);
        }
    }

    /// What was known of the object may no longer hold.
    pub fn mark_stale(&mut self, key: &ObjectKey) {
        self.entries.entry(key.clone()).or_default().stale = true;
    }

    /// Objects that are there as far as is known.
    pub fn present(&self) -> impl Iterator<Item = &Object> {
        self.entries.values().filter(|entry| !entry.stale).filter_map(|entry| entry.object.as_ref())
    }

    /// Objects that have to be read again.
    pub fn stale(&self) -> impl Iterator<Item = &ObjectKey> {
        self.entries.iter().filter(|(_, entry)| entry.stale).map(|(key, _)| key)
    }

    /// Whether the store shows all that is known.
    pub fn is_in_store(&self) -> bool {
        self.entries.values().all(ObservedEntry::is_in_store)
    }

    /// What the store does not show: the rest can be had from it at any time. Somebody else's objects
    /// are left out where `keep` does not ask for them; the store will never show anything of those.
    pub fn beyond_store(self, stack: &str, keep: impl Fn(&ObjectKey) -> bool) -> Self {
        let foreign = |entry: &ObservedEntry| entry.object.as_ref().is_some_and(|o| !o.is_of(stack));
        let mut entries = self.entries;
        entries.retain(|key, entry| !entry.is_in_store() && (keep(key) || !foreign(entry)));
        // Much may happen to an object before the next look.
        entries.values_mut().for_each(|entry| entry.stale |= entry.object.is_some());
        Self { entries, refreshed: false }
    }
}

impl ObservedEntry {
    fn refresh(&mut self, stack: &str, shown: Option<Object>) {
        let before = std::mem::replace(&mut self.stored, shown.as_ref().map(ObjectVersion::of));
        let left = |object: &Object| before.as_ref().is_some_and(|before| before.uid == object.uid);
        match (shown, &self.object) {
            (Some(object), None) => self.set(Some(object)),
            (Some(object), Some(_)) if self.is_older_than(&object) => self.set(Some(object)),
            // It was in the store and left it. One that was not may be on its way there, and one
            // that belongs to another stack says nothing by its absence.
            (None, Some(object)) if left(object) && object.is_of(stack) => self.set(None),
            _ => {}
        }
    }

    fn is_older_than(&self, object: &Object) -> bool {
        self.object.as_ref().is_some_and(|known| is_newer(&object.resource_version, &known.resource_version))
    }

    fn set(&mut self, object: Option<Object>) {
        self.object = object;
        self.stale = false;
    }

    fn is_in_store(&self) -> bool {
        let is_shown = match (&self.object, &self.stored) {
            (Some(object), Some(stored)) => !is_newer(&object.resource_version, &stored.resource_version),
            (None, None) => true,
            _ => false,
        };
        is_shown && !self.stale
    }
}

#[cfg(test)]
mod tests;
