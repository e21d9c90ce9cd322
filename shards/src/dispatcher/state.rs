//! What a dispatcher's workers, slots and callers share.

use crate::{
    ClassedOrder, Displaced, RequeuePolicy, Table,
    time::{Instant, now},
    wakeup::Wakeup,
};
use std::{
    cell::{Cell, RefCell},
    hash::Hash,
};

/// What slots and dispatcher share.
pub(super) struct DispatchState<K, O> {
    pub(super) table: RefCell<Table<K, O>>,
    /// No more orders are taken up.
    pub(super) draining: Cell<bool>,
    /// No more orders are taken up for now.
    pub(super) held: Cell<bool>,
    /// The dispatcher is over; what was in flight is not any more.
    pub(super) ended: Cell<bool>,
    /// A worker takes up orders, or was called to.
    pub(super) taking: Cell<bool>,
    /// The call that no worker has heard yet.
    pub(super) called: Cell<bool>,
    /// Workers that wait for a call.
    pub(super) idle: Wakeup,
    /// A slot was given back.
    pub(super) settled: Wakeup,
    /// Something was put off; maybe to an earlier moment than all before.
    pub(super) sooner: Wakeup,
}

impl<K: Hash + Eq + Clone, O: ClassedOrder> DispatchState<K, O> {
    pub(super) fn new(table: Table<K, O>) -> Self {
        Self {
            table: RefCell::new(table),
            draining: Cell::new(false),
            held: Cell::new(false),
            ended: Cell::new(false),
            taking: Cell::new(false),
            called: Cell::new(false),
            idle: Wakeup::default(),
            settled: Wakeup::default(),
            sooner: Wakeup::default(),
        }
    }

    pub(super) fn is_paused(&self) -> bool {
        self.draining.get() || self.held.get()
    }

    /// The next order for the worker that takes them up; where there is none, nobody does any more.
    pub(super) fn take(&self) -> Option<(K, O)> {
        let mut table = self.table.borrow_mut();
        if table.next_deferred().is_some() {
            table.promote(now());
        }
        let next = if self.is_paused() { None } else { table.take() };
        self.taking.set(next.is_some());
        next
    }

    pub(super) fn finish(&self, key: K) {
        self.table.borrow_mut().finish(key);
        self.settled.notify();
    }

    pub(super) fn defer(&self, key: &K, order: O, at: Instant, policy: RequeuePolicy) -> Displaced<O> {
        let displaced = self.table.borrow_mut().defer(key, order, at, policy);
        self.sooner.notify();
        self.settled.notify();
        displaced
    }
}
