//! What a dispatcher's workers, slots and callers share.

use crate::{
    ClassedOrder, Displaced, RequeuePolicy, Table,
    time::{Instant, now},
    wakeup::Wakeup,
};
use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    hash::Hash,
    task::Waker,
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
    /// Workers wait here for a call.
    pub(super) called: Wakeup,
    /// Calls that no worker has answered yet.
    pub(super) calls: Cell<usize>,
    /// A slot was given back.
    pub(super) settled: Wakeup,
    /// Something was put off; maybe to an earlier moment than all before.
    pub(super) sooner: Wakeup,
    /// Handlers that wait to be superseded.
    pub(super) watchers: RefCell<HashMap<K, Waker, ahash::RandomState>>,
}

impl<K: Hash + Eq + Clone, O: ClassedOrder> DispatchState<K, O> {
    pub(super) fn new(table: Table<K, O>) -> Self {
        Self {
            table: RefCell::new(table),
            draining: Cell::new(false),
            held: Cell::new(false),
            ended: Cell::new(false),
            called: Wakeup::default(),
            calls: Cell::new(0),
            settled: Wakeup::default(),
            sooner: Wakeup::default(),
            watchers: RefCell::default(),
        }
    }

    pub(super) fn offer(&self, key: K, order: O) -> Displaced<O> {
        let mut watchers = self.watchers.borrow_mut();
        if watchers.is_empty() {
            return self.table.borrow_mut().offer(key, order);
        }
        let mut table = self.table.borrow_mut();
        let displaced = table.offer(key.clone(), order);
        if table.superseded(&key)
            && let Some(watcher) = watchers.remove(&key)
        {
            watcher.wake();
        }
        displaced
    }

    pub(super) fn take(&self) -> Option<(K, O)> {
        if self.draining.get() || self.held.get() { None } else { self.table.borrow_mut().take(now()) }
    }

    pub(super) fn finish(&self, key: &K) {
        self.table.borrow_mut().finish(key);
        self.settled.notify();
    }

    pub(super) fn defer(&self, key: &K, order: O, at: Instant, policy: RequeuePolicy) -> Displaced<O> {
        let displaced = self.table.borrow_mut().defer(key, order, at, policy);
        self.sooner.notify();
        self.settled.notify();
        displaced
    }

    /// Takes one of the calls for a worker.
    pub(super) fn answer_call(&self) -> Option<()> {
        let left = self.calls.get().checked_sub(1)?;
        self.calls.set(left);
        Some(())
    }
}
