//! The place of an order in flight.

use super::state::DispatchState;
use crate::ClassedOrder;
use std::{cell::Cell, hash::Hash, rc::Rc};

/// The slot of one order in flight, and of those that take its place.
pub struct Slot<K: Hash + Eq + Clone, O: ClassedOrder> {
    key: K,
    state: Rc<DispatchState<K, O>>,
    takeovers: Cell<u32>,
}

impl<K: Hash + Eq + Clone, O: ClassedOrder> Slot<K, O> {
    /// How many orders may use a slot one after the other while other keys wait for one.
    const MAX_TAKEOVERS: u32 = 16;

    pub(super) fn new(key: K, state: Rc<DispatchState<K, O>>) -> Self {
        Self { key, state, takeovers: Cell::new(0) }
    }

    /// Whose order is in flight.
    pub fn key(&self) -> &K {
        &self.key
    }

    /// The order that supersedes the one in flight, if any: it is the one in flight from now on.
    pub fn successor(&self) -> Option<O> {
        let successor = self.state.table.borrow_mut().successor(&self.key);
        if successor.is_some() {
            self.takeovers.set(self.takeovers.get() + 1);
        }
        successor
    }

    /// Whether the order in flight should be put off to now ([`Outcome::Requeue`](crate::Outcome)): its key has been
    /// served many times in a row while others wait for a slot, or the dispatcher is being drained.
    pub fn should_yield(&self) -> bool {
        self.state.draining.get()
            || self.takeovers.get() >= Self::MAX_TAKEOVERS && self.state.table.borrow().crowded()
    }
}
