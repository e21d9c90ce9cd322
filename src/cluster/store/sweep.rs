//! What leaves the store since a list did not name it, or since its kind went out of play.

use std::sync::Arc;

use super::{Store, StoredKind, entry::StoredObject, interner::Interner};
use crate::{
    stack::{
        object::{ObjectKey, Resource, Role},
        version::is_newer,
    },
    time::Instant,
};

/// The removal of what a complete list did not name, under way.
#[derive(Debug)]
pub struct Sweep {
    kind: u16,
    pub(super) asked: u64,
    /// The version that the list shows.
    pub(super) version: String,
    /// Stacks below this index are still to be looked at.
    left: usize,
}

impl Sweep {
    /// Whether the list did not name an object and it was there, if at all, before the list was
    /// taken: it was known before that was asked for, or under a version that the list includes.
    fn takes(&self, held: &StoredObject, names: &Interner) -> bool {
        let included = || {
            let held = held.packed.version(names).unwrap_or_default();
            !is_newer(&held.resource_version, &self.version)
        };
        held.kind == self.kind && (held.learnt < self.asked || (held.learnt > self.asked && included()))
    }
}

impl Store {
    /// All objects of a list were told, which was asked for at `asked` and shows this version.
    pub fn complete(&mut self, kind: &Arc<Resource>, asked: Instant, version: String) -> Sweep {
        let asked = self.asked(asked);
        self.tombstones.forget_older(kind, asked);
        let kind = self.kind(kind);
        if let Some(kind) = self.kinds.get_mut(usize::from(kind)) {
            kind.listed = Some(version.clone());
        }
        Sweep { kind, asked, version, left: self.stacks.len() }
    }

    /// Removes what a complete list did not name, looking at so many stacks. Gives what was removed
    /// and is to be told of, and whether that was all.
    pub fn sweep(&mut self, sweep: &mut Sweep, budget: usize) -> (Vec<ObjectKey>, bool) {
        let mut removed = Vec::new();
        let lowest = sweep.left.min(self.stacks.len()).saturating_sub(budget);
        for index in (lowest..sweep.left.min(self.stacks.len())).rev() {
            self.take_out(index, |held, names| sweep.takes(held, names), &mut removed);
        }
        sweep.left = lowest;
        if lowest > 0 {
            return (removed, false);
        }
        if let Some(kind) = self.kinds.get_mut(usize::from(sweep.kind)) {
            kind.is_complete = true;
            if kind.resource.role() == Role::Versions {
                let kind = Arc::clone(&kind.resource);
                removed.extend(self.sweep_versions(&kind, sweep));
            }
        }
        (removed, true)
    }

    /// A kind is no longer in play: its objects go. Gives those that are to be told of.
    pub fn forget(&mut self, kind: &Arc<Resource>) -> Vec<ObjectKey> {
        let number = self.kind(kind);
        if let Some(kind) = self.kinds.get_mut(usize::from(number)) {
            (kind.is_complete, kind.listed) = (false, None);
        }
        let mut removed = Vec::new();
        for index in (0..self.stacks.len()).rev() {
            self.take_out(index, |held, _| held.kind == number, &mut removed);
        }
        removed
    }

    /// Removes objects of one stack, and the stack once it has none.
    pub(super) fn take_out(
        &mut self,
        index: usize,
        mut goes: impl FnMut(&StoredObject, &Interner) -> bool,
        removed: &mut Vec<ObjectKey>,
    ) {
        let Some((name, stack)) = self.stacks.get_index_mut(index) else { return };
        let (kinds, names) = (&self.kinds, &self.names);
        let before = stack.objects.len();
        stack.objects.retain(|held| {
            let goes = goes(held, names);
            if goes && let Some(StoredKind { resource: kind, .. }) = kinds.get(usize::from(held.kind)) {
                let told = kind.role() != Role::AuthClient;
                // Of what is left over, the stack that it is named after tells.
                let named = held.packed.name(name, names).filter(|named| told && *named == &**name);
                removed.extend(named.map(|name| ObjectKey::new(kind, name)));
            }
            !goes
        });
        if stack.objects.len() < before {
            self.revision += 1;
            stack.revision = self.revision;
            stack.converged = None;
            if stack.objects.is_empty() {
                self.stacks.swap_remove_index(index);
            }
        }
    }
}
