//! What is known of a stack's objects, and how well.

use std::collections::{BTreeMap, BTreeSet};

use super::object::{Object, ObjectKey};

/// What is known of one object.
#[derive(Debug, Clone, PartialEq)]
pub enum Known<'a> {
    /// It was there, as this.
    Present(&'a Object),
    /// It was not there.
    Absent,
    /// Nothing: it has to be read.
    Unknown,
}

/// The objects of one stack as last seen. A consistent read replaces what was known of the
/// objects in its scope; an answer shows the object that was written; an answer that shows
/// nothing (a conflict, a deadline) makes its object unknown again.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct View {
    /// `None`: known to have been absent.
    seen: BTreeMap<ObjectKey, Option<Object>>,
    stale: BTreeSet<ObjectKey>,
    /// The agent's objects of every kind have been listed: what is not in `seen` does not carry
    /// the agent's labels. Whether an object of that name exists is learnt from AlreadyExists.
    listed: bool,
}

impl View {
    /// Whether the agent's objects of every kind have been listed.
    pub fn is_listed(&self) -> bool {
        self.listed
    }

    /// What is known of an object.
    pub fn get(&self, key: &ObjectKey) -> Known<'_> {
        if self.stale.contains(key) {
            return Known::Unknown;
        }
        match self.seen.get(key) {
            Some(Some(object)) => Known::Present(object),
            Some(None) => Known::Absent,
            None if self.listed => Known::Absent,
            None => Known::Unknown,
        }
    }

    /// Whether the object is known by its own name, not only as missing in a list by label.
    pub fn is_known_by_name(&self, key: &ObjectKey) -> bool {
        self.seen.contains_key(key) && !self.stale.contains(key)
    }

    /// The object was seen as this, or seen to be absent.
    pub fn set(&mut self, key: &ObjectKey, object: Option<Object>) {
        self.stale.remove(key);
        self.seen.insert(key.clone(), object);
    }

    /// What was known of the object may no longer hold.
    pub fn forget(&mut self, key: &ObjectKey) {
        self.stale.insert(key.clone());
    }

    /// Everything was read: the Stack by name, of the others those that carry the agent's labels.
    pub fn replace(&mut self, stack: &ObjectKey, objects: Vec<Object>) {
        self.seen.clear();
        self.stale.clear();
        self.seen.insert(stack.clone(), None);
        self.seen.extend(objects.into_iter().map(|object| (object.key.clone(), Some(object))));
        self.listed = true;
    }

    /// Objects that are there as far as is known.
    pub fn present(&self) -> impl Iterator<Item = &Object> {
        self.seen.iter().filter(|(key, _)| !self.stale.contains(*key)).filter_map(|(_, o)| o.as_ref())
    }

    /// Objects that have to be read again.
    pub fn stale(&self) -> impl Iterator<Item = &ObjectKey> {
        self.stale.iter()
    }
}
