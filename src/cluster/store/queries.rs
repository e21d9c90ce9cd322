//! What the store is asked: by decisions, and by those who report.

use std::sync::Arc;

use serde_json::Value;

use super::{Store, StoredKind, entry::StoredObject};
use crate::stack::{
    object::{Catalog, Object, ObjectKey, Resource, Role},
    report::Versions,
};

/// A place on the way over all objects of which there is something to say.
#[derive(Debug, Clone)]
pub struct ReportCursor {
    /// Stacks below this index are still to come.
    left: usize,
    /// So are Versions, after this name.
    versions: Option<Option<Arc<str>>>,
}

impl Store {
    /// The uid of an object, where it is known. To be asked before the object is read by name: where
    /// the read says that there is none, it is this one that is [gone](Self::gone), and not one that
    /// was learnt of meanwhile.
    pub fn uid(&self, stack: &str, key: &ObjectKey) -> Option<String> {
        let held = self.held(stack, key)?;
        held.packed.version(&self.names).map(|version| version.uid)
    }

    fn held(&self, stack: &str, key: &ObjectKey) -> Option<&StoredObject> {
        let kind = self.kinds.iter().position(|kind| kind.resource.plural == key.resource.plural)?;
        let known = self.stacks.get(stack)?;
        let at = known.find(u16::try_from(kind).ok()?, &key.name, stack, &self.names)?;
        known.objects.get(at)
    }

    /// Whether a list of this kind was complete.
    pub fn is_complete(&self, kind: &Resource) -> bool {
        self.kinds.iter().any(|known| known.resource.plural == kind.plural && known.is_complete)
    }

    /// All objects of a stack, with what decisions look at.
    pub fn objects(&self, stack: &str) -> Vec<Object> {
        let Some(known) = self.stacks.get(stack) else { return Vec::new() };
        let unpack = |held: &StoredObject| {
            let kind = self.kinds.get(usize::from(held.kind))?;
            held.packed.unpack(|name| ObjectKey::new(&kind.resource, name), stack, &self.names)
        };
        known.objects.iter().filter_map(unpack).collect()
    }

    /// Whether anything of the stack is there.
    pub fn has(&self, stack: &str) -> bool {
        self.stacks.contains_key(stack)
    }

    /// How many stacks something is there of.
    pub fn stacks(&self) -> usize {
        self.stacks.len()
    }

    /// Changes whenever something of the stack does; 0 where nothing of it is there.
    pub fn revision(&self, stack: &str) -> u64 {
        self.stacks.get(stack).map_or(0, |stack| stack.revision)
    }

    /// Whether nothing is to be done for an order of this fingerprint.
    pub fn is_converged(&self, stack: &str, fingerprint: u64) -> bool {
        self.stacks.get(stack).is_some_and(|stack| stack.converged == Some(fingerprint))
    }

    /// Whether an object is known, of whatever stack.
    #[cfg(test)]
    pub(crate) fn knows(&self, plural: &str, name: &str) -> bool {
        let is = |stack: &Arc<str>, held: &StoredObject| {
            let kind = self.kinds.get(usize::from(held.kind));
            kind.is_some_and(|kind| kind.resource.plural == plural)
                && held.packed.name(stack, &self.names) == Some(name)
        };
        self.stacks.iter().any(|(stack, known)| known.objects.iter().any(|held| is(stack, held)))
    }

    /// How many stacks and objects are known; Versions do not count.
    pub fn len(&self) -> (usize, usize) {
        (self.stacks.len(), self.stacks.values().map(|stack| stack.objects.len()).sum())
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.stacks.is_empty() && self.versions.is_empty()
    }

    /// The reported status of a Stack or module; `Null` where there is none.
    pub fn status(&self, key: &ObjectKey) -> Value {
        let name = &*key.name;
        self.held(name, key).and_then(|held| held.packed.status(name, &self.names)).unwrap_or_default()
    }

    /// Whether a Stack, a module or Versions of this name is there.
    pub fn stands(&self, key: &ObjectKey) -> bool {
        let name = &*key.name;
        let is_versions = self.versions.contains_key(name) && key.resource.role() == Role::Versions;
        is_versions || self.held(name, key).is_some()
    }

    /// What Versions of this name say.
    pub fn versions(&self, name: &str) -> Option<&Versions> {
        self.versions.get(name).map(|known| &known.versions)
    }

    /// Whether a Stack and all its modules say that they are ready.
    pub fn is_ready(&self, stack: &str) -> bool {
        let told = |held: &&StoredObject| self.role(held) != Some(Role::AuthClient);
        self.stacks.get(stack).is_some_and(|stack| stack.objects.iter().filter(told).all(|held| held.ready))
    }

    /// Objects of a stack of which there is something to say.
    pub fn reportable(&self, stack: &str) -> Vec<ObjectKey> {
        let mut keys = Vec::new();
        if let Some(index) = self.stacks.get_index_of(stack) {
            self.collect_reportable(index, &mut keys);
        }
        keys
    }

    /// The beginning of the way over everything.
    pub fn begin(&self) -> ReportCursor {
        ReportCursor { left: self.stacks.len(), versions: Some(None) }
    }

    /// The next objects on the way of which there is something to say, about `n`; none is the end.
    /// One that is there all the time is never passed over.
    pub fn next(&self, cursor: &mut ReportCursor, n: usize) -> Vec<ObjectKey> {
        let mut keys = Vec::new();
        if let Some(after) = cursor.versions.take() {
            let known = self.versions.keys().filter(|name| after.as_ref().is_none_or(|after| *name > after));
            let names: Vec<Arc<str>> = known.take(n).cloned().collect();
            cursor.versions = names.last().cloned().map(Some);
            let kind = Catalog::new(Vec::new()).versions;
            keys.extend(names.into_iter().map(|name| ObjectKey { resource: Arc::clone(&kind), name }));
        }
        cursor.left = cursor.left.min(self.stacks.len());
        while keys.len() < n && cursor.left > 0 {
            cursor.left -= 1;
            self.collect_reportable(cursor.left, &mut keys);
        }
        keys
    }

    fn collect_reportable(&self, index: usize, keys: &mut Vec<ObjectKey>) {
        let Some((name, stack)) = self.stacks.get_index(index) else { return };
        for held in stack.objects.iter().filter(|held| held.says_something) {
            if let Some(StoredKind { resource: kind, .. }) = self.kinds.get(usize::from(held.kind))
                && matches!(kind.role(), Role::Stack | Role::Module)
            {
                keys.push(ObjectKey { resource: Arc::clone(kind), name: Arc::clone(name) });
            }
        }
    }

    fn role(&self, held: &StoredObject) -> Option<Role> {
        self.kinds.get(usize::from(held.kind)).map(|kind| kind.resource.role())
    }
}
