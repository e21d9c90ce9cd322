//! The place of an order in flight.

use crate::{
    Displaced, Keep, Order, Table,
    signal::Signal,
    time::{Instant, now},
};
use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    future::poll_fn,
    hash::Hash,
    rc::Rc,
    task::{Poll, Waker},
};

/// What slots and runner share.
pub(super) struct Desk<K, O> {
    pub(super) table: RefCell<Table<K, O>>,
    /// No more orders are taken up.
    pub(super) draining: Cell<bool>,
    /// No more orders are taken up for now.
    pub(super) held: Cell<bool>,
    /// The runner is over; what was in flight is not any more.
    pub(super) ended: Cell<bool>,
    /// Workers wait here for a call.
    pub(super) called: Signal,
    /// Calls that no worker has answered yet.
    pub(super) calls: Cell<usize>,
    /// A slot was given back.
    pub(super) settled: Signal,
    /// Something was put off; maybe to an earlier moment than all before.
    pub(super) sooner: Signal,
    /// Handlers that wait to be superseded.
    watchers: RefCell<HashMap<K, Waker, ahash::RandomState>>,
}

impl<K: Hash + Eq + Clone, O: Order> Desk<K, O> {
    pub(super) fn new(table: Table<K, O>) -> Self {
        Self {
            table: RefCell::new(table),
            draining: Cell::new(false),
            held: Cell::new(false),
            ended: Cell::new(false),
            called: Signal::default(),
            calls: Cell::new(0),
            settled: Signal::default(),
            sooner: Signal::default(),
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
        self.settled.notify_all();
    }

    pub(super) fn defer(&self, key: &K, order: O, at: Instant, keep: Keep) -> Displaced<O> {
        let displaced = self.table.borrow_mut().defer(key, order, at, keep);
        self.sooner.notify_all();
        self.settled.notify_all();
        displaced
    }

    /// Takes one of the calls for a worker.
    pub(super) fn answer_call(&self) -> Option<()> {
        let left = self.calls.get().checked_sub(1)?;
        self.calls.set(left);
        Some(())
    }
}

/// The slot of one order in flight, and of those that take its place.
pub struct Slot<K: Hash + Eq + Clone, O: Order> {
    key: K,
    desk: Rc<Desk<K, O>>,
    takeovers: Cell<u32>,
}

impl<K: Hash + Eq + Clone, O: Order> Slot<K, O> {
    /// How many orders may use a slot one after the other while other keys wait for one.
    pub const MAX_TAKEOVERS: u32 = 16;

    pub(super) fn new(key: K, desk: Rc<Desk<K, O>>) -> Self {
        Self { key, desk, takeovers: Cell::new(0) }
    }

    /// Whose order is in flight.
    pub fn key(&self) -> &K {
        &self.key
    }

    /// Whether an order waits that supersedes the one in flight.
    pub fn superseded(&self) -> bool {
        self.desk.table.borrow().superseded(&self.key)
    }

    /// The order that supersedes the one in flight, if any: it is the one in flight from now on.
    pub fn successor(&self) -> Option<O> {
        let successor = self.desk.table.borrow_mut().successor(&self.key);
        if successor.is_some() {
            self.takeovers.set(self.takeovers.get() + 1);
        }
        successor
    }

    /// Waits until an order supersedes the one in flight.
    pub async fn wait_superseded(&self) {
        poll_fn(|cx| {
            if self.superseded() {
                return Poll::Ready(());
            }
            self.desk.watchers.borrow_mut().insert(self.key.clone(), cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Whether the order in flight should be put off to now ([`Verdict::Later`](crate::Verdict)): its key has been
    /// served many times in a row while others wait for a slot, or the runner is being drained.
    pub fn should_yield(&self) -> bool {
        self.desk.draining.get()
            || self.takeovers.get() >= Self::MAX_TAKEOVERS && self.desk.table.borrow().crowded()
    }
}

impl<K: Hash + Eq + Clone, O: Order> Drop for Slot<K, O> {
    fn drop(&mut self) {
        self.desk.watchers.borrow_mut().remove(&self.key);
    }
}
