//! Performs the orders of a shard's [`Table`], many keys at a time.

mod slot;
#[cfg(test)]
mod tests;

pub use slot::Slot;

use crate::{
    Displaced, Keep, Order, Stats, Table, Turn,
    engine::{self, Task},
    time::{Instant, now},
};
use futures::future::{Either, select};
use slot::Desk;
use std::{
    cell::{Cell, RefCell},
    future::Future,
    hash::Hash,
    pin::pin,
    rc::Rc,
};

/// What is to be done with an order.
pub trait Handler<K: Hash + Eq + Clone, O: Order>: 'static {
    /// Performs an order. It runs as a task of its own beside those of other keys; a panic ends
    /// the shard.
    ///
    /// Between steps it may ask the slot for a [successor](Slot::successor) and go on with that
    /// one instead, and should then give the slot back when it [is asked to](Slot::should_yield).
    fn handle(&self, slot: Slot<K, O>, order: O) -> impl Future<Output = Verdict<O>>;

    /// Told of an order that was just put off and will not be handled again after all: a newer one
    /// that made it pointless was waiting already. Those displaced later come back from
    /// [`Runner::offer`].
    fn displaced(&self, _key: &K, _order: O) {}
}

/// What became of an order.
#[derive(Debug)]
pub enum Verdict<O> {
    /// It is done, or given up.
    Done,
    /// It is to be handled again, and holds no slot until then.
    Later {
        /// The order, or what is left of it.
        order: O,
        /// When, if nothing comes before. A moment that is past means: after all that are ready.
        at: Instant,
        /// How it relates to newer orders of its key.
        keep: Keep,
    },
}

/// A [`Table`] at work. Clones share it and stay on the shard.
///
/// Ends by [`drain`](Self::drain) or [`abort`](Self::abort); a runner that is merely dropped goes
/// on.
pub struct Runner<K, O, H>(Rc<Inner<K, O, H>>);

struct Inner<K, O, H> {
    desk: Rc<Desk<K, O>>,
    handler: H,
    max_in_flight: usize,
    /// One for each slot that was ever needed, and the one with the alarm clock.
    tasks: RefCell<Vec<Task<()>>>,
    workers: Cell<usize>,
}

impl<K, O, H> Clone for Runner<K, O, H> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<K, O, H> Runner<K, O, H>
where
    K: Hash + Eq + Clone + 'static,
    O: Order + 'static,
    H: Handler<K, O>,
{
    /// A runner that has up to `max_in_flight` keys in flight (0 counts as 1). To be made on the
    /// shard's executor.
    pub fn new(handler: H, max_in_flight: usize) -> Self {
        let max_in_flight = max_in_flight.max(1);
        let runner = Self(Rc::new(Inner {
            desk: Rc::new(Desk::new(Table::new(max_in_flight))),
            handler,
            max_in_flight,
            tasks: RefCell::default(),
            workers: Cell::new(0),
        }));
        let alarm = engine::spawn(Self::alarm(runner.clone()));
        runner.0.tasks.borrow_mut().push(alarm);
        runner
    }

    /// What performs the orders.
    pub fn handler(&self) -> &H {
        &self.0.handler
    }

    /// Takes up no more orders until [`release`](Self::release); those in flight go on, and those
    /// that come wait, compacted.
    pub fn hold(&self) {
        self.0.desk.held.set(true);
    }

    /// Goes on after [`hold`](Self::hold).
    pub fn release(&self) {
        self.0.desk.held.set(false);
        self.staff();
    }

    /// Queues an order. What comes back will not run: the newer one made it pointless.
    pub fn offer(&self, key: K, order: O) -> Displaced<O> {
        let displaced = self.0.desk.offer(key, order);
        self.staff();
        displaced
    }

    /// Whether there is anything to do for the key.
    pub fn has(&self, key: &K) -> bool {
        self.0.desk.table.borrow().has(key)
    }

    /// Something happened that concerns the key: see [`Table::wake`].
    pub fn wake(&self, key: &K) {
        self.0.desk.table.borrow_mut().wake(key);
        self.staff();
    }

    /// The table's numbers at this moment.
    pub fn stats(&self) -> Stats {
        self.0.desk.table.borrow().stats()
    }

    /// Waits until no key is ready or in flight, or the runner has ended. Keys may still be
    /// deferred: whether that is an end is for the caller to say.
    pub async fn idle(&self) {
        self.until(|stats| stats.ready == 0 && stats.in_flight == 0).await;
    }

    /// Takes up no more orders, asks handlers to give their slots back, waits for them, and ends
    /// the runner. Dropping the future gives up the wait; [`abort`](Self::abort) then ends what is
    /// left. What still waits stays in the table, to be seen in the [stats](Self::stats).
    pub async fn drain(&self) {
        self.0.desk.draining.set(true);
        self.until(|stats| stats.in_flight == 0).await;
        self.abort();
    }

    /// Ends the runner at once, orders in flight included. Not to be called by a handler.
    pub fn abort(&self) {
        let desk = &self.0.desk;
        desk.draining.set(true);
        desk.ended.set(true);
        desk.settled.notify_all();
        // Outside of the borrow: a task's destructor runs the handler's destructors.
        let tasks = self.0.tasks.take();
        drop(tasks);
    }

    async fn until(&self, reached: impl Fn(Stats) -> bool) {
        let desk = &self.0.desk;
        let over = || (desk.ended.get() || reached(self.stats())).then_some(());
        desk.settled.wait_until(over).await;
    }

    /// Sees to it that as many workers are awake as there is work for.
    fn staff(&self) {
        let inner = &self.0;
        if inner.desk.draining.get() || inner.desk.held.get() {
            return;
        }
        let wanted = inner.desk.table.borrow().takeable();
        while inner.desk.calls.get() < wanted {
            inner.desk.calls.set(inner.desk.calls.get() + 1);
            if !inner.desk.called.notify_one() && !self.hire() {
                // All are awake, and look for work before they go to sleep.
                let _ = inner.desk.answer_call();
                return;
            }
        }
    }

    /// Adds a worker where there are fewer than slots.
    fn hire(&self) -> bool {
        let inner = &self.0;
        let room = inner.workers.get() < inner.max_in_flight;
        if room {
            inner.workers.set(inner.workers.get() + 1);
            // Spawned outside of the borrow: `spawn` runs the task's first step at once.
            let worker = engine::spawn(Self::work(self.clone()));
            inner.tasks.borrow_mut().push(worker);
        }
        room
    }

    /// A worker: answers calls, and handles one order after the other while there are any.
    async fn work(self) {
        // A handler never runs inside of the `offer` that brought it work.
        engine::next_turn().await;
        let desk = &self.0.desk;
        let mut turn = Turn::new();
        loop {
            desk.called.wait_until(|| desk.answer_call()).await;
            turn.renew();
            while let Some((key, order)) = desk.take() {
                let slot = Slot::new(key.clone(), Rc::clone(desk));
                match self.0.handler.handle(slot, order).await {
                    Verdict::Done => desk.finish(&key),
                    Verdict::Later { order, at, keep } => {
                        for order in desk.defer(&key, order, at, keep) {
                            self.0.handler.displaced(&key, order);
                        }
                    }
                }
                turn.check().await;
            }
        }
    }

    /// Wakes workers when orders that were put off come due.
    async fn alarm(self) {
        let desk = &self.0.desk;
        loop {
            let at = desk.sooner.wait_until(|| desk.table.borrow().next_deferred()).await;
            let ring = pin!(engine::sleep(at.saturating_duration_since(now())));
            let earlier = || (desk.table.borrow().next_deferred()? < at).then_some(());
            if let Either::Left(_) = select(ring, pin!(desk.sooner.wait_until(earlier))).await {
                desk.table.borrow_mut().promote(now());
                self.staff();
            }
        }
    }
}
