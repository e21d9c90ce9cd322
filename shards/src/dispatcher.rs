//! Performs the orders of a shard's [`Table`], many keys at a time.

mod slot;
mod state;
#[cfg(test)]
mod tests;

pub use slot::Slot;

use crate::{
    ClassedOrder, CoopBudget, Displaced, RequeuePolicy, Stats, Table,
    engine::{self, Task},
    time::{Instant, now},
};
use futures::{
    future::{Either, select},
    poll,
};
use state::DispatchState;
use std::{
    cell::{Cell, RefCell},
    future::Future,
    hash::Hash,
    pin::pin,
    rc::Rc,
    task::Poll,
};

/// What is to be done with an order.
pub trait Handler<K: Hash + Eq + Clone, O: ClassedOrder>: 'static {
    /// Performs an order. It runs as a task of its own beside those of other keys; a panic ends
    /// the shard.
    ///
    /// Between steps it may ask the slot for a [successor](Slot::successor) and go on with that
    /// one instead, and should then give the slot back when it [is asked to](Slot::should_yield).
    fn handle(&self, slot: Slot<K, O>, order: O) -> impl Future<Output = Outcome<O>>;

    /// Told of an order that was just put off and will not be handled again after all: a newer one
    /// that made it pointless was waiting already. Those displaced later come back from
    /// [`Dispatcher::offer`].
    fn displaced(&self, _key: &K, _order: O) {}
}

/// What became of an order.
#[derive(Debug)]
pub enum Outcome<O> {
    /// It is done, or given up.
    Done,
    /// It is to be handled again, and holds no slot until then.
    Requeue {
        /// The order, or what is left of it.
        order: O,
        /// When, if nothing comes before. A moment that is past means: after all that are ready.
        at: Instant,
        /// How it relates to newer orders of its key.
        policy: RequeuePolicy,
    },
}

/// A [`Table`] at work. Clones share it and stay on the shard.
///
/// Ends by [`drain`](Self::drain) or [`abort`](Self::abort); a dispatcher that is merely dropped goes
/// on.
pub struct Dispatcher<K, O, H>(Rc<DispatcherInner<K, O, H>>);

struct DispatcherInner<K, O, H> {
    state: Rc<DispatchState<K, O>>,
    handler: H,
    max_in_flight: usize,
    /// One for each slot that was ever needed, and the one with the alarm clock.
    tasks: RefCell<Vec<Task<()>>>,
    workers: Cell<usize>,
}

impl<K, O, H> Clone for Dispatcher<K, O, H> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<K, O, H> Dispatcher<K, O, H>
where
    K: Hash + Eq + Clone + 'static,
    O: ClassedOrder + 'static,
    H: Handler<K, O>,
{
    /// A dispatcher that has up to `max_in_flight` keys in flight (0 counts as 1). To be made on the
    /// shard's executor.
    pub fn new(handler: H, max_in_flight: usize) -> Self {
        let max_in_flight = max_in_flight.max(1);
        let dispatcher = Self(Rc::new(DispatcherInner {
            state: Rc::new(DispatchState::new(Table::new(max_in_flight))),
            handler,
            max_in_flight,
            tasks: RefCell::default(),
            workers: Cell::new(0),
        }));
        let alarm = engine::spawn(Self::alarm(dispatcher.clone()));
        dispatcher.0.tasks.borrow_mut().push(alarm);
        dispatcher
    }

    /// What performs the orders.
    pub fn handler(&self) -> &H {
        &self.0.handler
    }

    /// Takes up no more orders until [`release`](Self::release); those in flight go on, and those
    /// that come wait, compacted.
    pub fn hold(&self) {
        self.0.state.held.set(true);
    }

    /// Goes on after [`hold`](Self::hold).
    pub fn release(&self) {
        self.0.state.held.set(false);
        self.wake_worker();
    }

    /// Queues an order. What comes back will not run: the newer one made it pointless.
    pub fn offer(&self, key: K, order: O) -> Displaced<O> {
        let displaced = self.0.state.table.borrow_mut().offer(key, order);
        self.wake_worker();
        displaced
    }

    /// Whether there is anything to do for the key.
    pub fn has(&self, key: &K) -> bool {
        self.0.state.table.borrow().has(key)
    }

    /// Something happened that concerns the key: see [`Table::wake`].
    pub fn wake(&self, key: &K) {
        self.0.state.table.borrow_mut().wake(key);
        self.wake_worker();
    }

    /// The table's numbers at this moment.
    pub fn stats(&self) -> Stats {
        self.0.state.table.borrow().stats()
    }

    /// Waits until no key is ready or in flight, or the dispatcher has ended. Keys may still be
    /// deferred: whether that is an end is for the caller to say.
    pub async fn idle(&self) {
        self.until(|stats| stats.ready == 0 && stats.in_flight == 0).await;
    }

    /// Takes up no more orders, asks handlers to give their slots back, waits for them, and ends
    /// the dispatcher. Dropping the future gives up the wait; [`abort`](Self::abort) then ends what is
    /// left. What still waits stays in the table, to be seen in the [stats](Self::stats).
    pub async fn drain(&self) {
        self.0.state.draining.set(true);
        self.until(|stats| stats.in_flight == 0).await;
        self.abort();
    }

    /// Ends the dispatcher at once, orders in flight included. Not to be called by a handler.
    pub fn abort(&self) {
        let state = &self.0.state;
        state.draining.set(true);
        state.ended.set(true);
        state.settled.notify();
        // Outside of the borrow: a task's destructor runs the handler's destructors.
        let tasks = self.0.tasks.take();
        drop(tasks);
    }

    async fn until(&self, reached: impl Fn(Stats) -> bool) {
        let state = &self.0.state;
        let over = || (state.ended.get() || reached(self.stats())).then_some(());
        state.settled.until(over).await;
    }

    /// Sees to it that a worker takes up orders, where there are any to take up.
    fn wake_worker(&self) {
        let (inner, state) = (&self.0, &self.0.state);
        if state.taking.get() || state.is_paused() || state.table.borrow().takeable() == 0 {
            return;
        }
        state.taking.set(true);
        state.called.set(true);
        // Where all are at work, the first that is done hears the call.
        if !state.idle.notify_one() && inner.workers.get() < inner.max_in_flight {
            inner.workers.set(inner.workers.get() + 1);
            let worker = engine::spawn(Self::work(self.clone()));
            inner.tasks.borrow_mut().push(worker);
        }
    }

    /// A worker. One of them takes up orders, one after the other, for as long as each is done in a
    /// single step. Where one has to wait for something, its worker stays with it and calls another.
    async fn work(self) {
        let state = &self.0.state;
        let mut budget = CoopBudget::new();
        loop {
            state.idle.until(|| state.called.take().then_some(())).await;
            budget.renew();
            while let Some((key, order)) = state.take() {
                let slot = Slot::new(key.clone(), Rc::clone(state));
                let mut handling = pin!(self.0.handler.handle(slot, order));
                let (outcome, waited) = match poll!(handling.as_mut()) {
                    Poll::Ready(outcome) => (outcome, false),
                    Poll::Pending => {
                        state.taking.set(false);
                        self.wake_worker();
                        (handling.await, true)
                    }
                };
                self.conclude(key, outcome);
                budget.check().await;
                if waited && state.taking.replace(true) {
                    break;
                }
            }
        }
    }

    fn conclude(&self, key: K, outcome: Outcome<O>) {
        match outcome {
            Outcome::Done => self.0.state.finish(key),
            Outcome::Requeue { order, at, policy } => {
                for order in self.0.state.defer(&key, order, at, policy) {
                    self.0.handler.displaced(&key, order);
                }
            }
        }
    }

    /// Wakes workers when orders that were put off come due.
    async fn alarm(self) {
        let state = &self.0.state;
        loop {
            let at = state.sooner.until(|| state.table.borrow().next_deferred()).await;
            let ring = pin!(engine::sleep(at.saturating_duration_since(now())));
            let earlier = || (state.table.borrow().next_deferred()? < at).then_some(());
            if let Either::Left(_) = select(ring, pin!(state.sooner.until(earlier))).await {
                state.table.borrow_mut().promote(now());
                self.wake_worker();
            }
        }
    }
}
