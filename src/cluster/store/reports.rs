//! What a store says to those who report.

use std::sync::Arc;

use serde_json::Value;

use super::{Store, stack::StoredObject};
use crate::stack::{
    object::{Catalog, ObjectKey, Resource, Role},
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
    /// The reported status of a Stack or module; `Null` where there is none.
    pub fn status(&self, key: &ObjectKey) -> Value {
        let name = &*key.name;
        let status = || {
            let kind = self.kinds.iter().position(|(kind, _)| kind.plural == key.resource.plural)?;
            let stack = self.stacks.get(name)?;
            let at = stack.find(u16::try_from(kind).ok()?, name, name, &self.names)?;
            stack.objects[at].record.status(name, &self.names)
        };
        status().unwrap_or_default()
    }

    /// Whether a Stack, a module or Versions of this name is there.
    pub fn stands(&self, key: &ObjectKey) -> bool {
        let name = &*key.name;
        let found = || {
            let kind = self.kinds.iter().position(|(kind, _)| kind.plural == key.resource.plural)?;
            self.stacks.get(name)?.find(u16::try_from(kind).ok()?, name, name, &self.names)
        };
        self.versions.contains_key(name) && key.resource.role() == Role::Versions || found().is_some()
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
            if let Some((kind, _)) = self.kinds.get(usize::from(held.kind))
                && matches!(kind.role(), Role::Stack | Role::Module)
            {
                keys.push(ObjectKey { resource: Arc::clone(kind), name: Arc::clone(name) });
            }
        }
    }

    fn role(&self, held: &StoredObject) -> Option<Role> {
        self.kinds.get(usize::from(held.kind)).map(|(kind, _): &(Arc<Resource>, bool)| kind.role())
    }
}
