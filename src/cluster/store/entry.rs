//! What the store holds of one stack: its objects, packed, and whether an order has converged.

use super::{interner::Interner, packed::PackedObject};
use crate::stack::{object::Object, report};

/// One object.
#[derive(Debug)]
pub(super) struct StoredObject {
    pub(super) packed: PackedObject,
    /// In nanoseconds since the store's start.
    pub(super) learnt: u64,
    pub(super) kind: u16,
    /// There is a status to report.
    pub(super) says_something: bool,
    /// It says that the object is ready.
    pub(super) ready: bool,
}

/// The objects of one stack.
#[derive(Debug, Default)]
pub(super) struct StackEntry {
    pub(super) objects: Vec<StoredObject>,
    pub(super) revision: u64,
    /// The fingerprint of an order for which nothing is to be done.
    pub(super) converged: Option<u64>,
}

impl StoredObject {
    /// An object among those of this stack. Of what is only left over of it, it has nothing to say.
    pub(super) fn new(kind: u16, learnt: u64, packed: PackedObject, object: &Object, stack: &str) -> Self {
        let is_its_own = object.belongs_to() == Some(stack);
        let ready = !is_its_own || report::is_ready(&object.status);
        Self { packed, learnt, kind, says_something: is_its_own && object.says_something(), ready }
    }
}

impl StackEntry {
    /// Where an object is.
    pub(super) fn find(&self, kind: u16, name: &str, stack: &str, names: &Interner) -> Option<usize> {
        let is = |held: &StoredObject| held.kind == kind && held.packed.name(stack, names) == Some(name);
        self.objects.iter().position(is)
    }

    /// Puts an object in the place of an older one, which is given back, or beside the others.
    pub(super) fn put(&mut self, position: Option<usize>, held: StoredObject) -> Option<StoredObject> {
        if let Some(known) = position.and_then(|at| self.objects.get_mut(at)) {
            return Some(std::mem::replace(known, held));
        }
        // Stacks rarely grow, and there are many of them: no room to spare.
        self.objects.reserve_exact(1);
        self.objects.push(held);
        None
    }
}
