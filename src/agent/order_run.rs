//! Runs one order of one stack: asks the machine what is next, and does it.
//!
//! All decisions are [`Machine`]'s; this is the thin shell that waits for permits, performs
//! reads and writes, and hands the answers back.

use std::{pin::pin, rc::Rc};

use futures::{
    FutureExt,
    future::{Either, LocalBoxFuture, select},
    stream::{FuturesUnordered, StreamExt},
};
use shards::{Outcome, RequeuePolicy, Slot};
use tracing::debug;

use super::{
    counters::OrderEnd,
    message::{OrderStage, QueuedOrder},
    order_handler::OrderHandler,
};
use crate::{
    order::{Change, StackName},
    stack::{
        desired::fingerprint,
        machine::{Carryover, Machine, MachineContext, MachineStep, Notice, OrderArrival},
        write::{Write, WriteAnswer},
    },
    time::{Duration, Instant, after, now},
};

/// While a shard stops and its dispatcher still takes up orders, each is put off for so long.
const STOPPING: Duration = Duration::from_millis(100);

/// One order, or a chain of orders that took over from each other, in one slot.
pub(super) struct OrderRun<'a> {
    handler: &'a OrderHandler,
    slot: Slot<StackName, QueuedOrder>,
    stack: StackName,
    pub(super) machine: Machine,
    /// What the machine knows of the kinds in play.
    context: Rc<MachineContext>,
    /// Of what is known, as the machine was last shown it.
    revision: Option<u64>,
    writes: FuturesUnordered<LocalBoxFuture<'a, (Write, WriteAnswer)>>,
    /// The end of the order is counted.
    counted: bool,
}

impl<'a> OrderRun<'a> {
    pub(super) fn new(
        handler: &'a OrderHandler,
        slot: Slot<StackName, QueuedOrder>,
        order: QueuedOrder,
        carryover: Carryover,
    ) -> Self {
        let context = Rc::clone(&handler.context());
        let QueuedOrder { order, stage, .. } = order;
        let arrival = if stage == OrderStage::New { OrderArrival::New } else { OrderArrival::Again };
        Self {
            handler,
            slot,
            stack: order.stack.clone(),
            machine: Machine::new(order, carryover, Rc::clone(&context), arrival),
            context,
            revision: None,
            writes: FuturesUnordered::new(),
            counted: stage == OrderStage::Ended,
        }
    }

    pub(super) async fn drive(&mut self) -> Outcome<QueuedOrder> {
        loop {
            self.follow();
            self.refresh();
            let step = self.machine.next(now());
            self.log_notices();
            // A stopping shard begins nothing, and waits for what is on its way. So does a stack
            // that is to give its slot back: with ever newer orders there would always be something
            // on its way.
            let yields = self.slot.should_yield();
            let stopping = self.handler.stop.requested() || yields;
            match step {
                MachineStep::Read(keys) if !stopping => {
                    let client = self.handler.client.clone();
                    let uids = self.handler.store.uids(&self.stack, &keys);
                    let read = self.meanwhile(client.read(&keys)).await;
                    if let Ok(objects) = &read {
                        self.handler.breakers.read();
                        self.handler.store.read(&self.stack, &keys, uids, objects);
                    }
                    self.machine.observed(now(), &keys, read);
                    self.revision = None;
                }
                MachineStep::Write if !stopping => self.write().await,
                _ if !self.writes.is_empty() => self.answer().await,
                step => return self.outcome(&step),
            }
        }
    }

    /// Lets a newer order take over, between writes.
    fn follow(&mut self) {
        if let Some(newer) = self.slot.successor() {
            if !self.counted {
                self.handler.counters.ended(OrderEnd::Superseded, 1);
            }
            debug!(stack = %self.stack, "a newer order takes over");
            self.counted = newer.stage == OrderStage::Ended;
            self.handler.store.trace(&self.stack, newer.trace.as_ref());
            self.machine.supersede(newer.order);
        }
    }

    /// Shows the machine what is known by now, where that has changed.
    fn refresh(&mut self) {
        let store = &self.handler.store;
        let revision = Some(store.revision(&self.stack));
        if self.revision != revision {
            self.revision = revision;
            self.machine.refresh(store.objects(&self.stack));
        }
    }

    /// Permit first, then decide: what is written follows from the newest order and from what is
    /// known by then.
    async fn write(&mut self) {
        let client = self.handler.client.clone();
        let permit = self.meanwhile(client.permit()).await;
        self.follow();
        self.refresh();
        if let Some(write) = self.machine.write(now()) {
            debug!(stack = %self.stack, object = %write.key(), verb = write.verb(), "write");
            self.writes.push(
                async move {
                    let answer = client.write(permit, &write).await;
                    (write, answer)
                }
                .boxed_local(),
            );
        }
    }

    async fn answer(&mut self) {
        if let Some((write, answer)) = self.writes.next().await {
            self.apply(&write, answer);
        }
    }

    fn apply(&mut self, write: &Write, answer: WriteAnswer) {
        self.handler.store.answered(&self.stack, write, &answer);
        self.handler.breakers.answered(write, &answer);
        self.machine.apply_answer(now(), write, answer);
        // What the answer says may be gone by now, as the store knew before.
        self.revision = None;
    }

    /// Awaits `future` while answers to writes in flight are taken in.
    async fn meanwhile<T>(&mut self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        loop {
            if self.writes.is_empty() {
                return future.await;
            }
            match select(future.as_mut(), self.writes.next()).await {
                Either::Left((done, _)) => return done,
                Either::Right((answered, _)) => {
                    if let Some((write, answer)) = answered {
                        self.apply(&write, answer);
                    }
                }
            }
        }
    }

    fn outcome(&mut self, step: &MachineStep) -> Outcome<QueuedOrder> {
        let breakers = &self.handler.breakers;
        if let &MachineStep::Retry { at } = step
            && let Some(class) = self.machine.fails_with(now())
        {
            let at = breakers.waits(&self.stack, class, at);
            return self.later(at, RequeuePolicy::UntilSuperseded);
        }
        breakers.ends(&self.stack);
        match step {
            MachineStep::Done | MachineStep::Attend { .. } | MachineStep::Rejected { .. }
                if self.is_outdated() =>
            {
                self.later(now(), RequeuePolicy::UntilSuperseded)
            }
            MachineStep::Done => {
                self.applied();
                Outcome::Done
            }
            &MachineStep::Attend { at } => {
                self.applied();
                self.later(at, RequeuePolicy::UntilNewer)
            }
            &MachineStep::Rejected { at } => {
                self.end(OrderEnd::Failed);
                self.later(at, RequeuePolicy::UntilNewer)
            }
            &MachineStep::Retry { at } => self.later(at, RequeuePolicy::UntilSuperseded),
            // The shard is stopping, and its dispatcher will be drained in a moment; or the slot is given
            // back for others that wait.
            MachineStep::Read(_) | MachineStep::Write | MachineStep::Await => {
                let pause = if self.handler.stop.requested() { STOPPING } else { Duration::ZERO };
                self.later(after(now(), pause), RequeuePolicy::UntilSuperseded)
            }
        }
    }

    /// Other kinds came into play meanwhile: the order has yet to be looked at for those. Nothing else
    /// would do that, where it is the very order that membership sent for the new kinds.
    fn is_outdated(&self) -> bool {
        !Rc::ptr_eq(&self.context, &self.handler.context()) && !self.handler.stop.requested()
    }

    /// The cluster shows what the order asks for.
    fn applied(&mut self) {
        let store = &self.handler.store;
        if !self.counted {
            store.applied(&self.stack);
        }
        if let Change::Existing(snapshot) = &self.machine.order().change
            && self.machine.is_plain()
        {
            store.mark_converged(&self.stack, fingerprint(snapshot));
        }
        self.end(OrderEnd::Applied);
    }

    /// Counts how the order ended, once.
    fn end(&mut self, end: OrderEnd) {
        if !std::mem::replace(&mut self.counted, true) {
            let counters = &self.handler.counters;
            counters.faulty.add(u64::from(self.machine.is_faulty()));
            counters.incomplete.add(u64::from(self.machine.is_incomplete()));
            counters.ended(end, 1);
        }
    }

    fn later(&self, at: Instant, policy: RequeuePolicy) -> Outcome<QueuedOrder> {
        let order = self.machine.order().clone();
        let stage = if self.counted { OrderStage::Ended } else { OrderStage::PutOff };
        let order = QueuedOrder { order, trace: None, stage };
        Outcome::Requeue { order, at, policy }
    }

    fn log_notices(&mut self) {
        for notice in self.machine.notices() {
            if let Notice::NothingToDelete { .. } = notice {
                self.handler.store.nothing_to_delete(self.machine.stack());
            }
            self.handler.log.notice(&notice);
        }
    }
}
